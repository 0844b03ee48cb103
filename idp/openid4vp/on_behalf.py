"""For whom we ask: what a wallet is told of the portal, its agency and its purposes, for the screen of the holder.

OpenID4VP 1.0 has no member for that. Of `client_metadata` a wallet ignores what it does not know (section 5.1), so
the names are there that others have defined. A purpose has no name at all: DCQL has none, and `verifier_info` is for
formats that somebody defines; this is ours. All of it is our word, signed with the request, and no proof of the
portal's own.

Spec: OpenID4VP 1.0, sections 5.1, 5.11 and 11; RFC 7591, sections 2 and 2.2; OpenID Federation 1.0, section 5.2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idp import consent
from idp.login import AuthorizationRequest
from idp.portals import Registration

Texts = Mapping[str, str]


@dataclass(frozen=True)
class OnBehalf:
    """A portal in its own words, by language. purposes: why it asks, each once."""

    name: Texts
    operator: Texts
    purposes: tuple[Texts, ...] = ()
    client_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None

    @classmethod
    def of(cls, portal: Registration, request: AuthorizationRequest) -> OnBehalf:
        """The portal, and what it says of the claims that this request may receive."""
        purposes: list[Texts] = []
        for claim in consent.asked_claims(portal, request):
            if claim.purpose not in purposes:
                purposes.append(claim.purpose)
        return cls(
            portal.name,
            portal.operator,
            tuple(purposes),
            portal.client_uri,
            portal.policy_uri,
            portal.tos_uri,
        )

    def metadata(self) -> dict[str, Any]:
        """Members of `client_metadata`."""
        addresses = {name: getattr(self, name) for name in ("client_uri", "policy_uri", "tos_uri")}
        return {
            **_tagged("client_name", self.name),
            **_tagged("organization_name", self.operator),
            **{name: address for name, address in addresses.items() if address},
        }

    def verifier_info(self, issuer: str) -> list[dict[str, Any]]:
        """The parameter of this name; empty where there is nothing to say, and then it must not be sent."""
        if not self.purposes:
            return []
        return [
            {"format": purposes_format(issuer), "data": {"purposes": [dict(one) for one in self.purposes]}}
        ]


def purposes_format(issuer: str) -> str:
    """The name of our format of `verifier_info`, which should collide with nobody else's."""
    return f"{issuer}/docs/wallets#for-whom-we-ask"


def _tagged(name: str, texts: Texts) -> dict[str, str]:
    """In every language there is, and all of them together for who reads no tags."""
    if not texts:
        return {}
    together = " · ".join(dict.fromkeys(texts.values()))
    return {name: together, **{f"{name}#{lang}": text for lang, text in texts.items()}}
