"""A counter that asks by the device flow (RFC 8628), and a holder's phone that answers it."""

from __future__ import annotations

from typing import Any

import httpx2

from idp.demo import check
from idp.portals import DEVICE_CODE, REFRESH_TOKEN
from tests.rig import Portal, Rig


class Counter:
    """A portal of the device flow: like gov24, with some members of its registration changed."""

    def __init__(self, rig: Rig, client_id: str = "desk", **changes: Any) -> None:
        self.rig = rig
        changes = {"grant_types": [DEVICE_CODE], **changes}
        self.portal = rig.variant("gov24", client_id, **changes)

    def ask(self, **changes: Any) -> httpx2.Response:
        """A device authorization request with some parameters changed (None leaves one out)."""
        scope = " ".join(self.portal.registration["scopes"])
        return self._post("/device_authorization", {"scope": scope, **changes})

    def codes(self, **changes: Any) -> dict[str, Any]:
        """Fresh codes."""
        response = self.ask(**changes)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def poll(self, codes: dict[str, Any], **changes: Any) -> httpx2.Response:
        """Ask whether somebody has decided."""
        form = {"grant_type": DEVICE_CODE, "device_code": codes["device_code"], **changes}
        return self._post("/token", form)

    def refresh(self, token: str) -> httpx2.Response:
        return self._post("/token", {"grant_type": REFRESH_TOKEN, "refresh_token": token})

    def _post(self, path: str, form: dict[str, Any]) -> httpx2.Response:
        credentials, authorization = self.portal.credentials()
        form = {**credentials, **form}
        headers = form.pop("headers", {})
        return self.rig.http.post(
            f"{self.rig.issuer}{path}",
            data={name: value for name, value in form.items() if value is not None},
            headers={**({"Authorization": authorization} if authorization else {}), **headers},
        )


class Phone:
    """A holder's phone: its browser is empty, its wallet is the demonstration's."""

    def __init__(self, rig: Rig, language: str = "ko") -> None:
        self.hand = Portal(rig, "gov24")
        self.browser = self.hand.browser
        self.browser.headers["Accept-Language"] = language

    def open(self, user_code: str) -> httpx2.Response:
        """The page that the counter's QR code leads to."""
        return self.browser.get(self.hand.absolute("/device"), params={"user_code": user_code})

    def type(self, typed: str) -> httpx2.Response:
        """Open the page and type a code there; the page one comes to."""
        page = self.hand.open("/device")
        answered = self.hand.submit(page, "device", user_code=typed)
        return self.browser.get(self.hand.absolute(answered.headers["Location"]))

    def decide(self, page: httpx2.Response, decision: str = "confirm", **chosen: Any) -> httpx2.Response:
        return self.hand.submit(check.Page(page), "decide", decision=decision, **chosen)

    def confirm(self, codes: dict[str, Any]) -> httpx2.Response:
        """Say that this is the code: the redirect to the sign-in page."""
        return self.decide(self.open(codes["user_code"]))

    def show(self, confirmed: httpx2.Response, persona: str = "hong") -> httpx2.Response:
        """The wallet on the same phone answers; what `/authorize/resume` says."""
        page = self.hand.open(confirmed.headers["Location"])
        outcome = self.hand.show(self.hand.link(page), persona)
        assert outcome.redirect_uri is not None, outcome
        return self.browser.get(outcome.redirect_uri)

    def finish(self, confirmed: httpx2.Response, persona: str = "hong") -> httpx2.Response:
        """The rest of it after the confirmation: the page at the end."""
        resumed = self.hand.agree(self.show(confirmed, persona))
        return self.browser.get(self.hand.absolute(resumed.headers["Location"]))

    def approve(self, codes: dict[str, Any], persona: str = "hong") -> httpx2.Response:
        """All of it."""
        return self.finish(self.confirm(codes), persona)
