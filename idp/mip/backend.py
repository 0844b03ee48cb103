"""What stands behind the messages: who signs profiles and verifies presentations.

Neither is public for the real app. Production asks the operator's verifier daemon (`daemon`); a sandbox has a
simulator whose inner formats are ours (`simulator`). Both see one question and give one answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from idp.credentials.verdict import VerifiedCredential
from idp.errors import Unavailable
from idp.mip import errors
from idp.mip.errors import MessageRefused
from idp.mip.messages import Preparation, UnverifiedVp
from idp.presentation.question import Alternative

SECURE_AUTH: Final = frozenset({"pin", "face"})
"""안심인증. A service that asks for it is answered by both (the sample verifiers' `authType`)."""


class BackendUnavailable(Unavailable):
    """The backend could not be asked, or did not answer as it must: says nothing about the presentation."""

    def __init__(self, detail: str) -> None:
        super().__init__("unavailable", detail)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to the app.

    service: the service code under which the operator registered what is asked for. secure: that code asks for
    안심인증, PIN and face together. alternative: the credential type as it looks here. secret: 32 bytes of this
    question alone.
    """

    trxcode: str
    service: str
    secure: bool
    alternative: Alternative
    portal_names: Mapping[str, str]
    status_fail_closed: bool
    secret: bytes


@dataclass(frozen=True, slots=True)
class Offered:
    """A profile for the app: base64url as it is handed on, its nonce, and what the backend calls the transaction."""

    profile: str
    nonce: str
    reference: str


def check_shown(asked: Asked, nonce: str, vp: UnverifiedVp) -> None:
    """What can be said of a presentation without opening it. Raises MessageRefused 10111, 10112."""
    if vp.nonce != nonce:
        raise MessageRefused(errors.MISMATCHING_NONCE)
    if asked.secure and not set(vp.auth_types) >= SECURE_AUTH:
        raise MessageRefused(errors.MISMATCHING_AUTH_TYPE)


class Backend(Protocol):
    """Signs profiles, verifies presentations. Safe for threads."""

    def profile(self, asked: Asked) -> Offered:
        """A fresh profile. Raises BackendUnavailable."""

    def verify(self, asked: Asked, offered: Offered, vp: UnverifiedVp) -> VerifiedCredential:
        """What the presentation proves. Raises CredentialRejected, BackendUnavailable."""

    def meet(self, asked: Asked, preparation: Preparation) -> VerifiedCredential:
        """QR-CPM: meet the app at the relay, all of it: profile out, presentation in. Takes up to relay_timeout_s.

        Raises CredentialRejected, BackendUnavailable, MessageRefused, AppGaveUp.
        """

    def close(self) -> None:
        """Let go of connections."""
