"""Relying portals: what a registration may say, and how one is found.

`Registration` is the document stored in `models.Portal.registration`. `parse` reads one from a seed file, an
admin or a registration request and reports every problem at once. Redirect URIs are compared as exact strings
(RFC 9700, section 2.1); a client secret is known by its SHA-256 only, since it is random and long.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec
from sqlalchemy import bindparam, select

from idp.claims import CLAIMS, SCOPES
from idp.models import Portal, db

AuthMethod = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "[::1]", "::1", "localhost"})


class RegistrationError(ValueError):
    """A registration that cannot be accepted; `problems` names every one, with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class RequestedClaim(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A claim the portal may receive: why it needs it, how long it keeps it, on what legal basis."""

    name: str
    purpose: dict[str, str]
    required: bool = True
    basis: Literal["consent", "statute"] = "consent"
    statute: dict[str, str] | None = None


class Registration(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One portal, as registered."""

    client_id: str
    name: dict[str, str]
    operator: dict[str, str]
    redirect_uris: tuple[str, ...]
    retention: dict[str, str]
    profile: Literal["standard", "fapi2"] = "standard"
    post_logout_redirect_uris: tuple[str, ...] = ()
    sector_identifier: str = ""
    token_endpoint_auth_method: AuthMethod = "private_key_jwt"
    client_secret_sha256: tuple[str, ...] = ()
    jwks: dict[str, Any] | None = None
    scopes: tuple[str, ...] = ("openid",)
    claims: tuple[RequestedClaim, ...] = ()
    credential_types: tuple[str, ...] = ()
    required_acr: Literal["general", "secure"] = "general"
    require_pkce: bool = True
    id_token_signed_response_alg: Literal["ES256", "RS256"] = "ES256"
    cross_device: bool = True
    single_sign_on: bool = True
    client_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None

    @property
    def sector(self) -> str:
        """What makes the pairwise `sub` this portal's own (OpenID Connect Core 8.1)."""
        return self.sector_identifier or str(urlsplit(self.redirect_uris[0]).hostname)

    @property
    def claim_names(self) -> frozenset[str]:
        return frozenset(claim.name for claim in self.claims)

    def claim(self, name: str) -> RequestedClaim:
        return next(claim for claim in self.claims if claim.name == name)

    def has_redirect_uri(self, uri: str) -> bool:
        """Exact comparison; only the port of a registered http loopback address may vary (RFC 8252, 7.3)."""
        return uri in self.redirect_uris or any(_same_but_port(known, uri) for known in self.redirect_uris)

    def has_secret(self, secret: str) -> bool:
        """Constant time against each registered digest."""
        presented = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        matches = [hmac.compare_digest(presented, known) for known in self.client_secret_sha256]
        return any(matches)


def parse(document: Mapping[str, Any]) -> Registration:
    """Read one registration. Raises RegistrationError with every problem found."""
    try:
        registration = msgspec.convert(dict(document), Registration)
    except msgspec.ValidationError as error:
        raise RegistrationError([f"{document.get('client_id', 'portal')}: {error}"]) from error
    problems = [f"{registration.client_id}: {problem}" for problem in _problems(registration)]
    if problems:
        raise RegistrationError(problems)
    return registration


def _problems(r: Registration) -> list[str]:
    found: list[str] = []
    if not r.client_id or not all(" " < char <= "~" for char in r.client_id) or len(r.client_id) > 255:
        found.append("client_id must be 1 to 255 visible ASCII characters")
    if r.profile == "fapi2":
        found.append(
            "profile fapi2 needs PAR and sender-constrained tokens, which this version does not offer"
        )
    for field in ("name", "operator", "retention"):
        found += [f"{field}.{lang} is missing" for lang in ("ko", "en") if not getattr(r, field).get(lang)]
    if not r.redirect_uris:
        found.append("redirect_uris is empty")
    for uri in (*r.redirect_uris, *r.post_logout_redirect_uris):
        if problem := _uri_problem(uri):
            found.append(f"{uri}: {problem}")
    for field in ("client_uri", "policy_uri", "tos_uri"):  # links on our pages: never javascript: or data:
        uri = getattr(r, field)
        if uri is not None and (problem := _uri_problem(uri)):
            found.append(f"{field} {problem}")
    hosts = {urlsplit(uri).hostname for uri in r.redirect_uris}
    if len(hosts) > 1 and not r.sector_identifier:
        found.append("sector_identifier is needed, since the redirect_uris have more than one host")
    found += _authentication_problems(r)
    found += [f"scope {scope} is not known" for scope in r.scopes if scope not in SCOPES]
    if "openid" not in r.scopes:
        found.append("scopes must contain openid")
    for claim in r.claims:
        if claim.name not in CLAIMS:
            found.append(f"claim {claim.name} is not known")
        if not (claim.purpose.get("ko") and claim.purpose.get("en")):
            found.append(f"claim {claim.name}: purpose is needed in ko and en")
        if claim.basis == "statute" and not (
            claim.statute and claim.statute.get("ko") and claim.statute.get("en")
        ):
            found.append(f"claim {claim.name}: basis statute needs statute in ko and en")
    if len(r.claim_names) != len(r.claims):
        found.append("a claim is listed twice")
    return found


def _authentication_problems(r: Registration) -> list[str]:
    method = r.token_endpoint_auth_method
    found: list[str] = []
    if method.startswith("client_secret") and not 1 <= len(r.client_secret_sha256) <= 2:
        found.append(f"{method} needs one or two client_secret_sha256")
    if any(len(value) != 64 or set(value) - set("0123456789abcdef") for value in r.client_secret_sha256):
        found.append("client_secret_sha256 must be lower-case hex of 64 characters")
    if method == "private_key_jwt" and not (r.jwks and r.jwks.get("keys")):
        found.append("private_key_jwt needs jwks with at least one key")
    if r.jwks and any(set(key) & {"d", "p", "q", "k"} for key in r.jwks.get("keys", ())):
        found.append("jwks holds a private or symmetric key; register public keys only")
    if method == "none" and not r.require_pkce:
        found.append("a public client must use PKCE")
    return found


def _uri_problem(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return "is not a URI"
    if not all("!" <= char <= "~" for char in uri):
        return "must be ASCII without spaces"
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        return "must be an absolute https URI"
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        return "http is for loopback addresses only"
    if "#" in uri:
        return "must not have a fragment"
    if parts.username is not None or parts.password is not None:
        return "must not have user information"
    return None


def _same_but_port(known: str, uri: str) -> bool:
    """RFC 8252, section 7.3: for an http loopback IP literal any port is the same application."""
    if not known.startswith(("http://127.0.0.1", "http://[::1]")) or not uri.startswith("http://"):
        return False
    try:
        a, b = urlsplit(known), urlsplit(uri)
        _ = b.port
    except ValueError:
        return False
    return known == uri.replace(b.netloc, a.netloc, 1) and _authority(a) == _authority(b)


def _authority(parts: SplitResult) -> str:
    # `netloc` without its last `:port`, so that user information or a second host can never match.
    head, colon, port = parts.netloc.rpartition(":")
    return head if colon and port.isdigit() else parts.netloc


_BY_CLIENT_ID = select(Portal.enabled, Portal.registration).where(Portal.client_id == bindparam("client_id"))


def find(client_id: str) -> Registration | None:
    """The enabled portal with this client_id, or None."""
    if not client_id or "\0" in client_id or len(client_id) > 255:
        return None
    row = db.session.connection().execute(_BY_CLIENT_ID, {"client_id": client_id}).first()
    if row is None or not row.enabled:
        return None
    return msgspec.convert(row.registration, Registration)


def document(registration: Registration) -> dict[str, Any]:
    """The JSON document to store."""
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(registration))
    return made
