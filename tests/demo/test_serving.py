"""`python -m idp.demo` as its own process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.servers import free_port
from tests.waiting import eventually


def command(directory: Path, port: int, *more: str) -> list[str]:
    return [sys.executable, "-m", "idp.demo", f"--directory={directory}", f"--port={port}", *more]


def answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).json() == {"status": "ok"}
    except httpx2.TransportError:
        return False


@contextmanager
def started(arguments: list[str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        with process:
            yield process
    finally:
        if process.poll() is None:
            process.kill()


def test_it_serves_says_nothing_and_ends_when_told(tmp_path: Path) -> None:
    port = free_port()
    with started(command(tmp_path / "demo", port, "--issuer=http://127.0.0.1:1")) as process:
        eventually(lambda: answers(port))
        assert httpx2.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, "")


def test_it_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    port = free_port()
    arguments = command(tmp_path / "demo", port, "--issuer=http://127.0.0.1:1")
    parent = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", parent, *arguments], stdin=subprocess.PIPE)
    with process:
        eventually(lambda: answers(port))
        os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not answers(port))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_it_listens_on_loopback_only(tmp_path: Path, host: str) -> None:
    arguments = command(tmp_path / "demo", free_port(), f"--host={host}", "--issuer=http://127.0.0.1:1")
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "loopback only" in done.stderr
