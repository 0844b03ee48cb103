"""Commands for keys that live in an HSM. Signing keys are made there by `idp keys rotate` (`hsm.signing_keys`)."""

from __future__ import annotations

from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from idp.cli.deployment import fail, with_hsm
from idp.hsm import Hsm, private_key


@click.group()
def hsm() -> None:
    """Keys in the HSM of the settings. Only `[hsm]` must be right already."""


@hsm.command("list")
@with_hsm
def hsm_list(hsm: Hsm) -> None:
    """Every key in the token: label, kind, type, id. `idp keys list` says which of them sign."""
    for held in hsm.held():
        click.echo(f"{held.label or '-'}  {held.kind}  {held.type}  {held.id or '-'}")


@hsm.command("make-key")
@click.argument("label")
@with_hsm
def make_key(hsm: Hsm, label: str) -> None:
    """Make a P-256 key that stays in the HSM, for `hsm.wallet_key` or `hsm.opendid_key`; print its public half."""
    _is_new(hsm, label)
    _, public = hsm.make("EC", label)
    click.echo(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), nl=False)


@hsm.command("make-secret")
@click.argument("label")
@with_hsm
def make_secret(hsm: Hsm, label: str) -> None:
    """Make a secret that stays in the HSM, for `hsm.key_encryption_key` or `hsm.next_key_encryption_key`."""
    _is_new(hsm, label)
    hsm.make_secret(label)
    click.echo(f"Made the secret {label}. Back the HSM up: without it nothing that is sealed opens again.")


@hsm.command("request-certificate")
@click.argument("label")
@click.option("--subject", required=True, help='As RFC 4514 writes it: "CN=Sinwon,O=Example,C=KR".')
@click.option(
    "--dns", "names", multiple=True, help="A host name of the certificate; may be given several times."
)
@with_hsm
def request_certificate(hsm: Hsm, label: str, subject: str, names: tuple[str, ...]) -> None:
    """Print a request (PKCS #10) for a certificate of the key with this label, signed by it in the HSM."""
    public = hsm.public_key(("label", label))
    if not isinstance(public, ec.EllipticCurvePublicKey):
        fail(f"The key {label} is no EC key.")
    try:
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name.from_rfc4514_string(subject))
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
    except ValueError as error:
        fail(f"{subject} is no subject as RFC 4514 writes it, or a --dns is no host name. {error}".rstrip())
    key: Any = private_key(hsm, ("label", label), public)
    click.echo(builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode(), nl=False)


def _is_new(hsm: Hsm, label: str) -> None:
    """Two of one label, and nobody could say which is meant."""
    if any(held.label == label for held in hsm.held()):
        fail(f"The token has a key {label} already.")
