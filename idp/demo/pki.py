"""Certificates and key files of the make-believe authorities.

Private keys are written once, mode 0600, and kept across runs; a leaf whose certificate is about to
expire is made anew under its old CA.
"""

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from idp.demo import jose

# Before any credential that is dated back, so that an expired credential fails for its own date alone.
_FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_CA_LIFE = timedelta(days=3650)
_LEAF_LIFE = timedelta(days=730)
_RENEW_BEFORE = timedelta(days=60)


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate as PEM text."""
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, in one step: a reader sees all of it or none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    unfinished.replace(path)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8 PEM, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The elliptic-curve key in a PKCS #8 PEM file."""
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path.name} holds no elliptic-curve key")
    return key


def keep_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The P-256 key kept in the file, made on the first call."""
    if not path.exists():
        write_private(path, private_pem(ec.generate_private_key(ec.SECP256R1())))
    return load_key(path)


def load(path: Path) -> Identity:
    """The identity kept as `<path>.pem` and `<path>.key`."""
    certificates = x509.load_pem_x509_certificates(path.with_suffix(".pem").read_bytes())
    return Identity(certificates[0], load_key(path.with_suffix(".key")))


def save(path: Path, identity: Identity) -> None:
    """Keep an identity; the certificate is written last and marks the pair as complete."""
    write_private(path.with_suffix(".key"), private_pem(identity.key))
    write_private(path.with_suffix(".pem"), identity.pem.encode("ascii"))


def keep_ca(path: Path, common_name: str) -> Identity:
    """The CA kept at `path`, made on the first call."""
    if not path.with_suffix(".pem").exists():
        save(path, make_ca(common_name))
    return load(path)


def keep_leaf(
    path: Path, common_name: str, ca: Identity, hosts: tuple[str, ...] = (), purpose: str | None = None
) -> Identity:
    """The leaf kept at `path`; made anew when it is missing, soon over, or made for other `hosts`."""
    if path.with_suffix(".pem").exists():
        leaf = load(path)
        if _still_fits(leaf, ca, hosts):
            return leaf
    save(path, make_leaf(common_name, ca, hosts, purpose))
    return load(path)


def make_ca(common_name: str) -> Identity:
    """A self-signed P-256 CA: `basicConstraints` and `keyUsage` keyCertSign, both critical."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    builder = _certificate(name, name, key.public_key(), key.public_key(), _FIRST_DAY + _CA_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True), critical=True)
    return Identity(builder.sign(key, hashes.SHA256()), key)


def make_leaf(
    common_name: str, ca: Identity, hosts: tuple[str, ...] = (), purpose: str | None = None
) -> Identity:
    """A P-256 signer under `ca`: `keyUsage` digitalSignature, critical; SAN only when hosts are named.

    `purpose`: the object identifier of an extended key usage, critical.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(datetime.now(UTC) + _LEAF_LIFE, ca.certificate.not_valid_after_utc)
    builder = _certificate(
        _name(common_name), ca.certificate.subject, key.public_key(), ca.key.public_key(), end
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(digital_signature=True), critical=True)
    if purpose is not None:
        usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(purpose)])
        builder = builder.add_extension(usage, critical=True)
    if hosts:
        alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(alternatives, critical=False)
    return Identity(builder.sign(ca.key, hashes.SHA256()), key)


def authority_key_id(certificate: x509.Certificate) -> str:
    """The `aki` of a DCQL `trusted_authorities` entry: base64url of the certificate's key identifier."""
    extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    return jose.encode(extension.value.key_identifier or b"")


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    end: datetime,
) -> x509.CertificateBuilder:
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FIRST_DAY)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(authority, critical=False)
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


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "KR"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Demonstration, test data only"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _still_fits(leaf: Identity, ca: Identity, hosts: tuple[str, ...]) -> bool:
    try:
        leaf.certificate.verify_directly_issued_by(ca.certificate)
    except (InvalidSignature, ValueError):
        return False
    if leaf.certificate.not_valid_after_utc < datetime.now(UTC) + _RENEW_BEFORE:
        return False
    try:
        named = leaf.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return not hosts
    return list(named) == [_general_name(host) for host in hosts]
