"""Registering, reading, changing and removing a portal by itself: what the door calls."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from idp import seal
from idp.claims import SCOPES
from idp.clock import Clock
from idp.events import Event, record
from idp.fetch import GuardedClient
from idp.models import Consent, Grant, Portal, PortalLogo, db, writing
from idp.oidc.registration import access, metadata
from idp.oidc.registration.metadata import Terms
from idp.oidc.registration.references import References
from idp.oidc.registration.refusals import AccessRefused, RegistrationRefused
from idp.oidc.registration.statements import SoftwareStatements
from idp.portals import Registration, versions
from idp.portals.rules import is_ours
from idp.portals.versions import UnknownPortal
from idp.settings import Settings

_NOT_IN_AN_UPDATE = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)


class Registrations:
    """Portals that register themselves."""

    def __init__(self, settings: Settings, outside: GuardedClient, clock: Clock) -> None:
        self._issuer = settings.issuer
        self._settings = settings.registration
        self._implicit = settings.requests.implicit
        self._references = References(outside)
        if unknown := set(self._settings.scopes) - set(SCOPES):
            raise ValueError(f"registration.scopes: not known: {', '.join(sorted(unknown))}")
        self._statements = SoftwareStatements(self._settings.software_statement_files, settings.issuer, clock)
        self._clock = clock

    def register(self, unverified: Mapping[str, Any], token: str | None) -> dict[str, Any]:
        """A new portal; the client information response, with its secret and its registration access token.

        `token` is the initial access token, None where none was sent. A registration that is refused uses none up.
        Raises AccessRefused and RegistrationRefused. Spec: RFC 7591, section 3; RFC 7592, section 3.
        """
        now = self._clock()
        profile = self._may_register(token, now)
        client_id = seal.random_token(16)
        merged = self._statements.merged(unverified)
        terms = Terms(profile, self._settings.scopes, self._settings.require_pkce, self._implicit)
        document = metadata.read(client_id, merged, terms)
        secret = _give_secret(document, ())
        registration = metadata.parse(document)
        logo = self._follow(registration, None)
        management = seal.random_token()
        with writing() as session:
            invitation = access.use(session, token, now) if token is not None else None
            row = versions.write(
                session, registration, now=now, reason="registered itself", actor=_itself(client_id)
            )
            row.registration_token_digest = seal.digest(management)
            _keep_logo(session, client_id, logo)
            detail = {"profile": registration.profile, "invitation": invitation or "open"}
            record(session, Event.PORTAL_REGISTERED, at=now, client_id=client_id, detail=detail)
        answer = self._answer(registration, management, secret)
        if unverified.get("software_statement") is not None:
            answer["software_statement"] = unverified["software_statement"]
        return {**answer, "client_id_issued_at": now}

    def read(self, client_id: str, token: str) -> dict[str, Any]:
        """The registration as it stands, without the secret, which nobody here knows. Spec: RFC 7592, 2.1."""
        row = access.check_manager(versions.row(db.session(), client_id), token)
        return self._answer(_registered(row), token, None)

    def update(self, client_id: str, token: str, unverified: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the registration: what is left out is back at its default. The token is a new one afterwards.

        A `fapi2` portal stays one, and the sector stays what it is, since every holder would be a stranger in another.
        What only an operator sets is kept. Raises AccessRefused, RegistrationRefused. Spec: RFC 7592, section 2.2.
        """
        now = self._clock()
        row = access.check_manager(versions.row(db.session(), client_id), token)
        current, stood = _registered(row), row.registration
        _check_update(unverified, current)
        merged = self._statements.merged(unverified)
        scopes = tuple(dict.fromkeys((*self._settings.scopes, *current.scopes)))
        terms = Terms(current.profile, scopes, self._settings.require_pkce, self._implicit)
        document = metadata.read(client_id, merged, terms)
        _keep_operators_own(document, current)
        _keep_sector(document, current)
        secret = _give_secret(document, current.client_secret_sha256)
        registration = metadata.parse(document)
        if registration.sector != current.sector:
            raise RegistrationRefused(
                "invalid_client_metadata",
                "redirect_uris or sector_identifier_uri would change the sector by which holders are known",
            )
        logo = self._follow(registration, current)
        management = seal.random_token()
        with writing() as session:
            # Asked again under a lock: of two updates with one token the first one wins.
            locked = access.check_manager(versions.row(session, client_id, lock=True), token)
            if locked.registration != stood:  # an operator was quicker: what was kept of it is not it
                raise RegistrationRefused("invalid_client_metadata", "changed meanwhile; read it again")
            versions.write(session, registration, now=now, reason=None, actor=_itself(client_id))
            locked.registration_token_digest = seal.digest(management)
            if registration.logo_uri != current.logo_uri:
                _keep_logo(session, client_id, logo)
            record(session, Event.PORTAL_UPDATED, at=now, client_id=client_id)
        return self._answer(registration, management, secret)

    def remove(self, client_id: str, token: str) -> None:
        """Take the portal out, and end what was granted to it. Spec: RFC 7592, section 2.3."""
        with writing() as session:
            access.check_manager(versions.row(session, client_id, lock=True), token)
            _remove(session, client_id, self._clock(), reason=None, actor=_itself(client_id))

    def renew_logo(self, client_id: str) -> None:
        """Fetch a portal's logo once more, for an operator; one that cannot be had, or is no longer named, is gone.

        Raises UnknownPortal; RegistrationRefused when it cannot be fetched or is none.
        """
        row = versions.row(db.session(), client_id)
        if row is None:
            raise UnknownPortal
        uri = _registered(row).logo_uri
        refused = None
        try:
            png = self._references.logo(uri) if uri is not None else None
        except RegistrationRefused as error:
            png, refused = None, error
        with writing() as session:
            _keep_logo(session, client_id, png)
        if refused is not None:
            raise refused

    # -- steps -----------------------------------------------------------------------------------------------

    def _may_register(self, token: str | None, now: int) -> access.Profile:
        if token is not None:  # a bad token is refused also where none is needed: its bearer thinks it counts
            return access.invited_to(token, now)
        if not self._settings.open:
            raise AccessRefused("", "Registration needs an initial access token.")
        return "standard"

    def _follow(self, registration: Registration, current: Registration | None) -> bytes | None:
        """Fetch what the registration points to; the logo, where there is a new one."""
        if registration.sector_identifier_uri is not None:
            self._references.check_sector(registration.sector_identifier_uri, registration.redirect_uris)
        if registration.jwks_uri is not None:
            self._references.check_keys(registration.jwks_uri)
        if registration.backchannel_logout_uri is not None:
            self._references.check_logout(registration.backchannel_logout_uri)
        if registration.logo_uri is None or (current and current.logo_uri == registration.logo_uri):
            return None
        return self._references.logo(registration.logo_uri)

    def _answer(self, registration: Registration, token: str, secret: str | None) -> dict[str, Any]:
        shown = {} if secret is None else {"client_secret": secret, "client_secret_expires_at": 0}
        return {
            **metadata.write(registration),
            **shown,
            "registration_access_token": token,
            "registration_client_uri": f"{self._issuer}/register/{quote(registration.client_id, safe='')}",
        }


def _check_update(unverified: Mapping[str, Any], current: Registration) -> None:
    """What RFC 7592, section 2.2, asks of the members that are not metadata."""
    if unverified.get("client_id") != current.client_id:
        raise RegistrationRefused("invalid_client_metadata", "client_id must be this portal's")
    for member in _NOT_IN_AN_UPDATE:
        if member in unverified:
            raise RegistrationRefused("invalid_client_metadata", f"{member} must not be in an update")
    secret = unverified.get("client_secret")
    if secret is not None and not (isinstance(secret, str) and current.has_secret(secret)):
        raise RegistrationRefused("invalid_client_metadata", "client_secret is not the one that was issued")


def _give_secret(document: dict[str, Any], known: tuple[str, ...]) -> str | None:
    """Write the digest of the portal's secret into its document; the secret itself, where it is a new one."""
    if not str(document["token_endpoint_auth_method"]).startswith("client_secret_"):
        return None
    secret = None if known else seal.random_token()
    document["client_secret_sha256"] = known or (seal.digest(str(secret)),)
    return secret


def _keep_operators_own(document: dict[str, Any], current: Registration) -> None:
    """What the portal cannot set by itself stays as the operator set it: also the claims that a statute gives."""
    document |= {name: getattr(current, name) for name in metadata.OPERATORS_OWN}
    document["cross_device"] = current.cross_device and document.get("cross_device", True)
    by_statute = {claim.name: claim for claim in current.claims if claim.basis == "statute"}
    chosen = [claim for claim in document["claims"] if claim["name"] not in by_statute]
    document["claims"] = [*map(msgspec.to_builtins, by_statute.values()), *chosen]


def _keep_sector(document: dict[str, Any], current: Registration) -> None:
    """The sector that was set for this portal holds as long as it has no new hosts."""
    hosts = {urlsplit(uri).hostname for uri in current.redirect_uris}
    no_new = {urlsplit(uri).hostname for uri in document["redirect_uris"]} <= hosts
    if current.sector_identifier and no_new:
        document["sector_identifier"] = current.sector_identifier


def _keep_logo(session: Session, client_id: str, png: bytes | None) -> None:
    session.execute(delete(PortalLogo).where(PortalLogo.client_id == client_id))
    if png is not None:
        session.add(PortalLogo(client_id=client_id, png=png, digest=hashlib.sha256(png).hexdigest()))


def _itself(client_id: str) -> str:
    """What a version calls a portal that manages its own registration."""
    return f"portal:{client_id}"


def _registered(row: Portal) -> Registration:
    return msgspec.convert(row.registration, Registration)


# -- by the portal itself or by an operator -------------------------------------------------------------------


def remove(client_id: str, *, now: int, reason: str | None = None) -> None:
    """Take a portal out for an operator. Raises UnknownPortal."""
    if is_ours(client_id):
        raise UnknownPortal
    with writing() as session:
        _remove(session, client_id, now, reason=reason, actor=None)


def switch(client_id: str, *, enabled: bool, now: int) -> None:
    """Switch a portal off, or on again: while it is off nobody knows it. Raises UnknownPortal."""
    with writing() as session:
        row = versions.row(session, client_id, lock=True)
        if row is None or is_ours(client_id):
            raise UnknownPortal
        row.enabled = enabled
        record(
            session, Event.PORTAL_ENABLED if enabled else Event.PORTAL_DISABLED, at=now, client_id=client_id
        )


def _remove(session: Session, client_id: str, now: int, *, reason: str | None, actor: str | None) -> None:
    """The row, its logo, and what rested on it: a later portal of the same name inherits no token and no consent."""
    for table, ended in ((Grant, Grant.revoked_at), (Consent, Consent.withdrawn_at)):
        session.execute(
            update(table)
            .where(table.client_id == client_id, ended.is_(None))
            .values({ended.key: now})
            .execution_options(synchronize_session=False)
        )
    session.execute(delete(PortalLogo).where(PortalLogo.client_id == client_id))
    versions.remove(session, client_id, now=now, reason=reason, actor=actor)
    record(session, Event.PORTAL_REMOVED, at=now, client_id=client_id)


# -- logos ----------------------------------------------------------------------------------------------------


def logo_png(client_id: str) -> tuple[bytes, str] | None:
    """A portal's logo as PNG, and its digest; None where it has none."""
    if not versions.may_be_one(client_id):
        return None
    row = (
        db.session.connection()
        .execute(select(PortalLogo.png, PortalLogo.digest).where(PortalLogo.client_id == client_id))
        .first()
    )
    return (row.png, row.digest) if row is not None else None


def logo_url(registration: Registration) -> str | None:
    """Where we serve a portal's logo: a new picture has a new address."""
    if registration.logo_uri is None:
        return None
    found = (
        db.session.connection()
        .execute(select(PortalLogo.digest).where(PortalLogo.client_id == registration.client_id))
        .scalar()
    )
    return f"/portals/{quote(registration.client_id, safe='')}/logo.png?v={found[:12]}" if found else None
