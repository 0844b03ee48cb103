"""Client metadata to a registration, and back.

What the specifications leave open is decided here: defaults, what a portal may choose for itself, and how texts in
other languages become the two that holders read. What a registration may say at all is `portals.parse`'s to judge.

Spec: OpenID Connect Dynamic Client Registration 1.0, section 2; RFC 7591, section 2; RFC 8705, 9101, 9126, 9449;
JARM, section 3; OpenID Connect RP-Initiated and Back-Channel Logout 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from idp import portals
from idp.claims import CLAIMS, SCOPES
from idp.oidc.registration.references import check_keys
from idp.oidc.registration.refusals import RegistrationRefused
from idp.portals import (
    AUTHORIZATION_CODE,
    DEVICE_CODE,
    FRONT_CHANNEL_TYPES,
    IMPLICIT,
    REFRESH_TOKEN,
    Registration,
)
from idp.portals.rules import GRANT_TYPES, LOOPBACK_HOSTS, uri_problem

LANGUAGES = ("ko", "en")
NO_PURPOSE = {
    "ko": "이 서비스에 로그인하기 위해서입니다. 서비스가 다른 목적은 밝히지 않았습니다.",
    "en": "To sign you in to this service, which has stated no other purpose.",
}
NO_RETENTION = {
    "ko": "서비스가 보관 기간을 밝히지 않았습니다.",
    "en": "The service has not stated how long it keeps this.",
}
SAME_NAME = (
    "post_logout_redirect_uris", "sector_identifier_uri", "token_endpoint_auth_signing_alg", "jwks", "jwks_uri",
    "tls_client_auth_subject_dn", "tls_client_auth_san_dns", "tls_client_auth_san_uri", "tls_client_auth_san_ip",
    "tls_client_auth_san_email", "dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens",
    "require_pushed_authorization_requests", "require_signed_request_object", "request_object_signing_alg",
    "request_object_encryption_alg", "request_object_encryption_enc", "request_uris", "default_max_age",
    "require_auth_time", "default_acr_values", "authorization_signed_response_alg",
    "authorization_encrypted_response_alg", "authorization_encrypted_response_enc", "id_token_signed_response_alg",
    "id_token_encrypted_response_alg", "id_token_encrypted_response_enc", "userinfo_signed_response_alg",
    "userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc", "introspection_signed_response_alg",
    "introspection_encrypted_response_alg", "introspection_encrypted_response_enc", "backchannel_logout_uri",
    "backchannel_logout_session_required", "initiate_login_uri", "logo_uri", "contacts", "software_id",
    "software_version",
)  # fmt: skip
"""Members that are called the same in a registration."""

LINKS = ("client_uri", "policy_uri", "tos_uri")
OPERATORS_OWN = (
    "resources", "serves_resources", "access_token_format", "credential_types", "required_acr", "single_sign_on",
    "previous_sector_identifier", "previous_sector_until",
)  # fmt: skip
"""What only an operator sets, by `idp portals apply`; an update by the portal leaves it alone."""

_STANDARD = {
    "token_endpoint_auth_method": "client_secret_basic",
    "id_token_signed_response_alg": "RS256",
    "authorization_signed_response_alg": "RS256",
    "introspection_signed_response_alg": "RS256",
}
_FAPI2 = {
    "token_endpoint_auth_method": "private_key_jwt",
    "require_pushed_authorization_requests": True,
}
_FLOWS = frozenset(
    {"code", *FRONT_CHANNEL_TYPES, "token", "code id_token", "code token", "code id_token token"}
)
"""The response types of OpenID Connect Core 1.0, section 3, and of OAuth 2.0."""
_ENCRYPTED = ("authorization", "id_token", "userinfo", "introspection")
_DEFAULT_ENC = "A128CBC-HS256"
_MAX_ENTRIES = 64
_MAX_CHARS = 2048
_MAX_NAME_CHARS = 100
_MAX_TEXT_CHARS = 300
_PLACE = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)


@dataclass(frozen=True)
class Terms:
    """What a portal may register. `profile` is the weakest it may have; `scopes` are all it may have.

    `implicit`: also response types that send tokens through the browser.
    """

    profile: Literal["standard", "fapi2"]
    scopes: tuple[str, ...]
    require_pkce: bool
    implicit: bool = False


def read(client_id: str, metadata: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    """The registration's document, but for secrets. Raises RegistrationRefused for the first problem.

    A member that is null counts as left out (RFC 7592, section 2.2).
    """
    given = {name: value for name, value in metadata.items() if value is not None}
    made: dict[str, Any] = {"client_id": client_id, "profile": _profile(given, terms)}
    _check_fixed(given)
    made |= _grants(given, implicit=terms.implicit and made["profile"] != "fapi2")
    made |= _addresses(given, made["grant_types"])
    made |= {name: given[name] for name in SAME_NAME if name in given}
    made |= _texts_and_links(given, client_id, made["redirect_uris"])
    made |= _scopes_and_claims(given, made["grant_types"], terms)
    made |= _by_profile(given, made, terms)
    if "jwks" in given:
        check_keys("jwks", given["jwks"])
    made |= _sector(given, made)
    return made


def parse(document: Mapping[str, Any]) -> Registration:
    """The registration of a document. Raises RegistrationRefused with every problem `portals.parse` finds."""
    try:
        return portals.parse(document)
    except portals.RegistrationError as error:
        prefix = f"{document['client_id']}: "
        problems = [_readable(problem.removeprefix(prefix)) for problem in error.problems]
        raise _refused("; ".join(problems)) from error


def write(registration: Registration) -> dict[str, Any]:
    """The metadata of a registration, defaults included, secrets and tokens not (RFC 7591, section 3.2.1)."""
    stored = {name: getattr(registration, name) for name in (*SAME_NAME, *LINKS)}
    required = {claim.name: claim for claim in registration.claims if claim.basis == "consent"}
    return {
        "client_id": registration.client_id,
        **_tagged("client_name", registration.name),
        **_tagged("operator", registration.operator),
        **_tagged("retention", registration.retention),
        "profile": registration.profile,
        "redirect_uris": list(registration.redirect_uris),
        "grant_types": list(registration.grant_types),
        "response_types": _response_types(registration),
        "application_type": "native" if _is_loopback(registration.redirect_uris) else "web",
        "subject_type": "pairwise",
        "token_endpoint_auth_method": registration.token_endpoint_auth_method,
        "scope": " ".join(registration.scopes),
        "require_pkce": registration.require_pkce,
        "requested_claims": [
            {"name": claim.name, "purpose": claim.purpose, "required": claim.required}
            | ({"retention": claim.retention} if claim.retention is not None else {})
            for claim in required.values()
        ],
        **{
            name: list(value) if isinstance(value, tuple) else value
            for name, value in stored.items()
            if value not in (None, ())
        },
    }


# -- one kind of member each ----------------------------------------------------------------------------------


def _profile(given: Mapping[str, Any], terms: Terms) -> str:
    """The one asked for, where that is not weaker than what the portal may have."""
    asked = given.get("profile", terms.profile)
    if asked not in ("standard", "fapi2"):
        raise _refused("profile must be standard or fapi2")
    if terms.profile == "fapi2" and asked != "fapi2":
        raise _refused("profile must be fapi2 here")
    return str(asked)


def _check_fixed(given: Mapping[str, Any]) -> None:
    """Members with one value that we offer, or two that make no difference."""
    if given.get("subject_type", "pairwise") != "pairwise":
        raise _refused("subject_type must be pairwise")
    if given.get("application_type", "web") not in ("web", "native"):
        raise _refused("application_type must be web or native")
    for name in (*SAME_NAME, *LINKS):
        text = given.get(name)
        if isinstance(text, str) and not (text.isprintable() and 0 < len(text) <= _MAX_CHARS):
            raise _refused(f"{name} must be printable text of at most {_MAX_CHARS} characters")
    login = given.get("initiate_login_uri")
    # OpenID Connect Core 4: the browser arrives there with a request that somebody else began.
    if login is not None and not (isinstance(login, str) and login.startswith("https://")):
        raise _refused("initiate_login_uri must be an https URI")


def _grants(given: Mapping[str, Any], *, implicit: bool) -> dict[str, Any]:
    """grant_types, in agreement with response_types (RFC 7591, section 2.1)."""
    grants = _strings(given, "grant_types", (AUTHORIZATION_CODE,))
    usual = ("code",) if AUTHORIZATION_CODE in grants else ()
    types = tuple(dict.fromkeys(map(_in_order, _strings(given, "response_types", usual))))
    if IMPLICIT in grants and usual:
        grants, types = _without_what_is_not_offered(grants, types, implicit=implicit)
    offered = (*GRANT_TYPES, IMPLICIT) if implicit else GRANT_TYPES
    if not set(grants) <= set(offered):
        raise _refused(f"grant_types must be of {', '.join(offered)}")
    if IMPLICIT in grants:
        return {"grant_types": grants, "response_types": _with_front_channel(types, usual)}
    if types != usual:
        raise _refused("response_types must be code alone, with authorization_code among grant_types")
    return {"grant_types": grants}


def _in_order(response_type: str) -> str:
    """As the specifications write it: the words of a type may stand in any order."""
    return " ".join(sorted(response_type.split(" ")))


def _without_what_is_not_offered(
    grants: tuple[str, ...], types: tuple[str, ...], *, implicit: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of a client of the code flow that knows all flows of OpenID Connect, what is offered of them.

    Some libraries register all that they could do, and learn from the answer what they may. Anything else that is not
    offered or does not agree stays as it is, and is refused.
    Spec: RFC 7591, sections 2.1 and 3.2.1; OpenID Connect Dynamic Client Registration 1.0, section 3.2.
    """
    if "code" not in types or types == ("code",) or not _FLOWS.issuperset(types):
        return grants, types
    offered = ("code", *FRONT_CHANNEL_TYPES) if implicit else ("code",)
    types = tuple(name for name in types if name in offered)
    if types == ("code",):
        grants = tuple(name for name in grants if name != IMPLICIT)
    return grants, types


def _with_front_channel(types: tuple[str, ...], usual: tuple[str, ...]) -> tuple[str, ...]:
    """response_types beside the grant `implicit`."""
    sent = [name for name in types if name in FRONT_CHANNEL_TYPES]
    if not sent or set(types) - set(sent) != set(usual):
        raise _refused(
            f"response_types must have one of {', '.join(FRONT_CHANNEL_TYPES)} for implicit, "
            "and code for authorization_code"
        )
    return types


def _response_types(registration: Registration) -> list[str]:
    sent = [name for name in registration.response_types if name in FRONT_CHANNEL_TYPES]
    return [*(["code"] if AUTHORIZATION_CODE in registration.grant_types else []), *sent]


def _addresses(given: Mapping[str, Any], grants: tuple[str, ...]) -> dict[str, Any]:
    """Where browsers are sent. A problem of a redirect URI has an error of its own."""
    uris = _strings(given, "redirect_uris", (), error="invalid_redirect_uri")
    if {AUTHORIZATION_CODE, IMPLICIT} & set(grants) and not uris:
        raise RegistrationRefused("invalid_redirect_uri", "redirect_uris is missing")
    for number, uri in enumerate(uris):
        if problem := uri_problem(uri):
            raise RegistrationRefused("invalid_redirect_uri", f"redirect_uris[{number}] {problem}")
    for member in ("post_logout_redirect_uris", "request_uris"):
        for number, uri in enumerate(_strings(given, member)):
            # A request URI's fragment is the digest of what is there (Core 6.2).
            if problem := uri_problem(uri.partition("#")[0] if member == "request_uris" else uri):
                raise _refused(f"{member}[{number}] {problem}")
    return {"redirect_uris": uris}


def _sector(given: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, str]:
    """A sector of its own where no host says whose the portal is: a loopback host is everybody's.

    So it is with several hosts and no sector_identifier_uri (Core 8.1): no other portal shares its `sub`. And so it is
    where a `sub` reaches anybody but the redirect URIs: somebody else's can be registered too, and join his sector.
    """
    elsewhere = _is_heard_elsewhere(given, made)
    if given.get("sector_identifier_uri"):
        if elsewhere:
            raise _refused(
                "sector_identifier_uri is not for the device flow, nor with a backchannel_logout_uri at another host"
                " than the redirect_uris"
            )
        return {}
    hosts = {urlsplit(uri).hostname for uri in made["redirect_uris"]}
    is_its_own = elsewhere or len(hosts) != 1 or _is_loopback(made["redirect_uris"])
    return {"sector_identifier": made["client_id"] if is_its_own else ""}


def _is_heard_elsewhere(given: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    """Whether a `sub` reaches whoever holds a device, or a logout address at a host of none of the redirect URIs."""
    if DEVICE_CODE in made["grant_types"]:
        return True
    logout = given.get("backchannel_logout_uri")
    if not isinstance(logout, str) or uri_problem(logout):
        return False
    return urlsplit(logout).hostname not in {urlsplit(uri).hostname for uri in made["redirect_uris"]}


def _is_loopback(uris: tuple[str, ...]) -> bool:
    return bool(uris) and all(urlsplit(uri).hostname in LOOPBACK_HOSTS for uri in uris)


def _texts_and_links(
    given: Mapping[str, Any], client_id: str, redirect_uris: tuple[str, ...]
) -> dict[str, Any]:
    """What holders read. A portal without a name goes by its host, which is what it has shown to be true."""
    host = urlsplit(redirect_uris[0]).netloc if redirect_uris else client_id
    name = _texts(given, "client_name", _MAX_NAME_CHARS) or dict.fromkeys(LANGUAGES, host)
    made: dict[str, Any] = {
        "name": name,
        "operator": _texts(given, "operator", _MAX_NAME_CHARS) or dict.fromkeys(LANGUAGES, host),
        "retention": _texts(given, "retention", _MAX_TEXT_CHARS) or NO_RETENTION,
    }
    for member in LINKS:
        link = given.get(member, next(_by_tag(given, member), (None, None))[1])
        if link is not None:
            made[member] = link
    for number, contact in enumerate(_strings(given, "contacts")):
        if not contact.isprintable() or len(contact) > _MAX_NAME_CHARS:
            raise _refused(f"contacts[{number}] must be printable, of at most {_MAX_NAME_CHARS} characters")
    return made


def _scopes_and_claims(given: Mapping[str, Any], grants: tuple[str, ...], terms: Terms) -> dict[str, Any]:
    """The scopes asked for or else all there are, and their claims: each optional, unless the portal says why not.

    A scope is a wish (Core 5.4: voluntary claims), so the holder ticks what to give. A scope that nobody here knows is
    left out, as it is in a request.
    """
    scope = given.get("scope")
    if scope is not None and not isinstance(scope, str):
        raise _refused("scope must be a string")
    known = [name for name in scope.split() if name in SCOPES] if scope is not None else list(terms.scopes)
    if scope is None and REFRESH_TOKEN not in grants:
        known = [name for name in known if name != "offline_access"]
    for name in known:
        if name not in terms.scopes:
            raise _refused(f"scope {name} is not for portals that register themselves")
    if "openid" not in known:
        raise _refused("scope must contain openid")
    scopes = tuple(dict.fromkeys(known))
    covered = [name for name in CLAIMS if any(name in SCOPES[scope] for scope in scopes)]
    default = [{"name": name, "purpose": NO_PURPOSE, "required": False} for name in covered]
    claims = list(_requested(given, covered)) if "requested_claims" in given else default
    return {"scopes": scopes, "claims": claims}


def _requested(given: Mapping[str, Any], covered: list[str]) -> Iterator[dict[str, Any]]:
    """The extension member `requested_claims`: `[{name, purpose, required, retention}]`."""
    entries = given["requested_claims"]
    if not isinstance(entries, list) or len(entries) > _MAX_ENTRIES:
        raise _refused("requested_claims must be an array")
    for number, entry in enumerate(entries):
        place = f"requested_claims[{number}]"
        if not isinstance(entry, dict) or entry.get("name") not in covered:
            raise _refused(f"{place}.name must be a claim that scope covers")
        # What a statute gives is announced, not asked: a portal does not declare that for itself.
        if entry.get("basis", "consent") != "consent" or entry.get("statute") is not None:
            raise _refused(f"{place}.basis must be consent")
        required = entry.get("required", False)
        if not isinstance(required, bool):
            raise _refused(f"{place}.required must be true or false")
        purpose = _texts(entry, "purpose", _MAX_TEXT_CHARS, place=f"{place}.") or NO_PURPOSE
        retention = _texts(entry, "retention", _MAX_TEXT_CHARS, place=f"{place}.")
        kept = {"retention": retention} if retention is not None else {}
        yield {"name": entry["name"], "purpose": purpose, "required": required, **kept}


def _by_profile(given: Mapping[str, Any], made: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    """Defaults of the specifications for `standard`, of the FAPI 2.0 Security Profile for `fapi2`."""
    is_fapi2 = made["profile"] == "fapi2"
    usual: dict[str, Any] = {**(_FAPI2 if is_fapi2 else _STANDARD)}
    method = given.get("token_endpoint_auth_method", usual["token_endpoint_auth_method"])
    decided = {name: given.get(name, value) for name, value in usual.items()}
    if is_fapi2:
        decided["cross_device"] = False  # decision D1
        if not given.get("tls_client_certificate_bound_access_tokens"):
            decided["dpop_bound_access_tokens"] = given.get("dpop_bound_access_tokens", True)
    stricter = given.get("require_pkce") is True
    decided["require_pkce"] = terms.require_pkce or is_fapi2 or method == "none" or stricter
    for place in _ENCRYPTED:
        if given.get(f"{place}_encrypted_response_alg"):
            enc = f"{place}_encrypted_response_enc"
            decided[enc] = given.get(enc, _DEFAULT_ENC)
    return decided


# -- members ---------------------------------------------------------------------------------------------------


def _strings(
    given: Mapping[str, Any],
    member: str,
    default: tuple[str, ...] = (),
    *,
    error: Literal["invalid_redirect_uri", "invalid_client_metadata"] = "invalid_client_metadata",
) -> tuple[str, ...]:
    value = given.get(member)
    if value is None:
        return default
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise RegistrationRefused(error, f"{member} must be an array of strings")
    if len(value) > _MAX_ENTRIES or any(len(entry) > _MAX_CHARS for entry in value):
        raise RegistrationRefused(
            error, f"{member} must have at most {_MAX_ENTRIES} entries of {_MAX_CHARS} characters"
        )
    return tuple(dict.fromkeys(value))


def _texts(
    given: Mapping[str, Any], member: str, max_chars: int, *, place: str = ""
) -> dict[str, str] | None:
    """`{ko, en}` of a text: by language tag where there is one, else the untagged, else any. None: not given."""
    plain: Any = given.get(member)
    tagged = dict(_by_tag(given, member))
    if isinstance(plain, dict):
        plain, tagged = None, plain
    if plain is None and not tagged:
        return None
    for text in (*tagged.values(), *([] if plain is None else [plain])):
        # Not printable are also the characters that turn the direction of what stands around them.
        if not isinstance(text, str) or not text.strip() or not text.isprintable() or len(text) > max_chars:
            raise _refused(f"{place}{member} must be printable text of at most {max_chars} characters")
    by_language = {tag.lower().partition("-")[0]: text for tag, text in reversed(tagged.items())}
    otherwise = plain if plain is not None else next(iter(tagged.values()))
    return {language: by_language.get(language, otherwise) for language in LANGUAGES}


def _by_tag(given: Mapping[str, Any], member: str) -> Iterator[tuple[str, Any]]:
    """(language tag, value) of `member#tag` (RFC 7591, section 2.2)."""
    for name, value in given.items():
        before, separator, tag = name.partition("#")
        if before == member and separator and tag:
            yield tag, value


def _tagged(member: str, texts: Mapping[str, str]) -> dict[str, str]:
    """The untagged member, and tagged ones where the languages differ."""
    untagged = {member: texts["en"]}
    if texts["ko"] == texts["en"]:
        return untagged
    return {**untagged, **{f"{member}#{language}": texts[language] for language in LANGUAGES}}


def _readable(problem: str) -> str:
    """A problem under the member's name on the wire; msgspec's own words repeat the value of an enumeration."""
    if match := _PLACE.fullmatch(problem):
        said = "is not one of the values that are offered" if "Invalid enum" in match[1] else match[1]
        return f"{match[2]}: {said}".replace("`", "")
    return problem.replace("sector_identifier is", "sector_identifier_uri is")


def _refused(description: str) -> RegistrationRefused:
    return RegistrationRefused("invalid_client_metadata", description)
