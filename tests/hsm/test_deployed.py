"""Every signing key in the HSM, on gunicorn with two workers: sign-ins, a rotation, a token that is taken out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from joserfc import jws, jwt
from joserfc.jwk import KeySet
from sqlalchemy import create_engine, select

from idp import hsm as hsms
from idp import key_encryption
from idp.cli import cli
from idp.demo import personas
from idp.models import SigningKey
from idp.private_halves import PUBLIC_MEMBERS, PURPOSE, purpose
from tests import servers
from tests.crowd import Holder, Place, Unexpected, all_of, client_of
from tests.deployed import Deployment, deployed, process
from tests.hsm.certificates import issue
from tests.softhsm import PIN, Token
from tests.waiting import eventually

pytestmark = pytest.mark.postgresql
N_ANSWERS = 12
"""After so many both of two processes have answered."""


@dataclass(frozen=True)
class Running:
    deployment: Deployment

    def idp(self, *arguments: str) -> str:
        """What an `idp` command of this deployment says; it must end well."""
        log = self.deployment.log.with_name("command.log")
        with process(["idp.cli", *arguments], log, self.deployment.environment) as command:
            status = command.wait()
        assert status == 0, log.read_text("utf-8")
        return log.read_text("utf-8")

    def holder(self, place: Place, number: int) -> Holder:
        return Holder(place, client_of(self.deployment.prepared), personas.invented(number))

    @contextmanager
    def place(self) -> Iterator[Place]:
        """The provider, by connections of their own: whichever process takes them."""
        with closing(Place.of(self.deployment.prepared).line) as line:
            yield replace(Place.of(self.deployment.prepared), line=line)

    def jwks(self) -> dict[str, Any]:
        with self.place() as place:
            found: dict[str, Any] = json.loads(place.line.send("GET", "/jwks").body)
        return found

    def kids(self) -> set[str]:
        return {key["kid"] for key in self.jwks()["keys"]}

    def signed_by(self, number: int) -> str:
        """Sign somebody in; the kid of the ID token, which holds."""
        with self.place() as place:
            token = self.holder(place, number).go().tokens["id_token"]
        claims = jwt.decode(token, KeySet.import_key_set(self.jwks()), algorithms=["ES256"]).claims  # type: ignore[arg-type]
        assert claims["iss"] == self.deployment.settings.issuer
        return str(jws.extract_compact(token.encode()).headers()["kid"])

    def signs(self, number: int) -> bool:
        """Whether somebody can be signed in now, whichever process is asked."""
        try:
            self.signed_by(number)
        except Unexpected:
            return False
        return self.ready() == 200

    def ready(self) -> int:
        """The status of /readyz."""
        with self.place() as place:
            return place.line.send("GET", "/readyz").status


def hsm(token: Token, *arguments: str) -> str:
    """What `idp keys hsm` says; it must end well."""
    done = CliRunner().invoke(cli, ["keys", "hsm", *arguments], env=token.environment)
    assert done.exit_code == 0, done.output
    return done.output


def redeems(holder: Holder) -> bool:
    try:
        holder.redeem()
    except Unexpected:
        return False
    return True


@pytest.fixture(scope="module")
def running(token: Token, postgresql_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("deployed")
    for command in (["make-secret", "kek"], ["make-key", "wallet"]):
        hsm(token, *command)
    request = hsm(token, "request-certificate", "wallet", "--subject", "CN=Sinwon under test")
    malformed = CliRunner().invoke(
        cli, ["keys", "hsm", "request-certificate", "wallet", "--subject", "Sinwon"], env=token.environment
    )
    assert malformed.exit_code == 1
    assert "no subject" in malformed.output
    (directory / "guests").mkdir()
    certificate = directory / "wallet.pem"
    issue(
        x509.load_pem_x509_csr(request.encode()), directory / "guests" / "wallet_access_ca.pem", certificate
    )
    with servers.new_database(postgresql_url) as database:
        overrides = {
            "server.workers": "2",
            "database.url": database,
            **token.settings,
            "secrets.key_encryption_key": None,
            "hsm.key_encryption_key": "kek",
            "wallet.certificate_file": str(certificate),
            "wallet.private_key_file": None,
            "hsm.wallet_key": "wallet",
        }
        with deployed(directory, overrides, []) as deployment:
            yield Running(deployment)


def test_whole_sign_ins_with_every_key_in_the_hsm(running: Running) -> None:
    with running.place() as place:
        all_of([running.holder(place, number) for number in range(1, 5)], lambda holder: holder.go(), 4)
    running.signed_by(9)
    listed = running.idp("keys", "list").splitlines()
    assert [line.split()[1] for line in listed] == ["ES256", "RS256"]
    assert all(line.split()[-1].startswith("hsm:") for line in listed)


def test_no_private_half_is_in_the_database(running: Running) -> None:
    settings = running.deployment.settings
    sealing = key_encryption.of(settings, hsms.of(settings), lambda: 0).sealing(PURPOSE)
    engine = create_engine(settings.database_url)
    with engine.connect() as connection:
        rows = connection.execute(select(SigningKey.__table__)).all()
    engine.dispose()
    hsms.let_go()
    opened = [json.loads(sealing.open(row.sealed_private_jwk, purpose(row.kid))) for row in rows]
    assert {frozenset(one) - PUBLIC_MEMBERS for one in opened} == {frozenset({"hsm"})}


def test_the_audit_is_sealed_with_a_key_in_the_hsm(running: Running) -> None:
    running.signed_by(20)
    running.idp("audit", "seal")
    assert "All of it holds" in running.idp("audit", "verify")


def test_a_rotation_reaches_every_process(token: Token, running: Running) -> None:
    before = running.signed_by(30)
    said = running.idp("keys", "rotate", "ES256", "--at-once")
    after = said.split()[-1]
    eventually(lambda: after in running.kids())  # each process looks once a second

    def all_sign_with_it() -> bool:
        for _ in range(8):  # whichever process answers learns of the new key
            running.jwks()
        return {running.signed_by(number) for number in range(31, 33)} == {after}

    eventually(all_sign_with_it, 60)
    assert before != after
    running.idp("keys", "remove", before)
    eventually(lambda: before not in running.kids())
    inside = {line.split()[-1].removeprefix("hsm:") for line in running.idp("keys", "list").splitlines()} - {
        "-"
    }
    listed = hsm(token, "list").splitlines()
    held = [line.split() for line in listed if line.startswith("sinwon ES256")]
    assert {line[-1] for line in held} <= inside  # the removed one is not in the token any more


def test_a_token_that_is_taken_out_is_503_and_comes_back(token: Token, running: Running) -> None:
    assert running.ready() == 200
    others = count(41)
    with running.place() as place:
        holder = running.holder(place, 40).go("agree")
        with token.taken_out():
            # Each process looks at the token once a second, and both have noticed then.
            eventually(lambda: all(running.ready() == 503 for _ in range(N_ANSWERS)))
            holder.finish()
            with pytest.raises(Unexpected, match="redeem: 503"):
                holder.redeem()
            assert running.jwks()["keys"]  # what needs no private key goes on
        # The code was not spent on a token that could not be signed. It lives for a minute: first of all.
        eventually(lambda: redeems(holder), 30)
        holder.read()
        eventually(lambda: running.signs(next(others)), 30)
        assert "there is no token sinwon" in running.deployment.log.read_text("utf-8")


def test_no_log_shows_the_pin(token: Token, running: Running) -> None:
    assert (token.directory / "pin").read_text("utf-8").strip() == PIN
    assert PIN not in running.deployment.log.read_text("utf-8")
