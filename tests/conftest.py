"""What tests share: real servers, a browser and Node.js when they are there, and the test vectors.

A test that needs what is not installed is skipped, and the end of the run says so. `IDP_TEST_REQUIRE`, a
comma-separated list out of postgresql, redis, browser, node, nginx, systemd, softhsm and pgbouncer, turns such a skip
into a failure.
`IDP_TEST_PG_URL` and `IDP_TEST_REDIS_URL` name servers to use in place of private ones (tests create
databases in the first and keys in the second). `IDP_TEST_VECTORS` is the directory of the test vectors.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest

from tests import servers, side_by_side, softhsm
from tests.rig import Rig, started
from tests.softhsm import Token

Address = TypeVar("Address", str, int)

# A machine that others use at the same time is no sign of a slow test.
hypothesis.settings.register_profile(
    "sinwon", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("sinwon")

REQUIRABLE = {"postgresql", "redis", "browser", "node", "nginx", "systemd", "softhsm", "pgbouncer"}


def required() -> set[str]:
    """What must not be skipped here."""
    return {name.strip() for name in os.environ.get("IDP_TEST_REQUIRE", "").split(",") if name.strip()}


def pytest_configure() -> None:
    if unknown := required() - REQUIRABLE:
        raise pytest.UsageError(f"IDP_TEST_REQUIRE knows {sorted(REQUIRABLE)}, not {sorted(unknown)}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n` alone the tests go out part by part; whoever says `--dist` gets what it names."""
    return side_by_side.scheduler(config, log) if config.option.dist == "load" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # one of several
        side_by_side.longest_first(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly at the end what was not tested, and why."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        if isinstance(report.longrepr, tuple)
        else "no reason given"
        for report in terminalreporter.stats.get("skipped", [])
    )
    if not reasons:
        return
    terminalreporter.section("NOT TESTED HERE", sep="!", yellow=True, bold=True)
    for reason, n in reasons.most_common():
        terminalreporter.line(f"{n} tests skipped: {reason}", yellow=True, bold=True)


def skip_or_fail(name: str, reason: str) -> None:
    """Skip the test for this reason, or fail it where IDP_TEST_REQUIRE names what is missing."""
    if name in required():
        pytest.fail(f"{reason}, and IDP_TEST_REQUIRE asks for {name}", pytrace=False)
    pytest.skip(f"{reason}; {name} is not required by IDP_TEST_REQUIRE")


def found(name: str, find: Callable[[], Path]) -> Path:
    """What `find` finds; where it is missing, the test is skipped or fails."""
    try:
        return find()
    except servers.Missing as missing:
        skip_or_fail(name, str(missing))
        raise


def served(name: str, server: AbstractContextManager[Address]) -> Iterator[Address]:
    """The server while the tests run; where it is missing, the test is skipped or fails."""
    try:
        with server as address:
            yield address
    except servers.Missing as missing:
        skip_or_fail(name, str(missing))


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """The URL of a PostgreSQL server, as a role that may create databases. Tests take postgresql_database."""
    if given := os.environ.get("IDP_TEST_PG_URL"):
        yield given
    else:
        yield from served("postgresql", servers.postgresql())


@pytest.fixture
def postgresql_database(postgresql_url: str) -> Iterator[str]:
    """The SQLAlchemy URL of a new, empty PostgreSQL database; it is dropped after the test."""
    with servers.new_database(postgresql_url) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis server. Others may use it too: tests choose keys of their own."""
    if given := os.environ.get("IDP_TEST_REDIS_URL"):
        yield given
        return
    for port in served("redis", servers.redis()):
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def redis_program() -> Path:
    """redis-server, for tests that start servers of their own."""
    return found("redis", servers.redis_binary)


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """Chromium or Chrome (as root it needs --no-sandbox)."""
    return found("browser", servers.chromium_binary)


@pytest.fixture(scope="session")
def nginx_program() -> Path:
    """nginx, for tests that start one of their own."""
    return found("nginx", servers.nginx_binary)


@pytest.fixture(scope="session")
def systemd_analyze() -> Path:
    """systemd's check of units."""
    return found("systemd", servers.systemd_analyze_binary)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    """A token in a SoftHSM of the module's own; processes that tests start find it too."""
    module = found("softhsm", softhsm.module)
    with softhsm.initialised(module, tmp_path_factory.mktemp("softhsm")) as token:
        yield token


@pytest.fixture(scope="session")
def node_path() -> Path:
    """Node.js; npm is there as well."""
    return found("node", servers.node_binary)


@pytest.fixture(scope="session")
def vectors(pytestconfig: pytest.Config) -> Path:
    """The directory of the test vectors, from IDP_TEST_VECTORS (relative to the project)."""
    given = os.environ.get("IDP_TEST_VECTORS")
    if not given:
        pytest.skip("set IDP_TEST_VECTORS to the directory of the test vectors to run this")
    directory = pytestconfig.rootpath / given
    if not directory.is_dir():
        pytest.fail("IDP_TEST_VECTORS is set and is not a directory", pytrace=False)
    return directory


@pytest.fixture(scope="session")
def vector(vectors: Path) -> Callable[[str], bytes]:
    """vector(name): the bytes of one test vector; a missing one fails the test."""

    def load(name: str) -> bytes:
        path = vectors / name
        if not path.is_file():
            pytest.fail(f"the test vector {name} is missing", pytrace=False)
        return path.read_bytes()

    return load


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A provider with its guests on the embedded defaults, shared by a module's tests; the clock is put back."""
    with started(tmp_path_factory.mktemp("house")) as running:
        yield running


ON_POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.postgresql)


@pytest.fixture(scope="module", params=["sqlite", ON_POSTGRESQL])
def rig_on_each_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """On each database, which is the store as well. A module takes it as its own `rig`."""
    directory = tmp_path_factory.mktemp("house")
    if request.param == "sqlite":
        with started(directory) as running:
            yield running
        return
    with (
        servers.new_database(request.getfixturevalue("postgresql_url")) as database,
        started(directory, {"database.url": database, "store.url": database}) as running,
    ):
        yield running
