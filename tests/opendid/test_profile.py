"""The key that signs our profiles: which files are keys, and what is signed with it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from idp.credentials import data_proof, multibase
from idp.opendid.profile import Signer, SignerError

KEY_URL = "did:omn:sinwon?versionId=1#assert"


def settings(path: Path) -> Any:
    return SimpleNamespace(opendid=SimpleNamespace(verification_method=KEY_URL, private_key_file=str(path)))


def written(tmp_path: Path, key: Any) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_a_profile_is_signed_with_the_key_of_our_document(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    signer = Signer(settings(written(tmp_path, key)))
    made = signer.signed({"title": "정부24"}, 1_700_000_000)
    assert signer.did == "did:omn:sinwon"
    assert made["proof"]["verificationMethod"] == KEY_URL
    assert made["proof"]["created"] == "2023-11-14T22:13:20Z"
    signature = multibase.decode(made["proof"]["proofValue"])
    assert data_proof.verifies(key.public_key(), signature, data_proof.signing_input(made, made["proof"]))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=["P-384", "RSA"],
)
def test_a_key_of_another_kind_is_refused_at_the_start(tmp_path: Path, key: Any) -> None:
    with pytest.raises(SignerError, match="P-256"):
        Signer(settings(written(tmp_path, key)))


@pytest.mark.parametrize("content", [b"", b"not PEM"])
def test_a_file_that_is_no_key_is_refused_at_the_start(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(SignerError, match=r"opendid\.private_key_file"):
        Signer(settings(path))
