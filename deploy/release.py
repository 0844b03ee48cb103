#!/usr/bin/env python3
"""Make a release, or the locks that it is made with. Needs Python, git and the package index.

    python3 deploy/release.py build          dist/: wheel, its lock, SBOM, provenance, SHA256SUMS
    python3 deploy/release.py lock           deploy/*.lock anew (needs uv: pip install uv -c deploy/constraints.txt)

Everything that is fetched has its hash in a lock. The wheel is the same for whoever builds the same commit: its times
are those of the commit (SOURCE_DATE_EPOCH), its builder is in `build.lock`. The SBOM (CycloneDX) describes what is
installed beside the wheel from `requirements.lock`, with licences and who asks for what. The provenance (SLSA v1.0, in
an in-toto statement) says of which commit and with which locks; it is unsigned, which is what a build at one's own
desk can say (build level 1).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
LOCKS = {
    "requirements.lock": ["pyproject.toml"],
    "build.lock": ["--group", "build"],
}
"""Each lock, and what uv reads it from."""


def lock() -> None:
    """Pin, with hashes, what `constraints.txt` pins by version, for every system and Python that Sinwon runs on."""
    for name, source in LOCKS.items():
        command = ["uv", "pip", "compile", "--quiet", *source, "--universal", "--python-version", "3.11"]
        command += ["--generate-hashes", "--no-strip-extras", "--no-annotate", "-c", "deploy/constraints.txt"]
        command += ["--custom-compile-command", "python3 deploy/release.py lock", "-o", f"deploy/{name}"]
        subprocess.run(command, cwd=PROJECT, check=True)


def build(into: Path, builder: str) -> None:
    """A whole release of the commit that is checked out."""
    into.mkdir(parents=True, exist_ok=True)
    into = into.resolve()
    commit, epoch = checked_out()
    with tempfile.TemporaryDirectory() as temporary:
        tools, runtime = Path(temporary) / "tools", Path(temporary) / "runtime"
        venv.create(tools, with_pip=True)
        venv.create(runtime)
        python = tools / "bin/python"
        install(python, tools, "--require-hashes", "--only-binary", ":all:", "-r", "deploy/build.lock")
        install(
            python, runtime, "--require-hashes", "--only-binary", ":all:", "-r", "deploy/requirements.lock"
        )
        wheel = build_wheel(python, PROJECT, into, epoch)
        described = into / f"{wheel.name.partition('-py3')[0]}.cdx.json"
        make_sbom(python, runtime / "bin/python", described, epoch)
    statement = into / f"{wheel.name}.provenance.json"
    made = provenance([wheel, described], builder=builder, epoch=epoch, commit=commit)
    statement.write_text(json.dumps(made, indent=2) + "\n", "utf-8")
    beside = Path(shutil.copy(PROJECT / "deploy/requirements.lock", into))
    sums = "".join(f"{sha256(file)}  {file.name}\n" for file in (wheel, beside, described, statement))
    (into / "SHA256SUMS").write_text(sums, "utf-8")
    print(sums, end="")


def install(pip: Path, into: Path, *what: str) -> None:
    """Install into an environment, which needs no pip of its own."""
    command = [
        pip,
        "-m",
        "pip",
        "--python",
        into / "bin/python",
        "--disable-pip-version-check",
        "-q",
        "install",
    ]
    subprocess.run([*command, *what], cwd=PROJECT, check=True)


def build_wheel(python: Path, project: Path, into: Path, epoch: int) -> Path:
    """The wheel, made by this interpreter's hatchling; its path."""
    with tempfile.TemporaryDirectory() as alone:
        command = [python, "-m", "hatchling", "build", "-t", "wheel", "-d", alone]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
        subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
        (made,) = Path(alone).glob("*.whl")
        return Path(shutil.copy(made, into))


def make_sbom(python: Path, environment: Path, output: Path, epoch: int) -> None:
    """Sinwon and what an interpreter's environment holds, as CycloneDX 1.6, checked against its schema."""
    command = [python, "-m", "cyclonedx_py", "environment", environment, "--pyproject", "pyproject.toml"]
    command += ["--mc-type", "application", "--sv", "1.6", "--of", "JSON", "--output-reproducible"]
    command += ["--validate", "-o", output]
    subprocess.run(command, cwd=PROJECT, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}, check=True)


def provenance(files: list[Path], *, builder: str, epoch: int, commit: str | None) -> Mapping[str, Any]:
    """Of what, by whom and with what these files were made (https://slsa.dev/spec/v1.0/provenance)."""
    locks = [PROJECT / "deploy" / name for name in LOCKS]
    of_source = [{"uri": "git+file:.", "digest": {"gitCommit": commit}}] if commit else []
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": file.name, "digest": {"sha256": sha256(file)}} for file in files],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:sinwon:release:1",
                "externalParameters": {"command": "python3 deploy/release.py build"},
                "internalParameters": {"SOURCE_DATE_EPOCH": epoch, "python": sys.version.split()[0]},
                "resolvedDependencies": [
                    *of_source,
                    *({"uri": f"file:deploy/{one.name}", "digest": {"sha256": sha256(one)}} for one in locks),
                ],
            },
            "runDetails": {
                "builder": {"id": builder},
                "metadata": {"finishedOn": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")},
            },
        },
    }


def checked_out() -> tuple[str | None, int]:
    """The commit and its time. Without git, the time is SOURCE_DATE_EPOCH, which then must be given."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if not (PROJECT / ".git").exists():
        if given is None:
            raise SystemExit("this is no git checkout: give the time of the release in SOURCE_DATE_EPOCH")
        return None, int(given)
    if git("status", "--porcelain"):
        raise SystemExit("there are changes that are not committed: a release is of a commit")
    return git("rev-parse", "HEAD"), int(given or git("log", "-1", "--format=%ct"))


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(prog="release.py", description=__doc__.splitlines()[0])
    acts = parser.add_subparsers(dest="act", required=True)
    building = acts.add_parser("build", help="wheel, SBOM, provenance and SHA256SUMS")
    building.add_argument("--into", type=Path, default=PROJECT / "dist")
    building.add_argument(
        "--builder", default="urn:sinwon:builder:local", help="URI of who builds, for the provenance"
    )
    acts.add_parser("lock", help="the locks anew")
    asked = parser.parse_args()
    if asked.act == "lock":
        lock()
    else:
        build(asked.into, asked.builder)


if __name__ == "__main__":
    main()
