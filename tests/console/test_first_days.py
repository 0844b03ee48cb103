"""An administrator's first days as one story, by forms alone: invite, register, approve, rotate a secret, read why a
login failed, revoke a mission, and find all of it in the audit."""

from __future__ import annotations

import base64
import re
from urllib.parse import urlsplit

import pytest

from idp.admin import trust
from idp.admin.people import Role
from idp.admin.portals.changes import PortalChanges
from tests.at_console import Admin
from tests.console.test_portals import FORM, secret_of, send, walked
from tests.rig import Rig


def invited_by(owner: Admin, role: Role, organisation: str, persona: str) -> Admin:
    """Somebody else, by the link that the console shows."""
    form = {"label": f"the {role.value}", "role": role.value, "organisation": organisation, "hours": "24"}
    shown = owner.send("/console/people/invite", **form).text
    link = re.search(r'id="invitation-link"[^>]*>[^<]*(/console/invitation/[^<]+)<', shown)
    assert link is not None
    admin = Admin(owner.rig, persona)
    assert admin.sign_in(link[1]).headers["Location"] == "/console"
    return admin


def waiting(admin: Admin) -> str:
    """The path of the one change that waits."""
    [path] = set(re.findall(r'href="(/console/portals/proposals/[^"?]+)', admin.get("/console/portals").text))
    return str(path)


def events(admin: Admin) -> set[str]:
    """The names on the first page of the audit."""
    return set(
        re.findall(r'<th scope="row" class="code" translate="no">([^<]+)<', admin.get("/console/audit").text)
    )


def redeem(rig: Rig, client_id: str, secret: str) -> str:
    """What the token endpoint says to this secret and a code that nobody has: who is not known is told so."""
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": "https://x.example/"}
    answered = rig.http.post(f"{rig.issuer}/token", data=form, headers={"Authorization": f"Basic {basic}"})
    return str(answered.json()["error"])


def test_the_first_days_of_an_administrator(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    # The policy of a production deployment, which this one on loopback cannot be.
    monkeypatch.setattr(PortalChanges, "two_people", property(lambda self: True))
    owner = Admin(rig, "invented-1").join(Role.OWNER)
    owner.send("/console/organisations/new", id="mofa", **{"name.ko": "외교부", "name.en": "MOFA"})
    member = invited_by(owner, Role.MEMBER, "mofa", "invented-2")

    asked = send(member, FORM, walked(member, "consular-service"), reason="opens in spring", go="save")
    first_secret = secret_of(asked)
    assert redeem(rig, "consular-service", first_secret) == "invalid_client"
    assert 'href="/console/portals">Read and decide' in owner.get("/console?lang=en").text
    assert owner.send(waiting(owner), decision="approve", reason="agreed").status_code == 303
    assert redeem(rig, "consular-service", first_secret) == "invalid_grant"

    rotated = member.send("/console/portals/secrets?id=consular-service", reason="yearly")
    second_secret = secret_of(rotated)
    assert owner.send(waiting(owner), decision="approve", reason="").status_code == 303
    assert redeem(rig, "consular-service", second_secret) == "invalid_grant"
    assert redeem(rig, "consular-service", first_secret) == "invalid_grant"

    query = (
        "client_id=consular-service&response_type=code&redirect_uri=https://consular-service.example/Callback"
    )
    failed = rig.browser().get(f"{rig.issuer}/authorize?{query}&scope=openid")
    assert failed.status_code == 400
    told = member.page("/console/portals/consular-service/events?lang=en").root.text
    assert failed.headers["X-Correlation-Id"] in told
    assert "https://consular-service.example/Callback" in told
    assert "https://consular-service.example/callback" in told

    removing = owner.send("/console/trust/missions/LAX/remove")
    assert removing.status_code == 200
    basis = re.search(r'name="basis" value="([^"]*)"', removing.text)
    assert basis is not None
    applied = owner.send(
        "/console/trust/apply", toml="", removing="missions/LAX", basis=basis[1], reason="it has closed"
    )
    assert applied.status_code == 303, applied.text[-1500:]
    with rig.app.app_context():
        assert "LAX" not in trust.current().missions

    found = events(owner)
    for name in (
        "admin.invited",
        "admin.joined",
        "admin.portal_proposed",
        "admin.portal_decided",
        "admin.secret_added",
        "request.refused",
        "admin.trust_removed",
    ):
        assert name in found, name
    assert "admin.portal_proposed" in events(member)
    assert "admin.trust_removed" not in events(member)
    assert urlsplit(applied.headers["Location"]).path.startswith("/console/trust")
