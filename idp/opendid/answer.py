"""What a wallet answers: an encrypted presentation, opened, checked against the question, and verified.

Spec: Open DID, Verifier API P310, `request-verify`; Data Specification 4.4.4 and 4.6.2.2. The order is fixed:
decryption, the credential, the holder's signature on the key agreement, the question. Every refusal is a
`PresentationError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from idp import credentials
from idp.clock import Clock
from idp.credentials import Registry, StatusLookup, TrustSnapshot, multibase
from idp.credentials.opendid import FORMAT, check_key_agreement
from idp.errors import PresentationError
from idp.login import Via
from idp.opendid.offers import Transaction
from idp.presentation.proof import Answered, answered, rejected
from idp.presentation.question import Question


class Answers:
    """Reads wallets' answers."""

    def __init__(
        self, *, registry: Registry, trust: Callable[[], TrustSnapshot], status: StatusLookup, clock: Clock
    ) -> None:
        self._registry = registry
        self._trust = trust
        self._status = status
        self._clock = clock

    def read(
        self,
        acceptance: Mapping[str, Any],
        encrypted: str,
        transaction: Transaction,
        question: Question,
        via: Via,
    ) -> Answered:
        """The verified answer to a question. acceptance: `AccE2e`, encrypted: `encVp`, as they came.

        Raises PresentationError.
        """
        presentation = transaction.agreement.open(acceptance, encrypted)
        alternatives = {one.kind.id: one for one in question.within((FORMAT,))}
        now = self._clock()
        try:
            verified = credentials.verify(
                FORMAT,
                presentation,
                expected=credentials.Expected(
                    audience="",
                    nonce=multibase.encode(transaction.nonce, "m"),
                    accepted_types=frozenset(alternatives),
                    status_fail_closed=question.status_fail_closed,
                    registry=self._registry,
                ),
                trust=self._trust(),
                status=self._status,
                now=now,
            )
            check_key_agreement(acceptance, presentation, registry=self._registry, now=now)
        except credentials.CredentialRejected as error:
            raise rejected(error) from error
        if not verified.authentication:
            # The profile asks for PIN or biometrics; a key that nothing unlocks is no sign of the holder.
            raise PresentationError("too_weak", "authType", oauth_error="unmet_authentication_requirements")
        return answered(verified, alternatives[verified.type_id], via=via, now=now)
