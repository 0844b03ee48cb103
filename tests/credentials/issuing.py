"""An issuing authority, a holder and a status host for these tests: good by default, one thing changed at a time.

Written with cryptography and joserfc alone; shares nothing with `idp.credentials` or `idp.demo`, so that a mistake
made on both sides cannot cancel out.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jws
from joserfc.jwk import ECKey

from idp.credentials import (
    CredentialTypeTrust,
    Expected,
    Mission,
    StatusLists,
    StatusUnavailable,
    TrustSnapshot,
    schema,
)
from idp.credentials.status import TokenType
from idp.credentials.trust import FormatTrust

NOW = int(datetime(2026, 11, 23, 3, 0, tzinfo=UTC).timestamp())
VCT = "https://idp.example/vct/kr-overseas-national/v1"
TYPE_ID = "kr-overseas-national"
AUDIENCE = "x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk"
NONCE = "n-0S6_WzA2Mj"
STATUS_URI = "https://status.example/lists/1"
EXPECTED = Expected(audience=AUDIENCE, nonce=NONCE, accepted_types=frozenset({TYPE_ID}))


class _Absent:
    """What is left out. Test ids are made of it, so it says its name and not its address."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()

CLAIMS: Mapping[str, Any] = {
    "name": "홍길동",
    "family_name": "HONG",
    "given_name": "GILDONG",
    "birthdate": "1984-02-29",
    "age_equal_or_over": {"14": True, "19": True},
    "sex": 1,
    "nationalities": ["KR"],
    "address": {"formatted": "123 Wilshire Blvd\nLos Angeles, CA"},
    "issuing_mission": {
        "code": "LAX",
        "name_ko": "주로스앤젤레스 대한민국 총영사관",
        "name_en": "Los Angeles",
    },
    "overseas_registration_number": "LAX-2024-000123",
    "passport": {
        "number": "M12345678",
        "type": "PM",
        "issuing_country": "KOR",
        "issuing_authority": "MINISTRY OF FOREIGN AFFAIRS",
        "issue_date": "2023-05-16",
        "expiry_date": "2033-05-16",
    },
    "picture": "data:image/jpeg;base64,/9j/4AAQSkZJRg==",
    "kr_ci": "A" * 86 + "==",
    "license_number": "11-22-333333-44",
    "civil_servant_number": "2020-12345",
    "veteran_number": "10-123456",
}


class _Registry(jws.JWSRegistry):
    max_header_length = 1_000_000
    max_payload_length = 20_000_000


def b64u(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    crv = {256: "P-256", 384: "P-384", 521: "P-521"}[key.curve.key_size]
    size = (key.curve.key_size + 7) // 8
    point = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": crv,
        "x": b64u(point.x.to_bytes(size, "big")),
        "y": b64u(point.y.to_bytes(size, "big")),
    }


def private_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    size = (key.curve.key_size + 7) // 8
    return {**public_jwk(key), "d": b64u(key.private_numbers().private_value.to_bytes(size, "big"))}


def sign(header: Mapping[str, Any], payload: Any, key: ec.EllipticCurvePrivateKey) -> str:
    """A compact JWS; `payload` is JSON, or bytes that go in as they are."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode("utf-8")
    registry = _Registry(algorithms=[header["alg"]], strict_check_header=False)
    return jws.serialize_compact(dict(header), data, ECKey.import_key(private_jwk(key)), registry=registry)


def changed(base: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy with these members changed; ABSENT takes one out."""
    return {name: value for name, value in {**base, **(changes or {})}.items() if value is not ABSENT}


# Certificates


def usage(**on: bool) -> x509.KeyUsage:
    off = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**{**off, **on})


CA_EXTENSIONS: tuple[tuple[x509.ExtensionType, bool], ...] = (
    (x509.BasicConstraints(ca=True, path_length=None), True),
    (usage(key_cert_sign=True, crl_sign=True), True),
)
LEAF_EXTENSIONS: tuple[tuple[x509.ExtensionType, bool], ...] = ((usage(digital_signature=True), True),)


def certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
    *,
    not_before: int = NOW - 86_400,
    not_after: int = NOW + 30 * 86_400,
    further: Iterable[tuple[x509.ObjectIdentifier, str]] = (),
) -> x509.Certificate:
    named = [(x509.NameOID.COMMON_NAME, subject), *further]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in named]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(not_after, UTC))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def x5c(*certificates: x509.Certificate) -> list[str]:
    return [b64encode(der(one)).decode("ascii") for one in certificates]


@dataclass
class Authority:
    """A mission's CA with a document signer and a status signer under it."""

    code: str = "LAX"
    key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    signer_key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    status_key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    ca_extensions: Sequence[tuple[x509.ExtensionType, bool]] = CA_EXTENSIONS

    def __post_init__(self) -> None:
        self.ca = certificate(f"{self.code} CA", self.key, f"{self.code} CA", self.key, self.ca_extensions)
        self.signer = self.leaf(self.signer_key)
        self.status_signer = self.leaf(self.status_key, subject=f"{self.code} status")

    def leaf(
        self,
        key: ec.EllipticCurvePrivateKey,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = LEAF_EXTENSIONS,
        subject: str = "document signer",
        **times: int,
    ) -> x509.Certificate:
        return certificate(subject, key, f"{self.code} CA", self.key, extensions, **times)

    def mission(self, **changes: Any) -> Mission:
        good: dict[str, Any] = {
            "code": self.code,
            "name": {"ko": "공관", "en": "Mission"},
            "country": "US",
            "credential_types": frozenset({TYPE_ID}),
            "active_from": date(2024, 7, 3),
            "active_until": None,
            "issuer_anchors": (self.ca,),
        }
        return Mission(**{**good, **changes})


def credential_type(**changes: Any) -> CredentialTypeTrust:
    good: dict[str, Any] = {
        "id": TYPE_ID,
        "name": {"ko": "재외국민", "en": "Overseas national"},
        "trust_domain": "kr-overseas",
        "person_key": ("overseas_registration_number",),
        "formats": {"dc+sd-jwt": sd_jwt_format()},
    }
    return CredentialTypeTrust(**{**good, **changes})


def sd_jwt_format(**changes: Any) -> FormatTrust:
    """The type as SD-JWT VC, every element under its own name."""
    good: dict[str, Any] = {
        "format": "dc+sd-jwt",
        "names": frozenset({VCT}),
        "paths": {path: path for path in schema.element_paths()},
        "authentication": ("user_authentication",),
    }
    return FormatTrust(**{**good, **changes})


def registry(*missions: Mission, types: Iterable[CredentialTypeTrust] | None = None) -> TrustSnapshot:
    known = list(types) if types is not None else [credential_type()]
    return TrustSnapshot({one.id: one for one in known}, {one.code: one for one in missions})


# Disclosures


def disclosure(*contents: Any) -> str:
    """The text of a disclosure with a fresh salt before `contents`."""
    return b64u(json.dumps([b64u(secrets.token_bytes(16)), *contents], ensure_ascii=False).encode("utf-8"))


def digest(text: str, algorithm: str = "sha256") -> str:
    return b64u(hashlib.new(algorithm, text.encode("ascii")).digest())


@dataclass
class Issued:
    """A credential in a wallet: the issuer's JWT, every disclosure, and the key it is bound to."""

    jwt: str
    disclosures: list[str]
    holder_key: ec.EllipticCurvePrivateKey

    def present(
        self,
        *,
        disclosures: Sequence[str] | None = None,
        header: Mapping[str, Any] | None = None,
        payload: Mapping[str, Any] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
        hash_algorithm: str = "sha256",
        key_binding: bool = True,
    ) -> str:
        """A presentation; `header`, `payload` and `key` change the Key Binding JWT's."""
        shown = self.disclosures if disclosures is None else disclosures
        body = "~".join([self.jwt, *shown, ""])
        if not key_binding:
            return body
        claims = {"aud": AUDIENCE, "nonce": NONCE, "iat": NOW, "sd_hash": digest(body, hash_algorithm)}
        proof_header = changed({"alg": "ES256", "typ": "kb+jwt"}, header)
        return body + sign(proof_header, changed(claims, payload), key or self.holder_key)


def issue(
    authority: Authority,
    *,
    header: Mapping[str, Any] | None = None,
    payload: Mapping[str, Any] | None = None,
    claims: Mapping[str, Any] | None = None,
    disclosures: Sequence[str] = (),
    decoys: int = 2,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Issued:
    """A credential. `claims` changes the disclosable ones, `payload` the signed ones (after `_sd` is filled in);
    `disclosures` are further ones whose digests the caller has put where they belong."""
    holder_key = p256()
    texts = [disclosure(name, value) for name, value in changed(CLAIMS, claims).items()]
    signed = {
        "iss": "https://authority.example",
        "iat": NOW - 3600,
        "exp": NOW + 86_400,
        "vct": VCT,
        "cnf": {"jwk": public_jwk(holder_key)},
        "status": {"status_list": {"idx": 0, "uri": STATUS_URI}},
        "user_authentication": ["pin", "face"],
        "_sd_alg": "sha-256",
        "_sd": sorted([*map(digest, texts), *(digest(disclosure(i)) for i in range(decoys))]),
    }
    protected = {"alg": "ES256", "typ": "dc+sd-jwt", "x5c": x5c(authority.signer)}
    jwt = sign(changed(protected, header), changed(signed, payload), key or authority.signer_key)
    return Issued(jwt, [*texts, *disclosures], holder_key)


# Status


def packed(values: Sequence[int], bits: int) -> bytes:
    """The byte array of a status list, the first entry in the lowest bits (draft-ietf-oauth-status-list, 4.1)."""
    data = bytearray((len(values) * bits + 7) // 8)
    for index, value in enumerate(values):
        byte, shift = divmod(index * bits, 8)
        data[byte] |= value << shift
    return bytes(data)


def status_token(
    authority: Authority,
    values: Sequence[int] = (0, 1, 2, 3),
    bits: int = 2,
    *,
    header: Mapping[str, Any] | None = None,
    payload: Mapping[str, Any] | None = None,
    lst: Any = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    listed = {"bits": bits, "lst": b64u(zlib.compress(packed(values, bits), 9)) if lst is None else lst}
    claims = {"sub": STATUS_URI, "iat": NOW - 60, "exp": NOW + 86_400, "ttl": 300, "status_list": listed}
    protected = {"alg": "ES256", "typ": "statuslist+jwt", "x5c": x5c(authority.status_signer)}
    return sign(changed(protected, header), changed(claims, payload), key or authority.status_key).encode(
        "ascii"
    )


@dataclass
class StatusHost:
    """Where status lists are fetched: what it serves by uri, and for what it was asked. Nothing there: unreachable."""

    served: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    asked_as: list[str] = field(default_factory=list)

    def fetch(self, uri: str, token_type: TokenType = TokenType.JWT) -> bytes:
        self.asked.append(uri)
        self.asked_as.append(token_type.value)
        if uri not in self.served:
            raise StatusUnavailable("no answer")
        return self.served[uri]


@dataclass
class World:
    """One mission that is trusted, and a status host that serves its list."""

    authority: Authority = field(default_factory=Authority)

    def __post_init__(self) -> None:
        self.mission = self.authority.mission()
        self.trust = registry(self.mission)
        self.host = StatusHost({STATUS_URI: status_token(self.authority)})
        self.status = StatusLists(self.host.fetch)
