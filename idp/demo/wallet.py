"""The demo wallet: keeps the cards of every persona and answers requests, rightly or wrongly on demand.

The errors it can make are the ones a verifier must notice: see `Fault`.
"""

import hashlib
import json
import ssl
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cbor2
import httpx2
from cryptography import x509
from joserfc import jwe
from joserfc.jwk import ECKey

from idp.demo import dcql, jose, mdoc, request, sd_jwt
from idp.demo.authority import MDOC, OVERSEAS, Authority, Entry
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
    WRONG_TRANSCRIPT = "wrong_transcript"
    WRONG_DOCTYPE = "wrong_doctype"
    ALTERED_ELEMENT = "altered_element"
    DEVICE_MAC = "device_mac"
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


@dataclass(frozen=True)
class Choice:
    """A card that answers a request, in a format that was asked for.

    `card` is the id of its credential type; `document` is there where it is an mdoc, else `credential`.
    """

    card: str
    format: str
    match: dcql.Match
    credential: sd_jwt.Credential | None = None
    document: mdoc.Document | None = None

    @property
    def shown(self) -> list[tuple[dcql.PathPointer, list[Any]]]:
        """Each place that is opened with what it says."""
        claims = self.credential.claims if self.credential else self.document.claims if self.document else {}
        return [(path, [value for _, value in dcql.select(path, claims)]) for path in self.match.paths]


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
        self.trusted = x509.load_pem_x509_certificate(access_ca.read_bytes())
        self._held: dict[tuple[str, str], Held] = {}
        self._documents: dict[tuple[str, str], mdoc.Document] = {}
        self._lock = threading.Lock()
        self._http = httpx2.Client(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=tls or True
        )

    def close(self) -> None:
        """End open connections."""
        self._http.close()

    def receive(self, link: request.Link, dialect: request.Dialect = request.HAIP) -> request.Request:
        """Fetch and check the request behind a link. Raises request.RequestRefused."""
        unverified, wallet_nonce = request.fetch(link, self._http)
        return request.check(unverified, link, self.trusted, wallet_nonce=wallet_nonce, dialect=dialect)

    def cards(self, persona: Persona) -> tuple[str, ...]:
        """The ids of the cards that a persona holds."""
        return (OVERSEAS, *persona.siblings)

    def name_of(self, card: str) -> dict[str, str]:
        """A card's name by language."""
        return self._authority.name_of(card)

    def held(self, persona: Persona, card: str = OVERSEAS) -> Held:
        """The persona's card as SD-JWT VC, fetched from the authority the first time."""
        with self._lock:
            key = persona.id, card
            if key not in self._held:
                self._held[key] = Held(*self._authority.issue(persona, jose.generate(), card=card))
            return self._held[key]

    def document(self, persona: Persona, card: str = OVERSEAS) -> mdoc.Document:
        """The persona's card as mdoc, fetched from the authority the first time."""
        with self._lock:
            key = persona.id, card
            if key not in self._documents:
                made, _ = self._authority.issue_document(persona, jose.generate(), card=card)
                self._documents[key] = made
            return self._documents[key]

    def choices(self, persona: Persona, asked: request.Request) -> list[Choice]:
        """Every card and format of the persona's that answers the request, the overseas certificate first."""
        found = (
            self._choice(persona, card, format, asked)
            for card in self.cards(persona)
            for format in self._authority.formats(card)
        )
        return [choice for choice in found if choice is not None]

    def choose(
        self, persona: Persona, asked: request.Request, card: str | None = None, format: str | None = None
    ) -> Choice:
        """The first choice, of this card and in this format where they are named. Raises CannotAnswer."""
        for choice in self.choices(persona, asked):
            if card in (None, choice.card) and format in (None, choice.format):
                return choice
        raise CannotAnswer("no card satisfies the request")

    def can_answer(self, persona: Persona, asked: request.Request) -> bool:
        """Whether one of the persona's cards satisfies the request."""
        return bool(self.choices(persona, asked))

    def show(
        self,
        asked: request.Request,
        persona: Persona,
        fault: Fault = Fault.NONE,
        *,
        card: str | None = None,
        format: str | None = None,
    ) -> Outcome:
        """Answer a request. Without a fault of its own choosing, the persona's behaviour decides.

        Raises CannotAnswer.
        """
        fault = fault or _FAULT_OF.get(persona.behaviour, Fault.NONE)
        if fault is Fault.NO_ANSWER:
            return Outcome(None, None)
        choice = self.choose(persona, asked, card, format)
        return self._post(
            asked, answer(asked, choice.match.id, self.presented(asked, persona, choice, fault), fault)
        )

    def refuse(self, asked: request.Request) -> Outcome:
        """Tell the verifier that the holder does not want to (OpenID4VP 1.0, section 8.5)."""
        form = {"error": "access_denied"}
        return self._post(asked, form if asked.state is None else {**form, "state": asked.state})

    def _choice(self, persona: Persona, card: str, format: str, asked: request.Request) -> Choice | None:
        if format == MDOC:
            document = self.document(persona, card)
            match = dcql.match(
                asked.query,
                claims=document.claims,
                type_name=document.doc_type,
                authority_key_ids=document.authority_key_ids,
                format=format,
            )
            return Choice(card, format, match, document=document) if match else None
        credential = self.held(persona, card).credential
        match = dcql.match(
            asked.query,
            claims=credential.claims,
            type_name=credential.vct,
            authority_key_ids=credential.authority_key_ids,
            format=format,
        )
        return Choice(card, format, match, credential=credential) if match else None

    def presented(
        self, asked: request.Request, persona: Persona, choice: Choice, fault: Fault = Fault.NONE
    ) -> str:
        """What this choice shows, bound to the request."""
        status, stranger = _STATUS_OF.get(fault), fault is Fault.UNKNOWN_ISSUER
        other = status is not None or stranger
        if choice.document is not None:
            document = choice.document
            if other:
                document, _ = self._authority.issue_document(
                    persona, jose.generate(), status=status, from_stranger=stranger, card=choice.card
                )
            return present_document(document, choice.match, asked, fault)
        credential = self.held(persona, choice.card).credential
        typ = asked.dialect.sd_jwt_type
        if other or typ != request.HAIP.sd_jwt_type:
            credential, _ = self._authority.issue(
                persona, jose.generate(), status=status, from_stranger=stranger, card=choice.card, typ=typ
            )
        return present(credential, choice.match, asked, fault)

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
        audience="x509_hash:of-somebody-else" if fault is Fault.WRONG_AUDIENCE else asked.audience,
        issued_at=int(time.time()),
        sd_hash=jose.sha256(b"something else") if fault is Fault.WRONG_SD_HASH else right_hash,
        key=jose.generate() if fault is Fault.OTHER_HOLDER_KEY else credential.holder_key,
    )


def present_document(
    document: mdoc.Document, match: dcql.Match, asked: request.Request, fault: Fault = Fault.NONE
) -> str:
    """A DeviceResponse (OpenID4VP 1.0, appendix B.2), wrong where `fault` says so."""
    bound = asked
    if fault is Fault.WRONG_NONCE:
        bound = replace(asked, nonce=jose.random_text(24))
    elif fault is Fault.WRONG_AUDIENCE:
        bound = replace(
            asked, client_id="x509_hash:of-somebody-else", origin=asked.origin and "https://other"
        )
    elif fault is Fault.WRONG_TRANSCRIPT:
        bound = replace(
            asked, response_uri=f"{asked.response_uri}/elsewhere", origin=asked.origin and "https://other"
        )
    lies = mdoc.Lies(
        doc_type="org.example.other" if fault is Fault.WRONG_DOCTYPE else None,
        mac=fault is Fault.DEVICE_MAC,
        altered_element=fault in (Fault.ALTERED_ELEMENT, Fault.WRONG_SD_HASH),
        other_key=fault is Fault.OTHER_HOLDER_KEY,
    )
    shown = mdoc.present(document, match.paths, transcript(bound), lies)
    return _damaged(document, shown) if fault is Fault.TAMPERED_SIGNATURE else shown


def transcript(asked: request.Request) -> list[Any]:
    """The SessionTranscript of a request, as this wallet reads the specifications.

    OpenID4VP 1.0, appendices B.2.6.1 and B.2.6.2 (through a browser); ISO/IEC 18013-7:2024, annex B.4.4, where the
    wallet's own nonce goes in too.
    """
    if asked.dialect.transcript == "iso-18013-7":
        own = wallet_nonce(asked)
        return [
            None,
            None,
            [_hashed([asked.client_id, own]), _hashed([asked.response_uri, own]), asked.nonce],
        ]
    thumbprint = None
    if asked.encryption_key is not None and asked.dialect.transcript == "openid4vp-1.0":
        thumbprint = jose.decode(ECKey.import_key(asked.encryption_key).thumbprint())
    if asked.origin:
        return [None, None, ["OpenID4VPDCAPIHandover", _hashed([asked.origin, asked.nonce, thumbprint])]]
    information = [asked.client_id, asked.nonce, thumbprint, asked.response_uri]
    return [None, None, ["OpenID4VPHandover", _hashed(information)]]


def wallet_nonce(asked: request.Request) -> str:
    """The mdoc generated nonce for a request: the wallet's own, and the same whenever it is asked for."""
    return jose.sha256(f"mdoc nonce for {asked.nonce}".encode())


def _hashed(parts: list[Any]) -> bytes:
    return hashlib.sha256(cbor2.dumps(parts)).digest()


def _damaged(document: mdoc.Document, shown: str) -> str:
    """The response with one bit of the issuer's signature turned."""
    signature = document.issuer_auth[3]
    turned = signature[:-1] + bytes([signature[-1] ^ 1])
    return jose.encode(jose.decode(shown).replace(signature, turned))


def answer(
    asked: request.Request, query_id: str, presentation: str, fault: Fault = Fault.NONE
) -> dict[str, str]:
    """The form that answers a request with one presentation (OpenID4VP 1.0, sections 8.1 to 8.3)."""
    parameters: dict[str, Any] = {"vp_token": {query_id: [presentation]}}
    if asked.state is not None:
        parameters["state"] = asked.state
    if fault is Fault.UNENCRYPTED or not asked.dialect.encrypts:
        return {**parameters, "vp_token": json.dumps(parameters["vp_token"])}
    return {"response": encrypt(parameters, asked)}


def encrypt(answer: dict[str, Any], asked: request.Request) -> str:
    """The answer as a compact JWE to the verifier's key (OpenID4VP 1.0, section 8.3): ECDH-ES.

    Without `apu` and `apv`, but for the wallet's nonce where the transcript is that of ISO/IEC 18013-7.
    """
    if asked.encryption_key is None:
        raise CannotAnswer("the verifier names no key to encrypt to")
    header = {"alg": "ECDH-ES", "enc": asked.encryption, "kid": asked.encryption_key["kid"]}
    if asked.dialect.transcript == "iso-18013-7":
        header |= {"apu": jose.encode(wallet_nonce(asked).encode()), "apv": jose.encode(asked.nonce.encode())}
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
