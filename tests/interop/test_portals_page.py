"""Examples of docs/portals.md, run as they stand there."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from tests.rig import Begun, Portal, Rig, started
from tests.test_docs import blocks

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture
def portal(rig: Rig) -> Portal:
    return rig.variant("efamily", "fapi2-example", profile="fapi2", dpop_bound_access_tokens=True)


def test_the_example_signs_somebody_in(rig: Rig, portal: Portal, tmp_path: Path) -> None:
    example = next(body for body in blocks("docs/portals.md", "python") if body.startswith("# fapi2.py"))
    script, key = tmp_path / "fapi2.py", tmp_path / "key.pem"
    script.write_text(example, "utf-8")
    key.write_bytes(ECKey.import_key(rig.prepared.portal_key("efamily")).as_pem(private=True))
    environment = {
        **os.environ,
        "SINWON": rig.issuer,
        "CLIENT_ID": portal.client_id,
        "REDIRECT_URI": portal.redirect_uri,
        "KEY_FILE": str(key),
    }
    with subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        opened = portal.browser.get(process.stdout.readline().strip())
        back = portal.agree(portal.to_consent(Begun(opened, None, None, "")))
        said, complaint = process.communicate(back.headers["Location"] + "\n", timeout=TIMEOUT_S)
    assert process.returncode == 0, complaint
    claims = json.loads(said)
    assert claims["name"] == "홍길동"
    assert claims["sub"]
    assert claims["acr"].startswith(f"{rig.issuer}/acr/")


def test_the_commands_introspect_and_revoke_a_token(rig: Rig) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    gov24 = rig.portal("gov24")
    commands = next(body for body in blocks("docs/portals.md", "sh") if "/introspect" in body).splitlines()
    environment = {
        **os.environ,
        "SINWON": rig.issuer,
        "CLIENT_ID": "gov24",
        "CLIENT_SECRET": rig.prepared.portal_secret("gov24"),
        "access_token": gov24.sign_in()["access_token"],
        "no_proxy": "127.0.0.1",
    }

    def run(command: str) -> str:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=TIMEOUT_S,
        ).stdout

    introspect, revoke = commands
    assert json.loads(run(introspect))["active"] is True
    assert run(revoke) == ""
    assert json.loads(run(introspect)) == {"active": False}
