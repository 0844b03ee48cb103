"""What portals read about us: discovery, made from what is really registered.

Spec: OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2; RFC 8628, section 4; RFC 8705, section 5; RFC 9101,
section 9; RFC 9126, section 5; RFC 9207; RFC 9449, section 5.1; RFC 9701, section 7; JARM, section 4; OpenID Connect
Back-Channel Logout 1.0, section 2.1; OpenID Identity Assurance 1.0, section 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from idp.claims import CLAIMS, CLAIMS_LOCALES, SCOPES
from idp.oidc import front_channel, verified_claims
from idp.oidc.client_auth import ASSERTION_ALGORITHMS
from idp.oidc.dpop import DPOP_ALGORITHMS
from idp.oidc.id_token import SIGNING_ALGORITHMS
from idp.oidc.reply import RESPONSE_MODES
from idp.oidc.server import TokenServer
from idp.oidc.single_sign_on import ACR_LEVELS
from idp.portals import FRONT_CHANNEL_TYPES, IMPLICIT, rules
from idp.settings import Settings

UI_LOCALES = ("ko", "en", "zh-Hans", "vi", "id", "fil", "pt-BR", "ja", "es", "ru", "fr")
PROTOCOL_CLAIMS = ("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash")
_BACK_CHANNEL = {
    "token_endpoint": "/token",
    "pushed_authorization_request_endpoint": "/par",
    "introspection_endpoint": "/introspect",
    "revocation_endpoint": "/revoke",
    "device_authorization_endpoint": "/device_authorization",
    "userinfo_endpoint": "/userinfo",
}


def document(settings: Settings, tokens: TokenServer, credential_types: tuple[str, ...]) -> dict[str, Any]:
    """The metadata. `credential_types` are what an `electronic_record` may be."""
    issuer = settings.issuer
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        **{name: issuer + path for name, path in _BACK_CHANNEL.items()},
        "jwks_uri": f"{issuer}/jwks",
        "end_session_endpoint": f"{issuer}/logout",
        "registration_endpoint": f"{issuer}/register",
        **_aliases(settings),
        "scopes_supported": list(SCOPES),
        **_flows(settings, tokens.grant_types),
        "subject_types_supported": ["pairwise"],
        "acr_values_supported": [f"{issuer}/acr/{level}" for level in ACR_LEVELS],
        **_algorithms(tokens.methods),
        **_requests(settings),
        "authorization_response_iss_parameter_supported": True,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "display_values_supported": ["page", "popup", "touch", "wap"],
        "claim_types_supported": ["normal"],
        "claims_supported": [*PROTOCOL_CLAIMS, *CLAIMS],
        "claims_parameter_supported": True,
        "claims_locales_supported": list(CLAIMS_LOCALES),
        "ui_locales_supported": list(UI_LOCALES),
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        **verified_claims.metadata(credential_types),
    }


def _flows(settings: Settings, grant_types: Sequence[str]) -> dict[str, Any]:
    """What may be asked for, and how the answer comes."""
    implicit = settings.requests.implicit
    modes = (*RESPONSE_MODES, *(front_channel.RESPONSE_MODES if implicit else ()))
    return {
        "response_types_supported": ["code", *(FRONT_CHANNEL_TYPES if implicit else ())],
        "response_modes_supported": list(dict.fromkeys(modes)),
        "grant_types_supported": [*grant_types, *((IMPLICIT,) if implicit else ())],
    }


def _requests(settings: Settings) -> dict[str, Any]:
    """How an authorization request may come."""
    return {
        "code_challenge_methods_supported": ["S256"],
        "require_pushed_authorization_requests": False,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": settings.requests.by_reference,
        "require_request_uri_registration": True,
        "request_object_signing_alg_values_supported": list(rules.SIGNING_ALGORITHMS),
        "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS),
    }


def _algorithms(methods: Sequence[str]) -> dict[str, Any]:
    """Who may prove itself how, and how answers are signed and encrypted."""
    endpoints = {
        name: value
        for endpoint in ("token", "introspection", "revocation")
        for name, value in (
            (f"{endpoint}_endpoint_auth_methods_supported", list(methods)),
            (f"{endpoint}_endpoint_auth_signing_alg_values_supported", list(ASSERTION_ALGORITHMS)),
        )
    }
    answers = {
        name: value
        for place in ("id_token", "userinfo", "authorization", "introspection")
        for name, value in (
            (f"{place}_signing_alg_values_supported", list(SIGNING_ALGORITHMS)),
            (f"{place}_encryption_alg_values_supported", list(rules.ENCRYPTION_ALGORITHMS)),
            (f"{place}_encryption_enc_values_supported", list(rules.ENCRYPTION_ENCODINGS)),
        )
    }
    # A public client asks nothing of introspection.
    endpoints["introspection_endpoint_auth_methods_supported"] = [name for name in methods if name != "none"]
    return {**endpoints, **answers}


def _aliases(settings: Settings) -> dict[str, Any]:
    """What there is for portals with TLS client certificates (RFC 8705, sections 3.3 and 5)."""
    if not settings.server.client_certificate_header:
        return {}
    said: dict[str, Any] = {"tls_client_certificate_bound_access_tokens": True}
    if settings.server.mtls_base_url:
        said["mtls_endpoint_aliases"] = {
            name: settings.server.mtls_base_url + path for name, path in _BACK_CHANNEL.items()
        }
    return said
