"""What a portal would get of a sign-in, without one: said by what says it in earnest, for a person who is none.

Nothing is kept, signed or recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from idp import claims, consent, seal
from idp.clock import Clock
from idp.login import AuthorizationRequest
from idp.oidc import verified_claims
from idp.oidc.records import Authorization, Released
from idp.oidc.tokens import Bought, Order, Tokens
from idp.oidc.userinfo import UserInfo
from idp.portals import Registration

_NOBODY: Final = "preview"


@dataclass(frozen=True)
class Shown:
    """What a wallet would have shown: the credential's claims, and how they were verified."""

    claims: Mapping[str, Any]
    evidence: Mapping[str, Any]
    acr: str
    amr: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """The claims of the ID token and of UserInfo."""

    id_token: dict[str, Any]
    userinfo: dict[str, Any]


class Previews:
    """Makes previews."""

    def __init__(self, tokens: Tokens, userinfo: UserInfo, clock: Clock) -> None:
        self._tokens = tokens
        self._userinfo = userinfo
        self._clock = clock

    def make(
        self, portal: Registration, asked: AuthorizationRequest, shown: Shown, agreed: Collection[str]
    ) -> Preview:
        """What comes of this request when the holder agrees to these claims. `sub` is nobody's."""
        released = Released(
            claims=claims.release(set(agreed), shown.claims),
            verification=verified_claims.verification(shown.evidence, acr=shown.acr, transaction=_NOBODY),
        )
        granted = Authorization(
            client_id=portal.client_id,
            subject_id=_NOBODY,
            session_id=_NOBODY,
            login_id=_NOBODY,
            auth_time=self._clock(),
            acr=shown.acr,
            amr=shown.amr,
            scopes=tuple(
                scope for scope in asked.scopes if scope != consent.OFFLINE or consent.OFFLINE in agreed
            ),
            claims=asked.claims,
            claims_locales=asked.claims_locales,
            nonce=asked.nonce,
            asked_at=asked.asked_at,
        )
        bought = Bought(portal, granted, released, _NOBODY, Order())
        access_token = seal.random_token()
        return Preview(
            self._tokens.id_token_claims(bought, access_token, asked.nonce),
            self._userinfo.claims(self._tokens.for_userinfo(bought, access_token), portal, released),
        )
