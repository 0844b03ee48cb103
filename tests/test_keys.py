"""Signing keys: their states over time, what others see of them, and who can open them."""

import json
import multiprocessing
import re
import secrets
import threading
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from flask import Flask
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey, KeySet, RSAKey
from sqlalchemy import select, update

from idp import private_halves
from idp.key_encryption import KeyEncryption
from idp.keys import (
    PUBLIC_MEMBERS,
    Keys,
    NoSigningKey,
    RotationPending,
    UnknownKey,
    WrongKeyEncryptionKey,
    state,
)
from idp.models import Base, SigningKey, db, prepare_sqlite, writing

PUBLISH_S, RETIRE_S = 1000, 500
KEK = secrets.token_bytes(32)


class MovingClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000

    def __call__(self) -> int:
        return self.now

    def pass_(self, seconds: int) -> None:
        self.now += seconds


def application(url: str) -> Flask:
    app = Flask("keys")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    with app.app_context():
        if url.startswith("sqlite"):
            prepare_sqlite(db.engine)
        Base.metadata.create_all(db.engine)
    return app


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sinwon.db"
    return str(request.getfixturevalue("postgresql_database"))


@pytest.fixture
def app(url: str) -> Iterator[Flask]:
    app = application(url)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


@pytest.fixture
def keys(app: Flask, clock: MovingClock) -> Keys:
    keys = another_process(clock)
    keys.ensure()
    return keys


def another_process(clock: MovingClock, kek: bytes = KEK) -> Keys:
    """Keys on the same table with a picture of their own. ES256 only: an RSA key takes its time."""
    return Keys(KeyEncryption(kek), clock, PUBLISH_S, RETIRE_S, algs=("ES256",))


def states(keys: Keys) -> list[str]:
    return [listed.state for listed in keys.listing()]


def kids(keys: Keys) -> list[str]:
    return [jwk["kid"] for jwk in keys.jwks()["keys"]]


# States


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (0, "published"),
        (99, "published"),
        (100, "active"),
        (199, "active"),
        (200, "retiring"),
        (299, "retiring"),
        (300, "gone"),
        (9999, "gone"),
    ],
)
def test_the_state_follows_from_the_times_alone(now: int, expected: str) -> None:
    row = SigningKey(published_at=0, active_at=100, retiring_at=200, gone_at=300)
    assert state(row, now) == expected


def test_a_key_nobody_rotates_stays_active() -> None:
    row = SigningKey(published_at=0, active_at=100, retiring_at=None, gone_at=None)
    assert state(row, 10**10) == "active"


def test_the_first_keys_sign_at_once(app: Flask, clock: MovingClock) -> None:
    keys = Keys(KeyEncryption(KEK), clock, PUBLISH_S, RETIRE_S)
    with pytest.raises(NoSigningKey):
        keys.signing_key("ES256")
    keys.ensure()
    assert [(listed.alg, listed.state) for listed in keys.listing()] == [
        ("ES256", "active"),
        ("RS256", "active"),
    ]
    for alg in ("ES256", "RS256"):
        token = keys.sign_jwt("JWT", {"sub": "someone"}, alg)
        assert jwt.decode(token, KeySet.import_key_set(keys.jwks()), algorithms=[alg]).claims == {
            "sub": "someone"
        }


def test_an_rsa_key_can_be_made_for_ps256(app: Flask, clock: MovingClock) -> None:
    keys = Keys(KeyEncryption(KEK), clock, PUBLISH_S, RETIRE_S, algs=("PS256",))
    keys.ensure()
    [public] = keys.jwks()["keys"]
    assert (public["kty"], public["alg"]) == ("RSA", "PS256")
    token = keys.sign_jwt("JWT", {}, "PS256")
    assert jwt.decode(token, RSAKey.import_key(public), algorithms=["PS256"]).header["alg"] == "PS256"


def test_ensuring_again_changes_nothing(keys: Keys, clock: MovingClock) -> None:
    before = keys.listing()
    clock.pass_(10)
    keys.ensure()
    assert keys.listing() == before


def test_a_rotation_walks_through_the_states(keys: Keys, clock: MovingClock) -> None:
    old = keys.signing_key("ES256").kid
    new = keys.rotate("ES256")
    assert states(keys) == ["active", "published"]
    assert (keys.signing_key("ES256").kid, kids(keys)) == (old, [old, new])

    clock.pass_(PUBLISH_S - 1)
    assert keys.signing_key("ES256").kid == old
    clock.pass_(1)
    assert states(keys) == ["retiring", "active"]
    assert (keys.signing_key("ES256").kid, kids(keys)) == (new, [new, old])

    clock.pass_(RETIRE_S - 1)
    assert kids(keys) == [new, old]
    clock.pass_(1)
    assert states(keys) == ["gone", "active"]
    assert kids(keys) == [new]


def test_exactly_one_key_is_active_every_second_of_a_rotation(keys: Keys, clock: MovingClock) -> None:
    keys.rotate("ES256")
    rows = keys.listing()
    for now in range(clock(), clock() + PUBLISH_S + RETIRE_S + 2):
        assert [state(row, now) for row in rows].count("active") == 1


def test_what_an_old_key_signed_is_checked_until_it_is_gone(keys: Keys, clock: MovingClock) -> None:
    token = keys.sign_jwt("JWT", {"sub": "someone"}, "ES256")
    kid = str(jws.extract_compact(token.encode()).headers()["kid"])
    keys.rotate("ES256")
    clock.pass_(PUBLISH_S + RETIRE_S - 1)
    assert jwt.decode(token, keys.verification_key(kid), algorithms=["ES256"]).claims == {"sub": "someone"}
    clock.pass_(1)
    with pytest.raises(UnknownKey):
        keys.verification_key(kid)


def test_a_second_rotation_waits_for_the_first(keys: Keys, clock: MovingClock) -> None:
    keys.rotate("ES256")
    with pytest.raises(RotationPending):
        keys.rotate("ES256")
    clock.pass_(PUBLISH_S)
    keys.rotate("ES256")
    assert states(keys) == ["retiring", "active", "published"]


def test_a_rotation_at_once_signs_with_the_new_key_now(keys: Keys) -> None:
    old = keys.signing_key("ES256").kid
    new = keys.rotate("ES256", at_once=True)
    assert keys.signing_key("ES256").kid == new
    assert kids(keys) == [new, old]


def test_a_rotation_at_once_brings_a_published_key_forward(keys: Keys, clock: MovingClock) -> None:
    new = keys.rotate("ES256")
    clock.pass_(5)
    assert keys.rotate("ES256", at_once=True) == new
    assert states(keys) == ["retiring", "active"]
    clock.pass_(RETIRE_S)
    assert kids(keys) == [new]


def test_an_algorithm_that_is_not_ours_has_no_key(keys: Keys) -> None:
    for refused in (keys.signing_key, keys.rotate, lambda alg: keys.sign_jwt("JWT", {}, alg)):
        for alg in ("HS256", "none", "RS256"):
            with pytest.raises(NoSigningKey):
                refused(alg)


# Removing


def test_a_removed_active_key_is_replaced_at_once(keys: Keys) -> None:
    old = str(keys.signing_key("ES256").kid)
    keys.remove(old)
    new = keys.signing_key("ES256").kid
    assert new != old
    assert kids(keys) == [new]
    with pytest.raises(UnknownKey):
        keys.verification_key(old)


def test_removing_the_active_key_brings_a_published_one_forward(keys: Keys, clock: MovingClock) -> None:
    old = str(keys.signing_key("ES256").kid)
    new = keys.rotate("ES256")
    clock.pass_(1)
    keys.remove(old)
    assert keys.signing_key("ES256").kid == new
    assert states(keys) == ["gone", "active"]


def test_removing_a_published_key_keeps_the_active_one(keys: Keys, clock: MovingClock) -> None:
    old = keys.signing_key("ES256").kid
    keys.remove(keys.rotate("ES256"))
    clock.pass_(PUBLISH_S + RETIRE_S)
    assert keys.signing_key("ES256").kid == old
    assert kids(keys) == [old]


def test_a_key_that_is_gone_loses_its_private_half(keys: Keys, clock: MovingClock) -> None:
    old = keys.signing_key("ES256").kid
    keys.rotate("ES256", at_once=True)
    clock.pass_(RETIRE_S)
    keys.rotate("ES256")
    sealed = {row.kid: row.sealed_private_jwk for row in db.session.scalars(select(SigningKey))}
    assert sealed[str(old)] == ""
    assert all(value for kid, value in sealed.items() if kid != old)


def test_an_unknown_kid_cannot_be_removed(keys: Keys) -> None:
    with pytest.raises(UnknownKey):
        keys.remove("nobody's")


# What others see


def test_the_jwks_has_public_members_only(app: Flask, clock: MovingClock) -> None:
    keys = Keys(KeyEncryption(KEK), clock, PUBLISH_S, RETIRE_S)
    keys.ensure()
    members = {jwk["alg"]: set(jwk) for jwk in keys.jwks()["keys"]}
    assert members == {
        "ES256": {"kty", "crv", "x", "y", "kid", "alg", "use"},
        "RS256": {"kty", "n", "e", "kid", "alg", "use"},
    }
    stored = [set(row.public_jwk) for row in db.session.scalars(select(SigningKey))]
    assert all(names <= PUBLIC_MEMBERS for names in stored)


def test_a_kid_is_the_thumbprint_of_rfc_7638(keys: Keys) -> None:
    [public] = keys.jwks()["keys"]
    assert public["kid"] == ECKey.import_key(public).thumbprint()
    assert public["use"] == "sig"


def test_a_signed_jwt_names_its_key_type_and_algorithm(keys: Keys) -> None:
    token = keys.sign_jwt("logout+jwt", {"a": 1}, "ES256")
    header = json.loads(urlsafe_b64decode(token.split(".")[0] + "=="))
    assert header == {"typ": "logout+jwt", "alg": "ES256", "kid": keys.signing_key("ES256").kid}


def test_a_verification_key_cannot_sign(keys: Keys) -> None:
    key = keys.verification_key(kids(keys)[0])
    assert not key.is_private
    assert set(key.as_dict()) <= PUBLIC_MEMBERS


# Between processes


def test_a_jwks_shows_another_process_s_key_within_a_second(keys: Keys, clock: MovingClock) -> None:
    other = another_process(clock)
    assert len(kids(other)) == 1
    new = keys.rotate("ES256", at_once=True)
    clock.pass_(1)
    assert new in kids(other)


def test_an_unknown_kid_is_looked_up_before_the_picture_is_old(keys: Keys, clock: MovingClock) -> None:
    other = another_process(clock)
    other.signing_key("ES256")
    token = (keys.rotate("ES256", at_once=True), keys.sign_jwt("JWT", {}, "ES256"))
    clock.pass_(1)
    assert jwt.decode(token[1], other.verification_key(token[0]), algorithms=["ES256"]).claims == {}


def test_unknown_kids_are_looked_up_once_a_second_at_most(keys: Keys, clock: MovingClock) -> None:
    with pytest.raises(UnknownKey):
        keys.verification_key("first")
    new = another_process(clock).rotate("ES256")
    with pytest.raises(UnknownKey):
        keys.verification_key(new)
    clock.pass_(1)
    assert keys.verification_key(new)


def test_a_removed_key_is_believed_elsewhere_for_a_minute_at_most(keys: Keys, clock: MovingClock) -> None:
    other = another_process(clock)
    old = str(other.signing_key("ES256").kid)
    keys.remove(old)
    clock.pass_(59)
    assert other.signing_key("ES256").kid == old
    clock.pass_(1)
    assert other.signing_key("ES256").kid == keys.signing_key("ES256").kid


def test_a_clock_set_back_does_not_freeze_the_picture(keys: Keys, clock: MovingClock) -> None:
    other = another_process(clock)
    clock.pass_(10_000)
    other.signing_key("ES256")
    clock.pass_(-10_000)
    new = keys.rotate("ES256", at_once=True)
    assert other.signing_key("ES256").kid == new


def test_a_first_key_of_a_clock_ahead_of_ours_signs_and_is_not_made_again(
    app: Flask, clock: MovingClock
) -> None:
    ahead = MovingClock()
    ahead.pass_(5)
    another_process(ahead).ensure()
    keys = another_process(clock)
    keys.ensure()
    [listed] = keys.listing()
    assert keys.signing_key("ES256").kid == listed.kid


def test_processes_that_start_together_make_one_key(app: Flask, url: str, clock: MovingClock) -> None:
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(3)
    processes = [spawn.Process(target=_ensure, args=(url, start, KEK)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 3
    assert len(another_process(clock).listing()) == 1


def _ensure(url: str, start: Any, kek: bytes) -> None:
    app = application(url)
    with app.app_context():
        start.wait(30)
        another_process(MovingClock(), kek).ensure()
        db.session.remove()
        db.engine.dispose()


def test_threads_that_start_together_make_one_key(app: Flask, clock: MovingClock) -> None:
    start = threading.Barrier(8)
    failures: list[BaseException] = []

    def ensure() -> None:
        try:
            with app.app_context():
                start.wait(30)
                another_process(clock).ensure()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=ensure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(another_process(clock).listing()) == 1


def test_rotations_that_start_together_make_one_key(keys: Keys, app: Flask, clock: MovingClock) -> None:
    start = threading.Barrier(8)
    outcomes: list[str] = []

    def rotate() -> None:
        with app.app_context():
            start.wait(30)
            try:
                another_process(clock).rotate("ES256")
                outcomes.append("rotated")
            except RotationPending:
                outcomes.append("pending")

    threads = [threading.Thread(target=rotate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["pending"] * 7 + ["rotated"]
    assert states(keys) == ["active", "published"]


# At rest


def test_the_private_half_is_not_readable_in_the_database(tmp_path: Path, clock: MovingClock) -> None:
    app = application(f"sqlite:///{tmp_path}/sinwon.db")
    with app.app_context():
        keys = another_process(clock)
        keys.ensure()
        private = keys.signing_key("ES256")
        at_rest = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("sinwon.db*")))
        db.engine.dispose()
    assert isinstance(private.private_key, EllipticCurvePrivateKey)
    number = private.private_key.private_numbers().private_value.to_bytes(32, "big")
    public = private.public_key.public_numbers().x.to_bytes(32, "big")
    assert public in _everything_spelt(at_rest)  # the search finds what is there
    assert number not in _everything_spelt(at_rest)


def _everything_spelt(data: bytes) -> bytes:
    """The bytes, and after them every run of hex or base64 in them, decoded from each start."""
    spelt = [data]
    for run in re.findall(rb"[A-Za-z0-9_-]{40,}", data):
        spelt += [
            b64decode(run[start:] + b"===", altchars=b"-_") for start in range(4) if len(run[start:]) % 4 != 1
        ]
    return b"\n".join(spelt)


def test_another_key_encryption_key_is_a_clear_error(keys: Keys, clock: MovingClock) -> None:
    with pytest.raises(WrongKeyEncryptionKey, match="does not open with this key-encryption key"):
        another_process(clock, secrets.token_bytes(32)).ensure()


def test_a_public_key_planted_in_the_database_is_not_published(keys: Keys, clock: MovingClock) -> None:
    planted = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"}, auto_kid=True)
    row = db.session.scalars(select(SigningKey)).one()
    with writing() as session:
        session.add(
            SigningKey(
                kid=str(planted.kid),
                alg="ES256",
                public_jwk=planted.as_dict(private=False),
                sealed_private_jwk=row.sealed_private_jwk,
                published_at=clock(),
                active_at=clock(),
            )
        )
    with pytest.raises(WrongKeyEncryptionKey):
        another_process(clock).jwks()


def test_an_altered_public_half_is_not_published(keys: Keys, clock: MovingClock) -> None:
    planted = ECKey.generate_key("P-256")
    with writing() as session:
        session.execute(update(SigningKey).values(public_jwk=planted.as_dict(private=False)))
    [shown] = another_process(clock).jwks()["keys"]
    token = keys.sign_jwt("JWT", {}, "ES256")
    assert jwt.decode(token, ECKey.import_key(shown), algorithms=["ES256"]).claims == {}
    with pytest.raises(BadSignatureError):
        jwt.decode(token, planted, algorithms=["ES256"])


def test_reading_keys_leaves_the_caller_s_transaction_alone(keys: Keys, clock: MovingClock) -> None:
    fresh = another_process(clock)
    with writing() as session:
        session.execute(update(SigningKey).values(alg="ES256"))
        assert fresh.sign_jwt("JWT", {}, "ES256")
        assert session.in_transaction()


# By themselves


EVERY_S = 10 * PUBLISH_S


def test_a_key_is_replaced_so_that_it_signs_no_longer_than_it_should(keys: Keys, clock: MovingClock) -> None:
    (first,) = kids(keys)
    clock.pass_(EVERY_S - PUBLISH_S - 1)
    assert keys.rotate_old(EVERY_S) == []
    clock.pass_(1)
    (second,) = keys.rotate_old(EVERY_S)
    assert keys.rotate_old(EVERY_S) == []
    assert keys.next_kids() == {second}
    clock.pass_(PUBLISH_S - 1)
    assert keys.signing_key("ES256").kid == first
    clock.pass_(1)
    assert keys.signing_key("ES256").kid == second
    assert keys.next_kids() == frozenset()
    assert keys.rotate_old(EVERY_S) == []


def test_an_operators_rotation_counts(keys: Keys, clock: MovingClock) -> None:
    clock.pass_(EVERY_S)
    keys.rotate("ES256")
    assert keys.rotate_old(EVERY_S) == []
    clock.pass_(PUBLISH_S)
    assert keys.rotate_old(EVERY_S) == []


def test_a_key_that_another_process_has_just_replaced_is_not_replaced_again(
    keys: Keys, clock: MovingClock
) -> None:
    clock.pass_(EVERY_S)
    another_process(clock).rotate("ES256", at_once=True)
    with pytest.raises(RotationPending):
        keys.rotate("ES256", every_s=EVERY_S)
    assert states(keys) == ["retiring", "active"]


def test_a_rotation_shorter_than_the_announcement_follows_at_once(keys: Keys, clock: MovingClock) -> None:
    for _ in range(3):
        assert len(keys.rotate_old(1)) == 1
        assert keys.rotate_old(1) == []
        clock.pass_(PUBLISH_S)


def test_a_key_of_a_further_algorithm_is_made_when_it_is_needed(keys: Keys) -> None:
    with pytest.raises(NoSigningKey):
        keys.signing_key("PS256")
    keys.ensure(["PS256"])
    keys.ensure(["PS256"])
    assert [listed.alg for listed in keys.listing()].count("PS256") == 1
    token = keys.sign_jwt("JWT", {"sub": "someone"}, "PS256")
    assert jwt.decode(token, KeySet.import_key_set(keys.jwks()), algorithms=["PS256"]).claims == {
        "sub": "someone"
    }


@pytest.mark.parametrize("alg", ["none", "HS256", "ES512", ""])
def test_no_key_is_made_for_an_algorithm_that_is_not_ours(keys: Keys, alg: str) -> None:
    with pytest.raises(NoSigningKey):
        keys.ensure([alg])
    assert [listed.alg for listed in keys.listing()] == ["ES256"]


def test_no_kid_looks_like_an_option_of_a_command(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*, dashed: bool) -> ECKey:
        while True:
            key = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"}, auto_kid=True)
            if key.thumbprint().startswith("-") == dashed:
                return key

    coming = [made(dashed=True), made(dashed=True), made(dashed=False)]
    expected = coming[-1].thumbprint()
    monkeypatch.setattr(private_halves, "_made", lambda alg: coming.pop(0))
    assert keys.rotate("ES256") == expected
