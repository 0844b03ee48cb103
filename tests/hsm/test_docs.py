"""What docs/operations.md says about a token in SoftHSM is done, word for word but for the places."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from tests.deployed import PROJECT
from tests.softhsm import Token

OPERATIONS = (PROJECT / "docs" / "operations.md").read_text("utf-8")


def block(language: str, first_line: str) -> str:
    (found,) = re.findall(rf"^```{language}\n{first_line}\n(.*?)^```$", OPERATIONS, re.DOTALL | re.MULTILINE)
    return str(found)


def test_a_token_and_its_keys_are_made_as_the_page_says(token: Token, tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n", "utf-8")
    places = {"/etc/sinwon/secrets": str(tmp_path), "~": str(tmp_path)}
    table = block("toml", "# /etc/sinwon/sinwon.toml\n\\[hsm\\]").replace(
        "/usr/lib/softhsm/libsofthsm2.so", str(token.module)
    )
    script = block("sh", "# a token") + block("sh", "# keys in it")
    for written, here in places.items():
        assert written in table + script
        table, script = table.replace(written, here), script.replace(written, here)
    (tmp_path / "sinwon.toml").write_text("[hsm]\n" + table, "utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    environ |= {
        "PATH": f"{Path(sys.executable).parent}:{environ['PATH']}",
        "IDP_CONFIG": str(tmp_path / "sinwon.toml"),
        "SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf"),
    }
    done = subprocess.run(
        ["/bin/sh", "-euc", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    listed = [line.split("  ")[:2] for line in done.stdout.splitlines()[-3:]]
    assert listed == [["kek-2026", "secret key"], ["wallet", "private key"], ["wallet", "public key"]]
    request = x509.load_pem_x509_csr((tmp_path / "wallet.csr").read_bytes())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=Sinwon,O=Example,C=KR"


@pytest.mark.parametrize("name", ["hsm-pin", "hsm-officer-pin"])
def test_the_page_keeps_pins_to_their_owner(name: str) -> None:
    script = block("sh", "# a token")
    assert script.index("umask 077") < script.index(name)
