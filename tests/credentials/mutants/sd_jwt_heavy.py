"""Mutants of SD-JWT VCs that are made to cost much."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tests.credentials.issuing import b64u, disclosure, x5c

if TYPE_CHECKING:
    from tests.credentials.mutants.sd_jwt import SdJwts as Lab


def _header(lab: Lab) -> str:
    return b64u(json.dumps({"alg": "ES256", "typ": "dc+sd-jwt", "x5c": x5c(lab.authority.signer)}).encode())


def _payload(lab: Lab, payload: bytes) -> str:
    """A presentation with this payload; the signature is another's."""
    signature = lab.issued.jwt.rpartition(".")[2]
    return f"{_header(lab)}.{b64u(payload)}.{signature}~"


def _deep(lab: Lab, chance: random.Random) -> str:
    step, end = chance.choice([(b"[", b"]"), (b'{"a":', b"}")])
    depth = chance.randint(20, 60_000)
    return _payload(lab, step * depth + b"1" + end * chance.choice([depth, 0]))


def _many(lab: Lab, chance: random.Random) -> str:
    part = chance.choice([b"[]", b"{}", b"1", b'""', b"null", b'{"":0}', b"1.5", b'"\\u0000"'])
    return _payload(lab, b'{"vct":[' + b",".join([part] * chance.randint(1000, 60_000)) + b"]}")


def _members(lab: Lab, chance: random.Random) -> str:
    members = ",".join(f'"{chance.getrandbits(32):x}":0' for _ in range(chance.randint(1000, 12_000)))
    return _payload(lab, b"{" + members.encode() + b"}")


def _long_number(lab: Lab, chance: random.Random) -> str:
    return _payload(
        lab, b'{"exp":' + chance.choice([b"", b"-", b"1."]) + b"9" * chance.randint(100, 180_000) + b"}"
    )


def _quotes(lab: Lab, chance: random.Random) -> str:
    part = chance.choice([b'"', b'\\"', b"\\", b'"\\', b"["])
    return _payload(lab, b'{"x":"' + part * chance.randint(1000, 90_000))


def _disclosures(lab: Lab, chance: random.Random) -> str:
    text = chance.choice([disclosure("name", "x"), "", "A", b64u(b"[" * 1000)])
    issuer, _, proof = lab.issued.present(disclosures=[]).rpartition("~")
    return issuer + "~" + (text + "~") * chance.randint(200, 9_000) + proof


def _long_text(lab: Lab, chance: random.Random) -> str:
    return chance.choice(["~", ".", "A", "~A", ".~", "가"]) * chance.randint(1000, 900_000)


HEAVY: Mapping[str, Callable[[Lab, random.Random], str]] = {
    f"heavy: {function.__name__.strip('_')}": function
    for function in (_deep, _many, _members, _long_number, _quotes, _disclosures, _long_text)
}
