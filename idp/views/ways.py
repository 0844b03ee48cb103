"""The ways on the sign-in page: in which order they stand, and the way out of an app's own browser.

Every way is on every page. What a browser says of itself only orders them, as far as the style sheet, which knows
pointer and width, does not order them otherwise. Nothing here decides whether somebody may sign in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlsplit

from babel import Locale
from werkzeug.datastructures import Headers

from idp.presentation.wallets import WalletProfile

_MAX_AGENT = 512


@dataclass(frozen=True)
class App:
    """An app that shows web pages in a browser of its own. `token` is what its `User-Agent` has.

    `leaves`: by which address it opens another browser; "intent" is Android's way for all that know no better.
    """

    name: str
    token: str
    leaves: Literal["kakaotalk", "line", "intent"] = "intent"


APPS: Final = (
    App("KakaoTalk", "KAKAOTALK", "kakaotalk"),
    App("NAVER", "NAVER("),
    App("LINE", " Line/", "line"),
    App("Facebook", "FBAN/"),
    App("Facebook", "FBAV/"),
    App("Facebook", "FB_IAB/"),
    App("Instagram", "Instagram "),
    App("WeChat", "MicroMessenger/"),
    App("Zalo", "Zalo "),
)
"""Wallets often cannot bring a holder back into one of these: the phone gives the address to its default browser."""


@dataclass(frozen=True)
class InApp:
    """This browser is an app's own. `link` opens `address` in another one, where that can be done by a link."""

    app: str
    address: str | None
    link: str | None


def in_app(agent: str, front_door: str | None) -> InApp | None:
    """Whether this browser is an app's own, and the way out of it; `agent` is its `User-Agent`.

    Out there the sign-in begins anew at the portal, at its `front_door` (None: the portal has named none). A login is
    bound to the browser that began it, and so is the portal's own half of it (`state`, the PKCE verifier): neither
    this page's address nor the authorization request would be of any use in another browser.
    """
    agent = agent[:_MAX_AGENT]
    app = next((app for app in APPS if app.token in agent), None)
    if app is None:
        return None
    return InApp(app.name, front_door, _link(app, agent, front_door) if front_door else None)


def _link(app: App, agent: str, address: str) -> str | None:
    if app.leaves == "kakaotalk":
        return f"kakaotalk://web/openExternal?url={quote(address, safe='')}"
    if app.leaves == "line":
        return f"{address}{'&' if '?' in address else '?'}openExternalBrowser=1"
    if "Android" not in agent:
        return None  # iOS knows no such link
    parts = urlsplit(address)
    place = parts._replace(scheme="", fragment="").geturl()
    back = quote(address, safe="")
    return f"intent:{place}#Intent;scheme={parts.scheme};S.browser_fallback_url={back};end"


def is_hand_held(headers: Headers) -> bool:
    """Whether the browser says that it runs on a phone or a tablet: there the wallet is most likely, too."""
    if hint := headers.get("Sec-CH-UA-Mobile"):
        return hint == "?1"
    agent = headers.get("User-Agent", "")[:_MAX_AGENT]
    return any(token in agent for token in ("Android", "iPhone", "iPad", "Mobile"))


def in_changing_order(login_id: str, wallets: Iterable[WalletProfile]) -> list[WalletProfile]:
    """No wallet stands first for everybody; within one login the order stays, so that nothing moves at a reload."""
    return sorted(wallets, key=lambda one: hashlib.sha256(f"{login_id} {one.id}".encode()).digest())


def country(code: str, lang: str) -> str:
    """The name of a country (ISO 3166-1 alpha-2) in one of our languages; the code where nobody knows a name."""
    return str(Locale.parse(lang, sep="-").territories.get(code, code))
