"""The one door that the demonstration comes in by. Nothing else of the house knows it."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click
from flask import Flask

from idp import clock, fetch, schema
from idp.admin import organisations as organisation_admin
from idp.admin import people
from idp.admin import portals as portal_admin
from idp.admin import trust as trust_admin
from idp.admin import wallets as wallet_admin
from idp.bare import bare_app
from idp.cli.deployment import document_of, fail, keys_of
from idp.models import db
from idp.portals import RegistrationError
from idp.portals.rules import uri_problem
from idp.serve import Server
from idp.settings import Settings, load

if TYPE_CHECKING:
    from idp.demo import host

_INVITED_S = 7 * 86400


def _address(uri: str) -> str:
    """One that a portal may register; any other is refused before anything starts."""
    if problem := uri_problem(uri):
        raise click.BadParameter(f"{uri}: {problem}")
    return uri


def _told_at(uri: str) -> str:
    """One that can be posted to as well."""
    try:
        fetch.origin_of(_address(uri))
    except fetch.FetchRefused as refused:
        raise click.BadParameter(f"{uri}: {refused.reason}") from refused
    return uri


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
@click.option(
    "--print-json", is_flag=True, help="Print addresses, and what a test of your portal needs, as JSON."
)
@click.option("--ephemeral", is_flag=True, help="In a directory of its own, which is gone at the end.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="A further one of your own portal's.")
@click.option(
    "--post-logout-redirect-uri",
    "post_logout_redirect_uris",
    multiple=True,
    type=_address,
    metavar="URI",
    help="Where a logout may come back to your own portal.",
)
@click.option(
    "--backchannel-logout-uri",
    type=_told_at,
    metavar="URI",
    help="Where your own portal is told that a session ended; may be on this machine.",
)
@click.option(
    "--sign-in-seconds", type=click.IntRange(1, 1800), help="How long a sign-in may take.  [default: 600]"
)
@click.option("--until-stdin-closes", is_flag=True, help="Stop when whoever started this is gone.")
def demo(
    directory: Path | None,
    port: int | None,
    profile: str | None,
    *,
    reset: bool,
    check: bool,
    print_json: bool,
    ephemeral: bool,
    redirect_uris: tuple[str, ...],
    post_logout_redirect_uris: tuple[str, ...],
    backchannel_logout_uri: str | None,
    sign_in_seconds: int | None,
    until_stdin_closes: bool,
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
    if ephemeral and (directory is not None or profile is not None):
        fail("--ephemeral goes without --directory and --profile.")
    if profile is None and any(wishes.values()):
        fail(
            "--issuer, --suite, --suite-ca, --suite-mdoc-signer and --listen belong to --profile conformance."
        )
    if profile is not None and (
        redirect_uris or post_logout_redirect_uris or backchannel_logout_uri or sign_in_seconds
    ):
        fail(
            "--redirect-uri, --post-logout-redirect-uri, --backchannel-logout-uri and --sign-in-seconds are for "
            "the demonstration, without --profile."
        )
    logging.getLogger("idp").setLevel(logging.WARNING)
    began = time.monotonic()
    stop_when_told()
    with own_directory() if ephemeral else nullcontext(directory) as place:
        stage: host.Stage
        if profile == "conformance":
            stage = _conformance_stage(place, port, wishes, reset=reset)
        else:
            stage = host.Stage.prepare(
                place or Path("var/demo"),
                port=port if port is not None else 0 if ephemeral else 8080,
                reset=reset,
                redirect_uris=redirect_uris,
                post_logout_redirect_uris=post_logout_redirect_uris,
                backchannel_logout_uri=backchannel_logout_uri,
                logout_origin=fetch.origin_of(backchannel_logout_uri) if backchannel_logout_uri else None,
                sign_in_seconds=sign_in_seconds,
            )
        serve_stage(stage, began, print_json=print_json, until_stdin_closes=until_stdin_closes)


def serve_stage(
    stage: host.Stage, began: float, *, print_json: bool = False, until_stdin_closes: bool = False
) -> None:
    """Serve it until this process is told to stop. `began` is of `time.monotonic`."""
    with stage.guests():
        settings = load(None, {}, overrides=stage.settings)
        console = _apply(settings, stage)

        def ready(app: Flask) -> None:
            stage.wait_for_guests()
            seconds = time.monotonic() - began
            if print_json:
                told = stage.told(_metadata(app))
                click.echo(json.dumps({**told, **({"console": console} if console else {})}))
            else:
                click.echo(stage.welcome(seconds, console))
            if until_stdin_closes:
                # In the process that serves: the one above it forks, and a thread would not survive that.
                threading.Thread(target=_stop_with_stdin, args=(os.getppid(),), daemon=True).start()

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


def _apply(settings: Settings, stage: host.Stage) -> str | None:
    """The database, with what the seed files say. Returns where administrators come in."""
    schema.upgrade(settings.database_url)
    app = bare_app(settings)
    with app.app_context():
        trust_admin.apply(document_of(stage.trust_file), now=clock.now())
        for file in filter(None, (stage.portals_file, stage.clients_file)):
            try:
                portal_admin.apply(document_of(file), now=clock.now())
            except RegistrationError as error:
                fail("The portals cannot be registered:", *(f"  {problem}" for problem in error.problems))
        if stage.organisations_file is not None:
            organisation_admin.apply(document_of(stage.organisations_file), now=clock.now())
        wallet_admin.apply({"wallet": stage.wallets}, now=clock.now())
        for wallet in stage.wallets:
            wallet_admin.switch(wallet["id"], enabled=True, now=clock.now())
        keys_of(settings).ensure()
        console = _console(settings)
        db.engine.dispose()
    return console


def _metadata(app: Flask) -> dict[str, Any]:
    """What discovery says, asked in this process: no connection is taken yet."""
    answer = app.test_client().get("/.well-known/openid-configuration")
    return dict(answer.get_json())


@contextmanager
def own_directory() -> Iterator[Path]:
    """A directory for one run, removed with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="sinwon-") as made:
        yield Path(made) / "demo"


def stop_when_told() -> None:
    """End by an exception when told to, so that what was begun is also undone; gunicorn has its own way later."""
    signal.signal(signal.SIGTERM, _leave)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _stop_with_stdin(process: int) -> None:
    """Tell the process to stop once nobody holds the other end of our standard input."""
    while os.read(0, 4096):
        continue
    os.kill(process, signal.SIGTERM)


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
