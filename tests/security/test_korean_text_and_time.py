"""IN: names in every spelling, and days as they are in Seoul."""

from __future__ import annotations

import html
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from idp.credentials.trust import seoul_day
from tests.presenting import Answer
from tests.rig import Begun, Portal, Rig, callback_parameters, started
from tests.security.judging import Court

HONG = "홍길동"
SPELLINGS = {
    "composed": HONG,
    "decomposed": unicodedata.normalize("NFD", HONG),
    "compatibility": "ㅎㅗㅇㄱㅣㄹㄷㅗㅇ",
    "half-width": "ﾾￌￇﾡￜﾩﾧￌￇ",
}
ODD = {
    "filler": "홍\u3164길동",
    "zero width": "홍\u200b길동",
    "joiner": "홍\u200d길동",
    "four bytes": "홍𠮷동",
    "emoji": "홍길동👨‍👩‍👧",
    "one syllable": "뷁",
    "seventeen syllables": "박하늘별님구름햇님보다사랑스러우리",
    "foreigner": "MARÍA-JOSÉ O’CONNOR VAN DER BERG DE LA CRUZ Y FERNÁNDEZ-GARCÍA",
    "apostrophe": "O'Neil d'Arc",
    "ampersand": "A & B",
    "200 characters": "가" * 200,
}
REFUSED = {
    "right to left": "홍\u202e길동",
    "isolate": "홍\u2066길동",
    "line": "홍\n길동",
    "NUL": "홍\0길동",
    "201 characters": "가" * 201,
}


def answered(court: Court, **claims: Any) -> tuple[Portal, Begun, Answer]:
    """A sign-in whose credential says these things instead of its own."""
    portal = court.rig.portal("gov24")
    begun = portal.begin(prompt="login consent")
    answer = Answer(court.rig, portal.link(portal.page(begun)))
    for name, value in claims.items():
        answer.hide(name, value)
    return portal, begun, answer


def signed_in(court: Court, **claims: Any) -> tuple[dict[str, Any], str]:
    """What UserInfo says then, and the consent page on the way there."""
    portal, begun, answer = answered(court, **claims)
    told = answer.send()
    assert told.status_code == 200, court.rig.events()[-1].reason
    resumed = portal.browser.get(told.json()["redirect_uri"])
    page = portal.browser.get(portal.absolute(resumed.headers["Location"])).text
    code = callback_parameters(portal.agree(resumed))["code"]
    bought = portal.token(code, begun.verifier).json()
    return portal.userinfo(bought["access_token"]).json(), page


@pytest.mark.parametrize("kind", SPELLINGS)
def test_a_name_in_another_spelling_is_the_same_person(court: Court, kind: str) -> None:
    """IN-01: nobody is known by a name, and a name is given on as its issuer signed it."""
    usual, _ = signed_in(court)
    claims, _ = signed_in(court, name=SPELLINGS[kind])
    assert claims["sub"] == usual["sub"]
    assert claims["name"] == SPELLINGS[kind]


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_name_is_given_on_whole(court: Court, kind: str) -> None:
    """IN-02, IN-03: neither cut off nor changed, and no part of the page is made of it."""
    claims, page = signed_in(court, name=ODD[kind])
    assert claims["name"] == ODD[kind]
    assert ODD[kind] not in page or html.escape(ODD[kind]) == ODD[kind]


@pytest.mark.parametrize("kind", REFUSED)
def test_a_name_that_would_show_something_else_is_refused(court: Court, kind: str) -> None:
    """IN-02."""
    _, _, answer = answered(court, name=REFUSED[kind])
    last = court.rig.last_event()
    assert answer.send().status_code == 400
    assert [event.reason for event in court.rig.events(after=last)] == ["claim_invalid"]


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize(
    "changes",
    [{"scope": "openid 한글"}, {"prompt": "none"}, {"response_type": "token"}, {"max_age": "하나"}],
    ids=str,
)
def test_what_a_portal_hears_is_ascii_in_every_language(
    court: Court, lang: str, changes: dict[str, Any]
) -> None:
    """IN-06 (RFC 6749, section 4.1.2.1)."""
    response = court.rig.portal("gov24").begin(ui_locales=lang, **changes).response
    given = parse_qs(urlsplit(response.headers["Location"]).query)
    said = given["error"][0] + given.get("error_description", [""])[0]
    assert all(character in " !#$%&'()*+,-./:;<=>?@[]^_`{|}~" or character.isalnum() for character in said)
    assert said.isascii()


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-02-28T23:59:59+09:00", "2026-02-28"),
        ("2026-03-01T00:00:00+09:00", "2026-03-01"),
        ("2028-02-29T00:00:00+09:00", "2028-02-29"),
        ("2026-12-31T14:59:59+00:00", "2026-12-31"),
        ("2026-12-31T15:00:00+00:00", "2027-01-01"),
    ],
)
def test_a_day_is_one_of_seoul(moment: str, day: str) -> None:
    """IN-07: the age itself is its issuer's to say (`age_equal_or_over`), by 만 나이; nothing is reckoned here."""
    assert seoul_day(at(moment)).isoformat() == day


def test_somebody_born_today_in_seoul_is_born(court: Court) -> None:
    """IN-07: at home it is still yesterday for another nine hours; tomorrow is the future everywhere."""
    today = seoul_day(court.rig.clock()).isoformat()
    claims, _ = signed_in(court, birthdate=today)
    assert claims["birthdate"] == today
    tomorrow = seoul_day(court.rig.clock() + 86_400).isoformat()
    _, _, answer = answered(court, birthdate=tomorrow)
    assert answer.send().status_code == 400


@pytest.mark.parametrize("birthdate", ["1900-01-01", "1899-12-31", "2000-02-29", "1912-02-29"])
def test_a_day_of_another_century_is_one(court: Court, birthdate: str) -> None:
    """IN-07."""
    claims, _ = signed_in(court, birthdate=birthdate)
    assert claims["birthdate"] == birthdate


_ELSEWHERE = """
import sys
from idp.clock import iso, kst
from idp.credentials.trust import seoul_day
moment = int(sys.argv[1])
print(iso(moment), kst(moment, "%Y-%m-%d %H:%M:%S"), seoul_day(moment))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where no time zones are."""
    yield tmp_path_factory.mktemp("nowhere")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/Los_Angeles", "Nowhere/At_All"])
def test_times_are_the_same_wherever_the_machine_stands(zone: str, elsewhere: Path) -> None:
    """IN-09: also where it has no data of time zones, as small images have none."""
    moment = at("2026-03-08T10:30:00+00:00")  # clocks change that night in Los Angeles
    environment = {**os.environ, "TZ": zone, "PYTHONTZPATH": str(elsewhere), "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(moment)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split("\n")[0] == "2026-03-08T10:30:00Z 2026-03-08 19:30:00 2026-03-08", done.stderr


def test_the_house_says_the_same_under_another_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IN-09: tokens and audit, in a process whose zone is changed."""
    import time  # noqa: PLC0415

    def seen(rig: Rig) -> tuple[int, int]:
        portal = rig.portal("gov24")
        claims = portal.id_token_claims(portal.sign_in()["id_token"])
        return claims["exp"] - claims["iat"], abs(rig.events()[-1].at - rig.clock())

    with started(tmp_path) as rig:
        usual = seen(rig)
        monkeypatch.setenv("TZ", "Pacific/Kiritimati")
        time.tzset()
        try:
            there = seen(rig)
        finally:
            monkeypatch.undo()
            time.tzset()
    assert there[0] == usual[0]
    assert there[1] < 60
