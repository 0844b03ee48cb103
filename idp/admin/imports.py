"""Missions out of a list that somebody else keeps and signs (VICAL, LoTE): by a rule, and never by themselves.

What comes out is a document for `admin.trust.apply`, like a file that an operator wrote. A mission remembers its list
(`source`): the next issue of that list changes its certificates and nothing else, and no list touches a mission that
was not its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from idp.admin.trust import Entry
from idp.clock import utc
from idp.credentials import CredentialTypeTrust, chains
from idp.credentials.lists import AuthorityList, ListedAuthority, ListedService, ListRefused, name_of
from idp.credentials.trust import seoul_day

By = Literal["country", "region", "subject", "name"]
BY: tuple[By, ...] = ("country", "region", "subject", "name")
_ISSUANCE, _REVOCATION = "/Issuance", "/Revocation"
_IN_FORCE = frozenset({"granted", "notified", "recognisedatnationallevel"})
_MAX_CODE_CHARS = 32
_MAX_SOURCE_CHARS = 128


@dataclass(frozen=True)
class Rule:
    """How entries of a list become missions.

    mission: one mission of this code takes them all. Otherwise `by` says what makes an entry's code, with `prefix`
        before it: its country, its country and region, its certificate's subject, its name in the list.
    country: of every mission, in place of what the list says.
    active_from: of missions that are new; YYYY-MM-DD, today where it is empty.
    service_type: the URI of the service that issues, where a list has several.
    leave_out_unusable: go on without the entries that cannot be used. even_if_overdue: take a list whose successor
        should be out by now.
    """

    by: By = "country"
    prefix: str = ""
    mission: str = ""
    country: str = ""
    active_from: str = ""
    service_type: str = ""
    leave_out_unusable: bool = False
    even_if_overdue: bool = False


@dataclass(frozen=True)
class Imported:
    """What a list comes to. missing: missions that were its own and are in it no more. notes: what was left out."""

    document: Mapping[str, Any]
    missing: tuple[Entry, ...]
    notes: tuple[str, ...]
    reason: str


@dataclass
class _Group:
    """The entries that become one mission."""

    names: list[Mapping[str, str]] = field(default_factory=list)
    countries: set[str] = field(default_factory=set)
    issuer: dict[bytes, x509.Certificate] = field(default_factory=dict)
    status: dict[bytes, x509.Certificate] = field(default_factory=dict)


def from_vical(
    listed: AuthorityList, kind: CredentialTypeTrust, missions: Mapping[str, Any], rule: Rule, *, now: int
) -> Imported:
    """Missions for the certificates that a VICAL has for this type's docTypes. `missions`: documents, by code.

    Raises ListRefused with every problem.
    """
    looks = kind.formats.get("mso_mdoc")
    if looks is None:
        raise ListRefused([f"{kind.id} has no mso_mdoc format, so no docType"])

    def roles(service: ListedService) -> Literal["issuer", "status", None]:
        return "issuer" if not looks.names.isdisjoint(service.kinds) else None

    return _Import(listed, kind, missions, rule, now).run(
        roles, f"no entry for {', '.join(sorted(looks.names))}"
    )


def from_lote(
    listed: AuthorityList, kind: CredentialTypeTrust, missions: Mapping[str, Any], rule: Rule, *, now: int
) -> Imported:
    """Missions for the entities of a LoTE that issue: certificates of their services …/Issuance, and for status lists
    those of …/Revocation. `missions`: documents, by code. Raises ListRefused with every problem.
    """
    kinds = {
        one for authority in listed.authorities for service in authority.services for one in service.kinds
    }
    issuing = {rule.service_type} if rule.service_type else {one for one in kinds if one.endswith(_ISSUANCE)}
    if len(issuing) > 1:
        raise ListRefused(
            [f"several services issue: name one with --service-type: {', '.join(sorted(issuing))}"]
        )
    revoking = {one.removesuffix(_ISSUANCE) + _REVOCATION for one in issuing if one.endswith(_ISSUANCE)}

    def roles(service: ListedService) -> Literal["issuer", "status", None]:
        if service.kinds & issuing:
            return "issuer"
        return "status" if service.kinds & revoking else None

    return _Import(listed, kind, missions, rule, now).run(roles, "no service that issues")


class _Import:
    """One list on its way in; what is wrong is written down, and refused at the end."""

    def __init__(
        self,
        listed: AuthorityList,
        kind: CredentialTypeTrust,
        missions: Mapping[str, Any],
        rule: Rule,
        now: int,
    ) -> None:
        self._listed = listed
        printable = (one if one.isprintable() else " " for one in listed.source)
        self._source = "".join(printable).strip()[:_MAX_SOURCE_CHARS]
        self._kind = kind
        self._missions = missions
        self._rule = rule
        self._now = now
        self._problems: list[str] = []
        self._notes: list[str] = []

    def run(self, role_of: Any, nothing: str) -> Imported:
        for unusable in self._listed.unusable:
            self._unusable(unusable)
        next_update = self._listed.next_update
        if next_update is not None and next_update < self._now and not self._rule.even_if_overdue:
            day = utc(next_update).strftime("%Y-%m-%d")
            self._problems.append(
                f"overdue: its successor was to be out by {day} (--even-if-overdue takes it)"
            )
        groups: dict[str, _Group] = {}
        for authority in self._listed.authorities:
            self._sort_in(authority, role_of, groups)
        made = [self._mission(code, group) for code, group in sorted(groups.items()) if group.issuer]
        if not made:
            self._problems.append(nothing)
        if self._problems:
            raise ListRefused(list(dict.fromkeys(self._problems)))
        codes = {mission["code"] for mission in made}
        missing = tuple(
            Entry("mission", code)
            for code, mission in sorted(self._missions.items())
            if code not in codes and self._is_ours(mission)
        )
        return Imported({"mission": made}, missing, tuple(self._notes), self._reason())

    def _is_ours(self, mission: Mapping[str, Any]) -> bool:
        return mission.get("source") == self._source and mission["credential_types"] == [self._kind.id]

    def _sort_in(self, authority: ListedAuthority, role_of: Any, groups: dict[str, _Group]) -> None:
        picked = list(self._picked(authority, role_of))
        if not any(role == "issuer" for role, _ in picked):
            return
        first = next(one for role, one in picked if role == "issuer")
        code = self._code(authority, first)
        country = self._rule.country or authority.country
        if code is None or country is None:
            what = (
                "no country: give it with --country"
                if country is None
                else f"no {self._rule.by} to name it by"
            )
            self._unusable(f"{authority.where}: {what}")
            return
        group = groups.setdefault(code, _Group())
        group.names.append(authority.names or {"en": name_of(first) or code})
        group.countries.add(country.upper())
        for role, certificate in picked:
            certificates = group.issuer if role == "issuer" else group.status
            certificates.setdefault(certificate.fingerprint(hashes.SHA256()), certificate)

    def _picked(self, authority: ListedAuthority, role_of: Any) -> Iterator[tuple[str, x509.Certificate]]:
        """What of an entry becomes an anchor, and of what."""
        for service in authority.services:
            role = role_of(service)
            if role is None:
                continue
            if service.status is not None and service.status.rpartition("/")[2].lower() not in _IN_FORCE:
                self._notes.append(f"{authority.where}: its status is {service.status}")
                continue
            for certificate in service.certificates:
                if problem := chains.anchor_problem(certificate):
                    self._unusable(f"{authority.where}: {_shown(certificate)} {problem}")
                elif certificate.not_valid_after_utc.timestamp() < self._now:
                    ended = certificate.not_valid_after_utc.strftime("%Y-%m-%d")
                    self._notes.append(f"{authority.where}: {_shown(certificate)} ended on {ended}")
                else:
                    yield role, certificate

    def _unusable(self, what: str) -> None:
        (self._notes if self._rule.leave_out_unusable else self._problems).append(what)

    def _code(self, authority: ListedAuthority, certificate: x509.Certificate) -> str | None:
        if self._rule.mission:
            return self._rule.mission
        country = self._rule.country or authority.country
        words = {
            "country": country,
            "region": f"{country}-{authority.region}" if country and authority.region else country,
            "subject": name_of(certificate),
            "name": authority.names.get("en") or next(iter(authority.names.values()), None),
        }[self._rule.by]
        made = _code(words) if words else ""
        return f"{self._rule.prefix}{made}"[:_MAX_CODE_CHARS].rstrip("-._") if made else None

    def _mission(self, code: str, group: _Group) -> dict[str, Any]:
        known = self._missions.get(code)
        if known is not None and not self._is_ours(known):
            self._problems.append(
                f"{code}: a mission of this code is there and was not taken from this list: choose others with "
                "--prefix, --by or --mission"
            )
        if len(group.countries) > 1:
            found = ", ".join(sorted(group.countries))
            self._problems.append(
                f"{code}: of several countries ({found}): name one with --country, or use --by"
            )
        certificates: dict[str, Any] = {"issuer_certificates": _pems(group.issuer.values())}
        if group.status:
            certificates["status_certificates"] = _pems(group.status.values())
        if known is not None:
            return {**known, **certificates}
        return {
            "code": code,
            "name": self._name(code, group),
            "country": min(group.countries),
            "credential_types": [self._kind.id],
            "active_from": self._rule.active_from or seoul_day(self._now).isoformat(),
            "source": self._source,
            **certificates,
        }

    def _name(self, code: str, group: _Group) -> dict[str, str]:
        first = group.names[0]
        if any(names != first for names in group.names):
            return {"ko": code, "en": code}
        english = first.get("en") or next(iter(first.values()))
        return {"ko": first.get("ko") or english, "en": english}

    def _reason(self) -> str:
        number = f" no. {self._listed.number}" if self._listed.number is not None else ""
        return f"{self._source}{number} of {utc(self._listed.issued_at).strftime('%Y-%m-%d')}"


def _code(words: str) -> str:
    """A mission's code out of words: Latin letters, digits, points and hyphens."""
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:_MAX_CODE_CHARS].rstrip("-._")


def _pems(certificates: Iterable[x509.Certificate]) -> list[str]:
    return [one.public_bytes(Encoding.PEM).decode("ascii") for one in certificates]


def _shown(certificate: x509.Certificate) -> str:
    return f"{certificate.subject.rfc4514_string()} (sha256 {certificate.fingerprint(hashes.SHA256()).hex()})"
