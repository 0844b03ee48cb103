"""The console as an administrator's browser shows it: every page in both languages, by keyboard, without a script."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.album import Album
from tests.browser.conftest import NewVisitor, demonstration
from tests.browser.visitor import DESK, Demo, Visitor

PROFILE = """[[wallet]]
id = "haip"
version = 1
name = { ko = "다른 지갑", en = "Another wallet" }
link = "haip-vp://"
"""


@pytest.fixture(scope="module")
def demo(chromium_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demonstration of its own: its administrators are these tests'."""
    with demonstration(tmp_path_factory.mktemp("demo")) as running:
        yield running


def idp(demo: Demo, *arguments: str) -> str:
    """What a command of the running deployment says."""
    command = [sys.executable, "-m", "idp.cli", *arguments, "-c", str(demo.directory / "settings.toml")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=kept).stdout.strip()


def sign_in(visitor: Visitor, persona: str, address: str | None = None) -> None:
    """From an invitation, or the console's own page, into the console."""
    visitor.page.goto(address or f"{visitor.demo.issuer}/console")
    visitor.press("main .button.main")
    visitor.open_wallet()
    visitor.show(persona)
    visitor.agree_if_asked()
    visitor.page.locator(".areas").wait_for()


OWNERS = {"ko": "hong", "en": "namgoong"}


def owner(new_visitor: NewVisitor, demo: Demo, kept: dict[str, Any], lang: str) -> Visitor:
    """An owner of the console, each language another person, who signs in once for all tests of a file."""
    if lang in kept:
        visitor = new_visitor(lang, DESK, storage_state=kept[lang])
        visitor.page.goto(f"{demo.issuer}/console")
        if visitor.page.locator(".areas").count():
            return visitor
        sign_in(visitor, OWNERS[lang])  # another test has ended the session
    else:
        visitor = new_visitor(lang, DESK)
        sign_in(visitor, OWNERS[lang], invitation(demo, f"owner-{OWNERS[lang]}"))
    kept[lang] = visitor.context.storage_state()
    return visitor


def invitation(demo: Demo, label: str, role: str = "owner") -> str:
    """A link for somebody who will have this role in the console."""
    return idp(demo, "admin", "invite", "--role", role, "--label", label)


@pytest.fixture(params=["ko", "en"])
def album(
    request: pytest.FixtureRequest, new_visitor: NewVisitor, demo: Demo, axe: str, kept: dict[str, Any]
) -> Album:
    return Album(owner(new_visitor, demo, kept, request.param), axe)


def test_pages_of_the_people(album: Album, demo: Demo, new_visitor: NewVisitor) -> None:
    visitor = album.visitor
    album.add("console-home")
    visitor.page.goto(f"{demo.issuer}/console/people")
    album.add("console-people")
    visitor.page.locator("#f-label").fill("감사 2반")
    visitor.page.locator("#f-role").select_option("auditor")
    visitor.press("main form[action$=invite] button")
    album.add("console-people-invited")
    link = visitor.page.locator("#invitation-link").inner_text()
    visitor.page.goto(f"{demo.issuer}/console/tokens")
    visitor.page.locator("#f-label").fill("pipeline")
    visitor.press("main form[action$=tokens] button")
    album.add("console-tokens")
    guest = new_visitor(visitor.lang)
    guest.page.goto(link)
    album.add("console-invitation", guest)
    guest.page.goto(f"{demo.issuer}/console")
    album.add("console-sign-in", guest)
    guest.press("main .button.main")
    guest.open_wallet()
    guest.show("park")
    guest.agree_if_asked()
    assert guest.page.locator(".areas").count() == 0
    album.add("console-not-invited", guest)


def test_pages_of_organisations(album: Album, demo: Demo) -> None:
    visitor = album.visitor
    visitor.page.goto(f"{demo.issuer}/console/organisations")
    album.add("console-organisations")
    visitor.page.goto(f"{demo.issuer}/console/organisations/oka")
    album.add("console-organisation")
    visitor.page.goto(f"{demo.issuer}/console/organisations/new")
    visitor.page.locator("#f-id").fill("Not An Id")
    visitor.page.locator("[id='f-name.ko']").fill("새 기관")
    visitor.page.locator("[id='f-name.en']").fill("New")
    visitor.press(".card form button.main")
    album.add("console-organisation-problem")
    assert visitor.page.locator("[id='f-name.ko']").input_value() == "새 기관"
    visitor.page.goto(f"{demo.issuer}/console/nothing")
    album.add("console-nothing")


def test_pages_of_the_audit(album: Album, demo: Demo) -> None:
    page = album.visitor.page
    page.goto(f"{demo.issuer}/console/audit")
    page.locator("tbody summary").first.click()
    album.add("console-audit")
    page.goto(f"{demo.issuer}/console/audit?name=code.replayed")
    album.add("console-audit-nothing")
    page.goto(f"{demo.issuer}/console/audit?after=never")
    album.add("console-audit-problem")
    page.goto(f"{demo.issuer}/console/audit/report")
    album.add("console-audit-report")


def test_pages_of_the_system(album: Album, demo: Demo) -> None:
    """Trust, keys, wallets and sessions: what is read, what is asked before something happens, what is refused."""
    visitor = album.visitor
    page = visitor.page
    for path in (
        "trust",
        "trust/history",
        "trust/missions/LAX",
        "trust/types/kr-overseas-national",
        "trust/change?entry=missions/LAX",
        "trust/credential",
        "keys",
        "keys/rotate?alg=ES256",
        "wallets",
        "wallets/demo",
        "wallets/demo/disable",
        "wallets/apply",
        "sessions?find=nobody",
        "sessions/end?portal=gov24",
    ):
        page.goto(f"{demo.issuer}/console/{path}")
        album.add(f"console-{path.partition('?')[0].replace('/', '-')}")
    page.goto(f"{demo.issuer}/console/trust/missions/LAX")
    visitor.press("form[action$=remove] button")
    album.add("console-trust-try")
    page.goto(f"{demo.issuer}/console/trust/change")
    page.locator("#f-toml").fill("[[mission]]")
    visitor.press("form[action$=try] .button.main")
    album.add("console-trust-problem")
    page.goto(f"{demo.issuer}/console/trust/credential")
    page.locator("#f-credential").fill("eyJhbGciOiJub25lIn0.e30.AA~")
    visitor.press("form[action$=credential] .button.main")
    album.add("console-trust-credential-refused")
    page.goto(f"{demo.issuer}/console/wallets/apply")
    page.locator("#f-toml").fill(PROFILE)
    visitor.press("form[action$=see] .button.main")
    album.add("console-wallets-see")
    page.goto(f"{demo.issuer}/console/wallets/demo")
    visitor.press("form[action$=test] .button")
    album.add("console-wallet-tried")


def test_a_trial_with_its_answer_in_a_form_and_a_proof_that_is_judged(album: Album, demo: Demo) -> None:
    """The form is sent by the page that holders get, from our address to our address."""
    visitor = album.visitor
    page = visitor.page
    page.goto(f"{demo.issuer}/console/portals/gov24/check")
    album.add("console-portal-check")
    page.locator("#f-kind").select_option("dpop")
    page.locator("#f-proof").fill("a.b.c")
    visitor.press("form[action$=check] .button.main")
    album.add("console-portal-checked")
    page.goto(f"{demo.issuer}/console/portals/gov24/try")
    page.locator("#f-response_mode").select_option("form_post.jwt")
    visitor.press("form[action$=try] .button.main")
    visitor.open_wallet()
    visitor.show("hong")
    visitor.agree_if_asked()
    page.locator("#ways-title").wait_for()
    assert "✗" not in page.locator("main").inner_text()
    album.add("console-portal-tried")


def test_an_act_is_confirmed_and_its_reason_asked_for(album: Album, demo: Demo) -> None:
    visitor = album.visitor
    visitor.page.goto(f"{demo.issuer}/console/wallets/demo-open-did/disable")
    visitor.page.locator("#f-reason").fill("a letter")
    visitor.press("main form[action$=disable] .button.danger")
    assert visitor.path == "/console/wallets"
    visitor.page.locator("main [role=status]").wait_for()
    visitor.page.goto(f"{demo.issuer}/console/wallets/demo-open-did/enable")
    visitor.page.locator("#f-reason").fill("a letter")
    visitor.page.locator("input[name=untested]").check()
    visitor.press("main form[action$=enable] .button.main")
    assert visitor.path == "/console/wallets"


def test_the_console_is_walked_by_keyboard(album: Album, demo: Demo) -> None:
    """Everything that can be pressed is reached by Tab, in order, and shows that it is."""
    page = album.visitor.page
    page.goto(f"{demo.issuer}/console/people")
    wanted = page.locator(
        "a:visible, button:visible, input:visible:not([type=hidden]), select:visible"
    ).count()
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    assert len(reached) >= wanted
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none" or page.evaluate("document.activeElement === document.body")


def test_what_was_typed_outlives_the_session(album: Album, demo: Demo) -> None:
    """The page keeps it when its time is over, and has it again when it comes back."""
    visitor = album.visitor
    page = visitor.page
    page.clock.install()
    page.goto(f"{demo.issuer}/console/organisations/new")
    page.locator("[id='f-name.en']").fill("Typed long ago")
    page.clock.run_for(8 * 60_000 + 10_000)
    assert page.locator("#ending").evaluate("dialog => dialog.open")
    with page.expect_navigation():
        page.clock.run_for(2 * 60_000)
    assert page.locator("[id='f-name.en']").input_value() == "Typed long ago"


def test_staying_signed_in_is_one_key(album: Album, demo: Demo) -> None:
    page = album.visitor.page
    page.clock.install()
    page.goto(f"{demo.issuer}/console")
    page.clock.run_for(8 * 60_000 + 10_000)
    with page.expect_response(re.compile("/console/stay$")) as answered:
        page.keyboard.press("Enter")
    assert answered.value.status == 204
    page.clock.run_for(5 * 60_000)
    assert not page.locator("#ending").evaluate("dialog => dialog.open")


def test_the_console_works_without_a_script(new_visitor: NewVisitor, demo: Demo) -> None:
    visitor = new_visitor("en", DESK, java_script_enabled=False)
    sign_in(visitor, "choi", idp(demo, "admin", "invite", "--role", "auditor", "--label", "no script"))
    visitor.page.goto(f"{demo.issuer}/console/people")
    assert "no script" in visitor.page.locator("table").first.inner_text()
    for path in ("", "/trust", "/keys", "/wallets", "/sessions"):
        visitor.page.goto(f"{demo.issuer}/console{path}")
        assert visitor.page.locator("h1").count() == 1
    visitor.press(".who button")
    assert visitor.path == "/console/sign-in"
