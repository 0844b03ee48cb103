"""Commands for auditors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from idp import clock
from idp.admin import audit as log
from idp.cli.deployment import counted, ensure_keys, fail, key_encryption_of, keys_of, migrated, with_settings
from idp.settings import Settings

_MAX_FILE_BYTES = 1_000_000


class Moment(click.ParamType[int]):
    """`2026-11-23`, or with a time as RFC 3339 has it; UTC where it does not say otherwise."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail("say it like 2026-11-23 or 2026-11-23T01:02:03Z", param, ctx)
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


class MonthType(click.ParamType[log.Month]):
    """`2026-11`."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> log.Month:
        try:
            return log.Month.parse(value)
        except ValueError:
            self.fail("say it like 2026-11", param, ctx)


@click.group()
def audit() -> None:
    """The audit: check, search, export, report."""


def _filtering(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which events."""
    for option in (
        click.option("--portal", "client_id", help="Of this client_id."),
        click.option(
            "--event", "name", type=click.Choice(log.catalogue()), metavar="NAME", help="Of this name."
        ),
        click.option("--actor", help="By this administrator, or command line user."),
        click.option("--subject", "subject_id", help="Of this person's id."),
        click.option("--login", "login_id", help="Of this sign-in."),
        click.option("--correlation", "correlation_id", help="With the reference that stands on the page."),
        click.option("--from", "since", type=Moment(), help="At this time or later (UTC)."),
        click.option("--until", type=Moment(), help="Before this time (UTC)."),
    ):
        command = option(command)
    return command


def _filter(asked: Mapping[str, Any]) -> log.Filter:
    try:
        return log.Filter(**asked)
    except log.BadSearch as error:
        fail(str(error))


@audit.command("search")
@_filtering
@click.option("--reason", help="With this reason.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--after", help="Go on where an earlier search ended.")
@with_settings
def search(settings: Settings, limit: int, after: str | None, **asked: Any) -> None:
    """Events, the newest first, one JSON object each. The audit keeps that they were read."""
    with migrated(settings).app_context():
        try:
            page = log.search(_filter(asked), after, limit, now=clock.now())
        except log.BadSearch as error:
            fail(str(error))
        for line in log.written(page.events, "jsonl"):
            click.echo(line, nl=False)
    if page.next is not None:
        click.echo(f"There are more: --after {page.next}", err=True)


@audit.command("export")
@_filtering
@click.option("--reason", required=True, help="Why; it stays in the audit. Name no person.")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@with_settings
def export(settings: Settings, reason: str, form: log.Format, **asked: Any) -> None:
    """Write events to standard output, the oldest first. The audit keeps that they were taken out, and why."""
    with migrated(settings).app_context():
        try:
            events = log.export(_filter(asked), reason=reason, now=clock.now())
        except log.BadSearch as error:
            fail(str(error))
        # CSV ends its lines itself (RFC 4180), so nothing may translate them.
        out = sys.stdout.buffer
        for line in log.written(events, form):
            out.write(line.encode("utf-8", "surrogatepass"))
        out.flush()


@audit.command("report")
@click.option("--month", required=True, type=MonthType(), help="Such as 2026-11 (UTC).")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@with_settings
def report(settings: Settings, month: log.Month, form: str) -> None:
    """Figures of a month: sign-ins by portal and outcome, refusals by reason, administration."""
    with migrated(settings).app_context():
        figures = log.report(month, now=clock.now())
    if form == "json":
        click.echo(json.dumps(figures.as_json(), ensure_ascii=False, indent=2))
    else:
        click.echo(figures.as_text())


@audit.command("verify")
@click.option(
    "--from-checkpoint",
    "kept",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A checkpoint that was kept elsewhere: the log must contain it; rows before it are not read again.",
)
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Believe these keys (a JWK Set, as `idp audit keys` prints it) instead of those in the database.",
)
@with_settings
def verify(settings: Settings, kept: Path | None, keys_file: Path | None) -> None:
    """Compute the whole log again and say what does not hold; ends with 1 when something does not."""
    verifier = _verifier(settings, keys_file)
    checkpoint = None if kept is None else _text_of(kept)
    with migrated(settings).app_context():
        check = log.Check(verifier, clock.now(), checkpoint)
        n_changed = n_unsealed = 0
        for finding in check.findings():
            n_changed, n_unsealed = n_changed + (not finding.unsealed), n_unsealed + finding.unsealed
            click.echo(finding.text)
    if check.cut_before is not None:
        click.echo(
            f"Retention took leaves 0 to {check.first - 1}: everything before {clock.iso(check.cut_before)}."
        )
    click.echo(
        f"{check.n_rows} rows and {check.n_checkpoints} checkpoints were checked; the log has {check.size} leaves."
    )
    if n_changed:
        fail(f"{counted(n_changed + n_unsealed, 'finding')}: this is not what was written.")
    if n_unsealed:
        fail(
            "What is sealed holds. Rows wait for a seal: where a worker runs, and is not behind after a peak,",
            "somebody put them in behind it.",
        )
    click.echo("All of it holds.")


def _verifier(settings: Settings, keys_file: Path | None) -> log.LogVerifier:
    kek = key_encryption_of(settings)
    if keys_file is None:
        return log.LogVerifier(kek)
    try:
        return log.LogVerifier(kek, list(json.loads(_text_of(keys_file))["keys"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        fail(f"{keys_file} is not a JWK Set of P-256 keys.")


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_size > _MAX_FILE_BYTES:
            fail(f"{file} is too large.")
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file}: {error}")


@audit.command("checkpoint")
@with_settings
def checkpoint(settings: Settings) -> None:
    """Print the newest signed checkpoint: keep it where nobody who can change the database can change it."""
    with migrated(settings).app_context():
        newest = log.latest_checkpoint()
    if newest is None:
        fail("Nothing is sealed yet.")
    click.echo(newest)


@audit.command("keys")
@with_settings
def keys(settings: Settings) -> None:
    """Print every key that signed the log, gone ones too, as a JWK Set."""
    with migrated(settings).app_context():
        click.echo(json.dumps({"keys": log.public_keys()}, indent=2))


@audit.command("seal")
@with_settings
def seal(settings: Settings) -> None:
    """Seal now what the worker would seal within a minute."""
    with migrated(settings).app_context():
        ensure_keys(settings)
        signer = log.LogSigner(keys_of(settings), key_encryption_of(settings), settings.issuer)
        try:
            n_sealed = log.Sealing(signer, clock.now).seal(3600)
        except log.LogDamaged as error:
            fail(f"Nothing was sealed: {error}. `idp audit verify` says more.")
    click.echo(f"Sealed {counted(n_sealed, 'row')}.")
