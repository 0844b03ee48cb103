"""More sign-ins than can be served: new ones are told to come later, at once, and those under way go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from idp.views.frame import WAITED_S
from tests.rig import Rig, started


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house"), {"server.busy_ms": 100}) as running:
        yield running


@pytest.fixture
def client(rig: Rig) -> FlaskClient:
    return rig.app.test_client()


BEGINNINGS = [("GET", "/authorize"), ("POST", "/par"), ("POST", "/device_authorization")]
OTHERS = [("GET", "/login/x"), ("POST", "/token"), ("GET", "/jwks"), ("POST", "/wallet/response/x")]


@pytest.mark.parametrize(("method", "path"), BEGINNINGS)
def test_a_sign_in_is_not_begun_while_others_wait(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method, environ_base={WAITED_S: 0.11})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert client.open(path, method=method, environ_base={WAITED_S: 0.09}).status_code < 500


@pytest.mark.parametrize(("method", "path"), OTHERS)
def test_who_has_begun_comes_first_unless_it_is_far_too_late(
    client: FlaskClient, method: str, path: str
) -> None:
    assert client.open(path, method=method, environ_base={WAITED_S: 4.9}).status_code < 500
    answer = client.open(path, method=method, environ_base={WAITED_S: 5.1})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_whoever_watches_is_always_answered(client: FlaskClient, path: str) -> None:
    assert client.get(path, environ_base={WAITED_S: 60.0}).status_code == 200


def test_nothing_is_written_of_what_was_not_begun(rig: Rig, client: FlaskClient) -> None:
    before = rig.last_event()
    client.get("/authorize", environ_base={WAITED_S: 1.0})
    assert rig.last_event() == before


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    with started(tmp_path, {"server.busy_ms": 0}) as patient:
        answer = patient.app.test_client().get("/authorize", environ_base={WAITED_S: 60.0})
    assert answer.status_code == 400
