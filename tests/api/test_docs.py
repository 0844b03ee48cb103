"""docs/api.md, run as it stands but for the two hosts; its tables are the code's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from idp.admin import organisations
from idp.admin import portals as portal_admin
from idp.admin.people import MAY
from idp.admin.portals import reading
from idp.admin.portals.changes import PortalChanges
from idp.models import PortalProposal, db
from idp.views import documents
from idp.views.api import AREAS
from idp.views.problems import PROBLEMS, Code
from tests.at_api import registration
from tests.rig import Rig, started
from tests.test_docs import blocks, rows

SECRETS = {"key_encryption_key": "11" * 31 + "aa", "pepper": "22" * 31 + "bb"}
"""Those of `tests.rig`."""


def settings(rig: Rig, database: Path) -> str:
    """The settings file of a running provider, as its commands take it."""
    return f"""
mode = "demo"
issuer = "{rig.issuer}"
[database]
url = "sqlite:///{database}"
[secrets]
key_encryption_key = "{SECRETS["key_encryption_key"]}"
pepper = "{SECRETS["pepper"]}"
[wallet]
certificate_file = "{rig.prepared.request_signer_certificates}"
private_key_file = "{rig.prepared.request_signer_key}"
"""


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Rig, Rig]]:
    """A sandbox and a production deployment, which takes two people; their settings lie in the directory."""
    with started(tmp_path / "sandbox") as sandbox, started(tmp_path / "production") as production:
        for name, rig in (("sandbox", sandbox), ("sinwon", production)):
            directory = "sandbox" if rig is sandbox else "production"
            text = settings(rig, tmp_path / directory / "sinwon.db")
            (tmp_path / f"{name}.toml").write_text(text, "utf-8")
        mine = registration("my-portal", redirect_uris=["https://test.my-portal.example/cb"])
        with sandbox.app.app_context():
            portal_admin.apply({"portal": [mine]}, now=sandbox.clock())
        with production.app.app_context():
            names = {"ko": "외교부", "en": "Ministry of Foreign Affairs"}
            organisations.apply({"organisation": [{"id": "mofa", "name": names}]}, now=production.clock())
        two = property(lambda self: self._settings.issuer == production.issuer)
        monkeypatch.setattr(PortalChanges, "two_people", two)
        yield sandbox, production


def test_the_commands_do_what_the_page_says(both: tuple[Rig, Rig], tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("not installed: curl")
    sandbox, production = both
    script = "\n".join(blocks("docs/api.md", "sh"))
    script = script.replace("https://id.example", production.issuer)
    script = script.replace("https://sandbox.example", sandbox.issuer)
    here = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-e", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": here, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stdout.count('"dry_run":true') == 2
    assert "/admin/api/v1/proposals/" in done.stdout
    assert (tmp_path / "events.jsonl").is_file()
    with production.app.app_context():
        found = reading.find("my-portal", admin=None)
        states = {one.client_id: one.state for one in db.session.query(PortalProposal)}
    assert found.registration.redirect_uris == ("https://my-portal.example/cb",)
    assert states == {"my-portal": "approved", "gov24": "waiting"}


def test_the_table_of_operations_is_the_code_s() -> None:
    listed = {row[0].strip("`"): (row[1], row[2]) for row in rows("docs/api.md") if row[0].startswith("`")}
    assert listed == {
        f"{one.method} {one.path}": (
            one.summary.rstrip("."),
            "everybody, without a token"
            if one.public
            else ", ".join(role.value for role in MAY if one.act in MAY[role])
            if one.act
            else "every token",
        )
        for area in AREAS
        for one in area.operations()
    }


def test_the_type_of_every_problem_leads_to_its_explanation() -> None:
    assert set(get_args(Code)) == set(PROBLEMS)
    page = documents.html("api")
    assert [code for code in PROBLEMS if f'id="{code}"' not in page] == []
