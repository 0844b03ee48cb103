"""Commands for whom we believe: credential types and the missions that issue them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from idp import clock
from idp import hsm as hsms
from idp.admin import expiry, seen, trust_record
from idp.admin import trust as trust_admin
from idp.admin.trust import Document, Entry, Kind, Preview, UnknownEntry
from idp.cli.deployment import document_of, fail, migrated, with_settings
from idp.credentials.trust import TrustDocumentError
from idp.openid4vp.request import Signer, SignerError
from idp.settings import Settings

_DAY_S = 86_400
_kind = click.option(
    "--kind", type=click.Choice(["credential_type", "mission"]), help="Where both have this id."
)
DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Say what would change and what would fail; change nothing."
)


def reason_option(*, required: bool) -> Callable[..., Any]:
    return click.option(
        "--reason", required=required, help="Why, for the history: a decision, a letter, a ticket."
    )


@click.group()
def trust() -> None:
    """Credential types and the missions that issue them."""


# -- changing --------------------------------------------------------------------------------------------------


@trust.command("apply")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@reason_option(required=False)
@DRY_RUN
@with_settings
def trust_apply(settings: Settings, file: Path, reason: str | None, *, dry_run: bool) -> None:
    """Add or update the credential types and missions of FILE (TOML). Takes effect without a restart."""
    document = document_of(file)
    with migrated(settings).app_context():
        carry_out(document, (), reason=reason, dry_run=dry_run, what=f"{file} was not applied")


@trust.command("remove")
@click.argument("entry_id", metavar="ID")
@_kind
@reason_option(required=True)
@DRY_RUN
@with_settings
def trust_remove(settings: Settings, entry_id: str, kind: Kind | None, reason: str, *, dry_run: bool) -> None:
    """Take a mission, or a credential type that no mission issues, out. Takes effect without a restart."""
    with migrated(settings).app_context():
        entry = _found(entry_id, kind)
        carry_out({}, (entry,), reason=reason, dry_run=dry_run, what=f"{entry_id} was not removed")


def carry_out(
    document: Document, removing: Sequence[Entry], *, reason: str | None, dry_run: bool, what: str
) -> None:
    """Apply, or say what that would do; ends with 1 and every problem when it cannot be done."""
    if reason is not None and not (0 < len(reason) <= trust_admin.MAX_REASON_CHARS and reason.isprintable()):
        fail(f"--reason: 1 to {trust_admin.MAX_REASON_CHARS} printable characters.")
    now = clock.now()
    try:
        if dry_run:
            _say(trust_admin.preview(document, now=now, removing=removing))
            return
        changed = trust_admin.apply(document, now=now, removing=removing, reason=reason)
    except TrustDocumentError as error:
        fail(f"{what}:", *(f"  {problem}" for problem in error.problems))
    click.echo(f"Changed: {', '.join(changed) or 'nothing'}")


def _say(preview: Preview) -> None:
    for change in preview.changes:
        members = f": {', '.join(change.members)}" if change.verb == "changed" else ""
        click.echo(f"{change.entry.kind} {change.entry.id} would be {change.verb}{members}")
    if not preview.changes:
        click.echo("Nothing would change.")
    for failing in preview.failing:
        chain = failing.seen
        click.echo(
            f"WOULD FAIL  {failing.reason.value}  {chain.credential_type} ({chain.format}) of {chain.mission}, "
            f"about {chain.n_that_day} times on {clock.iso(chain.day)[:10]}, sha256 {chain.digest}"
        )
    click.echo(
        f"Of {preview.n_tried} chains that were accepted within the last day {len(preview.failing)} would fail."
    )
    if any("issuer_dids" in change.members for change in preview.changes):
        click.echo("Credentials under decentralised identifiers have no chain: they were not tried.")


def _found(entry_id: str, kind: Kind | None) -> Entry:
    try:
        return trust_admin.find(entry_id, kind)
    except UnknownEntry as error:
        if error.kinds:
            fail(f"{entry_id} is a {' and a '.join(error.kinds)}: say which with --kind.")
        fail(f"There is no {kind or 'credential_type or mission'} {entry_id}.")


# -- reading ---------------------------------------------------------------------------------------------------


@trust.command("list")
@with_settings
def trust_list(settings: Settings) -> None:
    """Every entry: its kind, id, version, when it last changed, from or until when a mission issues, its name."""
    with migrated(settings).app_context():
        for line in trust_record.listed(clock.now()):
            version, changed = f"v{line.version}", clock.iso(line.changed_at)
            shown = (
                f"{line.entry.kind:<15}",
                f"{line.entry.id:<20}",
                f"{version:<4}",
                changed,
                line.state,
                line.name,
            )
            click.echo("  ".join(part for part in shown if part))


@trust.command("show")
@click.argument("entry_id", metavar="ID")
@_kind
@with_settings
def trust_show(settings: Settings, entry_id: str, kind: Kind | None) -> None:
    """One entry, as a file that `apply` takes."""
    with migrated(settings).app_context():
        entry = _found(entry_id, kind)
        line = next(line for line in trust_record.listed(clock.now()) if line.entry == entry)
        click.echo(trust_record.as_toml([(entry.kind, line.document)]), nl=False)


@trust.command("export")
@with_settings
def trust_export(settings: Settings) -> None:
    """The whole registry, as a file that `apply` takes."""
    with migrated(settings).app_context():
        lines = trust_record.listed(clock.now())
        click.echo(trust_record.as_toml([(line.entry.kind, line.document) for line in lines]), nl=False)


@trust.command("history")
@click.argument("entry_id", metavar="[ID]", required=False)
@click.option("--documents", is_flag=True, help="With what the entry was and became, as JSON.")
@with_settings
def trust_history(settings: Settings, entry_id: str | None, *, documents: bool) -> None:
    """The latest changes, the newest first: when, which entry and version, what, by whom and why."""
    with migrated(settings).app_context():
        versions = trust_record.history(entry_id)
    if entry_id is not None and not versions:
        fail(f"Nothing is known of {entry_id}.")
    for one in versions:
        change = one.change
        what = change.verb + (f" ({', '.join(change.members)})" if change.verb == "changed" else "")
        shown = (
            clock.iso(one.at),
            change.entry.kind,
            change.entry.id,
            f"v{one.version}",
            what,
            one.actor or "-",
            one.reason or "-",
        )
        click.echo("  ".join(shown))
        if documents:
            for label, document in (("before", change.before), ("after", change.after)):
                click.echo(f"  {label} {json.dumps(document, ensure_ascii=False, sort_keys=True)}")


@trust.command("expiring")
@click.option(
    "--days", type=click.IntRange(0, 3650), default=90, show_default=True, help="How far to look ahead."
)
@click.option("--exit-code", is_flag=True, help="End with 1 where there is one: for a timer with an alarm.")
@with_settings
def trust_expiring(settings: Settings, days: int, *, exit_code: bool) -> None:
    """Certificates that end soon: of missions, of who signs for them, and ours for wallets."""
    now = clock.now()
    try:
        own = Signer(settings, hsms.of(settings)).chain
    except SignerError as error:
        fail(f"{error}")
    with migrated(settings).app_context():
        snapshot = trust_admin.TrustRegistry(clock.now).snapshot()
        chains = seen.lately(now, seen.KEPT_S)
        found = expiry.endings(snapshot, chains, own, now=now, within_s=days * _DAY_S)
    for ending in found:
        click.echo(f"{expiry.in_days(ending, now)}  {ending.what}  {ending.subject}  sha256 {ending.sha256}")
    click.echo(f"Certificates that end within {days} days: {len(found)}.")
    if found and exit_code:
        raise SystemExit(1)
