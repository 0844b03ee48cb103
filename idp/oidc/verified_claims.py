"""`verified_claims`: how it is known what is claimed (OpenID Identity Assurance 1.0; Schema 1.0).

The full `verification` is made from the evidence that the verification left (`openid4vp.response.evidence`); a
portal gets the part it asked for. A constraint that cannot be met leaves the whole object out (section 5.7.4), an
unknown claim only itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from idp.claims import as_list

TRUST_FRAMEWORK = "kr_mobile_id"
"""A private value: the Korean mobile ID family, by its missions and ministries. See `docs/claims.md`."""

ASSURANCE_LEVELS = ("general", "secure")
EVIDENCE_TYPES = ("electronic_record",)
CHECK_METHODS = ("vcrypt", "data")


class _Unmet(Exception):
    """A constraint of the request that this verification does not meet."""


def verification(evidence: Mapping[str, Any], *, acr: str, transaction: str) -> dict[str, Any]:
    """Everything that can be said about how the claims were verified."""
    return {
        "trust_framework": TRUST_FRAMEWORK,
        "assurance_level": acr.rpartition("/")[2],
        "time": evidence["time"],
        "verification_process": transaction,
        "evidence": evidence["evidence"],
    }


def answer(asked: object, full: Mapping[str, Any], claims: Mapping[str, Any], *, now: int) -> Any:
    """The `verified_claims` for one place of a response, or None when nothing can be said.

    `asked` is what the request's `claims` parameter holds there: an object, or an array of them.
    """
    made = [found for entry in as_list(asked) if (found := _one(entry, full, claims, now)) is not None]
    if not made:
        return None
    return made if isinstance(asked, list) and len(made) > 1 else made[0]


def _one(
    entry: Mapping[str, Any], full: Mapping[str, Any], claims: Mapping[str, Any], now: int
) -> dict[str, Any] | None:
    try:
        given = {
            name: claims[name]
            for name, constraint in entry["claims"].items()
            if name in claims and _claim_fits(claims[name], constraint)
        }
        # `trust_framework` is always said: it is REQUIRED in every response (Schema 1.0, section 5.4).
        picked = _members(full, {"trust_framework": None, **entry["verification"]}, now)
    except _Unmet:
        return None
    return {"verification": picked, "claims": given} if given else None


def _claim_fits(value: Any, constraint: Any) -> bool:
    if not isinstance(constraint, Mapping):
        return True
    if "value" in constraint:
        return _same(value, constraint["value"])
    values = constraint.get("values", [value])
    # What is no array names no value: nothing can meet it, and it must not break the answer to everything else.
    return isinstance(values, list) and any(_same(value, wanted) for wanted in values)


def _same(value: Any, wanted: Any) -> bool:
    # In Python True == 1; in JSON they are two different values.
    return type(value) is type(wanted) and bool(value == wanted)


def _pick(value: Any, asked: Any, now: int) -> Any:
    """The part of a value that is asked for; raises _Unmet when a constraint does not hold."""
    if isinstance(value, list):
        return _elements(value, asked, now)
    if isinstance(value, Mapping):
        return _members(value, asked, now) if isinstance(asked, Mapping) and asked else dict(value)
    if isinstance(asked, Mapping):
        if not _claim_fits(value, asked):
            raise _Unmet
        _check_age(value, asked, now)
    return value


def _members(value: Mapping[str, Any], asked: Mapping[str, Any], now: int) -> dict[str, Any]:
    return {name: _pick(value[name], wanted, now) for name, wanted in asked.items() if name in value}


def _elements(value: list[Any], asked: Any, now: int) -> list[Any]:
    """Arrays are asked for by arrays of alternatives (section 5.5): an element is given if one fits."""
    if not isinstance(asked, list) or not asked:
        return value
    picked = []
    for element in value:
        for wanted in asked:
            try:
                part = _pick(element, wanted, now)
            except _Unmet:
                continue
            picked.append(part)
            break
    if not picked:
        raise _Unmet
    return picked


def _check_age(value: Any, asked: Mapping[str, Any], now: int) -> None:
    limit_s = asked.get("max_age")
    if not isinstance(limit_s, int | float) or isinstance(limit_s, bool) or not isinstance(value, str):
        return
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:  # an age is asked of something that has none
        raise _Unmet from None
    if moment.tzinfo is None:  # a day alone; never by the time zone of this machine
        moment = moment.replace(tzinfo=UTC)
    if now - moment.timestamp() > limit_s:
        raise _Unmet
