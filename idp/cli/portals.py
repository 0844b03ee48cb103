"""Commands for the portals that are registered."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import quote

import click

from idp import clock
from idp.admin import portals as portal_admin
from idp.admin import trials
from idp.cli.deployment import document_of, ensure_keys, fail, migrated, with_settings
from idp.oidc import registration
from idp.portals import RegistrationError
from idp.settings import Settings

_MAX_NOTE_CHARS = 255


@click.group()
def portals() -> None:
    """Relying portals."""


@portals.command("apply")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_settings
def portals_apply(settings: Settings, file: Path) -> None:
    """Register or update the portals of FILE (TOML): all of them or, when one is wrong, none."""
    document = document_of(file)
    with migrated(settings).app_context():
        try:
            changed = portal_admin.apply(document, now=clock.now())
        except RegistrationError as error:
            fail(f"{file} was not applied:", *(f"  {problem}" for problem in error.problems))
        ensure_keys(settings)
    click.echo(f"Changed: {', '.join(changed) or 'nothing'}")


@portals.command("invite")
@click.option(
    "--expires", type=click.IntRange(1, 365), default=7, show_default=True, help="Days it is good for."
)
@click.option(
    "--uses", type=click.IntRange(1, 1000), default=1, show_default=True, help="Portals it lets in."
)
@click.option("--profile", type=click.Choice(["standard", "fapi2"]), default="standard", show_default=True)
@click.option("--note", default="", help="For whom it is; kept beside its digest.")
@with_settings
def portals_invite(
    settings: Settings, expires: int, uses: int, profile: Literal["standard", "fapi2"], note: str
) -> None:
    """Make an initial access token, by which a portal registers itself at /register. It is shown once."""
    if len(note) > _MAX_NOTE_CHARS or not note.isprintable():
        fail(f"--note: at most {_MAX_NOTE_CHARS} printable characters.")
    with migrated(settings).app_context():
        token = registration.invite(
            profile=profile, uses=uses, ttl_s=expires * 86400, note=note, now=clock.now()
        )
    click.echo(token)


@portals.command("remove")
@click.argument("client_id")
@with_settings
def portals_remove(settings: Settings, client_id: str) -> None:
    """Take a portal out, with the tokens it holds and the consents it was given."""
    with migrated(settings).app_context():
        try:
            registration.remove(client_id, now=clock.now())
        except registration.UnknownPortal:
            fail(f"There is no portal {client_id}.")
    click.echo(f"Removed {client_id}")


@click.command("try")
@click.argument("client_id")
@with_settings
def try_sign_in(settings: Settings, client_id: str) -> None:
    """Print where an administrator tries a sign-in at a portal, and sees the tokens and every check."""
    if not settings.console.enabled:
        fail("console.enabled is false: there is no console to try it in.")
    with migrated(settings).app_context():
        if trials.registered(client_id) is None:
            fail(f"There is no portal {client_id}.")
    click.echo(f"{settings.issuer}/console/portals/{quote(client_id, safe='')}/try")


def _switch(settings: Settings, client_id: str, *, enabled: bool) -> None:
    with migrated(settings).app_context():
        try:
            registration.switch(client_id, enabled=enabled, now=clock.now())
        except registration.UnknownPortal:
            fail(f"There is no portal {client_id}.")
    click.echo(f"{'Enabled' if enabled else 'Disabled'} {client_id}")


@portals.command("disable")
@click.argument("client_id")
@with_settings
def portals_disable(settings: Settings, client_id: str) -> None:
    """Switch a portal off: nobody can sign in to it until it is enabled again."""
    _switch(settings, client_id, enabled=False)


@portals.command("enable")
@click.argument("client_id")
@with_settings
def portals_enable(settings: Settings, client_id: str) -> None:
    """Switch a portal on again."""
    _switch(settings, client_id, enabled=True)
