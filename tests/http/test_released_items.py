"""What was released is one thing, wherever it is said: consent page, tokens, UserInfo, receipt, `/me` and the audit.

Every combination of scope and of what is left to the holder's choice is a sign-in of its own; between two of them the
holder takes everything back, so that each is asked for anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, combinations, count
from typing import Any

import pytest

from idp import my_page, receipts
from idp.claims import CLAIMS, SCOPES
from idp.demo import check
from idp.models import AuditEvent, Consent, db
from idp.oidc import withdrawal
from tests.at_me import Me
from tests.rig import Portal, Rig

PEOPLE = count(9500)
REQUIRED = ("name", "birthdate")
OPTIONAL = ("gender", "address", "kr_passport")
BY_LAW = "kr_overseas_registration_number"
ASKED = ("profile", "address", "kr_overseas", "kr_passport")
TEXT = {"ko": "글", "en": "Text"}


def subsets(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, n) for n in range(len(names) + 1))


@pytest.fixture(scope="module")
def portal_of(rig: Rig) -> str:
    """A portal with an item of each kind: required, optional, protected specially and optional, by law."""
    claims: list[dict[str, Any]] = [
        *({"name": name, "purpose": TEXT} for name in REQUIRED),
        *({"name": name, "purpose": TEXT, "required": False} for name in OPTIONAL),
        {"name": BY_LAW, "purpose": TEXT, "basis": "statute", "statute": TEXT},
    ]
    scopes = ["openid", *ASKED, "offline_access"]
    rig.variant(
        "gov24",
        "every-kind",
        claims=claims,
        scopes=scopes,
        grant_types=["authorization_code", "refresh_token"],
    )
    return "every-kind"


def portal(rig: Rig, client_id: str) -> Portal:
    made = rig.portal("gov24")
    made.client_id = client_id
    return made


def on_the_page(page: check.Page) -> set[str]:
    """The items of the consent page by name; those that a law gives have no field, only their label."""
    fields = {item.attributes["value"] for item in page.root.below() if item.attributes.get("name") == "item"}
    label = CLAIMS[BY_LAW].label["ko"]
    return fields | ({BY_LAW} if label in page.root.text else set())


def released(said: dict[str, Any]) -> set[str]:
    return set(said) & set(CLAIMS)


COMBINATIONS = [
    (scopes, chosen)
    for scopes in subsets(ASKED)
    for chosen in subsets(tuple(name for name in OPTIONAL if CLAIMS[name].scope in scopes))
]


def test_everybody_says_the_same(rig: Rig, portal_of: str) -> None:
    """One presentation serves them all, by single sign-on: what it showed is more than any of them asks for."""
    at, person = portal(rig, portal_of), f"invented-{next(PEOPLE)}"
    _check(rig, at, person, ASKED, OPTIONAL)
    for scopes, chosen in COMBINATIONS:
        with rig.app.app_context():
            last = sign_ins(rig)[0]
            withdrawal.withdraw(last.subject_id or "", portal_of, now=rig.clock())
        rig.clock.forward(1)  # sign-ins are in the order of their seconds
        _check(rig, at, person, scopes, chosen)


@pytest.mark.parametrize(
    "chosen", [(), OPTIONAL, (*OPTIONAL, "offline_access")], ids=["none", "all", "offline"]
)
def test_everybody_says_the_same_of_what_a_wallet_shows(
    rig: Rig, portal_of: str, chosen: tuple[str, ...]
) -> None:
    _check(rig, portal(rig, portal_of), f"invented-{next(PEOPLE)}", ASKED, chosen)


def sign_ins(rig: Rig) -> list[AuditEvent]:
    """The sign-ins of the audit, the latest first."""
    return [event for event in rig.events()[::-1] if event.name == "login.finished"]


def _check(rig: Rig, at: Portal, person: str, scopes: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    offered = {name for scope in scopes for name in SCOPES[scope] if name in {*REQUIRED, *OPTIONAL, BY_LAW}}
    expected = {name for name in offered if name in chosen or name not in OPTIONAL}
    scope = " ".join(["openid", *scopes, *(["offline_access"] if "offline_access" in chosen else [])])
    in_id_token = {"id_token": dict.fromkeys(sorted(offered))}
    before = rig.last_event()
    begun = at.begin(scope=scope, claims=json.dumps(in_id_token) if offered else None)
    asked = begun.response
    if "/login/" in begun.location and "/consent" not in begun.location:
        asked = at.to_consent(begun, person)
    agreed = asked
    if "/consent" in asked.headers["Location"]:
        page = at.open(asked.headers["Location"])
        assert on_the_page(page) - {"offline_access"} == offered, scopes
        agreed = at.agree(asked, item=sorted({*offered & set(REQUIRED), *chosen}))
    else:
        assert offered <= {BY_LAW}, scopes
    code = agreed.headers["Location"].partition("code=")[2].partition("&")[0]
    tokens = at.token(code, begun.verifier).json()

    assert released(at.id_token_claims(tokens["id_token"])) == expected, (scopes, chosen)
    assert released(at.userinfo(tokens["access_token"]).json()) == expected, (scopes, chosen)
    assert ("offline_access" in tokens["scope"].split()) is ("offline_access" in chosen)

    [finished] = [event for event in rig.events(before) if event.name == "login.finished"]
    assert set(finished.detail["claims"]) == expected, (scopes, chosen)
    with rig.app.app_context():
        [receipt] = receipts.of_subject(finished.subject_id or "", limit=1)
        [service] = my_page.services(finished.subject_id or "", now=rig.clock())
        consent = db.session.get(Consent, receipt.consent_id) if receipt.consent_id is not None else None
    said = receipt.claims()
    assert said["txn"] == finished.login_id
    assert {item["name"] for item in said["items"]} == expected, (scopes, chosen)
    assert said["offline_access"] is ("offline_access" in chosen)
    assert {item.name for item in service.items} == expected, (scopes, chosen)
    by_consent = set(consent.claims) if consent is not None else set()
    assert by_consent - {"offline_access"} == expected - {BY_LAW}, (scopes, chosen)
    assert {item.name for item in service.items if service.can_take_back(item)} == expected & set(OPTIONAL)


def test_the_page_itself_shows_them(rig: Rig, portal_of: str) -> None:
    """What the page is made of was compared above; here it is read as a person does."""
    at, person = portal(rig, portal_of), f"invented-{next(PEOPLE)}"
    resumed = at.to_consent(at.begin(scope=" ".join(["openid", *ASKED])), person)
    at.agree(resumed, item=[*REQUIRED, "address"])
    shown = Me(rig, person).open().service(portal_of)
    given = {name for name, claim in CLAIMS.items() if f"<strong>{claim.label['ko']}</strong>" in shown}
    assert given == {*REQUIRED, "address", BY_LAW}
