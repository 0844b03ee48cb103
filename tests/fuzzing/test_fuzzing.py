"""A short run of every species at a provider in a process of its own; and that a provider with a hole is found out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from idp.admin import portals as portal_admin
from idp.admin.people import Administrator
from idp.credentials import sd_jwt
from idp.oidc import dpop, request_object
from idp.oidc.client_auth import ClientAuthentication
from idp.openid4vp import response
from idp.portals import Registration
from tests.fuzzing import raw, target
from tests.fuzzing.answers import Answers
from tests.fuzzing.corpus import seeds, values
from tests.fuzzing.documents import Documents
from tests.fuzzing.forms import Forms
from tests.fuzzing.running import Species, run
from tests.fuzzing.target import Target
from tests.fuzzing.tokens import Assertions, Proofs, RequestObjects
from tests.fuzzing.whole import ALL, Stage, stage, whole
from tests.rig import Rig, started

COUNT = 1500


@pytest.fixture(scope="module")
def at(nginx_program: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("fuzzed"), on_servers=False) as running:
        yield running


def test_no_mutant_passes_and_nothing_breaks(at: Stage) -> None:
    # Those of credentials have a run of their own (tests/credentials/mutants).
    found = whole(at, COUNT, seed=20261129, only=[name for name in ALL if name != "credentials"])
    assert found.failures == []
    assert found.count >= COUNT - 10
    assert sum(tally.passed for tally in found.tallies) < COUNT / 10
    for tally in found.tallies:
        assert len(tally.rules) > 10


# A form in chunks that break their own rules, and such as end too soon: the client's fault, by every door.
CHUNKS = [
    "g\r\n",
    "5\r\na=b&cXX0\r\n\r\n",
    "-1\r\n\r\n",
    "5;\x00\r\na=b&c\r\n0\r\n\r\n",
    "5\r\na=",
    "ffffffffffffffffff\r\n",
]


@pytest.mark.parametrize("path", ["/token", "/par", "/register", "/wallet/response/x", "/device", "/logout"])
def test_a_body_that_is_not_well_formed_is_a_bad_request(at: Stage, path: str) -> None:
    past_the_proxy = at.doors[0]
    for chunks in CHUNKS:
        kind = "application/json" if path == "/register" else "application/x-www-form-urlencoded"
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        heard = past_the_proxy.send((head + chunks).encode())
        assert heard == b"" or b" 50" not in heard[:14], (chunks, heard[:40])


def test_a_process_that_serves_leaves_no_core_dump(at: Stage) -> None:
    for pid in (at.served.deployment.pid, *at.served.workers()):
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)


def test_the_corpus_can_be_read_and_says_what_acceptance_is() -> None:
    for kind in ("forms", "documents"):
        found = seeds(kind)
        assert len(found) > 30
        assert {seed.accepted.partition(" ")[0] for seed in found} <= {
            "200",
            "201",
            "303",
            "400",
            "2xx",
            "never",
        }
    assert len(values()) > 60
    assert "\x00" in values() and "\r\nX-Evil: 1" in values()


# -- with a hole ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house"), {"registration.per_minute_per_ip": 100_000}) as running:
        yield running


@pytest.fixture(scope="module")
def here(rig: Rig) -> Iterator[Target]:
    """The rig as a target: in this process, where checks can be taken out."""
    keys = target.Keys()
    with rig.app.app_context():
        portal_admin.apply({"portal": keys.portals()}, now=rig.clock())
    with target.elsewhere() as away:
        found = target.target(rig.house.settings, rig.prepared, keys, away, int(time.time()))
        yield found
        found.line.close()


@dataclass(frozen=True)
class Hole:
    """What a check is replaced with, and the mutants that must then get through."""

    species: Callable[[Target], Species]
    rule: str
    where: Any
    name: str
    instead: Any


def always(value: Any) -> Callable[..., Any]:
    return lambda *_arguments, **_named: value


def payload_unchecked(text: str, keys: Sequence[Any], *, alg: str) -> bytes:
    return dpop.seal.unb64(text.split(".")[1])


HOLES = [
    Hole(Assertions, "aud", ClientAuthentication, "_check_audience", always(None)),
    Hole(Assertions, "signature", "idp.oidc.client_auth", "signed_payload", payload_unchecked),
    Hole(RequestObjects, "signature", request_object, "signed_payload", payload_unchecked),
    Hole(RequestObjects, "exp", request_object.RequestObjects, "_check_times", always(None)),
    Hole(RequestObjects, "redirect_uri", Registration, "has_redirect_uri", always(True)),
    Hole(Proofs, "signature", dpop, "signed_payload", payload_unchecked),
    Hole(Proofs, "htm", dpop.Proofs, "_check_request", always(None)),
    Hole(Proofs, "iat", dpop.Proofs, "_check_times", always(None)),
    Hole(Answers, "state of another login", response, "_of_this_login", lambda payload, _ask: payload),
    Hole(Answers, "KB-03 wrong", sd_jwt, "_check_key_binding", always(None)),
    Hole(Forms, "login_cancel", "idp.views.holder", "forms_match", always(True)),
    Hole(Documents, "admin_keys", Administrator, "may", always(True)),
]


@pytest.mark.parametrize("hole", HOLES, ids=lambda hole: f"{hole.species.__name__} {hole.rule}")
def test_a_provider_with_a_hole_is_found_out(
    here: Target, monkeypatch: pytest.MonkeyPatch, hole: Hole
) -> None:
    def failures() -> set[str]:
        tally = run(lambda: hole.species(here), here.line, 40, seed=1, threads=1, rule=hole.rule)
        return {what for _, what, _ in tally.failures}

    assert failures() == set()
    if isinstance(hole.where, str):
        monkeypatch.setattr(f"{hole.where}.{hole.name}", hole.instead)
    else:
        monkeypatch.setattr(hole.where, hole.name, hole.instead)
    assert "accepted" in {what.partition(" (")[0] for what in failures()}


def test_a_server_that_takes_a_body_for_a_request_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    door = raw.Door("lenient", 0, "localhost")
    answered = b"HTTP/1.1 400 Bad Request\r\n\r\nHTTP/1.1 303 SEE OTHER\r\nLocation: /login/x\r\n\r\n"
    monkeypatch.setattr(
        raw.Door, "send", lambda _self, data, **_: answered if b"GET /authorize" in data[40:] else b""
    )
    tally = raw.run(door, 200, seed=1)
    assert {what for _, what, _ in tally.failures} == {"the hidden request was answered"}
