"""KB: who shows a credential, to whom, in answer to what."""

from __future__ import annotations

import pytest

from tests.altering import (
    YEAR_S,
    at,
    binding,
    flipped,
    hs256_binding,
    nonce_of_another_login,
    own_jwk_binding,
    putting,
    setting,
    swapped_disclosures,
)
from tests.presenting import Answer, b64, digest, public_jwk, stranger
from tests.security.judging import Case, Court
from tests.security.presented import Rows, cases

PUBLIC = public_jwk(stranger())


def aud_without_prefix(answer: Answer) -> None:
    answer.binding_payload["aud"] = answer.request["client_id"].partition(":")[2]


def aud_of_the_response(answer: Answer) -> None:
    answer.binding_payload["aud"] = answer.response_uri


def aud_of_the_issuer(answer: Answer) -> None:
    answer.binding_payload["aud"] = answer.rig.issuer


def aud_list(answer: Answer) -> None:
    answer.binding_payload["aud"] = [answer.request["client_id"]]


def nonce_in_another_case(answer: Answer) -> None:
    answer.binding_payload["nonce"] = answer.request["nonce"].swapcase()


def sd_hash_without_the_last_tilde(answer: Answer) -> None:
    answer.binding_payload["sd_hash"] = digest("~".join([answer.issuer_jwt(), *answer.disclosures]))


def sd_hash_by_another_hash(answer: Answer) -> None:
    """Right, but for the hash that the issuer's `_sd_alg` names."""
    answer.issuer_payload["_sd_alg"] = "sha-512"
    answer.issuer_payload["_sd"], answer.disclosures = [], []


ROWS: Rows = {
    "KB-02": {
        "no prefix": (aud_without_prefix, "key_binding_audience"),
        "response_uri": (aud_of_the_response, "key_binding_audience"),
        "issuer": (aud_of_the_issuer, "key_binding_audience"),
        "other verifier": (
            setting("binding_payload", aud="x509_hash:" + b64(bytes(32))), "key_binding_audience"
        ),
        "list": (aud_list, "key_binding_audience"),
        "missing": (setting("binding_payload", aud=None), "key_binding_audience"),
    },
    "KB-03": {
        "wrong": (setting("binding_payload", nonce="x" * 43), "key_binding_nonce"),
        "missing": (setting("binding_payload", nonce=None), "key_binding_nonce"),
        "empty": (setting("binding_payload", nonce=""), "key_binding_nonce"),
        "number": (setting("binding_payload", nonce=7), "key_binding_nonce"),
        "case": (nonce_in_another_case, "key_binding_nonce"),
        "of another login": (nonce_of_another_login, "key_binding_nonce"),
    },
    "KB-04": {
        "wrong": (setting("binding_payload", sd_hash=digest("x")), "key_binding_hash"),
        "missing": (setting("binding_payload", sd_hash=None), "key_binding_hash"),
        "of others": (swapped_disclosures, "key_binding_hash"),
        "without the last tilde": (sd_hash_without_the_last_tilde, "key_binding_hash"),
        "other hash": (sd_hash_by_another_hash, "key_binding_hash"),
    },
    "KB-06": {
        "last year": (at("binding_payload", "iat", -YEAR_S), "key_binding_time"),
        "next year": (at("binding_payload", "iat", YEAR_S), "key_binding_time"),
        "seven minutes ago": (at("binding_payload", "iat", -420), "key_binding_time"),
        "in seven minutes": (at("binding_payload", "iat", 420), "key_binding_time"),
        "missing": (setting("binding_payload", iat=None), "key_binding_time"),
        "text": (setting("binding_payload", iat="now"), "key_binding_time"),
        "true": (setting("binding_payload", iat=True), "key_binding_time"),
        "float": (at("binding_payload", "iat", 0.5), "key_binding_time"),
        "1e30": (setting("binding_payload", iat=1e30), "key_binding_time"),
    },
    "KB-07": {
        "other": (setting("binding_header", typ="JWT"), "key_binding_type"),
        "of the issuer": (setting("binding_header", typ="dc+sd-jwt"), "key_binding_type"),
        "missing": (setting("binding_header", typ=None), "key_binding_type"),
        "list": (setting("binding_header", typ=["kb+jwt"]), "key_binding_type"),
    },
    "KB-09": {
        "none": (setting("binding_header", alg="none"), "algorithm"),
        "HS256": (hs256_binding, "algorithm"),
        "RS256": (binding(lambda token: b64(b'{"alg":"RS256","typ":"kb+jwt"}') + token[token.index("."):]),
                  "algorithm"),
        "ES384": (binding(lambda token: b64(b'{"alg":"ES384","typ":"kb+jwt"}') + token[token.index("."):]),
                  "algorithm"),
        "flipped": (binding(flipped), "key_binding_signature"),
        "by another": (putting(holder_key=stranger), "key_binding_signature"),
        "unbound": (putting(bound=False), "key_binding_missing"),
        "garbage": (binding(lambda _: "a.b"), "malformed"),
    },
    "KB-10": {
        "missing": (setting("issuer_payload", cnf=None), "holder_key"),
        "kid": (setting("issuer_payload", cnf={"kid": "x"}), "holder_key"),
        "jku": (setting("issuer_payload", cnf={"jku": "http://127.0.0.2:1/jwks", "kid": "x"}), "holder_key"),
        "jku beside": (setting("issuer_payload", cnf={"jwk": PUBLIC, "jku": "http://127.0.0.2:1/"}), "holder_key"),
        "x5u": (setting("issuer_payload", cnf={"x5u": "http://127.0.0.2:1/x"}), "holder_key"),
        "private": (setting("issuer_payload", cnf={"jwk": {**PUBLIC, "d": "AA"}}), "holder_key"),
        "symmetric": (setting("issuer_payload", cnf={"jwk": {"kty": "oct", "k": "AAAA"}}), "holder_key"),
        "off curve": (setting("issuer_payload", cnf={"jwk": {**PUBLIC, "x": b64(bytes(32))}}), "holder_key"),
        "at infinity": (
            setting("issuer_payload", cnf={"jwk": {**PUBLIC, "x": b64(bytes(32)), "y": b64(bytes(32))}}), "holder_key"
        ),
        "short": (setting("issuer_payload", cnf={"jwk": {**PUBLIC, "x": "AA"}}), "holder_key"),
        "for encryption": (setting("issuer_payload", cnf={"jwk": {**PUBLIC, "use": "enc"}}), "holder_key"),
        "text": (setting("issuer_payload", cnf="x"), "holder_key"),
    },
    "KB-11": {"own jwk": (own_jwk_binding, "key_binding_signature")},
}  # fmt: skip

CASES = cases(ROWS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_row_holds(court: Court, case: Case) -> None:
    court.judge(case)
