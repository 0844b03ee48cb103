"""The suite's test plans: which there are, their variants, their configurations, and a script for its browser.

The suite drives a browser of its own (HtmlUnit) by the `browser` member of a configuration. What the script relies
on in the provider's pages: `<a id="wallet-link">` on the sign-in page; boxes `id="item-<name>"` and a button
`id="agree"` on the consent page; `form[data-send-at-once]` around what goes back by form_post (that browser is too old
for our script, which would send it); `form.back` around Cancel; one main button in a form on the sign-out page; and a
`<main>` on each.

Where a module wants to see a page of ours, the script hands over the page's source; a person looks at it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idp.demo.conformance.clients import CLAIMS, Client, Clients

CALLBACK_S = 20
# What a portal that registers itself gets, it gets by the holder's own tick.
_BOXES = (*CLAIMS, "offline_access")
_TICK = [["click", "id", f"item-{name}", "optional"] for name in _BOXES]
_SHOW = ["wait", "css", "main", 10, ".*", "update-image-placeholder-optional"]
_STATIC = {"server_metadata": "discovery", "client_registration": "static_client"}
_FAPI2 = {"openid": "openid_connect", "fapi_profile": "plain_fapi", "authorization_request_type": "simple"}
_EKYC = {
    **_STATIC,
    "client_auth_type": "client_secret_basic",
    "response_type": "code",
    "response_mode": "default",
    "auth_request_method": "http_query",
    "auth_request_non_repudiation_method": "unsigned",
    "fapi_response_mode": "plain_response",
    "sender_constrain": "none",
    "security_profile": "none",
    "ekyc_profile": "plain_ekyc",
}
_DPOP = {**_FAPI2, "client_auth_type": "private_key_jwt", "sender_constrain": "dpop"}
_MTLS = {**_FAPI2, "client_auth_type": "mtls", "sender_constrain": "mtls"}
_SIGNED = {"fapi_request_method": "signed_non_repudiation", "fapi_response_mode": "jarm"}
_REJECTED_BY_USER = ("fapi2-security-profile-final-user-rejects-authentication",)
_SIGN_IN_PAGE_SHOWN = (
    "oidcc-prompt-login",
    "oidcc-max-age-1",
    "oidcc-registration-logo-uri",
    "oidcc-registration-policy-uri",
    "oidcc-registration-tos-uri",
)
_VISITED_TWICE = (
    "fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds",
)


@dataclass(frozen=True)
class Plan:
    """A plan to run: `file` is the name of its configuration, `name` and `variant` are the suite's."""

    file: str
    name: str
    variant: Mapping[str, str]
    configuration: Mapping[str, Any]

    @property
    def selector(self) -> str:
        """As `scripts/run-test-plan.py` of the suite takes it: `name[parameter=value]...`."""
        return self.name + "".join(f"[{key}={value}]" for key, value in self.variant.items())


def all_plans(issuer: str, alias_url: str, clients: Clients) -> tuple[Plan, ...]:
    """Every plan, configured for this provider. `alias_url` ends in `/test/a/<alias>/`."""
    static = {
        "client": clients.first.for_suite(),
        "client2": clients.second.for_suite(),
        "client_secret_post": clients.post.for_suite(),
    }
    dynamic = {"client": {"client_name": "Conformance"}, "client2": {"client_name": "Conformance 2"}}
    code = {"response_type": "code"}
    code_static = {**code, "client_registration": "static_client"}
    ids = {"ekyc_verified_claims_response_support": "id_token"}
    both = {"ekyc_verified_claims_response_support": "id_token_userinfo"}
    table: tuple[tuple[str, str, Mapping[str, str], Mapping[str, Any]], ...] = (
        ("oidcc-config", "oidcc-config-certification", {}, static),
        ("oidcc-basic", "oidcc-basic-certification", _STATIC, static),
        (
            "oidcc-basic-dynamic",
            "oidcc-basic-certification",
            {**_STATIC, "client_registration": "dynamic_client"},
            dynamic,
        ),
        ("oidcc-formpost-basic", "oidcc-formpost-basic-certification", _STATIC, static),
        ("oidcc-dynamic", "oidcc-dynamic-certification", code, dynamic),
        ("oidcc-3rdparty-init-login", "oidcc-3rdparty-init-login-certification", code, dynamic),
        ("oidcc-rp-initiated-logout", "oidcc-rp-initiated-logout-certification", code_static, static),
        (
            "oidcc-backchannel-logout",
            "oidcc-backchannel-rp-initiated-logout-certification",
            code_static,
            {"client": clients.backchannel.for_suite()},
        ),
        ("fapi2-security-dpop", "fapi2-security-profile-final", _DPOP, _fapi2(issuer, clients.dpop)),
        ("fapi2-security-mtls", "fapi2-security-profile-final", _MTLS, _fapi2(issuer, clients.mtls)),
        (
            "fapi2-message-signing",
            "fapi2-message-signing-final",
            {**_DPOP, **_SIGNED},
            _fapi2(issuer, clients.signing),
        ),
        ("ekyc-id-token", "ekyc", {**_EKYC, **ids}, {**static, "ekyc": _EKYC_REQUESTS}),
        ("ekyc-both", "ekyc", {**_EKYC, **both}, {**static, "ekyc": _EKYC_REQUESTS}),
    )
    common = {
        "alias": alias_url.rstrip("/").rpartition("/")[2],
        "server": {
            "discoveryUrl": f"{issuer}/.well-known/openid-configuration",
            "login_hint": "holder@example.com",
            # Of OpenID Connect for Identity Assurance 1.0; the suite's list of metadata members lacks it.
            "allow_unexpected_metadata_fields": ["verified_claims_supported"],
        },
        "browser": browser(issuer, alias_url),
        "override": {
            **{name: {"browser": browser(issuer, alias_url, cancel=True)} for name in _REJECTED_BY_USER},
            **{name: {"browser": browser(issuer, alias_url, show=True)} for name in _SIGN_IN_PAGE_SHOWN},
            "ekyc-server-test-userinfo-notfoundinop": {
                "ekyc": {**_EKYC_REQUESTS, "userinfo": _person(place_of_birth={"country": "KR"})}
            },
            **{
                name: {"browser": [_only_look(issuer), *browser(issuer, alias_url)]}
                for name in _VISITED_TWICE
            },
        },
    }
    return tuple(
        Plan(file, _plan_name(name), variant, {**common, "description": f"Sinwon: {file}", **particulars})
        for file, name, variant, particulars in table
    )


def _plan_name(name: str) -> str:
    return "ekyc-test-plan-oidccore" if name == "ekyc" else f"{name}-test-plan"


def _fapi2(issuer: str, pair: tuple[Client, Client]) -> dict[str, Any]:
    made: dict[str, Any] = {"resource": {"resourceUrl": f"{issuer}/userinfo"}}
    for number, client in zip(("", "2"), pair, strict=True):
        made[f"client{number}"] = client.for_suite(scope="openid profile", dpop_signing_alg="ES256")
        if client.certificate:
            made[f"mtls{number}"] = client.tls_for_suite()
    return made


def _only_look(issuer: str) -> dict[str, Any]:
    """The first visit of two: open the sign-in page and go no further."""
    look = {"task": "Look at the sign-in page", "match": f"{issuer}/login/*", "commands": [_SHOW]}
    return {"match": f"{issuer}/authorize*", "match-limit": 1, "tasks": [look]}


def browser(issuer: str, alias_url: str, *, cancel: bool = False, show: bool = False) -> list[dict[str, Any]]:
    """The suite's browser at our pages: sign in (or cancel), agree, sign out; whatever page it ends at is shown.

    `show` hands over the sign-in page as well.
    """
    sign_in = ["click", "css", "form.back button"] if cancel else ["click", "id", "wallet-link", "optional"]
    ends_here = {
        "task": "A page of the provider",
        "match": f"{issuer}/*",
        "optional": True,
        "commands": [_SHOW],
    }
    return [
        {
            "match": f"{issuer}/authorize*",
            "tasks": [
                {
                    "task": "Sign in: the wallet answers by itself",
                    "match": f"{issuer}/login/*",
                    "optional": True,
                    "commands": [_SHOW, sign_in] if show else [sign_in],
                },
                {
                    "task": "Agree",
                    "match": f"{issuer}/login/*/consent*",
                    "optional": True,
                    "commands": [*_TICK, ["click", "id", "agree"]],
                },
                {
                    "task": "Press the button of a form_post page",
                    "match": f"{issuer}/*",
                    "optional": True,
                    "commands": [["click", "css", "form[data-send-at-once] button", "optional"]],
                },
                {
                    "task": "Back at the suite",
                    "match": f"{alias_url}*",
                    "optional": True,
                    "commands": [["wait", "id", "submission_complete", CALLBACK_S]],
                },
                ends_here,
            ],
        },
        {
            "match": f"{issuer}/logout*",
            "tasks": [
                {
                    "task": "Sign out",
                    "match": f"{issuer}/logout*",
                    "optional": True,
                    "commands": [["click", "css", "main form button.main", "optional"]],
                },
                ends_here,
            ],
        },
    ]


# Two things are not asked for, since the suite cannot read the answers. An electronic record it looks for in a member
# `electronic_record`, which the specification has renamed to `record`; and a `max_age` makes it read our time with
# a parser (`ZonedDateTime` from `ISO_INSTANT`) that takes none. Both end its module with an exception.
_VERIFICATION = {"trust_framework": {"value": "kr_mobile_id"}, "assurance_level": None}
_TIMED = {**_VERIFICATION, "time": None, "verification_process": None}


def _person(**more: Any) -> dict[str, Any]:
    """The demo wallet's holder as UserInfo would show him, and maybe more than our credentials say."""
    return {
        "verified_claims": {
            "verification": {"trust_framework": "kr_mobile_id", "assurance_level": "secure"},
            "claims": {"given_name": "GILDONG", "birthdate": "1985-03-14", **more},
        }
    }


_EKYC_REQUESTS: dict[str, Any] = {
    "unverified_claims_names": ["name"],
    "verified_claims_names": ["given_name", "family_name", "birthdate"],
    "verified_claims_request_list": [
        {
            "id_token": {
                "verified_claims": {
                    "verification": _TIMED,
                    "claims": {"given_name": None, "birthdate": {"essential": True}},
                }
            }
        },
        {
            "id_token": {
                "verified_claims": {
                    "verification": {**_VERIFICATION, "assurance_level": {"values": ["secure", "general"]}},
                    "claims": {"family_name": {"value": "HONG"}},
                }
            }
        },
    ],
    "userinfo": _person(),
}
