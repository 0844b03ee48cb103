"""CBOR from outside: what is read, what is refused, and that nothing costs more than it may."""

import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from hypothesis import given, settings
from hypothesis import strategies as st

from idp.credentials import CredentialRejected, Reason, cbor
from idp.credentials.cbor import (
    Day,
    Embedded,
    Moment,
    Sign1,
    as_received,
    embedded_content,
    loads,
    loads_all,
)
from tests.pace import pace

MIB = 1024 * 1024


def refused(data: bytes, read: Callable[..., Any] = loads, **arguments: Any) -> Reason:
    with pytest.raises(CredentialRejected) as refusal:
        read(data, **arguments)
    return refusal.value.reason


# What is read


@pytest.mark.parametrize(
    "value",
    [
        0,
        23,
        24,
        2**64 - 1,
        -1,
        -(2**64),
        True,
        False,
        None,
        1.5,
        "",
        "가",
        b"",
        b"\x00",
        [],
        [[1]],
        {},
        {"a": {"b": 1}},
    ],
    ids=repr,
)
def test_plain_values_are_read(value: Any) -> None:
    read = loads(cbor2.dumps(value))
    assert (read, type(read)) == (value, type(value))


def test_a_tdate_is_a_moment() -> None:
    assert loads(cbor2.dumps(CBORTag(0, "2026-11-23T03:00:00Z"))) == Moment(
        "2026-11-23T03:00:00Z", 1795402800
    )
    assert loads(cbor2.dumps(CBORTag(0, "1969-12-31T23:59:59.9Z"))).seconds == -1


def test_a_full_date_is_a_day() -> None:
    assert loads(cbor2.dumps(CBORTag(1004, "1984-02-29"))) == Day("1984-02-29")


def test_embedded_cbor_is_left_unread() -> None:
    assert loads(cbor2.dumps(CBORTag(24, b"\xff"))) == Embedded(b"\xff")


def test_integers_are_keys_only_where_they_are_expected() -> None:
    data = cbor2.dumps({1: 2, -1: 3, "a": 4})
    assert loads(data, integer_keys=True) == {1: 2, -1: 3, "a": 4}
    assert refused(data) is Reason.MALFORMED


def test_the_tag_of_cose_sign1_is_read_only_where_it_is_expected() -> None:
    data = cbor2.dumps(CBORTag(18, [1]))
    assert loads(data, sign1=True) == Sign1([1])
    assert refused(data) is Reason.MALFORMED


@pytest.mark.parametrize(
    "head", [b"\x18\x01", b"\x19\x00\x01", b"\x1a\x00\x00\x00\x01", b"\x1b" + bytes(7) + b"\x01"]
)
def test_a_number_that_is_not_in_its_shortest_form_is_read(head: bytes) -> None:
    assert loads(head) == 1


def test_what_is_secret_is_not_printed() -> None:
    for value in (CBORTag(0, "1984-02-29T00:00:00Z"), CBORTag(1004, "1984-02-29"), CBORTag(24, b"1984")):
        assert "1984" not in repr(loads(cbor2.dumps(value)))


# What is refused


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x18",
        b"\x1c",
        b"\x1f",
        b"\xff",
        b"\xf8\x14",
        b"\x41",
        b"\x61\xff",
        b"\x63\xed\xa0\x80",
        b"\x81",
        b"\xa1\x61a",
        b"\x00\x00",
        b"\xf6\xf6",
    ],
    ids=bytes.hex,
)
def test_what_is_not_well_formed_is_refused(data: bytes) -> None:
    assert refused(data) is Reason.MALFORMED


@pytest.mark.parametrize(
    "data", [b"\x5f\x41a\xff", b"\x7f\x61a\xff", b"\x9f\x01\xff", b"\xbf\x61a\x01\xff"], ids=bytes.hex
)
def test_indefinite_lengths_are_refused(data: bytes) -> None:
    assert refused(data) is Reason.MALFORMED


@pytest.mark.parametrize(
    "data",
    [
        b"\xa2\x61a\x01\x61a\x02",
        b"\xa2\x61a\x01\x78\x01a\x02",
        b"\x81\xa2\x61a\x01\x61a\x01",
        b"\xa2\x01\x01\x18\x01\x02",
        b"\xa2\x01\x01\xf5\x02",
        b"\xa2\x01\x01\xf9\x3c\x00\x02",
    ],
    ids=bytes.hex,
)
def test_a_key_that_is_there_twice_is_refused(data: bytes) -> None:
    assert refused(data, integer_keys=True) is Reason.MALFORMED


@pytest.mark.parametrize(
    "key",
    [
        b"\xf5",
        b"\xf6",
        b"\xf7",
        b"\xf9\x3c\x00",
        b"\xf9\x7e\x00",
        b"\xe0",
        b"\x41a",
        b"\x80",
        b"\x81\x01",
        b"\xa0",
        b"\xc0\x74" + b"2026-11-23T03:00:00Z",
        b"\xd8\x18\x40",
    ],
    ids=bytes.hex,
)
@pytest.mark.parametrize("integer_keys", [True, False])
def test_a_key_of_another_kind_is_never_found_under_a_number_or_text(key: bytes, integer_keys: bool) -> None:
    data = b"\xa1" + key + b"\x00"
    try:
        assert all(type(name) is bytes for name in loads(data, integer_keys=integer_keys))
    except CredentialRejected as refusal:
        assert refusal.reason is Reason.MALFORMED


def test_every_tag_that_no_credential_needs_is_refused() -> None:
    needed = {0, 24, 1004}
    contents = (b"\x00", b"\x40", b"\x41\x01", b"\x60", b"\x80", b"\x82\x01\x02", b"\xa0", b"\x6a2020-01-01")
    for tag in [*range(300), 1004, 43000, 55799, 2**16, 2**32, 2**64 - 1]:
        head = b"\xdb" + tag.to_bytes(8, "big")
        for content in contents:
            if tag not in needed:
                assert refused(head + content) is Reason.MALFORMED
                assert refused(head + content, integer_keys=True) is Reason.MALFORMED


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        (0, "2026-11-23"),
        (0, "2026-11-23T03:00:00"),
        (0, "2026-11-23T03:00:00+09:00"),
        (0, "2026-13-01T00:00:00Z"),
        (0, "2026-11-23T03:00:00Z\n"),
        (0, "٢٠٢٦-11-23T03:00:00Z"),
        (0, 1795402800),
        (1004, "2026-02-29"),
        (1004, "20260228"),
        (1004, "2026-02-28T00:00:00Z"),
        (1004, 20000),
        (24, "a0"),
        (24, {}),
        (24, None),
    ],
    ids=repr,
)
def test_a_tag_on_something_else_is_refused(tag: int, content: Any) -> None:
    assert refused(cbor2.dumps(CBORTag(tag, content))) is Reason.MALFORMED


def test_what_is_too_long_is_refused_unread() -> None:
    assert refused(b"\x58\x20" + bytes(32), max_bytes=33) is Reason.TOO_LARGE
    assert loads(b"\x58\x20" + bytes(32), max_bytes=34)


def test_the_error_holds_nothing_of_the_input() -> None:
    for data in (b"\xa2\x66secret\x01\x66secret\x02", b"\xc0\x66secret", b"\x66secret\x00"):
        with pytest.raises(CredentialRejected) as refusal:
            loads(data)
        assert "secret" not in str(refusal.value)
        assert refusal.value.__cause__ is None
        assert refusal.value.__context__ is None or refusal.value.__suppress_context__


# Many at once


@given(st.lists(st.recursive(st.none() | st.integers(0, 9) | st.text(), st.lists, max_leaves=5), max_size=8))
def test_many_messages_read_as_each_of_them_does(values: list[Any]) -> None:
    assert loads_all([cbor2.dumps(value) for value in values]) == values


@pytest.mark.parametrize(
    "messages",
    [
        [b""],
        [b"\x00\x00"],
        [b"\x00\x00", b""],
        [b"", b"\x00\x00"],
        [b"\x81", b"\x00"],
        [b"\x58\x20", b"\x00"],
        [b"\x82\x00", b"\x00"],
        [b"\x00", b"\x00\x00"],
        [b"\x00", b"\x18"],
        [b"\x00\x50" + bytes(16) + b"\x00", b""],
    ],
    ids=repr,
)
def test_many_messages_are_refused_when_one_ends_early_or_late(messages: list[bytes]) -> None:
    assert refused(messages, read=loads_all) is Reason.MALFORMED  # type: ignore[arg-type]


PHOTO = cbor2.dumps(bytes(5000))


def test_a_long_message_is_read_in_its_place() -> None:
    assert loads_all([b"\x01", PHOTO, b"\x02", PHOTO]) == [1, bytes(5000), 2, bytes(5000)]


@pytest.mark.parametrize("long", [PHOTO + b"\x00", PHOTO[:-1], b"\xa2\x00" + PHOTO + b"\x00\x00"])
def test_a_long_message_is_read_as_strictly(long: bytes) -> None:
    assert refused([b"\x01", long, b"\x02"], read=loads_all) is Reason.MALFORMED  # type: ignore[arg-type]


def test_long_messages_together_hold_no_more_items_than_one_may() -> None:
    long = b"\x99\x10\x00" + bytes(0x1000)
    assert loads_all([long]) == [[0] * 0x1000]
    assert refused([long, long], read=loads_all) is Reason.TOO_LARGE  # type: ignore[arg-type]


@given(st.lists(st.binary(max_size=12), max_size=4))
@settings(max_examples=1000)
def test_many_messages_are_read_exactly_where_each_of_them_is(messages: list[bytes]) -> None:
    def each() -> Any:
        try:
            return repr([loads(message) for message in messages])
        except CredentialRejected:
            return None

    try:
        together = repr(loads_all(messages))
    except CredentialRejected:
        together = None
    assert together == each()


# As received


def test_embedded_items_are_found_as_they_were_received() -> None:
    items = [b"\x01", b"", bytes(23), bytes(24), bytes(300), b"\x01"]
    message = cbor2.dumps([CBORTag(24, item) for item in items])
    read = loads(message)
    assert b"".join(as_received(message, read)) == message[1:]
    assert as_received(message, read[3:5]) == [cbor2.dumps(CBORTag(24, item)) for item in items[3:5]]


def test_what_stands_at_the_end_is_found_from_there() -> None:
    message = cbor2.dumps([CBORTag(24, b"\xa0"), "between", CBORTag(24, b"\xa0")])
    assert as_received(message, [loads(message)[2]], at_the_end=True) == [b"\xd8\x18\x41\xa0"]


@pytest.mark.parametrize("length", [0, 1, 23, 24, 255, 256, 1473, 65_535, 65_536])
def test_embedded_content_is_that_of_one_item_and_no_more(length: int) -> None:
    content = b"\xff" * length
    item = cbor2.dumps(CBORTag(24, content))
    assert embedded_content(item) == content
    for wrong in (item + b"\0", item[:-1], b"\xd8\x18", content, cbor2.dumps(CBORTag(24, "text"))):
        assert refused(wrong, read=embedded_content) is Reason.MALFORMED
    longer = b"\xd8\x18\x5a" + length.to_bytes(4, "big") + content
    assert embedded_content(longer) == content


@pytest.mark.parametrize(
    "head",
    [
        b"\xd8\x18\x58\x01",
        b"\xd8\x18\x59\x00\x01",
        b"\xd8\x18\x5a\x00\x00\x00\x01",
        b"\xd8\x18\x5b" + bytes(7) + b"\x01",
    ],
)
def test_a_longer_length_is_part_of_what_was_received(head: bytes) -> None:
    message = b"\x82" + head + b"\x07" + b"\xd8\x18\x41\x08"
    assert as_received(message, loads(message)) == [head + b"\x07", b"\xd8\x18\x41\x08"]


def test_a_tag_that_is_not_in_its_shortest_form_is_refused() -> None:
    message = b"\xd9\x00\x18\x41\x07"
    assert refused(message, read=lambda one: as_received(one, [loads(one)])) is Reason.MALFORMED


# Cost


def colliding_arrays(number: int) -> bytes:
    """A map of this many keys, arrays of two numbers, whose hashes are all the same in CPython 3.11."""
    first, second, third = 11400714785074694791, 14029467366897019727, 2870177450012600261
    whole = 2**64 - 1
    inverse = pow(second, -1, 2**64)
    goal = 0x1234567
    keys = []
    candidate = 0
    while len(keys) < number:
        candidate += 1
        lane = (third + candidate * second) & whole
        lane = (lane << 31 | lane >> 33) & whole
        lane = lane * first & whole
        other = (goal - lane) * inverse & whole
        if other < 2**61 - 1:
            keys.append(b"\x82" + cbor2.dumps(candidate) + cbor2.dumps(other))
    assert len({hash(tuple(cbor2.loads(key))) for key in keys[:9]}) == 1
    return b"\xb9" + struct.pack(">H", number) + b"".join(key + b"\x00" for key in keys)


HOSTILE = {
    "a length that is not there": b"\x5b" + b"\x7f" * 8,
    "an array that is not there": b"\x9b" + b"\x7f" * 8,
    "arrays that are not there": b"\x9a\x7f\xff\xff\xff" * 15,
    "a map that is not there": b"\xba\x7f\xff\xff\xff",
    "a length of almost 2^64": b"\x5b" + b"\xff" * 8,
    "deep": b"\x81" * 500_000 + b"\x00",
    "deep maps": b"\xa1\x61a" * 200_000 + b"\x00",
    "deep tags": b"\xd8\x18" * 200_000 + b"\x40",
    "many empty arrays": b"\x9a" + struct.pack(">I", 1_000_000) + b"\x80" * 1_000_000,
    "many maps": b"\x9a" + struct.pack(">I", 340_000) + b"\xa1\x60\x00" * 340_000,
    "many maps in a short message": b"\x99" + struct.pack(">H", 5_000) + b"\xa1\x60\x00" * 5_000,
    "many numbers": b"\x9a" + struct.pack(">I", 1_000_000) + b"\x00" * 1_000_000,
    "a long number": b"\xc2\x5a" + struct.pack(">I", 1_000_000) + b"\xff" * 1_000_000,
    "a decimal of a long exponent": b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01",
    "shared references": b"\xd8\x1c\x82\xd8\x1d\x00\xd8\x1d\x00",
    "string references": b"\xd9\x01\x00\x82\x64aaaa\xd8\x19\x00",
    "keys that collide": colliding_arrays(1_300),
    "many keys that collide": colliding_arrays(20_000),
    "a regular expression": b"\xd8\x23\x78\x1e" + b"(" * 30,
    "a text that is not UTF-8": b"\x7a" + struct.pack(">I", 1_000_000) + b"a" * 999_999 + b"\xff",
}


@pytest.mark.parametrize("integer_keys", [True, False])
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_costs_much(name: str, integer_keys: bool) -> None:
    tracemalloc.start()
    try:
        began = time.process_time()
        try:
            loads(HOSTILE[name], integer_keys=integer_keys)
        except CredentialRejected as refusal:
            assert refusal.reason in (Reason.MALFORMED, Reason.TOO_LARGE)
        took_s = time.process_time() - began
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert took_s < 1 * pace()
    assert peak < 8 * MIB


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=2000)
def test_nothing_but_a_refusal_comes_of_any_bytes(data: bytes, flag: bool) -> None:
    try:
        cbor.loads(data, integer_keys=flag, sign1=flag)
    except CredentialRejected as refusal:
        assert refusal.reason is Reason.MALFORMED
