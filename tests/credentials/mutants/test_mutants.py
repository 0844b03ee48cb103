"""A short run of mutants of each format; and that a verifier with a hole would be found out by it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from idp import strict_json
from idp.credentials import (
    chains,
    cose,
    data_proof,
    did,
    ecdsa,
    jose,
    mdoc,
    mso,
    opendid,
    opendid_claims,
    sd_jwt,
    sd_jwt_vc,
    trust,
)
from tests.credentials.mutants.mdoc import Mdocs
from tests.credentials.mutants.opendid import OpenDids
from tests.credentials.mutants.running import Species, run
from tests.credentials.mutants.sd_jwt import SdJwts

# What cryptography says of certificates that it reads all the same.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning"),
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),
]

COUNT = 2_000
SPECIES: dict[str, Callable[[], Species]] = {"mso_mdoc": Mdocs, "dc+sd-jwt": SdJwts, "opendid": OpenDids}


@pytest.mark.parametrize("format", SPECIES)
def test_no_mutant_is_accepted_or_breaks_anything_or_costs_much(format: str) -> None:
    tally = run(SPECIES[format](), COUNT, seed=20261123)
    assert tally.failures == []
    assert tally.count == COUNT
    assert sum(tally.refused.values()) > 0.9 * COUNT


@pytest.mark.parametrize("format", SPECIES)
def test_the_same_seed_makes_the_same_mutants(format: str) -> None:
    first, again = (run(SPECIES[format](), 200, seed=7) for _ in range(2))
    assert first.rules == again.rules


def nothing(*_arguments: Any, **_named: Any) -> None:
    """A check that checks nothing."""


EVERY_HASH = dict.fromkeys(["SHA-256", "SHA-1", "SHA256", "sha-256", "SHA-224", "SHA-256 "], hashlib.sha256)


@dataclass(frozen=True)
class Hole:
    """What a check is replaced with, and the mutants that must then get through."""

    format: str
    rule: str
    where: Any
    name: str
    instead: Any


HOLES = [
    Hole("mso_mdoc", "issuer_signature", ecdsa.Algorithm, "verifies", lambda *_: True),
    Hole("mso_mdoc", "device_transcript", mdoc, "verify_device_signed", nothing),
    Hole("mso_mdoc", "element", mdoc, "_check_issuer_named", nothing),
    Hole("mso_mdoc", "status", mdoc, "_check_status", nothing),
    Hole("mso_mdoc", "response_member", mdoc, "_OTHER_DOCUMENTS", frozenset()),
    Hole("mso_mdoc", "times", mdoc, "SKEW_S", 10**7),
    Hole("mso_mdoc", "signed_item", mso, "MIN_RANDOM_BYTES", 0),
    Hole("mso_mdoc", "device_states", mso.KeyAuthorizations, "allow", lambda *_: True),
    Hole("mso_mdoc", "mso_word", mso, "_HASHES", EVERY_HASH),
    Hole("mso_mdoc", "certificates", chains, "_check_leaf", nothing),
    Hole("mso_mdoc", "issuer_header", cose, "CRIT", 99),
    Hole("dc+sd-jwt", "issuer_signature", ecdsa.Algorithm, "verifies", lambda *_: True),
    Hole("dc+sd-jwt", "issuer_payload_form", strict_json, "_read_back", msgspec.json.decode),
    Hole("dc+sd-jwt", "key_binding", sd_jwt, "_check_key_binding", nothing),
    Hole("dc+sd-jwt", "times", sd_jwt, "check_times", nothing),
    Hole("dc+sd-jwt", "issuer_header", sd_jwt, "check_header_type", nothing),
    Hole("dc+sd-jwt", "key_binding", sd_jwt, "KEY_BINDING_WINDOW_S", 10**9),
    Hole("dc+sd-jwt", "confirmation", sd_jwt, "_CONFIRMATION_MEMBERS", frozenset({"jwk", "kid", "jku"})),
    Hole("dc+sd-jwt", "confirmation", jose, "_PRIVATE_MEMBERS", frozenset()),
    Hole("dc+sd-jwt", "disclosure_form", sd_jwt, "_RESERVED", frozenset()),
    Hole("dc+sd-jwt", "undisclosable", sd_jwt_vc, "UNDISCLOSABLE", frozenset()),
    Hole("dc+sd-jwt", "certificates", chains, "_check_leaf", nothing),
    Hole("opendid", "issuer_signature", did, "check_signature", nothing),
    Hole("opendid", "holder_signature", data_proof, "verifies", lambda *_: True),
    Hole("opendid", "presentation_form", strict_json, "_read_back", msgspec.json.decode),
    Hole("opendid", "subject", opendid, "_check_holder", nothing),
    Hole("opendid", "nonce", opendid, "_check_nonce", nothing),
    Hole("opendid", "presentation_validity", opendid, "SKEW_S", 10**8),
    Hole("opendid", "too_many_claims", opendid, "MAX_CLAIMS", 999),
    Hole("opendid", "holder_proofs", opendid, "MAX_PROOFS", 99),
    Hole("opendid", "status", opendid, "check_active", nothing),
    Hole("opendid", "holder_key_use", did, "named_key", lambda document, url, *_: document.keys[url.key_id]),
    Hole("opendid", "document_form", did, "MAX_KEYS", 99),
    Hole("opendid", "owner_proofs", did, "_check_owner_proofs", nothing),
    Hole("opendid", "key_agreement", did.DidDocument, "agrees_on_keys", lambda _: False),
    Hole("opendid", "picture", opendid_claims, "_IMAGES", dict.fromkeys(["gif", "svg", "jpg"], "image/png")),
    Hole("opendid", "mission", trust, "_active", lambda mission, _now: mission),
]


@pytest.mark.parametrize("hole", HOLES, ids=lambda hole: f"{hole.format} {hole.rule} {hole.name}")
def test_a_verifier_with_a_hole_is_found_out(monkeypatch: pytest.MonkeyPatch, hole: Hole) -> None:
    species = SPECIES[hole.format]()
    assert run(species, 400, seed=1, aimed=hole.rule).failures == []
    monkeypatch.setattr(hole.where, hole.name, hole.instead)
    failures = run(species, 400, seed=1, aimed=hole.rule).failures
    assert {what for _rule, what, _presentation in failures} == {"accepted"}
