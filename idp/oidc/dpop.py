"""DPoP: a portal shows with each request that it holds the key its tokens are bound to.

A proof is judged on its own first (form, key, signature, method, address, time, token), then by our nonce, then by
whether it was used before. A malformed proof therefore hears `invalid_dpop_proof`, and one that only lacks a nonce
`use_dpop_nonce` with a fresh one.

A used proof is remembered in the Store for as long as it could be believed. The Store may forget (decision D11): so a
nonce is good only under a random key that lives in the same Store, and that key is read again *after* the proof was
marked as used. Whoever empties the Store takes the marks and the key together, and what was used before is refused.
A Store that lost its last second alone has the key still: where a proof opens something by itself, with an access
token, a row decides. Beside a code, a refresh token or a pushed request there is one that decides already.

Spec: RFC 9449; FAPI 2.0 Security Profile, section 5.3.2.1 (algorithms); RFC 7638 (thumbprint).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2 import OAuth2Error

from idp import seal, strict_json
from idp.clock import Clock
from idp.errors import Mismatch, said_uri
from idp.oidc.portal_keys import Key, keys_of, signed_payload
from idp.store import Store, StoreUnavailable

DPOP_ALGORITHMS = ("ES256", "PS256", "EdDSA")

_MAX_PROOF = 8192
_MAX_HTU = 2048
_WINDOW_S = 60  # how far `iat` may lie from our clock, either way
_MARK_S = 2 * _WINDOW_S + 60  # longer than any proof can be believed; the Store's clock may not be ours
_BUCKET_S = 60
_BUCKETS = 3  # a nonce is good for two to three minutes
_KIND = "dpop_proof"
_NONCE_KEY = "dpop-nonce-key"
_NONCE_KEY_S = 86_400
_CACHE_S = 1
_PORTS = {"http": 80, "https": 443}
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

Address = tuple[str, str, int, str]


class DpopRefused(OAuth2Error):  # type: ignore[misc]
    """A proof is refused: 400 in JSON at the token endpoint, `challenge` with 401 where a token is used.

    `error` is "invalid_dpop_proof" or "use_dpop_nonce"; `nonce` is one to try again with, where that would help;
    `reason` names the failed check for the audit.
    """

    status_code = 400

    def __init__(
        self,
        error: str,
        description: str,
        *,
        reason: str = "",
        nonce: str | None = None,
        expected: Sequence[str] = (),
        received: Sequence[str] = (),
    ) -> None:
        super().__init__(description, error=error)
        self.reason = reason
        self.mismatch = Mismatch(f"dpop_{reason or 'missing'}", expected, received)
        self.nonce = nonce

    def get_headers(self) -> list[tuple[str, str]]:
        headers: list[tuple[str, str]] = super().get_headers()
        return [*headers, ("DPoP-Nonce", self.nonce)] if self.nonce else headers

    @property
    def challenge(self) -> str:
        """The value of WWW-Authenticate (RFC 9449, section 7.1)."""
        return challenge(self.error, self.description)


def challenge(error: str = "", description: str = "") -> str:
    """A WWW-Authenticate challenge of the DPoP scheme; without an error it only says which algorithms we take."""
    members = {"error": error, "error_description": description, "algs": " ".join(DPOP_ALGORITHMS)}
    return "DPoP " + ", ".join(f'{name}="{value}"' for name, value in members.items() if value)


class Proofs:
    """Checks proofs, each once. Threads and processes that share a Store share its memory.

    use: writes down, in what does not forget, that something of a kind was used, by its digest and until a moment;
    False where it was used before (`models.use`).
    """

    def __init__(self, store: Store, clock: Clock, issuer: str, use: Callable[[str, str, int], bool]) -> None:
        self._store = store
        self._used_first = use
        self._clock = clock
        self._issuer = issuer
        self._cached: tuple[int, bytes] | None = None

    def nonce(self) -> str:
        """The value for a DPoP-Nonce header, good for at least two minutes (RFC 9449, section 8)."""
        return self._nonce(self._known_key(), self._bucket())

    def check(
        self, headers: Sequence[str], *, method: str, urls: Collection[str], access_token: str | None = None
    ) -> str:
        """The thumbprint (jkt) of the key that a request's proof was made with. A proof works once.

        `headers` are all values of the DPoP header, `urls` the addresses by which this endpoint is known, with any
        query. With an `access_token` the proof must be for that token.

        Raises DpopRefused. Whether the thumbprint is the one that a code or token is bound to is the caller's check.

        Spec: RFC 9449, section 4.3.
        """
        jkt, jti, nonce_key = self._judged(headers, method, urls, access_token)
        self._use(jkt, jti, nonce_key, lasting=access_token is not None)
        return jkt

    def examine(
        self, proof: str, *, method: str, urls: Collection[str], access_token: str | None = None
    ) -> DpopRefused | None:
        """Why a proof would be refused, None where it would do; it is not used up."""
        try:
            jkt, jti, _ = self._judged([proof], method, urls, access_token)
        except DpopRefused as refused:
            return refused
        known = self._store.get(_mark(_digest(jkt, jti)))
        return _invalid("replayed", "The proof was used before.") if known is not None else None

    def _judged(
        self, headers: Sequence[str], method: str, urls: Collection[str], access_token: str | None
    ) -> tuple[str, str, bytes]:
        """Thumbprint, jti and nonce's key of a proof that holds, but for whether it was used before."""
        proof = _only(headers)
        claims, jkt = _verified(proof)
        jti = _checked_jti(claims)
        self._check_request(claims, method, urls)
        self._check_times(claims)
        if access_token is not None:
            _check_token(claims, access_token)
        return jkt, jti, self._check_nonce(claims.get("nonce"))

    def _check_request(self, claims: Mapping[str, Any], method: str, urls: Collection[str]) -> None:
        if claims.get("htm") != method:
            raise _invalid(
                "htm", "The proof is for another HTTP method.", (method,), (str(claims.get("htm"))[:16],)
            )
        htu = claims.get("htu")
        try:
            address = _address(htu)
        except ValueError:
            raise _invalid("htu", "htu is not a URL.") from None
        if address not in {_address(url) for url in urls}:
            raise _invalid("htu", "The proof is for another URL.", sorted(urls), (said_uri(str(htu)),))

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock()
        iat = _numeric_date(claims, "iat")
        if iat is None or not now - _WINDOW_S <= iat <= now + _WINDOW_S:
            raise _invalid("iat", "The proof was not made just now.", (f"{now} ± {_WINDOW_S}",), (str(iat),))
        nbf, exp = (_numeric_date(claims, name) for name in ("nbf", "exp"))
        # The two have no meaning in a proof, but a library that sets them means them.
        if (nbf is not None and nbf > now + _WINDOW_S) or (exp is not None and exp <= now - _WINDOW_S):
            raise _invalid("nbf_exp", "The proof is not valid now.")

    # -- our nonce -------------------------------------------------------------------------------------------

    def _check_nonce(self, nonce: Any) -> bytes:
        """The key that made this nonce. The Store is asked when the key we remember did not."""
        if isinstance(nonce, str) and nonce.isascii():
            for find in (self._known_key, self._stored_key):
                key = find()
                if self._made(key, nonce):
                    return key
        raise self._wants_nonce()

    def _made(self, key: bytes, nonce: str) -> bool:
        newest = self._bucket()
        good = [self._nonce(key, bucket) for bucket in range(newest, newest - _BUCKETS, -1)]
        return any([hmac.compare_digest(nonce, known) for known in good])  # noqa: C419 - every one is compared

    def _use(self, jkt: str, jti: str, nonce_key: bytes, *, lasting: bool) -> None:
        digest = _digest(jkt, jti)
        if not self._store.add(_mark(digest), {}, _MARK_S):
            raise _invalid("replayed", "The proof was used before.")
        # Marking comes before this look, and no process ever writes an old key back. If the Store was emptied after
        # this proof's first use, its mark is gone, but so is the key of its nonce, and this is where that shows.
        # The other order would let a proof through that was looked at before the emptying and marked after it.
        if not hmac.compare_digest(self._stored_key(), nonce_key):
            raise self._wants_nonce()
        if lasting and not self._used_first(_KIND, digest, self._clock() + _MARK_S):
            raise _invalid("replayed", "The proof was used before.")

    def _wants_nonce(self) -> DpopRefused:
        return DpopRefused(
            "use_dpop_nonce", "The proof needs our current nonce.", reason="nonce", nonce=self.nonce()
        )

    def _nonce(self, key: bytes, bucket: int) -> str:
        return seal.mac(key, self._issuer, str(bucket))

    def _bucket(self) -> int:
        return self._clock() // _BUCKET_S

    def _known_key(self) -> bytes:
        cached = self._cached
        if cached is not None and 0 <= self._clock() - cached[0] <= _CACHE_S:
            return cached[1]
        return self._stored_key()

    def _stored_key(self) -> bytes:
        """The key as the Store has it now; a new one where it has none."""
        for _ in range(3):  # it may expire between losing to another writer and looking
            stored = self._store.get(_NONCE_KEY)
            if stored is None:
                fresh = os.urandom(32)
                if not self._store.add(_NONCE_KEY, {"key": seal.b64(fresh)}, _NONCE_KEY_S):
                    continue
                key = fresh
            else:
                key = seal.unb64(stored["key"])
            self._cached = (self._clock(), key)
            return key
        raise StoreUnavailable("the store keeps no nonce key")


def _digest(jkt: str, jti: str) -> str:
    """What a used proof is remembered by."""
    return seal.digest(jkt + jti)


def _mark(digest: str) -> str:
    return f"dpop:{digest}"


def _only(headers: Sequence[str]) -> str:
    # WSGI joins repeated headers with a comma, which no compact JWT has.
    if len(headers) != 1 or "," in headers[0]:
        raise _invalid("header", "There must be exactly one DPoP header.")
    if len(headers[0]) > _MAX_PROOF:
        raise _invalid("header", "The proof is too long.")
    return headers[0]


def _verified(proof: str) -> tuple[dict[str, Any], str]:
    """The claims of a proof signed with the key in its own header, and that key's thumbprint."""
    parts = proof.split(".")
    if len(parts) != 3:
        raise _invalid("malformed", "The proof is not a compact JWT.")
    try:
        header = strict_json.loads_object(seal.unb64(parts[0]))
        claims = strict_json.loads_object(seal.unb64(parts[1]))
        seal.unb64(parts[2])
    except ValueError:
        raise _invalid("malformed", "The proof is not a compact JWT.") from None
    if header.get("typ") != "dpop+jwt":
        raise _invalid("typ", "typ must be dpop+jwt.", ("dpop+jwt",), (str(header.get("typ")),))
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in DPOP_ALGORITHMS:
        raise _invalid("alg", "alg is not one of ours.", DPOP_ALGORITHMS, (str(alg),))
    if "crit" in header or "b64" in header:
        raise _invalid("crit", "The proof needs an extension that we do not know.")
    key = _key(header.get("jwk"), alg)
    try:
        signed_payload(proof, [key], alg=alg)
    except ValueError:
        raise _invalid("signature", "The signature does not verify with the key in jwk.") from None
    return claims, key.thumbprint()


def _key(jwk: Any, alg: str) -> Key:
    # `keys_of` leaves out whatever is private, symmetric, weak, oversized or not on its curve.
    found = [known.key for known in keys_of({"keys": [jwk]}) if known.fits(alg, "sig")]
    if not found:
        raise _invalid("jwk", "jwk must be a public key that fits alg.")
    return found[0]


def _checked_jti(claims: Mapping[str, Any]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= 256:
        raise _invalid("jti", "jti must be a text of 1 to 256 characters.")
    return jti


def _check_token(claims: Mapping[str, Any], access_token: str) -> None:
    ath = claims.get("ath")
    digest = hashlib.sha256(access_token.encode("utf-8", "surrogateescape")).digest()
    if not isinstance(ath, str) or not hmac.compare_digest(
        ath.encode("utf-8"), seal.b64(digest).encode("ascii")
    ):
        raise _invalid("ath", "The proof is not for this access token.")


def _numeric_date(claims: Mapping[str, Any], name: str) -> int | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid(name, f"{name} must be a number.")
    return int(value)


def _address(url: Any) -> Address:
    """What counts of a URL: scheme, host, port and path, each in its one spelling (RFC 3986, sections 6.2.2, 6.2.3).

    Query and fragment do not count. Dot segments are left as they are. Raises ValueError.
    """
    if (
        not isinstance(url, str)
        or len(url) > _MAX_HTU
        or not all("!" <= character <= "~" for character in url)
    ):
        raise ValueError("not a URL")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        raise ValueError("not an address of a resource")
    path = _ESCAPED.sub(_one_spelling, parts.path) or "/"
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], path


def _one_spelling(escaped: re.Match[str]) -> str:
    character = chr(int(escaped[0][1:], 16))
    return character if character in _UNRESERVED else escaped[0].upper()


def _invalid(
    reason: str, description: str, expected: Sequence[str] = (), received: Sequence[str] = ()
) -> DpopRefused:
    return DpopRefused("invalid_dpop_proof", description, reason=reason, expected=expected, received=received)
