"""Published mdocs: ISO/IEC 18013-5, Annex D, and what a wallet really answered over OpenID4VP 1.0."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from idp.credentials import (
    CredentialRejected,
    CredentialTypeTrust,
    Expected,
    Mission,
    Reason,
    StatusLists,
    TrustSnapshot,
    VerifiedCredential,
    cbor,
    mdoc,
    mso,
    session_transcript,
    verify,
)
from idp.credentials.trust import FormatTrust
from tests.credentials.issuing import StatusHost, b64u

ISO, PARADYM = "mdoc/iso18013_5_annex_d.json", "mdoc/paradym_openid4vp_1_0.json"
MISSION_CODE = "XXX"


@dataclass
class Example:
    """A vector, and what it verifies with: its document's type, issued by an authority under the vector's anchor."""

    vector: Mapping[str, Any]

    @property
    def response(self) -> bytes:
        return bytes.fromhex(self.vector["device_response_hex"])

    @property
    def now(self) -> int:
        return seconds(self.vector["verification_time"])

    @property
    def trust(self) -> TrustSnapshot:
        [name_space] = self.vector["expected"]["elements"]
        looks = FormatTrust(
            format="mso_mdoc",
            names=frozenset({self.vector["expected"]["doc_type"]}),
            paths={(name,): (name_space, name) for name in ("family_name", "given_name")},
            issuer_ekus=frozenset({"1.0.18013.5.1.2"}),
        )
        kind = CredentialTypeTrust(
            id="example",
            name={"ko": "예", "en": "Example"},
            trust_domain="example",
            person_key=("family_name",),
            formats={"mso_mdoc": looks},
            status_required=False,
        )
        mission = Mission(
            code=MISSION_CODE,
            name={"ko": "예", "en": "Example"},
            country="US",
            credential_types=frozenset({"example"}),
            active_from=date(2000, 1, 1),
            active_until=None,
            issuer_anchors=(self.certificate("iaca"),),
        )
        return TrustSnapshot({"example": kind}, {MISSION_CODE: mission})

    @property
    def transcript(self) -> bytes:
        if "session_transcript_hex" in self.vector:
            return bytes.fromhex(self.vector["session_transcript_hex"])
        return transcript_of(self.vector["request"])

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.vector["certificates"][f"{name}_pem"].encode())

    def verify(self, response: bytes | None = None, **changes: Any) -> VerifiedCredential:
        expected = Expected(
            audience="of a Key Binding JWT",
            nonce="of a Key Binding JWT",
            accepted_types=frozenset({"example"}),
            session_transcript=changes.get("transcript", self.transcript),
        )
        return verify(
            "mso_mdoc",
            b64u(response or self.response),
            expected=expected,
            trust=self.trust,
            status=StatusLists(StatusHost().fetch),
            now=changes.get("now", self.now),
        )

    def refused(self, response: bytes | None = None, **changes: Any) -> Reason:
        with pytest.raises(CredentialRejected) as refusal:
            self.verify(response, **changes)
        return refusal.value.reason


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def transcript_of(request: Mapping[str, str]) -> bytes:
    return session_transcript.for_direct_post(
        client_id=request["client_id"],
        nonce=request["nonce"],
        key_thumbprint=bytes.fromhex(request["jwk_thumbprint_hex"]),
        response_uri=request["response_uri"],
    )


def in_vector(value: Any) -> Any:
    """A value as the vectors write it."""
    match value:
        case cbor.Day():
            return {"full-date": value.text}
        case bytes():
            return {"bstr_hex": value.hex()}
        case list():
            return [in_vector(item) for item in value]
        case dict():
            return {name: in_vector(item) for name, item in value.items()}
    return value


def signed_instead(response: bytes) -> bytes:
    """The response with a device signature, of nobody, in place of its MAC; what is embedded stays as it is."""
    document = cbor2.loads(response)
    signature = [cbor2.dumps({1: -7}), {}, None, bytes(64)]
    document["documents"][0]["deviceSigned"]["deviceAuth"] = {"deviceSignature": signature}
    return cbor2.dumps(document)


@pytest.fixture
def iso(vector: Callable[[str], bytes]) -> Example:
    return Example(json.loads(vector(ISO)))


@pytest.fixture
def paradym(vector: Callable[[str], bytes]) -> Example:
    return Example(json.loads(vector(PARADYM)))


@pytest.fixture(params=[ISO, PARADYM])
def example(request: pytest.FixtureRequest, vector: Callable[[str], bytes]) -> Example:
    return Example(json.loads(vector(request.param)))


def test_what_the_issuer_signed_verifies_to_what_is_published(example: Example) -> None:
    expected = example.vector["expected"]
    mac = expected["device_auth"] == "mac"
    document = mdoc.unverified_parse(b64u(signed_instead(example.response) if mac else example.response))
    signer = example.certificate("document_signer").public_bytes(Encoding.DER)
    issuer = example.trust.issuer_for_chain("example", "mso_mdoc", (signer,), example.now)
    signed = mdoc.verify_issuer_signed(document, issuer, example.now)
    elements = mso.elements(document.response, document.name_spaces, signed)
    assert document.issuer_auth.algorithm == expected["issuer_alg"]
    assert signed.digest is {"SHA-256": hashlib.sha256}[expected["digest_algorithm"]]
    assert signed.doc_type == expected["doc_type"]
    validity = [seconds(expected["validity"][name]) for name in ("signed", "validFrom", "validUntil")]
    assert [signed.signed, signed.valid_from, signed.valid_until] == validity
    assert {
        space: {name: in_vector(value) for name, value in shown.items()} for space, shown in elements.items()
    } == {
        space: {one["element"]: one["value"] for one in shown}
        for space, shown in expected["elements"].items()
    }
    assert sum(map(len, elements.values())) == expected["digests_valid"]


def test_iso_example_is_refused_as_an_answer_for_its_device_mac(iso: Example) -> None:
    assert iso.refused() is Reason.DEVICE_MAC


def test_iso_example_is_refused_for_a_device_signature_once_the_issuers_has_verified(iso: Example) -> None:
    assert iso.refused(signed_instead(iso.response)) is Reason.DEVICE_SIGNATURE


def test_iso_example_is_refused_outside_its_validity(iso: Example) -> None:
    validity = iso.vector["expected"]["validity"]
    response = signed_instead(iso.response)
    assert iso.refused(response, now=seconds(validity["validFrom"]) - 61) is Reason.NOT_YET_VALID
    # Its signer's certificate ends before it does.
    ends = int(iso.certificate("document_signer").not_valid_after_utc.timestamp())
    assert iso.refused(response, now=ends) is Reason.DEVICE_SIGNATURE
    assert iso.refused(response, now=ends + 1) is Reason.ISSUER_CERTIFICATE


def test_what_a_wallet_answered_is_accepted_at_its_time(paradym: Example) -> None:
    credential = paradym.verify()
    assert credential.claims == {"family_name": "Mustermann", "given_name": "Erika"}
    assert (credential.format, credential.type_id) == ("mso_mdoc", "example")
    assert credential.name == "eu.europa.ec.eudi.pid.1"
    validity = paradym.vector["expected"]["validity"]
    assert credential.issued_at == seconds(validity["signed"])
    assert credential.expires_at == seconds(validity["validUntil"])
    assert credential.mission.code == MISSION_CODE
    assert credential.status is None


def test_the_transcript_of_what_a_wallet_answered_is_the_published_one(paradym: Example) -> None:
    assert paradym.transcript.hex() == paradym.vector["expected"]["session_transcript_hex"]


@pytest.mark.parametrize("name", ["client_id", "nonce", "response_uri", "jwk_thumbprint_hex"])
def test_what_a_wallet_answered_is_refused_for_another_request(paradym: Example, name: str) -> None:
    request = paradym.vector["request"]
    last = "0" if request[name][-1] != "0" else "1"
    other = transcript_of({**request, name: request[name][:-1] + last})
    assert paradym.refused(transcript=other) is Reason.DEVICE_SIGNATURE


def test_what_a_wallet_answered_is_refused_where_the_response_was_not_encrypted(paradym: Example) -> None:
    request = {
        name: value for name, value in paradym.vector["request"].items() if name != "jwk_thumbprint_hex"
    }
    other = session_transcript.for_direct_post(key_thumbprint=None, **request)
    assert paradym.refused(transcript=other) is Reason.DEVICE_SIGNATURE


def test_what_a_wallet_answered_is_refused_through_the_digital_credentials_api(paradym: Example) -> None:
    request = paradym.vector["request"]
    other = session_transcript.for_dc_api(
        origin="https://playground.animo.id",
        nonce=request["nonce"],
        key_thumbprint=bytes.fromhex(request["jwk_thumbprint_hex"]),
    )
    assert paradym.refused(transcript=other) is Reason.DEVICE_SIGNATURE


def test_what_a_wallet_answered_is_refused_outside_its_validity(paradym: Example) -> None:
    validity = paradym.vector["expected"]["validity"]
    assert paradym.verify(now=seconds(validity["validFrom"]) - 60)
    assert paradym.refused(now=seconds(validity["validFrom"]) - 61) is Reason.NOT_YET_VALID
    # Its signer's certificate ends before it does.
    ends = int(paradym.certificate("document_signer").not_valid_after_utc.timestamp())
    assert paradym.verify(now=ends)
    assert paradym.refused(now=ends + 1) is Reason.ISSUER_CERTIFICATE


def test_what_a_wallet_answered_is_refused_under_another_authority(paradym: Example, iso: Example) -> None:
    other = Example({**paradym.vector, "certificates": iso.vector["certificates"]})
    assert other.refused() is Reason.ISSUER_UNTRUSTED


@pytest.mark.parametrize("part", ["issuer", "device"])
def test_what_a_wallet_answered_is_refused_with_a_bit_of_a_signature_turned(
    paradym: Example, part: str
) -> None:
    document = cbor2.loads(paradym.response)["documents"][0]
    signature = (
        document["issuerSigned"]["issuerAuth"]
        if part == "issuer"
        else document["deviceSigned"]["deviceAuth"]["deviceSignature"]
    )[3]
    turned = signature[:-1] + bytes((signature[-1] ^ 1,))
    response = paradym.response.replace(signature, turned)
    expected = Reason.ISSUER_SIGNATURE if part == "issuer" else Reason.DEVICE_SIGNATURE
    assert paradym.refused(response) is expected


def test_iso_18013_7_annex_b_example_has_its_published_transcript() -> None:
    # ISO/IEC TS 18013-7:2024, Annex B, example.
    transcript = session_transcript.for_annex_b(
        client_id="example.com",
        nonce="abcdefgh1234567890",
        response_uri="https://example.com/12345/response",
        mdoc_generated_nonce="1234567890abcdefgh",
    )
    assert transcript.hex() == (
        "83f6f6835820da25c527e5fb75bc2dd31267c02237c4462ba0c1bf37071f692e7dd93b10ad0b5820f6ed8e3220d3c59a5f17eb45f48a"
        "b70aeecf9ee21744b1014982350bd96ac0c572616263646566676831323334353637383930"
    )
