"""JSON from outside has one meaning, bounded work, and one kind of error."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from idp import strict_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_honest_json_reads_as_python_reads_it(value: object) -> None:
    assert strict_json.loads(json.dumps(value)) == value
    assert strict_json.loads(json.dumps(value, ensure_ascii=False)) == value


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_white_space_and_escapes_change_nothing(value: object, indent: object, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)  # type: ignore[arg-type]
    assert strict_json.loads(f" {text}\n") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-0", 0),
        ("1E5", 100_000.0),
        ("1.10", 1.1),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2**64),
        ("99999999999999999999", 10**20 - 1),
        ("-9223372036854775808", -(2**63)),
        ('"\\/\\u0041\\ud83d\\ude00"', "/A\U0001f600"),
    ],
)
def test_a_value_that_can_be_written_otherwise_is_read(text: str, value: object) -> None:
    read = strict_json.loads(text)
    assert read == value
    assert type(read) is type(value)


PIECES = [
    "[",
    "]",
    "{",
    "}",
    '"',
    '"a"',
    '"b"',
    ":",
    ",",
    "1",
    "-0",
    "1.0",
    "e5",
    "0" * 21,
    "null",
    " ",
    "\\",
    "\\u0061",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example('{"a":1,"a":1}')
@example('{"a" :1,"b":":","a":1}')
@example("1" * 21)
def test_what_is_read_fast_is_what_the_careful_reader_reads(text: str) -> None:
    fast = strict_json._read_back(text.encode())
    if fast is not strict_json._DOUBTED:
        careful = strict_json._decoded(text)
        assert (fast, repr(fast)) == (careful, repr(careful))


@given(st.lists(VALUES, max_size=4))
def test_an_array_is_read_as_the_same_by_its_own_reader(values: list[object]) -> None:
    text = json.dumps(values, ensure_ascii=False).encode()
    assert (strict_json.loads_array(text), repr(strict_json.loads_array(text))) == (values, repr(values))


@given(st.lists(st.sampled_from([*PIECES, "[", "]", ",", '"a"']), max_size=12).map("".join))
@example(',"\\ud800"')
@example(",-0")
@example(f",{1 << 63}")
@example(f",{-(1 << 63)}")
@example(",[[]]")
@example(",[1]")
@example("],[")
@example(" ")
def test_what_is_read_as_an_array_is_what_is_read_of_any_text(within: str) -> None:
    text = f'["salt"{within}]'.encode()
    try:
        expected = strict_json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            strict_json.loads_array(text)
    else:
        assert repr(strict_json.loads_array(text)) == repr(expected)


@pytest.mark.parametrize("text", [b'{"a": 1}', b'"a"', b"1", b"null", b"", b" ", b"[", b"[1],[2]", b"\xff"])
def test_what_is_no_array_is_refused_as_one(text: bytes) -> None:
    with pytest.raises(ValueError):
        strict_json.loads_array(text)


PHOTO = b"A" * 2_000_000


def test_how_long_an_array_may_be_is_the_askers() -> None:
    for text in (b'["salt", "picture", "%b"]', b'["salt", "picture", {"a": "%b"}]'):
        read = strict_json.loads_array(text % PHOTO)
        assert read == strict_json.loads(text % PHOTO, max_bytes=3_000_000)


@pytest.mark.parametrize(
    "text",
    [
        b'["%b", {"a": 1, "a": 1}]',
        b'["%b", 111111111111111111111]',
        b'["%b", NaN]',
        b'["%b", "\\ud800"]',
        b'["%b", "\xff"]',
        b'["%b\n"]',
        b'["%b"],[]',
        b'["%b"',
        b"[" * 33 + b'"%b"' + b"]" * 33,
    ],
)
@pytest.mark.parametrize("size", [3, 5_000])
def test_an_array_is_read_as_strictly(text: bytes, size: int) -> None:
    with pytest.raises(ValueError):
        strict_json.loads_array(text % PHOTO[:size])


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_nothing_but_a_value_error_comes_of_anything(text: str | bytes) -> None:
    try:
        strict_json.loads(text)
    except ValueError:
        return


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": {"b": 1, "b": 1}}',
        "[NaN]",
        "[Infinity]",
        "[-Infinity]",
        "[1e999]",
        "[" * 100_000,
        "[" * 40 + "]" * 40,
        '{"a":' * 40 + "1" + "}" * 40,
        "1" * 5000,
        "1" * 21,
        '{"a": [1, {"b": -111111111111111111111}]}',
        '{ "a":1,"a" :2}',
        '{"a":1,"\\u0061":1}',
        '"\x00"',
        '"\n"',
        "01",
        "1.",
        "'a'",
        "[1]\0",
        "1." + "0" * 100,
        '["\\ud800"]',
        '{"\\udfff": 1}',
        '"\ud800"',
        b"\xff",
        b'{"a": "\xc3\x28"}',
        "",
        "{} {}",
        '{"a": 1,}',
        "\ufeff{}",
    ],
)
def test_doubtful_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        strict_json.loads(text)


def test_brackets_in_a_string_are_no_depth() -> None:
    text = json.dumps({"a": "[" * 1000 + '\\"]'})
    assert strict_json.loads(text, max_depth=1) == {"a": "[" * 1000 + '\\"]'}


def test_depth_counts_what_is_open_and_not_what_was() -> None:
    assert strict_json.loads("[" + "[],".join([""] * 1000) + "[]]", max_depth=2) == [[]] * 1000


def test_a_text_over_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ValueError, match="too large"):
        strict_json.loads('"' + "a" * 100 + '"', max_bytes=50)


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null"])
def test_an_object_is_an_object(text: str) -> None:
    with pytest.raises(ValueError, match="not an object"):
        strict_json.loads_object(text)
