"""The checks of the portals' side, each with what switches it off: see the package."""

from tests.security.switches.switch import Switch, off

SWITCHES: tuple[Switch, ...] = (
    off(
        "redirect_uri is registered",
        "oidc/checks.py",
        "if uri is None or not reading.client.has_redirect_uri(uri):",
        "if uri is None:",
        "AZ-04",
    ),
)
