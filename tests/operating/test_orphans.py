"""A master that is killed: its processes leave its address to the one that takes its place."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from tests.deployed import deployed
from tests.waiting import eventually

SOON_S = 6.0


def test_the_address_is_free_soon_after_the_master_is_killed(tmp_path: Path) -> None:
    """A reverse proxy goes on with its connections, and none of them may hold the next master up."""
    with deployed(tmp_path, {}, []) as deployment:
        url = urlsplit(deployment.settings.issuer)
        address = (str(url.hostname), int(url.port or 0))
        with closing(http.client.HTTPConnection(*address)) as proxy:
            assert goes_on(proxy)
            os.kill(deployment.pid, signal.SIGKILL)
            eventually(lambda: not goes_on(proxy), SOON_S)
        eventually(lambda: is_free(address), SOON_S)


def goes_on(proxy: http.client.HTTPConnection) -> bool:
    """Whether this connection is kept for another request."""
    proxy.request("GET", "/jwks")
    answer = proxy.getresponse()
    answer.read()
    assert answer.status == 200
    return not answer.will_close


def is_free(address: tuple[str, int]) -> bool:
    """Whether the next master could listen there."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen()
        except OSError:
            return False
        return True
