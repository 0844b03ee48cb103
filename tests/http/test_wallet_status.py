"""Credentials that do not hold any more, that are too weak, or whose status cannot be asked; and what holders read."""

from pathlib import Path

import pytest

from idp.demo.personas import Status
from tests.altering import (
    at,
    flipped,
    link_of,
    putting,
    setting,
    status_at,
    strangers_leaf,
    withheld,
)
from tests.harmless import as_json, decent, harmless
from tests.presenting import Answer, Change
from tests.rig import Portal, Rig, started


@pytest.fixture
def portal(rig: Rig) -> Portal:
    return rig.portal("gov24")


@pytest.mark.parametrize(
    "persona, status, reason",
    [
        ("lee", None, "status_revoked"),
        ("jung", None, "status_suspended"),
        ("yoon", None, "expired"),
        ("shin", None, "issuer_not_active"),
        ("hong", Status.REVOKED, "status_revoked"),
        ("hong", Status.SUSPENDED, "status_suspended"),
        ("hong", Status.EXPIRED, "expired"),
    ],
)
def test_a_credential_that_does_not_hold_is_refused(
    rig: Rig, portal: Portal, persona: str, status: Status | None, reason: str
) -> None:
    answer = Answer(rig, link_of(portal), persona, status)
    with harmless(rig, ("presentation.rejected", reason)):
        as_json(answer.send(), 400, "invalid_request")


def test_a_credential_revoked_after_its_issue_is_refused_once_the_list_is_fetched_anew(
    rig: Rig, portal: Portal
) -> None:
    assert Answer(rig, link_of(portal), "invented-1").send().status_code == 200
    answer = Answer(rig, link_of(portal), "invented-1")
    authority, entry = rig.wallet._authority, answer.entry("invented-1")
    authority.set_status(entry, Status.REVOKED)
    rig.clock.forward(61)
    answer.binding_payload["iat"] = rig.clock()
    with harmless(rig, ("presentation.rejected", "status_revoked")):
        as_json(answer.send(), 400, "invalid_request")


def test_a_weak_credential_is_refused_where_a_strong_one_is_required(rig: Rig) -> None:
    efamily = rig.portal("efamily")
    begun = efamily.begin()
    answer = Answer(rig, efamily.link(efamily.page(begun)), "kim")
    with harmless(rig, ("presentation.rejected", "too_weak")):
        as_json(answer.send(), 400, "invalid_request")
    assert "SINWON-C008" in efamily.browser.get(efamily.absolute(begun.location)).text


@pytest.mark.parametrize(
    "change, code",
    [
        (setting("binding_payload", nonce="x"), "SINWON-L005"),
        (at("issuer_payload", "exp", -61), "SINWON-C002"),
        (strangers_leaf, "SINWON-C007"),
        (withheld("name"), "SINWON-C009"),
        (putting(alter_issuer_jwt=flipped), "SINWON-C001"),
    ],
)
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_the_holder_reads_what_to_do_and_may_go_on_or_leave(
    rig: Rig, portal: Portal, change: Change, code: str, lang: str
) -> None:
    begun = portal.begin(ui_locales=lang)
    answer = Answer(rig, portal.link(portal.page(begun)))
    change(answer)
    body = answer.send().json()
    back = portal.browser.get(body["redirect_uri"])
    assert back.headers["Location"] == begun.location
    shown = decent(portal.browser.get(portal.absolute(begun.location)))
    assert f'lang="{lang}"' in shown.text
    assert code in shown.text
    assert "key_binding" not in shown.text
    assert 'id="wallet-link"' in shown.text


def test_a_status_list_that_cannot_be_had_is_neither_revoked_nor_fine(tmp_path: Path) -> None:
    with started(tmp_path, {"fetch.allow": []}) as rig:
        portal = rig.portal("gov24")
        begun = portal.begin()
        link = portal.link(portal.page(begun))
        with harmless(rig, *[("presentation.rejected", "status_unknown")] * 2):
            for _again in range(2):
                response = Answer(rig, link).send()
                assert response.status_code == 503
                assert response.json()["error"] == "temporarily_unavailable"
                assert response.headers["Retry-After"]
        assert "SINWON-C005" in portal.browser.get(portal.absolute(begun.location)).text


def test_no_other_address_than_an_allowed_one_is_asked_for_a_status_list(rig: Rig, portal: Portal) -> None:
    answer = Answer(rig, link_of(portal))
    status_at(uri="http://127.0.0.1:9/status/LAX")(answer)
    with harmless(rig, ("presentation.rejected", "status_unknown")):
        assert answer.send().status_code == 503
