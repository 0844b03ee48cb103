"""What a portal may know of its holders: each claim with its purpose, legal basis and how long it is kept.

The same registration shapes the query to the wallet, the consent page and the tokens: what stands here happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from idp.claims import CLAIMS
from idp.portals import Registration

Text = dict[str, str]


class Item(msgspec.Struct, frozen=True):
    """One claim. Texts have `ko` and `en`; `scope` is the one that asks for it."""

    claim: str
    label: Text
    scope: str
    sensitivity: str
    required: bool
    purpose: Text
    basis: Literal["consent", "statute"]
    statute: Text | None
    retention: Text


class Contract(msgspec.Struct, frozen=True):
    """A portal's contract with its holders. `asks` tells the scopes of its registration."""

    client_id: str
    name: Text
    operator: Text
    sector: str
    scopes: tuple[str, ...]
    required_acr: str
    credential_types: tuple[str, ...]
    policy_uri: str | None
    items: tuple[Item, ...]


def contract(registration: Registration) -> Contract:
    """The contract that a registration is."""
    return Contract(
        client_id=registration.client_id,
        name=registration.name,
        operator=registration.operator,
        sector=registration.sector,
        scopes=registration.scopes,
        required_acr=registration.required_acr,
        credential_types=registration.credential_types,
        policy_uri=registration.policy_uri,
        items=tuple(_items(registration)),
    )


def _items(registration: Registration) -> Iterator[Item]:
    for asked in registration.claims:
        known = CLAIMS.get(asked.name)
        named = {"ko": asked.name, "en": asked.name}
        yield Item(
            claim=asked.name,
            label=dict(known.label) if known is not None else named,
            scope=known.scope if known is not None else "",
            sensitivity=known.sensitivity if known is not None else "personal",
            required=asked.required,
            purpose=asked.purpose,
            basis=asked.basis,
            statute=asked.statute,
            retention=asked.retention or registration.retention,
        )


_WORDS: Mapping[str, Mapping[str, str]] = {
    "required": {"ko": "필수", "en": "required"},
    "optional": {"ko": "선택", "en": "optional"},
    "consent": {"ko": "동의", "en": "consent"},
    "purpose": {"ko": "목적", "en": "purpose"},
    "basis": {"ko": "근거", "en": "basis"},
    "kept": {"ko": "보유 기간", "en": "kept for"},
    "nothing": {"ko": "받는 개인정보 없음", "en": "no personal information"},
}


def as_text(made: Contract, lang: str) -> str:
    """The contract as a terminal shows it."""
    lines = [f"{made.name[lang]} ({made.client_id})", made.operator[lang], ""]
    for item in made.items:
        need = _WORDS["required" if item.required else "optional"][lang]
        basis = item.statute[lang] if item.statute is not None else _WORDS["consent"][lang]
        lines += [
            f"{item.label[lang]} ({item.claim}): {need}",
            f"  {_WORDS['purpose'][lang]}: {item.purpose[lang]}",
            f"  {_WORDS['basis'][lang]}: {basis}",
            f"  {_WORDS['kept'][lang]}: {item.retention[lang]}",
        ]
    if not made.items:
        lines.append(_WORDS["nothing"][lang])
    return "\n".join(lines)


def as_json(made: Contract) -> dict[str, Any]:
    """The contract as a program reads it."""
    built: dict[str, Any] = msgspec.to_builtins(made)
    return built
