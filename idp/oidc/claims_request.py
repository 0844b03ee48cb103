"""The `claims` parameter: read once when a request arrives, answered in the ID token and at UserInfo.

Only what is acted on is kept, under the names that we say claims by, and without the values that a portal expects
(`expected_values`). `essential` changes nothing: a claim that is missing is left out, never an error; what a portal
cannot do without is in its registration. `acr` and `sub` are conditions on the sign-in and are judged by `authorize`.

Spec: OpenID Connect Core 1.0, sections 5.2, 5.5 and 5.5.1; OpenID Connect for Identity Assurance 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from idp import strict_json
from idp.claims import SCOPES, can_be_in, canonical_name
from idp.errors import AuthorizationError
from idp.oidc import verified_claims
from idp.oidc.expected_values import ExpectedValues, malformed

Place = Literal["id_token", "userinfo"]

MAX_BYTES = 16_384
MAX_KEPT_BYTES = 32_768  # a digest is longer than the shortest value
PLACES: tuple[Place, ...] = ("id_token", "userinfo")
_CONDITIONS = ("acr", "sub")
_APART = ("verified_claims", *_CONDITIONS)


def read(text: str, expected: ExpectedValues) -> dict[str, Any]:
    """What is kept of a `claims` parameter, by place; it can rest in the Store.

    `acr` and `sub` of `id_token` stay as they stood. Raises AuthorizationError `invalid_request`.
    """
    try:
        document = strict_json.loads_object(text, max_bytes=MAX_BYTES)
    except ValueError as error:
        raise AuthorizationError(
            "invalid_request", "claims is not a JSON object", str(error), check="claims_json"
        ) from error
    kept: dict[str, Any] = {}
    for place in PLACES:
        if place in document:
            kept[place] = _members(document[place], place, expected)
    if len(msgspec.json.encode(kept)) > MAX_KEPT_BYTES:
        raise malformed("claims", "asks for too much")
    return kept


def _members(members: object, place: Place, expected: ExpectedValues) -> dict[str, Any]:
    if members is None:
        return {}
    where = f"claims.{place}"
    if not isinstance(members, dict):
        raise malformed(where, "must be null or an object")
    kept: dict[str, Any] = {}
    for name, member in members.items():
        if name == "verified_claims":
            kept[name] = verified_claims.read(member, place, expected)
            continue
        constraint = expected.keep(member, where)
        canonical = canonical_name(name)
        if name in _CONDITIONS and place == "id_token":
            kept[name] = member
        elif canonical is not None and can_be_in(canonical, place):
            kept[canonical] = constraint
    return kept


def answer(
    place: Place,
    request: Mapping[str, Any],
    *,
    scopes: Sequence[str],
    locales: Sequence[str],
    released: Mapping[str, Any],
    verification: Mapping[str, Any],
    expected: ExpectedValues,
    now: int,
) -> dict[str, Any]:
    """Everything a portal is told about the holder in one place: plain claims, and `verified_claims`.

    `request` is what `read` kept; `locales` is `claims_locales`; `released` are the claims that the holder agreed
    to and `verification` is `verified_claims.verification()`. `now` is the moment of the authorization request. The
    claims of a scope are for UserInfo (Core 5.4).
    """
    asked = request.get(place) or {}
    offered = {name: value for name, value in released.items() if can_be_in(name, place)}
    by_scope = [name for scope in scopes for name in SCOPES.get(scope, ())] if place == "userinfo" else []
    plain = {**dict.fromkeys(by_scope), **{name: asked[name] for name in asked if name not in _APART}}
    said = expected.fitting(plain, offered, locales=locales, now=now)
    verified = verified_claims.answer(
        asked.get("verified_claims"), verification, offered, expected=expected, now=now, locales=locales
    )
    return said if verified is None else {**said, "verified_claims": verified}


def wanted_age_s(request: Mapping[str, Any]) -> float | None:
    """How old a verification may be at most for this request to be answered in full; None: as old as it is.

    A session whose presentation is older should ask the wallet again (Identity Assurance, section 5.5.2).
    """
    asked = [(request.get(place) or {}).get("verified_claims") for place in PLACES]
    ages = [age for kept in asked if (age := verified_claims.wanted_age_s(kept)) is not None]
    return min(ages, default=None)
