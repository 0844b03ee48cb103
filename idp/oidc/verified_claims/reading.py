"""Reading a request for `verified_claims`: what is malformed is refused, what means nothing here is dropped.

What is kept has the shape of the request: null asks for an element, an object says more about it, an array holds
alternatives. Members that the specification does not define are ignored, and so is what only evidence of another
type could answer. Constraints are kept by `ExpectedValues`: their values may be a person's.

Spec: OpenID Connect for Identity Assurance 1.0, sections 5.3 to 5.6; Schema Definition 1.0, section 5.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from idp import claims
from idp.claims import as_list
from idp.oidc.expected_values import ExpectedValues, malformed

EVIDENCE_TYPES = ("electronic_record",)
MAX_ENTRIES = 20  # each is answered by itself, with a copy of what it asks for

# An element is None (a single value), a dict (an object) or a list with one dict (an array of such objects).
Shape = dict[str, Any]

_SOURCE: Shape = dict.fromkeys(
    (
        "name", "country_code", "jurisdiction",
        "formatted", "street_address", "locality", "region", "postal_code", "country",
    )
)  # fmt: skip
_EVIDENCE: Shape = {
    "type": None,
    "check_details": [{"check_method": None, "organization": None, "check_id": None, "time": None}],
    "record": {"type": None, "created_at": None, "date_of_expiry": None, "source": _SOURCE},
}
_VERIFICATION: Shape = {
    "trust_framework": None,
    "assurance_level": None,
    "assurance_process": {"policy": None, "procedure": None},
    "time": None,
    "verification_process": None,
}
_REQUIRED = ("trust_framework", "type", "check_method")
"""What an answer without it would not be one (Schema Definition, section 5.4): said whether asked for or not."""


def read(asked: object, place: str, expected: ExpectedValues) -> Any:
    """What is kept of `claims.<place>.verified_claims`: an object for an object, an array for an array.

    Raises AuthorizationError `invalid_request`.
    """
    where = f"claims.{place}.verified_claims"
    entries = as_list(asked)
    if not 0 < len(entries) <= MAX_ENTRIES:
        raise malformed(where, f"must be an object or an array of 1 to {MAX_ENTRIES}")
    kept = [_entry(entry, place, where, expected) for entry in entries]
    return kept if isinstance(asked, list) else kept[0]


def wanted_age_s(kept: object) -> float | None:
    """The youngest verification asked for (`verification.time.max_age`), None where any will do (section 5.5.2)."""
    times = ((entry["verification"] or {}).get("time") or {} for entry in as_list(kept))
    return min((time["max_age"] for time in times if "max_age" in time), default=None)


def _entry(entry: object, place: str, where: str, expected: ExpectedValues) -> dict[str, Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("verification"), dict):
        raise malformed(where, "must have verification, an object")
    if "claims" not in entry:
        raise malformed(where, "must have claims")
    return {
        "verification": _verification(entry["verification"], f"{where}.verification", expected),
        "claims": _claims(entry["claims"], place, f"{where}.claims", expected),
    }


def _claims(asked: object, place: str, where: str, expected: ExpectedValues) -> dict[str, Any]:
    """Claims by the names we say them by. null is a request for the verification alone, never for everything."""
    if asked is None:
        return {}
    if not isinstance(asked, dict) or not asked:
        raise malformed(where, "must be null or ask for something")
    kept = {}
    for name, member in asked.items():
        constraint = expected.keep(member, where)
        canonical = claims.canonical_name(name)
        if canonical is not None and claims.can_be_in(canonical, place):
            kept[canonical] = constraint
    return kept


def _verification(asked: dict[str, Any], where: str, expected: ExpectedValues) -> dict[str, Any]:
    kept = _object(
        {name: asked[name] for name in asked if name != "evidence"}, _VERIFICATION, where, expected
    )
    kept.setdefault("trust_framework", None)
    if "evidence" in asked:
        kept["evidence"] = _evidence(asked["evidence"], f"{where}.evidence", expected)
    return kept


def _evidence(asked: object, where: str, expected: ExpectedValues) -> list[Any] | None:
    """Alternatives, each for one type of evidence, which it must name by `value` (section 5.4)."""
    if asked is None:
        return None
    if not isinstance(asked, list) or not asked:
        raise malformed(where, "must be an array that asks for something")
    if not all(isinstance(entry, dict) for entry in asked):
        raise malformed(where, "must hold objects")
    return [_one_evidence(entry, where, expected) for entry in asked]


def _one_evidence(asked: dict[str, Any], where: str, expected: ExpectedValues) -> dict[str, Any]:
    kind = asked.get("type")
    if not isinstance(kind, dict) or not isinstance(kind.get("value"), str) or "values" in kind:
        raise malformed(where, "must name its type by value")
    shape = _EVIDENCE if kind["value"] in EVIDENCE_TYPES else {"type": None}
    return _object(asked, shape, where, expected)


def _element(asked: object, shape: Any, where: str, expected: ExpectedValues) -> Any:
    if shape is None:
        return _single(asked, where, expected)
    if asked is None:
        return None
    if isinstance(shape, dict):
        if not isinstance(asked, dict):
            raise malformed(where, "must be null or an object")
        return _object(asked, shape, where, expected) if _goes_deeper(asked) else None
    if not isinstance(asked, list) or not asked or not all(isinstance(entry, dict) for entry in asked):
        raise malformed(where, "must be null or an array of objects")
    return [_object(entry, shape[0], where, expected) for entry in asked]


def _single(asked: object, where: str, expected: ExpectedValues) -> dict[str, Any] | None:
    """Every single value in a verification is a string, and so is what it may be constrained to."""
    if isinstance(asked, dict) and not all(isinstance(value, str) for value in _allowed(asked)):
        raise malformed(where, "has a value that is not a string")
    return expected.keep(asked, where)


def _allowed(asked: Mapping[str, Any]) -> Iterator[Any]:
    if "value" in asked:
        yield asked["value"]
    if isinstance(asked.get("values"), list):
        yield from asked["values"]


def _goes_deeper(asked: dict[str, Any]) -> bool:
    """An object without elements asks for the whole, as null does."""
    return bool(asked.keys() - {"essential", "purpose"})


def _object(asked: dict[str, Any], shape: Shape, where: str, expected: ExpectedValues) -> dict[str, Any]:
    kept: dict[str, Any] = {name: None for name in _REQUIRED if name in shape}
    for name, inner in shape.items():
        if name in asked:
            kept[name] = _element(asked[name], inner, f"{where}.{name}", expected)
    return kept
