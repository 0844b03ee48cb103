"""Commands for signing keys."""

from __future__ import annotations

from collections import Counter

import click

from idp import clock
from idp.admin.rewrapping import Rewrapping, needed_until
from idp.cli import hsm
from idp.cli.deployment import fail, key_encryption_of, keys_of, migrated, with_settings
from idp.events import Event, record_alone
from idp.keys import SIGNING_ALGORITHMS, RotationPending, UnknownKey, WrongKeyEncryptionKey
from idp.oidc import key_use
from idp.settings import Settings

_reason = click.option("--reason", help="Why, for the audit.")


@click.group()
def keys() -> None:
    """Signing keys."""


@keys.command("list")
@click.option("--portals", "by_name", is_flag=True, help="Name the portals that do not know the next key.")
@with_settings
def keys_list(settings: Settings, *, by_name: bool) -> None:
    """Every signing key: kid, algorithm, state, when that changes, where the private half is; of the next one, how
    many portals know it."""
    with migrated(settings).app_context():
        for key in keys_of(settings).listing():
            times = (key.published_at, key.active_at, key.retiring_at, key.gone_at)
            shown = "  ".join("-" if moment is None else clock.iso(moment) for moment in times)
            line = f"{key.kid}  {key.alg}  {key.state:<9}  {shown}  {key.place or '-'}"
            if key.state == "published":
                fetched, missing = key_use.waiting_for(key.kid)
                line += f"  fetched by {len(fetched)} of {len(fetched) + len(missing)} portals"
                if by_name and missing:
                    line += f", not by {', '.join(missing)}"
            click.echo(line)


@keys.command("rotate")
@click.argument("alg", type=click.Choice(SIGNING_ALGORITHMS))
@click.option("--at-once", is_flag=True, help="Sign with the new key now: portals may not know it yet.")
@_reason
@with_settings
def keys_rotate(settings: Settings, alg: str, reason: str | None, *, at_once: bool) -> None:
    """Publish a new key, which becomes active after `key_publish_s`; the old one retires then."""
    with migrated(settings).app_context():
        try:
            keys_of(settings).ensure([alg])
            kid = keys_of(settings).rotate(alg, at_once=at_once)
        except (RotationPending, WrongKeyEncryptionKey) as error:
            fail(str(error))
        detail = {"alg": alg, "kid": kid, **({"why": reason} if reason else {})}
        record_alone(Event.KEY_ROTATED, at=clock.now(), detail=detail)
    click.echo(f"New {alg} key {kid}")


@keys.command("remove")
@click.argument("kid")
@_reason
@with_settings
def keys_remove(settings: Settings, kid: str, reason: str | None) -> None:
    """Take away at once a key that others may have copied; where it was active, a new one signs."""
    with migrated(settings).app_context():
        try:
            keys_of(settings).remove(kid)
        except UnknownKey:
            fail(f"There is no key {kid}.")
        detail = {"kid": kid, **({"why": reason} if reason else {})}
        record_alone(Event.KEY_REMOVED, at=clock.now(), detail=detail)
    click.echo(f"Removed {kid}")


@keys.command("rewrap")
@with_settings
def keys_rewrap(settings: Settings) -> None:
    """Seal everything under the next key-encryption key, while nodes run. May be stopped, and run again."""
    kek = key_encryption_of(settings)
    if not kek.is_changing:
        fail(
            "There is no next key: give secrets.next_key_encryption_key_file, or hsm.next_key_encryption_key,",
            "to every node and worker first, and start them anew one by one.",
        )
    with migrated(settings).app_context():
        try:
            keys_of(settings).jwks()  # one key or the other opens every signing key, or nothing is begun
        except WrongKeyEncryptionKey as error:
            fail(f"Nothing was changed: {error}.")
        rewrapping = Rewrapping(kek, clock.now)
        was_done = rewrapping.begin()
        counts: Counter[str] = Counter()
        n_strange = 0
        for batch in rewrapping.batches():
            counts[batch.table] += batch.n_changed
            n_strange += batch.n_strange
            click.echo(f"{batch.table}: {batch.n_changed} of {batch.n_rows} rows sealed anew")
        rewrapping.end(dict(counts))
        until = needed_until(settings) or 0
    n_changed = counts.total()
    click.echo(f"{n_changed} rows were sealed anew. All that opens is under the key {kek.following} now.")
    if was_done and n_changed:
        click.echo(
            "Since the last run something was sealed under the old key: is there a node that knows only that?"
        )
    click.echo(
        f"Run it again in a minute: it must say 0. Keep both keys in the settings until {clock.iso(until)}."
    )
    if n_strange:
        fail(f"{n_strange} rows open with neither key, and were left as they are.")


keys.add_command(hsm.hsm)
