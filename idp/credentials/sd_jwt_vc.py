"""SD-JWT VC (`dc+sd-jwt`): from a presentation to a `VerifiedCredential`.

Trust in the issuer comes from the protected header's x5c alone: nothing named in a credential (iss, vct, jku, x5u)
is ever fetched, and a type is never accepted because it extends an accepted one. Key binding is always demanded.

Specs: draft-ietf-oauth-sd-jwt-vc-13 (also what later drafts forbid to be disclosable), OpenID4VP 1.0 appendix B.3,
HAIP 1.0 section 6.1. Left out: type metadata, issuer metadata by URL, transaction data, `vc+sd-jwt`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from idp.credentials import jose, schema, sd_jwt
from idp.credentials.status import StatusLookup, TokenType, status_evidence
from idp.credentials.trust import CredentialTypeTrust, FormatTrust, TrustSnapshot, seoul_day
from idp.credentials.verdict import CredentialRejected, Examined, Expected, Reason, VerifiedCredential

FORMAT = "dc+sd-jwt"
UNDISCLOSABLE = frozenset({"iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status"})


def verify(
    presentation: str, *, expected: Expected, trust: TrustSnapshot, status: StatusLookup, now: int
) -> VerifiedCredential:
    """What a holder has proven with this presentation, in answer to what is expected.

    In this order, the only step that may go out to the network last: form, header, type, holder's key, issuer's chain
    and days, signatures of issuer and holder, disclosures, times, what the holder signed, shape of the claims, status.
    The signatures come one after the other, so all that they need is read before: between two of them the processor
    forgets what it knew of everything else.

    Raises CredentialRejected.
    """
    token = sd_jwt.unverified_parse(presentation)
    sd_jwt.check_header_type(token, expected.header_types)
    known, looks = _accepted_type(token.issuer.payload, expected, trust)
    chain = jose.x5c_chain(token.issuer.header, Reason.ISSUER_CERTIFICATE)
    token.read_holder_key()
    issuer = trust.issuer_for_chain(known.id, FORMAT, chain, now)
    payload = sd_jwt.verify_sd_jwt(
        token,
        issuer_key=issuer.key,
        header_types=expected.header_types,
        key_binding=sd_jwt.KeyBinding(expected.audience, expected.nonce),
        now=now,
        undisclosable=UNDISCLOSABLE,
    )
    today = seoul_day(now)
    claims = schema.disclosed(payload, looks.places, mission_code=issuer.mission.code, today=today)
    authentication = schema.authentication(payload, looks.authentication, today)
    evidence = status_evidence(
        payload, known, issuer.mission, expected, token_type=TokenType.JWT, status=status, now=now
    )
    return VerifiedCredential(
        format=FORMAT,
        type_id=known.id,
        name=payload["vct"],
        claims=MappingProxyType(claims),
        authentication=authentication,
        mission=issuer.mission,
        issued_at=jose.numeric_date(payload, "iat"),
        expires_at=jose.numeric_date(payload, "exp"),
        status=evidence,
        issuer_chain=chain,
    )


def _accepted_type(
    unverified_payload: Mapping[str, Any], expected: Expected, trust: TrustSnapshot
) -> tuple[CredentialTypeTrust, FormatTrust]:
    """The type whose anchors the chain is held against.

    `vct` cannot be disclosed, so what is read here is what is signed.
    """
    vct = unverified_payload.get("vct")
    if not isinstance(vct, str):
        raise CredentialRejected(Reason.TYPE_NOT_ACCEPTED, "vct is missing, or not a string")
    known, looks = trust.type_named(FORMAT, vct)
    if known.id not in expected.accepted_types:
        raise CredentialRejected(Reason.TYPE_NOT_ACCEPTED, "not a type that was asked for")
    return known, looks


def examine(
    text: str,
    seen: Examined,
    *,
    header_types: frozenset[str],
    trust: TrustSnapshot,
    status: StatusLookup,
    now: int,
) -> Iterator[str]:
    """The steps of `verify` but for the holder's key, each named once it holds; what is learnt goes into `seen`.

    Raises CredentialRejected.
    """
    token = sd_jwt.unverified_parse(text)
    sd_jwt.check_header_type(token, header_types)
    yield "form"
    every = Expected("nobody", "none", frozenset(trust.types))
    known, looks = _accepted_type(token.issuer.payload, every, trust)
    seen.type_id = known.id
    yield "type"
    seen.chain = jose.x5c_chain(token.issuer.header, Reason.ISSUER_CERTIFICATE)
    issuer = trust.issuer_for_chain(known.id, FORMAT, seen.chain, now)
    yield "issuer"
    payload = sd_jwt.verify_sd_jwt(
        token,
        issuer_key=issuer.key,
        header_types=header_types,
        key_binding=None,
        now=now,
        undisclosable=UNDISCLOSABLE,
    )
    seen.mission, seen.name = issuer.mission, payload["vct"]
    seen.issued_at, seen.expires_at = jose.numeric_date(payload, "iat"), jose.numeric_date(payload, "exp")
    seen.elements = tuple(sorted(payload.keys() - UNDISCLOSABLE - {"iat"}))
    yield "signature"
    sd_jwt.holder_key(payload)
    yield "holder_key"
    today = seoul_day(now)
    schema.disclosed(payload, looks.places, mission_code=issuer.mission.code, today=today)
    schema.authentication(payload, looks.authentication, today)
    yield "claims"
    status_evidence(payload, known, issuer.mission, every, token_type=TokenType.JWT, status=status, now=now)
    yield "status"
