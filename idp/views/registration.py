"""The door by which portals register themselves (RFC 7591, 7592), and where their logos are served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, g, jsonify, request

from idp import portals, strict_json
from idp.addresses import neighbourhood
from idp.events import Event, record_alone
from idp.oidc import key_use, registration
from idp.oidc.registration import AccessRefused, RegistrationRefused
from idp.views.frame import Frame, log

_LOGO_MAX_AGE_S = 365 * 86400
_OTHER_ADDRESS_MAX_AGE_S = 300


class RegistrationDoor:
    """`/register`, the `registration_endpoint`; `/register/<client_id>`; `/portals/<client_id>/logo.png`."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.house = frame.house

    def blueprint(self) -> Blueprint:
        door = Blueprint("registration", __name__)
        rule = door.add_url_rule
        rule("/register", "register", self.register, methods=["POST"])
        rule("/register/<client_id>", "manage", self.manage, methods=["GET", "PUT", "DELETE"])
        rule("/portals/<client_id>/logo.png", "logo", self.logo)
        return door

    def register(self) -> Response:
        self._throttle()

        def act() -> tuple[dict[str, Any], int]:
            return self.house.registrations.register(_metadata(), _bearer()), 201

        return self._answered(act, None)

    def manage(self, client_id: str) -> Response:
        self._throttle()
        registrations = self.house.registrations

        def act() -> tuple[dict[str, Any] | None, int]:
            token = _bearer()
            if token is None:
                raise AccessRefused("", "A registration access token is needed here.")
            if request.method == "PUT":
                return registrations.update(client_id, token, _metadata()), 200
            if request.method == "DELETE":
                registrations.remove(client_id, token)
                return None, 204
            return registrations.read(client_id, token), 200

        return self._answered(act, client_id)

    def logo(self, client_id: str) -> Response:
        """For ever at the address that pages name, a little while at any other."""
        found = registration.logo_png(client_id)
        if found is None:
            abort(404)
        png, digest = found
        response = Response(png, mimetype="image/png")
        named = request.args.get("v") == digest[:12]
        age_s = _LOGO_MAX_AGE_S if named else _OTHER_ADDRESS_MAX_AGE_S
        response.headers["Cache-Control"] = f"public, max-age={age_s}" + (", immutable" if named else "")
        return response

    def _answered(
        self, act: Callable[[], tuple[dict[str, Any] | None, int]], client_id: str | None
    ) -> Response:
        """What was done, as JSON, or why not (RFC 7591, section 3.2.2; RFC 6750, section 3)."""
        try:
            body, status = act()
        except RegistrationRefused as refused:
            self._record(refused.error, client_id)
            log.info("%s %s", g.correlation_id, refused)
            response = jsonify(error=refused.error, error_description=refused.description)
            response.status_code = 400
            return response
        except AccessRefused as refused:
            self._record(refused.error or "no_token", client_id)
            return self._challenge(refused)
        if body is not None and request.method != "GET":
            self._see_to_keys(body["client_id"])
        response = Response(status=status) if body is None else jsonify(body)
        response.status_code = status
        return response

    def _see_to_keys(self, client_id: str) -> None:
        """An algorithm that no portal asked for before gets its key now, not when something is to be signed."""
        portal = portals.find(client_id)
        if portal is not None:
            self.house.keys.ensure(key_use.algorithms(portal))

    def _challenge(self, refused: AccessRefused) -> Response:
        response = jsonify(error=refused.error or "invalid_token", error_description=refused.description)
        response.status_code = refused.status
        if refused.status == 401:
            challenge = f'Bearer realm="{self.frame.settings.issuer}"'
            if refused.error:
                challenge += f', error="{refused.error}", error_description="{refused.description}"'
            response.headers["WWW-Authenticate"] = challenge
        return response

    def _record(self, reason: str, client_id: str | None) -> None:
        known = client_id if client_id is not None and portals.find(client_id) is not None else None
        record_alone(Event.REGISTRATION_REFUSED, at=self.house.clock(), client_id=known, reason=reason)

    def _throttle(self) -> None:
        limit = self.frame.settings.registration.per_minute_per_ip
        if self.house.store.count(f"rate:register:{neighbourhood(request.remote_addr or '')}", 60) > limit:
            abort(429)


def _metadata() -> dict[str, Any]:
    """The request's body: one JSON object (RFC 7591, section 3.1)."""
    if request.mimetype != "application/json":
        raise RegistrationRefused("invalid_client_metadata", "the content type must be application/json")
    try:
        return strict_json.loads_object(request.get_data(cache=False))
    except ValueError as error:
        raise RegistrationRefused("invalid_client_metadata", "the body must be one JSON object") from error


def _bearer() -> str | None:
    """The token in the header, None where there is none. One of another form is as good as a wrong one."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise AccessRefused("invalid_token", "The Authorization header must carry a bearer token.")
    return token.strip()
