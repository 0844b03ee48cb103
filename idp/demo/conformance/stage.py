"""Setting the stage for a conformance run: settings, clients, plan configurations, TLS."""

import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from idp.demo import host, pki, seeds, tls_front, toml
from idp.demo.conformance import verifier
from idp.demo.conformance.clients import SCOPES, Clients
from idp.demo.conformance.plans import Plan, all_plans

WALLET_PATH = "/demo-wallet/"
DEFAULT_PORT = 9443
DEFAULT_SUITE = "https://localhost.emobix.co.uk:8443/test/a/sinwon/"


@dataclass(frozen=True)
class Wishes:
    """What the one who runs it decides.

    `port` is that of the TLS front, on the address `listen`. `issuer` is where the suite finds it, an https origin;
    without one it is `https://localhost:<port>`. `suite` is the address of the suite's test instances, alias
    included; `suite_ca` a PEM file with the authority of its certificate. `suite_mdoc_signer` is a PEM file with the
    certificate that its mdocs carry (`verifier`).
    """

    port: int = DEFAULT_PORT
    listen: str = host.HOST
    issuer: str | None = None
    suite: str = DEFAULT_SUITE
    suite_ca: Path | None = None
    suite_mdoc_signer: Path | None = None


@dataclass(frozen=True)
class Stage(host.Stage):
    """A conformance run that is about to begin. `port` is the provider's own, on loopback."""

    wishes: Wishes
    front_port: int
    plans: tuple[Plan, ...]

    @classmethod
    def prepare_for(cls, wishes: Wishes, directory: Path, *, reset: bool) -> Self:
        """Take free ports and write keys, certificates, settings, registrations and plans into `directory`."""
        directory = directory.absolute()
        if reset and (directory / "demo.json").is_file():
            shutil.rmtree(directory)
        front_port = host.free_port(wishes.port)
        issuer = (wishes.issuer or f"https://localhost:{front_port}").rstrip("/")
        own, guests = host.free_port(0), host.free_port(0)
        here = f"http://{host.HOST}:{guests}"
        prepared = seeds.prepare(
            directory,
            issuer=issuer,
            portals_url=here,
            wallet_url=f"{here}/wallet",
            authority_url=f"{here}/authority",
        )
        alias_url = wishes.suite.rstrip("/") + "/"
        clients = Clients(directory / "clients", alias_url)
        pid = verifier.Issuer(directory / "clients", wishes.suite_mdoc_signer)
        access_ca = prepared.access_ca.read_text("ascii")
        plans = (*all_plans(issuer, alias_url, clients), *verifier.plans(alias_url, pid, access_ca))
        stage = cls(prepared, own, guests, wishes.port, wishes, front_port, plans)
        stage._write(clients, pid, alias_url)
        return stage

    @property
    def portals_file(self) -> Path:
        return self.prepared.directory / "conformance-portals.toml"

    @property
    def clients_file(self) -> None:
        """Nobody's own portal: the clients are the suite's."""

    def told(self, _metadata: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self.addresses())

    @property
    def trust_file(self) -> Path:
        return self.prepared.directory / "conformance-trust.toml"

    @property
    def organisations_file(self) -> None:
        """Nobody answers for the suite's clients."""

    @property
    def wallets(self) -> list[dict[str, Any]]:
        return [*super().wallets, *verifier.wallets(self.wishes.suite.rstrip("/") + "/")]

    @property
    def plans_directory(self) -> Path:
        """One configuration a plan, and `plans.json` with their names and variants."""
        return self.prepared.directory / "plans"

    @property
    def settings(self) -> dict[str, Any]:
        suite = urlsplit(self.wishes.suite)
        return {
            **super().settings,
            "mode": "sandbox",
            "server.trusted_proxies": 1,
            "server.client_certificate_header": tls_front.CERTIFICATE_HEADER,
            "server.client_certificate_authorities_file": str(self._path("client-authorities.pem")),
            "wallet.link": f"{self.prepared.issuer}{WALLET_PATH}answer",
            "fetch.allow": [f"http://{host.HOST}:{self.guests_port}", f"{suite.scheme}://{suite.netloc}"],
            "requests.by_reference": True,
            "requests.implicit": True,
            "registration.open": True,
            "registration.require_pkce": False,
            "registration.scopes": list(SCOPES),
            "registration.per_minute_per_ip": 100_000,
            "languages.default": "en",
            "console.enabled": False,
        }

    @contextmanager
    def guests(self) -> Iterator[None]:
        """Wallet, authority and TLS front, for as long as the context lasts."""
        arguments = {
            "--directory": self.prepared.directory,
            "--guests-port": self.guests_port,
            "--provider-port": self.port,
            "--listen": self.wishes.listen,
            "--port": self.front_port,
        }
        command = [sys.executable, "-m", "idp.demo.conformance"]
        command += [str(word) for pair in arguments.items() for word in pair]
        process = subprocess.Popen(command)  # noqa: S603 - our own interpreter and arguments
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    def trust_suite(self) -> None:
        """Let this process's guarded client know the suite's certificate: the provider fetches from the suite."""
        if self.wishes.suite_ca is None:
            return
        usual = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().openssl_cafile
        known = Path(usual).read_bytes() if Path(usual).is_file() else b""
        together = self._path("trusted-by-provider.pem")
        together.write_bytes(known + b"\n" + self.wishes.suite_ca.read_bytes())
        os.environ["SSL_CERT_FILE"] = str(together)

    def addresses(self) -> dict[str, str]:
        issuer = self.prepared.issuer
        return {
            "issuer": issuer,
            "discovery": f"{issuer}/.well-known/openid-configuration",
            "listens": f"{self.wishes.listen}:{self.front_port}",
            "directory": str(self.prepared.directory),
            "settings": str(self.settings_file),
            "portals": str(self.portals_file),
            "plans": str(self.plans_directory),
            "certificate": str(self._path("tls-ca.pem")),
        }

    def welcome(self, seconds: float, console: str | None) -> str:
        where = self.addresses()
        lines = [
            "",
            f"Sinwon for the OpenID Foundation's conformance suite, ready in {seconds:.1f} s.",
            "Its clients, persons and certificates are made up, and anybody may register: for tests only.",
            "",
            f"  Issuer       {where['issuer']}   (listens on {where['listens']})",
            f"  Suite        {self.wishes.suite}",
            f"  Settings     {where['settings']}",
            f"  Clients      {where['portals']}",
            f"  TLS CA       {where['certificate']}",
            f"  Plans        {where['plans']}",
            "",
            *(f"    {plan.selector} {plan.file}.json" for plan in self.plans),
            "",
            "Stop: Ctrl-C   Start anew: idp demo --profile conformance --reset",
        ]
        return "\n".join(lines)

    def _path(self, name: str) -> Path:
        return self.prepared.directory / name

    def _write(self, clients: Clients, pid: verifier.Issuer, alias_url: str) -> None:
        pki.write_private(self.portals_file, clients.portals_toml().encode())
        trust = self.prepared.trust_file.read_text("utf-8") + "\n" + toml.arrays(pid.trust())
        pki.write_private(self.trust_file, trust.encode())
        callback = {"callback": f"{alias_url}callback"}
        pki.write_private(self.plans_directory / "suite.json", _json(callback))
        self._path("client-authorities.pem").write_text(clients.authority_pem, "ascii")
        self._path("client-certificates.pem").write_text(clients.trusted_pem, "ascii")
        self._write_tls()
        self.write_settings()
        index = [
            {"plan": plan.name, "variant": plan.variant, "file": f"{plan.file}.json"} for plan in self.plans
        ]
        pki.write_private(self.plans_directory / "plans.json", _json(index))
        for plan in self.plans:
            pki.write_private(self.plans_directory / f"{plan.file}.json", _json(plan.configuration))

    def _write_tls(self) -> None:
        ca = pki.keep_ca(self._path("tls-ca"), "Conformance TLS CA")
        name = urlsplit(self.prepared.issuer).hostname or "localhost"
        hosts = tuple(dict.fromkeys((name, "localhost", host.HOST)))
        pki.keep_leaf(self._path("tls-server"), "Conformance provider", ca, hosts)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"
