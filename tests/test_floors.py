"""The floors of the house: a module imports from its own floor or from below, never from above."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "idp"
FLOORS = [
    {
        "settings",
        "addresses",
        "backup",
        "epoch",
        "errors",
        "events",
        "logs",
        "clock",
        "fetch",
        "hsm",
        "key_encryption",
        "keys",
        "location",
        "private_halves",
        "seal",
        "models",
        "postgresql",
        "store",
        "schema",
        "strict_json",
        "tracing",
    },
    {
        "login",
        "session",
        "consent",
        "claims",
        "portals",
        "subject",
        "receipts",
        "my_page",
        "page_session",
        "credentials",
    },
    {"presentation"},
    {"oidc", "openid4vp", "opendid", "mip", "admin"},
    {"wiring"},
    {"views"},
    {"app", "bare", "cli", "serve", "worker", "__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
CREDENTIALS_SEE = {"credentials", "errors", "seal", "strict_json"}  # no db, store, settings, clock, fetch
FLASK_BELOW_THE_DOORS = {"idp.models", "idp.oidc.server"}


def imports(path: Path, module: str) -> set[str]:
    """The dotted names that a module imports, relative ones resolved; `from a import b` gives a.b."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def refusal(module: str, imported: str) -> str | None:
    """Why this module must not import that, or None."""
    room, _, _ = module.removeprefix("idp.").partition(".")
    if imported.partition(".")[0].startswith("flask") or imported.startswith("authlib.integrations.flask"):
        allowed = room == "demo" or FLOOR[room] >= FLOOR["views"] or module in FLASK_BELOW_THE_DOORS
        return None if allowed else "Flask is seen at the doors and above only"
    if not imported.startswith("idp."):
        return None
    other = imported.split(".")[1]
    if other not in FLOOR and other != "demo":
        return None  # `from idp import __version__`
    if other == room:
        return None
    if room == "demo":
        return "the demo comes in by the doors"
    if other == "demo":
        return None if FLOOR[room] == FLOOR["cli"] else "only the top floor knows the demo"
    if room == "credentials":
        return None if other in CREDENTIALS_SEE else "credentials sees bytes, keys and the time it is given"
    if FLOOR[other] > FLOOR[room]:
        return "from above"
    if FLOOR[room] == FLOOR[other] == FLOOR["oidc"]:
        return "neighbours do not talk over the fence"
    return "the hall does not look into credentials" if FLOOR[room] == 1 and other == "credentials" else None


def violations(package: Path) -> list[str]:
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = ["idp", *path.relative_to(package).with_suffix("").parts]
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if module == "idp":
            found += [
                f"idp: {name}: the front page imports nothing"
                for name in imports(path, module)
                if "idp" in name
            ]
        elif parts[1] not in FLOOR and parts[1] != "demo":
            found.append(f"{module}: has no floor; give it one in tests/test_floors.py")
        else:
            reasons = {name: refusal(module, name) for name in sorted(imports(path, module))}
            found += [f"{module}: {name}: {reason}" for name, reason in reasons.items() if reason]
    return found


def test_every_module_keeps_to_its_floor() -> None:
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "line", "reason"),
    [
        ("clock.py", "import idp.login", "from above"),
        ("clock.py", "def f():\n    from idp.login import Logins", "from above"),
        ("store/sql.py", "from ..oidc import code", "from above"),
        ("login.py", "from . import wiring", "from above"),
        ("oidc/code.py", "from idp import views", "from above"),
        ("wiring.py", "from idp.app import create", "from above"),
        ("oidc/code.py", "from ..openid4vp.request import link", "over the fence"),
        ("openid4vp/request.py", "import idp.admin.trust as t", "over the fence"),
        ("presentation/proof.py", "from idp.openid4vp import dcql", "from above"),
        ("login.py", "from idp.credentials import verify", "does not look"),
        ("credentials/trust.py", "from idp.claims import CLAIMS", "credentials sees"),
        ("credentials/trust.py", "from ..models import db", "credentials sees"),
        ("credentials/status.py", "from idp import clock", "credentials sees"),
        ("credentials/status.py", "from idp.settings import Settings", "credentials sees"),
        ("login.py", "from flask import request", "Flask"),
        ("oidc/code.py", "import flask_sqlalchemy", "Flask"),
        ("oidc/code.py", "from authlib.integrations.flask_oauth2 import x", "Flask"),
        ("demo/wallet.py", "from idp.seal import b64", "by the doors"),
        ("views/demo.py", "from idp.demo import wallet", "only the top floor"),
        ("utils.py", "", "has no floor"),
        ("__init__.py", "from idp.seal import b64", "front page"),
    ],
)
def test_a_step_on_the_wrong_floor_is_noticed(tmp_path: Path, file: str, line: str, reason: str) -> None:
    path = tmp_path / "idp" / file
    path.parent.mkdir(parents=True)
    path.write_text(line, "utf-8")
    [violation] = violations(tmp_path / "idp")
    assert reason in violation


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("login.py", "from idp.seal import b64\nfrom . import claims"),
        ("openid4vp/response.py", "from idp.credentials import verify\nfrom .request import link"),
        ("cli.py", "from idp.demo import run\nimport flask"),
        ("demo/wallet.py", "from . import issuer\nimport flask"),
        ("views/portal.py", "from flask import request\nfrom ..oidc import code"),
    ],
)
def test_a_step_down_or_sideways_is_fine(tmp_path: Path, file: str, line: str) -> None:
    path = tmp_path / "idp" / file
    path.parent.mkdir(parents=True)
    path.write_text(line, "utf-8")
    assert violations(tmp_path / "idp") == []
