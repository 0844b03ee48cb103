"""Whose credentials will do: the authorities that a query names (OpenID4VP 1.0, section 6.1.1), or does not."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509

from idp.credentials.trust import TrustSnapshot, from_documents
from idp.openid4vp import dcql
from idp.openid4vp.query import MAX_AUTHORITIES, query
from idp.portals import parse
from idp.presentation.question import AuthorizationRequest, Question, question
from idp.seal import b64
from tests.credentials import listing
from tests.credentials.issuing import p256
from tests.credentials.listing import iaca

NUMBER = "overseas_registration_number"
FORMATS = {
    "dc+sd-jwt": {"names": ["urn:k"], "elements": ["name", NUMBER]},
    "mso_mdoc": {"names": ["doc"], "elements": {"name": ["ns", "name"], NUMBER: ["ns", "number"]}},
}
PORTAL = {
    "client_id": "portal",
    "name": {"ko": "포털", "en": "Portal"},
    "operator": {"ko": "운영자", "en": "Operator"},
    "redirect_uris": ["https://portal.example/callback"],
    "token_endpoint_auth_method": "client_secret_basic",
    "client_secret_sha256": ["0" * 64],
    "scopes": ["openid", "profile"],
    "claims": [
        {
            "name": "name",
            "required": True,
            "purpose": {"ko": "확인", "en": "to know"},
        }
    ],
    "retention": {"ko": "하루", "en": "a day"},
}


def ids(*certificates: x509.Certificate) -> set[str]:
    kind = x509.SubjectKeyIdentifier
    return {b64(one.extensions.get_extension_for_class(kind).value.digest) for one in certificates}


def trust(*missions: dict[str, Any], formats: Any = None) -> TrustSnapshot:
    kind = {
        "id": "k",
        "name": {"ko": "증", "en": "Card"},
        "trust_domain": "k",
        "person_key": NUMBER,
        "formats": formats or FORMATS,
    }
    return from_documents([kind], list(missions))


def mission(code: str, *certificates: x509.Certificate, **changes: Any) -> dict[str, Any]:
    return {
        "code": code,
        "name": {"ko": code, "en": code},
        "country": "KR",
        "credential_types": ["k"],
        "active_from": "2024-01-01",
        "issuer_certificates": [listing.pem(one) for one in certificates],
        **changes,
    }


def asked(snapshot: TrustSnapshot) -> Question:
    request = AuthorizationRequest(client_id="portal", scopes=("openid", "profile"))
    return question(parse(PORTAL), request, snapshot, with_ci=False)


def named(snapshot: TrustSnapshot, *formats: str, **options: Any) -> list[set[str] | None]:
    """The authorities of each credential query."""
    made = query(asked(snapshot), formats or tuple(FORMATS), **options)
    dcql.check(made)
    found = []
    for entry in made["credentials"]:
        authorities = entry.get("trusted_authorities", [])
        assert all(one["type"] == "aki" for one in authorities)
        found.append({value for one in authorities for value in one["values"]} or None)
    return found


def many(number: int) -> TrustSnapshot:
    return trust(*(mission(f"M{index}", iaca(f"CA {index}", "KR")) for index in range(number)))


def test_each_credential_query_names_the_authorities_of_its_type() -> None:
    first, second, third = (iaca(name, "KR") for name in ("one", "two", "three"))
    closed = mission("OLD", third, active_until="2024-12-31")
    snapshot = trust(mission("ONE", first, second), closed)
    assert named(snapshot) == [ids(first, second, third)] * 2


@pytest.mark.parametrize(("number", "formats"), [(MAX_AUTHORITIES, 1), (MAX_AUTHORITIES // 2, 2)])
def test_where_they_are_too_many_in_all_none_is_named(number: int, formats: int) -> None:
    speaks = tuple(FORMATS)[:formats]
    assert [len(one or ()) for one in named(many(number), *speaks)] == [number] * formats
    assert named(many(number + 1), *speaks) == [None] * formats


def test_a_wallet_that_stumbles_over_them_is_not_told() -> None:
    assert named(many(3), authorities=False) == [None, None]


def test_authorities_without_a_key_identifier_hide_nobody() -> None:
    """Naming only the others would make wallets hide the credentials of this one."""
    key = p256()
    subject = listing.named("old CA")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(listing.START)
        .not_valid_after(listing.END)
    )
    for extension, critical in listing.CA_EXTENSIONS:
        builder = builder.add_extension(extension, critical)
    nameless = builder.sign(key, listing.hashes.SHA256())
    assert named(trust(mission("ONE", iaca("one", "KR")), mission("TWO", nameless))) == [None, None]
    assert named(trust(mission("ONE", iaca("one", "KR"), pinned_signers=[listing.pem(nameless)]))) == [
        None,
        None,
    ]


def test_a_pinned_signer_is_named_by_who_signed_it() -> None:
    keeper = listing.Keeper()
    snapshot = trust(mission("ONE", pinned_signers=[listing.pem(keeper.signer)]))
    assert named(snapshot) == [ids(keeper.ca)] * 2


def test_a_type_under_identifiers_alone_names_nobody() -> None:
    assert named(trust(mission("ONE", issuer_dids=["did:omn:one"]))) == [None, None]
