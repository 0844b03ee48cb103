"""What can be set. `config.example.toml` says what each field means; units stand in the names."""

from __future__ import annotations

import hmac
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, NoReturn
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, field
from sqlalchemy.engine import make_url

from idp import postgresql
from idp.settings.rules import is_loopback

Seconds = Annotated[int, Meta(ge=1, le=366 * 86400)]


class Secret:
    """Bytes that do not show themselves: `reveal()` gives them, and what it gives belongs in no record."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not serialised")


class Pin(Secret):
    """A secret that people type, as it is. It comes from a file of its own or the environment, never from TOML."""

    __slots__ = ()


class Url(str):
    """A URL whose repr leaves out credentials and query, where passwords stand."""

    __slots__ = ()

    def __repr__(self) -> str:
        scheme, separator, rest = self.partition("://")
        place, question, _ = rest.rpartition("@")[2].partition("?")
        return repr(scheme + separator + ("***@" if "@" in rest else "") + place + (question and "?***"))


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the file."""


class Server(Section, frozen=True, kw_only=True):
    """How the HTTP server runs. `bind` and `monitor_bind` are `host:port`, `[::1]:port` or `unix:/path`.

    `monitor_bind`: where health and metrics are answered, and nowhere else; empty: health beside everything else, and
    no metrics.
    """

    bind: str = "127.0.0.1:8080"
    monitor_bind: str = ""
    threads: Annotated[int, Meta(ge=1, le=256)] = 8
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    max_requests: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    busy_ms: Annotated[int, Meta(ge=0, le=60_000)] = 100
    trusted_proxies: Annotated[int, Meta(ge=0, le=8)] = 0
    max_body_bytes: Annotated[int, Meta(ge=16_384, le=16_777_216)] = 1_048_576
    max_form_bytes: Annotated[int, Meta(ge=4_096, le=1_048_576)] = 65_536
    client_certificate_header: str = ""
    client_certificate_authorities_file: str = ""
    mtls_base_url: str = ""


class Worker(Section, frozen=True, kw_only=True):
    """How `idp worker` runs. `monitor_bind`, `host:port`: where its health and metrics are; empty: nowhere."""

    monitor_bind: str = ""


class Log(Section, frozen=True, kw_only=True):
    """What processes write to standard error: lines for people, or one JSON object a line."""

    format: Literal["text", "json"] = "text"


class Tracing(Section, frozen=True, kw_only=True):
    """What an OpenTelemetry collector is told, by OTLP over HTTP at `endpoint`; empty: nothing.

    `ratio` of the requests is traced.
    """

    endpoint: str = ""
    ratio: Annotated[float, Meta(ge=0, le=1)] = 1.0


class Database(Section, frozen=True, kw_only=True):
    """What lives for years. Use `Settings.database_url`, which is absolute and names the driver."""

    url: Url = Url("sqlite:///var/sinwon.db")


class Store(Section, frozen=True, kw_only=True):
    """What lives for minutes. Use `Settings.store_url`; an empty `url` means beside the database."""

    url: Url = Url("")


class Secrets(Section, frozen=True, kw_only=True):
    """`key_encryption_key` is 32 bytes and seals signing keys; `pepper` is 32 to 256 and hides persons.

    `next_key_encryption_key` is there while the first one is being changed (`idp keys rewrap`). Either may be made by
    an HSM instead (`Hsm`); then it is empty here. Use `idp.key_encryption.of`.
    """

    key_encryption_key: Secret = Secret(b"")
    next_key_encryption_key: Secret = Secret(b"")
    pepper: Secret


class Hsm(Section, frozen=True, kw_only=True):
    """Keys in an HSM: a PKCS#11 `module`, the label of its `token` and the user's `pin`. Off while `module` is empty.

    `signing_keys`: new signing keys are made there. The others are labels of keys in the token; empty: that key is
    elsewhere.
    """

    module: str = ""
    token: str = ""
    pin: Pin = Pin(b"")
    signing_keys: bool = True
    wallet_key: str = ""
    opendid_key: str = ""
    key_encryption_key: str = ""
    next_key_encryption_key: str = ""


class Lifetimes(Section, frozen=True, kw_only=True):
    """Decision D19, and how long a signing key is published before and after it signs."""

    login_ttl_s: Seconds = 600
    login_max_s: Seconds = 1800
    fetched_extra_s: Seconds = 300
    qr_offered_s: Seconds = 120
    code_ttl_s: Annotated[int, Meta(ge=1, le=60)] = 60
    access_token_ttl_s: Annotated[int, Meta(ge=1, le=3600)] = 300
    id_token_ttl_s: Annotated[int, Meta(ge=1, le=600)] = 300
    session_idle_s: Annotated[int, Meta(ge=1, le=86400)] = 900
    session_max_s: Annotated[int, Meta(ge=1, le=86400)] = 28800
    key_publish_s: Seconds = 86400
    key_retire_s: Seconds = 86400
    key_rotate_s: Annotated[int, Meta(ge=0, le=10 * 366 * 86400)] = 90 * 86400
    pushed_request_ttl_s: Annotated[int, Meta(ge=5, le=600)] = 60
    device_code_ttl_s: Annotated[int, Meta(ge=60, le=1800)] = 600
    device_interval_s: Annotated[int, Meta(ge=1, le=60)] = 5
    refresh_token_ttl_s: Seconds = 28800
    offline_refresh_token_ttl_s: Seconds = 30 * 86400
    credential_watch_s: Annotated[int, Meta(ge=0, le=86400)] = 300
    audit_days: Annotated[int, Meta(ge=31, le=36525)] = 731


class Wallet(Section, frozen=True, kw_only=True):
    """How we present ourselves to wallets: a certificate (PEM, leaf first, no root) and its private key.

    `private_key_file` is empty where the key is in an HSM (`hsm.wallet_key`).
    `dc_api`: also ask through the browser, where it has the Digital Credentials API.
    """

    client_id_prefix: Literal["x509_hash", "x509_san_dns"] = "x509_hash"
    certificate_file: str
    private_key_file: str = ""
    link: str = "openid4vp://"
    request_ttl_s: Annotated[int, Meta(ge=30, le=1800)] = 600
    dc_api: bool = True


class OpenDid(Section, frozen=True, kw_only=True):
    """How we present ourselves to Open DID wallets, and whom we ask about them. Off while all of it is empty.

    `verification_method` is the URL of our key in our DID document, which is registered at the registry. The key is in
    `private_key_file` (PEM, P-256) or in an HSM (`hsm.opendid_key`).
    """

    verification_method: str = ""
    private_key_file: str = ""
    certificate_vc_url: str = ""
    registry_url: str = ""
    document_ttl_s: Annotated[int, Meta(ge=1, le=3600)] = 60

    @property
    def is_on(self) -> bool:
        return bool(self.verification_method)


class Mip(Section, frozen=True, kw_only=True):
    """The national 모바일신분증 app. Off while `backend` is empty; `simulator` is refused in production.

    `daemon` is the origin of the operator's verifier daemon. `secure_services` are those of the credential
    types' service codes (`formats.mip.names`) that ask for PIN and face. `relay` is where the app's own QR
    codes are answered.
    """

    backend: Literal["", "rest", "simulator"] = ""
    daemon: str = ""
    daemon_timeout_s: Annotated[float, Meta(ge=0.1, le=60)] = 10.0
    secure_services: tuple[str, ...] = ("mep.2",)
    relay: str = ""
    relay_timeout_s: Annotated[float, Meta(ge=1, le=300)] = 60.0


class Fetch(Section, frozen=True, kw_only=True):
    """The guarded HTTP client (decision D17). `allow` lists origins that may resolve to private addresses."""

    allow: tuple[str, ...] = ()
    timeout_s: Annotated[float, Meta(ge=0.1, le=30)] = 3.0
    max_bytes: Annotated[int, Meta(ge=1024, le=67_108_864)] = 2_000_000


class Requests(Section, frozen=True, kw_only=True):
    """What authorization requests may do. `by_reference`: fetch request objects from registered `request_uris`.

    `implicit`: ask for tokens through the browser; a test bed's setting, refused in production.
    """

    by_reference: bool = False
    implicit: bool = False


class Registration(Section, frozen=True, kw_only=True):
    """Dynamic registration. `open`: without an invitation; a test bed's setting, refused in production.

    `scopes` are all that a portal can register by itself. Each of `software_statement_files` is a JWK Set whose extra
    member `issuer` says whose keys they are.
    """

    open: bool = False
    require_pkce: bool = True
    scopes: tuple[str, ...] = ("openid", "profile")
    software_statement_files: tuple[str, ...] = ()
    per_minute_per_ip: Annotated[int, Meta(ge=1, le=100_000)] = 30


class Holder(Section, frozen=True, kw_only=True):
    """Limits on what one holder may try, and by what one is found again.

    `codes_per_hour_per_network`: sign-ins at one portal, from one /24 or /48, that are offered a QR code.
    `location_database`: a MaxMind DB file; empty: nobody is warned that phone and screen are far apart.
    `with_ci`: ask for 연계정보 (CI), which joins one person's cards; the deployment must be approved for it.
    """

    logins_per_minute_per_ip: Annotated[int, Meta(ge=1, le=100_000)] = 60
    codes_per_hour_per_network: Annotated[int, Meta(ge=1, le=10_000_000)] = 3000
    location_database: str = ""
    wrong_numbers: Annotated[int, Meta(ge=1, le=10)] = 3
    with_ci: bool = False


class Console(Section, frozen=True, kw_only=True):
    """The administrators' console at `/console`, and the admin API at `/admin/api/v1`.

    `enabled` is the console's, `api` the API's. `credential_types`: by which cards an administrator may sign in;
    empty: by any. `approvals`: a change of a portal takes a second person. Times are seconds.
    """

    enabled: bool = True
    api: bool = True
    credential_types: tuple[str, ...] = ()
    approvals: bool = True
    idle_s: Annotated[int, Meta(ge=60, le=86_400)] = 600
    max_s: Annotated[int, Meta(ge=300, le=86_400)] = 28_800


class Maintenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time at which signing in may not work: what `/status` announces, in every language."""

    since: datetime = field(name="from")
    until: datetime
    text: dict[str, str]

    @property
    def since_s(self) -> int:
        """Seconds since the epoch."""
        return int(self.since.timestamp())

    @property
    def until_s(self) -> int:
        """Seconds since the epoch."""
        return int(self.until.timestamp())


class Languages(Section, frozen=True, kw_only=True):
    """The language where neither the portal nor the browser asks for one of ours."""

    default: Literal["ko", "en"] = "ko"


class Settings(Section, frozen=True, kw_only=True):
    """Everything a deployment decides. Made by `load`, which checks more than the types say."""

    mode: Literal["demo", "sandbox", "production"] = "production"
    issuer: str
    maintenance: tuple[Maintenance, ...] = ()
    server: Server = field(default_factory=Server)
    worker: Worker = field(default_factory=Worker)
    log: Log = field(default_factory=Log)
    tracing: Tracing = field(default_factory=Tracing)
    database: Database = field(default_factory=Database)
    store: Store = field(default_factory=Store)
    secrets: Secrets
    hsm: Hsm = field(default_factory=Hsm)
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    wallet: Wallet
    opendid: OpenDid = field(default_factory=OpenDid)
    mip: Mip = field(default_factory=Mip)
    fetch: Fetch = field(default_factory=Fetch)
    requests: Requests = field(default_factory=Requests)
    registration: Registration = field(default_factory=Registration)
    holder: Holder = field(default_factory=Holder)
    languages: Languages = field(default_factory=Languages)
    console: Console = field(default_factory=Console)

    @property
    def host(self) -> str:
        """The issuer's host, without port; an IPv6 address without brackets."""
        return urlsplit(self.issuer).hostname or ""

    @property
    def is_loopback(self) -> bool:
        """Whether holders' browsers must be on this machine."""
        return is_loopback(self.host)

    @property
    def secure_cookies(self) -> bool:
        """Whether cookies carry `Secure` and `__Host-`: over plain http not every browser takes them."""
        return self.issuer.startswith("https://")

    @property
    def uses_sqlite(self) -> bool:
        """Whether the database or the store is a file, which has one writer at a time (decision D21)."""
        return self.database.url.startswith("sqlite:") or self.store.url.startswith("sqlite:")

    @property
    def database_url(self) -> Url:
        """For SQLAlchemy: an absolute path for SQLite, the psycopg driver for PostgreSQL."""
        return _for_sqlalchemy(self.database.url)

    @property
    def store_url(self) -> Url:
        """Where the Store lives: as set, or beside the database (`sinwon.db` and `sinwon-store.db`).

        It is a file of its own on SQLite, so that waiting sign-ins and durable rows do not queue for one
        write lock.
        """
        if self.store.url:
            return (
                self.store.url
                if "redis" in self.store.url.partition(":")[0]
                else _for_sqlalchemy(self.store.url)
            )
        if not self.database.url.startswith("sqlite:"):
            return self.database_url
        url = make_url(self.database_url)
        file = Path(url.database or "")
        beside = url.set(database=str(file.with_name(f"{file.stem}-store{file.suffix}")))
        return Url(beside.render_as_string(hide_password=False))


def _for_sqlalchemy(url: str) -> Url:
    parsed = postgresql.read_url(url)
    if parsed.drivername == "sqlite":
        parsed = parsed.set(database=str(Path(parsed.database or "").absolute()))
    else:
        parsed = postgresql.for_sqlalchemy(parsed)
    return Url(parsed.render_as_string(hide_password=False))
