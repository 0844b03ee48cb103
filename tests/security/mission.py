"""A mission of the test's own that the court's house trusts: it issues whatever a case wants, in both formats.

Its credentials are made by `tests.credentials.issuing` and `issuing_mdoc`, which share nothing with the house; their
times are those of now. A host of its own serves its status list, and whatever else a case puts there.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cbor2
import httpx2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import ECKey

from idp.admin import trust as trust_admin
from idp.seal import unb64
from tests.altering import link_of
from tests.credentials import issuing, issuing_mdoc
from tests.credentials.issuing import LEAF_EXTENSIONS, certificate
from tests.credentials.issuing_mdoc import ELEMENTS, KR, document_signer, status_cwt, tdate
from tests.presenting import Answer
from tests.rig import Rig
from tests.security.judging import Case, Court, in_session
from tests.security.presented import REJECTED, Message, NotAccepted, honest_is_accepted, message

CODE = "OWN"
DAY_S = 86_400
SD_JWT, MDOC = "sd", "mdoc"
CWT, JWT = "application/statuslist+cwt", "application/statuslist+jwt"
_CLAIMS = {"issuing_mission": {"code": CODE, "name_ko": "가", "name_en": "a"}}


@dataclass
class Authority(issuing.Authority):
    """The authority of those tests, at the time of this one."""

    code: str = CODE
    now: int = 0

    def __post_init__(self) -> None:
        name = f"{self.code} CA"
        self.ca = certificate(name, self.key, name, self.key, self.ca_extensions, **self._times())
        self.signer = self.leaf(self.signer_key)
        self.status_signer = self.leaf(self.status_key, subject=f"{self.code} status")

    def leaf(
        self,
        key: ec.EllipticCurvePrivateKey,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = LEAF_EXTENSIONS,
        subject: str = "document signer",
        **times: int,
    ) -> x509.Certificate:
        return super().leaf(key, extensions, subject, **{**self._times(), **times})

    def _times(self) -> dict[str, int]:
        return {"not_before": self.now - 30 * DAY_S, "not_after": self.now + 30 * DAY_S}


@dataclass(frozen=True)
class Asked:
    """What a presentation has to be bound to."""

    client_id: str
    nonce: str
    response_uri: str
    thumbprint: bytes

    def transcript(self, **changes: Any) -> bytes:
        """SessionTranscript of OpenID4VP 1.0, appendix B.2.6.1, written down anew; a handover's parts may differ."""
        parts = {
            "client_id": self.client_id,
            "nonce": self.nonce,
            "thumbprint": self.thumbprint,
            "response_uri": self.response_uri,
            **changes,
        }
        info = [parts[name] for name in ("client_id", "nonce", "thumbprint", "response_uri")]
        handover = ["OpenID4VPHandover", hashlib.sha256(cbor2.dumps(info)).digest()]
        return cbor2.dumps([changes.get("engagement"), changes.get("reader_key"), handover])


def asked_of(answer: Answer) -> Asked:
    request = answer.request
    key = ECKey.import_key(request["client_metadata"]["jwks"]["keys"][0])
    return Asked(request["client_id"], request["nonce"], request["response_uri"], unb64(key.thumbprint()))


@dataclass
class Host:
    """Serves bytes by path and media type, and remembers what it was asked for, and with which headers."""

    origin: str = ""
    served: dict[tuple[str, str], bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    asked: list[tuple[str, str]] = field(default_factory=list)
    said: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Mission:
    """The mission: issues, and says of what it has issued whether it holds."""

    rig: Rig
    host: Host
    authority: Authority

    @property
    def now(self) -> int:
        return self.rig.clock()

    @property
    def status_uri(self) -> str:
        return f"{self.host.origin}/lists/1"

    def sd_jwt(self, *, payload: Mapping[str, Any] | None = None, **changes: Any) -> issuing.Issued:
        """As `issuing.issue`."""
        own = {
            "iat": self.now - 3600,
            "exp": self.now + DAY_S,
            "status": {"status_list": {"idx": 0, "uri": self.status_uri}},
        }
        claims = {**_CLAIMS, **changes.pop("claims", {})}
        return issuing.issue(self.authority, payload={**own, **(payload or {})}, claims=claims, **changes)

    def mdoc(self, **changes: Any) -> issuing_mdoc.Issued:
        """As `issuing_mdoc.issue`."""
        own: dict[str, Any] = {
            "validity": {
                "signed": tdate(self.now - 3600),
                "validFrom": tdate(self.now - 3600),
                "validUntil": tdate(self.now + DAY_S),
            },
            "mso": {"status": {"status_list": {"idx": 0, "uri": self.status_uri}}},
            "elements": {KR: {**ELEMENTS[KR], "mission_code": CODE}},
            "signer": changes.pop("signer", None) or self.document_signer(),
        }
        merged = {
            name: {**value, **changes.pop(name)} if name in changes and isinstance(value, dict) else value
            for name, value in own.items()
        }
        return issuing_mdoc.issue(self.authority, **merged, **changes)

    def document_signer(self, **changes: Any) -> x509.Certificate:
        times = {"not_before": self.now - 30 * DAY_S, "not_after": self.now + 30 * DAY_S}
        return document_signer(self.authority, **{**times, **changes})

    def bound(self, issued: issuing.Issued, asked: Asked, **changes: Any) -> str:
        """A presentation of an SD-JWT VC, of all that it has."""
        payload = {"aud": asked.client_id, "nonce": asked.nonce, "iat": self.now}
        return issued.present(payload={**payload, **changes.pop("payload", {})}, **changes)

    def says(self, *values: int, path: str = "/lists/1", cwt: Any = None, jwt: Any = None) -> None:
        """What its status list says; `cwt` and `jwt` are arguments of the makers in place of good ones."""
        uri, now = self.host.origin + path, self.now
        claims = {"sub": uri, "iat": now - 60, "exp": now + DAY_S, "ttl": 1}
        entries = values or (0, 1, 2, 3)
        given = {**(jwt or {})}
        given["payload"] = {**claims, **given.get("payload", {})}
        self.host.served[path, JWT] = issuing.status_token(self.authority, entries, **given)
        given = {**(cwt or {})}
        given["payload"] = {2: uri, 6: now - 60, 4: now + DAY_S, 65534: 1, **given.get("payload", {})}
        self.host.served[path, CWT] = status_cwt(self.authority, entries, **given)


Make = Callable[[Mission, Asked], str]


def shown(row: str, name: str, make: Make, reason: str, *, under: str = MDOC, **more: Any) -> Case:
    """A presentation of the court's own mission, answered under the query of its format."""

    def prepare(court: Court) -> Message:
        return said(court, link_of(court.portal()), make, under)

    case = Case(
        row,
        name,
        lambda court, given: given.post(court.rig),
        NotAccepted(),
        [(REJECTED, reason)],
        prepare=prepare,
        after=honest_is_accepted,
    )
    return replace(case, **more)


def said(court: Court, link: str, make: Make, under: str) -> Message:
    """What the court's own mission makes of a question, as a wallet posts it."""
    answer = Answer(court.rig, link)
    presentation = make(court.mission, asked_of(answer))
    answer.payload["vp_token"] = {f"{under}-{issuing.TYPE_ID}": [presentation]}
    return message(answer, link)


def answered(court: Court, link: str, make: Make, under: str = MDOC) -> httpx2.Response:
    """The same, posted."""
    return said(court, link, make, under).post(court.rig)


@contextmanager
def with_mission(directory: Path, overrides: dict[str, Any] | None = None) -> Iterator[Court]:
    """A court whose house trusts a mission of its own, in the formats that it issues."""
    with hosting() as host, in_session(directory, overrides, allow=[host.origin]) as court:
        mission = Mission(court.rig, host, Authority(now=court.rig.clock()))
        mission.says()
        trust(court.rig, mission.authority)
        court.mission = mission
        court.hosts.add(int(host.origin.rpartition(":")[2]))
        yield court


def trust(rig: Rig, authority: issuing.Authority, **changes: Any) -> None:
    """Let the house believe this authority for the certificate of overseas nationals."""
    kind = next(one for one in rig.prepared.trust()["credential_type"] if one["id"] == issuing.TYPE_ID)
    known = kind["formats"]
    elements = {".".join(path): list(place) for path, place in issuing_mdoc.PATHS.items()}
    formats = {
        **known,
        "dc+sd-jwt": {**known["dc+sd-jwt"], "names": [*known["dc+sd-jwt"]["names"], issuing.VCT]},
        "mso_mdoc": {
            **known["mso_mdoc"],
            "elements": elements,
            "authentication": [KR, "user_authentication"],
        },
    }
    mission = {
        "code": authority.code,
        "name": {"ko": "시험 공관", "en": "Test mission"},
        "country": "US",
        "credential_types": [issuing.TYPE_ID],
        "active_from": issuing.date(2024, 7, 3),
        "issuer_certificates": [pem(authority.ca)],
        "status_certificates": [],
        **changes,
    }
    with rig.app.app_context():
        document = {"credential_type": [{**kind, "formats": formats}], "mission": [mission]}
        trust_admin.apply(document, now=rig.clock())
        rig.clock.forward(trust_admin.RELOAD_S)
        rig.house.trust.snapshot()
        rig.clock.forward(-trust_admin.RELOAD_S)


def pem(made: x509.Certificate) -> str:
    return made.public_bytes(Encoding.PEM).decode("ascii")


@contextmanager
def hosting() -> Iterator[Host]:
    """A host on loopback."""
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind = self.headers.get("Accept", "")
            host.asked.append((self.path, kind))
            host.said.append({name.lower(): value for name, value in self.headers.items()})
            body = host.served.get((self.path, kind))
            self.send_response(host.status if body is not None else 404)
            headers = {"Content-Type": kind, **host.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.origin = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
