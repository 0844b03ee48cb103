"""Where the processor time of an operation goes: sign-ins through an application in this process, under a profiler."""

from __future__ import annotations

import cProfile
import pstats
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from tests.bench import figures
from tests.bench.v.candidates import Place, house
from tests.crowd import Answer, Line
from tests.deployed import Deployment

PAGE, TOKEN, USERINFO, REST = "authorize → page", "code → tokens", "UserInfo", "every other step"
PARTS = {
    "the kernel: sockets": re.compile(
        r"_socket\.socket|_send_query|psycopg.*:\w+\.wait|/select(ors)?\.py|epoll|/selectors"
    ),
    "signatures, ciphers, digests": re.compile(
        r"/cryptography/|cryptography\.hazmat|_hashlib|/joserfc/|/hashlib|_hmac|/hmac"
    ),
    "SQLAlchemy": re.compile(r"/sqlalchemy/|/flask_sqlalchemy/"),
    "psycopg": re.compile(r"/psycopg"),
    "the Redis client": re.compile(r"/redis/"),
    "templates": re.compile(r"/jinja2/|/markupsafe/|/templates/|/idp/views/language"),
    "Flask, Werkzeug": re.compile(r"/flask/|/werkzeug/"),
    "Sinwon": re.compile(r"/idp/"),
}
OTHER = "Python's library and the rest"
_Function = tuple[str, int, str]


@dataclass(frozen=True)
class Profile:
    """Of each operation: how often it was done, and microseconds of each part of one, as the profiler slows them."""

    number: int
    spent_us: Mapping[str, Mapping[str, float]]

    def share_of(self, operation: str) -> float:
        """In per cent of a whole sign-in."""
        whole = sum(sum(spent.values()) for spent in self.spent_us.values())
        return 100 * sum(self.spent_us[operation].values()) / whole

    def share(self, operation: str, part: str) -> float:
        """In per cent of the operation."""
        spent = self.spent_us[operation]
        return 100 * spent.get(part, 0.0) / sum(spent.values())


def measure(place: Place, number: int = 40) -> Profile:
    """So many whole sign-ins, of people who were never here; as many again go before them and are not counted."""
    with house(place, "profiled") as (running, app, _):
        line = _Inside(running, app)
        with figures.place_of(running) as provider:
            holders = figures.holders(running, replace(provider, line=line), 2 * number)
            for holder in holders[:number]:
                holder.go()
            line.profiles.clear()
            for holder in holders[number:]:
                holder.go()
    spent = {
        operation: {part: 1e6 * seconds / number for part, seconds in _parts(profile).items()}
        for operation, profile in line.profiles.items()
    }
    return Profile(number, spent)


class _Inside(Line):
    """A line that ends in this process: the application is called, and what it does is written down."""

    def __init__(self, running: Deployment, app: Flask) -> None:
        super().__init__(running.prepared.issuer)
        self._app = app
        self.profiles: dict[str, cProfile.Profile] = defaultdict(partial(cProfile.Profile, time.thread_time))

    def send(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        environ = EnvironBuilder(
            path, base_url=self.url, method=method, data=body, headers=dict(headers or {})
        ).get_environ()
        profile = self.profiles[_operation(method, path)]
        profile.enable()
        try:
            chunks, status, given = run_wsgi_app(self._app, environ, buffered=True)
            content = b"".join(chunks)
        finally:
            profile.disable()
        return Answer(
            int(status.split()[0]),
            {name.lower(): value for name, value in given},
            tuple(given.getlist("Set-Cookie")),
            content,
        )


def _operation(method: str, path: str) -> str:
    where, _, query = path.partition("?")
    if method == "GET" and ((where == "/authorize" and query) or re.fullmatch("/login/[^/]+", where)):
        return PAGE
    return {"/token": TOKEN, "/userinfo": USERINFO}.get(where, REST)


def _parts(profile: cProfile.Profile) -> Counter[str]:
    """Seconds of each part. What is built in is whoever's who calls it, unless it has a part of its own."""
    spent: Counter[str] = Counter()
    stats: Mapping[_Function, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for function, (_, _, own_s, _, callers) in stats.items():
        if function[0] != "~" or _named([function]) != OTHER or not callers:
            spent[_named([function])] += own_s
            continue
        for caller, (_, _, there_s, _) in callers.items():
            spent[_named([function, caller])] += there_s
    return spent


def _named(functions: Iterable[_Function]) -> str:
    for file, _, name in functions:
        for part, pattern in PARTS.items():
            if pattern.search(f"{file}:{name}"):
                return part
    return OTHER
