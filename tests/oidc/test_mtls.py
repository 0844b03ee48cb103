"""Client certificates (RFC 8705): read from the proxy's header, compared with what the portal registered."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, OKPKey, RSAKey

from idp.oidc.mtls import CertificateRefused, ClientCertificate, ClientCertificates, distinguished_name
from idp.portals import Registration
from idp.settings import Settings
from tests.oidc.certificates import DAY, Made, PrivateKey, make
from tests.oidc.portal_side import MovingClock, known_keys, registration

HEADER = "X-Client-Certificate"


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


@pytest.fixture(scope="module")
def root() -> Made:
    return make("CN=Root,O=CA,C=KR", ca=True, valid=(-30 * DAY, 30 * DAY))


@pytest.fixture(scope="module")
def middle(root: Made) -> Made:
    return make("CN=Middle,O=CA,C=KR", issuer=root, ca=True, path_length=0, valid=(-20 * DAY, 20 * DAY))


def certificates(
    clock: MovingClock, directory: Path | None = None, *authorities: Made, header: str = HEADER
) -> ClientCertificates:
    """With these authorities in a file, if any."""
    file = ""
    if directory is not None:
        path = directory / "authorities.pem"
        path.write_text("".join(authority.pem for authority in authorities))
        file = str(path)
    server = SimpleNamespace(client_certificate_header=header, client_certificate_authorities_file=file)
    return ClientCertificates(cast(Settings, SimpleNamespace(server=server)), known_keys(clock), clock)


@pytest.fixture
def trusting(clock: MovingClock, tmp_path: Path, root: Made) -> ClientCertificates:
    return certificates(clock, tmp_path, root)


def shown(made: Made, *chain: Made) -> ClientCertificate:
    return ClientCertificate(made.der, made.certificate, tuple(link.certificate for link in chain))


# -- the header --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["escaped", "sequence"])
def test_a_certificate_is_read_in_both_forms(clock: MovingClock, form: str) -> None:
    made = make()
    found = certificates(clock).presented({HEADER: getattr(made, form)})
    assert found is not None
    assert found.leaf == made.certificate


def test_the_thumbprint_is_that_of_the_specification(clock: MovingClock) -> None:
    # RFC 8705, appendix A
    text = (
        "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzEN"
        "MAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/co"
        "ZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWU"
        "VeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY="
    )
    found = certificates(clock).of(f":{text}:")
    assert found is not None
    assert found.thumbprint == "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"


def test_intermediate_certificates_come_in_a_header_of_their_own(
    clock: MovingClock, root: Made, middle: Made
) -> None:
    leaf = make(issuer=middle)
    headers = {HEADER: leaf.sequence, "Client-Cert-Chain": f"{middle.sequence}, {root.sequence}"}
    found = certificates(clock).presented(headers)
    assert found is not None
    assert found.intermediates == (middle.certificate, root.certificate)


@pytest.mark.parametrize("headers", [{}, {HEADER: ""}, {HEADER: " "}, {"Client-Cert": ":eA==:"}])
def test_no_certificate_is_none(clock: MovingClock, headers: Mapping[str, str]) -> None:
    assert certificates(clock).presented(headers) is None


def test_a_header_that_the_settings_do_not_name_is_not_read(clock: MovingClock) -> None:
    made = make()
    off = certificates(clock, header="")
    assert off.presented({"": made.sequence, "Client-Cert": made.sequence, HEADER: "garbage"}) is None
    assert off.methods == ()


@pytest.mark.parametrize(
    "value",
    [
        "garbage",
        "PEM PEM",
        "PEM%0APEM",
        "SEQUENCE, SEQUENCE",
        "SEQUENCE;a=1",
        ":eA==:",
        "::",
        ":",
        ":a:",
        ":-_-_:",
        ":" + "A" * 20_000 + ":",
        "x" * 50_000,
        "%",
        "%FF%FE",
        "-----BEGIN%20CERTIFICATE-----%0A-----END%20CERTIFICATE-----",
        "-----BEGIN%20PRIVATE%20KEY-----%0AeA==%0A-----END%20PRIVATE%20KEY-----",
        "한글",
    ],
    ids=lambda value: value[:20],
)
def test_what_is_no_certificate_is_refused(clock: MovingClock, value: str) -> None:
    made = make()
    value = value.replace("PEM", made.escaped).replace("SEQUENCE", made.sequence)
    with pytest.raises(CertificateRefused):
        certificates(clock).presented({HEADER: value})


@pytest.mark.parametrize("chain", ["x", "GOOD,", "GOOD,GOOD,GOOD,GOOD,GOOD", "GOOD GOOD", ":eA==:"])
def test_a_chain_that_cannot_be_read_is_refused(clock: MovingClock, root: Made, chain: str) -> None:
    with pytest.raises(CertificateRefused):
        certificates(clock).of(make().sequence, chain.replace("GOOD", root.sequence))


# -- tls_client_auth ---------------------------------------------------------------------------------------------


def issued(**subject: str) -> Registration:
    return registration(token_endpoint_auth_method="tls_client_auth", **subject)


DN = {"tls_client_auth_subject_dn": "CN=portal,O=Demo,C=KR"}


def test_a_certificate_of_an_authority_proves_its_subject(
    trusting: ClientCertificates, root: Made, middle: Made
) -> None:
    trusting.check(shown(make(issuer=root)), issued(**DN))
    trusting.check(shown(make(issuer=middle), middle), issued(**DN))


@pytest.mark.parametrize(
    "purposes", [None, (Eku.ANY_EXTENDED_KEY_USAGE,), (Eku.SERVER_AUTH, Eku.CLIENT_AUTH)]
)
def test_a_certificate_may_have_been_made_for_more_than_clients(
    trusting: ClientCertificates, root: Made, purposes: Any
) -> None:
    trusting.check(shown(make(issuer=root, purposes=purposes)), issued(**DN))


def untrusted(root: Made, middle: Made) -> dict[str, ClientCertificate]:
    no_ca = make("CN=Leaf", issuer=root)
    stranger = make("CN=Root,O=CA,C=KR", ca=True)
    too_deep = make("CN=Deeper", issuer=middle, ca=True)
    return {
        "self_signed": shown(make()),
        "a_stranger_of_the_same_name": shown(make(issuer=stranger)),
        "a_stranger_with_his_root": shown(make(issuer=stranger), stranger),
        "without_the_middle": shown(make(issuer=middle)),
        "by_what_is_no_ca": shown(make(issuer=no_ca), no_ca),
        "deeper_than_allowed": shown(make(issuer=too_deep), too_deep, middle),
        "not_yet_valid": shown(make(issuer=root, valid=(DAY, 2 * DAY))),
        "expired": shown(make(issuer=root, valid=(-2 * DAY, -DAY))),
        "for_servers": shown(make(issuer=root, purposes=(Eku.SERVER_AUTH,))),
        "for_mail": shown(make(issuer=root, purposes=(Eku.EMAIL_PROTECTION,))),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "self_signed", "a_stranger_of_the_same_name", "a_stranger_with_his_root", "without_the_middle",
        "by_what_is_no_ca", "deeper_than_allowed", "not_yet_valid", "expired", "for_servers", "for_mail",
    ],
)  # fmt: skip
def test_a_certificate_without_a_valid_path_is_refused(
    trusting: ClientCertificates, root: Made, middle: Made, kind: str
) -> None:
    with pytest.raises(CertificateRefused, match="no valid path"):
        trusting.check(untrusted(root, middle)[kind], issued(**DN))


def test_a_certificate_ends_by_our_clock(
    trusting: ClientCertificates, root: Made, clock: MovingClock
) -> None:
    made = shown(make(issuer=root))
    clock.pass_(86_000)
    trusting.check(made, issued(**DN))
    clock.pass_(1000)
    with pytest.raises(CertificateRefused):
        trusting.check(made, issued(**DN))


def test_without_authorities_no_certificate_proves_a_subject(clock: MovingClock, root: Made) -> None:
    with pytest.raises(CertificateRefused):
        certificates(clock).check(shown(make(issuer=root)), issued(**DN))


NAMES = [
    x509.DNSName("Portal.example"),
    x509.DNSName("other.example"),
    x509.UniformResourceIdentifier("https://portal.example/id"),
    x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
    x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
    x509.RFC822Name("Portal@Example.org"),
]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("dns", "portal.example"),
        ("dns", "OTHER.example"),
        ("uri", "https://portal.example/id"),
        ("ip", "2001:0db8:0:0:0:0:0:1"),
        ("ip", "192.0.2.1"),
        ("email", "Portal@example.org"),
    ],
)
def test_an_alternative_name_is_compared_by_its_kind(
    trusting: ClientCertificates, root: Made, kind: str, value: str
) -> None:
    trusting.check(shown(make(issuer=root, names=NAMES)), issued(**{f"tls_client_auth_san_{kind}": value}))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("dns", "example"),
        ("dns", "sub.portal.example"),
        ("dns", "*.example"),
        ("dns", "192.0.2.1"),
        ("dns", ""),
        ("uri", "https://portal.example/ID"),
        ("uri", "portal.example"),
        ("ip", "192.0.2.2"),
        ("ip", "192.0.2.0/24"),
        ("ip", "portal.example"),
        ("email", "portal@example.org"),
        ("email", "example.org"),
    ],
)
def test_another_alternative_name_is_refused(
    trusting: ClientCertificates, root: Made, kind: str, value: str
) -> None:
    with pytest.raises(CertificateRefused):
        trusting.check(
            shown(make(issuer=root, names=NAMES)), issued(**{f"tls_client_auth_san_{kind}": value})
        )


def test_the_common_name_is_no_host_name(trusting: ClientCertificates, root: Made) -> None:
    with pytest.raises(CertificateRefused):
        made = shown(make("CN=portal.example", issuer=root))
        trusting.check(made, issued(tls_client_auth_san_dns="portal.example"))


@pytest.mark.parametrize("subject", [{}, {**DN, "tls_client_auth_san_dns": "portal.example"}], ids=len)
def test_exactly_one_attribute_is_registered(
    trusting: ClientCertificates, root: Made, subject: dict[str, str]
) -> None:
    with pytest.raises(CertificateRefused, match="exactly one"):
        trusting.check(shown(make(issuer=root, names=NAMES)), issued(**subject))


# -- distinguished names -----------------------------------------------------------------------------------------

PSD = x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, "PSDKR-1")


def name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("CN=Bank,O=Demo,C=KR", True),
        ("cn=Bank,o=Demo,c=KR", True),
        ("CN=Bank, O=Demo, C=KR", True),
        ("2.5.4.3=Bank,2.5.4.10=Demo,2.5.4.6=KR", True),
        ("CN=\\42ank,O=Demo,C=KR", True),
        ("CN=#0c0442616e6b,O=Demo,C=KR", True),
        ("CN=#130442616E6B,O=Demo,C=KR", True),
        ("C=KR,O=Demo,CN=Bank", False),
        ("CN=Bank,O=Demo", False),
        ("O=Demo,CN=Bank,C=KR", False),
        ("CN=Bank+O=Demo,C=KR", False),
        ("CN=bank,O=Demo,C=KR", False),
        ("CN=Bank2,O=Demo,C=KR", False),
        ("CN=Bank\\,O=Demo,C=KR", False),
    ],
)
def test_a_distinguished_name_is_compared_by_its_parts(text: str, same: bool) -> None:
    subject = name(
        (NameOID.COUNTRY_NAME, "KR"), (NameOID.ORGANIZATION_NAME, "Demo"), (NameOID.COMMON_NAME, "Bank")
    )
    assert (distinguished_name(text) == subject) is same


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("CN=홍길동\\, 은행", [(NameOID.COMMON_NAME, "홍길동, 은행")]),
        ("CN=\\ed\\99\\8d", [(NameOID.COMMON_NAME, "홍")]),
        ("CN=a\\+b\\=c\\\\d\\#", [(NameOID.COMMON_NAME, "a+b=c\\d#")]),
        ("CN=a=#41", [(NameOID.COMMON_NAME, "a=#41")]),
        ("2.5.4.97=PSDKR-1", [(NameOID.ORGANIZATION_IDENTIFIER, "PSDKR-1")]),
        ("organizationIdentifier=PSDKR-1", [(NameOID.ORGANIZATION_IDENTIFIER, "PSDKR-1")]),
        ("2.5.4.97=#13075053444b522d31", [(NameOID.ORGANIZATION_IDENTIFIER, "PSDKR-1")]),
        ("CN=#0c032c2b5c", [(NameOID.COMMON_NAME, ",+\\")]),
        ("emailAddress=a@b.example", [(NameOID.EMAIL_ADDRESS, "a@b.example")]),
    ],
)
def test_a_distinguished_name_is_read_as_rfc_4514_writes_it(text: str, parts: Any) -> None:
    assert distinguished_name(text) == name(*parts)


def test_the_parts_of_one_step_have_no_order() -> None:
    step = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "Bank"), PSD])
    subject = x509.Name([step])
    assert distinguished_name("CN=Bank+2.5.4.97=PSDKR-1") == subject
    assert distinguished_name("2.5.4.97=PSDKR-1+CN=Bank") == subject


@pytest.mark.parametrize(
    "text", ["CN", "=", "CN=a,", "CN=#0c0561", "CN=#02", "CN=#0201ff", "XX=a", "CN=#zz", "CN=a;O=b"]
)
def test_what_is_no_distinguished_name_matches_nothing(
    trusting: ClientCertificates, root: Made, text: str
) -> None:
    with pytest.raises(CertificateRefused):
        trusting.check(shown(make(issuer=root)), issued(tls_client_auth_subject_dn=text))


# -- self_signed_tls_client_auth ---------------------------------------------------------------------------------


def self_signed(*keys: Any) -> Registration:
    return registration(*keys, token_endpoint_auth_method="self_signed_tls_client_auth")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (ec.generate_private_key(ec.SECP256R1()), ECKey),
        (rsa.generate_private_key(65537, 2048), RSAKey),
        (ed25519.Ed25519PrivateKey.generate(), OKPKey),
    ],
    ids=["P-256", "RSA", "Ed25519"],
)
def test_a_self_signed_certificate_is_known_by_its_registered_key(
    clock: MovingClock, key: PrivateKey, kind: Any
) -> None:
    made = shown(make(key=key))
    registered = kind.import_key(key)
    another = ECKey.generate_key("P-256")
    certificates(clock).check(made, self_signed(registered))
    certificates(clock).check(made, self_signed(another, registered))
    for keys in ([another], []):
        with pytest.raises(CertificateRefused):
            certificates(clock).check(made, self_signed(*keys))


@pytest.mark.parametrize("alg", ["RS256", "PS256"])
def test_an_rsa_key_may_be_registered_for_either_algorithm(clock: MovingClock, alg: str) -> None:
    key = rsa.generate_private_key(65537, 2048)
    jwk = RSAKey.import_key(key, {"alg": alg, "use": "sig"})
    certificates(clock).check(shown(make(key=key)), self_signed(jwk))


def test_a_self_signed_certificate_that_is_not_valid_now_is_refused(clock: MovingClock) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    registered = self_signed(ECKey.import_key(key))
    for valid in ((DAY, 2 * DAY), (-2 * DAY, -DAY)):
        with pytest.raises(CertificateRefused, match="valid now"):
            certificates(clock).check(shown(make(key=key, valid=valid)), registered)


def test_a_copied_certificate_with_another_key_is_refused(clock: MovingClock) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(CertificateRefused):
        certificates(clock).check(shown(make()), self_signed(ECKey.import_key(key)))


def test_a_curve_we_do_not_take_is_refused(clock: MovingClock) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(CertificateRefused):
        certificates(clock).check(shown(make(key=key)), self_signed(ECKey.import_key(key)))


# -- which method ------------------------------------------------------------------------------------------------


def test_each_method_is_held_to_its_own_registration(trusting: ClientCertificates, root: Made) -> None:
    made = make(issuer=root)
    key = ECKey.import_key(made.key)
    for method in ("private_key_jwt", "none"):
        with pytest.raises(CertificateRefused, match="not a method"):
            trusting.check(shown(made), registration(key, token_endpoint_auth_method=method, **DN))
    with pytest.raises(CertificateRefused, match="no valid path"):
        trusting.check(shown(make()), issued(**DN))
    with pytest.raises(CertificateRefused, match="not a registered one"):
        trusting.check(shown(made), self_signed())


def test_a_deployment_offers_what_it_can_check(clock: MovingClock, trusting: ClientCertificates) -> None:
    assert trusting.methods == ("tls_client_auth", "self_signed_tls_client_auth")
    assert certificates(clock).methods == ("self_signed_tls_client_auth",)


def test_a_file_of_authorities_that_holds_none_stops_the_start(clock: MovingClock, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="PEM"):
        certificates(clock, tmp_path)


def test_no_refusal_repeats_what_it_refuses(trusting: ClientCertificates, root: Made) -> None:
    made = shown(make("CN=evil", issuer=root, names=[x509.DNSName("evil.example")]))
    for subject in (DN, {"tls_client_auth_san_dns": "x"}, {"tls_client_auth_subject_dn": "evil"}):
        with pytest.raises(CertificateRefused) as refused:
            trusting.check(made, issued(**subject))
        assert "evil" not in str(refused.value)
