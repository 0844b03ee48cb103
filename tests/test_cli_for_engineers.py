"""`idp errors` and `idp portals snippet`: what an engineer and a help desk ask the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w
from click.testing import CliRunner

from idp.cli import cli
from idp.views import codes
from tests import ephemeral
from tests.ephemeral import Demonstration


@pytest.fixture(scope="module")
def demo() -> Iterator[Demonstration]:
    with ephemeral.demonstration() as running:
        yield running


@pytest.mark.parametrize("code", ["SINWON-C003", "sinwon-c003"])
def test_a_code_is_explained_however_it_is_typed(code: str) -> None:
    ended = CliRunner().invoke(cli, ["errors", code])
    assert ended.exit_code == 0
    assert ended.output == codes.explained("SINWON-C003") + "\n"


def test_an_unknown_code_is_answered_with_those_there_are() -> None:
    ended = CliRunner().invoke(cli, ["errors", "SINWON-X999"])
    assert ended.exit_code == 1
    assert "SINWON-X999" in ended.output
    assert "SINWON-C003" in ended.output


def test_a_page_gets_its_part_and_keeps_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "errors.md"
    page.write_text(f"# Before\n\n{codes.BEGIN}\nwhat stood here\n{codes.END}\n\nAfter.\n", "utf-8")
    assert CliRunner().invoke(cli, ["errors", "--into", str(page)]).exit_code == 0
    made = page.read_text("utf-8")
    assert made.startswith(f"# Before\n\n{codes.BEGIN}\n\n### `")
    assert made.endswith(f"{codes.END}\n\nAfter.\n")
    assert "what stood here" not in made


def test_a_page_without_a_place_for_it_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "other.md"
    page.write_text("# Another page\n", "utf-8")
    ended = CliRunner().invoke(cli, ["errors", "--into", str(page)])
    assert ended.exit_code == 1
    assert "once" in ended.output
    assert page.read_text("utf-8") == "# Another page\n"


def test_the_app_goes_to_the_output_and_how_to_run_it_beside_it(demo: Demonstration) -> None:
    done = demo.idp("portals", "snippet", "test", "--for", "python")
    assert done.returncode == 0
    compile(done.stdout, "app.py", "exec")
    assert demo.told["issuer"] in done.stdout
    for said in ("app.py", "pip install", "python app.py"):
        assert said in done.stderr
    assert demo.client("test")["client_secret"] not in done.stdout


@pytest.mark.parametrize(
    ("client_id", "language", "why"),
    [
        ("nobody", "node", "There is no portal nobody."),
        ("bank", "php", "pushed"),
        ("counter", "node", "browser"),
    ],
)
def test_where_there_is_no_app_the_command_says_why(
    demo: Demonstration, client_id: str, language: str, why: str
) -> None:
    done = demo.idp("portals", "snippet", client_id, "--for", language)
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr


def test_a_client_id_that_is_code_elsewhere_is_text_in_the_app(demo: Demonstration, tmp_path: Path) -> None:
    given = demo.prepared.clients()[0]
    file = tmp_path / "portals.toml"
    loaded = "';touch${IFS}made;'\"`$(x)"
    file.write_text(tomli_w.dumps({"portal": [{**given, "client_id": loaded}]}), "utf-8")
    assert demo.idp("portals", "apply", str(file)).returncode == 0
    done = demo.idp("portals", "snippet", loaded, "--for", "python")
    assert f"client_id={loaded!r}" in done.stdout
