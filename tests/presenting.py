"""A wallet that can get anything wrong: an answer to a request, good by default, every part of it changeable.

The credential is the demonstration's. Where a row alters the issuer's part, it is signed again with the mission's own
key, so that what is refused is the alteration and not the signature. Times are the rig's clock.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwe, jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from idp.demo import dcql, sd_jwt
from idp.demo.authority import Entry
from idp.demo.personas import Status
from tests.rig import Rig, person

Change = Callable[["Answer"], None]


class _Encrypting(jwe.JWERegistry):
    max_protected_header_length = 1_000_000
    max_ciphertext_length = 10_000_000


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def as_json(value: Any) -> bytes:
    """JSON, or bytes as they are."""
    if isinstance(value, bytes):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of a compact JWS."""
    header, payload, _ = token.split(".")
    return json.loads(unb64(header)), json.loads(unb64(payload))


def sign(header: dict[str, Any], payload: Any, key: Any) -> str:
    """A compact JWS; `alg` none gives an empty signature."""
    if str(header.get("alg")).lower() == "none":
        return f"{b64(as_json(header))}.{b64(as_json(payload))}."
    usable = key if isinstance(key, ECKey | OctKey | RSAKey) else ECKey.import_key(key)
    unsigned = f"{b64(as_json(header))}.{b64(as_json(payload))}"
    # The algorithm by itself: a whole library would not put its name to these headers.
    algorithm = jws.JWSRegistry(algorithms=[header["alg"]]).get_alg(header["alg"])
    return f"{unsigned}.{b64(algorithm.sign(unsigned.encode('ascii'), usable))}"


def with_signature(token: str, signature: bytes) -> str:
    return f"{token.rpartition('.')[0]}.{b64(signature)}"


def disclosure(*content: Any) -> str:
    return b64(as_json(list(content)))


def digest(text: str) -> str:
    return b64(hashlib.sha256(text.encode("ascii")).digest())


def request_object(rig: Rig, link: str, **form: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of the request behind a link, fetched by GET, or by POST with a form."""
    uri = parse_qs(urlsplit(link).query)["request_uri"][0]
    response = rig.http.post(uri, data=form) if form else rig.http.get(uri)
    assert response.status_code == 200, response.text
    return parts(response.text)


def of_anybody(query: dict[str, Any]) -> dict[str, Any]:
    """The query for a wallet that shows what it has, whoever certified it."""
    asked = ({**one, "trusted_authorities": None} for one in query["credentials"])
    kept = [{name: value for name, value in one.items() if value is not None} for one in asked]
    return {**query, "credentials": kept}


class Answer:
    """An answer under construction. Change its parts, then `send`.

    issuer_header, issuer_payload, issuer_key; disclosures (texts); binding_header, binding_payload, holder_key;
    presentation (set it to send something else altogether); payload of the encrypted response; encryption_header,
    encryption_key; form. None in a header or payload leaves a member out.
    """

    def __init__(self, rig: Rig, link: str, persona: str = "hong", status: Status | None = None) -> None:
        self._begin(rig, request_object(rig, link)[1], persona, status)
        self.payload: dict[str, Any] = {"state": self.request["state"]}
        self.response_uri = self.request["response_uri"]

    def _begin(self, rig: Rig, request: dict[str, Any], persona: str, status: Status | None) -> None:
        self.rig = rig
        self.request = request
        self.credential = self._credential(persona, status)
        self.issuer_header, self.issuer_payload = parts(self.credential.issuer_jwt)
        self.mission = person(persona).mission
        self.issuer_key: Any = None
        match = dcql.match(
            dcql.read(of_anybody(self.request["dcql_query"])),
            claims=self.credential.claims,
            type_name=self.credential.vct,
            authority_key_ids=self.credential.authority_key_ids,
        )
        assert match is not None
        self.query_id = match.id
        self.disclosures = sd_jwt.disclose(self.credential, match.paths)
        self.holder_key: Any = self.credential.holder_key
        self.binding_header: dict[str, Any] = {"alg": "ES256", "typ": "kb+jwt"}
        self.binding_payload: dict[str, Any] = {
            "iat": rig.clock(),
            "aud": self.request.get("client_id"),
            "nonce": self.request["nonce"],
        }
        self.bound = True
        self.alter_issuer_jwt: Callable[[str], str] = lambda token: token
        self.alter_binding: Callable[[str], str] = lambda token: token
        self.presentation: Any = None
        self.payload = {}
        jwk = self.request["client_metadata"]["jwks"]["keys"][0]
        self.encryption_header: dict[str, Any] = {"alg": "ECDH-ES", "enc": "A128GCM", "kid": jwk["kid"]}
        self.encryption_key: Any = ECKey.import_key(jwk)
        self.alter_response: Callable[[str], str] = lambda token: token
        self.plaintext: Any = None
        self.form: dict[str, Any] = {}

    def _credential(self, persona: str, status: Status | None) -> sd_jwt.Credential:
        if status is None:
            return self.rig.wallet.held(person(persona)).credential
        key = ec.generate_private_key(ec.SECP256R1())
        issued, _entry = self.rig.wallet._authority.issue(person(persona), key, status=status)
        return issued

    def entry(self, persona: str) -> Entry:
        """The persona's place in its mission's status list."""
        return self.rig.wallet.held(person(persona)).entry

    def hide(self, name: str, value: Any) -> None:
        """Put a claim of the issuer's under a digest, in place of one of the same name, and disclose it."""
        known = [text for text in self.disclosures if json.loads(unb64(text))[1:2] == [name]]
        self.disclosures = [text for text in self.disclosures if text not in known]
        self.issuer_payload["_sd"] = [d for d in self.issuer_payload["_sd"] if d not in map(digest, known)]
        self.add(disclosure("altered-salt-" + name, name, value))

    def add(self, text: str) -> None:
        """Disclose one more, and let the issuer have signed its digest."""
        self.disclosures.append(text)
        self.issuer_payload["_sd"].append(digest(text))

    def issuer_jwt(self) -> str:
        original_header, original_payload = parts(self.credential.issuer_jwt)
        header = {name: value for name, value in self.issuer_header.items() if value is not None}
        payload = self.issuer_payload
        if isinstance(payload, dict):
            payload = {name: value for name, value in payload.items() if value is not None}
        if (header, payload, self.issuer_key) == (original_header, original_payload, None):
            return self.alter_issuer_jwt(self.credential.issuer_jwt)
        key = self.issuer_key or self.rig.prepared.mission_signer(self.mission).key
        return self.alter_issuer_jwt(sign(header, payload, key))

    def presented(self) -> Any:
        """The presentation as it goes into `vp_token`."""
        if self.presentation is not None:
            return self.presentation
        shown = "~".join([self.issuer_jwt(), *self.disclosures, ""])
        if not self.bound:
            return shown
        payload = {"sd_hash": digest(shown), **self.binding_payload}
        payload = {name: value for name, value in payload.items() if value is not None}
        header = {name: value for name, value in self.binding_header.items() if value is not None}
        return shown + self.alter_binding(sign(header, payload, self.holder_key))

    def encrypted(self) -> str:
        payload = {"vp_token": {self.query_id: [self.presented()]}, **self.payload}
        payload = {name: value for name, value in payload.items() if value is not None}
        plaintext = as_json(payload) if self.plaintext is None else as_json(self.plaintext)
        header = {name: value for name, value in self.encryption_header.items() if value is not None}
        registry = _Encrypting(algorithms=[header["alg"], header["enc"], "DEF"], strict_check_header=False)
        return self.alter_response(
            jwe.encrypt_compact(header, plaintext, self.encryption_key, registry=registry)
        )

    def send(self) -> httpx2.Response:
        """Post the answer, `form` instead of the encrypted one where it is given."""
        form = self.form or {"response": self.encrypted()}
        return self.rig.http.post(self.response_uri, data=form)


def stranger() -> ec.EllipticCurvePrivateKey:
    """A P-256 key that nobody knows."""
    return ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    return dict(ECKey.import_key(key).as_dict(private=False))


def der(certificate: Any) -> str:
    """A certificate as a member of x5c."""
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
