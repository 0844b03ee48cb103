"""Open DID presentations made after the specification: each gives what its file says."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_der_private_key

from idp.credentials import (
    CredentialRejected,
    Expected,
    Reason,
    VerifiedCredential,
    data_proof,
    multibase,
    verify,
)
from idp.credentials.opendid import check_key_agreement
from idp.credentials.trust import FormatTrust
from idp.opendid.e2e import KeyAgreement
from tests.credentials import issuing
from tests.credentials.issuing import TYPE_ID, World, credential_type
from tests.credentials.open_did import Registry

ALL = ["ok", "tamper", "steal", "short_shared_secret"]
REFUSED = {"tamper": Reason.ISSUER_SIGNATURE, "steal": Reason.HOLDER_MISMATCH}
CODES = {
    ("name",): ("kr.go.mofa.expat.v1.name",),
    ("birthdate",): ("kr.go.mofa.expat.v1.birth",),
    ("address", "formatted"): ("kr.go.mofa.expat.v1.nothing",),
}


@dataclass
class Example:
    """A vector, and the registry and trust it is verified with."""

    name: str
    document: Mapping[str, Any]

    @property
    def now(self) -> int:
        return int(datetime.fromisoformat(self.document["verification_time"]).timestamp())

    @property
    def registry(self) -> Registry:
        documents = [self.document["holder_did_document"], self.document["issuer_did_document"]]
        (credential,) = self.document["vp"]["verifiableCredential"]
        meta = {
            "id": credential["id"],
            "issuer": {"did": credential["issuer"]["id"], "certVcRef": "https://issuer.example/certificate"},
            "subject": credential["credentialSubject"]["id"],
            "credentialSchema": credential["credentialSchema"],
            "status": "ACTIVE",
        }
        return Registry({document["id"]: document for document in documents}, {credential["id"]: meta})

    def verify(self) -> VerifiedCredential:
        (credential,) = self.document["vp"]["verifiableCredential"]
        looks = FormatTrust(
            format="opendid",
            names=frozenset({credential["credentialSchema"]["id"]}),
            paths=CODES,
            authentication=None,
        )
        mission = issuing.Authority().mission(
            issuer_anchors=(), issuer_dids=frozenset({credential["issuer"]["id"]})
        )
        return verify(
            "opendid",
            self.decrypted(),
            expected=Expected(
                audience="",
                nonce=self.document["e2e"]["nonce"],
                accepted_types=frozenset({TYPE_ID}),
                registry=self.registry,
            ),
            trust=issuing.registry(mission, types=[credential_type(formats={"opendid": looks})]),
            status=World().status,
            now=self.now,
        )

    @property
    def agreement(self) -> KeyAgreement:
        private = load_der_private_key(multibase.decode(self.document["e2e"]["verifier_private_key"]), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        return KeyAgreement(private, multibase.decode(self.document["e2e"]["nonce"]))

    def decrypted(self) -> str:
        e2e = self.document["e2e"]
        return self.agreement.open({"publicKey": e2e["wallet_public_key"], "iv": e2e["iv"]}, e2e["enc_vp"])


@pytest.fixture(params=ALL)
def example(request: pytest.FixtureRequest, vector: Callable[[str], bytes]) -> Example:
    return Example(request.param, json.loads(vector(f"opendid/{request.param}.json")))


def key_of(document: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    point = multibase.decode(document["verificationMethod"][0]["publicKeyMultibase"])
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def test_the_canonical_text_is_the_published_one(example: Example) -> None:
    vp, texts = example.document["vp"], example.document["canonical"]
    assert data_proof.canonical(vp).decode() == texts["vp"]
    assert data_proof.signing_input(vp, vp["proof"]).decode() == texts["vp_signing_input"]


def test_each_signature_is_what_the_vector_says(example: Example) -> None:
    vp, expected = example.document["vp"], example.document["expected"]
    (credential,) = vp["verifiableCredential"]
    texts = example.document["canonical"]["claim_signing_inputs"]
    issuer, holder = (key_of(example.document[f"{who}_did_document"]) for who in ("issuer", "holder"))
    valid = [
        data_proof.verifies(issuer, multibase.decode(value), text.encode())
        for value, text in zip(credential["proof"]["proofValueList"], texts, strict=True)
    ]
    assert valid == expected["claim_signatures_valid"]
    signature = multibase.decode(vp["proof"]["proofValue"])
    message = data_proof.signing_input(vp, vp["proof"])
    assert data_proof.verifies(holder, signature, message) is expected["vp_signature_valid"]


def test_the_presentation_is_decrypted(example: Example) -> None:
    assert json.loads(example.decrypted()) == example.document["vp"]


def test_the_result_is_what_the_vector_says(example: Example) -> None:
    if example.document["expected"]["result"] == "accept":
        verified = example.verify()
        assert verified.claims["birthdate"] == "1990-01-01"
        assert verified.name == "https://issuer.example/schema/mep"
        return
    with pytest.raises(CredentialRejected) as refused:
        example.verify()
    assert refused.value.reason is REFUSED[example.name]


def test_whoever_has_no_key_for_agreements_need_not_sign_one(example: Example) -> None:
    check_key_agreement({}, example.decrypted(), registry=example.registry, now=example.now)


def test_a_secret_that_was_stripped_of_its_zeros_opens_too(vector: Callable[[str], bytes]) -> None:
    """The other side of the short secret: what the reference server would have made the key from."""
    example = Example("", json.loads(vector("opendid/short_shared_secret.json")))
    e2e = example.document["e2e"]
    wallet = ec.EllipticCurvePublicKey.from_encoded_point(
        ec.SECP256R1(), multibase.decode(e2e["wallet_public_key"])
    )
    private = load_der_private_key(multibase.decode(e2e["verifier_private_key"]), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    shared = private.exchange(ec.ECDH(), wallet)
    assert shared.hex() == example.document["expected"]["shared_secret_hex"]
    key = hashlib.sha256(shared[1:] + multibase.decode(e2e["nonce"])).digest()
    padder = PKCS7(128).padder()
    padded = padder.update(b'{"a":1}') + padder.finalize()
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(multibase.decode(e2e["iv"]))).encryptor()
    encrypted = multibase.encode(encryptor.update(padded) + encryptor.finalize(), "m")
    acceptance = {"publicKey": e2e["wallet_public_key"], "iv": e2e["iv"]}
    assert example.agreement.open(acceptance, encrypted) == '{"a":1}'
