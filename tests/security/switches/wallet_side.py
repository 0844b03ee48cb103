"""The checks of the wallets' side, each with what switches it off: see the package."""

from tests.security.switches import credentials, wallets
from tests.security.switches.switch import Switch

SWITCHES: tuple[Switch, ...] = (*credentials.SWITCHES, *wallets.SWITCHES)
