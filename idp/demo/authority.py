"""Make-believe issuing authorities: cards for the personas, as SD-JWT VC and as mdoc, and a status list each.

Missions issue the overseas certificate, ministries its siblings. What a card shows, and where it stands in each
format, is read from the trust file, as an issuer reads its own catalogue.

A status list is drawn up in advance: of every eight entries one is revoked, one is suspended and six are
valid, and a credential gets an entry that already says what it should. So a verifier that still holds
yesterday's list is never told something false by it. `set_status` changes an entry while the authority
runs; verifiers hear of it when the list's `ttl` is over.
"""

import base64
import secrets
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2
from cbor2 import CBORTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Blueprint, Response, abort, request

from idp.demo import jose, mdoc, pki, sd_jwt
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

    def compressed(self) -> str:
        """`lst` of the Status List Token: zlib, base64url."""
        return jose.encode(zlib.compress(bytes(self._bytes), 9))


OVERSEAS = "kr-overseas-national"
SD_JWT, MDOC = "dc+sd-jwt", "mso_mdoc"
JWT_LIST, CWT_LIST = "application/statuslist+jwt", "application/statuslist+cwt"

Card = sd_jwt.Credential | mdoc.Document


class Authority:
    """Issues for every mission and ministry of the trust file that was prepared."""

    def __init__(self, prepared: Prepared) -> None:
        self.url = prepared.authority_url
        trust = prepared.trust()
        self._types = {kind["id"]: kind for kind in trust["credential_type"]}
        self._missions = {mission["code"]: mission for mission in trust["mission"]}
        self._signers = {code: prepared.mission_signer(code) for code in self._missions}
        self._document_signers = {code: prepared.mission_document_signer(code) for code in self._missions}
        self._status_signers = {code: prepared.mission_status_signer(code) for code in self._missions}
        self._lists = {code: StatusList() for code in self._missions}
        stranger = pki.make_ca("CA nobody knows")
        self._stranger = pki.make_leaf("Signer nobody knows", stranger)
        self._document_stranger = pki.make_leaf("Signer nobody knows", stranger, purpose=MDOC_SIGNER)

    def issue(
        self,
        persona: Persona,
        holder_key: ec.EllipticCurvePrivateKey,
        *,
        status: Status | None = None,
        from_stranger: bool = False,
        card: str = OVERSEAS,
        typ: str = "dc+sd-jwt",
    ) -> tuple[sd_jwt.Credential, Entry]:
        """A card as SD-JWT VC, bound to the holder's key, and its place in the status list.

        `status` overrides the persona's own. `from_stranger` signs with a key under a CA that is in no
        trust list. `typ` is what its header calls itself.
        """
        status = status or persona.status
        kind, code = self._types[card], self.issuer_of(card, persona)
        looks = kind["formats"][SD_JWT]
        entry = Entry(code, self._lists[code].give(_VALUES[status]))
        signer = self._stranger if from_stranger else self._signers[code]
        claims = _only(persona.claims(self._missions[code]), looks["elements"])
        concealed, disclosures = sd_jwt.conceal(claims)
        (vct,) = looks["names"]
        public = {
            "iss": f"{self.url}/missions/{code}",
            "vct": vct,
            "cnf": {"jwk": jose.public_jwk(holder_key.public_key())},
            "status": {"status_list": {"idx": entry.index, "uri": self.status_uri(code)}},
            "user_authentication": persona.authentication(),
            **_dates(status),
        }
        header = {"typ": typ, "x5c": jose.x5c([signer.certificate])}
        credential = sd_jwt.Credential(
            issuer_jwt=jose.sign(header, {**public, **concealed}, signer.key),
            disclosures=tuple(disclosures),
            claims={**public, **claims},
            vct=vct,
            holder_key=holder_key,
            authority_key_ids=frozenset({pki.authority_key_id(signer.certificate)}),
        )
        return credential, entry

    def issue_document(
        self,
        persona: Persona,
        holder_key: ec.EllipticCurvePrivateKey,
        *,
        status: Status | None = None,
        from_stranger: bool = False,
        card: str = OVERSEAS,
    ) -> tuple[mdoc.Document, Entry]:
        """The same card as mdoc."""
        status = status or persona.status
        kind, code = self._types[card], self.issuer_of(card, persona)
        looks = kind["formats"][MDOC]
        entry = Entry(code, self._lists[code].give(_VALUES[status]))
        claims = persona.claims(self._missions[code])
        elements: dict[str, dict[str, tuple[Any, Any]]] = {}
        for name, (name_space, element) in looks["elements"].items():
            value = _at(claims, name)
            elements.setdefault(name_space, {})[element] = (_in_cbor(name, value), value)
        name_space, element = looks["authentication"]
        unlocked_by = persona.authentication()
        elements.setdefault(name_space, {})[element] = (unlocked_by, unlocked_by)
        dates = _dates(status)
        document = mdoc.issue(
            looks["names"][0],
            elements,
            signer=self._document_stranger if from_stranger else self._document_signers[code],
            holder_key=holder_key,
            issued_at=dates["iat"],
            expires_at=dates["exp"],
            status={"uri": self.status_uri(code), "idx": entry.index},
        )
        return document, entry

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
        signer = self._status_signers[mission]
        now = int(time.time())
        payload = {
            "sub": self.status_uri(mission),
            "iat": now,
            "exp": now + _LIST_LIFE_S,
            "ttl": TTL_S,
            "status_list": {"bits": BITS, "lst": self._lists[mission].compressed()},
        }
        header = {"typ": "statuslist+jwt", "x5c": jose.x5c([signer.certificate])}
        return jose.sign(header, payload, signer.key)

    def status_token_cwt(self, mission: str) -> bytes:
        """The same list as a CWT (draft-ietf-oauth-status-list, section 5.2)."""
        signer = self._status_signers[mission]
        now = int(time.time())
        claims = {
            2: self.status_uri(mission),
            6: now,
            4: now + _LIST_LIFE_S,
            65534: TTL_S,
            65533: {"bits": BITS, "lst": jose.decode(self._lists[mission].compressed())},
        }
        chain = {mdoc.X5CHAIN: signer.certificate.public_bytes(Encoding.DER)}
        signed = mdoc.sign1(cbor2.dumps(claims), signer.key, protected={16: CWT_LIST}, unprotected=chain)
        return cbor2.dumps(CBORTag(18, signed))


def blueprint(authority: Authority) -> Blueprint:
    """The authority's door: `/authority/status/<mission>`."""
    doors = Blueprint("authority", __name__, url_prefix="/authority")

    @doors.get("/status/<mission>")
    def status(mission: str) -> Response:
        wanted = request.accept_mimetypes.best_match([JWT_LIST, CWT_LIST]) or JWT_LIST
        try:
            as_cwt = wanted == CWT_LIST
            token = authority.status_token_cwt(mission) if as_cwt else authority.status_token(mission)
        except KeyError:
            abort(404)
        response = Response(token, content_type=wanted)
        response.headers["Cache-Control"] = f"max-age={TTL_S}"
        return response

    return doors


def _dates(status: Status) -> dict[str, int]:
    """`iat` and `exp`, on whole days so that they do not mark one credential among many."""
    today = int(time.time()) // _DAY_S * _DAY_S
    if status is Status.EXPIRED:
        expired = today - _EXPIRED_DAYS_AGO * _DAY_S
        return {"iat": expired - _VALID_DAYS * _DAY_S, "exp": expired}
    issued = today - _ISSUED_DAYS_AGO * _DAY_S
    return {"iat": issued, "exp": issued + _VALID_DAYS * _DAY_S}


def _packed(values: tuple[int, ...]) -> bytes:
    return bytes([sum(value << (place * BITS) for place, value in enumerate(values))])


def _only(claims: Mapping[str, Any], elements: list[str]) -> dict[str, Any]:
    """The elements that a card shows, each where it stands in all that there is to say of a person."""
    found: dict[str, Any] = {}
    for name in elements:
        member, _, part = name.partition(".")
        if part:
            found.setdefault(member, {})[part] = claims[member][part]
        else:
            found[member] = claims[member]
    return found


def _at(claims: Mapping[str, Any], name: str) -> Any:
    member, _, part = name.partition(".")
    return claims[member][part] if part else claims[member]


def _in_cbor(name: str, value: Any) -> Any:
    """An element's value as ISO/IEC 18013-5 and 23220-2 have it."""
    if name == "picture":
        return base64.b64decode(value.partition(",")[2])
    if name == "nationalities":
        return value[0]
    if name == "birthdate" or name.endswith("_date"):
        return mdoc.full_date(value)
    return value
