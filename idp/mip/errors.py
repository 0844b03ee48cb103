"""The protocol's error codes, both ways.

`VERIFIER` are those that a verifier tells the app (an M900 in the answer to a message), `APP` those that the app posts
to `/mip/error`. `code_for` says which of the first stands for a refusal of ours; `APP` says which refusal each of the
second is. The app never hears which check of a credential failed (decision D6).

Source: message specification 1.8.0, section 3; 10113, 1030x, 1900x and 90002 from the sample verifiers after it. Those
give 10301 to 10306 a second meaning beside the one for PUSH, so nothing here sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

UNEXPECTED_FORMAT: Final = 10001
MISSING_ITEM: Final = 10002
NOT_BASE64: Final = 10003
INVALID_DATA: Final = 10100
INVALID_TYPE: Final = 10101
UNSUPPORTED_VERSION: Final = 10102
INVALID_CMD: Final = 10103
TRXCODE_NOT_FOUND: Final = 10104
PROFILE_CREATE_ERROR: Final = 10105
UNSUPPORTED_PRESENT_TYPE: Final = 10106
UNSUPPORTED_ENCRYPT_TYPE: Final = 10107
UNSUPPORTED_KEY_TYPE: Final = 10108
UNSUPPORTED_VP_TYPE: Final = 10109
UNSUPPORTED_AUTH_TYPE: Final = 10110
MISMATCHING_NONCE: Final = 10111
MISMATCHING_AUTH_TYPE: Final = 10112
SEQUENCE: Final = 10201
TIMEOUT: Final = 10202
UNKNOWN: Final = 99999

CANCELLED: Final = 20901

VERIFIER: Final[Mapping[int, str]] = {
    UNEXPECTED_FORMAT: "unexpected message format",
    MISSING_ITEM: "missing mandatory item",
    NOT_BASE64: "base64 decode error",
    INVALID_DATA: "invalid data",
    INVALID_TYPE: "invalid type",
    UNSUPPORTED_VERSION: "unsupported message version",
    INVALID_CMD: "invalid cmd",
    TRXCODE_NOT_FOUND: "trxcode not found",
    PROFILE_CREATE_ERROR: "profile create error",
    UNSUPPORTED_PRESENT_TYPE: "unsupported VP presentType",
    UNSUPPORTED_ENCRYPT_TYPE: "unsupported VP encryptType",
    UNSUPPORTED_KEY_TYPE: "unsupported VP keyType",
    UNSUPPORTED_VP_TYPE: "unsupported VP type",
    UNSUPPORTED_AUTH_TYPE: "unsupported VP authType",
    MISMATCHING_NONCE: "mismatching nonce",
    MISMATCHING_AUTH_TYPE: "mismatching authType",
    10113: "need to application update",
    SEQUENCE: "message sequence error",
    TIMEOUT: "timeout error",
    19001: "SP config error",
    19002: "SP SDK error",
    19003: "SP certification error",
    UNKNOWN: "unknown error",
}
"""What a verifier says, and the text that goes with it."""


@dataclass(frozen=True, slots=True)
class AppError:
    """What one of the app's codes means to a login.

    reason: for the audit. problem: what the holder reads. ours: something in our profile, our answers or what is
    registered is wrong, and the operator must hear of it.
    """

    text: str
    reason: str
    problem: str = "wallet_failed"
    ours: bool = False


APP: Final[Mapping[int, AppError]] = {
    20001: AppError("unexpected message format", "app_failed", ours=True),
    20002: AppError("missing mandatory item", "app_failed", ours=True),
    20100: AppError("invalid data", "app_failed", ours=True),
    20101: AppError("invalid result", "app_failed", ours=True),
    20102: AppError("encoding error", "app_failed", ours=True),
    20103: AppError("mismatching trxcode", "app_failed", ours=True),
    20104: AppError("unsupported image type", "app_failed", ours=True),
    20201: AppError("message sequence error", "app_failed"),
    20202: AppError("timeout error", "app_timeout"),
    20300: AppError("invalid profile data", "profile_refused", ours=True),
    20301: AppError("VC not exists", "no_certificate", "no_certificate"),
    20302: AppError("no VC for allowed issuers", "no_certificate", "no_certificate"),
    20303: AppError("missing mandatory item in profile", "profile_refused", ours=True),
    20304: AppError("missing nonce in profile", "profile_refused", ours=True),
    20305: AppError("missing proof in profile", "profile_refused", ours=True),
    20306: AppError("profile signature validation fail", "profile_refused", ours=True),
    20307: AppError("fail to get DID document", "profile_refused", ours=True),
    20401: AppError("ZKP error 1", "app_failed"),
    20402: AppError("ZKP error 2", "app_failed"),
    20403: AppError("ZKP error 3", "app_failed"),
    20501: AppError("incorrect password", "app_failed"),
    CANCELLED: AppError("cancel by user", "cancelled", "wallet_refused"),
    90001: AppError("user authentication fail", "not_unlocked"),
    90002: AppError("SP authentication fail", "profile_refused", ours=True),
    UNKNOWN: AppError("unknown error", "app_failed"),
}
"""What the app says. An unknown code means what UNKNOWN does."""

_CODE_OF: Final[Mapping[str, int]] = {
    "login_unknown": TRXCODE_NOT_FOUND,
    "login_expired": TIMEOUT,
    "already_answered": SEQUENCE,
    "opened_elsewhere": SEQUENCE,
    "unavailable": UNKNOWN,
    "status_unknown": UNKNOWN,
}


class MessageRefused(Exception):
    """A message of the app's that is not taken: `code` is what it hears, `detail` is for the operator's log.

    detail names a field or a check, never what stood there.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(f"{code} {VERIFIER[code]}" + (f": {detail}" if detail else ""))
        self.code = code
        self.detail = detail


class AppGaveUp(Exception):
    """The app said through a relay, or through the daemon, that it goes on no further. `code` is one of APP's."""

    def __init__(self, code: int) -> None:
        code = CANCELLED if code == RELAY_CLOSED_BY_HOLDER else code
        super().__init__(f"{code} {app_error(code).text}")
        self.code = code


def code_for(reason: str) -> int:
    """What the app hears of a refusal of ours (`PresentationError.reason`); a credential's are all one."""
    return _CODE_OF.get(reason, INVALID_DATA)


def app_error(code: int) -> AppError:
    """What a code of the app's means."""
    return APP.get(code, APP[UNKNOWN])


# -- the relay's own, section "중계서버" of the sample verifiers ------------------------------------------------------

RELAY_MISSING_ITEM: Final = 1002
RELAY_TRXCODE_NOT_FOUND: Final = 1014
RELAY_SEQUENCE: Final = 2001
RELAY_CLOSED_BY_HOLDER: Final = 9001
RELAY_UNKNOWN: Final = 9999

RELAY: Final[Mapping[int, str]] = {
    1001: "packet error",
    RELAY_MISSING_ITEM: "missing mandatory item",
    1010: "invalid data",
    1011: "invalid msg",
    1013: "unsupported message version",
    RELAY_TRXCODE_NOT_FOUND: "trxcode not found",
    1031: "DID auth failed",
    RELAY_SEQUENCE: "sequence error",
    2002: "timeout error",
    2003: "unexpected disconnection",
    2004: "mismatching nonce",
    2005: "mismatching auth type",
    RELAY_CLOSED_BY_HOLDER: "Close requested by holder",
    9002: "Close requested by verifier",
    RELAY_UNKNOWN: "unknown error",
}
"""What is said through a relay, where there is no envelope."""
