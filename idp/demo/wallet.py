"""The demo wallet: keeps a credential per persona and answers requests, rightly or wrongly on demand.

The errors it can make are the ones a verifier must notice: see `Fault`.
"""

import json
import ssl
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from cryptography import x509
from joserfc import jwe
from joserfc.jwk import ECKey

from idp.demo import dcql, jose, request, sd_jwt
from idp.demo.authority import Authority, Entry
from idp.demo.personas import Behaviour, Persona, Status

TIMEOUT_S = 15
MAX_ANSWER_BYTES = 65_536


class Fault(StrEnum):
    """What the wallet does wrong in its answer."""

    NONE = ""
    WRONG_NONCE = "wrong_nonce"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_SD_HASH = "wrong_sd_hash"
    OTHER_HOLDER_KEY = "other_holder_key"
    TAMPERED_SIGNATURE = "tampered_signature"
    UNKNOWN_ISSUER = "unknown_issuer"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    UNREFERENCED_DISCLOSURE = "unreferenced_disclosure"
    REPEATED_DISCLOSURE = "repeated_disclosure"
    UNENCRYPTED = "unencrypted"
    NO_ANSWER = "no_answer"


_FAULT_OF = {Behaviour.NEVER_ANSWERS: Fault.NO_ANSWER, Behaviour.WRONG_NONCE: Fault.WRONG_NONCE}
_STATUS_OF = {
    Fault.EXPIRED: Status.EXPIRED,
    Fault.REVOKED: Status.REVOKED,
    Fault.SUSPENDED: Status.SUSPENDED,
}


class CannotAnswer(Exception):
    """The persona holds nothing that satisfies the request, or the verifier cannot be reached."""


@dataclass(frozen=True)
class Outcome:
    """What came of it: the verifier's HTTP status (None when nothing was sent) and where to go next."""

    status: int | None
    redirect_uri: str | None
    error: str | None = None


@dataclass(frozen=True)
class Held:
    """A credential in the wallet, and its place in the status list."""

    credential: sd_jwt.Credential
    entry: Entry


class _WithPortrait(jwe.JWERegistry):
    """A portrait makes the response longer than the library expects."""

    max_ciphertext_length = 2_000_000


class Wallet:
    """One wallet for all personas. Safe to use from several threads."""

    def __init__(
        self,
        authority: Authority,
        personas: Iterable[Persona],
        access_ca: Path,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.personas = {persona.id: persona for persona in personas}
        self._authority = authority
        self._trusted = x509.load_pem_x509_certificate(access_ca.read_bytes())
        self._held: dict[str, Held] = {}
        self._lock = threading.Lock()
        self._http = httpx2.Client(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=tls or True
        )

    def close(self) -> None:
        """End open connections."""
        self._http.close()

    def receive(self, link: request.Link) -> request.Request:
        """Fetch and check the request behind a link. Raises request.RequestRefused."""
        unverified, wallet_nonce = request.fetch(link, self._http)
        return request.check(unverified, link, self._trusted, wallet_nonce=wallet_nonce)

    def held(self, persona: Persona) -> Held:
        """The persona's credential, fetched from the authority the first time."""
        with self._lock:
            if persona.id not in self._held:
                self._held[persona.id] = Held(*self._authority.issue(persona, jose.generate()))
            return self._held[persona.id]

    def preview(self, persona: Persona, asked: request.Request) -> list[tuple[dcql.PathPointer, list[Any]]]:
        """Each path that is asked for with the values the persona would show; none where it has none."""
        claims = self.held(persona).credential.claims
        return [(path, [value for _, value in dcql.select(path, claims)]) for path in asked.query.asked()]

    def can_answer(self, persona: Persona, asked: request.Request) -> bool:
        """Whether the persona's credential satisfies the request."""
        return self._match(self.held(persona).credential, asked) is not None

    def show(self, asked: request.Request, persona: Persona, fault: Fault = Fault.NONE) -> Outcome:
        """Answer a request. Without a fault of its own choosing, the persona's behaviour decides.

        Raises CannotAnswer.
        """
        fault = fault or _FAULT_OF.get(persona.behaviour, Fault.NONE)
        if fault is Fault.NO_ANSWER:
            return Outcome(None, None)
        match, presentation = self._present(asked, persona, fault)
        answer: dict[str, Any] = {"vp_token": {match.id: [presentation]}}
        if asked.state is not None:
            answer["state"] = asked.state
        if fault is Fault.UNENCRYPTED:
            form = {**answer, "vp_token": json.dumps(answer["vp_token"])}
        else:
            form = {"response": encrypt(answer, asked)}
        return self._post(asked, form)

    def refuse(self, asked: request.Request) -> Outcome:
        """Tell the verifier that the holder does not want to (OpenID4VP 1.0, section 8.5)."""
        form = {"error": "access_denied"}
        return self._post(asked, form if asked.state is None else {**form, "state": asked.state})

    def _present(self, asked: request.Request, persona: Persona, fault: Fault) -> tuple[dcql.Match, str]:
        credential = self.held(persona).credential
        if fault in _STATUS_OF or fault is Fault.UNKNOWN_ISSUER:
            credential, _ = self._authority.issue(
                persona,
                jose.generate(),
                status=_STATUS_OF.get(fault),
                from_stranger=fault is Fault.UNKNOWN_ISSUER,
            )
        match = self._match(self.held(persona).credential, asked)
        if match is None:
            raise CannotAnswer("no credential satisfies the request")
        return match, present(credential, match, asked, fault)

    @staticmethod
    def _match(credential: sd_jwt.Credential, asked: request.Request) -> dcql.Match | None:
        return dcql.match(
            asked.query,
            claims=credential.claims,
            vct=credential.vct,
            authority_key_ids=credential.authority_key_ids,
        )

    def _post(self, asked: request.Request, form: dict[str, str]) -> Outcome:
        try:
            response = self._http.post(asked.response_uri, data=form)
        except httpx2.HTTPError as error:
            raise CannotAnswer("the verifier cannot be reached") from error
        return _read_outcome(response)


def present(
    credential: sd_jwt.Credential, match: dcql.Match, asked: request.Request, fault: Fault = Fault.NONE
) -> str:
    """An SD-JWT with its Key Binding JWT (OpenID4VP 1.0, appendix B.3), wrong where `fault` says so."""
    issuer_jwt = credential.issuer_jwt
    if fault is Fault.TAMPERED_SIGNATURE:
        issuer_jwt = _tampered(issuer_jwt)
    disclosures = sd_jwt.disclose(credential, match.paths)
    if fault is Fault.UNREFERENCED_DISCLOSURE:
        disclosures.append(jose.encode(jose.compact_json([jose.random_text(), "role", "ambassador"])))
    if fault is Fault.REPEATED_DISCLOSURE:
        disclosures += disclosures[:1]
    shown = "~".join([issuer_jwt, *disclosures, ""])
    right_hash = jose.sha256(shown.encode("ascii"))
    return sd_jwt.bind(
        shown,
        nonce=jose.random_text(24) if fault is Fault.WRONG_NONCE else asked.nonce,
        audience="x509_hash:of-somebody-else" if fault is Fault.WRONG_AUDIENCE else asked.client_id,
        issued_at=int(time.time()),
        sd_hash=jose.sha256(b"something else") if fault is Fault.WRONG_SD_HASH else right_hash,
        key=jose.generate() if fault is Fault.OTHER_HOLDER_KEY else credential.holder_key,
    )


def encrypt(answer: dict[str, Any], asked: request.Request) -> str:
    """The answer as a compact JWE to the verifier's key (OpenID4VP 1.0, section 8.3): ECDH-ES, no apu, apv."""
    header = {"alg": "ECDH-ES", "enc": asked.encryption, "kid": asked.encryption_key["kid"]}
    registry = _WithPortrait(algorithms=["ECDH-ES", asked.encryption])
    return jwe.encrypt_compact(
        header, jose.compact_json(answer), ECKey.import_key(asked.encryption_key), registry=registry
    )


def _tampered(token: str) -> str:
    signing_input, _, signature = token.rpartition(".")
    flipped = bytearray(jose.decode(signature))
    flipped[-1] ^= 1
    return f"{signing_input}.{jose.encode(bytes(flipped))}"


def _read_outcome(response: httpx2.Response) -> Outcome:
    """The verifier's answer. `redirect_uri` is taken only when it is an absolute http(s) URL."""
    try:
        body = response.json() if len(response.content) <= MAX_ANSWER_BYTES else None
    except ValueError:
        body = None
    table = body if isinstance(body, dict) else {}
    redirect_uri = table.get("redirect_uri")
    if not isinstance(redirect_uri, str) or urlsplit(redirect_uri).scheme not in {"http", "https"}:
        redirect_uri = None
    error = table.get("error")
    if not isinstance(error, str) and response.status_code != 200:
        error = "no_answer_in_json"
    return Outcome(response.status_code, redirect_uri, error if isinstance(error, str) else None)
