"""Who gets in, and who sees what: the whole table of operations, asked by those who may not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from idp.admin import organisations, people, tokens
from idp.admin import portals as portal_admin
from idp.admin.people import MAY, Act, Role
from idp.admin.portals.changes import Change, PortalChanges
from idp.events import Event
from idp.models import Administrator, ApiToken, Portal, PortalProposal, db
from idp.views.api import AREAS
from idp.views.api.gate import FAILED_PER_MINUTE
from idp.views.api.operations import BASE, Operation
from idp.views.problems import MEDIA_TYPE
from tests.at_api import Program, registration, token
from tests.rig import Rig, started

TABLE = [one for area in AREAS for one in area.operations()]
GUARDED = [one for one in TABLE if not one.public]
NAMES = {"ko": "비밀기관", "en": "Theirs Agency"}
SEEING = {Event.ADMIN_REFUSED, Event.AUDIT_READ, Event.AUDIT_EXPORTED}


@dataclass
class Theirs:
    """What belongs to another organisation."""

    proposal_id: str
    secret_id: str
    member_id: str
    invitation_id: str
    client_id: str = "theirs-portal"
    organisation_id: str = "theirs"
    kind: str = "mission"
    entry_id: str = "LAX"
    kid: str = "none"
    wallet_id: str = "none"

    def path(self, one: Operation) -> str:
        path = one.path
        for place in one.places:
            path = path.replace(f"{{{place}}}", getattr(self, place))
        return path

    def named(self) -> list[str]:
        """What must stand in no answer for somebody else."""
        return [
            self.client_id,
            "비밀기관",
            "Theirs Agency",
            "theirs-member",
            self.proposal_id,
            self.invitation_id,
        ]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture(scope="module")
def theirs(rig: Rig) -> Theirs:
    now = rig.clock()
    with rig.app.app_context(), pytest.MonkeyPatch.context() as patched:
        ours = {"ko": "우리", "en": "Ours"}
        found = [{"id": "ours", "name": ours}, {"id": "theirs", "name": NAMES}]
        organisations.apply({"organisation": found}, now=now)
        document = registration("theirs-portal", name=NAMES, redirect_uris=["https://theirs.example/cb"])
        portal_admin.apply({"portal": [document, registration("ours-portal")]}, now=now)
        for client_id, of in (("theirs-portal", "theirs"), ("ours-portal", "ours")):
            organisations.transfer(client_id, of, reason="test", now=now)
        patched.setattr(PortalChanges, "two_people", property(lambda self: True))
        text = token(rig, Role.MEMBER, "theirs")
        holder = tokens.holder_of(text, now=now)
        stored = db.session.get_one(Portal, "theirs-portal").registration
        change = Change({**stored, "policy_uri": "https://theirs.example/policy"}, "theirs", 1)
        submitted = PortalChanges(rig.house.settings, rig.clock).submit(holder, change)
        people.invite(label="theirs-member", role=Role.MEMBER, organisation="theirs", ttl_s=3600, now=now)
        db.session.add(
            Administrator(
                id="theirs-admin",
                label="theirs-member",
                role="member",
                organisation_id="theirs",
                sub="theirs-sub",
                created_at=now,
            )
        )
        db.session.commit()
        [invited] = people.invitations(organisation="theirs", now=now)
        return Theirs(
            proposal_id=str(submitted.proposal),
            secret_id=stored["client_secret_sha256"][0][:12],
            member_id="theirs-admin",
            invitation_id=invited.digest,
        )


@pytest.fixture(scope="module")
def staff(rig: Rig, theirs: Theirs) -> dict[Role, Program]:
    return {role: Program(rig, token(rig, role, "ours" if role is Role.MEMBER else None)) for role in Role}


def body(one: Operation, theirs: Theirs) -> dict[str, Any]:
    """A good body for each operation, about what is theirs."""
    bodies: dict[str, dict[str, Any]] = {
        "create_portal": {"registration": registration(theirs.client_id), "reason": "r"},
        "replace_portal": {"registration": registration(theirs.client_id), "reason": "r"},
        "change_portal": {"changes": {"tos_uri": "https://evil.example/"}, "reason": "r"},
        "roll_back_portal": {"version": 1, "reason": "r"},
        "transfer_portal": {"organisation": "ours", "reason": "r"},
        "create_organisation": {"id": "new", "name": {"ko": "새", "en": "New"}},
        "replace_organisation": {"name": {"ko": "새", "en": "New"}},
        "invite_member": {"label": "spy"},
        "export_audit": {"why": "r", "events": {"client_id": theirs.client_id}},
        "change_registry": {"reason": "r", "remove": [{"kind": "mission", "id": "LAX"}]},
        "rotate_key": {"alg": "ES256", "reason": "r", "at_once": True},
        "create_wallet": {
            "profile": {"id": "w", "version": 1, "name": {"ko": "가", "en": "A"}, "link": "w://"}
        },
        "replace_wallet": {
            "profile": {"id": "w", "version": 1, "name": {"ko": "가", "en": "A"}, "link": "w://"}
        },
        "end_sessions": {"portal": theirs.client_id, "reason": "r"},
        "replay_notices": {"portal": theirs.client_id, "reason": "r"},
    }
    return bodies.get(one.name, {"reason": "r"})


def asked(program: Program, one: Operation, theirs: Theirs, query: str = "") -> httpx2.Response:
    """A good request of this operation, about what is theirs."""
    more: dict[str, Any] = {"match": "*"}
    if one.body is bytes:
        toml = f'[[portal]]\nclient_id = "{theirs.client_id}"\n'
        more |= {"content": toml, "headers": {"Content-Type": "application/toml"}}
    elif one.body is not None:
        more["json"] = body(one, theirs)
    return program.ask(one.method, f"{theirs.path(one)}{query}", **more)


def changes(rig: Rig, after: int) -> list[str]:
    """What was done since, but for reading and for being refused."""
    return [event.name for event in rig.events(after) if event.name not in SEEING]


# -- no token that counts --------------------------------------------------------------------------------------


def is_problem(answered: httpx2.Response, status: int, code: str) -> None:
    assert answered.status_code == status, answered.text[:300]
    assert answered.headers["Content-Type"] == MEDIA_TYPE
    assert answered.headers["Cache-Control"] == "no-store"
    said = answered.json()
    assert (said["status"], said["code"]) == (status, code)
    assert said["correlation_id"] == answered.headers["X-Correlation-Id"]


@pytest.mark.parametrize("one", GUARDED, ids=lambda one: one.name)
def test_nothing_is_answered_without_a_token(rig: Rig, theirs: Theirs, one: Operation) -> None:
    before = rig.last_event()
    answered = asked(Program(rig, None), one, theirs)
    is_problem(answered, 401, "token_missing")
    assert answered.headers["WWW-Authenticate"] == f'Bearer realm="{rig.issuer}"'
    assert not {"Set-Cookie", "Access-Control-Allow-Origin"} & set(answered.headers)
    assert rig.events(before) == []


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "token_missing"),
        ("Bearer", "token_missing"),
        ("Basic b3BzOm9wcw==", "token_missing"),
        ("Bearer sinwon_admin_" + "A" * 43, "token_unknown"),
        ("Bearer " + "x" * 4000, "token_unknown"),
        ("bearer sinwon_admin_ sinwon_admin_", "token_unknown"),
    ],
)
def test_what_is_no_token_opens_nothing(rig: Rig, header: str, code: str) -> None:
    rig.clock.forward(61)
    answered = Program(rig, None).ask("GET", "/token", headers={"Authorization": header})
    is_problem(answered, 401, code)
    assert ("invalid_token" in answered.headers["WWW-Authenticate"]) == (code != "token_missing")


def test_a_token_in_a_cookie_or_in_the_address_is_none(rig: Rig) -> None:
    text = token(rig, Role.OWNER)
    nobody = Program(rig, None)
    assert nobody.ask("GET", f"/token?access_token={text}").status_code == 401
    assert nobody.ask("GET", "/token", headers={"Cookie": f"console={text}"}).status_code == 401


def test_a_token_ends_when_it_expires_or_is_revoked(rig: Rig) -> None:
    program = Program(rig, token(rig, Role.AUDITOR))
    mine = program.get("/token")
    assert (mine["role"], mine["organisation"]) == ("auditor", None)
    assert Act.CHANGE_PORTALS.value not in mine["may"]
    with rig.app.app_context():
        db.session.get_one(ApiToken, mine["id"]).expires_at = rig.clock()
        db.session.commit()
    is_problem(program.ask("GET", "/token"), 401, "token_expired")
    with rig.app.app_context():
        tokens.revoke(mine["id"], now=rig.clock())
    before = rig.last_event()
    is_problem(program.ask("GET", "/token"), 401, "token_revoked")
    assert [(event.name, event.reason) for event in rig.events(before)] == [
        ("admin.refused", "token_revoked")
    ]


def test_somebody_who_guesses_is_slowed_down_and_nobody_else_is(rig: Rig, staff: dict[Role, Program]) -> None:
    rig.clock.forward(120)
    before = rig.last_event()
    guesser = Program(rig, "sinwon_admin_" + "B" * 43)
    codes = [guesser.ask("GET", "/token").status_code for _ in range(FAILED_PER_MINUTE + 2)]
    assert codes == [401] * FAILED_PER_MINUTE + [429] * 2
    slowed = guesser.ask("GET", "/token")
    is_problem(slowed, 429, "too_many")
    assert slowed.headers["Retry-After"] == "60"
    assert len(rig.events(before)) == FAILED_PER_MINUTE
    assert staff[Role.OWNER].ask("GET", "/token").status_code == 200
    rig.clock.forward(61)
    assert guesser.ask("GET", "/token").status_code == 401


def test_a_token_stands_in_no_log_and_in_no_audit_row(
    rig: Rig, staff: dict[Role, Program], theirs: Theirs, caplog: pytest.LogCaptureFixture
) -> None:
    before = rig.last_event()
    program = staff[Role.AUDITOR]
    with caplog.at_level(logging.DEBUG):
        for one in GUARDED:
            asked(program, one, theirs)
        Program(rig, f"{program.token}x").ask("GET", "/token")
    rows = [f"{event.actor} {event.reason} {event.detail}" for event in rig.events(before)]
    assert rows
    assert program.token is not None
    assert not any(program.token in text for text in [*rows, caplog.text])


# -- roles -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [one for one in GUARDED if one.act], ids=lambda one: one.name)
def test_a_role_does_what_the_table_of_rights_says_and_nothing_else(
    rig: Rig, staff: dict[Role, Program], theirs: Theirs, one: Operation
) -> None:
    for role, program in staff.items():
        if one.act not in MAY[role]:
            before = rig.last_event()
            answered = asked(program, one, theirs)
            is_problem(answered, 403, "forbidden")
            assert "insufficient_scope" in answered.headers["WWW-Authenticate"]
            assert changes(rig, before) == []


def test_an_auditor_changes_nothing(rig: Rig, staff: dict[Role, Program], theirs: Theirs) -> None:
    before = rig.last_event()
    for one in GUARDED:
        answered = asked(staff[Role.AUDITOR], one, theirs)
        assert answered.status_code == 403 or one.method == "GET" or one.name == "export_audit", one.name
    assert changes(rig, before) == []


# -- another organisation's ------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", GUARDED, ids=lambda one: one.name)
def test_what_belongs_to_another_organisation_is_not_there(
    rig: Rig, staff: dict[Role, Program], theirs: Theirs, one: Operation
) -> None:
    before = rig.last_event()
    with rig.app.app_context():
        was = snapshot()
    queries = [""] + [
        f"?{name}={value}" for name, value in QUERIES.items() if name in one.query.__struct_fields__
    ]
    for query in queries:
        needed = f"{'&' if query else '?'}month=2026-11" if one.name == "report_month" else ""
        answered = asked(staff[Role.MEMBER], one, theirs, query + needed)
        if one.places or query == "?client_id=theirs-portal":
            assert answered.status_code in {403, 404} or answered.json().get("items") == [], answered.text
        assert answered.status_code < 500
        said = answered.text.replace(THE_CLIENT_ID_THAT_WAS_ASKED, "")
        assert not [name for name in theirs.named() if name in said], (query, answered.text)
    with rig.app.app_context():
        assert snapshot() == was
    assert changes(rig, before) == []


QUERIES = {
    "client_id": "theirs-portal",
    "q": "theirs",
    "after": "theirs",
    "portal": "theirs-portal",
    "find": "theirs-portal",
    "actor": "admin:theirs-admin",
    "id": "LAX",
}
THE_CLIENT_ID_THAT_WAS_ASKED = '"field":"theirs-portal"'
"""A file's findings say of which entry they are; that the name is taken is said to whoever registers one."""


def snapshot() -> list[Any]:
    """Everything that is theirs."""
    portal = db.session.get_one(Portal, "theirs-portal", populate_existing=True)
    proposals = db.session.query(PortalProposal).filter_by(client_id="theirs-portal").all()
    return [
        portal.registration,
        portal.enabled,
        portal.organisation_id,
        [(one.id, one.state) for one in proposals],
        organisations.find("theirs"),
        people.listed(organisation="theirs"),
        people.invitations(organisation="theirs", now=0),
    ]


def test_a_member_sees_the_own_organisation_s(staff: dict[Role, Program]) -> None:
    member = staff[Role.MEMBER]
    assert [one["client_id"] for one in member.get("/portals")["items"]] == ["ours-portal"]
    assert [one["id"] for one in member.get("/organisations")["items"]] == ["ours"]
    assert member.get("/portals/ours-portal")["organisation"] == "ours"
    exported = member.ask("GET", "/portals.toml")
    assert "ours-portal" in exported.text
    assert "theirs" not in exported.text
    events = member.get("/audit/events?limit=500")["items"]
    assert {event["client_id"] for event in events} == {"ours-portal"}


def test_a_taken_name_is_told_from_nothing_else(staff: dict[Role, Program]) -> None:
    """Whoever registers a name that another organisation has hears what everybody hears of a name that is taken."""
    said = [
        staff[Role.MEMBER].post("/portals", 409, registration=registration(name), reason="r")
        for name in ("ours-portal", "theirs-portal")
    ]
    assert said[0]["title"] == said[1]["title"]


# -- the doors beside ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("DELETE", "/portals/gov24", 405, "method_not_allowed"),
        ("OPTIONS", "/portals", 405, "method_not_allowed"),
        ("POST", "/openapi.json", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there_is_a_problem_too(
    staff: dict[Role, Program], method: str, path: str, status: int, code: str
) -> None:
    answered = staff[Role.OWNER].ask(method, path)
    is_problem(answered, status, code)
    assert ("Allow" in answered.headers) == (status == 405)


def test_the_description_is_for_everybody(rig: Rig) -> None:
    described = Program(rig, None).get("/openapi.json")
    listed = {(path, method) for path, of_it in described["paths"].items() for method in of_it}
    assert listed == {(one.path, one.method.lower()) for one in TABLE}


def test_the_api_can_be_switched_off(tmp_path_factory: pytest.TempPathFactory) -> None:
    with started(tmp_path_factory.mktemp("without"), {"console.api": False}) as without:
        program = Program(without, token(without, Role.OWNER))
        assert program.ask("GET", "/openapi.json").status_code == 404
        assert without.http.get(f"{without.issuer}/console/sign-in").status_code == 200


def test_every_path_of_the_table_is_below_the_base() -> None:
    assert BASE == "/admin/api/v1"
    assert all(one.path.startswith("/") for one in TABLE)
    assert len({one.name for one in TABLE}) == len(TABLE) > 40
