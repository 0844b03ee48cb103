"""Portals by the API: registered, changed, taken back, given secrets, carried elsewhere; alone or by two."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import httpx2
import pytest

from idp import seal
from idp.admin import organisations, people
from idp.admin.people import Role
from idp.admin.portals.changes import PortalChanges
from idp.models import Administrator, db
from tests.at_api import Program, registration, token
from tests.rig import Rig


@pytest.fixture(scope="module")
def owner(rig: Rig) -> Program:
    with rig.app.app_context():
        names = {"ko": "외교부", "en": "Ministry of Foreign Affairs"}
        organisations.apply({"organisation": [{"id": "mofa", "name": names}]}, now=rig.clock())
    return Program(rig, token(rig, Role.OWNER))


@pytest.fixture(scope="module")
def member(rig: Rig, owner: Program) -> Program:
    return Program(rig, token(rig, Role.MEMBER, "mofa"))


@pytest.fixture
def _two_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy of a production deployment, which this one on loopback cannot be."""
    monkeypatch.setattr(PortalChanges, "two_people", property(lambda self: True))


def made(program: Program, client_id: str, **more: Any) -> dict[str, Any]:
    """A portal that is registered; what was answered."""
    said: dict[str, Any] = program.post(
        "/portals", 201, registration=registration(client_id), reason="a new portal", **more
    )
    return said


def findings(answered: httpx2.Response) -> dict[str, str]:
    """What is wrong, by the member."""
    assert answered.status_code == 422, answered.text
    return {one["field"]: one["message"] for one in answered.json()["findings"]}


# -- alone -----------------------------------------------------------------------------------------------------


def test_a_portal_is_registered_and_its_secret_shown_once(rig: Rig, owner: Program) -> None:
    said = made(owner, "api-new", organisation="mofa")
    shown = owner.get(said["href"])
    assert (shown["version"], shown["enabled"], shown["organisation"]) == (1, True, "mofa")
    assert shown["secrets"][0]["id"] == seal.digest(said["client_secret"])[:12]
    assert said["client_secret"] not in json.dumps(shown)
    assert "client_secret_sha256" not in shown["registration"]
    [event] = [
        event
        for event in rig.events()
        if event.name == "admin.portal_applied" and event.client_id == "api-new"
    ]
    assert event.actor == f"token:{owner.get('/token')['id']}"
    owner.post("/portals", 409, registration=registration("api-new"), reason="again")


def test_what_was_read_can_be_sent_back_and_changes_nothing(owner: Program) -> None:
    made(owner, "api-same")
    answered = owner.ask("GET", "/portals/api-same")
    body = {"registration": answered.json()["registration"], "reason": "the same"}
    put = owner.ask("PUT", "/portals/api-same", json=body, match=answered.headers["ETag"])
    assert (put.status_code, put.json()["differences"]) == (200, [])
    assert owner.get("/portals/api-same")["version"] == 1


def test_a_change_is_made_on_the_version_that_was_read(owner: Program) -> None:
    made(owner, "api-changed")
    body = {"changes": {"tos_uri": "https://rp.example/tos", "name": {"en": "Other"}}, "reason": "new terms"}
    assert owner.ask("PATCH", "/portals/api-changed", json=body).status_code == 428
    tried = owner.ask("PATCH", "/portals/api-changed?dry_run=true", json=body, match='"1"')
    differing = [
        {"path": "name.en", "before": "Test", "after": "Other"},
        {"path": "tos_uri", "before": None, "after": "https://rp.example/tos"},
    ]
    assert (tried.json()["dry_run"], tried.json()["differences"]) == (True, differing)
    assert owner.get("/portals/api-changed")["version"] == 1
    done = owner.ask("PATCH", "/portals/api-changed", json=body, match='"1"')
    assert (done.status_code, done.headers["ETag"], done.json()["differences"]) == (200, '"2"', differing)
    for method, again in (
        ("PATCH", body),
        ("PUT", {"registration": registration("api-changed"), "reason": "r"}),
    ):
        late = owner.ask(method, "/portals/api-changed", json=again, match='"1"')
        assert (late.status_code, late.json()["code"]) == (412, "outdated")
    out = {"changes": {"tos_uri": None}, "reason": "no terms"}
    assert owner.ask("PATCH", "/portals/api-changed", json=out, match='"2"').status_code == 200
    assert "tos_uri" not in owner.get("/portals/api-changed")["registration"]


def test_a_portal_keeps_its_secrets_when_its_registration_is_replaced(owner: Program) -> None:
    made(owner, "api-kept")
    body = {"registration": registration("api-kept", client_uri="https://rp.example/"), "reason": "r"}
    done = owner.ask("PUT", "/portals/api-kept", json=body, match='"1"')
    assert done.json()["client_secret"] is None
    assert [row["path"] for row in done.json()["differences"]] == ["client_uri"]


def test_a_portal_goes_back_to_a_version(owner: Program) -> None:
    made(owner, "api-back")
    body = {"changes": {"policy_uri": "https://rp.example/p"}, "reason": "r"}
    owner.ask("PATCH", "/portals/api-back", json=body, match='"1"')
    back = owner.ask("POST", "/portals/api-back/rollback", json={"version": 1, "reason": "r"}, match='"2"')
    assert back.headers["ETag"] == '"3"'
    versions = owner.get("/portals/api-back/versions")["items"]
    assert [one["number"] for one in versions] == [3, 2, 1]
    assert versions[0]["differences"] == [
        {"path": "policy_uri", "before": "https://rp.example/p", "after": None}
    ]


def test_a_second_secret_works_beside_the_first_until_one_is_retired(owner: Program) -> None:
    made(owner, "api-secrets")
    second = owner.post("/portals/api-secrets/secrets", 201, reason="rotation")["client_secret"]
    old, new = [one["id"] for one in owner.get("/portals/api-secrets")["secrets"]]
    assert seal.digest(second).startswith(new)
    third = owner.ask("POST", "/portals/api-secrets/secrets", json={"reason": "one more"})
    assert findings(third) == {"client_secret_sha256": "there are two secrets already: retire one first"}
    left = owner.post(f"/portals/api-secrets/secrets/{old}/retire", reason="rotation")
    assert [one["id"] for one in left["secrets"]] == [new]
    last = owner.ask("POST", f"/portals/api-secrets/secrets/{new}/retire", json={"reason": "r"})
    assert "client_secret_sha256" in findings(last)
    owner.post(f"/portals/api-secrets/secrets/{old}/retire", 404, reason="again")


def test_a_member_switches_off_what_only_others_switch_on(owner: Program, member: Program) -> None:
    made(owner, "api-switch", organisation="mofa")
    off = member.ask("POST", "/portals/api-switch/disable")
    assert off.json()["enabled"] is False
    assert member.ask("POST", "/portals/api-switch/enable").status_code == 403
    assert owner.ask("POST", "/portals/api-switch/enable").json()["enabled"] is True


def test_a_portal_goes_to_another_organisation(owner: Program, member: Program) -> None:
    made(owner, "api-given")
    assert member.ask("GET", "/portals/api-given").status_code == 404
    owner.post("/portals/api-given/transfer", organisation="mofa", reason="reorganisation")
    assert member.get("/portals/api-given")["organisation"] == "mofa"
    nobody = owner.ask("POST", "/portals/api-given/transfer", json={"organisation": "nobody", "reason": "r"})
    assert "organisation" in findings(nobody)


def test_portals_are_listed_a_page_at_a_time(owner: Program) -> None:
    for number in range(3):
        made(owner, f"api-page-{number}")
    first = owner.get("/portals?q=api-page&limit=2")
    assert [one["client_id"] for one in first["items"]] == ["api-page-0", "api-page-1"]
    rest = owner.get(f"/portals?q=api-page&limit=2&after={first['next']}")
    assert ([one["client_id"] for one in rest["items"]], rest["next"]) == (["api-page-2"], None)


@pytest.mark.parametrize("client_id", ["https://rp.example/app", "~tilde", "..", "a?b=c#d", "100%", "a b"])
def test_a_client_id_of_any_characters_has_an_address(owner: Program, client_id: str) -> None:
    if " " in client_id:
        answered = owner.ask(
            "POST", "/portals", json={"registration": registration(client_id), "reason": "r"}
        )
        assert "client_id" in findings(answered)
        return
    said = made(owner, client_id)
    assert owner.get(said["href"])["client_id"] == client_id
    assert owner.ask("POST", f"{said['href']}/disable").json()["enabled"] is False


# -- from one deployment to another ----------------------------------------------------------------------------


def test_a_file_from_another_deployment_is_tried_and_then_applied(owner: Program) -> None:
    made(owner, "api-promoted")
    exported = owner.ask("GET", "/portals.toml?client_id=api-promoted").text
    assert "client_secret_sha256" not in tomllib.loads(exported)["portal"][0]
    text = exported.replace("https://rp.example/cb", "https://live.example/cb").replace(
        'client_id = "api-promoted"', 'client_id = "api-live"'
    )
    assert toml(owner, exported, "?reason=none").json() == {"items": []}
    [tried] = toml(owner, text, "?dry_run=true").json()["items"]
    assert {"path": "redirect_uris", "before": None, "after": "https://live.example/cb"} in tried[
        "differences"
    ]
    assert owner.ask("GET", "/portals/api-live").status_code == 404
    [done] = toml(owner, text, "?reason=promotion").json()["items"]
    assert owner.get(done["href"])["version"] == 1
    assert done["client_secret"]
    [changed] = toml(
        owner, text.replace("[[portal]]", '[[portal]]\ntos_uri = "https://live.example/tos"'), "?reason=terms"
    ).json()["items"]
    assert [row["path"] for row in changed["differences"]] == ["tos_uri"]


def toml(program: Program, text: str, query: str) -> httpx2.Response:
    return program.ask(
        "POST", f"/portals.toml{query}", content=text.encode(), headers={"Content-Type": "application/toml"}
    )


def test_a_file_with_something_wrong_changes_nothing(owner: Program) -> None:
    good = owner.ask("GET", "/portals.toml?client_id=gov24").text.replace('"gov24"', '"api-good"')
    bad = toml(owner, f'{good}\n[[portal]]\nclient_id = "api-bad"\n\n[[portal]]\nname = "?"\n', "?reason=r")
    assert {field.partition(".")[0] for field in findings(bad)} == {"portal[2]", "api-bad"}
    assert owner.ask("GET", "/portals/api-good").status_code == 404
    assert "reason" in "".join(findings(toml(owner, good, "")))
    for text in ("[[portal", "portal = 1", "[other]\n"):
        assert toml(owner, text, "?reason=r").status_code in {400, 422}


# -- with a second person --------------------------------------------------------------------------------------


def administrator(rig: Rig, admin_id: str) -> None:
    with rig.app.app_context():
        if db.session.get(Administrator, admin_id) is None:
            row = Administrator(id=admin_id, label=admin_id, role="owner", sub=admin_id, created_at=1)
            db.session.add(row)
            db.session.commit()


@pytest.mark.usefixtures("_two_people")
def test_a_change_waits_for_somebody_else(rig: Rig, owner: Program, member: Program) -> None:
    waiting = member.post(
        "/portals",
        202,
        registration=registration("api-wait", redirect_uris=["https://mofa.example/cb"]),
        reason="ours",
    )
    assert owner.ask("GET", "/portals/api-wait").status_code == 404
    [line] = [one for one in owner.get("/proposals")["items"] if one["client_id"] == "api-wait"]
    assert line["href"] == waiting["proposal"]
    shown = member.get(waiting["proposal"])
    assert shown["proposal"]["state"] == "waiting"
    assert {"path": "client_id", "before": None, "after": "api-wait"} in shown["differences"]
    assert member.ask("POST", f"{line['href']}/approve", json={}).status_code == 403
    done = owner.post(f"{line['href']}/approve")
    assert done["proposal"]["state"] == "approved"
    assert member.get("/portals/api-wait")["organisation"] == "mofa"
    owner.post(f"{line['href']}/approve", 409)
    [version] = owner.get("/portals/api-wait/versions")["items"]
    assert version["approved_by"] == f"token:{owner.get('/token')['id']}"


@pytest.mark.usefixtures("_two_people")
def test_whoever_proposes_does_not_approve_by_another_hand(rig: Rig, owner: Program) -> None:
    administrator(rig, "twohands")
    hands = [Program(rig, token(rig, Role.OWNER, made_by="admin:twohands")) for _ in range(2)]
    waiting = hands[0].ask(
        "PATCH",
        "/portals/gov24",
        json={"changes": {"tos_uri": "https://rp.example/"}, "reason": "r"},
        match="*",
    )
    assert waiting.status_code == 202
    assert waiting.headers["Location"] == waiting.json()["proposal"]
    for hand in hands:
        assert hand.ask("POST", f"{waiting.json()['proposal']}/approve", json={}).status_code == 403
    with rig.app.app_context():
        person = people.find("twohands")
        changes = PortalChanges(rig.house.settings, rig.clock)
        with pytest.raises(people.Forbidden):
            changes.decide(person, waiting.json()["proposal"].rpartition("/")[2], "approve", reason="")
    assert "reason" in findings(owner.ask("POST", f"{waiting.json()['proposal']}/reject", json={}))
    gone = hands[1].post(f"{waiting.json()['proposal']}/withdraw")
    assert gone["proposal"]["state"] == "withdrawn"


@pytest.mark.usefixtures("_two_people")
def test_a_proposal_on_a_version_that_is_gone_is_not_carried_out(owner: Program, rig: Rig) -> None:
    other = Program(rig, token(rig, Role.OPERATOR))
    both = [
        owner.ask(
            "PATCH", "/portals/gov24", json={"changes": {"tos_uri": uri}, "reason": "r"}, match="*"
        ).json()
        for uri in ("https://rp.example/1", "https://rp.example/2")
    ]
    other.post(f"{both[0]['proposal']}/approve")
    other.post(f"{both[1]['proposal']}/approve", 409)
    assert other.get(both[1]["proposal"])["proposal"]["state"] == "outdated"


# -- what nobody should send -----------------------------------------------------------------------------------

HOSTILE = {
    "name.en": {"name": {"ko": "가", "en": "x" * 10_000}},
    "name.ko": {"name": {"ko": "가\u202e나", "en": "A"}},
    "operator.en": {"operator": {"ko": "가", "en": "line\nbreak"}},
    "retention.ko": {"retention": {"ko": "가" * 10_000, "en": "A"}},
    "redirect_uris": {"redirect_uris": ["https://rp.example/" + "a" * 10_000]},
    "client_uri": {"client_uri": "javascript:alert(1)"},
    "policy_uri": {"policy_uri": "data:text/html,hello"},
    "logo_uri": {"logo_uri": "https://rp.example/\u202egnp"},
    "tos_uri": {"tos_uri": "https://user:pass@rp.example/"},
    "client_id": {"client_id": "가" * 10},
    "contacts": {"contacts": ["x" * 10_000]},
    "claims.name": {
        "claims": [{"name": "name", "purpose": {"ko": "가" * 10_000, "en": "A"}}],
        "scopes": ["openid", "profile"],
    },
    "jwks": {"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}},
    "sector_identifier": {"sector_identifier": "sinwon-console"},
    "scopes": {"scopes": ["openid", "x" * 10_000]},
    "registration.operator.ko": {"operator": {"ko": "a\0b", "en": "A"}},
    "registration.profile": {"profile": "x" * 10_000},
    "registration.redirect_uris": {"redirect_uris": "https://rp.example/cb"},
}


@pytest.mark.parametrize("field", list(HOSTILE))
def test_what_cannot_be_shown_or_used_is_refused_beside_its_member(owner: Program, field: str) -> None:
    body = {"registration": {**registration("api-hostile"), **HOSTILE[field]}, "reason": "r"}
    answered = owner.ask("POST", "/portals", json=body)
    found = findings(answered)
    assert field in found, found
    assert len(answered.text) < 5_000
    assert owner.ask("GET", "/portals/api-hostile").status_code == 404


@pytest.mark.parametrize("reason", ["", "x" * 256, "x" * 10_000, "a\nb", "\u202e", "  "])
def test_a_reason_is_a_sentence(owner: Program, reason: str) -> None:
    body = {"registration": registration("api-reason"), "reason": reason}
    assert "reason" in findings(owner.ask("POST", "/portals", json=body))


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b'{"reason": "a", "reason": "b"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a":' * 10_000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"reason": NaN}', "application/json", 400),
        (b'{"reason": "\\ud800"}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"{}", "", 415),
        (b" " * 2_000_000, "application/json", 413),
        (b'{"reason": 1e999}', "application/json", 400),
        (b'{"unknown": 1}', "application/json", 422),
        (b'{"registration": {}, "reason": "r", "more": 1}', "application/json", 422),
    ],
)
def test_a_body_that_is_none_is_refused(
    owner: Program, content: bytes, content_type: str, status: int
) -> None:
    answered = owner.ask("POST", "/portals", content=content, headers={"Content-Type": content_type})
    assert answered.status_code == status, answered.text
    assert answered.json()["status"] == status


@pytest.mark.parametrize(
    "query",
    ["?q=a&q=b", "?limit=0", "?limit=501", "?limit=x", "?q=%00", "?more=1", f"?q={'x' * 101}"],
)
def test_a_query_is_read_strictly(owner: Program, query: str) -> None:
    assert findings(owner.ask("GET", f"/portals{query}"))


@pytest.mark.parametrize("name", ["nobody", "%00", "..%2f..", "~", "~AA", "~====", "%F0%9F%99%82", "x" * 300])
def test_a_name_that_nobody_has_is_not_found(owner: Program, name: str) -> None:
    assert owner.ask("GET", f"/portals/{name}").status_code == 404
    assert owner.ask("GET", f"/proposals/{name}").status_code == 404
    assert owner.ask("GET", f"/organisations/{name}").status_code == 404
