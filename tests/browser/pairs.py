"""Tables of tests in which each value of each factor meets each value of every other one at least once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

Row = tuple[str, ...]


def pairs(factors: Mapping[str, Sequence[str]]) -> list[Row]:
    """Few rows that cover all pairs, always the same ones: each next row covers most of what is left."""
    everything = list(product(*factors.values()))
    left = {pair for row in everything for pair in _pairs_of(row)}
    rows: list[Row] = []
    while left:
        best = max(everything, key=lambda row: len(left & _pairs_of(row)))
        rows.append(best)
        left -= _pairs_of(best)
    return sorted(rows, key=everything.index)


def _pairs_of(row: Row) -> set[tuple[tuple[int, str], tuple[int, str]]]:
    return set(combinations(enumerate(row), 2))
