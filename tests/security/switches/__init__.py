"""For each check of the house a way to switch it off, in a copy of its source; an exam must fail without it.

`python -m tests.security.mutation` does so and looks which rows turn red.
"""

from tests.security.switches import portal_side, wallet_side
from tests.security.switches.switch import Edit, Switch

SWITCHES: tuple[Switch, ...] = (*portal_side.SWITCHES, *wallet_side.SWITCHES)

__all__ = ["SWITCHES", "Edit", "Switch"]
