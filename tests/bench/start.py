"""How long a demonstration takes to start, and where the time goes.

    python -m tests.bench.start [--runs 5]

Each run is a new process, `idp demo --ephemeral --port 0 --print-json`, timed until it prints where it is. Processor
seconds are what compares between machines that do other things too; the clock's say how it felt. The parts are of one
further process, each after the one before it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from statistics import median

from tests.ephemeral import command, environment

_PARTS = """
import json, tempfile, time
from pathlib import Path
told, last = {}, time.process_time()
def part(name):
    global last
    now = time.process_time()
    told[name], last = round(now - last, 3), time.process_time()
import idp.cli.demo as cli
part("imports of the provider")
from idp.demo import host
part("imports of the demonstration")
with tempfile.TemporaryDirectory() as directory:
    stage = host.Stage.prepare(Path(directory) / "demo", port=0, reset=False)
    part("keys, certificates and files")
    with stage.guests():
        settings = cli.load(None, {}, overrides=stage.settings)
        cli._apply(settings, stage)
        part("database")
        from idp.app import create_app
        create_app(settings)
        part("application")
print(json.dumps(told))
"""


def started() -> tuple[float, float]:
    """Seconds of the clock until it has printed where it is, and of the processor in all, its end included."""
    began, used = time.monotonic(), _used_s()
    with subprocess.Popen(
        command("--until-stdin-closes"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        told = json.loads(process.stdout.readline())
        clock_s = time.monotonic() - began
        assert told["issuer"]
        process.stdin.close()
        process.wait(timeout=60)
    return clock_s, _used_s() - used


def _used_s() -> float:
    """What the processes that we started and that have ended have used."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--runs", type=int, default=5)
    runs = [started() for _ in range(arguments.parse_args().runs)]
    clock_s, processor_s = (median(column) for column in zip(*runs, strict=True))
    print(
        f"started, median of {len(runs)}: {clock_s:.2f} s, of the processor {processor_s:.2f} s with its end"
    )
    made = subprocess.run(
        [sys.executable, "-c", _PARTS], capture_output=True, text=True, check=True, env=environment()
    )
    for name, seconds in json.loads(made.stdout).items():
        print(f"{seconds:>8.2f} s  {name}")


if __name__ == "__main__":
    main()
