"""Tokens bound to a key: the key that a request proves, by DPoP (RFC 9449) or by its TLS certificate (RFC 8705).

`cnf` is the confirmation that a token carries (RFC 7800): `{"jkt": …}`, `{"x5t#S256": …}`, or None for a bearer token.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from typing import Protocol

from authlib.oauth2.rfc6749.errors import InvalidRequestError

from idp.clock import Clock
from idp.errors import Mismatch
from idp.events import Event, record_alone
from idp.oidc.dpop import DpopRefused, Proofs
from idp.oidc.mtls import CertificateRefused, ClientCertificates
from idp.oidc.mtls import Headers as SingleHeaders
from idp.portals import Registration

Confirmation = dict[str, str]


class Headers(SingleHeaders, Protocol):
    """A request's headers, of which one may be there several times."""

    def getlist(self, key: str, /) -> list[str]: ...


class Bindings:
    """Finds out what key a request proves. `bases` are the addresses under which the endpoints are known."""

    def __init__(
        self,
        proofs: Proofs,
        certificates: ClientCertificates | None,
        bases: Collection[str],
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._proofs = proofs
        self._certificates = certificates
        self._bases = tuple(bases)

    def jkt(self, headers: Headers, *, path: str, method: str, access_token: str | None = None) -> str | None:
        """The thumbprint of the DPoP key, None where there is no proof. Raises DpopRefused."""
        given = headers.getlist("DPoP")
        if not given:
            return None
        urls = tuple(base + path for base in self._bases)
        return self._proofs.check(given, method=method, urls=urls, access_token=access_token)

    def thumbprint(self, headers: Headers) -> str | None:
        """x5t#S256 of the client certificate, None where there is none. Raises InvalidRequestError."""
        if self._certificates is None:
            return None
        try:
            found = self._certificates.presented(headers)
        except CertificateRefused as error:
            raise InvalidRequestError("The client certificate cannot be used.") from error
        return found.thumbprint if found is not None else None

    def confirmation(self, portal: Registration, headers: Headers, *, path: str) -> Confirmation | None:
        """What the tokens of this token request will be bound to.

        Raises DpopRefused and InvalidRequestError, also when a portal that must prove a key proves none. The audit
        hears why, except of a missing nonce, which is how every conversation begins.
        """
        try:
            return self._confirmation(portal, headers, path=path)
        except DpopRefused as error:
            if error.error != "use_dpop_nonce":
                self._report(portal, f"dpop_{error.reason or 'missing'}", error.mismatch)
            raise
        except InvalidRequestError:
            self._report(portal, "client_certificate", Mismatch("client_certificate"))
            raise

    def _report(self, portal: Registration, reason: str, mismatch: Mismatch) -> None:
        record_alone(
            Event.TOKEN_REFUSED,
            at=self._clock(),
            client_id=portal.client_id,
            reason=reason,
            detail=mismatch.detail,
        )

    def _confirmation(self, portal: Registration, headers: Headers, *, path: str) -> Confirmation | None:
        if portal.tls_client_certificate_bound_access_tokens:
            thumbprint = self.thumbprint(headers)
            if thumbprint is None:
                raise InvalidRequestError(
                    "This client's tokens are bound to its TLS certificate: there is none."
                )
            return {"x5t#S256": thumbprint}
        jkt = self.jkt(headers, path=path, method="POST")
        if jkt is not None:
            return {"jkt": jkt}
        if portal.must_prove_key:
            raise DpopRefused(
                "invalid_dpop_proof", "This client's tokens are bound by DPoP: there is no proof."
            )
        return None

    def proves(
        self, cnf: Confirmation, headers: Headers, *, path: str, method: str, access_token: str
    ) -> bool:
        """Whether a request with a bound token proves its key. Raises DpopRefused, InvalidRequestError."""
        if "jkt" in cnf:
            jkt = self.jkt(headers, path=path, method=method, access_token=access_token)
            return jkt is not None and hmac.compare_digest(jkt, cnf["jkt"])
        thumbprint = self.thumbprint(headers)
        return thumbprint is not None and hmac.compare_digest(thumbprint, cnf["x5t#S256"])

    def nonce(self) -> str:
        """A nonce for the next proof, for the DPoP-Nonce header of an answer (RFC 9449, section 8.2)."""
        return self._proofs.nonce()
