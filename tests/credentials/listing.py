"""Keepers of lists of authorities for these tests: a VICAL and a LoTE, good by default, one thing changed at a time.

Written with cryptography, cbor2 and joserfc alone; shares nothing with `idp.credentials`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from tests.credentials.issuing import ABSENT, CA_EXTENSIONS, b64u, changed, p256, usage

MDL = "org.iso.18013.5.1.mDL"
VICAL_EKU = "1.0.18013.5.1.8"
SVC = "http://uri.etsi.org/19602/SvcType"
ISSUANCE, REVOCATION = f"{SVC}/PubEAA/Issuance", f"{SVC}/PubEAA/Revocation"
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)
SIGNING = (usage(digital_signature=True), True)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def named(
    common: str, *, country: str | None = None, region: str | None = None, org: str | None = None
) -> x509.Name:
    oids = x509.NameOID
    parts = [
        (oids.COUNTRY_NAME, country),
        (oids.STATE_OR_PROVINCE_NAME, region),
        (oids.ORGANIZATION_NAME, org),
        (oids.COMMON_NAME, common),
    ]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value is not None])


def certificate(
    subject: x509.Name,
    key: Key,
    issuer: x509.Name,
    issuer_key: Key,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    *,
    end: datetime = END,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(end)
    )
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    for extension, critical in (*extensions, (ski, False), (aki, False)):
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def iaca(common: str, country: str, region: str | None = None, end: datetime = END) -> x509.Certificate:
    """A CA as a list has it."""
    key = p256()
    subject = named(common, country=country, region=region)
    return certificate(subject, key, subject, key, CA_EXTENSIONS, end=end)


def pem(*certificates: x509.Certificate) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def der(one: x509.Certificate) -> bytes:
    return one.public_bytes(Encoding.DER)


@dataclass
class Keeper:
    """Who keeps a list: a CA, and a signer under it. `eku` of the signer; None: it has none."""

    name: str = "List keeper"
    country: str = "KR"
    eku: str | None = None
    key: Any = field(default_factory=p256)
    ca_key: Any = field(default_factory=p256)

    def __post_init__(self) -> None:
        root = named(f"{self.name} root", country=self.country, org=self.name)
        self.ca = certificate(root, self.ca_key, root, self.ca_key, CA_EXTENSIONS)
        self.signer = self.sign_certificate(self.key)

    def sign_certificate(
        self, key: Key, *, eku: str | None = None, org: str | None = None
    ) -> x509.Certificate:
        purpose = eku or self.eku
        extended = [(x509.ExtendedKeyUsage([x509.ObjectIdentifier(purpose)]), True)] if purpose else []
        subject = named("signer", country=self.country, org=org or self.name)
        return certificate(subject, key, self.ca.subject, self.ca_key, [SIGNING, *extended])


def vical_keeper() -> Keeper:
    return Keeper("Test VICAL", eku=VICAL_EKU)


def info(one: x509.Certificate, **changes: Any) -> dict[str, Any]:
    """An entry of a VICAL, as it is before it becomes CBOR."""
    ski = one.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    serial = one.serial_number.to_bytes((one.serial_number.bit_length() + 7) // 8, "big")
    good = {"certificate": der(one), "serialNumber": cbor2.CBORTag(2, serial), "ski": ski, "docType": [MDL]}
    return changed(good, changes)


def vical(
    keeper: Keeper,
    infos: Sequence[Mapping[str, Any]],
    *,
    at: int,
    chain: Sequence[x509.Certificate] | None = None,
    tagged: bool = False,
    alg: int = -7,
    tamper: bool = False,
    **changes: Any,
) -> bytes:
    """A signed VICAL; `changes` are of its members."""
    payload = cbor2.dumps(
        changed(
            {
                "version": "1.0",
                "vicalProvider": "Test provider",
                "date": cbor2.CBORTag(0, moment(at - 3600).strftime("%Y-%m-%dT%H:%M:%S.123Z")),
                "vicalIssueID": 7,
                "nextUpdate": cbor2.CBORTag(0, moment(at + 86_400).strftime("%Y-%m-%dT%H:%M:%SZ")),
                "certificateInfos": list(infos),
            },
            changes,
        )
    )
    protected = cbor2.dumps({1: alg})
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    r, s = decode_dss_signature(keeper.key.sign(signed, ec.ECDSA(hashes.SHA256())))
    shown = [der(one) for one in (chain if chain is not None else [keeper.signer])]
    unprotected = {33: shown[0] if len(shown) == 1 else shown} if shown else {}
    if tamper:
        payload = payload.replace(b"Test provider", b"Best provider")
    message: Any = [protected, unprotected, payload, r.to_bytes(32, "big") + s.to_bytes(32, "big")]
    return cbor2.dumps(cbor2.CBORTag(18, message) if tagged else message)


def service(kind: Any, *certificates: x509.Certificate, **changes: Any) -> dict[str, Any]:
    identity = {"X509Certificates": [{"val": b64encode(der(one)).decode()} for one in certificates]}
    good = {
        "ServiceName": [{"lang": "en", "value": "service"}],
        "ServiceTypeIdentifier": kind,
        "ServiceDigitalIdentity": identity,
    }
    return {"ServiceInformation": changed(good, changes)}


def entity(name: str, *services: Mapping[str, Any], ko: str | None = None, **changes: Any) -> dict[str, Any]:
    names = [{"lang": "en", "value": name}, *([{"lang": "ko", "value": ko}] if ko else [])]
    good = {
        "TEName": names,
        "TEAddress": {"TEPostalAddress": [], "TEElectronicAddress": []},
        "TEInformationURI": [{"lang": "en", "uriValue": "https://example.org"}],
    }
    return {"TrustedEntityInformation": changed(good, changes), "TrustedEntityServices": list(services)}


def lote(
    keeper: Keeper,
    entities: Sequence[Any],
    *,
    at: int,
    header: Mapping[str, Any] | None = None,
    key: Any = None,
    alg: str = "ES256",
    root: Mapping[str, Any] | None = None,
    **changes: Any,
) -> str:
    """A signed LoTE; `changes` are of its scheme information, `root` replaces the whole payload."""
    scheme = {
        "LoTEVersionIdentifier": 1,
        "LoTESequenceNumber": 3,
        "SchemeOperatorName": [{"lang": "en", "value": keeper.name}],
        "SchemeName": [{"lang": "en", "value": "Test scheme"}],
        "SchemeTerritory": keeper.country,
        "ListIssueDateTime": moment(at - 3600).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "NextUpdate": moment(at + 86_400).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    payload = {
        "LoTE": {
            "ListAndSchemeInformation": changed(scheme, changes),
            "TrustedEntitiesList": list(entities),
        }
    }
    protected = {
        "alg": alg,
        "typ": "JOSE",
        "x5c": [b64encode(der(keeper.signer)).decode()],
        "sigT": "2026-11-01T00:00:00Z",
        "crit": ["sigT"],
    }
    full = changed(protected, header)
    signing = key or keeper.key
    jwk = (
        ECKey.import_key(signing)
        if isinstance(signing, ec.EllipticCurvePrivateKey)
        else RSAKey.import_key(signing)
    )
    body = json.dumps(payload if root is None else root).encode()
    # The algorithm by itself: a whole library would not put its name to some of these headers.
    unsigned = f"{b64u(json.dumps(full).encode())}.{b64u(body)}"
    signature = jws.JWSRegistry.algorithms[alg].sign(unsigned.encode(), jwk)
    return f"{unsigned}.{b64u(signature)}"


__all__ = [
    "ABSENT",
    "ISSUANCE",
    "MDL",
    "REVOCATION",
    "Keeper",
    "entity",
    "iaca",
    "info",
    "lote",
    "service",
    "vical",
]
