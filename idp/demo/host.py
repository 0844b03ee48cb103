"""Setting the stage: where the demonstration's files are, which ports it takes, what it tells the one who ran it.

`idp demo` (the house's command line) asks a `Stage` for settings and seed files, serves the provider itself, and
lets the guests run as a process of their own beside it.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from idp.demo import check, jose, mock, pki, seeds, toml, tour
from idp.demo.personas import PERSONAS

HOST = "127.0.0.1"
_START_S = 30.0
_LOOK_AGAIN_S = 0.05
_PORTS_TO_TRY = 50


class NotReady(Exception):
    """Something of the demonstration did not start in time."""


@dataclass(frozen=True)
class Stage:
    """A demonstration that is about to begin."""

    prepared: seeds.Prepared
    port: int
    guests_port: int
    wanted_port: int
    logout_origin: str | None = field(default=None, kw_only=True)
    sign_in_seconds: int | None = field(default=None, kw_only=True)

    @classmethod
    def prepare(
        cls,
        directory: Path,
        *,
        port: int,
        reset: bool,
        redirect_uris: Sequence[str] = (),
        post_logout_redirect_uris: Sequence[str] = (),
        backchannel_logout_uri: str | None = None,
        logout_origin: str | None = None,
        sign_in_seconds: int | None = None,
    ) -> Self:
        """Take two free ports and write keys, certificates and seed files into `directory`.

        `redirect_uris`, `post_logout_redirect_uris` and `backchannel_logout_uri` are the caller's own portal's, and
        `logout_origin` the last one's origin; a sign-in lives `sign_in_seconds` where that is given.
        """
        directory = directory.absolute()
        if reset and (directory / "demo.json").is_file():
            shutil.rmtree(directory)
        own = free_port(port)
        guests = free_port(own + 1 if port else 0)
        here = f"http://{HOST}:{guests}"
        prepared = seeds.prepare(
            directory,
            issuer=f"http://{HOST}:{own}",
            portals_url=here,
            wallet_url=f"{here}/wallet",
            authority_url=f"{here}/authority",
            redirect_uris=redirect_uris,
            post_logout_redirect_uris=post_logout_redirect_uris,
            backchannel_logout_uri=backchannel_logout_uri,
        )
        stage = cls(prepared, own, guests, port, logout_origin=logout_origin, sign_in_seconds=sign_in_seconds)
        stage.write_settings()
        return stage

    def write_settings(self) -> None:
        """Keep the settings in `settings_file`, which holds secrets."""
        pki.write_private(self.settings_file, toml.dotted(self.settings).encode())

    @property
    def settings_file(self) -> Path:
        """The settings in use, for `idp trust apply`, `idp check-config` and the like."""
        return self.prepared.directory / "settings.toml"

    @property
    def trust_file(self) -> Path:
        return self.prepared.trust_file

    @property
    def portals_file(self) -> Path:
        return self.prepared.portals_file

    @property
    def organisations_file(self) -> Path | None:
        return self.prepared.organisations_file

    @property
    def clients_file(self) -> Path | None:
        """The registrations for the caller's own portal."""
        return self.prepared.clients_file

    @property
    def wallets(self) -> list[dict[str, Any]]:
        """The wallets that holders may use, all of them switched on."""
        return self.prepared.wallets(self.settings["wallet.link"])

    @property
    def settings(self) -> dict[str, Any]:
        """The provider's settings, by name."""
        prepared = self.prepared
        return {
            "mode": "demo",
            "issuer": prepared.issuer,
            "server.bind": f"{HOST}:{self.port}",
            "server.threads": 16,
            "database.url": f"sqlite:///{prepared.directory / 'sinwon.db'}",
            "secrets.key_encryption_key": self._secret("key_encryption_key"),
            "secrets.pepper": self._secret("pepper"),
            "wallet.certificate_file": str(prepared.request_signer_certificates),
            "wallet.private_key_file": str(prepared.request_signer_key),
            "wallet.link": prepared.wallet_link,
            "opendid.verification_method": prepared.open_did_key_url,
            "opendid.private_key_file": str(prepared.open_did_key_file),
            "opendid.certificate_vc_url": prepared.open_did_certificate,
            "opendid.registry_url": prepared.registry_url,
            "mip.backend": "simulator",
            # Loopback addresses, the guests' and a logout listener's, are gone to only where they stand here.
            "fetch.allow": list(filter(None, (f"http://{HOST}:{self.guests_port}", self.logout_origin))),
            "holder.with_ci": True,
            # Everybody on this machine has one address; a load measurement is many holders.
            "holder.logins_per_minute_per_ip": 100_000,
            **self._lifetimes(),
        }

    def _lifetimes(self) -> dict[str, int]:
        seconds = self.sign_in_seconds
        if seconds is None:
            return {}
        return {
            "lifetimes.login_ttl_s": seconds,
            "lifetimes.login_max_s": seconds,
            "lifetimes.qr_offered_s": min(seconds, 120),
        }

    def _secret(self, name: str) -> str:
        """32 random bytes in hex, made once and kept beside the database they belong to."""
        file = self.prepared.directory / f"{name}.hex"
        if not file.exists():
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as out:
                out.write(secrets.token_hex(32))
        return file.read_text("ascii")

    @contextmanager
    def guests(self) -> Iterator[None]:
        """The guests' process, for as long as the context lasts."""
        command = [sys.executable, "-m", "idp.demo"]
        arguments = ["--directory", str(self.prepared.directory), "--port", str(self.guests_port)]
        arguments += ["--invented", os.environ.get("SINWON_DEMO_INVENTED", "0")]
        process = subprocess.Popen([*command, *arguments])  # noqa: S603 - our own interpreter and arguments
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    def wait_for_guests(self) -> None:
        """Raises NotReady."""
        wait_for(f"http://{HOST}:{self.guests_port}/healthz")

    def addresses(self) -> dict[str, str]:
        """Where everything is."""
        prepared = self.prepared
        return {
            "issuer": prepared.issuer,
            "discovery": f"{prepared.issuer}/.well-known/openid-configuration",
            "portals": f"{prepared.portals_url}/",
            "wallet": f"{prepared.wallet_url}/",
            "open_did_wallet": f"{prepared.portals_url}/open-did/",
            "mobileid": f"{prepared.mobileid_url}/",
            "directory": str(prepared.directory),
        }

    def told(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that a test of the caller's own portal needs, as JSON: `--print-json`.

        `metadata` is the provider's discovery document. Secrets and keys are of this demonstration alone.
        """
        return {
            **self.addresses(),
            "endpoints": {
                name: value
                for name, value in metadata.items()
                if name.endswith(("_endpoint", "_uri")) and isinstance(value, str)
            },
            "sign_in": f"{self.prepared.portals_url}/mock/sign-in",
            "clients": [self._client(client) for client in self.prepared.clients()],
            "personas": {person.id: person.note_en for person in PERSONAS},
            "faults": list(mock.FAULTS),
        }

    def _client(self, registration: Mapping[str, Any]) -> dict[str, Any]:
        """A registration as the portal itself configures it."""
        client_id = registration["client_id"]
        method = registration["token_endpoint_auth_method"]
        shown = ("redirect_uris", "post_logout_redirect_uris", "token_endpoint_auth_method")
        if method == "private_key_jwt":
            proof: dict[str, Any] = {"jwk": jose.private_jwk(self.prepared.portal_key(client_id))}
            proof["jwk"] |= {name: registration["jwks"]["keys"][0][name] for name in ("kid", "alg", "use")}
        else:
            proof = {"client_secret": self.prepared.portal_secret(client_id)}
        return {
            "client_id": client_id,
            **proof,
            **{name: registration[name] for name in shown},
            "scope": " ".join(registration["scopes"]),
        }

    def welcome(self, seconds: float, console: str | None) -> str:
        """What the terminal shows when everything runs; `console` is where administrators come in."""
        where = self.addresses()
        taken = self.wanted_port not in (0, self.port)
        moved = f" (port {self.wanted_port} is taken)" if taken else ""
        return "\n".join(
            (
                "",
                f"Sinwon demonstration, ready in {seconds:.1f} s{moved}.",
                "Every person, certificate and portal is made up. It listens on this machine only.",
                "",
                f"  Portals    {where['portals']}   <- start here: choose one and sign in",
                f"  Wallet     {where['wallet']}",
                f"  Open DID   {where['open_did_wallet']}",
                f"  Mobile ID  {where['mobileid']}   (the national app, simulated)",
                f"  Provider   {where['discovery']}",
                f"  Console    {console}",
                "",
                "Your own portal: client_id test, redirect URI http://127.0.0.1:<any port>/callback, its secret in",
                f"{where['directory']}/portals/test.secret",
                "",
                f"Data: {where['directory']}   Stop: Ctrl-C   Start anew: idp demo --reset",
            )
        )


CHECK_FAILURES = (NotReady, check.StepFailed)


def run_check(directory: Path) -> Iterator[str]:
    """Start a demonstration in a process of its own, sign in with every card everywhere (`tour`), stop it.

    A line for each sign-in, once it has succeeded. Raises one of CHECK_FAILURES.
    """
    arguments = ["demo", "--port", "0", "--print-json", "--directory", str(directory)]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, "-m", "idp.cli", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None or not (line := process.stdout.readline()):
            raise NotReady("the demonstration ended before it was ready")
        yield from tour.walk_all(seeds.load(Path(json.loads(line)["directory"])))
    finally:
        process.terminate()
        process.communicate()


def wait_for(url: str) -> None:
    """Until this address of ours answers. Raises NotReady."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - a loopback address of ours
                return
        except (urllib.error.URLError, OSError):
            time.sleep(_LOOK_AGAIN_S)
    raise NotReady(url)


def free_port(wanted: int) -> int:
    """The port itself if it is free, else the next free one; 0 takes any."""
    for port in range(wanted, min(wanted + _PORTS_TO_TRY, 65536)) if wanted else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NotReady(f"no free port from {wanted} on")
