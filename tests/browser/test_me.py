"""A person's own page, as a person uses it: two services, one taken back, a session ended, a receipt that holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from idp.admin.receipts import read
from tests.browser.album import Album
from tests.browser.conftest import NewVisitor, demonstration
from tests.browser.visitor import DESK, Demo, Visitor

HOME = "/me"


@pytest.fixture(scope="module")
def demo(chromium_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demonstration of its own: what is withdrawn and ended here is nobody else's."""
    with demonstration(tmp_path_factory.mktemp("demo")) as running:
        yield running


def open_page(visitor: Visitor, persona: str) -> None:
    visitor.page.goto(f"{visitor.demo.issuer}{HOME}")
    visitor.press("#open-page")
    visitor.open_wallet()
    visitor.show(persona)
    visitor.page.locator("#close").wait_for()


def fits(visitor: Visitor, width: int) -> bool:
    """Whether a page so narrow does not scroll sideways."""
    before = visitor.page.viewport_size
    assert before is not None
    visitor.page.set_viewport_size({"width": width, "height": 640})
    too_wide = visitor.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    visitor.page.set_viewport_size(before)
    return bool(too_wide <= 0)


@pytest.mark.parametrize("who", [("ko", "light", "hong"), ("en", "dark", "park")], ids=["ko", "en dark"])
def test_a_person_sees_what_was_given_and_takes_it_back(
    new_visitor: NewVisitor, axe: str, tmp_path: Path, who: tuple[str, str, str]
) -> None:
    lang, scheme, persona = who
    visitor = new_visitor(lang, DESK, color_scheme=scheme)
    album = Album(visitor, axe)
    issuer = visitor.demo.issuer
    visitor.page.goto(f"{issuer}{HOME}")
    album.add(f"me-start-{scheme}")
    visitor.sign_in("gov24", persona)
    visitor.begin("g4k")  # it asks for more than was shown, so the wallet is asked again
    visitor.open_wallet()
    visitor.show(persona)
    visitor.page.locator("#item-address").check()
    visitor.agree()
    assert "address" in visitor.claims()

    open_page(visitor, persona)
    assert visitor.page.locator("a[href^='/me/service']").count() == 2
    album.add(f"me-{scheme}")

    # One optional item, then all of a service.
    visitor.press("a[href='/me/service?id=g4k']")
    album.add(f"me-service-{scheme}")
    assert fits(visitor, 320)
    visitor.press("a[href*='item=address']")
    album.add(f"me-take-back-{scheme}")
    visitor.press("#withdraw")
    visitor.page.locator("[role=status]").wait_for()
    assert visitor.page.locator("a[href*='item=address']").count() == 0
    visitor.press("#withdraw")
    album.add(f"me-withdraw-{scheme}")
    visitor.press("#withdraw")
    album.add(f"me-withdrawn-{scheme}")

    # A receipt, checked with what anybody can fetch.
    visitor.press("a[href^='/me/receipt'] >> nth=0")
    album.add(f"me-receipt-{scheme}")
    with visitor.page.expect_download() as started:
        visitor.page.locator("#download").click()
    file = tmp_path / "receipt.jwt"
    started.value.save_as(file)
    keys = visitor.context.request.get(f"{issuer}/receipts/keys").json()["keys"]
    said = read(file.read_text("utf-8"), keys, issuer=issuer)
    assert said["portal"]["client_id"] == "g4k"
    visitor.page.locator("main summary").click()
    shown = json.loads(visitor.page.locator("pre").inner_text())
    assert shown["txn"] == said["txn"]

    visitor.page.goto(f"{issuer}/me/sign-ins")
    album.add(f"me-sign-ins-{scheme}")
    visitor.page.goto(f"{issuer}{HOME}")
    visitor.press("form[action='/me/sessions/end'] button")
    assert visitor.page.locator("form[action='/me/sessions/end']").count() == 0
    visitor.press("a[href='/me/sessions/end-all']")
    album.add(f"me-end-all-{scheme}")
    visitor.press("#end-all")
    album.add(f"me-everywhere-{scheme}")

    # The next sign-in asks for what was taken back.
    again = new_visitor(lang, DESK)
    again.begin("g4k")
    again.open_wallet()
    again.show(persona)
    assert again.at_consent()
    again.agree()
    assert "address" not in again.claims()


def test_it_works_without_javascript(new_visitor: NewVisitor) -> None:
    visitor = new_visitor(java_script_enabled=False)
    visitor.page.goto(f"{visitor.demo.issuer}{HOME}")
    visitor.press("#open-page")
    visitor.page.locator("#wallet-link").click()
    visitor.page.locator("#present").wait_for()
    visitor.show("namgoong")
    visitor.page.locator("#close").wait_for()
    assert visitor.page.locator("a[href^='/me/service']").count() == 0
    visitor.press("#close")
    visitor.page.locator("#open-page").wait_for()
