"""Portals in the console: the four steps, what a second person decides, what nobody else may see."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import pytest
from joserfc.jwk import ECKey
from sqlalchemy import insert

from idp import portals
from idp.admin import organisations
from idp.admin import portals as portal_admin
from idp.admin.people import Role
from idp.admin.portals import reading
from idp.admin.portals.changes import PortalChanges
from idp.demo import check
from idp.models import Portal as PortalRow
from idp.models import PortalProposal, db
from idp.portals.rules import CONSOLE
from idp.views.console.portal_words import KEY_PROBLEMS
from idp.views.language import translations
from tests.at_console import Admin
from tests.http.test_sector_move import counted
from tests.registering import Site, public, site
from tests.rig import Rig, started
from tests.test_versions import document

FORM = "/console/portals/new"
KEY = ECKey.generate_key("P-256")


def organisation(name: str) -> dict[str, Any]:
    return {"id": name, "name": {"ko": f"{name} 기관", "en": f"{name} agency"}}


@pytest.fixture(scope="module")
def documents() -> Iterator[Site]:
    """A portal's own server."""
    with site() as made:
        yield made


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, documents: Site) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house"), allow=(documents.origin,)) as running:
        yield running


@pytest.fixture(scope="module")
def owner(rig: Rig) -> Admin:
    with rig.app.app_context():
        organisations.apply({"organisation": [organisation("mofa"), organisation("mois")]}, now=rig.clock())
    return Admin(rig, "hong").join(Role.OWNER)


@pytest.fixture(scope="module")
def member(rig: Rig, owner: Admin) -> Admin:
    return Admin(rig, "park").join(Role.MEMBER, organisation="mofa")


@pytest.fixture(scope="module")
def auditor(rig: Rig, owner: Admin) -> Admin:
    return Admin(rig, "invented-7").join(Role.AUDITOR)


def registered(rig: Rig, client_id: str, of: str | None = None, **changes: Any) -> str:
    """A portal, of an organisation or of none; the query that names it."""
    with rig.app.app_context():
        portal_admin.apply({"portal": [document(client_id, **changes)]}, now=rig.clock())
        if of is not None:
            organisations.transfer(client_id, of, reason="for a test", now=rig.clock())
    return f"id={client_id}"


def typed(answered: httpx2.Response) -> dict[str, list[str]]:
    """What a browser would send of the wizard's form as it stands, but for its buttons."""
    form = check.Page(answered).find("wizard")
    assert form is not None, answered.text[-3000:]
    made: dict[str, list[str]] = {}
    for name, value in check.form_fields(form):
        made.setdefault(name, []).append(value)
    return made


def send(admin: Admin, path: str, fields: dict[str, list[str]], **changes: Any) -> httpx2.Response:
    """The wizard's form, with some fields changed: a text, or a list of what is chosen."""
    given: dict[str, Any] = dict(fields)
    given |= {name: value if isinstance(value, list) else [value] for name, value in changes.items()}
    return admin.browser.post(admin.holder.absolute(path), data=given)


@pytest.fixture
def _two_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy of a production deployment, which this one on loopback cannot be."""
    monkeypatch.setattr(PortalChanges, "two_people", property(lambda self: True))


NEW = {
    "name.ko": "새 포털",
    "name.en": "New portal",
    "operator.ko": "새 기관",
    "operator.en": "New agency",
}
WHAT = {
    "retention.ko": "1년",
    "retention.en": "One year",
    "scopes": ["openid", "profile"],
    "claims": ["name"],
    "claim.name.purpose.ko": "신청인 확인",
    "claim.name.purpose.en": "To know who applies",
    "claim.name.retention.en": "a day",
    "claim.name.retention.ko": "하루",
}


def walked(admin: Admin, client_id: str) -> dict[str, list[str]]:
    """The four steps up to the review; its form."""
    step = typed(admin.get(FORM))
    step = typed(send(admin, FORM, step, client_id=client_id, **NEW, go="how"))
    host = f"{client_id}.example"
    uris = f"https://{host}/callback\r\nhttps://{host}/other"
    step = typed(send(admin, FORM, step, redirect_uris=uris, go="what"))
    return typed(send(admin, FORM, step, **WHAT, go="review"))


def stored(rig: Rig, client_id: str) -> dict[str, Any] | None:
    with rig.app.app_context():
        found = portals.find(client_id)
        return portals.document(found) if found is not None else None


def secret_of(answered: httpx2.Response) -> str:
    shown = check.Page(answered).find("client-secret")
    assert shown is not None, answered.text[-3000:]
    return shown.text


# -- four steps ----------------------------------------------------------------------------------------------------


def test_a_portal_is_registered_in_four_steps_and_its_secret_is_shown_once(rig: Rig, owner: Admin) -> None:
    review = walked(owner, "wizard")
    assert stored(rig, "wizard") is None
    answered = send(owner, FORM, review, reason="a new service", go="save")
    assert answered.status_code == 200
    assert answered.headers["Cache-Control"] == "no-store"
    secret = secret_of(answered)
    with rig.app.app_context():
        found = portals.find("wizard")
    assert found is not None
    assert found.has_secret(secret)
    assert found.redirect_uris == ("https://wizard.example/callback", "https://wizard.example/other")
    assert found.claim("name").retention == {"ko": "하루", "en": "a day"}
    for path in ("portal?id=wizard", "export?id=wizard", "version?id=wizard&version=1"):
        text = owner.get(f"/console/portals/{path}").text
        assert secret not in text
        assert found.client_secret_sha256[0] not in text.replace(
            f'value="{found.client_secret_sha256[0]}"', ""
        )
    with rig.app.app_context():
        [version] = reading.history("wizard")
    assert version.reason == "a new service"
    assert (version.actor or "").startswith("admin:")


def test_what_was_typed_survives_going_back_and_forth(owner: Admin) -> None:
    review = walked(owner, "forth")
    back = typed(send(owner, FORM, review, reason="typed already", go="who"))
    assert back["name.ko"] == ["새 포털"]
    again = typed(send(owner, FORM, back, **{"name.ko": "고친 포털"}, go="review"))
    assert again["reason"] == ["typed already"]
    assert again["name.ko"] == ["고친 포털"]
    assert again["scopes"] == ["openid", "profile"]


def test_what_is_wrong_is_said_beside_its_field_and_nothing_moves_on(owner: Admin) -> None:
    step = typed(send(owner, FORM, typed(owner.get(FORM)), client_id="wrong", **NEW, go="how"))
    answered = send(owner, FORM, step, redirect_uris="http://new.example/#x", go="what")
    assert answered.status_code == 400
    page = check.Page(answered)
    beside = page.find("p-redirect_uris")
    assert beside is not None
    assert "http" in beside.text
    assert "what-title" not in answered.text


def test_the_same_is_said_in_both_languages(owner: Admin) -> None:
    step = typed(owner.get(FORM))
    for lang, sentence in (("ko", "비어 있습니다"), ("en", "is empty")):
        headers = {"Accept-Language": lang}
        owner.browser.cookies.delete("lang")
        answered = owner.browser.post(
            owner.holder.absolute(FORM), data={**step, "client_id": ["x"], "go": ["how"]}, headers=headers
        )
        assert sentence in answered.text


def test_without_a_reason_nothing_is_saved(rig: Rig, owner: Admin) -> None:
    answered = send(owner, FORM, walked(owner, "reasonless"), reason="", go="save")
    assert answered.status_code == 400
    assert stored(rig, "reasonless") is None


def test_ten_thousand_characters_are_a_clear_error(rig: Rig, owner: Admin) -> None:
    review = walked(owner, "long")
    answered = send(owner, FORM, review, **{"name.en": "x" * 10_000}, reason="long", go="save")
    assert answered.status_code == 400
    assert "120" in answered.text
    assert stored(rig, "long") is None


def test_a_name_is_taken_once(rig: Rig, owner: Admin) -> None:
    registered(rig, "taken")
    answered = send(owner, FORM, walked(owner, "taken"), reason="again", go="save")
    assert answered.status_code == 400
    assert stored(rig, "taken") == portals.document(portals.parse(document("taken")))


def test_a_form_takes_no_secret_and_nothing_that_it_does_not_show(rig: Rig, owner: Admin) -> None:
    """Mass assignment: members that no field is for."""
    query = registered(rig, "assigned")
    form = typed(owner.get(f"/console/portals/change?{query}&step=review"))
    more = {
        "client_secret_sha256": "f" * 64,
        "serves_resources": "https://api.example",
        "organisation": "mofa",
        "enabled": "",
        "registration_token_digest": "f" * 64,
    }
    answered = send(
        owner, f"/console/portals/change?{query}", form, **more, **{"name.en": "Gate"}, reason="r", go="save"
    )
    assert answered.status_code == 303
    now = stored(rig, "assigned")
    assert now is not None
    assert now == {
        **portals.document(portals.parse(document("assigned"))),
        "name": {"ko": "포털", "en": "Gate"},
    }
    with rig.app.app_context():
        assert reading.find("assigned", admin=None).organisation is None


def test_what_the_form_does_not_know_stays_as_it_is(rig: Rig, owner: Admin) -> None:
    more = {"default_max_age": 60, "resources": ["https://api.example"], "software_id": "s"}
    query = registered(rig, "kept", **more)
    form = typed(owner.get(f"/console/portals/change?{query}&step=review"))
    send(owner, f"/console/portals/change?{query}", form, reason="nothing", go="save")
    now = stored(rig, "kept")
    assert now is not None
    assert {name: now[name] for name in more} == more


# -- two at once ---------------------------------------------------------------------------------------------------


def test_of_two_who_edit_at_once_the_second_one_sees_both_texts_and_loses_nothing(
    rig: Rig, owner: Admin
) -> None:
    query = registered(rig, "contended")
    path = f"/console/portals/change?{query}"
    mine = typed(owner.get(f"{path}&step=review"))
    theirs = typed(owner.get(f"{path}&step=review"))
    assert (
        send(owner, path, theirs, **{"operator.en": "Theirs"}, reason="first", go="save").status_code == 303
    )
    answered = send(owner, path, mine, **{"name.en": "Mine"}, reason="second", go="save")
    assert answered.status_code == 409
    assert "Theirs" in answered.text
    assert "Mine" in answered.text
    kept = typed(answered)
    assert (kept["name.en"], kept["reason"]) == (["Mine"], ["second"])
    now = stored(rig, "contended")
    assert now is not None
    assert now["name"]["en"] == "Portal"
    assert send(owner, path, kept, go="save").status_code == 303
    with rig.app.app_context():
        assert [one.reason for one in reading.history("contended")] == ["second", "first", None]


# -- a second person -----------------------------------------------------------------------------------------------


def proposed(rig: Rig, admin: Admin, client_id: str, of: str | None = None) -> str:
    """A change that waits; the path of its page."""
    query = registered(rig, client_id, of)
    path = f"/console/portals/change?{query}"
    form = typed(admin.get(f"{path}&step=review"))
    answered = send(admin, path, form, **{"name.en": "Proposed"}, reason="better", go="save")
    assert answered.status_code == 303, answered.text[-2000:]
    return urlsplit(answered.headers["Location"]).path


@pytest.mark.usefixtures("_two_people")
def test_a_change_counts_when_somebody_else_has_approved_it(rig: Rig, owner: Admin, member: Admin) -> None:
    path = proposed(rig, member, "approved", "mofa")
    assert stored(rig, "approved") == portals.document(portals.parse(document("approved")))
    assert member.send(path, decision="approve", reason="").status_code == 403
    assert owner.send(path, decision="approve", reason="fine").status_code == 303
    now = stored(rig, "approved")
    assert now is not None
    assert now["name"]["en"] == "Proposed"
    with rig.app.app_context():
        latest = reading.history("approved")[0]
    assert latest.actor != latest.approved_by
    assert (latest.actor or "").startswith("admin:")
    assert (latest.approved_by or "").startswith("admin:")
    assert owner.send(path, decision="reject", reason="too late").status_code == 409


@pytest.mark.usefixtures("_two_people")
def test_nobody_approves_what_they_proposed_themselves(rig: Rig, owner: Admin) -> None:
    path = proposed(rig, owner, "own-change")
    assert owner.send(path, decision="approve", reason="").status_code == 403
    assert owner.send(path, decision="withdraw").status_code == 303
    assert owner.send(path, decision="withdraw").status_code == 409


@pytest.mark.usefixtures("_two_people")
def test_an_auditor_reads_and_decides_nothing(rig: Rig, owner: Admin, auditor: Admin) -> None:
    path = proposed(rig, owner, "audited")
    assert auditor.get(path).status_code == 200
    assert auditor.send(path, decision="approve", reason="").status_code == 403
    assert auditor.get("/console/portals/new").status_code == 403
    for act in (
        "switch?id=audited",
        "secrets?id=audited",
        "transfer?id=audited",
        "rollback?id=audited&version=1",
    ):
        assert auditor.send(f"/console/portals/{act}", reason="r", to="off").status_code == 403


@pytest.mark.usefixtures("_two_people")
def test_a_change_on_what_has_changed_since_is_refused_and_kept(
    rig: Rig, owner: Admin, member: Admin
) -> None:
    path = proposed(rig, member, "overtaken", "mofa")
    registered(rig, "overtaken", required_acr="secure")
    assert owner.send(path, decision="approve", reason="").status_code == 409
    assert "Proposed" in owner.get(path).text
    now = stored(rig, "overtaken")
    assert now is not None
    assert now["name"]["en"] == "Portal"


@pytest.mark.usefixtures("_two_people")
def test_a_new_portal_waits_too_and_its_secret_works_when_it_is_approved(
    rig: Rig, owner: Admin, member: Admin
) -> None:
    answered = send(member, FORM, walked(member, "waiting-new"), reason="new", go="save")
    secret = secret_of(answered)
    assert stored(rig, "waiting-new") is None
    with rig.app.app_context():
        [row] = db.session.query(PortalProposal).where(PortalProposal.client_id == "waiting-new")
        identifier, owned = row.id, row.organisation_id
    assert owned == "mofa"
    assert (
        owner.send(f"/console/portals/proposals/{identifier}", decision="approve", reason="").status_code
        == 303
    )
    with rig.app.app_context():
        found = portals.find("waiting-new")
        assert found is not None
        assert found.has_secret(secret)
        assert reading.find("waiting-new", admin=None).organisation == "mofa"


@pytest.mark.usefixtures("_two_people")
def test_to_reject_takes_a_reason(rig: Rig, owner: Admin, member: Admin) -> None:
    path = proposed(rig, member, "rejected", "mofa")
    assert owner.send(path, decision="reject", reason="").status_code == 400
    assert owner.send(path, decision="reject", reason="not like this").status_code == 303
    assert "not like this" in member.get(path).text


# -- going back, switching, transferring ---------------------------------------------------------------------------


def test_a_rollback_keeps_secrets_and_sector(rig: Rig, owner: Admin) -> None:
    query = registered(rig, "returning")
    registered(
        rig,
        "returning",
        name=TEXT_EN,
        client_secret_sha256=["b" * 64],
        redirect_uris=["https://rp.example/x"],
    )
    answered = owner.send(
        f"/console/portals/rollback?{query}&version=1", base="2", reason="the old one was better"
    )
    assert answered.status_code == 303
    now = stored(rig, "returning")
    assert now is not None
    assert now["name"]["en"] == "Portal"
    assert now["client_secret_sha256"] == ["b" * 64]
    assert "sector_identifier" not in now
    stale = owner.send(f"/console/portals/rollback?{query}&version=2", base="2", reason="again")
    assert stale.status_code == 409
    assert owner.send(f"/console/portals/rollback?{query}&version=9", base="3", reason="r").status_code == 404


TEXT_EN = {"ko": "다른", "en": "Other"}


def test_off_takes_one_person_and_on_again_somebody_who_may_approve(
    rig: Rig, owner: Admin, member: Admin
) -> None:
    query = registered(rig, "switching", "mofa")
    assert member.send(f"/console/portals/switch?{query}", to="off").status_code == 303
    assert stored(rig, "switching") is None
    assert member.send(f"/console/portals/switch?{query}", to="on").status_code == 403
    assert owner.send(f"/console/portals/switch?{query}", to="on").status_code == 303
    assert stored(rig, "switching") is not None


def test_a_portal_is_transferred_with_what_waits_there(rig: Rig, owner: Admin, member: Admin) -> None:
    query = registered(rig, "transferred", "mofa")
    assert member.send(f"/console/portals/transfer?{query}", to="mois", reason="r").status_code == 403
    assert owner.send(f"/console/portals/transfer?{query}", to="nowhere", reason="r").status_code == 400
    assert owner.send(f"/console/portals/transfer?{query}", to="mois", reason="").status_code == 400
    assert owner.send(f"/console/portals/transfer?{query}", to="mois", reason="reform").status_code == 303
    assert member.get(f"/console/portals/portal?{query}").status_code == 404


def test_a_secret_is_added_shown_once_and_the_old_one_retired(rig: Rig, owner: Admin) -> None:
    query = registered(rig, "rotating")
    answered = owner.send(f"/console/portals/secrets?{query}", reason="yearly")
    secret = secret_of(answered)
    assert answered.headers["Cache-Control"] == "no-store"
    assert owner.send(f"/console/portals/secrets?{query}", reason="third").status_code == 400
    retired = owner.send(f"/console/portals/secrets/retire?{query}", digest="a" * 64, reason="old")
    assert retired.status_code == 303
    with rig.app.app_context():
        found = portals.find("rotating")
    assert found is not None
    assert found.has_secret(secret)
    last = owner.send(
        f"/console/portals/secrets/retire?{query}", digest=found.client_secret_sha256[0], reason="all"
    )
    assert last.status_code == 400
    assert {"admin.secret_added", "admin.secret_retired"} <= set(rig.event_names())


def test_a_sector_is_changed_in_the_form_by_a_move_alone(rig: Rig, owner: Admin) -> None:
    query = registered(rig, "sectors")
    path = f"/console/portals/change?{query}"
    form = typed(owner.get(f"{path}&step=review"))
    plain = send(owner, path, form, sector_identifier="new.example", reason="r", go="save")
    assert plain.status_code == 400
    day = time.strftime("%Y-%m-%d", time.gmtime(rig.clock() + 30 * 86_400))
    moved = send(owner, path, form, sector_identifier="new.example", move_until=day, reason="r", go="save")
    assert moved.status_code == 303
    now = stored(rig, "sectors")
    assert now is not None
    assert (now["sector_identifier"], now["previous_sector_identifier"]) == ("new.example", "rp.example")
    again = typed(owner.get(f"{path}&step=review"))
    assert again["move_until"] == [day]


# -- members -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def foreign(rig: Rig, owner: Admin) -> str:
    return registered(rig, "foreign", "mois", name={"ko": "남의 포털", "en": "Foreign portal"})


READS = ("portal", "contract", "export", "redirect", "version", "change")
ACTS = ("change", "rollback", "secrets", "secrets/retire", "logo", "switch", "keys")


@pytest.mark.parametrize("page", READS)
def test_a_member_reads_nothing_of_a_portal_of_others(member: Admin, foreign: str, page: str) -> None:
    answered = member.get(f"/console/portals/{page}?{foreign}&version=1&uri=https://rp.example/cb")
    assert answered.status_code == 404
    assert "Foreign" not in answered.text


@pytest.mark.parametrize("act", ACTS)
def test_a_member_changes_nothing_of_a_portal_of_others(
    rig: Rig, member: Admin, foreign: str, act: str
) -> None:
    before = stored(rig, "foreign")
    answered = member.send(
        f"/console/portals/{act}?{foreign}&version=1",
        reason="r", to="off", base="1", go="save", digest="a" * 64, uri="https://rp.example/jwks",
    )  # fmt: skip
    assert answered.status_code == 404
    assert stored(rig, "foreign") == before


def test_a_member_finds_no_portal_of_others(rig: Rig, member: Admin, foreign: str) -> None:
    registered(rig, "mine", "mofa", name={"ko": "내 포털", "en": "My portal"})
    for query in ("", "?q=foreign", "?q=Foreign", "?q=rp.example", "?after=a", "?q=%25"):
        text = member.get(f"/console/portals{query}").text
        assert "남의 포털" not in text
        assert "id=foreign" not in text
    assert "mine" in member.get("/console/portals?q=rp.example").text
    exported = member.get("/console/portals/export").text
    assert "mine" in exported
    assert "foreign" not in exported
    assert "gov24" not in exported


@pytest.mark.usefixtures("_two_people")
def test_a_member_reads_and_decides_no_proposal_of_others(rig: Rig, owner: Admin, member: Admin) -> None:
    path = proposed(rig, owner, "theirs-waits", "mois")
    assert member.get(path).status_code == 404
    for decision in ("approve", "reject", "withdraw"):
        assert member.send(path, decision=decision, reason="r").status_code == 404
    assert "theirs-waits" not in member.get("/console/portals").text


def test_a_members_new_portal_is_the_own_organisations_whatever_is_sent(rig: Rig, member: Admin) -> None:
    review = walked(member, "member-new")
    send(member, FORM, review, organisation="mois", reason="new", go="save")
    with rig.app.app_context():
        assert reading.find("member-new", admin=None).organisation == "mofa"


def test_a_member_takes_no_sector_of_others(rig: Rig, member: Admin) -> None:
    """Whoever shares a sector hears under which `sub` it knows a holder."""
    registered(rig, "sectoral", "mois", sector_identifier="secret.example")
    for client_id, sector in (("thief", "secret.example"), ("thief-2", "gov24.example")):
        if client_id == "thief-2":
            registered(rig, "nobodys", None, sector_identifier=sector)
        review = walked(member, client_id)
        answered = send(member, FORM, review, sector_identifier=sector, reason="r", go="save")
        assert answered.status_code == 400
        assert stored(rig, client_id) is None


def test_a_member_names_no_statute_by_themselves(rig: Rig, member: Admin) -> None:
    review = walked(member, "legal")
    statute = {"claim.name.basis": "statute", "claim.name.statute.ko": "법", "claim.name.statute.en": "Act"}
    answered = send(member, FORM, review, **statute, reason="r", go="save")
    assert answered.status_code == 400
    assert stored(rig, "legal") is None


# -- the console's own, hostile texts, testers ---------------------------------------------------------------------


def test_the_consoles_own_portal_is_nobodys(rig: Rig, owner: Admin) -> None:
    assert CONSOLE not in owner.get("/console/portals?q=console").text
    for page in READS:
        assert owner.get(f"/console/portals/{page}?id={CONSOLE}&version=1&uri=x").status_code == 404
    answered = send(owner, FORM, walked(owner, CONSOLE), reason="r", go="save")
    assert answered.status_code == 400
    assert CONSOLE not in owner.get("/console/portals/export").text


def test_stored_texts_are_shown_and_do_nothing(rig: Rig, owner: Admin) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    query = registered(
        rig,
        "evil",
        name={"ko": evil, "en": evil},
        operator={"ko": evil, "en": evil},
        claims=[{"name": "name", "purpose": {"ko": evil, "en": evil}}],
        contacts=[evil],
    )
    for page in (
        "portals?q=evil",
        *(f"portals/{name}?{query}&version=1&uri={quote(evil)}" for name in READS),
    ):
        text = owner.get(f"/console/{page}").text
        if "export" in page:
            continue
        assert "<script>alert" not in text
        assert "<img src=x" not in text


@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "data:text/html,x", "https://a b", "https://u:p@x.example/"]
)
def test_no_address_that_could_do_harm_is_registered(rig: Rig, owner: Admin, uri: str) -> None:
    review = walked(owner, "harmful")
    for name in ("client_uri", "policy_uri", "logo_uri", "redirect_uris", "backchannel_logout_uri"):
        assert send(owner, FORM, review, **{name: uri}, reason="r", go="save").status_code == 400
    assert stored(rig, "harmful") is None


def test_a_redirect_uri_is_tried(rig: Rig, owner: Admin) -> None:
    query = registered(rig, "tried")
    good = owner.page(f"/console/portals/redirect?{query}&uri=https://rp.example/cb")
    assert "일치합니다" in good.root.text
    slash = owner.get(f"/console/portals/redirect?{query}&uri=https://rp.example/cb/").text
    assert "끝의 빗금" in slash
    assert "<mark>/</mark>" in slash
    assert owner.get(f"/console/portals/redirect?{query}&uri={'x' * 5000}").status_code == 400


def test_keys_at_an_address_are_shown_with_what_is_wrong_with_them(
    rig: Rig, owner: Admin, documents: Site
) -> None:
    query = registered(rig, "keyed")
    keys = [
        KEY.as_dict(private=False),
        {**public(KEY), "kid": "again"},
        {**public(KEY), "kid": "again"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "weak"},
        {"kty": "new", "kid": "<b>kind"},
    ]
    shown = owner.send(f"/console/portals/keys?{query}", uri=documents.publish("/jwks", {"keys": keys}))
    for problem in KEY_PROBLEMS.values():
        assert translations("ko").gettext(problem) in shown.text
    assert "<b>kind" not in shown.text
    for body in ([], {"keys": 1}, b"nothing"):
        answered = owner.send(f"/console/portals/keys?{query}", uri=documents.publish("/bad", body))
        assert "JWK Set" in answered.text
    refused = owner.send(f"/console/portals/keys?{query}", uri="http://169.254.169.254/latest")
    assert refused.status_code == 200
    assert "루프백" in refused.text
    private = owner.send(f"/console/portals/keys?{query}", uri="https://10.0.0.1/jwks")
    assert "키를 읽지 못했습니다" in private.text


@pytest.mark.parametrize("page", [*READS, "proposals/nothing", "version"])
def test_what_is_not_there_is_a_page_that_says_so(owner: Admin, page: str) -> None:
    for identifier in ("nobody", "", "%00", "a" * 300):
        assert owner.get(f"/console/portals/{page}?id={identifier}&version=x").status_code == 404


POSTS = (
    "rollback",
    "secrets",
    "secrets/retire",
    "logo",
    "switch",
    "transfer",
    "keys",
    "change",
    "new",
    "proposals/x",
)


@pytest.mark.parametrize("act", POSTS)
def test_no_form_of_another_site_and_nobody_who_is_not_signed_in_changes_anything(
    rig: Rig, owner: Admin, act: str
) -> None:
    query = registered(rig, "forged")
    before = stored(rig, "forged")
    path = f"/console/portals/{act}?{query}&version=1"
    fields = {"to": "off", "reason": "r", "base": "1", "go": "save", "decision": "approve"}
    assert owner.send(path, csrf=None, **fields).status_code == 403
    assert owner.send(path, csrf="A" * 43, **fields).status_code == 403
    assert Admin(rig, "kim").send(path, csrf="x", **fields).status_code == 401
    assert stored(rig, "forged") == before


# -- many ----------------------------------------------------------------------------------------------------------


def test_ten_thousand_portals_are_listed_page_by_page_with_few_queries(tmp_path: Path) -> None:
    with started(tmp_path) as rig:
        with rig.app.app_context():
            made = portals.document(portals.parse(document("many")))
            db.session.execute(
                insert(PortalRow),
                [
                    {
                        "client_id": f"p{number:05}",
                        "enabled": True,
                        "registration": {**made, "client_id": f"p{number:05}"},
                        "updated_at": 1,
                    }
                    for number in range(10_000)
                ],
            )
            db.session.commit()
        admin = Admin(rig).join(Role.OWNER)
        admin.get("/console/portals")
        for path in ("/console/portals", "/console/portals?q=p0999", "/console/portals?after=p05000"):
            with counted(rig, "select") as asked:
                begun = time.process_time()
                answered = admin.get(path)
                assert time.process_time() - begun < 5
            assert answered.status_code == 200
            assert len(asked) <= 20
        assert "p05001" in answered.text
        assert "p05000" not in check.Page(answered).root.text
        seen, after = 0, ""
        with rig.app.app_context():
            while after is not None:
                page = reading.listed("", after, admin=None, rows=1000)
                seen, after = seen + len(page.lines), page.after
            assert seen == 10_000 + len(rig.prepared.portals())
