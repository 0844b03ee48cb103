"""The files under deploy/ are sound as far as that shows without an engine, and agree with the settings."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from idp.settings.loading import FILE_FORMS, TYPES
from tests.topology.front import DEPLOY

ROOT = DEPLOY.parent
CHART = DEPLOY / "helm" / "sinwon"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SETTING = re.compile(r"\bIDP_[A-Z_]+\b")


def words(text: str) -> list[str]:
    return text.split()


# -- all of them: settings that exist ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    [DEPLOY / "Containerfile", DEPLOY / "compose.yaml", CHART / "templates/_parts.tpl", *UNITS],
    ids=lambda file: file.name,
)
def test_every_setting_that_is_given_is_one(file: Path) -> None:
    known = {f"IDP_{name.upper().replace('.', '__')}" for name in (*TYPES, *FILE_FORMS)}
    known |= {"IDP_CONFIG", "IDP_SERVER__MONITOR_BIND"}
    named = set(SETTING.findall(file.read_text("utf-8")))
    assert named
    assert named <= known


@pytest.mark.parametrize("source", ["compose", "helm"])
def test_the_examples_of_settings_hold_nothing_unknown_and_no_secret(source: str) -> None:
    text = (
        (DEPLOY / "compose/sinwon.example.toml").read_text("utf-8")
        if source == "compose"
        else yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))["settings"]
    )
    given = tomllib.loads(text)
    flat = {
        f"{section}.{name}" if isinstance(value, dict) else section
        for section, value in given.items()
        for name in (value if isinstance(value, dict) else [""])
    }
    assert flat <= {*TYPES, *FILE_FORMS}
    assert not {name for name in flat if name.startswith("secrets.")}


# -- the image -----------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Instruction and rest of each line of the Containerfile, continued lines joined."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text("utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_image_has_everything_that_the_wheel_is_built_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"]}
    needed |= {*project["project"]["license-files"], "pyproject.toml"}
    needed |= {"deploy/requirements.lock", "deploy/build.lock"}
    copied = {part for name, rest in instructions() if name == "COPY" for part in words(rest)[:-1]}
    assert needed <= copied
    for ignoring in (".containerignore", ".dockerignore"):
        kept = {
            line[1:] for line in (ROOT / ignoring).read_text("utf-8").splitlines() if line.startswith("!")
        }
        assert needed <= kept


def test_nothing_comes_into_the_image_that_has_no_hash() -> None:
    commands = [part.strip() for name, rest in instructions() if name == "RUN" for part in rest.split("&&")]
    installing = [words(command) for command in commands if "install" in words(command) and "pip" in command]
    assert len(installing) == 3
    for command in installing:
        assert {"--require-hashes", "-r"} <= set(command) or {"--no-index", "--no-deps"} <= set(command)


def test_the_image_runs_as_nobody_and_without_a_shell() -> None:
    last = instructions()[max(i for i, (name, _) in enumerate(instructions()) if name == "FROM") :]
    found = dict(last)
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", found["USER"])
    assert json.loads(found["ENTRYPOINT"]) == ["idp"]
    assert json.loads(found["CMD"]) == ["serve"]
    assert "RUN" not in [name for name, _ in last]


def test_the_images_health_check_tells_well_from_ill() -> None:
    (check,) = [rest for name, rest in instructions() if name == "HEALTHCHECK"]
    command = json.loads(check.partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    for status, code in ((200, 0), (500, 1)):
        with answering(status) as port:
            program = command[2].replace("9090", str(port))
            assert subprocess.run([sys.executable, "-c", program], check=False).returncode == code
    nobody = command[2].replace("9090", "1")
    assert subprocess.run([sys.executable, "-c", nobody], check=False, capture_output=True).returncode == 1


class answering:  # noqa: N801  read as a verb
    """A server that answers everything with this status; its port."""

    def __init__(self, status: int) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/healthz" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests print nothing."""

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._server.server_address[1])

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


# -- compose -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8")))


def test_every_container_may_do_as_little_as_it_can(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name
        assert {"cpus", "memory"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert "privileged" not in service, name


def test_every_container_says_how_it_is(compose: dict[str, Any]) -> None:
    """Its image does for the nodes; who listens nowhere has nothing to ask."""
    of_its_own = {name for name, one in compose["services"].items() if "test" in one.get("healthcheck", {})}
    silent = {name for name, one in compose["services"].items() if one.get("healthcheck", {}).get("disable")}
    assert of_its_own == {"nginx", "postgres", "redis"}
    assert silent == {"migrate", "worker"}


def test_the_world_reaches_the_proxy_alone_and_the_proxy_no_database(compose: dict[str, Any]) -> None:
    assert {name for name, one in compose["services"].items() if "ports" in one} == {"nginx"}
    assert compose["services"]["nginx"]["networks"] == ["outside"]
    assert compose["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis"):
        assert compose["services"][name]["networks"] == ["inside"]


def test_secrets_are_files_that_are_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service.get("secrets", [])) <= compose["secrets"].keys()
        for name, value in service.get("environment", {}).items():
            assert name.endswith("_FILE") or not re.search("PASSWORD|SECRET|KEY|PEPPER|URL", name)
            if str(value).startswith("/run/secrets/"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]
        for other in service.get("depends_on", {}):
            assert other in compose["services"]


def test_nobody_serves_before_the_database_is_up_to_date(compose: dict[str, Any]) -> None:
    assert compose["services"]["migrate"]["command"] == ["migrate"]
    assert compose["services"]["migrate"]["restart"] == "no"
    for name in ("node-1", "node-2", "worker"):
        assert compose["services"][name]["depends_on"]["migrate"] == {
            "condition": "service_completed_successfully"
        }


# -- the chart -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return dict(yaml.safe_load((CHART / "values.yaml").read_text("utf-8")))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return dict(json.loads((CHART / "values.schema.json").read_text("utf-8")))


def test_the_values_are_what_their_schema_says(values: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(values, schema, cls=jsonschema.Draft7Validator)
    assert values.keys() == schema["properties"].keys() - {"global"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("web.replica", 3),
        ("image.digest", "latest"),
        ("secrets.keys.pepper", "../x"),
        ("autoscaling.targetCPU", 0),
    ],
)
def test_wrong_values_are_refused(
    values: dict[str, Any], schema: dict[str, Any], path: str, value: object
) -> None:
    wrong = json.loads(json.dumps(values))
    *parents, last = path.split(".")
    place = wrong
    for name in parents:
        place = place[name]
    place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema, cls=jsonschema.Draft7Validator)


def templates() -> Iterator[tuple[str, str]]:
    for file in sorted((CHART / "templates").iterdir()):
        yield file.name, file.read_text("utf-8")


def test_templates_use_every_value_and_no_other(values: dict[str, Any]) -> None:
    used = {path for _, text in templates() for path in re.findall(r"\.Values\.([\w.]+)", text)}
    for path in used:
        place: Any = values
        for name in path.split("."):
            assert name in place, path
            place = place[name]
    leaves = {f"{section}.{name}" for section, one in values.items() if isinstance(one, dict) for name in one}
    unused = {
        leaf for leaf in leaves if not any(path == leaf or path.startswith(f"{leaf}.") for path in used)
    }
    assert unused == set()


def test_blocks_of_templates_are_closed() -> None:
    for name, text in templates():
        opened = re.findall(r"\{\{-?\s*(?:if|range|with|define)\b", text)
        assert len(opened) == len(re.findall(r"\{\{-?\s*end\b", text)), name
        assert text.count("{{") == text.count("}}"), name


def test_pods_keep_to_the_restricted_standard() -> None:
    text = dict(templates())["_parts.tpl"]
    for line in (
        "runAsNonRoot: true",
        "seccompProfile: {type: RuntimeDefault}",
        "allowPrivilegeEscalation: false",
        "readOnlyRootFilesystem: true",
        "capabilities: {drop: [ALL]}",
        "automountServiceAccountToken: false",
    ):
        assert line in text
    for name, template in templates():
        n_containers = len(re.findall(r"^ +- name: \w+\n +args:", template, re.MULTILINE))
        assert template.count('include "sinwon.container"') == n_containers, name


def test_no_secret_is_made_by_the_chart() -> None:
    assert not [name for name, text in templates() if re.search(r"^kind: Secret$", text, re.MULTILINE)]


# -- systemd -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The units, with a command that is there."""
    directory = tmp_path_factory.mktemp("units")
    command = str(shutil.which("true"))
    for unit in UNITS:
        changed = unit.read_text("utf-8").replace("/opt/sinwon/bin/idp", command)
        (directory / unit.name).write_text(changed, "utf-8")
    return sorted(directory.iterdir())


def test_systemd_understands_the_units(systemd_analyze: Path, units: list[Path]) -> None:
    command = [systemd_analyze, "verify", "--man=no", "--recursive-errors=no", *units]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "sinwon" in line]
    assert ours == []
    assert done.returncode == 0


def test_systemd_finds_little_that_a_unit_could_do_harm_with(
    systemd_analyze: Path, units: list[Path]
) -> None:
    for unit in units:
        command = [systemd_analyze, "security", "--offline=true", "--no-pager", "--threshold=15", unit]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_a_unit_that_serves_may_hold_as_many_waiting_pages_as_come() -> None:
    for name in ("sinwon.service", "sinwon-worker.service"):
        assert "\nLimitNOFILE=65536\n" in (DEPLOY / "systemd" / name).read_text("utf-8")
