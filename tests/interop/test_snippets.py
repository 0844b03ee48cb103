"""The apps to copy, run as they are printed until somebody is signed in: Python, Node.js, shell."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import tomli_w

from idp.admin.snippets import LANGUAGES
from tests import ephemeral
from tests.ephemeral import Demonstration
from tests.interop.conftest import HERE, Peers
from tests.servers import free_port
from tests.waiting import eventually


@pytest.fixture(scope="module")
def demo() -> Iterator[Demonstration]:
    with ephemeral.demonstration() as running:
        yield running


class App:
    """The app of a portal that is registered for it, in a directory of its own."""

    def __init__(self, demo: Demonstration, language: str, like: str, directory: Path) -> None:
        self.demo = demo
        self.port = free_port()
        self.client_id = f"{language}-{like}"
        registered = {one["client_id"]: one for one in demo.prepared.clients()}
        strict = {"profile": "fapi2", "dpop_bound_access_tokens": True, "cross_device": False}
        given = {**registered["test_key"], **strict} if like == "fapi2" else registered[like]
        path = "login/oauth2/code/sinwon" if language == "spring" else "callback"
        changed = {"client_id": self.client_id, "redirect_uris": [f"http://127.0.0.1:{self.port}/{path}"]}
        file = directory / "portals.toml"
        file.write_text(tomli_w.dumps({"portal": [{**given, **changed}]}), "utf-8")
        applied = demo.idp("portals", "apply", str(file))
        assert applied.returncode == 0, applied.stderr
        printed = demo.idp("portals", "snippet", self.client_id, "--for", language)
        assert printed.returncode == 0, printed.stderr
        self.file = directory / LANGUAGES[language].filename
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(printed.stdout, "utf-8")
        portals = Path(demo.told["directory"]) / "portals"
        self.environment = {
            **ephemeral.environment(),
            "NO_PROXY": "127.0.0.1",
            "SINWON_CLIENT_SECRET": (portals / "test.secret").read_text("ascii"),
            "SINWON_CLIENT_KEY_FILE": str(portals / "test_key.key"),
        }

    @contextmanager
    def running(self, command: list[str], directory: Path) -> Iterator[httpx2.Client]:
        """A browser at the app's first page."""
        log = (directory / "log").open("w", encoding="utf-8")
        process = subprocess.Popen(
            command, cwd=directory, env=self.environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            eventually(lambda: process.poll() is not None or self._answers(), within_s=120)
            assert process.poll() is None, (directory / "log").read_text("utf-8")
            with httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False) as browser:
                yield browser
        finally:
            process.terminate()
            process.wait(timeout=60)
            log.close()

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/", trust_env=False).status_code < 500
        except httpx2.TransportError:
            return False

    def sign_in(self, browser: httpx2.Client, login: str, **wish: str) -> httpx2.Response:
        """The page that the browser ends at."""
        away = browser.get(login)
        assert away.has_redirect_location, away.text
        back = self.demo.sign_in(away.headers["Location"], **wish)
        return browser.get(back["location"], follow_redirects=True)


def try_app(app: App, command: list[str], directory: Path, login: str = "/login") -> None:
    """A sign-in, then one that is declined, then an answer to nobody's question."""
    with app.running(command, directory) as browser:
        page = app.sign_in(browser, login)
        assert page.status_code == 200, page.text
        assert page.json()["name"] == "홍길동"
        assert page.json()["sub"]
    with app.running(command, directory) as browser:
        declined = app.sign_in(browser, login, fault="decline")
        assert "홍길동" not in declined.text
        stray = browser.get("/callback?code=abc&state=abc&iss=x", follow_redirects=False)
        assert "홍길동" not in stray.text


CLIENTS = ("test", "test_key", "fapi2")
"""Registrations of the demonstration, and the second of them in the strict profile."""


@pytest.mark.parametrize("like", CLIENTS)
def test_the_python_app_signs_somebody_in(demo: Demonstration, tmp_path: Path, like: str) -> None:
    app = App(demo, "python", like, tmp_path)
    try_app(app, [sys.executable, "app.py"], tmp_path)


@pytest.mark.node
@pytest.mark.parametrize("like", CLIENTS)
def test_the_node_app_signs_somebody_in(
    demo: Demonstration,
    tmp_path: Path,
    peers: Peers,
    like: str,
) -> None:
    app = App(demo, "node", like, tmp_path)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    try_app(app, [str(peers.node), "app.mjs"], tmp_path)


@pytest.mark.parametrize("like", CLIENTS)
def test_the_shell_script_shows_tokens_and_claims(demo: Demonstration, tmp_path: Path, like: str) -> None:
    if missing := [name for name in ("bash", "curl", "openssl") if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    app = App(demo, "curl", like, tmp_path)
    process = subprocess.Popen(
        ["/bin/bash", "sign-in.sh"],
        cwd=tmp_path,
        env=app.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        back = demo.sign_in(process.stdout.readline().strip())
        said, errors = process.communicate(back["location"] + "\n", timeout=60)
    assert process.returncode == 0, errors
    assert '"id_token"' in said
    assert "홍길동" in said.encode().decode("unicode_escape") or "홍길동" in said


@pytest.fixture(scope="session")
def spring_classpath(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The libraries of `spring/pom.xml`, from Maven Central or from where Maven keeps them."""
    if missing := [name for name in ("mvn", "javac") if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    found = tmp_path_factory.mktemp("spring") / "classpath"
    asked = ["mvn", "-q", "-B", "-f", str(HERE / "spring" / "pom.xml"), "dependency:build-classpath"]
    ended = subprocess.run(
        [*asked, f"-Dmdep.outputFile={found}"], capture_output=True, text=True, timeout=500, check=False
    )
    if ended.returncode:
        pytest.skip("Maven could not fetch Spring Boot: no network?")
    return found.read_text("utf-8").strip()


@pytest.mark.parametrize("like", CLIENTS[:2])
def test_the_spring_app_signs_somebody_in(
    demo: Demonstration, tmp_path: Path, spring_classpath: str, like: str
) -> None:
    app = App(demo, "spring", like, tmp_path)
    classpath = f"classes:{spring_classpath}"
    compiling = ["javac", "-parameters", "-d", "classes", "-cp", classpath, str(app.file)]
    compiled = subprocess.run(compiling, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", classpath, "portal.Portal"]
    try_app(app, command, tmp_path, login="/oauth2/authorization/sinwon")
