"""Every figure: how it is measured, on what, and how much of it in its long form and in CI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults import changes, cold, kills, notices, outages, overload, races, soak
from tests.faults.house import House
from tests.faults.result import Result


@dataclass(frozen=True)
class Figure:
    """`size` is the long form, `short` what CI runs; `wants` goes to `house`."""

    measure: Callable[[House, Any, str], Result]
    size: Any
    short: Any
    wants: Mapping[str, Any] = field(default_factory=dict)


_TELLING = ("Redis is down", "PostgreSQL is down", "one COMMIT in ten loses", "every connection")

FIGURES: Mapping[str, Figure] = {
    "R3": Figure(races.measure, races.Size(), races.Size(attempts=40, objects=1, each=5)),
    "R4": Figure(
        races.measure_across_failures, races.Size(), races.Size(attempts=30, kinds=("code", "refresh_token"))
    ),
    "R5": Figure(kills.measure, kills.Size(), kills.Size(kills=6, postgres_kills=1, pause_s=1.0)),
    "R6": Figure(
        changes.measure,
        changes.Size(),
        changes.Size(restarts=1, reloads=1, rotations=1, at_once=2),
        {"settings": changes.SETTINGS},
    ),
    "R7": Figure(
        outages.measure,
        outages.Size(),
        outages.Size(1.0, 1.0, only=_TELLING),
        {"wired": True, "disk_mb": 500},
    ),
    "R8": Figure(soak.measure, soak.Size(), soak.Size(seconds=4.0, every_s=0.5), {"settings": soak.SETTINGS}),
    "R10": Figure(
        overload.measure,
        overload.Size(),
        overload.Size(load_s=4.0, warm_s=1.0, finding_s=3.0),
        {"apart": True, "n_workers": 1},
    ),
    "R11": Figure(
        overload.measure_slow,
        overload.Slowness(),
        overload.Slowness(n=200, direct=0, byte_s=1.0, seconds=4.0),
    ),
    "R12": Figure(cold.measure, cold.Size(), cold.Size(cuts=1, between_s=2.0)),
    "R13": Figure(notices.measure, notices.Size(), notices.Size(sessions=8, portals=2)),
}
