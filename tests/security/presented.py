"""Cases of wallets: an answer to a question of ours with one thing wrong, posted as it is, twice.

After it an honest answer to the same question is accepted: a wrong one costs the holder nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx2

from tests.altering import link_of
from tests.presenting import Answer, Change
from tests.rig import Rig
from tests.security.judging import Case, Court

REJECTED = "presentation.rejected"
Rows = Mapping[str, Mapping[str, tuple[Change, str]]]
"""By row, then by what is wrong: the change, and the audit's reason."""


@dataclass(frozen=True)
class NotAccepted:
    """What a wallet hears, whatever was wrong (decision D6)."""

    status: int = 400
    error: str = "invalid_request"

    def __call__(self, rig: Rig, response: httpx2.Response) -> None:
        assert response.status_code == self.status, (response.status_code, response.text[:300])
        assert response.headers["Content-Type"] == "application/json"
        assert response.json()["error"] == self.error
        assert response.json()["error_description"] == "The response was not accepted."
        assert ("Retry-After" in response.headers) == (self.status == 503)


@dataclass(frozen=True)
class Message:
    """What a wallet posts: computed once, so that the second time it is the same."""

    link: str
    uri: str
    form: Mapping[str, Any]

    def post(self, rig: Rig) -> httpx2.Response:
        return rig.http.post(self.uri, data=self.form)


def message(answer: Answer, link: str) -> Message:
    return Message(link, answer.response_uri, answer.form or {"response": answer.encrypted()})


def honest_is_accepted(court: Court, given: Message) -> None:
    """An answer that is right, to the question that the wrong ones were given to."""
    assert Answer(court.rig, given.link).send().status_code == 200


def refused(row: str, name: str, change: Change, reason: str, **more: Any) -> Case:
    """An answer with something wrong in it."""

    def prepare(court: Court) -> Message:
        link = link_of(court.portal())
        answer = Answer(court.rig, link)
        change(answer)
        return message(answer, link)

    case = Case(
        row,
        name,
        lambda court, given: given.post(court.rig),
        NotAccepted(),
        [(REJECTED, reason)],
        prepare=prepare,
        after=honest_is_accepted,
    )
    return replace(case, **more)


def cases(rows: Rows, **more: Any) -> list[Case]:
    """A table of refusals as cases."""
    return [
        refused(row, name, change, reason, **more)
        for row, inputs in rows.items()
        for name, (change, reason) in inputs.items()
    ]


def by_sending(send: Callable[[Court, Message], httpx2.Response], case: Case) -> Case:
    """The same, sent otherwise."""
    return replace(case, send=send)


def all_of(*tables: Sequence[Case]) -> list[Case]:
    return [case for table in tables for case in table]
