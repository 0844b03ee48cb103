"""wallet.mjs as tests hold it: a phone with credentials on it, that opens links."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from idp.demo import jose
from idp.demo.authority import Authority
from tests.interop.talking import Conversation, private_jwk
from tests.rig import Rig, person


@dataclass(frozen=True)
class Held:
    """A credential as its issuer made it, and its holder's key."""

    format: str
    credential: str
    holder_key: ec.EllipticCurvePrivateKey = field(repr=False)

    def for_script(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "credential": self.credential,
            "holder_key": private_jwk(self.holder_key),
            "authority": {"type": "aki", "values": self.authority_key_ids()},
        }

    def authority_key_ids(self) -> list[str]:
        """What the certificates beside its issuer's signature say of who signed them (OpenID4VP 6.1.1.1)."""
        if self.format == "mso_mdoc":
            x5chain = cbor2.loads(jose.decode(self.credential))["issuerAuth"][1][33]
            ders = [x5chain] if isinstance(x5chain, bytes) else x5chain
        else:
            header = json.loads(jose.decode(self.credential.partition(".")[0]))
            ders = [base64.b64decode(text) for text in header["x5c"]]
        ids = []
        for certificate in map(x509.load_der_x509_certificate, ders):
            extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
            ids.append(jose.encode(extension.key_identifier or b""))
        return ids


def of_the_demonstration(rig: Rig, persona: str = "hong") -> Held:
    """A persona's credential by the demonstration's authority, with a holder's key that is handed to the wallet."""
    holder_key = jose.generate()
    issued, _ = Authority(rig.prepared).issue(person(persona), holder_key)
    disclosures = (disclosure.text for disclosure in issued.disclosures)
    return Held("dc+sd-jwt", "~".join([issued.issuer_jwt, *disclosures, ""]), holder_key)


@dataclass
class NodeWallet:
    """A phone with these credentials on it. `issuers`: PEM, the CAs under which it believes mdocs."""

    rig: Rig
    phone: Conversation
    held: list[Held]
    issuers: tuple[str, ...] = ()

    def open(self, link: str, **changes: Any) -> dict[str, Any]:
        """Answer the request behind a link: what was asked, shown and answered. Raises PeerFailed."""
        return self._told(link=link, **changes)

    def asked_by_page(self, origin: str, protocol: str, data: Any, **changes: Any) -> dict[str, Any]:
        """Answer a page through the Digital Credentials API; `data` is what it gets. Raises PeerFailed."""
        return self._told(request={"origin": origin, "protocol": protocol, "data": data}, **changes)

    def _told(self, **changes: Any) -> dict[str, Any]:
        good = {
            "trusted": self.rig.prepared.access_ca.read_text("ascii"),
            "held": [held.for_script() for held in self.held],
            "issuers": self.issuers,
            "pick": None,
            "enc": "A256GCM",
            "post": None,
            "refuse": None,
            "careless": False,
            "more": [],
            "less": [],
            "annex_b": False,
            "bent": {},
        }
        return dict(self.phone.say({**good, **changes}))
