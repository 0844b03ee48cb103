"""The elements of our credentials, whatever the format: what each may look like before anyone else sees it.

`ELEMENTS` is the vocabulary of the house: a nested object, in which a `Path` names one element. Where an element
stands in a credential of a certain type and format is data (`trust.FormatTrust.paths`); `disclosed` brings it home
and checks it. An element that is not in the table is not passed on; a value of another shape than the table
says is CLAIM_INVALID. Every member is optional here (a holder discloses a part); what was asked for is the asker's to
compare.

Source: the claims of the mobile ID family as SD-JWT VC (`docs/claims.md`); RFC 9901 does not type claims, ISO 5218
(sex), ISO 3166-1 (countries), RFC 8176 (authentication).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import msgspec
from pybase64 import b64decode

from idp.credentials.verdict import CredentialRejected, Reason

Path = tuple[str, ...]
"""One element, by its names from the outside in: ("passport", "number")."""

# Controls, and the marks that turn the direction of what follows: none is part of a name or an address, and the
# latter can make a page show something else than what was signed.
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f<>\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_NOT_LINES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f<>\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_PICTURES = ("data:image/jpeg;base64,", "data:image/png;base64,", "data:image/webp;base64,")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Rule(Protocol):
    """One row of the table."""

    def read(self, value: Any, today: date) -> Any:
        """The value, where it has this row's shape. Raises ValueError, with no part of the value in it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string of 1 to `max_chars` characters without controls.

    pattern: must match all of it, and lets no control through itself.
    """

    max_chars: int
    pattern: re.Pattern[str] | None = None
    lines: bool = False

    def read(self, value: Any, today: date) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= self.max_chars:
            raise ValueError("not a text of the right length")
        if self.pattern is not None:
            if not self.pattern.fullmatch(value):
                raise ValueError("not of the right form")
        elif (_NOT_LINES if self.lines else _NOT_TEXT).search(value):
            raise ValueError("a character that is not text")
        return value


@dataclass(frozen=True, slots=True)
class Day:
    """A real calendar day, YYYY-MM-DD (ISO 8601); `past`: not after today in Seoul."""

    past: bool = False

    def read(self, value: Any, today: date) -> str:
        if not isinstance(value, str) or not _DATE.fullmatch(value):
            raise ValueError("not a date")
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise ValueError("not a day of the calendar") from None  # its own message may repeat the value
        if self.past and day > today:
            raise ValueError("a date in the future")
        return value


@dataclass(frozen=True, slots=True)
class Picture:
    """An image in a page: a `data:` URL of up to `max_chars` characters, of a kind that cannot run (an SVG can)."""

    max_chars: int

    def read(self, value: Any, today: date) -> str:
        if not isinstance(value, str) or not value.startswith(_PICTURES) or len(value) > self.max_chars:
            raise ValueError("not a picture that we show")
        padded = value.partition(",")[2]
        encoded = padded.rstrip("=")
        if not encoded or len(padded) - len(encoded) > 2:
            raise ValueError("not base64")
        b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)  # binascii.Error is a ValueError
        return value


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these integers. True is not 1."""

    values: frozenset[int]

    def read(self, value: Any, today: date) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value not in self.values:
            raise ValueError("not one of the integers")
        return value


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def read(self, value: Any, today: date) -> bool:
        if not isinstance(value, bool):
            raise ValueError("not true or false")
        return value


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of up to `max_items` of one shape; empty where the holder disclosed none of them."""

    item: Rule
    max_items: int

    def read(self, value: Any, today: date) -> list[Any]:
        if not isinstance(value, list) or len(value) > self.max_items:
            raise ValueError("not a list of the right length")
        return [self.item.read(item, today) for item in value]


@dataclass(frozen=True, slots=True)
class Members:
    """An object; members that have no row are left out."""

    rows: Mapping[str, Rule]

    def read(self, value: Any, today: date) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("not an object")
        return {
            name: self.rows[name].read(member, today) for name, member in value.items() if name in self.rows
        }


_COUNTRY = Text(3, re.compile("[A-Z]{2,3}"))
_NUMBER = re.compile("[A-Z0-9]+")
_NAME = Text(200)
PICTURE = Picture(400_000)

ELEMENTS: Mapping[str, Rule] = {
    "name": _NAME,
    "family_name": _NAME,
    "given_name": _NAME,
    "birthdate": Day(past=True),
    "age_equal_or_over": Members({"14": Flag(), "19": Flag()}),
    "sex": OneOf(frozenset({0, 1, 2, 9})),
    "nationalities": ListOf(_COUNTRY, 10),
    "address": Members({"formatted": Text(1000, lines=True)}),
    "issuing_mission": Members({"code": Text(32), "name_ko": _NAME, "name_en": _NAME}),
    "overseas_registration_number": Text(64),
    "passport": Members(
        {
            "number": Text(20, _NUMBER),
            "type": Text(4, _NUMBER),
            "issuing_country": _COUNTRY,
            "issuing_authority": _NAME,
            "issue_date": Day(),
            "expiry_date": Day(),
        }
    ),
    "picture": PICTURE,
    "kr_ci": Text(88, re.compile("[A-Za-z0-9+/]{86}(?:==|[A-Za-z0-9+/]{2})")),
    "license_number": Text(64),
    "civil_servant_number": Text(64),
    "veteran_number": Text(64),
}


_RULES: Mapping[Path, Rule] = {
    path: inner
    for name, rule in ELEMENTS.items()
    for path, inner in (
        [((name, member), row) for member, row in rule.rows.items()]
        if isinstance(rule, Members)
        else [((name,), rule)]
    )
}


def element_paths() -> frozenset[Path]:
    """Every element of the table."""
    return frozenset(_RULES)


class _Place(msgspec.Struct, frozen=True):
    """Where an element is put, what it must look like, and what is left of its path below two steps."""

    element: Path
    rule: Rule
    below: Path


class Places(msgspec.Struct, frozen=True):
    """Where elements stand in a credential, as `disclosed` looks them up: by one step, or by two."""

    whole: Mapping[str, Sequence[_Place]]
    parts: Mapping[str, Mapping[str, Sequence[_Place]]]


def places(paths: Mapping[Path, Path]) -> Places:
    """paths: where each element stands in the credential, by where it stands in `ELEMENTS`; others are left out."""
    whole: dict[str, list[_Place]] = {}
    parts: dict[str, dict[str, list[_Place]]] = {}
    for element, (first, *below) in paths.items():
        if element in _RULES:
            steps = whole if not below else parts.setdefault(first, {})
            step = first if not below else below[0]
            steps.setdefault(step, []).append(_Place(element, _RULES[element], tuple(below[1:])))
    return Places(whole, parts)


BY_NAME = places({element: (".".join(element),) for element in _RULES})
"""Every element under its own name, the names of a path joined by dots."""

_MISSING = object()
_AUTHENTICATION = ListOf(Text(32, re.compile("[a-z0-9_-]+")), 16)


def disclosed(
    shown: Mapping[str, Any],
    where: Places,
    *,
    mission_code: str,
    today: date,
    in_json: Callable[[Any, Rule], Any] | None = None,
) -> dict[str, Any]:
    """What a credential shows, each element where `ELEMENTS` has it and of its shape; what is not shown is left out.

    where: where each element stands in this type of credential. mission_code: of whoever signed. in_json: of a
    format with other kinds of values than JSON's: the value as JSON, for the rule that will read it.

    Raises CredentialRejected: CLAIM_INVALID, MISSION_MISMATCH.
    """
    claims: dict[str, Any] = {}
    whole, parts = where.whole, where.parts
    for name, value in shown.items():
        for place in whole.get(name, ()):
            _take(claims, place, value, today, in_json)
        if name in parts:
            if not isinstance(value, Mapping):
                raise CredentialRejected(Reason.CLAIM_INVALID, name)
            within = parts[name]
            for member, inner in value.items():
                for place in within.get(member, ()):
                    _take(claims, place, inner, today, in_json)
    if claims.get("issuing_mission", {}).get("code", mission_code) != mission_code:
        raise CredentialRejected(
            Reason.MISSION_MISMATCH, "issuing_mission.code is not the mission that signed"
        )
    return claims


def _take(
    claims: dict[str, Any],
    place: _Place,
    value: Any,
    today: date,
    in_json: Callable[[Any, Rule], Any] | None,
) -> None:
    """Put a value where it belongs, once its rule has read it."""
    if place.below:
        value = _at(value, place.below)
        if value is _MISSING:
            return
    element, rule = place.element, place.rule
    try:
        read = rule.read(value if in_json is None else in_json(value, rule), today)
    except ValueError as error:
        raise CredentialRejected(Reason.CLAIM_INVALID, element[0]) from error
    if len(element) == 1:
        claims[element[0]] = read
    else:
        claims.setdefault(element[0], {})[element[1]] = read


def authentication(shown: Mapping[str, Any], path: Path | None, today: date) -> tuple[str, ...]:
    """How the issuer says the holder unlocks the credential; empty where it does not say.

    Raises CredentialRejected(CLAIM_INVALID).
    """
    value = _at(shown, path) if path is not None else _MISSING
    if value is _MISSING:
        return ()
    try:
        return tuple(_AUTHENTICATION.read(value, today))
    except ValueError as error:
        raise CredentialRejected(Reason.CLAIM_INVALID, "authentication") from error


def _at(shown: Any, path: Path) -> Any:
    for step in path:
        if type(shown) is not dict and not isinstance(shown, Mapping):
            raise CredentialRejected(Reason.CLAIM_INVALID, ".".join(path[: path.index(step)]))
        if step not in shown:
            return _MISSING
        shown = shown[step]
    return shown
