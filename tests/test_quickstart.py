"""docs/quickstart.md and docs/mock.md, run as they stand but for the numbers of ports: tests run side by side."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.conftest import skip_or_fail
from tests.ephemeral import environment
from tests.servers import free_port
from tests.test_docs import blocks
from tests.waiting import eventually

DEMO, DISCOVERY, PYTHON, NODE, CALL, SHELL = range(6)


class Terminal:
    """A directory, and the doc's commands in it. `ports` are the doc's numbers and the ones used here."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        own = free_port()
        self.ports = {"8000": str(free_port()), "8080": str(own), "8081": str(own + 1)}
        bin_directory = Path(sys.executable).parent
        self.environment = {
            **environment(),
            "PATH": f"{bin_directory}:{os.environ['PATH']}",
            "NO_PROXY": "127.0.0.1",
        }

    def text(self, number: int) -> str:
        said = blocks("docs/quickstart.md", "sh")[number]
        for written, used in self.ports.items():
            said = said.replace(written, used)
        return said

    def open(self, number: int) -> "subprocess.Popen[str]":
        """A block that keeps running, or that is talked with."""
        return subprocess.Popen(
            ["/bin/bash", "-e", "-c", self.text(number)],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, number: int) -> str:
        """What a block prints."""
        with self.open(number) as process:
            said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        return said

    @contextmanager
    def running(self, number: int, url: str, *, within_s: float = 60) -> Iterator["subprocess.Popen[str]"]:
        """A block that keeps running, from when it answers at `url`."""
        process = self.open(number)
        try:
            eventually(lambda: process.poll() is not None or _answers(self._here(url)), within_s=within_s)
            assert process.poll() is None, process.stdout and process.stdout.read()
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=60)

    def _here(self, url: str) -> str:
        for written, used in self.ports.items():
            url = url.replace(written, used)
        return url


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """The first step is done: a provider runs."""
    if shutil.which("curl") is None:
        pytest.skip("not installed: curl")
    made = Terminal(tmp_path_factory.mktemp("quickstart"))
    with made.running(DEMO, "http://127.0.0.1:8080/healthz"):
        eventually(lambda: _answers(f"http://127.0.0.1:{made.ports['8081']}/healthz"), within_s=60)
        yield made


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def test_discovery_is_read(terminal: Terminal) -> None:
    assert json.loads(terminal.run(DISCOVERY))["issuer"] == f"http://127.0.0.1:{terminal.ports['8080']}"


def test_the_python_app_is_signed_in_to(terminal: Terminal) -> None:
    with terminal.running(PYTHON, "http://127.0.0.1:8000/"):
        assert json.loads(terminal.run(CALL))["name"] == "홍길동"


@pytest.mark.node
def test_the_node_app_is_signed_in_to(terminal: Terminal, node_path: Path) -> None:
    assert node_path.is_file()
    looked = ["npm", "view", "openid-client@6", "version"]
    if subprocess.run(looked, capture_output=True, timeout=120, check=False).returncode:
        skip_or_fail("node", "npm cannot reach its registry")
    with terminal.running(NODE, "http://127.0.0.1:8000/", within_s=180):
        assert json.loads(terminal.run(CALL))["name"] == "홍길동"


def test_the_shell_script_is_talked_with(terminal: Terminal) -> None:
    with terminal.open(SHELL) as process:
        assert process.stdout is not None
        away = next(line for line in process.stdout if "/authorize?" in line).strip()
        call = f"http://127.0.0.1:{terminal.ports['8081']}/mock/sign-in"
        back = httpx2.post(call, json={"authorization_url": away}, trust_env=False, timeout=60).json()
        said, _ = process.communicate(back["location"] + "\n", timeout=60)
    assert process.returncode == 0, said
    assert '"access_token"' in said
    assert '"sub"' in said


def test_every_block_of_the_quickstart_is_run_here() -> None:
    assert len(blocks("docs/quickstart.md", "sh")) == len((DEMO, DISCOVERY, PYTHON, NODE, CALL, SHELL))


def test_the_test_for_a_portal_passes(terminal: Terminal, tmp_path: Path) -> None:
    python = next(line for line in terminal.text(PYTHON).splitlines() if line.startswith("idp "))
    made = subprocess.run(
        ["/bin/bash", "-c", python],
        cwd=terminal.directory,
        env=terminal.environment,
        check=True,
        capture_output=True,
    )
    assert made.stdout == b""
    shutil.copy(terminal.directory / "app.py", tmp_path)
    [test] = blocks("docs/mock.md", "python")
    (tmp_path / "test_login.py").write_text(test, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    ended = subprocess.run(
        command, cwd=tmp_path, env=terminal.environment, capture_output=True, text=True, check=False
    )
    assert "2 passed" in ended.stdout, ended.stdout
