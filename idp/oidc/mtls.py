"""Client certificates: how a portal proves itself by TLS, and what its tokens may be bound to.

TLS ends at the proxy, which asks for a certificate, has the client prove that it holds the key, and hands the
certificate over in the header that `server.client_certificate_header` names. Two forms are read: PEM, URL-escaped
(nginx, `$ssl_client_escaped_cert`), and a structured-field byte sequence, `:base64 of DER:` (RFC 9440; its
`Client-Cert-Chain` may bring intermediate certificates). The proxy must set or remove these headers itself on every
request: whoever can send them to us is whoever he says he is.

Left out: CRLs and OCSP, which are the proxy's to ask. A portal that loses its key is switched off, or registers
another one.

Spec: RFC 8705; RFC 9440; RFC 5280, section 6.1; RFC 4514.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from idp.clock import Clock
from idp.oidc.portal_keys import PortalKeys
from idp.portals import Registration
from idp.portals.names import distinguished_name
from idp.seal import b64
from idp.settings import Settings

CHAIN_HEADER = "Client-Cert-Chain"
MAX_CERTIFICATE_BYTES = 8192
MAX_INTERMEDIATES = 4
_MAX_HEADER = 3 * 4 * MAX_CERTIFICATE_BYTES // 3 + 1024  # PEM, of which every character may be escaped
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*\Z")
_SEQUENCE = re.compile(r":([A-Za-z0-9+/=]+):\Z")
_UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)


class CertificateRefused(ValueError):
    """The certificate cannot be read, or does not prove who it should. Says why, never whose."""


@dataclass(frozen=True)
class ClientCertificate:
    """A certificate whose key the client proved to the proxy that it holds; nothing else is checked yet."""

    der: bytes
    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...] = ()

    @property
    def thumbprint(self) -> str:
        """`x5t#S256`: SHA-256 of the DER, base64url (RFC 8705, section 3.1)."""
        return b64(hashlib.sha256(self.der).digest())


class Headers(Protocol):
    """A request's headers, by any case of their names."""

    def get(self, key: str, default: str, /) -> str: ...
    def __contains__(self, key: str, /) -> bool: ...


class ClientCertificates:
    """Reads client certificates and compares them with registrations.

    Raises ValueError when `server.client_certificate_authorities_file` holds no certificates, OSError when it cannot
    be read.
    """

    def __init__(self, settings: Settings, portal_keys: PortalKeys, clock: Clock) -> None:
        self._header = settings.server.client_certificate_header
        self._portal_keys = portal_keys
        self._clock = clock
        file = settings.server.client_certificate_authorities_file
        self._authorities = x509.load_pem_x509_certificates(Path(file).read_bytes()) if file else []

    @property
    def methods(self) -> tuple[str, ...]:
        """The ways of client authentication that this deployment can offer (RFC 8705, section 2)."""
        if not self._header:
            return ()
        issued = ("tls_client_auth",) if self._authorities else ()
        return (*issued, "self_signed_tls_client_auth")

    def presented(self, headers: Headers) -> ClientCertificate | None:
        """The certificate of a request; None where there was none, or where we do not read the header.

        Raises CertificateRefused.
        """
        if not self._header:
            return None
        return self.of(headers.get(self._header, ""), headers.get(CHAIN_HEADER, ""))

    def of(self, value: str, chain: str = "") -> ClientCertificate | None:
        """The certificate in a header's value, in either form; None for an empty one.

        `chain` is the value of Client-Cert-Chain. Raises CertificateRefused: not one of the forms, too large, too
        many, or not X.509.
        """
        if not value.strip():
            return None
        if len(value) > _MAX_HEADER or len(chain) > MAX_INTERMEDIATES * _MAX_HEADER:
            raise CertificateRefused("a header is too long")
        members = [member.strip() for member in chain.split(",")] if chain.strip() else []
        if len(members) > MAX_INTERMEDIATES:
            raise CertificateRefused("too many intermediate certificates")
        der = _der(value.strip())
        return ClientCertificate(der, _read(der), tuple(_read(_sequence(member)) for member in members))

    def check(self, certificate: ClientCertificate, registration: Registration) -> None:
        """That this certificate is the portal's, by the method the portal registered.

        Raises CertificateRefused.

        Spec: RFC 8705, sections 2.1.2 and 2.2.2.
        """
        try:
            match registration.token_endpoint_auth_method:
                case "tls_client_auth":
                    self._check_issued(certificate)
                    _check_subject(certificate.leaf, registration)
                case "self_signed_tls_client_auth":
                    self._check_registered(certificate, registration)
                case _:
                    raise CertificateRefused("not a method of certificates")
        except CertificateRefused:
            raise
        except _UNREADABLE:
            # `from None`: the library's text may repeat names, which are input.
            raise CertificateRefused("a part of the certificate cannot be read") from None

    def _check_issued(self, certificate: ClientCertificate) -> None:
        if not self._authorities:
            raise CertificateRefused("no authorities are set")
        verifier = (
            PolicyBuilder()
            .store(Store(self._authorities))
            .time(datetime.fromtimestamp(self._clock(), UTC))
            .max_chain_depth(MAX_INTERMEDIATES)
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
            .build_client_verifier()
        )
        try:
            verifier.verify(certificate.leaf, list(certificate.intermediates))
        except VerificationError:
            raise CertificateRefused("no valid path to an authority") from None

    def _check_registered(self, certificate: ClientCertificate, registration: Registration) -> None:
        """By the key: only its holder can make another certificate for it, and TLS has shown that he holds it."""
        leaf = certificate.leaf
        now = datetime.fromtimestamp(self._clock(), UTC)
        if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
            raise CertificateRefused("the certificate is not valid now")
        presented = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        registered = [
            key.as_der(private=False)
            for alg in _algorithms(leaf)
            for key in self._portal_keys.verifying(registration, alg=alg, kid=None)
        ]
        if presented not in registered:
            raise CertificateRefused("the key is not a registered one")


def _der(value: str) -> bytes:
    if value.startswith(":"):
        return _sequence(value)
    pem = _PEM.match(unquote_to_bytes(value))
    if pem is None:
        raise CertificateRefused("neither PEM nor a byte sequence")
    return _unbase64(b"".join(pem[1].split()))


def _sequence(value: str) -> bytes:
    found = _SEQUENCE.match(value)
    if found is None:
        raise CertificateRefused("not a byte sequence")
    return _unbase64(found[1].encode("ascii"))


def _unbase64(text: bytes) -> bytes:
    try:
        der = b64decode(text, validate=True)
    except binascii.Error:
        raise CertificateRefused("not base64") from None
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise CertificateRefused("a certificate is too large")
    return der


def _read(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except _UNREADABLE:
        raise CertificateRefused("not an X.509 certificate") from None


def _algorithms(leaf: x509.Certificate) -> tuple[str, ...]:
    """The algorithms under which a registered key of the certificate's kind is found."""
    match leaf.public_key():
        case ec.EllipticCurvePublicKey():
            return ("ES256",)
        case rsa.RSAPublicKey():
            return ("PS256", "RS256")  # a JWK may name either
        case ed25519.Ed25519PublicKey():
            return ("EdDSA",)
        case _:
            return ()


# -- the subject of an issued certificate ------------------------------------------------------------------------


def _check_subject(leaf: x509.Certificate, registration: Registration) -> None:
    """Exactly one attribute is registered, and the certificate has it."""
    expected = {
        kind: value
        for kind, value in (
            ("dn", registration.tls_client_auth_subject_dn),
            ("dns", registration.tls_client_auth_san_dns),
            ("uri", registration.tls_client_auth_san_uri),
            ("ip", registration.tls_client_auth_san_ip),
            ("email", registration.tls_client_auth_san_email),
        )
        if value is not None
    }
    if len(expected) != 1:
        raise CertificateRefused("not exactly one subject attribute is registered")
    [(kind, value)] = expected.items()
    if kind == "dn":
        same = leaf.subject == distinguished_name(value)
    else:
        same = _one_case(kind, value) in _alternative_names(leaf, kind)
    if not same:
        raise CertificateRefused("the subject is another one")


def _alternative_names(leaf: x509.Certificate, kind: str) -> set[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    match kind:
        case "dns":
            found = names.get_values_for_type(x509.DNSName)
        case "uri":
            found = names.get_values_for_type(x509.UniformResourceIdentifier)
        case "email":
            found = names.get_values_for_type(x509.RFC822Name)
        case _:
            found = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return {_one_case(kind, name) for name in found}


def _one_case(kind: str, name: str) -> str:
    """A name in the one spelling that is compared: hosts have no case, addresses one form (RFC 5280, section 7)."""
    match kind:
        case "dns":
            return name.lower()
        case "ip":
            return str(ip_address(name))
        case "email":
            mailbox, _, host = name.rpartition("@")
            return f"{mailbox}@{host.lower()}"
        case _:
            return name


def _demand_ca(_policy: Policy, _certificate: x509.Certificate, extension: x509.BasicConstraints) -> None:
    if not extension.ca:
        raise ValueError("not a CA")


def _demand_signing(_policy: Policy, _certificate: x509.Certificate, extension: x509.KeyUsage) -> None:
    if not extension.key_cert_sign:
        raise ValueError("no keyCertSign")


def _demand_client(
    _policy: Policy, _certificate: x509.Certificate, extension: x509.ExtendedKeyUsage | None
) -> None:
    meant_for_clients = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if extension is not None and meant_for_clients.isdisjoint(extension):
        raise ValueError("not made for clients")


_CA_POLICY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.CRITICAL, _demand_ca)
    .require_present(x509.KeyUsage, Criticality.AGNOSTIC, _demand_signing)
)
_LEAF_POLICY = ExtensionPolicy.permit_all().may_be_present(
    x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _demand_client
)
