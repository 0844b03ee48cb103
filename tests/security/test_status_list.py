"""SL: whether a credential still holds, by lists that somebody else serves."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.altering import link_of
from tests.credentials.issuing import ABSENT, LEAF_EXTENSIONS, b64u, certificate, p256, packed, x5c
from tests.pace import pace
from tests.presenting import Answer
from tests.security.judging import Case, Court
from tests.security.mission import (
    DAY_S,
    JWT,
    SD_JWT,
    Asked,
    Authority,
    Make,
    Mission,
    answered,
    shown,
    with_mission,
)
from tests.security.presented import REJECTED, NotAccepted, refused

ENTRIES = packed([0, 1, 2, 3], 2)
UNKNOWN = "status_unknown"


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    """Its house trusts a mission of the test's own, whose lists are on a host of the test's own."""
    with with_mission(tmp_path_factory.mktemp("court")) as sitting:
        yield sitting


def at(idx: Any, *, path: str = "/lists/1", uri: Any = "") -> Make:
    """A credential at an index of a list; `uri` in place of the list's own."""

    def make(mission: Mission, asked: Asked) -> str:
        where = uri if uri != "" else mission.host.origin + path
        reference = {name: value for name, value in (("idx", idx), ("uri", where)) if value is not ABSENT}
        return mission.bound(mission.sd_jwt(payload={"status": {"status_list": reference}}), asked)

    return make


def listed(name: str, **changes: Any) -> Make:
    """A credential whose list is a token with something wrong, at an address of its own."""
    path = "/lists/" + "".join(letter if letter.isalnum() else "-" for letter in name)

    def make(mission: Mission, asked: Asked) -> str:
        arguments = {key: value(mission) if callable(value) else value for key, value in changes.items()}
        mission.says(path=path, jwt=arguments)
        return at(0, path=path)(mission, asked)

    return make


def served(name: str, change: Any) -> Make:
    """A credential whose list is not even a token."""
    path = "/lists/" + "".join(letter if letter.isalnum() else "-" for letter in name)

    def make(mission: Mission, asked: Asked) -> str:
        mission.says(path=path)
        mission.host.served[path, JWT] = change(mission.host.served[path, JWT])
        return at(0, path=path)(mission, asked)

    return make


def zlib_of(data: bytes) -> str:
    return b64u(zlib.compress(data, 9))


def bomb(n_bytes: int) -> str:
    stream = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b64u(b"".join(stream.compress(block) for _ in range(n_bytes >> 20)) + stream.flush())


def raw_deflate(data: bytes) -> str:
    stream = zlib.compressobj(wbits=-15)
    return b64u(stream.compress(data) + stream.flush())


def unsigned(token: bytes) -> bytes:
    _, payload, _ = token.split(b".")
    return b64u(b'{"alg":"none","typ":"statuslist+jwt"}').encode() + b"." + payload + b"."


def by_hmac(token: bytes) -> bytes:
    _, payload, signature = token.split(b".")
    return b64u(b'{"alg":"HS256","typ":"statuslist+jwt"}').encode() + b"." + payload + b"." + signature


_ALONE = p256()


def self_signed(mission: Mission) -> Mapping[str, Any]:
    times = {"not_before": mission.now - DAY_S, "not_after": mission.now + DAY_S}
    return {"x5c": x5c(certificate("alone", _ALONE, "alone", _ALONE, LEAF_EXTENSIONS, **times))}


_STRANGER: ec.EllipticCurvePrivateKey = p256()


def of_another_authority(mission: Mission) -> Mapping[str, Any]:
    return {"x5c": x5c(Authority(now=mission.now).leaf(_STRANGER))}


INTERNAL = {
    "loopback": "http://127.0.0.1:9/lists/1",
    "this house": "http://localhost:1/lists/1",
    "metadata": "http://169.254.169.254/latest/meta-data",
    "private": "https://10.0.0.1/lists/1",
    "IPv6": "https://[::1]/lists/1",
    "user info": "https://status.example@127.0.0.2/lists/1",
}


def unavailable(row: str, name: str, make: Make, **more: Any) -> Case:
    """We could not ask: neither revoked nor fine, and a wallet may come again."""
    case = shown(row, name, make, UNKNOWN, under=SD_JWT, fetches=True, worst=504, within_s=3.0)
    return replace(case, answer=NotAccepted(503, "temporarily_unavailable"), **more)


def no_index(name: str, idx: Any) -> Case:
    return shown("SL-04", name, at(idx), "status_invalid", under=SD_JWT)


def no_list(name: str, uri: Any) -> Case:
    return shown("SL-12", name, at(0, uri=uri), "status_invalid", under=SD_JWT)


CASES = [
    shown("SL-01", "revoked", at(1), "status_revoked", under=SD_JWT, fetches=True),
    shown("SL-02", "suspended", at(2), "status_suspended", under=SD_JWT, fetches=True),
    shown("SL-03", "of an application", at(3), "status_invalid", under=SD_JWT, fetches=True),
    *(
        shown(
            "SL-03", f"value {value}", listed(f"value {value}", lst=zlib_of(bytes([value])), bits=8),
            "status_invalid", under=SD_JWT, fetches=True,
        )
        for value in (3, 0x0C, 0x0F, 200)
    ),
    shown("SL-04", "size", at(4), "status_invalid", under=SD_JWT, fetches=True),
    shown("SL-04", "size and one", at(5), "status_invalid", under=SD_JWT, fetches=True),
    shown("SL-04", "2^63", at(2**63), "status_invalid", under=SD_JWT, fetches=True),
    *(no_index(name, idx) for name, idx in {
        "negative": -1, "fraction": 1.5, "text": "7", "true": True, "missing": ABSENT, "null": None, "list": [0],
        "whole fraction": 0.0, "huge": 1e300,
    }.items()),
    *(
        unavailable("SL-06", name, listed(name, **changes))
        for name, changes in {
            "typ": {"header": {"typ": "JWT"}},
            "typ of a CWT": {"header": {"typ": "statuslist+cwt"}},
            "no typ": {"header": {"typ": ABSENT}},
            "sub of another": {"payload": {"sub": "https://status.example/lists/2"}},
            "no sub": {"payload": {"sub": ABSENT}},
            "no iat": {"payload": {"iat": ABSENT}},
            "iat in a year": {"payload": {"iat": 9_999_999_999}},
            "exp past": {"payload": {"exp": 1_700_000_000}},
            "exp text": {"payload": {"exp": "soon"}},
            "no chain": {"header": {"x5c": ABSENT}},
            "self-signed": {"header": self_signed, "key": _ALONE},
            "of another authority": {"header": of_another_authority, "key": _STRANGER},
            "other key": {"key": p256()},
            "bits": {"bits": 3, "lst": zlib_of(ENTRIES)},
        }.items()
    ),
    unavailable("SL-06", "alg none", served("alg none", unsigned)),
    unavailable("SL-06", "HS256", served("HS256", by_hmac)),
    *(
        unavailable("SL-08", name, listed(name, lst=lst))
        for name, lst in {
            "bomb of 20 MB": bomb(20 << 20),
            "bomb of 64 MB": bomb(64 << 20),
            "cut off": b64u(zlib.compress(ENTRIES)[:-1]),
            "no checksum": b64u(zlib.compress(ENTRIES)[:-4]),
            "raw deflate": raw_deflate(ENTRIES),
            "gzip": b64u(gzip.compress(ENTRIES, mtime=0)),
            "something after": b64u(zlib.compress(ENTRIES) + b"x"),
            "two streams": b64u(zlib.compress(ENTRIES) * 2),
            "not compressed": b64u(ENTRIES),
            "padded": zlib_of(ENTRIES) + "=",
            "number": 1,
        }.items()
    ),
    *(unavailable("SL-12", name, at(0, uri=uri)) for name, uri in INTERNAL.items()),
    *(no_list(name, uri) for name, uri in {
        "file": "file:///etc/passwd", "ftp": "ftp://status.example/1", "no scheme": "//127.0.0.1/1",
        "long": "https://a.example/" + "x" * 3000, "number": 7, "missing": ABSENT, "script": "javascript:alert(1)",
    }.items()),
    refused("SL-14", "missing", lambda answer: answer.issuer_payload.update(status=None), "status_missing"),
    refused("SL-14", "text", lambda answer: answer.issuer_payload.update(status="valid"), "status_invalid"),
    refused("SL-14", "other kind", lambda answer: answer.issuer_payload.update(status={"crl": {}}), "status_invalid"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)


def test_what_the_rows_change_one_thing_of_is_accepted(court: Court) -> None:
    assert fetched(court, at(0)).status_code == 200


def fetched(court: Court, make: Make) -> httpx2.Response:
    portal = court.rig.portal("gov24")
    return answered(court, portal.link(portal.page(portal.begin(prompt="login"))), make, SD_JWT)


# -- a host that fails -------------------------------------------------------------------------------------------

FAILURES: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "404": {"status": 404},
    "redirect": {"status": 302, "headers": {"Location": "/lists/1"}},
    "permanent redirect": {"status": 308, "headers": {"Location": "/lists/1"}},
    "HTML": {"headers": {"Content-Type": "text/html"}},
    "no type": {"headers": {"Content-Type": ""}},
    "type of the other": {"headers": {"Content-Type": "application/statuslist+cwt"}},
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_host_that_fails_costs_a_503_and_nobody_else_anything(court: Court, kind: str) -> None:
    """SL-07, SL-17: a redirect is not followed, another type of content not read."""
    mission: Mission = court.mission
    path = f"/lists/failing-{kind.replace(' ', '-')}"
    mission.says(path=path)
    for name, value in FAILURES[kind].items():
        setattr(mission.host, name, value)
    try:
        before = len(mission.host.asked)
        began = time.perf_counter()
        response = fetched(court, at(0, path=path))
        assert time.perf_counter() - began < 2 + 3 * pace()  # what a fetch may take, and this machine
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        assert response.headers["Retry-After"]
        assert {asked for asked, _ in mission.host.asked[before:]} == {path}
        assert Answer(court.rig, link_of(court.portal())).send().status_code == 200
    finally:
        mission.host.status, mission.host.headers = 200, {}


def test_a_dead_host_is_asked_once_and_not_by_every_sign_in(court: Court) -> None:
    """SL-07: the circuit is open for some seconds, and closes by itself."""
    mission: Mission = court.mission
    path = "/lists/dead"
    before = len(mission.host.asked)
    assert {fetched(court, at(0, path=path)).status_code for _ in range(5)} == {503}
    assert len(mission.host.asked) == before + 1
    mission.says(path=path)
    with court.later(6):
        assert fetched(court, at(0, path=path)).status_code == 200


@pytest.mark.parametrize("ttl", [0, -1, 10**12, "300", None, 1e300, True])
def test_what_a_list_says_of_its_own_life_is_kept_within_bounds(court: Court, ttl: Any) -> None:
    """SL-09: asked for again at once it is not, and kept for ever neither."""
    mission: Mission = court.mission
    path = f"/lists/ttl-{str(ttl).replace('-', 'minus').replace('+', '')}"
    mission.says(path=path, jwt={"payload": {"ttl": ttl, "exp": mission.now + 50 * 365 * DAY_S}})
    before = len(mission.host.asked)
    assert [fetched(court, at(0, path=path)).status_code for _ in range(3)] == [200] * 3
    assert len(mission.host.asked) == before + 1
    mission.says(1, 1, 1, 1, path=path)
    with court.later(DAY_S):
        mission.says(1, 1, 1, 1, path=path)
        last = court.rig.last_event()
        make = at(0, path=path)
        assert fetched(court, make).status_code == 400
        told = [(event.name, event.reason) for event in court.rig.events(after=last)]
        assert (REJECTED, "status_revoked") in told
    court.honest_begins()  # whose sign-in has not outlived that day


def test_a_host_learns_neither_who_nor_which_entry(court: Court) -> None:
    """SL-17, PV-09: one address for the whole list, no cookie, nothing of the holder."""
    mission: Mission = court.mission
    mission.says(path="/lists/private")
    before = len(mission.host.asked)
    mission.host.headers = {"Set-Cookie": "tracked=1", "Vary": "*"}
    try:
        for _ in range(3):
            assert fetched(court, at(0, path="/lists/private")).status_code == 200
    finally:
        mission.host.headers = {}
    assert mission.host.asked[before:] == [("/lists/private", JWT)]
    with court.later(60):
        fetched(court, at(0, path="/lists/private"))
    said = mission.host.said[before:]
    assert len(said) == 2
    assert not [
        name for headers in said for name in headers if name in {"cookie", "authorization", "referer"}
    ]
