"""Traces: what a collector is told of a served house, and that it is told nothing about anybody."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from idp import tracing
from idp.demo import personas
from idp.demo.personas import Status
from tests.at_rest.people import values_of
from tests.at_rest.searching import MIN_BYTES, Search, bearer_needles, needles, searchable
from tests.collector import Collector, attributes, collecting
from tests.crowd import Holder, Place, Unexpected, client_of
from tests.deployed import deployed

TRACE_ID, CALLER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MARKER = "marker-of-somebody-hong-gildong"


@dataclass(frozen=True)
class Told:
    """What the collector heard of these sign-ins, and who they were."""

    collector: Collector
    holders: list[Holder]
    missions: dict[str, Any]
    correlation_id: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Some whole sign-ins, a refused one and a few odd requests at `idp serve`, which has ended by then."""
    directory = tmp_path_factory.mktemp("traced")
    with collecting() as collector:
        with deployed(directory, {"tracing.endpoint": collector.endpoint}, []) as deployment:
            place = Place.of(deployment.prepared)
            client = client_of(deployment.prepared)
            missions = {one["code"]: one for one in deployment.prepared.trust()["mission"]}
            holders = [Holder(place, client, personas.invented(number)) for number in range(1, 4)]
            with closing(place.line) as line:
                for holder in holders:
                    holder.go()
                refused = Holder(place, client, replace(personas.invented(4), status=Status.REVOKED))
                refused.go("fetch").show(status=400)
                unwilling = Holder(place, client, personas.invented(5)).go("fetch")
                assert unwilling.asked is not None
                unwilling.post_as_wallet({"error": MARKER, "state": unwilling.asked.state or ""}, 200)
                line.send("GET", f"/{MARKER}?name={MARKER}")
                line.send("GET", f"/authorize?client_id={MARKER}", None, {"Cookie": f"session={MARKER}"})
                asked = line.send("GET", "/jwks", None, {"traceparent": f"00-{TRACE_ID}-{CALLER_SPAN}-01"})
                line.send(
                    "GET", "/jwks", None, {"traceparent": f"00-{MARKER}-01", "baggage": f"name={MARKER}"}
                )
                with pytest.raises(Unexpected):
                    replace(holders[0], code=MARKER).redeem()
            holders += [refused, unwilling]
        # The provider has ended, so it has sent everything.
        yield Told(collector, holders, missions, asked.headers["x-correlation-id"])


def test_nothing_of_anybody_is_in_any_byte_that_was_sent(told: Told) -> None:
    sent = b"\0".join(told.collector.raw)
    people = searchable(values_of(holder.persona, told.missions) for holder in told.holders)
    secrets = {
        f"{name} {number}": value
        for number, holder in enumerate(told.holders)
        for name, value in holder.bearer_secrets().items()
        if len(value) >= MIN_BYTES
    }
    assert len(people) > 20 and len(secrets) > 20
    search = Search([*needles(people), *bearer_needles(secrets), *needles({"marker": MARKER})])
    assert {(needle.what, needle.form) for needle in search.in_bytes(sent)} == set()
    # The search finds what is there.
    assert Search(needles({"a route": "/authorize"})).in_bytes(sent)


def test_only_what_may_stand_in_a_span_stands_there(told: Told) -> None:
    known = {name for name, _ in tracing.ATTRIBUTES.values()}
    for span in told.collector.spans:
        assert set(attributes(span)) <= known
        assert not span.events  # no exception's text
        assert not span.status.message
    names = {span.name for span in told.collector.spans}
    assert names >= {"GET /authorize", "POST /token", "verify", "fetch", "query", "store", "unknown"}


def test_a_request_says_its_route_its_correlation_id_and_how_it_ended(told: Told) -> None:
    for span in told.collector.named("POST /token")[:3]:
        said = attributes(span)
        assert (said["http.route"], said["http.response.status_code"]) == ("/token", 200)
        assert (said["sinwon.portal"], said["sinwon.event"]) == ("gov24", "code.redeemed")
    (linked,) = [span for span in told.collector.named("GET /jwks") if span.links]
    assert attributes(linked)["sinwon.correlation_id"] == told.correlation_id
    ended = [
        attributes(span).get("sinwon.reason")
        for span in told.collector.named("POST /wallet/response/<ask_id>")
    ]
    assert "status_revoked" in ended


def test_the_steps_of_a_request_are_below_it(told: Told) -> None:
    below: dict[bytes, set[str]] = {}
    for span in told.collector.spans:
        below.setdefault(span.parent_span_id, set()).add(span.name)
    token = told.collector.named("POST /token")[0]
    assert {"query", "store"} <= below[token.span_id]
    verifications = told.collector.named("verify")
    assert [attributes(span)["sinwon.outcome"] for span in verifications] == [
        "ok",
        "ok",
        "ok",
        "refused",
        "refused",
    ]
    fetched = told.collector.named("fetch")
    assert {attributes(span)["sinwon.outcome"] for span in fetched} == {"ok"}
    assert {span.parent_span_id for span in fetched} <= {span.span_id for span in verifications}


def test_a_callers_trace_is_a_link_and_decides_nothing(told: Told) -> None:
    (span,) = [span for span in told.collector.named("GET /jwks") if span.links]
    (link,) = span.links
    assert (link.trace_id.hex(), link.span_id.hex()) == (TRACE_ID, CALLER_SPAN)
    assert span.trace_id.hex() != TRACE_ID
    assert not span.parent_span_id


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("route", "/login/홍길동"),
        ("route", "/login?code=abc"),
        ("reason", "Hong Gildong"),
        ("correlation_id", "hong"),
        ("portal", "two words"),
        ("status", "200"),
        ("event", "홍.길동"),
        ("method", "HONG"),
        ("operation", "SELECT 'hong'"),
    ],
)
def test_what_does_not_keep_an_attributes_rule_is_left_out(name: str, value: object) -> None:
    assert not tracing.ATTRIBUTES[name][1](value)


def test_an_attribute_that_is_not_known_cannot_be_said(tmp_path: Path) -> None:
    from opentelemetry.trace import INVALID_SPAN  # noqa: PLC0415

    with pytest.raises(KeyError):
        tracing._Told(INVALID_SPAN).say(name="홍길동")


def test_switched_off_nothing_of_the_extras_is_imported() -> None:
    # Of opentelemetry the client for Redis loads the metrics, where it finds them.
    program = (
        "import sys, idp.app, idp.worker, idp.cli;"
        "print(*{'pkcs11', 'opentelemetry.sdk.trace', 'opentelemetry.exporter'}.intersection(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
