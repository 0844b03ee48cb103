"""JWTs for one portal: signed by us, encrypted to it where it registered that, never less."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from joserfc import jwe, jws
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from idp.key_encryption import KeyEncryption
from idp.keys import Keys, NoSigningKey
from idp.models import Base, db, prepare_sqlite
from idp.oidc.portal_keys import NoUsableKey
from idp.oidc.wrapping import Wrapping
from idp.portals.rules import ENCRYPTION_ALGORITHMS, ENCRYPTION_ENCODINGS
from idp.seal import unb64
from tests.oidc.portal_side import MovingClock, known_keys, registration

CLAIMS = {"sub": "someone", "name": "김신원"}
EC = ECKey.generate_key("P-256", {"kid": "ec-enc", "use": "enc"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa-enc", "use": "enc"})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    path: Path = tmp_path_factory.mktemp("keys") / "keys.db"
    app = Flask("wrapping")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{path}"
    db.init_app(app)
    with app.app_context():
        prepare_sqlite(db.engine)
        Base.metadata.create_all(db.engine)
        made = Keys(
            KeyEncryption(secrets.token_bytes(32)), MovingClock(), 100, 100, algs=("ES256", "RS256", "PS256")
        )
        made.ensure()
        yield made
        db.engine.dispose()


@pytest.fixture
def wrapping(keys: Keys) -> Wrapping:
    return Wrapping(keys, known_keys())


def header(text: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(unb64(text.split(".", maxsplit=1)[0]))
    return read


def verified(text: str, keys: Keys) -> dict[str, Any]:
    alg = header(text)["alg"]
    payload = jws.deserialize_compact(text, KeySet.import_key_set(keys.jwks()), algorithms=[alg]).payload
    claims: dict[str, Any] = json.loads(payload or b"")
    return claims


@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256"])
def test_a_portal_gets_a_signed_jwt(wrapping: Wrapping, keys: Keys, alg: str) -> None:
    text = wrapping.jwt(CLAIMS, typ="JWT", registration=registration(), alg=alg)
    assert header(text) == {"typ": "JWT", "alg": alg, "kid": keys.signing_key(alg).kid}
    assert verified(text, keys) == CLAIMS


@pytest.mark.parametrize("alg", ENCRYPTION_ALGORITHMS)
@pytest.mark.parametrize("enc", ENCRYPTION_ENCODINGS)
def test_what_is_encrypted_opens_with_the_portals_key_to_the_signed_jwt(
    wrapping: Wrapping, keys: Keys, alg: str, enc: str
) -> None:
    text = wrapping.jwt(
        CLAIMS,
        typ="token-introspection+jwt",
        registration=registration(EC, RSA),
        alg="ES256",
        encryption_alg=alg,
        encryption_enc=enc,
    )
    key = RSA if alg.startswith("RSA") else EC
    assert {name: header(text)[name] for name in ("alg", "enc", "cty", "kid")} == {
        "alg": alg,
        "enc": enc,
        "cty": "JWT",
        "kid": key.kid,
    }
    inside = (jwe.decrypt_compact(text, key, algorithms=[alg, enc]).plaintext or b"").decode()
    assert header(inside)["typ"] == "token-introspection+jwt"
    assert verified(inside, keys) == CLAIMS


def test_x25519_serves_as_well(wrapping: Wrapping, keys: Keys) -> None:
    key = OKPKey.generate_key("X25519")
    text = wrapping.jwt(
        CLAIMS, typ="JWT", registration=registration(key), alg="ES256", encryption_alg="ECDH-ES"
    )
    assert "kid" not in header(text)
    inside = (
        jwe.decrypt_compact(text, key, algorithms=["ECDH-ES", "A128CBC-HS256"]).plaintext or b""
    ).decode()
    assert verified(inside, keys) == CLAIMS


def test_an_algorithm_without_encoding_means_a128cbc_hs256(wrapping: Wrapping) -> None:
    text = wrapping.jwt(
        CLAIMS, typ="JWT", registration=registration(EC), alg="ES256", encryption_alg="ECDH-ES"
    )
    assert header(text)["enc"] == "A128CBC-HS256"


@pytest.mark.parametrize(
    ("alg", "enc"),
    [
        ("RSA-OAEP-256", None),  # no such key
        ("RSA1_5", "A256GCM"),
        ("dir", "A256GCM"),
        ("ECDH-ES", "A192GCM"),
        ("ECDH-ES", "none"),
        (None, "A256GCM"),
    ],
)
def test_what_cannot_be_encrypted_as_registered_is_not_sent_at_all(
    wrapping: Wrapping, alg: str | None, enc: str | None
) -> None:
    with pytest.raises(NoUsableKey):
        wrapping.jwt(
            CLAIMS,
            typ="JWT",
            registration=registration(EC),
            alg="ES256",
            encryption_alg=alg,
            encryption_enc=enc,
        )


@pytest.mark.parametrize("alg", ["none", "HS256", "EdDSA"])
def test_only_our_own_algorithms_sign(wrapping: Wrapping, alg: str) -> None:
    with pytest.raises(NoSigningKey):
        wrapping.jwt(CLAIMS, typ="JWT", registration=registration(), alg=alg)
