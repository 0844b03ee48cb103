"""A sign-in that is tried, with a callback of ours, and its result shown once.

What is needed between the two ends lies in the Store, sealed under a cookie of this browser; what came back is on one
page and nowhere else. `admin.trials` says what the trial may not do, and why.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from authlib.oauth2.rfc6749.errors import OAuth2Error
from flask import Blueprint, Response, request
from joserfc.jwk import ECKey, OKPKey, RSAKey

from idp import portals, seal
from idp.admin import portal_events, trials
from idp.admin.people import Act, Administrator, Forbidden
from idp.errors import AuthorizationError, LoginError, RequestError
from idp.oidc import client_checks
from idp.oidc.portal_keys import signed
from idp.oidc.tokens import Order, token_key
from idp.oidc.userinfo import Presented, TokenRefused
from idp.portals import AUTHORIZATION_CODE, Registration
from idp.seal import CannotOpen
from idp.views import reasons
from idp.views.console.desk import Desk, NotFound, field
from idp.views.console.engineer import known
from idp.views.frame import see_other
from idp.views.messages import N_

_COOKIE: Final = "console-try"
_PURPOSE: Final = "console-try"
_A_MINUTE: Final = 20
_MAX_SHOWN = 200
CHECKS: Final[Mapping[str, str]] = {
    "state": N_("state is the one that this browser was sent with"),
    "iss_parameter": N_("iss in the answer is the issuer that was asked"),
    "alg": N_("The ID token is signed with the registered algorithm"),
    "signature": N_("The signature verifies with the published key of this kid"),
    "iss": N_("iss in the ID token is the issuer"),
    "aud": N_("aud is the client_id"),
    "azp": N_("azp, where it is there, is the client_id"),
    "exp": N_("The ID token has not expired (exp)"),
    "iat": N_("The ID token was made just now (iat)"),
    "nonce": N_("nonce is the one that was sent"),
    "acr": N_("acr is one that was asked for"),
    "auth_time": N_("auth_time is not older than max_age"),
    "at_hash": N_("at_hash fits the access token"),
    "userinfo_sub": N_("sub at UserInfo is that of the ID token"),
}
LIMITS: Final = (
    N_(
        "The trial goes by a client_id of its own, which ends with it; your registration needs no address "
        "of ours."
    ),
    N_("sub is not the one that your portal gets for this person."),
    N_(
        "How your client proves itself is not tried: the code is redeemed inside Sinwon. "
        "Tokens are not bound to a key."
    ),
    N_("Answers are not encrypted, since only you have the key. QR codes and single sign-on are off."),
)


class _Begun(msgspec.Struct, frozen=True):
    """A trial on its way: sealed under its cookie, at `console-try:<sha256>` of it."""

    admin_id: str
    client_id: str
    trial: str
    sent: dict[str, str]
    state: str
    nonce: str
    verifier: str
    signed: bool
    acr_values: tuple[str, ...] = ()
    max_age_s: int | None = None


class TryPages:
    """`/console/portals/<client_id>/try` and `/console/try/callback`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.frame = desk.frame
        self.house = desk.house
        self.settings = desk.frame.settings

    def add_to(self, door: Blueprint) -> None:
        guarded, rule = self.desk.guarded, door.add_url_rule
        rule("/portals/<client_id>/try", "portal_try", guarded(Act.SEE_PORTALS, self.form))
        rule(
            "/portals/<client_id>/try",
            "portal_try_begin",
            guarded(Act.CHANGE_PORTALS, self.begin),
            methods=["POST"],
        )
        # Not guarded: whoever is not signed in is not sent on with a code in the address.
        rule("/try/callback", "portal_try_callback", self.callback)

    # -- out -------------------------------------------------------------------------------------------------

    def form(self, admin: Administrator, client_id: str) -> Response:
        portal = known(admin, client_id)
        return self._form(admin, portal, {"scope": " ".join(trials_scopes(portal)), "claims": "", "acr": ""})

    def begin(self, admin: Administrator, client_id: str) -> Response:
        portal = known(admin, client_id)
        given = {"scope": field("scope", 1024), "claims": field("claims", 4096), "acr": field("acr", 16)}
        if AUTHORIZATION_CODE not in portal.grant_types:
            raise Forbidden
        if self.house.store.count(f"rate:try:{admin.id}", 60) > _A_MINUTE:
            raise LoginError("too_many", status=429)
        now = self.desk.clock()
        key = _new_key(portal.request_object_signing_alg or "ES256")
        trial = trials.begin(portal, self.settings, key.as_dict(private=False, use="sig", kid="try"), now=now)
        verifier = seal.random_token(48)
        sent = self._parameters(trial, given, verifier)
        form = self._request_object(trial, sent, key) if portal.require_signed_request_object else sent
        try:
            asked = self.house.authorization_requests.read_pushed(
                {name: [value] for name, value in form.items()}, trial
            )
        except (AuthorizationError, RequestError) as error:
            trials.end(trial.client_id, now=now)
            check = error.mismatch.check if error.mismatch is not None else ""
            said = getattr(error, "description", error.reason)
            return self._form(admin, portal, given, reasons.REASONS.get(check), said)
        expected = trials.expected_sub(self.settings, admin.id)
        pushed = self.house.pushed.push(msgspec.structs.replace(asked, expected_sub=expected))
        self._keep(
            _Begun(
                admin_id=admin.id,
                client_id=client_id,
                trial=trial.client_id,
                sent=sent,
                state=sent["state"],
                nonce=sent["nonce"],
                verifier=verifier,
                signed=form is not sent,
                acr_values=asked.acr_values,
                max_age_s=asked.max_age_s,
            )
        )
        query = {"client_id": trial.client_id, "request_uri": pushed["request_uri"]}
        return see_other(f"/authorize?{urlencode(query)}")

    def _parameters(self, trial: Registration, given: Mapping[str, str], verifier: str) -> dict[str, str]:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest())
        sent = {
            "client_id": trial.client_id,
            "redirect_uri": trial.redirect_uris[0],
            "response_type": "code",
            "scope": given["scope"],
            "state": seal.random_token(16),
            "nonce": seal.random_token(16),
            "code_challenge": challenge.rstrip(b"=").decode("ascii"),
            "code_challenge_method": "S256",
            "ui_locales": self.frame.lang(),
        }
        if given["claims"]:
            sent["claims"] = given["claims"]
        if given["acr"]:
            sent["acr_values"] = f"{self.settings.issuer}/acr/{given['acr']}"
        return sent

    def _request_object(
        self, trial: Registration, sent: Mapping[str, str], key: ECKey | OKPKey | RSAKey
    ) -> dict[str, str]:
        """The same parameters, signed (RFC 9101)."""
        now = self.desk.clock()
        alg = trial.request_object_signing_alg or "ES256"
        claims = {**sent, "iss": trial.client_id, "aud": self.settings.issuer, "nbf": now, "exp": now + 300}
        header = {"alg": alg, "typ": "oauth-authz-req+jwt", "kid": "try"}
        return {"client_id": trial.client_id, "request": signed(header, claims, key)}

    def _keep(self, begun: _Begun) -> None:
        cookie = seal.random_token()
        sealed = seal.under(cookie, msgspec.json.encode(begun), _PURPOSE)
        self.house.store.put(_key(cookie), {"sealed": sealed}, trials.TTL_S)
        self.frame.set_cookie(_COOKIE, cookie, trials.TTL_S)

    def _form(
        self,
        admin: Administrator,
        portal: Registration,
        given: Mapping[str, str],
        problem: reasons.Reason | None = None,
        said: str = "",
    ) -> Response:
        return self.desk.page(
            "portal_try.html",
            status=400 if said else 200,
            portal=portal,
            given=given,
            problem=problem,
            said=said,
            may=admin.may(Act.CHANGE_PORTALS) and AUTHORIZATION_CODE in portal.grant_types,
            own=self.settings.mode == "production",
            acrs=[("", "–"), ("general", "general"), ("secure", "secure")],
            limits=LIMITS,
            url=f"/console/portals/{quote(portal.client_id, safe='')}/try",
        )

    # -- back ------------------------------------------------------------------------------------------------

    def callback(self) -> Response:
        """The answer to a trial of this browser, shown once."""
        begun = self._begun()
        admin = self.desk.here()
        trial = portals.find(begun.trial) if begun is not None else None
        real = self._visible(admin, begun)
        if begun is None or trial is None or real is None:
            return self.desk.problem(
                N_("This trial is over"),
                N_("Its result is shown once, in the browser that began it. Begin another one."),
                status=404,
            )
        back = {name: request.args.get(name, "")[:512] for name in request.args}
        try:
            shown = self._result(begun, trial, back)
        finally:
            trials.end(begun.trial, now=self.desk.clock())
        return self.desk.page(
            "portal_try_result.html",
            portal=real,
            sent=begun.sent,
            signed=begun.signed,
            pushed=real.must_push,
            back={name: _told(name, value) for name, value in back.items() if name != "lang"},
            words=CHECKS,
            limits=LIMITS,
            **shown,
        )

    @staticmethod
    def _visible(admin: Administrator | None, begun: _Begun | None) -> Registration | None:
        """The portal, if whoever is here began this and may know of it still."""
        if admin is None or begun is None or admin.id != begun.admin_id:
            return None
        try:
            return known(admin, begun.client_id)
        except NotFound:
            return None

    def _begun(self) -> _Begun | None:
        cookie = self.frame.cookie(_COOKIE)
        self.frame.set_cookie(_COOKIE, "", 0)
        document = self.house.store.take(_key(cookie)) if cookie and len(cookie) <= 64 else None
        try:
            opened = seal.open_under(cookie or "", str((document or {}).get("sealed", "")), _PURPOSE)
            return msgspec.json.decode(opened, type=_Begun)
        except (CannotOpen, msgspec.DecodeError):
            return None

    def _result(self, begun: _Begun, trial: Registration, back: Mapping[str, str]) -> dict[str, Any]:
        """What the page shows: the checks, and what came of the code if they hold."""
        asked = client_checks.Asked(
            issuer=self.settings.issuer,
            client_id=trial.client_id,
            state=begun.state,
            nonce=begun.nonce,
            alg=trial.id_token_signed_response_alg,
            acr_values=begun.acr_values,
            max_age_s=begun.max_age_s,
        )
        checks = client_checks.of_callback(asked, back)
        nothing = {"checks": checks, "tokens": None, "id_token": None, "userinfo": None, "trouble": None}
        if not all(check.holds for check in checks) or not back.get("code"):
            return {**nothing, "trouble": self._trouble(trial)}
        try:
            tokens = self.house.codes.redeem(
                trial,
                back["code"],
                Order(),
                redirect_uri=trial.redirect_uris[0],
                code_verifier=begun.verifier,
            )
        except OAuth2Error:
            return {**nothing, "trouble": self._trouble(trial)}
        return self._read(asked, checks, tokens)

    def _read(
        self, asked: client_checks.Asked, checks: list[client_checks.Checked], tokens: dict[str, Any]
    ) -> dict[str, Any]:
        read = client_checks.decoded(tokens["id_token"])
        jwks = self.house.keys.jwks()
        access_token = tokens["access_token"]
        checks += client_checks.of_id_token(
            asked, tokens["id_token"], access_token, jwks, now=self.desk.clock()
        )
        userinfo = self._userinfo(access_token)
        checks += client_checks.of_userinfo(read.unverified_claims, userinfo)
        return {
            "checks": checks,
            "tokens": pretty({name: _told(name, value) for name, value in tokens.items()}),
            "id_token": (pretty(read.header), pretty(read.unverified_claims)),
            "userinfo": pretty(userinfo),
            "trouble": None,
        }

    def _userinfo(self, access_token: str) -> dict[str, Any]:
        """What UserInfo says, by its own way; the token is forgotten at once."""
        try:
            said = self.house.userinfo.answer(Presented(access_token, "bearer", "GET", request.headers))
        except TokenRefused:
            return {}
        finally:
            self.house.store.take(token_key(seal.digest(access_token)))
        return client_checks.decoded(said).unverified_claims if isinstance(said, str) else said

    def _trouble(self, trial: Registration) -> reasons.Reason | None:
        """The words for what the trial was refused for last."""
        names = [str(name) for name in reasons.REFUSALS]
        found = portal_events.of(trial.client_id, names=names, limit=1)
        return reasons.words(found[0].name, found[0].reason, found[0].detail)[1] if found else None


def trials_scopes(portal: Registration) -> list[str]:
    """What a trial may ask for: the portal's scopes but for coming back later."""
    return [scope for scope in portal.scopes if scope != "offline_access"]


def _new_key(alg: str) -> ECKey | OKPKey | RSAKey:
    if alg == "EdDSA":
        return OKPKey.generate_key("Ed25519")
    return ECKey.generate_key("P-256") if alg == "ES256" else RSAKey.generate_key(2048)


def _told(name: str, value: Any) -> Any:
    """A value that opens something is not shown, only how long it is."""
    return f"… ({len(str(value))})" if name in {"code", "access_token", "id_token", "response"} else value


def pretty(value: Any) -> str:
    """JSON to read; what is too long to read is cut."""
    return json.dumps(_short(value), ensure_ascii=False, indent=2)


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_short(member) for member in value]
    if isinstance(value, str) and len(value) > _MAX_SHOWN:
        return f"{value[:40]}… ({len(value)})"
    return value


def _key(cookie: str | None) -> str:
    return f"console-try:{seal.digest(cookie or '')}"
