"""What no verifier can do without: the signatures in a presentation, and reading what they are over.

Written with cryptography, pybase64, msgspec and cbor2, the libraries that the verifier uses, and with nothing of the
verifier.
Nothing is checked here but signatures; that is what makes it a lower bound, and no verifier.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import cbor2
import msgspec
from cbor2 import CBORTag
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store
from pybase64 import b64decode, b64encode

_SCHEME = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature, with the key already read. `signature`: DER."""

    key: ec.EllipticCurvePublicKey
    signature: bytes
    signed: bytes

    def check(self) -> None:
        self.key.verify(self.signature, self.signed, _SCHEME)


def of_sd_jwt(
    presentation: str, signer: ec.EllipticCurvePublicKey, holder: ec.EllipticCurvePublicKey
) -> list[Signature]:
    """The issuer's and the key binding's."""
    found = []
    for jwt, key in ((presentation.partition("~")[0], signer), (presentation.rpartition("~")[2], holder)):
        signed, _, signature = jwt.rpartition(".")
        found.append(Signature(key, _der(_bytes(signature)), signed.encode("ascii")))
    return found


def of_mdoc(
    presentation: str,
    signer: ec.EllipticCurvePublicKey,
    holder: ec.EllipticCurvePublicKey,
    transcript: bytes,
) -> list[Signature]:
    """The issuer's and the device's."""
    (document,) = cbor2.loads(_bytes(presentation))["documents"]
    device_signed = document["deviceSigned"]
    stated = [cbor2.loads(transcript), document["docType"], device_signed["nameSpaces"]]
    detached = cbor2.dumps(CBORTag(24, cbor2.dumps(["DeviceAuthentication", *stated])))
    protected, _, payload, signature = document["issuerSigned"]["issuerAuth"]
    own, _, _, device_signature = device_signed["deviceAuth"]["deviceSignature"]
    return [
        Signature(signer, _der(signature), cbor2.dumps(["Signature1", protected, b"", payload])),
        Signature(holder, _der(device_signature), cbor2.dumps(["Signature1", own, b"", detached])),
    ]


def of_certificate(certificate: x509.Certificate, authority: ec.EllipticCurvePublicKey) -> Signature:
    return Signature(authority, certificate.signature, certificate.tbs_certificate_bytes)


def read_sd_jwt(presentation: str) -> None:
    """Decode and parse every part, hash what is hashed, read the holder's key."""
    issuer, *disclosures, proof = presentation.split("~")
    payload = msgspec.json.decode(_bytes(issuer.split(".")[1]))
    for text in disclosures:
        _digest(text)
        if text:
            msgspec.json.decode(_bytes(text))
    msgspec.json.decode(_bytes(proof.split(".")[1]))
    _digest(presentation[: -len(proof)])
    _point(*(_bytes(payload["cnf"]["jwk"][name]) for name in ("x", "y")))


def read_mdoc(presentation: str) -> None:
    """The same of an mdoc."""
    (document,) = cbor2.loads(_bytes(presentation))["documents"]
    signed = cbor2.loads(cbor2.loads(document["issuerSigned"]["issuerAuth"][2]).value)
    for items in document["issuerSigned"]["nameSpaces"].values():
        for item in items:
            hashlib.sha256(item.value).digest()
            cbor2.loads(item.value)
    key = signed["deviceKeyInfo"]["deviceKey"]
    _point(key[-2], key[-3])


def path_reader(anchor: x509.Certificate, now: int) -> Callable[[bytes], None]:
    """What reads a signer's certificate (DER) and verifies the path to this anchor, signature included."""
    lenient = ExtensionPolicy.permit_all()
    authorities = lenient.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)  # it insists
    verifier = (
        PolicyBuilder()
        .store(Store([anchor]))
        .time(datetime.fromtimestamp(now, UTC))
        .extension_policies(ca_policy=authorities, ee_policy=lenient)
        .build_client_verifier()
    )

    def read(der: bytes) -> None:
        certificate = x509.load_der_x509_certificate(der)
        verifier.verify(certificate, [])
        certificate.public_key()

    return read


def _bytes(text: str) -> bytes:
    return b64decode(text + "==="[: -len(text) % 4], b"-_", True)


def _digest(text: str) -> bytes:
    return b64encode(hashlib.sha256(text.encode("ascii")).digest(), b"-_").rstrip(b"=")


def _der(signature: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


def _point(x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + x + y)
