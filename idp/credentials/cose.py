"""COSE_Sign1 and COSE_Key, as mdocs and status lists in CWT use them.

The algorithm stands in the protected header and decides the curve; a key of another curve is refused. Bytes that are
signed are those received. Key material in a header is never looked at but for `x5chain`, and that only where the
caller asks for it.

Specs: RFC 9052, sections 3, 4.2, 4.4 and 7; RFC 9053, sections 2.1 and 7.1.1; RFC 9360 (x5chain); RFC 9864
(-9, -51); OpenID4VP 1.0, appendix B.2.2. Left out: other signatures, MACs, compressed points.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import cbor2

from idp.credentials import cbor, ecdsa
from idp.credentials.jose import MAX_CERTIFICATE_BYTES, MAX_X5C
from idp.credentials.verdict import CredentialRejected, Reason, Unprinted

# Labels of a header (RFC 9052, section 3.1; RFC 9360; RFC 9596).
ALG, CRIT, X5CHAIN, TYP = 1, 2, 33, 16
# Members of a key (RFC 9052, section 7.1; RFC 9053, section 7.1.1).
_KTY, _KEY_ALG, _KEY_OPS, _CRV, _X, _Y, _D = 1, 3, 4, -1, -2, -3, -4
_EC2, _VERIFY = 2, 2
_MAX_HEADER_BYTES = 65_536
_MAX_LABELS = 32


ALGORITHMS: Mapping[int, ecdsa.Algorithm] = {
    -7: ecdsa.ES256,
    -9: ecdsa.ES256,
    -35: ecdsa.ES384,
    -51: ecdsa.ES384,
    -36: ecdsa.ES512,
}
_CURVES: Mapping[int, ecdsa.Algorithm] = {1: ecdsa.ES256, 2: ecdsa.ES384, 3: ecdsa.ES512}


class UnverifiedSign1(Unprinted, frozen=True):
    """A COSE_Sign1 whose parts are well formed and whose signature nobody has checked.

    protected: the protected header's bytes as received; `header` is what they say. payload: None when it is detached.
    """

    algorithm: int
    header: Mapping[Any, Any]
    unprotected: Mapping[Any, Any]
    protected: bytes
    payload: bytes | None
    signature: bytes


def unverified_sign1(value: Any) -> UnverifiedSign1:
    """The parts of a COSE_Sign1 without its tag, as `cbor.loads` with integer keys has read it.

    Raises CredentialRejected: MALFORMED, TOO_LARGE, CRITICAL_HEADER (we understand no `crit`), ALGORITHM.
    """
    if not isinstance(value, list) or len(value) != 4:
        raise CredentialRejected(Reason.MALFORMED, "not a COSE_Sign1")
    protected, unprotected, payload, signature = value
    if (
        not isinstance(protected, bytes)
        or not isinstance(unprotected, dict)
        or not (payload is None or isinstance(payload, bytes))
        or not isinstance(signature, bytes)
    ):
        raise CredentialRejected(Reason.MALFORMED, "a part of a COSE_Sign1 is of another kind")
    header = _header(protected)
    if CRIT in header or CRIT in unprotected:
        raise CredentialRejected(Reason.CRITICAL_HEADER, "an extension we do not understand")
    if not header.keys().isdisjoint(unprotected):
        raise CredentialRejected(Reason.MALFORMED, "a label stands in both headers")
    algorithm = header.get(ALG)
    if type(algorithm) is not int or algorithm not in ALGORITHMS:
        raise CredentialRejected(Reason.ALGORITHM, "alg is not accepted, or not protected")
    return UnverifiedSign1(algorithm, header, unprotected, protected, payload, signature)


def check_signature(
    message: UnverifiedSign1, key: ecdsa.PublicKey, refusal: Reason, *, detached: bytes | None = None
) -> None:
    """Check the signature with exactly this key, over the message's own payload or over a detached one.

    Raises CredentialRejected: ALGORITHM when the key is not on the curve of `alg`, MALFORMED when the payload is
    detached and should not be, or the other way round, else `refusal`.
    """
    payload = message.payload if detached is None else detached
    if payload is None or (detached is not None and message.payload is not None):
        raise CredentialRejected(Reason.MALFORMED, "a payload that should be elsewhere")
    algorithm = ALGORITHMS[message.algorithm]
    if not algorithm.fits(key):
        raise CredentialRejected(Reason.ALGORITHM, "alg does not fit the key")
    if not algorithm.verifies(key, message.signature, _to_be_signed(message.protected, payload)):
        raise CredentialRejected(refusal, "the signature does not verify")


def x5chain(header: Mapping[Any, Any], refusal: Reason) -> tuple[bytes, ...]:
    """The certificates of a header, DER, leaf first (RFC 9360, section 2): one byte string, or an array of them.

    An array of one is taken too: issuers write it, though the RFC wants two at least.

    Raises CredentialRejected(refusal): none, more than MAX_X5C, too large.
    """
    chain = header.get(X5CHAIN)
    if isinstance(chain, bytes):
        chain = [chain]
    if not isinstance(chain, list) or not 1 <= len(chain) <= MAX_X5C:
        raise CredentialRejected(refusal, f"x5chain is not 1 to {MAX_X5C} certificates")
    if not all(isinstance(der, bytes) and len(der) <= MAX_CERTIFICATE_BYTES for der in chain):
        raise CredentialRejected(refusal, "a certificate in x5chain is not bytes, or is too large")
    return tuple(chain)


def public_key(value: Any) -> ecdsa.PublicKey:
    """The public key in a COSE_Key: EC2, on its curve, both coordinates, without a private part.

    `alg` and `key_ops` bind where they are there (RFC 9052, section 7.1); members we do not know are not looked at.

    Raises ValueError for anything else.
    """
    if not isinstance(value, dict) or not _is(value.get(_KTY), _EC2) or _D in value:
        raise ValueError("not a public EC2 key")
    crv = value.get(_CRV)
    if type(crv) is not int or crv not in _CURVES:
        raise ValueError("not a curve we know")
    curve = _CURVES[crv]
    if _KEY_ALG in value and not any(
        _is(value[_KEY_ALG], number) for number, algorithm in ALGORITHMS.items() if algorithm is curve
    ):
        raise ValueError("not a key for signatures on its curve")
    if _KEY_OPS in value and not _holds(value[_KEY_OPS], _VERIFY):
        raise ValueError("not a key to verify with")
    x, y = value.get(_X), value.get(_Y)
    if not isinstance(x, bytes) or not isinstance(y, bytes):
        raise ValueError("not the coordinates of a point")
    return curve.public_key(x, y)


def _header(protected: bytes) -> Mapping[Any, Any]:
    return _PLAIN_HEADERS.get(protected) or _read_header(protected)


def _read_header(protected: bytes) -> Mapping[Any, Any]:
    if not protected:
        return {}
    header = cbor.loads(protected, max_bytes=_MAX_HEADER_BYTES, integer_keys=True)
    if not isinstance(header, dict) or len(header) > _MAX_LABELS:
        raise CredentialRejected(Reason.MALFORMED, "the protected header is not a map")
    return header


# Nearly every protected header names the algorithm and nothing else; those need not be read each time.
_PLAIN_HEADERS: Mapping[bytes, Mapping[Any, Any]] = {
    encoded: MappingProxyType(_read_header(encoded))
    for encoded in (cbor2.dumps({ALG: number}) for number in ALGORITHMS)
}


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure (RFC 9052, section 4.4) with empty external data."""
    return b"\x84\x6aSignature1" + cbor.byte_string(protected) + b"\x40" + cbor.byte_string(payload)


def _is(value: Any, number: int) -> bool:
    return type(value) is int and value == number


def _holds(value: Any, number: int) -> bool:
    return isinstance(value, list) and any(_is(item, number) for item in value)
