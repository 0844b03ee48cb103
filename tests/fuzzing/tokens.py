"""The three tokens that portals sign: client assertions, request objects, DPoP proofs."""

from __future__ import annotations

import json
import random
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from joserfc.jwk import ECKey, OKPKey

from idp.seal import b64
from tests.credentials.mutants.strange import json_strange
from tests.crowd import FORM, Answer
from tests.fuzzing import jws
from tests.fuzzing.jws import BROKEN, Token, present
from tests.fuzzing.running import Mutant, Request
from tests.fuzzing.target import ASSERTING, PROVING, REDIRECT_URI, SIGNING, Target

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TYPES = ({"a": 1}, [], [1], True, "x", "", 1.5, 7, -1, 2**64)

Claims = dict[str, Any]
Wrong = Callable[["Signed", random.Random], Claims]


def past(chance: random.Random) -> int:
    return int(time.time()) - chance.choice([61, 300, 86_400, 10**9])


def future(chance: random.Random) -> int:
    return int(time.time()) + chance.choice([120, 7200, 86_400, 10**9])


class Signed:
    """A species of tokens: what a good one says, and by which claims one is wrong (None takes a claim away)."""

    name: str
    kid_counts = True
    wrong: Mapping[str, Wrong]

    def __init__(self, target: Target) -> None:
        self.target = target
        self.rules = (*BROKEN, *self.wrong, *(["kid"] if self.kid_counts else []))

    def token(self) -> Token:
        raise NotImplementedError

    def request(self, text: str) -> Request:
        raise NotImplementedError

    def accepted(self, answer: Answer) -> bool:
        raise NotImplementedError

    def mutant(self, chance: random.Random, rule: str | None = None) -> Mutant:
        token = self.token()
        if rule is None:
            kind = chance.random()
            if kind < 0.2:
                text, same = jws.blindly(token, chance)
                return Mutant("blind", self.request(text), may_pass=same)
            if kind < 0.3:
                return Mutant("free", self.request(jws.freely(token, chance)), may_pass=True)
            rule = chance.choice(self.rules)
        return Mutant(rule, self.request(self._broken(rule, token, chance)))

    def _broken(self, rule: str, token: Token, chance: random.Random) -> str:
        if rule in BROKEN:
            return BROKEN[rule](token, chance)
        if rule == "kid":
            return jws.kid(token, chance)
        claims = present({**token.claims, **self.wrong[rule](self, chance)})
        return token.text(payload=claims)


def another_audience(species: Signed, chance: random.Random) -> Claims:
    issuer = species.target.issuer
    near = [
        issuer + "/",
        issuer + "/authorize",
        issuer.upper(),
        issuer[:-1],
        issuer.replace("http", "https"),
        "",
    ]
    return {
        "aud": chance.choice(
            [*near, "https://other.example", [], [1], {issuer: 1}, 7, True, None, ["x", "y"]]
        )
    }


class Assertions(Signed):
    """Client assertions at the token endpoint, with a code that nobody has: who is let in hears of the code."""

    name = "assertions"
    wrong: Mapping[str, Wrong] = {
        "iss": lambda _, chance: {"iss": chance.choice([None, "gov24", "", ASSERTING.upper(), *TYPES])},
        "sub": lambda _, chance: {
            "sub": chance.choice([None, "gov24", "nobody", "", ASSERTING + "\0", *TYPES])
        },
        "aud": another_audience,
        "aud_beside": lambda self, _: {"aud": [self.target.issuer, "https://other.example"]},
        "exp": lambda _, chance: {
            "exp": chance.choice([None, past(chance), future(chance) + 10**5, *TYPES[:6], "123"])
        },
        "nbf": lambda _, chance: {"nbf": chance.choice([future(chance), "now", [], {}, 1e300])},
        "iat": lambda _, chance: {"iat": chance.choice([future(chance), "now", [], {}, 1e300])},
        "jti": lambda _, chance: {
            "jti": chance.choice([None, "", 7, [], {}, True, "x" * chance.randint(257, 5000)])
        },
    }

    def token(self) -> Token:
        now = int(time.time())
        claims = {
            "iss": ASSERTING,
            "sub": ASSERTING,
            "aud": self.target.issuer,
            "jti": secrets.token_urlsafe(12),
            "iat": now,
            "exp": now + 60,
        }
        return Token(
            {"alg": "ES256", "kid": "signs"}, claims, self.target.keys.asserting, self.target.elsewhere.url
        )

    def request(self, text: str) -> Request:
        form = {
            "grant_type": "authorization_code",
            "code": "x" * 43,
            "redirect_uri": REDIRECT_URI,
            "client_assertion_type": JWT_BEARER,
            "client_assertion": text,
        }
        body = urlencode(form, errors="surrogatepass").encode()
        return Request("POST", "/token", body, tuple(FORM.items()))

    def accepted(self, answer: Answer) -> bool:
        return answer.status == 200 or b"invalid_grant" in answer.body


def another_redirect(_: Signed, chance: random.Random) -> Claims:
    near = [
        REDIRECT_URI + "/",
        REDIRECT_URI + "?x=1",
        REDIRECT_URI + "#x",
        REDIRECT_URI.upper(),
        REDIRECT_URI[:-1],
        "https://portal.example@evil.example/callback",
        "https://portal.example.evil.example/callback",
        "https://portal.example/callback/../x",
        "https://portal.example:443/callback",
        "javascript:alert(1)",
        "https://portal.example%2ecallback",
        "//portal.example/callback",
        "",
        "http://portal.example/callback",
    ]
    return {"redirect_uri": chance.choice([*near, [REDIRECT_URI], {"a": REDIRECT_URI}, 7, None])}


class RequestObjects(Signed):
    """Signed requests at the authorization endpoint: a sign-in begins, or it does not."""

    name = "request_objects"
    wrong: Mapping[str, Wrong] = {
        "iss": lambda _, chance: {"iss": chance.choice([None, "gov24", "", *TYPES])},
        "aud": another_audience,
        "client_id": lambda _, chance: {"client_id": chance.choice(["gov24", "", SIGNING.upper(), *TYPES])},
        "sub": lambda _, __: {"sub": SIGNING},
        "exp": lambda _, chance: {"exp": chance.choice([past(chance), "now", [], {}, True, 1e300])},
        "nbf": lambda _, chance: {"nbf": chance.choice([future(chance), "now", [], {}, True, 1e300])},
        "inside": lambda self, chance: {
            chance.choice(["request", "request_uri"]): chance.choice(["x", self.target.elsewhere.url])
        },
        "redirect_uri": another_redirect,
        "response_type": lambda _, chance: {
            "response_type": chance.choice(
                [None, "token", "id_token", "code token", "none", "vp_token", "CODE", "", *TYPES[:5]]
            )
        },
        "response_mode": lambda _, chance: {
            "response_mode": chance.choice(["fragment.x", "web_message", "x", [], {"a": 1}])
        },
        "scope": lambda _, chance: {
            "scope": chance.choice(
                [None, "profile", "openid\0", "OPENID", "openid,profile", "", "openid kr_passport", "\u00e9"]
            )
        },
        "pkce": lambda _, chance: chance.choice(
            [
                {"code_challenge": None},
                {"code_challenge_method": "plain"},
                {"code_challenge_method": None},
                {"code_challenge": "x"},
                {"code_challenge": "é" * 43},
            ]
        ),
        "prompt": lambda _, chance: {
            "prompt": chance.choice(["none login", "none", "x none", "select_account none"])
        },
        "max_age": lambda _, chance: {"max_age": chance.choice([-1, "-1", "1.5", "x", 10**12, "1e3"])},
        "claims": lambda _, chance: {
            "claims": chance.choice(["{", [], "x", 7, {"id_token": []}, {"userinfo": {"name": 7}}])
        },
    }

    def token(self) -> Token:
        now = int(time.time())
        claims = {
            "iss": SIGNING,
            "aud": self.target.issuer,
            "exp": now + 300,
            "nbf": now,
            "client_id": SIGNING,
            "response_type": "code",
            "redirect_uri": REDIRECT_URI,
            "scope": "openid profile",
            "state": "s",
            "nonce": "n",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
        }
        header = {"alg": "ES256", "kid": "asks", "typ": "oauth-authz-req+jwt"}
        return Token(header, claims, self.target.keys.signing, self.target.elsewhere.url)

    def request(self, text: str) -> Request:
        query = urlencode({"client_id": SIGNING, "request": text}, errors="surrogatepass")
        if len(query) > 12_000:  # a longer request line is not read
            return Request("POST", "/authorize", query.encode(), tuple(FORM.items()))
        return Request("GET", f"/authorize?{query}")

    def accepted(self, answer: Answer) -> bool:
        return answer.status == 303 and answer.location.startswith("/login/")


class Proofs(Signed):
    """DPoP proofs at the token endpoint, with a code that nobody has."""

    name = "proofs"
    kid_counts = False
    wrong: Mapping[str, Wrong] = {
        "htm": lambda _, chance: {"htm": chance.choice([None, "GET", "post", "POST ", "", *TYPES])},
        "htu": lambda self, chance: {
            "htu": chance.choice(
                [
                    None,
                    self.target.issuer,
                    f"{self.target.issuer}/userinfo",
                    f"{self.target.issuer}/token/",
                    "https://other.example/token",
                    "",
                    "token",
                    "http://[",
                    *TYPES,
                ]
            )
        },
        "iat": lambda _, chance: {
            "iat": chance.choice([None, past(chance), future(chance), "now", [], {}, True])
        },
        "jti": lambda _, chance: {"jti": chance.choice([None, "", [], {}, True, 7])},
        "nonce": lambda _, chance: {"nonce": chance.choice([None, "", "x" * 43, "é", 7, [], {}, True])},
        "times": lambda _, chance: chance.choice([{"exp": past(chance)}, {"nbf": future(chance)}]),
    }
    _RENEW_S = 60

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.rules = (*self.rules, "typ", "jwk")
        self.key = ECKey.generate_key("P-256")
        self.weak = {"kty": "RSA", "n": b64(b"\xc1" + secrets.token_bytes(126) + b"\x01"), "e": "AQAB"}
        self.other = OKPKey.generate_key("X25519")
        self._nonce, self._nonce_until = "", 0.0

    def token(self) -> Token:
        claims = {
            "jti": secrets.token_urlsafe(12),
            "htm": "POST",
            "htu": f"{self.target.issuer}/token",
            "iat": int(time.time()),
            "nonce": self.nonce(),
        }
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        return Token(header, claims, self.key, self.target.elsewhere.url)

    def nonce(self) -> str:
        """One of the provider's, younger than it may be."""
        if time.monotonic() > self._nonce_until:
            asked = self.request("?")
            answer = self.target.line.send(asked.method, asked.path, asked.body, dict(asked.headers))
            self._nonce, self._nonce_until = answer.headers["dpop-nonce"], time.monotonic() + self._RENEW_S
        return self._nonce

    def _broken(self, rule: str, token: Token, chance: random.Random) -> str:
        if rule == "typ":
            return token.text(
                present({**token.header, "typ": chance.choice([None, "JWT", "dpop", "DPOP+JWT", 7, []])})
            )
        if rule == "jwk":
            return token.text(present({**token.header, "jwk": self._no_key(chance)}))
        return super()._broken(rule, token, chance)

    def _no_key(self, chance: random.Random) -> Any:
        good = self.key.as_dict(private=False)
        return chance.choice(
            [
                None,
                self.key.as_dict(private=True),
                {"kty": "oct", "k": good["x"]},
                self.weak,
                self.other.as_dict(private=False),
                {**good, "crv": "P-384"},
                {**good, "x": good["y"], "y": good["x"]},
                {**good, "y": "AA"},
                {**good, "x": None},
                {name: value for name, value in good.items() if name != "crv"},
                [good],
                {"keys": [good]},
                json.dumps(good),
                json_strange(chance),
            ]
        )

    def request(self, text: str) -> Request:
        form = {
            "grant_type": "authorization_code",
            "code": "x" * 43,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": "y" * 43,
        }
        headers = {
            **FORM,
            "Authorization": self.target.client(PROVING).authorization,
            # A client that speaks HTTP cannot send the rest; `raw` sends what is none.
            "DPoP": re.sub(r"[^\x20-\x7e]|^ | $", "?", text),
        }
        return Request("POST", "/token", urlencode(form).encode(), tuple(headers.items()))

    def accepted(self, answer: Answer) -> bool:
        return answer.status == 200 or b"invalid_grant" in answer.body
