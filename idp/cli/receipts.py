"""Commands for receipts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from idp import clock
from idp.admin.audit import LogSigner
from idp.admin.receipts import MAX_BYTES, BadReceipt, read
from idp.cli.deployment import (
    config_option,
    fail,
    key_encryption_of,
    keys_of,
    migrated,
    read_settings,
    with_settings,
)
from idp.settings import Settings

_file = click.Path(path_type=Path, dir_okay=False, exists=True)
_MAX_KEYS_BYTES = 1_000_000


@click.group()
def receipts() -> None:
    """Receipts that holders get of their sign-ins."""


@receipts.command("verify")
@click.argument("file", type=_file)
@click.option("--jwks", type=_file, help="Keys that were kept (/receipts/keys): no settings are needed then.")
@config_option
def verify(file: Path, jwks: Path | None, config: Path | None) -> None:
    """Print what a receipt says, once its signature holds; ends with 1 when it does not."""
    issuer = None
    if jwks is not None:
        keys = _keys_in(jwks)
    else:
        settings = read_settings(config)
        issuer, keys = settings.issuer, _own_keys(settings)
    try:
        claims = read(_text_of(file, MAX_BYTES), keys, issuer=issuer)
    except BadReceipt as error:
        fail(f"{file}: {error}.")
    click.echo(json.dumps(claims, ensure_ascii=False, indent=2))
    click.echo(f"Signed by {claims.get('iss')} at {clock.iso(int(claims.get('iat', 0)))}.", err=True)


@receipts.command("keys")
@with_settings
def keys(settings: Settings) -> None:
    """Print the keys of receipts, gone ones too, as a JWK Set: what /receipts/keys says."""
    click.echo(json.dumps({"keys": _own_keys(settings)}, indent=2))


def _own_keys(settings: Settings) -> list[dict[str, Any]]:
    kek = key_encryption_of(settings)
    with migrated(settings).app_context():
        return LogSigner(keys_of(settings), kek, settings.issuer).vouched_keys()


def _keys_in(file: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads(_text_of(file, _MAX_KEYS_BYTES))["keys"])
    except (ValueError, KeyError, TypeError):
        fail(f"{file} is not a JWK Set.")


def _text_of(file: Path, max_bytes: int) -> str:
    try:
        if file.stat().st_size > max_bytes:
            fail(f"{file} is too large.")
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file}: {error}")
