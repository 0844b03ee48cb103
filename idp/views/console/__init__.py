"""The administrators' door: what `admin/` may do, as pages. `desk` guards them, each other module is an area."""

from __future__ import annotations

from flask import Blueprint

from idp.admin import console
from idp.views.console.audit import AuditPages
from idp.views.console.desk import Desk
from idp.views.console.engineer import EngineerPages
from idp.views.console.examining import CredentialPages
from idp.views.console.home import Home
from idp.views.console.keys import KeyPages
from idp.views.console.organisations import OrganisationPages
from idp.views.console.people import PeoplePages
from idp.views.console.portal_wizard import PortalForms
from idp.views.console.portals import PortalPages
from idp.views.console.previewing import PreviewPages
from idp.views.console.proving import ProofPages
from idp.views.console.sessions import SessionPages
from idp.views.console.sign_in import SignIn
from idp.views.console.tokens import TokenPages
from idp.views.console.trust import TrustPages
from idp.views.console.trying import TryPages
from idp.views.console.wallets import Trial, WalletPages
from idp.views.frame import Frame


class ConsoleDoor:
    """`/console`. `wallet_trial` tries a wallet's profile, with a wallet that this floor does not know."""

    def __init__(self, frame: Frame, wallet_trial: Trial) -> None:
        house = frame.house
        desk = Desk(frame, console.sessions(house.store, house.settings, house.clock))
        portals = PortalPages(desk)
        self.areas = (
            SignIn(desk),
            Home(desk),
            portals,
            PortalForms(desk, portals),
            OrganisationPages(desk),
            PeoplePages(desk),
            TokenPages(desk),
            AuditPages(desk),
            EngineerPages(desk),
            TryPages(desk),
            ProofPages(desk),
            PreviewPages(desk),
            CredentialPages(desk),
            TrustPages(desk),
            KeyPages(desk),
            WalletPages(desk, wallet_trial),
            SessionPages(desk),
        )

    def blueprint(self) -> Blueprint:
        door = Blueprint("console", __name__, url_prefix="/console")
        for area in self.areas:
            area.add_to(door)
        return door
