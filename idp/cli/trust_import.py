"""Commands that take missions out of lists of authorities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Any

import click
from cryptography import x509

from idp import clock
from idp.admin import imports, trust_record
from idp.admin.imports import Imported, Rule
from idp.admin.trust import TrustRegistry
from idp.cli.deployment import fail, migrated, with_settings
from idp.cli.trust import DRY_RUN, carry_out, reason_option, trust
from idp.credentials import lote, vical
from idp.credentials.lists import AuthorityList, ListRefused
from idp.settings import Settings

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_OPTIONS = (
    click.option("--type", "type_id", required=True, help="The credential type that the missions issue."),
    click.option(
        "--signer-ca",
        type=_FILE,
        required=True,
        help="PEM: who may sign the list, certificates of signers or of authorities above them.",
    ),
    click.option(
        "--by", type=click.Choice(imports.BY), default="country", show_default=True, help="What makes a code."
    ),
    click.option("--prefix", default="", help="Stands before each code."),
    click.option("--mission", default="", help="One mission of this code for the whole list."),
    click.option("--country", default="", help="Of every mission, in place of what the list says."),
    click.option("--active-from", default="", help="YYYY-MM-DD, for missions that are new. Default: today."),
    click.option("--remove-missing", is_flag=True, help="Remove missions that the list has no more."),
    click.option("--leave-out-unusable", is_flag=True, help="Go on without entries that cannot be used."),
    click.option("--even-if-overdue", is_flag=True, help="Take a list whose successor should be out."),
    reason_option(required=False),
    DRY_RUN,
)


def _import_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of both commands; those that are the rule come as one."""

    @wraps(command)
    def wrapped(settings: Settings, **given: Any) -> Any:
        rule = Rule(**{name: given.pop(name) for name in Rule.__dataclass_fields__ if name in given})
        try:
            _ = date.fromisoformat(rule.active_from) if rule.active_from else None
        except ValueError:
            fail("--active-from: not a day (YYYY-MM-DD).")
        return command(settings, rule=rule, **given)

    decorated: Callable[..., Any] = wrapped
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


@trust.command("import-vical")
@click.argument("file", type=_FILE)
@with_settings
@_import_options
def import_vical(settings: Settings, file: Path, **given: Any) -> None:
    """Missions out of FILE, a VICAL (ISO/IEC 18013-5, Annex C). Takes effect without a restart."""

    def read(signers: Sequence[x509.Certificate], now: int) -> AuthorityList:
        return vical.read(file.read_bytes(), signers=signers, now=now)

    _take_in(settings, file, read, imports.from_vical, **given)


@trust.command("import-etsi")
@click.argument("file", type=_FILE)
@click.option("--service-type", default="", help="URI of the service that issues, where a list has several.")
@with_settings
@_import_options
def import_etsi(settings: Settings, file: Path, **given: Any) -> None:
    """Missions out of FILE, a list of trusted entities (ETSI TS 119 602, JSON). Takes effect without a restart."""

    def read(signers: Sequence[x509.Certificate], now: int) -> AuthorityList:
        return lote.read(file.read_text("utf-8", errors="replace"), signers=signers, now=now)

    _take_in(settings, file, read, imports.from_lote, **given)


def _take_in(
    settings: Settings,
    file: Path,
    read: Callable[[Sequence[x509.Certificate], int], AuthorityList],
    make: Callable[..., Imported],
    *,
    rule: Rule,
    type_id: str,
    signer_ca: Path,
    remove_missing: bool,
    reason: str | None,
    dry_run: bool,
) -> None:
    now = clock.now()
    with migrated(settings).app_context():
        kind = TrustRegistry(clock.now).snapshot().types.get(type_id)
        if kind is None:
            fail(f"--type: there is no credential type {type_id}.")
        missions = {
            line.entry.id: line.document for line in trust_record.listed(now) if line.entry.kind == "mission"
        }
        try:
            listed = read(_certificates(signer_ca), now)
            imported = make(listed, kind, missions, rule, now=now)
        except ListRefused as error:
            fail(f"{file} was not imported:", *(f"  {problem}" for problem in error.problems))
        for note in imported.notes:
            click.echo(f"Left out: {note}")
        removing = imported.missing if remove_missing else ()
        for entry in imported.missing if not remove_missing else ():
            click.echo(f"Not in the list any more: {entry.id} (--remove-missing removes it)")
        carry_out(
            imported.document,
            removing,
            reason=reason or imported.reason,
            dry_run=dry_run,
            what=f"{file} was not applied",
        )


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        fail(f"--signer-ca: {file}: not PEM certificates ({type(error).__name__})")
