"""What anybody may read without signing in: when the signing keys change, and whether the service works.

`/keys` and `/status` are pages; `.json`, `.ics` and `.atom` say the same to programs. Nothing here says who signs in
where, or what is wrong inside.
"""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Blueprint, Response, jsonify

from idp import __version__
from idp.admin import key_calendar
from idp.admin.condition import Condition, condition
from idp.admin.key_calendar import KeyDates
from idp.clock import iso
from idp.settings import Maintenance
from idp.views.feeds import Happening, atom, icalendar
from idp.views.frame import Frame
from idp.views.language import said, translations
from idp.views.messages import N_

_KEYS_MAX_AGE_S = 300
_STATUS_MAX_AGE_S = 15

STEPS = {
    "published": N_("Published"),
    "active": N_("Signs"),
    "retiring": N_("Signs no more"),
    "gone": N_("Gone"),
}
STATES = {
    "published": N_("Published"),
    "active": N_("In use"),
    "retiring": N_("Retiring"),
    "gone": N_("Gone"),
    "planned": N_("Planned"),
}
PARTS = {
    "database": N_("Database"),
    "store": N_("Sign-ins under way"),
    "keys": N_("Signing keys"),
    "trust": N_("Issuers that are trusted"),
}


class PublicDoor:
    """`/keys` and `/status`, in their forms."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.house = frame.house
        self.settings = frame.settings

    def blueprint(self) -> Blueprint:
        door = Blueprint("public", __name__)
        for path, view in (
            ("/keys", self.keys),
            ("/keys.json", self.keys_json),
            ("/keys.ics", self.keys_ics),
            ("/status", self.status),
            ("/status.json", self.status_json),
            ("/status.atom", self.status_atom),
        ):
            door.add_url_rule(path, view.__name__, view)
        return door

    # -- the key calendar ------------------------------------------------------------------------------------

    def keys(self) -> Response:
        return self.frame.page(
            "public/keys.html",
            keys=self._calendar(),
            names=STEPS,
            states=STATES,
            iso=iso,
            jwks_url=f"{self.settings.issuer}/jwks",
            rotate_days=self.settings.lifetimes.key_rotate_s // 86_400,
            publish_hours=self.settings.lifetimes.key_publish_s // 3_600,
        )

    def keys_json(self) -> Response:
        told = [
            {
                "kid": key.kid,
                "alg": key.alg,
                "state": key.state,
                **{f"{step.what}_at": iso(step.at) for step in key.steps},
                "planned": [f"{step.what}_at" for step in key.steps if step.planned],
            }
            for key in self._calendar()
        ]
        return _for_anybody(
            jsonify(issuer=self.settings.issuer, jwks_uri=f"{self.settings.issuer}/jwks", keys=told),
            _KEYS_MAX_AGE_S,
        )

    def keys_ics(self) -> Response:
        gettext = translations(self.frame.lang()).gettext
        happenings = [
            Happening(
                uid=f"{key.name}-{step.what}",
                at=step.at,
                title=f"{self.settings.host} {key.alg}: {gettext(STEPS[step.what])}",
                text=self._explained(key, step.what),
                sure=not step.planned,
            )
            for key, step in key_calendar.moments(self._calendar())
        ]
        name = f"{self.settings.host}: {gettext('Signing keys')}"
        text = icalendar(name, happenings, host=self.settings.host, now=self.house.clock())
        return _for_anybody(Response(text, content_type="text/calendar; charset=utf-8"), _KEYS_MAX_AGE_S)

    def _explained(self, key: KeyDates, what: str) -> str:
        """What a portal has to know of this moment."""
        gettext = translations(self.frame.lang()).gettext
        told = {
            "published": gettext("The key stands in the key set; nothing is signed with it yet."),
            "active": gettext("ID tokens are signed with this key from now on."),
            "retiring": gettext("The key signs no more, and stays in the key set for what it signed."),
            "gone": gettext("The key has left the key set."),
        }
        return f"{told[what]}\nkid: {key.kid or '–'}\n{self.settings.issuer}/keys"

    def _calendar(self) -> list[KeyDates]:
        times = self.settings.lifetimes
        return key_calendar.calendar(
            self.house.keys.listing(),
            now=self.house.clock(),
            rotate_s=times.key_rotate_s,
            publish_s=times.key_publish_s,
            retire_s=times.key_retire_s,
        )

    # -- the status ------------------------------------------------------------------------------------------

    def status(self) -> Response:
        found = self._condition()
        lang = self.frame.lang()
        now = self.house.clock()
        return self.frame.page(
            "public/status.html",
            status=200 if found.able else 503,
            able=found.able,
            parts=[(PARTS[name], works) for name, works in found.parts.items()],
            maintenance=[
                {
                    "uid": _uid(one),
                    "text": said(one.text, lang),
                    "since": iso(one.since_s),
                    "until": iso(one.until_s),
                    "now": one.since_s <= now,
                }
                for one in self._ahead()
            ],
            version=__version__,
            time_iso=iso(now),
        )

    def status_json(self) -> Response:
        found = self._condition()
        told: dict[str, Any] = {
            "able_to_sign_in": found.able,
            "parts": found.parts,
            "version": __version__,
            "time": iso(self.house.clock()),
            "maintenance": [
                {"from": iso(one.since_s), "until": iso(one.until_s), "text": one.text}
                for one in self._ahead()
            ],
        }
        response = _for_anybody(jsonify(told), _STATUS_MAX_AGE_S)
        response.status_code = 200 if found.able else 503
        return response

    def status_atom(self) -> Response:
        lang = self.frame.lang()
        gettext = translations(lang).gettext
        happenings = [
            Happening(
                uid=_uid(one),
                at=one.since_s,
                title=gettext("Planned maintenance"),
                text=f"{said(one.text, lang)}\n{iso(one.since_s)} – {iso(one.until_s)}",
            )
            for one in self._ahead()
        ]
        page_url = f"{self.settings.issuer}/status"
        text = atom(
            f"{self.settings.host}: {gettext('Status of the service')}",
            happenings,
            page_url=page_url,
            feed_url=f"{page_url}.atom",
            author=self.settings.host,
            now=self.house.clock(),
        )
        return _for_anybody(
            Response(text, content_type="application/atom+xml; charset=utf-8"), _KEYS_MAX_AGE_S
        )

    def _condition(self) -> Condition:
        return condition(self.house.store, self.house.keys, self.house.trust)

    def _ahead(self) -> list[Maintenance]:
        """What is planned or under way, the earliest first."""
        now = self.house.clock()
        return sorted(
            (one for one in self.settings.maintenance if one.until_s > now), key=lambda one: one.since_s
        )


def _uid(one: Maintenance) -> str:
    """The same as long as the announcement is the same."""
    said = f"{one.since_s} {one.until_s} {sorted(one.text.items())}"
    return f"maintenance-{hashlib.sha256(said.encode('utf-8')).hexdigest()[:12]}"


def _for_anybody(response: Response, max_age_s: int) -> Response:
    response.headers["Cache-Control"] = f"public, max-age={max_age_s}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
