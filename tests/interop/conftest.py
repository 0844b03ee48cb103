"""Peers nobody here wrote: npm libraries of exactly the versions in `package-lock.json`, run by Node.js.

The first test of a session that needs them installs them (`npm ci`, no install scripts) beside the lock file, and
only when they are missing or the lock file has changed. Without Node.js, or when npm cannot install, these tests are
skipped, or fail where IDP_TEST_REQUIRE names `node`.
"""

import fcntl
import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from idp.demo import jose
from tests.conftest import skip_or_fail

HERE = Path(__file__).parent
LOCK_FILE = HERE / "package-lock.json"
INSTALL_TIMEOUT_S = 300
TIMEOUT_S = 60
NODE_MAJOR = 20  # what the libraries ask for
_INSTALL = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev", "--loglevel=error")


class PeerFailed(AssertionError):
    """A library refused or a script broke; the message is theirs."""


class Conversation:
    """A script that is spoken to line by line, each line a JSON value."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def say(self, value: Any) -> Any:
        """Send a value and wait `TIMEOUT_S` for the answer. Raises PeerFailed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(TIMEOUT_S, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        answer = json.loads(line) if line else {"failed": "the script ended; its standard error says why"}
        if "failed" in answer:
            raise PeerFailed(answer["failed"])
        return answer


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
    installed = HERE / "node_modules" / ".sinwon-lock"
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


def private_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """A P-256 key as the scripts take it."""
    number = key.private_numbers().private_value.to_bytes(32, "big")
    return {**jose.public_jwk(key.public_key()), "d": jose.encode(number)}
