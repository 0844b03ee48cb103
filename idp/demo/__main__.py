"""`python -m idp.demo --directory D --port P`: serve the guests on a loopback address.

The directory was prepared before (`seeds.prepare`), or is prepared now when `--issuer` is given. Ends on
SIGTERM, and when the process that started it is gone. Prints nothing but errors.
"""

import argparse
import ipaddress
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from werkzeug.serving import WSGIRequestHandler, make_server

from idp.demo import personas, seeds
from idp.demo.app import create_app

_LOOK_FOR_PARENT_S = 0.5
_IDLE_CONNECTION_S = 60


class QuietHandler(WSGIRequestHandler):
    """Keeps connections open and writes no log: request lines carry codes and state."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_CONNECTION_S

    def log(self, type: str, message: str, *args: object) -> None:
        """Nothing."""


def main() -> int:
    """Serve until told to stop."""
    arguments = _arguments()
    end_with_parent()
    here = f"http://{arguments.host}:{arguments.port}"
    if arguments.issuer:
        prepared = seeds.prepare(
            arguments.directory,
            issuer=arguments.issuer,
            portals_url=here,
            wallet_url=f"{here}/wallet",
            authority_url=f"{here}/authority",
        )
    else:
        prepared = seeds.load(arguments.directory)
    people = [*personas.PERSONAS, *(personas.invented(number) for number in range(arguments.invented))]
    app = create_app(prepared, people)
    server = make_server(arguments.host, arguments.port, app, threaded=True, request_handler=QuietHandler)
    server.serve_forever()
    return 0


def end_with_parent() -> None:
    """End this process when it is told to, and when the one that started it is gone."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m idp.demo", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where keys and seed files are kept")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="a loopback address")
    parser.add_argument("--issuer", help="prepare the directory for this provider first")
    parser.add_argument("--invented", type=int, default=0, help="so many further people in the wallet")
    return parser.parse_args()


def _loopback(text: str) -> str:
    if not ipaddress.ip_address(text).is_loopback:
        raise argparse.ArgumentTypeError("the demonstration listens on loopback only")
    return text


def _stop(_signal: int, _frame: FrameType | None) -> None:
    os._exit(0)


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_FOR_PARENT_S)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
