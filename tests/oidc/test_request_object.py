"""Request objects: what is believed of a JWT that a portal signed, and which refusal everything else has."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from idp.errors import AuthorizationError
from idp.oidc.portal_keys import PortalKeys
from idp.oidc.request_object import MAX_CHARS, RequestObjects, merge
from idp.portals import Registration
from idp.seal import b64, unb64
from tests.oidc.portal_side import (
    CLIENT_ID,
    MovingClock,
    PortalSite,
    ec_key,
    ed_key,
    known_keys,
    no_fetch,
    registration,
    rsa_key,
    signed,
)

ISSUER = "https://id.example"
NOW = MovingClock().now
EC, RSA, ED = ec_key(), rsa_key(), ed_key()
KEYS: dict[str, ECKey | RSAKey | OKPKey] = {"ES256": EC, "PS256": RSA, "RS256": RSA, "EdDSA": ED}
PROFILES = ("standard", "fapi2")


def portal(profile: str = "standard", **changes: Any) -> Registration:
    return registration(EC, RSA, ED, profile=profile, **changes)


def claims(**changes: Any) -> dict[str, Any]:
    """A request object's claims that both profiles accept; None takes one away."""
    whole = {
        "iss": CLIENT_ID,
        "aud": ISSUER,
        "exp": NOW + 300,
        "nbf": NOW,
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": "https://portal.example/back",
        "scope": "openid",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def drawer(clock: MovingClock | None = None) -> RequestObjects:
    clock = clock or MovingClock()
    return RequestObjects(ISSUER, known_keys(clock), clock, no_fetch, by_reference=False)


def read(text: str, profile: str = "standard", **changes: Any) -> dict[str, list[str]]:
    return drawer().read(text, portal(profile, **changes), client_id=CLIENT_ID)


def refused(text: str, profile: str = "standard", **changes: Any) -> AuthorizationError:
    with pytest.raises(AuthorizationError) as refusal:
        read(text, profile, **changes)
    assert refusal.value.description.isascii()
    assert refusal.value.reply_to is None
    return refusal.value


def assert_invalid(text: str, profile: str = "standard", about: str = "", **changes: Any) -> None:
    error = refused(text, profile, **changes)
    assert error.error == "invalid_request_object"
    assert about in error.description


def by(alg: str, **changes: Any) -> str:
    return signed(claims(**changes), KEYS[alg], alg)


# Who signed, with what


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("alg", ["ES256", "PS256", "EdDSA"])
def test_a_signed_object_gives_its_parameters_and_nothing_about_the_jwt(alg: str, profile: str) -> None:
    text = by(alg, state="s", jti="1", iat=NOW, sub="somebody else")
    assert read(text, profile) == {
        "client_id": [CLIENT_ID],
        "response_type": ["code"],
        "redirect_uri": ["https://portal.example/back"],
        "scope": ["openid"],
        "state": ["s"],
    }


def test_rs256_is_for_standard_portals_alone() -> None:
    assert read(by("RS256"))["scope"] == ["openid"]
    assert_invalid(by("RS256"), "fapi2", "alg")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_registered_algorithm_is_the_only_one(profile: str) -> None:
    assert read(by("PS256"), profile, request_object_signing_alg="PS256")
    assert_invalid(by("ES256"), profile, "alg", request_object_signing_alg="PS256")


def test_rs256_stays_out_of_fapi2_even_where_it_was_registered() -> None:
    assert_invalid(by("RS256"), "fapi2", "alg", request_object_signing_alg="RS256")


def unsigned(**changes: Any) -> str:
    return f"{b64(json.dumps({'alg': 'none'}).encode())}.{b64(json.dumps(claims(**changes)).encode())}."


@pytest.mark.parametrize("registered", [None, "none", "RS256"])
def test_an_unsigned_object_is_told_to_be_unsupported(registered: str | None) -> None:
    assert refused(unsigned(), request_object_signing_alg=registered).error == "request_not_supported"
    with pytest.raises(AuthorizationError) as refusal:
        drawer().read(unsigned(), portal(), client_id=CLIENT_ID, referred=True)
    assert refusal.value.error == "request_uri_not_supported"


def test_an_unsigned_object_of_a_fapi2_portal_is_invalid() -> None:
    assert_invalid(unsigned(), "fapi2", "alg")


@pytest.mark.parametrize("alg", ["NONE", "nOnE", "HS256", "ES384", "", 7, None, ["ES256"]])
def test_another_algorithm_in_the_header_is_refused(alg: Any) -> None:
    head, rest = by("ES256").split(".", 1)
    header = {**json.loads(unb64(head)), "alg": alg}
    assert_invalid(f"{b64(json.dumps(header).encode())}.{rest}", about="alg")


def test_a_public_key_does_not_serve_as_a_shared_secret() -> None:
    secret = OctKey.import_key(EC.as_pem(private=False).hex())
    text = signed(claims(), secret, "HS256", kid="ec")  # type: ignore[arg-type]
    assert_invalid(text, about="alg")


@pytest.mark.parametrize("profile", PROFILES)
def test_another_portals_key_does_not_sign(profile: str) -> None:
    assert_invalid(signed(claims(), ec_key("ec"), "ES256"), profile, "signature")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_changed_payload_or_signature_is_refused(profile: str) -> None:
    head, _, signature = by("ES256").split(".")
    other = b64(json.dumps(claims(state="changed")).encode())
    assert_invalid(f"{head}.{other}.{signature}", profile, "signature")
    changed = bytearray(unb64(signature))
    changed[0] ^= 1
    assert_invalid(f"{head}.{by('ES256').split('.')[1]}.{b64(bytes(changed))}", profile, "signature")


def test_keys_in_the_header_are_not_looked_at() -> None:
    mine = ec_key("mine")
    text = signed(claims(), mine, "ES256", jwk=mine.as_dict(private=False))
    assert_invalid(text, about="signature")


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"], "exp": NOW}, {"crit": []}, {"b64": True}, {"kid": 7}, {"kid": ["ec"]}]
)
def test_a_header_that_says_what_we_do_not_understand_is_refused(header: dict[str, Any]) -> None:
    head, payload, signature = by("ES256").split(".")
    changed = {**json.loads(unb64(head)), **header}
    assert_invalid(f"{b64(json.dumps(changed).encode())}.{payload}.{signature}", about="header")


@pytest.mark.parametrize(
    "typ",
    [None, "JWT", "jwt", "oauth-authz-req+jwt", "application/oauth-authz-req+jwt", "OAuth-Authz-Req+JWT"],
)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_request_object_may_say_that_it_is_one(typ: str | None, profile: str) -> None:
    assert read(signed(claims(), EC, "ES256", typ=typ), profile)


@pytest.mark.parametrize("typ", ["dpop+jwt", "client-authentication+jwt", "at+jwt", "logout+jwt", "", 7])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_jwt_of_another_type_is_none(typ: Any, profile: str) -> None:
    head, payload, _ = by("ES256").split(".")
    changed = {**json.loads(unb64(head)), "typ": typ}
    if typ == 7:  # no library signs that; what it would sign is made by hand
        assert_invalid(f"{b64(json.dumps(changed).encode())}.{payload}.AA", profile)
        return
    assert_invalid(signed(claims(), EC, "ES256", typ=typ), profile, "typ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a.b",
        "a.b.c.d",
        "....",
        "e30.e30.",
        by("ES256") + "=",
        by("ES256").replace(".", "=.", 1),
        " " + by("ES256"),
        by("ES256") + "\n",
        "신.원.은",
        "\ud800.e30.e30",
        b64(b"[]") + ".e30.AA",
        b64(b'{"alg":"ES256","alg":"none"}') + ".e30.AA",
        signed(claims(state="s" * MAX_CHARS), EC, "ES256"),
        signed(claims(), EC, "ES256", padding="p" * 8000),
    ],
)
def test_what_is_no_signed_jwt_is_invalid(text: str) -> None:
    assert_invalid(text)


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"\xff", b'{"iss":"a","iss":"b"}', b'{"a":NaN}'])
def test_a_signed_payload_that_is_no_strict_json_object_is_invalid(payload: bytes) -> None:
    assert_invalid(signed(payload, EC, "ES256"), about="signs no JSON object")


def test_an_encrypted_object_is_told_to_be_unsupported() -> None:
    text = jwe.encrypt_compact(
        {"alg": "ECDH-ES", "enc": "A256GCM"}, by("ES256"), EC, algorithms=["ECDH-ES", "A256GCM"]
    )
    assert_invalid(text, about="encrypted")


def test_a_portal_without_keys_has_no_request_objects() -> None:
    with pytest.raises(AuthorizationError) as refusal:
        drawer().read(by("ES256"), registration(), client_id=CLIENT_ID)
    assert refusal.value.error == "invalid_request_object"


# Who made it, for whom


@pytest.mark.parametrize("aud", [ISSUER, [ISSUER], [ISSUER, "https://other.example", "invalid"]])
@pytest.mark.parametrize("profile", PROFILES)
def test_the_audience_names_us_alone_or_among_others(aud: Any, profile: str) -> None:
    assert read(by("ES256", aud=aud), profile)


@pytest.mark.parametrize(
    "aud", [None, "", f"{ISSUER}/", f"{ISSUER}/authorize", ISSUER[:-1], [], ["https://other.example"], {}, 7]
)
@pytest.mark.parametrize("profile", PROFILES)
def test_an_object_for_somebody_else_is_refused(aud: Any, profile: str) -> None:
    assert_invalid(by("ES256", aud=aud), profile, "aud")


@pytest.mark.parametrize("iss", [None, "", "another", [CLIENT_ID], ISSUER])
@pytest.mark.parametrize("profile", PROFILES)
def test_the_portal_itself_must_have_made_it(iss: Any, profile: str) -> None:
    assert_invalid(by("ES256", iss=iss), profile, "iss")


@pytest.mark.parametrize("client_id", ["another", "", [CLIENT_ID], 7])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_client_id_inside_must_be_the_portals(client_id: Any, profile: str) -> None:
    assert_invalid(by("ES256", client_id=client_id), profile, "client_id")


def test_a_client_id_inside_may_be_missing_for_standard_portals_alone() -> None:
    assert "client_id" not in read(by("ES256", client_id=None))
    assert_invalid(by("ES256", client_id=None), "fapi2", "client_id")


def test_the_client_id_outside_must_be_the_portals() -> None:
    with pytest.raises(AuthorizationError) as refusal:
        drawer().read(by("ES256"), portal(), client_id="another")
    assert refusal.value.error == "invalid_request_object"


@pytest.mark.parametrize("profile", PROFILES)
def test_an_object_that_could_be_a_client_assertion_is_refused(profile: str) -> None:
    assert_invalid(by("ES256", sub=CLIENT_ID, jti="1"), profile, "assertion")


@pytest.mark.parametrize("name", ["request", "request_uri"])
@pytest.mark.parametrize("profile", PROFILES)
def test_no_object_holds_or_names_another(name: str, profile: str) -> None:
    assert_invalid(by("ES256", **{name: "urn:x"}), profile, name)


# When


@pytest.mark.parametrize(
    "times",
    [
        {"exp": NOW + 3600},
        {"exp": NOW + 3600.5},
        {"nbf": NOW + 8, "exp": NOW + 308},
        {"nbf": NOW + 10},
        {"nbf": NOW - 3600, "exp": NOW},
        {"exp": NOW - 9, "nbf": NOW - 60},
        {"nbf": float(NOW)},
    ],
)
@pytest.mark.parametrize("profile", PROFILES)
def test_times_that_are_accepted(times: dict[str, Any], profile: str) -> None:
    assert read(by("ES256", **times), profile)


@pytest.mark.parametrize(
    ("times", "about"),
    [
        ({"exp": NOW - 10}, "exp"),
        ({"exp": NOW - 300, "nbf": NOW - 600}, "exp"),
        ({"nbf": NOW + 11}, "nbf"),
        ({"nbf": NOW + 600, "exp": NOW + 900}, "nbf"),
        ({"exp": str(NOW + 300)}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": 10**19}, "exp"),
        ({"exp": [NOW]}, "exp"),
        ({"nbf": -1}, "nbf"),
        ({"nbf": "now"}, "nbf"),
    ],
)
@pytest.mark.parametrize("profile", PROFILES)
def test_times_that_are_refused(times: dict[str, Any], about: str, profile: str) -> None:
    assert_invalid(by("ES256", **times), profile, about)


@pytest.mark.parametrize(
    ("times", "about"),
    [
        ({"exp": None}, "exp and nbf are required"),
        ({"nbf": None}, "exp and nbf are required"),
        ({"exp": NOW + 3601}, "60 minutes after"),
        ({"exp": NOW + 4200}, "60 minutes after"),
        ({"nbf": NOW - 4200, "exp": NOW - 600}, "expired"),
        ({"nbf": NOW - 3611, "exp": NOW - 11}, "expired"),
        ({"nbf": NOW - 4200}, "60 minutes"),
    ],
)
def test_fapi2_wants_short_lived_young_objects(times: dict[str, Any], about: str) -> None:
    assert_invalid(by("ES256", **times), "fapi2", about)


def test_no_object_serves_a_fapi2_portal_for_more_than_an_hour_and_the_leeway() -> None:
    clock = MovingClock()
    text = by("ES256", nbf=NOW, exp=NOW + 3600)
    clock.pass_(3609)
    assert drawer(clock).read(text, portal("fapi2"), client_id=CLIENT_ID)
    clock.pass_(1)
    with pytest.raises(AuthorizationError):
        drawer(clock).read(text, portal("fapi2"), client_id=CLIENT_ID)


@pytest.mark.parametrize(
    "times", [{"exp": None}, {"nbf": None}, {"exp": None, "nbf": None}, {"exp": NOW + 10**6}]
)
def test_standard_portals_may_sign_once_for_long(times: dict[str, Any]) -> None:
    assert read(by("ES256", **times))


# What is in it


@pytest.mark.parametrize(
    ("name", "value", "values"),
    [
        ("max_age", 0, ["0"]),
        ("max_age", 3600, ["3600"]),
        ("max_age", "3600", ["3600"]),
        ("state", "", [""]),
        ("claims", {"id_token": {"name": None}}, ['{"id_token":{"name":null}}']),
        ("claims", {"userinfo": {"a": {"value": "김"}}}, ['{"userinfo":{"a":{"value":"김"}}}']),
        ("claims", '{"userinfo":{}}', ['{"userinfo":{}}']),
        ("authorization_details", [{"type": "x"}], ['[{"type":"x"}]']),
        ("registration", {}, ["{}"]),
        ("resource", "https://a.example", ["https://a.example"]),
        ("resource", ["https://a.example", "https://b.example"], ["https://a.example", "https://b.example"]),
        ("unheard_of", "x", ["x"]),
    ],
)
def test_members_become_parameters(name: str, value: Any, values: list[str]) -> None:
    assert read(by("ES256", **{name: value}))[name] == values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scope", ["openid"]),
        ("prompt", ["login"]),
        ("prompt", {}),
        ("state", True),
        ("max_age", 1.5),
        ("claims", []),
        ("authorization_details", {}),
        ("resource", []),
        ("resource", [1]),
        ("resource", ["https://a.example"] * 17),
        ("unheard_of", {}),
    ],
)
def test_a_member_of_a_type_that_no_parameter_has_is_refused(name: str, value: Any) -> None:
    assert_invalid(by("ES256", **{name: value}), about="type")


def test_null_is_no_parameter_either() -> None:
    payload = json.dumps({**claims(), "prompt": None}).encode()
    assert_invalid(signed(payload, EC, "ES256"), about="type")


def test_no_refusal_repeats_what_was_sent() -> None:
    secret = "something-private"
    for text in (
        by("ES256", iss=secret),
        by("ES256", aud=secret),
        by("ES256", exp=secret),
        by("ES256", **{secret: {}}),
        signed(claims(), EC, "ES256", typ=secret),
        f"{b64(secret.encode())}.e30.AA",
    ):
        error = refused(text)
        assert secret not in f"{error} {error.description} {error.detail} {error.__cause__}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([*claims(), "sub", "request", "claims", "resource", "max_age", "state"]) | st.text()


@given(st.dictionaries(NAMES, JSON, max_size=5), st.sampled_from(PROFILES))
def test_any_signed_object_gives_lists_of_strings_or_invalid_request_object(
    changes: dict[str, Any], profile: str
) -> None:
    try:
        parameters = read(signed({**claims(), **changes}, EC, "ES256"), profile)
    except AuthorizationError as error:
        assert error.error == "invalid_request_object"
        return
    assert all(isinstance(value, str) for values in parameters.values() for value in values)
    assert parameters.get("client_id", [CLIENT_ID]) == [CLIENT_ID]


@given(st.text() | st.lists(st.binary().map(b64), min_size=3, max_size=3).map(".".join))
def test_any_text_is_refused(text: str) -> None:
    refused(text)


# Outside and inside


OUTSIDE = {
    "client_id": [CLIENT_ID],
    "request": ["a.b.c"],
    "response_type": ["code"],
    "scope": ["openid profile"],
    "state": ["outside"],
    "redirect_uri": ["https://wrong.example"],
}
INSIDE = {"client_id": [CLIENT_ID], "redirect_uri": ["https://portal.example/back"], "scope": ["openid"]}


@pytest.mark.parametrize(
    ("changes", "pushed"),
    [
        ({"profile": "fapi2"}, False),
        ({"profile": "fapi2"}, True),
        ({"require_signed_request_object": True}, False),
        ({}, True),
    ],
)
def test_by_jars_rule_nothing_outside_counts(changes: dict[str, Any], pushed: bool) -> None:
    assert merge(OUTSIDE, INSIDE, portal(**changes), pushed=pushed) == INSIDE


def test_by_cores_rule_the_object_wins_and_the_rest_fills_up() -> None:
    assert merge(OUTSIDE, INSIDE, portal()) == {
        "client_id": [CLIENT_ID],
        "response_type": ["code"],
        "scope": ["openid"],
        "state": ["outside"],
        "redirect_uri": ["https://portal.example/back"],
    }


def test_client_id_and_request_alone_are_enough() -> None:
    outside = {"client_id": [CLIENT_ID], "request": ["a.b.c"]}
    assert merge(outside, {"response_type": ["code"]}, portal()) == {
        "client_id": [CLIENT_ID],
        "response_type": ["code"],
    }


def test_response_type_must_be_the_same_at_both_places() -> None:
    assert merge(OUTSIDE, {"response_type": ["code"]}, portal())["response_type"] == ["code"]
    with pytest.raises(AuthorizationError) as refusal:
        merge(OUTSIDE, {"response_type": ["id_token"]}, portal())
    assert refusal.value.error == "invalid_request"


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_repeated_outside_is_not_hidden_by_the_object(profile: str) -> None:
    with pytest.raises(AuthorizationError) as refusal:
        merge({**OUTSIDE, "scope": ["a", "b"]}, INSIDE, portal(profile))
    assert refusal.value.error == "invalid_request"
    assert merge({**OUTSIDE, "resource": ["a", "b"]}, INSIDE, portal(profile))


# By reference


@pytest.fixture
def site() -> Iterator[PortalSite]:
    with PortalSite() as portal_site:
        portal_site.documents["/request"] = by("ES256").encode() + b"\n"
        yield portal_site


def referring(site: PortalSite, *, by_reference: bool = True) -> RequestObjects:
    clock = MovingClock()
    return RequestObjects(ISSUER, PortalKeys(site.fetch, clock), clock, site.fetch, by_reference=by_reference)


def test_a_registered_address_is_fetched_and_read(site: PortalSite) -> None:
    objects, registered = referring(site), portal(request_uris=(f"{site.origin}/request",))
    text = objects.fetch(f"{site.origin}/request", registered)
    assert objects.read(text, registered, client_id=CLIENT_ID, referred=True)["scope"] == ["openid"]


@pytest.mark.parametrize(("known", "asked"), [("#one", "#two"), ("", "#two"), ("#one", "")])
def test_a_fragment_is_neither_compared_nor_sent(site: PortalSite, known: str, asked: str) -> None:
    registered = portal(request_uris=(f"{site.origin}/request{known}",))
    assert referring(site).fetch(f"{site.origin}/request{asked}", registered).count(".") == 2
    assert site.asked == ["/request"]


@pytest.mark.parametrize(
    "path", ["/other", "/request/", "/request?a=b", "/Request", "/%72equest", "/req\nuest", "]["]
)
def test_an_address_that_is_not_registered_is_not_asked(site: PortalSite, path: str) -> None:
    registered = portal(request_uris=(f"{site.origin}/request",))
    with pytest.raises(AuthorizationError) as refusal:
        referring(site).fetch(site.origin + path, registered)
    assert refusal.value.error == "invalid_request_uri"
    assert site.asked == []


def test_an_address_of_more_than_512_characters_is_not_asked(site: PortalSite) -> None:
    address = f"{site.origin}/{'a' * 512}"
    with pytest.raises(AuthorizationError) as refusal:
        referring(site).fetch(address, portal(request_uris=(address,)))
    assert refusal.value.error == "invalid_request_uri"
    assert site.asked == []


@pytest.mark.parametrize("body", [None, "요청".encode(), b"x" * 300_000])
def test_an_address_that_gives_no_object_is_invalid(site: PortalSite, body: bytes | None) -> None:
    if body is None:
        del site.documents["/request"]
    else:
        site.documents["/request"] = body
    with pytest.raises(AuthorizationError) as refusal:
        referring(site).fetch(f"{site.origin}/request", portal(request_uris=(f"{site.origin}/request",)))
    assert refusal.value.error == "invalid_request_uri"


@pytest.mark.parametrize(("profile", "by_reference"), [("fapi2", True), ("standard", False)])
def test_nothing_is_fetched_for_fapi2_or_where_it_is_switched_off(
    site: PortalSite, profile: str, by_reference: bool
) -> None:
    registered = portal(profile, request_uris=(f"{site.origin}/request",))
    with pytest.raises(AuthorizationError) as refusal:
        referring(site, by_reference=by_reference).fetch(f"{site.origin}/request", registered)
    assert refusal.value.error == "request_uri_not_supported"
    assert site.asked == []


def test_keys_may_be_fetched_too(site: PortalSite) -> None:
    site.publish(RSA)
    registered = registration(jwks_uri=site.jwks_uri, request_object_signing_alg="RS256")
    assert referring(site).read(by("RS256"), registered, client_id=CLIENT_ID)
