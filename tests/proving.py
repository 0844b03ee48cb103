"""A portal's key that makes DPoP proofs, with everything changeable."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from idp.seal import b64

_ALGORITHMS: Mapping[type, str] = {ECKey: "ES256", RSAKey: "PS256", OKPKey: "EdDSA"}


class Prover:
    """Proofs by one key, a fresh P-256 one unless told."""

    def __init__(self, key: ECKey | RSAKey | OKPKey | None = None, alg: str | None = None) -> None:
        self.key = key or ECKey.generate_key("P-256")
        self.alg = alg or _ALGORITHMS[type(self.key)]

    @property
    def jwk(self) -> dict[str, Any]:
        return dict(self.key.as_dict(private=False))

    @property
    def jkt(self) -> str:
        return str(self.key.thumbprint())

    def proof(
        self,
        url: str,
        method: str = "POST",
        *,
        at: int | None = None,
        nonce: str | None = None,
        access_token: str | None = None,
        header: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A good proof for a request, with some claims and members of its header changed (None leaves one out)."""
        claims = {
            "jti": secrets.token_urlsafe(12),
            "htm": method,
            "htu": url,
            "iat": int(time.time()) if at is None else at,
            "nonce": nonce,
            "ath": ath(access_token) if access_token is not None else None,
            **changes,
        }
        full = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.jwk, **(header or {})}
        return self.sign(_present(full), _present(claims))

    def sign(self, header: Any, claims: Any) -> str:
        """A compact JWS really made with this key and its algorithm, whatever the header says."""
        unsigned = f"{b64(_json(header))}.{b64(_json(claims))}"
        # The algorithm by itself: a whole library would not put its name to some of these headers.
        signature = jws.JWSRegistry.algorithms[self.alg].sign(unsigned.encode("ascii"), self.key)
        return f"{unsigned}.{b64(signature)}"


def ath(access_token: str) -> str:
    """The hash of an access token as a proof carries it."""
    return b64(hashlib.sha256(access_token.encode()).digest())


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _json(value: Any) -> bytes:
    """JSON, or bytes as they are."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()
