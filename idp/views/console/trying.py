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
from flask import Blueprint, Response, request

from idp import portals, seal
from idp.admin import portal_events, trials
from idp.admin.people import Act, Administrator, Forbidden
from idp.errors import AuthorizationError, LoginError, RequestError
from idp.oidc import trial_client
from idp.oidc.client_checks import Asked
from idp.oidc.portal_keys import NoUsableKey
from idp.oidc.reply import RESPONSE_MODES
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
_MAX_ANSWER = 16_384
CHECKS: Final[Mapping[str, str]] = {
    "authorization_encrypted": N_("The answer is encrypted as it was registered, and can be opened"),
    "response_iss": N_("iss in the answer's JWT is the issuer (JARM)"),
    "response_aud": N_("aud in the answer's JWT is the client_id"),
    "response_exp": N_("The answer's JWT has not expired"),
    "response_signature": N_("The answer's JWT is signed with the registered algorithm and a published key"),
    "state": N_("state is the one that this browser was sent with"),
    "iss_parameter": N_("iss in the answer is the issuer that was asked"),
    "client_authentication": N_("The client proved who it is at the token endpoint"),
    "key_proven": N_("The key that the tokens are bound to was proven"),
    "token_type": N_("token_type is what the binding asks for"),
    "id_token_encrypted": N_("The ID token is encrypted as it was registered, and can be opened"),
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
    "userinfo_encrypted": N_("UserInfo is encrypted as it was registered, and can be opened"),
    "userinfo_signature": N_("UserInfo is signed with the registered algorithm, for this client"),
    "userinfo_sub": N_("sub at UserInfo is that of the ID token"),
}
LIMITS: Final = (
    N_(
        "The trial goes by a client_id of its own, which ends with it; your registration needs no address "
        "of ours."
    ),
    N_("sub is not the one that your portal gets for this person."),
    N_(
        "Secret, keys and certificate are made for the trial, since yours are not ours to have. What your own "
        "client sends can be pasted under “Check a proof”."
    ),
    N_(
        "The token endpoint and UserInfo are asked inside Sinwon, not over your network: your proxy, your TLS "
        "and your clock are not part of it."
    ),
    N_("QR codes, single sign-on, refresh tokens and resources are not tried."),
)
_METHODS: Final[Mapping[str, str]] = {
    "client_secret_basic": N_("tried as registered, with a secret made for the trial"),
    "client_secret_post": N_("tried as registered, with a secret made for the trial"),
    "private_key_jwt": N_("tried as registered, with a key made for the trial"),
    "self_signed_tls_client_auth": N_("tried as registered, with a certificate made for the trial"),
    "none": N_(
        "not tried: a public client's trial could be begun by anybody. private_key_jwt stood in for it"
    ),
    "tls_client_auth": N_(
        "not tried: a certificate of your authority is not ours to make. private_key_jwt stood in for it"
    ),
}
_NOT_HERE: Final = N_("not tried: this deployment reads no client certificates")
_BOUND: Final[Mapping[str, str]] = {
    "": N_("not bound: whoever has one can use it"),
    "dpop": N_("bound by DPoP, to a key made for the trial"),
    "certificate": N_("bound to a certificate made for the trial"),
}
_PARTS: Final[Mapping[trial_client.Encrypted, str]] = {
    "authorization": N_("Encryption of the answer"),
    "id_token": N_("Encryption of the ID token"),
    "userinfo": N_("Encryption of UserInfo"),
}


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
    own: trial_client.Own
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
        rule("/try/callback", "portal_try_posted", self.callback, methods=["POST"])

    # -- out -------------------------------------------------------------------------------------------------

    def form(self, admin: Administrator, client_id: str) -> Response:
        portal = known(admin, client_id)
        given = {"scope": " ".join(trials_scopes(portal)), "claims": "", "acr": "", "response_mode": ""}
        if portal.authorization_encrypted_response_alg is not None:
            given["response_mode"] = "jwt"
        return self._form(admin, portal, given)

    def begin(self, admin: Administrator, client_id: str) -> Response:
        portal = known(admin, client_id)
        lengths = {"scope": 1024, "claims": 4096, "acr": 16, "response_mode": 16}
        given = {name: field(name, max_chars) for name, max_chars in lengths.items()}
        if AUTHORIZATION_CODE not in portal.grant_types:
            raise Forbidden
        if self.house.store.count(f"rate:try:{admin.id}", 60) > _A_MINUTE:
            raise LoginError("too_many", status=429)
        now = self.desk.clock()
        own = self.house.trial_client.make(portal)
        trial = trials.begin(
            portal,
            self.settings,
            jwks=own.jwks,
            method=own.method,
            secret_sha256=own.secret_sha256,
            now=now,
        )
        verifier = seal.random_token(48)
        sent = self._parameters(trial, given, verifier)
        if own.binding == "dpop":
            sent["dpop_jkt"] = own.jkt
        form = self._request_object(trial, sent, own) if portal.require_signed_request_object else sent
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
                own=own,
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
        if given["response_mode"]:
            sent["response_mode"] = given["response_mode"]
        if given["claims"]:
            sent["claims"] = given["claims"]
        if given["acr"]:
            sent["acr_values"] = f"{self.settings.issuer}/acr/{given['acr']}"
        return sent

    def _request_object(
        self, trial: Registration, sent: Mapping[str, str], own: trial_client.Own
    ) -> dict[str, str]:
        """The same parameters, signed (RFC 9101)."""
        now = self.desk.clock()
        claims = {**sent, "iss": trial.client_id, "aud": self.settings.issuer, "nbf": now, "exp": now + 300}
        alg = trial_client.request_object_alg(trial)
        return {
            "client_id": trial.client_id,
            "request": own.sign(alg, claims, typ="oauth-authz-req+jwt"),
        }

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
            modes=[("", "–"), *((mode, mode) for mode in RESPONSE_MODES)],
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
        given = request.form if request.method == "POST" else request.args
        back = {name: given.get(name, "")[:_MAX_ANSWER] for name in given if name != "lang"}
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
            back=_short({name: _told(name, value) for name, value in back.items()}),
            posted=request.method == "POST",
            ways=self._ways(begun, real),
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
        asked = Asked(
            issuer=self.settings.issuer,
            client_id=trial.client_id,
            state=begun.state,
            nonce=begun.nonce,
            alg=trial.id_token_signed_response_alg,
            acr_values=begun.acr_values,
            max_age_s=begun.max_age_s,
        )
        made = self.house.trial_client.finish(trial, begun.own, asked, begun.verifier, back)
        inside = made.parameters if "response" in back else {}
        tokens = made.tokens
        return {
            "checks": made.checks,
            "inside": {name: _told(name, value) for name, value in inside.items() if name != "response"},
            "tokens": pretty({n: _told(n, v) for n, v in tokens.items()}) if tokens else None,
            "id_token": (
                (pretty(made.id_token.header), pretty(made.id_token.unverified_claims))
                if made.id_token
                else None
            ),
            "userinfo": pretty(made.userinfo),
            "trouble": None if tokens else self._trouble(trial),
        }

    def _ways(self, begun: _Begun, real: Registration) -> list[tuple[str, str, str]]:
        """What of the registration was tried, and how: its name, its value there, words about it."""
        text, method = self.desk.text, real.token_endpoint_auth_method
        is_explained = begun.own.method == method or method in trial_client.UNTRIED
        how = _METHODS[method] if is_explained else _NOT_HERE
        return [
            (text(N_("Client authentication")), method, text(how)),
            (text(N_("Tokens")), "", text(_BOUND[begun.own.binding])),
            *(
                (text(_PARTS[what]), " ".join(found), self._recipient(real, found[0]))
                for what in trial_client.ENCRYPTED
                if (found := trial_client.encryption(real, what))
            ),
        ]

    def _recipient(self, real: Registration, alg: str) -> str:
        """Whom the portal's own answers are encrypted to."""
        text = self.desk.text
        try:
            kid = self.house.wrapping.recipient(real, alg)
        except NoUsableKey:
            return text(
                N_("Tried with a key of the trial. Among your own keys none fits: your sign-ins fail here.")
            )
        message = N_("Tried with a key of the trial. Yours goes to your key with the kid %(kid)s.")
        return text(message) % {"kid": kid or "–"}

    def _trouble(self, trial: Registration) -> reasons.Reason | None:
        """The words for what the trial was refused for last."""
        names = [str(name) for name in reasons.REFUSALS]
        found = portal_events.of(trial.client_id, names=names, limit=1)
        return reasons.words(found[0].name, found[0].reason, found[0].detail)[1] if found else None


def trials_scopes(portal: Registration) -> list[str]:
    """What a trial may ask for: the portal's scopes but for coming back later."""
    return [scope for scope in portal.scopes if scope != "offline_access"]


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
