"""Certificates for keys that live in a token, from the demonstration's authority for verifiers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from idp.demo import pki


def issue(request: x509.CertificateSigningRequest, ca_file: Path, to: Path) -> None:
    """Write the certificate that is asked for; the authority is kept at `ca_file`, where the demonstration looks."""
    assert request.is_signature_valid
    ca = pki.keep_ca(ca_file, "Sinwon demo wallet access CA")
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(ca.certificate.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=300))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False
        )
        .sign(ca.key, hashes.SHA256())
    )
    to.write_bytes(made.public_bytes(Encoding.PEM))
