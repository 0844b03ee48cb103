"""Portals that register themselves: OpenID Connect Dynamic Client Registration 1.0, RFC 7591, RFC 7592.

`metadata` turns client metadata into a `portals.Registration` and back, `references` fetches what the metadata points
to, `logo` makes a stranger's picture ours, `statements` reads software statements, `registrations` is what the door
calls, `access` the tokens by which it opens.

Who may register: whoever has an initial access token (`idp portals invite`), or anybody where the settings say
`registration.open`. Which profile: the token's. A token for `standard` may register a `fapi2` portal by the extension
member `profile`, since that is the stricter one; a token for `fapi2` registers nothing else. A `fapi2` portal that
names no method gets `private_key_jwt` and DPoP-bound tokens.

A portal that registers itself gets less than one that an operator applies from a file: scopes out of
`registration.scopes`, claims that the holder has to tick, no statute as the ground of a claim, no resources, no
credential types of its own. Its holders read who it is (its name, and the host it is at) and what it did not say.

Extension members: `profile`, `operator`, `retention` and `requested_claims`; texts are strings, `{ko, en}`, or
language-tagged members (RFC 7591, section 2.2). Unknown members are ignored.
"""

from idp.oidc.registration.access import invite
from idp.oidc.registration.refusals import AccessRefused, RegistrationRefused
from idp.oidc.registration.registrations import (
    Registrations,
    logo_png,
    logo_url,
    remove,
    switch,
)
from idp.portals.versions import UnknownPortal

__all__ = [
    "AccessRefused",
    "RegistrationRefused",
    "Registrations",
    "UnknownPortal",
    "invite",
    "logo_png",
    "logo_url",
    "remove",
    "switch",
]
