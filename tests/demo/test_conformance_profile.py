"""`idp demo --profile conformance`: a provider that the OpenID Foundation's suite can be pointed at."""

import json
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import pytest

from idp import portals
from idp.demo import jose
from idp.demo.check import Page, form_fields, required
from idp.demo.conformance import holder, verifier
from idp.settings import load

SUITE = "https://suite.example/test/a/sinwon/"
CALLBACK = f"{SUITE}callback"
PLANS = {
    "oidcc-config-certification-test-plan",
    "oidcc-basic-certification-test-plan",
    "oidcc-formpost-basic-certification-test-plan",
    "oidcc-dynamic-certification-test-plan",
    "oidcc-3rdparty-init-login-certification-test-plan",
    "oidcc-rp-initiated-logout-certification-test-plan",
    "oidcc-backchannel-rp-initiated-logout-certification-test-plan",
    "fapi2-security-profile-final-test-plan",
    "fapi2-message-signing-final-test-plan",
    "ekyc-test-plan-oidccore",
    "oid4vp-1final-verifier-test-plan",
    "oid4vp-1final-verifier-haip-test-plan",
}


@dataclass(frozen=True)
class Run:
    """A conformance provider that is running."""

    where: dict[str, str]

    @property
    def index(self) -> list[dict[str, Any]]:
        return list(json.loads(Path(self.where["plans"], "plans.json").read_text("utf-8")))

    def plan(self, name: str) -> dict[str, Any]:
        return dict(json.loads(Path(self.where["plans"], f"{name}.json").read_text("utf-8")))

    def browser(self) -> httpx2.Client:
        context = ssl.create_default_context(cafile=self.where["certificate"])
        return httpx2.Client(verify=context, trust_env=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    directory = tmp_path_factory.mktemp("conformance") / "run"
    arguments = ["demo", "--profile=conformance", "--port=0", "--print-json", f"--suite={SUITE}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "idp.cli", *arguments, f"--directory={directory}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Run(json.loads(process.stdout.readline()))
    finally:
        process.terminate()
        process.communicate(timeout=20)


def follow(http: httpx2.Client, response: httpx2.Response) -> httpx2.Response:
    """Redirects, as far as the suite's door."""
    while response.is_redirect:
        target = urljoin(str(response.url), response.headers["location"])
        if target.startswith(SUITE):
            return response
        response = http.get(target)
    return response


def sign_in(http: httpx2.Client, url: str) -> dict[str, str]:
    """What the suite's browser script does, by plain HTTP; the parameters of the callback."""
    page = Page(follow(http, http.get(url)))
    link = required(page, "wallet-link", "sign-in page")
    consent = Page(follow(http, http.get(urljoin(page.url, link.attributes["href"]))))
    fields: dict[str, list[str]] = {}
    form = required(consent, "consent", "consent page")
    for name, value in form_fields(form):
        fields.setdefault(name, []).append(value)
    done = follow(http, http.post(urljoin(consent.url, form.attributes["action"]), data=fields))
    query = parse_qs(urlsplit(done.headers["location"]).query)
    return {name: values[0] for name, values in query.items()}


def test_the_wallet_answers_by_itself_and_the_code_buys_tokens(run: Run) -> None:
    issuer, client = run.where["issuer"], run.plan("oidcc-basic")["client"]
    request = {
        "client_id": client["client_id"],
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid profile",
        "state": "af0ifjsldkj",
    }
    with run.browser() as http:
        answer = sign_in(http, f"{issuer}/authorize?{httpx2.QueryParams(request)}")
        assert (answer["state"], answer["iss"]) == ("af0ifjsldkj", issuer)
        tokens = http.post(
            f"{issuer}/token",
            data={"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": CALLBACK},
            auth=(client["client_id"], client["client_secret"]),
        )
        assert tokens.status_code == 200
        bearer = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
        assert http.get(f"{issuer}/userinfo", headers=bearer).json()["given_name"] == "GILDONG"


def test_every_plan_is_there_and_its_clients_are_registered(run: Run) -> None:
    assert {entry["plan"] for entry in run.index} == PLANS
    document = tomllib.loads(Path(run.where["portals"]).read_text("utf-8"))
    registered = {portals.parse(portal).client_id for portal in document["portal"]}
    named: set[str] = set()
    for entry in run.index:
        if entry["plan"].startswith("oid4vp"):
            continue
        plan = run.plan(entry["file"].removesuffix(".json"))
        assert plan["server"]["discoveryUrl"].startswith(run.where["issuer"])
        named |= {
            value["client_id"] for value in plan.values() if isinstance(value, dict) and "client_id" in value
        }
    assert named | {"conformance-verifier"} == registered


def test_the_suite_is_a_wallet_in_every_variant_and_a_holder_gets_to_it(run: Run) -> None:
    plans = [entry for entry in run.index if entry["plan"].startswith("oid4vp")]
    assert len(plans) == 10
    for entry in plans:
        plan = run.plan(entry["file"].removesuffix(".json"))
        assert plan["credential"]["signing_jwk"]["x5c"]
        assert "CERTIFICATE" in plan["client"]["request_object_trust_anchor_pem"]
    with run.browser() as http:
        http.follow_redirects = True
        for variant in verifier.VARIANTS:
            link = holder.begin(http, run.where["issuer"], CALLBACK, variant.wallet)
            assert link.startswith(f"{SUITE}authorize?client_id={variant.client_id_prefix}%3A")
            fetched = http.get(parse_qs(urlsplit(link).query)["request_uri"][0])
            _, claims = jose.read_unverified(fetched.text)
            assert claims["response_mode"] == variant.response_mode
            assert "client_name" not in claims["client_metadata"]
            (credential,) = claims["dcql_query"]["credentials"]
            wanted = {"sd_jwt_vc": "dc+sd-jwt", "iso_mdl": "mso_mdoc"}[variant.credential_format]
            assert credential["format"] == wanted


def test_fapi_clients_are_held_to_the_profile(run: Run) -> None:
    document = tomllib.loads(Path(run.where["portals"]).read_text("utf-8"))
    registered = {portal["client_id"]: portals.parse(portal) for portal in document["portal"]}
    for entry in run.index:
        if entry["plan"].startswith("fapi2"):
            plan = run.plan(entry["file"].removesuffix(".json"))
            pair = [registered[plan[name]["client_id"]] for name in ("client", "client2")]
            assert all(client.is_fapi2 for client in pair)
            assert all(client.tls_client_certificate_bound_access_tokens for client in pair) == (
                "mtls" in plan
            )


def test_the_settings_file_is_what_the_provider_runs_with(run: Run) -> None:
    settings = load(Path(run.where["settings"]), {})
    assert settings.issuer == run.where["issuer"]
    assert settings.registration.open
    assert settings.requests.by_reference


def test_private_keys_and_secrets_are_readable_by_their_owner_only(run: Run) -> None:
    directory = Path(run.where["directory"])
    kept = [*directory.rglob("*.key"), *directory.rglob("*.jwk"), *directory.rglob("*.secret")]
    kept += [*Path(run.where["plans"]).iterdir(), Path(run.where["settings"])]
    assert kept
    assert {path.stat().st_mode & 0o077 for path in kept} == {0}


def test_its_options_belong_to_it(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "idp.cli",
        "demo",
        "--issuer=https://a.example",
        f"--directory={tmp_path}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "--profile conformance" in done.stderr
