"""How the wallet reads a query: what satisfies it, and which queries break the rules (OpenID4VP 1.0, 6 and 7)."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from idp.demo import dcql

CLAIMS = {
    "name": "홍길동",
    "age_equal_or_over": {"14": True},
    "nationalities": ["KR", "US"],
    "address": {"formatted": "Street 1"},
    "flag": 1,
}


def query(**changes: Any) -> dict[str, Any]:
    credential = {"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:v"]}, **changes}
    return {"credentials": [credential]}


def matched(document: dict[str, Any], vct: str = "urn:v") -> tuple[dcql.ConcretePath, ...] | None:
    found = dcql.match(
        dcql.read(document), claims=CLAIMS, type_name=vct, authority_key_ids=frozenset({"key-1"})
    )
    return None if found is None else found.paths


DOCUMENT = {
    "org.iso.18013.5.1": {"family_name": "HONG", "age_over_19": True, "portrait": b"..."},
    "example.kr.1": {"name_ko": "홍길동"},
}


def mdoc_query(*paths: list[Any], **changes: Any) -> dict[str, Any]:
    claims = {"claims": [{"path": path} for path in paths]} if paths else {}
    meta = {"doctype_value": "org.iso.18013.5.1.mDL"}
    return query(**{"format": "mso_mdoc", "meta": meta, **claims, **changes})


def matched_mdoc(document: dict[str, Any], doc_type: str = "org.iso.18013.5.1.mDL") -> Any:
    found = dcql.match(
        dcql.read(document),
        claims=DOCUMENT,
        type_name=doc_type,
        authority_key_ids=frozenset({"key-1"}),
        format="mso_mdoc",
    )
    return None if found is None else found.paths


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({}, ()),
        ({"claims": [{"path": ["name"]}]}, (("name",),)),
        ({"claims": [{"path": ["age_equal_or_over", "14"]}]}, (("age_equal_or_over", "14"),)),
        ({"claims": [{"path": ["nationalities", None]}]}, (("nationalities", 0), ("nationalities", 1))),
        ({"claims": [{"path": ["nationalities", 1]}]}, (("nationalities", 1),)),
        ({"claims": [{"path": ["nationalities", 2]}]}, None),
        ({"claims": [{"path": ["nationalities", "KR"]}]}, None),
        ({"claims": [{"path": ["name", None]}]}, None),
        ({"claims": [{"path": ["picture"]}]}, None),
        ({"claims": [{"path": ["name"], "values": ["홍길동", "x"]}]}, (("name",),)),
        ({"claims": [{"path": ["name"], "values": ["x"]}]}, None),
        ({"claims": [{"path": ["age_equal_or_over", "14"], "values": [1]}]}, None),
        ({"claims": [{"path": ["flag"], "values": [True]}]}, None),
        ({"claims": [{"path": ["flag"], "values": [1]}]}, (("flag",),)),
        ({"meta": {"vct_values": ["urn:other"]}}, None),
        ({"format": "mso_mdoc", "meta": {"doctype_value": "x"}}, None),
        ({"trusted_authorities": [{"type": "aki", "values": ["key-1"]}]}, ()),
        ({"trusted_authorities": [{"type": "aki", "values": ["key-2"]}]}, None),
        ({"trusted_authorities": [{"type": "etsi_tl", "values": ["https://a"]}]}, None),
        (
            {
                "claims": [{"id": "p", "path": ["picture"]}, {"id": "n", "path": ["name"]}],
                "claim_sets": [["p", "n"], ["n"]],
            },
            (("name",),),
        ),
    ],
    ids=lambda value: json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else "",
)
def test_a_query_selects_what_it_says(
    changes: dict[str, Any], paths: tuple[dcql.ConcretePath, ...] | None
) -> None:
    assert matched(query(**changes)) == paths


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"credentials": []},
        query(id="a b"),
        query(meta=None),
        query(meta={}),
        query(claims=[]),
        query(claims=[{"path": []}]),
        query(claims=[{"path": [True]}]),
        query(claims=[{"path": [-1]}]),
        query(claims=[{"path": ["exp"]}]),
        query(claims=[{"path": ["name"]}, {"path": ["name"]}]),
        query(claims=[{"path": ["name"]}], claim_sets=[["n"]]),
        query(require_cryptographic_holder_binding=False),
        {"credentials": query()["credentials"] * 2},
        {**query(), "credential_sets": [{"options": [["b"]]}]},
    ],
    ids=json.dumps,
)
def test_a_query_that_breaks_the_rules_is_refused(document: object) -> None:
    with pytest.raises(dcql.BadQuery):
        dcql.read(document)


def test_a_set_that_needs_two_credentials_is_not_satisfied() -> None:
    second = {"id": "b", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:v"]}}
    document = {"credentials": [*query()["credentials"], second]}
    assert matched(document) is None
    assert matched({**document, "credential_sets": [{"options": [["a", "b"], ["b"]]}]}) == ()
    optional = [{"options": [["a"]]}, {"options": [["b"]], "required": False}]
    assert matched({**document, "credential_sets": optional}) == ()


NAME, ELEMENT = ["example.kr.1", "name_ko"], ["org.iso.18013.5.1", "family_name"]


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        (mdoc_query(), ()),
        (mdoc_query(NAME, ELEMENT), (tuple(NAME), tuple(ELEMENT))),
        (mdoc_query(["org.iso.18013.5.1", "name_ko"]), None),
        (mdoc_query(["org.iso.23220.1", "family_name"]), None),
        (mdoc_query(NAME, meta={"doctype_value": "org.iso.23220.photoid.1"}), None),
        (mdoc_query(claims=[{"path": NAME, "intent_to_retain": False}]), (tuple(NAME),)),
        (mdoc_query(claims=[{"path": NAME, "values": ["홍길동"]}]), (tuple(NAME),)),
        (mdoc_query(claims=[{"path": ["org.iso.18013.5.1", "age_over_19"], "values": [1]}]), None),
        (mdoc_query(NAME, trusted_authorities=[{"type": "aki", "values": ["key-2"]}]), None),
        (query(claims=[{"path": ["name"]}]), None),
    ],
    ids=lambda value: json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else "",
)
def test_a_query_for_an_mdoc_selects_what_it_says(document: dict[str, Any], paths: Any) -> None:
    assert matched_mdoc(document) == paths


@pytest.mark.parametrize(
    "document",
    [
        mdoc_query(["name"]),
        mdoc_query(["org.iso.18013.5.1", "family_name", "first"]),
        mdoc_query(["org.iso.18013.5.1", None]),
        mdoc_query(["org.iso.18013.5.1", 0]),
        mdoc_query(meta={"vct_values": ["urn:v"]}),
        mdoc_query(meta={"doctype_value": ["org.iso.18013.5.1.mDL"]}),
        mdoc_query(meta={"doctype_value": ""}),
    ],
    ids=json.dumps,
)
def test_a_query_for_an_mdoc_that_breaks_the_rules_is_refused(document: object) -> None:
    with pytest.raises(dcql.BadQuery):
        dcql.read(document)


def test_the_first_claim_set_that_fits_decides_and_the_least_is_shown_where_it_must() -> None:
    claims = [{"id": "p", "path": ["picture"]}, {"id": "n", "path": ["name"]}, {"id": "f", "path": ["flag"]}]
    asked = query(claims=claims, claim_sets=[["n", "p"], ["n", "f"], ["n"]])
    assert matched(asked) == (("name",), ("flag",))


@pytest.mark.parametrize(
    ("match", "own"), [(matched, "a"), (matched_mdoc, "m")], ids=["dc+sd-jwt", "mso_mdoc"]
)
def test_of_alternatives_the_wallet_takes_the_one_it_has(match: Callable[..., Any], own: str) -> None:
    entries = [query(claims=[{"path": ["name"]}]), mdoc_query(NAME, id="m")]
    alternatives = {
        "credentials": [entry["credentials"][0] for entry in entries],
        "credential_sets": [{"options": [["a"], ["m"]]}],
    }
    assert match(alternatives) is not None
    only_the_other = [{"options": [["m" if own == "a" else "a"]]}]
    assert match({**alternatives, "credential_sets": only_the_other}) is None
