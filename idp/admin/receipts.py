"""Receipts in writing: signed by the house, checked by anybody who has its public keys.

A receipt is signed when its holder asks for it, not when the sign-in happens: with the key of that day, so that one
whose key was removed can be had again under another. The keys are kept as those of the audit's log are, long after
they left the JWKS (`audit.signing`).

Spec: RFC 7515, RFC 7519; `typ` as RFC 8725, section 3.11, has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from idp.admin.audit import LogSigner
from idp.admin.audit.signing import ALG
from idp.events import Event, record
from idp.models import writing
from idp.receipts import TYPE, SignIn

MAX_BYTES = 65_536
"""How long a receipt may be that is checked; ours have a few kilobytes."""


class BadReceipt(ValueError):
    """This is no receipt of ours; the message says why."""


def issue(signer: LogSigner, sign_in: SignIn, *, subject_id: str, now: int) -> str:
    """A receipt as a compact JWS, and the audit's word that it was given out. Raises NoSigningKey."""
    with writing() as database:
        signed = signer.sign(database, TYPE, {"iat": now, **sign_in.claims()})
        record(
            database,
            Event.RECEIPT_ISSUED,
            at=now,
            client_id=sign_in.client_id,
            subject_id=subject_id,
            login_id=sign_in.txn,
        )
    return signed


def read(signed: str, keys: Iterable[Mapping[str, Any]], *, issuer: str | None = None) -> dict[str, Any]:
    """What a receipt says, once it holds: signed by one of these JWKs, as a receipt, by `issuer` where that is given.

    Raises BadReceipt. It says what was true when it was signed: a consent may have been withdrawn since.
    """
    if len(signed) > MAX_BYTES:
        raise BadReceipt("too long")
    try:
        known = KeySet.import_key_set({"keys": [dict(key) for key in keys]})
        opened = jws.deserialize_compact(signed.strip(), known, algorithms=[ALG])
        claims = json.loads(opened.payload)
    except (JoseError, ValueError) as error:
        raise BadReceipt("it was not signed by one of these keys, or was changed") from error
    if opened.headers().get("typ") != TYPE or not isinstance(claims, dict):
        raise BadReceipt("it is signed as something else")
    if issuer is not None and claims.get("iss") != issuer:
        raise BadReceipt(f"it was issued by {claims.get('iss')}")
    return claims
