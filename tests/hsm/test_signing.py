"""What a house signs with keys in the HSM, and keys that move there and back."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import update

from idp.admin import audit
from idp.admin.audit.signing import CHECKPOINT
from idp.credentials import data_proof, multibase
from idp.hsm import Hsm, HsmError
from idp.key_encryption import KeyEncryption
from idp.keys import Keys, WrongKeyEncryptionKey
from idp.models import SigningKey, db, writing
from idp.opendid import Signer
from tests.opendid.test_profile import settings as opendid_settings
from tests.softhsm import Token
from tests.test_keys import PUBLISH_S, RETIRE_S, MovingClock, application

KEK = KeyEncryption(secrets.token_bytes(32))


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = application(f"sqlite:///{tmp_path}/sinwon.db")
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


def keys_of(
    clock: MovingClock, hsm: Hsm | None, *algs: str, in_hsm: bool = True, kek: KeyEncryption = KEK
) -> Keys:
    """Keys on the same table with a picture of their own."""
    return Keys(kek, clock, PUBLISH_S, RETIRE_S, algs=algs or ("ES256",), hsm=hsm, in_hsm=in_hsm)


def places(keys: Keys) -> list[str]:
    return [listed.place.partition(":")[0] for listed in keys.listing()]


def opened(keys: Keys, signed: str, alg: str = "ES256") -> dict[str, Any]:
    return dict(jwt.decode(signed, KeySet.import_key_set(keys.jwks()), algorithms=[alg]).claims)  # type: ignore[arg-type]


def test_each_algorithm_signs_there(app: Flask, clock: MovingClock, token: Token) -> None:
    algs = ("ES256", "RS256", "PS256")
    keys = keys_of(clock, token.hsm(), *algs)
    keys.ensure()
    assert places(keys) == ["hsm", "hsm", "hsm"]
    for alg in algs:
        assert opened(keys, keys.sign_jwt("logout+jwt", {"alg": alg}, alg), alg) == {"alg": alg}
    assert {frozenset(jwk) for jwk in keys.jwks()["keys"]} == {
        frozenset({"kty", "crv", "x", "y", "kid", "alg", "use"}),
        frozenset({"kty", "n", "e", "kid", "alg", "use"}),
    }


def test_keys_move_into_the_hsm_by_a_rotation_and_back_by_another(
    app: Flask, clock: MovingClock, token: Token
) -> None:
    before = keys_of(clock, None, in_hsm=False)
    before.ensure()
    old = before.sign_jwt("JWT", {"sub": "old"}, "ES256")
    clock.pass_(1)
    there = keys_of(clock, token.hsm())
    there.rotate("ES256", at_once=True)
    assert places(there) == ["database", "hsm"]
    assert opened(there, there.sign_jwt("JWT", {"sub": "new"}, "ES256")) == {"sub": "new"}
    assert opened(there, old) == {"sub": "old"}
    clock.pass_(1)
    back = keys_of(clock, token.hsm(), in_hsm=False)
    back.rotate("ES256", at_once=True)
    assert places(back) == ["database", "hsm", "database"]


def test_a_key_that_is_gone_is_destroyed_in_the_hsm(app: Flask, clock: MovingClock, token: Token) -> None:
    hsm = token.hsm()
    keys = keys_of(clock, hsm)
    keys.ensure()
    (inside,) = (listed.place.removeprefix("hsm:") for listed in keys.listing())
    clock.pass_(1)
    keys.rotate("ES256", at_once=True)
    clock.pass_(RETIRE_S + 1)
    assert inside in {held.id for held in hsm.held()}
    keys.rotate("ES256")
    assert inside not in {held.id for held in hsm.held()}
    assert places(keys)[0] == ""


def test_a_removed_key_is_destroyed_at_once(app: Flask, clock: MovingClock, token: Token) -> None:
    hsm = token.hsm()
    keys = keys_of(clock, hsm)
    keys.ensure()
    listed = keys.listing()[0]
    keys.remove(listed.kid)
    assert listed.place.removeprefix("hsm:") not in {held.id for held in hsm.held()}
    keys.check()


def test_a_key_is_removed_though_the_hsm_is_away_and_destroyed_later(
    app: Flask, clock: MovingClock, token: Token, caplog: pytest.LogCaptureFixture
) -> None:
    keys = keys_of(clock, token.hsm())
    keys.ensure()
    kid = keys.rotate("ES256")
    with token.taken_out(), caplog.at_level(logging.WARNING, "idp"):
        keys_of(clock, token.hsm()).remove(kid)
    assert "not out of the HSM yet" in caplog.text
    assert kid not in {jwk["kid"] for jwk in keys_of(clock, token.hsm()).jwks()["keys"]}
    later = keys_of(clock, token.hsm())
    later.rotate("ES256")
    assert next(listed.place for listed in later.listing() if listed.kid == kid) == ""


def test_the_key_set_is_published_though_the_hsm_is_away(
    app: Flask, clock: MovingClock, token: Token
) -> None:
    keys_of(clock, token.hsm()).ensure()
    with token.taken_out():
        away = keys_of(clock, token.hsm())
        assert [jwk["alg"] for jwk in away.jwks()["keys"]] == ["ES256"]
        for refused in (lambda: away.sign_jwt("JWT", {}, "ES256"), away.check):
            with pytest.raises(HsmError, match="no token"):
                refused()


def test_without_the_settings_of_the_hsm_its_keys_say_what_to_do(
    app: Flask, clock: MovingClock, token: Token
) -> None:
    keys_of(clock, token.hsm()).ensure()
    without = keys_of(clock, None, in_hsm=False)
    with pytest.raises(HsmError) as caught:
        without.check()
    assert "hsm.module" in caught.value.fix
    without.rotate("ES256", at_once=True)
    without.check()


def test_a_row_that_somebody_planted_is_not_published(app: Flask, clock: MovingClock, token: Token) -> None:
    keys = keys_of(clock, token.hsm())
    keys.ensure()
    planted = (
        KeyEncryption(secrets.token_bytes(32)).sealing("signing-keys").seal(b'{"hsm": "00"}', "signing-key:x")
    )
    with writing() as session:
        session.execute(update(SigningKey).values(sealed_private_jwk=planted))
    with pytest.raises(WrongKeyEncryptionKey):
        keys_of(clock, token.hsm()).jwks()


def test_a_checkpoint_of_the_audit_is_signed_there(app: Flask, clock: MovingClock, token: Token) -> None:
    keys = keys_of(clock, token.hsm())
    keys.ensure()
    with writing() as session:
        signed = audit.LogSigner(keys, KEK, "https://idp.example").sign(session, CHECKPOINT, {"size": 1})
    assert audit.LogVerifier(KEK).open(CHECKPOINT, signed)["size"] == 1


def test_a_profile_for_open_did_is_signed_there(token: Token, tmp_path: Path) -> None:
    hsm = token.hsm()
    _, public = hsm.make("EC", "opendid")
    assert isinstance(public, ec.EllipticCurvePublicKey)
    settings = opendid_settings(tmp_path)
    settings.hsm = SimpleNamespace(opendid_key="opendid")
    made = Signer(settings, hsm).signed({"title": "정부24"}, 1_700_000_000)
    signature = multibase.decode(made["proof"]["proofValue"])
    assert data_proof.verifies(public, signature, data_proof.signing_input(made, made["proof"]))
