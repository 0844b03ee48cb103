"""The registration endpoint and the client configuration endpoint: RFC 7591, 7592, OpenID Connect Registration 1.0."""

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey, RSAKey

from idp.models import Consent, Grant, InitialAccessToken, PortalLogo, db
from idp.models import Portal as PortalRow
from idp.oidc import registration
from idp.seal import digest
from tests import servers
from tests.harmless import as_json, decent
from tests.http.conftest import STORES
from tests.registering import (
    REDIRECT_URI,
    Registered,
    Site,
    bearer,
    invited,
    metadata,
    png,
    public,
    register,
    registered,
    site,
    statement,
)
from tests.rig import Rig, started

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
KEY = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)
DIRECTORY = "https://directory.example"
BAD = "invalid_client_metadata"


@pytest.fixture(scope="module")
def documents() -> Iterator[Site]:
    """The portal's own server."""
    with site() as made:
        yield made


@pytest.fixture(scope="module", params=STORES)
def rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, documents: Site
) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("house")
    keys = directory / "directory.json"
    keys.write_text(json.dumps({"issuer": DIRECTORY, "keys": [public(KEY), public(RSA)]}))
    settings: dict[str, Any] = {
        "registration.per_minute_per_ip": 100_000,
        "registration.scopes": ["openid", "profile", "address", "offline_access"],
        "registration.software_statement_files": [str(keys)],
    }
    if request.param == "sqlite":
        with started(directory, settings, allow=[documents.origin]) as running:
            yield running
        return
    redis = request.getfixturevalue("redis_url")
    with (
        servers.new_database(request.getfixturevalue("postgresql_url")) as database,
        started(
            directory, {**settings, "database.url": database, "store.url": redis}, allow=[documents.origin]
        ) as running,
    ):
        yield running


@pytest.fixture(autouse=True)
def _site_is_empty(documents: Site) -> None:
    documents.documents.clear()
    documents.asked.clear()


def refused(rig: Rig, error: str = BAD, *, said: str = "", **changes: Any) -> httpx2.Response:
    """A registration that is refused: as JSON with a description, and no use of the invitation."""
    token = invited(rig, profile=changes.pop("invited_to", "standard"))
    last = rig.last_event()
    response = register(rig, token, **changes)
    body = as_json(response, 400, error)
    assert response.headers["Cache-Control"] == "no-store"
    assert said in str(body["error_description"]), body
    assert re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]+", str(body["error_description"]))
    assert [(event.name, event.reason) for event in rig.events(after=last)] == [
        ("registration.refused", error)
    ]
    with rig.app.app_context():
        assert db.session.get_one(InitialAccessToken, digest(token)).uses_left == 1
    return response


def manage(rig: Rig, answer: dict[str, Any], method: str = "GET", **options: Any) -> httpx2.Response:
    """A request to the client configuration endpoint with the registration's own token."""
    token = options.pop("token", answer["registration_access_token"])
    return rig.http.request(method, answer["registration_client_uri"], headers=bearer(token), **options)


def updated(answer: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What an update sends: everything it was told, without what must not be in it."""
    left_out = {
        "registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at",
    }  # fmt: skip
    kept = {name: value for name, value in answer.items() if name not in left_out}
    return {name: value for name, value in {**kept, **changes}.items() if value is not None}


# -- who may ---------------------------------------------------------------------------------------------------


def test_nobody_registers_without_an_invitation(rig: Rig) -> None:
    response = register(rig, None)
    as_json(response, 401, "invalid_token")
    challenge = response.headers["WWW-Authenticate"]
    assert challenge == f'Bearer realm="{rig.issuer}"'  # no error code: no token came (RFC 6750, 3.1)


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic dGVzdDp0ZXN0", "bearer x y"])
def test_an_unknown_invitation_is_refused(rig: Rig, header: str) -> None:
    response = rig.http.post(f"{rig.issuer}/register", json=metadata(), headers={"Authorization": header})
    as_json(response, 401, "invalid_token")
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_an_invitation_is_not_taken_from_the_query_or_the_body(rig: Rig) -> None:
    token = invited(rig)
    response = rig.http.post(f"{rig.issuer}/register?access_token={token}", json=metadata(access_token=token))
    as_json(response, 401, "invalid_token")


def test_an_invitation_ends(rig: Rig) -> None:
    token = invited(rig, ttl_s=60)
    rig.clock.forward(61)
    as_json(register(rig, token), 401, "invalid_token")


def test_an_invitation_is_good_for_as_many_portals_as_it_says(rig: Rig) -> None:
    token = invited(rig, uses=2)
    assert [register(rig, token).status_code for _ in range(3)] == [201, 201, 401]


def test_of_many_who_come_at_once_with_one_invitation_one_is_registered(rig: Rig) -> None:
    token = invited(rig)
    with rig.app.app_context():
        before = db.session.query(PortalRow).count()
        db.session.rollback()
    together = threading.Barrier(12)

    def attempt(_number: int) -> int:
        together.wait()
        return register(rig, token).status_code

    with ThreadPoolExecutor(12) as crowd:
        statuses = sorted(crowd.map(attempt, range(12)))
    assert statuses == [201, *[401] * 11]
    with rig.app.app_context():
        assert db.session.query(PortalRow).count() == before + 1
        assert db.session.get_one(InitialAccessToken, digest(token)).uses_left == 0


def test_invitations_and_secrets_are_stored_as_digests_alone(rig: Rig) -> None:
    token = invited(rig, note="for the test")
    answer = register(rig, token).json()
    with rig.app.app_context():
        row = db.session.get_one(PortalRow, answer["client_id"])
        stored = json.dumps([row.registration, row.registration_token_digest])
        known = [str(vars(one)) for one in db.session.query(InitialAccessToken)]
    for value in (token, answer["client_secret"], answer["registration_access_token"]):
        assert value not in stored + "".join(known)
        assert digest(value) in stored + "".join(known)


# -- what comes back -------------------------------------------------------------------------------------------


def test_a_registered_portal_signs_people_in(rig: Rig) -> None:
    portal = Registered(rig, registered(rig, scope="openid profile"))
    tokens = portal.sign_in()
    claims = portal.id_token_claims(tokens["id_token"])
    assert claims["aud"] == portal.client_id
    assert json.loads(_header(tokens["id_token"]))["alg"] == "RS256"


def _header(token: str) -> bytes:
    from idp.seal import unb64  # noqa: PLC0415

    return unb64(token.split(".", maxsplit=1)[0])


def test_the_answer_holds_everything_that_was_registered(rig: Rig) -> None:
    response = register(
        rig, invited(rig), **{"client_name#ko": "시험 포털"}, unknown_member="x", scope="openid"
    )
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    answer = response.json()
    assert answer["client_name"] == answer["client_name#en"] == "Test portal"
    assert answer["client_name#ko"] == "시험 포털"
    assert answer["redirect_uris"] == [REDIRECT_URI]
    assert answer["grant_types"] == ["authorization_code"]
    assert answer["response_types"] == ["code"]
    assert answer["subject_type"] == "pairwise"
    assert answer["token_endpoint_auth_method"] == "client_secret_basic"
    assert answer["scope"] == "openid"
    assert answer["client_secret_expires_at"] == 0
    assert answer["client_id_issued_at"] == pytest.approx(rig.clock(), abs=5)
    assert answer["registration_client_uri"] == f"{rig.issuer}/register/{answer['client_id']}"
    assert "unknown_member" not in answer
    assert len(answer["client_secret"]) >= 43


EVERYTHING = {
    "grant_types": ["authorization_code", "implicit", "refresh_token"],
    "response_types": [
        "code", "id_token", "id_token token", "code id_token", "code token", "code id_token token",
    ],
}  # fmt: skip
"""What mod_auth_openidc sends, whatever the provider offers."""


@pytest.mark.parametrize(
    ("asked", "grants"),
    [
        (EVERYTHING, ["authorization_code", "refresh_token"]),
        (
            {"grant_types": ["implicit", "authorization_code"], "response_types": ["token id_token", "code"]},
            ["authorization_code"],
        ),
    ],
    ids=["everything", "in another order"],
)
def test_flows_that_are_not_offered_are_left_out_beside_the_code_flow(
    rig: Rig, asked: dict[str, Any], grants: list[str]
) -> None:
    answer = registered(rig, **asked)
    assert (answer["grant_types"], answer["response_types"]) == (grants, ["code"])
    assert Registered(rig, answer).sign_in()["id_token"]
    again = manage(rig, answer, "PUT", json=updated(answer, **asked)).json()
    assert (again["grant_types"], again["response_types"]) == (grants, ["code"])


def test_a_portal_without_a_secret_is_told_none(rig: Rig) -> None:
    answer = registered(rig, token_endpoint_auth_method="none")
    assert not {"client_secret", "client_secret_expires_at"} & set(answer)


def test_every_registration_is_a_portal_of_its_own(rig: Rig) -> None:
    assert registered(rig)["client_id"] != registered(rig)["client_id"]


def test_a_registration_is_audited_with_its_invitation(rig: Rig) -> None:
    last = rig.last_event()
    token = invited(rig)
    answer = register(rig, token).json()
    made, used = rig.events(after=last)
    assert (made.name, used.name) == ("portal.invited", "portal.registered")
    assert used.client_id == answer["client_id"]
    assert used.detail == {"profile": "standard", "invitation": digest(token)[:16]}


def test_a_fapi2_invitation_makes_fapi2_portals(rig: Rig) -> None:
    token = invited(rig, profile="fapi2")
    answer = register(rig, token, jwks={"keys": [public(KEY)]}).json()
    assert answer["profile"] == "fapi2"
    assert answer["token_endpoint_auth_method"] == "private_key_jwt"
    assert answer["dpop_bound_access_tokens"] is True
    assert "client_secret" not in answer


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uris", "said"),
    [
        (None, "redirect_uris is missing"),
        ([], "redirect_uris is missing"),
        ("https://portal.example/cb", "array"),
        ([7], "array"),
        (["https://portal.example/cb#f"], "redirect_uris[0] must not have a fragment"),
        (["https://portal.example/cb#"], "redirect_uris[0] must not have a fragment"),
        ([REDIRECT_URI, "http://portal.example/cb"], "redirect_uris[1] http is for loopback"),
        (["com.example.app:/cb"], "https URI"),
        (["javascript:alert(1)"], "https URI"),
        (["/cb"], "https URI"),
        (["https://u:p@portal.example/cb"], "user information"),
        (["https://*.portal.example/cb"], "wildcards"),
        (["https://portal.example/\u00e9"], "ASCII"),
        ([f"https://portal.example/{number}" for number in range(65)], "at most 64"),
    ],
)
def test_a_bad_redirect_uri_has_its_own_error(rig: Rig, uris: object, said: str) -> None:
    refused(rig, "invalid_redirect_uri", said=said, redirect_uris=uris)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"response_types": ["token"]}, "response_types"),
        ({"response_types": ["code id_token"]}, "response_types"),
        ({"response_types": ["code", "code id_token"]}, "response_types"),
        ({"response_types": ["id_token", "id_token token"]}, "response_types"),
        ({"response_types": []}, "response_types"),
        ({"response_types": "code"}, "response_types"),
        ({"response_types": ["code", 7]}, "response_types"),
        ({"grant_types": ["implicit"]}, "grant_types"),
        ({"grant_types": ["implicit"], "response_types": ["id_token"]}, "grant_types"),
        ({"grant_types": ["authorization_code", "implicit"], "response_types": ["id_token"]}, "grant_types"),
        (
            {
                "id_token_encrypted_response_alg": "ECDH-ES",
                "jwks": {"keys": [{"kty": "EC", "crv": [], "x": "a", "y": "b"}]},
            },
            "id_token_encrypted_response_alg",
        ),
        ({"grant_types": ["authorization_code", "password"]}, "grant_types"),
        ({"grant_types": ["password"]}, "grant_types"),
        ({"grant_types": ["refresh_token", "password"]}, "grant_types"),
        ({"grant_types": ["authorization_code", 7]}, "grant_types"),
        ({"grant_types": ["refresh_token"]}, "grant_types"),
        ({"grant_types": []}, "grant_types"),
        ({"grant_types": [DEVICE], "response_types": ["code"]}, "response_types"),
        ({"grant_types": "authorization_code"}, "grant_types"),
        ({"subject_type": "public"}, "subject_type"),
        ({"application_type": "tv"}, "application_type"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": 7}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "tls_client_auth_subject_dn"),
        ({"token_endpoint_auth_signing_alg": "none"}, "token_endpoint_auth_signing_alg"),
        ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg"),
        ({"id_token_signed_response_alg": "HS256"}, "id_token_signed_response_alg"),
        ({"userinfo_signed_response_alg": "HS256"}, "userinfo_signed_response_alg"),
        ({"authorization_signed_response_alg": "none"}, "authorization_signed_response_alg"),
        ({"request_object_signing_alg": "HS256"}, "request_object_signing_alg"),
        ({"request_object_encryption_alg": "RSA-OAEP"}, "request_object_encryption_alg"),
        ({"id_token_encrypted_response_alg": "RSA1_5"}, "id_token_encrypted_response_alg"),
        ({"id_token_encrypted_response_alg": "ECDH-ES"}, "jwks"),
        ({"id_token_encrypted_response_enc": "A256GCM"}, "id_token_encrypted_response_alg"),
        ({"initiate_login_uri": "http://portal.example/login"}, "initiate_login_uri"),
        ({"initiate_login_uri": "http://127.0.0.1/login"}, "initiate_login_uri"),
        ({"initiate_login_uri": 7}, "initiate_login_uri"),
        ({"logo_uri": "data:image/png;base64,AA"}, "logo_uri"),
        ({"policy_uri": "javascript:alert(1)"}, "policy_uri"),
        ({"tos_uri": "http://portal.example/tos"}, "tos_uri"),
        ({"client_uri": ["https://portal.example"]}, "client_uri"),
        ({"backchannel_logout_uri": "http://portal.example/out"}, "backchannel_logout_uri"),
        ({"backchannel_logout_uri": "https://portal.example/out#f"}, "backchannel_logout_uri"),
        ({"post_logout_redirect_uris": ["javascript:alert(1)"]}, "post_logout_redirect_uris[0]"),
        ({"request_uris": ["http://portal.example/r"]}, "request_uris[0]"),
        ({"jwks": {}}, "jwks"),
        ({"jwks": {"keys": []}}, "jwks"),
        ({"jwks": {"keys": ["x"]}}, "jwks"),
        ({"jwks": KEY.as_dict(private=False)}, "jwks"),
        ({"jwks": {"keys": [KEY.as_dict(private=True)]}}, "private"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "AA"}]}}, "symmetric"),
        ({"jwks": {"keys": [public(KEY)]}, "jwks_uri": "https://portal.example/jwks"}, "jwks"),
        ({"scope": "profile"}, "openid"),
        ({"scope": ["openid"]}, "scope"),
        ({"scope": "openid kr_passport"}, "kr_passport"),
        ({"scope": "openid offline_access"}, "refresh_token"),
        ({"requested_claims": {"name": "name"}}, "requested_claims"),
        ({"requested_claims": [{"name": "kr_passport"}]}, "requested_claims[0]"),
        ({"requested_claims": [{"name": "name", "required": "yes"}]}, "requested_claims[0].required"),
        ({"requested_claims": [{"name": "name", "purpose": 7}]}, "requested_claims[0].purpose"),
        ({"requested_claims": [{"name": "name"}, {"name": "name"}]}, "twice"),
        ({"requested_claims": [{"name": "name", "basis": "statute"}]}, "basis"),
        ({"profile": "fapi3"}, "profile"),
        ({"profile": "fapi2"}, "private_key_jwt"),
        ({"profile": "fapi2", "token_endpoint_auth_method": "client_secret_basic"}, "fapi2"),
        ({"invited_to": "fapi2", "profile": "standard"}, "profile"),
        ({"client_name": ""}, "client_name"),
        ({"client_name#ko": "a\u202eb"}, "client_name"),
        ({"retention": {"ko": 1}}, "retention"),
        ({"contacts": ["a\nb"]}, "contacts[0]"),
        ({"software_id": "a\0b"}, "software_id"),
        ({"tls_client_auth_subject_dn": ""}, "tls_client_auth_subject_dn"),
        ({"default_max_age": -1}, "default_max_age"),
        ({"default_max_age": "60"}, "default_max_age"),
        ({"require_auth_time": "true"}, "require_auth_time"),
        ({"software_statement": 7}, "software_statement"),
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_registered_is_named(rig: Rig, members: dict[str, Any], said: str) -> None:
    error = "invalid_software_statement" if "software_statement" in members else BAD
    refused(rig, error, said=said, **members)


@pytest.mark.parametrize("value", ["<script>alert(1)</script>", 'x" y', "\\", "홍길동", "x" * 3000])
@pytest.mark.parametrize(
    "member", ["token_endpoint_auth_method", "profile", "id_token_signed_response_alg", "scope", "jwks_uri"]
)
def test_no_value_is_repeated_in_an_error(rig: Rig, member: str, value: str) -> None:
    response = refused(rig, **{member: value})
    assert value not in response.json()["error_description"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b"{", "application/json"),
        (b'{"redirect_uris": [], "redirect_uris": []}', "application/json"),
        (b"[" * 50_000, "application/json"),
        (b'{"redirect_uris": ["https://portal.example/cb"]}', "text/plain"),
        (b"redirect_uris=https://portal.example/cb", "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(rig: Rig, body: bytes, content_type: str) -> None:
    headers = {**bearer(invited(rig)), "Content-Type": content_type}
    as_json(rig.http.post(f"{rig.issuer}/register", content=body, headers=headers), 400, BAD)


def test_a_body_that_is_too_large_is_refused_as_json(rig: Rig) -> None:
    response = register(rig, invited(rig), client_name="x" * 70_000)
    as_json(response, 413, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_the_registration_endpoint_takes_posts_alone(rig: Rig, method: str) -> None:
    response = decent(rig.http.request(method, f"{rig.issuer}/register"))
    assert response.status_code == 405
    assert response.headers["Content-Type"] == "application/json"


# -- what is fetched -------------------------------------------------------------------------------------------


def test_a_sector_is_joined_by_a_document_that_names_every_address(rig: Rig, documents: Site) -> None:
    uris = [REDIRECT_URI, "https://other.example/cb"]
    where = documents.publish("/sector.json", [*uris, "https://third.example/cb"])
    first = registered(rig, sector_identifier_uri=where, redirect_uris=uris)
    second = registered(rig, sector_identifier_uri=where, redirect_uris=uris[:1])
    assert first["sector_identifier_uri"] == where
    subs = {Registered(rig, one).sign_in()["id_token"].split(".")[1] for one in (first, second)}
    assert len({json.loads(_header(sub))["sub"] for sub in subs}) == 1


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (["https://other.example/cb"], "list"),
        ([], "list"),
        ([REDIRECT_URI + "/"], "list"),
        ({"redirect_uris": [REDIRECT_URI]}, "array"),
        ([7, REDIRECT_URI], "array"),
        (b"not json", "JSON"),
        (None, "fetched"),
    ],
)
def test_a_sector_that_does_not_know_the_portal_is_refused(
    rig: Rig, documents: Site, document: object, said: str
) -> None:
    where = documents.origin + "/sector.json"
    if document is not None:
        documents.publish("/sector.json", document)
    refused(rig, said=said, sector_identifier_uri=where)
    assert documents.asked == ["/sector.json"]


@pytest.mark.parametrize("member", ["sector_identifier_uri", "jwks_uri", "logo_uri"])
@pytest.mark.parametrize(
    "uri", ["https://127.0.0.1:1/x", "https://[::1]:1/x", "https://169.254.169.254/x", "http://localhost:1/x"]
)
def test_nothing_is_fetched_from_inside(rig: Rig, member: str, uri: str) -> None:
    refused(rig, said=f"{member} could not be fetched", **{member: uri})


def test_keys_are_fetched_once_at_registration(rig: Rig, documents: Site) -> None:
    where = documents.publish("/jwks.json", {"keys": [public(KEY)]})
    answer = registered(rig, token_endpoint_auth_method="private_key_jwt", jwks_uri=where)
    assert answer["jwks_uri"] == where
    assert documents.asked == ["/jwks.json"]


@pytest.mark.parametrize(
    "document",
    [
        b"<html>",
        [],
        {"keys": []},
        {"keys": [KEY.as_dict(private=True)]},
        {"keys": [{"kty": "oct", "k": "AA"}]},
        None,
    ],
)
def test_keys_that_cannot_be_used_are_said_at_registration(
    rig: Rig, documents: Site, document: object
) -> None:
    where = documents.origin + "/jwks.json"
    if document is not None:
        documents.publish("/jwks.json", document)
    refused(rig, said="jwks_uri", token_endpoint_auth_method="private_key_jwt", jwks_uri=where)


def test_nothing_is_fetched_for_somebody_who_may_not_register(rig: Rig, documents: Site) -> None:
    where = documents.publish("/logo.png", png())
    assert register(rig, "wrong", logo_uri=where).status_code == 401
    assert documents.asked == []


def test_a_logo_is_fetched_once_and_shown_from_here(rig: Rig, documents: Site) -> None:
    where = documents.publish("/logo.png", png())
    portal = Registered(rig, registered(rig, logo_uri=where, client_name="Logo <portal>"))
    shown = portal.browser.get(portal.absolute(portal.begin().location)).text
    found = re.search(r'<img class="logo" src="([^"]+)" alt="([^"]+)">', shown)
    assert found is not None
    assert found[2].endswith("Logo &lt;portal&gt; 로고")
    assert documents.origin not in shown
    picture = portal.browser.get(portal.absolute(found[1]))
    assert picture.headers["Content-Type"] == "image/png"
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    assert picture.content.startswith(b"\x89PNG")
    assert picture.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    other = portal.browser.get(portal.absolute(found[1].partition("?")[0]))
    assert other.headers["Cache-Control"] == "public, max-age=300"
    assert documents.asked == ["/logo.png"]


@pytest.mark.parametrize("picture", [b"<svg/>", b"\xff\xd8\xff\xe0", png()[:50], None])
def test_a_logo_that_is_no_picture_is_refused(rig: Rig, documents: Site, picture: bytes | None) -> None:
    if picture is not None:
        documents.publish("/logo.png", picture)
    refused(rig, said="logo_uri", logo_uri=documents.origin + "/logo.png")


@pytest.mark.parametrize("client_id", ["gov24", "nobody", "%00", "x" * 300])
def test_a_portal_without_a_logo_has_none(rig: Rig, client_id: str) -> None:
    assert decent(rig.http.get(f"{rig.issuer}/portals/{client_id}/logo.png")).status_code == 404


def test_the_sign_in_page_links_what_the_portal_published(rig: Rig) -> None:
    links = {
        "client_uri": "https://portal.example/about",
        "policy_uri": "https://portal.example/privacy",
        "tos_uri": "https://portal.example/terms",
    }
    portal = Registered(rig, registered(rig, **links))
    shown = portal.browser.get(portal.absolute(portal.begin().location)).text
    assert all(f'href="{link}"' in shown for link in links.values())


def test_the_consent_page_says_what_the_portal_did_not(rig: Rig) -> None:
    portal = Registered(rig, registered(rig))
    page = portal.browser.get(
        portal.absolute(portal.to_consent(portal.begin(ui_locales="en")).headers["Location"])
    ).text
    assert "which has stated no other purpose" in page
    assert "has not stated how long" in page


# -- software statements ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "alg"), [(KEY, "ES256"), (RSA, "RS256"), (RSA, "PS256")])
def test_what_a_software_statement_says_wins(rig: Rig, key: Any, alg: str) -> None:
    signed = statement(key, alg=alg, iss=DIRECTORY, client_name="Signed", software_id="s1")
    answer = registered(rig, software_statement=signed, client_name="Mine", **{"client_name#ko": "내 것"})
    assert answer["client_name"] == "Signed"
    assert "client_name#ko" not in answer
    assert answer["software_id"] == "s1"
    assert answer["software_statement"] == signed


def test_a_software_statement_is_no_invitation(rig: Rig) -> None:
    signed = statement(KEY, iss=DIRECTORY)
    as_json(register(rig, None, software_statement=signed), 401, "invalid_token")


def test_the_metadata_of_a_software_statement_is_checked_like_any(rig: Rig) -> None:
    signed = statement(KEY, iss=DIRECTORY, redirect_uris=["http://portal.example/cb"])
    refused(rig, "invalid_redirect_uri", software_statement=signed)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1_000_000_000},
        {"nbf": 9_000_000_000},
        {"iat": 9_000_000_000},
        {"exp": "soon"},
        {"aud": "https://other.example"},
        {"aud": ["https://other.example"]},
    ],
)
def test_a_software_statement_for_another_time_or_place_is_invalid(rig: Rig, claims: dict[str, Any]) -> None:
    refused(rig, "invalid_software_statement", software_statement=statement(KEY, iss=DIRECTORY, **claims))


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "e30.e30.", "e30.e30.e30.e30.e30"])
def test_what_is_no_software_statement_is_invalid(rig: Rig, text: str) -> None:
    error = "unapproved_software_statement" if text == "e30.e30." else "invalid_software_statement"
    refused(rig, error, said="software_statement", software_statement=text)


def test_a_software_statement_signed_by_somebody_else_is_invalid(rig: Rig) -> None:
    other = ECKey.generate_key("P-256")
    refused(rig, "invalid_software_statement", software_statement=statement(other, iss=DIRECTORY))


def test_a_software_statement_that_is_not_signed_is_invalid(rig: Rig) -> None:
    head, body, _ = statement(KEY, iss=DIRECTORY).split(".")
    unsigned = "eyJhbGciOiJub25lIn0." + body + "."
    refused(rig, "invalid_software_statement", software_statement=unsigned)
    refused(rig, "invalid_software_statement", software_statement=f"{head}.{body}.")


def test_a_software_statement_of_a_stranger_is_not_approved(rig: Rig) -> None:
    for claims in ({"iss": "https://stranger.example"}, {}, {"iss": 7}):
        refused(rig, "unapproved_software_statement", software_statement=statement(KEY, **claims))


# -- managing --------------------------------------------------------------------------------------------------


def test_a_portal_reads_its_registration_but_not_its_secret(rig: Rig) -> None:
    answer = registered(rig, policy_uri="https://portal.example/privacy")
    read = manage(rig, answer)
    assert read.status_code == 200
    assert read.headers["Cache-Control"] == "no-store"
    left_out = {"client_secret", "client_secret_expires_at", "client_id_issued_at"}
    assert read.json() == {name: value for name, value in answer.items() if name not in left_out}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_a_portals_own_token_manages_it(rig: Rig, method: str) -> None:
    answer, other = registered(rig), registered(rig)
    for token in (None, "wrong", other["registration_access_token"], answer["client_secret"], invited(rig)):
        response = manage(rig, answer, method, token=token, json=updated(answer))
        as_json(response, 401, "invalid_token")
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert manage(rig, answer).status_code == 200


@pytest.mark.parametrize("client_id", ["gov24", "nobody", "%00", "x" * 300])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_who_did_not_register_here_is_not_managed_here(rig: Rig, method: str, client_id: str) -> None:
    response = rig.http.request(
        method, f"{rig.issuer}/register/{client_id}", headers=bearer("x"), json=metadata(client_id=client_id)
    )
    as_json(response, 401, "invalid_token")
    assert rig.portal("gov24").begin().location.startswith("/login/")


def test_an_update_replaces_the_registration_and_the_token(rig: Rig) -> None:
    answer = registered(rig, policy_uri="https://portal.example/privacy", scope="openid profile")
    change = updated(answer, policy_uri=None, tos_uri="https://portal.example/terms", client_name="New")
    last = rig.last_event()
    response = manage(rig, answer, "PUT", json=change)
    assert response.status_code == 200, response.text
    made = response.json()
    assert made["client_name"] == "New"
    assert made["tos_uri"] == "https://portal.example/terms"
    assert "policy_uri" not in made
    assert made["client_id"] == answer["client_id"]
    assert [event.name for event in rig.events(after=last)] == ["portal.updated"]
    as_json(manage(rig, answer), 401, "invalid_token")
    assert manage(rig, made).json()["client_name"] == "New"


def test_a_secret_stays_through_an_update(rig: Rig) -> None:
    answer = registered(rig)
    made = manage(rig, answer, "PUT", json=updated(answer, client_name="New")).json()
    assert "client_secret" not in made
    assert Registered(rig, answer).sign_in()["id_token"]


def test_a_portal_that_comes_to_need_a_secret_gets_one(rig: Rig) -> None:
    answer = registered(rig, token_endpoint_auth_method="none")
    change = updated(answer, token_endpoint_auth_method="client_secret_post")
    made = manage(rig, answer, "PUT", json=change).json()
    assert made["client_secret_expires_at"] == 0
    assert Registered(rig, made).sign_in()["id_token"]


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"client_id": "gov24"}, BAD),
        ({"client_id": None}, BAD),
        ({"client_secret": "wrong"}, BAD),
        ({"client_secret": 7}, BAD),
        ({"registration_access_token": "x"}, BAD),
        ({"registration_client_uri": "x"}, BAD),
        ({"client_secret_expires_at": 0}, BAD),
        ({"client_id_issued_at": 0}, BAD),
        ({"redirect_uris": ["http://portal.example/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://elsewhere.example/cb"]}, BAD),
        ({"scope": "openid kr_passport"}, BAD),
    ],
)  # fmt: skip
def test_an_update_that_is_refused_changes_nothing(rig: Rig, members: dict[str, Any], error: str) -> None:
    answer = registered(rig)
    as_json(manage(rig, answer, "PUT", json=updated(answer, **members)), 400, error)
    read = manage(rig, answer)
    assert read.status_code == 200
    assert read.json()["redirect_uris"] == answer["redirect_uris"]


def test_a_fapi2_portal_stays_one(rig: Rig) -> None:
    answer = registered(rig, profile="fapi2", jwks={"keys": [public(KEY)]})
    weaker = updated(answer, profile="standard", dpop_bound_access_tokens=False)
    as_json(manage(rig, answer, "PUT", json=weaker), 400, BAD)
    unsaid = manage(rig, answer, "PUT", json=updated(answer, profile=None))
    assert unsaid.json()["profile"] == "fapi2"


def test_what_an_operator_set_survives_an_update(rig: Rig) -> None:
    answer = registered(rig)
    act = {"ko": "여권법", "en": "Passport Act"}
    statute = {"name": "kr_passport", "purpose": act, "required": True, "basis": "statute", "statute": act}
    with rig.app.app_context():
        row = db.session.get_one(PortalRow, answer["client_id"])
        row.registration = {
            **row.registration, "required_acr": "secure", "scopes": ["openid", "kr_passport"], "claims": [statute]
        }  # fmt: skip
        db.session.commit()
    asked = updated(answer, scope="openid kr_passport", requested_claims=[])
    assert manage(rig, answer, "PUT", json=asked).status_code == 200
    with rig.app.app_context():
        stored = db.session.get_one(PortalRow, answer["client_id"]).registration
    assert (stored["required_acr"], stored["scopes"]) == ("secure", ["openid", "kr_passport"])
    assert stored["claims"] == [{**statute, "retention": None}]


def test_of_two_updates_with_one_token_one_wins(rig: Rig) -> None:
    answer = registered(rig)
    together = threading.Barrier(6)

    def attempt(number: int) -> int:
        together.wait()
        return manage(rig, answer, "PUT", json=updated(answer, client_name=f"Name {number}")).status_code

    with ThreadPoolExecutor(6) as crowd:
        assert sorted(crowd.map(attempt, range(6))) == [200, *[401] * 5]


def test_a_new_logo_has_a_new_address_and_none_is_gone(rig: Rig, documents: Site) -> None:
    first = documents.publish("/one.png", png())
    answer = registered(rig, logo_uri=first)
    second = documents.publish("/two.png", png(4, 4))
    changed = manage(rig, answer, "PUT", json=updated(answer, logo_uri=second)).json()
    assert len(rig.http.get(f"{rig.issuer}/portals/{answer['client_id']}/logo.png").content) > 0
    same = manage(rig, changed, "PUT", json=updated(changed, client_name="New")).json()
    assert documents.asked == ["/one.png", "/two.png"]
    manage(rig, same, "PUT", json=updated(same, logo_uri=None))
    assert rig.http.get(f"{rig.issuer}/portals/{answer['client_id']}/logo.png").status_code == 404


def test_a_removed_portal_is_gone_with_what_rested_on_it(rig: Rig, documents: Site) -> None:
    answer = registered(rig, logo_uri=documents.publish("/logo.png", png()))
    portal = Registered(rig, answer)
    access_token = portal.sign_in()["access_token"]
    last = rig.last_event()
    response = manage(rig, answer, "DELETE")
    assert (response.status_code, response.content) == (204, b"")
    assert [(event.name, event.client_id) for event in rig.events(after=last)] == [
        ("portal.removed", answer["client_id"])
    ]
    assert portal.userinfo(access_token).status_code == 401
    assert portal.begin().response.status_code == 400
    as_json(manage(rig, answer), 401, "invalid_token")
    with rig.app.app_context():
        assert db.session.get(PortalRow, answer["client_id"]) is None
        assert db.session.get(PortalLogo, answer["client_id"]) is None
        for table, ended in ((Grant, Grant.revoked_at), (Consent, Consent.withdrawn_at)):
            mine = db.session.query(table).filter_by(client_id=answer["client_id"])
            assert mine.count() > 0
            assert mine.filter(ended.is_(None)).count() == 0


def test_a_portal_that_is_switched_off_manages_nothing(rig: Rig) -> None:
    answer = registered(rig)
    with rig.app.app_context():
        registration.switch(answer["client_id"], enabled=False, now=rig.clock())
    for method in ("GET", "PUT", "DELETE"):
        as_json(manage(rig, answer, method, json=updated(answer)), 403, "access_denied")
    with rig.app.app_context():
        registration.switch(answer["client_id"], enabled=True, now=rig.clock())
    assert manage(rig, answer).status_code == 200


def test_an_algorithm_that_nobody_asked_for_before_has_its_key_at_once(rig: Rig) -> None:
    def published() -> set[str]:
        return {key["alg"] for key in rig.http.get(f"{rig.issuer}/jwks").json()["keys"]}

    assert "PS256" not in published()
    answer = registered(rig)
    changed = manage(rig, answer, "PUT", json=updated(answer, id_token_signed_response_alg="PS256"))
    assert changed.status_code == 200, changed.text
    assert "PS256" in published()


# -- another deployment ----------------------------------------------------------------------------------------


def test_an_open_deployment_asks_for_no_invitation_but_takes_no_bad_one(tmp_path: Path) -> None:
    settings = {
        "registration.open": True,
        "registration.require_pkce": False,
        "registration.per_minute_per_ip": 3,
    }
    with started(tmp_path, settings) as rig:
        answer = register(rig, None)
        assert answer.status_code == 201
        assert answer.json()["require_pkce"] is False
        assert answer.json()["scope"] == "openid profile"
        assert rig.events()[-1].detail == {"profile": "standard", "invitation": "open"}
        as_json(register(rig, "wrong"), 401, "invalid_token")
        as_json(register(rig, None, redirect_uris=["http://portal.example/cb"]), 400, "invalid_redirect_uri")
        as_json(register(rig, None), 429, "invalid_request")
