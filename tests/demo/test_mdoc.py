"""Mobile documents by the letter of ISO/IEC 18013-5: what the authority issues, and what the wallet presents."""

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jwe
from joserfc.jwk import ECKey

from idp.demo import answering, authority, dcql, jose, personas, request, seeds
from idp.demo.answering import FORMAT_OF, Fault
from idp.demo.authority import MDOC, OVERSEAS
from idp.demo.request import Dialect
from idp.demo.wallet import CannotAnswer, Wallet

from .conftest import Guests

HONG = personas.PERSONAS[0]
LICENCE, MDL = "kr-driving-licence", "org.iso.18013.5.1.mDL"
PHOTO_ID = "org.iso.23220.photoid.1"
OF_THE_HOLDER = "localhost.kr_overseas.1"
ASKED = (
    (OF_THE_HOLDER, "name_ko"),
    ("org.iso.23220.1", "birth_date"),
    ("org.iso.23220.1", "age_over_19"),
    (PHOTO_ID, "travel_document_number"),
)


@pytest.fixture
def wallet(guests: Guests) -> Wallet:
    found = guests.app.extensions["demo_wallet"]
    assert isinstance(found, Wallet)
    return found


def asking(guests: Guests, dialect: Dialect = request.HAIP, **changes: Any) -> request.Request:
    """A request for an overseas certificate as mdoc."""
    provider = guests.provider
    login = provider.new_login()
    asked = {
        "id": "document",
        "format": MDOC,
        "meta": {"doctype_value": PHOTO_ID},
        "claims": [{"path": list(path)} for path in ASKED],
    }
    claims = provider.request_claims(
        login, **{"dcql_query": {"credentials": [asked]}, "response_mode": dialect.response_mode, **changes}
    )
    metadata = claims["client_metadata"]
    metadata["vp_formats_supported"] = {MDOC: {"issuerauth_alg_values": [-7], "deviceauth_alg_values": [-7]}}
    link = request.Link(provider.client_id, f"{provider.issuer}/wallet/same/{login}")
    trusted = x509.load_pem_x509_certificate(guests.prepared.access_ca.read_bytes())
    return request.check(provider.sign_request(claims), link, trusted, dialect=dialect)


# -- taking a DeviceResponse apart -------------------------------------------------------------------------------


def embedded(content: bytes) -> bytes:
    """`#6.24(bstr)` around CBOR that stays as it is."""
    return cbor2.dumps(CBORTag(24, content))


def signed_by(key: ec.EllipticCurvePublicKey, sign1: list[Any], payload: bytes) -> bool:
    """Whether a COSE_Sign1 verifies (RFC 9052, section 4.4)."""
    protected, _, _, signature = sign1
    assert cbor2.loads(protected)[1] == -7
    structure = cbor2.dumps(["Signature1", protected, b"", payload])
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    try:
        key.verify(encode_dss_signature(r, s), structure, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def public_key(cose_key: dict[int, Any]) -> ec.EllipticCurvePublicKey:
    assert (cose_key[1], cose_key[-1]) == (2, 1)
    x, y = (int.from_bytes(cose_key[name], "big") for name in (-2, -3))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


@dataclass
class Shown:
    """A presentation, read and not judged."""

    response: dict[str, Any]

    @classmethod
    def read(cls, presentation: str) -> "Shown":
        return cls(cbor2.loads(jose.decode(presentation)))

    @property
    def document(self) -> dict[str, Any]:
        (document,) = self.response["documents"]
        return dict(document)

    @property
    def issuer_auth(self) -> list[Any]:
        return list(self.document["issuerSigned"]["issuerAuth"])

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.issuer_auth[1][33])

    @property
    def mso(self) -> dict[str, Any]:
        tag = cbor2.loads(self.issuer_auth[2])
        assert tag.tag == 24
        return dict(cbor2.loads(tag.value))

    @property
    def items(self) -> list[tuple[str, dict[str, Any], bytes]]:
        """Namespace, content and bytes of each element."""
        return [
            (name_space, cbor2.loads(tag.value), tag.value)
            for name_space, tags in self.document["issuerSigned"]["nameSpaces"].items()
            for tag in tags
        ]

    @property
    def elements(self) -> dict[tuple[str, str], Any]:
        return {(space, item["elementIdentifier"]): item["elementValue"] for space, item, _ in self.items}

    def digests_fit(self) -> bool:
        return all(
            self.mso["valueDigests"].get(space, {}).get(item["digestID"])
            == hashlib.sha256(embedded(encoded)).digest()
            for space, item, encoded in self.items
            if item["elementIdentifier"] != "role"
        )

    def issuer_signature_fits(self) -> bool:
        key = self.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return signed_by(key, self.issuer_auth, self.issuer_auth[2])

    def device_signature_fits(self, transcript: bytes) -> bool:
        """Over the DeviceAuthentication with this SessionTranscript (section 9.1.3.4), by the key in the MSO."""
        proof = self.document["deviceSigned"]["deviceAuth"]
        if "deviceSignature" not in proof:
            return False
        name_spaces = cbor2.dumps(self.document["deviceSigned"]["nameSpaces"])
        kind, doc_type = cbor2.dumps("DeviceAuthentication"), cbor2.dumps(self.document["docType"])
        detached = embedded(b"\x84" + kind + transcript + doc_type + name_spaces)
        assert proof["deviceSignature"][2] is None
        return signed_by(
            public_key(self.mso["deviceKeyInfo"]["deviceKey"]), proof["deviceSignature"], detached
        )


def handover(asked: request.Request, *, thumbprint: bool = True) -> bytes:
    """SessionTranscript of OpenID4VP 1.0, appendix B.2.6.1, written down a second time."""
    members = {name: asked.encryption_key[name] for name in ("crv", "kty", "x", "y")} if thumbprint else {}
    print_of_key = hashlib.sha256(jose.compact_json(members)).digest() if thumbprint else None
    information = cbor2.dumps([asked.client_id, asked.nonce, print_of_key, asked.response_uri])
    hashed = hashlib.sha256(information).digest()
    return b"\x83\xf6\xf6" + cbor2.dumps(["OpenID4VPHandover", hashed])


def faulty(guests: Guests, shown: Shown, asked: request.Request) -> set[str]:
    """Everything that is wrong with a presentation, in a verifier's words."""
    identifiers = [item["elementIdentifier"] for _, item, _ in shown.items]
    proof = shown.document["deviceSigned"]["deviceAuth"]
    named = shown.document["docType"]
    index = shown.mso["status"]["status_list"]["idx"]
    bits = guests.app.extensions["demo_authority"]._lists["LAX"].get(index)
    wrong = {
        "device": "deviceSignature" in proof and not shown.device_signature_fits(handover(asked)),
        "mac": "deviceMac" in proof,
        "issuer": not shown.issuer_signature_fits(),
        "stranger": shown.leaf != guests.prepared.mission_document_signer("LAX").certificate,
        "type": (named, shown.mso["docType"]) != (PHOTO_ID, PHOTO_ID),
        "digest": not shown.digests_fit(),
        "unsigned": "role" in identifiers,
        "twice": len(set(identifiers)) != len(identifiers),
        "expired": shown.mso["validityInfo"]["validUntil"].timestamp() < time.time(),
        "revoked": bits == 1,
        "suspended": bits == 2,
    }
    return {name for name, is_wrong in wrong.items() if is_wrong}


WRONG = {
    Fault.NONE: set(),
    Fault.WRONG_NONCE: {"device"},
    Fault.WRONG_AUDIENCE: {"device"},
    Fault.WRONG_TRANSCRIPT: {"device"},
    Fault.OTHER_HOLDER_KEY: {"device"},
    Fault.DEVICE_MAC: {"mac"},
    Fault.TAMPERED_SIGNATURE: {"issuer"},
    Fault.UNKNOWN_ISSUER: {"stranger"},
    # What the document calls itself is what the device signs: that it signs it too does not help.
    Fault.WRONG_DOCTYPE: {"type"},
    Fault.ALTERED_ELEMENT: {"digest"},
    Fault.UNREFERENCED_DISCLOSURE: {"unsigned"},
    Fault.REPEATED_DISCLOSURE: {"twice"},
    Fault.EXPIRED: {"expired"},
    Fault.REVOKED: {"revoked"},
    Fault.SUSPENDED: {"suspended"},
}


def presented(wallet: Wallet, asked: request.Request, fault: Fault = Fault.NONE) -> Shown:
    answer = wallet.answer(asked, HONG, fault, format=MDOC)
    assert set(answer) == {"vp_token", "state"}
    return Shown.read(answer["vp_token"]["document"][0])


# -- what is presented -------------------------------------------------------------------------------------------


def test_an_mdoc_shows_what_was_asked_for_and_nothing_else(guests: Guests, wallet: Wallet) -> None:
    shown = presented(wallet, asking(guests))
    assert shown.elements == {
        (OF_THE_HOLDER, "name_ko"): "홍길동",
        ("org.iso.23220.1", "birth_date"): date(1985, 3, 14),
        ("org.iso.23220.1", "age_over_19"): True,
        (PHOTO_ID, "travel_document_number"): "M000A0001",
    }
    assert (shown.response["version"], shown.response["status"]) == ("1.0", 0)
    assert shown.document["deviceSigned"]["nameSpaces"] == CBORTag(24, cbor2.dumps({}))


@pytest.mark.parametrize("fault", WRONG, ids=str)
def test_each_fault_of_an_mdoc_is_the_only_one(guests: Guests, wallet: Wallet, fault: Fault) -> None:
    asked = asking(guests)
    assert faulty(guests, presented(wallet, asked, fault), asked) == WRONG[fault]


def test_every_fault_that_an_mdoc_can_have_is_tried() -> None:
    not_in_the_presentation = {Fault.UNENCRYPTED, Fault.WRONG_FORMAT, Fault.DECLINE, Fault.NO_ANSWER}
    assert set(WRONG) == {f for f in Fault if FORMAT_OF.get(f, MDOC) == MDOC} - not_in_the_presentation


@pytest.mark.parametrize("fault", [f for f, format in FORMAT_OF.items() if format != MDOC], ids=str)
def test_a_fault_of_another_format_is_not_passed_over_in_silence(
    guests: Guests, wallet: Wallet, fault: Fault
) -> None:
    for format in (None, MDOC):
        with pytest.raises(CannotAnswer):
            wallet.answer(asking(guests), HONG, fault, format=format)


# -- what is signed over -----------------------------------------------------------------------------------------


def test_the_transcript_is_that_of_the_published_example(vector: Callable[[str], bytes]) -> None:
    example = json.loads(vector("openid4vp/session_transcript.json"))
    asked = request.Request(
        **example["redirect"],
        verifier="",
        state=None,
        query=dcql.Query((), ()),
        encryption_key=example["encryption_jwk"],
        encryption="A128GCM",
        client_metadata={},
    )
    expected = bytes.fromhex(example["expected"]["redirect"]["session_transcript_hex"])
    assert cbor2.dumps(answering.transcript(asked)) == expected == handover(asked)


def test_a_wallet_may_leave_out_the_thumbprint(guests: Guests, wallet: Wallet) -> None:
    asked = asking(guests, Dialect(session_transcript="no-thumbprint"))
    shown = presented(wallet, asked)
    assert shown.device_signature_fits(handover(asked, thumbprint=False))
    assert not shown.device_signature_fits(handover(asked))


def test_without_encryption_there_is_no_key_to_take_a_thumbprint_of(guests: Guests, wallet: Wallet) -> None:
    asked = asking(guests, Dialect(response_mode="direct_post"))
    assert asked.encryption_key is None
    assert presented(wallet, asked).device_signature_fits(handover(asked, thumbprint=False))


def test_a_wallet_of_iso_18013_7_puts_its_own_nonce_into_transcript_and_envelope(
    guests: Guests, wallet: Wallet
) -> None:
    dialect = Dialect(session_transcript="iso-18013-7")
    asked, other = asking(guests, dialect), asking(guests, dialect)
    answer = wallet.answer(asked, HONG)
    header, *_ = answering.encrypt(answer, asked).split(".")
    said = json.loads(jose.decode(header))
    own = jose.decode(said["apu"]).decode()
    assert jose.decode(said["apv"]).decode() == asked.nonce
    assert own == asked.own_nonce != other.own_nonce and len(own) >= 22
    hashed = [hashlib.sha256(cbor2.dumps([it, own])).digest() for it in (asked.client_id, asked.response_uri)]
    transcript = b"\x83\xf6\xf6" + cbor2.dumps([*hashed, asked.nonce])
    assert Shown.read(answer["vp_token"]["document"][0]).device_signature_fits(transcript)


def test_the_envelope_of_other_wallets_has_no_nonces(guests: Guests, wallet: Wallet) -> None:
    asked = asking(guests)
    sent = answering.form(wallet.answer(asked, HONG), asked)
    key = ECKey.import_key({**guests.provider.logins[asked.state]["key"].as_dict(private=True)})
    opened = jwe.decrypt_compact(
        sent["response"], key, registry=jwe.JWERegistry(algorithms=["ECDH-ES", "A256GCM"])
    )
    assert set(opened.headers()) == {"alg", "enc", "kid", "epk"}


def test_who_does_not_encrypt_posts_the_token_as_json(guests: Guests, wallet: Wallet) -> None:
    asked = asking(guests, Dialect(response_mode="direct_post"))
    sent = answering.form(wallet.answer(asked, HONG), asked)
    assert sent["state"] == asked.state
    assert Shown.read(json.loads(sent["vp_token"])["document"][0]).digests_fit()


# -- what is issued ----------------------------------------------------------------------------------------------


@pytest.fixture
def issuing(guests: Guests) -> authority.Authority:
    found = guests.app.extensions["demo_authority"]
    assert isinstance(found, authority.Authority)
    return found


def everything(issuing: authority.Authority, card: str, persona: personas.Persona = HONG) -> Shown:
    """A document with all its elements in the open."""
    document, _ = issuing.issue(persona, jose.generate(), card=card, format=MDOC)
    name_spaces: dict[str, list[CBORTag]] = {}
    for item in document.items:
        name_spaces.setdefault(item.name_space, []).append(CBORTag(24, item.encoded))
    signed = {"nameSpaces": name_spaces, "issuerAuth": document.issuer_auth}
    return Shown({"documents": [{"docType": document.doc_type, "issuerSigned": signed}]})


@pytest.mark.parametrize(("card", "doc_type"), [(OVERSEAS, PHOTO_ID), (LICENCE, MDL)])
def test_a_document_verifies_up_to_the_ca_of_who_issues_it(
    guests: Guests, issuing: authority.Authority, card: str, doc_type: str
) -> None:
    shown = everything(issuing, card)
    assert shown.mso["docType"] == doc_type
    assert shown.issuer_signature_fits() and shown.digests_fit()
    code = issuing.issuer_of(card, HONG)
    mission = next(item for item in guests.prepared.missions() if item["code"] == code)
    ca = x509.load_pem_x509_certificate(mission["issuer_certificates"][0].encode())
    shown.leaf.verify_directly_issued_by(ca)
    usage = shown.leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert usage.critical
    assert [purpose.dotted_string for purpose in usage.value] == [seeds.MDOC_SIGNER]
    assert (
        18 not in shown.issuer_auth[1]
    )  # untagged, and the chain is beside the payload, not under the signature
    assert set(shown.issuer_auth[1]) == {33}


def test_the_signer_of_mdocs_is_not_the_signer_of_sd_jwts(guests: Guests) -> None:
    signers = [
        getattr(guests.prepared, which)("KNP").certificate
        for which in ("mission_signer", "mission_document_signer", "mission_status_signer")
    ]
    assert len({signer.public_key().public_numbers() for signer in signers}) == 3
    with pytest.raises(x509.ExtensionNotFound):
        signers[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage)


@pytest.mark.parametrize("card", [OVERSEAS, LICENCE])
def test_a_document_has_every_element_that_the_trust_file_says(
    guests: Guests, issuing: authority.Authority, card: str
) -> None:
    kind = next(kind for kind in guests.prepared.trust()["credential_type"] if kind["id"] == card)
    looks = kind["formats"][MDOC]
    shown = everything(issuing, card)
    assert {tuple(path) for path in looks["elements"].values()} <= set(shown.elements)
    assert shown.elements[tuple(looks["authentication"])] == ["hwk", "pin", "face"]


def test_values_are_of_the_kinds_that_iso_has(issuing: authority.Authority) -> None:
    said = everything(issuing, LICENCE).elements
    mdl = {name: value for (space, name), value in said.items() if space == "org.iso.18013.5.1"}
    assert mdl["birth_date"] == date(1985, 3, 14)
    assert mdl["portrait"] == base64.b64decode(personas.portrait("hong").partition(",")[2])
    assert (mdl["nationality"], mdl["sex"], mdl["age_over_19"]) == ("KR", 1, True)
    # Mandatory in a driving licence (ISO/IEC 18013-5, table 5), whoever asks.
    assert {
        "family_name", "given_name", "birth_date", "issue_date", "expiry_date", "issuing_country",
        "issuing_authority", "document_number", "portrait", "driving_privileges", "un_distinguishing_sign",
    } <= set(mdl)  # fmt: skip
    (category,) = mdl["driving_privileges"]
    assert category["expiry_date"] == mdl["expiry_date"]


def test_a_day_is_a_full_date_and_a_moment_a_tdate_without_a_fraction(issuing: authority.Authority) -> None:
    shown = everything(issuing, LICENCE)
    (encoded,) = (it for _, item, it in shown.items if item["elementIdentifier"] == "birth_date")
    assert b"\xd9\x03\xec\x6a1985-03-14" in encoded
    moments = re.findall(rb"\xc0\x74[0-9]{4}-[0-9]{2}-[0-9]{2}T00:00:00Z", shown.issuer_auth[2])
    assert len(moments) == len(shown.mso["validityInfo"]) == 3


def test_the_days_of_a_document_are_those_of_its_security_object(issuing: authority.Authority) -> None:
    shown = everything(issuing, OVERSEAS)
    validity = shown.mso["validityInfo"]
    for name, element in (("signed", "issue_date"), ("validUntil", "expiry_date")):
        assert shown.elements["org.iso.23220.1", element] == validity[name].date()
    assert shown.elements["org.iso.23220.1", "issuing_country"] == "KR"


def test_two_documents_of_one_person_share_no_salt_and_digests_are_in_no_order(
    issuing: authority.Authority,
) -> None:
    one, other = everything(issuing, OVERSEAS), everything(issuing, OVERSEAS)
    assert not {item["random"] for _, item, _ in one.items} & {item["random"] for _, item, _ in other.items}
    assert all(len(item["random"]) >= 16 for _, item, _ in one.items)
    numbers = [[item["digestID"] for _, item, _ in shown.items] for shown in (one, other)]
    assert numbers[0] != numbers[1]


def test_a_changed_person_is_issued_another_document(wallet: Wallet) -> None:
    married = replace(HONG, name="홍새롬")
    before, after = (wallet.held(person, LICENCE, MDOC) for person in (HONG, married))
    assert before is wallet.held(HONG, LICENCE, MDOC) and before is not after
    wallet.forget(married)
    assert wallet.held(married, LICENCE, MDOC) is not after
    assert wallet.held(HONG, LICENCE, MDOC) is before
