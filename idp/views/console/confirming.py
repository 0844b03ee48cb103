"""The page between wanting and doing: what it would mean, in words, and why it is done."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response, request

from idp.views.console.desk import SAY_WHY, Desk, field, reason


@dataclass(frozen=True)
class Asked:
    """Something to be confirmed; every text is in the language of the page.

    action: where the form goes, with the fields of `hidden`. choice: a box to tick, its name and label, which must be
    ticked where `must_choose`. names: of whom this is, behind a click.
    """

    heading: str
    lines: tuple[str, ...]
    action: str
    button: str
    back: str
    hidden: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    choice: tuple[str, str] | None = None
    must_choose: bool = False
    names: tuple[str, ...] = ()
    names_title: str = ""
    danger: bool = False


def ask(desk: Desk, asked: Asked, *, problem: str = "", status: int = 400) -> Response:
    """The page that asks; `problem`, a message id, is what stood in the way."""
    return desk.page(
        "confirm.html",
        status=status if problem else 200,
        asked=asked,
        problem=desk.text(problem) if problem and problem != SAY_WHY else "",
        why_problem=desk.text(problem) if problem == SAY_WHY else "",
        given=field("reason"),
        chosen=asked.choice is not None and request.form.get(asked.choice[0]) == "yes",
    )


def why(desk: Desk, asked: Asked) -> str | Response:
    """The reason that the form gives, or the page that asks for it once more."""
    return reason() or ask(desk, asked, problem=SAY_WHY)
