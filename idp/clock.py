"""The time, as one replaceable function.

Everything that compares times takes a `Clock`, so that a test can move it and so that a
request sees one time. Times are whole seconds since 1970-01-01T00:00:00Z (a JWT NumericDate).
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

Clock = Callable[[], int]

KST = timezone(timedelta(hours=9))
"""Korea has one time zone, and has known no summer time since 1988."""


def now() -> int:
    """Seconds since the epoch, by the system clock."""
    return int(time.time())


def utc(seconds: int) -> datetime:
    """An aware UTC datetime for whole seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def iso(seconds: int) -> str:
    """RFC 3339 in UTC, to the second: `2026-11-23T01:02:03Z`."""
    return utc(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def kst(seconds: int, form: str = "%Y-%m-%d %H:%M KST") -> str:
    """Korean time, as pages show it: to the minute, or in a form of strftime."""
    return utc(seconds).astimezone(KST).strftime(form)
