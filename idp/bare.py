"""The Flask application with the database alone: what most commands need, without the doors and all they import."""

from __future__ import annotations

from flask import Flask

from idp.models import db, prepare_sqlite
from idp.settings import Settings


def bare_app(settings: Settings) -> Flask:
    """An application with the database alone."""
    app = Flask("idp", static_folder=None)
    app.config["SQLALCHEMY_DATABASE_URI"] = str(settings.database_url)
    if settings.database.url.startswith("sqlite"):
        options = {"pool_size": settings.server.threads, "max_overflow": 4}
    else:
        options = {"pool_size": settings.server.threads, "max_overflow": 4, "pool_pre_ping": True}
    # An error's text reaches the operator's log; the values of its statement have no business there.
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {**options, "hide_parameters": True}
    db.init_app(app)
    if settings.database.url.startswith("sqlite"):
        with app.app_context():
            prepare_sqlite(db.engine)
    return app
