"""WP: what a wallet posts to the address that its question names."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from idp.models import db
from tests.altering import hiding, link_of, setting, withheld
from tests.harmless import EVIL
from tests.presenting import Answer, Change, b64, stranger
from tests.rig import Rig
from tests.security.answers import Json, NotAllowed
from tests.security.judging import Case, Court
from tests.security.presented import (
    Message,
    Rows,
    cases,
    message,
    refused,
)

FORM = "application/x-www-form-urlencoded"


def plain(value: Any) -> Change:
    return lambda answer: setattr(answer, "plaintext", value)


def payload(**members: Any) -> Change:
    return lambda answer: answer.payload.update(members)


def token_of(make: Callable[[str, Any], Any]) -> Change:
    """Another vp_token, made from the query's id and the good presentation."""
    return lambda answer: answer.payload.update(vp_token=make(answer.query_id, answer.presented()))


def form(**members: Any) -> Change:
    return lambda answer: answer.form.update(members)


def in_clear(answer: Answer) -> None:
    shown = json.dumps({answer.query_id: [answer.presented()]})
    answer.form = {"vp_token": shown, "state": answer.request["state"]}


def of_two_people(answer: Answer) -> None:
    """Each alone would do: a certificate of one person, and a card of another's that this portal takes too."""
    other = Answer(answer.rig, link_of(answer.rig.portal("gov24")), "namgoong")
    other.binding_payload["nonce"] = answer.request["nonce"]
    names = [one["id"] for one in answer.request["dcql_query"]["credentials"]]
    assert len(names) > 1
    second = next(name for name in names if name != answer.query_id)
    answer.payload["vp_token"] = {answer.query_id: [answer.presented()], second: [other.presented()]}


def of_two_people_under_one_name(answer: Answer) -> None:
    other = Answer(answer.rig, link_of(answer.rig.portal("gov24")), "namgoong")
    other.binding_payload["nonce"] = answer.request["nonce"]
    answer.payload["vp_token"] = {answer.query_id: [answer.presented(), other.presented()]}


def one_good_one_bad(answer: Answer) -> None:
    """The other way round as well: what comes first decides nothing."""
    bad = Answer(answer.rig, link_of(answer.rig.portal("gov24")))
    bad.holder_key = stranger()
    names = [one["id"] for one in answer.request["dcql_query"]["credentials"]]
    second = next(name for name in names if name != answer.query_id)
    answer.payload["vp_token"] = {second: [bad.presented()], answer.query_id: [answer.presented()]}


def under_the_name_of_the_mdoc(answer: Answer) -> None:
    answer.payload["vp_token"] = {"mdoc-kr-overseas-national": [answer.presented()]}


MEMBERS = b'{"vp_token":{' + b",".join(b'"k%d":[]' % number for number in range(40_000)) + b"}}"

ROWS: Rows = {
    "WP-12": {
        "error beside an answer": (form(error="access_denied", vp_token="{}"), "malformed"),
        "error twice": (form(error=["a", "b"]), "malformed"),
        "error for another login": (form(error="access_denied", state="other"), "not_this_login"),
    },
    "WP-14": {"in clear": (in_clear, "not_encrypted")},
    "WP-16": {
        "unknown id": (token_of(lambda name, shown: {"pid": [shown]}), "incomplete"),
        "none": (token_of(lambda name, shown: {}), "incomplete"),
        "one more": (token_of(lambda name, shown: {name: [shown], "pid": [shown]}), "incomplete"),
        "not a list": (token_of(lambda name, shown: {name: shown}), "malformed"),
        "empty list": (token_of(lambda name, shown: {name: []}), "malformed"),
        "two": (token_of(lambda name, shown: {name: [shown, shown]}), "malformed"),
        "null": (token_of(lambda name, shown: {name: [None]}), "malformed"),
        "object": (token_of(lambda name, shown: {name: [{"jwt": shown}]}), "malformed"),
        "nested": (token_of(lambda name, shown: {name: [[shown]]}), "malformed"),
        "text": (token_of(lambda name, shown: shown), "malformed"),
        "list alone": (token_of(lambda name, shown: [shown]), "malformed"),
        "no vp_token": (plain({}), "malformed"),
        "state of another": (payload(state="x"), "not_this_login"),
        "state number": (payload(state=7), "not_this_login"),
        "nothing": (form(state="x"), "malformed"),
        "many fields": (form(**{f"f{number}": "x" for number in range(50_000)}), "malformed"),
    },
    "WP-17": {
        "mdoc": (token_of(lambda name, shown: {name: [b64(b"\xa3gversion")]}), "malformed"),
        "jwt_vc": (token_of(lambda name, shown: {name: ["eyJhbGciOiJFUzI1NiJ9.eyJ2YyI6e319.AAAA"]}), "malformed"),
        "ldp_vc": (token_of(lambda name, shown: {name: ['{"@context":[],"proof":{}}']}), "malformed"),
        "under the other's name": (under_the_name_of_the_mdoc, "malformed"),
    },
    "WP-18": {
        "name missing": (withheld("name"), "incomplete"),
        "number of the person missing": (withheld("overseas_registration_number"), "incomplete"),
        "other type": (setting("issuer_payload", vct="https://evil.example/vct"), "type_not_accepted"),
        "null": (hiding("name", None), "claim_invalid"),
    },
    "WP-20": {"one good one bad": (one_good_one_bad, "malformed")},
    "WP-21": {
        "two alternatives": (of_two_people, "malformed"),
        "under one name": (of_two_people_under_one_name, "malformed"),
    },
    "WP-23": {
        "deep": (plain(b'{"vp_token":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "not_readable"),
        "many members": (plain(MEMBERS), "incomplete"),
        "twice": (plain(b'{"vp_token":{},"vp_token":{}}'), "not_readable"),
        "twice inside": (plain(b'{"vp_token":{"a":[],"a":[]}}'), "not_readable"),
        "NaN": (plain(b'{"vp_token":NaN}'), "not_readable"),
        "5,000 digits": (plain(b'{"state":' + b"9" * 5000 + b"}"), "not_readable"),
        "surrogate": (plain(b'{"state":"\\ud800"}'), "not_readable"),
        "not UTF-8": (plain(b'{"state":"\xff"}'), "not_readable"),
        "two texts": (plain(b"{}{}"), "not_readable"),
    },
}  # fmt: skip


def posted(row: str, name: str, reason: str, **arguments: Any) -> Case:
    """A body that is no form, though what stands in it might be an answer."""
    case = refused(row, name, lambda answer: None, reason)
    return replace(case, send=lambda court, given: court.rig.http.post(given.uri, **arguments))


def wrong_charset(court: Court, given: Message) -> Any:
    body = urlencode(given.form).encode("utf-16")
    return court.rig.http.post(given.uri, content=body, headers={"Content-Type": f"{FORM}; charset=utf-16"})


def other_method(method: str) -> Case:
    case = refused("WP-01", method, lambda answer: None, "")
    return replace(
        case,
        send=lambda court, given: court.rig.http.request(method, given.uri),
        answer=NotAllowed(frozenset({"POST"})),
        events=(),
    )


def too_long(name: str, form: dict[str, Any]) -> Case:
    case = refused("WP-22", name, lambda answer: answer.form.update(form), "")
    return replace(case, answer=Json(413, "invalid_request"), events=())


CASES = [
    *cases(ROWS),
    *(other_method(method) for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "TRACE")),
    posted("WP-02", "JSON", "malformed", json={"response": "x"}),
    posted("WP-02", "multipart", "malformed", files={"response": (None, "x")}),
    posted("WP-02", "no type", "malformed", content=b"response=x"),
    posted("WP-02", "text", "malformed", content=b"response=x", headers={"Content-Type": "text/plain"}),
    posted("WP-02", "bytes", "malformed", content=b"\xff\xfe", headers={"Content-Type": "application/octet-stream"}),
    replace(refused("WP-02", "UTF-16", lambda answer: None, "malformed"), send=wrong_charset),
    too_long("over a megabyte", {"response": "x" * 1_048_576}),
    too_long("100,000 fields", {f"field-{number}": "xxxx" for number in range(100_000)}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)


# -- what ends a login, or happens to it once ---------------------------------------------------------------------

REFUSALS: dict[str, tuple[dict[str, str], str]] = {
    "no such code": ({"error": "no such code"}, "unknown"),
    "mark-up": ({"error": "access_denied", "error_description": EVIL}, "access_denied"),
    "mark-up for a code": ({"error": EVIL}, "unknown"),
    "100 kB": ({"error": "access_denied", "error_description": "x" * 100_000}, "access_denied"),
    "a name": ({"error": "홍길동"}, "unknown"),
    "two lines": ({"error": "a\nwallet.refused"}, "unknown"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_whatever_a_wallet_says_when_it_refuses_is_one_word_to_us(court: Court, kind: str) -> None:
    """WP-12."""
    said, reason = REFUSALS[kind]
    last = court.rig.last_event()
    answer = Answer(court.rig, link_of(court.portal()))
    answer.form = said
    response = answer.send()
    assert response.status_code == 200
    told = [event for event in court.rig.events(after=last) if event.name == "wallet.refused"]
    assert [(event.reason, event.detail) for event in told] == [(reason, None)]
    shown = court.portal().browser.get(response.json()["redirect_uri"])
    assert EVIL not in shown.text
    assert "홍길동" not in shown.text


def test_a_hundred_wrong_response_codes_do_not_burn_the_right_one(court: Court) -> None:
    """WP-27: they are counted in the audit, and the holder's own browser goes on with the right one."""
    portal = court.rig.portal("gov24")
    begun = portal.begin(prompt="login")
    told = Answer(court.rig, portal.link(portal.page(begun))).send().json()["redirect_uri"]
    thief = court.rig.browser()
    guess = told.rpartition("=")[0]
    statuses = {thief.get(f"{guess}={secrets.token_urlsafe(32)}").status_code for _ in range(100)}
    assert statuses <= {403, 429}
    assert "code" in portal.agree(portal.browser.get(told)).headers["Location"]


@contextmanager
def without_the_audit(rig: Rig) -> Iterator[None]:
    """Meanwhile the database fails where the audit is written, in the middle of a transaction."""

    def rename(name: str, new: str) -> None:
        with rig.app.app_context():
            db.session.execute(text(f"ALTER TABLE {name} RENAME TO {new}"))
            db.session.commit()

    rename("audit_event", "elsewhere")
    try:
        yield
    finally:
        rename("elsewhere", "audit_event")


def test_a_result_that_cannot_be_kept_is_not_half_kept_and_the_wallet_may_try_again(court: Court) -> None:
    """WP-32."""
    portal = court.rig.portal("gov24")
    link = portal.link(portal.page(portal.begin(prompt="login")))
    given = message(Answer(court.rig, link), link)
    before = court.issued()
    with without_the_audit(court.rig):
        response = given.post(court.rig)
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        assert response.headers["Retry-After"]
    assert court.issued() == before
    assert given.post(court.rig).status_code == 200
