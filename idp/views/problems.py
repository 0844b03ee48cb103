"""Errors of the admin API, as RFC 9457 has them: `application/problem+json`, with a code that stays what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from flask import Response, g

API: Final = "/admin/api/"
MEDIA_TYPE: Final = "application/problem+json"
_MAX_SAID_CHARS = 300

Code = Literal[
    "malformed",
    "token_missing",
    "token_unknown",
    "token_expired",
    "token_revoked",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "conflict",
    "outdated",
    "too_large",
    "unsupported_media_type",
    "invalid",
    "precondition_required",
    "too_many",
    "internal",
    "unavailable",
]
PROBLEMS: Final[Mapping[Code, tuple[int, str]]] = {
    "malformed": (400, "The body cannot be read."),
    "token_missing": (401, "A token is needed: Authorization: Bearer …"),
    "token_unknown": (401, "This is no token of this deployment."),
    "token_expired": (401, "This token has expired."),
    "token_revoked": (401, "This token was revoked."),
    "forbidden": (403, "The role of this token does not allow it."),
    "not_found": (404, "There is nothing here, or it is not yours to see."),
    "method_not_allowed": (405, "This cannot be done here; Allow says what can."),
    "conflict": (409, "It is there already, was decided, or was changed meanwhile."),
    "outdated": (412, "It was changed since it was read: read it again."),
    "too_large": (413, "The body is too large."),
    "unsupported_media_type": (415, "The body has another content type than this takes."),
    "invalid": (422, "What was sent cannot be used; findings say what is wrong with which member."),
    "precondition_required": (
        428,
        "Say which version is to be changed: If-Match, with the ETag that was read.",
    ),
    "too_many": (429, "Too many requests with tokens that do not count."),
    "internal": (500, "Something is wrong with us. The log has it under the correlation id."),
    "unavailable": (503, "Something that we stand on is down: nothing happened, try again."),
}
_OF_STATUS: Final[Mapping[int, Code]] = {
    status: code for code, (status, _) in PROBLEMS.items() if status != 401
} | {401: "token_missing"}


class Wrong(msgspec.Struct, frozen=True):
    """What is wrong with one member, by its dotted name ("" for all of them); in English, for programs."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True):
    """An error (RFC 9457). `code` is what a program goes by; `correlation_id` is in the audit and in the log too."""

    type: str
    title: str
    status: int
    code: Code
    correlation_id: str
    findings: list[Wrong]


class ApiError(Exception):
    """Ends a request with a problem."""

    def __init__(
        self, code: Code, findings: Sequence[Wrong] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.code: Code = code
        self.findings = findings
        self.headers = headers or {}


def problem(code: Code, findings: Sequence[Wrong] = (), headers: Mapping[str, str] | None = None) -> Response:
    """The answer that says what is wrong."""
    status, title = PROBLEMS[code]
    said = Problem(
        type=f"/docs/api#{code}",
        title=title,
        status=status,
        code=code,
        correlation_id=g.correlation_id,
        findings=[Wrong(_short(wrong.field), _short(wrong.message)) for wrong in findings],
    )
    response = Response(msgspec.json.encode(said), status=status, content_type=MEDIA_TYPE)
    response.headers.update(headers or {})
    return response


def problem_of_status(status: int) -> Response:
    """The same for an error that HTTP has a number for."""
    code = _OF_STATUS.get(status, "internal" if status >= 500 else "malformed")
    return problem(code, (), {"Retry-After": "5"} if status == 503 else None)


def _short(text: str) -> str:
    """A sentence may have what was sent in it, which may be long."""
    return text if len(text) <= _MAX_SAID_CHARS else f"{text[:_MAX_SAID_CHARS]}…"
