"""From the operator's names of things to ours: what a presentation shows, as elements of the house.

The daemon answers with items, `{"type": "birth", "value": "19850314"}`, all of them text. Which item an
element is made of is data (`formats.mip` of a credential type in the trust registry); how a text becomes an
element's value is here, by element: days, sex, countries, the portrait. An item that no element names is
dropped, 주민등록번호 (`ihidnum`) with it: nothing here can ask for it, and nothing keeps it.

Source: the items of the sample verifiers (재외국민 신원확인증: name, birth, address, dlphotoimage, expatno, usrname,
givennames, passporttype, countrycode, passportno, nationality, issude, expirdate, sex, authority, emblnm, ci).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from idp.credentials import schema
from idp.credentials.schema import Path
from idp.credentials.trust import CredentialTypeTrust, FormatTrust, Mission, TrustSnapshot, seoul_day
from idp.credentials.verdict import CredentialRejected, Reason

FORMAT: Final = "mip"
MISSION_NAME: Final[Path] = ("issuing_mission", "name_ko")

_SEX: Final = {"M": 1, "남": 1, "남성": 1, "남자": 1, "F": 2, "여": 2, "여성": 2, "여자": 2}
_COUNTRIES: Final = {
    "KOR": "KR",
    "KR": "KR",
    "대한민국": "KR",
    "REPUBLIC OF KOREA": "KR",
    "KOREA": "KR",
}
_PICTURES: Final = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"))
_MAX_HEX_CHARS: Final = 600_000


class _NotShown(Exception):
    """The item holds nothing that can be shown as this element."""


def claims(items: Mapping[str, str], looks: FormatTrust, mission: Mission, now: int) -> dict[str, Any]:
    """The elements that these items show, each of its shape.

    Raises CredentialRejected(CLAIM_INVALID).
    """
    today = seoul_day(now)
    shown: dict[str, Any] = {}
    for element, path in looks.paths.items():
        text = items.get(path[0], "").strip()
        if not text:
            continue
        try:
            shown[".".join(element)] = _CONVERT.get(element, _text)(text, today)
        except _NotShown:
            continue
        except ValueError:
            raise CredentialRejected(Reason.CLAIM_INVALID, ".".join(element)) from None
    return schema.disclosed(shown, schema.BY_NAME, mission_code=mission.code, today=today)


def mission(
    items: Mapping[str, str], kind: CredentialTypeTrust, looks: FormatTrust, trust: TrustSnapshot, now: int
) -> Mission:
    """The authority that issued: the one whose name is shown, or the only one where none is.

    Names are compared without spaces and without 대한민국, which the certificate may leave out.

    Raises CredentialRejected: ISSUER_UNTRUSTED, ISSUER_NOT_ACTIVE.
    """
    issuing = [one for one in trust.missions.values() if kind.id in one.credential_types]
    if MISSION_NAME in looks.paths:
        named = _bare(items.get(looks.paths[MISSION_NAME][0], ""))
        issuing = [one for one in issuing if _bare(one.name["ko"]) == named]
    if len(issuing) != 1:
        raise CredentialRejected(Reason.ISSUER_UNTRUSTED, "no mission of this name, or more than one")
    if not issuing[0].active_on(seoul_day(now)):
        raise CredentialRejected(Reason.ISSUER_NOT_ACTIVE, "the mission does not issue today")
    return issuing[0]


def _bare(name: str) -> str:
    return re.sub(r"\s|대한민국", "", name)


def _text(text: str, today: date) -> str:
    return text


def _day(text: str, today: date) -> str:
    return _date(text).isoformat()


def _date(text: str) -> date:
    """19850314, 1985-03-14, 1985.03.14 or 1985/03/14."""
    digits = re.sub(r"[-./\s]", "", text)
    if not re.fullmatch(r"[0-9]{8}", digits, re.ASCII):
        raise ValueError("not a day")
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))


def _aged(years: int) -> Callable[[str, date], bool]:
    """Whether somebody born on that day is so old today (Asia/Seoul): the certificate itself does not say."""

    def convert(text: str, today: date) -> bool:
        born = _date(text)
        return today.year - born.year - ((today.month, today.day) < (born.month, born.day)) >= years

    return convert


def _sex(text: str, today: date) -> int:
    try:
        return _SEX[text.upper()]
    except KeyError:
        raise ValueError("not a sex") from None


def _nationalities(text: str, today: date) -> list[str]:
    return [_COUNTRIES.get(part.strip().upper(), part.strip().upper()) for part in text.split(",")]


def _country(text: str, today: date) -> str:
    return "KOR" if text == "대한민국" else text.upper()


def _portrait(text: str, today: date) -> str:
    """A picture in hex as a data: URL. One of a kind that pages cannot show counts as not shown."""
    if len(text) > _MAX_HEX_CHARS:
        raise ValueError("too large")
    picture = bytes.fromhex(text)
    for start, kind in _PICTURES:
        if picture.startswith(start):
            return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
    raise _NotShown


_CONVERT: Final[Mapping[Path, Callable[[str, date], Any]]] = {
    ("birthdate",): _day,
    ("age_equal_or_over", "14"): _aged(14),
    ("age_equal_or_over", "19"): _aged(19),
    ("sex",): _sex,
    ("nationalities",): _nationalities,
    ("passport", "issuing_country"): _country,
    ("passport", "issue_date"): _day,
    ("passport", "expiry_date"): _day,
    ("picture",): _portrait,
}
