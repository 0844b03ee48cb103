"""Client metadata and a registration are the same thing in two spellings; a logo is a picture and nothing else."""

import struct
import zlib
from typing import Any

import pytest

from idp.claims import CLAIMS, SCOPES
from idp.oidc.registration import RegistrationRefused, metadata
from idp.oidc.registration.logo import MAX_BYTES, MAX_SIDE, LogoRefused
from idp.oidc.registration.logo import png as remade
from idp.oidc.registration.metadata import NO_PURPOSE, NO_RETENTION, Terms
from idp.portals import Registration
from tests.registering import REDIRECT_URI, chunk, png

TERMS = Terms("standard", ("openid", "profile"), require_pkce=True)
FAPI2 = Terms("fapi2", ("openid", "profile"), require_pkce=False)
JWKS = {"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]}


def read(terms: Terms = TERMS, /, **members: Any) -> Registration:
    given = {"redirect_uris": [REDIRECT_URI], **members}
    document = metadata.read("client", given, terms)
    if str(document["token_endpoint_auth_method"]).startswith("client_secret"):
        document["client_secret_sha256"] = ("0" * 64,)
    return metadata.parse(document)


# -- defaults ---------------------------------------------------------------------------------------------------


def test_what_is_left_out_is_at_the_specifications_default() -> None:
    registered = read()
    assert registered.grant_types == ("authorization_code",)
    assert registered.token_endpoint_auth_method == "client_secret_basic"
    assert registered.id_token_signed_response_alg == "RS256"
    assert registered.userinfo_signed_response_alg is None
    assert registered.scopes == ("openid", "profile")
    assert registered.require_pkce


def test_a_portal_without_a_name_goes_by_its_host() -> None:
    registered = read()
    assert registered.name == registered.operator == {"ko": "portal.example", "en": "portal.example"}


def test_a_holder_reads_what_the_portal_did_not_say() -> None:
    registered = read()
    assert registered.retention == NO_RETENTION
    assert {claim.name for claim in registered.claims} == set(SCOPES["profile"])
    assert all(claim.purpose == NO_PURPOSE for claim in registered.claims)
    assert not any(claim.required for claim in registered.claims)


def test_null_counts_as_left_out() -> None:
    assert read(client_name=None, scope=None, logo_uri=None) == read()


def test_fapi2_has_its_own_defaults() -> None:
    registered = read(FAPI2, jwks=JWKS)
    assert registered.token_endpoint_auth_method == "private_key_jwt"
    assert registered.dpop_bound_access_tokens
    assert registered.require_pushed_authorization_requests
    assert registered.require_pkce
    assert not registered.cross_device
    assert registered.id_token_signed_response_alg == "ES256"


def test_fapi2_over_tls_needs_no_dpop() -> None:
    registered = read(
        FAPI2,
        token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_san_dns="portal.example",
        tls_client_certificate_bound_access_tokens=True,
    )
    assert not registered.dpop_bound_access_tokens


def test_the_stricter_profile_may_be_asked_for() -> None:
    assert read(profile="fapi2", jwks=JWKS).is_fapi2


def test_a_refresh_token_brings_offline_access_only_where_it_is_on_offer() -> None:
    terms = Terms("standard", ("openid", "offline_access"), require_pkce=True)
    assert read(terms).scopes == ("openid",)
    with_refresh = read(terms, grant_types=["authorization_code", "refresh_token"])
    assert with_refresh.scopes == ("openid", "offline_access")


def test_the_implicit_flow_is_left_out_of_fapi2_where_others_may_have_it() -> None:
    terms = Terms("standard", ("openid",), require_pkce=True, implicit=True)
    asked = {"grant_types": ["authorization_code", "implicit"], "response_types": ["code", "id_token"]}
    assert read(terms, **asked).response_types == ("code", "id_token")
    strict = read(terms, profile="fapi2", jwks=JWKS, **asked)
    assert (strict.grant_types, strict.response_types) == (("authorization_code",), ("code",))


def test_a_portal_may_be_stricter_than_the_deployment_and_not_laxer() -> None:
    lax = Terms("standard", ("openid",), require_pkce=False)
    assert not read(lax).require_pkce
    assert read(lax, require_pkce=True).require_pkce
    assert read(lax, token_endpoint_auth_method="none").require_pkce
    assert read(require_pkce=False).require_pkce


def test_an_encryption_without_encoding_has_the_specifications() -> None:
    registered = read(jwks=JWKS, id_token_encrypted_response_alg="ECDH-ES")
    assert registered.id_token_encrypted_response_enc == "A128CBC-HS256"


# -- texts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"client_name": "A"}, {"ko": "A", "en": "A"}),
        ({"client_name": "A", "client_name#ko": "가"}, {"ko": "가", "en": "A"}),
        ({"client_name#ko-Hang-KR": "가", "client_name#en": "A"}, {"ko": "가", "en": "A"}),
        ({"client_name#ko": "가"}, {"ko": "가", "en": "가"}),
        ({"client_name": "A", "client_name#fr": "Á"}, {"ko": "A", "en": "A"}),
        ({"client_name#ja": "あ"}, {"ko": "あ", "en": "あ"}),
        ({"client_name": {"ko": "가", "en": "A"}}, {"ko": "가", "en": "A"}),
    ],
)
def test_a_name_in_any_languages_becomes_the_two_of_the_pages(
    members: dict[str, Any], name: dict[str, str]
) -> None:
    assert read(**members).name == name


def test_a_link_with_a_language_tag_stands_for_the_untagged_one() -> None:
    assert read(**{"policy_uri#ko": "https://p.example/ko"}).policy_uri == "https://p.example/ko"


@pytest.mark.parametrize("text", ["", " ", "a\nb", "a\u202eb", "x" * 101, 7, ["a"]])
def test_a_name_that_could_not_be_shown_is_refused(text: object) -> None:
    with pytest.raises(RegistrationRefused) as refused:
        read(client_name=text)
    assert refused.value.error == "invalid_client_metadata"
    assert "client_name" in refused.value.description


# -- the sector -----------------------------------------------------------------------------------------------


def test_the_sector_is_the_host() -> None:
    assert read().sector == "portal.example"


@pytest.mark.parametrize("uris", [["http://127.0.0.1/cb"], ["http://localhost/cb", "http://[::1]/cb"]])
def test_a_loopback_host_is_nobodys_sector(uris: list[str]) -> None:
    assert read(redirect_uris=uris).sector == "client"


def test_several_hosts_without_a_document_that_names_them_make_a_sector_of_its_own() -> None:
    assert read(redirect_uris=["https://portal.example/cb", "https://other.example/cb"]).sector == "client"


def test_a_device_has_a_sector_of_its_own() -> None:
    registered = read(redirect_uris=[], grant_types=["urn:ietf:params:oauth:grant-type:device_code"])
    assert registered.sector == "client"


# -- there and back ---------------------------------------------------------------------------------------------


def test_what_is_written_can_be_read_again() -> None:
    registered = read(
        FAPI2,
        **{"client_name": "A", "client_name#ko": "가", "jwks": JWKS, "contacts": ["a@example.org"]},
        post_logout_redirect_uris=["https://portal.example/"],
        requested_claims=[
            {
                "name": "name",
                "purpose": {"ko": "확인", "en": "To check"},
                "required": True,
                "retention": {"ko": "하루", "en": "a day"},
            }
        ],
        default_max_age=60,
        require_auth_time=True,
        software_id="s",
        backchannel_logout_uri="https://portal.example/out",
        logo_uri="https://portal.example/logo.png",
    )
    written = metadata.write(registered)
    assert metadata.parse(metadata.read("client", written, FAPI2)) == registered


def test_no_member_of_a_registration_is_forgotten() -> None:
    said = {*metadata.SAME_NAME, *metadata.LINKS, *metadata.OPERATORS_OWN, *metadata.write(read())}
    renamed = {"name", "scopes", "claims", "sector_identifier", "client_secret_sha256", "cross_device"}
    assert set(Registration.__struct_fields__) - said == renamed


# -- what may be asked for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(CLAIMS) - set(SCOPES["profile"])))
def test_a_claim_outside_the_scopes_is_refused(name: str) -> None:
    with pytest.raises(RegistrationRefused, match=r"requested_claims\[0\]"):
        read(requested_claims=[{"name": name}])


@pytest.mark.parametrize(
    "claim", [{"basis": "statute", "statute": {"ko": "법", "en": "Act"}}, {"statute": {"ko": "법"}}]
)
def test_a_portal_does_not_name_a_statute_for_itself(claim: dict[str, Any]) -> None:
    with pytest.raises(RegistrationRefused, match="basis"):
        read(requested_claims=[{"name": "name", **claim}])


@pytest.mark.parametrize("member", metadata.OPERATORS_OWN)
def test_what_only_an_operator_sets_is_ignored(member: str) -> None:
    values = {"required_acr": "secure", "access_token_format": "jwt", "single_sign_on": False}
    assert read(**{member: values.get(member, ["https://api.example/"])}) == read()


# -- logos --------------------------------------------------------------------------------------------------------


def rows(picture: bytes) -> bytes:
    """The unpacked pixels of a PNG that has one IDAT."""
    place = picture.index(b"IDAT")
    length = int.from_bytes(picture[place - 4 : place], "big")
    return zlib.decompress(picture[place + 4 : place + 4 + length])


@pytest.mark.parametrize(
    ("colour", "depth"), [(0, 1), (0, 8), (0, 16), (2, 8), (2, 16), (4, 8), (6, 8), (6, 16)]
)
def test_a_png_of_every_kind_keeps_its_pixels(colour: int, depth: int) -> None:
    picture = png(5, 3, depth, colour)
    assert rows(remade(picture)) == rows(picture)
    assert remade(remade(picture)) == remade(picture)


def test_a_palette_and_its_transparency_are_kept() -> None:
    palette, transparency = chunk(b"PLTE", bytes(12)), chunk(b"tRNS", b"\x00")
    made = remade(png(4, 1, 2, 3, 0, palette, transparency))
    assert palette + transparency in made


def test_an_interlaced_png_has_the_rows_of_its_seven_passes() -> None:
    width, height = 9, 9
    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    raw = b""
    for left, top, across, down in passes:
        columns, lines = len(range(left, width, across)), len(range(top, height, down))
        raw += (b"\x00" + bytes(columns)) * lines if columns else b""
    assert rows(remade(png(width, height, 8, 0, 1, raw=raw))) == raw
    with pytest.raises(LogoRefused):
        remade(png(width, height, 8, 0, 1, raw=raw + b"\x00"))


@pytest.mark.parametrize("kind", [b"tEXt", b"eXIf", b"iCCP", b"acTL", b"zTXt", b"puNK"])
def test_nothing_but_the_picture_is_carried_over(kind: bytes) -> None:
    secret = b"GPS 37.5665 126.9780"
    made = remade(png(3, 2, 8, 2, 0, chunk(kind, secret)) + secret)
    assert secret not in made
    assert kind not in made
    assert made == remade(png())


HEADER = struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (b"", "PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PNG"),
        (b"GIF89a", "PNG"),
        (b"\xff\xd8\xff\xe0JFIF", "JPEG"),
        (png() + b"\x00" * MAX_BYTES, "bytes"),
        (png()[:-12], "well-formed"),
        (png()[:40], "well-formed"),
        (png().replace(b"IDAT", b"IDAX"), "well-formed"),
        (png(raw=b"\x00"), "well-formed"),
        (png(raw=b"\x00" * 1000), "well-formed"),
        (png(raw=b"\x05" + bytes(9) + b"\x00" + bytes(9)), "well-formed"),
        (png(3, 2, 8, 2, 0, chunk(b"FOOO", b"")), "well-formed"),
        (png(3, 2, 8, 2, 0, chunk(b"IHDR", HEADER)), "well-formed"),
        (png(3, 2, 8, 3), "well-formed"),
        (png(3, 2, 8, 3, 0, chunk(b"PLTE", bytes(4))), "well-formed"),
        (png(3, 2, 8, 2, 0, chunk(b"tRNS", bytes(5))), "well-formed"),
        (png(3, 2, 8, 2, 0, chunk(b"tRNS", bytes(6)), chunk(b"tRNS", bytes(6))), "well-formed"),
        (png(3, 2, 4, 2), "well-formed"),
        (png(3, 2, 8, 2, 2), "well-formed"),
        (png(MAX_SIDE + 1, 1, 1, 0), "pixels"),
        (png(0, 1, 8, 2), "pixels"),
        (png(MAX_SIDE, MAX_SIDE + 1, 1, 0), "pixels"),
        (png()[:8] + chunk(b"tEXt", b"") + png()[8:], "well-formed"),
    ],
)
def test_what_is_no_picture_of_ours_is_refused(picture: bytes, said: str) -> None:
    with pytest.raises(LogoRefused, match=said):
        remade(picture)


def test_a_bomb_is_not_unpacked() -> None:
    packed = zlib.compress(b"\x00" * 50_000_000, 9)
    header = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert len(bomb) < MAX_BYTES
    with pytest.raises(LogoRefused):
        remade(bomb)
