"""User codes: what a counter shows and a holder types (RFC 8628, section 6.1)."""

from __future__ import annotations

import secrets
import unicodedata

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no word comes out; no digits, so that nothing is taken for another."""

LETTERS = 8
"""20^8 are some 34 bits: enough against guesses that are counted, not against a dump."""

_MAX_TYPED = 64


def fresh() -> str:
    """A random user code, as it is looked up."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LETTERS))


def normal(typed: str) -> str | None:
    """A user code as it is looked up; None for what cannot be one.

    Case, spaces and punctuation do not count, nor does a keyboard's full width.
    """
    text = unicodedata.normalize("NFKC", typed[:_MAX_TYPED]).upper()
    letters = "".join(char for char in text if char.isalnum())
    is_code = len(letters) == LETTERS and all(letter in ALPHABET for letter in letters)
    return letters if is_code else None


def spelled(user_code: str) -> str:
    """A user code as people read it: in two halves."""
    half = LETTERS // 2
    return f"{user_code[:half]}-{user_code[half:]}"
