"""What a registration may say, beyond its types: every rule a small function that yields its problems.

A problem names the member it is about, so that a form can say it beside the field, and its sentence with what varies
apart, so that a page can say it in its own language.

The rules of `fapi2` are those of the FAPI 2.0 Security Profile, section 5.3, made checks at registration: what a
portal cannot register it cannot do by mistake later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple
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
from idp.portals.texts import LANGUAGES, MAX_NAME_CHARS, MAX_TEXT_CHARS, N_, text_problem

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "[::1]", "::1", "localhost"})

GRANT_TYPES = (AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE)
STRONG_ALGORITHMS = ("ES256", "PS256", "EdDSA")
"""What `fapi2` portals sign with (FAPI 2.0 Security Profile, section 5.4.1)."""

SIGNING_ALGORITHMS = (*STRONG_ALGORITHMS, "RS256")
ENCRYPTION_ALGORITHMS = ("ECDH-ES", "ECDH-ES+A256KW", "RSA-OAEP-256")
KEY_TYPES: Final[Mapping[str, frozenset[tuple[str, str | None]]]] = {
    "ES256": frozenset({("EC", "P-256")}),
    "PS256": frozenset({("RSA", None)}),
    "RS256": frozenset({("RSA", None)}),
    "EdDSA": frozenset({("OKP", "Ed25519")}),
    "ECDH-ES": frozenset({("EC", "P-256"), ("EC", "P-384"), ("EC", "P-521"), ("OKP", "X25519")}),
    "ECDH-ES+A256KW": frozenset({("EC", "P-256"), ("EC", "P-384"), ("EC", "P-521"), ("OKP", "X25519")}),
    "RSA-OAEP-256": frozenset({("RSA", None)}),
}
"""Which (kty, crv) an algorithm takes."""
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
_MAX_CONTACT_CHARS = 255
_MAX_URI_CHARS = 2048
# RFC 3986, section 2. What is not there may be read in two ways: to a browser "\\" is "/".
_URI = re.compile(r"[!#$%&'()*+,./0-9:;=?@A-Z_a-z~\[\]-]+")
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")

CONSOLE: Final = "sinwon-console"
"""The console's own portal (`admin.console`) and its sector: by that one administrators are known."""

MY_PAGE: Final = "sinwon-me"
"""The holder's own page (`idp.my_page`), a portal of ours as well, and its sector."""

OURS: Final = (CONSOLE, MY_PAGE)

TRIAL_PREFIX: Final = "sinwon-try-"
"""What begins the client_id of a trial (`admin.trials`), which lives for one sign-in."""

MAX_MOVE_S = 400 * 86_400
"""How long a move from one sector to another may take at most."""


class Finding(NamedTuple):
    """What is wrong with one member. `message` has `values` in it, %-style; of these `problem` is a message too."""

    field: str
    message: str
    values: Mapping[str, str] = {}

    @property
    def text(self) -> str:
        return self.message % self.values if self.values else self.message


def is_ours(client_id: str) -> bool:
    """Whether this portal is one of the house's own or a trial, which is nobody's to name, to see or to change."""
    return client_id in OURS or client_id.startswith(TRIAL_PREFIX)


def problems(registration: Registration) -> list[str]:
    """Everything that is wrong with a registration, in the order of its members."""
    return [problem.text for problem in findings(registration)]


def findings(registration: Registration) -> list[Finding]:
    """The same, each with the member that it is about; of a claim's members that is `claims.<name>`."""
    return [problem for rule in RULES for problem in rule(registration)]


def _identity(r: Registration) -> Iterator[Finding]:
    if not r.client_id or not all(" " < char <= "~" for char in r.client_id) or len(r.client_id) > 255:
        yield Finding("client_id", "client_id must be 1 to 255 visible ASCII characters")


def _texts(r: Registration) -> Iterator[Finding]:
    for field, max_chars in (
        ("name", MAX_NAME_CHARS),
        ("operator", MAX_NAME_CHARS),
        ("retention", MAX_TEXT_CHARS),
    ):
        yield from in_both(field, field, getattr(r, field), max_chars)
    for claim in r.claims:
        texts = {"purpose": claim.purpose, "statute": claim.statute, "retention": claim.retention}
        for field, text in texts.items():
            if text is not None:
                place = f"claims.{claim.name}"
                yield from in_both(place, f"claim {claim.name}: {field}", text, MAX_TEXT_CHARS)


def in_both(place: str, what: str, texts: Mapping[str, str], max_chars: int) -> Iterator[Finding]:
    """What is wrong with a text in our two languages. A member's problem is that of one language of it."""
    for language in LANGUAGES:
        field = place if "." in place else f"{place}.{language}"
        named = {"what": f"{what}.{language}"}
        if language not in texts:
            yield Finding(field, "%(what)s is missing", named)
        elif problem := text_problem(texts[language], max_chars):
            yield Finding(field, "%(what)s %(problem)s", {**named, "problem": problem})
    for name in sorted(set(texts) - set(LANGUAGES)):
        yield Finding(place, "%(what)s is of no language of ours", {"what": f"{what}.{name}"})


def _contacts(r: Registration) -> Iterator[Finding]:
    for contact in r.contacts:
        if problem := text_problem(contact, _MAX_CONTACT_CHARS):
            yield Finding("contacts", "%(what)s %(problem)s", {"what": "contacts", "problem": problem})


def _grants(r: Registration) -> Iterator[Finding]:
    for grant in r.grant_types:
        if grant not in (*GRANT_TYPES, IMPLICIT):
            yield Finding("grant_types", "grant_types: %(name)s is not offered", {"name": grant})
    starts = {AUTHORIZATION_CODE, DEVICE_CODE} & set(r.grant_types)
    if REFRESH_TOKEN in r.grant_types and not starts:
        yield Finding("grant_types", "grant_types: refresh_token needs a grant that begins")
    if not starts and IMPLICIT not in r.grant_types and not r.serves_resources:
        yield Finding("grant_types", "grant_types is empty; only what serves resources needs none")
    if DEVICE_CODE in r.grant_types and r.is_fapi2:
        yield Finding("grant_types", "grant_types: the device flow is not part of profile fapi2")
    if "offline_access" in r.scopes and REFRESH_TOKEN not in r.grant_types:
        yield Finding("scopes", "scope offline_access needs refresh_token among grant_types")


def _front_channel(r: Registration) -> Iterator[Finding]:
    """`response_types` beyond `code`: whether they are answered is the deployment's (`requests.implicit`)."""
    known = ("code", *FRONT_CHANNEL_TYPES)
    for name in r.response_types:
        if name not in known:
            yield Finding("response_types", "response_types: %(name)s is not offered", {"name": name})
    asked = set(r.response_types) & set(FRONT_CHANNEL_TYPES)
    if asked and IMPLICIT not in r.grant_types:
        yield Finding("response_types", "response_types: id_token needs implicit among grant_types")
    if IMPLICIT in r.grant_types and not asked:
        yield Finding(
            "grant_types", "grant_types: implicit needs id_token or id_token token among response_types"
        )
    if (asked or IMPLICIT in r.grant_types) and r.is_fapi2:
        yield Finding("grant_types", "grant_types: the implicit flow is not part of profile fapi2")
    if "id_token token" in asked and r.must_prove_key:
        yield Finding(
            "response_types",
            "response_types: an access token sent through the browser cannot be bound to a key",
        )


def _addresses(r: Registration) -> Iterator[Finding]:
    if {AUTHORIZATION_CODE, IMPLICIT} & set(r.grant_types) and not r.redirect_uris:
        yield Finding("redirect_uris", "redirect_uris is empty")
    for field in ("redirect_uris", "post_logout_redirect_uris", "request_uris"):
        if len(getattr(r, field)) > _MAX_URIS:
            yield Finding(field, "a list of URIs has more than 64 entries")
    for field in ("redirect_uris", "post_logout_redirect_uris"):
        for uri in getattr(r, field):
            if problem := uri_problem(uri):
                yield Finding(field, "%(what)s: %(problem)s", {"what": _short(uri), "problem": problem})
    for uri in r.request_uris:  # here a fragment is a version of the file's content (Core 6.2)
        if problem := uri_problem(uri.partition("#")[0]):
            named = {"what": f"request_uris: {_short(uri)}", "problem": problem}
            yield Finding("request_uris", "%(what)s: %(problem)s", named)
    # Links on our pages are never javascript: or data:.
    for field in (
        *("client_uri", "policy_uri", "tos_uri", "logo_uri", "jwks_uri", "sector_identifier_uri"),
        *("backchannel_logout_uri", "initiate_login_uri"),
    ):
        uri = getattr(r, field)
        if uri is not None and (problem := uri_problem(uri)):
            yield Finding(field, "%(what)s %(problem)s", {"what": field, "problem": problem})


def _sector(r: Registration) -> Iterator[Finding]:
    hosts = {urlsplit(uri).hostname for uri in r.redirect_uris if not uri_problem(uri)}
    if len(hosts) > 1 and not (r.sector_identifier or r.sector_identifier_uri):
        yield Finding(
            "sector_identifier",
            "sector_identifier is needed, since the redirect_uris have more than one host",
        )
    for field in ("sector_identifier", "previous_sector_identifier"):
        sector = getattr(r, field) or ""
        if len(sector) > _MAX_SECTOR_CHARS or not sector.isprintable():
            yield Finding(field, "%(what)s must be 1 to 255 printable characters", {"what": field})
        if sector in OURS and r.client_id != sector:
            yield Finding(field, "%(what)s: this is one of the house's own", {"what": field})
    if (r.previous_sector_identifier is None) != (r.previous_sector_until is None):
        yield Finding(
            "previous_sector_identifier",
            "previous_sector_identifier and previous_sector_until belong together",
        )
    if r.previous_sector_identifier is not None and r.previous_sector_identifier in {"", r.sector}:
        yield Finding(
            "previous_sector_identifier", "previous_sector_identifier must be another sector than today's"
        )


def sector_problem(before: Registration | None, after: Registration, *, now: int) -> Finding | None:
    """Why holders would be known by another name at once, or by one that was never this portal's; or None.

    A portal moves to another sector (OpenID Connect Core 8.1) with a window in which it is given both names.
    """
    previous, until = after.previous_sector_identifier, after.previous_sector_until
    if before is None:
        if previous is None:
            return None
        return Finding("previous_sector_identifier", "a new portal has no previous sector")
    if after.sector != before.sector:
        if previous == before.sector and until is not None and now < until <= now + MAX_MOVE_S:
            return None
        return Finding(
            "sector_identifier",
            'set sector_identifier = "%(sector)s", by which holders are known there; or move: '
            'previous_sector_identifier = "%(sector)s" and previous_sector_until within 400 days',
            {"sector": before.sector},
        )
    if previous is None or previous == before.previous_sector_identifier:
        if until is None or until == before.previous_sector_until or until <= now + MAX_MOVE_S:
            return None
        return Finding("previous_sector_until", "previous_sector_until is more than 400 days away")
    return Finding("previous_sector_identifier", "previous_sector_identifier was never this portal's sector")


def _authentication(r: Registration) -> Iterator[Finding]:
    method = r.token_endpoint_auth_method
    named = {"method": method}
    if method.startswith("client_secret") and not 1 <= len(r.client_secret_sha256) <= 2:
        yield Finding("client_secret_sha256", "%(method)s needs one or two client_secret_sha256", named)
    if any(len(value) != 64 or set(value) - set("0123456789abcdef") for value in r.client_secret_sha256):
        yield Finding("client_secret_sha256", "client_secret_sha256 must be lower-case hex of 64 characters")
    yield from _keys(r)
    subjects = [name for name in _TLS_SUBJECTS if getattr(r, name) is not None]
    if method == "tls_client_auth" and len(subjects) != 1:
        yield Finding(
            "tls_client_auth_subject_dn",
            "tls_client_auth needs exactly one of %(names)s",
            {"names": ", ".join(_TLS_SUBJECTS)},
        )
    if r.tls_client_auth_subject_dn is not None and not _is_name(r.tls_client_auth_subject_dn):
        yield Finding(
            "tls_client_auth_subject_dn",
            "tls_client_auth_subject_dn is not a distinguished name (RFC 4514)",
        )
    if method != "tls_client_auth" and subjects:
        yield Finding(subjects[0], "%(what)s is for tls_client_auth", {"what": subjects[0]})
    if method == "none" and not r.require_pkce:
        yield Finding("require_pkce", "a public client must use PKCE")
    if r.dpop_bound_access_tokens and r.tls_client_certificate_bound_access_tokens:
        yield Finding(
            "dpop_bound_access_tokens", "tokens are bound by DPoP or by a client certificate, not by both"
        )


def _keys(r: Registration) -> Iterator[Finding]:
    method = r.token_endpoint_auth_method
    if r.jwks is not None and r.jwks_uri is not None:
        yield Finding("jwks_uri", "jwks and jwks_uri exclude each other")
    keys = (r.jwks or {}).get("keys")
    if r.jwks is not None and (not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys)):
        yield Finding("jwks", "jwks must be a JWK Set")
        keys = None
    if method in _KEY_METHODS and not keys and r.jwks_uri is None:
        yield Finding("jwks", "%(method)s needs jwks with at least one key, or jwks_uri", {"method": method})
    if any(set(key) & {"d", "p", "q", "k"} for key in keys or ()):
        yield Finding("jwks", "jwks holds a private or symmetric key; register public keys only")
    # Alternatives of another kind may share one (RFC 7517, section 4.5).
    named = [(str(key["kid"]), str(key.get("kty"))) for key in keys or () if "kid" in key]
    if len(set(named)) < len(named):
        yield Finding("jwks", "jwks has two keys of one kind under one kid")


def _algorithms(r: Registration) -> Iterator[Finding]:
    for field in ("token_endpoint_auth_signing_alg", "request_object_signing_alg"):
        alg = getattr(r, field)
        if alg is not None and alg not in SIGNING_ALGORITHMS:
            yield _one_of(field, SIGNING_ALGORITHMS)
    if r.request_object_encryption_alg or r.request_object_encryption_enc:
        yield Finding(
            "request_object_encryption_alg",
            "request_object_encryption_alg: encrypted request objects are not offered",
        )
    for place in _ENCRYPTED:
        field, enc_field = f"{place}_encrypted_response_alg", f"{place}_encrypted_response_enc"
        alg, enc = getattr(r, field), getattr(r, enc_field)
        if alg is None:
            if enc is not None:
                yield Finding(field, "%(what)s is missing", {"what": field})
            continue
        if alg not in ENCRYPTION_ALGORITHMS:
            yield _one_of(field, ENCRYPTION_ALGORITHMS)
        if enc is not None and enc not in ENCRYPTION_ENCODINGS:
            yield _one_of(enc_field, ENCRYPTION_ENCODINGS)
        if not (r.jwks_uri or _can_be_encrypted_to(r.jwks, alg)):
            yield Finding(field, "%(what)s needs jwks or jwks_uri with a key to encrypt to", {"what": field})
    if r.require_signed_request_object and not (r.jwks or r.jwks_uri):
        yield Finding("require_signed_request_object", "require_signed_request_object needs jwks or jwks_uri")


def _can_be_encrypted_to(jwks: Mapping[str, Any] | None, alg: str) -> bool:
    """Whether a set has a key that may be meant for this. Whether it can be used shows when it is."""
    keys = (jwks or {}).get("keys")
    return any(
        isinstance(key, dict) and _may_encrypt(key, alg) for key in (keys if isinstance(keys, list) else ())
    )


def _may_encrypt(jwk: Mapping[str, Any], alg: str) -> bool:
    kinds = [(kty, crv) for kty, crv in KEY_TYPES.get(alg, ()) if kty == jwk.get("kty")]
    return (
        any(crv is None or crv == jwk.get("crv") for _, crv in kinds)
        and jwk.get("use") in (None, "enc")
        and jwk.get("alg") in (None, alg)
    )


def _one_of(field: str, names: tuple[str, ...]) -> Finding:
    return Finding(field, "%(what)s must be one of %(names)s", {"what": field, "names": ", ".join(names)})


def _scopes_and_claims(r: Registration) -> Iterator[Finding]:
    for scope in r.scopes:
        if scope not in SCOPES:
            yield Finding("scopes", "scope %(name)s is not known", {"name": scope})
    if "openid" not in r.scopes:
        yield Finding("scopes", "scopes must contain openid")
    for claim in r.claims:
        place, named = f"claims.{claim.name}", {"name": claim.name}
        if claim.name not in CLAIMS:
            yield Finding(place, "claim %(name)s is not known", named)
        if claim.basis == "statute" and claim.statute is None:
            yield Finding(place, "claim %(name)s: basis statute needs statute in ko and en", named)
    if len(r.claim_names) != len(r.claims):
        yield Finding("claims", "a claim is listed twice")
    if r.default_max_age is not None and r.default_max_age < 0:
        yield Finding("default_max_age", "default_max_age must not be negative")


def _resources(r: Registration) -> Iterator[Finding]:
    for field in ("resources", "serves_resources"):
        for uri in getattr(r, field):
            if problem := resource_problem(uri):
                yield Finding(field, "%(what)s: %(problem)s", {"what": field, "problem": problem})


def _fapi2(r: Registration) -> Iterator[Finding]:
    if not r.is_fapi2:
        return
    if r.token_endpoint_auth_method not in _TLS_METHODS | {"private_key_jwt"}:
        yield Finding(
            "token_endpoint_auth_method",
            "profile fapi2 needs private_key_jwt, tls_client_auth or self_signed_tls_client_auth",
        )
    if not (r.dpop_bound_access_tokens or r.tls_client_certificate_bound_access_tokens):
        yield Finding(
            "dpop_bound_access_tokens",
            "profile fapi2 needs dpop_bound_access_tokens or tls_client_certificate_bound_access_tokens",
        )
    if not r.require_pkce:
        yield Finding("require_pkce", "profile fapi2 needs PKCE")
    if r.request_uris:
        yield Finding("request_uris", "profile fapi2 takes no request_uris: requests are pushed")
    for field in ("token_endpoint_auth_signing_alg", "request_object_signing_alg"):
        if getattr(r, field) == "RS256":
            yield Finding(field, "profile fapi2: %(what)s must not be RS256", {"what": field})
    for field in ("id_token", "authorization", "userinfo", "introspection"):
        what = f"{field}_signed_response_alg"
        if getattr(r, what) == "RS256":
            yield Finding(what, "profile fapi2: %(what)s must be ES256 or PS256", {"what": what})


Rule = Callable[[Registration], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    _identity,
    _texts,
    _contacts,
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


def _short(uri: str) -> str:
    """A URI in a sentence: one of ten thousand characters would bury it."""
    return uri if len(uri) <= 120 else f"{uri[:100]}…"


def _is_name(text: str) -> bool:
    try:
        distinguished_name(text)
    except ValueError:
        return False
    return True


def uri_problem(uri: str) -> str | None:
    """Why this cannot be an address of a portal's: https (http on loopback), a host, no fragment, no user; or None."""
    if len(uri) > _MAX_URI_CHARS:
        return N_("is longer than 2,048 characters")
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return N_("is not a URI")
    if not all("!" <= char <= "~" for char in uri):
        return N_("must be ASCII without spaces")
    if not _URI.fullmatch(uri):
        return N_("has characters that no URI has")
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        return N_("must be an absolute https URI")
    if ":" not in parts.hostname and not _HOST_NAME.fullmatch(parts.hostname):
        return N_("must name one host; there are no wildcards")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        return N_("http is for loopback addresses only")
    if "#" in uri:
        return N_("must not have a fragment")
    if parts.username is not None or parts.password is not None:
        return N_("must not have user information")
    return None


def resource_problem(uri: str) -> str | None:
    """RFC 8707, section 2: an absolute URI without fragment."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return N_("is not a URI")
    if not all("!" <= char <= "~" for char in uri) or not parts.scheme or not (parts.netloc or parts.path):
        return N_("must be an absolute URI")
    return N_("must not have a fragment") if "#" in uri else None
