"""The portals' back door: what their servers ask ours directly, after proving who they are.

Every endpoint takes a form, authenticates the portal by the method it registered, and answers in JSON; a refusal is
an OAuth error with the correlation id in its header.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from flask import Blueprint, Response, g, jsonify, request

from idp.addresses import neighbourhood
from idp.errors import AuthorizationError, RequestError, Unavailable
from idp.events import Event, origin, record_alone
from idp.oidc import introspection
from idp.oidc.client_auth import refused
from idp.oidc.dpop import DpopRefused
from idp.oidc.server import GOES_ON, read_form
from idp.portals import Registration
from idp.views.frame import Frame, log, parameters

Answer = Callable[[Registration], Response]
_DPOP_PATHS = {"/token", "/par"}


class PushRefused(OAuth2Error):  # type: ignore[misc]
    """An authorization request that cannot be pushed, told as JSON (RFC 9126, section 2.3)."""

    status_code = 400


class BackChannelDoor:
    """`/token`, `/par`, `/device_authorization`, `/introspect` and `/revoke`."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.house = frame.house

    def blueprint(self) -> Blueprint:
        door = Blueprint("back_channel", __name__)
        for path, view in (
            ("/token", self.token),
            ("/par", self.push),
            ("/device_authorization", self.device_authorization),
            ("/introspect", self.introspect),
            ("/revoke", self.revoke),
        ):
            door.add_url_rule(path, view.__name__, view, methods=["POST"])
        door.after_request(self._explain)
        door.after_request(self._offer_nonce)
        return door

    def token(self) -> Response:
        return self.house.tokens.respond(request)

    def push(self) -> Response:
        return self._answered(self._push)

    def device_authorization(self) -> Response:
        return self._answered(self._device_authorization)

    def introspect(self) -> Response:
        return self._answered(self._introspect)

    def revoke(self) -> Response:
        return self._answered(self._revoke)

    # -- each once the portal has proven itself --------------------------------------------------------------

    def _push(self, portal: Registration) -> Response:
        """RFC 9126. A proof here binds the code to its key, as `dpop_jkt` does (RFC 9449, section 10.1)."""
        if portal.is_public:
            self._throttle("pushed")
        jkt = self.house.bindings.jkt(request.headers, path="/par", method="POST")
        given = parameters()
        if jkt is not None and given.get("dpop_jkt", [jkt]) != [jkt]:
            raise _other_key()
        try:
            asked = self.house.authorization_requests.read_pushed(given, portal)
        except AuthorizationError as error:
            raise PushRefused(f"{error.description}.", error=error.error) from error
        except RequestError as error:
            raise InvalidRequestError("redirect_uri is not registered for this client.") from error
        if jkt is not None and asked.dpop_jkt not in {None, jkt}:
            raise _other_key()
        response = jsonify(self.house.pushed.push(asked, jkt))
        response.status_code = 201
        return response

    def _device_authorization(self, portal: Registration) -> Response:
        """RFC 8628, section 3.1."""
        if portal.is_public:
            self._throttle("device-codes")
        try:
            asked = self.house.device_requests.read(parameters(), portal)
        except AuthorizationError as error:
            raise PushRefused(f"{error.description}.", error=error.error) from error
        self.house.question(portal, asked)  # else a holder would find out on the phone
        return jsonify(self.house.devices.issue(asked))

    def _throttle(self, what: str) -> None:
        """Anybody can name a public client: what is kept for one address must have an end."""
        limit = self.frame.settings.holder.logins_per_minute_per_ip
        where = neighbourhood(request.remote_addr or "")
        if self.house.store.count(f"rate:{what}:{where}", 60) > limit:
            raise PushRefused(
                "Too many requests in a minute.", error="temporarily_unavailable", status_code=429
            )

    def _introspect(self, portal: Registration) -> Response:
        if portal.is_public:
            # It proved nothing, and anybody could scan for tokens in its name (RFC 7662, section 4).
            raise refused("no_credentials", portal.client_id, self.house.clock())
        answer = self.house.introspection.answer(_token(), portal)
        if request.accept_mimetypes.best_match([introspection.MEDIA_TYPE, "application/json"]) == (
            introspection.MEDIA_TYPE
        ) and introspection.MEDIA_TYPE in request.headers.get("Accept", ""):
            signed = self.house.introspection.signed(answer, portal)
            return Response(signed, mimetype=introspection.MEDIA_TYPE)
        return jsonify(answer)

    def _revoke(self, portal: Registration) -> Response:
        self.house.revocation.revoke(_token(), portal)
        response = Response(status=200)
        del response.headers[
            "Content-Type"
        ]  # there is nothing to read, and some clients refuse what is not JSON
        return response

    # -- all alike -------------------------------------------------------------------------------------------

    def _answered(self, answer: Answer) -> Response:
        portal = None
        try:
            read_form(request)
            portal = self.house.client_authentication.authenticate(request).registration
            response = answer(portal)
        except OAuth2Error as error:
            if error.error not in GOES_ON and not origin.get().caused:
                self._report(portal, error)
            response = oauth_error(error)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _report(self, portal: Registration | None, error: OAuth2Error) -> None:
        """Who is refused finds the event by the correlation id; whose it is is known once a portal proved itself."""
        reason = f"dpop_{error.reason}" if isinstance(error, DpopRefused) and error.reason else error.error
        # What could not be pushed was refused for a cause that knows both sides.
        mismatch = getattr(error, "mismatch", None) or getattr(error.__cause__, "mismatch", None)
        record_alone(
            Event.REQUEST_REFUSED,
            at=self.house.clock(),
            client_id=portal.client_id if portal is not None else None,
            reason=reason,
            detail=mismatch.detail if mismatch is not None else None,
        )

    @staticmethod
    def _explain(response: Response) -> Response:
        """A line for the operator of every refusal, by the correlation id that its answer carries."""
        if response.status_code >= 400:
            said = response.get_json(silent=True) or {}
            log.info("%s %s %s", g.correlation_id, request.path, said.get("error", response.status_code))
        return response

    def _offer_nonce(self, response: Response) -> Response:
        """A portal that proves keys finds the nonce of its next proof in every answer (RFC 9449, section 8.2)."""
        if request.path in _DPOP_PATHS and "DPoP" in request.headers and "DPoP-Nonce" not in response.headers:
            with suppress(Unavailable):  # what was bought is bought: the answer goes out without
                response.headers["DPoP-Nonce"] = self.house.bindings.nonce()
        return response


def oauth_error(error: OAuth2Error) -> Response:
    """An error of Authlib's kind as the JSON it stands for."""
    status, body, headers = error()
    response = jsonify({name: value for name, value in dict(body).items() if name != "error_uri"})
    response.status_code = status
    for name, value in headers:
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _other_key() -> DpopRefused:
    return DpopRefused(
        "invalid_dpop_proof", "dpop_jkt is not the thumbprint of the proof's key.", reason="jkt"
    )


def _token() -> str:
    token: Any = request.form.get("token")
    if not token:
        raise InvalidRequestError("token is missing.")
    return str(token)
