"""The login's state machine: browser, wallet, second browser, thief and clock, in any order.

Hypothesis makes the orders. Every act is an act of the hall (`idp/login`), called as the doors call it, but with
whatever somebody might have: another's cookie, a code of another login, an answer to an old question, and a login as
it was some acts ago, which is what a slow request still holds. After each, what the package's docstring says must
hold. That it would be found out where something does not is tried too, with a hole made in the hall.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from idp import seal
from idp.errors import LoginError, PresentationError
from idp.login import (
    AuthorizationRequest,
    Finished,
    Login,
    LoginEnded,
    Logins,
    OtherBrowser,
    Passed,
    Proof,
    State,
    StillBeingMade,
    Via,
)
from idp.login import logins as hall
from idp.login.logins import end_of_key
from tests.rig import Rig, started

PEOPLE = ("홍길동-0001", "김신원-0002", "이재외-0003")
REQUEST = AuthorizationRequest(client_id="gov24", scopes=("openid",), redirect_uri="https://rp.example/cb")
REMEMBERED_S = 3600
MOST = 3


def proof(person: str) -> Proof:
    return Proof("kr-overseas-national", {"name": person}, (("kr", "number", person),), {})


@dataclass(eq=False)
class Known:
    """A login, what is known of it outside, and what has become of it."""

    id: str
    cookie: str
    seen: list[Login]
    winner: tuple[str, str, str] | None = None
    """Whose presentation was first: person, question, message."""
    passed: Passed | None = None
    comes_back: bool = True
    came: bool = False
    """The answer came back to the browser that began, as it must."""
    n_wrong: int = 0
    n_finished: int = 0
    gone: bool = False
    kept: bytes | None = None


@dataclass(eq=False)
class Code:
    """What a wallet was told after its answer, and which login that was for."""

    known: Known | None
    passed: Passed
    text: str = field(init=False)

    def __post_init__(self) -> None:
        self.text = self.passed.token.rpartition(".")[2]


class LoginMachine(RuleBasedStateMachine):
    """One hall, several logins, and everybody who might come by."""

    rig: Rig
    logins = Bundle("logins")
    asks = Bundle("asks")
    codes = Bundle("codes")

    reached: ClassVar[Counter[str]] = Counter()
    """How often a run came where something is decided; one that never does proves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Known] = []

    @property
    def hall(self) -> Logins:
        return self.rig.house.logins

    def now(self) -> int:
        return self.rig.clock()

    def living(self) -> list[Known]:
        return [
            known
            for known in self.all
            if not known.gone and not known.n_finished and known.seen[-1].expires_at > self.now()
        ]

    def newest(self, known: Known) -> Login | None:
        """The login as its own browser sees it, None where it is over."""
        try:
            login = self.hall.show(known.id, known.cookie)
        except LoginError as error:
            self.reached[error.reason] += 1
            return None
        known.seen.append(login)
        return login

    # -- the browser, and other browsers -----------------------------------------------------------------------

    @initialize(target=logins)
    def begin(self) -> object:
        return multiple(self.start(), self.start())

    # Few logins that live, so that two acts often meet at one.
    @precondition(lambda self: len(self.living()) < MOST)
    @rule(target=logins)
    def start(self) -> Known:
        login, cookie = self.hall.start(REQUEST)
        known = Known(login.id, cookie, [login])
        self.all.append(known)
        return known

    @rule(known=logins, whose=logins)
    def look(self, known: Known, whose: Known) -> None:
        try:
            login = self.hall.show(known.id, whose.cookie)
        except OtherBrowser:
            assert whose is not known
        except LoginEnded as over:
            self.reached["expired"] += 1
            assert whose is known
            assert over.login.expires_at <= self.now()
        except LoginError as error:
            assert error.reason == "login_unknown"
            assert known.gone or self.now() >= known.seen[-1].created_at + REMEMBERED_S
        else:
            assert whose is known
            known.seen.append(login)

    @rule(known=logins)
    def without_a_cookie(self, known: Known) -> None:
        for cookie in (None, "", "x", known.id, known.seen[0].browser_key):
            with pytest.raises(LoginError):
                self.hall.show(known.id, cookie)

    @rule(known=logins)
    def extend(self, known: Known) -> None:
        login = self.newest(known)
        if login is not None:
            changed = self.hall.extend(login)
            assert changed.expires_at <= max(login.expires_at, login.created_at + 1800)
            known.seen.append(changed)

    @rule(
        target=asks,
        known=logins,
        ways=st.sets(st.sampled_from(["link", "qr", "dc_api"]), min_size=1),
        wallet=st.sampled_from(["one", "two"]),
    )
    def ask(self, known: Known, ways: set[Via], wallet: str) -> object:
        login = self.newest(known)
        if login is None:
            return multiple()
        asked = self.hall.questions(login, wallet, ways=sorted(ways))
        known.seen.append(asked)
        offered = [ask for ask in asked.asks if ask.via == "qr" and ask.wallet == wallet]
        assert len(offered) <= 3
        return multiple(*((known, ask.id) for ask in asked.asks))

    @rule(known=logins, back=st.integers(0, 3), whose=logins)
    def cancel(self, known: Known, back: int, whose: Known) -> None:
        login = self.newest(known) if whose is known else None
        if login is None or login.state is State.FINISHED or back:
            return
        self.hall.cancel(login)
        known.gone = True

    # -- the wallet, and whoever saw its question --------------------------------------------------------------

    @rule(asked=asks, network=st.sampled_from(["", "a", "b"]))
    def fetch(self, asked: tuple[Known, str], network: str) -> None:
        try:
            login, ask = self.hall.asked(asked[1])
            self.hall.fetched(login, ask, network=network)
        except PresentationError as error:
            assert error.reason in {"login_unknown", "login_expired", "opened_elsewhere"}

    @rule(
        target=codes,
        asked=asks,
        person=st.sampled_from(PEOPLE),
        message=st.sampled_from(["first", "second"]),
        comes_back=st.sampled_from([True, True, True, False]),
        back=st.integers(0, 4),
    )
    def present(
        self, asked: tuple[Known, str], person: str, message: str, comes_back: bool, back: int
    ) -> object:
        known, ask_id = asked
        try:
            login, ask = self.hall.asked(ask_id)
        except PresentationError as error:
            assert error.reason in {"login_unknown", "login_expired"}
            return multiple()
        again = self.hall.answered(login, ask, message)
        if again is not None:
            assert known.winner is not None and known.winner[1:] == (ask_id, message)
            assert again == known.passed
            return Code(known, again)
        # A slow request may hold the login as it was some acts ago.
        held = known.seen[-1 - min(back, len(known.seen) - 1)] if back else login
        try:
            passed = self.hall.present(
                held,
                ask,
                proof(person),
                acr="general",
                amr=("pop",),
                fingerprint=message,
                comes_back=comes_back,
            )
        except PresentationError as error:
            self.reached["too late"] += 1
            assert error.reason == "already_answered"
            assert login.state is not State.WAITING
            return multiple()
        self.reached["presented"] += 1
        assert login.state is State.WAITING
        assert known.winner is None
        known.winner, known.passed, known.comes_back = (person, ask_id, message), passed, comes_back
        return Code(known, passed)

    @rule(asked=asks)
    def rubbish(self, asked: tuple[Known, str]) -> None:
        with suppress(PresentationError):
            login, _ = self.hall.asked(asked[1])
            self.hall.reject(login, PresentationError("issuer_signature"))
            after = self.hall.show(asked[0].id, asked[0].cookie)
            assert after.state is login.state

    @rule(asked=asks)
    def refuse(self, asked: tuple[Known, str]) -> None:
        with suppress(PresentationError):
            login, ask = self.hall.asked(asked[1])
            self.hall.refuse(login, ask, "access_denied")
            after = self.hall.show(asked[0].id, asked[0].cookie)
            if login.state is not State.WAITING or ask.via != "link":
                assert after.state is login.state

    @rule(target=codes, known=logins, person=st.sampled_from(PEOPLE), whose=logins, own=st.booleans())
    def one_device(self, known: Known, person: str, whose: Known, own: bool) -> object:
        """The usual way in one act, so that what comes after it is reached often enough; `own` is its last step."""
        code = self._shown(known, "link", person)
        if isinstance(code, Code):
            self.arrive(known, known if own else whose, code)
        return code

    @rule(
        target=codes,
        known=logins,
        person=st.sampled_from(PEOPLE),
        comes_back=st.booleans(),
        typed=st.lists(st.booleans(), max_size=3),
    )
    def two_devices(self, known: Known, person: str, comes_back: bool, typed: list[bool]) -> object:
        """The same by a code on the page, with numbers that are typed, right ones and wrong ones."""
        code = self._shown(known, "qr", person, comes_back)
        if isinstance(code, Code):
            for right in typed:
                self.confirm(known, right, "0001 ", 0)
        return code

    def _shown(self, known: Known, via: Via, person: str, comes_back: bool = True) -> object:
        login = self.newest(known)
        if login is None or login.state is not State.WAITING:
            return multiple()
        ask = self.hall.questions(login, "one", ways=[via]).latest(via, "one")
        assert ask is not None
        return self.present((known, ask.id), person, "first", comes_back, 0)

    # -- the way back ------------------------------------------------------------------------------------------

    @rule(known=logins, whose=logins, code=codes)
    def arrive(self, known: Known, whose: Known, code: Code) -> None:
        before = self.newest(known)
        right = (
            before is not None
            and before.answer is not None
            and before.answer.via in {"link", "dc_api"}
            and code.known is known
            and code.passed == known.passed
        )
        try:
            login = self.hall.arrive(known.id, whose.cookie, code.text)
        except OtherBrowser as other:
            assert whose is not known
            assert (other.portal is not None) == right or before is None
            after = self.newest(known)
            if right and after is not None and before is not None:
                unmoved = {State.PRESENTED, State.READY}
                self.reached["right code, wrong browser"] += 1
                assert before.state not in unmoved or after.state is State.REFUSED
            return
        except LoginError:
            return
        assert whose is known
        if login.state is State.READY:
            assert right
            known.came = True

    @rule(code=codes)
    def look_at_the_phone(self, code: Code) -> None:
        """The phone's page, with the number: for who has its key, and only where there is a number."""
        try:
            login, number = self.hall.done(code.passed.token)
        except LoginError:
            return
        assert code.known is not None and login.id == code.known.id
        assert login.answer is not None and login.answer.number == number

    @rule(
        known=logins,
        right=st.booleans(),
        wrong=st.sampled_from(["0000x", "", "가", "0001 "]),
        back=st.integers(0, 3),
    )
    def confirm(self, known: Known, right: bool, wrong: str, back: int) -> None:
        now = self.newest(known)
        if now is None:
            return
        held = known.seen[-1 - min(back, len(known.seen) - 1)]
        typed = wrong
        if right and held.answer is not None and held.answer.is_typed:
            opened = json.loads(
                seal.open_with_browser(known.cookie, held.answer.sealed_proof, f"login:{held.id}")
            )
            typed = held.answer.number or end_of_key(proof(opened["claims"]["name"]))
        try:
            login = self.hall.confirm(held, typed, known.cookie)
        except LoginEnded as over:
            known.n_wrong += 1
            self.reached["three wrong numbers"] += 1
            assert over.reason == "wrong_number_limit"
            assert over.login.answer is None
            return
        except LoginError as error:
            if error.reason == "wrong_number" and now.state is State.PRESENTED:
                known.n_wrong += 1
                assert known.n_wrong < 3
            return
        if login.state is State.READY and held.state is State.PRESENTED:
            self.reached["number typed"] += 1
            assert right
            known.came = True

    @rule(known=logins, claims=st.sampled_from([(), ("name",)]))
    def consent(self, known: Known, claims: tuple[str, ...]) -> None:
        login = self.newest(known)
        if login is not None and login.state is State.READY:
            known.seen.append(self.hall.consent(login, claims))

    @rule(known=logins, whose=logins, back=st.integers(0, 5), remembers=st.booleans())
    def finish(self, known: Known, whose: Known, back: int, remembers: bool) -> None:
        self.newest(known)
        self._finish(known, whose, known.seen[-1 - min(back, len(known.seen) - 1)], remembers)

    def _finish(self, known: Known, whose: Known, held: Login, remembers: bool) -> None:
        try:
            finished = self.hall.finish(held, whose.cookie)
        except seal.CannotOpen:
            assert whose is not known
            return
        except LoginError as error:
            assert error.reason == "form_expired"
            assert held.state is not State.READY
            return
        if finished is None:  # another request was quicker, or the login is gone
            self.reached["a slower twin"] += 1
            return
        known.n_finished += 1
        self.reached["finished"] += 1
        assert whose is known
        assert known.n_finished == 1, "one login made two codes"
        assert known.came and known.winner is not None
        assert finished.proof.claims == {"name": known.winner[0]}, "somebody else's presentation"
        if remembers:
            known.kept = b"to the portal"
            self.hall.remember(finished.login, known.kept)

    @rule(known=logins, remembers=st.booleans(), twins=st.integers(1, 2))
    def finish_as_it_is_usual(self, known: Known, remembers: bool, twins: int) -> None:
        """In the browser that began; of two requests at once, both hold the login as it was."""
        held = self.newest(known)
        if held is not None:
            for _ in range(twins):
                self._finish(known, known, held, remembers)

    @rule(known=logins, whose=logins)
    def go_back_again(self, known: Known, whose: Known) -> None:
        login = self.newest(known)
        if login is None or login.state is not State.FINISHED:
            return
        try:
            assert self.hall.outgoing(login, whose.cookie) == known.kept
            assert whose is known
        except seal.CannotOpen:
            assert whose is not known
        except StillBeingMade:
            assert known.kept is None
        except LoginEnded:
            assert login.expires_at <= self.now()

    # -- time, and a record that the Store lost ----------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 1, 59, 121, 301, 700]))
    def time_passes(self, seconds: int) -> None:
        self.rig.clock.forward(seconds)

    @precondition(lambda self: len(self.all) > MOST)
    @rule(known=consumes(logins))
    def the_store_forgets(self, known: Known) -> None:
        self.hall._store.take(f"login:{known.id}")
        known.gone = True

    # -- what must hold after every act ------------------------------------------------------------------------

    @invariant()
    def records_are_as_they_must_be(self) -> None:
        for known in self.all:
            record = self.hall._store.get(f"login:{known.id}")
            if record is None:
                continue
            text = json.dumps(record, ensure_ascii=False)
            assert not [person for person in PEOPLE if person in text], "a person can be read at rest"
            assert known.cookie not in text
            assert known.passed is None or known.passed.token.rpartition(".")[2] not in text
            state = State(record["state"])
            assert not known.gone or known.n_finished, "a login that ended came back"
            if known.n_finished:
                assert state is State.FINISHED
            if state in {State.PRESENTED, State.READY}:
                assert known.winner is not None
                for other in self.all:
                    if other is not known:
                        with pytest.raises(seal.CannotOpen):
                            seal.open_with_browser(
                                other.cookie, record["answer"]["sealed_proof"], f"login:{known.id}"
                            )
                        break
            if state is State.READY:
                assert known.came, "ready though nothing came back to this browser"
            if state is State.REFUSED:
                assert record["answer"] is None


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("house")) as running:
        yield running


def walked(rig: Rig, n_examples: int) -> None:
    LoginMachine.rig = rig
    with rig.app.app_context():
        run_state_machine_as_test(
            LoginMachine,
            settings=settings(
                max_examples=n_examples,
                stateful_step_count=40,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_the_invariants_of_a_login_hold_in_any_order(rig: Rig) -> None:
    LoginMachine.reached.clear()
    walked(rig, 100)
    decided = {"presented", "finished", "expired", "number typed", "right code, wrong browser", "too late"}
    assert set(LoginMachine.reached) >= decided
    assert LoginMachine.reached["finished"] >= 20


def always(value: Any) -> Callable[..., Any]:
    return lambda *_arguments, **_named: value


def finish_without_swapping(self: Logins, login: Login, cookie: str) -> Finished | None:
    """As if taking were not one act with looking."""
    if login.answer is None:
        raise LoginError("form_expired", status=409)
    return Finished(login, login.answer, self.open(login, cookie))


HOLES: dict[str, tuple[Any, str, Any]] = {
    "any browser owns any login": (Logins, "_owns", always(True)),
    "any code is right": (hall, "_matches", always(True)),
    "any number is right": (hall.hmac, "compare_digest", always(True)),
    "finishing takes nothing": (Logins, "finish", finish_without_swapping),
    "nothing is sealed": (hall, "_seal", lambda _login, proof: msgspec.json.encode(proof).decode()),
    "what was given up keeps its answer": (hall, "_give_up", lambda _reason: lambda current: current),
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_hall_with_a_hole_is_found_out(rig: Rig, monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    where, name, instead = HOLES[hole]
    monkeypatch.setattr(where, name, instead)
    with pytest.raises((AssertionError, ExceptionGroup, pytest.fail.Exception, ValueError)):
        walked(rig, 150)
