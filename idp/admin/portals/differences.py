"""What a change of a registration changes, member by member, in rows that a page or a terminal can show."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from idp.portals import Registration

_DEFAULTS: Final[Mapping[str, Any]] = {
    field.name: list(field.default) if isinstance(field.default, tuple) else field.default
    for field in msgspec.structs.fields(Registration)
    if field.default is not msgspec.NODEFAULT
}
_SECRETS = "client_secret_sha256"


class Difference(NamedTuple):
    """One place that differs. `path` is dotted (`name.ko`, `claims.birthdate.purpose.en`); None: nothing is there.

    A list is compared by its elements: one that was added or taken out is a row of its own.
    """

    path: str
    before: str | None
    after: str | None

    @property
    def member(self) -> str:
        return self.path.partition(".")[0]


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Difference]:
    """What differs between two registrations' documents, in the order of their members; None: there is none.

    A default that is not written down counts as said, unless one of the two documents is not there at all.
    """
    both = before is not None and after is not None
    old = {**_DEFAULTS, **before} if both and before is not None else before or {}
    new = {**_DEFAULTS, **after} if both and after is not None else after or {}
    members = [*Registration.__struct_fields__, *sorted({*old, *new} - {*Registration.__struct_fields__})]
    return [row for name in members for row in _compared(name, old.get(name), new.get(name))]


def _compared(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if _plain(old) == _plain(new):
        return
    if isinstance(old, int) or isinstance(new, int):  # false and 0 are something
        yield Difference(path, said(old, path), said(new, path))
    elif isinstance(old or {}, Mapping) and isinstance(new or {}, Mapping) and (old or new):
        old, new = old or {}, new or {}
        for name in dict.fromkeys([*old, *new]):
            yield from _compared(f"{path}.{name}", old.get(name), new.get(name))
    elif isinstance(old or [], Sequence) and isinstance(new or [], Sequence) and not _is_text(old, new):
        yield from _lists(path, old or [], new or [])
    else:
        yield Difference(path, said(old, path), said(new, path))


def _lists(path: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Difference]:
    if path == "claims":
        yield from _compared(path, _by_name(old), _by_name(new))
        return
    gone = [element for element in old if element not in new]
    come = [element for element in new if element not in old]
    yield from (Difference(path, said(element, path), None) for element in gone)
    yield from (Difference(path, None, said(element, path)) for element in come)
    if not gone and not come:  # the same elements in another order, or one of them twice
        yield Difference(path, said(old, path), said(new, path))


def _by_name(claims: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    defaults = {"required": True, "basis": "consent"}
    return {
        str(claim["name"]): {**defaults, **{key: value for key, value in claim.items() if key != "name"}}
        for claim in claims
    }


def _is_text(old: Any, new: Any) -> bool:
    return isinstance(old, str) or isinstance(new, str)


def _plain(value: Any) -> Any:
    """For comparison: what is empty is not there."""
    if isinstance(value, Mapping):
        return {key: plain for key, item in value.items() if (plain := _plain(item)) is not None} or None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value] or None
    return value


def said(value: Any, path: str = "") -> str | None:
    """A value as a person reads it. Of a secret's digest the beginning, which is enough to know it by."""
    if value is None or value == "":
        return None
    if path == _SECRETS and isinstance(value, str):
        return f"sha256 {value[:12]}…"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)
