"""People who are none, to show what a portal would get: each is what a credential shows, in the house's elements.

They are examples of form, with the names that Korean forms use for examples; no credential of theirs exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from idp.clock import iso

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
_MISSION = {"code": "XXX", "name_ko": "견본 대사관", "name_en": "Embassy of Samples"}


@dataclass(frozen=True)
class Sample:
    """One of them. `label` in ko and en; `acr` is the level their wallet reaches."""

    label: Mapping[str, str]
    claims: Mapping[str, Any]
    acr: str = "secure"
    amr: tuple[str, ...] = field(default=("pop", "pin", "face"))

    def evidence(self, credential_type: str, now: int) -> dict[str, Any]:
        """As `presentation.proof.evidence` makes it of a credential that was checked now."""
        check = {"check_method": "vcrypt", "organization": _MISSION["name_ko"], "time": iso(now)}
        source = {"name": _MISSION["name_ko"], "country_code": "KR"}
        record = {"type": credential_type, "source": source}
        return {
            "time": iso(now),
            "evidence": [{"type": "electronic_record", "check_details": [check], "record": record}],
        }


_OVERSEAS: Final[Mapping[str, Any]] = {
    "name": "홍길동",
    "family_name": "HONG",
    "given_name": "GILDONG",
    "birthdate": "1990-01-01",
    "age_equal_or_over": {"14": True, "19": True},
    "sex": 1,
    "nationalities": ["KR"],
    "address": {"formatted": "1 Sample Street, Sampletown 10000"},
    "issuing_mission": _MISSION,
    "overseas_registration_number": "0000-0000-0001",
    "passport": {
        "number": "M00000000",
        "type": "PM",
        "issuing_country": "KOR",
        "issuing_authority": "MINISTRY OF FOREIGN AFFAIRS",
        "issue_date": "2024-01-01",
        "expiry_date": "2034-01-01",
    },
    "picture": f"data:image/png;base64,{_PIXEL}",
}

SAMPLES: Final[Mapping[str, Sample]] = {
    "overseas": Sample({"ko": "재외국민, 모든 항목", "en": "Overseas national, everything shown"}, _OVERSEAS),
    "minor": Sample(
        {"ko": "만 14세 미만", "en": "Under 14"},
        {**_OVERSEAS, "birthdate": "2020-02-29", "age_equal_or_over": {"14": False, "19": False}, "sex": 2},
        acr="general",
        amr=("pop", "pin"),
    ),
    "foreign": Sample(
        {"ko": "외국인, 긴 영문 이름", "en": "Foreign national, long Latin name"},
        {
            "name": "MAXIMILIANE ALEXANDRA KONSTANZE VON UND ZU BEISPIELHAUSEN-MUSTERBERG",
            "family_name": "VON UND ZU BEISPIELHAUSEN-MUSTERBERG",
            "given_name": "MAXIMILIANE ALEXANDRA KONSTANZE",
            "birthdate": "1985-12-31",
            "age_equal_or_over": {"14": True, "19": True},
            "sex": 2,
            "nationalities": ["DE", "AT"],
            "address": {"formatted": "서울특별시 견본구 견본로 1"},
        },
    ),
    "little": Sample(
        {"ko": "이름과 생년월일만", "en": "Name and date of birth only"},
        {"name": "김견본", "birthdate": "1970-07-07"},
        acr="general",
        amr=("pop", "pin"),
    ),
}
