"""What a client must check of an answer, done as a client does it: with what was published, and what it sent itself.

Spec: OpenID Connect Core 1.0, sections 3.1.2.7, 3.1.3.5, 3.1.3.7, 3.1.3.8 and 5.3.2; RFC 6749, section 10.12;
RFC 9207, section 2.4; RFC 8725, section 3.1.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idp import seal, strict_json
from idp.oidc.id_token import at_hash
from idp.oidc.portal_keys import keys_of, signed_payload

LEEWAY_S = 60


@dataclass(frozen=True)
class Asked:
    """What the client remembers of its request."""

    issuer: str
    client_id: str
    state: str
    nonce: str
    alg: str
    acr_values: tuple[str, ...] = ()
    max_age_s: int | None = None


@dataclass(frozen=True)
class Checked:
    """One check: its name, whether it holds (None: nothing of it was asked for), and where it is required."""

    name: str
    holds: bool | None
    reference: str


@dataclass(frozen=True)
class Decoded:
    """An ID token, read. `claims` are worth something only if every check holds."""

    header: dict[str, Any]
    unverified_claims: dict[str, Any]


def decoded(id_token: str) -> Decoded:
    """Header and claims of a signed JWT, unverified. Raises ValueError."""
    head, payload, _ = id_token.split(".")
    return Decoded(strict_json.loads_object(seal.unb64(head)), strict_json.loads_object(seal.unb64(payload)))


def header_of(token: str) -> dict[str, Any]:
    """The header of a compact JWS or JWE, unverified. Raises ValueError."""
    return strict_json.loads_object(seal.unb64(token.partition(".")[0]))


def of_response(
    response: str | None, asked: Asked, jwks: Mapping[str, Any], *, now: int, alg: str = "ES256"
) -> list[Checked]:
    """The checks of a response in a JWT, in the order of JARM, section 2.4; None: it did not come in one."""
    jarm = "JARM 1.0, 2.4"
    names = ("response_iss", "response_aud", "response_exp", "response_signature")
    if response is None:
        return [Checked(name, None, jarm) for name in names]
    try:
        claims, header = decoded(response).unverified_claims, header_of(response)
    except ValueError:
        return [Checked(name, False, jarm) for name in names]
    expires_at = claims.get("exp")
    holds = (
        claims.get("iss") == asked.issuer,
        claims.get("aud") == asked.client_id,
        isinstance(expires_at, int) and now < expires_at + LEEWAY_S,
        header.get("alg") == alg and _is_signed(response, header, jwks),
    )
    return [Checked(name, held, jarm) for name, held in zip(names, holds, strict=True)]


def of_callback(asked: Asked, back: Mapping[str, str]) -> list[Checked]:
    """The checks before the code is used."""
    return [
        Checked("state", _same(back.get("state"), asked.state), "RFC 6749, 10.12"),
        Checked("iss_parameter", back.get("iss") == asked.issuer, "RFC 9207, 2.4"),
    ]


def of_id_token(
    asked: Asked, id_token: str, access_token: str, jwks: Mapping[str, Any], *, now: int
) -> list[Checked]:
    """The checks of an ID token, in the order of section 3.1.3.7. Raises ValueError where it is no JWT."""
    read = decoded(id_token)
    header, claims = read.header, read.unverified_claims
    core = "OpenID Connect Core 1.0, 3.1.3.7"
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    expires_at, issued_at, auth_time = (claims.get(name) for name in ("exp", "iat", "auth_time"))
    return [
        Checked("alg", header.get("alg") == asked.alg, f"{core} (7); RFC 8725, 3.1"),
        Checked("signature", _is_signed(id_token, header, jwks), f"{core} (6); 10.1"),
        Checked("iss", claims.get("iss") == asked.issuer, f"{core} (2)"),
        Checked("aud", asked.client_id in audiences, f"{core} (3)"),
        Checked(
            "azp",
            claims["azp"] == asked.client_id if "azp" in claims else (None if len(audiences) == 1 else False),
            f"{core} (4, 5)",
        ),
        Checked("exp", isinstance(expires_at, int) and now < expires_at + LEEWAY_S, f"{core} (9)"),
        Checked("iat", isinstance(issued_at, int) and abs(now - issued_at) <= 600 + LEEWAY_S, f"{core} (10)"),
        Checked("nonce", _same(claims.get("nonce"), asked.nonce), f"{core} (11)"),
        Checked("acr", claims.get("acr") in asked.acr_values if asked.acr_values else None, f"{core} (12)"),
        Checked("auth_time", _recent(auth_time, asked.max_age_s, now), f"{core} (13)"),
        Checked(
            "at_hash", _same(claims.get("at_hash"), at_hash(access_token)), "OpenID Connect Core 1.0, 3.1.3.8"
        ),
    ]


def of_userinfo(claims: Mapping[str, Any], userinfo: Mapping[str, Any]) -> list[Checked]:
    """UserInfo is about the same person, or worth nothing."""
    same = _same(userinfo.get("sub"), str(claims.get("sub")))
    return [Checked("userinfo_sub", same, "OpenID Connect Core 1.0, 5.3.2")]


def of_signed_userinfo(
    said: str | None, asked: Asked, jwks: Mapping[str, Any], *, alg: str = ""
) -> list[Checked]:
    """The checks of UserInfo in a JWT; None: it came as JSON."""
    reference = "OpenID Connect Core 1.0, 5.3.2; 5.3.4"
    if said is None:
        return [Checked("userinfo_signature", None, reference)]
    try:
        read = decoded(said)
    except ValueError:
        return [Checked("userinfo_signature", False, reference)]
    claims = read.unverified_claims
    ours = claims.get("iss") == asked.issuer and claims.get("aud") == asked.client_id
    is_signed = read.header.get("alg") == alg and _is_signed(said, read.header, jwks)
    return [Checked("userinfo_signature", ours and is_signed, reference)]


def _is_signed(id_token: str, header: Mapping[str, Any], jwks: Mapping[str, Any]) -> bool:
    """By exactly the key that the header names, found among those that are published."""
    alg, kid = str(header.get("alg")), header.get("kid")
    keys = [known.key for known in keys_of(jwks) if known.kid == kid and known.fits(alg, "sig")]
    try:
        signed_payload(id_token, keys, alg=alg)
    except ValueError:
        return False
    return len(keys) == 1


def _recent(auth_time: Any, max_age_s: int | None, now: int) -> bool | None:
    if max_age_s is None:
        return None
    return isinstance(auth_time, int) and now - auth_time <= max_age_s + LEEWAY_S


def _same(given: Any, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())
