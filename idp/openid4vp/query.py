"""The DCQL query of a question (OpenID4VP 1.0, section 6): one credential query for each alternative, any of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from idp.openid4vp import dcql
from idp.presentation.question import Alternative, NoCredentialType, Question

_PREFIX = {"dc+sd-jwt": "sd", "mso_mdoc": "mdoc"}


def alternatives(question: Question, formats: Collection[str]) -> Mapping[str, Alternative]:
    """What a wallet that speaks these formats may answer with, by the id of its credential query.

    Raises NoCredentialType.
    """
    found = {_id(one): one for one in question.within(formats)}
    if not found:
        raise NoCredentialType("nothing in a format of this wallet")
    return found


def query(question: Question, formats: Collection[str]) -> dict[str, Any]:
    """The whole query for such a wallet. Raises NoCredentialType."""
    secure = question.status_fail_closed
    found = alternatives(question, formats).items()
    return dcql.any_of([_credential(name, one, secure=secure) for name, one in found])


def in_our_words(alternative: Alternative) -> dict[str, Any]:
    """The same credential query on elements as the house names them, for what came back and was verified."""
    required = (*alternative.required, *alternative.person_keys)
    looks = alternative.looks
    return dcql.credential(_id(alternative), "dc+sd-jwt", looks.names, required, alternative.optional)


def _credential(name: str, alternative: Alternative, *, secure: bool) -> dict[str, Any]:
    """secure: a credential that does not say how it is unlocked would be no answer."""
    looks = alternative.looks
    required = [looks.paths[path] for path in (*alternative.required, *alternative.person_keys)]
    optional = [looks.paths[path] for path in alternative.optional]
    # Everything in an mdoc is shown only when it is asked for; an SD-JWT VC says this to everybody.
    if looks.format == "mso_mdoc" and looks.authentication is not None:
        (required if secure else optional).append(looks.authentication)
    return dcql.credential(name, looks.format, looks.names, required, optional)


def _id(alternative: Alternative) -> str:
    return f"{_PREFIX[alternative.looks.format]}-{alternative.kind.id}"
