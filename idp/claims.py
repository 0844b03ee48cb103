"""What a credential can say, what a portal gets of it, and how a holder is asked: one row a claim.

`CLAIMS` is the table of `docs/claims.md`: OIDC claim, scope, where it stands in each credential format, its
label, how sensitive it is, how its preview is masked. A new claim is a row here and a consent sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Path = tuple[str | int | None, ...]
Text = Mapping[str, str]
Sensitivity = Literal["personal", "minimised", "unique_identifier", "restricted"]

SD_JWT_VC = "dc+sd-jwt"


@dataclass(frozen=True)
class Claim:
    """One claim a portal can be given.

    `paths` are claims path pointers (OpenID4VP 1.0, section 7) by credential format. `value` makes the OIDC
    value from the credential's claims and returns None when they do not hold it. `mask` makes the preview
    that the consent page shows. `in_id_token` is False for what only UserInfo may carry.
    """

    name: str
    scope: str
    label: Text
    paths: Mapping[str, tuple[Path, ...]]
    value: Callable[[Mapping[str, Any]], Any]
    mask: Callable[[Any], str]
    sensitivity: Sensitivity = "personal"
    in_id_token: bool = True

    def preview(self, value: Any, lang: str) -> str:
        """What the consent page shows of a value; one that names itself in the page's language goes by that."""
        named = value.get(f"name_{lang}") if isinstance(value, Mapping) else None
        return str(named) if named else self.mask(value)


def _member(*path: str) -> Callable[[Mapping[str, Any]], Any]:
    def value(claims: Mapping[str, Any]) -> Any:
        found: Any = claims
        for step in path:
            if not isinstance(found, Mapping) or step not in found:
                return None
            found = found[step]
        return found

    return value


def _gender(claims: Mapping[str, Any]) -> str | None:
    """ISO/IEC 5218 to OpenID Connect Core 5.1: 0 (not known) and 9 (not applicable) say nothing."""
    return {1: "male", 2: "female"}.get(claims.get("sex", 0))


def _address(claims: Mapping[str, Any]) -> dict[str, str] | None:
    formatted = _member("address", "formatted")(claims)
    return {"formatted": formatted} if formatted else None


def _first_and_last(text: Any) -> str:
    """홍길동 → 홍○동, 최장 → 최○, HONG → H○○G: recognised by its owner, not by a passer-by."""
    shown = str(text)
    if len(shown) <= 2:
        return shown[:1] + "○" * (len(shown) - 1)
    return shown[0] + "○" * min(len(shown) - 2, 6) + shown[-1]


def _year_only(text: Any) -> str:
    return str(text)[:4] + "-○○-○○"


def _head(text: Any) -> str:
    shown = str(text)
    keep = min(3, len(shown) // 3)
    return shown[:keep] + "○" * min(len(shown) - keep, 8)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "✓" if value else "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _sd(*paths: Path) -> Mapping[str, tuple[Path, ...]]:
    return {SD_JWT_VC: paths}


def _text(ko: str, en: str) -> Text:
    return {"ko": ko, "en": en}


_PASSPORT = ("number", "type", "issuing_country", "issuing_authority", "issue_date", "expiry_date")
_MISSION = ("code", "name_ko", "name_en")

CLAIMS: Mapping[str, Claim] = {
    claim.name: claim
    for claim in (
        Claim("name", "profile", _text("이름", "Name"), _sd(("name",)), _member("name"), _first_and_last),
        Claim(
            "family_name", "profile", _text("영문 성", "Family name"),
            _sd(("family_name",)), _member("family_name"), _first_and_last,
        ),
        Claim(
            "given_name", "profile", _text("영문 이름", "Given name"),
            _sd(("given_name",)), _member("given_name"), _first_and_last,
        ),
        Claim(
            "birthdate", "profile", _text("생년월일", "Date of birth"),
            _sd(("birthdate",)), _member("birthdate"), _year_only,
        ),
        Claim("gender", "profile", _text("성별", "Gender"), _sd(("sex",)), _gender, _plain),
        Claim(
            "nationalities", "profile", _text("국적", "Nationality"),
            _sd(("nationalities",)), _member("nationalities"), _plain,
        ),
        Claim(
            "age_over_14", "age", _text("만 14세 이상 여부", "Aged 14 or over"),
            _sd(("age_equal_or_over", "14")), _member("age_equal_or_over", "14"), _plain, "minimised",
        ),
        Claim(
            "age_over_19", "age", _text("만 19세 이상 여부", "Aged 19 or over"),
            _sd(("age_equal_or_over", "19")), _member("age_equal_or_over", "19"), _plain, "minimised",
        ),
        Claim(
            "address", "address", _text("주소", "Address"),
            _sd(("address", "formatted")), _address, lambda value: _head(value["formatted"]),
        ),
        Claim(
            "kr_mission", "kr_overseas", _text("관할 공관", "Competent mission"),
            _sd(*(("issuing_mission", part) for part in _MISSION)), _member("issuing_mission"),
            lambda value: str(value.get("name_ko") or value.get("code")),
        ),
        Claim(
            "kr_overseas_registration_number", "kr_overseas",
            _text("재외국민등록번호", "Overseas registration number"),
            _sd(("overseas_registration_number",)), _member("overseas_registration_number"), _head,
        ),
        Claim(
            "kr_passport", "kr_passport", _text("여권번호 및 여권 정보", "Passport number and passport data"),
            _sd(*(("passport", part) for part in _PASSPORT)), _member("passport"),
            lambda value: _head(value.get("number", "")), "unique_identifier",
        ),
        Claim(
            "picture", "kr_portrait", _text("사진", "Photo"), _sd(("picture",)), _member("picture"),
            lambda _value: "▣", in_id_token=False,
        ),
    )
}  # fmt: skip

SCOPES: Mapping[str, tuple[str, ...]] = {
    "openid": (),
    **{
        scope: tuple(claim.name for claim in CLAIMS.values() if claim.scope == scope)
        for scope in dict.fromkeys(claim.scope for claim in CLAIMS.values())
    },
}

ELEMENT_PATHS: Mapping[str, Mapping[str, Path]] = {
    "overseas_registration_number": {SD_JWT_VC: ("overseas_registration_number",)},
}
"""Elements that can serve as a person key, and where they stand in each format."""

ELEMENT_LABELS: Mapping[str, Text] = {
    "overseas_registration_number": CLAIMS["kr_overseas_registration_number"].label,
}


def requested_names(scopes: Iterable[str], claims_request: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the claims that a request asks for, by scope or by the `claims` parameter, in table order.

    Names we do not know are left out (OpenID Connect Core 5.5.1: unknown claims are ignored).
    """
    asked: set[str] = set()
    for scope in scopes:
        asked.update(SCOPES.get(scope, ()))
    for place in ("id_token", "userinfo"):
        members = claims_request.get(place) or {}
        asked.update(members)
        for verified in as_list(members.get("verified_claims")):
            asked.update(verified.get("claims") or ())
    return tuple(name for name in CLAIMS if name in asked)


def paths(names: Iterable[str], credential_format: str) -> tuple[Path, ...]:
    """Where these claims stand in a credential of this format, each path once."""
    found = (path for name in names for path in CLAIMS[name].paths.get(credential_format, ()))
    return tuple(dict.fromkeys(found))


def release(names: Collection[str], credential_claims: Mapping[str, Any]) -> dict[str, Any]:
    """The OIDC claims made from a credential's claims, for these names only."""
    made = {name: CLAIMS[name].value(credential_claims) for name in CLAIMS if name in names}
    return {name: value for name, value in made.items() if value is not None}


def as_list(value: Any) -> list[Any]:
    """OpenID Identity Assurance lets `verified_claims` be one object or an array of them."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
