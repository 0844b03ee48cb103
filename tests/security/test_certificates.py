"""DP: portals that prove themselves by a client certificate, behind a proxy that hands it over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from tests.harmless import Named
from tests.oidc.certificates import DAY, Made, make
from tests.rig import Portal
from tests.security.answers import Challenge, Json
from tests.security.judging import Case, Court, in_session

HEADER = "X-Client-Certificate"
SUBJECT = "CN=portal,O=Demo,C=KR"
REFUSED = Json(401, "invalid_client")
NOT_PROVEN = ("client.refused", "certificate_refused")


def made(subject: str = SUBJECT, **options: Any) -> Made:
    """A certificate that is valid now."""
    return make(subject, at=int(time.time()), **options)


AUTHORITY = made("CN=Root,O=CA,C=KR", ca=True)
ISSUED = made(issuer=AUTHORITY)
SELF_SIGNED = made("CN=self")


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    """A house behind a proxy that hands over client certificates."""
    directory = tmp_path_factory.mktemp("court")
    file = directory / "authorities.pem"
    file.write_text(AUTHORITY.pem)
    settings = {
        "server.client_certificate_header": HEADER,
        "server.trusted_proxies": 1,
        "server.client_certificate_authorities_file": str(file),
    }
    with in_session(directory, settings) as sitting:
        yield sitting


def by_subject(court: Court) -> Portal:
    return court.once("by-subject", lambda: _registered(court, "by-subject", jwks=None))


def by_key(court: Court) -> Portal:
    jwk = ECKey.import_key(SELF_SIGNED.key).as_dict(private=False)
    method = "self_signed_tls_client_auth"
    changes = {
        "jwks": {"keys": [jwk]},
        "token_endpoint_auth_method": method,
        "tls_client_auth_subject_dn": None,
    }
    return court.once("by-key", lambda: _registered(court, "by-key", **changes))


def _registered(court: Court, client_id: str, **changes: Any) -> Portal:
    good = {
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_subject_dn": SUBJECT,
        "tls_client_certificate_bound_access_tokens": True,
    }
    return court.rig.variant("g4k", client_id, **{**good, **changes})


def shows(
    row: str, name: str, of: Callable[[Court], Portal], header: str | None, event: Named = NOT_PROVEN
) -> Case:
    """A token request whose connection has this certificate, as the proxy writes it."""

    def send(court: Court, portal: Portal) -> httpx2.Response:
        form = {"grant_type": "authorization_code", "code": "x" * 43, "client_id": portal.client_id}
        headers = {HEADER: header} if header is not None else {}
        return court.rig.http.post(f"{court.rig.issuer}/token", data=form, headers=headers)

    return Case(row, name, send, REFUSED, [event], prepare=of)


def in_another_header(name: str) -> Case:
    """A certificate in a header that the proxy does not write, or takes out."""

    def send(court: Court, portal: Portal) -> httpx2.Response:
        form = {"grant_type": "authorization_code", "code": "x" * 43, "client_id": portal.client_id}
        return court.rig.http.post(f"{court.rig.issuer}/token", data=form, headers={name: ISSUED.escaped})

    return Case("DP-21", name, send, REFUSED, [("client.refused", "no_certificate")], prepare=by_subject)


def a_token(court: Court) -> str:
    """An access token that is bound to the certificate it was bought with."""
    portal = by_subject(court)
    code, begun = portal.code("invented-50")
    portal.headers[HEADER] = ISSUED.sequence
    bought = portal.token(code, begun.verifier)
    assert bought.status_code == 200, bought.text
    return str(bought.json()["access_token"])


def uses(name: str, shown: Made | None) -> Case:
    def send(court: Court, token: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"} | (
            {HEADER: shown.sequence} if shown is not None else {}
        )
        return court.rig.http.get(f"{court.rig.issuer}/userinfo", headers=headers)

    event = ("userinfo.refused", "key")
    return Case("DP-22", name, send, Challenge(401, "invalid_token"), [event], again=[], prepare=a_token)


YEAR = timedelta(days=365)
CASES = [
    shows("DP-20", "none", by_subject, None, ("client.refused", "no_certificate")),
    shows("DP-20", "none for a key", by_key, None, ("client.refused", "no_certificate")),
    shows("DP-20", "another subject", by_subject, made("CN=other,O=Demo,C=KR", issuer=AUTHORITY).sequence),
    shows("DP-20", "another order", by_subject, made("C=KR,O=Demo,CN=portal", issuer=AUTHORITY).sequence),
    shows("DP-20", "signed by itself", by_subject, made().sequence),
    shows("DP-20", "a stranger's authority", by_subject, made(issuer=made("CN=Root,O=CA,C=KR", ca=True)).sequence),
    shows("DP-20", "expired", by_subject, made(issuer=AUTHORITY, valid=(-YEAR, -DAY)).sequence),
    shows("DP-20", "not yet", by_subject, made(issuer=AUTHORITY, valid=(DAY, YEAR)).sequence),
    shows("DP-20", "another key", by_key, made("CN=self").sequence),
    shows("DP-20", "garbage", by_subject, "garbage"),
    shows("DP-20", "large", by_subject, ":" + "A" * 40_000 + ":"),
    *(
        in_another_header(name)
        for name in ("X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "Client-Cert", "SSL-Client-Cert")
    ),
    uses("another of the same subject", made(issuer=AUTHORITY)),
    uses("none", None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)
