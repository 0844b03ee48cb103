"""Receipts: what they say, that they can be checked without us, and for how long."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from joserfc import jws
from sqlalchemy import func, select

from idp import receipts
from idp.admin.receipts import BadReceipt, read
from idp.cli import cli
from idp.models import AuditKey, Receipt, ReceiptTerms, SigningKey, db, writing
from tests.at_me import Me
from tests.http.test_withdrawal import NUMBER, signed_in
from tests.rig import Rig

DOCS = Path(__file__).parents[2] / "docs" / "receipts.md"
PERSON = "invented-9000"


@pytest.fixture(scope="module")
def tokens(rig: Rig) -> dict[str, Any]:
    return signed_in(rig.portal("gov24"), PERSON, NUMBER)


@pytest.fixture(scope="module")
def me(rig: Rig, tokens: dict[str, Any]) -> Me:
    return Me(rig, PERSON).open()


@pytest.fixture(scope="module")
def receipt(me: Me) -> str:
    return me.receipt(me.receipt_ids()[0])


def keys(rig: Rig) -> dict[str, Any]:
    answered = rig.http.get(f"{rig.issuer}/receipts/keys")
    assert answered.headers["Content-Type"] == "application/jwk-set+json"
    assert answered.headers["Access-Control-Allow-Origin"] == "*"
    return dict(answered.json())


def idp(*arguments: str, **environ: str) -> tuple[int, str]:
    ran = CliRunner().invoke(cli, arguments, env=environ)
    return ran.exit_code, ran.output


def test_it_says_what_was_given_to_whom_for_what(rig: Rig, receipt: str) -> None:
    said = read(receipt, keys(rig)["keys"], issuer=rig.issuer)
    registered = rig.portal("gov24").registration
    assert said["portal"] == {
        "client_id": "gov24",
        "name": registered["name"],
        "operator": registered["operator"],
    }
    asked = {claim["name"]: claim for claim in registered["claims"]}
    assert [item["name"] for item in said["items"]] == ["name", "birthdate", NUMBER]
    for item in said["items"]:
        claim = asked[item["name"]]
        assert item["purpose"] == claim["purpose"]
        assert item["retention"] == (claim.get("retention") or registered["retention"])
        assert item["required"] == claim.get("required", True)
    assert said["acr"].startswith(f"{rig.issuer}/acr/")
    assert said["signed_in_at"] >= said["auth_time"] > 0
    assert said["offline_access"] is False


def test_its_transaction_is_the_portals_and_the_audits(rig: Rig) -> None:
    portal = rig.portal("gov24")
    wanted = {"userinfo": {"verified_claims": {"verification": {"trust_framework": None, "verification_process": None},
                                               "claims": {"birthdate": None}}}}  # fmt: skip
    told = signed_in(portal, "invented-9001", claims=json.dumps(wanted))
    verified = portal.userinfo(told["access_token"]).json()["verified_claims"]
    person = Me(rig, "invented-9001").open()
    said = read(person.receipt(person.receipt_ids()[0]), keys(rig)["keys"])
    assert said["txn"] == verified["verification"]["verification_process"]
    assert said["txn"] in {event.login_id for event in rig.events() if event.name == "login.finished"}


def test_it_holds_no_value_and_no_name(rig: Rig, receipt: str, tokens: dict[str, Any]) -> None:
    values = rig.portal("gov24").userinfo(tokens["access_token"]).json()
    said = jws.extract_compact(receipt.encode()).payload.decode()
    assert len(values) > 3
    assert not [value for value in values.values() if str(value) in said]


def test_it_is_called_the_same_each_time_and_shown_as_it_is_signed(rig: Rig, me: Me, receipt: str) -> None:
    said = read(receipt, keys(rig)["keys"])
    again = read(me.receipt(said["jti"]), keys(rig)["keys"])
    assert {**again, "iat": 0} == {**said, "iat": 0}
    shown = me.page(f"/me/receipt?id={said['jti']}").root.text
    assert json.loads(shown[shown.index("{") : shown.rindex("}") + 1]) == {
        name: value for name, value in said.items() if name != "iat"
    }


def test_giving_one_out_is_recorded(rig: Rig, me: Me) -> None:
    before = rig.last_event()
    me.receipt(me.receipt_ids()[0])
    [given] = [event for event in rig.events(before) if event.name == "receipt.issued"]
    assert (given.client_id, given.login_id is not None) == ("gov24", True)


def test_it_is_a_file(rig: Rig, me: Me) -> None:
    answered = me.get(f"/me/receipt.jwt?id={me.receipt_ids()[0]}")
    assert answered.headers["Content-Type"] == "application/jwt"
    assert re.fullmatch(
        r'attachment; filename="sinwon-\d{8}-\d{6}\.jwt"', answered.headers["Content-Disposition"]
    )


def _changed(receipt: str) -> str:
    head, body, signature = receipt.split(".")
    return f"{head}.{body[:-4]}{'AAAA' if body[-4:] != 'AAAA' else 'BBBB'}.{signature}"


@pytest.mark.parametrize(
    "spoil",
    [
        _changed,
        lambda receipt: receipt[:-4],
        lambda receipt: "",
        lambda receipt: "x" * 200_000,
        lambda receipt: f"{receipt.partition('.')[0]}..",
    ],
    ids=["changed", "cut", "empty", "long", "hollow"],
)
def test_what_was_changed_is_none(rig: Rig, receipt: str, spoil: Callable[[str], str]) -> None:
    with pytest.raises(BadReceipt):
        read(spoil(receipt), keys(rig)["keys"])


def test_what_the_same_key_signed_for_another_purpose_is_none(rig: Rig, tokens: dict[str, Any]) -> None:
    with pytest.raises(BadReceipt, match="something else"):
        read(tokens["id_token"], rig.http.get(f"{rig.issuer}/jwks").json()["keys"])


def test_the_example_of_the_docs_reads_one(rig: Rig, receipt: str) -> None:
    [example] = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["read_receipt"](receipt, keys(rig), rig.issuer)["portal"]["client_id"] == "gov24"


def test_the_command_checks_one_with_kept_keys(rig: Rig, receipt: str, tmp_path: Path) -> None:
    file, kept = tmp_path / "receipt.jwt", tmp_path / "keys.json"
    file.write_text(receipt + "\n", "utf-8")
    kept.write_text(json.dumps(keys(rig)), "utf-8")
    code, output = idp("receipts", "verify", str(file), "--jwks", str(kept))
    assert code == 0, output
    assert '"client_id": "gov24"' in output
    file.write_text(_changed(receipt), "utf-8")
    assert idp("receipts", "verify", str(file), "--jwks", str(kept))[0] == 1
    kept.write_text("[]", "utf-8")
    assert "is not a JWK Set" in idp("receipts", "verify", str(file), "--jwks", str(kept))[1]


def test_the_command_checks_one_with_the_deployments_keys(rig: Rig, receipt: str, tmp_path: Path) -> None:
    file = tmp_path / "receipt.jwt"
    file.write_text(receipt, "utf-8")
    settings = rig.house.settings
    environ = {
        "IDP_MODE": "demo",
        "IDP_ISSUER": settings.issuer,
        "IDP_DATABASE__URL": str(settings.database.url),
        "IDP_SECRETS__KEY_ENCRYPTION_KEY": settings.secrets.key_encryption_key.reveal().hex(),
        "IDP_SECRETS__PEPPER": settings.secrets.pepper.reveal().hex(),
        "IDP_WALLET__CERTIFICATE_FILE": settings.wallet.certificate_file,
        "IDP_WALLET__PRIVATE_KEY_FILE": settings.wallet.private_key_file,
    }
    code, output = idp("receipts", "verify", str(file), **environ)
    assert code == 0, output
    assert json.loads(idp("receipts", "keys", **environ)[1]) == keys(rig)
    elsewhere = {**environ, "IDP_ISSUER": "http://127.0.0.1:1"}
    assert "it was issued by" in idp("receipts", "verify", str(file), **elsewhere)[1]


# -- keys and time -------------------------------------------------------------------------------------------------


def test_a_key_that_has_retired_still_checks_and_one_that_was_removed_does_not(rig: Rig, me: Me) -> None:
    signed = me.receipt(me.receipt_ids()[0])
    kid = jws.extract_compact(signed.encode()).headers()["kid"]
    with rig.app.app_context():
        rig.house.keys.rotate("ES256", at_once=True)
        row = db.session.get_one(SigningKey, kid)
        row.gone_at = rig.clock()  # retired in the ordinary way, long ago
        row.sealed_private_jwk = ""
        db.session.commit()
        rig.house.keys._forget()
    assert kid not in {key["kid"] for key in rig.http.get(f"{rig.issuer}/jwks").json()["keys"]}
    read(signed, keys(rig)["keys"])
    following = me.receipt(me.receipt_ids()[0])
    taken = jws.extract_compact(following.encode()).headers()["kid"]
    assert taken != kid
    with rig.app.app_context():
        rig.house.keys.remove(taken)
    with pytest.raises(BadReceipt):
        read(following, keys(rig)["keys"])
    read(me.receipt(me.receipt_ids()[0]), keys(rig)["keys"])


def test_a_key_that_was_planted_in_the_database_is_not_given_out(rig: Rig) -> None:
    with rig.app.app_context(), writing() as database:
        genuine = database.scalars(select(AuditKey).limit(1)).one()
        database.add(AuditKey(kid="planted", public_jwk=genuine.public_jwk, vouched="A" * 43))
    assert "planted" not in {key["kid"] for key in keys(rig)["keys"]}


def test_they_are_forgotten_with_the_audit_and_not_before(rig: Rig, me: Me) -> None:
    def left() -> tuple[int, int]:
        counted = [db.session.scalar(select(func.count()).select_from(t)) for t in (Receipt, ReceiptTerms)]
        return counted[0] or 0, counted[1] or 0

    with rig.app.app_context():
        n_receipts, n_terms = left()
        now = rig.clock()
        assert receipts.sweep(now + 730 * 86_400, 731) == 0
        assert left() == (n_receipts, n_terms)
        assert receipts.sweep(now + 735 * 86_400, 731) == n_receipts
        assert left() == (0, 0)


def test_sign_ins_that_say_the_same_share_their_terms(rig: Rig) -> None:
    portal = rig.portal("gov24")
    with rig.app.app_context():
        signed_in(portal, "invented-9002")
        before = db.session.scalar(select(func.count()).select_from(ReceiptTerms))
        for _ in range(3):
            portal.begin()
        signed_in(rig.portal("gov24"), "invented-9003")
        assert db.session.scalar(select(func.count()).select_from(ReceiptTerms)) == before
