"""What it costs to verify one presentation, in multiples of the bare signature checks that it contains.

    python -m tests.bench.verifying [--peers DIRECTORY]

A verification cannot be faster than its signatures; how much slower it is says what everything else costs, on any
machine. Both are measured in turns within one run and by processor time, so that whatever else the machine has to do
weighs on them alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from idp import credentials
from idp.credentials import Expected, StatusLists, TrustSnapshot
from tests.bench import peers
from tests.bench.peers import Peer
from tests.credentials import issuing, issuing_mdoc
from tests.credentials.issuing import NOW, Authority, p256, public_jwk, x5c

FEW = ("name", "birthdate", "overseas_registration_number")
"""What a portal like 정부24 asks for."""
FEW_OF_MDOC = {
    issuing_mdoc.ISO: ["birth_date"],
    issuing_mdoc.KR: ["name_ko", "overseas_registration_number", "user_authentication"],
}
TEN_YEARS = 10 * 365 * 86_400


@dataclass(frozen=True)
class Cost:
    """One kind of presentation: medians of its verification and of its bare signature checks, in microseconds.

    checks: how many signatures are in it. ratio: the median of what the rounds say, each against its own checks.
    """

    format: str
    shown: str
    chain: str
    bytes: int
    checks: int
    verify_us: float
    bare_us: float
    ratio: float


@dataclass(frozen=True)
class _Kind:
    format: str
    shown: str
    presentations: list[str]
    expected: Expected
    trust: TrustSnapshot
    status: StatusLists

    def verify(self, presentation: str) -> None:
        credentials.verify(
            self.format, presentation, expected=self.expected, trust=self.trust, status=self.status, now=NOW
        )


def costs(rounds: int = 60, each: int = 20) -> list[Cost]:
    """Both formats, few elements and all, the issuer's chain known already and not."""
    found = []
    for kind in _kinds(rounds * each):
        found.append(_cost(kind, "known", 2, rounds, each))
        found.append(_cost(kind, "new", 3, rounds, each))
    return found


def _kinds(number: int) -> Iterator[_Kind]:
    """Presentations by so many signers of one authority, each with a certificate of its own."""
    authority = Authority()
    signers = [(key, issuing_mdoc.document_signer(authority, key=key)) for key in _keys(min(number, 400))]
    sd_jwt, mdoc = issuing.World(authority), issuing_mdoc.World(authority)
    for shown in ("few", "all"):
        yield _Kind(
            "dc+sd-jwt",
            shown,
            [_sd_jwt(authority, shown, key, certificate) for key, certificate in signers],
            issuing.EXPECTED,
            sd_jwt.trust,
            sd_jwt.status,
        )
        yield _Kind(
            "mso_mdoc",
            shown,
            [_mdoc(authority, shown, key, certificate) for key, certificate in signers],
            issuing_mdoc.EXPECTED,
            mdoc.trust,
            mdoc.status,
        )


def _keys(number: int) -> list[ec.EllipticCurvePrivateKey]:
    return [p256() for _ in range(number)]


def _sd_jwt(authority: Authority, shown: str, key: Any, certificate: Any) -> str:
    issued = issuing.issue(
        authority, key=key, header={"x5c": x5c(certificate)}, payload={"exp": NOW + TEN_YEARS}
    )
    names = list(issuing.CLAIMS)
    few = [issued.disclosures[names.index(name)] for name in FEW]
    return issued.present(disclosures=few if shown == "few" else None)


def _mdoc(authority: Authority, shown: str, key: Any, certificate: Any) -> str:
    validity = {"validUntil": issuing_mdoc.tdate(NOW + TEN_YEARS)}
    issued = issuing_mdoc.issue(authority, key=key, signer=certificate, validity=validity)
    return issued.present(shown=FEW_OF_MDOC if shown == "few" else None)


def _cost(kind: _Kind, chain: str, checks: int, rounds: int, each: int) -> Cost:
    known = kind.presentations[0]
    kind.verify(known)  # and the status list is fetched
    bare = _bare(checks)
    verified, checked = [], []
    for number in range(rounds):
        fresh = _without_memory(kind) if chain == "new" else kind
        one_round = [known] * each
        if chain == "new":
            first = number * each
            one_round = [kind.presentations[(first + at) % len(kind.presentations)] for at in range(each)]
        checked.append(_timed(lambda: [bare() for _ in range(each)]) / each)
        verified.append(
            _timed(lambda fresh=fresh, those=one_round: [fresh.verify(one) for one in those]) / each
        )
    return Cost(
        kind.format,
        kind.shown,
        chain,
        round(statistics.mean(map(len, kind.presentations))),
        checks,
        1e6 * statistics.median(verified),
        1e6 * statistics.median(checked),
        statistics.median(v / c for v, c in zip(verified, checked, strict=True)),
    )


def _without_memory(kind: _Kind) -> _Kind:
    """The same with a registry that has validated no chain yet, but has looked at its own entries."""
    trust = TrustSnapshot(kind.trust.types, kind.trust.missions)
    fresh = replace(kind, trust=trust)
    fresh.verify(kind.presentations[-1])
    return fresh


def _bare(checks: int) -> Callable[[], None]:
    key = p256()
    signed = bytes(1500)
    scheme = ec.ECDSA(hashes.SHA256())
    signature, public = key.sign(signed, scheme), key.public_key()

    def check() -> None:
        for _ in range(checks):
            public.verify(signature, signed, scheme)

    return check


def _timed(work: Callable[[], Any]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def for_peers(rounds: int, each: int) -> Mapping[str, Any]:
    """One presentation of each format, a few elements shown, and what another verifier needs for it."""
    authority = Authority()
    signer = issuing_mdoc.document_signer(authority)
    issued = issuing.issue(authority, payload={"exp": NOW + TEN_YEARS})
    names = list(issuing.CLAIMS)
    key = p256()
    signed = bytes(1500)
    signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    point = key.public_key().public_numbers()
    assert all(decode_dss_signature(signature))
    return {
        "rounds": rounds,
        "each": each,
        "now": NOW,
        "bare": {
            "jwk": public_jwk(key),
            "point": (b"\x04" + point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")).hex(),
            "signed": signed.hex(),
            "signature": signature.hex(),
        },
        "sd_jwt": {
            "presentation": issued.present(
                disclosures=[issued.disclosures[names.index(name)] for name in FEW]
            ),
            "issuer_jwk": public_jwk(authority.signer_key),
            "holder_jwk": public_jwk(issued.holder_key),
            "aud": issuing.AUDIENCE,
            "nonce": issuing.NONCE,
        },
        "mdoc": {
            "presentation": _mdoc(authority, "few", authority.signer_key, signer),
            "transcript": issuing_mdoc.TRANSCRIPT.hex(),
            "anchor_pem": authority.ca.public_bytes(Encoding.PEM).decode("ascii"),
        },
    }


def section(costs: list[Cost], others: list[Peer]) -> str:
    """The part of docs/performance.md."""
    rows = "\n".join(
        f"| `{one.format}` | {one.shown} | {one.chain} | {one.bytes:,} | {one.checks} | {one.bare_us:.0f} "
        f"| {one.verify_us:.0f} | {one.ratio:.2f} |"
        for one in costs
    )
    text = f"""
## Verification against its own signatures

What `credentials.verify` takes for one presentation, and what the signature checks in it would take alone (ECDSA on
P-256 by the same library), in microseconds of processor time. *Few* are the elements that a portal like 정부24 asks
for, *all* is everything that the certificate holds. A chain is *known* when this signer's certificate was validated
before; its path has two certificates. The status list is known. Each round measures both, one after the other; the
ratio is the median of the rounds'.

| format | shown | chain | characters | signatures | bare | verified | ratio |
|---|---|---|---|---|---|---|---|
{rows}"""
    if not others:
        return text
    peers_rows = "\n".join(
        f"| {one.name} | `{one.format}` | {one.bare_us:.0f} | {one.verify_us:.0f} | {one.verify_us / one.bare_us:.2f} "
        f"| {one.leaves_out} |"
        for one in others
    )
    return f"""{text}

Other libraries with presentations of the same kind, few elements shown and the chain known, each against the bare
signature checks of its own process: two, or as many as it makes.

| library | format | bare | verified | ratio | what it does not check |
|---|---|---|---|---|---|
{peers_rows}"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.verifying", description=__doc__)
    parser.add_argument(
        "--peers", type=Path, metavar="DIRECTORY", help="compare with libraries installed there"
    )
    parser.add_argument("--rounds", type=int, default=60)
    asked = parser.parse_args()
    others: list[Peer] = []
    if asked.peers is not None:
        peers.install(asked.peers)
        others = peers.measure(asked.peers, for_peers(asked.rounds, 20))
    print(section(costs(asked.rounds), others).strip())


if __name__ == "__main__":
    main()
