"""The drawer of logins under way. See the package for the invariants."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.orm import Session

from idp import seal
from idp.clock import Clock
from idp.errors import LoginError, PresentationError
from idp.events import Event, record, record_alone
from idp.key_encryption import Sealing
from idp.location import Place
from idp.login.asks import Asks
from idp.login.records import (
    Answer,
    Ask,
    AuthorizationRequest,
    Finished,
    Login,
    LoginEnded,
    OtherBrowser,
    Passed,
    Problem,
    Proof,
    State,
    StillBeingMade,
    Via,
)
from idp.models import writing
from idp.settings import Settings
from idp.store import Store

_CONTESTED_CODES = 2  # so many are replaced, see `questions`
_SWAP_TRIES = 20
_ABANDONED_S = 5  # longer than the end of a login takes; no longer than a 503 asks to wait
# Understood by PostgreSQL and SQLite alike.
_ANSWERED = text(
    "INSERT INTO consumed (kind, digest, expires_at)"
    " VALUES ('question', :question, :expires_at), ('message', :message, :expires_at)"
    " ON CONFLICT DO NOTHING RETURNING kind"
)
_REMEMBERED_S = 3600  # an expired or finished login still knows the way back to its portal for this long


class Logins:
    """The drawer of logins under way."""

    def __init__(self, store: Store, settings: Settings, clock: Clock, asks: Sealing) -> None:
        """`asks` seals the secrets of questions to wallets."""
        self._store = store
        self._settings = settings
        self._times = settings.lifetimes
        self._clock = clock
        self._asks = Asks(settings, asks)

    # -- from a portal ---------------------------------------------------------------------------------------

    def start(self, request: AuthorizationRequest) -> tuple[Login, str]:
        """A new login, and the secret for its cookie."""
        cookie, login = self._new(request)
        self._begin(login)
        return login, cookie

    def start_presented(
        self, request: AuthorizationRequest, answer: Answer, proof: Proof
    ) -> tuple[Login, str]:
        """A login that needs no wallet: an earlier presentation of this browser's session still holds."""
        cookie, login = self._new(request)
        answer = msgspec.structs.replace(answer, sealed_proof=_seal(login, proof))
        login = msgspec.structs.replace(login, state=State.READY, answer=answer)
        self._begin(login, reason="session")
        return login, cookie

    def _begin(self, login: Login, *, reason: str | None = None) -> None:
        record_alone(
            Event.LOGIN_STARTED,
            at=login.created_at,
            client_id=login.request.client_id,
            login_id=login.id,
            reason=reason,
        )
        self._put(login)

    def _new(self, request: AuthorizationRequest) -> tuple[str, Login]:
        cookie = seal.browser_secret()
        now = self._clock()
        return cookie, Login(
            id=seal.random_token(16),
            request=request,
            browser_key=seal.browser_key(cookie),
            created_at=now,
            expires_at=now + self._times.login_ttl_s,
        )

    # -- to the browser --------------------------------------------------------------------------------------

    def show(self, login_id: str, cookie: str | None) -> Login:
        """The login as its own browser may see it.

        Raises LoginError `login_unknown`, `other_browser`; LoginEnded `expired`.
        """
        login = self._load(login_id)
        if not self._owns(login, cookie):
            raise OtherBrowser
        if login.expires_at <= self._clock() and login.state is not State.FINISHED:
            raise LoginEnded("expired", login)
        return login

    def _owns(self, login: Login, cookie: str | None) -> bool:
        try:
            key = seal.browser_key(cookie or "")
        except ValueError:
            return False
        return hmac.compare_digest(key, login.browser_key)

    def questions(self, login: Login, wallet: str, *, ways: Collection[Via]) -> Login:
        """Make sure that there is a question for this wallet by each of these ways.

        A question through the browser is put to no wallet of our choosing. A QR code that two networks wanted is
        replaced, but not for ever: whoever sees each new one could push out the one that the holder is answering.
        """
        now = self._clock()

        def change(current: Login) -> Login:
            asks = list(current.asks)
            replaceable = sum(ask.contested for ask in asks) <= _CONTESTED_CODES
            for via in ways:
                whose = "" if via == "dc_api" else wallet
                latest = current.latest(via, whose)
                if latest is None or (latest.contested and replaceable):
                    asks.append(self._asks.new(current.id, via, whose, now))
            return msgspec.structs.replace(current, asks=tuple(asks))

        return self._change(login, change) if login.state is State.WAITING else login

    def codes(self, login: Login, wallet: str) -> tuple[Ask, ...]:
        """The QR code that this wallet is offered now, and those that take its place while the login lives."""
        return tuple(self._asks.codes(login, wallet, self._clock()))

    def code_fresh_s(self, code: Ask) -> int:
        """For how long a QR code is still the one that is offered (decision D19)."""
        return max(self._asks.ends_at(code) - self._clock(), 0)

    def ask_secret(self, ask: Ask) -> bytes:
        """32 random bytes of this ask alone, from which its response-encryption key is made."""
        return self._asks.secret(ask)

    def extend(self, login: Login) -> Login:
        """More time, as often as the holder asks, up to `login_max_s` in all (KWCAG: extendable limits)."""
        limit = login.created_at + self._times.login_max_s
        until = min(self._clock() + self._times.login_ttl_s, limit)

        def change(current: Login) -> Login:
            if current.state is State.FINISHED:  # there its expiry is that of the code
                return current
            return msgspec.structs.replace(current, expires_at=max(until, current.expires_at))

        return self._change(login, change)

    def choose(self, login: Login, wallet: str) -> Login:
        """The holder chose a wallet on the page."""
        return self._change(login, lambda current: msgspec.structs.replace(current, wallet=wallet))

    def speak(self, login: Login, lang: str) -> Login:
        """The holder chose a language for this login."""
        return self._change(login, lambda current: msgspec.structs.replace(current, lang=lang))

    # -- from a wallet ---------------------------------------------------------------------------------------

    def asked(self, ask_id: str) -> tuple[Login, Ask]:
        """The login and question behind a wallet's URL.

        Raises PresentationError `login_unknown`.
        """
        login_id, _, _ = ask_id.partition(".")
        try:
            login = self._load(login_id)
        except LoginError as error:
            raise PresentationError("login_unknown") from error
        if login.expires_at <= self._clock():
            raise PresentationError("login_expired")
        ask = self._asks.find(login, ask_id, self._clock())
        if ask is None:
            raise PresentationError("login_unknown", "no such question")
        return login, ask

    def fetched(self, login: Login, ask: Ask, *, network: str = "", place: Place | None = None) -> None:
        """A wallet opened the question: the page says so, and there is time left to answer (decision D19).

        `network` is where it came from, `place` where that seems to be. A QR code is for one device at a time: while
        it is being answered, another network gets PresentationError `opened_elsewhere`, and the page a new code.
        """
        if login.state is not State.WAITING:
            return
        now = self._clock()
        fetched_by = seal.mac(seal.derive(self.ask_secret(ask), "network"), network) if network else None
        # A fresh QR code and a fetch every two minutes must not keep a login for ever.
        limit = login.created_at + self._times.login_max_s + self._times.fetched_extra_s
        until = min(now + self._times.fetched_extra_s, limit)
        sealed = (
            seal.to_browser(login.browser_key, msgspec.json.encode(place), _purpose(login)) if place else None
        )

        def change(current: Login) -> Login:
            known = current.ask(ask.id) or ask
            if current.state is not State.WAITING:
                return current
            if known.fetched_at is not None and now < known.fetched_at + self._times.fetched_extra_s:
                return _with_ask(current, known, contested=True) if _other(known, fetched_by) else current
            changed = _with_ask(current, known, fetched_at=now, fetched_by=fetched_by, sealed_place=sealed)
            problem = changed.problem
            if (
                problem is not None and problem.reason == "opened_elsewhere"
            ):  # this is the one that replaced it
                problem = None
            return msgspec.structs.replace(
                changed, problem=problem, expires_at=max(until, current.expires_at)
            )

        changed = self._change(login, change)
        known = changed.ask(ask.id)
        if known is not None and _other(known, fetched_by):
            raise PresentationError("opened_elsewhere", status=409)
        if changed is not login:
            self._store.publish(_key(login.id))

    def scanned_at(self, login: Login, cookie: str) -> Place | None:
        """Where the phone seems to be that opened the QR code last; None where that is not known."""
        ask = login.scanned
        if ask is None or ask.sealed_place is None:
            return None
        opened = seal.open_with_browser(cookie, ask.sealed_place, _purpose(login))
        return msgspec.json.decode(opened, type=Place)

    def answered(self, login: Login, ask: Ask, fingerprint: str) -> Passed | None:
        """The same answer for the same message again: a wallet whose connection broke may repeat itself."""
        token = self._token(ask, fingerprint)
        answer = login.answer
        if answer is None or answer.token_digest is None or not _matches(token, answer.token_digest):
            return None
        return Passed(ask.via, f"{login.id}.{token}" if ask.via == "qr" else token)

    def present(
        self,
        login: Login,
        ask: Ask,
        proof: Proof,
        *,
        acr: str,
        amr: tuple[str, ...],
        fingerprint: str,
        encrypted: bool = True,
        number: str | None = None,
        comes_back: bool = True,
    ) -> Passed:
        """Lay a verified presentation beside the question. The first one wins.

        `fingerprint` is a digest of the wallet's message. `number`: what the wallet has shown its holder already, to
        be typed into this browser whichever way it was asked; without it a QR code gets one that the phone's page
        shows. comes_back: the wallet can bring something back, a `response_code` or the phone's page with its number.
        One that cannot is another device's, wherever it runs: nothing ties its answer to this browser, and what the
        holder knows must (`confirm`). Raises PresentationError `already_answered`.
        """
        if number is None and ask.via == "qr" and comes_back:
            number = f"{secrets.randbelow(10_000):04}"
        now = self._clock()
        token = self._token(ask, fingerprint)
        answer = Answer(
            via=ask.via if comes_back else "qr",
            sealed_proof=_seal(login, proof),
            presented_at=now,
            acr=acr,
            amr=amr,
            token_digest=seal.digest(token),
            number=number,
            encrypted=encrypted,
        )

        def change(current: Login) -> Login:
            if current.state is not State.WAITING:
                raise PresentationError("already_answered")
            return msgspec.structs.replace(current, state=State.PRESENTED, answer=answer, problem=None)

        # The event is durable before the wallet is told; a race that is lost rolls it back.
        laid: Login | None = None
        try:
            with writing() as session:
                if self._is_first(session, login, ask, fingerprint):
                    record(
                        session,
                        Event.PRESENTATION_ACCEPTED,
                        at=now,
                        client_id=login.request.client_id,
                        login_id=login.id,
                        detail={"via": answer.via, "credential_type": proof.credential_type, "acr": acr},
                    )
                    session.flush()
                laid = self._change(login, change)
        except BaseException:
            if laid is not None:  # what could not be recorded was not accepted (decision D10)
                self._change(laid, lambda current: _taken_back(current) if current == laid else current)
            raise
        self._store.publish(_key(login.id))
        return Passed(ask.via, f"{login.id}.{token}" if ask.via == "qr" else token)

    def _is_first(self, session: Session, login: Login, ask: Ask, fingerprint: str) -> bool:
        """Whether no message has answered this question yet. Raises PresentationError `already_answered`.

        A row decides, since the Store may forget an answer (decision D11). The same message again is no other: it is
        laid where it was.
        """
        question = seal.digest(f"{login.id}.{ask.id}")
        message = seal.digest(f"{question}{fingerprint}")
        until = self._clock() + self._ttl_s(login)
        values = {"question": question, "message": message, "expires_at": until}
        new = {row.kind for row in session.connection().execute(_ANSWERED, values)}
        if new == {"message"}:
            raise PresentationError("already_answered")
        return "question" in new

    def _token(self, ask: Ask, fingerprint: str) -> str:
        # Made from the ask's own secret, so that a repeated message finds it again and nobody else can.
        return seal.mac(seal.derive(self.ask_secret(ask), "answer"), fingerprint)

    def reject(self, login: Login, error: PresentationError) -> None:
        """A presentation did not verify. The login goes on waiting: whoever saw the QR code can send rubbish."""
        record_alone(
            Event.PRESENTATION_REJECTED,
            at=self._clock(),
            client_id=login.request.client_id,
            login_id=login.id,
            reason=error.reason,
        )
        if login.state is not State.WAITING or error.reason == "already_answered":
            return
        problem = Problem(error.reason, error.oauth_error)
        self._change(
            login,
            lambda current: (
                msgspec.structs.replace(current, problem=problem)
                if current.state is State.WAITING
                else current
            ),
        )
        self._store.publish(_key(login.id))

    def refuse(self, login: Login, ask: Ask, reason: str, *, problem: str = "wallet_refused") -> None:
        """The wallet says that the holder refused, or that it cannot answer (OpenID4VP 1.0, section 8.5).

        That ends a login whose page the holder has left for the wallet. To a QR code anybody who sees it can say so,
        and through the browser the page is still there with its other ways: there it is a problem that the page
        shows (`problem` says which), and the holder at the page decides.
        """
        record_alone(
            Event.WALLET_REFUSED,
            at=self._clock(),
            client_id=login.request.client_id,
            login_id=login.id,
            reason=reason,
        )

        def change(current: Login) -> Login:
            if current.state is not State.WAITING:
                return current
            state = State.REFUSED if ask.via == "link" else State.WAITING
            return msgspec.structs.replace(current, state=state, problem=Problem(problem))

        self._change(login, change)
        self._store.publish(_key(login.id))

    def done(self, token: str) -> tuple[Login, str]:
        """What the phone's page shows after a QR code was answered: the login and the number to type.

        Raises LoginError `login_unknown`.
        """
        login_id, _, secret = token.partition(".")
        login = self._load(login_id)
        answer = login.answer
        if answer is None or answer.number is None or not _matches(secret, answer.token_digest):
            raise LoginError("login_unknown", status=404)
        return login, answer.number

    # -- back in the browser ---------------------------------------------------------------------------------

    def arrive(self, login_id: str, cookie: str | None, response_code: str) -> Login:
        """The wallet brought the browser back with a `response_code` (OpenID4VP 1.0, section 13.3).

        A right code in a wrong browser ends the login: somebody else began it (HAIP 1.0, section 5.1). A wrong
        code changes nothing. Raises LoginError `login_unknown`, `other_browser`, `response_code_wrong`.
        """
        login = self._load(login_id)
        answer = login.answer
        right = (
            answer is not None
            and answer.via in {"link", "dc_api"}
            and _matches(response_code, answer.token_digest)
        )
        if not self._owns(login, cookie):
            record_alone(
                Event.WRONG_BROWSER,
                at=self._clock(),
                client_id=login.request.client_id,
                login_id=login.id,
                reason="right_code" if right else "wrong_code",
            )
            if right:
                self._change(login, _give_up("other_browser"))
                self._store.publish(_key(login.id))
            raise OtherBrowser(login.request.client_id if right else None)
        login = self.show(login_id, cookie)
        if login.state in {State.FINISHED, State.REFUSED}:
            return login  # over, and it is told why and how to go back
        if not right:
            raise LoginError("response_code_wrong", status=403)
        if login.state is State.READY:
            return login  # a reload of the page the wallet opened
        # Not spent here: in this browser it may be loaded twice. What happens once is the code (`oidc.code`).
        return self._change(login, _ready)

    def confirm(self, login: Login, number: str, cookie: str) -> Login:
        """The holder typed the number that the phone shows. Three wrong ones end the login.

        Where no phone can show one, it is the end of the number by which the certificate knows the holder
        (`end_of_key`), which the cookie opens.

        Raises LoginError `wrong_number`, `form_expired`; LoginEnded `wrong_number_limit`.
        """
        if login.state is State.READY:
            return login
        answer = login.answer
        if login.state is not State.PRESENTED or answer is None or not answer.is_typed:
            raise LoginError("form_expired", status=409)
        right = answer.number or end_of_key(_opened(login, answer, cookie))
        if hmac.compare_digest(number.upper().encode("utf-8"), right.encode("utf-8")):
            return self._change(login, _ready)

        def change(current: Login) -> Login:
            known = current.answer
            if current.state is not State.PRESENTED or known is None:
                return current
            wrong = known.wrong_numbers + 1
            if wrong >= self._settings.holder.wrong_numbers:
                return _give_up("wrong_number_limit")(current)
            return msgspec.structs.replace(
                current, answer=msgspec.structs.replace(known, wrong_numbers=wrong)
            )

        changed = self._change(login, change)
        record_alone(
            Event.WRONG_NUMBER, at=self._clock(), client_id=login.request.client_id, login_id=login.id
        )
        if changed.state is State.REFUSED:
            raise LoginEnded("wrong_number_limit", changed)
        raise LoginError("wrong_number", status=403)

    def open(self, login: Login, cookie: str) -> Proof:
        """What the wallet showed, opened with the cookie.

        Raises LoginError `form_expired` when nothing was shown yet.
        """
        return _opened(login, self._shown(login), cookie)

    def _shown(self, login: Login) -> Answer:
        if login.answer is None or not (login.state is State.READY or self.is_abandoned(login)):
            raise LoginError("form_expired", status=409)
        return login.answer

    def consent(self, login: Login, claims: tuple[str, ...], *, remember: bool = False) -> Login:
        """The holder agreed to release these claims; `remember`: and not to be asked again."""
        return self._change(
            login, lambda current: msgspec.structs.replace(current, consented=claims, remember=remember)
        )

    def finish(self, login: Login, cookie: str) -> Finished | None:
        """Take the login out of the hall. None when another request of this browser took or changed it first.

        One that was taken and abandoned (`is_abandoned`) may be taken again.
        """
        answer = self._shown(login)
        proof = _opened(login, answer, cookie)
        # Swap, not take: what is taken must be exactly what was looked at. A slower twin of this request would
        # otherwise take what `remember` leaves behind, and a second code with it.
        now = self._clock()
        taken = msgspec.structs.replace(
            login, state=State.FINISHED, expires_at=now + self._times.code_ttl_s, asks=(), taken_at=now
        )
        if not self._swap(login, taken, _REMEMBERED_S):
            return None
        return Finished(login, answer, proof)

    def is_abandoned(self, login: Login) -> bool:
        """Whether a request took it and did not come to its end: its process died, or the database did not answer.

        Whether it had bought its result all the same is decided by a row (`oidc.conclusion`).
        """
        if login.state is not State.FINISHED or login.sealed_outgoing is not None or login.taken_at is None:
            return False
        until = min(login.expires_at, login.created_at + self._times.login_max_s)
        return login.taken_at + _ABANDONED_S <= self._clock() < until

    def remember(self, login: Login, outgoing: bytes) -> None:
        """Keep how the finished login went back, sealed to its browser: a double click must not lose the code."""
        sealed = seal.to_browser(login.browser_key, outgoing, _purpose(login))
        finished = msgspec.structs.replace(
            login,
            state=State.FINISHED,
            expires_at=self._clock() + self._times.code_ttl_s,
            asks=(),
            answer=None,
            consented=None,
            sealed_outgoing=sealed,
        )
        self._store.put(_key(login.id), _document(finished), _REMEMBERED_S)

    def outgoing(self, login: Login, cookie: str) -> bytes:
        """How a finished login went back: what `remember` kept.

        Raises LoginEnded once the code in it is stale, StillBeingMade until it is there.
        """
        if self._clock() >= login.expires_at:
            raise LoginEnded("login_finished", login)
        if login.sealed_outgoing is None:
            raise StillBeingMade
        return seal.open_with_browser(cookie, login.sealed_outgoing, _purpose(login))

    def cancel(self, login: Login, event: Event = Event.LOGIN_CANCELLED) -> None:
        """End the login without a code."""
        record_alone(event, at=self._clock(), client_id=login.request.client_id, login_id=login.id)
        self._store.take(_key(login.id))

    # -- the drawer ------------------------------------------------------------------------------------------

    def _load(self, login_id: str) -> Login:
        document = self._store.get(_key(login_id)) if 0 < len(login_id) <= 64 else None
        login = _read(document) if document is not None else None
        if login is None:
            raise LoginError("login_unknown", status=404)
        return login

    def _put(self, login: Login) -> None:
        self._store.put(_key(login.id), _document(login), self._ttl_s(login))

    def _ttl_s(self, login: Login) -> int:
        return max(login.expires_at - self._clock(), 0) + _REMEMBERED_S

    def _change(self, login: Login, change: Callable[[Login], Login]) -> Login:
        """Compare and set, again with what somebody else made of it if we come second."""
        for _ in range(_SWAP_TRIES):
            changed = change(login)
            if changed == login:
                return login
            if self._swap(login, changed, self._ttl_s(changed)):
                return changed
            login = self._load(login.id)
        raise LoginError("unavailable", "too many changes at once", status=503)

    def _swap(self, login: Login, changed: Login, ttl_s: int) -> bool:
        """Put one record in the place of another that is still there."""
        key, known, new = _key(login.id), _document(login), _document(changed)
        if self._store.swap(key, known, new, ttl_s):
            return True
        # A node of another release writes the same login with members more or less: what counts is what it says.
        written = self._store.get(key)
        if written is None or written == known or _read(written) != login:
            return False
        return self._store.swap(key, written, new, ttl_s)


def csrf_token(cookie: str, login_id: str) -> str:
    """What a form of this login must carry: only a page of this browser can know it."""
    return seal.mac(seal.derive(seal.unb64(cookie), "csrf"), login_id)


def channel(login_id: str) -> str:
    """The Store channel on which changes of a login are published."""
    return _key(login_id)


def _key(login_id: str) -> str:
    return f"login:{login_id}"


def _purpose(login: Login) -> str:
    return f"login:{login.id}"


def end_of_key(proof: Proof) -> str:
    """The last four letters and digits of the number that finds the person again; the app shows it to its holder."""
    value = proof.person_keys[0][2]
    return "".join(character for character in value.upper() if character.isalnum())[-4:]


def _opened(login: Login, answer: Answer, cookie: str) -> Proof:
    opened = seal.open_with_browser(cookie, answer.sealed_proof, _purpose(login))
    return msgspec.json.decode(opened, type=Proof)


def _seal(login: Login, proof: Proof) -> str:
    return seal.to_browser(login.browser_key, msgspec.json.encode(proof), _purpose(login))


def _document(login: Login) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(login)
    if login.taken_at is None:  # unknown to nodes of the release before, which could not change the record
        del document["taken_at"]
    return document


def _read(document: dict[str, Any]) -> Login | None:
    """A stored record that does not fit today's shape counts as expired (a rolling deploy)."""
    try:
        return msgspec.convert(document, Login)
    except msgspec.ValidationError:
        return None


def _matches(secret: str, digest: str | None) -> bool:
    return digest is not None and hmac.compare_digest(seal.digest(secret), digest)


def _ready(current: Login) -> Login:
    return (
        msgspec.structs.replace(current, state=State.READY) if current.state is State.PRESENTED else current
    )


def _with_ask(login: Login, ask: Ask, **changes: Any) -> Login:
    """The same login with one of its questions changed; a QR code that had only its turn so far is written down."""
    changed = msgspec.structs.replace(ask, **changes)
    if login.ask(ask.id) is None:
        return msgspec.structs.replace(login, asks=(*login.asks, changed))
    asks = (changed if known.id == ask.id else known for known in login.asks)
    return msgspec.structs.replace(login, asks=tuple(asks))


def _other(ask: Ask, fetched_by: str | None) -> bool:
    """Whether another network is answering this QR code."""
    return ask.via == "qr" and None not in (fetched_by, ask.fetched_by) and fetched_by != ask.fetched_by


def _taken_back(current: Login) -> Login:
    return msgspec.structs.replace(current, state=State.WAITING, answer=None)


def _give_up(reason: str) -> Callable[[Login], Login]:
    """What was shown is deleted; the portal will hear access_denied."""

    def change(current: Login) -> Login:
        return msgspec.structs.replace(current, state=State.REFUSED, answer=None, problem=Problem(reason))

    return change
