"""No secret is in the repository: no key, no token, no password that looks like one somebody uses."""

from __future__ import annotations

import base64
import math
import re
import secrets
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import ECKey

PROJECT = Path(__file__).parent.parent
MIN_ENTROPY_BITS = 3.5
"""Per character. A random secret of 32 characters has more than 4; words and paths have less."""

KEY_FILES = re.compile(r"\.(p12|pfx|jks|key|kdbx|keytab)$|(^|/)(\.env|id_rsa|id_ed25519|\.netrc|\.pypirc)$")
PATTERNS = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\\?n?\s*[A-Za-z0-9+/=\s]{40,}"),
    "private JWK": re.compile(r"""["'](?:d|dp|dq|qi)["']\s*:\s*["'][A-Za-z0-9_-]{40,}["']"""),
    "signed token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{40,}"),
    "cloud key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{35}\b"),
    "forge token": re.compile(
        r"\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bglpat-[A-Za-z0-9_-]{20}\b|\bpypi-[A-Za-z0-9_-]{50,}"
    ),
    "chat token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "URL with a password": re.compile(r"\b[a-z+]{3,30}://[^\s:/@\"'{}<>$]+:[^\s:/@\"'{}<>$*]{12,}@[a-z0-9]"),
}
NAMED = re.compile(
    r"""(?ix) (?:secret|passwd|password|pepper|token|api_?key|encryption_key|private_key) [\w.-]* ["']?
        \s*[:=]\s* ["'] (?P<value>[A-Za-z0-9+/_=-]{20,}) ["']"""
)
ROW = "0123456789abcdef"
"""No secret, in whatever length."""


def entropy_bits(text: str) -> float:
    """Shannon's, per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def secrets_in(text: str) -> Iterator[str]:
    """What kinds of secrets a text holds, never the secrets."""
    yield from (kind for kind, pattern in PATTERNS.items() if pattern.search(text))
    for match in NAMED.finditer(text):
        value = match["value"]
        # Words have no digits; the names of settings, files and grants are words.
        n_digits = sum(map(str.isdigit, value))
        if n_digits > 3 and entropy_bits(value) >= MIN_ENTROPY_BITS and ROW not in value.lower():
            yield "named secret"


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    if not (PROJECT / ".git").exists():
        pytest.skip("this is no git checkout")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return [PROJECT / name for name in done.stdout.split("\0") if name and (PROJECT / name).is_file()]


def test_no_file_of_the_repository_holds_a_secret(tracked: list[Path]) -> None:
    found = {
        f"{file.relative_to(PROJECT)}: {kind}"
        for file in tracked
        for kind in secrets_in(file.read_bytes().decode("utf-8", "replace"))
    }
    assert found == set()
    assert len(tracked) > 800


def test_no_file_is_of_a_kind_that_holds_secrets(tracked: list[Path]) -> None:
    assert [file for file in tracked if KEY_FILES.search(str(file.relative_to(PROJECT)))] == []


def _pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _samples() -> dict[str, str]:
    key = ECKey.generate_key("P-256")
    random = secrets.token_urlsafe(40).replace("-", "7").replace("_", "3") + "1234"
    return {
        "private key": _pem(),
        "private key in a string": repr(_pem()),
        "private JWK": str(key.as_dict(private=True)),
        "signed token": jwt.encode(
            {"alg": "ES256"}, {"sub": "somebody", "iss": "us"}, key, algorithms=["ES256"]
        ),
        "cloud key": "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode(),
        "forge token": "ghp_" + random[:36],
        "URL with a password": f"postgresql://sinwon:{random[:20]}@db/sinwon",
        "client_secret of a form": f'client_secret = "{random}"',
        "pepper in JSON": f'{{"pepper": "{secrets.token_hex(32)}"}}',
        "setting in the environment": f"IDP_SECRETS__KEY_ENCRYPTION_KEY='{secrets.token_hex(32)}'",
    }


@pytest.mark.parametrize("kind", _samples())
def test_a_secret_that_was_put_there_is_found(kind: str) -> None:
    assert list(secrets_in(f"first line\n{_samples()[kind]}\nlast line"))


@pytest.mark.parametrize(
    "text",
    [
        'token_endpoint_auth_method = "client_secret_basic"',
        'grant_type = "urn:ietf:params:oauth:grant-type:token-exchange"',
        'client_secret_sha256 = ["…"]',
        "postgresql://sinwon@db/sinwon",
        "secrets.key_encryption_key_file = '/run/secrets/key-encryption-key-1'",
    ],
)
def test_what_only_names_one_is_not(text: str) -> None:
    assert list(secrets_in(text)) == []
