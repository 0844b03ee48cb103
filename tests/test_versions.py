"""Every change of a registration, whoever makes it, is a version; and what differs between two."""

from __future__ import annotations

from typing import Any

import pytest

from idp import portals
from idp.admin.portals import apply, carry_out, export, preview, reading
from idp.admin.portals.changes import as_it_was
from idp.admin.portals.contract import as_json, as_text, contract
from idp.admin.portals.differences import differences
from idp.oidc import registration as registering
from idp.portals.rules import CONSOLE, OURS, findings, sector_problem
from tests.rig import Rig

NOW = 1_800_000_000
TEXT = {"ko": "시험", "en": "Test"}


def document(client_id: str = "versioned", **changes: Any) -> dict[str, Any]:
    made = {
        "client_id": client_id,
        "name": {"ko": "포털", "en": "Portal"},
        "operator": TEXT,
        "retention": TEXT,
        "redirect_uris": ["https://rp.example/cb"],
        "token_endpoint_auth_method": "client_secret_basic",
        "client_secret_sha256": ["a" * 64],
        "scopes": ["openid", "profile"],
        "claims": [{"name": "name", "purpose": {"ko": "확인", "en": "To check"}}],
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def file(*documents: dict[str, Any]) -> dict[str, Any]:
    return {"portal": list(documents)}


def paths(before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[tuple[str, Any, Any]]:
    return [tuple(row) for row in differences(before, after)]


def test_a_member_that_changes_is_a_row() -> None:
    changed = document(name={"ko": "포털", "en": "Gate"}, require_pkce=False)
    assert paths(document(), changed) == [
        ("name.en", "Portal", "Gate"),
        ("require_pkce", "true", "false"),
    ]


def test_what_is_false_is_said_of_a_new_portal_too() -> None:
    optional = document(claims=[{"name": "name", "purpose": TEXT, "required": False}])
    assert [row for row in paths(None, optional) if "required" in row[0]] == [
        ("claims.name.required", None, "false")
    ]


def test_a_list_is_compared_by_its_elements() -> None:
    more = document(redirect_uris=["https://rp.example/two", "https://rp.example/cb"])
    assert paths(document(), more) == [("redirect_uris", None, "https://rp.example/two")]


def test_a_claim_is_compared_by_its_name() -> None:
    claims = [
        {"name": "birthdate", "purpose": TEXT},
        {"name": "name", "purpose": {"ko": "확인", "en": "To know"}, "required": False},
    ]
    assert paths(document(), document(claims=claims)) == [
        ("claims.name.required", "true", "false"),
        ("claims.name.purpose.en", "To check", "To know"),
        ("claims.birthdate.required", None, "true"),
        ("claims.birthdate.basis", None, "consent"),
        ("claims.birthdate.purpose.ko", None, "시험"),
        ("claims.birthdate.purpose.en", None, "Test"),
    ]


def test_a_default_that_is_written_down_changes_nothing() -> None:
    assert paths(document(), document(require_pkce=True, grant_types=["authorization_code"])) == []


def test_a_digest_is_shown_by_its_beginning() -> None:
    rows = paths(document(), document(client_secret_sha256=["b" * 64]))
    assert [row[0] for row in rows] == ["client_secret_sha256"] * 2
    assert "a" * 64 not in str(rows)


def test_a_problem_names_the_member_it_is_about() -> None:
    wrong = portals.typed(
        document(
            name={"ko": "포털"},
            redirect_uris=["http://rp.example/"],
            claims=[{"name": "name", "purpose": {"ko": "x" * 10_000, "en": "To check"}}],
        )
    )
    assert {problem.field for problem in findings(wrong)} == {"name.en", "redirect_uris", "claims.name"}
    assert all(len(problem.text) < 300 for problem in findings(wrong))


# -- who writes a version ------------------------------------------------------------------------------------------


def told(rig: Rig, client_id: str) -> list[tuple[int, bool, bool, str | None]]:
    with rig.app.app_context():
        return [
            (one.number, one.before is not None, one.after is not None, one.reason)
            for one in reversed(reading.history(client_id))
        ]


def test_a_file_a_removal_and_a_return_are_versions(rig: Rig) -> None:
    with rig.app.app_context():
        apply(file(document("told")), now=NOW, reason="first")
        apply(file(document("told")), now=NOW, reason="nothing changes")
        apply(file(document("told", required_acr="secure")), now=NOW, reason="second")
        registering.remove("told", now=NOW, reason="gone")
        apply(file(document("told")), now=NOW, reason="back")
    assert told(rig, "told") == [
        (1, False, True, "first"),
        (2, True, True, "second"),
        (3, True, False, "gone"),
        (4, False, True, "back"),
    ]


def test_switching_off_changes_no_registration(rig: Rig) -> None:
    with rig.app.app_context():
        apply(file(document("switched")), now=NOW)
        registering.switch("switched", enabled=False, now=NOW)
    assert len(told(rig, "switched")) == 1


# -- files ---------------------------------------------------------------------------------------------------------


def test_what_is_exported_can_be_applied_and_has_no_secret(rig: Rig) -> None:
    with rig.app.app_context():
        apply(file(document("exported")), now=NOW)
        exported = export(["exported"])
        assert "client_secret" not in exported.replace("client_secret_basic", "")
        assert preview(_toml(exported), now=NOW) == {}


def test_an_export_is_taken_by_another_deployment_which_makes_a_secret(rig: Rig) -> None:
    with rig.app.app_context():
        apply(file(document("promoted")), now=NOW)
        exported = export(["promoted"])
        registering.remove("promoted", now=NOW)
        applied = carry_out(_toml(exported), now=NOW)
        found = portals.find("promoted")
        assert found is not None
        assert found.has_secret(applied.secrets["promoted"])
        assert carry_out(_toml(exported), now=NOW).secrets == {}


def test_a_preview_writes_nothing(rig: Rig) -> None:
    with rig.app.app_context():
        shown = preview(file(document("previewed")), now=NOW)
        assert shown["previewed"][0] == "new"
        assert ("name.en", None, "Portal") in [tuple(row) for row in shown["previewed"][1]]
        assert portals.find("previewed") is None


@pytest.mark.parametrize("own", OURS)
@pytest.mark.parametrize("member", ["client_id", "sector_identifier"])
def test_the_houses_own_portals_are_reserved(rig: Rig, own: str, member: str) -> None:
    with rig.app.app_context(), pytest.raises(portals.RegistrationError, match="house"):
        apply(file({**document("other"), member: own}), now=NOW)


def test_the_consoles_own_portal_is_neither_removed_nor_switched_off(rig: Rig) -> None:
    with rig.app.app_context():
        for act in (registering.remove, lambda name, now: registering.switch(name, enabled=False, now=now)):
            with pytest.raises(registering.UnknownPortal):
                act(CONSOLE, now=NOW)


def _toml(text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415

    return tomllib.loads(text)


# -- sectors -------------------------------------------------------------------------------------------------------

MOVED = {
    "sector_identifier": "new.example",
    "previous_sector_identifier": "rp.example",
    "previous_sector_until": NOW + 86_400,
}


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ({}, {}, None),
        ({}, MOVED, None),
        ({}, {"sector_identifier": "new.example"}, "sector_identifier"),
        ({}, {**MOVED, "previous_sector_identifier": "other.example"}, "sector_identifier"),
        ({}, {**MOVED, "previous_sector_until": NOW}, "sector_identifier"),
        ({}, {**MOVED, "previous_sector_until": NOW + 401 * 86_400}, "sector_identifier"),
        ({}, {**MOVED, "sector_identifier": "rp.example"}, "previous_sector_identifier"),
        (MOVED, {"sector_identifier": "new.example"}, None),
        (MOVED, {**MOVED, "previous_sector_until": NOW + 2 * 86_400}, None),
        (MOVED, {**MOVED, "previous_sector_until": NOW + 401 * 86_400}, "previous_sector_until"),
        (MOVED, {**MOVED, "previous_sector_identifier": "x.example"}, "previous_sector_identifier"),
        (MOVED, {}, "sector_identifier"),
        (
            MOVED,
            {"previous_sector_identifier": "new.example", "previous_sector_until": NOW + 86_400},
            None,
        ),
    ],
)
def test_a_sector_is_left_by_a_move_alone(before: Any, after: Any, field: str | None) -> None:
    was, wanted = portals.typed(document(**before)), portals.typed(document(**after))
    problem = next(iter([p for p in findings(wanted) if "sector" in p.field]), None)
    problem = problem or sector_problem(was, wanted, now=NOW)
    assert (problem.field if problem else None) == field


def test_a_new_portal_has_no_previous_sector() -> None:
    problem = sector_problem(None, portals.typed(document(**MOVED)), now=NOW)
    assert problem is not None
    assert problem.field == "previous_sector_identifier"


def test_a_file_cannot_make_every_holder_a_stranger(rig: Rig) -> None:
    with rig.app.app_context():
        apply(file(document("moving")), now=NOW)
        with pytest.raises(portals.RegistrationError, match="by which holders are known"):
            apply(file(document("moving", sector_identifier="new.example")), now=NOW)
        assert apply(file(document("moving", **MOVED)), now=NOW) == ["moving"]


def test_going_back_to_another_host_keeps_the_sector(rig: Rig) -> None:
    with rig.app.app_context():
        apply(file(document("hosts")), now=NOW)
        elsewhere = ["https://new.example/cb"]
        apply(file(document("hosts", redirect_uris=elsewhere, sector_identifier="rp.example")), now=NOW)
        apply(file(document("hosts", **MOVED, redirect_uris=elsewhere)), now=NOW)
        back = as_it_was(reading.find("hosts", admin=None), 1)
    assert (back["redirect_uris"], back["sector_identifier"]) == (["https://rp.example/cb"], "new.example")
    assert back["previous_sector_identifier"] == "rp.example"


# -- the contract --------------------------------------------------------------------------------------------------


def test_a_contract_says_of_each_claim_why_on_what_basis_and_how_long() -> None:
    statute = {"ko": "여권법", "en": "Passport Act"}
    own = {"ko": "하루", "en": "a day"}
    claims = [
        {"name": "name", "purpose": {"ko": "확인", "en": "To check"}, "retention": own},
        {"name": "kr_passport", "purpose": TEXT, "basis": "statute", "statute": statute, "required": False},
    ]
    made = contract(portals.parse(document(claims=claims)))
    assert [(item.claim, item.retention["en"], item.required) for item in made.items] == [
        ("name", "a day", True),
        ("kr_passport", "Test", False),
    ]
    assert "Passport Act" in as_text(made, "en")
    assert "보유 기간: 하루" in as_text(made, "ko")
    assert as_json(made)["items"][1]["basis"] == "statute"
