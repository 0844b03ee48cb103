"""DID documents of Open DID: whose key a key URL names, and for what it may be used.

A document is a value: where it comes from is its `Registry`'s affair, and whom to believe of it is not decided here.
The registry vouches for its documents. Where one carries its owner's proofs (an `OwnerDidDoc`), each must verify
with the key it names.

Specs: Open DID, DID Document format 2.1, 2.2, 2.3, 2.5; Data Specification 2.2, 4.2.
Left out: RSA and secp256k1 keys, and services.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from idp.credentials import data_proof, multibase
from idp.credentials.verdict import CredentialRejected, Reason

KEY_TYPE = "Secp256r1VerificationKey2018"
PURPOSES = frozenset(
    {"assertionMethod", "authentication", "keyAgreement", "capabilityInvocation", "capabilityDelegation"}
)
MAX_KEYS = 32
MAX_OWNER_PROOFS = 8  # each is over the whole document
_DID = r"did:[a-z0-9]{1,32}:[A-Za-z0-9._:%-]{1,200}"
_KEY_ID = r"[A-Za-z0-9_.-]{1,64}"
_KEY_URL = re.compile(rf"(?P<did>{_DID})\?versionId=(?P<version>[0-9]{{1,9}})#(?P<key>{_KEY_ID})")


class RegistryUnavailable(Exception):
    """The registry could not be asked, or did not answer usefully. The message names nobody."""


class Registry(Protocol):
    """Where DID documents, and what became of credentials, are asked for."""

    def document(self, did: str, version: str | None = None) -> Mapping[str, Any]:
        """The document of a DID as it is now, or as it was in one version. Raises RegistryUnavailable."""

    def vc_meta(self, vc_id: str) -> Mapping[str, Any]:
        """The metadata of a credential (`VcMeta`), asked now. Raises RegistryUnavailable."""


@dataclass(frozen=True, slots=True)
class KeyUrl:
    """`did:omn:…?versionId=1#pin`, in its parts."""

    did: str
    version: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a document. auth_type: what unlocks it (1 nothing, 2 PIN, 4 biometrics)."""

    public: ec.EllipticCurvePublicKey
    auth_type: int
    purposes: frozenset[str]


@dataclass(frozen=True, slots=True)
class DidDocument:
    """An active document, well formed. keys: those of KEY_TYPE, by id."""

    did: str
    version: str
    keys: Mapping[str, Key]

    def agrees_on_keys(self) -> bool:
        """Whether its owner has a key for key agreements."""
        return any("keyAgreement" in key.purposes for key in self.keys.values())


def is_did(text: Any) -> bool:
    """Whether this is a DID, of whatever method."""
    return isinstance(text, str) and re.fullmatch(_DID, text) is not None


def key_url(text: Any, refusal: Reason) -> KeyUrl:
    """The parts of a key URL. Raises CredentialRejected(refusal)."""
    match = _KEY_URL.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise CredentialRejected(refusal, "verificationMethod is not the URL of a key")
    return KeyUrl(match["did"], match["version"], match["key"])


def resolve(registry: Registry, did: str, version: str | None = None) -> DidDocument:
    """The document of a DID, active now.

    version: the one a signature names, where signatures of earlier versions still count (an issuer's). Without it,
    only what the document says today.

    Raises CredentialRejected: DID_UNAVAILABLE, DID_DOCUMENT, DID_DEACTIVATED.
    """
    current = read_document(_asked(registry, did, None), did)
    if version is None or version == current.version:
        return current
    if int(version) > int(current.version):
        # Whoever writes a credential themselves must not make us ask for a billion versions.
        raise CredentialRejected(Reason.DID_DOCUMENT, "a version that is not there yet")
    earlier = read_document(_asked(registry, did, version), did)
    if earlier.version != version:
        raise CredentialRejected(Reason.DID_DOCUMENT, "another version than the one asked for")
    return earlier


def _asked(registry: Registry, did: str, version: str | None) -> Mapping[str, Any]:
    try:
        return registry.document(did, version)
    except RegistryUnavailable as error:
        raise CredentialRejected(Reason.DID_UNAVAILABLE, "the registry has no answer") from error


def read_document(unverified: Mapping[str, Any], did: str) -> DidDocument:
    """The document, if it is this DID's and active. Raises CredentialRejected: DID_DOCUMENT, DID_DEACTIVATED."""
    try:
        unverified = data_proof.without_nulls(dict(unverified))
    except ValueError:
        raise CredentialRejected(Reason.DID_DOCUMENT, "not what a document holds") from None
    if unverified.get("id") != did:
        raise CredentialRejected(Reason.DID_DOCUMENT, "the document of another DID")
    version = unverified.get("versionId")
    if not isinstance(version, str) or not re.fullmatch(r"[0-9]{1,9}", version):
        raise CredentialRejected(Reason.DID_DOCUMENT, "versionId")
    if unverified.get("deactivated", False) is not False:
        raise CredentialRejected(Reason.DID_DEACTIVATED, "the document is deactivated")
    document = DidDocument(did, version, _keys(unverified))
    _check_owner_proofs(unverified, document)
    return document


def check_proof(document: Mapping[str, Any], proof: Any, key: Key, refusal: Reason) -> None:
    """Whether the key signed the document with this proof.

    Raises CredentialRejected: refusal, ALGORITHM, MALFORMED.
    """
    if not isinstance(proof, Mapping) or proof.get("type") != data_proof.PROOF_TYPE:
        raise CredentialRejected(Reason.ALGORITHM, "a type of proof we do not verify")
    try:
        message = data_proof.signing_input(document, proof)
    except ValueError:
        raise CredentialRejected(Reason.MALFORMED, "it has no canonical text") from None
    check_signature(key, proof.get("proofValue"), message, refusal)


def check_signature(key: Key, value: Any, message: bytes, refusal: Reason) -> None:
    """Whether this multibase text is the key's signature. Raises CredentialRejected(refusal)."""
    try:
        signature = multibase.decode(value, max_chars=200) if isinstance(value, str) else b""
    except ValueError:
        signature = b""
    if not data_proof.verifies(key.public, signature, message):
        raise CredentialRejected(refusal, "the signature does not verify")


def named_key(document: DidDocument, url: KeyUrl, purpose: Any, refusal: Reason) -> Key:
    """The key of this document that a proof names, if it may be used so. Raises CredentialRejected(refusal)."""
    key = document.keys.get(url.key_id) if url.did == document.did else None
    if key is None:
        raise CredentialRejected(refusal, "not a key of the document")
    if not isinstance(purpose, str) or purpose not in key.purposes:
        raise CredentialRejected(refusal, "not a key for this purpose")
    return key


def _keys(unverified: Mapping[str, Any]) -> dict[str, Key]:
    entries = unverified.get("verificationMethod")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_KEYS:
        raise CredentialRejected(Reason.DID_DOCUMENT, "verificationMethod")
    keys: dict[str, Key] = {}
    key_ids: set[str] = set()
    for entry in entries:
        key_id = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(key_id, str) or not re.fullmatch(_KEY_ID, key_id) or key_id in key_ids:
            raise CredentialRejected(Reason.DID_DOCUMENT, "the id of a key is missing, or stands twice")
        key_ids.add(key_id)
        if entry.get("type") == KEY_TYPE:
            keys[key_id] = Key(_public_key(entry), _auth_type(entry), _purposes(unverified, key_id))
    return keys


def _public_key(entry: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    try:
        point = multibase.decode(str(entry.get("publicKeyMultibase")), max_chars=200)
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise CredentialRejected(Reason.DID_DOCUMENT, "a public key is none") from None


def _auth_type(entry: Mapping[str, Any]) -> int:
    auth_type = entry.get("authType")
    if isinstance(auth_type, bool) or not isinstance(auth_type, int):
        raise CredentialRejected(Reason.DID_DOCUMENT, "authType")
    return auth_type


def _purposes(unverified: Mapping[str, Any], key_id: str) -> frozenset[str]:
    listed = {purpose: unverified.get(purpose, []) for purpose in PURPOSES}
    if not all(isinstance(key_ids, list) for key_ids in listed.values()):
        raise CredentialRejected(Reason.DID_DOCUMENT, "a list of keys is none")
    return frozenset(purpose for purpose, key_ids in listed.items() if key_id in key_ids)


def _check_owner_proofs(unverified: Mapping[str, Any], document: DidDocument) -> None:
    """Data Specification 4.2.2. A registry usually takes them off; one that is there is not ignored."""
    several = unverified.get("proofs", [])
    if not isinstance(several, list) or len(several) > MAX_OWNER_PROOFS:
        raise CredentialRejected(Reason.DID_DOCUMENT, "proofs")
    for proof in several + ([unverified["proof"]] if "proof" in unverified else []):
        if not isinstance(proof, dict):
            raise CredentialRejected(Reason.DID_DOCUMENT, "a proof is none")
        url = key_url(proof.get("verificationMethod"), Reason.DID_DOCUMENT)
        key = named_key(document, url, proof.get("proofPurpose"), Reason.DID_DOCUMENT)
        check_proof(unverified, proof, key, Reason.DID_DOCUMENT)
