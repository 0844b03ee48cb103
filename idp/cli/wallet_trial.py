"""Trying a wallet profile before holders meet it: the built-in wallet, bent to the profile, against this deployment.

Request and answer are made and read by the very code that serves, with the deployment's certificate, name and
addresses; nothing is sent, and nothing is stored. The card is the demonstration's, under authorities that exist for
the trial alone: what is tried is how the two speak, not whom the deployment trusts.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from idp import clock as clocks
from idp import hsm as hsms
from idp import seal
from idp.clock import Clock
from idp.credentials.status import StatusLists, TokenType
from idp.credentials.trust import TrustSnapshot, from_documents
from idp.demo import answering, personas, request, seeds
from idp.demo.authority import OVERSEAS, Authority
from idp.demo.wallet import CannotAnswer, Wallet
from idp.errors import PresentationError
from idp.login import Ask
from idp.openid4vp.on_behalf import OnBehalf
from idp.openid4vp.query import query
from idp.openid4vp.request import Requests, Signer, SignerError
from idp.openid4vp.response import Responses
from idp.presentation.proof import Answered
from idp.presentation.question import Alternative, Question
from idp.presentation.wallets import WalletProfile
from idp.presentation.wallets import document as document_of
from idp.settings import Settings

_PORTAL = OnBehalf({"ko": "지갑 시험", "en": "Wallet trial"}, {})


class TrialFailed(Exception):
    """What went wrong, in words for the operator."""


class NotTried(TrialFailed):
    """There is nothing to try this protocol with."""


@dataclass(frozen=True)
class _Bench:
    """What a trial is made with: both sides, and what the verifier believes."""

    requests: Requests
    responses: Responses
    trust: TrustSnapshot
    authority: Authority
    access_ca: Path
    dialect: request.Dialect


@dataclass(frozen=True)
class _Put:
    """A question as it was put."""

    ask: Ask
    secret: bytes
    question: Question


def run(settings: Settings, profile: WalletProfile, clock: Clock = clocks.now) -> Iterator[str]:
    """Try a profile in every format it is asked for; a line for each thing that holds.

    Raises TrialFailed, NotTried.
    """
    if profile.protocol != "openid4vp":
        raise NotTried(f"there is no built-in wallet for {profile.protocol}")
    with tempfile.TemporaryDirectory(prefix="sinwon-trial-") as directory:
        try:
            bench = _bench(Path(directory), settings, profile, clock)
        except SignerError as error:
            raise TrialFailed(str(error)) from error
        for format in profile.speaks:
            yield from _try(bench, profile, format, clock)


def _bench(directory: Path, settings: Settings, profile: WalletProfile, clock: Clock) -> _Bench:
    nowhere = "http://127.0.0.1:1"
    prepared = seeds.prepare(
        directory,
        issuer=settings.issuer,
        portals_url=nowhere,
        wallet_url=f"{nowhere}/wallet",
        authority_url=f"{nowhere}/authority",
    )
    authority = Authority(prepared)
    document = prepared.trust()
    trust = from_documents(document["credential_type"], document["mission"])
    requests = Requests(settings, Signer(settings, hsms.of(settings)), clock)
    requests.client_id(profile)  # does the certificate allow it?
    return _Bench(
        requests=requests,
        responses=Responses(
            requests=requests, trust=lambda: trust, status=StatusLists(_lists_of(authority)), clock=clock
        ),
        trust=trust,
        authority=authority,
        access_ca=prepared.access_ca,
        # Of the names that the profile has for its SD-JWT VCs, the one that is least usual.
        dialect=replace(request.Dialect.like(document_of(profile)), sd_jwt_type=profile.sd_jwt_types[-1]),
    )


def _lists_of(authority: Authority) -> Callable[[str, TokenType], bytes]:
    def fetch(uri: str, token_type: TokenType) -> bytes:
        mission = urlsplit(uri).path.rpartition("/")[2]
        if token_type is TokenType.CWT:
            return authority.status_token_cwt(mission)
        return authority.status_token(mission).encode("ascii")

    return fetch


def _try(bench: _Bench, profile: WalletProfile, format: str, clock: Clock) -> Iterator[str]:
    ask_id = f"{seal.random_token(16)}.{secrets.token_hex(4)}"
    ask = Ask(ask_id, "link", seal.random_token(), "", clock(), wallet=profile.id)
    put = _Put(ask, secrets.token_bytes(32), _question(bench.trust, format))
    asked_for = query(put.question, [format])
    made = bench.requests.object(ask, put.secret, asked_for, profile, on_behalf=_PORTAL)
    try:
        link = request.read_link(bench.requests.link(ask, profile))
        asked = request.check(made, link, None, dialect=bench.dialect)
    except request.RequestRefused as refusal:
        raise TrialFailed(f"{format}: the wallet does not take the request: {refusal.reason}") from refusal
    yield f"{format}: the wallet takes the request of {asked.client_id.partition(':')[0]}"
    form = _answered(bench, asked, format)
    _read(bench, form, put, profile)
    yield f"{format}: its answer by {profile.response_mode} is accepted"
    other = replace(put, ask=msgspec.structs.replace(ask, nonce=seal.random_token()))
    try:
        _read(bench, form, other, profile)
    except TrialFailed:
        yield f"{format}: the same answer to another request is refused"
    else:
        raise TrialFailed(f"{format}: an answer to another request is accepted")


def _question(trust: TrustSnapshot, format: str) -> Question:
    kind = trust.types[OVERSEAS]
    required = (("name",), ("birthdate",))
    keys = (kind.person_key,) if kind.person_key else ()
    alternative = Alternative(kind, kind.formats[format], keys, required, ())
    return Question((alternative,), status_fail_closed=True)


def _answered(bench: _Bench, asked: request.Request, format: str) -> dict[str, str]:
    """The form that the built-in wallet answers with."""
    wallet = Wallet(bench.authority, personas.PERSONAS[:1], bench.access_ca)
    with closing(wallet):
        try:
            answer = wallet.answer(asked, personas.PERSONAS[0], card=OVERSEAS, format=format)
        except CannotAnswer as error:
            raise TrialFailed("the query is one that no card answers") from error
    return answering.form(answer, asked)


def _read(bench: _Bench, form: dict[str, str], put: _Put, profile: WalletProfile) -> None:
    (format,) = (alternative.looks.format for alternative in put.question.alternatives)
    parameters: dict[str, Any] = {name: [value] for name, value in form.items()}
    try:
        answered = bench.responses.read(parameters, put.ask, put.secret, put.question, profile)
    except PresentationError as error:
        raise TrialFailed(f"{format}: its answer is refused: {error.reason}") from error
    if not isinstance(answered, Answered):
        raise TrialFailed(f"{format}: the wallet refuses")
