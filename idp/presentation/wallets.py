"""What wallets do differently: one profile a wallet, as data.

A profile says how a wallet is reached and which reading of the protocols it needs. It is data with a version and never
a guess from what arrives: an answer is read by the profile that was asked. Which profiles are in use is a table
(`admin.wallets`); with none in it there is `default_profile`, made from the settings.

Spec: OpenID4VP 1.0, sections 5 and 8; HAIP 1.0; the drafts and protocols that the members name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from idp import claims
from idp.portals import Registration
from idp.presentation.question import Alternative, Question
from idp.settings import Settings
from idp.settings.rules import NotAcceptable
from idp.settings.rules import link as checked_link

Protocol = Literal["openid4vp", "opendid", "mip"]
DEFAULT = "default"
_FORMATS: Mapping[str, tuple[str, ...]] = {
    "openid4vp": ("dc+sd-jwt", "mso_mdoc"),
    "opendid": ("opendid",),
    "mip": ("mip",),
}


class ProfileError(ValueError):
    """A profile that cannot be used; `problems` names every one."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class WalletProfile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One wallet, as we speak to it.

    link: what stands before the parameters of a request: a scheme of the wallet's own, or an https address.
    formats: those it may be asked for; empty means all of its protocol.
    client_id_prefix, request_uri_method, response_mode: OpenID4VP 1.0, sections 5.9.3, 5.10 and 8. `direct_post` goes
        unencrypted: never for a portal of profile `fapi2` (decision D15).
    session_transcript: which reading of an mdoc's transcript its device signatures cover: that of OpenID4VP 1.0
        (`openid4vp-1.0`), the same without the thumbprint of the encryption key (`no-thumbprint`), or that of
        ISO/IEC 18013-7:2024, Annex B (`iso-18013-7`).
    portal_name: tell it the portal's name, agency and purposes, for which OpenID4VP has no members
        (`openid4vp.on_behalf`); a wallet that takes nothing it does not know is not told.
    sd_jwt_types: the `typ` of its SD-JWT VCs; `vc+sd-jwt` is that of drafts before -06.
    trusted_authorities: name the authorities whose credentials will do (OpenID4VP 1.0, section 6.1.1; HAIP wants it).
    """

    id: str
    version: int
    name: dict[str, str]
    link: str
    protocol: Protocol = "openid4vp"
    formats: tuple[str, ...] = ()
    client_id_prefix: Literal["x509_hash", "x509_san_dns"] = "x509_hash"
    request_uri_method: Literal["get", "post"] = "get"
    response_mode: Literal["direct_post.jwt", "direct_post"] = "direct_post.jwt"
    portal_name: bool = True
    session_transcript: Literal["openid4vp-1.0", "no-thumbprint", "iso-18013-7"] = "openid4vp-1.0"
    sd_jwt_types: tuple[Literal["dc+sd-jwt", "vc+sd-jwt"], ...] = ("dc+sd-jwt",)
    trusted_authorities: bool = True

    @property
    def speaks(self) -> tuple[str, ...]:
        """The formats that this wallet is asked for."""
        return self.formats or _FORMATS[self.protocol]

    @property
    def encrypts(self) -> bool:
        """Whether what it answers is hidden from everybody on the way."""
        return self.response_mode == "direct_post.jwt"

    @property
    def comes_back(self) -> bool:
        """Whether it brings the holder's browser, or its own, a page of ours after it has answered.

        The messages of 모바일신분증 have no word for that: its answer counts as another device's (decision D1).
        """
        return self.protocol != "mip"

    def alternatives(self, question: Question) -> tuple[Alternative, ...]:
        """What of a question this wallet may be asked for.

        What one shows that cannot come back is tied to the browser by the person's number: there must be one, and one
        that people can read on the certificate.
        """
        return tuple(
            one
            for one in question.within(self.speaks)
            if self.comes_back or one.kind.person_key not in {None, claims.CI}
        )

    def serves(self, portal: Registration) -> bool:
        """Whether a portal's holders may use it."""
        return (self.encrypts or not portal.is_fapi2) and (self.comes_back or portal.cross_device)


def parse(document: Mapping[str, Any]) -> WalletProfile:
    """Read one profile. Raises ProfileError with every problem found."""
    try:
        profile = msgspec.convert(dict(document), WalletProfile)
    except msgspec.ValidationError as error:
        raise ProfileError([f"{document.get('id', 'wallet')}: {error}"]) from error
    problems = [f"{profile.id}: {problem}" for problem in _problems(profile)]
    if problems:
        raise ProfileError(problems)
    return profile


def _problems(profile: WalletProfile) -> list[str]:
    found = []
    if not (0 < len(profile.id) <= 32 and profile.id.replace("-", "").isalnum() and profile.id.isascii()):
        found.append("id: 1 to 32 letters, digits and hyphens")
    if profile.version < 1:
        found.append("version: 1 or more")
    found += [f"name.{lang} is missing" for lang in ("ko", "en") if not profile.name.get(lang)]
    try:
        checked_link(profile.link)
    except NotAcceptable as error:
        found.append(f"link: {error}")
    if foreign := sorted(set(profile.formats) - set(_FORMATS[profile.protocol])):
        found.append(f"formats: {profile.protocol} has no {', '.join(foreign)}")
    if not profile.sd_jwt_types:
        found.append("sd_jwt_types is empty")
    return found


def document(profile: WalletProfile) -> dict[str, Any]:
    """The JSON document to store."""
    made: dict[str, Any] = msgspec.to_builtins(profile)
    return made


def default_profile(settings: Settings) -> WalletProfile:
    """The wallet of a deployment that has named none: HAIP 1.0, reached by `wallet.link`."""
    return WalletProfile(
        id=DEFAULT,
        version=1,
        name={"ko": "모바일 지갑", "en": "Mobile wallet"},
        link=settings.wallet.link,
        client_id_prefix=settings.wallet.client_id_prefix,
    )
