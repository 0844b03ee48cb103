"""The missions as Open DID issuers, and the trust agent (TAS) that vouches for the verifier.

A credential's claims are texts, each signed by itself, so that its holder can show some of them. What becomes of a
credential stands in the registry.

Specs: Open DID, VC format 2.3 and 3.2, Data Specification 4.4.5 (VcMeta), DID Document format 3.3, 3.4.
"""

import base64
import time
import uuid
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from idp.demo import jose
from idp.demo.open_did import data
from idp.demo.open_did.data import Document
from idp.demo.open_did.registry import Registry
from idp.demo.personas import Persona, Status
from idp.demo.seeds import Prepared

TAS = "did:omn:demo-tas"
CODE = "kr.example.overseas.v1."
"""What stands before an element's name in the code of its claim."""
SCHEMA_TYPE = "OsdSchemaCredential"
_DAY_S = 86_400
_STATUSES = {
    Status.VALID: "ACTIVE",
    Status.EXPIRED: "ACTIVE",
    Status.REVOKED: "REVOKED",
    Status.SUSPENDED: "INACTIVE",
}
_SEXES = {1: "M", 2: "F"}


@dataclass(frozen=True)
class Signer:
    """An organisation with a DID and a key to assert with."""

    did: str
    key: ec.EllipticCurvePrivateKey

    def document(self) -> Document:
        """Its DID document."""
        keys = {"assert": (self.key.public_key(), data.FREE, ("assertionMethod",))}
        return data.did_document(self.did, keys, TAS, time.time() - _DAY_S)


class Authority:
    """Issues for every mission of the files that were prepared, and registers what it issues."""

    def __init__(self, prepared: Prepared, registry: Registry) -> None:
        self._registry = registry
        known = prepared.trust()
        self._schema = prepared.open_did_schema
        self._elements = frozenset(known["credential_type"][0]["formats"]["opendid"]["elements"])
        self._missions = {
            mission["code"]: mission for mission in prepared.missions() if mission.get("issuer_dids")
        }
        self._signers = {
            code: Signer(mission["issuer_dids"][0], prepared.mission_did_key(code))
            for code, mission in self._missions.items()
        }
        self._stranger = Signer("did:omn:demo-stranger", jose.generate())
        tas = Signer(TAS, jose.generate())
        verifier = Signer(prepared.open_did, prepared.open_did_key)
        for signer in (*self._signers.values(), self._stranger, tas, verifier):
            registry.register(signer.document())
        self.certificate = _certificate(tas, verifier.did)

    def issue(
        self, persona: Persona, holder: str, *, status: Status | None = None, from_stranger: bool = False
    ) -> Document:
        """A credential for the persona under this DID. `status` overrides the persona's own."""
        status = status or persona.status
        signer = self._stranger if from_stranger else self._signers[persona.mission]
        credential = _credential(
            signer,
            subject=holder,
            schema=self._schema,
            claims=[
                claim
                for claim in _claims(persona.claims(self._missions[persona.mission]))
                if claim["caption"] in self._elements
            ],
            ended=status is Status.EXPIRED,
        )
        self._registry.keep(_meta(credential, _STATUSES[status]))
        return credential


def _credential(
    signer: Signer,
    *,
    subject: str,
    schema: str,
    claims: list[Document],
    ended: bool = False,
    types: tuple[str, ...] = (),
) -> Document:
    """A credential with a signature for each claim, and one for all of them."""
    # On whole days, so that the dates do not mark one credential among many.
    today = int(time.time()) // _DAY_S * _DAY_S
    issued = today - (400 if ended else 30) * _DAY_S
    document: Document = {
        "@context": ["https://www.w3.org/ns/credentials/v2"],
        "id": str(uuid.uuid4()),
        "type": ["VerifiableCredential", *types],
        "issuer": {"id": signer.did},
        "issuanceDate": data.time_text(issued),
        "validFrom": data.time_text(issued),
        "validUntil": data.time_text(issued + 365 * _DAY_S),
        "encoding": "UTF-8",
        "formatVersion": "1.0",
        "language": "ko",
        "evidence": [
            {
                "type": "DocumentVerification",
                "verifier": signer.did,
                "evidenceDocument": "Passport",
                "subjectPresence": "Physical",
                "documentPresence": "Physical",
            }
        ],
        "credentialSchema": {"id": schema, "type": SCHEMA_TYPE},
        "credentialSubject": {"id": subject, "claims": claims},
    }
    bare = data.proof(signer.did, "assert", "assertionMethod", issued)
    return {
        **document,
        "proof": {
            **bare,
            "proofValue": data.sign(signer.key, data.signed_text(document, bare)),
            "proofValueList": [
                data.sign(signer.key, data.signed_text(only(document, [claim]), bare)) for claim in claims
            ],
        },
    }


def only(credential: Document, claims: list[Document]) -> Document:
    """The credential with these claims alone, its proof as it was."""
    return {**credential, "credentialSubject": {**credential["credentialSubject"], "claims": claims}}


def _meta(credential: Document, status: str) -> Document:
    """What the registry keeps of a credential (VcMeta)."""
    same = ("id", "credentialSchema", "issuanceDate", "validFrom", "validUntil", "formatVersion", "language")
    return {
        **{name: credential[name] for name in same},
        "issuer": {"did": credential["issuer"]["id"], "certVcRef": "https://tas.invalid/certificate-vc"},
        "subject": credential["credentialSubject"]["id"],
        "status": status,
    }


def _claims(elements: dict[str, Any]) -> list[Document]:
    """The elements of the mobile certificate as claims: one for each, all of them texts."""
    found: list[Document] = []
    for name, value in elements.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        found += [_claim(f"{name}.{part}".rstrip("."), member) for part, member in parts]
    return found


def _claim(name: str, value: Any) -> Document:
    if name == "picture":
        picture = data.base64_text(base64.b64decode(value.partition(",")[2]))
        return {**_text_claim(name, picture), "type": "image", "format": "png"}
    if name == "sex":
        return _text_claim(name, _SEXES[value])
    if isinstance(value, bool):
        return _text_claim(name, "true" if value else "false")
    if isinstance(value, list):
        return _text_claim(name, ",".join(value))
    # Days are written as on a Korean card.
    return _text_claim(name, value.replace("-", "") if name == "birthdate" else value)


def _text_claim(name: str, value: str) -> Document:
    return {
        "code": CODE + name,
        "caption": name,
        "value": value,
        "type": "text",
        "format": "plain",
        "hideValue": False,
    }


def _certificate(tas: Signer, verifier: str) -> Document:
    """The certificate VC by which the trust agent says that somebody may ask wallets (VC format 3.2)."""
    values = {"org.opendid.v1.subject": "o=Sinwon demonstration,c=KR", "org.opendid.v1.role": "Verifier"}
    claims = [{**_text_claim("", value), "code": code} for code, value in values.items()]
    schema = "https://tas.invalid/schema/certificate"
    return _credential(tas, subject=verifier, schema=schema, claims=claims, types=("CertificateVC",))
