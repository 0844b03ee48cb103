"""What every command needs: the deployment's settings, its database, its keys, and a way to say what is wrong."""

from __future__ import annotations

import logging
import os
import sys
import tomllib
from collections.abc import Callable
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click
from flask import Flask
from sqlalchemy.exc import OperationalError

from idp import clock, key_encryption, logs, schema
from idp import hsm as hsms
from idp.bare import bare_app
from idp.hsm import Hsm, HsmError
from idp.key_encryption import KeyEncryption
from idp.keys import Keys, WrongKeyEncryptionKey
from idp.oidc import key_use
from idp.settings import Settings, SettingsError, load, load_hsm
from idp.store import StoreUnavailable

log = logging.getLogger("idp")

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings file (TOML). Also IDP_CONFIG.",
)


def fail(*lines: str) -> NoReturn:
    """Say what is wrong, one line each, and end with 1."""
    for line in lines:
        click.echo(line, err=True)
    sys.exit(1)


def counted(number: int, one: str) -> str:
    """So many of these, in words: `1 session`, `2 sessions`."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def read_settings(config: Path | None) -> Settings:
    try:
        settings = load(config, os.environ)
    except SettingsError as error:
        fail("The settings cannot be used:", *(f"  {line}" for line in str(error).splitlines()))
    logs.install(settings.log.format)
    return settings


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command gets the deployment's settings as its first argument."""

    @config_option
    @wraps(command)
    def wrapped(config: Path | None, *args: Any, **kwargs: Any) -> Any:
        try:
            return command(read_settings(config), *args, **kwargs)
        except HsmError as error:
            fail(*in_words(error))

    return wrapped


def with_hsm(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command gets the HSM as its first argument; the other settings need not be right yet."""

    @config_option
    @wraps(command)
    def wrapped(config: Path | None, *args: Any, **kwargs: Any) -> Any:
        try:
            given = load_hsm(config, os.environ)
        except SettingsError as error:
            fail(
                "The settings of the HSM cannot be used:", *(f"  {line}" for line in str(error).splitlines())
            )
        if not given.module:
            fail("There is no HSM: hsm.module is empty.")
        try:
            return command(Hsm(given.module, given.token, given.pin.reveal()), *args, **kwargs)
        except HsmError as error:
            fail(*in_words(error))

    return wrapped


def in_words(error: HsmError) -> tuple[str, str]:
    """What the HSM did not do, and what to do about it."""
    return f"HSM: {error.said}.", f"  → {error.fix}"


def migrated(settings: Settings) -> Flask:
    """The database alone, its schema up to date; ends with 1 when it is not."""
    if pending_revisions(settings):
        fail("The database is not up to date. Run `idp migrate`, then try again.")
    return bare_app(settings)


def pending_revisions(settings: Settings) -> list[str]:
    """The revisions that `idp migrate` would apply; ends with 1 for a database that this release cannot use."""
    try:
        return schema.pending(settings.database_url)
    except (schema.NewerDatabase, schema.NotRestored) as error:
        fail(f"database.url: {error}")
    except OperationalError as error:  # what the driver says names hosts and roles, never a password
        fail(
            "database.url: the database does not answer:",
            *(f"  {line}" for line in str(error.orig).splitlines()),
        )


def document_of(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        fail(f"{file}: cannot be read: {error.strerror}")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        fail(f"{file}: is not TOML: {error}")


def key_encryption_of(settings: Settings) -> KeyEncryption:
    """Raises HsmError, which `with_settings` says in words."""
    return key_encryption.of(settings, hsms.of(settings), clock.now)


def keys_of(settings: Settings) -> Keys:
    """Raises HsmError, which `with_settings` says in words."""
    hsm = hsms.of(settings)
    return Keys(
        key_encryption.of(settings, hsm, clock.now),
        clock.now,
        settings.lifetimes.key_publish_s,
        settings.lifetimes.key_retire_s,
        hsm=hsm,
        in_hsm=hsm is not None and settings.hsm.signing_keys,
    )


def ensure_keys(settings: Settings) -> None:
    """A key for every algorithm that a portal registered; ends with 1 when the stored ones do not open."""
    try:
        keys_of(settings).ensure(key_use.algorithms_in_use())
    except WrongKeyEncryptionKey as error:
        fail(f"secrets.key_encryption_key: {error}")


def ensure_store(settings: Settings) -> None:
    """Ends with 1 in production for a Redis that throws away what is needed; one that is away may still come."""
    if "redis" not in settings.store_url.partition(":")[0]:
        return
    from idp.store.redis import RedisStore  # noqa: PLC0415 - most commands ask no Redis

    try:
        with closing(RedisStore(settings.store_url)) as store:
            policy = store.facts().policy
    except StoreUnavailable as error:
        log.warning("store.url: %s; nobody can sign in until that is mended", error)
        return
    if policy is None:
        log.warning("store.url: Redis does not say what it does when it is full; it must be noeviction")
    elif policy != "noeviction":
        said = f"store.url: this Redis throws entries away when it is full (maxmemory-policy {policy})."
        if settings.mode == "production":
            fail(
                said,
                "Set noeviction, in its configuration file too: a sign-in would fail and nobody see why.",
            )
        log.warning("%s", said)
