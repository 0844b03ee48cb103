"""Commands for the people who run this deployment, and for organisations: the way in that needs no console."""

from __future__ import annotations

from pathlib import Path

import click

from idp import clock
from idp.admin import organisations as organisation_admin
from idp.admin import people, tokens
from idp.admin.people import InvitationError, Role
from idp.cli.deployment import document_of, fail, migrated, with_settings
from idp.settings import Settings
from idp.views import api


@click.group()
def admin() -> None:
    """Administrators of the console."""


@admin.command("invite")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--label", required=True, help="By what they are known: a job or a staff number, not a name.")
@click.option("--organisation", help="Whose portals a member sees.")
@click.option("--hours", type=click.IntRange(1, 720), default=24, show_default=True, help="It is good for.")
@with_settings
def invite(settings: Settings, role: str, label: str, organisation: str | None, hours: int) -> None:
    """Print a link by which one person becomes an administrator. It is shown once and works once."""
    if not settings.console.enabled:
        fail("console.enabled is false: there is no console to be invited to.")
    with migrated(settings).app_context():
        try:
            token = people.invite(
                label=label,
                role=Role(role),
                organisation=organisation,
                ttl_s=hours * 3600,
                now=clock.now(),
            )
        except InvitationError as error:
            fail(f"No invitation was made: {error}.")
    click.echo(f"{settings.issuer}/console/invitation/{token}")


@admin.command("list")
@with_settings
def list_people(settings: Settings) -> None:
    """Who they are, one a line: id, role, organisation, label."""
    with migrated(settings).app_context():
        for one in people.listed(organisation=None):
            state = "  (shut out)" if one.disabled_at is not None else ""
            click.echo(f"{one.id}  {one.role.value:<8}  {one.organisation or '-'}  {one.label}{state}")


@admin.command("disable")
@click.argument("admin_id")
@with_settings
def disable(settings: Settings, admin_id: str) -> None:
    """Shut an administrator out at once."""
    with migrated(settings).app_context():
        try:
            people.disable(admin_id, now=clock.now())
        except people.UnknownAdministrator:
            fail(f"There is no administrator {admin_id}.")
    click.echo(f"Shut out {admin_id}")


@admin.command("openapi")
def print_openapi() -> None:
    """Print the description of the admin API (OpenAPI 3.1)."""
    click.echo(api.description(), nl=False)


@admin.group("token")
def token() -> None:
    """Tokens of the admin API."""


@token.command("create")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--label", required=True, help="By what it is known: the program that uses it.")
@click.option("--organisation", help="Whose portals the token of a member sees.")
@click.option("--expires-days", type=click.IntRange(1, tokens.MAX_DAYS), default=90, show_default=True)
@with_settings
def token_create(
    settings: Settings, role: str, label: str, organisation: str | None, expires_days: int
) -> None:
    """Print a token by which a program uses the admin API. It is shown once; its id goes to the error output."""
    with migrated(settings).app_context():
        try:
            made, text = tokens.create(
                label=label,
                role=Role(role),
                organisation=organisation,
                ttl_s=expires_days * 86_400,
                now=clock.now(),
            )
        except tokens.TokenError as error:
            fail(f"No token was made: {error}.")
    click.echo(f"{made.id}, valid until {clock.iso(made.expires_at)}", err=True)
    click.echo(text)


@token.command("list")
@with_settings
def token_list(settings: Settings) -> None:
    """Every token, one a line: id, role, organisation, state, until when, used last, label."""
    now = clock.now()
    with migrated(settings).app_context():
        for one in tokens.listed():
            used = clock.iso(one.last_used_at) if one.last_used_at is not None else "-"
            shown = (
                one.id,
                f"{one.role.value:<8}",
                one.organisation or "-",
                f"{one.state(now):<7}",
                clock.iso(one.expires_at),
                used,
                one.label,
            )
            click.echo("  ".join(shown))


@token.command("revoke")
@click.argument("token_id")
@with_settings
def token_revoke(settings: Settings, token_id: str) -> None:
    """Make a token worthless at once."""
    with migrated(settings).app_context():
        try:
            tokens.revoke(token_id, now=clock.now())
        except tokens.UnknownToken:
            fail(f"There is no token {token_id}.")
    click.echo(f"Revoked {token_id}")


@click.group()
def organisations() -> None:
    """Organisations, who answer for portals."""


@organisations.command("apply")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_settings
def organisations_apply(settings: Settings, file: Path) -> None:
    """Add or change the organisations of FILE (TOML): all of them or, when one is wrong, none."""
    document = document_of(file)
    with migrated(settings).app_context():
        try:
            changed = organisation_admin.apply(document, now=clock.now())
        except organisation_admin.OrganisationError as error:
            fail(f"{file} was not applied:", *(f"  {problem}" for problem in error.problems))
    click.echo(f"Changed: {', '.join(changed) or 'nothing'}")


@organisations.command("list")
@with_settings
def organisations_list(settings: Settings) -> None:
    """Every organisation: id, how many portals, name."""
    with migrated(settings).app_context():
        for organisation, n_portals in organisation_admin.listed():
            click.echo(f"{organisation.id}  {n_portals} portals  {organisation.name['en']}")


@organisations.command("give")
@click.argument("client_id")
@click.argument("organisation_id")
@click.option("--reason", required=True)
@with_settings
def organisations_give(settings: Settings, client_id: str, organisation_id: str, reason: str) -> None:
    """Give a portal to an organisation; "-" takes it from whoever has it."""
    to = None if organisation_id == "-" else organisation_id
    with migrated(settings).app_context():
        try:
            organisation_admin.transfer(client_id, to, reason=reason, now=clock.now())
        except organisation_admin.OrganisationError as error:
            fail(*error.problems)
    click.echo(f"{client_id} belongs to {to or 'nobody'}")
