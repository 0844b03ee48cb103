"""Whose page it is: a short session of its own, and a token for every form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec

from flask import Response, g, request

from idp import my_page
from idp.claims import CLAIMS
from idp.clock import iso, kst
from idp.errors import LoginError
from idp.views.frame import CSP, Frame, see_other
from idp.views.holder import forms_match
from idp.views.language import Said, label, said
from idp.views.messages import N_

COOKIE: Final = "me"
HOME: Final = "/me"
_CSP = f"{CSP}; form-action 'self'"
_SAFE = frozenset({"GET", "HEAD"})

P = ParamSpec("P")
View = Callable[Concatenate[str, P], Response]

NOTICES: Final[Mapping[str, str]] = {
    "withdrawn": N_("Your consent is withdrawn. The service can read nothing more."),
    "item": N_("The item is taken back. The service can read nothing more until you sign in there again."),
    "nothing": N_("There was nothing left to take back."),
    "ended": N_("You are signed out in that browser."),
    "everywhere": N_("You are signed out everywhere."),
    "closed": N_("Your page is closed."),
}
"""What a page says was done before it came."""


class MyDesk:
    """Guards the pages, and makes them."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.house = frame.house
        self.clock = frame.house.clock
        self.sessions = my_page.sessions(frame.house.store, frame.house.clock)

    def here(self) -> str | None:
        """The Subject whose page this browser has open, asked for once a request."""
        if "me" not in g:
            cookie = self.frame.cookie(COOKIE)
            session = self.sessions.find(cookie)
            g.me = session.who if session is not None else None
            g.me_csrf = self.sessions.csrf_token(cookie) if cookie and session is not None else ""
        found: str | None = g.me
        return found

    def guarded(self, view: View[P]) -> Callable[P, Response]:
        """The view, for whoever has shown a credential; it gets the Subject's id first.

        A form without this session's token, or one that another site sent, changes nothing.
        """

        @wraps(view)
        def guard(*args: P.args, **kwargs: P.kwargs) -> Response:
            subject_id = self.here()
            if subject_id is None:
                return self.closed()
            if request.method not in _SAFE:
                self._check_form()
            return view(subject_id, *args, **kwargs)

        return guard

    def _check_form(self) -> None:
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise LoginError("form_expired", "a form of another site", status=403)
        if not forms_match(g.me_csrf, request.form.get("csrf", "")):
            raise LoginError("form_expired", status=403)

    def closed(self) -> Response:
        """The page is not open in this browser, or not any more: the way in."""
        if request.method in _SAFE:
            return see_other(HOME)
        return self.page("start.html", status=401, too_late=True)

    def nothing(self) -> Response:
        """What is not there, and what is another person's: nobody can tell which."""
        return self.frame.error_page("not_found", status=404, retry_url=HOME)

    # -- pages -----------------------------------------------------------------------------------------------

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """A page of this door, in the language of the browser."""
        self.here()
        made = self.frame.page(
            f"me/{template}",
            status=status,
            csrf=g.me_csrf,
            is_open=g.me is not None,
            notice=NOTICES.get(request.args.get("done", "")),
            said=self.said,
            label=self.label,
            iso=iso,
            kst=kst,
            **context,
        )
        made.headers["Content-Security-Policy"] = _CSP
        return made

    def said(self, texts: Mapping[str, str]) -> Said:
        """A text of a registration, in the language of this page where it has that."""
        return said(texts, self.frame.lang())

    def label(self, name: str) -> str:
        """What an item is called; its name where the table has it no more."""
        return label(CLAIMS[name].label, self.frame.lang()) if name in CLAIMS else name

    def done(self, path: str, notice: str) -> Response:
        """Go on to `path`, which says what was done; `notice` is one of NOTICES."""
        return see_other(f"{path}{'&' if '?' in path else '?'}done={notice}")
