"""An authority of which nothing is ours: certificates made here, credentials by npm libraries, in both formats.

It issues a driving licence that is a credential type like any other: `register` puts it into a provider's trust
registry, with where its elements stand in an SD-JWT VC and in an mdoc.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from idp.admin import trust
from tests.interop.node_wallet import Held
from tests.interop.talking import Conversation, private_jwk, public_jwk
from tests.rig import Rig

TYPE_ID = "interop-licence"
VCT = "https://licence.example/vct/licence/v1"
DOC_TYPE = "example.licence.1"
ISO = "org.iso.18013.5.1"
PRIVATE = "example.licence.1.private"
DOCUMENT_SIGNER = "1.0.18013.5.1.2"
DAY_S = 86_400

# A GIF is no picture that we show; one white pixel of PNG is.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="
)
CLAIMS: Mapping[str, Any] = {
    "family_name": "HONG",
    "given_name": "GILDONG",
    "birthdate": "1985-03-14",
    "age_equal_or_over": {"14": True, "19": True},
    "sex": 1,
    "nationalities": ["KR"],
    "picture": "data:image/png;base64," + base64.b64encode(PIXEL).decode("ascii"),
    "license_number": "11-85-123456-01",
}
NAME_SPACES: Mapping[str, Mapping[str, Any]] = {
    ISO: {
        "family_name": "HONG",
        "given_name": "GILDONG",
        "birth_date": {"date": "1985-03-14"},
        "age_over_14": True,
        "age_over_19": True,
        "sex": 1,
        "nationality": "KR",
        "portrait": {"bytes": base64.urlsafe_b64encode(PIXEL).rstrip(b"=").decode("ascii")},
        "document_number": "11-85-123456-01",
        "issuing_country": "KR",
    },
    PRIVATE: {"user_authentication": ["pin", "face"]},
}
PATHS: Mapping[str, list[str]] = {
    "family_name": [ISO, "family_name"],
    "given_name": [ISO, "given_name"],
    "birthdate": [ISO, "birth_date"],
    "age_equal_or_over.14": [ISO, "age_over_14"],
    "age_equal_or_over.19": [ISO, "age_over_19"],
    "sex": [ISO, "sex"],
    "nationalities": [ISO, "nationality"],
    "picture": [ISO, "portrait"],
    "license_number": [ISO, "document_number"],
}
_ASKED = {
    "family_name": True, "given_name": True, "birthdate": True, "age_over_19": False, "picture": False,
}  # fmt: skip
# What a portal's registration says that asks for the licence: some of it required, some not.
LICENCES: Mapping[str, Any] = {
    "scopes": ["openid", "profile", "age", "kr_portrait"],
    "credential_types": [TYPE_ID],
    "claims": [
        {"name": name, "purpose": {"ko": "시험", "en": "To test"}, "required": required, "basis": "consent"}
        for name, required in _ASKED.items()
    ],
}
_FRAME = {"_sd": [*CLAIMS], "age_equal_or_over": {"_sd": ["14", "19"]}}


@dataclass(frozen=True)
class Signer:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def for_script(self) -> dict[str, Any]:
        """The members that tell a script to sign as this one."""
        der = self.certificate.public_bytes(Encoding.DER)
        return {"x5c": [base64.b64encode(der).decode("ascii")], "key": private_jwk(self.key)}


class Ministry:
    """The authority: a root (IACA), a document signer under it, and what it issues."""

    def __init__(self, script: Conversation) -> None:
        self.script = script
        self.root = _root()
        self.signer = _signer(self.root)

    @property
    def root_pem(self) -> str:
        return self.root.certificate.public_bytes(Encoding.PEM).decode("ascii")

    def issue(self, format: str, holder_key: ec.EllipticCurvePrivateKey, **changes: Any) -> Held:
        """A credential in this format; `changes` as `sd_jwt_vc` and `mdoc` take them."""
        made = {"dc+sd-jwt": self.sd_jwt_vc, "mso_mdoc": self.mdoc}[format]
        return Held(format, made(holder_key, **changes), holder_key)

    def sd_jwt_vc(
        self,
        holder_key: ec.EllipticCurvePrivateKey,
        *,
        signer: Signer | None = None,
        valid: tuple[int, int] = (-DAY_S, 30 * DAY_S),
        type_name: str = VCT,
        hash: str = "SHA-256",
    ) -> str:
        """valid: from and until, in seconds from now."""
        now = int(time.time())
        payload = {
            **CLAIMS,
            "iss": "https://licence.example",
            "vct": type_name,
            "iat": now + min(valid[0], 0),
            "nbf": now + valid[0],
            "exp": now + valid[1],
            "cnf": {"jwk": public_jwk(holder_key)},
            "user_authentication": ["pin", "face"],
        }
        asked = {"payload": payload, "frame": _FRAME, "hash": hash.lower()}
        return str(self.script.say({**asked, **(signer or self.signer).for_script()})["credential"])

    def mdoc(
        self,
        holder_key: ec.EllipticCurvePrivateKey,
        *,
        signer: Signer | None = None,
        valid: tuple[int, int] = (-DAY_S, 30 * DAY_S),
        type_name: str = DOC_TYPE,
        hash: str = "SHA-256",
    ) -> str:
        """The same as mdoc."""
        now = int(time.time())
        validity = {"signed": now + min(valid[0], 0), "from": now + valid[0], "until": now + valid[1]}
        asked = {
            "doc_type": type_name,
            "name_spaces": NAME_SPACES,
            "validity": validity,
            "hash": hash,
            "holder": public_jwk(holder_key),
        }
        return str(self.script.say({**asked, **(signer or self.signer).for_script()})["credential"])

    def another_key(self) -> Signer:
        """The document signer's certificate, and a key that is not in it."""
        return Signer(self.signer.certificate, ec.generate_private_key(ec.SECP256R1()))

    def another_signer(self, **changes: Any) -> Signer:
        """A further document signer: of another country, or for another purpose."""
        return _signer(self.root, **changes)

    def register(self, rig: Rig) -> None:
        """Let a provider believe what this authority issues."""
        with rig.app.app_context():
            trust.apply(self._document(), now=rig.clock())
            rig.clock.forward(trust.RELOAD_S)
            rig.house.trust.snapshot()
            rig.clock.offset_s = 0

    def _document(self) -> dict[str, Any]:
        return {
            "credential_type": [
                {
                    "id": TYPE_ID,
                    "name": {"ko": "운전면허증", "en": "Licence"},
                    "trust_domain": TYPE_ID,
                    "person_key": "license_number",
                    "status_required": False,
                    "secure_authentication": [["pin", "face"]],
                    "formats": {
                        "dc+sd-jwt": {
                            "names": [VCT],
                            "elements": [*PATHS],
                            "authentication": ["user_authentication"],
                        },
                        "mso_mdoc": {
                            "names": [DOC_TYPE],
                            "elements": dict(PATHS),
                            "authentication": [PRIVATE, "user_authentication"],
                            "issuer_ekus": [DOCUMENT_SIGNER],
                        },
                    },
                }
            ],
            "mission": [
                {
                    "code": "LICENCE",
                    "name": {"ko": "면허청", "en": "Licence Agency"},
                    "country": "KR",
                    "credential_types": [TYPE_ID],
                    "active_from": "2024-01-01",
                    "issuer_certificates": [self.root_pem],
                }
            ],
        }


def _root() -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Interop IACA")
    made = (
        _certificate(name, name, key.public_key(), key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .add_extension(
            x509.IssuerAlternativeName([x509.UniformResourceIdentifier("https://licence.example")]),
            critical=False,
        )
    )
    return Signer(made.sign(key, hashes.SHA256()), key)


def _signer(root: Signer, *, country: str = "KR", purpose: str = DOCUMENT_SIGNER) -> Signer:
    """As ISO/IEC 18013-5, annex B, wants a document signer's certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Interop Document Signer", country)
    made = (
        _certificate(name, root.certificate.subject, key.public_key(), root.key)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ObjectIdentifier(purpose)]), critical=True)
    )
    return Signer(made.sign(root.key, hashes.SHA256()), key)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=400))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(authority, critical=False)
    )


def _name(common_name: str, country: str = "KR") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, country),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
