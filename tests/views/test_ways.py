"""In which order the ways of signing in stand, and the way out of an app's own browser."""

import pytest
from werkzeug.datastructures import Headers

from idp.presentation.wallets import parse
from idp.views.ways import in_app, in_changing_order, is_hand_held
from tests.test_wallets import GOOD

DOOR = "https://gov24.example/login?iss=https%3A%2F%2Fsinwon.example"
ANDROID = "Mozilla/5.0 (Linux; Android 14; SM-S911N Build/UP1A; wv) AppleWebKit/537.36 Mobile Safari/537.36 "
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 "
CHROME = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Version/17.4 Mobile/15E148 Safari/604.1"
DESK = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
TOKENS = {
    "KAKAOTALK 10.8.5": "KakaoTalk",
    "NAVER(inapp; search; 1000; 12.0.0)": "NAVER",
    "Safari Line/14.1.0": "LINE",
    "[FBAN/FBIOS;FBAV/450.0]": "Facebook",
    "[FB_IAB/FB4A;FBAV/450.0]": "Facebook",
    "Instagram 300.0.0.29.110": "Instagram",
    "MicroMessenger/8.0.49": "WeChat",
}
INTENT = (
    "intent://gov24.example/login?iss=https%3A%2F%2Fsinwon.example#Intent;scheme=https;"
    "S.browser_fallback_url=https%3A%2F%2Fgov24.example%2Flogin%3Fiss%3Dhttps%253A%252F%252Fsinwon.example;end"
)


@pytest.mark.parametrize("agent", [CHROME, SAFARI, DESK, "", "Outline/1", "x" * 600 + "KAKAOTALK"])
def test_a_browser_of_its_own_is_no_apps(agent: str) -> None:
    assert in_app(agent, DOOR) is None


@pytest.mark.parametrize("phone", [ANDROID, IPHONE], ids=["android", "iphone"])
@pytest.mark.parametrize("token", TOKENS)
def test_an_app_is_known_by_what_it_says(phone: str, token: str) -> None:
    found = in_app(phone + token, DOOR)
    assert found is not None
    assert (found.app, found.address) == (TOKENS[token], DOOR)


@pytest.mark.parametrize(
    ("agent", "link"),
    [
        (
            ANDROID + "KAKAOTALK 10",
            "kakaotalk://web/openExternal?url="
            "https%3A%2F%2Fgov24.example%2Flogin%3Fiss%3Dhttps%253A%252F%252Fsinwon.example",
        ),
        (IPHONE + "Safari Line/14", f"{DOOR}&openExternalBrowser=1"),
        (ANDROID + "NAVER(inapp)", INTENT),
        (IPHONE + "NAVER(inapp)", None),
    ],
    ids=["kakaotalk", "line", "android", "ios"],
)
def test_the_way_out_leads_to_the_portal_as_the_app_allows(agent: str, link: str | None) -> None:
    found = in_app(agent, DOOR)
    assert found is not None
    assert found.link == link


def test_without_an_address_of_the_portal_there_are_words_alone() -> None:
    found = in_app(ANDROID + "KAKAOTALK 10", None)
    assert found is not None
    assert (found.address, found.link) == (None, None)


def test_a_fragment_cannot_end_an_intent_early() -> None:
    found = in_app(ANDROID + "Instagram 300", "https://gov24.example/#Intent;scheme=evil;end")
    assert found is not None
    assert found.link is not None
    assert found.link.count("#Intent;") == 1
    assert "scheme=evil" not in found.link.partition("S.browser")[0]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Sec-CH-UA-Mobile": "?1", "User-Agent": DESK}, True),
        ({"Sec-CH-UA-Mobile": "?0", "User-Agent": CHROME}, False),
        ({"User-Agent": SAFARI}, True),
        ({"User-Agent": DESK}, False),
        ({}, False),
    ],
)
def test_what_the_browser_says_of_its_device_is_a_hint(headers: dict[str, str], expected: bool) -> None:
    assert is_hand_held(Headers(headers)) is expected


def test_no_wallet_is_always_first_and_none_moves_within_a_login() -> None:
    wallets = [parse({**GOOD, "id": name}) for name in ("a", "b", "c")]
    firsts = {in_changing_order(f"login-{number}", wallets)[0].id for number in range(40)}
    assert firsts == {"a", "b", "c"}
    order = [one.id for one in in_changing_order("login", wallets)]
    assert order == [one.id for one in in_changing_order("login", reversed(wallets))]
