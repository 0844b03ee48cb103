"""The tree is RFC 9162's, and an event has one spelling."""

import hashlib

import pytest

from idp.admin.audit.merkle import EMPTY_ROOT, Edge, entry_of, leaf_hash

# The entries and roots of the test data that implementations of RFC 6962 share (certificate-transparency, merkletree).
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_the_roots_are_those_of_the_shared_test_data() -> None:
    edge = Edge()
    assert edge.root() == EMPTY_ROOT
    for entry, root in zip(ENTRIES, ROOTS, strict=True):
        edge.append(leaf_hash(bytes.fromhex(entry)))
        assert edge.root().hex() == root


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = by_definition(leaves[:k]), by_definition(leaves[k:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def test_an_edge_that_was_put_away_goes_on_as_the_definition_says() -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(130)]
    edge = Edge()
    for number, leaf in enumerate(leaves, 1):
        edge.append(leaf)
        edge = Edge.from_bytes(edge.size, edge.to_bytes())
        assert edge.root() == by_definition(leaves[:number])


@pytest.mark.parametrize(("size", "packed"), [(1, b""), (3, bytes(32)), (-1, b""), (2, bytes(31))])
def test_what_is_no_edge_is_refused(size: int, packed: bytes) -> None:
    with pytest.raises(ValueError, match="not the edge"):
        Edge.from_bytes(size, packed)


def test_an_event_has_one_spelling() -> None:
    event = {
        "id": 7,
        "at": 1,
        "reason": None,
        "name": "login.started",
        "detail": {"b": ["가", "\n"], "a": None},
    }
    assert entry_of(event).decode() == (
        r'{"at":1,"detail":{"a":null,"b":["가","\n"]},"id":7,"name":"login.started"}'
    )


def test_a_column_that_is_added_later_and_empty_changes_nothing() -> None:
    event = {"id": 7, "at": 1, "name": "login.started"}
    assert entry_of({**event, "added_later": None}) == entry_of(event)
