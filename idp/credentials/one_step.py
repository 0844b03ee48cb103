"""The path that nearly every signer has: a leaf right below its anchor, with nothing unusual in either.

What RFC 5280, section 6.1, asks of such a path is little, and the library that builds any path takes longer for the
rest of it than we for this. All else stays the library's (`chains.Anchors.path`): more certificates, signatures that
are not ECDSA, names that are constrained, critical extensions that we do not read, times after 2049. So nothing is
accepted here that the library refuses, and what is not accepted here is not refused yet.

Specs: RFC 5280, sections 4.1 (the fields of a certificate, in their order) and 6.1; RFC 5758, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

_VERSION_3 = b"\xa0\x03\x02\x01\x02"
_UTC_TIMES = b"\x30\x1e\x17\x0d"  # how a Validity of two begins: for another time its length is another
_ALGORITHM_BYTES = 12
_MAX_SERIAL_BYTES = 20
# ecdsa-with-SHA256, -SHA384 and -SHA512 as an AlgorithmIdentifier, which has no parameters.
_SCHEMES = {
    bytes.fromhex("300a06082a8648ce3d040302"): ec.ECDSA(hashes.SHA256()),
    bytes.fromhex("300a06082a8648ce3d040303"): ec.ECDSA(hashes.SHA384()),
    bytes.fromhex("300a06082a8648ce3d040304"): ec.ECDSA(hashes.SHA512()),
}
# What `chains` reads of every leaf, so that it may be critical.
_READ = frozenset({x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage})


class Anchor(msgspec.Struct, frozen=True):
    """A certificate that paths may lead to, with what is read of it once.

    owner: whose it is, for whoever asked. key: whatever the library makes of it. not_before, not_after: seconds since
    the epoch. subject: DER.
    """

    certificate: x509.Certificate
    owner: Any
    key: Any
    not_before: int
    not_after: int
    subject: bytes


class OneStep:
    """Anchors whose keys are ECDSA's and which constrain no names, by their names."""

    def __init__(self, anchors: Iterable[Anchor]) -> None:
        self._named: dict[bytes, list[Anchor]] = {}
        for anchor in anchors:
            self._named.setdefault(anchor.subject, []).append(anchor)

    def above(self, leaf: x509.Certificate, der: bytes, now: int) -> Anchor | None:
        """The anchor that has signed this leaf and is valid at `now` (seconds since the epoch); None: the library's.

        der: the leaf as received, of which `leaf` was read. Whether the leaf is valid itself is not looked at.
        """
        for extension in leaf.extensions:
            kind = type(extension.value)
            if (extension.critical and kind not in _READ) or kind is x509.NameConstraints:
                return None
        # What the library would encode anew is found as received. It has read this DER: order and lengths are right.
        begins = _content(der, 0)
        version = _content(der, begins)
        serial = version + len(_VERSION_3)
        serial_bytes = der[serial + 1]
        if not der.startswith(_VERSION_3, version) or not 1 <= serial_bytes <= _MAX_SERIAL_BYTES:
            return None
        algorithm = serial + 2 + serial_bytes
        issuer = algorithm + _ALGORITHM_BYTES
        named = der[algorithm:issuer]
        scheme = _SCHEMES.get(named)
        ends = _after(der, begins)
        if der[serial + 2] & 0x80 or scheme is None or not der.startswith(named, ends):
            return None
        validity = _after(der, issuer)
        if not der.startswith(_UTC_TIMES, validity):
            return None
        for anchor in self._named.get(der[issuer:validity], ()):
            if anchor.not_before <= now <= anchor.not_after:
                try:
                    anchor.key.verify(leaf.signature, der[begins:ends], scheme)
                except InvalidSignature:
                    continue
                return anchor
        return None


def _content(der: bytes, at: int) -> int:
    """Where the content begins of the item that begins here."""
    length = der[at + 1]
    return at + 2 if length < 0x80 else at + 2 + (length & 0x7F)


def _after(der: bytes, at: int) -> int:
    """Where the next item begins."""
    length, content = der[at + 1], _content(der, at)
    return content + (length if length < 0x80 else int.from_bytes(der[at + 2 : content], "big"))
