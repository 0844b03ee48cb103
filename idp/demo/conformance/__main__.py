"""`python -m idp.demo.conformance`: wallet, issuing authority and TLS front in one process, until told to stop."""

import argparse
import ssl
import sys
import threading
from pathlib import Path

from flask import Flask
from werkzeug.serving import make_server

from idp.demo import authority, host, pages, seeds, tls_front, wallet_pages
from idp.demo.__main__ import QuietHandler, end_with_parent
from idp.demo.authority import Authority
from idp.demo.conformance import answering
from idp.demo.conformance.stage import WALLET_PATH
from idp.demo.personas import PERSONAS
from idp.demo.wallet import Wallet


def create_app(directory: Path) -> Flask:
    """The guests: the wallet with its pages, the door at which it answers by itself, the authority."""
    prepared = seeds.load(directory)
    app = Flask("idp.demo")
    tls = ssl.create_default_context()
    tls.load_verify_locations(directory / "tls-ca.pem")
    issuing = Authority(prepared)
    wallet = Wallet(issuing, PERSONAS, prepared.access_ca, tls=tls)
    pages.install(app)
    app.register_blueprint(wallet_pages.blueprint(wallet))
    app.register_blueprint(answering.blueprint(wallet, PERSONAS[0]))
    app.register_blueprint(authority.blueprint(issuing))
    app.add_url_rule("/healthz", view_func=lambda: {"status": "ok"}, endpoint="healthz")
    return app


def create_front(
    directory: Path, address: tuple[str, int], provider_port: int, guests_port: int
) -> tls_front.Front:
    """TLS for the provider and, under its own path, for the wallet."""
    context = tls_front.tls_context(
        directory / "tls-server.pem", directory / "tls-server.key", directory / "client-certificates.pem"
    )
    routes = {
        "/": f"http://{host.HOST}:{provider_port}",
        WALLET_PATH: f"http://{host.HOST}:{guests_port}/wallet",
    }
    return tls_front.Front(address, context, routes)


def main() -> int:
    """Serve until told to stop."""
    arguments = _arguments()
    end_with_parent()
    guests = make_server(
        host.HOST,
        arguments.guests_port,
        create_app(arguments.directory),
        threaded=True,
        request_handler=QuietHandler,
    )
    threading.Thread(target=guests.serve_forever, daemon=True).start()
    address = arguments.listen, arguments.port
    create_front(arguments.directory, address, arguments.provider_port, arguments.guests_port).serve_forever()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m idp.demo.conformance", description=__doc__)
    parser.add_argument(
        "--directory", type=Path, required=True, help="prepared by idp demo --profile conformance"
    )
    parser.add_argument("--guests-port", type=int, required=True)
    parser.add_argument("--provider-port", type=int, required=True)
    parser.add_argument("--listen", default=host.HOST, help="the address of the TLS front")
    parser.add_argument("--port", type=int, required=True, help="the port of the TLS front")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
