"""Clients as the FAPI 2.0 plans register them, and what those plans check in every flow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from joserfc.jwk import ECKey

from tests.harmless import as_json
from tests.oidc.certificates import Made
from tests.proving import Prover
from tests.rig import Begun, Portal, Rig, started

CERTIFICATE_HEADER = "X-Client-Certificate"
WITH_QUERY = "?dummy1=lorem&dummy2=ipsum"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")


@contextmanager
def provider(directory: Path) -> Iterator[Rig]:
    """A provider behind a proxy that hands over client certificates."""
    settings = {"server.client_certificate_header": CERTIFICATE_HEADER, "server.trusted_proxies": 1}
    with started(directory, settings) as running:
        yield running


def client(rig: Rig, of: str, client_id: str, **changes: Any) -> Portal:
    """A `fapi2` client with two redirect URIs, bound by DPoP unless told otherwise."""
    callback = rig.portal(of).redirect_uri
    good = {
        "profile": "fapi2",
        "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [callback, callback + WITH_QUERY],
        "dpop_bound_access_tokens": True,
    }
    return rig.variant(of, client_id, **{**good, **changes})


def by_dpop(rig: Rig, of: str, client_id: str, **changes: Any) -> Portal:
    """private_key_jwt, tokens bound by DPoP."""
    portal = client(rig, of, client_id, **changes)
    portal.prover = Prover()
    return portal


def by_certificate(rig: Rig, of: str, client_id: str, shown: Made, **changes: Any) -> Portal:
    """self_signed_tls_client_auth, tokens bound to the certificate, which the proxy hands over."""
    portal = client(
        rig,
        of,
        client_id,
        **{
            "token_endpoint_auth_method": "self_signed_tls_client_auth",
            "jwks": {"keys": [ECKey.import_key(shown.key).as_dict(private=False)]},
            "dpop_bound_access_tokens": False,
            "tls_client_certificate_bound_access_tokens": True,
            **changes,
        },
    )
    portal.headers[CERTIFICATE_HEADER] = shown.sequence
    return portal


def arrived(portal: Portal, begun: Begun) -> dict[str, str]:
    """What came back to the portal, checked: `code`, `iss`, and `state` where one was sent."""
    callback = portal.callback(begun)
    registered = parse_qs(urlsplit(portal.redirect_uri).query)
    assert set(callback) == {"code", "iss", *registered} | ({"state"} if begun.state else set()), callback
    assert callback.get("state") == begun.state
    assert callback["iss"] == portal.rig.issuer
    assert {name: [callback[name]] for name in registered} == registered
    assert len(callback["code"]) >= 22
    return callback


def bought(portal: Portal, response: httpx2.Response, begun: Begun) -> dict[str, Any]:
    """A token response, checked; the ID token's claims, the tokens under `_tokens`."""
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    tokens = response.json()
    assert tokens["token_type"] == ("DPoP" if portal.prover else "Bearer")
    assert 0 < tokens["expires_in"] <= 600
    assert _TOKEN.match(tokens["access_token"])
    claims = portal.id_token_claims(tokens["id_token"])
    assert claims["iss"] == portal.rig.issuer
    assert claims["aud"] == portal.client_id
    assert claims["exp"] > portal.rig.clock() >= claims["iat"] - 1
    assert claims.get("nonce") == begun.nonce
    assert "name" not in claims
    return {**claims, "_tokens": tokens}


def flow(portal: Portal, begun: Begun | None = None, **changes: Any) -> dict[str, Any]:
    """A whole sign-in by a pushed request, and UserInfo; the ID token's claims, the tokens under `_tokens`."""
    begun = begun or portal.begin_pushed(**changes)
    callback = arrived(portal, begun)
    claims = bought(portal, portal.token(callback["code"], begun.verifier), begun)
    said = portal.userinfo(claims["_tokens"]["access_token"])
    assert said.status_code == 200, said.text
    assert said.json()["sub"] == claims["sub"]
    return claims


def ready(portal: Portal, **changes: Any) -> tuple[str, str]:
    """A code that has not been used, and its verifier."""
    begun = portal.begin_pushed(**changes)
    return arrived(portal, begun)["code"], begun.verifier


def one_of(response: httpx2.Response, *errors: str, status: tuple[int, ...] = (400,)) -> None:
    """A JSON error that is one of those the suite takes."""
    assert response.json()["error"] in errors, response.text
    assert response.status_code in status
    as_json(response, response.status_code, response.json()["error"])
