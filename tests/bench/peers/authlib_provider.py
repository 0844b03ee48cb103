"""A provider made as Authlib's documentation of its Flask server shows, on PostgreSQL: models, grants and validators
of its SQLAlchemy mixins. Everybody who comes is signed in at once. Served by gunicorn (`application`).

DATABASE_URL, ISSUER, CLIENT_SECRET and REDIRECT_URI come from the environment. `/bench/codes?n=…&challenge=…` issues
codes as the end of a sign-in would.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token
from authlib.integrations.sqla_oauth2 import (
    OAuth2AuthorizationCodeMixin,
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_bearer_token_validator,
    create_query_client_func,
    create_save_token_func,
)
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode, UserInfo
from flask import Flask, Response, jsonify, request
from flask_sqlalchemy import SQLAlchemy
from joserfc.jwk import ECKey

SCOPE = "openid profile"
KEY = ECKey.generate_key("P-256", {"kid": "bench", "alg": "ES256"})

application = Flask(__name__)
application.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("DATABASE_URL", "sqlite://")
db = SQLAlchemy(application)


class User(db.Model):  # type: ignore[name-defined,misc]
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(80))

    def get_user_id(self) -> int:
        return int(self.id)


class Client(db.Model, OAuth2ClientMixin):  # type: ignore[name-defined,misc]
    __tablename__ = "oauth2_client"
    id = db.Column(db.Integer, primary_key=True)


class Code(db.Model, OAuth2AuthorizationCodeMixin):  # type: ignore[name-defined,misc]
    __tablename__ = "oauth2_code"
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id"))
    user = db.relationship("User")


class Token(db.Model, OAuth2TokenMixin):  # type: ignore[name-defined,misc]
    __tablename__ = "oauth2_token"
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id"))
    user = db.relationship("User")


class AuthorizationCodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

    def save_authorization_code(self, code: str, request: Any) -> None:
        data = request.payload.data
        _keep_code(code, request.client.client_id, request.user.id, data["code_challenge"], data.get("nonce"))

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found: Code | None = Code.query.filter_by(code=code, client_id=client.client_id).first()
        return found if found is not None and not found.is_expired() else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        db.session.delete(authorization_code)
        db.session.commit()

    def authenticate_user(self, authorization_code: Code) -> User | None:
        return db.session.get(User, authorization_code.user_id)


class OpenID(OpenIDCode):  # type: ignore[misc]
    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return Code.query.filter_by(client_id=request.payload.client_id, nonce=nonce).first() is not None

    def resolve_client_private_key(self, client: Client) -> ECKey:
        return KEY

    def get_client_algorithm(self, client: Client) -> str:
        return "ES256"

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": os.environ["ISSUER"]}

    def get_jwt_config(self, grant: Any) -> dict[str, Any]:
        return {"key": KEY, "alg": "ES256", "iss": os.environ["ISSUER"], "exp": 300}

    def generate_user_info(self, user: User, scope: str) -> UserInfo:
        return UserInfo(sub=str(user.id), name=user.name)


server = AuthorizationServer()
server.init_app(
    application,
    query_client=create_query_client_func(db.session, Client),
    save_token=create_save_token_func(db.session, Token),
)
server.register_grant(AuthorizationCodeGrant, [OpenID(require_nonce=True), CodeChallenge(required=True)])
protected = ResourceProtector()
protected.register_token_validator(create_bearer_token_validator(db.session, Token)())


@application.get("/authorize")
def authorize() -> Any:
    user = _somebody()
    grant = server.get_consent_grant(end_user=user)
    return server.create_authorization_response(grant=grant, grant_user=user)


@application.post("/token")
def token() -> Any:
    return server.create_token_response()


@application.get("/userinfo")
@protected("openid profile")  # type: ignore[untyped-decorator]
def userinfo() -> Response:
    return jsonify(UserInfo(sub=str(current_token.user_id), name=current_token.user.name))


@application.get("/bench/codes")
def codes() -> Response:
    made = [secrets.token_urlsafe(36) for _ in range(int(request.args["n"]))]
    for code in made:
        _keep_code(code, "portal", _somebody().id, request.args["challenge"], secrets.token_urlsafe(9))
    return jsonify(codes=made)


def prepare() -> None:
    """The tables, and the portal."""
    with application.app_context():
        db.create_all()
        client = Client(client_id="portal", client_secret=os.environ["CLIENT_SECRET"])
        client.set_client_metadata(
            {
                "redirect_uris": [os.environ["REDIRECT_URI"]],
                "grant_types": ["authorization_code"],
                "response_types": ["code"],
                "scope": SCOPE,
                "token_endpoint_auth_method": "client_secret_basic",
            }
        )
        db.session.add(client)
        db.session.commit()
        db.engine.dispose()


def _somebody() -> User:
    user = User(name=f"Somebody {secrets.token_hex(4)}")
    db.session.add(user)
    db.session.commit()
    return user


def _keep_code(code: str, client_id: str, user_id: int, challenge: str, nonce: str | None) -> None:
    db.session.add(
        Code(
            code=code,
            client_id=client_id,
            redirect_uri=os.environ["REDIRECT_URI"],
            scope=SCOPE,
            user_id=user_id,
            code_challenge=challenge,
            code_challenge_method="S256",
            nonce=nonce,
            auth_time=int(time.time()),
        )
    )
    db.session.commit()


if __name__ == "__main__":
    prepare()
