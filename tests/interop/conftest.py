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
from typing import Any, TextIO

import pytest

from tests.conftest import skip_or_fail

HERE = Path(__file__).parent
LOCK_FILE = HERE / "package-lock.json"
INSTALL_TIMEOUT_S = 300
TIMEOUT_S = 60
_INSTALL = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev", "--loglevel=error")


class PeerFailed(AssertionError):
    """A script ended with an error of its own; its standard error says which."""


class Conversation:
    """A script that is spoken to line by line, each line a JSON value or a URL."""

    def __init__(self, process: "subprocess.Popen[str]", sink: TextIO, source: TextIO) -> None:
        self._process = process
        self._sink = sink
        self._source = source

    def say(self, line: str) -> Any:
        """Send a line and wait for the answer. Raises PeerFailed."""
        self._sink.write(line + "\n")
        self._sink.flush()
        answer = self._source.readline()
        if not answer:
            raise PeerFailed(self._process.communicate()[1])
        return json.loads(answer)


@dataclass(frozen=True)
class Peers:
    """Node.js with the libraries installed."""

    node: Path

    def run(self, script: str, given: Any) -> Any:
        """What a script answers to one JSON value. Raises PeerFailed."""
        ended = subprocess.run(
            [self.node, HERE / script],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if ended.returncode:
            raise PeerFailed(ended.stderr)
        return json.loads(ended.stdout)

    @contextmanager
    def conversation(self, script: str) -> Iterator[Conversation]:
        """A script to talk with. One that hangs is ended after `TIMEOUT_S`."""
        process = subprocess.Popen(
            [self.node, HERE / script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        watchdog = threading.Timer(TIMEOUT_S, process.kill)
        watchdog.start()
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield Conversation(process, process.stdin, process.stdout)
            finally:
                watchdog.cancel()
                process.kill()


@pytest.fixture(scope="session")
def peers(node_path: Path) -> Peers:
    """The libraries, installed."""
    # Two test runs in one checkout must not install at once: npm ci begins by removing what is there.
    with LOCK_FILE.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install()
    return Peers(node_path)


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
