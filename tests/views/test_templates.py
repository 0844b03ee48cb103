"""Every page for holders, rendered in every language as the person gets it."""

import base64
import gzip
import json
import random
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from idp.claims import CLAIMS, ELEMENT_LABELS, GENDERS
from idp.credentials.verdict import Reason
from idp.views.language import (
    CONSOLE_LANGUAGES,
    DIRECTORY,
    LANGUAGES,
    NAMES,
    catalogue,
    install,
    label,
    said,
    translations,
)
from idp.views.messages import MESSAGES, Message, message_for, problem_for, spoken
from idp.views.public import PARTS
from idp.views.ways import InApp

IDP = Path(__file__).parents[2] / "idp"
STATIC = IDP / "static"

HOSTILE = "<b onclick=x>\"'&"

WORDS = {
    "portal": ("정부24", "Government24"),
    "operator": ("행정안전부", "Ministry of the Interior and Safety"),
    "credential": ("모바일 재외국민 신원확인증", "Mobile Overseas Korean Identity Certificate"),
    "who": ("민원 신청인 확인", "To know who makes the request"),
    "age": ("동명이인 구분", "To tell apart people of the same name"),
    "notify": ("처리 결과 안내", "To send you the result"),
    "retention": ("민원 처리 완료 후 5년", "5 years after the request is settled"),
    "statute": ("여권법 시행령(예시)", "Enforcement Decree of the Passport Act (example)"),
}
LABELS = {
    "name": "name",
    "birthdate": "birthdate",
    "registration": "kr_overseas_registration_number",
    "mission": "kr_mission",
    "address": "address",
    "passport": "kr_passport",
}


def qr_svg(link: str) -> Markup:
    drawn = zxingcpp.create_barcode(link, zxingcpp.BarcodeFormat.QRCode).to_svg()
    side = re.search(r'width="(\d+)"', drawn)[1]
    path = re.search(r'<path d="([^"]+)"', drawn)[1]
    return Markup('<svg viewBox="0 0 {0} {0}" shape-rendering="crispEdges"><path d="{1}"/></svg>').format(
        side, path
    )


LINK = (
    "openid4vp://?client_id=x509_hash%3AUvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk"
    "&request_uri=https%3A%2F%2Fsinwon.example%2Fwallet%2Frequest%2FzY0n3mX1dUq8bq3vT0iQ5w"
)


def digital_requests() -> str:
    """As large as they are, and as hard to compress: a signed request and a plain one."""
    signed = base64.urlsafe_b64encode(random.Random(1).randbytes(2_400)).decode()
    plain = {"dcql_query": {"credentials": [{"path": ["name", str(n)]} for n in range(40)]}}
    made = [
        {"protocol": "openid4vp-v1-signed", "data": {"request": signed}},
        {"protocol": "openid4vp-v1-unsigned", "data": plain},
    ]
    return json.dumps(made)


@cache
def environment() -> Environment:
    made = Environment(loader=FileSystemLoader(IDP / "templates"), autoescape=True, undefined=StrictUndefined)
    install(made)
    return made


def page(template: str, lang: str = "ko", **changes: Any) -> str:
    """One page with good defaults, of which the test changes one thing."""
    return environment().get_template(template).render({**context(template, lang), **changes})


def context(template: str, lang: str) -> dict[str, Any]:
    word: dict[str, str] = {key: said({"ko": ko, "en": en}, lang) for key, (ko, en) in WORDS.items()}
    word |= {key: label(CLAIMS[claim].label, lang) for key, claim in LABELS.items()}
    common = {
        "lang": lang,
        "languages": [
            {"code": code, "name": NAMES[code], "url": f"/login/a?lang={code}", "current": code == lang}
            for code in LANGUAGES
        ],
        "mode": "demo",
        "static": lambda name: f"/static/{name}?v=1a2b3c4d",
        "correlation_id": "7f3k-92mq-0dxa",
        "portal": {
            "name": word["portal"],
            "operator": word["operator"],
            "policy_uri": "https://gov24.example/privacy",
            "tos_uri": None,
            "client_uri": "https://gov24.example/",
            "logo": "/portals/gov24/logo.png?v=1a2b3c4d",
        },
        "csrf": "c5rf",
        "form_url": "/form",
    }
    return common | SAMPLES[template.partition(".")[0]](word)


def sign_in(word: dict[str, str]) -> dict[str, Any]:
    return {
        "phase": "waiting",
        "wallet_link": LINK,
        "qr_svg": qr_svg(LINK),
        "qr_text": LINK,
        "qr_link": LINK,
        "qr_fresh_s": 120,
        "qr_each_s": 120,
        "qr_later": json.dumps([[LINK, LINK]] * 4),
        "scan_url": None,
        "key_label": None,
        "items": [
            {"label": word["name"], "purpose": word["who"], "required": True},
            {"label": word["birthdate"], "purpose": word["age"], "required": True},
            {"label": word["address"], "purpose": word["notify"], "required": False},
        ],
        "extra_items": [word["registration"]],
        "credential_names": [word["credential"]],
        "acr_secure": False,
        "expires_at_iso": "2026-11-23T01:12:03Z",
        "expires_at_kst": "10:12",
        "hand_held": False,
        "in_app": None,
        "far": None,
        "code_limit": False,
        "seconds_left": 600,
        "can_extend": True,
        "extend_url": "/login/a/extend",
        "cancel_url": "/login/a/cancel",
        "events_url": "/login/a/events",
        "status_url": "/login/a/status",
        "page_url": "/login/a",
        "digital_requests": digital_requests(),
        "answer_url": "/login/a/digital-credential",
        "confirm_url": "/login/a/confirm",
        "tries_left": 3,
        "number_in_wallet": False,
        "wrong_number": False,
    }


def consent(word: dict[str, str]) -> dict[str, Any]:
    def item(name: str, preview: str, purpose: str, **changes: Any) -> dict[str, Any]:
        base = {
            "name": name,
            "label": word[name],
            "preview": preview,
            "purpose": word[purpose],
            "retention": word["retention"],
            "required": True,
            "basis": "consent",
            "statute": None,
            "sensitive": False,
            "previously_given": False,
        }
        return base | changes

    return {
        "items": [
            item("name", "홍○동", "who", previously_given=True),
            item("birthdate", "1990-○○-○○", "age"),
            item("passport", "M12○○○○○○", "who", sensitive=True),
            item("address", "324○○○○○○○○", "notify", required=False),
            item("mission", "주로○○○○○○○○", "who", basis="statute", statute=word["statute"]),
        ],
        "recipient_retention": word["retention"],
        "offline_days": 0,
        "error": False,
    }


SAMPLES = {
    "sign_in": sign_in,
    "consent": consent,
    "error": lambda word: {
        "title": "Title",
        "message": "Message.",
        "advice": "Advice.",
        "code": "SINWON-L003",
        "time_iso": "2026-11-23T01:02:03Z",
        "time_kst": "2026-11-23 10:02:03",
        "contact": {
            "name": word["operator"],
            "phone": "+82 2-3210-0404",
            "email": "ask@gov24.example",
            "url": "https://gov24.example/ask",
        },
        "return_url": "/login/a/return",
        "return_form": None,
        "retry_url": "/login/a",
    },
    "form_post": lambda word: {
        "action": "https://gov24.example/cb",
        "parameters": {"code": "c", "state": "s"},
    },
    "other_browser": lambda word: {"begin_url": "https://gov24.example/"},
    "device": lambda word: {"problem": None, "typed": ""},
    "device_confirm": lambda word: {
        "user_code": "BCDF-GHJK",
        "items": [
            {"label": word["name"], "purpose": word["who"], "required": True},
            {"label": word["address"], "purpose": word["notify"], "required": False},
        ],
        "minutes": 9,
    },
    "device_done": lambda word: {},
    "device_refused": lambda word: {},
    "wallet_done": lambda word: {"number": "4821"},
    "logout": lambda word: {"hidden": {"id_token_hint": "h", "state": "s"}},
    "logged_out": lambda word: {"return_url": None},
}

PHASES = ("waiting", "fetched", "confirm", "elsewhere")
PAGES: list[tuple[str, dict[str, Any]]] = [
    *(("sign_in.html", {"phase": phase}) for phase in PHASES),
    ("sign_in.html", {"qr_svg": None, "acr_secure": True, "can_extend": False, "mode": "sandbox"}),
    ("sign_in.html", {"phase": "confirm", "wrong_number": True, "tries_left": 1, "mode": "production"}),
    ("sign_in.html", {"phase": "waiting", "number_in_wallet": True}),
    ("sign_in.html", {"hand_held": True}),
    ("sign_in.html", {"qr_svg": None, "code_limit": True}),
    ("sign_in.html", {"phase": "confirm", "far": ("7", "8")}),
    ("sign_in.html", {"in_app": InApp("7", None, None)}),
    (
        "sign_in.html",
        {"in_app": InApp("7", "https://1.example/", "https://1.example/?a=1"), "phase": "fetched"},
    ),
    ("sign_in.html", {"phase": "confirm", "number_in_wallet": True}),
    ("sign_in.html", {"key_label": "7"}),
    ("sign_in.html", {"phase": "confirm", "key_label": "7", "wrong_number": True}),
    ("sign_in.html", {"scan_url": "/login/a/scan", "key_label": "7"}),
    ("consent.html", {}),
    ("consent.html", {"error": True}),
    ("consent.html", {"offline_days": 30}),
    ("form_post.html", {}),
    ("error.html", {}),
    ("error.html", {"portal": None, "contact": None, "return_url": None, "retry_url": None}),
    ("other_browser.html", {}),
    ("other_browser.html", {"portal": None, "begin_url": None}),
    ("wallet_done.html", {}),
    ("device.html", {}),
    ("device.html", {"problem": Message("SINWON-L003", "Title", "Message.", "Advice."), "typed": "BCDF"}),
    ("device_confirm.html", {}),
    ("device_done.html", {}),
    ("device_refused.html", {}),
    ("logout.html", {}),
    ("logged_out.html", {}),
    ("logged_out.html", {"return_url": "https://gov24.example/"}),
]
every_page = pytest.mark.parametrize(
    ("template", "changes"), PAGES, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
every_language = pytest.mark.parametrize("lang", LANGUAGES)


class Elements(HTMLParser):
    """The tags of a page in order, and the text that stands outside of script, style and title."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.langs: list[str | None] = []
        self.feed(html)
        self.close()

    VOID = frozenset({"meta", "link", "input", "img", "br", "rect", "path"})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
            self.langs.append(dict(attrs).get("lang"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"
        self.langs.pop()

    def handle_data(self, data: str) -> None:
        if data.strip():
            lang = next(lang for lang in reversed(self.langs) if lang)
            self.texts.append((lang, data.strip()))

    def all(self, *names: str) -> Iterator[dict[str, str | None]]:
        return (attributes for tag, attributes in self.tags if tag in names)


@every_page
@every_language
def test_a_page_names_its_language_and_has_one_heading(
    template: str, changes: dict[str, Any], lang: str
) -> None:
    elements = Elements(page(template, lang, **changes))
    assert next(elements.all("html"))["lang"] == lang
    assert len(list(elements.all("h1"))) == 1
    assert elements.open == []


@every_page
@every_language
def test_a_page_holds_nothing_that_its_content_security_policy_forbids(
    template: str, changes: dict[str, Any], lang: str
) -> None:
    elements = Elements(page(template, lang, **changes))
    assert not list(elements.all("style", "iframe", "object", "base"))
    assert [attributes.get("src") for attributes in elements.all("script")] == [
        "/static/sinwon.js?v=1a2b3c4d"
    ]
    for _, attributes in elements.tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert not (attributes.get("href") or "").startswith("javascript:")


@every_page
@every_language
def test_every_field_has_a_name_that_can_be_heard(template: str, changes: dict[str, Any], lang: str) -> None:
    elements = Elements(page(template, lang, **changes))
    labels = {attributes["for"] for attributes in elements.all("label")}
    fields = [field for field in elements.all("input", "select", "textarea") if field["type"] != "hidden"]
    assert {field["id"] for field in fields} <= labels
    ids = [attributes["id"] for _, attributes in elements.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in elements.tags:
        for reference in ("aria-labelledby", "aria-describedby", "for"):
            assert set((attributes.get(reference) or "").split()) <= set(ids)


@every_page
@every_language
def test_every_form_is_sent_by_post_with_its_token(template: str, changes: dict[str, Any], lang: str) -> None:
    html = page(template, lang, **changes)
    for form in re.findall(r"<form.*?</form>", html, re.DOTALL):
        assert 'method="post"' in form
        # A form that goes to the portal carries its answer, and nothing of ours.
        to_portal = 'action="https://' in form
        assert ('name="csrf"' in form) is not to_portal
        assert to_portal or '<input type="hidden" name="csrf" value="c5rf">' in form


@every_page
def test_a_korean_page_says_nothing_in_english(template: str, changes: dict[str, Any]) -> None:
    names = {
        "Sinwon",
        "English",
        "Title",
        "Title – 신원(Sinwon)",
        "Title.",
        "Message.",
        "Advice.",
        "SINWON-L003",
    }
    shown = {text for lang, text in Elements(page(template, "ko", **changes)).texts if lang == "ko"}
    foreign = {
        text
        for text in shown
        if re.search(r"[A-Za-z]{3}", re.sub("신원\\(Sinwon\\)|\\(PIN\\)", "", text)) and text not in names
    }
    assert foreign <= {"7f3k-92mq-0dxa", "ask@gov24.example", "https://gov24.example/ask"}


@every_page
def test_an_english_page_says_nothing_in_korean(template: str, changes: dict[str, Any]) -> None:
    shown = {text for lang, text in Elements(page(template, "en", **changes)).texts if lang == "en"}
    assert {text for text in shown if re.search("[가-힣]", text)} <= {"홍○동", "주로○○○○○○○○"}


@every_page
@pytest.mark.parametrize("lang", [lang for lang in LANGUAGES if lang != "en"])
def test_no_sentence_of_ours_stands_there_in_english(
    template: str, changes: dict[str, Any], lang: str
) -> None:
    gettext = translations(lang).gettext
    shown = {text for own, text in Elements(page(template, lang, **changes)).texts if own == lang}
    assert {text for text in shown if gettext(text) != text} == set()


@every_page
@pytest.mark.parametrize("lang", [lang for lang in LANGUAGES if lang not in CONSOLE_LANGUAGES])
def test_what_exists_in_two_languages_only_is_marked_as_english(
    template: str, changes: dict[str, Any], lang: str
) -> None:
    texts = Elements(page(template, lang, **changes)).texts
    assert {text for own, text in texts if own not in {"ko", "en"} and re.search("[가-힣]", text)} <= {"신원"}
    theirs = {english for _, english in WORDS.values()}
    assert {own for own, text in texts if text in theirs} <= {"en"}


@every_language
@pytest.mark.parametrize(
    "template", ["sign_in.html", "consent.html", "error.html", "wallet_done.html", "device_confirm.html"]
)
def test_what_a_portal_calls_itself_is_shown_as_text(template: str, lang: str) -> None:
    portal = context(template, lang)["portal"] | {"name": HOSTILE, "operator": HOSTILE}
    html = page(template, lang, portal=portal)
    assert HOSTILE not in html
    assert "&lt;b onclick=x&gt;" in html


def test_the_sign_in_page_offers_the_link_and_the_code_to_everybody() -> None:
    elements = Elements(page("sign_in.html"))
    by_id = {attributes["id"]: attributes for _, attributes in elements.tags if "id" in attributes}
    assert by_id["wallet-link"]["href"] == LINK
    assert by_id["qr"]["data-link"] == LINK
    assert by_id["qr"]["role"] == "img"


def test_where_the_code_is_off_the_link_stands_alone() -> None:
    html = page("sign_in.html", qr_svg=None)
    assert 'id="wallet-link"' in html
    assert 'id="qr"' not in html


@pytest.mark.parametrize("phase", ["waiting", "fetched", "elsewhere"])
def test_without_scripts_a_waiting_page_refreshes_itself(phase: str) -> None:
    assert '<noscript><meta http-equiv="refresh" content="8"></noscript>' in page("sign_in.html", phase=phase)


def test_a_page_in_which_a_number_is_typed_does_not_refresh_itself() -> None:
    assert "http-equiv" not in page("sign_in.html", phase="confirm")


@pytest.mark.parametrize("phase", PHASES)
def test_cancelling_is_possible_in_every_phase(phase: str) -> None:
    assert 'action="/login/a/cancel"' in page("sign_in.html", phase=phase)


def test_optional_items_start_unticked_and_required_ones_go_along() -> None:
    elements = Elements(page("consent.html"))
    fields = {field["value"]: field for field in elements.all("input") if field["name"] == "item"}
    assert fields["address"]["type"] == "checkbox"
    assert not [field for field in fields.values() if "checked" in field]
    assert fields["name"]["type"] == "hidden"


def test_a_passport_has_a_box_of_its_own_that_must_be_ticked() -> None:
    elements = Elements(page("consent.html"))
    passport = next(field for field in elements.all("input") if field["value"] == "passport")
    assert passport["type"] == "checkbox"
    assert "required" in passport
    assert "checked" not in passport


def test_what_a_statute_provides_for_is_no_matter_of_consent() -> None:
    assert 'value="mission"' not in page("consent.html")


def test_both_decisions_weigh_the_same_and_refusing_needs_no_box() -> None:
    buttons = list(Elements(page("consent.html")).all("button"))
    assert [button["value"] for button in buttons] == ["refuse", "agree"]
    assert len({button["class"] for button in buttons}) == 1
    assert "formnovalidate" in buttons[0]


@pytest.mark.parametrize("mode", ["demo", "sandbox"])
def test_a_demonstration_says_that_it_is_one(mode: str) -> None:
    assert 'class="banner"' in page("error.html", mode=mode)


def test_the_real_service_carries_no_banner() -> None:
    assert 'class="banner"' not in page("error.html", mode="production")


def test_the_number_on_the_phone_can_be_copied_whole() -> None:
    assert re.search(r'id="confirmation-number"[^>]*>4821<', page("wallet_done.html"))


@every_language
def test_the_whole_sign_in_page_fits_a_slow_line(lang: str) -> None:
    parts = [
        page("sign_in.html", lang).encode(),
        (STATIC / "sinwon.css").read_bytes(),
        (STATIC / "sinwon.js").read_bytes(),
        (STATIC / "qr.js").read_bytes(),  # when the first code is too old
    ]
    assert sum(len(gzip.compress(part)) for part in parts) <= 20 * 1024
    loaded = re.findall(r'(?:src|href)="(/static/[^"]+)"', page("sign_in.html", lang))
    assert 1 + len(loaded) + 2 <= 6  # the page, what it loads, the stream, and that


KEYWORDS: dict[str, Any] = {"_": None, "gettext": None, "N_": None, "Finding": (2,)}
PYTHON = ("views/**.py", "portals/**.py", "admin/portals/**.py", "admin/organisations.py")
FOR_ENGINEERS = re.compile(
    r"templates/(console/|public/(document|keys))|views/(console/|reasons\.py|public\.py)|portals/|admin/"
)


@cache
def marked_for_translation() -> frozenset[tuple[str, str]]:
    """Every sentence marked for translation, with the file it stands in."""
    found = extract_from_dir(
        IDP,
        method_map=[
            ("templates/**.html", "jinja2.ext:babel_extract"),
            *((files, "python") for files in PYTHON),
        ],
        options_map={"templates/**.html": {"silent": "false"}},
        keywords=KEYWORDS,
    )
    return frozenset((str(file), str(sentence)) for file, _, sentence, _, _ in found)


def sentences() -> set[str]:
    return {sentence for _, sentence in marked_for_translation()}


def holders_sentences() -> set[str]:
    """Those of the pages for holders, and of the status page."""
    found = {sentence for file, sentence in marked_for_translation() if not FOR_ENGINEERS.match(file)}
    return found | set(PARTS.values())


def labels() -> set[str]:
    """What our own tables name in Korean and English, and the catalogues of all other languages too."""
    rows = [*(claim.label for claim in CLAIMS.values()), *ELEMENT_LABELS.values(), *GENDERS.values()]
    return {row["en"] for row in rows}


def expected(lang: str) -> set[str]:
    return sentences() if lang in CONSOLE_LANGUAGES else holders_sentences() | labels()


@pytest.mark.parametrize("lang", [lang for lang in LANGUAGES if lang != "en"])
def test_every_sentence_is_translated_and_none_is_left_over(lang: str) -> None:
    catalog = catalogue(lang)
    entries = {entry.id: entry for entry in catalog if entry.id}
    assert len(entries) > 150
    assert set(entries) == expected(lang)
    for entry in entries.values():
        assert entry.string, entry.id
        assert not entry.fuzzy, entry.id
        placeholders = re.findall(r"%\(\w+\)s", entry.string)
        assert sorted(placeholders) == sorted(re.findall(r"%\(\w+\)s", entry.id)), entry.id
        assert re.findall("[<>]", entry.string) == re.findall("[<>]", entry.id), entry.id
    assert not catalog.obsolete


QUOTED = {
    "Without these %(portal)s cannot sign you in. “Agree and continue” covers all of them.": "Agree and continue",
    "One minute left. You can ask for more time with the “More time” button.": "More time",
    "Go back and sign in again. If you need longer, use “More time” on the sign-in page.": "More time",
    "To sign out of Sinwon, choose “Try again” and confirm there.": "Try again",
}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_button_is_called_what_it_says_on_it(lang: str) -> None:
    gettext = translations(lang).gettext
    assert set(QUOTED) | set(QUOTED.values()) <= sentences()
    assert [text for text, button in QUOTED.items() if gettext(button) not in gettext(text)] == []


def test_what_holders_read_stands_in_a_file_of_its_own() -> None:
    with (DIRECTORY / "ko.po").open("rb") as source:
        assert {entry.id for entry in read_po(source) if entry.id} == holders_sentences()


@pytest.mark.parametrize("lang", [lang for lang in LANGUAGES if lang != "en"])
def test_every_reason_has_its_sentences_in_every_language(lang: str) -> None:
    gettext = translations(lang).gettext
    english = {text for words in MESSAGES.values() for text in (words.title, words.message, words.advice)}
    assert len(english) > 100
    assert [text for text in english if gettext(text) == text] == []
    told = {spoken(reason, lang) for reason in MESSAGES}
    assert len(told) == len(MESSAGES)


@pytest.mark.parametrize("lang", [lang for lang in LANGUAGES if lang not in CONSOLE_LANGUAGES])
def test_every_claim_has_a_name_in_every_language(lang: str) -> None:
    shown = [label(claim.label, lang) for claim in CLAIMS.values()]
    assert len(set(shown)) == len(CLAIMS)
    same = {claim.label["en"] for claim in CLAIMS.values()} & set(shown)
    assert len(same) <= 2, same


def test_every_reason_has_a_code_of_its_own() -> None:
    codes = [words.code for words in MESSAGES.values()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"SINWON-[RLWCS][0-9]{3}", code) for code in codes)


@pytest.mark.parametrize("reason", MESSAGES)
def test_every_reason_says_what_happened_and_what_to_do(reason: str) -> None:
    words = MESSAGES[reason]
    assert {words.title, words.message, words.advice} <= sentences()
    assert not words.title.endswith(".")
    assert words.message.endswith(".")
    assert words.advice.endswith(".")


RAISED = re.compile(r'(?:LoginError|PageError|RequestError|Unavailable)\(\s*"([a-z_]+)"')
REFUSED = re.compile(r'(?:PresentationError|Problem|_give_up)\(\s*"([a-z_]+)"')


def reasons(pattern: re.Pattern[str]) -> set[str]:
    """The reasons that stand in the sources."""
    sources = (path.read_text("utf-8") for path in IDP.rglob("*.py"))
    return {reason for source in sources for reason in pattern.findall(source)}


def test_every_error_that_is_raised_has_words_of_its_own() -> None:
    raised = reasons(RAISED) - {"internal"}
    assert "login_unknown" in raised
    assert [reason for reason in sorted(raised) if message_for(reason) == "internal"] == []


def test_every_refused_presentation_has_words_that_help() -> None:
    refused = reasons(REFUSED) | set(Reason)
    assert "key_binding_nonce" in refused
    assert [reason for reason in sorted(refused) if problem_for(reason) == "internal"] == []


def test_a_reason_nobody_knows_is_our_own_fault() -> None:
    assert message_for("no such reason") == "internal"


def test_an_expired_certificate_is_not_an_expired_sign_in() -> None:
    assert spoken(problem_for("expired"), "en").title == "This certificate has expired"
    assert spoken(message_for("expired"), "ko").title == "로그인 시간이 지났습니다"


def test_not_being_able_to_ask_is_neither_revoked_nor_fine() -> None:
    assert len({problem_for(f"status_{end}") for end in ("unknown", "revoked", "suspended")}) == 3


@every_language
@pytest.mark.parametrize("phase", ["waiting", "fetched"])
def test_a_refused_answer_is_told_on_the_page_that_goes_on_waiting(phase: str, lang: str) -> None:
    told = spoken(problem_for("status_revoked"), lang)
    html = page("sign_in.html", lang, phase=phase, problem=told)
    assert all(text in html for text in (told.title, told.message, told.advice, told.code))
    assert 'id="wallet-link"' in html


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *(
            (ink, ground)
            for ink in ("text", "soft")
            for ground in ("page", "card", "warm", "red-pale", "pale")
        ),
        ("blue", "card"),
        ("blue", "page"),
        ("blue", "warm"),
        ("on-blue", "blue"),
        ("on-blue", "blue-strong"),
        ("blue-strong", "pale"),
        ("red", "red-pale"),
        ("blue-strong", "card"),
    ],
)
def test_every_ink_can_be_read_on_its_ground(scheme: str, ink: str, ground: str) -> None:
    css = (STATIC / "sinwon.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", blocks[0]))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", blocks[1]))
    lighter, darker = sorted((_luminance(colours[ink]), _luminance(colours[ground])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
