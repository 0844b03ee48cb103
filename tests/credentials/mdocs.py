"""What tests of mdocs have in common: to verify a presentation, and some that take more than a line to make."""

import hashlib
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from cryptography import x509

from idp.credentials import CredentialRejected, Reason, VerifiedCredential, verify
from tests.credentials.issuing import (
    LEAF_EXTENSIONS,
    NONCE,
    NOW,
    certificate,
    der,
    p256,
    usage,
)
from tests.credentials.issuing_mdoc import (
    DOCUMENT_SIGNER,
    ELEMENTS,
    EXPECTED,
    KR,
    World,
    issue,
)

EU_PID = "eu.europa.ec.eudi.pid.1"


def accept(world: World, presentation: str, **changes: Any) -> VerifiedCredential:
    arguments: dict[str, Any] = {
        "expected": EXPECTED,
        "trust": world.trust,
        "status": world.status,
        "now": NOW,
    }
    return verify("mso_mdoc", presentation, **{**arguments, **changes})


def refuse(world: World, presentation: str, **changes: Any) -> Reason:
    with pytest.raises(CredentialRejected) as refusal:
        accept(world, presentation, **changes)
    for value in ("홍길동", "GILDONG", "M12345678", NONCE):
        assert value not in str(refusal.value)
    return refusal.value.reason


def changed_value(name_space: str, name: str, value: Any) -> dict[str, dict[str, Any]]:
    """The elements of a namespace with one of another value."""
    return {name_space: {**ELEMENTS[name_space], name: value}}


def under_an_intermediate(world: World) -> tuple[str, list[bytes]]:
    """A presentation whose signer is under a CA below the anchor, and its chain."""
    middle, leaf = p256(), p256()
    ca = (x509.BasicConstraints(ca=True, path_length=0), True), (usage(key_cert_sign=True), True)
    middle_certificate = certificate("middle", middle, "LAX CA", world.authority.key, ca)
    purpose = (x509.ExtendedKeyUsage([x509.ObjectIdentifier(DOCUMENT_SIGNER)]), True)
    country = [(x509.NameOID.COUNTRY_NAME, "KR")]
    leaf_certificate = certificate(
        "signer", leaf, "middle", middle, [*LEAF_EXTENSIONS, purpose], further=country
    )
    chain = [der(leaf_certificate), der(middle_certificate)]
    return issue(world.authority, key=leaf, unprotected={33: chain}).present(), chain


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def tagged_sha256(content: bytes) -> bytes:
    return sha256(cbor2.dumps(CBORTag(24, content)))


def signed_item(world: World, content: bytes) -> str:
    """A presentation of one item that the issuer signed, whatever it is."""
    issued = issue(world.authority, digests=lambda _: {KR: {0: tagged_sha256(content)}})
    return issued.present(items={KR: [content]})
