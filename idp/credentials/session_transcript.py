"""The SessionTranscript that an mdoc's device signature covers: which request, which verifier, which key.

Byte-exact CBOR, deterministic. Values come from the signed request, never from the wallet.

Spec: OpenID4VP 1.0, appendix B.2.6.1 (redirect and direct_post) and B.2.6.2 (Digital Credentials API); RFC 8949, 4.2.
"""

from __future__ import annotations

import hashlib

import cbor2


def for_direct_post(*, client_id: str, nonce: str, key_thumbprint: bytes | None, response_uri: str) -> bytes:
    """For an answer posted to `response_uri`.

    `client_id` with its prefix. `key_thumbprint`: RFC 7638 SHA-256 of the response-encryption key, 32 raw bytes; None
    when the response is not encrypted.
    """
    return _transcript("OpenID4VPHandover", [client_id, nonce, key_thumbprint, response_uri])


def for_dc_api(*, origin: str, nonce: str, key_thumbprint: bytes | None) -> bytes:
    """For an answer through the Digital Credentials API; `origin` without the `origin:` prefix."""
    return _transcript("OpenID4VPDCAPIHandover", [origin, nonce, key_thumbprint])


def for_annex_b(*, client_id: str, nonce: str, response_uri: str, mdoc_generated_nonce: str) -> bytes:
    """For an answer posted to `response_uri` by a wallet that reads ISO/IEC 18013-7:2024, Annex B.

    OpenID4VP draft 18. `mdoc_generated_nonce`: the wallet's own, sent as `apu` of the encrypted response.
    """
    hashed = [_digest([client_id, mdoc_generated_nonce]), _digest([response_uri, mdoc_generated_nonce])]
    return cbor2.dumps([None, None, [*hashed, nonce]])


def _digest(parts: list[str]) -> bytes:
    return hashlib.sha256(cbor2.dumps(parts)).digest()


def _transcript(name: str, info: list[str | bytes | None]) -> bytes:
    handover = [name, hashlib.sha256(cbor2.dumps(info)).digest()]
    # DeviceEngagementBytes and EReaderKeyBytes are null: there is no proximity engagement.
    return cbor2.dumps([None, None, handover])
