"""Client assertions (RFC 7523, Core 9): signed by the registered key, for us, for minutes, once."""

import hmac
import json
import secrets
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.harmless import as_json, harmless
from tests.http.client_requests import JWT_BEARER, UNKNOWN_CODE, assert_as, let_in, post
from tests.pace import pace
from tests.presenting import b64, sign, unb64
from tests.proving import Prover
from tests.rig import Portal, Rig

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module")
def g4k(rig: Rig) -> Portal:
    return rig.portal("g4k")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": "ISSUER/token"},
        {"aud": "ISSUER/par"},
        {"aud": ["ISSUER"]},
        {"aud": ["ISSUER/token", "ISSUER"]},
        {"iat": None},
        {"nbf": "+8"},
        {"iat": "+8"},
        {"exp": "+3600"},
        {"jti": "x" * 256},
        {"extra": {"a": [1]}},
    ],
    ids=str,
)
def test_a_good_assertion_is_let_in(rig: Rig, g4k: Portal, changes: dict[str, Any]) -> None:
    changes = placed(rig, changes)
    with harmless(rig, UNKNOWN_CODE):
        let_in(rig, assert_as(rig, g4k.assertion(**changes)))


def placed(rig: Rig, changes: dict[str, Any]) -> dict[str, Any]:
    """ISSUER stands for the issuer, +5 for in five seconds."""

    def place(value: Any) -> Any:
        if isinstance(value, list):
            return [place(item) for item in value]
        if isinstance(value, str) and value[:1] in "+-" and value[1:].isdigit():
            return rig.clock() + int(value)
        return value.replace("ISSUER", rig.issuer) if isinstance(value, str) else value

    return {name: place(value) for name, value in changes.items()}


CLAIMS = {
    "aud_other": {"aud": "https://other.example"},
    "aud_missing": {"aud": None},
    "aud_empty": {"aud": []},
    "aud_one_is_another": {"aud": ["ISSUER", "https://other.example"]},
    "aud_numbers": {"aud": [1, 2]},
    "aud_object": {"aud": {"ISSUER": 1}},
    "aud_slash": {"aud": "ISSUER/"},
    "aud_authorize": {"aud": "ISSUER/authorize"},
    "exp_missing": {"exp": None},
    "exp_past": {"exp": "-300"},
    "exp_just_past": {"exp": "-11"},
    "exp_next_year": {"exp": "+31536000"},
    "exp_in_two_hours": {"exp": "+7200"},
    "exp_text": {"exp": "123"},
    "exp_true": {"exp": True},
    "exp_list": {"exp": []},
    "nbf_ahead": {"nbf": "+61"},
    "iat_ahead": {"iat": "+61"},
    "iat_text": {"iat": "now"},
    "jti_missing": {"jti": None},
    "jti_empty": {"jti": ""},
    "jti_number": {"jti": 7},
    "jti_long": {"jti": "x" * 257},
    "iss_other": {"iss": "gov24"},
    "iss_missing": {"iss": None},
    "sub_upper": {"iss": "G4K"},
}


@pytest.mark.parametrize("kind", CLAIMS)
def test_an_assertion_whose_claims_do_not_hold_is_refused(rig: Rig, g4k: Portal, kind: str) -> None:
    with harmless(rig, ("client.refused", "assertion_refused")):
        assertion = g4k.assertion(**placed(rig, CLAIMS[kind]))
        as_json(assert_as(rig, assertion), 401, "invalid_client")


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"sub": None}, "unknown"),
        ({"sub": "nobody"}, "unknown"),
        ({"sub": 1}, "unknown"),
        ({"sub": ["g4k"]}, "unknown"),
        ({"sub": "gov24"}, "method_not_registered"),
        ({"sub": "efamily"}, "assertion_refused"),
    ],
    ids=str,
)
def test_an_assertion_of_another_subject_is_refused(
    rig: Rig, g4k: Portal, changes: dict[str, Any], reason: str
) -> None:
    with harmless(rig, ("client.refused", reason)):
        as_json(assert_as(rig, g4k.assertion(**changes)), 401, "invalid_client")


def claims_of(rig: Rig) -> dict[str, Any]:
    now = rig.clock()
    return {
        "iss": "g4k", "sub": "g4k", "aud": rig.issuer, "jti": secrets.token_hex(8), "iat": now, "exp": now + 60,
    }  # fmt: skip


def signed(header: Any, payload: Any, signature: bytes = b"x" * 64) -> str:
    head, body = (
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)
    )
    return f"{b64(head)}.{b64(body)}.{b64(signature)}"


def hs256(payload: Any, key: bytes) -> str:
    """As if the public key were a shared secret."""
    unsigned = signed({"alg": "HS256"}, payload, b"").rstrip(".")
    return f"{unsigned}.{b64(hmac.digest(key, unsigned.encode(), 'sha256'))}"


def by_header(rig: Rig, g4k: Portal) -> dict[str, str]:
    """Assertions whose header or signature is wrong, by what is wrong."""
    key = ECKey.import_key(rig.prepared.portal_key("g4k"))
    jwk = g4k.registration["jwks"]["keys"][0]
    claims = claims_of(rig)
    public_pem = key.as_pem(private=False)
    good = g4k.assertion()
    r, s = unb64(good.split(".")[2])[:32], unb64(good.split(".")[2])[32:]
    order = P256_ORDER.to_bytes(32, "big")
    es256 = {"alg": "ES256"}
    own = ECKey.generate_key("P-256")
    body = good.rpartition(".")[0]
    return {
        "none": signed({"alg": "none"}, claims, b""),
        "None": signed({"alg": "None"}, claims, b""),
        "no_alg": signed({}, claims),
        "alg_number": signed({"alg": 1}, claims),
        "alg_list": signed({"alg": ["ES256"]}, claims),
        "es384": signed({"alg": "ES384"}, claims),
        "hs256_pem": hs256(claims, public_pem),
        "hs256_jwk": hs256(claims, json.dumps(jwk).encode()),
        "rs256_stranger": jwt.encode({"alg": "RS256"}, claims, RSAKey.generate_key(2048)),
        "es256_stranger": jwt.encode(es256, claims, ECKey.generate_key("P-256")),
        "its_own_jwk": jwt.encode({**es256, "jwk": own.as_dict(private=False)}, claims, own),
        "zero": signed(es256, claims, bytes(64)),
        "r_zero": f"{body}.{b64(bytes(32) + s)}",
        "s_is_the_order": f"{body}.{b64(r + order)}",
        "short": f"{body}.{b64((r + s)[:63])}",
        "long": f"{body}.{b64(r + s + b'x')}",
        "empty": f"{body}.",
        "kid_unknown": g4k.assertion(header={"kid": "nobody"}),
        "kid_path": g4k.assertion(header={"kid": "../../etc/passwd"}),
        "kid_sql": g4k.assertion(header={"kid": "' OR 1=1 --"}),
        "crit": signed({**es256, "crit": ["x"], "x": 1}, claims),
        "padded": good + "=",
        "other_spelling": good[:-1] + ("B" if good[-1] == "A" else chr(ord(good[-1]) + 1)),
        "white_space": good + " ",
        "newline": good.replace(".", ".\n", 1),
        "payload_array": signed(es256, []),
        "header_array": signed([], claims),
        "not_utf8": signed(es256, b"\xff"),
        "twice": signed(es256, b'{"sub":"g4k","sub":"gov24"}'),
        "deep": signed(es256, b'{"sub":"g4k","a":' + b"[" * 3000 + b"]" * 3000 + b"}"),
        "huge_number": signed(es256, b'{"sub":"g4k","exp":1e400}'),
        "long_number": signed(es256, b'{"sub":"g4k","exp":' + b"9" * 5000 + b"}"),
        "five_parts": good + ".x.y",
        "two_parts": good.rpartition(".")[0],
        "dots": "." * 5000,
        "empty_text": " ",
        "json": json.dumps({"payload": b64(json.dumps(claims).encode()), "signatures": []}),
        "too_large": f"{b64(b'{' + b' ' * 10_000 + b'}')}.{body.split('.')[1]}.{b64(b'x' * 64)}",
        "hangul": "가.나.다",
    }


@pytest.fixture(scope="module")
def assertions(rig: Rig, g4k: Portal) -> dict[str, str]:
    return by_header(rig, g4k)


KINDS = [
    "none", "None", "no_alg", "alg_number", "alg_list", "es384", "hs256_pem", "hs256_jwk", "rs256_stranger",
    "es256_stranger", "its_own_jwk", "zero", "r_zero", "s_is_the_order", "short", "long", "empty", "kid_unknown",
    "kid_path", "kid_sql", "crit", "padded", "other_spelling", "white_space", "newline", "payload_array",
    "header_array", "not_utf8", "twice", "deep", "huge_number", "long_number", "five_parts", "two_parts", "dots",
    "empty_text", "json", "too_large", "hangul",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_assertion_that_is_not_signed_by_the_client_is_refused_quickly(
    rig: Rig, assertions: dict[str, str], kind: str
) -> None:
    last = rig.last_event()
    began = time.perf_counter()
    response = assert_as(rig, assertions[kind])
    assert time.perf_counter() - began < 1 * pace()
    with harmless(rig):
        as_json(response, 401, "invalid_client")
    (event,) = rig.events(after=last)
    assert event.name == "client.refused"
    assert event.reason in {"assertion_refused", "unknown"}


def test_every_kind_of_assertion_is_tried(assertions: dict[str, str]) -> None:
    assert set(KINDS) == set(assertions)


@pytest.mark.parametrize(
    "form",
    [
        {"client_assertion_type": None},
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        {"client_assertion_type": [JWT_BEARER, JWT_BEARER]},
        {"client_assertion": None},
        {"client_assertion": ["a", "b"]},
        {"client_assertion": "a.b." + "c" * 20_000},
    ],
    ids=lambda form: "-".join(form) + str(next(iter(form.values())))[:20],
)
def test_an_assertion_and_its_type_belong_together(rig: Rig, g4k: Portal, form: dict[str, Any]) -> None:
    full = {"client_assertion": g4k.assertion(), "client_assertion_type": JWT_BEARER, **form}
    with harmless(rig, ("token.refused", "invalid_request")):
        response = post(rig, **{name: value for name, value in full.items() if value is not None})
        as_json(response, 400, "invalid_request")


def test_an_assertion_works_once(rig: Rig, g4k: Portal) -> None:
    assertion = g4k.assertion()
    with harmless(rig, UNKNOWN_CODE, ("client.refused", "assertion_replayed")):
        let_in(rig, assert_as(rig, assertion))
        as_json(assert_as(rig, assertion), 401, "invalid_client")


def test_the_jti_is_what_counts_and_each_client_has_its_own(rig: Rig, g4k: Portal) -> None:
    jti = secrets.token_hex(8)
    efamily = rig.portal("efamily")
    with harmless(rig, UNKNOWN_CODE, ("client.refused", "assertion_replayed"), UNKNOWN_CODE):
        let_in(rig, assert_as(rig, g4k.assertion(jti=jti)))
        as_json(assert_as(rig, g4k.assertion(jti=jti)), 401, "invalid_client")
        let_in(rig, assert_as(rig, efamily.assertion(jti=jti)))


def test_a_refused_assertion_does_not_spend_its_jti(rig: Rig, g4k: Portal) -> None:
    jti = secrets.token_hex(8)
    with harmless(rig, ("client.refused", "assertion_refused"), UNKNOWN_CODE):
        as_json(assert_as(rig, g4k.assertion(jti=jti, aud="https://evil.example")), 401, "invalid_client")
        let_in(rig, assert_as(rig, g4k.assertion(jti=jti)))


def test_a_key_of_the_portal_is_found_by_its_kid_and_its_use(rig: Rig) -> None:
    first, second, wrong_use = (ECKey.generate_key("P-256") for _ in range(3))
    rsa = RSAKey.generate_key(2048)
    keys = [
        {**first.as_dict(private=False), "kid": "1", "use": "sig"},
        {**second.as_dict(private=False), "kid": "2", "alg": "ES256"},
        {**wrong_use.as_dict(private=False), "kid": "3", "use": "enc"},
        {**rsa.as_dict(private=False), "kid": "4"},
    ]
    portal = rig.variant("g4k", "many-keys", jwks={"keys": keys})
    me = {"iss": "many-keys", "sub": "many-keys"}
    with harmless(rig, *[UNKNOWN_CODE] * 5):
        let_in(rig, assert_as(rig, portal.assertion(header={"kid": "1"}, key=first)))
        let_in(rig, assert_as(rig, portal.assertion(header={"kid": "2"}, key=second)))
        let_in(rig, assert_as(rig, portal.assertion(key=second)))
        let_in(rig, assert_as(rig, portal.assertion(header={"alg": "RS256"}, key=rsa)))
        let_in(rig, assert_as(rig, sign({"alg": "PS256"}, {**claims_of(rig), **me}, rsa)))
    with harmless(rig, *[("client.refused", "assertion_refused")] * 2):
        as_json(assert_as(rig, portal.assertion(header={"kid": "1"}, key=second)), 401, "invalid_client")
        as_json(assert_as(rig, portal.assertion(header={"kid": "3"}, key=wrong_use)), 401, "invalid_client")


# -- what each profile may sign with, and for whom (decision D2) -------------------------------------------------


KEYS = {
    "ES256": ECKey.generate_key("P-256"),
    "PS256": RSAKey.generate_key(2048),
    "RS256": RSAKey.generate_key(2048),
    "EdDSA": OKPKey.generate_key("Ed25519"),
}


def with_keys(rig: Rig, client_id: str, **changes: Any) -> Portal:
    keys = [{**key.as_dict(private=False), "kid": alg} for alg, key in KEYS.items()]
    return rig.variant("g4k", client_id, jwks={"keys": keys}, **changes)


@pytest.fixture(scope="module")
def strict(rig: Rig) -> Portal:
    """A portal of the profile fapi2. Whoever is let in hears that its DPoP proof is missing."""
    return with_keys(rig, "strict", profile="fapi2", dpop_bound_access_tokens=True)


def signed_as(rig: Rig, portal: Portal, alg: str, **changes: Any) -> str:
    """A good assertion by this algorithm, with some claims changed."""
    claims = {**claims_of(rig), "iss": portal.client_id, "sub": portal.client_id, **placed(rig, changes)}
    present = {name: value for name, value in claims.items() if value is not None}
    return Prover(KEYS[alg], alg).sign({"alg": alg, "kid": alg}, present)


@pytest.mark.parametrize("alg", KEYS)
def test_a_standard_portal_signs_with_any_of_four_algorithms(rig: Rig, alg: str) -> None:
    portal = with_keys(rig, "any-of-four")
    with harmless(rig, UNKNOWN_CODE):
        let_in(rig, assert_as(rig, signed_as(rig, portal, alg)))


@pytest.mark.parametrize("alg", KEYS)
def test_a_portal_is_held_to_the_algorithm_it_registered(rig: Rig, alg: str) -> None:
    portal = with_keys(rig, "held-to-one", token_endpoint_auth_signing_alg="PS256")
    expected = UNKNOWN_CODE if alg == "PS256" else ("client.refused", "assertion_refused")
    with harmless(rig, expected):
        response = assert_as(rig, signed_as(rig, portal, alg))
        if alg == "PS256":
            let_in(rig, response)
        else:
            as_json(response, 401, "invalid_client")


@pytest.mark.parametrize("alg", ["ES256", "PS256", "EdDSA"])
@pytest.mark.parametrize("changes", [{}, {"nbf": "+8"}, {"iat": "+8"}, {"exp": "+300"}], ids=str)
def test_a_fapi_portal_is_let_in(rig: Rig, strict: Portal, alg: str, changes: dict[str, Any]) -> None:
    with harmless(rig, ("token.refused", "dpop_missing")):
        as_json(assert_as(rig, signed_as(rig, strict, alg, **changes)), 400, "invalid_dpop_proof")


@pytest.mark.parametrize(
    ("alg", "changes", "reason"),
    [
        ("RS256", {}, "assertion_refused"),
        ("ES256", {"aud": ["ISSUER"]}, "assertion_refused"),
        ("ES256", {"aud": ["ISSUER", "ISSUER/token"]}, "assertion_refused"),
        ("ES256", {"aud": "ISSUER/token"}, "assertion_refused"),
        ("ES256", {"aud": "ISSUER/par"}, "assertion_refused"),
        ("ES256", {"aud": "ISSUER/"}, "assertion_refused"),
        ("ES256", {"aud": None}, "assertion_refused"),
        ("ES256", {"exp": "-300"}, "assertion_refused"),
        ("ES256", {"nbf": "+61"}, "assertion_refused"),
        ("ES256", {"sub": None}, "unknown"),
        ("ES256", {"iss": None}, "assertion_refused"),
    ],
    ids=str,
)
def test_a_fapi_portal_names_the_issuer_alone_and_signs_strongly(
    rig: Rig, strict: Portal, alg: str, changes: dict[str, Any], reason: str
) -> None:
    with harmless(rig, ("client.refused", reason)):
        as_json(assert_as(rig, signed_as(rig, strict, alg, **changes)), 401, "invalid_client")


def test_a_fapi_portal_without_an_assertion_is_refused(rig: Rig, strict: Portal) -> None:
    with harmless(rig, ("client.refused", "no_credentials")):
        as_json(post(rig, client_id="strict"), 401, "invalid_client")
