"""Finding the values: file, environment and overrides, each checked, all problems together."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import FieldInfo

from idp.seal import unb64
from idp.settings import places, rules
from idp.settings.fields import Hsm, Lifetimes, Pin, Secret, Section, Settings, Url
from idp.settings.rules import NotAcceptable, is_loopback, is_this_machine


@dataclass(frozen=True)
class Problem:
    """`path` is where the operator wrote it (`database.url`, `IDP_DATABASE__URL`) or where it is missing."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class SettingsError(Exception):
    """The settings cannot be used; `problems` holds every one found."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        noun = "problem" if len(problems) == 1 else "problems"
        super().__init__("\n  - ".join([f"{len(problems)} {noun} in the settings:", *map(str, problems)]))


@dataclass(frozen=True)
class _Given:
    """A value as the operator gave it. `path`: where; `is_text`: as text only; `is_file`: in that file."""

    value: Any
    path: str
    is_text: bool = False
    is_file: bool = False


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    """`("mode", ...), ("database.url", ...), ...`: every setting there is."""
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.type, type) and issubclass(field.type, Section):
            for inner in msgspec.structs.fields(field.type):
                yield f"{field.name}.{inner.name}", inner
        else:
            yield field.name, field


TYPES: dict[str, Any] = {name: field.type for name, field in _fields()}
REQUIRED = {name for name, field in _fields() if field.required}
FILE_FORMS = {f"{name}_file": name for name, kind in TYPES.items() if kind in (Secret, Pin, Url)}
_SECTIONS = sorted({name.partition(".")[0] for name in TYPES if "." in name})
_RULES: dict[str, Callable[[Any], Any]] = {
    "issuer": rules.issuer,
    "maintenance": rules.announcements,
    "server.bind": rules.listener,
    "server.monitor_bind": rules.optional(rules.listener),
    "worker.monitor_bind": rules.optional(rules.address),
    "server.client_certificate_header": rules.header_name,
    "server.client_certificate_authorities_file": rules.optional(rules.readable_file),
    "server.mtls_base_url": rules.optional(rules.issuer),
    "tracing.endpoint": rules.optional(rules.trace_endpoint),
    "database.url": rules.database,
    "store.url": rules.store,
    "secrets.key_encryption_key": lambda secret: _of_length(secret, 32, 32),
    "secrets.next_key_encryption_key": lambda secret: _of_length(secret, 32, 32),
    "hsm.module": rules.optional(rules.hsm_module),
    "secrets.pepper": lambda secret: _of_length(secret, 32, 256),
    "wallet.certificate_file": rules.readable_file,
    "wallet.private_key_file": rules.optional(rules.readable_file),
    "wallet.link": rules.link,
    "opendid.verification_method": rules.optional(rules.key_url),
    "opendid.private_key_file": rules.optional(rules.readable_file),
    "opendid.certificate_vc_url": rules.optional(rules.base_url),
    "opendid.registry_url": rules.optional(rules.base_url),
    "holder.location_database": rules.optional(rules.location_database),
    "mip.daemon": rules.optional(rules.near),
    "mip.secure_services": rules.service_codes,
    "mip.relay": rules.optional(rules.relay),
    "fetch.allow": rules.origins,
    "registration.scopes": rules.scopes,
    "console.credential_types": rules.entry_ids,
    "registration.software_statement_files": rules.readable_files,
}
_SECRET_FILE_MAX_BYTES = 4096


def load(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The settings of this deployment, checked.

    `path` is the TOML file (None: the one named by `IDP_CONFIG`, else none). `overrides` has the shape of the
    file and wins over everything; a secret in it may be bytes.

    Raises SettingsError with every problem at once.
    """
    settings, problems = _load(path, environ, overrides)
    if problems:
        raise SettingsError(problems)
    return settings


def load_hsm(path: Path | None, environ: Mapping[str, str]) -> Hsm:
    """The section `hsm` alone, while the rest may be wrong: for making the keys that the rest will name.

    Raises SettingsError.
    """
    settings, problems = _load(path, environ, None)
    about = [one for one in problems if one.path.startswith(("hsm.", "IDP_HSM__")) or one.path == str(path)]
    if about:
        raise SettingsError(about)
    return settings.hsm


def _load(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None
) -> tuple[Settings, list[Problem]]:
    """Settings that may only be used where there is no problem, and the problems."""
    problems: list[Problem] = []
    if path is None and environ.get("IDP_CONFIG"):
        path = Path(environ["IDP_CONFIG"])
    given: dict[str, _Given] = {}
    for layer in (
        _from_tables(_read_toml(path, problems), problems),
        _from_environ(environ, problems),
        _from_tables(overrides or {}, problems),
    ):
        given |= _one_form_each(layer, problems)
    values, unusable = _read_all(given, problems)
    settings = _assemble(values)
    for names, message in _conflicts(settings):
        if not unusable.intersection(names):
            problems.append(Problem(given[names[0]].path if names[0] in given else names[0], message))
    return settings, problems


def _read_toml(path: Path | None, problems: list[Problem]) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        problems.append(Problem(str(path), f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError:
        problems.append(Problem(str(path), "is not UTF-8"))
    except tomllib.TOMLDecodeError as error:
        # Only the place: the parser's own words may quote the text, and that may be a secret.
        place = str(error).rpartition("(at ")[2].rstrip(")")
        problems.append(Problem(str(path), f"is not TOML: look at {place}"))
    return {}


def _from_tables(tables: Mapping[str, Any], problems: list[Problem]) -> dict[str, _Given]:
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        if key in _SECTIONS and isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": inner_value for inner, inner_value in value.items()}
        elif key in _SECTIONS:
            problems.append(Problem(key, f"must be a table: [{key}]"))
        else:
            flat[key] = value
    layer: dict[str, _Given] = {}
    for name, value in flat.items():
        if name in TYPES or name in FILE_FORMS:
            layer[name] = _Given(value, name, is_file=name in FILE_FORMS)
        else:
            problems.append(Problem(name, _unknown(name, [*TYPES, *FILE_FORMS])))
    return layer


def _from_environ(environ: Mapping[str, str], problems: list[Problem]) -> dict[str, _Given]:
    known = {"IDP_" + name.upper().replace(".", "__"): name for name in (*TYPES, *FILE_FORMS)}
    layer: dict[str, _Given] = {}
    for variable, text in environ.items():
        if not variable.startswith("IDP_") or variable == "IDP_CONFIG" or variable.startswith("IDP_TEST_"):
            continue
        if variable in known:
            name = known[variable]
            layer[name] = _Given(text, variable, is_text=True, is_file=name in FILE_FORMS)
        else:
            problems.append(Problem(variable, _unknown(variable, list(known))))
    return layer


def _unknown(name: str, known: list[str]) -> str:
    same_field = [other for other in known if other.rpartition(".")[2] == name.rpartition(".")[2]]
    near = same_field[:1] or get_close_matches(name, [*_SECTIONS, *known] if "." not in name else known, n=1)
    return "unknown setting" + (f"; did you mean {near[0]}?" if near else "")


def _one_form_each(layer: dict[str, _Given], problems: list[Problem]) -> dict[str, _Given]:
    """`x_file` takes the place of `x`. Both in one layer leave open which is meant: a problem."""
    chosen: dict[str, _Given] = {}
    for name, given in layer.items():
        target = FILE_FORMS.get(name, name)
        if target in chosen:
            problems.append(Problem(given.path, f"also given as {chosen[target].path}: keep one of them"))
        chosen[target] = given
    return chosen


def _read_all(given: dict[str, _Given], problems: list[Problem]) -> tuple[dict[str, Any], set[str]]:
    """What could be read, and the names of the settings that are missing or not acceptable."""
    values: dict[str, Any] = {}
    unusable: set[str] = set()
    for name, kind in TYPES.items():
        try:
            if name in given:
                values[name] = _RULES.get(name, _same)(_read(kind, given[name]))
            elif name in REQUIRED:
                raise NotAcceptable("required" + (f", here or as {name}_file" if kind is Secret else ""))
        except NotAcceptable as error:
            unusable.add(name)
            problems.append(Problem(given[name].path if name in given else name, str(error)))
    return values, unusable


def _read(kind: Any, given: _Given) -> Any:
    raw = _read_secret_file(given.value) if given.is_file else given.value
    if kind is Secret:
        return _read_secret(raw)
    if kind is Pin:
        return _read_pin(raw, stands_in_file=not (given.is_file or given.is_text))
    if get_origin(kind) is Literal and raw not in get_args(kind):
        raise NotAcceptable(f"expected one of {', '.join(get_args(kind))}")
    if given.is_text and get_origin(kind) is tuple:
        raw = [part.strip() for part in raw.split(",") if part.strip()]
    try:
        value = msgspec.convert(raw, str if kind is Url else kind, strict=not given.is_text)
    except msgspec.ValidationError as error:
        raise NotAcceptable(str(error).replace("`", "").replace("Expected", "expected")) from None
    return Url(value) if kind is Url else value


def _read_secret_file(name: object) -> str:
    # The name is not repeated: what was pasted here may be the secret itself.
    if not isinstance(name, str):
        raise NotAcceptable("expected the path of a file")
    rules.readable_file(name)
    with Path(name).open("rb") as file:
        data = file.read(_SECRET_FILE_MAX_BYTES + 1)
    try:
        if len(data) <= _SECRET_FILE_MAX_BYTES:
            return data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise NotAcceptable("the file must be ASCII text: base64url, hex digits or a URL") from None
    raise NotAcceptable(f"the file is longer than {_SECRET_FILE_MAX_BYTES} bytes")


def _read_secret(raw: object) -> Secret:
    if isinstance(raw, bytes):
        return Secret(raw)
    if not isinstance(raw, str):
        raise NotAcceptable("expected text: base64url or hex digits")
    try:
        # 64 hex digits would also pass as 48 bytes of base64url; nobody means that.
        if len(raw) >= 64 and not set(raw) - set("0123456789abcdefABCDEF"):
            return Secret(bytes.fromhex(raw))
        return Secret(unb64(raw.rstrip("=").replace("+", "-").replace("/", "_")))
    except ValueError:
        raise NotAcceptable("expected base64url or hex digits") from None


def _read_pin(raw: object, *, stands_in_file: bool) -> Pin:
    if isinstance(raw, bytes):
        return Pin(raw)
    if stands_in_file:
        raise NotAcceptable("a PIN does not stand in a settings file: give hsm.pin_file, or IDP_HSM__PIN")
    if not isinstance(raw, str) or not raw.strip():
        raise NotAcceptable("expected the user PIN of the token")
    return Pin(raw.strip().encode("utf-8"))


def _of_length(secret: Secret, least: int, most: int) -> Secret:
    if least <= len(secret.reveal()) <= most:
        return secret
    expected = f"{least}" if least == most else f"{least} to {most}"
    raise NotAcceptable(f"expected {expected} bytes, as base64url or hex digits")


def _same(value: Any) -> Any:
    return value


def _assemble(values: Mapping[str, Any]) -> Settings:
    """A Settings of these values. What is required and missing gets a stand-in; `load` then never returns it."""
    stand_ins: dict[str, Any] = {
        "issuer": "https://issuer.invalid",
        "secrets.pepper": Secret(b""),
        "wallet.certificate_file": "",
    }
    top: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    for name, value in (stand_ins | dict(values)).items():
        section, _, field = name.rpartition(".")
        (nested[section] if section else top)[field] = value
    kinds = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    return Settings(**top, **{section: kinds[section](**fields) for section, fields in nested.items()})


def _conflicts(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What cannot stand together: the settings involved, the one to report at first, and why."""
    lifetimes = settings.lifetimes
    if settings.server.workers > 1 and settings.uses_sqlite:
        names = ("server.workers", "database.url", "store.url")
        yield names, "more than one process needs PostgreSQL: an SQLite file serves one"
    # What came in where is told by the port alone: a listener of the outside may be any address of this machine.
    if _door(settings.server.monitor_bind) == _door(settings.server.bind):
        yield ("server.monitor_bind", "server.bind"), "needs a port of its own"
    if settings.server.max_requests and settings.uses_sqlite:
        names = ("server.max_requests", "database.url", "store.url")
        yield names, "on SQLite one process serves, and nobody would while it is replaced"
    if settings.server.client_certificate_header and not settings.server.trusted_proxies:
        header = ("server.client_certificate_header", "server.trusted_proxies")
        yield header, "whoever reaches us directly could send it: needs server.trusted_proxies"
    if settings.mip.backend == "rest" and not settings.mip.daemon:
        yield ("mip.daemon", "mip.backend"), "backend rest needs the origin of the operator's verifier daemon"
    if settings.mip.backend == "simulator" and settings.mip.relay and find_spec("websockets") is None:
        yield ("mip.relay",), "needs a library that is not installed: pip install 'sinwon[relay]'"
    yield from places.conflicts(settings)
    if settings.secrets.key_encryption_key == settings.secrets.pepper:
        yield ("secrets.pepper", "secrets.key_encryption_key"), "must differ from secrets.key_encryption_key"
    for low, high in (
        ("login_ttl_s", "login_max_s"),
        ("qr_offered_s", "login_ttl_s"),
        ("session_idle_s", "session_max_s"),
        ("id_token_ttl_s", "key_retire_s"),
        ("access_token_ttl_s", "key_retire_s"),
        ("refresh_token_ttl_s", "offline_refresh_token_ttl_s"),
    ):
        if getattr(lifetimes, low) > getattr(lifetimes, high):
            yield (f"lifetimes.{high}", f"lifetimes.{low}"), f"must be at least lifetimes.{low}"
    yield from _half_an_open_did(settings)
    if settings.mode == "demo":
        yield from _demo_conflicts(settings)
    else:
        link = urlsplit(settings.wallet.link)
        if link.scheme == "http":
            yield ("wallet.link", "mode"), "plain http is for a loopback wallet in mode demo"
    if settings.mode == "production":
        yield from _production_conflicts(settings)


def _door(bind: str) -> str:
    """The port of a listener, or the path of its socket."""
    return bind if bind.startswith("unix:") else bind.rpartition(":")[2]


def _half_an_open_did(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Open DID is on or off: with a part of it no wallet could be answered."""
    parts = ("verification_method", "private_key_file", "certificate_vc_url", "registry_url")
    missing = [part for part in parts if not getattr(settings.opendid, part)]
    if settings.hsm.opendid_key and "private_key_file" in missing:
        missing.remove("private_key_file")
    if 0 < len(missing) < len(parts):
        for part in missing:
            yield (f"opendid.{part}",), "required, since another setting of opendid is there"


def _demo_conflicts(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """The demo's keys and persons are make-believe: nobody else may reach it."""
    if not settings.is_loopback:
        yield ("issuer", "mode"), "mode demo stays on this machine: expected a loopback host"
    for name, bind in (
        ("server.bind", settings.server.bind),
        ("server.monitor_bind", settings.server.monitor_bind),
        ("worker.monitor_bind", settings.worker.monitor_bind),
    ):
        if bind and not bind.startswith("unix:") and not is_loopback(bind.rpartition(":")[0]):
            yield (name, "mode"), "mode demo listens on loopback only"
    link = urlsplit(settings.wallet.link)
    if link.scheme == "http" and not is_loopback(link.hostname or ""):
        yield ("wallet.link", "mode"), "plain http is for a loopback wallet"


def _key_times(lifetimes: Lifetimes) -> Iterator[tuple[tuple[str, ...], str]]:
    """A key set that was fetched just before a change must do until it is fetched again."""
    least_s = rules.JWKS_MAX_AGE_S + rules.KEY_MARGIN_S
    if lifetimes.key_publish_s < least_s:
        why = f"mode production needs at least {least_s}: portals keep the JWKS for {rules.JWKS_MAX_AGE_S} s"
        yield ("lifetimes.key_publish_s", "mode"), why
    least_s = max(lifetimes.id_token_ttl_s, lifetimes.access_token_ttl_s) + rules.KEY_MARGIN_S
    if lifetimes.key_retire_s < least_s:
        yield (
            ("lifetimes.key_retire_s", "mode"),
            f"mode production needs at least {least_s}, for tokens to expire",
        )
    if 0 < lifetimes.key_rotate_s < lifetimes.key_publish_s:
        yield (
            ("lifetimes.key_rotate_s", "lifetimes.key_publish_s"),
            "must be at least lifetimes.key_publish_s, or 0",
        )


def _production_conflicts(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    yield from _key_times(settings.lifetimes)
    if settings.registration.open:
        yield ("registration.open", "mode"), "mode production registers by invitation only"
    if settings.mip.backend == "simulator":
        yield ("mip.backend", "mode"), "mode production asks the operator's verifier daemon: rest"
    if settings.requests.implicit:
        yield ("requests.implicit", "mode"), "mode production sends no tokens through browsers"
    for name in ("certificate_vc_url", "registry_url"):
        if getattr(settings.opendid, name).startswith("http://"):
            yield (f"opendid.{name}", "mode"), "mode production needs https"
    if not settings.secure_cookies:
        yield ("issuer", "mode"), "mode production needs https"
    elif settings.is_loopback:
        yield ("issuer", "mode"), "mode production needs a host that holders can reach, not loopback"
    for name in ("key_encryption_key", "next_key_encryption_key", "pepper"):
        secret = getattr(settings.secrets, name).reveal()
        if secret and _is_made_up(secret):
            yield (f"secrets.{name}", "mode"), "is an example, a phrase or a pattern; make one at random"
    for number, entry in enumerate(settings.fetch.allow, 1):
        parts = urlsplit(entry)
        if is_this_machine(parts.hostname or ""):
            yield ("fetch.allow", "mode"), f"entry {number}: loopback is refused in mode production"
        elif parts.scheme != "https":
            yield ("fetch.allow", "mode"), f"entry {number}: mode production needs https"


def _is_made_up(secret: bytes) -> bool:
    """Whether these bytes were not drawn at random: text, or steps that repeat (zeros, counting, ABAB).

    Of 32 random bytes, all are printable once in 10^13 times, and fewer than 12 steps differ far more rarely.
    """
    steps = {(after - before) % 256 for before, after in pairwise(secret)}
    return len(steps) < 12 or all(0x20 <= byte < 0x7F for byte in secret)
