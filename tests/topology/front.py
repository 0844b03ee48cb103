"""nginx as `deploy/nginx.conf` has it, in front of the nodes that it is told."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from idp.demo import pki
from tests.servers import START_S, free_port
from tests.waiting import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"
HOST, MTLS_HOST = "localhost", "mtls.localhost"


@dataclass(frozen=True)
class Front:
    """A running nginx. `tls` believes its certificates."""

    port: int
    plain_port: int
    tls: ssl.SSLContext
    directory: Path


def nginx_configuration(directory: Path, *, port: int, plain_port: int, nodes: Sequence[int]) -> Path:
    """deploy/nginx.conf with this machine's names, addresses and places in it, and certificates made for them."""
    ca = pki.keep_ca(directory / "ca", "Test CA")
    pki.keep_leaf(directory / "sinwon", "Test server", ca, (HOST,))
    pki.keep_leaf(directory / "mtls", "Test server", ca, (MTLS_HOST,))
    pki.keep_leaf(directory / "client", "a portal", ca)
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    addresses = iter(nodes)
    text = re.sub(r"127\.0\.0\.1:808\d", lambda _: f"127.0.0.1:{next(addresses)}", text)
    temporary = "".join(
        f"    {name}_temp_path {directory}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    for old, new in (
        ("/etc/nginx/tls", str(directory)),
        ("/var/cache/nginx/sinwon", f"{directory}/cache"),
        ("/run/nginx.pid", f"{directory}/nginx.pid"),
        ("sinwon.example", HOST),
        ("listen 80", f"listen 127.0.0.1:{plain_port}"),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("\nhttp {\n", f"\nhttp {{\n{temporary}"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    if os.geteuid() == 0:
        text = "user root;\n" + text  # the tests' directories are root's alone
    file = directory / "nginx.conf"
    file.write_text(text, "utf-8")
    return file


@contextmanager
def nginx(program: Path, directory: Path, nodes: Sequence[int], port: int | None = None) -> Iterator[Front]:
    """nginx in front of two nodes, until the context ends."""
    port, plain_port = port or free_port(), free_port()
    directory.mkdir(exist_ok=True)
    file = nginx_configuration(directory, port=port, plain_port=plain_port, nodes=nodes)
    log = directory / "nginx.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "-e", "stderr", "-p", directory, "-c", file, "-g", "daemon off;"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    tls = ssl.create_default_context(cafile=directory / "ca.pem")
    try:
        pid = directory / "nginx.pid"

        def started() -> bool:
            assert process.poll() is None, log.read_text("utf-8")
            return pid.exists() and pid.read_text() != ""

        eventually(started, START_S)
        yield Front(port, plain_port, tls, directory)
    finally:
        process.terminate()
        process.wait()
