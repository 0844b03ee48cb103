"""What a portal gets for a grant: an access token, an ID token and, where it may refresh, a refresh token.

An access token is opaque and known by its SHA-256 only; what UserInfo will say is sealed under the token itself. One
for a resource server (RFC 8707) says nothing about the holder to the portal, and is a JWT where that server wants
one (RFC 9068).

Spec: OpenID Connect Core 1.0, sections 3.1.3.3, 11 and 12; RFC 6749, section 5.1; RFC 8705, section 3; RFC 9449,
section 6; RFC 9068; RFC 8707.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidScopeError, OAuth2Error

from idp import portals, seal
from idp.clock import Clock
from idp.oidc import claims_request
from idp.oidc.expected_values import ExpectedValues
from idp.oidc.id_token import IdTokens
from idp.oidc.records import Authorization, Released, Token
from idp.portals import REFRESH_TOKEN, Registration
from idp.session import Sessions
from idp.settings import Settings
from idp.store import Store
from idp.subject import Subjects

TOKEN_PURPOSE = "access-token"


class InvalidTargetError(OAuth2Error):  # type: ignore[misc]
    """A resource that is not this portal's to ask for (RFC 8707, section 2)."""

    error = "invalid_target"


class Order(msgspec.Struct, frozen=True):
    """What a token request asks for, beyond its grant: narrower scopes, one resource, a key to bind to (`cnf`)."""

    scopes: tuple[str, ...] | None = None
    resource: str | None = None
    cnf: dict[str, str] | None = None


@dataclass(frozen=True)
class Bought:
    """A grant that was decided in this portal's favour, opened, with what it ordered."""

    portal: Registration
    granted: Authorization
    released: Released
    code_digest: str
    order: Order

    @property
    def scopes(self) -> tuple[str, ...]:
        return self.order.scopes or self.granted.scopes


@dataclass(frozen=True)
class Minted:
    """A token response that is signed and counts for nothing yet; `token` is what `Tokens.keep` will know it by."""

    response: dict[str, Any]
    token: Token


class Tokens:
    """Mints tokens for a grant.

    What can fail is done first (`mint`), then the grant is decided, and then what was minted counts (`keep`): a key
    that is away for a moment costs nobody a sign-in.
    """

    def __init__(
        self,
        *,
        store: Store,
        settings: Settings,
        clock: Clock,
        subjects: Subjects,
        sessions: Sessions,
        id_tokens: IdTokens,
        expected_values: ExpectedValues,
    ) -> None:
        self._store = store
        self._ttl_s = settings.lifetimes.access_token_ttl_s
        self._clock = clock
        self._subjects = subjects
        self._sessions = sessions
        self._id_tokens = id_tokens
        self._expected_values = expected_values

    def check(self, portal: Registration, granted: Authorization, order: Order) -> None:
        """Whether a grant covers what is ordered and it can be made, before anything is spent.

        Raises InvalidScopeError, InvalidTargetError; NoUsableKey, NoSigningKey when a key for its ID token is missing.
        """
        self._id_tokens.check(portal)
        if order.scopes is not None and not set(order.scopes) <= set(granted.scopes):
            raise InvalidScopeError("A scope was not granted.")
        # The registration may have lost one since.
        resources = set(granted.resources).intersection(portal.resources)
        if order.resource is not None and order.resource not in resources:
            raise InvalidTargetError("The resource was not granted.")
        if order.resource is not None and portals.serving(order.resource) is None:
            raise InvalidTargetError("Nobody serves this resource.")

    def issue(self, bought: Bought, *, first: bool) -> dict[str, Any]:
        """The token response for a grant that has been decided, as `mint` has it."""
        return self.keep(self.mint(bought, first=first))

    def keep(self, minted: Minted) -> dict[str, Any]:
        """The token response: its access token opens what it is for from now on."""
        document: dict[str, Any] = msgspec.to_builtins(minted.token)
        key = token_key(seal.digest(minted.response["access_token"]))
        self._store.put(key, document, self._ttl_s)
        return minted.response

    def mint(self, bought: Bought, *, first: bool) -> Minted:
        """The token response, without a refresh token. `first`: for the code itself, not for a refresh.

        The ID token of a refresh has no nonce and the same `auth_time` (OpenID Connect Core 12.2).

        Raises InvalidTargetError, NoUsableKey, NoSigningKey, HsmError.
        """
        resource = bought.order.resource
        access_token, token = (
            self._for_userinfo(bought) if resource is None else self._for_resource(bought, resource)
        )
        response: dict[str, Any] = {
            "access_token": access_token,
            "token_type": "DPoP" if "jkt" in (bought.order.cnf or {}) else "Bearer",
            "expires_in": self._ttl_s,
            "scope": " ".join(bought.scopes),
        }
        if "openid" in bought.scopes:
            nonce = bought.granted.nonce if first else None
            response["id_token"] = self.id_token(bought, access_token, nonce)
        return Minted(response, token)

    def _token(self, bought: Bought, sub: str, **more: Any) -> Token:
        now = self._clock()
        return Token(
            code_digest=bought.code_digest,
            client_id=bought.portal.client_id,
            subject_id=bought.granted.subject_id,
            sub=sub,
            scopes=bought.scopes,
            issued_at=now,
            expires_at=now + self._ttl_s,
            auth_time=bought.granted.auth_time,
            acr=bought.granted.acr,
            cnf=bought.order.cnf,
            **more,
        )

    def _for_userinfo(self, bought: Bought) -> tuple[str, Token]:
        access_token = seal.random_token()
        return access_token, self.for_userinfo(bought, access_token)

    def for_userinfo(self, bought: Bought, access_token: str) -> Token:
        """The record of this access token for UserInfo, not kept yet."""
        return self._token(
            bought,
            self._subjects.pairwise(bought.granted.subject_id, bought.portal.sector),
            claims=bought.granted.claims,
            claims_locales=bought.granted.claims_locales,
            asked_at=bought.granted.asked_at,
            session_digest=seal.digest(bought.granted.session_id),
            sealed=seal.under(access_token, msgspec.json.encode(bought.released), TOKEN_PURPOSE),
        )

    def _for_resource(self, bought: Bought, resource: str) -> tuple[str, Token]:
        server = portals.serving(resource)
        if server is None:
            raise InvalidTargetError("Nobody serves this resource.")
        # The resource server's own name for this person: two servers cannot compare theirs (RFC 9068, section 6).
        sub = self._subjects.pairwise(bought.granted.subject_id, server.sector)
        token = self._token(bought, sub, audience=resource)
        access_token = seal.random_token()
        if server.access_token_format == "jwt":
            fapi2 = bought.portal.is_fapi2 or server.is_fapi2
            access_token = self._id_tokens.sign_access_token(token, jti=access_token, fapi2=fapi2)
        return access_token, token

    def id_token(self, bought: Bought, access_token: str | None, nonce: str | None) -> str:
        """The ID token alone, for the access token that comes along, if one does (`at_hash`)."""
        protocol, holder_claims = self._said(bought, nonce)
        return self._id_tokens.mint(protocol, holder_claims, portal=bought.portal, access_token=access_token)

    def id_token_claims(self, bought: Bought, access_token: str, nonce: str | None) -> dict[str, Any]:
        """What the ID token says, without making one."""
        return self._id_tokens.claims(*self._said(bought, nonce), access_token)

    def _said(self, bought: Bought, nonce: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Claims of the protocol, and those of the holder."""
        portal, granted = bought.portal, bought.granted
        protocol = {
            "sub": self._subjects.pairwise(granted.subject_id, portal.sector),
            "previous_sub": self._subjects.previous(granted.subject_id, portal, now=self._clock()),
            "aud": portal.client_id,
            "auth_time": granted.auth_time,
            "acr": granted.acr,
            "amr": list(granted.amr),
            "sid": self._sessions.sid(granted.session_id, portal.sector) if portal.knows_sessions else None,
            "nonce": nonce,
        }
        holder_claims = claims_request.answer(
            "id_token",
            granted.claims,
            scopes=bought.scopes,
            locales=granted.claims_locales,
            released=bought.released.claims,
            verification=bought.released.verification,
            expected=self._expected_values,
            now=granted.asked_at,
        )
        return protocol, holder_claims


def may_refresh(portal: Registration) -> bool:
    """Whether this portal gets refresh tokens."""
    return REFRESH_TOKEN in portal.grant_types


def token_key(token_digest: str) -> str:
    """Where an access token is kept, by its SHA-256."""
    return f"token:{token_digest}"


def refused() -> InvalidGrantError:
    """The one answer to a grant that does not hold; the audit hears why."""
    return InvalidGrantError("The grant is not valid for this request.")
