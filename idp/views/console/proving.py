"""A proof of the client, pasted and judged: what the code that judges portals says of it, check by check.

Nothing of what is pasted is kept, recorded, used up or shown again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, Response

from idp.admin.people import Act, Administrator
from idp.oidc.proof_checks import Examined
from idp.portals import Registration
from idp.views import reasons
from idp.views.console.desk import Desk, field
from idp.views.console.engineer import known
from idp.views.messages import N_

_MAX_PASTED: Final = 16_384
_METHODS: Final = ("POST", "GET")
_ENDPOINTS: Final = ("/token", "/par", "/userinfo")
KINDS: Final[Mapping[str, str]] = {
    "assertion": N_("Client assertion (private_key_jwt)"),
    "dpop": N_("DPoP proof"),
    "certificate": N_("Client certificate (PEM)"),
}
STEPS: Final[Mapping[str, str]] = {
    "assertion_malformed": N_("It is a compact JWS with a JSON header and JSON claims"),
    "assertion_alg": N_("alg is accepted for this client"),
    "assertion_header": N_("The header asks for no extension (crit, b64)"),
    "assertion_key": N_("A registered key has this kid and fits alg"),
    "assertion_signature": N_("The signature verifies with a registered key"),
    "assertion_parties": N_("iss and sub are the client_id"),
    "assertion_aud": N_("aud is ours"),
    "assertion_exp": N_("exp is ahead, and not too far"),
    "assertion_early": N_("nbf and iat are not in the future"),
    "assertion_jti": N_("jti is a text of 1 to 256 characters"),
    "assertion_replayed": N_("It was not used before"),
    "dpop_header": N_("It is one proof, and not too long"),
    "dpop_malformed": N_("It is a compact JWS with a JSON header and JSON claims"),
    "dpop_typ": N_("typ is dpop+jwt"),
    "dpop_alg": N_("alg is ES256, PS256 or EdDSA"),
    "dpop_crit": N_("The header asks for no extension (crit, b64)"),
    "dpop_jwk": N_("jwk is a public key that fits alg"),
    "dpop_signature": N_("The signature verifies with the key in jwk"),
    "dpop_jti": N_("jti is a text of 1 to 256 characters"),
    "dpop_htm": N_("htm is the method of the request"),
    "dpop_htu": N_("htu is the address of the endpoint"),
    "dpop_nbf": N_("nbf, where it is there, is a number"),
    "dpop_exp": N_("exp, where it is there, is a number"),
    "dpop_iat": N_("iat is within a minute of our clock"),
    "dpop_nbf_exp": N_("nbf and exp, where they are there, allow it now"),
    "dpop_ath": N_("ath is the SHA-256 of the access token"),
    "dpop_nonce": N_("nonce is our current one"),
    "dpop_replayed": N_("It was not used before"),
    "certificate_form": N_("It is one X.509 certificate that can be read"),
    "certificate_refused": N_("It is this client's, by the registered method, and valid now"),
}
_NONCE_FIX: Final = reasons.Reason(
    N_("The proof lacks our current nonce"),
    N_(
        "So begins every conversation: the answer brings a DPoP-Nonce, with which the next proof is made. A pasted "
        "proof is mostly too old for its nonce."
    ),
    "RFC 9449, 8",
)
_FORM_FIX: Final = reasons.Reason(
    N_("This cannot be read as a certificate"),
    N_(
        "Paste one certificate alone, from BEGIN CERTIFICATE to END CERTIFICATE, without its chain and its key."
    ),
    "RFC 7468, 5",
)


class ProofPages:
    """`/console/portals/<client_id>/check`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add_to(self, door: Blueprint) -> None:
        guarded, rule = self.desk.guarded, door.add_url_rule
        path = "/portals/<client_id>/check"
        rule(path, "portal_check", guarded(Act.SEE_PORTALS, self.form))
        rule(path, "portal_checked", guarded(Act.SEE_PORTALS, self.judge), methods=["POST"])

    def form(self, admin: Administrator, client_id: str) -> Response:
        return self._page(known(admin, client_id))

    def judge(self, admin: Administrator, client_id: str) -> Response:
        """Whoever may see the portal may ask: what is said is of its registration, which they see."""
        portal = known(admin, client_id)
        kind, pasted = field("kind", 16), field("proof", _MAX_PASTED)
        if kind not in KINDS or not pasted:
            return self._page(portal, status=400, problem=N_("Paste one of the three."))
        return self._page(portal, kind=kind, examined=self._examined(portal, kind, pasted))

    def _examined(self, portal: Registration, kind: str, pasted: str) -> Examined:
        checks = self.desk.house.proof_checks
        match kind:
            case "assertion":
                return checks.assertion(portal, pasted)
            case "dpop":
                method, path = field("method", 8), field("endpoint", 16)
                return checks.dpop(
                    pasted,
                    method=method if method in _METHODS else _METHODS[0],
                    path=path if path in _ENDPOINTS else _ENDPOINTS[0],
                    access_token=field("access_token", 2048) or None,
                )
            case _:
                return checks.certificate(portal, pasted)

    def _page(
        self,
        portal: Registration,
        *,
        status: int = 200,
        kind: str = "",
        examined: Examined | None = None,
        problem: str = "",
    ) -> Response:
        given = {"kind": kind or _usual(portal)}
        if kind == "dpop":
            given |= {"method": field("method", 8), "endpoint": field("endpoint", 16)}
        return self.desk.page(
            "portal_check.html",
            status=status,
            portal=portal,
            given=given,
            kinds=self.desk.choices(KINDS),
            kind_name=KINDS.get(kind, ""),
            methods=[(name, name) for name in _METHODS],
            endpoints=[(name, f"{self.desk.frame.settings.issuer}{name}") for name in _ENDPOINTS],
            examined=examined,
            why=_why(examined),
            words=STEPS,
            problem=problem,
        )


def _usual(portal: Registration) -> str:
    """What this portal most likely has to paste."""
    if "tls_client_auth" in portal.token_endpoint_auth_method:
        return "certificate"
    return "dpop" if portal.token_endpoint_auth_method != "private_key_jwt" else "assertion"


def _why(examined: Examined | None) -> dict[str, Any] | None:
    """What to do about the check that failed, with both sides where there are two."""
    if examined is None or examined.failed is None:
        return None
    failed = examined.failed
    own = {"dpop_nonce": _NONCE_FIX, "certificate_form": _FORM_FIX}
    reason = own.get(failed.check) or reasons.REASONS[failed.check]
    return {"reason": reason, "expected": list(failed.expected), "received": list(failed.received)}
