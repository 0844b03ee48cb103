"""What administrators do to portals, on every database: one of several at once wins, and each sees what is theirs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from idp import portals, seal
from idp.admin import organisations
from idp.admin import portals as portal_admin
from idp.admin.people import Administrator, Role
from idp.admin.portals import reading
from idp.admin.portals.changes import Change, ChangeRefused, PortalChanges
from idp.models import PortalSecret, db
from idp.oidc import registration
from idp.portals.secret_use import SecretUse
from idp.portals.versions import Conflict, UnknownPortal
from tests.rig import Rig
from tests.test_versions import document


@pytest.fixture(scope="module")
def rig(each_rig: Rig) -> Rig:
    """On the embedded defaults, and on PostgreSQL and Redis."""
    return each_rig


OPERATOR = Administrator("operator", "ops", Role.OPERATOR, None, 0, None, None, None)
SECOND = Administrator("second", "ops-2", Role.OPERATOR, None, 0, None, None, None)
MEMBER = Administrator("member", "mofa-1", Role.MEMBER, "mofa", 0, None, None, None)


def registered(rig: Rig, client_id: str, of: str | None = None, **changes: Any) -> None:
    portal_admin.apply({"portal": [document(client_id, **changes)]}, now=rig.clock())
    if of is not None:
        name = {"ko": f"{of} 기관", "en": of}
        organisations.apply({"organisation": [{"id": of, "name": name}]}, now=rig.clock())
        organisations.transfer(client_id, of, reason="test", now=rig.clock())


def changes(rig: Rig, mode: str = "demo", *, approvals: bool = True) -> PortalChanges:
    settings = rig.house.settings
    console = msgspec.structs.replace(settings.console, approvals=approvals)
    return PortalChanges(msgspec.structs.replace(settings, mode=mode, console=console), rig.clock)


def change(client_id: str, base: int = 1, **more: Any) -> Change:
    return Change(document(client_id, **more), "a reason", base)


def at_once(rig: Rig, *acts: Callable[[], Any]) -> list[Any]:
    """What each of these answered, or raised, when all began together."""
    together = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        with rig.app.app_context():
            together.wait()
            try:
                return act()
            except (Conflict, ChangeRefused) as error:
                return error

    with ThreadPoolExecutor(len(acts)) as crowd:
        return list(crowd.map(run, acts))


@pytest.mark.parametrize(
    ("mode", "approvals", "two"),
    [("production", True, True), ("production", False, False), ("sandbox", True, False)],
)
def test_a_change_takes_two_people_in_production(rig: Rig, mode: str, approvals: bool, two: bool) -> None:
    assert changes(rig, mode, approvals=approvals).two_people is two


def test_of_several_changes_of_one_version_one_is_made(rig: Rig) -> None:
    with rig.app.app_context():
        registered(rig, "raced")
    made = [
        lambda name=f"Name {number}": changes(rig).submit(
            OPERATOR, change("raced", name={"ko": "이", "en": name})
        )
        for number in range(4)
    ]
    assert sum(isinstance(answer, Conflict) for answer in at_once(rig, *made)) == 3
    with rig.app.app_context():
        assert reading.find("raced", admin=None).version == 2


def test_of_several_who_register_one_name_one_does(rig: Rig) -> None:
    acts = [lambda: changes(rig).submit(OPERATOR, change("raced-new", base=0)) for _ in range(4)]
    assert sum(isinstance(answer, Exception) for answer in at_once(rig, *acts)) == 3
    with rig.app.app_context():
        assert reading.find("raced-new", admin=None).version == 1


def test_of_two_who_decide_at_once_one_does(rig: Rig) -> None:
    desk = changes(rig, "production")
    with rig.app.app_context():
        registered(rig, "raced-decision", "mofa")
        proposal = desk.submit(MEMBER, change("raced-decision", name={"ko": "이", "en": "New"})).proposal
    assert proposal is not None
    answers = at_once(
        rig,
        lambda: desk.decide(OPERATOR, proposal, "approve", reason=""),
        lambda: desk.decide(SECOND, proposal, "reject", reason="no"),
    )
    assert sum(isinstance(answer, Conflict) for answer in answers) == 1
    with rig.app.app_context():
        decided = reading.proposal(proposal, admin=None)
        changed = reading.find("raced-decision", admin=None).registration.name["en"] == "New"
    assert (decided.state == "approved") is changed


def test_a_list_finds_by_every_place_and_pages_by_client_id(rig: Rig) -> None:
    with rig.app.app_context():
        for number in range(5):
            registered(rig, f"paged-{number}", name={"ko": f"쪽 {number}", "en": f"Page 100%_{number}"})
        first = reading.listed("100%_", "", admin=None, rows=3)
        assert [line.client_id for line in first.lines] == ["paged-0", "paged-1", "paged-2"]
        rest = reading.listed("100%_", first.after or "", admin=None, rows=3)
        assert [line.client_id for line in rest.lines] == ["paged-3", "paged-4"]
        assert rest.after is None
        for search in ("쪽 3", "PAGED-3", "page 100%_3"):
            assert [line.client_id for line in reading.listed(search, "", admin=None).lines] == ["paged-3"]
        assert "paged-0" in [line.client_id for line in reading.listed("rp.example/cb", "", admin=None).lines]
        assert reading.listed("100%%", "", admin=None).lines == []
        assert reading.listed("\0'\"\\", "", admin=None).lines == []


def test_a_member_finds_the_own_organisations_alone(rig: Rig) -> None:
    with rig.app.app_context():
        registered(rig, "scoped-mine", "mofa")
        registered(rig, "scoped-theirs", "mois")
        registered(rig, "scoped-nobodys")
        found = [line.client_id for line in reading.listed("scoped", "", admin=MEMBER).lines]
        assert found == ["scoped-mine"]
        for other in ("scoped-theirs", "scoped-nobodys"):
            with pytest.raises(UnknownPortal):
                reading.find(other, admin=MEMBER)
            with pytest.raises(UnknownPortal):
                changes(rig).submit(MEMBER, change(other))
            with pytest.raises(UnknownPortal):
                changes(rig).rollback(MEMBER, other, 1, base=1, reason="r")


def test_a_portal_that_is_removed_and_comes_back_goes_on_counting(rig: Rig) -> None:
    with rig.app.app_context():
        registered(rig, "returned")
        registration.remove("returned", now=rig.clock())
        with pytest.raises(Conflict):
            changes(rig).submit(OPERATOR, change("returned", base=0))
        changes(rig).submit(OPERATOR, change("returned", base=2))
        assert [one.number for one in reading.history("returned")] == [3, 2, 1]


def test_a_rejected_change_leaves_everything_as_it_was(rig: Rig) -> None:
    with rig.app.app_context():
        registered(rig, "unharmed")
        before = reading.find("unharmed", admin=None)
        for wrong in ({"redirect_uris": []}, {"sector_identifier": "other.example"}, {"scopes": ["nothing"]}):
            with pytest.raises(ChangeRefused):
                changes(rig).submit(OPERATOR, change("unharmed", **wrong))
        assert reading.find("unharmed", admin=None) == before


def test_threads_that_use_one_secret_note_it_once_and_a_strange_one_never(rig: Rig) -> None:
    with rig.app.app_context():
        registered(rig, "noted")
        digest = reading.find("noted", admin=None).registration.client_secret_sha256[0]
        db.session.query(PortalSecret).where(PortalSecret.client_id == "noted").delete()
        db.session.commit()  # as after a migration: a secret that no row is of
    uses = [SecretUse() for _ in range(4)]  # processes, each with its own memory
    acts = [lambda use=use: use.note("noted", digest, now=rig.clock()) for use in uses]
    acts.append(lambda: uses[0].note("noted", seal.digest("strange"), now=rig.clock()))
    acts.append(lambda: uses[0].note("nobody", digest, now=rig.clock()))
    assert [answer for answer in at_once(rig, *acts) if answer is not None] == []
    with rig.app.app_context():
        [secret] = reading.secrets(reading.find("noted", admin=None))
        n_rows = db.session.query(PortalSecret).where(PortalSecret.client_id == "noted").count()
    assert secret.last_used_at == rig.clock() - rig.clock() % 3600
    assert n_rows == 1
    assert portals.document(portals.parse(document("noted")))["client_secret_sha256"] == [digest]
