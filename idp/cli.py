"""`idp`: the command line. `idp demo` runs everything on this machine; `idp serve` runs a deployment."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click
from flask import Flask

from idp import __version__, clock, schema
from idp.admin import portals as portal_admin
from idp.admin import trust as trust_admin
from idp.app import bare_app
from idp.credentials.trust import TrustDocumentError
from idp.events import Event, Origin, origin, record_alone
from idp.keys import Keys, RotationPending, UnknownKey, WrongKeyEncryptionKey
from idp.models import db, writing
from idp.models import sweep as forget
from idp.openid4vp.request import Signer, SignerError
from idp.portals import RegistrationError
from idp.serve import Server
from idp.settings import Settings, SettingsError, load

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings file (TOML). Also IDP_CONFIG.",
)


@click.group()
@click.version_option(__version__, prog_name="idp")
def cli() -> None:
    """Sinwon (신원): an OpenID Connect provider for mobile credentials."""
    # Libraries speak up only when something is wrong: some log whole URLs, and ours carry codes.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("idp").setLevel(logging.INFO)
    origin.set(Origin(actor=f"command line: {os.environ.get('USER', 'unknown')}"))


def fail(*lines: str) -> NoReturn:
    """Say what is wrong, one line each, and end with 1."""
    for line in lines:
        click.echo(line, err=True)
    sys.exit(1)


def _settings(config: Path | None) -> Settings:
    try:
        return load(config, os.environ)
    except SettingsError as error:
        fail("The settings cannot be used:", *(f"  {line}" for line in str(error).splitlines()))


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command gets the deployment's settings as its first argument."""

    @config_option
    @wraps(command)
    def wrapped(config: Path | None, *args: Any, **kwargs: Any) -> Any:
        return command(_settings(config), *args, **kwargs)

    return wrapped


def _migrated(settings: Settings) -> Flask:
    """The database alone, its schema up to date; ends with 1 when it is not."""
    if schema.pending(settings.database_url):
        fail("The database is not up to date. Run `idp migrate`, then try again.")
    return bare_app(settings)


# -- running --------------------------------------------------------------------------------------------------


@cli.command()
@with_settings
def serve(settings: Settings) -> None:
    """Serve this deployment."""
    app = _migrated(settings)
    with app.app_context():
        try:
            _keys(settings).ensure()
        except WrongKeyEncryptionKey as error:
            fail(f"secrets.key_encryption_key: {error}")
        db.engine.dispose()
    Server(settings).run()


@cli.command("check-config")
@with_settings
def check_config(settings: Settings) -> None:
    """Say everything that is wrong with the settings, or that nothing is."""
    try:
        signer = Signer(settings)
    except SignerError as error:
        fail("The settings cannot be used:", f"  {error}")
    click.echo(f"The settings are fine. mode {settings.mode}, issuer {settings.issuer}")
    click.echo(f"Wallets know this verifier as {signer.client_id}")


@cli.command()
@with_settings
def migrate(settings: Settings) -> None:
    """Bring the database up to this version. Safe to run from several nodes at once."""
    revisions = schema.pending(settings.database_url)
    schema.upgrade(settings.database_url)
    click.echo(f"The database is up to date ({len(revisions)} revisions applied).")


@cli.command()
@with_settings
def sweep(settings: Settings) -> None:
    """Delete what has expired: redeemed codes, used assertions. Run it nightly."""
    with _migrated(settings).app_context(), writing() as session:
        click.echo(f"Deleted {forget(session, clock.now())} rows.")


# -- data -----------------------------------------------------------------------------------------------------


def _document(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        fail(f"{file}: {error}")


@cli.group()
def portals() -> None:
    """Relying portals."""


@portals.command("apply")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_settings
def portals_apply(settings: Settings, file: Path) -> None:
    """Register or update the portals of FILE (TOML): all of them or, when one is wrong, none."""
    document = _document(file)
    with _migrated(settings).app_context():
        try:
            changed = portal_admin.apply(document, now=clock.now())
        except RegistrationError as error:
            fail(f"{file} was not applied:", *(f"  {problem}" for problem in error.problems))
    click.echo(f"Changed: {', '.join(changed) or 'nothing'}")


@cli.group()
def trust() -> None:
    """Credential types and the missions that issue them."""


@trust.command("apply")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_settings
def trust_apply(settings: Settings, file: Path) -> None:
    """Add or update the credential types and missions of FILE (TOML). Takes effect without a restart."""
    document = _document(file)
    with _migrated(settings).app_context():
        try:
            changed = trust_admin.apply(document, now=clock.now())
        except TrustDocumentError as error:
            fail(f"{file} was not applied:", *(f"  {problem}" for problem in error.problems))
    click.echo(f"Changed: {', '.join(changed) or 'nothing'}")


def _keys(settings: Settings) -> Keys:
    return Keys(
        settings.secrets.key_encryption_key.reveal(),
        clock.now,
        settings.lifetimes.key_publish_s,
        settings.lifetimes.key_retire_s,
    )


@cli.group()
def keys() -> None:
    """Signing keys."""


@keys.command("list")
@with_settings
def keys_list(settings: Settings) -> None:
    """Every signing key: kid, algorithm, state and when the state changes."""
    with _migrated(settings).app_context():
        for key in _keys(settings).listing():
            times = (key.published_at, key.active_at, key.retiring_at, key.gone_at)
            shown = "  ".join("-" if moment is None else clock.iso(moment) for moment in times)
            click.echo(f"{key.kid}  {key.alg}  {key.state:<9}  {shown}")


@keys.command("rotate")
@click.argument("alg", type=click.Choice(["ES256", "RS256"]))
@click.option("--at-once", is_flag=True, help="Sign with the new key now: portals may not know it yet.")
@with_settings
def keys_rotate(settings: Settings, alg: str, *, at_once: bool) -> None:
    """Publish a new key, which becomes active after `key_publish_s`; the old one retires then."""
    with _migrated(settings).app_context():
        try:
            _keys(settings).ensure()
            kid = _keys(settings).rotate(alg, at_once=at_once)
        except (RotationPending, WrongKeyEncryptionKey) as error:
            fail(str(error))
        record_alone(Event.KEY_ROTATED, at=clock.now(), detail={"alg": alg, "kid": kid})
    click.echo(f"New {alg} key {kid}")


@keys.command("remove")
@click.argument("kid")
@with_settings
def keys_remove(settings: Settings, kid: str) -> None:
    """Take away at once a key that others may have copied; where it was active, a new one signs."""
    with _migrated(settings).app_context():
        try:
            _keys(settings).remove(kid)
        except UnknownKey:
            fail(f"There is no key {kid}.")
        record_alone(Event.KEY_REMOVED, at=clock.now(), detail={"kid": kid})
    click.echo(f"Removed {kid}")


# -- the demo -------------------------------------------------------------------------------------------------


@cli.command()
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), default=Path("var/demo"))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, help="The provider's; 0 takes a free one."
)
@click.option("--reset", is_flag=True, help="Forget what earlier runs left behind.")
@click.option("--check", is_flag=True, help="Start, sign in once, stop; ends with 1 when that fails.")
@click.option("--print-json", is_flag=True, help="Print the addresses as JSON when ready.")
def demo(directory: Path, port: int, *, reset: bool, check: bool, print_json: bool) -> None:
    """Everything on this machine: provider, wallet, issuing authority and four portals. Test data only."""
    from idp.demo import host  # noqa: PLC0415 - the one door the demo comes in by

    mode = os.environ.get("IDP_MODE", "demo")
    if mode != "demo" or "IDP_CONFIG" in os.environ:
        fail(
            "The demo runs on made-up people and keys; these settings are of a deployment "
            "(IDP_MODE or IDP_CONFIG is set). Unset them, or use `idp serve`."
        )
    if check:
        _check_demo(host)
        return
    logging.getLogger("idp").setLevel(logging.WARNING)
    began = time.monotonic()
    stage = host.Stage.prepare(directory, port=port, reset=reset)
    with stage.guests():
        settings = load(None, {}, overrides=stage.settings)
        schema.upgrade(settings.database_url)
        app = bare_app(settings)
        with app.app_context():
            trust_admin.apply(_document(stage.trust_file), now=clock.now())
            portal_admin.apply(_document(stage.portals_file), now=clock.now())
            _keys(settings).ensure()
            db.engine.dispose()

        def ready() -> None:
            stage.wait_for_guests()
            seconds = time.monotonic() - began
            click.echo(json.dumps(stage.addresses()) if print_json else stage.welcome(seconds))

        Server(settings, ready).run()


def _check_demo(host: Any) -> None:
    """One complete sign-in at each portal, by HTTP, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="sinwon-") as empty:
        shown = host.run_check(Path(empty))
    for portal, claims in shown.items():
        click.echo(f"{portal}: signed in; the portal shows {claims}")


def main() -> None:
    """The `idp` command."""
    cli()


if __name__ == "__main__":
    main()
