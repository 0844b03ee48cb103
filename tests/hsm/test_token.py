"""A token of SoftHSM: sessions that break and come back, forks, wrong PINs, and keys that do not come out."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from idp import hsm as hsms
from idp.hsm import Hsm, HsmError, private_key
from tests.softhsm import PIN, Token

_SHA256 = ec.ECDSA(hashes.SHA256())


class Stopwatch:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture(scope="module")
def ec_key(token: Token) -> tuple[bytes, Any]:
    return token.hsm().make("EC", "one of ours")


@pytest.fixture(scope="module")
def rsa_key(token: Token) -> tuple[bytes, Any]:
    return token.hsm().make("RSA", "one of ours")


@pytest.fixture(autouse=True)
def afresh(token: Token) -> Iterator[None]:
    yield
    hsms.let_go()


def signs(hsm: Hsm, made: tuple[bytes, Any]) -> None:
    """A signature of the key in the HSM holds."""
    key_id, public = made
    public.verify(private_key(hsm, ("id", key_id), public).sign(b"text", _SHA256), b"text", _SHA256)


def test_a_key_pair_is_made_there_and_signs_there(token: Token, ec_key: tuple[bytes, Any]) -> None:
    signs(token.hsm(), ec_key)


@pytest.mark.parametrize(
    "scheme",
    [padding.PKCS1v15(), padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)],
    ids=["PKCS1v15", "PSS"],
)
def test_an_rsa_key_signs_in_both_ways(token: Token, rsa_key: tuple[bytes, Any], scheme: Any) -> None:
    key_id, public = rsa_key
    key = private_key(token.hsm(), ("id", key_id), public)
    assert isinstance(key, rsa.RSAPrivateKey)
    public.verify(key.sign(b"text", scheme, hashes.SHA256()), b"text", scheme, hashes.SHA256())


def test_nothing_brings_a_key_out(token: Token, ec_key: tuple[bytes, Any]) -> None:
    import pkcs11  # noqa: PLC0415

    key: Any = private_key(token.hsm(), ("id", ec_key[0]), ec_key[1])
    for out in (
        key.private_numbers,
        lambda: key.private_bytes(None, None, None),
        lambda: key.exchange(None, None),
    ):
        with pytest.raises(TypeError):
            out()
    session = pkcs11.lib(str(token.module)).get_token(token_label="sinwon").open(user_pin=PIN)
    found: Any = list(session.get_objects({pkcs11.Attribute.ID: ec_key[0]}))
    private = next(one for one in found if one.object_class == pkcs11.ObjectClass.PRIVATE_KEY)
    assert private[pkcs11.Attribute.EXTRACTABLE] is False
    with pytest.raises(pkcs11.PKCS11Error):
        _ = private[pkcs11.Attribute.VALUE]


def test_another_key_in_its_place_is_noticed_at_the_first_signature(
    token: Token, ec_key: tuple[bytes, Any]
) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(HsmError, match="not the one"):
        private_key(token.hsm(), ("id", ec_key[0]), other).sign(b"text", _SHA256)  # type: ignore[call-arg,arg-type]


def test_threads_share_a_session(token: Token, ec_key: tuple[bytes, Any]) -> None:
    hsm = token.hsm()
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda _: signs(hsm, ec_key), range(80)))) == 80


def test_two_houses_of_a_process_use_one_token(token: Token, ec_key: tuple[bytes, Any]) -> None:
    first, second = token.hsm(), token.hsm()
    signs(first, ec_key)
    signs(second, ec_key)
    signs(first, ec_key)


def test_a_child_begins_anew_and_the_parent_goes_on(token: Token, ec_key: tuple[bytes, Any]) -> None:
    hsm = token.hsm()
    signs(hsm, ec_key)
    pid = os.fork()
    if pid == 0:  # pragma: no cover - another process
        try:
            signs(hsm, ec_key)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    signs(hsm, ec_key)


def test_a_session_that_was_closed_is_opened_again(token: Token, ec_key: tuple[bytes, Any]) -> None:
    hsm = token.hsm()
    signs(hsm, ec_key)
    assert hsm._session is not None
    hsm._session.close()
    signs(hsm, ec_key)


def test_a_token_that_was_taken_out_is_said_and_comes_back_by_itself(
    token: Token, ec_key: tuple[bytes, Any]
) -> None:
    watch = Stopwatch()
    hsm = Hsm(str(token.module), "sinwon", PIN.encode(), monotonic=watch)
    signs(hsm, ec_key)
    with token.taken_out():
        with pytest.raises(HsmError) as caught:
            signs(hsm, ec_key)
        assert caught.value.said == "there is no token sinwon; the module shows none"
        assert "hsm.token" in caught.value.fix
    with pytest.raises(HsmError, match="no token"):
        signs(hsm, ec_key)  # it was asked a moment ago
    watch.at += 2
    signs(hsm, ec_key)


def test_the_check_sees_that_a_key_is_gone(token: Token) -> None:
    watch = Stopwatch()
    hsm = Hsm(str(token.module), "sinwon", PIN.encode(), monotonic=watch)
    key_id, _ = hsm.make("EC", "short-lived")
    hsm.check(("id", key_id))
    hsm.destroy(key_id)
    watch.at += 1
    with pytest.raises(HsmError, match=f"no private key with the id {key_id.hex()}"):
        hsm.check(("id", key_id))


def test_a_missing_key_does_not_keep_others_from_signing(token: Token, ec_key: tuple[bytes, Any]) -> None:
    hsm = token.hsm()
    with pytest.raises(HsmError, match="no private key"):
        hsm.sign(("label", "nobody's"), "ECDSA", hashlib.sha256(b"").digest())
    signs(hsm, ec_key)


def test_what_one_key_cannot_do_keeps_no_other_from_signing(
    token: Token, ec_key: tuple[bytes, Any], rsa_key: tuple[bytes, Any]
) -> None:
    hsm = token.hsm()
    signs(hsm, ec_key)
    before = hsm.generation
    with pytest.raises(HsmError, match="cannot do it"):
        hsm.sign(("id", rsa_key[0]), "DES3_MAC", b"text")
    signs(hsm, ec_key)
    assert hsm.generation == before  # and no session was given up for it


def test_a_failure_that_is_met_again_is_another_exception(token: Token) -> None:
    hsm = token.hsm(label="nowhere")
    met = []
    for _ in range(2):
        with pytest.raises(HsmError) as caught:
            hsm.held()
        met.append(caught.value)
    assert met[0] is not met[1]
    assert str(met[0]) == str(met[1])


def test_a_wrong_pin_is_tried_once(token: Token, ec_key: tuple[bytes, Any]) -> None:
    watch = Stopwatch()
    hsm = Hsm(str(token.module), "sinwon", b"1111", monotonic=watch)
    with pytest.raises(HsmError, match="does not take this PIN"):
        signs(hsm, ec_key)
    (token.directory / "tokens").rename(token.directory / "elsewhere")
    try:
        watch.at += 3600
        with pytest.raises(HsmError, match="does not take this PIN"):  # said without asking
            signs(hsm, ec_key)
    finally:
        (token.directory / "elsewhere").rename(token.directory / "tokens")
    signs(token.hsm(), ec_key)


@pytest.mark.parametrize("secret", ["1111", PIN])
def test_no_message_shows_a_pin(token: Token, secret: str) -> None:
    hsm = Hsm(str(token.module), "nowhere", secret.encode())
    with pytest.raises(HsmError) as caught:
        hsm.held()
    assert secret not in str(caught.value) + repr(caught.value) + repr(hsm)


def test_a_file_that_is_no_module_is_said(token: Token, tmp_path: Path) -> None:
    (tmp_path / "module.so").write_bytes(b"nothing")
    with pytest.raises(HsmError, match="does not start") as caught:
        Hsm(str(tmp_path / "module.so"), "sinwon", b"1").held()
    assert "hsm.module" in caught.value.fix


def test_a_missing_library_is_said(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(HsmError, match=r"sinwon\[hsm\]"):
        Hsm("/nowhere.so", "sinwon", b"1").held()


def test_two_tokens_of_one_label_are_not_guessed_between(token: Token) -> None:
    made = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        "twin",
        "--pin",
        PIN,
        "--so-pin",
        "so-" + PIN,
    ]
    hsms.let_go()
    for _ in range(2):
        subprocess.run(made, check=True, capture_output=True)
    with pytest.raises(HsmError, match="2 tokens have the label twin"):
        token.hsm(label="twin").held()


def test_a_secret_makes_the_same_key_each_time_and_another_secret_another(token: Token) -> None:
    hsm = token.hsm()
    hsm.make_secret("kek-1")
    hsm.make_secret("kek-2")
    first = hsm.secret("kek-1")
    assert len(first) == 32
    assert token.hsm().secret("kek-1") == first != hsm.secret("kek-2")


def test_what_is_destroyed_is_gone_with_both_halves(token: Token) -> None:
    hsm = token.hsm()
    key_id, _ = hsm.make("EC", "short-lived")
    assert [held.kind for held in hsm.held() if held.id == key_id.hex()] == ["private key", "public key"]
    hsm.destroy(key_id)
    assert key_id.hex() not in {held.id for held in hsm.held()}
