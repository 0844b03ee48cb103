"""Pages for anybody: when the signing keys change, and whether signing in works."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from idp.credentials.trust import TrustSnapshot
from idp.demo.check import Page
from idp.settings import SettingsError, load
from idp.store import StoreUnavailable
from idp.views.language import CONSOLE_LANGUAGES, LANGUAGES
from tests.rig import Rig, started

ATOM = "{http://www.w3.org/2005/Atom}"
PAST, LATER, EARLIER = (
    ("2020-01-01", "2020-01-02"),
    ("2099-05-01", "2099-05-02"),
    ("2099-04-01", "2099-04-02"),
)


def announced(since: str, until: str) -> dict[str, object]:
    words = {"ko": f"{since} 점검 <b>", "en": f"Work of {since} <b>"}
    return {"from": f"{since}T01:00:00+09:00", "until": f"{until}T03:00:00+09:00", "text": words}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    maintenance = [announced(*when) for when in (PAST, LATER, EARLIER)]
    with started(tmp_path_factory.mktemp("house"), {"maintenance": maintenance}) as running:
        yield running


def page(rig: Rig, path: str, lang: str = "en", status: int = 200) -> Page:
    response = rig.http.get(f"{rig.issuer}{path}", params={"lang": lang})
    assert response.status_code == status
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    return Page(response)


@pytest.mark.parametrize(
    ("path", "lang"),
    [*(("/keys", lang) for lang in CONSOLE_LANGUAGES), *(("/status", lang) for lang in LANGUAGES)],
)
def test_a_page_keeps_to_its_policy_in_every_language(rig: Rig, path: str, lang: str) -> None:
    shown = page(rig, path, lang)
    elements = list(shown.root.below())
    assert not [one for one in elements if "style" in one.attributes or one.tag == "style"]
    assert not [name for one in elements for name in one.attributes if name.startswith("on")]
    assert all(one.attributes.get("src") for one in elements if one.tag == "script")
    assert [one.attributes["lang"] for one in elements if one.tag == "html"] == [lang]
    assert len([one for one in elements if one.tag == "h1"]) == 1


def test_the_calendar_has_the_keys_of_the_key_set(rig: Rig) -> None:
    kids = {key["kid"] for key in rig.http.get(f"{rig.issuer}/jwks").json()["keys"]}
    told = rig.http.get(f"{rig.issuer}/keys.json").json()
    assert {key["kid"] for key in told["keys"] if key["state"] == "active"} == kids
    assert {key["kid"] for key in told["keys"]} == kids | {None}
    for key in told["keys"]:
        assert key["planned"] == (["retiring_at", "gone_at"] if key["kid"] else ["published_at", "active_at"])
    assert kids <= {one.text.strip() for one in page(rig, "/keys").root.below() if one.tag == "p"}


@pytest.mark.parametrize(("lang", "word"), [("ko", "서명 시작"), ("en", "Signs")])
def test_the_calendar_can_be_subscribed_to(rig: Rig, lang: str, word: str) -> None:
    response = rig.http.get(f"{rig.issuer}/keys.ics", params={"lang": lang})
    assert response.headers["Content-Type"] == "text/calendar; charset=utf-8"
    uids = re.findall(r"^UID:(.*)\r$", response.text.replace("\r\n ", ""), re.MULTILINE)
    assert len(uids) == len(set(uids)) == 12
    assert f"ES256: {word}" in response.text.replace("\r\n ", "")
    again = rig.http.get(f"{rig.issuer}/keys.ics").text.replace("\r\n ", "")
    assert re.findall(r"^UID:(.*)\r$", again, re.MULTILINE) == uids


@pytest.mark.parametrize("path", ["/keys.json", "/keys.ics", "/status.json", "/status.atom"])
def test_programs_anywhere_may_read_and_keep_it(rig: Rig, path: str) -> None:
    response = rig.http.get(f"{rig.issuer}{path}")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert re.fullmatch(r"public, max-age=\d+", response.headers["Cache-Control"])


def test_the_status_says_that_signing_in_works(rig: Rig) -> None:
    told = rig.http.get(f"{rig.issuer}/status.json").json()
    assert told["able_to_sign_in"] is True
    assert told["parts"] == {"database": True, "store": True, "keys": True, "trust": True}
    assert told["version"]
    assert "Signing in works." in page(rig, "/status").root.text


def test_maintenance_is_announced_until_it_is_over_the_next_one_first(rig: Rig) -> None:
    told = rig.http.get(f"{rig.issuer}/status.json").json()["maintenance"]
    assert [one["from"] for one in told] == ["2099-03-31T16:00:00Z", "2099-04-30T16:00:00Z"]
    assert told[0]["text"]["en"] == "Work of 2099-04-01 <b>"
    response = rig.http.get(f"{rig.issuer}/status", params={"lang": "ko"})
    assert "2099-04-01 점검 &lt;b&gt;" in response.text
    assert "2020-01-01" not in response.text


def test_the_feed_names_each_announcement_once_and_always_the_same(rig: Rig) -> None:
    feeds = [
        ElementTree.fromstring(rig.http.get(f"{rig.issuer}/status.atom", params={"lang": lang}).content)
        for lang in LANGUAGES
    ]
    ids = [[one.findtext(f"{ATOM}id") for one in feed.iter(f"{ATOM}entry")] for feed in feeds]
    assert all(found == ids[0] for found in ids)
    assert len(set(ids[0])) == 2
    for feed in feeds:
        assert feed.findtext(f"{ATOM}updated") == "2099-04-30T16:00:00Z"
        assert feed.findtext(f"{ATOM}author/{ATOM}name") == "127.0.0.1"
    here = page(rig, "/status")
    for uid in ids[0]:
        assert here.find(str(uid).partition("#")[2]) is not None


def test_a_part_that_does_not_answer_is_named_and_nothing_more(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise StoreUnavailable("redis://secret@10.0.0.7")

    monkeypatch.setattr(rig.house.store, "ping", refuse)
    response = rig.http.get(f"{rig.issuer}/status.json")
    assert response.status_code == 503
    assert response.json()["parts"] == {"database": True, "store": False, "keys": True, "trust": True}
    shown = page(rig, "/status", status=503).root.text
    assert "Signing in does not work at the moment." in shown
    assert "10.0.0.7" not in shown + response.text


def test_without_a_key_nobody_can_sign_in(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.house.keys, "algs", ("ES256", "none of ours"))
    assert rig.http.get(f"{rig.issuer}/status.json").json()["parts"]["keys"] is False


def test_without_an_issuer_nobody_can_sign_in(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = TrustSnapshot({}, {})
    monkeypatch.setattr(rig.house.trust, "snapshot", lambda: empty)
    assert rig.http.get(f"{rig.issuer}/status.json").json()["parts"]["trust"] is False


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"from": "2099-05-01T01:00:00"}, "with an offset"),
        ({"from": "2100-01-01T01:00:00Z"}, "from to be before until"),
        ({"text": {"ko": "점검"}}, "in ko and en"),
        ({"text": {"ko": "점검", "en": "x" * 501}}, "1 to 500"),
        ({"reason": "x"}, "reason"),
    ],
)
def test_an_announcement_that_makes_no_sense_is_refused(
    changed: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, {}, overrides={"maintenance": [{**announced(*LATER), **changed}]})
    [problem] = [one for one in refused.value.problems if one.path == "maintenance"]
    assert said in problem.message


def test_a_table_of_the_file_is_an_announcement(tmp_path: Path) -> None:
    file = tmp_path / "sinwon.toml"
    file.write_text(
        "[[maintenance]]\nfrom = 2099-05-01T01:00:00+09:00\nuntil = 2099-05-01T03:00:00+09:00\n"
        'text = { ko = "점검", en = "Work" }\n',
        "utf-8",
    )
    with pytest.raises(SettingsError) as refused:
        load(file, {})
    assert not [one for one in refused.value.problems if one.path == "maintenance"]
