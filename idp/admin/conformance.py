"""Which rules a client breaks or could keep better: from its registration, and from what it was seen to do lately.

Each rule is a small function that yields what it saw. Its words, and where it is written, are `views/reasons.py`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from cryptography import x509

from idp.admin.portal_events import Seen
from idp.claims import CLAIMS
from idp.clock import iso
from idp.events import Event
from idp.fetch import FetchRefused
from idp.portals import IMPLICIT, Registration
from idp.portals.rules import LOOPBACK_HOSTS

Level = Literal["must", "should", "may"]
SOON_S = 30 * 86_400
_ENOUGH = 20  # sign-ins, before one may say what is not used
_MIN_RSA_BITS = 2048
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KINDS = frozenset({("EC", "P-256"), ("EC", "P-384"), ("EC", "P-521"), ("OKP", "Ed25519"), ("OKP", "X25519")})


@dataclass(frozen=True)
class Finding:
    """A rule that is broken (`must`) or could be kept better (`should`, `may`), and by what that is seen."""

    rule: str
    level: Level
    seen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """What is judged: a registration, where it is registered, and its latest events.

    reachable: raises FetchRefused for an address that we never go to, whatever answers there.
    """

    registration: Registration
    production: bool
    now: int
    reachable: Callable[[str], None]
    lately: Sequence[Seen] = ()


def findings(case: Case) -> list[Finding]:
    """All of them, what must be mended first."""
    found = [finding for rule in RULES for finding in rule(case)]
    order = ("must", "should", "may")
    return sorted(found, key=lambda finding: order.index(finding.level))


def _flow(case: Case) -> Iterator[Finding]:
    r = case.registration
    if not r.require_pkce:
        yield Finding("pkce", "must", ("require_pkce = false",))
    if IMPLICIT in r.grant_types:
        yield Finding("implicit", "must", tuple(kind for kind in r.response_types if kind != "code"))
    if r.redirect_uris and not r.must_push:
        yield Finding("not_pushed", "may", ("require_pushed_authorization_requests = false",))


def _addresses(case: Case) -> Iterator[Finding]:
    local = [uri for uri in case.registration.redirect_uris if urlsplit(uri).hostname in LOOPBACK_HOSTS]
    if local and case.production:
        yield Finding("loopback", "must", tuple(local))
    if named := [uri for uri in local if urlsplit(uri).hostname == "localhost"]:
        yield Finding("localhost", "should", tuple(named))


def _never_asked(case: Case) -> Iterator[Finding]:
    for member in ("jwks_uri", "backchannel_logout_uri"):
        uri = getattr(case.registration, member)
        if uri is None:
            continue
        try:
            case.reachable(uri)
        except FetchRefused as error:
            yield Finding("never_asked", "must", (f"{member} = {uri} ({error.reason})",))


def _proof(case: Case) -> Iterator[Finding]:
    r = case.registration
    method = r.token_endpoint_auth_method
    if method.startswith("client_secret"):
        yield Finding("shared_secret", "should", (method,))
    if method == "client_secret_post":
        yield Finding("secret_in_form", "should", (method,))
    if len(r.client_secret_sha256) > 1:
        yield Finding("two_secrets", "should", tuple(f"{digest[:8]}…" for digest in r.client_secret_sha256))
    if not (r.dpop_bound_access_tokens or r.tls_client_certificate_bound_access_tokens):
        yield Finding("bearer", "may", ("dpop_bound_access_tokens = false",))


def _algorithms(case: Case) -> Iterator[Finding]:
    fields = (
        "id_token_signed_response_alg",
        "userinfo_signed_response_alg",
        "authorization_signed_response_alg",
        "token_endpoint_auth_signing_alg",
        "request_object_signing_alg",
    )
    if old := [f"{field} = RS256" for field in fields if getattr(case.registration, field) == "RS256"]:
        yield Finding("rs256", "should", tuple(old))


def _keys(case: Case) -> Iterator[Finding]:
    if case.registration.jwks is None:
        return
    keys: list[dict[str, Any]] = list(case.registration.jwks.get("keys") or ())
    if case.registration.token_endpoint_auth_method == "private_key_jwt":
        yield Finding("jwks_by_value", "may", (f"jwks: {len(keys)}",))
    named = {number: _name(key, number) for number, key in enumerate(keys)}
    if unusable := [named[n] for n, key in enumerate(keys) if not _usable(key)]:
        yield Finding("jwks_unusable", "must", tuple(unusable))
    if nameless := [named[n] for n, key in enumerate(keys) if not key.get("kid")]:
        yield Finding("jwks_kid", "should", tuple(nameless))
    ends = {named[n]: end for n, key in enumerate(keys) if (end := _ends_at(key)) is not None}
    if ending := [f"{name}: {iso(end)}" for name, end in ends.items() if end <= case.now + SOON_S]:
        over = any(end <= case.now for end in ends.values())
        yield Finding("jwks_expired", "must" if over else "should", tuple(ending))


def _told(case: Case) -> Iterator[Finding]:
    r = case.registration
    if r.backchannel_logout_uri is None:
        yield Finding("backchannel_logout", "should")
    if r.policy_uri is None and r.claims:
        yield Finding("privacy_policy", "must" if case.production else "should")
    if r.initiate_login_uri is None and r.client_uri is None:
        yield Finding("initiate_login", "may")
    if not r.contacts:
        yield Finding("contacts", "may")


def _unused(case: Case) -> Iterator[Finding]:
    """Of many sign-ins none released a claim that is registered."""
    finished = [seen.detail.get("claims") or () for seen in case.lately if seen.name == Event.LOGIN_FINISHED]
    released = {name for names in finished for name in names}
    unused = [name for name in CLAIMS if name in case.registration.claim_names - released]
    if len(finished) >= _ENOUGH and unused:
        yield Finding("claims_unused", "should", tuple(unused))


Rule = Callable[[Case], Iterator[Finding]]

RULES: tuple[Rule, ...] = (_flow, _addresses, _never_asked, _proof, _algorithms, _keys, _told, _unused)


def _name(key: dict[str, Any], number: int) -> str:
    kid = key.get("kid")
    return f"kid {kid}"[:64] if isinstance(kid, str) and kid else f"keys[{number}]"


def _usable(key: dict[str, Any]) -> bool:
    """Whether a key could be one of a portal's; what it is used for is judged when it is used."""
    if not _PRIVATE.isdisjoint(key):
        return False
    if key.get("kty") == "RSA":
        modulus = key.get("n")
        return isinstance(modulus, str) and len(modulus) * 6 >= _MIN_RSA_BITS
    return (key.get("kty"), key.get("crv")) in _KINDS


def _ends_at(key: dict[str, Any]) -> int | None:
    """When its certificate, or the key itself by `exp` (as some sets have it), is over; None where it does not say."""
    ends = key.get("exp")
    chain = key.get("x5c")
    if isinstance(chain, list) and chain and isinstance(chain[0], str):
        try:
            leaf = x509.load_der_x509_certificate(base64.b64decode(chain[0], validate=True))
            return int(leaf.not_valid_after_utc.timestamp())
        except ValueError:
            return 0  # what cannot be read is good for nothing
    return ends if isinstance(ends, int) and not isinstance(ends, bool) else None
