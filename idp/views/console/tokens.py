"""Tokens by which programs use the admin API: the own ones, and for whoever answers for administrators all of them."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from idp.admin import tokens
from idp.admin.people import Administrator
from idp.admin.tokens import TokenError, UnknownToken
from idp.views.console.desk import Desk, NotFound, field
from idp.views.messages import N_

PATH: Final = "/console/tokens"
_DAYS: Final = ("30", "90", "365")
_LABEL: Final = N_("Say which program uses it, in 1 to 64 visible characters.")
_STATES: Final = {"valid": N_("valid"), "expired": N_("expired"), "revoked": N_("revoked")}


class TokenPages:
    """`/console/tokens`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add_to(self, door: Blueprint) -> None:
        guarded, rule = self.desk.guarded, door.add_url_rule
        rule("/tokens", "tokens", guarded(None, self.listed))
        rule("/tokens", "make_token", guarded(None, self.make), methods=["POST"])
        rule("/tokens/<token_id>/revoke", "revoke_token", guarded(None, self.revoke), methods=["POST"])

    def listed(self, admin: Administrator) -> Response:
        return self._page(admin, {"label": "", "days": "90"})

    def make(self, admin: Administrator) -> Response:
        given = {"label": field("label"), "days": field("days")}
        days = int(given["days"]) if given["days"] in _DAYS else 90
        try:
            _, text = tokens.create(
                label=given["label"],
                role=admin.role,
                organisation=admin.organisation,
                ttl_s=days * 86_400,
                now=self.desk.clock(),
            )
        except TokenError:
            return self._page(admin, given, problem=_LABEL)
        # Not a redirect: the token is shown once, and stands in no address.
        return self._page(admin, {**given, "label": ""}, token=text)

    def revoke(self, admin: Administrator, token_id: str) -> Response:
        try:
            tokens.revoke(tokens.seen(admin, token_id).id, now=self.desk.clock())
        except UnknownToken as error:
            raise NotFound from error
        return self.desk.done(PATH, "token_revoked")

    def _page(
        self, admin: Administrator, given: dict[str, str], *, problem: str = "", token: str = ""
    ) -> Response:
        now = self.desk.clock()
        days = self.desk.text(N_("%(n)s days"))
        return self.desk.page(
            "tokens.html",
            status=400 if problem else 200,
            tokens=[(one, one.state(now)) for one in tokens.seen_by(admin)],
            states=_STATES,
            days=[(n, days % {"n": n}) for n in _DAYS],
            given=given,
            problem=self.desk.text(problem) if problem else "",
            token=token,
            api=self.desk.frame.settings.console.api,
        )
