"""Which language a page speaks."""

import pytest
from jinja2 import Environment

from idp.views.language import (
    CONSOLE_LANGUAGES,
    LANGUAGES,
    NAMES,
    Said,
    choose,
    install,
    look_up,
    marked,
    said,
    translations,
)


def test_the_holders_choice_comes_first() -> None:
    assert choose("en", ["ko"], "ko", "ko") == "en"


def test_then_what_the_portal_wishes() -> None:
    assert choose(None, ["en"], "ko", "ko") == "en"


def test_then_the_choice_of_last_time() -> None:
    assert choose(None, [], "en", "ko") == "en"


def test_then_what_the_browser_prefers() -> None:
    assert choose(None, [], None, "en-GB,en;q=0.8,ko;q=0.2") == "en"


def test_and_korean_when_nobody_says_anything() -> None:
    assert choose(None, [], None, "") == "ko"


def test_a_deployment_may_have_another_default() -> None:
    assert choose(None, ["de"], None, "sv", "en") == "en"


def test_the_first_language_we_speak_wins_among_the_portals_wishes() -> None:
    assert choose(None, ["de-CH", "de", "en", "ko"], None, "") == "en"


@pytest.mark.parametrize("tag", ["en", "EN", "en-US", "en-Latn-US", "en_US", " en "])
def test_a_region_or_a_script_does_not_hide_the_language(tag: str) -> None:
    assert choose(tag, [], None, "") == "en"


@pytest.mark.parametrize("tag", ["", "eng", "english", "xx", "*", "-", "en\x00", "../en", "e"])
def test_what_names_no_language_of_ours_is_passed_over(tag: str) -> None:
    assert choose(tag, [tag], tag, tag) == "ko"


@pytest.mark.parametrize(
    ("header", "lang"),
    [
        ("ko;q=0.1, en;q=0.9", "en"),
        ("en;q=0, ko;q=0.1", "ko"),
        ("de, en;q=0.5", "en"),
        ("en;q=0.5, ko;q=0.5", "en"),
        ("*, en;q=0.1", "en"),
        ("en ; q=1.000", "en"),
    ],
)
def test_a_browsers_weights_count(header: str, lang: str) -> None:
    assert choose(None, [], None, header) == lang


@pytest.mark.parametrize("weight", ["2", "-1", "nan", "inf", "0.9999", "1e0", "", "x"])
def test_a_tag_with_a_malformed_weight_is_passed_over(weight: str) -> None:
    assert choose(None, [], None, f"en;q={weight}") == "ko"


def test_no_more_than_sixteen_tags_are_looked_at() -> None:
    assert choose(None, ["xx"] * 16 + ["en"], None, "") == "ko"
    assert choose(None, [], None, "xx," * 16 + "en") == "ko"


def test_no_more_than_512_characters_are_looked_at() -> None:
    assert choose(None, [], None, " " * 512 + "en") == "ko"
    assert choose(" " * 512 + "en", [], None, "") == "ko"


def test_english_sentences_stand_for_themselves() -> None:
    assert translations("en").gettext("This sign-in has expired") == "This sign-in has expired"


def test_korean_sentences_come_from_the_catalogue() -> None:
    assert translations("ko").gettext("This sign-in has expired") == "로그인 시간이 지났습니다"


def test_a_language_nobody_wrote_is_no_language() -> None:
    with pytest.raises(LookupError):
        translations("../../etc/passwd")


def test_every_language_is_called_by_its_own_name() -> None:
    assert set(NAMES) == set(LANGUAGES)


@pytest.mark.parametrize(("lang", "sentence"), [("ko", "&lt;i&gt; 로그인"), ("en", "Sign in to &lt;i&gt;")])
def test_one_environment_speaks_every_language_and_escapes_what_it_is_given(lang: str, sentence: str) -> None:
    environment = Environment(autoescape=True)
    install(environment)
    template = environment.from_string('{{ _("Sign in to %(portal)s", portal=name) }}')
    assert template.render(lang=lang, name="<i>") == sentence


def test_engineers_read_in_two_languages_only() -> None:
    assert CONSOLE_LANGUAGES == ("ko", "en")
    for lang in LANGUAGES:
        assert choose(lang, [lang], lang, lang, among=CONSOLE_LANGUAGES) in CONSOLE_LANGUAGES


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_language_is_found_by_its_own_tag(lang: str) -> None:
    for tag in (lang, lang.upper(), lang.replace("-", "_"), f"{lang}-x-holder"):
        assert look_up(tag) == lang


def test_what_a_portal_wrote_is_shown_in_the_readers_language_or_in_english_or_as_it_is() -> None:
    both = {"ko": "정부24", "en": "Government24"}
    assert [said(both, lang).lang for lang in ("ko", "en", "vi")] == ["ko", "en", "en"]
    assert said({"ko": "정부24", "en": ""}, "vi") == "정부24"
    assert said({"ko": "정부24"}, "en").lang == "ko"
    assert said({"de": "Amt"}, "en").lang == "de"


@pytest.mark.parametrize(
    ("text", "lang", "shown"),
    [
        (Said("Government24", "en"), "en", "Government24"),
        (Said("Government24", "en"), "vi", '<span lang="en">Government24</span>'),
        (Said("<정부24>", "ko"), "vi", '<span lang="ko">&lt;정부24&gt;</span>'),
        ("홍○동", "vi", '<span lang="ko">홍○동</span>'),
        ("홍○동", "ko", "홍○동"),
        ("H○○G", "vi", '<span lang="">H○○G</span>'),
        ("1990-○○-○○", "vi", "1990-○○-○○"),
        (Said("a\u202eb", "en"), "en", "<bdi>a\u202eb</bdi>"),
        (Said("a\u202eb", "en"), "vi", '<bdi lang="en">a\u202eb</bdi>'),
        ("سارة", "en", '<bdi lang="">سارة</bdi>'),
    ],
)
def test_what_others_wrote_is_marked_where_its_language_or_direction_is_not_the_pages(
    text: str, lang: str, shown: str
) -> None:
    assert marked(text, lang) == shown


def test_a_text_of_a_portal_in_the_middle_of_a_sentence_keeps_its_mark_and_is_escaped() -> None:
    environment = Environment(autoescape=True)
    install(environment)
    sentence = environment.from_string('{{ _("Sign in to %(portal)s", portal=name | in_its_language) }}')
    shown = sentence.render(lang="en", name=Said("<정부24>", "ko"))
    assert shown == 'Sign in to <span lang="ko">&lt;정부24&gt;</span>'
