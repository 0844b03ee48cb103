"""The least that a provider and verifier must do for the guests to work against it, by the specifications.

It believes what a wallet shows (the house's own tests see to that) and can be told to misbehave towards a
portal: `id_token`, `userinfo` and `answer` are changes applied to what it sends. It keeps the promises of FAPI 2.0
(RFC 9126, RFC 9449, JARM) to a portal of that profile, and the device flow (RFC 8628) to a counter.
"""

import base64
import hashlib
import json
import secrets
import time
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwe, jws, jwt
from joserfc.jwk import ECKey

from idp.demo import personas
from idp.demo.seeds import Prepared


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


class Registry(jws.JWSRegistry):
    max_header_length = 20_000


class SmallProvider:
    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.issuer = prepared.issuer
        self.signing_key = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"}, auto_kid=True)
        self.other_key = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"}, auto_kid=True)
        self.request_key = ECKey.import_key(prepared.request_signer_key.read_bytes())
        self.leaf = x509.load_pem_x509_certificate(prepared.request_signer_certificates.read_bytes())
        self.client_id = "x509_hash:" + b64(hashlib.sha256(self.leaf.public_bytes(Encoding.DER)).digest())
        self.portals = {portal["client_id"]: portal for portal in prepared.portals()}
        self.logins: dict[str, dict[str, Any]] = {}
        self.codes: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.pushed: dict[str, dict[str, str]] = {}
        self.devices: dict[str, dict[str, Any]] = {}
        self.proofs: set[str] = set()
        self.misbehave()

    def misbehave(
        self,
        *,
        id_token: dict[str, Any] | None = None,
        userinfo: dict[str, Any] | None = None,
        answer: dict[str, str] | None = None,
        sign_with: ECKey | None = None,
        at_hash_of: str | None = None,
        token_type: str | None = None,
        device_answers: list[str] | None = None,
    ) -> None:
        """From now on send these changes; without arguments, behave."""
        self.id_token_changes, self.userinfo_changes = id_token or {}, userinfo or {}
        self.answer_changes = answer or {}
        self.sign_with, self.at_hash_of = sign_with or self.signing_key, at_hash_of
        self.token_type = token_type
        self.device_answers = device_answers or []
        self.dpop_nonce = secrets.token_urlsafe(16)

    # ---- towards the wallet

    def request_claims(self, login_id: str, **changes: Any) -> dict[str, Any]:
        login = self.logins[login_id]
        claims: dict[str, Any] = {
            "iss": self.client_id,
            "aud": "https://self-issued.me/v2",
            "iat": int(time.time()),
            "client_id": self.client_id,
            "response_type": "vp_token",
            "response_mode": "direct_post.jwt",
            "response_uri": f"{self.issuer}/wallet/response/{login_id}",
            "nonce": login["nonce"],
            "state": login_id,
            "dcql_query": {
                "credentials": [
                    {
                        "id": "identity",
                        "format": "dc+sd-jwt",
                        "meta": {"vct_values": [self.prepared.vct]},
                        "claims": [{"path": path} for path in login["paths"]],
                    }
                ]
            },
            "client_metadata": {
                "client_name": "정부24",
                "client_name#en": "Government24",
                "jwks": {
                    "keys": [
                        {
                            **login["key"].as_dict(private=False),
                            "kid": login_id,
                            "alg": "ECDH-ES",
                            "use": "enc",
                        }
                    ]
                },
                "encrypted_response_enc_values_supported": ["A128GCM", "A256GCM"],
                "vp_formats_supported": {
                    "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}
                },
            },
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def sign_request(self, claims: dict[str, Any], *, key: ECKey | None = None, **header_changes: Any) -> str:
        x5c = [base64.b64encode(self.leaf.public_bytes(Encoding.DER)).decode("ascii")]
        header = {"typ": "oauth-authz-req+jwt", "alg": "ES256", "x5c": x5c, **header_changes}
        return jws.serialize_compact(
            header, json.dumps(claims), key or self.request_key, registry=Registry(algorithms=["ES256"])
        )

    def new_login(self, query: dict[str, str] | None = None) -> str:
        login_id = secrets.token_urlsafe(16)
        self.logins[login_id] = {
            "query": query or {},
            "nonce": secrets.token_urlsafe(24),
            "key": ECKey.generate_key("P-256"),
            "paths": [
                ["name"],
                ["birthdate"],
                ["passport", "number"],
                ["nationalities", None],
                ["issuing_mission"],
                ["overseas_registration_number"],
                ["address", "formatted"],
            ],
            "answer": None,
            "error": None,
            "done": None,
            "device": "same",
        }
        return login_id

    def open_response(self, login_id: str, response: str) -> dict[str, Any]:
        registry = jwe.JWERegistry(algorithms=["ECDH-ES", "A128GCM", "A256GCM"])
        opened = jwe.decrypt_compact(response, self.logins[login_id]["key"], registry=registry)
        assert set(opened.headers()) == {"alg", "enc", "kid", "epk"}
        assert opened.headers()["kid"] == login_id
        assert opened.plaintext is not None
        return dict(json.loads(opened.plaintext))

    # ---- towards the portals

    def id_token(self, code: dict[str, Any], access_token: str) -> str:
        now = int(time.time())
        half = hashlib.sha256((self.at_hash_of or access_token).encode()).digest()[:16]
        claims = {
            "iss": self.issuer,
            "sub": "pairwise-1",
            "aud": code["client_id"],
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": code["query"].get("nonce"),
            "at_hash": b64(half),
            "acr": code["query"].get("acr_values", f"{self.issuer}/acr/general").split()[0],
            "amr": ["pin"],
            "verified_claims": self.verified(code),
            **self.id_token_changes,
        }
        present = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "ES256", "kid": self.sign_with.kid}
        return jwt.encode(header, present, self.sign_with)

    def verified(self, code: dict[str, Any]) -> dict[str, Any]:
        asked = json.loads(code["query"]["claims"])["userinfo"]["verified_claims"]["claims"]
        values = {
            "kr_passport": {"number": "M1"},
            "address": {"formatted": "Street 1"},
            "nationalities": ["KR"],
            "picture": personas.portrait("somebody"),
        }
        return {
            "verification": {"trust_framework": "kr_mobile_id", "assurance_level": "general"},
            "claims": {name: values.get(name, f"value of {name}") for name in asked},
        }

    def check_client(self, code: dict[str, Any]) -> None:
        portal = self.portals[code["client_id"]]
        match portal["token_endpoint_auth_method"]:
            case "client_secret_basic":
                assert request.authorization is not None
                assert request.authorization.username == code["client_id"]
                self.check_secret(portal, request.authorization.password)
            case "client_secret_post":
                assert request.form["client_id"] == code["client_id"]
                self.check_secret(portal, request.form["client_secret"])
            case "private_key_jwt":
                key = ECKey.import_key(portal["jwks"]["keys"][0])
                token = jwt.decode(request.form["client_assertion"], key, algorithms=["ES256"])
                assert token.header["kid"] == portal["jwks"]["keys"][0]["kid"]
                assert token.claims["aud"] == self.issuer
                assert token.claims["iss"] == token.claims["sub"] == code["client_id"]
                assert token.claims["exp"] - token.claims["iat"] == 60
                assert len(token.claims["jti"]) >= 22

    @staticmethod
    def check_secret(portal: dict[str, Any], secret: str | None) -> None:
        assert hashlib.sha256((secret or "").encode()).hexdigest() in portal["client_secret_sha256"]

    def application(self) -> Flask:
        app = Flask("small_provider")

        @app.get("/.well-known/openid-configuration")
        def discovery() -> Response:
            names = {
                "authorization_endpoint": "authorize",
                "token_endpoint": "token",
                "userinfo_endpoint": "userinfo",
                "jwks_uri": "jwks",
                "end_session_endpoint": "logout",
                "pushed_authorization_request_endpoint": "par",
                "device_authorization_endpoint": "device_authorization",
            }
            places = {key: f"{self.issuer}/{path}" for key, path in names.items()}
            return jsonify({"issuer": self.issuer, **places})

        @app.get("/jwks")
        def jwks() -> Response:
            return jsonify({"keys": [self.signing_key.as_dict(private=False)]})

        @app.get("/authorize")
        def authorize() -> Any:
            query = request.args.to_dict()
            if "request_uri" in query:
                assert set(query) == {"client_id", "request_uri"}
                query = {**self.pushed[query["request_uri"]], "client_id": query["client_id"]}
            else:
                assert "require_pushed_authorization_requests" not in self.portals[query["client_id"]]
            assert query["code_challenge_method"] == "S256"
            return redirect(f"/login/{self.new_login(query)}", 303)

        @app.post("/par")
        def par() -> Any:
            self.check_client({"client_id": request.form["client_id"]})
            reference = f"urn:ietf:params:oauth:request_uri:{secrets.token_urlsafe(16)}"
            self.pushed[reference] = request.form.to_dict()
            return jsonify(request_uri=reference, expires_in=60), 201

        @app.post("/device_authorization")
        def device_authorization() -> Response:
            self.check_client({"client_id": request.form["client_id"]})
            device_code, user_code = secrets.token_urlsafe(24), "WDJB-MJHT"
            self.devices[device_code] = {
                "client_id": request.form["client_id"],
                "query": request.form.to_dict(),
                "answers": list(self.device_answers),
            }
            return jsonify(
                device_code=device_code,
                user_code=user_code,
                verification_uri=f"{self.issuer}/device",
                verification_uri_complete=f"{self.issuer}/device?user_code={user_code}",
                expires_in=600,
                interval=0,
            )

        @app.get("/login/<login_id>")
        def login(login_id: str) -> str:
            same, other = (
                urlencode(
                    {"client_id": self.client_id, "request_uri": f"{self.issuer}/wallet/{kind}/{login_id}"}
                )
                for kind in ("same", "other")
            )
            form = '<form id="confirm" method="post"><input name="number"><button>ok</button></form>'
            shown = form if self.logins[login_id]["answer"] else ""
            return (
                f'<a id="wallet-link" href="{self.prepared.wallet_link}?{same}">wallet</a>'
                f'<div id="qr" data-link="{self.prepared.wallet_link}?{other}"></div>{shown}'
            )

        @app.post("/login/<login_id>")
        def confirm(login_id: str) -> Any:
            assert request.form["number"] == self.logins[login_id]["done"]
            return redirect(f"/consent/{login_id}", 303)

        @app.route("/wallet/<any(same, other):device>/<login_id>", methods=["GET", "POST"])
        def wallet_request(device: str, login_id: str) -> Response:
            self.logins[login_id]["device"] = device
            extra = {"wallet_nonce": request.form["wallet_nonce"]} if request.method == "POST" else {}
            signed = self.sign_request(self.request_claims(login_id, **extra))
            return Response(signed, content_type="application/oauth-authz-req+jwt")

        @app.post("/wallet/response/<login_id>")
        def wallet_response(login_id: str) -> Any:
            login = self.logins[login_id]
            if "error" in request.form:
                login["error"] = request.form["error"]
                return jsonify({"redirect_uri": f"{self.issuer}/consent/{login_id}"})
            if "response" not in request.form:
                return jsonify({"error": "invalid_request"}), 400
            login["answer"] = self.open_response(login_id, request.form["response"])
            login["done"] = "4711"
            where = "wallet/done" if login["device"] == "other" else "consent"
            return jsonify({"redirect_uri": f"{self.issuer}/{where}/{login_id}"})

        @app.get("/wallet/done/<login_id>")
        def done(login_id: str) -> str:
            return f'<p>Type <strong id="confirmation-number">{self.logins[login_id]["done"]}</strong></p>'

        @app.get("/consent/<login_id>")
        def consent(login_id: str) -> Any:
            if self.logins[login_id]["error"]:
                return self.back(login_id, {"error": "access_denied"})
            return (
                '<form id="consent" method="post"><input type="hidden" name="token" value="t">'
                '<input type="checkbox" name="agreed" value="name" required>'
                '<input type="checkbox" name="agreed" value="address">'
                '<button name="decision" value="refuse">no</button>'
                '<button id="agree" name="decision" value="agree">yes</button></form>'
            )

        @app.post("/consent/<login_id>")
        def consented(login_id: str) -> Any:
            assert request.form.to_dict(flat=False) == {
                "token": ["t"],
                "agreed": ["name"],
                "decision": ["agree"],
            }
            code = secrets.token_urlsafe(24)
            query = self.logins[login_id]["query"]
            self.codes[code] = {"client_id": query["client_id"], "query": query}
            return self.back(login_id, {"code": code})

        @app.post("/token")
        def token() -> Any:
            if "device_code" in request.form:
                return self.device_token()
            code = self.codes[request.form["code"]]
            self.check_client(code)
            if "dpop_jkt" in code["query"] and not self.proven(code["query"]["dpop_jkt"]):
                return jsonify(error="use_dpop_nonce"), 400, {"DPoP-Nonce": self.dpop_nonce}
            del self.codes[request.form["code"]]
            verifier = request.form["code_verifier"].encode("ascii")
            assert b64(hashlib.sha256(verifier).digest()) == code["query"]["code_challenge"]
            assert request.form["redirect_uri"] == code["query"]["redirect_uri"]
            access_token = secrets.token_urlsafe(24)
            self.tokens[access_token] = code
            return self.tokens_for(code, access_token)

        @app.get("/userinfo")
        def userinfo() -> Any:
            scheme, _, access_token = request.headers["Authorization"].partition(" ")
            bound_to = self.tokens[access_token]["query"].get("dpop_jkt")
            assert scheme == ("DPoP" if bound_to else "Bearer")
            if bound_to and not self.proven(bound_to, access_token):
                challenge = 'DPoP error="use_dpop_nonce", algs="ES256"'
                return "", 401, {"DPoP-Nonce": self.dpop_nonce, "WWW-Authenticate": challenge}
            verified = self.verified(self.tokens[access_token])
            return jsonify({"sub": "pairwise-1", "verified_claims": verified, **self.userinfo_changes})

        @app.post("/logout")
        def logout() -> Any:
            assert set(request.form) == {"id_token_hint", "client_id", "post_logout_redirect_uri", "state"}
            target = request.form["post_logout_redirect_uri"]
            return redirect(f"{target}?{urlencode({'state': request.form['state']})}", 303)

        return app

    def back(self, login_id: str, answer: dict[str, str]) -> Any:
        query = self.logins[login_id]["query"]
        full = {**answer, "state": query["state"], "iss": self.issuer, **self.answer_changes}
        if query.get("response_mode") == "jwt":
            envelope = {"aud": query["client_id"], "exp": int(time.time()) + 60}
            signed = {**full, **envelope, **self.answer_changes}
            header = {"alg": "ES256", "kid": self.sign_with.kid}
            full = {"response": jwt.encode(header, signed, self.sign_with)}
        return redirect(f"{query['redirect_uri']}?{urlencode(full)}", 303)

    def tokens_for(self, code: dict[str, Any], access_token: str) -> Response:
        kind = "DPoP" if "dpop_jkt" in code["query"] else "Bearer"
        return jsonify(
            access_token=access_token,
            token_type=self.token_type or kind,
            id_token=self.id_token(code, access_token),
        )

    def device_token(self) -> Any:
        device = self.devices[request.form["device_code"]]
        self.check_client(device)
        assert request.form["grant_type"] == "urn:ietf:params:oauth:grant-type:device_code"
        answer = device["answers"].pop(0) if device["answers"] else "authorization_pending"
        if answer != "agreed":
            return jsonify(error=answer), 400
        access_token = secrets.token_urlsafe(24)
        self.tokens[access_token] = device
        return self.tokens_for(device, access_token)

    def proven(self, thumbprint: str, access_token: str | None = None) -> bool:
        """Whether the request's DPoP proof carries the nonce; everything else about it must be right anyway."""
        (proof,) = request.headers.getlist("DPoP")
        header = jws.extract_compact(proof.encode("ascii")).headers()
        assert header["typ"] == "dpop+jwt"
        assert "d" not in header["jwk"]
        key = ECKey.import_key(header["jwk"])
        assert key.thumbprint() == thumbprint
        claims = jwt.decode(proof, key, algorithms=["ES256"]).claims
        assert claims["htm"] == request.method
        assert claims["htu"] == request.base_url
        assert abs(time.time() - claims["iat"]) < 5
        assert claims["jti"] not in self.proofs
        self.proofs.add(claims["jti"])
        token_hash = access_token and b64(hashlib.sha256(access_token.encode("ascii")).digest())
        assert claims.get("ath") == token_hash
        return claims.get("nonce") == self.dpop_nonce
