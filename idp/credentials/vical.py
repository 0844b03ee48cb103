"""VICAL, a verified issuer certificate authority list: who certifies document signers of mobile driving licences.

A COSE_Sign1 whose signer stands beside it (x5chain) and must be one we were told to trust, or under one; its
certificate is made for this purpose. Nothing of the list is looked at before its signature is verified.

Spec: ISO/IEC 18013-5:2021, Annex C (C.1.7.1 the structure, C.1.7.2 the signer's certificate). Left out:
`certificateProfile` and the extensions; what a certificate says of itself counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import cbor2
from cryptography import x509

from idp.credentials import cbor, chains, cose, ecdsa, lists
from idp.credentials.lists import AuthorityList, ListedAuthority, ListedService, ListRefused
from idp.credentials.verdict import CredentialRejected, Reason

MAX_BYTES = 16 * 1024 * 1024
SIGNER_EKU = "1.0.18013.5.1.8"
_UNREADABLE = (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension)


def read(data: bytes, *, signers: Sequence[x509.Certificate], now: int) -> AuthorityList:
    """The list in a VICAL file, signed by one of these certificates or under one. Raises ListRefused."""
    document = _signed(data, signers, now)
    problems = [
        f"{name}: not {what}"
        for name, kind, what in (
            ("version", str, "a text"),
            ("vicalProvider", str, "a text"),
            ("date", datetime, "a moment"),
            ("certificateInfos", list, "a list"),
        )
        if not isinstance(document.get(name), kind)
    ]
    next_update, number = document.get("nextUpdate"), document.get("vicalIssueID")
    if not isinstance(next_update, datetime | None):
        problems.append("nextUpdate: not a moment")
    if isinstance(number, bool) or not isinstance(number, int | None):
        problems.append("vicalIssueID: not a number")
    if problems:
        raise ListRefused(problems)
    unusable: list[str] = []
    infos = enumerate(document["certificateInfos"])
    entries = [_authority(info, f"certificateInfos[{index}]", unusable) for index, info in infos]
    return AuthorityList(
        source=f"vical:{document['vicalProvider']}",
        number=number,
        issued_at=int(document["date"].timestamp()),
        next_update=int(next_update.timestamp()) if next_update is not None else None,
        authorities=tuple(entry for entry in entries if entry is not None),
        unusable=tuple(unusable),
    )


def _signed(data: bytes, signers: Sequence[x509.Certificate], now: int) -> Mapping[str, Any]:
    """What was signed. The signature comes first, so that nothing unsigned is read further."""
    try:
        value = cbor.loads(data, max_bytes=MAX_BYTES, integer_keys=True, sign1=True)
        message = cose.unverified_sign1(value.value if isinstance(value, cbor.Sign1) else value)
        chain = cose.x5chain({**message.unprotected, **message.header}, Reason.ISSUER_CERTIFICATE)
        signer, _ = chains.list_signer(chain, signers, frozenset({SIGNER_EKU}), now)
        cose.check_signature(message, ecdsa.certificate_key(signer), Reason.ISSUER_SIGNATURE)
    except CredentialRejected as error:
        raise ListRefused([f"not a VICAL of this signer: {error}"]) from error
    except ValueError as error:
        raise ListRefused(["not a VICAL of this signer: the signer's key is not one we accept"]) from error
    try:
        document = cbor2.loads(message.payload or b"")
    except (cbor2.CBORError, ValueError) as error:
        raise ListRefused(["what is signed is not CBOR"]) from error
    if not isinstance(document, dict):
        raise ListRefused(["what is signed is not a VICAL"])
    return document


def _authority(info: Any, where: str, unusable: list[str]) -> ListedAuthority | None:
    problem = None
    certificate = None
    try:
        certificate = x509.load_der_x509_certificate(info["certificate"])
        doc_types = [name for name in info["docType"] if isinstance(name, str)]
        if certificate.serial_number != info["serialNumber"]:
            problem = "serialNumber is not the certificate's"
        problem = problem or lists.key_id_problem(certificate, info["ski"])
        problem = problem or (None if doc_types else "docType names none")
    except (KeyError, *_UNREADABLE):
        problem = "lacks a certificate with serialNumber, ski and docType, or it cannot be read"
    if problem is not None or certificate is None:
        unusable.append(f"{where}: {problem}")
        return None
    country, _, region = str(info.get("issuingCountry") or "").partition("-")
    name = info.get("issuingAuthority") or lists.name_of(certificate)
    return ListedAuthority(
        where=where,
        names={"en": str(name)} if name else {},
        country=country or lists.country_of(certificate),
        region=region or info.get("stateOrProvinceName") or lists.region_of(certificate),
        services=(ListedService(frozenset(doc_types), (certificate,)),),
    )
