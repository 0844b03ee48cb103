"""The forms of a portal: what was typed, as fields, and as a registration.

Four steps are one form. Each is sent with the fields of the others hidden in it, so that nothing is kept here between
them: every tab has its own draft, "back" works, and a step that was left open over night still has what was typed.
What a form does not know of a registration (a file may say more) stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any, Final

from idp import portals
from idp.claims import CLAIMS, SCOPES
from idp.portals import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN, RegistrationError
from idp.portals.rules import GRANT_TYPES, Finding

Fields = dict[str, list[str]]
"""What a form sends: each name with its values."""

STEPS: Final = ("who", "how", "what", "review")
_KST = timezone(timedelta(hours=9))
_TWO = ("ko", "en")
_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "who": ("client_uri", "policy_uri", "tos_uri", "logo_uri"),
    "how": (
        *("profile", "token_endpoint_auth_method", "jwks_uri", "tls_client_auth_subject_dn"),
        *("backchannel_logout_uri", "id_token_signed_response_alg", "sector_identifier"),
    ),
    "what": ("required_acr",),
    "review": (),
}
_BOTH: Final[Mapping[str, tuple[str, ...]]] = {
    "who": ("name", "operator"),
    "how": (),
    "what": ("retention",),
    "review": (),
}
_LINES: Final[Mapping[str, tuple[str, ...]]] = {
    "who": ("contacts",),
    "how": ("redirect_uris", "post_logout_redirect_uris"),
    "what": (),
    "review": (),
}
_MANY: Final[Mapping[str, tuple[str, ...]]] = {
    "who": (),
    "how": ("grant_types",),
    "what": ("scopes", "credential_types"),
    "review": (),
}
_TICKS: Final[Mapping[str, tuple[str, ...]]] = {
    "who": (),
    "how": ("require_pkce", "dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens"),
    "what": ("single_sign_on", "cross_device"),
    "review": (),
}
_CLAIM_TEXTS = ("purpose", "retention", "statute")
_DEFAULTS: Final[Mapping[str, Any]] = {
    "profile": "standard",
    "grant_types": [AUTHORIZATION_CODE],
    "token_endpoint_auth_method": "private_key_jwt",
    "id_token_signed_response_alg": "ES256",
    "scopes": ["openid"],
    "required_acr": "general",
    "require_pkce": True,
    "single_sign_on": True,
}
NEW: Final[Mapping[str, Any]] = {
    "token_endpoint_auth_method": "client_secret_basic",
    "scopes": ["openid"],
}
"""What a new portal begins with."""


def fields_of(step: str) -> Iterator[str]:
    """The names of a step's fields."""
    if step == "who":
        yield from ("client_id", "organisation")
    for name in _BOTH[step]:
        yield from (f"{name}.{lang}" for lang in _TWO)
    for table in (_TEXTS, _LINES, _MANY, _TICKS):
        yield from table[step]
    if step == "how":
        yield from ("jwks", "move_until")
    if step == "what":
        yield from ("claims", *(name for claim in CLAIMS for name in claim_fields(claim)))
    if step == "review":
        yield "reason"


def claim_fields(claim: str) -> Iterator[str]:
    """The names of the fields of one claim."""
    yield from (f"claim.{claim}.required", f"claim.{claim}.basis")
    yield from (f"claim.{claim}.{text}.{lang}" for text in _CLAIM_TEXTS for lang in _TWO)


def step_of(problem: Finding) -> str:
    """Where a problem can be mended."""
    root = problem.field.partition(".")[0]
    for step in STEPS:
        if any(name == problem.field or name.partition(".")[0] == root for name in fields_of(step)):
            return step
    return {"previous_sector_identifier": "how", "previous_sector_until": "how"}.get(root, "review")


# -- to fields -----------------------------------------------------------------------------------------------------


def as_fields(document: Mapping[str, Any]) -> Fields:
    """A registration as the forms show it."""
    said = {**_DEFAULTS, "cross_device": document.get("profile") != "fapi2", **document}
    made: Fields = {"client_id": [str(document.get("client_id", ""))]}
    for step in STEPS:
        for name in _BOTH[step]:
            made |= {f"{name}.{lang}": [said.get(name, {}).get(lang, "")] for lang in _TWO}
        made |= {name: [said.get(name) or ""] for name in _TEXTS[step]}
        made |= {name: ["\n".join(said.get(name, ()))] for name in _LINES[step]}
        made |= {name: list(said.get(name, ())) for name in _MANY[step]}
        made |= {name: ["yes"] if said.get(name) else [] for name in _TICKS[step]}
    made["jwks"] = [json.dumps(said["jwks"], indent=1)] if said.get("jwks") else [""]
    until = said.get("previous_sector_until")
    made["move_until"] = [datetime.fromtimestamp(until, _KST).date().isoformat()] if until else [""]
    return made | _claims_as_fields(said.get("claims", ()))


def _claims_as_fields(claims: Sequence[Mapping[str, Any]]) -> Fields:
    asked = {str(claim["name"]): claim for claim in claims}
    made: Fields = {"claims": list(asked)}
    for name in CLAIMS:
        claim = asked.get(name, {})
        made[f"claim.{name}.required"] = ["yes"] if claim.get("required", True) else []
        made[f"claim.{name}.basis"] = [claim.get("basis", "consent")]
        for text in _CLAIM_TEXTS:
            said = claim.get(text) or {}
            made |= {f"claim.{name}.{text}.{lang}": [said.get(lang, "")] for lang in _TWO}
    return made


# -- to a registration ---------------------------------------------------------------------------------------------


def one(fields: Fields, name: str) -> str:
    return next(iter(fields.get(name, ())), "").strip()


def lines(fields: Fields, name: str) -> list[str]:
    return [line.strip() for line in one(fields, name).splitlines() if line.strip()]


def as_document(fields: Fields, base: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[Finding]]:
    """The registration that these fields make of `base` (None: of nothing), and what could not be read.

    Secrets are never taken from a form.
    """
    made: dict[str, Any] = dict(base or {})
    made["client_id"] = base["client_id"] if base is not None else one(fields, "client_id")
    problems: list[Finding] = []
    for step in STEPS:
        made |= {name: {lang: one(fields, f"{name}.{lang}") for lang in _TWO} for name in _BOTH[step]}
        made |= {name: one(fields, name) or None for name in _TEXTS[step]}
        made |= {name: lines(fields, name) for name in _LINES[step]}
        made |= {name: bool(fields.get(name)) for name in _TICKS[step]}
    made["grant_types"] = _chosen(fields, "grant_types", GRANT_TYPES, base)
    made["scopes"] = _chosen(fields, "scopes", tuple(SCOPES), base)
    made["credential_types"] = list(dict.fromkeys(fields.get("credential_types", ())))
    made["claims"] = _claims(fields)
    made["jwks"] = _jwks(one(fields, "jwks"), problems)
    if not str(made["token_endpoint_auth_method"]).startswith("client_secret"):
        made.pop("client_secret_sha256", None)
    _move(made, base, one(fields, "move_until"), problems)
    return {name: value for name, value in made.items() if not _is_unsaid(name, value)}, problems


def _is_unsaid(name: str, value: Any) -> bool:
    if name == "sector_identifier":
        return not value
    if name in {"grant_types", "scopes"}:  # as a file would leave them out
        return bool(value == _DEFAULTS[name])
    return value is None or (isinstance(value, list) and not value)


def _chosen(fields: Fields, name: str, known: Sequence[str], base: Mapping[str, Any] | None) -> list[str]:
    """What was ticked, in the order of what there is; and what the form cannot show, as it was."""
    ticked = fields.get(name, ())
    kept = [value for value in (base or {}).get(name, ()) if value not in known]
    return [*(value for value in known if value in ticked), *kept]


def _claims(fields: Fields) -> list[dict[str, Any]]:
    made = []
    for name in CLAIMS:
        if name not in fields.get("claims", ()):
            continue
        claim: dict[str, Any] = {
            "name": name,
            "purpose": _both(fields, f"claim.{name}.purpose") or dict.fromkeys(_TWO, ""),
            "required": bool(fields.get(f"claim.{name}.required")),
            "basis": "statute" if one(fields, f"claim.{name}.basis") == "statute" else "consent",
        }
        texts = {text: _both(fields, f"claim.{name}.{text}") for text in ("retention", "statute")}
        if claim["basis"] == "consent":
            texts.pop("statute")
        made.append(claim | {text: said for text, said in texts.items() if said})
    return made


def _both(fields: Fields, name: str) -> dict[str, str] | None:
    said = {lang: one(fields, f"{name}.{lang}") for lang in _TWO}
    return said if any(said.values()) else None


def _jwks(text: str, problems: list[Finding]) -> Any:
    if not text:
        return None
    try:
        made = json.loads(text)
    except (ValueError, RecursionError):
        made = None
    if not isinstance(made, dict):
        problems.append(Finding("jwks", "jwks is not a JSON object"))
        return None
    return made


def _move(made: dict[str, Any], base: Mapping[str, Any] | None, day: str, problems: list[Finding]) -> None:
    """A change of sector with a last day is a move; a move under way keeps its sector, and may get another day."""
    was, wanted = _sector(base), _sector(made)
    leaving = was is not None and wanted is not None and was != wanted
    if not day:
        for name in ("previous_sector_identifier", "previous_sector_until"):
            made.pop(name, None)
        return
    try:
        last = datetime.combine(date.fromisoformat(day), time.max, _KST)
    except ValueError:
        problems.append(Finding("move_until", "this is not a day"))
        return
    until = int(last.astimezone(UTC).timestamp())
    if base is not None and not leaving and base.get("previous_sector_until"):
        if as_fields(base)["move_until"] != [day]:
            made["previous_sector_until"] = until
    elif leaving:
        made |= {"previous_sector_identifier": was, "previous_sector_until": until}
    else:
        problems.append(Finding("move_until", "there is no move: the sector stays what it is"))


def _sector(document: Mapping[str, Any] | None) -> str | None:
    if document is None:
        return None
    said = {name: value for name, value in document.items() if not _is_unsaid(name, value)}
    try:
        return portals.typed(said).sector
    except (RegistrationError, ValueError):
        return None


OFFERED_GRANTS: Final = (AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE)
