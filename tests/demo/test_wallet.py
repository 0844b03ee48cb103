"""The wallet refuses what OpenID4VP 1.0 and HAIP forbid, and errs only where it is told to."""

import base64
import json
import time
import zlib
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey

from idp.demo import jose, personas, pki, request
from idp.demo.answering import FORMAT_OF
from idp.demo.authority import MDOC, OVERSEAS, SD_JWT
from idp.demo.check import Page, form_fields, required
from idp.demo.request import Dialect
from idp.demo.wallet import CannotAnswer, Fault, Wallet, cards_of

from .conftest import Guests
from .small_provider import Registry, SmallProvider


def check(guests: Guests, signed: str, login: str, client_id: str | None = None) -> request.Request:
    link = request.Link(
        client_id or guests.provider.client_id, f"{guests.provider.issuer}/wallet/same/{login}"
    )
    trusted = x509.load_pem_x509_certificate(guests.prepared.access_ca.read_bytes())
    return request.check(signed, link, trusted)


def refused(guests: Guests, signed: str, login: str, client_id: str | None = None) -> str:
    with pytest.raises(request.RequestRefused) as refusal:
        check(guests, signed, login, client_id)
    return refusal.value.reason


@pytest.fixture
def login(guests: Guests) -> str:
    return guests.provider.new_login()


def metadata(provider: SmallProvider, login: str, **changes: Any) -> dict[str, Any]:
    return {**provider.request_claims(login)["client_metadata"], **changes}


def test_a_proper_request_is_read(guests: Guests, login: str) -> None:
    asked = check(guests, guests.provider.sign_request(guests.provider.request_claims(login)), login)
    assert asked.verifier == "Sinwon demo provider"
    assert asked.state == login
    assert asked.query.asked()[0] == ("name",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client_id": "x509_hash:other"}, "differs from the link"),
        ({"client_id": None}, "differs from the link"),
        ({"response_type": "code"}, "response_type"),
        ({"response_mode": "direct_post"}, "response_mode"),
        ({"response_uri": None}, "response_uri"),
        ({"response_uri": "http://verifier.example/x"}, "response_uri is not https"),
        ({"response_uri": "https://verifier.example/x#y"}, "response_uri"),
        ({"redirect_uri": "https://verifier.example/"}, "redirect_uri"),
        ({"scope": "openid"}, "scope"),
        ({"client_id_scheme": "x509_hash"}, "client_id_scheme"),
        ({"presentation_definition": {}}, "presentation_definition"),
        ({"transaction_data": ["e30"]}, "transaction_data"),
        ({"nonce": None}, "nonce"),
        ({"nonce": "short"}, "nonce"),
        ({"nonce": "a b" * 20}, "nonce"),
        ({"state": "a b"}, "state"),
        ({"state": 5}, "state"),
        ({"aud": "https://verifier.example"}, "aud"),
        ({"aud": None}, "aud"),
        ({"iat": None}, "iat"),
        pytest.param({"iat": int(time.time()) - 7_200}, "iat", id="iat two hours ago"),
        pytest.param({"iat": int(time.time()) + 86_400}, "iat", id="iat tomorrow"),
        ({"iat": "now"}, "iat"),
        pytest.param({"exp": int(time.time()) - 600}, "expired", id="exp ten minutes ago"),
        pytest.param({"nbf": int(time.time()) + 86_400}, "not valid yet", id="nbf tomorrow"),
        ({"wallet_nonce": "never sent"}, "wallet_nonce"),
        ({"client_metadata": None}, "client_metadata"),
        ({"dcql_query": None}, "dcql_query"),
        ({"dcql_query": {"credentials": []}}, "dcql_query"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_request_with_a_wrong_parameter_is_refused(
    guests: Guests, login: str, changes: dict[str, Any], reason: str
) -> None:
    claims = guests.provider.request_claims(login, **changes)
    assert reason in refused(guests, guests.provider.sign_request(claims), login)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": "JWT"}, "typ"),
        ({"typ": "OAUTH-AUTHZ-REQ+JWT"}, "typ"),
        ({"x5c": []}, "x5c"),
        ({"x5c": "leaf"}, "x5c"),
        ({"x5c": ["AAAA"]}, "x5c"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_request_with_a_wrong_header_is_refused(
    guests: Guests, login: str, header: dict[str, Any], reason: str
) -> None:
    provider = guests.provider
    # The signing library insists on a well-formed x5c; these headers are signed by hand.
    whole = {"typ": "oauth-authz-req+jwt", "alg": "ES256", "x5c": leaf_x5c(provider), **header}
    key = pki.load_key(guests.prepared.request_signer_key)
    assert reason in refused(guests, jose.sign(whole, provider.request_claims(login), key), login)


def leaf_x5c(provider: SmallProvider) -> list[str]:
    return jose.x5c([provider.leaf])


def test_an_unsigned_request_is_refused(guests: Guests, login: str) -> None:
    header = {"typ": "oauth-authz-req+jwt", "alg": "none", "x5c": leaf_x5c(guests.provider)}
    claims = guests.provider.request_claims(login)
    unsigned = f"{jose.encode(jose.compact_json(header))}.{jose.encode(jose.compact_json(claims))}."
    assert refused(guests, unsigned, login) == "alg is not ES256"


def test_a_request_signed_by_another_key_is_refused(guests: Guests, login: str) -> None:
    provider = guests.provider
    signed = provider.sign_request(provider.request_claims(login), key=ECKey.generate_key("P-256"))
    assert "signature" in refused(guests, signed, login)


def test_a_request_changed_after_signing_is_refused(guests: Guests, login: str) -> None:
    provider = guests.provider
    header, _, signature = provider.sign_request(provider.request_claims(login)).split(".")
    changed = provider.request_claims(login, nonce="A" * 40)
    assert "signature" in refused(
        guests, f"{header}.{jose.encode(jose.compact_json(changed))}.{signature}", login
    )


def test_text_that_is_no_jwt_is_refused(guests: Guests, login: str) -> None:
    assert refused(guests, "hello", login) == "the request object is no signed JWT"


def signed_by(
    identity: pki.Identity, guests: Guests, login: str, chain: list[x509.Certificate]
) -> tuple[str, str]:
    """A request signed by somebody else, and the client_id that fits the certificate."""
    client_id = "x509_hash:" + jose.sha256(base64.b64decode(jose.x5c([identity.certificate])[0]))
    claims = guests.provider.request_claims(login, client_id=client_id)
    return jose.sign({"typ": "oauth-authz-req+jwt", "x5c": jose.x5c(chain)}, claims, identity.key), client_id


def test_a_verifier_under_an_unknown_ca_is_refused(guests: Guests, login: str) -> None:
    stranger = pki.make_leaf("Sinwon demo provider", pki.make_ca("Sinwon demo wallet access CA"))
    signed, client_id = signed_by(stranger, guests, login, [stranger.certificate])
    assert "not from a CA this wallet trusts" in refused(guests, signed, login, client_id)


def test_a_verifier_that_signs_its_own_certificate_is_refused(guests: Guests, login: str) -> None:
    itself = pki.make_ca("Verifier")
    signed, client_id = signed_by(itself, guests, login, [itself.certificate])
    assert "self-signed" in refused(guests, signed, login, client_id)


def test_a_chain_that_carries_the_trust_anchor_is_refused(guests: Guests, login: str) -> None:
    ca = pki.load(guests.prepared.access_ca)
    leaf = pki.make_leaf("Verifier", ca)
    signed, client_id = signed_by(leaf, guests, login, [leaf.certificate, ca.certificate])
    assert "trust anchor" in refused(guests, signed, login, client_id)


def test_a_certificate_made_by_a_leaf_is_refused(guests: Guests, login: str) -> None:
    between = pki.load(guests.prepared.request_signer_certificates)
    leaf = pki.make_leaf("Verifier", between)
    signed, client_id = signed_by(leaf, guests, login, [leaf.certificate, between.certificate])
    assert "no CA signed another" in refused(guests, signed, login, client_id)


def test_x509_hash_of_another_certificate_is_refused(guests: Guests, login: str) -> None:
    other = "x509_hash:" + "A" * 43
    signed = guests.provider.sign_request(guests.provider.request_claims(login, client_id=other))
    assert "x509_hash" in refused(guests, signed, login, other)


@pytest.mark.parametrize("client_id", ["redirect_uri:https://a.example", "https://a.example", "plain"])
def test_another_kind_of_client_id_is_refused(guests: Guests, login: str, client_id: str) -> None:
    signed = guests.provider.sign_request(guests.provider.request_claims(login, client_id=client_id))
    assert "prefix" in refused(guests, signed, login, client_id)


def test_x509_san_dns_is_accepted_where_name_and_host_agree(guests: Guests, login: str) -> None:
    name = "x509_san_dns:localhost"
    claims = guests.provider.request_claims(
        login, client_id=name, response_uri="http://localhost:1/wallet/response/x"
    )
    assert check(guests, guests.provider.sign_request(claims), login, name).client_id == name


@pytest.mark.parametrize(
    ("name", "response_uri", "reason"),
    [
        ("localhost", "http://127.0.0.1:1/x", "another host"),
        ("verifier.example", "https://verifier.example/x", "not a name in"),
    ],
)
def test_x509_san_dns_is_refused_otherwise(
    guests: Guests, login: str, name: str, response_uri: str, reason: str
) -> None:
    client_id = f"x509_san_dns:{name}"
    claims = guests.provider.request_claims(login, client_id=client_id, response_uri=response_uri)
    assert reason in refused(guests, guests.provider.sign_request(claims), login, client_id)


@pytest.mark.parametrize(
    "changes",
    [
        {"encrypted_response_enc_values_supported": ["A128GCM"]},
        {"encrypted_response_enc_values_supported": None},
        {"vp_formats_supported": {"ldp_vc": {}}},
        {"vp_formats_supported": {"dc+sd-jwt": {"kb-jwt_alg_values": ["ES512"]}}},
        {"jwks": {"keys": []}},
        {"jwks": None},
    ],
    ids=json.dumps,
)
def test_client_metadata_that_is_not_haip_is_refused(
    guests: Guests, login: str, changes: dict[str, Any]
) -> None:
    provider = guests.provider
    claims = provider.request_claims(login, client_metadata=metadata(provider, login, **changes))
    assert refused(guests, provider.sign_request(claims), login)


@pytest.mark.parametrize("change", [{"kid": None}, {"alg": "RSA-OAEP"}, {"use": "sig"}, {"d": "AAAA"}])
def test_an_unfit_encryption_key_is_refused(guests: Guests, login: str, change: dict[str, Any]) -> None:
    provider = guests.provider
    key = {**metadata(provider, login)["jwks"]["keys"][0], **change}
    fitted = {name: value for name, value in key.items() if value is not None}
    claims = provider.request_claims(
        login, client_metadata=metadata(provider, login, jwks={"keys": [fitted]})
    )
    assert "key" in refused(guests, provider.sign_request(claims), login)


@pytest.mark.parametrize(
    "link",
    [
        "nonsense",
        "openid4vp://?client_id=a",
        "openid4vp://?request_uri=https%3A%2F%2Fa",
        "openid4vp://?client_id=a&client_id=b&request_uri=https%3A%2F%2Fa",
        "openid4vp://?client_id=a&request_uri=https%3A%2F%2Fa&request=x",
        "openid4vp://?client_id=a&request_uri=https%3A%2F%2Fa&request_uri_method=PUT",
        "openid4vp://?client_id=a&request_uri=http%3A%2F%2Fverifier.example",
        "openid4vp://?client_id=a&request_uri=https%3A%2F%2Fa%23b",
        "openid4vp://?client_id=a&request_uri=file%3A%2F%2F%2Fetc%2Fpasswd",
    ],
)
def test_a_link_that_is_wrong_is_refused(link: str) -> None:
    with pytest.raises(request.RequestRefused):
        request.read_link(link)


@pytest.mark.parametrize("start", ["openid4vp://", "haip-vp://", "http://127.0.0.1:1/wallet/open"])
def test_a_pasted_link_may_have_any_beginning(start: str) -> None:
    query = urlencode({"client_id": "x509_hash:a", "request_uri": "https://a.example/r"})
    assert request.read_link(f" {start}?{query}\n").request_uri == "https://a.example/r"


def test_a_request_is_fetched_by_post_with_a_wallet_nonce_that_must_come_back(
    guests: Guests, login: str
) -> None:
    uri = f"{guests.provider.issuer}/wallet/same/{login}"
    link = request.Link(guests.provider.client_id, uri, "post")
    assert wallet(guests).receive(link).state == login
    with httpx2.Client(trust_env=False) as http:
        unverified, _ = request.fetch(link, http)
    trusted = x509.load_pem_x509_certificate(guests.prepared.access_ca.read_bytes())
    with pytest.raises(request.RequestRefused, match="wallet_nonce"):
        request.check(unverified, link, trusted, wallet_nonce="another")


def wallet(guests: Guests) -> Wallet:
    found = guests.app.extensions["demo_wallet"]
    assert isinstance(found, Wallet)
    return found


def presented(guests: Guests, login: str, fault: Fault, persona: str = "hong") -> tuple[str, Any]:
    """What the verifier receives: the presentation, and the request it answers."""
    asked = check(guests, guests.provider.sign_request(guests.provider.request_claims(login)), login)
    outcome = wallet(guests).show(asked, wallet(guests).personas[persona], fault)
    assert outcome.status == 200
    answer = guests.provider.logins[login]["answer"]
    assert answer["state"] == login
    return answer["vp_token"]["identity"][0], asked


def parts(presentation: str) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    """Payload of the issuer's JWT, the disclosures, and the payload of the KB-JWT, all unverified."""
    issuer_jwt, *disclosures, kb_jwt = presentation.split("~")
    return jose.read_unverified(issuer_jwt)[1], disclosures, jose.read_unverified(kb_jwt)[1]


def holder_signature_fits(presentation: str) -> bool:
    payload, _, _ = parts(presentation)
    key = ECKey.import_key(payload["cnf"]["jwk"])
    try:
        jws.deserialize_compact(presentation.rpartition("~")[2], key, registry=Registry(algorithms=["ES256"]))
    except BadSignatureError:
        return False
    return True


def issuer_signature_fits(guests: Guests, presentation: str) -> bool:
    issuer_jwt = presentation.partition("~")[0]
    header, _ = jose.read_unverified(issuer_jwt)
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        jose.check_signature(issuer_jwt, key)
    except jose.BadJws:
        return False
    return True


def right_hash(presentation: str) -> str:
    return jose.sha256((presentation.rpartition("~")[0] + "~").encode())


def unreferenced(presentation: str) -> list[str]:
    payload, disclosures, _ = parts(presentation)
    known = json.dumps(payload) + "".join(jose.decode(text).decode() for text in disclosures)
    return [text for text in disclosures if jose.sha256(text.encode()) not in known]


def test_a_proper_answer_is_right_in_every_part(guests: Guests, login: str) -> None:
    presentation, asked = presented(guests, login, Fault.NONE)
    payload, disclosures, kb = parts(presentation)
    assert holder_signature_fits(presentation) and issuer_signature_fits(guests, presentation)
    assert (kb["nonce"], kb["aud"], kb["sd_hash"]) == (asked.nonce, asked.client_id, right_hash(presentation))
    assert abs(kb["iat"] - time.time()) < 30
    assert len(set(disclosures)) == len(disclosures) and not unreferenced(presentation)
    assert payload["exp"] > time.time()


def faulty(guests: Guests, presentation: str, asked: request.Request) -> set[str]:
    """Everything that is wrong with a presentation."""
    _, disclosures, kb = parts(presentation)
    status = parts(presentation)[0]["status"]["status_list"]
    bits = listed(guests, status["idx"])
    wrong = {
        "wrong_nonce": kb["nonce"] != asked.nonce,
        "wrong_audience": kb["aud"] != asked.client_id,
        "wrong_sd_hash": kb["sd_hash"] != right_hash(presentation),
        "other_holder_key": not holder_signature_fits(presentation),
        "tampered_signature": not issuer_signature_fits(guests, presentation),
        "expired": parts(presentation)[0]["exp"] < time.time(),
        "revoked": bits == 1,
        "suspended": bits == 2,
        "unreferenced_disclosure": bool(unreferenced(presentation)),
        "repeated_disclosure": len(set(disclosures)) != len(disclosures),
        "unknown_issuer": stranger(guests, presentation),
    }
    return {name for name, is_wrong in wrong.items() if is_wrong}


def listed(guests: Guests, index: int) -> int:
    """What the mission's published status list says at an index."""
    token = httpx2.get(f"{guests.prepared.authority_url}/status/LAX", trust_env=False).text
    entries = zlib.decompress(jose.decode(jose.read_unverified(token)[1]["status_list"]["lst"]))
    return entries[index // 4] >> (index % 4 * 2) & 3


def stranger(guests: Guests, presentation: str) -> bool:
    header, _ = jose.read_unverified(presentation.partition("~")[0])
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    return leaf != guests.prepared.mission_signer("LAX").certificate


NO_PRESENTATION = (Fault.NONE, Fault.UNENCRYPTED, Fault.WRONG_FORMAT, Fault.DECLINE, Fault.NO_ANSWER)
OF_MDOCS = tuple(fault for fault, format in FORMAT_OF.items() if format == MDOC)


@pytest.mark.parametrize(
    "fault", [fault for fault in Fault if fault not in NO_PRESENTATION + OF_MDOCS], ids=str
)
def test_each_fault_is_the_only_one_in_the_answer(guests: Guests, login: str, fault: Fault) -> None:
    presentation, asked = presented(guests, login, fault)
    assert faulty(guests, presentation, asked) == {fault.value}


# -- several cards -----------------------------------------------------------------------------------------------


LICENCE = "kr-driving-licence"
NAME = {
    "sd": {"id": "sd", "format": SD_JWT, "claims": [{"path": ["name"]}]},
    "licence": {"id": "licence", "format": SD_JWT, "claims": [{"path": ["license_number"]}]},
    "mdl": {"id": "mdl", "format": MDOC, "claims": [{"path": ["org.iso.18013.5.1", "family_name"]}]},
}


def any_of(guests: Guests, login: str, *names: str) -> request.Request:
    """A request that any of these credential queries answers."""
    issuer = guests.prepared.issuer
    meta = {
        "sd": {"vct_values": [f"{issuer}/vct/{OVERSEAS}/v1"]},
        "licence": {"vct_values": [f"{issuer}/vct/{LICENCE}/v1"]},
        "mdl": {"doctype_value": "org.iso.18013.5.1.mDL"},
    }
    asked = {
        "credentials": [{**NAME[name], "meta": meta[name]} for name in names],
        "credential_sets": [{"options": [[name] for name in names]}],
    }
    return check(
        guests, guests.provider.sign_request(guests.provider.request_claims(login, dcql_query=asked)), login
    )


def offered(guests: Guests, asked: request.Request, persona: str = "hong") -> list[tuple[str, str, str]]:
    choices = wallet(guests).choices(wallet(guests).personas[persona], asked)
    return [(choice.card, choice.format, choice.match.id) for choice in choices]


def test_every_card_and_format_that_answers_is_a_choice(guests: Guests, login: str) -> None:
    asked = any_of(guests, login, "mdl", "licence", "sd")
    assert offered(guests, asked) == [
        (OVERSEAS, SD_JWT, "sd"),
        (LICENCE, SD_JWT, "licence"),
        (LICENCE, MDOC, "mdl"),
    ]
    assert offered(guests, asked, "kim") == [(OVERSEAS, SD_JWT, "sd")]
    assert offered(guests, any_of(guests, login, "mdl"), "kim") == []


@pytest.mark.parametrize(
    ("chosen", "answered"),
    [
        ({}, "sd"),
        ({"card": LICENCE}, "licence"),
        ({"format": MDOC}, "mdl"),
        ({"card": LICENCE, "format": MDOC}, "mdl"),
        ({"fault": Fault.DEVICE_MAC}, "mdl"),
        ({"card": LICENCE, "fault": Fault.WRONG_SD_HASH}, "licence"),
    ],
    ids=str,
)
def test_the_card_and_the_format_that_were_chosen_are_shown(
    guests: Guests, login: str, chosen: dict[str, Any], answered: str
) -> None:
    asked = any_of(guests, login, "sd", "licence", "mdl")
    assert wallet(guests).show(asked, wallet(guests).personas["hong"], **chosen).status == 200
    assert list(guests.provider.logins[login]["answer"]["vp_token"]) == [answered]


@pytest.mark.parametrize(
    "chosen",
    [
        {"card": "kr-veteran"},
        {"card": OVERSEAS, "format": MDOC},
        {"card": OVERSEAS, "fault": Fault.DEVICE_MAC},
        {"format": SD_JWT, "fault": Fault.DEVICE_MAC},
    ],
    ids=str,
)
def test_what_nobody_has_is_not_answered_with_something_else(
    guests: Guests, login: str, chosen: dict[str, Any]
) -> None:
    asked = any_of(guests, login, "sd", "licence", "mdl")
    with pytest.raises(CannotAnswer):
        wallet(guests).show(asked, wallet(guests).personas["hong"], **chosen)


def test_one_person_has_one_linking_information_in_every_card_and_format(guests: Guests) -> None:
    found = {
        persona.id: {
            value
            for card in cards_of(persona)
            for format in guests.app.extensions["demo_authority"].formats(card)
            for value in _linking(wallet(guests).held(persona, card, format).credential.claims)
        }
        for persona in wallet(guests).personas.values()
    }
    assert all(len(values) == 1 for values in found.values())
    assert len({value for values in found.values() for value in values}) == len(found)


def _linking(claims: dict[str, Any]) -> list[str]:
    """The CI, wherever it stands."""
    inside = [members for members in claims.values() if isinstance(members, dict)]
    return [members[name] for members in (claims, *inside) for name in ("kr_ci", "ci") if name in members]


# -- other wallets -----------------------------------------------------------------------------------------------


def as_read_by(guests: Guests, login: str, dialect: Dialect, method: str = "get", **changes: Any) -> Any:
    claims = guests.provider.request_claims(login, **changes)
    link = request.Link(claims["client_id"], f"{guests.provider.issuer}/wallet/same/{login}", method)
    trusted = x509.load_pem_x509_certificate(guests.prepared.access_ca.read_bytes())
    return request.check(guests.provider.sign_request(claims), link, trusted, dialect=dialect)


BY_NAME = {"client_id": "x509_san_dns:localhost", "response_uri": "http://localhost:1/wallet/response/x"}


PLAIN = {"response_mode": "direct_post"}
DNS = {"client_id_prefix": "x509_san_dns"}
POST = {"request_uri_method": "post"}


@pytest.mark.parametrize(
    ("profile", "changes", "method"),
    [({}, {}, "get"), (DNS, BY_NAME, "get"), (POST, {}, "post"), (PLAIN, PLAIN, "get")],
    ids=str,
)
def test_a_wallet_of_a_profile_takes_what_the_profile_asks(
    guests: Guests, login: str, profile: dict[str, Any], changes: dict[str, Any], method: str
) -> None:
    asked = as_read_by(guests, login, Dialect.like(profile), method, **changes)
    assert (asked.encryption_key is None) is (profile == PLAIN)


@pytest.mark.parametrize(
    ("profile", "changes", "method", "reason"),
    [
        ({}, BY_NAME, "get", "client_id has a prefix"),
        (DNS, {}, "get", "client_id has a prefix"),
        ({}, {}, "post", "request_uri_method"),
        (POST, {}, "get", "request_uri_method"),
        ({}, PLAIN, "get", "response_mode"),
        (PLAIN, {}, "get", "response_mode"),
    ],
    ids=str,
)
def test_a_wallet_of_a_profile_minds_being_asked_otherwise(
    guests: Guests,
    login: str,
    *,
    profile: dict[str, Any],
    changes: dict[str, Any],
    method: str,
    reason: str,
) -> None:
    with pytest.raises(request.RequestRefused, match=reason):
        as_read_by(guests, login, Dialect.like(profile), method, **changes)


@pytest.mark.parametrize("typ", ["dc+sd-jwt", "vc+sd-jwt"])
def test_a_wallet_shows_sd_jwts_of_the_name_it_knows(guests: Guests, login: str, typ: str) -> None:
    asked = as_read_by(guests, login, Dialect.like({"sd_jwt_types": [typ]}))
    answer = wallet(guests).answer(asked, wallet(guests).personas["hong"])
    assert jose.read_unverified(answer["vp_token"]["identity"][0].partition("~")[0])[0]["typ"] == typ


def test_the_persona_with_the_wrong_nonce_needs_no_picker(guests: Guests, login: str) -> None:
    presentation, asked = presented(guests, login, Fault.NONE, persona="oh")
    assert faulty(guests, presentation, asked) == {"wrong_nonce"}


def test_the_page_shows_who_asks_and_for_what(guests: Guests, login: str) -> None:
    link = {
        "client_id": guests.provider.client_id,
        "request_uri": f"{guests.provider.issuer}/wallet/same/{login}",
    }
    page = httpx2.get(guests.prepared.wallet_link, params={**link, "lang": "en"}, trust_env=False)
    for text in (
        "Government24",
        "Sinwon demo provider",
        "Passport number",
        "홍길동",
        "None (answer properly)",
    ):
        assert text in page.text


def page_of(guests: Guests, monkeypatch: pytest.MonkeyPatch, login: str, **query: str) -> Page:
    """The wallet's page for a request that any of hong's cards answers."""
    asked = any_of(guests, login, "sd", "licence", "mdl")
    monkeypatch.setattr(wallet(guests), "receive", lambda _link: asked)
    link = {"client_id": "x509_hash:a", "request_uri": f"{guests.provider.issuer}/wallet/same/{login}"}
    return Page(httpx2.get(guests.prepared.wallet_link, params={**link, **query}, trust_env=False))


def picks(page: Page) -> dict[str, list[str]]:
    """What a person can choose, and what would be shown then."""
    return {
        radio.attributes["value"]: [item.text.strip() for item in pick.below() if item.tag == "dd"]
        for pick in page.root.below()
        if pick.attributes.get("class") == "pick"
        for radio in pick.below()
        if radio.attributes.get("name") == "persona"
    }


def test_the_page_offers_each_card_with_exactly_what_it_would_show(
    guests: Guests, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = picks(page_of(guests, monkeypatch, login))
    number = personas.PERSONAS[0].claims({"name": {"ko": "", "en": ""}})["license_number"]
    assert found["hong"] == ["홍길동"]
    assert found[f"hong:{LICENCE}"] == [number]
    assert "hong:kr-resident" not in found
    assert found["kim"] == ["김영희"]


def test_in_another_format_the_page_offers_what_there_is_in_it(
    guests: Guests, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(guests, monkeypatch, login, format=MDOC)
    assert picks(page) == {"hong": ["HONG"], "namgoong": ["NAMGOONG"]}
    fields = dict(form_fields(required(page, "present", "wallet")))
    assert (fields["format"], fields["persona"]) == (MDOC, "hong")
    faults = [item.attributes["value"] for item in page.root.below() if item.tag == "option"]
    assert "device_mac" in faults and "wrong_sd_hash" not in faults


def test_the_first_card_that_will_do_is_chosen_already(
    guests: Guests, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = {"vct_values": [f"{guests.prepared.issuer}/vct/kr-civil-servant/v1"]}
    asked = {"credentials": [{"id": "card", "format": SD_JWT, "meta": meta, "claims": [{"path": ["name"]}]}]}
    claims = guests.provider.request_claims(login, dcql_query=asked)
    found = check(guests, guests.provider.sign_request(claims), login)
    monkeypatch.setattr(wallet(guests), "receive", lambda _link: found)
    link = {"client_id": "x509_hash:a", "request_uri": f"{guests.provider.issuer}/wallet/same/{login}"}
    page = Page(httpx2.get(guests.prepared.wallet_link, params=link, trust_env=False))
    assert list(picks(page)) == ["kim", "choi"]
    assert dict(form_fields(required(page, "present", "wallet")))["persona"] == "kim"


def test_the_page_says_why_it_does_not_answer(guests: Guests, login: str) -> None:
    link = {"client_id": "x509_hash:other", "request_uri": f"{guests.provider.issuer}/wallet/same/{login}"}
    page = httpx2.get(guests.prepared.wallet_link, params=link, trust_env=False)
    assert page.status_code == 400
    assert "client_id inside the request object differs" in page.text


def test_a_request_is_answered_once(guests: Guests, login: str) -> None:
    link = {
        "client_id": guests.provider.client_id,
        "request_uri": f"{guests.provider.issuer}/wallet/same/{login}",
    }
    page = httpx2.get(guests.prepared.wallet_link, params=link, trust_env=False).text
    ticket = page.partition('name="ticket" value="')[2].partition('"')[0]
    form = {"ticket": ticket, "persona": "hong", "action": "show"}
    first = httpx2.post(guests.prepared.wallet_link, data=form, trust_env=False)
    second = httpx2.post(guests.prepared.wallet_link, data=form, trust_env=False)
    assert (first.status_code, second.status_code) == (303, 400)
