"""A sign-in is tried: the real flow, shown once, and no way to what a holder would give the portal."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import msgspec
import pytest
from joserfc.jwk import ECKey
from sqlalchemy import func, select

from idp.admin import organisations, trials
from idp.admin.people import Role
from idp.demo import check
from idp.models import Consent, Portal, PortalSecret, db, writing
from idp.oidc import client_checks
from idp.portals.rules import TRIAL_PREFIX
from idp.views.console.trying import CHECKS
from tests.at_console import Admin
from tests.at_rest.searching import Search, needles, searchable
from tests.rig import Rig, person, started

PERSON = "invented-77"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    settings = {"server.client_certificate_header": "X-Client-Cert", "server.trusted_proxies": 1}
    with started(tmp_path_factory.mktemp("house"), settings) as running:
        with running.app.app_context():
            made = [{"id": name, "name": {"ko": name, "en": name}} for name in ("mois", "oka")]
            organisations.apply({"organisation": made}, now=running.clock())
            organisations.transfer("gov24", "mois", reason="its own", now=running.clock())
        yield running


@pytest.fixture(scope="module")
def staff(rig: Rig) -> dict[str, Admin]:
    made = {
        role.value: Admin(rig, f"invented-{number}").join(role, role.value)
        for number, role in enumerate((Role.OWNER, Role.AUDITOR, Role.OPERATOR))
    }
    for number, name in enumerate(("mois", "oka"), 10):
        made[name] = Admin(rig, f"invented-{number}").join(Role.MEMBER, f"of {name}", name)
    return made


def path(client_id: str = "gov24") -> str:
    return f"/console/portals/{client_id}/try"


def begin(admin: Admin, client_id: str = "gov24", **changes: Any) -> httpx2.Response:
    form = {"scope": "openid profile", "claims": "", "acr": "", **changes}
    return admin.send(path(client_id), **form)


def to_callback(admin: Admin, begun: httpx2.Response, persona: str = PERSON) -> str:
    """From the redirect to /authorize as far as the redirect back."""
    assert begun.status_code == 303, begun.text[:2000]
    authorized = admin.get(begun.headers["Location"])
    outcome = admin.holder.show(admin.holder.link(admin.holder.open(authorized.headers["Location"])), persona)
    assert outcome.redirect_uri is not None, outcome
    return str(admin.holder.agree(admin.get(outcome.redirect_uri)).headers["Location"])


def tried(admin: Admin, client_id: str = "gov24", **changes: Any) -> str:
    answered = admin.get(f"{to_callback(admin, begin(admin, client_id, **changes))}&lang=en")
    assert answered.status_code == 200, answered.text[:2000]
    return html.unescape(answered.text)


def rows_of_trials(rig: Rig) -> int:
    with rig.app.app_context():
        tables = ((Portal, Portal.client_id), (Consent, Consent.client_id))
        counts = [
            db.session.scalar(select(func.count()).select_from(table).where(name.startswith(TRIAL_PREFIX)))
            for table, name in tables
        ]
    return sum(count or 0 for count in counts)


@pytest.mark.parametrize(("who", "status"), [("owner", 200), ("auditor", 200), ("mois", 200), ("oka", 404)])
def test_the_page_exists_for_the_portals_own_organisation(
    staff: dict[str, Admin], who: str, status: int
) -> None:
    assert staff[who].get(path()).status_code == status


@pytest.mark.parametrize(("who", "status"), [("auditor", 403), ("oka", 404), ("mois", 303)])
def test_who_may_begin_one(rig: Rig, staff: dict[str, Admin], who: str, status: int) -> None:
    answered = begin(staff[who])
    assert answered.status_code == status
    assert ("Location" in answered.headers) == (status == 303)


def test_a_trial_is_the_real_sign_in_with_every_check(staff: dict[str, Admin]) -> None:
    shown = tried(staff["mois"], claims='{"id_token": {"birthdate": null}}')
    holds = re.findall(r'<td>(✓|.*?)</td>\s*<th scope="row">([^<]+)', shown)
    assert {words for _, words in holds} == {CHECKS[name] for name in CHECKS}
    assert "✗" not in shown
    not_asked_for = {"azp", "acr", "auth_time", "key_proven", "userinfo_signature"}
    not_asked_for |= {name for name in CHECKS if name.startswith("response_") or name.endswith("encrypted")}
    assert shown.count("✓ yes") == len(CHECKS) - len(not_asked_for)
    who = person(PERSON)
    assert who.name in shown
    assert f'"birthdate": "{who.birthdate}"' in shown
    assert '"alg": "ES256"' in shown


def test_it_is_shown_once_and_nothing_remains(rig: Rig, staff: dict[str, Admin]) -> None:
    callback = to_callback(staff["mois"], begin(staff["mois"]))
    assert person(PERSON).name in staff["mois"].get(callback).text
    again = staff["mois"].get(callback)
    assert again.status_code == 404
    assert person(PERSON).name not in again.text
    trial_id = rig.events()[-1].client_id
    with rig.app.app_context():
        assert trials.registered(str(trial_id)) is None
    assert "admin.portal_tried" in rig.event_names()


def test_neither_code_nor_token_is_on_the_page(rig: Rig, staff: dict[str, Admin]) -> None:
    callback = to_callback(staff["mois"], begin(staff["mois"]))
    code = parse_qs(urlsplit(callback).query)["code"][0]
    shown = staff["mois"].get(callback).text
    assert code not in shown
    assert not re.search(r"eyJ[\w-]+\.eyJ", shown)


def test_nothing_of_the_person_rests_in_the_clear(rig: Rig, staff: dict[str, Admin]) -> None:
    """Neither half way, nor after it: in the database, its log and the Store beside it."""
    who = person("invented-78")
    values = {"name": who.name, "birthdate": who.birthdate, "number": who.registration_number}
    search = Search(needles(searchable([values])))
    directory = Path(rig.house.settings.database_url.removeprefix("sqlite:///")).parent
    kept = list(directory.glob("sinwon.db*"))
    asked = json.dumps({"userinfo": {"birthdate": {"value": who.birthdate}}})
    callback = to_callback(staff["mois"], begin(staff["mois"], claims=asked), "invented-78")
    assert search.in_files(*kept) == {}
    assert who.name in staff["mois"].get(callback).text
    assert search.in_files(*kept) == {}


def test_sub_is_not_the_portals(rig: Rig, staff: dict[str, Admin]) -> None:
    real = rig.portal("gov24")
    tokens = real.sign_in(PERSON)
    sub = real.id_token_claims(tokens["id_token"])["sub"]
    assert sub not in tried(staff["mois"])


def test_the_answer_of_another_browser_is_not_shown(rig: Rig, staff: dict[str, Admin]) -> None:
    callback = to_callback(staff["mois"], begin(staff["mois"]))
    for other in (staff["owner"], Admin(rig)):
        answered = other.get(callback)
        assert answered.status_code == 404
        assert person(PERSON).name not in answered.text


@pytest.mark.parametrize("change", ["state", "iss", "code"])
def test_an_answer_that_was_changed_on_the_way_buys_nothing(staff: dict[str, Admin], change: str) -> None:
    callback = to_callback(staff["mois"], begin(staff["mois"]))
    shown = staff["mois"].get(callback.replace(f"{change}=", f"{change}=x", 1)).text
    assert person(PERSON).name not in shown
    assert 'role="alert"' in shown


def test_nobody_else_begins_a_sign_in_for_a_trial(rig: Rig, staff: dict[str, Admin]) -> None:
    """A link to it would let a holder believe that the portal asks: only what the console pushed is taken."""
    begun = begin(staff["mois"]).headers["Location"]
    trial = parse_qs(urlsplit(begun).query)["client_id"][0]
    uri = f"{rig.issuer}{trials.CALLBACK}"
    portal = rig.portal("gov24")
    portal.client_id = trial
    answered = portal.begin(redirect_uri=uri).response
    assert answered.status_code == 303
    assert parse_qs(urlsplit(answered.headers["Location"]).query)["error"] == ["invalid_request"]
    assert rig.http.post(f"{rig.issuer}/par", data={"client_id": trial}).status_code == 401
    form = {"grant_type": "authorization_code", "code": "x", "client_id": trial}
    assert rig.http.post(f"{rig.issuer}/token", data=form).status_code == 401


def test_a_trial_offers_no_code_for_another_device(rig: Rig, staff: dict[str, Admin]) -> None:
    """Somebody else's wallet could answer one that was passed on."""
    authorized = staff["mois"].get(begin(staff["mois"]).headers["Location"])
    page = staff["mois"].get(authorized.headers["Location"]).text
    assert 'id="wallet-link"' in page
    assert 'id="qr"' not in page
    assert "[시험]" in page


def test_in_production_only_the_administrators_own_credential_releases_anything(
    rig: Rig, staff: dict[str, Admin], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who the sign-in is expected to be is the administrator as the console knows them; the mode decides that."""
    strict = msgspec.structs.replace(rig.house.settings, mode="production")
    [pages] = [
        view.__wrapped__.__self__  # the guarded view's own object
        for name, view in rig.app.view_functions.items()
        if name == "console.portal_try_begin"
    ]
    monkeypatch.setattr(pages, "settings", strict)
    mois = staff["mois"]
    other = to_callback(mois, begin(mois), PERSON)
    assert parse_qs(urlsplit(other).query)["error"] == ["login_required"]
    shown = html.unescape(mois.get(f"{other}&lang=en").text)
    assert "Another person signed in than the client expected" in shown
    assert person(PERSON).name not in shown
    own = mois.get(to_callback(mois, begin(mois), mois.persona))
    assert person(mois.persona).name in own.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scope": "profile"}, "scope does not contain openid"),
        ({"scope": "openid kr_portrait"}, "A scope is not registered for this client"),
        ({"claims": "{"}, "claims is not a JSON object"),
        ({"claims": "<script>alert(1)</script>"}, "claims is not a JSON object"),
    ],
)
def test_a_request_that_would_be_refused_is_explained_and_kept_in_the_form(
    rig: Rig, staff: dict[str, Admin], changes: dict[str, str], words: str
) -> None:
    staff["mois"].get("/console?lang=en")
    before = rows_of_trials(rig)
    answered = begin(staff["mois"], **changes)
    assert answered.status_code == 400
    assert words in answered.text
    assert "<script>alert" not in answered.text
    assert rows_of_trials(rig) == before


def test_a_portal_that_signs_its_requests_is_tried_with_a_signed_one(
    rig: Rig, staff: dict[str, Admin]
) -> None:
    client_id = next(p["client_id"] for p in rig.prepared.portals() if p.get("profile") == "fapi2")
    for alg in ("ES256", "PS256", "EdDSA"):
        signing = {"require_signed_request_object": True, "request_object_signing_alg": alg}
        rig.variant(client_id, f"signing-{alg}", **signing)
        shown = tried(staff["owner"], f"signing-{alg}", scope="openid")
        assert "Signed in a request object (JAR)" in shown
        assert "✗" not in shown


def to_posted(admin: Admin, begun: httpx2.Response) -> httpx2.Response:
    """From the redirect to /authorize to what the console says to the form that the browser sends."""
    authorized = admin.get(begun.headers["Location"])
    outcome = admin.holder.show(admin.holder.link(admin.holder.open(authorized.headers["Location"])), PERSON)
    assert outcome.redirect_uri is not None, outcome
    page = check.Page(admin.holder.agree(admin.get(outcome.redirect_uri)))
    return admin.holder.submit(page, "form-post")


@pytest.mark.parametrize("mode", ["jwt", "form_post", "form_post.jwt"])
def test_the_answer_may_come_by_every_response_mode(staff: dict[str, Admin], mode: str) -> None:
    staff["operator"].get("/console?lang=en")
    if mode == "jwt":
        shown = tried(staff["operator"], response_mode=mode)
    else:
        shown = html.unescape(to_posted(staff["operator"], begin(staff["operator"], response_mode=mode)).text)
        assert "Sent by the browser as a form (POST)." in shown
    assert "✗" not in shown
    assert person(PERSON).name in shown
    assert ("Inside the answer's JWT" in shown) == mode.endswith("jwt")
    assert not re.search(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", shown)


@pytest.mark.parametrize(
    ("alg", "enc"), [("ECDH-ES", "A256GCM"), ("RSA-OAEP-256", "A128CBC-HS256"), ("ECDH-ES+A256KW", None)]
)
def test_what_is_registered_as_encrypted_is_encrypted_and_opened(
    rig: Rig, staff: dict[str, Admin], alg: str, enc: str | None
) -> None:
    """To a key of the trial; which key of the portal's it would be is said, or that there is none."""
    key = {"kty": "EC", **ECKey.generate_key("P-256").as_dict(private=False), "use": "enc", "kid": "ours-1"}
    encrypted = {
        f"{what}_encrypted_response_{half}": value
        for what in ("authorization", "id_token", "userinfo")
        for half, value in (("alg", alg), ("enc", enc))
        if value
    }
    # A set that cannot be fetched has no key that fits.
    keys = (
        {"jwks": {"keys": [key]}} if alg.startswith("ECDH") else {"jwks_uri": "https://portal.example/jwks"}
    )
    rig.variant("gov24", f"sealed-{alg}", **keys, **encrypted)
    staff["operator"].get("/console?lang=en")
    shown = tried(staff["operator"], f"sealed-{alg}", response_mode="jwt")
    assert "✗" not in shown
    assert shown.count("is encrypted as it was registered") == 3
    assert person(PERSON).name in shown
    fits = alg.startswith("ECDH")
    assert ("to your key with the kid ours-1" in shown) == fits
    assert ("Among your own keys none fits" in shown) == (not fits)


METHODS = {
    "client_secret_basic": "with a secret made for the trial",
    "client_secret_post": "with a secret made for the trial",
    "private_key_jwt": "with a key made for the trial",
    "self_signed_tls_client_auth": "with a certificate made for the trial",
    "none": "not tried: a public client",
    "tls_client_auth": "not tried: a certificate of your authority",
}


@pytest.mark.parametrize("method", METHODS)
def test_the_client_proves_itself_as_it_registered(rig: Rig, staff: dict[str, Admin], method: str) -> None:
    changes: dict[str, Any] = {"token_endpoint_auth_method": method}
    if method == "tls_client_auth":
        changes["tls_client_auth_san_dns"] = "portal.example"
    if method not in {"client_secret_basic", "client_secret_post"}:
        changes["client_secret_sha256"] = None
    jwk = ECKey.generate_key("P-256").as_dict(private=False)
    rig.variant("gov24", f"by-{method}", jwks={"keys": [jwk]}, **changes)
    staff["operator"].get("/console?lang=en")
    before = rows_of_trials(rig)
    shown = tried(staff["operator"], f"by-{method}")
    assert "✗" not in shown
    assert METHODS[method] in shown
    assert rows_of_trials(rig) == before
    with rig.app.app_context():
        left = select(func.count()).where(PortalSecret.client_id.startswith(TRIAL_PREFIX))
        assert db.session.scalar(left.select_from(PortalSecret)) == 0


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ({"dpop_bound_access_tokens": True}, "bound by DPoP"),
        ({"tls_client_certificate_bound_access_tokens": True}, "bound to a certificate"),
    ],
    ids=["dpop", "certificate"],
)
def test_tokens_are_bound_as_registered(
    rig: Rig, staff: dict[str, Admin], bound: dict[str, bool], words: str
) -> None:
    """The proof is judged by the code that judges portals: with another key the same trial ends there."""
    client_id = f"bound-{words[-4:]}".replace(" ", "-").lower()
    rig.variant("gov24", client_id, **bound)
    staff["operator"].get("/console?lang=en")
    shown = tried(staff["operator"], client_id)
    assert words in shown
    assert "✗" not in shown
    assert ('"token_type": "DPoP"' in shown) == ("dpop_bound_access_tokens" in bound)
    assert "The key that the tokens are bound to was proven" in shown


def test_a_sign_in_that_the_holder_gave_up_says_so(staff: dict[str, Admin]) -> None:
    mois = staff["mois"]
    authorized = mois.get(begin(mois).headers["Location"])
    page = mois.get(authorized.headers["Location"]).text
    found = re.search(
        r'action="(/login/[^"]+/cancel)">\s*<input type="hidden" name="csrf" value="([^"]+)"', page
    )
    assert found is not None
    cancelled = mois.browser.post(mois.holder.absolute(found[1]), data={"csrf": found[2]})
    shown = mois.get(cancelled.headers["Location"]).text
    assert "access_denied" in shown
    assert 'role="alert"' in shown


def test_trials_that_nobody_came_back_from_are_swept(rig: Rig, staff: dict[str, Admin]) -> None:
    begin(staff["mois"])
    rig.clock.forward(trials.TTL_S + 1)
    with rig.app.app_context(), writing() as session:
        trials.sweep(session, rig.clock())
    assert rows_of_trials(rig) == 0


def test_trials_of_one_administrator_have_an_end(rig: Rig, staff: dict[str, Admin]) -> None:
    answers = {begin(staff["owner"]).status_code for _ in range(25)}
    assert 429 in answers


# -- the checks themselves ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        ({"issuer": "https://other.example"}, {"iss"}),
        ({"client_id": "other"}, {"aud"}),
        ({"nonce": "other"}, {"nonce"}),
        ({"alg": "RS256"}, {"alg"}),
        ({"acr_values": ("other",)}, {"acr"}),
        ({"max_age_s": -1000}, {"auth_time"}),
    ],
    ids=str,
)
def test_each_check_fails_for_what_it_is_there_for(rig: Rig, change: dict[str, Any], fails: set[str]) -> None:
    portal = rig.portal("gov24")
    code, begun = portal.code(PERSON)
    tokens = portal.token(code, begun.verifier).json()
    asked = client_checks.Asked(rig.issuer, "gov24", begun.state or "", begun.nonce or "", "ES256")
    jwks = rig.http.get(f"{rig.issuer}/jwks").json()

    def failing(asked: client_checks.Asked, id_token: str, access_token: str) -> set[str]:
        found = client_checks.of_id_token(asked, id_token, access_token, jwks, now=rig.clock())
        return {check.name for check in found if check.holds is False}

    assert failing(asked, tokens["id_token"], tokens["access_token"]) == set()
    assert failing(replace(asked, **change), tokens["id_token"], tokens["access_token"]) == fails
    assert failing(asked, tokens["id_token"], "another") == {"at_hash"}
    head, body, signature = tokens["id_token"].split(".")
    forged = f"{head}.{body}.{'A' * len(signature)}"
    assert failing(asked, forged, tokens["access_token"]) == {"signature"}
