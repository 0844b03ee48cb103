"""Nothing about a holder is readable at rest: many people sign in, then every byte that was kept is searched.

All of them show everything a credential can say, some of them in an mdoc, and their portal refreshes its tokens once.
More stop on the way, some at each step, and others are refused, so that live records lie in the store when it is
searched. What is searched: the database with its log and freed pages, the store, a backup, the metrics, and everything
that the provider's processes wrote. The guests' own directory (the issuing authority, the portals) is not the
provider's. `python -m tests.at_rest` is the long form.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from idp.bare import bare_app
from idp.demo import personas
from idp.events import Event, record
from idp.models import AuditEvent, db, writing
from idp.store import open_store
from tests import servers
from tests.at_rest.deployments import DEPLOYMENTS, Kept, Numbers, said
from tests.at_rest.people import WAYS
from tests.at_rest.searching import Search, needles
from tests.conftest import skip_or_fail

NUMBERS = Numbers(finished=100, unfinished=4 * len(WAYS))


@pytest.fixture(
    scope="module",
    params=[
        "sqlite",
        pytest.param("postgresql_and_redis", marks=[pytest.mark.postgresql, pytest.mark.redis]),
    ],
)
def everything_kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kept]:
    if request.param != "sqlite":
        for name, find in (("postgresql", servers.postgresql_binaries), ("redis", servers.redis_binary)):
            try:
                find()
            except servers.Missing as missing:
                skip_or_fail(name, str(missing))
    with DEPLOYMENTS[request.param](tmp_path_factory.mktemp(request.param), NUMBERS) as found:
        yield found


def test_no_value_of_many_people_is_at_rest(everything_kept: Kept) -> None:
    assert everything_kept.live_records > NUMBERS.unfinished
    assert everything_kept.log.stat().st_size > 0
    assert said(everything_kept.people.in_files(*everything_kept.places)) == []


def test_no_bearer_secret_is_at_rest(everything_kept: Kept) -> None:
    assert said(everything_kept.bearer.in_files(*everything_kept.places)) == []


def test_a_value_planted_in_the_same_places_is_found_though_it_was_deleted(everything_kept: Kept) -> None:
    planted = personas.invented(7_000_000)
    search = Search(needles({"in the database": planted.name, "in the store": planted.registration_number}))
    assert search.in_files(*everything_kept.places) == {}
    with bare_app(everything_kept.settings).app_context():
        with writing() as session:
            record(session, Event.LOGOUT, at=1, reason=planted.name)
        with writing() as session:
            session.query(AuditEvent).filter_by(reason=planted.name).delete()
        db.session.remove()
        db.engine.dispose()
    with closing(open_store(everything_kept.settings.store_url)) as store:
        store.put("planted", {"number": planted.registration_number}, 60)
        store.take("planted")
    everything_kept.settle()
    found = search.in_files(*everything_kept.places)
    assert {needle.what for needles in found.values() for needle in needles} == {
        "in the database",
        "in the store",
    }
