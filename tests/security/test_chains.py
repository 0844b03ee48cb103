"""XC: certificates that a credential brings, and the registry that says whom we believe."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from sqlalchemy import text

from idp.admin import trust as trust_admin
from idp.admin.trust import Entry
from idp.models import Mission as Row
from idp.models import db
from tests.credentials.issuing import CA_EXTENSIONS, LEAF_EXTENSIONS, certificate, der, p256, usage, x5c
from tests.credentials.issuing_mdoc import DOCUMENT_SIGNER
from tests.rig import Rig, started
from tests.security.judging import Case, Court
from tests.security.mission import (
    DAY_S,
    SD_JWT,
    Asked,
    Authority,
    Make,
    Mission,
    answered,
    pem,
    shown,
    with_mission,
)
from tests.security.presented import NotAccepted

CERTIFICATE, UNTRUSTED = "issuer_certificate", "issuer_untrusted"
Extensions = list[tuple[x509.ExtensionType, bool]]
ANY_CA: Extensions = list(CA_EXTENSIONS)


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    """Its house trusts a mission of the test's own, whose CA may certify below mofa.example alone."""
    with with_mission(tmp_path_factory.mktemp("court")) as sitting:
        yield sitting


def under(chain: Callable[[Mission, Any], list[Any]]) -> Make:
    """Signed with a new key, under this chain for it."""

    def make(mission: Mission, asked: Asked) -> str:
        key = p256()
        listed = [one if isinstance(one, str) else x5c(one)[0] for one in chain(mission, key)]
        return mission.bound(mission.sd_jwt(header={"x5c": listed}, key=key), asked)

    return make


def leaf(extensions: Extensions | None = None, **changes: Any) -> Make:
    """Under a leaf with these extensions, or with other times."""

    def chain(mission: Mission, key: Any) -> list[x509.Certificate]:
        times = {name: mission.now + seconds for name, seconds in changes.items()}
        return [mission.authority.leaf(key, LEAF_EXTENSIONS if extensions is None else extensions, **times)]

    return under(chain)


def purposes(*oids: x509.ObjectIdentifier) -> Extensions:
    return [*LEAF_EXTENSIONS, (x509.ExtendedKeyUsage(oids), True)]


def document_signer(*oids: x509.ObjectIdentifier) -> Make:
    """An mdoc under a document signer with these purposes."""

    def make(mission: Mission, asked: Asked) -> str:
        extensions = purposes(*oids) if oids else list(LEAF_EXTENSIONS)
        document = mission.mdoc(signer=mission.document_signer(extensions=extensions))
        return document.present(transcript=asked.transcript())

    return make


def below(extensions: Extensions, *, leaf_name: str | None = None, issuer: str | None = None) -> Make:
    """Under an intermediate with these extensions, whose leaf may have a name of its own."""

    def chain(mission: Mission, key: Any) -> list[x509.Certificate]:
        middle_key, now = p256(), mission.now
        times = {"not_before": now - DAY_S, "not_after": now + DAY_S}
        middle = certificate("middle", middle_key, "OWN CA", mission.authority.key, extensions, **times)
        names = [(x509.SubjectAlternativeName([x509.DNSName(leaf_name)]), False)] if leaf_name else []
        made = certificate(
            "document signer", key, issuer or "middle", middle_key, [*LEAF_EXTENSIONS, *names], **times
        )
        return [made, middle]

    return under(chain)


def constrained(permitted: list[str] | None, excluded: list[str] | None, name: str) -> Make:
    """Under an intermediate that may certify some names and not others (RFC 5280, section 4.2.1.10)."""

    def subtrees(names: list[str] | None) -> list[x509.GeneralName] | None:
        return [x509.DNSName(one) for one in names] if names else None

    constraints = x509.NameConstraints(subtrees(permitted), subtrees(excluded))
    return below([*ANY_CA, (constraints, True)], leaf_name=name)


def self_signed(mission: Mission, key: Any) -> list[x509.Certificate]:
    times = {"not_before": mission.now - DAY_S, "not_after": mission.now + DAY_S}
    return [certificate("OWN CA", key, "OWN CA", key, LEAF_EXTENSIONS, **times)]


def of_a_stranger(mission: Mission, key: Any) -> list[x509.Certificate]:
    """A CA of the right name and another key."""
    return [Authority(now=mission.now).leaf(key)]


def without_its_intermediate(mission: Mission, key: Any) -> list[x509.Certificate]:
    times = {"not_before": mission.now - DAY_S, "not_after": mission.now + DAY_S}
    return [certificate("document signer", key, "middle", p256(), LEAF_EXTENSIONS, **times)]


def with_its_anchor(mission: Mission, key: Any) -> list[x509.Certificate]:
    return [mission.authority.leaf(key), mission.authority.ca]


def with_a_stranger(mission: Mission, key: Any) -> list[x509.Certificate]:
    return [mission.authority.leaf(key), mission.authority.status_signer]


def shuffled(mission: Mission, key: Any) -> list[x509.Certificate]:
    middle_key = p256()
    times = {"not_before": mission.now - DAY_S, "not_after": mission.now + DAY_S}
    middle = certificate("middle", middle_key, "OWN CA", mission.authority.key, ANY_CA, **times)
    return [middle, certificate("document signer", key, "middle", middle_key, LEAF_EXTENSIONS, **times)]


def negative_serial(mission: Mission, key: Any) -> list[str]:
    good = der(mission.authority.leaf(key))
    at = good.index(b"\x02\x14")  # the serial number, an INTEGER of 20 octets
    return [encoded(good[: at + 2] + bytes([good[at + 2] | 0x80]) + good[at + 3 :])]


def encoded(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def raw(*texts: str) -> Make:
    return under(lambda mission, key: list(texts))


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
ROWS: dict[str, dict[str, tuple[Make, str]]] = {
    "XC-01": {
        "self-signed": (under(self_signed), CERTIFICATE),
        "of a stranger": (under(of_a_stranger), UNTRUSTED),
        "no intermediate": (under(without_its_intermediate), UNTRUSTED),
        "shuffled": (under(shuffled), CERTIFICATE),
        "with its anchor": (under(with_its_anchor), CERTIFICATE),
        "with a stranger": (under(with_a_stranger), CERTIFICATE),
        "six": (under(lambda mission, key: [mission.authority.leaf(key)] * 6), CERTIFICATE),
        "fifty": (under(lambda mission, key: [mission.authority.leaf(key)] * 50), CERTIFICATE),
        "twice": (under(lambda mission, key: [mission.authority.leaf(key)] * 2), CERTIFICATE),
        "none": (raw(), CERTIFICATE),
        "intermediate that is no CA": (below(list(LEAF_EXTENSIONS)), UNTRUSTED),
        "leaf that is a CA": (leaf([*LEAF_EXTENSIONS, (x509.BasicConstraints(ca=True, path_length=None), True)]),
                              CERTIFICATE),
    },
    "XC-02": {
        "expired": (leaf(not_before=-2 * DAY_S, not_after=-1), CERTIFICATE),
        "not yet valid": (leaf(not_before=60, not_after=DAY_S), CERTIFICATE),
    },
    "XC-03": {
        "TLS server": (leaf(purposes(Eku.SERVER_AUTH)), CERTIFICATE),
        "code signing": (leaf(purposes(Eku.CODE_SIGNING)), CERTIFICATE),
        "no signatures": (leaf([(usage(key_agreement=True), True)]), CERTIFICATE),
        "signs certificates": (leaf([(usage(digital_signature=True, key_cert_sign=True), True)]), CERTIFICATE),
    },
    "XC-05": {
        "permitted and elsewhere": (constrained(["mofa.example"], None, "attacker.example"), UNTRUSTED),
        "wildcard above what is permitted": (constrained(["mofa.example"], None, "*.example"), UNTRUSTED),
        "wildcard around what is permitted": (constrained(["lax.mofa.example"], None, "*.mofa.example"), UNTRUSTED),
        "excluded": (constrained(None, ["bad.example"], "x.bad.example"), UNTRUSTED),
        "wildcard into what is excluded": (constrained(None, ["bad.example"], "*.bad.example"), UNTRUSTED),
        "wildcard that covers what is excluded": (constrained(None, ["a.bad.example"], "*.bad.example"), UNTRUSTED),
    },
    "XC-07": {
        "leaf": (leaf([*LEAF_EXTENSIONS, (UNKNOWN, True)]), UNTRUSTED),
        "intermediate": (below([*ANY_CA, (UNKNOWN, True)]), UNTRUSTED),
    },
    "XC-11": {
        "garbage": (raw(encoded(b"\x30\x84\xff\xff\xff\xff" + bytes(50))), CERTIFICATE),
        "zeros": (raw(encoded(bytes(8000))), CERTIFICATE),
        "empty": (raw(""), CERTIFICATE),
        "not base64": (raw("*" * 100), CERTIFICATE),
        "second spelling": (raw("MAB="), CERTIFICATE),
        "nine kilobytes": (raw(encoded(bytes(9_000))), CERTIFICATE),
        "a hundred kilobytes": (raw(encoded(bytes(100_000))), "too_large"),
        "negative serial": (under(negative_serial), UNTRUSTED),
        "NUL in the name": (
            under(lambda mission, key: [Authority(now=mission.now).leaf(key, subject="OWN\x00CA")]), UNTRUSTED
        ),
        "IDN": (constrained(["mofa.example"], None, "xn--mofa-0l5s.example"), UNTRUSTED),
    },
}  # fmt: skip

CASES = [
    *(
        shown(row, name, make, reason, under=SD_JWT)
        for row, inputs in ROWS.items()
        for name, (make, reason) in inputs.items()
    ),
    shown("XC-03", "mdoc without a purpose", document_signer(), CERTIFICATE),
    shown("XC-03", "mdoc by a TLS server", document_signer(Eku.SERVER_AUTH), CERTIFICATE),
    shown(
        "XC-03", "mdoc by a reader", document_signer(x509.ObjectIdentifier("1.0.18013.5.1.6")), CERTIFICATE
    ),
]


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)


def accepted(court: Court, make: Make) -> bool:
    portal = court.rig.portal("gov24")
    response = answered(court, portal.link(portal.page(portal.begin(prompt="login"))), make, SD_JWT)
    if response.status_code != 200:
        NotAccepted()(court.rig, response)
    return response.status_code == 200


def test_what_the_rows_change_one_thing_of_is_accepted(court: Court) -> None:
    assert accepted(court, leaf())
    assert accepted(court, below(ANY_CA))
    assert accepted(court, constrained(["mofa.example"], ["bad.example"], "lax.mofa.example"))
    assert accepted(court, leaf([*LEAF_EXTENSIONS, (UNKNOWN, False)]))
    assert accepted(court, leaf(purposes(x509.ObjectIdentifier(DOCUMENT_SIGNER))))


@pytest.mark.parametrize("how", ["anchor replaced", "closed", "removed"])
def test_who_is_taken_out_of_the_registry_is_believed_no_longer_than_a_minute(court: Court, how: str) -> None:
    """XC-09: its chain was accepted a moment ago, and is remembered by every cache on the way."""
    mission: Mission = court.mission
    assert accepted(court, leaf())
    entry = Entry("mission", mission.authority.code)
    with court.rig.app.app_context():
        document = dict(db.session.get_one(Row, entry.id).document)
        changed = {
            "anchor replaced": {**document, "issuer_certificates": [pem(Authority(now=mission.now).ca)]},
            "closed": {**document, "active_until": "2024-12-31"},
            "removed": {},
        }[how]
        if changed:
            trust_admin.apply({"mission": [changed]}, now=mission.now)
        else:
            trust_admin.apply({}, now=mission.now, removing=[entry])
    with court.later(60):
        assert not accepted(court, leaf())
    with court.rig.app.app_context():
        trust_admin.apply({"mission": [document]}, now=mission.now)
    assert accepted(court, leaf())


# -- a registry that cannot be read ------------------------------------------------------------------------------

UNREADABLE = ["{}", "null", "[]", "not json", '{"code": "LAX"}']


def overwrite(rig: Rig, document: str) -> None:
    """As a restored backup or a hand on the database might."""
    with rig.app.app_context():
        db.session.execute(text("UPDATE mission SET document = :document"), {"document": document})
        db.session.commit()


@pytest.mark.parametrize("document", UNREADABLE)
def test_a_registry_that_cannot_be_read_any_more_is_the_last_good_one(court: Court, document: str) -> None:
    """XC-10: and the operator's log says so."""
    with court.rig.app.app_context():
        rows = {row.code: json.dumps(row.document) for row in db.session.query(Row)}
    said = len(court.lines)
    overwrite(court.rig, document)
    try:
        with court.later(trust_admin.RELOAD_S):
            assert accepted(court, leaf())
    finally:
        with court.rig.app.app_context():
            for code, kept in rows.items():
                statement = text("UPDATE mission SET document = :kept WHERE code = :code")
                db.session.execute(statement, {"kept": kept, "code": code})
            db.session.commit()
            court.rig.house.trust.snapshot()
    assert any("the last good one stands" in line for line in court.lines[said:])


def test_a_house_that_never_had_a_registry_it_could_read_lets_nobody_in(tmp_path: Path) -> None:
    """XC-10: no registry is not one that trusts everybody, and no bug either: 503, and not ready."""
    with started(tmp_path) as rig:
        portal = rig.portal("gov24")
        for document in UNREADABLE:
            overwrite(rig, document)
            begun = portal.begin().response
            assert (begun.status_code, begun.headers["Retry-After"]) == (503, "5")
            assert rig.http.get(f"{rig.issuer}/readyz").status_code == 503


def test_a_registry_without_missions_believes_nobody(tmp_path: Path) -> None:
    """XC-10: emptied while it serves, and told to whoever watches."""
    with started(tmp_path) as rig:
        portal = rig.portal("gov24")
        link = portal.link(portal.page(portal.begin()))
        with rig.app.app_context():
            entries = [Entry("mission", row.code) for row in db.session.query(Row)]
            trust_admin.apply({}, now=rig.clock(), removing=entries)
        rig.clock.forward(trust_admin.RELOAD_S)
        assert portal.show(link).status == 400
        assert rig.http.get(f"{rig.issuer}/readyz").status_code == 503
