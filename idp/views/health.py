"""Is the process alive, and can it serve."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify
from sqlalchemy import text

from idp.models import db
from idp.views.frame import Frame


class HealthDoor:
    """`/healthz`: this process answers. `/readyz`: database, store, keys and trust registry do too."""

    def __init__(self, frame: Frame) -> None:
        self.house = frame.house

    def blueprint(self) -> Blueprint:
        door = Blueprint("health", __name__)
        door.add_url_rule("/healthz", "alive", self.alive)
        door.add_url_rule("/readyz", "ready", self.ready)
        return door

    def alive(self) -> Response:
        return jsonify(status="ok")

    def ready(self) -> Response:
        """Raises what is wrong; the frame turns it into 503 or 500."""
        db.session.execute(text("SELECT 1"))
        self.house.store.ping()
        self.house.keys.jwks()
        self.house.trust.snapshot()
        return jsonify(status="ok")
