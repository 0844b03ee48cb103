"""The demonstration as a user starts it, and Chromium with nothing shown on a screen.

Most tests here share one running demonstration, and a person who asked not to be asked again is not. Where the consent
page matters, a persona belongs to the tests of one file (남궁민 and 최장 to one device, 박민수 to two), or the file
starts a `demonstration` of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.browser.visitor import DESK, LOCALES, Demo, Visitor
from tests.interop.conftest import LIBRARIES, peers  # noqa: F401 - a fixture

STOP_S = 20

NewVisitor = Callable[..., Visitor]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test says what the browsers showed."""
    report = yield
    if report.failed and call.when == "call":
        for visitor in getattr(item, "visitors", ()):
            try:
                shown = visitor.page.locator("body").inner_text(timeout=1_000)
            except (
                PlaywrightError
            ) as error:  # between two pages there is no body; raised here it ends the whole run
                shown = str(error)
            report.sections.append((f"a browser was at {visitor.path}", shown[:2_000]))
    return report


@pytest.fixture(scope="package")
def demo(chromium_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demonstration(tmp_path_factory.mktemp("demo")) as running:
        yield running


@contextmanager
def demonstration(directory: Path) -> Iterator[Demo]:
    """`idp demo` in a process of its own."""
    errors = directory / "errors.txt"
    with errors.open("wb") as stderr:
        arguments = ["demo", "--port", "0", "--print-json", "--directory", str(directory / "data")]
        process = subprocess.Popen(
            [sys.executable, "-m", "idp.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("IDP_")},
        )
        with process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert line, errors.read_text("utf-8", "replace")
                where = json.loads(line)
                yield Demo(
                    where["issuer"], where["portals"], where["wallet"], where["console"], directory / "data"
                )
            finally:
                process.terminate()
                process.wait(STOP_S)
    # What the provider had to say for itself: errors would be here, and nothing else is.
    assert "bug" not in errors.read_text("utf-8", "replace")


@pytest.fixture(scope="package")
def chromium(chromium_path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium_path), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """The source of axe-core, for `Album`."""
    request.getfixturevalue("peers")
    return (LIBRARIES / "axe-core" / "axe.min.js").read_text("utf-8")


@pytest.fixture
def new_visitor(request: pytest.FixtureRequest, demo: Demo, chromium: Browser) -> Iterator[NewVisitor]:
    """new_visitor(lang="ko", viewport=DESK, **more): a person with an empty browser.

    At the end of the test every complaint of that browser fails it.
    """
    visitors: list[Visitor] = []
    request.node.visitors = visitors

    def arrive(lang: str = "ko", viewport: Any = DESK, **more: Any) -> Visitor:
        context = chromium.new_context(locale=LOCALES[lang], viewport=viewport, **more)
        context.set_default_timeout(20_000)
        visitors.append(Visitor(demo, context, lang))
        return visitors[-1]

    yield arrive
    for visitor in visitors:
        visitor.context.close()
    assert [complaint for visitor in visitors for complaint in visitor.complaints] == []


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    """What browsers had kept once somebody had signed in, by whatever the file tells them apart."""
    return {}


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Visitor:
    """A person at a desk, with a browser in Korean."""
    return new_visitor()
