"""Other people's verifiers, to compare with: two Python and two npm libraries, each in a place of its own.

They are no dependency of anything here. `install` puts them into a directory that is named at the command line, in
the versions of requirements.txt and package-lock.json; each measures itself in a process of its own, between bare
signature checks of the same process, so that what is compared is the ratio.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# Not `npm ci`: a registry may lack the optional accelerators that cbor-x names, and the lock file with it.
_NPM = ("npm", "install", "--no-save", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund")


@dataclass(frozen=True)
class Peer:
    """What a library took for one presentation, and what it did for that."""

    name: str
    format: str
    verify_us: float
    bare_us: float
    leaves_out: str


def install(directory: Path) -> None:
    """Put the libraries there, unless they are there. Needs PyPI, npm and Node.js 20."""
    directory.mkdir(parents=True, exist_ok=True)
    python = directory / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python], check=True)
        pip = [python / "bin/pip", "install", "-q", "-r", HERE / "requirements.txt"]
        subprocess.run(pip, check=True)
    node = directory / "node"
    if not node.exists():
        node.mkdir()
        for name in ("package.json", "package-lock.json", "peers.mjs"):
            shutil.copy(HERE / name, node)
        subprocess.run(_NPM, cwd=node, check=True)


def install_provider(directory: Path) -> Path:
    """Put another provider there, unless it is; where its program is. Needs npm and Node.js 20."""
    provider = directory / "provider"
    if not provider.exists():
        provider.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "provider" / name, provider)
        subprocess.run(_NPM, cwd=provider, check=True)
    shutil.copy(HERE / "provider/provider.mjs", provider)
    return provider / "provider.mjs"


def measure(directory: Path, given: Mapping[str, Any]) -> list[Peer]:
    """What each of them takes, for the same presentations."""
    commands = [
        [directory / "python/bin/python", HERE / "peers.py"],
        ["node", directory / "node/peers.mjs"],
    ]
    found = []
    for command in commands:
        ran = subprocess.run(
            [str(part) for part in command],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode != 0:
            raise RuntimeError(f"{command[-1]}: {ran.stderr[-2000:]}")
        found += [Peer(**json.loads(line)) for line in ran.stdout.splitlines()]
    return found
