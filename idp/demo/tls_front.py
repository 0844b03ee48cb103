"""TLS in front of what listens on loopback: the reverse proxy of a conformance run.

TLS 1.3, and TLS 1.2 with the cipher suites of RFC 9325, section 4.2. A client is asked for a certificate and need
not have one. One that is issued under, or is, a certificate of `client_certificates` is handed over as RFC 9440
writes it (`Client-Cert`); what else a client holds ends the handshake. Headers that only a proxy may write are
taken out of what comes from outside.

Not for anything but tests: one thread a connection, no limits on time or size beyond the obvious.
"""

import base64
import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CERTIFICATE_HEADER = "Client-Cert"
_IDLE_S = 120
_MAX_BODY_BYTES = 2_000_000
_CHUNK_BYTES = 65_536
_CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip
_WRITTEN_BY_PROXIES = ("client-cert", "forwarded", "x-client-cert", "x-forwarded-", "x-real-ip", "x-ssl-")


_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")


def tls_context(certificate: Path, key: Path, client_certificates: Path) -> ssl.SSLContext:
    """For a server with this certificate chain (PEM). `client_certificates` (PEM) are the clients' anchors."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client_certificates)
    context.verify_mode = ssl.CERT_OPTIONAL
    # A client's self-signed certificate is its own anchor, without being an authority.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


class Front(ThreadingHTTPServer):
    """Listens on `address` and passes requests on.

    `routes` are loopback origins by the first part of the path that they serve, written `/part/`; that part is
    replaced by the origin's own path. `/` takes the rest: `{"/": "http://127.0.0.1:8000"}`.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, routes: Mapping[str, str]) -> None:
        self._context = context
        self._routes = sorted(routes.items(), key=lambda route: -len(route[0]))
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """The handshake waits for the connection's own thread, so that a silent client holds up nobody."""
        connection, peer = super().get_request()
        connection.settimeout(_IDLE_S)
        wrapped = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return wrapped, peer

    def handle_error(self, request: object, client_address: object) -> None:
        """A handshake that failed or a client that left is no news; request lines carry codes."""

    def destination(self, target: str) -> tuple[str, str]:
        """Host with port, and the path with query, that a request target is passed on to."""
        part, origin = next(route for route in self._routes if target.startswith(route[0]))
        parts = urlsplit(origin)
        return parts.netloc, f"{parts.path}/{target.removeprefix(part)}" if part != "/" else target


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Front
    connection: ssl.SSLSocket

    def setup(self) -> None:
        self.request.do_handshake()
        super().setup()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: request lines carry codes."""

    def __getattr__(self, name: str) -> Any:
        """`do_GET` and its like, which the base class looks for."""
        if name.removeprefix("do_") in _METHODS:
            return self._pass_on
        raise AttributeError(name)

    def _pass_on(self) -> None:
        """Send the request to its destination and the answer back."""
        length = int(self.headers.get("Content-Length") or 0)
        if not self.path.startswith("/") or "Transfer-Encoding" in self.headers or length > _MAX_BODY_BYTES:
            self.send_error(400)
            self.close_connection = True
            return
        body = self.rfile.read(length) if length else None
        host, target = self.server.destination(self.path)
        backend = http.client.HTTPConnection(host, timeout=_IDLE_S)
        try:
            backend.putrequest(self.command, target, skip_host=True, skip_accept_encoding=True)
            for name, value in self._headers():
                backend.putheader(name, value)
            backend.endheaders(body)
            self._answer(backend.getresponse())
        except (OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            backend.close()

    def _headers(self) -> Iterator[tuple[str, str]]:
        """What came from outside, less what only a proxy may say, and what this proxy says."""
        for name, value in self.headers.items():
            # An underscore reads like a hyphen once a name has become a CGI variable.
            known_as = name.lower().replace("_", "-")
            if known_as not in _HOP_BY_HOP and not known_as.startswith(_WRITTEN_BY_PROXIES):
                yield name, value
        yield "X-Forwarded-For", str(self.client_address[0])
        yield "X-Forwarded-Proto", "https"
        yield "X-Forwarded-Host", self.headers.get("Host", "")
        yield "Connection", "close"
        certificate = self.connection.getpeercert(binary_form=True)
        if certificate:
            yield CERTIFICATE_HEADER, f":{base64.b64encode(certificate).decode('ascii')}:"

    def _answer(self, response: http.client.HTTPResponse) -> None:
        """Status, headers and body; a body of unknown length goes out as it comes in (event streams)."""
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        has_body = self.command != "HEAD" and response.status >= 200 and response.status not in (204, 304)
        chunked = has_body and response.getheader("Content-Length") is None
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if not has_body:
            return
        while piece := response.read1(_CHUNK_BYTES):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
