"""QR-CPM: the app shows the code, a counter's scanner reads it, and both sides meet at the operator's relay.

We come to the relay as a WebSocket client, and only to the relay that is set: what a code names must be that
one. There is no envelope here; each message is a JSON object with `msg` and `trxcode`.

    we                           the relay, and the app through it
    join                    ──▶
                            ◀──  wait_verify      a nonce
    verify_verifier         ──▶                   who we are, signed
                            ◀──  wait_profile
    profile                 ──▶
                            ◀──  vp
    finish, or error        ──▶

The operator's daemon goes there by itself, so this is for the backends that have no daemon. The library for it comes
with `pip install 'sinwon[relay]'`.

Source: the sample verifiers' relay client (messages, order, error codes); message specification 1.8.0, section 2.1.1.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from idp import seal, strict_json
from idp.credentials.verdict import CredentialRejected, VerifiedCredential
from idp.errors import Unavailable
from idp.mip import errors, messages
from idp.mip.backend import Asked, BackendUnavailable, Offered, check_shown
from idp.mip.errors import AppGaveUp, MessageRefused
from idp.mip.messages import Preparation, UnverifiedVp

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

MAX_MESSAGE_BYTES: Final = 1_048_576
_CONNECT_S: Final = 10
_CLOSE_S: Final = 2
_RELAY_CODE: Final[Mapping[int, int]] = {
    errors.MISMATCHING_NONCE: 2004,
    errors.MISMATCHING_AUTH_TYPE: 2005,
    errors.MISSING_ITEM: errors.RELAY_MISSING_ITEM,
    errors.SEQUENCE: errors.RELAY_SEQUENCE,
}


class Speaker(Protocol):
    """What a backend must be able to do to be met at a relay."""

    def profile(self, asked: Asked) -> Offered: ...

    def verify(self, asked: Asked, offered: Offered, vp: UnverifiedVp) -> VerifiedCredential: ...

    def assertion(self, nonce: str) -> str: ...


class Meetings:
    """The one relay, and how long to wait there."""

    def __init__(self, url: str, timeout_s: float, *, tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._tls = tls or (ssl.create_default_context() if url.startswith("wss:") else None)

    def meet(self, speaker: Speaker, asked: Asked, preparation: Preparation) -> VerifiedCredential:
        """Wait for the app at the relay and hear what it shows.

        Raises CredentialRejected, BackendUnavailable, MessageRefused, AppGaveUp.
        """
        from websockets.exceptions import WebSocketException  # noqa: PLC0415  # an extra
        from websockets.sync.client import connect  # noqa: PLC0415

        deadline = time.monotonic() + self._timeout_s
        try:
            with connect(
                self._url,
                ssl=self._tls,
                proxy=None,
                compression=None,
                user_agent_header=None,
                open_timeout=_CONNECT_S,
                close_timeout=_CLOSE_S,
                max_size=MAX_MESSAGE_BYTES,
            ) as connection:
                return _Meeting(connection, speaker, asked, preparation.trxcode, deadline).held()
        except TimeoutError as error:
            raise MessageRefused(errors.TIMEOUT, "nobody came to the relay") from error
        except (WebSocketException, OSError) as error:
            raise BackendUnavailable(f"relay: {type(error).__name__}") from error


class _Meeting:
    """One connection: what is said in which order."""

    def __init__(
        self, connection: ClientConnection, speaker: Speaker, asked: Asked, trxcode: str, deadline: float
    ) -> None:
        self._connection = connection
        self._speaker = speaker
        self._asked = asked
        self._trxcode = trxcode
        self._deadline = deadline

    def held(self) -> VerifiedCredential:
        try:
            return self._held()
        except (MessageRefused, CredentialRejected, Unavailable) as error:
            code = _RELAY_CODE.get(getattr(error, "code", 0), errors.RELAY_UNKNOWN)
            self._say("error", errcode=code, errmsg=errors.RELAY[code])
            raise

    def _held(self) -> VerifiedCredential:
        self._say("join", type=messages.TYPE, version=messages.VERSION)
        nonce = self._hear("wait_verify").get("nonce")
        if not isinstance(nonce, str) or not 0 < len(nonce) <= 512:
            raise MessageRefused(errors.MISSING_ITEM, "nonce")
        assertion = self._speaker.assertion(nonce)
        self._say("verify_verifier", didAssertion=seal.b64(assertion.encode("utf-8")))
        self._hear("wait_profile")
        offered = self._speaker.profile(self._asked)
        self._say("profile", profile=offered.profile, image=None, ci=False, telno=False)
        vp = messages.read_vp(self._hear("vp").get("vp"))
        check_shown(self._asked, offered.nonce, vp)
        verified = self._speaker.verify(self._asked, offered, vp)
        self._say("finish")
        return verified

    def _say(self, msg: str, **members: Any) -> None:
        self._connection.send(json.dumps({"msg": msg, "trxcode": self._trxcode, **members}))

    def _hear(self, expected: str) -> dict[str, Any]:
        """The next message, which must be this one. Raises MessageRefused, AppGaveUp, TimeoutError."""
        raw = self._connection.recv(timeout=max(self._deadline - time.monotonic(), 0))
        try:
            message = strict_json.loads_object(raw, max_bytes=MAX_MESSAGE_BYTES, max_depth=8)
        except ValueError:
            raise MessageRefused(errors.UNEXPECTED_FORMAT, "relay") from None
        if message.get("trxcode") != self._trxcode:
            raise MessageRefused(errors.TRXCODE_NOT_FOUND, "relay")
        if message.get("msg") == "error":
            code = message.get("errcode")
            raise AppGaveUp(code if isinstance(code, int) and not isinstance(code, bool) else errors.UNKNOWN)
        if message.get("msg") != expected:
            raise MessageRefused(errors.SEQUENCE, f"relay: not {expected}")
        return message


def is_at(preparation: Preparation, url: str) -> bool:
    """Whether the relay that a code names is the one that is set, whatever the path."""
    try:
        named, known = urlsplit(preparation.host), urlsplit(url)
        return bool(url) and (named.scheme, named.hostname, named.port) == (
            known.scheme,
            known.hostname,
            known.port,
        )
    except ValueError:
        return False
