"""The demonstration as a portal's own tests use it: a small portal by Authlib's client, signed in to by one call."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from click.testing import CliRunner
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from idp.cli import cli
from idp.demo import mock
from idp.demo.answering import Fault
from tests import ephemeral
from tests.ears import Ear, header_of, open_ear
from tests.ephemeral import Demonstration
from tests.waiting import eventually

REDIRECT_URI = "http://127.0.0.1:9/callback"
OWN_URI = "http://localhost:3000/back"
AFTER_LOGOUT = ("http://localhost:3000/bye", "https://portal.example/signed-out?from=sinwon")
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture(scope="module")
def ear() -> Iterator[Ear]:
    """The portal's own endpoint for logout notices, on this machine."""
    with open_ear() as listening:
        yield listening


@pytest.fixture(scope="module")
def demo(ear: Ear) -> Iterator[Demonstration]:
    with ephemeral.demonstration(
        f"--redirect-uri={OWN_URI}",
        *(f"--post-logout-redirect-uri={uri}" for uri in AFTER_LOGOUT),
        f"--backchannel-logout-uri={ear.uri('told')}",
    ) as running:
        yield running


class SmallPortal:
    """What a portal's engineer writes: the library, and what its first line of JSON says."""

    def __init__(
        self, demo: Demonstration, client_id: str = "test", redirect_uri: str = REDIRECT_URI
    ) -> None:
        self.demo = demo
        self.endpoints = demo.told["endpoints"]
        self.client = demo.client(client_id)
        method = self.client["token_endpoint_auth_method"]
        secret = self.client.get("client_secret") or ECKey.import_key(self.client["jwk"])
        self.session = OAuth2Session(
            client_id,
            secret,
            scope="openid profile kr_overseas",
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method=method,
        )
        self.session.trust_env = False
        if method == "private_key_jwt":
            self.session.register_client_auth_method(_ShortLived(demo.told["issuer"], self.client["jwk"]))
        self.verifier = generate_token(48)
        self.nonce = generate_token(20)
        self.state = ""

    def authorization_url(self, **more: str) -> str:
        url, self.state = self.session.create_authorization_url(
            self.endpoints["authorization_endpoint"], code_verifier=self.verifier, nonce=self.nonce, **more
        )
        return str(url)

    def sign_in(
        self, persona: str = "hong", more: dict[str, str] | None = None, **wish: str
    ) -> dict[str, Any]:
        """What the call answers."""
        return self.demo.sign_in(self.authorization_url(**(more or {})), persona=persona, **wish)

    def redeem(self, location: str) -> dict[str, Any]:
        """The claims that a callback's address leads to, checked as the library does."""
        token = self.session.fetch_token(
            self.endpoints["token_endpoint"], authorization_response=location, code_verifier=self.verifier
        )
        claims = self.verified(token["id_token"])
        assert (claims["aud"], claims["nonce"]) == (self.client["client_id"], self.nonce)
        person = self.session.get(self.endpoints["userinfo_endpoint"]).json()
        assert person["sub"] == claims["sub"]
        return dict(person)

    def verified(self, token: str) -> dict[str, Any]:
        """The claims of a token that the provider signed."""
        keys = KeySet.import_key_set(self.session.get(self.endpoints["jwks_uri"], withhold_token=True).json())
        return dict(jwt.decode(token, keys, algorithms=["ES256"]).claims)

    def sign_out(self, back_to: str) -> httpx2.Response:
        """What a browser is answered that the portal sends away to sign out."""
        asked = {"id_token_hint": self.session.token["id_token"], "post_logout_redirect_uri": back_to}
        return httpx2.get(
            self.endpoints["end_session_endpoint"], params={**asked, "state": "over"}, trust_env=False
        )


class _ShortLived(PrivateKeyJWT):  # type: ignore[misc]
    def __init__(self, audience: str, jwk: dict[str, str]) -> None:
        super().__init__(f"{audience}/token", alg="ES256", headers={"kid": jwk["kid"]})

    def sign(self, auth: Any, token_endpoint: str) -> Any:
        self.claims = {"exp": int(time.time()) + 60}
        return super().sign(auth, token_endpoint)


def answered(location: str) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(urlsplit(location).query).items()}


@pytest.mark.parametrize("client_id", ["test", "test_key"])
def test_one_call_signs_somebody_in(demo: Demonstration, client_id: str) -> None:
    portal = SmallPortal(demo, client_id)
    back = portal.sign_in("hong")
    assert back["location"].startswith(f"{REDIRECT_URI}?")
    assert back["method"] == "GET"
    assert answered(back["location"])["state"] == portal.state
    assert portal.redeem(back["location"])["name"] == "홍길동"


def test_another_persona_is_another_person(demo: Demonstration) -> None:
    names, subs = set(), set()
    for persona in ("hong", "kim"):
        portal = SmallPortal(demo)
        person = portal.redeem(portal.sign_in(persona)["location"])
        names.add(person["name"])
        subs.add(person["sub"])
    assert len(names) == len(subs) == 2


@pytest.mark.parametrize("format", ["dc+sd-jwt", "mso_mdoc"])
def test_a_card_and_its_format_can_be_chosen(demo: Demonstration, format: str) -> None:
    portal = SmallPortal(demo)
    back = portal.sign_in("hong", card="kr-driving-licence", format=format)
    assert portal.redeem(back["location"])["name"]


def test_a_redirect_uri_of_ones_own_is_taken(demo: Demonstration) -> None:
    portal = SmallPortal(demo, redirect_uri=OWN_URI)
    back = portal.sign_in()
    assert back["location"].startswith(f"{OWN_URI}?")
    assert OWN_URI in portal.client["redirect_uris"]


@pytest.mark.parametrize("client_id", ["test", "test_key"])
@pytest.mark.parametrize("uri", [*AFTER_LOGOUT, "http://127.0.0.1/"])
def test_a_logout_comes_back_to_an_address_of_ones_own(demo: Demonstration, client_id: str, uri: str) -> None:
    portal = SmallPortal(demo, client_id)
    portal.redeem(portal.sign_in()["location"])
    answer = portal.sign_out(uri)
    assert (answer.status_code, answer.headers["Location"].partition("state=")[2]) == (303, "over")
    assert answer.headers["Location"].startswith(uri)
    assert uri in portal.client["post_logout_redirect_uris"]


@pytest.mark.parametrize("client_id", ["test", "test_key"])
def test_a_logout_is_told_to_a_listener_on_this_machine(
    demo: Demonstration, ear: Ear, client_id: str
) -> None:
    portal = SmallPortal(demo, client_id)
    portal.redeem(portal.sign_in()["location"])
    signed_in = portal.verified(portal.session.token["id_token"])
    portal.sign_out(AFTER_LOGOUT[0])

    def told() -> list[dict[str, Any]]:
        heard = [portal.verified(told.token) for told in ear.heard("told")]
        return [claims for claims in heard if claims["sid"] == signed_in["sid"]]

    eventually(lambda: bool(told()))
    [claims] = told()
    assert (claims["aud"], claims["sub"]) == (client_id, signed_in["sub"])
    assert claims["events"] == {LOGOUT_EVENT: {}}
    assert {header_of(message.token)["typ"] for message in ear.heard("told")} == {"logout+jwt"}


def test_an_answer_by_form_post_is_told_as_a_form(demo: Demonstration) -> None:
    portal = SmallPortal(demo)
    back = portal.sign_in(more={"response_mode": "form_post"})
    assert (back["method"], back["location"]) == ("POST", REDIRECT_URI)
    assert back["form"]["state"] == portal.state
    assert back["form"]["code"]


CODES = {
    "revoked": "SINWON-C003",
    "suspended": "SINWON-C004",
    "expired": "SINWON-C002",
    "unknown_issuer": "SINWON-C007",
    "other_holder_key": "SINWON-C001",
    "wrong_nonce": "SINWON-L005",
    "wrong_format": "SINWON-C001",
}


@pytest.mark.parametrize(("fault", "code"), CODES.items(), ids=str)
def test_a_fault_is_what_the_holder_reads_and_denied_at_the_portal(
    demo: Demonstration, fault: str, code: str
) -> None:
    back = SmallPortal(demo).sign_in(fault=fault)
    assert back["holder_read"] == [code]
    assert answered(back["location"])["error"] == "access_denied"


@pytest.mark.parametrize("fault", ["decline", "no_answer"])
def test_a_holder_who_declines_or_gives_up_sends_the_portal_a_denial(demo: Demonstration, fault: str) -> None:
    portal = SmallPortal(demo)
    back = portal.sign_in(fault=fault)
    assert answered(back["location"])["error"] == "access_denied"
    assert answered(back["location"])["state"] == portal.state


@pytest.mark.parametrize("fault", sorted(set(mock.FAULTS) - {"timeout"}))
def test_no_fault_signs_anybody_in(demo: Demonstration, fault: str) -> None:
    assert "code" not in answered(SmallPortal(demo).sign_in(fault=fault)["location"])


def test_every_fault_of_the_wallet_is_offered(demo: Demonstration) -> None:
    assert set(demo.told["faults"]) == {fault.value for fault in Fault if fault} | {"timeout"}


def test_a_sign_in_can_run_out_of_time() -> None:
    with ephemeral.demonstration("--sign-in-seconds=1") as short:
        back = SmallPortal(short).sign_in(fault="timeout")
    assert answered(back["location"])["error"] == "access_denied"
    assert back["holder_read"] == ["SINWON-L003"]


def test_nobody_waits_ten_minutes_for_a_timeout(demo: Demonstration) -> None:
    answer = demo.call(authorization_url=SmallPortal(demo).authorization_url(), fault="timeout")
    assert answer.status_code == 422
    assert "--sign-in-seconds" in answer.json()["error"]


def test_consent_can_be_refused_and_optional_items_left_out(demo: Demonstration) -> None:
    again = {"prompt": "consent"}
    refused = SmallPortal(demo).sign_in("park", more=again, consent="refuse")
    assert refused["consent_asked"]
    assert answered(refused["location"])["error"] == "access_denied"
    said = {}
    for consent in ("required", "all"):
        portal = SmallPortal(demo)
        said[consent] = portal.redeem(portal.sign_in("park", more=again, consent=consent)["location"])
    assert said["all"].keys() - said["required"].keys() == {"kr_overseas_registration_number"}


def test_what_was_agreed_before_is_said_not_to_be_asked(demo: Demonstration) -> None:
    asked = [SmallPortal(demo).sign_in("namgoong")["consent_asked"] for _ in range(2)]
    assert asked == [True, False]


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"persona": "nobody"}, "persona"),
        ({"fault": "flood"}, "fault"),
        ({"consent": "maybe"}, "consent"),
        ({"card": "kr-veteran"}, "card"),
        ({"colour": "red"}, "colour"),
        ({"persona": 7}, "strings"),
        ({"authorization_url": "http://elsewhere.example/authorize"}, "authorization_url"),
    ],
)
def test_a_call_that_is_wrong_is_told_why(demo: Demonstration, wish: dict[str, Any], word: str) -> None:
    answer = demo.call(**{"authorization_url": SmallPortal(demo).authorization_url(), **wish})
    assert answer.status_code == 400
    assert word in answer.json()["error"]


def test_only_json_is_taken(demo: Demonstration) -> None:
    form = {"authorization_url": SmallPortal(demo).authorization_url()}
    answer = httpx2.post(demo.told["sign_in"], data=form, trust_env=False)
    assert answer.status_code == 415


def test_a_request_that_ends_in_a_page_says_its_code(demo: Demonstration) -> None:
    url = SmallPortal(demo, redirect_uri="http://127.0.0.1:9/elsewhere").authorization_url()
    answer = demo.call(authorization_url=url)
    assert answer.status_code == 422
    assert [code for code in answer.json()["holder_read"] if re.fullmatch(r"SINWON-R\d{3}", code)]


def test_discovery_says_the_same_as_the_first_line(demo: Demonstration) -> None:
    discovery = httpx2.get(demo.told["discovery"], trust_env=False).json()
    assert demo.told["endpoints"] == {
        name: value for name, value in discovery.items() if name.endswith(("_endpoint", "_uri"))
    }


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_behind(sent: signal.Signals, tmp_path: Path) -> None:
    environ = {**ephemeral.environment(), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(ephemeral.command(), stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert Path(told["directory"]).is_dir()
        process.send_signal(sent)
        assert process.wait(timeout=60) == 0
    assert list(tmp_path.iterdir()) == []
    eventually(lambda: not _answers(told["portals"]))


def test_it_ends_when_its_standard_input_closes(tmp_path: Path) -> None:
    with ephemeral.demonstration() as running:
        directory = Path(running.told["directory"])
        assert directory.is_dir()
    assert running.process.returncode == 0
    assert not directory.parent.exists()


def test_a_redirect_uri_that_cannot_be_registered_is_said(tmp_path: Path) -> None:
    done = subprocess.run(
        ephemeral.command("--redirect-uri=http://portal.example/callback"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**ephemeral.environment(), "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "http://portal.example/callback: http is for loopback addresses only" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--post-logout-redirect-uri=http://portal.example/bye", "http is for loopback addresses only"),
        ("--post-logout-redirect-uri=bye", "must be an absolute https URI"),
        ("--backchannel-logout-uri=http://portal.example/out", "http is for loopback addresses only"),
        ("--backchannel-logout-uri=http://127.0.0.1:3000/out#x", "must not have a fragment"),
        ("--backchannel-logout-uri=http://127.0.0.1:0/out", "not a URL"),
    ],
)
def test_an_address_for_logout_that_cannot_be_is_said_at_once(tmp_path: Path, option: str, said: str) -> None:
    arguments = ["--directory", str(tmp_path / "demo"), option]
    done = CliRunner().invoke(cli, ["demo", *arguments], env={"IDP_MODE": None, "IDP_CONFIG": None})
    name, _, uri = option.partition("=")
    assert done.exit_code == 2
    assert f"Invalid value for '{name}': {uri}: {said}" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [("--directory=x",), ("--profile=conformance",)])
def test_a_directory_of_its_own_is_not_also_another(options: tuple[str, ...]) -> None:
    done = subprocess.run(
        ephemeral.command(*options), capture_output=True, text=True, check=False, env=ephemeral.environment()
    )
    assert done.returncode == 1
    assert "--ephemeral" in done.stderr


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False
