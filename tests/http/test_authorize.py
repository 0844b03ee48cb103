"""Bad authorization requests: a page until the redirect URI is proven, a redirect with `state` and `iss` after."""

from pathlib import Path
from typing import Any

import pytest

from tests.harmless import EVIL, as_json, decent, harmless, page, to_portal
from tests.rig import Begun, Portal, Rig, callback_parameters, started

DEEP = "[" * 7_000 + "]" * 7_000


@pytest.fixture
def gov24(rig: Rig) -> Portal:
    return rig.portal("gov24")


def refused(portal: Portal, begun: Begun, error: str, state: str | None = "") -> dict[str, str]:
    """The error went to the registered URI, with the request's own state where none is named."""
    expected = begun.state if state == "" else state
    return to_portal(begun.response, portal.redirect_uri, error, expected, portal.rig.issuer)


# -- a page, never a redirect ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "client_id",
    [None, "", "nobody", "GOV24", "gov24 ", "gov24\0", "g" * 300, "ｇov24", EVIL, "gov24%"],
)
def test_an_unknown_client_gets_a_page(rig: Rig, gov24: Portal, client_id: str | None) -> None:
    with harmless(rig, ("request.refused", "unknown_portal")):
        page(gov24.begin(client_id=client_id).response, 400, "SINWON-R002")


def test_a_client_that_was_switched_off_is_unknown(rig: Rig, gov24: Portal) -> None:
    rig.switch_portal("gov24", enabled=False)
    try:
        with harmless(rig, ("request.refused", "unknown_portal")):
            page(gov24.begin().response, 400, "SINWON-R002")
    finally:
        rig.switch_portal("gov24", enabled=True)


@pytest.mark.parametrize("query", ["&client_id=gov24", "&client_id=g4k", "&client_id="])
def test_a_repeated_client_id_gets_a_page(rig: Rig, gov24: Portal, query: str) -> None:
    with harmless(rig, ("request.refused", "bad_request")):
        page(gov24.begin(query=query).response, 400)


@pytest.mark.parametrize("name", ["client_id[]", "Client_ID", "client_id\0"])
def test_a_client_id_by_another_name_is_none(rig: Rig, gov24: Portal, name: str) -> None:
    with harmless(rig, ("request.refused", "unknown_portal")):
        page(gov24.begin(client_id=None, **{name: "gov24"}).response, 400)


def wrong_uris(uri: str) -> dict[str, str]:
    """Altered forms of a registered `http://127.0.0.1:<port>/gov24/callback`."""
    origin, path = uri[: uri.index("/gov24")], "/gov24/callback"
    port = origin.rpartition(":")[2]
    return {
        "other_path": f"{origin}/evil",
        "appended": f"{uri}/x",
        "shortened": f"{origin}/",
        "sibling": f"{uri}2",
        "dot_dot": f"{uri}/../x",
        "dot_dot_semicolon": f"{uri}/..;/x",
        "encoded_dots": f"{uri}/%2e%2e/x",
        "double_slash": f"{uri}//",
        "fragment": f"{uri}#",
        "fragment_value": f"{uri}#x",
        "query_added": f"{uri}?a=b",
        "user": f"http://rp@127.0.0.1:{port}{path}",
        "user_host": f"http://127.0.0.1:{port}@evil.example{path}",
        "user_port_host": f"http://127.0.0.1:80@evil.example{path}",
        "two_users": f"http://a@b@127.0.0.1:{port}{path}",
        "suffix": f"http://127.0.0.1.evil.example:{port}{path}",
        "prefix": f"http://evil127.0.0.1:{port}{path}",
        "localhost": f"http://localhost:{port}{path}",
        "trailing_dot": f"http://127.0.0.1.:{port}{path}",
        "decimal": f"http://2130706433:{port}{path}",
        "upper_scheme": f"HTTP://127.0.0.1:{port}{path}",
        "https": f"https://127.0.0.1:{port}{path}",
        "upper_path": f"{origin}/GOV24/callback",
        "javascript": "javascript:alert(1)",
        "JaVaScRiPt": "JaVaScRiPt:alert(1)//127.0.0.1",
        "data": "data:text/html,<script>alert(1)</script>",
        "vbscript": "vbscript:x",
        "file": "file:///etc/passwd",
        "relative": "//evil.example/cb",
        "backslash": f"http://127.0.0.1:{port}\\@evil.example{path}",
        "tab": f"http://127.0.0.1:{port}\t{path}",
        "newline": f"{uri}\r\nX: y",
        "nul": f"{uri}\0",
        "space": f" {uri}",
        "bad_port": f"http://127.0.0.1:99999{path}",
        "port_of_words": f"http://127.0.0.1:evil{path}",
        "two_ports": f"http://127.0.0.1:1:{port}{path}",
        "bracket": f"http://[::1{path}",
        "eight_kilobytes": f"{uri}?{'a' * 8192}",
        "markup": f"{uri}{EVIL}",
        "empty": "",
    }


@pytest.mark.parametrize("kind", sorted(wrong_uris("http://127.0.0.1:1/gov24/callback")))
def test_an_altered_redirect_uri_gets_a_page(rig: Rig, gov24: Portal, kind: str) -> None:
    wrong = wrong_uris(gov24.redirect_uri)[kind]
    with harmless(rig, ("request.refused", "bad_request")):
        page(gov24.begin(redirect_uri=wrong).response, 400, "SINWON-R001")


def test_a_missing_redirect_uri_gets_a_page_with_one_and_with_two_registered(rig: Rig) -> None:
    gov24, apostille = rig.portal("gov24"), rig.portal("apostille")
    rig.apply_portal("apostille", redirect_uris=[apostille.redirect_uri, f"{apostille.redirect_uri}/2"])
    with harmless(rig, *[("request.refused", "bad_request")] * 2):
        for portal in (gov24, apostille):
            page(portal.begin(redirect_uri=None).response, 400)
    rig.apply_portal("apostille")


def test_another_clients_redirect_uri_gets_a_page(rig: Rig, gov24: Portal) -> None:
    with harmless(rig, ("request.refused", "bad_request")):
        page(gov24.begin(redirect_uri=rig.portal("g4k").redirect_uri).response, 400)


def test_a_repeated_redirect_uri_gets_a_page(rig: Rig, gov24: Portal) -> None:
    with harmless(rig, ("request.refused", "bad_request")):
        page(gov24.begin(query=f"&redirect_uri={gov24.redirect_uri}").response, 400)


@pytest.mark.parametrize(
    "changes",
    [
        {"response_type": "token"},
        {"response_type": "id_token", "scope": "profile"},
        {"response_type": "code id_token", "scope": None},
        {"response_mode": "form_post"},
        {"response_mode": "form_post.jwt"},
        {"prompt": "none"},
        {"request": "e30.e30."},
        {"state": "x" * 10_000},
    ],
    ids="-".join,
)
def test_whatever_else_is_wrong_nobody_is_sent_to_an_unregistered_uri(
    rig: Rig, gov24: Portal, changes: dict[str, Any]
) -> None:
    with harmless(rig, ("request.refused", "bad_request")):
        page(gov24.begin(redirect_uri="https://evil.example/cb", **changes).response, 400)


def test_the_host_of_a_loopback_uri_is_fixed_and_its_port_is_not(rig: Rig, gov24: Portal) -> None:
    moved = "http://127.0.0.1:1" + gov24.redirect_uri[gov24.redirect_uri.index("/gov24") :]
    begun = gov24.begin(redirect_uri=moved)
    assert begun.response.status_code == 303
    assert begun.location.startswith("/login/")


# -- a redirect with the error -----------------------------------------------------------------------------------

TOO_DEEP = '{"userinfo":' + '{"a":' * 2_000 + "1" + "}" * 2_000 + "}"

REDIRECTED = {
    "response_type_missing": ({"response_type": None}, "invalid_request"),
    **{
        f"response_type_{kind.replace(' ', '_')}": ({"response_type": kind}, "unsupported_response_type")
        for kind in (
            "token", "id_token", "code token", "id_token token", "none", "vp_token", "code code", "CODE", "code "
        )
    },
    "fragment": ({"response_mode": "fragment"}, "invalid_request"),
    "no_scope": ({"scope": None}, "invalid_scope"),
    "no_openid": ({"scope": "profile"}, "invalid_scope"),
    "scope_not_registered": ({"scope": "openid kr_passport"}, "invalid_scope"),
    "scope_quotes": ({"scope": 'openid "x"'}, "invalid_scope"),
    "scope_backslash": ({"scope": "openid a\\b"}, "invalid_scope"),
    "scope_nul": ({"scope": "openid a\0b"}, "invalid_scope"),
    "scope_hangul": ({"scope": "openid 이름"}, "invalid_scope"),
    "scope_tab": ({"scope": "openid\tprofile"}, "invalid_scope"),
    "scope_10000": ({"scope": "openid " + "a " * 10_000}, "invalid_scope"),
    "nonce_too_long": ({"nonce": "n" * 10_000}, "invalid_request"),
    "prompt_unknown": ({"prompt": "hijack"}, "invalid_request"),
    "prompt_none_and_login": ({"prompt": "none login"}, "invalid_request"),
    "prompt_case": ({"prompt": "None"}, "invalid_request"),
    **{
        f"max_age_{index}": ({"max_age": value}, "invalid_request")
        for index, value in enumerate(["-1", "1.5", "1e3", "abc", "٣", "9" * 12, " 1", "1\n"])
    },
    "request": ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
    "request_without_alg": ({"request": "e30.e30."}, "invalid_request_object"),
    "request_uri": ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
    "authorization_details": ({"authorization_details": "[]"}, "invalid_authorization_details"),
    "registration": ({"registration": "{}"}, "registration_not_supported"),
    **{
        f"claims_{name}": ({"claims": text}, "invalid_request")
        for name, text in {
            "no_json": "{",
            "array": "[]",
            "string": '"x"',
            "number": "1",
            "null": "null",
            "place_is_a_list": '{"userinfo":[]}',
            "member_is_a_string": '{"userinfo":{"name":"x"}}',
            "member_is_true": '{"id_token":{"name":true}}',
            "deep": TOO_DEEP,
            "deep_list": DEEP,
            "long_number": '{"userinfo":{"name":{"value":' + "9" * 8_000 + "}}}",
            "nan": '{"userinfo":{"name":{"value":NaN}}}',
            "infinity": '{"userinfo":{"name":{"value":1e999}}}',
            "twice": '{"userinfo":{},"userinfo":{}}',
            "surrogate": '{"userinfo":{"name":{"value":"\\ud800"}}}',
            "sub_is_no_string": '{"id_token":{"sub":{"value":1}}}',
            "acr_is_no_string": '{"id_token":{"acr":{"values":[1]}}}',
            "acr_is_a_number": '{"id_token":{"acr":{"values":7,"essential":true}}}',
            "verified_is_empty": '{"userinfo":{"verified_claims":{}}}',
            "verified_without_claims": '{"userinfo":{"verified_claims":{"verification":{},"claims":{}}}}',
            "verified_is_a_string": '{"userinfo":{"verified_claims":"x"}}',
            "verified_list": '{"userinfo":{"verified_claims":[]}}',
            "verified_claims_is_null": '{"userinfo":{"verified_claims":{"verification":null,"claims":{"name":null}}}}',
            "markup": EVIL,
        }.items()
    },
    "hint_no_token": ({"id_token_hint": "x"}, "invalid_request"),
    "hint_none": ({"id_token_hint": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."}, "invalid_request"),
    "hint_too_long": ({"id_token_hint": "a.b." + "c" * 20_000}, "invalid_request"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REDIRECTED)
def test_an_error_of_the_request_is_told_to_the_portal(rig: Rig, gov24: Portal, kind: str) -> None:
    changes, error = REDIRECTED[kind]
    with harmless(rig, ("login.refused", error)):
        begun = gov24.begin(method="POST", **changes)
        refused(gov24, begun, error)


@pytest.mark.parametrize(
    "query",
    [
        "&scope=openid",
        "&nonce=a",
        "&response_type=code",
        "&code_challenge=a",
        "&code_challenge_method=S256",
        "&prompt=login&prompt=login",
        "&max_age=1&max_age=1",
        "&extra=1&extra=2",
        "&claims=%7B%7D&claims=%7B%7D",
    ],
)
def test_a_parameter_given_twice_is_refused(rig: Rig, gov24: Portal, query: str) -> None:
    with harmless(rig, ("login.refused", "invalid_request")):
        refused(gov24, gov24.begin(query=query), "invalid_request")


def test_a_state_given_twice_is_not_repeated(rig: Rig, gov24: Portal) -> None:
    with harmless(rig, ("login.refused", "invalid_request")):
        refused(gov24, gov24.begin(query="&state=other"), "invalid_request", state=None)


def test_a_state_that_is_too_long_is_not_repeated(rig: Rig, gov24: Portal) -> None:
    with harmless(rig, ("login.refused", "invalid_request")):
        refused(gov24, gov24.begin(state="s" * 8192), "invalid_request", state=None)


@pytest.mark.parametrize("name", ["nonce", "scope", "state", "code_challenge"])
def test_a_parameter_in_the_query_and_in_the_body_counts_twice(rig: Rig, gov24: Portal, name: str) -> None:
    with harmless(rig, ("login.refused", "invalid_request")):
        begun = gov24.begin(method="POST", query=f"?{name}=again")
        refused(gov24, begun, "invalid_request", state=None if name == "state" else "")


def test_a_client_in_the_query_and_in_the_body_gets_a_page(rig: Rig, gov24: Portal) -> None:
    with harmless(rig, ("request.refused", "bad_request")):
        page(gov24.begin(method="POST", query="?client_id=gov24").response, 400)


def test_state_comes_back_as_it_was_sent(rig: Rig, gov24: Portal) -> None:
    for state in (EVIL, "한글 & 띄어쓰기", '{"a": "b c%20"}', "a+b%2B", "s" * 4096, "\u202e\x7f"):
        begun = gov24.begin(state=state, response_type="token")
        assert refused(gov24, begun, "unsupported_response_type")["state"] == state


def test_a_reference_that_was_never_given_out_gets_a_page(rig: Rig, gov24: Portal) -> None:
    with harmless(rig, ("request.refused", "request_expired")):
        page(gov24.begin(request_uri="urn:ietf:params:oauth:request_uri:x").response, 400, "SINWON-R005")


# -- what is no error --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": "foobar"},
        {"prompt": "", "max_age": "", "claims": "", "acr_values": "", "request": "", "response_mode": ""},
        {"nonce": None},
        {"state": None},
        {"nonce": "n" * 64},
        {"nonce": "n" * 384},
        {"scope": "kr_overseas  profile openid openid "},
        {"scope": "openid some_scope_nobody_knows"},
        {"display": "popup", "login_hint": "a@example.org", "claims_locales": "ko"},
        {"ui_locales": "ko-KR en ../../etc xx-INVALID " + "x" * 10_000},
        {"acr_values": "urn:unknown"},
        {"claims": '{"userinfo":{"unknown":null,"name":{"essential":true}},"other":1}'},
        {"response_mode": "query"},
    ],
    ids="-".join,
)
def test_what_the_specification_allows_begins_a_sign_in(
    rig: Rig, gov24: Portal, changes: dict[str, Any]
) -> None:
    with harmless(rig, ("login.started", None), login=True):
        begun = gov24.begin(method="POST", **changes)
        assert decent(begun.response).status_code == 303
        assert begun.location.startswith("/login/")


# -- methods and bodies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "HEAD"])
def test_another_method_is_refused_and_told_which_are_there(rig: Rig, gov24: Portal, method: str) -> None:
    parameters, _ = gov24.parameters()
    with harmless(rig):
        response = gov24.browser.request(method, f"{rig.issuer}/authorize", params=parameters)
        decent(response)
    assert response.status_code == 405
    assert {"GET", "POST"} <= set(response.headers["Allow"].replace(" ", "").split(","))


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""]
)
def test_a_body_that_is_no_form_is_refused(rig: Rig, gov24: Portal, content_type: str) -> None:
    with harmless(rig, ("request.refused", "bad_request")):
        headers = {"Content-Type": content_type} if content_type else {}
        page(gov24.browser.post(f"{rig.issuer}/authorize", content=b"{}", headers=headers), 400)


def test_a_body_over_the_limit_is_not_read(rig: Rig, gov24: Portal) -> None:
    limit = rig.house.settings.server.max_form_bytes
    with harmless(rig):
        page(gov24.begin(method="POST", extra="x" * limit).response, 413, "SINWON-S006")


def test_too_many_requests_of_one_address_are_slowed_down(tmp_path: Path) -> None:
    with started(tmp_path, {"holder.logins_per_minute_per_ip": 3}) as rig:
        portal = rig.portal()
        assert [portal.begin().response.status_code for _ in range(3)] == [303] * 3
        with harmless(rig):
            page(portal.begin().response, 429, "SINWON-S001")
        rig.clock.forward(61)
        assert portal.begin().response.status_code == 303


@pytest.mark.parametrize(
    "path",
    ["/authorize//resume", "/authorize/", "/AUTHORIZE", "/authorize;x", "/authorize%2fresume", "/nowhere"],
)
def test_a_path_has_one_spelling(rig: Rig, gov24: Portal, path: str) -> None:
    with harmless(rig):
        page(gov24.browser.get(f"{rig.issuer}{path}"), 404)


def test_every_answer_names_the_issuer_and_redirects_after_a_form_with_303(rig: Rig, gov24: Portal) -> None:
    begun = gov24.begin(method="POST")
    callback = callback_parameters(gov24.agree(gov24.to_consent(begun)))
    assert callback["iss"] == rig.issuer
    assert callback["state"] == begun.state
    assert set(callback) == {"code", "state", "iss"}


def test_an_error_of_a_machines_door_is_json(rig: Rig) -> None:
    with harmless(rig):
        as_json(rig.http.request("PUT", f"{rig.issuer}/token"), 405, "invalid_request")
