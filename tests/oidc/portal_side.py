"""A portal as the tests of `idp/oidc` need it: registered, with keys, with a web server, at a time that moves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from idp.fetch import GuardedClient
from idp.oidc.portal_keys import ACCEPT, PortalKeys
from idp.portals import Registration

CLIENT_ID = "portal"
SigningKey = ECKey | RSAKey | OKPKey


class MovingClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000

    def __call__(self) -> int:
        return self.now

    def pass_(self, seconds: int) -> None:
        self.now += seconds


def registration(*keys: SigningKey, **changes: Any) -> Registration:
    """A portal with these public keys, registered by value unless `jwks_uri` is among the changes."""
    texts = {"ko": "포털", "en": "Portal"}
    given: dict[str, Any] = {"jwks": jwks(*keys)} if keys else {}
    return Registration(
        **{"client_id": CLIENT_ID, "name": texts, "operator": texts, "retention": texts}, **given, **changes
    )


def jwks(*keys: SigningKey) -> dict[str, Any]:
    """The JWK Set of these keys' public halves."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def ec_key(kid: str | None = "ec", **members: str) -> ECKey:
    return ECKey.generate_key("P-256", {**_kid(kid), **members})


def rsa_key(kid: str | None = "rsa", **members: str) -> RSAKey:
    return RSAKey.generate_key(2048, {**_kid(kid), **members})


def ed_key(kid: str | None = "ed", **members: str) -> OKPKey:
    return OKPKey.generate_key("Ed25519", {**_kid(kid), **members})


def _kid(kid: str | None) -> dict[str, str]:
    return {} if kid is None else {"kid": kid}


class _Quiet(jws.JWSRegistry):
    """joserfc warns of the name "EdDSA"; a portal may use it."""

    max_header_length = 10_000

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


def signed(claims: Mapping[str, Any] | bytes, key: SigningKey, alg: str, **header: Any) -> str:
    """A compact JWS as a portal's library makes it; `header` adds to alg and kid, None takes away."""
    whole = {"alg": alg, "kid": key.kid, **header}
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return jws.serialize_compact(
        {name: value for name, value in whole.items() if value is not None},
        payload,
        key,
        registry=_Quiet(strict_check_header=False),
    )


class PortalSite:
    """The portal's web server on loopback: documents by path, and who asked for them."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.status = 200
        self.asked: list[str] = []
        self.open = threading.Event()
        self.open.set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.open.wait(30)
                body = site.documents.get(self.path)
                self.send_response(site.status if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                """Tests print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.client = GuardedClient([self.origin], allow_loopback=True, timeout_s=10, max_bytes=200_000)

    @property
    def jwks_uri(self) -> str:
        return f"{self.origin}/jwks"

    def publish(self, *keys: SigningKey) -> None:
        self.documents["/jwks"] = json.dumps(jwks(*keys)).encode()

    def fetch(self, uri: str) -> bytes:
        return self.client.get(uri, accept=ACCEPT).body

    def __enter__(self) -> PortalSite:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self.client.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def no_fetch(_uri: str) -> bytes:
    raise AssertionError("nothing is to be fetched here")


def known_keys(clock: Callable[[], int] | None = None, **options: int) -> PortalKeys:
    """The drawer for portals that registered their keys by value."""
    return PortalKeys(no_fetch, clock or MovingClock(), **options)
