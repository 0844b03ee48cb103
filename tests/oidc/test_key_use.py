"""How portals use our keys: the algorithms they registered, and who was seen to fetch the next key before it signs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import delete, select

from idp.models import KeyFetch, db, writing
from idp.oidc import key_use
from idp.oidc.key_use import KeyFetches
from tests.harmless import kept
from tests.rig import Rig

HERE, THERE = "192.0.2.1", "2001:db8::1"


@pytest.fixture
def fetches(rig: Rig) -> Iterator[KeyFetches]:
    with rig.app.app_context():
        with writing() as database:
            database.execute(delete(KeyFetch))
        for key in kept(rig, "jwks-seen"):
            rig.house.store.take(key)
        yield rig.house.key_fetches


@pytest.fixture
def following(rig: Rig, fetches: KeyFetches) -> Iterator[str]:
    """The next ES256 key, published now."""
    kid = rig.house.keys.rotate("ES256")
    yield kid
    rig.house.keys.remove(kid)


def seen(rig: Rig) -> list[tuple[str, str]]:
    db.session.rollback()
    return [(row.client_id, row.kid) for row in db.session.execute(select(KeyFetch.client_id, KeyFetch.kid))]


def test_a_portal_that_proves_itself_where_the_keys_were_fetched_knows_the_next_one(
    rig: Rig, fetches: KeyFetches, following: str
) -> None:
    fetches.fetched(HERE)
    fetches.proven("gov24", HERE)
    fetches.proven("gov24", HERE)
    assert seen(rig) == [("gov24", following)]
    fetched, missing = key_use.waiting_for(following)
    assert fetched == ["gov24"]
    assert "efamily" in missing
    assert "gov24" not in missing


def test_a_portal_elsewhere_or_one_that_came_before_does_not(
    rig: Rig, fetches: KeyFetches, following: str
) -> None:
    fetches.proven("gov24", HERE)
    fetches.fetched(HERE)
    fetches.proven("efamily", THERE)
    assert seen(rig) == []


def test_a_fetch_before_the_key_was_published_does_not_count(rig: Rig, fetches: KeyFetches) -> None:
    fetches.fetched(HERE)
    kid = rig.house.keys.rotate("ES256")
    fetches.proven("gov24", HERE)
    rig.house.keys.remove(kid)
    assert seen(rig) == []


def test_nothing_is_kept_while_there_is_no_next_key(rig: Rig, fetches: KeyFetches) -> None:
    fetches.fetched(HERE)
    assert kept(rig, "jwks-seen") == set()


def test_the_store_holds_no_address(rig: Rig, fetches: KeyFetches, following: str) -> None:
    fetches.fetched(HERE)
    assert len(kept(rig, "jwks-seen")) == 1
    assert HERE not in str(kept(rig, "jwks-seen"))


def test_fetching_the_published_keys_is_noticed(rig: Rig, fetches: KeyFetches, following: str) -> None:
    document = rig.http.get(f"{rig.issuer}/jwks").json()
    assert following in [key["kid"] for key in document["keys"]]
    fetches.proven("gov24", "127.0.0.1")
    assert seen(rig) == [("gov24", following)]


def test_a_portal_disabled_is_not_waited_for(rig: Rig, fetches: KeyFetches, following: str) -> None:
    rig.switch_portal("efamily", enabled=False)
    try:
        fetched, missing = key_use.waiting_for(following)
    finally:
        rig.switch_portal("efamily", enabled=True)
    assert "efamily" not in fetched + missing


def test_the_algorithms_in_use_are_those_that_enabled_portals_registered(rig: Rig) -> None:
    def in_use() -> frozenset[str]:
        with rig.app.app_context():
            return key_use.algorithms_in_use()

    before = in_use()
    rig.variant("gov24", "signed-userinfo", userinfo_signed_response_alg="PS256")
    assert in_use() == before | {"PS256"}
    rig.switch_portal("signed-userinfo", enabled=False)
    assert in_use() == before
