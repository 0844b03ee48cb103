"""What an operation of the admin API is: one line of the table that routes, checks and describes it.

Each is a method of an area, under a decorator that says everything else. `openapi` writes the table down, `gate` goes
by it, so neither can say what the other does not do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeVar

import msgspec
from flask import request

from idp.admin.people import Act, Administrator
from idp.views.problems import ApiError
from idp.wiring import House

BASE: Final = "/admin/api/v1"
JSON, TOML, JSON_LINES = "application/json", "application/toml", "application/jsonl"
_PLACE = re.compile(r"\{(\w+)\}")
Method = Literal["GET", "POST", "PUT", "PATCH"]
Item = TypeVar("Item")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


@dataclass(frozen=True)
class Operation:
    """One line of the table.

    act: what the token's role must allow; None: nothing. public: no token at all.
    query, body: what is taken, as Structs whose members are read strictly; a body of `bytes` is TOML.
    answer: what comes back, as msgspec writes it; None where it is text, and `media_type` says what it is.
    matches: it changes something that has an ETag, and wants If-Match. conflicts: it may be done already. missing:
    what the query or the body names may not be there. statuses: those of success, the usual first.
    """

    name: str
    method: Method
    path: str
    act: Act | None
    summary: str
    view: Callable[..., Answer]
    answer: type[Any] | None
    media_type: str = JSON
    query: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] | type[bytes] | None = None
    matches: bool = False
    conflicts: bool = False
    missing: bool = False
    statuses: tuple[int, ...] = (200,)
    public: bool = False

    @property
    def places(self) -> list[str]:
        """The names of what stands in the path."""
        return _PLACE.findall(self.path)

    @property
    def rule(self) -> str:
        """The path as Flask has it."""
        return _PLACE.sub(r"<\1>", self.path)

    @property
    def takes(self) -> str | None:
        """The content type of the body, None where there is none."""
        return None if self.body is None else TOML if self.body is bytes else JSON


@dataclass(frozen=True)
class Call:
    """A request, read: whoever asks, and everything that was said, in the types of the operation."""

    admin: Administrator
    query: Any
    body: Any
    unverified: Mapping[str, Any]
    """The body as it came, JSON, where the Struct has members with defaults that a document must not get."""

    def is_of(self, etag: str) -> None:
        """Raises ApiError where If-Match names another version than the one that is there."""
        given = request.headers.get("If-Match", "")
        if etag not in (tag.strip() for tag in given.split(",")) and given.strip() != "*":
            raise ApiError("outdated")


@dataclass(frozen=True)
class Answer:
    """What comes back: a value of the operation's type, or text as it is."""

    value: Any
    status: int = 200
    etag: str | None = None
    location: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Area:
    """A part of the API. Its methods with an `Operation` are what can be asked."""

    tag: ClassVar[str]

    def __init__(self, house: House) -> None:
        self.house = house
        self.clock = house.clock

    @classmethod
    def operations(cls) -> list[Operation]:
        found = (getattr(member, "operation", None) for member in vars(cls).values())
        return [one for one in found if isinstance(one, Operation)]


View = TypeVar("View", bound=Callable[..., Answer])


def operation(
    method: Method,
    path: str,
    act: Act | None,
    answer: type[Any] | None,
    **more: Any,
) -> Callable[[View], View]:
    """Put a method of an area into the table. Its docstring's first line is the summary."""

    def mark(view: View) -> View:
        summary = (view.__doc__ or "").partition("\n")[0]
        view.operation = Operation(  # type: ignore[attr-defined]
            view.__name__, method, path, act, summary, view, answer, **more
        )
        return view

    return mark


def etag(version: int | str) -> str:
    """A strong validator (RFC 9110, section 8.8.3)."""
    return f'"{version}"'


def found(items: Sequence[Item], wanted: Callable[[Item], bool]) -> Item:
    """The one that is wanted. Raises ApiError where there is none."""
    for item in items:
        if wanted(item):
            return item
    raise ApiError("not_found")
