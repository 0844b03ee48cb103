"""`python -m tests.at_rest`: the long form. Ends with an error when anything readable is at rest.

Signs in ten thousand people, then searches database, store, logs, metrics and backup, and last a core dump of every
process of the provider, made with gcore while they still run. What a dump shows is said and is no error: a process's
memory holds what it verifies (docs/threat-model.md), and what was let go lies there until it is written over.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.at_rest.deployments import DEPLOYMENTS, Kept, Numbers, said
from tests.at_rest.searching import Needle, files

IDLE_S = 60
PAGE_BYTES = 4096


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.at_rest", description=__doc__)
    parser.add_argument("--sign-ins", type=int, default=10_000)
    parser.add_argument("--on", choices=DEPLOYMENTS, default="postgresql_and_redis")
    parser.add_argument("--idle-s", type=int, default=IDLE_S, help="before the memory is looked at")
    asked = parser.parse_args()
    numbers = Numbers(asked.sign_ins, max(asked.sign_ins // 10, 40))
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        with DEPLOYMENTS[asked.on](Path(directory), numbers) as kept:
            signed_in_s = time.perf_counter() - began
            found = [*said(kept.people.in_files(*kept.places)), *said(kept.bearer.in_files(*kept.places))]
            n_bytes = sum(file.stat().st_size for file in files(*kept.places))
            print(
                f"{asked.on}: {numbers.finished:,} sign-ins and {numbers.unfinished:,} stopped, {signed_in_s:.0f} s;"
                f" {n_bytes / 1e6:,.0f} MB in {len(files(*kept.places)):,} files, {kept.live_records:,} live records:"
                f" {len(found)} values readable"
            )
            for line in found:
                print(f"  FOUND {line}", flush=True)
            for line in of_memory(kept, Path(directory) / "dumps", asked.idle_s):
                print(line, flush=True)
    sys.exit(bool(found))


def of_memory(kept: Kept, into: Path, idle_s: int) -> Iterator[str]:
    """What dumps of the provider's processes show after their work."""
    if shutil.which("gcore") is None:
        yield "memory: not looked at, there is no gcore here (Debian package: gdb)"
        return
    time.sleep(idle_s)
    into.mkdir()
    for pid in (kept.pid, *children(kept.pid)):
        done = subprocess.run(
            ["gcore", "-o", into / "core", str(pid)], capture_output=True, text=True, check=False
        )
        core = into / f"core.{pid}"
        if not core.is_file():
            yield f"memory: process {pid} could not be dumped: {done.stderr.strip()[-200:]}"
            continue
        memory = used(core)
        people, bearer = kept.people.in_bytes(memory), kept.bearer.in_bytes(memory)
        role = "master" if pid == kept.pid else "worker"
        yield (
            f"memory of the {role} after {idle_s} idle seconds ({len(memory) / 1e6:,.0f} MB):"
            f" {summed(people)} of people; {summed(bearer)} of bearer secrets"
        )
        core.unlink()


def children(pid: int) -> list[int]:
    done = subprocess.run(["pgrep", "--parent", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in done.stdout.split()]


def used(core: Path) -> bytes:
    """The pages of a dump that hold anything: most of it is room that nobody has used."""
    data = core.read_bytes()
    pages = (data[start : start + PAGE_BYTES] for start in range(0, len(data), PAGE_BYTES))
    return b"".join(page for page in pages if page.strip(b"\0"))


def summed(needles: set[Needle]) -> str:
    """How many values, of which kind: never the values."""
    values = {needle.what for needle in needles}
    kinds = Counter(what.partition(" of person ")[0] for what in values)
    said = ", ".join(f"{kind} {number}" for kind, number in kinds.most_common(8))
    return f"{len(values)} values ({said})" if values else "nothing"


if __name__ == "__main__":
    main()
