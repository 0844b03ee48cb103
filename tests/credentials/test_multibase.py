"""Multibase: the five encodings of Open DID, each in one spelling, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.credentials import multibase

# Data Specification 2.1.5. Its example of base64 is none: it has a character too many.
PUBLISHED = {
    "f4d756c74696261736520697320617765736f6d6521205c6f2f": b"Multibase is awesome! \\o/",
    "F4D756C74696261736520697320617765736F6D6521205C6F2F": b"Multibase is awesome! \\o/",
    "zYAjKoNbau5KiqmHPmSxYCvn66dA1vLmwbt": b"Multibase is awesome! \\o/",
    "uaHR0cHM6Ly9rby53aWtpcGVkaWEub3Jn": b"https://ko.wikipedia.org",
}


@pytest.mark.parametrize("text", PUBLISHED)
def test_the_published_examples_are_read(text: str) -> None:
    assert multibase.decode(text) == PUBLISHED[text]


def test_padding_may_be_there_or_not() -> None:
    assert multibase.decode("mAA==") == multibase.decode("mAA") == b"\0"
    assert multibase.decode("uAA==") == multibase.decode("uAA") == b"\0"


@given(st.binary(max_size=300), st.sampled_from(["z", "u", "m"]))
def test_what_is_written_is_read_again(data: bytes, base: str) -> None:
    assert multibase.decode(multibase.encode(data, base)) == data  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x00",
        "b32",
        "f0",
        "fAB",
        "Fab",
        "f0g",
        "z0",
        "zO",
        "z l",
        "mA",
        "mAB",  # a second spelling of mAA
        "mAA=",
        "mAA===",
        "mA-==",
        "uA+",
        "mA A=",
        "m가",
        "z가",
        "f가가",
        "z" + "1" * 65_537,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        multibase.decode(text)


def test_what_is_too_long_is_not_read() -> None:
    with pytest.raises(ValueError, match="length"):
        multibase.decode("m" + "A" * 100, max_chars=100)
