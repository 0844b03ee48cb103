"""The national 모바일신분증 app, simulated: its messages as the operator's message specification 1.8.0 has them.

It reads an M200 (a QR code or a link), asks for the profile (M310), shows who asks for what, and sends a presentation
(M400) or gives up (M900). What is inside profile and presentation is not the real app's, which is not public: the
profile is signed by the verifier's certificate, and the presentation is the demonstration authority's credential,
encrypted to a key in the profile. So this shows how the messages go, and nothing about the real app's cryptography.
"""

import binascii
import hashlib
import json
import re
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from cryptography import x509
from joserfc import jwe
from joserfc.jwk import ECKey

from idp.demo import jose, request, sd_jwt
from idp.demo.personas import Behaviour, Persona
from idp.demo.request import RequestRefused
from idp.demo.wallet import TIMEOUT_S, CannotAnswer, Wallet

VERSION = "1.0.0"
MAX_MESSAGE_BYTES = 65_536
CANCELLED = 20901
_PROFILE_TYPE = "mip-profile+jwt"

Path_ = tuple[str, ...]
ITEMS: dict[str, tuple[Path_, ...]] = {
    "name": (("name",),),
    "usrname": (("family_name",),),
    "givennames": (("given_name",),),
    "birth": (("birthdate",), ("age_equal_or_over", "14"), ("age_equal_or_over", "19")),
    "sex": (("sex",),),
    "nationality": (("nationalities",),),
    "address": (("address", "formatted"),),
    "emblnm": (("issuing_mission",),),
    "expatno": (("overseas_registration_number",),),
    "passportno": (("passport", "number"),),
    "passporttype": (("passport", "type"),),
    "countrycode": (("passport", "issuing_country"),),
    "authority": (("passport", "issuing_authority"),),
    "issude": (("passport", "issue_date"),),
    "expirdate": (("passport", "expiry_date"),),
    "dlphotoimage": (("picture",),),
    "ci": (("kr_ci",),),
}
"""What the app calls things, and where they stand in the demonstration's credential."""


@dataclass(frozen=True)
class Asked:
    """A request whose profile was fetched and checked."""

    trxcode: str
    host: str
    verifier: str
    service: str
    nonce: str
    items: tuple[str, ...]
    auth_types: tuple[str, ...]
    submit_to: str
    key: dict[str, Any]
    image: str | None

    @property
    def secure(self) -> bool:
        """Whether PIN and face are asked for."""
        return "face" in self.auth_types


@dataclass(frozen=True)
class Outcome:
    """What the verifier said: taken or not, and the code of its M900 if there was one. None: nothing was sent."""

    taken: bool | None
    code: int | None = None


class MobileId:
    """The app, for all personas of a wallet. Safe to use from several threads."""

    def __init__(self, wallet: Wallet, access_ca: Path, *, tls: ssl.SSLContext | None = None) -> None:
        self.personas = wallet.personas
        self._wallet = wallet
        self._trusted = x509.load_pem_x509_certificate(access_ca.read_bytes())
        self._http = httpx2.Client(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=tls or True
        )

    def close(self) -> None:
        """End open connections."""
        self._http.close()

    def receive(self, text: str) -> Asked:
        """Read a scanned code or an opened link, and fetch what it asks for. Raises RequestRefused."""
        m200 = _read_m200(_code_in(text))
        host, trxcode = m200["host"], m200["trxcode"]
        answer = self._post(f"{host}/mip/profile", _message("310", trxcode, request="profile"))
        if not answer.get("result"):
            raise RequestRefused(f"the verifier refuses: {_error_code(answer)}")
        told = _decoded(answer.get("data"))
        if told.get("trxcode") != trxcode:
            raise RequestRefused("the profile is of another transaction")
        inner, verifier = self._checked(_decoded(told.get("profile")))
        return Asked(
            trxcode=trxcode,
            host=host,
            verifier=verifier,
            service=str(inner["name"]),
            nonce=inner["nonce"],
            items=tuple(inner["filter"]["requiredPrivacyList"]),
            auth_types=tuple(inner["authType"]),
            submit_to=inner.get("callBackUrl") or f"{host}/mip/vp",
            key=_decoded(inner["publicKey"]),
            image=self._image(m200),
        )

    def _checked(self, profile: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """The inner profile and who signed it."""
        try:
            inner, signature = profile["profile"], profile["proof"]["signatureValue"]
            header, claims = jose.read_unverified(signature)
            wanted = (
                inner["nonce"],
                inner["name"],
                inner["authType"],
                inner["filter"]["requiredPrivacyList"],
            )
        except (KeyError, TypeError, jose.BadJws) as error:
            raise RequestRefused("the profile is not one, or is not signed") from error
        leaf = request.check_signature(signature, header, self._trusted, _PROFILE_TYPE)
        text = json.dumps(inner, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        if claims.get("profile_sha256") != hashlib.sha256(text.encode("utf-8")).hexdigest():
            raise RequestRefused("the signature is of another profile")
        if not all(wanted) or not set(inner["filter"]["requiredPrivacyList"]) <= ITEMS.keys():
            raise RequestRefused("the profile asks for something that is not known here")
        return inner, request.common_name(leaf)

    def _image(self, m200: dict[str, Any]) -> str | None:
        """The verifier's picture, as a data: URL; None where it has none."""
        if m200.get("image") != "link":
            return None
        message = _message("320", m200["trxcode"], request="image")
        answer = self._post(f"{m200['host']}/mip/image", message)
        data = answer.get("data")
        if not answer.get("result") or not isinstance(data, str):
            return None
        picture = data.replace("-", "+").replace("_", "/")
        return f"data:image/png;base64,{picture}{'=' * (-len(picture) % 4)}"

    def shown(self, persona: Persona, asked: Asked) -> list[tuple[str, list[Any]]]:
        """Each item that is asked for, with what the persona would show."""
        claims = self._wallet.held(persona).credential.claims
        return [(item, [_at(claims, path) for path in ITEMS[item]]) for item in asked.items]

    def show(self, asked: Asked, persona: Persona) -> Outcome:
        """Submit the persona's credential (M400), as its behaviour has it. Raises CannotAnswer."""
        if persona.behaviour is Behaviour.REFUSES:
            return self.cancel(asked)
        if persona.behaviour is Behaviour.NEVER_ANSWERS:
            return Outcome(None)
        wrong = persona.behaviour is Behaviour.WRONG_NONCE
        return self.submit(asked, self.presentation(asked, persona, nonce="0" * 64 if wrong else asked.nonce))

    def presentation(self, asked: Asked, persona: Persona, *, nonce: str = "") -> dict[str, Any]:
        """The `vp` of an M400."""
        held = self._wallet.held(persona).credential
        if not isinstance(held, sd_jwt.Credential):  # the overseas certificate is asked for as SD-JWT VC
            raise CannotAnswer("the persona's certificate is of another format")
        nonce = nonce or asked.nonce
        paths = [path for item in asked.items for path in ITEMS[item]]
        shown = "~".join([held.issuer_jwt, *sd_jwt.disclose(held, paths), ""])
        bound = sd_jwt.bind(
            shown,
            nonce=nonce,
            audience=f"mip:{asked.host}",
            issued_at=int(time.time()),
            sd_hash=jose.sha256(shown.encode("ascii")),
            key=held.holder_key,
        )
        public = jose.compact_json(jose.public_jwk(held.holder_key.public_key()))
        return {
            "presentType": 1,
            "encryptType": 2,
            "keyType": 1,
            "authType": ["pin", "face"] if persona.secure and asked.secure else ["pin"],
            "did": f"did:jwk:{jose.encode(public)}",
            "nonce": nonce,
            "type": "VERIFY",
            "data": encrypted(bound, asked.key),
        }

    def submit(self, asked: Asked, vp: dict[str, Any]) -> Outcome:
        """Send an M400. Raises CannotAnswer."""
        message = _message("400", asked.trxcode, request="presentation", vp=vp)
        try:
            answer = self._post(asked.submit_to, message)
        except RequestRefused as error:
            raise CannotAnswer("the verifier cannot be reached") from error
        taken = answer.get("result") is True
        return Outcome(taken, None if taken else _error_code(answer))

    def cancel(self, asked: Asked, code: int = CANCELLED, text: str = "cancel by user") -> Outcome:
        """Send an M900: the holder does not want to, or something is wrong. Raises CannotAnswer."""
        try:
            self._post(f"{asked.host}/mip/error", _message("900", asked.trxcode, errcode=code, errmsg=text))
        except RequestRefused as error:
            raise CannotAnswer("the verifier cannot be reached") from error
        return Outcome(False, code)

    def _post(self, url: str, message: dict[str, Any]) -> dict[str, Any]:
        body = {"data": jose.encode(jose.compact_json(message))}
        try:
            response = self._http.post(url, json=body)
        except httpx2.HTTPError as error:
            raise RequestRefused("the verifier cannot be reached") from error
        try:
            answer = response.json() if len(response.content) <= 10 * MAX_MESSAGE_BYTES else None
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RequestRefused("the verifier does not speak this protocol")
        return answer


def encrypted(presentation: str, key: dict[str, Any]) -> str:
    """A presentation as `vp.data`: the hex of a compact JWE to the key of the profile."""
    header = {"alg": "ECDH-ES", "enc": "A256GCM"}
    plaintext = jose.compact_json({"presentation": presentation})
    return jwe.encrypt_compact(header, plaintext, ECKey.import_key(key)).encode("ascii").hex()


def _message(cmd: str, trxcode: str, **members: Any) -> dict[str, Any]:
    return {"type": "mip", "version": VERSION, "cmd": cmd, "trxcode": trxcode, **members}


def _code_in(text: str) -> str:
    """The M200 in a link (`data`), or the text itself."""
    text = text.strip()
    if "://" not in text:
        return text
    values = parse_qs(urlsplit(text).query).get("data", [])
    if len(values) != 1:
        raise RequestRefused("the link carries no data")
    return values[0]


def _read_m200(code: str) -> dict[str, Any]:
    message = _decoded(code)
    if message.get("type") != "mip" or message.get("cmd") != "200" or message.get("mode") != "direct":
        raise RequestRefused("not a request of this protocol")
    if not re.fullmatch(r"1\.[0-9]\.[0-9]", str(message.get("version"))):
        raise RequestRefused("a version that is not known here")
    host, trxcode = message.get("host"), message.get("trxcode")
    if not isinstance(host, str) or not isinstance(trxcode, str) or not trxcode:
        raise RequestRefused("host or trxcode is missing")
    request.require_safe_url(host, "host")
    return {**message, "host": host.rstrip("/")}


def _decoded(data: object) -> dict[str, Any]:
    """The JSON object in a base64url text. Raises RequestRefused."""
    if not isinstance(data, str) or len(data) > MAX_MESSAGE_BYTES:
        raise RequestRefused("not base64url of a JSON object")
    try:
        value = json.loads(jose.decode(data.rstrip("=")))
    except (jose.BadJws, binascii.Error, ValueError) as error:
        raise RequestRefused("not base64url of a JSON object") from error
    if not isinstance(value, dict):
        raise RequestRefused("not base64url of a JSON object")
    return value


def _error_code(answer: dict[str, Any]) -> int:
    try:
        return int(_decoded(answer.get("data")).get("errcode", 99999))
    except (RequestRefused, TypeError, ValueError):
        return 99999


def _at(claims: Any, path: Path_) -> Any:
    for step in path:
        claims = claims.get(step) if isinstance(claims, dict) else None
    return claims
