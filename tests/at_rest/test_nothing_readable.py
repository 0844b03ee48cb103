"""Nothing about a holder is readable at rest: a thousand people sign in, then every byte that was kept is searched.

All of them show everything a credential can say, some of them in an mdoc, and their portal refreshes its tokens once.
Two hundred more stop on the way, some at each step, and others are refused, so that live records lie in the store when
it is searched. What is searched: the database with its log and freed pages, the store, and everything that the
provider's processes wrote. The guests' own directory (the issuing authority, the portals) is not the provider's.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import create_engine, text

from idp.bare import bare_app
from idp.claims import CLAIMS, SCOPES
from idp.demo import personas
from idp.demo.authority import MDOC, SD_JWT
from idp.demo.personas import Persona, Status
from idp.demo.wallet import Fault
from idp.events import Event, record
from idp.models import AuditEvent, db, writing
from idp.settings import Settings
from idp.store import open_store
from tests import servers
from tests.at_rest.searching import Search, Value, bearer_needles, needles, searchable
from tests.conftest import skip_or_fail
from tests.crowd import Client, Holder, Place, Unexpected, all_of
from tests.deployed import Deployment, deployed
from tests.waiting import eventually

FINISHED = 1000
UNFINISHED = 200
THREADS = 6
REDIRECT_URI = "http://127.0.0.1:9/everything/callback"
SECRET = secrets.token_urlsafe(32)
PORTAL = {
    "client_id": "everything",
    "name": {"ko": "모두", "en": "Everything"},
    "operator": {"ko": "시험", "en": "Test"},
    "redirect_uris": [REDIRECT_URI],
    "token_endpoint_auth_method": "client_secret_basic",
    "client_secret_sha256": [hashlib.sha256(SECRET.encode()).hexdigest()],
    "grant_types": [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
    ],
    "scopes": list(SCOPES),
    "claims": [{"name": name, "purpose": {"ko": "시험", "en": "Test"}} for name in CLAIMS],
    "retention": {"ko": "시험", "en": "Test"},
}
CLIENT = Client("everything", REDIRECT_URI, " ".join(SCOPES), SECRET)


# -- two hundred who do not arrive ------------------------------------------------------------------------------


def stops_after(step: str, via: str = "link") -> Callable[[Holder], None]:
    def walk(holder: Holder) -> None:
        holder.via = via
        holder.go(until=step)

    return walk


def refused_for(fault: Fault) -> Callable[[Holder], None]:
    def walk(holder: Holder) -> None:
        holder.fault = fault
        holder.go(until="fetch")
        holder.show(status=400)

    return walk


def revoked(holder: Holder) -> None:
    holder.persona = replace(holder.persona, status=Status.REVOKED)
    holder.go(until="fetch")
    holder.show(status=400)


def refuses_in_the_wallet(holder: Holder) -> None:
    holder.go(until="fetch")
    holder.refuse()


def refuses_consent(holder: Holder) -> None:
    holder.go(until="read_consent")
    holder.agree("refuse")


def comes_back_in_another_browser(holder: Holder) -> None:
    holder.go(until="show")
    answer = holder.place.line.send("GET", holder.redirect_uri.removeprefix(holder.place.line.url))
    assert answer.status == 403


def redeems_without_the_verifier(holder: Holder) -> None:
    holder.go(until="finish")
    holder.verifier = secrets.token_urlsafe(48)
    with pytest.raises(Unexpected, match="400"):
        holder.redeem()


def at_a_counter(holder: Holder) -> None:
    """The holder agreed on the phone, and the counter has not asked yet: what was shown waits under its code."""
    holder.issue()
    holder.begin_at_counter()
    for step in ("look", "fetch", "show", "come_back", "read_consent", "agree", "finish_at_counter"):
        getattr(holder, step)()


WAYS: dict[str, Callable[[Holder], None]] = {
    "waits": stops_after("look"),
    "request fetched": stops_after("fetch"),
    "shown on this device": stops_after("show"),
    "shown on another device": stops_after("show", via="qr"),
    "number typed, consent page open": stops_after("read_consent", via="qr"),
    "consent page open": stops_after("read_consent"),
    "agreed, not come back": stops_after("agree"),
    "code not redeemed": stops_after("finish"),
    "token not used": stops_after("redeem"),
    "agreed at a counter that has not asked": at_a_counter,
    "comes back in another browser": comes_back_in_another_browser,
    "redeems without the verifier": redeems_without_the_verifier,
    "refuses in the wallet": refuses_in_the_wallet,
    "refuses on the consent page": refuses_consent,
    "revoked": revoked,
    "wrong nonce": refused_for(Fault.WRONG_NONCE),
    "altered": refused_for(Fault.TAMPERED_SIGNATURE),
    "of another holder": refused_for(Fault.OTHER_HOLDER_KEY),
    "answered in clear": refused_for(Fault.UNENCRYPTED),
}


# -- what they kept ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """What a deployment has at rest while it runs, and what must not be there."""

    settings: Settings
    people: Search
    bearer: Search
    places: tuple[Path, ...]
    live_records: int
    log: Path
    settle: Callable[[], None]
    """Makes the servers write down what they still hold in memory."""


def values_of(persona: Persona, missions: dict[str, Any]) -> dict[str, Value]:
    """Everything a credential says of a person, as text, and the portrait also as the image it is."""
    claims = persona.claims(missions[persona.mission])
    return {
        "name": persona.name,
        "Latin name": persona.latin_name,
        "given name": persona.given_name,
        "birthdate": persona.birthdate,
        "sex": str(persona.sex),
        "nationality": "KR",
        "address": persona.address,
        "registration number": persona.registration_number,
        "passport number": persona.passport_number,
        "passport's authority": claims["passport"]["issuing_authority"],
        "mission": claims["issuing_mission"]["name_ko"],
        "picture": claims["picture"],
        "linking information": claims["kr_ci"],
        "image": base64.b64decode(claims["picture"].partition(",")[2]),
    }


DECODABLE = {"cookie login", "cookie session", "code", "device code", "access token", "refresh token"}


def bearer_values(holder: Holder) -> dict[str, Value]:
    secrets_known: dict[str, Value] = dict(holder.bearer_secrets())
    decoded = {
        f"{name}, decoded": base64.urlsafe_b64decode(f"{value}==")
        for name, value in secrets_known.items()
        if name in DECODABLE and isinstance(value, str)
    }
    return {**secrets_known, **decoded}


def sign_everybody_in(deployment: Deployment) -> list[Holder]:
    place = Place.of(deployment.prepared)
    finishing = [Holder(place, CLIENT, personas.invented(number)) for number in range(FINISHED)]
    stopping = [
        Holder(place, CLIENT, personas.invented(number)) for number in range(FINISHED, FINISHED + UNFINISHED)
    ]
    ways = list(WAYS.values())

    def finish(holder: Holder) -> None:
        holder.via = "qr" if holder.persona.sex == 1 else "link"
        holder.format = MDOC if holder.persona.birthdate.endswith("3") else SD_JWT
        holder.go()
        holder.refresh()
        holder.read()
        assert holder.claims["name"] == holder.persona.name
        assert holder.claims["kr_passport"]["number"] == holder.persona.passport_number
        assert holder.claims["picture"].startswith("data:image/png")

    def stop(numbered: tuple[int, Holder]) -> None:
        ways[numbered[0] % len(ways)](numbered[1])

    with closing(place.line):
        all_of(finishing, finish, THREADS)
        all_of(enumerate(stopping), stop, THREADS)
    return [*finishing, *stopping]


def kept(
    deployment: Deployment,
    places: tuple[Path, ...],
    live_records: Callable[[], int],
    settle: Callable[[], None],
) -> Kept:
    holders = sign_everybody_in(deployment)
    missions = {mission["code"]: mission for mission in deployment.prepared.trust()["mission"]}
    people = searchable(values_of(holder.persona, missions) for holder in holders)
    bearer = searchable([*map(bearer_values, holders), {"client secret": SECRET}])
    assert len(people) > 10 * len(holders)
    assert len(bearer) > 3 * len(holders)
    settle()
    return Kept(
        settings=deployment.settings,
        people=Search(needles(people)),
        bearer=Search(bearer_needles(bearer)),
        places=places,
        live_records=live_records(),
        log=deployment.log,
        settle=settle,
    )


@contextmanager
def on_sqlite(directory: Path) -> Iterator[Kept]:
    """The embedded defaults: one process, both databases in files."""
    with deployed(directory, {"server.threads": 8, "holder.with_ci": True}, [PORTAL]) as running:
        engine = create_engine(running.settings.store_url)

        def live_records() -> int:
            with engine.connect() as connection:
                return int(connection.execute(text("SELECT count(*) FROM ephemeral")).scalar_one())

        try:
            yield kept(running, (directory / "provider",), live_records, lambda: None)
        finally:
            engine.dispose()


@contextmanager
def on_postgresql_and_redis(directory: Path) -> Iterator[Kept]:
    """Servers of their own that keep all they can: PostgreSQL uncompressed, Redis with RDB and AOF."""
    store = directory / "redis"
    store.mkdir()
    options = ("--appendonly", "yes", "--save", "1 1", "--rdbcompression", "no", "--dir", str(store))
    with ExitStack() as stack:
        port = stack.enter_context(servers.redis(*options))
        server_url = stack.enter_context(servers.postgresql())
        database_url = stack.enter_context(servers.new_database(server_url))
        remembering = stack.enter_context(closing(redis.Redis(port=port)))
        engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
        stack.callback(engine.dispose)

        def saved() -> bool:
            try:
                return bool(remembering.save())
            except redis.ResponseError:  # it is saving by itself just now
                return False

        def settle() -> None:
            with engine.connect() as connection:
                connection.execute(text("CHECKPOINT"))
            eventually(saved, 60)

        overrides = {
            "database.url": database_url,
            "store.url": f"redis://127.0.0.1:{port}/0",
            "holder.with_ci": True,
        }
        running = stack.enter_context(deployed(directory, overrides, [PORTAL]))
        with engine.connect() as connection:
            # A compressed value could not be searched.
            columns = connection.execute(
                text(
                    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
                    " AND data_type IN ('json', 'text', 'character varying')"
                )
            ).all()
            for table, column in columns:
                connection.execute(text(f'ALTER TABLE "{table}" ALTER "{column}" SET STORAGE EXTERNAL'))
            data = Path(connection.execute(text("SHOW data_directory")).scalar_one())
        yield kept(running, (directory / "provider", data, store), remembering.dbsize, settle)


DEPLOYMENTS = {"sqlite": on_sqlite, "postgresql_and_redis": on_postgresql_and_redis}


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
    with DEPLOYMENTS[request.param](tmp_path_factory.mktemp(request.param)) as found:
        yield found


def said(found: dict[Path, set[Any]]) -> list[str]:
    """Which value, in which form, in which file: never the value itself."""
    return sorted(
        f"{file.name}: {needle.what}, {needle.form}"
        for file, hits in found.items()
        for needle in list(hits)[:9]
    )


def test_no_value_of_a_thousand_people_is_at_rest(everything_kept: Kept) -> None:
    assert everything_kept.live_records > UNFINISHED
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
