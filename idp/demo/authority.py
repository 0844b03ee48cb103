"""Make-believe issuing authorities: cards for the personas, as SD-JWT VC and as mdoc, and a status list each.

Missions issue the overseas certificate, ministries its siblings; which, is read from the trust file, and from that of
the missions that may join later.

A status list is drawn up in advance: of every eight entries one is revoked, one is suspended and six are
valid, and a credential gets an entry that already says what it should. So a verifier that still holds
yesterday's list is never told something false by it. `set_status` changes an entry while the authority
runs; verifiers hear of it when the list's `ttl` is over.
"""

import secrets
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import cbor2
from cbor2 import CBORTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Blueprint, Response, abort, request

from idp.demo import cards, jose, mdoc, pki, sd_jwt
from idp.demo.personas import Persona, Status
from idp.demo.seeds import MDOC_SIGNER, Prepared

LIST_ENTRIES = 65_536
BITS = 2
TTL_S = 60
_LIST_LIFE_S = 86_400
_DAY_S = 86_400
_ISSUED_DAYS_AGO = 30
_VALID_DAYS = 365
_EXPIRED_DAYS_AGO = 7

# Values of draft-ietf-oauth-status-list, section 7.1. An expired credential is otherwise in order.
_VALUES = {Status.VALID: 0, Status.EXPIRED: 0, Status.REVOKED: 1, Status.SUSPENDED: 2}
_PATTERN = (0, 0, 0, 0, 0, 0, 1, 2)


@dataclass(frozen=True)
class Entry:
    """A place in a mission's status list."""

    mission: str
    index: int


class StatusList:
    """The list of one mission, two bits an entry, the first entry in the lowest bits of the first byte."""

    def __init__(self) -> None:
        pattern = _packed(_PATTERN[:4]) + _packed(_PATTERN[4:])
        self._bytes = bytearray(pattern * (LIST_ENTRIES // len(_PATTERN)))
        self._given: set[int] = set()
        self._lock = threading.Lock()

    def give(self, value: int) -> int:
        """An index nobody has yet, chosen at random among those that say `value`."""
        with self._lock:
            while True:
                index = secrets.randbelow(LIST_ENTRIES)
                if index not in self._given and self.get(index) == value:
                    self._given.add(index)
                    return index

    def get(self, index: int) -> int:
        """What the list says at `index`."""
        return self._bytes[index // 4] >> (index % 4 * BITS) & 0b11

    def set(self, index: int, value: int) -> None:
        """Change what the list says at `index`."""
        with self._lock:
            shift = index % 4 * BITS
            self._bytes[index // 4] = self._bytes[index // 4] & ~(0b11 << shift) | value << shift

    def compressed(self) -> bytes:
        """`lst` of the Status List Token (section 4.1)."""
        return zlib.compress(bytes(self._bytes), 9)


OVERSEAS = "kr-overseas-national"
SD_JWT, MDOC = "dc+sd-jwt", "mso_mdoc"
JWT_LIST, CWT_LIST = "application/statuslist+jwt", "application/statuslist+cwt"

Content = sd_jwt.Credential | mdoc.Document
"""A card as it was issued, in one of the two formats."""


@dataclass(frozen=True)
class _Order:
    """A card that is to be made: `looks` and `mission` are entries of the trust file."""

    looks: Mapping[str, Any]
    persona: Persona
    mission: dict[str, Any]
    signer: pki.Identity
    holder_key: ec.EllipticCurvePrivateKey
    reference: Mapping[str, Any]
    issued_at: int
    expires_at: int


class Authority:
    """Issues for every mission and ministry of the files that were prepared."""

    def __init__(self, prepared: Prepared) -> None:
        self.url = prepared.authority_url
        self._types = {kind["id"]: kind for kind in prepared.trust()["credential_type"]}
        self._missions = {mission["code"]: mission for mission in prepared.missions()}
        self._signer = cache(prepared.mission_signer)
        self._document_signer = cache(prepared.mission_document_signer)
        self._status_signer = cache(prepared.mission_status_signer)
        self._lists = {code: StatusList() for code in self._missions}
        stranger = pki.make_ca("CA nobody knows")
        self._stranger = pki.make_leaf("Signer nobody knows", stranger)
        self._document_stranger = pki.make_leaf("Signer nobody knows", stranger, purpose=MDOC_SIGNER)

    def issue(
        self,
        persona: Persona,
        holder_key: ec.EllipticCurvePrivateKey,
        *,
        card: str = OVERSEAS,
        format: str = SD_JWT,
        status: Status | None = None,
        from_stranger: bool = False,
        typ: str = "dc+sd-jwt",
    ) -> tuple[Content, Entry]:
        """A card in one format, bound to the holder's key, and its place in the status list.

        `status` overrides the persona's own. `from_stranger` signs with a key under a CA that is in no
        trust list. `typ` is what the header of an SD-JWT VC calls it.
        """
        code = self.issuer_of(card, persona)
        status = status or persona.status
        entry = Entry(code, self._lists[code].give(_VALUES[status]))
        strange, signer_of = self._stranger, self._signer
        if format == MDOC:
            strange, signer_of = self._document_stranger, self._document_signer
        order = _Order(
            looks=self._types[card]["formats"][format],
            persona=persona,
            mission=self._missions[code],
            signer=strange if from_stranger else signer_of(code),
            holder_key=holder_key,
            reference={"idx": entry.index, "uri": self.status_uri(code)},
            **_dates(status),
        )
        return (_document(order) if format == MDOC else _credential(order, self.url, typ)), entry

    def issuer_of(self, card: str, persona: Persona) -> str:
        """The code of who issues this card to this person."""
        if card == OVERSEAS:
            return persona.mission
        issuers = (code for code, mission in self._missions.items() if card in mission["credential_types"])
        return str(next(issuers))

    def formats(self, card: str) -> list[str]:
        """The formats in which a card is issued here."""
        return [name for name in (SD_JWT, MDOC) if name in self._types[card]["formats"]]

    def name_of(self, card: str) -> dict[str, str]:
        """A card's name by language."""
        return dict(self._types[card]["name"])

    def set_status(self, entry: Entry, status: Status) -> None:
        """Revoke, suspend or restore a credential that was issued."""
        self._lists[entry.mission].set(entry.index, _VALUES[status])

    def status_uri(self, mission: str) -> str:
        """Where a mission's status list is served."""
        return f"{self.url}/status/{mission}"

    def status_token(self, mission: str) -> str:
        """A fresh Status List Token as a JWT. Raises KeyError for an unknown mission."""
        entries, signer = self._lists[mission], self._status_signer(mission)
        now = int(time.time())
        payload = {
            "sub": self.status_uri(mission),
            "iat": now,
            "exp": now + _LIST_LIFE_S,
            "ttl": TTL_S,
            "status_list": {"bits": BITS, "lst": jose.encode(entries.compressed())},
        }
        header = {"typ": "statuslist+jwt", "x5c": jose.x5c([signer.certificate])}
        return jose.sign(header, payload, signer.key)

    def status_token_cwt(self, mission: str) -> bytes:
        """The same list as a CWT (draft-ietf-oauth-status-list, section 5.2). Raises KeyError likewise."""
        entries, signer = self._lists[mission], self._status_signer(mission)
        now = int(time.time())
        claims = {
            2: self.status_uri(mission),
            6: now,
            4: now + _LIST_LIFE_S,
            65534: TTL_S,
            65533: {"bits": BITS, "lst": entries.compressed()},
        }
        chain = {mdoc.X5CHAIN: signer.certificate.public_bytes(Encoding.DER)}
        signed = mdoc.sign1(cbor2.dumps(claims), signer.key, protected={16: CWT_LIST}, unprotected=chain)
        return cbor2.dumps(CBORTag(18, signed))


def _credential(order: _Order, url: str, typ: str) -> sd_jwt.Credential:
    claims = cards.some(order.persona.claims(order.mission), order.looks["elements"])
    concealed, disclosures = sd_jwt.conceal(claims)
    (vct,) = order.looks["names"]
    public = {
        "iss": f"{url}/missions/{order.mission['code']}",
        "vct": vct,
        "cnf": {"jwk": jose.public_jwk(order.holder_key.public_key())},
        "status": {"status_list": order.reference},
        "user_authentication": order.persona.authentication(),
        "iat": order.issued_at,
        "exp": order.expires_at,
    }
    header = {"typ": typ, "x5c": jose.x5c([order.signer.certificate])}
    return sd_jwt.Credential(
        issuer_jwt=jose.sign(header, {**public, **concealed}, order.signer.key),
        disclosures=tuple(disclosures),
        claims={**public, **claims},
        vct=vct,
        holder_key=order.holder_key,
        authority_key_ids=frozenset({pki.authority_key_id(order.signer.certificate)}),
    )


def _document(order: _Order) -> mdoc.Document:
    paper = cards.Paper(order.mission["name"]["en"], _day(order.issued_at), _day(order.expires_at))
    (doc_type,) = order.looks["names"]
    return mdoc.issue(
        doc_type,
        cards.elements(
            order.looks, order.persona.claims(order.mission), order.persona.authentication(), paper
        ),
        signer=order.signer,
        holder_key=order.holder_key,
        issued_at=order.issued_at,
        expires_at=order.expires_at,
        status=order.reference,
    )


def blueprint(authority: Authority) -> Blueprint:
    """The authority's door: `/authority/status/<mission>`."""
    doors = Blueprint("authority", __name__, url_prefix="/authority")

    @doors.get("/status/<mission>")
    def status(mission: str) -> Response:
        # One address for both (draft-ietf-oauth-status-list, section 8.1); who asks for neither gets the JWT.
        wanted = request.accept_mimetypes.best_match([JWT_LIST, CWT_LIST]) or JWT_LIST
        try:
            as_cwt = wanted == CWT_LIST
            token = authority.status_token_cwt(mission) if as_cwt else authority.status_token(mission)
        except KeyError:
            abort(404)
        response = Response(token, content_type=wanted)
        response.headers["Cache-Control"] = f"max-age={TTL_S}"
        response.headers["Vary"] = "Accept"
        return response

    return doors


def _dates(status: Status) -> dict[str, int]:
    """From when to when, on whole days so that they do not mark one credential among many."""
    today = int(time.time()) // _DAY_S * _DAY_S
    if status is Status.EXPIRED:
        expired = today - _EXPIRED_DAYS_AGO * _DAY_S
        return {"issued_at": expired - _VALID_DAYS * _DAY_S, "expires_at": expired}
    issued = today - _ISSUED_DAYS_AGO * _DAY_S
    return {"issued_at": issued, "expires_at": issued + _VALID_DAYS * _DAY_S}


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _packed(values: tuple[int, ...]) -> bytes:
    return bytes([sum(value << (place * BITS) for place, value in enumerate(values))])
