"""Open DID wallets: offer, profile, presentation, and back to the browser; and each way in which that is refused."""

import json
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import zxingcpp

from idp.admin import wallets
from idp.credentials import RegistryUnavailable, multibase
from idp.demo import check
from idp.demo.open_did import data
from idp.demo.open_did.registry import Registry
from idp.demo.open_did.wallet import Asked, Fault, Wallet, read_offer
from idp.demo.wallet import Outcome
from idp.oidc.credential_watch import CredentialWatch, Round
from idp.opendid.offers import MAX_TRANSACTIONS
from tests.at_rest.searching import Search, needles
from tests.harmless import decent, harmless
from tests.rig import Begun, Portal, Rig, callback_parameters, person, started

WALLET = "demo-open-did"
API = "/opendid/verifier/api/v1"
REJECTED = "presentation.rejected"
REFUSED = "SSRVVRF00202"


def use_wallets(rig: Rig, *only: str) -> None:
    """The demonstration's wallets, or only these of them, from now on."""
    document = {"wallet": rig.prepared.wallets(rig.prepared.wallet_link)}
    with rig.app.app_context():
        wallets.apply(document, now=rig.clock())
        for entry in document["wallet"]:
            wallets.switch(entry["id"], enabled=not only or entry["id"] in only, now=rig.clock())
        rig.clock.forward(wallets.RELOAD_S)
        rig.house.wallets.in_use()
        rig.clock.offset_s = 0


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        use_wallets(running)
        yield running


@pytest.fixture
def portal(rig: Rig) -> Portal:
    return rig.portal("gov24")


@pytest.fixture
def wallet(rig: Rig) -> Wallet:
    return rig.guests.extensions["demo_open_did_wallet"]


@pytest.fixture
def registry(rig: Rig) -> Registry:
    return rig.guests.extensions["demo_did_registry"]


def page(portal: Portal, begun: Begun) -> check.Page:
    """The sign-in page with the Open DID wallet chosen."""
    return portal.open(f"{begun.location}?wallet={WALLET}")


def asked(portal: Portal, wallet: Wallet, via: str = "link") -> tuple[Begun, Asked]:
    """A sign-in that a wallet has opened."""
    begun = portal.begin()
    shown = page(portal, begun)
    return begun, wallet.receive(portal.link(shown) if via == "link" else portal.qr(shown))


def show(wallet: Wallet, opened: Asked, persona: str = "hong", fault: Fault = Fault.NONE) -> Outcome:
    return wallet.show(opened, person(persona), fault)


def message(wallet: Wallet, opened: Asked, **changes: Any) -> dict[str, Any]:
    """A good answer with some members changed."""
    return {**wallet.answer(opened, person("hong")), **changes}


def send(rig: Rig, body: Any, path: str = "/request-verify") -> httpx2.Response:
    return rig.http.post(f"{rig.issuer}{API}{path}", json=body)


def told(response: httpx2.Response, status: int, code: str) -> None:
    """A refusal in the protocol's words, with nothing else in it."""
    assert response.status_code == status, response.text
    if status != 503:
        decent(response)
    body = response.json()
    assert body.keys() == {"code", "description", "correlationId"}
    assert body["code"] == code
    assert body["correlationId"] == response.headers["X-Correlation-Id"]


def number_of(opened: Asked) -> str:
    """The four digits in a profile's title."""
    found = re.search(r"\b([0-9]{4})\b", opened.title)
    assert found is not None, opened.title
    return found[1]


def finishes(portal: Portal, begun: Begun, resumed: httpx2.Response) -> dict[str, Any]:
    """Consent, code, tokens: the claims of the ID token and of UserInfo."""
    callback = callback_parameters(portal.agree(resumed))
    response = portal.token(callback["code"], begun.verifier)
    assert response.status_code == 200, response.text
    said = portal.userinfo(response.json()["access_token"]).json()
    return {**said, **portal.id_token_claims(response.json()["id_token"])}


# -- signing in --------------------------------------------------------------------------------------------------


def test_a_holder_signs_in_with_the_wallet_on_this_device(portal: Portal, wallet: Wallet) -> None:
    begun, opened = asked(portal, wallet)
    outcome = show(wallet, opened)
    assert outcome.redirect_uri is not None, outcome
    claims = finishes(portal, begun, portal.browser.get(outcome.redirect_uri))
    assert claims["name"] == "홍길동"
    assert claims["amr"] == ["pop", "pin"]
    assert claims["acr"].endswith("/acr/general")


def test_a_holder_signs_in_with_the_wallet_on_another_device(portal: Portal, wallet: Wallet) -> None:
    begun, opened = asked(portal, wallet, "qr")
    assert show(wallet, opened).status == 200
    confirmed = portal.submit(page(portal, begun), "confirm", number=number_of(opened))
    claims = finishes(portal, begun, portal.browser.get(portal.absolute(confirmed.headers["Location"])))
    assert claims["amr"] == ["pop", "pin", "qr"]


def test_a_wallet_that_follows_no_address_needs_only_its_number(portal: Portal, wallet: Wallet) -> None:
    """What any wallet can do: the answer's `redirectUri` is beyond the protocol."""
    begun, opened = asked(portal, wallet)
    assert show(wallet, opened).status == 200
    waiting = page(portal, begun)
    assert waiting.find("confirm") is not None
    confirmed = portal.submit(waiting, "confirm", number=number_of(opened))
    finishes(portal, begun, portal.browser.get(portal.absolute(confirmed.headers["Location"])))


def test_the_phones_page_shows_the_number_that_the_wallet_showed(portal: Portal, wallet: Wallet) -> None:
    _, opened = asked(portal, wallet, "qr")
    redirect_uri = show(wallet, opened).redirect_uri
    assert redirect_uri is not None
    assert number_of(opened) in portal.rig.browser().get(redirect_uri).text


def test_a_portal_that_takes_no_other_device_takes_no_number(rig: Rig, wallet: Wallet) -> None:
    """It could be told on the telephone; there the wallet has to bring its holder back to this browser."""
    bank = rig.portal("bank")
    begun = bank.begin_pushed()
    opened = wallet.receive(bank.link(page(bank, begun)))
    assert opened.title == bank.registration["name"]["ko"]
    assert not re.search(r"[0-9]{4}", opened.description)
    redirect_uri = show(wallet, opened).redirect_uri
    assert redirect_uri is not None
    assert page(bank, begun).find("confirm") is None
    assert "/consent" in bank.browser.get(redirect_uri).headers["Location"]


def test_a_wrong_number_signs_nobody_in(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    begun, opened = asked(portal, wallet)
    show(wallet, opened)
    wrong = f"{(int(number_of(opened)) + 1) % 10_000:04}"
    with harmless(rig, ("login.wrong_number", None)):
        assert portal.submit(page(portal, begun), "confirm", number=wrong).status_code == 403


def test_a_secure_portal_asks_for_both_keys(rig: Rig, wallet: Wallet) -> None:
    portal = rig.portal("efamily")
    begun, opened = asked(portal, wallet)
    assert opened.process["authType"] == 0x8006
    redirect_uri = show(wallet, opened).redirect_uri
    assert redirect_uri is not None
    claims = finishes(portal, begun, portal.browser.get(redirect_uri))
    assert claims["acr"].endswith("/acr/secure")
    assert claims["amr"] == ["pop", "pin", "bio"]


def test_one_person_is_one_subject_whichever_wallet_they_use(rig: Rig, wallet: Wallet) -> None:
    first, second = rig.portal("g4k"), rig.portal("g4k")
    begun, opened = asked(first, wallet)
    redirect_uri = show(wallet, opened).redirect_uri
    assert redirect_uri is not None
    open_did = finishes(first, begun, first.browser.get(redirect_uri))
    assert second.id_token_claims(second.sign_in()["id_token"])["sub"] == open_did["sub"]


@pytest.mark.parametrize("client_id", ["gov24", "g4k", "apostille", "efamily", "bank"])
def test_the_demonstrations_portals_take_it_on_one_device(rig: Rig, client_id: str) -> None:
    shown = check.sign_in(f"{rig.prepared.portals_url}/{client_id}/", wallet=WALLET)
    assert shown.claims["name"] == "홍길동"


def test_the_demonstrations_portals_take_it_across_devices(rig: Rig) -> None:
    shown = check.sign_in_across_devices(f"{rig.prepared.portals_url}/gov24/", wallet=WALLET)
    assert shown.claims["birthdate"] == "1985-03-14"


# -- the offer ---------------------------------------------------------------------------------------------------


def test_the_qr_code_holds_an_offer_that_a_wallet_can_read(portal: Portal, wallet: Wallet) -> None:
    html = portal.browser.get(portal.absolute(f"{portal.begin().location}?wallet={WALLET}")).text
    envelope = json.loads(scanned(html))
    payload = json.loads(multibase.decode(envelope["payload"]))
    assert envelope["payloadType"] == "SUBMIT_VP"
    assert payload.keys() == {
        "offerId", "type", "mode", "device", "service", "endpoints", "validUntil", "locked",
    }  # fmt: skip
    assert (payload["type"], payload["mode"], payload["locked"]) == ("VerifyOffer", "Direct", False)
    assert wallet.receive(json.dumps(envelope)).verifier == portal.registration["name"]["ko"]


def scanned(html: str) -> str:
    """What a camera reads off the QR code of a page."""
    found = re.search(
        r'<svg[^>]*viewBox="-4 -4 (\d+) \d+"[^>]*>.*?<path stroke="#000" d="([^"]*)"', html, re.S
    )
    assert found is not None
    size, scale = int(found[1]), 4
    modules = [bytearray(b"\xff" * size) for _ in range(size)]
    for y, runs in re.findall(r"M0 (\d+)\.5([^M]*)", found[2]):
        x = 4
        for gap, run in re.findall(r"(?:m(\d+) 0)?h(\d+)", runs):
            x += int(gap or 0)
            modules[int(y) + 4][x : x + int(run)] = bytes(int(run))
            x += int(run)
    rows = [bytes(module for module in row for _ in range(scale)) * scale for row in modules]
    image = memoryview(b"".join(rows)).cast("B", shape=[size * scale, size * scale])
    (read,) = zxingcpp.read_barcodes(image)
    return read.text


def test_the_same_page_offers_the_same(portal: Portal) -> None:
    begun = portal.begin()
    first, second = (read_offer(portal.link(page(portal, begun))) for _ in range(2))
    assert first == second


def test_link_and_code_are_two_offers(portal: Portal) -> None:
    shown = page(portal, portal.begin())
    assert read_offer(portal.link(shown)).offer_id != read_offer(portal.qr(shown)).offer_id


# -- the profile -------------------------------------------------------------------------------------------------


def test_a_profile_asks_for_what_the_portal_asks_for(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    _, opened = asked(portal, wallet)
    (schema,) = opened.schemas
    codes = {code.rpartition(".v1.")[2] for code in schema["requiredClaims"]}
    assert codes - {"kr_ci"} == {
        "name",
        "birthdate",
        "overseas_registration_number",
    }  # CI where we may ask for it
    assert "did:omn:demo-LAX" in schema["allowedIssuers"]
    assert "did:omn:demo-NEW" not in schema["allowedIssuers"]  # it does not issue yet
    assert opened.process["endpoints"] == [f"{rig.issuer}/opendid/verifier"]
    assert opened.process["reqE2e"]["nonce"] == opened.process["verifierNonce"]
    assert opened.process["authType"] == 6


def test_each_fetch_is_a_transaction_of_its_own(portal: Portal, wallet: Wallet) -> None:
    link = portal.link(page(portal, portal.begin()))
    first, second = wallet.receive(link), wallet.receive(link)
    assert first.transaction_id != second.transaction_id
    for name in ("verifierNonce", "reqE2e"):
        assert first.process[name] != second.process[name]
    assert show(wallet, first).status == 200


def test_an_offer_is_opened_only_so_often(rig: Rig, portal: Portal) -> None:
    offer = read_offer(portal.link(page(portal, portal.begin())))
    body = {"id": "1", "offerId": offer.offer_id}
    with harmless(rig):
        statuses = [send(rig, body, "/request-profile").status_code for _ in range(MAX_TRANSACTIONS + 1)]
    assert statuses == [200] * MAX_TRANSACTIONS + [429]


def test_the_page_learns_that_a_wallet_came(portal: Portal, wallet: Wallet) -> None:
    begun, _ = asked(portal, wallet)
    status = portal.browser.get(portal.absolute(f"{begun.location}/status")).json()
    assert status == {"state": "fetched"}


def test_the_profile_speaks_the_holders_language(portal: Portal, wallet: Wallet) -> None:
    begun = portal.begin(ui_locales="en")
    opened = wallet.receive(portal.link(page(portal, begun)))
    assert opened.verifier == portal.registration["name"]["en"]
    assert opened.profile["language"] == "en"
    assert opened.title.endswith(f"number {number_of(opened)}")


# -- refused presentations ---------------------------------------------------------------------------------------

FAULTS = {
    Fault.WRONG_NONCE: "key_binding_nonce",
    Fault.STOLEN: "holder_mismatch",
    Fault.TAMPERED_CLAIM: "issuer_signature",
    Fault.OTHER_HOLDER_KEY: "key_binding_signature",
    Fault.UNKNOWN_ISSUER: "issuer_untrusted",
    Fault.EXPIRED: "expired",
    Fault.REVOKED: "status_revoked",
    Fault.SUSPENDED: "status_suspended",
    Fault.NO_KEY_AGREEMENT_PROOF: "key_agreement",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_presentation_that_is_wrong_is_refused(
    rig: Rig, portal: Portal, wallet: Wallet, fault: Fault
) -> None:
    _, opened = asked(portal, wallet)
    body = wallet.answer(opened, person("hong"), fault)
    with harmless(rig, (REJECTED, FAULTS[fault])):
        told(send(rig, body), 400, REFUSED)
    # What was refused ends nothing: whoever saw the QR code could send it.
    assert show(wallet, opened).status == 200


def test_every_fault_of_the_demonstration_is_tried() -> None:
    assert {*FAULTS, Fault.NONE, Fault.NO_ANSWER, Fault.OTHER_REGISTRY} == set(Fault)


def test_a_holder_of_another_registry_cannot_be_checked(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    """Their document cannot be had here: no word against them, and no sign-in either."""
    _, opened = asked(portal, wallet)
    body = wallet.answer(opened, person("hong"), Fault.OTHER_REGISTRY)
    with harmless(rig, (REJECTED, "did_unavailable")):
        response = send(rig, body)
    told(response, 503, "SSRVVRF00903")
    assert response.headers["Retry-After"] == "5"


def test_a_document_that_another_registry_made_is_refused(
    rig: Rig, portal: Portal, wallet: Wallet, registry: Registry
) -> None:
    """The registry gives a document for the DID that is another's."""
    _, opened = asked(portal, wallet)
    body = wallet.answer(opened, person("hong"), Fault.OTHER_REGISTRY)
    holder = body["accE2e"]["proof"]["verificationMethod"].partition("?")[0]
    registry._documents[holder] = registry.document("did:omn:demo-LAX")
    with harmless(rig, (REJECTED, "did_document")):
        told(send(rig, body), 400, REFUSED)


def test_a_holder_whose_did_was_deactivated_is_refused(
    rig: Rig, portal: Portal, wallet: Wallet, registry: Registry
) -> None:
    lost = person("invented-7")
    wallet.personas.setdefault(lost.id, lost)
    registry.deactivate(wallet.held(lost).holder.did)
    _, opened = asked(portal, wallet)
    with harmless(rig, (REJECTED, "did_deactivated")):
        told(send(rig, wallet.answer(opened, lost)), 400, REFUSED)


def test_a_credential_that_is_revoked_later_is_refused_at_once(
    rig: Rig, portal: Portal, wallet: Wallet, registry: Registry
) -> None:
    unlucky = person("invented-8")
    _, first = asked(portal, wallet)
    assert wallet.show(first, unlucky).status == 200
    registry.set_status(wallet.held(unlucky).credential["id"], "REVOKED")
    _, second = asked(portal, wallet)
    with harmless(rig, (REJECTED, "status_revoked")):
        told(send(rig, wallet.answer(second, unlucky)), 400, REFUSED)


@pytest.mark.parametrize(
    ("persona", "reason"),
    [
        ("lee", "status_revoked"),
        ("jung", "status_suspended"),
        ("yoon", "expired"),
        ("oh", "key_binding_nonce"),
    ],
)
def test_a_persona_is_what_they_are_in_this_wallet_too(
    rig: Rig, portal: Portal, wallet: Wallet, persona: str, reason: str
) -> None:
    _, opened = asked(portal, wallet)
    with harmless(rig, (REJECTED, reason)):
        assert show(wallet, opened, persona).status == 400


def test_a_pin_is_not_enough_for_a_secure_portal(rig: Rig, wallet: Wallet) -> None:
    begun, opened = asked(portal := rig.portal("efamily"), wallet)
    with harmless(rig, (REJECTED, "too_weak")):
        assert show(wallet, opened, "kim").status == 400
    assert "SINWON-C008" in portal.browser.get(portal.absolute(begun.location)).text


def test_something_required_that_is_not_shown_is_refused(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    _, opened = asked(portal, wallet)
    (schema,) = opened.schemas
    less = {**schema, "requiredClaims": schema["requiredClaims"][:1], "displayClaims": []}
    opened.profile["profile"]["filter"]["credentialSchemas"] = [less]
    with harmless(rig, (REJECTED, "incomplete")):
        told(send(rig, message(wallet, opened)), 400, REFUSED)


def test_the_page_tells_the_holder_what_to_do(portal: Portal, wallet: Wallet) -> None:
    begun, opened = asked(portal, wallet)
    show(wallet, opened, fault=Fault.REVOKED)
    assert "SINWON-C003" in portal.browser.get(portal.absolute(begun.location)).text


# -- whose answer ------------------------------------------------------------------------------------------------


def test_the_same_answer_again_gets_the_same_reply(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    begun, opened = asked(portal, wallet)
    body = message(wallet, opened)
    first = send(rig, body).json()
    assert send(rig, body).json() == first
    assert send(rig, {**body, "id": "202611230000000000001234ABCD"}).json() == first
    finishes(portal, begun, portal.browser.get(first["redirectUri"]))


def test_an_answer_that_was_used_signs_nobody_in_again(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    begun, opened = asked(portal, wallet)
    body = message(wallet, opened)
    finishes(portal, begun, portal.browser.get(send(rig, body).json()["redirectUri"]))
    with harmless(rig):
        told(send(rig, body), 400, "SSRVVRF00300")


def test_an_answer_that_was_seen_leads_another_browser_nowhere(
    rig: Rig, portal: Portal, wallet: Wallet
) -> None:
    _, opened = asked(portal, wallet)
    redirect_uri = send(rig, message(wallet, opened)).json()["redirectUri"]
    with harmless(rig, ("login.wrong_browser", "right_code")):
        assert rig.browser().get(redirect_uri).status_code == 403


def test_another_answer_after_the_first_changes_nothing(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    begun, opened = asked(portal, wallet)
    redirect_uri = show(wallet, opened).redirect_uri
    with harmless(rig, (REJECTED, "already_answered")):
        told(send(rig, wallet.answer(opened, person("kim"))), 400, "SSRVVRF00301")
    assert redirect_uri is not None
    assert finishes(portal, begun, portal.browser.get(redirect_uri))["name"] == "홍길동"


def test_an_answer_to_another_logins_offer_is_refused(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    _, thiefs = asked(rig.portal("gov24"), wallet)
    _, victims = asked(portal, wallet)
    with harmless(rig, (REJECTED, "not_readable")):
        told(send(rig, message(wallet, victims, txId=thiefs.transaction_id)), 400, REFUSED)


def test_an_answer_in_another_transaction_of_the_offer_is_refused(
    rig: Rig, portal: Portal, wallet: Wallet
) -> None:
    link = portal.link(page(portal, portal.begin()))
    first, second = wallet.receive(link), wallet.receive(link)
    with harmless(rig, (REJECTED, "not_readable")):
        told(send(rig, message(wallet, first, txId=second.transaction_id)), 400, REFUSED)


def test_a_signed_agreement_of_another_answer_does_not_fit(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    _, opened = asked(portal, wallet)
    other = message(wallet, opened)
    with harmless(rig, (REJECTED, "not_readable")):
        told(send(rig, message(wallet, opened, accE2e=other["accE2e"])), 400, REFUSED)


def test_a_login_that_has_expired_takes_no_answer(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    _, opened = asked(portal, wallet)
    body = message(wallet, opened)
    rig.clock.forward(rig.house.settings.lifetimes.login_max_s)
    try:
        with harmless(rig):
            response = send(rig, body)
            assert response.status_code == 400
            assert response.json()["code"] in {"SSRVVRF00300", "SSRVVRF00302"}
    finally:
        rig.clock.offset_s = 0


def test_a_presentation_that_was_made_too_long_ago_is_refused(
    rig: Rig, portal: Portal, wallet: Wallet
) -> None:
    _, opened = asked(portal, wallet)
    old = Wallet(
        wallet._authority,
        wallet._registry,
        wallet.personas.values(),
        clock=lambda: rig.clock() - 661,  # ten minutes of its own, and a minute of grace
    )
    with harmless(rig, (REJECTED, "key_binding_time")):
        told(send(rig, old.answer(opened, person("hong"))), 400, REFUSED)
    old.close()


def test_a_wallet_that_was_switched_off_gets_no_answer_in(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    _, opened = asked(portal, wallet)
    try:
        use_wallets(rig, "demo")
        with harmless(rig):
            told(send(rig, message(wallet, opened)), 400, "SSRVVRF00300")
    finally:
        use_wallets(rig)


def test_an_offer_is_no_question_of_the_other_protocol(rig: Rig, portal: Portal) -> None:
    begun = portal.begin()
    page(portal, begun)
    login = rig.house.logins.show(begun.location.rpartition("/")[2], cookie(portal, begun))
    ask = next(ask for ask in login.asks if ask.wallet == WALLET)
    with harmless(rig):
        assert rig.http.get(f"{rig.issuer}/wallet/request/{ask.id}").status_code == 404


def cookie(portal: Portal, begun: Begun) -> str | None:
    return portal.browser.cookies.get(f"login-{begun.location.rpartition('/')[2]}")


# -- what cannot be read -----------------------------------------------------------------------------------------


def test_nobody_learns_how_a_block_was_padded(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    """CBC without authentication: a wrong padding, and a right one around rubbish, are told alike."""
    _, opened = asked(portal, wallet)
    good = message(wallet, opened)
    encrypted = bytearray(data.from_text(good["encVp"]))
    heard = set()
    with harmless(rig, *[(REJECTED, "not_readable")] * 17):
        for last in (*range(1, 17), 255):
            changed = bytes(encrypted[:-17]) + bytes([encrypted[-17] ^ last]) + bytes(encrypted[-16:])
            response = send(rig, {**good, "encVp": data.base64_text(changed[:32] + changed[-32:])})
            told(response, 400, REFUSED)
            heard.add((response.status_code, response.json()["description"]))
    assert len(heard) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"encVp": "m"},
        {"encVp": "not multibase"},
        {"encVp": "mAAAA"},
        {"encVp": "m" + "A" * 64},
        {"encVp": "z" + "2" * 70_000},
        {"accE2e": {}},
        {"accE2e": {"publicKey": "z1", "iv": "m"}},
        {"accE2e": {"publicKey": 7, "iv": []}},
    ],
    ids=lambda changes: json.dumps(changes)[:40],
)
def test_what_does_not_decrypt_is_refused(
    rig: Rig, portal: Portal, wallet: Wallet, changes: dict[str, Any]
) -> None:
    _, opened = asked(portal, wallet)
    with harmless(rig, (REJECTED, "not_readable")):
        told(send(rig, message(wallet, opened, **changes)), 400, REFUSED)


@pytest.mark.parametrize("changes", [{"encVp": None}, {"encVp": 7}, {"accE2e": None}, {"accE2e": "x"}])
def test_an_answer_without_a_part_is_refused(
    rig: Rig, portal: Portal, wallet: Wallet, changes: dict[str, Any]
) -> None:
    _, opened = asked(portal, wallet)
    with harmless(rig, (REJECTED, "malformed")):
        told(send(rig, message(wallet, opened, **changes)), 400, REFUSED)


@pytest.mark.parametrize("path", ["/request-profile", "/request-verify", "/confirm-verify"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"id":"1","id":"2"}',
        b'{"id":"1","txId":7,"offerId":7}',
        b'{"id":"1","txId":"","offerId":""}',
        b'{"id":"1"}',
        b"[" * 3000,
        b"\xff\xfe",
        b'{"id":"1","offerId":"' + b"x" * 200 + b'","txId":"' + b"x" * 200 + b'"}',
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_a_body_that_is_no_message_is_refused(rig: Rig, path: str, body: bytes) -> None:
    with harmless(rig):
        response = rig.http.post(
            f"{rig.issuer}{API}{path}", content=body, headers={"Content-Type": "application/json"}
        )
        told(response, 400, "SSRVVRF00100")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_read(rig: Rig, content_type: str) -> None:
    with harmless(rig):
        response = rig.http.post(
            f"{rig.issuer}{API}/request-verify", content=b"{}", headers={"Content-Type": content_type}
        )
        told(response, 400, "SSRVVRF00100")


@pytest.mark.parametrize(
    ("path", "name", "code"),
    [
        ("/request-profile", "offerId", "SSRVVRF00200"),
        ("/confirm-verify", "offerId", "SSRVVRF00200"),
        ("/request-verify", "txId", "SSRVVRF00300"),
    ],
)
@pytest.mark.parametrize("value", ["00000000-0000-4000-8000-000000000000", "x", "../login", "%00", "홍길동"])
def test_what_is_not_known_is_told_so(rig: Rig, path: str, name: str, code: str, value: str) -> None:
    with harmless(rig):
        told(send(rig, {"id": "1", name: value}, path), 400, code)


def test_an_offer_is_no_transaction_and_a_transaction_no_offer(
    rig: Rig, portal: Portal, wallet: Wallet
) -> None:
    link = portal.link(page(portal, portal.begin()))
    offer, opened = read_offer(link), wallet.receive(link)
    with harmless(rig):
        told(send(rig, message(wallet, opened, txId=offer.offer_id)), 400, "SSRVVRF00300")
        body = {"id": "1", "offerId": opened.transaction_id}
        told(send(rig, body, "/request-profile"), 400, "SSRVVRF00200")


def test_a_body_over_the_limit_is_not_read(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    _, opened = asked(portal, wallet)
    with harmless(rig):
        large = "m" + "A" * rig.house.settings.server.max_body_bytes
        told(send(rig, message(wallet, opened, encVp=large)), 413, "SSRVVRF00100")
        told(send(rig, {"id": "1", "offerId": "x" * 70_000}, "/request-profile"), 413, "SSRVVRF00100")
    assert show(wallet, opened).status == 200


@pytest.mark.parametrize("path", ["/request-profile", "/request-verify", "/confirm-verify"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post_is_there(rig: Rig, path: str, method: str) -> None:
    with harmless(rig):
        response = rig.http.request(method, f"{rig.issuer}{API}{path}")
        told(response, 405, "SSRVVRF00100")
        assert "POST" in response.headers["Allow"]


def test_offers_are_not_made_for_strangers(rig: Rig) -> None:
    with harmless(rig):
        told(send(rig, {"id": "1", "policyId": "1"}, "/request-offer-qr"), 404, "SSRVVRF00100")


# -- confirmation ------------------------------------------------------------------------------------------------


def test_whether_an_offer_was_answered_is_told_and_with_what_is_not(
    rig: Rig, portal: Portal, wallet: Wallet
) -> None:
    link = portal.link(page(portal, portal.begin()))
    offer_id = read_offer(link).offer_id
    assert send(rig, {"offerId": offer_id}, "/confirm-verify").json() == {"result": False}
    show(wallet, wallet.receive(link))
    assert send(rig, {"offerId": offer_id}, "/confirm-verify").json() == {"result": True}


def test_an_answer_tells_the_wallet_nothing_about_the_person(
    rig: Rig, portal: Portal, wallet: Wallet
) -> None:
    _, opened = asked(portal, wallet)
    reply = send(rig, message(wallet, opened))
    assert reply.json().keys() == {"txId", "redirectUri"}
    assert reply.json()["txId"] == opened.transaction_id
    assert set(parse_qs(urlsplit(reply.json()["redirectUri"]).query)) == {"login", "response_code"}


def test_nothing_about_the_person_rests_anywhere(rig: Rig, portal: Portal, wallet: Wallet) -> None:
    """Neither what was shown, nor the holder's DID, nor the credential's id, whether a sign-in ended or not."""
    people = [person(f"invented-{number}") for number in (21, 22, 23)]
    values: dict[str, str] = {}
    for one, ends in zip(people, ("finished", "presented", "refused"), strict=True):
        begun, opened = asked(portal := rig.portal("apostille"), wallet)
        fault = Fault.WRONG_NONCE if ends == "refused" else Fault.NONE
        outcome = wallet.show(opened, one, fault)
        if ends == "finished":
            assert outcome.redirect_uri is not None
            finishes(portal, begun, portal.browser.get(outcome.redirect_uri))
        held = wallet.held(one)
        shown = {claim["code"]: claim["value"] for claim in held.credential["credentialSubject"]["claims"]}
        names = ("name", "given_name", "overseas_registration_number", "passport.number", "address.formatted")
        values |= {f"{one.id} {name}": shown[f"kr.example.overseas.v1.{name}"] for name in names}
        values |= {f"{one.id} DID": held.holder.did, f"{one.id} credential": held.credential["id"]}
    kept = sorted(rig.prepared.directory.glob("sinwon*.db*"))
    assert any("store" in file.name for file in kept)
    assert Search(needles(values)).in_files(*kept) == {}


# -- the registry ------------------------------------------------------------------------------------------------


@contextmanager
def house(directory: Path, **overrides: Any) -> Iterator[Rig]:
    with started(directory, {f"opendid.{name}": value for name, value in overrides.items()}) as running:
        use_wallets(running)
        yield running


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("where", ["nobody_listens", "not_allowed"])
def test_a_registry_that_cannot_be_asked_lets_nobody_in(tmp_path: Path, where: str) -> None:
    url = f"http://127.0.0.1:{closed_port()}/api" if where == "nobody_listens" else "http://10.1.2.3/api"
    with house(tmp_path, registry_url=url) as rig:
        wallet: Wallet = rig.guests.extensions["demo_open_did_wallet"]
        _, opened = asked(rig.portal(), wallet)
        with harmless(rig, (REJECTED, "did_unavailable")):
            told(send(rig, message(wallet, opened)), 503, "SSRVVRF00903")


def test_a_deployment_without_it_offers_no_such_wallet(tmp_path: Path) -> None:
    nothing = dict.fromkeys(
        ("verification_method", "private_key_file", "certificate_vc_url", "registry_url"), ""
    )
    with house(tmp_path, **nothing) as rig:
        portal = rig.portal()
        begun = portal.begin()
        assert WALLET not in portal.browser.get(portal.absolute(begun.location)).text
        assert portal.link(page(portal, begun)).startswith(rig.prepared.wallet_link)
        with harmless(rig):
            told(
                send(rig, {"id": "1", "offerId": secrets.token_hex(8)}, "/request-profile"),
                404,
                "SSRVVRF00100",
            )


# -- a credential that ends later --------------------------------------------------------------------------------


class Away:
    """A registry that does not answer, and counts who asks."""

    def __init__(self) -> None:
        self.n_asked = 0

    def document(self, did: str, version: str | None = None) -> Any:
        raise RegistryUnavailable("away")

    def vc_meta(self, vc_id: str) -> Any:
        self.n_asked += 1
        raise RegistryUnavailable("away")


def watched(rig: Rig, registry: Any) -> Round:
    house = rig.house
    watch = CredentialWatch(
        sessions=house.sessions,
        trust=house.trust.snapshot,
        status=house.status_lists,
        registry=registry,
        clock=rig.clock,
    )
    with rig.app.app_context():
        return watch.round(60)


def signed_in(portal: Portal, wallet: Wallet, persona: str) -> str:
    begun, opened = asked(portal, wallet)
    redirect_uri = show(wallet, opened, persona).redirect_uri
    assert redirect_uri is not None
    finishes(portal, begun, portal.browser.get(redirect_uri))
    return str(wallet.held(person(persona)).credential["id"])


def lives(portal: Portal) -> bool:
    return "code" in callback_parameters(portal.begin(prompt="none").response)


@pytest.mark.parametrize(("persona", "status"), [("invented-8801", "REVOKED"), ("invented-8802", "INACTIVE")])
def test_a_credential_that_ends_at_the_registry_ends_its_session(
    rig: Rig, wallet: Wallet, registry: Registry, persona: str, status: str
) -> None:
    assert rig.house.opendid is not None
    portal, bystander = rig.portal("gov24"), rig.portal("gov24")
    vc_id = signed_in(portal, wallet, persona)
    signed_in(bystander, wallet, "invented-8803")
    assert watched(rig, rig.house.opendid.registry).n_withdrawn == 0
    registry.set_status(vc_id, status)
    assert watched(rig, None).n_withdrawn == 0
    assert watched(rig, rig.house.opendid.registry).n_withdrawn == 1
    assert not lives(portal)
    assert lives(bystander)


def test_a_registry_that_does_not_answer_is_asked_once_in_a_round_and_ends_nothing(
    rig: Rig, wallet: Wallet
) -> None:
    portals = [rig.portal("gov24") for _ in range(3)]
    for number, portal in enumerate(portals):
        signed_in(portal, wallet, f"invented-88{number + 10}")
    away = Away()
    done = watched(rig, away)
    assert done.n_withdrawn == 0
    assert sum(done.unknown.values()) >= 3
    assert away.n_asked == 1
    assert all(lives(portal) for portal in portals)
