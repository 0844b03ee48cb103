"""One query, two formats: a wallet of npm libraries shows a licence as SD-JWT VC or as mdoc, and either signs in.

Issuer, device and request reader are libraries nobody here wrote (`@owf/mdoc`, `@sd-jwt/sd-jwt-vc`, `dcql`,
`@openid4vc/openid4vp`); the certificates are made by the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from idp.demo import jose, pki
from tests.http.test_wallets import profile, use
from tests.interop.ministry import CLAIMS, ISO, LICENCES, Ministry
from tests.interop.node_wallet import NodeWallet
from tests.interop.talking import Conversation, PeerFailed
from tests.rig import Begun, Portal, Rig, callback_parameters, started

pytestmark = pytest.mark.node

FORMATS = ("dc+sd-jwt", "mso_mdoc")
each_format = pytest.mark.parametrize("format", FORMATS)


def info(portal: Portal, begun: Begun, resumed: Any) -> dict[str, Any]:
    """The rest of a sign-in from `/authorize/resume` on: what UserInfo says."""
    callback = callback_parameters(
        portal.agree(resumed, item=[claim["name"] for claim in LICENCES["claims"]])
    )
    assert callback["state"] == begun.state
    tokens = portal.token(callback["code"], begun.verifier).json()
    return dict(portal.userinfo(tokens["access_token"]).json())


def signs_in(portal: Portal, wallet: NodeWallet, **changes: Any) -> dict[str, Any]:
    """A whole sign-in on one device: what UserInfo says."""
    begun = portal.begin()
    shown = wallet.open(portal.link(portal.page(begun)), **changes)
    assert shown["status"] == 200, shown["body"]
    return info(portal, begun, portal.browser.get(shown["body"]["redirect_uri"]))


@each_format
@pytest.mark.parametrize(
    ("enc", "post"),
    [("A128GCM", None), ("A256GCM", None), ("A128GCM", "library"), ("A256GCM", "standard")],
)
def test_a_holder_of_both_signs_in_with_the_one_they_pick(
    licences: Portal, wallet: NodeWallet, format: str, enc: str, post: str | None
) -> None:
    begun = licences.begin()
    shown = wallet.open(licences.link(licences.page(begun)), pick=[format], enc=enc, post=post)
    assert shown["status"] == 200, shown["body"]
    assert [answer["format"] for answer in shown["answers"]] == [format]
    assert shown["client"]["prefix"] == "x509_hash"
    assert shown["version"] == 100
    assert shown["jwe"]["enc"] == enc
    assert shown["wallet_nonce_echoed"] is (post == "standard")
    said = info(licences, begun, licences.browser.get(shown["body"]["redirect_uri"]))
    assert said["family_name"] == CLAIMS["family_name"]
    assert said["birthdate"] == CLAIMS["birthdate"]
    assert said["age_over_19"] is True
    assert said["picture"] == CLAIMS["picture"]


def test_one_query_offers_both(licences: Portal, wallet: NodeWallet) -> None:
    query = wallet.open(licences.link(licences.page(licences.begin())))["query"]
    assert {entry["format"] for entry in query["credentials"]} == set(FORMATS)
    assert query["credential_sets"] == [{"options": [[entry["id"]] for entry in query["credentials"]]}]


def test_one_person_is_one_subject_in_either_format(rig: Rig, licences: Portal, wallet: NodeWallet) -> None:
    another = rig.variant("gov24", "licences", **LICENCES)
    first = signs_in(licences, wallet, pick=["dc+sd-jwt"])
    assert signs_in(another, wallet, pick=["mso_mdoc"]) == first


@each_format
def test_a_holder_of_one_of_them_signs_in(licences: Portal, wallet: NodeWallet, format: str) -> None:
    wallet.held = [held for held in wallet.held if held.format == format]
    assert signs_in(licences, wallet)["given_name"] == CLAIMS["given_name"]


@pytest.mark.parametrize("hash", ["SHA-256", "SHA-384", "SHA-512"])
@each_format
def test_digests_of_every_hash_are_read(
    licences: Portal, wallet: NodeWallet, ministry: Ministry, format: str, hash: str
) -> None:
    wallet.held = [ministry.issue(format, jose.generate(), hash=hash)]
    assert signs_in(licences, wallet)["given_name"] == CLAIMS["given_name"]


@each_format
def test_a_holder_signs_in_across_two_devices(
    rig: Rig, licences: Portal, wallet: NodeWallet, format: str
) -> None:
    begun = licences.begin()
    shown = wallet.open(licences.qr(licences.page(begun)), pick=[format])
    with rig.browser() as other_browser:
        page = other_browser.get(shown["body"]["redirect_uri"])
    found = re.search(r'id="confirmation-number"[^>]*>(\d{4})<', page.text)
    assert found is not None
    confirmed = licences.submit(licences.page(begun), "confirm", number=found[1])
    resumed = licences.browser.get(licences.absolute(confirmed.headers["Location"]))
    assert info(licences, begun, resumed)["birthdate"] == CLAIMS["birthdate"]


@each_format
def test_how_the_holder_unlocks_it_is_asked_for_and_believed(
    rig: Rig, licences: Portal, wallet: NodeWallet, format: str
) -> None:
    secure = rig.variant("gov24", "secure", **{**LICENCES, "required_acr": "secure"})
    signs_in(secure, wallet, pick=[format])
    accepted = next(event for event in reversed(rig.events()) if event.name == "presentation.accepted")
    assert accepted.detail["acr"] == f"{rig.issuer}/acr/secure"


@pytest.mark.parametrize(("format", "path"), [(FORMATS[0], ["sex"]), (FORMATS[1], [ISO, "sex"])])
def test_what_was_not_asked_for_is_dropped(
    rig: Rig, licences: Portal, wallet: NodeWallet, format: str, path: list[str]
) -> None:
    # `gender` is not in the portal's registration; the wallet shows it all the same.
    said = signs_in(licences, wallet, pick=[format], more=[path])
    assert "gender" not in said
    assert said["birthdate"] == CLAIMS["birthdate"]


def test_a_wallet_that_answers_with_both_is_refused(rig: Rig, licences: Portal, wallet: NodeWallet) -> None:
    # Section 6.4.2: a set of credentials that match to one of the options. Whose would count, if they differed?
    begun = licences.begin()
    shown = wallet.open(licences.link(licences.page(begun)), pick=list(FORMATS))
    assert len(shown["answers"]) == 2
    assert shown["status"] == 400
    assert "response_code" not in shown["body"]["redirect_uri"]
    assert rig.events()[-1].reason == "malformed"
    again = wallet.open(licences.link(licences.page(begun)), pick=[FORMATS[1]])
    assert again["status"] == 200, again["body"]


@each_format
def test_a_wallet_with_nothing_that_fits_says_so(
    rig: Rig, licences: Portal, wallet: NodeWallet, ministry: Ministry, format: str
) -> None:
    wallet.held = [ministry.issue(format, jose.generate(), type_name="https://licence.example/another")]
    with pytest.raises(PeerFailed, match="no credential satisfies"):
        wallet.open(licences.link(licences.page(licences.begin())))


NO_THUMBPRINT = {"bent": {"mso_mdoc": {"transcript": {"jwkThumbprint": None}}}}


@pytest.mark.parametrize(
    ("format", "different", "changes"),
    [
        ("mso_mdoc", {"session_transcript": "no-thumbprint"}, NO_THUMBPRINT),
        ("mso_mdoc", {"session_transcript": "iso-18013-7"}, {"annex_b": True}),
        ("mso_mdoc", {"response_mode": "direct_post"}, {}),
        ("dc+sd-jwt", {"response_mode": "direct_post"}, {}),
        ("mso_mdoc", {"formats": ["mso_mdoc"], "portal_name": False}, {}),
        ("dc+sd-jwt", {"formats": ["dc+sd-jwt"], "portal_name": False}, {}),
    ],
    ids=str,
)
def test_a_wallet_that_differs_is_read_by_its_profile(
    licences: Portal, wallet: NodeWallet, format: str, different: dict[str, Any], changes: dict[str, Any]
) -> None:
    use(licences.rig, profile(licences.rig, "different", **different))
    try:
        assert signs_in(licences, wallet, pick=[format], **changes)["family_name"] == "HONG"
    finally:
        use(licences.rig)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, ministry: Ministry) -> Iterator[Rig]:
    """A provider that wallets know by the DNS name in its certificate."""
    directory = tmp_path_factory.mktemp("named")
    ca = pki.make_ca("Access CA")
    signer = pki.make_leaf("Verifier", ca)
    leaf = (
        x509.CertificateBuilder(
            ca.certificate.subject,
            signer.certificate.subject,
            signer.key.public_key(),
            x509.random_serial_number(),
            signer.certificate.not_valid_before_utc,
            signer.certificate.not_valid_after_utc,
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("127.0.0.1")]), critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    (directory / "named.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (directory / "named.key").write_bytes(
        signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    overrides = {
        "wallet.certificate_file": str(directory / "named.pem"),
        "wallet.private_key_file": str(directory / "named.key"),
        "wallet.client_id_prefix": "x509_san_dns",
    }
    with started(directory / "house", overrides) as rig:
        rig.prepared.access_ca.write_bytes(ca.certificate.public_bytes(Encoding.PEM))
        ministry.register(rig)
        yield rig


@each_format
def test_a_provider_known_by_its_dns_name_is_answered(
    named: Rig, phone: Conversation, wallet: NodeWallet, format: str
) -> None:
    portal = named.variant("gov24", "licences", **LICENCES)
    begun = portal.begin()
    own = NodeWallet(named, phone, wallet.held, wallet.issuers)
    shown = own.open(portal.link(portal.page(begun)), pick=[format])
    assert shown["status"] == 200, shown["body"]
    assert shown["client"] == {"prefix": "x509_san_dns", "effective": "x509_san_dns:127.0.0.1"}
    assert info(portal, begun, portal.browser.get(shown["body"]["redirect_uri"]))["family_name"] == "HONG"
