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

from idp.demo import dcql, jose, pki, request
from idp.demo.wallet import Fault, Wallet

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


CLAIMS = {
    "name": "홍길동",
    "age_equal_or_over": {"14": True},
    "nationalities": ["KR", "US"],
    "address": {"formatted": "Street 1"},
    "flag": 1,
}


def query(**changes: Any) -> dict[str, Any]:
    credential = {"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:v"]}, **changes}
    return {"credentials": [credential]}


def matched(document: dict[str, Any], vct: str = "urn:v") -> tuple[dcql.ConcretePath, ...] | None:
    found = dcql.match(
        dcql.read(document), claims=CLAIMS, type_name=vct, authority_key_ids=frozenset({"key-1"})
    )
    return None if found is None else found.paths


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({}, ()),
        ({"claims": [{"path": ["name"]}]}, (("name",),)),
        ({"claims": [{"path": ["age_equal_or_over", "14"]}]}, (("age_equal_or_over", "14"),)),
        ({"claims": [{"path": ["nationalities", None]}]}, (("nationalities", 0), ("nationalities", 1))),
        ({"claims": [{"path": ["nationalities", 1]}]}, (("nationalities", 1),)),
        ({"claims": [{"path": ["nationalities", 2]}]}, None),
        ({"claims": [{"path": ["nationalities", "KR"]}]}, None),
        ({"claims": [{"path": ["name", None]}]}, None),
        ({"claims": [{"path": ["picture"]}]}, None),
        ({"claims": [{"path": ["name"], "values": ["홍길동", "x"]}]}, (("name",),)),
        ({"claims": [{"path": ["name"], "values": ["x"]}]}, None),
        ({"claims": [{"path": ["age_equal_or_over", "14"], "values": [1]}]}, None),
        ({"claims": [{"path": ["flag"], "values": [True]}]}, None),
        ({"claims": [{"path": ["flag"], "values": [1]}]}, (("flag",),)),
        ({"meta": {"vct_values": ["urn:other"]}}, None),
        ({"format": "mso_mdoc", "meta": {"doctype_value": "x"}}, None),
        ({"trusted_authorities": [{"type": "aki", "values": ["key-1"]}]}, ()),
        ({"trusted_authorities": [{"type": "aki", "values": ["key-2"]}]}, None),
        ({"trusted_authorities": [{"type": "etsi_tl", "values": ["https://a"]}]}, None),
        (
            {
                "claims": [{"id": "p", "path": ["picture"]}, {"id": "n", "path": ["name"]}],
                "claim_sets": [["p", "n"], ["n"]],
            },
            (("name",),),
        ),
    ],
    ids=lambda value: json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else "",
)
def test_a_query_selects_what_it_says(
    changes: dict[str, Any], paths: tuple[dcql.ConcretePath, ...] | None
) -> None:
    assert matched(query(**changes)) == paths


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"credentials": []},
        query(id="a b"),
        query(meta=None),
        query(meta={}),
        query(claims=[]),
        query(claims=[{"path": []}]),
        query(claims=[{"path": [True]}]),
        query(claims=[{"path": [-1]}]),
        query(claims=[{"path": ["exp"]}]),
        query(claims=[{"path": ["name"]}, {"path": ["name"]}]),
        query(claims=[{"path": ["name"]}], claim_sets=[["n"]]),
        query(require_cryptographic_holder_binding=False),
        {"credentials": query()["credentials"] * 2},
        {**query(), "credential_sets": [{"options": [["b"]]}]},
    ],
    ids=json.dumps,
)
def test_a_query_that_breaks_the_rules_is_refused(document: object) -> None:
    with pytest.raises(dcql.BadQuery):
        dcql.read(document)


def test_a_set_that_needs_two_credentials_is_not_satisfied() -> None:
    second = {"id": "b", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:v"]}}
    document = {"credentials": [*query()["credentials"], second]}
    assert matched(document) is None
    assert matched({**document, "credential_sets": [{"options": [["a", "b"], ["b"]]}]}) == ()
    optional = [{"options": [["a"]]}, {"options": [["b"]], "required": False}]
    assert matched({**document, "credential_sets": optional}) == ()


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


NO_PRESENTATION = (Fault.NONE, Fault.UNENCRYPTED, Fault.NO_ANSWER)
OF_MDOCS = (Fault.WRONG_TRANSCRIPT, Fault.WRONG_DOCTYPE, Fault.ALTERED_ELEMENT, Fault.DEVICE_MAC)


@pytest.mark.parametrize(
    "fault", [fault for fault in Fault if fault not in NO_PRESENTATION + OF_MDOCS], ids=str
)
def test_each_fault_is_the_only_one_in_the_answer(guests: Guests, login: str, fault: Fault) -> None:
    presentation, asked = presented(guests, login, fault)
    assert faulty(guests, presentation, asked) == {fault.value}


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
