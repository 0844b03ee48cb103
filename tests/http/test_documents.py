"""The documentation as the product serves it: for people, for programs, and in every package."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from idp.demo.check import Page
from idp.views import documents
from tests.rig import Rig

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) ![x](data:text/html,x) <b onclick=x>y</b>"


def page(rig: Rig, path: str) -> Page:
    response = rig.http.get(f"{rig.issuer}{path}", params={"lang": "en"})
    assert response.status_code == 200, path
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    return Page(response)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_keeps_to_the_policy_of_all_pages(rig: Rig, name: str) -> None:
    elements = list(page(rig, f"/docs/{name}").root.below())
    assert len([one for one in elements if one.tag == "h1"]) == 1
    assert not [one for one in elements if one.tag in ("style", "iframe", "img")]
    for one in elements:
        assert "style" not in one.attributes
        assert not [attribute for attribute in one.attributes if attribute.startswith("on")]
        assert urlsplit(one.attributes.get("href", "")).scheme in ("", "http", "https", "data")
    ids = [one.attributes["id"] for one in elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", NAMES)
def test_its_links_lead_to_what_is_served(rig: Rig, name: str) -> None:
    here = page(rig, f"/docs/{name}")
    [text] = [one for one in here.root.below() if one.tag == "article"]
    wrong = []
    for link in (one.attributes["href"] for one in text.below() if one.tag == "a"):
        parts = urlsplit(link)
        if parts.netloc:
            continue
        if parts.path.endswith((".md", ".toml")) and not parts.path.startswith("/docs/"):
            wrong.append(link)
            continue
        if parts.path.endswith(".toml"):
            assert rig.http.get(f"{rig.issuer}{parts.path}").status_code == 200
            continue
        there = page(rig, parts.path) if parts.path else here
        if parts.fragment and there.find(unquote(parts.fragment)) is None:
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_its_markdown_is_the_file(rig: Rig, name: str) -> None:
    response = rig.http.get(f"{rig.issuer}/docs/{name}.md")
    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert response.text == (ROOT / "docs" / f"{name}.md").read_text("utf-8")


def test_the_list_has_every_page(rig: Rig) -> None:
    links = [one.attributes.get("href") for one in page(rig, "/docs/").root.below() if one.tag == "a"]
    assert {f"/docs/{name}" for name in NAMES} <= set(links)


def test_programs_find_every_page(rig: Rig) -> None:
    response = rig.http.get(f"{rig.issuer}/llms.txt")
    assert response.text.startswith("# Sinwon (신원)\n\n> ")
    links = re.findall(r"^- \[[^\]]+\]\((\S+)\): \S", response.text, re.MULTILINE)
    assert {f"{rig.issuer}/docs/{name}.md" for name in NAMES} <= set(links)
    for link in links:
        assert rig.http.get(link).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/docs/nothing", "/docs/nothing.md", "/docs/..%2Fpyproject", "/docs/../LICENSE", "/docs/README.md"],
)
def test_nothing_else_is_served(rig: Rig, path: str) -> None:
    assert rig.http.get(f"{rig.issuer}{path}").status_code == 404


def test_what_looks_like_html_is_text() -> None:
    made = documents._markdown().render(HOSTILE)
    assert "<script" not in made
    assert "<b " not in made
    assert 'href="javascript:' not in made


def test_an_error_page_leads_to_what_its_code_means(rig: Rig) -> None:
    response = rig.browser().get(f"{rig.issuer}/nowhere", params={"lang": "en"})
    assert response.status_code == 404
    [link] = re.findall(r'href="(/docs/errors#[^"]+)"', response.text)
    assert page(rig, "/docs/errors").find(link.partition("#")[2]) is not None


def test_a_wheel_carries_the_documentation(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if built.returncode and "hatchling" in built.stderr:
        pytest.skip("the build backend is not at hand, and there is no network to fetch it")
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        inside = set(files.namelist())
    assert {f"idp/_docs/{name}.md" for name in NAMES} <= inside
    assert {"idp/snippets/python.jinja", "idp/demo/seeds/clients.toml", "idp/config.example.toml"} <= inside
