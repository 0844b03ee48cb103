"""A wallet profile is tried before holders meet it."""

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idp.cli import wallet_trial
from idp.demo import answering, pki, request
from idp.openid4vp import response
from idp.presentation.wallets import WalletProfile, parse
from idp.settings import Settings, load
from tests.test_wallets import CATALOGUE, GOOD

PROFILES = {entry["id"]: entry for entry in tomllib.loads(CATALOGUE.read_text("utf-8"))["wallet"]}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("trial")
    ca = pki.keep_ca(made / "ca", "A wallet's CA")
    pki.keep_leaf(made / "named", "Verifier", ca, ("idp.example",))
    pki.keep_leaf(made / "nameless", "Verifier", ca)
    return made


def settings(directory: Path, certificate: str = "named") -> Settings:
    return load(
        None,
        {},
        overrides={
            "mode": "sandbox",
            "issuer": "https://idp.example",
            "secrets.key_encryption_key": "11" * 31 + "aa",
            "secrets.pepper": "22" * 31 + "bb",
            "wallet.certificate_file": str(directory / f"{certificate}.pem"),
            "wallet.private_key_file": str(directory / f"{certificate}.key"),
        },
    )


def tried(directory: Path, profile: WalletProfile, certificate: str = "named") -> list[str]:
    return list(wallet_trial.run(settings(directory, certificate), profile))


@pytest.mark.parametrize("profile_id", [name for name, entry in PROFILES.items() if "protocol" not in entry])
def test_every_profile_of_the_catalogue_holds(directory: Path, profile_id: str) -> None:
    profile = parse(PROFILES[profile_id])
    lines = tried(directory, profile)
    assert len(lines) == 3 * len(profile.speaks)
    assert sum("is accepted" in line for line in lines) == len(profile.speaks)


def test_a_certificate_without_our_name_does_not_do_for_a_wallet_that_asks_for_it(directory: Path) -> None:
    profile = parse(PROFILES["openid4vp"])
    with pytest.raises(wallet_trial.TrialFailed, match="no dNSName"):
        tried(directory, profile, "nameless")


def test_a_protocol_without_a_built_in_wallet_says_so(directory: Path) -> None:
    with pytest.raises(wallet_trial.NotTried, match="no built-in wallet for mip"):
        tried(directory, parse({**GOOD, "protocol": "mip"}))


@pytest.mark.parametrize(
    ("change", "format"),
    [
        ({"session_transcript": "no-thumbprint"}, "mso_mdoc"),
        ({"session_transcript": "iso-18013-7"}, "mso_mdoc"),
    ],
    ids=str,
)
def test_a_wallet_that_does_otherwise_than_its_profile_says_is_found_out(
    directory: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], format: str
) -> None:
    real = answering.transcript

    def as_haip_has_it(asked: request.Request) -> list[Any]:
        return real(replace(asked, dialect=request.HAIP))

    monkeypatch.setattr(answering, "transcript", as_haip_has_it)
    with pytest.raises(wallet_trial.TrialFailed, match=f"{format}: its answer is refused: device_signature"):
        tried(directory, parse({**GOOD, **change, "formats": [format]}))


def test_a_verifier_that_takes_an_answer_to_another_request_is_found_out(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response, "_of_this_login", lambda payload, _ask: payload)
    real = response.credentials.Expected

    def careless(**expected: Any) -> Any:
        return real(**{**expected, "nonce": seen.setdefault("nonce", expected["nonce"])})

    seen: dict[str, str] = {}
    monkeypatch.setattr(response.credentials, "Expected", careless)
    with pytest.raises(wallet_trial.TrialFailed, match="an answer to another request is accepted"):
        tried(directory, parse({**GOOD, "formats": ["dc+sd-jwt"]}))
