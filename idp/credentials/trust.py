"""Whom we believe: which missions may issue which types of credential, from when, under which certificates.

A `TrustSnapshot` is the registry at one moment and never changes; when the registry does, a new snapshot takes its
place, and with it an empty cache of validated chains. So a mission that is taken out is out everywhere at once.
An empty snapshot believes nobody.

`from_documents` builds one from the entries of a seed file or of the database, and names everything that is wrong
with them at once.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from functools import cached_property, lru_cache
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from idp.credentials import chains, ecdsa, schema
from idp.credentials.chains import Anchors, TrustedLeaf
from idp.credentials.schema import Path
from idp.credentials.verdict import CredentialRejected, Reason
from idp.seal import b64

_SEOUL = timezone(timedelta(hours=9))  # all year since 1988: no machine needs data of time zones for it
_MAX_CACHED_CHAINS = 4096


class TrustDocumentError(ValueError):
    """Trust documents that cannot be used. `problems`: every one of them, each with its path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class FormatTrust:
    """How a type of credential looks in one format.

    names: what it goes by there (vct, docType, schema id), compared exactly; a type is never accepted because it
        extends one of these.
    paths: where each element stands in it, by where it stands in `schema.ELEMENTS`. An mdoc's path is a namespace and
        an element.
    authentication: where the issuer says how the holder unlocks the credential; None where it does not.
    issuer_ekus: extended key usages of a document signer, one of which its certificate must name. Empty: it may
        have none, or any that is not only of `chains.OTHER_TRADES`. Name one wherever the authorities set one: it
        is what keeps a status list's online key from signing credentials under the same CA.
    """

    format: str
    names: frozenset[str]
    paths: Mapping[Path, Path]
    authentication: Path | None = None
    issuer_ekus: frozenset[str] = frozenset()
    places: schema.Places = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", schema.places(self.paths))


@dataclass(frozen=True, slots=True)
class CredentialTypeTrust:
    """A type of credential that is accepted, in one or more formats.

    trust_domain, person_key: the element that finds a person again, and within what it is unique. None: nothing in the
        credential does, and everybody who shows one is somebody new.
    status_required: a credential without a status reference is refused.
    secure_authentication: acr `secure` when one of these sets is a subset of how the holder unlocks the credential.
    """

    id: str
    name: Mapping[str, str]
    trust_domain: str
    person_key: Path | None
    formats: Mapping[str, FormatTrust]
    status_required: bool = True
    secure_authentication: tuple[frozenset[str], ...] = ()

    @property
    def elements(self) -> frozenset[Path]:
        """Everything that a credential of this type can show, in whatever format."""
        return frozenset(path for known in self.formats.values() for path in known.paths)


@dataclass(frozen=True, slots=True)
class Mission:
    """An authority that issues credentials. Its days are calendar days in Seoul, the last one included.

    issuer_anchors, issuer_dids: who signs for it, under X.509 and by decentralised identifier.
    pinned_signers: document signers that are believed by themselves, whoever certified them and for whatever; for
        authorities that have no CA yet, and test beds.
    status_anchors: for its status lists; empty means its issuer_anchors. status_ekus: as `issuer_ekus`.
    source: the list it was taken from, where somebody else keeps it.
    status_authority: a digest of those anchors. Who keeps a list keeps it under this name.
    """

    code: str
    name: Mapping[str, str]
    country: str
    credential_types: frozenset[str]
    active_from: date
    active_until: date | None
    issuer_anchors: tuple[x509.Certificate, ...] = field(repr=False)
    status_anchors: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    status_ekus: frozenset[str] = frozenset()
    issuer_dids: frozenset[str] = frozenset()
    pinned_signers: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    source: str = ""
    status_authority: bytes = field(default=b"", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256()
        for anchor in self.believed_for_status:
            digest.update(_fingerprint(anchor))
        object.__setattr__(self, "status_authority", digest.digest())

    @property
    def believed_for_status(self) -> tuple[x509.Certificate, ...]:
        """The anchors of its status lists."""
        return self.status_anchors or self.issuer_anchors

    def active_on(self, day: date) -> bool:
        """Whether it issues on this day (Asia/Seoul)."""
        return self.active_from <= day and (self.active_until is None or day <= self.active_until)


class Issuer(msgspec.Struct, frozen=True):
    """Who signed a credential: the mission whose anchor its chain leads to, and the leaf."""

    mission: Mission
    leaf: TrustedLeaf

    @property
    def key(self) -> ecdsa.PublicKey:
        return self.leaf.key


_ChainKey = tuple[str, str, tuple[bytes, ...]]
"""Type, format, and the chain itself: a digest of it would take longer than all the rest of finding it."""


class _ValidatedChains:
    """Who signs under the chains that this snapshot has validated, the most recently used ones; only accepted ones."""

    def __init__(self) -> None:
        self._issuers: OrderedDict[_ChainKey, Issuer] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _ChainKey) -> Issuer | None:
        with self._lock:
            issuer = self._issuers.get(key)
            if issuer is not None:
                self._issuers.move_to_end(key)
            return issuer

    def put(self, key: _ChainKey, issuer: Issuer) -> None:
        with self._lock:
            self._issuers[key] = issuer
            while len(self._issuers) > _MAX_CACHED_CHAINS:
                self._issuers.popitem(last=False)


@dataclass(frozen=True)
class TrustSnapshot:
    """The trust registry at one moment. types by id, missions by code."""

    types: Mapping[str, CredentialTypeTrust]
    missions: Mapping[str, Mission]
    _validated: _ValidatedChains = field(
        default_factory=_ValidatedChains, init=False, repr=False, compare=False
    )

    def type_named(self, format: str, name: str) -> tuple[CredentialTypeTrust, FormatTrust]:
        """The type that goes by this name in this format. Raises CredentialRejected(TYPE_NOT_ACCEPTED)."""
        try:
            known = self._types_by_name[format, name]
        except KeyError:
            raise CredentialRejected(Reason.TYPE_NOT_ACCEPTED, "a type that is not in the registry") from None
        return known, known.formats[format]

    def issuer_for_did(self, type_id: str, did: str, now: int) -> Mission:
        """The mission that issues this type under this identifier, active at `now`.

        Raises CredentialRejected: ISSUER_UNTRUSTED, ISSUER_NOT_ACTIVE.
        """
        mission = self._missions_by_did.get((type_id, did))
        if mission is None:
            raise CredentialRejected(Reason.ISSUER_UNTRUSTED, "no mission issues under this identifier")
        return _active(mission, now)

    def issuer_for_chain(self, type_id: str, format: str, chain: tuple[bytes, ...], now: int) -> Issuer:
        """The mission that vouches for this chain (x5c: DER, leaf first, without the anchor), active at `now`.

        A signer that a mission has pinned needs no path: it is that certificate, byte by byte, and valid now. What was
        validated is remembered for this snapshot; its times and the mission's days are looked at each time.

        Raises CredentialRejected: ISSUER_CERTIFICATE, ISSUER_UNTRUSTED, ISSUER_NOT_ACTIVE, ALGORITHM.
        """
        key = (type_id, format, chain)
        issuer = self._validated.get(key)
        if issuer is None:
            issuer = self._issuer(type_id, format, chain, now)
            self._validated.put(key, issuer)
        elif not issuer.leaf.not_before <= now <= issuer.leaf.not_after:
            raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "a certificate is not valid now")
        _active(issuer.mission, now)
        return issuer

    def check_standing(
        self, type_id: str, format: str, mission_code: str, chain: tuple[bytes, ...], now: int
    ) -> Mission:
        """The mission of a credential that was accepted before, if this registry would believe its issuer today.

        chain: empty where it was known otherwise; then the mission itself is all that is asked about.

        Raises CredentialRejected: TYPE_NOT_ACCEPTED, MISSION_MISMATCH (the chain leads to another mission now), and
        whatever `issuer_for_chain` raises.
        """
        known = self.types.get(type_id)
        if known is None or format not in known.formats:
            raise CredentialRejected(Reason.TYPE_NOT_ACCEPTED, "a type that is no longer in the registry")
        if chain:
            mission = self.issuer_for_chain(type_id, format, chain, now).mission
            if mission.code != mission_code:
                raise CredentialRejected(Reason.MISSION_MISMATCH, "the chain leads to another mission now")
            return mission
        found = self.missions.get(mission_code)
        if found is None or type_id not in found.credential_types:
            raise CredentialRejected(Reason.ISSUER_UNTRUSTED, "the mission no longer issues this type")
        return _active(found, now)

    def authority_key_ids(self, type_id: str) -> frozenset[str]:
        """The key identifiers, base64url, of those who certify the signers of this type: what a wallet finds as
        authorityKeyIdentifier in the chain of a credential that will do. Of missions that issue, will, or did.

        Empty where one of them has none: naming the others would hide its credentials.

        Spec: OpenID4VP 1.0, section 6.1.1.1; RFC 5280, sections 4.2.1.1 and 4.2.1.2.
        """
        return self._authority_key_ids.get(type_id, frozenset())

    @cached_property
    def _authority_key_ids(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[bytes | None]] = {}
        for mission in self.missions.values():
            ids = {
                *map(chains.subject_key_id, mission.issuer_anchors),
                *map(chains.authority_key_id, mission.pinned_signers),
            }
            for type_id in mission.credential_types:
                found.setdefault(type_id, set()).update(ids)
        return {
            type_id: frozenset(b64(one) for one in ids if one is not None)
            for type_id, ids in found.items()
            if None not in ids
        }

    def _issuer(self, type_id: str, format: str, chain: tuple[bytes, ...], now: int) -> Issuer:
        if len(chain) == 1 and (mission := self._pinned_signers.get((type_id, chain[0]))) is not None:
            return Issuer(mission, chains.pinned(chain[0], now))
        if (anchors := self._anchors.get(type_id)) is None:
            raise CredentialRejected(Reason.ISSUER_UNTRUSTED, "not a type that anybody issues")
        ekus = self.types[type_id].formats[format].issuer_ekus
        leaf = chains.validate(chain, anchors, ekus, now)
        return Issuer(leaf.anchor.owner, leaf)

    @cached_property
    def _anchors(self) -> Mapping[str, Anchors]:
        return {type_id: Anchors(missions) for type_id, missions in self._missions_by_anchor.items()}

    @cached_property
    def _types_by_name(self) -> Mapping[tuple[str, str], CredentialTypeTrust]:
        return {
            (format, name): known
            for known in self.types.values()
            for format, looks in known.formats.items()
            for name in looks.names
        }

    @cached_property
    def _pinned_signers(self) -> Mapping[tuple[str, bytes], Mission]:
        return {
            (type_id, signer.public_bytes(Encoding.DER)): mission
            for mission in self.missions.values()
            for type_id in mission.credential_types
            for signer in mission.pinned_signers
        }

    @cached_property
    def _missions_by_did(self) -> Mapping[tuple[str, str], Mission]:
        return {
            (type_id, did): mission
            for mission in self.missions.values()
            for type_id in mission.credential_types
            for did in mission.issuer_dids
        }

    @cached_property
    def _missions_by_anchor(self) -> Mapping[str, Mapping[x509.Certificate, Mission]]:
        """By type, then by anchor. An anchor of two missions would be no evidence of either."""
        found: dict[str, dict[x509.Certificate, Mission]] = {type_id: {} for type_id in self.types}
        for mission in self.missions.values():
            for type_id in mission.credential_types & found.keys():
                for anchor in mission.issuer_anchors:
                    other = found[type_id].setdefault(anchor, mission)
                    if other is not mission:
                        raise TrustDocumentError(
                            [f"{other.code} and {mission.code} share an issuer certificate"]
                        )
        return found


def status_signer(mission: Mission, chain: tuple[bytes, ...], now: int) -> TrustedLeaf:
    """The signer of one of this mission's status lists. Raises CredentialRejected as `chains.validate` does.

    Spec: HAIP 1.0, section 6.1 (the list's signer is under the same authority as the credential's).
    """
    anchors = Anchors(dict.fromkeys(mission.believed_for_status, mission))
    return chains.validate(chain, anchors, mission.status_ekus, now)


@lru_cache(maxsize=8)
def seoul_day(now: int) -> date:
    """The calendar day in Seoul. Kept, since one presentation asks for it more than once."""
    return datetime.fromtimestamp(now, _SEOUL).date()


def _active(mission: Mission, now: int) -> Mission:
    if not mission.active_on(seoul_day(now)):
        raise CredentialRejected(Reason.ISSUER_NOT_ACTIVE, "the mission does not issue today")
    return mission


def _fingerprint(certificate: x509.Certificate) -> bytes:
    return certificate.fingerprint(hashes.SHA256())


def from_documents(
    types: Sequence[Mapping[str, Any]], missions: Sequence[Mapping[str, Any]]
) -> TrustSnapshot:
    """A snapshot from the entries `[[credential_type]]` and `[[mission]]` of a seed file.

    Days are dates (TOML) or YYYY-MM-DD (JSON); certificates are PEM, one in each string.

    Raises TrustDocumentError with every problem at once: `mission[3] (HAN).active_from: not a day`.
    """
    problems: list[str] = []
    known_types: dict[str, CredentialTypeTrust] = {}
    names: dict[tuple[str, str], str] = {}
    for index, document in enumerate(types):
        entry = _Entry(document, f"credential_type[{index}]", "id", problems)
        known = _credential_type(entry)
        if known.id in known_types:
            entry.problem("id", "stands twice")
        for format, looks in known.formats.items():
            for name in looks.names:
                if (other := names.setdefault((format, name), known.id)) != known.id:
                    entry.problem(f"formats.{format}.names", f"shared with {other}")
        known_types[known.id] = known
    known_missions: dict[str, Mission] = {}
    signers: dict[tuple[str, bytes | str], str] = {}
    for index, document in enumerate(missions):
        entry = _Entry(document, f"mission[{index}]", "code", problems)
        mission = _mission(entry)
        if mission.code in known_missions:
            entry.problem("code", "stands twice")
        if unknown := sorted(mission.credential_types - known_types.keys()):
            entry.problem("credential_types", f"not a credential type: {', '.join(unknown)}")
        for type_id in mission.credential_types:
            for anchor in (*mission.issuer_anchors, *mission.pinned_signers):
                other_code = signers.setdefault((type_id, _fingerprint(anchor)), mission.code)
                if other_code != mission.code:
                    entry.problem("issuer_certificates", f"one is {other_code}'s too")
            for did in mission.issuer_dids:
                if (other_code := signers.setdefault((type_id, did), mission.code)) != mission.code:
                    entry.problem("issuer_dids", f"one is {other_code}'s too")
        known_missions[mission.code] = mission
    if problems:
        raise TrustDocumentError(list(dict.fromkeys(problems)))
    return TrustSnapshot(known_types, known_missions)


def _credential_type(entry: _Entry) -> CredentialTypeTrust:
    known = CredentialTypeTrust(
        id=entry.text("id", _TYPE_ID),
        name=entry.names("name"),
        trust_domain=entry.text("trust_domain", _IDENTIFIER),
        person_key=_path(key) if (key := entry.text("person_key", default="")) else None,
        formats={
            format: _format(entry, format, inner) for format, inner in entry.tables("formats", _FORMATS)
        },
        status_required=entry.flag("status_required", True),
        secure_authentication=entry.sets("secure_authentication"),
    )
    for format, looks in known.formats.items():
        if known.person_key is not None and known.person_key not in looks.paths:
            entry.problem(f"formats.{format}.elements", "lacks the person_key")
    entry.refuse_unknown()
    return known


def _format(entry: _Entry, format: str, inner: _Entry) -> FormatTrust:
    paths = inner.paths("elements")
    authentication = inner.texts("authentication", optional=True)
    known = FormatTrust(
        format=format,
        names=frozenset(inner.texts("names")),
        paths=paths,
        authentication=tuple(authentication) or None,
        issuer_ekus=frozenset(inner.texts("issuer_ekus", _OID, optional=True)),
    )
    if unknown := sorted(".".join(path) for path in paths.keys() - schema.element_paths()):
        inner.problem("elements", f"not elements that we know: {', '.join(unknown)}")
    if format == "mso_mdoc" and any(len(path) != 2 for path in (*paths.values(), authentication or ("", ""))):
        inner.problem("elements", "a path into an mdoc is a namespace and an element")
    if format == "opendid" and any(len(path) != 1 for path in paths.values()):
        inner.problem("elements", "a path into an Open DID credential is the code of a claim")
    inner.refuse_unknown()
    return known


def _path(dotted: str) -> Path:
    return tuple(dotted.split("."))


def _mission(entry: _Entry) -> Mission:
    mission = Mission(
        code=entry.text("code", _IDENTIFIER),
        name=entry.names("name"),
        country=entry.text("country", "[A-Z]{2}"),
        credential_types=frozenset(entry.texts("credential_types")),
        active_from=entry.day("active_from") or date.max,
        active_until=entry.day("active_until", optional=True),
        issuer_anchors=entry.certificates("issuer_certificates", optional=True),
        status_anchors=entry.certificates("status_certificates", optional=True),
        status_ekus=frozenset(entry.texts("status_ekus", _OID, optional=True)),
        pinned_signers=entry.certificates("pinned_signers", optional=True, anchors=False),
        source=entry.text("source", default=""),
        issuer_dids=frozenset(entry.texts("issuer_dids", r"did:[a-z0-9]+:[A-Za-z0-9._:%-]+", optional=True)),
    )
    if not any(entry.holds(key) for key in ("issuer_certificates", "pinned_signers", "issuer_dids")):
        entry.problem("issuer_certificates", "missing, and neither pinned_signers nor issuer_dids instead")
    if mission.active_until is not None and mission.active_until < mission.active_from:
        entry.problem("active_until", "before active_from")
    entry.refuse_unknown()
    return mission


_FORMATS = ("dc+sd-jwt", "mso_mdoc", "opendid", "mip")
_IDENTIFIER = r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}"
_TYPE_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}"  # it becomes part of a DCQL id (OpenID4VP 1.0, section 6.1)
_OID = r"[0-2](?:\.[0-9]{1,20}){1,20}"
_MISSING = object()
_LANGUAGE = re.compile(
    r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*"
)  # a tag as BCP 47 has it, its language in small letters


class _Entry:
    """One document, read field by field; what is wrong is written down and a harmless value given instead."""

    def __init__(self, document: Mapping[str, Any], path: str, label: str, problems: list[str]) -> None:
        self._document = document if isinstance(document, Mapping) else {}
        name = self._document.get(label)
        self._path = f"{path} ({name})" if isinstance(name, str) and len(name) <= 64 else path
        self._problems = problems
        self._read: set[str] = set()
        if self._document is not document:
            problems.append(f"{path}: not a table")

    def problem(self, key: str, what: str) -> None:
        self._problems.append(f"{self._path}.{key}: {what}")

    def holds(self, key: str) -> bool:
        """Whether there is something under this key, good or bad."""
        return bool(self._document.get(key))

    def refuse_unknown(self) -> None:
        for key in sorted(self._document.keys() - self._read):
            self.problem(key, "unknown")

    def text(self, key: str, pattern: str | None = None, default: str | None = None) -> str:
        value = self._take(key, default is not None)
        if value is _MISSING:
            return default or ""
        if not isinstance(value, str) or not value.strip():
            self.problem(key, "not a text")
            return ""
        if pattern is not None and not re.fullmatch(pattern, value):
            self.problem(key, f"not of the form {pattern}")
        return value

    def texts(self, key: str, pattern: str = ".+", optional: bool = False) -> list[str]:
        value = self._take(key, optional)
        if value is _MISSING:
            return []
        if not isinstance(value, list) or not (value or optional):
            self.problem(key, "not a list of texts")
            return []
        good = [item for item in value if isinstance(item, str) and re.fullmatch(pattern, item)]
        if len(good) != len(value):
            self.problem(key, f"an item is not a text of the form {pattern}")
        return good

    def sets(self, key: str) -> tuple[frozenset[str], ...]:
        value = self._take(key, True)
        if value is _MISSING:
            return ()
        if not isinstance(value, list) or not all(_are_texts(item) and item for item in value):
            # An empty set is a subset of everything: it would make every credential a secure one.
            self.problem(key, "not a list of lists of texts, none of them empty")
            return ()
        return tuple(frozenset(item) for item in value)

    def names(self, key: str) -> Mapping[str, str]:
        value = self._take(key)
        if value is _MISSING:
            return {}
        if (
            not isinstance(value, Mapping)
            or not _are_texts(list(value.values()))
            or not {"ko", "en"} <= value.keys()
        ):
            self.problem(key, "not a table of texts by language, with ko and en")
            return {}
        if unknown := sorted(str(tag) for tag in value if not _LANGUAGE.fullmatch(str(tag))):
            self.problem(key, f"not a language: {', '.join(unknown)[:200]}")
        return dict(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self._take(key, True)
        if value is _MISSING:
            return default
        if not isinstance(value, bool):
            self.problem(key, "not true or false")
        return bool(value)

    def tables(self, key: str, known: Sequence[str]) -> Iterator[tuple[str, _Entry]]:
        """The tables of a table of tables, each under a name that is known."""
        value = self._take(key)
        if value is _MISSING:
            return
        if not isinstance(value, Mapping) or not value:
            self.problem(key, "not a table of tables")
            return
        for name, document in value.items():
            if name not in known:
                self.problem(f"{key}.{name}", f"not one of {', '.join(known)}")
            elif not isinstance(document, Mapping):
                self.problem(f"{key}.{name}", "not a table")
            else:
                yield name, _Entry(document, f"{self._path}.{key}.{name}", "", self._problems)

    def paths(self, key: str) -> dict[Path, Path]:
        """Elements and where they stand: a list where each stands under its own name, else a table of lists."""
        value = self._take(key)
        if value is _MISSING:
            return {}
        if isinstance(value, list):
            return {_path(name): _path(name) for name in self.texts(key)}
        if not isinstance(value, Mapping) or not all(_are_texts(path) and path for path in value.values()):
            self.problem(key, "neither a list of elements nor a table of paths")
            return {}
        return {_path(name): tuple(path) for name, path in value.items()}

    def day(self, key: str, optional: bool = False) -> date | None:
        value = self._take(key, optional)
        if value is _MISSING or (value is None and optional):
            return None
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            self.problem(key, "not a day (YYYY-MM-DD)")
            return None

    def certificates(
        self, key: str, optional: bool = False, *, anchors: bool = True
    ) -> tuple[x509.Certificate, ...]:
        return tuple(
            certificate
            for index, pem in enumerate(self.texts(key, r"(?s:.+)", optional))
            if (certificate := self._certificate(f"{key}[{index}]", pem, anchor=anchors)) is not None
        )

    def _certificate(self, key: str, pem: str, *, anchor: bool) -> x509.Certificate | None:
        try:
            (certificate,) = x509.load_pem_x509_certificates(pem.encode("utf-8"))
        except ValueError:
            self.problem(key, "not one PEM certificate")
            return None
        if anchor and (what := chains.anchor_problem(certificate)):
            self.problem(key, what)
        return certificate

    def _take(self, key: str, optional: bool = False) -> Any:
        self._read.add(key)
        if key not in self._document and not optional:
            self.problem(key, "missing")
        return self._document.get(key, _MISSING)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)
