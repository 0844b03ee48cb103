"""The sandbox's backend: what only the operator can do for the real app, done in formats of our own.

Refused in mode production. Nothing here is how the real app does it, and nothing here says yes to everything:

- The profile has the shape of the specification's sample. Its `proof.signatureValue` is a compact JWS (ES256, `x5c` of
  `wallet.certificate_file`, typ `mip-profile+jwt`) over the SHA-256 of the `profile` member as JSON with
  sorted keys and no white space. `profile.publicKey` is a P-256 JWK in base64url, of this question alone.
- The presentation's `data` is the hex of a compact JWE to that key (ECDH-ES, A256GCM). In it is
  `{"presentation": ...}`: an SD-JWT VC with key binding of a type that has `formats."dc+sd-jwt"` beside `formats.mip`,
  `aud` `mip:` and our issuer, `nonce` the profile's. It is verified as one that came by OpenID4VP: issuer, holder,
  status list.

So a holder of the make-believe authority's credentials signs in, and a revoked one does not.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from idp import credentials, seal, strict_json
from idp.clock import Clock, utc
from idp.credentials import (
    CredentialRejected,
    Expected,
    Reason,
    StatusLookup,
    TrustSnapshot,
    VerifiedCredential,
)
from idp.mip.backend import SECURE_AUTH, Asked, BackendUnavailable, Offered
from idp.mip.items import FORMAT
from idp.mip.messages import VP_TYPE, Preparation, PresentType, UnverifiedVp
from idp.mip.relay import Meetings

PROFILE_TYPE: Final = "mip-profile+jwt"
INNER_FORMAT: Final = "dc+sd-jwt"
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_AES_256: Final = 2
_SECP256R1: Final = 1
_WITH_FACE: Final = frozenset({"face", "fpt"})

Sign = Callable[[Mapping[str, Any], str], str]
"""(claims, typ) to a compact JWS."""


class _Registry(jwe.JWERegistry):
    max_protected_header_length = 4_096
    max_ciphertext_length = 720_000


class Simulator:
    """A `Backend` for mode demo and sandbox."""

    def __init__(
        self,
        *,
        issuer: str,
        sign: Sign,
        trust: Callable[[], TrustSnapshot],
        status: StatusLookup,
        clock: Clock,
        meetings: Meetings | None,
    ) -> None:
        self._issuer = issuer
        self._sign = sign
        self._trust = trust
        self._status = status
        self._clock = clock
        self._meetings = meetings

    def close(self) -> None:
        """Nothing is open."""

    def profile(self, asked: Asked) -> Offered:
        nonce = secrets.token_hex(32)
        inner = self._inner(asked, nonce)
        profile = {
            "encoding": "UTF-8",
            "id": f"did:web:{self._issuer.partition('://')[2].replace(':', '%3A')}",
            "language": "KR",
            "profile": inner,
            "proof": {
                "created": utc(self._clock()).strftime("%Y-%m-%dT%H:%M:%S"),
                "nonce": secrets.token_hex(32),
                "signatureValue": self._sign({"profile_sha256": profile_digest(inner)}, PROFILE_TYPE),
                "type": "JsonWebSignature2020",
            },
            "timezone": "UTC+9",
            "version": "3.0",
        }
        return Offered(
            seal.b64(json.dumps(profile, ensure_ascii=False).encode("utf-8")), nonce, asked.trxcode
        )

    def _inner(self, asked: Asked, nonce: str) -> dict[str, Any]:
        looks = asked.alternative.looks
        public = _key(asked.secret).as_dict(private=False)
        jwk = {name: public[name] for name in ("kty", "crv", "x", "y")}
        return {
            "authType": sorted(SECURE_AUTH, reverse=True) if asked.secure else ["pin"],
            "callBackUrl": f"{self._issuer}/mip/vp",
            "encryptType": _AES_256,
            "keyType": _SECP256R1,
            "filter": {
                "allowIssuerList": [],
                "requiredAssertionList": [
                    {
                        "id": asked.alternative.kind.id,
                        "name": asked.alternative.kind.name["ko"],
                        "type": asked.alternative.kind.id,
                    }
                ],
                "requiredPrivacyList": sorted({looks.paths[path][0] for path in asked.alternative.asked}),
            },
            "name": asked.portal_names["ko"],
            "spName": asked.portal_names["ko"],
            "nonce": nonce,
            "presentType": PresentType.VP.value,
            "publicKey": seal.b64(json.dumps(jwk, sort_keys=True).encode("ascii")),
            "spCode": self._issuer.partition("://")[2],
            "svcCode": asked.service,
            "type": VP_TYPE,
        }

    def verify(self, asked: Asked, offered: Offered, vp: UnverifiedVp) -> VerifiedCredential:
        presentation = _decrypted(vp.data, _key(asked.secret))
        kind = asked.alternative.kind
        if INNER_FORMAT not in kind.formats:
            raise CredentialRejected(
                Reason.TYPE_NOT_ACCEPTED, f"has no {INNER_FORMAT} for the simulator to read"
            )
        verified = credentials.verify(
            INNER_FORMAT,
            presentation,
            expected=Expected(
                audience=f"mip:{self._issuer}",
                nonce=offered.nonce,
                accepted_types=frozenset({kind.id}),
                status_fail_closed=asked.status_fail_closed,
            ),
            trust=self._trust(),
            status=self._status,
            now=self._clock(),
        )
        # A general service asked for a PIN, whatever else the holder could have done.
        unlocked = tuple(way for way in verified.authentication if asked.secure or way not in _WITH_FACE)
        return msgspec.structs.replace(verified, format=FORMAT, name=asked.service, authentication=unlocked)

    def meet(self, asked: Asked, preparation: Preparation) -> VerifiedCredential:
        if self._meetings is None:
            raise BackendUnavailable("no relay is set")
        return self._meetings.meet(self, asked, preparation)

    def assertion(self, nonce: str) -> str:
        """Who we are, for the relay: a JWS over its nonce."""
        return self._sign({"nonce": nonce, "iss": self._issuer}, "mip-assertion+jwt")


def profile_digest(profile: Mapping[str, Any]) -> str:
    """SHA-256 of a profile as JSON with sorted keys and no white space, hex."""
    text = json.dumps(profile, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _key(secret: bytes) -> ECKey:
    """The P-256 private key made from an ask's secret, another than the one of OpenID4VP."""
    number = int.from_bytes(seal.derive(secret, "mip-vp", 48), "big") % (_P256_ORDER - 1) + 1
    return ECKey.import_key(ec.derive_private_key(number, ec.SECP256R1()))


def _decrypted(data: str, key: ECKey) -> str:
    """The presentation in the hex of a compact JWE. Raises CredentialRejected(MALFORMED)."""
    registry = _Registry(algorithms=["ECDH-ES", "A256GCM"])
    try:
        compact = bytes.fromhex(data).decode("ascii")
        opened = jwe.decrypt_compact(compact, key, registry=registry)
        presentation = strict_json.loads_object(opened.plaintext or b"")["presentation"]
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise CredentialRejected(Reason.MALFORMED, "not readable with this question's key") from error
    if not isinstance(presentation, str):
        raise CredentialRejected(Reason.MALFORMED, "presentation")
    return presentation
