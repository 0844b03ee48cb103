"""A token in SoftHSM, as tests and the processes that they start use it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from idp import hsm as hsms
from idp.hsm import Hsm
from tests.servers import Missing

_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
LABEL, PIN = "sinwon", "4711-0815"
_CONFIGURATION = "SOFTHSM2_CONF"


def module() -> Path:
    """SoftHSM's library. Raises Missing."""
    found = next((Path(name) for name in _MODULES if Path(name).exists()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        raise Missing("no SoftHSM here (Debian package: softhsm2)")
    return found


@dataclass(frozen=True)
class Token:
    """An initialised token: `settings` name it as a deployment does."""

    module: Path
    directory: Path

    @property
    def settings(self) -> dict[str, str]:
        return {
            "hsm.module": str(self.module),
            "hsm.token": LABEL,
            "hsm.pin_file": str(self.directory / "pin"),
        }

    @property
    def environment(self) -> dict[str, str]:
        return {f"IDP_{name.upper().replace('.', '__')}": value for name, value in self.settings.items()}

    def hsm(self, *, label: str = LABEL, pin: str = PIN) -> Hsm:
        return Hsm(str(self.module), label, pin.encode())

    @contextmanager
    def taken_out(self) -> Iterator[None]:
        """The token is not there until the context ends."""
        away = self.directory / "away"
        (self.directory / "tokens").rename(away)
        (self.directory / "tokens").mkdir()
        try:
            yield
        finally:
            (self.directory / "tokens").rmdir()
            away.rename(self.directory / "tokens")


@contextmanager
def initialised(module: Path, directory: Path) -> Iterator[Token]:
    """A new token for this process and those that it starts, until the context ends."""
    (directory / "tokens").mkdir()
    (directory / "pin").write_text(PIN + "\n", "utf-8")
    configuration = directory / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {directory / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n",
        "utf-8",
    )
    before = os.environ.get(_CONFIGURATION)
    os.environ[_CONFIGURATION] = str(configuration)
    try:
        made = [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            LABEL,
            "--pin",
            PIN,
            "--so-pin",
            "so-" + PIN,
        ]
        subprocess.run(made, check=True, capture_output=True)
        hsms.let_go()  # what another module's tests had open
        yield Token(module, directory)
    finally:
        hsms.let_go()
        if before is None:
            del os.environ[_CONFIGURATION]
        else:
            os.environ[_CONFIGURATION] = before
