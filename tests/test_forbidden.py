"""What must not be written in this house, read from the syntax tree: a word in a comment or a text is no finding.

Each rule names what somebody else's hole was made of. `LET_PASS` says where a rule does not apply and why; an entry
that lets nothing pass is taken away.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
SOURCES = sorted(
    file
    for place in ("idp", "migrations", "deploy")
    for file in (PROJECT / place).rglob("*.py")
    if "__pycache__" not in file.parts
)

FORBIDDEN_MODULES = {
    "authlib.jose": "deprecated; joserfc does it (CVE-2026-96760 and a dozen more)",
    "jose": "python-jose is not kept (CVE-2024-33663)",
    "jwt": "PyJWT: one library for JOSE is enough",
    "sd_jwt": "the reference library checks neither exp nor unreferenced disclosures (decision D16)",
    "pickle": "what is read back would be run",
    "marshal": "the same",
    "shelve": "the same",
    "dill": "the same",
    "yaml": "settings and documents are TOML and JSON",
    "telnetlib": "speaks in clear",
    "ftplib": "speaks in clear",
    "requests": "HTTP goes out through idp.fetch alone (decision D17)",
    "urllib.request": "the same",
    "http.client": "the same",
    "random": "what an attacker may not guess comes from secrets",
    "xml": "XML from outside is nothing that we read",
    "subprocess": "the provider starts no programs",
}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.unsafe_load",
    "tempfile.mktemp",
    "hashlib.md5",
    "hashlib.sha1",
    "ssl._create_unverified_context",
    "Markup",
    "markupsafe.Markup",
}
FORBIDDEN_ARGUMENTS = {
    ("verify", False),
    ("check_hostname", False),
    ("shell", True),
    ("debug", True),
    ("use_reloader", True),
    ("use_debugger", True),
    ("verify_signature", False),
    ("autoescape", False),
}
FORBIDDEN_NAMES = {"CERT_NONE", "render_template_string"}
READS_A_TOKEN = {
    "decode",
    "deserialize_compact",
    "deserialize_json",
    "decrypt_compact",
    "decrypt_json",
    "validate_compact",
}
"""Of joserfc's jwt, jws and jwe: which algorithms are believed must be said."""

LET_PASS = {
    ("idp/demo", "subprocess"): "the demonstration starts the provider beside it",
    (
        "idp/demo/conformance/holder.py",
        "ssl._create_unverified_context",
    ): "the suite has a certificate of its own making",
    ("idp/demo", "urllib.request"): "the demonstration comes in by HTTP",
    ("idp/demo", "http.client"): "the same",
    ("idp/admin/snippets.py", "autoescape=False"): "what is made is source code, which is shown as text",
    ("idp/oidc/backchannel.py", "random"): "spreads retries, hides nothing",
    ("idp/store/redis.py", "hashlib.sha1"): "Redis names scripts by it",
    ("idp/views/feeds.py", "xml"): "an Atom feed is written, none is read",
    ("idp/views/documents.py", "Markup"): "made of our own files, in which HTML is text",
    ("idp/views/holder.py", "Markup"): "a drawing of ours",
    ("idp/views/language.py", "Markup"): "a tag of ours, filled in by format, which escapes",
    ("deploy/release.py", "subprocess"): "a release is made by pip, git and hatchling",
}


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or an attribute, "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        within = dotted(node.value)
        return f"{within}.{node.attr}" if within else ""
    return ""


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def modules(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for name, line in imported(tree):
        for forbidden in FORBIDDEN_MODULES:
            if name == forbidden or name.startswith(f"{forbidden}."):
                yield forbidden, line


def calls(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Calls by the name under which they were imported, whatever it is called here."""
    known = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not node.level
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            first, dot, rest = name.partition(".")
            full = known.get(first, first) + dot + rest
            for one in {name, full} & FORBIDDEN_CALLS:
                yield one.removeprefix("markupsafe."), node.lineno


def arguments(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Named arguments, and the same set as an attribute (`context.check_hostname = False`) or a key."""
    for node in ast.walk(tree):
        pairs: list[tuple[str | None, ast.expr]] = []
        if isinstance(node, ast.Call):
            pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
        elif isinstance(node, ast.Assign):
            pairs = [
                (dotted(one).rpartition(".")[2], node.value) for one in node.targets if "." in dotted(one)
            ]
        elif isinstance(node, ast.Dict):
            pairs = [
                (str(key.value), value)
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)
            ]
        for name, value in pairs:
            given = value.value if isinstance(value, ast.Constant) else None
            if isinstance(given, bool) and (name, given) in FORBIDDEN_ARGUMENTS:
                yield f"{name}={given}", value.lineno


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name in FORBIDDEN_NAMES:
            yield name, node.lineno  # type: ignore[attr-defined]


def unbounded_tokens(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """A token that is read without saying which algorithms may have made it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            module = dotted(node.func.value)
            said = {keyword.arg for keyword in node.keywords}
            if (
                module in {"jwt", "jws", "jwe"}
                and node.func.attr in READS_A_TOKEN
                and not said & {"algorithms", "registry"}
            ):
                yield f"{module}.{node.func.attr} without algorithms", node.lineno


RULES: tuple[Callable[[ast.AST], Iterator[tuple[str, int]]], ...] = (
    modules,
    calls,
    arguments,
    names,
    unbounded_tokens,
)


def found_in(source: str) -> list[tuple[str, int]]:
    tree = ast.parse(source)
    return sorted(finding for rule in RULES for finding in rule(tree))


def let_pass(file: str, what: str) -> tuple[str, str] | None:
    """The entry that lets this pass, if there is one."""
    return next(
        (
            entry
            for entry in LET_PASS
            if entry[1] == what and (file == entry[0] or file.startswith(entry[0] + "/"))
        ),
        None,
    )


@pytest.fixture(scope="module")
def findings() -> list[tuple[str, str, int]]:
    return [
        (str(file.relative_to(PROJECT)), what, line)
        for file in SOURCES
        for what, line in found_in(file.read_text("utf-8"))
    ]


def test_nothing_forbidden_is_written_here(findings: list[tuple[str, str, int]]) -> None:
    assert len(SOURCES) > 300
    assert [finding for finding in findings if let_pass(*finding[:2]) is None] == []


def test_every_exception_is_still_one(findings: list[tuple[str, str, int]]) -> None:
    used = {let_pass(file, what) for file, what, _ in findings}
    assert set(LET_PASS) - used == set()


@pytest.mark.parametrize(
    "source",
    [
        "from authlib.jose import jwt",
        "import authlib.jose.rfc7519",
        "from authlib import jose",
        "import pickle",
        "from pickle import loads as read",
        "import yaml",
        "yaml.load(text)",
        "eval(text)",
        "exec(text)",
        "from os import system as run\nrun(text)",
        "from hashlib import md5\nmd5(data)",
        "from markupsafe import Markup as M\nM(text)",
        "client.get(url, verify=False)",
        "client = Client(verify=False)",
        "context.check_hostname = False",
        "context.verify_mode = ssl.CERT_NONE",
        "app.run(debug=True)",
        "subprocess.run(text, shell=True)",
        "options = {'verify_signature': False}",
        "jwt.decode(token, key)",
        "jws.deserialize_compact(token, key)",
        "jwe.decrypt_compact(token, key)",
        "import requests",
        "import jwt",
        "from jose import jws",
        "import random",
        "render_template_string(text)",
    ],
)
def test_what_is_forbidden_is_found(source: str) -> None:
    assert found_in(source)


@pytest.mark.parametrize(
    "source",
    [
        "'import pickle'  # eval(text), verify=False",
        "from joserfc import jwt\njwt.decode(token, key, algorithms=['ES256'])",
        "jwe.decrypt_compact(token, key, registry=registry)",
        "client.get(url, verify=context)",
        "re.compile(pattern)",
        "from idp.jwt import read",
        "hashlib.sha256(data)",
        "debug = True",
    ],
)
def test_what_is_allowed_is_not(source: str) -> None:
    assert found_in(source) == []
