"""Signed-in browsers, found by ids alone, their end, and what portals were told of it."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, request

from idp import portals
from idp.admin import live
from idp.admin.people import Act, Administrator
from idp.oidc import backchannel, session_end
from idp.views.console.confirming import Asked, ask, why
from idp.views.console.desk import Desk, NotFound, field
from idp.views.messages import N_

PATH: Final = "/console/sessions"
_END_MAX_S = 10
_N_NOTICES = 50
_STATES: Final = {
    "waiting": N_("on its way"),
    "delivered": N_("delivered"),
    "given up": N_("given up"),
}


class SessionPages:
    """`/console/sessions`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.ends = session_end.SessionEnds(desk.house.sessions, desk.clock)

    def add_to(self, door: Blueprint) -> None:
        see, change = Act.SEE_SYSTEM, Act.CHANGE_SYSTEM
        guarded, rule = self.desk.guarded, door.add_url_rule
        rule("/sessions", "sessions", guarded(see, self.listed))
        rule("/sessions/end", "ask_end", guarded(change, self.ask_end))
        rule("/sessions/end", "end_sessions", guarded(change, self.end), methods=["POST"])
        rule("/sessions/replay", "ask_replay", guarded(change, self.ask_replay))
        rule("/sessions/replay", "replay", guarded(change, self.replay), methods=["POST"])

    def listed(self, admin: Administrator) -> Response:
        wanted = request.args.get("find", "").strip()[:64]
        portal = request.args.get("portal", "").strip()[:255].replace("\0", "")
        ledger = backchannel.ledger(client_id=portal or None, failed=not portal, limit=_N_NOTICES)
        return self.desk.page(
            "sessions.html",
            n_live=live.count(),
            by_portal=live.by_portal(20),
            wanted=wanted,
            found=live.find(wanted) if wanted else None,
            deliveries=backchannel.deliveries(),
            portal=portal,
            ledger=ledger,
            states=_STATES,
            now=self.desk.clock(),
        )

    # -- ending ----------------------------------------------------------------------------------------------

    def ask_end(self, admin: Administrator) -> Response:
        return ask(self.desk, self._ending(request.args.to_dict()))

    def end(self, admin: Administrator) -> Response:
        given = {name: field(name).replace("\0", "") for name in ("session", "subject", "portal")}
        said = why(self.desk, self._ending(given))
        if isinstance(said, Response):
            return said
        n_left, notice = 0, "sessions_ended"
        if given["session"]:
            self.ends.one(given["session"], session_end.Reason.ADMIN, why=said)
            notice = "session_ended"
        elif given["subject"]:
            self.ends.everything(given["subject"], session_end.Reason.ADMIN, why=said)
        else:
            _, n_left = self.ends.at_portal(
                given["portal"], session_end.Reason.ADMIN, why=said, max_s=_END_MAX_S
            )
        self.desk.house.store.publish(backchannel.WAKE)
        return self.desk.done(PATH, "sessions_left" if n_left else notice)

    def _ending(self, given: dict[str, str]) -> Asked:
        """One session, or those of a person or portal. Raises NotFound where there is nothing of the kind."""
        text, told = self.desk.text, N_("Portals that asked to be told hear of it at once.")
        if session_id := given.get("session"):
            found = [one for one in live.find(session_id, "session") if one.ended_at is None]
            fact = (text(N_("Session")), session_id)
            lines = [N_("This browser is signed out: it has to show a certificate again."), told]
            hidden, heading = ("session", session_id), N_("End a session")
        elif subject := given.get("subject"):
            found = live.find(subject, "subject")
            fact = (text(N_("Person, as the audit has it")), subject)
            lines = [
                N_("Every browser of this person is signed out."),
                N_("What portals were granted for this person ends too, offline access as well."),
                told,
            ]
            hidden, heading = ("subject", subject), N_("End all sessions of a person")
        else:
            client_id = given.get("portal", "").replace("\0", "")
            known = portals.find(client_id) if client_id else None
            found = []
            fact = (text(N_("Portal")), client_id)
            lines = [
                N_(
                    "Every browser that signed in there is signed out, of other portals too: a session is a browser's."
                ),
                told,
            ]
            hidden, heading = ("portal", client_id), N_("End all sessions at a portal")
            if known is None:
                raise NotFound
        if not found and hidden[0] != "portal":
            raise NotFound
        return Asked(
            heading=text(heading),
            facts=(fact,),
            lines=tuple(text(line) for line in lines),
            action=f"{PATH}/end",
            hidden=(hidden,),
            button=text(N_("End it")) if hidden[0] == "session" else text(N_("End them")),
            back=PATH,
            danger=True,
        )

    # -- telling again ---------------------------------------------------------------------------------------

    def ask_replay(self, admin: Administrator) -> Response:
        return ask(self.desk, self._replaying(request.args.to_dict()))

    def replay(self, admin: Administrator) -> Response:
        given = {name: field(name).replace("\0", "") for name in ("notice", "portal")}
        said = why(self.desk, self._replaying(given))
        if isinstance(said, Response):
            return said
        ids = [int(given["notice"])] if given["notice"] else []
        portal = given["portal"] if not ids else None
        backchannel.replay(ids, client_id=portal, now=self.desk.clock(), reason=said)
        self.desk.house.store.publish(backchannel.WAKE)
        return self.desk.done(PATH, "replayed")

    def _replaying(self, given: dict[str, str]) -> Asked:
        text = self.desk.text
        notice, portal = given.get("notice", ""), given.get("portal", "").replace("\0", "")
        if notice:
            if not (notice.isascii() and notice.isdigit() and len(notice) < 16):
                raise NotFound
            lines = [N_("This notice is sent once more, delivered or not.")]
            fact, hidden = (text(N_("Notice")), notice), ("notice", notice)
        else:
            if portal not in backchannel.deliveries([portal]):
                raise NotFound
            lines = [N_("Every notice that did not reach this portal is sent once more, those given up too.")]
            fact, hidden = (text(N_("Portal")), portal), ("portal", portal)
        return Asked(
            heading=text(N_("Tell a portal again")),
            facts=(fact,),
            lines=(
                *(text(line) for line in lines),
                text(N_("A portal that heard it before hears it twice.")),
            ),
            action=f"{PATH}/replay",
            hidden=(hidden,),
            button=text(N_("Send again")),
            back=PATH,
        )
