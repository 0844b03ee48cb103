"""The command line: every problem named, nothing half done."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from idp.demo import seeds


@dataclass
class Deployment:
    """A sandbox deployment's files, and `idp` run on them as an operator runs it."""

    directory: Path
    prepared: seeds.Prepared
    environ: dict[str, str]

    @property
    def config(self) -> Path:
        return self.directory / "sinwon.toml"

    def idp(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "idp.cli", *arguments]
        return subprocess.run(
            command,
            cwd=self.directory,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    issuer = "http://127.0.0.1:18999"
    prepared = seeds.prepare(
        tmp_path / "guests",
        issuer=issuer,
        portals_url="http://127.0.0.1:18998",
        wallet_url="http://127.0.0.1:18998/wallet",
        authority_url="http://127.0.0.1:18998/authority",
    )
    settings = f"""
mode = "sandbox"
issuer = "{issuer}"
[database]
url = "sqlite:///{tmp_path / "sinwon.db"}"
[secrets]
key_encryption_key = "{"1f" * 31}aa"
pepper = "{"2e" * 31}bb"
[wallet]
certificate_file = "{prepared.request_signer_certificates}"
private_key_file = "{prepared.request_signer_key}"
"""
    (tmp_path / "sinwon.toml").write_text(settings, "utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    environ = {**kept, "PYTHONPATH": str(Path.cwd()), "IDP_CONFIG": str(tmp_path / "sinwon.toml")}
    yield Deployment(tmp_path, prepared, environ)


def test_good_settings_are_called_fine(deployment: Deployment) -> None:
    done = deployment.idp("check-config")
    assert done.returncode == 0, done.stderr
    assert "x509_hash:" in done.stdout


def test_every_problem_of_the_settings_is_named_and_no_secret(deployment: Deployment) -> None:
    text = deployment.config.read_text("utf-8")
    deployment.config.write_text(
        text.replace('mode = "sandbox"', 'mode = "sandbx"').replace("[wallet]", "[wallet]\nqr = 1"), "utf-8"
    )
    done = deployment.idp("check-config")
    assert done.returncode == 1
    assert "mode" in done.stderr
    assert "wallet.qr" in done.stderr
    assert "1f1f" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_key_that_is_not_the_certificates_is_a_problem(deployment: Deployment) -> None:
    other = deployment.prepared.directory / "missions" / "LAX-signer.key"
    candidates = [other, *deployment.prepared.directory.rglob("*.key")]
    key = next(
        file for file in candidates if file.is_file() and file != deployment.prepared.request_signer_key
    )
    done = deployment.idp("check-config", IDP_WALLET__PRIVATE_KEY_FILE=str(key))
    assert done.returncode == 1
    assert "wallet.private_key_file" in done.stderr


def test_commands_on_an_old_database_say_what_to_do(deployment: Deployment) -> None:
    done = deployment.idp("keys", "list")
    assert done.returncode == 1
    assert "idp migrate" in done.stderr


def test_a_deployment_is_set_up_from_files_and_twice_changes_nothing(deployment: Deployment) -> None:
    assert deployment.idp("migrate").returncode == 0
    trust = deployment.idp("trust", "apply", str(deployment.prepared.trust_file))
    assert trust.returncode == 0, trust.stderr
    assert "LAX" in trust.stdout
    portals = deployment.idp("portals", "apply", str(deployment.prepared.portals_file))
    assert "gov24" in portals.stdout
    for command in (("trust", deployment.prepared.trust_file), ("portals", deployment.prepared.portals_file)):
        again = deployment.idp(command[0], "apply", str(command[1]))
        assert again.stdout.strip() == "Changed: nothing"


def test_a_wrong_portal_stops_the_whole_file(deployment: Deployment) -> None:
    deployment.idp("migrate")
    text = deployment.prepared.portals_file.read_text("utf-8")
    wrong = deployment.directory / "wrong.toml"
    wrong.write_text(
        text.replace('"client_secret_basic"', '"magic"').replace("kr_passport", "kr_pasport"), "utf-8"
    )
    done = deployment.idp("portals", "apply", str(wrong))
    assert done.returncode == 1
    assert "gov24" in done.stderr
    assert "kr_pasport" in done.stderr
    assert (
        deployment.idp("portals", "apply", str(deployment.prepared.portals_file)).stdout.count("gov24") == 1
    )


@pytest.mark.parametrize(
    ("file", "text"), [("portals", "[[portal"), ("trust", "\xff"), ("trust", '[[mission]]\ncode = "LAX"')]
)
def test_a_file_that_cannot_be_read_is_named(deployment: Deployment, file: str, text: str) -> None:
    deployment.idp("migrate")
    broken = deployment.directory / "broken.toml"
    broken.write_bytes(text.encode("latin-1"))
    done = deployment.idp(file, "apply", str(broken))
    assert done.returncode == 1
    assert "broken.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_rotated_key_is_published_before_it_signs(deployment: Deployment) -> None:
    deployment.idp("migrate")
    first = deployment.idp("keys", "rotate", "ES256", "--at-once")
    assert first.returncode == 0, first.stderr
    second = deployment.idp("keys", "rotate", "ES256")
    assert second.returncode == 0, second.stderr
    listed = deployment.idp("keys", "list").stdout.splitlines()
    states = {line.split()[0]: line.split()[2] for line in listed if " ES256 " in line}
    assert states[first.stdout.split()[-1]] == "active"
    assert states[second.stdout.split()[-1]] == "published"
    assert deployment.idp("keys", "remove", first.stdout.split()[-1]).returncode == 0
    after = deployment.idp("keys", "list").stdout
    assert [line.split()[2] for line in after.splitlines() if second.stdout.split()[-1] in line] == ["active"]
    unknown = deployment.idp("keys", "remove", "nobody")
    assert unknown.returncode == 1
    assert "nobody" in unknown.stderr


@pytest.mark.parametrize("name", ["IDP_CONFIG", "IDP_MODE"])
def test_the_demo_does_not_run_on_a_deployments_settings(deployment: Deployment, name: str) -> None:
    environ = {key: value for key, value in deployment.environ.items() if key != "IDP_CONFIG"}
    deployment.environ = {**environ, name: "production"}
    done = deployment.idp("demo", "--check")
    assert done.returncode == 1
    assert "Unset" in done.stderr
    assert not (deployment.directory / "var").exists()


def test_the_demo_signs_in_at_every_portal(deployment: Deployment) -> None:
    deployment.environ.pop("IDP_CONFIG")
    done = deployment.idp("demo", "--check")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert done.stderr == ""


def test_the_demo_tells_machines_where_everything_is(deployment: Deployment) -> None:
    deployment.environ.pop("IDP_CONFIG")
    command = [sys.executable, "-m", "idp.cli", "demo", "--port", "0", "--print-json", "--directory", "demo"]
    process = subprocess.Popen(
        command, cwd=deployment.directory, env=deployment.environ, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        assert where["discovery"].startswith(where["issuer"])
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_what_expired_is_swept_and_nothing_else(deployment: Deployment) -> None:
    deployment.idp("migrate")
    with closing(sqlite3.connect(deployment.directory / "sinwon.db")) as database, database:
        rows = [("login", "a" * 64, 1), ("login", "b" * 64, 2**40)]
        database.executemany("INSERT INTO consumed (kind, digest, expires_at) VALUES (?, ?, ?)", rows)
    done = deployment.idp("sweep")
    assert done.stdout == "Deleted 1 rows.\n", done.stderr
    with closing(sqlite3.connect(deployment.directory / "sinwon.db")) as database:
        assert database.execute("SELECT digest FROM consumed").fetchall() == [("b" * 64,)]
