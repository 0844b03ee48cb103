"""Starts the real servers that tests run against, each private, on loopback, in a directory of its own."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url

START_S = 60
STOP_S = 20


class CannotStart(Exception):
    """The program is there and does not come up; the message carries the end of its output."""


class Missing(Exception):
    """The program is not installed; the message says which, and which Debian package has it."""


@contextmanager
def running(command: Sequence[str | Path], ready: str, *, user: str | None = None) -> Iterator[int]:
    """Run a server from the moment its output says `ready`; yields its pid and stops it at the end."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},
        user=user,
        extra_groups=[] if user else None,
        # Ctrl-C in the terminal is for the tests; the server is stopped when they have tidied up.
        start_new_session=True,
    )
    last_lines: deque[str] = deque(maxlen=20)
    decided = threading.Event()
    is_ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                last_lines.append(line)
                if ready in line:
                    is_ready.set()
                    decided.set()
        decided.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        decided.wait(START_S)
        if not is_ready.is_set():
            raise CannotStart(f"{Path(command[0]).name} did not start:\n" + "".join(last_lines))
        yield process.pid
    finally:
        _stop(process)
        reader.join()


@contextmanager
def postgresql() -> Iterator[str]:
    """A private PostgreSQL cluster; yields the URL of its superuser's database."""
    with postgresql_process() as (url, _pid):
        yield url


@contextmanager
def postgresql_process(*, durable: bool = False) -> Iterator[tuple[str, int]]:
    """The same, and its process id. `durable`: every commit is synced, as it is where something is at stake."""
    user = postgresql_user()
    with private_directory(user) as directory:
        password = secrets.token_urlsafe(16)
        password_file = directory / "password"
        password_file.write_text(password)
        if user:
            shutil.chown(password_file, user)
        data = directory / "data"
        make_postgresql(data, password_file)
        port = free_port()
        synced = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"} if durable else {}
        command = postgresql_command(data, port, **synced)
        with running(command, "database system is ready to accept connections", user=user) as pid:
            yield f"postgresql+psycopg://postgres:{password}@127.0.0.1:{port}/postgres", pid


def make_postgresql(data: Path, password_file: Path) -> None:
    """A new cluster in `data`, whose superuser is postgres."""
    run_as_postgresql(
        postgresql_binaries() / "initdb",
        f"--pgdata={data}",
        "--username=postgres",
        "--auth=scram-sha-256",
        f"--pwfile={password_file}",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    )


def run_as_postgresql(program: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a program of PostgreSQL's to its end. Raises CannotStart where it fails."""
    user = postgresql_user()
    done = subprocess.run(
        [program, *arguments],
        user=user,
        extra_groups=[] if user else None,
        cwd="/",
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise CannotStart(f"{program.name} failed:\n{done.stderr}")


def postgresql_command(data: Path, port: int, **settings: str) -> list[str | Path]:
    """What serves a cluster on this port, with further settings."""
    ours = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 200,
        "shared_buffers": "32MB",
        # Nothing here outlives the tests.
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
    }
    command: list[str | Path] = [postgresql_binaries() / "postgres", "-D", data]
    for name, value in {**ours, **settings}.items():
        command += ["-c", f"{name}={value}"]
    return command


def postgresql_user() -> str | None:
    """Whom to run PostgreSQL as, which refuses to run as root: the user that its Debian package brings."""
    return _existing("postgres") if os.geteuid() == 0 else None


@contextmanager
def new_database(server_url: str) -> Iterator[str]:
    """A new, empty database on a PostgreSQL server; yields its URL and drops it at the end (0.3 s in all)."""
    name = f"sinwon_test_{secrets.token_hex(8)}"
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        engine.dispose()


def drop_database(server_url: str, name: str) -> None:
    """Drop a database, if there is one of that name."""
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        engine.dispose()


@contextmanager
def redis(*options: str, port: int | None = None) -> Iterator[int]:
    """A private Redis server that keeps nothing; yields its port. `options` are further ones of its own."""
    with redis_process(*options, port=port) as (there, _pid):
        yield there


@contextmanager
def redis_process(*options: str, port: int | None = None) -> Iterator[tuple[int, int]]:
    """The same, and its process id."""
    program = redis_binary()
    port = port or free_port()
    with private_directory(None) as directory:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", directory]
        command += ["--save", "", "--appendonly", "no", *options]
        with running(command, "Ready to accept connections") as pid:
            yield port, pid


@contextmanager
def sentinel(configuration: Path) -> Iterator[int]:
    """A Redis Sentinel with this file, which it rewrites; yields its port."""
    port = free_port()
    command = [redis_binary(), configuration, "--sentinel", "--port", str(port), "--bind", "127.0.0.1"]
    with running(command, "Sentinel ID is"):
        yield port


def postgresql_binaries() -> Path:
    """The directory of initdb and postgres. Raises Missing."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb")
    if installed:
        return installed[-1].parent
    if found:
        return Path(found).resolve().parent
    raise Missing("no PostgreSQL server here (Debian package: postgresql)")


def redis_binary() -> Path:
    """redis-server, or Valkey's. Raises Missing."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise Missing("no Redis server here (Debian package: redis-server)")
    return Path(found)


def pgbouncer_binary() -> Path:
    """PgBouncer. Raises Missing."""
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if found is None:
        raise Missing("no PgBouncer here (Debian package: pgbouncer)")
    return Path(found)


def nginx_binary() -> Path:
    """nginx. Raises Missing."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        raise Missing("no nginx here (Debian package: nginx-light)")
    return Path(found)


def systemd_analyze_binary() -> Path:
    """systemd-analyze. Raises Missing."""
    found = shutil.which("systemd-analyze")
    if found is None:
        raise Missing("no systemd-analyze here (Debian package: systemd)")
    return Path(found)


def chromium_binary() -> Path:
    """A Chromium or Chrome, rather the one that has no window at all. Raises Missing."""
    for name in ("chromium-headless-shell", "chromium", "google-chrome", "chromium-browser"):
        if found := shutil.which(name):
            return Path(found)
    raise Missing("no Chromium here (Debian package: chromium-headless-shell)")


def node_binary() -> Path:
    """Node.js, with npm beside it. Raises Missing."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise Missing("no Node.js with npm here (Debian packages: nodejs, npm)")
    return Path(node)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listened on a moment ago.

    It lies below those that the system gives to whoever asks for any (from 32768 on; macOS, from 49152): until the
    server starts, no connection and no other test's server gets it by chance.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def private_directory(owner: str | None) -> Iterator[Path]:
    """A new directory of this user's, removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="sinwon-test-"))
    try:
        if owner:
            shutil.chown(directory, owner)
        yield directory
    finally:
        shutil.rmtree(directory)


def _existing(user: str) -> str:
    try:
        return pwd.getpwnam(user).pw_name
    except KeyError:
        raise Missing(f"PostgreSQL does not run as root, and there is no user {user}") from None


def _stop(process: subprocess.Popen[str]) -> None:
    # SIGINT is PostgreSQL's fast shutdown (SIGTERM would wait for clients); Redis takes it as well.
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
