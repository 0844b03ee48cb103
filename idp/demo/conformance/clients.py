"""The suite's clients: keys, secrets and certificates made once, and how they are registered at the provider."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, RSAKey

from idp.demo import jose, pki, toml

_CERTIFICATE_LIFE = timedelta(days=730)
_RSA_BITS = 2048
CLAIMS = ("name", "family_name", "given_name", "birthdate", "gender", "address")
SCOPES = ("openid", "profile", "address", "kr_overseas", "kr_portrait", "offline_access")
VERIFIER = "conformance-verifier"
"""The portal at which a holder signs in whose wallet is the suite."""

PID_CLAIMS = ("family_name", "given_name", "birthdate")
_GRANTS = ("authorization_code", "refresh_token")
_TEXTS: dict[str, dict[str, str]] = {
    "operator": {"ko": "OpenID 재단", "en": "OpenID Foundation"},
    "retention": {"ko": "시험이 끝날 때까지", "en": "until the test ends"},
}
_PURPOSE = {"ko": "적합성 시험", "en": "Conformance test"}


@dataclass(frozen=True)
class Client:
    """One client: what the provider registers, and what the suite must know to act as it.

    `certificate` is the pair of PEM texts with which it opens TLS connections, certificate and key.
    """

    registration: Mapping[str, Any]
    secret: str | None = None
    private_jwk: Mapping[str, Any] | None = None
    certificate: tuple[str, str] | None = None

    @property
    def client_id(self) -> str:
        """As registered."""
        return str(self.registration["client_id"])

    def for_suite(self, **more: Any) -> dict[str, Any]:
        """The `client` object of a plan's configuration."""
        said: dict[str, Any] = {"client_id": self.client_id, **more}
        if self.secret is not None:
            said["client_secret"] = self.secret
        if self.private_jwk is not None:
            said["jwks"] = {"keys": [dict(self.private_jwk)]}
        return said

    def tls_for_suite(self) -> dict[str, str]:
        """The `mtls` object of a plan's configuration."""
        certificate, key = self.certificate or ("", "")
        return {"cert": certificate, "key": key}


class Clients:
    """All of them, for a suite whose test instances live under `alias_url` (which ends in a slash)."""

    def __init__(self, directory: Path, alias_url: str) -> None:
        self._directory = directory
        self._alias_url = alias_url
        self._authority = pki.keep_ca(directory / "clients-ca", "Conformance client CA")
        basic = {"token_endpoint_auth_method": "client_secret_basic"}
        self.first = self._with_secret("conformance-1", basic)
        self.second = self._with_secret("conformance-2", basic)
        self.post = self._with_secret(
            "conformance-post", {"token_endpoint_auth_method": "client_secret_post"}
        )
        told = {
            "backchannel_logout_uri": f"{alias_url}backchannel_logout",
            "backchannel_logout_session_required": True,
        }
        self.backchannel = self._with_secret("conformance-backchannel", {**basic, **told})
        self.verifier = self._with_secret(
            VERIFIER, {**basic, "credential_types": ["conformance-pid"], "claims": _claims(PID_CLAIMS)}
        )
        self.dpop = self._pair_with_key("conformance-dpop", {})
        self.signing = self._pair_with_key("conformance-signing", {"require_signed_request_object": True})
        self.mtls = (self._under_authority("conformance-mtls-1"), self._self_signed("conformance-mtls-2"))

    @property
    def all(self) -> tuple[Client, ...]:
        """Every client."""
        standard = (self.first, self.second, self.post, self.backchannel, self.verifier)
        return (*standard, *self.dpop, *self.signing, *self.mtls)

    @property
    def authority_pem(self) -> str:
        """The authority that issues clients' certificates."""
        return self._authority.pem

    @property
    def trusted_pem(self) -> str:
        """What a TLS front must know to take the clients' certificates: authority and self-signed ones."""
        return self._authority.pem + self.mtls[1].tls_for_suite()["cert"]

    def portals_toml(self) -> str:
        """For `idp portals apply`."""
        return toml.arrays({"portal": [client.registration for client in self.all]})

    def _registration(self, client_id: str, particulars: Mapping[str, Any]) -> dict[str, Any]:
        callback = f"{self._alias_url}callback"
        return {
            "client_id": client_id,
            "name": {"ko": f"적합성 시험 {client_id}", "en": f"Conformance test {client_id}"},
            **_TEXTS,
            # The second one is what the suite's second client asks for (RFC 6749, section 3.1.2: a query is kept).
            "redirect_uris": [callback, f"{callback}?dummy1=lorem&dummy2=ipsum"],
            "sector_identifier": f"{client_id}.example",
            "grant_types": list(_GRANTS),
            "scopes": list(SCOPES),
            "credential_types": ["kr-overseas-national"],
            "claims": _claims(CLAIMS),
            **particulars,
        }

    def _with_secret(self, client_id: str, particulars: Mapping[str, Any]) -> Client:
        path = self._directory / f"{client_id}.secret"
        if not path.exists():
            pki.write_private(path, secrets.token_urlsafe(32).encode("ascii"))
        secret = path.read_text("ascii")
        standard = {
            "client_secret_sha256": [hashlib.sha256(secret.encode("ascii")).hexdigest()],
            "post_logout_redirect_uris": [f"{self._alias_url}post_logout_redirect"],
            "require_pkce": False,
            "id_token_signed_response_alg": "RS256",
        }
        return Client(self._registration(client_id, {**standard, **particulars}), secret=secret)

    def _pair_with_key(self, name: str, particulars: Mapping[str, Any]) -> tuple[Client, Client]:
        """One client signs with PS256, so that the suite can try RS256 with its key; the other with ES256."""
        return self._with_key(f"{name}-1", "PS256", particulars), self._with_key(
            f"{name}-2", "ES256", particulars
        )

    def _with_key(self, client_id: str, alg: str, particulars: Mapping[str, Any]) -> Client:
        jwk = self._keep_jwk(client_id, alg)
        public = {name: value for name, value in jwk.items() if name not in {"d", "p", "q", "dp", "dq", "qi"}}
        fapi2 = {
            "profile": "fapi2",
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [public]},
            "dpop_bound_access_tokens": True,
            "cross_device": False,
            "claims": _claims((*CLAIMS, "picture")),
        }
        return Client(self._registration(client_id, {**fapi2, **particulars}), private_jwk=jwk)

    def _keep_jwk(self, client_id: str, alg: str) -> dict[str, Any]:
        path = self._directory / f"{client_id}.jwk"
        if not path.exists():
            key = ECKey.generate_key("P-256") if alg == "ES256" else RSAKey.generate_key(_RSA_BITS)
            jwk = {**key.as_dict(private=True), "kid": key.thumbprint(), "alg": alg, "use": "sig"}
            pki.write_private(path, jose.compact_json(jwk))
        kept: dict[str, Any] = json.loads(path.read_text("ascii"))
        return kept

    def _under_authority(self, client_id: str) -> Client:
        leaf = pki.keep_leaf(self._directory / client_id, client_id, self._authority)
        subject = leaf.certificate.subject.rfc4514_string()
        particulars = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": subject}
        return self._with_certificate(client_id, leaf, particulars)

    def _self_signed(self, client_id: str) -> Client:
        path = self._directory / client_id
        if not path.with_suffix(".pem").exists():
            pki.save(path, _make_self_signed(client_id))
        own = pki.load(path)
        jwk = {**jose.public_jwk(own.key.public_key()), "x5c": jose.x5c([own.certificate]), "use": "sig"}
        particulars = {
            "token_endpoint_auth_method": "self_signed_tls_client_auth",
            "jwks": {"keys": [{**jwk, "kid": client_id}]},
        }
        return self._with_certificate(client_id, own, particulars)

    def _with_certificate(
        self, client_id: str, identity: pki.Identity, particulars: Mapping[str, Any]
    ) -> Client:
        fapi2 = {
            "profile": "fapi2",
            "tls_client_certificate_bound_access_tokens": True,
            "cross_device": False,
            "claims": _claims((*CLAIMS, "picture")),
        }
        pair = identity.pem, pki.private_pem(identity.key).decode("ascii")
        # The suite wants to have a key to sign with even where nothing is signed.
        jwk = ECKey.import_key(pair[1]).as_dict(private=True)
        return Client(
            self._registration(client_id, {**fapi2, **particulars}),
            private_jwk={**jwk, "kid": client_id, "alg": "ES256", "use": "sig"},
            certificate=pair,
        )


def _claims(names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"name": name, "purpose": _PURPOSE, "required": True, "basis": "consent"} for name in names]


def _make_self_signed(common_name: str) -> pki.Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + _CERTIFICATE_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return pki.Identity(builder.sign(key, hashes.SHA256()), key)
