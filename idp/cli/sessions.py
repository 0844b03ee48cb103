"""Commands for sessions, and for what portals are told of their end."""

from __future__ import annotations

import click

from idp import clock
from idp.app import close, create_app, house_of
from idp.cli.deployment import fail, migrated, with_settings
from idp.oidc import backchannel, session_end
from idp.settings import Settings


@click.group()
def sessions() -> None:
    """Signed-in browsers."""


@sessions.command("end")
@click.option("--subject", required=True, help="The person's id, as the audit has it.")
@with_settings
def sessions_end(settings: Settings, subject: str) -> None:
    """End every session of a person and revoke every token they gave a portal, offline ones too."""
    migrated(settings)
    app = create_app(settings)
    try:
        with app.app_context():
            house = house_of(app)
            ends = session_end.SessionEnds(house.sessions, house.clock)
            n_ended = ends.everything(subject, session_end.Reason.ADMIN)
            house.store.publish(backchannel.WAKE)
    finally:
        close(app)
    click.echo(f"Ended {n_ended} sessions.")


@click.group("logout-notices")
def logout_notices() -> None:
    """What portals were told about the end of sessions."""


@logout_notices.command("list")
@click.option("--portal", help="Of this client_id only.")
@click.option("--failed", is_flag=True, help="Only those that did not arrive, given up or being retried.")
@with_settings
def logout_notices_list(settings: Settings, portal: str | None, *, failed: bool) -> None:
    """The latest notices, the newest first: id, portal, state, attempts, when it began, what was wrong last."""
    with migrated(settings).app_context():
        for entry in backchannel.ledger(client_id=portal, failed=failed):
            moment = entry.delivered_at or entry.due_at
            shown = (
                str(entry.id),
                entry.client_id,
                f"{entry.state:<9}",
                str(entry.attempts),
                clock.iso(entry.created_at),
                "-" if moment is None else clock.iso(moment),
                entry.last_problem or "-",
            )
            click.echo("  ".join(shown))


@logout_notices.command("replay")
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@click.option("--portal", help="Every notice to this client_id that did not arrive.")
@with_settings
def logout_notices_replay(settings: Settings, ids: tuple[int, ...], portal: str | None) -> None:
    """Send notices once more: these, delivered or not, or a portal's that did not arrive."""
    if not ids and portal is None:
        fail("Name one or more notices, or a portal with --portal.")
    with migrated(settings).app_context():
        n_notices = backchannel.replay(ids, client_id=portal, now=clock.now())
    click.echo(f"{n_notices} notices will be sent again.")
