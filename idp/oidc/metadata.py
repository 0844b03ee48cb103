"""What portals read about us: discovery, made from what is really registered.

Spec: OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2; OpenID Identity Assurance 1.0, section 8; RFC 9207.
"""

from __future__ import annotations

from typing import Any

from idp.claims import CLAIMS, SCOPES
from idp.oidc import verified_claims
from idp.oidc.authorize import ACR_LEVELS
from idp.oidc.client_auth import ASSERTION_ALGORITHMS
from idp.oidc.server import TokenServer
from idp.settings import Settings

SIGNING_ALGORITHMS = ("ES256", "RS256")
UI_LOCALES = ("ko", "en")
PROTOCOL_CLAIMS = ("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash")


def document(settings: Settings, tokens: TokenServer, credential_types: tuple[str, ...]) -> dict[str, Any]:
    """The metadata. `credential_types` are what an `electronic_record` may be."""
    issuer = settings.issuer
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/jwks",
        "end_session_endpoint": f"{issuer}/logout",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(tokens.grant_types),
        "subject_types_supported": ["pairwise"],
        "acr_values_supported": [f"{issuer}/acr/{level}" for level in ACR_LEVELS],
        "id_token_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "token_endpoint_auth_methods_supported": list(tokens.methods),
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "display_values_supported": ["page", "popup", "touch", "wap"],
        "claim_types_supported": ["normal"],
        "claims_supported": [*PROTOCOL_CLAIMS, *CLAIMS],
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "ui_locales_supported": list(UI_LOCALES),
        "verified_claims_supported": True,
        "trust_frameworks_supported": [verified_claims.TRUST_FRAMEWORK],
        "assurance_levels_supported": list(verified_claims.ASSURANCE_LEVELS),
        "evidence_supported": list(verified_claims.EVIDENCE_TYPES),
        "electronic_records_supported": list(credential_types),
        "documents_check_methods_supported": list(verified_claims.CHECK_METHODS),
        "claims_in_verified_claims_supported": list(CLAIMS),
    }
