"""Signed JWTs in compact form: what an issuer, a wallet and a status list share.

Everything that is not exactly a compact JWS with a strict JSON object in its header and payload is refused, also
padding and a second spelling of the same base64url.

Specs: RFC 7515, RFC 7517, RFC 7518, RFC 8725.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from pybase64 import b64decode, b64encode_as_string

from idp import strict_json
from idp.credentials import ecdsa
from idp.credentials.verdict import CredentialRejected, Reason, Unprinted
from idp.seal import unb64

# HAIP 1.0 makes every party speak ES256. A new algorithm is a name here and, unless it is an EC one, a kind of key
# in `public_key`.
ALGORITHMS: Mapping[str, ecdsa.Algorithm] = {"ES256": ecdsa.ES256}
CURVES: Mapping[str, ecdsa.Algorithm] = {"P-256": ecdsa.ES256, "P-384": ecdsa.ES384, "P-521": ecdsa.ES512}
MAX_HEADER_CHARS = 32_768  # five certificates of a few kilobytes each
MAX_X5C = 5
MAX_CERTIFICATE_BYTES = 8_192
# One signer's header is the same on all that it signs, so it is read once. Longer ones are not kept.
_KEPT_HEADERS = 256
_MAX_KEPT_CHARS = 8_192
_MAX_NUMERIC_DATE = 253_402_300_799  # 9999-12-31T23:59:59Z
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

PublicKey = ecdsa.PublicKey


class UnverifiedJws(Unprinted, frozen=True):
    """A compact JWS whose parts are well formed and whose signature nobody has checked."""

    header: Mapping[str, Any]
    payload: dict[str, Any]
    signed: bytes
    signature: bytes


def unverified_jws(text: str, *, max_chars: int) -> UnverifiedJws:
    """The header and payload of a compact JWS, before its signature is checked.

    Raises CredentialRejected: TOO_LARGE, MALFORMED, CRITICAL_HEADER (we understand no `crit`), ALGORITHM.
    """
    if len(text) > max_chars:
        raise CredentialRejected(Reason.TOO_LARGE, "a JWT is too long")
    parts = text.split(".")
    if len(parts) != 3:
        raise CredentialRejected(Reason.MALFORMED, "not a compact JWS")
    if len(parts[0]) > MAX_HEADER_CHARS:
        raise CredentialRejected(Reason.TOO_LARGE, "a JWT's header is too long")
    try:
        header = _kept_header(parts[0]) if len(parts[0]) <= _MAX_KEPT_CHARS else _header(parts[0])
        if "crit" in header or "b64" in header:
            raise CredentialRejected(Reason.CRITICAL_HEADER, "an extension we do not understand")
        if header.get("alg") not in ALGORITHMS:
            raise CredentialRejected(Reason.ALGORITHM, "alg is not accepted")
        payload = strict_json.loads_object(unb64(parts[1]), max_bytes=max_chars)
        signature = unb64(parts[2])
    except (ValueError, TypeError):
        # `from None`: the parser's own error carries what it parsed.
        raise CredentialRejected(Reason.MALFORMED, "a part of a JWT is not JSON in base64url") from None
    return UnverifiedJws(header, payload, text.rpartition(".")[0].encode("ascii"), signature)


def _header(text: str) -> Mapping[str, Any]:
    return MappingProxyType(strict_json.loads_object(unb64(text)))


_kept_header = lru_cache(maxsize=_KEPT_HEADERS)(_header)


def check_signature(token: UnverifiedJws, key: PublicKey, refusal: Reason) -> None:
    """Check the signature with exactly this key. Key material in the token's header is never looked at.

    Raises CredentialRejected: ALGORITHM when the key is not one for `alg`, else `refusal`.
    """
    algorithm = ALGORITHMS[token.header["alg"]]
    if not algorithm.fits(key):
        raise CredentialRejected(Reason.ALGORITHM, "alg does not fit the key")
    if not algorithm.verifies(key, token.signature, token.signed):
        raise CredentialRejected(refusal, "the signature does not verify")


def numeric_date(claims: Mapping[str, Any], name: str) -> int | None:
    """A NumericDate in whole seconds, rounded down, or None where there is none (RFC 7519, section 2).

    Raises CredentialRejected(MALFORMED): not a number (True is none), not finite, before 1970, after 9999.
    """
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_NUMERIC_DATE:
        raise CredentialRejected(Reason.MALFORMED, f"{name} is not a NumericDate")
    return int(value)


def x5c_chain(header: Mapping[str, Any], refusal: Reason) -> tuple[bytes, ...]:
    """The certificates of a protected header, DER, leaf first (RFC 7515, section 4.1.6).

    Raises CredentialRejected(refusal): none, more than MAX_X5C, not standard base64, too large.
    """
    chain = header.get("x5c")
    if not isinstance(chain, list) or not 1 <= len(chain) <= MAX_X5C:
        raise CredentialRejected(refusal, f"x5c is not a list of 1 to {MAX_X5C} certificates")
    try:
        return tuple([_kept_certificate(text) for text in chain])
    except (ValueError, TypeError):
        raise CredentialRejected(refusal, "a certificate in x5c is not base64, or is too large") from None


def public_key(jwk: Any) -> PublicKey:
    """The public key in a JWK: EC, on its curve, without a private part; other members are not looked at.

    Raises ValueError for anything else. Specs: RFC 7517, RFC 7518 section 6.2.
    """
    if not isinstance(jwk, dict) or jwk.get("kty") != "EC" or not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise ValueError("not a public EC key")
    if jwk.get("use", "sig") != "sig":
        raise ValueError("not a key for signatures")
    crv = jwk.get("crv")
    if not isinstance(crv, str) or crv not in CURVES:
        raise ValueError("not a curve we know")
    x, y = jwk.get("x"), jwk.get("y")
    if not isinstance(x, str) or not isinstance(y, str):
        raise ValueError("not the coordinates of a point")
    return CURVES[crv].public_key(unb64(x), unb64(y))


def _certificate_bytes(text: Any) -> bytes:
    if not isinstance(text, str) or len(text) > MAX_CERTIFICATE_BYTES * 4 // 3 + 4:
        raise ValueError("not text, or too large")
    der = b64decode(text, validate=True)  # binascii.Error is a ValueError
    if b64encode_as_string(der) != text:
        raise ValueError("not canonical base64")
    return der


_kept_certificate = lru_cache(maxsize=_KEPT_HEADERS)(_certificate_bytes)
