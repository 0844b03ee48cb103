"""Forms of every door: fields repeated, renamed, moved and made strange, in encodings that are nearly right.

What each form asks for cannot be had: it has a code that nobody was given, a token of no page, a stranger's address.
No change of the others may get it.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, urlsplit

from idp.demo import personas
from tests.credentials.mutants import blind
from tests.crowd import Answer, Client, Holder, _found
from tests.fuzzing.corpus import Seed, seeds, values
from tests.fuzzing.running import Mutant, Request
from tests.fuzzing.target import Target

Fields = list[tuple[str, str]]
LOGIN_LIVES_S = 240
TYPES = (
    "application/x-www-form-urlencoded; charset=utf-16",
    "application/x-www-form-urlencoded;charset=utf-7",
    "application/json",
    "text/plain",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/jwt",
    "",
    "x",
    "application/x-www-form-urlencoded, application/json",
)


class Seeded:
    """What starts from the corpus: places filled in, with a login of this browser for those that need one."""

    kind: str

    def __init__(self, target: Target) -> None:
        self.target = target
        self.seeds = {seed.name: seed for seed in seeds(self.kind)}
        self.rules: Sequence[str] = tuple(self.seeds)
        self._known: dict[str, str] = {}
        self._until = 0.0
        self._sent: Seed | None = None

    def seed(self, name: str) -> Seed:
        """The message, ready to be changed."""
        if time.monotonic() > self._until:
            self._known, self._until = self._begin(), time.monotonic() + LOGIN_LIVES_S
        self._sent = self.seeds[name].filled(self._known)
        return self._sent

    def accepted(self, answer: Answer) -> bool:
        assert self._sent is not None
        return self._sent.is_accepted(answer)

    def _begin(self) -> dict[str, str]:
        client: Client = self.target.client()
        holder = Holder(self.target.place, client, personas.invented(2))
        holder.issue()
        holder.begin()
        page = holder.open(holder.login_url).text
        holder.look()
        holder.fetch()
        assert holder.asked is not None and holder.link is not None
        return {
            "basic": client.authorization,
            "cookie": "; ".join(f"{name}={value}" for name, value in holder.cookies.items()),
            "login": holder.login_url,
            "login_id": holder.login_url.rpartition("/")[2],
            "csrf": _found(r'name="csrf" value="([^"]+)"', page),
            "response": urlsplit(holder.asked.response_uri).path,
            "request": urlsplit(holder.link.request_uri).path,
            "state": holder.asked.state or "",
            "elsewhere": self.target.elsewhere.url,
            "elsewhere_tls": self.target.elsewhere.url.replace("http:", "https:"),
            "invitation": self.target.invitation,
            "reader": self.target.reader,
        }


class Forms(Seeded):
    name = kind = "forms"

    def mutant(self, chance: random.Random, rule: str | None = None) -> Mutant:
        name = rule or chance.choice(self.rules)
        seed = self.seed(name)
        fields = parse_qsl(seed.body or urlsplit(seed.path).query, keep_blank_values=True)
        for _ in range(chance.choice([0, 1, 1, 2, 4])):
            fields = changed(chance, fields)
        body = encoded(chance, fields)
        if chance.random() < 0.15:
            body = blind.data(chance, body or b"x", seed.body.encode() or b"y")
        headers = dict(seed.headers)
        if chance.random() < 0.1:
            headers["Content-Type"] = chance.choice(TYPES)
        if chance.random() < 0.05:
            headers["Content-Encoding"] = chance.choice(["gzip", "deflate", "br", "x"])
        path = seed.path
        if seed.method == "GET":
            return Mutant(name, Request("GET", with_query(path, body), b"", tuple(headers.items())))
        if chance.random() < 0.1:  # some of it where it does not belong
            path = with_query(path, body)
            body = b"" if chance.random() < 0.5 else body
        method = seed.method if chance.random() > 0.03 else chance.choice(["PUT", "PATCH", "DELETE", "GET"])
        # By another method nothing is done; a page that sends its reader on answers as if it were.
        asked = Request(method, path, body, tuple(headers.items()))
        return Mutant(name, asked, may_pass=method != seed.method)


def changed(chance: random.Random, fields: Fields) -> Fields:
    """The fields with one thing changed."""
    if not fields:
        return [(chance.choice(values()), chance.choice(values()))]
    at, there = chance.randrange(len(fields)), chance.randrange(len(fields))
    name, value = fields[at]
    strange = chance.choice(values())
    made: list[Fields] = [
        [*fields[:at], *fields[at + 1 :]],
        [*fields, fields[at]],
        [*fields, (name, strange)],
        [(name, strange), *fields],
        [*fields[:at], (name, strange), *fields[at + 1 :]],
        [*fields[:at], (name, value + strange), *fields[at + 1 :]],
        [*fields[:at], (name, strange + value), *fields[at + 1 :]],
        [*fields[:at], (name, fields[there][1]), *fields[at + 1 :]],
        [*fields[:at], (name.upper(), value), *fields[at + 1 :]],
        [*fields[:at], (f"{name}[]", value), *fields[at + 1 :]],
        [*fields[:at], (strange, value), *fields[at + 1 :]],
        [*fields, (strange, strange)],
        [*fields, *((f"f{number}", "x") for number in range(chance.choice([10, 1200])))],
        [*fields[:at], (name, value * chance.choice([0, 2, 50])), *fields[at + 1 :]],
        [*fields[:at], (name, strange * chance.choice([100, 4000])), *fields[at + 1 :]],
        chance.sample(fields, len(fields)),
    ]
    return chance.choice(made)


def encoded(chance: random.Random, fields: Fields) -> bytes:
    """The fields as a form, now and then in a spelling of its own."""
    safe = chance.choice(["", "", "", "/:", "=", "%", " \0"])
    join = chance.choice(["&"] * 12 + [";", "&&", "&amp;", "\n", ",", "&="])
    equals = chance.choice(["="] * 15 + ["", "==", "%3D"])

    def one(text: str) -> str:
        return quote(text, safe=safe, errors="surrogatepass")

    return join.join(f"{one(name)}{equals}{one(value)}" for name, value in fields).encode("utf-8", "replace")


def with_query(path: str, query: bytes) -> str:
    """A path with a query that a client can send: what no request line may hold stays encoded."""
    text = re.sub(r"[^\x21-\x7e]", lambda match: quote(match[0], errors="replace"), query.decode("latin-1"))
    return f"{path.partition('?')[0]}?{text[:12_000]}"
