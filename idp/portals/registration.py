"""One relying portal, as registered: the document stored in `models.Portal.registration`.

Members carry the names of client metadata (OpenID Connect Dynamic Client Registration 1.0, section 2; RFC 7591,
8705, 9101, 9126, 9449, 9701; JARM; Back-Channel Logout 1.0). What is ours alone: `profile` (decision D2), the claims
with their purposes, `resources` and `serves_resources` (RFC 8707 has no metadata for them).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

AuthMethod = Literal[
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
]
SigningAlgorithm = Literal["ES256", "RS256", "PS256"]

AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
IMPLICIT = "implicit"
FRONT_CHANNEL_TYPES = ("id_token", "id_token token")
"""Response types of the grant `implicit` (`oidc.front_channel`)."""


class RegistrationError(ValueError):
    """A registration that cannot be accepted; `problems` names every one, with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class RequestedClaim(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A claim the portal may receive: why it needs it, how long it keeps it, on what legal basis.

    `retention` None: as long as the registration says for all of them.
    """

    name: str
    purpose: dict[str, str]
    retention: dict[str, str] | None = None
    required: bool = True
    basis: Literal["consent", "statute"] = "consent"
    statute: dict[str, str] | None = None


class Registration(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One portal, as registered."""

    client_id: str
    name: dict[str, str]
    operator: dict[str, str]
    retention: dict[str, str]
    redirect_uris: tuple[str, ...] = ()
    profile: Literal["standard", "fapi2"] = "standard"
    grant_types: tuple[str, ...] = (AUTHORIZATION_CODE,)
    response_types: tuple[str, ...] = ("code",)
    post_logout_redirect_uris: tuple[str, ...] = ()
    sector_identifier: str = ""
    sector_identifier_uri: str | None = None
    previous_sector_identifier: str | None = None
    """The sector that this portal moves away from; until `previous_sector_until` (seconds) it is given both names."""
    previous_sector_until: int | None = None

    # Who it is, at the back channel.
    token_endpoint_auth_method: AuthMethod = "private_key_jwt"
    token_endpoint_auth_signing_alg: str | None = None
    client_secret_sha256: tuple[str, ...] = ()
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    tls_client_auth_subject_dn: str | None = None
    tls_client_auth_san_dns: str | None = None
    tls_client_auth_san_uri: str | None = None
    tls_client_auth_san_ip: str | None = None
    tls_client_auth_san_email: str | None = None
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False

    # What it may ask for, and how.
    scopes: tuple[str, ...] = ("openid",)
    claims: tuple[RequestedClaim, ...] = ()
    credential_types: tuple[str, ...] = ()
    required_acr: Literal["general", "secure"] = "general"
    require_pkce: bool = True
    require_pushed_authorization_requests: bool = False
    require_signed_request_object: bool = False
    request_object_signing_alg: str | None = None
    request_object_encryption_alg: str | None = None
    request_object_encryption_enc: str | None = None
    request_uris: tuple[str, ...] = ()
    default_max_age: int | None = None
    require_auth_time: bool = False
    default_acr_values: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    cross_device: bool = True
    single_sign_on: bool = True

    # What it gets back.
    authorization_signed_response_alg: SigningAlgorithm = "ES256"
    authorization_encrypted_response_alg: str | None = None
    authorization_encrypted_response_enc: str | None = None
    id_token_signed_response_alg: SigningAlgorithm = "ES256"
    id_token_encrypted_response_alg: str | None = None
    id_token_encrypted_response_enc: str | None = None
    userinfo_signed_response_alg: SigningAlgorithm | None = None
    userinfo_encrypted_response_alg: str | None = None
    userinfo_encrypted_response_enc: str | None = None
    introspection_signed_response_alg: SigningAlgorithm = "ES256"
    introspection_encrypted_response_alg: str | None = None
    introspection_encrypted_response_enc: str | None = None

    # What it is told later.
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False
    initiate_login_uri: str | None = None

    # It is itself what tokens are for: it may introspect those for `serves_resources`.
    serves_resources: tuple[str, ...] = ()
    access_token_format: Literal["opaque", "jwt"] = "opaque"

    # What holders see, and who answers for it.
    client_uri: str | None = None
    logo_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    contacts: tuple[str, ...] = ()
    software_id: str | None = None
    software_version: str | None = None

    @property
    def sector(self) -> str:
        """What makes the pairwise `sub` this portal's own (OpenID Connect Core 8.1)."""
        if self.sector_identifier:
            return self.sector_identifier
        where = self.sector_identifier_uri or next(iter(self.redirect_uris), None)
        return str(urlsplit(where).hostname) if where else self.client_id

    def previous_sector(self, now: int) -> str | None:
        """The sector it is moving away from, while that move goes on."""
        until = self.previous_sector_until
        return self.previous_sector_identifier if until is not None and now < until else None

    @property
    def is_fapi2(self) -> bool:
        return self.profile == "fapi2"

    @property
    def must_push(self) -> bool:
        """Whether requests come by RFC 9126 only."""
        return self.is_fapi2 or self.require_pushed_authorization_requests

    @property
    def must_prove_key(self) -> bool:
        """Whether its tokens are bound to a key, by RFC 9449 or RFC 8705."""
        return (
            self.is_fapi2 or self.dpop_bound_access_tokens or self.tls_client_certificate_bound_access_tokens
        )

    @property
    def knows_sessions(self) -> bool:
        """Whether a `sid` is of use to it: it ends sessions, or is told of their end."""
        return bool(self.post_logout_redirect_uris or self.backchannel_logout_uri)

    @property
    def is_public(self) -> bool:
        return self.token_endpoint_auth_method == "none"

    @property
    def claim_names(self) -> frozenset[str]:
        return frozenset(claim.name for claim in self.claims)

    def claim(self, name: str) -> RequestedClaim:
        return next(claim for claim in self.claims if claim.name == name)

    def has_redirect_uri(self, uri: str) -> bool:
        """Exact comparison; only the port of a registered http loopback address may vary (RFC 8252, 7.3)."""
        return uri in self.redirect_uris or any(_same_but_port(known, uri) for known in self.redirect_uris)

    def has_secret(self, secret: str) -> bool:
        return self.secret_digest(secret) is not None

    def secret_digest(self, secret: str) -> str | None:
        """The SHA-256 of a secret that is registered, None for any other; constant time against each digest."""
        presented = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        matches = [hmac.compare_digest(presented, known) for known in self.client_secret_sha256]
        return presented if any(matches) else None


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
