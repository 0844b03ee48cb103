"""A make-believe issuing authority: SD-JWT VCs for the personas, and a status list per mission.

A status list is drawn up in advance: of every eight entries one is revoked, one is suspended and six are
valid, and a credential gets an entry that already says what it should. So a verifier that still holds
yesterday's list is never told something false by it. `set_status` changes an entry while the authority
runs; verifiers hear of it when the list's `ttl` is over.
"""

import secrets
import threading
import time
import zlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Blueprint, Response, abort

from idp.demo import jose, pki, sd_jwt
from idp.demo.personas import Persona, Status
from idp.demo.seeds import Prepared

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


class Authority:
    """Issues for every mission of the trust file that was prepared."""

    def __init__(self, prepared: Prepared) -> None:
        self.url = prepared.authority_url
        self._vct = prepared.vct
        self._missions = {mission["code"]: mission for mission in prepared.trust()["mission"]}
        self._signers = {code: prepared.mission_signer(code) for code in self._missions}
        self._status_signers = {code: prepared.mission_status_signer(code) for code in self._missions}
        self._lists = {code: StatusList() for code in self._missions}
        self._stranger = pki.make_leaf("Signer nobody knows", pki.make_ca("CA nobody knows"))

    def issue(
        self,
        persona: Persona,
        holder_key: ec.EllipticCurvePrivateKey,
        *,
        status: Status | None = None,
        from_stranger: bool = False,
    ) -> tuple[sd_jwt.Credential, Entry]:
        """A credential for the persona, bound to the holder's key, and its place in the status list.

        `status` overrides the persona's own. `from_stranger` signs with a key under a CA that is in no
        trust list.
        """
        status = status or persona.status
        entry = Entry(persona.mission, self._lists[persona.mission].give(_VALUES[status]))
        signer = self._stranger if from_stranger else self._signers[persona.mission]
        claims = persona.claims(self._missions[persona.mission])
        concealed, disclosures = sd_jwt.conceal(claims)
        public = {
            "iss": f"{self.url}/missions/{persona.mission}",
            "vct": self._vct,
            "cnf": {"jwk": jose.public_jwk(holder_key.public_key())},
            "status": {"status_list": {"idx": entry.index, "uri": self.status_uri(persona.mission)}},
            "user_authentication": persona.authentication(),
            **_dates(status),
        }
        header = {"typ": "dc+sd-jwt", "x5c": jose.x5c([signer.certificate])}
        credential = sd_jwt.Credential(
            issuer_jwt=jose.sign(header, {**public, **concealed}, signer.key),
            disclosures=tuple(disclosures),
            claims={**public, **claims},
            vct=self._vct,
            holder_key=holder_key,
            authority_key_ids=frozenset({_authority_key_id(signer.certificate)}),
        )
        return credential, entry

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


def blueprint(authority: Authority) -> Blueprint:
    """The authority's door: `/authority/status/<mission>`."""
    doors = Blueprint("authority", __name__, url_prefix="/authority")

    @doors.get("/status/<mission>")
    def status(mission: str) -> Response:
        try:
            token = authority.status_token(mission)
        except KeyError:
            abort(404)
        response = Response(token, content_type="application/statuslist+jwt")
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


def _authority_key_id(certificate: x509.Certificate) -> str:
    """The `aki` of a DCQL `trusted_authorities` entry: base64url of the certificate's key identifier."""
    extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    return jose.encode(extension.value.key_identifier or b"")
