"""SD-JWT and SD-JWT+KB (RFC 9901), compact serialisation, as a verifier reads them.

    payload = verify_sd_jwt(presentation, issuer_key=..., header_types=..., key_binding=..., now=...)

Whether a key binding is due is the caller's decision, never read from what was sent. What makes a credential of
such a token (types, trust in the issuer, status) is in `sd_jwt_vc`. Left out: the JSON serialisation.

Specs: RFC 9901, sections 4, 7.1 and 7.3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from idp import strict_json
from idp.credentials import jose
from idp.credentials.jose import UnverifiedJws
from idp.credentials.verdict import CredentialRejected, Reason, Unprinted
from idp.seal import b64, unb64

MAX_PRESENTATION_CHARS = 768 * 1024  # a photo is base64 twice: some 400 KB of it fit
MAX_ISSUER_JWT_CHARS = 256 * 1024
MAX_KEY_BINDING_CHARS = 8 * 1024
MAX_DISCLOSURES = 256
MAX_DEPTH = 16
SKEW_S = 60
KEY_BINDING_WINDOW_S = 300

_HASHES: Mapping[str, Callable[[bytes], Any]] = {
    "sha-256": hashlib.sha256,
    "sha-384": hashlib.sha384,
    "sha-512": hashlib.sha512,
}
_RESERVED = frozenset({"_sd", "..."})
_DIGEST_TYPES = {str}
_CONTAINERS = frozenset({dict, list})  # all that JSON has
_CONFIRMATION_MEMBERS = frozenset({"jwk", "kid"})


class KeyBinding(msgspec.Struct, frozen=True):
    """Demands a Key Binding JWT for this audience and nonce, both compared exactly."""

    audience: str
    nonce: str

    def __post_init__(self) -> None:
        if not self.audience or not self.nonce:
            raise ValueError("a key binding without audience or nonce binds nothing")


class UnverifiedSdJwt(msgspec.Struct):
    """The parts of a presentation, well formed, of which nothing is verified yet.

    signed_part: all up to and including the last `~`, over which `sd_hash` is taken. holder: the key in the issuer's
    payload, once `read_holder_key` was asked for it.
    """

    issuer: UnverifiedJws
    disclosures: tuple[str, ...]
    key_binding: UnverifiedJws | None
    signed_part: str
    holder: jose.PublicKey | None = None

    __repr__ = Unprinted.__repr__

    def read_holder_key(self) -> jose.PublicKey:
        """`holder_key` of the issuer's payload, read once. Raises as it does."""
        if self.holder is None:
            self.holder = holder_key(self.issuer.payload)
        return self.holder


_Disclosure = tuple[str | None, Any]
"""Name and value; no name for an array element."""


class _Walk(msgspec.Struct):
    """One pass over a payload: what is disclosed goes in, the digests go out."""

    disclosed: dict[str, _Disclosure]
    undisclosable: frozenset[str]
    seen: set[str] = msgspec.field(default_factory=set)


def unverified_parse(presentation: str) -> UnverifiedSdJwt:
    """The parts of a compact SD-JWT or SD-JWT+KB. Checks form and size, no signature, no digest, no time.

    Raises CredentialRejected: TOO_LARGE, MALFORMED, ALGORITHM, CRITICAL_HEADER.
    """
    if len(presentation) > MAX_PRESENTATION_CHARS:
        raise CredentialRejected(Reason.TOO_LARGE, "the presentation is too long")
    parts = presentation.split("~", MAX_DISCLOSURES + 2)
    if len(parts) < 2:
        raise CredentialRejected(Reason.MALFORMED, "not a compact SD-JWT")
    if len(parts) > MAX_DISCLOSURES + 2:
        raise CredentialRejected(Reason.TOO_LARGE, "too many disclosures")
    issuer, *disclosures, last = parts
    return UnverifiedSdJwt(
        issuer=jose.unverified_jws(issuer, max_chars=MAX_ISSUER_JWT_CHARS),
        disclosures=tuple(disclosures),
        key_binding=jose.unverified_jws(last, max_chars=MAX_KEY_BINDING_CHARS) if last else None,
        signed_part=presentation[: len(presentation) - len(last)],
    )


def verify_sd_jwt(
    presentation: str | UnverifiedSdJwt,
    *,
    issuer_key: jose.PublicKey,
    header_types: Collection[str],
    key_binding: KeyBinding | None,
    now: int,
    undisclosable: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """The processed payload: what is disclosed in its place, no digest left (RFC 9901, section 7.1 and 7.3).

    header_types: the values of `typ` that are accepted, compared exactly.
    key_binding: None where the caller's policy asks for none; a Key Binding JWT is then not looked at. Where it is
        due, `cnf` must stand in the signed payload whole.
    undisclosable: top-level claims that must stand in the signed payload whole.
    now: seconds since the epoch; `exp` and `nbf` are checked with SKEW_S, where they are present.

    Raises CredentialRejected.
    """
    token = unverified_parse(presentation) if isinstance(presentation, str) else presentation
    check_header_type(token, header_types)
    jose.check_signature(token.issuer, issuer_key, Reason.ISSUER_SIGNATURE)
    # The signatures one after the other: between two of them the processor forgets what it knew of all else.
    bound = _signed_key_binding(token) if key_binding is not None else {}
    payload = _disclosed(token, undisclosable)
    check_times(payload, now)
    if key_binding is not None:
        _check_key_binding(token, bound, key_binding, now)
    return payload


def check_header_type(token: UnverifiedSdJwt, header_types: Collection[str]) -> None:
    """Explicit typing (RFC 9901, section 10.11; RFC 8725, section 3.11). Raises CredentialRejected(HEADER_TYPE)."""
    typ = token.issuer.header.get("typ")
    if not isinstance(typ, str) or typ not in header_types:
        raise CredentialRejected(Reason.HEADER_TYPE, "typ of the issuer-signed JWT")


def check_times(payload: Mapping[str, Any], now: int) -> None:
    """`exp`, `nbf` and `iat`, where they are present.

    Raises CredentialRejected: EXPIRED, NOT_YET_VALID, MALFORMED.
    """
    expires_at = jose.numeric_date(payload, "exp")
    if expires_at is not None and now >= expires_at + SKEW_S:
        raise CredentialRejected(Reason.EXPIRED, "exp")
    for name in ("nbf", "iat"):
        begins_at = jose.numeric_date(payload, name)
        if begins_at is not None and now < begins_at - SKEW_S:
            raise CredentialRejected(Reason.NOT_YET_VALID, name)


def holder_key(payload: Mapping[str, Any]) -> jose.PublicKey:
    """The key a credential is bound to: `cnf.jwk` and nothing else, so that nothing is fetched (RFC 7800).

    Raises CredentialRejected(HOLDER_KEY): none, by reference only, private, symmetric, not on its curve.
    """
    confirmation = payload.get("cnf")
    if not isinstance(confirmation, dict) or not _CONFIRMATION_MEMBERS.issuperset(confirmation):
        raise CredentialRejected(Reason.HOLDER_KEY, "cnf is not a key by value")
    try:
        return jose.public_key(confirmation.get("jwk"))
    except ValueError:
        raise CredentialRejected(Reason.HOLDER_KEY, "cnf.jwk is not a public key we accept") from None


def _signed_key_binding(token: UnverifiedSdJwt) -> Mapping[str, Any]:
    """What the holder signed, with the key that the issuer signed for (RFC 9901, section 7.3, steps 5.a to 5.d).

    The issuer's signature has been checked. A key that is disclosed, and might as well not be, is nobody's.
    """
    key = token.read_holder_key()
    proof = token.key_binding
    if proof is None:
        raise CredentialRejected(Reason.KEY_BINDING_MISSING, "no Key Binding JWT")
    if proof.header.get("typ") != "kb+jwt":
        raise CredentialRejected(Reason.KEY_BINDING_TYPE, "typ of the Key Binding JWT")
    jose.check_signature(proof, key, Reason.KEY_BINDING_SIGNATURE)
    return proof.payload


def _check_key_binding(
    token: UnverifiedSdJwt, claims: Mapping[str, Any], expected: KeyBinding, now: int
) -> None:
    """Which presentation, for whom and when: RFC 9901, section 7.3, step 5; OpenID4VP 1.0, appendix B.3.6."""
    # `!=` on values of another JSON type is simply different: an array holding the audience is not the audience.
    if claims.get("aud") != expected.audience:
        raise CredentialRejected(Reason.KEY_BINDING_AUDIENCE, "aud is not the expected audience")
    if claims.get("nonce") != expected.nonce:
        raise CredentialRejected(Reason.KEY_BINDING_NONCE, "nonce is not the expected nonce")
    issued_at = claims.get("iat")
    if isinstance(issued_at, bool) or not isinstance(issued_at, int):
        raise CredentialRejected(Reason.KEY_BINDING_TIME, "iat is not a whole number")
    if abs(now - issued_at) > KEY_BINDING_WINDOW_S + SKEW_S:
        raise CredentialRejected(Reason.KEY_BINDING_TIME, "iat is outside the window")
    digest = _hash_of(token.issuer.payload)
    if claims.get("sd_hash") != _digest(digest, token.signed_part):
        raise CredentialRejected(Reason.KEY_BINDING_HASH, "sd_hash is not of what is presented")


def _disclosed(token: UnverifiedSdJwt, undisclosable: frozenset[str]) -> dict[str, Any]:
    """RFC 9901, section 7.1, step 3: every digest is looked up once, every disclosure is used once."""
    digest = _hash_of(token.issuer.payload)
    try:
        keys = [b64(digest(text.encode("ascii")).digest()) for text in token.disclosures]
    except UnicodeEncodeError:
        raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "not ASCII") from None
    disclosed = dict(zip(keys, map(_disclosure, token.disclosures), strict=True))
    if len(disclosed) != len(keys):
        raise CredentialRejected(Reason.DISCLOSURE_DUPLICATE, "a disclosure was sent twice")
    walk = _Walk(disclosed, undisclosable)
    signed = {name: value for name, value in token.issuer.payload.items() if name != "_sd_alg"}
    payload = _object(signed, walk, depth=0)
    if not walk.seen.issuperset(disclosed):
        raise CredentialRejected(Reason.DISCLOSURE_UNREFERENCED, "no digest stands for a disclosure")
    return payload


def _disclosure(text: str) -> _Disclosure:
    try:
        contents = strict_json.loads_array(unb64(text))
    except ValueError:
        raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "not an array of JSON in base64url") from None
    if len(contents) not in (2, 3) or not isinstance(contents[0], str):
        raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "not an array of salt, name and value")
    if len(contents) == 2:
        return None, contents[1]
    name = contents[1]
    if not isinstance(name, str):
        raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "a claim's name is not a string")
    if name in _RESERVED or name == "_sd_alg":
        raise CredentialRejected(Reason.DISCLOSURE_FORBIDDEN, "a reserved name")
    return name, contents[2]


def _value(value: Any, walk: _Walk, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise CredentialRejected(Reason.TOO_LARGE, "the payload is nested too deeply")
    if isinstance(value, dict):
        return _object(value, walk, depth)
    if isinstance(value, list):
        return _array(value, walk, depth)
    return value


def _object(signed: dict[str, Any], walk: _Walk, depth: int) -> dict[str, Any]:
    if "..." in signed or "_sd_alg" in signed:
        raise CredentialRejected(Reason.MALFORMED, "a reserved name outside its place")
    result = signed.copy()
    digests = result.pop("_sd", None)
    for name, value in result.items():
        if type(value) in _CONTAINERS:
            result[name] = _member(name, value, walk, depth)
    if "_sd" not in signed:
        return result
    if not isinstance(digests, list):
        raise CredentialRejected(Reason.MALFORMED, "_sd is not an array")
    for digest in _looked_up(digests, walk):
        claim, value = walk.disclosed[digest]
        if claim is None:
            raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "an array element stands for a claim")
        if depth == 0 and claim in walk.undisclosable:
            raise CredentialRejected(Reason.DISCLOSURE_FORBIDDEN, "a claim that must not be disclosable")
        if claim in result:
            raise CredentialRejected(Reason.DISCLOSURE_COLLISION, "a claim of this name stands there already")
        result[claim] = _value(value, walk, depth + 1) if type(value) in _CONTAINERS else value
    return result


def _member(name: str, value: Any, walk: _Walk, depth: int) -> Any:
    if depth > 0 or name not in walk.undisclosable:
        return _value(value, walk, depth + 1)
    # A claim that must not be disclosable must not be so in part either: it stands whole, or not at all.
    before = len(walk.seen)
    result = _value(value, walk, depth + 1)
    if len(walk.seen) != before:
        raise CredentialRejected(
            Reason.DISCLOSURE_FORBIDDEN, "a part of a claim that must not be disclosable"
        )
    return result


def _array(signed: list[Any], walk: _Walk, depth: int) -> list[Any]:
    result = []
    for element in signed:
        if not (type(element) is dict and "..." in element):
            result.append(_value(element, walk, depth + 1) if type(element) in _CONTAINERS else element)
            continue
        if len(element) != 1:
            raise CredentialRejected(Reason.MALFORMED, "an array element's digest has company")
        known = _looked_up([element["..."]], walk)
        if not known:
            continue  # not disclosed, or a decoy
        name, value = walk.disclosed[known[0]]
        if name is not None:
            raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "a claim stands for an array element")
        result.append(_value(value, walk, depth + 1))
    return result


def _looked_up(digests: list[Any], walk: _Walk) -> list[str]:
    """Those of the digests that a disclosure stands for, in their order. The rest is not disclosed, or decoys."""
    if not _DIGEST_TYPES.issuperset(map(type, digests)):
        raise CredentialRejected(Reason.MALFORMED, "a digest is not a string")
    fresh = set(digests)
    if len(fresh) != len(digests) or not walk.seen.isdisjoint(fresh):
        raise CredentialRejected(Reason.DISCLOSURE_DUPLICATE, "a digest stands in two places")
    walk.seen |= fresh
    return [digest for digest in digests if digest in walk.disclosed]


def _hash_of(payload: Mapping[str, Any]) -> Callable[[bytes], Any]:
    name = payload.get("_sd_alg", "sha-256")
    if not isinstance(name, str) or name not in _HASHES:
        raise CredentialRejected(Reason.ALGORITHM, "_sd_alg is not a hash we accept")
    return _HASHES[name]


def _digest(algorithm: Callable[[bytes], Any], text: str) -> str:
    """The digest of a disclosure or presentation, over its base64url text as received."""
    try:
        return b64(algorithm(text.encode("ascii")).digest())
    except UnicodeEncodeError:
        raise CredentialRejected(Reason.DISCLOSURE_MALFORMED, "not ASCII") from None
