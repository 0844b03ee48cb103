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
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import msgspec
from authlib.oauth2.rfc6749.errors import InvalidGrantError
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Database

from idp import claims, consent, seal
from idp.clock import Clock
from idp.errors import AuthorizationError, LoginError
from idp.events import Event, record, record_alone
from idp.login import Answer, AuthorizationRequest, Proof
from idp.models import Consumed, Grant, db, writing
from idp.oidc import verified_claims
from idp.oidc.authorize import redirect
from idp.oidc.id_token import IdTokens
from idp.portals import Registration
from idp.session import Session, Sessions
from idp.settings import Settings
from idp.store import Store
from idp.subject import Subjects

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")
_CODE_PURPOSE = "code"
TOKEN_PURPOSE = "access-token"
_ENDED_SESSION = "ended_session"
_ENDED_SESSION_S = 7200  # longer than a code and its token can live, whatever the settings say


class Released(msgspec.Struct, frozen=True):
    """What a portal will learn: OIDC claims the holder agreed to, and how they were verified. Only ever sealed."""

    claims: dict[str, Any]
    verification: dict[str, Any]


class Code(msgspec.Struct, frozen=True):
    """What is stored under `code:<sha256>`."""

    request: AuthorizationRequest
    subject_id: str
    session_id: str
    login_id: str
    auth_time: int
    acr: str
    amr: tuple[str, ...]
    sealed: str


class Token(msgspec.Struct, frozen=True):
    """What is stored under `token:<sha256>`: an access token for UserInfo."""

    code_digest: str
    client_id: str
    subject_id: str
    sub: str
    scopes: tuple[str, ...]
    asked: dict[str, Any]
    names: tuple[str, ...]
    sealed: str


@dataclass(frozen=True)
class Issued:
    """Where the browser goes, and the cookie of its session (None: it has one already)."""

    location: str
    session_cookie: str | None


class Codes:
    """Issues and redeems codes."""

    def __init__(
        self,
        *,
        store: Store,
        settings: Settings,
        clock: Clock,
        subjects: Subjects,
        sessions: Sessions,
        id_tokens: IdTokens,
    ) -> None:
        self._store = store
        self._issuer = settings.issuer
        self._times = settings.lifetimes
        self._clock = clock
        self._subjects = subjects
        self._sessions = sessions
        self._id_tokens = id_tokens

    # -- out to the browser ----------------------------------------------------------------------------------

    def issue(
        self,
        portal: Registration,
        request: AuthorizationRequest,
        *,
        login_id: str,
        answer: Answer,
        proof: Proof,
        consented: Collection[str] | None,
        session: Session | None = None,
    ) -> Issued:
        """A code for a finished login. The login has been taken before: a failure here spends it.

        `consented` is what the holder ticked now, None where no page was due. `session` is given when the login
        rests on it. Raises AuthorizationError `login_required` when the portal expected somebody else, LoginError
        `login_finished` when this login has bought its code already.
        """
        now = self._clock()
        with writing() as database:
            _take_login(database, login_id, now)
            subject_id = self._subjects.find_or_create(database, proof.person_keys, now=now)
            self._check_expected(portal, request, subject_id)
            agreed = consent.agreement(portal, request, subject_id).limited_to(proof.claims)
            if consented is not None:
                consent.give(
                    database, agreed, consented, subject_id=subject_id, client_id=portal.client_id, at=now
                )
                record(
                    database,
                    Event.CONSENT_GIVEN,
                    at=now,
                    client_id=portal.client_id,
                    subject_id=subject_id,
                    login_id=login_id,
                    detail={"claims": sorted(consented)},
                )
            # Never more than was on the page: the registration may have grown since the holder agreed.
            names = agreed.within(consented) if consented is not None else agreed.standing()
            record(
                database,
                Event.LOGIN_FINISHED,
                at=now,
                client_id=portal.client_id,
                subject_id=subject_id,
                login_id=login_id,
                detail={"via": answer.via, "acr": answer.acr, "claims": sorted(names)},
            )
        cookie = None
        if session is None:
            session, cookie = self._sessions.start(subject_id, answer, proof)
        self._sessions.introduce(session.id, portal.sector)
        code = seal.random_token()
        released = Released(
            claims=claims.release(names, proof.claims),
            verification=verified_claims.verification(proof.evidence, acr=answer.acr, transaction=login_id),
        )
        stored = Code(
            request=request,
            subject_id=subject_id,
            session_id=session.id,
            login_id=login_id,
            auth_time=answer.presented_at,
            acr=answer.acr,
            amr=answer.amr,
            sealed=seal.under(code, msgspec.json.encode(released), _CODE_PURPOSE),
        )
        self._store.put(_code_key(seal.digest(code)), _document(stored), self._times.code_ttl_s)
        return Issued(redirect(request.redirect_uri, self._issuer, code=code, state=request.state), cookie)

    def _check_expected(self, portal: Registration, request: AuthorizationRequest, subject_id: str) -> None:
        if request.expected_sub is None:
            return
        # Plain comparison: neither is a secret, and what a portal expects may be any text.
        if self._subjects.pairwise(subject_id, portal.sector) != request.expected_sub:
            error = AuthorizationError("login_required", "another person is signed in")
            error.redirect_uri, error.state = request.redirect_uri, request.state
            error.client_id = request.client_id
            raise error

    # -- back from the portal --------------------------------------------------------------------------------

    def redeem(
        self, portal: Registration, code: str, *, redirect_uri: str | None, code_verifier: str | None
    ) -> dict[str, Any]:
        """The token response for a code, once.

        Raises InvalidGrantError: unknown, spent, expired, another portal's, another redirect URI, or the verifier
        does not match. The portal hears only invalid_grant; the audit hears which.

        Spec: RFC 6749 4.1.3, RFC 7636 4.6, OIDC Core 3.1.3.2.
        """
        digest = seal.digest(code)
        stored = self._find(portal, digest)
        self._check_binding(portal, stored, redirect_uri, code_verifier)
        # Taking comes before minting: if signing fails the code is spent. A holder signs in again; the other order
        # would let a code be used twice.
        self._spend(portal, stored, digest)
        released = msgspec.json.decode(seal.open_under(code, stored.sealed, _CODE_PURPOSE), type=Released)
        return self._tokens(portal, stored, digest, released)

    def _find(self, portal: Registration, digest: str) -> Code:
        document = self._store.get(_code_key(digest))
        if document is None:
            if not self._revoke_replayed(portal, digest):
                record_alone(
                    Event.CODE_REFUSED, at=self._clock(), client_id=portal.client_id, reason="unknown"
                )
            raise _refused()
        try:
            stored = msgspec.convert(document, Code)
        except msgspec.ValidationError as error:
            raise _refused() from error
        if stored.request.client_id != portal.client_id:
            self._report(Event.CODE_WRONG_CLIENT, portal, stored, None)
            raise _refused()
        if _has_ended(stored.session_id):  # the holder signed out while the code was on its way
            self._report(Event.CODE_REFUSED, portal, stored, "session_ended")
            raise _refused()
        return stored

    def _check_binding(
        self, portal: Registration, stored: Code, redirect_uri: str | None, code_verifier: str | None
    ) -> None:
        if redirect_uri != stored.request.redirect_uri:
            self._report(Event.CODE_REFUSED, portal, stored, "redirect_uri")
            raise _refused()
        challenge = stored.request.code_challenge
        if challenge is None:
            if code_verifier is not None:  # somebody stripped the challenge (RFC 9700, section 4.8.2)
                self._report(Event.CODE_REFUSED, portal, stored, "verifier_without_challenge")
                raise _refused()
            return
        if code_verifier is None or not _verifies(code_verifier, challenge):
            self._report(Event.CODE_REFUSED, portal, stored, "code_verifier")
            raise _refused()

    def _spend(self, portal: Registration, stored: Code, digest: str) -> None:
        now = self._clock()
        try:
            with writing() as database:
                database.add(
                    Grant(
                        code_digest=digest,
                        client_id=portal.client_id,
                        subject_id=stored.subject_id,
                        session_id=stored.session_id,
                        redeemed_at=now,
                        expires_at=now + max(self._times.access_token_ttl_s, self._times.code_ttl_s),
                    )
                )
                record(
                    database,
                    Event.CODE_REDEEMED,
                    at=now,
                    client_id=portal.client_id,
                    subject_id=stored.subject_id,
                    login_id=stored.login_id,
                )
        except IntegrityError as error:
            self._revoke_replayed(portal, digest)
            raise _refused() from error
        self._store.take(_code_key(digest))

    def _revoke_replayed(self, portal: Registration, digest: str) -> bool:
        """If this code was redeemed before, what it bought dies, whoever replays it (RFC 6749, 4.1.2)."""
        db.session.rollback()  # what was redeemed since this request began to read must be seen
        grant = db.session.get(Grant, digest)
        if grant is None:
            return False
        now = self._clock()
        with writing() as database:
            database.execute(
                update(Grant)
                .where(Grant.code_digest == digest, Grant.revoked_at.is_(None))
                .values(revoked_at=now)
            )
            record(
                database,
                Event.CODE_REPLAYED,
                at=now,
                client_id=portal.client_id,
                subject_id=grant.subject_id,
                reason="same_client" if grant.client_id == portal.client_id else "other_client",
            )
        return True

    def _tokens(self, portal: Registration, stored: Code, digest: str, released: Released) -> dict[str, Any]:
        request = stored.request
        access_token = seal.random_token()
        sub = self._subjects.pairwise(stored.subject_id, portal.sector)
        asked = request.claims.get("id_token") or {}
        protocol = {
            "sub": sub,
            "aud": portal.client_id,
            "auth_time": stored.auth_time,
            "acr": stored.acr,
            "amr": list(stored.amr),
            "sid": self._sessions.sid(stored.session_id, portal.sector),
            "nonce": request.nonce,
        }
        holder_claims = {
            name: value
            for name, value in released.claims.items()
            if name in asked and claims.CLAIMS[name].in_id_token
        }
        said = verified_claims.answer(
            asked.get("verified_claims"),
            released.verification,
            {name: value for name, value in released.claims.items() if claims.CLAIMS[name].in_id_token},
            now=self._clock(),
        )
        if said is not None:
            holder_claims["verified_claims"] = said
        id_token = self._id_tokens.mint(
            protocol, holder_claims, alg=portal.id_token_signed_response_alg, access_token=access_token
        )
        token = Token(
            code_digest=digest,
            client_id=portal.client_id,
            subject_id=stored.subject_id,
            sub=sub,
            scopes=request.scopes,
            asked=request.claims.get("userinfo") or {},
            names=_plainly_asked(request),
            sealed=seal.under(access_token, msgspec.json.encode(released), TOKEN_PURPOSE),
        )
        self._store.put(token_key(access_token), _document(token), self._times.access_token_ttl_s)
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": self._times.access_token_ttl_s,
            "scope": " ".join(request.scopes),
            "id_token": id_token,
        }

    def _report(self, event: Event, portal: Registration, stored: Code, reason: str | None) -> None:
        record_alone(
            event,
            at=self._clock(),
            client_id=portal.client_id,
            subject_id=stored.subject_id,
            login_id=stored.login_id,
            reason=reason,
        )


def _take_login(database: Database, login_id: str, now: int) -> None:
    """A login buys one code: the Store's word for it may be lost in a failover, this row's is not (D11)."""
    database.add(Consumed(kind="login", digest=seal.digest(login_id), expires_at=now + 86400))
    try:
        database.flush()
    except IntegrityError as error:
        raise LoginError("login_finished", status=409) from error


def _plainly_asked(request: AuthorizationRequest) -> tuple[str, ...]:
    """The claims to say in UserInfo as such; what is asked for inside `verified_claims` is said there alone."""
    members = dict(request.claims.get("userinfo") or {})
    members.pop("verified_claims", None)
    return claims.requested_names(request.scopes, {"userinfo": members})


def revoke_session(session_id: str, *, now: int) -> None:
    """Every token bought in this session dies, also one whose code is still on its way to the portal."""
    with writing() as database:
        database.merge(
            Consumed(kind=_ENDED_SESSION, digest=seal.digest(session_id), expires_at=now + _ENDED_SESSION_S)
        )
        database.execute(
            update(Grant)
            .where(Grant.session_id == session_id, Grant.revoked_at.is_(None))
            .values(revoked_at=now)
        )


def is_revoked(code_digest: str) -> bool:
    """Whether the grant behind a token is gone, or the session it was given in has ended."""
    grant = db.session.get(Grant, code_digest)
    return grant is None or grant.revoked_at is not None or _has_ended(grant.session_id)


def _has_ended(session_id: str) -> bool:
    return db.session.get(Consumed, (_ENDED_SESSION, seal.digest(session_id))) is not None


def token_key(access_token: str) -> str:
    return f"token:{seal.digest(access_token)}"


def _code_key(digest: str) -> str:
    return f"code:{digest}"


def _document(value: Code | Token) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(value)
    return document


def _verifies(verifier: str, challenge: str) -> bool:
    if not _VERIFIER.match(verifier):
        return False
    computed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=")
    return hmac.compare_digest(computed, challenge.encode("ascii"))


def _refused() -> InvalidGrantError:
    return InvalidGrantError("The code is not valid for this request.")
