"""The query of a question: what is asked in each format, and what a wallet may leave out."""

from __future__ import annotations

from typing import Any

from idp.credentials.trust import CredentialTypeTrust, FormatTrust
from idp.openid4vp import dcql
from idp.openid4vp.query import query
from idp.presentation.question import Alternative, Question

NUMBER, NAME, PHOTO = ("license_number",), ("name",), ("picture",)
NAMESPACE = "example.1"
UNLOCKED = (NAMESPACE, "user_authentication")


def asked(format: str, required: tuple[tuple[str, ...], ...], optional: tuple[tuple[str, ...], ...]) -> Any:
    """The one credential query for a type in this format."""
    mdoc = format == "mso_mdoc"
    looks = FormatTrust(
        format=format,
        names=frozenset({"example.licence.1"}),
        paths={path: (NAMESPACE, path[-1]) if mdoc else path for path in (NUMBER, NAME, PHOTO)},
        authentication=UNLOCKED if mdoc else ("user_authentication",),
    )
    kind = CredentialTypeTrust("licence", {"ko": "면허", "en": "Licence"}, "licence", NUMBER, {format: looks})
    alternative = Alternative(kind, looks, (NUMBER,), required, optional)
    made = query(Question((alternative,), status_fail_closed=False), {format})
    dcql.check(made)
    return made["credentials"][0]


def sets(entry: Any) -> list[set[str]]:
    """The last step of every path in each of the claim sets."""
    names = {claim["id"]: claim["path"][-1] for claim in entry["claims"]}
    return [{names[claim] for claim in some} for some in entry["claim_sets"]]


def test_what_is_optional_may_be_left_out() -> None:
    found = asked("dc+sd-jwt", (NAME,), (PHOTO,))
    assert sets(found) == [{"name", "license_number", "picture"}, {"name", "license_number"}]


def test_it_may_be_left_out_also_where_the_person_key_is_a_required_claim() -> None:
    found = asked("dc+sd-jwt", (NAME, NUMBER), (PHOTO,))
    assert sets(found) == [{"name", "license_number", "picture"}, {"name", "license_number"}]


def test_of_an_mdoc_it_is_asked_how_the_holder_unlocks_it() -> None:
    found = asked("mso_mdoc", (NAME,), ())
    assert [*UNLOCKED] in [claim["path"] for claim in found["claims"]]
    assert sets(found) == [{"name", "license_number", "user_authentication"}, {"name", "license_number"}]


def test_a_wallet_leaves_out_what_is_optional_before_how_it_is_unlocked() -> None:
    found = asked("mso_mdoc", (NAME,), (PHOTO,))
    needed = {"name", "license_number"}
    assert sets(found) == [
        needed | {"user_authentication", "picture"},
        needed | {"user_authentication"},
        needed | {"picture"},
        needed,
    ]


def test_with_nothing_optional_there_is_one_way_to_answer() -> None:
    assert "claim_sets" not in asked("dc+sd-jwt", (NAME,), ())
