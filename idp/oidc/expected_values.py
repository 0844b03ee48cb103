"""What a portal expects of a claim, kept so that nobody can read it.

A portal may write a person's data into its request (`"birthdate": {"value": …}`), and the request rests in the Store
before any holder has agreed to anything. So a constraint is kept as the time it limits and as digests of the values
it allows: HMAC-SHA256 under a key made from the pepper, with a salt for each constraint. A salt alone would not do:
there are some 30,000 dates of birth. Without the pepper, which no store holds, the digests say nothing; with the
same salt nowhere twice, they do not say either that two requests expect the same person.

Spec: OpenID Connect Core 1.0, section 5.5.1; OpenID Connect for Identity Assurance 1.0, sections 5.5 and 5.7.4.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from idp import claims, seal
from idp.errors import AuthorizationError

MAX_VALUES = 100
_PURPOSE_LENGTH = range(3, 301)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T.+)?\Z")
_DIGEST_LENGTH = 22  # base64url: 128 bits and a little


class ExpectedValues:
    """Keeps constraints, and says later whether a value meets one."""

    def __init__(self, pepper: bytes) -> None:
        self._key = seal.derive(pepper, "expected-value")

    def keep(self, asked: object, where: str) -> dict[str, Any] | None:
        """The constraint of one element or claim in a form that can rest; None where everything is welcome.

        `asked` is null or an object with `essential`, `value`, `values`, `max_age` or `purpose`; other members are
        ignored (Core 5.5.1). Raises AuthorizationError `invalid_request` naming `where`, never what stood there.
        """
        if asked is None:
            return None
        if not isinstance(asked, Mapping):
            raise malformed(where, "must be null or an object")
        _check_members(asked, where)
        kept: dict[str, Any] = {}
        if "value" in asked or "values" in asked:
            allowed = [asked["value"]] if "value" in asked else asked["values"]
            salt = seal.random_token(16)
            kept = {"salt": salt, "digests": [self._digest(salt, value) for value in allowed]}
        if "max_age" in asked:
            kept["max_age"] = asked["max_age"]
        return kept or None

    def meets(self, value: Any, kept: Mapping[str, Any] | None, *, now: int) -> bool:
        """Whether a value is one that was asked for. `now` is the moment of the request, from which ages count."""
        if not kept:
            return True
        if "digests" in kept and self._digest(kept["salt"], value) not in kept["digests"]:
            return False
        return "max_age" not in kept or not _is_older(value, kept["max_age"], now)

    def fitting(
        self,
        asked: Mapping[str, Any],
        released: Mapping[str, Any],
        *,
        locales: Sequence[str] = (),
        now: int,
    ) -> dict[str, Any]:
        """What is said of the released claims: those asked for that meet their constraint, by language."""
        said = claims.localized(released, asked, locales)
        names = [name for name in asked if name in said and self.meets(said[name], asked[name], now=now)]
        return claims.localized(released, names, locales)

    def _digest(self, salt: str, value: Any) -> str:
        # One spelling of each JSON value; strings are compared in NFC, as everywhere in this house.
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return seal.mac(self._key, salt, unicodedata.normalize("NFC", text))[:_DIGEST_LENGTH]


def malformed(where: str, rule: str) -> AuthorizationError:
    """The error for a part of the `claims` parameter. Neither argument may hold anything from outside."""
    return AuthorizationError("invalid_request", f"{where} {rule}", check="claims_shape", received=(where,))


def _check_members(asked: Mapping[str, Any], where: str) -> None:
    if not isinstance(asked.get("essential", False), bool):
        raise malformed(where, "has an essential that is neither true nor false")
    values = asked.get("values", [None])
    if not isinstance(values, list) or not 0 < len(values) <= MAX_VALUES:
        raise malformed(where, f"has values that are not an array of 1 to {MAX_VALUES}")
    age_s = asked.get("max_age", 0)
    if isinstance(age_s, bool) or not isinstance(age_s, int | float) or age_s < 0:
        raise malformed(where, "has a max_age that is not a number of seconds")
    # The purpose that a holder reads is the registered one; a request's own is checked and not kept.
    purpose = asked.get("purpose", "none")
    if not isinstance(purpose, str) or len(purpose) not in _PURPOSE_LENGTH:
        raise malformed(where, "has a purpose that is not a text of 3 to 300 characters")


def _is_older(value: Any, max_age_s: float, now: int) -> bool:
    """Whether more time has passed since this date or time. What has no age is no older (section 5.5.2)."""
    if not isinstance(value, str) or not (date := _DATE.match(value)):
        return False
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return False
    if date[1] is None:  # a day's age counts from its last second
        moment = moment.replace(hour=23, minute=59, second=59)
    if moment.tzinfo is None:  # never by the time zone of this machine
        moment = moment.replace(tzinfo=UTC)
    return now - moment.timestamp() > max_age_s
