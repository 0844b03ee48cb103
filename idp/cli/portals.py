"""Commands for the portals that are registered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import quote

import click

from idp import clock
from idp import portals as registered
from idp.admin import portals as portal_admin
from idp.admin import snippets, trials
from idp.admin.portals import changes, contract, reading
from idp.admin.portals.differences import Difference, differences
from idp.cli.deployment import document_of, ensure_keys, fail, migrated, with_settings
from idp.oidc import registration
from idp.portals import RegistrationError
from idp.portals.texts import text_problem
from idp.portals.versions import MAX_REASON_CHARS, UnknownPortal
from idp.settings import Settings

_MAX_NOTE_CHARS = 255


@click.group()
def portals() -> None:
    """Relying portals."""


def _why(_context: click.Context, _parameter: click.Parameter, reason: str | None) -> str | None:
    if reason is not None and (problem := text_problem(reason, MAX_REASON_CHARS)):
        raise click.BadParameter(problem)
    return reason


_reason = click.option("--reason", callback=_why, help="Why; kept with the version.")


def _unknown(client_id: str) -> NoReturn:
    fail(f"There is no portal {client_id}.")


def _refused(what: str, error: RegistrationError) -> NoReturn:
    fail(f"{what}:", *(f"  {problem}" for problem in error.problems))


# -- changing --------------------------------------------------------------------------------------------------


@portals.command("apply")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_reason
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@with_settings
def portals_apply(settings: Settings, file: Path, reason: str | None, *, dry_run: bool) -> None:
    """Register or update the portals of FILE (TOML): all of them or, when one is wrong, none."""
    document = document_of(file)
    with migrated(settings).app_context():
        if dry_run:
            _preview(file, document)
            return
        _apply(settings, document, reason, what=f"{file} was not applied")


def _preview(file: Path, document: dict[str, Any]) -> None:
    try:
        shown = portal_admin.preview(document, now=clock.now())
    except RegistrationError as error:
        _refused(f"{file} would not be applied", error)
    for client_id, (verb, rows) in shown.items():
        click.echo(f"{client_id} would be {verb}:")
        _show(rows)
    if not shown:
        click.echo("Nothing would change.")


def _show(rows: Sequence[Difference]) -> None:
    for row in rows:
        if row.before is not None:
            click.echo(f"  - {row.path} = {row.before}")
        if row.after is not None:
            click.echo(f"  + {row.path} = {row.after}")


def _apply(settings: Settings, document: dict[str, Any], reason: str | None, *, what: str) -> None:
    try:
        applied = portal_admin.carry_out(document, now=clock.now(), reason=reason)
    except RegistrationError as error:
        _refused(what, error)
    ensure_keys(settings)
    click.echo(f"Changed: {', '.join(applied.changed) or 'nothing'}")
    for client_id, secret in applied.secrets.items():
        click.echo(f"client_secret of {client_id}, shown this once: {secret}")


@portals.command("add")
@click.argument("client_id")
@click.option("--name-ko", required=True, help="What holders read, in Korean.")
@click.option("--name-en", required=True, help="And in English.")
@click.option("--operator-ko", required=True, help="Who runs it.")
@click.option("--operator-en", required=True)
@click.option(
    "--redirect-uri", "redirect_uris", multiple=True, required=True, help="May be there several times."
)
@click.option("--scope", "scopes", multiple=True, help="Beside openid; may be there several times.")
@click.option(
    "--method", default="client_secret_basic", show_default=True, help="token_endpoint_auth_method."
)
@click.option("--jwks-uri", help="For private_key_jwt: where its keys are.")
@_reason
@with_settings
def portals_add(settings: Settings, client_id: str, reason: str | None, **given: Any) -> None:
    """Register a portal that is to know nothing but who is the same as before, and print its secret, once.

    What it may know, and why, goes into a file: `idp portals export` prints one to start from.
    """
    document: dict[str, Any] = {
        "client_id": client_id,
        **{name: {lang: given[f"{name}_{lang}"] for lang in ("ko", "en")} for name in ("name", "operator")},
        "retention": {"ko": "개인정보를 받지 않음", "en": "No personal information is received"},
        "redirect_uris": list(given["redirect_uris"]),
        "scopes": list(dict.fromkeys(["openid", *given["scopes"]])),
        "token_endpoint_auth_method": given["method"],
    }
    if given["jwks_uri"]:
        document["jwks_uri"] = given["jwks_uri"]
    with migrated(settings).app_context():
        try:
            reading.find(client_id, admin=None)
        except UnknownPortal:
            _apply(settings, {"portal": [document]}, reason, what=f"{client_id} was not registered")
            return
    fail(f"There is a portal {client_id} already.")


@portals.command("rollback")
@click.argument("client_id")
@click.argument("version", type=click.IntRange(1))
@_reason
@with_settings
def portals_rollback(settings: Settings, client_id: str, version: int, reason: str | None) -> None:
    """Make a portal again what it was at VERSION, but for its secrets and its sector."""
    with migrated(settings).app_context():
        try:
            document = changes.as_it_was(reading.find(client_id, admin=None), version)
        except UnknownPortal:
            fail(f"There is no portal {client_id} with a version {version} to go back to.")
        _apply(
            settings,
            {"portal": [document]},
            reason or f"back to version {version}",
            what=f"{client_id} cannot be what it was",
        )


@portals.command("invite")
@click.option(
    "--expires", type=click.IntRange(1, 365), default=7, show_default=True, help="Days it is good for."
)
@click.option(
    "--uses", type=click.IntRange(1, 1000), default=1, show_default=True, help="Portals it lets in."
)
@click.option("--profile", type=click.Choice(["standard", "fapi2"]), default="standard", show_default=True)
@click.option("--note", default="", help="For whom it is; kept beside its digest.")
@with_settings
def portals_invite(
    settings: Settings, expires: int, uses: int, profile: Literal["standard", "fapi2"], note: str
) -> None:
    """Make an initial access token, by which a portal registers itself at /register. It is shown once."""
    if len(note) > _MAX_NOTE_CHARS or not note.isprintable():
        fail(f"--note: at most {_MAX_NOTE_CHARS} printable characters.")
    with migrated(settings).app_context():
        token = registration.invite(
            profile=profile, uses=uses, ttl_s=expires * 86400, note=note, now=clock.now()
        )
    click.echo(token)


@portals.command("remove")
@click.argument("client_id")
@_reason
@with_settings
def portals_remove(settings: Settings, client_id: str, reason: str | None) -> None:
    """Take a portal out, with the tokens it holds and the consents it was given."""
    with migrated(settings).app_context():
        try:
            registration.remove(client_id, now=clock.now(), reason=reason)
        except UnknownPortal:
            _unknown(client_id)
    click.echo(f"Removed {client_id}")


@portals.command("snippet")
@click.argument("client_id")
@click.option("--for", "language", type=click.Choice(list(snippets.LANGUAGES)), required=True)
@with_settings
def portals_snippet(settings: Settings, client_id: str, language: str) -> None:
    """Print a small app that signs people in to this portal; how to run it goes to the error output."""
    with migrated(settings).app_context():
        registration = registered.find(client_id)
    if registration is None:
        fail(f"There is no portal {client_id}.")
    try:
        snippet = snippets.render(registration, settings.issuer, language)
    except snippets.NoSnippet as reason:
        fail(f"There is no app to copy for {client_id}. {reason}")
    click.echo(snippet.code, nl=False)
    for line in (f"# {snippet.title}", f"# Keep it as {snippet.filename}.", snippet.install, snippet.run):
        click.echo(line, err=True)


@click.command("try")
@click.argument("client_id")
@with_settings
def try_sign_in(settings: Settings, client_id: str) -> None:
    """Print where an administrator tries a sign-in at a portal, and sees the tokens and every check."""
    if not settings.console.enabled:
        fail("console.enabled is false: there is no console to try it in.")
    with migrated(settings).app_context():
        if trials.registered(client_id) is None:
            fail(f"There is no portal {client_id}.")
    click.echo(f"{settings.issuer}/console/portals/{quote(client_id, safe='')}/try")


def _switch(settings: Settings, client_id: str, *, enabled: bool) -> None:
    with migrated(settings).app_context():
        try:
            registration.switch(client_id, enabled=enabled, now=clock.now())
        except UnknownPortal:
            _unknown(client_id)
    click.echo(f"{'Enabled' if enabled else 'Disabled'} {client_id}")


@portals.command("disable")
@click.argument("client_id")
@with_settings
def portals_disable(settings: Settings, client_id: str) -> None:
    """Switch a portal off: nobody can sign in to it until it is enabled again."""
    _switch(settings, client_id, enabled=False)


@portals.command("enable")
@click.argument("client_id")
@with_settings
def portals_enable(settings: Settings, client_id: str) -> None:
    """Switch a portal on again."""
    _switch(settings, client_id, enabled=True)


# -- reading ---------------------------------------------------------------------------------------------------


@portals.command("list")
@click.argument("search", metavar="[TEXT]", default="")
@with_settings
def portals_list(settings: Settings, search: str) -> None:
    """Portals, one a line: client_id, profile, organisation, name. With TEXT those that have it somewhere."""
    with migrated(settings).app_context():
        after: str | None = ""
        while after is not None:
            page = reading.listed(search, after, admin=None, rows=500)
            for line in page.lines:
                state = "" if line.enabled else "  (switched off)"
                shown = (
                    f"{line.client_id:<24}",
                    f"{line.profile:<8}",
                    line.organisation or "-",
                    line.name["en"],
                )
                click.echo("  ".join(shown) + state)
            after = page.after


@portals.command("show")
@click.argument("client_id")
@with_settings
def portals_show(settings: Settings, client_id: str) -> None:
    """What is registered of a portal, and which version that is."""
    with migrated(settings).app_context():
        try:
            found = reading.find(client_id, admin=None)
        except UnknownPortal:
            _unknown(client_id)
        secrets = reading.secrets(found)
    click.echo(f"version {found.version}, {clock.iso(found.updated_at)}")
    click.echo(f"{'enabled' if found.enabled else 'switched off'}, organisation {found.organisation or '-'}")
    for row in differences(None, found.document):
        click.echo(f"{row.path} = {row.after}")
    click.echo(f"sector = {found.registration.sector}")
    for secret in secrets:
        _say_secret(secret)


@portals.command("export")
@click.argument("client_ids", metavar="[CLIENT_ID]...", nargs=-1)
@with_settings
def portals_export(settings: Settings, client_ids: tuple[str, ...]) -> None:
    """Registrations as a file that `apply` takes, here or at another deployment; without secrets."""
    with migrated(settings).app_context():
        try:
            text = portal_admin.export(client_ids)
        except UnknownPortal as error:
            _unknown(str(error))
    click.echo(text, nl=False)


@portals.command("history")
@click.argument("client_id")
@click.option("--documents", is_flag=True, help="With what each version changed.")
@with_settings
def portals_history(settings: Settings, client_id: str, *, documents: bool) -> None:
    """The latest versions, the newest first: number, when, by whom, approved by whom, why."""
    with migrated(settings).app_context():
        found = reading.history(client_id)
    if not found:
        fail(f"Nothing is known of {client_id}.")
    for one in found:
        by = one.actor or "-"
        if one.approved_by is not None:
            by = f"{by}, approved by {one.approved_by}"
        gone = "  (removed)" if one.after is None else ""
        click.echo(f"v{one.number}  {clock.iso(one.at)}  {by}  {one.reason or '-'}{gone}")
        if documents:
            _show(differences(one.before, one.after))


@portals.command("contract")
@click.argument("client_id")
@click.option("--lang", type=click.Choice(["ko", "en"]), default="ko", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For a program, in both languages.")
@with_settings
def portals_contract(settings: Settings, client_id: str, lang: str, *, as_json: bool) -> None:
    """What a portal may know of its holders: each claim with its purpose, legal basis and how long it is kept."""
    with migrated(settings).app_context():
        try:
            found = reading.find(client_id, admin=None)
        except UnknownPortal:
            _unknown(client_id)
    made = contract.contract(found.registration)
    if as_json:
        click.echo(json.dumps(contract.as_json(made), ensure_ascii=False, indent=2))
    else:
        click.echo(contract.as_text(made, lang))


# -- secrets ---------------------------------------------------------------------------------------------------


@portals.group("secret")
def secret() -> None:
    """Client secrets: two at most, known here by their SHA-256 only."""


def _say_secret(one: reading.Secret) -> None:
    made = clock.iso(one.created_at) if one.created_at is not None else "-"
    used = clock.iso(one.last_used_at) if one.last_used_at is not None else "-"
    click.echo(f"secret {one.digest[:12]}  made {made}  last used {used}")


@secret.command("list")
@click.argument("client_id")
@with_settings
def secret_list(settings: Settings, client_id: str) -> None:
    """The secrets of a portal, one a line: the beginning of its SHA-256, when it was made, when it was used last."""
    with migrated(settings).app_context():
        try:
            found = reading.secrets(reading.find(client_id, admin=None))
        except UnknownPortal:
            _unknown(client_id)
    for one in found:
        _say_secret(one)


@secret.command("add")
@click.argument("client_id")
@_reason
@with_settings
def secret_add(settings: Settings, client_id: str, reason: str | None) -> None:
    """Print a further secret, once. It counts at once; the other one goes on until it is retired."""
    with migrated(settings).app_context():
        try:
            made = changes.add_secret(client_id, reason=reason, now=clock.now())
        except UnknownPortal:
            _unknown(client_id)
        except RegistrationError as error:
            _refused("No secret was made", error)
    click.echo(made)


@secret.command("retire")
@click.argument("client_id")
@click.argument("digest")
@_reason
@with_settings
def secret_retire(settings: Settings, client_id: str, digest: str, reason: str | None) -> None:
    """Make the secret worthless whose SHA-256 begins with DIGEST."""
    with migrated(settings).app_context():
        try:
            found = [one.digest for one in reading.secrets(reading.find(client_id, admin=None))]
            matching = [known for known in found if known.startswith(digest.lower()) and len(digest) >= 4]
            if len(matching) != 1:
                fail(f"No one secret of {client_id} begins with {digest}.")
            changes.retire_secret(client_id, matching[0], reason=reason, now=clock.now())
        except UnknownPortal:
            _unknown(client_id)
        except RegistrationError as error:
            _refused("The secret was not retired", error)
    click.echo(f"Retired {matching[0][:12]}")
