"""What is stored of a code and of a token: facts that name nobody, and beside them what is sealed."""

from __future__ import annotations

from typing import Any

import msgspec

from idp.consent import OFFLINE


class Released(msgspec.Struct, frozen=True):
    """What a portal will learn: OIDC claims the holder agreed to, and how they were verified. Only ever sealed."""

    claims: dict[str, Any]
    verification: dict[str, Any]


class Authorization(msgspec.Struct, frozen=True):
    """What a holder granted a portal: nothing personal, so that it may rest beside what is sealed."""

    client_id: str
    subject_id: str
    session_id: str
    login_id: str
    auth_time: int
    acr: str
    amr: tuple[str, ...]
    scopes: tuple[str, ...]
    claims: dict[str, Any]
    claims_locales: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    nonce: str | None = None
    asked_at: int = 0

    @property
    def is_offline(self) -> bool:
        return OFFLINE in self.scopes


class Token(msgspec.Struct, frozen=True):
    """What is stored under `token:<sha256>`: an access token. `audience` None: for UserInfo, here."""

    code_digest: str
    client_id: str
    subject_id: str
    sub: str
    scopes: tuple[str, ...]
    issued_at: int
    expires_at: int
    auth_time: int
    acr: str
    audience: str | None = None
    cnf: dict[str, str] | None = None
    claims: dict[str, Any] = {}
    claims_locales: tuple[str, ...] = ()
    asked_at: int = 0
    session_digest: str = ""
    """SHA-256 of the session it was bought in; empty in a record that an earlier version wrote."""
    sealed: str = ""


class Code(msgspec.Struct, frozen=True):
    """What is stored under `code:<sha256>`."""

    authorization: Authorization
    redirect_uri: str
    sealed: str
    code_challenge: str | None = None
    dpop_jkt: str | None = None
