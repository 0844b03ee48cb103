"""SJ: presentations of an SD-JWT VC that must not be believed, and odd ones that must."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest

from tests.altering import (
    adding,
    at,
    digest_in_an_array,
    digest_in_two_places,
    digest_twice,
    element_as_claim,
    flipped,
    hiding,
    putting,
    raw_payload,
    repeated,
    sending,
    setting,
    withheld,
)
from tests.presenting import Answer, Change, b64, digest, disclosure, public_jwk, stranger, with_signature
from tests.rig import callback_parameters
from tests.security.judging import Case, Court
from tests.security.presented import Rows, cases


def vct(change: Any) -> Change:
    return lambda answer: answer.issuer_payload.update(vct=change(answer.issuer_payload["vct"]))


def vct_in_other_letters(answer: Answer) -> None:
    """The same by normalisation: a full-width letter."""
    known = answer.issuer_payload["vct"]
    other = known.replace("national", "\uff4eational")
    assert unicodedata.normalize("NFKC", other) == known != other
    answer.issuer_payload["vct"] = other


def vct_by_inheritance(answer: Answer) -> None:
    known = answer.issuer_payload["vct"]
    answer.issuer_payload.update(vct="https://evil.example/vct", extends=known, aka_vcts=[known])


def hidden(name: str) -> Change:
    """A claim that must not be disclosable is one."""
    return lambda answer: answer.add(disclosure("s", name, answer.issuer_payload.pop(name)))


def forged(answer: Answer) -> None:
    """In place of one that is referenced, so that their number is right."""
    answer.disclosures[0] = disclosure("s", "name", "x")


def digest_through_another_disclosure(answer: Answer) -> None:
    """A digest that the payload has stands again inside what a disclosure brings (RFC 9901, section 7.1, step 4)."""
    answer.add(disclosure("salt", "outer", {"_sd": [digest(answer.disclosures[0])]}))


def digest_in_sd_and_array(answer: Answer) -> None:
    """Of what is not disclosed: no disclosure in the wrong position gives it away."""
    disclosed = set(map(digest, answer.disclosures))
    kept_back = next(one for one in answer.issuer_payload["_sd"] if one not in disclosed)
    answer.issuer_payload["list"] = [{"...": kept_back}]


def internal(name: str) -> Change:
    """An address of somebody's network where a careless verifier looks for keys or metadata."""

    def change(answer: Answer) -> None:
        where = "http://127.0.0.2:1/.well-known/jwt-vc-issuer"
        answer.issuer_payload[name] = where
        answer.issuer_header.update(jku=where, x5u=where, kid="x", x5c=None)

    return change


ROWS: Rows = {
    "SJ-01": {
        "flipped": (putting(alter_issuer_jwt=flipped), "issuer_signature"),
        "of zeros": (putting(alter_issuer_jwt=lambda token: with_signature(token, bytes(64))), "issuer_signature"),
        "padded": (putting(alter_issuer_jwt=lambda token: token + "=="), "malformed"),
        "by a stranger": (putting(issuer_key=stranger), "issuer_signature"),
        "crit": (setting("issuer_header", crit=["x"], x=1), "critical_header"),
        "b64": (setting("issuer_header", b64=False, crit=["b64"]), "critical_header"),
    },
    "SJ-02": {
        "empty": (putting(alter_issuer_jwt=lambda token: with_signature(token, b"")), "issuer_signature"),
        **{f"alg {alg}": (setting("issuer_header", alg=alg), "algorithm") for alg in ("none", "None", "nOnE")},
    },
    "SJ-05": {
        "appended": (sending(disclosure("salt", "role", "ambassador")), "disclosure_unreferenced"),
        "altered value": (sending(disclosure("altered", "name", "다른사람")), "disclosure_unreferenced"),
        "in place of one": (forged, "disclosure_unreferenced"),
        "sd_alg md5": (setting("issuer_payload", _sd_alg="md5"), "algorithm"),
        "sd_alg of another case": (setting("issuer_payload", _sd_alg="SHA-256"), "algorithm"),
    },
    "SJ-06": {"twice": (digest_twice, "disclosure_duplicate")},
    "SJ-07": {
        "nested": (digest_in_two_places, "disclosure_duplicate"),
        "through a disclosure": (digest_through_another_disclosure, "disclosure_duplicate"),
    },
    "SJ-08": {
        "in an array": (digest_in_an_array, "disclosure_duplicate"),
        "in both": (digest_in_sd_and_array, "disclosure_duplicate"),
    },
    "SJ-09": {"twice": (repeated, "disclosure_duplicate")},
    "SJ-10": {
        "_sd": (adding(disclosure("salt", "_sd", [])), "disclosure_forbidden"),
        "dots": (adding(disclosure("salt", "...", "x")), "disclosure_forbidden"),
        "_sd_alg": (adding(disclosure("salt", "_sd_alg", "md5")), "disclosure_forbidden"),
        "exp": (hidden("exp"), "disclosure_forbidden"),
        "status": (hidden("status"), "disclosure_forbidden"),
        "cnf": (hidden("cnf"), "holder_key"),
        "iss": (adding(disclosure("salt", "iss", "x")), "disclosure_forbidden"),
        "a claim again": (adding(disclosure("salt", "name", "x")), "disclosure_collision"),
    },
    "SJ-12": {
        "two in an object": (adding(disclosure("salt", "x")), "disclosure_malformed"),
        "three in an array": (element_as_claim, "disclosure_malformed"),
        "four": (adding(disclosure("salt", "a", "b", "c")), "disclosure_malformed"),
        "none": (adding(disclosure()), "disclosure_malformed"),
        "number": (adding(b64(b"42")), "disclosure_malformed"),
        "object": (adding(b64(b"{}")), "disclosure_malformed"),
        "text": (adding(b64(b'"x"')), "disclosure_malformed"),
        "name is a number": (adding(disclosure("salt", 1, "x")), "disclosure_malformed"),
        "salt is a number": (adding(disclosure(1, "a", "x")), "disclosure_malformed"),
    },
    "SJ-13": {
        "not UTF-8": (adding(b64(b'["s","a","\xff"]')), "disclosure_malformed"),
        "surrogate": (adding(b64(b'["s","a","\\ud800"]')), "disclosure_malformed"),
        "padded": (adding(b64(b'["s","a","b"]') + "="), "disclosure_malformed"),
        "stars": (adding("***"), "disclosure_malformed"),
        "other alphabet": (adding(b64(b'["s","a","\xc3\xbb\xc3\xbf?>"]').replace("_", "/").replace("-", "+")),
                           "disclosure_malformed"),
        "empty": (sending(""), "disclosure_malformed"),
        "a second spelling": (adding(b64(b'["s","a","b"]')[:-1] + "F"), "disclosure_malformed"),
    },
    "SJ-17": {
        "missing": (setting("issuer_header", typ=None), "header_type"),
        **{
            f"{typ}": (setting("issuer_header", typ=typ), "header_type")
            for typ in ("vc+sd-jwt", "JWT", "example+sd-jwt", "kb+jwt", "DC+SD-JWT", "application/dc+sd-jwt", 1)
        },
    },
    "SJ-18": {
        "missing": (setting("issuer_payload", vct=None), "type_not_accepted"),
        "number": (setting("issuer_payload", vct=7), "type_not_accepted"),
        "list": (vct(lambda known: [known]), "type_not_accepted"),
        "other": (setting("issuer_payload", vct="https://evil.example/vct"), "type_not_accepted"),
        "slash": (vct(lambda known: known + "/"), "type_not_accepted"),
        "upper case": (vct(str.upper), "type_not_accepted"),
        "other letters": (vct_in_other_letters, "type_not_accepted"),
        "of another card": (
            vct(lambda known: known.replace("overseas-national", "driving-licence")), "type_not_accepted"
        ),
    },
    "SJ-19": {
        "exp past": (at("issuer_payload", "exp", -61), "expired"),
        "nbf future": (at("issuer_payload", "nbf", 120), "not_yet_valid"),
        "iat tomorrow": (at("issuer_payload", "iat", 86_400), "not_yet_valid"),
        **{
            f"exp {name}": (setting("issuer_payload", exp=exp), "malformed")
            for name, exp in {"text": "1", "true": True, "negative": -1, "1e30": 1e30, "1e308": 1e308}.items()
        },
        "exp 1e400": (raw_payload('"nbf":1e400'), "malformed"),
    },
    "SJ-23": {"extends": (vct_by_inheritance, "type_not_accepted")},
    "SJ-24": {
        "iss": (internal("iss"), "issuer_certificate"),
        "vct": (internal("vct"), "type_not_accepted"),
    },
    "SJ-26": {
        "no signatures": (putting(presentation='{"payload":"e30","signatures":[]}'), "malformed"),
        "flattened": (
            putting(presentation='{"payload":"e30","protected":"e30","signature":"","header":{"kb_jwt":"a.b.c"}}'),
            "malformed",
        ),
        "no tilde": (putting(presentation="a.b.c"), "malformed"),
        "nothing": (putting(presentation=""), "malformed"),
        "hangul": (putting(presentation="가~나~다"), "malformed"),
    },
    "SJ-29": {
        "header 200 kB": (setting("issuer_header", x="x" * 200_000), "too_large"),
        "payload 300 kB": (setting("issuer_payload", x="x" * 300_000), "too_large"),
        "5,000 disclosures": (sending(*[disclosure(str(n), "a", "b") for n in range(5000)]), "too_large"),
        "tildes": (putting(presentation="~" * 5000), "too_large"),
        "1,000 deep": (raw_payload('"a":' + "[" * 1000 + "]" * 1000), "malformed"),
        "20 deep": (setting("issuer_payload", a=json.loads("[" * 20 + "]" * 20)), "too_large"),
    },
    "SJ-30": {
        "vct": (raw_payload('"vct":"x"'), "malformed"),
        "cnf": (raw_payload('"cnf":{}'), "malformed"),
        "in a disclosure": (adding(b64(b'["s","a",{"b":1,"b":2}]')), "disclosure_malformed"),
        "NaN": (raw_payload('"a":NaN'), "malformed"),
        "5,000 digits": (raw_payload('"a":' + "9" * 5000), "malformed"),
    },
    "SJ-31": {
        "name list": (hiding("name", ["a"]), "claim_invalid"),
        "name HTML": (hiding("name", "<script>alert(1)</script>"), "claim_invalid"),
        "name empty": (hiding("name", ""), "claim_invalid"),
        "name 10 kB": (hiding("name", "가" * 10_000), "claim_invalid"),
        "birthdate object": (hiding("birthdate", {"a": 1}), "claim_invalid"),
        "number of the person": (hiding("overseas_registration_number", 7), "claim_invalid"),
        "portrait SVG": (hiding("picture", "data:image/svg+xml;base64,PHN2Zy8+"), "claim_invalid"),
        "portrait 450 kB": (hiding("picture", "data:image/jpeg;base64," + "A" * 450_000), "claim_invalid"),
        "no name": (withheld("name"), "incomplete"),
        "no number of the person": (withheld("overseas_registration_number"), "incomplete"),
    },
    "SJ-32": {
        name: (hiding("birthdate", date), "claim_invalid")
        for name, date in {
            "30 February": "2000-02-30", "no leap year": "2001-02-29", "short": "00-01-01", "slashes": "2000/01/01",
            "time": "2000-01-01T00:00:00Z", "zone": "2000-01-01+09:00", "future": "2999-01-01", "space": " 2000-01-01",
            "full width": "\uff12\uff10\uff10\uff10-01-01", "one digit": "2000-1-1",
        }.items()
    },
}  # fmt: skip

CASES = cases(ROWS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)


def minimal_cnf(answer: Answer) -> None:
    key = public_jwk(answer.credential.holder_key)
    answer.issuer_payload["cnf"] = {"jwk": {name: key[name] for name in ("kty", "crv", "x", "y")}}


def decoys(answer: Answer) -> None:
    answer.issuer_payload["_sd"] += [digest(str(number)) for number in range(9)]


def recursive(answer: Answer) -> None:
    inner = disclosure("salt", "inner", "x")
    answer.disclosures.append(inner)
    answer.add(disclosure("salt", "outer", {"_sd": [digest(inner)]}))


def arrays_in_arrays(answer: Answer) -> None:
    element = disclosure("salt", "x")
    answer.disclosures.append(element)
    answer.issuer_payload["list"] = [[{"...": digest(element)}, {"...": digest("decoy")}], []]


def name_of_a_prototype(answer: Answer) -> None:
    answer.add(disclosure("salt", "__proto__", {"admin": True}))


@pytest.mark.parametrize(
    "change",
    [minimal_cnf, decoys, recursive, arrays_in_arrays, name_of_a_prototype],
    ids=lambda one: one.__name__,
)
def test_an_odd_presentation_that_is_good_signs_in(court: Court, change: Change) -> None:
    portal = court.rig.portal("gov24")
    begun = portal.begin(prompt="login")
    answer = Answer(court.rig, portal.link(portal.page(begun)))
    change(answer)
    told = answer.send()
    assert told.status_code == 200, court.rig.events()[-1].detail
    back = portal.agree(portal.browser.get(told.json()["redirect_uri"]))
    bought = portal.token(callback_parameters(back)["code"], begun.verifier).json()
    assert portal.userinfo(bought["access_token"]).json()["name"] == "홍길동"
