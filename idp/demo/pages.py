"""What all pages of the guests have in common: language, headers, the frame around the content."""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, g, make_response, render_template, request

from idp.demo import texts

CSP = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
# A second visit would find the state used up.
_ONCE = {"portals.callback"}
_YEAR_S = 31_536_000


def install(app: Flask) -> None:
    """Give an application the guests' language choice and response headers."""

    @app.before_request
    def choose_language() -> None:
        g.language = texts.choose(request)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", CSP)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers.setdefault("Cache-Control", "no-store")
        if request.args.get("lang") in texts.LANGUAGES:
            response.set_cookie(
                texts.COOKIE, request.args["lang"], max_age=_YEAR_S, samesite="Lax", httponly=True
            )
        return response


def show(template: str, status: int = 200, **values: Any) -> Response:
    """A page in the language of the request."""
    language: str = g.language
    other_language = "en" if language == "ko" else "ko"
    page = render_template(
        template,
        lang=language,
        t=partial(_sentence, language),
        name_of=lambda names: texts.of(names, language),
        label=lambda name: texts.claim(name, language),
        place=lambda path: texts.place(path, language),
        labels=lambda paths: list(dict.fromkeys(texts.place(path, language) for path in paths)),
        value=lambda name, shown: texts.value(name, shown, language),
        explain=lambda code: texts.error(code, language),
        explain_other=lambda code: texts.error(code, other_language),
        pretty=texts.pretty,
        other_language=other_language,
        language_link=_language_link(other_language),
        **values,
    )
    return make_response(page, status)


def _sentence(language: str, key: str, **values: str) -> str:
    return texts.text(key, language, **values)


def _language_link(language: str) -> str | None:
    """This very page in the other language; None for a page that cannot be asked for a second time."""
    if request.method != "GET" or request.endpoint in _ONCE:
        return None
    query = {key: item for key, item in request.args.items() if key != "lang"}
    return f"{request.path}?{urlencode({**query, 'lang': language})}"
