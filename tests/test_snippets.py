"""The apps to copy, as they are filled in for a registration. `interop/test_snippets.py` runs them."""

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from idp.admin import snippets
from idp.admin.snippets import LANGUAGES, NoSnippet, render
from idp.portals import Registration
from tests.interop.conftest import Peers, peers  # noqa: F401 - a fixture

NAMES = {"ko": "포털", "en": "Portal"}
METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")
LOADED = "'+\"`${x}<%= %>\\{{x}}$(x)"
KEY = {"kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ", "kid": "k1", "alg": "ES256", "use": "sig"}


def portal(**changes: Any) -> Registration:
    return Registration(
        **{
            "client_id": "my-portal",
            "name": NAMES,
            "operator": NAMES,
            "retention": NAMES,
            "redirect_uris": ("https://portal.example/oidc/back",),
            "token_endpoint_auth_method": "client_secret_basic",
            "scopes": ("openid", "profile"),
            "jwks": {"keys": [KEY]},
            **changes,
        }
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_snippet_says_what_is_registered(language: str, method: str) -> None:
    made = render(portal(token_endpoint_auth_method=method), "https://id.example", language)
    for said in ("https://id.example", "my-portal", "openid", "profile"):
        assert said in made.code
    assert "portal.example" in made.code
    secret, key = "SINWON_CLIENT_SECRET" in made.code, "SINWON_CLIENT_KEY_FILE" in made.code
    assert (secret, key) == (method.startswith("client_secret"), method == "private_key_jwt")
    assert ("k1" in made.code) == key
    assert made.start_url == "https://portal.example/"


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_portal_calls_itself_does_not_become_code(language: str) -> None:
    made = render(portal(client_id=LOADED), "https://id.example", language)
    literal: Mapping[str, Callable[[str], str]] = snippets._TEMPLATES.filters
    spelt = {"python": "py", "node": "js", "spring": "java", "php": "php", "dotnet": "cs"}
    if language in spelt:
        assert literal[spelt[language]](LOADED) in made.code
    rest = made.code.replace(literal[spelt.get(language, "sh")](LOADED), "")
    assert LOADED not in rest


@pytest.mark.parametrize("method", METHODS)
def test_the_python_app_is_python(method: str) -> None:
    registration = portal(client_id=LOADED, token_endpoint_auth_method=method)
    compile(render(registration, "https://id.example", "python").code, "app.py", "exec")


@pytest.mark.parametrize("method", METHODS)
def test_the_shell_script_is_one_and_only_says_things(method: str, tmp_path: Path) -> None:
    registration = portal(client_id="$(touch made)`touch made`'", token_endpoint_auth_method=method)
    script = render(registration, "http://127.0.0.1:1", "curl").code
    ended = subprocess.run(
        ["/bin/bash"], input=script, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "syntax error" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"profile": "fapi2"}, "pushed"),
        ({"dpop_bound_access_tokens": True}, "bound to a key"),
        ({"tls_client_certificate_bound_access_tokens": True}, "bound to a certificate"),
        ({"require_signed_request_object": True}, "signed"),
        ({"id_token_encrypted_response_alg": "ECDH-ES"}, "encrypted"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "tls_client_auth"),
        ({"redirect_uris": ()}, "browser"),
    ],
)
def test_where_there_is_no_app_it_is_said(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(NoSnippet, match=re.escape(why)):
        render(portal(**changes), "https://id.example", "python")


FAPI2 = {"profile": "fapi2", "token_endpoint_auth_method": "private_key_jwt"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_portal_of_the_strict_profile_has_apps_of_its_own(language: str) -> None:
    if language not in snippets.FAPI:
        with pytest.raises(NoSnippet, match="pushed"):
            render(portal(**FAPI2), "https://id.example", language)
        return
    made = render(portal(**FAPI2), "https://id.example", language)
    for said in ("https://id.example", "my-portal", "openid profile", "DPoP", "k1", "SINWON_CLIENT_KEY_FILE"):
        assert said in made.code
    assert "SINWON_CLIENT_SECRET" not in made.code


@pytest.mark.parametrize("alg", ["ES256", "PS256"])
def test_the_strict_python_app_is_python_whatever_the_portal_calls_itself(alg: str) -> None:
    registration = portal(**FAPI2, client_id=LOADED, token_endpoint_auth_signing_alg=alg)
    compile(render(registration, "https://id.example", "python").code, "app.py", "exec")


def test_the_strict_shell_script_only_says_things(tmp_path: Path) -> None:
    registration = portal(**FAPI2, client_id="$(touch made)`touch made`'")
    script = render(registration, "http://127.0.0.1:1", "curl").code
    ended = subprocess.run(
        ["/bin/bash"], input=script, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "syntax error" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_loopback_address_gets_a_port_and_spring_its_own_path() -> None:
    uris = ("http://127.0.0.1/callback", "http://127.0.0.1/login/oauth2/code/sinwon")
    registration = portal(redirect_uris=uris)
    assert "http://127.0.0.1:8000/callback" in render(registration, "https://id.example", "node").code
    assert "http://127.0.0.1:8000/login/oauth2/code/sinwon" in (
        render(registration, "https://id.example", "spring").code
    )
