"""Bytes that are nearly HTTP, to the server itself and through the proxy of deploy/.

Where a mutant is about where a request ends (`FRAMING`), its body holds another request, which begins a sign-in: if
that is ever answered, or a sign-in of its portal stands in the audit, somebody took the body for a request. Everything
else (`FORM`, and blind changes) is about what the server makes of it: an answer that is no error of ours, or none at
all.
"""

from __future__ import annotations

import random
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from tests.credentials.mutants import blind
from tests.fuzzing.corpus import DIRECTORY, values
from tests.fuzzing.running import INSIDES, MAX_S, Mutant, Request, Tally
from tests.fuzzing.target import PROVING

HIDDEN = (
    f"GET /authorize?response_type=code&client_id={PROVING}&redirect_uri=https%3A%2F%2Fportal.example%2Fcallback"
    "&scope=openid&state=s&nonce=n&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    "&code_challenge_method=S256 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
)
TOLERATED = {"through nginx": {"chunk_endings"}}
"""nginx reads such lines, and the request behind them as the next one of whoever sent both; what it hands on has a
length of its own making. That is its reading and nobody else's: nothing may stand in front of it that has another."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_HIDDEN_ANSWERED = re.compile(rb"\r\n[Ll]ocation: /login/")
NOT_OURS = {501, 505}
"""What a server says of a method, a coding or a version that it does not know."""


@dataclass(frozen=True)
class Door:
    """Where bytes go: a port of this machine, with TLS in front of the proxy's."""

    name: str
    port: int
    host: str
    tls: ssl.SSLContext | None = None

    def send(self, data: bytes, *, patience_s: float = 0.03) -> bytes:
        """Everything that is answered until nothing more comes for so long."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as plain:
            connection = plain if self.tls is None else self.tls.wrap_socket(plain, server_hostname=self.host)
            with connection:
                return _spoken(connection, data, patience_s)


def _spoken(connection: socket.socket, data: bytes, patience_s: float) -> bytes:
    heard = b""
    try:
        connection.sendall(data)
        connection.settimeout(0.4)  # for the rest of a body that never comes
        while True:
            more = connection.recv(65_536)
            if not more:
                return heard
            heard += more
            connection.settimeout(patience_s)  # for an answer to what was hidden
    except OSError:  # it had enough, or says no more
        return heard


# -- where a request ends --------------------------------------------------------------------------------------


def message(headers: list[str], body: str, host: str, first: str = "POST /token HTTP/1.1") -> bytes:
    lines = [first, f"Host: {host}", "Content-Type: application/x-www-form-urlencoded", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("utf-8", "surrogatepass")


def hidden(host: str) -> str:
    return HIDDEN.replace("{host}", host)


def length_and_chunks(chance: random.Random, host: str) -> bytes:
    body = "0\r\n\r\n" + hidden(host)
    both = [f"Content-Length: {len(body)}", f"Transfer-Encoding: {chance.choice(CODINGS)}"]
    chance.shuffle(both)
    return message(both, body, host)


CODINGS = (
    "chunked",
    "Chunked",
    "chunked ",
    "\tchunked",
    "chunked, identity",
    "identity, chunked",
    "chunked, chunked",
    "xchunked",
    "chunked\x0b",
    "chunked;q=1",
    '"chunked"',
    "gzip, chunked",
    "chunked\x00",
    "c\u0068unked",
    "identity",
    "",
    ",chunked",
    "chunked,",
)


def two_lengths(chance: random.Random, host: str) -> bytes:
    body = "grant_type=x" + hidden(host)
    lengths = ["12", str(len(body))]
    chance.shuffle(lengths)
    joined = chance.choice(
        [
            [f"Content-Length: {one}" for one in lengths],
            [f"Content-Length: {', '.join(lengths)}"],
            [f"Content-Length: {lengths[0]}", f"content-length: {lengths[1]}"],
            [f"Content-Length: {lengths[0]}", f"Content_Length: {lengths[1]}", "Transfer-Encoding: chunked"],
            [f"Content-Length: {lengths[0]}\r\n {lengths[1]}"],
        ]
    )
    return message(joined, body, host)


def no_length(chance: random.Random, host: str) -> bytes:
    """A length that is no number, before a body."""
    wrong = [
        "+12",
        "-1",
        "0x0c",
        "12.0",
        "1e1",
        "１２",
        "",
        " ",
        "12a",
        "a",
        "12;",
        "0012 1",
        "9" * 30,
        "\x00",
        "12\x0b",
        "1_2",
    ]
    return message([f"Content-Length: {chance.choice(wrong)}"], "grant_type=x" + hidden(host), host)


def header_spelling(chance: random.Random, host: str) -> bytes:
    """A header about the body, in a spelling that two programs may read in two ways."""
    body = "0\r\n\r\n" + hidden(host)
    spelled = [
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer_Encoding: chunked",
        "Transfer-Encoding\x00: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "\x0bTransfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "transfer-encoding;: chunked",
        "Trailer: Transfer-Encoding",
        "Transfer\u2010Encoding: chunked",
    ]
    return message([f"Content-Length: {len(body)}", chance.choice(spelled)], body, host)


def chunk_form(chance: random.Random, host: str) -> bytes:
    """Chunks whose size or end is nearly right, with a request where a lenient reader thinks they have ended."""
    inner = hidden(host)
    size = f"{len(inner):x}"
    form = chance.choice(
        [
            f"0x{size}\r\n{inner}\r\n0\r\n\r\n",
            f"+{size}\r\n{inner}\r\n0\r\n\r\n",
            f"-0\r\n\r\n{inner}",
            f" 0\r\n\r\n{inner}",
            f"0\r\r{inner}",
            f"{size};\x00\r\n{inner}\r\n0\r\n\r\n",
            f"{size}\r\n{inner}0\r\n\r\n",
            f"{size}\r\n{inner}XX0\r\n\r\n",
            f"g\r\n{inner}",
            f"{'f' * 17}\r\n{inner}",
            f"1\r\nAA\r\n0\r\n\r\n{inner}",
            f"\r\n0\r\n\r\n{inner}",
            f"0_0\r\n\r\n{inner}",
            f"０\r\n\r\n{inner}",
            f"0x0\r\n\r\n{inner}",
        ]
    )
    return message([f"Transfer-Encoding: {chance.choice(['chunked', 'chunked', 'Chunked'])}"], form, host)


def chunk_endings(chance: random.Random, host: str) -> bytes:
    """A last chunk whose line ends with LF alone or after a space, and the request behind it."""
    inner = hidden(host)
    form = chance.choice([f"0\n\n{inner}", f"0;a=\n\r\n\r\n{inner}", f"0\n\r\n{inner}", f"0 \r\n\r\n{inner}"])
    return message(["Transfer-Encoding: chunked"], form, host)


def body_of_a_get(chance: random.Random, host: str) -> bytes:
    inner = hidden(host)
    first = chance.choice(
        ["GET /jwks HTTP/1.1", "HEAD /jwks HTTP/1.1", "GET /login/x HTTP/1.1", "OPTIONS /token HTTP/1.1"]
    )
    return message([f"Content-Length: {len(inner)}"], inner, host, first)


def expecting(chance: random.Random, host: str) -> bytes:
    inner = hidden(host)
    asked = chance.choice(["100-continue", "200-ok", "100-continue, x", "100-Continue"])
    return message([f"Content-Length: {len(inner)}", f"Expect: {asked}"], inner, host)


def upgrading(chance: random.Random, host: str) -> bytes:
    inner = hidden(host)
    more = chance.choice(
        [
            ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 777"],
            [
                "Upgrade: h2c",
                "Connection: Upgrade, HTTP2-Settings",
                "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
            ],
            ["Connection: Content-Length"],
            ["Connection: close, Content-Length"],
            ["Connection: Transfer-Encoding, X-Forwarded-For"],
        ]
    )
    return message([f"Content-Length: {len(inner)}", *more], inner, host)


FRAMING: Mapping[str, Callable[[random.Random, str], bytes]] = {
    "length_and_chunks": length_and_chunks,
    "two_lengths": two_lengths,
    "no_length": no_length,
    "header_spelling": header_spelling,
    "chunk_form": chunk_form,
    "chunk_endings": chunk_endings,
    "body_of_a_get": body_of_a_get,
    "expecting": expecting,
    "upgrading": upgrading,
}

# -- what is no request ----------------------------------------------------------------------------------------


def request_line(chance: random.Random, host: str) -> bytes:
    odd = chance.choice(values())
    line = chance.choice(
        [
            "GET  /jwks HTTP/1.1",
            "GET\t/jwks\tHTTP/1.1",
            "GET /jwks",
            "GET /jwks HTTP/0.9",
            "GET /jwks HTTP/2.0",
            "GET /jwks HTTP/1.2",
            "GET /jwks HTTP/9.9",
            "get /jwks HTTP/1.1",
            "G\x00T /jwks HTTP/1.1",
            "GET jwks HTTP/1.1",
            "GET * HTTP/1.1",
            "CONNECT x:1 HTTP/1.1",
            "GET http://evil.example/jwks HTTP/1.1",
            "GET //evil.example/jwks HTTP/1.1",
            "GET /jwks#x HTTP/1.1",
            "GET /jwks\x00 HTTP/1.1",
            "GET /\\jwks HTTP/1.1",
            "GET /%2e%2e/jwks HTTP/1.1",
            "GET /jwks HTTP/1.1 HTTP/1.1",
            " GET /jwks HTTP/1.1",
            "\r\n\r\nGET /jwks HTTP/1.1",
            "PRI * HTTP/2.0",
            "TRACE / HTTP/1.1",
            f"GET /{odd} HTTP/1.1",
            f"GET /login/{odd} HTTP/1.1",
            f"{odd} /jwks HTTP/1.1",
            f"GET /authorize?{odd}={odd} HTTP/1.1",
            f"GET /jwks {odd}",
            "GET /" + "a" * 20_000 + " HTTP/1.1",
            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        ]
    )
    return message(["Connection: close"], "", host, line)


def hosts(chance: random.Random, host: str) -> bytes:
    odd = chance.choice(values())
    lines = chance.choice(
        [
            [],
            ["Host: a", "Host: b"],
            [f"Host: {host}", "Host: evil.example"],
            [f"Host: {host}, evil.example"],
            [f"Host: {host}@evil.example"],
            ["Host: "],
            ["Host: [::1"],
            ["Host: a:99999"],
            ["Host: a:x"],
            [f"Host: {odd}"],
            [f"Host: {host}/x"],
            ["Host: " + "a" * 9000],
            [f"Host: {host}", f"X-Forwarded-Host: {odd}"],
            [f"Host: {host}", f"Forwarded: host={odd}"],
        ]
    )
    return ("\r\n".join(["GET /authorize?x=1 HTTP/1.1", *lines, "Connection: close"]) + "\r\n\r\n").encode(
        "utf-8", "surrogatepass"
    )


def header_lines(chance: random.Random, host: str) -> bytes:
    odd = chance.choice(values())
    names = (
        "Cookie",
        "Authorization",
        "DPoP",
        "Accept-Language",
        "Origin",
        "If-Match",
        "Content-Type",
        "User-Agent",
        "Sec-CH-UA-Mobile",
        "Range",
        "X-Client-Certificate",
        "X-Forwarded-For",
        "Accept",
        "X-Correlation-Id",
    )
    lines = chance.choice(
        [
            [f"{chance.choice(names)}: {odd}"],
            [f"{chance.choice(names)}: {odd * 50}"],
            [f"Cookie: session={odd}; console={odd}; login-x={odd}; me={odd}"],
            [f"Authorization: {chance.choice(['Bearer', 'Basic', 'DPoP', 'Digest', ''])} {odd}"],
            [f"{odd}: x"],
            ["no colon at all"],
            [": no name"],
            [f"X{number}: y" for number in range(chance.choice([90, 300]))],
            ["X: " + "y" * chance.choice([9000, 70_000])],
            ["X: y", " folded", "\tfolded"],
        ]
    )
    first = chance.choice(
        [
            "GET /authorize?client_id=x",
            "GET /",
            "GET /userinfo",
            "GET /me",
            "GET /console",
            "GET /admin/api/v1/portals",
            "GET /register/gov24",
            "POST /token",
        ]
    )
    return message([*lines, "Connection: close"], "", host, f"{first} HTTP/1.1")


def cut_short(chance: random.Random, host: str) -> bytes:
    whole = message(["Content-Length: 300"], "grant_type=authorization_code&code=" + "x" * 265, host)
    return whole[: chance.randrange(len(whole))]


FORM: Mapping[str, Callable[[random.Random, str], bytes]] = {
    "request_line": request_line,
    "hosts": hosts,
    "header_lines": header_lines,
    "cut_short": cut_short,
}


def blindly(chance: random.Random, host: str) -> bytes:
    """Bytes of a good request changed; nothing is hidden in it, since it may come out as two good ones."""
    known = [file.read_bytes().replace(b"\n", b"\r\n") for file in sorted((DIRECTORY / "raw").glob("*.http"))]
    good, other = (chance.choice(known).replace(b"{host}", host.encode()) for _ in range(2))
    for _ in range(chance.randint(1, 3)):
        good = blind.data(chance, good, other) or b"x"
    return good


def run(door: Door, count: int, seed: int, *, threads: int = 4) -> Tally:
    """So many mutants through this door."""
    tally = Tally(f"raw, {door.name}")
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(partial(_one, door, seed, tally), range(count)):
            pass
    tally.took_s = time.perf_counter() - began
    return tally


def _one(door: Door, seed: int, tally: Tally, number: int) -> None:
    chance = random.Random(f"{seed}/raw/{number}")
    rules = {**FRAMING, **FORM, "blind": blindly}
    rule = chance.choice([*rules, "blind", "blind"])
    data = rules[rule](chance, door.host)
    began = time.perf_counter()
    tolerated = rule in TOLERATED.get(door.name, ())
    # What will be answered has to be heard, or it would count as answered to somebody else.
    heard = door.send(data, patience_s=MAX_S) if tolerated else door.send(data)
    took_s = time.perf_counter() - began
    statuses = [int(status) for status in _STATUS.findall(heard)]
    passed = rule in FRAMING and _HIDDEN_ANSWERED.search(heard) is not None
    mutant = Mutant(rule, Request("raw", door.name, data), may_pass=tolerated)
    wrong = _fault(statuses, heard, took_s, passed and not tolerated)
    tally.add(f"{number} {rule}", mutant, statuses[0] if statuses else 0, wrong, took_s, passed=passed)


def _fault(statuses: list[int], heard: bytes, took_s: float, passed: bool) -> str:
    """What is wrong with this answer; none at all is none."""
    ours = [status for status in statuses if status >= 500 and status not in NOT_OURS]
    if ours:
        return f"{ours}"
    if took_s > MAX_S:
        return f"{took_s:.1f} s"
    inside = [word for word in INSIDES if word in heard]
    if inside:
        return f"it shows {inside}"
    return "the hidden request was answered" if passed else ""
