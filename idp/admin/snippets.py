"""A small app that signs people in, filled in for one portal: what an engineer copies.

The templates lie in `idp/snippets/`, one a language. Whatever comes from a registration is written as a literal of
that language: somebody registered it, and it must not become code. Secrets are not known here; the apps read them
from the environment (`SINWON_CLIENT_SECRET`, or `SINWON_CLIENT_KEY_FILE`, PKCS #8 in PEM).

A portal that pushes its requests or binds its tokens to a key (profile `fapi2`) gets another app where there is one
(`FAPI`): with PAR, `private_key_jwt` and DPoP. Left out: client certificates, signed requests, encrypted ID tokens,
and the device flow. A library's own manual is the better guide there.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from idp.portals import AUTHORIZATION_CODE, Registration

DEFAULT_PORT = 8000
_UNKNOWN_KID = "the kid in your JWK Set"
_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")


class NoSnippet(ValueError):
    """There is no app for this registration in this language; the text says why."""


@dataclass(frozen=True)
class Language:
    """How an app in it is called, kept, made ready and run. `install` and `run` are lines for a shell."""

    title: str
    filename: str
    install: str
    run: str


@dataclass(frozen=True)
class Snippet:
    """An app of one file, filled in; `start_url` is where a browser begins."""

    title: str
    filename: str
    code: str
    install: str
    run: str
    start_url: str


LANGUAGES = {
    "python": Language(
        "Python: Flask, Authlib", "app.py", "pip install 'authlib>=1.9.9' flask requests", "python app.py"
    ),
    "node": Language(
        "Node.js: openid-client", "app.mjs", "npm install openid-client@6 jose@6", "node app.mjs"
    ),
    "spring": Language(
        "Java: Spring Boot, eGovFrame",
        "src/main/java/portal/Portal.java",
        "# Maven or Gradle: spring-boot-starter-web and spring-boot-starter-oauth2-client (Spring Boot 3)",
        "mvn spring-boot:run",
    ),
    "php": Language(
        "PHP: firebase/php-jwt",
        "index.php",
        "composer require firebase/php-jwt",
        f"php -S 127.0.0.1:{DEFAULT_PORT} index.php",
    ),
    "dotnet": Language(
        "C#: ASP.NET Core",
        "Program.cs",
        "dotnet add package Microsoft.AspNetCore.Authentication.OpenIdConnect",
        "dotnet run",
    ),
    "curl": Language("Shell: curl, OpenSSL", "sign-in.sh", "", "bash sign-in.sh"),
}

FAPI = {
    "python": Language(
        "Python: Flask, requests, joserfc", "app.py", "pip install flask requests joserfc", "python app.py"
    ),
    "node": LANGUAGES["node"],
    "curl": LANGUAGES["curl"],
}
"""The apps for portals that push their requests or bind their tokens."""


def _php(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_TEMPLATES = Environment(
    loader=PackageLoader("idp", "snippets"),
    autoescape=False,  # noqa: S701 - source text, and every value of it is written as a literal
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.filters |= {
    "py": repr,
    "js": json.dumps,
    "java": json.dumps,
    "cs": json.dumps,
    "php": _php,
    "sh": shlex.quote,
    "q": lambda text: quote(text, safe=""),
}


def render(registration: Registration, issuer: str, language: str) -> Snippet:
    """The app for this portal. `language` is a key of LANGUAGES. Raises NoSnippet."""
    values = _values(registration, issuer, language)
    chosen = (FAPI if values["fapi"] else LANGUAGES)[language]
    own = f"{language}_fapi2.jinja" if values["fapi"] and language != "node" else f"{language}.jinja"
    return Snippet(
        title=chosen.title,
        filename=chosen.filename,
        code=_TEMPLATES.get_template(own).render(values),
        install=chosen.install,
        run=chosen.run.replace(str(DEFAULT_PORT), str(values["port"])),
        start_url=values["start_url"],
    )


def _values(registration: Registration, issuer: str, language: str) -> dict[str, Any]:
    """What the templates may say. Raises NoSnippet."""
    method = registration.token_endpoint_auth_method
    if AUTHORIZATION_CODE not in registration.grant_types or not registration.redirect_uris:
        raise NoSnippet("It does not sign people in through a browser.")
    if registration.require_signed_request_object or registration.id_token_encrypted_response_alg:
        raise NoSnippet("Its requests are signed, or its ID tokens encrypted: see docs/portals.md.")
    if registration.tls_client_certificate_bound_access_tokens:
        raise NoSnippet("Its tokens are bound to a certificate: see docs/portals.md.")
    if method not in _METHODS:
        raise NoSnippet(f"It proves itself by {method}: see docs/portals.md.")
    fapi = registration.must_push or registration.must_prove_key
    if fapi and (method != "private_key_jwt" or language not in FAPI):
        raise NoSnippet(
            "Its requests are pushed, or its tokens bound to a key: there is an app for that with private_key_jwt, "
            f"in {', '.join(FAPI)}."
        )
    key = _key(registration)
    if language == "curl" and method == "private_key_jwt" and key["alg"] != "ES256":
        raise NoSnippet(f"A shell script cannot well sign assertions with {key['alg']}.")
    redirect_uri = _redirect_uri(registration, language)
    parts = urlsplit(redirect_uri)
    local = parts.scheme == "http"
    return {
        "issuer": issuer,
        "client_id": registration.client_id,
        "redirect_uri": redirect_uri,
        "path": parts.path or "/",
        "start_url": f"{parts.scheme}://{parts.netloc}/",
        "port": parts.port or DEFAULT_PORT if local else DEFAULT_PORT,
        "scope": " ".join(scope for scope in registration.scopes if scope != "offline_access"),
        "method": method,
        "alg": key["alg"],
        "kid": key["kid"],
        "kty": key["kty"],
        "public_jwk": json.dumps(key),
        "id_token_alg": registration.id_token_signed_response_alg,
        "fapi": fapi,
        "insecure": issuer.startswith("http:"),
    }


def _redirect_uri(registration: Registration, language: str) -> str:
    """Its first, or of several the one with Spring's own path for Spring. A loopback address gets a port."""
    uris = registration.redirect_uris
    fitting = [uri for uri in uris if language == "spring" and "/login/oauth2/code/" in uri]
    parts = urlsplit((fitting or uris)[0])
    if parts.scheme == "http" and parts.port is None and parts.hostname in ("127.0.0.1", "::1"):
        parts = parts._replace(netloc=f"{parts.netloc}:{DEFAULT_PORT}")
    return parts.geturl()


def _key(registration: Registration) -> dict[str, str]:
    """The public key that its assertions are checked with, as far as it is known here."""
    keys = (registration.jwks or {}).get("keys", [])
    signing = next((key for key in keys if key.get("use", "sig") == "sig"), {"kty": "EC"})
    usual = "ES256" if signing["kty"] == "EC" else "RS256"
    alg = registration.token_endpoint_auth_signing_alg or signing.get("alg", usual)
    return {**signing, "kid": signing.get("kid", _UNKNOWN_KID), "alg": alg}
