"""What a card says of its holder, in the words of each format.

Which elements a card shows, and where they stand, is read from the trust file, as an issuer reads its own catalogue.
What ISO makes a document say besides is added: its own days, and who issued it.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from idp.demo import mdoc

Elements = dict[str, dict[str, tuple[Any, Any]]]
"""By namespace and identifier: the value as CBOR has it, and as a person reads it."""

MDL, PHOTO_ID = "org.iso.18013.5.1.mDL", "org.iso.23220.photoid.1"


def some(claims: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Of all that there is to say, the elements of these names, each where it stands there."""
    found: dict[str, Any] = {}
    for name in names:
        member, _, part = name.partition(".")
        if part:
            found.setdefault(member, {})[part] = claims[member][part]
        else:
            found[member] = claims[member]
    return found


@dataclass(frozen=True)
class Paper:
    """What there is to say of the document itself: who issued it, and its days (YYYY-MM-DD)."""

    authority: str
    issued_on: str
    expires_on: str


def elements(
    looks: Mapping[str, Any], claims: Mapping[str, Any], authentication: list[str], paper: Paper
) -> Elements:
    """Everything in a card as mdoc. `looks` is the entry of the trust file."""
    found: Elements = {}
    for name, (name_space, element) in looks["elements"].items():
        value = _at(claims, name)
        found.setdefault(name_space, {})[element] = (_in_cbor(name, value), value)
    name_space, element = looks["authentication"]
    found.setdefault(name_space, {})[element] = (authentication, authentication)
    (doc_type,) = looks["names"]
    for name_space, members in _of_the_paper(doc_type, paper).items():
        # No verifier here asks for these, so nobody reads them on a page.
        found.setdefault(name_space, {}).update({name: (value, value) for name, value in members.items()})
    return found


def _of_the_paper(doc_type: str, paper: Paper) -> dict[str, dict[str, Any]]:
    """ISO/IEC 18013-5, table 5, and ISO/IEC 23220-2: what is mandatory beside the holder."""
    days = {"issue_date": mdoc.full_date(paper.issued_on), "expiry_date": mdoc.full_date(paper.expires_on)}
    said = {**days, "issuing_country": "KR"}
    if doc_type == MDL:
        driving = {"driving_privileges": [{"vehicle_category_code": "B", **days}]}
        more = {"issuing_authority": paper.authority, "un_distinguishing_sign": "ROK"}
        return {"org.iso.18013.5.1": {**said, **more, **driving}}
    if doc_type == PHOTO_ID:
        return {"org.iso.23220.1": {**said, "issuing_authority_unicode": paper.authority}}
    return {}


def _at(claims: Mapping[str, Any], name: str) -> Any:
    member, _, part = name.partition(".")
    return claims[member][part] if part else claims[member]


def _in_cbor(name: str, value: Any) -> Any:
    """An element's value as ISO/IEC 18013-5 and 23220-2 have it; of the portraits, which are drawn, as PNG."""
    if name == "picture":
        return base64.b64decode(value.partition(",")[2])
    if name == "nationalities":
        return value[0]
    if name == "birthdate" or name.endswith("_date"):
        return mdoc.full_date(value)
    return value
