"""deploy/nginx.conf, run: what reaches a node through it, and what does not."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography import x509

from tests.servers import free_port
from tests.topology.front import HOST, MTLS_HOST, Front, nginx, nginx_configuration


class Echo(BaseHTTPRequestHandler):
    """A node that says what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        if self.path.startswith("/static/"):
            Echo.n_static += 1
        body = json.dumps({"path": self.path, "headers": dict(self.headers.items())}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "public, max-age=60")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    n_static = 0

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@contextmanager
def echoing() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def front(nginx_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """In front of two nodes, of which one is not there."""
    with (
        echoing() as node,
        nginx(nginx_program, tmp_path_factory.mktemp("nginx"), [node, free_port()]) as running,
    ):
        yield running


class Named(HTTPSConnection):
    """A connection to the front that asks for this host, whatever resolves."""

    def __init__(self, front: Front, host: str, context: ssl.SSLContext) -> None:
        super().__init__("127.0.0.1", front.port, timeout=20)
        self._name, self._tls = host, context

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), 20)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self._name)


def ask(
    front: Front,
    path: str,
    method: str = "GET",
    *,
    host: str = HOST,
    body: bytes | None = None,
    certificate: bool = False,
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer. `headers` with underscores for dashes."""
    context = ssl.create_default_context(cafile=front.directory / "ca.pem")
    if certificate:
        context.load_cert_chain(front.directory / "client.pem", front.directory / "client.key")
    with closing(Named(front, host, context)) as connection:
        connection.putrequest(method, path, skip_host=True)
        for name, value in {"Host": host, **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response: HTTPResponse = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


def heard(
    front: Front, path: str, *arguments: str, host: str = HOST, certificate: bool = False, **headers: str
) -> dict[str, str]:
    """The headers that the node saw, names in lower case."""
    status, _, body = ask(front, path, *arguments, host=host, certificate=certificate, **headers)
    assert status == 200
    return {name.lower(): value for name, value in json.loads(body)["headers"].items()}


def test_the_configuration_is_sound(nginx_program: Path, tmp_path: Path) -> None:
    file = nginx_configuration(tmp_path, port=free_port(), plain_port=free_port(), nodes=[1, 2])
    command = [nginx_program, "-t", "-e", "stderr", "-p", tmp_path, "-c", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_a_node_hears_who_asked_and_nothing_that_the_asker_made_up(front: Front) -> None:
    made_up = {
        "X_Forwarded_For": "203.0.113.9",
        "X_Forwarded_Proto": "http",
        "X_Forwarded_Host": "evil.example",
        "X_Forwarded_Prefix": "/evil",
        "Forwarded": "for=203.0.113.9",
        "X_Client_Certificate": "made up",
        "Client_Cert": ":bWFkZSB1cA==:",
        "Client_Cert_Chain": ":bWFkZSB1cA==:",
    }
    for path in ("/authorize?x=1", "/login/abc/events", "/static/x.css", "/console/audit", "/token"):
        said = heard(front, path, **made_up)
        assert said["host"] == said["x-forwarded-host"] == HOST
        assert said["x-forwarded-proto"] == "https"
        assert said["x-forwarded-for"] == "127.0.0.1"
        assert not {name for name in said if "cert" in name or "prefix" in name or name == "forwarded"}


def test_a_client_certificate_is_handed_over_where_it_is_asked_for(front: Front) -> None:
    said = heard(front, "/token", "POST", host=MTLS_HOST, certificate=True, X_Client_Certificate="made up")
    handed = x509.load_pem_x509_certificate(unquote(said["x-client-certificate"]).encode())
    assert handed == x509.load_pem_x509_certificate((front.directory / "client.pem").read_bytes())
    without = heard(front, "/token", "POST", host=MTLS_HOST, X_Client_Certificate="made up")
    assert "x-client-certificate" not in without
    elsewhere = heard(front, "/token", "POST", certificate=True, X_Client_Certificate="made up")
    assert "x-client-certificate" not in elsewhere
    assert ask(front, "/authorize", host=MTLS_HOST, certificate=True)[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/login//events", "/a/../token", "/a/%2e%2e/token", "/a%2Ftoken", "/a%5ctoken", "/a\\token", "/token%00",
        "/token;x", "/./token", "/%74%0aoken", "/a%252f",
    ],
)  # fmt: skip
def test_a_path_with_a_second_spelling_is_refused(front: Front, path: str) -> None:
    assert ask(front, path)[0] == 400
    assert ask(front, path, host=MTLS_HOST)[0] == 400


def test_a_query_may_hold_whatever_it_likes(front: Front) -> None:
    query = "redirect_uri=https%3A%2F%2Fportal.example%2F..%2Fcb&state=a//b;c"
    status, _, body = ask(front, f"/authorize?{query}")
    assert status == 200
    assert json.loads(body)["path"] == f"/authorize?{query}"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_watches_over_it_is_not_shown_to_the_world(front: Front, path: str) -> None:
    assert ask(front, path)[0] == 404


def test_strange_methods_hosts_and_lengths_are_refused(front: Front) -> None:
    assert ask(front, "/", "TRACE")[0] == 405
    assert ask(front, "/", "CONNEKT")[0] == 405
    both = {"Transfer_Encoding": "chunked"}
    assert ask(front, "/token", "POST", body=b"0\r\n\r\n", **both)[0] == 400
    assert ask(front, "/token", "POST", body=b"x" * (1024 * 1024 + 1))[0] == 413
    with pytest.raises(ssl.SSLError):
        ask(front, "/", host="evil.example")


def test_plain_http_leads_to_https_for_our_host_alone(front: Front) -> None:
    with closing(HTTPConnection("127.0.0.1", front.plain_port, timeout=20)) as connection:
        connection.request("GET", "/a?b=c", headers={"Host": HOST})
        answered = connection.getresponse()
        assert (answered.status, answered.headers["Location"]) == (308, f"https://{HOST}/a?b=c")
    with closing(HTTPConnection("127.0.0.1", front.plain_port, timeout=20)) as connection:
        connection.request("GET", "/", headers={"Host": "evil.example"})
        with pytest.raises(ConnectionError):
            connection.getresponse()


def test_a_node_that_is_not_there_is_not_noticed(front: Front) -> None:
    assert {ask(front, f"/authorize?n={number}")[0] for number in range(6)} == {200}
    assert {ask(front, "/token", "POST", body=b"x=1")[0] for number in range(6)} == {200}


def test_style_is_kept_and_pages_are_not(front: Front) -> None:
    before = Echo.n_static
    first, second = ask(front, "/static/kept.css?v=1"), ask(front, "/static/kept.css?v=1")
    assert first[2] == second[2]
    assert Echo.n_static == before + 1


@pytest.mark.parametrize(("host", "path"), [(HOST, "/authorize"), (HOST, "/token"), (MTLS_HOST, "/token")])
def test_where_no_node_answers_somebody_is_told_to_come_later(
    nginx_program: Path, tmp_path: Path, host: str, path: str
) -> None:
    with nginx(nginx_program, tmp_path / "nginx", [free_port(), free_port()]) as alone:
        status, headers, body = ask(alone, path, host=host)
    assert (status, headers["Retry-After"], headers["Cache-Control"]) == (503, "5", "no-store")
    assert b"nginx" not in body
