"""The envelope and the messages: what is read, what is refused, and with which of the specification's codes."""

import base64
import json
from typing import Any

import pytest

from idp.mip import errors, messages
from idp.mip.errors import MessageRefused

TRX = "20211102162732145432176790"
M310 = {"type": "mip", "version": "1.0.0", "cmd": "310", "request": "profile", "trxcode": TRX}
M320 = {**M310, "cmd": "320", "request": "image"}
VP = {
    "presentType": 1,
    "encryptType": 2,
    "keyType": 2,
    "authType": ["pin"],
    "did": "did:omn:3WaMJYY4KeNsHmwH6G2Hmx8H9a74",
    "nonce": "2704b5e4eb5de74c3ff7956c53ae1dc9596a89545fe581755bee82995f7a83a2",
    "type": "VERIFY",
    "data": "01005666dd8098f6f825c2b7",
}
M400 = {"type": "mip", "version": "1.0.0", "cmd": "400", "request": "presentation", "trxcode": TRX, "vp": VP}
M900 = {"type": "mip", "version": "1.0.0", "cmd": "900", "trxcode": TRX, "errcode": 20901, "errmsg": "x"}
M120 = {
    "type": "mip",
    "version": "1.0.0",
    "cmd": "120",
    "trxcode": TRX,
    "mode": "proxy",
    "host": "wss://a.example:9090",
}

READ: dict[str, tuple[dict[str, Any], Any]] = {
    "120": (M120, messages.read_preparation),
    "310": (M310, lambda message: messages.read_wanted(message, "310")),
    "320": (M320, lambda message: messages.read_wanted(message, "320")),
    "400": (M400, messages.read_submission),
    "900": (M900, messages.read_failure),
}


def read(cmd: str, /, **changes: Any) -> Any:
    """A good message with some members changed (None leaves one out), read."""
    message, reader = READ[cmd]
    return reader({name: value for name, value in {**message, **changes}.items() if value is not None})


def code_of(cmd: str, /, **changes: Any) -> int:
    with pytest.raises(MessageRefused) as refused:
        read(cmd, **changes)
    return refused.value.code


def code_of_vp(**changes: Any) -> int:
    vp = {name: value for name, value in {**VP, **changes}.items() if value is not None}
    return code_of("400", vp=vp)


def body(message: Any) -> bytes:
    return json.dumps({"data": messages.encode(message)}).encode()


# -- the envelope ----------------------------------------------------------------------------------------------------


def test_a_message_travels_as_base64url_without_padding() -> None:
    travelled = messages.encode({"name": "홍길동>>???"})
    assert not set(travelled) & set("+/=")
    assert messages.decode(travelled, max_bytes=100) == {"name": "홍길동>>???"}


@pytest.mark.parametrize("padding", ["", "=", "=="])
def test_padding_is_taken_as_it_comes(padding: str) -> None:
    assert messages.decode(messages.encode(M310) + padding, max_bytes=4096) == M310


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, errors.NOT_BASE64),
        (7, errors.NOT_BASE64),
        ("a+/b", errors.NOT_BASE64),
        ("가나다", errors.NOT_BASE64),
        ("eyJ9===", errors.NOT_BASE64),
        ("A", errors.NOT_BASE64),
        ("x" * 10_000, errors.NOT_BASE64),
        (base64.urlsafe_b64encode(b"not json").decode(), errors.UNEXPECTED_FORMAT),
        (base64.urlsafe_b64encode(b"[1]").decode(), errors.UNEXPECTED_FORMAT),
        (base64.urlsafe_b64encode(b'{"a":1,"a":2}').decode(), errors.UNEXPECTED_FORMAT),
        (base64.urlsafe_b64encode(b'{"a":NaN}').decode(), errors.UNEXPECTED_FORMAT),
        (base64.urlsafe_b64encode(b"\xff\xfe").decode(), errors.UNEXPECTED_FORMAT),
        (base64.urlsafe_b64encode(b'{"a":' * 9 + b"1" + b"}" * 9).decode(), errors.UNEXPECTED_FORMAT),
    ],
)
def test_what_is_no_message_is_refused(data: object, code: int) -> None:
    with pytest.raises(MessageRefused) as refused:
        messages.decode(data, max_bytes=4096)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", errors.UNEXPECTED_FORMAT),
        (b"data=eyJ9", errors.UNEXPECTED_FORMAT),
        (b"[]", errors.UNEXPECTED_FORMAT),
        (b"{}", errors.MISSING_ITEM),
        (b'{"data":null}', errors.NOT_BASE64),
        (b'{"data":{"type":"mip"}}', errors.NOT_BASE64),
        (b'{"data":"' + b"e" * 20_000 + b'"}', errors.UNEXPECTED_FORMAT),
    ],
)
def test_a_body_without_a_message_is_refused(content: bytes, code: int) -> None:
    with pytest.raises(MessageRefused) as refused:
        messages.opened(content, max_bytes=4096)
    assert refused.value.code == code


def test_a_body_with_a_message_is_opened() -> None:
    assert messages.opened(body(M310), max_bytes=4096) == M310


def test_a_refusal_is_an_m900_in_an_envelope() -> None:
    envelope = messages.refused(errors.MISSING_ITEM, TRX)
    assert envelope["result"] is False
    assert messages.decode(envelope["data"], max_bytes=4096) == {
        "type": "mip",
        "version": messages.VERSION,
        "cmd": "900",
        "trxcode": TRX,
        "errcode": 10002,
        "errmsg": "missing mandatory item",
    }


def test_a_refusal_of_nothing_names_no_transaction() -> None:
    assert "trxcode" not in messages.decode(messages.refused(10001, None)["data"], max_bytes=4096)


def test_an_answer_without_content_has_no_data() -> None:
    assert messages.taken() == {"result": True}
    assert messages.taken("abc") == {"result": True, "data": "abc"}


# -- every message ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cmd", READ)
def test_a_good_message_is_read(cmd: str) -> None:
    found = read(cmd)
    assert found.trxcode == TRX


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_both_versions_are_read(version: str) -> None:
    assert read("310", version=version).trxcode == TRX


@pytest.mark.parametrize("cmd", READ)
@pytest.mark.parametrize("name", ["type", "version", "cmd", "trxcode"])
@pytest.mark.parametrize("missing", [None, "", [], {}])
def test_a_missing_mandatory_item_is_10002(cmd: str, name: str, missing: Any) -> None:
    assert code_of(cmd, **{name: missing}) == errors.MISSING_ITEM


@pytest.mark.parametrize(
    ("cmd", "name"),
    [
        ("120", "mode"),
        ("120", "host"),
        ("310", "request"),
        ("320", "request"),
        ("400", "request"),
        ("400", "vp"),
        ("900", "errcode"),
    ],
)
def test_what_a_message_of_its_kind_must_have_is_10002(cmd: str, name: str) -> None:
    assert code_of(cmd, **{name: None}) == errors.MISSING_ITEM


@pytest.mark.parametrize("cmd", READ)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": "MIP"}, errors.INVALID_TYPE),
        ({"type": 1}, errors.INVALID_TYPE),
        ({"version": "2.0.0"}, errors.UNSUPPORTED_VERSION),
        ({"version": ["1.0.0"]}, errors.UNSUPPORTED_VERSION),
        ({"version": 1}, errors.UNSUPPORTED_VERSION),
        ({"cmd": "999"}, errors.INVALID_CMD),
        ({"cmd": 310}, errors.INVALID_CMD),
        ({"trxcode": 12}, errors.TRXCODE_NOT_FOUND),
        ({"trxcode": "../../x"}, errors.TRXCODE_NOT_FOUND),
        ({"trxcode": "1" * 51}, errors.TRXCODE_NOT_FOUND),
    ],
)
def test_a_wrong_header_has_its_code(cmd: str, changes: dict[str, Any], code: int) -> None:
    assert code_of(cmd, **changes) == code


@pytest.mark.parametrize(
    ("cmd", "request_"), [("310", "image"), ("320", "profile"), ("400", "vp"), ("310", 1)]
)
def test_another_request_than_the_message_makes_is_10100(cmd: str, request_: Any) -> None:
    assert code_of(cmd, request=request_) == errors.INVALID_DATA


def test_members_that_are_not_known_are_left_alone() -> None:
    assert read("310", appVersion="9.9", packageName=True).trxcode == TRX


def test_a_code_for_another_way_than_a_relay_is_refused() -> None:
    assert code_of("120", mode="direct") == errors.INVALID_DATA
    assert code_of("120", host=["wss://a"]) == errors.INVALID_DATA


# -- M400 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VP)
def test_a_member_that_a_presentation_lacks_is_10002(name: str) -> None:
    assert code_of_vp(**{name: None}) == errors.MISSING_ITEM


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"presentType": 0}, errors.UNSUPPORTED_PRESENT_TYPE),
        ({"presentType": 2, "zkpNonce": "x"}, errors.UNSUPPORTED_PRESENT_TYPE),
        ({"presentType": True}, errors.UNSUPPORTED_PRESENT_TYPE),
        ({"presentType": "1"}, errors.UNSUPPORTED_PRESENT_TYPE),
        ({"encryptType": 0}, errors.UNSUPPORTED_ENCRYPT_TYPE),
        ({"encryptType": 3}, errors.UNSUPPORTED_ENCRYPT_TYPE),
        ({"encryptType": "2"}, errors.UNSUPPORTED_ENCRYPT_TYPE),
        ({"keyType": 9}, errors.UNSUPPORTED_KEY_TYPE),
        ({"keyType": 1.5}, errors.UNSUPPORTED_KEY_TYPE),
        ({"type": "SIGN"}, errors.UNSUPPORTED_VP_TYPE),
        ({"authType": ["iris"]}, errors.UNSUPPORTED_AUTH_TYPE),
        ({"authType": [1]}, errors.UNSUPPORTED_AUTH_TYPE),
        ({"authType": "pin"}, errors.INVALID_DATA),
        ({"authType": ["pin"] * 4}, errors.INVALID_DATA),
        ({"did": "somebody"}, errors.INVALID_DATA),
        ({"did": 5}, errors.INVALID_DATA),
        ({"nonce": "short"}, errors.INVALID_DATA),
        ({"nonce": "n" * 300}, errors.INVALID_DATA),
        ({"data": "xyz"}, errors.INVALID_DATA),
        ({"data": "abc"}, errors.INVALID_DATA),
        ({"data": {"a": 1}}, errors.INVALID_DATA),
    ],
)
def test_a_presentation_of_another_shape_has_its_code(changes: dict[str, Any], code: int) -> None:
    assert code_of_vp(**changes) == code


def test_a_presentation_that_is_no_object_is_10100() -> None:
    assert code_of("400", vp="eyJ9") == errors.INVALID_DATA


def test_how_it_was_unlocked_is_read_in_any_case_of_letters() -> None:
    assert messages.read_vp({**VP, "authType": ["PIN", "Face"]}).auth_types == ("pin", "face")


def test_no_log_line_shows_what_is_presented() -> None:
    shown = repr(read("400"))
    assert VP["data"] not in shown
    assert "did:omn" not in shown


# -- M900 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "code"), [(20901, 20901), ("20901", 20901), (0, 0), (99999, 99999)])
def test_an_error_is_read_as_a_number_or_as_text(given: Any, code: int) -> None:
    assert read("900", errcode=given).code == code


@pytest.mark.parametrize("given", ["", "x", "-1", -1, True, 1.5, 10**9, "1" * 10, [1]])
def test_an_error_without_a_code_is_refused(given: Any) -> None:
    assert code_of("900", errcode=given) in {errors.INVALID_DATA, errors.MISSING_ITEM}


def test_an_error_without_a_text_is_read() -> None:
    assert read("900", errmsg=None).text == ""
    assert len(read("900", errmsg="x" * 5000).text) == 200


# -- what we say -----------------------------------------------------------------------------------------------------


def test_a_request_says_where_to_go_and_carries_no_profile() -> None:
    said = messages.m200(TRX, "https://sinwon.example", interface="QR-MPM", ci=False)
    assert said == {
        "type": "mip",
        "version": "1.1.0",
        "cmd": "200",
        "trxcode": TRX,
        "ifType": "QR-MPM",
        "mode": "direct",
        "ci": False,
        "telno": False,
        "packageName": False,
        "image": "link",
        "host": "https://sinwon.example",
    }


def test_the_answer_to_a_request_for_a_profile_has_what_the_app_reads() -> None:
    said = messages.m310(TRX, "abc")
    assert (said["trxcode"], said["profile"]) == (TRX, "abc")
    assert "profile" not in messages.m310(TRX)
