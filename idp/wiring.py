"""Every long-lived object, made once, in order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import msgspec

from idp import clock as clocks
from idp import hsm as hsms
from idp import key_encryption, models, opendid
from idp.admin.audit import LogSigner
from idp.admin.seen import SeenChains
from idp.admin.trust import TrustRegistry
from idp.admin.wallets import WalletRegistry
from idp.clock import Clock
from idp.credentials.status import StatusLists, StatusUnavailable, TokenType
from idp.fetch import FetchError, GuardedClient
from idp.key_encryption import KeyEncryption
from idp.keys import Keys
from idp.location import Locations
from idp.login import Ask, AuthorizationRequest, Logins
from idp.mip.backend import Backend
from idp.mip.daemon import MAX_ANSWER_BYTES, Daemon
from idp.mip.relay import Meetings
from idp.mip.simulator import Simulator
from idp.mip.transactions import Transactions
from idp.oidc import request_object
from idp.oidc.access import AccessTokens
from idp.oidc.authorize import AuthorizationRequests
from idp.oidc.binding import Bindings
from idp.oidc.client_auth import ClientAuthentication
from idp.oidc.code import Codes
from idp.oidc.conclusion import Conclusions
from idp.oidc.device import Devices
from idp.oidc.device_request import DeviceRequests
from idp.oidc.dpop import Proofs
from idp.oidc.expected_values import ExpectedValues
from idp.oidc.front_channel import FrontChannel
from idp.oidc.id_token import IdTokens
from idp.oidc.introspection import Introspection
from idp.oidc.key_use import KeyFetches
from idp.oidc.mtls import ClientCertificates
from idp.oidc.portal_keys import PortalKeys
from idp.oidc.preview import Previews
from idp.oidc.proof_checks import ProofChecks
from idp.oidc.pushed import PushedRequests
from idp.oidc.redemption import Redemptions
from idp.oidc.refresh import RefreshTokens
from idp.oidc.registration import Registrations
from idp.oidc.reply import Replies
from idp.oidc.request_object import RequestObjects
from idp.oidc.revocation import Revocation
from idp.oidc.server import TokenServer
from idp.oidc.tokens import Tokens
from idp.oidc.trial_client import TrialClient
from idp.oidc.userinfo import UserInfo
from idp.oidc.wrapping import Wrapping
from idp.opendid import OpenDid
from idp.openid4vp.dc_api import DigitalCredentials
from idp.openid4vp.request import Requests, Signer
from idp.openid4vp.response import Responses
from idp.portals import Registration
from idp.presentation.question import Question, question
from idp.presentation.wallets import Protocol, WalletProfile, default_profile
from idp.session import STANDING, Sessions
from idp.settings import Settings
from idp.store import Store, open_store
from idp.store.traced import TracedStore
from idp.subject import Subjects

JWKS = "application/jwk-set+json, application/json"


@dataclass(frozen=True)
class House:
    """What the doors may call."""

    settings: Settings
    clock: Clock
    store: Store
    outside: GuardedClient
    kek: KeyEncryption
    keys: Keys
    key_fetches: KeyFetches
    wrapping: Wrapping
    trust: TrustRegistry
    status_lists: StatusLists
    seen_chains: SeenChains
    audit_signer: LogSigner
    signer: Signer
    wallets: WalletRegistry
    subjects: Subjects
    sessions: Sessions
    logins: Logins
    locations: Locations
    requests: Requests
    responses: Responses
    opendid: OpenDid | None
    digital_credentials: DigitalCredentials
    mip: Transactions | None
    id_tokens: IdTokens
    client_authentication: ClientAuthentication
    bindings: Bindings
    authorization_requests: AuthorizationRequests
    pushed: PushedRequests
    replies: Replies
    codes: Codes
    front_channel: FrontChannel
    device_requests: DeviceRequests
    devices: Devices
    tokens: TokenServer
    userinfo: UserInfo
    previews: Previews
    introspection: Introspection
    revocation: Revocation
    registrations: Registrations
    trial_client: TrialClient
    proof_checks: ProofChecks

    def question(self, portal: Registration, request: AuthorizationRequest) -> Question:
        """What a wallet is asked for this request. Raises NoCredentialType."""
        return question(portal, request, self.trust.snapshot(), with_ci=self.settings.holder.with_ci)

    def link(self, ask: Ask, wallet: WalletProfile) -> str:
        """What the button of this question carries, in the wallet's own protocol."""
        if wallet.protocol == "opendid" and self.opendid is not None:
            return self.opendid.offers.link(ask, self.logins.ask_secret(ask), wallet)
        if wallet.protocol == "mip" and self.mip is not None:
            return self.mip.link(ask, wallet.link)
        return self.requests.link(ask, wallet)

    def code(self, ask: Ask, wallet: WalletProfile) -> str:
        """What the QR code of this question carries: mostly its link."""
        if wallet.protocol == "opendid" and self.opendid is not None:
            return self.opendid.offers.code(ask, self.logins.ask_secret(ask))
        if wallet.protocol == "mip" and self.mip is not None:
            return self.mip.code(ask)
        return self.link(ask, wallet)

    def close(self) -> None:
        if self.mip is not None:
            self.mip.close()
        self.outside.close()
        self.store.close()


def fetch_status_list(outside: GuardedClient, uri: str, token_type: TokenType) -> bytes:
    """A Status List Token of the type that is asked for; another one is none (draft-ietf-oauth-status-list, 8.1)."""
    fetched = outside.get(uri, accept=token_type.value)
    if fetched.content_type != token_type.value:
        raise StatusUnavailable("an answer of another content type")
    return fetched.body


def learn_records() -> None:
    """Let msgspec look at every kind of record once, before there are threads.

    It does so at the first use of each, and two threads that are first at once crash the process (msgspec 0.22): one
    finds what the other has only begun to write down. What `credentials` makes of a presentation is never written.
    """
    kinds: list[type[msgspec.Struct]] = [msgspec.Struct]
    while kinds:
        found = kinds.pop().__subclasses__()
        kinds += found
        for kind in found:
            if kind.__module__.startswith("idp.") and not kind.__module__.startswith("idp.credentials."):
                msgspec.json.Decoder(kind)


def build(settings: Settings, clock: Clock = clocks.now) -> House:
    """The house, from its settings. Opens the Store; needs no application context.

    Raises HsmError where the key-encryption key or the wallet's is in an HSM that does not answer.
    """
    hsm = hsms.of(settings)
    kek = key_encryption.of(settings, hsm, clock)
    lifetimes = settings.lifetimes
    learn_records()
    store = open_store(settings.store_url, clock)
    if settings.tracing.endpoint:
        store = TracedStore(store)
    keys = Keys(
        kek,
        clock,
        lifetimes.key_publish_s,
        lifetimes.key_retire_s,
        hsm=hsm,
        in_hsm=hsm is not None and settings.hsm.signing_keys,
    )
    key_fetches = KeyFetches(store, keys, clock, kek.sealing("jwks-seen"))
    outside = GuardedClient(
        allow_origins=settings.fetch.allow,
        allow_loopback=settings.mode != "production",
        timeout_s=settings.fetch.timeout_s,
        max_bytes=settings.fetch.max_bytes,
    )
    status_lists = StatusLists(
        partial(fetch_status_list, outside), fetch_errors=(FetchError, StatusUnavailable)
    )
    trust = TrustRegistry(clock)
    open_did = opendid.build(
        settings, hsm, store=store, clock=clock, outside=outside, trust=trust.snapshot, status=status_lists
    )
    spoken: list[Protocol] = ["openid4vp"]
    spoken += ["opendid"] if open_did is not None else []
    spoken += ["mip"] if settings.mip.backend else []
    wallets = WalletRegistry(default_profile(settings), clock, spoken)
    subjects = Subjects(settings.secrets.pepper.reveal())
    sessions = Sessions(store, settings, clock, kek.sealing(STANDING))
    logins = Logins(store, settings, clock, kek.sealing("wallet-requests"))
    signer = Signer(settings, hsm)
    requests = Requests(settings, signer, clock)
    responses = Responses(requests=requests, trust=trust.snapshot, status=status_lists, clock=clock)
    backend = _mip_backend(settings, signer, trust, status_lists, clock)
    mip = Transactions(store, backend, settings, clock) if backend is not None else None
    portal_keys = PortalKeys(lambda uri: outside.get(uri, accept=JWKS).body, clock)
    wrapping = Wrapping(keys, portal_keys)
    id_tokens = IdTokens(settings, keys, wrapping, clock)
    replies = Replies(settings.issuer, wrapping, clock)
    expected_values = ExpectedValues(settings.secrets.pepper.reveal())
    certificates = ClientCertificates(settings, portal_keys, clock)
    bases = [base for base in (settings.issuer, settings.server.mtls_base_url) if base]
    proofs = Proofs(store, clock, settings.issuer, models.use)
    bindings = Bindings(proofs, certificates, bases, clock)
    authentication = ClientAuthentication(
        settings.issuer, f"{settings.issuer}/token", clock, portal_keys, certificates
    )
    request_objects = RequestObjects(
        settings.issuer,
        portal_keys,
        clock,
        lambda uri: outside.get(uri, accept=request_object.ACCEPT).body,
        by_reference=settings.requests.by_reference,
    )
    pushed = PushedRequests(store, settings, clock)
    authorization_requests = AuthorizationRequests(
        id_tokens=id_tokens,
        expected_values=expected_values,
        request_objects=request_objects,
        pushed=pushed,
        clock=clock,
        implicit=settings.requests.implicit,
    )
    tokens = Tokens(
        store=store,
        settings=settings,
        clock=clock,
        subjects=subjects,
        sessions=sessions,
        id_tokens=id_tokens,
        expected_values=expected_values,
    )
    refresh_tokens = RefreshTokens(tokens, settings, clock)
    conclusions = Conclusions(subjects, sessions, clock)
    redemptions = Redemptions(tokens, refresh_tokens, settings, clock)
    codes = Codes(
        store=store,
        settings=settings,
        clock=clock,
        conclusions=conclusions,
        replies=replies,
        redemptions=redemptions,
    )
    front_channel = FrontChannel(
        settings=settings, conclusions=conclusions, replies=replies, tokens=tokens, clock=clock
    )
    devices = Devices(
        store=store,
        settings=settings,
        clock=clock,
        sealing=kek.sealing("user-code"),
        conclusions=conclusions,
        redemptions=redemptions,
    )
    access_tokens = AccessTokens(store, clock)
    userinfo = UserInfo(
        access_tokens=access_tokens,
        subjects=subjects,
        bindings=bindings,
        expected_values=expected_values,
        wrapping=wrapping,
        issuer=settings.issuer,
        store=store,
        clock=clock,
    )
    return House(
        settings=settings,
        clock=clock,
        store=store,
        outside=outside,
        kek=kek,
        keys=keys,
        key_fetches=key_fetches,
        wrapping=wrapping,
        trust=trust,
        status_lists=status_lists,
        seen_chains=SeenChains(clock),
        audit_signer=LogSigner(keys, kek, settings.issuer),
        signer=signer,
        wallets=wallets,
        subjects=subjects,
        sessions=sessions,
        logins=logins,
        locations=Locations(settings.holder.location_database),
        requests=requests,
        responses=responses,
        opendid=open_did,
        digital_credentials=DigitalCredentials(settings, signer, responses, clock),
        mip=mip,
        id_tokens=id_tokens,
        codes=codes,
        front_channel=front_channel,
        device_requests=DeviceRequests(id_tokens=id_tokens, expected_values=expected_values, clock=clock),
        devices=devices,
        client_authentication=authentication,
        bindings=bindings,
        authorization_requests=authorization_requests,
        pushed=pushed,
        replies=replies,
        tokens=TokenServer(
            issuer=settings.issuer,
            codes=codes,
            refresh_tokens=refresh_tokens,
            devices=devices,
            client_authentication=authentication,
            bindings=bindings,
            key_fetches=key_fetches,
            clock=clock,
        ),
        userinfo=userinfo,
        previews=Previews(tokens, userinfo, clock),
        introspection=Introspection(
            access_tokens=access_tokens,
            subjects=subjects,
            wrapping=wrapping,
            issuer=settings.issuer,
            clock=clock,
        ),
        revocation=Revocation(access_tokens, clock),
        registrations=Registrations(settings, outside, clock),
        proof_checks=ProofChecks(authentication, proofs, certificates, bases),
        trial_client=TrialClient(
            issuer=settings.issuer,
            certificate_header=settings.server.client_certificate_header,
            keys=keys,
            client_authentication=authentication,
            bindings=bindings,
            codes=codes,
            userinfo=userinfo,
            store=store,
            clock=clock,
        ),
    )


def _mip_backend(
    settings: Settings, signer: Signer, trust: TrustRegistry, status_lists: StatusLists, clock: Clock
) -> Backend | None:
    """Who signs and verifies for the national app; None where nobody is set."""
    mip = settings.mip
    match mip.backend:
        case "rest":

            def client(timeout_s: float) -> GuardedClient:
                return GuardedClient(
                    (mip.daemon,),
                    allow_loopback=True,
                    timeout_s=timeout_s,
                    max_bytes=MAX_ANSWER_BYTES,
                    elsewhere=False,
                )

            return Daemon(
                origin=mip.daemon,
                issuer=settings.issuer,
                client=client(mip.daemon_timeout_s),
                patient_client=client(mip.relay_timeout_s + mip.daemon_timeout_s),
                trust=trust.snapshot,
                clock=clock,
            )
        case "simulator":
            return Simulator(
                issuer=settings.issuer,
                sign=signer.sign,
                trust=trust.snapshot,
                status=status_lists,
                clock=clock,
                meetings=Meetings(mip.relay, mip.relay_timeout_s) if mip.relay else None,
            )
        case _:
            return None
