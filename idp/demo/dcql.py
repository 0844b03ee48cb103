"""A wallet's reading of DCQL, the Digital Credentials Query Language (OpenID4VP 1.0, sections 6 and 7).

For two formats, `dc+sd-jwt` and `mso_mdoc`, and one credential at a time: credential sets are read, but a query that
can only be satisfied by several credentials is not satisfiable here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PathPointer = tuple[str | int | None, ...]
ConcretePath = tuple[str | int, ...]

SD_JWT, MDOC = "dc+sd-jwt", "mso_mdoc"
_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
_ALWAYS_DISCLOSED = {"iss", "nbf", "exp", "cnf", "vct", "status", "iat"}


class BadQuery(Exception):
    """The query breaks the language's rules."""


@dataclass(frozen=True)
class ClaimQuery:
    """One claim asked for: where it is and, sometimes, what it must be."""

    path: PathPointer
    id: str | None
    values: tuple[Any, ...] | None


@dataclass(frozen=True)
class CredentialQuery:
    """One credential asked for."""

    id: str
    format: str
    names: frozenset[str]
    claims: tuple[ClaimQuery, ...]
    claim_sets: tuple[tuple[str, ...], ...]
    authority_key_ids: frozenset[str] | None


@dataclass(frozen=True)
class Query:
    """Credentials asked for, and which combinations of them will do (all of them where no set is given)."""

    credentials: tuple[CredentialQuery, ...]
    options: tuple[tuple[tuple[str, ...], ...], ...]

    def asked(self) -> tuple[PathPointer, ...]:
        """Every path in the query, once, in its order: what a person is shown."""
        return tuple(dict.fromkeys(claim.path for query in self.credentials for claim in query.claims))


@dataclass(frozen=True)
class Match:
    """A credential query, and the places in the credential that it opens."""

    id: str
    paths: tuple[ConcretePath, ...]


def read(document: object) -> Query:
    """Read `dcql_query`. Raises BadQuery."""
    table = _object(document, "the query")
    credentials = tuple(_read_credential(item) for item in _list(table.get("credentials"), "credentials"))
    ids = [credential.id for credential in credentials]
    if len(set(ids)) != len(ids):
        raise BadQuery("credential ids repeat")
    options: list[tuple[tuple[str, ...], ...]] = []
    for item in _list(table["credential_sets"], "credential_sets") if "credential_sets" in table else []:
        entry = _object(item, "a credential set")
        alternatives = [
            tuple(_list(option, "an option")) for option in _list(entry.get("options"), "options")
        ]
        if any(name not in ids for option in alternatives for name in option):
            raise BadQuery("a credential set names an unknown id")
        if entry.get("required", True):
            options.append(tuple(alternatives))
    if "credential_sets" not in table:
        options = [(tuple(ids),)]
    return Query(credentials, tuple(options))


def match(
    query: Query,
    *,
    claims: Mapping[str, Any],
    type_name: str,
    authority_key_ids: frozenset[str],
    format: str = SD_JWT,
) -> Match | None:
    """What to present to satisfy the query with one credential; None when the credential will not do.

    `type_name` is its `vct` or docType.
    """
    for credential in query.credentials:
        if any((credential.id,) not in alternatives for alternatives in query.options):
            continue
        if credential.format != format or type_name not in credential.names:
            continue
        accepted = credential.authority_key_ids
        if accepted is not None and not accepted & authority_key_ids:
            continue
        paths = _satisfied(credential, claims)
        if paths is not None:
            return Match(credential.id, paths)
    return None


def select(path: PathPointer, claims: object) -> list[tuple[ConcretePath, Any]]:
    """The places a claims path pointer selects, with their values; empty when it selects none (section 7.1)."""
    selected: list[tuple[ConcretePath, Any]] = [((), claims)]
    for step in path:
        following: list[tuple[ConcretePath, Any]] = []
        for place, value in selected:
            if isinstance(step, str):
                if not isinstance(value, dict):
                    return []
                following += [((*place, step), value[step])] if step in value else []
            elif not isinstance(value, list):
                return []
            elif step is None:
                following += [((*place, index), item) for index, item in enumerate(value)]
            elif step < len(value):
                following.append(((*place, step), value[step]))
        selected = following
    return selected


def _satisfied(query: CredentialQuery, claims: Mapping[str, Any]) -> tuple[ConcretePath, ...] | None:
    by_id = {claim.id: claim for claim in query.claims if claim.id}
    sets = [[by_id[name] for name in names] for names in query.claim_sets] or [list(query.claims)]
    for wanted in sets:
        found = [_places(claim, claims) for claim in wanted]
        if all(found):
            return tuple(place for places in found for place in places)
    return None


def _places(claim: ClaimQuery, claims: Mapping[str, Any]) -> list[ConcretePath]:
    return [
        place
        for place, value in select(claim.path, claims)
        if claim.values is None or any(type(value) is type(want) and value == want for want in claim.values)
    ]


def _read_credential(item: object) -> CredentialQuery:
    table = _object(item, "a credential")
    identifier, credential_format = table.get("id"), table.get("format")
    if not isinstance(identifier, str) or not _ID.match(identifier):
        raise BadQuery("a credential has no proper id")
    if not isinstance(credential_format, str):
        raise BadQuery("a credential has no format")
    meta = _object(table.get("meta"), "meta")
    names: list[Any] = []
    if credential_format == SD_JWT:
        names = _list(meta.get("vct_values"), "vct_values")
    elif credential_format == MDOC:
        names = [meta.get("doctype_value")]
    if not all(isinstance(name, str) and name for name in names):
        raise BadQuery("meta does not name a type")
    if table.get("require_cryptographic_holder_binding", True) is not True:
        raise BadQuery("this wallet always binds to the holder's key")
    claims = tuple(_read_claim(claim, credential_format) for claim in _optional_list(table, "claims"))
    if len({claim.path for claim in claims}) != len(claims):
        raise BadQuery("a claim is asked for twice")
    claim_sets = tuple(tuple(_list(names, "a claim set")) for names in _optional_list(table, "claim_sets"))
    ids = {claim.id for claim in claims}
    if any(name not in ids for names in claim_sets for name in names):
        raise BadQuery("a claim set names an unknown id")
    if claim_sets and None in ids:
        raise BadQuery("with claim_sets every claim needs an id")
    return CredentialQuery(
        identifier, credential_format, frozenset(names), claims, claim_sets, _authorities(table)
    )


def _read_claim(item: object, credential_format: str) -> ClaimQuery:
    table = _object(item, "a claim")
    path = _list(table.get("path"), "path")
    for step in path:
        if isinstance(step, bool) or not (step is None or isinstance(step, str | int)):
            raise BadQuery("a path has a step that is neither text, number nor null")
        if isinstance(step, int) and step < 0:
            raise BadQuery("a path has a negative step")
    if credential_format == MDOC and not (len(path) == 2 and all(isinstance(step, str) for step in path)):
        raise BadQuery("a path into an mdoc is not a namespace and an element")
    if credential_format == SD_JWT and path[0] in _ALWAYS_DISCLOSED:
        raise BadQuery("a claim is asked for that is always disclosed")
    values = tuple(_list(table["values"], "values")) if "values" in table else None
    return ClaimQuery(tuple(path), table.get("id"), values)


def _authorities(table: Mapping[str, Any]) -> frozenset[str] | None:
    """Key identifiers of acceptable authorities; None when any authority will do."""
    entries = [_object(entry, "an authority") for entry in _optional_list(table, "trusted_authorities")]
    if not entries:
        return None
    known = [entry for entry in entries if entry.get("type") == "aki"]
    return frozenset(value for entry in known for value in _list(entry.get("values"), "values"))


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadQuery(f"{name} is no object")
    return value


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise BadQuery(f"{name} is no list, or empty")
    return value


def _optional_list(table: Mapping[str, Any], name: str) -> list[Any]:
    return _list(table[name], name) if name in table else []
