"""What a client proves itself with is pasted and judged: check by check, without an effect."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from idp.admin import organisations
from idp.admin.people import Role
from idp.oidc import proof_checks
from idp.views import reasons
from idp.views.console.proving import STEPS
from tests.at_console import Admin
from tests.oidc import certificates
from tests.proving import Prover
from tests.rig import Portal, Rig, started


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    settings = {"server.client_certificate_header": "X-Client-Cert", "server.trusted_proxies": 1}
    with started(tmp_path_factory.mktemp("house"), settings) as running:
        names = {"ko": "기관", "en": "Organisation"}
        document = {"organisation": [{"id": "mois", "name": names}], "portals": {"g4k": "mois"}}
        with running.app.app_context():
            organisations.apply(document, now=running.clock())
        yield running


@pytest.fixture(scope="module")
def member(rig: Rig) -> Admin:
    admin = Admin(rig, "invented-10").join(Role.MEMBER, "m-1", "mois")
    admin.get("/console?lang=en")
    return admin


@pytest.fixture(scope="module")
def g4k(rig: Rig) -> Portal:
    return rig.portal("g4k")


def pasted(admin: Admin, client_id: str, kind: str, proof: str, **more: str) -> tuple[dict[str, str], str]:
    """Each check with ✓, ✗ or –, and the page."""
    answered = admin.send(f"/console/portals/{client_id}/check", kind=kind, proof=proof, **more)
    assert answered.status_code == 200, answered.text[:2000]
    page = html.unescape(answered.text)
    return {words: mark for mark, words in re.findall(r"([✓✗–]) [^\n]*<th scope=\"row\">([^<]+)", page)}, page


def stops_at(steps: dict[str, str], check: str, names: tuple[str, ...]) -> None:
    """Those before it hold, those after it were not made."""
    marks = [steps[STEPS[name]] for name in names if STEPS[name] in steps]
    at = [name for name in names if STEPS[name] in steps].index(check)
    assert marks == ["✓"] * at + ["✗"] + ["–"] * (len(marks) - at - 1)


def test_every_check_has_words(rig: Rig) -> None:
    for name in (*proof_checks.ASSERTION, *proof_checks.DPOP, *proof_checks.CERTIFICATE):
        assert name in STEPS
        assert name in reasons.REASONS or name in {"dpop_nonce", "certificate_form"}


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"header": {"alg": "none"}}, "assertion_alg"),
        ({"header": {"b64": True}}, "assertion_header"),
        ({"header": {"kid": "another"}}, "assertion_key"),
        ({"key": "another"}, "assertion_signature"),
        ({"sub": "gov24"}, "assertion_parties"),
        ({"aud": "https://other.example"}, "assertion_aud"),
        ({"exp": 1}, "assertion_exp"),
        ({"nbf": "ahead"}, "assertion_early"),
        ({"jti": None}, "assertion_jti"),
        ({"exp": "soon"}, "assertion_malformed"),
    ],
    ids=str,
)
def test_an_assertion_is_judged_as_far_as_it_holds(
    rig: Rig, member: Admin, g4k: Portal, changes: dict[str, Any], check: str
) -> None:
    header = changes.get("header")
    claims = {name: value for name, value in changes.items() if name not in {"header", "key"}}
    if claims.get("nbf") == "ahead":
        claims["nbf"] = rig.clock() + 30
    key = ECKey.generate_key("P-256") if "key" in changes else None
    if header and header.get("alg") == "none":
        head, body, signature = g4k.assertion().split(".")
        proof = f"eyJhbGciOiJub25lIn0.{body}.{signature}"
        assert head != "eyJhbGciOiJub25lIn0"
    else:
        proof = g4k.assertion(header=header, key=key, **claims)
    steps, page = pasted(member, "g4k", "assertion", proof)
    stops_at(steps, check, proof_checks.ASSERTION)
    assert reasons.REASONS[check].title in page
    assert proof not in page


def test_a_good_assertion_is_not_used_up_and_nothing_is_recorded(
    rig: Rig, member: Admin, g4k: Portal
) -> None:
    proof = g4k.assertion()
    before = rig.last_event()
    for _ in range(2):
        steps, page = pasted(member, "g4k", "assertion", proof)
        assert set(steps.values()) == {"✓"}
        assert "It would be accepted now" in page
    pasted(member, "g4k", "assertion", g4k.assertion(aud="https://other.example"))
    assert rig.event_names()[before:] == []
    answered = g4k.post("/par", client_assertion=proof, redirect_uri="https://nowhere.example")
    assert answered.status_code == 400  # the assertion was good: what is refused is the request
    steps, page = pasted(member, "g4k", "assertion", proof)
    stops_at(steps, "assertion_replayed", proof_checks.ASSERTION)


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"header": {"typ": "JWT"}}, "dpop_typ"),
        ({"header": {"alg": "HS256"}}, "dpop_alg"),
        ({"header": {"crit": ["x"]}}, "dpop_crit"),
        ({"header": {"jwk": {"kty": "oct", "k": "AAAA"}}}, "dpop_jwk"),
        ({"header": {"jwk": "another"}}, "dpop_signature"),
        ({"jti": ""}, "dpop_jti"),
        ({"htm": "GET"}, "dpop_htm"),
        ({"htu": "https://other.example/token"}, "dpop_htu"),
        ({"iat": 1}, "dpop_iat"),
        ({"nbf": "x"}, "dpop_nbf"),
        ({"exp": 1}, "dpop_nbf_exp"),
        ({"access_token": "another"}, "dpop_ath"),
        ({"nonce": "old"}, "dpop_nonce"),
    ],
    ids=str,
)
def test_a_dpop_proof_is_judged_as_far_as_it_holds(
    rig: Rig, member: Admin, changes: dict[str, Any], check: str
) -> None:
    header = dict(changes.pop("header", None) or {})
    if header.get("jwk") == "another":
        header["jwk"] = Prover().jwk
    given = {
        "at": rig.clock(),
        "nonce": rig.nonce(),
        "access_token": "the-token",
        "header": header,
        **changes,
    }
    proof = Prover().proof(f"{rig.issuer}/token", "POST", **given)
    request = {"method": "POST", "endpoint": "/token", "access_token": "the-token"}
    steps, page = pasted(member, "g4k", "dpop", proof, **request)
    stops_at(steps, check, proof_checks.DPOP)
    assert proof not in page


def test_a_good_proof_is_not_used_up(rig: Rig, member: Admin) -> None:
    prover = Prover()
    proof = prover.proof(f"{rig.issuer}/userinfo", "GET", at=rig.clock(), nonce=rig.nonce())
    for _ in range(2):
        steps, page = pasted(member, "g4k", "dpop", proof, method="GET", endpoint="/userinfo")
        assert set(steps.values()) == {"✓"}
        assert prover.jkt in page
        assert STEPS["dpop_ath"] not in steps


def test_a_certificate_is_judged_by_the_registered_method(rig: Rig, member: Admin) -> None:
    made, other = (certificates.make(at=rig.clock()) for _ in range(2))
    jwk = ECKey.import_key(made.key).as_dict(private=False)
    rig.variant(
        "g4k",
        "by-certificate",
        token_endpoint_auth_method="self_signed_tls_client_auth",
        jwks={"keys": [jwk]},
    )
    owner = Admin(rig, "invented-1").join(Role.OWNER)
    owner.get("/console?lang=en")
    steps, page = pasted(owner, "by-certificate", "certificate", made.pem)
    assert list(steps.values()) == ["✓", "✓"]
    assert "x5t#S256" in page
    steps, page = pasted(owner, "by-certificate", "certificate", other.pem)
    assert list(steps.values()) == ["✓", "✗"]
    assert "the key is not a registered one" in page
    steps, page = pasted(
        member, "g4k", "certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    )
    assert list(steps.values()) == ["✗"]
    assert "This cannot be read as a certificate" in page


@pytest.mark.parametrize("kind", ["assertion", "dpop", "certificate"])
@pytest.mark.parametrize("proof", ["x", "a.b.c", "é" * 5_000, "..", "<script>alert(1)</script>"])
def test_whatever_is_pasted_is_answered_and_not_shown(member: Admin, kind: str, proof: str) -> None:
    steps, page = pasted(member, "g4k", kind, proof)
    assert "✗" in steps.values()
    assert "<script>alert" not in page


def test_nothing_pasted_rests_anywhere(rig: Rig, member: Admin, g4k: Portal) -> None:
    proof = g4k.assertion()
    pasted(member, "g4k", "assertion", proof)
    signature = proof.rpartition(".")[2].encode()
    directory = Path(rig.house.settings.database_url.removeprefix("sqlite:///")).parent
    assert not [file for file in directory.glob("sinwon.db*") if signature in file.read_bytes()]


def test_it_is_there_for_the_portals_own_organisation(rig: Rig, member: Admin) -> None:
    assert member.get("/console/portals/g4k/check").status_code == 200
    assert member.get("/console/portals/gov24/check").status_code == 404
    assert member.send("/console/portals/gov24/check", kind="dpop", proof="x").status_code == 404
    assert member.send("/console/portals/g4k/check", kind="other", proof="x").status_code == 400
