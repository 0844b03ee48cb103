"""DCQL, the Digital Credentials Query Language (OpenID4VP 1.0, sections 6 and 7): built, and checked again.

A wallet is not believed to have answered what was asked: everything here is evaluated on what it sent
(sections 6.4 and 14.9).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, product
from typing import Any

Path = tuple[str | int | None, ...]

_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
_META = {"dc+sd-jwt": "vct_values", "mso_mdoc": "doctype_value"}
_TRUSTED_AUTHORITIES = {"aki", "etsi_tl", "openid_federation"}


class QueryError(ValueError):
    """A query that the specification does not allow."""


class NothingSelected(ValueError):
    """A path that selects nothing in this credential, or does not fit its shape."""


def credential(
    name: str,
    credential_format: str,
    type_names: Iterable[str],
    required: Sequence[Path],
    *optional: Sequence[Path],
) -> dict[str, Any]:
    """A query for one credential. Each group of optional paths may be left out as a whole, the last one most easily.

    A docType is one string, so of an mdoc there is one name (appendix B.2.3).
    """
    ids = {path: f"c{index}" for index, path in enumerate(dict.fromkeys(chain(required, *optional)))}
    names = sorted(type_names)
    meta = {_META[credential_format]: names if credential_format == "dc+sd-jwt" else names[0]}
    made: dict[str, Any] = {"id": name, "format": credential_format, "meta": meta}
    if ids:
        made["claims"] = [{"id": claim, "path": list(path)} for path, claim in ids.items()]
    sets = [
        tuple(dict.fromkeys(ids[path] for path in chain(required, *kept)))
        for kept in product(*((group, ()) for group in optional))
    ]
    if len(distinct := [some for some in dict.fromkeys(sets) if some]) > 1:
        made["claim_sets"] = [list(some) for some in distinct]
    return made


def any_of(credentials: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A query that one of these credentials answers."""
    made: dict[str, Any] = {"credentials": list(credentials)}
    if len(credentials) > 1:
        made["credential_sets"] = [{"options": [[entry["id"]] for entry in credentials]}]
    return made


def check(asked: Mapping[str, Any]) -> None:
    """Raises QueryError when the query is not well formed."""
    credentials = asked.get("credentials")
    if not isinstance(credentials, list) or not credentials:
        raise QueryError("credentials must be a non-empty array")
    ids = [_checked_credential(entry) for entry in credentials]
    if len(set(ids)) != len(ids):
        raise QueryError("a credential id is there twice")
    sets = asked.get("credential_sets")
    if sets is None:
        return
    if not isinstance(sets, list) or not sets:
        raise QueryError("credential_sets must be a non-empty array")
    for entry in sets:
        options = entry.get("options")
        if not isinstance(options, list) or not options or not all(options):
            raise QueryError("options must be a non-empty array of non-empty arrays")
        if any(name not in ids for option in options for name in option):
            raise QueryError("an option names a credential that is not in the query")


def _checked_credential(entry: Mapping[str, Any]) -> str:
    name = entry.get("id")
    if not isinstance(name, str) or not _ID.match(name):
        raise QueryError("a credential needs an id of letters, digits, _ and -")
    meta = entry.get("meta")
    member = _META.get(str(entry.get("format")))
    if member is None:
        raise QueryError("unknown format")
    if not isinstance(meta, dict) or not meta.get(member):
        raise QueryError(f"meta needs {member}")
    for authority in entry.get("trusted_authorities", ()):
        if authority.get("type") not in _TRUSTED_AUTHORITIES or not authority.get("values"):
            raise QueryError("trusted_authorities need a known type and values")
    _check_claims(entry)
    return name


def _check_claims(entry: Mapping[str, Any]) -> None:
    claims = entry.get("claims")
    sets = entry.get("claim_sets")
    if claims is None:
        if sets is not None:
            raise QueryError("claim_sets without claims")
        return
    if not isinstance(claims, list) or not claims:
        raise QueryError("claims must be a non-empty array")
    paths = [tuple(claim.get("path") or ()) for claim in claims]
    if not all(paths) or len(set(paths)) != len(paths):
        raise QueryError("every claim needs a path of its own")
    if any(not _is_step(step) for path in paths for step in path):
        raise QueryError("a path holds strings, non-negative integers and null")
    if entry["format"] == "mso_mdoc" and any(
        len(path) != 2 or not all(isinstance(step, str) for step in path) for path in paths
    ):
        raise QueryError("a path into an mdoc is a namespace and an element")
    if sets is None:
        return
    ids = [claim.get("id") for claim in claims]
    if any(not isinstance(name, str) or not _ID.match(name) for name in ids) or len(set(ids)) != len(ids):
        raise QueryError("claim_sets need an id for every claim")
    if not sets or not all(sets) or any(name not in ids for option in sets for name in option):
        raise QueryError("claim_sets hold ids of claims")


def _is_step(step: object) -> bool:
    is_index = isinstance(step, int) and not isinstance(step, bool) and step >= 0
    return step is None or isinstance(step, str) or is_index


def select(claims: Any, path: Sequence[str | int | None]) -> list[Any]:
    """The elements that a claims path pointer selects in a JSON credential (section 7.1).

    Raises NothingSelected when a step does not fit, or when nothing is left.
    """
    if not path:
        raise NothingSelected("empty path")
    if not all(_is_step(step) for step in path):
        raise NothingSelected("invalid component")
    selected = [claims]
    for step in path:
        selected = _step(selected, step)
        if not selected:
            raise NothingSelected("nothing selected")
    return selected


def _step(selected: list[Any], step: str | int | None) -> list[Any]:
    if isinstance(step, str):
        if not all(isinstance(value, Mapping) for value in selected):
            raise NothingSelected("not an object")
        return [value[step] for value in selected if step in value]
    if not all(isinstance(value, list) for value in selected):
        raise NothingSelected("not an array")
    if step is None:
        return [element for value in selected for element in value]
    return [value[step] for value in selected if step < len(value)]


def claims_satisfied(entry: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    """Whether these claims answer a credential query: all of its claims, or one complete claim set."""
    wanted = entry.get("claims")
    if not wanted:
        return True
    there = {claim.get("id", index): _claim_satisfied(claim, claims) for index, claim in enumerate(wanted)}
    options = entry.get("claim_sets") or [list(there)]
    return any(all(there[name] for name in option) for option in options)


def _claim_satisfied(claim: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    try:
        selected = select(claims, claim["path"])
    except NothingSelected:
        return False
    values = claim.get("values")
    return values is None or any(_same(value, wanted) for value in selected for wanted in values)


def _same(value: Any, wanted: Any) -> bool:
    # In Python True == 1 and 1 == 1.0; in JSON they are three different values.
    return type(value) is type(wanted) and bool(value == wanted)


def credentials_satisfied(asked: Mapping[str, Any], answered: Collection[str]) -> bool:
    """Whether these credentials, each satisfying its query, answer the whole (section 6.4.2)."""
    ids = [entry["id"] for entry in asked["credentials"]]
    if any(name not in ids for name in answered):
        return False
    sets = asked.get("credential_sets")
    if sets is None:
        return all(name in answered for name in ids)
    return all(
        any(all(name in answered for name in option) for option in entry["options"])
        for entry in sets
        if entry.get("required", True)
    )
