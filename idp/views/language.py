"""The language of a page: which one, its sentences, and what it shows that is in another language.

English is the identity: the English sentence is the message id, and there is no English catalogue. Every
other language is `translations/<code>.po`, read once per process straight from the source file, so that
nothing has to be compiled before an installation works. A language nobody asks for is never read.

Holders read in LANGUAGES, administrators and engineers in CONSOLE_LANGUAGES. What operators and portals write (names,
purposes, periods) exists in Korean and English only: `said` picks one, and `in_its_language` marks it in a template.
"""

import gettext
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from idp.oidc.metadata import UI_LOCALES

LANGUAGES: Final = UI_LOCALES
"""What holders can read, as BCP 47 tags; the same as discovery says."""
CONSOLE_LANGUAGES: Final = ("ko", "en")
"""What administrators and portals' engineers can read: the console, the documents, the calendar of keys."""
NAMES: Final = {
    "ko": "한국어",
    "en": "English",
    "zh-Hans": "简体中文",
    "vi": "Tiếng Việt",
    "id": "Bahasa Indonesia",
    "fil": "Filipino",
    "pt-BR": "Português (Brasil)",
    "ja": "日本語",
    "es": "Español",
    "ru": "Русский",
    "fr": "Français",
}
"""Each language by its own name: somebody who cannot read the page still finds the switch."""

DIRECTORY: Final = Path(__file__).parents[1] / "translations"

_BY_TAG: Final = {lang.lower(): lang for lang in LANGUAGES} | {
    # Every Chinese reader is better served by simplified characters than by Korean or English.
    "zh": "zh-Hans",
    "cmn": "zh-Hans",
    "pt": "pt-BR",
    "tl": "fil",
    "in": "id",  # what old Java and Android still say for `id`
}
_DEFAULT = "ko"
_MAX_CHARACTERS = 512
_MAX_TAGS = 16
_QUALITY = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_TURNING = frozenset({"R", "AL", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")


# -- sentences -----------------------------------------------------------------------------------------------


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
    """What is translated into a language.

    `ko.po` is for holders, `console.ko.po` for administrators, `public.ko.po` for engineers; only CONSOLE_LANGUAGES
    have the last two.
    """
    locale = lang.replace("-", "_")
    parts = ("", "console.", "public.") if lang in CONSOLE_LANGUAGES else ("",)
    merged = Catalog(locale=locale)
    for file in (DIRECTORY / f"{part}{locale}.po" for part in parts):
        with file.open("rb") as source:
            for message in read_po(source, locale=locale, abort_invalid=True):
                merged[message.id] = message
    return merged


def label(texts: Mapping[str, str], lang: str) -> str:
    """A name out of one of our own tables, in any language: Korean and English stand there, the rest is translated."""
    english = texts["en"]
    return texts[lang] if lang in texts else translations(lang).gettext(english)


# -- what others wrote ---------------------------------------------------------------------------------------


class Said(str):
    """A text that an operator or a portal wrote, with the language it is in. Never translated."""

    lang: str

    def __new__(cls, text: str, lang: str) -> "Said":
        made = super().__new__(cls, text)
        made.lang = lang
        return made


def said(texts: Mapping[str, str], lang: str) -> Said:
    """What stands there for readers of this language: their own, English, Korean, or whatever there is."""
    found = next((code for code in (lang, "en", "ko") if texts.get(code)), None) or next(iter(texts))
    return Said(texts[found], found)


def marked(text: str, lang: str) -> Markup:
    """A text of somebody else's for the middle of a page in `lang`, with its own language where that is another.

    Where a character in it turns the direction of writing, the text is shut off from its surroundings. Of a plain
    string, such as a value of a credential, Hangul is Korean, and other letters are of no known language (`lang=""`).
    """
    own = text.lang if isinstance(text, Said) else _guessed(text, lang)
    turns = any(unicodedata.bidirectional(character) in _TURNING for character in text)
    if own == lang and not turns:
        return Markup.escape(str(text))
    tag = "bdi" if turns else "span"
    attribute = Markup("") if own == lang else Markup(' lang="{}"').format(own)
    return Markup("<{0}{1}>{2}</{0}>").format(tag, attribute, str(text))


def _guessed(text: str, lang: str) -> str:
    if _HANGUL.search(text):
        return "ko"
    return "" if any(map(str.isalpha, text)) else lang


# -- templates -----------------------------------------------------------------------------------------------


@pass_context
def _gettext(context: Context, message: str, **values: Any) -> str:
    # The extension's own does the same by way of two more calls, and looks for values that mostly are not there.
    text = translations(context["lang"]).gettext(message)
    if context.eval_ctx.autoescape:
        text = Markup(text)  # noqa: S704 - the catalogue is ours
    return text % values if values or "%" in text else text


@pass_context
def _ngettext(context: Context, singular: str, plural: str, number: int) -> str:
    return translations(context["lang"]).ngettext(singular, plural, number)


@pass_context
def _in_its_language(context: Context, text: str) -> Markup:
    return marked(text, context["lang"])


def install(environment: Environment) -> None:
    """Give templates `_("… %(name)s", name=…)`, in the language named by `lang` in their own context.

    One environment serves every language at once; values put into a sentence are escaped, the sentence is not.
    `{{ text | in_its_language }}` is `marked`: for the content of an element, not for an attribute or a title.
    """
    environment.add_extension("jinja2.ext.i18n")
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        _gettext, _ngettext, newstyle=True
    )
    environment.globals.update(_=_gettext, gettext=_gettext)
    environment.filters["in_its_language"] = _in_its_language


# -- the choice ----------------------------------------------------------------------------------------------


def choose(
    explicit: str | None,
    ui_locales: Sequence[str],
    cookie: str | None,
    accept_language: str,
    default: str = _DEFAULT,
    *,
    among: Sequence[str] = LANGUAGES,
) -> str:
    """One of `among`: the holder's choice in this login, the portal's wish, the last choice, the browser's.

    All four come from outside and may be anything: what names no language of ours is passed over, and only
    the first 16 tags of 512 characters are looked at. The default when nobody says anything useful.

    Source: OIDC Core 3.1.2.1 (ui_locales, in order of preference), RFC 9110 12.5.4, RFC 4647 3.4.
    """

    def first(tags: Iterable[str]) -> str | None:
        return next((lang for tag in tags if (lang := look_up(tag, among))), None)

    wishes = (explicit or "", *ui_locales[:_MAX_TAGS], cookie or "")
    return first(wishes) or first(_by_preference(accept_language)) or default


def look_up(tag: str, among: Sequence[str] = LANGUAGES) -> str | None:
    """Which of `among` a tag asks for, by cutting its end off until one fits (RFC 4647 3.4); None where none does.

    `ko_KR`, the POSIX spelling, is understood too.
    """
    subtags = re.split(r"[-_]", tag[:_MAX_CHARACTERS].strip().lower())
    for end in range(min(len(subtags), _MAX_TAGS), 0, -1):
        lang = _BY_TAG.get("-".join(subtags[:end]))
        if lang in among:
            return lang
    return None


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
