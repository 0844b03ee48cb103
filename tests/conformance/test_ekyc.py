"""Identity Assurance (`ekyc-test-plan-oidccore`): a test named after every module of the plan.

As in the suite, every answer is checked against the specification's shape, the request and what discovery announces.
"""

import json
from typing import Any

import pytest

from tests.conformance.conftest import checked
from tests.oidc.verified_claims_shape import problems
from tests.rig import Portal, Rig

TRUSTED = {"trust_framework": None}
FRAMEWORK = {"trust_framework": "kr_mobile_id"}
PURPOSE = {"ko": "시험", "en": "A test"}
PLACES = ("id_token", "userinfo")


@pytest.fixture
def portal(rig: Rig) -> Portal:
    """A client that may receive everything in a name, with a browser of its own."""
    names = ("name", "family_name", "given_name", "birthdate")
    claims = [{"name": name, "purpose": PURPOSE, "required": True, "basis": "consent"} for name in names]
    return rig.variant("gov24", "ekyc", claims=claims, sector_identifier="ekyc.example")


def discovery(portal: Portal) -> dict[str, Any]:
    return dict(portal.rig.http.get(f"{portal.rig.issuer}/.well-known/openid-configuration").json())


def said(portal: Portal, asked: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The `verified_claims` of each place that has some, after a whole flow with this `claims` parameter."""
    begun = portal.begin(scope="openid", claims=json.dumps(asked), **changes)
    id_token = checked(portal, begun)
    userinfo = portal.userinfo(id_token["_tokens"]["access_token"]).json()
    found = {"id_token": id_token, "userinfo": userinfo}
    answers = {
        place: claims["verified_claims"] for place, claims in found.items() if "verified_claims" in claims
    }
    for place, answer in answers.items():
        assert problems(answer, discovery(portal)) == [], place
    return answers


def verified(claims: Any, verification: Any = TRUSTED) -> dict[str, Any]:
    return {"verified_claims": {"verification": verification, "claims": claims}}


def both(claims: Any, verification: Any = TRUSTED) -> dict[str, Any]:
    return {place: verified(claims, verification) for place in PLACES}


def answer(claims: dict[str, Any]) -> dict[str, Any]:
    return {"verification": FRAMEWORK, "claims": claims}


def test_ekyc_server_happypath(portal: Portal) -> None:
    document = discovery(portal)
    assert document["claims_parameter_supported"] is True
    for member in (
        "trust_frameworks_supported",
        "evidence_supported",
        "electronic_records_supported",
        "documents_check_methods_supported",
        "claims_in_verified_claims_supported",
    ):
        assert document[member], member
        assert all(isinstance(value, str) for value in document[member])
    assert ("documents_supported" in document) is ("document" in document["evidence_supported"])
    expected = answer({"given_name": "GILDONG"})
    assert said(portal, both({"given_name": None})) == dict.fromkeys(PLACES, expected)


def test_ekyc_server_happypath_emptyobject(portal: Portal) -> None:
    expected = answer({"given_name": "GILDONG"})
    assert said(portal, both({"given_name": {}})) == dict.fromkeys(PLACES, expected)


def test_ekyc_server_happypath_essentialfalse(portal: Portal) -> None:
    expected = answer({"given_name": "GILDONG"})
    assert said(portal, both({"given_name": {"essential": False}})) == dict.fromkeys(PLACES, expected)


@pytest.mark.parametrize("value", [None, {"essential": False}])
def test_ekyc_server_unknown_claim_omitted(portal: Portal, value: Any) -> None:
    expected = answer({"given_name": "GILDONG"})
    asked = both({"given_name": None, "5f1c2b0e-unknown": value})
    assert said(portal, asked) == dict.fromkeys(PLACES, expected)


def test_ekyc_server_unknown_essential_claim_omitted(portal: Portal) -> None:
    expected = answer({"given_name": "GILDONG"})
    asked = both({"given_name": None, "5f1c2b0e-unknown": {"essential": True}})
    assert said(portal, asked) == dict.fromkeys(PLACES, expected)


def test_ekyc_server_unknown_claim_specialchars_omitted(portal: Portal) -> None:
    expected = answer({"given_name": "GILDONG"})
    asked = both({"given_name": None, "claim%1/a&,.b": None})
    assert said(portal, asked) == dict.fromkeys(PLACES, expected)


def test_ekyc_server_one_claim_with_random_value_omitted(portal: Portal) -> None:
    asked = both({"given_name": {"value": "0b9a5e1c-7f34-4d5e-9a8b-2f6f1d3c4b5a"}})
    assert said(portal, asked) == dict.fromkeys(PLACES, answer({}))


def test_ekyc_server_request_only_in_idtoken(portal: Portal) -> None:
    expected = answer({"given_name": "GILDONG"})
    assert said(portal, {"id_token": verified({"given_name": None})}) == {"id_token": expected}


def test_ekyc_server_request_only_in_userinfo(portal: Portal) -> None:
    expected = answer({"given_name": "GILDONG"})
    assert said(portal, {"userinfo": verified({"given_name": None})}) == {"userinfo": expected}


EVIDENCE = {
    "type": {"value": "electronic_record"},
    "check_details": [{"check_method": None, "organization": None, "time": {"max_age": 86_400}}],
    "record": {
        "type": {"value": "kr-overseas-national"},
        "source": {"name": None, "country_code": {"essential": True}},
        "created_at": {"max_age": 31_536_000},
        "date_of_expiry": None,
    },
}
PROVIDED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "all": (
        {
            "trust_framework": {"value": "kr_mobile_id"},
            "assurance_level": {"values": ["general", "secure"]},
            "time": {"max_age": 86_400},
            "verification_process": None,
            "evidence": [EVIDENCE],
        },
        {"trust_framework", "assurance_level", "time", "verification_process", "evidence"},
    ),
    "one_of_two_kinds_of_evidence": (
        {
            "trust_framework": None,
            "evidence": [
                {"type": {"value": "document"}, "document_details": {"type": {"value": "passport"}}},
                {"type": {"value": "electronic_record"}, "record": {"type": None}},
            ],
        },
        {"trust_framework", "evidence"},
    ),
    "essential": ({"trust_framework": {"essential": True}, "time": {"essential": True}}, {"trust_framework", "time"}),
    "nothing_that_we_do_not_have": (
        {"trust_framework": None, "assurance_process": {"policy": None}},
        {"trust_framework"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PROVIDED)
def test_ekyc_server_testuserprovidedrequest(portal: Portal, kind: str) -> None:
    verification, members = PROVIDED[kind]
    asked = both({"given_name": None, "birthdate": {"essential": True}}, verification)
    answers = said(portal, asked)
    assert answers.keys() == set(PLACES)
    for given in answers.values():
        assert given["claims"] == {"given_name": "GILDONG", "birthdate": "1985-03-14"}
        assert given["verification"].keys() - {"assurance_process"} == members
        for evidence in given["verification"].get("evidence", []):
            assert evidence.keys() == {"type", "record"} | ({"check_details"} if kind == "all" else set())


@pytest.mark.parametrize(
    "verification",
    [
        {"trust_framework": {"value": "eidas"}},
        {"trust_framework": None, "assurance_level": {"value": "general"}},
        {"trust_framework": None, "evidence": [{"type": {"value": "vouch"}}]},
        {"trust_framework": None, "evidence": [{**EVIDENCE, "record": {"type": {"value": "x"}}}]},
    ],
)
def test_ekyc_server_testuserprovidedrequest_that_cannot_be_met(portal: Portal, verification: Any) -> None:
    assert said(portal, both({"given_name": None}, verification)) == {}


def test_ekyc_server_testuserprovidedrequest_of_several_kinds(portal: Portal) -> None:
    entries = [
        {"verification": {"trust_framework": {"value": "eidas"}}, "claims": {"name": None}},
        {"verification": TRUSTED, "claims": {"name#en": None}},
        {"verification": {**TRUSTED, "assurance_level": None}, "claims": {"birthdate": None}},
    ]
    assert said(portal, {"userinfo": {"verified_claims": entries}}) == {
        "userinfo": [
            answer({"name#en": "HONG GILDONG"}),
            {
                "verification": {**FRAMEWORK, "assurance_level": "secure"},
                "claims": {"birthdate": "1985-03-14"},
            },
        ]
    }


def test_a_verification_that_is_too_old_for_the_request_is_made_again(rig: Rig, portal: Portal) -> None:
    # Identity Assurance, section 5.5.2: the provider should try to fulfil max_age.
    def asked(max_age: int) -> str:
        verification = {"trust_framework": None, "time": {"max_age": max_age}}
        return json.dumps({"userinfo": verified({"given_name": None}, verification)})

    first = checked(portal, portal.begin(scope="openid", claims=asked(0)))
    rig.clock.forward(25)
    again = checked(portal, portal.begin(scope="openid", claims=asked(600)))
    assert again["auth_time"] == first["auth_time"]
    silent = checked(portal, portal.begin(scope="openid", prompt="none", claims=asked(20)))
    assert silent["auth_time"] == first["auth_time"]
    assert "verified_claims" not in portal.userinfo(silent["_tokens"]["access_token"]).json()
    fresh = checked(portal, portal.begin(scope="openid", claims=asked(20)))
    assert fresh["auth_time"] >= first["auth_time"] + 25
    assert "verified_claims" in portal.userinfo(fresh["_tokens"]["access_token"]).json()


def test_ekyc_server_testbasedonuserinfo_defaults(portal: Portal) -> None:
    everything = {"assurance_level": None, "time": None, "verification_process": None, "evidence": None}
    first = said(portal, {"userinfo": verified({"given_name": None, "birthdate": None}, everything)})[
        "userinfo"
    ]
    # As the suite does it: the values of an earlier answer are what the next request insists on.
    kept = {name: value for name, value in first["verification"].items() if isinstance(value, str)}
    record = first["verification"]["evidence"][0]["record"]
    insisted: dict[str, Any] = {
        **{name: {"value": value} for name, value in kept.items()},
        "evidence": [
            {
                "type": {"value": "electronic_record"},
                "record": {
                    "type": {"value": record["type"]},
                    "created_at": {"value": record["created_at"]},
                    "source": {name: {"value": value} for name, value in record["source"].items()},
                },
            }
        ],
    }
    # The same session, so that it is the same verification; its process and its time are of the first sign-in alone.
    for name in ("verification_process", "time"):
        insisted[name] = None
    claims = {name: {"value": value} for name, value in first["claims"].items()}
    again = said(portal, {"userinfo": verified(claims, insisted)})["userinfo"]
    assert again["claims"] == first["claims"]
    assert again["verification"]["evidence"][0]["record"]["source"] == record["source"]


def test_ekyc_server_test_userinfo_notfoundinop(portal: Portal) -> None:
    unannounced = {"place_of_birth": None, "msisdn": {"value": "+821012345678"}}
    assert said(portal, {"userinfo": verified(unannounced)}) == {"userinfo": answer({})}
    framework = {"trust_framework": {"value": "not_announced"}}
    assert said(portal, {"userinfo": verified({"given_name": None}, framework)}) == {}
    evidence = {"trust_framework": None, "evidence": [{"type": {"value": "electronic_signature"}}]}
    assert said(portal, {"userinfo": verified({"given_name": None}, evidence)}) == {}


@pytest.mark.parametrize(
    ("names", "locales", "expected"),
    [
        (["name#en"], None, {"name#en": "HONG GILDONG"}),
        (["name#ko", "name"], None, {"name#ko-Hang-KR": "홍길동", "name": "홍길동"}),
        (["name", "family_name", "given_name"], "en", {"name": "HONG GILDONG"}),
        (["name#en", "birthdate"], "se", {"name#en": "HONG GILDONG", "birthdate": "1985-03-14"}),
    ],
)
def test_oidcc_claims_locales_of_claims_that_have_languages(
    portal: Portal, names: list[str], locales: str | None, expected: dict[str, str]
) -> None:
    asked = {place: dict.fromkeys(names) for place in PLACES}
    id_token = checked(portal, portal.begin(scope="openid", claims=json.dumps(asked), claims_locales=locales))
    userinfo = portal.userinfo(id_token["_tokens"]["access_token"]).json()
    for said_there in (id_token, userinfo):
        given = {name: value for name, value in said_there.items() if "name" in name or name == "birthdate"}
        assert expected.items() <= given.items()
        assert given.keys() - {"family_name", "given_name"} == expected.keys()
    locales_supported = discovery(portal)["claims_locales_supported"]
    assert locales_supported == ["ko-Hang-KR", "en"]
