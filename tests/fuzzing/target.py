"""What mutants are sent to: a provider that runs, portals of its own for them, and an address nobody may fetch."""

from __future__ import annotations

import hashlib
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from idp.admin import tokens
from idp.admin.people import Role
from idp.bare import bare_app
from idp.demo.seeds import Prepared
from idp.events import Origin, origin
from idp.models import db
from idp.oidc import registration
from idp.settings import Settings
from tests.crowd import Client, Line, Place
from tests.deployed import Deployment, deployed

ASSERTING, SIGNING, PROVING = "fuzz-asserting", "fuzz-signing", "fuzz-proving"
REDIRECT_URI = "https://portal.example/callback"
TEXT = {"ko": "시험", "en": "Test"}


@dataclass
class Elsewhere:
    """An address on another loopback that mutants name. Nobody has a reason to come."""

    url: str
    visits: list[str] = field(default_factory=list)


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    with socket.create_server(("127.0.0.2", 0)) as listening:
        found = Elsewhere(f"http://127.0.0.2:{listening.getsockname()[1]}/fetched")
        listening.settimeout(0.2)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    connection, peer = listening.accept()
                except TimeoutError:
                    continue
                with connection:
                    found.visits.append(str(peer))

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield found
        finally:
            over.set()
            thread.join()


@dataclass(frozen=True)
class Keys:
    """The private halves of what the portals for mutants registered, and the secret of all of them."""

    asserting: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "signs"}))
    signing: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "asks"}))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def portals(self) -> list[dict[str, Any]]:
        shared = {
            "name": TEXT,
            "operator": TEXT,
            "retention": TEXT,
            "redirect_uris": [REDIRECT_URI],
            "scopes": ["openid", "profile"],
            "claims": [{"name": "name", "purpose": TEXT}],
        }
        with_secret = {
            **shared,
            "token_endpoint_auth_method": "client_secret_basic",
            "client_secret_sha256": [hashlib.sha256(self.secret.encode()).hexdigest()],
        }
        return [
            {
                **shared,
                "client_id": ASSERTING,
                "token_endpoint_auth_method": "private_key_jwt",
                "jwks": {"keys": [self.asserting.as_dict(private=False)]},
            },
            {**with_secret, "client_id": SIGNING, "jwks": {"keys": [self.signing.as_dict(private=False)]}},
            {**with_secret, "client_id": PROVING, "dpop_bound_access_tokens": True},
        ]


@dataclass(frozen=True)
class Target:
    """A provider, how to speak to it, and what a portal, a wallet and a program need to be let in."""

    issuer: str
    prepared: Prepared
    keys: Keys
    elsewhere: Elsewhere
    place: Place
    invitation: str
    reader: str
    """A token of the admin API that may read and not write."""

    @property
    def line(self) -> Line:
        return self.place.line

    def client(self, client_id: str = SIGNING) -> Client:
        return Client(client_id, REDIRECT_URI, "openid profile", self.keys.secret)


def target(settings: Settings, prepared: Prepared, keys: Keys, away: Elsewhere, now: int) -> Target:
    """The target at these settings, whose portals are registered."""
    with bare_app(settings).app_context():
        invitation = registration.invite(profile="standard", uses=1000, ttl_s=86_400, note="", now=now)
        before = origin.set(Origin(actor="command line: test"))
        try:
            _, reader = tokens.create(
                label="mutants", role=Role.AUDITOR, organisation=None, ttl_s=86_400, now=now
            )
        finally:
            origin.reset(before)
        db.session.remove()
        db.engine.dispose()
    return Target(prepared.issuer, prepared, keys, away, Place.of(prepared), invitation, reader)


@dataclass(frozen=True)
class Served:
    """A target that `idp serve` serves, in processes that can be counted."""

    target: Target
    deployment: Deployment
    port: int

    def workers(self) -> list[int]:
        """The processes that gunicorn has forked, oldest first."""
        command = ["pgrep", "--parent", str(self.deployment.pid)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return sorted(map(int, done.stdout.split()))

    def resident_kib(self) -> int:
        """What the workers hold in memory together."""
        lines = (Path(f"/proc/{pid}/status").read_text() for pid in self.workers())
        return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in lines)


@contextmanager
def served(
    directory: Path, overrides: dict[str, Any], now: int, more: Sequence[dict[str, Any]] = ()
) -> Iterator[Served]:
    """A provider in processes of its own, until the context ends. `overrides` as of `deployed`."""
    keys = Keys()
    with ExitStack() as stack:
        away = stack.enter_context(elsewhere())
        running = stack.enter_context(deployed(directory, overrides, [*keys.portals(), *more]))
        found = target(running.settings, running.prepared, keys, away, now)
        stack.callback(found.line.close)
        port = int(running.settings.server.bind.rpartition(":")[2])
        yield Served(found, running, port)
