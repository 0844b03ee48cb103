"""Whatever the console can be asked to change, by any role: not by somebody else's form, and not without a right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from werkzeug.routing import Rule

from idp.admin import organisations
from idp.admin.people import Role
from tests.at_console import Admin
from tests.rig import Rig, started

UNGUARDED = {"console.sign_in", "console.invitation", "console.portal_try_posted"}
"""They begin a sign-in, or take the answer to one that this browser began, and change nothing."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        names = {"ko": "기관", "en": "Organisation"}
        document = {"organisation": [{"id": "mois", "name": names}], "portals": {"gov24": "mois"}}
        with running.app.app_context():
            organisations.apply(document, now=running.clock())
        yield running


@pytest.fixture(scope="module")
def staff(rig: Rig) -> dict[Role, Admin]:
    roles = {role: Admin(rig, f"invented-{number}") for number, role in enumerate(Role)}
    return {
        role: admin.join(role, role.value, "mois" if role is Role.MEMBER else None)
        for role, admin in roles.items()
    }


def forms(rig: Rig) -> list[Rule]:
    """Every address of the console that takes a form."""
    rules = [rule for rule in rig.app.url_map.iter_rules() if rule.endpoint.startswith("console.")]
    return [rule for rule in rules if "POST" in (rule.methods or ()) and rule.endpoint not in UNGUARDED]


def filled(rule: Rule, portal: str = "gov24") -> str:
    """The address with something in each of its places."""
    _, path = rule.build(dict.fromkeys(rule.arguments, portal)) or ("", "")
    return f"{path}?id={portal}"


def changes(rig: Rig, after: int) -> list[str]:
    """What the audit has of administrators since, but for reading and for being refused."""
    names = [event.name for event in rig.events(after)]
    return [
        name
        for name in names
        if name.startswith(("admin.", "portal.", "session."))
        and name not in {"admin.refused", "admin.audit_read"}
    ]


@pytest.mark.parametrize("csrf", [None, "", "x" * 43])
def test_no_form_changes_anything_without_its_sessions_token(
    rig: Rig, staff: dict[Role, Admin], csrf: str | None
) -> None:
    owner = staff[Role.OWNER]
    assert len(forms(rig)) > 25
    before = rig.last_event()
    for rule in forms(rig):
        answered = owner.send(filled(rule), csrf=csrf, reason="because", why="because")
        assert answered.status_code == 403, rule.rule
    assert changes(rig, before) == []


def test_no_form_is_taken_from_somebody_who_is_not_signed_in(rig: Rig, staff: dict[Role, Admin]) -> None:
    before = rig.last_event()
    for rule in forms(rig):
        assert rig.browser().post(f"{rig.issuer}{filled(rule)}").status_code == 401, rule.rule
    assert changes(rig, before) == []


def test_an_auditor_changes_nothing_by_any_form(rig: Rig, staff: dict[Role, Admin]) -> None:
    """What is left to an auditor: to go, to stay, to take the audit out, which says so, and what only looks."""
    auditor = staff[Role.AUDITOR]
    allowed = {"console.sign_out", "console.stay", "console.export"}
    before = rig.last_event()
    taken = {rule.rule for rule in forms(rig) if rule.endpoint not in allowed}
    for rule in forms(rig):
        if rule.rule in taken:
            answered = auditor.send(filled(rule), reason="because")
            assert answered.status_code < 500, (rule.rule, answered.status_code)
    assert changes(rig, before) == []


def test_no_page_of_the_console_fails_on_a_name_that_nobody_has(rig: Rig, staff: dict[Role, Admin]) -> None:
    rules = [rule for rule in rig.app.url_map.iter_rules() if rule.endpoint.startswith("console.")]
    for rule in rules:
        if "GET" not in (rule.methods or ()):
            continue
        for name in ("nobody", "%00", "..%2f..", "🙂", "x" * 300):
            _, path = rule.build(dict.fromkeys(rule.arguments, "nobody")) or ("", "")
            answered = staff[Role.OWNER].get(f"{path.replace('nobody', name)}?id={name}")
            assert answered.status_code < 500, (rule.rule, name, answered.status_code)
