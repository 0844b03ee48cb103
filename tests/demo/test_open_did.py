"""The Open DID wallet refuses what it cannot trust, and the registry says what became of what was issued."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from flask import Flask, jsonify, request

from idp.demo import jose
from idp.demo.open_did import data
from idp.demo.open_did.data import Document
from idp.demo.open_did.registry import Registry
from idp.demo.open_did.wallet import Offer, OfferRefused, Wallet, disclose, read_offer
from idp.demo.personas import PERSONAS

from .conftest import Guests, listening

PERSONA = PERSONAS[0]


@pytest.fixture
def wallet(guests: Guests) -> Wallet:
    return guests.app.extensions["demo_open_did_wallet"]


@pytest.fixture
def registry(guests: Guests) -> Registry:
    return guests.app.extensions["demo_did_registry"]


def offered(endpoint: str = "https://verifier.example/v", **changes: Any) -> str:
    """What a QR code holds, with some of the payload changed (None leaves out)."""
    good = {
        "offerId": "3bf6a1a0-beca-4450-a01e-4e2166819504",
        "type": "VerifyOffer",
        "mode": "Direct",
        "device": "WEB",
        "service": "login",
        "endpoints": [endpoint],
        "locked": False,
    }
    payload = data.base64_text(data.canonical({**good, **changes}))
    return json.dumps({"payloadType": "SUBMIT_VP", "payload": payload})


def test_an_offer_is_read() -> None:
    offer = Offer("3bf6a1a0-beca-4450-a01e-4e2166819504", "https://verifier.example/v")
    assert read_offer(offered()) == offer


@pytest.mark.parametrize(
    "scanned",
    [
        "",
        "hello",
        "openid4vp://?client_id=x&request_uri=y",
        "{}",
        "[]",
        '{"payloadType":"ISSUE_VC","payload":"mAA"}',
        '{"payloadType":"SUBMIT_VP","payload":"xAA"}',
        '{"payloadType":"SUBMIT_VP","payload":"mAA"}',
        offered(mode="Proxy"),
        offered(type="IssueOffer"),
        offered(locked=True),
        offered(endpoints=[]),
        offered(endpoints=["http://verifier.example"]),
        offered(offerId=7),
    ],
)
def test_what_is_no_offer_is_refused(scanned: str) -> None:
    with pytest.raises(OfferRefused):
        read_offer(scanned)


# -- the profile -------------------------------------------------------------------------------------------------


class Verifier:
    """A verifier that the trust agent vouches for, good by default, and what it was posted."""

    def __init__(self, guests: Guests) -> None:
        self.prepared = guests.prepared
        self.change: Callable[[Document], Document] = lambda profile: profile
        self.after: Callable[[Document], Document] = lambda profile: profile
        self.url = ""
        self.key = jose.generate()
        self.app = Flask("verifier")
        self.app.post("/v/api/v1/request-profile")(self.profile)

    def profile(self) -> Any:
        assert request.get_json()["offerId"]
        nonce = data.base64_text(bytes(16))
        process = {
            "endpoints": [f"{self.url}/v"],
            "reqE2e": {
                "nonce": nonce,
                "curve": "Secp256r1",
                "publicKey": data.point_text(self.key.public_key()),
                "cipher": "AES-256-CBC",
                "padding": "PKCS5",
            },
            "verifierNonce": nonce,
            "authType": 6,
        }
        verifier = {
            "did": self.prepared.open_did,
            "certVcRef": self.prepared.open_did_certificate,
            "name": "정부24",
        }
        schema = {"id": self.prepared.open_did_schema, "type": "OsdSchemaCredential", "requiredClaims": []}
        document = {
            "id": "b8302842-0d9b-4f95-9da8-5ae3bbf8dd69",
            "type": "VerifyProfile",
            "title": "정부24",
            "encoding": "UTF-8",
            "language": "ko",
            "profile": {
                "verifier": verifier,
                "filter": {"credentialSchemas": [schema]},
                "process": process,
            },
        }
        bare = data.proof(self.prepared.open_did, "assert", "assertionMethod", 1_700_000_000)
        made = data.with_proof(self.change(document), bare, self.prepared.open_did_key)
        return jsonify(txId="b38aa1e3-48fa-4f5f-be60-05042d9ec660", profile=self.after(made))


@pytest.fixture
def verifier(guests: Guests) -> Any:
    made = Verifier(guests)
    with listening(made.app) as server:
        made.url = f"http://127.0.0.1:{server.port}"
        yield made


def test_a_proper_profile_is_taken(wallet: Wallet, verifier: Verifier) -> None:
    asked = wallet.receive(offered(f"{verifier.url}/v"))
    assert asked.verifier == "정부24"
    assert wallet.can_answer(PERSONA, asked)


def within(*path: str, value: Any) -> Callable[[Document], Document]:
    """Put a value somewhere into a profile."""

    def change(profile: Document) -> Document:
        changed = json.loads(json.dumps(profile))
        inner = changed
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        return changed

    return change


@pytest.mark.parametrize(
    "change",
    [
        within("type", value="IssueProfile"),
        within("encoding", value="EUC-KR"),
        within("profile", "verifier", "did", value="did:omn:demo-LAX"),
        within("profile", "verifier", "did", value="did:omn:nobody"),
        within("profile", "verifier", "certVcRef", value="http://127.0.0.1:9/none"),
        within("profile", "process", "verifierNonce", value="mAAAA"),
        within("profile", "process", "reqE2e", "nonce", value="mAAAA"),
        within("profile", "process", "reqE2e", "cipher", value="AES-256-ECB"),
        within("profile", "process", "reqE2e", "padding", value="NOPAD"),
        within("profile", "process", "reqE2e", "curve", value="Secp256k1"),
        within("profile", "process", "reqE2e", "publicKey", value="z1"),
        within("profile", "process", "authType", value=3),
        within("profile", "process", "endpoints", value=["https://elsewhere.example"]),
        within("profile", value={}),
    ],
)
def test_a_profile_that_breaks_a_rule_is_refused(
    wallet: Wallet, verifier: Verifier, change: Callable[[Document], Document]
) -> None:
    verifier.change = change
    with pytest.raises(OfferRefused):
        wallet.receive(offered(f"{verifier.url}/v"))


@pytest.mark.parametrize(
    "change",
    [
        within("title", value="another"),
        within("proof", "proofPurpose", value="authentication"),
        within("proof", "verificationMethod", value="did:omn:demo-LAX?versionId=1#assert"),
        within("proof", "proofValue", value="z1"),
        within("proof", value=None),
    ],
)
def test_a_profile_that_was_changed_after_signing_is_refused(
    wallet: Wallet, verifier: Verifier, change: Callable[[Document], Document]
) -> None:
    verifier.after = change
    with pytest.raises(OfferRefused):
        wallet.receive(offered(f"{verifier.url}/v"))


def test_a_verifier_that_cannot_be_reached_is_refused(wallet: Wallet) -> None:
    with pytest.raises(OfferRefused, match="cannot be reached"):
        wallet.receive(offered("http://127.0.0.1:9/v"))


# -- credentials and the registry --------------------------------------------------------------------------------


def test_what_is_shown_is_a_part_with_its_signatures(wallet: Wallet) -> None:
    credential = wallet.held(PERSONA).credential
    codes = [claim["code"] for claim in credential["credentialSubject"]["claims"]]
    shown = disclose(credential, codes[3:5])
    assert [claim["code"] for claim in shown["credentialSubject"]["claims"]] == codes[3:5]
    assert shown["proof"]["proofValueList"] == credential["proof"]["proofValueList"][3:5]
    assert "proofValue" not in shown["proof"]


def test_a_credential_names_no_resident_number(wallet: Wallet) -> None:
    codes = {claim["code"] for claim in wallet.held(PERSONA).credential["credentialSubject"]["claims"]}
    assert not [code for code in codes if "administrative" in code]


def test_the_registry_answers_over_http(guests: Guests, wallet: Wallet, registry: Registry) -> None:
    held = wallet.held(PERSONA)
    base = guests.prepared.registry_url
    with httpx2.Client(trust_env=False) as http:
        answer = http.get(f"{base}/did-doc", params={"did": held.holder.did}).json()
        assert json.loads(data.from_text(answer["didDoc"])) == registry.document(held.holder.did)
        answer = http.get(f"{base}/vc-meta", params={"vcId": held.credential["id"]}).json()
        assert json.loads(data.from_text(answer["vcMeta"]))["status"] == "ACTIVE"
        assert http.get(f"{base}/did-doc", params={"did": "did:omn:nobody"}).status_code == 400
        assert http.get(f"{base}/vc-meta", params={"vcId": "none"}).status_code == 400
        did = f"{held.holder.did}?versionId=1"
        assert http.get(f"{base}/did-doc", params={"did": did}).status_code == 200
        assert http.get(f"{base}/did-doc", params={"did": did[:-1] + "2"}).status_code == 400


def test_a_signature_is_what_a_library_takes_for_one() -> None:
    key = jose.generate()
    for number in range(20):
        message = f"{number}".encode()
        value = data.sign(key, message)
        data.check_signature(key.public_key(), value, message)
        assert len(data.from_text(value)) == 65
        with pytest.raises(data.BadData):
            data.check_signature(key.public_key(), value, b"another")


# -- pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_the_pages_are_there(guests: Guests, verifier: Verifier, lang: str) -> None:
    base = f"{guests.prepared.portals_url}/open-did"
    with httpx2.Client(trust_env=False) as http:
        home = http.get(f"{base}/", params={"lang": lang})
        assert home.status_code == 200
        assert PERSONA.name in home.text
        scanned = http.post(f"{base}/scan", data={"link": offered(f"{verifier.url}/v"), "lang": lang})
        assert scanned.status_code == 200
        assert 'id="present"' in scanned.text
        refused = http.post(f"{base}/scan", data={"link": "hello", "lang": lang})
        assert refused.status_code == 400
        again = http.post(f"{base}/open", data={"ticket": "none", "persona": PERSONA.id, "action": "show"})
        assert again.status_code == 400


def test_a_holder_may_refuse(guests: Guests, verifier: Verifier) -> None:
    base = f"{guests.prepared.portals_url}/open-did"
    with httpx2.Client(trust_env=False) as http:
        answered = http.post(f"{base}/open", data={"action": "refuse"})
    assert 'data-outcome="declined"' in answered.text
