"""A wallet of npm libraries that gets one thing wrong: refused, and the audit says which.

Everything else of the presentation is as the libraries make it. After a refusal the sign-in is where it was: the same
wallet, honest, is accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from idp.demo import jose
from tests.interop.ministry import DAY_S, DOC_TYPE, ISO, Ministry
from tests.interop.node_wallet import Held, NodeWallet
from tests.rig import Portal

pytestmark = pytest.mark.node

OTHER_THUMBPRINT = "A" * 43
AN_HOUR_S = 3600


def issued(**changes: Any) -> Callable[[Ministry, str], Held]:
    """By the authority, with something changed."""
    return lambda ministry, format: ministry.issue(format, jose.generate(), **changes)


def by_another_key(ministry: Ministry, format: str) -> Held:
    return ministry.issue(format, jose.generate(), signer=ministry.another_key())


def by_another_authority(ministry: Ministry, format: str) -> Held:
    """By a document signer of the same name, whose root nobody registered."""
    return ministry.issue(format, jose.generate(), signer=Ministry(ministry.script).signer)


def of_another_country(ministry: Ministry, format: str) -> Held:
    return ministry.issue(format, jose.generate(), signer=ministry.another_signer(country="US"))


def for_another_purpose(ministry: Ministry, format: str) -> Held:
    """By a certificate for mdoc readers (ISO/IEC 18013-5, B.1.7), under the right root."""
    return ministry.issue(format, jose.generate(), signer=ministry.another_signer(purpose="1.0.18013.5.1.6"))


def stolen(ministry: Ministry, format: str) -> Held:
    """Shown by somebody who has not the holder's key."""
    return replace(issued()(ministry, format), holder_key=jose.generate())


@dataclass(frozen=True)
class Wrong:
    """How a presentation is made, and why it is refused."""

    reason: str
    bent: dict[str, Any] = field(default_factory=dict)
    held: Callable[[Ministry, str], Held] = field(default_factory=issued)
    changes: dict[str, Any] = field(default_factory=dict)


def transcript(**said: Any) -> Wrong:
    return Wrong("device_signature", {"transcript": said})


MDOC = {
    "another verifier's client_id": transcript(clientId="x509_hash:" + "A" * 43),
    "another request's nonce": transcript(nonce="A" * 43),
    "another response_uri": transcript(responseUri="https://verifier.example/response"),
    "another encryption key": transcript(jwkThumbprint=OTHER_THUMBPRINT),
    "no encryption key": transcript(jwkThumbprint=None),
    "made for a page": transcript(origin="https://verifier.example"),
    "bound as in ISO/IEC 18013-7": Wrong("device_signature", changes={"annex_b": True}),
    "another holder's key": Wrong("device_signature", held=stolen),
    "a MAC": Wrong("device_mac", {"mac": True}),
    "another type passed off as this one": Wrong(
        "doctype", {"doc_type": DOC_TYPE}, issued(type_name="example.library-card.1")
    ),
    "an element altered": Wrong(
        "digest", {"alter": {"path": [ISO, "birth_date"], "value": {"date": "1985-03-15"}}}
    ),
    "expired": Wrong("expired", held=issued(valid=(-2 * DAY_S, -AN_HOUR_S))),
    "not yet valid": Wrong("not_yet_valid", held=issued(valid=(AN_HOUR_S, DAY_S))),
    "the issuer's signature by another key": Wrong("issuer_signature", held=by_another_key),
    "an unknown issuer": Wrong("issuer_untrusted", held=by_another_authority),
    "a signer for another purpose": Wrong("issuer_certificate", held=for_another_purpose),
    "another country than the signer's": Wrong(
        "issuer_country", held=of_another_country, changes={"more": [[ISO, "issuing_country"]]}
    ),
    "something required withheld": Wrong("incomplete", changes={"less": [[ISO, "family_name"]]}),
    "the person key withheld": Wrong("incomplete", changes={"less": [[ISO, "document_number"]]}),
    "the document twice": Wrong("malformed", {"twice": True}),
    "a response that reports an error": Wrong("response_status", {"status": 10}),
}

SD_JWT = {
    "another request's nonce": Wrong("key_binding_nonce", {"kb": {"nonce": "A" * 43}}),
    "another verifier": Wrong("key_binding_audience", {"kb": {"aud": "x509_hash:" + "A" * 43}}),
    "made for a page": Wrong("key_binding_audience", {"kb": {"aud": "origin:https://verifier.example"}}),
    "bound long ago": Wrong("key_binding_time", {"kb": {"iat": 1_700_000_000}}),
    "not bound": Wrong("key_binding_missing", {"kb": None}),
    "a disclosure taken away": Wrong("key_binding_hash", {"drop": True}),
    "another holder's key": Wrong("key_binding_signature", held=stolen),
    "a claim altered": Wrong(
        "disclosure_unreferenced", {"alter": {"path": ["birthdate"], "value": "1985-03-15"}}
    ),
    "expired": Wrong("expired", held=issued(valid=(-2 * DAY_S, -AN_HOUR_S))),
    "not yet valid": Wrong("not_yet_valid", held=issued(valid=(AN_HOUR_S, DAY_S))),
    "the issuer's signature by another key": Wrong("issuer_signature", held=by_another_key),
    "an unknown issuer": Wrong("issuer_untrusted", held=by_another_authority),
    "something required withheld": Wrong("incomplete", changes={"less": [["family_name"]]}),
    "the person key withheld": Wrong("incomplete", changes={"less": [["license_number"]]}),
}

CASES = [
    pytest.param(format, wrong, id=f"{format}: {name}")
    for format, cases in (("mso_mdoc", MDOC), ("dc+sd-jwt", SD_JWT))
    for name, wrong in cases.items()
]


@pytest.mark.parametrize(("format", "wrong"), CASES)
def test_one_thing_wrong_is_refused_by_name(
    licences: Portal, wallet: NodeWallet, ministry: Ministry, format: str, wrong: Wrong
) -> None:
    link = licences.link(licences.page(licences.begin()))
    honest = wallet.held
    wallet.held = [wrong.held(ministry, format)]
    shown = wallet.open(link, careless=True, bent={format: wrong.bent}, **wrong.changes)
    assert shown["status"] == 400, shown["body"]
    assert shown["body"]["error"] == "invalid_request"
    assert "response_code" not in shown["body"]["redirect_uri"]
    refused = licences.rig.events()[-1]
    assert (refused.name, refused.reason) == ("presentation.rejected", wrong.reason)
    wallet.held = honest
    assert wallet.open(link, pick=[format])["status"] == 200
