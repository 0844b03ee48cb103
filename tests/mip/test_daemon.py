"""The operator's daemon over real HTTP, well-behaved and not. "No" is what it says of a presentation, nothing else."""

import json
import threading
from typing import Any

import pytest

from idp.credentials.verdict import CredentialRejected, Reason
from idp.fetch import FetchRefused
from idp.mip import messages
from idp.mip.backend import BackendUnavailable, Offered
from idp.mip.daemon import MAX_ANSWER_BYTES, Daemon
from idp.mip.errors import AppGaveUp, MessageRefused
from idp.mip.messages import Preparation
from tests.mip import asking, stand_in
from tests.mip.conftest import ISSUER, client, in_front_of
from tests.mip.test_messages import VP

PREPARATION = Preparation("20261128101112131ABCDEF01", "wss://relay.example:9090")


def asked(**changes: Any) -> Any:
    return asking.asked(asking.registry(), **changes)


def shown(nonce: str, *ways: str) -> messages.UnverifiedVp:
    return messages.read_vp({**VP, "nonce": nonce, "authType": list(ways) or ["pin"]})


def verify(daemon: Daemon, **changes: Any) -> Any:
    question = asked(**changes)
    offered = daemon.profile(question)
    return daemon.verify(question, offered, shown(offered.nonce, "pin", "face"))


# -- what goes well --------------------------------------------------------------------------------------------------


def test_a_profile_is_the_daemons_own(daemon: Daemon, operator: stand_in.Daemon) -> None:
    offered = daemon.profile(asked())
    inner = stand_in.unpack(offered.profile)["profile"]
    assert inner["nonce"] == offered.nonce
    assert inner["svcCode"] == "mep.1"
    assert operator.transactions[offered.reference]["status"] == "0002"


def test_the_service_code_is_the_one_that_was_asked_for(daemon: Daemon) -> None:
    offered = daemon.profile(asked(secure=True))
    assert stand_in.unpack(offered.profile)["profile"]["svcCode"] == "mep.2"


def test_what_is_valid_is_shown_in_our_words(daemon: Daemon) -> None:
    verified = verify(daemon)
    assert verified.format == "mip"
    assert verified.name == "mep.1"
    assert verified.type_id == asking.TYPE_ID
    assert verified.mission.code == "LAX"
    assert verified.claims["name"] == "홍길동"
    assert verified.status.fresh


def test_pin_and_face_are_what_the_secure_service_says(daemon: Daemon) -> None:
    assert verify(daemon).authentication == ()
    assert verify(daemon, secure=True).authentication == ("pin", "face")


def test_the_daemon_is_handed_what_the_app_sent(daemon: Daemon, operator: stand_in.Daemon) -> None:
    question = asked()
    offered = daemon.profile(question)
    daemon.verify(question, offered, messages.read_vp({**VP, "nonce": offered.nonce, "appVersion": "9"}))
    sent = next(stand_in.unpack(body["data"]) for path, body in operator.asked if path == "/mip/vp")
    assert sent["trxcode"] == offered.reference
    assert sent["vp"] == {**VP, "nonce": offered.nonce, "appVersion": "9"}


# -- what it says no to ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (False, Reason.VERIFIER_REFUSED),
        ((10111, "mismatching nonce"), Reason.VERIFIER_REFUSED),
        ((10112, "mismatching authType"), Reason.VERIFIER_REFUSED),
        ((19003, "SP certification error"), Reason.VERIFIER_REFUSED),
        ((99999, "Unknown error : 제출불가 상태 : REMOVE"), Reason.STATUS_REVOKED),
        ((99999, "Unknown error : 제출불가 상태 : PAUSE"), Reason.STATUS_SUSPENDED),
        ((99999, "Unknown error : 제출불가 상태 : NEED_RENEW(기간만료)"), Reason.EXPIRED),
        ((99999, "Unknown error : 제출불가 상태 : NOT_EXIST"), Reason.STATUS_INVALID),
    ],
)
def test_what_the_daemon_says_is_not_valid_is_refused(
    daemon: Daemon, operator: stand_in.Daemon, verdict: Any, reason: Reason
) -> None:
    operator.verdict = verdict
    with pytest.raises(CredentialRejected) as rejected:
        verify(daemon)
    assert rejected.value.reason is reason


def test_a_valid_presentation_from_a_mission_that_is_not_open_is_refused(
    daemon: Daemon, operator: stand_in.Daemon
) -> None:
    operator.items["emblnm"] = "주가상 대한민국 대사관"
    with pytest.raises(CredentialRejected) as rejected:
        verify(daemon)
    assert rejected.value.reason is Reason.ISSUER_NOT_ACTIVE


def test_a_second_presentation_for_one_profile_is_out_of_order(
    daemon: Daemon, operator: stand_in.Daemon
) -> None:
    question = asked()
    offered = daemon.profile(question)
    operator.verdict = False
    with pytest.raises(CredentialRejected):
        daemon.verify(question, offered, shown(offered.nonce))
    with pytest.raises(MessageRefused) as refused:
        daemon.verify(question, offered, shown(offered.nonce))
    assert refused.value.code == 10201


# -- what says nothing about a presentation --------------------------------------------------------------------------

WRONG_ANSWERS: dict[str, tuple[int, bytes]] = {
    "500": (500, b"{}"),
    "404": (404, b"<html>"),
    "302": (302, b""),
    "empty": (200, b""),
    "html": (200, b"<html>"),
    "a_list": (200, b"[]"),
    "no_result": (200, b'{"data":"e30"}'),
    "result_is_text": (200, b'{"result":"true"}'),
    "nothing_in_it": (200, b'{"result":true}'),
    "not_base64": (200, b'{"result":true,"data":"!"}'),
    "twice": (200, b'{"result":true,"result":false}'),
    "too_much": (200, b'{"result":true,"data":"' + b"A" * (MAX_ANSWER_BYTES + 1) + b'"}'),
}


@pytest.mark.parametrize("path", ["/app2app/start", "/mip/profile", "/mip/vp", "/mip/privacy"])
@pytest.mark.parametrize("kind", WRONG_ANSWERS)
def test_a_wrong_answer_is_never_a_no(
    daemon: Daemon, operator: stand_in.Daemon, path: str, kind: str
) -> None:
    if (path, kind) == ("/mip/vp", "nothing_in_it"):
        return  # there it is the answer
    operator.instead[path] = WRONG_ANSWERS[kind]
    if path == "/mip/vp" and kind == "not_base64":
        operator.instead[path] = (200, b'{"result":false,"data":"!"}')
    with pytest.raises(BackendUnavailable):
        verify(daemon)


@pytest.mark.parametrize("code", [99999, 10301, 10302, 19001, 19002, 12345])
def test_trouble_of_its_own_is_never_a_no(daemon: Daemon, operator: stand_in.Daemon, code: int) -> None:
    operator.verdict = (code, "blockchain node unreachable")
    with pytest.raises(BackendUnavailable):
        verify(daemon)


@pytest.mark.parametrize("path", ["/app2app/start", "/mip/profile", "/mip/privacy"])
def test_a_refusal_before_or_after_the_verdict_is_never_a_no(
    daemon: Daemon, operator: stand_in.Daemon, path: str
) -> None:
    m900 = stand_in.pack({"type": "mip", "version": "1.0.0", "cmd": "900", "errcode": 10104, "errmsg": "x"})
    operator.instead[path] = (200, json.dumps({"result": False, "data": m900}).encode())
    with pytest.raises(BackendUnavailable):
        verify(daemon)


@pytest.mark.parametrize(
    "profile",
    [
        {"nonce": None},
        {"nonce": "short"},
        {"nonce": 5},
        {"svcCode": "mep.2"},
        {"callBackUrl": "https://elsewhere.example/mip/vp"},
        {"callBackUrl": f"{ISSUER}/mip/vp?to=them"},
    ],
)
def test_a_profile_that_would_lead_the_app_astray_is_not_handed_on(
    daemon: Daemon, operator: stand_in.Daemon, profile: dict[str, Any]
) -> None:
    operator.profile = profile
    with pytest.raises(BackendUnavailable):
        daemon.profile(asked())


def test_a_profile_that_leads_back_to_us_is_handed_on(daemon: Daemon, operator: stand_in.Daemon) -> None:
    operator.profile = {"callBackUrl": f"{ISSUER}/mip/vp"}
    assert daemon.profile(asked()).profile


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {},
        "x",
        [{"type": "name"}, 7],
        [{"type": "name", "value": "a"}, {"type": "name", "value": "b"}],
        [{"type": 1, "value": "a"}],
        [{"type": "name", "value": ["a"]}],
        [{"type": f"n{i}", "value": "a"} for i in range(65)],
        [{"type": "name", "value": "a" * 700_001}],
    ],
    ids=str,
)
def test_items_that_are_none_are_never_a_no(daemon: Daemon, operator: stand_in.Daemon, payload: Any) -> None:
    body = json.dumps({"result": True, "data": stand_in.pack(payload)}).encode()
    operator.instead["/mip/privacy"] = (200, body)
    with pytest.raises(BackendUnavailable):
        verify(daemon)


def test_a_slow_daemon_is_not_waited_for(operator: stand_in.Daemon) -> None:
    hurried = in_front_of(operator.origin, timeout_s=0.3)
    operator.wait.clear()
    try:
        with pytest.raises(BackendUnavailable, match="too slow"):
            hurried.profile(asked())
    finally:
        operator.wait.set()
        hurried.close()


def test_a_daemon_that_is_down_is_unavailable() -> None:
    with stand_in.daemon() as gone:
        lost = in_front_of(gone.origin)
    with pytest.raises(BackendUnavailable):
        lost.verify(asked(), Offered("e30", "n" * 64, "t"), shown("n" * 64))
    lost.close()


def test_the_client_goes_nowhere_but_to_the_daemon(operator: stand_in.Daemon) -> None:
    with stand_in.daemon() as other, client(operator.origin) as narrow, pytest.raises(FetchRefused):
        narrow.exchange(f"{other.origin}/mip/vp", b"{}", "application/json", accept="application/json")
    assert other.asked == []


def test_no_error_shows_what_was_presented(daemon: Daemon, operator: stand_in.Daemon) -> None:
    operator.instead["/mip/privacy"] = (
        200,
        json.dumps({"result": True, "data": stand_in.pack([{"type": "name", "value": ["홍길동"]}])}).encode(),
    )
    with pytest.raises(BackendUnavailable) as unavailable:
        verify(daemon)
    assert "홍길동" not in str(unavailable.value)


# -- QR-CPM ----------------------------------------------------------------------------------------------------------


def test_the_daemon_meets_the_app_at_the_relay(daemon: Daemon, operator: stand_in.Daemon) -> None:
    assert daemon.meet(asked(), PREPARATION).claims["name"] == "홍길동"
    path, body = operator.asked[0]
    assert path == "/qrcpm/start"
    assert body["svcCode"] == "mep.1"
    m120 = stand_in.unpack(body["m120Base64"])
    assert (m120["trxcode"], m120["host"]) == (PREPARATION.trxcode, PREPARATION.host)


@pytest.mark.parametrize(
    ("met", "error"),
    [
        ({"trxStsCode": "0004", "vpVerifyResult": "N"}, CredentialRejected),
        ({"trxStsCode": "0003", "vpVerifyResult": "N"}, CredentialRejected),
        ({"trxStsCode": "0001", "vpVerifyResult": "N"}, MessageRefused),
        ({"trxStsCode": "0002", "vpVerifyResult": "N"}, MessageRefused),
        ({}, MessageRefused),
    ],
)
def test_how_a_meeting_ended_is_read(
    daemon: Daemon, operator: stand_in.Daemon, met: dict[str, str], error: type[Exception]
) -> None:
    operator.met = met
    with pytest.raises(error):
        daemon.meet(asked(), PREPARATION)


@pytest.mark.parametrize(
    ("text", "code"), [("cancel by user", 20901), ("VC not exists", 20301), ("?", 99999), (None, 99999)]
)
def test_an_app_that_gave_up_at_the_relay_is_heard(
    daemon: Daemon, operator: stand_in.Daemon, text: str | None, code: int
) -> None:
    operator.met = {"trxStsCode": "0005", "vpVerifyResult": "N", "errorCn": text}
    with pytest.raises(AppGaveUp) as gave_up:
        daemon.meet(asked(), PREPARATION)
    assert gave_up.value.code == code


def test_many_at_once_get_a_transaction_each(daemon: Daemon) -> None:
    found: list[Offered] = []
    threads = [threading.Thread(target=lambda: found.append(daemon.profile(asked()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({offered.reference for offered in found}) == 8
