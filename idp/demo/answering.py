"""What a wallet sends back: presentations in either format, and the envelope; wrong where a `Fault` says so.

The errors that can be made are the ones a verifier must notice.

Specs: OpenID4VP 1.0, section 8 and appendices B.2 and B.3; RFC 9901, section 4.3; ISO/IEC 18013-7:2024, annex B.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

import cbor2
from joserfc import jwe
from joserfc.jwk import ECKey

from idp.demo import dcql, jose, mdoc, sd_jwt
from idp.demo.authority import MDOC, SD_JWT, Content
from idp.demo.request import Request

_NOBODY = "x509_hash:of-somebody-else"


class Fault(StrEnum):
    """What the wallet does wrong in its answer."""

    NONE = ""
    WRONG_NONCE = "wrong_nonce"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_SD_HASH = "wrong_sd_hash"
    WRONG_TRANSCRIPT = "wrong_transcript"
    OTHER_HOLDER_KEY = "other_holder_key"
    DEVICE_MAC = "device_mac"
    TAMPERED_SIGNATURE = "tampered_signature"
    UNKNOWN_ISSUER = "unknown_issuer"
    WRONG_DOCTYPE = "wrong_doctype"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    ALTERED_ELEMENT = "altered_element"
    UNREFERENCED_DISCLOSURE = "unreferenced_disclosure"
    REPEATED_DISCLOSURE = "repeated_disclosure"
    WRONG_FORMAT = "wrong_format"
    UNENCRYPTED = "unencrypted"
    DECLINE = "decline"
    NO_ANSWER = "no_answer"


FORMAT_OF: Mapping[Fault, str] = {
    Fault.WRONG_SD_HASH: SD_JWT,
    Fault.WRONG_TRANSCRIPT: MDOC,
    Fault.DEVICE_MAC: MDOC,
    Fault.WRONG_DOCTYPE: MDOC,
    Fault.ALTERED_ELEMENT: MDOC,
}
"""The faults that can be made in one format only."""


class CannotAnswer(Exception):
    """The persona holds nothing that satisfies the request, or the verifier cannot be reached."""


class _WithPortrait(jwe.JWERegistry):
    """A portrait makes the response longer than the library expects."""

    max_ciphertext_length = 2_000_000


def present(content: Content, match: dcql.Match, asked: Request, fault: Fault = Fault.NONE) -> str:
    """A presentation of a card, bound to the request that it answers."""
    if isinstance(content, mdoc.Document):
        return _device_response(content, match, asked, fault)
    return _with_key_binding(content, match, asked, fault)


def _with_key_binding(credential: sd_jwt.Credential, match: dcql.Match, asked: Request, fault: Fault) -> str:
    """An SD-JWT with its Key Binding JWT (appendix B.3)."""
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
        audience=_NOBODY if fault is Fault.WRONG_AUDIENCE else asked.audience,
        issued_at=int(time.time()),
        sd_hash=jose.sha256(b"something else") if fault is Fault.WRONG_SD_HASH else right_hash,
        key=jose.generate() if fault is Fault.OTHER_HOLDER_KEY else credential.holder_key,
    )


def _device_response(document: mdoc.Document, match: dcql.Match, asked: Request, fault: Fault) -> str:
    """A DeviceResponse with a device signature (appendix B.2)."""
    bound, elsewhere = asked, asked.origin and "https://elsewhere.example"
    if fault is Fault.WRONG_NONCE:
        bound = replace(asked, nonce=jose.random_text(24))
    elif fault is Fault.WRONG_AUDIENCE:
        bound = replace(asked, client_id=_NOBODY, origin=elsewhere)
    elif fault is Fault.WRONG_TRANSCRIPT:
        bound = replace(asked, response_uri=f"{asked.response_uri}/elsewhere", origin=elsewhere)
    lies = mdoc.Lies(
        doc_type="org.example.other" if fault is Fault.WRONG_DOCTYPE else None,
        mac=fault is Fault.DEVICE_MAC,
        other_key=fault is Fault.OTHER_HOLDER_KEY,
        altered_signature=fault is Fault.TAMPERED_SIGNATURE,
        altered_element=fault is Fault.ALTERED_ELEMENT,
        repeated_element=fault is Fault.REPEATED_DISCLOSURE,
        unsigned_element=fault is Fault.UNREFERENCED_DISCLOSURE,
    )
    return mdoc.present(document, match.paths, transcript(bound), lies)


def transcript(asked: Request) -> list[Any]:
    """The SessionTranscript of a request, as this wallet reads the specifications.

    OpenID4VP 1.0, appendices B.2.6.1 and B.2.6.2 (through a browser); ISO/IEC 18013-7:2024, annex B.4.4, where the
    wallet's own nonce goes in too.
    """
    if asked.dialect.session_transcript == "iso-18013-7":
        by_whom, where = (_hashed([said, asked.own_nonce]) for said in (asked.client_id, asked.response_uri))
        return [None, None, [by_whom, where, asked.nonce]]
    thumbprint = None
    if asked.encryption_key is not None and asked.dialect.session_transcript == "openid4vp-1.0":
        thumbprint = jose.decode(ECKey.import_key(asked.encryption_key).thumbprint())
    if asked.origin:
        return [None, None, ["OpenID4VPDCAPIHandover", _hashed([asked.origin, asked.nonce, thumbprint])]]
    information = [asked.client_id, asked.nonce, thumbprint, asked.response_uri]
    return [None, None, ["OpenID4VPHandover", _hashed(information)]]


def form(answer: Mapping[str, Any], asked: Request, fault: Fault = Fault.NONE) -> dict[str, str]:
    """What is posted (sections 8.1 to 8.3): the members of an answer, encrypted where this wallet encrypts."""
    if fault is Fault.UNENCRYPTED or not asked.dialect.encrypts:
        return {**answer, "vp_token": json.dumps(answer["vp_token"])}
    return {"response": encrypt(answer, asked)}


def encrypt(answer: Mapping[str, Any], asked: Request) -> str:
    """The answer as a compact JWE to the verifier's key (section 8.3): ECDH-ES.

    Without `apu` and `apv`, but for both nonces where the transcript is that of ISO/IEC 18013-7.
    """
    if asked.encryption_key is None:
        raise CannotAnswer("the verifier names no key to encrypt to")
    header = {"alg": "ECDH-ES", "enc": asked.encryption, "kid": asked.encryption_key["kid"]}
    if asked.dialect.session_transcript == "iso-18013-7":
        header |= {"apu": jose.encode(asked.own_nonce.encode()), "apv": jose.encode(asked.nonce.encode())}
    registry = _WithPortrait(algorithms=["ECDH-ES", asked.encryption])
    return jwe.encrypt_compact(
        header, jose.compact_json(answer), ECKey.import_key(asked.encryption_key), registry=registry
    )


def _hashed(parts: list[Any]) -> bytes:
    return hashlib.sha256(cbor2.dumps(parts)).digest()


def _tampered(token: str) -> str:
    signing_input, _, signature = token.rpartition(".")
    flipped = bytearray(jose.decode(signature))
    flipped[-1] ^= 1
    return f"{signing_input}.{jose.encode(bytes(flipped))}"
