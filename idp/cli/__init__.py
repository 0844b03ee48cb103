"""`idp`: the command line. `idp demo` runs everything on this machine; `idp serve` runs a deployment."""

from __future__ import annotations

import os

import click

from idp import __version__, logs
from idp.cli import (
    administrators,
    audit,
    backups,
    demo,
    doctor,
    errors,
    keys,
    portals,
    receipts,
    running,
    sessions,
    trust,
    trust_import,
    wallets,
)
from idp.events import Origin, origin


@click.group()
@click.version_option(__version__, prog_name="idp")
def cli() -> None:
    """Sinwon (신원): an OpenID Connect provider for mobile credentials."""
    logs.install("text")
    origin.set(Origin(actor=f"command line: {os.environ.get('USER', 'unknown')}"))


for command in (
    running.serve,
    running.run_worker,
    running.check_config,
    doctor.doctor,
    running.migrate,
    running.upgrade,
    running.sweep,
    backups.backup,
    backups.restore,
    backups.restored,
    administrators.admin,
    administrators.organisations,
    portals.portals,
    portals.try_sign_in,
    trust.trust,
    sessions.sessions,
    sessions.logout_notices,
    wallets.wallets,
    keys.keys,
    audit.audit,
    receipts.receipts,
    demo.demo,
    errors.errors,
):
    cli.add_command(command)
for command in (trust_import.import_vical, trust_import.import_etsi):
    trust.trust.add_command(command)


def main() -> None:
    """The `idp` command."""
    cli()
