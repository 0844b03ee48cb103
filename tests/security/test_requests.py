"""JR, PA: request objects, and requests that are pushed."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, RSAKey

from tests.harmless import Named
from tests.http.client_requests import JWT_BEARER
from tests.oidc.portal_side import ec_key, jwks, rsa_key, signed
from tests.presenting import b64
from tests.rig import Begun, Portal
from tests.security.answers import Answer, Asked, Json, NotAllowed, Page, ToPortal
from tests.security.judging import Case, Court

EC, RSA, STRANGER = ec_key("ec-1"), rsa_key("rsa-1"), ec_key("ec-1")
TYP = "oauth-authz-req+jwt"
NO_OBJECT = ToPortal("invalid_request_object")
TOLD = ("login.refused", "invalid_request_object")
STARTED = ("login.started", None)
BAD = Json(400, "invalid_request")
REFUSED = Json(401, "invalid_client")
MEGABYTE = 1 << 20

Claims = dict[str, Any]


def signing(court: Court) -> Portal:
    """A portal that may send signed request objects."""
    return court.once("signing", lambda: court.rig.variant("gov24", "signing", jwks=jwks(EC, RSA)))


def held_to(court: Court) -> Portal:
    """The same, held to one algorithm."""
    changes = {"jwks": jwks(EC, RSA), "request_object_signing_alg": "ES256"}
    return court.once("held-to", lambda: court.rig.variant("gov24", "held-to", **changes))


def bank(court: Court) -> Portal:
    """A portal of the profile fapi2 that signs every request."""
    return court.once("signing-bank", lambda: _bank(court))


def _bank(court: Court) -> Portal:
    own = ECKey.import_key(court.rig.prepared.portal_key("g4k"))
    keys = {"keys": [own.as_dict(private=False), *jwks(EC, RSA)["keys"]]}
    return court.rig.variant(
        "g4k", "signing-bank", profile="fapi2", jwks=keys, dpop_bound_access_tokens=True,
        require_signed_request_object=True,
    )  # fmt: skip


def claims_of(portal: Portal, **changes: Any) -> Claims:
    """A good request object's claims with some changed (None leaves one out, +5 is in five seconds)."""
    now = portal.rig.clock()
    whole = {
        **portal.parameters()[0], "iss": portal.client_id, "aud": portal.rig.issuer, "nbf": now, "exp": now + 300,
        "jti": secrets.token_urlsafe(12), **changes,
    }  # fmt: skip
    return {name: _placed(value, now) for name, value in whole.items() if value is not None}


def _placed(value: Any, now: int) -> Any:
    moves = isinstance(value, str) and value[:1] in {"+", "-"} and value[1:].isdigit()
    return now + int(value) if moves else value


def made(portal: Portal, key: ECKey | RSAKey = EC, alg: str = "ES256", **changes: Any) -> str:
    return signed(claims_of(portal, **changes), key, alg, typ=TYP)


def ask(portal: Portal, **beside: Any) -> httpx2.Response:
    """The browser brings an object, by a form; what stands outside says where to tell an error."""
    outside = {
        "client_id": portal.client_id,
        "redirect_uri": portal.redirect_uri,
        "state": "outside",
        **beside,
    }
    form = {name: value for name, value in outside.items() if value is not None}
    return portal.browser.post(f"{portal.rig.issuer}/authorize", data=form)


Maker = Callable[[Portal], str]
Of = Callable[[Court], Portal]


def brings(
    row: str, name: str, make: Maker, *, of: Of = signing, answer: Answer = NO_OBJECT, event: Named = TOLD
) -> Case:
    def send(court: Court, text: str) -> httpx2.Response:
        return ask(of(court), request=text)

    begins = event == STARTED
    return Case(row, name, send, answer, [event], prepare=lambda court: make(of(court)), login=begins)


def pushes(row: str, name: str, make: Maker, error: str = "invalid_request_object") -> Case:
    """A fapi2 portal pushes an object."""

    def send(court: Court, text: str) -> httpx2.Response:
        portal = bank(court)
        credentials, _ = portal.credentials()
        form = {**credentials, "client_assertion_type": JWT_BEARER, "request": text}
        return court.rig.http.post(f"{court.rig.issuer}/par", data=form)

    return Case(
        row,
        name,
        send,
        Json(400, error),
        [("request.refused", error)],
        prepare=lambda court: make(bank(court)),
    )


def as_secret(key: bytes) -> Maker:
    """HS256 with a public key as if it were a shared secret."""

    def make(portal: Portal) -> str:
        header = json.dumps({"alg": "HS256", "typ": TYP}).encode()
        text = f"{b64(header)}.{b64(json.dumps(claims_of(portal)).encode())}"
        return f"{text}.{b64(hmac.digest(key, text.encode(), 'sha256'))}"

    return make


def unsigned(portal: Portal) -> str:
    header = b64(json.dumps({"alg": "none"}).encode())
    return f"{header}.{made(portal).split('.')[1]}."


def flattened(portal: Portal) -> str:
    """RFC 7515, section 7.2.2."""
    names = ("protected", "payload", "signature")
    return json.dumps(dict(zip(names, made(portal).split("."), strict=True)))


def with_header(**header: Any) -> Maker:
    """Signed by a stranger, who says in the header where to find his key."""

    def make(portal: Portal) -> str:
        given = {name: _at(portal, value) for name, value in header.items()}
        return signed(claims_of(portal), STRANGER, "ES256", typ=TYP, **given)

    return make


def _at(portal: Portal, value: Any) -> Any:
    return value.replace("SINK", portal.rig.issuer) if isinstance(value, str) else value


def respelled(change: Callable[[str], str]) -> Maker:
    return lambda portal: change(made(portal))


def _general(portal: Portal, signatures: int) -> str:
    """JSON serialisation with so many signatures (RFC 7515, section 7.2.1)."""
    head, body, signature = made(portal).split(".")
    one = {"protected": head, "signature": signature}
    return json.dumps({"payload": body, "signatures": [one] * signatures})


def id_token(portal: Portal) -> str:
    return str(portal.sign_in("invented-11")["id_token"])


def client_assertion(portal: Portal) -> str:
    """What would prove the client at the token endpoint, signed by a key that may sign both."""
    now = portal.rig.clock()
    claims = {
        "iss": portal.client_id,
        "sub": portal.client_id,
        "aud": portal.rig.issuer,
        "jti": "1",
        "exp": now + 60,
    }
    return signed({**claims_of(portal), **claims}, EC, "ES256")


def inside_wins(court: Court, text: str) -> httpx2.Response:
    """The same parameters outside, with other values."""
    portal = signing(court)
    return ask(portal, request=text, redirect_uri="https://evil.example/cb", nonce="outside", scope="openid")


def nonce_is_the_inner_one(court: Court, text: str) -> None:
    portal = signing(court)
    begun = inside_wins(court, text)
    code = portal.callback(Begun(begun, None, None, ""), "invented-12")
    assert code["state"] == "inside"


# -- pushed ------------------------------------------------------------------------------------------------------


def pushed(row: str, name: str, error: str, /, **changes: Any) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        return court.portal("g4k").push(**changes)

    return Case(row, name, send, Json(400, error), [("request.refused", error)])


def unproven(name: str, reason: str, **changes: Any) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        return court.portal("apostille").push(**changes)

    return Case("PA-02", name, send, REFUSED, [("client.refused", reason)])


def nameless(court: Court, _: Any) -> httpx2.Response:
    """It says who it is, and proves nothing."""
    return court.rig.http.post(f"{court.rig.issuer}/par", data=court.portal("apostille").parameters()[0])


def for_audience(name: str, audience: Any) -> Case:
    """The assertion of a fapi2 portal that is for somebody else."""

    def prepare(court: Court) -> str:
        issuer = court.rig.issuer
        given = (
            [each.format(issuer) for each in audience]
            if isinstance(audience, list)
            else audience.format(issuer)
        )
        return bank(court).assertion(aud=given)

    def send(court: Court, assertion: str) -> httpx2.Response:
        form = {
            "client_assertion": assertion,
            "client_assertion_type": JWT_BEARER,
            "request": made(bank(court)),
        }
        return court.rig.http.post(f"{court.rig.issuer}/par", data=form)

    return Case("PA-10", name, send, REFUSED, [("client.refused", "assertion_refused")], prepare=prepare)


Reference = tuple[Portal, str]


def reference(court: Court) -> Reference:
    portal = court.rig.portal("g4k")
    return portal, portal.push().json()["request_uri"]


def spent(court: Court) -> Reference:
    portal, request_uri = reference(court)
    portal.callback(Begun(portal.open_pushed(request_uri), None, None, ""), "invented-13")
    return portal, request_uri


def late(court: Court, given: Reference) -> httpx2.Response:
    with court.later(61):
        return given[0].open_pushed(given[1])


def by_another(court: Court, given: Reference) -> httpx2.Response:
    return court.portal().open_pushed(given[1])


def opens_for_its_owner(_: Court, given: Reference) -> None:
    assert given[0].open_pushed(given[1]).headers["Location"].startswith("/login/")


def altered(name: str, change: Callable[[str], str]) -> Case:
    def send(_: Court, given: Reference) -> httpx2.Response:
        return given[0].open_pushed(change(given[1]))

    return Case(
        "PA-22",
        name,
        send,
        Page(400, "SINWON-R005"),
        [("request.refused", "request_expired")],
        prepare=reference,
    )


def must_push(court: Court) -> Portal:
    changes = {"require_pushed_authorization_requests": True}
    return court.once("must-push", lambda: court.rig.variant("g4k", "must-push", **changes))


def method(name: str) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        return court.rig.http.request(name, f"{court.rig.issuer}/par")

    return Case("PA-01", name, send, NotAllowed(frozenset({"POST"})))


def large(name: str, answer: Answer, *events: Named, **more: Any) -> Case:
    return Case("PA-07", name, lambda court, _: court.portal("g4k").push(**more), answer, events)


PEM = EC.as_pem(private=False)
DER = EC.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
JWK = json.dumps(EC.as_dict(private=False)).encode()

CASES = [
    *(
        brings("JR-03", name, as_secret(key))
        for name, key in {
            "PEM": PEM, "DER": DER, "JWK": JWK, "PEM after bytes": b"\n \x00" + PEM, "empty": b"",
        }.items()
    ),
    brings("JR-04", "RS256 for ES256", lambda portal: made(portal, RSA, "RS256"), of=held_to),
    brings("JR-04", "PS256 for ES256", lambda portal: made(portal, RSA, "PS256"), of=held_to),
    brings(
        "JR-04", "none",
        unsigned,
        answer=ToPortal("request_not_supported"), event=("login.refused", "request_not_supported"),
    ),
    pushes("JR-04", "RS256 of fapi2", lambda portal: made(portal, RSA, "RS256")),
    *(
        pushes("JR-06", name, lambda portal, changes=changes: made(portal, **changes))
        for name, changes in {
            "exp missing": {"exp": None}, "exp past": {"exp": "-300", "nbf": "-600"},
            "exp in 61 minutes": {"exp": "+3661"},
            "nbf missing": {"nbf": None}, "nbf 61 s ahead": {"nbf": "+61"}, "nbf an hour ago": {"nbf": "-3700"},
            "exp is a text": {"exp": "soon"}, "exp is true": {"exp": True},
        }.items()
    ),
    brings("JR-06", "expired", lambda portal: made(portal, exp="-11")),
    brings("JR-06", "from the future", lambda portal: made(portal, nbf="+61")),
    brings("JR-06", "nbf 8 s ahead", lambda portal: made(portal, nbf="+8"), answer=Asked(), event=STARTED),
    Case(
        "JR-08", "inside wins", inside_wins, Asked(), [STARTED], login=True,
        prepare=lambda court: made(signing(court), state="inside"), after=nonce_is_the_inner_one,
    ),
    Case(
        "JR-08", "another response_type outside",
        lambda court, text: ask(signing(court), request=text, response_type="token"), ToPortal("invalid_request"),
        [("login.refused", "invalid_request")], prepare=lambda court: made(signing(court)),
    ),
    Case(
        "JR-08", "another client inside",
        lambda court, text: ask(signing(court), request=text), NO_OBJECT, [TOLD],
        prepare=lambda court: made(signing(court), client_id="gov24"),
    ),
    brings("JR-08", "for another server", lambda portal: made(portal, aud="https://other.example")),
    brings("JR-08", "by another client", lambda portal: made(portal, iss="gov24")),
    Case(
        "JR-09", "both", lambda court, text: ask(signing(court), request=text, request_uri="https://a.example/r"),
        ToPortal("invalid_request"), [("login.refused", "invalid_request")],
        prepare=lambda court: made(signing(court)),
    ),
    brings("JR-10", "request inside", lambda portal: made(portal, request=made(portal))),
    brings("JR-10", "request_uri inside", lambda portal: made(portal, request_uri="https://a.example/r")),
    pushes("JR-10", "request_uri inside what is pushed", lambda portal: made(portal, request_uri="urn:example:x")),
    brings("JR-12", "jwk", with_header(jwk=STRANGER.as_dict(private=False))),
    brings("JR-12", "jwk without kid", with_header(jwk=STRANGER.as_dict(private=False), kid=None)),
    brings("JR-12", "jku", with_header(jku="http://127.0.0.2:9/jwks")),
    brings("JR-12", "x5u", with_header(x5u="http://127.0.0.2:9/cert")),
    brings("JR-12", "x5c", with_header(x5c=[b64(b"certificate")])),
    brings("JR-12", "a stranger's key", lambda portal: made(portal, STRANGER)),
    brings("JR-14", "no signature", lambda portal: _general(portal, 0)),
    brings("JR-14", "one", lambda portal: _general(portal, 1)),
    brings("JR-14", "two", lambda portal: _general(portal, 2)),
    brings("JR-14", "flattened", flattened),
    brings("JR-15", "client assertion", client_assertion),
    brings("JR-15", "ID token", id_token),
    brings("JR-15", "sub is the client", lambda portal: made(portal, sub=portal.client_id)),
    brings("JR-15", "typ of another kind", lambda portal: signed(claims_of(portal), EC, "ES256", typ="logout+jwt")),
    brings("JR-17", "48 KB", lambda portal: made(portal, extra="x" * 48_000)),
    Case(
        "JR-17", "1 MB", lambda court, text: ask(signing(court), request=text), Page(413, "SINWON-S006"),
        prepare=lambda court: made(signing(court), extra="x" * MEGABYTE),
    ),
    brings("JR-17", "header of 9 KB", with_header(extra="x" * 7_000)),
    brings("JR-17", "5,000 dots", lambda _: "." * 5000),
    brings("JR-17", "not ASCII", respelled(lambda text: text + "가")),
    brings("JR-17", "padded", respelled(lambda text: text + "=")),
    brings("JR-17", "newline", respelled(lambda text: text.replace(".", ".\n", 1))),
    brings("JR-17", "signature cut", respelled(lambda text: text[:-4])),
    *(method(name) for name in ("GET", "PUT", "DELETE", "PATCH")),
    unproven("wrong secret", "wrong_secret", client_secret="wrong" * 4),
    Case("PA-02", "no secret", nameless, REFUSED, [("client.refused", "no_credentials")]),
    unproven("unknown client", "unknown", client_id="nobody"),
    pushed("PA-04", "not registered", "invalid_request", redirect_uri="https://evil.example/"),
    pushed("PA-04", "missing", "invalid_request", redirect_uri=None),
    Case(
        "PA-05", "client_id of another", lambda court, _: court.portal("g4k").push(client_id="gov24"), REFUSED,
        [("client.refused", "client_id_mismatch")],
    ),
    Case(
        "PA-05", "basic and client_id of another", lambda court, _: court.portal().push(client_id="g4k"), REFUSED,
        [("client.refused", "client_id_mismatch")],
    ),
    pushed("PA-06", "scope", "invalid_scope", scope="profile"),
    pushed("PA-06", "scope not registered", "invalid_scope", scope="openid kr_passport"),
    pushed("PA-06", "response_type", "unsupported_response_type", response_type="code id_token"),
    pushed("PA-06", "no response_type", "invalid_request", response_type=None),
    pushed("PA-06", "no challenge", "invalid_request", code_challenge=None, code_challenge_method=None),
    pushed("PA-06", "plain", "invalid_request", code_challenge_method="plain"),
    pushed("PA-06", "claims", "invalid_request", claims="{"),
    pushed("PA-06", "request_uri", "invalid_request", request_uri="urn:ietf:params:oauth:request_uri:x"),
    large("65 KB", Json(413, "invalid_request"), extra="x" * 66_000),
    large("10,000 parameters", Json(413, "invalid_request"), **{f"p{n}": "x" for n in range(10_000)}),
    large("twice", BAD, ("request.refused", "invalid_request"), state=["a", "b"]),
    large("long", BAD, ("request.refused", "invalid_request"), extra="x" * 20_000),
    *(
        for_audience(name, audience)
        for name, audience in {
            "PAR URL": "{}/par", "token URL": "{}/token", "array": ["{}"],
            "array with another": ["{}", "https://a.example"], "slash": "{}/",
        }.items()
    ),
    Case(
        "PA-20", "used", lambda _, given: given[0].open_pushed(given[1]), Page(400, "SINWON-R006"),
        [("request.refused", "request_used")], prepare=spent,
    ),
    Case(
        "PA-22", "61 seconds", late, Page(400, "SINWON-R005"), [("request.refused", "request_expired")],
        prepare=reference,
    ),
    altered("longer", lambda uri: uri + "A"),
    altered("cut", lambda uri: uri[:-1]),
    altered("prefix alone", lambda uri: uri.rpartition(":")[0] + ":"),
    altered("NUL", lambda uri: uri + "\0"),
    Case(
        "PA-23", "another client", by_another, Page(400, "SINWON-R005"), [("request.refused", "request_expired")],
        prepare=reference, after=opens_for_its_owner,
    ),
    Case(
        "PA-26", "plain", lambda court, portal: portal.begin().response, ToPortal("invalid_request"),
        [("login.refused", "invalid_request")], prepare=must_push,
    ),
    Case(
        "PA-26", "signed but not pushed", lambda court, text: ask(bank(court), request=text),
        ToPortal("invalid_request", state="inside"), [("login.refused", "invalid_request")],
        prepare=lambda court: made(bank(court), state="inside"),
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)
