"""What may be seen and done on the holder's page. What a form or an address names is looked for among one's own."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import quote

from flask import Blueprint, Response, jsonify, request

from idp import my_page, receipts
from idp.admin import receipts as signed_receipts
from idp.clock import utc
from idp.my_page import Open, Service
from idp.oidc import backchannel, withdrawal
from idp.oidc.session_end import Reason, SessionEnds
from idp.receipts import Item, SignIn
from idp.views.holder import forms_match
from idp.views.me.desk import COOKIE, HOME, MyDesk
from idp.views.portal import SESSION_COOKIE

_RECENT: Final = 5
_A_PAGE: Final = 20
_KEYS_MAX_AGE_S: Final = 300


class MyPages:
    """`/me`, and what it leads to; `/receipts/keys`."""

    def __init__(self, desk: MyDesk) -> None:
        self.desk = desk
        self.frame = desk.frame
        self.house = desk.house
        self._ends = SessionEnds(self.house.sessions, self.house.clock)

    def add_to(self, door: Blueprint) -> None:
        rule, guarded = door.add_url_rule, self.desk.guarded
        rule("/me", "index", self.index)
        rule("/me/service", "service", guarded(self.service))
        rule("/me/withdraw", "withdraw", guarded(self.ask_to_withdraw))
        rule("/me/withdraw", "withdrawn", guarded(self.withdraw), methods=["POST"])
        rule("/me/sign-ins", "sign_ins", guarded(self.sign_ins))
        rule("/me/receipt", "receipt", guarded(self.receipt))
        rule("/me/receipt.jwt", "receipt_jwt", guarded(self.receipt_jwt))
        rule("/me/sessions/end", "end_session", guarded(self.end_session), methods=["POST"])
        rule("/me/sessions/end-all", "ask_to_end_all", guarded(self.ask_to_end_all))
        rule("/me/sessions/end-all", "end_all", guarded(self.end_all), methods=["POST"])
        rule("/receipts/keys", "keys", self.keys)

    # -- what there is ---------------------------------------------------------------------------------------

    def index(self) -> Response:
        subject_id = self.desk.here()
        if subject_id is None:
            return self.desk.page("start.html", too_late=False)
        return self.desk.page(
            "index.html",
            services=my_page.services(subject_id, now=self.desk.clock()),
            sessions=self._open(subject_id),
            this_one=self._this_browsers(subject_id),
            recent=receipts.of_subject(subject_id, limit=_RECENT),
            kept_days=self.frame.settings.lifetimes.audit_days,
        )

    def service(self, subject_id: str) -> Response:
        found = self._service(subject_id)
        if found is None:
            return self.desk.nothing()
        return self.desk.page(
            "service.html",
            service=found,
            contact=self.frame.contact(found.portal),
            by_law=[item for item in found.items if item.basis == "statute"],
            by_consent=[item for item in found.items if item.basis != "statute"],
            sign_ins=receipts.of_subject(subject_id, client_id=found.client_id, limit=_RECENT),
        )

    def sign_ins(self, subject_id: str) -> Response:
        """A person's sign-ins, at one service or at all, a page at a time."""
        client_id = request.args.get("id", "")[:255] or None
        shown = receipts.of_subject(subject_id, client_id=client_id, before=_before(), limit=_A_PAGE + 1)
        last = shown[_A_PAGE - 1] if len(shown) > _A_PAGE else None
        older = f"&id={quote(client_id, safe='')}" if client_id is not None else ""
        return self.desk.page(
            "sign_ins.html",
            sign_ins=shown[:_A_PAGE],
            older=f"/me/sign-ins?before={last.at}.{last.id}{older}" if last is not None else None,
            kept_days=self.frame.settings.lifetimes.audit_days,
        )

    # -- taking back -----------------------------------------------------------------------------------------

    def ask_to_withdraw(self, subject_id: str) -> Response:
        """What would follow, before it does."""
        found, item = self._named(subject_id)
        if found is None or not (found.can_take_back(item) if item is not None else found.can_withdraw):
            return self.desk.nothing()
        return self.desk.page("withdraw.html", service=found, item=item)

    def withdraw(self, subject_id: str) -> Response:
        """A second click finds nothing left, and says so."""
        found, item = self._named(subject_id)
        if found is None or (item is not None and item.required):
            return self.desk.nothing()
        name = item.name if item is not None else None
        done = withdrawal.withdraw(subject_id, found.client_id, item=name, now=self.desk.clock())
        self.house.store.publish(backchannel.WAKE)
        back = f"/me/service?id={quote(found.client_id, safe='')}"
        return self.desk.done(back, ("item" if item is not None else "withdrawn") if done else "nothing")

    def _named(self, subject_id: str) -> tuple[Service | None, Item | None]:
        """The service that is named, and the item of it; (None, None) where there is no such thing."""
        found, name = self._service(subject_id), request.values.get("item", "")
        item = next((item for item in found.items if item.name == name), None) if found is not None else None
        return (None, None) if name and item is None else (found, item)

    def _service(self, subject_id: str) -> Service | None:
        client_id = request.values.get("id", "")[:255]
        return my_page.service(subject_id, client_id, now=self.desk.clock())

    # -- receipts --------------------------------------------------------------------------------------------

    def receipt(self, subject_id: str) -> Response:
        found = self._sign_in(subject_id)
        if found is None:
            return self.desk.nothing()
        document = {"iss": self.frame.settings.issuer, **found.claims()}
        return self.desk.page(
            "receipt.html",
            sign_in=found,
            as_json=json.dumps(document, ensure_ascii=False, indent=2),
        )

    def receipt_jwt(self, subject_id: str) -> Response:
        """The receipt itself, signed now."""
        found = self._sign_in(subject_id)
        if found is None:
            return self.desk.nothing()
        signed = signed_receipts.issue(
            self.house.audit_signer, found, subject_id=subject_id, now=self.desk.clock()
        )
        response = Response(signed, mimetype="application/jwt")
        name = f"sinwon-{utc(found.at).strftime('%Y%m%d-%H%M%S')}.jwt"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def keys(self) -> Response:
        """A JWK Set by which every receipt can be checked, for anybody to keep (RFC 7517)."""
        response = jsonify(keys=self.house.audit_signer.vouched_keys())
        response.mimetype = "application/jwk-set+json"
        response.headers["Cache-Control"] = f"public, max-age={_KEYS_MAX_AGE_S}"
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    @staticmethod
    def _sign_in(subject_id: str) -> SignIn | None:
        return receipts.find(subject_id, request.args.get("id", "")[:22])

    # -- open sessions ---------------------------------------------------------------------------------------

    def end_session(self, subject_id: str) -> Response:
        handle = request.form.get("session", "")
        known = my_page.open_sessions(subject_id, self.frame.cookie(COOKIE) or "")
        found = next((one for one in known if forms_match(one.handle, handle)), None)
        if found is None:
            return self.desk.nothing()
        own = self._this_browsers(subject_id)
        self._ends.one(found.id, Reason.HOLDER)
        self.house.store.publish(backchannel.WAKE)
        if found.id == own:
            self.frame.set_cookie(SESSION_COOKIE, "", 0)
        return self.desk.done(HOME, "ended")

    def ask_to_end_all(self, subject_id: str) -> Response:
        return self.desk.page("end_all.html")

    def end_all(self, subject_id: str) -> Response:
        """Out everywhere: browsers, what services may do on their own, and this page wherever it is open."""
        own = self._this_browsers(subject_id)
        self._ends.everything(subject_id, Reason.HOLDER)
        self.house.store.publish(backchannel.WAKE)
        self.desk.sessions.end_all(subject_id)
        self.frame.set_cookie(COOKIE, "", 0)
        if own is not None:
            self.frame.set_cookie(SESSION_COOKIE, "", 0)
        return self.desk.done(HOME, "everywhere")

    def _open(self, subject_id: str) -> list[Open]:
        """Those that still live: what idled away has a row until the worker comes by."""
        known = my_page.open_sessions(subject_id, self.frame.cookie(COOKIE) or "")
        return [one for one in known if self.house.sessions.lives(one.id)]

    def _this_browsers(self, subject_id: str) -> str | None:
        """This browser's session, where it is this person's."""
        session = self.house.sessions.find(self.frame.cookie(SESSION_COOKIE))
        return session.id if session is not None and session.subject_id == subject_id else None


def _before() -> tuple[int, str] | None:
    """Where a page of sign-ins begins; None for anything that no page of ours said."""
    at, _, receipt_id = request.args.get("before", "")[:64].partition(".")
    return (int(at), receipt_id) if at.isdecimal() and at.isascii() and len(at) <= 12 else None
