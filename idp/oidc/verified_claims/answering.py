"""Answering a request for `verified_claims`, from what `reading` kept of it.

A constraint inside `verification` that does not hold leaves the whole object out; one on a claim leaves out the claim
(section 5.7.4). What we do not have is left out (5.7.2), unless it was to have a certain value: that is a constraint
that does not hold, and constraints are never ignored (5.5.1). None of it is an error.

Spec: OpenID Connect for Identity Assurance 1.0, sections 5.4 to 5.7; Schema Definition 1.0, section 5.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from idp.claims import as_list, sources
from idp.oidc.expected_values import ExpectedValues


class _Unmet(Exception):
    """A constraint of the request that this verification does not meet."""


def answer(
    kept: object,
    full: Mapping[str, Any],
    released: Mapping[str, Any],
    *,
    expected: ExpectedValues,
    now: int,
    locales: Sequence[str] = (),
) -> Any:
    """The `verified_claims` for one place of a response, or None when nothing can be said.

    `kept` is what `read` kept of the request for that place; `full` is `verification()`; `released` are the claims
    that the holder agreed to. `now` is the moment of the request: ages count up to there (section 5.5.2). `locales`
    is `claims_locales`.
    """
    answering = _Answering(expected, now)
    entries = (answering.entry(entry, full, released, locales) for entry in as_list(kept))
    made = [entry for entry in entries if entry is not None]
    if not made:
        return None
    return made if isinstance(kept, list) and len(made) > 1 else made[0]


@dataclass(frozen=True)
class _Answering:
    expected: ExpectedValues
    now: int

    def entry(
        self,
        asked: Mapping[str, Any],
        full: Mapping[str, Any],
        released: Mapping[str, Any],
        locales: Sequence[str],
    ) -> dict[str, Any] | None:
        """The answer to one entry (section 5.6: each by itself)."""
        if asked["claims"] and not any(_agreed(name, released) for name in asked["claims"]):
            return None  # section 5.7.3: nothing that it is about was agreed to
        try:
            verification = self._members(full, asked["verification"])
        except _Unmet:
            return None
        claims = self.expected.fitting(asked["claims"], released, locales=locales, now=self.now)
        if not claims:
            # The evidence names the mission and the dates of the certificate: it goes with a claim, never alone. Nor
            # does a word on whether it is as the portal thinks, which asked often enough says the same.
            if any(_is_limited(entry) for entry in asked["verification"].get("evidence") or ()):
                return None
            verification.pop("evidence", None)
        return {"verification": verification, "claims": claims}

    def _pick(self, value: Any, asked: Any) -> Any:
        """The part of a value that is asked for; raises _Unmet when a constraint does not hold."""
        if isinstance(value, list):
            return self._elements(value, asked) if asked else value
        if isinstance(value, Mapping):
            return dict(value) if asked is None else self._members(value, asked)
        if not self.expected.meets(value, asked, now=self.now):
            raise _Unmet
        return value

    def _members(self, value: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
        picked = {}
        for name, wanted in asked.items():
            if name in value:
                picked[name] = self._pick(value[name], wanted)
            elif _is_constrained(wanted):
                raise _Unmet
        return picked

    def _elements(self, value: Sequence[Any], alternatives: Sequence[Any]) -> list[Any]:
        """An element is given if one of the alternatives fits it (section 5.4)."""
        picked = [part for element in value if (part := self._one_of(element, alternatives)) is not None]
        if not picked:
            raise _Unmet
        return picked

    def _one_of(self, element: Any, alternatives: Sequence[Any]) -> Any:
        for wanted in alternatives:
            try:
                return self._pick(element, wanted)
            except _Unmet:
                continue
        return None


def _agreed(name: str, released: Mapping[str, Any]) -> bool:
    return all(source in released for source in sources(name))


def _is_limited(evidence: Mapping[str, Any]) -> bool:
    """Whether an alternative is about more than the one type of evidence there is."""
    return any(_has_limit(inner) for name, inner in evidence.items() if name != "type")


def _has_limit(wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_has_limit(entry) for entry in wanted)
    if isinstance(wanted, Mapping):
        return (
            "digests" in wanted or "max_age" in wanted or any(_has_limit(inner) for inner in wanted.values())
        )
    return False


def _is_constrained(wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_is_constrained(entry) for entry in wanted)
    if isinstance(wanted, Mapping):
        return "digests" in wanted or any(_is_constrained(inner) for inner in wanted.values())
    return False
