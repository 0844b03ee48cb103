"""The figures as `docs/performance.md`: rounded, with what they mean and what they do not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from tests.bench import verifying, waiting
from tests.bench.figures import Page, Presentation, SignIns, Start, Times
from tests.bench.peers import Peer
from tests.bench.processes import Memory
from tests.bench.v import section as beside_peers
from tests.bench.v.running import Run
from tests.bench.waiting import Waiting

STEPS = {
    "begin": "GET /authorize",
    "look": "GET the sign-in page",
    "fetch": "wallet: GET the request object, check it",
    "show": "wallet: make the presentation, POST it",
    "come_back": "GET /authorize/resume with the response code",
    "read_consent": "GET the consent page",
    "agree": "POST the consent",
    "finish": "GET /authorize/resume, the code is issued",
    "redeem": "portal: POST /token",
    "read": "portal: GET /userinfo",
}


def document(
    *,
    day: date,
    machine: str,
    load: float,
    start: Start,
    presentation: Presentation,
    costs: list[verifying.Cost],
    others: list[Peer],
    beside: Run,
    sign_ins: Sequence[SignIns],
    memory_new: Memory,
    memory_used: Memory,
    before_memory: int,
    page: Sequence[Page],
    waited: Waiting,
) -> str:
    """The whole document."""
    parts = (
        _head(day, machine, load, " --peers DIRECTORY" if others else ""),
        _start(start),
        _presentation(presentation),
        verifying.section(costs, others),
        beside_peers.text(beside),
        _sign_ins(sign_ins),
        _memory(memory_new, memory_used, before_memory),
        _page(page),
        waiting.section(waited),
    )
    return "\n\n".join(part.strip("\n") for part in parts)


def _head(day: date, machine: str, load: float, options: str) -> str:
    return f"""
# Performance

Measured on {day} by one command, whose output this page is:

```sh
python -m tests.bench{options} > docs/performance.md
```

Machine: {machine}. Load of the machine before the run: {load:.1f}.

How to read it: everything runs on this one machine. Where nothing else is said, the provider is `idp demo` as it is
(one gunicorn process with 16 threads, SQLite for database and store, every commit synced to disk, plain HTTP);
holders, wallets and portals are scripts in another process and take their share of the same cores. p50 is the median,
p99 what one in a hundred exceeds. CPU is processor time, which says more about a larger machine than the wall clock
does. Figures of two runs on a machine of one's own differ by some ten per cent. This one shares its host: two runs
within the hour differed by half, so compare figures within one run.

Not measured here: TLS, real networks, wallets on phones."""


def _start(start: Start) -> str:
    return f"""
## From the demo command to ready

| | seconds |
|---|---|
| in an empty directory (keys, certificates and database are made) | {start.first_s:.1f} |
| again in the same directory | {start.again_s:.1f} |

Median of {start.runs} new processes each; files are in the page cache."""


def _presentation(presentation: Presentation) -> str:
    verify, posted = presentation.verify, presentation.posted
    return f"""
## One verified presentation

| | p50 ms | p99 ms | CPU ms |
|---|---|---|---|
| `credentials.verify` alone | {_times(verify)} |
| `POST /wallet/response` | {_times(posted)} |

An SD-JWT VC with key binding: two signatures, disclosures, the issuer's chain and the status list. The chain of a
mission's signer and the list are remembered between presentations; the first one of a mission, with both still to be
read, took {presentation.first_ms:.1f} ms (the list not fetched over a network). The POST adds decryption
({presentation.bytes:,} bytes), the query, the checks of the login, sealing to the browser and a durable audit row. It
is timed at the client, one request at a time, and its CPU is the server's."""


def _sign_ins(sign_ins: Sequence[SignIns]) -> str:
    rows = "\n".join(
        f"| {one.at_once} | {one.number} | {one.errors} | {one.per_s:.0f} | {one.whole.p50_ms:.0f} "
        f"| {one.whole.p99_ms:.0f} | {one.whole.cpu_ms or 0:.0f} | {one.client_cpu_ms:.0f} "
        f"| {100 * one.server_share:.0f} % | {100 * one.client_share:.0f} % |"
        for one in sign_ins
    )
    alone = sign_ins[0].steps
    steps = "\n".join(
        f"| {said} | {alone[step].p50_ms:.1f} | {alone[step].p99_ms:.1f} |" for step, said in STEPS.items()
    )
    return f"""
## Complete sign-ins, one process, embedded defaults

From `/authorize` to the claims at UserInfo: {len(STEPS)} requests, six of which commit to the database. Everybody is
new and sees the consent page. So many sign-ins are under way at once; whoever has arrived is followed by the next.

| at once | sign-ins | errors | per second | p50 ms | p99 ms | server CPU | client CPU | server busy | client busy |
|---|---|---|---|---|---|---|---|---|---|
{rows}

CPU is in ms for one sign-in. Busy is the share of a core: a process runs Python on one core at a time, so the
server's CPU is the limit of one process. More need PostgreSQL and more processes. Style and script are cached by
browsers and not fetched here.

Where the time goes, one sign-in at a time:

| step | p50 ms | p99 ms |
|---|---|---|
{steps}"""


def _memory(new: Memory, used: Memory, number: int) -> str:
    return f"""
## Memory of one worker

| | RSS MiB | PSS MiB |
|---|---|---|
| after the start | {new.rss:.0f} | {new.pss:.0f} |
| after {number:,} sign-ins | {used.rss:.0f} | {used.pss:.0f} |

PSS counts in part what the worker shares with gunicorn's own process."""


def _page(page: Sequence[Page]) -> str:
    rows = "\n".join(f"| {one.name} | {one.bytes:,} | {one.compressed:,} |" for one in page)
    return f"""
## The sign-in page

| | bytes | with gzip |
|---|---|---|
{rows}
| **{len(page)} requests** | **{sum(one.bytes for one in page):,}** | **{sum(one.compressed for one in page):,}** |

The provider itself does not compress; a reverse proxy does. Style and script are cached for a year under an address
that changes with their content. The goal is 20 KB compressed and 6 requests; with script, a waiting page holds one
event stream besides."""


def _times(times: Times) -> str:
    shown = f"{times.p50_ms:.1f} | {times.p99_ms:.1f}"
    return shown if times.cpu_ms is None else f"{shown} | {times.cpu_ms:.1f}"
