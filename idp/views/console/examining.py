"""A credential, pasted and judged: which rule of the registry it passes and which it fails.

It may be a holder's. Nothing of it is kept or logged, and no value of it is shown: the names of its elements, its
type, its issuer and its times are what an operator needs. The audit has that it was done, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509
from flask import Blueprint, Response, request

from idp.admin.people import Act, Administrator
from idp.credentials import Reason, examining
from idp.credentials.verdict import Examined
from idp.errors import LoginError
from idp.events import Event, record_alone
from idp.views.console.desk import Desk
from idp.views.console.trust import Certificate, certificate
from idp.views.messages import N_, problem_for, spoken

_A_MINUTE: Final = 60
STEPS: Final[Mapping[str, str]] = {
    "form": N_("It is an SD-JWT VC or an mdoc, well formed"),
    "type": N_("Its type is in the registry"),
    "issuer": N_("Its issuer's certificates lead to an authority of the registry that issues this type now"),
    "signature": N_(
        "The issuer's signature holds, what is disclosed is what was signed, and it is valid now"
    ),
    "holder_key": N_("It is bound to a key of its holder's"),
    "claims": N_("Its elements have the form that is expected"),
    "status": N_("It is neither revoked nor suspended"),
}


class CredentialPages:
    """`/console/trust/credential`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add_to(self, door: Blueprint) -> None:
        guarded, rule = self.desk.guarded, door.add_url_rule
        large = self.desk.frame.settings.server.max_body_bytes
        act = Act.CHANGE_SYSTEM
        rule("/trust/credential", "credential", guarded(act, self.form))
        rule(
            "/trust/credential",
            "credential_judged",
            guarded(act, self.judge, max_bytes=large),
            methods=["POST"],
        )

    def form(self, admin: Administrator) -> Response:
        return self._page()

    def judge(self, admin: Administrator) -> Response:
        uploaded = request.files.get("file")
        given = uploaded.stream.read() if uploaded is not None and uploaded.filename else b""
        text = given.decode("utf-8", "replace") if given else request.form.get("credential", "")
        text = "".join(text.split())
        if not text:
            return self._page(problem=N_("Paste a credential, or choose a file."))
        house, now = self.desk.house, self.desk.clock()
        if house.store.count(f"rate:credential-test:{admin.id}", 60) > _A_MINUTE:
            raise LoginError("too_many", status=429)
        record_alone(Event.CREDENTIAL_TESTED, at=now)
        types = frozenset(
            {"dc+sd-jwt", *(one for w in house.wallets.in_use().values() for one in w.sd_jwt_types)}
        )
        seen = examining.examine(
            text, header_types=types, trust=house.trust.snapshot(), status=house.status_lists, now=now
        )
        return self._page(seen)

    def _page(self, seen: Examined | None = None, problem: str = "") -> Response:
        return self.desk.page(
            "trust_credential.html",
            status=400 if problem else 200,
            problem=problem,
            seen=seen,
            steps=_steps(seen) if seen is not None else [],
            holder=self._holder(seen.reason) if seen is not None and seen.reason is not None else None,
            certificates=_certificates(seen) if seen is not None else [],
            now=self.desk.clock(),
        )

    def _holder(self, reason: Reason) -> Any:
        """What its holder would read at a sign-in."""
        return spoken(problem_for(reason), self.desk.frame.lang())


def _steps(seen: Examined) -> list[tuple[str, bool | None]]:
    """Each step in words, and whether it holds; None: it was not reached."""
    n = len(seen.passed)
    return [
        (STEPS[name], True if place < n else False if place == n else None)
        for place, name in enumerate(examining.STEPS)
    ]


def _certificates(seen: Examined) -> list[Certificate]:
    """Those that it brings, trusted or not, as far as they can be read."""
    found = []
    for der in seen.chain:
        try:
            found.append(certificate("", x509.load_der_x509_certificate(der)))
        except ValueError:
            continue
    return found
