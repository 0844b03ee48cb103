"""Administrators and organisations: who sees and changes what, and that nothing changes by a form of others."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from markupsafe import escape

from idp.admin import organisations, people
from idp.admin.people import MAY, Act, Role
from tests.at_console import Admin
from tests.rig import Rig, started

HOSTILE = ["<script>alert(1)</script>", "\"onmouseover='x'", "{{ 7*7 }}", "</title><b>"]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        with running.app.app_context():
            document = {
                "organisation": [
                    {
                        "id": name,
                        "name": {"ko": name, "en": name},
                        "contact": {"email": f"ask@{name}.example", "phone": "+82-2-3210-0404"},
                    }
                    for name in ("mois", "oka")
                ]
            }
            organisations.apply(document, now=running.clock())
            organisations.transfer("gov24", "mois", reason="its own", now=running.clock())
        yield running


@pytest.fixture(scope="module")
def staff(rig: Rig) -> dict[str, Admin]:
    """One administrator of each kind, by role; two members, by their organisation."""
    made: dict[str, Admin] = {}
    for number, role in enumerate((Role.OWNER, Role.OPERATOR, Role.AUDITOR)):
        made[role.value] = Admin(rig, f"invented-{number}").join(role, f"the {role.value}")
    for number, organisation in enumerate(("mois", "oka"), 10):
        admin = Admin(rig, f"invented-{number}")
        made[organisation] = admin.join(Role.MEMBER, f"of {organisation}", organisation)
    return made


def id_of(rig: Rig, label: str) -> str:
    with rig.app.app_context():
        [found] = [one.id for one in people.listed(organisation=None) if one.label == label]
    return found


def test_every_role_may_do_less_than_the_one_above_it() -> None:
    assert MAY[Role.OWNER] == set(Act)
    assert MAY[Role.AUDITOR] < MAY[Role.OPERATOR] < MAY[Role.OWNER]
    assert MAY[Role.MEMBER] < MAY[Role.OPERATOR]
    assert not {act for act in MAY[Role.AUDITOR] if not act.value.startswith(("see", "read"))}


@pytest.mark.parametrize("role", ["owner", "operator", "auditor", "mois"])
def test_the_navigation_leads_where_the_role_may_go(staff: dict[str, Admin], role: str) -> None:
    shown = staff[role].get("/console").text
    paths = set(re.findall(r'<li><a href="(/console[^"]*)"', shown))
    assert "/console/people" in paths
    assert ("/console/keys" in paths) == (role != "mois")


@pytest.mark.parametrize(
    ("by", "role", "organisation", "allowed"),
    [
        ("owner", "owner", "", True),
        ("owner", "member", "oka", True),
        ("operator", "owner", "", False),
        ("operator", "operator", "", False),
        ("operator", "member", "mois", True),
        ("auditor", "member", "mois", False),
        ("mois", "member", "mois", True),
        ("mois", "member", "oka", False),
        ("mois", "operator", "", False),
        ("mois", "owner", "mois", False),
        ("owner", "emperor", "", False),
    ],
)
def test_nobody_makes_somebody_who_may_do_more(
    rig: Rig, staff: dict[str, Admin], by: str, role: str, organisation: str, *, allowed: bool
) -> None:
    before = rig.last_event()
    answered = staff[by].send(
        "/console/people/invite", label="new", role=role, organisation=organisation, hours="24"
    )
    assert answered.status_code == (200 if allowed else 403)
    assert ("/console/invitation/" in answered.text) == allowed
    assert ("admin.invited" in [event.name for event in rig.events(before)]) == allowed


def test_the_link_of_an_invitation_is_shown_once(staff: dict[str, Admin]) -> None:
    owner = staff["owner"]
    answered = owner.send("/console/people/invite", label="once", role="auditor", organisation="", hours="24")
    [token] = re.findall(r"/console/invitation/([A-Za-z0-9_-]{43})", answered.text)
    assert answered.headers["Cache-Control"] == "no-store"
    assert token not in owner.get("/console/people").text


@pytest.mark.parametrize(
    "fields", [{"label": ""}, {"label": "x" * 65}, {"label": "a\u202eb"}, {"organisation": "mois"}]
)
def test_an_invitation_that_cannot_be_made_keeps_what_was_typed(
    rig: Rig, staff: dict[str, Admin], fields: dict[str, str]
) -> None:
    before = rig.last_event()
    given = {"label": "typed", "role": "auditor", "organisation": "", "hours": "72", **fields}
    answered = staff["owner"].send("/console/people/invite", **given)
    assert answered.status_code == 400
    assert '<option value="72" selected>' in answered.text
    assert rig.last_event() == before


def test_an_open_invitation_can_be_withdrawn_by_those_who_may_make_it(
    rig: Rig, staff: dict[str, Admin]
) -> None:
    with rig.app.app_context():
        token = people.invite(label="late", role=Role.MEMBER, organisation="oka", ttl_s=3600, now=rig.clock())
        digest = people.invitation(token, now=rig.clock()).digest
    path = f"/console/people/invitations/{digest}/withdraw"
    assert staff["mois"].send(path).status_code == 403
    assert staff["auditor"].send(path).status_code == 403
    assert staff["oka"].send(path).status_code == 303
    assert staff["oka"].send(path).status_code == 404
    assert Admin(rig).get(f"/console/invitation/{token}").status_code == 404


def test_a_member_sees_the_own_organisation_only(rig: Rig, staff: dict[str, Admin]) -> None:
    mois = staff["mois"]
    shown = mois.get("/console/people").text
    assert "of mois" in shown
    assert "of oka" not in shown
    assert "the owner" not in shown
    assert "oka" not in mois.get("/console/organisations").text
    assert mois.get("/console/organisations/oka").status_code == 404
    assert mois.get("/console/organisations/nothing").status_code == 404
    assert mois.send(f"/console/people/{id_of(rig, 'of oka')}/disable").status_code == 404


@pytest.mark.parametrize(
    ("by", "whom", "status"),
    [
        ("operator", "the owner", 403),
        ("operator", "the auditor", 403),
        ("auditor", "of mois", 403),
        ("owner", "the owner", 403),
        ("mois", "of mois", 403),
    ],
)
def test_who_may_not_shut_somebody_out(
    rig: Rig, staff: dict[str, Admin], by: str, whom: str, status: int
) -> None:
    assert staff[by].send(f"/console/people/{id_of(rig, whom)}/disable").status_code == status
    with rig.app.app_context():
        assert people.find(id_of(rig, whom)).disabled_at is None


def test_only_operators_change_organisations(rig: Rig, staff: dict[str, Admin]) -> None:
    form = {"name.ko": "다른 이름", "name.en": "Another name"}
    for by in ("auditor", "mois"):
        assert staff[by].send("/console/organisations/mois", **form).status_code == 403
        assert staff[by].send("/console/organisations/new", id="new", **form).status_code == 403
    with rig.app.app_context():
        mois = organisations.find("mois")
        assert mois is not None
        assert mois.name["en"] == "mois"


FORMS = [
    ("/console/people/invite", {"label": "x", "role": "auditor", "organisation": "", "hours": "24"}),
    ("/console/organisations/new", {"id": "forged", "name.ko": "x", "name.en": "x"}),
    ("/console/organisations/mois", {"name.ko": "x", "name.en": "x"}),
    ("/console/sign-out", {}),
    ("/console/stay", {}),
]


@pytest.mark.parametrize(("path", "form"), FORMS)
@pytest.mark.parametrize("csrf", [None, "", "x" * 43, "another's"])
def test_a_form_without_this_sessions_token_changes_nothing(
    rig: Rig, staff: dict[str, Admin], path: str, form: dict[str, str], csrf: str | None
) -> None:
    before = rig.last_event()
    token = staff["operator"].csrf() if csrf == "another's" else csrf
    assert staff["owner"].send(path, csrf=token, **form).status_code == 403
    names = [event.name for event in rig.events(before)]
    assert [name for name in names if name.startswith("admin.")] == []
    staff["owner"].page("/console")


def test_a_form_that_another_site_sends_changes_nothing(staff: dict[str, Admin]) -> None:
    owner = staff["owner"]
    form = {"csrf": owner.csrf(), "id": "forged", "name.ko": "x", "name.en": "x"}
    url = owner.holder.absolute("/console/organisations/new")
    answered = owner.browser.post(url, data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert answered.status_code == 403
    assert "forged" not in owner.get("/console/organisations").text


def test_a_form_of_somebody_who_is_not_signed_in_changes_nothing(rig: Rig) -> None:
    for path, form in FORMS:
        assert rig.browser().post(f"{rig.issuer}{path}", data=form).status_code == 401


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_stored_is_shown_and_does_nothing(staff: dict[str, Admin], text: str) -> None:
    owner = staff["owner"]
    form = {"name.ko": text, "name.en": text, "contact.email": "ask@oka.example"}
    assert owner.send("/console/organisations/oka", **form).status_code == 303
    for path in ("/console/organisations", "/console/organisations/oka", "/console/people"):
        answered = owner.get(path)
        assert answered.status_code == 200
        assert str(escape(text)) in answered.text
        assert text == str(escape(text)) or text not in answered.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name.ko", "x" * 10_000),
        ("name.en", ""),
        ("name.en", "a\u202eb"),
        ("contact.url", "javascript:alert(1)"),
        ("contact.url", "http://gov.example/"),
        ("contact.email", "nobody"),
        ("contact.email", "a@b.example?subject=x"),
        ("contact.phone", "call us"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_typed_is_lost(
    staff: dict[str, Admin], field: str, value: str
) -> None:
    form = {"name.ko": "기관", "name.en": "Typed before", **{field: value}}
    answered = staff["owner"].send("/console/organisations/mois", **form)
    assert answered.status_code == 400
    assert 'role="alert"' in answered.text
    if field != "name.en":
        assert "Typed before" in answered.text


def test_holders_are_told_whom_to_ask_where_a_sign_in_went_wrong(rig: Rig) -> None:
    for client_id, known in (("gov24", True), ("efamily", False)):
        portal = rig.portal(client_id)
        begun = portal.begin()
        rig.clock.forward(1801)
        shown = portal.browser.get(portal.absolute(begun.location))
        rig.clock.forward(-1801)
        assert shown.status_code == 410
        assert ('href="tel:+82-2-3210-0404"' in shown.text) == known
        assert ('href="mailto:ask@mois.example"' in shown.text) == known
