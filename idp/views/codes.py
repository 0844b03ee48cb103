"""What the code of a page means to a help desk, and the part of docs/errors.md that says it.

What a holder reads is in `messages`; both come together in `markdown`, in every language. `idp errors` prints it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from idp.views.language import CONSOLE_LANGUAGES
from idp.views.messages import MESSAGES, spoken

BEGIN, END = "<!-- codes: made by `idp errors --into` -->", "<!-- codes: end -->"
_WIDTH = 116


@dataclass(frozen=True)
class Desk:
    """What happened, and what somebody can do about it."""

    happened: str
    to_do: str


CODES: Final[Mapping[str, Desk]] = {
    "SINWON-R001": Desk(
        (
            "The portal's request does not match its registration (redirect URI, logout address, ID token "
            "hint, a repeated parameter)."
        ),
        "The portal's engineer compares request and registration.",
    ),
    "SINWON-R002": Desk(
        "The portal is not registered, or no longer.",
        "The holder opens the service at its own address; the portal's engineer checks `client_id`.",
    ),
    "SINWON-R004": Desk(
        (
            "A sign-out request does not match its portal's registration (address, ID token hint, a "
            "repeated parameter)."
        ),
        "The holder signs out on our page; the portal's engineer compares request and registration.",
    ),
    "SINWON-R005": Desk(
        "A pushed request (RFC 9126) is unknown, too old, or another client's.",
        "Begin again at the portal; its engineer sends the browser on within `expires_in`.",
    ),
    "SINWON-R006": Desk(
        "A pushed request whose sign-in is over was opened again.",
        "Begin again at the portal.",
    ),
    "SINWON-L001": Desk(
        "No such sign-in here: over long ago, or cookies are blocked.",
        "Begin again at the portal, allow cookies.",
    ),
    "SINWON-L002": Desk(
        "This sign-in was finished or cancelled before.",
        "Begin again if not signed in.",
    ),
    "SINWON-L003": Desk(
        "The time ran out.",
        "Begin again; “More time” on the page extends it.",
    ),
    "SINWON-L004": Desk(
        (
            "The wallet's answer went to another browser than the one that began, so the sign-in was "
            "stopped. (The other browser gets a page without a code that says where to go)."
        ),
        "Begin again; if the holder began nowhere else, somebody sent a link.",
    ),
    "SINWON-L005": Desk(
        "The wallet answered an older or another request.",
        "Close the request in the wallet, begin again.",
    ),
    "SINWON-L006": Desk(
        (
            "A wrong confirmation number, or wrong last characters of the certificate's number. Said on "
            "the sign-in page itself, without a code."
        ),
        "Type the digits that the phone shows, or the end of the number on the certificate.",
    ),
    "SINWON-L007": Desk(
        "Too many wrong numbers: the sign-in was stopped.",
        "Begin again; if the holder did not scan a code, somebody else's was shown.",
    ),
    "SINWON-L008": Desk(
        "The form was too old, or came from another page.",
        "Open the page again.",
    ),
    "SINWON-L009": Desk(
        "The code of a counter that was typed is not known: mistyped, or over some minutes ago.",
        "Type it again as the counter's screen shows it.",
    ),
    "SINWON-L010": Desk(
        "The code of a counter was confirmed or refused before, perhaps on another phone.",
        (
            "Ask the counter for a new code; if the holder did not confirm, tell the counter: somebody "
            "else read its screen."
        ),
    ),
    "SINWON-L011": Desk(
        "The code of a counter ran out of time (`lifetimes.device_code_ttl_s`).",
        "Ask the counter for a new code.",
    ),
    "SINWON-W001": Desk(
        (
            "The wallet refused the request of a QR code, or one that came through the browser; after the "
            "wallet's link the browser goes straight back to the portal instead."
        ),
        "Try again and approve, or cancel.",
    ),
    "SINWON-W002": Desk(
        (
            "The national app gave up with an error of its own, or a wallet could not answer a QR code or the "
            "browser; the audit's `wallet.refused` says which kind."
        ),
        (
            "Update the app, try again or with another; if it stays, the operator looks for the app's code, in the "
            "audit or, of the national app, in the log."
        ),
    ),
    "SINWON-W003": Desk(
        "The national app holds no certificate that this portal takes.",
        "Add it to the app, or use another wallet.",
    ),
    "SINWON-W004": Desk(
        "At a counter: what was scanned is no code of the national app, or names another relay than ours.",
        "Open the code in the app once more and scan all of it.",
    ),
    "SINWON-W005": Desk(
        (
            "At a counter: the code was read, and the app did not come to the relay in time, or the relay "
            "could not be had."
        ),
        "Check that the phone is online, scan again; the operator looks at the relay.",
    ),
    "SINWON-W006": Desk(
        (
            "While one device was answering a QR code, another network asked for the same request and was refused. "
            "Mostly one phone that went from Wi-Fi to mobile data; otherwise somebody who saw the code."
        ),
        "Scan the new code on the page. If nobody there scanned twice, cancel and begin where nobody sees the screen.",
    ),
    "SINWON-C001": Desk(
        "The answer did not pass verification; the audit's `reason` says which check.",
        "Update the wallet; if it stays, operator and issuer compare the reason.",
    ),
    "SINWON-C002": Desk(
        "The certificate has expired.",
        "Renew it.",
    ),
    "SINWON-C003": Desk(
        "Revoked.",
        "Use the new one, or ask the issuer.",
    ),
    "SINWON-C004": Desk(
        "Suspended.",
        "Ask the issuer.",
    ),
    "SINWON-C005": Desk(
        "The status list could not be had: says nothing about the certificate.",
        "Again in some minutes; the operator looks at the mission's status host.",
    ),
    "SINWON-C006": Desk(
        "The mission does not issue today (not yet, or not any more).",
        "Ask the issuer.",
    ),
    "SINWON-C007": Desk(
        "Not issued under an authority that is known here, or not a type that the portal takes.",
        "Use a certificate named on the page.",
    ),
    "SINWON-C008": Desk(
        "The portal requires `acr` secure.",
        "Turn on face or fingerprint in the wallet.",
    ),
    "SINWON-C009": Desk(
        "Something required was not shown, or is not in the certificate.",
        "Leave the required items ticked.",
    ),
    "SINWON-S001": Desk(
        (
            "Too many sign-ins from one address (of IPv6: one /64) in a minute, or too many wrong codes "
            "of counters in ten."
        ),
        "Wait a minute; the operator may raise `holder.logins_per_minute_per_ip`.",
    ),
    "SINWON-S002": Desk(
        "Database or Store cannot be reached, or no credential type is registered for the portal.",
        "Again in some minutes.",
    ),
    "SINWON-S003": Desk(
        "An error of ours; the log has it with its trace.",
        "Tell the operator the reference.",
    ),
    "SINWON-S004": Desk(
        "No page at this address.",
        "Open the service at its own address.",
    ),
    "SINWON-S005": Desk(
        "A step opened in a way it does not work.",
        "Begin again at the portal.",
    ),
    "SINWON-S006": Desk(
        "More data than a page accepts.",
        "Begin again.",
    ),
}


def keys_of(code: str) -> list[str]:
    """The keys of `messages.MESSAGES` that have this code."""
    return [key for key, message in MESSAGES.items() if message.code == code]


def explained(code: str) -> str:
    """One code in Markdown, under a heading that a page can link to. Raises KeyError: no such code."""
    desk = CODES[code]
    [key] = keys_of(code)
    items = [f"**To do**: {desk.to_do}"]
    for lang in CONSOLE_LANGUAGES:
        said = spoken(key, lang)
        items.append(f"**{lang}**: {said.title}. {said.message} {said.advice}")
    return "\n\n".join((f"### `{code}`", _wrapped(desk.happened), "\n".join(map(_item, items))))


def markdown(codes: Iterable[str] = CODES) -> str:
    """All of these codes."""
    return "\n\n".join(map(explained, codes)) + "\n"


def put_into(page: str) -> str:
    """The page with its part about codes made anew. Raises ValueError: it has no such part."""
    made, found = re.subn(
        f"{re.escape(BEGIN)}\n.*?{re.escape(END)}",
        lambda _: f"{BEGIN}\n\n{markdown()}\n{END}",
        page,
        flags=re.DOTALL,
    )
    if found != 1:
        raise ValueError(f"it must have the line {BEGIN} once, and {END} after it")
    return made


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
