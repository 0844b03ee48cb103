"""Reading a logout request that a portal sends a browser with.

Spec: OpenID Connect RP-Initiated Logout 1.0. A redirect back happens only to an exactly registered URI of the
portal that a genuine `id_token_hint` names; everything else ends on a page of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from idp import portals
from idp.errors import Mismatch, RequestError, said_uri
from idp.oidc.id_token import IdTokens

MAX_STATE = 4096


@dataclass(frozen=True)
class LogoutRequest:
    """A checked request. `sid` is that of the hint: the session it names may be ended without asking."""

    client_id: str | None
    sid: str | None
    location: str | None
    state: str | None


def read(parameters: Mapping[str, Sequence[str]], id_tokens: IdTokens) -> LogoutRequest:
    """Raises RequestError for a repeated parameter, a hint that is not ours, a URI that is not registered."""
    if any(len(values) > 1 for values in parameters.values()):
        raise RequestError(
            "bad_request", "a parameter is there more than once", mismatch=Mismatch("parameter_repeated")
        )
    given = {name: values[0] for name, values in parameters.items() if values and values[0]}
    hint = given.get("id_token_hint")
    claims = id_tokens.claims_of_hint(hint) if hint else None
    if hint and claims is None:
        raise RequestError("bad_request", "id_token_hint is not ours", mismatch=Mismatch("id_token_hint"))
    client_id = str(claims["aud"]) if claims else None
    if client_id and given.get("client_id", client_id) != client_id:
        raise RequestError(
            "bad_request",
            "client_id is not the hint's",
            mismatch=Mismatch("logout_client", (client_id,), client_id=client_id),
        )
    location = given.get("post_logout_redirect_uri") if client_id else None
    if location is not None:
        portal = portals.find(client_id or "")
        if portal is None or location not in portal.post_logout_redirect_uris:
            registered = portal.post_logout_redirect_uris if portal is not None else ()
            mismatch = Mismatch("logout_uri", registered, (said_uri(location[:2048], registered),), client_id)
            raise RequestError("bad_request", "post_logout_redirect_uri not registered", mismatch=mismatch)
    state = given.get("state")
    if state is not None and len(state) > MAX_STATE:
        raise RequestError(
            "bad_request",
            "state is too long",
            mismatch=Mismatch("parameter_too_long", (f"state: {MAX_STATE}",), (str(len(state)),), client_id),
        )
    return LogoutRequest(
        client_id, str(claims["sid"]) if claims and "sid" in claims else None, location, state
    )
