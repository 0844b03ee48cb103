"""Talking with a script line by line, and keys as scripts take them."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from idp.demo import jose

TIMEOUT_S = 60


class PeerFailed(AssertionError):
    """A library refused or a script broke; the message is theirs."""


class Conversation:
    """A script that is spoken to line by line, each line a JSON value."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def say(self, value: Any) -> Any:
        """Send a value and wait `TIMEOUT_S` for the answer. Raises PeerFailed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(TIMEOUT_S, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        answer = json.loads(line) if line else {"failed": "the script ended; its standard error says why"}
        if "failed" in answer:
            raise PeerFailed(answer["failed"])
        return answer


def private_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """A P-256 key as the scripts take it."""
    number = key.private_numbers().private_value.to_bytes(32, "big")
    return {**public_jwk(key), "d": jose.encode(number)}


def public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """Its public half."""
    return dict(jose.public_jwk(key.public_key()))
