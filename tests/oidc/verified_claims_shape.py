"""What a `verified_claims` must look like, from the text of the specification.

OpenID Identity Assurance Schema Definition 1.0, section 5; Identity Assurance 1.0, section 9 for what discovery must
announce. `problems` says where an answer is not one.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")  # section 10: in UTC
DAY = re.compile(r"\d{4}-\d\d-\d\d\Z")
COUNTRY = re.compile(r"[A-Z]{2,3}\Z")
TEXT = re.compile(r".+\Z", re.DOTALL)

ADDRESS = dict.fromkeys(("formatted", "street_address", "locality", "region", "postal_code", "country"), TEXT)
SOURCE = {"name": TEXT, "country_code": COUNTRY, "jurisdiction": TEXT, **ADDRESS}
CHECK = {"check_method!": TEXT, "organization": TEXT, "check_id": TEXT, "time": INSTANT}
RECORD = {"type!": TEXT, "created_at": INSTANT, "date_of_expiry": DAY, "source": SOURCE}
EVIDENCE = {"type!": TEXT, "check_details": [CHECK], "record": RECORD}
VERIFICATION = {
    "trust_framework!": TEXT,
    "assurance_level": TEXT,
    "time": INSTANT,
    "verification_process": TEXT,
    "evidence": [EVIDENCE],
}


def problems(said: Any, discovery: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with an answer: its shape, and what discovery does not announce."""
    entries = said if isinstance(said, list) else [said]
    return [problem for entry in entries for problem in (*_shape(entry), *_announced(entry, discovery))]


def _shape(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict) or entry.keys() != {"verification", "claims"}:
        yield "not verification and claims"
        return
    yield from _fits(entry["verification"], VERIFICATION, "verification")
    if not isinstance(entry["claims"], dict):
        yield "claims: not an object"


def _fits(value: Any, shape: Any, where: str) -> Iterator[str]:
    if isinstance(shape, re.Pattern):
        if not isinstance(value, str) or not shape.match(value):
            yield f"{where}: not {shape.pattern}"
    elif isinstance(shape, list):
        if not isinstance(value, list) or not value:
            yield f"{where}: not an array with members"
            return
        for element in value:
            yield from _fits(element, shape[0], f"{where}[]")
    elif not isinstance(value, dict):
        yield f"{where}: not an object"
    else:
        known = {name.rstrip("!"): inner for name, inner in shape.items()}
        yield from (f"{where}: {name} is not known" for name in value.keys() - known.keys())
        yield from (
            f"{where}: {name} is missing" for name in shape if name[-1] == "!" and name[:-1] not in value
        )
        for name in value.keys() & known.keys():
            yield from _fits(value[name], known[name], f"{where}.{name}")


def _announced(entry: Any, discovery: Mapping[str, Any]) -> Iterator[str]:
    def unless(value: object, member: str) -> Iterator[str]:
        if value not in discovery.get(member, []):
            yield f"not in {member}"

    verification = entry["verification"]
    yield from unless(verification["trust_framework"], "trust_frameworks_supported")
    for name in entry["claims"]:
        yield from unless(name, "claims_in_verified_claims_supported")
    for evidence in verification.get("evidence", []):
        yield from unless(evidence["type"], "evidence_supported")
        if "record" in evidence:
            yield from unless(evidence["record"]["type"], "electronic_records_supported")
        for check in evidence.get("check_details", []):
            yield from unless(check["check_method"], "documents_check_methods_supported")
