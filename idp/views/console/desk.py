"""What every page of the console has in common: who is here, what they may do, and the frame around the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec
from urllib.parse import quote

from flask import Response, g, request

from idp.admin import people
from idp.admin.people import Act, Administrator, Forbidden, Role
from idp.clock import iso, kst
from idp.errors import LoginError
from idp.events import Event, record_alone
from idp.page_session import PageSessions
from idp.portals.rules import Finding
from idp.views.frame import CSP, Frame, see_other
from idp.views.holder import forms_match
from idp.views.language import translations
from idp.views.messages import N_

COOKIE: Final = "console"
SIGN_IN: Final = "/console/sign-in"
_CSP = f"{CSP}; form-action 'self'"
MIN_REASON_CHARS, MAX_REASON_CHARS = 3, 255
SAY_WHY: Final = N_("Say why, in 3 to 255 characters: it stands in the audit.")
_SAFE = frozenset({"GET", "HEAD"})

P = ParamSpec("P")
View = Callable[Concatenate[Administrator, P], Response]


@dataclass(frozen=True)
class Area:
    """A part of the console, as its navigation names it."""

    path: str
    title: str
    act: Act | None = None


AREAS: Final = (
    Area("/console", N_("Overview")),
    Area("/console/portals", N_("Portals"), Act.SEE_PORTALS),
    Area("/console/organisations", N_("Organisations"), Act.SEE_ORGANISATIONS),
    Area("/console/people", N_("Administrators"), Act.SEE_PEOPLE),
    Area("/console/audit", N_("Audit"), Act.SEE_AUDIT),
    Area("/console/trust", N_("Trust"), Act.SEE_SYSTEM),
    Area("/console/keys", N_("Keys"), Act.SEE_SYSTEM),
    Area("/console/wallets", N_("Wallets"), Act.SEE_SYSTEM),
    Area("/console/sessions", N_("Sessions"), Act.SEE_SYSTEM),
)


class NotFound(Exception):
    """Nothing here has this name; or whoever asks may not know that it has."""


class Desk:
    """Guards the console's views, and makes their pages."""

    def __init__(self, frame: Frame, sessions: PageSessions) -> None:
        self.frame = frame
        self.house = frame.house
        self.clock = frame.house.clock
        self.sessions = sessions

    def guarded(
        self, act: Act | None, view: View[P], *, max_bytes: int | None = None
    ) -> Callable[P, Response]:
        """The view, for administrators who may do `act` (None: for any). It gets the administrator first.

        A form without this session's token changes nothing. What is done here is recorded as this person's.
        max_bytes: how large a form may be, where it may be larger than a holder's.
        """

        @wraps(view)
        def guard(*args: P.args, **kwargs: P.kwargs) -> Response:
            admin = self.here()
            if admin is None:
                return self._sign_in_first()
            people.acting(admin)
            if max_bytes is not None:
                request.max_content_length = request.max_form_memory_size = max_bytes
            try:
                self._check_form()
                if act is not None and not admin.may(act):
                    raise Forbidden
                return view(admin, *args, **kwargs)
            except Forbidden:
                record_alone(Event.ADMIN_REFUSED, at=self.clock(), reason="forbidden")
                return self.problem(N_("You may not do this"), N_("Your role does not allow it."), status=403)
            except NotFound:
                return self.problem(
                    N_("There is nothing here"),
                    N_("It was removed, or it is not yours to see."),
                    status=404,
                )

        return guard

    def here(self) -> Administrator | None:
        """Who is signed in in this browser, asked for once a request."""
        if "admin" not in g:
            cookie = self.frame.cookie(COOKIE)
            session = self.sessions.find(cookie)
            g.admin = people.enabled(session.who, now=self.clock()) if session is not None else None
            g.console_csrf = self.sessions.csrf_token(cookie) if cookie and g.admin is not None else ""
        found: Administrator | None = g.admin
        return found

    def _check_form(self) -> None:
        if request.method in _SAFE:
            return
        given = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise LoginError("form_expired", "a form of another site", status=403)
        if not forms_match(g.console_csrf, given):
            raise LoginError("form_expired", status=403)

    def _sign_in_first(self) -> Response:
        if request.method not in _SAFE:
            return self.problem(
                N_("Your session has ended"),
                N_(
                    "Nothing was changed. Sign in again in another tab, then go back and send the form once more."
                ),
                status=401,
            )
        return see_other(f"{SIGN_IN}?to={quote(request.full_path.rstrip('?'), safe='')}")

    # -- pages -----------------------------------------------------------------------------------------------

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """A page of the console, for whoever is signed in."""
        admin = self.here()
        made = self.frame.page(
            f"console/{template}",
            status=status,
            admin=admin,
            areas=[area for area in AREAS if admin and (area.act is None or admin.may(area.act))],
            here=self._area(),
            csrf=g.console_csrf,
            idle_s=self.sessions.idle_s if admin else 0,
            notice=NOTICES.get(request.args.get("done", "")),
            role_names=ROLE_NAMES,
            Act=Act,
            iso=iso,
            kst=kst,
            **context,
        )
        # The check of forms by Sec-Fetch-Site and Referer needs what holders' pages never send (decision D24).
        made.headers["Referrer-Policy"] = "same-origin"
        made.headers["Content-Security-Policy"] = _CSP
        return made

    def problem(self, title: str, text: str, *, status: int, problems: tuple[str, ...] = ()) -> Response:
        """A page that says what is wrong; `title` and `text` are message ids."""
        return self.page("problem.html", status=status, heading=title, text=text, problems=problems)

    def text(self, message: str) -> str:
        """A message in the language of this page."""
        return translations(self.frame.lang()).gettext(message)

    def finding(self, finding: Finding) -> str:
        """What is wrong, in the language of this page."""
        values = {
            name: self.text(value) if name == "problem" else value for name, value in finding.values.items()
        }
        return self.text(finding.message) % values if values else self.text(finding.message)

    def said(self, messages: Sequence[str]) -> list[str]:
        return [self.text(message) for message in messages]

    @staticmethod
    def called(actors: Iterable[str | None] = ()) -> Callable[[str | None], str]:
        """What to call an actor of the audit: an administrator by the label, whom nobody knows by the id.

        Those named at once are asked for at once.
        """
        asked = set(actors)
        known = people.labels(asked)

        def name(actor: str | None) -> str:
            if actor is not None and actor not in asked:
                asked.add(actor)
                known.update(people.labels([actor]))
            return known.get(actor or "", actor or "–")

        return name

    def choices(self, options: Mapping[str, str]) -> list[tuple[str, str]]:
        """A select's options: values and their messages."""
        return [(value, self.text(message)) for value, message in options.items()]

    def role_choices(self, roles: Sequence[Role]) -> list[tuple[str, str]]:
        return self.choices({role.value: ROLE_NAMES[role] for role in roles})

    def done(self, path: str, notice: str) -> Response:
        """Go on to `path`, which says what was done; `notice` is one of NOTICES."""
        joint = "&" if "?" in path else "?"
        return see_other(f"{path}{joint}done={notice}")

    @staticmethod
    def _area() -> str:
        inside = [area.path for area in AREAS[1:] if f"{request.path}/".startswith(f"{area.path}/")]
        return inside[0] if inside else AREAS[0].path


def reason(name: str = "reason") -> str | None:
    """Why, as the form says it: 3 to 255 printable characters; None where it says nothing that can be kept."""
    said = field(name)
    return said if MIN_REASON_CHARS <= len(said) <= MAX_REASON_CHARS and said.isprintable() else None


def field(name: str, max_chars: int = 255) -> str:
    """A form's field without the spaces around it; "" where it is missing. Longer ones are cut by one beyond."""
    return request.form.get(name, "").strip()[: max_chars + 1]


ROLE_NAMES: Final[Mapping[Role, str]] = {
    Role.OWNER: N_("Owner"),
    Role.OPERATOR: N_("Operator"),
    Role.AUDITOR: N_("Auditor"),
    Role.MEMBER: N_("Member of an organisation"),
}
NOTICES: Final[Mapping[str, str]] = {
    "invited": N_("The invitation was made."),
    "withdrawn": N_("The invitation was withdrawn."),
    "disabled": N_("The administrator was shut out."),
    "token_revoked": N_("The token was revoked."),
    "saved": N_("Saved."),
    "transferred": N_("The portal was transferred."),
    "trust": N_("The trust registry was changed. It is in force within ten seconds."),
    "trust_same": N_("Nothing would change."),
    "key_published": N_("The next key is published."),
    "key_signs": N_("The new key signs from now on."),
    "key_removed": N_("The key was removed."),
    "wallet_on": N_("The wallet is offered from now on."),
    "wallet_off": N_("The wallet is not offered any more."),
    "session_ended": N_("The session was ended."),
    "sessions_ended": N_("The sessions were ended. Their portals are being told."),
    "sessions_left": N_("Sessions were ended, and some are left: do it once more."),
    "replayed": N_("The notices are being sent again."),
    "proposed": N_("The change was proposed. It counts when somebody else approves it."),
    "approved": N_("The change was approved and counts from now on."),
    "rejected": N_("The change was rejected."),
    "withdrawn_change": N_("The change was withdrawn."),
    "switched_off": N_("The portal is switched off: nobody can sign in to it."),
    "switched_on": N_("The portal is switched on again."),
    "retired": N_("The secret is worthless from now on."),
    "no_logo": N_("Saved, but the logo could not be fetched: a PNG at a public https address is needed."),
}
"""What a page says was done before it came."""
