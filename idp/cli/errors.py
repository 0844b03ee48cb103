"""What a code means, for whoever has one in front of them."""

from __future__ import annotations

from pathlib import Path

import click

from idp.cli.deployment import fail
from idp.views import codes


@click.command()
@click.argument("code", required=False)
@click.option(
    "--into",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Make the part of this page anew: docs/errors.md.",
)
def errors(code: str | None, into: Path | None) -> None:
    """Explain CODE, as on a holder's page (SINWON-C003), or every code: what happened, what to do, what was said."""
    if code is not None and code.upper() not in codes.CODES:
        fail(f"There is no code {code.upper()}. Known are {', '.join(codes.CODES)}.")
    if into is None:
        click.echo(codes.markdown([code.upper()] if code else codes.CODES), nl=False)
        return
    try:
        into.write_text(codes.put_into(into.read_text("utf-8")), "utf-8")
    except ValueError as error:
        fail(f"{into}: {error}")
