"""The Flask application with the database alone: what most commands need, without the doors and all they import."""

from __future__ import annotations

from flask import Flask
from sqlalchemy.engine import make_url

from idp import postgresql
from idp.models import db, prepare_postgresql, prepare_sqlite
from idp.settings import Settings

_MORE_CONNECTIONS = 4


def bare_app(settings: Settings, statement_s: int = 0) -> Flask:
    """An application with the database alone: for command-line work, which may take its time.

    statement_s: how long a statement may take on PostgreSQL; 0 for ever.
    """
    app = Flask("idp", static_folder=None)
    app.config["SQLALCHEMY_DATABASE_URI"] = str(settings.database_url)
    url, size = make_url(settings.database_url), settings.server.threads
    on_sqlite = url.drivername == "sqlite"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = (
        # An error's text reaches the operator's log; the values of its statement have no business there.
        {"pool_size": size, "max_overflow": _MORE_CONNECTIONS, "hide_parameters": True}
        if on_sqlite
        else postgresql.pool_options(url, size, _MORE_CONNECTIONS)
    )
    db.init_app(app)
    with app.app_context():
        if on_sqlite:
            prepare_sqlite(db.engine)
        else:
            postgresql.attend(db.engine, statement_s=statement_s)
            prepare_postgresql(db.engine)
    return app
