"""What every request to the admin API goes through: who asks, may they, what did they send, and how errors look.

Cookies are not looked at, and no other origin is let in: a browser never acts here for the person in front of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from flask import Response, g, request

from idp import strict_json
from idp.addresses import neighbourhood
from idp.admin import people, tokens
from idp.admin.audit import BadSearch
from idp.admin.organisations import OrganisationError
from idp.admin.people import Administrator, Forbidden, InvitationError, UnknownAdministrator
from idp.admin.portals.changes import ChangeRefused
from idp.admin.tokens import TokenRefused
from idp.admin.trust import Outdated
from idp.credentials.trust import TrustDocumentError
from idp.events import Event, record_alone
from idp.portals import RegistrationError
from idp.portals.versions import Conflict, UnknownPortal
from idp.presentation.wallets import ProfileError
from idp.views.api.operations import JSON, Answer, Area, Call, Operation
from idp.views.problems import ApiError, Wrong, problem
from idp.wiring import House

log = logging.getLogger("idp")

FAILED_PER_MINUTE = 30
"""So many requests with tokens that do not count are answered, and audited, from one neighbourhood."""
_NOT_THERE = (UnknownPortal, UnknownAdministrator, InvitationError)
_REFUSED = (
    ChangeRefused,
    OrganisationError,
    RegistrationError,
    TrustDocumentError,
    ProfileError,
    BadSearch,
)


class Gate:
    """Guards the operations, and makes their answers."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._max_bytes = house.settings.server.max_body_bytes

    def guarded(self, operation: Operation, area: Area) -> Callable[..., Response]:
        """The operation as a view of Flask's."""

        def view(**path: str) -> Response:
            try:
                return _answered(operation, self._do(operation, area, path))
            except ApiError as wrong:
                return problem(wrong.code, wrong.findings, wrong.headers)
            except Forbidden:
                record_alone(Event.ADMIN_REFUSED, at=self._house.clock(), reason="forbidden")
                return problem("forbidden", (), self._challenge("insufficient_scope"))
            except _NOT_THERE:
                return problem("not_found")
            except (Conflict, Outdated):
                return problem("outdated" if operation.matches else "conflict")
            except _REFUSED as refused:
                return problem("invalid", _findings(refused))

        return view

    def _do(self, operation: Operation, area: Area, path: Mapping[str, str]) -> Answer:
        if operation.public:
            return operation.view(area)
        admin = self._whoever_asks()
        people.acting(admin)
        if operation.act is not None and not admin.may(operation.act):
            raise Forbidden
        if any("\0" in value for value in path.values()):
            raise ApiError("not_found")
        query = _query(operation)
        body, unverified = self._body(operation)
        if operation.matches and "If-Match" not in request.headers:
            raise ApiError("precondition_required")
        return operation.view(area, Call(admin, query, body, unverified), **path)

    # -- who asks --------------------------------------------------------------------------------------------

    def _whoever_asks(self) -> Administrator:
        """RFC 6750, section 3: what is wrong with a token is said to whoever has it."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ApiError("token_missing", (), self._challenge())
        try:
            return tokens.holder_of(token.strip(), now=self._house.clock())
        except TokenRefused as refused:
            self._throttle()
            record_alone(Event.ADMIN_REFUSED, at=self._house.clock(), reason=refused.reason)
            log.info("%s admin API: %s", g.correlation_id, refused.reason)
            raise ApiError(refused.reason, (), self._challenge("invalid_token")) from refused

    def _throttle(self) -> None:
        """A token that counts is never kept out: others may be behind the same address."""
        near = neighbourhood(request.remote_addr or "")
        if self._house.store.count(f"rate:admin-api:{near}", 60) > FAILED_PER_MINUTE:
            raise ApiError("too_many", (), {"Retry-After": "60"})

    def _challenge(self, error: str = "") -> dict[str, str]:
        said = f'Bearer realm="{self._house.settings.issuer}"' + (f', error="{error}"' if error else "")
        return {"WWW-Authenticate": said}

    # -- what was sent ---------------------------------------------------------------------------------------

    def _body(self, operation: Operation) -> tuple[Any, Mapping[str, Any]]:
        if operation.body is None:
            return None, {}
        if request.mimetype != operation.takes:
            raise ApiError("unsupported_media_type", (), {"Accept": str(operation.takes)})
        request.max_content_length = self._max_bytes
        given = request.get_data(cache=False)
        if operation.body is bytes:
            return given, {}
        try:
            unverified = strict_json.loads_object(given, max_bytes=self._max_bytes)
        except ValueError as error:
            raise ApiError("malformed", [Wrong("", _why(error))]) from error
        if place := _nul(unverified, ""):
            raise ApiError("invalid", [Wrong(place, "has a NUL")])
        return _read(unverified, operation.body, strict=True), unverified


def _query(operation: Operation) -> Any:
    """The query, each parameter once."""
    given: dict[str, str] = {}
    for name, values in request.args.lists():
        if len(values) > 1:
            raise ApiError("invalid", [Wrong(name, "is there twice")])
        if "\0" in values[0]:
            raise ApiError("invalid", [Wrong(name, "has a NUL")])
        given[name] = values[0]
    return _read(given, operation.query, strict=False)


def _read(given: Mapping[str, Any], wanted: Any, *, strict: bool) -> Any:
    try:
        return msgspec.convert(given, wanted, strict=strict)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        raise ApiError("invalid", [Wrong(place.rstrip("`"), text)]) from error


def _nul(value: Any, place: str) -> str:
    """Where a text has a NUL, which PostgreSQL takes in none; "" where none has."""
    if isinstance(value, str):
        return (place or "body") if "\0" in value else ""
    if isinstance(value, dict):
        if any("\0" in name for name in value):
            return place or "body"
        members = ((f"{place}.{name}".lstrip("."), member) for name, member in value.items())
        return next((found for name, member in members if (found := _nul(member, name))), "")
    if isinstance(value, list):
        return next((found for member in value if (found := _nul(member, place))), "")
    return ""


def _why(error: ValueError) -> str:
    """What is wrong with a text that is no JSON, without the text."""
    return str(error) if type(error) is ValueError else "not JSON"


def _findings(refused: Exception) -> list[Wrong]:
    found = getattr(refused, "findings", None)
    if found is not None:
        return [Wrong(finding.field, finding.text) for finding in found]
    problems = getattr(refused, "problems", None) or [str(refused)]
    return [Wrong("", str(text)) for text in problems]


def _answered(operation: Operation, answer: Answer) -> Response:
    if operation.answer is not None:
        response = Response(msgspec.json.encode(answer.value), content_type=JSON)
    else:
        response = Response(answer.value, content_type=operation.media_type)
    response.status_code = answer.status
    if answer.etag is not None:
        response.headers["ETag"] = answer.etag
    if answer.location is not None:
        response.headers["Location"] = answer.location
    response.headers.update(answer.headers)
    return response
