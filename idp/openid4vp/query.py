"""The DCQL query of a question (OpenID4VP 1.0, section 6): one credential query for each alternative, any of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from idp.claims import Path
from idp.credentials.trust import FormatTrust
from idp.openid4vp import dcql
from idp.presentation.question import Alternative, NoCredentialType, Question

MAX_AUTHORITIES = 64
"""So many are named in a query at most, some 2 KB; where there are more, none is: the wallet asks its holder, and we
refuse what nobody here vouches for."""

_PREFIX = {"dc+sd-jwt": "sd", "mso_mdoc": "mdoc"}
# Where nothing is shown that was not asked for; the issuer of an SD-JWT VC may leave some of it open to everybody.
_ELEMENT_BY_ELEMENT = frozenset({"mso_mdoc"})
FORMATS = tuple(_PREFIX)


def alternatives(question: Question, formats: Collection[str]) -> Mapping[str, Alternative]:
    """What a wallet that speaks these formats may answer with, by the id of its credential query.

    Raises NoCredentialType.
    """
    found = {_id(one): one for one in question.within(formats)}
    if not found:
        raise NoCredentialType("nothing in a format of this wallet")
    return found


def query(question: Question, formats: Collection[str], *, authorities: bool = True) -> dict[str, Any]:
    """The whole query for such a wallet. `authorities`: say whose credentials will do (section 6.1.1), if they are not
    too many. Raises NoCredentialType.
    """
    found = alternatives(question, formats)
    named = authorities and sum(len(one.authorities) for one in found.values()) <= MAX_AUTHORITIES
    return dcql.any_of([_credential(name, one, named=named) for name, one in found.items()])


def in_our_words(alternative: Alternative) -> dict[str, Any]:
    """The same credential query on elements as the house names them, for what came back and was verified."""
    required = (*alternative.required, *alternative.person_keys)
    looks = alternative.looks
    return dcql.credential(_id(alternative), "dc+sd-jwt", looks.names, required, alternative.optional)


def _credential(name: str, alternative: Alternative, *, named: bool) -> dict[str, Any]:
    looks = alternative.looks
    required = [looks.paths[path] for path in (*alternative.required, *alternative.person_keys)]
    optional = [looks.paths[path] for path in alternative.optional]
    made = dcql.credential(name, looks.format, looks.names, required, _authentication(looks), optional)
    if named and alternative.authorities:
        made["trusted_authorities"] = [{"type": "aki", "values": list(alternative.authorities)}]
    return made


def _authentication(looks: FormatTrust) -> list[Path]:
    """Where the issuer says how the holder unlocks the credential, of which `acr` comes, if it must be asked for."""
    if looks.format not in _ELEMENT_BY_ELEMENT or looks.authentication is None:
        return []
    return [looks.authentication]


def _id(alternative: Alternative) -> str:
    return f"{_PREFIX[alternative.looks.format]}-{alternative.kind.id}"
