"""Tokens of the admin API: made, used, ended; whose hand each is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from idp import seal
from idp.admin import organisations, people, tokens
from idp.admin.people import Role
from idp.admin.tokens import TokenError, TokenRefused
from idp.events import Origin, origin
from idp.models import Administrator, ApiToken, AuditEvent, db
from tests.rig import Rig

NOW = 1_800_000_000
DAY_S = 86_400


@pytest.fixture
def here(rig: Rig) -> Iterator[None]:
    with rig.app.app_context():
        names = {"ko": "기관", "en": "Organisation"}
        organisations.apply({"organisation": [{"id": "tokens", "name": names}]}, now=NOW)
        before = origin.set(Origin())
        yield
        origin.reset(before)


def made(
    role: Role = Role.OPERATOR, organisation: str | None = None, days: int = 30, label: str = "ci"
) -> tuple[tokens.Token, str]:
    return tokens.create(label=label, role=role, organisation=organisation, ttl_s=days * DAY_S, now=NOW)


def administrator(admin_id: str) -> str:
    """Somebody who is one; their actor."""
    if db.session.get(Administrator, admin_id) is None:
        row = Administrator(id=admin_id, label=admin_id, role="owner", sub=admin_id, created_at=NOW)
        db.session.add(row)
        db.session.commit()
    return f"admin:{admin_id}"


def test_a_token_acts_with_the_rights_of_its_role(here: None) -> None:
    token, text = made(Role.MEMBER, "tokens")
    holder = tokens.holder_of(text, now=NOW)
    assert (holder.role, holder.organisation, holder.actor) == (Role.MEMBER, "tokens", f"token:{token.id}")
    assert tokens.find(token.id).last_used_at == NOW


def test_only_the_digest_of_a_token_is_kept(here: None) -> None:
    token, text = made()
    assert text.startswith("sinwon_admin_")
    assert len(text) == len("sinwon_admin_") + 43
    row = db.session.get_one(ApiToken, token.id)
    assert row.digest == seal.digest(text)
    kept = [str(getattr(row, column.key)) for column in ApiToken.__table__.columns]
    kept += [str(event.detail) for event in db.session.query(AuditEvent) if "token" in event.name]
    assert not any(text in value for value in kept)


@pytest.mark.parametrize(
    "text", ["", "sinwon_admin_", "sinwon_admin_" + "A" * 43, "x" * 56, "sinwon_admin_\0"]
)
def test_what_is_no_token_is_unknown(here: None, text: str) -> None:
    with pytest.raises(TokenRefused, match="token_unknown"):
        tokens.holder_of(text, now=NOW)


def test_a_token_ends(here: None) -> None:
    _, text = made(days=1)
    assert tokens.holder_of(text, now=NOW + DAY_S - 1)
    with pytest.raises(TokenRefused, match="token_expired"):
        tokens.holder_of(text, now=NOW + DAY_S)


def test_a_token_that_was_revoked_is_worthless_at_once_and_revoked_once(here: None) -> None:
    token, text = made()
    for _ in range(2):
        tokens.revoke(token.id, now=NOW)
    with pytest.raises(TokenRefused, match="token_revoked"):
        tokens.holder_of(text, now=NOW)
    ended = [event for event in db.session.query(AuditEvent) if event.name == "admin.token_revoked"]
    assert [event.detail for event in ended].count({"token": token.id}) == 1


def test_the_tokens_of_an_administrator_end_with_the_administrator(here: None) -> None:
    origin.set(Origin(actor=administrator("leaves")))
    _, text = made()
    assert tokens.holder_of(text, now=NOW)
    people.disable("leaves", now=NOW)
    with pytest.raises(TokenRefused, match="token_revoked"):
        tokens.holder_of(text, now=NOW)


def test_a_token_is_the_hand_of_the_administrator_who_made_it(here: None) -> None:
    mine = administrator("twohanded")
    origin.set(Origin(actor=mine))
    token, _ = made()
    assert tokens.behind(token.actor) == tokens.behind(mine) == mine
    origin.set(Origin(actor="command line: ops"))
    given, _ = made()
    assert tokens.behind(given.actor) == given.actor
    assert tokens.behind("token:nobody") == "token:nobody"


@pytest.mark.parametrize(
    ("role", "organisation", "days", "label"),
    [
        (Role.MEMBER, None, 30, "ci"),
        (Role.OWNER, "tokens", 30, "ci"),
        (Role.MEMBER, "nobody", 30, "ci"),
        (Role.OWNER, None, 367, "ci"),
        (Role.OWNER, None, 0, "ci"),
        (Role.OWNER, None, 30, " "),
        (Role.OWNER, None, 30, "a\u202eb"),
        (Role.OWNER, None, 30, "x" * 65),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(
    here: None, role: Role, organisation: str | None, days: int, label: str
) -> None:
    with pytest.raises(TokenError):
        made(role, organisation, days, label)


def test_tokens_are_listed_by_who_made_them(here: None) -> None:
    origin.set(Origin(actor=administrator("lister")))
    theirs, _ = made(Role.MEMBER, "tokens")
    assert theirs in tokens.listed()
    assert tokens.listed(created_by="admin:lister") == [theirs]
