"""`idp` run as an operator runs it, in a process of its own, without waiting a second each time for its imports.

One process for each test process imports the command line and forks for every command (`python -m tests.commands`).
A command has its own memory, environment, directory and output, and ends by `sys.exit` as it always does.
"""

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import click
from sqlalchemy.orm import configure_mappers

from idp import cli

MAX_S = 60  # a command that takes longer is ended by a signal


def idp(*arguments: str, directory: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """What `idp` with these arguments answers there, warnings being errors."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place) / "out", Path(place) / "err"
        asked = [list(arguments), str(directory), dict(environ), str(out), str(err)]
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, "the process that runs the commands has ended"
        return subprocess.CompletedProcess(
            ["idp", *arguments], json.loads(answer), out.read_text("utf-8"), err.read_text("utf-8")
        )


@cache
def _server() -> "subprocess.Popen[str]":
    server = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.commands"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.kill)
    return server


def _run(arguments: list[str], directory: str, environ: dict[str, str], out: str, err: str) -> NoReturn:
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environ)
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for path in (out, err)]
    for number, opened in enumerate((nothing, *written)):
        os.dup2(opened, number)
    signal.alarm(MAX_S)
    sys.argv = ["idp", *arguments]
    cli.main()
    sys.exit(0)


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    # Every command's module is imported here, once.
    context = click.Context(cli.cli)
    for name in cli.cli.list_commands(context):
        cli.cli.get_command(context, name)
    configure_mappers()
    gc.freeze()
    for line in sys.stdin:
        asked: list[Any] = json.loads(line)
        process = os.fork()
        if not process:
            answers.close()
            _run(*asked)
        _, status = os.waitpid(process, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
