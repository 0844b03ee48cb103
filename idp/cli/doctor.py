"""`idp doctor`: what is wrong with a deployment, and what to do about it, in words."""

from __future__ import annotations

import json
import resource
import shutil
import ssl
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click
import httpx2
from flask import Flask
from sqlalchemy import func, make_url, select, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from idp import clock, postgresql, schema
from idp import hsm as hsms
from idp.admin import expiry
from idp.admin.measures import endings, measures
from idp.admin.trust import TrustRegistry
from idp.bare import bare_app
from idp.cli.deployment import key_encryption_of, keys_of, with_settings
from idp.credentials.trust import TrustDocumentError
from idp.errors import Unavailable
from idp.hsm import HsmError
from idp.keys import NoSigningKey, WrongKeyEncryptionKey
from idp.models import KeyEncryption, Portal, db
from idp.openid4vp.request import Signer, SignerError
from idp.serve import ENOUGH_FILES
from idp.settings import Settings
from idp.store import open_store
from idp.store.redis import RedisStore

Level = Literal["ok", "warning", "problem"]

_SOON_S = 30 * 86_400
_SKEW_S = 2
_LEAST_FREE_BYTES = 1 << 30
_SEALED_WITHIN_S = 300
_TOLD_WITHIN_S = 900
_OLDEST_POSTGRESQL = 120_000
_OLDEST_REDIS = (6, 2)
_ONLINE_S = 10


@dataclass(frozen=True)
class Found:
    """What one look showed. `fix` says what to do; empty where nothing is."""

    part: str
    level: Level
    said: str
    fix: str = ""


Look = Callable[[Settings, Flask], Iterator[Found]]


@click.command()
@click.option("--online", is_flag=True, help="Also ask the issuer's address, as a portal would.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_settings
def doctor(settings: Settings, online: bool, as_json: bool) -> None:
    """Look at everything a deployment rests on, and say how to mend what is wrong.

    Changes nothing. Ends with 1 when there is a problem; a warning is none yet.
    """
    app = bare_app(settings)
    worst = False
    looks = LOOKS if _is_made(settings) else (_unmade, _hsm, _certificate, _machine)
    with app.app_context():
        for look in (*looks, *([_address] if online else [])):
            for found in _told(look, settings, app):
                worst = worst or found.level == "problem"
                click.echo(json.dumps(asdict(found), ensure_ascii=False) if as_json else _line(found))
        db.engine.dispose()
    raise SystemExit(1 if worst else 0)


def _told(look: Look, settings: Settings, app: Flask) -> Iterator[Found]:
    try:
        yield from look(settings, app)
    except HsmError:  # the HSM's own look says more
        yield Found(look.__name__.strip("_"), "problem", "the HSM did not do its part", "see hsm")
    except SQLAlchemyError as error:  # the database's own look says more
        db.session.rollback()
        part = look.__name__.strip("_")
        said = f"the database could not be asked ({type(error).__name__})"
        # It answers, and has no such table.
        yield Found(
            part, "problem", said, "see schema" if isinstance(error, ProgrammingError) else "see database"
        )


def _line(found: Found) -> str:
    line = f"{found.level:<8} {found.part:<12} {found.said}"
    return f"{line}\n{'':<22}→ {found.fix}" if found.fix else line


def _is_made(settings: Settings) -> bool:
    """Whether there is a database to look at: asking for an SQLite file that is missing would make it."""
    url = make_url(settings.database_url)
    return url.drivername != "sqlite" or Path(url.database or "").exists()


def _unmade(settings: Settings, _app: Flask) -> Iterator[Found]:
    file = make_url(settings.database_url).database
    yield Found("database", "problem", f"there is no {file}", "idp migrate; or correct database.url")


def _database(settings: Settings, _app: Flask) -> Iterator[Found]:
    try:
        connection = db.session.connection()
    except SQLAlchemyError as error:
        fix = "start it, or correct database.url; from this machine: is its port open, does the role exist?"
        yield Found("database", "problem", f"does not answer ({type(error).__name__})", fix)
        return
    if connection.dialect.name == "sqlite":
        yield from _sqlite(Path(db.engine.url.database or ""))
        return
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    said = f"PostgreSQL {version // 10_000}"
    if version < _OLDEST_POSTGRESQL:
        yield Found("database", "problem", f"{said} is older than 12", "upgrade PostgreSQL")
    elif connection.execute(text("SELECT pg_is_in_recovery()")).scalar():
        fix = "let database.url name the primary: several hosts with target_session_attrs=read-write"
        yield Found("database", "problem", f"{said} is a standby, which takes no rows", fix)
    else:
        yield Found("database", "ok", said)
    if not connection.execute(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar():
        said = "this role may make no tables: neither the audit's months nor the next migration"
        yield Found("database", "warning", said, "ALTER DATABASE … OWNER TO the role of database.url")
    if connection.connection.info[postgresql.POOLED]:
        yield from _pooler(settings)
        return
    wanted = settings.server.workers * (settings.server.threads + 4)
    most = int(connection.execute(text("SHOW max_connections")).scalar_one())
    if wanted > most:
        fix = "raise max_connections, put a pooler in front, or lower server.workers or server.threads"
        said = f"one node may open {wanted} connections, the server takes {most} in all"
        yield Found("database", "warning", said, fix)
    there = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    yield from _skew("database", there)


def _pooler(settings: Settings) -> Iterator[Found]:
    """What a pooler keeps from us: limits of a session, and notices to it. Connections are its own affair."""
    limits = [
        db.session.execute(text(f"SHOW {name}")).scalar() for name in ("statement_timeout", "lock_timeout")
    ]
    if "0" in limits:
        said = "through the pooler a statement, or a wait for a lock, may take for ever"
        fix = "ALTER ROLE … SET statement_timeout = '15s', and lock_timeout = '5s'; the worker's role needs the second"
        yield Found("database", "warning", said, fix)
    if settings.store_url == settings.database_url:
        said = "the Store is behind the pooler: unless it pools by session, waiting pages are told late"
        yield Found(
            "store", "warning", said, "take Redis as the Store, or let store.url lead past the pooler"
        )


def _sqlite(file: Path) -> Iterator[Found]:
    free = shutil.disk_usage(file.parent).free
    if free < _LEAST_FREE_BYTES:
        said = f"{free >> 20} MiB are free beside {file.name}"
        yield Found("database", "warning", said, "make room: a full disk stops every sign-in")
    else:
        yield Found("database", "ok", f"SQLite, {file.stat().st_size >> 20} MiB; one process serves")


def _schema(settings: Settings, _app: Flask) -> Iterator[Found]:
    try:
        pending = schema.pending(settings.database_url)
        ahead = schema.is_ahead(settings.database_url)
    except schema.NewerDatabase as error:
        yield Found("schema", "problem", str(error), "install the newer release here too")
        return
    if ahead:
        said = "a newer release upgraded the database; this one goes on beside it"
        yield Found("schema", "warning", said, "finish rolling that release out")
        return
    if pending:
        yield Found("schema", "problem", f"{len(pending)} revisions are not applied", "idp migrate")
    else:
        yield Found("schema", "ok", f"revision {schema.head()}")


def _store(settings: Settings, _app: Flask) -> Iterator[Found]:
    try:
        with closing(open_store(settings.store_url)) as store:
            store.ping()
            if not isinstance(store, RedisStore):
                yield Found("store", "ok", "beside the database")
                return
            facts = store.facts()
    except Unavailable as error:
        fix = "start it, or correct store.url; nobody can sign in without it"
        yield Found("store", "problem", str(error), fix)
        return
    said = f"Redis {'.'.join(map(str, facts.version))}"
    if facts.version < _OLDEST_REDIS:
        yield Found("store", "problem", f"{said} is older than 6.2", "upgrade Redis, or use Valkey")
    elif facts.evicts:
        fix = "CONFIG SET maxmemory-policy noeviction, and in its configuration file"
        yield Found("store", "problem", f"{said} throws entries away when it is full ({facts.policy})", fix)
    elif facts.policy is None:
        fix = "make sure that its maxmemory-policy is noeviction"
        yield Found("store", "warning", f"{said} does not say what it does when it is full", fix)
    else:
        yield Found("store", "ok", said)
    yield from _skew("store", facts.time)


def _skew(part: str, there: float) -> Iterator[Found]:
    apart_s = abs(time.time() - there)
    if apart_s > _SKEW_S:
        said = f"its clock and this machine's are {apart_s:.0f} s apart"
        yield Found(part, "problem", said, "let NTP keep both: codes and credentials live by the second")


def _hsm(settings: Settings, _app: Flask) -> Iterator[Found]:
    hsm = hsms.of(settings)
    if hsm is None:
        return
    try:
        n = len(hsm.held())
        for label in filter(None, (settings.hsm.key_encryption_key, settings.hsm.next_key_encryption_key)):
            hsm.secret(label)
        for label in filter(None, (settings.hsm.wallet_key, settings.hsm.opendid_key)):
            hsm.check(("label", label))
    except HsmError as error:
        yield Found("hsm", "problem", error.said, error.fix)
    else:
        yield Found("hsm", "ok", f"{n} keys in the token {settings.hsm.token}")


def _key_encryption(settings: Settings, _app: Flask) -> Iterator[Found]:
    kek = key_encryption_of(settings)
    row = db.session.scalar(select(KeyEncryption))
    known = row.fingerprint if row is not None else None
    if not kek.is_changing:
        if known not in {None, kek.following}:
            said = f"everything is sealed under another key-encryption key, {known}"
            yield Found("keys", "problem", said, "give that one; it was secrets.next_key_encryption_key once")
    elif row is None or known != kek.following:
        said = "two key-encryption keys are known, and the first one seals"
        yield Found("keys", "warning", said, "when every node and worker knows both: idp keys rewrap")
    elif row.done_at is None:
        yield Found("keys", "warning", "the key-encryption key is being changed", "idp keys rewrap")
    else:
        fix = "idp keys rewrap must say 0; later make the next key the only one (docs/operations.md)"
        yield Found("keys", "warning", "the key-encryption key was changed, and both are known still", fix)


def _keys(settings: Settings, _app: Flask) -> Iterator[Found]:
    keys = keys_of(settings)
    try:
        keys.check()
    except WrongKeyEncryptionKey as error:
        fix = "give the key that this database was begun with; see docs/deployment.md for one that is lost"
        yield Found("keys", "problem", f"{error}", fix)
    except NoSigningKey:
        yield Found("keys", "warning", "there is none yet", "idp serve makes them at its first start")
    else:
        yield Found("keys", "ok", f"{', '.join(keys.algs)} can sign")


def _certificate(settings: Settings, _app: Flask) -> Iterator[Found]:
    try:
        signer = Signer(settings, hsms.of(settings))
    except SignerError as error:
        yield Found(
            "wallets", "problem", str(error), "see wallet.certificate_file and wallet.private_key_file"
        )
        return
    now = clock.now()
    ends = min(int(one.not_valid_after_utc.timestamp()) for one in signer.chain)
    key = Path(settings.wallet.private_key_file)
    if not settings.hsm.wallet_key and stat.S_IMODE(key.stat().st_mode) & 0o007:
        yield Found("wallets", "warning", "everybody on this machine may read our key", f"chmod o= {key}")
    if ends <= now + _SOON_S:
        level: Level = "problem" if ends <= now else "warning"
        said = f"our certificate for wallets {'has ended' if ends <= now else f'ends {_in_days(ends, now)}'}"
        yield Found("wallets", level, said, "have a new one issued and put it in wallet.certificate_file")
    else:
        yield Found("wallets", "ok", signer.client_id(settings.wallet.client_id_prefix))


def _trust(settings: Settings, _app: Flask) -> Iterator[Found]:
    try:
        snapshot = TrustRegistry(clock.now).snapshot()
    except TrustDocumentError as error:
        yield Found("trust", "problem", str(error), "idp trust show, then idp trust apply what is right")
        return
    if not snapshot.types or not snapshot.missions:
        yield Found("trust", "problem", "no credential type or no mission is known", "idp trust apply FILE")
        return
    now = clock.now()
    soon = [one for one in endings(snapshot, (), now) if one.at <= now + _SOON_S]
    for ending in soon:
        level: Level = "problem" if ending.at <= now else "warning"
        said = f"{ending.what} ends {expiry.in_days(ending, now)}"
        yield Found("trust", level, said, "ask the authority for the next one; idp trust apply")
    if not soon:
        yield Found(
            "trust", "ok", f"{len(snapshot.missions)} missions, {len(snapshot.types)} credential types"
        )


def _worker(settings: Settings, _app: Flask) -> Iterator[Found]:
    now = clock.now()
    found = measures(now)
    done_at = found.jobs.get("audit-seal")
    start = "start `idp serve`" if settings.uses_sqlite else "start `idp worker`, and look at its log"
    if done_at is None or now - done_at > _SEALED_WITHIN_S:
        last = "was never sealed" if done_at is None else f"was last sealed {now - done_at} s ago"
        yield Found("worker", "problem", f"the audit {last}: no worker is at work", start)
    elif found.unsealed.oldest_s > _SEALED_WITHIN_S:
        said = f"{found.unsealed.n} rows of the audit wait, the first for {found.unsealed.oldest_s} s"
        yield Found("worker", "problem", said, "idp audit verify, and look at the worker's log")
    else:
        yield Found("worker", "ok", f"sealed the audit {now - done_at} s ago")
    if found.logout_notices.oldest_s > _TOLD_WITHIN_S:
        said = (
            f"{found.logout_notices.n} logout notices wait, the first for {found.logout_notices.oldest_s} s"
        )
        yield Found("worker", "warning", said, "idp logout-notices list shows which portal does not answer")
    if found.notices_given_up:
        said = f"{found.notices_given_up} logout notices were given up"
        yield Found("worker", "warning", said, "idp logout-notices list --failed, then replay them")


def _portals(_settings: Settings, _app: Flask) -> Iterator[Found]:
    n = db.session.scalar(select(func.count()).select_from(Portal)) or 0
    if n:
        yield Found("portals", "ok", f"{n} are registered")
    else:
        yield Found("portals", "warning", "none is registered", "idp portals apply FILE")


def _machine(settings: Settings, _app: Flask) -> Iterator[Found]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < ENOUGH_FILES:
        said = f"a process may open {hard} files, and each waiting page is one"
        yield Found(
            "machine", "warning", said, "raise it: LimitNOFILE=65536 in the unit, ulimit -n elsewhere"
        )
    if settings.mode == "production" and not settings.server.trusted_proxies:
        said = "server.trusted_proxies is 0: every holder seems to come from the proxy's address"
        yield Found("machine", "warning", said, "set it to the number of proxies that add X-Forwarded-For")


def _address(settings: Settings, _app: Flask) -> Iterator[Found]:
    try:
        answer = httpx2.get(f"{settings.issuer}/.well-known/openid-configuration", timeout=_ONLINE_S)
        said_issuer = answer.json()["issuer"]
    except (httpx2.HTTPError, ssl.SSLError, ValueError, KeyError, TypeError) as error:
        said = f"{settings.issuer} does not answer as a provider ({type(error).__name__})"
        yield Found(
            "issuer", "problem", said, "look at DNS, the proxy and its certificate, then at `idp serve`"
        )
        return
    if said_issuer != settings.issuer:
        said = f"{settings.issuer} is answered by {said_issuer}"
        yield Found("issuer", "problem", said, "the address and `issuer` must be the same text")
    else:
        yield Found("issuer", "ok", f"{settings.issuer} answers")


def _in_days(at: int, now: int) -> str:
    return f"in {(at - now) // 86_400} days"


LOOKS: tuple[Look, ...] = (
    _database,
    _schema,
    _store,
    _hsm,
    _key_encryption,
    _keys,
    _certificate,
    _trust,
    _worker,
    _portals,
    _machine,
)
