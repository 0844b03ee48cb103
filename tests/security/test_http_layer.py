"""HT: bytes that are no request, or two of them: through the documented proxy, and at a node itself."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.security.wire import DOORS, FRONT, NODE, Served, received, serving, statuses
from tests.waiting import eventually

REFUSED = frozenset({400, 403, 404, 405, 408, 411, 413, 414, 415, 417, 421, 431, 501, 505})
"""501 and 505 are no failures: a coding, a method or a version that nobody speaks (RFC 9110, section 15.6)."""
CANARY = "GET /authorize?client_id=smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
GROWN_BYTES = 32 * 1024 * 1024


@pytest.fixture(scope="module")
def served(nginx_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Its worker is the same process at the end, and somebody who means well still signs in."""
    with serving(tmp_path_factory.mktemp("wire"), nginx_program) as running:
        running.honest(1)
        workers = running.workers()
        yield running
        assert running.workers() == workers
        running.honest(2)
        assert "Traceback" not in running.log.read_text("utf-8")


def ask(
    path: str = "/jwks", *, method: str = "GET", headers: str = "", host: str | None = "localhost"
) -> str:
    named = "" if host is None else f"Host: {host}\r\n"
    return f"{method} {path} HTTP/1.1\r\n{named}{headers}\r\n"


def post(headers: str, body: str = "") -> str:
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    return ask("/token", method="POST", headers=form + headers) + body


def chunks(*lines: str) -> str:
    return post("Transfer-Encoding: chunked\r\n", "".join(lines))


@dataclass(frozen=True)
class Bytes:
    """What is sent. `row` and `name` say which.

    `unread`: it may also be left without an answer. `read_at`: the doors that read it, and read it in one way.
    """

    row: str
    name: str
    data: bytes
    unread: bool = False
    read_at: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.row}-{self.name.replace(' ', '_')}"


def smuggling(name: str, request: str, *read_at: str) -> Bytes:
    """A request behind which another hides: whoever reads the first in two ways lets the second in."""
    return Bytes("HT-02", name, (request + CANARY).encode("latin-1"), unread=True, read_at=frozenset(read_at))


def bad(row: str, name: str, request: str, *read_at: str, unread: bool = False) -> Bytes:
    return Bytes(row, name, request.encode("latin-1"), unread, frozenset(read_at))


ONE_CHUNK = "5\r\na=b&c\r\n0\r\n\r\n"
BOTH = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"

HIDDEN = [
    smuggling("length and chunks", post(BOTH, "0\r\n\r\n")),
    smuggling("chunks and length", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n")),
    smuggling("two lengths", post("Content-Length: 0\r\nContent-Length: 5\r\n")),
    smuggling("length list", post("Content-Length: 0, 0\r\n")),
    smuggling("length plus", post("Content-Length: +0\r\n")),
    smuggling("length hex", post("Content-Length: 0x0\r\n")),
    smuggling("length negative", post("Content-Length: -1\r\n")),
    smuggling("length fraction", post("Content-Length: 0.0\r\n")),
    smuggling("length underscore", post("Content-Length: 0_0\r\n")),
    smuggling("length other digits", post("Content-Length: \xb2\r\n")),
    smuggling("length of 30 digits", post("Content-Length: " + "9" * 30 + "\r\n")),
    smuggling("coding unknown", post("Transfer-Encoding: xchunked\r\n", ONE_CHUNK)),
    smuggling("coding twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ONE_CHUNK)),
    smuggling("coding identity", post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
    smuggling("coding chunked identity", post("Transfer-Encoding: chunked, identity\r\n", ONE_CHUNK)),
    smuggling("coding after gzip", post("Transfer-Encoding: gzip, chunked\r\n", ONE_CHUNK)),
    smuggling("coding in quotes", post('Transfer-Encoding: "chunked"\r\nContent-Length: 5\r\n', "0\r\n\r\n")),
    smuggling("space before the colon", post("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
    smuggling("tab before the colon", post("Transfer-Encoding\t: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
    smuggling("folded", post("X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
    smuggling("folded value", post("Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
    smuggling("vertical tab", post("Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
    smuggling("NUL in a name", post("Transfer\x00-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
    smuggling("underscore", post("Content_Length: 100\r\nContent-Length: 0\r\n"), FRONT, NODE),
    smuggling("bare CR", post("X: y\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
    smuggling("version 1.0 with chunks", "POST /token HTTP/1.0\r\nHost: localhost\r\n"
              "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    smuggling("size overflows", chunks("10000000000000000\r\n", "0\r\n\r\n")),
    smuggling("size negative", chunks("-5\r\n", "a=b&c\r\n0\r\n\r\n")),
    smuggling("size plus", chunks("+5\r\n", "a=b&c\r\n0\r\n\r\n")),
    smuggling("size 0x", chunks("0x5\r\n", "a=b&c\r\n0\r\n\r\n")),
    smuggling("size underscore", chunks("0_5\r\n", "a=b&c\r\n0\r\n\r\n")),
    smuggling("size space", chunks("5 \r\n", "a=b&c\r\n0\r\n\r\n"), FRONT),
    smuggling("size empty", chunks("\r\n", "0\r\n\r\n")),
    smuggling("size ended by LF", chunks("5\n", "a=b&c\r\n0\r\n\r\n"), FRONT),
    smuggling("size ended by CR", chunks("5\r", "a=b&c\r\n0\r\n\r\n")),
    smuggling("extension with LF", chunks("5;a\nb\r\n", "a=b&c\r\n0\r\n\r\n")),
    smuggling("extension with CR", chunks("5;a\rb\r\n", "a=b&c\r\n0\r\n\r\n")),
    smuggling("data longer", chunks("5\r\n", "a=b&cd\r\n0\r\n\r\n")),
    smuggling("data ended by LF", chunks("5\r\n", "a=b&c\n0\r\n\r\n"), FRONT),
    smuggling("data ended by nothing", chunks("5\r\n", "a=b&c0\r\n\r\n")),
    smuggling("trailer length", chunks("5\r\n", "a=b&c\r\n0\r\nContent-Length: 50\r\n\r\n"), FRONT),
]  # fmt: skip

REFUSALS = [
    bad("HT-02", "last CRLF missing", chunks("5\r\n", "a=b&c\r\n0\r\n"), unread=True),
    bad("HT-02", "chunk cut off", chunks("50\r\n", "a=b"), unread=True),
    bad("HT-03", "two hosts", ask(headers="Host: evil.example\r\n")),
    bad("HT-03", "no host", ask(host=None)),
    bad("HT-03", "user info", ask(host="localhost@evil.example")),
    bad("HT-03", "port junk", ask(host="localhost:80evil"), FRONT),
    bad("HT-03", "other", ask(host="evil.example"), NODE),
    bad("HT-03", "address", ask(host="127.0.0.1"), NODE),
    bad("HT-03", "absolute form of another", ask("http://evil.example/jwks")),
    bad("HT-03", "slash", ask(host="localhost/evil")),
    bad("HT-03", "space", ask(host="localhost evil.example")),
    bad("HT-05", "NUL", ask(headers="X: a\x00b\r\n")),
    bad("HT-05", "bare CR", ask(headers="X: a\rb: c\r\n")),
    bad("HT-05", "no colon", ask(headers="X\r\n"), FRONT),
    bad("HT-05", "empty name", ask(headers=": x\r\n")),
    bad("HT-05", "name of 8 bits", ask(headers="X\xe9: x\r\n"), FRONT),
    bad("HT-05", "line of 64 kB", ask(headers="X: " + "x" * 65_536 + "\r\n")),
    bad("HT-05", "1,000 headers", ask(headers="".join(f"X-{number}: {'x' * 80}\r\n" for number in range(1000)))),
    bad("HT-05", "request line of 64 kB", ask("/jwks?" + "x" * 65_536)),
    bad("HT-05", "version", "GET /jwks HTTP/3.7\r\nHost: localhost\r\n\r\n"),
    bad("HT-05", "no version", "GET /jwks\r\n\r\n", unread=True),
    bad("HT-05", "preface of another version", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    bad("HT-05", "lower-case method", ask(method="get")),
    bad("HT-05", "asterisk", ask("*", method="OPTIONS")),
    bad("HT-05", "authority form", ask("evil.example:443", method="CONNECT")),
    *(
        bad("HT-06", f"path {path}", ask(path))
        for path in (
            "//jwks", "/./jwks", "/jwks/", "/JWKS", "/jwks;x", "/a/%2e%2e/jwks", "/a/../jwks", "/jwks%00", "/%2fjwks",
            "/%5cjwks", "/\\jwks", "/jwks%20", "/jwks%3f", "/.well-known%2fopenid-configuration", "/%ff", "/jwks\xff",
            "/jwks#x",
        )
    ),
    *(bad("HT-20", method, ask(method=method)) for method in ("TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND")),
]  # fmt: skip


@pytest.mark.parametrize("case", HIDDEN, ids=str)
@pytest.mark.parametrize("door", DOORS)
def test_nothing_hides_behind_a_request(served: Served, door: str, case: Bytes) -> None:
    """HT-02. The canary would leave a row in the audit; behind a good request it does (see the next test).

    nginx reads some bodies that are not quite right, in one way, and writes them anew for the node: then the canary is
    a request of its own, as it is where it follows a good one.
    """
    before = served.audited()
    answer = served.sent(door, case.data)
    told = statuses(answer)
    assert set(told) <= REFUSED, answer[:300]
    assert len(told) <= (2 if door in case.read_at else 1), "two answers"
    assert served.audited() == before + (len(told) == 2), "what hid behind it was let in"


@pytest.mark.parametrize("door", DOORS)
def test_the_canary_is_heard_where_it_is_a_request(served: Served, door: str) -> None:
    before = served.audited()
    assert len(statuses(served.sent(door, (ask() + CANARY).encode()))) == 2
    assert served.audited() == before + 1


@pytest.mark.parametrize("case", REFUSALS, ids=str)
@pytest.mark.parametrize("door", DOORS)
def test_bytes_that_are_no_good_request_are_refused(served: Served, door: str, case: Bytes) -> None:
    """HT-02, HT-03, HT-05, HT-06, HT-20. A door that reads one in a single way may take no notice of what is odd."""
    before = served.audited()
    answer = served.sent(door, case.data)
    told = statuses(answer)
    assert set(told) <= (REFUSED | {200} if door in case.read_at else REFUSED), answer[:300]
    assert len(told) <= 1
    assert told or case.unread or door == FRONT, "no word"
    assert b"evil.example" not in answer
    assert served.audited() == before


# -- bodies ------------------------------------------------------------------------------------------------------

MEGABYTE = 1024 * 1024
MAX_FORM_BYTES = 65_536


def endless(served: Served, door: str, head: str, block: bytes, n_blocks: int) -> tuple[bytes, int]:
    """Sends until it is told to stop: what came back, and how many bytes had been taken by then."""
    with closing(served.connect(door)) as connection:
        taken = 0
        with suppress(OSError):  # no more of it is wanted
            connection.sendall(head.encode())
            for _ in range(n_blocks):
                connection.sendall(block)
                taken += len(block)
        return received(connection), taken


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("n_megabytes", [10, 100])
@pytest.mark.parametrize("path", ["/wallet/response/x", "/token"])
def test_a_body_over_the_limit_is_not_kept(served: Served, door: str, n_megabytes: int, path: str) -> None:
    """HT-08, WP-22, JE-08: with its length and in chunks; memory stays where it was.

    Nobody's question is refused before its answer is looked at.
    """
    told = {413} if path == "/token" else {400, 413}
    before = served.resident_bytes()
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    length = ask(path, method="POST", headers=f"{form}Content-Length: {n_megabytes * MEGABYTE}\r\n")
    answer, _ = endless(served, door, length, b"x" * MEGABYTE, n_megabytes)
    assert set(statuses(answer)) <= told, answer[:200]
    chunked = ask(path, method="POST", headers=form + "Transfer-Encoding: chunked\r\n")
    answer, _ = endless(served, door, chunked, b"100000\r\n" + b"x" * MEGABYTE + b"\r\n", n_megabytes)
    assert set(statuses(answer)) <= told, answer[:200]
    assert served.resident_bytes() - before < GROWN_BYTES


@pytest.mark.parametrize("door", DOORS)
def test_who_asks_before_sending_too_much_is_told_not_to(served: Served, door: str) -> None:
    """HT-08: `Expect: 100-continue` is answered with 413 (gunicorn says 100 before anybody has looked)."""
    head = post(f"Content-Length: {100 * MEGABYTE}\r\nExpect: 100-continue\r\n")
    told = statuses(served.sent(door, head.encode(), quiet_s=1.0))
    assert told[-1] == 413
    assert told[:-1] == ([100] if door == NODE else [])


@pytest.mark.parametrize("door", DOORS)
def test_a_form_in_chunks_is_read_whole(served: Served, door: str) -> None:
    """HT-08: and one byte more than the limit is none, wherever it is cut."""

    def error(n_bytes: int) -> tuple[int, bytes]:
        form = "grant_type=x&padding=" + "&" * (n_bytes - len("grant_type=x&padding="))
        answer = served.sent(door, chunks(f"{n_bytes:x}\r\n{form}\r\n0\r\n\r\n").encode(), quiet_s=1.0)
        return statuses(answer)[0], answer.rpartition(b"\r\n")[2]

    status, said = error(MAX_FORM_BYTES)
    assert (status, b"unsupported_grant_type" in said) == (400, True)
    assert error(MAX_FORM_BYTES + 1)[0] == 413


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x"])
def test_a_body_that_is_packed_is_not_unpacked(served: Served, door: str, coding: str) -> None:
    """HT-10."""
    bomb = gzip.compress(b"grant_type=" + b"x" * 50 * MEGABYTE)
    before = served.resident_bytes()
    head = post(f"Content-Encoding: {coding}\r\nContent-Length: {len(bomb)}\r\n")
    assert statuses(served.sent(door, head.encode() + bomb, quiet_s=1.0)) == [415]
    assert served.resident_bytes() - before < GROWN_BYTES


# -- bytes at random, and people who leave ------------------------------------------------------------------------


def test_bytes_at_random_crash_nothing(served: Served) -> None:
    """HT-17: a short form of ten thousand (`tests.fuzz` has the long one). No file stays open."""
    chance = random.Random(17)
    good = ask().encode()
    files = served.open_files()
    for number in range(1000):
        data = bytearray(chance.randbytes(chance.randrange(1, 200)) if number % 2 else good)
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with closing(served.connect(NODE)) as connection:
            connection.sendall(bytes(data))
    honest = ask(headers="Connection: close\r\n").encode()
    assert statuses(served.sent(NODE, honest, quiet_s=5.0)) == [200]
    eventually(lambda: served.open_files() <= files + 2)


PHASES = {
    "at once": b"",
    "in the request line": b"POST /tok",
    "in the headers": b"POST /token HTTP/1.1\r\nHost: loc",
    "before the body": post("Content-Length: 100\r\n").encode(),
    "in the body": post("Content-Length: 100\r\n", "grant_type=").encode(),
    "in a chunk": post("Transfer-Encoding: chunked\r\n", "50\r\ngrant").encode(),
    "before the answer": post("Content-Length: 11\r\n", "grant_type=").encode(),
    "before a page": ask("/authorize?client_id=gov24").encode(),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("phase", PHASES)
def test_who_leaves_in_the_middle_holds_up_nobody(served: Served, door: str, phase: str) -> None:
    """HT-19: forty at once, more than there are threads, and the next one is served."""
    with ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(closing(served.connect(door)))
            connection.sendall(PHASES[phase])
    honest = ask(headers="Connection: close\r\n").encode()
    assert statuses(served.sent(door, honest, quiet_s=5.0)) == [200]


def test_no_answer_says_what_it_was_made_with(served: Served) -> None:
    """HT-12."""
    for door in DOORS:
        for path in ("/jwks", "/nowhere", "/authorize", "/token"):
            request = ask(path, headers="Connection: close\r\n").encode()
            head = served.sent(door, request, quiet_s=5.0).partition(b"\r\n\r\n")[0].lower()
            assert b"strict-transport-security: max-age=31536000" in head
            assert not [line for line in head.split(b"\r\n") if line.startswith((b"x-powered-by", b"via"))]
            (server,) = [line for line in head.split(b"\r\n") if line.startswith(b"server:")]
            assert not any(character in server for character in b"0123456789/")
