"""The claims of an Open DID credential as elements of the house.

In Open DID every value is a text, and its specification leaves open how a day, a sex or a flag is written. So each
element that is not a text has a reader here, which takes the ways in which Korean credentials write it; what it
cannot read it leaves as it is, for `schema` to refuse.

Spec: Open DID, VC format 2.3.2 (`Claim`). A picture is multibase in the credential (2.2) and a data: URL here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pybase64 import b64encode_as_string

from idp.credentials import multibase
from idp.credentials.schema import Path
from idp.credentials.verdict import CredentialRejected, Reason

_DAY = re.compile(r"(\d{4})([-./]?)(\d\d)\2(\d\d)\.?", re.ASCII)
_FLAGS = {"true": True, "y": True, "1": True, "false": False, "n": False, "0": False}
_SEXES = {
    "0": 0, "1": 1, "2": 2, "9": 9, "m": 1, "f": 2, "male": 1, "female": 2, "남": 1, "여": 2, "남성": 1, "여성": 2,
}  # fmt: skip
_IMAGES = {"png": "image/png", "jpg": "image/jpeg"}


def by_element(claims: Iterable[Mapping[str, Any]], paths: Mapping[Path, Path]) -> dict[str, Any]:
    """The values shown, each under its element's dotted name. paths: the code of a claim, by its element.

    Raises CredentialRejected(CLAIM_INVALID): a claim that is asked for does not stand in the credential itself.
    """
    by_code = {claim["code"]: claim for claim in claims}
    return {
        ".".join(element): _value(element, by_code[path[0]])
        for element, path in paths.items()
        if path[0] in by_code
    }


def _value(element: Path, claim: Mapping[str, Any]) -> Any:
    value = claim.get("value")
    if claim.get("location", "inline") != "inline" or not isinstance(value, str):
        # Kept elsewhere (a remote address, an attachment): nothing is fetched on the word of a credential.
        raise CredentialRejected(Reason.CLAIM_INVALID, ".".join(element))
    if claim.get("type") == "image":
        return _picture(claim, value)
    reader = _READERS.get(element)
    return reader(value) if reader is not None else value


def _day(value: str) -> str:
    match = _DAY.fullmatch(value)
    return f"{match[1]}-{match[3]}-{match[4]}" if match else value


def _flag(value: str) -> Any:
    return _FLAGS.get(value.lower(), value)


def _sex(value: str) -> Any:
    return _SEXES.get(value.lower(), value)


def _countries(value: str) -> list[str]:
    return [country.strip() for country in value.split(",")]


def _picture(claim: Mapping[str, Any], value: str) -> str:
    media_type = _IMAGES.get(str(claim.get("format")))
    try:
        picture = multibase.decode(value)
    except ValueError:
        return ""  # no picture, and so not the right shape of one
    return f"data:{media_type};base64,{b64encode_as_string(picture)}"


_READERS: Mapping[Path, Callable[[str], Any]] = {
    ("birthdate",): _day,
    ("passport", "issue_date"): _day,
    ("passport", "expiry_date"): _day,
    ("age_equal_or_over", "14"): _flag,
    ("age_equal_or_over", "19"): _flag,
    ("sex",): _sex,
    ("nationalities",): _countries,
}
