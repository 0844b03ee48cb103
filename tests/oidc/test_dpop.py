"""DPoP proofs (RFC 9449, section 4.3): made just now, for this request, by the key they show, with our nonce, once."""

import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import redis
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from idp.oidc.dpop import DPOP_ALGORITHMS, DpopRefused, Proofs, challenge
from idp.seal import b64, unb64
from idp.store import Store, Value, open_store
from tests import servers
from tests.oidc.portal_side import MovingClock
from tests.proving import Prover, ath

ISSUER = "https://sinwon.example"
TOKEN = f"{ISSUER}/token"
USERINFO = f"{ISSUER}/userinfo"


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


@pytest.fixture
def store(tmp_path: Path, clock: MovingClock) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path / 'store.db'}", clock)) as opened:
        yield opened


class Rows:
    """What does not forget."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def use(self, kind: str, digest: str, _expires_at: int) -> bool:
        first = (kind, digest) not in self._known
        self._known.add((kind, digest))
        return first


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def proofs(store: Store, clock: MovingClock, rows: Rows) -> Proofs:
    return Proofs(store, clock, ISSUER, rows.use)


@pytest.fixture(scope="module")
def prover() -> Prover:
    return Prover()


class Endpoint:
    """One endpoint that takes proofs: `made` gives a good one with changes, `takes` and `refuses` show it."""

    def __init__(self, proofs: Proofs, clock: MovingClock, prover: Prover) -> None:
        self.proofs, self.clock, self.prover = proofs, clock, prover

    def made(self, **changes: Any) -> str:
        url = changes.pop("url", TOKEN)
        return self.prover.proof(url, **{"at": self.clock.now, "nonce": self.proofs.nonce(), **changes})

    def takes(self, proof: str, **request: Any) -> str:
        return self.proofs.check([proof], **{"method": "POST", "urls": [TOKEN], **request})

    def refuses(self, proof: str, reason: str, error: str = "invalid_dpop_proof", **request: Any) -> None:
        with pytest.raises(DpopRefused) as refused:
            self.takes(proof, **request)
        assert (refused.value.error, refused.value.reason) == (error, reason)


@pytest.fixture
def endpoint(proofs: Proofs, clock: MovingClock, prover: Prover) -> Endpoint:
    return Endpoint(proofs, clock, prover)


# -- what is good ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [ECKey.generate_key("P-256"), RSAKey.generate_key(2048), OKPKey.generate_key("Ed25519")],
    ids=DPOP_ALGORITHMS,
)
def test_a_good_proof_gives_the_thumbprint_of_its_key(proofs: Proofs, clock: MovingClock, key: Any) -> None:
    prover = Prover(key)
    assert Endpoint(proofs, clock, prover).takes(prover.proof(TOKEN, at=clock.now, nonce=proofs.nonce())) == (
        prover.jkt
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"header": {"x": 1, "kid": "mine"}},
        {"extra": {"a": [1, None]}},
        {"jti": "x" * 256},
        {"ath": "of a token that nobody shows here"},
        {"iat": 1_800_000_000.7},
        {"nbf": 1_800_000_000, "exp": 1_800_000_060},
        {"nbf": 1_799_999_000, "exp": 1_900_000_000},
    ],
    ids=str,
)
def test_what_we_do_not_know_or_what_holds_does_no_harm(
    endpoint: Endpoint, changes: Mapping[str, Any]
) -> None:
    assert endpoint.takes(endpoint.made(**changes)) == endpoint.prover.jkt


@pytest.mark.parametrize("off_s", [-60, -10, 10, 60])
def test_a_clock_may_be_off_by_a_minute(endpoint: Endpoint, off_s: int) -> None:
    endpoint.takes(endpoint.made(at=endpoint.clock.now + off_s))


@pytest.mark.parametrize("off_s", [-3600, -61, 61, 3600])
def test_a_clock_may_not_be_off_by_more(endpoint: Endpoint, off_s: int) -> None:
    endpoint.refuses(endpoint.made(at=endpoint.clock.now + off_s), "iat")


@pytest.mark.parametrize(
    "htu",
    [
        f"{TOKEN}?a=b",
        f"{TOKEN}#part",
        f"{TOKEN}?#",
        "HTTPS://Sinwon.EXAMPLE/token",
        "https://sinwon.example:443/token",
        "https://sinwon.example:/token",
        "https://sinwon.example/%74oken",
    ],
)
def test_the_same_address_may_be_spelled_otherwise(endpoint: Endpoint, htu: str) -> None:
    endpoint.takes(endpoint.made(url=htu))


def test_an_endpoint_may_be_known_by_several_addresses(endpoint: Endpoint) -> None:
    alias = "https://mtls.sinwon.example:8443/token"
    endpoint.takes(endpoint.made(url=alias), urls=[TOKEN, f"{alias}?x=1"])


def test_an_address_without_a_path_is_that_of_the_root(endpoint: Endpoint) -> None:
    endpoint.takes(endpoint.made(url=ISSUER), urls=[f"{ISSUER}/"])


# -- what is not -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "htu",
    [
        f"{ISSUER}/userinfo",
        f"{TOKEN}/",
        f"{ISSUER}/TOKEN",
        f"{ISSUER}/x/../token",
        "http://sinwon.example/token",
        "https://sinwon.example:8443/token",
        "https://other.example/token",
        "https://sinwon.example.other.example/token",
        "https://user@sinwon.example/token",
        "https://sinwon.example:port/token",
        "https://[sinwon.example/token",
        "https://sinwon.example/to\tken",
        " https://sinwon.example/token",
        "/token",
        "token",
        "",
        f"{TOKEN}?{'x' * 2048}",
        ["https://sinwon.example/token"],
        7,
        None,
    ],
    ids=lambda htu: str(htu)[:50],
)
def test_a_proof_for_another_address_is_refused(endpoint: Endpoint, htu: Any) -> None:
    endpoint.refuses(endpoint.made(htu=htu), "htu")


@pytest.mark.parametrize("htm", ["GET", "post", "", None, 1, ["POST"]], ids=str)
def test_a_proof_for_another_method_is_refused(endpoint: Endpoint, htm: Any) -> None:
    endpoint.refuses(endpoint.made(htm=htm), "htm")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iat": None}, "iat"),
        ({"iat": "1800000000"}, "iat"),
        ({"iat": True}, "iat"),
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 7}, "jti"),
        ({"jti": "x" * 257}, "jti"),
        ({"nbf": 1_800_000_061}, "nbf_exp"),
        ({"exp": 1_799_999_940}, "nbf_exp"),
        ({"nbf": "now"}, "nbf"),
        ({"exp": []}, "exp"),
    ],
    ids=str,
)
def test_a_proof_whose_claims_do_not_hold_is_refused(
    endpoint: Endpoint, changes: Mapping[str, Any], reason: str
) -> None:
    endpoint.refuses(endpoint.made(**changes), reason)


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("typ", None, "typ"),
        ("typ", "JWT", "typ"),
        ("typ", "dpop", "typ"),
        ("typ", "DPOP+JWT", "typ"),
        ("typ", ["dpop+jwt"], "typ"),
        ("alg", None, "alg"),
        ("alg", "none", "alg"),
        ("alg", "RS256", "alg"),
        ("alg", "HS256", "alg"),
        ("alg", "ES384", "alg"),
        ("alg", "es256", "alg"),
        ("alg", ["ES256"], "alg"),
        ("alg", "PS256", "jwk"),
        ("alg", "EdDSA", "jwk"),
        ("jwk", None, "jwk"),
        ("jwk", "key", "jwk"),
        ("jwk", [], "jwk"),
        ("jwk", {}, "jwk"),
        ("crit", ["x"], "crit"),
        ("b64", False, "crit"),
    ],
)
def test_a_proof_whose_header_does_not_hold_is_refused(
    endpoint: Endpoint, member: str, value: Any, reason: str
) -> None:
    endpoint.refuses(endpoint.made(header={member: value}), reason)


def keys_we_do_not_take() -> dict[str, dict[str, Any]]:
    good = ECKey.generate_key("P-256")
    rsa = RSAKey.generate_key(2048)
    public = good.as_dict(private=False)
    return {
        "private": good.as_dict(private=True),
        "private_rsa": rsa.as_dict(private=True),
        "private_exponent_only": {**rsa.as_dict(private=False), "d": "AQ"},
        "symmetric": OctKey.generate_key(256).as_dict(),
        "k_beside": {**public, "k": "AQ"},
        "another_curve": ECKey.generate_key("P-384").as_dict(private=False),
        "secp256k1": {**public, "crv": "secp256k1"},
        "off_the_curve": {**public, "y": public["x"]},
        "short_coordinate": {**public, "x": public["x"][:-4]},
        "for_encryption": {**public, "use": "enc"},
        "alg_of_another": {**public, "alg": "RS256"},
        "not_text": {**public, "x": 1},
        "crv_list": {**public, "crv": ["P-256"]},
        "no_kty": {name: value for name, value in public.items() if name != "kty"},
    }


REFUSED_KEYS = keys_we_do_not_take()


@pytest.mark.parametrize("kind", REFUSED_KEYS)
def test_a_key_that_is_not_public_or_does_not_fit_is_refused(endpoint: Endpoint, kind: str) -> None:
    endpoint.refuses(endpoint.made(header={"jwk": REFUSED_KEYS[kind]}), "jwk")


@pytest.mark.parametrize("n_bytes", [128, 255, 1500])
def test_an_rsa_key_that_is_too_small_or_too_much_work_is_refused(endpoint: Endpoint, n_bytes: int) -> None:
    jwk = {"kty": "RSA", "n": b64(b"\xff" * n_bytes), "e": "AQAB"}
    endpoint.refuses(endpoint.made(header={"alg": "PS256", "jwk": jwk}), "jwk")


def test_only_the_key_in_the_header_may_have_signed(endpoint: Endpoint) -> None:
    endpoint.refuses(endpoint.made(header={"jwk": Prover().jwk}), "signature")


def test_a_changed_proof_is_refused(endpoint: Endpoint) -> None:
    head, payload, signature = endpoint.made().split(".")
    claims = {**json.loads(unb64(payload)), "jti": "another"}
    endpoint.refuses(f"{head}.{b64(json.dumps(claims).encode())}.{signature}", "signature")
    endpoint.refuses(f"{head}.{payload}.", "signature")
    endpoint.refuses(f"{head}.{payload}.{b64(bytes(64))}", "signature")


@pytest.mark.parametrize(
    "broken",
    [
        "",
        " ",
        "x",
        "a.b",
        "..",
        "가.나.다",
        "GOOD.x",
        "GOOD=",
        " GOOD",
        "GOOD\n",
        '{"payload":"GOOD"}',
    ],
)
def test_what_is_no_compact_jwt_is_refused(endpoint: Endpoint, broken: str) -> None:
    endpoint.refuses(broken.replace("GOOD", endpoint.made()), "malformed")


@pytest.mark.parametrize(
    "header",
    [b"[]", b"\xff", b'{"typ":"dpop+jwt","typ":"dpop+jwt"}', b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", b"{"],
)
def test_a_header_that_is_no_strict_json_object_is_refused(endpoint: Endpoint, header: bytes) -> None:
    endpoint.refuses(endpoint.prover.sign(header, {"jti": "1"}), "malformed")
    endpoint.refuses(endpoint.prover.sign({"typ": "dpop+jwt"}, header), "malformed")


def test_there_is_exactly_one_proof_of_bounded_size(endpoint: Endpoint) -> None:
    one, two = endpoint.made(), endpoint.made()
    for headers in ([], [one, two], [f"{one},{two}"], [f"{one}, {two}"], [endpoint.made(x="x" * 9000)]):
        with pytest.raises(DpopRefused) as refused:
            endpoint.proofs.check(headers, method="POST", urls=[TOKEN])
        assert (refused.value.error, refused.value.reason) == ("invalid_dpop_proof", "header")


# -- with an access token ----------------------------------------------------------------------------------------


def test_a_proof_is_for_one_access_token(endpoint: Endpoint) -> None:
    request = {"method": "GET", "urls": [USERINFO], "access_token": "the-token"}
    proof = {"url": USERINFO, "method": "GET"}
    assert endpoint.takes(endpoint.made(**proof, access_token="the-token"), **request) == endpoint.prover.jkt
    wrong = ("another", ath("the-token") + "=", "the-token", "", 7, None, "한")
    for value in (ath("another-token"), *wrong):
        endpoint.refuses(endpoint.made(**proof, ath=value), "ath", **request)


# -- our nonce ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nonce", [None, "", "x", "x" * 43, 7, ["x"], "한" * 43], ids=str)
def test_without_our_nonce_the_portal_is_told_to_use_one_that_works(endpoint: Endpoint, nonce: Any) -> None:
    with pytest.raises(DpopRefused) as refused:
        endpoint.takes(endpoint.made(nonce=nonce))
    assert (refused.value.error, refused.value.reason) == ("use_dpop_nonce", "nonce")
    endpoint.takes(endpoint.made(nonce=refused.value.nonce))


def test_a_malformed_proof_hears_of_that_and_not_of_the_nonce(endpoint: Endpoint) -> None:
    endpoint.refuses(endpoint.made(nonce=None, typ=None, header={"typ": "JWT"}), "typ")
    endpoint.refuses(endpoint.made(nonce="unknown", htm="GET"), "htm")
    endpoint.refuses(endpoint.made(nonce=None, iat=1), "iat")
    endpoint.refuses(endpoint.made(nonce=None), "ath", access_token="t")


def test_a_proof_without_a_nonce_does_not_spend_its_jti(endpoint: Endpoint) -> None:
    jti = secrets.token_hex(8)
    endpoint.refuses(endpoint.made(nonce=None, jti=jti), "nonce", "use_dpop_nonce")
    endpoint.takes(endpoint.made(jti=jti))


def test_a_nonce_is_good_for_two_minutes_and_not_for_four(endpoint: Endpoint) -> None:
    nonce = endpoint.proofs.nonce()
    endpoint.clock.pass_(120)
    endpoint.takes(endpoint.made(nonce=nonce))
    endpoint.clock.pass_(120)
    endpoint.refuses(endpoint.made(nonce=nonce), "nonce", "use_dpop_nonce")


def test_a_nonce_of_the_future_is_none(endpoint: Endpoint) -> None:
    endpoint.clock.pass_(600)
    nonce = endpoint.proofs.nonce()
    endpoint.clock.pass_(-600)
    endpoint.refuses(endpoint.made(nonce=nonce), "nonce", "use_dpop_nonce")


def test_processes_that_share_a_store_share_their_nonces_and_marks(
    endpoint: Endpoint, store: Store, rows: Rows
) -> None:
    other = Proofs(store, endpoint.clock, ISSUER, rows.use)
    proof = endpoint.made(nonce=other.nonce())
    endpoint.takes(proof)
    with pytest.raises(DpopRefused) as refused:
        other.check([proof], method="POST", urls=[TOKEN])
    assert refused.value.reason == "replayed"


def test_two_issuers_on_one_store_do_not_take_each_others_nonces(
    endpoint: Endpoint, store: Store, rows: Rows
) -> None:
    stranger = Proofs(store, endpoint.clock, "https://other.example", rows.use).nonce()
    endpoint.refuses(endpoint.made(nonce=stranger), "nonce", "use_dpop_nonce")


# -- once --------------------------------------------------------------------------------------------------------


def test_a_proof_works_once(endpoint: Endpoint) -> None:
    proof = endpoint.made()
    endpoint.takes(proof)
    endpoint.refuses(proof, "replayed")


def test_a_proof_is_remembered_as_long_as_it_could_be_believed(endpoint: Endpoint) -> None:
    proof = endpoint.made(at=endpoint.clock.now + 60)
    endpoint.takes(proof)
    for _ in range(12):
        endpoint.clock.pass_(10)
        endpoint.refuses(proof, "replayed")
    endpoint.clock.pass_(1)
    endpoint.refuses(proof, "iat")


def test_each_key_has_its_own_jti(endpoint: Endpoint) -> None:
    endpoint.takes(endpoint.made(jti="same"))
    endpoint.refuses(endpoint.made(jti="same"), "replayed")
    another = Prover().proof(TOKEN, at=endpoint.clock.now, nonce=endpoint.proofs.nonce(), jti="same")
    endpoint.takes(another)


def test_of_many_at_once_one_is_taken(endpoint: Endpoint) -> None:
    proof, begin = endpoint.made(), threading.Barrier(16)

    def show() -> str:
        begin.wait()
        try:
            return endpoint.takes(proof)
        except DpopRefused as refused:
            return str(refused.reason)

    with ThreadPoolExecutor(16) as pool:
        heard = [answer.result() for answer in [pool.submit(show) for _ in range(16)]]
    assert sorted(heard) == sorted([endpoint.prover.jkt, *["replayed"] * 15])


# -- the store forgets (D11) -------------------------------------------------------------------------------------


class Emptied:
    """A store that is emptied in the middle of a verb: just before the n-th call of `add` or `get` of a mark."""

    def __init__(self, store: Store, empty: Any) -> None:
        self._store, self._empty = store, empty
        self.before_add = False
        self.after_add = False

    def get(self, key: str) -> Value | None:
        return self._store.get(key)

    def add(self, key: str, value: Value, ttl_s: int) -> bool:
        marks = key.startswith("dpop:")
        if marks and self.before_add:
            self._empty()
        added = self._store.add(key, value, ttl_s)
        if marks and self.after_add:
            self._empty()
        return added

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def emptied(request: pytest.FixtureRequest, store: Store) -> Iterator[Emptied]:
    """A store of each kind, with the means to empty it."""
    with ExitStack() as opened:
        if request.param == "sqlite":

            def empty() -> None:
                for key in made:
                    store.take(key)

            made: set[str] = set()
            add = store.add

            def remembering(key: str, value: Value, ttl_s: int) -> bool:
                made.add(key)
                return add(key, value, ttl_s)

            store.add = remembering  # type: ignore[method-assign]
            yield Emptied(store, empty)
            return
        request.getfixturevalue("redis_program")
        url = f"redis://127.0.0.1:{opened.enter_context(servers.redis())}/0"
        client = opened.enter_context(closing(redis.Redis.from_url(url)))
        yield Emptied(opened.enter_context(closing(open_store(url))), client.flushall)


def on(emptied: Emptied, clock: MovingClock, prover: Prover) -> Endpoint:
    return Endpoint(Proofs(emptied, clock, ISSUER, Rows().use), clock, prover)  # type: ignore[arg-type]


def test_a_store_that_lost_its_last_second_lets_no_proof_open_a_token_twice(
    endpoint: Endpoint, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of the nonces is older, and still there; only the mark is gone."""
    marks: list[str] = []
    add = store.add

    def remembering(key: str, value: Value, ttl_s: int) -> bool:
        marks.append(key)
        return add(key, value, ttl_s)

    request = {"method": "GET", "urls": [USERINFO], "access_token": "token"}
    made = {"url": USERINFO, "method": "GET", "access_token": "token"}
    proof = endpoint.made(**made)
    monkeypatch.setattr(store, "add", remembering)
    endpoint.takes(proof, **request)
    assert [store.take(mark) for mark in marks] == [{}]
    endpoint.refuses(proof, "replayed", **request)
    endpoint.takes(endpoint.made(**made), **request)


@pytest.mark.parametrize("others", [False, True], ids=["the_same_process", "another_process"])
def test_what_was_used_before_the_store_was_emptied_is_refused_after(
    emptied: Emptied, clock: MovingClock, prover: Prover, others: bool
) -> None:
    endpoint = on(emptied, clock, prover)
    proof = endpoint.made()
    elsewhere = on(emptied, clock, prover)
    elsewhere.proofs.nonce()  # it too has the key in its memory
    endpoint.takes(proof)
    emptied._empty()
    (elsewhere if others else endpoint).refuses(proof, "nonce", "use_dpop_nonce")
    clock.pass_(2)  # until then a process may give out nonces of the key that is gone
    endpoint.takes(endpoint.made())


@pytest.mark.parametrize("moment", ["before_add", "after_add"])
def test_an_emptying_while_a_used_proof_is_looked_at_does_not_let_it_through(
    emptied: Emptied, clock: MovingClock, prover: Prover, moment: str
) -> None:
    endpoint = on(emptied, clock, prover)
    proof = endpoint.made()
    endpoint.takes(proof)
    setattr(emptied, moment, True)
    with pytest.raises(DpopRefused) as refused:
        endpoint.takes(proof)
    assert refused.value.reason == ("nonce" if moment == "before_add" else "replayed")
    setattr(emptied, moment, False)
    endpoint.refuses(proof, "nonce", "use_dpop_nonce")


# -- how it is said ----------------------------------------------------------------------------------------------


def test_the_token_endpoint_says_it_in_json_with_a_nonce_where_that_helps(endpoint: Endpoint) -> None:
    with pytest.raises(DpopRefused) as refused:
        endpoint.takes(endpoint.made(nonce=None))
    status, body, headers = refused.value()
    assert (status, body["error"]) == (400, "use_dpop_nonce")
    assert dict(headers)["DPoP-Nonce"] == refused.value.nonce
    with pytest.raises(DpopRefused) as refused:
        endpoint.takes(endpoint.made(htm="GET"))
    status, body, headers = refused.value()
    assert (status, body["error"]) == (400, "invalid_dpop_proof")
    assert "DPoP-Nonce" not in dict(headers)


def test_a_resource_says_it_in_a_challenge(endpoint: Endpoint) -> None:
    with pytest.raises(DpopRefused) as refused:
        endpoint.takes(endpoint.made(nonce=None))
    assert refused.value.challenge == (
        'DPoP error="use_dpop_nonce", error_description="The proof needs our current nonce.", '
        'algs="ES256 PS256 EdDSA"'
    )
    assert challenge() == 'DPoP algs="ES256 PS256 EdDSA"'


def test_nothing_of_a_proof_is_in_what_is_said_of_it(endpoint: Endpoint) -> None:
    for changes in ({"htu": "https://evil.example/"}, {"htm": "EVIL"}, {"jti": 1, "evil": "evil"}):
        with pytest.raises(DpopRefused) as refused:
            endpoint.takes(endpoint.made(**changes))
        assert "evil" not in repr(refused.value()).lower()
