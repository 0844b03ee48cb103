"""What a changed registration needs before the next sign-in, whoever changed it."""

from __future__ import annotations

from idp import portals
from idp.admin.portals import reading
from idp.admin.portals.differences import differences
from idp.oidc import key_use
from idp.oidc.registration import RegistrationRefused
from idp.wiring import House


def settle(house: House, client_id: str) -> bool:
    """Make keys for the algorithms that a portal registered, and fetch a logo that is new; False: it could not be."""
    found = portals.find(client_id)
    if found is not None:
        house.keys.ensure(key_use.algorithms(found))
    latest = reading.history(client_id, limit=1)
    if not latest or all(row.member != "logo_uri" for row in differences(latest[0].before, latest[0].after)):
        return True
    try:
        house.registrations.renew_logo(client_id)
    except RegistrationRefused:
        return False
    return True
