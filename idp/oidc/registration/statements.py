"""Software statements: metadata that somebody we trust has signed.

A statement opens no door of its own: it needs an invitation like any registration, and what it says wins over what the
portal says beside it. An issuer is known by a file, a JWK Set whose extra member `issuer` says whose keys they are.

Spec: RFC 7591, sections 2.3 and 3.1.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from idp import seal, strict_json
from idp.clock import Clock
from idp.oidc.registration.refusals import RegistrationRefused

ALGORITHMS = ("ES256", "PS256", "RS256")
_MAX_CHARS = 32_768
_LEEWAY_S = 10
_MIN_RSA_BITS = 2048
_ABOUT_THE_TOKEN = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "software_statement"})


class _Registry(jws.JWSRegistry):
    max_header_length = 8192
    max_payload_length = _MAX_CHARS


class SoftwareStatements:
    """The issuers we know. Raises ValueError when made of a file that is not one."""

    def __init__(self, files: Sequence[str], audience: str, clock: Clock) -> None:
        self._audience = audience
        self._clock = clock
        self._issuers: dict[str, KeySet] = {}
        for file in files:
            document = strict_json.loads_object(Path(file).read_bytes())
            issuer, keys = document.get("issuer"), document.get("keys")
            if not (isinstance(issuer, str) and issuer and isinstance(keys, list) and keys):
                raise ValueError("registration.software_statement_files: a file needs issuer and keys")
            self._issuers[issuer] = KeySet.import_key_set({"keys": keys})

    def merged(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The metadata with what its software statement says in place of what it says itself.

        Raises RegistrationRefused: `unapproved_software_statement` for an issuer that is not ours to trust,
        `invalid_software_statement` for everything else.
        """
        statement = metadata.get("software_statement")
        if statement is None:
            return dict(metadata)
        if not isinstance(statement, str) or len(statement) > _MAX_CHARS or statement.count(".") != 2:
            raise _invalid("must be a signed JWT")
        claims = self._verified(statement)
        said = {name: value for name, value in claims.items() if name not in _ABOUT_THE_TOKEN}
        kept = {name: value for name, value in metadata.items() if name.partition("#")[0] not in said}
        return {**kept, **said}

    def _verified(self, statement: str) -> dict[str, Any]:
        try:
            header, unverified = (
                strict_json.loads_object(seal.unb64(part)) for part in statement.split(".")[:2]
            )
        except ValueError as error:
            raise _invalid("must be a signed JWT") from error
        keys = self._issuers.get(str(unverified.get("iss")))
        if keys is None:
            raise RegistrationRefused(
                "unapproved_software_statement", "software_statement: its issuer is not approved here"
            )
        if header.get("alg") not in ALGORITHMS or "crit" in header:
            raise _invalid(f"must be signed with one of {', '.join(ALGORITHMS)}")
        claims = _signed(statement, header, keys)
        self._check_times(claims)
        audiences = claims.get("aud", self._audience)
        if self._audience not in (audiences if isinstance(audiences, list) else [audiences]):
            raise _invalid("is for somebody else (aud)")
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock()
        for name in ("exp", "nbf", "iat"):
            moment = claims.get(name)
            if moment is None:
                continue
            if isinstance(moment, bool) or not isinstance(moment, int | float):
                raise _invalid(f"has no usable {name}")
            if now >= moment + _LEEWAY_S if name == "exp" else moment > now + _LEEWAY_S:
                raise _invalid(f"is not valid today ({name})")


def _signed(statement: str, header: Mapping[str, Any], keys: KeySet) -> dict[str, Any]:
    """The claims, when a key of the issuer has signed them."""
    alg, kid = header["alg"], header.get("kid")
    registry = _Registry(algorithms=[alg], strict_check_header=False)
    for key in keys.keys:
        fits = isinstance(key, ECKey if alg == "ES256" else RSAKey) and kid in (None, key.kid)
        if not fits or (isinstance(key, RSAKey) and key.raw_value.key_size < _MIN_RSA_BITS):
            continue
        try:
            verified = jws.deserialize_compact(statement, key, registry=registry)
            return strict_json.loads_object(verified.payload)
        except (JoseError, ValueError):
            continue
    raise _invalid("is not signed by a key of its issuer")


def _invalid(problem: str) -> RegistrationRefused:
    return RegistrationRefused("invalid_software_statement", f"software_statement {problem}")
