"""Resource servers (RFC 8707): portals that tokens are for, and one that asks for such tokens."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.rig import Portal, Rig

RECORDS = "https://records.example/api"
STAMPS = "https://stamps.example/"
ELSEWHERE = "https://elsewhere.example/"


def records(rig: Rig, **changes: Any) -> Portal:
    """A server of `RECORDS` that wants opaque tokens and asks what they are."""
    return _server(rig, "records", serves_resources=[RECORDS], **changes)


def stamps(rig: Rig, **changes: Any) -> Portal:
    """A server of `STAMPS` that reads JWTs by itself (RFC 9068)."""
    return _server(rig, "stamps", serves_resources=[STAMPS], access_token_format="jwt", **changes)


def _server(rig: Rig, client_id: str, **changes: Any) -> Portal:
    good = {"grant_types": [], "sector_identifier": f"{client_id}.example"}
    return rig.variant("apostille", client_id, **{**good, **changes})


def asking(rig: Rig, of: str = "gov24", client_id: str = "asking", **changes: Any) -> Portal:
    """A portal that may ask for tokens for both, and for a resource that nobody serves; it may refresh."""
    good = {"resources": [RECORDS, STAMPS, ELSEWHERE], "grant_types": ["authorization_code", "refresh_token"]}
    return rig.variant(of, client_id, **{**good, **changes})


def header_of(token: str) -> dict[str, Any]:
    """The header of a compact JWT or JWE, unverified."""
    part = token.partition(".")[0]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))
