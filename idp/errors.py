"""What can go wrong, and who hears of it.

    SinwonError                       reason: a stable name; detail: for us, never shown
    ├── PageError                     a page for the holder, never a redirect
    │   ├── RequestError              the portal's request cannot be trusted with a redirect
    │   └── LoginError                the sign-in cannot go on in this browser
    ├── AuthorizationError            told to the portal by redirect (RFC 6749, section 4.1.2.1)
    ├── PresentationError             told to the wallet as JSON (OpenID4VP 1.0, section 8.2)
    └── Unavailable                   something we stand on is down: 503, try again
        └── Busy                      more to do than can be done: the same

The token endpoint and UserInfo speak in Authlib's `OAuth2Error`s, settings in `SettingsError`, a credential
that does not verify in `credentials.CredentialRejected`. No message carries input, a claim value or a token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl, quote, urlsplit

MAX_SAID = 256
_MAX_VALUES = 8
_PLAIN = frozenset({chr(code) for code in range(0x20, 0x7F)} - set("<>\"'`") | set("…±–"))


@dataclass(frozen=True)
class Mismatch:
    """Both sides of what did not fit, for the portal's engineer; it goes into the audit and to nobody else.

    `check` names it in the catalogue of reasons (`views/reasons.py`). `expected` and `received` are values of the
    protocol: addresses (`said_uri`), scopes, algorithms, key ids. Never a state, nonce, code, token, secret or hint.
    `client_id` is set where the error itself does not say whose request it was.
    """

    check: str
    expected: Sequence[str] = ()
    received: Sequence[str] = ()
    client_id: str | None = None

    @property
    def detail(self) -> dict[str, Any]:
        """As the audit keeps it: bounded, and printable whatever came."""
        sides = {"expected": self.expected, "received": self.received}
        return {"check": self.check, **{name: _said(values) for name, values in sides.items() if values}}


def said_uri(uri: str, registered: Sequence[str] = ()) -> str:
    """An address as it may be kept: no user, no fragment, and of its query only what a registered one has too.

    What a portal puts into a query by mistake may be about a person.
    """
    known = {pair for one in registered for pair in parse_qsl(_query(one), keep_blank_values=True)}
    head, question, _ = uri.partition("#")[0].partition("?")
    scheme, slashes, rest = head.partition("://")
    authority, slash, path = rest.partition("/")
    head = f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}"
    pairs = parse_qsl(_query(uri), keep_blank_values=True)
    said = [
        f"{quote(name)}={quote(value, safe='') if (name, value) in known else '…'}" for name, value in pairs
    ]
    return head + (question and f"?{'&'.join(said)}") + ("#…" if "#" in uri else "")


def _query(uri: str) -> str:
    try:
        return urlsplit(uri).query
    except ValueError:
        return ""


def _said(values: Sequence[str]) -> list[str]:
    """Each value cut, and nothing in it that a page or a log could take for more than text."""
    return [
        "".join(char if char in _PLAIN else quote(char, errors="replace") for char in value[:MAX_SAID])
        for value in values[:_MAX_VALUES]
    ]


class SinwonError(Exception):
    """`reason` names what happened (a key of the message catalogue); `detail` is for the operator's log."""

    status = 400
    mismatch: Mismatch | None = None

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class PageError(SinwonError):
    """Ends as a page in the holder's language."""


class RequestError(PageError):
    """An authorization or logout request whose redirect URI is not proven to be the portal's.

    `client_id` is set where the portal is known all the same: its own address may then be offered.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        client_id: str | None = None,
        mismatch: Mismatch | None = None,
    ) -> None:
        super().__init__(reason, detail)
        self.client_id = client_id
        self.mismatch = mismatch


class LoginError(PageError):
    """The sign-in cannot go on here: unknown, expired, another browser's, a form that is too old."""

    def __init__(self, reason: str, detail: str = "", *, status: int = 400) -> None:
        super().__init__(reason, detail)
        self.status = status


@dataclass(frozen=True)
class ReplyTo:
    """Where the answer to an authorization request goes, and how.

    `response_mode` is one of `oidc.reply.RESPONSE_MODES`. With `device` (the digest of a device code, RFC 8628) there
    is no redirect URI: the answer is fetched by whoever holds the code.
    """

    client_id: str
    redirect_uri: str = ""
    state: str | None = None
    response_mode: str = "query"
    device: str | None = None


class AuthorizationError(SinwonError):
    """An OAuth error for the portal; `description` is fit for its eyes (ASCII, RFC 6749, section 4.1.2.1).

    It may travel to the portal once `reply_to` is set, which is done only after its redirect URI was found to be the
    portal's own.
    """

    def __init__(
        self,
        error: str,
        description: str,
        detail: str = "",
        *,
        check: str = "",
        expected: Sequence[str] = (),
        received: Sequence[str] = (),
    ) -> None:
        super().__init__(error, detail or description)
        self.mismatch = Mismatch(check, expected, received) if check else None
        self.error = error
        self.description = description
        self.reply_to: ReplyTo | None = None

    def to(self, reply_to: ReplyTo) -> Self:
        """The same error, with where it may go."""
        self.reply_to = reply_to
        return self


class PresentationError(SinwonError):
    """The wallet's answer is refused. The wallet hears `error`, never which check failed.

    `oauth_error` is what the portal hears if the holder gives up after this; `status` the wallet's HTTP status.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        error: str = "invalid_request",
        oauth_error: str = "access_denied",
        status: int = 400,
    ) -> None:
        super().__init__(reason, detail)
        self.error = error
        self.oauth_error = oauth_error
        self.status = status


class Unavailable(SinwonError):
    """The database or the store cannot be reached: nothing happened, try again."""

    status = 503


class Busy(Unavailable):
    """There are more requests than can be answered: this one is not begun."""

    def __init__(self) -> None:
        super().__init__("unavailable", "busy")
