"""The authorization code: issued once a login is finished, redeemed once.

What the portal will learn is sealed under the code itself, of which only the SHA-256 is stored. Who redeemed a code
is decided by the primary key of `models.Grant` (decision D11); a second try revokes what the first one bought (D5).
A code tried by another portal is refused, kept for its owner, and reported (D4).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from idp import seal
from idp.clock import Clock
from idp.errors import Mismatch, said_uri
from idp.events import Event, record_alone
from idp.oidc.conclusion import Conclusions, FinishedLogin
from idp.oidc.records import Code, Released
from idp.oidc.redemption import Redemptions
from idp.oidc.reply import Outgoing, Replies
from idp.oidc.tokens import Bought, Order, refused
from idp.portals import Registration
from idp.settings import Settings
from idp.store import Store

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")
_CODE_PURPOSE = "code"


@dataclass(frozen=True)
class Issued:
    """What the browser carries back, and the cookie of its session (None: it has one already)."""

    outgoing: Outgoing
    session_cookie: str | None


class Codes:
    """Issues and redeems codes."""

    def __init__(
        self,
        *,
        store: Store,
        settings: Settings,
        clock: Clock,
        conclusions: Conclusions,
        replies: Replies,
        redemptions: Redemptions,
    ) -> None:
        self._store = store
        self._times = settings.lifetimes
        self._clock = clock
        self._conclusions = conclusions
        self._replies = replies
        self._redemptions = redemptions

    # -- out to the browser ----------------------------------------------------------------------------------

    def issue(self, finished: FinishedLogin) -> Issued:
        """A code for a finished login, which has been taken before: a failure here spends it.

        Raises what `Conclusions.conclude` does.
        """
        concluded = self._conclusions.conclude(finished)
        request = finished.request
        code = seal.random_token()
        stored = Code(
            authorization=concluded.authorization,
            redirect_uri=request.redirect_uri,
            code_challenge=request.code_challenge,
            dpop_jkt=request.dpop_jkt,
            sealed=seal.under(code, msgspec.json.encode(concluded.released), _CODE_PURPOSE),
        )
        document: dict[str, Any] = msgspec.to_builtins(stored)
        self._store.put(_code_key(seal.digest(code)), document, self._times.code_ttl_s)
        return Issued(self._replies.answer(request.reply_to, code=code), concluded.session_cookie)

    # -- back from the portal --------------------------------------------------------------------------------

    def redeem(
        self,
        portal: Registration,
        code: str,
        order: Order,
        *,
        redirect_uri: str | None,
        code_verifier: str | None,
    ) -> dict[str, Any]:
        """The token response for a code, once.

        Raises InvalidGrantError: unknown, spent, expired, another portal's, another redirect URI, another key, or the
        verifier does not match. The portal hears only invalid_grant; the audit hears which. Raises InvalidScopeError
        and InvalidTargetError for an order that the grant does not cover, and then the code is not spent.

        Spec: RFC 6749 4.1.3, RFC 7636 4.6, OIDC Core 3.1.3.2, RFC 9449 10.
        """
        digest = seal.digest(code)
        stored = self._find(portal, digest)
        self._check_binding(portal, stored, redirect_uri, code_verifier)
        self._check_key(portal, stored, order)
        bought = _opened(portal, code, stored, order)
        response = self._redemptions.redeem(bought, code_ttl_s=self._times.code_ttl_s, reason=None)
        self._store.take(_code_key(digest))
        return response

    def redeem_straight(
        self, portal: Registration, code: str, *, redirect_uri: str | None, code_verifier: str | None
    ) -> dict[str, Any] | None:
        """The token response for a code whose every part fits, as `redeem` has it. None where anything does not, and
        then nothing is done or reported.

        Raises what `Tokens.check` and `Tokens.mint` do, and then the code is not spent.
        """
        digest = seal.digest(code)
        document = self._store.get(_code_key(digest))
        try:
            stored = msgspec.convert(document, Code) if document is not None else None
        except msgspec.ValidationError:
            return None
        if (
            stored is None
            or stored.authorization.client_id != portal.client_id
            or stored.redirect_uri != redirect_uri
            or stored.dpop_jkt is not None
            or not _fits(code_verifier, stored.code_challenge)
        ):
            return None
        bought = _opened(portal, code, stored, Order())
        response = self._redemptions.redeem_at_once(bought, code_ttl_s=self._times.code_ttl_s, reason=None)
        if response is not None:
            self._store.take(_code_key(digest))
        return response

    def _find(self, portal: Registration, digest: str) -> Code:
        document = self._store.get(_code_key(digest))
        if document is None:
            if not self._redemptions.revoke_replayed(portal, digest):
                record_alone(
                    Event.CODE_REFUSED,
                    at=self._clock(),
                    client_id=portal.client_id,
                    reason="unknown",
                    detail=Mismatch("code_unknown").detail,
                )
            raise refused()
        try:
            stored = msgspec.convert(document, Code)
        except msgspec.ValidationError as error:
            raise refused() from error
        if stored.authorization.client_id != portal.client_id:
            self._report(Event.CODE_WRONG_CLIENT, portal, stored, None)
            raise refused()
        return stored

    def _check_binding(
        self, portal: Registration, stored: Code, redirect_uri: str | None, code_verifier: str | None
    ) -> None:
        if redirect_uri != stored.redirect_uri:
            sent = () if redirect_uri is None else (said_uri(redirect_uri[:2048], portal.redirect_uris),)
            mismatch = Mismatch("code_redirect_uri", (stored.redirect_uri,), sent)
            self._report(Event.CODE_REFUSED, portal, stored, "redirect_uri", mismatch)
            raise refused()
        challenge = stored.code_challenge
        if challenge is None:
            if code_verifier is not None:  # somebody stripped the challenge (RFC 9700, section 4.8.2)
                self._report(Event.CODE_REFUSED, portal, stored, "verifier_without_challenge")
                raise refused()
            return
        if code_verifier is None or not _verifies(code_verifier, challenge):
            mismatch = Mismatch(
                "code_code_verifier", ("S256(code_verifier) = code_challenge",), _said_of(code_verifier)
            )
            self._report(Event.CODE_REFUSED, portal, stored, "code_verifier", mismatch)
            raise refused()

    def _check_key(self, portal: Registration, stored: Code, order: Order) -> None:
        """A code asked for with `dpop_jkt` is redeemed with that key alone (RFC 9449, section 10)."""
        if stored.dpop_jkt is not None and (order.cnf or {}).get("jkt") != stored.dpop_jkt:
            proven = [f"jkt {jkt}" for jkt in [(order.cnf or {}).get("jkt")] if jkt]
            mismatch = Mismatch("code_dpop_jkt", (f"jkt {stored.dpop_jkt}",), proven)
            self._report(Event.CODE_REFUSED, portal, stored, "dpop_jkt", mismatch)
            raise refused()

    def _report(
        self,
        event: Event,
        portal: Registration,
        stored: Code,
        reason: str | None,
        mismatch: Mismatch | None = None,
    ) -> None:
        sides = mismatch or Mismatch(f"code_{reason or 'wrong_client'}")
        record_alone(
            event,
            at=self._clock(),
            client_id=portal.client_id,
            subject_id=stored.authorization.subject_id,
            login_id=stored.authorization.login_id,
            reason=reason,
            detail=sides.detail,
        )


def _opened(portal: Registration, code: str, stored: Code, order: Order) -> Bought:
    released = msgspec.json.decode(seal.open_under(code, stored.sealed, _CODE_PURPOSE), type=Released)
    return Bought(portal, stored.authorization, released, seal.digest(code), order)


def _said_of(verifier: str | None) -> tuple[str, ...]:
    """What may be said of a verifier that does not fit: whether there was one, and how long it was."""
    return () if verifier is None else (f"code_verifier ({len(verifier)})",)


def _code_key(digest: str) -> str:
    return f"code:{digest}"


def _fits(verifier: str | None, challenge: str | None) -> bool:
    """Whether the verifier is that of the challenge, or neither is there."""
    if verifier is None or challenge is None:
        return verifier is challenge
    return _verifies(verifier, challenge)


def _verifies(verifier: str, challenge: str) -> bool:
    if not _VERIFIER.match(verifier):
        return False
    computed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=")
    return hmac.compare_digest(computed, challenge.encode("ascii"))
