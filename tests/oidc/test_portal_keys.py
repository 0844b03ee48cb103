"""A portal's public keys: which of them count, and when its jwks_uri is asked."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from idp.oidc.portal_keys import (
    MAX_DOCUMENT_BYTES,
    MAX_KEYS,
    MAX_TRIED,
    NoUsableKey,
    PortalKeys,
    keys_of,
    read,
    signed_payload,
)
from idp.seal import b64, unb64
from tests.oidc.portal_side import (
    MovingClock,
    PortalSite,
    ec_key,
    ed_key,
    jwks,
    known_keys,
    registration,
    rsa_key,
    signed,
)
from tests.waiting import eventually

EC, RSA, ED = ec_key(), rsa_key(), ed_key()


@pytest.fixture
def site() -> Iterator[PortalSite]:
    with PortalSite() as portal_site:
        yield portal_site


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


def public(key: ECKey | RSAKey | OKPKey, **changes: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **changes}


def kids(keys: list[Any]) -> list[str | None]:
    return [key.kid for key in keys]


# Which key for which algorithm


@pytest.mark.parametrize(
    ("alg", "kid"), [("ES256", "ec"), ("PS256", "rsa"), ("RS256", "rsa"), ("EdDSA", "ed")]
)
def test_a_signature_is_checked_with_keys_of_its_algorithm_alone(alg: str, kid: str) -> None:
    portal = registration(EC, RSA, ED)
    keys = known_keys().verifying(portal, alg=alg, kid=None)
    assert kids(keys) == [kid]
    text = signed({"a": 1}, {"ec": EC, "rsa": RSA, "ed": ED}[kid], alg)
    assert json.loads(signed_payload(text, keys, alg=alg)) == {"a": 1}


@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "RS512", "ECDH-ES", "", "Ed25519"])
def test_no_key_is_found_for_an_algorithm_we_do_not_take(alg: str) -> None:
    assert known_keys().verifying(registration(EC, RSA, ED), alg=alg, kid=None) == []


def test_a_kid_names_the_key_and_no_other_is_tried() -> None:
    keys = known_keys()
    portal = registration(ec_key("a"), ec_key("b"), ec_key(None))
    assert kids(keys.verifying(portal, alg="ES256", kid="b")) == ["b"]
    assert keys.verifying(portal, alg="ES256", kid="c") == []
    assert kids(keys.verifying(portal, alg="ES256", kid=None)) == ["a", "b", None]


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"alg": "ES384"},
        {"alg": "ECDH-ES"},
        {"key_ops": ["deriveKey"]},
        {"key_ops": []},
        {"crv": "P-384"},
        {"kty": "RSA"},
    ],
)
def test_a_key_for_something_else_checks_no_signature(members: dict[str, Any]) -> None:
    portal = registration(jwks={"keys": [public(EC, **members)]})
    assert known_keys().verifying(portal, alg="ES256", kid=None) == []


@pytest.mark.parametrize(
    "members", [{"use": "sig"}, {"alg": "ES256"}, {"key_ops": ["verify"]}, {"x5c": ["no certificate"]}]
)
def test_a_key_said_to_be_for_signatures_checks_them(members: dict[str, Any]) -> None:
    portal = registration(jwks={"keys": [public(EC, **members)]})
    assert kids(known_keys().verifying(portal, alg="ES256", kid="ec")) == ["ec"]


def test_a_key_named_by_rfc_9864_is_an_eddsa_key() -> None:
    portal = registration(jwks={"keys": [public(ED, alg="Ed25519")]})
    assert kids(known_keys().verifying(portal, alg="EdDSA", kid="ed")) == ["ed"]


def test_ed448_is_no_eddsa_key_of_ours() -> None:
    portal = registration(OKPKey.generate_key("Ed448"))
    assert known_keys().verifying(portal, alg="EdDSA", kid=None) == []


def test_at_most_eight_keys_are_tried() -> None:
    portal = registration(*(ec_key(None) for _ in range(MAX_TRIED + 1)))
    assert len(known_keys().verifying(portal, alg="ES256", kid=None)) == MAX_TRIED


def test_a_signature_by_another_key_or_another_algorithm_does_not_verify() -> None:
    keys = known_keys().verifying(registration(RSA), alg="PS256", kid="rsa")
    for text in (signed({}, rsa_key("rsa"), "PS256"), signed({}, RSA, "RS256")):
        with pytest.raises(ValueError, match="no key"):
            signed_payload(text, keys, alg="PS256")


def test_the_second_of_two_keys_with_one_kid_verifies() -> None:
    old, new = ec_key("same"), ec_key("same")
    keys = known_keys().verifying(registration(old, new), alg="ES256", kid="same")
    assert signed_payload(signed({}, new, "ES256"), keys, alg="ES256") == b"{}"


def test_a_portal_without_keys_has_none() -> None:
    keys = known_keys()
    assert keys.verifying(registration(), alg="ES256", kid=None) == []
    with pytest.raises(NoUsableKey):
        keys.encrypting(registration(), alg="ECDH-ES")


# Encryption


def test_a_key_for_encryption_alone_is_preferred() -> None:
    either, only = ec_key("either"), ec_key("only", use="enc")
    portal = registration(either, ec_key("sig", use="sig"), only, ec_key("second", use="enc"))
    assert known_keys().encrypting(portal, alg="ECDH-ES").kid == "only"


def test_a_key_that_may_encrypt_is_taken_where_no_other_is() -> None:
    assert (
        known_keys().encrypting(registration(ec_key("sig", use="sig"), RSA), alg="RSA-OAEP-256").kid == "rsa"
    )


@pytest.mark.parametrize("crv", ["P-256", "P-384", "P-521", "X25519"])
@pytest.mark.parametrize("alg", ["ECDH-ES", "ECDH-ES+A256KW"])
def test_ecdh_takes_the_curves_of_rfc_7518_and_x25519(crv: Any, alg: str) -> None:
    kind = OKPKey if crv == "X25519" else ECKey
    portal = registration(kind.generate_key(crv, {"kid": crv}))
    assert known_keys().encrypting(portal, alg=alg).kid == crv


@pytest.mark.parametrize("alg", ["RSA-OAEP", "RSA1_5", "dir", "A256KW", "ES256"])
def test_no_other_encryption_is_offered(alg: str) -> None:
    with pytest.raises(NoUsableKey):
        known_keys().encrypting(registration(EC, RSA), alg=alg)


def test_a_key_named_for_another_encryption_is_not_taken() -> None:
    portal = registration(ec_key("a", use="enc", alg="ECDH-ES"))
    with pytest.raises(NoUsableKey):
        known_keys().encrypting(portal, alg="ECDH-ES+A256KW")


# Reading a set


def weak_rsa() -> dict[str, Any]:
    n = (1 << 2046) + 1
    return public(RSA, n=b64(n.to_bytes(256, "big").lstrip(b"\0")))


@pytest.mark.parametrize(
    "bad",
    [
        "a string",
        None,
        {},
        {"kty": "EC"},
        {"kty": "unheard of", "x": "AA"},
        {"kty": ["EC"]},
        EC.as_dict(private=True),
        RSA.as_dict(private=True),
        {"kty": "oct", "k": "AAAA"},
        OctKey.generate_key(256).as_dict(private=True),
        public(EC, x=b64(b"\x01" * 32)),
        public(EC, x=b64(b"\0" + unb64(str(EC.as_dict()["x"])))),
        public(EC, x="=="),
        public(EC, y=7),
        public(EC, crv="secp256k1"),
        public(EC, crv=["P-256"]),
        public(EC, kid=7),
        public(EC, kid="k" * 257),
        public(EC, use=True),
        public(EC, alg={}),
        public(EC, key_ops="verify"),
        public(EC, key_ops=[1]),
        public(ED, x=b64(b"\x01" * 31)),
        public(RSA, e=b64(b"\x02")),
        public(RSA, e=b64(b"\x01" * 9)),
        public(RSA, n=b64(b"\xff" * 1025)),
        public(RSA, n="A" * 100_000),
        weak_rsa(),
    ],
)
def test_an_unusable_key_is_left_out_and_the_others_stand(bad: Any) -> None:
    found = keys_of({"keys": [bad, public(ec_key("good"))]})
    assert [known.kid for known in found] == ["good"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [], "keys": []}',
        b'{"keys": [' + b"[" * 100 + b"]" * 100 + b"]}",
        b'{"keys": []}' + b" " * MAX_DOCUMENT_BYTES,
        json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode(),
        b"\xff",
    ],
)
def test_what_is_no_jwk_set_or_too_much_of_one_is_an_error(document: bytes) -> None:
    with pytest.raises(ValueError):
        read(document)


def test_a_registered_set_that_is_none_has_no_keys() -> None:
    portal = registration(jwks={"keys": [{}] * (MAX_KEYS + 1)})
    assert known_keys().verifying(portal, alg="ES256", kid=None) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "use", "alg", "key_ops", "d", "x5c"])
VALUES = JSON | st.sampled_from(["EC", "RSA", "OKP", "oct", "P-256", "Ed25519", "sig", "AQAB", ["verify"]])


@given(st.sampled_from([EC, RSA, ED]), st.dictionaries(MEMBERS, VALUES, max_size=4))
def test_a_key_with_any_members_is_read_or_left_out_but_never_an_error(
    key: ECKey | RSAKey | OKPKey, members: dict[str, Any]
) -> None:
    for known in keys_of({"keys": [public(key, **members)]}):
        assert not known.key.is_private
        assert "d" not in members
        for alg in ("ES256", "PS256", "EdDSA"):
            known.fits(alg, "sig")


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_text_is_a_set_or_a_value_error(document: bytes) -> None:
    try:
        read(document)
    except ValueError:
        return
    assert isinstance(json.loads(document)["keys"], list)


# jwks_uri: when it is asked


def test_a_set_is_fetched_once_and_kept_for_five_minutes(site: PortalSite, clock: MovingClock) -> None:
    site.publish(EC)
    portal, keys = registration(jwks_uri=site.jwks_uri), PortalKeys(site.fetch, clock)
    for _ in range(3):
        assert kids(keys.verifying(portal, alg="ES256", kid="ec")) == ["ec"]
    clock.pass_(299)
    keys.verifying(portal, alg="ES256", kid="ec")
    assert len(site.asked) == 1
    clock.pass_(1)
    keys.verifying(portal, alg="ES256", kid="ec")
    assert len(site.asked) == 2


def test_a_withdrawn_key_is_forgotten_with_the_next_fetch(site: PortalSite, clock: MovingClock) -> None:
    site.publish(EC)
    portal, keys = registration(jwks_uri=site.jwks_uri), PortalKeys(site.fetch, clock)
    keys.verifying(portal, alg="ES256", kid="ec")
    site.publish()
    clock.pass_(300)
    assert keys.verifying(portal, alg="ES256", kid="ec") == []


def test_a_new_key_is_found_at_once_by_its_kid(site: PortalSite, clock: MovingClock) -> None:
    site.publish(EC)
    portal, keys = registration(jwks_uri=site.jwks_uri), PortalKeys(site.fetch, clock)
    keys.verifying(portal, alg="ES256", kid="ec")
    site.publish(ec_key("next"))
    assert kids(keys.verifying(portal, alg="ES256", kid="next")) == ["next"]
    assert keys.verifying(portal, alg="ES256", kid="ec") == []


def test_invented_kids_make_us_ask_once_in_ten_seconds(site: PortalSite, clock: MovingClock) -> None:
    site.publish(EC)
    portal, keys = registration(jwks_uri=site.jwks_uri), PortalKeys(site.fetch, clock)
    keys.verifying(portal, alg="ES256", kid="ec")
    for n in range(20):
        assert keys.verifying(portal, alg="ES256", kid=f"invented {n}") == []
    assert len(site.asked) == 2
    clock.pass_(9)
    keys.verifying(portal, alg="ES256", kid="invented")
    assert len(site.asked) == 2
    clock.pass_(1)
    site.publish(ec_key("next"))
    assert kids(keys.verifying(portal, alg="ES256", kid="next")) == ["next"]
    assert len(site.asked) == 3


def test_a_portal_that_signs_without_kid_is_asked_again_by_age_alone(
    site: PortalSite, clock: MovingClock
) -> None:
    site.publish(ec_key(None))
    portal, keys = registration(jwks_uri=site.jwks_uri), PortalKeys(site.fetch, clock)
    for _ in range(3):
        assert len(keys.verifying(portal, alg="ES256", kid=None)) == 1
    assert len(site.asked) == 1


@pytest.mark.parametrize("wrong", ["gone", "no set"])
def test_while_the_address_fails_the_last_set_stands_for_a_day(
    site: PortalSite, clock: MovingClock, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    site.publish(EC)
    portal, keys = registration(jwks_uri=site.jwks_uri), PortalKeys(site.fetch, clock)
    keys.verifying(portal, alg="ES256", kid="ec")
    site.documents["/jwks"] = b"<html>"
    site.status = 500 if wrong == "gone" else 200
    clock.pass_(86_399)
    assert kids(keys.verifying(portal, alg="ES256", kid="ec")) == ["ec"]
    assert "its last good keys stand" in caplog.text
    assert site.origin not in caplog.text
    clock.pass_(1)
    assert keys.verifying(portal, alg="ES256", kid="ec") == []


def test_an_address_that_fails_is_left_alone_for_ten_seconds(site: PortalSite, clock: MovingClock) -> None:
    portal, keys = registration(jwks_uri=site.jwks_uri), PortalKeys(site.fetch, clock)
    for kid in ("a", "b", None):
        assert keys.verifying(portal, alg="ES256", kid=kid) == []
    with pytest.raises(NoUsableKey):
        keys.encrypting(portal, alg="ECDH-ES")
    assert len(site.asked) == 1
    site.publish(EC)
    clock.pass_(10)
    assert kids(keys.verifying(portal, alg="ES256", kid="ec")) == ["ec"]


def test_a_refused_address_gives_no_keys(clock: MovingClock, site: PortalSite) -> None:
    keys = PortalKeys(site.fetch, clock)
    portal = registration(jwks_uri="http://127.0.0.1:1/not-listed")
    assert keys.verifying(portal, alg="ES256", kid=None) == []
    assert site.asked == []


def test_a_clock_set_back_makes_us_ask_again(site: PortalSite, clock: MovingClock) -> None:
    site.publish(EC)
    portal, keys = registration(jwks_uri=site.jwks_uri), PortalKeys(site.fetch, clock)
    keys.verifying(portal, alg="ES256", kid="ec")
    clock.pass_(-1000)
    assert kids(keys.verifying(portal, alg="ES256", kid="ec")) == ["ec"]
    assert len(site.asked) == 2


def test_only_so_many_addresses_are_remembered(site: PortalSite, clock: MovingClock) -> None:
    keys = PortalKeys(site.fetch, clock, max_sets=2)
    for path in ("/a", "/b", "/c"):
        site.documents[path] = json.dumps(jwks(EC)).encode()
    for path in ("/a", "/b", "/a", "/c", "/a", "/b"):
        keys.verifying(registration(jwks_uri=site.origin + path), alg="ES256", kid="ec")
    assert site.asked == ["/a", "/b", "/c", "/b"]  # the one not used for longest was forgotten


@pytest.mark.parametrize("kid", [None, "ec"])
def test_threads_that_want_one_set_share_one_fetch(
    site: PortalSite, clock: MovingClock, kid: str | None
) -> None:
    site.publish(EC)
    portal, keys = registration(jwks_uri=site.jwks_uri), PortalKeys(site.fetch, clock)
    site.open.clear()
    started = threading.Barrier(17)

    def ask(_: int) -> list[Any]:
        started.wait(10)
        return keys.verifying(portal, alg="ES256", kid=kid)

    with ThreadPoolExecutor(16) as threads:
        answers = [threads.submit(ask, n) for n in range(16)]
        started.wait(10)
        eventually(lambda: len(site.asked) == 1)
        site.open.set()
        assert [kids(answer.result(10)) for answer in answers] == [["ec"]] * 16
    assert len(site.asked) == 1


def test_threads_that_meet_a_new_kid_all_find_it_with_one_fetch(site: PortalSite, clock: MovingClock) -> None:
    site.publish(EC)
    portal, keys = registration(jwks_uri=site.jwks_uri), PortalKeys(site.fetch, clock)
    keys.verifying(portal, alg="ES256", kid="ec")
    site.publish(ec_key("next"))
    site.open.clear()
    with ThreadPoolExecutor(16) as threads:
        answers = [threads.submit(keys.verifying, portal, alg="ES256", kid="next") for _ in range(16)]
        eventually(lambda: len(site.asked) == 2)
        site.open.set()
        assert [kids(answer.result(10)) for answer in answers] == [["next"]] * 16
    assert len(site.asked) == 2


def test_a_slow_address_does_not_hold_up_another_portal(site: PortalSite, clock: MovingClock) -> None:
    site.publish(EC)
    keys = PortalKeys(site.fetch, clock)
    site.open.clear()
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(keys.verifying, registration(jwks_uri=site.jwks_uri), alg="ES256", kid="ec")
        eventually(lambda: len(site.asked) == 1)
        assert kids(keys.verifying(registration(RSA), alg="RS256", kid="rsa")) == ["rsa"]
        assert not slow.done()
        site.open.set()
        assert kids(slow.result(10)) == ["ec"]


def test_a_set_that_is_due_serves_on_while_the_next_one_comes(site: PortalSite, clock: MovingClock) -> None:
    site.publish(EC)
    portal, keys = registration(jwks_uri=site.jwks_uri), PortalKeys(site.fetch, clock)
    keys.verifying(portal, alg="ES256", kid="ec")
    clock.pass_(300)
    site.open.clear()
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(keys.verifying, portal, alg="ES256", kid="ec")
        eventually(lambda: len(site.asked) == 2)
        assert kids(keys.verifying(portal, alg="ES256", kid="ec")) == ["ec"]
        assert not asking.done()
        site.open.set()
        assert kids(asking.result(10)) == ["ec"]
