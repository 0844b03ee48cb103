"""The description of the API is true: schemathesis asks whatever it allows, and much that it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from idp.admin import organisations, wallets
from idp.admin.people import Role
from idp.views import api
from tests import servers
from tests.at_api import token
from tests.rig import Rig, started

N_EXAMPLES = 6
CHECKED = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]
THERE = {
    "client_id": "gov24",
    "organisation_id": "mois",
    "kind": "mission",
    "entry_id": "LAX",
    "wallet_id": "tried",
    "member_id": "nobody",
    "invitation_id": "none",
    "proposal_id": "none",
    "secret_id": "0" * 12,
    "kid": "none",
}
"""What stands in a path, so that a request comes further than to the door."""


@schemathesis.serializer("application/toml")
def as_it_is(_context: schemathesis.SerializationContext, value: object) -> bytes:
    return str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, postgresql_url: str) -> Iterator[Rig]:
    """On PostgreSQL, which is stricter about texts and numbers."""
    directory = tmp_path_factory.mktemp("house")
    with (
        servers.new_database(postgresql_url) as database,
        started(directory, {"database.url": database}) as running,
    ):
        names = {"ko": "기관", "en": "Organisation"}
        document = {"organisation": [{"id": "mois", "name": names}], "portals": {"gov24": "mois"}}
        wallet = {"id": "tried", "version": 1, "name": names, "link": "tried-wallet://"}
        with running.app.app_context():
            organisations.apply(document, now=running.clock())
            wallets.apply({"wallet": [wallet]}, now=running.clock())
        yield running


def asked(rig: Rig, strategy: dict[str, Any], headers: dict[str, str], also: Sequence[Any] = ()) -> int:
    """Ask every operation whatever the strategy makes; how many requests that were."""
    described = schemathesis.openapi.from_dict(json.loads(api.description()))
    described.config.update(base_url=f"{rig.issuer}{api.BASE}")
    known = {**headers, "Authorization": f"Bearer {token(rig, Role.OWNER)}"}
    n_asked = 0
    for found in described.get_all_operations():
        operation = found.ok()
        named = {place: THERE[place] for place in re.findall(r"{(\w+)}", operation.path)}
        more = {**strategy, "path_parameters": named} if "If-Match" in headers and named else strategy

        @settings(
            max_examples=N_EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(**more))
        def ask(case: schemathesis.Case) -> None:
            nonlocal n_asked
            n_asked += 1
            case.call_and_validate(headers=known, checks=[*CHECKED, *also])

        # Nothing can be wrong with a request that says nothing.
        with suppress(Unsatisfiable):
            ask()
    return n_asked


@pytest.mark.postgresql
def test_every_operation_answers_as_it_is_described(rig: Rig) -> None:
    assert asked(rig, {"generation_mode": GenerationMode.POSITIVE}, {"If-Match": "*"}) > 100


@pytest.mark.postgresql
def test_what_is_not_described_is_refused_as_it_is_described(rig: Rig) -> None:
    wrong = {"generation_mode": GenerationMode.NEGATIVE}
    assert asked(rig, wrong, {}, [checks.negative_data_rejection]) > 100
