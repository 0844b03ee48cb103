"""`idp`: the command line. `idp demo` runs everything on this machine; `idp serve` runs a deployment."""

from __future__ import annotations

import getpass
import os
from importlib import import_module

import click

from idp import __version__

# Where each command is: a command's module is imported when it is called, since all of them together take a second.
_COMMANDS = {
    "serve": "running:serve",
    "worker": "running:run_worker",
    "check-config": "running:check_config",
    "doctor": "doctor:doctor",
    "migrate": "running:migrate",
    "upgrade": "running:upgrade",
    "sweep": "running:sweep",
    "backup": "backups:backup",
    "restore": "backups:restore",
    "restored": "backups:restored",
    "admin": "administrators:admin",
    "organisations": "administrators:organisations",
    "portals": "portals:portals",
    "try": "portals:try_sign_in",
    "trust": "trust_import:trust",  # the group of `trust`, with its imports added
    "sessions": "sessions:sessions",
    "logout-notices": "sessions:logout_notices",
    "wallets": "wallets:wallets",
    "keys": "keys:keys",
    "audit": "audit:audit",
    "receipts": "receipts:receipts",
    "demo": "demo:demo",
    "errors": "errors:errors",
}


class _Commands(click.Group):
    """The commands of `_COMMANDS`, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"idp.cli.{module}"), name)
        return command


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="idp")
def cli() -> None:
    """Sinwon (신원): an OpenID Connect provider for mobile credentials."""
    # Imported late, since `--help` and `--version` do without the database's library.
    from idp import logs  # noqa: PLC0415
    from idp.events import Origin, origin  # noqa: PLC0415

    logs.install("text")
    origin.set(Origin(actor=f"command line: {_user()}"))


def _user() -> str:
    """Who runs this: timers and containers may name nobody in the environment."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without an account; OSError from Python 3.13 on
        return f"uid {os.getuid()}"


def main() -> None:
    """The `idp` command."""
    cli()
