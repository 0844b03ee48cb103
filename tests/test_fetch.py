"""The guarded client against real servers on loopback, well-behaved and hostile."""

import gzip
import ipaddress
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from idp.credentials.status import StatusUnavailable, TokenType
from idp.fetch import FetchError, FetchFailed, FetchRefused, GuardedClient, Rules, origin_of
from idp.wiring import fetch_status_list
from tests.waiting import eventually

MAX_BYTES = 10_000
Answer = Callable[[BaseHTTPRequestHandler], None]


def answer(body: bytes = b"hello", status: int = 200, **headers: str) -> Answer:
    """An answer with a length; header names are written with underscores."""

    def write(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return write


def chunked(chunks: Iterator[bytes], **headers: str) -> Answer:
    """An answer that does not say how long it will be."""

    def write(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        for name, value in {"Transfer_Encoding": "chunked", **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        for chunk in chunks:
            request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        request.wfile.write(b"0\r\n\r\n")

    return write


class Site:
    """An HTTP server that remembers who came."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answer: Answer = answer()
        self.requests: list[tuple[str, Message]] = []
        self.bodies: list[bytes] = []
        self.connections: list[tuple[str, int]] = []
        self.server_names: list[str | None] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.requests.append((self.path, self.headers))
                try:
                    site.answer(self)
                except OSError:  # the client has had enough
                    self.close_connection = True

            def do_POST(self) -> None:
                site.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                """Tests print nothing."""

        class Server(ThreadingHTTPServer):
            def process_request(self, request: Any, client_address: Any) -> None:
                site.connections.append(client_address)
                super().process_request(request, client_address)

            def handle_error(self, request: Any, client_address: Any) -> None:
                if not isinstance(sys.exception(), OSError):  # a client that leaves is no error here
                    super().handle_error(request, client_address)

            def finish_request(self, request: Any, client_address: Any) -> None:
                if tls is None:
                    super().finish_request(request, client_address)
                    return
                try:
                    with tls.wrap_socket(request, server_side=True) as secured:
                        super().finish_request(secured, client_address)  # type: ignore[arg-type]
                except OSError:  # the client does not like our certificate
                    return

        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.server_names.append(name)  # type: ignore[assignment]
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def __enter__(self) -> "Site":
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def sent(self, name: str) -> list[str | None]:
        return [headers.get(name) for _path, headers in self.requests]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def origin(site: Site) -> str:
    return f"http://127.0.0.1:{site.port}"


@contextmanager
def client(*origins: str, **changes: Any) -> Iterator[GuardedClient]:
    """A client that may go to these origins on loopback."""
    rules: dict[str, Any] = {"allow_loopback": True, "timeout_s": 5.0, "max_bytes": MAX_BYTES, **changes}
    with GuardedClient(origins, **rules) as guarded:
        yield guarded


@pytest.fixture
def guarded(origin: str) -> Iterator[GuardedClient]:
    with client(origin) as guarded:
        yield guarded


def fetch(guarded: GuardedClient, url: str) -> bytes:
    return guarded.get(url, accept="application/statuslist+jwt").body


# What is fetched


def test_a_listed_origin_is_fetched(guarded: GuardedClient, site: Site, origin: str) -> None:
    site.answer = answer(
        b"token",
        Content_Type="Application/StatusList+JWT; charset=utf-8",
        Cache_Control="max-age=60",
        ETag='"1"',
        Set_Cookie="a=b",
        X_Other="x",
    )
    fetched = guarded.get(f"{origin}/lists/1?x=%EA%B0%80", accept="application/statuslist+jwt")
    assert fetched.body == b"token"
    assert fetched.content_type == "application/statuslist+jwt"
    assert fetched.headers["cache-control"] == "max-age=60"
    assert fetched.headers["etag"] == '"1"'
    assert fetched.headers.keys() <= {"cache-control", "etag", "date"}
    ((path, headers),) = site.requests
    assert path == "/lists/1?x=%EA%B0%80"
    assert headers["Host"] == f"127.0.0.1:{site.port}"
    assert headers["Accept"] == "application/statuslist+jwt"


def test_a_url_without_a_path_asks_for_the_root(guarded: GuardedClient, site: Site, origin: str) -> None:
    fetch(guarded, origin)
    fetch(guarded, origin + "?q")
    assert [path for path, _headers in site.requests] == ["/", "/?q"]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://LOCALHOST:80/out?x=1", "http://localhost"),
        ("http://127.0.0.1:3000/out", "http://127.0.0.1:3000"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_an_origin_is_written_as_it_would_be_listed(url: str, origin: str) -> None:
    assert origin_of(url) == origin
    with client(origin) as guarded:
        guarded.check(url)


def test_connections_are_kept(guarded: GuardedClient, site: Site, origin: str) -> None:
    for _ in range(3):
        fetch(guarded, origin)
    assert len(site.connections) == 1


def test_a_kept_connection_has_the_time_of_the_fetch_that_uses_it(site: Site, origin: str) -> None:
    with client(origin, timeout_s=0.3) as guarded:
        fetch(guarded, origin)
        later = time.monotonic() + 0.35
        eventually(lambda: time.monotonic() > later)
        fetch(guarded, origin)
    assert len(site.connections) == 1


def test_many_threads_fetch_at_once(guarded: GuardedClient, site: Site, origin: str) -> None:
    with ThreadPoolExecutor(32) as threads:
        bodies = list(threads.map(lambda _: fetch(guarded, origin), range(64)))
    assert bodies == [b"hello"] * 64


def test_the_second_address_is_tried_when_the_first_is_dead(site: Site) -> None:
    origin = f"http://two.example:{site.port}"
    with client(origin, resolve=Names("two.example", ["127.0.0.2", "127.0.0.1"])) as guarded:
        assert fetch(guarded, origin) == b"hello"


def test_the_name_is_resolved_once(site: Site) -> None:
    origin = f"http://rebinding.example:{site.port}"
    names = Names("rebinding.example", ["127.0.0.1"])
    with client(origin, resolve=names) as guarded:
        assert fetch(guarded, origin) == b"hello"
    assert names.asked == ["rebinding.example"]
    assert site.sent("Host") == [f"rebinding.example:{site.port}"]


class Names:
    """A name server of the test's own that knows one name, and counts how often it is asked for it."""

    def __init__(self, name: str, addresses: list[str]) -> None:
        self.name = name
        self.addresses = addresses
        self.asked: list[str] = []

    def __call__(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        assert host == self.name
        self.asked.append(host)
        return [
            found
            for address in self.addresses
            for found in socket.getaddrinfo(address, port, *args, **kwargs)
        ]


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a site of the tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "site.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def secure_site(certificate: Path) -> Iterator[Site]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Site(context) as site:
        yield site


def test_tls_and_host_carry_the_name(secure_site: Site, certificate: Path) -> None:
    origin = f"https://localhost:{secure_site.port}"
    with client(origin, tls=ssl.create_default_context(cafile=str(certificate))) as guarded:
        assert fetch(guarded, origin) == b"hello"
    assert secure_site.server_names == ["localhost"]
    assert secure_site.sent("Host") == [f"localhost:{secure_site.port}"]


def test_a_certificate_of_nobody_we_trust_fails(secure_site: Site) -> None:
    origin = f"https://localhost:{secure_site.port}"
    with client(origin) as guarded, pytest.raises(FetchFailed):
        fetch(guarded, origin)
    assert secure_site.requests == []


def test_a_certificate_for_another_name_fails(secure_site: Site, certificate: Path) -> None:
    origin = f"https://127.0.0.1:{secure_site.port}"
    tls = ssl.create_default_context(cafile=str(certificate))
    with client(origin, tls=tls) as guarded, pytest.raises(FetchFailed):
        fetch(guarded, origin)
    assert secure_site.requests == []


# What is refused: nothing may leave


@pytest.mark.parametrize(
    "url",
    [
        "http://{here}",
        "https://{here}",
        "http://localhost:{port}",
        "https://localhost:{port}",
        "https://127.1:{port}",
        "https://2130706433:{port}",
        "https://0x7f000001:{port}",
        "https://0177.0.0.1:{port}",
        "https://[::ffff:127.0.0.1]:{port}",
        "https://[::1]:{port}",
        "https://0.0.0.0:{port}",
        "https://[::]:{port}",
        "https://10.0.0.1",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00::1]",
    ],
)
def test_an_address_that_is_not_public_is_refused(site: Site, url: str) -> None:
    with client() as guarded, pytest.raises(FetchRefused):
        fetch(guarded, url.format(here=f"127.0.0.1:{site.port}", port=site.port))
    assert site.connections == []


def test_a_name_that_resolves_to_a_private_address_is_refused(site: Site) -> None:
    names = Names("inside.example", ["127.0.0.1", "10.0.0.1"])
    with client(resolve=names) as guarded, pytest.raises(FetchRefused):
        fetch(guarded, f"https://inside.example:{site.port}")
    assert site.connections == []


def test_loopback_is_refused_even_to_a_listed_origin_unless_it_is_allowed(site: Site, origin: str) -> None:
    with client(origin, allow_loopback=False) as guarded, pytest.raises(FetchRefused):
        fetch(guarded, origin)
    assert site.connections == []


@pytest.mark.parametrize(
    "listed",
    ["https://127.0.0.1:{port}", "http://127.0.0.1", "http://localhost:{port}", "http://127.0.0.1:1{port}"],
)
def test_an_origin_is_listed_exactly_or_not_at_all(site: Site, origin: str, listed: str) -> None:
    listed = listed.format(port=site.port % 10_000)
    with client(listed) as guarded, pytest.raises(FetchRefused):
        fetch(guarded, origin)
    assert site.connections == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/etc/passwd",
        "//127.0.0.1:{port}/",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/",
        "http:127.0.0.1:{port}",
        "http:///",
        "http://127.0.0.1:{port}/a b",
        "http://127.0.0.1:{port}/\r\nX: y",
        "http://127.0.0.1:{port}/\u0000",
        "http://127.0.0.1:{port}/가",
        "http://127.0.0.1:{port}\\@example.com/",
        "http://user@127.0.0.1:{port}/",
        "http://user:password@127.0.0.1:{port}/",
        "http://@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/#fragment",
        "http://127.0.0.1:{port}/#",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:x/",
        "http://127.0.0.1%3a{port}/",
        "http://[127.0.0.1]:{port}/",
        "http://[::1%25lo]:{port}/",
        "http://[::1:{port}/",
        "http://-x.example/",
        "http://a..example/",
        "http://example.com./",
        "http://127.1:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f000001:{port}/",
        "http://127.0.0.01:{port}/",
        "http://name.0x7f:{port}/",
        "http://127.0.0.1:{port}/" + "a" * 3000,
    ],
)
def test_a_url_that_can_be_read_in_two_ways_is_refused(site: Site, origin: str, url: str) -> None:
    with client(origin) as guarded, pytest.raises(FetchRefused):
        fetch(guarded, url.replace("{port}", str(site.port)))
    assert site.connections == []


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "example.com",
        "https://example.com/",
        "https://Example.com",
        "https://example.com:443",
        "ftp://a.example",
    ],
)
def test_what_is_no_origin_cannot_be_listed(entry: str) -> None:
    with pytest.raises(ValueError, match="allow_origins"), client(entry):
        pass


# Which addresses are public

NEVER = [
    "0.0.0.0",
    "::",
    "169.254.169.254",
    "fe80::1",
    "224.0.1.1",
    "ff0e::1",
    "240.0.0.1",
    "255.255.255.255",
]
LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "fd00::1",
    "fec0::1",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:a00:1::",
    "2001:db8::1",
]
PUBLIC = ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


def permitted(address: str, *, listed: bool, allow_loopback: bool) -> bool:
    return Rules(frozenset(), allow_loopback).permit(ipaddress.ip_address(address), listed=listed)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_permitted_to_all(address: str) -> None:
    assert permitted(address, listed=False, allow_loopback=False)
    assert permitted(address, listed=True, allow_loopback=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_permitted_to_listed_origins_only(address: str) -> None:
    assert not permitted(address, listed=False, allow_loopback=True)
    assert permitted(address, listed=True, allow_loopback=False)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_is_permitted_to_listed_origins_where_it_is_allowed(address: str) -> None:
    assert not permitted(address, listed=False, allow_loopback=True)
    assert not permitted(address, listed=True, allow_loopback=False)
    assert permitted(address, listed=True, allow_loopback=True)


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_permitted_to_nobody(address: str) -> None:
    assert not permitted(address, listed=True, allow_loopback=True)


# What fails


def test_a_redirect_is_not_followed(guarded: GuardedClient, site: Site, origin: str) -> None:
    site.answer = answer(b"", 302, Location=f"{origin}/elsewhere")
    with pytest.raises(FetchFailed, match="status 302"):
        fetch(guarded, origin)
    assert len(site.requests) == 1


@pytest.mark.parametrize("status", [201, 204, 206, 304, 401, 404, 500, 503])
def test_any_status_but_200_fails(guarded: GuardedClient, site: Site, origin: str, status: int) -> None:
    site.answer = answer(b"", status)
    with pytest.raises(FetchFailed, match=f"status {status}"):
        fetch(guarded, origin)


def test_nobody_there_fails(site: Site, origin: str) -> None:
    with socket.socket() as bound_and_deaf:
        bound_and_deaf.bind(("127.0.0.1", 0))
        deaf = f"http://127.0.0.1:{bound_and_deaf.getsockname()[1]}"
        with client(deaf) as guarded, pytest.raises(FetchFailed, match="network"):
            fetch(guarded, deaf)


def test_a_name_that_does_not_exist_fails() -> None:
    with client() as guarded, pytest.raises(FetchFailed):
        fetch(guarded, "https://nowhere.invalid/")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell",
        b"\0\1\2\3",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 200_000,
    ],
    ids=["nothing", "a body cut short", "no HTTP", "an endless header"],
)
def test_an_answer_that_is_no_answer_fails(
    site: Site, origin: str, guarded: GuardedClient, said: bytes
) -> None:
    def write(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(said)
        request.close_connection = True

    site.answer = write
    with pytest.raises(FetchFailed, match="network"):
        fetch(guarded, origin)


def test_a_body_of_just_the_limit_is_taken(guarded: GuardedClient, site: Site, origin: str) -> None:
    site.answer = answer(b"x" * MAX_BYTES)
    assert len(fetch(guarded, origin)) == MAX_BYTES


def test_a_body_beyond_the_limit_fails(guarded: GuardedClient, site: Site, origin: str) -> None:
    site.answer = answer(b"x" * (MAX_BYTES + 1))
    with pytest.raises(FetchFailed, match="too large"):
        fetch(guarded, origin)


def test_an_endless_body_fails(guarded: GuardedClient, site: Site, origin: str) -> None:
    site.answer = chunked(iter(lambda: b"x" * 1000, b""))
    with pytest.raises(FetchFailed, match="too large"):
        fetch(guarded, origin)


def test_a_compressed_body_is_decompressed(guarded: GuardedClient, site: Site, origin: str) -> None:
    site.answer = answer(gzip.compress(b"x" * MAX_BYTES), Content_Encoding="gzip")
    assert fetch(guarded, origin) == b"x" * MAX_BYTES


def test_a_bomb_is_not_unpacked(guarded: GuardedClient, site: Site, origin: str) -> None:
    bomb = gzip.compress(b"\0" * 9_000_000)
    assert len(bomb) < MAX_BYTES
    site.answer = answer(bomb, Content_Encoding="gzip")
    with pytest.raises(FetchFailed, match="too large"):
        fetch(guarded, origin)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("br", b"x"),
        ("deflate", b"x"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x"))),
        ("gzip", b"x"),
        ("gzip", b""),
        ("gzip", gzip.compress(b"hello")[:-1]),
        ("gzip", gzip.compress(b"hello") + b"more"),
        ("gzip", gzip.compress(b"hello") * 2),
    ],
    ids=["br", "deflate", "twice", "not gzip", "empty", "cut short", "with more behind it", "two members"],
)
def test_an_encoding_that_was_not_asked_for_or_is_broken_fails(
    guarded: GuardedClient, site: Site, origin: str, encoding: str, body: bytes
) -> None:
    site.answer = answer(body, Content_Encoding=encoding)
    with pytest.raises(FetchFailed, match="content encoding"):
        fetch(guarded, origin)


def drip(request: BaseHTTPRequestHandler, text: bytes) -> None:
    """Write a byte at a time, each well within any limit on a single read."""
    pause = threading.Event()
    for byte in text:
        request.wfile.write(bytes([byte]))
        pause.wait(0.03)


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n" + b"x" * 300,
        b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 300,
    ],
    ids=["body", "header"],
)
def test_a_drip_ends_with_the_time_of_the_whole_fetch(site: Site, origin: str, text: bytes) -> None:
    site.answer = lambda request: drip(request, text)
    begun = time.monotonic()
    with client(origin, timeout_s=0.3) as guarded, pytest.raises(FetchFailed, match="too slow"):
        fetch(guarded, origin)
    assert time.monotonic() - begun < 2


def test_a_server_that_says_nothing_in_the_handshake_is_too_slow() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with client(origin, timeout_s=0.2) as guarded, pytest.raises(FetchFailed, match="too slow"):
            fetch(guarded, origin)


def test_a_name_server_that_says_nothing_is_too_slow() -> None:
    enough = threading.Event()

    def says_nothing(*_args: Any, **_kwargs: Any) -> list[Any]:
        enough.wait(10)
        return []

    try:
        with (
            client(timeout_s=0.2, resolve=says_nothing) as guarded,
            pytest.raises(FetchFailed, match="too slow"),
        ):
            fetch(guarded, "https://slow.example/")
    finally:
        enough.set()


# What does not leave with a request


def test_cookies_are_not_kept(guarded: GuardedClient, site: Site, origin: str) -> None:
    site.answer = answer(Set_Cookie="a=b; Path=/")
    fetch(guarded, origin)
    fetch(guarded, origin)
    assert site.sent("Cookie") == [None, None]


def test_proxies_of_the_environment_are_not_used(
    guarded: GuardedClient, site: Site, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Site() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert fetch(guarded, origin) == b"hello"
        assert proxy.connections == []


@pytest.mark.parametrize("status", [200, 404])
def test_an_error_says_nothing_of_where_it_went_or_what_came(
    guarded: GuardedClient, site: Site, origin: str, status: int
) -> None:
    site.answer = answer(b"hong-gildong" * MAX_BYTES, status)
    with pytest.raises(FetchError) as error:
        fetch(guarded, f"{origin}/secret-path")
    for word in ("127.0.0.1", "secret-path", "hong-gildong"):
        assert word not in str(error.value)


# -- posting ---------------------------------------------------------------------------------------------------

FORM = "application/x-www-form-urlencoded"


def test_a_post_carries_its_body_and_brings_back_the_status(site: Site, origin: str) -> None:
    with client(origin) as guarded:
        assert guarded.post(f"{origin}/told", b"a=1&b=2", FORM) == 200
    assert site.requests[0][0] == "/told"
    assert site.bodies == [b"a=1&b=2"]
    assert site.sent("Content-Type") == [FORM]
    assert site.sent("Content-Length") == ["7"]


@pytest.mark.parametrize("status", [201, 204, 301, 302, 303, 307, 308, 400, 401, 404, 500, 503])
def test_a_posts_status_is_told_whatever_it_is_and_no_redirect_is_followed(
    site: Site, origin: str, status: int
) -> None:
    site.answer = answer(b"", status, Location=f"{origin}/elsewhere")
    with client(origin) as guarded:
        assert guarded.post(f"{origin}/told", b"x", FORM) == status
    assert [path for path, _headers in site.requests] == ["/told"]


@pytest.mark.parametrize("n_bytes", [0, 4096, 4097, 1_000_000])
def test_of_a_posts_answer_little_is_read(site: Site, origin: str, n_bytes: int) -> None:
    site.answer = answer(b"x" * n_bytes)
    with client(origin) as guarded:
        assert guarded.post(f"{origin}/told", b"x", FORM) == 200
        site.answer = answer()
        assert guarded.post(f"{origin}/told", b"x", FORM) == 200


def test_an_endless_answer_to_a_post_is_cut_off(site: Site, origin: str) -> None:
    site.answer = chunked(b"x" * 1000 for _ in iter(int, 1))
    with client(origin) as guarded:
        assert guarded.post(f"{origin}/told", b"x", FORM) == 200


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "https://127.0.0.1/", "https://user@example.com/", "file:///etc/passwd", ""],
)
def test_a_post_goes_only_where_a_get_may_go(url: str) -> None:
    with client() as guarded, pytest.raises(FetchRefused):
        guarded.post(url, b"x", FORM)


def test_a_post_to_somebody_slow_ends(site: Site, origin: str) -> None:
    done = threading.Event()
    site.answer = lambda _request: void(done.wait(5))
    with client(origin, timeout_s=0.3) as guarded, pytest.raises(FetchFailed, match="too slow"):
        guarded.post(f"{origin}/told", b"x", FORM)
    done.set()


# -- exchanging ------------------------------------------------------------------------------------------------

JSON = "application/json"


def test_an_exchange_carries_its_body_and_brings_back_the_answers(site: Site, origin: str) -> None:
    site.answer = answer(b'{"result":true}', Content_Type="application/json; charset=UTF-8")
    with client(origin) as guarded:
        fetched = guarded.exchange(f"{origin}/mip/vp", b'{"data":"x"}', JSON, accept=JSON)
    assert (fetched.body, fetched.content_type) == (b'{"result":true}', JSON)
    assert site.requests[0][0] == "/mip/vp"
    assert site.bodies == [b'{"data":"x"}']
    assert site.sent("Content-Type") == site.sent("Accept") == [JSON]
    assert site.sent("Content-Length") == ["12"]


@pytest.mark.parametrize("status", [201, 204, 301, 303, 307, 308, 400, 404, 500, 503])
def test_an_exchange_that_is_not_answered_with_200_has_failed(site: Site, origin: str, status: int) -> None:
    site.answer = answer(b"", status, Location=f"{origin}/elsewhere")
    with client(origin) as guarded, pytest.raises(FetchFailed):
        guarded.exchange(f"{origin}/told", b"x", JSON, accept=JSON)
    assert [path for path, _headers in site.requests] == ["/told"]


def test_an_exchange_with_somebody_slow_or_without_end_ends(site: Site, origin: str) -> None:
    site.answer = chunked(b"x" * 1000 for _ in iter(int, 1))
    with client(origin) as guarded, pytest.raises(FetchFailed):
        guarded.exchange(f"{origin}/told", b"x", JSON, accept=JSON)
    done = threading.Event()
    site.answer = lambda _request: void(done.wait(5))
    with client(origin, timeout_s=0.3) as guarded, pytest.raises(FetchFailed, match="too slow"):
        guarded.exchange(f"{origin}/told", b"x", JSON, accept=JSON)
    done.set()


@pytest.mark.parametrize("url", ["https://example.com/", "https://127.0.0.1/", "http://127.0.0.1:1/"])
def test_a_client_of_one_origin_goes_nowhere_else(origin: str, url: str) -> None:
    with client(origin, elsewhere=False) as guarded:
        assert guarded.get(f"{origin}/here", accept=JSON).body == b"hello"
        for go in (
            lambda: guarded.get(url, accept=JSON),
            lambda: guarded.post(url, b"x", JSON),
            lambda: guarded.exchange(url, b"x", JSON, accept=JSON),
            lambda: guarded.check(url),
        ):
            with pytest.raises(FetchRefused, match="not the origin that is set"):
                go()


def void(_value: object) -> None:
    """For a callable that returns nothing."""


# Status lists


@pytest.mark.parametrize("token_type", TokenType)
def test_a_status_list_is_asked_for_as_the_type_that_is_needed(
    guarded: GuardedClient, site: Site, origin: str, token_type: TokenType
) -> None:
    site.answer = answer(b"token", Content_Type=token_type.value)
    assert fetch_status_list(guarded, f"{origin}/lists/1", token_type) == b"token"
    assert site.sent("Accept") == [token_type.value]


@pytest.mark.parametrize("token_type", TokenType)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", *TokenType])
def test_a_status_list_of_another_type_is_none(
    guarded: GuardedClient, site: Site, origin: str, token_type: TokenType, content_type: str
) -> None:
    site.answer = answer(b"token", Content_Type=content_type)
    if content_type != token_type:
        with pytest.raises(StatusUnavailable):
            fetch_status_list(guarded, f"{origin}/lists/1", token_type)
