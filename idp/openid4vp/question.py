"""From what a portal wants to what a wallet is asked: the DCQL query of a login."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from idp import claims
from idp.consent import asked_claims
from idp.credentials.trust import CredentialTypeTrust, TrustSnapshot
from idp.login import AuthorizationRequest
from idp.openid4vp import dcql
from idp.portals import Registration


@dataclass(frozen=True)
class Question:
    """A query, the credential types that may answer it, and how careful to be about their status (decision D8)."""

    query: dict[str, Any]
    types: tuple[CredentialTypeTrust, ...]
    status_fail_closed: bool


class NoCredentialType(LookupError):
    """Nothing that the portal accepts is in the trust registry."""


def question(portal: Registration, request: AuthorizationRequest, trust: TrustSnapshot) -> Question:
    """One query, each accepted type an alternative. The person key is asked for ourselves and never released.

    The same portal, request and registry give the same query, so that it need not be stored with the login.
    Raises NoCredentialType.
    """
    accepted = tuple(
        kind
        for type_id, kind in sorted(trust.types.items())
        if not portal.credential_types or type_id in portal.credential_types
    )
    if not accepted:
        raise NoCredentialType(portal.client_id)
    wanted = asked_claims(portal, request)
    required = [claim.name for claim in wanted if claim.required]
    optional = [claim.name for claim in wanted if not claim.required]
    return Question(
        query=dcql.any_of([_credential(kind, required, optional) for kind in accepted]),
        types=accepted,
        status_fail_closed=portal.required_acr == "secure" or request.acr_required,
    )


def _credential(kind: CredentialTypeTrust, required: list[str], optional: list[str]) -> dict[str, Any]:
    person_key = claims.ELEMENT_PATHS[kind.person_key][kind.format]
    return dcql.credential(
        kind.id,
        kind.format,
        kind.vct,
        (*claims.paths(required, kind.format), person_key),
        claims.paths(optional, kind.format),
    )
