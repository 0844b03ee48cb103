"""What a registration may say, beyond its types: every rule a small function that yields its problems.

The rules of `fapi2` are those of the FAPI 2.0 Security Profile, section 5.3, made checks at registration: what a
portal cannot register it cannot do by mistake later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from idp.claims import CLAIMS, SCOPES
from idp.portals.names import distinguished_name
from idp.portals.registration import (
    AUTHORIZATION_CODE,
    DEVICE_CODE,
    FRONT_CHANNEL_TYPES,
    IMPLICIT,
    REFRESH_TOKEN,
    Registration,
)
from idp.portals.texts import MAX_NAME_CHARS, MAX_TEXT_CHARS, both_problems

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "[::1]", "::1", "localhost"})

GRANT_TYPES = (AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE)
STRONG_ALGORITHMS = ("ES256", "PS256", "EdDSA")
"""What `fapi2` portals sign with (FAPI 2.0 Security Profile, section 5.4.1)."""

SIGNING_ALGORITHMS = (*STRONG_ALGORITHMS, "RS256")
ENCRYPTION_ALGORITHMS = ("ECDH-ES", "ECDH-ES+A256KW", "RSA-OAEP-256")
ENCRYPTION_ENCODINGS = ("A256GCM", "A128GCM", "A128CBC-HS256", "A256CBC-HS512")
_TLS_METHODS = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})
_KEY_METHODS = frozenset({"private_key_jwt", "self_signed_tls_client_auth"})
_TLS_SUBJECTS = (
    "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_email",
)
_ENCRYPTED = ("authorization", "id_token", "userinfo", "introspection")
_MAX_URIS = 64
_MAX_SECTOR_CHARS = 255
_MAX_URI_CHARS = 2048


def problems(registration: Registration) -> list[str]:
    """Everything that is wrong with a registration, in the order of its members."""
    return [problem for rule in RULES for problem in rule(registration)]


def _identity(r: Registration) -> Iterator[str]:
    if not r.client_id or not all(" " < char <= "~" for char in r.client_id) or len(r.client_id) > 255:
        yield "client_id must be 1 to 255 visible ASCII characters"


def _texts(r: Registration) -> Iterator[str]:
    for field, max_chars in (
        ("name", MAX_NAME_CHARS),
        ("operator", MAX_NAME_CHARS),
        ("retention", MAX_TEXT_CHARS),
    ):
        yield from (f"{field}{problem}" for problem in both_problems(getattr(r, field), max_chars))
    for claim in r.claims:
        texts = {"purpose": claim.purpose, "statute": claim.statute, "retention": claim.retention}
        for field, text in texts.items():
            if text is not None:
                problems = both_problems(text, MAX_TEXT_CHARS)
                yield from (f"claim {claim.name}: {field}{problem}" for problem in problems)


def _grants(r: Registration) -> Iterator[str]:
    for grant in r.grant_types:
        if grant not in (*GRANT_TYPES, IMPLICIT):
            yield f"grant_types: {grant} is not offered"
    starts = {AUTHORIZATION_CODE, DEVICE_CODE} & set(r.grant_types)
    if REFRESH_TOKEN in r.grant_types and not starts:
        yield "grant_types: refresh_token needs a grant that begins"
    if not starts and IMPLICIT not in r.grant_types and not r.serves_resources:
        yield "grant_types is empty; only what serves resources needs none"
    if DEVICE_CODE in r.grant_types and r.is_fapi2:
        yield "grant_types: the device flow is not part of profile fapi2"
    if "offline_access" in r.scopes and REFRESH_TOKEN not in r.grant_types:
        yield "scope offline_access needs refresh_token among grant_types"


def _front_channel(r: Registration) -> Iterator[str]:
    """`response_types` beyond `code`: whether they are answered is the deployment's (`requests.implicit`)."""
    known = ("code", *FRONT_CHANNEL_TYPES)
    yield from (f"response_types: {name} is not offered" for name in r.response_types if name not in known)
    asked = set(r.response_types) & set(FRONT_CHANNEL_TYPES)
    if asked and IMPLICIT not in r.grant_types:
        yield "response_types: id_token needs implicit among grant_types"
    if IMPLICIT in r.grant_types and not asked:
        yield f"grant_types: implicit needs one of {', '.join(FRONT_CHANNEL_TYPES)} among response_types"
    if (asked or IMPLICIT in r.grant_types) and r.is_fapi2:
        yield "grant_types: the implicit flow is not part of profile fapi2"
    if "id_token token" in asked and r.must_prove_key:
        yield "response_types: an access token sent through the browser cannot be bound to a key"


def _addresses(r: Registration) -> Iterator[str]:
    if {AUTHORIZATION_CODE, IMPLICIT} & set(r.grant_types) and not r.redirect_uris:
        yield "redirect_uris is empty"
    lists = (r.redirect_uris, r.post_logout_redirect_uris, r.request_uris)
    if any(len(uris) > _MAX_URIS for uris in lists):
        yield f"a list of URIs has more than {_MAX_URIS} entries"
    for uri in (*r.redirect_uris, *r.post_logout_redirect_uris):
        if problem := uri_problem(uri):
            yield f"{uri}: {problem}"
    for uri in r.request_uris:  # here a fragment is a version of the file's content (Core 6.2)
        if problem := uri_problem(uri.partition("#")[0]):
            yield f"request_uris: {uri}: {problem}"
    # Links on our pages are never javascript: or data:.
    for field in ("client_uri", "policy_uri", "tos_uri", "logo_uri", "jwks_uri", "sector_identifier_uri"):
        uri = getattr(r, field)
        if uri is not None and (problem := uri_problem(uri)):
            yield f"{field} {problem}"
    for field in ("backchannel_logout_uri", "initiate_login_uri"):
        uri = getattr(r, field)
        if uri is not None and (problem := uri_problem(uri)):
            yield f"{field} {problem}"


def _sector(r: Registration) -> Iterator[str]:
    hosts = {urlsplit(uri).hostname for uri in r.redirect_uris if not uri_problem(uri)}
    if len(hosts) > 1 and not (r.sector_identifier or r.sector_identifier_uri):
        yield "sector_identifier is needed, since the redirect_uris have more than one host"
    if len(r.sector_identifier) > _MAX_SECTOR_CHARS:
        yield f"sector_identifier is longer than {_MAX_SECTOR_CHARS} characters"


def _authentication(r: Registration) -> Iterator[str]:
    method = r.token_endpoint_auth_method
    if method.startswith("client_secret") and not 1 <= len(r.client_secret_sha256) <= 2:
        yield f"{method} needs one or two client_secret_sha256"
    if any(len(value) != 64 or set(value) - set("0123456789abcdef") for value in r.client_secret_sha256):
        yield "client_secret_sha256 must be lower-case hex of 64 characters"
    if r.jwks is not None and r.jwks_uri is not None:
        yield "jwks and jwks_uri exclude each other"
    keys = (r.jwks or {}).get("keys")
    if r.jwks is not None and (not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys)):
        yield "jwks must be a JWK Set"
        keys = None
    if method in _KEY_METHODS and not keys and r.jwks_uri is None:
        yield f"{method} needs jwks with at least one key, or jwks_uri"
    if any(set(key) & {"d", "p", "q", "k"} for key in keys or ()):
        yield "jwks holds a private or symmetric key; register public keys only"
    subjects = [name for name in _TLS_SUBJECTS if getattr(r, name) is not None]
    if method == "tls_client_auth" and len(subjects) != 1:
        yield f"tls_client_auth needs exactly one of {', '.join(_TLS_SUBJECTS)}"
    if r.tls_client_auth_subject_dn is not None and not _is_name(r.tls_client_auth_subject_dn):
        yield "tls_client_auth_subject_dn is not a distinguished name (RFC 4514)"
    if method != "tls_client_auth" and subjects:
        yield f"{subjects[0]} is for tls_client_auth"
    if method == "none" and not r.require_pkce:
        yield "a public client must use PKCE"
    if r.dpop_bound_access_tokens and r.tls_client_certificate_bound_access_tokens:
        yield "tokens are bound by DPoP or by a client certificate, not by both"


def _algorithms(r: Registration) -> Iterator[str]:
    for field in ("token_endpoint_auth_signing_alg", "request_object_signing_alg"):
        alg = getattr(r, field)
        if alg is not None and alg not in SIGNING_ALGORITHMS:
            yield f"{field} must be one of {', '.join(SIGNING_ALGORITHMS)}"
    if r.request_object_encryption_alg or r.request_object_encryption_enc:
        yield "request_object_encryption_alg: encrypted request objects are not offered"
    for place in _ENCRYPTED:
        alg = getattr(r, f"{place}_encrypted_response_alg")
        enc = getattr(r, f"{place}_encrypted_response_enc")
        if alg is None:
            if enc is not None:
                yield f"{place}_encrypted_response_alg is missing"
            continue
        if alg not in ENCRYPTION_ALGORITHMS:
            yield f"{place}_encrypted_response_alg must be one of {', '.join(ENCRYPTION_ALGORITHMS)}"
        if enc is not None and enc not in ENCRYPTION_ENCODINGS:
            yield f"{place}_encrypted_response_enc must be one of {', '.join(ENCRYPTION_ENCODINGS)}"
        if not (r.jwks or r.jwks_uri):
            yield f"{place}_encrypted_response_alg needs jwks or jwks_uri with a key to encrypt to"
    if r.require_signed_request_object and not (r.jwks or r.jwks_uri):
        yield "require_signed_request_object needs jwks or jwks_uri"


def _scopes_and_claims(r: Registration) -> Iterator[str]:
    yield from (f"scope {scope} is not known" for scope in r.scopes if scope not in SCOPES)
    if "openid" not in r.scopes:
        yield "scopes must contain openid"
    for claim in r.claims:
        if claim.name not in CLAIMS:
            yield f"claim {claim.name} is not known"
        if claim.basis == "statute" and claim.statute is None:
            yield f"claim {claim.name}: basis statute needs statute in ko and en"
    if len(r.claim_names) != len(r.claims):
        yield "a claim is listed twice"
    if r.default_max_age is not None and r.default_max_age < 0:
        yield "default_max_age must not be negative"


def _resources(r: Registration) -> Iterator[str]:
    for field in ("resources", "serves_resources"):
        for uri in getattr(r, field):
            if problem := resource_problem(uri):
                yield f"{field}: {problem}"


def _fapi2(r: Registration) -> Iterator[str]:
    if not r.is_fapi2:
        return
    if r.token_endpoint_auth_method not in _TLS_METHODS | {"private_key_jwt"}:
        yield "profile fapi2 needs private_key_jwt, tls_client_auth or self_signed_tls_client_auth"
    if not (r.dpop_bound_access_tokens or r.tls_client_certificate_bound_access_tokens):
        yield "profile fapi2 needs dpop_bound_access_tokens or tls_client_certificate_bound_access_tokens"
    if not r.require_pkce:
        yield "profile fapi2 needs PKCE"
    if r.request_uris:
        yield "profile fapi2 takes no request_uris: requests are pushed"
    for field in ("token_endpoint_auth_signing_alg", "request_object_signing_alg"):
        if getattr(r, field) == "RS256":
            yield f"profile fapi2: {field} must not be RS256"
    for field in ("id_token", "authorization", "userinfo", "introspection"):
        if getattr(r, f"{field}_signed_response_alg") == "RS256":
            yield f"profile fapi2: {field}_signed_response_alg must be ES256 or PS256"


Rule = Callable[[Registration], Iterator[str]]

RULES: tuple[Rule, ...] = (
    _identity,
    _texts,
    _grants,
    _front_channel,
    _addresses,
    _sector,
    _authentication,
    _algorithms,
    _scopes_and_claims,
    _resources,
    _fapi2,
)


def _is_name(text: str) -> bool:
    try:
        distinguished_name(text)
    except ValueError:
        return False
    return True


def uri_problem(uri: str) -> str | None:
    """Why this cannot be an address of a portal's: https (http on loopback), no fragment, no user; or None."""
    if len(uri) > _MAX_URI_CHARS:
        return f"has {len(uri):,} characters; at most {_MAX_URI_CHARS:,} are taken"
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


def resource_problem(uri: str) -> str | None:
    """RFC 8707, section 2: an absolute URI without fragment."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "is not a URI"
    if not all("!" <= char <= "~" for char in uri) or not parts.scheme or not (parts.netloc or parts.path):
        return "must be an absolute URI"
    return "must not have a fragment" if "#" in uri else None
