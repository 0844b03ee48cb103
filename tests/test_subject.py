"""One person stays one Subject; two people never become one; nobody's number is stored."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from idp.models import Subject, SubjectKey, db, prepare_sqlite, writing
from idp.subject import PersonKey, Subjects

HONG: PersonKey = ("kr-overseas", "overseas_registration_number", "LAX-2024-0000017")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'subjects.db'}"
    db.init_app(app)
    with app.app_context():
        prepare_sqlite(db.engine)
        db.create_all()
        yield app
        db.session.remove()
        db.engine.dispose()


def found(subjects: Subjects, *keys: PersonKey) -> str:
    with writing() as session:
        return subjects.find_or_create(session, keys, now=1)


@pytest.mark.usefixtures("app")
def test_the_same_number_is_the_same_person_again() -> None:
    subjects = Subjects(b"p" * 32)
    assert found(subjects, HONG) == found(subjects, HONG) == subjects.find([HONG])


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    "other",
    [
        ("kr-overseas", "overseas_registration_number", "LAX-2024-0000018"),
        ("another-domain", "overseas_registration_number", "LAX-2024-0000017"),
        ("kr-overseas", "licence_number", "LAX-2024-0000017"),
    ],
)
def test_another_number_domain_or_element_is_another_person(other: PersonKey) -> None:
    subjects = Subjects(b"p" * 32)
    assert found(subjects, HONG) != found(subjects, other)


@pytest.mark.usefixtures("app")
def test_a_second_key_joins_the_same_person() -> None:
    subjects = Subjects(b"p" * 32)
    card: PersonKey = ("kr-mdl", "licence_number", "11-22-333333-44")
    first = found(subjects, HONG)
    assert found(subjects, HONG, card) == first
    assert found(subjects, card) == first


@pytest.mark.usefixtures("app")
def test_two_spellings_of_one_text_are_one_person() -> None:
    subjects = Subjects(b"p" * 32)
    composed: PersonKey = ("d", "e", "각")
    decomposed: PersonKey = ("d", "e", "\u1100\u1161\u11a8")
    assert found(subjects, composed) == found(subjects, decomposed)


@pytest.mark.usefixtures("app")
def test_another_pepper_knows_nobody() -> None:
    first = found(Subjects(b"p" * 32), HONG)
    assert Subjects(b"q" * 32).find([HONG]) is None
    assert Subjects(b"p" * 32).find([HONG]) == first


@pytest.mark.usefixtures("app")
def test_no_column_holds_the_number() -> None:
    found(Subjects(b"p" * 32), HONG)
    stored = [row.digest + row.subject_id for row in db.session.scalars(select(SubjectKey))]
    assert stored
    assert all("2024" not in text for text in stored)


def test_every_sector_has_a_name_of_its_own() -> None:
    subjects = Subjects(b"p" * 32)
    assert subjects.pairwise("s", "one.example") == subjects.pairwise("s", "one.example")
    assert subjects.pairwise("s", "one.example") != subjects.pairwise("s", "two.example")
    assert subjects.pairwise("s", "one.example") != subjects.pairwise("t", "one.example")
    assert len(subjects.pairwise("s", "one.example")) <= 255


def test_one_person_in_many_windows_at_once_becomes_one_subject(app: Flask) -> None:
    subjects = Subjects(b"p" * 32)
    seen: list[str] = []
    start = threading.Barrier(12)

    def window() -> None:
        with app.app_context():
            start.wait()
            seen.append(found(subjects, HONG))
            db.session.remove()

    threads = [threading.Thread(target=window) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 12
    assert len(set(seen)) == 1
    assert len(db.session.scalars(select(Subject)).all()) == 1
