"""Processes under measurement: the demonstration as a user starts it, and what Linux says of a process."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from idp.demo import seeds
from idp.demo.seeds import Prepared

PROJECT = Path(__file__).parents[2]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Demo:
    """A demonstration that runs: `ready_s` from the command to the moment it says so; `worker` is a process id."""

    prepared: Prepared
    ready_s: float
    worker: int


@contextmanager
def demo(directory: Path) -> Iterator[Demo]:
    """Run `idp demo` on free ports until the context ends."""
    arguments = ["demo", "--port", "0", "--print-json", "--directory", str(directory)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "idp.cli", *arguments], stdout=subprocess.PIPE, cwd=PROJECT, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            json.loads(process.stdout.readline())
            ready_s = time.monotonic() - began
            yield Demo(seeds.load(directory), ready_s, workers_of(process.pid)[0])
        finally:
            process.terminate()


def workers_of(pid: int) -> list[int]:
    """The processes that serve: the children that run the same program as their parent."""
    program = Path(f"/proc/{pid}/cmdline").read_bytes()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if Path(f"/proc/{child}/cmdline").read_bytes() == program]


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, user and system, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def threads(pid: int) -> int:
    """Operating-system threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@dataclass(frozen=True)
class Memory:
    """In MiB. `pss` counts what is shared with other processes in part only."""

    rss: float
    pss: float


def memory(pid: int) -> Memory:
    """What a process holds in memory now."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return Memory(kilobytes["Rss"] / 1024, kilobytes["Pss"] / 1024)


def machine() -> str:
    """Processor, cores, memory, Python: what the figures depend on."""
    names = {
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    total_kb = next(
        int(line.split()[1])
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal")
    )
    cores = len(os.sched_getaffinity(0))
    return (
        f"{', '.join(sorted(names)) or platform.machine()}, {cores} cores, {total_kb / 2**20:.0f} GiB, "
        f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    )


def load() -> float:
    """How many processes wanted a core in the last minute."""
    return os.getloadavg()[0]
