"""Commands for the wallets that holders may use."""

from __future__ import annotations

import json
from pathlib import Path

import click

from idp import clock
from idp.admin import wallets as wallet_admin
from idp.cli.deployment import document_of, fail, migrated, with_settings
from idp.presentation.wallets import ProfileError, WalletProfile, document
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
        profile = _find(wallet_id)
    click.echo(json.dumps(document(profile), ensure_ascii=False, indent=2))


def _find(wallet_id: str) -> WalletProfile:
    try:
        return wallet_admin.find(wallet_id)
    except wallet_admin.UnknownWallet:
        fail(f"There is no wallet {wallet_id}.")


def _tried(settings: Settings, profile: WalletProfile) -> None:
    """Say what holds, and write down that it does; ends with 1 when something does not."""
    from idp.cli import wallet_trial  # noqa: PLC0415 - the demonstration's wallet comes with it

    try:
        for line in wallet_trial.run(settings, profile):
            click.echo(f"ok  {line}")
    except wallet_trial.NotTried as never:
        fail(f"{profile.id} was not tried: {never}. `idp wallets enable {profile.id} --untested` offers it.")
    except wallet_trial.TrialFailed as failure:
        fail(f"no  {failure}", f"{profile.id} does not work with these settings.")
    wallet_admin.tested(profile, now=clock.now())


@wallets.command("test")
@click.argument("wallet_id", metavar="ID")
@with_settings
def wallets_test(settings: Settings, wallet_id: str) -> None:
    """Try a profile: the built-in wallet, bent to it, answers a request made with these settings. Sends nothing.

    That it works is written down, and the console then offers to switch it on.
    """
    with migrated(settings).app_context():
        profile = _find(wallet_id)
        _tried(settings, profile)


@wallets.command("enable")
@click.argument("wallet_id", metavar="ID")
@click.option(
    "--untested", is_flag=True, help="Without trying it first: for a protocol that has no built-in wallet."
)
@with_settings
def wallets_enable(settings: Settings, wallet_id: str, *, untested: bool) -> None:
    """Offer this wallet, once it was tried (see `test`)."""
    with migrated(settings).app_context():
        profile = _find(wallet_id)
        if not untested:
            _tried(settings, profile)
        wallet_admin.switch(wallet_id, enabled=True, now=clock.now())
    click.echo(f"Enabled {wallet_id}")


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
