"""The plainest path is judged by us; whatever we accept there, the library must accept too."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from idp.credentials import chains
from idp.credentials.verdict import CredentialRejected
from tests.credentials.issuing import CA_EXTENSIONS, LEAF_EXTENSIONS, NOW, der, p256, usage

_ALGORITHM = bytes.fromhex("300a06082a8648ce3d040302")
_UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
_LOCAL = x509.NameConstraints([x509.DNSName("example")], None)
_EKU = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.0.18013.5.1.2")])
_NAMED = x509.SubjectAlternativeName([x509.DNSName("signer.other")])
_YEAR = 365 * 86_400


def name(*values: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, value) for value in values])


@dataclass
class Made:
    """A CA and a leaf below it; everything may be made otherwise."""

    key: Any = field(default_factory=p256)
    ca_name: x509.Name = field(default_factory=lambda: name("CA"))
    above_ca: x509.Name | None = None
    issuer: x509.Name | None = None
    signed_with: Any = None
    ca_extensions: Sequence[tuple[x509.ExtensionType, bool]] = CA_EXTENSIONS
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = LEAF_EXTENSIONS
    hash: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    serial: int = 1 << 150
    ca_times: tuple[int, int] = (NOW - _YEAR, NOW + _YEAR)
    times: tuple[int, int] = (NOW - 86_400, NOW + 86_400)
    leaf_key: ec.EllipticCurvePrivateKey = field(default_factory=p256)

    @property
    def ca(self) -> x509.Certificate:
        above = self.ca_name if self.above_ca is None else self.above_ca
        builder = self._builder(self.ca_name, above, self.key, self.ca_times)
        return self._certificate(builder, self.ca_extensions, self.key)

    @property
    def leaf(self) -> bytes:
        issuer = self.ca_name if self.issuer is None else self.issuer
        builder = self._builder(name("signer"), issuer, self.leaf_key, self.times)
        return der(self._certificate(builder, self.extensions, self.signed_with or self.key))

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: Any, times: tuple[int, int]
    ) -> x509.CertificateBuilder:
        begins, ends = (datetime.fromtimestamp(time, UTC) for time in times)
        return x509.CertificateBuilder(issuer, subject, key.public_key(), self.serial, begins, ends)

    def _certificate(
        self,
        builder: x509.CertificateBuilder,
        extensions: Sequence[tuple[x509.ExtensionType, bool]],
        signer: Any,
    ) -> x509.Certificate:
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signer, self.hash)


def ours(leaf: bytes, *anchors: x509.Certificate) -> x509.Certificate | None:
    """The anchor to which `one_step` finds a path by itself."""
    known = chains.Anchors(dict.fromkeys(anchors))
    found = known._one_step.above(x509.load_der_x509_certificate(leaf), leaf, NOW)
    return None if found is None else found.certificate


def accepted(leaf: bytes, *anchors: x509.Certificate) -> bool:
    try:
        chains.validate((leaf,), chains.Anchors(dict.fromkeys(anchors)), frozenset(), NOW)
    except CredentialRejected:
        return False
    return True


def by_the_library(leaf: bytes, *anchors: x509.Certificate) -> bool:
    permissive = ExtensionPolicy.permit_all()
    ca = permissive.require_present(x509.BasicConstraints, Criticality.CRITICAL, None)
    verifier = (
        PolicyBuilder()
        .store(Store(list(anchors)))
        .time(datetime.fromtimestamp(NOW, UTC))
        .extension_policies(ca_policy=ca, ee_policy=permissive)
        .build_client_verifier()
    )
    try:
        path = verifier.verify(x509.load_der_x509_certificate(leaf), []).chain
    except (VerificationError, ValueError):
        return False
    return len(path) == 2


@pytest.mark.parametrize(
    "made",
    [
        Made(),
        Made(key=ec.generate_private_key(ec.SECP384R1()), hash=hashes.SHA384()),
        Made(key=ec.generate_private_key(ec.SECP521R1()), hash=hashes.SHA512()),
        Made(ca_name=name("외교부 재외국민 신원확인증 인증기관", "Ministry of Foreign Affairs " * 2)),
        Made(ca_name=name(*["an issuer with a name that is longer than one byte can say"] * 6)),
        Made(serial=1),
        Made(serial=(1 << 159) - 1),
        Made(extensions=[*LEAF_EXTENSIONS, (_EKU, True), (_UNKNOWN, False), (_NAMED, False)]),
        Made(ca_extensions=[(x509.BasicConstraints(ca=True, path_length=0), True), CA_EXTENSIONS[1]]),
    ],
    ids=[
        "P-256",
        "P-384",
        "P-521",
        "Korean",
        "long name",
        "serial 1",
        "long serial",
        "extensions",
        "length 0",
    ],
)
def test_a_plain_path_is_found_without_the_library(made: Made) -> None:
    ca, leaf = made.ca, made.leaf
    assert ours(leaf, ca) == ca
    assert accepted(leaf, ca)
    assert by_the_library(leaf, ca)


def test_of_two_anchors_of_one_name_the_one_that_signed_is_found() -> None:
    first, second = Made(), Made()
    assert ours(second.leaf, first.ca, second.ca).public_key() == second.key.public_key()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("made", "still"),
    [
        (Made(extensions=[*LEAF_EXTENSIONS, (_NAMED, True)]), True),
        (Made(extensions=[*LEAF_EXTENSIONS, (_UNKNOWN, True)]), False),
        (Made(extensions=[*LEAF_EXTENSIONS, (_NAMED, False)], ca_extensions=[*CA_EXTENSIONS, (_LOCAL, True)]), False),
        (Made(ca_extensions=[*CA_EXTENSIONS, (_LOCAL, True)]), True),
        (Made(extensions=[*LEAF_EXTENSIONS, (_LOCAL, False)]), True),
        (Made(key=rsa.generate_private_key(65_537, 2048)), True),
        (Made(times=(NOW - 86_400, NOW + 40 * _YEAR), ca_times=(NOW - _YEAR, NOW + 50 * _YEAR)), True),
        (Made(ca_times=(NOW - _YEAR, NOW - 1)), False),
        (Made(ca_times=(NOW + 1, NOW + _YEAR)), False),
        (Made(times=(NOW - _YEAR, NOW - 1)), False),
        (Made(signed_with=p256()), False),
        (Made(issuer=name("another CA")), False),
        (Made(ca_name=x509.Name([])), False),
        (Made(ca_name=x509.Name([]), above_ca=name("root")), False),
        (Made(ca_extensions=[CA_EXTENSIONS[0], (usage(digital_signature=True), True)]), False),
        (Made(ca_extensions=[*CA_EXTENSIONS, (_UNKNOWN, True)]), False),
        (Made(hash=hashes.SHA3_256()), False),
    ],
    ids=[
        "critical name", "unknown critical", "outside the constraint", "constrained", "constraining leaf", "RSA",
        "after 2049", "anchor expired", "anchor to come", "leaf expired", "another signed", "another's name",
        "no name", "no name under one", "anchor signs no certificates", "anchor with unknown critical", "SHA-3",
    ],
)  # fmt: skip
def test_what_is_not_plain_is_the_librarys_to_judge(made: Made, still: bool) -> None:
    """still: whether the library accepts it, and so do we."""
    ca, leaf = made.ca, made.leaf
    # Whether the leaf itself is valid is asked before a path is looked for.
    assert ours(leaf, ca) is None or made.times[1] < NOW
    assert accepted(leaf, ca) is still


def _length(content: bytes) -> bytes:
    size = len(content)
    return (
        bytes((size,))
        if size < 0x80
        else b"\x81%c" % size
        if size < 0x100
        else b"\x82" + size.to_bytes(2, "big")
    )


def _item(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + _length(content) + content


def _signed(tbs: bytes, key: ec.EllipticCurvePrivateKey, outer: bytes = _ALGORITHM) -> bytes:
    signature = key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return _item(0x30, tbs + outer + _item(0x03, b"\0" + signature))


def _with(at: int, change: Callable[[int], int], data: bytes) -> bytes:
    return data[:at] + bytes((change(data[at]) & 0xFF,)) + data[at + 1 :]


def _mutants(made: Made) -> Iterator[bytes]:
    """The leaf with one byte of what is signed or of its algorithm changed, and signed anew."""
    tbs = x509.load_der_x509_certificate(made.leaf).tbs_certificate_bytes
    changes: tuple[Callable[[int], int], ...] = (
        lambda byte: byte ^ 1,
        lambda byte: byte ^ 0x80,
        lambda byte: byte + 1,
        lambda byte: byte - 1,
        lambda byte: 0,
    )
    for change in changes:
        for at in range(len(tbs)):
            yield _signed(_with(at, change, tbs), made.key)
        for at in range(len(_ALGORITHM)):
            yield _signed(tbs, made.key, _with(at, change, _ALGORITHM))
    fields = tbs[4 if tbs[1] == 0x82 else 3 :]
    for old, new in _otherwise(made.serial, fields):
        assert fields.count(old) == 1
        yield _signed(_item(0x30, fields.replace(old, new)), made.key)


def _otherwise(serial: int, fields: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Fields of another length: the version, the serial number, and either time in its longer form."""
    version = bytes.fromhex("a003020102")
    yield version, b""
    yield version, bytes.fromhex("a003020101")
    written = _item(0x02, serial.to_bytes(19, "big"))
    for size in (0, 20, 21, 22, 60, 127):
        yield written, _item(0x02, (b"\x01" * size)[:size])
    at = fields.index(b"\x30\x1e\x17\x0d")
    validity = fields[at : at + 32]
    begins, ends = validity[2:17], validity[17:]
    longer = [_item(0x18, b"20" + one[2:]) for one in (begins, ends)]
    for times in ((longer[0], ends), (begins, longer[1]), (longer[0], longer[1])):
        yield validity, _item(0x30, b"".join(times))


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_no_changed_leaf_is_accepted_that_the_library_refuses() -> None:
    made = Made(extensions=[*LEAF_EXTENSIONS, (_EKU, False)])
    anchors = made.ca, Made().ca
    tbs = x509.load_der_x509_certificate(made.leaf).tbs_certificate_bytes
    assert ours(_signed(tbs, made.key), *anchors) == anchors[0]
    n_read = n_ours = 0
    for leaf in _mutants(made):
        try:
            certificate = x509.load_der_x509_certificate(leaf)
        except (ValueError, x509.InvalidVersion):
            continue
        n_read += 1
        if not accepted(leaf, *anchors):
            continue
        assert by_the_library(leaf, *anchors), leaf.hex()
        made.key.public_key().verify(
            certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256())
        )
        n_ours += ours(leaf, *anchors) is not None
    assert n_read > 500
    assert n_ours > 200  # another serial number, another key or another name is as good


def test_a_signature_that_does_not_verify_is_not_accepted() -> None:
    made = Made()
    ca, leaf = made.ca, made.leaf
    whole = x509.load_der_x509_certificate(leaf)
    at = len(leaf) - len(whole.signature)
    n_read = 0
    for where in range(at, len(leaf)):
        forged = _with(where, lambda byte: byte ^ 1, leaf)
        try:
            signature = x509.load_der_x509_certificate(forged).signature
        except ValueError:
            continue
        with pytest.raises(InvalidSignature):
            made.key.public_key().verify(
                signature, leaf[4 : 4 + 4 + int.from_bytes(leaf[6:8], "big")], ec.ECDSA(made.hash)
            )
        n_read += 1
        assert ours(forged, ca) is None
        assert not accepted(forged, ca)
    assert n_read > 60
