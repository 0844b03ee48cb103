"""The Open DID demo wallet: a DID and a credential per persona, and answers to offers, rightly or wrongly on demand.

It is strict: a profile must be signed by the verifier that its DID document and certificate VC say it is, and ask for
nothing that this wallet would have to guess.

Specs: Open DID, "Presentation of VP" 4, Data Specification 4.5.2, 4.6.2, 4.6.7; Verifier API P310.
"""

import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from idp.demo import jose
from idp.demo.open_did import data
from idp.demo.open_did.authority import TAS, Authority, only
from idp.demo.open_did.data import BadData, Document
from idp.demo.open_did.registry import Registry
from idp.demo.personas import Behaviour, Persona, Status
from idp.demo.wallet import CannotAnswer, Outcome

TIMEOUT_S = 15
MAX_ANSWER_BYTES = 262_144
PIN_AND_BIO = 0x8006
_KNOWN_AUTH_TYPES = {0, 2, 4, 6, PIN_AND_BIO}
_VALID_S = 600
_SIGNING = ("assertionMethod", "authentication")


class Fault(StrEnum):
    """What the wallet does wrong in its answer."""

    NONE = ""
    WRONG_NONCE = "wrong_nonce"
    STOLEN = "stolen"
    TAMPERED_CLAIM = "tampered_claim"
    OTHER_HOLDER_KEY = "other_holder_key"
    UNKNOWN_ISSUER = "unknown_issuer"
    OTHER_REGISTRY = "other_registry"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    NO_KEY_AGREEMENT_PROOF = "no_key_agreement_proof"
    NO_ANSWER = "no_answer"


_FAULT_OF = {Behaviour.NEVER_ANSWERS: Fault.NO_ANSWER, Behaviour.WRONG_NONCE: Fault.WRONG_NONCE}
_STATUS_OF = {
    Fault.EXPIRED: Status.EXPIRED,
    Fault.REVOKED: Status.REVOKED,
    Fault.SUSPENDED: Status.SUSPENDED,
}


class OfferRefused(Exception):
    """This wallet does not answer such an offer or profile. `reason` says which rule it breaks, in English."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Offer:
    """What a QR code or link offers: where to ask, and for which offer."""

    offer_id: str
    endpoint: str


@dataclass(frozen=True)
class Asked:
    """A profile that was fetched and checked."""

    transaction_id: str
    profile: Document
    endpoint: str

    @property
    def title(self) -> str:
        """What the verifier wants shown; ours puts a number there that its holder types."""
        return str(self.profile["title"])

    @property
    def description(self) -> str:
        return str(self.profile.get("description", ""))

    @property
    def verifier(self) -> str:
        return str(self.profile["profile"]["verifier"]["name"])

    @property
    def process(self) -> Document:
        return dict(self.profile["profile"]["process"])

    @property
    def schemas(self) -> list[Document]:
        return list(self.profile["profile"]["filter"]["credentialSchemas"])


@dataclass(frozen=True)
class Holder:
    """A persona with a DID. `bio` is only there for those who unlock their wallet with more than a PIN."""

    did: str
    keys: dict[str, ec.EllipticCurvePrivateKey]

    @classmethod
    def new(cls, *, bio: bool) -> "Holder":
        names = ("pin", "bio", "keyagree") if bio else ("pin", "keyagree")
        identifier = data.base58_text(hashlib.sha256(os.urandom(32)).digest()[:20])[1:]
        return cls(f"did:omn:{identifier}", {name: jose.generate() for name in names})

    def document(self) -> Document:
        """DID Document format 3.1."""
        uses = {
            "pin": (data.PIN, _SIGNING),
            "bio": (data.BIO, _SIGNING),
            "keyagree": (data.FREE, ("keyAgreement",)),
        }
        keys = {name: (key.public_key(), *uses[name]) for name, key in self.keys.items()}
        return data.did_document(self.did, keys, TAS, time.time() - 60)


@dataclass(frozen=True)
class Held:
    """A persona's DID and credential."""

    holder: Holder
    credential: Document


class Wallet:
    """One wallet for all personas. Safe to use from several threads."""

    def __init__(
        self,
        authority: Authority,
        registry: Registry,
        personas: Iterable[Persona],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.personas = {persona.id: persona for persona in personas}
        self._authority = authority
        self._registry = registry
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._lock = threading.Lock()
        self._http = httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        """End open connections."""
        self._http.close()

    # -- what is asked -----------------------------------------------------------------------------------------

    def receive(self, scanned: str) -> Asked:
        """Fetch and check the profile behind a QR code or link. Raises OfferRefused."""
        offer = read_offer(scanned)
        body = {"id": _message_id(), "offerId": offer.offer_id}
        response = self._post(f"{offer.endpoint}/api/v1/request-profile", body)
        table = _table(response)
        if response.status_code != 200:
            raise OfferRefused(f"the verifier answers {response.status_code} {table.get('code', '')}".strip())
        profile, transaction_id = table.get("profile"), table.get("txId")
        if not isinstance(profile, dict) or not isinstance(transaction_id, str):
            raise OfferRefused("no profile")
        try:
            self._check(profile)
        except (BadData, KeyError, TypeError) as error:
            raise OfferRefused(f"the profile: {error}") from error
        endpoint = profile["profile"]["process"]["endpoints"][0]
        if urlsplit(endpoint)[:2] != urlsplit(offer.endpoint)[:2]:
            raise OfferRefused("the profile sends the answer to another place than the offer came from")
        return Asked(transaction_id, profile, endpoint)

    def _check(self, profile: Document) -> None:
        """Raises BadData, KeyError, TypeError."""
        if profile["type"] != "VerifyProfile" or profile["encoding"] != "UTF-8":
            raise BadData("another type or encoding")
        inner, proof = profile["profile"], profile["proof"]
        verifier = inner["verifier"]["did"]
        document = self._registry.document(verifier)
        did, _, key_id = proof["verificationMethod"].partition("?versionId=1#")
        if did != verifier or proof["type"] != data.PROOF_TYPE or proof["proofPurpose"] != "assertionMethod":
            raise BadData("not the verifier's proof")
        key = _key(document, key_id, "assertionMethod")
        data.check_signature(key, proof["proofValue"], data.signed_text(profile, proof))
        self._check_certificate(inner["verifier"]["certVcRef"], verifier)
        process = inner["process"]
        agreement = process["reqE2e"]
        if (agreement["curve"], agreement["cipher"], agreement["padding"]) != (
            "Secp256r1",
            "AES-256-CBC",
            "PKCS5",
        ):
            raise BadData("another way to encrypt")
        if (
            len(data.from_text(process["verifierNonce"])) != 16
            or len(data.from_text(agreement["nonce"])) != 16
        ):
            raise BadData("a nonce of another length")
        if process.get("authType", 0) not in _KNOWN_AUTH_TYPES:
            raise BadData("authType")
        data.point(agreement["publicKey"])

    def _check_certificate(self, url: str, verifier: str) -> None:
        """The trust agent must vouch for the verifier, as one."""
        try:
            certificate = _table(self._http.get(url))
        except httpx2.HTTPError as error:
            raise BadData("its certificate VC cannot be had") from error
        bare = certificate["proof"]
        if certificate["issuer"]["id"] != TAS or bare["verificationMethod"] != data.key_url(TAS, "assert"):
            raise BadData("its certificate VC is not the trust agent's")
        key = _key(self._registry.document(TAS), "assert", "assertionMethod")
        data.check_signature(key, bare["proofValue"], data.signed_text(certificate, bare))
        subject = certificate["credentialSubject"]
        roles = [claim["value"] for claim in subject["claims"] if claim["code"] == "org.opendid.v1.role"]
        if subject["id"] != verifier or roles != ["Verifier"]:
            raise BadData("its certificate VC is not one of this verifier")

    # -- what is shown -----------------------------------------------------------------------------------------

    def held(self, persona: Persona) -> Held:
        """The persona's DID and credential, made and registered the first time."""
        with self._lock:
            if persona.id not in self._held:
                holder = self._new_holder(persona)
                self._held[persona.id] = Held(holder, self._authority.issue(persona, holder.did))
            return self._held[persona.id]

    def _new_holder(self, persona: Persona, *, registered: bool = True) -> Holder:
        holder = Holder.new(bio=persona.secure)
        if registered:
            self._registry.register(holder.document())
        return holder

    def can_answer(self, persona: Persona, asked: Asked) -> bool:
        """Whether the persona's credential is one of those asked for, with all that is required."""
        return self._wanted(self.held(persona).credential, asked) is not None

    def preview(self, persona: Persona, asked: Asked) -> list[Document]:
        """The claims that the persona would show."""
        credential = self.held(persona).credential
        wanted = self._wanted(credential, asked) or []
        return [claim for claim in credential["credentialSubject"]["claims"] if claim["code"] in wanted]

    @staticmethod
    def _wanted(credential: Document, asked: Asked) -> list[str] | None:
        """The codes to show; None where the credential does not do. Several schemas are alternatives."""
        codes = {claim["code"] for claim in credential["credentialSubject"]["claims"]}
        for schema in asked.schemas:
            allowed = schema.get("allowedIssuers")
            fits = schema["id"] == credential["credentialSchema"]["id"]
            if fits and (allowed is None or credential["issuer"]["id"] in allowed):
                required = schema.get("requiredClaims", [])
                shown = [*required, *schema.get("displayClaims", [])]
                return (
                    [code for code in dict.fromkeys(shown) if code in codes]
                    if codes >= set(required)
                    else None
                )
        return None

    def show(self, asked: Asked, persona: Persona, fault: Fault = Fault.NONE) -> Outcome:
        """Answer a profile. Without a fault of its own choosing, the persona's behaviour decides.

        Raises CannotAnswer.
        """
        fault = fault or _FAULT_OF.get(persona.behaviour, Fault.NONE)
        if fault is Fault.NO_ANSWER:
            return Outcome(None, None)
        response = self._send(asked, self.answer(asked, persona, fault))
        table = _table(response)
        redirect_uri = table.get("redirectUri")
        if not isinstance(redirect_uri, str) or urlsplit(redirect_uri).scheme not in {"http", "https"}:
            redirect_uri = None
        error = table.get("code") if response.status_code != 200 else None
        return Outcome(response.status_code, redirect_uri, error if isinstance(error, str) else None)

    def answer(self, asked: Asked, persona: Persona, fault: Fault = Fault.NONE) -> Document:
        """The message that answers a profile, wrong where `fault` says so. Raises CannotAnswer."""
        held, presenter = self._with_fault(persona, fault)
        wanted = self._wanted(self.held(persona).credential, asked)
        if wanted is None:
            raise CannotAnswer("no credential satisfies the request")
        credential = disclose(held.credential, wanted)
        if fault is Fault.TAMPERED_CLAIM:
            claims = credential["credentialSubject"]["claims"]
            claims[0] = {**claims[0], "value": claims[0]["value"] + "0"}
        presentation = self._presentation(asked, presenter, credential, fault)
        return self._message(
            asked, presenter, presentation, with_proof=fault is not Fault.NO_KEY_AGREEMENT_PROOF
        )

    def _with_fault(self, persona: Persona, fault: Fault) -> tuple[Held, Holder]:
        """What is shown, and who shows it."""
        held = self.held(persona)
        if fault in _STATUS_OF or fault is Fault.UNKNOWN_ISSUER:
            stranger = fault is Fault.UNKNOWN_ISSUER
            status = _STATUS_OF.get(fault)
            issued = self._authority.issue(persona, held.holder.did, status=status, from_stranger=stranger)
            return replace(held, credential=issued), held.holder
        if fault is Fault.OTHER_REGISTRY:
            holder = self._new_holder(persona, registered=False)
            return Held(holder, self._authority.issue(persona, holder.did)), holder
        return held, self._new_holder(persona) if fault is Fault.STOLEN else held.holder

    def _presentation(self, asked: Asked, holder: Holder, credential: Document, fault: Fault) -> Document:
        now = self._clock()
        nonce = asked.process["verifierNonce"]
        document = {
            "@context": ["https://www.w3.org/ns/credentials/v2"],
            "id": str(uuid.uuid4()),
            "type": ["VerifiablePresentation"],
            "holder": holder.did,
            "validFrom": data.time_text(now),
            "validUntil": data.time_text(now + _VALID_S),
            "verifierNonce": data.base64_text(os.urandom(16)) if fault is Fault.WRONG_NONCE else nonce,
            "verifiableCredential": [credential],
        }
        both = asked.process.get("authType") == PIN_AND_BIO and "bio" in holder.keys
        signers = [
            (
                data.proof(holder.did, name, "assertionMethod", now),
                jose.generate() if fault is Fault.OTHER_HOLDER_KEY else holder.keys[name],
            )
            for name in (("pin", "bio") if both else ("pin",))
        ]
        return data.with_proofs(document, signers) if both else data.with_proof(document, *signers[0])

    def _message(self, asked: Asked, holder: Holder, presentation: Document, *, with_proof: bool) -> Document:
        """The presentation, encrypted to the verifier, with the key agreement that the holder signed."""
        agreement = asked.process["reqE2e"]
        own, iv = jose.generate(), os.urandom(16)
        shared = own.exchange(ec.ECDH(), data.point(agreement["publicKey"]))
        key = hashlib.sha256(shared + data.from_text(agreement["nonce"])).digest()
        acceptance: Document = {"publicKey": data.point_text(own.public_key()), "iv": data.base64_text(iv)}
        if with_proof:
            bare = data.proof(holder.did, "keyagree", "keyAgreement", self._clock())
            acceptance = data.with_proof(acceptance, bare, holder.keys["keyagree"])
        return {
            "id": _message_id(),
            "txId": asked.transaction_id,
            "accE2e": acceptance,
            "encVp": data.base64_text(_encrypted(key, iv, data.canonical(presentation))),
        }

    def _send(self, asked: Asked, message: Document) -> httpx2.Response:
        try:
            return self._post(f"{asked.endpoint}/api/v1/request-verify", message)
        except OfferRefused as error:
            raise CannotAnswer("the verifier cannot be reached") from error

    def _post(self, url: str, body: Document) -> httpx2.Response:
        try:
            return self._http.post(url, json=body)
        except httpx2.HTTPError as error:
            raise OfferRefused("the verifier cannot be reached") from error


def read_offer(scanned: str) -> Offer:
    """The offer in the text of a QR code, or in a link to this wallet. Raises OfferRefused.

    Both carry `payloadType` and `payload`: the code as JSON, the link in its query.
    """
    scanned = scanned.strip()
    try:
        if scanned.startswith("{"):
            envelope = json.loads(scanned)
        else:
            envelope = {name: values[0] for name, values in parse_qs(urlsplit(scanned).query).items()}
        if envelope.get("payloadType") != "SUBMIT_VP":
            raise OfferRefused("not an offer to show something")
        payload = json.loads(data.from_text(envelope.get("payload")))
        mode, kind, endpoints = payload["mode"], payload["type"], payload["endpoints"]
        offer_id = payload["offerId"]
    except (BadData, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OfferRefused("not an offer") from error
    if (mode, kind) != ("Direct", "VerifyOffer") or payload.get("locked"):
        raise OfferRefused("an offer that this wallet does not take")
    if not isinstance(offer_id, str) or not endpoints or not _is_safe(endpoints[0]):
        raise OfferRefused("an offer without a place to ask")
    return Offer(offer_id, endpoints[0])


def disclose(credential: Document, codes: list[str]) -> Document:
    """The credential with some of its claims, and their signatures in the same order (VP format 2.1.2.2)."""
    both = zip(credential["credentialSubject"]["claims"], credential["proof"]["proofValueList"], strict=True)
    kept = [(dict(claim), value) for claim, value in both if claim["code"] in codes]
    proof = {name: value for name, value in credential["proof"].items() if name != "proofValue"}
    shown = only(credential, [claim for claim, _ in kept])
    return {**shown, "proof": {**proof, "proofValueList": [value for _, value in kept]}}


def _encrypted(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()


def _key(document: Document, key_id: str, purpose: str) -> ec.EllipticCurvePublicKey:
    methods = {method["id"]: method for method in document["verificationMethod"]}
    if key_id not in document.get(purpose, []) or key_id not in methods:
        raise BadData("not a key for this purpose")
    return data.point(methods[key_id]["publicKeyMultibase"])


def _table(response: httpx2.Response) -> Document:
    try:
        body = response.json() if len(response.content) <= MAX_ANSWER_BYTES else None
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def _is_safe(url: object) -> bool:
    """https, or this machine."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"}
    )


def _message_id() -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime()) + "000000" + os.urandom(4).hex().upper()
