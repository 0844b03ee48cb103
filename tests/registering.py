"""A portal that registers itself: where its documents are, and what it can do once it is registered."""

from __future__ import annotations

import base64
import json
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from idp.oidc import registration
from tests.presenting import b64
from tests.rig import Portal, Rig

REDIRECT_URI = "https://portal.example/callback"


NO_KEYS: dict[str, dict[str, Any]] = {
    # A point of small order: whatever is multiplied with it comes to nothing (RFC 7748, section 6.1).
    "ECDH-ES": {"kty": "OKP", "crv": "X25519", "x": b64(bytes(32))},
    "RSA-OAEP-256": {"kty": "RSA", "n": b64((1 << 2047).to_bytes(256, "big")), "e": "AQAB"},
}
"""By algorithm, a key in form only, which cannot be encrypted to."""


def public(key: ECKey | RSAKey) -> dict[str, Any]:
    """The public half of a key, as it is registered."""
    return {**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig"}


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(
    width: int = 3,
    height: int = 2,
    depth: int = 8,
    colour: int = 2,
    interlace: int = 0,
    *more: bytes,
    raw: Any = None,
) -> bytes:
    """A small PNG; `more` chunks stand before the pixels, `raw` replaces the unpacked rows."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\x00" + bytes(place % 251 for place in range((width * depth * channels + 7) // 8))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    pixels = zlib.compress(row * height if raw is None else raw)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), *more, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    )


@dataclass
class Site:
    """A portal's own server: documents by path, and the paths that were asked for."""

    origin: str = ""
    documents: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def publish(self, path: str, document: object) -> str:
        """Serve a document, bytes or JSON; its URL."""
        self.documents[path] = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.origin + path


@contextmanager
def site() -> Iterator[Site]:
    """A portal's server on loopback."""
    made = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            body = made.documents.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.origin = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def invited(rig: Rig, **changes: Any) -> str:
    """An initial access token."""
    good: dict[str, Any] = {"profile": "standard", "uses": 1, "ttl_s": 3600, "note": "", "now": rig.clock()}
    with rig.app.app_context():
        return registration.invite(**{**good, **changes})


def metadata(**changes: Any) -> dict[str, Any]:
    """Good client metadata with some members changed (None leaves one out)."""
    good = {"client_name": "Test portal", "redirect_uris": [REDIRECT_URI]}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def register(rig: Rig, token: str | None, **changes: Any) -> httpx2.Response:
    """POST /register."""
    return rig.http.post(f"{rig.issuer}/register", json=metadata(**changes), headers=bearer(token))


def registered(rig: Rig, **changes: Any) -> dict[str, Any]:
    """A registration that is accepted, by an invitation of its own."""
    response = register(rig, invited(rig, profile=changes.get("profile", "standard")), **changes)
    assert response.status_code == 201, response.text
    return dict(response.json())


class Registered(Portal):
    """A portal as its registration's answer made it, in the shape of the rig's."""

    def __init__(self, rig: Rig, answer: dict[str, Any], key: ECKey | RSAKey | None = None) -> None:
        super().__init__(rig, "gov24")
        self.answer, self.key = answer, key
        self.client_id = answer["client_id"]
        self.registration = {"scopes": answer["scope"].split(), **answer}
        self.redirect_uri = answer["redirect_uris"][0]

    def credentials(self) -> tuple[dict[str, str], str | None]:
        method = self.answer["token_endpoint_auth_method"]
        if method == "private_key_jwt":
            return {
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": self.assertion(),
            }, None
        if method == "none":
            return {"client_id": self.client_id}, None
        secret = self.answer["client_secret"]
        if method == "client_secret_post":
            return {"client_id": self.client_id, "client_secret": secret}, None
        return {}, "Basic " + base64.b64encode(f"{self.client_id}:{secret}".encode()).decode()

    def assertion(self, **changes: Any) -> str:  # type: ignore[override]
        assert self.key is not None
        return super().assertion(header={"kid": self.key.thumbprint()}, key=self.key, **changes)


def statement(key: ECKey | RSAKey, *, alg: str = "ES256", **claims: Any) -> str:
    """A signed software statement."""
    return jwt.encode({"alg": alg, "kid": key.thumbprint()}, claims, key, algorithms=[alg])
