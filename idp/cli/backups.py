"""Backups on SQLite, and what follows a restore on either database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from msgspec.structs import replace
from sqlalchemy import func, make_url, select, text

from idp import backup as backups
from idp import clock, epoch, schema
from idp.cli.deployment import ensure_keys, fail, migrated, with_settings
from idp.models import Administrator, Portal, SigningKey, db, writing
from idp.settings import Settings, Url
from idp.store import StoreUnavailable, open_store

_POSTGRESQL = "The database is PostgreSQL: {}. See docs/operations.md."
_LEFT_OUT = (
    "Not in it: the secrets ([secrets], the wallet's key), without which it is worth little, and the Store (sign-ins "
    "under way), which needs no backup. Keep the secrets elsewhere."
)


@click.command()
@with_settings
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(settings: Settings, file: Path) -> None:
    """Write a backup of the database (SQLite) to FILE, while the service goes on."""
    try:
        revision = backups.make(_database_file(settings, "use pg_dump or pg_basebackup"), file)
    except backups.BackupError as error:
        fail(str(error))
    click.echo(f"{file}: the database at revision {revision}, {file.stat().st_size:,} bytes, sound.")
    click.echo(_LEFT_OUT)


@click.command()
@with_settings
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def restore(settings: Settings, file: Path) -> None:
    """Put the backup in FILE (SQLite) in the place of the database; stop `idp serve` first.

    The database that was there is kept beside it. Whatever was good before (tokens, sessions, links) is not any more.
    """
    database = _database_file(settings, "restore it with its own tools, then run `idp restored`")
    try:
        with backups.restoring(file, database) as restoring:
            copy = replace(
                settings, database=replace(settings.database, url=Url(f"sqlite:///{restoring.copy}"))
            )
            # The Store stays where it is; empty, its place would be beside the copy.
            copy = replace(copy, store=replace(settings.store, url=settings.store_url))
            schema.upgrade(copy.database_url)
            ended = _begin_epoch(copy)
            replaced = restoring.put_in_place()
    except (backups.BackupError, schema.NewerDatabase) as error:
        fail(str(error))
    if replaced is not None:
        click.echo(f"The database that was there is {replaced}.")
    _tell(ended)


@click.command()
@with_settings
def restored(settings: Settings) -> None:
    """Say that the database was restored from a backup, before anything is started on it.

    For PostgreSQL, and wherever the database may have lost its last transactions: a standby that had not heard of them
    was promoted. Whatever was good before (tokens, sessions, links) is not any more.
    """
    _tell(_begin_epoch(settings))


def _database_file(settings: Settings, instead: str) -> Path:
    if not settings.database.url.startswith("sqlite:"):
        fail(_POSTGRESQL.format(instead))
    return Path(make_url(settings.database_url).database or "")


def _begin_epoch(settings: Settings) -> tuple[epoch.Ended, list[str]]:
    """End everything, and what an operator should look at now."""
    now = clock.now()
    try:
        store = open_store(settings.store_url)
        try:
            with migrated(settings).app_context():
                ensure_keys(settings)  # before anything is ended for a database that nobody could serve
                store.clear()
                with writing() as database:
                    ended = epoch.begin(database, now)
                to_check = _to_check(now)
                _warn_of_others()
                db.session.remove()
                db.engine.dispose()
            store.clear()
        finally:
            store.close()
    except StoreUnavailable as error:
        fail(
            f"store.url: {error}: it must be emptied, or what is in it would be good again. Nothing was restored."
        )
    return ended, to_check


def _to_check(now: int) -> list[str]:
    administrators = db.session.scalar(
        select(func.count()).select_from(Administrator).where(Administrator.disabled_at.is_(None))
    )
    portals = db.session.scalar(select(func.count()).select_from(Portal).where(Portal.enabled))
    keys = db.session.scalars(
        select(SigningKey.kid).where(SigningKey.gone_at.is_(None) | (SigningKey.gone_at > now))
    ).all()
    return [
        f"{administrators} administrators can sign in (console, people)",
        f"{portals} portals are switched on, with the secrets they had then (`idp portals list`)",
        f"{len(keys)} signing keys are in use or published (`idp keys list`)",
        "the trust registry (`idp trust history`)",
    ]


def _warn_of_others() -> None:
    """On PostgreSQL: say that somebody else uses the database, who may be a node that still serves."""
    if db.session.get_bind().dialect.name != "postgresql":
        return
    db.session.remove()
    db.engine.dispose()  # ours that wait for work are none
    others = db.session.scalar(
        text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    )
    if others:
        click.echo(
            f"{others} other connections to the database are open. "
            "If nodes serve on it, stop them and run this again.",
            err=True,
        )


def _tell(done: tuple[epoch.Ended, list[str]]) -> None:
    ended, to_check = done
    click.echo(
        "Restored, and nothing of before is good any more: the Store is empty; "
        f"{ended.grants} grants with their tokens, {ended.invitations} invitations, "
        f"{ended.registration_tokens} registration tokens, {ended.api_tokens} tokens of the admin API and "
        f"{ended.consents} consents ended."
    )
    until = datetime.fromtimestamp(clock.now() + 11, UTC)
    click.echo(
        f"Portals that prove themselves by signed assertions are believed from {until:%H:%M:%S} UTC on."
    )
    click.echo("What was changed after the backup is as it was before. Look at:")
    for line in to_check:
        click.echo(f"  - {line}")
