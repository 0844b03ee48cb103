"""What is sealed opens with the one secret it was sealed for, for the one purpose, and with nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp import seal


def test_a_browser_opens_what_was_sealed_to_it() -> None:
    secret = seal.browser_secret()
    sealed = seal.to_browser(seal.browser_key(secret), "홍길동".encode(), "login:1")
    assert seal.open_with_browser(secret, sealed, "login:1").decode() == "홍길동"


def test_another_browser_opens_nothing() -> None:
    sealed = seal.to_browser(seal.browser_key(seal.browser_secret()), b"x", "login:1")
    with pytest.raises(seal.CannotOpen):
        seal.open_with_browser(seal.browser_secret(), sealed, "login:1")


def test_what_was_sealed_for_one_login_does_not_open_for_another() -> None:
    secret = seal.browser_secret()
    sealed = seal.to_browser(seal.browser_key(secret), b"x", "login:1")
    with pytest.raises(seal.CannotOpen):
        seal.open_with_browser(secret, sealed, "login:2")


def test_a_code_opens_what_was_sealed_under_it_for_its_purpose_only() -> None:
    sealed = seal.under("code", b"x", "code")
    assert seal.open_under("code", sealed, "code") == b"x"
    for secret, purpose in (("code", "access-token"), ("other", "code")):
        with pytest.raises(seal.CannotOpen):
            seal.open_under(secret, sealed, purpose)


def test_the_same_value_is_never_sealed_twice_alike() -> None:
    assert seal.under("code", b"x", "code") != seal.under("code", b"x", "code")


@pytest.mark.parametrize("place", [0, 11, 12, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    sealed = bytearray(seal.unb64(seal.under("code", b"claims", "code")))
    sealed[place] ^= 1
    with pytest.raises(seal.CannotOpen):
        seal.open_under("code", seal.b64(bytes(sealed)), "code")


@pytest.mark.parametrize("sealed", ["", "A", "AA==", "가나다", "A" * 20])
def test_what_is_no_sealed_value_is_an_error_of_its_own(sealed: str) -> None:
    with pytest.raises(seal.CannotOpen):
        seal.open_under("code", sealed, "code")
    with pytest.raises(seal.CannotOpen):
        seal.open_with_browser(seal.browser_secret(), sealed, "login:1")


@pytest.mark.parametrize("cookie", ["", "x", "가", "A" * 42, "A" * 44, "=" * 43])
def test_a_cookie_that_is_not_ours_is_a_value_error(cookie: str) -> None:
    with pytest.raises(ValueError):
        seal.browser_key(cookie)


@given(st.binary(max_size=64))
def test_base64url_has_one_spelling(data: bytes) -> None:
    text = seal.b64(data)
    assert seal.unb64(text) == data
    for other in (text + "=", text + "\n", " " + text):
        with pytest.raises(ValueError, match="base64url"):
            seal.unb64(other)


@given(st.text(alphabet='AQg048-_+/=\\"\n u', max_size=9))
def test_what_is_read_as_base64url_is_what_would_be_written(text: str) -> None:
    try:
        data = seal.unb64(text)
    except ValueError:
        return
    assert seal.b64(data) == text


@pytest.mark.parametrize(
    "text",
    [
        "QUI=",
        "QQ==",
        "QR",
        "QUJDR",
        "QU+/",
        'QUJD"',
        '"',
        "QUI\\",
        "\\u0041",
        "QU\nJD",
        "QUJD\0",
        "QUÉ",
        "가",
        " ",
        "====",
    ],
)
def test_what_is_no_base64url_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        seal.unb64(text)


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_two_lists_of_parts_never_share_a_mac(one: list[str], other: list[str]) -> None:
    assert (seal.mac(b"key", *one) == seal.mac(b"key", *other)) == (one == other)
