"""CA, DP: how a portal proves who it is, and that it holds the key its tokens are bound to."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from tests.harmless import EVIL, Named
from tests.http.client_requests import JWT_BEARER, assert_as, basic, post
from tests.presenting import b64, unb64
from tests.proving import Prover
from tests.rig import Portal, Rig
from tests.security.answers import Answer, Json
from tests.security.judging import Case, Court

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
REFUSED = Json(401, "invalid_client")
UNREAD = Json(413, "invalid_request")
"""What is too large is not read: nobody knows what it was, and it is in the log alone."""
CHALLENGED = Json(401, "invalid_client", scheme="Basic")
ASSERTION = ("client.refused", "assertion_refused")
NOBODY = ("client.refused", "no_credentials")
UNKNOWN = ("client.refused", "unknown")
BAD_FORM = ("token.refused", "invalid_request")
MEGABYTE = 1 << 20
STRANGER = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)
WEAK = RSAKey.generate_key(2048)
ED = "EdDSA"


# -- secrets -----------------------------------------------------------------------------------------------------


def by_header(row: str, name: str, authorization: str, reason: str) -> Case:
    def send(court: Court, _: Any) -> httpx2.Response:
        return post(court.rig, authorization)

    return Case(row, name, send, CHALLENGED, [("client.refused", reason)])


def by_form(row: str, name: str, reason: str, **form: Any) -> Case:
    return Case(row, name, lambda court, _: post(court.rig, **form), REFUSED, [("client.refused", reason)])


def with_secret(
    row: str, name: str, ask: Callable[[Rig, str], httpx2.Response], answer: Answer, *events: Named
) -> Case:
    """A request with gov24's own secret, which is right."""

    def send(court: Court, _: Any) -> httpx2.Response:
        return ask(court.rig, court.rig.prepared.portal_secret("gov24"))

    return Case(row, name, send, answer, events)


def in_the_query(rig: Rig, secret: str) -> httpx2.Response:
    query = {"client_id": "gov24", "client_secret": secret}
    form = {"grant_type": "authorization_code", "code": "x" * 43}
    return rig.http.post(f"{rig.issuer}/token", params=query, data=form)


def two_ways(rig: Rig, secret: str) -> httpx2.Response:
    return post(rig, basic("gov24", secret), client_id="gov24", client_secret=secret)


def in_anothers_name(rig: Rig, secret: str) -> httpx2.Response:
    return post(rig, basic("gov24", secret), client_id="g4k")


def at_revocation(rig: Rig, secret: str) -> httpx2.Response:
    headers = {"Authorization": basic("gov24", secret)}
    return rig.http.post(
        f"{rig.issuer}/revoke", data={"token": "x" * 43, "client_id": "g4k"}, headers=headers
    )


# -- assertions --------------------------------------------------------------------------------------------------


def placed(rig: Rig, value: Any) -> Any:
    """ISSUER stands for the issuer, +5 for in five seconds, "+5" in quotes for the text of that time."""
    if isinstance(value, list):
        return [placed(rig, item) for item in value]
    if isinstance(value, str) and value[:1] == '"':
        return str(placed(rig, value.strip('"')))
    if isinstance(value, str) and value[:1] in {"+", "-"} and value[1:].isdigit():
        return rig.clock() + int(value)
    return value.replace("ISSUER", rig.issuer) if isinstance(value, str) else value


def claims_of(rig: Rig) -> dict[str, Any]:
    now = rig.clock()
    whole = {"iss": "g4k", "sub": "g4k", "aud": rig.issuer, "jti": secrets.token_hex(8), "iat": now}
    return {**whole, "exp": now + 60}


def claiming(row: str, name: str, reason: str = "assertion_refused", of: str = "g4k", **changes: Any) -> Case:
    """A good assertion with some claims changed, signed again."""

    def make(court: Court) -> str:
        given = {claim: placed(court.rig, value) for claim, value in changes.items()}
        return portal_of(court, of).assertion(**given)

    return Case(
        row,
        name,
        lambda court, made: assert_as(court.rig, made),
        REFUSED,
        [("client.refused", reason)],
        prepare=make,
    )


def portal_of(court: Court, of: str) -> Portal:
    """g4k, or the same as a portal of the profile fapi2."""
    if of == "g4k":
        return court.portal("g4k")
    strict = {"profile": "fapi2", "dpop_bound_access_tokens": True}
    return court.once(of, lambda: court.rig.variant("g4k", of, **strict))


def unsigned(header: Any, payload: Any, signature: bytes = b"x" * 64) -> str:
    """What has the form of a JWS; its signature is none."""
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload))
    return ".".join([*map(b64, parts), b64(signature)])


def hs256(payload: Any, key: bytes) -> str:
    """As if the public key were a shared secret."""
    text = unsigned({"alg": "HS256"}, payload, b"").rstrip(".")
    return f"{text}.{b64(hmac.digest(key, text.encode(), 'sha256'))}"


Maker = Callable[[Court], str]


def assertion(row: str, name: str, make: Maker, event: Named = ASSERTION, answer: Answer = REFUSED) -> Case:
    def send(court: Court, made: str) -> httpx2.Response:
        return assert_as(court.rig, made)

    return Case(row, name, send, answer, [] if answer == UNREAD else [event], prepare=make)


def good(court: Court) -> str:
    return court.portal("g4k").assertion()


def resigned(change: Callable[[bytes, bytes], bytes]) -> Maker:
    """A good assertion whose signature, two numbers of 32 bytes, is changed."""

    def make(court: Court) -> str:
        body, _, signature = good(court).rpartition(".")
        raw = unb64(signature)
        return f"{body}.{b64(change(raw[:32], raw[32:]))}"

    return make


def spent(court: Court) -> str:
    """An assertion that was believed once."""
    made = good(court)
    assert assert_as(court.rig, made).status_code == 400
    return made


def respelled(change: Callable[[str], str]) -> Maker:
    """An assertion that was believed once, written differently."""
    return lambda court: change(spent(court))


def _other_last(text: str) -> str:
    """The last character of 64 bytes in base64url has two bits that mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def keyed(kid: Any) -> Maker:
    """A good assertion under this kid, which is no key's."""

    def make(court: Court) -> str:
        rig = court.rig
        key = ECKey.import_key(rig.prepared.portal_key("g4k"))
        return Prover(key, "ES256").sign({"alg": "ES256", "kid": kid}, claims_of(rig))

    return make


def saying(payload: Any, header: Any = None) -> Maker:
    """Signed by g4k's own key, whatever it says."""

    def make(court: Court) -> str:
        key = ECKey.import_key(court.rig.prepared.portal_key("g4k"))
        given = payload(court.rig) if callable(payload) else payload
        return Prover(key, "ES256").sign({"alg": "ES256"} if header is None else header, given)

    return make


def typed(name: str, **form: Any) -> Case:
    """A good assertion whose form is not."""

    def send(court: Court, made: str) -> httpx2.Response:
        full = {"client_assertion": made, "client_assertion_type": JWT_BEARER, **form}
        return post(court.rig, **{name: value for name, value in full.items() if value is not None})

    return Case(
        "CA-29",
        name,
        send,
        Json(400, "invalid_request"),
        [("token.refused", "invalid_request")],
        prepare=good,
    )


# -- DPoP --------------------------------------------------------------------------------------------------------

BAD_PROOF = Json(400, "invalid_dpop_proof")


def bound(court: Court) -> Portal:
    """A portal whose tokens are bound to a key."""
    return court.once("bound", lambda: _bound(court))


def _bound(court: Court) -> Portal:
    portal = court.rig.variant("gov24", "bound", dpop_bound_access_tokens=True)
    portal.prover = Prover()
    return portal


def prover(portal: Portal) -> Prover:
    assert portal.prover is not None
    return portal.prover


def proving(row: str, name: str, reason: str, make: Callable[[Portal], list[str]]) -> Case:
    """A token request with these proofs."""

    def send(court: Court, proofs: list[str]) -> httpx2.Response:
        return bound(court).token("x" * 43, "v" * 43, dpop=proofs)

    return Case(
        row,
        name,
        send,
        BAD_PROOF,
        [("token.refused", f"dpop_{reason}")],
        prepare=lambda court: make(bound(court)),
    )


def changed(row: str, name: str, reason: str, **changes: Any) -> Case:
    return proving(row, name, reason, lambda portal: [portal.proof("/token", **changes)])


def signed_by(key: ECKey | RSAKey, **jwk: Any) -> Callable[[Portal], list[str]]:
    """A proof by this key whose header names another one."""
    return lambda portal: [portal.proof("/token", by=Prover(key), header={"jwk": jwk or prover(portal).jwk})]


def used_once(portal: Portal) -> list[str]:
    proof = portal.proof("/token")
    assert portal.token("x" * 43, "v" * 43, dpop=[proof]).json()["error"] == "invalid_grant"
    return [proof]


def under_another_algorithm(alg: str) -> Callable[[Portal], list[str]]:
    def make(portal: Portal) -> list[str]:
        proof = portal.proof("/token")
        header = {"typ": "dpop+jwt", "alg": alg, "jwk": prover(portal).jwk}
        return [f"{b64(json.dumps(header).encode())}.{proof.partition('.')[2]}"]

    return make


def a_bound_code(**changes: Any) -> Callable[[Court], tuple[Portal, str, str]]:
    """A code bound to a key when its request was pushed."""

    def prepare(court: Court) -> tuple[Portal, str, str]:
        portal = bound(court)
        begun = portal.begin_pushed(dpop_jkt=prover(portal).jkt)
        return portal, portal.callback(begun, "invented-8")["code"], begun.verifier

    return prepare


def by_another_key(_: Court, given: tuple[Portal, str, str]) -> httpx2.Response:
    portal, code, verifier = given
    return portal.token(code, verifier, dpop=Prover())


def own_key_still_buys(_: Court, given: tuple[Portal, str, str]) -> None:
    portal, code, verifier = given
    assert portal.token(code, verifier).status_code == 200


def mismatched_push(court: Court, _: Any) -> httpx2.Response:
    portal = bound(court)
    return portal.push(dpop=portal.prover, dpop_jkt=Prover().jkt)


def bound_token(court: Court) -> tuple[Portal, str]:
    """An access token that is bound; each case has its own, since the audit says so once an hour of each."""
    portal = bound(court)
    return portal, str(portal.sign_in("invented-8")["access_token"])


class Challenge:
    """401 that names the error where a token is used (RFC 9449, section 7.1)."""

    def __init__(self, error: str) -> None:
        self.error = error

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert response.status_code == 401, response.text
        assert f'error="{self.error}"' in response.headers["WWW-Authenticate"]
        assert "sub" not in response.json()


def using(
    row: str, name: str, reason: str, error: str, ask: Callable[[Portal, str], httpx2.Response]
) -> Case:
    """UserInfo with a bound token, used wrongly."""

    def send(_: Court, given: tuple[Portal, str]) -> httpx2.Response:
        return ask(*given)

    return Case(
        row, name, send, Challenge(error), [("userinfo.refused", reason)], again=[], prepare=bound_token
    )


def with_proof(portal: Portal, token: str, **changes: Any) -> httpx2.Response:
    proof = portal.proof("/userinfo", "GET", **{"access_token": token, **changes})
    return portal.userinfo(token, dpop=[proof])


SECRETS = {"wrong": "wrong" * 4, "empty": "", "Hangul": "비밀번호🔑" * 3, "markup": EVIL}

CASES = [
    Case("CA-01", "nothing at all", lambda court, _: post(court.rig), CHALLENGED, [NOBODY]),
    *(
        by_form("CA-01", f"{client_id} names itself alone", "no_credentials", client_id=client_id)
        for client_id in ("gov24", "apostille", "g4k", "nobody")
    ),
    *(by_header("CA-02", name, basic("gov24", secret), "wrong_secret") for name, secret in SECRETS.items()),
    by_header("CA-02", "unknown client", basic("nobody", "x" * 20), "unknown"),
    by_header("CA-02", "NUL", basic("gov24\0", "x" * 20), "unknown"),
    by_header("CA-02", "markup as a client", basic(EVIL, "x" * 20), "unknown"),
    by_header("CA-02", "no base64", "Basic !!!", "basic_malformed"),
    by_header("CA-02", "no colon", f"Basic {base64.b64encode(b'gov24').decode()}", "basic_malformed"),
    *(
        by_form("CA-03", name, reason, client_id="apostille", client_secret=secret)
        for name, secret in SECRETS.items()
        for reason in ["wrong_secret" if secret else "no_credentials"]  # without a value it counts as left out
    ),
    by_form("CA-03", "unknown client", "unknown", client_id="nobody", client_secret="x" * 20),
    by_form("CA-03", "no client", "unknown", client_secret="x" * 20),
    with_secret(
        "CA-04", "post for basic", lambda rig, secret: post(rig, client_id="gov24", client_secret=secret), REFUSED,
        ("client.refused", "method_not_registered"),
    ),
    with_secret(
        "CA-04", "two ways", two_ways, Json(400, "invalid_request"), BAD_FORM,
    ),
    by_header("CA-04", "basic for an assertion", basic("g4k", "x" * 20), "method_not_registered"),
    claiming("CA-04", "assertion for basic", "method_not_registered", sub="gov24", iss="gov24"),
    with_secret(
        "CA-08", "in the query", in_the_query, Json(400, "invalid_request"), BAD_FORM,
    ),
    with_secret("CA-11", "basic", in_anothers_name, REFUSED, ("client.refused", "client_id_mismatch")),
    with_secret("CA-11", "at revocation", at_revocation, REFUSED, ("client.refused", "client_id_mismatch")),
    Case(
        "CA-11", "assertion", lambda court, made: assert_as(court.rig, made, client_id="gov24"), REFUSED,
        [("client.refused", "client_id_mismatch")], prepare=good,
    ),
    by_header("CA-12", "not UTF-8", basic("gov24", b"\xff\xfe" * 8), "basic_malformed"),
    by_header("CA-12", "emoji", basic("gov24", "🔑🔒🗝" * 4), "wrong_secret"),
    by_form("CA-12", "Hangul in the body", "wrong_secret", client_id="apostille", client_secret="비밀" * 8),
    claiming("CA-20", "another server", aud="https://other.example"),
    claiming("CA-20", "missing", aud=None),
    claiming("CA-20", "empty", aud=[]),
    claiming("CA-20", "us and another", aud=["ISSUER", "https://other.example"]),
    claiming("CA-20", "beginning like us", aud="ISSUER.evil.example"),
    claiming("CA-20", "slash", aud="ISSUER/"),
    *(
        claiming("CA-20", f"{name} of fapi2", of="strict", aud=aud)
        for name, aud in {
            "array": ["ISSUER"], "us and another": ["ISSUER", "https://other.example"], "token URL": "ISSUER/token",
            "missing": None,
        }.items()
    ),
    claiming("CA-21", "exp missing", exp=None),
    claiming("CA-21", "exp 5 minutes past", exp="-300"),
    claiming("CA-21", "exp just past", exp="-11"),
    claiming("CA-21", "exp in a year", exp="+31536000"),
    claiming("CA-21", "iat ahead", iat="+61"),
    claiming("CA-21", "nbf ahead", nbf="+61"),
    claiming("CA-22", "missing", jti=None),
    claiming("CA-22", "empty", jti=""),
    claiming("CA-22", "number", jti=7),
    claiming("CA-22", "long", jti="x" * 257),
    assertion("CA-22", "used before", spent, ("client.refused", "assertion_replayed")),
    assertion("CA-23", "padded", respelled(lambda text: text + "=")),
    assertion("CA-23", "other last bits", respelled(_other_last)),
    assertion("CA-23", "newline", respelled(lambda text: text.replace(".", ".\n", 1)), UNKNOWN),
    assertion("CA-23", "space", respelled(lambda text: text + " ")),
    assertion("CA-23", "dot", respelled(lambda text: text + "."), UNKNOWN),
    assertion("CA-26", "zeros", resigned(lambda r, s: bytes(64))),
    assertion("CA-26", "r zero", resigned(lambda r, s: bytes(32) + s)),
    assertion("CA-26", "s is the order", resigned(lambda r, s: r + P256_ORDER.to_bytes(32, "big"))),
    assertion("CA-26", "63 bytes", resigned(lambda r, s: (r + s)[:63])),
    assertion("CA-26", "65 bytes", resigned(lambda r, s: r + s + b"x")),
    assertion("CA-26", "DER", resigned(lambda r, s: b"\x30\x44\x02\x20" + r + b"\x02\x20" + s)),
    assertion("CA-26", "one bit", resigned(lambda r, s: r + s[:-1] + bytes([s[-1] ^ 1]))),
    assertion("CA-26", "a stranger's key", lambda court: jwt.encode({"alg": "ES256"}, claims_of(court.rig), STRANGER)),
    assertion("CA-26", "RSA key", lambda court: jwt.encode({"alg": "RS256"}, claims_of(court.rig), RSA)),
    assertion("CA-26", "none", lambda court: unsigned({"alg": "none"}, claims_of(court.rig), b"")),
    assertion(
        "CA-26", "public key as a secret",
        lambda court: hs256(
            claims_of(court.rig), ECKey.import_key(court.rig.prepared.portal_key("g4k")).as_pem(private=False)
        ),
    ),
    assertion(
        "CA-26", "key in its own header",
        lambda court: jwt.encode(
            {"alg": "ES256", "jwk": STRANGER.as_dict(private=False)}, claims_of(court.rig), STRANGER
        ),
    ),
    assertion("CA-27", "unknown", keyed("nobody")),
    assertion("CA-27", "array", keyed(["g4k"])),
    assertion("CA-27", "path", keyed("../../etc/passwd")),
    assertion("CA-27", "SQL", keyed("' OR 1=1 --")),
    assertion("CA-27", "4 KB", keyed("k" * 4096)),
    assertion(
        "CA-27", "14 KB", keyed("k" * 14_000), BAD_FORM, answer=Json(400, "invalid_request"),
    ),
    assertion("CA-27", "1 MB", keyed("k" * MEGABYTE), answer=UNREAD),
    typed("no type", client_assertion_type=None),
    typed("SAML", client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
    typed("type twice", client_assertion_type=[JWT_BEARER, JWT_BEARER]),
    typed("type alone", client_assertion=None),
    typed("assertion twice", client_assertion=["a.b.c", "d.e.f"]),
    assertion("CA-30", "array", saying([]), UNKNOWN),
    assertion("CA-30", "null", saying(b"null"), UNKNOWN),
    assertion("CA-30", "not UTF-8", saying(b"\xff"), UNKNOWN),
    assertion("CA-30", "twice", saying(b'{"sub":"g4k","sub":"gov24"}'), UNKNOWN),
    assertion(
        "CA-30", "deep", saying(b'{"sub":"g4k","a":' + b"[" * 3000 + b"]" * 3000 + b"}"), UNKNOWN
    ),
    assertion("CA-30", "exp beyond all numbers", saying(b'{"sub":"g4k","exp":1e400}'), UNKNOWN),
    assertion("CA-30", "header is an array", saying({"sub": "g4k"}, [])),
    claiming("CA-30", "aud of numbers", aud=[1, 2]),
    claiming("CA-30", "aud is an object", aud={"a": 1}),
    claiming("CA-30", "exp is a text", exp='"+60"'),
    claiming("CA-30", "exp is true", exp=True),
    claiming("CA-30", "exp is a list", exp=[]),
    claiming("CA-30", "sub is a number", "unknown", sub=1),
    claiming("CA-30", "sub is a list", "unknown", sub=["g4k"]),
    assertion("CA-32", "2 MB", lambda _: "a.b." + "c" * (2 * MEGABYTE), answer=UNREAD),
    assertion(
        "CA-32", "48 KB", lambda _: "a.b." + "c" * 48_000, BAD_FORM,
        answer=Json(400, "invalid_request"),
    ),
    assertion("CA-32", "5,000 dots", lambda _: "." * 5000, UNKNOWN),
    proving("DP-01", "no proof", "missing", lambda _: []),
    proving("DP-02", "two", "header", lambda portal: [portal.proof("/token"), portal.proof("/token")]),
    proving("DP-02", "joined", "header", lambda portal: [f"{portal.proof('/token')}, {portal.proof('/token')}"]),
    proving("DP-02", "empty", "malformed", lambda _: [""]),
    changed("DP-03", "typ JWT", "typ", header={"typ": "JWT"}),
    changed("DP-03", "typ missing", "typ", header={"typ": None}),
    *(
        proving("DP-03", alg, "alg", under_another_algorithm(alg))
        for alg in ("none", "HS256", "RS256", "ES384", "ES256K")
    ),
    changed("DP-03", "crit", "crit", header={"crit": ["x"], "x": 1}),
    changed("DP-04", "missing", "jwk", header={"jwk": None}),
    proving(
        "DP-04", "private", "jwk",
        lambda portal: [portal.proof("/token", header={"jwk": prover(portal).key.as_dict(private=True)})],
    ),
    proving("DP-04", "another's", "signature", signed_by(STRANGER)),
    proving(
        "DP-04", "symmetric", "jwk",
        lambda portal: [portal.proof("/token", header={"jwk": OctKey.generate_key(256).as_dict(private=True)})],
    ),
    proving(
        "DP-04", "off the curve", "jwk",
        lambda portal: [portal.proof("/token", header={"jwk": {**prover(portal).jwk, "y": prover(portal).jwk["x"]}})],
    ),
    changed("DP-07", "missing", "jti", jti=None),
    changed("DP-07", "number", "jti", jti=1),
    changed("DP-07", "long", "jti", jti="x" * 257),
    proving("DP-07", "used before", "replayed", used_once),
    changed("DP-07", "made a minute ago", "iat", at=1),
    proving("DP-07", "another method", "htm", lambda portal: [portal.proof("/token", "GET")]),
    proving("DP-07", "another address", "htu", lambda portal: [portal.proof("/userinfo")]),
    Case(
        "DP-09", "at the push", mismatched_push, BAD_PROOF, [("request.refused", "dpop_jkt")],
    ),
    Case(
        "DP-09", "at the token", by_another_key, Json(400, "invalid_grant"), [("code.refused", "dpop_jkt")],
        prepare=a_bound_code(), after=own_key_still_buys,
    ),
    *(
        using("DP-11", name, "dpop_ath", "invalid_dpop_proof", lambda p, t, of=of: with_proof(p, t, access_token=of))
        for name, of in {"ath missing": None, "ath of another": "x"}.items()
    ),
    using("DP-11", "another key", "key", "invalid_token", lambda p, t: with_proof(p, t, by=Prover())),
    using(
        "DP-11", "as a bearer token", "scheme", "invalid_token",
        lambda p, t: p.userinfo(t, dpop=(), scheme="Bearer"),
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)
