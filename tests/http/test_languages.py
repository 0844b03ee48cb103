"""The language of a sign-in, from the portal's wish to the last page; and what speaks two languages only."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from idp.claims import CLAIMS
from idp.views.language import CONSOLE_LANGUAGES, LANGUAGES, NAMES, label
from tests.rig import Begun, Portal, Rig

FEW = [lang for lang in LANGUAGES if lang not in CONSOLE_LANGUAGES]


@pytest.fixture
def portal(rig: Rig) -> Portal:
    return rig.portal("gov24")


def lang_of(response: httpx2.Response) -> str:
    found = re.search(r'<html lang="([^"]*)">', response.text)
    assert found is not None
    assert response.headers["Content-Language"] == found[1]
    return found[1]


def offered(response: httpx2.Response) -> list[str]:
    return re.findall(r' hreflang="([^"]*)"', response.text)


def opened(portal: Portal, begun: Begun, query: str = "") -> httpx2.Response:
    return portal.browser.get(portal.absolute(begun.location) + query)


def test_discovery_names_every_language_of_the_menu(rig: Rig, portal: Portal) -> None:
    told = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()["ui_locales_supported"]
    assert told == list(LANGUAGES) == list(NAMES)
    assert offered(opened(portal, portal.begin())) == told


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_a_portal_wishes_is_kept_to_the_consent_page(portal: Portal, lang: str) -> None:
    begun = portal.begin(ui_locales=f"xx {lang} ko", prompt="consent")
    assert lang_of(opened(portal, begun)) == lang
    resumed = portal.to_consent(begun)
    consent = portal.browser.get(portal.absolute(resumed.headers["Location"]))
    assert lang_of(consent) == lang
    name = "정부24" if lang == "ko" else "Government24"
    shown = name if lang in CONSOLE_LANGUAGES else f'<span lang="en">{name}</span>'
    assert shown in consent.text
    assert 'lang="ko">홍○동</span>' in consent.text or lang == "ko"


@pytest.mark.parametrize(
    ("wish", "lang"), [("zh-TW", "zh-Hans"), ("pt-PT", "pt-BR"), ("tl-PH", "fil"), ("de es-419", "es")]
)
def test_a_wish_is_looked_up_as_a_browsers_is(portal: Portal, wish: str, lang: str) -> None:
    assert lang_of(opened(portal, portal.begin(ui_locales=wish))) == lang


@pytest.mark.parametrize(
    ("lang", "shown"), [("ko", ["남성", "여성"]), ("en", ["Male", "Female"]), ("ru", ["Мужской", "Женский"])]
)
def test_a_gender_is_said_in_the_holders_language(rig: Rig, lang: str, shown: list[str]) -> None:
    purpose = {"ko": "확인", "en": "To check"}
    portal = rig.variant(
        "gov24", "asks-gender", claims=[{"name": "gender", "required": True, "purpose": purpose}]
    )
    resumed = portal.to_consent(portal.begin(ui_locales=lang, prompt="consent"))
    consent = portal.browser.get(portal.absolute(resumed.headers["Location"])).text
    assert [word for word in shown if f'<span class="preview" translate="no">{word}</span>' in consent]
    assert label(CLAIMS["gender"].label, lang) in consent


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "mistake", [{"client_id": "nobody"}, {"redirect_uri": "https://evil.example/"}, {"client_id": None}]
)
def test_a_request_that_cannot_be_used_is_refused_in_the_language_it_wishes(
    portal: Portal, method: str, mistake: dict[str, str | None]
) -> None:
    refused = portal.begin(method=method, ui_locales="ja", **mistake).response
    assert refused.status_code == 400
    assert lang_of(refused) == "ja"
    assert "SINWON-R00" in refused.text


def test_a_sign_in_that_has_expired_speaks_the_language_it_was_in(rig: Rig, portal: Portal) -> None:
    begun = portal.begin(ui_locales="ru")
    rig.clock.forward(601)
    over = opened(portal, begun)
    assert over.status_code == 410
    assert lang_of(over) == "ru"


def test_a_request_to_sign_out_is_asked_about_in_the_language_it_wishes(rig: Rig, portal: Portal) -> None:
    bad = {"id_token_hint": "x", "ui_locales": "vi"}
    for answer in (
        portal.browser.get(f"{rig.issuer}/logout", params=bad),
        portal.browser.post(f"{rig.issuer}/logout", data=bad),
    ):
        assert lang_of(answer) == "vi"
    assert lang_of(portal.browser.get(f"{rig.issuer}/logout", params={"ui_locales": "fil"})) == "fil"


def test_a_language_that_was_chosen_on_the_consent_page_stays(portal: Portal) -> None:
    begun = portal.begin(ui_locales="ja", prompt="consent")
    consent = portal.to_consent(begun).headers["Location"]
    assert lang_of(portal.browser.get(portal.absolute(f"{consent}?lang=id"))) == "id"
    assert lang_of(portal.browser.get(portal.absolute(consent))) == "id"
    refused = portal.submit(portal.open(consent), "consent", decision="refuse")
    assert parse_qs(urlsplit(refused.headers["Location"]).query)["error"] == ["access_denied"]
    assert lang_of(opened(portal, begun)) == "id"


def test_the_menu_keeps_what_the_address_says(rig: Rig, portal: Portal) -> None:
    shown = portal.browser.get(f"{rig.issuer}/device", params={"user_code": "BCDF-GHJK", "lang": "fr"})
    links = re.findall(r'href="(/device\?[^"]*)"', shown.text)
    asked = [parse_qs(urlsplit(link.replace("&amp;", "&")).query) for link in links]
    assert asked == [{"user_code": ["BCDF-GHJK"], "lang": [lang]} for lang in LANGUAGES]


@pytest.mark.parametrize("lang", FEW)
@pytest.mark.parametrize("path", ["/console/sign-in", "/docs/", "/docs/errors", "/keys"])
def test_what_is_for_engineers_neither_offers_nor_takes_the_others(rig: Rig, path: str, lang: str) -> None:
    browser = rig.browser()
    assert lang_of(browser.get(f"{rig.issuer}/status", params={"lang": lang})) == lang
    answer = browser.get(rig.issuer + path, params={"lang": lang}, headers={"Accept-Language": f"{lang}, en"})
    assert lang_of(answer) == "en"
    assert offered(answer) == list(CONSOLE_LANGUAGES)
    assert "set-cookie" not in answer.headers or "lang=" not in answer.headers["set-cookie"]
    assert lang_of(browser.get(f"{rig.issuer}/status")) == lang
