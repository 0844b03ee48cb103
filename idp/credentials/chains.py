"""X.509 paths: is this certificate one that a mission's anchor vouches for?

The path itself (signatures, path length, name constraints, unknown critical extensions, serial numbers) is the
cryptography library's, but for the plainest one (`one_step`); what is asked of a leaf here, and that nothing
superfluous is sent, is ours.

Specs: RFC 5280, section 6.1; OpenID4VC HAIP 1.0, sections 6.1.1 (no anchor in x5c, no self-signed leaf).
Left out: CRLs and OCSP. A mission that loses a key is taken out of the trust registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ExtensionNotFound
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import (
    ClientVerifier,
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from idp.credentials import ecdsa
from idp.credentials.jose import MAX_X5C
from idp.credentials.one_step import Anchor, OneStep
from idp.credentials.verdict import CredentialRejected, Reason

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

# Purposes of other trades. A leaf whose extended key usage names only these was not made to sign credentials.
OTHER_TRADES = frozenset(
    oid.dotted_string
    for oid in (
        Eku.SERVER_AUTH,
        Eku.CLIENT_AUTH,
        Eku.CODE_SIGNING,
        Eku.EMAIL_PROTECTION,
        Eku.TIME_STAMPING,
        Eku.OCSP_SIGNING,
    )
)

_NO_NAME = b"\x30\x00"

_Validity = tuple[int, int]
"""notBefore and notAfter, seconds since the epoch."""


class TrustedLeaf(msgspec.Struct, frozen=True):
    """A leaf whose path was validated: its key, the anchor it leads to, and when the whole path is valid.

    not_before, not_after: seconds since the epoch, the narrowest of all certificates on the path, anchor included.
    own_not_before, own_not_after: of the leaf alone.

    The leaf itself is not here: of what was validated much is kept, and the library's certificate is many objects.
    """

    key: ecdsa.PublicKey
    anchor: Anchor
    not_before: int
    not_after: int
    own_not_before: int
    own_not_after: int


class Anchors:
    """Certificates that paths may lead to. What is read of them, by the library and here, is read once.

    owners: each of them, and whose it is.
    """

    def __init__(self, owners: Mapping[x509.Certificate, Any]) -> None:
        named: dict[x509.Name, list[x509.Certificate]] = {}
        for certificate in owners:
            named.setdefault(certificate.subject, []).append(certificate)
        self._read = {one: _read(one, owner) for one, owner in owners.items()}
        self._named = {name: _policy(those, _CA_POLICY) for name, those in named.items()}
        # What is asked of a CA is asked of these once, and not again for each leaf that stands right below one.
        fit = [one for one in self._read if anchor_problem(one) is None]
        self._any = _policy(fit, _CHECKED_CA_POLICY) if fit else None
        self._one_step = OneStep(self._read[one] for one in fit if _is_plain(self._read[one]))

    def path(
        self, leaf: x509.Certificate, intermediates: list[x509.Certificate], der: bytes, now: int
    ) -> Anchor:
        """The anchor that a path of all these certificates, and no other, leads to. der: the leaf as received.

        Raises CredentialRejected: ISSUER_UNTRUSTED, ISSUER_CERTIFICATE.
        """
        if not intermediates and (anchor := self._one_step.above(leaf, der, now)) is not None:
            return anchor
        # Above intermediates only an anchor of the right name will do: the library might find a shorter path, to
        # one that has certified the leaf as well. Without any there is no shorter path, and it finds names faster.
        policy = self._named.get(intermediates[-1].issuer) if intermediates else self._any
        if policy is None:
            raise CredentialRejected(Reason.ISSUER_UNTRUSTED, "no anchor of this name")
        try:
            path = _verifier(policy, now).verify(leaf, intermediates).chain
        except (VerificationError, ValueError):
            # `from None`: the library's text repeats subject names, which are input.
            raise CredentialRejected(Reason.ISSUER_UNTRUSTED, "no valid path to an anchor") from None
        if path[:-1] != [leaf, *intermediates]:
            raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "x5c holds more than the path, or the anchor")
        return self._read[path[-1]]


def validate(
    chain: tuple[bytes, ...], anchors: Anchors, accepted_ekus: frozenset[str], now: int
) -> TrustedLeaf:
    """Validate a chain (DER, leaf first, each signed by the next, the last by an anchor) at `now`.

    accepted_ekus: dotted object identifiers. Empty: a leaf may have no extended key usage, or one that is not
    only of OTHER_TRADES. Otherwise it must name one of these.

    Raises CredentialRejected: ISSUER_CERTIFICATE (the certificates themselves are wrong, or not valid at `now`),
    ISSUER_UNTRUSTED (no path to an anchor).
    """
    certificates = [_parse(der) for der in chain]
    leaf, *intermediates = certificates
    if intermediates:
        _check_order(certificates)
    validity = [_valid(certificate, now) for certificate in certificates]
    _check_leaf(leaf, accepted_ekus)
    key = _key(leaf)
    try:
        anchor = anchors.path(leaf, intermediates, chain[0], now)
    except CredentialRejected:
        _check_order(certificates)  # whose reasons say more
        raise
    if key == anchor.key:
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "x5c holds a self-signed certificate")
    # The anchor's name stands in a leaf right below it as its issuer. Where it stands once more, names are compared.
    if not intermediates and chain[0].count(anchor.subject) > 1:
        _check_order(certificates)
    begins, ends = zip(*validity, strict=True)
    return TrustedLeaf(
        key,
        anchor,
        max(anchor.not_before, *begins),
        min(anchor.not_after, *ends),
        *validity[0],
    )


def pinned(der: bytes, now: int) -> TrustedLeaf:
    """A certificate that is believed by itself and is its own anchor, if it is valid at `now`.

    Raises CredentialRejected: ISSUER_CERTIFICATE, ALGORITHM.
    """
    certificate = _parse(der)
    validity = _valid(certificate, now)
    key = _key(certificate)
    return TrustedLeaf(key, Anchor(certificate, None, key, *validity, b""), *validity, *validity)


@lru_cache(maxsize=256)
def place(leaf: bytes) -> tuple[str | None, str | None]:
    """C and ST of the subject of a certificate (DER); None where there is none, empty where there are several.

    Asked for by few, and of the same signers: so it is read when it is asked for, and kept.

    Raises CredentialRejected(ISSUER_CERTIFICATE).
    """
    said: dict[x509.ObjectIdentifier, str] = {}
    try:
        for attribute in x509.load_der_x509_certificate(leaf).subject:
            said[attribute.oid] = "" if attribute.oid in said else str(attribute.value)
    except _UNREADABLE:
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "not an X.509 certificate") from None
    return said.get(NameOID.COUNTRY_NAME), said.get(NameOID.STATE_OR_PROVINCE_NAME)


def _key(leaf: x509.Certificate) -> ecdsa.PublicKey:
    try:
        return ecdsa.certificate_key(leaf)
    except ValueError:
        raise CredentialRejected(Reason.ALGORITHM, "the leaf's key is not one we accept") from None


def list_signer(
    chain: tuple[bytes, ...], trusted: Sequence[x509.Certificate], ekus: frozenset[str], now: int
) -> tuple[x509.Certificate, bool]:
    """Who signed a list of authorities, and whether it is itself one of those we were told to trust.

    chain: DER, leaf first; the anchor may stand at its end. ekus: one of these must be named; empty: none is needed.
    The leaf's keyUsage, where it has one, is for signatures of either kind (digitalSignature, contentCommitment).

    Raises CredentialRejected: ISSUER_CERTIFICATE, ISSUER_UNTRUSTED.
    """
    certificates = [_parse(der) for der in chain]
    leaf = certificates[0]
    _valid(leaf, now)
    _check_signs_lists(leaf, ekus)
    if leaf in trusted:
        return leaf, True
    while certificates[-1] in trusted:
        certificates.pop()
    _check_order(certificates)
    for certificate in certificates:
        _valid(certificate, now)
    Anchors(dict.fromkeys(trusted)).path(leaf, certificates[1:], chain[0], now)
    return leaf, False


def _check_signs_lists(leaf: x509.Certificate, ekus: frozenset[str]) -> None:
    usage = _extension(leaf, x509.KeyUsage)
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "the signer's key usage is not for signatures")
    purposes = _extension(leaf, x509.ExtendedKeyUsage)
    named = frozenset(oid.dotted_string for oid in purposes) if purposes is not None else frozenset()
    if (ekus and ekus.isdisjoint(named)) or (purposes is not None and OTHER_TRADES.issuperset(named)):
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "the signer's certificate is not for such lists")


def subject_key_id(certificate: x509.Certificate) -> bytes | None:
    """How certificates below this one name its key, or None where it does not say."""
    extension = _optional(certificate, x509.SubjectKeyIdentifier)
    return extension.digest if extension is not None else None


def authority_key_id(certificate: x509.Certificate) -> bytes | None:
    """How this certificate names the key that signed it, or None where it does not say."""
    extension = _optional(certificate, x509.AuthorityKeyIdentifier)
    return extension.key_identifier if extension is not None else None


def anchor_problem(certificate: x509.Certificate) -> str | None:
    """Why this certificate cannot be an anchor, or None. Said when it is registered rather than at a sign-in."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (ExtensionNotFound, *_UNREADABLE):
        return "has no basicConstraints, or no keyUsage"
    if not (basic.critical and basic.value.ca and usage.key_cert_sign):
        return "is not a CA certificate (critical basicConstraints CA, keyUsage keyCertSign)"
    return None


def _parse(der: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.extensions  # parsed when it is first asked for; here, where a failure has a name
    except _UNREADABLE:
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "not an X.509 certificate") from None
    # How many bits of the signature's last byte do not count: an octet that nobody signs and the library does not
    # judge. Anything but zero would be a second spelling of the same certificate.
    if der[-1 - len(certificate.signature)] != 0:
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "a signature with unused bits")
    return certificate


def _check_order(certificates: list[x509.Certificate]) -> None:
    try:
        names = [(certificate.subject, certificate.issuer) for certificate in certificates]
    except _UNREADABLE:
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "not an X.509 certificate") from None
    for (_subject, issuer), (above, _above) in pairwise(names):
        if issuer != above:
            raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "x5c is not in order, or holds a stranger")
    if any(subject == issuer for subject, issuer in names):
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "x5c holds a self-signed certificate")


def _valid(certificate: x509.Certificate, now: int) -> _Validity:
    """When the certificate is valid, which must be now."""
    try:
        validity = not_before, not_after = _validity(certificate)
    except _UNREADABLE:
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "not an X.509 certificate") from None
    # The skew allowed on tokens is not for certificates: they are made for months, and the library allows none.
    if not not_before <= now <= not_after:
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "a certificate is not valid now")
    return validity


def _read(anchor: x509.Certificate, owner: Any) -> Anchor:
    try:
        key = anchor.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None  # no path leads to it
    return Anchor(anchor, owner, key, *_validity(anchor), anchor.subject.public_bytes())


def _is_plain(anchor: Anchor) -> bool:
    """Whether a leaf right below it is for `one_step`."""
    if anchor.subject == _NO_NAME or not ecdsa.is_key(anchor.key):
        return False
    if _optional(anchor.certificate, x509.NameConstraints) is not None:
        return False
    try:
        # A path of itself alone: what the library asks of any certificate, whatever stands below it.
        alone = _policy([anchor.certificate], _CHECKED_CA_POLICY)
        _verifier_at(alone, anchor.not_before).verify(anchor.certificate, [])
    except (VerificationError, ValueError):
        return False
    return True


def _validity(certificate: x509.Certificate) -> _Validity:
    return (
        int(certificate.not_valid_before_utc.timestamp()),
        int(certificate.not_valid_after_utc.timestamp()),
    )


def _check_leaf(leaf: x509.Certificate, accepted_ekus: frozenset[str]) -> None:
    said: dict[type, Any] = {type(one.value): one.value for one in leaf.extensions}
    basic: x509.BasicConstraints | None = said.get(x509.BasicConstraints)
    if basic is not None and basic.ca:
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "the leaf is a CA")
    usage: x509.KeyUsage | None = said.get(x509.KeyUsage)
    if usage is None or not usage.digital_signature or usage.key_cert_sign:
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "the leaf's key usage is not digitalSignature")
    purposes: x509.ExtendedKeyUsage | None = said.get(x509.ExtendedKeyUsage)
    named = frozenset([oid.dotted_string for oid in purposes or ()])
    if accepted_ekus and accepted_ekus.isdisjoint(named):
        raise CredentialRejected(
            Reason.ISSUER_CERTIFICATE, "the leaf's extended key usage is not this type's"
        )
    if not accepted_ekus and purposes is not None and OTHER_TRADES.issuperset(named):
        raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "the leaf was made for something else")


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except ExtensionNotFound:
        return None


def _optional(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """As `_extension`, for certificates that nobody has parsed whole."""
    try:
        return _extension(certificate, kind)
    except _UNREADABLE:
        return None


def _verifier_at(policy: PolicyBuilder, now: int) -> ClientVerifier:
    return policy.time(datetime.fromtimestamp(now, UTC)).build_client_verifier()


# Made once for all paths of a second.
_verifier = lru_cache(maxsize=32)(_verifier_at)


def _demand(
    holds: Callable[[_Extension], bool], what: str
) -> Callable[[Policy, x509.Certificate, _Extension], None]:
    def check(_policy: Policy, _certificate: x509.Certificate, extension: _Extension) -> None:
        if not holds(extension):
            raise ValueError(what)

    return check


def _is_ca(extension: x509.BasicConstraints) -> bool:
    return extension.ca


def _signs_certificates(extension: x509.KeyUsage) -> bool:
    return extension.key_cert_sign


_CA_POLICY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.CRITICAL, _demand(_is_ca, "not a CA"))
    .require_present(x509.KeyUsage, Criticality.AGNOSTIC, _demand(_signs_certificates, "no keyCertSign"))
)
# The library insists on the first of them.
_CHECKED_CA_POLICY = ExtensionPolicy.permit_all().require_present(
    x509.BasicConstraints, Criticality.CRITICAL, None
)


def _policy(anchors: list[x509.Certificate], ca_policy: ExtensionPolicy) -> PolicyBuilder:
    return (
        PolicyBuilder()
        .store(Store(anchors))
        .max_chain_depth(MAX_X5C)
        .extension_policies(ca_policy=ca_policy, ee_policy=ExtensionPolicy.permit_all())
    )
