"""Why did it fail, and the report: the portal's engineer sees both sides of a mismatch, and nobody else's portal."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from markupsafe import escape

from idp.admin import conformance, organisations, portal_events
from idp.admin.conformance import Case
from idp.admin.people import Role
from idp.demo.wallet import Fault
from idp.errors import Mismatch, said_uri
from idp.events import Event
from idp.fetch import FetchRefused
from idp.portals import Registration, parse
from idp.views import reasons
from idp.views.console.engineer import differing
from tests.at_console import Admin
from tests.harmless import harmless
from tests.rig import Portal, Rig, started

PAGES = ("events", "report")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        with running.app.app_context():
            made = [{"id": name, "name": {"ko": name, "en": name}} for name in ("mois", "oka")]
            organisations.apply({"organisation": made}, now=running.clock())
            organisations.transfer("gov24", "mois", reason="its own", now=running.clock())
            organisations.transfer("g4k", "oka", reason="its own", now=running.clock())
        yield running


@pytest.fixture(scope="module")
def staff(rig: Rig) -> dict[str, Admin]:
    made = {
        role.value: Admin(rig, f"invented-{number}").join(role, role.value)
        for number, role in enumerate((Role.OWNER, Role.AUDITOR))
    }
    for number, name in enumerate(("mois", "oka"), 10):
        made[name] = Admin(rig, f"invented-{number}").join(Role.MEMBER, f"of {name}", name)
    return made


def latest(rig: Rig, client_id: str = "gov24") -> portal_events.Seen:
    with rig.app.app_context():
        return portal_events.of(client_id, names=[str(name) for name in reasons.EVENTS])[0]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("who", "status"), [("owner", 200), ("auditor", 200), ("mois", 200), ("oka", 404)])
def test_a_portals_pages_exist_for_its_own_organisation(
    staff: dict[str, Admin], page: str, who: str, status: int
) -> None:
    answered = staff[who].get(f"/console/portals/gov24/{page}")
    assert answered.status_code == status
    assert staff[who].get(f"/console/portals/nothing/{page}").status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_nobody_reads_them_without_signing_in(rig: Rig, page: str) -> None:
    assert rig.browser().get(f"{rig.issuer}/console/portals/gov24/{page}").status_code == 303


def test_a_wrong_redirect_uri_is_shown_beside_the_nearest_registered_one(
    rig: Rig, staff: dict[str, Admin]
) -> None:
    portal = rig.portal("gov24")
    wrong = f"{portal.redirect_uri}/?user=kim&token=abc#x"
    with harmless(rig, ("request.refused", "bad_request")):
        answered = portal.begin(redirect_uri=wrong).response
    seen = latest(rig)
    assert seen.detail == {
        "check": "redirect_uri_not_registered",
        "expected": [portal.redirect_uri],
        "received": [f"{portal.redirect_uri}/?user=…&token=…#…"],
    }
    reference = answered.headers["X-Correlation-Id"]
    assert seen.correlation_id == reference
    shown = staff["mois"].get(f"/console/portals/gov24/events?lang=en&reference={reference}").text
    assert "redirect_uri is not registered" in shown
    assert "<mark>/?user=…&amp;token=…#…</mark>" in shown
    assert reference in shown
    others = staff["oka"].get(f"/console/portals/g4k/events?lang=en&reference={reference}").text
    assert "redirect_uri is not registered" not in others


def test_the_page_for_the_holder_stays_as_it_was(rig: Rig) -> None:
    """That the portal is known, is for the audit alone: the page offers no way to an address nobody has proven."""
    answered = rig.portal("gov24").begin(redirect_uri="https://evil.example/").response
    assert answered.status_code == 400
    assert 'id="return"' not in answered.text
    assert 'href="https://evil.example' not in answered.text


REFUSED: list[tuple[dict[str, Any], str, list[str], list[str]]] = [
    ({"scope": "openid kr_portrait"}, "scope_not_registered", [], ["kr_portrait"]),
    ({"scope": "profile"}, "scope_openid", ["openid"], ["profile"]),
    ({"code_challenge": None, "code_challenge_method": None}, "pkce_missing", [], []),
    ({"code_challenge_method": "plain"}, "pkce_method", ["S256"], ["plain"]),
    ({"code_challenge": "short"}, "pkce_challenge", ["43"], ["5"]),
    ({"response_type": "token"}, "response_type", ["code"], ["token"]),
    ({"response_mode": "fragment"}, "response_mode", [], ["fragment"]),
    ({"prompt": "none"}, "no_session", [], []),
    ({"prompt": "now"}, "prompt", [], ["now"]),
    ({"claims": "{"}, "claims_json", [], []),
    ({"claims": '{"userinfo": {"name": 1}}'}, "claims_shape", [], ["claims.userinfo"]),
    ({"resource": "https://other.example/?q=kim"}, "resource", [], ["https://other.example/?q=…"]),
    ({"id_token_hint": "x.y.z"}, "id_token_hint", [], []),
    ({"nonce": "n" * 2000}, "parameter_too_long", ["nonce: 1024"], ["2000"]),
    ({"request": "e30.e30.e30"}, "request_object_alg", [], ["None"]),
]


@pytest.mark.parametrize(
    ("changes", "check", "expected", "received"), REFUSED, ids=lambda case: str(case)[:40]
)
def test_a_refused_request_says_what_was_expected_and_what_came(
    rig: Rig, changes: dict[str, Any], check: str, expected: list[str], received: list[str]
) -> None:
    rig.portal("gov24").begin(**changes)
    detail = latest(rig).detail
    assert detail["check"] == check
    assert not expected or detail["expected"] == expected
    assert detail.get("received", []) == received


@pytest.mark.parametrize(
    ("changes", "check", "received"),
    [
        ({"aud": "https://other.example"}, "assertion_aud", ["https://other.example"]),
        ({"iss": "somebody"}, "assertion_parties", ["somebody", "hana"]),
        ({"header": {"kid": "old-key"}}, "assertion_key", ["alg ES256", "kid old-key"]),
        ({"key": ECKey.generate_key("P-256")}, "assertion_signature", ["alg ES256", "kid None"]),
        ({"jti": ""}, "assertion_jti", None),
        ({"exp": 1}, "assertion_exp", ["1"]),
    ],
    ids=lambda case: str(case)[:30],
)
def test_a_refused_client_assertion_says_what_was_wrong(
    rig: Rig, changes: dict[str, Any], check: str, received: list[str] | None
) -> None:
    portal = with_a_key(rig)
    given = {
        name: value.replace("hana", portal.client_id) if name == "iss" else value
        for name, value in changes.items()
    }
    sent = portal.assertion(**given)
    with harmless(rig, ("client.refused", "assertion_refused")):
        assert portal.token("a" * 43, "v" * 43, client_assertion=sent).status_code == 401
    detail = latest(rig, portal.client_id).detail
    assert detail["check"] == check
    if received is not None:
        assert detail["received"] == [text.replace("hana", portal.client_id) for text in received]


def with_a_key(rig: Rig) -> Portal:
    """A portal of the demonstration that proves itself by a signed assertion."""
    [client_id] = [
        one["client_id"]
        for one in rig.prepared.portals()
        if one["token_endpoint_auth_method"] == "private_key_jwt" and one.get("profile") == "fapi2"
    ][:1]
    return rig.portal(client_id)


def test_a_wrong_secret_and_a_wrong_method_are_told_apart(rig: Rig) -> None:
    portal = rig.portal("gov24")
    basic = base64.b64encode(b"gov24:wrong-and-secret").decode()
    rig.http.post(
        f"{rig.issuer}/token", data={"grant_type": "x"}, headers={"Authorization": f"Basic {basic}"}
    )
    rig.http.post(f"{rig.issuer}/revoke", data={"token": "x"}, headers={"Authorization": f"Basic {basic}"})
    assert latest(rig).detail == {"check": "wrong_secret"}
    rig.http.post(
        f"{rig.issuer}/revoke", data={"token": "x", "client_id": "gov24", "client_secret": "s3cret"}
    )
    registered = portal.registration["token_endpoint_auth_method"]
    assert latest(rig).detail == {
        "check": "method_not_registered",
        "expected": [registered],
        "received": ["client_secret_post"],
    }


def test_a_code_with_another_verifier_or_address_says_so_without_either(rig: Rig) -> None:
    portal = rig.portal("gov24")
    code, begun = portal.code()
    portal.token(code, begun.verifier, redirect_uri=f"{portal.redirect_uri}/")
    assert latest(rig).detail == {
        "check": "code_redirect_uri",
        "expected": [portal.redirect_uri],
        "received": [f"{portal.redirect_uri}/"],
    }
    portal.token(code, "w" * 43)
    assert latest(rig).detail["received"] == ["code_verifier (43)"]
    with rig.app.app_context():
        every = [str(seen) for seen in portal_events.of("gov24", names=[str(name) for name in Event])]
    assert not [text for text in every if code in text or "w" * 43 in text or begun.verifier in text]


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "\"onmouseover='x'", "{{ 7*7 }}", "a\u202eb\x00", "정" * 300, "x" * 9000],
)
def test_what_strangers_send_is_shown_and_does_nothing(rig: Rig, staff: dict[str, Admin], text: str) -> None:
    portal = rig.portal("gov24")
    portal.begin(redirect_uri=f"{portal.redirect_uri}/{text}")
    portal.begin(response_mode=text)
    detail = latest(rig).detail
    assert all(len(said) <= 9 * 256 for said in detail["received"])
    answered = staff["owner"].get("/console/portals/gov24/events")
    assert answered.status_code == 200
    assert text == str(escape(text)) or text not in answered.text
    assert "\u202e" not in answered.text


def test_pages_follow_one_another_without_gap_or_repetition(rig: Rig) -> None:
    portal = rig.variant("gov24", "busy")
    for _ in range(7):
        portal.begin(scope="profile")
    with rig.app.app_context():
        names = [str(name) for name in reasons.REFUSALS]
        whole = portal_events.of("busy", names=names)
        found: list[portal_events.Seen] = []
        before = None
        while page := portal_events.of("busy", names=names, before=before, limit=3):
            found += page
            before = page[-1].place
    assert found == whole
    assert len(found) == 7


@pytest.mark.parametrize("before", ["", "x", "1-", "-1", "1-2-3", "9" * 20 + "-1", "9" * 40 + "-1", "²-1"])
def test_a_place_that_is_none_begins_at_the_beginning(staff: dict[str, Admin], before: str) -> None:
    assert staff["owner"].get(f"/console/portals/gov24/events?before={before}").status_code == 200


def test_nothing_of_a_holder_is_on_the_page(rig: Rig, staff: dict[str, Admin]) -> None:
    rig.portal("gov24").sign_in("hong")
    shown = staff["mois"].get("/console/portals/gov24/events?show=all&lang=en").text
    assert "Sign-in finished" in shown
    with rig.app.app_context():
        rows = rig.events()
    private = {row.subject_id for row in rows} | {row.login_id for row in rows}
    assert not [value for value in private if value and value in shown]


def test_every_check_that_the_code_names_has_words() -> None:
    house = Path(reasons.__file__).parents[1]
    text = "".join(file.read_text("utf-8") for file in [*house.glob("oidc/*.py"), *house.glob("views/*.py")])
    named = {
        *re.findall(r'check="(\w+)"', text),
        *re.findall(r'Mismatch\(\s*"(\w+)"', text),
        *(f"assertion_{name}" for name in re.findall(r'_Wrong\(\s*"(\w+)"', text)),
        *re.findall(r'\brefused\(\s*"(\w+)"', text),
    }
    assert len(named) > 50
    assert named - set(reasons.REASONS) == set()


@pytest.mark.parametrize("key", reasons.REASONS)
def test_every_reason_says_what_happened_what_to_do_and_where_it_is_written(key: str) -> None:
    words = reasons.REASONS[key]
    assert not words.title.endswith(".")
    assert words.fix.endswith(".")
    assert words.reference


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("https://a.example/cb", "https://a.example/cb"),
        ("https://kim:secret@a.example/cb", "https://a.example/cb"),
        ("https://a.example/cb?tenant=7&x=kim", "https://a.example/cb?tenant=7&x=…"),
        ("https://a.example/cb#token", "https://a.example/cb#…"),
        ("://[", "://["),
    ],
)
def test_of_an_address_only_what_is_registered_is_kept_of_its_query(uri: str, said: str) -> None:
    assert said_uri(uri, ["https://a.example/cb?tenant=7"]) == said


def test_both_sides_are_bounded() -> None:
    detail = Mismatch("x", ["a" * 1000] * 20, ["<b>"]).detail
    assert len(detail["expected"]) == 8
    assert len(detail["expected"][0]) == 256
    assert detail["received"] == ["%3Cb%3E"]


def test_what_differs_is_marked_on_both_sides() -> None:
    assert differing("http://a/cb", "https://a/cb/") == (
        [("http", False), ("://a/cb", False)],
        [("http", False), ("s", True), ("://a/cb", False), ("/", True)],
    )


def test_a_refused_credential_has_the_holders_words_and_code(rig: Rig, staff: dict[str, Admin]) -> None:
    portal = rig.portal("gov24")
    portal.show(portal.link(portal.page(portal.begin())), "hong", Fault.TAMPERED_SIGNATURE.value)
    assert latest(rig).name == Event.PRESENTATION_REJECTED
    shown = staff["mois"].get("/console/portals/gov24/events?lang=en").text
    assert "Your certificate could not be verified" in shown
    assert "SINWON-C001" in shown


@pytest.mark.parametrize("page", [*PAGES, "try", "preview"])
def test_a_registration_that_holds_mark_up_is_shown_and_does_nothing(
    rig: Rig, staff: dict[str, Admin], page: str
) -> None:
    hostile = "<script>alert(1)</script>\"'"
    rig.variant(
        "gov24", "hostile'<b>", name={"ko": hostile, "en": hostile}, operator={"ko": "<i>", "en": "<i>"}
    )
    shown = staff["owner"].get(f"/console/portals/hostile'%3Cb%3E/{page}")
    assert shown.status_code == 200
    assert "<script>alert" not in shown.text
    assert "<b>" not in shown.text
    assert "form-action 'self'" in shown.headers["Content-Security-Policy"]
    assert not re.search(r" style=| on[a-z]+=|<script>|<style>", shown.text)


# -- the report -----------------------------------------------------------------------------------------------


def registration(**changes: Any) -> Registration:
    good = {
        "client_id": "good",
        "name": {"ko": "좋음", "en": "Good"},
        "operator": {"ko": "좋음", "en": "Good"},
        "retention": {"ko": "없음", "en": "None"},
        "redirect_uris": ["https://good.example/cb"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": "https://good.example/jwks",
        "dpop_bound_access_tokens": True,
        "require_pushed_authorization_requests": True,
        "backchannel_logout_uri": "https://good.example/out",
        "policy_uri": "https://good.example/privacy",
        "initiate_login_uri": "https://good.example/in",
        "contacts": ["ask@good.example"],
    }
    return parse({name: value for name, value in {**good, **changes}.items() if value is not None})


def anywhere(_uri: str) -> None:
    """Every address may be gone to."""


def nowhere(_uri: str) -> None:
    raise FetchRefused("https only")


def judged(portal: Registration, **others: Any) -> Case:
    return Case(portal, **{"production": True, "now": 0, "reachable": anywhere, **others})


def found_in(case: Case) -> set[str]:
    return {finding.rule for finding in conformance.findings(case)}


def test_a_client_that_keeps_every_rule_hears_nothing() -> None:
    assert found_in(judged(registration())) == set()


JWK = ECKey.generate_key("P-256").as_dict(private=False)
RSA = {"kty": "RSA", "e": "AQAB"}


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"require_pkce": False}, {"pkce"}),
        ({"redirect_uris": ["http://localhost:8080/cb"]}, {"loopback", "localhost"}),
        ({"redirect_uris": ["http://127.0.0.1:8080/cb"]}, {"loopback"}),
        (
            {
                "token_endpoint_auth_method": "client_secret_post",
                "client_secret_sha256": ["0" * 64, "1" * 64],
            },
            {"shared_secret", "secret_in_form", "two_secrets"},
        ),
        ({"id_token_signed_response_alg": "RS256"}, {"rs256"}),
        ({"dpop_bound_access_tokens": False}, {"bearer"}),
        ({"require_pushed_authorization_requests": False}, {"not_pushed"}),
        ({"backchannel_logout_uri": None}, {"backchannel_logout"}),
        ({"initiate_login_uri": None}, {"initiate_login"}),
        ({"contacts": None}, {"contacts"}),
        ({"jwks_uri": None, "jwks": {"keys": [{**JWK, "kid": "1"}]}}, {"jwks_by_value"}),
        ({"jwks_uri": None, "jwks": {"keys": [JWK]}}, {"jwks_by_value", "jwks_kid"}),
        (
            {"jwks_uri": None, "jwks": {"keys": [{**JWK, "kid": "1", "exp": 900}]}},
            {"jwks_by_value", "jwks_expired"},
        ),
        (
            {"jwks_uri": None, "jwks": {"keys": [{**RSA, "kid": "1", "n": "AQAB"}]}},
            {"jwks_by_value", "jwks_unusable"},
        ),
        (
            {"grant_types": ["authorization_code", "implicit"], "response_types": ["code", "id_token"]},
            {"implicit"},
        ),
    ],
    ids=lambda case: "-".join(sorted(case))[:40],
)
def test_a_rule_that_is_broken_is_found(changes: dict[str, Any], rules: set[str]) -> None:
    assert found_in(judged(registration(**changes), now=1000)) == rules
    assert rules <= set(reasons.RULES)


def test_a_loopback_address_is_fine_where_it_belongs() -> None:
    case = judged(registration(redirect_uris=["http://127.0.0.1:8080/cb"]), production=False)
    assert found_in(case) == set()


def test_addresses_that_are_never_gone_to_are_named_with_the_reason() -> None:
    found = conformance.findings(judged(registration(), reachable=nowhere))
    assert [(finding.rule, finding.level, finding.seen) for finding in found] == [
        ("never_asked", "must", ("jwks_uri = https://good.example/jwks (https only)",)),
        ("never_asked", "must", ("backchannel_logout_uri = https://good.example/out (https only)",)),
    ]


def test_a_claim_that_no_sign_in_released_is_found_once_there_were_enough() -> None:
    name = {"name": "name", "purpose": {"ko": "확인", "en": "Check"}}
    born = {"name": "birthdate", "purpose": {"ko": "확인", "en": "Check"}}
    portal = registration(scopes=["openid", "profile"], claims=[name, born])
    for n, rules in ((19, set()), (20, {"claims_unused"})):
        lately = [
            portal_events.Seen(i, i, Event.LOGIN_FINISHED, None, None, {"claims": ["name"]}) for i in range(n)
        ]
        assert found_in(judged(portal, lately=lately)) == rules


def test_the_report_counts_what_was_refused_lately(rig: Rig, staff: dict[str, Admin]) -> None:
    for _ in range(3):
        rig.portal("gov24").begin(scope="profile")
    shown = staff["mois"].get("/console/portals/gov24/report?lang=en").text
    assert "scope does not contain openid" in shown
    with rig.app.app_context():
        since = rig.clock() + 1
        assert portal_events.of("gov24", names=[str(name) for name in reasons.EVENTS], since=since) == []
