"""What is told about a redirect URI that is not the registered one."""

from __future__ import annotations

from typing import Any

import pytest

from idp import portals
from idp.portals.redirects import cuts, tried
from tests.test_versions import document

KNOWN = "https://rp.example:8443/a/Callback?x=1"


def registration(*uris: str, **changes: Any) -> portals.Registration:
    return portals.parse(document(redirect_uris=list(uris) or [KNOWN], **changes))


def test_what_a_request_may_name_matches() -> None:
    assert tried(registration(), KNOWN).matches
    assert tried(registration("http://127.0.0.1/cb"), "http://127.0.0.1:8080/cb").matches


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("http://rp.example:8443/a/Callback?x=1", ("scheme",)),
        ("https://rp.example.org:8443/a/Callback?x=1", ("host",)),
        ("https://rp.example/a/Callback?x=1", ("port",)),
        ("https://rp.example:8443/a/Callback/?x=1", ("trailing slash",)),
        ("https://rp.example:8443/a/callback?x=1", ("case",)),
        ("https://rp.example:8443/a/%43allback?x=1", ("percent-encoding",)),
        ("https://rp.example:8443/a/Other?x=1", ("path",)),
        ("https://rp.example:8443/a/callback/?x=1", ("trailing slash", "case")),
        ("https://rp.example:8443/A/%63allback?x=1", ("percent-encoding", "case")),
        ("https://rp.example:8443/a/Callback", ("query",)),
        ("https://rp.example:8443/a/Callback?x=1#f", ("fragment",)),
        ("https://rp.example:8443/a/Callback?x=1#", ("spelling",)),
        ("https://RP.example:8443/a/Callback?x=1", ("spelling",)),
        ("http://other.example/", ("scheme", "host", "path", "query")),
    ],
)
def test_every_difference_has_a_name(uri: str, parts: tuple[str, ...]) -> None:
    result = tried(registration(), uri)
    assert not result.matches
    assert result.nearest == KNOWN
    assert result.parts == parts


def test_the_nearest_one_is_of_the_same_host() -> None:
    uris = ("https://one.example/callback", "https://two.example/elsewhere")
    made = registration(*uris, sector_identifier="one.example")
    assert tried(made, "https://two.example/callback").nearest == uris[1]
    assert tried(made, "https://one.example/callback/").nearest == uris[0]


@pytest.mark.parametrize("uri", ["", "x", "https://[", "\0", "한글", "x" * 4096])
def test_anything_may_be_tried(uri: str) -> None:
    result = tried(registration(), uri)
    assert not result.matches
    assert result.tried_cut is not None
    assert "".join(result.tried_cut) == uri


def test_a_portal_without_addresses_has_no_nearest_one() -> None:
    device = "urn:ietf:params:oauth:grant-type:device_code"
    made = portals.parse(document(redirect_uris=None, grant_types=[device]))
    assert tried(made, "https://rp.example/").nearest is None


def test_two_texts_are_cut_where_they_differ() -> None:
    assert [tuple(cut) for cut in cuts("abXc", "abc")] == [("ab", "X", "c"), ("ab", "", "c")]
