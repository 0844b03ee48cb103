"""What it costs to verify one presentation, in multiples of the bare signature checks that it contains.

    python -m tests.bench.verifying [--peers DIRECTORY]

A verification cannot be faster than its signatures; how much slower it is says what everything else costs, on any
machine. Both are measured in turns within one run and by processor time, and of each the fastest round counts:
whatever else the machine has to do only adds (it empties caches, of which interpreted code needs more). No
presentation is verified twice in a round: every one has a holder's key of its own.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import textwrap
import time
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from idp import credentials
from idp.credentials import Expected, StatusLists, TrustSnapshot
from tests.bench import bare, parts, peers
from tests.bench.bare import Signature
from tests.bench.peers import Peer
from tests.credentials import issuing, issuing_mdoc
from tests.credentials.issuing import NOW, Authority, der, p256, public_jwk, x5c
from tests.credentials.mdocs import changed_value

ASKED: Mapping[str, Collection[str]] = {
    "정부24": ("name", "birthdate", "overseas_registration_number"),
    "재외동포365": ("name", "family_name", "given_name", "birthdate", "issuing_mission", "address"),
    "아포스티유": ("name", "family_name", "given_name", "birthdate", "passport"),
    "데모은행": ("name", "birthdate", "nationalities", "passport"),
    "민원창구, photo": ("name", "picture"),
    "all": tuple(issuing.CLAIMS),
    "all, photo": tuple(issuing.CLAIMS),
}
"""The elements that portals of the demonstration ask for, and all that there are."""
STEPPED = ("정부24", "아포스티유", "all", "all, photo")
"""Of which it is told where the time goes."""
FOR_PEERS = "정부24"
PHOTO = b"\xff\xd8\xff" + secrets.token_bytes(20 * 1024)
GOAL = 2.0
ROUNDS = 300
EACH = 4
"""Presentations of a round: so few that it ends, most times, before something else is let onto the processor."""
TEN_YEARS = 10 * 365 * 86_400


@dataclass(frozen=True)
class Cost:
    """One kind of presentation, in microseconds: its verification, its bare signature checks, and a reader that
    checks nothing but them (`bare`), each the fastest of its rounds. checks: how many signatures are in it. steps:
    where the time goes, the chain known.
    """

    format: str
    shown: str
    chain: str
    bytes: int
    checks: int
    verify_us: float
    bare_us: float
    read_us: float
    steps: Mapping[str, float]

    @property
    def ratio(self) -> float:
        return self.verify_us / self.bare_us

    @property
    def least(self) -> float:
        return self.read_us / self.bare_us


@dataclass(frozen=True)
class _Shown:
    """A presentation, its signatures (of issuer, holder and certificate), and the signer's certificate."""

    text: str
    signatures: list[Signature]
    certificate: bytes


@dataclass(frozen=True)
class _Kind:
    """known: by one signer, whose chain has been validated before. new: each by another signer.

    read, read_path: what a reader does for a presentation, and for a chain that is new to it.
    """

    format: str
    shown: str
    known: list[_Shown]
    new: list[_Shown]
    read: Callable[[str], None]
    read_path: Callable[[bytes], None]
    expected: Expected
    trust: TrustSnapshot
    status: StatusLists

    def verify(self, presentation: str) -> None:
        credentials.verify(
            self.format, presentation, expected=self.expected, trust=self.trust, status=self.status, now=NOW
        )


def costs(rounds: int = ROUNDS, each: int = EACH) -> list[Cost]:
    """Both formats; what each portal asks for, and all; the issuer's chain known already and not."""
    found = []
    # More signers than headers are kept for (`jose`): a chain that is new stands in a header that is new.
    for kind in _kinds(min(rounds * each, 300) + 1):
        found.append(_cost(kind, "known", rounds, each))
        found.append(_cost(kind, "new", rounds, each))
    return found


def _kinds(number: int) -> Iterator[_Kind]:
    """Of each so many presentations by one signer, and so many by signers of the same authority."""
    authority = Authority()
    signers = [(key, issuing_mdoc.document_signer(authority, key=key)) for key in _keys(number)]
    read_path = bare.path_reader(authority.ca, NOW)
    for world, make, read, expected, format in (
        (issuing.World(authority), _sd_jwt, bare.read_sd_jwt, issuing.EXPECTED, "dc+sd-jwt"),
        (issuing_mdoc.World(authority), _mdoc, bare.read_mdoc, issuing_mdoc.EXPECTED, "mso_mdoc"),
    ):
        for shown in ASKED:
            yield _Kind(
                format=format,
                shown=shown,
                known=[make(authority, shown, *signers[0]) for _ in signers[1:]],
                new=[make(authority, shown, *signer) for signer in signers[1:]],
                read=read,
                read_path=read_path,
                expected=expected,
                trust=world.trust,
                status=world.status,
            )


def _keys(number: int) -> list[ec.EllipticCurvePrivateKey]:
    return [p256() for _ in range(number)]


def _sd_jwt(
    authority: Authority, shown: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> _Shown:
    photo = f"data:image/jpeg;base64,{b64encode(PHOTO).decode('ascii')}"
    issued = issuing.issue(
        authority,
        key=key,
        header={"x5c": x5c(certificate)},
        payload={"exp": NOW + TEN_YEARS},
        claims={"picture": photo} if shown.endswith("photo") else None,
    )
    of_each = dict(zip(issuing.CLAIMS, issued.disclosures, strict=True))
    text = issued.present(disclosures=[of_each[name] for name in ASKED[shown]])
    signatures = bare.of_sd_jwt(text, key.public_key(), issued.holder_key.public_key())
    return _shown(text, signatures, authority, certificate)


def _mdoc(
    authority: Authority, shown: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> _Shown:
    issued = issuing_mdoc.issue(
        authority,
        key=key,
        signer=certificate,
        validity={"validUntil": issuing_mdoc.tdate(NOW + TEN_YEARS)},
        elements=changed_value(issuing_mdoc.ISO, "portrait", PHOTO) if shown.endswith("photo") else None,
    )
    text = issued.present(shown=None if shown.startswith("all") else _of_mdoc(ASKED[shown]))
    holder = issued.holder_key.public_key()
    return _shown(
        text, bare.of_mdoc(text, key.public_key(), holder, issuing_mdoc.TRANSCRIPT), authority, certificate
    )


def _of_mdoc(elements: Collection[str]) -> dict[str, list[str]]:
    """Those of an mdoc, by namespace; beside them how the holder unlocks it, as verifiers ask for."""
    asked = {issuing_mdoc.KR: ["user_authentication"]}
    for element, (name_space, name) in issuing_mdoc.PATHS.items():
        if element[0] in elements:
            asked.setdefault(name_space, []).append(name)
    return asked


def _shown(
    text: str, signatures: list[Signature], authority: Authority, certificate: x509.Certificate
) -> _Shown:
    own = bare.of_certificate(certificate, authority.key.public_key())
    return _Shown(text, [*signatures, own], der(certificate))


def _cost(kind: _Kind, chain: str, rounds: int, each: int) -> Cost:
    presentations, checks = (kind.new, 3) if chain == "new" else (kind.known, 2)
    kind.verify(presentations[0].text)  # and the status list is fetched
    verified, checked, read = [], [], []
    turns = [
        [presentations[(number * each + at) % len(presentations)] for at in range(each)]
        for number in range(rounds)
    ]
    for those in turns:
        ours = _without_memory(kind) if chain == "new" else kind
        checked.append(_timed(_check, those, checks) / each)
        verified.append(_timed(_verify, ours, those) / each)
    for those in turns:
        read.append(_timed(_read, kind, those, chain == "new") / each)
    return Cost(
        kind.format,
        kind.shown,
        chain,
        round(statistics.mean(len(one.text) for one in presentations)),
        checks,
        1e6 * min(verified),
        1e6 * min(checked),
        1e6 * min(read),
        parts.of(kind.format, kind.verify, [one.text for one in presentations[:each]], rounds)
        if chain == "known" and kind.shown in STEPPED
        else {},
    )


def _without_memory(kind: _Kind) -> _Kind:
    """The same with a registry that has validated no chain yet, but has looked at its own entries."""
    fresh = replace(kind, trust=TrustSnapshot(kind.trust.types, kind.trust.missions))
    fresh.verify(kind.known[0].text)
    return fresh


def _check(those: Sequence[_Shown], checks: int) -> None:
    for one in those:
        for signature in one.signatures[:checks]:
            signature.check()


def _verify(kind: _Kind, those: Sequence[_Shown]) -> None:
    for one in those:
        kind.verify(one.text)


def _read(kind: _Kind, those: Sequence[_Shown], new: bool) -> None:
    for one in those:
        if new:
            kind.read_path(one.certificate)
        kind.read(one.text)
        for signature in one.signatures[:2]:
            signature.check()


def _timed(work: Callable[..., None], *given: Any) -> float:
    began = time.thread_time()
    work(*given)
    return time.thread_time() - began


def for_peers(rounds: int, each: int) -> Mapping[str, Any]:
    """One presentation of each format, for one portal, and what another verifier needs for it."""
    authority = Authority()
    signer = issuing_mdoc.document_signer(authority)
    issued = issuing.issue(authority, payload={"exp": NOW + TEN_YEARS})
    of_each = dict(zip(issuing.CLAIMS, issued.disclosures, strict=True))
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
            "presentation": issued.present(disclosures=[of_each[name] for name in ASKED[FOR_PEERS]]),
            "issuer_jwk": public_jwk(authority.signer_key),
            "holder_jwk": public_jwk(issued.holder_key),
            "aud": issuing.AUDIENCE,
            "nonce": issuing.NONCE,
        },
        "mdoc": {
            "presentation": _mdoc(authority, FOR_PEERS, authority.signer_key, signer).text,
            "transcript": issuing_mdoc.TRANSCRIPT.hex(),
            "anchor_pem": authority.ca.public_bytes(Encoding.PEM).decode("ascii"),
        },
    }


def section(costs: list[Cost], others: list[Peer]) -> str:
    """The part of docs/performance.md."""
    rows = "\n".join(
        f"| `{one.format}` | {one.shown} | {one.chain} | {one.bytes:,} | {one.checks} | {one.bare_us:.0f} "
        f"| {one.verify_us:.0f} | {one.ratio:.2f} | {one.least:.2f} |"
        for one in costs
    )
    text = f"""
## Verification against its own signatures

What `credentials.verify` takes for one presentation, and what the signature checks in it take alone: the same
signatures (ECDSA on P-256) over the same bytes by the same library, with the keys already read. Microseconds of
processor time. Shown is what a portal of the demonstration asks for (전자가족관계등록시스템 for less than 정부24), or
*all* that the certificate holds, the *photo* having {len(PHOTO) // 1024} KiB, or else a few bytes. A chain is
*known* when this signer's certificate was validated before; where it is new, the certificate's signature is checked
too. A path has two certificates, and the status list is known. Every presentation has a holder and a key of its own,
and where the chain is new a signer too.

*Least* is what a reader takes that checks these signatures and nothing else: base64, JSON or CBOR, digests, the
holder's key and the library's path validation, each by the fastest of the libraries we use. What a verifier takes
beyond that is its checks. The verification and the bare checks are measured in turns, the reader after them, and of
each the fastest round of {EACH} presentations counts: what else the machine does only adds. Both ratios are to *bare*.

| format | shown | chain | characters | signatures | bare | verified | ratio | least |
|---|---|---|---|---|---|---|---|---|
{rows}

{_against_the_goal(costs)}

**Why the rest is over it.** Each element that is shown is decoded, found by its digest and held against its shape;
the bytes of a photo are decoded and hashed, in an SD-JWT VC twice, since the holder signs for what is shown. Tried
once, on 2026-11-30: without the signature checks, which empty the caches, all else took a quarter less; compiled by
Cython, as it stands, it took as long.

Where the time goes, the chain known, in microseconds with what timing each step adds: what is over the bare signatures
is reading strictly, finding each digest, and holding each element against its shape.

{_steps(costs)}"""
    if not others:
        return text
    peers_rows = "\n".join(
        f"| {one.name} | `{one.format}` | {one.bare_us:.0f} | {one.verify_us:.0f} | {one.verify_us / one.bare_us:.2f} "
        f"| {one.leaves_out} |"
        for one in others
    )
    return f"""{text}

Other libraries with presentations as for {FOR_PEERS}, the chain known, each against the bare
signature checks of its own process: two, or as many as it makes. Here too the fastest round counts.

| library | format | bare | verified | ratio | what it does not check |
|---|---|---|---|---|---|
{peers_rows}"""


def _steps(costs: Sequence[Cost]) -> str:
    tables = []
    for format in dict.fromkeys(one.format for one in costs):
        those = [one for one in costs if one.format == format and one.steps]
        names = dict.fromkeys(name for one in those for name in one.steps)
        head = f"| `{format}` | {' | '.join(one.shown for one in those)} |"
        rows = [
            f"| {name} | {' | '.join(f'{one.steps.get(name, 0):.0f}' for one in those)} |" for name in names
        ]
        tables.append("\n".join([head, "|---" * (len(those) + 1) + "|", *rows]))
    return "\n\n".join(tables)


def _against_the_goal(costs: Sequence[Cost]) -> str:
    reached = [one for one in costs if one.ratio <= GOAL]
    said = [
        f"The goal is a ratio of at most {GOAL:.0f} in every row, before rounding. It is reached in {len(reached)} of "
        f"{len(costs)} rows."
    ]
    for what, those in (
        ("Not reached", [one for one in costs if one.ratio > GOAL >= one.least]),
        ("Not to be reached, since the least is above it", [one for one in costs if one.least > GOAL]),
    ):
        if those:
            rows = "; ".join(f"`{one.format}` {one.shown}, {one.chain} ({one.ratio:.2f})" for one in those)
            said.append(f"{what}: {rows}.")
    return "\n\n".join(textwrap.fill(one, 118, break_on_hyphens=False) for one in said)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.verifying", description=__doc__)
    parser.add_argument(
        "--peers", type=Path, metavar="DIRECTORY", help="compare with libraries installed there"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    others: list[Peer] = []
    if asked.peers is not None:
        peers.install(asked.peers)
        others = peers.measure(asked.peers, for_peers(asked.rounds, EACH))
    print(section(costs(asked.rounds), others).strip())


if __name__ == "__main__":
    main()
