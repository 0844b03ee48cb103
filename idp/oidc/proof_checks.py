"""What a portal proves itself with, judged check by check for its engineer: nothing is used up, nothing recorded.

The judges are those of the back channel. Each stops at the first check that fails, so the checks before that hold and
those after it were not made; `steps` says which.

Spec: RFC 7523, section 3; RFC 9449, section 4.3; RFC 8705, section 2.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from idp.errors import Mismatch
from idp.oidc.client_auth import ClientAuthentication
from idp.oidc.client_checks import header_of
from idp.oidc.dpop import Proofs
from idp.oidc.mtls import CertificateRefused, ClientCertificates
from idp.oidc.portal_keys import keys_of
from idp.portals import Registration

ASSERTION: Final = tuple(
    f"assertion_{name}"
    for name in (
        *("malformed", "alg", "header", "key", "signature", "parties", "aud", "exp", "early", "jti"),
        "replayed",
    )
)
DPOP: Final = tuple(
    f"dpop_{name}"
    for name in (
        *("header", "malformed", "typ", "alg", "crit", "jwk", "signature", "jti", "htm", "htu", "iat"),
        *("nbf", "exp", "nbf_exp", "ath", "nonce", "replayed"),
    )
)
CERTIFICATE: Final = ("certificate_form", "certificate_refused")
_CERTIFICATE_METHODS: Final = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})


@dataclass(frozen=True)
class Step:
    """One check; holds None: it was not made."""

    check: str
    holds: bool | None


@dataclass(frozen=True)
class Examined:
    """A proof, judged. `failed` has both sides where there are two; `facts` are what can be read off it."""

    steps: list[Step]
    failed: Mismatch | None
    facts: dict[str, str] = field(default_factory=dict)


class ProofChecks:
    """Judges what was pasted. `bases`: the addresses under which the endpoints are known."""

    def __init__(
        self,
        authentication: ClientAuthentication,
        proofs: Proofs,
        certificates: ClientCertificates,
        bases: Collection[str],
    ) -> None:
        self._authentication = authentication
        self._proofs = proofs
        self._certificates = certificates
        self._bases = tuple(bases)

    def assertion(self, portal: Registration, text: str) -> Examined:
        """A client assertion, as `private_key_jwt` judges it."""
        failed = self._authentication.examine_assertion(text, portal)
        return Examined(_steps(ASSERTION, failed), failed, _header(text))

    def dpop(self, text: str, *, method: str, path: str, access_token: str | None) -> Examined:
        """A DPoP proof for a request to one of our endpoints, for this access token where there is one."""
        urls = tuple(base + path for base in self._bases)
        refused = self._proofs.examine(text, method=method, urls=urls, access_token=access_token)
        failed = refused.mismatch if refused is not None else None
        names = [name for name in DPOP if access_token is not None or name != "dpop_ath"]
        return Examined(_steps(names, failed), failed, {**_header(text), **_thumbprint(text)})

    def certificate(self, portal: Registration, pem: str) -> Examined:
        """A client certificate in PEM, as if TLS had shown that the client holds its key.

        A portal that authenticates otherwise may still bind its tokens to one: only its form is looked at then.
        """
        names = CERTIFICATE if portal.token_endpoint_auth_method in _CERTIFICATE_METHODS else CERTIFICATE[:1]
        try:
            found = self._certificates.of(pem)
        except CertificateRefused as refused:
            failed = Mismatch(CERTIFICATE[0], received=(str(refused),))
            return Examined(_steps(names, failed), failed)
        if found is None:
            failed = Mismatch(CERTIFICATE[0])
            return Examined(_steps(names, failed), failed)
        facts = {"x5t#S256": found.thumbprint}
        if len(names) == 1:
            return Examined(_steps(names, None), None, facts)
        try:
            self._certificates.check(found, portal)
        except CertificateRefused as refused:
            failed = Mismatch(CERTIFICATE[1], received=(str(refused),))
            return Examined(_steps(names, failed), failed, facts)
        return Examined(_steps(names, None), None, facts)


def _steps(names: Collection[str], failed: Mismatch | None) -> list[Step]:
    """Each check with how it went; one that is not among them is the form of the whole."""
    if failed is None:
        return [Step(name, True) for name in names]
    order = list(names)
    at = order.index(failed.check) if failed.check in order else 0
    return [Step(name, True if n < at else None if n > at else False) for n, name in enumerate(order)]


def _header(text: str) -> dict[str, str]:
    """What a JWT's header says of its key, as far as it can be read."""
    try:
        header = header_of(text)
    except ValueError:
        return {}
    return {name: str(header[name])[:64] for name in ("typ", "alg", "kid") if name in header}


def _thumbprint(text: str) -> dict[str, str]:
    try:
        found = keys_of({"keys": [header_of(text).get("jwk")]})
    except ValueError:
        return {}
    return {"jkt": str(found[0].key.thumbprint())} if found else {}
