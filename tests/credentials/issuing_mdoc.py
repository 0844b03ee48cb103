"""The same authority and holder with mdocs: good by default, one thing changed at a time.

Written with cbor2 and cryptography alone; shares nothing with `idp.credentials.mdoc` and its neighbours.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import cbor2
from cbor2 import CBORTag
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from idp.credentials import Expected, StatusLists, TrustSnapshot
from idp.credentials.trust import FormatTrust
from tests.credentials.issuing import (
    AUDIENCE,
    CLAIMS,
    LEAF_EXTENSIONS,
    NONCE,
    NOW,
    STATUS_URI,
    TYPE_ID,
    Authority,
    StatusHost,
    b64u,
    certificate,
    changed,
    credential_type,
    der,
    p256,
    packed,
    registry,
    sd_jwt_format,
)

DOC_TYPE = "org.iso.23220.photoid.1"
ISO, PHOTO_ID, KR = "org.iso.23220.1", "org.iso.23220.photoid.1", "example.idp.kr_overseas.1"
DOCUMENT_SIGNER = "1.0.18013.5.1.2"
RESPONSE_URI = "https://idp.example/wallet/response/1"
JPEG = bytes.fromhex("ffd8ffe000104a464946")

TRANSCRIPT = cbor2.dumps(
    [
        None,
        None,
        [
            "OpenID4VPHandover",
            hashlib.sha256(cbor2.dumps([AUDIENCE, NONCE, bytes(32), RESPONSE_URI])).digest(),
        ],
    ]
)
EXPECTED = Expected(
    audience=AUDIENCE, nonce=NONCE, accepted_types=frozenset({TYPE_ID}), session_transcript=TRANSCRIPT
)


def full_date(day: str) -> CBORTag:
    return CBORTag(1004, day)


def tdate(moment: int | str) -> CBORTag:
    """A point in time, from seconds since the epoch or as text."""
    if isinstance(moment, int):
        moment = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return CBORTag(0, moment)


ELEMENTS: Mapping[str, Mapping[str, Any]] = {
    ISO: {
        "family_name": "HONG",
        "given_name": "GILDONG",
        "birth_date": full_date("1984-02-29"),
        "age_over_14": True,
        "age_over_19": True,
        "sex": 1,
        "nationality": "KR",
        "resident_address": "123 Wilshire Blvd\nLos Angeles, CA",
        "portrait": JPEG,
        "issuing_country": "KR",
        "expiry_date": full_date("2033-05-16"),
    },
    PHOTO_ID: {
        "travel_document_number": "M12345678",
        "travel_document_type": "PM",
        "travel_document_issuing_country": "KOR",
        "travel_document_issuing_authority": "MINISTRY OF FOREIGN AFFAIRS",
        "travel_document_issue_date": full_date("2023-05-16"),
        "travel_document_expiry_date": tdate("2033-05-16T00:00:00Z"),
    },
    KR: {
        "name_ko": "홍길동",
        "mission_code": "LAX",
        "mission_name_ko": "주로스앤젤레스 대한민국 총영사관",
        "mission_name_en": "Los Angeles",
        "overseas_registration_number": "LAX-2024-000123",
        "ci": "A" * 86 + "==",
        **{name: CLAIMS[name] for name in ("license_number", "civil_servant_number", "veteran_number")},
        "user_authentication": ["pin", "face"],
    },
}
PATHS: Mapping[tuple[str, ...], tuple[str, str]] = {
    ("name",): (KR, "name_ko"),
    ("family_name",): (ISO, "family_name"),
    ("given_name",): (ISO, "given_name"),
    ("birthdate",): (ISO, "birth_date"),
    ("age_equal_or_over", "14"): (ISO, "age_over_14"),
    ("age_equal_or_over", "19"): (ISO, "age_over_19"),
    ("sex",): (ISO, "sex"),
    ("nationalities",): (ISO, "nationality"),
    ("address", "formatted"): (ISO, "resident_address"),
    ("picture",): (ISO, "portrait"),
    ("issuing_mission", "code"): (KR, "mission_code"),
    ("issuing_mission", "name_ko"): (KR, "mission_name_ko"),
    ("issuing_mission", "name_en"): (KR, "mission_name_en"),
    ("overseas_registration_number",): (KR, "overseas_registration_number"),
    ("passport", "number"): (PHOTO_ID, "travel_document_number"),
    ("passport", "type"): (PHOTO_ID, "travel_document_type"),
    ("passport", "issuing_country"): (PHOTO_ID, "travel_document_issuing_country"),
    ("passport", "issuing_authority"): (PHOTO_ID, "travel_document_issuing_authority"),
    ("passport", "issue_date"): (PHOTO_ID, "travel_document_issue_date"),
    ("passport", "expiry_date"): (PHOTO_ID, "travel_document_expiry_date"),
    ("kr_ci",): (KR, "ci"),
    **{(name,): (KR, name) for name in ("license_number", "civil_servant_number", "veteran_number")},
}


def mdoc_format(**changes: Any) -> FormatTrust:
    """The type as mdoc."""
    good: dict[str, Any] = {
        "format": "mso_mdoc",
        "names": frozenset({DOC_TYPE}),
        "paths": PATHS,
        "authentication": (KR, "user_authentication"),
        "issuer_ekus": frozenset({DOCUMENT_SIGNER}),
    }
    return FormatTrust(**{**good, **changes})


def document_signer(
    authority: Authority,
    *,
    subject: Sequence[tuple[x509.ObjectIdentifier, str]] = ((x509.NameOID.COUNTRY_NAME, "KR"),),
    extensions: Sequence[tuple[x509.ExtensionType, bool]] | None = None,
    key: ec.EllipticCurvePublicKey | None = None,
    not_before: int = NOW - 7 * 86_400,
    not_after: int = NOW + 30 * 86_400,
) -> x509.Certificate:
    """A document signer's certificate as ISO/IEC 18013-5, annex B, has it."""
    purpose = x509.ExtendedKeyUsage([x509.ObjectIdentifier(DOCUMENT_SIGNER)])
    return certificate(
        "document signer",
        key or authority.signer_key,
        f"{authority.code} CA",
        authority.key,
        [*LEAF_EXTENSIONS, (purpose, True)] if extensions is None else extensions,
        not_before=not_before,
        not_after=not_after,
        further=subject,
    )


# COSE

CURVES: Mapping[int, tuple[int, int, hashes.HashAlgorithm]] = {
    256: (-7, 1, hashes.SHA256()),
    384: (-35, 2, hashes.SHA384()),
    521: (-36, 3, hashes.SHA512()),
}


def raw_signature(key: ec.EllipticCurvePrivateKey, data: bytes, algorithm: Any) -> bytes:
    """r and s side by side, with the hash of the algorithm's name, whatever the key's curve."""
    digest: hashes.HashAlgorithm = hashes.SHA512()
    if algorithm in (-7, -9):
        digest = hashes.SHA256()
    elif algorithm in (-35, -51):
        digest = hashes.SHA384()
    size = (key.curve.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def sign1(
    key: ec.EllipticCurvePrivateKey,
    payload: bytes | None,
    *,
    protected: Mapping[Any, Any] | bytes | None = None,
    unprotected: Mapping[Any, Any] | None = None,
    detached: bytes | None = None,
    context: str = "Signature1",
) -> list[Any]:
    """A COSE_Sign1. `protected` changes the protected header, or is its bytes."""
    own = CURVES[key.curve.key_size][0]
    if not isinstance(protected, bytes):
        protected = cbor2.dumps(changed({1: own}, protected))
    try:
        header = cbor2.loads(protected) if protected else {}
        algorithm = header.get(1, own)
    except (cbor2.CBORDecodeError, AttributeError):
        algorithm = own
    signed = payload if detached is None else detached
    to_be_signed = cbor2.dumps([context, protected, b"", signed])
    return [protected, dict(unprotected or {}), payload, raw_signature(key, to_be_signed, algorithm)]


def cose_key(key: ec.EllipticCurvePrivateKey, **changes: Any) -> dict[Any, Any]:
    """A public COSE_Key; changes by name: kty, crv, x, y, and d, alg, key_ops which are not there."""
    size = (key.curve.key_size + 7) // 8
    point = key.public_key().public_numbers()
    members = {
        "kty": 2,
        "crv": CURVES[key.curve.key_size][1],
        "x": point.x.to_bytes(size, "big"),
        "y": point.y.to_bytes(size, "big"),
    }
    labels = {"kty": 1, "kid": 2, "alg": 3, "key_ops": 4, "crv": -1, "x": -2, "y": -3, "d": -4}
    return {labels[name]: value for name, value in changed(members, changes).items()}


# Issuing


def item(digest_id: int, name: str, value: Any, **changes: Any) -> bytes:
    """An IssuerSignedItem, encoded, without its tag."""
    members = {
        "digestID": digest_id,
        "random": secrets.token_bytes(32),
        "elementIdentifier": name,
        "elementValue": value,
    }
    return cbor2.dumps(changed(members, changes))


def digest_of(content: bytes, algorithm: str = "sha256") -> bytes:
    return hashlib.new(algorithm, cbor2.dumps(CBORTag(24, content))).digest()


@dataclass
class Issued:
    """An mdoc in a wallet: every item, the issuer's signature, and the key it is bound to.

    items: by namespace, each the content of its tag 24.
    """

    items: dict[str, list[bytes]]
    issuer_auth: Any
    holder_key: ec.EllipticCurvePrivateKey
    doc_type: str = DOC_TYPE

    def present(self, **changes: Any) -> str:
        return b64u(self.response(**changes))

    def response(self, **changes: Any) -> bytes:
        """A DeviceResponse, encoded; arguments as those of `structure`."""
        return cbor2.dumps(self.structure(**changes))

    def structure(
        self,
        *,
        response: Mapping[str, Any] | None = None,
        document: Mapping[str, Any] | None = None,
        issuer_signed: Mapping[str, Any] | None = None,
        device_signed: Mapping[str, Any] | None = None,
        device_auth: Mapping[str, Any] | None = None,
        shown: Mapping[str, Sequence[str]] | None = None,
        items: Mapping[str, Sequence[Any]] | None = None,
        stated: Any = None,
        transcript: bytes = TRANSCRIPT,
        doc_type: str | None = None,
        signed_doc_type: str | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
        protected: Mapping[Any, Any] | bytes | None = None,
        unprotected: Mapping[Any, Any] | None = None,
        payload: bytes | None = None,
    ) -> dict[str, Any]:
        """A DeviceResponse. response, document, issuer_signed, device_signed, device_auth change members there.

        shown: names of the elements that are shown, by namespace; items: instead, the contents. stated: what the
        device states, or its bytes. protected, unprotected, payload and key are those of the device's signature.
        """
        contents = self.items if items is None else items
        if shown is not None:
            contents = {
                name_space: [
                    one for one in self.items[name_space] if cbor2.loads(one)["elementIdentifier"] in names
                ]
                for name_space, names in shown.items()
            }
        name_spaces = {
            name_space: [CBORTag(24, one) if isinstance(one, bytes) else one for one in ones]
            for name_space, ones in contents.items()
        }
        device_name_spaces = CBORTag(24, stated if isinstance(stated, bytes) else cbor2.dumps(stated or {}))
        shown_doc_type = self.doc_type if doc_type is None else doc_type
        authentication = cbor2.dumps(
            [
                "DeviceAuthentication",
                cbor2.loads(transcript) if transcript else None,
                shown_doc_type if signed_doc_type is None else signed_doc_type,
                device_name_spaces,
            ]
        )
        signature = sign1(
            key or self.holder_key,
            payload,
            protected=protected,
            unprotected=unprotected,
            detached=cbor2.dumps(CBORTag(24, authentication)),
        )
        return changed(
            {
                "version": "1.0",
                "documents": [
                    changed(
                        {
                            "docType": shown_doc_type,
                            "issuerSigned": changed(
                                {"nameSpaces": name_spaces, "issuerAuth": self.issuer_auth}, issuer_signed
                            ),
                            "deviceSigned": changed(
                                {
                                    "nameSpaces": device_name_spaces,
                                    "deviceAuth": changed({"deviceSignature": signature}, device_auth),
                                },
                                device_signed,
                            ),
                        },
                        document,
                    )
                ],
                "status": 0,
            },
            response,
        )


def issue(
    authority: Authority,
    *,
    elements: Mapping[str, Mapping[str, Any]] | None = None,
    items: Mapping[str, Mapping[str, Any]] | None = None,
    mso: Mapping[str, Any] | None = None,
    validity: Mapping[str, Any] | None = None,
    device_key_info: Mapping[str, Any] | None = None,
    digests: Callable[[dict[str, dict[int, bytes]]], Any] = lambda digests: digests,
    hash_algorithm: str = "sha256",
    protected: Mapping[Any, Any] | bytes | None = None,
    unprotected: Mapping[Any, Any] | None = None,
    signer: x509.Certificate | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    holder_key: ec.EllipticCurvePrivateKey | None = None,
    payload: Callable[[bytes], Any] = lambda mso: cbor2.dumps(CBORTag(24, mso)),
    doc_type: str = DOC_TYPE,
) -> Issued:
    """An mdoc. `elements` replaces whole namespaces; `items` changes members of an element's item, by its name.

    mso, validity and device_key_info change members there; digests, the digests before they are signed; protected and
    unprotected, the headers of the issuer's signature; payload makes its payload of the encoded MSO.
    """
    holder = holder_key or p256()
    contents: dict[str, list[bytes]] = {}
    value_digests: dict[str, dict[int, bytes]] = {}
    for name_space, members in {**ELEMENTS, **(elements or {})}.items():
        contents[name_space] = [
            item(number, name, value, **(items or {}).get(name, {}))
            for number, (name, value) in enumerate(members.items())
        ]
        value_digests[name_space] = {
            number: digest_of(content, hash_algorithm) for number, content in enumerate(contents[name_space])
        }
        value_digests[name_space][len(contents[name_space])] = secrets.token_bytes(
            32
        )  # of one not in the wallet
    signed = {
        "version": "1.0",
        "digestAlgorithm": "SHA-" + hash_algorithm.removeprefix("sha"),
        "valueDigests": digests(value_digests),
        "deviceKeyInfo": changed({"deviceKey": cose_key(holder)}, device_key_info),
        "docType": doc_type,
        "validityInfo": changed(
            {"signed": tdate(NOW - 3600), "validFrom": tdate(NOW - 3600), "validUntil": tdate(NOW + 86_400)},
            validity,
        ),
        "status": {"status_list": {"idx": 0, "uri": STATUS_URI}},
    }
    chain = der(signer or document_signer(authority))
    issuer_auth = sign1(
        key or authority.signer_key,
        payload(cbor2.dumps(changed(signed, mso))),
        protected=protected,
        unprotected=changed({33: chain}, unprotected),
    )
    return Issued(contents, issuer_auth, holder, doc_type)


# Status


def status_cwt(
    authority: Authority,
    values: Sequence[int] = (0, 1, 2, 3),
    bits: int = 2,
    *,
    protected: Mapping[Any, Any] | bytes | None = None,
    unprotected: Mapping[Any, Any] | None = None,
    payload: Mapping[Any, Any] | bytes | None = None,
    lst: Any = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    tagged: bool = True,
) -> bytes:
    """A Status List Token as CWT. `payload` changes the claims by their numbers, or is their bytes."""

    listed = {"bits": bits, "lst": zlib.compress(packed(values, bits), 9) if lst is None else lst}
    claims = {2: STATUS_URI, 6: NOW - 60, 4: NOW + 86_400, 65534: 300, 65533: listed}
    header = {16: "application/statuslist+cwt", 33: der(authority.status_signer)}
    token = sign1(
        key or authority.status_key,
        payload if isinstance(payload, bytes) else cbor2.dumps(changed(claims, payload)),
        protected=protected if isinstance(protected, bytes) else {**header, **(protected or {})},
        unprotected=unprotected,
    )
    return cbor2.dumps(CBORTag(18, token) if tagged else token)


@dataclass
class World:
    """One mission that is trusted with the type in both formats, and a status host that serves its list as CWT."""

    authority: Authority = field(default_factory=Authority)

    def __post_init__(self) -> None:
        self.mission = self.authority.mission()
        self.trust = self.registry()
        self.host = StatusHost({STATUS_URI: status_cwt(self.authority)})
        self.status = StatusLists(self.host.fetch)

    def registry(self, **changes: Any) -> TrustSnapshot:
        """The registry with the type's mdoc format changed."""
        formats = {"dc+sd-jwt": sd_jwt_format(), "mso_mdoc": mdoc_format(**changes)}
        return registry(self.mission, types=[credential_type(formats=formats)])


def answering(transcript: bytes) -> Expected:
    return replace(EXPECTED, session_transcript=transcript)
