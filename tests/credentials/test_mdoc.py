"""`verify` on mdocs of our own issuer: what is accepted, and what is no DeviceResponse."""

from contextlib import suppress
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idp.credentials import CredentialRejected, Reason, schema
from idp.credentials.mdoc import MAX_PRESENTATION_CHARS
from tests.credentials.issuing import (
    ABSENT,
    CLAIMS,
    NOW,
    STATUS_URI,
    TYPE_ID,
    Authority,
    b64u,
    credential_type,
    der,
    p256,
    registry,
)
from tests.credentials.issuing_mdoc import (
    DOC_TYPE,
    ELEMENTS,
    ISO,
    PATHS,
    Issued,
    World,
    document_signer,
    full_date,
    issue,
    item,
    mdoc_format,
    tdate,
)
from tests.credentials.mdocs import EU_PID, accept, refuse, sha256, under_an_intermediate


@pytest.fixture
def world() -> World:
    """One mission that is trusted with mdocs, and its status host, new for each test."""
    return World()


# What is accepted


def test_a_good_presentation_says_what_was_disclosed_and_by_whom(world: World) -> None:
    verified = accept(world, issue(world.authority).present())
    assert dict(verified.claims) == dict(CLAIMS)
    assert (verified.format, verified.type_id, verified.name) == ("mso_mdoc", TYPE_ID, DOC_TYPE)
    assert (verified.issued_at, verified.expires_at) == (NOW - 3600, NOW + 86_400)
    assert verified.authentication == ("pin", "face")
    assert verified.mission is world.mission
    assert verified.status is not None
    assert (verified.status.uri, verified.status.checked_at, verified.status.fresh) == (STATUS_URI, NOW, True)
    assert verified.status.organisation is world.mission


def test_every_element_is_tried_here() -> None:
    assert PATHS.keys() == schema.element_paths()


def test_only_what_was_disclosed_is_there(world: World) -> None:
    presentation = issue(world.authority).present(shown={ISO: ["birth_date"]})
    verified = accept(world, presentation)
    assert (dict(verified.claims), verified.authentication) == ({"birthdate": "1984-02-29"}, ())


def test_nothing_need_be_disclosed(world: World) -> None:
    issued = issue(world.authority)
    assert dict(accept(world, issued.present(issuer_signed={"nameSpaces": ABSENT})).claims) == {}
    assert dict(accept(world, issued.present(shown={})).claims) == {}


def test_an_element_that_nobody_reads_is_not_passed_on(world: World) -> None:
    elements = {
        ISO: {**ELEMENTS[ISO], "personal_administrative_number": "8402291234567"},
        EU_PID: {"name": 1},
    }
    assert dict(accept(world, issue(world.authority, elements=elements).present()).claims) == dict(CLAIMS)


def test_claims_are_not_printed_with_the_credential(world: World) -> None:
    assert "GILDONG" not in repr(accept(world, issue(world.authority).present()))


@pytest.mark.parametrize("hash_algorithm", ["sha256", "sha384", "sha512"])
def test_the_digests_of_the_standard_are_accepted(world: World, hash_algorithm: str) -> None:
    assert accept(world, issue(world.authority, hash_algorithm=hash_algorithm).present()).claims


@pytest.mark.parametrize(
    ("curve", "algorithm"),
    [
        (ec.SECP256R1(), -7),
        (ec.SECP256R1(), -9),
        (ec.SECP384R1(), -35),
        (ec.SECP384R1(), -51),
        (ec.SECP521R1(), -36),
    ],
    ids=["ES256", "ESP256", "ES384", "ESP384", "ES512"],
)
@pytest.mark.parametrize("who", ["issuer", "device"])
def test_each_algorithm_is_accepted_on_its_curve(
    world: World, curve: ec.EllipticCurve, algorithm: int, who: str
) -> None:
    key = ec.generate_private_key(curve)
    if who == "issuer":
        signer = document_signer(world.authority, key=key)
        issued = issue(world.authority, key=key, signer=signer, protected={1: algorithm})
        assert accept(world, issued.present())
    else:
        assert accept(world, issue(world.authority, holder_key=key).present(protected={1: algorithm}))


def test_a_chain_with_an_intermediate_is_accepted(world: World) -> None:
    presentation, _ = under_an_intermediate(world)
    assert accept(world, presentation)


@pytest.mark.parametrize("number", [1, 2])
def test_a_chain_may_come_as_an_array(world: World, number: int) -> None:
    if number == 1:
        issued = issue(world.authority, unprotected={33: [der(document_signer(world.authority))]})
        assert accept(world, issued.present())
    else:
        assert accept(world, under_an_intermediate(world)[0])


def test_a_signer_that_is_pinned_is_accepted_without_a_path(world: World) -> None:
    stranger = Authority("XXX")
    signer = document_signer(stranger)
    mission = world.authority.mission(pinned_signers=(signer,))
    trust = registry(mission, types=[credential_type(formats={"mso_mdoc": mdoc_format()})])
    status = world.status
    presentation = issue(stranger, signer=signer).present()
    for _ in range(2):  # and from the memory of what was validated
        assert accept(world, presentation, trust=trust, status=status).mission is mission
    late = NOW + 31 * 86_400
    issued = issue(stranger, signer=signer, validity={"validUntil": tdate(NOW + 99 * 86_400)})
    assert refuse(world, issued.present(), trust=trust, now=late) is Reason.ISSUER_CERTIFICATE


def test_lengths_that_are_not_in_their_shortest_form_are_read(world: World) -> None:
    response = issue(world.authority).response()
    assert response.startswith(b"\xa3")
    for longer in (b"\xb8\x03", b"\xb9\x00\x03", b"\xba\x00\x00\x00\x03", b"\xbb" + bytes(7) + b"\x03"):
        assert accept(world, b64u(longer + response[1:]))


def test_what_the_issuer_hashed_under_a_longer_length_is_read_as_it_was_received(world: World) -> None:
    content = item(0, "birth_date", full_date("1984-02-29"))
    assert len(content) < 256
    longer = b"\xd8\x18\x59" + len(content).to_bytes(2, "big") + content
    issued = issue(world.authority, digests=lambda _: {ISO: {0: sha256(longer)}})
    response = issued.response(items={ISO: [content]})
    shorter = cbor2.dumps(CBORTag(24, content))
    assert response.count(shorter) == 1
    assert refuse(world, b64u(response)) is Reason.DIGEST
    assert accept(world, b64u(response.replace(shorter, longer))).claims == {"birthdate": "1984-02-29"}


def test_a_member_that_we_do_not_know_is_not_looked_at(world: World) -> None:
    issued = issue(world.authority, mso={"future": 1}, device_key_info={"keyInfo": {1: 2}})
    extra = {
        "response": {"future": 1},
        "document": {"errors": {ISO: {"x": 0}}},
        "device_signed": {"future": 1},
    }
    assert accept(world, issued.present(**extra))


def test_an_empty_protected_header_beside_is_not_needed(world: World) -> None:
    assert accept(world, issue(world.authority, unprotected={4: b"1"}).present(unprotected={4: b"2"}))


# Form


@pytest.mark.parametrize(
    "presentation",
    ["", "x", "=", "AA==", "A A", "Ä", "~", "+/+/", "oA", "gA", "AA", "9g", "\ud800"],
    ids=repr,
)
def test_what_is_no_response_is_refused(world: World, presentation: str) -> None:
    assert refuse(world, presentation) is Reason.MALFORMED


@pytest.mark.parametrize("rest", [1, 2])
def test_a_second_spelling_of_the_same_base64url_is_refused(world: World, rest: int) -> None:
    issued = issue(world.authority)
    response = next(
        response
        for size in range(24)
        if len(response := issued.response(response={"padding": bytes(size)})) % 3 == rest
    )
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    presentation = b64u(response)
    other = alphabet[alphabet.index(presentation[-1]) + 1]
    assert accept(world, presentation)
    assert refuse(world, presentation[:-1] + other) is Reason.MALFORMED


def test_a_presentation_that_is_too_long_is_refused_unread(world: World) -> None:
    assert refuse(world, "A" * (MAX_PRESENTATION_CHARS + 1)) is Reason.TOO_LARGE


@pytest.mark.parametrize("after", [b"\x00", b"\xf6", b"\xa0"])
def test_something_after_the_response_is_refused(world: World, after: bytes) -> None:
    assert refuse(world, b64u(issue(world.authority).response() + after)) is Reason.MALFORMED


def test_a_response_that_is_cut_off_is_refused_everywhere(world: World) -> None:
    response = issue(world.authority).response()
    for length in range(0, len(response), 97):
        assert refuse(world, b64u(response[:length])) is Reason.MALFORMED


def test_a_member_that_is_there_twice_is_refused(world: World) -> None:
    response = issue(world.authority).response()
    assert refuse(world, b64u(b"\xa4" + response[1:] + cbor2.dumps("status") + b"\x00")) is Reason.MALFORMED


def test_an_indefinite_length_is_refused(world: World) -> None:
    response = issue(world.authority).response()
    assert refuse(world, b64u(b"\xbf" + response[1:] + b"\xff")) is Reason.MALFORMED


@pytest.mark.parametrize("version", [ABSENT, "1.1", "2.0", "", 1.0, 1, None])
def test_a_response_of_another_version_is_refused(world: World, version: Any) -> None:
    reason = refuse(world, issue(world.authority).present(response={"version": version}))
    assert reason is (Reason.VERSION if isinstance(version, str) else Reason.MALFORMED)


@pytest.mark.parametrize("status", [10, 11, 12, 20, -1])
def test_a_response_with_an_error_status_is_refused(world: World, status: int) -> None:
    assert (
        refuse(world, issue(world.authority).present(response={"status": status})) is Reason.RESPONSE_STATUS
    )


@pytest.mark.parametrize("status", [ABSENT, False, None, "0", 0.0])
def test_a_response_without_a_status_is_refused(world: World, status: Any) -> None:
    assert refuse(world, issue(world.authority).present(response={"status": status})) is Reason.MALFORMED


@pytest.mark.parametrize("name", ["documentErrors", "encryptedDocuments", "zkDocuments"])
@pytest.mark.parametrize("value", [[], [{DOC_TYPE: 0}], None])
def test_a_response_with_something_beside_documents_is_refused(world: World, name: str, value: Any) -> None:
    assert refuse(world, issue(world.authority).present(response={name: value})) is Reason.RESPONSE_STATUS


def test_no_document_is_refused(world: World) -> None:
    issued = issue(world.authority)
    for documents in (ABSENT, [], {}, None, "x", [None], [[]]):
        assert refuse(world, issued.present(response={"documents": documents})) is Reason.MALFORMED


def test_two_documents_are_refused(world: World) -> None:
    first = issue(world.authority).structure()["documents"][0]
    other = issue(world.authority).structure()["documents"][0]
    for documents in ([first, first], [first, other]):
        assert (
            refuse(world, issue(world.authority).present(response={"documents": documents}))
            is Reason.MALFORMED
        )


@pytest.mark.parametrize("wrong", [ABSENT, None, [], "x", 1, b""])
def test_issuer_signed_must_be_there(world: World, wrong: Any) -> None:
    assert refuse(world, issue(world.authority).present(document={"issuerSigned": wrong})) is Reason.MALFORMED


@pytest.mark.parametrize(
    "wrong", [None, [], "x", {ISO: []}, {ISO: {}}, {ISO: None}, {1: [CBORTag(24, b"\xa0")]}]
)
def test_name_spaces_must_be_lists_of_items(world: World, wrong: Any) -> None:
    presentation = issue(world.authority).present(issuer_signed={"nameSpaces": wrong})
    assert refuse(world, presentation) is Reason.MALFORMED


@pytest.mark.parametrize("wrong", [b"\xa0", {}, None, 1, "x", []], ids=repr)
def test_an_item_must_be_embedded(world: World, wrong: Any) -> None:
    name_spaces = {ISO: [wrong]}
    presentation = issue(world.authority).present(issuer_signed={"nameSpaces": name_spaces})
    assert refuse(world, presentation) is Reason.MALFORMED


def test_too_many_elements_are_refused(world: World) -> None:
    elements = {EU_PID: {f"element_{number}": number for number in range(257)}}
    presentation = issue(world.authority, elements=elements).present(shown={EU_PID: list(elements[EU_PID])})
    assert refuse(world, presentation) is Reason.TOO_LARGE


# The whole


def test_the_same_input_has_the_same_outcome_again(world: World) -> None:
    good, bad = issue(world.authority).present(), issue(world.authority).present(key=p256())
    for _ in range(3):
        assert accept(world, good)
        assert refuse(world, bad) is Reason.DEVICE_SIGNATURE


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
def test_nothing_but_a_refusal_comes_of_any_structure(data: st.DataObject) -> None:
    world = WORLD
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary() | st.floats()
    names = (
        st.sampled_from(["version", "documents", "status", "docType", "issuerSigned", "nameSpaces"])
        | st.text()
    )
    anything = st.recursive(
        scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=20
    )
    presentation = ISSUED.present(
        response=data.draw(st.dictionaries(names, anything, max_size=2)),
        document=data.draw(st.dictionaries(names, anything, max_size=2)),
    )
    with suppress(CredentialRejected):
        accept(world, presentation)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_nothing_but_a_refusal_comes_of_any_bytes(data: bytes) -> None:
    assert refuse(WORLD, b64u(data))


WORLD = World()
ISSUED: Issued = issue(WORLD.authority)
