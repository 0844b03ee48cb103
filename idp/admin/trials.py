"""A sign-in that is tried: a registration for one go, like a portal's in all but who it is.

The portal's own registration is never used, so it need not know an address of ours, and a code or token of a trial is
nobody's but the trial's. What an administrator could do with it decided its shape: they must learn nothing of a holder
but of themselves.

- It lives for one sign-in, under a `client_id` of its own. Requests must be pushed, and only the console can: the
  secret or key that proves the client was made for this one, and leaves the server for nobody. So no link begins one
  in a holder's browser, and no trial is a public client.
- Codes are shown to no second device, so nobody else's wallet can answer by a QR code that was passed on; single
  sign-on answers nothing; nothing is refreshed, and no resource is asked for.
- In production the administrator is who the console knows them as: `sub` is of the console's sector, and a sign-in of
  anybody else ends with `login_required` before anything is released. Where credentials are invented anyway, `sub` is
  of a sector of its own. In either case it is not the portal's.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from idp import portals, seal
from idp.admin import console
from idp.events import Event, record
from idp.models import Administrator, Consent, Grant, Portal, PortalSecret, SessionPortal, db, writing
from idp.portals import AUTHORIZATION_CODE, Registration
from idp.portals.registration import AuthMethod
from idp.portals.rules import TRIAL_PREFIX
from idp.portals.texts import MAX_NAME_CHARS
from idp.settings import Settings

CALLBACK: Final = "/console/try/callback"
TTL_S: Final = 3600
_MARK: Final = {"ko": "[시험] ", "en": "[Trial] "}


def is_one(client_id: str) -> bool:
    """Whether this registration is a trial, and none that lists of portals should name."""
    return client_id.startswith(TRIAL_PREFIX)


def registered(client_id: str) -> Registration | None:
    """The portal with this client_id, switched on or not, or None; a trial is none."""
    row = db.session.get(Portal, client_id, populate_existing=True) if "\0" not in client_id else None
    return (
        msgspec.convert(row.registration, Registration) if row is not None and not is_one(client_id) else None
    )


def begin(
    of: Registration,
    settings: Settings,
    *,
    jwks: dict[str, Any],
    method: AuthMethod,
    secret_sha256: tuple[str, ...] = (),
    now: int,
) -> Registration:
    """Register a trial of this portal, which proves itself by this method: its public keys, its secret's digest."""
    own = {"jwks": jwks, "token_endpoint_auth_method": method, "client_secret_sha256": secret_sha256}
    made = msgspec.structs.replace(_like(of, settings, f"{TRIAL_PREFIX}{seal.random_token(16)}"), **own)
    with writing() as session:
        sweep(session, now)
        session.add(
            Portal(
                client_id=made.client_id, enabled=True, registration=portals.document(made), updated_at=now
            )
        )
        detail = {"as": made.client_id}
        record(session, Event.PORTAL_TRIED, at=now, client_id=of.client_id, detail=detail)
    return made


def end(client_id: str, *, now: int) -> None:
    """Take a trial out, with what it was granted."""
    if not is_one(client_id):
        raise ValueError("not a trial")
    with writing() as session:
        _remove(session, [client_id], now)


def sweep(session: Session, now: int) -> None:
    """Take out the trials that nobody came back from, in the caller's transaction."""
    old = select(Portal.client_id).where(
        Portal.client_id.startswith(TRIAL_PREFIX), Portal.updated_at < now - TTL_S
    )
    if client_ids := list(session.scalars(old)):
        _remove(session, client_ids, now)


def _remove(session: Session, client_ids: list[str], now: int) -> None:
    session.execute(
        update(Grant)
        .where(Grant.client_id.in_(client_ids), Grant.revoked_at.is_(None))
        .values(revoked_at=now)
        .execution_options(synchronize_session=False)
    )
    for table in (Consent, SessionPortal, PortalSecret, Portal):
        session.execute(delete(table).where(table.client_id.in_(client_ids)))


def expected_sub(settings: Settings, admin_id: str) -> str | None:
    """Who has to sign in: in production the administrator alone; None: anybody, since nobody is real."""
    if settings.mode != "production":
        return None
    return db.session.scalars(select(Administrator.sub).where(Administrator.id == admin_id)).one()


def _like(of: Registration, settings: Settings, client_id: str) -> Registration:
    sector = console.CLIENT_ID if settings.mode == "production" else client_id
    return msgspec.structs.replace(
        of,
        client_id=client_id,
        name={lang: f"{mark}{of.name[lang]}"[:MAX_NAME_CHARS] for lang, mark in _MARK.items()},
        redirect_uris=(f"{settings.issuer}{CALLBACK}",),
        grant_types=(AUTHORIZATION_CODE,),
        response_types=("code",),
        post_logout_redirect_uris=(),
        sector_identifier=sector,
        sector_identifier_uri=None,
        token_endpoint_auth_signing_alg=(
            of.token_endpoint_auth_signing_alg if of.token_endpoint_auth_method == "private_key_jwt" else None
        ),
        jwks_uri=None,
        tls_client_auth_subject_dn=None,
        tls_client_auth_san_dns=None,
        tls_client_auth_san_uri=None,
        tls_client_auth_san_ip=None,
        tls_client_auth_san_email=None,
        scopes=tuple(scope for scope in of.scopes if scope != "offline_access"),
        require_pushed_authorization_requests=True,
        request_uris=(),
        resources=(),
        serves_resources=(),
        cross_device=False,
        single_sign_on=False,
        backchannel_logout_uri=None,
        initiate_login_uri=None,
        logo_uri=None,
    )
