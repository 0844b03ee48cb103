"""All guests in one Flask application, for one port: portals at `/`, `/counter/`, `/wallet/`, `/mock/`, …"""

from collections.abc import Iterable
from typing import Any

from flask import Flask, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from idp.demo import authority, counter_pages, mobileid_pages, mock, pages, portals, texts, wallet_pages
from idp.demo.authority import Authority
from idp.demo.counter import Counter
from idp.demo.device_flow import GRANT, DeviceClient
from idp.demo.mobileid import MobileId
from idp.demo.mock import Mock
from idp.demo.open_did import authority as open_did_authority
from idp.demo.open_did import pages as open_did_pages
from idp.demo.open_did import registry as did_registry
from idp.demo.open_did.wallet import Wallet as OpenDidWallet
from idp.demo.personas import PERSONAS, Persona
from idp.demo.relying import Provider
from idp.demo.seeds import Prepared
from idp.demo.wallet import Wallet

MAX_BODY_BYTES = 262_144


def create_app(prepared: Prepared, personas: Iterable[Persona] = PERSONAS) -> Flask:
    """The guests' application.

    In `app.extensions` are `demo_authority`, `demo_wallet`, `demo_mobile_id`, `demo_open_did_wallet`,
    `demo_did_registry`, `demo_counter`, and `demo_close`, which ends open connections.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    issuing = Authority(prepared)
    wallet = Wallet(issuing, personas, prepared.access_ca)
    dids = did_registry.Registry()
    open_did = open_did_authority.Authority(prepared, dids)
    open_did_wallet = OpenDidWallet(open_did, dids, wallet.personas.values())
    mobile_id = MobileId(wallet, prepared.access_ca)
    provider = Provider(prepared.issuer)
    known_portals = portals.build(prepared, provider)
    counter = Counter(DeviceClient(_counter_registration(prepared), prepared, provider))

    def close() -> None:
        wallet.close()
        open_did_wallet.close()
        mobile_id.close()
        counter.close()
        provider.http.close()

    app.extensions.update(demo_authority=issuing, demo_wallet=wallet, demo_close=close, demo_counter=counter)
    app.extensions.update(demo_open_did_wallet=open_did_wallet, demo_did_registry=dids)
    app.extensions.update(demo_mobile_id=mobile_id)
    pages.install(app)
    app.register_blueprint(wallet_pages.blueprint(wallet))
    app.register_blueprint(mobileid_pages.blueprint(mobile_id))
    app.register_blueprint(authority.blueprint(issuing))
    app.register_blueprint(open_did_pages.blueprint(open_did_wallet))
    app.register_blueprint(did_registry.blueprint(dids, open_did.certificate))
    app.register_blueprint(counter_pages.blueprint(counter))
    app.register_blueprint(mock.blueprint(Mock(prepared, wallet.personas)))
    app.register_blueprint(portals.blueprint(known_portals))

    @app.get("/")
    def start() -> Response:
        return pages.show(
            "start.html",
            portals=list(known_portals.values()),
            counter=counter,
            console_url=f"{prepared.issuer}/console",
        )

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> Response:
        g.language = texts.choose(request)  # the portals' 404 comes before the language is chosen
        status = error.code or 500
        title = "not_found_title" if status == 404 else "cannot_open_title"
        return pages.show("failed.html", status, title=title)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app


def _counter_registration(prepared: Prepared) -> dict[str, Any]:
    return next(item for item in prepared.portals() if GRANT in item.get("grant_types", ()))
