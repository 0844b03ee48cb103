"""The console as a portal of ours, and who is signed in there.

Administrators sign in like holders (decision D13): the console is registered as a portal, asks for no claim, and knows
a person by a pairwise `sub`. What it keeps of a sign-in is a `PageSession` in the Store, found by a cookie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from idp import portals
from idp.clock import Clock
from idp.page_session import PageSessions
from idp.portals import Registration
from idp.portals.rules import CONSOLE
from idp.settings import Settings
from idp.store import Store

CLIENT_ID: Final = CONSOLE
CALLBACK: Final = "/console/callback"


def ensure(settings: Settings, credential_types: Sequence[str], *, now: int) -> Registration:
    """The console's registration, written where it is not there or another one; `credential_types` are asked for.

    Its secret is PKCE: codes are redeemed in this house, and at the token endpoint nobody else has the verifier.
    """
    wanted = portals.parse(
        {
            "client_id": CLIENT_ID,
            "name": {"ko": "신원 관리 콘솔", "en": "Sinwon console"},
            "operator": {"ko": "신원 운영 기관", "en": "The operator of Sinwon"},
            "retention": {"ko": "보관하지 않음", "en": "Not kept"},
            "redirect_uris": [f"{settings.issuer}{CALLBACK}"],
            "sector_identifier": CLIENT_ID,
            "token_endpoint_auth_method": "none",
            "credential_types": list(credential_types),
            "required_acr": "secure",
            "single_sign_on": False,
            "client_uri": f"{settings.issuer}/console",
        }
    )
    portals.ensure(wanted, now=now)
    return wanted


def sessions(store: Store, settings: Settings, clock: Clock) -> PageSessions:
    """Who is signed in at the console, by an administrator's id."""
    times = settings.console
    return PageSessions("console", store, clock, idle_s=times.idle_s, max_s=times.max_s)
