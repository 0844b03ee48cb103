"""The simulated national app against a small verifier: what it refuses, what it shows, and what it sends."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from flask import Flask, jsonify, request
from joserfc import jwe, jws
from joserfc.jwk import ECKey

from idp.demo.mobileid import ITEMS, Asked, MobileId
from idp.demo.personas import Behaviour, Persona
from idp.demo.request import RequestRefused
from idp.demo.wallet import CannotAnswer

from .conftest import Guests, listening
from .small_provider import SmallProvider, b64

TRXCODE = "20260101000000000a1b2c3d"
NONCE = "5e" * 32


def envelope(message: Any) -> str:
    return b64(json.dumps(message).encode())


def opened(data: str) -> dict[str, Any]:
    return dict(json.loads(_decoded(data)))


def _decoded(data: str) -> bytes:
    return urlsafe_b64decode(data + "=" * (-len(data) % 4))


class Verifier:
    """Gives out one profile, keeps what it is sent, and says yes unless told otherwise."""

    def __init__(self, provider: SmallProvider, host: str) -> None:
        self.provider = provider
        self.host = host
        self.key = ECKey.generate_key("P-256")
        self.behave()

    def behave(self) -> None:
        """As on its first day."""
        self.inner: dict[str, Any] = {}
        self.signed: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.image = b64(b"\x89PNG")

    def profile(self) -> dict[str, Any]:
        inner = {
            "authType": ["pin"],
            "callBackUrl": f"{self.host}/mip/vp",
            "filter": {"requiredPrivacyList": ["name", "birth", "expatno"]},
            "name": "정부24",
            "nonce": NONCE,
            "publicKey": envelope(self.key.as_dict(private=False)),
            **self.inner,
        }
        text = json.dumps(inner, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        claims = {"profile_sha256": hashlib.sha256(text.encode()).hexdigest(), **self.signed}
        header = {"typ": "mip-profile+jwt", **self.header}
        # Signed as the small provider signs its requests, with another `typ`.
        return {"profile": inner, "proof": {"signatureValue": self.provider.sign_request(claims, **header)}}

    def m200(self, **changes: Any) -> str:
        message = {
            "type": "mip",
            "version": "1.1.0",
            "cmd": "200",
            "trxcode": TRXCODE,
            "mode": "direct",
            "host": self.host,
            "image": "link",
            **changes,
        }
        return envelope({name: value for name, value in message.items() if value is not None})

    def application(self) -> Flask:
        app = Flask("verifier")

        @app.post("/mip/<door>")
        def answer(door: str) -> Any:
            message = opened(request.get_json()["data"])
            self.sent.append((door, message))
            if door in self.answers:
                return self.answers[door]
            if door == "profile":
                told = {**message, "profile": envelope(self.profile())}
                return jsonify(result=True, data=envelope(told))
            return jsonify(result=True, **({"data": self.image} if door == "image" else {}))

        return app

    def last(self, door: str) -> dict[str, Any]:
        name, message = self.sent[-1]
        assert name == door
        return message

    def refuses(self, code: int) -> dict[str, Any]:
        return {"result": False, "data": envelope({"type": "mip", "cmd": "900", "errcode": code})}


@pytest.fixture(scope="module")
def running_verifier(running_guests: Guests) -> Iterator[Verifier]:
    app = Flask("verifier")
    with listening(app) as server:
        made = Verifier(running_guests.provider, f"http://127.0.0.1:{server.port}")
        server.app = made.application()
        yield made


@pytest.fixture
def verifier(running_verifier: Verifier) -> Verifier:
    running_verifier.behave()
    return running_verifier


@pytest.fixture
def phone(guests: Guests) -> MobileId:
    return guests.app.extensions["demo_mobile_id"]  # type: ignore[no-any-return]


def someone(phone: MobileId, behaviour: Behaviour = Behaviour.ANSWERS) -> Persona:
    return next(one for one in phone.personas.values() if one.behaviour is behaviour)


def refusal(phone: MobileId, text: str) -> str:
    with pytest.raises(RequestRefused) as refused:
        phone.receive(text)
    return refused.value.reason


# -- reading -----------------------------------------------------------------------------------------------


def link(code: str) -> str:
    return f"mobileid://verify?{urlencode({'data_type': 'byte', 'mode': 'direct', 'data': code})}"


@pytest.mark.parametrize("scanned", [False, True])
def test_a_code_or_a_link_leads_to_a_profile_and_a_picture(
    phone: MobileId, verifier: Verifier, scanned: bool
) -> None:
    code = verifier.m200()
    asked = phone.receive(code if scanned else link(code))
    assert (asked.service, asked.items) == ("정부24", ("name", "birth", "expatno"))
    assert asked.verifier == "Sinwon demo provider"
    assert asked.image == "data:image/png;base64,iVBORw=="
    assert not asked.secure
    assert [(door, message["cmd"]) for door, message in verifier.sent] == [
        ("profile", "310"),
        ("image", "320"),
    ]
    assert all(message["trxcode"] == TRXCODE for _, message in verifier.sent)


def test_without_a_picture_none_is_asked_for(phone: MobileId, verifier: Verifier) -> None:
    assert phone.receive(verifier.m200(image=None)).image is None
    assert [door for door, _ in verifier.sent] == ["profile"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "mdl"}, "not a request of this protocol"),
        ({"cmd": "310"}, "not a request of this protocol"),
        ({"mode": "proxy"}, "not a request of this protocol"),
        ({"version": "2.0.0"}, "version"),
        ({"host": None}, "host or trxcode"),
        ({"trxcode": ""}, "host or trxcode"),
        ({"host": "http://verifier.example"}, "host is not https"),
        ({"host": "https://user@verifier.example"}, "host"),
    ],
    ids=str,
)
def test_a_code_with_a_wrong_member_is_refused(
    phone: MobileId, verifier: Verifier, changes: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(phone, verifier.m200(**changes))
    assert verifier.sent == []


@pytest.mark.parametrize("text", ["", "hello", "mobileid://verify", "W10", "!" * 20, "A" * 70_000])
def test_what_is_no_code_is_refused(phone: MobileId, text: str) -> None:
    assert refusal(phone, text)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"signed": {"profile_sha256": "0" * 64}}, "another profile"),
        ({"header": {"typ": "JWT"}}, "typ"),
        ({"header": {"x5c": []}}, "x5c"),
        ({"inner": {"nonce": ""}}, "not known here"),
        ({"inner": {"filter": {"requiredPrivacyList": ["name", "blood"]}}}, "not known here"),
        ({"inner": {"filter": {}}}, "not one"),
    ],
    ids=str,
)
def test_a_profile_that_does_not_hold_is_refused(
    phone: MobileId, verifier: Verifier, changes: dict[str, Any], reason: str
) -> None:
    for name, value in changes.items():
        setattr(verifier, name, value)
    assert reason in refusal(phone, verifier.m200())


def test_a_profile_of_another_transaction_is_refused(phone: MobileId, verifier: Verifier) -> None:
    told = envelope({"trxcode": "another", "profile": envelope(verifier.profile())})
    verifier.answers["profile"] = {"result": True, "data": told}
    assert "another transaction" in refusal(phone, verifier.m200())


@pytest.mark.parametrize("answer", ["<html>", "[]", {}, {"result": True}, {"result": True, "data": "e30"}])
def test_a_verifier_that_speaks_otherwise_is_refused(
    phone: MobileId, verifier: Verifier, answer: Any
) -> None:
    verifier.answers["profile"] = answer
    assert refusal(phone, verifier.m200())


def test_the_code_of_a_refusal_is_told(phone: MobileId, verifier: Verifier) -> None:
    verifier.answers["profile"] = verifier.refuses(10104)
    assert "10104" in refusal(phone, verifier.m200())


# -- showing -----------------------------------------------------------------------------------------------


def asked(phone: MobileId, verifier: Verifier, **inner: Any) -> Asked:
    verifier.inner = inner
    return phone.receive(verifier.m200())


def presentation(verifier: Verifier, vp: dict[str, Any]) -> str:
    registry = jwe.JWERegistry(algorithms=["ECDH-ES", "A256GCM"])
    compact = bytes.fromhex(vp["data"]).decode()
    plaintext = jwe.decrypt_compact(compact, verifier.key, registry=registry).plaintext
    assert plaintext is not None
    return str(json.loads(plaintext)["presentation"])


def test_what_is_shown_is_what_was_asked_for(phone: MobileId, verifier: Verifier) -> None:
    question, persona = asked(phone, verifier), someone(phone)
    assert dict(phone.shown(persona, question))["expatno"] == [persona.registration_number]
    assert phone.show(question, persona).taken is True
    message = verifier.last("vp")
    assert (message["cmd"], message["request"], message["trxcode"]) == ("400", "presentation", TRXCODE)
    vp = message["vp"]
    assert (vp["nonce"], vp["authType"], vp["presentType"]) == (NONCE, ["pin"], 1)
    _, *disclosures, binding = presentation(verifier, vp).split("~")
    names = {json.loads(_decoded(one))[1] for one in disclosures}
    assert names == {"name", "birthdate", "14", "19", "overseas_registration_number"}
    claims = json.loads(jws.extract_compact(binding.encode()).payload)
    assert (claims["nonce"], claims["aud"]) == (NONCE, f"mip:{verifier.host}")


@pytest.mark.parametrize(("secure", "ways"), [(True, ["pin", "face"]), (False, ["pin"])])
def test_only_who_has_a_face_on_record_shows_one(
    phone: MobileId, verifier: Verifier, secure: bool, ways: list[str]
) -> None:
    question = asked(phone, verifier, authType=["pin", "face"])
    assert question.secure
    persona = next(one for one in phone.personas.values() if one.secure is secure)
    assert phone.presentation(question, persona)["authType"] == ways


def test_whoever_refuses_sends_20901(phone: MobileId, verifier: Verifier) -> None:
    outcome = phone.show(asked(phone, verifier), someone(phone, Behaviour.REFUSES))
    assert (outcome.taken, outcome.code) == (False, 20901)
    message = verifier.last("error")
    assert (message["cmd"], message["errcode"]) == ("900", 20901)


def test_whoever_never_answers_sends_nothing(phone: MobileId, verifier: Verifier) -> None:
    question = asked(phone, verifier)
    assert phone.show(question, someone(phone, Behaviour.NEVER_ANSWERS)).taken is None
    assert [door for door, _ in verifier.sent] == ["profile", "image"]


def test_a_wrong_nonce_is_wrong(phone: MobileId, verifier: Verifier) -> None:
    phone.show(asked(phone, verifier), someone(phone, Behaviour.WRONG_NONCE))
    assert verifier.last("vp")["vp"]["nonce"] != NONCE


def test_a_refusal_of_the_presentation_is_an_outcome(phone: MobileId, verifier: Verifier) -> None:
    question = asked(phone, verifier)
    verifier.answers["vp"] = verifier.refuses(10100)
    outcome = phone.show(question, someone(phone))
    assert (outcome.taken, outcome.code) == (False, 10100)


def test_a_verifier_that_is_gone_is_said_so(phone: MobileId, verifier: Verifier) -> None:
    question = asked(phone, verifier, callBackUrl="http://127.0.0.1:9/mip/vp")
    with pytest.raises(CannotAnswer):
        phone.show(question, someone(phone))


def test_every_item_that_the_demonstration_asks_for_is_known(guests: Guests) -> None:
    looks = [
        kind["formats"]["mip"]
        for kind in guests.prepared.trust()["credential_type"]
        if "mip" in kind["formats"]
    ]
    assert looks
    assert {item for one in looks for (item,) in one["elements"].values()} <= ITEMS.keys()


# -- the pages ---------------------------------------------------------------------------------------------


@pytest.fixture
def hand(guests: Guests) -> Iterator[httpx2.Client]:
    base = guests.prepared.mobileid_url
    with httpx2.Client(base_url=base, headers={"Accept-Language": "en"}, trust_env=False) as client:
        yield client


def ticket(page: httpx2.Response) -> str:
    assert page.status_code == 200, page.text
    found = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert found
    return found[1]


def test_a_scanned_code_shows_who_asks_and_everything_that_would_be_shown(
    hand: httpx2.Client, verifier: Verifier, phone: MobileId
) -> None:
    page = hand.post("scan", data={"code": verifier.m200()}, follow_redirects=True)
    assert ticket(page)
    persona = someone(phone)
    for text in (
        "정부24",
        "Sinwon demo provider",
        verifier.host.partition("//")[2],
        persona.registration_number,
    ):
        assert text in page.text
    assert persona.passport_number not in page.text


def test_approving_and_cancelling_end_on_a_page_of_the_app(hand: httpx2.Client, verifier: Verifier) -> None:
    for action, kind, door in (("submit", "submitted", "vp"), ("cancel", "declined", "error")):
        page = hand.get("verify", params={"data": verifier.m200()})
        form = {"ticket": ticket(page), "persona": "hong", "action": action}
        ended = hand.post("verify", data=form)
        assert f'data-outcome="{kind}"' in ended.text
        assert verifier.last(door)
        again = hand.post("verify", data=form)
        assert (again.status_code, 'data-outcome="again"' in again.text) == (400, True)


def test_the_pages_say_what_came_of_it(hand: httpx2.Client, verifier: Verifier) -> None:
    def submit(persona: str = "hong") -> httpx2.Response:
        page = hand.get("verify", params={"data": verifier.m200()})
        return hand.post("verify", data={"ticket": ticket(page), "persona": persona, "action": "submit"})

    verifier.answers["vp"] = verifier.refuses(10100)
    refused = submit()
    assert 'data-outcome="rejected"' in refused.text
    assert "10100" in refused.text
    verifier.answers["vp"] = "nothing of this protocol"
    cannot = submit()
    assert (cannot.status_code, 'data-outcome="cannot"' in cannot.text) == (502, True)


def test_a_code_that_is_none_is_refused_on_a_page(hand: httpx2.Client) -> None:
    page = hand.post("scan", data={"code": "hello"}, follow_redirects=True)
    assert page.status_code == 400
    assert 'id="refusal"' in page.text
