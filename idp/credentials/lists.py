"""Lists of authorities that somebody else keeps and signs: what `vical` and `lote` read, in one shape.

Nothing here decides whom we believe: a list is material for the trust registry, taken in by an operator who names who
may sign it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509

from idp.credentials.chains import subject_key_id


class ListRefused(Exception):
    """A list that is not read: not signed by whom it should be, or not a list. `problems` names every one."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class ListedService:
    """Certificates, and what they are listed for: docTypes, or the URI of a service type. `status`: a URI, or none."""

    kinds: frozenset[str]
    certificates: tuple[x509.Certificate, ...] = field(repr=False)
    status: str | None = None


@dataclass(frozen=True)
class ListedAuthority:
    """One entry. `where`: its place in the list. `names` by language; `country` and `region` where they are known:
    ISO 3166-1 alpha-2, and a name or the rest of ISO 3166-2."""

    where: str
    names: Mapping[str, str]
    country: str | None
    region: str | None
    services: tuple[ListedService, ...]


@dataclass(frozen=True)
class AuthorityList:
    """A list whose signature was verified.

    source: by which two issues of one list are known for the same. number: of this issue, where it has one.
    next_update: seconds since the epoch; None where it does not say. unusable: entries that could not be read, with
    why.
    """

    source: str
    number: int | None
    issued_at: int
    next_update: int | None
    authorities: tuple[ListedAuthority, ...]
    unusable: tuple[str, ...] = ()


def country_of(certificate: x509.Certificate) -> str | None:
    """C of a certificate's subject, where it is one and two letters."""
    return _only(certificate, x509.NameOID.COUNTRY_NAME, 2)


def region_of(certificate: x509.Certificate) -> str | None:
    """ST of a certificate's subject, where it is one."""
    return _only(certificate, x509.NameOID.STATE_OR_PROVINCE_NAME, None)


def name_of(certificate: x509.Certificate) -> str | None:
    """CN of a certificate's subject, else O."""
    common = _only(certificate, x509.NameOID.COMMON_NAME, None)
    return common or _only(certificate, x509.NameOID.ORGANIZATION_NAME, None)


def key_id_problem(certificate: x509.Certificate, ski: object) -> str | None:
    """Whether a list names another key than the certificate does."""
    own = subject_key_id(certificate)
    return "ski is not the certificate's" if own is not None and ski != own else None


def _only(certificate: x509.Certificate, oid: x509.ObjectIdentifier, size: int | None) -> str | None:
    values = [str(one.value) for one in certificate.subject.get_attributes_for_oid(oid)]
    if len(values) != 1 or not values[0].strip() or (size is not None and len(values[0]) != size):
        return None
    return values[0]
