"""A Merkle tree that grows at its right edge, and what of an event goes into it.

Hashing is RFC 9162's (section 2.1.1, the same as RFC 6962's): SHA-256 over 0x00 and the entry for a leaf, over 0x01,
left and right for a node; a tree of n leaves is split at the largest power of two below n. `docs/audit.md` says the
rest for whoever checks the log with a tool of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def entry_of(event: Mapping[str, Any]) -> bytes:
    """An event as the log holds it: its columns that are not null, as JSON in one spelling.

    Names sorted by code point, no white space, UTF-8, nothing escaped that need not be.
    """
    known = {name: value for name, value in event.items() if value is not None}
    text = json.dumps(known, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode("utf-8", "surrogatepass")


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Edge:
    """The roots of the perfect subtrees of a tree, the largest (leftmost) first: all that growing it takes.

    A tree of `size` leaves has one for each 1 in `size`. Appending n leaves costs some 2n hashes.
    """

    def __init__(self, size: int = 0, subtrees: list[bytes] | None = None) -> None:
        self.size = size
        self._subtrees = subtrees or []

    def append(self, leaf: bytes) -> None:
        """Add the hash of a leaf."""
        subtree, size = leaf, self.size
        while size & 1:
            subtree = node_hash(self._subtrees.pop(), subtree)
            size >>= 1
        self._subtrees.append(subtree)
        self.size += 1

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self._subtrees:
            return EMPTY_ROOT
        root = self._subtrees[-1]
        for subtree in self._subtrees[-2::-1]:
            root = node_hash(subtree, root)
        return root

    def to_bytes(self) -> bytes:
        return b"".join(self._subtrees)

    @classmethod
    def from_bytes(cls, size: int, packed: bytes) -> Edge:
        """What `to_bytes` made of a tree of this size. Raises ValueError when it cannot have."""
        if size < 0 or len(packed) != HASH_BYTES * size.bit_count():
            raise ValueError("not the edge of a tree of this size")
        return cls(size, [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)])
