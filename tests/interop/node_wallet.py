"""wallet.mjs as tests hold it: a phone with credentials on it, that opens links."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
        }


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
