"""What a wallet is asked: a signed request object, by reference.

Spec: OpenID4VP 1.0, sections 5 and 8; RFC 9101; HAIP 1.0, section 5. The object is signed anew at every fetch and
always says the same (decision D9): nonce, state and encryption key belong to the `Ask`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from joserfc import jws
from joserfc.jwk import ECKey

from idp import seal
from idp.clock import Clock
from idp.hsm import Hsm, private_key
from idp.login import Ask
from idp.openid4vp.on_behalf import OnBehalf
from idp.presentation.wallets import WalletProfile
from idp.settings import Settings

AUDIENCE = "https://self-issued.me/v2"
CONTENT_TYPE = "application/oauth-authz-req+jwt"
ENC_VALUES = ("A128GCM", "A256GCM")
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_VP_FORMATS: Mapping[str, Any] = {
    "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]},
    # COSE: ES256 and ESP256. No MAC: there is no key of ours that a device could agree on one with.
    "mso_mdoc": {"issuerauth_alg_values": [-7, -9], "deviceauth_alg_values": [-7, -9]},
}


class SignerError(ValueError):
    """The request-signing certificate or key cannot be used; says which and why."""


class _Registry(jws.JWSRegistry):
    max_header_length = 16_384  # a certificate chain
    max_payload_length = 65_536


class Signer:
    """The certificate by which wallets know us, and its key."""

    def __init__(self, settings: Settings, hsm: Hsm | None = None) -> None:
        """Raises SignerError; HsmError where the key is in an HSM that does not answer."""
        wallet = settings.wallet
        self.chain = _chain(Path(wallet.certificate_file))
        if hsm is not None and settings.hsm.wallet_key:
            self._key = _in_hsm(hsm, settings.hsm.wallet_key, self.chain[0])
        else:
            self._key = ECKey.import_key(_private_key(Path(wallet.private_key_file), self.chain[0]))
        self._x5c = [b64encode(certificate.public_bytes(Encoding.DER)).decode() for certificate in self.chain]
        self._registry = _Registry(algorithms=["ES256"])
        self._hosts = _dns_names(self.chain[0])
        self._host = settings.host
        self._hash = seal.b64(self.chain[0].fingerprint(hashes.SHA256()))
        self.client_id(wallet.client_id_prefix)  # the one in the settings must work

    def client_id(self, prefix: str) -> str:
        """How wallets know us (section 5.9.3), prefix included.

        Raises SignerError: for `x509_san_dns` the host of `response_uri` must be a DNS name of the certificate.
        """
        if prefix == "x509_hash":
            return f"x509_hash:{self._hash}"
        if self._host not in self._hosts:
            raise SignerError("wallet.certificate_file: x509_san_dns: no dNSName equals the issuer's host")
        return f"x509_san_dns:{self._host}"

    def sign(self, claims: Mapping[str, Any], typ: str = "oauth-authz-req+jwt") -> str:
        """A compact JWS whose `typ` keeps it from being taken for something else (RFC 8725, section 3.11).

        Raises HsmError where the key is in an HSM that does not answer.
        """
        header = {"alg": "ES256", "typ": typ, "x5c": self._x5c}
        return jws.serialize_compact(
            header, msgspec.json.encode(claims), self._key, algorithms=["ES256"], registry=self._registry
        )


class Requests:
    """Makes links and request objects for the questions of a login."""

    def __init__(self, settings: Settings, signer: Signer, clock: Clock) -> None:
        self._issuer = settings.issuer
        self._wallet = settings.wallet
        self._signer = signer
        self._clock = clock
        self._links: dict[tuple[str, str, str], str] = {}

    def client_id(self, wallet: WalletProfile) -> str:
        """How this wallet knows us, and the audience of what it answers (decision D7)."""
        return self._signer.client_id(wallet.client_id_prefix)

    def link(self, ask: Ask, wallet: WalletProfile) -> str:
        """What the QR code and the button carry (sections 5.1 and 5.7.2).

        Without `request_uri_method` a wallet fetches by GET; with `post` it may send a `wallet_nonce`. Both are
        answered.
        """
        return self._link_but_id(wallet) + quote(ask.id, safe="")

    def _link_but_id(self, wallet: WalletProfile) -> str:
        """All of a link before the question's own id, kept: one page needs a dozen of them."""
        key = (wallet.link, wallet.client_id_prefix, wallet.request_uri_method)
        if (kept := self._links.get(key)) is None:
            method = {"request_uri_method": "post"} if wallet.request_uri_method == "post" else {}
            parameters = {
                "client_id": self.client_id(wallet),
                **method,
                "request_uri": f"{self._issuer}/wallet/request/",
            }
            start = f"{wallet.link}{'&' if '?' in wallet.link else '?'}"
            kept = self._links[key] = start + urlencode(parameters, quote_via=quote, safe="")
        return kept

    def response_uri(self, ask: Ask) -> str:
        return f"{self._issuer}/wallet/response/{ask.id}"

    def object(
        self,
        ask: Ask,
        secret: bytes,
        query: Mapping[str, Any],
        wallet: WalletProfile,
        *,
        on_behalf: OnBehalf,
        wallet_nonce: str | None = None,
    ) -> str:
        """The signed request object: compact JWS, `typ` `oauth-authz-req+jwt`."""
        now = self._clock()
        client_id = self.client_id(wallet)
        key = public_encryption_jwk(ask, secret) if wallet.encrypts else None
        claims: dict[str, Any] = {
            "iss": client_id,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + self._wallet.request_ttl_s,
            "response_type": "vp_token",
            "response_mode": wallet.response_mode,
            "client_id": client_id,
            "response_uri": self.response_uri(ask),
            "nonce": ask.nonce,
            "state": ask.id,
            "dcql_query": query,
            "client_metadata": client_metadata(on_behalf if wallet.portal_name else None, wallet.speaks, key),
        }
        if wallet.portal_name and (info := on_behalf.verifier_info(self._issuer)):
            claims["verifier_info"] = info
        if wallet_nonce is not None:
            claims["wallet_nonce"] = wallet_nonce
        return self._signer.sign(claims)


def client_metadata(
    on_behalf: OnBehalf | None, formats: Collection[str], key: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What a wallet is told of us and of the portal (section 5.1). Without a key the answer goes unencrypted."""
    made: dict[str, Any] = {"vp_formats_supported": {format: _VP_FORMATS[format] for format in formats}}
    if on_behalf is not None:
        made |= on_behalf.metadata()
    if key is not None:
        made["jwks"] = {"keys": [key]}
        made["encrypted_response_enc_values_supported"] = list(ENC_VALUES)
    return made


def encryption_key(secret: bytes) -> ECKey:
    """The P-256 private key made from an ask's secret: 256 random bits, reduced into the group's order."""
    number = int.from_bytes(secret, "big") % (_P256_ORDER - 1) + 1
    return ECKey.import_key(ec.derive_private_key(number, ec.SECP256R1()))


def thumbprint(secret: bytes) -> bytes:
    """Of the key made from an ask's secret: RFC 7638, SHA-256, 32 raw bytes (OpenID4VP 1.0, appendix B.2.6)."""
    return seal.unb64(encryption_key(secret).thumbprint())


def public_encryption_jwk(ask: Ask, secret: bytes) -> dict[str, Any]:
    """The key a wallet encrypts its answer to; its `kid` is the question's id."""
    public = encryption_key(secret).as_dict(private=False)
    return {
        "kty": "EC", "crv": "P-256", "x": public["x"], "y": public["y"],
        "use": "enc", "alg": "ECDH-ES", "kid": ask.id,
    }  # fmt: skip


def _dns_names(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.DNSName)


def _chain(path: Path) -> list[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SignerError(f"wallet.certificate_file: {error}") from error
    if chain[0].issuer == chain[0].subject:
        raise SignerError(
            "wallet.certificate_file: the first certificate is self-signed (HAIP 1.0 refuses that)"
        )
    return [certificate for certificate in chain if certificate.issuer != certificate.subject]


def _in_hsm(hsm: Hsm, label: str, leaf: x509.Certificate) -> ECKey:
    """The key of this label, whose public half is the certificate's. Raises SignerError, HsmError."""
    public = leaf.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise SignerError("wallet.certificate_file: must be of an EC P-256 key")
    if hsm.public_key(("label", label)) != public:
        raise SignerError("hsm.wallet_key: is not the key of wallet.certificate_file")
    key: Any = private_key(hsm, ("label", label), public)
    return ECKey(key, dict(ECKey.import_key(public).as_dict(private=False)))


def _private_key(path: Path, leaf: x509.Certificate) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise SignerError(f"wallet.private_key_file: {type(error).__name__}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SignerError("wallet.private_key_file: must be an EC P-256 key")
    if key.public_key() != leaf.public_key():
        raise SignerError("wallet.private_key_file: is not the key of wallet.certificate_file")
    return key
