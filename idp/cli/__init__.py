"""`idp`: the command line. `idp demo` runs everything on this machine; `idp serve` runs a deployment."""

from __future__ import annotations

import logging
import os

import click

from idp import __version__
from idp.cli import (
    administrators,
    audit,
    demo,
    errors,
    keys,
    portals,
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
    # Libraries speak up only when something is wrong: some log whole URLs, and ours carry codes.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("idp").setLevel(logging.INFO)
    origin.set(Origin(actor=f"command line: {os.environ.get('USER', 'unknown')}"))


for command in (
    running.serve,
    running.run_worker,
    running.check_config,
    running.migrate,
    running.sweep,
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
    demo.demo,
    errors.errors,
):
    cli.add_command(command)
for command in (trust_import.import_vical, trust_import.import_etsi):
    trust.trust.add_command(command)


def main() -> None:
    """The `idp` command."""
    cli()
