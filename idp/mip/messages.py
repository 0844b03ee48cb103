"""The messages, and the envelope they come in.

A message is a JSON object, `{"type":"mip","version":...,"cmd":...,"trxcode":...}` and more; on the wire it is
base64url of that. Over HTTP it travels as `{"data": <message>}`; the answer is `{"result": true, "data":
<answer>}` or `{"result": false, "data": <M900>}`. `read_*` raise `MessageRefused` with the code that the
specification's list of errors has for it, looked for in the order of that list: format, mandatory items,
type, version, cmd, values.

Sizes are bounded before anything is decoded. Members that we do not know are left alone: the app gets new ones.

Source: message specification 1.8.0, sections 1.3 and 2; version 1.1.0 from the sample verifiers after it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final

from idp import seal, strict_json
from idp.mip import errors
from idp.mip.errors import MessageRefused

TYPE: Final = "mip"
VERSION: Final = "1.1.0"
"""What we send. The specification has 1.0.0; the sample verifiers of 2024 say 1.1.0."""
VERSIONS: Final = frozenset({"1.0.0", "1.1.0"})

MAX_CONTROL_BYTES: Final = 4_096
"""A message without a presentation; as the app writes them, they have 150."""
MAX_VP_BYTES: Final = 720_000
"""A message with one. A portrait is written in hex, encrypted, and written in hex again."""
MAX_TRXCODE_CHARS: Final = 50

_TRXCODE = re.compile(r"[0-9A-Za-z._-]{1,50}")
_NONCE = re.compile(r"[0-9A-Za-z+/=_-]{16,256}")
_DID = re.compile(r"did:[a-z0-9]+:[A-Za-z0-9._:%-]{1,200}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")


class Mode(StrEnum):
    """How the app reaches the verifier: by itself, through another app, or through a relay."""

    DIRECT = "direct"
    INDIRECT = "indirect"
    PROXY = "proxy"


class PresentType(IntEnum):
    """What is shown: that one controls a DID, a credential, or a zero-knowledge proof of one."""

    DID_AUTH = 0
    VP = 1
    ZKP = 2


ENCRYPT_TYPES: Final = frozenset({1, 2})  # AES-128, AES-256; 0, not at all, is not taken (decision D15)
KEY_TYPES: Final = frozenset({0, 1, 2})  # secp256k1, secp256r1, RSA
AUTH_TYPES: Final = frozenset({"pin", "bio", "face"})
VP_TYPE: Final = "VERIFY"


@dataclass(frozen=True, slots=True)
class Preparation:
    """M120: the code that the app shows (QR-CPM). `host` is where its relay is said to be."""

    trxcode: str
    host: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """M310 or M320: the app asks for the profile, or for the verifier's picture."""

    trxcode: str


@dataclass(frozen=True, slots=True)
class UnverifiedVp:
    """The presentation of an M400 (presentType 1), of the right shape and not checked.

    auth_types: how the app says that it was unlocked. data: encrypted, in hex. members: all of it as it came, since
    the backend is handed what the app sent.
    """

    nonce: str
    auth_types: tuple[str, ...]
    data: str = field(repr=False)
    members: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Submission:
    """M400: the app shows a presentation."""

    trxcode: str
    vp: UnverifiedVp


@dataclass(frozen=True, slots=True)
class Failure:
    """M900: the app, or a daemon, says that it cannot go on. `text` is theirs and is shown to nobody."""

    trxcode: str
    code: int
    text: str = field(repr=False)


# -- the envelope ----------------------------------------------------------------------------------------------------


def encode(message: Mapping[str, Any]) -> str:
    """A message as it travels: JSON in base64url without padding."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return seal.b64(text.encode("utf-8"))


def decode(data: object, *, max_bytes: int) -> dict[str, Any]:
    """The JSON object in a base64url text. Raises MessageRefused 10003, 10001."""
    value = decoded(data, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise MessageRefused(errors.UNEXPECTED_FORMAT)
    return value


def decoded(data: object, *, max_bytes: int) -> Any:
    """The JSON value in a base64url text. Raises MessageRefused 10003, 10001."""
    if not isinstance(data, str) or len(data) > max_bytes * 4 // 3 + 4 or not _BASE64URL.fullmatch(data):
        raise MessageRefused(errors.NOT_BASE64)
    try:
        raw = seal.unb64(data.rstrip("="))
    except ValueError:
        raise MessageRefused(errors.NOT_BASE64) from None
    try:
        return strict_json.loads(raw, max_bytes=max_bytes, max_depth=8)
    except ValueError:
        raise MessageRefused(errors.UNEXPECTED_FORMAT) from None


def opened(body: bytes, *, max_bytes: int) -> dict[str, Any]:
    """The message in a request's body, `{"data": ...}`. Raises MessageRefused 10001, 10002, 10003."""
    try:
        envelope = strict_json.loads_object(body, max_bytes=max_bytes * 4 // 3 + 1_024, max_depth=4)
    except ValueError:
        raise MessageRefused(errors.UNEXPECTED_FORMAT, "envelope") from None
    if "data" not in envelope:
        raise MessageRefused(errors.MISSING_ITEM, "data")
    return decode(envelope["data"], max_bytes=max_bytes)


def taken(answer: Mapping[str, Any] | str | None = None) -> dict[str, Any]:
    """The envelope of a good answer: a message, a text that stands for itself, or nothing."""
    if answer is None:
        return {"result": True}
    return {"result": True, "data": answer if isinstance(answer, str) else encode(answer)}


def refused(code: int, trxcode: str | None) -> dict[str, Any]:
    """The envelope of a refusal: an M900. `trxcode` is left out where none could be read."""
    return {"result": False, "data": encode(m900(code, trxcode))}


# -- what we say -----------------------------------------------------------------------------------------------------


def m120(preparation: Preparation) -> dict[str, Any]:
    """What the app's code said, handed on to the operator's daemon."""
    header = _header("120", preparation.trxcode)
    return {**header, "mode": Mode.PROXY.value, "host": preparation.host}


def m200(trxcode: str, host: str, *, interface: str, ci: bool) -> dict[str, Any]:
    """The request: where the app gets its profile and our picture, and where it sends its presentation.

    The profile is left out, so that the QR code stays coarse enough to be read (section 2.2.2.1). `interface` is
    `QR-MPM` or `App2App`; `telno`, `packageName` belong to version 1.1.0 and are not asked for.
    """
    return {
        **_header("200", trxcode),
        "ifType": interface,
        "mode": Mode.DIRECT.value,
        "ci": ci,
        "telno": False,
        "packageName": False,
        "image": "link",
        "host": host,
    }


def m310(trxcode: str, profile: str | None = None) -> dict[str, Any]:
    """The request for a profile, or the answer to it: the app reads `trxcode` and `profile`."""
    message = {**_header("310", trxcode), "request": "profile"}
    return message if profile is None else {**message, "profile": profile}


def m400(trxcode: str, vp: UnverifiedVp) -> dict[str, Any]:
    """A presentation handed on to the operator's daemon."""
    return {**_header("400", trxcode), "request": "presentation", "vp": dict(vp.members)}


def m900(code: int, trxcode: str | None) -> dict[str, Any]:
    """An error. Without a transaction there is no `trxcode` to send back."""
    message: dict[str, Any] = {"type": TYPE, "version": VERSION, "cmd": "900"}
    if trxcode is not None:
        message["trxcode"] = trxcode
    return {**message, "errcode": code, "errmsg": errors.VERIFIER[code]}


def _header(cmd: str, trxcode: str) -> dict[str, Any]:
    return {"type": TYPE, "version": VERSION, "cmd": cmd, "trxcode": trxcode}


# -- what we read ----------------------------------------------------------------------------------------------------


def read_preparation(message: Mapping[str, Any]) -> Preparation:
    """M120. Raises MessageRefused."""
    _check(message, "120", ("mode", "host"))
    if message["mode"] != Mode.PROXY.value:
        raise MessageRefused(errors.INVALID_DATA, "mode")
    return Preparation(_trxcode(message), _text(message, "host", 200))


def read_wanted(message: Mapping[str, Any], cmd: str) -> Wanted:
    """M310 (`profile`) or M320 (`image`). Raises MessageRefused."""
    _check(message, cmd, ("request",))
    _request(message, {"310": "profile", "320": "image"}[cmd])
    return Wanted(_trxcode(message))


def read_submission(message: Mapping[str, Any]) -> Submission:
    """M400. Raises MessageRefused."""
    _check(message, "400", ("request", "vp"))
    _request(message, "presentation")
    return Submission(_trxcode(message), read_vp(message["vp"]))


def read_vp(vp: object) -> UnverifiedVp:
    """A presentation of presentType 1, each member of its shape.

    Raises MessageRefused 10002, 10100, 10106 to 10110.
    """
    if not isinstance(vp, dict):
        raise MessageRefused(errors.INVALID_DATA, "vp")
    _present(vp, ("presentType", "encryptType", "keyType", "type", "data"), "vp.")
    if _whole(vp["presentType"]) != PresentType.VP:
        raise MessageRefused(errors.UNSUPPORTED_PRESENT_TYPE)
    if _whole(vp["encryptType"]) not in ENCRYPT_TYPES:
        raise MessageRefused(errors.UNSUPPORTED_ENCRYPT_TYPE)
    if _whole(vp["keyType"]) not in KEY_TYPES:
        raise MessageRefused(errors.UNSUPPORTED_KEY_TYPE)
    if vp["type"] != VP_TYPE:
        raise MessageRefused(errors.UNSUPPORTED_VP_TYPE)
    _present(vp, ("authType", "did", "nonce"), "vp.")
    if not _DID.fullmatch(_text(vp, "did", 256)):
        raise MessageRefused(errors.INVALID_DATA, "did")
    if not _NONCE.fullmatch(_text(vp, "nonce", 256)):
        raise MessageRefused(errors.INVALID_DATA, "nonce")
    if not _HEX.fullmatch(_text(vp, "data", MAX_VP_BYTES)):
        raise MessageRefused(errors.INVALID_DATA, "data")
    return UnverifiedVp(vp["nonce"], _auth_types(vp["authType"]), vp["data"], vp)


def read_failure(message: Mapping[str, Any]) -> Failure:
    """M900. Raises MessageRefused."""
    _check(message, "900", ("errcode",))
    code = message["errcode"]
    if isinstance(code, str) and re.fullmatch(r"[0-9]{1,9}", code, re.ASCII):
        code = int(code)  # one example of the specification writes it as text
    if _whole(code) is None or not 0 <= code < 10**9:
        raise MessageRefused(errors.INVALID_DATA, "errcode")
    text = message.get("errmsg")
    return Failure(_trxcode(message), code, text[:200] if isinstance(text, str) else "")


def _check(message: Mapping[str, Any], cmd: str, more: Collection[str]) -> None:
    """The header, in the order of the specification's lists of errors."""
    _present(message, ("type", "version", "cmd", "trxcode", *more), "")
    if message["type"] != TYPE:
        raise MessageRefused(errors.INVALID_TYPE)
    if not isinstance(message["version"], str) or message["version"] not in VERSIONS:
        raise MessageRefused(errors.UNSUPPORTED_VERSION)
    if message["cmd"] != cmd:
        raise MessageRefused(errors.INVALID_CMD)


def _present(members: Mapping[str, Any], names: Collection[str], prefix: str) -> None:
    for name in names:
        if members.get(name) in (None, "", [], {}):
            raise MessageRefused(errors.MISSING_ITEM, prefix + name)


def _request(message: Mapping[str, Any], expected: str) -> None:
    if message["request"] != expected:
        raise MessageRefused(errors.INVALID_DATA, "request")


def _trxcode(message: Mapping[str, Any]) -> str:
    trxcode = message["trxcode"]
    if not isinstance(trxcode, str) or not _TRXCODE.fullmatch(trxcode):
        raise MessageRefused(errors.TRXCODE_NOT_FOUND, "not one of ours")
    return trxcode


def _auth_types(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > len(AUTH_TYPES):
        raise MessageRefused(errors.INVALID_DATA, "authType")
    lowered = tuple(item.lower() if isinstance(item, str) else "" for item in value)
    if not set(lowered) <= AUTH_TYPES:
        raise MessageRefused(errors.UNSUPPORTED_AUTH_TYPE)
    return lowered


def _text(members: Mapping[str, Any], name: str, max_chars: int) -> str:
    value = members[name]
    if not isinstance(value, str) or len(value) > max_chars:
        raise MessageRefused(errors.INVALID_DATA, name)
    return value


def _whole(value: object) -> int | None:
    """An integer; True is not 1."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
