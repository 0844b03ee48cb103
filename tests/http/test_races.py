"""Many at once, on every database and store: what may happen once happens once, and nothing falls over."""

import httpx2
import pytest
from sqlalchemy import select

from idp.models import Receipt, db
from idp.oidc import withdrawal
from tests.at_once import MANY, at_once, names, statuses
from tests.harmless import kept, rows
from tests.presenting import Answer
from tests.proving import Prover
from tests.rig import Begun, Portal, Rig, callback_parameters

GRANTS = ["authorization_code", "refresh_token"]


@pytest.fixture(scope="module")
def rig(each_rig: Rig) -> Rig:
    """On every database and store."""
    return each_rig


@pytest.fixture
def gov24(rig: Rig) -> Portal:
    portal = rig.portal("gov24")
    portal.sign_in()
    return portal


def test_a_code_redeemed_by_fifty_at_once_is_redeemed_once_and_its_tokens_die(
    rig: Rig, gov24: Portal
) -> None:
    code, begun = gov24.code()
    last, before = rig.last_event(), rows(rig)
    responses = at_once(*[lambda: gov24.token(code, begun.verifier)] * MANY)
    assert statuses(responses) == {200: 1, 400: MANY - 1}
    assert {r.json()["error"] for r in responses if r.status_code == 400} == {"invalid_grant"}
    assert names(rig, last) == {"code.redeemed": 1, "code.replayed": MANY - 1}
    assert rows(rig) == {**before, "grant": before["grant"] + 1}
    (winner,) = [response.json() for response in responses if response.status_code == 200]
    assert gov24.userinfo(winner["access_token"]).status_code == 401


def test_whether_the_code_or_its_withdrawal_is_quicker_nothing_is_left_that_reads(rig: Rig) -> None:
    for _ in range(3):
        portal = rig.portal("gov24")
        code, begun = portal.code(prompt="login")
        login_id = next(event.login_id for event in rig.events()[::-1] if event.name == "login.finished")
        with rig.app.app_context():
            subject_id = db.session.scalars(
                select(Receipt.subject_id).where(Receipt.login_id == login_id)
            ).one()

        def take_back(subject_id: str = subject_id) -> None:
            with rig.app.app_context():
                withdrawal.withdraw(subject_id, "gov24", now=rig.clock())

        def redeem(portal: Portal = portal, code: str = code, begun: Begun = begun) -> httpx2.Response:
            return portal.token(code, begun.verifier)

        answered, _ = at_once(redeem, take_back)
        if answered.status_code == 200:
            assert portal.userinfo(answered.json()["access_token"]).status_code == 401
        else:
            assert answered.json()["error"] == "invalid_grant"


def test_a_code_tried_by_thieves_while_its_owner_redeems_it_is_the_owners(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    thief = rig.portal("apostille")
    last = rig.last_event()
    responses = at_once(
        *[lambda: thief.token(code, begun.verifier, redirect_uri=gov24.redirect_uri)] * 15,
        lambda: gov24.token(code, begun.verifier),
    )
    assert [response.status_code for response in responses] == [400] * 15 + [200]
    seen = names(rig, last)
    assert seen["code.redeemed"] == 1
    assert seen["code.wrong_client"] + seen["code.replayed"] == 15


def test_a_client_assertion_replayed_by_fifty_at_once_is_good_once(rig: Rig) -> None:
    g4k = rig.portal("g4k")
    g4k.sign_in()
    code, begun = g4k.code()
    assertion = g4k.assertion()
    last = rig.last_event()
    responses = at_once(*[lambda: g4k.token(code, begun.verifier, client_assertion=assertion)] * MANY)
    assert statuses(responses) == {200: 1, 401: MANY - 1}
    assert names(rig, last) == {"code.redeemed": 1, "client.refused": MANY - 1}
    assert {e.reason for e in rig.events(after=last) if e.name == "client.refused"} == {"assertion_replayed"}
    (winner,) = [response.json() for response in responses if response.status_code == 200]
    assert g4k.userinfo(winner["access_token"]).status_code == 200


@pytest.mark.parametrize("attempt", range(5))
@pytest.mark.parametrize("via", ["link", "qr"])
def test_two_wallets_at_once_and_the_first_one_wins(rig: Rig, via: str, attempt: int) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    page = portal.page(begun)
    link = portal.link(page) if via == "link" else portal.qr(page)
    answers = [Answer(rig, link, "hong"), Answer(rig, link, "namgoong")]
    messages = [answer.encrypted() for answer in answers]
    last = rig.last_event()
    responses = at_once(
        *[
            lambda message=message: rig.http.post(answers[0].response_uri, data={"response": message})
            for message in messages
        ]
    )
    assert statuses(responses) == {200: 1, 400: 1}
    seen = [(event.name, event.reason) for event in rig.events(after=last)]
    assert sorted(seen, key=str) == [
        ("presentation.accepted", None),
        ("presentation.rejected", "already_answered"),
    ]
    if via == "link":
        winner = next(response for response in responses if response.status_code == 200)
        code = callback_parameters(portal.agree(portal.browser.get(winner.json()["redirect_uri"])))["code"]
        token = portal.token(code, begun.verifier).json()["access_token"]
        shown = "홍길동" if responses[0].status_code == 200 else "남궁민"
        assert portal.userinfo(token).json()["name"] == shown


def test_one_message_sent_many_times_at_once_is_accepted_once(rig: Rig) -> None:
    portal = rig.portal("gov24")
    answer = Answer(rig, portal.link(portal.page(portal.begin())))
    message = answer.encrypted()
    last = rig.last_event()
    responses = at_once(*[lambda: rig.http.post(answer.response_uri, data={"response": message})] * 20)
    assert set(statuses(responses)) <= {200, 400}
    good = [response for response in responses if response.status_code == 200]
    assert len({response.text for response in good}) == 1
    assert names(rig, last)["presentation.accepted"] == 1


def test_a_response_code_opened_many_times_at_once_makes_one_code(rig: Rig, gov24: Portal) -> None:
    begun = gov24.begin(prompt="login")
    outcome = gov24.show(gov24.link(gov24.page(begun)))
    last, codes = rig.last_event(), kept(rig, "code")
    responses = at_once(*[lambda: gov24.browser.get(outcome.redirect_uri)] * 10)
    assert max(statuses(responses)) < 500
    locations = {response.headers["Location"] for response in responses if response.status_code == 303}
    assert len({location for location in locations if "code=" in location}) == 1
    assert names(rig, last)["login.finished"] == 1
    assert len(kept(rig, "code") - codes) == 1


@pytest.mark.parametrize("attempt", range(5))
def test_a_thief_who_is_as_quick_as_the_owner_gets_no_code(rig: Rig, attempt: int) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    address = portal.show(portal.link(portal.page(begun))).redirect_uri
    thief = rig.browser()
    mine, stolen = at_once(lambda: portal.browser.get(address), lambda: thief.get(address))
    assert stolen.status_code in {403, 404}
    assert "callback" not in stolen.text
    assert mine.status_code < 500


def test_a_consent_form_sent_many_times_at_once_makes_one_consent_and_one_code(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    resumed = portal.to_consent(begun, "invented-501")
    form = portal.open(resumed.headers["Location"])
    last, before, codes = rig.last_event(), rows(rig), kept(rig, "code")

    def click() -> httpx2.Response:
        answered = portal.submit(form, "consent", decision="agree")
        if answered.status_code != 303:
            return answered
        return portal.browser.get(portal.absolute(answered.headers["Location"]))

    responses = at_once(*[click] * 10)
    assert max(statuses(responses)) < 500
    located = {r.headers["Location"] for r in responses if "code=" in r.headers.get("Location", "")}
    assert len(located) == 1
    assert names(rig, last) == {"consent.given": 1, "login.finished": 1}
    assert len(kept(rig, "code") - codes) == 1
    assert rows(rig) == {
        "grant": before["grant"],
        "consent": before["consent"] + 1,
        "subject": before["subject"] + 1,
        "subject_key": before["subject_key"] + 2,  # the certificate's number and 연계정보
    }


def test_a_new_person_in_many_windows_at_once_is_one_person(rig: Rig) -> None:
    portals = [rig.portal(client_id) for client_id in ("gov24", "gov24", "g4k", "efamily") * 2]
    before = rows(rig)
    tokens = at_once(*[lambda portal=portal: portal.sign_in("invented-502") for portal in portals])
    assert rows(rig)["subject"] == before["subject"] + 1
    subs = {
        (portal.client_id, portal.id_token_claims(token["id_token"])["sub"])
        for portal, token in zip(portals, tokens, strict=True)
    }
    assert len(subs) == 3


def test_wrong_numbers_at_once_do_not_buy_more_tries(rig: Rig) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    outcome = portal.show(portal.qr(portal.page(begun)))
    number = rig.browser().get(outcome.redirect_uri).text.split('id="confirmation-number"')[1]
    number = number.split(">")[1].split("<")[0].strip()
    page = portal.page(begun)
    wrong = [f"{(int(number) + n) % 10_000:04}" for n in range(1, 13)]
    responses = at_once(
        *[lambda guess=guess: portal.submit(page, "confirm", number=guess) for guess in wrong]
    )
    assert max(statuses(responses)) < 500
    # A 303 is a page that found the login over already: it leads to where that is said.
    assert all("code=" not in response.headers.get("Location", "") for response in responses)
    assert portal.submit(page, "confirm", number=number).status_code >= 400
    login = begun.location.rpartition("/")[2]
    assert "code=" not in portal.browser.get(f"{rig.issuer}/authorize/resume?login={login}").text


def test_many_people_at_once_each_get_their_own_name(rig: Rig) -> None:
    people = [f"invented-{number}" for number in range(600, 612)]

    def name_of(persona: str) -> str:
        portal = rig.portal("gov24")
        token = portal.sign_in(persona)["access_token"]
        return str(portal.userinfo(token).json()["name"])

    found = at_once(*[lambda persona=persona: name_of(persona) for persona in people])
    assert [name[-3:] for name in found] == [persona[-3:] for persona in people]


def test_a_refresh_token_used_by_fifty_at_once_is_used_once_and_its_family_dies(rig: Rig) -> None:
    portal = rig.variant("gov24", "refreshing", grant_types=GRANTS)
    first = portal.sign_in()
    last = rig.last_event()
    responses = at_once(*[lambda: portal.refresh(first["refresh_token"])] * MANY)
    assert statuses(responses) == {200: 1, 400: MANY - 1}
    assert {r.json()["error"] for r in responses if r.status_code == 400} == {"invalid_grant"}
    seen = names(rig, last)
    assert seen["token.refreshed"] == 1
    assert seen["token.replayed"] >= 1
    # Whoever looked before the first use and found the grant revoked by a replay in between is only refused.
    assert seen["token.replayed"] + seen["token.refused"] == MANY - 1
    (winner,) = [response.json() for response in responses if response.status_code == 200]
    for tokens in (first, winner):
        assert portal.userinfo(tokens["access_token"]).status_code == 401
    assert portal.refresh(winner["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_token_that_is_not_rotated_may_be_used_by_fifty_at_once(rig: Rig) -> None:
    bank = rig.variant("bank", "refreshing-bank", grant_types=GRANTS)
    bank.prover = Prover()
    tokens = bank.sign_in()
    responses = at_once(*[lambda: bank.refresh(tokens["refresh_token"])] * MANY)
    assert statuses(responses) == {200: MANY}
    assert len({response.json()["access_token"] for response in responses}) == MANY


def test_a_dpop_proof_used_by_fifty_at_once_is_good_once(rig: Rig) -> None:
    bank = rig.portal("bank")
    bank.prover = Prover()
    code, begun = bank.code()
    proof = bank.proof("/token")
    responses = at_once(*[lambda: bank.token(code, begun.verifier, dpop=[proof])] * MANY)
    assert statuses(responses) == {200: 1, 400: MANY - 1}
    assert {r.json()["error"] for r in responses if r.status_code == 400} == {"invalid_dpop_proof"}


def test_a_pushed_request_opened_fifty_times_by_one_session_makes_one_code(rig: Rig) -> None:
    g4k = rig.portal("g4k")
    g4k.sign_in()
    request_uri = g4k.push().json()["request_uri"]
    last = rig.last_event()
    responses = at_once(*[lambda: g4k.open_pushed(request_uri)] * MANY)
    assert set(statuses(responses)) <= {303, 400}
    answers = [callback_parameters(response) for response in responses if response.status_code == 303]
    assert sum("code" in answer for answer in answers) == 1
    assert {answer["error"] for answer in answers if "code" not in answer} <= {"invalid_request_uri"}
    assert all("SINWON-R006" in response.text for response in responses if response.status_code == 400)
    assert names(rig, last)["login.finished"] == 1


def test_fifty_logins_by_one_pushed_request_that_end_at_once_make_one_code(rig: Rig) -> None:
    rig.portal("g4k").agree_for_good()
    request_uri = rig.portal("g4k").push().json()["request_uri"]
    portals = [rig.portal("g4k") for _ in range(MANY)]
    begun = [portal.open_pushed(request_uri) for portal in portals]
    addresses = [
        portal.show(portal.link(portal.page(Begun(opened, None, None, "")))).redirect_uri
        for portal, opened in zip(portals, begun, strict=True)
    ]
    last, codes = rig.last_event(), kept(rig, "code")
    responses = at_once(
        *[
            lambda portal=portal, address=address: portal.browser.get(address)
            for portal, address in zip(portals, addresses, strict=True)
        ]
    )
    assert statuses(responses) == {303: MANY}
    answers = [callback_parameters(response) for response in responses]
    assert sum("code" in answer for answer in answers) == 1
    assert {answer["error"] for answer in answers if "code" not in answer} == {"invalid_request_uri"}
    assert names(rig, last) == {"login.finished": 1, "login.refused": MANY - 1}
    assert len(kept(rig, "code") - codes) == 1


def test_a_token_given_back_many_times_at_once_is_given_back(rig: Rig) -> None:
    portal = rig.variant("gov24", "refreshing", grant_types=GRANTS)
    for name in ("access_token", "refresh_token"):
        tokens = portal.sign_in()
        responses = at_once(*[lambda token=tokens[name]: portal.post("/revoke", token=token)] * 20)
        assert statuses(responses) == {200: 20}
        assert portal.userinfo(tokens["access_token"]).status_code == 401


def test_a_refresh_beside_a_revocation_leaves_nothing_alive(rig: Rig) -> None:
    portal = rig.variant("gov24", "refreshing", grant_types=GRANTS)
    for _ in range(5):
        first = portal.sign_in()
        token = first["refresh_token"]
        refreshed, revoked = at_once(
            lambda token=token: portal.refresh(token), lambda token=token: portal.post("/revoke", token=token)
        )
        assert revoked.status_code == 200
        assert refreshed.status_code in {200, 400}
        for tokens in (first, refreshed.json()):
            if "access_token" in tokens:
                assert portal.userinfo(tokens["access_token"]).status_code == 401
                assert portal.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_refresh_beside_a_sign_out_leaves_nothing_alive(rig: Rig) -> None:
    portal = rig.variant("gov24", "refreshing", grant_types=GRANTS)
    for _ in range(5):
        first = portal.sign_in(prompt="login")
        token, hint = first["refresh_token"], {"id_token_hint": first["id_token"]}
        refreshed, left = at_once(
            lambda token=token: portal.refresh(token),
            lambda hint=hint: portal.browser.get(f"{rig.issuer}/logout", params=hint),
        )
        assert left.status_code == 200
        for tokens in (first, refreshed.json()):
            if "access_token" in tokens:
                assert portal.userinfo(tokens["access_token"]).status_code == 401
                assert portal.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
