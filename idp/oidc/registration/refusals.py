"""What a portal hears when it cannot be registered."""

from __future__ import annotations

import re
from typing import Literal

ErrorCode = Literal[
    "invalid_redirect_uri",
    "invalid_client_metadata",
    "invalid_software_statement",
    "unapproved_software_statement",
]

_MAX_DESCRIPTION_CHARS = 500
_NOT_IN_A_DESCRIPTION = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]+")


class RegistrationRefused(Exception):
    """The metadata cannot be registered: 400. `description` names the member and repeats no value.

    Spec: RFC 7591, section 3.2.2.
    """

    def __init__(self, error: ErrorCode, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = _NOT_IN_A_DESCRIPTION.sub("", description)[:_MAX_DESCRIPTION_CHARS]


class AccessRefused(Exception):
    """Whoever asks may not: 401, or 403 for a portal that the operator has switched off.

    `error` is empty where no token came at all (RFC 6750, section 3.1). An unknown client_id and a token of another
    portal get the same answer (RFC 7592, section 2).
    """

    def __init__(self, error: Literal["", "invalid_token", "access_denied"], description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = 403 if error == "access_denied" else 401
