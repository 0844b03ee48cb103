"""The TLS front: what it lets through, what it adds, whom it does not shake hands with."""

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask, Response, request

from idp.demo import pki, tls_front

from .conftest import listening


@contextmanager
def front_for(app: Flask, directory: Path) -> Iterator[str]:
    """Start a front for an application; its base URL. It trusts clients of the CA at `directory/clients`."""
    ca = pki.keep_ca(directory / "ca", "Test CA")
    pki.keep_leaf(directory / "server", "Test server", ca, ("localhost",))
    clients = pki.keep_ca(directory / "clients", "Test client CA")
    pki.keep_leaf(directory / "client", "client", clients)
    with listening(app) as behind:
        context = tls_front.tls_context(
            directory / "server.pem", directory / "server.key", directory / "clients.pem"
        )
        here = f"http://127.0.0.1:{behind.port}"
        front = tls_front.Front(("127.0.0.1", 0), context, {"/": here, "/other/": f"{here}/inside"})
        thread = threading.Thread(target=front.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"https://localhost:{front.server_address[1]}"
        finally:
            front.shutdown()
            thread.join()
            front.server_close()


def client(directory: Path, certificate: str | None = None) -> httpx2.Client:
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    if certificate:
        context.load_cert_chain(directory / f"{certificate}.pem", directory / f"{certificate}.key")
    return httpx2.Client(verify=context, trust_env=False)


@pytest.fixture
def echo() -> Flask:
    app = Flask("echo")

    @app.route("/", defaults={"path": ""}, methods=["GET", "POST"])
    @app.route("/<path:path>", methods=["GET", "POST"])
    def say(path: str) -> dict[str, object]:
        return {
            "path": f"/{path}",
            "query": request.query_string.decode(),
            "headers": [[name.lower(), value] for name, value in request.headers],
            "body": request.get_data(as_text=True),
        }

    return app


@pytest.fixture
def base(echo: Flask, tmp_path: Path) -> Iterator[str]:
    with front_for(echo, tmp_path) as url:
        yield url


def test_a_request_arrives_as_it_was_sent(base: str, tmp_path: Path) -> None:
    with client(tmp_path) as http:
        seen = http.post(f"{base}/a/b?x=1&x=%20", content="name=value").json()
    assert (seen["path"], seen["query"], seen["body"]) == ("/a/b", "x=1&x=%20", "name=value")


def test_a_path_can_have_a_place_of_its_own(base: str, tmp_path: Path) -> None:
    with client(tmp_path) as http:
        assert http.get(f"{base}/other/room?x=1").json()["path"] == "/inside/room"


def test_without_a_client_certificate_there_is_no_header_for_one(base: str, tmp_path: Path) -> None:
    with client(tmp_path) as http:
        headers = dict(http.get(base).json()["headers"])
    assert "client-cert" not in headers
    assert headers["x-forwarded-proto"] == "https"


def test_a_known_client_certificate_is_handed_over_as_rfc_9440_writes_it(base: str, tmp_path: Path) -> None:
    with client(tmp_path, "client") as http:
        headers = dict(http.get(base).json()["headers"])
    der = pki.load(tmp_path / "client").certificate.public_bytes(Encoding.DER)
    assert headers["client-cert"] == f":{base64.b64encode(der).decode()}:"


@pytest.mark.parametrize(
    "name",
    [
        "Client-Cert",
        "client_cert",
        "Client-Cert-Chain",
        "X-SSL-Client-Cert",
        "X-Forwarded-Proto",
        "Forwarded",
    ],
)
def test_what_only_a_proxy_may_say_is_taken_out_of_what_comes_from_outside(
    base: str, tmp_path: Path, name: str
) -> None:
    with client(tmp_path) as http:
        headers = http.get(base, headers={name: "forged"}).json()["headers"]
    assert "forged" not in {value for _, value in headers}


def test_a_certificate_that_nobody_knows_ends_the_handshake(base: str, tmp_path: Path) -> None:
    pki.save(tmp_path / "stranger", pki.make_leaf("stranger", pki.make_ca("Another CA")))
    with client(tmp_path, "stranger") as http, pytest.raises(httpx2.TransportError):
        http.get(base)


def test_old_tls_is_refused(base: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("AES128-SHA:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    port = int(base.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        pytest.raises(OSError, match=r"(?i)handshake|reset"),
    ):
        context.wrap_socket(plain)


def test_what_a_stream_says_comes_through_at_once(tmp_path: Path) -> None:
    app, heard = Flask("stream"), threading.Event()

    @app.get("/")
    def stream() -> Response:
        def events() -> Iterator[str]:
            yield "first\n"
            # Only a reader who has the first line already lets the second one come.
            yield "second\n" if heard.wait(10) else "late\n"

        return Response(events(), content_type="text/event-stream")

    with front_for(app, tmp_path) as url, client(tmp_path) as http, http.stream("GET", url) as response:
        lines = response.iter_lines()
        assert next(lines) == "first"
        heard.set()
        assert next(lines) == "second"


def test_a_client_that_says_nothing_holds_up_nobody(base: str, tmp_path: Path) -> None:
    port = int(base.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)), client(tmp_path) as http:
        assert http.get(base).status_code == 200
