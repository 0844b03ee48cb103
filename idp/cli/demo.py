"""The one door that the demonstration comes in by. Nothing else of the house knows it."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from idp import clock, schema
from idp.admin import organisations as organisation_admin
from idp.admin import people
from idp.admin import portals as portal_admin
from idp.admin import trust as trust_admin
from idp.admin import wallets as wallet_admin
from idp.app import bare_app
from idp.cli.deployment import document_of, fail, keys_of
from idp.models import db
from idp.serve import Server
from idp.settings import Settings, load

if TYPE_CHECKING:
    from idp.demo import host

_INVITED_S = 7 * 86400


@click.command()
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="[default: var/demo]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The provider's; 0 takes a free one.  [default: 8080]"
)
@click.option(
    "--profile",
    type=click.Choice(["conformance"]),
    help="For the OpenID Foundation's conformance suite instead.",
)
@click.option("--issuer", help="Conformance: the https origin at which the suite finds the provider.")
@click.option("--suite", help="Conformance: the address of the suite's tests, alias included.")
@click.option("--suite-ca", type=click.Path(path_type=Path, exists=True), help="Conformance: its CA, PEM.")
@click.option(
    "--suite-mdoc-signer",
    type=click.Path(path_type=Path, exists=True),
    help="Conformance: the certificate that its mdocs carry, PEM.",
)
@click.option("--listen", help="Conformance: the address to listen on.  [default: 127.0.0.1]")
@click.option("--reset", is_flag=True, help="Forget what earlier runs left behind.")
@click.option(
    "--check",
    is_flag=True,
    help="Start, sign in with every card everywhere, stop; ends with 1 when that fails.",
)
@click.option("--print-json", is_flag=True, help="Print the addresses as JSON when ready.")
def demo(
    directory: Path | None,
    port: int | None,
    profile: str | None,
    *,
    reset: bool,
    check: bool,
    print_json: bool,
    **wishes: Any,
) -> None:
    """Everything on this machine: provider, wallet, issuing authority, five portals, a counter. Test data only."""
    from idp.demo import host  # noqa: PLC0415 - the one door the demo comes in by

    mode = os.environ.get("IDP_MODE", "demo")
    if mode != "demo" or "IDP_CONFIG" in os.environ:
        fail(
            "The demo runs on made-up people and keys; these settings are of a deployment "
            "(IDP_MODE or IDP_CONFIG is set). Unset them, or use `idp serve`."
        )
    if check:
        if profile is not None:
            fail("--check is for the demonstration, without --profile.")
        _check_demo(host)
        return
    logging.getLogger("idp").setLevel(logging.WARNING)
    began = time.monotonic()
    stage: host.Stage
    if profile == "conformance":
        stage = _conformance_stage(directory, port, wishes, reset=reset)
    elif any(wishes.values()):
        fail(
            "--issuer, --suite, --suite-ca, --suite-mdoc-signer and --listen belong to --profile conformance."
        )
    else:
        stage = host.Stage.prepare(
            directory or Path("var/demo"), port=8080 if port is None else port, reset=reset
        )
    with stage.guests():
        settings = load(None, {}, overrides=stage.settings)
        schema.upgrade(settings.database_url)
        app = bare_app(settings)
        with app.app_context():
            trust_admin.apply(document_of(stage.trust_file), now=clock.now())
            portal_admin.apply(document_of(stage.portals_file), now=clock.now())
            if stage.organisations_file is not None:
                organisation_admin.apply(document_of(stage.organisations_file), now=clock.now())
            wallet_admin.apply({"wallet": stage.wallets}, now=clock.now())
            for wallet in stage.wallets:
                wallet_admin.switch(wallet["id"], enabled=True, now=clock.now())
            keys_of(settings).ensure()
            console = _console(settings)
            db.engine.dispose()

        def ready() -> None:
            stage.wait_for_guests()
            seconds = time.monotonic() - began
            if print_json:
                click.echo(json.dumps({**stage.addresses(), **({"console": console} if console else {})}))
            else:
                click.echo(stage.welcome(seconds, console))

        Server(settings, ready).run()


def _console(settings: Settings) -> str | None:
    """Where administrators come in: as long as there is none, by an invitation to be the owner."""
    if not settings.console.enabled:
        return None
    if people.listed(organisation=None):
        return f"{settings.issuer}/console"
    token = people.invite(
        label="demo owner", role=people.Role.OWNER, organisation=None, ttl_s=_INVITED_S, now=clock.now()
    )
    return f"{settings.issuer}/console/invitation/{token}"


def _conformance_stage(
    directory: Path | None, port: int | None, wishes: dict[str, Any], *, reset: bool
) -> host.Stage:
    from idp.demo import conformance  # noqa: PLC0415 - see `demo`

    given = {name: wish for name, wish in {**wishes, "port": port}.items() if wish is not None}
    stage = conformance.Stage.prepare_for(
        conformance.Wishes(**given), directory or Path("var/conformance"), reset=reset
    )
    stage.trust_suite()
    return stage


def _check_demo(host: Any) -> None:
    """Complete sign-ins with every card at every portal that takes it, by HTTP, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="sinwon-") as empty:
        try:
            for line in host.run_check(Path(empty)):
                click.echo(line)
        except host.CHECK_FAILURES as failure:
            fail(str(failure))
