"""A trust registry and a question to the national app, for tests of what stands behind the messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from idp.credentials.trust import TrustSnapshot, from_documents
from idp.mip.backend import Asked
from idp.presentation.question import Alternative

NOW = int(datetime(2026, 11, 28, tzinfo=UTC).timestamp())

ELEMENTS: dict[str, list[str]] = {
    "name": ["name"],
    "family_name": ["usrname"],
    "given_name": ["givennames"],
    "birthdate": ["birth"],
    "age_equal_or_over.14": ["birth"],
    "age_equal_or_over.19": ["birth"],
    "sex": ["sex"],
    "nationalities": ["nationality"],
    "address.formatted": ["address"],
    "issuing_mission.name_ko": ["emblnm"],
    "overseas_registration_number": ["expatno"],
    "passport.number": ["passportno"],
    "passport.type": ["passporttype"],
    "passport.issuing_country": ["countrycode"],
    "passport.issuing_authority": ["authority"],
    "passport.issue_date": ["issude"],
    "passport.expiry_date": ["expirdate"],
    "picture": ["dlphotoimage"],
    "kr_ci": ["ci"],
}
TYPE_ID = "kr-overseas-national"


def kind(**changes: Any) -> dict[str, Any]:
    looks = {"names": ["mep.1", "mep.2"], "elements": ELEMENTS}
    return {
        "id": TYPE_ID,
        "name": {"ko": "재외국민 신원확인증", "en": "Overseas certificate"},
        "trust_domain": "kr-overseas",
        "person_key": "overseas_registration_number",
        "secure_authentication": [["pin", "face"]],
        "formats": {"mip": looks},
        **changes,
    }


def mission(code: str, name: str, **changes: Any) -> dict[str, Any]:
    return {
        "code": code,
        "name": {"ko": name, "en": code},
        "country": "US",
        "credential_types": [TYPE_ID],
        "active_from": "2024-07-03",
        "issuer_dids": [f"did:kr:mobileid:{code}"],
        **changes,
    }


LAX = mission("LAX", "주로스앤젤레스 대한민국 총영사관")
AKL = mission("AKL", "주뉴질랜드 대한민국 대사관 오클랜드 분관")
CLOSED = mission("NEW", "주가상 대한민국 대사관", active_from="2099-01-01")


def registry(*missions: dict[str, Any]) -> TrustSnapshot:
    return from_documents([kind()], list(missions or (LAX, AKL, CLOSED)))


def asked(trust: TrustSnapshot, *, secure: bool = False, **changes: Any) -> Asked:
    known = trust.types[TYPE_ID]
    good: dict[str, Any] = {
        "trxcode": "A" * 40,
        "service": "mep.2" if secure else "mep.1",
        "secure": secure,
        "alternative": Alternative(
            kind=known,
            looks=known.formats["mip"],
            person_keys=(known.person_key,),
            required=(("name",), ("birthdate",)),
            optional=(),
        ),
        "portal_names": {"ko": "정부24", "en": "Government24"},
        "status_fail_closed": secure,
        "secret": b"s" * 32,
    }
    return Asked(**{**good, **changes})
