"""Which certificates end soon: those of the trust registry, those that sign for it, and our own."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from idp.credentials import Mission, TrustSnapshot
from idp.credentials.trust import seoul_day
from idp.models import SeenChain

Role = Literal["issuer", "status", "pinned", "signer", "own"]


@dataclass(frozen=True, order=True)
class Ending:
    """A certificate and when it ends, seconds since the epoch. `what` says whose it is, in words of the registry.

    role: what it is for, and `of` which mission; that is "" for our own.
    """

    at: int
    what: str
    subject: str
    sha256: str
    role: Role = "own"
    of: str = ""


def endings(
    trust: TrustSnapshot,
    chains: Iterable[SeenChain],
    own: Sequence[x509.Certificate],
    *,
    now: int,
    within_s: int,
) -> list[Ending]:
    """What ends within this time or has ended, the first one first.

    chains: those under which credentials were accepted lately. own: our chain for wallets. Left out: certificates of
    missions that issue no more, and signers that have ended: others have taken their place.
    """
    found = {
        *_anchors(trust, now),
        *(one for one in _signers(chains) if one.at > now),
        *(_ending("our certificate for wallets", certificate, "own") for certificate in own),
    }
    return sorted(one for one in found if one.at <= now + within_s)


def _anchors(trust: TrustSnapshot, now: int) -> Iterator[Ending]:
    today = seoul_day(now)
    for mission in trust.missions.values():
        if mission.active_until is not None and mission.active_until < today:
            continue
        for role, certificates in roles(mission):
            for certificate in certificates:
                what = "pinned signer's" if role == "pinned" else role
                yield _ending(f"{what} certificate of {mission.code}", certificate, role, mission.code)


def roles(mission: Mission) -> tuple[tuple[Role, tuple[x509.Certificate, ...]], ...]:
    """The certificates of a mission, by what they are for."""
    return (
        ("issuer", mission.issuer_anchors),
        ("status", mission.status_anchors),
        ("pinned", mission.pinned_signers),
    )


def _signers(chains: Iterable[SeenChain]) -> Iterator[Ending]:
    for seen in chains:
        for der in seen.chain:
            what = f"signer of {seen.mission} for {seen.credential_type} ({seen.format})"
            yield _ending(what, x509.load_der_x509_certificate(b64decode(der)), "signer", seen.mission)


def _ending(what: str, certificate: x509.Certificate, role: Role, of: str = "") -> Ending:
    return Ending(
        at=int(certificate.not_valid_after_utc.timestamp()),
        what=what,
        subject=certificate.subject.rfc4514_string(),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        role=role,
        of=of,
    )


def in_days(ending: Ending, now: int) -> str:
    """`2026-12-20, in 22 days`, or that it has ended."""
    day = datetime.fromtimestamp(ending.at, UTC).strftime("%Y-%m-%d")
    return f"{day}, in {(ending.at - now) // 86_400} days" if ending.at > now else f"{day}, it has ended"
