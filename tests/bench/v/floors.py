"""What a Python server takes for a request in which next to nothing happens. Served by gunicorn, as everybody here.

`bare`: WSGI alone. `signing`: Flask, one Redis round trip and an ES256 JWT, which no token endpoint can do without.
"""

from __future__ import annotations

import json
import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from typing import Any

import redis
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from flask import Flask, Response, jsonify, request

_BODY = b'{"token_type":"Bearer"}'
_HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(_BODY)))]


def bare(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Read the form, say the same to everybody."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", _HEADERS)
    return [_BODY]


signing = Flask(__name__)
_store = redis.Redis.from_url(os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/0"))
_key = ec.generate_private_key(ec.SECP256R1())


@signing.post("/token")
def token() -> Response:
    """An ID token that says nothing of anybody."""
    _store.getdel(request.form["code"])
    claims = {"iss": "https://op.example", "sub": "somebody", "aud": "portal", "iat": int(time.time())}
    signed = f"{_part({'alg': 'ES256', 'typ': 'JWT'})}.{_part(claims)}"
    r, s = decode_dss_signature(_key.sign(signed.encode("ascii"), ec.ECDSA(hashes.SHA256())))
    return jsonify(token_type="Bearer", id_token=f"{signed}.{_b64(r.to_bytes(32) + s.to_bytes(32))}")


def _part(said: dict[str, Any]) -> str:
    return _b64(json.dumps(said).encode("utf-8"))


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
