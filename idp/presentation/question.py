"""From what a portal wants to what a wallet may answer with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from idp import claims
from idp.claims import CLAIMS, Path
from idp.consent import asked_claims
from idp.credentials.trust import CredentialTypeTrust, FormatTrust, TrustSnapshot
from idp.login import AuthorizationRequest
from idp.portals import Registration, RequestedClaim


class NoCredentialType(LookupError):
    """Nothing in the trust registry that the portal accepts can show what it requires."""


@dataclass(frozen=True)
class Alternative:
    """One way to answer: a type of credential in one format, and the elements it would have to show.

    person_keys: asked for ourselves, to find the person again; never released for that.
    authorities: key identifiers of who may certify its issuers (`TrustSnapshot.authority_key_ids`); none where a
        wallet cannot tell by them.
    """

    kind: CredentialTypeTrust
    looks: FormatTrust
    person_keys: tuple[Path, ...]
    required: tuple[Path, ...]
    optional: tuple[Path, ...]
    authorities: tuple[str, ...] = ()

    @property
    def asked(self) -> frozenset[Path]:
        """Everything that is asked for."""
        return frozenset((*self.required, *self.optional, *self.person_keys))


@dataclass(frozen=True)
class Question:
    """What a login asks, in no protocol's words. Alternatives are in order of type and format.

    status_fail_closed: how careful to be about a credential's status (decision D8).
    """

    alternatives: tuple[Alternative, ...]
    status_fail_closed: bool

    @property
    def types(self) -> tuple[CredentialTypeTrust, ...]:
        """The types that may answer, each once."""
        return tuple({alternative.kind.id: alternative.kind for alternative in self.alternatives}.values())

    def within(self, formats: Collection[str]) -> tuple[Alternative, ...]:
        """The alternatives in formats that a wallet speaks."""
        return tuple(one for one in self.alternatives if one.looks.format in formats)


def question(
    portal: Registration, request: AuthorizationRequest, trust: TrustSnapshot, *, with_ci: bool
) -> Question:
    """What this portal's request can be answered with.

    with_ci: the deployment may ask for 연계정보, which joins one person's cards.

    The same portal, request and registry give the same question, so that it need not be stored with the login.
    Raises NoCredentialType.
    """
    wanted = asked_claims(portal, request)
    found = (
        _alternative(kind, looks, wanted, tuple(sorted(trust.authority_key_ids(type_id))), with_ci=with_ci)
        for type_id, kind in sorted(trust.types.items())
        if not portal.credential_types or type_id in portal.credential_types
        for _, looks in sorted(kind.formats.items())
    )
    alternatives = tuple(one for one in found if one is not None)
    if not alternatives:
        raise NoCredentialType(portal.client_id)
    return Question(
        alternatives=alternatives,
        status_fail_closed=portal.required_acr == "secure" or request.acr_required,
    )


def _alternative(
    kind: CredentialTypeTrust,
    looks: FormatTrust,
    wanted: Collection[RequestedClaim],
    authorities: tuple[str, ...],
    *,
    with_ci: bool,
) -> Alternative | None:
    """None where the credential lacks a required claim, or what would find its holder again."""
    own = [kind.person_key] if kind.person_key is not None else []
    keys = dict.fromkeys([*own, *([claims.CI] if with_ci and claims.CI in looks.paths else [])])
    if claims.CI in keys and not with_ci:
        return None
    if not all(_has(looks, claim) for claim in wanted if claim.required):
        return None
    return Alternative(
        kind=kind,
        looks=looks,
        person_keys=tuple(keys),
        required=_elements(looks, [claim.name for claim in wanted if claim.required]),
        optional=_elements(looks, [claim.name for claim in wanted if not claim.required]),
        authorities=authorities,
    )


def _has(looks: FormatTrust, claim: RequestedClaim) -> bool:
    return any(path in looks.paths for path in CLAIMS[claim.name].elements)


def _elements(looks: FormatTrust, names: Collection[str]) -> tuple[Path, ...]:
    return tuple(path for path in claims.elements(names) if path in looks.paths)
