"""R3 and R4: what may be used once, used by thousands at once, also while Redis or PostgreSQL fails in the middle."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

from sqlalchemy import create_engine, text

from tests.crowd import FORM, Holder, Unexpected
from tests.faults.crowd import Crowd, Forgetful, Person
from tests.faults.house import DATABASE, House
from tests.faults.result import Result
from tests.faults.signing import Signing, walk
from tests.faults.storm import Reply, request, statuses, storm

Made = tuple[list[bytes], Callable[[list[Reply]], int]]
_LONG_S = 600.0


KINDS = (
    "code",
    "refresh_token",
    "assertion",
    "dpop_proof",
    "consent",
    "last_step",
    "response_code",
    "nonce",
    "request_uri",
)
LASTING = ("code", "refresh_token", "assertion", "dpop_proof", "last_step", "nonce")
"""Those whose use must be remembered across a failure."""


@dataclass(frozen=True)
class Size:
    """attempts: at one object of each of the `kinds`; then `each` at each of `objects`."""

    attempts: int = 10_000
    objects: int = 1000
    each: int = 10
    kinds: tuple[str, ...] = KINDS


class Racer:
    """Makes things that may be used once, and says of a storm of uses how many succeeded."""

    def __init__(self, house: House, crowd: Crowd) -> None:
        self.house = house
        self.crowd = crowd
        self._at = 0

    def holder(self, *, signed: bool = False) -> Holder:
        """Somebody who has not begun; `signed`: at the portal that signs and binds its tokens."""
        self._at += 1
        person: Person = self.crowd.folk[self._at % len(self.crowd.folk)]
        line = self.crowd.line
        line.here.until, line.here.retried = time.monotonic() + _LONG_S, 0
        if signed:
            signing = Signing(
                self.crowd.place, self.house.signer.client, person.persona, credential=person.credential
            )
            signing.signer = self.house.signer
            return signing
        return Forgetful(self.crowd.place, self.house.racing, person.persona, credential=person.credential)

    # -- one kind each: the requests, all for one object, and which replies are a success -----------------------

    def code(self, n: int) -> Made:
        holder = self.holder().go("finish")
        form = {
            "grant_type": "authorization_code",
            "code": holder.code,
            "redirect_uri": holder.client.redirect_uri,
            "code_verifier": holder.verifier,
        }
        once = request("POST", "/token", form, {"Authorization": holder.client.authorization})

        def won(replies: list[Reply]) -> int:
            winners = [reply.json for reply in replies if reply.status == 200]
            self._are_dead([winner["access_token"] for winner in winners] if n > 1 else [])
            return len(winners)

        return [once] * n, won

    def refresh_token(self, n: int) -> Made:
        holder = self.holder().go("redeem")
        form = {"grant_type": "refresh_token", "refresh_token": holder.tokens["refresh_token"]}
        once = request("POST", "/token", form, {"Authorization": holder.client.authorization})

        def won(replies: list[Reply]) -> int:
            winners = [reply.json for reply in replies if reply.status == 200]
            self._are_dead([winner["access_token"] for winner in winners] if n > 1 else [])
            return len(winners)

        return [once] * n, won

    def assertion(self, n: int) -> Made:
        form = {"token": "x", **self.house.signer.credentials()}
        return [request("POST", "/introspect", form)] * n, _n_ok

    def dpop_proof(self, n: int) -> Made:
        holder = self.holder(signed=True).go("redeem")
        token = holder.tokens["access_token"]
        proof = self.house.signer.proof(self.crowd.line, "/userinfo", "GET", token)
        once = request("GET", "/userinfo", None, {"Authorization": f"DPoP {token}", "DPoP": proof})
        return [once] * n, _n_ok

    def consent(self, n: int) -> Made:
        """The form is sent many times; what counts is how often it is recorded, once the login is finished."""
        holder = self.holder().go("read_consent")
        form = dict([*holder.consent_form, ("decision", "agree")])
        once = request("POST", holder.consent, form, _cookies(holder))

        def won(replies: list[Reply]) -> int:
            holder.consent = next(reply.headers["location"] for reply in replies if reply.status == 303)
            holder.finish()
            return self._events(holder, "consent.given")

        return [once] * n, won

    def last_step(self, n: int) -> Made:
        """A login buys one code: however often its last address is opened, there is one."""
        holder = self.holder().go("agree")

        def won(replies: list[Reply]) -> int:
            found = {_code(reply) for reply in replies if reply.status == 303} - {""}
            with suppress(Unexpected):  # the Store was emptied: nothing comes any more
                holder.finish()
                found.add(holder.code)
            return len(found)

        return [request("GET", _local(holder.consent), None, _cookies(holder))] * n, won

    def response_code(self, n: int) -> Made:
        """Brought by the wallet into its own browser it may be loaded twice, and leads to one code."""
        holder = self.holder().go("show")

        def won(replies: list[Reply]) -> int:
            walk(holder, "come_back", "read_consent", "agree", "finish")
            return self._events(holder, "login.finished")

        return [request("GET", _local(holder.redirect_uri), None, _cookies(holder))] * n, won

    def nonce(self, n: int) -> Made:
        """One question, answered by different messages: one of them is taken, and the same one again is no other."""
        holder = self.holder().go("fetch")
        assert holder.asked is not None
        path = urlsplit(holder.asked.response_uri).path
        messages = [request("POST", path, holder.answer()) for _ in range(min(n, 20))]

        def won(replies: list[Reply]) -> int:
            taken = {number % len(messages) for number, reply in enumerate(replies) if reply.status == 200}
            return max(len(taken), self._events(holder, "presentation.accepted"))

        return [messages[number % len(messages)] for number in range(n)], won

    def request_uri(self, n: int) -> Made:
        """It may be opened in several tabs; one sign-in comes of it."""
        signer = self.house.signer
        verifier = secrets.token_urlsafe(48)
        pushed = self.crowd.line.send("POST", "/par", urlencode(signer.asking(verifier)), FORM)
        uri = json.loads(pushed.body)["request_uri"]
        holders = []
        for _ in range(min(n, 20)):
            holder = self.holder(signed=True)
            assert isinstance(holder, Signing)
            holder.open_pushed(uri)
            walk(holder, "look", "fetch", "show", "come_back", "read_consent", "agree")
            holders.append(holder)
        each = [request("GET", _local(holder.consent), None, _cookies(holder)) for holder in holders]

        def won(replies: list[Reply]) -> int:
            return len({_code(reply) for reply in replies if reply.status == 303} - {""})

        return [each[number % len(each)] for number in range(n)], won

    # -- what is looked at ---------------------------------------------------------------------------------------

    def _are_dead(self, tokens: list[str]) -> None:
        """What the winner bought was revoked by those who came second (decision D5)."""
        for token in tokens:
            answer = self.crowd.line.send("GET", "/userinfo", None, {"Authorization": f"Bearer {token}"})
            assert answer.status == 401, answer.status

    def _events(self, holder: Holder, name: str) -> int:
        login_id = holder.login_url.removeprefix("/login/").partition("/")[0]
        engine = create_engine(self.house.postgres.url(DATABASE))
        try:
            with engine.connect() as connection:
                found = text("SELECT count(*) FROM audit_event WHERE login_id = :id AND name = :name")
                return int(connection.scalar(found, {"id": login_id, "name": name}) or 0)
        finally:
            engine.dispose()


def measure(house: House, size: Size, command: str) -> Result:
    """Each kind, one object after the other."""
    result = Result("R3", "what may be used once, by thousands at once", command, "")
    racer = Racer(house, house.crowd("races"))
    n = 0
    undocumented = 0
    for kind in size.kinds:
        make = getattr(racer, kind)
        requests, won = make(size.attempts)
        replies = storm(house.ports, requests)
        wins = won(replies)
        named = kind.replace("_", " ")
        result.must(f"{named}: of {len(replies):,} at once ({_told(replies)})", wins, "1", met=wins == 1)
        others = 0
        for _ in range(size.objects):
            requests, won = make(size.each)
            storms = storm(house.ports, requests)
            others += won(storms) != 1
            replies += storms
        result.zero(f"{named}: of {size.each} at once, {size.objects:,} times, not exactly one", others)
        undocumented += _undocumented(replies)
        n += len(replies)
    result.zero("answers with 5xx other than 503 with Retry-After", undocumented)
    result.zero("exceptions in the logs that nobody had thought of", house.bugs())
    result.n = f"{n:,} attempts, {size.attempts:,} at one object and {size.each} at each of {size.objects:,}"
    return result


def measure_across_failures(house: House, size: Size, command: str) -> Result:
    """R4: the same, and in the middle of the storm something fails. Nobody may win whose prize was taken."""
    result = Result("R4", "what may be used once, across failures", command, "")
    racer = Racer(house, house.crowd("races-across-failures"))
    before: dict[bytes, tuple[bytes, int]] = {}
    faults: dict[str, Callable[[], object]] = {
        "Redis emptied": lambda: house.redis.client().flushall(),
        "Redis loses the last second": lambda: _restore(house, before),
        "Redis killed": house.redis.kill,
        "PostgreSQL restarted, `-m immediate`": house.postgres.crash,
    }
    n = undocumented = 0
    for what, fail in faults.items():
        for kind in [kind for kind in size.kinds if kind in LASTING]:
            requests, won = getattr(racer, kind)(size.attempts)
            before.clear()
            before.update(_dump(house))
            replies = storm(house.ports, requests, meanwhile=fail)
            house.await_ready(60)
            again = storm(house.ports, requests[:50])
            n += len(replies) + len(again)
            replies += again
            wins, undocumented = won(replies), undocumented + _undocumented(replies)
            result.must(f"{what}: {kind.replace('_', ' ')} ({_told(replies)})", wins, "≤ 1", met=wins <= 1)
    result.zero("answers with 5xx other than 503 with Retry-After", undocumented)
    result.zero("exceptions in the logs that nobody had thought of", house.bugs())
    result.n = f"{n:,} attempts"
    return result


def _dump(house: House) -> dict[bytes, tuple[bytes, int]]:
    """Every key with its value and how long it lives, in milliseconds."""
    with house.redis.client(text=False) as client:
        keys = client.keys("*")
        assert isinstance(keys, list)
        kept = {key: (client.dump(key), client.pttl(key)) for key in keys}
        return {key: (value, ttl) for key, (value, ttl) in kept.items() if isinstance(value, bytes)}


def _restore(house: House, before: dict[bytes, tuple[bytes, int]]) -> None:
    """As a replica has it that did not hear of what came last."""
    with house.redis.client(text=False) as client:
        client.flushall()
        for key, (value, ttl_ms) in before.items():
            client.restore(key, max(ttl_ms, 1), value, replace=True)


def _told(replies: list[Reply]) -> str:
    return ", ".join(f"{n} × {status or 'none'}" for status, n in sorted(statuses(replies).items()))


def _undocumented(replies: Sequence[Reply]) -> int:
    return sum(
        reply.status >= 500 and not (reply.status == 503 and "retry-after" in reply.headers)
        for reply in replies
    )


def _n_ok(replies: list[Reply]) -> int:
    return sum(reply.status == 200 for reply in replies)


def _code(reply: Reply) -> str:
    return parse_qs(urlsplit(reply.headers["location"]).query).get("code", [""])[0]


def _cookies(holder: Holder) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in holder.cookies.items())}


def _local(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
