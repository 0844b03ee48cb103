"""The consent page: the server's own list wins, one form makes one consent, and refusing gives nothing away."""

from itertools import count
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from idp.models import Consent, db
from tests.harmless import EVIL, decent, harmless, page, to_portal
from tests.rig import Begun, Portal, Rig, callback_parameters, person

PEOPLE = count(1000)
NUMBER = "kr_overseas_registration_number"
REQUIRED = {
    "gov24": ["name", "birthdate"],
    "g4k": ["name", "family_name", "given_name", "birthdate", "kr_mission"],
}


@pytest.fixture
def newcomer() -> str:
    """Somebody who never agreed to anything."""
    return f"invented-{next(PEOPLE)}"


def at_consent(portal: Portal, persona: str, **changes: Any) -> Begun:
    """A login that stands before its consent page."""
    begun = portal.begin(**changes)
    assert portal.to_consent(begun, persona).headers["Location"] == f"{begun.location}/consent"
    return begun


def send(portal: Portal, begun: Begun, **chosen: Any) -> httpx2.Response:
    return portal.submit(portal.open(f"{begun.location}/consent"), "consent", **chosen)


def agreed(portal: Portal, begun: Begun, **chosen: Any) -> dict[str, Any]:
    """UserInfo after agreeing."""
    answered = send(portal, begun, **{"decision": "agree", **chosen})
    code = callback_parameters(portal.browser.get(portal.absolute(answered.headers["Location"])))["code"]
    token = portal.token(code, begun.verifier).json()["access_token"]
    return dict(portal.userinfo(token).json())


def consents(rig: Rig) -> int:
    with rig.app.app_context():
        return db.session.scalar(select(func.count()).select_from(Consent)) or 0


@pytest.mark.parametrize("csrf", [None, "", "x", EVIL])
def test_a_form_without_the_pages_token_agrees_to_nothing(rig: Rig, newcomer: str, csrf: str | None) -> None:
    portal = rig.portal("gov24")
    begun = at_consent(portal, newcomer)
    with harmless(rig, ("request.refused", "form_expired")):
        page(send(portal, begun, csrf=csrf, decision="agree"), 403, "SINWON-L008")


def test_a_token_of_another_login_agrees_to_nothing(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    other, begun = at_consent(portal, newcomer), at_consent(portal, newcomer)
    shown = portal.open(f"{other.location}/consent")
    csrf = next(
        item.attributes["value"] for item in shown.root.below() if item.attributes.get("name") == "csrf"
    )
    with harmless(rig, ("request.refused", "form_expired")):
        page(send(portal, begun, csrf=csrf, decision="agree"), 403, "SINWON-L008")


@pytest.mark.parametrize("decision", [None, "", "AGREE", "yes", EVIL])
def test_no_decision_is_no_consent(rig: Rig, newcomer: str, decision: str | None) -> None:
    portal = rig.portal("gov24")
    begun = at_consent(portal, newcomer)
    with harmless(rig, ("request.refused", "form_expired")):
        page(send(portal, begun, decision=decision), 400, "SINWON-L008")


def test_what_the_form_adds_is_not_given(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    begun = at_consent(portal, newcomer)
    said = agreed(
        portal,
        begun,
        item=[*REQUIRED["gov24"], NUMBER, "kr_passport", "address", "picture", "__proto__", EVIL],
        scope="openid kr_passport",
        client_id="apostille",
        redirect_uri="https://evil.example",
        claims='{"userinfo":{"address":null}}',
    )
    assert set(said) == {"sub", "name", "birthdate", NUMBER}


def test_an_optional_item_is_given_when_it_is_ticked_and_only_then(rig: Rig) -> None:
    for ticked in (False, True):
        portal = rig.portal("g4k")
        begun = at_consent(portal, f"invented-{next(PEOPLE)}")
        items = [*REQUIRED["g4k"], *(["address"] if ticked else [])]
        assert ("address" in agreed(portal, begun, item=items)) is ticked


def test_unique_identifying_information_needs_a_tick_of_its_own(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("apostille")
    begun = at_consent(portal, newcomer)
    with harmless(rig):
        for items in (["name", "family_name", "given_name", "birthdate"], []):
            shown = page(send(portal, begun, decision="agree", item=items), 400)
            assert 'role="alert"' in shown.text
    assert "kr_passport" in agreed(portal, begun)


def test_refusing_gives_nothing_away_and_tells_the_portal(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    begun = at_consent(portal, newcomer)
    with harmless(rig, ("consent.refused", None)):
        response = send(portal, begun, decision="refuse")
        to_portal(response, portal.redirect_uri, "access_denied", begun.state, rig.issuer)
    with harmless(rig):
        page(portal.browser.get(portal.absolute(begun.location)), 404)


def test_a_double_click_makes_one_consent_and_one_code(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    begun = at_consent(portal, newcomer)
    form = portal.open(f"{begun.location}/consent")
    before = consents(rig)
    clicks = [portal.submit(form, "consent", decision="agree") for _ in range(2)]
    assert {click.headers["Location"] for click in clicks} == {clicks[0].headers["Location"]}
    resume = portal.absolute(clicks[0].headers["Location"])
    callbacks = [callback_parameters(portal.browser.get(resume)) for _ in range(2)]
    clicks.append(portal.submit(form, "consent", decision="agree"))
    callbacks.append(callback_parameters(portal.browser.get(portal.absolute(clicks[-1].headers["Location"]))))
    assert callbacks[0] == callbacks[1] == callbacks[2]
    assert consents(rig) == before + 1
    assert portal.token(callbacks[0]["code"], begun.verifier).status_code == 200


def test_changing_ones_mind_after_agreeing_does_not_help(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    begun = at_consent(portal, newcomer)
    form = portal.open(f"{begun.location}/consent")
    portal.browser.get(portal.absolute(portal.submit(form, "consent", decision="agree").headers["Location"]))
    with harmless(rig):
        assert (
            portal.submit(form, "consent", decision="refuse")
            .headers["Location"]
            .startswith("/authorize/resume")
        )


def asks(portal: Portal, newcomer: str, **changes: Any) -> bool:
    """Whether a sign-in with the wallet comes to the consent page."""
    begun = portal.begin(**{"scope": "openid profile", **changes})
    return "/consent" in portal.to_consent(begun, newcomer).headers["Location"]


def test_a_consent_is_remembered_only_when_that_is_asked_for(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    agreed(portal, at_consent(portal, newcomer, scope="openid profile"))
    assert asks(rig.portal("gov24"), newcomer)
    portal = rig.portal("gov24")
    agreed(portal, at_consent(portal, newcomer, scope="openid profile"), remember="yes")
    assert not asks(rig.portal("gov24"), newcomer)
    assert asks(rig.portal("gov24"), newcomer, prompt="consent")


@pytest.mark.parametrize("remember", [None, "", "no", "YES", EVIL])
def test_nothing_but_the_tick_makes_a_consent_remembered(
    rig: Rig, newcomer: str, remember: str | None
) -> None:
    portal = rig.portal("gov24")
    agreed(portal, at_consent(portal, newcomer, scope="openid profile"), remember=remember)
    assert asks(rig.portal("gov24"), newcomer)


def test_the_tick_is_not_set_by_us(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    shown = portal.open(f"{at_consent(portal, newcomer).location}/consent")
    [box] = [item for item in shown.root.below() if item.attributes.get("name") == "remember"]
    assert "checked" not in box.attributes


def test_a_consent_of_this_session_counts_in_it_and_ends_with_it(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    agreed(portal, at_consent(portal, newcomer, scope="openid profile"))
    assert "code" in callback_parameters(portal.begin(scope="openid profile", prompt="none").response)
    assert not asks(
        portal, newcomer, prompt="login"
    )  # the wallet again, by the same person in the same browser
    portal.browser.cookies.clear()
    assert asks(portal, newcomer)


def test_the_session_of_somebody_else_lends_no_consent(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    agreed(portal, at_consent(portal, newcomer, scope="openid profile"))
    assert asks(portal, f"invented-{next(PEOPLE)}", prompt="login")


def test_what_was_given_for_a_session_is_not_remembered_by_a_later_tick(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("g4k")
    agreed(
        portal,
        at_consent(portal, newcomer, scope="openid profile address"),
        item=[*REQUIRED["g4k"], "address"],
    )
    again = portal.begin(scope="openid profile", prompt="consent")
    portal.agree(again.response, remember="yes")
    # In this session the address is still known, in the next one it is not.
    assert "code" in callback_parameters(portal.begin(scope="openid profile address", prompt="none").response)
    assert not asks(rig.portal("g4k"), newcomer)
    assert asks(rig.portal("g4k"), newcomer, scope="openid profile address")


def test_a_remembered_consent_is_asked_again_for_something_new(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    agreed(portal, at_consent(portal, newcomer, scope="openid profile"), remember="yes")
    third = rig.portal("gov24")
    said = agreed(third, at_consent(third, newcomer), item=[*REQUIRED["gov24"], NUMBER])
    assert NUMBER in said
    assert not asks(rig.portal("gov24"), newcomer)


def test_the_audit_says_whether_a_consent_is_remembered(rig: Rig, newcomer: str) -> None:
    for remember in (None, "yes"):
        portal, before = rig.portal("gov24"), rig.last_event()
        agreed(portal, at_consent(portal, newcomer), remember=remember)
        [given] = [event for event in rig.events(before) if event.name == "consent.given"]
        assert given.detail is not None
        assert given.detail["remembered"] is (remember == "yes")


def test_prompt_consent_asks_again(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    agreed(portal, at_consent(portal, newcomer))
    begun = portal.begin(prompt="consent")
    assert begun.location.endswith("/consent")


def test_prompt_none_with_a_consent_due_is_told_so(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("gov24")
    agreed(portal, at_consent(portal, newcomer, scope="openid profile"))
    with harmless(rig, ("login.refused", "consent_required")):
        begun = portal.begin(prompt="none")
        to_portal(begun.response, portal.redirect_uri, "consent_required", begun.state, rig.issuer)


def test_somebody_else_than_the_expected_one_leaves_no_trace_even_after_agreeing(
    rig: Rig, newcomer: str
) -> None:
    expected = rig.portal("gov24").sign_in("hong")["id_token"]
    portal = rig.portal("gov24")
    begun = at_consent(portal, newcomer, id_token_hint=expected)
    with harmless(rig, ("login.refused", "login_required")):
        answered = send(portal, begun, decision="agree")
        response = portal.browser.get(portal.absolute(answered.headers["Location"]))
        to_portal(response, portal.redirect_uri, "login_required", begun.state, rig.issuer)


def test_the_page_shows_every_item_masked(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("apostille")
    begun = at_consent(portal, newcomer)
    shown = decent(portal.browser.get(portal.absolute(f"{begun.location}/consent")))
    someone = person(newcomer)
    for value in (someone.name, someone.birthdate, someone.passport_number, someone.registration_number):
        assert value not in shown.text
    assert someone.birthdate[:4] in shown.text


def test_each_item_says_how_long_it_is_kept(rig: Rig, newcomer: str) -> None:
    claims = [
        {"name": "name", "purpose": {"ko": "확인", "en": "Check"}},
        {
            "name": "birthdate",
            "purpose": {"ko": "구별", "en": "Tell"},
            "retention": {"ko": "하루만", "en": "a day"},
        },
    ]
    portal = rig.variant("gov24", "keeper", claims=claims, retention={"ko": "열 해 동안", "en": "ten years"})
    begun = at_consent(portal, newcomer)
    text = portal.open(f"{begun.location}/consent").root.text
    assert text.count("하루만") == 1
    assert text.count("열 해 동안") == 2  # of the name, and of all that says nothing else


def test_what_a_statute_gives_is_announced_and_given_without_a_tick(rig: Rig, newcomer: str) -> None:
    portal = rig.portal("efamily")
    begun = at_consent(portal, newcomer)
    shown = portal.browser.get(portal.absolute(f"{begun.location}/consent"))
    assert "제14조" in shown.text
    assert "birthdate" in agreed(portal, begun, item=["name"])


def test_before_the_wallet_has_answered_there_is_nothing_to_agree_to(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    portal.page(begun)
    with harmless(rig):
        response = portal.browser.get(portal.absolute(f"{begun.location}/consent"))
    assert response.headers["Location"].startswith("/authorize/resume")
