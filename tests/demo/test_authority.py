"""What the authority issues, taken apart by the letter of the specifications."""

import base64
import hashlib
import json
import stat
import time
import tomllib
import zlib
from pathlib import Path
from typing import Any

import cbor2
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey

from idp.demo import authority, jose, personas, sd_jwt, seeds
from idp.demo.personas import Status

from .conftest import Guests
from .small_provider import Registry

HONG = personas.PERSONAS[0]


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any], x509.Certificate]:
    """Header, payload and leaf of a JWS that verifies with its own leaf."""
    header = json.loads(unb64(token.split(".", maxsplit=1)[0]))
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    key = ECKey.import_key(jose.public_jwk(public_key(leaf)))
    payload = jws.deserialize_compact(token, key, registry=Registry(algorithms=["ES256"])).payload
    return header, json.loads(payload), leaf


def public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def mission_ca(prepared: seeds.Prepared, code: str) -> x509.Certificate:
    mission = next(item for item in prepared.trust()["mission"] if item["code"] == code)
    return x509.load_pem_x509_certificate(mission["issuer_certificates"][0].encode())


def disclosed(payload: Any, disclosures: list[str]) -> Any:
    """RFC 9901, section 7.1, step 3, for a test: digests replaced by what they stand for."""
    by_digest = {jose.sha256(text.encode()): json.loads(unb64(text)) for text in disclosures}

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            found = [by_digest.get(item["..."]) if isinstance(item, dict) and "..." in item else [0, item]
                     for item in value]  # fmt: skip
            return [walk(item[1]) for item in found if item]
        if not isinstance(value, dict):
            return value
        result = {name: walk(item) for name, item in value.items() if name not in ("_sd", "_sd_alg")}
        for digest in value.get("_sd", []):
            if digest in by_digest:
                _salt, name, item = by_digest[digest]
                assert name not in result
                result[name] = walk(item)
        return result

    return walk(payload)


@pytest.fixture
def issuing(guests: Guests) -> authority.Authority:
    issuing = guests.app.extensions["demo_authority"]
    assert isinstance(issuing, authority.Authority)
    return issuing


def issue(issuing: authority.Authority, persona: personas.Persona = HONG, **how: Any) -> sd_jwt.Credential:
    return issuing.issue(persona, jose.generate(), **how)[0]


def test_a_credential_verifies_up_to_its_missions_ca(guests: Guests, issuing: authority.Authority) -> None:
    header, payload, leaf = opened(issue(issuing).issuer_jwt)
    assert (header["typ"], header["alg"], len(header["x5c"])) == ("dc+sd-jwt", "ES256", 1)
    leaf.verify_directly_issued_by(mission_ca(guests.prepared, "LAX"))
    assert payload["vct"] == f"{guests.prepared.issuer}/vct/kr-overseas-national/v1"
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature and not usage.value.key_cert_sign


@pytest.mark.parametrize("persona", personas.PERSONAS, ids=lambda persona: persona.id)
def test_everything_disclosed_is_what_the_persona_is(
    issuing: authority.Authority, persona: personas.Persona
) -> None:
    credential = issue(issuing, persona)
    _, payload, _ = opened(credential.issuer_jwt)
    shown = disclosed(payload, [item.text for item in credential.disclosures])
    assert shown == credential.claims
    assert shown["name"] == persona.name
    assert shown["issuing_mission"]["code"] == persona.mission


def test_nothing_personal_is_readable_before_it_is_disclosed(issuing: authority.Authority) -> None:
    _, payload, _ = opened(issue(issuing).issuer_jwt)
    assert set(disclosed(payload, [])) == {
        "iss", "iat", "exp", "vct", "cnf", "status", "user_authentication", "age_equal_or_over",
    }  # fmt: skip
    assert disclosed(payload, [])["age_equal_or_over"] == {}
    assert HONG.name not in json.dumps(payload, ensure_ascii=False)


def test_one_member_can_be_disclosed_without_its_siblings(issuing: authority.Authority) -> None:
    credential = issue(issuing)
    _, payload, _ = opened(credential.issuer_jwt)
    shown = disclosed(payload, sd_jwt.disclose(credential, [("passport", "number")]))
    assert shown["passport"] == {"number": HONG.passport_number}
    assert "name" not in shown


def test_disclosing_an_object_discloses_all_of_it(issuing: authority.Authority) -> None:
    credential = issue(issuing)
    _, payload, _ = opened(credential.issuer_jwt)
    shown = disclosed(payload, sd_jwt.disclose(credential, [("passport",), ("nationalities",)]))
    assert len(shown["passport"]) == 6
    assert shown["nationalities"] == ["KR"]


def test_two_credentials_of_one_person_share_no_salt_and_no_digest(issuing: authority.Authority) -> None:
    one, other = issue(issuing), issue(issuing)
    assert not {item.text for item in one.disclosures} & {item.text for item in other.disclosures}


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("https://id.sinwon.example", "example.sinwon.id"),
        ("https://sinwon.example:8443", "example.sinwon"),
        ("http://localhost:8080", "localhost"),
        ("http://127.0.0.1:8080", "localhost"),
        ("http://[::1]:8080", "localhost"),
        ("http://[fe80::1]:8080", "localhost"),
    ],
)
def test_private_namespaces_begin_with_the_issuers_host_backwards(issuer: str, expected: str) -> None:
    assert seeds.name_space(issuer) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(Status.VALID, 0), (Status.REVOKED, 1), (Status.SUSPENDED, 2), (Status.EXPIRED, 0)],
)
def test_the_list_says_what_a_credential_was_issued_as(
    guests: Guests, issuing: authority.Authority, status: Status, expected: int
) -> None:
    credential = issue(issuing, status=status)
    _, payload, _ = opened(credential.issuer_jwt)
    reference = payload["status"]["status_list"]
    response = httpx2.get(reference["uri"], trust_env=False)
    assert response.headers["content-type"] == "application/statuslist+jwt"
    header, token, leaf = opened(response.text)
    assert header["typ"] == "statuslist+jwt"
    assert token["sub"] == reference["uri"]
    leaf.verify_directly_issued_by(mission_ca(guests.prepared, "LAX"))
    entries = zlib.decompress(unb64(token["status_list"]["lst"]))
    assert entries[reference["idx"] // 4] >> (reference["idx"] % 4 * 2) & 3 == expected


def test_a_credential_can_be_revoked_suspended_and_restored(issuing: authority.Authority) -> None:
    _, entry = issuing.issue(HONG, jose.generate())
    said = []
    for status in (Status.REVOKED, Status.SUSPENDED, Status.VALID):
        issuing.set_status(entry, status)
        _, token, _ = opened(issuing.status_token("LAX"))
        entries = zlib.decompress(unb64(token["status_list"]["lst"]))
        said.append(entries[entry.index // 4] >> (entry.index % 4 * 2) & 3)
    assert said == [1, 2, 0]


def test_changing_one_entry_leaves_its_neighbours_alone() -> None:
    numbers = authority.StatusList()
    before = [numbers.get(index) for index in range(16)]
    numbers.set(5, 2)
    assert [numbers.get(index) for index in range(16)] == [*before[:5], 2, *before[6:]]


def cwt_of(response: httpx2.Response) -> tuple[dict[int, Any], dict[int, Any], x509.Certificate]:
    """Protected header, claims and signer of a list as CWT (COSE_Sign1, tag 18), whose signature verifies."""
    tag = cbor2.loads(response.content)
    assert tag.tag == 18
    protected, unprotected, payload, signature = tag.value
    leaf = x509.load_der_x509_certificate(unprotected[33])
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    public_key(leaf).verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    return cbor2.loads(protected), cbor2.loads(payload), leaf


def test_the_same_list_is_had_as_jwt_and_as_cwt_under_one_address(
    guests: Guests, issuing: authority.Authority
) -> None:
    _, entry = issuing.issue(HONG, jose.generate(), format="mso_mdoc", status=Status.SUSPENDED)
    address = issuing.status_uri(entry.mission)
    tokens = {
        kind: httpx2.get(address, headers={"Accept": kind}, trust_env=False)
        for kind in ("application/statuslist+jwt", "application/statuslist+cwt")
    }
    assert {kind: token.headers["content-type"] for kind, token in tokens.items()} == {k: k for k in tokens}
    assert all(token.headers["vary"] == "Accept" for token in tokens.values())
    as_jwt = opened(tokens["application/statuslist+jwt"].text)[1]
    protected, as_cwt, leaf = cwt_of(tokens["application/statuslist+cwt"])
    assert protected == {1: -7, 16: "application/statuslist+cwt"}
    assert as_cwt[2] == as_jwt["sub"] == address
    assert (as_cwt[65534], as_cwt[65533]["bits"]) == (as_jwt["ttl"], as_jwt["status_list"]["bits"])
    assert as_cwt[4] > as_cwt[6] >= time.time() - 60
    assert as_cwt[65533]["lst"] == unb64(as_jwt["status_list"]["lst"])
    entries = zlib.decompress(as_cwt[65533]["lst"])
    assert entries[entry.index // 4] >> (entry.index % 4 * 2) & 3 == 2
    leaf.verify_directly_issued_by(mission_ca(guests.prepared, "LAX"))


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, application/statuslist+jwt"])
def test_who_wants_neither_gets_the_jwt(issuing: authority.Authority, accept: str) -> None:
    answered = httpx2.get(issuing.status_uri("LAX"), headers={"Accept": accept}, trust_env=False)
    assert answered.headers["content-type"] == "application/statuslist+jwt"


CARDS = {
    "kr-overseas-national": ("hong", "LAX"),
    "kr-driving-licence": ("hong", "KNP"),
    "kr-resident": ("hong", "MOIS"),
    "kr-civil-servant": ("kim", "MPM"),
    "kr-veteran": ("namgoong", "MPVA"),
}


@pytest.mark.parametrize("card", CARDS)
def test_a_card_is_issued_by_whose_it_is_and_says_what_the_trust_file_says(
    guests: Guests, issuing: authority.Authority, card: str
) -> None:
    kind = next(kind for kind in guests.prepared.trust()["credential_type"] if kind["id"] == card)
    looks = kind["formats"]["dc+sd-jwt"]
    holder = next(persona for persona in personas.PERSONAS if persona.id == CARDS[card][0])
    credential = issue(issuing, holder, card=card)
    _, payload, leaf = opened(credential.issuer_jwt)
    assert payload["vct"] == looks["names"][0]
    leaf.verify_directly_issued_by(mission_ca(guests.prepared, CARDS[card][1]))
    assert payload["status"]["status_list"]["uri"] == issuing.status_uri(CARDS[card][1])
    shown = disclosed(payload, [item.text for item in credential.disclosures])
    open_to_all = {"iss", "vct", "cnf", "status", "user_authentication", "iat", "exp"}
    found = {
        f"{name}.{part}" if isinstance(value, dict) else name
        for name, value in shown.items()
        if name not in open_to_all
        for part in (value if isinstance(value, dict) else ("",))
    }
    assert found == set(looks["elements"])


def test_the_types_above_are_all_there_are(guests: Guests) -> None:
    assert {kind["id"] for kind in guests.prepared.trust()["credential_type"]} == set(CARDS)


def test_numbers_of_people_and_of_cards_are_all_different() -> None:
    mission = {"name": {"ko": "공관", "en": "Mission"}}
    names = (
        "license_number",
        "civil_servant_number",
        "veteran_number",
        "kr_ci",
        "overseas_registration_number",
    )
    people = [*personas.PERSONAS, *(personas.invented(number) for number in range(500))]
    found = [person.claims(mission)[name] for person in people for name in names]
    assert len(set(found)) == len(found)


def test_an_unknown_mission_has_no_list(guests: Guests) -> None:
    assert httpx2.get(f"{guests.prepared.authority_url}/status/XXX", trust_env=False).status_code == 404


def test_an_expired_credential_is_past_its_date(issuing: authority.Authority) -> None:
    _, payload, leaf = opened(issue(issuing, status=Status.EXPIRED).issuer_jwt)
    assert payload["exp"] < time.time()
    assert leaf.not_valid_before_utc.timestamp() < payload["iat"]


def test_a_stranger_is_under_no_ca_of_the_trust_list(guests: Guests, issuing: authority.Authority) -> None:
    _, _, leaf = opened(issue(issuing, from_stranger=True).issuer_jwt)
    for mission in guests.prepared.trust()["mission"]:
        assert leaf.issuer != mission_ca(guests.prepared, mission["code"]).subject


def test_the_ages_fit_the_birthdate() -> None:
    mission = {"name": {"ko": "공관", "en": "Mission"}}
    park = next(persona for persona in personas.PERSONAS if persona.id == "park")
    assert park.claims(mission)["age_equal_or_over"] == {"14": True, "19": False}
    assert HONG.claims(mission)["age_equal_or_over"] == {"14": True, "19": True}


def test_invented_people_differ_and_stay_the_same() -> None:
    people = [personas.invented(number) for number in range(1_000)]
    assert people == [personas.invented(number) for number in range(1_000)]
    for field in ("id", "name", "registration_number", "passport_number", "address"):
        assert len({getattr(person, field) for person in people}) == 1_000


def test_private_files_are_for_their_owner_alone_and_kept(tmp_path: Path) -> None:
    urls = {"portals_url": "http://127.0.0.1:2", "wallet_url": "http://127.0.0.1:2/wallet"}
    urls["authority_url"] = "http://127.0.0.1:2/authority"
    first = seeds.prepare(tmp_path / "demo", issuer="http://127.0.0.1:1", **urls)
    files = {path: path.read_bytes() for path in first.directory.rglob("*") if path.is_file()}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    again = seeds.prepare(tmp_path / "demo", issuer="http://127.0.0.1:1", **urls)
    assert {path: path.read_bytes() for path in files} == files
    assert seeds.load(tmp_path / "demo") == again


def test_the_request_signers_certificate_follows_the_issuers_host(tmp_path: Path) -> None:
    urls = {"portals_url": "http://a", "wallet_url": "http://a/wallet", "authority_url": "http://a/authority"}
    names = []
    for issuer in ("http://127.0.0.1:1", "https://id.example"):
        prepared = seeds.prepare(tmp_path / "demo", issuer=issuer, **urls)
        leaf = x509.load_pem_x509_certificate(prepared.request_signer_certificates.read_bytes())
        assert leaf.issuer != leaf.subject
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names.append(san.get_values_for_type(x509.DNSName))
    assert names == [["localhost"], ["id.example"]]


def test_the_seed_files_hold_no_secret(guests: Guests) -> None:
    text = guests.prepared.portals_file.read_text("utf-8") + guests.prepared.trust_file.read_text("utf-8")
    assert "PRIVATE KEY" not in text
    portals = {
        portal["client_id"]: portal for portal in tomllib.loads(text.partition("# Who may")[0])["portal"]
    }
    for client_id in ("gov24", "apostille"):
        secret = guests.prepared.portal_secret(client_id)
        assert secret not in text
        assert portals[client_id]["client_secret_sha256"] == [hashlib.sha256(secret.encode()).hexdigest()]
    for client_id in ("g4k", "efamily"):
        assert "d" not in portals[client_id]["jwks"]["keys"][0]
