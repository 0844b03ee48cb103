"""The search finds: every form of a value, wherever it stands. What it says of a whole provider rests on this."""

import os
import sqlite3
from base64 import b64encode, urlsafe_b64encode
from contextlib import closing
from pathlib import Path

import pytest
import redis

from idp.demo import personas
from tests import servers
from tests.at_rest.searching import MIN_BYTES, Search, Value, forms, needles, searchable

NAME = "남궁가온나래"
ADDRESS = "12 Rue de l'Université, Paris"
VALUES: dict[str, Value] = {
    "name": NAME,
    "address": ADDRESS,
    "birthdate": "1985-03-14",
    "passport": "M12070042",
    "image": bytes(range(40, 64)),
}
PLANTED = [data for value in VALUES.values() for _, data in forms(value)]


@pytest.fixture(scope="module")
def search() -> Search:
    return Search(needles(VALUES))


@pytest.mark.parametrize("what", VALUES)
def test_every_form_is_found_at_every_offset(search: Search, what: str) -> None:
    for form, data in forms(VALUES[what]):
        for offset in range(8):
            noise = os.urandom(4096 + offset)
            assert search.in_bytes(noise) == set()
            found = search.in_bytes(noise + data + os.urandom(999))
            # A zero byte that chance puts before or behind UTF-16 makes it readable the other way round, too.
            assert data in {needle.data for needle in found}, form
            assert {needle.what for needle in found} == {what}, form


@pytest.mark.parametrize("what", VALUES)
def test_every_form_is_found_at_the_very_end(search: Search, what: str) -> None:
    for form, data in forms(VALUES[what]):
        assert {needle.data for needle in search.in_bytes(b"x" * 13 + data)} == {data}, form


@pytest.mark.parametrize("before", range(6))
def test_a_name_is_found_inside_a_base64_document(search: Search, before: int) -> None:
    document = b"?" * before + b'{"claims":{"name":"' + NAME.encode() + b'"}}'
    for encode in (b64encode, urlsafe_b64encode):
        assert {needle.what for needle in search.in_bytes(encode(document))} == {"name"}


def test_every_form_is_found_in_pages_that_sqlite_has_freed(search: Search, tmp_path: Path) -> None:
    file = tmp_path / "freed.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")  # some distributions build it in
        connection.execute("CREATE TABLE planted (data BLOB)")
        for data in PLANTED:
            connection.execute("INSERT INTO planted VALUES (?)", (os.urandom(3000) + data,))
        connection.execute("DELETE FROM planted")
        assert connection.execute("PRAGMA freelist_count").fetchone()[0] >= len(PLANTED)
    assert {needle.data for needle in search.in_files(file)[file]} == set(PLANTED)


def test_every_form_is_found_in_the_log_of_deleted_rows(search: Search, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "wal.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE planted (data BLOB)")
        for data in PLANTED:
            connection.execute("INSERT INTO planted VALUES (?)", (data,))
            connection.execute("DELETE FROM planted")
        found = search.in_files(tmp_path)
        assert {needle.data for needle in found[tmp_path / "wal.db-wal"]} == set(PLANTED)


@pytest.mark.redis
def test_every_form_is_found_in_what_redis_keeps(search: Search, tmp_path: Path, redis_program: Path) -> None:
    options = ("--appendonly", "yes", "--rdbcompression", "no", "--dir", str(tmp_path))
    with (
        servers.redis(*options) as port,
        closing(redis.Redis(port=port, decode_responses=False)) as connection,
    ):
        for number, data in enumerate(PLANTED):
            connection.set(f"planted:{number}", data)
        connection.save()
        connection.flushall()
        found = search.in_files(tmp_path)
    by_suffix = {file.suffix: {needle.data for needle in needles} for file, needles in found.items()}
    assert by_suffix[".aof"] == by_suffix[".rdb"] == set(PLANTED)


def test_what_is_short_or_common_is_not_searched_for() -> None:
    people = [{"sex": "1", "country": "KR", "authority": "MINISTRY", "name": f"{n:08}"} for n in range(100)]
    assert list(searchable(people).values()) == [f"{n:08}" for n in range(100)]
    assert all(len(str(value)) >= MIN_BYTES for value in searchable(people).values())


def test_a_piece_of_a_portrait_is_enough() -> None:
    values = searchable({"picture": personas.portrait(f"person {number}")} for number in range(10))
    search = Search(needles(values))
    portrait, other = (personas.portrait(f"person {number}").encode() for number in (3, 4))
    start = next(at for at, pair in enumerate(zip(portrait, other, strict=False)) if pair[0] != pair[1])
    assert {needle.what.split(" (")[0] for needle in search.in_bytes(portrait[start - 24 : start + 48])} == {
        "picture of person 3"
    }
