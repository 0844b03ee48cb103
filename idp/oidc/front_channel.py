"""The implicit flow: an ID token, and maybe an access token, sent through the browser.

It is there for test beds that want the OpenID Foundation's Dynamic certificate: OpenID Connect Discovery 1.0, section
3, makes `id_token` and `id_token token` mandatory for a dynamic provider. RFC 9700, section 2.1.2, advises against it,
since a token in an address leaks by histories, logs and scripts. So it is off unless `requests.implicit` is set, which
mode production refuses; never for profile `fapi2`; and only for portals that registered the response type (decision
D12). Hybrid response types are not offered at all.

Nothing that is sent here can be refreshed or bound to a key, and the access token is for UserInfo alone. What it opens
is sealed under the token, as always; a double click gets the same answer again, sealed to the browser (`Logins`).

Spec: OpenID Connect Core 1.0, sections 3.2, 5.4 and 5.5; OAuth 2.0 Multiple Response Type Encoding Practices 1.0,
sections 2.1, 3 and 5; RFC 6749, section 4.2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from idp import seal
from idp.claims import SCOPES
from idp.clock import Clock
from idp.errors import AuthorizationError
from idp.events import Event, record
from idp.models import Grant, writing
from idp.oidc import grants
from idp.oidc.code import Issued
from idp.oidc.conclusion import Conclusions, FinishedLogin
from idp.oidc.records import Authorization
from idp.oidc.reply import Replies
from idp.oidc.tokens import Bought, Order, Tokens
from idp.portals import FRONT_CHANNEL_TYPES, IMPLICIT, Registration
from idp.settings import Settings

RESPONSE_MODES = ("fragment", "form_post")
"""The first is the default. The query is never one: it reaches servers and their logs (Encoding Practices, 5)."""

_ID_TOKEN_ALONE = "id_token"


def response_type(text: str | None) -> str | None:
    """The one of ours that these words make, in whatever order they stand; None for any other."""
    words = sorted((text or "").split(" "))
    return next((known for known in FRONT_CHANNEL_TYPES if sorted(known.split(" ")) == words), None)


def check_client(portal: Registration, wanted: str) -> None:
    """That this portal registered the response type. Raises AuthorizationError `unauthorized_client`."""
    if portal.is_fapi2 or IMPLICIT not in portal.grant_types or wanted not in portal.response_types:
        raise AuthorizationError(
            "unauthorized_client",
            "this response_type is not registered for this client",
            check="grant_type",
            expected=portal.response_types,
            received=(wanted,),
        )


def check(made: Mapping[str, Any]) -> None:
    """What must hold of such a request beyond the checks of every request; `made` is what they made.

    Raises AuthorizationError.
    """
    if made["nonce"] is None:  # Core 3.2.2.1: it is what ties the ID token to this browser
        raise AuthorizationError(
            "invalid_request", "nonce is required with this response_type", check="nonce_missing"
        )
    if made["resources"]:
        raise AuthorizationError(
            "invalid_target", "this response_type brings no token for a resource", check="resource"
        )
    if made["response_type"] == _ID_TOKEN_ALONE and "userinfo" in made.get("claims", {}):
        # Core 5.5: there will be no access token to fetch them with.
        raise AuthorizationError(
            "invalid_request",
            "claims.userinfo needs an access token",
            check="claims_shape",
            received=("claims.userinfo",),
        )


class FrontChannel:
    """Answers with tokens instead of a code."""

    def __init__(
        self,
        *,
        settings: Settings,
        conclusions: Conclusions,
        replies: Replies,
        tokens: Tokens,
        clock: Clock,
    ) -> None:
        self._is_on = settings.requests.implicit
        self._ttl_s = settings.lifetimes.access_token_ttl_s
        self._conclusions = conclusions
        self._replies = replies
        self._tokens = tokens
        self._clock = clock

    def issue(self, finished: FinishedLogin) -> Issued:
        """The tokens for a finished login, which has been taken before: a failure here spends it.

        Raises AuthorizationError when the switch or the registration has changed since the request, and what
        `Conclusions.conclude` does.
        """
        portal, request = finished.portal, finished.request
        if not self._is_on:
            raise AuthorizationError(
                "unsupported_response_type", "only response_type=code is supported", check="response_type"
            ).to(request.reply_to)
        try:
            check_client(portal, request.response_type)
        except AuthorizationError as error:
            raise error.to(request.reply_to) from None
        concluded = self._conclusions.conclude(finished)
        digest = seal.digest(seal.random_token())
        granted = concluded.authorization
        if request.response_type == _ID_TOKEN_ALONE:
            granted = _all_in_id_token(granted)
        bought = Bought(portal, granted, concluded.released, digest, Order())
        try:
            self._record(bought, request.response_type)
        except grants.TakenBack as error:
            raise AuthorizationError(
                "access_denied", "the holder has withdrawn the consent", check="holder_refused"
            ).to(request.reply_to) from error
        if request.response_type == _ID_TOKEN_ALONE:
            sent: dict[str, Any] = {"id_token": self._tokens.id_token(bought, None, granted.nonce)}
        else:
            sent = self._tokens.issue(bought, first=True)
        parameters = {name: str(value) for name, value in sent.items()}
        return Issued(self._replies.answer(request.reply_to, **parameters), concluded.session_cookie)

    def _record(self, bought: Bought, wanted: str) -> None:
        """The grant, so that its access token dies with the session or by revocation; no code bought it."""
        now = self._clock()
        granted = bought.granted
        with writing() as database:
            grant = Grant(
                code_digest=bought.code_digest,
                client_id=bought.portal.client_id,
                subject_id=granted.subject_id,
                session_id=granted.session_id,
                offline=False,
                redeemed_at=now,
                expires_at=now + self._ttl_s,
            )
            grants.begin(database, grant, granted.login_id)
            record(
                database,
                Event.TOKEN_SENT,
                at=now,
                client_id=bought.portal.client_id,
                subject_id=granted.subject_id,
                login_id=granted.login_id,
                reason=wanted,
            )


def _all_in_id_token(granted: Authorization) -> Authorization:
    """The same, with the claims of its scopes asked for in the ID token: there is no UserInfo without an access token
    (Core 5.4)."""
    by_scope = dict.fromkeys(name for scope in granted.scopes for name in SCOPES.get(scope, ()))
    asked = {**by_scope, **(granted.claims.get("id_token") or {})}
    return msgspec.structs.replace(granted, claims={**granted.claims, "id_token": asked})
