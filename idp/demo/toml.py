"""Writing TOML, as far as the demonstration needs it. JSON's strings, numbers and booleans are TOML's."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def inline(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        members = (f"{json.dumps(str(key))} = {inline(item)}" for key, item in value.items())
        return "{ " + ", ".join(members) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def arrays(document: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Arrays of tables."""
    return "\n".join(
        "\n".join((f"[[{name}]]", *_members(entry), ""))
        for name, entries in document.items()
        for entry in entries
    )


def dotted(values: Mapping[str, Any]) -> str:
    """Values by dotted names, as tables."""
    tables: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        table, _, key = name.rpartition(".")
        tables.setdefault(table, {})[key] = value
    return "\n".join(
        "\n".join((*([f"[{table}]"] if table else []), *_members(members), ""))
        for table, members in sorted(tables.items())
    )


def _members(members: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {inline(value)}" for key, value in members.items()]
