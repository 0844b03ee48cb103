"""JE: the envelope of a wallet's answer. Whatever is wrong with it, the wallet hears the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from tests.altering import link_of
from tests.presenting import Answer, Change, b64, unb64
from tests.security.answers import Status
from tests.security.judging import Case, Court
from tests.security.presented import Message, NotAccepted, Rows, cases, refused

UNREADABLE = "not_readable"


def header(**members: Any) -> Change:
    return lambda answer: answer.encryption_header.update(members)


def rewritten(**members: Any) -> Change:
    """The header of a finished answer replaced: what must be seen before any key is touched."""

    def alter(token: str) -> str:
        head, _, rest = token.partition(".")
        changed = {**json.loads(unb64(head)), **members}
        return b64(json.dumps({k: v for k, v in changed.items() if v is not None}).encode()) + "." + rest

    return whole(alter)


def part(index: int, alter: Callable[[str], str]) -> Change:
    def change(token: str) -> str:
        pieces = token.split(".")
        pieces[index] = alter(pieces[index])
        return ".".join(pieces)

    return whole(change)


def whole(alter: Callable[[str], str]) -> Change:
    return lambda answer: setattr(answer, "alter_response", alter)


def flip(text: str) -> str:
    data = bytearray(unb64(text))
    data[len(data) // 2] ^= 1
    return b64(bytes(data))


def plain(value: Any) -> Change:
    return lambda answer: setattr(answer, "plaintext", value)


def with_key(key: Any, **members: Any) -> Change:
    def change(answer: Answer) -> None:
        answer.encryption_key = key
        answer.encryption_header.update(members)

    return change


def form(make: Callable[[Answer], dict[str, Any]]) -> Change:
    return lambda answer: answer.form.update(make(answer))


def json_serialised(token: str) -> str:
    """The same for one recipient, as JSON."""
    protected, key, iv, ciphertext, tag = token.split(".")
    recipients = [{"encrypted_key": key or None}, {"header": {"alg": "dir"}}]
    said = {"protected": protected, "recipients": recipients, "iv": iv, "ciphertext": ciphertext, "tag": tag}
    return json.dumps(said)


def compressed(answer: Answer) -> None:
    """A megabyte of nothing, which is a kilobyte under `zip`."""
    answer.encryption_header["zip"] = "DEF"
    answer.plaintext = b'{"vp_token":{},"x":"' + b"0" * 1_000_000 + b'"}'


OFF_CURVE = {"kty": "EC", "crv": "P-256", "x": b64(bytes(32)), "y": b64(bytes(32))}

ROWS: Rows = {
    "JE-02": {
        "RSA1_5": (rewritten(alg="RSA1_5"), UNREADABLE),
        "RSA-OAEP": (with_key(RSAKey.generate_key(2048), alg="RSA-OAEP"), UNREADABLE),
        "dir": (with_key(OctKey.generate_key(128), alg="dir"), UNREADABLE),
        "A128KW": (with_key(OctKey.generate_key(128), alg="A128KW"), UNREADABLE),
        "ECDH-ES+A128KW": (header(alg="ECDH-ES+A128KW"), UNREADABLE),
        "none": (rewritten(alg="none"), UNREADABLE),
        "missing": (rewritten(alg=None), UNREADABLE),
        "number": (rewritten(alg=1), UNREADABLE),
        "list": (rewritten(alg=["ECDH-ES"]), UNREADABLE),
    },
    "JE-03": {"p2c": (rewritten(alg="PBES2-HS256+A128KW", p2c=2**31, p2s="AAAA"), UNREADABLE)},
    "JE-04": {
        "A128CBC-HS256": (header(enc="A128CBC-HS256"), UNREADABLE),
        "A192GCM": (header(enc="A192GCM"), UNREADABLE),
        "missing": (rewritten(enc=None), UNREADABLE),
        "list": (rewritten(enc=["A128GCM"]), UNREADABLE),
    },
    "JE-06": {
        "bomb": (compressed, UNREADABLE),
        "small": (header(zip="DEF"), UNREADABLE),
        "not compressed": (rewritten(zip="DEF"), UNREADABLE),
        "other": (rewritten(zip="GZIP"), UNREADABLE),
    },
    "JE-07": {
        "header flipped": (part(0, lambda text: text[:-2] + "!!"), UNREADABLE),
        "header added to": (rewritten(x=1), UNREADABLE),
        "header long": (rewritten(x="x" * 20_000), UNREADABLE),
        "header array": (part(0, lambda _: b64(b"[]")), UNREADABLE),
        "crit": (rewritten(crit=["x"], x=1), UNREADABLE),
        "encrypted key": (part(1, lambda _: "AAAA"), UNREADABLE),
        "iv flipped": (part(2, flip), UNREADABLE),
        "iv empty": (part(2, lambda _: ""), UNREADABLE),
        "iv long": (part(2, lambda text: text * 3), UNREADABLE),
        "ciphertext flipped": (part(3, flip), UNREADABLE),
        "ciphertext empty": (part(3, lambda _: ""), UNREADABLE),
        "tag flipped": (part(4, flip), UNREADABLE),
        "tag short": (part(4, lambda text: text[:-6]), UNREADABLE),
        "tag empty": (part(4, lambda _: ""), UNREADABLE),
        "four parts": (whole(lambda token: token.rpartition(".")[0]), UNREADABLE),
        "six parts": (whole(lambda token: token + ".AAAA"), UNREADABLE),
        "empty parts": (whole(lambda _: "...."), UNREADABLE),
        "no parts": (whole(lambda _: ""), UNREADABLE),
        "dots": (whole(lambda _: "." * 5000), UNREADABLE),
        "padded": (whole(lambda token: token + "="), UNREADABLE),
        "hangul": (whole(lambda _: "가.나.다.라.마"), UNREADABLE),
        "controls": (whole(lambda _: "\0\x01"), UNREADABLE),
        "epk missing": (rewritten(epk=None), UNREADABLE),
        "epk text": (rewritten(epk="x"), UNREADABLE),
        "epk P-384": (rewritten(epk={"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}), UNREADABLE),
        "epk off curve": (rewritten(epk=OFF_CURVE), UNREADABLE),
        "epk short": (rewritten(epk={**OFF_CURVE, "x": "AA"}), UNREADABLE),
        "epk symmetric": (rewritten(epk={"kty": "oct", "crv": "P-256", "k": "AAAA"}), UNREADABLE),
        "for another key": (with_key(ECKey.generate_key("P-256")), UNREADABLE),
        "kid of nobody": (header(kid="x"), "not_this_login"),
        "kid number": (rewritten(kid=7), "not_this_login"),
    },
    "JE-08": {
        "a JWS inside": (plain(b"eyJhbGciOiJFUzI1NiJ9.e30.AAAA"), UNREADABLE),
        "a JWS alone": (whole(lambda _: "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"), UNREADABLE),
        "text": (plain(b"hello"), UNREADABLE),
        "nothing": (plain(b" "), UNREADABLE),
        "array": (plain([]), UNREADABLE),
    },
    "JE-09": {
        "vp_token too": (form(lambda answer: {"response": answer.encrypted(), "vp_token": "{}"}), "not_encrypted"),
        "twice": (form(lambda answer: {"response": [answer.encrypted()] * 2}), "malformed"),
        "state twice": (form(lambda answer: {"response": answer.encrypted(), "state": ["a", "b"]}), "malformed"),
    },
    "JE-10": {
        "JSON": (whole(json_serialised), UNREADABLE),
        "no recipients": (whole(lambda token: json.dumps({"protected": token.split(".")[0], "recipients": []})),
                          UNREADABLE),
    },
}  # fmt: skip


def too_long(name: str, n_bytes: int) -> Case:
    """More than is read: cut off before it is decrypted, and not a word in the audit."""

    def prepare(court: Court) -> Message:
        link = link_of(court.portal())
        return Message(link, Answer(court.rig, link).response_uri, {"response": "x" * n_bytes})

    case = refused("JE-08", name, lambda answer: None, "")
    return replace(case, prepare=prepare, answer=Status(413), events=())


CASES = [*cases(ROWS), too_long("over a megabyte", 1_048_576)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)


def test_all_that_is_wrong_with_an_envelope_has_one_answer(court: Court) -> None:
    """JE-07: who can tell a wrong tag from a wrong point could ask until the key is known."""
    told = set()
    for change in (part(4, flip), part(3, flip), rewritten(epk=OFF_CURVE), rewritten(zip="DEF"), plain(b"[")):
        answer = Answer(court.rig, link_of(court.portal()))
        change(answer)
        response = answer.send()
        NotAccepted()(court.rig, response)
        body = response.json()
        told.add((response.status_code, body["error"], body["error_description"]))
    assert len(told) == 1
