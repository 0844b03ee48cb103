"""The holders' door: the sign-in page, its waiting, what the browser brings from a wallet, the number, consent."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request
from markupsafe import Markup

from idp import claims, consent, portals, seal
from idp import login as logins
from idp.addresses import network
from idp.clock import iso, kst
from idp.errors import LoginError, PresentationError, RequestError
from idp.events import Event
from idp.location import far_apart
from idp.login import Login, LoginEnded, Proof, State, Via
from idp.openid4vp.on_behalf import OnBehalf
from idp.portals import Registration, RequestedClaim
from idp.presentation.question import NoCredentialType, Question
from idp.presentation.wallets import WalletProfile
from idp.views import qr, ways
from idp.views.frame import Frame, front_door, see_other
from idp.views.language import Said, label, said
from idp.views.messages import Message, problem_for, spoken
from idp.views.presenting import Presenting
from idp.views.waiting import WaitingRoom


class HolderDoor:
    """Routes of the holders' door."""

    def __init__(self, frame: Frame, waiting_room: WaitingRoom) -> None:
        self.frame = frame
        self.house = frame.house
        self.waiting_room = waiting_room
        self.presenting = Presenting(frame.house)

    def blueprint(self) -> Blueprint:
        door = Blueprint("holder", __name__, url_prefix="/login/<login_id>")
        rule = door.add_url_rule
        rule("", "sign_in", self.sign_in)
        rule("/status", "status", self.status)
        rule("/events", "events", self.events)
        rule("/digital-credential", "digital_credential", self.digital_credential, methods=["POST"])
        rule("/extend", "extend", self.extend, methods=["POST"])
        rule("/cancel", "cancel", self.cancel, methods=["POST"])
        rule("/confirm", "confirm", self.confirm, methods=["POST"])
        rule("/consent", "consent", self.consent_page)
        rule("/consent", "consent_given", self.consent_given, methods=["POST"])
        return door

    # -- signing in ------------------------------------------------------------------------------------------

    def sign_in(self, login_id: str) -> Response:
        login, cookie = self._own(login_id)
        wallet = request.args.get("wallet", "")[:32]
        if login.wallet != wallet and wallet in self.house.wallets.in_use():
            login = self.house.logins.choose(login, wallet)
        return self._sign_in_page(login, cookie)

    def _sign_in_page(
        self, login: Login, cookie: str, *, status: int = 200, wrong_number: bool = False
    ) -> Response:
        phase = phase_of(login)
        if phase == "resume":
            return see_other(f"/authorize/resume?login={login.id}")
        portal = self._portal(login)
        asked = self.house.question(portal, login.request)
        wallets = self._wallets(portal, asked)
        wallet = wallets.get(login.wallet or "") or next(iter(wallets.values()))
        code_limit = False
        if phase in {"waiting", "fetched"}:
            login = self._questions(login, portal, asked, wallet)
            code_limit = portal.cross_device and not any(ask.via == "qr" for ask in login.asks)
        context = self._sign_in_context(login, portal, phase, asked, wallet)
        context["wallets"] = [
            {
                "name": said(one.name, self.frame.lang()),
                "url": f"/login/{login.id}?wallet={one.id}",
                "chosen": one.id == wallet.id,
            }
            for one in ways.in_changing_order(login.id, wallets.values())
        ]
        door = front_door(portal, self.frame.settings.issuer)
        context["code_limit"] = code_limit
        context["far"] = self._far(login, cookie)
        context["hand_held"] = ways.is_hand_held(request.headers)
        context["in_app"] = ways.in_app(request.user_agent.string, door.location if door else None)
        return self.frame.page(
            "sign_in.html",
            status=status,
            csrf=logins.csrf_token(cookie, login.id),
            wrong_number=wrong_number,
            **context,
        )

    def _questions(self, login: Login, portal: Registration, asked: Question, wallet: WalletProfile) -> Login:
        """The login with every question that its page puts."""
        vias: tuple[Via, ...] = ("link",)
        if portal.cross_device and not self._codes_are_used_up(login):
            vias = (*vias, "qr")
        if self.house.digital_credentials.serves(asked):
            vias = (*vias, "dc_api")
        return self.house.logins.questions(login, wallet.id, ways=vias)

    def _codes_are_used_up(self, login: Login) -> bool:
        """Whether no QR code is offered: this network began too many sign-ins at the portal (decision D1).

        Whoever lures people into scanning begins many; a holder goes on by the button, or in an hour.
        """
        if any(ask.via == "qr" for ask in login.asks):
            return False
        where = network(request.remote_addr or "")
        count = self.house.store.count(f"rate:codes:{login.request.client_id}:{where}", 3600)
        return count > self.frame.settings.holder.codes_per_hour_per_network

    def _far(self, login: Login, cookie: str) -> tuple[str, str] | None:
        """The countries of phone and screen, where the two are far apart as far as anybody can tell."""
        phone = self.house.logins.scanned_at(login, cookie)
        screen = self.house.locations.place(request.remote_addr or "") if phone is not None else None
        if phone is None or screen is None or not far_apart(phone, screen):
            return None
        lang = self.frame.lang()
        return ways.country(phone.country, lang), ways.country(screen.country, lang)

    def _wallets(self, portal: Registration, asked: Question) -> dict[str, WalletProfile]:
        """The wallets that this portal's holders may use and that can hold what is asked. Raises NoCredentialType."""
        found = {
            name: wallet
            for name, wallet in self.house.wallets.in_use().items()
            if wallet.serves(portal) and wallet.alternatives(asked)
        }
        if not found:
            raise NoCredentialType("no wallet in use holds what is asked")
        return found

    def _sign_in_context(
        self, login: Login, portal: Registration, phase: str, asked: Question, wallet: WalletProfile
    ) -> dict[str, Any]:
        lang = self.frame.lang()
        base = f"/login/{login.id}"
        now = self.house.clock()
        link = login.latest("link", wallet.id)
        codes = self.house.logins.codes(login, wallet.id)
        texts = [(self.house.code(code, wallet), self.house.link(code, wallet)) for code in codes]
        code_text, code_link = texts[0] if texts else (None, None)
        answer = login.answer
        limit = login.created_at + self.frame.settings.lifetimes.login_max_s
        wrong = answer.wrong_numbers if answer else 0
        wanted = consent.asked_claims(portal, login.request)
        released = claims.elements(claim.name for claim in wanted)
        return {
            "phase": phase,
            "state": self._page_state(login),
            "portal": self.frame.portal(portal),
            "problem": self._problem(login),
            "wallet_link": self.house.link(link, wallet) if link else None,
            "qr_svg": Markup(qr.svg(code_text)) if code_text else None,  # noqa: S704
            "digital_requests": self._digital_requests(login, portal, asked) if phase == "waiting" else None,
            "answer_url": f"{base}/digital-credential",
            "qr_text": code_text,
            "qr_link": code_link,
            "qr_fresh_s": self.house.logins.code_fresh_s(codes[0]) if codes else None,
            "qr_later": msgspec.json.encode(texts[1:]).decode(),
            "qr_each_s": self.frame.settings.lifetimes.qr_offered_s,
            "scan_url": f"{base}/scan" if self._scans(wallet) else None,
            "key_label": _key_label(login, asked, wallet, lang),
            "items": [
                {
                    "label": label(claims.CLAIMS[claim.name].label, lang),
                    "purpose": said(claim.purpose, lang),
                    "required": claim.required,
                }
                for claim in wanted
            ],
            "extra_items": sorted(
                {
                    label(claims.ELEMENT_LABELS[path], lang)
                    for alternative in asked.alternatives
                    for path in alternative.person_keys
                    if path not in released  # the portal does not receive it: we recognise the person by it
                }
            ),
            "credential_names": [said(kind.name, lang) for kind in asked.types],
            "acr_secure": asked.status_fail_closed,
            "expires_at_iso": iso(login.expires_at),
            "expires_at_kst": kst(login.expires_at, "%H:%M"),
            "seconds_left": max(login.expires_at - now, 0),
            "can_extend": login.expires_at < limit and now < limit,
            "extend_url": f"{base}/extend",
            "cancel_url": f"{base}/cancel",
            "confirm_url": f"{base}/confirm",
            "events_url": f"{base}/events",
            "status_url": f"{base}/status",
            "page_url": base,
            "number_in_wallet": wallet.protocol == "opendid" and portal.cross_device,
            "tries_left": self.frame.settings.holder.wrong_numbers - wrong,
        }

    def _scans(self, wallet: WalletProfile) -> bool:
        """Whether this wallet shows codes that are read here (QR-CPM)."""
        return wallet.protocol == "mip" and bool(self.frame.settings.mip.relay)

    def _digital_requests(self, login: Login, portal: Registration, asked: Question) -> str | None:
        """What the page hands to `navigator.credentials.get`, as JSON."""
        ask = login.latest("dc_api")
        if ask is None or not self.house.digital_credentials.serves(asked):
            return None
        secret = self.house.logins.ask_secret(ask)
        made = self.house.digital_credentials.requests(
            ask, secret, asked, on_behalf=OnBehalf.of(portal, login.request), until=login.expires_at
        )
        return msgspec.json.encode(made).decode()

    def digital_credential(self, login_id: str) -> Response:
        """What the browser brings from a wallet: JSON with where to go on, or with words for the page that stays.

        The page is this login's own in this browser (cookie and token), and the wallet bound its answer to our origin:
        there is no second device to compare a number with.
        """
        login, cookie = self._own(login_id)
        token = request.headers.get("X-CSRF-Token", "")
        if request.mimetype != "application/json" or not forms_match(
            logins.csrf_token(cookie, login.id), token
        ):
            raise LoginError("form_expired", "csrf", status=403)
        ask = login.latest("dc_api")
        if ask is None:
            raise LoginError("form_expired", "nothing was asked this way", status=409)
        message = request.get_data(cache=False)
        secret = self.house.logins.ask_secret(ask)
        try:
            passed = self.presenting.take(
                login,
                ask,
                self._portal(login),
                message.decode("latin-1"),
                lambda question: self.house.digital_credentials.read(message, ask, secret, question),
            )
        except PresentationError as error:
            return self._refused(login, cookie, status=error.status, reason=error.reason)
        if passed is None:
            return self._refused(login, cookie, status=200)
        # Whatever becomes of this answer on its way to the page: a look at the login now leads on.
        self.house.logins.arrive(login.id, cookie, passed.token)
        return jsonify(location=f"/authorize/resume?login={login.id}")

    def _refused(self, login: Login, cookie: str, *, status: int, reason: str | None = None) -> Response:
        """Words for the page, and what its waiting would tell it, so that it need not come again to say the same.

        reason: None is what the wallet said.
        """
        now = self.house.logins.show(login.id, cookie)
        said = now.problem.reason if now.problem is not None else "wallet_refused"
        return self.frame.words(problem_for(reason or said), status=status, state=self._page_state(now))

    def _problem(self, login: Login) -> Message | None:
        if login.problem is None or login.state is not State.WAITING:
            return None
        return spoken(problem_for(login.problem.reason), self.frame.lang())

    def status(self, login_id: str) -> Response:
        """What the page asks when it cannot hold a stream open."""
        login, _ = self._own(login_id)
        return jsonify(state=self._page_state(login))

    def events(self, login_id: str) -> Response:
        """An event stream, on a connection that no thread waits on; 204 where that cannot be."""
        login, cookie = self._own(login_id)
        admitted = self.waiting_room.admit(
            request.environ,
            logins.channel(login.id),
            lambda: self._page_state(self.house.logins.show(login_id, cookie)),
            # Then the page asks again, and reads that it is over.
            max(login.expires_at - self.house.clock(), 1),
        )
        return Response(status=200 if admitted else 204)

    def _page_state(self, login: Login) -> str:
        """What the waiting page compares: the phase, and a problem that came up."""
        phase = phase_of(login)
        if phase == "waiting" and login.problem is not None:
            return f"waiting.{problem_for(login.problem.reason)}"  # as much as the page itself says
        return phase

    def extend(self, login_id: str) -> Response:
        login, _ = self.own_form(login_id)
        self.house.logins.extend(login)
        return see_other(f"/login/{login.id}")

    def cancel(self, login_id: str) -> Response:
        """Back to the portal, with a proper error (RFC 6749, section 4.1.2.1)."""
        login, _ = self.own_form(login_id)
        return self._leave(login, Event.LOGIN_CANCELLED)

    def _leave(self, login: Login, event: Event) -> Response:
        if login.state is State.FINISHED:
            raise LoginEnded("login_finished", login)
        self.house.logins.cancel(login, event)
        outgoing = self.frame.way_back(login, "the holder did not sign in")
        if outgoing is None:
            raise RequestError("bad_request", "redirect_uri no longer registered")
        return self.frame.send(outgoing)

    def confirm(self, login_id: str) -> Response:
        """The number that the phone shows (decision D1)."""
        login, cookie = self.own_form(login_id)
        try:
            self.house.logins.confirm(login, request.form.get("number", "").strip()[:16], cookie)
        except LoginError as error:
            if error.reason != "wrong_number":
                raise
            login, cookie = self._own(login_id)
            return self._sign_in_page(login, cookie, status=error.status, wrong_number=True)
        return see_other(f"/authorize/resume?login={login.id}")

    # -- consent ---------------------------------------------------------------------------------------------

    def consent_page(self, login_id: str) -> Response:
        login, cookie = self._own(login_id)
        if login.state is not State.READY:
            return see_other(f"/authorize/resume?login={login.id}")
        return self._consent_page(login, cookie, error=False)

    def _consent_page(self, login: Login, cookie: str, *, error: bool) -> Response:
        proof = self.house.logins.open(login, cookie)
        portal = self._portal(login)
        agreed = self._agreement(login, portal, proof)
        return consent_page(
            self.frame,
            portal,
            agreed,
            proof.claims,
            form_url=f"/login/{login.id}/consent",
            csrf=logins.csrf_token(cookie, login.id),
            error=error,
        )

    def consent_given(self, login_id: str) -> Response:
        """What the form says counts only as far as the portal's own registration and request go."""
        login, cookie = self.own_form(login_id)
        if login.state is State.FINISHED or login.consented is not None:
            return see_other(f"/authorize/resume?login={login.id}")  # a double click
        decision = request.form.get("decision")
        if decision == "refuse":
            return self._leave(login, Event.CONSENT_REFUSED)
        proof = self.house.logins.open(login, cookie)
        agreed = self._agreement(login, self._portal(login), proof)
        if decision != "agree":
            raise LoginError("form_expired", "no decision")
        try:
            released = agreed.agree(request.form.getlist("item"))
        except consent.ConsentIncomplete:
            return self._consent_page(login, cookie, error=True)
        self.house.logins.consent(login, released, remember=request.form.get("remember") == "yes")
        return see_other(f"/authorize/resume?login={login.id}")

    def _agreement(self, login: Login, portal: Registration, proof: Proof) -> consent.Agreement:
        subject_id = self.house.subjects.find(proof.person_keys)
        agreed = consent.agreement(portal, login.request, subject_id)
        return agreed.limited_to(proof.claims)

    # -- whose login -----------------------------------------------------------------------------------------

    def _own(self, login_id: str) -> tuple[Login, str]:
        """The login, if this is the browser that began it."""
        cookie = self.frame.cookie(login_cookie(login_id)) if len(login_id) <= 64 else None
        login = self.house.logins.show(login_id, cookie)
        chosen = self.frame.chosen_lang()
        if chosen and login.lang != chosen and login.state is not State.FINISHED:
            login = self.house.logins.speak(login, chosen)
        self.frame.speak_for(login)
        return login, cookie or ""

    def own_form(self, login_id: str) -> tuple[Login, str]:
        """The same, for a form: it must come from a page of this login in this browser."""
        login, cookie = self._own(login_id)
        if not forms_match(logins.csrf_token(cookie, login.id), request.form.get("csrf", "")):
            raise LoginError("form_expired", "csrf", status=403)
        return login, cookie

    def _portal(self, login: Login) -> Registration:
        portal = portals.find(login.request.client_id)
        if portal is None:
            raise LoginEnded("unknown_portal", login)
        return portal


def consent_page(
    frame: Frame,
    portal: Registration,
    agreed: consent.Agreement,
    shown: Mapping[str, Any],
    *,
    form_url: str,
    csrf: str,
    error: bool = False,
) -> Response:
    """The page on which a holder agrees; `shown` are the claims of the credential. The console previews it too."""
    lang = frame.lang()
    offline_days = max(frame.settings.lifetimes.offline_refresh_token_ttl_s // 86_400, 1)
    return frame.page(
        "consent.html",
        status=400 if error else 200,
        portal=frame.portal(portal),
        items=[_item(claim, shown, agreed, portal, lang) for claim in agreed.asked],
        recipient_retention=said(portal.retention, lang),
        offline_days=offline_days if agreed.offline else 0,
        form_url=form_url,
        csrf=csrf,
        error=error,
    )


def phase_of(login: Login) -> str:
    """What the sign-in page shows: waiting, fetched, confirm, elsewhere; resume when it has nothing more to show."""
    if login.state is State.WAITING:
        return "fetched" if login.fetched and login.problem is None else "waiting"
    if login.state is State.PRESENTED and login.answer is not None:
        return "confirm" if login.answer.is_typed else "elsewhere"
    return "resume"


def _key_label(login: Login, asked: Question, wallet: WalletProfile, lang: str) -> str | None:
    """What the holder types the end of, where the wallet can show no number; None where it can."""
    answer = login.answer
    if wallet.comes_back if answer is None else answer.via != "qr" or answer.number is not None:
        return None
    kinds = [alternative.kind for alternative in wallet.alternatives(asked)] or asked.types
    keys = {kind.person_key for kind in kinds if kind.person_key is not None}
    return " / ".join(sorted(label(claims.ELEMENT_LABELS[key], lang) for key in keys))


def login_cookie(login_id: str) -> str:
    """One cookie a login, so that a second tab harms nothing."""
    return f"login-{login_id}"


def csrf_for_session(cookie: str) -> str:
    return seal.mac(seal.derive(cookie.encode("utf-8"), "csrf"), "logout")


def forms_match(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode("utf-8"), given.encode("utf-8", "surrogateescape"))


def _preview(row: claims.Claim, value: Any, lang: str) -> str:
    """A value that names itself goes by its name, in the reader's language where it has one."""
    if value is None:
        return "–"
    if row.name == "gender":
        return Said(label(claims.GENDERS[value], lang), lang)
    names = row.names(value)
    return said(names, lang) if names else row.mask(value)


def _item(
    claim: RequestedClaim,
    shown: Mapping[str, Any],
    agreed: consent.Agreement,
    portal: Registration,
    lang: str,
) -> dict[str, Any]:
    row = claims.CLAIMS[claim.name]
    value = row.value(shown)
    return {
        "name": claim.name,
        "label": label(row.label, lang),
        "preview": _preview(row, value, lang),
        "purpose": said(claim.purpose, lang),
        "retention": said(claim.retention or portal.retention, lang),
        "required": claim.required,
        "basis": claim.basis,
        "statute": said(claim.statute, lang) if claim.statute else "",
        "sensitive": row.sensitivity == "unique_identifier",
        "previously_given": claim.name in agreed.before,
    }
