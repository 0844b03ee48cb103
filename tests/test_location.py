"""Where an address seems to be, and what counts as far apart."""

import sys
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from idp.location import Locations, Place, far_apart
from idp.settings import rules

SEOUL = {
    "country": {"iso_code": "KR"},
    "location": {"latitude": 37.57, "longitude": 126.98, "accuracy_radius": 20},
}
LOS_ANGELES = {"country": {"iso_code": "US"}, "location": {"latitude": 34.05, "longitude": -118.24}}
NEW_YORK = {"country": {"iso_code": "US"}, "location": {"latitude": 40.71, "longitude": -74.01}}
PLACES = {
    "127.0.0.0/8": SEOUL,
    "203.0.113.0/24": {"country": {"iso_code": "VN"}},
    "198.51.100.0/25": LOS_ANGELES,
    "198.51.100.128/25": NEW_YORK,
    "192.0.2.0/24": {"continent": {"code": "AS"}},
    "192.0.3.0/24": {"country": "KR", "location": {"latitude": "north"}},
    "2001:db8::/32": SEOUL,
}


def database(directory: Path) -> Path:
    """A small database in the format of the real ones."""
    writer = MMDBWriter(6, "GeoLite2-City", ipv4_compatible=True)
    for network, place in PLACES.items():
        writer.insert_network(IPSet([network]), place)
    file = directory / "places.mmdb"
    writer.to_db_file(str(file))
    return file


@pytest.fixture(scope="module")
def locations(tmp_path_factory: pytest.TempPathFactory) -> Locations:
    return Locations(str(database(tmp_path_factory.mktemp("places"))))


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("127.0.0.1", "KR"),
        ("203.0.113.9", "VN"),
        ("2001:db8::1", "KR"),
        ("192.0.2.1", None),
        ("192.0.3.1", None),
        ("8.8.8.8", None),
        ("unix:", None),
        ("", None),
    ],
)
def test_an_address_has_a_country_where_the_database_says_so(
    locations: Locations, address: str, country: str | None
) -> None:
    found = locations.place(address)
    assert (found.country if found else None) == country


def test_without_a_database_nobody_is_anywhere() -> None:
    assert Locations().place("127.0.0.1") is None


@pytest.mark.parametrize(
    ("one", "other", "far"),
    [
        ("127.0.0.1", "203.0.113.9", True),
        ("198.51.100.1", "198.51.100.200", True),
        ("198.51.100.1", "198.51.100.2", False),
        ("203.0.113.1", "203.0.113.2", False),  # the same country, and no points to compare
        ("127.0.0.1", "8.8.8.8", False),
    ],
)
def test_far_is_another_country_or_a_long_way(locations: Locations, one: str, other: str, far: bool) -> None:
    assert far_apart(locations.place(one), locations.place(other)) is far
    assert far_apart(locations.place(other), locations.place(one)) is far


def test_what_the_database_is_not_sure_of_is_not_far() -> None:
    assert far_apart(Place("US", 34.05, -118.24), Place("US", 40.71, -74.01))
    assert not far_apart(Place("US", 34.05, -118.24, 2_000), Place("US", 40.71, -74.01, 2_000))


def refusal(file: Path) -> str:
    with pytest.raises(rules.NotAcceptable) as caught:
        rules.location_database(str(file))
    return str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mmdb").write_bytes(b"x" * 100)
    assert refusal(tmp_path / "x.mmdb") == "expected a file in the MaxMind DB format"
    assert "cannot be read" in refusal(tmp_path / "none.mmdb")
    file = database(tmp_path)
    assert rules.location_database(str(file)) == str(file)


def test_without_the_package_the_setting_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = database(tmp_path)
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    assert "sinwon[location]" in refusal(file)
