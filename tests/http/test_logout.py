"""Signing out (RP-Initiated Logout 1.0): a redirect only to a registered URI of the portal whose ID token says so."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from idp.models import LogoutNotice, writing
from idp.worker import Worker
from tests.ears import Ear, claims_of, listening, status
from tests.harmless import EVIL, decent, harmless, page
from tests.rig import Portal, Rig


@pytest.fixture
def gov24(rig: Rig) -> Portal:
    portal = rig.portal("gov24")
    portal.hint = portal.sign_in()["id_token"]  # type: ignore[attr-defined]
    return portal


def hint_of(portal: Portal) -> str:
    return str(portal.hint)  # type: ignore[attr-defined]


def home(portal: Portal) -> str:
    return str(portal.registration["post_logout_redirect_uris"][0])


def leave(portal: Portal, method: str = "GET", query: str = "", **parameters: Any) -> httpx2.Response:
    given = {name: value for name, value in parameters.items() if value is not None}
    url = f"{portal.rig.issuer}/logout"
    if method == "GET":
        return portal.browser.get(f"{url}?{httpx2.QueryParams(given)}{query}")
    return portal.browser.post(url + query, data=given)


def is_signed_in(portal: Portal) -> bool:
    return "code=" in portal.begin(prompt="none").location


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("state", [None, "abc", EVIL, "한글 &"])
def test_a_genuine_hint_signs_out_and_goes_back_with_state(
    rig: Rig, gov24: Portal, method: str, state: str | None
) -> None:
    old_cookie = gov24.browser.cookies["sinwon-session"]
    with harmless(rig, ("session.ended", None)):
        response = decent(
            leave(
                gov24,
                method,
                id_token_hint=hint_of(gov24),
                post_logout_redirect_uri=home(gov24),
                state=state,
            )
        )
    assert response.status_code == 303
    location = httpx2.URL(response.headers["Location"])
    assert str(location.copy_with(query=None)) == home(gov24)
    assert dict(location.params) == ({} if state is None else {"state": state})
    assert not is_signed_in(gov24)
    gov24.browser.cookies.set("sinwon-session", old_cookie, domain="127.0.0.1")
    assert not is_signed_in(gov24)


def test_signing_out_kills_the_tokens_of_the_session(rig: Rig, gov24: Portal) -> None:
    token = gov24.sign_in()["access_token"]
    other = rig.portal("gov24").sign_in()["access_token"]
    assert gov24.userinfo(token).status_code == 200
    leave(gov24, id_token_hint=hint_of(gov24))
    assert gov24.userinfo(token).status_code == 401
    assert gov24.userinfo(other).status_code == 200


def test_a_code_of_a_session_that_was_ended_buys_nothing(rig: Rig, gov24: Portal) -> None:
    code, begun = gov24.code()
    leave(gov24, id_token_hint=hint_of(gov24))
    response = gov24.token(code, begun.verifier)
    if response.status_code == 200:
        assert gov24.userinfo(response.json()["access_token"]).status_code == 401
    else:
        assert response.json()["error"] == "invalid_grant"


def test_an_expired_hint_is_a_hint_still(rig: Rig, gov24: Portal) -> None:
    rig.clock.forward(600)
    response = leave(gov24, id_token_hint=hint_of(gov24), post_logout_redirect_uri=home(gov24))
    assert response.headers["Location"] == home(gov24)
    assert not is_signed_in(gov24)


def test_without_a_session_a_genuine_hint_still_leads_home(rig: Rig, gov24: Portal) -> None:
    leave(gov24, id_token_hint=hint_of(gov24))
    with harmless(rig):
        response = leave(gov24, id_token_hint=hint_of(gov24), post_logout_redirect_uri=home(gov24))
    assert response.headers["Location"] == home(gov24)


def altered_hints(hint: str) -> dict[str, str]:
    head, body, signature = hint.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    stranger = ECKey.generate_key("P-256")
    return {
        "none": f"{none}.{body}.",
        "no_signature": f"{head}.{body}.",
        "flipped": f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        "by_somebody_else": jwt.encode({"alg": "ES256", "kid": header["kid"]}, claims, stranger),
        "by_somebody_elses_kid": jwt.encode({"alg": "ES256", "kid": "x"}, claims, stranger),
        "garbage": "garbage",
        "dots": "...." * 1000,
        "markup": EVIL,
        "long": "a.b." + "c" * 20_000,
    }


KINDS = sorted(altered_hints("e30.e30.AAAA".replace("e30", "eyJraWQiOiIxIn0")))


@pytest.mark.parametrize("kind", KINDS)
def test_an_altered_hint_leads_nowhere_and_ends_nothing(rig: Rig, gov24: Portal, kind: str) -> None:
    with harmless(rig, ("request.refused", "bad_logout")):
        page(
            leave(
                gov24,
                "POST",
                id_token_hint=altered_hints(hint_of(gov24))[kind],
                post_logout_redirect_uri=home(gov24),
            ),
            400,
        )
    assert is_signed_in(gov24)


@pytest.mark.parametrize(
    "alter",
    [
        lambda uri: "https://evil.example/",
        lambda uri: uri + "?foo=bar",
        lambda uri: uri + "x",
        lambda uri: uri[:-1],
        lambda uri: uri + "#",
        lambda uri: uri.replace("gov24", "g4k"),
        lambda uri: uri.replace("127.0.0.1", "127.0.0.1.evil.example"),
        lambda uri: uri.replace("http:", "HTTP:"),
        lambda uri: "javascript:alert(1)",
        lambda uri: "//evil.example",
        lambda uri: EVIL,
    ],
)
def test_an_unregistered_uri_leads_nowhere_and_ends_nothing(rig: Rig, gov24: Portal, alter: Any) -> None:
    with harmless(rig, ("request.refused", "bad_logout")):
        wrong = alter(home(gov24))
        page(leave(gov24, id_token_hint=hint_of(gov24), post_logout_redirect_uri=wrong), 400)
    assert is_signed_in(gov24)


@pytest.mark.parametrize("name", ["id_token_hint", "post_logout_redirect_uri", "state", "client_id"])
def test_a_repeated_parameter_leads_nowhere(rig: Rig, gov24: Portal, name: str) -> None:
    with harmless(rig, ("request.refused", "bad_logout")):
        response = leave(
            gov24,
            id_token_hint=hint_of(gov24),
            post_logout_redirect_uri=home(gov24),
            state="a",
            client_id="gov24",
            query=f"&{name}=again",
        )
        page(response, 400)


def test_a_client_id_that_is_not_the_hints_leads_nowhere(rig: Rig, gov24: Portal) -> None:
    with harmless(rig, ("request.refused", "bad_logout")):
        page(leave(gov24, id_token_hint=hint_of(gov24), client_id="g4k"), 400)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"state": "abc"},
        {"post_logout_redirect_uri": "HOME"},
        {"post_logout_redirect_uri": "HOME", "client_id": "gov24", "state": "x"},
        {"post_logout_redirect_uri": "https://evil.example/", "state": EVIL},
        {"logout_hint": EVIL, "ui_locales": "en"},
    ],
    ids=str,
)
def test_without_a_hint_the_holder_is_asked_and_sent_nowhere(
    rig: Rig, gov24: Portal, parameters: dict[str, str]
) -> None:
    given = {name: home(gov24) if value == "HOME" else value for name, value in parameters.items()}
    with harmless(rig):
        asked = page(leave(gov24, **given), 200)
    assert is_signed_in(gov24)
    form = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', asked.text))
    with harmless(rig, ("session.ended", None)):
        page(leave(gov24, "POST", csrf=form["csrf"]), 200)
    assert not is_signed_in(gov24)
    with harmless(rig):
        page(leave(gov24, "POST", csrf=form["csrf"]), 200)


@pytest.mark.parametrize("csrf", ["", "x", "한글", EVIL])
def test_a_confirmation_from_elsewhere_ends_nothing(rig: Rig, gov24: Portal, csrf: str) -> None:
    with harmless(rig, ("request.refused", "form_expired")):
        page(leave(gov24, "POST", csrf=csrf), 403, "SINWON-L008")
    assert is_signed_in(gov24)


def test_a_hint_of_another_session_does_not_end_this_one_without_asking(rig: Rig, gov24: Portal) -> None:
    other = rig.portal("gov24").sign_in("namgoong")["id_token"]
    response = leave(gov24, id_token_hint=other, post_logout_redirect_uri=home(gov24))
    page(response, 200)
    assert is_signed_in(gov24)


def test_nobody_signed_in_is_told_that_nobody_is(rig: Rig) -> None:
    with harmless(rig):
        page(leave(rig.portal("gov24")), 200)


# -- telling the portals (Back-Channel Logout 1.0) -------------------------------------------------------------


@pytest.fixture
def ear(rig: Rig) -> Iterator[Ear]:
    """Three portals that want to hear of it, at one address; nobody else does."""
    with listening(rig) as ear:
        for client_id in ("gov24", "efamily", "g4k"):
            rig.apply_portal(client_id, backchannel_logout_uri=ear.uri(client_id))
        with rig.app.app_context(), writing() as database:
            database.execute(delete(LogoutNotice))
        yield ear
    for client_id in ("gov24", "efamily", "g4k"):
        rig.apply_portal(client_id)


def deliver(rig: Rig) -> None:
    """What the worker does a moment later."""
    worker = Worker(rig.app)
    worker.jobs = worker.jobs[:1]
    worker.run_once()


def visit(portal: Portal, client_id: str) -> dict[str, Any]:
    """Another portal's ID token, in the same browser."""
    other = portal.rig.portal(client_id)
    other.browser = portal.browser
    code, begun = other.code()
    return other.id_token_claims(other.token(code, begun.verifier).json()["id_token"])


def told(rig: Rig, ear: Ear) -> dict[str, tuple[str, str]]:
    """Who was told, about whom and which session; everybody at most once."""
    found = {}
    for message in ear.told:
        claims = claims_of(rig, message.token)
        assert message.path == f"/{claims['aud']}"
        assert claims["aud"] not in found
        found[claims["aud"]] = (claims["sub"], claims["sid"])
    return found


def test_every_portal_of_the_session_is_told_once_and_no_other(rig: Rig, ear: Ear, gov24: Portal) -> None:
    mine = gov24.id_token_claims(hint_of(gov24))
    efamily = visit(gov24, "efamily")
    elsewhere = rig.portal("efamily")
    elsewhere.sign_in()  # the same person's, in another browser
    leave(gov24, id_token_hint=hint_of(gov24))
    leave(gov24, id_token_hint=hint_of(gov24))
    deliver(rig)
    assert told(rig, ear) == {
        "gov24": (mine["sub"], mine["sid"]),
        "efamily": (efamily["sub"], efamily["sid"]),
    }
    assert is_signed_in(elsewhere)


def test_a_portal_without_an_address_for_it_is_not_told(rig: Rig, ear: Ear, gov24: Portal) -> None:
    visit(gov24, "apostille")
    rig.apply_portal("gov24")
    leave(gov24, id_token_hint=hint_of(gov24))
    deliver(rig)
    assert told(rig, ear) == {}


@pytest.mark.parametrize("by", ["hint", "hint without the cookie", "confirmation"])
def test_however_a_session_is_ended_its_portals_are_told(rig: Rig, ear: Ear, gov24: Portal, by: str) -> None:
    mine = gov24.id_token_claims(hint_of(gov24))
    if by == "hint without the cookie":  # a cross-site POST brings none
        rig.http.post(f"{rig.issuer}/logout", data={"id_token_hint": hint_of(gov24)})
    elif by == "hint":
        leave(gov24, id_token_hint=hint_of(gov24))
    else:
        csrf = re.findall(r'name="csrf" value="([^"]*)"', leave(gov24).text)[0]
        leave(gov24, "POST", csrf=csrf)
    deliver(rig)
    assert told(rig, ear) == {"gov24": (mine["sub"], mine["sid"])}
    assert not is_signed_in(gov24)


def test_signing_out_does_not_wait_for_the_portals(rig: Rig, ear: Ear, gov24: Portal) -> None:
    ear.answer = status(503)
    response = leave(gov24, id_token_hint=hint_of(gov24), post_logout_redirect_uri=home(gov24))
    assert response.headers["Location"] == home(gov24)
    assert ear.told == []
    assert not is_signed_in(gov24)


def test_a_session_that_was_left_is_told_of_when_it_expires(rig: Rig, ear: Ear, gov24: Portal) -> None:
    mine = gov24.id_token_claims(hint_of(gov24))
    rig.clock.forward(rig.house.settings.lifetimes.session_idle_s + 1)
    worker = Worker(rig.app)
    worker.jobs = [job for job in worker.jobs if job.name in {"logout-notices", "sessions"}]
    worker.run_once()
    worker.run_once()
    heard = [claims_of(rig, message.token) for message in ear.told]
    assert [claims["sub"] for claims in heard if claims["sid"] == mine["sid"]] == [mine["sub"]]
    rig.clock.offset_s = 0


def test_the_audit_says_who_will_be_told(rig: Rig, ear: Ear, gov24: Portal) -> None:
    visit(gov24, "efamily")
    last = rig.last_event()
    leave(gov24, id_token_hint=hint_of(gov24))
    (ended,) = [event for event in rig.events(after=last) if event.name == "session.ended"]
    assert ended.detail == {"told": ["efamily", "gov24"]}


def test_an_end_that_cannot_be_recorded_tells_nobody_and_kills_nothing(
    rig: Rig, ear: Ear, gov24: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokens' end, the notices and the audit are one transaction; the worker makes up for a broken one."""
    token = gov24.sign_in(prompt="login")["access_token"]

    def broken(*_: Any, **__: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("disk full"))

    with monkeypatch.context() as patched:
        patched.setattr("idp.oidc.session_end.record", broken)
        assert leave(gov24, id_token_hint=hint_of(gov24)).status_code == 503
    deliver(rig)
    assert ear.told == []
    assert gov24.userinfo(token).status_code == 200
    assert not is_signed_in(gov24)  # the Store's half is done
    rig.clock.forward(61)
    worker = Worker(rig.app)
    worker.jobs = [job for job in worker.jobs if job.name in {"logout-notices", "sessions"}]
    worker.run_once()
    worker.run_once()
    assert "gov24" in told(rig, ear)
    rig.clock.offset_s = 0
    assert gov24.userinfo(token).status_code == 401
