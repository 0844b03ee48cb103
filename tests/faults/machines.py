"""Processes that a fault may hit. Each is started again when it ends, as systemd or a container's engine would."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import redis

from tests import servers
from tests.deployed import PROJECT
from tests.servers import START_S, free_port
from tests.waiting import eventually

AGAIN_AFTER_S = 0.5


class Machine:
    """A program that runs until `stop`, whatever ends it meanwhile. Its output is appended to `log`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        user: str | None = None,
    ) -> None:
        """`environment` is all that it has of `IDP_…`."""
        self.name = name
        self.log = log
        self.command = [str(part) for part in command]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("IDP_")}
        self.environment = {
            **inherited,
            "LC_ALL": "C.UTF-8",
            "PYTHONFAULTHANDLER": "1",
            **(environment or {}),
        }
        self._user = user
        self._wanted = threading.Event()
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: threading.Thread | None = None
        self.n_started = 0

    @property
    def pid(self) -> int:
        """Of the process that runs now; of the last one while none does."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self._wanted.set()
        self._spawn()
        self._watch = threading.Thread(target=self._keep, name=f"watch-{self.name}", daemon=True)
        self._watch.start()

    def children(self) -> list[int]:
        """Its child processes: of a node, the processes that serve."""
        with suppress(OSError):
            return [
                int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            ]
        return []

    def send(self, number: int) -> None:
        """A signal, if it runs at this moment."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; it comes back by itself."""
        self.send(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM, within_s: float = 30) -> int:
        """Stop for good, until `start`; its exit code."""
        self._wanted.clear()
        self.send(number)
        process, watch = self._process, self._watch
        assert process is not None
        assert watch is not None
        try:
            process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
        watch.join()
        return process.wait()

    def restart(self, number: int = signal.SIGTERM) -> int:
        """Stop it in good order and start it anew; the exit code of the one that ended."""
        code = self.stop(number)
        self.start()
        return code

    def _spawn(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=PROJECT if self._user is None else "/",
                user=self._user,
                extra_groups=[] if self._user else None,
                start_new_session=True,
            )
        self.n_started += 1

    def _keep(self) -> None:
        while True:
            assert self._process is not None
            self._process.wait()
            if not self._wanted.is_set():
                return
            time.sleep(AGAIN_AFTER_S)
            if not self._wanted.is_set():
                return
            self._spawn()


def python(
    name: str, module: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Machine:
    """`python -m` with these arguments."""
    return Machine(name, [sys.executable, "-m", *module], log, environment)


class Postgres(Machine):
    """A PostgreSQL of our own that keeps what it has committed: fsync and synchronous_commit are on."""

    def __init__(self, log: Path, *options: str, disk_mb: int | None = None) -> None:
        """`disk_mb`: its data is on a file system of its own of this size, where root may mount one."""
        binaries = servers.postgresql_binaries()
        user = "postgres" if os.geteuid() == 0 else None
        # Not below anybody's own directory: its user could not enter it.
        self.directory = directory = Path(tempfile.mkdtemp(prefix="sinwon-faults-"))
        self.port = free_port()
        self.disk = _mounted(directory, disk_mb) if disk_mb is not None else None
        self.data = (self.disk or directory) / "data"
        password = secrets.token_urlsafe(12)
        file = directory / "password"
        file.write_text(password)
        if user:
            for path in (directory, file, self.data.parent):
                shutil.chown(path, user)
        made: list[str | Path] = [
            binaries / "initdb",
            f"--pgdata={self.data}",
            "--username=postgres",
            "--auth=scram-sha-256",
        ]
        made += [f"--pwfile={file}", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            made, user=user, extra_groups=[] if user else None, cwd="/", check=True, capture_output=True
        )
        self._password = password
        settings = ["listen_addresses=127.0.0.1", f"port={self.port}", "unix_socket_directories="]
        settings += ["max_connections=200", "shared_buffers=64MB", *options]
        command: list[str | Path] = [binaries / "postgres", "-D", self.data]
        for setting in settings:
            command += ["-c", setting]
        super().__init__("postgresql", command, log, user=user)

    def remove(self) -> None:
        """Its data, and the file system of its own. It must have ended."""
        if self.disk is not None:
            subprocess.run(["umount", self.disk], check=True)
        shutil.rmtree(self.directory)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Its own file system has not a block left."""
        assert self.disk is not None
        filler = self.disk / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
        yield
        filler.unlink()

    def url(self, database: str, port: int | None = None) -> str:
        """For SQLAlchemy; `port` is another one that leads here."""
        return f"postgresql+psycopg://postgres:{self._password}@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        super().start()
        eventually(self.answers, START_S)

    def answers(self) -> bool:
        with suppress(psycopg.Error), self.connect() as connection:
            return connection.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,)
        return False

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """As its superuser, each statement committed by itself."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=self._password,
            dbname=database,
            autocommit=True,
            connect_timeout=2,
        )

    def crash(self) -> None:
        """`pg_ctl restart -m immediate`: all processes end at once, nothing is written down, recovery follows."""
        self.send(signal.SIGQUIT)


def _mounted(directory: Path, size_mb: int) -> Path | None:
    """A file system of this size below a directory; None where we may mount none."""
    image, at = directory / "disk.img", directory / "disk"
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    at.mkdir()
    # Without the blocks that are kept for root, who fills it.
    subprocess.run(
        ["mkfs.ext4", "-q", "-m", "0", image], check=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
    )
    mounted = subprocess.run(["mount", "-o", "loop", image, at], check=False, capture_output=True)
    return at if mounted.returncode == 0 else None


class Redis(Machine):
    """A Redis of our own, without eviction. `persists`: it writes each second to an append-only file, and reads it."""

    def __init__(self, directory: Path, *options: str, persists: bool = False) -> None:
        directory.mkdir()
        self.port = free_port()
        command: list[str | Path] = [servers.redis_binary(), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", directory, "--save", "", "--appendonly", "yes" if persists else "no"]
        command += ["--maxmemory-policy", "noeviction", "--enable-debug-command", "local", *options]
        super().__init__("redis", command, directory / "log")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        super().start()
        eventually(self.answers, START_S)

    def client(self, *, text: bool = True) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5, decode_responses=text)

    def answers(self) -> bool:
        with suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False
