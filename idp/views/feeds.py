"""Calendars and news feeds as text.

Specs: RFC 5545 (iCalendar), sections 3.1 (lines and their folding), 3.3.11 (text), 3.6.1 (events); RFC 7986, section 5
(NAME, REFRESH-INTERVAL); RFC 4287 (Atom).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

from idp.clock import iso, utc

_MAX_OCTETS = 75
_ATOM = "http://www.w3.org/2005/Atom"


@dataclass(frozen=True)
class Happening:
    """Something at a time; `uid` is the same each time it is told. `until` None: a moment. `sure` False: planned."""

    uid: str
    at: int
    title: str
    text: str
    until: int | None = None
    sure: bool = True


def icalendar(name: str, happenings: Iterable[Happening], *, host: str, now: int) -> str:
    """A calendar to subscribe to (RFC 5545). `host` makes the UIDs ours alone."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Sinwon//Sinwon//EN",
        "CALSCALE:GREGORIAN",
        f"NAME:{_text(name)}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT6H",
    ]
    for one in happenings:
        lines += [
            "BEGIN:VEVENT",
            f"UID:{_text(one.uid)}@{host}",
            f"DTSTAMP:{_moment(now)}",
            f"DTSTART:{_moment(one.at)}",
            *([f"DTEND:{_moment(one.until)}"] if one.until is not None else []),
            f"SUMMARY:{_text(one.title)}",
            f"DESCRIPTION:{_text(one.text)}",
            f"STATUS:{'CONFIRMED' if one.sure else 'TENTATIVE'}",
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _moment(seconds: int) -> str:
    return utc(seconds).strftime("%Y%m%dT%H%M%SZ")


def _text(value: str) -> str:
    """A TEXT value: these four characters are written otherwise."""
    escaped = value.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return "\\n".join(escaped.splitlines())


def _folded(line: str) -> str:
    """Lines of at most 75 octets, none ending within a character; those that go on begin with a space."""
    parts, part, size = [], "", 0
    for character in line:
        width = len(character.encode("utf-8"))
        if size + width > _MAX_OCTETS:
            parts.append(part)
            part, size = " ", 1
        part, size = part + character, size + width
    return "\r\n".join([*parts, part])


def atom(
    name: str, happenings: Iterable[Happening], *, page_url: str, feed_url: str, author: str, now: int
) -> str:
    """A feed (RFC 4287). A reader tells entries apart by `uid`; an entry is as old as what it announces."""
    told = list(happenings)
    ElementTree.register_namespace("", _ATOM)
    feed = ElementTree.Element(_tag("feed"))
    _add(feed, "id", page_url)
    _add(feed, "title", name)
    _add(feed, "updated", iso(max((one.at for one in told), default=now - now % 86_400)))
    _add(_add(feed, "author"), "name", author)
    _add(feed, "link", rel="self", href=feed_url, type="application/atom+xml")
    _add(feed, "link", rel="alternate", href=page_url, type="text/html")
    for one in told:
        entry = _add(feed, "entry")
        _add(entry, "id", f"{page_url}#{one.uid}")
        _add(entry, "title", one.title)
        _add(entry, "updated", iso(one.at))
        _add(entry, "link", rel="alternate", href=f"{page_url}#{one.uid}", type="text/html")
        _add(entry, "content", one.text, type="text")
    return str(ElementTree.tostring(feed, encoding="unicode", xml_declaration=True))


def _add(parent: ElementTree.Element, name: str, text: str = "", **attributes: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, _tag(name), attributes)
    child.text = text or None
    return child


def _tag(name: str) -> str:
    return f"{{{_ATOM}}}{name}"
