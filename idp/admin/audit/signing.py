"""Who signs the log, and how a signature is still believed when its key is long gone.

A checkpoint, or a cut, is signed with the ES256 key that signs tokens at the time. Its public half is kept in
`audit_key`, together with an HMAC under a key made from the key-encryption key, which is not in the database: who can
write to the database and nothing else can plant a key, but not have it vouched for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, import_key
from sqlalchemy import select
from sqlalchemy.orm import Session

from idp.key_encryption import KeyEncryption, Sealing
from idp.models import AuditCheckpoint, AuditKey, SigningKey, db

ALG = "ES256"
CHECKPOINT = "sinwon-audit-checkpoint+jwt"
CUT = "sinwon-audit-cut+jwt"
PURPOSE = "audit-keys"
"""What the key-encryption key is used for here."""
_MEMBERS = ("crv", "kty", "x", "y")


class BadSignature(Exception):
    """A signature of the log fails; the message says why, in words for whoever runs `idp audit verify`."""


class SigningKeys(Protocol):
    """What is needed of `idp.keys.Keys`."""

    def sign_jwt(self, typ: str, claims: Mapping[str, Any], alg: str) -> str: ...
    def verification_key(self, kid: str) -> Key: ...


class LogSigner:
    """Signs for one deployment. Threads may share one."""

    def __init__(self, keys: SigningKeys, kek: KeyEncryption, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._vouching = kek.sealing(PURPOSE)

    def sign(self, session: Session, typ: str, claims: Mapping[str, Any]) -> str:
        """A compact JWS of these claims and our issuer; its key is kept, in the caller's transaction."""
        signed = self._keys.sign_jwt(typ, {"iss": self._issuer, **claims}, ALG)
        kid = str(jws.extract_compact(signed.encode()).headers()["kid"])
        if session.get(AuditKey, kid) is None:
            jwk = _public(self._keys.verification_key(kid).as_dict(private=False))
            session.add(AuditKey(kid=kid, public_jwk=jwk, vouched=self._vouching.mac(*_parts(jwk))))
            session.flush()
        return signed

    def vouched_keys(self) -> list[dict[str, Any]]:
        """Every key that ever signed and that we vouch for, without those that were removed because others may have
        copied them: what such a key signed proves nothing any more."""
        removed = select(SigningKey.kid).where(SigningKey.removed_at.is_not(None))
        rows = db.session.scalars(select(AuditKey).where(AuditKey.kid.not_in(removed)).order_by(AuditKey.kid))
        return [_jwk(row) for row in rows if is_vouched(self._vouching, row.public_jwk, row.vouched)]


class LogVerifier:
    """Checks signatures of the log: with the keys that are vouched for, or with those an auditor brings."""

    def __init__(self, kek: KeyEncryption, keys: list[Mapping[str, Any]] | None = None) -> None:
        """`keys`: JWKs in place of those in the database. Raises ValueError for one that is no P-256 key."""
        self._vouching = kek.sealing(PURPOSE)
        self._brought = None if keys is None else {_kid(jwk): jwk for jwk in keys}
        self._known: dict[str, Key] = {}

    def open(self, typ: str, signed: str) -> dict[str, Any]:
        """The claims of a JWS of this type. Raises BadSignature."""
        try:
            header = jws.extract_compact(signed.encode()).headers()
            if header.get("typ") != typ or header.get("alg") != ALG:
                raise BadSignature("is signed as something else")
            opened = jws.deserialize_compact(signed, self._key(str(header.get("kid"))), algorithms=[ALG])
            claims = json.loads(opened.payload)
        except (JoseError, ValueError) as error:
            raise BadSignature("has a signature that fails") from error
        if not isinstance(claims, dict):
            raise BadSignature("has a signature that fails")
        return claims

    def _key(self, kid: str) -> Key:
        if kid not in self._known:
            self._known[kid] = import_key(dict(self._jwk(kid)))
        return self._known[kid]

    def _jwk(self, kid: str) -> Mapping[str, Any]:
        if self._brought is not None:
            if kid not in self._brought:
                raise BadSignature(f"is signed by the key {kid}, which is not among the given ones")
            return self._brought[kid]
        row = db.session.scalar(select(AuditKey).where(AuditKey.kid == kid))
        if row is None:
            raise BadSignature(f"is signed by the key {kid}, which is not known here")
        if _kid(row.public_jwk) != kid or not is_vouched(self._vouching, row.public_jwk, row.vouched):
            raise BadSignature(f"is signed by the key {kid}, which the key-encryption key does not vouch for")
        return row.public_jwk


def public_keys() -> list[dict[str, Any]]:
    """Every key that ever signed the log, as JWKs with their kid: for an auditor to keep."""
    rows = db.session.scalars(select(AuditKey).order_by(AuditKey.kid))
    return [_jwk(row) for row in rows]


def latest_checkpoint() -> str | None:
    """The newest signed checkpoint: for an auditor to keep elsewhere."""
    return db.session.scalar(select(AuditCheckpoint.signed).order_by(AuditCheckpoint.size.desc()).limit(1))


def _jwk(row: AuditKey) -> dict[str, Any]:
    return {**row.public_jwk, "kid": row.kid, "alg": ALG, "use": "sig"}


def _public(jwk: Mapping[str, Any]) -> dict[str, Any]:
    return {name: jwk[name] for name in _MEMBERS}


def _kid(jwk: Mapping[str, Any]) -> str:
    """The thumbprint (RFC 7638). Raises ValueError."""
    try:
        key = import_key(_public(jwk))
    except (JoseError, KeyError) as error:
        raise ValueError("not a P-256 key") from error
    if not isinstance(key, ECKey) or key.curve_name != "P-256":
        raise ValueError("not a P-256 key")
    return key.thumbprint()


def is_vouched(vouching: Sealing, jwk: Mapping[str, Any], word: str) -> bool:
    """Whether this is our word, given under any key that there is, for this public key."""
    return word in vouching.macs(*_parts(jwk))


def vouched_anew(vouching: Sealing, jwk: Mapping[str, Any], word: str) -> str | None:
    """The same word under the key in force, None where it is, or where it was never ours."""
    best, *others = vouching.macs(*_parts(jwk))
    return best if word in others else None


def _parts(jwk: Mapping[str, Any]) -> list[str]:
    return [str(jwk[name]) for name in _MEMBERS]
