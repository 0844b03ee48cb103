"""The wallet asked by a browser: what the Digital Credentials API hands it, and what it hands back.

OpenID4VP 1.0, appendix A, with HAIP 1.0, section 5.2. A browser gives the wallet the requests of a page and says whose
page it is; the wallet's answer is bound to that origin and travels back through the browser. There is no browser in
between here: a script plays it. Strict on purpose, like `idp.demo.request`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509

from idp.demo import jose
from idp.demo.personas import Persona
from idp.demo.request import (
    Request,
    RequestRefused,
    check_prefix,
    check_signature,
    check_times,
    common_name,
    read,
)
from idp.demo.wallet import Fault, Wallet, encrypt

SIGNED = "openid4vp-v1-signed"
UNSIGNED = "openid4vp-v1-unsigned"
_FOREIGN = (
    "redirect_uri",
    "response_uri",
    "request_uri",
    "state",
    "scope",
    "client_id_scheme",
    "transaction_data",
)


def answer(
    wallet: Wallet,
    requests: Sequence[Mapping[str, Any]],
    *,
    origin: str,
    persona: Persona,
    fault: Fault = Fault.NONE,
    card: str | None = None,
    format: str | None = None,
) -> dict[str, Any]:
    """`protocol` and `data` of the DigitalCredential that a page gets, for the first request that can be answered.

    Raises RequestRefused, CannotAnswer.
    """
    protocol, asked = receive(requests, origin, wallet.trusted)
    unencrypted = wallet.answer(asked, persona, fault, card=card, format=format)
    if fault is Fault.UNENCRYPTED:
        return {"protocol": protocol, "data": unencrypted}
    return {"protocol": protocol, "data": {"response": encrypt(unencrypted, asked)}}


def refuse(requests: Sequence[Mapping[str, Any]], code: str = "access_denied") -> dict[str, Any]:
    """The same for a wallet that shows nothing: the page hears of it all the same (appendix A.4)."""
    protocol, _ = _first(requests)
    return {"protocol": protocol, "data": {"error": code}}


def receive(
    requests: Sequence[Mapping[str, Any]], origin: str, trusted: x509.Certificate
) -> tuple[str, Request]:
    """The first request in a protocol of this wallet, and that protocol; `origin` is the browser's word.

    `trusted`: the CA under which verifiers may ask. Raises RequestRefused.
    """
    protocol, data = _first(requests)
    if protocol == SIGNED:
        claims, verifier = _signed(data, origin, trusted)
    else:
        claims, verifier = dict(data), origin
        if "client_id" in claims:
            raise RequestRefused("client_id in a request that nobody signed")
    for name in _FOREIGN:
        if name in claims:
            raise RequestRefused(f"{name} has no place in this request")
    for name, value in (("response_type", "vp_token"), ("response_mode", "dc_api.jwt")):
        if claims.get(name) != value:
            raise RequestRefused(f"{name} is not as it must be")
    return protocol, read(claims, verifier=verifier, origin=origin)


def _first(requests: Sequence[Mapping[str, Any]]) -> tuple[str, Mapping[str, Any]]:
    for one in requests:
        if one.get("protocol") in {SIGNED, UNSIGNED} and isinstance(one.get("data"), dict):
            return one["protocol"], one["data"]
    raise RequestRefused("no request in a protocol of this wallet")


def _signed(data: Mapping[str, Any], origin: str, trusted: x509.Certificate) -> tuple[dict[str, Any], str]:
    """The claims of a signed request, and the name of who signed it."""
    token = data.get("request")
    if set(data) != {"request"} or not isinstance(token, str):
        raise RequestRefused("a signed request holds request alone")
    try:
        header, claims = jose.read_unverified(token)
    except jose.BadJws as error:
        raise RequestRefused("the request object is no signed JWT") from error
    leaf = check_signature(token, header, trusted)
    check_prefix(str(claims.get("client_id")), leaf)
    origins = claims.get("expected_origins")
    if not isinstance(origins, list) or origin not in origins:
        raise RequestRefused("expected_origins does not name the page that asked")
    check_times(claims)
    return claims, common_name(leaf)
