"""What the portals' pages call things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from idp.portals import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN
from idp.views.messages import N_

STEP_NAMES: Final[Mapping[str, str]] = {
    "who": N_("Who it is"),
    "how": N_("How it connects"),
    "what": N_("What it may know"),
    "review": N_("Review"),
}
METHODS: Final[Mapping[str, str]] = {
    "client_secret_basic": N_("A secret, in the Authorization header (client_secret_basic)"),
    "client_secret_post": N_("A secret, in the form (client_secret_post)"),
    "private_key_jwt": N_("Its own key (private_key_jwt)"),
    "tls_client_auth": N_("A client certificate of a CA (tls_client_auth)"),
    "self_signed_tls_client_auth": N_("A client certificate of its own (self_signed_tls_client_auth)"),
    "none": N_("Nothing: an app on people's devices (none)"),
}
PROFILES: Final[Mapping[str, str]] = {
    "standard": N_("Standard (OpenID Connect)"),
    "fapi2": N_("High security (FAPI 2.0)"),
}
GRANTS: Final[Mapping[str, str]] = {
    AUTHORIZATION_CODE: N_("Sign-in in a browser (authorization_code)"),
    REFRESH_TOKEN: N_("Staying connected (refresh_token)"),
    DEVICE_CODE: N_("Counters and kiosks (device_code)"),
}
LEVELS: Final[Mapping[str, str]] = {
    "general": N_("General"),
    "secure": N_("Secure: face or fingerprint, and a status that could be asked"),
}
BASES: Final[Mapping[str, str]] = {"consent": N_("Consent"), "statute": N_("Statute")}
SENSITIVITIES: Final[Mapping[str, str]] = {
    "personal": N_("Personal"),
    "minimised": N_("Minimised"),
    "unique_identifier": N_("Unique identifying information"),
    "restricted": N_("Restricted"),
}
STATES: Final[Mapping[str, str]] = {
    "waiting": N_("Waiting"),
    "approved": N_("Approved"),
    "rejected": N_("Rejected"),
    "withdrawn": N_("Withdrawn"),
    "outdated": N_("Outdated: the portal was changed meanwhile"),
}
PARTS: Final[Mapping[str, str]] = {
    "scheme": N_("the scheme (http or https)"),
    "host": N_("the host"),
    "port": N_("the port"),
    "path": N_("the path"),
    "trailing slash": N_("the slash at the end"),
    "case": N_("capital and small letters"),
    "percent-encoding": N_("the percent-encoding"),
    "query": N_("the query"),
    "fragment": N_("the fragment"),
    "spelling": N_("the spelling: it leads to the same place, but the text is another"),
}
KEY_PROBLEMS: Final[Mapping[str, str]] = {
    "private": N_("A private or symmetric key: it must never be published. Replace it."),
    "unusable": N_("Not usable: malformed, too weak or of an unknown curve."),
    "unknown_kind": N_("Not a kind of key that is used here."),
    "no_kid": N_("It has no kid: a change of key is only noticed when the set is read again."),
    "kid_twice": N_("Another key has the same kid."),
}
"""What is wrong with a key of a portal's; the first three are not used."""

FETCH_PROBLEM: Final = N_("The keys could not be read")
