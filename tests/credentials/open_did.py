"""An Open DID issuer, holder and registry for these tests: good by default, one thing changed at a time.

Written after the specification with cryptography alone; shares nothing with `idp.credentials` or `idp.demo`, so that
a mistake made on both sides cannot cancel out.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from idp.credentials import CredentialTypeTrust, Expected, Mission, RegistryUnavailable, TrustSnapshot
from idp.credentials.trust import FormatTrust
from tests.credentials import issuing
from tests.credentials.issuing import NOW, TYPE_ID, changed, credential_type, p256

SCHEMA = "https://issuer.example/schema/overseas-national"
ISSUER = "did:omn:issuer"
HOLDER = "did:omn:4RFuv2XdWZdPTJHpHQ8R"
VC_ID = "c784f3db-5df4-498e-befe-f49f1fbebe88"
NONCE_BYTES = bytes(range(16))
CODES: Mapping[tuple[str, ...], str] = {
    ("name",): "kr.example.v1.name",
    ("family_name",): "kr.example.v1.family_name",
    ("birthdate",): "kr.example.v1.birth",
    ("sex",): "kr.example.v1.sex",
    ("nationalities",): "kr.example.v1.nationality",
    ("age_equal_or_over", "19"): "kr.example.v1.adult",
    ("overseas_registration_number",): "kr.example.v1.number",
    ("passport", "expiry_date"): "kr.example.v1.passport_until",
    ("issuing_mission", "code"): "kr.example.v1.mission",
    ("picture",): "kr.example.v1.photo",
}
VALUES: Mapping[str, str] = {
    "kr.example.v1.name": "홍길동 & 'o'",
    "kr.example.v1.birth": "19840229",
    "kr.example.v1.number": "LAX-2024-000123",
}
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


# Text and signatures


def base58(data: bytes) -> str:
    """`z` and base58btc."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "z" + "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def base64(data: bytes) -> str:
    """`m` and base64 without padding."""
    return "m" + b64encode(data).decode("ascii").rstrip("=")


def bytes_of(text: str) -> bytes:
    """What `base58` or `base64` wrote. Raises ValueError."""
    base, encoded = text[:1], text[1:]
    if base == "m":
        return b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    if base != "z":
        raise ValueError("another base")
    number = 0
    for character in encoded:
        number = number * 58 + _ALPHABET.index(character)
    return bytes(len(encoded) - len(encoded.lstrip("1"))) + number.to_bytes(
        (number.bit_length() + 7) // 8, "big"
    )


NONCE = base64(NONCE_BYTES)


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def compact(key: ec.EllipticCurvePrivateKey, message: bytes, *, high_s: bool = False) -> bytes:
    """A compact signature, made by hand (SEC 1, section 4.1.3): its point R is known, and so its recovery id."""
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    number = secrets.randbelow(_N - 1) + 1
    point = ec.derive_private_key(number, ec.SECP256R1()).public_key().public_numbers()
    r, odd = point.x % _N, point.y & 1
    s = (digest + r * key.private_numbers().private_value) * pow(number, -1, _N) % _N
    if (s > _N // 2) is not high_s:
        s, odd = _N - s, 1 - odd  # -s is a signature too, made with the negated point
    return bytes([27 + 4 + odd]) + r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed(
    document: Mapping[str, Any],
    key: ec.EllipticCurvePrivateKey,
    proof: Mapping[str, Any],
    *,
    several: bool = False,
    high_s: bool = False,
) -> dict[str, Any]:
    """The document with a proof by this key; `several` adds it to `proofs`."""
    bare = {name: value for name, value in document.items() if name not in {"proof", "proofs"}}
    value = base58(compact(key, canonical({**bare, "proof": proof}), high_s=high_s))
    if several:
        return {**document, "proofs": [*document.get("proofs", []), {**proof, "proofValue": value}]}
    return {**document, "proof": {**proof, "proofValue": value}}


def time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def proof_of(did: str, key_id: str, purpose: str, **changes: Any) -> dict[str, Any]:
    good = {
        "type": "Secp256r1Signature2018",
        "created": time(NOW),
        "verificationMethod": f"{did}?versionId=1#{key_id}",
        "proofPurpose": purpose,
    }
    return changed(good, changes)


# People and their documents


@dataclass
class Party:
    """Somebody with a DID document: key, what unlocks it and what it is for, by its id."""

    did: str
    uses: Mapping[str, tuple[int, tuple[str, ...]]]
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key_id in self.uses:
            self.keys.setdefault(key_id, p256())

    def document(self, **changes: Any) -> dict[str, Any]:
        methods = [
            {
                "id": key_id,
                "type": "Secp256r1VerificationKey2018",
                "controller": "did:omn:tas",
                "publicKeyMultibase": base58(
                    self.keys[key_id].public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
                ),
                "authType": auth_type,
            }
            for key_id, (auth_type, _) in self.uses.items()
        ]
        purposes = dict.fromkeys(purpose for _, listed in self.uses.values() for purpose in listed)
        good = {
            "@context": ["https://www.w3.org/ns/did/v1"],
            "id": self.did,
            "controller": "did:omn:tas",
            "created": time(NOW - 86_400),
            "updated": time(NOW - 86_400),
            "versionId": "1",
            "deactivated": False,
            "verificationMethod": methods,
            **{
                purpose: [key_id for key_id, (_, listed) in self.uses.items() if purpose in listed]
                for purpose in purposes
            },
        }
        return changed(good, changes)


def holder(did: str = HOLDER) -> Party:
    """DID Document format 3.1: a PIN key, a key behind biometrics, one for key agreements."""
    signing = ("assertionMethod", "authentication")
    return Party(did, {"pin": (2, signing), "bio": (4, signing), "keyagree": (1, ("keyAgreement",))})


def issuer(did: str = ISSUER) -> Party:
    """DID Document format 3.4."""
    return Party(did, {"assert": (1, ("assertionMethod",)), "auth": (1, ("authentication",))})


@dataclass
class Registry:
    """Documents by DID or DID and version, metadata by credential; what is not there could not be asked for."""

    documents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    metas: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def document(self, did: str, version: str | None = None) -> Mapping[str, Any]:
        return self._get(self.documents, f"{did}?versionId={version}" if version else did)

    def vc_meta(self, vc_id: str) -> Mapping[str, Any]:
        return self._get(self.metas, vc_id)

    def _get(self, there: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
        self.asked.append(name)
        if name not in there:
            raise RegistryUnavailable("no answer")
        return there[name]


# Credentials and presentations


def claim(code: str, value: Any, **changes: Any) -> dict[str, Any]:
    good = {
        "code": code,
        "caption": "항목",
        "value": value,
        "type": "text",
        "format": "plain",
        "hideValue": False,
    }
    return changed(good, changes)


@dataclass
class World:
    """An issuer that is a mission, a holder with a credential of it, and the registry that knows both."""

    issuer: Party = field(default_factory=issuer)
    holder: Party = field(default_factory=holder)

    def __post_init__(self) -> None:
        self.registry = Registry(
            {ISSUER: self.issuer.document(), HOLDER: self.holder.document()}, {VC_ID: self.meta()}
        )

    def meta(self, **changes: Any) -> dict[str, Any]:
        good = {
            "id": VC_ID,
            "issuer": {"did": ISSUER, "certVcRef": "https://issuer.example/certificate"},
            "subject": HOLDER,
            "credentialSchema": {"id": SCHEMA, "type": "OsdSchemaCredential"},
            "status": "ACTIVE",
        }
        return changed(good, changes)

    @property
    def mission(self) -> Mission:
        return issuing.Authority().mission(issuer_anchors=(), issuer_dids=frozenset({ISSUER}))

    def trust(self, *missions: Mission, types: list[CredentialTypeTrust] | None = None) -> TrustSnapshot:
        looks = FormatTrust(
            format="opendid",
            names=frozenset({SCHEMA}),
            paths={element: (code,) for element, code in CODES.items()},
            authentication=None,
        )
        known = types if types is not None else [credential_type(formats={"opendid": looks})]
        return issuing.registry(*(missions or (self.mission,)), types=known)

    def expected(self, **changes: Any) -> Expected:
        good: dict[str, Any] = {
            "audience": "did:omn:verifier",
            "nonce": NONCE,
            "accepted_types": frozenset({TYPE_ID}),
            "registry": self.registry,
        }
        return Expected(**{**good, **changes})

    def credential(
        self,
        *,
        claims: list[dict[str, Any]] | None = None,
        proof: Mapping[str, Any] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
        whole: bool = False,
        **changes: Any,
    ) -> dict[str, Any]:
        """What the holder shows of a credential; each claim is signed by itself, `whole`: all at once."""
        shown = [claim(code, value) for code, value in VALUES.items()] if claims is None else claims
        good = {
            "@context": ["https://www.w3.org/ns/credentials/v2"],
            "id": VC_ID,
            "type": ["VerifiableCredential"],
            "issuer": {"id": ISSUER, "name": "재외동포청"},
            "issuanceDate": time(NOW - 3600),
            "validFrom": time(NOW - 3600),
            "validUntil": time(NOW + 86_400),
            "encoding": "UTF-8",
            "formatVersion": "1.0",
            "language": "ko",
            "evidence": [],
            "credentialSchema": {"id": SCHEMA, "type": "OsdSchemaCredential"},
            "credentialSubject": {"id": HOLDER, "claims": shown},
        }
        document = changed(good, changes)
        bare = changed(proof_of(ISSUER, "assert", "assertionMethod", created=time(NOW - 3600)), proof)
        by = key or self.issuer.keys["assert"]
        if whole:
            return signed(document, by, bare)
        values = [
            base58(compact(by, canonical({**document, "credentialSubject": one, "proof": bare})))
            for one in ({**document["credentialSubject"], "claims": [single]} for single in shown)
        ]
        return {**document, "proof": {**bare, "proofValueList": values}}

    def presentation(
        self,
        credential: Mapping[str, Any] | None = None,
        *,
        proof: Mapping[str, Any] | None = None,
        by: Party | None = None,
        keys: tuple[str, ...] = ("pin",),
        high_s: bool = False,
        **changes: Any,
    ) -> str:
        """A presentation, as the JSON that a wallet encrypts. Several keys make `proofs`."""
        party = by or self.holder
        good = {
            "@context": ["https://www.w3.org/ns/credentials/v2"],
            "id": "4a6ca946-48cd-4022-8ab5-726bb09ef7a5",
            "type": ["VerifiablePresentation"],
            "holder": party.did,
            "validFrom": time(NOW - 10),
            "validUntil": time(NOW + 590),
            "verifierNonce": NONCE,
            "verifiableCredential": [self.credential() if credential is None else credential],
        }
        document = changed(good, changes)
        for key_id in keys:
            bare = changed(proof_of(party.did, key_id, "assertionMethod"), proof)
            document = signed(document, party.keys[key_id], bare, several=len(keys) > 1, high_s=high_s)
        return json.dumps(document, ensure_ascii=False)

    def acceptance(
        self, *, key: ec.EllipticCurvePrivateKey | None = None, proof: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """`AccE2e` with the holder's signature."""
        point = p256().public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        document = {"publicKey": base58(point), "iv": base58(secrets.token_bytes(16))}
        bare = changed(proof_of(HOLDER, "keyagree", "keyAgreement"), proof)
        return signed(document, key or self.holder.keys["keyagree"], bare)
