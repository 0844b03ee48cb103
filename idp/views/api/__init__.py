"""The programs' door to what administrators do: `/admin/api/v1`, described by its `openapi.json`.

Each module is an area; its methods are the table (`operations`) that routes, checks (`gate`) and describes
(`openapi`). What may be done, and what is wrong with it, is said on the floor below, as for the console and the
command line.
"""

from __future__ import annotations

from typing import Final

import msgspec
from flask import Blueprint

from idp.views.api import openapi
from idp.views.api.audit import AuditArea
from idp.views.api.gate import Gate
from idp.views.api.keys import KeyArea
from idp.views.api.operations import BASE, Answer, Area, operation
from idp.views.api.organisations import OrganisationArea
from idp.views.api.portal_changes import PortalChanging
from idp.views.api.portals import Portals
from idp.views.api.proposals import Deciding
from idp.views.api.sessions import SessionArea
from idp.views.api.standing import StandingArea
from idp.views.api.trust import TrustArea
from idp.views.api.wallets import WalletArea
from idp.views.frame import Frame


class Description(Area):
    """This description."""

    tag = "description"

    @operation("GET", "/openapi.json", None, None, media_type="application/json", public=True)
    def describe_api(self) -> Answer:
        """This document."""
        return Answer(description())


AREAS: Final[tuple[type[Area], ...]] = (
    StandingArea,
    Portals,
    PortalChanging,
    Deciding,
    OrganisationArea,
    AuditArea,
    TrustArea,
    KeyArea,
    WalletArea,
    SessionArea,
    Description,
)


def description() -> str:
    """`openapi.json`."""
    made = msgspec.json.encode(openapi.document(AREAS))
    return msgspec.json.format(made, indent=2).decode("utf-8") + "\n"


class ApiDoor:
    """`/admin/api/v1`."""

    def __init__(self, frame: Frame) -> None:
        self._house = frame.house
        self._gate = Gate(frame.house)

    def blueprint(self) -> Blueprint:
        door = Blueprint("admin_api", __name__, url_prefix=BASE)
        for kind in AREAS:
            area = kind(self._house)
            for one in kind.operations():
                view = self._gate.guarded(one, area)
                door.add_url_rule(
                    one.rule, one.name, view, methods=[one.method], provide_automatic_options=False
                )
        return door
