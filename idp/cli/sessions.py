"""Commands for sessions, and for what portals are told of their end."""

from __future__ import annotations

import click

from idp import clock, portals
from idp.admin import live
from idp.app import close, create_app, house_of
from idp.cli.deployment import counted, fail, migrated, with_settings
from idp.oidc import backchannel, session_end
from idp.settings import Settings

_END_MAX_S = 3600


def _fail_if_unknown(client_id: str | None) -> None:
    """Of a portal that is registered no more there may still be sessions and notices: asked where none were found."""
    if client_id is not None and portals.find(client_id) is None:
        fail(f"There is no portal {client_id}.")


@click.group()
def sessions() -> None:
    """Signed-in browsers."""


@sessions.command("list")
@click.option("--sid", help="The session that a portal knows by this `sid`.")
@click.option("--login", help="The sessions of whoever signed in with this login id.")
@click.option("--correlation", help="The same, by the reference that a page showed.")
@click.option("--subject", help="The sessions of this person's id, as the audit has it.")
@with_settings
def sessions_list(settings: Settings, **by: str | None) -> None:
    """How many sessions live; with an option the sessions: id, person, since when, at which portals, state."""
    given: list[tuple[live.By, str]] = [(way, by[way] or "") for way in live.WAYS if by.get(way)]
    if len(given) > 1:
        fail("One of --sid, --login, --correlation and --subject.")
    with migrated(settings).app_context():
        if not given:
            click.echo(f"{counted(live.count(), 'session')} live.")
            return
        for one in live.find(given[0][1], given[0][0]):
            state = "live" if one.ended_at is None else f"ended {clock.iso(one.ended_at)} ({one.reason})"
            shown = (one.id, one.subject_id, clock.iso(one.started_at), ", ".join(one.portals) or "-", state)
            click.echo("  ".join(shown))


@sessions.command("end")
@click.option("--subject", help="Every session of this person's id, as the audit has it.")
@click.option("--session", "session_id", help="This session, by its id (see `list`).")
@click.option("--portal", help="Every session that this client_id was used in.")
@click.option("--reason", help="Why, for the audit.")
@with_settings
def sessions_end(
    settings: Settings, subject: str | None, session_id: str | None, portal: str | None, reason: str | None
) -> None:
    """End sessions: a person's, with every token they gave a portal, offline ones too; one; or those at a portal."""
    if sum(one is not None for one in (subject, session_id, portal)) != 1:
        fail("One of --subject, --session and --portal.")
    migrated(settings)
    app = create_app(settings)
    n_left = 0
    try:
        with app.app_context():
            house = house_of(app)
            ends = session_end.SessionEnds(house.sessions, house.clock)
            if subject is not None:
                n_ended = ends.everything(subject, session_end.Reason.ADMIN, why=reason)
            elif session_id is not None:
                n_ended = int(ends.one(session_id, session_end.Reason.ADMIN, why=reason))
            else:
                n_ended, n_left = ends.at_portal(
                    portal or "", session_end.Reason.ADMIN, why=reason, max_s=_END_MAX_S
                )
            house.store.publish(backchannel.WAKE)
            if not n_ended and not n_left:
                _fail_if_unknown(portal)
    finally:
        close(app)
    click.echo(f"Ended {counted(n_ended, 'session')}.")
    if n_left:
        fail(f"{counted(n_left, 'session')} left: run it again.")


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
        found = backchannel.ledger(client_id=portal, failed=failed)
        if not found:
            _fail_if_unknown(portal)
        for entry in found:
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
@click.option("--reason", help="Why, for the audit.")
@with_settings
def logout_notices_replay(
    settings: Settings, ids: tuple[int, ...], portal: str | None, reason: str | None
) -> None:
    """Send notices once more: these, delivered or not, or a portal's that did not arrive."""
    if not ids and portal is None:
        fail("Name one or more notices, or a portal with --portal.")
    with migrated(settings).app_context():
        n_notices = backchannel.replay(ids, client_id=portal, now=clock.now(), reason=reason)
        if not n_notices:
            _fail_if_unknown(portal)
    click.echo(f"{counted(n_notices, 'notice')} will be sent again.")
    if n_notices < len(set(ids)):
        fail("Not every id is one of `idp logout-notices list`.")
