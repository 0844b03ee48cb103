"""What a credential can say, what a portal gets of it, and how a holder is asked: one row a claim.

`CLAIMS` is the table of `docs/claims.md`: OIDC claim, scope, the elements of a credential that it is made of, its
label, how sensitive it is, how its preview is masked. A new claim is a row here and a consent sentence. Elements are
those of the house (`credentials.schema.ELEMENTS`); where they stand in a credential is the trust registry's to say.
`LANGUAGES` is the second table: which claims have a form in which language or script, and what it is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Path = tuple[str, ...]
Text = Mapping[str, str]
Sensitivity = Literal["personal", "minimised", "unique_identifier", "restricted"]


@dataclass(frozen=True)
class Claim:
    """One claim a portal can be given.

    `elements` are what it is made of: one of them at least must be shown. `value` makes the OIDC
    value from the credential's claims and returns None when they do not hold it. `mask` makes the preview
    that the consent page shows. `in_id_token` is False for what only UserInfo may carry.
    """

    name: str
    scope: str
    label: Text
    elements: tuple[Path, ...]
    value: Callable[[Mapping[str, Any]], Any]
    mask: Callable[[Any], str]
    sensitivity: Sensitivity = "personal"
    in_id_token: bool = True

    def names(self, value: Any) -> Text:
        """What a value calls itself, by language; nothing where it has no names, and a preview is `mask`."""
        named = value if isinstance(value, Mapping) else {}
        return {lang: str(named[f"name_{lang}"]) for lang in ("ko", "en") if named.get(f"name_{lang}")}


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


def _text(ko: str, en: str) -> Text:
    return {"ko": ko, "en": en}


_PASSPORT = ("number", "type", "issuing_country", "issuing_authority", "issue_date", "expiry_date")
_MISSION = ("code", "name_ko", "name_en")

CLAIMS: Mapping[str, Claim] = {
    claim.name: claim
    for claim in (
        Claim("name", "profile", _text("이름", "Name"), (("name",),), _member("name"), _first_and_last),
        Claim(
            "family_name", "profile", _text("영문 성", "Family name"),
            (("family_name",),), _member("family_name"), _first_and_last,
        ),
        Claim(
            "given_name", "profile", _text("영문 이름", "Given name"),
            (("given_name",),), _member("given_name"), _first_and_last,
        ),
        Claim(
            "birthdate", "profile", _text("생년월일", "Date of birth"),
            (("birthdate",),), _member("birthdate"), _year_only,
        ),
        Claim("gender", "profile", _text("성별", "Gender"), (("sex",),), _gender, _plain),
        Claim(
            "nationalities", "profile", _text("국적", "Nationality"),
            (("nationalities",),), _member("nationalities"), _plain,
        ),
        Claim(
            "age_over_14", "age", _text("만 14세 이상 여부", "Aged 14 or over"),
            (("age_equal_or_over", "14"),), _member("age_equal_or_over", "14"), _plain, "minimised",
        ),
        Claim(
            "age_over_19", "age", _text("만 19세 이상 여부", "Aged 19 or over"),
            (("age_equal_or_over", "19"),), _member("age_equal_or_over", "19"), _plain, "minimised",
        ),
        Claim(
            "address", "address", _text("주소", "Address"),
            (("address", "formatted"),), _address, lambda value: _head(value["formatted"]),
        ),
        Claim(
            "kr_mission", "kr_overseas", _text("관할 공관", "Competent mission"),
            tuple(("issuing_mission", part) for part in _MISSION), _member("issuing_mission"),
            lambda value: str(value.get("name_ko") or value.get("code")),
        ),
        Claim(
            "kr_overseas_registration_number", "kr_overseas",
            _text("재외국민등록번호", "Overseas registration number"),
            (("overseas_registration_number",),), _member("overseas_registration_number"), _head,
        ),
        Claim(
            "kr_passport", "kr_passport", _text("여권번호 및 여권 정보", "Passport number and passport data"),
            tuple(("passport", part) for part in _PASSPORT), _member("passport"),
            lambda value: _head(value.get("number", "")), "unique_identifier",
        ),
        Claim(
            "picture", "kr_portrait", _text("사진", "Photo"), (("picture",),), _member("picture"),
            lambda _value: "▣", in_id_token=False,
        ),
    )
}  # fmt: skip

SCOPES: Mapping[str, tuple[str, ...]] = {
    "openid": (),
    "offline_access": (),
    **{
        scope: tuple(claim.name for claim in CLAIMS.values() if claim.scope == scope)
        for scope in dict.fromkeys(claim.scope for claim in CLAIMS.values())
    },
}

ELEMENT_LABELS: Mapping[Path, Text] = {
    ("overseas_registration_number",): CLAIMS["kr_overseas_registration_number"].label,
    ("license_number",): _text("운전면허번호", "Driving licence number"),
    ("civil_servant_number",): _text("공무원증 번호", "Civil servant number"),
    ("veteran_number",): _text("보훈번호", "Veteran number"),
    ("kr_ci",): _text("연계정보(CI)", "Linking information (CI)"),
}
"""Elements by which a person can be found again, and how the page names what is read for that."""

GENDERS: Mapping[str, Text] = {"male": _text("남성", "Male"), "female": _text("여성", "Female")}
"""How the consent page names the values of `gender`."""

CI: Path = ("kr_ci",)
CI_DOMAIN = "kr-ci"
"""연계정보: one person's is the same in every card, whoever issued it, so it joins them under one Subject."""


@dataclass(frozen=True)
class LanguageForm:
    """A claim in one language or script (OpenID Connect Core 5.2): said as `<claim>#<tag>`.

    `sources` are the claims it is made of. It is said only where all of them are released.
    """

    claim: str
    tag: str
    sources: tuple[str, ...]
    value: Callable[[Mapping[str, Any]], Any]

    @property
    def name(self) -> str:
        return f"{self.claim}#{self.tag}"


def _latin_name(released: Mapping[str, Any]) -> str:
    """Family name first, as in the passport: HONG GILDONG."""
    return f"{released['family_name']} {released['given_name']}"


_HANGUL = "ko-Hang-KR"
_LATIN = "en"

LANGUAGES: Mapping[str, LanguageForm] = {
    form.name: form
    for form in (
        LanguageForm("name", _HANGUL, ("name",), _member("name")),
        LanguageForm("name", _LATIN, ("name", "family_name", "given_name"), _latin_name),
        LanguageForm("family_name", _LATIN, ("family_name",), _member("family_name")),
        LanguageForm("given_name", _LATIN, ("given_name",), _member("given_name")),
    )
}
"""Tagged claims by their name. `kr_mission` carries its languages inside; an address is in whatever it is in."""

CLAIMS_LOCALES = tuple(dict.fromkeys(form.tag for form in LANGUAGES.values()))
"""`claims_locales_supported`: BCP 47 tags in the case in which they are registered."""


def canonical_name(name: str) -> str | None:
    """The name under which we say what is asked for by this name; None for a claim or a language we do not have.

    Tags are matched as Core 5.2 has it: without regard to case, and `name#ko` finds `name#ko-Hang-KR`.
    """
    if name in CLAIMS:
        return name
    claim, _, tag = name.partition("#")
    form = _form(claim, tag)
    return form.name if form is not None else None


def can_be_in(name: str, place: str) -> bool:
    """Whether a claim, known and maybe tagged, may stand in this place: `id_token` or `userinfo`."""
    return place != "id_token" or all(CLAIMS[source].in_id_token for source in sources(name))


def sources(name: str) -> tuple[str, ...]:
    """The claims that must be released before this name can be said; none for a name we do not know."""
    if name in CLAIMS:
        return (name,)
    canonical = canonical_name(name)
    return LANGUAGES[canonical].sources if canonical is not None else ()


def localized(
    released: Mapping[str, Any], asked_names: Iterable[str], claims_locales: Iterable[str] = ()
) -> dict[str, Any]:
    """What is said of `released` for these names, tagged ones among them, by the portal's preferred languages.

    A claim asked for without a tag is in its own language. Where `claims_locales` names one language and we have the
    claim in it, it is said in that one instead, still without a tag; where it names several, each form that we have
    is added under its tag (Core 5.2). What is not in `released`, or not known, is left out.
    """
    locales = tuple(claims_locales)
    said: dict[str, Any] = {}
    for asked in asked_names:
        name = canonical_name(asked)
        if name is None or not _has(released, name):
            continue
        if name in LANGUAGES:
            said[name] = LANGUAGES[name].value(released)
        else:
            said.update(_in_languages(released, name, locales))
    return said


def _in_languages(released: Mapping[str, Any], claim: str, locales: Collection[str]) -> dict[str, Any]:
    plain = {claim: released[claim]}
    matched = {form.name if (form := _form(claim, tag)) else None for tag in locales}
    names = [name for name in LANGUAGES if name in matched and _has(released, name)]
    if len(matched) == 1 and names:
        return {claim: LANGUAGES[names[0]].value(released)}
    return {**plain, **{name: LANGUAGES[name].value(released) for name in names}}


def _has(released: Mapping[str, Any], name: str) -> bool:
    return all(source in released for source in sources(name))


def _form(claim: str, tag: str) -> LanguageForm | None:
    found = (form for form in LANGUAGES.values() if form.claim == claim)
    return next((form for form in found if _in_range(tag, form.tag) or _in_range(form.tag, tag)), None)


def _in_range(language_range: str, tag: str) -> bool:
    """Extended filtering (RFC 4647, section 3.3.2), without wildcards: `ko-KR` takes in `ko-Hang-KR`."""
    wanted = language_range.lower().split("-")
    rest: Iterator[str] = iter(tag.lower().split("-"))
    if wanted[0] != next(rest):
        return False
    for subtag in wanted[1:]:
        for found in rest:
            if found == subtag:
                break
            if len(found) == 1:
                return False
        else:
            return False
    return True


def requested_names(scopes: Iterable[str], claims_request: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the claims that a request asks for, by scope or by the `claims` parameter, in table order.

    A tagged name stands for the claims it is made of. Names we do not know are left out (OpenID Connect Core 5.5.1:
    unknown claims are ignored).
    """
    asked: set[str] = set()
    for scope in scopes:
        asked.update(SCOPES.get(scope, ()))
    for place in ("id_token", "userinfo"):
        members = claims_request.get(place) or {}
        asked.update(members)
        for verified in as_list(members.get("verified_claims")):
            asked.update(verified.get("claims") or ())
    wanted = {source for name in asked for source in sources(name)}
    return tuple(name for name in CLAIMS if name in wanted)


def elements(names: Iterable[str]) -> tuple[Path, ...]:
    """What these claims are made of, each element once."""
    return tuple(dict.fromkeys(path for name in names for path in CLAIMS[name].elements))


def release(names: Collection[str], credential_claims: Mapping[str, Any]) -> dict[str, Any]:
    """The OIDC claims made from a credential's claims, for these names only."""
    made = {name: CLAIMS[name].value(credential_claims) for name in CLAIMS if name in names}
    return {name: value for name, value in made.items() if value is not None}


def as_list(value: Any) -> list[Any]:
    """OpenID Identity Assurance lets `verified_claims` be one object or an array of them."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
