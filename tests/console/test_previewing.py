"""The claim preview says what a sign-in would say, and shows the holder's own page."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any
from urllib.parse import urlencode

import pytest

from idp.admin import organisations
from idp.admin.people import Role
from idp.admin.samples import SAMPLES, Sample
from idp.credentials.schema import ELEMENTS
from tests.at_console import Admin
from tests.rig import Rig, person, started

PERSON = "invented-41"
VARIES = {"sub", "sid", "iat", "exp", "auth_time", "nonce", "at_hash", "acr", "amr"}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        with running.app.app_context():
            made = [{"id": name, "name": {"ko": name, "en": name}} for name in ("mois", "oka")]
            organisations.apply({"organisation": made}, now=running.clock())
            organisations.transfer("gov24", "mois", reason="its own", now=running.clock())
        yield running


@pytest.fixture(scope="module")
def staff(rig: Rig) -> dict[str, Admin]:
    made = {"auditor": Admin(rig, "invented-1").join(Role.AUDITOR, "auditor")}
    for number, name in enumerate(("mois", "oka"), 10):
        made[name] = Admin(rig, f"invented-{number}").join(Role.MEMBER, f"of {name}", name)
    return made


def path(below: str = "", /, client_id: str = "gov24", **query: str) -> str:
    return f"/console/portals/{client_id}/preview{below}?{urlencode({'lang': 'en', **query})}"


def claims_of(text: str) -> list[dict[str, Any]]:
    return [
        json.loads(html.unescape(found)) for found in re.findall(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL)
    ]


@pytest.mark.parametrize("below", ["", "/consent"])
@pytest.mark.parametrize(("who", "status"), [("auditor", 200), ("mois", 200), ("oka", 404)])
def test_the_page_exists_for_the_portals_own_organisation(
    staff: dict[str, Admin], below: str, who: str, status: int
) -> None:
    assert staff[who].get(path(below)).status_code == status


CLAIMS = json.dumps(
    {
        "id_token": {
            "birthdate": None,
            "verified_claims": {"verification": {"trust_framework": None}, "claims": {"name": None}},
        },
        "userinfo": {"name#en": None},
    }
)


@pytest.mark.parametrize("claims", ["", CLAIMS])
def test_a_preview_says_what_the_real_sign_in_says(
    rig: Rig, staff: dict[str, Admin], monkeypatch: pytest.MonkeyPatch, claims: str
) -> None:
    portal = rig.portal("gov24")
    who = person(PERSON)
    [mission] = [one for one in rig.prepared.missions() if one["code"] == who.mission]
    monkeypatch.setitem(SAMPLES, "overseas", Sample({"ko": "견본", "en": "Sample"}, who.claims(mission)))
    wanted = {"claims": claims} if claims else {}
    tokens = portal.sign_in(PERSON, scope="openid profile", **wanted)
    real = portal.id_token_claims(tokens["id_token"]), portal.userinfo(tokens["access_token"]).json()
    previewed = claims_of(staff["mois"].get(path(scope="openid profile", claims=claims)).text)
    assert len(previewed) == 2
    for said, meant in zip(previewed, real, strict=True):
        assert set(said) == set(meant)
        assert {k: v for k, v in said.items() if k not in VARIES} == {
            k: v for k, v in meant.items() if k not in VARIES
        }


def test_the_consent_page_is_the_holders_own_in_both_languages(staff: dict[str, Admin]) -> None:
    for lang, words in (("ko", "개인정보"), ("en", "You have the right to refuse")):
        shown = staff["mois"].get(path("/consent", scope="openid profile", lang=lang))
        assert shown.headers["Content-Language"] == lang
        assert words in shown.text
        assert "홍○동" in shown.text
        assert 'id="agree"' in shown.text


def test_what_is_decided_there_shows_what_comes_of_it(staff: dict[str, Admin]) -> None:
    mois = staff["mois"]
    page = mois.holder.open(path("/consent", scope="openid profile"))
    agreed = mois.holder.submit(page, "consent", decision="agree")
    assert agreed.status_code == 303
    assert claims_of(mois.get(agreed.headers["Location"]).text)[1]["name"] == "홍길동"
    refused = mois.holder.submit(page, "consent", decision="refuse")
    shown = mois.get(refused.headers["Location"]).text
    assert claims_of(shown) == []
    assert "access_denied" in shown


def test_somebody_who_lacks_what_is_required_could_not_sign_in(rig: Rig, staff: dict[str, Admin]) -> None:
    purpose = {"ko": "확인", "en": "Check"}
    passport = [{"name": "kr_passport", "purpose": purpose}]
    rig.variant("gov24", "passports", scopes=["openid", "kr_passport"], claims=passport)
    with rig.app.app_context():
        organisations.transfer("passports", "mois", reason="its own", now=rig.clock())
    shown = staff["mois"].get(path(client_id="passports", person="little")).text
    assert "required items are not in the credential" in shown
    assert claims_of(shown) == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"scope": "profile"}, "scope does not contain openid"),
        ({"claims": "{"}, "claims is not a JSON object"),
        ({"claims": "</textarea><script>alert(1)</script>"}, "claims is not a JSON object"),
        ({"scope": "openid kr_portrait"}, "A scope is not registered for this client"),
    ],
)
def test_a_request_that_would_be_refused_is_explained(
    staff: dict[str, Admin], query: dict[str, str], words: str
) -> None:
    shown = staff["mois"].get(path(**query))
    assert shown.status_code == 400
    assert words in shown.text
    assert "<script>alert" not in shown.text


@pytest.mark.parametrize("name", ["person", "agreed", "claims_locales"])
@pytest.mark.parametrize("value", ["<b>", "x" * 9000, "\x00", "{{7*7}}"])
def test_what_makes_no_sense_is_passed_over(staff: dict[str, Admin], name: str, value: str) -> None:
    answered = staff["mois"].get(path(**{name: value}))
    assert answered.status_code == 200
    assert "<b>" not in answered.text


def test_a_preview_is_recorded_nowhere_and_leaves_nothing(rig: Rig, staff: dict[str, Admin]) -> None:
    before = rig.last_event()
    staff["mois"].get(path())
    staff["mois"].get(path("/consent"))
    assert rig.last_event() == before


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_has_the_form_of_what_a_credential_shows(name: str) -> None:
    claims = SAMPLES[name].claims
    for element, value in claims.items():
        assert ELEMENTS[element].read(value, date(2026, 11, 29)) == value
    assert set(SAMPLES[name].label) == {"ko", "en"}
