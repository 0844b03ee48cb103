"""Wallet profiles: what can be said in one, which are in use, and the catalogue that is shipped."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from idp.admin import wallets
from idp.bare import bare_app
from idp.credentials.trust import CredentialTypeTrust, FormatTrust
from idp.models import AuditEvent, db
from idp.portals import Registration
from idp.presentation.question import Alternative, Question
from idp.presentation.wallets import ProfileError, WalletProfile, parse
from idp.settings import load
from tests import tables
from tests.rig import Clock

CATALOGUE = Path(__file__).parent.parent / "deploy" / "wallets.toml"
GOOD: dict[str, Any] = {
    "id": "haip",
    "version": 1,
    "name": {"ko": "지갑", "en": "Wallet"},
    "link": "haip-vp://",
}
TEXTS = {"ko": "가", "en": "a"}
DEFAULT = parse({**GOOD, "id": "default"})


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    settings = load(
        None,
        {},
        overrides={
            "mode": "sandbox",
            "issuer": "https://idp.example",
            "database.url": f"sqlite:///{tmp_path / 'sinwon.db'}",
            "secrets.key_encryption_key": "11" * 31 + "aa",
            "secrets.pepper": "22" * 31 + "bb",
            "wallet.certificate_file": str(CATALOGUE),
            "wallet.private_key_file": str(CATALOGUE),
        },
    )
    tables.make(settings.database_url)
    app = bare_app(settings)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def events() -> list[tuple[str, Any]]:
    return [(event.name, event.detail) for event in db.session.query(AuditEvent).order_by(AuditEvent.id)]


def portal(**changes: Any) -> Registration:
    return Registration(client_id="p", name=TEXTS, operator=TEXTS, retention=TEXTS, **changes)


def test_a_profile_speaks_the_formats_of_its_protocol_or_those_it_names() -> None:
    assert parse(GOOD).speaks == ("dc+sd-jwt", "mso_mdoc")
    assert parse({**GOOD, "formats": ["mso_mdoc"]}).speaks == ("mso_mdoc",)
    assert parse({**GOOD, "protocol": "opendid"}).speaks == ("opendid",)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": "a/b"}, "id: 1 to 32"),
        ({"id": ""}, "id: 1 to 32"),
        ({"version": 0}, "version: 1 or more"),
        ({"name": {"ko": "지갑"}}, "name.en is missing"),
        ({"link": "javascript:alert(1)"}, "link: expected"),
        ({"link": "https://wallet.example/#x"}, "link: expected"),
        ({"formats": ["opendid"]}, "formats: openid4vp has no opendid"),
        ({"sd_jwt_types": []}, "sd_jwt_types is empty"),
        ({"sd_jwt_types": ["jwt"]}, "Invalid enum value"),
        ({"response_mode": "fragment"}, "Invalid enum value"),
        ({"protocol": "smoke"}, "Invalid enum value"),
        ({"colour": "red"}, "unknown field"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_profile_that_cannot_be_used_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ProfileError, match=problem):
        parse({**GOOD, **change})


def test_what_goes_unencrypted_is_not_for_fapi2_portals() -> None:
    plain = parse({**GOOD, "response_mode": "direct_post"})
    assert plain.serves(portal())
    assert not plain.serves(portal(profile="fapi2"))
    assert parse(GOOD).serves(portal(profile="fapi2"))


def test_a_wallet_that_brings_nothing_back_is_another_device_wherever_it_is() -> None:
    national = parse({**GOOD, "protocol": "mip", "link": "mobileid://verify"})
    assert not national.comes_back
    assert parse(GOOD).comes_back
    assert national.serves(portal())
    assert not national.serves(portal(cross_device=False))
    assert parse(GOOD).serves(portal(cross_device=False))


@pytest.mark.parametrize(
    ("protocol", "found"),
    [("mip", ["license_number"]), ("openid4vp", ["kr_ci", "license_number", "nobody"])],
)
def test_what_such_a_wallet_shows_must_have_a_number_that_people_can_read(
    protocol: str, found: list[str]
) -> None:
    looks = FormatTrust(
        format="mip" if protocol == "mip" else "dc+sd-jwt", names=frozenset({"x.1"}), paths={}
    )
    alternatives = [
        Alternative(
            kind=CredentialTypeTrust(
                key or "nobody", TEXTS, "d", (key,) if key else None, {looks.format: looks}
            ),
            looks=looks,
            person_keys=(),
            required=(),
            optional=(),
        )
        for key in ("kr_ci", "license_number", None)
    ]
    wallet = parse({**GOOD, "protocol": protocol, "link": "mobileid://verify"})
    asked = wallet.alternatives(Question(tuple(alternatives), status_fail_closed=False))
    assert [one.kind.id for one in asked] == found


def test_the_catalogue_is_read_and_each_entry_is_another_wallet(app: Flask) -> None:
    changed = wallets.apply(tomllib.loads(CATALOGUE.read_text("utf-8")), now=1)
    assert changed == [
        "haip",
        "openid4vp",
        "iso-18013-7",
        "sd-jwt-vc-draft",
        "eudi-sd-jwt",
        "sphereon",
        "kr-poc",
        "open-did",
        "mobile-id",
    ]
    assert all(not enabled for _, enabled in wallets.listed())


def test_a_profile_is_off_until_it_is_switched_on_and_again_once_it_changes(app: Flask) -> None:
    assert wallets.apply({"wallet": [GOOD]}, now=1) == ["haip"]
    wallets.switch("haip", enabled=True, now=2)
    assert wallets.apply({"wallet": [GOOD]}, now=3) == []
    assert wallets.listed() == [(parse(GOOD), True)]
    assert wallets.apply({"wallet": [{**GOOD, "version": 2}]}, now=4) == ["haip"]
    assert [enabled for _, enabled in wallets.listed()] == [False]
    wallets.switch("haip", enabled=True, now=5)
    wallets.switch("haip", enabled=False, now=6)
    assert events() == [
        ("admin.wallet_applied", {"wallet": "haip"}),
        ("admin.wallet_enabled", {"wallet": "haip", "untested": True}),
        ("admin.wallet_applied", {"wallet": "haip"}),
        ("admin.wallet_enabled", {"wallet": "haip", "untested": True}),
        ("admin.wallet_disabled", {"wallet": "haip"}),
    ]


def test_one_bad_profile_keeps_all_of_a_file_out_and_each_problem_is_named(app: Flask) -> None:
    document = {"wallet": [GOOD, GOOD, {**GOOD, "id": "x", "version": 0}], "colour": []}
    with pytest.raises(ProfileError) as refused:
        wallets.apply(document, now=1)
    assert refused.value.problems == [
        "unknown tables: colour",
        "haip: stands twice",
        "x: version: 1 or more",
    ]
    assert wallets.listed() == []
    assert events() == []


def test_a_wallet_nobody_knows_is_neither_found_nor_switched(app: Flask) -> None:
    with pytest.raises(wallets.UnknownWallet):
        wallets.find("haip")
    with pytest.raises(wallets.UnknownWallet):
        wallets.switch("haip", enabled=True, now=1)


def test_without_a_profile_that_is_on_there_is_the_one_of_the_settings(app: Flask) -> None:
    clock = Clock()
    registry = wallets.WalletRegistry(DEFAULT, clock)

    def in_use() -> list[WalletProfile]:
        clock.forward(wallets.RELOAD_S)
        return list(registry.in_use().values())

    assert in_use() == [DEFAULT]
    wallets.apply({"wallet": [GOOD, {**GOOD, "id": "another"}]}, now=1)
    assert in_use() == [DEFAULT]
    wallets.switch("haip", enabled=True, now=2)
    assert list(registry.in_use().values()) == [DEFAULT]  # a picture is RELOAD_S old at most
    assert in_use() == [parse(GOOD)]
    wallets.switch("another", enabled=True, now=3)
    assert [wallet.id for wallet in in_use()] == ["another", "haip"]


def test_a_wallet_whose_protocol_this_deployment_does_not_speak_is_not_in_use(app: Flask) -> None:
    clock = Clock()
    other = {**GOOD, "id": "other", "protocol": "opendid"}
    wallets.apply({"wallet": [GOOD, other]}, now=1)
    for wallet_id in ("haip", "other"):
        wallets.switch(wallet_id, enabled=True, now=2)
    assert set(wallets.WalletRegistry(DEFAULT, clock).in_use()) == {"haip"}
    assert set(wallets.WalletRegistry(DEFAULT, clock, ["opendid"]).in_use()) == {"other"}
