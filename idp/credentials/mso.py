"""What an mdoc's issuer signed: the Mobile Security Object, and the elements whose digests stand in it.

The MSO names type, times, device key and a digest of every element there is; a holder shows some of the elements,
each with its random salt, as the bytes that were hashed. What makes a credential of them (trust in the issuer, the
device's signature, status) is in `mdoc`.

Spec: ISO/IEC 18013-5, sections 8.3.2.1.2.2 (IssuerSignedItem), 9.1.2.4 (MobileSecurityObject) and 9.1.2.5 (digests).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

from idp.credentials import cbor, cose, ecdsa
from idp.credentials.cbor import Embedded, Moment
from idp.credentials.verdict import CredentialRejected, Reason, Unprinted

VERSION = "1.0"
MAX_ELEMENTS = 256
MIN_RANDOM_BYTES = 16
_MAX_MSO_BYTES = 131_072
_MAX_DIGEST_ID = (1 << 32) - 1
_ITEM_MEMBERS = ("digestID", "random", "elementIdentifier", "elementValue")
_ITEM_KINDS = {Embedded}
_members_of_item = itemgetter(*_ITEM_MEMBERS)
_HASHES: Mapping[str, Callable[[bytes], Any]] = {
    "SHA-256": hashlib.sha256,
    "SHA-384": hashlib.sha384,
    "SHA-512": hashlib.sha512,
}

Elements = dict[str, dict[str, Any]]
"""By namespace, then by identifier."""

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True)
class KeyAuthorizations:
    """What the device may state by itself: whole namespaces, and elements by namespace."""

    name_spaces: frozenset[str] = frozenset()
    elements: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def allow(self, name_space: str, element: str) -> bool:
        return name_space in self.name_spaces or element in self.elements.get(name_space, ())


_NONE = KeyAuthorizations()


class MobileSecurityObject(Unprinted, frozen=True):
    """An MSO that is well formed.

    digest: the hash that its digests are made with. Times are seconds since the epoch. members: all of it, as it was
    read, for what is not part of ISO/IEC 18013-5:2021 (`status`).
    """

    doc_type: str
    digest: Callable[[bytes], Any]
    value_digests: Mapping[str, Mapping[Any, Any]]
    device_key: ecdsa.PublicKey
    authorizations: KeyAuthorizations
    signed: int
    valid_from: int
    valid_until: int
    members: Mapping[str, Any]


def unverified(payload: bytes) -> MobileSecurityObject:
    """The MSO in the payload of an issuerAuth, whose signature is still to be checked.

    Raises CredentialRejected: MALFORMED, TOO_LARGE, VERSION, ALGORITHM (of the digests), HOLDER_KEY, VALIDITY (its
    times contradict each other).
    """
    if len(payload) > _MAX_MSO_BYTES:
        raise CredentialRejected(Reason.TOO_LARGE, "an MSO is too long")
    members = cbor.loads(cbor.embedded_content(payload), integer_keys=True)
    if member(members, "version", str) != VERSION:
        raise CredentialRejected(Reason.VERSION, "of the MSO")
    algorithm = member(members, "digestAlgorithm", str)
    if algorithm not in _HASHES:
        raise CredentialRejected(Reason.ALGORITHM, "digestAlgorithm is not a hash we accept")
    device = member(members, "deviceKeyInfo", dict)
    signed, valid_from, valid_until = _times(member(members, "validityInfo", dict))
    return MobileSecurityObject(
        doc_type=member(members, "docType", str),
        digest=_HASHES[algorithm],
        value_digests=_value_digests(member(members, "valueDigests", dict)),
        device_key=_device_key(device),
        authorizations=_authorizations(device),
        signed=signed,
        valid_from=valid_from,
        valid_until=valid_until,
        members=members,
    )


def elements(message: bytes, name_spaces: Mapping[Any, Any], mso: MobileSecurityObject) -> Elements:
    """The elements that are shown, each with its digest in the MSO and each once.

    message: the bytes from which `name_spaces` (namespace to its IssuerSignedItemBytes) was read, in its order.

    Raises CredentialRejected: MALFORMED, TOO_LARGE, DISCLOSURE_MALFORMED, DISCLOSURE_DUPLICATE,
    DISCLOSURE_UNREFERENCED (no digest of that number), DIGEST.
    """
    for name_space, items in name_spaces.items():
        if not isinstance(name_space, str) or not isinstance(items, list) or not items:
            raise CredentialRejected(Reason.MALFORMED, "a namespace is not text, or has no list of items")
        if not _ITEM_KINDS.issuperset(map(type, items)):
            raise CredentialRejected(Reason.MALFORMED, "an item is not embedded CBOR")
    shown = [item.content for items in name_spaces.values() for item in items]
    if len(shown) > MAX_ELEMENTS:
        raise CredentialRejected(Reason.TOO_LARGE, "too many elements")
    read = iter(cbor.loads_all(shown))
    found = {}
    for name_space, items in name_spaces.items():
        # What is left of `read` is of the other namespaces.
        pairs = zip(cbor.as_received(message, items), read, strict=False)
        found[name_space] = _elements_of(pairs, mso.value_digests.get(name_space, {}), mso.digest)
    return found


def member(members: Any, name: str, kind: type[_Kind]) -> _Kind:
    """A member of a map, of exactly this kind (True is no int). Raises CredentialRejected(MALFORMED)."""
    value = members.get(name) if isinstance(members, dict) else None
    if type(value) is not kind:
        raise CredentialRejected(Reason.MALFORMED, f"{name} is missing, or of another kind")
    return value


def _elements_of(
    items: Iterable[tuple[bytes, Any]], digests: Mapping[Any, Any], digest: Callable[[bytes], Any]
) -> dict[str, Any]:
    """The elements of one namespace, from each item's bytes and what they say."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for encoded, members in items:
        if type(members) is not dict or len(members) != len(_ITEM_MEMBERS):
            raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "not the members of an IssuerSignedItem")
        try:
            digest_id, random, name, value = _members_of_item(members)
        except KeyError:
            raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "another member in an item") from None
        if type(digest_id) is not int or not 0 <= digest_id <= _MAX_DIGEST_ID:
            raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "digestID is not a number of a digest")
        if not isinstance(name, str):
            raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "elementIdentifier is not text")
        if not isinstance(random, bytes) or len(random) < MIN_RANDOM_BYTES:
            # With less of it the digests of what is not shown could be guessed.
            raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "random is not bytes, or too short")
        if digest_id in seen or name in found:
            raise CredentialRejected(Reason.DISCLOSURE_DUPLICATE, "an element or its digest stands twice")
        if digest_id not in digests:
            raise CredentialRejected(Reason.DISCLOSURE_UNREFERENCED, "no digest stands for an element")
        if digest(encoded).digest() != digests[digest_id]:
            raise CredentialRejected(Reason.DIGEST, "an element is not the one that was signed")
        seen.add(digest_id)
        found[name] = value
    return found


def _value_digests(value_digests: dict[Any, Any]) -> Mapping[str, Mapping[Any, Any]]:
    if not all(isinstance(digests, dict) for digests in value_digests.values()):
        raise CredentialRejected(Reason.MALFORMED, "valueDigests is not digests by namespace")
    return value_digests


def _device_key(device_key_info: dict[Any, Any]) -> ecdsa.PublicKey:
    try:
        return cose.public_key(device_key_info.get("deviceKey"))
    except ValueError:
        raise CredentialRejected(Reason.HOLDER_KEY, "deviceKey is not a public key we accept") from None


def _authorizations(device_key_info: dict[Any, Any]) -> KeyAuthorizations:
    if "keyAuthorizations" not in device_key_info:
        return _NONE
    given = member(device_key_info, "keyAuthorizations", dict)
    named = given.get("dataElements", {})
    if not isinstance(named, dict):
        raise CredentialRejected(Reason.MALFORMED, "dataElements is not names by namespace")
    return KeyAuthorizations(
        _texts(given.get("nameSpaces", [])),
        {name_space: _texts(names) for name_space, names in named.items()},
    )


def _texts(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise CredentialRejected(Reason.MALFORMED, "a list of keyAuthorizations does not hold texts")
    return frozenset(value)


def _times(validity: dict[Any, Any]) -> tuple[int, int, int]:
    signed, valid_from, valid_until = (
        member(validity, name, Moment).seconds for name in ("signed", "validFrom", "validUntil")
    )
    if not signed <= valid_from < valid_until:
        raise CredentialRejected(Reason.VALIDITY, "signed, validFrom and validUntil are not in order")
    if "expectedUpdate" in validity and member(validity, "expectedUpdate", Moment).seconds <= signed:
        raise CredentialRejected(Reason.VALIDITY, "expectedUpdate is before signed")
    return signed, valid_from, valid_until
