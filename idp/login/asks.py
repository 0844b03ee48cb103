"""Questions to wallets, and QR codes that take turns.

A QR code is offered for `qr_offered_s`, then another one is (decision D19). Which one follows is settled with the
first: each later one is made from the first one's secret and its own number in turn, and has its time by the clock.
So a page is given those that are to come and asks nobody for them, nothing is written for a code that no wallet opens,
and one that a wallet brings is known again by counting. Who has seen a code cannot tell the next.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import msgspec

from idp import seal
from idp.key_encryption import Sealing
from idp.login.records import Ask, Login, Via
from idp.settings import Settings

TAKEN_TURNS = 3
"""A wallet may open the code on the page and the two before it (decision D19)."""
_EARLY_S = 10  # the clocks of two nodes, and of a page
_ID_BYTES, _SECRET_BYTES = 4, 32


class Asks:
    """Makes questions and finds them; keeps none."""

    def __init__(self, settings: Settings, sealing: Sealing) -> None:
        """`sealing`: of their secrets."""
        self._offered_s = settings.lifetimes.qr_offered_s
        self._sealing = sealing

    def new(self, login_id: str, via: Via, wallet: str, now: int) -> Ask:
        """A question that follows from no other."""
        made = secrets.token_bytes(_ID_BYTES + _SECRET_BYTES)
        return self._ask(login_id, made, Ask("", via, seal.random_token(), "", now, wallet=wallet))

    def secret(self, ask: Ask) -> bytes:
        """32 random bytes of this ask alone."""
        return self._sealing.open(ask.sealed_key, f"ask:{ask.id}")

    def codes(self, login: Login, wallet: str, now: int) -> Iterator[Ask]:
        """The QR code that is offered now, and those that follow while the login lives; none where none is offered."""
        first = login.latest("qr", wallet)
        if first is None:
            return
        turn = max(now - first.created_at, 0) // self._offered_s
        while turn == 0 or first.created_at + turn * self._offered_s < login.expires_at:
            yield self._in_turn(login.id, first, turn)
            turn += 1

    def ends_at(self, code: Ask) -> int:
        """When the next QR code takes its place."""
        return code.created_at + self._offered_s

    def find(self, login: Login, ask_id: str, now: int) -> Ask | None:
        """A question that a wallet may open now, or has opened; later QR codes are not in the login until then."""
        ask = login.ask(ask_id) or self._later(login, ask_id, now)
        if ask is None or (ask.via == "qr" and ask.fetched_at is None and self._is_past(ask, now)):
            return None
        return ask

    def _is_past(self, code: Ask, now: int) -> bool:
        return now >= code.created_at + TAKEN_TURNS * self._offered_s

    def _later(self, login: Login, ask_id: str, now: int) -> Ask | None:
        for first in login.asks:
            if first.via == "qr":
                newest = (now + _EARLY_S - first.created_at) // self._offered_s
                for turn in range(max(newest - TAKEN_TURNS, 1), newest + 1):
                    code = self._in_turn(login.id, first, turn)
                    if code.id == ask_id:
                        return code
        return None

    def _in_turn(self, login_id: str, first: Ask, turn: int) -> Ask:
        """The same one each time, but for how it is sealed."""
        if turn == 0:
            return first
        made = seal.derive(self.secret(first), f"code {turn}", _ID_BYTES + 2 * _SECRET_BYTES)
        created_at = first.created_at + turn * self._offered_s
        nonce = seal.b64(made[-_SECRET_BYTES:])
        return self._ask(
            login_id, made[:-_SECRET_BYTES], Ask("", "qr", nonce, "", created_at, wallet=first.wallet)
        )

    def _ask(self, login_id: str, made: bytes, ask: Ask) -> Ask:
        """With an id and a sealed secret from these bytes."""
        ask_id = f"{login_id}.{made[:_ID_BYTES].hex()}"
        sealed = self._sealing.seal(made[_ID_BYTES:], f"ask:{ask_id}")
        return msgspec.structs.replace(ask, id=ask_id, sealed_key=sealed)
