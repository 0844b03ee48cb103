"""What client metadata points to, fetched once through the guarded client: an error shows where it was made."""

from __future__ import annotations

from typing import Any

from idp import strict_json
from idp.fetch import FetchError, GuardedClient
from idp.oidc.registration import logo
from idp.oidc.registration.refusals import RegistrationRefused

_JSON = "application/json"
_JWK_SET = "application/jwk-set+json"
_MAX_JSON_BYTES = 65_536
_MAX_KEYS = 32


class References:
    """Fetches for registrations. Nothing is kept but the logo, by the caller."""

    def __init__(self, outside: GuardedClient) -> None:
        self._outside = outside

    def check_sector(self, uri: str, redirect_uris: tuple[str, ...]) -> None:
        """The document at a sector_identifier_uri names every redirect URI.

        Without that anybody could join a sector and hear under which `sub` it knows a holder.
        Spec: OpenID Connect Dynamic Client Registration 1.0, section 5.
        """
        listed = self._json("sector_identifier_uri", uri, _JSON)
        if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
            raise _refused("sector_identifier_uri", "must answer with a JSON array of strings")
        if not set(redirect_uris) <= set(listed):
            raise _refused("sector_identifier_uri", "does not list every one of the redirect_uris")

    def check_keys(self, uri: str) -> None:
        """The document at a jwks_uri is a JWK Set of public keys (RFC 7517, section 5)."""
        check_keys("jwks_uri", self._json("jwks_uri", uri, _JWK_SET))

    def check_logout(self, uri: str) -> None:
        """A backchannel_logout_uri is not one that we never post to. Nothing is asked of it now."""
        try:
            self._outside.check(uri)
        except FetchError as error:
            raise _refused("backchannel_logout_uri", f"cannot be posted to ({error.reason})") from error

    def logo(self, uri: str) -> bytes:
        """The picture at a logo_uri, as a PNG of our making (decision D23)."""
        try:
            return logo.png(self._body("logo_uri", uri, logo.MEDIA_TYPE))
        except logo.LogoRefused as error:
            raise _refused("logo_uri", str(error)) from error

    def _json(self, member: str, uri: str, media_type: str) -> Any:
        try:
            return strict_json.loads(self._body(member, uri, media_type), max_bytes=_MAX_JSON_BYTES)
        except ValueError as error:
            raise _refused(member, "does not answer with JSON") from error

    def _body(self, member: str, uri: str, media_type: str) -> bytes:
        try:
            return self._outside.get(uri, accept=media_type).body
        except FetchError as error:
            raise _refused(member, f"could not be fetched ({error.reason})") from error


def check_keys(member: str, unverified: object) -> None:
    """A JWK Set with at least one key, each of them public. Raises RegistrationRefused."""
    keys = unverified.get("keys") if isinstance(unverified, dict) else None
    if not isinstance(keys, list) or not 0 < len(keys) <= _MAX_KEYS:
        raise _refused(member, f"must be a JWK Set of 1 to {_MAX_KEYS} keys")
    if not all(isinstance(key, dict) and isinstance(key.get("kty"), str) for key in keys):
        raise _refused(member, "must be a JWK Set")
    if any(key["kty"] == "oct" or {"d", "p", "q", "k"} & set(key) for key in keys):
        raise _refused(member, "holds a private or symmetric key")


def _refused(member: str, problem: str) -> RegistrationRefused:
    return RegistrationRefused("invalid_client_metadata", f"{member} {problem}")
