"""UserInfo: the claims that the portal's access token opens.

Spec: OpenID Connect Core 1.0, section 5.3; RFC 6750; RFC 8705, section 3; RFC 9449, section 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from idp import events, portals, seal
from idp.clock import Clock
from idp.errors import Mismatch
from idp.events import Event, record_alone
from idp.oidc import claims_request, grants
from idp.oidc.access import AccessTokens
from idp.oidc.binding import Bindings, Headers
from idp.oidc.dpop import DPOP_ALGORITHMS, DpopRefused
from idp.oidc.expected_values import ExpectedValues
from idp.oidc.records import Released, Token
from idp.oidc.tokens import TOKEN_PURPOSE
from idp.oidc.wrapping import Wrapping
from idp.portals import Registration
from idp.store import Store
from idp.subject import Subjects

PATH = "/userinfo"
_REPORT_EVERY_S = 3600
_UNKNOWN = "The access token is unknown, expired or revoked."


class TokenRefused(Exception):
    """A token that opens nothing; `error` is for `WWW-Authenticate` (RFC 6750, section 3.1)."""

    def __init__(self, error: str, description: str, status: int) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True)
class Presented:
    """A request to UserInfo: the token, the scheme it came by ("bearer" or "dpop"), and what may prove its key."""

    access_token: str
    scheme: str
    method: str
    headers: Headers


class UserInfo:
    """Answers with what was released to the portal, and with nothing it did not ask for here."""

    def __init__(
        self,
        *,
        access_tokens: AccessTokens,
        subjects: Subjects,
        bindings: Bindings,
        expected_values: ExpectedValues,
        wrapping: Wrapping,
        issuer: str,
        store: Store,
        clock: Clock,
    ) -> None:
        self._store = store
        self._access_tokens = access_tokens
        self._subjects = subjects
        self._bindings = bindings
        self._expected_values = expected_values
        self._wrapping = wrapping
        self._issuer = issuer
        self._clock = clock

    def answer(self, presented: Presented) -> dict[str, Any] | str:
        """The claims for a token; as a JWT (a str) for a portal that registered one.

        Raises TokenRefused, DpopRefused, InvalidRequestError.
        """
        if presented.scheme == "bearer" and (said := self.straight(presented.access_token)) is not None:
            return said
        found = self._access_tokens.find(presented.access_token)
        if found is None:
            self._report(self._access_tokens.stored(presented.access_token), presented, "userinfo_ended")
            raise TokenRefused("invalid_token", _UNKNOWN, 401)
        token, portal = found
        if token.audience is not None:
            self._report(token, presented, "userinfo_audience")
            raise TokenRefused("invalid_token", _UNKNOWN, 401)
        self._check_key(token, presented)
        if "openid" not in token.scopes:
            self._report(token, presented, "userinfo_scope")
            raise TokenRefused("insufficient_scope", "The scope openid was not granted.", 403)
        said = self._opened(token, portal, presented.access_token)
        # The access log of 안전성 확보조치: whose data was read, by whom, when.
        record_alone(
            Event.USERINFO_READ, at=self._clock(), client_id=token.client_id, subject_id=token.subject_id
        )
        return said

    def straight(self, access_token: str) -> dict[str, Any] | str | None:
        """The answer to what nearly all requests bring: a bearer token for UserInfo, alive. None for any other.

        Whether it holds is asked by the statement that records the reading. Raises NoUsableKey.
        """
        token = self._access_tokens.stored(access_token)
        now = self._clock()
        if (
            token is None
            or not token.session_digest
            or token.cnf is not None
            or token.audience is not None
            or "openid" not in token.scopes
            or token.expires_at <= now
        ):
            return None
        portal = portals.find(token.client_id)
        if portal is None:
            return None
        # Before it is recorded that somebody's data was read: without a key to encrypt to nothing is.
        said = self._opened(token, portal, access_token)
        read = events.row(Event.USERINFO_READ, at=now, client_id=token.client_id, subject_id=token.subject_id)
        token_digest = seal.digest(access_token)
        if not grants.read_at_once(token.code_digest, token_digest, token.session_digest, read):
            return None
        events.told(Event.USERINFO_READ, token.client_id)
        return said

    def _opened(self, token: Token, portal: Registration, access_token: str) -> dict[str, Any] | str:
        opened = seal.open_under(access_token, token.sealed, TOKEN_PURPOSE)
        return self._in_form(portal, self.claims(token, portal, msgspec.json.decode(opened, type=Released)))

    def _check_key(self, token: Token, presented: Presented) -> None:
        """A bound token is used with its key, and by the scheme of its kind (RFC 9449, section 7.1)."""
        cnf = token.cnf or {}
        if (presented.scheme == "dpop") != ("jkt" in cnf):
            self._report(token, presented, "userinfo_scheme")
            raise TokenRefused("invalid_token", "The token is not used by its own scheme.", 401)
        try:
            proven = not cnf or self._bindings.proves(
                cnf,
                presented.headers,
                path=PATH,
                method=presented.method,
                access_token=presented.access_token,
            )
        except DpopRefused as refused:
            if refused.error != "use_dpop_nonce":  # so begins every conversation
                self._report(token, presented, refused.mismatch.check, refused.mismatch)
            raise
        if not proven:
            self._report(token, presented, "userinfo_key")
            raise TokenRefused("invalid_token", "The token is bound to another key.", 401)

    def _report(
        self, token: Token | None, presented: Presented, check: str, mismatch: Mismatch | None = None
    ) -> None:
        """For the portal's engineer, of a token that was issued, and once an hour of each.

        What never was a token is nobody's, and would let anybody write to the audit as often as they like.
        """
        if token is None:
            return
        mark = f"userinfo-refused:{seal.digest(presented.access_token)}"
        if self._store.add(mark, {}, _REPORT_EVERY_S):
            record_alone(
                Event.USERINFO_REFUSED,
                at=self._clock(),
                client_id=token.client_id,
                subject_id=token.subject_id,
                reason=check.removeprefix("userinfo_"),
                detail=(mismatch or Mismatch(check)).detail,
            )

    def claims(self, token: Token, portal: Registration, released: Released) -> dict[str, Any]:
        """What is said for a token of what was released."""
        said = claims_request.answer(
            "userinfo",
            token.claims,
            scopes=token.scopes,
            locales=token.claims_locales,
            released=released.claims,
            verification=released.verification,
            expected=self._expected_values,
            now=token.asked_at,
        )
        return {**said, **self._names(token, portal)}

    def _names(self, token: Token, portal: Registration) -> dict[str, str]:
        """`sub` as in the ID token; in a move to another sector the one of before too."""
        previous = self._subjects.previous(token.subject_id, portal, now=self._clock())
        if previous is None or previous == token.sub:  # a token of before the move is of the old name
            return {"sub": token.sub}
        return {"sub": token.sub, "previous_sub": previous}

    def _in_form(self, portal: Registration, claims: dict[str, Any]) -> dict[str, Any] | str:
        """As JSON, or as the JWT that the portal registered (Core 5.3.2)."""
        alg, encryption_alg = portal.userinfo_signed_response_alg, portal.userinfo_encrypted_response_alg
        if alg is None and encryption_alg is None:
            return claims
        return self._wrapping.jwt(
            {**claims, "iss": self._issuer, "aud": portal.client_id, "iat": self._clock()},
            typ="JWT",
            registration=portal,
            # One that is encrypted and not said to be signed is signed all the same, by the ID token's key.
            alg=alg or portal.id_token_signed_response_alg,
            encryption_alg=encryption_alg,
            encryption_enc=portal.userinfo_encrypted_response_enc,
        )

    def challenge(self, refused: TokenRefused) -> str:
        """`WWW-Authenticate` for a refusal: both schemes are offered."""
        error = (
            f', error="{refused.error}", error_description="{refused.description}"' if refused.error else ""
        )
        return (
            f'Bearer realm="{self._issuer}"{error}, DPoP realm="{self._issuer}", '
            f'algs="{" ".join(DPOP_ALGORITHMS)}"{error}'
        )
