"""Who a person is, by what the credential type says finds one again; 연계정보 would find them whatever it says."""

import tomllib
from pathlib import Path
from typing import Any

from idp.admin import trust
from tests.rig import Rig, parse_link, started


def sub(rig: Rig) -> Any:
    portal = rig.portal("efamily")
    return portal.id_token_claims(portal.sign_in()["id_token"])["sub"]


def test_without_a_person_key_everybody_is_somebody_new_and_a_session_stays_one(tmp_path: Path) -> None:
    with started(tmp_path / "house", {"holder.with_ci": False}) as rig:
        document = tomllib.loads(rig.prepared.trust_file.read_text("utf-8"))
        kind = next(entry for entry in document["credential_type"] if entry["id"] == "kr-overseas-national")
        del kind["person_key"]
        with rig.app.app_context():
            assert trust.apply({"credential_type": [kind]}, now=rig.clock()) == ["kr-overseas-national"]
            rig.clock.forward(trust.RELOAD_S)
            rig.house.trust.snapshot()
        rig.clock.offset_s = 0
        portal = rig.portal("efamily")
        begun = portal.begin()
        assert "overseas_registration_number" not in str(
            rig.wallet.receive(parse_link(portal.link(portal.page(begun)))).query
        )
        first = portal.id_token_claims(portal.sign_in()["id_token"])["sub"]
        assert portal.id_token_claims(portal.sign_in()["id_token"])["sub"] == first
        assert len({first, sub(rig), sub(rig)}) == 3
