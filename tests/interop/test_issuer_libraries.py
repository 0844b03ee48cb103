"""Credentials and status lists made by the npm libraries of another implementation, read by ours."""

from __future__ import annotations

import time
from typing import Any

import pytest

from idp.credentials import CredentialRejected, Mission, Reason
from idp.credentials.status import StatusList, TokenType, parse_token
from idp.demo import jose, pki
from idp.demo.authority import Authority
from tests.interop.node_wallet import Held, NodeWallet
from tests.interop.talking import Conversation, private_jwk
from tests.rig import Rig, callback_parameters, person

pytestmark = pytest.mark.node

URI = "https://status.example/lists/1"
FRAME = {
    "_sd": [
        "name", "family_name", "given_name", "birthdate", "sex", "nationalities", "address", "issuing_mission",
        "overseas_registration_number", "passport", "picture", "kr_ci",
    ],
    "_sd_decoy": 2,
    "age_equal_or_over": {"_sd": ["14", "19"]},
    "nationalities": {"_sd": [0]},
    "address": {"_sd": ["formatted"]},
    "passport": {"_sd": ["number", "type", "expiry_date"], "_sd_decoy": 1},
}  # fmt: skip


def signed_by(identity: pki.Identity) -> dict[str, Any]:
    """The members that tell a script to sign as somebody."""
    return {"x5c": jose.x5c([identity.certificate]), "key": private_jwk(identity.key)}


def payload(rig: Rig, persona_id: str, holder: dict[str, str]) -> dict[str, Any]:
    """What the demonstration's authority would put into this persona's credential, nothing concealed yet."""
    issued, _ = Authority(rig.prepared).issue(person(persona_id), jose.generate())
    return {**issued.claims, "cnf": {"jwk": holder}}


@pytest.mark.parametrize("hash_name", ["sha-256", "sha-384", "sha-512"])
def test_a_credential_issued_and_shown_by_the_libraries_signs_its_holder_in(
    rig: Rig,
    issuer: Conversation,
    phone: Conversation,
    hash_name: str,
) -> None:
    holder_key = jose.generate()
    issued = issuer.say(
        {
            "payload": payload(rig, "hong", jose.public_jwk(holder_key.public_key())),
            "frame": FRAME,
            "hash": hash_name,
            **signed_by(rig.prepared.mission_signer("LAX")),
        }
    )
    portal = rig.portal("apostille")
    begun = portal.begin()
    wallet = NodeWallet(rig, phone, [Held("dc+sd-jwt", issued["credential"], holder_key)])
    shown = wallet.open(portal.link(portal.page(begun)))
    assert shown["status"] == 200, shown["body"]
    callback = callback_parameters(portal.agree(portal.browser.get(shown["body"]["redirect_uri"])))
    tokens = portal.token(callback["code"], begun.verifier).json()
    info = portal.userinfo(tokens["access_token"]).json()
    assert info["name"] == "홍길동"
    assert info["kr_passport"]["number"] == "M000A0001"


def status_list(
    rig: Rig, issuer: Conversation, token_type: TokenType, statuses: list[int], bits: int
) -> StatusList:
    """A list made by the libraries, as we read it."""
    now = int(time.time())
    made = issuer.say(
        {
            "statuses": statuses,
            "bits": bits,
            "cwt": token_type is TokenType.CWT,
            "payload": {"sub": URI, "iat": now, "exp": now + 600, "ttl": 60},
            **signed_by(rig.prepared.mission_status_signer("LAX")),
        }
    )
    text = made["token"].encode("ascii")
    token = text if token_type is TokenType.JWT else jose.decode(text.decode("ascii"))
    return parse_token(token, token_type=token_type, uri=URI, mission=mission(rig), now=now)


def mission(rig: Rig) -> Mission:
    """The mission that the lists are signed for."""
    with rig.app.app_context():
        return rig.house.trust.snapshot().missions["LAX"]


@pytest.mark.parametrize("token_type", TokenType)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_status_list_made_by_the_libraries_reads_as_it_was_written(
    rig: Rig, issuer: Conversation, bits: int, token_type: TokenType
) -> None:
    statuses = [index * 7 % (1 << bits) for index in range(64)]
    listed = status_list(rig, issuer, token_type, statuses, bits)
    assert [listed.value(index) for index in range(64)] == statuses
    assert listed.ttl_s == 60
    with pytest.raises(CredentialRejected) as refusal:
        listed.value(64)
    assert refusal.value.reason is Reason.STATUS_INVALID
