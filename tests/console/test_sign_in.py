"""Into the console: by an invitation and a mobile credential, and by nothing else."""

from __future__ import annotations

import pytest

from idp.admin.people import Role
from tests.at_console import Admin
from tests.rig import Rig


@pytest.fixture(scope="module")
def owner(rig: Rig) -> Admin:
    return Admin(rig, "hong").join(Role.OWNER)


def test_an_invited_person_signs_in_and_is_an_administrator(rig: Rig, owner: Admin) -> None:
    page = owner.page("/console/people")
    assert "admin:" in page.root.text
    assert {"admin.invited", "admin.joined", "admin.signed_in"} <= set(rig.event_names())
