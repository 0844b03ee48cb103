"""The one way out: a guarded HTTP client (decision D17).

An address to fetch from or to post to often comes from outside: a status list's from a credential, a logo's or a
logout address from a portal. So:

- https only, and only to public addresses. What an origin of `allow_origins` resolves to may be private,
  and its URL may be plain http; loopback in addition needs `allow_loopback`.
- The name is resolved once, its addresses judged, and the connection made to one of those judged: no second
  answer of the name server can move it. TLS and Host still carry the name.
- No redirects, no proxies from the environment, no cookies, no credentials, no retry.
- One limit on the time of the whole fetch, name resolution included, and one on the size of the body,
  before and after decompression.

Nothing is cached here; `Fetched.headers` has what a cache needs.
"""

import re
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpcore2

from idp import tracing

Address = IPv4Address | IPv6Address
Resolve = Callable[..., list[Any]]

MAX_URL_CHARS = 2048
MAX_CONNECTIONS = 16
# Short, so that a name that moves is followed soon: a kept connection stays with the address it was made to.
KEEPALIVE_S = 15.0
USER_AGENT = b"sinwon"
KEPT_HEADERS = frozenset({"age", "cache-control", "date", "etag", "expires", "last-modified"})
MAX_ANSWER_BYTES = 4096

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
# Name resolution takes 127.1, 2130706433 and 0x7f000001 for addresses, other parsers for names.
_ENDS_IN_A_NUMBER = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_URL = re.compile(r"[!#$%&'()*+,./0-9:;=?@A-Z_a-z~\[\]-]+")  # RFC 3986, all of it ASCII
_PORTS = {"http": 80, "https": 443}


class FetchError(Exception):
    """Nothing was fetched. `reason` is a fixed word or two; neither the URL nor the answer is in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FetchRefused(FetchError):
    """Our own rules forbid it; trying again changes nothing, and nothing was sent."""


class FetchFailed(FetchError):
    """It was allowed and did not work: network, TLS, time, size, a status other than 200."""


@dataclass(frozen=True)
class Fetched:
    """A 200's body, decompressed. Who it is from is what TLS says; what it says is not checked."""

    body: bytes
    content_type: str
    """The media type in lower case without parameters; empty when there was none."""
    headers: dict[str, str]
    """Names in lower case, of KEPT_HEADERS only."""


@dataclass(frozen=True)
class Rules:
    """Where one may go."""

    allow_origins: frozenset[str]
    allow_loopback: bool
    elsewhere: bool = True

    def permit(self, address: Address, *, listed: bool) -> bool:
        """Whether to connect to this address, for an origin that is or is not in allow_origins."""
        if isinstance(address, IPv6Address) and (inner := _embedded(address)) is not None:
            address = inner
        if address.is_loopback:
            return listed and self.allow_loopback
        if address.is_multicast or address.is_unspecified or address.is_link_local or address.is_reserved:
            # Link-local is where clouds keep their instances' credentials: forbidden to listed origins too.
            return False
        site_local = isinstance(address, IPv6Address) and address.is_site_local
        return listed or (address.is_global and not site_local)


class GuardedClient:
    """Fetches what may be fetched. Safe to share between threads; close it at the end.

    allow_origins lists exact origins, `https://host[:port]` or `http://host[:port]`, in lower case and without
    a path; a default port is left out. timeout_s limits a whole fetch and max_bytes a body, before and after
    decompression. With elsewhere=False there is nowhere to go but to them. tls replaces the system's certificate
    authorities, resolve the system's name resolution (called as socket.getaddrinfo is).

    Raises ValueError for an entry of allow_origins that is no origin.
    """

    def __init__(
        self,
        allow_origins: Collection[str],
        allow_loopback: bool,
        timeout_s: float,
        max_bytes: int,
        *,
        elsewhere: bool = True,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        for origin in allow_origins:
            if not _is_origin(origin):
                raise ValueError(
                    "allow_origins holds origins like https://host or http://host:port, nothing else"
                )
        self._rules = Rules(frozenset(allow_origins), allow_loopback, elsewhere)
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._backend = _Backend(self._rules, resolve)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls or httpcore2.default_ssl_context(),
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEPALIVE_S,
            network_backend=self._backend,
        )

    def get(self, url: str, *, accept: str) -> Fetched:
        """Fetch a URL. `accept` is the media type that is asked for; whether it came is the caller's check.

        Raises FetchRefused and FetchFailed.
        """
        with self._trip_to(url) as (target, trip):
            return self._fetch("GET", target, accept, trip)

    def check(self, url: str) -> None:
        """Say now what can be said of a URL that will be gone to later: names are not resolved, but for `localhost`.

        Raises FetchRefused.
        """
        target, listed = self._judged(url)
        local = target.host == "localhost" or target.host.endswith(".localhost")  # RFC 6761, section 6.3
        try:
            address = ip_address("127.0.0.1" if local else target.host.strip("[]"))
        except ValueError:
            return
        if not self._rules.permit(address, listed=listed):
            raise FetchRefused("address not public")

    def _judged(self, url: str) -> tuple["_Target", bool]:
        """A URL of a scheme that one may go to, and whether its origin is listed. Raises FetchRefused."""
        target = _read_url(url)
        listed = target.origin in self._rules.allow_origins
        if not listed and not self._rules.elsewhere:
            raise FetchRefused("not the origin that is set")
        if target.scheme != "https" and not listed:
            raise FetchRefused("https only")
        return target, listed

    @contextmanager
    def _trip_to(self, url: str) -> Iterator[tuple["_Target", "_Trip"]]:
        """A URL that one may go to, and the time there is for it; what goes wrong on the way is named."""
        # Not where to: an address may be in a credential, and be about one person.
        with tracing.span("fetch", kind="client") as told:
            try:
                yield from self._on_trip(url)
            except FetchError as error:
                told.say(outcome="failed", reason=error.reason)
                raise
            told.say(outcome="ok")

    def _on_trip(self, url: str) -> Iterator[tuple["_Target", "_Trip"]]:
        target, listed = self._judged(url)
        trip = _Trip(time.monotonic() + self._timeout_s, listed)
        token = _trip.set(trip)
        try:
            yield target, trip
        except (httpcore2.TimeoutException, TimeoutError) as error:
            raise FetchFailed("too slow") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise FetchFailed("network") from error
        finally:
            _trip.reset(token)

    def post(self, url: str, body: bytes, content_type: str) -> int:
        """Post to a URL; the status of the answer, whatever it is. A redirect is not followed.

        The answer's body is not kept. Where it is longer than MAX_ANSWER_BYTES the connection is given up, the
        status still counts.

        Raises FetchRefused and FetchFailed; after FetchFailed the message may have arrived all the same.
        """
        headers = [
            (b"Accept", b"*/*"),
            (b"Content-Type", content_type.encode("ascii")),
            (b"Content-Length", str(len(body)).encode("ascii")),
            (b"User-Agent", USER_AGENT),
        ]
        with self._trip_to(url) as (target, trip):
            headers.insert(0, target.host_header)
            extensions = {"timeout": {"pool": trip.left_s()}}
            with self._pool.stream(
                "POST", target.url, headers=headers, content=body, extensions=extensions
            ) as response:
                received = 0
                # What is read to its end leaves a connection that serves again.
                for chunk in response.iter_stream():
                    received += len(chunk)
                    if received > MAX_ANSWER_BYTES:
                        break
                return response.status

    def exchange(self, url: str, body: bytes, content_type: str, *, accept: str) -> Fetched:
        """Post to a URL; the body of its answer, which must be a 200. `accept` is as for `get`.

        Raises FetchRefused and FetchFailed; after FetchFailed the message may have arrived all the same.
        """
        headers = [
            (b"Content-Type", content_type.encode("ascii")),
            (b"Content-Length", str(len(body)).encode("ascii")),
        ]
        with self._trip_to(url) as (target, trip):
            return self._fetch("POST", target, accept, trip, headers=headers, content=body)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fetch(
        self,
        method: str,
        target: "_Target",
        accept: str,
        trip: "_Trip",
        *,
        headers: Collection[tuple[bytes, bytes]] = (),
        content: bytes | None = None,
    ) -> Fetched:
        sent = [
            target.host_header,
            (b"Accept", accept.encode("ascii")),
            (b"Accept-Encoding", b"gzip"),
            (b"User-Agent", USER_AGENT),
            *headers,
        ]
        extensions = {"timeout": {"pool": trip.left_s()}}
        with self._pool.stream(
            method, target.url, headers=sent, content=content, extensions=extensions
        ) as response:
            if response.status != 200:
                # A redirect too: where it points to has not been judged.
                raise FetchFailed(f"status {response.status}")
            received = _headers(response.headers)
            body = _body(response.iter_stream(), received.get("content-encoding", ""), self._max_bytes)
        return Fetched(
            body=body,
            content_type=received.get("content-type", "").partition(";")[0].strip().lower(),
            headers={name: value for name, value in received.items() if name in KEPT_HEADERS},
        )


@dataclass(frozen=True)
class _Target:
    scheme: str
    host: str
    """In lower case; an IPv6 address in its brackets."""
    port: int
    path: str
    """With the query."""

    @property
    def url(self) -> httpcore2.URL:
        return httpcore2.URL(
            scheme=self.scheme.encode("ascii"),
            host=self.host.strip("[]").encode("ascii"),
            port=self.port,
            target=self.path.encode("ascii"),
        )

    @property
    def host_header(self) -> tuple[bytes, bytes]:
        return b"Host", self.origin.partition("://")[2].encode("ascii")

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")


def origin_of(url: str) -> str:
    """The origin of a URL as `allow_origins` lists it. Raises FetchRefused for one that nobody here would go to."""
    return _read_url(url).origin


def _read_url(url: str) -> _Target:
    """Scheme, host and port of a URL that every parser reads alike. Raises FetchRefused for others."""
    if len(url) > MAX_URL_CHARS or not _URL.fullmatch(url):
        raise FetchRefused("not a URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchRefused("not a URL") from error
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    if scheme not in _PORTS:
        raise FetchRefused("https only")
    if "@" in parts.netloc:
        raise FetchRefused("a URL with user information")
    if "#" in url:
        raise FetchRefused("a URL with a fragment")
    if _is_ipv6(host):
        host = f"[{host}]"
    elif not _HOST.fullmatch(host) or (_ENDS_IN_A_NUMBER.fullmatch(host) and not _is_ipv4(host)):
        raise FetchRefused("not a URL")
    if port == 0 or parts.netloc.endswith(":"):
        raise FetchRefused("not a URL")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Target(scheme, host, port or _PORTS[scheme], path)


def _is_origin(text: str) -> bool:
    try:
        return _read_url(text).origin == text
    except FetchRefused:
        return False


def _is_ipv6(text: str) -> bool:
    try:
        return IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _is_ipv4(text: str) -> bool:
    """In four decimal parts, as everybody reads it."""
    try:
        return str(IPv4Address(text)) == text
    except ValueError:
        return False


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a connection to this IPv6 address may end up at."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


@dataclass
class _Trip:
    """One fetch under way: when it must be over, and whether its origin is listed."""

    deadline: float
    listed: bool

    def left_s(self) -> float:
        """Seconds left; raises TimeoutError when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


# A fetch runs in one thread (or greenlet) from end to end; the connection pool in between knows nothing of it.
_trip: ContextVar[_Trip] = ContextVar("trip")


class _Backend(httpcore2.NetworkBackend):
    """Makes connections to judged addresses only, within the time that is left."""

    def __init__(self, rules: Rules, resolve: Resolve) -> None:
        self._rules = rules
        self._resolve_name = resolve
        self._sockets = httpcore2.SyncBackend()
        # getaddrinfo knows no time limit; it is waited for from outside.
        self._resolvers = ThreadPoolExecutor(MAX_CONNECTIONS, thread_name_prefix="fetch-resolver")

    def close(self) -> None:
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        trip = _trip.get()
        permitted = [
            address
            for address in self._resolve(host, port, trip)
            if self._rules.permit(address, listed=trip.listed)
        ]
        for tried, address in enumerate(permitted):
            # One address that swallows packets leaves time for the others.
            patience_s = trip.left_s() / (len(permitted) - tried)
            try:
                return _Stream(self._sockets.connect_tcp(str(address), port, timeout=patience_s))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if address is permitted[-1]:
                    raise
        raise FetchRefused("address not public")

    def _resolve(self, host: str, port: int, trip: _Trip) -> list[Address]:
        found = self._resolvers.submit(self._resolve_name, host, port, type=socket.SOCK_STREAM)
        try:
            answers = found.result(timeout=trip.left_s())
        except UnicodeError as error:  # a label that IDNA does not take
            raise FetchRefused("not a URL") from error
        return list(dict.fromkeys(ip_address(answer[4][0]) for answer in answers))


class _Stream(httpcore2.NetworkStream):
    """A connection whose every step may last until the end of the fetch that uses it now."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _trip.get().left_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _trip.get().left_s())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        try:
            left_s = _trip.get().left_s()
        except TimeoutError:
            self.close()
            raise
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _body(chunks: Iterable[bytes], encoding: str, max_bytes: int) -> bytes:
    received = _at_most(max_bytes, chunks)
    match encoding.strip().lower():
        case "" | "identity":
            return b"".join(received)
        case "gzip" | "x-gzip":
            return b"".join(_gunzip(received, max_bytes))
        case _:
            raise FetchFailed("content encoding")


def _at_most(max_bytes: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > max_bytes:
            raise FetchFailed("too large")
        yield chunk


def _gunzip(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Decompress one gzip member, never more than a byte beyond the limit."""
    gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    room = max_bytes + 1
    for chunk in chunks:
        try:
            plain = gzip.decompress(chunk, room)
        except zlib.error as error:
            raise FetchFailed("content encoding") from error
        room -= len(plain)
        if room <= 0:
            raise FetchFailed("too large")
        if gzip.unused_data:
            raise FetchFailed("content encoding")
        yield plain
    if not gzip.eof:
        raise FetchFailed("content encoding")
