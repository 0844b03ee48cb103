"""Peers nobody here wrote: npm libraries of exactly the versions in `package-lock.json`, run by Node.js.

The first test of a session that needs them installs them (`npm ci`, no install scripts) beside the lock file, and
only when they are missing or the lock file has changed. Without Node.js, or when npm cannot install, these tests are
skipped, or fail where IDP_TEST_REQUIRE names `node`.
"""

import fcntl
import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from idp.demo import jose
from tests.conftest import skip_or_fail
from tests.interop.ministry import LICENCES, Ministry
from tests.interop.node_wallet import NodeWallet
from tests.interop.talking import Conversation
from tests.rig import Portal, Rig

HERE = Path(__file__).parent
LIBRARIES = HERE / "node_modules"
LOCK_FILE = HERE / "package-lock.json"
INSTALL_TIMEOUT_S = 300
NODE_MAJOR = 20  # what the libraries ask for
_INSTALL = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev", "--loglevel=error")


@dataclass(frozen=True)
class Peers:
    """Node.js with the libraries installed."""

    node: Path

    @contextmanager
    def conversation(self, script: str) -> Iterator[Conversation]:
        """A script to talk with, for as long as the context lasts."""
        with subprocess.Popen(
            [self.node, HERE / script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield Conversation(process)
            finally:
                process.kill()


@pytest.fixture(scope="session")
def peers(node_path: Path) -> Peers:
    """The libraries, installed."""
    version = subprocess.run([node_path, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < NODE_MAJOR:
        skip_or_fail("node", f"Node.js {NODE_MAJOR} or later is needed, {version.strip()} is here")
    # Two test runs in one checkout must not install at once: npm ci begins by removing what is there.
    with LOCK_FILE.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install()
    return Peers(node_path)


@pytest.fixture(scope="session")
def phone(peers: Peers) -> Iterator[Conversation]:
    """wallet.mjs, running."""
    with peers.conversation("wallet.mjs") as talk:
        yield talk


@pytest.fixture(scope="session")
def issuer(peers: Peers) -> Iterator[Conversation]:
    """issuer.mjs, running."""
    with peers.conversation("issuer.mjs") as talk:
        yield talk


def _install() -> None:
    wanted = hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()
    installed = LIBRARIES / ".sinwon-lock"
    if installed.is_file() and installed.read_text("ascii") == wanted:
        return
    try:
        ended = subprocess.run(
            _INSTALL, cwd=HERE, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        skip_or_fail("node", f"npm ci in tests/interop took longer than {INSTALL_TIMEOUT_S} s")
        raise
    if ended.returncode:
        codes = [line.split()[-1] for line in ended.stderr.splitlines() if line.startswith("npm error code")]
        code = codes[0] if codes else f"exit status {ended.returncode}"
        skip_or_fail("node", f"npm ci in tests/interop failed ({code}): no network?")
    installed.write_text(wanted, "ascii")


@pytest.fixture(scope="session")
def ministry(issuer: Conversation) -> Ministry:
    """An authority of libraries."""
    return Ministry(issuer)


@pytest.fixture(scope="module")
def registered(rig: Rig, ministry: Ministry) -> Rig:
    """A provider that believes that authority."""
    ministry.register(rig)
    return rig


@pytest.fixture
def licences(registered: Rig) -> Portal:
    """A portal at which the licence signs in, and a browser with an empty cookie jar."""
    return registered.variant("gov24", "licences", **LICENCES)


@pytest.fixture
def wallet(rig: Rig, phone: Conversation, ministry: Ministry) -> NodeWallet:
    """A phone with the licence in both formats, each with a key of its own."""
    held = [ministry.issue(format, jose.generate()) for format in ("dc+sd-jwt", "mso_mdoc")]
    return NodeWallet(rig, phone, held, (ministry.root_pem,))
