"""config.example.toml is complete: every setting stands there, explained, with its default."""

import re
import secrets
import tomllib
from pathlib import Path

import pytest

from idp.settings import Secret, load
from idp.settings.loading import FILE_FORMS, REQUIRED, TYPES

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"
LINE = re.compile(r"#?(\w+) = .+")


def written() -> list[tuple[str, int]]:
    """Every setting in the file, also those switched off by `#`, with the index of its line."""
    section, found = "", []
    for number, line in enumerate(EXAMPLE.read_text("utf-8").splitlines()):
        if line.startswith("["):
            section = line.strip("[]") + "."
        elif match := LINE.fullmatch(line):
            name = section + match[1]
            found.append((FILE_FORMS.get(name, name), number))
    return found


def given_values(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "some.pem"
    file.write_text("")
    return {
        "IDP_ISSUER": "https://login.example",
        "IDP_SECRETS__KEY_ENCRYPTION_KEY": secrets.token_hex(32),
        "IDP_SECRETS__PEPPER": secrets.token_hex(32),
        "IDP_WALLET__CERTIFICATE_FILE": str(file),
        "IDP_WALLET__PRIVATE_KEY_FILE": str(file),
    }


def test_every_setting_stands_in_the_example_once_and_nothing_else() -> None:
    assert [name for name, _ in written()] == list(TYPES)


def test_only_what_has_no_default_and_secrets_are_switched_off() -> None:
    tables = tomllib.loads(EXAMPLE.read_text("utf-8"))
    active = {key for key, value in tables.items() if not isinstance(value, dict)} | {
        f"{section}.{key}" for section, table in tables.items() if isinstance(table, dict) for key in table
    }
    secret = {name for name, kind in TYPES.items() if isinstance(kind, type) and issubclass(kind, Secret)}
    assert active == set(TYPES) - REQUIRED - secret


@pytest.mark.parametrize(("name", "number"), written())
def test_a_setting_has_a_comment(name: str, number: int) -> None:
    assert EXAMPLE.read_text("utf-8").splitlines()[number - 1].startswith("# "), name


def test_the_example_loads_and_says_the_defaults(tmp_path: Path) -> None:
    environ = given_values(tmp_path)
    assert load(EXAMPLE, environ) == load(None, environ)


def test_a_changed_value_would_be_noticed(tmp_path: Path) -> None:
    text = EXAMPLE.read_text("utf-8").replace("threads = 8", "threads = 9")
    (tmp_path / "changed.toml").write_text(text, "utf-8")
    environ = given_values(tmp_path)
    assert load(tmp_path / "changed.toml", environ) != load(None, environ)
