"""`idp demo --ephemeral` as a portal's own tests would use it: a process, what it printed, and its one call."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from idp.demo.seeds import Prepared, load


@dataclass(frozen=True)
class Demonstration:
    """One that is running."""

    told: dict[str, Any]
    process: "subprocess.Popen[str]"

    @property
    def prepared(self) -> Prepared:
        return load(Path(self.told["directory"]))

    def client(self, client_id: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.told["clients"] if one["client_id"] == client_id)
        return found

    def call(self, **wish: Any) -> httpx2.Response:
        """The one call, whatever is answered."""
        return httpx2.post(self.told["sign_in"], json=wish, trust_env=False, timeout=60)

    def sign_in(self, authorization_url: str, **wish: str) -> dict[str, Any]:
        """Where the browser goes in the end, and how."""
        answer = self.call(authorization_url=authorization_url, **wish)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def idp(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command on its settings."""
        settings = str(Path(self.told["directory"]) / "settings.toml")
        command = [sys.executable, "-m", "idp.cli", *arguments, "-c", settings]
        return subprocess.run(
            command, env=environment(), capture_output=True, text=True, timeout=120, check=False
        )


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("IDP_CONFIG", "IDP_MODE")}


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "idp.cli", "demo", "--ephemeral", "--print-json", *options]


@contextmanager
def demonstration(*options: str) -> Iterator[Demonstration]:
    """One with these options; it ends when its standard input is closed."""
    process = subprocess.Popen(
        command("--until-stdin-closes", *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield Demonstration(json.loads(process.stdout.readline()), process)
        finally:
            process.stdin.close()
            process.wait(timeout=60)
