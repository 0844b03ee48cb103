"""The language of a holder's page: which one, and its sentences.

English is the identity: the English sentence is the message id, and there is no English catalogue. Every
other language is `translations/<code>.po`, read once per process straight from the source file, so that
nothing has to be compiled before an installation works.
"""

import gettext
import io
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2 import Environment, pass_context
from jinja2.runtime import Context

LANGUAGES: Final = ("ko", "en")
NAMES: Final = {"ko": "한국어", "en": "English"}
"""Each language by its own name: somebody who cannot read the page still finds the switch."""

DIRECTORY: Final = Path(__file__).parents[1] / "translations"

_DEFAULT = "ko"
_MAX_CHARACTERS = 512
_MAX_TAGS = 16
_QUALITY = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)


@cache
def translations(lang: str) -> gettext.NullTranslations:
    """The sentences of one language, with `gettext` and `ngettext`.

    Unfinished (fuzzy) translations are left out; such a sentence appears in English.

    Raises LookupError: not one of LANGUAGES.
    """
    if lang not in LANGUAGES:
        raise LookupError("no such language")
    if lang == "en":
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(lang))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def catalogue(lang: str) -> Catalog:
    """What is translated into a language: files for holders, for administrators (`console.`), for all (`public.`)."""
    merged = Catalog(locale=lang)
    for file in (DIRECTORY / f"{part}{lang}.po" for part in ("", "console.", "public.")):
        with file.open("rb") as source:
            for message in read_po(source, locale=lang, abort_invalid=True):
                merged[message.id] = message
    return merged


@pass_context
def _gettext(context: Context, message: str) -> str:
    return translations(context["lang"]).gettext(message)


@pass_context
def _ngettext(context: Context, singular: str, plural: str, number: int) -> str:
    return translations(context["lang"]).ngettext(singular, plural, number)


def install(environment: Environment) -> None:
    """Give templates `_("… %(name)s", name=…)`, in the language named by `lang` in their own context.

    One environment serves every language at once; values put into a sentence are escaped, the sentence is not.
    """
    environment.add_extension("jinja2.ext.i18n")
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        _gettext, _ngettext, newstyle=True
    )


def choose(
    explicit: str | None,
    ui_locales: Sequence[str],
    cookie: str | None,
    accept_language: str,
    default: str = _DEFAULT,
) -> str:
    """One of LANGUAGES: the holder's choice in this login, the portal's wish, the last choice, the browser's.

    All four come from outside and may be anything: what names no language of ours is passed over, and only
    the first 16 tags of 512 characters are looked at. The default when nobody says anything useful.

    Source: OIDC Core 3.1.2.1 (ui_locales, in order of preference), RFC 9110 12.5.4, RFC 4647 3.4.
    """
    wishes = [explicit or "", *ui_locales[:_MAX_TAGS], cookie or "", *_by_preference(accept_language)]
    for wish in wishes:
        lang = _primary(wish)
        if lang in LANGUAGES:
            return lang
    return default


def _primary(tag: str) -> str:
    """`ko` for `ko-KR`: the primary subtag in lower case. (`ko_KR`, the POSIX spelling, is understood too.)"""
    return re.split(r"[-_]", tag[:_MAX_CHARACTERS].strip(), maxsplit=1)[0].lower()


def _by_preference(accept_language: str) -> list[str]:
    """The tags of an Accept-Language header, best first; those with quality 0 or a malformed one left out."""
    weighed: list[tuple[float, str]] = []
    for part in accept_language[:_MAX_CHARACTERS].split(",")[:_MAX_TAGS]:
        tag, _, parameter = part.partition(";")
        quality = _QUALITY.fullmatch(parameter.strip() or "q=1")
        if quality and float(quality[1]) > 0:
            weighed.append((float(quality[1]), tag))
    weighed.sort(key=lambda pair: pair[0], reverse=True)
    return [tag for _, tag in weighed]
