"""A provider as it is deployed: `idp serve` in a process of its own, its log in a file, the authority beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idp import clock, schema
from idp.admin import portals as portal_admin
from idp.admin import trust as trust_admin
from idp.bare import bare_app
from idp.demo import seeds
from idp.demo.seeds import Prepared
from idp.models import db
from idp.settings import Settings, load
from tests.servers import START_S, free_port
from tests.waiting import eventually

PROJECT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Deployment:
    """A running provider. `log` holds everything that its processes write."""

    prepared: Prepared
    settings: Settings
    log: Path
    pid: int
    environment: Mapping[str, str]

    def command(
        self, name: str, log: Path, more: Mapping[str, str]
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Another `idp` command of this deployment, in a process of its own that is ended with the context."""
        return process(["idp.cli", name], log, {**self.environment, **more})


@contextmanager
def deployed(
    directory: Path, overrides: Mapping[str, Any], portals: list[dict[str, Any]]
) -> Iterator[Deployment]:
    """Serve until the context ends, with these portals beside the demonstration's.

    `directory` gets two parts: `guests`, what the demonstration's authority and portals keep, and `provider`, the
    database (unless `overrides` name another) and the log. An override None takes a setting away.
    """
    own, other = free_port(), free_port()
    here = f"http://127.0.0.1:{other}"
    prepared = seeds.prepare(
        directory / "guests",
        issuer=f"http://127.0.0.1:{own}",
        portals_url=here,
        wallet_url=f"{here}/wallet",
        authority_url=f"{here}/authority",
    )
    provider = directory / "provider"
    provider.mkdir()
    given = {
        "mode": "demo",
        "issuer": prepared.issuer,
        "server.bind": f"127.0.0.1:{own}",
        "database.url": f"sqlite:///{provider / 'sinwon.db'}",
        "secrets.key_encryption_key": "33" * 31 + "aa",
        "secrets.pepper": "44" * 31 + "bb",
        "wallet.certificate_file": str(prepared.request_signer_certificates),
        "wallet.private_key_file": str(prepared.request_signer_key),
        "wallet.link": prepared.wallet_link,
        "fetch.allow": here,
        "holder.logins_per_minute_per_ip": 100_000,
        "holder.codes_per_hour_per_network": 100_000,
        **overrides,
    }
    environment = {
        f"IDP_{name.upper().replace('.', '__')}": str(value)
        for name, value in given.items()
        if value is not None
    }
    settings = load(None, environment)
    furnish(settings, prepared, portals)
    log = provider / "serve.log"
    with ExitStack() as stack:
        guests = ["idp.demo", "--directory", str(prepared.directory), "--port", str(other)]
        stack.enter_context(process(guests, directory / "guests.log", {}))
        server = stack.enter_context(process(["idp.cli", "serve"], log, environment))
        for url in (f"{here}/healthz", f"{prepared.issuer}/jwks"):
            await_answer(url, server, log)
        yield Deployment(prepared, settings, log, server.pid, environment)


def furnish(
    settings: Settings, prepared: Prepared, portals: list[dict[str, Any]], revision: str = "head"
) -> None:
    """A database with trust and portals in it."""
    schema.upgrade(settings.database_url, revision)
    app = bare_app(settings)
    with app.app_context():
        trust_admin.apply(tomllib.loads(prepared.trust_file.read_text("utf-8")), now=clock.now())
        portal_admin.apply({"portal": [*prepared.portals(), *portals]}, now=clock.now())
        db.session.remove()
        db.engine.dispose()


def idp(tree: Path, environment: Mapping[str, str], *arguments: str) -> str:
    """Run a command of a release to its end; what it said. Raises CalledProcessError where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "idp.cli", *arguments],
        cwd=tree,
        env={**_inherited(), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@contextmanager
def process(
    module: list[str], log: Path, environment: Mapping[str, str], tree: Path = PROJECT
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m` with these arguments until the context ends; `environment` is all that it has of `IDP_…`.

    tree: where the package is that it runs.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_inherited(), **environment},
            cwd=tree,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def await_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until something answers there."""

    def answers() -> bool:
        assert process.poll() is None, f"the provider ended:\n{log.read_text('utf-8')[-2000:]}"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False

    eventually(answers, START_S)


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
