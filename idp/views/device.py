"""The holders' way in from a counter or kiosk: the code on its screen, and whether it is the right one (RFC 8628).

A page here has a cookie of its own before there is a login: it binds the forms to this browser, and says later who it
was that confirmed a code. What a form does is decided by `oidc.device`.
"""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, request

from idp import consent, portals, seal
from idp.addresses import neighbourhood
from idp.claims import CLAIMS
from idp.errors import LoginError
from idp.oidc.device import DeviceCode
from idp.oidc.user_code import spelled
from idp.portals import Registration
from idp.views.frame import Frame, see_other
from idp.views.holder import forms_match
from idp.views.language import label, said
from idp.views.messages import message_for, spoken
from idp.views.portal import begin_login

_COOKIE = "device"
_COOKIE_S = 3600
_MAX_TYPED = 64
# Said on the page where a code is typed: the next try is there.
_TYPE_AGAIN = frozenset({"device_unknown", "device_expired", "device_used", "too_many"})


class DeviceDoor:
    """Routes of the device flow's pages."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.house = frame.house

    def blueprint(self) -> Blueprint:
        door = Blueprint("device", __name__, url_prefix="/device")
        rule = door.add_url_rule
        rule("", "page", self.page)
        rule("", "decide", self.decide, methods=["POST"])
        rule("/done", "done", self.done)
        rule("/refused", "refused", self.refused)
        return door

    # -- pages -----------------------------------------------------------------------------------------------

    def page(self) -> Response:
        """Where a code is typed, or what it stands for."""
        browser = self._browser()
        typed = request.args.get("user_code", "")[:_MAX_TYPED]
        if not typed:
            return self._type_page(browser)
        try:
            user_code, stored = self._look(typed, browser)
        except LoginError as error:
            if error.reason not in _TYPE_AGAIN:
                raise
            return self._type_page(browser, typed=typed, problem=error.reason, status=error.status)
        portal = self._portal(stored)
        lang = self.frame.lang()
        return self.frame.page(
            "device_confirm.html",
            portal=self.frame.portal(portal),
            user_code=spelled(user_code),
            items=[
                {
                    "label": label(CLAIMS[claim.name].label, lang),
                    "purpose": said(claim.purpose, lang),
                    "required": claim.required,
                }
                for claim in consent.asked_claims(portal, stored.request)
            ],
            minutes=max((stored.expires_at - self.house.clock() + 59) // 60, 1),
            form_url="/device",
            csrf=_csrf(browser, user_code),
        )

    def _type_page(
        self, browser: str, *, typed: str = "", problem: str | None = None, status: int = 200
    ) -> Response:
        return self.frame.page(
            "device.html",
            status=status,
            typed=typed if problem == "device_unknown" else "",
            problem=spoken(message_for(problem), self.frame.lang()) if problem else None,
            form_url="/device",
            csrf=_csrf(browser, ""),
        )

    def done(self) -> Response:
        return self.frame.page("device_done.html")

    def refused(self) -> Response:
        return self.frame.page("device_refused.html")

    # -- what the holder does --------------------------------------------------------------------------------

    def decide(self) -> Response:
        """A code was typed, or compared with the counter's screen."""
        browser = self._own_browser()
        typed = request.form.get("user_code", "").strip()[:_MAX_TYPED]
        decision = request.form.get("decision")
        if decision is None:
            self._check_form(browser, "")
            return see_other(f"/device?{urlencode({'user_code': typed})}" if typed else "/device")
        user_code, stored = self._look(typed, browser)
        self._check_form(browser, user_code)
        if decision == "confirm":
            return self._confirm(stored, browser)
        self.house.devices.refuse(stored.request.device or "", "holder")
        return see_other("/device/refused")

    def _confirm(self, stored: DeviceCode, browser: str) -> Response:
        """From here on it is a sign-in like any other."""
        self._portal(stored)
        login, secret = self.house.logins.start(self.house.devices.claim(stored, browser))
        begin_login(self.frame, login, secret)
        return see_other(f"/login/{login.id}")

    def _look(self, typed: str, browser: str) -> tuple[str, DeviceCode]:
        """The code and what waits for it, if this browser may have it. Raises LoginError."""
        address = neighbourhood(request.remote_addr or "")
        user_code, stored = self.house.devices.look(typed, address=address)
        if not self.house.devices.is_free_for(stored, browser):
            raise LoginError("device_used", status=409)
        return user_code, stored

    def _portal(self, stored: DeviceCode) -> Registration:
        portal = portals.find(stored.request.client_id)
        if portal is None:
            raise LoginError("unknown_portal", "gone since it asked")
        return portal

    # -- whose form ------------------------------------------------------------------------------------------

    def _browser(self) -> str:
        """The secret in this browser's cookie, a new one where there is none."""
        browser = self.frame.cookie(_COOKIE)
        if browser is None or not _is_ours(browser):
            browser = seal.browser_secret()
        self.frame.set_cookie(_COOKIE, browser, _COOKIE_S)
        return browser

    def _own_browser(self) -> str:
        browser = self.frame.cookie(_COOKIE)
        if browser is None or not _is_ours(browser):
            raise LoginError("form_expired", "no cookie", status=403)
        return browser

    @staticmethod
    def _check_form(browser: str, user_code: str) -> None:
        if not forms_match(_csrf(browser, user_code), request.form.get("csrf", "")):
            raise LoginError("form_expired", "csrf", status=403)


def _csrf(browser: str, user_code: str) -> str:
    """What a form must carry: made for this browser, and for the code that was on the page."""
    return seal.mac(seal.derive(seal.unb64(browser), "csrf"), "device", user_code)


def _is_ours(browser: str) -> bool:
    try:
        return len(seal.unb64(browser)) == 32
    except ValueError:
        return False
