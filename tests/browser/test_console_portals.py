"""Portals in the console, as a browser shows them: the four steps, by mouse, by keys and without a script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.album import Album
from tests.browser.conftest import NewVisitor, demonstration
from tests.browser.test_console import idp, invitation, owner, sign_in
from tests.browser.visitor import DESK, Demo, Visitor


@pytest.fixture(scope="module")
def demo(chromium_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demonstration of its own: its administrators and portals are these tests'."""
    with demonstration(tmp_path_factory.mktemp("demo")) as running:
        yield running


def joined(visitor: Visitor, demo: Demo, persona: str, role: str = "owner") -> Visitor:
    label = f"{role}-{persona}"
    sign_in(visitor, persona, None if label in idp(demo, "admin", "list") else invitation(demo, label, role))
    return visitor


@pytest.fixture(params=["ko", "en"])
def album(
    request: pytest.FixtureRequest, new_visitor: NewVisitor, demo: Demo, axe: str, kept: dict[str, Any]
) -> Album:
    return Album(owner(new_visitor, demo, kept, request.param), axe)


def fill(visitor: Visitor, **fields: str) -> None:
    for name, text in fields.items():
        visitor.page.locator(f"[id='f-{name.replace('__', '.')}']").fill(text)


def forward(visitor: Visitor) -> None:
    visitor.press(".wizard .buttons button.main")


def walked(visitor: Visitor, demo: Demo, client_id: str, album: Album | None = None) -> None:
    """The four steps, up to the review."""
    page = visitor.page
    page.goto(f"{demo.issuer}/console/portals/new")
    fill(visitor, client_id=client_id, name__ko="새 민원 포털", name__en="New service portal")
    fill(visitor, operator__ko="재외동포청", operator__en="Overseas Koreans Agency")
    if album:
        album.add("portal-new-who")
    forward(visitor)
    fill(visitor, redirect_uris="http://portal.example/callback#here")
    forward(visitor)
    assert page.locator("#p-redirect_uris").is_visible()
    if album:
        album.add("portal-new-how-problem")
    fill(visitor, redirect_uris=f"https://{client_id}.example/callback")
    forward(visitor)
    page.locator("input[name=scopes][value=profile]").check()
    fill(visitor, retention__ko="처리 후 1년", retention__en="One year after the request is settled")
    page.locator("details.claim summary").first.click()
    page.locator("input[name=claims][value=name]").check()
    fill(visitor, claim__name__purpose__ko="신청인 확인", claim__name__purpose__en="To know who applies")
    if album:
        album.add("portal-new-what")
    forward(visitor)


def test_a_portal_is_registered_in_four_steps(album: Album, demo: Demo) -> None:
    visitor, page = album.visitor, album.visitor.page
    client_id = f"new-{visitor.lang}"
    walked(visitor, demo, client_id, album)
    fill(visitor, reason="2027 새 서비스")
    album.add("portal-new-review")
    forward(visitor)
    assert len(page.locator("#client-secret").inner_text()) == 43
    album.add("portal-secret")
    visitor.press("main section .button:not(.quiet)")
    album.add("portal")
    page.goto(f"{demo.issuer}/console/portals")
    album.add("portals")
    page.locator("#q").fill(client_id)
    visitor.press("form.find button")
    assert page.locator("main tbody tr").count() == 1


def test_a_portal_is_changed_looked_at_and_taken_back(album: Album, demo: Demo) -> None:
    visitor, page = album.visitor, album.visitor.page
    client_id = f"looked-{visitor.lang}"
    walked(visitor, demo, client_id)
    fill(visitor, reason="first")
    forward(visitor)
    here = f"{demo.issuer}/console/portals"
    page.goto(f"{here}/change?id={client_id}&step=review")
    visitor.press(".steps-bar button[value=who]")
    fill(visitor, name__en="Renamed portal")
    visitor.press(".steps-bar button[value=review]")
    album.add("portal-change-review")
    fill(visitor, reason="a better name")
    forward(visitor)
    page.goto(f"{here}/version?id={client_id}&version=1")
    album.add("portal-version")
    page.locator("#f-reason").fill("the old one was better")
    visitor.press("form[action*=rollback] button")
    assert page.locator("[role=status]").first.is_visible()
    page.locator("#try-uri").fill(f"https://{client_id}.example/Callback/")
    visitor.press("form[action*=redirect] button")
    assert page.locator("mark").count() == 2
    album.add("portal-redirect")
    page.goto(f"{here}/contract?id={client_id}")
    album.add("portal-contract")
    page.emulate_media(media="print")
    assert not page.locator("nav").first.is_visible()
    page.emulate_media(media="screen")


def test_of_two_who_change_a_portal_the_second_one_is_shown_both_texts(
    album: Album, demo: Demo, new_visitor: NewVisitor
) -> None:
    visitor, page = album.visitor, album.visitor.page
    client_id = f"both-{visitor.lang}"
    walked(visitor, demo, client_id)
    fill(visitor, reason="first")
    forward(visitor)
    address = f"{demo.issuer}/console/portals/change?id={client_id}&step=review"
    page.goto(address)
    other = joined(new_visitor(visitor.lang, DESK), demo, "park")
    other.page.goto(address)
    for who, name in ((other, "Theirs"), (visitor, "Mine")):
        who.press(".steps-bar button[value=who]")
        fill(who, name__en=name)
        who.press(".steps-bar button[value=review]")
        fill(who, reason="at once")
        forward(who)
    shown = page.locator("main").inner_text()
    assert "Theirs" in shown
    assert "Mine" in shown
    assert page.locator("#f-reason").input_value() == "at once"
    album.add("portal-conflict")


def test_the_four_steps_are_walked_by_keyboard(album: Album, demo: Demo) -> None:
    """Enter in a field goes on to the next step."""
    visitor, page = album.visitor, album.visitor.page
    page.goto(f"{demo.issuer}/console/portals/new")
    fill(
        visitor,
        client_id="keyed",
        name__ko="이름",
        name__en="Name",
        operator__ko="기관",
        operator__en="Agency",
    )
    with page.expect_navigation():
        page.locator("#f-client_id").press("Enter")
    assert page.locator("#how-title").is_visible()
    assert page.locator("input[name=step]").input_value() == "how"


def test_the_four_steps_work_without_a_script(new_visitor: NewVisitor, demo: Demo) -> None:
    visitor = joined(new_visitor("en", DESK, java_script_enabled=False), demo, "choi", "operator")
    walked(visitor, demo, "scriptless")
    fill(visitor, reason="no script")
    forward(visitor)
    assert len(visitor.page.locator("#client-secret").inner_text()) == 43
