"""Wallets that read the specifications otherwise sign in by their profile, in either format, and by no other's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from idp.admin import wallets
from idp.demo.authority import MDOC, SD_JWT
from idp.demo.request import Dialect
from idp.demo.wallet import Outcome
from tests.harmless import harmless
from tests.rig import Begun, Portal, Rig, callback_parameters, parse_link, person, started

BY_NAME = {"client_id_prefix": "x509_san_dns"}
BY_POST = {"request_uri_method": "post"}
IN_CLEAR = {"response_mode": "direct_post"}
NO_THUMBPRINT = {"session_transcript": "no-thumbprint"}
ISO = {"session_transcript": "iso-18013-7"}
OLDER = {"sd_jwt_types": ["vc+sd-jwt"]}
PROFILES: dict[str, dict[str, Any]] = {
    "haip": {},
    "by-name": BY_NAME,
    "by-post": BY_POST,
    "in-clear": IN_CLEAR,
    "no-thumbprint": NO_THUMBPRINT,
    "iso": ISO,
    "older": OLDER,
    "all-at-once": {**BY_NAME, **BY_POST, **IN_CLEAR, **NO_THUMBPRINT, **OLDER},
}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A provider that goes by a name, which its certificate has, with a wallet of every profile in use."""
    with started(tmp_path_factory.mktemp("house"), host="localhost") as running:
        entries = [
            {
                "id": name,
                "version": 1,
                "name": {"ko": name, "en": name},
                "link": running.prepared.wallet_link,
                **profile,
            }
            for name, profile in PROFILES.items()
        ]
        with running.app.app_context():
            wallets.apply({"wallet": entries}, now=running.clock())
            for name in PROFILES:
                wallets.switch(name, enabled=True, now=running.clock())
            running.clock.forward(wallets.RELOAD_S)
            running.house.wallets.in_use()
        running.clock.offset_s = 0
        yield running


def answered(portal: Portal, begun: Begun, profile: str, like: str, format: str) -> Outcome:
    """What a wallet hears that was chosen as the one of this profile, and is like that of another."""
    wallet = portal.rig.wallet
    link = portal.link(portal.open(f"{begun.location}?wallet={profile}"))
    return wallet.show(
        wallet.receive(parse_link(link), Dialect.like(PROFILES[like])), person("hong"), format=format
    )


@pytest.mark.parametrize("format", [SD_JWT, MDOC])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_wallet_signs_in_by_its_profile(rig: Rig, profile: str, format: str) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    outcome = answered(portal, begun, profile, profile, format)
    assert outcome.redirect_uri is not None, outcome
    callback = callback_parameters(portal.agree(portal.browser.get(outcome.redirect_uri)))
    tokens = portal.token(callback["code"], begun.verifier).json()
    assert portal.id_token_claims(tokens["id_token"])["acr"] == f"{rig.issuer}/acr/secure"


@pytest.mark.parametrize(
    ("profile", "other", "format", "reason"),
    [
        ("no-thumbprint", "haip", MDOC, "device_signature"),
        ("haip", "no-thumbprint", MDOC, "device_signature"),
        ("iso", "haip", MDOC, "device_signature"),
        ("haip", "iso", MDOC, "device_signature"),
        ("older", "haip", SD_JWT, "header_type"),
        ("haip", "older", SD_JWT, "header_type"),
    ],
)
def test_an_answer_is_read_by_the_profile_that_was_asked_and_by_no_other(
    rig: Rig, *, profile: str, other: str, format: str, reason: str
) -> None:
    portal = rig.portal("gov24")
    begun = portal.begin()
    with harmless(rig, ("presentation.rejected", reason)):
        assert answered(portal, begun, profile, other, format).status == 400
