"""A login belongs to the browser that began it: cookies, forms, response codes, the number from the phone, time."""

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from idp.demo import check
from tests.harmless import EVIL, decent, harmless, page, to_portal
from tests.presenting import Answer, request_object
from tests.rig import Begun, Portal, Rig, callback_parameters

FORMS = ["cancel", "extend", "confirm", "consent"]


@pytest.fixture
def portal(rig: Rig) -> Portal:
    return rig.portal("gov24")


def csrf_of(portal: Portal, path: str) -> str:
    shown = portal.open(path)
    return next(
        item.attributes["value"] for item in shown.root.below() if item.attributes.get("name") == "csrf"
    )


def answered(portal: Portal, begun: Begun, persona: str = "hong") -> str:
    """The wallet on this device answers: where it sends the browser."""
    outcome = portal.show(portal.link(portal.page(begun)), persona)
    assert outcome.redirect_uri is not None
    return outcome.redirect_uri


def across(portal: Portal, begun: Begun) -> str:
    """The wallet on another device answers: the number it shows."""
    outcome = portal.show(portal.qr(portal.page(begun)))
    assert outcome.redirect_uri is not None
    phone = portal.rig.browser().get(outcome.redirect_uri)
    number = re.search(r'id="confirmation-number"[^>]*>\s*([0-9]{4})\s*<', phone.text)
    assert number is not None
    return number[1]


def confirmed(portal: Portal, begun: Begun, number: str) -> httpx2.Response:
    return portal.submit(portal.page(begun), "confirm", number=number)


def resumed(portal: Portal, begun: Begun) -> httpx2.Response:
    login = begun.location.rpartition("/")[2]
    return portal.browser.get(f"{portal.rig.issuer}/authorize/resume?login={login}")


# -- another browser ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/status", "/events", "/consent"])
@pytest.mark.parametrize("state", ["waiting", "answered"])
def test_another_browser_sees_nothing_of_a_login(rig: Rig, portal: Portal, path: str, state: str) -> None:
    begun = portal.begin()
    portal.page(begun)
    if state == "answered":
        across(portal, begun)
    stranger = rig.portal("gov24")
    other = stranger.begin()
    stranger.page(other)
    # What a page asks for by itself is no event: it would go on for as long as the page stands open.
    told = [] if path in {"/status", "/events"} else [("request.refused", "other_browser")] * 2
    with harmless(rig, *told):
        response = stranger.browser.get(portal.absolute(begun.location + path))
        page(response, 403)
        page(rig.browser().get(portal.absolute(begun.location + path)), 403)
    assert portal.client_id not in response.text


def test_a_login_nobody_began_looks_like_no_other(rig: Rig, portal: Portal) -> None:
    with harmless(rig):
        for login in ("x", "x" * 22, "x" * 200, "%00", "...", "a.b", "%3Cscript%3Ealert(1)"):
            for path in ("", "/status", "/consent"):
                page(portal.browser.get(f"{rig.issuer}/login/{login}{path}"), 404)
            page(portal.browser.get(f"{rig.issuer}/authorize/resume?login={login}"), 404)
        page(portal.browser.get(f"{rig.issuer}/authorize/resume"), 404, "SINWON-L001")


def test_the_wallets_own_number_opens_no_page(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    state = request_object(rig, portal.link(portal.page(begun)))[1]["state"]
    with harmless(rig):
        for path in ("", "/status", "/events"):
            page(portal.browser.get(f"{rig.issuer}/login/{state}{path}"), 404)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_from_another_browser_does_nothing(rig: Rig, portal: Portal, form: str) -> None:
    begun = portal.begin()
    csrf = csrf_of(portal, begun.location)
    data = {"csrf": csrf, "number": "0000", "decision": "agree"}
    with harmless(rig, ("request.refused", "other_browser")):
        page(rig.browser().post(portal.absolute(f"{begun.location}/{form}"), data=data), 403)
    assert portal.browser.get(portal.absolute(begun.location)).status_code == 200


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("csrf", [None, "", "x", EVIL, "of_another_login", "twice", "한글", "\udcff"])
def test_a_form_without_the_pages_own_token_does_nothing(
    rig: Rig, portal: Portal, form: str, csrf: str | None
) -> None:
    begun = portal.begin()
    good = csrf_of(portal, begun.location)
    data: dict[str, Any] = {"number": "0000", "decision": "agree", "csrf": csrf}
    if csrf == "of_another_login":
        data["csrf"] = csrf_of(portal, portal.begin().location)
    if csrf == "twice":
        data["csrf"] = ["x", good]
    if csrf == "\udcff":
        data["csrf"] = b"\xff"
    with harmless(rig, ("request.refused", "form_expired")):
        sent = {name: value for name, value in data.items() if value is not None}
        page(portal.browser.post(portal.absolute(f"{begun.location}/{form}"), data=sent), 403, "SINWON-L008")


@pytest.mark.parametrize("form", FORMS)
def test_a_form_in_the_query_does_nothing(rig: Rig, portal: Portal, form: str) -> None:
    begun = portal.begin()
    csrf = csrf_of(portal, begun.location)
    with harmless(rig, ("request.refused", "form_expired")):
        url = portal.absolute(f"{begun.location}/{form}?csrf={csrf}&decision=agree&number=0000")
        page(portal.browser.post(url), 403)
        if form != "consent":
            page(portal.browser.get(url), 405)


# -- the response code -------------------------------------------------------------------------------------------


def test_a_response_code_in_another_browser_ends_the_login(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    url = answered(portal, begun)
    with harmless(rig, ("login.wrong_browser", "right_code")):
        page(rig.browser().get(url), 403)
    with harmless(rig):
        shown = page(portal.browser.get(url), 403, "SINWON-L004")
    back = re.search(r'href="([^"]+error=access_denied[^"]*)"', shown.text)
    assert back is not None
    assert back[1].startswith(portal.redirect_uri)


def test_a_response_code_in_the_browser_of_another_login_does_no_good(rig: Rig, portal: Portal) -> None:
    thief = rig.portal("gov24")
    mine = thief.begin()
    thief.page(mine)
    url = answered(portal, portal.begin())
    code = parse_qs(urlsplit(url).query)["response_code"][0]
    with harmless(rig, ("login.wrong_browser", "right_code")):
        page(thief.browser.get(url), 403)
    with harmless(rig, ("request.refused", "response_code_wrong")):
        login = mine.location.rpartition("/")[2]
        own = f"{rig.issuer}/authorize/resume?login={login}&response_code={code}"
        page(thief.browser.get(own), 403, "SINWON-L005")


@pytest.mark.parametrize("wrong", ["", "x", "x" * 43, "x" * 5000, "%00", "한글", EVIL, "%ff"])
def test_a_wrong_response_code_changes_nothing(rig: Rig, portal: Portal, wrong: str) -> None:
    begun = portal.begin()
    url = answered(portal, begun)
    guess = f"{url.rpartition('=')[0]}={wrong}"
    with harmless(rig, ("request.refused", "response_code_wrong")):
        page(portal.browser.get(guess), 403, "SINWON-L005")
    with harmless(rig, ("login.wrong_browser", "wrong_code")):
        page(rig.browser().get(guess), 403)
    assert "code" in callback_parameters(portal.agree(portal.browser.get(url)))


def test_a_response_code_before_any_answer_is_wrong(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    login = begun.location.rpartition("/")[2]
    with harmless(rig, ("request.refused", "response_code_wrong")):
        page(portal.browser.get(f"{rig.issuer}/authorize/resume?login={login}&response_code=x"), 403)


def test_a_response_code_makes_one_login_however_often_it_is_opened(rig: Rig, portal: Portal) -> None:
    begun = portal.begin(prompt="consent")
    url = answered(portal, begun)
    reloaded = [portal.browser.get(url) for _ in range(3)]
    assert {response.headers["Location"] for response in reloaded} == {f"{begun.location}/consent"}
    first = callback_parameters(portal.agree(reloaded[0]))
    with harmless(rig):
        assert callback_parameters(portal.browser.get(url)) == first
        assert callback_parameters(resumed(portal, begun)) == first
    rig.clock.forward(61)
    with harmless(rig):
        page(portal.browser.get(url), 410)


def test_on_one_device_waiting_alone_never_completes(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    answered(portal, begun)
    with harmless(rig):
        assert resumed(portal, begun).headers["Location"] == begun.location
        consent = portal.browser.get(portal.absolute(f"{begun.location}/consent"))
        assert consent.headers["Location"].startswith("/authorize/resume")
        shown = decent(portal.browser.get(portal.absolute(begun.location)))
    assert 'id="confirm"' not in shown.text
    csrf = csrf_of(portal, begun.location)
    with harmless(rig, *[("request.refused", "form_expired")] * 2):
        for form, data in (("consent", {"decision": "agree"}), ("confirm", {"number": "0000"})):
            response = portal.browser.post(
                portal.absolute(f"{begun.location}/{form}"), data={"csrf": csrf, **data}
            )
            page(response, 409, "SINWON-L008")


# -- the number --------------------------------------------------------------------------------------------------


def test_the_number_is_shown_on_the_phone_only(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    number = across(portal, begun)
    shown = decent(portal.browser.get(portal.absolute(begun.location)))
    assert 'id="confirm"' in shown.text
    assert not re.search(rf">\s*{number}\s*<", shown.text)
    assert resumed(portal, begun).headers["Location"] == begun.location


@pytest.mark.parametrize("kind", ["empty", "letters", "long", "full_width", "spaced", "other", "markup"])
def test_a_wrong_number_is_refused_and_the_right_one_then_works(rig: Rig, portal: Portal, kind: str) -> None:
    begun = portal.begin()
    number = across(portal, begun)
    wrong = {
        "empty": "",
        "letters": "abcd",
        "long": number + "0",
        "full_width": "".join(chr(ord(digit) - ord("0") + ord("０")) for digit in number),
        "spaced": " ".join(number),
        "other": f"{(int(number) + 1) % 10_000:04}",
        "markup": EVIL,
    }[kind]
    with harmless(rig, ("login.wrong_number", None)):
        shown = page(confirmed(portal, begun, wrong), 403)
    assert 'id="confirm"' in shown.text
    assert confirmed(portal, begun, f" {number} ").status_code == 303
    assert "code" in callback_parameters(portal.agree(resumed(portal, begun)))


def test_three_wrong_numbers_end_the_login(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    number = across(portal, begun)
    wrong = f"{(int(number) + 1) % 10_000:04}"
    csrf = csrf_of(portal, begun.location)
    url = portal.absolute(f"{begun.location}/confirm")
    with harmless(rig, *[("login.wrong_number", None)] * 3, ("request.refused", "form_expired")):
        for status, code in ((403, None), (403, None), (410, "SINWON-L007")):
            page(portal.browser.post(url, data={"csrf": csrf, "number": wrong}), status, code)
        page(portal.browser.post(url, data={"csrf": csrf, "number": number}), 409)
        shown = page(resumed(portal, begun), 403, "SINWON-L007")
    assert "error=access_denied" in shown.text


def test_a_number_before_any_answer_is_refused(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    csrf = csrf_of(portal, begun.location)
    with harmless(rig, ("request.refused", "form_expired")):
        url = portal.absolute(f"{begun.location}/confirm")
        page(portal.browser.post(url, data={"csrf": csrf, "number": "0000"}), 409)


def test_the_phone_that_answered_a_qr_code_cannot_carry_the_login_away(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    outcome = portal.show(portal.qr(portal.page(begun)))
    phone = rig.browser()
    shown = decent(phone.get(outcome.redirect_uri))
    token = outcome.redirect_uri.rpartition(".")[2]
    login = begun.location.rpartition("/")[2]
    assert "response_code" not in shown.text
    with harmless(rig, ("login.wrong_browser", "wrong_code")):
        page(phone.get(f"{rig.issuer}/authorize/resume?login={login}&response_code={token}"), 403)
    with harmless(rig, ("request.refused", "response_code_wrong")):
        page(portal.browser.get(f"{rig.issuer}/authorize/resume?login={login}&response_code={token}"), 403)


# -- leaving, time, tabs -----------------------------------------------------------------------------------------


def cancel(portal: Portal, begun: Begun, csrf: str) -> httpx2.Response:
    return portal.browser.post(portal.absolute(f"{begun.location}/cancel"), data={"csrf": csrf})


@pytest.mark.parametrize("state", ["waiting", "fetched", "answered", "confirmed", "refused"])
def test_cancel_always_returns_to_the_portal(rig: Rig, portal: Portal, state: str) -> None:
    begun = portal.begin()
    csrf = csrf_of(portal, begun.location)
    if state == "fetched":
        request_object(rig, portal.link(portal.page(begun)))
    elif state == "answered":
        answered(portal, begun)
    elif state == "confirmed":
        confirmed(portal, begun, across(portal, begun))
    elif state == "refused":
        answer = Answer(rig, portal.link(portal.page(begun)))
        answer.form = {"error": "access_denied"}
        answer.send()
    with harmless(rig, ("login.cancelled", None)):
        response = cancel(portal, begun, csrf)
        to_portal(response, portal.redirect_uri, "access_denied", begun.state, rig.issuer)
    with harmless(rig):
        page(cancel(portal, begun, csrf), 404)
        page(resumed(portal, begun), 404)


def test_an_expired_login_says_so_and_offers_the_way_back(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    url = answered(portal, begun)
    csrf = csrf_of(portal, begun.location)
    rig.clock.forward(901)
    with harmless(rig):
        for target in (portal.absolute(begun.location), url, portal.absolute(f"{begun.location}/consent")):
            shown = page(portal.browser.get(target), 410, "SINWON-L003")
            back = re.search(r'href="([^"]+error=access_denied[^"]*)"', shown.text)
            assert back is not None
            assert back[1].startswith(portal.redirect_uri)
            assert f"state={begun.state}" in back[1]
        page(cancel(portal, begun, csrf), 410)


def test_a_holder_may_ask_for_more_time_up_to_the_limit(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    csrf = csrf_of(portal, begun.location)
    url = portal.absolute(f"{begun.location}/extend")
    for _ in range(3):
        rig.clock.forward(500)
        response = portal.browser.post(url, data={"csrf": csrf})
        assert response.headers["Location"] == begun.location
        assert portal.browser.get(portal.absolute(begun.location)).status_code == 200
    rig.clock.forward(301)
    page(portal.browser.get(portal.absolute(begun.location)), 410)


def test_a_qr_code_is_accepted_until_it_was_replaced_twice(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    codes = [portal.qr(portal.page(begun))]
    for _ in range(3):
        rig.clock.forward(121)
        codes.append(portal.qr(portal.page(begun)))
    assert len(set(codes)) == 4
    requests = [rig.http.get(parse_qs(urlsplit(code).query)["request_uri"][0]) for code in codes]
    assert [response.status_code for response in requests] == [404, 200, 200, 200]
    answer = Answer(rig, codes[1])
    assert answer.send().status_code == 200


def later_codes(page: check.Page) -> list[str]:
    """The links of the QR codes that a page draws in turn."""
    shown = check.required(page, "qr", "sign-in page").attributes
    return [shown["data-link"], *(link for _code, link in json.loads(shown["data-later"]))]


def opens(rig: Rig, code: str) -> int:
    return rig.http.get(parse_qs(urlsplit(code).query)["request_uri"][0]).status_code


def test_a_page_knows_the_codes_that_take_their_turn_while_it_lives(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    codes = later_codes(portal.page(begun))
    assert len(set(codes)) == 5  # of two minutes each
    for passed_s, turn in ((60, 0), (90, 1), (120, 2), (230, 4)):
        rig.clock.forward(passed_s)
        assert later_codes(portal.page(begun)) == codes[turn:]


def test_more_time_brings_more_codes(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    before = later_codes(portal.page(begun))
    rig.clock.forward(300)
    form = {"csrf": csrf_of(portal, begun.location)}
    portal.browser.post(portal.absolute(f"{begun.location}/extend"), data=form)
    after = later_codes(portal.page(begun))
    assert after[:3] == before[2:]
    assert len(after) == 6


def test_a_later_code_opens_in_its_time_and_no_sooner(rig: Rig, portal: Portal) -> None:
    codes = later_codes(portal.page(portal.begin()))
    assert opens(rig, codes[1]) == 404
    rig.clock.forward(125)
    assert opens(rig, codes[1]) == 200
    assert opens(rig, codes[2]) == 404
    rig.clock.forward(361)
    assert opens(rig, codes[2]) == 200
    assert opens(rig, codes[0]) == 404


def test_what_a_wallet_was_asked_by_a_later_code_does_not_change_and_its_answer_counts(
    rig: Rig, portal: Portal
) -> None:
    begun = portal.begin()
    code = later_codes(portal.page(begun))[1]
    rig.clock.forward(130)
    asked = [request_object(rig, code)[1] for _ in range(2)]
    first, again = ((one["nonce"], one["client_metadata"]["jwks"]) for one in asked)
    assert first == again
    rig.clock.forward(299)  # replaced twice meanwhile, but opened in time
    assert Answer(rig, code).send().status_code == 200


def test_nobody_can_tell_the_next_code_from_the_ones_before(rig: Rig, portal: Portal) -> None:
    pages = [later_codes(portal.page(portal.begin())) for _ in range(3)]
    names = [code.rpartition("%2F")[2].rpartition(".")[2] for page in pages for code in page]
    assert len(set(names)) == len(names)


def test_where_another_device_is_not_allowed_there_is_no_code(rig: Rig) -> None:
    portal = rig.variant("gov24", "same-device", cross_device=False)
    assert portal.page(portal.begin()).find("qr") is None


@pytest.mark.parametrize("opened", [False, True])
def test_a_page_waits_as_long_as_its_login_lives_however_old_its_code_is(
    rig: Rig, portal: Portal, monkeypatch: pytest.MonkeyPatch, opened: bool
) -> None:
    begun = portal.begin()
    shown = portal.page(begun)
    waits: list[float] = []

    def admit(_environ: Any, _channel: str, _read_state: Any, max_s: float) -> bool:
        waits.append(max_s)
        return False

    monkeypatch.setattr(rig.app.extensions["sinwon_waiting_room"], "admit", admit)
    if opened:
        request_object(rig, portal.qr(shown))
    rig.clock.forward(200)
    assert portal.browser.get(portal.absolute(f"{begun.location}/events")).status_code == 204
    assert 390 <= waits[0] <= 400


def test_two_tabs_are_two_logins_and_neither_harms_the_other(rig: Rig, portal: Portal) -> None:
    tabs = [portal.begin(), portal.begin()]
    urls = [answered(portal, tab) for tab in tabs]
    for tab, url in zip(reversed(tabs), reversed(urls), strict=True):
        callback = callback_parameters(portal.agree(portal.browser.get(url)))
        assert callback["state"] == tab.state
        assert portal.token(callback["code"], tab.verifier).status_code == 200


def test_two_tabs_of_two_portals_can_be_answered_by_two_people(rig: Rig, portal: Portal) -> None:
    begun = [portal.begin(), portal.begin()]
    urls = [answered(portal, begun[0], "hong"), answered(portal, begun[1], "namgoong")]
    names = []
    for tab, url in zip(begun, urls, strict=True):
        code = callback_parameters(portal.agree(portal.browser.get(url)))["code"]
        token = portal.token(code, tab.verifier).json()["access_token"]
        names.append(portal.userinfo(token).json()["name"])
    assert names == ["홍길동", "남궁민"]


def test_the_attempt_that_was_given_up_cannot_finish_the_new_one(rig: Rig, portal: Portal) -> None:
    old, new = portal.begin(), portal.begin()
    portal.page(new)
    answered(portal, old)
    assert resumed(portal, new).headers["Location"] == new.location


def test_reload_back_and_another_language_keep_the_login(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    links = {portal.link(portal.page(begun)) for _ in range(3)}
    shown = portal.browser.get(portal.absolute(begun.location) + "?lang=en")
    assert 'lang="en"' in shown.text
    links.add(portal.link(portal.page(begun)))
    assert len(links) == 1


def test_two_portals_removed_meanwhile_do_not_break_the_page(rig: Rig) -> None:
    portal = rig.variant("gov24", "soon-gone")
    begun = portal.begin()
    portal.page(begun)
    rig.switch_portal("soon-gone", enabled=False)
    with harmless(rig):
        page(portal.browser.get(portal.absolute(begun.location)), 410, "SINWON-R002")
