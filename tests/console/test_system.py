"""Overview, trust, keys, wallets and sessions at the console: who sees and changes what, and what is recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w
from sqlalchemy import delete, select

from idp import portals
from idp.admin import organisations, seen, trust, trust_record, wallets
from idp.admin.figures import Counting
from idp.admin.people import Role
from idp.admin.trust import Entry
from idp.demo import check
from idp.models import (
    AuditEvent,
    CredentialType,
    LogoutNotice,
    Mission,
    PortalProposal,
    SeenChain,
    SignedIn,
    SignInFigures,
    SignInFiguresMark,
    TrustChange,
    WalletProfile,
    db,
    writing,
)
from idp.oidc import backchannel
from tests.at_console import Admin
from tests.rig import Rig

HOSTILE = "</textarea><script>alert(1)</script><b onclick=x>\"'&"
PAGES = ("/console/trust", "/console/trust/history", "/console/keys", "/console/wallets", "/console/sessions")
WALLET = {
    "id": "haip",
    "version": 1,
    "name": {"ko": "지갑", "en": "Wallet"},
    "link": "haip-vp://",
}


@pytest.fixture(scope="module")
def owner(rig: Rig) -> Admin:
    return Admin(rig, "hong").join(Role.OWNER)


@pytest.fixture(scope="module")
def operator(rig: Rig) -> Admin:
    return Admin(rig, "invented-8001").join(Role.OPERATOR)


@pytest.fixture(scope="module")
def auditor(rig: Rig) -> Admin:
    return Admin(rig, "invented-8002").join(Role.AUDITOR)


@pytest.fixture(scope="module")
def member(rig: Rig) -> Admin:
    with rig.app.app_context():
        name = {"ko": "기관", "en": "Office"}
        organisations.apply({"organisation": [{"id": "office", "name": name}]}, now=rig.clock())
        organisations.transfer("gov24", "office", reason="theirs", now=rig.clock())
    return Admin(rig, "invented-8003").join(Role.MEMBER, organisation="office")


@pytest.fixture
def by_role(owner: Admin, operator: Admin, auditor: Admin, member: Admin) -> dict[Role, Admin]:
    return {Role.OWNER: owner, Role.OPERATOR: operator, Role.AUDITOR: auditor, Role.MEMBER: member}


@pytest.fixture
def tables(rig: Rig) -> Iterator[None]:
    """The registry of the demonstration and no wallets afterwards."""
    yield
    with rig.app.app_context():
        with writing() as database:
            for table in (SeenChain, Mission, CredentialType, WalletProfile, LogoutNotice):
                database.execute(delete(table))
        trust.apply(rig.prepared.trust(), now=rig.clock())
    rig.house.trust._read_at = rig.house.wallets._read_at = None


def last(rig: Rig, name: str) -> AuditEvent:
    return [event for event in rig.events() if event.name == name][-1]


def problem(answered: Any) -> check.Page:
    return check.Page(answered)


def hidden(html: str, name: str) -> str:
    """The value of a hidden field, or the text of a hidden textarea."""
    found = re.search(
        rf'<input type="hidden" name="{name}" value="([^"]*)"|<textarea name="{name}" hidden[^>]*>([^<]*)<',
        html,
    )
    assert found is not None, name
    value = found[1] if found[1] is not None else found[2]
    return value.replace("&#34;", '"').replace("&#39;", "'").replace("&lt;", "<").replace("&amp;", "&")


# -- who sees what ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("role", [Role.OWNER, Role.OPERATOR, Role.AUDITOR])
def test_the_system_is_seen_by_owner_operator_and_auditor(
    by_role: dict[Role, Admin], path: str, role: Role
) -> None:
    answered = by_role[role].get(path)
    assert answered.status_code == 200
    assert "script-src 'self'" in answered.headers["Content-Security-Policy"]
    assert answered.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [*PAGES, "/console/trust/missions/LAX", "/console/trust/export.toml"])
def test_a_member_of_an_organisation_does_not_see_the_system(by_role: dict[Role, Admin], path: str) -> None:
    assert by_role[Role.MEMBER].get(path).status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_who_is_not_signed_in_is_asked_to_sign_in(rig: Rig, path: str) -> None:
    answered = Admin(rig).get(path)
    assert answered.status_code == 303
    assert answered.headers["Location"].startswith("/console/sign-in?to=")


CHANGES: dict[str, dict[str, Any]] = {
    "/console/trust/try": {"toml": ""},
    "/console/trust/apply": {"toml": "", "removing": "missions/LAX", "basis": "0", "reason": "a letter"},
    "/console/trust/missions/LAX/end": {"until": "2026-01-01"},
    "/console/trust/missions/LAX/remove": {},
    "/console/keys/rotate": {"alg": "ES256", "at_once": "yes", "reason": "a letter"},
    "/console/keys/remove": {"kid": "k", "reason": "a letter"},
    "/console/wallets/haip/enable": {"untested": "yes", "reason": "a letter"},
    "/console/wallets/haip/disable": {"reason": "a letter"},
    "/console/sessions/end": {"portal": "gov24", "reason": "a letter"},
    "/console/sessions/replay": {"portal": "gov24", "reason": "a letter"},
}


def stand(rig: Rig) -> tuple[Any, ...]:
    """What a change would have changed."""
    with rig.app.app_context():
        return (
            [(line.entry, line.version) for line in trust_record.listed(rig.clock())],
            rig.house.keys.listing(),
            [(kept.profile.id, kept.enabled) for kept in wallets.kept()],
            db.session.scalars(select(LogoutNotice.attempts)).all(),
            [event.name for event in rig.events() if event.name not in {"admin.refused", "request.refused"}],
        )


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("role", [Role.AUDITOR, Role.MEMBER])
def test_who_only_reads_changes_nothing(rig: Rig, by_role: dict[Role, Admin], path: str, role: Role) -> None:
    before = stand(rig)
    assert by_role[role].send(path, **CHANGES[path]).status_code == 403
    assert stand(rig) == before


@pytest.mark.parametrize("csrf", [None, "", "wrong"])
@pytest.mark.parametrize("path", CHANGES)
def test_a_form_without_its_token_changes_nothing(
    rig: Rig, owner: Admin, path: str, csrf: str | None
) -> None:
    before = stand(rig)
    assert owner.send(path, csrf=csrf, **CHANGES[path]).status_code == 403
    assert stand(rig) == before


@pytest.mark.parametrize("path", [path for path in CHANGES if "try" not in path and "missions" not in path])
def test_a_change_without_a_reason_is_asked_for_one(rig: Rig, owner: Admin, path: str, tables: None) -> None:
    with rig.app.app_context():
        wallets.apply({"wallet": [WALLET]}, now=rig.clock())
        put_notice(rig, "gov24", given_up=True)
        basis = trust.preview({}, now=rig.clock()).basis
        kid = next(key.kid for key in rig.house.keys.listing() if key.state == "active")
    before = stand(rig)
    for reason in ("", "  ", "ab", "x" * 256, "a\nletter"):
        fields = {**CHANGES[path], "reason": reason, "basis": str(basis), "kid": kid}
        answered = owner.send(path, **fields)
        assert answered.status_code == 400, path
        assert 'aria-invalid="true"' in answered.text
    assert stand(rig) == before


# -- the first page --------------------------------------------------------------------------------------------


@pytest.fixture
def counted(rig: Rig) -> None:
    """Two people signed in at gov24, one at efamily, and one cancelled; counted."""
    with rig.app.app_context():
        with writing() as database:
            for table in (SignInFigures, SignInFiguresMark):
                database.execute(delete(table))
            database.execute(delete(AuditEvent).where(AuditEvent.name.like("login.%")))
        Counting(rig.clock).count(60)
    rig.portal("gov24").sign_in("invented-8101")
    rig.portal("gov24").sign_in("invented-8102")
    rig.portal("efamily").sign_in("invented-8103")
    portal = rig.portal("gov24")
    begun = portal.begin()
    page = portal.browser.get(portal.absolute(begun.location))
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert csrf is not None
    portal.browser.post(portal.absolute(f"{begun.location}/cancel"), data={"csrf": csrf[1]})
    with rig.app.app_context():
        Counting(rig.clock).count(60)


def numbers(admin: Admin) -> str:
    html = admin.get("/console?lang=en", headers={"Accept-Language": "en"}).text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_first_page_says_how_sign_ins_went(owner: Admin, counted: None) -> None:
    text = numbers(owner)
    assert "75% 3 of 4" in text
    assert "Cancelled by the holder" in text
    assert "4 begun, 3 finished" in text
    assert "What comes next" in text


def test_a_member_sees_the_figures_of_the_own_portals_and_nothing_of_the_system(
    member: Admin, counted: None
) -> None:
    text = numbers(member)
    assert "2 of 3" in text
    assert "What comes next" not in text
    assert "These are the figures of your organisation" in text


def test_a_change_of_a_portal_that_waits_is_counted_where_it_belongs(
    rig: Rig, owner: Admin, member: Admin
) -> None:
    with rig.app.app_context(), writing() as database:
        for number, organisation in enumerate(("office", None, None)):
            database.add(
                PortalProposal(
                    id=f"p{number}",
                    client_id="gov24",
                    organisation_id=organisation,
                    version=1,
                    after={},
                    proposed_by="x",
                    reason="y",
                    at=1,
                    state="waiting",
                )
            )
    waiting = "Changes of portals that wait for a second person"
    assert f"{waiting} 3 " in numbers(owner)
    assert f"{waiting} 1 " in numbers(member)
    with rig.app.app_context(), writing() as database:
        database.execute(delete(PortalProposal))


def test_a_reason_from_outside_is_shown_as_text(rig: Rig, owner: Admin) -> None:
    with rig.app.app_context(), writing() as database:
        hour = rig.clock() - rig.clock() % 3600
        database.add(
            SignInFigures(
                client_id="", hour=hour, outcome="wallet.refused", reason=HOSTILE[:60], within_s=0, n=9999
            )
        )
    html = owner.get("/console").text
    assert "9,999" in html
    assert "<script>alert" not in html
    with rig.app.app_context(), writing() as database:
        database.execute(delete(SignInFigures).where(SignInFigures.n == 9999))


# -- trust -----------------------------------------------------------------------------------------------------


def mission(rig: Rig, code: str = "LAX", **changes: Any) -> str:
    """A file with one mission of the demonstration, some of its members changed."""
    known = next(one for one in rig.prepared.trust()["mission"] if one["code"] == code)
    return trust_record.as_toml([("mission", {**known, **changes})])


def test_an_entry_is_shown_with_its_certificates_and_its_history(owner: Admin) -> None:
    text = owner.get("/console/trust/missions/LAX").text
    assert re.search(r"[0-9a-f]{64}", text)
    assert "CN=" in text
    assert owner.get("/console/trust/types/kr-overseas-national").status_code == 200
    for unknown in ("missions/NOWHERE", "types/LAX", "things/LAX", "missions/%00"):
        assert owner.get(f"/console/trust/{unknown}").status_code == 404


def test_a_change_is_tried_then_applied_with_its_reason(rig: Rig, operator: Admin, tables: None) -> None:
    name = {"ko": "바뀐 이름", "en": "A changed name"}
    tried = operator.send("/console/trust/try", toml=mission(rig, name=name))
    assert tried.status_code == 200
    assert "A changed name" in tried.text
    with rig.app.app_context():
        assert trust.current().missions["LAX"].name["en"] != "A changed name"
    done = operator.send(
        "/console/trust/apply",
        toml=hidden(tried.text, "toml"),
        basis=hidden(tried.text, "basis"),
        reason="letter 2026-11",
    )
    assert done.status_code == 303
    with rig.app.app_context():
        assert trust.current().missions["LAX"].name["en"] == "A changed name"
        [latest, *_] = trust_record.history("LAX")
    assert latest.reason == "letter 2026-11"
    assert (latest.actor or "").startswith("admin:")
    assert last(rig, "admin.trust_applied").actor == latest.actor


def test_a_file_may_be_chosen_instead_of_pasted(rig: Rig, owner: Admin) -> None:
    answered = owner.browser.post(
        owner.holder.absolute("/console/trust/try"),
        data={"csrf": owner.csrf(), "toml": ""},
        files={"file": ("trust.toml", mission(rig, country="ZZ").encode(), "application/toml")},
    )
    assert answered.status_code == 200
    assert "ZZ" in answered.text


def test_a_registry_of_many_missions_fits_into_a_form(rig: Rig, owner: Admin) -> None:
    with rig.app.app_context():
        lines = trust_record.listed(rig.clock())
    whole = trust_record.as_toml([(line.entry.kind, line.document) for line in lines])
    comment = "# " + "x" * 100 + "\n"
    answered = owner.send("/console/trust/try", toml=whole + comment * 1000)
    assert answered.status_code == 200


@pytest.mark.parametrize(
    "toml",
    [
        "",
        "mission = [",
        "mission = 3",
        'mission = "x"',
        "[mission]\ncode = 1",
        "[[mission]]",
        '[[mission]]\ncode = "LAX"',
        "mission = [3]",
        "x = " + "[" * 3000,
        "[[strange]]\na = 1",
        '[[mission]]\ncode = "A"\nactive_from = 12:00:00',
        f'[[mission]]\ncode = "{HOSTILE[:20]!r}"',
    ],
)
def test_what_makes_no_registry_is_named_and_changes_nothing(rig: Rig, owner: Admin, toml: str) -> None:
    before = stand(rig)
    answered = owner.send("/console/trust/try", toml=toml)
    assert answered.status_code == 400
    assert 'role="alert"' in answered.text
    assert stand(rig) == before


def test_a_change_says_which_credentials_of_late_it_would_refuse(
    rig: Rig, owner: Admin, tables: None
) -> None:
    rig.portal("gov24").sign_in("hong")
    with rig.app.app_context():
        rig.house.seen_chains.flush()
        chain = seen.lately(rig.clock())[0].mission
    tried = owner.send(f"/console/trust/missions/{chain}/remove")
    assert "issuer_untrusted" in tried.text
    assert chain in tried.text


def test_a_mission_is_ended_in_two_steps(rig: Rig, operator: Admin, tables: None) -> None:
    tried = operator.send("/console/trust/missions/HAN/end", until="2026-01-31")
    assert tried.status_code == 200
    done = operator.send(
        "/console/trust/apply",
        toml=hidden(tried.text, "toml"),
        basis=hidden(tried.text, "basis"),
        reason="closed",
    )
    assert done.status_code == 303
    with rig.app.app_context():
        assert str(trust.current().missions["HAN"].active_until) == "2026-01-31"


@pytest.mark.parametrize("until", ["", "soon", "2026-13-01", "2019-01-01"])
def test_a_mission_ends_on_a_day_after_it_began(rig: Rig, owner: Admin, until: str) -> None:
    before = stand(rig)
    assert owner.send("/console/trust/missions/HAN/end", until=until).status_code == 400
    assert stand(rig) == before


def test_a_mission_is_removed_in_two_steps_and_its_history_stays(
    rig: Rig, owner: Admin, tables: None
) -> None:
    tried = owner.send("/console/trust/missions/SAO/remove")
    assert hidden(tried.text, "removing") == "missions/SAO"
    owner.send(
        "/console/trust/apply",
        toml="",
        removing="missions/SAO",
        basis=hidden(tried.text, "basis"),
        reason="merged",
    )
    with rig.app.app_context():
        assert "SAO" not in trust.current().missions
    page = owner.get("/console/trust/missions/SAO")
    assert page.status_code == 200
    assert "merged" in page.text
    assert owner.send("/console/trust/missions/SAO/remove").status_code == 404


def test_a_type_that_a_mission_issues_is_not_removed(rig: Rig, owner: Admin) -> None:
    answered = owner.send("/console/trust/types/kr-overseas-national/remove")
    assert answered.status_code == 400
    assert "not a credential type" in answered.text


def test_what_was_tried_on_an_earlier_registry_is_tried_again(rig: Rig, owner: Admin, tables: None) -> None:
    tried = owner.send("/console/trust/try", toml=mission(rig, country="ZZ"))
    with rig.app.app_context():
        trust.apply({}, removing=[Entry("mission", "SAO")], now=rig.clock(), reason="meanwhile")
    fields = {"toml": hidden(tried.text, "toml"), "basis": hidden(tried.text, "basis"), "reason": "mine"}
    answered = owner.send("/console/trust/apply", **fields)
    assert answered.status_code == 409
    with rig.app.app_context():
        assert trust.current().missions["LAX"].country != "ZZ"
    fields["basis"] = hidden(answered.text, "basis")
    assert owner.send("/console/trust/apply", **fields).status_code == 303
    with rig.app.app_context():
        assert trust.current().missions["LAX"].country == "ZZ"


@pytest.mark.parametrize(
    "changes",
    [{"basis": "x"}, {"toml": "["}, {"removing": "things/LAX"}, {"removing": "missions/\0"}],
)
def test_a_form_that_is_not_ours_changes_nothing(rig: Rig, owner: Admin, changes: dict[str, str]) -> None:
    before = stand(rig)
    fields = {"toml": "", "removing": "missions/LAX", "basis": "0", "reason": "a letter", **changes}
    assert owner.send("/console/trust/apply", **fields).status_code in {404, 409}
    assert stand(rig) == before


def test_what_a_registry_says_is_shown_as_text(rig: Rig, owner: Admin, tables: None) -> None:
    with rig.app.app_context():
        known = next(one for one in rig.prepared.trust()["mission"] if one["code"] == "LAX")
        document = {**known, "name": {"ko": HOSTILE, "en": HOSTILE}, "source": HOSTILE}
        trust.apply({"mission": [document]}, now=rig.clock(), reason=HOSTILE)
    for path in (
        "/console/trust",
        "/console/trust/history",
        "/console/trust/missions/LAX",
        "/console/trust/change?entry=missions/LAX",
    ):
        html = owner.get(path).text
        assert "&lt;script&gt;alert(1)" in html
        assert "<script>alert" not in html
        assert "<b onclick" not in html
    with rig.app.app_context():
        db.session.execute(delete(TrustChange).where(TrustChange.reason == HOSTILE))
        db.session.commit()


def test_the_registry_can_be_downloaded_and_given_back(rig: Rig, owner: Admin) -> None:
    downloaded = owner.get("/console/trust/export.toml")
    assert downloaded.headers["Content-Disposition"].startswith("attachment")
    answered = owner.send("/console/trust/try", toml=downloaded.text)
    assert answered.status_code == 200
    assert 'name="basis"' not in answered.text  # nothing would change


# -- keys ------------------------------------------------------------------------------------------------------


def active(rig: Rig, alg: str = "ES256") -> str:
    with rig.app.app_context():
        return next(key.kid for key in rig.house.keys.listing() if key.alg == alg and key.state == "active")


def test_the_next_key_is_published_then_signs_at_once(rig: Rig, operator: Admin) -> None:
    before = active(rig)
    assert operator.page("/console/keys/rotate?alg=ES256").status == 200
    done = operator.send("/console/keys/rotate", alg="ES256", reason="yearly")
    assert done.headers["Location"] == "/console/keys?done=key_published"
    assert active(rig) == before
    event = last(rig, "admin.key_rotated")
    assert event.detail is not None
    assert (event.detail["why"], event.detail["alg"]) == ("yearly", "ES256")
    assert (event.actor or "").startswith("admin:")
    listed = operator.get("/console/keys").text
    assert event.detail["kid"] in listed
    assert "gov24" in listed  # was not seen to fetch it
    again = operator.send("/console/keys/rotate", alg="ES256", reason="yearly")
    assert again.status_code == 409
    operator.send("/console/keys/rotate", alg="ES256", at_once="yes", reason="yearly")
    assert active(rig) == event.detail["kid"]


def test_a_key_is_removed_and_another_signs(rig: Rig, owner: Admin) -> None:
    kid = active(rig, "RS256")
    assert owner.page(f"/console/keys/remove?kid={kid}").status == 200
    done = owner.send("/console/keys/remove", kid=kid, reason="copied")
    assert done.status_code == 303
    assert active(rig, "RS256") != kid
    assert last(rig, "admin.key_removed").detail == {"kid": kid, "why": "copied"}
    assert owner.get(f"/console/keys/remove?kid={kid}").status_code == 404


@pytest.mark.parametrize("query", ["rotate?alg=none", "rotate", "rotate?alg=PS256", "remove?kid=x", "remove"])
def test_what_is_no_key_of_ours_is_not_found(owner: Admin, query: str) -> None:
    assert owner.get(f"/console/keys/{query}").status_code == 404


# -- wallets ---------------------------------------------------------------------------------------------------


def test_a_wallet_that_was_not_tried_is_switched_on_only_if_that_is_said(
    rig: Rig, owner: Admin, tables: None
) -> None:
    with rig.app.app_context():
        wallets.apply({"wallet": [WALLET]}, now=rig.clock())
    assert "/console/wallets/haip/test" in owner.get("/console/wallets/haip").text
    assert "idp wallets test haip" in owner.get("/console/wallets/haip/enable").text
    assert owner.send("/console/wallets/haip/enable", reason="pilot").status_code == 409
    with rig.app.app_context():
        assert [enabled for _, enabled in wallets.listed()] == [False]
    done = owner.send("/console/wallets/haip/enable", untested="yes", reason="pilot")
    assert done.status_code == 303
    assert last(rig, "admin.wallet_enabled").detail == {"wallet": "haip", "untested": True, "why": "pilot"}
    with rig.app.app_context():
        assert [enabled for _, enabled in wallets.listed()] == [True]


def test_a_wallet_that_was_tried_is_switched_on_and_off(rig: Rig, operator: Admin, tables: None) -> None:
    with rig.app.app_context():
        wallets.apply({"wallet": [WALLET]}, now=rig.clock())
        wallets.tested(wallets.find("haip"), now=rig.clock())
    assert operator.send("/console/wallets/haip/enable", reason="pilot").status_code == 303
    assert last(rig, "admin.wallet_enabled").detail == {"wallet": "haip", "why": "pilot"}
    assert operator.send("/console/wallets/haip/disable", reason="over").status_code == 303
    assert last(rig, "admin.wallet_disabled").detail == {"wallet": "haip", "why": "over"}
    with rig.app.app_context():
        assert [enabled for _, enabled in wallets.listed()] == [False]


def test_a_trial_counts_for_the_profile_that_was_tried(rig: Rig, tables: None) -> None:
    with rig.app.app_context():
        wallets.apply({"wallet": [WALLET]}, now=rig.clock())
        tried = wallets.find("haip")
        wallets.apply({"wallet": [{**WALLET, "version": 2}]}, now=rig.clock())
        wallets.tested(tried, now=rig.clock())
        assert [kept.tested_at for kept in wallets.kept()] == [None]
        wallets.tested(wallets.find("haip"), now=rig.clock())
        assert [kept.tested_at for kept in wallets.kept()] != [None]
        wallets.apply({"wallet": [{**WALLET, "version": 3}]}, now=rig.clock())
        assert [kept.tested_at for kept in wallets.kept()] == [None]


def profile_file(**changes: Any) -> str:
    return tomli_w.dumps({"wallet": [{**WALLET, **changes}]})


def test_profiles_are_seen_then_applied_then_tried_and_only_then_offered(
    rig: Rig, operator: Admin, tables: None
) -> None:
    operator.get("/console?lang=en")
    seen = operator.send("/console/wallets/see", toml=profile_file())
    assert seen.status_code == 200
    assert hidden(seen.text, "toml").strip() == profile_file().strip()
    with rig.app.app_context():
        assert wallets.kept() == []
    assert operator.send("/console/wallets/apply", toml=profile_file(), reason="").status_code == 400
    assert operator.send("/console/wallets/apply", toml=profile_file(), reason="pilot").status_code == 303
    assert last(rig, "admin.wallet_applied").detail == {"wallet": "haip", "why": "pilot"}
    assert operator.send("/console/wallets/haip/enable", reason="pilot").status_code == 409
    tried = operator.send("/console/wallets/haip/test")
    assert "It works with these settings." in tried.text
    assert "the same answer to another request is refused" in tried.text
    assert last(rig, "admin.wallet_tested").detail == {"wallet": "haip"}
    assert operator.send("/console/wallets/haip/enable", reason="pilot").status_code == 303
    changed = operator.send("/console/wallets/see", toml=profile_file(version=2))
    assert "It is offered now." in changed.text
    again = operator.send("/console/wallets/see", toml=profile_file())
    assert "Nothing would change." in again.text


def test_a_profile_that_does_not_work_says_why_and_stays_off(rig: Rig, operator: Admin, tables: None) -> None:
    """The certificate of these settings names an address, and no DNS name."""
    operator.get("/console?lang=en")
    file = profile_file(client_id_prefix="x509_san_dns")
    assert operator.send("/console/wallets/apply", toml=file, reason="pilot").status_code == 303
    tried = operator.send("/console/wallets/haip/test")
    assert "It does not work with these settings" in tried.text
    with rig.app.app_context():
        assert [kept.tested_at for kept in wallets.kept()] == [None]


@pytest.mark.parametrize(
    "toml",
    [
        "",
        "wallet = 1",
        "[[wallet]]\nid = 'x'",
        "[[other]]\nid = 'x'",
        "= =",
        profile_file(link="javascript:alert(1)"),
        profile_file(more=1),
    ],
)
def test_what_is_no_profile_is_named_and_changes_nothing(rig: Rig, owner: Admin, toml: str) -> None:
    for path in ("see", "apply"):
        answered = owner.send(f"/console/wallets/{path}", toml=toml, reason="because")
        if path == "see" or toml:
            assert answered.status_code == 400, path
            assert 'role="alert"' in answered.text
    with rig.app.app_context():
        assert wallets.kept() == []


def test_a_wallet_that_is_not_there_is_not_found(rig: Rig, owner: Admin, tables: None) -> None:
    with rig.app.app_context():
        wallets.apply({"wallet": [WALLET]}, now=rig.clock())
    for path in ("/console/wallets/none", "/console/wallets/none/enable", "/console/wallets/haip%00"):
        assert owner.get(path).status_code == 404


def test_what_a_profile_says_is_shown_as_text(rig: Rig, owner: Admin, tables: None) -> None:
    with rig.app.app_context():
        wallets.apply({"wallet": [{**WALLET, "name": {"ko": HOSTILE, "en": HOSTILE}}]}, now=rig.clock())
    for path in ("/console/wallets", "/console/wallets/haip", "/console/wallets/haip/enable"):
        html = owner.get(path).text
        assert "&lt;script&gt;" in html
        assert "<script>alert" not in html


# -- sessions --------------------------------------------------------------------------------------------------


def put_notice(rig: Rig, client_id: str, *, given_up: bool, problem: str = "status 500") -> int:
    with writing() as database:
        notice = LogoutNotice(
            client_id=client_id,
            subject_id="somebody",
            sid="s",
            created_at=rig.clock(),
            due_at=None if given_up else rig.clock() + 3600,
            attempts=3,
            last_problem=problem,
        )
        database.add(notice)
        database.flush()
        return notice.id


def signed_in(rig: Rig, persona: str) -> tuple[Any, AuditEvent]:
    """A person's browser, and the end of the sign-in in the audit."""
    portal = rig.portal("gov24")
    portal.sign_in(persona)
    return portal, last(rig, "login.finished")


def session_id(rig: Rig, subject_id: str | None) -> str:
    with rig.app.app_context():
        found = select(SignedIn.id).where(SignedIn.subject_id == subject_id, SignedIn.ended_at.is_(None))
        return db.session.scalars(found.order_by(SignedIn.started_at.desc())).first() or ""


def answers_by_itself(portal: Any) -> bool:
    """Whether this browser is still signed in."""
    return "/login/" not in portal.begin().location


def test_sessions_are_found_by_ids_and_never_by_a_name(rig: Rig, auditor: Admin) -> None:
    _, finished = signed_in(rig, "invented-8201")
    here = session_id(rig, finished.subject_id)
    with rig.app.app_context():
        registered = portals.find("gov24")
        assert registered is not None
        sid = rig.house.sessions.sid(here, registered.sector)
    for known in (here, sid, finished.subject_id, finished.login_id, finished.correlation_id):
        assert here in auditor.get("/console/sessions", params={"find": known}).text, known
    for unknown in ("홍길동", "gov24", "x" * 64, "%", "' OR 1=1", "a\0b"):
        assert here not in auditor.get("/console/sessions", params={"find": unknown}).text
    assert "/console/sessions/end" not in auditor.get("/console/sessions", params={"find": here}).text


def test_one_session_is_ended_and_its_portals_are_told(rig: Rig, operator: Admin, tables: None) -> None:
    rig.apply_portal("gov24", backchannel_logout_uri="https://gov24.example/logout")
    portal, finished = signed_in(rig, "invented-8202")
    other, _ = signed_in(rig, "invented-8202")
    here = session_id(rig, finished.subject_id)
    assert operator.page(f"/console/sessions/end?session={here}").status == 200
    done = operator.send("/console/sessions/end", session=here, reason="lost phone")
    assert done.headers["Location"] == "/console/sessions?done=session_ended"
    ended = last(rig, "session.ended")
    assert ended.reason == "admin"
    assert ended.detail == {"told": ["gov24"], "why": "lost phone"}
    assert (ended.actor or "").startswith("admin:")
    assert sorted([answers_by_itself(portal), answers_by_itself(other)]) == [False, True]
    assert operator.get(f"/console/sessions/end?session={here}").status_code == 404
    with rig.app.app_context():
        assert [entry.client_id for entry in backchannel.ledger()] == ["gov24"]
    rig.apply_portal("gov24")


def test_all_sessions_of_a_person_are_ended(rig: Rig, owner: Admin) -> None:
    portal, finished = signed_in(rig, "invented-8203")
    other, _ = signed_in(rig, "invented-8203")
    done = owner.send("/console/sessions/end", subject=finished.subject_id, reason="police report")
    assert done.status_code == 303
    assert not answers_by_itself(portal)
    assert not answers_by_itself(other)
    event = last(rig, "admin.sessions_ended")
    assert event.subject_id == finished.subject_id
    assert event.detail is not None
    assert (event.detail["n"], event.detail["why"]) == (2, "police report")


def test_all_sessions_at_a_portal_are_ended(rig: Rig, owner: Admin) -> None:
    portal, _ = signed_in(rig, "invented-8204")
    elsewhere = rig.portal("efamily")
    elsewhere.sign_in("invented-8205")
    assert "gov24" in owner.get("/console/sessions").text
    assert owner.page("/console/sessions/end?portal=gov24").status == 200
    owner.send("/console/sessions/end", portal="gov24", reason="incident")
    assert not answers_by_itself(portal)
    event = last(rig, "admin.sessions_ended")
    assert event.client_id == "gov24"
    assert event.detail is not None
    assert (event.detail["left"], event.detail["why"]) == (0, "incident")
    assert answers_by_itself(elsewhere)


@pytest.mark.parametrize(
    "query", ["", "?session=x", "?subject=nobody", "?portal=none", "?portal=%00", "?session=%00"]
)
def test_what_nobody_has_cannot_be_ended(owner: Admin, query: str) -> None:
    assert owner.get(f"/console/sessions/end{query}").status_code == 404


def test_notices_that_did_not_arrive_are_listed_and_sent_again(
    rig: Rig, operator: Admin, tables: None
) -> None:
    with rig.app.app_context():
        lost = put_notice(rig, "gov24", given_up=True, problem=HOSTILE[:60])
        put_notice(rig, "efamily", given_up=False)
    html = operator.get("/console/sessions").text
    assert "<script>alert" not in html
    assert f"notice={lost}" in html
    assert "Logout notices given up 1 " in numbers(operator)
    done = operator.send("/console/sessions/replay", portal="gov24", reason="their host is back")
    assert done.status_code == 303
    event = last(rig, "admin.notices_replayed")
    assert event.client_id == "gov24"
    assert event.detail == {"n": 1, "ids": [], "why": "their host is back"}
    with rig.app.app_context():
        states = {entry.client_id: (entry.state, entry.attempts) for entry in backchannel.ledger()}
    assert states == {"gov24": ("waiting", 0), "efamily": ("waiting", 3)}
    assert operator.send("/console/sessions/replay", notice=str(lost), reason="once more").status_code == 303
    assert last(rig, "admin.notices_replayed").detail == {"n": 1, "ids": [lost], "why": "once more"}


@pytest.mark.parametrize("query", ["", "?notice=x", "?notice=-1", f"?notice={'9' * 20}", "?portal=gov24x"])
def test_what_is_no_notice_cannot_be_sent(owner: Admin, query: str) -> None:
    assert owner.get(f"/console/sessions/replay{query}").status_code == 404
