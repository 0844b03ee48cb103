"""The figures as a section of `docs/performance.md`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.v.candidates import PROCESSES, THREADS
from tests.bench.v.profile import OTHER, PARTS, REST, Profile
from tests.bench.v.profile import PAGE as PAGE_REQUESTS
from tests.bench.v.profile import TOKEN as TOKEN_REQUEST
from tests.bench.v.profile import USERINFO as USERINFO_REQUEST
from tests.bench.v.rounds import AT_ONCE, FIXED_AT_ONCE, PAGE, SIGN_IN, TOKEN, USERINFO, Measured
from tests.bench.v.running import Run

OWN = "Sinwon"
SAID = {
    TOKEN: "code → tokens",
    USERINFO: "UserInfo",
    PAGE: "authorize → page",
    SIGN_IN: "whole sign-in",
}
GOALS = {TOKEN: 15, USERINFO: 6, PAGE: 40, SIGN_IN: 110}
STRETCH = {TOKEN: 8, SIGN_IN: 64}
GOAL_READY_S, GOAL_PSS, GOAL_FIXED, GOAL_GROWTH = 1.5, 110, 0.4, 1.1


@dataclass(frozen=True)
class _Goal:
    what: str
    measured: float
    bound: float

    @property
    def row(self) -> str:
        reached = "yes" if self.measured <= self.bound else "no"
        return f"| {self.what} | {self.measured:.3g} | {self.bound:g} | {reached} |"


def text(run: Run) -> str:
    """The section, without a line before or after it."""
    parts = (
        _head(run),
        _costs(run),
        _starts(run),
        _fixed(run),
        _growth(run),
        _goals(run),
        _profile(run.profile),
    )
    return "\n\n".join(part.strip("\n") for part in parts if part)


def _head(run: Run) -> str:
    size = run.size
    served = f"""Each is served by {PROCESSES} processes (Python's by gunicorn with {THREADS} threads each), on one
        PostgreSQL that syncs every commit and one Redis, all on this machine, together with whoever asks. They take
        turns: {size.rounds} rounds of {size.tokens} requests for tokens, as many to UserInfo, {size.pages} pages and
        {size.sign_ins} sign-ins, {AT_ONCE} at once; the median round counts."""
    unit = f"""**V** is the processor time of one P-256 signature check by OpenSSL, measured before and after each
        turn ({run.unit_us:.0f} µs before the first). What a provider's own processes use for an operation is told in
        V, and beside it what PostgreSQL and Redis use for it. Requests a second, p50 and p99 (ms) are of {AT_ONCE} at
        once, with whoever asks on the same cores."""
    compared = """Everything that Sinwon writes is durable: the grant and the audit row of a code, and with a sign-in
        the subject, consent, receipt and session. Each sign-in has a wallet that checks the signed request and signs a
        presentation of its own. The others sign in whoever comes, without a page, a wallet or consent, and
        `oidc-provider` keeps everything in Redis alone. *Authorize → page* is Sinwon's page with its QR code; of the
        others, the redirect to where a page would stand."""
    return f"""
## Beside its peers

```sh
python -m tests.bench.v --peers DIRECTORY --growth
```

{_prose(served)}

{_prose(unit)}

{_prose(compared)}"""


def _costs(run: Run) -> str:
    rows = []
    for operation, said in SAID.items():
        for one in run.measured:
            cost = one.costs.get(operation)
            if cost is not None:
                rows.append(
                    f"| {said} | {one.name} | **{cost.v:.1f}** | {cost.postgresql_v:.1f} | {cost.redis_v:.1f} "
                    f"| {cost.cpu_ms:.2f} | {cost.per_s:.0f} | {cost.times.p50_ms:.1f} | {cost.times.p99_ms:.1f} |"
                )
    return "\n".join(
        [
            "| operation | by | V | PostgreSQL | Redis | CPU ms | per second | p50 | p99 |",
            "|---|---|---|---|---|---|---|---|---|",
            *rows,
        ]
    )


def _starts(run: Run) -> str:
    rows = "\n".join(
        f"| {one.name} | {one.ready_s:.1f} | {one.idle.pss:.0f} | {one.used.pss:.0f} |"
        for one in run.measured
    )
    return f"""
Seconds from the command to the first answer, everything being there; memory (PSS, MiB) of all of a provider's
processes, before the first request and after the last:

| | ready | memory | afterwards |
|---|---|---|---|
{rows}"""


def _fixed(run: Run) -> str:
    rows = "\n".join(
        f"| {one.name} | {one.fixed.p50_ms:.1f} | {one.fixed.p99_ms:.1f} |"
        for one in run.measured
        if one.fixed is not None
    )
    said = f"""The token endpoint when {run.size.fixed_per_s:.0f} codes a second come, for {run.size.fixed_s:g} s,
        whether or not those before them have been answered ({FIXED_AT_ONCE} connections); ms from when each was
        due:"""
    return f"""
{_prose(said)}

| | p50 | p99 |
|---|---|---|
{rows}"""


def _growth(run: Run) -> str:
    grown = run.grown
    if grown is None:
        return ""
    plenty = grown.plenty
    said = f"""Growth: {plenty.portals:,} portals, {plenty.grants:,} grants and {plenty.audit_rows:,} audit rows are
        put into the tables of a second deployment (`tests.bench.plenty`), and the two are asked in turns. V of their
        processes, and of PostgreSQL:"""
    rows = "\n".join(
        f"| {what} | {empty.v:.1f} | {full.v:.1f} | {empty.postgresql_v:.1f} | {full.postgresql_v:.1f} |"
        for operation, what in SAID.items()
        for empty, full in [(grown.empty.costs[operation], grown.full.costs[operation])]
    )
    return f"""
{_prose(said)}

| | empty | full | PostgreSQL, empty | full |
|---|---|---|---|---|
{rows}"""


def _goals(run: Run) -> str:
    return "\n".join(
        [
            "| goal | measured | at most | reached |",
            "|---|---|---|---|",
            *(one.row for one in _all_goals(run)),
        ]
    )


def _profile(profile: Profile | None) -> str:
    if profile is None:
        return ""
    operations = (TOKEN_REQUEST, USERINFO_REQUEST, PAGE_REQUESTS, REST)
    shares = {part: [profile.share(operation, part) for operation in operations] for part in (*PARTS, OTHER)}
    rows = "\n".join(
        f"| {part} | {' | '.join(f'{share:.0f}' for share in of_part)} |"
        for part, of_part in sorted(shares.items(), key=lambda one: -one[1][-1])
    )
    said = f"""Where Sinwon's time goes: per cent of the processor time of {profile.number} sign-ins, one after the
        other, in a process of its own under Python's profiler, which makes what is written in Python look dearer than
        it is. gunicorn's part is in none of it: that is *bare WSGI* above."""
    whole = profile.share_of(REST)
    tokens = """**Why tokens and UserInfo are over their goals.** Each asks Redis and commits a row by one
        statement, and neither is left out: the row is the audit. What stands around the statement is
        SQLAlchemy. The next step is to speak to psycopg directly for these two statements, which halves that; then
        gunicorn's threads, of which each request passes through two, and which wait for each other wherever one asks
        somebody outside."""
    page = """**Why the page is.** It is made anew for every visitor: languages, ways to show a card, the codes of its
        whole life, and 29 KB of text out of some 250 expressions. The next step is to keep what a portal's page has in
        common, by portal and language, and to fill in the rest."""
    sign_in = f"""**Why a whole sign-in is.** {whole:.0f} % of it is in its seven other steps, and of those the
        largest is the last: a new person's sign-in writes some ten rows in one transaction, each by a statement of its
        own. The next step is to write them in one statement, as the token endpoint does."""
    memory = """**Why memory is.** What is imported is shared by the processes; each then builds a house of its own,
        with routes, compiled templates and translations. The next step is to build before the fork what opens no
        connection."""
    return f"""
{_prose(said)}

| | code → tokens | UserInfo | authorize → page | every other step |
|---|---|---|---|---|
{rows}

{_prose(tokens)}

{_prose(page)}

{_prose(sign_in)}

{_prose(memory)}"""


def _all_goals(run: Run) -> Iterator[_Goal]:
    ours = next((one for one in run.measured if one.name == OWN), None)
    if ours is None:
        return
    for operation, bound in GOALS.items():
        yield _Goal(f"V, {SAID[operation]}", ours.costs[operation].v, bound)
        if operation in STRETCH:
            yield _Goal(f"V, {SAID[operation]}, stretch", ours.costs[operation].v, STRETCH[operation])
    yield _Goal("seconds to ready", ours.ready_s, GOAL_READY_S)
    yield _Goal("memory, MiB", ours.idle.pss, GOAL_PSS)
    peer = _named(run.measured, "oidc-provider")
    if peer is not None and ours.fixed is not None and peer.fixed is not None:
        yield _Goal(f"token p99 to that of {peer.name}", ours.fixed.p99_ms / peer.fixed.p99_ms, GOAL_FIXED)
    if run.grown is not None:
        for operation in (TOKEN, PAGE):
            yield _Goal(f"growth, {SAID[operation]}", run.grown.ratio(operation), GOAL_GROWTH)


def _named(measured: list[Measured], beginning: str) -> Measured | None:
    return next((one for one in measured if one.name.startswith(beginning)), None)


def _prose(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 118, break_long_words=False, break_on_hyphens=False)
