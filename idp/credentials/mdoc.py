"""Mobile documents (`mso_mdoc`): from a DeviceResponse to a `VerifiedCredential`.

Trust in the issuer comes from the chain beside its signature, held against the anchors of the document's type. The
holder's key signs over the SessionTranscript of the request that is answered, so an answer to another request does
not verify. What the device states by itself is checked for permission and never becomes a claim.

Specs: ISO/IEC 18013-5, sections 8.3.2.1.2.2, 9.1.2 and 9.1.3, with the `status` of its second edition; OpenID4VP
1.0 appendix B.2; HAIP 1.0 section 6.2. Left out: device MACs (OpenID4VP has no reader key to make one with),
encrypted and zero-knowledge documents, identifier lists, JPEG 2000.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from pybase64 import b64encode_as_string

from idp.credentials import cbor, chains, cose, mso, schema
from idp.credentials.cbor import Embedded
from idp.credentials.cose import UnverifiedSign1
from idp.credentials.mso import Elements, MobileSecurityObject, member
from idp.credentials.status import StatusLookup, TokenType, status_evidence
from idp.credentials.trust import CredentialTypeTrust, FormatTrust, Issuer, Mission, TrustSnapshot, seoul_day
from idp.credentials.verdict import (
    CredentialRejected,
    Examined,
    Expected,
    Reason,
    Unprinted,
    VerifiedCredential,
)
from idp.seal import unb64

FORMAT = "mso_mdoc"
VERSION = "1.0"
MAX_PRESENTATION_CHARS = 768 * 1024  # as of an SD-JWT VC; a photo of some 500 KB fits
SKEW_S = 60
# Namespaces whose issuing_country and issuing_jurisdiction are those of the signer's certificate.
_NAMED_ISSUERS = ("org.iso.18013.5.1", "org.iso.23220.1")
_NOTHING_STATED = b"\xa0"
_OTHER_DOCUMENTS = frozenset({"documentErrors", "encryptedDocuments", "zkDocuments"})
_PICTURES = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"RIFF", "webp"))


class UnverifiedDocument(Unprinted, frozen=True):
    """The one document of a DeviceResponse, well formed, of which nothing is verified yet.

    response: the whole of it as received, in which what is hashed and signed is found again. unverified_mso: what
    the payload of `issuer_auth` says; for use as `verify_issuer_signed` returns it.
    """

    response: bytes
    doc_type: str
    name_spaces: Mapping[Any, Any]
    issuer_auth: UnverifiedSign1
    unverified_mso: MobileSecurityObject
    device_name_spaces: Embedded
    device_signature: UnverifiedSign1


def verify(
    presentation: str, *, expected: Expected, trust: TrustSnapshot, status: StatusLookup, now: int
) -> VerifiedCredential:
    """What a holder has proven with this presentation, in answer to what is expected.

    In this order, the only step that may go out to the network last: form, type, issuer's chain and days, signature,
    times, device signature, digests, shape of the claims, status. The signatures come one after the other, so all
    that they need is read before: between two of them the processor forgets what it knew of everything else.

    Raises CredentialRejected.
    """
    document = unverified_parse(presentation)
    known, looks = _accepted_type(document.doc_type, expected, trust)
    chain = cose.x5chain(document.issuer_auth.unprotected, Reason.ISSUER_CERTIFICATE)
    issuer = trust.issuer_for_chain(known.id, FORMAT, chain, now)
    signed = verify_issuer_signed(document, issuer, now)
    verify_device_signed(document, signed, expected.session_transcript)
    elements = mso.elements(document.response, document.name_spaces, signed)
    _check_issuer_named(elements, chain[0])
    today = seoul_day(now)
    claims = schema.disclosed(
        elements, looks.places, mission_code=issuer.mission.code, today=today, in_json=_in_json
    )
    authentication = schema.authentication(elements, looks.authentication, today)
    _check_status(signed.members, issuer.mission)
    evidence = status_evidence(
        signed.members, known, issuer.mission, expected, token_type=TokenType.CWT, status=status, now=now
    )
    return VerifiedCredential(
        format=FORMAT,
        type_id=known.id,
        name=signed.doc_type,
        claims=MappingProxyType(claims),
        authentication=authentication,
        mission=issuer.mission,
        issued_at=signed.signed,
        expires_at=signed.valid_until,
        status=evidence,
        issuer_chain=chain,
    )


def unverified_parse(presentation: str) -> UnverifiedDocument:
    """The document in a DeviceResponse (base64url). Checks form and size, no signature, no digest, no time.

    Raises CredentialRejected: TOO_LARGE, MALFORMED, VERSION, RESPONSE_STATUS, KEY_BINDING_MISSING, DEVICE_MAC,
    ALGORITHM, CRITICAL_HEADER, and what `mso.unverified` raises.
    """
    if len(presentation) > MAX_PRESENTATION_CHARS:
        raise CredentialRejected(Reason.TOO_LARGE, "the presentation is too long")
    try:
        response = unb64(presentation)
    except ValueError:
        raise CredentialRejected(Reason.MALFORMED, "not base64url") from None
    document = _only_document(cbor.loads(response, integer_keys=True))
    issuer_signed = member(document, "issuerSigned", dict)
    issuer_auth = cose.unverified_sign1(issuer_signed.get("issuerAuth"))
    device_signed = document.get("deviceSigned")
    return UnverifiedDocument(
        response=response,
        doc_type=member(document, "docType", str),
        name_spaces=member(issuer_signed, "nameSpaces", dict) if "nameSpaces" in issuer_signed else {},
        issuer_auth=issuer_auth,
        unverified_mso=mso.unverified(issuer_auth.payload or b""),
        device_signature=_device_signature(device_signed),
        device_name_spaces=member(device_signed, "nameSpaces", Embedded),
    )


def verify_issuer_signed(document: UnverifiedDocument, issuer: Issuer, now: int) -> MobileSecurityObject:
    """The MSO under the issuer's signature, with which the elements are still to be held together (`mso.elements`).

    Raises CredentialRejected: ISSUER_SIGNATURE, ISSUER_CERTIFICATE (signed while the certificate was not valid),
    DOCTYPE, EXPIRED, NOT_YET_VALID.
    """
    cose.check_signature(document.issuer_auth, issuer.key, Reason.ISSUER_SIGNATURE)
    signed = document.unverified_mso
    if signed.doc_type != document.doc_type:
        raise CredentialRejected(Reason.DOCTYPE, "the document calls itself something else than its MSO does")
    if not issuer.leaf.own_not_before <= signed.signed <= issuer.leaf.own_not_after:
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "not valid when the MSO was signed")
    if now >= signed.valid_until + SKEW_S:
        raise CredentialRejected(Reason.EXPIRED, "validUntil")
    if now < signed.valid_from - SKEW_S:
        raise CredentialRejected(Reason.NOT_YET_VALID, "validFrom")
    return signed


def verify_device_signed(
    document: UnverifiedDocument, signed: MobileSecurityObject, session_transcript: bytes
) -> None:
    """Check that the holder's key signed, for the request with this transcript, what the device states.

    Raises CredentialRejected: DEVICE_SIGNATURE, ALGORITHM, MALFORMED, DEVICE_ELEMENTS (the issuer did not let the
    device state them).
    """
    if not session_transcript:
        raise CredentialRejected(Reason.DEVICE_SIGNATURE, "no session transcript was made: nothing fits")
    [name_spaces] = cbor.as_received(document.response, [document.device_name_spaces], at_the_end=True)
    doc_type = cbor.text_string(document.doc_type)
    authentication = b"\x84\x74DeviceAuthentication" + session_transcript + doc_type + name_spaces
    cose.check_signature(
        document.device_signature,
        signed.device_key,
        Reason.DEVICE_SIGNATURE,
        detached=cbor.embedded(authentication),
    )
    if document.device_name_spaces.content == _NOTHING_STATED:
        return
    stated = cbor.loads(document.device_name_spaces.content)
    if not isinstance(stated, dict) or not all(isinstance(items, dict) for items in stated.values()):
        raise CredentialRejected(Reason.MALFORMED, "nameSpaces of deviceSigned is not elements by namespace")
    for name_space, items in stated.items():
        if not items or not all(signed.authorizations.allow(name_space, element) for element in items):
            raise CredentialRejected(Reason.DEVICE_ELEMENTS, "the device states what it may not")


def _accepted_type(
    unverified_doc_type: str, expected: Expected, trust: TrustSnapshot
) -> tuple[CredentialTypeTrust, FormatTrust]:
    """The type whose anchors the chain is held against. That the MSO names the same is checked once it is read."""
    known, looks = trust.type_named(FORMAT, unverified_doc_type)
    if known.id not in expected.accepted_types:
        raise CredentialRejected(Reason.TYPE_NOT_ACCEPTED, "not a type that was asked for")
    return known, looks


def _only_document(response: Any) -> dict[Any, Any]:
    """OpenID4VP 1.0, appendix B.2.5: one DeviceResponse for each credential that was asked for."""
    if member(response, "version", str) != VERSION:
        raise CredentialRejected(Reason.VERSION, "of the DeviceResponse")
    if member(response, "status", int) != 0:
        raise CredentialRejected(Reason.RESPONSE_STATUS, "the wallet says that something went wrong")
    if not _OTHER_DOCUMENTS.isdisjoint(response):
        raise CredentialRejected(Reason.RESPONSE_STATUS, "something beside documents")
    documents = member(response, "documents", list)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise CredentialRejected(Reason.MALFORMED, "not exactly one document")
    return documents[0]


def _device_signature(device_signed: Any) -> UnverifiedSign1:
    if device_signed is None:
        raise CredentialRejected(Reason.KEY_BINDING_MISSING, "no deviceSigned")
    device_auth = member(device_signed, "deviceAuth", dict)
    if "deviceMac" in device_auth:
        raise CredentialRejected(Reason.DEVICE_MAC, "a MAC that nobody can check")
    if "deviceSignature" not in device_auth:
        raise CredentialRejected(Reason.KEY_BINDING_MISSING, "no deviceSignature")
    return cose.unverified_sign1(device_auth["deviceSignature"])


def _check_issuer_named(elements: Elements, signer: bytes) -> None:
    """Who a document says has issued it is who signed it (ISO/IEC 18013-5, section 9.3.1).

    Every signer's certificate names a country; a jurisdiction is compared where it names one. signer: DER.
    """
    for name_space in _NAMED_ISSUERS:
        shown = elements.get(name_space, {})
        if "issuing_country" not in shown and "issuing_jurisdiction" not in shown:
            continue
        country, region = chains.place(signer)
        if "issuing_country" in shown and (country is None or shown["issuing_country"] != country):
            raise CredentialRejected(Reason.ISSUER_COUNTRY, "issuing_country is not the certificate's C")
        if region is not None and shown.get("issuing_jurisdiction", region) != region:
            raise CredentialRejected(
                Reason.ISSUER_COUNTRY, "issuing_jurisdiction is not the certificate's ST"
            )


def _in_json(value: Any, rule: schema.Rule) -> Any:
    """A value of CBOR as the same in JSON; what has none is left for the rule to refuse."""
    if isinstance(value, str):
        # nationality, which is one text in ISO/IEC 23220-2
        return [value] if isinstance(rule, schema.ListOf) else value
    if isinstance(value, (cbor.Day, cbor.Moment)) and isinstance(rule, schema.Day):
        return value.text[:10]
    if isinstance(value, bytes) and rule is schema.PICTURE:
        return _data_url(value)
    return value


def _data_url(picture: bytes) -> str | None:
    for magic, kind in _PICTURES:
        if picture.startswith(magic) and (kind != "webp" or picture[8:12] == b"WEBP"):
            return f"data:image/{kind};base64,{b64encode_as_string(picture)}"
    return None


def _check_status(members: Mapping[str, Any], mission: Mission) -> None:
    """What an MSO's status has beyond a status list's uri and idx (ISO/IEC 18013-5, second edition).

    Every mechanism that is named must be asked, and we know one. The authority whose certificate the MSO names must
    be one that this mission's lists are believed from.

    Raises CredentialRejected(STATUS_INVALID).
    """
    reference = members.get("status")
    if not isinstance(reference, dict):
        return
    if reference.keys() - {"status_list"}:
        raise CredentialRejected(Reason.STATUS_INVALID, "a mechanism that we do not know")
    listed = reference.get("status_list")
    if not isinstance(listed, dict) or "certificate" not in listed:
        return
    if listed["certificate"] not in [one.public_bytes(Encoding.DER) for one in mission.believed_for_status]:
        raise CredentialRejected(Reason.STATUS_INVALID, "a list under an authority that is not the mission's")


def examine(
    text: str, seen: Examined, *, trust: TrustSnapshot, status: StatusLookup, now: int
) -> Iterator[str]:
    """The steps of `verify` but for the device's signature, each named once it holds; what is learnt goes into `seen`.

    text: a DeviceResponse with one document, or an IssuerSigned, base64url.

    Raises CredentialRejected.
    """
    document = _unverified_issued(text)
    yield "form"
    every = Expected("nobody", "none", frozenset(trust.types))
    known, looks = _accepted_type(document.doc_type, every, trust)
    seen.type_id = known.id
    yield "type"
    seen.chain = cose.x5chain(document.issuer_auth.unprotected, Reason.ISSUER_CERTIFICATE)
    issuer = trust.issuer_for_chain(known.id, FORMAT, seen.chain, now)
    yield "issuer"
    signed = verify_issuer_signed(document, issuer, now)
    elements = mso.elements(document.response, document.name_spaces, signed)
    seen.mission, seen.name = issuer.mission, signed.doc_type
    seen.issued_at, seen.expires_at = signed.signed, signed.valid_until
    seen.elements = tuple(sorted(name for shown in elements.values() for name in shown))
    yield "signature"
    yield "holder_key"  # of an MSO it is read with the rest
    _check_issuer_named(elements, seen.chain[0])
    today = seoul_day(now)
    schema.disclosed(elements, looks.places, mission_code=issuer.mission.code, today=today, in_json=_in_json)
    schema.authentication(elements, looks.authentication, today)
    yield "claims"
    _check_status(signed.members, issuer.mission)
    status_evidence(
        signed.members, known, issuer.mission, every, token_type=TokenType.CWT, status=status, now=now
    )
    yield "status"


def _unverified_issued(text: str) -> UnverifiedDocument:
    """The issuer's part of a document; the device's, which nobody will look at, stands empty."""
    if len(text) > MAX_PRESENTATION_CHARS:
        raise CredentialRejected(Reason.TOO_LARGE, "it is too long")
    try:
        received = unb64(text)
    except ValueError:
        raise CredentialRejected(Reason.MALFORMED, "not base64url") from None
    read = cbor.loads(received, integer_keys=True)
    alone = isinstance(read, dict) and "issuerAuth" in read
    document = {} if alone else _only_document(read)
    issuer_signed = read if alone else member(document, "issuerSigned", dict)
    issuer_auth = cose.unverified_sign1(issuer_signed.get("issuerAuth"))
    unverified_mso = mso.unverified(issuer_auth.payload or b"")
    return UnverifiedDocument(
        response=received,
        # An IssuerSigned alone does not name its type; its MSO does.
        doc_type=unverified_mso.doc_type if alone else member(document, "docType", str),
        name_spaces=member(issuer_signed, "nameSpaces", dict) if "nameSpaces" in issuer_signed else {},
        issuer_auth=issuer_auth,
        unverified_mso=unverified_mso,
        device_name_spaces=Embedded(_NOTHING_STATED),
        device_signature=issuer_auth,
    )
