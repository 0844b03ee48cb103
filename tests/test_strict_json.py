"""JSON from outside has one meaning, bounded work, and one kind of error."""

import json

import pytest
from hypothesis import given
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
