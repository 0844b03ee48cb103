"""A whole sign-in, with what the portal learns, on PostgreSQL and each group."""

from tests.rig import Rig


def test_a_whole_sign_in(rig: Rig) -> None:
    portal = rig.portal("gov24")
    tokens = portal.sign_in()
    answer = portal.userinfo(tokens["access_token"])
    assert answer.status_code == 200
    assert answer.json()["name"]
    assert {"login.finished", "code.redeemed"} <= set(rig.event_names())
