"""Status lists: what a token must be, what is cached for how long, and what happens when nobody answers."""

import gzip
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idp.credentials import CredentialRejected, Reason, StatusEvidence, StatusLists, StatusUnavailable
from idp.credentials.status import MAX_LIST_BYTES, TokenType, decode_list, parse_token
from tests.credentials.issuing import (
    ABSENT,
    LEAF_EXTENSIONS,
    NOW,
    STATUS_URI,
    Authority,
    StatusHost,
    World,
    b64u,
    certificate,
    p256,
    packed,
    status_token,
    x5c,
)

DAY = 86_400


def look(world: World, idx: int = 0, *, now: int = NOW, fail_closed: bool = True) -> StatusEvidence:
    return world.status.lookup(STATUS_URI, idx, world.mission, now, fail_closed=fail_closed)


def refuse(world: World, idx: int = 0, *, now: int = NOW, fail_closed: bool = True) -> CredentialRejected:
    with pytest.raises(CredentialRejected) as refusal:
        look(world, idx, now=now, fail_closed=fail_closed)
    return refusal.value


def serve(world: World, *arguments: Any, **changes: Any) -> None:
    world.host.served[STATUS_URI] = status_token(world.authority, *arguments, **changes)


# Values


def test_zero_is_valid_one_is_revoked_two_is_suspended(world: World) -> None:
    assert look(world, 0).organisation is world.mission
    assert refuse(world, 1).reason is Reason.STATUS_REVOKED
    assert refuse(world, 2).reason is Reason.STATUS_SUSPENDED
    assert refuse(world, 3).reason is Reason.STATUS_INVALID


@pytest.mark.parametrize(("bits", "value"), [(4, 3), (4, 0x0C), (4, 0x0F), (8, 200)])
def test_a_value_we_do_not_know_is_not_valid(world: World, bits: int, value: int) -> None:
    serve(world, [0, value], bits)
    assert look(world, 0)
    assert refuse(world, 1).reason is Reason.STATUS_INVALID


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@given(data=st.data())
@settings(max_examples=50)
def test_any_list_reads_as_it_was_packed(bits: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, (1 << bits) - 1), max_size=40))
    lst = b64u(zlib.compress(packed(values, bits)))
    width, entries = decode_list({"bits": bits, "lst": lst})
    assert (width, entries) == (bits, packed(values, bits))


@pytest.mark.parametrize("idx", [-1, 4, 5, 2**63, 2**200])
def test_an_index_outside_the_list_is_refused(world: World, idx: int) -> None:
    assert refuse(world, idx).reason is Reason.STATUS_INVALID


def test_an_empty_list_holds_no_index(world: World) -> None:
    serve(world, [])
    assert refuse(world, 0).reason is Reason.STATUS_INVALID


# Tokens


def refused_token(world: World, token: bytes) -> str:
    """Why this token is refused; it is unknown, then, whether the credential holds."""
    with pytest.raises(CredentialRejected) as refusal:
        parse_token(token, uri=STATUS_URI, mission=world.mission, now=NOW)
    assert refusal.value.reason is Reason.STATUS_TOKEN
    world.host.served[STATUS_URI] = token
    unknown = refuse(world)
    assert unknown.reason is Reason.STATUS_UNKNOWN
    assert isinstance(unknown.__cause__, CredentialRejected)
    return refusal.value.detail


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        *(
            ({"header": {"typ": bad}}, "typ")
            for bad in (ABSENT, "JWT", "statuslist+cwt", "application/statuslist+jwt")
        ),
        *(({"payload": {"sub": bad}}, "sub") for bad in (ABSENT, STATUS_URI + "/", [STATUS_URI])),
        *(({"payload": {"iat": bad}}, "iat") for bad in (ABSENT, NOW + 61, "1", True)),
        *(({"payload": {"exp": bad}}, "exp") for bad in (NOW, NOW - 1, 0, "1")),
        *(
            ({"payload": {"status_list": bad}}, "status_list")
            for bad in (ABSENT, [], {}, {"bits": 1}, {"lst": "x"})
        ),
        ({"payload": {"status_list": {"bits": True, "lst": "eNrbuRgAAhcBXQ"}}}, "status_list"),
        ({"payload": {"status_list": {"bits": [1], "lst": "eNrbuRgAAhcBXQ"}}}, "status_list"),
        *(({"bits": bad, "values": ()}, "status_list") for bad in (0, 3, 16, -1)),
        ({"header": {"x5c": ABSENT}}, "x5c"),
        ({"header": {"crit": ["exp"]}}, "critical_header"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_token_that_is_not_one_is_refused(world: World, changes: dict[str, Any], detail: str) -> None:
    if "crit" in changes.get("header", {}):  # joserfc does not sign these
        good = status_token(world.authority).split(b".")
        header = b64u(b'{"alg":"ES256","typ":"statuslist+jwt","crit":["exp"]}').encode()
        token = b".".join([header, *good[1:]])
    else:
        token = status_token(world.authority, **changes)
    assert detail in refused_token(world, token)


def test_a_token_signed_with_another_key_is_refused(world: World) -> None:
    assert "signature" in refused_token(world, status_token(world.authority, key=p256()))


@pytest.mark.parametrize(
    "header", [b'{"alg":"none","typ":"statuslist+jwt"}', b'{"alg":"HS256","typ":"statuslist+jwt"}']
)
def test_a_token_without_a_signature_of_ours_is_refused(world: World, header: bytes) -> None:
    parts = status_token(world.authority).split(b".")
    assert "algorithm" in refused_token(world, b".".join([b64u(header).encode(), parts[1], b""]))


def test_a_token_under_another_authority_is_refused(world: World) -> None:
    assert "issuer_untrusted" in refused_token(world, status_token(Authority()))


def test_a_token_signed_by_a_self_signed_certificate_is_refused(world: World) -> None:
    key = p256()
    alone = certificate("alone", key, "alone", key, LEAF_EXTENSIONS)
    token = status_token(world.authority, header={"x5c": x5c(alone)}, key=key)
    assert "issuer_certificate" in refused_token(world, token)


@pytest.mark.parametrize("token", [b"", b"x", b"<html></html>", b"a.b.c", b"\xff", b"{}", b"A" * 9_000_000])
def test_what_is_no_token_is_refused(world: World, token: bytes) -> None:
    assert refused_token(world, token)


ENTRIES = packed([0, 1, 2, 3], 2)


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    "lst",
    [
        b64u(zlib.compress(ENTRIES)[:-1]),
        b64u(zlib.compress(ENTRIES)[:-4]),
        b64u(zlib.compress(ENTRIES) + b"x"),
        b64u(zlib.compress(ENTRIES) + zlib.compress(ENTRIES)),
        b64u(raw_deflate(ENTRIES)),
        b64u(gzip.compress(ENTRIES, mtime=0)),
        b64u(ENTRIES),
        b64u(zlib.compress(ENTRIES)[:-1] + b"\0"),
        b64u(zlib.compress(ENTRIES)) + "=",
        "",
        "é",
        1,
    ],
    ids=lambda lst: str(lst)[:24],
)
def test_a_list_that_is_not_one_whole_zlib_stream_is_refused(world: World, lst: Any) -> None:
    assert "status_token" in refused_token(world, status_token(world.authority, lst=lst))


def test_a_list_that_grows_too_large_is_cut_and_refused(world: World) -> None:
    stream = zlib.compressobj(9)
    bomb = b"".join(stream.compress(bytes(1 << 20)) for _ in range(200)) + stream.flush()
    assert "too large" in refused_token(world, status_token(world.authority, lst=b64u(bomb)))


def test_the_largest_list_is_accepted() -> None:
    lst = b64u(zlib.compress(bytes(MAX_LIST_BYTES)))
    assert len(decode_list({"bits": 8, "lst": lst})[1]) == MAX_LIST_BYTES
    with pytest.raises(CredentialRejected, match="too large"):
        decode_list({"bits": 8, "lst": b64u(zlib.compress(bytes(MAX_LIST_BYTES + 1)))})


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(token: bytes) -> None:
    with pytest.raises(CredentialRejected) as refusal:
        parse_token(token, uri=STATUS_URI, mission=WORLD.mission, now=NOW)
    assert refusal.value.reason is Reason.STATUS_TOKEN


WORLD = World()


# How long a list is kept


def test_a_list_is_fetched_once_within_its_ttl(world: World) -> None:
    assert look(world).fresh
    assert look(world, now=NOW + 299).checked_at == NOW
    assert world.host.asked == [STATUS_URI]
    assert look(world, now=NOW + 300).checked_at == NOW + 300
    assert len(world.host.asked) == 2


@pytest.mark.parametrize(
    ("ttl", "kept_s"),
    [
        (0, 10),
        (-1, 10),
        ("300", 10),
        (True, 10),
        (None, 10),
        (1, 10),
        (11, 11),
        (60.5, 60),
        (10**12, DAY),
        (ABSENT, 3600),
    ],
)
def test_a_ttl_is_kept_within_bounds(world: World, ttl: Any, kept_s: int) -> None:
    serve(world, payload={"ttl": ttl, "exp": NOW + 50 * 365 * DAY})
    look(world)
    assert look(world, now=NOW + kept_s - 1)
    assert len(world.host.asked) == 1
    look_again_at = NOW + kept_s
    if look_again_at < NOW + 30 * DAY:
        assert look(world, now=look_again_at).checked_at == look_again_at
    assert len(world.host.asked) == 2


def test_a_list_is_never_used_past_its_exp_whatever_its_ttl(world: World) -> None:
    serve(world, payload={"ttl": DAY, "exp": NOW + 100})
    assert look(world, now=NOW + 99)
    assert refuse(world, now=NOW + 100, fail_closed=False).reason is Reason.STATUS_UNKNOWN


def test_a_list_is_never_used_past_its_signers_certificate(world: World) -> None:
    short = world.authority.leaf(world.authority.status_key, not_after=NOW + 50)
    serve(world, payload={"ttl": DAY}, header={"x5c": x5c(short)})
    assert look(world, now=NOW + 49)
    assert refuse(world, now=NOW + 50, fail_closed=False).reason is Reason.STATUS_UNKNOWN


def test_a_revocation_is_seen_when_the_ttl_is_over(world: World) -> None:
    assert look(world)
    serve(world, [1])
    assert look(world, now=NOW + 299)
    assert refuse(world, now=NOW + 300).reason is Reason.STATUS_REVOKED


# When nobody answers (decision D8)


def test_a_list_nobody_can_fetch_is_unknown_and_says_why(world: World) -> None:
    world.host.served.clear()
    for fail_closed in (True, False):
        unknown = refuse(world, fail_closed=fail_closed)
        assert unknown.reason is Reason.STATUS_UNKNOWN
        assert isinstance(unknown.__cause__, StatusUnavailable)


def test_a_stale_list_is_used_only_where_that_is_allowed(world: World) -> None:
    serve(world, payload={"exp": NOW + 10 * DAY})
    look(world)
    world.host.served.clear()
    later = NOW + 1000
    assert refuse(world, now=later).reason is Reason.STATUS_UNKNOWN
    stale = look(world, now=later, fail_closed=False)
    assert (stale.checked_at, stale.fresh) == (NOW, False)
    assert refuse(world, 1, now=later, fail_closed=False).reason is Reason.STATUS_REVOKED


def test_a_stale_list_is_used_for_a_day_at_most(world: World) -> None:
    serve(world, payload={"exp": NOW + 10 * DAY})
    look(world)
    world.host.served.clear()
    assert look(world, now=NOW + DAY - 1, fail_closed=False)
    assert refuse(world, now=NOW + DAY, fail_closed=False).reason is Reason.STATUS_UNKNOWN


def test_a_stale_list_is_used_until_its_exp_at_most(world: World) -> None:
    serve(world, payload={"exp": NOW + 2000})
    look(world)
    world.host.served.clear()
    assert look(world, now=NOW + 1999, fail_closed=False)
    assert refuse(world, now=NOW + 2000, fail_closed=False).reason is Reason.STATUS_UNKNOWN


def test_a_bad_token_does_not_displace_a_good_list(world: World) -> None:
    serve(world, payload={"exp": NOW + 10 * DAY})
    look(world)
    world.host.served[STATUS_URI] = status_token(Authority())
    assert look(world, now=NOW + 400, fail_closed=False).checked_at == NOW
    assert refuse(world, now=NOW + 500).reason is Reason.STATUS_UNKNOWN


def test_a_dead_host_is_not_asked_by_every_sign_in(world: World) -> None:
    world.host.served.clear()
    for now in (NOW, NOW + 1, NOW + 4):
        refuse(world, now=now)
    assert len(world.host.asked) == 1
    serve(world)
    assert refuse(world, now=NOW + 4).reason is Reason.STATUS_UNKNOWN
    assert look(world, now=NOW + 5)
    assert len(world.host.asked) == 2


def test_a_failure_of_a_kind_that_was_not_announced_is_not_hidden(world: World) -> None:
    def broken(_uri: str, _token_type: TokenType) -> bytes:
        raise ZeroDivisionError

    world.status = StatusLists(broken)
    for _ in range(2):  # and it leaves no lock behind
        with pytest.raises(ZeroDivisionError):
            look(world)


def test_the_fetchers_own_exceptions_can_be_announced(world: World) -> None:
    def failing(_uri: str, _token_type: TokenType) -> bytes:
        raise TimeoutError

    world.status = StatusLists(failing, fetch_errors=(OSError,))
    assert isinstance(refuse(world).__cause__, TimeoutError)


# Whose list it is


def test_a_list_is_held_for_one_mission_only(world: World) -> None:
    other = Authority("HAN")
    look(world)
    with pytest.raises(CredentialRejected) as refusal:
        world.status.lookup(STATUS_URI, 0, other.mission(), NOW, fail_closed=False)
    assert refusal.value.reason is Reason.STATUS_UNKNOWN
    assert look(world)


def test_a_list_whose_signer_is_no_longer_trusted_is_not_found_again(world: World) -> None:
    look(world)
    moved = world.authority.mission(status_anchors=(Authority("STATUS").ca,))
    with pytest.raises(CredentialRejected) as refusal:
        world.status.lookup(STATUS_URI, 0, moved, NOW, fail_closed=False)
    assert refusal.value.reason is Reason.STATUS_UNKNOWN


def test_only_so_many_lists_are_kept(world: World) -> None:
    uris = [f"https://status.example/lists/{n}" for n in range(6)]
    for uri in uris:
        world.host.served[uri] = status_token(world.authority, payload={"sub": uri})
    world.status = StatusLists(world.host.fetch, max_lists=4)
    for uri in [*uris, uris[5], uris[0]]:
        world.status.lookup(uri, 0, world.mission, NOW, fail_closed=True)
    assert world.host.asked == [*uris, uris[0]]


def test_only_so_many_bytes_are_kept(world: World) -> None:
    uris = [f"https://status.example/lists/{n}" for n in range(3)]
    for uri in uris:
        world.host.served[uri] = status_token(world.authority, [0] * 1000, 8, payload={"sub": uri})
    world.status = StatusLists(world.host.fetch, max_total_bytes=2000)
    for uri in [*uris, uris[2], uris[1], uris[0]]:
        world.status.lookup(uri, 0, world.mission, NOW, fail_closed=True)
    assert world.host.asked == [*uris, uris[0]]


# Many at once


class SlowHost(StatusHost):
    """Answers nobody until `answer` is set; `reached` is set when somebody asks."""

    def __init__(self, served: dict[str, bytes]) -> None:
        super().__init__(served)
        self.reached = threading.Event()
        self.answer = threading.Event()

    def fetch(self, uri: str, token_type: TokenType = TokenType.JWT) -> bytes:
        self.reached.set()
        assert self.answer.wait(10)
        return super().fetch(uri, token_type)


@pytest.fixture
def slow(world: World) -> SlowHost:
    host = SlowHost(world.host.served)
    world.host = host
    world.status = StatusLists(host.fetch)
    return host


def at_once(world: World, n: int, outcome: Callable[[World], Any], slow: SlowHost) -> list[Any]:
    """What `n` threads get that all ask before the host answers."""
    gate = threading.Barrier(n + 1)

    def ask() -> Any:
        gate.wait(10)
        return outcome(world)

    with ThreadPoolExecutor(n) as pool:
        futures = [pool.submit(ask) for _ in range(n)]
        gate.wait(10)
        assert slow.reached.wait(10)
        slow.answer.set()
        return [future.result(10) for future in futures]


def test_many_sign_ins_at_once_fetch_a_list_once(world: World, slow: SlowHost) -> None:
    evidence = at_once(world, 32, look, slow)
    assert {one.checked_at for one in evidence} == {NOW}
    assert slow.asked == [STATUS_URI]


def test_many_sign_ins_at_once_ask_a_dead_host_once(world: World, slow: SlowHost) -> None:
    slow.served.clear()
    refusals = at_once(world, 32, refuse, slow)
    assert {one.reason for one in refusals} == {Reason.STATUS_UNKNOWN}
    assert slow.asked == [STATUS_URI]


def test_who_may_use_a_stale_list_does_not_wait_for_a_fresh_one(world: World, slow: SlowHost) -> None:
    slow.answer.set()
    look(world)
    slow.answer.clear()
    slow.reached.clear()
    later = NOW + 1000
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(look, world, now=later)
        assert slow.reached.wait(10)
        assert look(world, now=later, fail_closed=False).checked_at == NOW
        slow.answer.set()
        assert asking.result(10).checked_at == later
    assert len(slow.asked) == 2


def test_a_slow_host_holds_up_nobody_elses_list(world: World, slow: SlowHost) -> None:
    other = "https://other.example/lists/1"
    quick = status_token(world.authority, payload={"sub": other})

    def fetch(uri: str, token_type: TokenType) -> bytes:
        return quick if uri == other else slow.fetch(uri, token_type)

    world.status = StatusLists(fetch)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(look, world)
        assert slow.reached.wait(10)
        assert world.status.lookup(other, 0, world.mission, NOW, fail_closed=True).fresh
        slow.answer.set()
        assert asking.result(10).fresh
