"""Commands for the wallets that holders may use."""

from __future__ import annotations

import json
from pathlib import Path

import click

from idp import clock
from idp.admin import wallets as wallet_admin
from idp.cli.deployment import document_of, fail, migrated, with_settings
from idp.presentation.wallets import ProfileError, document
from idp.settings import Settings


@click.group()
def wallets() -> None:
    """Wallets, and what each does differently."""


@wallets.command("apply")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_settings
def wallets_apply(settings: Settings, file: Path) -> None:
    """Add or update the wallet profiles of FILE (TOML). One that is new or changed is off until it is enabled."""
    given = document_of(file)
    with migrated(settings).app_context():
        try:
            changed = wallet_admin.apply(given, now=clock.now())
        except ProfileError as error:
            fail(f"{file} was not applied:", *(f"  {problem}" for problem in error.problems))
    click.echo(f"Changed: {', '.join(changed) or 'nothing'}")


@wallets.command("list")
@with_settings
def wallets_list(settings: Settings) -> None:
    """Every profile: its id and version, whether it is on, its protocol, its name."""
    with migrated(settings).app_context():
        known = wallet_admin.listed()
    for profile, enabled in known:
        state = "on " if enabled else "off"
        click.echo(f"{profile.id} v{profile.version}  {state}  {profile.protocol}  {profile.name['en']}")
    if not any(enabled for _, enabled in known):
        click.echo("None is on: holders are offered the wallet of [wallet] in the settings.")


@wallets.command("show")
@click.argument("wallet_id", metavar="ID")
@with_settings
def wallets_show(settings: Settings, wallet_id: str) -> None:
    """One profile, whole, as JSON."""
    with migrated(settings).app_context():
        try:
            profile = wallet_admin.find(wallet_id)
        except wallet_admin.UnknownWallet:
            fail(f"There is no wallet {wallet_id}.")
    click.echo(json.dumps(document(profile), ensure_ascii=False, indent=2))


@wallets.command("disable")
@click.argument("wallet_id", metavar="ID")
@with_settings
def wallets_disable(settings: Settings, wallet_id: str) -> None:
    """Offer this wallet no longer. Sign-ins that have begun with it end without an answer."""
    with migrated(settings).app_context():
        try:
            wallet_admin.switch(wallet_id, enabled=False, now=clock.now())
        except wallet_admin.UnknownWallet:
            fail(f"There is no wallet {wallet_id}.")
    click.echo(f"Disabled {wallet_id}")
