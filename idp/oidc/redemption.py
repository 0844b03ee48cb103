"""How a code, or a device's code, is spent: the primary key of `models.Grant` decides by whom (decision D11).

A second try revokes what the first one bought, whoever makes it (decision D5, RFC 6749, section 4.1.2).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import IntegrityError

from idp import events
from idp.clock import Clock
from idp.errors import Mismatch
from idp.events import Event, record, record_alone
from idp.models import Grant, SignedIn, db, writing
from idp.oidc import grants
from idp.oidc.records import Authorization
from idp.oidc.refresh import RefreshTokens
from idp.oidc.tokens import Bought, Minted, Tokens, may_refresh, refused
from idp.portals import Registration
from idp.settings import Settings


class Redemptions:
    """Spends codes by their SHA-256."""

    def __init__(
        self, tokens: Tokens, refresh_tokens: RefreshTokens, settings: Settings, clock: Clock
    ) -> None:
        self._tokens = tokens
        self._refresh_tokens = refresh_tokens
        self._access_token_ttl_s = settings.lifetimes.access_token_ttl_s
        self._clock = clock

    def redeem(self, bought: Bought, *, code_ttl_s: int, reason: str | None) -> dict[str, Any]:
        """The token response for a code, which is this request's then, with a refresh token where there is one.

        `code_ttl_s` is how long the code itself could still come a second time: the row must outlive it. Raises
        InvalidGrantError when another request was quicker, what that one bought is revoked then; and when the holder
        withdrew or signed out meanwhile. Raises what `Tokens.check` and `Tokens.mint` do, and then the code is not
        spent.
        """
        minted = self._minted(bought)
        lasts_until = self._spend_at_once(bought, code_ttl_s, reason)
        if lasts_until is None:
            lasts_until = self._spend(bought, code_ttl_s, reason)
        return self._bought(bought, minted, lasts_until)

    def redeem_at_once(self, bought: Bought, *, code_ttl_s: int, reason: str | None) -> dict[str, Any] | None:
        """As `redeem`, by one statement. None where the database has no such statement or the code cannot be spent,
        and then nothing is done: `redeem` says why."""
        minted = self._minted(bought)
        lasts_until = self._spend_at_once(bought, code_ttl_s, reason)
        return self._bought(bought, minted, lasts_until) if lasts_until is not None else None

    def _minted(self, bought: Bought) -> Minted:
        self._tokens.check(bought.portal, bought.granted, bought.order)
        return self._tokens.mint(bought, first=True)

    def _bought(self, bought: Bought, minted: Minted, lasts_until: int) -> dict[str, Any]:
        response = self._tokens.keep(minted)
        if may_refresh(bought.portal):
            response["refresh_token"] = self._refresh_tokens.issue(bought, expires_at=lasts_until)
        return response

    def _spend(self, bought: Bought, code_ttl_s: int, reason: str | None) -> int:
        """Until when what is bought may be refreshed, if at all."""
        portal, granted, digest = bought.portal, bought.granted, bought.code_digest
        if grants.has_ended(granted.session_id):  # the holder signed out while the code was on its way
            self._report(portal, granted, "session_ended")
            raise refused()
        grant, event, lasts_until = self._spending(portal, granted, digest, code_ttl_s, reason)
        try:
            with writing() as database:
                grants.begin(database, Grant(**grant), granted.login_id)
                record(database, Event.CODE_REDEEMED, **event)
        except IntegrityError as error:
            self.revoke_replayed(portal, digest)
            raise refused() from error
        except grants.TakenBack as error:
            self._report(portal, granted, "consent_withdrawn")
            raise refused() from error
        return lasts_until

    def _spend_at_once(self, bought: Bought, code_ttl_s: int, reason: str | None) -> int | None:
        portal, granted, digest = bought.portal, bought.granted, bought.code_digest
        grant, event, lasts_until = self._spending(portal, granted, digest, code_ttl_s, reason)
        if not grants.begin_at_once(grant, events.row(Event.CODE_REDEEMED, **event)):
            return None
        events.told(Event.CODE_REDEEMED, portal.client_id, reason)
        return lasts_until

    def _spending(
        self, portal: Registration, granted: Authorization, digest: str, code_ttl_s: int, reason: str | None
    ) -> tuple[dict[str, Any], dict[str, Any], int]:
        """The grant's columns, the event's, and until when what is bought may be refreshed."""
        now = self._clock()
        lives_s = self._lives_s(granted, now) if may_refresh(portal) else 0
        grant = {
            "code_digest": digest,
            "client_id": portal.client_id,
            "subject_id": granted.subject_id,
            "session_id": granted.session_id,
            "offline": granted.is_offline and may_refresh(portal),
            "redeemed_at": now,
            "expires_at": now + max(self._access_token_ttl_s, code_ttl_s, lives_s),
        }
        event = {
            "at": now,
            "client_id": portal.client_id,
            "subject_id": granted.subject_id,
            "login_id": granted.login_id,
            "reason": reason,
        }
        return grant, event, now + lives_s

    def _report(self, portal: Registration, granted: Authorization, reason: str) -> None:
        record_alone(
            Event.CODE_REFUSED,
            at=self._clock(),
            client_id=portal.client_id,
            subject_id=granted.subject_id,
            login_id=granted.login_id,
            reason=reason,
            detail=Mismatch(f"code_{reason}").detail,
        )

    def _lives_s(self, granted: Authorization, now: int) -> int:
        """How long what is bought may be refreshed: never beyond the session that it lives with (decision D3)."""
        session = db.session.get(SignedIn, granted.session_id)
        ttl_s = self._refresh_tokens.ttl_s(granted)
        return ttl_s if granted.is_offline or session is None else min(ttl_s, session.ends_at - now)

    def revoke_replayed(self, portal: Registration, digest: str) -> bool:
        """If this code was redeemed before, what it bought dies, whoever replays it; False if it was not."""
        db.session.rollback()  # what was redeemed since this request began to read must be seen
        grant = db.session.get(Grant, digest)
        if grant is None:
            return False
        now = self._clock()
        with writing() as database:
            grants.revoke(database, digest, now=now)
            record(
                database,
                Event.CODE_REPLAYED,
                at=now,
                client_id=portal.client_id,
                subject_id=grant.subject_id,
                reason="same_client" if grant.client_id == portal.client_id else "other_client",
            )
        return True
