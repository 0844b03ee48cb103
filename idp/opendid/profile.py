"""What a wallet is asked: a VerifyProfile, signed with the key of our DID document.

Spec: Open DID, Profile format 4, Data Specification 4.5.2 and 4.1.2.2. Several schemas in a filter are alternatives
here: the specification leaves that to the parties, and we ask for one credential.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from idp.clock import Clock, iso
from idp.credentials import TrustSnapshot, data_proof, multibase
from idp.credentials.opendid import FORMAT, SCHEMA_TYPE
from idp.credentials.trust import seoul_day
from idp.hsm import Hsm, private_key
from idp.opendid.offers import PATH, Transaction
from idp.presentation.question import Alternative, Question
from idp.settings import Settings

PIN_OR_BIO = 0x0006
PIN_AND_BIO = 0x8006
"""Ways in which the holder unlocks their keys (`VERIFY_AUTH_TYPE`, Data Specification 3.5)."""


class SignerError(ValueError):
    """The key of our DID document cannot be used; says why."""


@dataclass(frozen=True)
class Words:
    """What the wallet shows with the request, in the holder's language."""

    verifier: str
    title: str
    description: str
    language: str


class Signer:
    """The key by which wallets know us, and its name."""

    def __init__(self, settings: Settings, hsm: Hsm | None = None) -> None:
        """Raises SignerError; HsmError where the key is in an HSM that does not answer."""
        self.verification_method = settings.opendid.verification_method
        if hsm is not None and settings.hsm.opendid_key:
            self._key = _in_hsm(hsm, settings.hsm.opendid_key)
        else:
            self._key = _private_key(Path(settings.opendid.private_key_file))

    @property
    def did(self) -> str:
        """Our DID."""
        return self.verification_method.partition("?")[0]

    def signed(self, document: dict[str, Any], now: int) -> dict[str, Any]:
        """The document with our proof."""
        proof = {
            "type": data_proof.PROOF_TYPE,
            "created": iso(now),
            "verificationMethod": self.verification_method,
            "proofPurpose": "assertionMethod",
        }
        signature = data_proof.sign(self._key, data_proof.signing_input(document, proof))
        return {**document, "proof": {**proof, "proofValue": multibase.encode(signature)}}


class Profiles:
    """Makes the profiles of transactions."""

    def __init__(self, settings: Settings, signer: Signer, clock: Clock) -> None:
        self._issuer = settings.issuer
        self._certificate_url = settings.opendid.certificate_vc_url
        self._signer = signer
        self._clock = clock

    def profile(
        self, transaction: Transaction, question: Question, trust: TrustSnapshot, words: Words
    ) -> dict[str, Any]:
        """The signed profile of a transaction."""
        now = self._clock()
        verifier = {
            "did": self._signer.did,
            "certVcRef": self._certificate_url,
            "name": words.verifier,
            "ref": self._issuer,
        }
        process = {
            "endpoints": [f"{self._issuer}{PATH}"],
            "reqE2e": transaction.agreement.request(),
            # The same nonce in both places: wallets make the key from one, the project's verifier from the other.
            "verifierNonce": multibase.encode(transaction.nonce, "m"),
            "authType": PIN_AND_BIO if question.status_fail_closed else PIN_OR_BIO,
        }
        document = {
            "id": str(uuid4()),
            "type": "VerifyProfile",
            "title": words.title,
            "description": words.description,
            "encoding": "UTF-8",
            "language": words.language,
            "profile": {
                "verifier": verifier,
                "filter": {"credentialSchemas": list(_schemas(question, trust, now))},
                "process": process,
            },
        }
        return self._signer.signed(document, now)


def _schemas(question: Question, trust: TrustSnapshot, now: int) -> Iterator[dict[str, Any]]:
    """One entry for each name under which a credential that would do may go."""
    for alternative in question.within((FORMAT,)):
        for name in sorted(alternative.looks.names):
            yield {
                "id": name,
                "type": SCHEMA_TYPE,
                "presentAll": False,
                "displayClaims": _codes(alternative, with_optional=True),
                "requiredClaims": _codes(alternative, with_optional=False),
                "allowedIssuers": _issuers(alternative, trust, now),
            }


def _codes(alternative: Alternative, *, with_optional: bool) -> list[str]:
    paths = (*alternative.required, *alternative.person_keys)
    if with_optional:
        paths = (*paths, *alternative.optional)
    return list(dict.fromkeys(alternative.looks.paths[path][0] for path in paths))


def _issuers(alternative: Alternative, trust: TrustSnapshot, now: int) -> list[str]:
    """Who issues this type today. A wallet offers nothing else; whether it kept to that is verified."""
    return sorted(
        did
        for mission in trust.missions.values()
        if alternative.kind.id in mission.credential_types and mission.active_on(seoul_day(now))
        for did in mission.issuer_dids
    )


def _in_hsm(hsm: Hsm, label: str) -> ec.EllipticCurvePrivateKey:
    key = private_key(hsm, ("label", label), hsm.public_key(("label", label)))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SignerError("hsm.opendid_key: must be an EC P-256 key")
    return key


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise SignerError(f"opendid.private_key_file: {type(error).__name__}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SignerError("opendid.private_key_file: must be an EC P-256 key")
    return key
