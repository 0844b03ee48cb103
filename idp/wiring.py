"""Every long-lived object, made once, in order."""

from __future__ import annotations

from dataclasses import dataclass

from idp import clock as clocks
from idp import seal
from idp.admin.trust import TrustRegistry
from idp.clock import Clock
from idp.credentials.status import StatusLists
from idp.fetch import FetchError, GuardedClient
from idp.keys import Keys
from idp.login import Logins
from idp.oidc.client_auth import ClientAuthentication
from idp.oidc.code import Codes
from idp.oidc.id_token import IdTokens
from idp.oidc.server import TokenServer
from idp.oidc.userinfo import UserInfo
from idp.openid4vp.request import Requests, Signer
from idp.openid4vp.response import Responses
from idp.session import Sessions
from idp.settings import Settings
from idp.store import Store, open_store
from idp.subject import Subjects

STATUS_LIST = "application/statuslist+jwt"


@dataclass(frozen=True)
class House:
    """What the doors may call."""

    settings: Settings
    clock: Clock
    store: Store
    outside: GuardedClient
    keys: Keys
    trust: TrustRegistry
    subjects: Subjects
    sessions: Sessions
    logins: Logins
    requests: Requests
    responses: Responses
    id_tokens: IdTokens
    codes: Codes
    tokens: TokenServer
    userinfo: UserInfo

    def close(self) -> None:
        self.outside.close()
        self.store.close()


def build(settings: Settings, clock: Clock = clocks.now) -> House:
    """The house, from its settings. Opens the Store; needs no application context."""
    kek = settings.secrets.key_encryption_key.reveal()
    lifetimes = settings.lifetimes
    store = open_store(settings.store_url, clock)
    keys = Keys(kek, clock, lifetimes.key_publish_s, lifetimes.key_retire_s)
    outside = GuardedClient(
        allow_origins=settings.fetch.allow,
        allow_loopback=settings.mode != "production",
        timeout_s=settings.fetch.timeout_s,
        max_bytes=settings.fetch.max_bytes,
    )
    status_lists = StatusLists(
        lambda uri: outside.get(uri, accept=STATUS_LIST).body, fetch_errors=(FetchError,)
    )
    trust = TrustRegistry(clock)
    subjects = Subjects(settings.secrets.pepper.reveal())
    sessions = Sessions(store, settings, clock)
    logins = Logins(store, settings, clock, seal.derive(kek, "wallet-requests"))
    requests = Requests(settings, Signer(settings), clock)
    responses = Responses(
        client_id=requests.client_id, trust=trust.snapshot, status=status_lists, clock=clock
    )
    id_tokens = IdTokens(settings, keys, clock)
    codes = Codes(
        store=store, settings=settings, clock=clock, subjects=subjects, sessions=sessions, id_tokens=id_tokens
    )
    authentication = ClientAuthentication(settings.issuer, f"{settings.issuer}/token", clock)
    return House(
        settings=settings,
        clock=clock,
        store=store,
        outside=outside,
        keys=keys,
        trust=trust,
        subjects=subjects,
        sessions=sessions,
        logins=logins,
        requests=requests,
        responses=responses,
        id_tokens=id_tokens,
        codes=codes,
        tokens=TokenServer(codes, authentication),
        userinfo=UserInfo(store, clock),
    )
