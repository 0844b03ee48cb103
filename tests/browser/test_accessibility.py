"""What axe-core (the npm library) says of the pages, in light and in dark colours.

The rules are those of WCAG 2.2 A and AA. Findings that axe calls serious or critical fail the test.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.browser.conftest import NewVisitor
from tests.browser.virtual_wallet import VirtualWallet
from tests.browser.visitor import DESK, PHONE, Visitor
from tests.conftest import skip_or_fail

PACKAGE = "axe-core@4"
NPM_S = 120
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """async (rules) => (await axe.run(document, {runOnly: rules, resultTypes: ["violations"]})).violations
    .filter(found => ["serious", "critical"].includes(found.impact))
    .map(found => [found.id, found.nodes.map(node => node.html)])"""


@pytest.fixture(scope="module")
def axe(node_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library's script; without a registry to get it from the tests are skipped."""
    directory = tmp_path_factory.mktemp("axe")
    npm = subprocess.run(
        ["npm", "pack", "--silent", PACKAGE],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=NPM_S,
        check=False,
    )
    archives = list(directory.glob("*.tgz"))
    if npm.returncode or not archives:
        skip_or_fail("node", "npm could not fetch axe-core")
    with tarfile.open(fileobj=io.BytesIO(archives[0].read_bytes())) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode("utf-8")


def violations(visitor: Visitor, axe: str) -> list[object]:
    """What is wrong with the page the visitor looks at."""
    if not visitor.page.evaluate("typeof axe === 'object'"):
        visitor.page.evaluate(axe)
    found: list[object] = visitor.page.evaluate(RUN, RULES)
    return found


@pytest.mark.node
@pytest.mark.parametrize(("lang", "colours"), [("ko", "light"), ("en", "dark")])
def test_no_page_has_a_serious_barrier(new_visitor: NewVisitor, axe: str, lang: str, colours: str) -> None:
    desk = new_visitor(lang, color_scheme=colours)
    phone = new_visitor(lang, PHONE, color_scheme=colours)
    found: dict[str, list[object]] = {}

    def look(name: str, visitor: Visitor = desk) -> None:
        found[name] = violations(visitor, axe)

    desk.page.goto(desk.demo.portals)
    look("start")
    desk.open_portal("apostille")
    look("portal")
    desk.open_portal("counter")
    look("counter")
    desk.press("#call button")
    look("counter-waiting")
    phone.page.goto(desk.qr_link())
    look("device-confirm", phone)
    phone.press("#decide button[value=refuse]")
    desk.page.locator("#outcome").wait_for(timeout=20_000)
    look("counter-denied")
    desk.begin_with("apostille", prompt="consent")
    look("sign-in")
    VirtualWallet(desk).declines()
    desk.page.locator("#show").click()
    desk.page.locator("#digital-status p").wait_for()
    look("sign-in-closed")
    phone.scan(desk.qr_link())
    look("wallet-request", phone)
    desk.page.locator("#fetched").wait_for()
    look("fetched")
    phone.show("lee")
    look("wallet-rejected", phone)
    desk.page.locator("[role=alert]").wait_for()
    look("sign-in-problem")
    phone.scan(desk.qr_link())
    phone.show("hong")
    look("number-on-the-phone", phone)
    desk.page.locator("#number").wait_for()
    look("number")
    desk.type_number(phone.number_on_the_phone())
    look("consent")
    desk.agree()
    desk.claims()
    look("result")
    desk.begin_with("apostille", prompt="login")
    desk.choose_app("mobile-id")
    look("sign-in-mobileid")
    phone.scan_with_mobileid(desk.qr_code())
    look("mobileid-request", phone)
    phone.approve("hong")
    look("mobileid-submitted", phone)
    desk.page.locator("#number").wait_for()
    look("number-mobileid")
    desk.page.goto(f"{desk.demo.issuer}/there/is/nothing")
    look("error")
    desk.page.goto(f"{desk.demo.issuer}/logout")
    look("logout")
    assert {name: barriers for name, barriers in found.items() if barriers} == {}


@pytest.mark.node
@pytest.mark.parametrize(("lang", "colours"), [("ko", "light"), ("en", "dark")])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_no_page_for_engineers_has_a_serious_barrier_or_is_too_wide(
    new_visitor: NewVisitor, axe: str, lang: str, colours: str, viewport: dict[str, int]
) -> None:
    visitor = new_visitor(lang, viewport, color_scheme=colours)
    found: dict[str, list[object]] = {}
    for path in ("/keys", "/status", "/docs/", "/docs/quickstart", "/docs/portals", "/docs/errors"):
        visitor.page.goto(f"{visitor.demo.issuer}{path}")
        found[path] = violations(visitor, axe)
        if visitor.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found[path].append("wider than the screen")
    assert {path: barriers for path, barriers in found.items() if barriers} == {}


@pytest.mark.node
def test_a_barrier_would_be_found(visitor: Visitor, axe: str) -> None:
    visitor.page.goto(f"{visitor.demo.issuer}/logout")
    visitor.page.evaluate("() => document.querySelector('main').append(document.createElement('input'))")
    assert [name for name, _ in violations(visitor, axe)] == ["label"]
