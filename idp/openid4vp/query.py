"""The DCQL query of a question (OpenID4VP 1.0, section 6): one credential query for each alternative, any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idp.openid4vp import dcql
from idp.presentation.question import Alternative, Question

_PREFIX = {"dc+sd-jwt": "sd", "mso_mdoc": "mdoc"}
FORMATS = tuple(_PREFIX)
"""The formats that wallets of this protocol are asked for."""


def alternatives(question: Question) -> Mapping[str, Alternative]:
    """What a wallet of this protocol may answer with, by the id of its credential query."""
    return {_id(one): one for one in question.within(FORMATS)}


def query(question: Question) -> dict[str, Any]:
    """The whole query."""
    return dcql.any_of([_credential(name, one) for name, one in alternatives(question).items()])


def in_our_words(alternative: Alternative) -> dict[str, Any]:
    """The same credential query on elements as the house names them, for what came back and was verified."""
    required = (*alternative.required, *alternative.person_keys)
    looks = alternative.looks
    return dcql.credential(_id(alternative), "dc+sd-jwt", looks.names, required, alternative.optional)


def _credential(name: str, alternative: Alternative) -> dict[str, Any]:
    looks = alternative.looks
    required = [looks.paths[path] for path in (*alternative.required, *alternative.person_keys)]
    optional = [looks.paths[path] for path in alternative.optional]
    return dcql.credential(name, looks.format, looks.names, required, optional)


def _id(alternative: Alternative) -> str:
    return f"{_PREFIX[alternative.looks.format]}-{alternative.kind.id}"
