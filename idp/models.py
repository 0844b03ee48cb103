"""What lives for years: rows in SQLite or PostgreSQL.

No column here holds a value from a holder's credential. A `Subject` is a random id; what ties it to a
person is `HMAC(pepper, person key)` in `SubjectKey`. Times are whole seconds since the epoch.

Whatever must not happen twice is decided here by a unique key, in the same transaction that records it:
`Grant` for codes, `RefreshToken` for their rotation, `Consumed` for finished logins, pushed requests and client
assertions.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import Any, cast

from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    CursorResult,
    Executable,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    String,
    UniqueConstraint,
    delete,
    event,
    inspect,
    select,
    text,
    tuple_,
)
from sqlalchemy.engine import Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """Every table's base; plain SQLAlchemy, so that leaving Flask-SQLAlchemy stays an hour's work."""


class _Session(FlaskSession):
    """What it does outside `writing()` only reads, and PostgreSQL is told of no transaction (`prepare_postgresql`).

    Its end says nothing: it is closed when the answer is made, which a connection that broke meanwhile must not turn
    into another.
    """

    def get_bind(self, *arguments: Any, **named: Any) -> Engine | Connection:
        bind = super().get_bind(*arguments, **named)
        return _reader_of(bind) if isinstance(bind, Engine) else bind

    def close(self) -> None:
        try:
            super().close()
        except (OperationalError, InterfaceError):
            self.invalidate()


@lru_cache(maxsize=8)
def _reader_of(engine: Engine) -> Engine:
    return engine.execution_options(sinwon_reads=True)


db = SQLAlchemy(model_class=Base, session_options={"class_": _Session, "expire_on_commit": False})

Seconds = BigInteger
RowId = BigInteger().with_variant(Integer, "sqlite")


def _where_known(name: str, *columns: str, known: str = "") -> Index:
    """An index over the rows in which a column, the first one or `known`, is not null: the others cost nothing."""
    where = text(f"{known or columns[0]} IS NOT NULL")
    return Index(name, *columns, postgresql_where=where, sqlite_where=where)


class Portal(Base):
    """A relying portal. `registration` is the document that `idp.portals.Registration` describes."""

    __tablename__ = "portal"
    client_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    registration: Mapped[dict[str, Any]] = mapped_column(JSON)
    registration_token_digest: Mapped[str | None] = mapped_column(String(64))
    """Who holds this token may read and change the registration (RFC 7592); None: only an admin may."""
    updated_at: Mapped[int] = mapped_column(Seconds)
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"), index=True)


class PortalVersion(Base):
    """One change of a registration: what it was and became (None: not there), by whom and why."""

    __tablename__ = "portal_version"
    client_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    actor: Mapped[str | None] = mapped_column(String(255))
    approved_by: Mapped[str | None] = mapped_column(String(255))
    reason: Mapped[str | None] = mapped_column(String(255))
    at: Mapped[int] = mapped_column(Seconds)


class PortalProposal(Base):
    """A change of a registration that waits for a second person. `version` is the one that it was made on: a change
    on something that has changed since is refused, not merged."""

    __tablename__ = "portal_proposal"
    id: Mapped[str] = mapped_column(String(22), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(255), index=True)
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"))
    version: Mapped[int] = mapped_column(Integer)
    after: Mapped[dict[str, Any]] = mapped_column(JSON)
    proposed_by: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str] = mapped_column(String(255))
    at: Mapped[int] = mapped_column(Seconds)
    state: Mapped[str] = mapped_column(String(16), index=True)
    """waiting, approved, rejected, withdrawn or outdated."""
    decided_by: Mapped[str | None] = mapped_column(String(255))
    decided_at: Mapped[int | None] = mapped_column(Seconds)
    decision: Mapped[str | None] = mapped_column(String(255))


class PortalSecret(Base):
    """When a client secret was given out and last used, by the SHA-256 that the registration knows it by."""

    __tablename__ = "portal_secret"
    client_id: Mapped[str] = mapped_column(
        ForeignKey("portal.client_id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[int | None] = mapped_column(Seconds)
    last_used_at: Mapped[int | None] = mapped_column(Seconds)
    """To the hour: it says whether the secret is still in use, and is no record of sign-ins."""


class Organisation(Base):
    """Who answers for portals. `document` is what `idp.admin.organisations` describes."""

    __tablename__ = "organisation"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    updated_at: Mapped[int] = mapped_column(Seconds)


class Administrator(Base):
    """Who may use the console. Nobody's name: a label that the inviting person chose, and the pairwise `sub` by which
    the console knows the holder of a credential (decision D13)."""

    __tablename__ = "administrator"
    id: Mapped[str] = mapped_column(String(22), primary_key=True)
    label: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    sub: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[int] = mapped_column(Seconds)
    created_by: Mapped[str | None] = mapped_column(String(255))
    disabled_at: Mapped[int | None] = mapped_column(Seconds)
    last_seen_at: Mapped[int | None] = mapped_column(Seconds)


class Invitation(Base):
    """An invitation to become an administrator, by its SHA-256; `used_at` is set once."""

    __tablename__ = "invitation"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    label: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"))
    created_at: Mapped[int] = mapped_column(Seconds)
    created_by: Mapped[str | None] = mapped_column(String(255))
    expires_at: Mapped[int] = mapped_column(Seconds, index=True)
    used_at: Mapped[int | None] = mapped_column(Seconds)


class ApiToken(Base):
    """A token of the admin API, by its SHA-256 (`idp.admin.tokens`)."""

    __tablename__ = "api_token"
    id: Mapped[str] = mapped_column(String(22), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    label: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"))
    created_at: Mapped[int] = mapped_column(Seconds)
    created_by: Mapped[str | None] = mapped_column(String(255))
    expires_at: Mapped[int] = mapped_column(Seconds)
    last_used_at: Mapped[int | None] = mapped_column(Seconds)
    revoked_at: Mapped[int | None] = mapped_column(Seconds)


class Subject(Base):
    """A person as we know one: a random id."""

    __tablename__ = "subject"
    id: Mapped[str] = mapped_column(String(43), primary_key=True)
    created_at: Mapped[int] = mapped_column(Seconds)


class SubjectKey(Base):
    """`HMAC(pepper, trust domain, element, value)`: finds the Subject again. A Subject may have several."""

    __tablename__ = "subject_key"
    digest: Mapped[str] = mapped_column(String(43), primary_key=True)
    subject_id: Mapped[str] = mapped_column(ForeignKey("subject.id"), index=True)
    created_at: Mapped[int] = mapped_column(Seconds)


class Consent(Base):
    """What a holder agreed to release to a portal: names of claims, never their values.

    It counts in the session it was given in and, where the holder asked for it (`remembered`), until it is withdrawn.
    """

    __tablename__ = "consent"
    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    subject_id: Mapped[str] = mapped_column(ForeignKey("subject.id"))
    client_id: Mapped[str] = mapped_column(String(255))
    claims: Mapped[list[str]] = mapped_column(JSON)
    offered: Mapped[list[str]] = mapped_column(JSON)
    given_at: Mapped[int] = mapped_column(Seconds)
    withdrawn_at: Mapped[int | None] = mapped_column(Seconds)
    remembered: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    session_id: Mapped[str | None] = mapped_column(String(43))
    __table_args__ = (Index("consent_by_subject", "subject_id", "client_id"),)


class ReceiptTerms(Base):
    """What holders were told with a sign-in: portal and operator by name, each released item with its purpose,
    retention and basis (`idp.receipts`). One row for all sign-ins that say the same, by the document's SHA-256."""

    __tablename__ = "receipt_terms"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    used_at: Mapped[int] = mapped_column(Seconds, index=True)
    """To the day: when a sign-in last said this."""


class Receipt(Base):
    """One sign-in, for the holder's own page: names of what was released, never values. `login_id` is its `txn`.

    `revoked_at`: the holder took back what this sign-in gave access to; a code of it buys nothing any more.
    """

    __tablename__ = "receipt"
    id: Mapped[str] = mapped_column(String(22), primary_key=True)
    subject_id: Mapped[str] = mapped_column(String(43))
    client_id: Mapped[str] = mapped_column(String(255))
    login_id: Mapped[str] = mapped_column(String(43), unique=True)
    at: Mapped[int] = mapped_column(Seconds, index=True)
    auth_time: Mapped[int] = mapped_column(Seconds)
    acr: Mapped[str] = mapped_column(String(255))
    terms: Mapped[str] = mapped_column(ForeignKey("receipt_terms.digest"))
    consent_id: Mapped[int | None] = mapped_column(BigInteger)
    revoked_at: Mapped[int | None] = mapped_column(Seconds)
    __table_args__ = (Index("receipt_by_subject", "subject_id", "at", "id"),)


class SigningKey(Base):
    """A key of ours. Its state at any time follows from the four times; the private half is sealed under
    the key-encryption key."""

    __tablename__ = "signing_key"
    kid: Mapped[str] = mapped_column(String(43), primary_key=True)
    alg: Mapped[str] = mapped_column(String(16))
    public_jwk: Mapped[dict[str, Any]] = mapped_column(JSON)
    sealed_private_jwk: Mapped[str]
    published_at: Mapped[int] = mapped_column(Seconds)
    active_at: Mapped[int] = mapped_column(Seconds)
    retiring_at: Mapped[int | None] = mapped_column(Seconds)
    gone_at: Mapped[int | None] = mapped_column(Seconds)
    removed_at: Mapped[int | None] = mapped_column(Seconds)
    """Others may have copied it: what it signed is not believed any more, however old."""


class KeyEncryption(Base):
    """Which key-encryption key seals, by its fingerprint: one row, from the first change on (`idp keys rewrap`).

    `done_at`: when nothing was sealed under the one before any more; None while the change goes on.
    """

    __tablename__ = "key_encryption"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    fingerprint: Mapped[str] = mapped_column(String(16))
    since: Mapped[int] = mapped_column(Seconds)
    done_at: Mapped[int | None] = mapped_column(Seconds)


class Grant(Base):
    """One redeemed authorization code or device code. The primary key decides who redeemed it; `revoked_at` kills
    everything it bought, refreshed tokens too (RFC 6749, section 4.1.2)."""

    __tablename__ = "grant"
    code_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(255))
    subject_id: Mapped[str] = mapped_column(String(43), index=True)
    session_id: Mapped[str] = mapped_column(String(43), index=True)
    offline: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """Granted beyond the session (`offline_access`, OpenID Connect Core 11): the session's end leaves it alone."""
    redeemed_at: Mapped[int] = mapped_column(Seconds)
    expires_at: Mapped[int] = mapped_column(Seconds, index=True)
    revoked_at: Mapped[int | None] = mapped_column(Seconds)


class RefreshToken(Base):
    """A refresh token. What it stands for is sealed under the token itself; `used_at` is set once by whoever rotates
    it, and a second use revokes the grant (RFC 9700, section 4.14.2)."""

    __tablename__ = "refresh_token"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    code_digest: Mapped[str] = mapped_column(ForeignKey("grant.code_digest", ondelete="CASCADE"), index=True)
    client_id: Mapped[str] = mapped_column(String(255))
    authorization: Mapped[dict[str, Any]] = mapped_column(JSON)
    sealed: Mapped[str]
    issued_at: Mapped[int] = mapped_column(Seconds)
    expires_at: Mapped[int] = mapped_column(Seconds, index=True)
    used_at: Mapped[int | None] = mapped_column(Seconds)


class Consumed(Base):
    """Something that may be used once and was: the digest of a finished login's id, of a client assertion's jti, of a
    proof for an access token, of a question to a wallet, of a pushed request; and what may not be used again at all: a
    revoked access token, an ended session."""

    __tablename__ = "consumed"
    kind: Mapped[str] = mapped_column(String(24), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[int] = mapped_column(Seconds, index=True)


_NOT_ENDED = text("ended_at IS NULL")


class SignedIn(Base):
    """A browser's session, so that its end can be told to the portals in it. Whether it lives, the Store knows."""

    __tablename__ = "signed_in"
    id: Mapped[str] = mapped_column(String(43), primary_key=True)
    subject_id: Mapped[str] = mapped_column(String(43), index=True)
    started_at: Mapped[int] = mapped_column(Seconds)
    ends_at: Mapped[int] = mapped_column(Seconds)
    checked_at: Mapped[int] = mapped_column(Seconds, index=True)
    ended_at: Mapped[int | None] = mapped_column(Seconds)
    reason: Mapped[str | None] = mapped_column(String(32))
    sealed_standing: Mapped[str | None]
    """Where it can be asked whether the credential behind it still holds (`login.Standing`): under a key of ours,
    since the worker has no holder's secret, and all of one size but for a step."""
    __table_args__ = (
        Index("signed_in_live", "started_at", postgresql_where=_NOT_ENDED, sqlite_where=_NOT_ENDED),
    )


class SessionPortal(Base):
    """A portal that a session was used at, and how that portal knows it.

    How it knows the person is not written down: a list of one person's pairwise subs would undo them.
    """

    __tablename__ = "session_portal"
    session_id: Mapped[str] = mapped_column(ForeignKey("signed_in.id", ondelete="CASCADE"), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    sid: Mapped[str] = mapped_column(String(64), index=True)
    since: Mapped[int] = mapped_column(Seconds)
    __table_args__ = (Index("session_portal_of_portal", "client_id", "session_id"),)


_GIVEN_UP = text("due_at IS NULL AND delivered_at IS NULL")


class LogoutNotice(Base):
    """The outbox of OpenID Connect Back-Channel Logout: written with the end of a session, sent by the worker, kept
    as the ledger of what each portal was told."""

    __tablename__ = "logout_notice"
    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    client_id: Mapped[str] = mapped_column(String(255), index=True)
    subject_id: Mapped[str] = mapped_column(String(43))
    sid: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[int] = mapped_column(Seconds)
    due_at: Mapped[int | None] = mapped_column(Seconds, index=True)
    """When to send it next; None once it is delivered or given up."""
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    leased_until: Mapped[int | None] = mapped_column(Seconds)
    delivered_at: Mapped[int | None] = mapped_column(Seconds)
    last_problem: Mapped[str | None] = mapped_column(String(64))
    __table_args__ = (
        # What arrived is most of the ledger; what was given up is looked for at each visit of the console.
        Index("logout_notice_given_up", "client_id", postgresql_where=_GIVEN_UP, sqlite_where=_GIVEN_UP),
    )


class Lease(Base):
    """A periodic job that one worker at a time may run."""

    __tablename__ = "lease"
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    until: Mapped[int] = mapped_column(Seconds)
    done_at: Mapped[int | None] = mapped_column(Seconds)


class KeyFetch(Base):
    """A portal was seen to fetch a JWKS with this key in it."""

    __tablename__ = "key_fetch"
    kid: Mapped[str] = mapped_column(ForeignKey("signing_key.kid", ondelete="CASCADE"), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    at: Mapped[int] = mapped_column(Seconds)


class InitialAccessToken(Base):
    """An invitation to register a portal (RFC 7591, section 1.2), by its SHA-256."""

    __tablename__ = "initial_access_token"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    note: Mapped[str] = mapped_column(String(255))
    profile: Mapped[str] = mapped_column(String(16))
    uses_left: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[int] = mapped_column(Seconds)
    created_by: Mapped[str | None] = mapped_column(String(255))
    expires_at: Mapped[int] = mapped_column(Seconds, index=True)


class PortalLogo(Base):
    """A portal's logo, fetched once and made anew as PNG (decision D23)."""

    __tablename__ = "portal_logo"
    client_id: Mapped[str] = mapped_column(
        ForeignKey("portal.client_id", ondelete="CASCADE"), primary_key=True
    )
    png: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[str] = mapped_column(String(64))


class AuditEvent(Base):
    """One line of the audit, from the catalogue in `idp.events`.

    On PostgreSQL the table is partitioned by month (RANGE on `at`), so its primary key there is (id, at); migration
    0006 says how. A column added later must be nullable: a seal covers the columns that are not null, so earlier
    rows keep theirs (docs/audit.md). Ids are never used twice, not even on SQLite after a row was deleted: sealing
    goes by them.
    """

    __tablename__ = "audit_event"
    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    at: Mapped[int] = mapped_column(Seconds)
    name: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str | None] = mapped_column(String(255))
    client_id: Mapped[str | None] = mapped_column(String(255))
    subject_id: Mapped[str | None] = mapped_column(String(43))
    login_id: Mapped[str | None] = mapped_column(String(43))
    correlation_id: Mapped[str | None] = mapped_column(String(32))
    ip: Mapped[str | None] = mapped_column(String(45))
    reason: Mapped[str | None] = mapped_column(String(64))
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    __table_args__ = (
        Index("audit_event_at", "at", "id"),
        Index("audit_event_name", "name", "at", "id"),
        _where_known("audit_event_portal", "client_id", "at", "id"),
        _where_known("audit_event_reason", "reason", "at", "id"),
        _where_known("audit_event_portal_reason", "client_id", "reason", "at", "id", known="reason"),
        _where_known("audit_event_actor", "actor", "at", "id"),
        _where_known("audit_event_subject", "subject_id"),
        _where_known("audit_event_login", "login_id"),
        _where_known("audit_event_correlation", "correlation_id"),
        {"sqlite_autoincrement": True},
    )


class AuditSeal(Base):
    """Where an event stands in the sealed log: leaf number `seq`, from 0. `at` is the event's own."""

    __tablename__ = "audit_seal"
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    at: Mapped[int] = mapped_column(Seconds)
    leaf: Mapped[bytes] = mapped_column(LargeBinary)


class AuditCheckpoint(Base):
    """The root of the log when it had `size` leaves, signed (`signed` is a compact JWS that says all of this).

    `until`: nothing sealed so far happened later, as far as clocks can be believed; it never falls.
    """

    __tablename__ = "audit_checkpoint"
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[int] = mapped_column(Seconds)
    until: Mapped[int] = mapped_column(Seconds, index=True)
    signed: Mapped[str]


class AuditKey(Base):
    """The public half of a key that signed a checkpoint: kept when the key is long gone.

    `vouched` is an HMAC under a key made from the key-encryption key: a key planted in the database has none.
    """

    __tablename__ = "audit_key"
    kid: Mapped[str] = mapped_column(String(43), primary_key=True)
    public_jwk: Mapped[dict[str, Any]] = mapped_column(JSON)
    vouched: Mapped[str] = mapped_column(String(43))


class AuditCut(Base):
    """What retention took: the leaves before `size`, all of events before `before`. `edge` is what the tree needs to
    grow on without them; it has the root of the checkpoint of this size, which stays."""

    __tablename__ = "audit_cut"
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    before: Mapped[int] = mapped_column(Seconds)
    at: Mapped[int] = mapped_column(Seconds)
    edge: Mapped[bytes] = mapped_column(LargeBinary)
    signed: Mapped[str]


class AuditLog(Base):
    """Where sealing stands: one row. What it may be believed for, `idp.admin.audit.sealing` says."""

    __tablename__ = "audit_log"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger)
    edge: Mapped[bytes] = mapped_column(LargeBinary)
    settled_id: Mapped[int] = mapped_column(BigInteger)
    noted_id: Mapped[int] = mapped_column(BigInteger)
    noted_xid: Mapped[int | None] = mapped_column(BigInteger)


class AuditCount(Base):
    """So many events of a month, for its report: by portal, reason or actor (`of`), as `part` says."""

    __tablename__ = "audit_count"
    month: Mapped[str] = mapped_column(String(7), primary_key=True)
    part: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    of: Mapped[str] = mapped_column(String(255), primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger)


class AuditCountedDay(Base):
    """A day, by its first second (UTC), that is in `AuditCount`."""

    __tablename__ = "audit_counted_day"
    day: Mapped[int] = mapped_column(Seconds, primary_key=True, autoincrement=False)


class SignInFigures(Base):
    """So many events of one hour, counted from the audit (`idp.admin.figures`).

    client_id: "" counts every portal, and what belongs to none. outcome: the event's name. within_s: of a sign-in that
    finished, the bound of `figures.BOUNDS_S` that it took at most; 0 where it took no time of the holder's.
    """

    __tablename__ = "sign_in_figures"
    client_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    hour: Mapped[int] = mapped_column(Seconds, primary_key=True, index=True)
    outcome: Mapped[str] = mapped_column(String(64), primary_key=True)
    reason: Mapped[str] = mapped_column(String(64), primary_key=True)
    within_s: Mapped[int] = mapped_column(Integer, primary_key=True)
    n: Mapped[int] = mapped_column(Integer)


class SignInFiguresMark(Base):
    """How far the audit is counted: one row.

    counted_id: up to there, for good, which is all that happened before counted_at. seen_id: the newest id at the last
    look, at seen_at, and `writers` were then still writing (PostgreSQL): what is below it is all there once they are
    done.
    """

    __tablename__ = "sign_in_figures_mark"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    counted_id: Mapped[int] = mapped_column(BigInteger)
    seen_id: Mapped[int] = mapped_column(BigInteger)
    seen_at: Mapped[int] = mapped_column(Seconds)
    writers: Mapped[list[str]] = mapped_column(JSON)
    counted_at: Mapped[int] = mapped_column(Seconds)


class CredentialType(Base):
    """A kind of credential that is accepted; `document` is what `idp.admin.trust` describes."""

    __tablename__ = "credential_type"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    updated_at: Mapped[int] = mapped_column(Seconds)


class Mission(Base):
    """An authority that issues credentials; `document` is what `idp.admin.trust` describes."""

    __tablename__ = "mission"
    code: Mapped[str] = mapped_column(String(32), primary_key=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    updated_at: Mapped[int] = mapped_column(Seconds)


class TrustChange(Base):
    """One change of the trust registry: what an entry was and became (None: not there), by whom and why."""

    __tablename__ = "trust_change"
    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(16))
    entry: Mapped[str] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(Integer)
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    actor: Mapped[str | None] = mapped_column(String(255))
    reason: Mapped[str | None] = mapped_column(String(255))
    at: Mapped[int] = mapped_column(Seconds)
    __table_args__ = (UniqueConstraint("kind", "entry", "version", name="trust_change_version"),)


class SeenChain(Base):
    """A chain of certificates under which credentials were accepted lately: what a change of the trust registry would
    do is tried on them. `chain` is DER in base64, leaf first; times are whole hours, so that they mark no sign-in."""

    __tablename__ = "seen_chain"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    credential_type: Mapped[str] = mapped_column(String(64), primary_key=True)
    format: Mapped[str] = mapped_column(String(16), primary_key=True)
    mission: Mapped[str] = mapped_column(String(32))
    chain: Mapped[list[str]] = mapped_column(JSON)
    first_seen_at: Mapped[int] = mapped_column(Seconds)
    last_seen_at: Mapped[int] = mapped_column(Seconds, index=True)
    day: Mapped[int] = mapped_column(Seconds)
    n_that_day: Mapped[int] = mapped_column(Integer)


class WalletProfile(Base):
    """A wallet that holders may use; `document` is what `idp.presentation.wallets` describes."""

    __tablename__ = "wallet_profile"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    enabled: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[int] = mapped_column(Seconds)
    tested_at: Mapped[int | None] = mapped_column(Seconds)
    """When this very document was tried and worked (`idp wallets test`)."""


class SchemaStep(Base):
    """A migration that this database went through; `kind` is one of `idp.schema.Kind`, as its release had it."""

    __tablename__ = "schema_step"
    revision: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    at: Mapped[int] = mapped_column(Seconds)


# A writer who finds SQLite busy sleeps up to 100 ms at a time, and newcomers overtake it. The one process that serves
# (decision D21) hands the turn over at once.
_sqlite_turn = threading.RLock()
_BATCH_ROWS = 5000


@contextmanager
def writing() -> Iterator[Session]:
    """One transaction that writes: committed at the end, rolled back on any error.

    On SQLite it begins with the write lock (BEGIN IMMEDIATE), so that two writers queue instead of one
    of them failing half way. On PostgreSQL it is a transaction, which reading outside of it is not.
    """
    session: Session = db.session()
    session.rollback()  # let go of a read snapshot, which could not be upgraded
    with _sqlite_turn if session.get_bind().dialect.name == "sqlite" else nullcontext():
        session.connection(execution_options={"sinwon_writes": True})
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise


def at_once(statement: Executable, values: Mapping[str, Any]) -> Row[Any] | None:
    """One statement that is a transaction of its own, committed; the first row, if it returns any.

    On PostgreSQL it is one round trip, where `writing` takes three.
    """
    engine = db.engine
    if engine.dialect.name == "sqlite":
        with writing() as session:
            return _first(session.connection().execute(statement, values))
    if db.session.registry.has():
        db.session.rollback()  # nobody waits for a second connection while holding one
    with _reader_of(engine).connect() as connection:
        row = _first(connection.execute(statement, values))
        connection.commit()
        return row


def _first(result: CursorResult[Any]) -> Row[Any] | None:
    return result.first() if result.returns_rows else None


# Understood by PostgreSQL and SQLite alike.
_USE = text(
    "INSERT INTO consumed (kind, digest, expires_at) VALUES (:kind, :digest, :expires_at)"
    " ON CONFLICT DO NOTHING RETURNING digest"
)


def use(kind: str, digest: str, expires_at: int) -> bool:
    """Write down that something was used (`Consumed`), committed; False where it was used before."""
    return at_once(_USE, {"kind": kind, "digest": digest, "expires_at": expires_at}) is not None


def use_within(session: Session, kind: str, digest: str, expires_at: int) -> bool:
    """The same in the caller's transaction, which waits for another one that is using it."""
    values = {"kind": kind, "digest": digest, "expires_at": expires_at}
    return session.connection().execute(_USE, values).first() is not None


def forget(table: type[Base], which: ColumnElement[bool]) -> int:
    """Delete these rows, so many at a time, each batch in a transaction of its own; how many rows that were.

    However much has piled up, no lock is held for long. A row that somebody else holds is left for the next time.
    """
    key = inspect(table).primary_key
    batch = select(*key).where(which).limit(_BATCH_ROWS).with_for_update(skip_locked=True)
    some = delete(table).where(tuple_(*key).in_(batch)).execution_options(synchronize_session=False)
    n_forgotten = 0
    while True:
        with writing() as session:
            n = cast("CursorResult[Any]", session.execute(some)).rowcount
        n_forgotten += n
        if n < _BATCH_ROWS:
            return n_forgotten


def sweep(now: int) -> int:
    """Forget grants and used-up things that expired; how many rows that were.

    Nothing that could still be replayed expires here: each row outlives what it guards.
    """
    tables = (RefreshToken, Grant, Consumed, InitialAccessToken)
    return sum(forget(table, table.expires_at < now) for table in tables)


def prepare_sqlite(engine: Engine) -> None:
    """Make SQLite durable and quick under threads: WAL, every commit synced, a queue of writers."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver's guess
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        writes = connection.get_execution_options().get("sinwon_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def prepare_postgresql(engine: Engine) -> None:
    """Spare PostgreSQL two of three round trips where a session reads outside `writing()`: BEGIN and ROLLBACK.

    Such a transaction promised nothing: at READ COMMITTED each statement sees what is committed when it begins,
    transaction or not. `sinwon_snapshot` among the options of a connection asks for one that sees a single moment.
    """

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.autocommit = True

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        options = connection.get_execution_options()
        # The driver's own word, since a connection that streams would make a cursor for SQLAlchemy's.
        driver = connection.connection.driver_connection
        if options.get("sinwon_snapshot"):
            word = "BEGIN ISOLATION LEVEL REPEATABLE READ"
        elif options.get("sinwon_writes") or not options.get("sinwon_reads"):
            word = "BEGIN"
        else:
            return
        try:
            driver.execute(word)
        except engine.dialect.loaded_dbapi.Error as error:
            # Its server went away since it was handed out. What the driver says here nobody would take for that.
            connection.invalidate(error)
            raise OperationalError(word, None, error) from error
