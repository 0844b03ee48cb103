"""The description of the admin API (OpenAPI 3.1), written from the table by which requests are routed and read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from idp import __version__
from idp.admin.people import MAY
from idp.views.api.operations import BASE, JSON, TOML, Area, Operation
from idp.views.problems import MEDIA_TYPE, PROBLEMS, Problem

Refs = Mapping[Any, Mapping[str, Any]]
_REF: Final = "#/components/schemas/{name}"
_LOCATION: Final = {"description": "Where it is.", "schema": {"type": "string"}}


def document(areas: Sequence[type[Area]]) -> dict[str, Any]:
    """The whole document, as JSON has it."""
    operations = [(area.tag, one) for area in areas for one in area.operations()]
    kinds = list(dict.fromkeys([Problem, *(kind for _, one in operations for kind in _kinds(one))]))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    refs = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for tag, one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _described(tag, one, refs)
    tags = {area.tag: _first_line(area) for area in reversed(areas)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sinwon admin API",
            "version": __version__,
            "description": "What administrators do, for programs. Times are seconds since 1970-01-01T00:00:00Z.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": BASE}],
        "security": [{"token": []}],
        "tags": [{"name": name, "description": said} for name, said in reversed(tags.items())],
        "paths": paths,
        "components": {
            "responses": dict(_problems(refs[Problem])),
            "schemas": dict(components),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "From `idp admin token create`.",
                }
            },
        },
    }


def _kinds(one: Operation) -> Iterator[Any]:
    """What the operation needs a schema of."""
    if one.body is not None and one.body is not bytes:
        yield one.body
    if one.answer is not None:
        yield one.answer


def _described(tag: str, one: Operation, refs: Refs) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": one.name,
        "tags": [tag],
        "summary": one.summary,
        "parameters": list(_parameters(one)),
        "responses": dict(_answers(one, refs)),
    }
    if one.act is not None:
        made["description"] = f"Roles: {', '.join(role.value for role in MAY if one.act in MAY[role])}."
    if one.public:
        made["security"] = []
    if one.body is bytes:
        made["requestBody"] = {"required": True, "content": {TOML: {"schema": {"type": "string"}}}}
    elif one.body is not None:
        made["requestBody"] = {"required": True, "content": {str(one.takes): {"schema": refs[one.body]}}}
    return made


def _parameters(one: Operation) -> Iterator[dict[str, Any]]:
    for place in one.places:
        yield {"name": place, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    (schema,), components = msgspec.json.schema_components([one.query], ref_template=_REF)
    query = components[schema["$ref"].rpartition("/")[2]]
    for name, member in query["properties"].items():
        yield {"name": name, "in": "query", "required": name in query["required"], "schema": _plain(member)}
    if one.matches:
        yield {
            "name": "If-Match",
            "in": "header",
            "required": True,
            "description": "The ETag of what was read.",
            "schema": {"type": "string"},
        }


def _plain(member: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out is null in a Struct; in an address there is no null."""
    options = [option for option in member.get("anyOf", ()) if option.get("type") != "null"]
    kept = {name: value for name, value in member.items() if name != "anyOf"}
    if kept.get("default", ...) is None:
        del kept["default"]
    return (
        {**kept, **options[0]} if len(options) == 1 else {**kept, **({"anyOf": options} if options else {})}
    )


def _answers(one: Operation, refs: Refs) -> Iterator[tuple[str, dict[str, Any]]]:
    content: Mapping[str, Any] = {"schema": {"type": "object" if one.media_type == JSON else "string"}}
    if one.answer is not None:
        content = {"schema": refs[one.answer]}
    for status in one.statuses:
        headers = {"Location": _LOCATION} if status in {201, 202} else {}
        yield (
            str(status),
            {
                "description": _DONE[status],
                "content": {one.media_type: content},
                **({"headers": headers} if headers else {}),
            },
        )
    for status in sorted(_refusals(one)):
        yield str(status), {"$ref": f"#/components/responses/{status}"}


def _problems(schema: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for status in sorted({status for status, _ in PROBLEMS.values()}):
        codes = [(code, title) for code, (of, title) in PROBLEMS.items() if of == status]
        said = " ".join(f"`{code}`: {title}" for code, title in codes)
        yield str(status), {"description": said, "content": {MEDIA_TYPE: {"schema": schema}}}


_DONE: Final = {200: "Done.", 201: "Made.", 202: "Proposed: a second person decides."}


def _refusals(one: Operation) -> set[int]:
    found = {500, 503}
    if not one.public:
        found |= {401, 403, 422, 429}
    if one.places or one.missing:
        found |= {404}
    if one.takes is not None:
        found |= {400, 413, 415}
    if one.matches:
        found |= {412, 428}
    if one.conflicts:
        found |= {409}
    return found


def _first_line(area: type[Area]) -> str:
    return (area.__doc__ or "").partition("\n")[0]
