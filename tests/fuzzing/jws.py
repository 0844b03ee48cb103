"""Signed tokens that portals make: what is wrong with a header, a signature, a form or a payload whoever signs what.

A species of tokens says what a good one is and how it is sent; `broken` makes the token of one rule.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from hashlib import sha256, sha384, sha512
from hmac import digest as hmac_digest
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey

from idp.seal import b64
from tests.credentials.mutants import blind
from tests.credentials.mutants.strange import ORDERS, json_strange

ORDER = ORDERS["P-256"]


def as_json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def signed(header: Any, payload: Any, key: ECKey) -> str:
    """A compact JWS over these bytes or JSON, really made with ES256, whatever the header says."""
    unsigned = f"{b64(as_json(header))}.{b64(as_json(payload))}"
    return f"{unsigned}.{b64(jws.JWSRegistry.algorithms['ES256'].sign(unsigned.encode(), key))}"


def present(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without the members that are None."""
    return {name: value for name, value in members.items() if value is not None}


class Token:
    """A good token in its parts, and an address that must never be fetched."""

    def __init__(self, header: dict[str, Any], claims: dict[str, Any], key: ECKey, elsewhere: str) -> None:
        self.header, self.claims, self.key, self.elsewhere = header, claims, key, elsewhere
        self.stranger = ECKey.generate_key("P-256")

    def text(self, header: Any = None, payload: Any = None, key: ECKey | None = None) -> str:
        header = self.header if header is None else header
        return signed(header, self.claims if payload is None else payload, key or self.key)


Rule = Callable[[Token, random.Random], str]


def alg_none(token: Token, chance: random.Random) -> str:
    header = {**token.header, "alg": chance.choice(["none", "None", "NONE", "nOnE", "none ", ""])}
    unsigned = token.text(header).rpartition(".")[0]
    return f"{unsigned}.{chance.choice(['', b64(bytes(64)), token.text().rpartition('.')[2]])}"


def public_key_as_secret(token: Token, chance: random.Random) -> str:
    """What everybody knows of the key, in every form in which somebody might take it for a secret."""
    pem = token.key.as_pem(private=False)
    public = token.key.as_dict(private=False)
    der = token.key.raw_value.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    secret = chance.choice(
        [
            pem,
            pem.strip(),
            b"\n" + pem,
            pem.replace(b"\n", b"\r\n"),
            der,
            json.dumps(public).encode(),
            as_json(public),
            public["x"].encode(),
            b"",
            b"\0",
        ]
    )
    alg, hashing = chance.choice([("HS256", sha256), ("HS384", sha384), ("HS512", sha512)])
    unsigned = token.text({**token.header, "alg": alg}).rpartition(".")[0]
    return f"{unsigned}.{b64(hmac_digest(secret, unsigned.encode(), hashing().name))}"


def another_alg(token: Token, chance: random.Random) -> str:
    names = [
        "ES384",
        "ES512",
        "ES256K",
        "RS256",
        "RS1",
        "PS512",
        "EdDSA",
        "es256",
        "ES256 ",
        "ES256\0",
        "HS256",
    ]
    alg = chance.choice([*names, 7, True, ["ES256"], {"ES256": 1}, None, "x" * 3000])
    return token.text(present({**token.header, "alg": alg}))


def stranger(token: Token, chance: random.Random) -> str:
    """Another key's, which the header offers in one of the ways in which headers can."""
    public = {**token.stranger.as_dict(private=False), "kid": token.header.get("kid", "stranger")}
    offered = chance.choice(
        [
            {},
            {"jwk": public},
            {"jku": token.elsewhere},
            {"x5u": token.elsewhere},
            {"x5c": [b64(chance.randbytes(80))]},
            {"jwk": public, "jku": token.elsewhere, "kid": None},
            {"x5t": b64(chance.randbytes(20)), "x5t#S256": b64(chance.randbytes(32))},
        ]
    )
    if "jwk" in token.header:  # there the key is in the header by right
        offered.pop("jwk", None)
    return token.text(present({**token.header, **offered}), key=token.stranger)


def critical(token: Token, chance: random.Random) -> str:
    extension = chance.choice(
        [
            {"crit": ["x"], "x": 1},
            {"crit": ["exp"], "exp": 1},
            {"crit": ["b64"], "b64": False},
            {"crit": ["b64"], "b64": True},
            {"b64": False},
            {"crit": []},
            {"crit": "exp"},
            {"crit": [1]},
            {"crit": None, "b64": "x"},
            {"crit": ["alg"]},
        ]
    )
    return token.text(present({**token.header, **extension}))


def signature(token: Token, chance: random.Random) -> str:
    body, _, encoded = token.text().rpartition(".")
    good = blind.unb64(encoded)
    r, s = good[:32], good[32:]
    wrong = chance.choice(
        [
            b"",
            bytes(64),
            bytes(32) + s,
            r + bytes(32),
            r + ORDER.to_bytes(32, "big"),
            ORDER.to_bytes(32, "big") + s,
            good[:63],
            good + b"\0",
            b"\0" + good,
            s + r,
            good[::-1],
            bytes([good[0] ^ 1 << chance.randrange(8)]) + good[1:],
            chance.randbytes(64),
            chance.randbytes(chance.randrange(200)),
            b"\x30\x45\x02\x20" + r + b"\x02\x21\0" + s,
        ]
    )
    return f"{body}.{b64(wrong)}"


def spelling(token: Token, chance: random.Random) -> str:
    """The same bytes, spelled in a way that base64url in JOSE does not have."""
    parts = token.text().split(".")
    at = chance.randrange(3)
    odd = parts[at][-1]
    alphabet = blind.BASE64URL
    loose = len(parts[at]) % 4
    spelled = [
        parts[at] + "=",
        parts[at] + "==",
        parts[at] + "\n",
        " " + parts[at],
        parts[at] + "%3D",
        parts[at][:2] + "\n" + parts[at][2:],
    ]
    if loose:  # bits that count for nothing
        spelled.append(parts[at][:-1] + alphabet[alphabet.index(odd) ^ 1])
    parts[at] = chance.choice(spelled)
    return ".".join(parts)


def structure(token: Token, chance: random.Random) -> str:
    good = token.text()
    header, payload, made = good.split(".")
    return chance.choice(
        [
            f"{header}.{payload}",
            f"{good}.",
            f"{good}.{made}",
            f"{good}..",
            f".{good}",
            f"{header}..{made}",
            f".{payload}.{made}",
            "..",
            "." * chance.randrange(1, 9000),
            header,
            good * 2,
            f"{good},{good}",
            f"Bearer {good}",
            good.replace(".", "~"),
            good.swapcase(),
        ]
    )


def other_serialisation(token: Token, chance: random.Random) -> str:
    header, payload, made = token.text().split(".")
    one = {"protected": header, "signature": made}
    flat = {"payload": payload, **one}
    return json.dumps(
        chance.choice(
            [
                flat,
                {"payload": payload, "signatures": [one]},
                {"payload": payload, "signatures": []},
                {"payload": payload},
                {"payload": payload, "signatures": [{"header": token.header, "signature": made}]},
                [flat],
            ]
        )
    )


def payload_form(token: Token, chance: random.Random) -> str:
    """Signed as it should be, and no JSON object that has one meaning."""
    good = as_json(token.claims)
    name = as_json(chance.choice(list(token.claims)))
    deep = chance.choice([40, 3000])
    form = chance.choice(
        [
            b"[]",
            b"null",
            b'"x"',
            b"7",
            b"",
            b" ",
            b"[" + good + b"]",
            b"{" + name + b":1," + good[1:],
            good[:-1] + b"," + name + b":null}",
            good[:-1] + b',"a":NaN}',
            good[:-1] + b',"a":Infinity}',
            good[:-1] + b',"a":' + b"9" * 5000 + b"}",
            good[:-1] + b',"a":1e400}',
            good[:-1] + b',"a":' + b"[" * deep + b"]" * deep + b"}",
            good[:-1] + b',"a":"\xff"}',
            good[:-1] + b',"a":"\\ud800"}',
            good[:-1] + b",}",
            good[:-1] + b',"a":01}',
            b"\xef\xbb\xbf" + good,
            good + b"x",
            good + good,
            good.decode().encode("utf-16"),
            good.replace(b'"', b"'"),
            b"/**/" + good,
        ]
    )
    return token.text(payload=form)


def header_form(token: Token, chance: random.Random) -> str:
    good = as_json(token.header)
    form = chance.choice(
        [
            b"[]",
            b"null",
            b"",
            b'{"alg":"none",' + good[1:],
            good[:-1] + b',"alg":"ES256"}',
            good[:-1] + b',"alg":"none"}',
            good[:-1] + b',"x":NaN}',
            good[:-1] + b',"x":"' + b"x" * 20_000 + b'"}',
            good[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}",
            good[:-1] + b',"x":"\xff"}',
            good.decode().encode("utf-16"),
            good + b" x",
        ]
    )
    return token.text(form)


BROKEN: Mapping[str, Rule] = {
    "alg_none": alg_none,
    "public_key_as_secret": public_key_as_secret,
    "another_alg": another_alg,
    "stranger": stranger,
    "critical": critical,
    "signature": signature,
    "spelling": spelling,
    "structure": structure,
    "other_serialisation": other_serialisation,
    "payload_form": payload_form,
    "header_form": header_form,
}


def kid(token: Token, chance: random.Random) -> str:
    """A name that no registered key has."""
    names = ["nobody", "../../etc/passwd", "' OR 1=1 --", "\0", "x" * 2000, "", "0", "가", "{}", "key\n"]
    return token.text({**token.header, "kid": chance.choice([*names, 7, ["x"], {"a": 1}, True])})


def blindly(token: Token, chance: random.Random) -> tuple[str, bool]:
    """A token of which text or bytes were changed, and whether it still says what was signed."""
    good, other = token.text(), token.text(key=token.stranger)
    if chance.random() < 0.5:
        changed = blind.text(chance, good, other)
    else:
        parts = good.split(".")
        at = chance.randrange(3)
        parts[at] = b64(blind.data(chance, blind.unb64(parts[at]), blind.unb64(other.split(".")[at])))
        changed = ".".join(parts)
    return changed, _meaning(changed) == _meaning(good)


def _meaning(text: str) -> tuple[str, bytes, int] | str:
    """What is signed and by what, for the two signatures (r, s) and (r, n - s) that say the same."""
    said, _, made = text.strip().rpartition(".")
    try:
        raw = blind.unb64(made)
    except ValueError:
        return text
    if len(raw) != 64:
        return text
    s = int.from_bytes(raw[32:], "big")
    return said, raw[:32], min(s, ORDER - s)


def freely(token: Token, chance: random.Random) -> str:
    """Claims or header of any shape, signed: to be read and judged, whatever comes of it."""
    if chance.random() < 0.7:
        changed = blind.tree(chance, [token.claims], [token.header], lambda: json_strange(chance))
        return token.text(payload=json.dumps(changed[0] if changed else None).encode())
    changed = blind.tree(chance, [token.header], [token.claims], lambda: json_strange(chance))
    return token.text(json.dumps(changed[0] if changed else None).encode())
