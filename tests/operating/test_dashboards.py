"""The alert rules and the dashboard ask for metrics and labels that there are, and events of the catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from idp import models
from idp.app import monitor_app
from idp.credentials.verdict import Reason
from idp.events import Event
from idp.models import Lease
from tests.rig import Rig, started

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
ALERTS = yaml.safe_load((MONITORING / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((MONITORING / "grafana.json").read_text("utf-8"))
PANELS = DASHBOARD["panels"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The names of our samples, and their labels, after a sign-in."""
    with started(tmp_path_factory.mktemp("house")) as rig:
        monitor = monitor_app(rig.app)
        try:
            yield _samples(rig, monitor)
        finally:
            monitor.extensions["sinwon_metrics"].close()


def _samples(rig: Rig, monitor: Flask) -> dict[str, set[str]]:
    rig.portal("gov24").sign_in()
    with rig.app.app_context():
        models.db.session.add(Lease(name="sweep", owner="here", until=0, done_at=1))
        models.db.session.commit()
    asked = monitor.test_client()
    asked.get("/readyz")
    answer = asked.get("/metrics")
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> list[str]:
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    return [*asked, *(rule["expr"] for rule in ALERTS)]


@pytest.mark.parametrize("expression", expressions())
def test_a_rule_asks_for_what_there_is(expression: str, shown: dict[str, set[str]]) -> None:
    names = re.findall(r"\bsinwon_\w+", expression)
    assert names or expression.startswith("up{")
    assert set(names) <= set(shown)
    for name, labels in re.findall(r"\b(sinwon_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)[=!]", labels)) <= shown[name]
    for events in re.findall(r'event=~?"([^"]+)"', expression):
        assert set(events.split("|")) <= set(Event)
    for reasons in re.findall(r'reason=~?"([^"]+)"', expression):
        assert set(reasons.split("|")) <= set(Reason)


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
