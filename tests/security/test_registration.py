"""DC, JK, AD: what is registered, by whom, with which keys; and what administrators may ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from idp.admin import organisations
from idp.admin.people import Role
from idp.oidc import registration
from tests.at_api import Program, token
from tests.at_api import registration as document
from tests.harmless import EVIL, Named
from tests.http.client_requests import assert_as
from tests.registering import REDIRECT_URI, Registered, bearer, invited, metadata, register, registered
from tests.rig import Portal, Rig
from tests.security.answers import Answer, Json, Page, Status
from tests.security.judging import Case, Court

KEY = ECKey.generate_key("P-256", {"kid": "k", "use": "sig"})
PUBLIC = KEY.as_dict(private=False)
ANOTHER = ECKey.generate_key("P-256", {"kid": "k", "use": "sig"}).as_dict(private=False)
BAD = "invalid_client_metadata"
NO_TOKEN = Json(401, "invalid_token", scheme="Bearer")
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
MEGABYTE = 1 << 20
METADATA = ("registration.refused", BAD)
OFF = ("registration.refused", "access_denied")
FORBIDDEN = ("admin.refused", "forbidden")
INSIDE = {
    "loopback": "https://127.0.0.1/x", "loopback by name": "https://localhost/x", "IPv6 loopback": "https://[::1]/x",
    "mapped": "https://[::ffff:127.0.0.1]/x", "unspecified": "https://0.0.0.0/x", "IPv6 unspecified": "https://[::]/x",
    "NAT64": "https://[64:ff9b::7f00:1]/x", "metadata": "https://169.254.169.254/latest",
    "private": "https://10.0.0.1/x", "decimal": "https://2130706433/x",
    "hexadecimal": "https://0x7f000001/x", "short": "https://127.1/x", "user": "https://portal.example@127.0.0.1/x",
}  # fmt: skip


def open_invitation(court: Court) -> str:
    """An initial access token that is refused again and again, and so never used up."""
    return court.once("invitation", lambda: invited(court.rig, uses=1000))


def refused(row: str, name: str, /, error: str = BAD, **members: Any) -> Case:
    """A registration of good metadata, some members of which are not."""

    def send(court: Court, invitation: str) -> httpx2.Response:
        return register(court.rig, invitation, **members)

    return Case(
        row,
        name,
        send,
        Json(400, error),
        [("registration.refused", error)],
        prepare=open_invitation,
        fetches=False,
    )


def uninvited(name: str, reason: str, given: Callable[[Court], str | None]) -> Case:
    def send(court: Court, invitation: str | None) -> httpx2.Response:
        return register(court.rig, invitation)

    return Case("DC-01", name, send, NO_TOKEN, [("registration.refused", reason)], prepare=given)


def used_up(court: Court) -> str:
    invitation = invited(court.rig)
    register(court.rig, invitation)
    return invitation


def elsewhere_in_the_request(court: Court, invitation: str) -> httpx2.Response:
    """A good invitation in the query and in the body."""
    url = f"{court.rig.issuer}/register?access_token={invitation}"
    return court.rig.http.post(url, json=metadata(access_token=invitation, initial_access_token=invitation))


def body(
    name: str, content: bytes, answer: Answer, *events: Named, content_type: str = "application/json"
) -> Case:
    def send(court: Court, invitation: str) -> httpx2.Response:
        headers = {**bearer(invitation), "Content-Type": content_type}
        return court.rig.http.post(f"{court.rig.issuer}/register", content=content, headers=headers)

    return Case("DC-11", name, send, answer, events, prepare=open_invitation)


@dataclass
class Mine:
    """A registration, and what its own token may do."""

    rig: Rig
    answer: dict[str, Any]

    def manage(self, method: str, **changes: Any) -> httpx2.Response:
        left_out = {
            "registration_access_token",
            "registration_client_uri",
            "client_id_issued_at",
            "client_secret_expires_at",
        }
        kept = {name: value for name, value in self.answer.items() if name not in left_out}
        headers = bearer(self.answer["registration_access_token"])
        return self.rig.http.request(
            method, self.answer["registration_client_uri"], json={**kept, **changes}, headers=headers
        )


def switched_off(court: Court) -> Mine:
    answer = registered(court.rig)
    with court.rig.app.app_context():
        registration.switch(answer["client_id"], enabled=False, now=court.rig.clock())
    return Mine(court.rig, answer)


def of_its_own(court: Court) -> Mine:
    return Mine(court.rig, registered(court.rig))


def removed(court: Court) -> tuple[Portal, dict[str, Any], str]:
    """A portal that was removed: what it had bought, and a code that it never used."""
    answer = registered(court.rig, grant_types=["authorization_code", "refresh_token"])
    portal = Registered(court.rig, answer)
    tokens = portal.sign_in("invented-40")
    code, begun = portal.code("invented-40")
    Mine(court.rig, answer).manage("DELETE")
    return portal, {**tokens, "code": code}, begun.verifier


def manages(
    row: str,
    name: str,
    method: str,
    answer: Answer,
    *events: Named,
    prepare: Any = of_its_own,
    **changes: Any,
) -> Case:
    def send(_: Court, mine: Mine) -> httpx2.Response:
        return mine.manage(method, **changes)

    return Case(row, name, send, answer, events, prepare=prepare)


# -- a client's own keys -----------------------------------------------------------------------------------------


def with_keys(row: str, name: str, jwk: dict[str, Any], sign: ECKey = KEY) -> Case:
    """A portal whose registered key is none that we use: nothing that it signs proves anything."""

    def prepare(court: Court) -> str:
        jwks = {"keys": [{**jwk, "kid": "k"}]}
        portal = court.rig.variant("g4k", f"keys-{name.replace(' ', '-')}", jwks=jwks)
        return portal.assertion(key=sign, header={"kid": "k"})

    def send(court: Court, assertion: str) -> httpx2.Response:
        return assert_as(court.rig, assertion)

    return Case(
        row,
        name,
        send,
        Json(401, "invalid_client"),
        [("client.refused", "assertion_refused")],
        prepare=prepare,
    )


def keys_at(name: str, uri: str) -> Case:
    """A portal whose keys are said to be at an address that one may not go to."""

    def prepare(court: Court) -> str:
        made = {"jwks": None, "jwks_uri": uri, "token_endpoint_auth_method": "private_key_jwt"}
        portal = court.rig.variant("g4k", f"at-{name.replace(' ', '-')}", **made)
        return portal.assertion(key=KEY, header={"kid": "k"})

    def send(court: Court, assertion: str) -> httpx2.Response:
        return assert_as(court.rig, assertion)

    return Case(
        "JK-09",
        name,
        send,
        Json(401, "invalid_client"),
        [("client.refused", "assertion_refused")],
        prepare=prepare,
    )


# -- administrators ----------------------------------------------------------------------------------------------


def organised(court: Court) -> None:
    names = {"ko": "기관", "en": "Organisation"}
    made = {"organisation": [{"id": "mois", "name": names}], "portals": {"gov24": "mois"}}
    with court.rig.app.app_context():
        organisations.apply(made, now=court.rig.clock())


def program(court: Court, role: Role) -> Program:
    """A program with the rights of a role; the member is of an organisation that has gov24."""

    def make() -> Program:
        court.once("organised", lambda: organised(court))
        return Program(court.rig, token(court.rig, role, "mois" if role is Role.MEMBER else None))

    return court.once(f"program {role}", make)


@dataclass(frozen=True)
class Problem:
    """A problem of the admin API (RFC 9457)."""

    status: int

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert response.status_code == self.status, (response.status_code, response.text[:500])
        assert response.headers["Content-Type"] == "application/problem+json"


def asks(
    row: str, name: str, role: Role, status: int, *events: Named, method: str = "GET", path: str, **more: Any
) -> Case:
    def send(_: Court, given: Program) -> httpx2.Response:
        return given.ask(method, path, **more)

    return Case(row, name, send, Problem(status), events, prepare=lambda court: program(court, role))


def sends(row: str, name: str, role: Role, status: int, *events: Named, path: str, **body: Any) -> Case:
    """A change, with its reason."""
    return asks(
        row, name, role, status, *events, method="POST", path=path, json={"reason": "a reason", **body}
    )


def by_token(name: str, headers: dict[str, str]) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        return Program(court.rig, None).ask("GET", "/portals", headers=headers)

    events = [("admin.refused", "token_unknown")] if headers else []
    return Case("AD-07", name, send, Problem(401), events)


def door(path: str) -> Case:
    return Case("AD-10", path, lambda court, _: court.get(path), Status(404))


CASES = [
    uninvited("nothing", "no_token", lambda _: None),
    uninvited("unknown", "invalid_token", lambda _: "x" * 43),
    uninvited("used up", "invalid_token", used_up),
    Case(
        "DC-01", "not in the header", elsewhere_in_the_request, NO_TOKEN, [("registration.refused", "no_token")],
        prepare=open_invitation,
    ),
    *(
        refused("DC-02", name, "invalid_redirect_uri", redirect_uris=uris)
        for name, uris in {
            "missing": None, "empty": [], "text": "https://portal.example/cb", "numbers": [7], "null": [None],
            "10,000": [f"https://p.example/{n}" for n in range(2_000)], "fragment": ["https://portal.example/cb#f"],
            "http": ["http://portal.example/cb"], "second one": [REDIRECT_URI, "http://portal.example/cb"],
            "javascript": ["javascript:alert(1)"], "relative": ["/cb"], "user": ["https://u:p@portal.example/cb"],
            "app scheme": ["com.example.app:/cb"], "markup": [f"https://portal.example/{EVIL}"],
        }.items()
    ),
    *(
        refused("DC-04", name, **members)
        for name, members in {
            "token": {"response_types": ["token"]}, "hybrid": {"response_types": ["code", "code id_token"]},
            "implicit": {"grant_types": ["implicit"]}, "password": {"grant_types": ["authorization_code", "password"]},
            "client_credentials": {"grant_types": ["client_credentials"]},
            "refresh alone": {"grant_types": ["refresh_token"]},
            "none": {"grant_types": []}, "device with code": {"grant_types": [DEVICE], "response_types": ["code"]},
            "text": {"grant_types": "authorization_code"}, "profile": {"profile": "fapi3"},
        }.items()
    ),
    *(
        refused("DC-05", name, **members)
        for name, members in {
            "both": {"jwks": {"keys": [PUBLIC]}, "jwks_uri": "https://portal.example/jwks"},
            "private": {"jwks": {"keys": [KEY.as_dict(private=True)]}},
            "symmetric": {"jwks": {"keys": [{"kty": "oct", "k": "AA"}]}},
            "2,000": {"jwks": {"keys": [{"kty": "EC"}] * 2_000}}, "no keys": {"jwks": {}},
            "empty": {"jwks": {"keys": []}},
            "a text": {"jwks": {"keys": ["x"]}}, "keys is an object": {"jwks": {"keys": PUBLIC}},
            "one key alone": {"jwks": PUBLIC}, "a kid twice": {"jwks": {"keys": [PUBLIC, ANOTHER]}},
        }.items()
    ),
    *(
        refused("DC-09", f"{member} {name}", **{member: uri})
        for member in ("logo_uri", "tos_uri", "policy_uri", "client_uri")
        for name, uri in {
            "javascript": "javascript:alert(1)", "capitals": "JAVASCRIPT:alert(1)", "space": " javascript:alert(1)",
            "data": "data:text/html,<script>alert(1)</script>", "http": "http://portal.example/x",
        }.items()
    ),
    refused("DC-10", "SVG in the address", logo_uri="data:image/svg+xml,<svg onload='alert(1)'/>"),
    body("null", b"null", Json(400, BAD), METADATA),
    body("array", b"[]", Json(400, BAD), METADATA),
    body("number", b"7", Json(400, BAD), METADATA),
    body("empty", b"", Json(400, BAD), METADATA),
    body("cut", b"{", Json(400, BAD), METADATA),
    body("twice", b'{"redirect_uris": [], "redirect_uris": []}', Json(400, BAD), METADATA),
    body("deep", b"[" * 50_000, Json(400, BAD), METADATA),
    body("text", b'{"redirect_uris": []}', Json(400, BAD), METADATA, content_type="text/plain"),
    body("5 MB", b" " * (5 * MEGABYTE), Json(413, "invalid_request")),
    manages("DC-12", "another id", "PUT", Json(400, BAD), METADATA, client_id="gov24"),
    manages("DC-12", "another secret", "PUT", Json(400, BAD), METADATA, client_secret="wrong" * 5),
    manages("DC-12", "its token", "PUT", Json(400, BAD), METADATA, registration_access_token="x"),
    *(
        manages("DC-14", method, method, Json(403, "access_denied"), OFF, prepare=switched_off)
        for method in ("PUT", "DELETE", "GET")
    ),
    Case(
        "DC-16", "code", lambda _, given: given[0].token(given[1]["code"], given[2]), Json(401, "invalid_client"),
        [("client.refused", "unknown")], prepare=removed,
    ),
    Case(
        "DC-16", "refresh", lambda _, given: given[0].refresh(given[1]["refresh_token"]), Json(401, "invalid_client"),
        [("client.refused", "unknown")], prepare=removed,
    ),
    Case(
        "DC-16", "introspection", lambda _, given: given[0].post("/introspect", token=given[1]["access_token"]),
        Json(401, "invalid_client"), [("client.refused", "unknown")], prepare=removed,
    ),
    Case(
        "DC-16", "UserInfo", lambda _, given: given[0].userinfo(given[1]["access_token"]), Json(401, "invalid_token"),
        [("userinfo.refused", "ended")], again=[], prepare=removed,
    ),
    Case(
        "DC-16", "sign-in", lambda _, given: given[0].begin().response, Page(400, "SINWON-R002"),
        [("request.refused", "unknown_portal")], prepare=removed,
    ),
    *(
        refused("DC-17", f"{member} {alg}", **{member: alg})
        for member in (f"{what}_signed_response_alg" for what in ("id_token", "userinfo", "authorization"))
        for alg in ("none", "HS256")
    ),
    refused("TK-23", "none", id_token_signed_response_alg="none"),
    refused("TK-23", "symmetric", id_token_signed_response_alg="HS256", token_endpoint_auth_method="none"),
    refused("DC-18", "client_credentials", token_endpoint_auth_method="none", grant_types=["client_credentials"]),
    refused("DC-18", "introspection", token_endpoint_auth_method="client_secret_jwt"),
    *(
        refused("DC-20", f"{member} {name}", **{member: [uri] if member.endswith("uris") else uri})
        for member in ("initiate_login_uri", "post_logout_redirect_uris")
        for name, uri in {
            "http": "http://portal.example/x", "javascript": "javascript:alert(1)", "data": "data:text/html,x",
        }.items()
    ),
    *(refused("BL-04", name, backchannel_logout_uri=uri) for name, uri in INSIDE.items()),
    with_keys("JK-12", "off the curve", {**PUBLIC, "y": PUBLIC["x"]}),
    with_keys("JK-12", "at infinity", {**PUBLIC, "x": "A" * 43, "y": "A" * 43}),
    with_keys("JK-12", "short coordinate", {**PUBLIC, "x": PUBLIC["x"][:-2]}),
    with_keys("JK-12", "long coordinate", {**PUBLIC, "x": "AA" + PUBLIC["x"]}),
    with_keys("JK-12", "another curve", {**PUBLIC, "crv": "sect163r2"}),
    *(keys_at(name, uri) for name, uri in INSIDE.items() if name != "user"),
    sends("AD-03", "an auditor registers", Role.AUDITOR, 403, FORBIDDEN, path="/portals", registration=document("x")),
    sends("AD-03", "a member rotates a key", Role.MEMBER, 403, FORBIDDEN, path="/keys/rotate", alg="ES256"),
    sends("AD-03", "a member ends sessions", Role.MEMBER, 403, FORBIDDEN, path="/sessions/end", portal="gov24"),
    by_token("no token", {}),
    by_token("unknown", {"Authorization": "Bearer " + "x" * 43}),
    *(
        asks("AD-08", name, Role.OWNER, 422, path=f"/portals?{query}")
        for name, query in {
            "order": "order_by=client_id;DROP TABLE portal", "after": "after=' OR 1=1 --%00",
            "page of words": "limit=many", "page without end": "limit=1000000000", "below zero": "limit=-1",
            "twice": "limit=1&limit=2", "unknown": "sort=x",
        }.items()
    ),
    sends(
        "AD-09", "unknown members", Role.OWNER, 422, path="/portals", registration=document("new", is_admin=True)
    ),
    sends(
        "AD-09", "another organisation", Role.OWNER, 422, path="/portals", org_id="mois", registration=document("new")
    ),
    *(
        door(path)
        for path in (
            "/debug", "/metrics", "/console/../metrics", "/.git/config", "/static/%2e%2e/app.py", "/admin",
            "/openapi.json", "/?__debugger__=yes&cmd=resource&f=debugger.js/x", "/console.", "/env",
            "/actuator/health",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)
