"""Why a redirect URI is not the registered one: most failed first sign-ins of a portal are a slash, a port or a case.

Nothing is learnt from what is tried: a URI counts when it is registered, and compared as an exact string.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from idp.portals.registration import Registration

Part = Literal[
    "scheme",
    "host",
    "port",
    "path",
    "trailing slash",
    "case",
    "percent-encoding",
    "query",
    "fragment",
    "spelling",
]


class Cut(NamedTuple):
    """A URI in three: what it begins with like the other one, what differs, what it ends with like the other one."""

    same: str
    differs: str
    again: str


@dataclass(frozen=True)
class Tried:
    """What became of a URI that was tried. Where it does not match: the nearest registered one, and what differs."""

    matches: bool
    nearest: str | None = None
    parts: tuple[Part, ...] = ()
    tried_cut: Cut | None = None
    registered_cut: Cut | None = None


def tried(registration: Registration, uri: str) -> Tried:
    """Whether a request may name this redirect URI, as `Registration.has_redirect_uri` says; if not, why."""
    if registration.has_redirect_uri(uri):
        return Tried(matches=True)
    if not registration.redirect_uris:
        return Tried(matches=False)
    nearest = max(registration.redirect_uris, key=lambda known: _likeness(known, uri))
    first, second = cuts(uri, nearest)
    return Tried(False, nearest, tuple(_parts(uri, nearest)), first, second)


def cuts(one: str, other: str) -> tuple[Cut, Cut]:
    """Two texts, each cut where they begin and cease to differ."""
    start = _alike(one, other)
    end = _alike(one[start:][::-1], other[start:][::-1])
    first, second = (Cut(t[:start], t[start : len(t) - end], t[len(t) - end :]) for t in (one, other))
    return first, second


def _alike(one: str, other: str) -> int:
    """How many characters they begin with together."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _likeness(known: str, uri: str) -> tuple[bool, float]:
    first, _ = cuts(uri, known)
    alike = len(first.same) + len(first.again)
    return _split(known).hostname == _split(uri).hostname, alike / max(len(known), len(uri), 1)


def _parts(uri: str, known: str) -> Iterator[Part]:
    given, registered = _split(uri), _split(known)
    if given.scheme != registered.scheme:
        yield "scheme"
    if given.hostname != registered.hostname:
        yield "host"
    elif given.netloc.lower() != registered.netloc.lower():
        yield "port"
    yield from _path_parts(given.path, registered.path)
    if given.query != registered.query:
        yield "query"
    if given.fragment != registered.fragment:
        yield "fragment"
    # An empty `?` or `#`, or a host in capitals: the texts differ where what they mean does not.
    respelled = given.netloc != registered.netloc and given.netloc.lower() == registered.netloc.lower()
    if respelled or tuple(given) == tuple(registered):
        yield "spelling"


def _path_parts(given: str, registered: str) -> Iterator[Part]:
    """What differs in two paths: small things by their names, as long as they explain the whole difference."""
    steps: tuple[tuple[Part, Callable[[str], str]], ...] = (
        ("percent-encoding", unquote),
        ("trailing slash", lambda path: path.rstrip("/")),
        ("case", str.lower),
    )
    found: list[Part] = []
    for name, plain in steps:
        if given == registered:
            break
        before = given, registered
        given, registered = plain(given), plain(registered)
        if before != (given, registered) and _nearer(before, (given, registered)):
            found.append(name)
    if given == registered:
        yield from found
    else:
        yield "path"


def _nearer(before: tuple[str, str], after: tuple[str, str]) -> bool:
    """Whether a step took a difference away, and did not merely change both alike."""
    return _distance(*after) < _distance(*before)


def _distance(one: str, other: str) -> int:
    first, second = cuts(one, other)
    return max(len(first.differs), len(second.differs))


def _split(uri: str) -> SplitResult:
    try:
        return urlsplit(uri)
    except ValueError:
        return SplitResult("", "", uri, "", "")
