"""Portals that prove themselves by a client certificate, and tokens bound to one (RFC 8705)."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from tests.harmless import as_json, harmless
from tests.http.client_requests import UNKNOWN_CODE, let_in
from tests.oidc.certificates import Made, make
from tests.rig import Portal, Rig, started

HEADER = "X-Client-Certificate"


def made(subject: str, **options: Any) -> Made:
    """A certificate that is valid now."""
    return make(subject, at=int(time.time()), **options)


@pytest.fixture(scope="module")
def authority() -> Made:
    return made("CN=Root,O=CA,C=KR", ca=True)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, authority: Made) -> Iterator[Rig]:
    """A provider behind a proxy that hands over client certificates."""
    directory: Path = tmp_path_factory.mktemp("house")
    file = directory / "authorities.pem"
    file.write_text(authority.pem)
    settings = {
        "server.client_certificate_header": HEADER,
        "server.trusted_proxies": 1,
        "server.client_certificate_authorities_file": str(file),
    }
    with started(directory, settings) as running:
        yield running


@pytest.fixture(scope="module")
def issued(authority: Made) -> Made:
    return made("CN=portal,O=Demo,C=KR", issuer=authority)


@pytest.fixture(scope="module")
def self_signed() -> Made:
    return made("CN=self")


@pytest.fixture(scope="module")
def by_subject(rig: Rig) -> Portal:
    return rig.variant(
        "g4k",
        "by-subject",
        jwks=None,
        token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_subject_dn="CN=portal,O=Demo,C=KR",
        tls_client_certificate_bound_access_tokens=True,
    )


@pytest.fixture(scope="module")
def by_key(rig: Rig, self_signed: Made) -> Portal:
    jwk = ECKey.import_key(self_signed.key).as_dict(private=False)
    return rig.variant(
        "g4k",
        "by-key",
        jwks={"keys": [jwk]},
        token_endpoint_auth_method="self_signed_tls_client_auth",
        tls_client_certificate_bound_access_tokens=True,
    )


def token(rig: Rig, shown: Made | None, form: str = "sequence", **changes: Any) -> httpx2.Response:
    """A token request as the proxy hands it on."""
    good = {"grant_type": "authorization_code", "code": "x" * 43, "redirect_uri": "y", **changes}
    headers = {HEADER: getattr(shown, form)} if shown is not None else {}
    return rig.http.post(f"{rig.issuer}/token", data=good, headers=headers)


def test_a_portal_is_let_in_by_its_certificate(
    rig: Rig, by_subject: Portal, by_key: Portal, issued: Made, self_signed: Made
) -> None:
    for form in ("sequence", "escaped"):
        with harmless(rig, UNKNOWN_CODE, UNKNOWN_CODE):
            let_in(rig, token(rig, issued, form, client_id=by_subject.client_id))
            let_in(rig, token(rig, self_signed, form, client_id=by_key.client_id))


@pytest.mark.parametrize("kind", ["other_subject", "same_subject_by_itself", "stranger"])
def test_another_certificate_does_not_prove_the_subject(
    rig: Rig, by_subject: Portal, authority: Made, kind: str
) -> None:
    shown = {
        "other_subject": made("CN=other,O=Demo,C=KR", issuer=authority),
        "same_subject_by_itself": made("CN=portal,O=Demo,C=KR"),
        "stranger": made("CN=portal,O=Demo,C=KR", issuer=made("CN=Root,O=CA,C=KR", ca=True)),
    }[kind]
    with harmless(rig, ("client.refused", "certificate_refused")):
        as_json(token(rig, shown, client_id=by_subject.client_id), 401, "invalid_client")


def test_another_key_does_not_prove_the_registered_one(rig: Rig, by_key: Portal, issued: Made) -> None:
    for shown in (issued, made("CN=self")):
        with harmless(rig, ("client.refused", "certificate_refused")):
            as_json(token(rig, shown, client_id=by_key.client_id), 401, "invalid_client")


def test_without_a_certificate_such_a_portal_is_refused(rig: Rig, by_subject: Portal, by_key: Portal) -> None:
    for portal in (by_subject, by_key):
        with harmless(rig, ("client.refused", "no_certificate")):
            as_json(token(rig, None, client_id=portal.client_id), 401, "invalid_client")


def test_a_certificate_that_cannot_be_read_is_refused(rig: Rig, by_subject: Portal) -> None:
    with harmless(rig, ("client.refused", "certificate_refused")):
        response = rig.http.post(
            f"{rig.issuer}/token",
            data={"grant_type": "authorization_code", "code": "x", "client_id": by_subject.client_id},
            headers={HEADER: "garbage"},
        )
        as_json(response, 401, "invalid_client")


def test_a_certificate_is_no_way_in_for_a_portal_of_another_method(
    rig: Rig, by_subject: Portal, issued: Made
) -> None:
    with harmless(rig, ("client.refused", "no_credentials")):
        as_json(token(rig, issued, client_id="gov24"), 401, "invalid_client")
    with harmless(rig, ("client.refused", "method_not_registered")):
        form = {"client_id": by_subject.client_id, "client_secret": "x"}
        as_json(token(rig, issued, **form), 401, "invalid_client")
    with harmless(rig, ("client.refused", "no_credentials")):
        as_json(token(rig, issued), 401, "invalid_client")


def test_discovery_lists_the_methods_where_they_can_be_checked(rig: Rig) -> None:
    said = rig.http.get(f"{rig.issuer}/.well-known/openid-configuration").json()
    methods = said["token_endpoint_auth_methods_supported"]
    assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(methods)
    assert said["tls_client_certificate_bound_access_tokens"] is True


def test_a_token_is_bound_to_the_certificate_it_was_bought_with(
    rig: Rig, by_subject: Portal, issued: Made, authority: Made
) -> None:
    code, begun = by_subject.code()
    bought = token(
        rig,
        issued,
        client_id=by_subject.client_id,
        code=code,
        redirect_uri=by_subject.redirect_uri,
        code_verifier=begun.verifier,
    )
    assert bought.status_code == 200, bought.text
    assert bought.json()["token_type"] == "Bearer"
    same_subject = made("CN=portal,O=Demo,C=KR", issuer=authority)
    for shown, status in [(issued, 200), (same_subject, 401), (None, 401)]:
        headers = {"Authorization": f"Bearer {bought.json()['access_token']}"}
        headers |= {HEADER: shown.sequence} if shown is not None else {}
        assert rig.http.get(f"{rig.issuer}/userinfo", headers=headers).status_code == status
