"""Where in the world an address seems to be, by a database that the operator supplies.

A hint and no more: roaming, VPNs and private relays put people where they are not, so nothing is refused by it. A
place is personal: it exists in memory or sealed to a holder's browser.

Source: MaxMind DB file format 2.0, with the members of GeoIP2 and GeoLite2 (Country or City), which others use too.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, cast

import msgspec

FAR_KM = 500
"""Within one country, farther than the databases usually err."""
_EARTH_KM = 6371.0


class Place(msgspec.Struct, frozen=True):
    """A country (ISO 3166-1 alpha-2), and a point in it where the database has one."""

    country: str
    latitude: float | None = None
    longitude: float | None = None
    radius_km: float = 0.0


class _Reader(Protocol):
    def get(self, address: str) -> object: ...


class Locations:
    """Looks addresses up; without a file every place is unknown."""

    def __init__(self, file: str = "") -> None:
        self._reader = _opened(file) if file else None

    def place(self, address: str) -> Place | None:
        """Where the address seems to be; None where that is not known."""
        if self._reader is None:
            return None
        try:
            found = self._reader.get(address)
        except ValueError:  # no address, or of a family that is not in the file
            return None
        return _place(found)


def far_apart(one: Place | None, other: Place | None) -> bool:
    """Whether both are known, and are in different countries or more than FAR_KM from each other."""
    if one is None or other is None:
        return False
    if one.country != other.country:
        return True
    apart = _apart_km(one, other)
    return apart is not None and apart - one.radius_km - other.radius_km > FAR_KM


def _opened(file: str) -> _Reader:
    import maxminddb  # noqa: PLC0415  # of the extra `location`; that it is there is a rule of the settings

    return cast(_Reader, maxminddb.open_database(file))


def _place(found: Any) -> Place | None:
    """A record of the file as a Place; what has another shape is not known."""
    if not isinstance(found, dict):
        return None
    country = _member(found, "country").get("iso_code")
    point = _member(found, "location")
    if not isinstance(country, str):
        return None
    numbers = [point.get(name) for name in ("latitude", "longitude", "accuracy_radius")]
    latitude, longitude, radius = (float(n) if isinstance(n, int | float) else None for n in numbers)
    return Place(country, latitude, longitude, radius or 0.0)


def _member(record: dict[Any, Any], name: str) -> dict[Any, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _apart_km(one: Place, other: Place) -> float | None:
    """The great circle between two points, by the haversine formula."""
    if None in (one.latitude, one.longitude, other.latitude, other.longitude):
        return None
    first, second = math.radians(cast(float, one.latitude)), math.radians(cast(float, other.latitude))
    across = math.radians(cast(float, other.longitude) - cast(float, one.longitude))
    chord = (
        math.sin((second - first) / 2) ** 2 + math.cos(first) * math.cos(second) * math.sin(across / 2) ** 2
    )
    return 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(chord)))
