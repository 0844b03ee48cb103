"""Many who sign in, and some who do not arrive: what they show, how far they come, and what must be nowhere after."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from idp.claims import CLAIMS, SCOPES
from idp.demo import personas
from idp.demo.authority import MDOC, SD_JWT
from idp.demo.personas import Persona, Status
from idp.demo.wallet import Fault
from tests.at_rest.searching import Value
from tests.crowd import Client, Holder, Place, Unexpected, all_of
from tests.deployed import Deployment

THREADS = 6
REDIRECT_URI = "http://127.0.0.1:9/everything/callback"
SECRET = secrets.token_urlsafe(32)
PORTAL = {
    "client_id": "everything",
    "name": {"ko": "모두", "en": "Everything"},
    "operator": {"ko": "시험", "en": "Test"},
    "redirect_uris": [REDIRECT_URI],
    "token_endpoint_auth_method": "client_secret_basic",
    "client_secret_sha256": [hashlib.sha256(SECRET.encode()).hexdigest()],
    "grant_types": [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
    ],
    "scopes": list(SCOPES),
    "claims": [{"name": name, "purpose": {"ko": "시험", "en": "Test"}} for name in CLAIMS],
    "retention": {"ko": "시험", "en": "Test"},
}
CLIENT = Client("everything", REDIRECT_URI, " ".join(SCOPES), SECRET)


# -- those who do not arrive ------------------------------------------------------------------------------


def stops_after(step: str, via: str = "link") -> Callable[[Holder], None]:
    def walk(holder: Holder) -> None:
        holder.via = via
        holder.go(until=step)

    return walk


def refused_for(fault: Fault) -> Callable[[Holder], None]:
    def walk(holder: Holder) -> None:
        holder.fault = fault
        holder.go(until="fetch")
        holder.show(status=400)

    return walk


def revoked(holder: Holder) -> None:
    holder.persona = replace(holder.persona, status=Status.REVOKED)
    holder.go(until="fetch")
    holder.show(status=400)


def refuses_in_the_wallet(holder: Holder) -> None:
    holder.go(until="fetch")
    holder.refuse()


def refuses_consent(holder: Holder) -> None:
    holder.go(until="read_consent")
    holder.agree("refuse")


def comes_back_in_another_browser(holder: Holder) -> None:
    holder.go(until="show")
    answer = holder.place.line.send("GET", holder.redirect_uri.removeprefix(holder.place.line.url))
    assert answer.status == 403


def redeems_without_the_verifier(holder: Holder) -> None:
    holder.go(until="finish")
    holder.verifier = secrets.token_urlsafe(48)
    with pytest.raises(Unexpected, match="400"):
        holder.redeem()


def at_a_counter(holder: Holder) -> None:
    """The holder agreed on the phone, and the counter has not asked yet: what was shown waits under its code."""
    holder.issue()
    holder.begin_at_counter()
    for step in ("look", "fetch", "show", "come_back", "read_consent", "agree", "finish_at_counter"):
        getattr(holder, step)()


WAYS: dict[str, Callable[[Holder], None]] = {
    "waits": stops_after("look"),
    "request fetched": stops_after("fetch"),
    "shown on this device": stops_after("show"),
    "shown on another device": stops_after("show", via="qr"),
    "number typed, consent page open": stops_after("read_consent", via="qr"),
    "consent page open": stops_after("read_consent"),
    "agreed, not come back": stops_after("agree"),
    "code not redeemed": stops_after("finish"),
    "token not used": stops_after("redeem"),
    "agreed at a counter that has not asked": at_a_counter,
    "comes back in another browser": comes_back_in_another_browser,
    "redeems without the verifier": redeems_without_the_verifier,
    "refuses in the wallet": refuses_in_the_wallet,
    "refuses on the consent page": refuses_consent,
    "revoked": revoked,
    "wrong nonce": refused_for(Fault.WRONG_NONCE),
    "altered": refused_for(Fault.TAMPERED_SIGNATURE),
    "of another holder": refused_for(Fault.OTHER_HOLDER_KEY),
    "answered in clear": refused_for(Fault.UNENCRYPTED),
}


# -- what they know of themselves, and what they were given -------------------------------------------------------


def values_of(persona: Persona, missions: dict[str, Any]) -> dict[str, Value]:
    """Everything a credential says of a person, as text, and the portrait also as the image it is."""
    claims = persona.claims(missions[persona.mission])
    return {
        "name": persona.name,
        "Latin name": persona.latin_name,
        "given name": persona.given_name,
        "birthdate": persona.birthdate,
        "sex": str(persona.sex),
        "nationality": "KR",
        "address": persona.address,
        "registration number": persona.registration_number,
        "passport number": persona.passport_number,
        "passport's authority": claims["passport"]["issuing_authority"],
        "mission": claims["issuing_mission"]["name_ko"],
        "picture": claims["picture"],
        "linking information": claims["kr_ci"],
        "image": base64.b64decode(claims["picture"].partition(",")[2]),
    }


DECODABLE = {"cookie login", "cookie session", "code", "device code", "access token", "refresh token"}


def bearer_values(holder: Holder) -> dict[str, Value]:
    secrets_known: dict[str, Value] = dict(holder.bearer_secrets())
    decoded = {
        f"{name}, decoded": base64.urlsafe_b64decode(f"{value}==")
        for name, value in secrets_known.items()
        if name in DECODABLE and isinstance(value, str)
    }
    return {**secrets_known, **decoded}


def sign_in(deployment: Deployment, n_finished: int, n_unfinished: int) -> list[Holder]:
    """So many whole sign-ins, and so many that stop on the way, each in the next of the WAYS."""
    place = Place.of(deployment.prepared)
    finishing = [Holder(place, CLIENT, personas.invented(number)) for number in range(n_finished)]
    stopping = [
        Holder(place, CLIENT, personas.invented(number))
        for number in range(n_finished, n_finished + n_unfinished)
    ]
    ways = list(WAYS.values())

    def finish(holder: Holder) -> None:
        holder.via = "qr" if holder.persona.sex == 1 else "link"
        holder.format = MDOC if holder.persona.birthdate.endswith("3") else SD_JWT
        holder.go()
        holder.refresh()
        holder.read()
        assert holder.claims["name"] == holder.persona.name
        assert holder.claims["kr_passport"]["number"] == holder.persona.passport_number
        assert holder.claims["picture"].startswith("data:image/png")

    def stop(numbered: tuple[int, Holder]) -> None:
        ways[numbered[0] % len(ways)](numbered[1])

    try:
        all_of(finishing, finish, THREADS)
        all_of(enumerate(stopping), stop, THREADS)
    finally:
        place.line.close()
    return [*finishing, *stopping]
