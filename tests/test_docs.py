"""The docs say what the code does: catalogues are complete, and what a reader is told to type or follow is there."""

import json
import re
import tomllib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import click
import pytest

from idp import claims, portals
from idp.cli import cli
from idp.credentials.trust import TrustDocumentError, from_documents
from idp.credentials.verdict import Reason
from idp.events import Event
from idp.oidc import verified_claims
from idp.oidc.client_auth import ASSERTION_ALGORITHMS
from idp.oidc.expected_values import ExpectedValues
from idp.oidc.single_sign_on import ACR_LEVELS
from idp.settings import SettingsError, load
from idp.views import codes
from idp.views.language import CONSOLE_LANGUAGES
from idp.views.messages import _PRESENTATION, MESSAGES, problem_for, spoken
from idp.views.reasons import REASONS, RULES

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MAX_LINE = 140  # prose is wrapped at 118 or so; a row of a table and a block of code are what they are


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def in_code(name: str) -> set[str]:
    """Everything that stands in backquotes in a page, outside its blocks."""
    return set(re.findall(r"`([^`\n]+)`", FENCE.sub("", text(name))))


def blocks(name: str, language: str) -> list[str]:
    return [body for found, body in FENCE.findall(text(name)) if found == language]


def rows(name: str) -> list[list[str]]:
    """The cells of every row of every table in a page."""
    lines = [line for line in text(name).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def catalogue() -> list[tuple[str, str]]:
    """(page, what must stand there in backquotes)."""

    def of(page: str, names: Iterable[str]) -> list[tuple[str, str]]:
        return [(page, name) for name in names]

    return [
        *of("docs/claims.md", claims.CLAIMS),
        *of("docs/claims.md", claims.SCOPES),
        *of("docs/claims.md", (".".join(path) for path in claims.ELEMENT_LABELS)),
        *of("docs/claims.md", (f"<issuer>/acr/{level}" for level in ACR_LEVELS)),
        *of("docs/claims.md", [verified_claims.TRUST_FRAMEWORK, "qr", "pop"]),
        *of("docs/claims.md", verified_claims.ASSURANCE_LEVELS),
        *of("docs/claims.md", verified_claims.EVIDENCE_TYPES),
        *of("docs/claims.md", verified_claims.CHECK_METHODS),
        *of("docs/errors.md", (message.code for message in MESSAGES.values())),
        *of("docs/errors.md", (event.value for event in Event)),
        *of("docs/errors.md", (reason.value for reason in Reason)),
        *of("docs/errors.md", _PRESENTATION),
        *of("docs/portals.md", ASSERTION_ALGORITHMS),
        *of("docs/portals.md", portals.Registration.__struct_fields__),
        *of("docs/portals.md", portals.RequestedClaim.__struct_fields__),
    ]


@pytest.mark.parametrize(("page", "name"), sorted(set(catalogue())))
def test_what_the_code_knows_is_explained(page: str, name: str) -> None:
    found = in_code(page)
    assert name in found or any(name == part for entry in found for part in re.split(r"[ =]", entry))


def test_a_missing_name_would_be_noticed() -> None:
    assert "SINWON-C010" not in in_code("docs/errors.md")


def test_the_table_of_claims_is_the_codes() -> None:
    documented = {
        row[0].strip("`"): (row[1].strip("`"), "UserInfo only" in row[3])
        for row in rows("docs/claims.md")
        if row[0].strip("`") in claims.CLAIMS and len(row) == 4
    }
    assert documented == {
        claim.name: (claim.scope, not claim.in_id_token) for claim in claims.CLAIMS.values()
    }


def test_the_elements_of_a_claim_are_the_codes() -> None:
    elements = {row[0].strip("`"): row[2] for row in rows("docs/claims.md") if len(row) == 4}
    for claim in claims.CLAIMS.values():
        roots = {path[0] for path in claim.elements}
        assert all(root in elements[claim.name] for root in roots), claim.name


def test_no_code_is_invented() -> None:
    known = {message.code for message in MESSAGES.values()}
    named = {code for page in PAGES for code in re.findall(r"SINWON-[A-Z]\d+", page.read_text("utf-8"))}
    assert named <= known


def test_what_a_holder_hears_of_a_reason_is_what_the_page_says() -> None:
    heard = {
        reason: row[2]
        for row in rows("docs/errors.md")
        if re.fullmatch(r"[LCRWS]\d{3}", row[-1]) and len(row) == 3
        for reason in re.findall(r"`(\w+)`", row[0])
    }
    assert heard.keys() >= {reason.value for reason in Reason}
    assert heard == {reason: MESSAGES[problem_for(reason)].code.removeprefix("SINWON-") for reason in heard}


def test_the_tables_of_reasons_and_rules_are_the_catalogue() -> None:
    documented = {
        name: tuple(row[1:])
        for row in rows("docs/errors.md")
        if len(row) == 4 and row[0].startswith("`")
        for name in re.findall(r"`(\w+)`", row[0])
    }
    known = {**REASONS, **RULES}
    assert documented == {name: (entry.title, entry.fix, entry.reference) for name, entry in known.items()}


def test_the_readme_has_the_two_commands() -> None:
    install = (
        "python3 -m venv .venv && .venv/bin/pip install -q -e {} -c deploy/constraints.txt && .venv/bin/{}"
    )
    assert [line for block in blocks("README.md", "sh") for line in block.splitlines() if "venv" in line] == [
        install.format(".", "idp demo"),
        install.format("'.[test]'", "pytest -q"),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text("utf-8")) if "://" not in target]
    missing = [target for target in targets if not (page.parent / target.partition("#")[0]).exists()]
    assert missing == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_a_page_is_reached_from_the_readme(page: Path) -> None:
    assert f"(docs/{page.name})" in text("README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_prose_is_wrapped(page: Path) -> None:
    lines = FENCE.sub("", page.read_text("utf-8")).splitlines()
    assert [line for line in lines if len(line) > MAX_LINE and not line.startswith("|")] == []


def test_the_example_of_a_registration_is_one() -> None:
    document = tomllib.loads(blocks("docs/portals.md", "toml")[0].replace("<64 hex digits>", "0" * 64))
    assert [portals.parse(entry).client_id for entry in document["portal"]] == ["my-portal"]


def test_the_example_of_a_trust_file_lacks_only_its_certificate() -> None:
    document = tomllib.loads(blocks("docs/claims.md", "toml")[0])
    with pytest.raises(TrustDocumentError) as refused:
        from_documents(document["credential_type"], document["mission"])
    assert refused.value.problems == ("mission[0] (LAX).issuer_certificates[0]: not one PEM certificate",)


def test_the_example_of_settings_lacks_only_its_files(tmp_path: Path) -> None:
    example = tmp_path / "sinwon.toml"
    example.write_text(blocks("docs/deployment.md", "toml")[0], "utf-8")
    with pytest.raises(SettingsError) as refused:
        load(example, {})
    assert {problem.path.rpartition("_")[2] for problem in refused.value.problems} == {"file"}
    assert all("cannot be read" in problem.message for problem in refused.value.problems)


def test_the_example_answer_is_what_the_example_request_gets() -> None:
    asked, answer = (json.loads(block) for block in blocks("docs/claims.md", "json"))
    entry = asked["userinfo"]["verified_claims"]
    verified_at = int(datetime.fromisoformat(answer["verification"]["time"]).timestamp())
    expected = ExpectedValues(b"p" * 32)
    kept = verified_claims.read(entry, "userinfo", expected)
    said = verified_claims.answer(
        kept, answer["verification"], answer["claims"], expected=expected, now=verified_at
    )
    assert said == answer


def test_the_part_about_codes_is_what_the_pages_say() -> None:
    """`idp errors --into docs/errors.md` makes it anew."""
    page = text("docs/errors.md")
    assert codes.put_into(page) == page


def test_every_code_is_explained_once() -> None:
    said = [message.code for message in MESSAGES.values()]
    assert sorted(codes.CODES) == sorted(said)
    headings = re.findall(r"^### `(SINWON-[A-Z]\d{3})`$", text("docs/errors.md"), re.MULTILINE)
    assert headings == list(codes.CODES)


@pytest.mark.parametrize("code", ["SINWON-C003", "SINWON-L003"])
def test_what_a_holder_reads_of_a_code_stands_there_in_every_language(code: str) -> None:
    [key] = codes.keys_of(code)
    explained = " ".join(codes.explained(code).split())
    for lang in CONSOLE_LANGUAGES:
        assert spoken(key, lang).message in explained


def commands(page: str) -> list[str]:
    """Every `idp …` that a page names, in its text and its blocks."""
    typed = [line for block in blocks(page, "sh") for line in block.splitlines() if line.startswith("idp ")]
    return sorted({*typed, *(span for span in in_code(page) if span.startswith("idp "))})


@pytest.mark.parametrize("page", ["docs/operations.md", "docs/deployment.md"])
def test_every_command_and_option_that_an_operator_is_told_exists(page: str) -> None:
    assert commands(page)
    for told in commands(page):
        command: click.Command = cli
        for word in re.split(r"\s+", told.partition(" >")[0])[1:]:
            if isinstance(command, click.Group) and not word.startswith("-"):
                found = command.get_command(click.Context(command), word)
                assert found is not None, told
                command = found
            elif word.startswith("-"):
                known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
                assert word in known, told
