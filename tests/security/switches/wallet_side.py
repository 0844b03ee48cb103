"""The checks of the wallets' side, each with what switches it off: see the package."""

from tests.security.switches import credentials, sd_jwt, wallets
from tests.security.switches.switch import Switch

SWITCHES: tuple[Switch, ...] = (*sd_jwt.SWITCHES, *credentials.SWITCHES, *wallets.SWITCHES)
