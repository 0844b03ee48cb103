"""Where keys are: each in one place, a file (or the environment) or the HSM, and the HSM named whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator

from idp.settings.fields import Settings

_LABELS = ("wallet_key", "opendid_key", "key_encryption_key", "next_key_encryption_key")


def conflicts(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What cannot stand together: the settings involved, the one to report at first, and why."""
    hsm, secrets = settings.hsm, settings.secrets
    labels = [name for name in _LABELS if getattr(hsm, name)]
    if hsm.module:
        if not hsm.token:
            yield ("hsm.token", "hsm.module"), "required, the label of the token in the HSM"
        if not hsm.pin.reveal():
            yield ("hsm.pin", "hsm.module"), "required, as hsm.pin_file or IDP_HSM__PIN"
    else:
        given = [*labels, *(["token"] if hsm.token else []), *(["pin"] if hsm.pin.reveal() else [])]
        for name in given[:1]:
            yield (f"hsm.{name}", "hsm.module"), "needs hsm.module, the PKCS#11 library of the HSM"
    places = (
        ("secrets.key_encryption_key", bool(secrets.key_encryption_key.reveal()), "key_encryption_key"),
        (
            "secrets.next_key_encryption_key",
            bool(secrets.next_key_encryption_key.reveal()),
            "next_key_encryption_key",
        ),
        ("wallet.private_key_file", bool(settings.wallet.private_key_file), "wallet_key"),
        ("opendid.private_key_file", bool(settings.opendid.private_key_file), "opendid_key"),
    )
    for name, is_given, label in places:
        if is_given and label in labels:
            yield (name, f"hsm.{label}"), f"also given as hsm.{label}: keep one of them"
    if not secrets.key_encryption_key.reveal() and not hsm.key_encryption_key:
        names = ("secrets.key_encryption_key", "hsm.key_encryption_key")
        yield names, "required, here or as secrets.key_encryption_key_file; or hsm.key_encryption_key"
    if not settings.wallet.private_key_file and not hsm.wallet_key:
        yield ("wallet.private_key_file", "hsm.wallet_key"), "required; or hsm.wallet_key"
    following = secrets.next_key_encryption_key
    if following.reveal() and following in (secrets.key_encryption_key, secrets.pepper):
        names = ("secrets.next_key_encryption_key", "secrets.key_encryption_key")
        yield names, "must be another than the key it follows, and than the pepper"
    if hsm.next_key_encryption_key and hsm.next_key_encryption_key == hsm.key_encryption_key:
        yield ("hsm.next_key_encryption_key",), "must be another than the key it follows"
