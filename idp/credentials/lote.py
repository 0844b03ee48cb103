"""LoTE, a list of trusted entities: who is trusted for which service, as JSON in a compact JAdES signature.

The signer stands in x5c and must be one we were told to trust, or under one and then named as the scheme's operator
(clause 6.8): under an authority that certifies many, the others must not be able to sign this list. Nothing of the
list is looked at before its signature is verified.

Specs: ETSI TS 119 602 V1.1.1, clauses 6.3 to 6.8; ETSI TS 119 182-1 (JAdES), baseline B; RFC 7515. Beyond them:
members that the schema does not know are ignored. Left out: the XML form, pointers to other lists, history, identities
other than certificates, time stamps.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from idp import strict_json
from idp.credentials import chains, ecdsa, jose, lists
from idp.credentials.lists import AuthorityList, ListedAuthority, ListedService, ListRefused
from idp.credentials.verdict import CredentialRejected, Reason
from idp.seal import b64, unb64

MAX_CHARS = 16 * 1024 * 1024
MIN_RSA_BITS = 2048
_UNDERSTOOD = frozenset({"sigT", "iat"})  # JAdES: when it was signed, as the signer claims
_ECDSA = {"ES256": ecdsa.ES256, "ES384": ecdsa.ES384, "ES512": ecdsa.ES512}
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}
_UNREADABLE = (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension)


@dataclass(frozen=True)
class _Signer:
    """Who signed. `is_named`: it was itself among those we were told to trust."""

    certificate: x509.Certificate
    is_named: bool


def read(text: str, *, signers: Sequence[x509.Certificate], now: int) -> AuthorityList:
    """The list in a LoTE, signed by one of these certificates or under one. Raises ListRefused."""
    document, signer = _signed(text.strip(), signers, now)
    lote = document.get("LoTE")
    scheme = lote.get("ListAndSchemeInformation") if isinstance(lote, dict) else None
    if not isinstance(lote, dict) or not isinstance(scheme, dict):
        raise ListRefused(["LoTE: no ListAndSchemeInformation"])
    operators = _texts(scheme.get("SchemeOperatorName"))
    problems = list(_scheme_problems(scheme, operators))
    if not signer.is_named:
        problems += _operator_problems(signer.certificate, scheme, operators)
    entities = lote.get("TrustedEntitiesList", [])
    if not isinstance(entities, list):
        problems.append("TrustedEntitiesList: not a list")
    if problems:
        raise ListRefused(problems)
    unusable: list[str] = []
    territory = scheme.get("SchemeTerritory")
    read_ones = [
        _authority(entity, f"TrustedEntitiesList[{index}]", territory, unusable)
        for index, entity in enumerate(entities)
    ]
    name = _texts(scheme.get("SchemeName"))
    return AuthorityList(
        source=f"etsi:{_english(operators)}" + (f": {_english(name)}" if name else ""),
        number=scheme["LoTESequenceNumber"],
        issued_at=_moment(scheme["ListIssueDateTime"]),
        next_update=_moment(scheme["NextUpdate"]),
        authorities=tuple(one for one in read_ones if one is not None),
        unusable=tuple(unusable),
    )


# -- the signature ---------------------------------------------------------------------------------------------


def _signed(text: str, signers: Sequence[x509.Certificate], now: int) -> tuple[Mapping[str, Any], _Signer]:
    try:
        header, payload, signature = _parts(text)
        chain = jose.x5c_chain(header, Reason.ISSUER_CERTIFICATE)
        signer = _Signer(*chains.list_signer(chain, signers, frozenset(), now))
        thumbprint = b64(hashlib.sha256(chain[0]).digest())
        if header.get("x5t#S256", thumbprint) != thumbprint:
            raise CredentialRejected(Reason.ISSUER_CERTIFICATE, "x5t#S256 is not of the first certificate")
        if not _verifies(
            header["alg"], signer.certificate, signature, text.rpartition(".")[0].encode("ascii")
        ):
            raise CredentialRejected(Reason.ISSUER_SIGNATURE, "the signature does not verify")
    except CredentialRejected as error:
        raise ListRefused([f"not a LoTE of this signer: {error}"]) from error
    try:
        return strict_json.loads_object(payload, max_bytes=MAX_CHARS), signer
    except ValueError as error:
        raise ListRefused(["what is signed is not a JSON object"]) from error


def _parts(text: str) -> tuple[Mapping[str, Any], bytes, bytes]:
    """Header, payload and signature of a compact JWS. Raises CredentialRejected."""
    if len(text) > MAX_CHARS:
        raise CredentialRejected(Reason.TOO_LARGE, "a list is too long")
    try:
        first, second, third = text.split(".")
        header = strict_json.loads_object(unb64(first), max_bytes=jose.MAX_HEADER_CHARS)
        payload, signature = unb64(second), unb64(third)
    except ValueError:
        raise CredentialRejected(Reason.MALFORMED, "not a compact JWS") from None
    critical = header.get("crit", [])
    if not isinstance(critical, list) or not _UNDERSTOOD.issuperset(map(str, critical)) or "b64" in header:
        raise CredentialRejected(Reason.CRITICAL_HEADER, "an extension we do not understand")
    if not isinstance(header.get("alg"), str) or header["alg"][:2] not in {"ES", "PS", "RS"}:
        raise CredentialRejected(Reason.ALGORITHM, "alg is not accepted")
    return header, payload, signature


def _verifies(alg: str, certificate: x509.Certificate, signature: bytes, signed: bytes) -> bool:
    """Raises CredentialRejected(ALGORITHM): the key does not fit `alg`."""
    key = certificate.public_key()
    if alg in _ECDSA and isinstance(key, ecdsa.PublicKey) and _ECDSA[alg].fits(key):
        return _ECDSA[alg].verifies(key, signature, signed)
    digest = _HASHES.get(alg[2:])
    if (
        digest is None
        or not isinstance(key, rsa.RSAPublicKey)
        or key.key_size < MIN_RSA_BITS
        or alg in _ECDSA
    ):
        raise CredentialRejected(Reason.ALGORITHM, "alg does not fit the key, or is not accepted")
    scheme = (
        padding.PSS(padding.MGF1(digest), digest.digest_size) if alg.startswith("PS") else padding.PKCS1v15()
    )
    try:
        key.verify(signature, signed, scheme, digest)
    except InvalidSignature:
        return False
    return True


# -- the scheme ------------------------------------------------------------------------------------------------


def _scheme_problems(scheme: Mapping[str, Any], operators: Mapping[str, str]) -> Sequence[str]:
    problems = []
    if scheme.get("LoTEVersionIdentifier") != 1:
        problems.append("LoTEVersionIdentifier: not 1")
    if type(scheme.get("LoTESequenceNumber")) is not int:
        problems.append("LoTESequenceNumber: not a number")
    if not operators:
        problems.append("SchemeOperatorName: none")
    if scheme.get("NextUpdate", "") is None:
        problems.append("NextUpdate: the list is closed (clause 6.3.15)")
    problems += [
        f"{name}: not of the form YYYY-MM-DDThh:mm:ssZ"
        for name in ("ListIssueDateTime", "NextUpdate")
        if scheme.get(name, "") is not None and _try(_moment, scheme.get(name)) is None
    ]
    if _critical(scheme.get("SchemeExtensions")):
        problems.append("SchemeExtensions: a critical one that we do not understand (clause 6.3.17)")
    return problems


def _operator_problems(
    signer: x509.Certificate, scheme: Mapping[str, Any], operators: Mapping[str, str]
) -> Sequence[str]:
    """Clause 6.8: the signer's O is the scheme's operator, its C the scheme's territory."""
    subject = signer.subject
    named = {str(one.value) for one in subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)}
    problems = []
    if named.isdisjoint(operators.values()):
        problems.append(
            "the signer is not the SchemeOperatorName (clause 6.8); to take it all the same, name it itself"
        )
    territory = scheme.get("SchemeTerritory")
    countries = {str(one.value) for one in subject.get_attributes_for_oid(x509.NameOID.COUNTRY_NAME)}
    if territory is not None and territory not in countries:
        problems.append(
            "the signer is not of the SchemeTerritory (clause 6.8); to take it all the same, name it itself"
        )
    return problems


# -- the entities ----------------------------------------------------------------------------------------------


def _authority(entity: Any, where: str, territory: Any, unusable: list[str]) -> ListedAuthority | None:
    """None where nothing in it can be used. Certificates that cannot be read are named and left out."""
    try:
        information = entity["TrustedEntityInformation"]
        names = _texts(information["TEName"])
        services = [
            _service(one, where, index, unusable) for index, one in enumerate(entity["TrustedEntityServices"])
        ]
        critical = _critical(information.get("TEInformationExtensions"))
    except (KeyError, TypeError, AttributeError):
        unusable.append(f"{where}: lacks a TEName or services, or they cannot be read")
        return None
    usable = tuple(one for one in services if one is not None)
    if critical or not names:
        unusable.append(
            f"{where}: {'a critical extension that we do not understand' if critical else 'no TEName'}"
        )
        return None
    first = next((one for service in usable for one in service.certificates), None)
    country = (lists.country_of(first) if first is not None else None) or _country(information, territory)
    region = lists.region_of(first) if first is not None else None
    return ListedAuthority(where=where, names=names, country=country, region=region, services=usable)


def _service(service: Any, entity: str, index: int, unusable: list[str]) -> ListedService | None:
    where = f"{entity}.TrustedEntityServices[{index}]"
    information = service["ServiceInformation"]
    if _critical(information.get("ServiceInformationExtensions")):
        unusable.append(f"{where}: a critical extension that we do not understand")
        return None
    certificates = []
    for number, one in enumerate(information["ServiceDigitalIdentity"].get("X509Certificates", ())):
        try:
            certificates.append(x509.load_der_x509_certificate(b64decode(one["val"], validate=True)))
        except (KeyError, *_UNREADABLE):
            unusable.append(f"{where}.X509Certificates[{number}]: not a certificate")
    kind = information.get("ServiceTypeIdentifier")
    status = information.get("ServiceStatus")
    return ListedService(
        kinds=frozenset({kind} if isinstance(kind, str) else ()),
        certificates=tuple({one.public_bytes(Encoding.DER): one for one in certificates}.values()),
        status=status if isinstance(status, str) else None,
    )


def _country(information: Mapping[str, Any], territory: Any) -> str | None:
    addresses = information.get("TEAddress")
    postal = addresses.get("TEPostalAddress", ()) if isinstance(addresses, dict) else ()
    found = [one.get("Country") for one in postal if isinstance(one, dict)]
    return next(
        (one for one in [*found, territory] if isinstance(one, str) and len(one) == 2 and one != "EU"), None
    )


# -- values ----------------------------------------------------------------------------------------------------


def _texts(value: Any) -> dict[str, str]:
    """A text in several languages (clause 6.1.4), by language."""
    items = value if isinstance(value, list) else []
    return {
        str(item.get("lang")).lower()[:2]: item["value"]
        for item in items
        if isinstance(item, dict) and isinstance(item.get("value"), str) and item["value"].strip()
    }


def _english(names: Mapping[str, str]) -> str:
    return names.get("en") or next(iter(names.values()), "")


def _moment(value: Any) -> int:
    """Clause 6.1.3. Raises ValueError, TypeError."""
    return int(datetime.strptime(value, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def _try(make: Callable[[Any], int], value: Any) -> int | None:
    try:
        return make(value)
    except (ValueError, TypeError):
        return None


def _critical(extensions: Any) -> bool:
    """How an extension says that it is critical is left open (clause 6.3.17); this is how schemes write it."""
    return isinstance(extensions, list) and any(
        isinstance(one, dict) and (one.get("critical") is True or one.get("Critical") is True)
        for one in extensions
    )
