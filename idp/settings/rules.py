"""What a value may be, beyond its type. A refusal says what is expected and never repeats the value."""

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from sqlalchemy.exc import ArgumentError

from idp import postgresql

_STORE_SCHEMES = {"redis", "rediss"} | {
    f"{scheme}+{kind}" for scheme in ("redis", "rediss") for kind in ("sentinel", "cluster")
}
_UNSAFE_LINK_SCHEMES = {"javascript", "data", "vbscript", "file", "blob", "about"}
_DEFAULT_PORTS = {"http": 80, "https": 443}

JWKS_MAX_AGE_S = 300
"""How long others may keep our key set."""
KEY_MARGIN_S = 120
"""A process's picture of the keys is a minute old at most, and clocks differ."""


class NotAcceptable(ValueError):
    """The value is not one this setting can have; the text says what is expected."""


def is_loopback(host: str) -> bool:
    """Whether this host, name or address, is loopback, however it is spelled. Names are not resolved."""
    address = _address(host)
    if address is None:
        name = host.rstrip(".").lower()
        return name == "localhost" or name.endswith(".localhost")
    return address.is_loopback


def is_this_machine(host: str) -> bool:
    """Whether a connection to this host stays here: loopback, or unspecified, which connects to loopback."""
    address = _address(host)
    return is_loopback(host) or (address is not None and address.is_unspecified)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))  # 127.1, 2130706433, 0x7f.1
        except (OSError, UnicodeEncodeError):
            return None
    return getattr(address, "ipv4_mapped", None) or address


def split_url(value: str) -> SplitResult:
    """The parts of a URL in printable ASCII whose port, if any, is a number."""
    try:
        parts = urlsplit(value)
        _ = parts.port, parts.hostname
    except ValueError:
        raise NotAcceptable("expected a URL") from None
    if not value.isascii() or not value.isprintable() or " " in value:
        raise NotAcceptable("expected a URL in printable ASCII without spaces")
    return parts


def origin(value: str) -> str:
    """`scheme://host[:port]`, written the one way browsers write it, so that comparing strings is enough."""
    parts = split_url(value)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise NotAcceptable("expected https://host or https://host:port")
    if parts.path or "?" in value or "#" in value or "@" in parts.netloc:
        raise NotAcceptable(
            "expected scheme, host and port alone: no path, trailing slash, query, fragment or user"
        )
    if f"{parts.scheme}://{parts.netloc.lower()}" != value:
        raise NotAcceptable("expected scheme and host in lower case")
    if parts.netloc.endswith(":") or parts.port == _DEFAULT_PORTS[parts.scheme]:
        raise NotAcceptable("leave the default port out")
    return value


def issuer(value: str) -> str:
    """The issuer: an origin, since well-known documents and `__Host-` cookies live at its root."""
    origin(value)
    if value.startswith("http://") and not is_loopback(urlsplit(value).hostname or ""):
        raise NotAcceptable("expected https")
    return value


def near(value: str) -> str:
    """The origin of something of the operator's: https, or http on this machine."""
    origin(value)
    if value.startswith("http://") and not is_loopback(urlsplit(value).hostname or ""):
        raise NotAcceptable("expected https, or http on this machine")
    return value


def relay(value: str) -> str:
    """Where a WebSocket is opened: `wss://host[:port]/path`, or ws on this machine."""
    parts = split_url(value)
    if parts.scheme not in {"ws", "wss"} or not parts.hostname:
        raise NotAcceptable("expected wss://host:port/path")
    if parts.query or "#" in value or "@" in parts.netloc:
        raise NotAcceptable("expected no query, fragment or user")
    if parts.scheme == "ws" and not is_loopback(parts.hostname):
        raise NotAcceptable("expected wss, or ws on this machine")
    return value


def service_codes(values: tuple[str, ...]) -> tuple[str, ...]:
    if not all(
        len(value) <= 50 and re.fullmatch(r"[A-Za-z0-9]+(\.[A-Za-z0-9]+)+", value) for value in values
    ):
        raise NotAcceptable("expected service codes as the operator gives them: mep.2")
    return values


def optional(rule: Callable[[str], str]) -> Callable[[str], str]:
    """The rule, for a setting that may be left empty."""
    return lambda value: rule(value) if value else value


def header_name(value: str) -> str:
    if value and not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", value):
        raise NotAcceptable("expected the name of an HTTP header, or nothing")
    return value


def base_url(value: str) -> str:
    """What paths of an API are appended to: an http(s) address without query, fragment or slash at its end."""
    parts = split_url(value)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        raise NotAcceptable("expected https://host/path")
    if "?" in value or "#" in value or value.endswith("/"):
        raise NotAcceptable("expected no query, no fragment and no slash at the end")
    return value


def trace_endpoint(value: str) -> str:
    base_url(value)
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        raise NotAcceptable("needs packages: pip install 'sinwon[otel]'")
    return value


def key_url(value: str) -> str:
    """The URL of a key in a DID document, with the version of the document."""
    if not re.fullmatch(r"did:[a-z0-9]+:[A-Za-z0-9._:%-]+\?versionId=[0-9]+#[A-Za-z0-9_.-]+", value):
        raise NotAcceptable("expected did:method:identifier?versionId=1#key")
    return value


def origins(values: tuple[str, ...]) -> tuple[str, ...]:
    for number, value in enumerate(values, 1):
        try:
            origin(value)
        except NotAcceptable as error:
            raise NotAcceptable(f"entry {number}: {error}") from None
    return values


def listener(value: str) -> str:
    """`host:port`, `[::1]:port` or `unix:/path`; port 0 is not taken, since the issuer must name it."""
    if re.fullmatch(r"unix:/[^\s]+", value):
        return value
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})", value)
    if not match or not 0 < int(match[2]) < 65536:
        raise NotAcceptable("expected host:port, [::1]:port or unix:/path")
    return value


def address(value: str) -> str:
    """`host:port` or `[::1]:port`."""
    if value.startswith("unix:"):
        raise NotAcceptable("expected host:port or [::1]:port")
    return listener(value)


def database(value: str) -> str:
    """`sqlite:///path` (four slashes before an absolute one) or `postgresql://user:password@host/name`."""
    try:
        url = postgresql.read_url(value)
    except (ArgumentError, ValueError):
        raise NotAcceptable("expected sqlite:///path or postgresql://user:password@host/name") from None
    if url.drivername not in {"sqlite", "postgresql", "postgresql+psycopg"}:
        raise NotAcceptable("expected sqlite:///path or postgresql://user:password@host/name")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise NotAcceptable(
            "expected the path of a file" if url.drivername == "sqlite" else "expected a database name"
        )
    return value


def store(value: str) -> str:
    if not value:
        return value
    scheme = value.partition(":")[0]
    if scheme not in _STORE_SCHEMES:
        try:
            return database(value)
        except NotAcceptable:
            raise NotAcceptable(
                "expected nothing (beside the database), redis://host:port/0, sqlite:///path or postgresql://…"
            ) from None
    if not re.match(r"[^/?#]*://[^/?#]", value):
        raise NotAcceptable(f"expected a host after {scheme}://")
    path = value.partition("://")[2].partition("?")[0].partition("/")[2]
    if scheme.endswith("+sentinel") and not path.partition("/")[0]:
        raise NotAcceptable(
            f"expected the service that Sentinel watches: {scheme}://host:port,host:port/service"
        )
    if scheme.endswith("+cluster") and path not in ("", "0"):
        raise NotAcceptable("expected no database: a Cluster has one")
    return value


def link(value: str) -> str:
    """What a wallet's link begins with: a wallet's own scheme, or an http(s) address without fragment."""
    parts = split_url(value)
    if not re.match(r"[a-z][a-z0-9+.-]*://", value) or parts.scheme in _UNSAFE_LINK_SCHEMES:
        raise NotAcceptable("expected scheme:// or https://host/path")
    if "#" in value or re.search(r"[\"'<>\\`{}|^]", value):
        raise NotAcceptable("expected no fragment and no quotes, brackets or backslashes")
    if parts.scheme in _DEFAULT_PORTS and (not parts.hostname or "@" in parts.netloc):
        raise NotAcceptable("expected a host and no user")
    return value


def readable_file(value: str) -> str:
    # The name is not repeated: what was pasted here may be the key itself.
    try:
        with Path(value).open("rb"):
            return value
    except OSError as error:
        raise NotAcceptable(f"the file cannot be read: {error.strerror}") from None
    except ValueError:
        raise NotAcceptable("expected the path of a file") from None


def hsm_module(value: str) -> str:
    readable_file(value)
    if find_spec("pkcs11") is None:
        raise NotAcceptable("needs a package: pip install 'sinwon[hsm]'")
    return value


def location_database(value: str) -> str:
    readable_file(value)
    try:
        import maxminddb  # noqa: PLC0415  # of the extra `location`
    except ImportError:
        raise NotAcceptable("needs a package: pip install 'sinwon[location]'") from None
    try:
        maxminddb.open_database(value).close()
    except (maxminddb.InvalidDatabaseError, OSError, ValueError):
        raise NotAcceptable("expected a file in the MaxMind DB format") from None
    return value


def scopes(values: tuple[str, ...]) -> tuple[str, ...]:
    """What a portal may ask for; which of them there are is known upstairs."""
    if "openid" not in values or not all(re.fullmatch(r"[a-z][a-z0-9_]{0,63}", value) for value in values):
        raise NotAcceptable("expected names of scopes, openid among them")
    return values


def entry_ids(values: tuple[str, ...]) -> tuple[str, ...]:
    """Ids of entries of the trust registry; which there are, the registry knows."""
    if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value) for value in values):
        raise NotAcceptable("expected ids of credential types")
    return values


def readable_files(values: tuple[str, ...]) -> tuple[str, ...]:
    for number, value in enumerate(values, 1):
        try:
            readable_file(value)
        except NotAcceptable as error:
            raise NotAcceptable(f"entry {number}: {error}") from None
    return values


_MAX_ANNOUNCEMENTS, _MAX_ANNOUNCED_CHARS = 50, 500


class Announced(Protocol):
    """A planned time, with words for it by language."""

    @property
    def since(self) -> datetime: ...
    @property
    def until(self) -> datetime: ...
    @property
    def text(self) -> Mapping[str, str]: ...


def announcements(values: Sequence[Announced]) -> Sequence[Announced]:
    if len(values) > _MAX_ANNOUNCEMENTS:
        raise NotAcceptable(f"expected at most {_MAX_ANNOUNCEMENTS}")
    for number, one in enumerate(values, 1):
        if one.since.tzinfo is None or one.until.tzinfo is None:
            raise NotAcceptable(
                f"entry {number}: expected times with an offset, as 2027-01-31T01:00:00+09:00"
            )
        if one.since >= one.until:
            raise NotAcceptable(f"entry {number}: expected from to be before until")
        if set(one.text) != {"ko", "en"} or not all(
            0 < len(words) <= _MAX_ANNOUNCED_CHARS for words in one.text.values()
        ):
            raise NotAcceptable(f"entry {number}: expected text in ko and en, of 1 to 500 characters each")
    return values
