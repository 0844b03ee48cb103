"""Texts that operators and portals write and that people read on our pages."""

from __future__ import annotations

LANGUAGES = ("ko", "en")
MAX_NAME_CHARS = 120
MAX_TEXT_CHARS = 600


def N_(text: str) -> str:  # noqa: N802 - the name that gettext's own tools look for
    """Mark a sentence for translation where it stands; whoever shows it translates it."""
    return text


_TOO_LONG = {
    120: N_("is longer than 120 characters"),
    255: N_("is longer than 255 characters"),
    600: N_("is longer than 600 characters"),
}


def text_problem(text: str, max_chars: int) -> str | None:
    """Why this cannot stand on a page; or None.

    Control characters, and those that turn the direction of writing around, would let a text pass for another one.
    """
    if not text.strip():
        return N_("is empty")
    if len(text) > max_chars:
        return _TOO_LONG.get(max_chars, f"is longer than {max_chars} characters")
    if not text.isprintable():
        return N_(
            "has characters that cannot be seen, such as a line break or one that turns the direction of writing"
        )
    return None
