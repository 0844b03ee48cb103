"""Issuing and presenting SD-JWT VCs, the authority's and the wallet's side of RFC 9901.

Deliberately varied, so that a verifier meets every shape: members of `age_equal_or_over` hide in an
object that is itself plain; `address` and `passport` hide as a whole and member by member (recursive
disclosures); `nationalities` hides its elements; `issuing_mission` is one disclosure. Decoy digests are
mixed in.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from idp.demo import jose

Path = tuple[str | int, ...]

_MEMBER_BY_MEMBER = {"age_equal_or_over"}
_RECURSIVE = {"address", "passport"}
_DECOYS = 3


@dataclass(frozen=True)
class Disclosure:
    """One disclosure as it is sent, and the place in the credential that it opens."""

    text: str
    path: Path


@dataclass(frozen=True)
class Credential:
    """An issued SD-JWT VC as a wallet keeps it. `claims` is what it says with everything disclosed."""

    issuer_jwt: str
    disclosures: tuple[Disclosure, ...]
    claims: dict[str, Any]
    vct: str
    holder_key: ec.EllipticCurvePrivateKey
    authority_key_ids: frozenset[str]

    @property
    def type_name(self) -> str:
        """What its type goes by in this format."""
        return self.vct


def conceal(claims: dict[str, Any]) -> tuple[dict[str, Any], list[Disclosure]]:
    """Replace claims by digests (RFC 9901, section 4.2).

    Returns the members to put into the payload and the disclosures that open them.
    """
    hidden = _Hidden()
    payload: dict[str, Any] = {}
    digests: list[str] = []
    for name, value in claims.items():
        if name in _MEMBER_BY_MEMBER:
            payload[name] = {"_sd": hidden.members(value, (name,))}
        elif name in _RECURSIVE:
            digests.append(hidden.member(name, {"_sd": hidden.members(value, (name,))}, (name,)))
        elif isinstance(value, list):
            elements = [{"...": hidden.element(item, (name, i))} for i, item in enumerate(value)]
            digests.append(hidden.member(name, elements, (name,)))
        else:
            digests.append(hidden.member(name, value, (name,)))
    digests.extend(jose.sha256(secrets.token_bytes(32)) for _ in range(_DECOYS))
    return {**payload, "_sd": sorted(digests), "_sd_alg": "sha-256"}, hidden.disclosures


class _Hidden:
    """Collects disclosures; every method returns the digest to leave in their place."""

    def __init__(self) -> None:
        self.disclosures: list[Disclosure] = []

    def member(self, name: str, value: Any, path: Path) -> str:
        return self._add([jose.random_text(), name, value], path)

    def members(self, value: dict[str, Any], path: Path) -> list[str]:
        # Sorted digests tell nothing about the order of the claims (RFC 9901, section 4.2.4.1).
        return sorted(self.member(name, member, (*path, name)) for name, member in value.items())

    def element(self, value: Any, path: Path) -> str:
        return self._add([jose.random_text(), value], path)

    def _add(self, content: list[Any], path: Path) -> str:
        text = jose.encode(jose.compact_json(content))
        self.disclosures.append(Disclosure(text, path))
        return jose.sha256(text.encode("ascii"))


def disclose(credential: Credential, paths: Iterable[Path]) -> list[str]:
    """The disclosures that open `paths`: their ancestors, themselves and all below them."""
    wanted = list(paths)
    return [
        disclosure.text
        for disclosure in credential.disclosures
        if any(_opens(disclosure.path, path) for path in wanted)
    ]


def _opens(disclosed: Path, wanted: Path) -> bool:
    shorter = min(len(disclosed), len(wanted))
    return disclosed[:shorter] == wanted[:shorter]


def bind(
    sd_jwt: str, *, nonce: str, audience: str, issued_at: int, sd_hash: str, key: ec.EllipticCurvePrivateKey
) -> str:
    """Add a Key Binding JWT (RFC 9901, section 4.3) to `<issuer jwt>~<disclosure>~...~`."""
    payload = {"iat": issued_at, "aud": audience, "nonce": nonce, "sd_hash": sd_hash}
    return sd_jwt + jose.sign({"typ": "kb+jwt"}, payload, key)
