"""The checks of the portals' side, each with what switches it off: see the package."""

from tests.security.switches import authorization, clients, login, registration, requests, tokens
from tests.security.switches.switch import Switch

SWITCHES: tuple[Switch, ...] = (
    *authorization.SWITCHES,
    *login.SWITCHES,
    *requests.SWITCHES,
    *clients.SWITCHES,
    *tokens.SWITCHES,
    *registration.SWITCHES,
)
