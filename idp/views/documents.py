"""The documentation, as this release has it: pages, their Markdown, and a list of them for programs.

`docs/` of the source tree is part of the package. Its pages become HTML without any HTML of their own, inline style or
script, so that they fit the policy of every other page.

Formats: CommonMark 0.31 with tables; llms.txt (llmstxt.org).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, abort
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from idp.views.frame import Frame

_PACKAGE = Path(__file__).parent.parent
_MAX_AGE_S = 300
_SENTENCE = re.compile(r"(?<=[.:]) (?=[A-Z])")
_COMMENT = re.compile(r"^<!--.*-->\n", re.MULTILINE)
_NAME = re.compile(r"[a-z0-9_-]+")
_EXAMPLE = "config.example.toml"
FIRST = ("quickstart", "mock", "portals", "claims", "errors")
"""What an engineer of a portal reads, in that order; the others follow by name."""


@dataclass(frozen=True)
class Document:
    """A page of `docs/`. `summary` is its first sentence, without marks."""

    name: str
    title: str
    summary: str
    text: str

    @property
    def url(self) -> str:
        return f"/docs/{self.name}"


@cache
def documents() -> dict[str, Document]:
    """All of them by name, in the order of the list."""
    found = {path.stem: _read(path) for path in sorted(_beside("docs", "_docs").glob("*.md"))}
    order = [name for name in FIRST if name in found] + [name for name in found if name not in FIRST]
    return {name: found[name] for name in order}


@cache
def html(name: str) -> str:
    """A page as HTML, without its frame. Raises KeyError: there is no such page."""
    markdown = _markdown()
    tokens = markdown.parse(_COMMENT.sub("", documents()[name].text))
    _name_headings(tokens)
    for token in _all(tokens):
        _fit(token)
    return str(markdown.renderer.render(tokens, markdown.options, {}))


class DocumentsDoor:
    """`/docs/…` and `/llms.txt`."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def blueprint(self) -> Blueprint:
        door = Blueprint("documents", __name__)
        door.add_url_rule("/docs/", "index", self.index)
        door.add_url_rule(f"/docs/{_EXAMPLE}", "example", self.example)
        door.add_url_rule("/docs/<name>", "page", self.page)
        door.add_url_rule("/docs/<name>.md", "markdown", self.markdown)
        door.add_url_rule("/llms.txt", "llms", self.llms)
        return door

    def index(self) -> Response:
        return self.frame.page("public/documents.html", documents=list(documents().values()))

    def page(self, name: str) -> Response:
        document = _known(name)
        made = Markup(html(name))  # noqa: S704 - made of our own files, in which HTML is text
        return self.frame.page("public/document.html", document=document, html=made)

    def markdown(self, name: str) -> Response:
        return _plain(_known(name).text, "text/markdown")

    def example(self) -> Response:
        return _plain(_beside(_EXAMPLE, _EXAMPLE).read_text("utf-8"), "text/plain")

    def llms(self) -> Response:
        issuer = self.frame.settings.issuer
        lines = [
            "# Sinwon (신원)",
            "",
            "> An OpenID Connect provider whose users sign in by showing a mobile credential. "
            f"Its issuer is {issuer}.",
            "",
            "## Documentation",
            "",
            *(
                f"- [{document.title}]({issuer}{document.url}.md): {document.summary}"
                for document in documents().values()
            ),
            "",
            "## For programs",
            "",
            f"- [Discovery]({issuer}/.well-known/openid-configuration): endpoints, scopes, claims, algorithms",
            f"- [Key set]({issuer}/jwks): the keys that ID tokens are signed with",
            f"- [Key calendar]({issuer}/keys.json): when those keys change",
            f"- [Status]({issuer}/status.json): whether signing in works, and planned maintenance",
            "",
        ]
        return _plain("\n".join(lines), "text/plain")


def _known(name: str) -> Document:
    """The page of that name; 404 where there is none."""
    if name not in documents():
        abort(404)
    return documents()[name]


def _plain(text: str, mimetype: str) -> Response:
    response = Response(text, content_type=f"{mimetype}; charset=utf-8")
    response.headers["Cache-Control"] = f"public, max-age={_MAX_AGE_S}"
    return response


def _beside(source: str, installed: str) -> Path:
    """In the package when it was installed from a wheel, beside it otherwise."""
    inside = _PACKAGE / installed
    return inside if inside.exists() else _PACKAGE.parent / source


def _read(path: Path) -> Document:
    text = path.read_text("utf-8")
    tokens = _markdown().parse(_COMMENT.sub("", text))
    after = [(before.type, token) for before, token in pairwise(tokens) if token.type == "inline"]
    title = next(_spoken(token) for before, token in after if before == "heading_open")
    paragraph = next(_spoken(token) for before, token in after if before == "paragraph_open")
    return Document(path.stem, title, _SENTENCE.split(paragraph, maxsplit=1)[0], text)


@cache
def _markdown() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}).enable("table")
    # What is wide scrolls by itself, also by keyboard, and the page stays as narrow as its screen.
    made.add_render_rule("fence", _scrolling_code)
    made.add_render_rule("table_open", lambda *_: '<div class="scrolls" tabindex="0"><table>\n')
    made.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return made


def _scrolling_code(renderer: RendererHTML, *given: Any) -> str:
    return renderer.fence(*given).replace("<pre>", '<pre tabindex="0">', 1)


def _all(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


def _spoken(token: Token) -> str:
    """The text of a paragraph or heading, its marks left out."""
    return "".join(
        " " if child.type.endswith("break") else child.content for child in token.children or ()
    ).strip()


def _name_headings(tokens: Sequence[Token]) -> None:
    """Ids by which headings are linked to, as GitHub makes them: what the files' own links say."""
    taken: dict[str, int] = {}
    for heading, inline in pairwise(tokens):
        if heading.type != "heading_open":
            continue
        said = "".join(child.content for child in inline.children or ())
        slug = re.sub(r"[^\w\- ]", "", said.strip().lower()).replace(" ", "-")
        number = taken.get(slug, 0)
        taken[slug] = number + 1
        heading.attrSet("id", f"{slug}-{number}" if number else slug)


def _fit(token: Token) -> None:
    """Links lead to where we serve what they mean, and a column's alignment is a class: no style is inline."""
    style = token.attrs.pop("style", None)
    if style is not None:
        token.attrSet("class", str(style).rpartition(":")[2])
    href = token.attrs.get("href")
    if isinstance(href, str):
        token.attrSet("href", _address(href))


def _address(href: str) -> str:
    path, hash_sign, fragment = href.partition("#")
    if path == "../README.md":
        path = "/docs/"
    elif path == f"../{_EXAMPLE}":
        path = f"/docs/{_EXAMPLE}"
    elif path.endswith(".md") and _NAME.fullmatch(path[:-3]):
        path = f"/docs/{path[:-3]}"
    return path + hash_sign + quote(fragment, safe="%") if hash_sign else path
