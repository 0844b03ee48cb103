"""The Flask application: the doors hung into the house, and the house onto its database."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, send_from_directory
from werkzeug.middleware.proxy_fix import ProxyFix

from idp import clock as clocks
from idp import postgresql, tracing
from idp.bare import bare_app
from idp.clock import Clock
from idp.models import db
from idp.presentation.wallets import WalletProfile
from idp.settings import Settings
from idp.views.api import ApiDoor
from idp.views.back_channel import BackChannelDoor
from idp.views.console import ConsoleDoor
from idp.views.console.wallets import Tried
from idp.views.device import DeviceDoor
from idp.views.documents import DocumentsDoor
from idp.views.frame import STATIC, Frame
from idp.views.health import HealthDoor, Listeners
from idp.views.holder import HolderDoor
from idp.views.logout import LogoutDoor
from idp.views.me import MeDoor
from idp.views.mip import MipDoor
from idp.views.opendid import OpenDidDoor
from idp.views.portal import PortalDoor
from idp.views.public import PublicDoor
from idp.views.registration import RegistrationDoor
from idp.views.straight import Straight
from idp.views.traces import Traces
from idp.views.waiting import HandOver, WaitingRoom
from idp.views.wallet import WalletDoor
from idp.wiring import House, build

_STATIC_MAX_AGE_S = 365 * 86400


def create_app(
    settings: Settings, clock: Clock = clocks.now, statement_s: int = postgresql.STATEMENT_S
) -> Flask:
    """The application for these settings. The database schema must be there (`idp migrate`).

    statement_s: how long a statement may take on PostgreSQL; 0 for ever, where nobody waits for an answer.
    """
    app = bare_app(settings, statement_s)
    app.url_map.merge_slashes = False  # a path has one spelling
    house = build(settings, clock)
    app.extensions["sinwon"] = house
    app.config["MAX_CONTENT_LENGTH"] = settings.server.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.server.max_body_bytes
    app.config["MAX_FORM_PARTS"] = 100
    frame = Frame(house)
    frame.install(app)
    if settings.tracing.endpoint:
        trace(app)
    waiting_room = WaitingRoom(house.store)
    app.extensions["sinwon_waiting_room"] = waiting_room
    app.extensions["sinwon_shedding"] = frame.shedding
    holder = HolderDoor(frame, waiting_room)
    if settings.console.enabled:
        app.register_blueprint(ConsoleDoor(frame, _try_wallet).blueprint())
    if settings.console.api:
        app.register_blueprint(ApiDoor(frame).blueprint())
    for door in (
        PortalDoor(frame),
        BackChannelDoor(frame),
        LogoutDoor(frame),
        WalletDoor(frame),
        OpenDidDoor(frame),
        holder,
        MipDoor(frame, holder),
        DeviceDoor(frame),
        MeDoor(frame),
        PublicDoor(frame),
        DocumentsDoor(frame),
        RegistrationDoor(frame),
    ):
        app.register_blueprint(door.blueprint())
    app.add_url_rule("/static/<path:name>", "static", _static)
    monitored = bool(settings.server.monitor_bind)
    app.register_blueprint(HealthDoor(house, says_which=monitored).blueprint())
    if monitored:
        measure(app, lambda: waiting_room.waiting)
    if not settings.tracing.endpoint:  # spans are the framework's
        watch = app.extensions["sinwon_metrics"].answered if monitored else None
        app.wsgi_app = Straight(app.wsgi_app, app, frame, watch)  # type: ignore[method-assign]
    hops = settings.server.trusted_proxies
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.wsgi_app = HandOver(app.wsgi_app)  # type: ignore[method-assign]
    if monitored:
        app.wsgi_app = Listeners(app.wsgi_app, settings.server.monitor_bind)  # type: ignore[method-assign]
    return app


def measure(app: Flask, n_waiting: Callable[[], int] = lambda: 0) -> None:
    """Count for Prometheus, and show it at `/metrics`."""
    # Imported late: where several processes serve, its library must find their directory in the environment.
    from idp.views.monitor import Metrics  # noqa: PLC0415

    metrics = app.extensions["sinwon_metrics"] = Metrics(house_of(app), n_waiting)
    metrics.install(app)


def trace(app: Flask) -> None:
    """Tell the collector of the settings about every request, from this process on."""
    stop = tracing.start(house_of(app).settings)
    traces = Traces()
    traces.install(app)

    def close() -> None:
        traces.close()
        stop()

    app.extensions["sinwon_tracing"] = close


def monitor_app(app: Flask) -> Flask:
    """For a process that serves nobody else, the worker: its health and metrics, on the house of `app`."""
    monitor = bare_app(house_of(app).settings)
    monitor.extensions["sinwon"] = house_of(app)
    monitor.register_blueprint(HealthDoor(house_of(app), says_which=True).blueprint())
    measure(monitor)
    return monitor


def house_of(app: Flask) -> House:
    """The house behind an application."""
    house: House = app.extensions["sinwon"]
    return house


def close(app: Flask) -> None:
    """Let go of everything that `create_app` opened."""
    app.extensions["sinwon_waiting_room"].close()
    if "sinwon_metrics" in app.extensions:
        app.extensions["sinwon_metrics"].close()
    if "sinwon_tracing" in app.extensions:
        app.extensions["sinwon_tracing"]()
    with app.app_context():
        house_of(app).seen_chains.flush()
        house_of(app).close()
        db.engine.dispose()


def _try_wallet(settings: Settings, profile: WalletProfile, clock: Clock) -> Tried:
    """As `idp wallets test` does."""
    from idp.cli import wallet_trial  # noqa: PLC0415 - the demonstration's wallet comes with it

    lines: list[str] = []
    try:
        for line in wallet_trial.run(settings, profile, clock):
            lines.append(line)
    except wallet_trial.TrialFailed as failure:
        return Tried(lines, str(failure))
    return Tried(lines, "")


def _static(name: str) -> Response:
    response = send_from_directory(STATIC, name, max_age=_STATIC_MAX_AGE_S)
    response.headers["Cache-Control"] = f"public, max-age={_STATIC_MAX_AGE_S}, immutable"
    return response
