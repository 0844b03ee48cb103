"""Our signing keys: what each is, who has seen the next one, bringing that in, and taking away a stolen one."""

from __future__ import annotations

from typing import Literal

import msgspec

from idp.admin.people import Act
from idp.events import Event, record_alone
from idp.keys import Listed, NoSigningKey, RotationPending, State, UnknownKey
from idp.oidc import key_use
from idp.views.api.operations import Answer, Area, Call, operation
from idp.views.api.portal_changes import Because, Reason
from idp.views.api.portals import Asked
from idp.views.problems import ApiError

Algorithm = Literal["ES256", "RS256", "PS256"]


class KeyLine(msgspec.Struct, frozen=True):
    """A key, and when its state changes. `fetched_by`, of a published one: the portals that were seen to fetch it."""

    kid: str
    alg: str
    state: State
    published_at: int
    active_at: int
    retiring_at: int | None
    gone_at: int | None
    fetched_by: list[str] | None
    not_fetched_by: list[str] | None


class KeyLines(msgspec.Struct, frozen=True):
    """Every key, gone ones too."""

    items: list[KeyLine]


class Rotation(Asked, frozen=True):
    """Of which algorithm. `at_once`: sign with the new key now, though portals may not know it yet."""

    alg: Algorithm
    reason: Reason
    at_once: bool = False


class Rotated(msgspec.Struct, frozen=True):
    """The key that signs next, or now."""

    kid: str


class KeyArea(Area):
    """Signing keys."""

    tag = "keys"

    @operation("GET", "/keys", Act.SEE_SYSTEM, KeyLines)
    def list_keys(self, call: Call) -> Answer:
        """Every signing key, and how many portals know the next one."""
        return Answer(KeyLines([_line(key) for key in self.house.keys.listing()]))

    @operation(
        "POST", "/keys/rotate", Act.CHANGE_SYSTEM, Rotated, body=Rotation, conflicts=True, missing=True
    )
    def rotate_key(self, call: Call) -> Answer:
        """Publish the next key, which signs after `lifetimes.key_publish_s`."""
        given: Rotation = call.body
        try:
            kid = self.house.keys.rotate(given.alg, at_once=given.at_once)
        except RotationPending as error:
            raise ApiError("conflict") from error
        except NoSigningKey as error:
            raise ApiError("not_found") from error
        detail = {"alg": given.alg, "kid": kid, "at_once": given.at_once, "why": given.reason}
        record_alone(Event.KEY_ROTATED, at=self.clock(), detail=detail)
        return Answer(Rotated(kid))

    @operation("POST", "/keys/{kid}/remove", Act.CHANGE_SYSTEM, KeyLines, body=Because)
    def remove_key(self, call: Call, kid: str) -> Answer:
        """Take away at once a key that others may have copied; where it was active, another one signs."""
        try:
            self.house.keys.remove(kid)
        except UnknownKey as error:
            raise ApiError("not_found") from error
        record_alone(Event.KEY_REMOVED, at=self.clock(), detail={"kid": kid, "why": call.body.reason})
        return self.list_keys(call)


def _line(key: Listed) -> KeyLine:
    fetched, missing = key_use.waiting_for(key.kid) if key.state == "published" else (None, None)
    return KeyLine(
        kid=key.kid,
        alg=key.alg,
        state=key.state,
        published_at=key.published_at,
        active_at=key.active_at,
        retiring_at=key.retiring_at,
        gone_at=key.gone_at,
        fetched_by=list(fetched) if fetched is not None else None,
        not_fetched_by=list(missing) if missing is not None else None,
    )
