"""Commands that run a deployment or look after it."""

from __future__ import annotations

from contextlib import ExitStack

import click

from idp import clock, models, opendid, receipts, schema, worker
from idp import hsm as hsms
from idp.admin import seen
from idp.app import close, create_app, monitor_app
from idp.cli.deployment import (
    ensure_keys,
    ensure_store,
    fail,
    key_encryption_of,
    migrated,
    pending_revisions,
    with_settings,
)
from idp.models import db
from idp.oidc import backchannel, session_end
from idp.openid4vp.request import Signer, SignerError
from idp.serve import Monitor, Server, leave_no_dumps
from idp.settings import Settings


@click.command()
@with_settings
def serve(settings: Settings) -> None:
    """Serve this deployment."""
    _ask_hsm(settings)
    app = migrated(settings)
    with app.app_context():
        ensure_keys(settings)
        db.engine.dispose()
    ensure_store(settings)
    hsms.let_go()  # each process opens it for itself
    Server(settings).run()


@click.command("worker")
@with_settings
def run_worker(settings: Settings) -> None:
    """Send logout notices, end idle sessions, sweep, rotate keys, seal the audit. Run it beside `idp serve`."""
    if settings.uses_sqlite:
        fail("On SQLite the worker is a thread of `idp serve`: there is nothing to start.")
    _ask_hsm(settings)
    leave_no_dumps()
    with migrated(settings).app_context():
        db.engine.dispose()
    ensure_store(settings)
    app = create_app(settings, statement_s=0)
    with ExitStack() as stack:
        stack.callback(close, app)
        if bind := settings.worker.monitor_bind:
            stack.callback(Monitor(monitor_app(app), bind).close)
        worker.run_until_signalled(app)


def _ask_hsm(settings: Settings) -> None:
    """That it answers, before anything is begun. Raises HsmError, which `with_settings` says in words."""
    if hsm := hsms.of(settings):
        hsm.held()


@click.command("check-config")
@with_settings
def check_config(settings: Settings) -> None:
    """Say everything that is wrong with the settings, or that nothing is."""
    hsm = hsms.of(settings)
    try:
        signer = Signer(settings, hsm)
        open_did = opendid.Signer(settings, hsm) if settings.opendid.is_on else None
    except (SignerError, opendid.SignerError) as error:
        fail("The settings cannot be used:", f"  {error}")
    click.echo(f"The settings are fine. mode {settings.mode}, issuer {settings.issuer}")
    client_id = signer.client_id(settings.wallet.client_id_prefix)
    click.echo(f"Wallets know this verifier as {client_id}")
    if open_did is not None:
        click.echo(f"Open DID wallets know it as {open_did.did}, asking {settings.opendid.registry_url}")
    if hsm is not None:
        key_encryption_of(settings)
        click.echo(f"The HSM answers: {len(hsm.held())} keys in the token {settings.hsm.token}")
    match settings.mip.backend:
        case "rest":
            click.echo(f"The national app is answered with the operator's daemon at {settings.mip.daemon}")
        case "simulator":
            click.echo("The national app is simulated: no real holder can sign in with it")


@click.command()
@with_settings
def migrate(settings: Settings) -> None:
    """Bring the database up to this version. Safe to run from several nodes at once."""
    _migrate(settings, len(pending_revisions(settings)))


@click.command()
@with_settings
@click.option("--check", is_flag=True, help="Say what would be done, and do nothing.")
def upgrade(settings: Settings, check: bool) -> None:
    """Say what bringing the database up to this version means for nodes that run, then do it."""
    pending_revisions(settings)  # says what is wrong with the database, if anything is
    plan = schema.plan(settings.database_url)
    for one in plan:
        click.echo(f"{one.revision}  {one.kind:8}  {one.title}")
    kinds = {one.kind for one in plan}
    if schema.is_ahead(settings.database_url):
        click.echo("A newer release upgraded the database and only added to it: this one runs beside it.")
    elif not plan:
        click.echo("The database is up to date: nothing to do.")
    elif schema.is_new(plan):
        click.echo("The database is new: nothing runs on it.")
    elif schema.Kind.STOP in kinds:
        click.echo(
            "Stop every node and worker first: what every sign-in writes is locked while this is done."
        )
    elif schema.Kind.CONTRACT in kinds:
        click.echo(
            "Stop every node and worker of the release before first: they would not know the tables again."
        )
    else:
        click.echo("Nodes that run go on: migrate, then replace them one by one by those of this release.")
    if plan and not check:
        _migrate(settings, len(plan))


def _migrate(settings: Settings, n_revisions: int) -> None:
    try:
        schema.upgrade(settings.database_url)
    except schema.Locked as error:
        fail(f"The database was not changed: {error}.")
    click.echo(f"The database is up to date ({n_revisions} revisions applied).")


@click.command()
@with_settings
def sweep(settings: Settings) -> None:
    """Delete what has expired: redeemed codes, used assertions, old sessions. The worker does it by itself."""
    now = clock.now()
    with migrated(settings).app_context():
        sweeps = (models.sweep, backchannel.sweep, session_end.sweep, seen.sweep)
        n_old = receipts.sweep(now, settings.lifetimes.audit_days)
        click.echo(f"Deleted {n_old + sum(one(now) for one in sweeps)} rows.")
