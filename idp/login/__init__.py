"""The hall: one login, from a portal's question to the moment a code may be issued.

A portal's question goes in (`start`), a wallet's proven answer is laid beside it (`present`), and the browser that
began carries the result out (`finish`). Neighbours on the floor above speak the protocols; none of that is here.

Invariants:
- `Login.id` is public (it is in the QR code). The browser's cookie secret and the `response_code` are not.
- A login is bound to the browser that started it: the login holds the public half of the key in its cookie.
- The first verified presentation wins; later ones change nothing.
- What the wallet showed is sealed to that browser the moment it is verified, and opened only with its cookie.
- A code exists only after a verified presentation and, where one is due, a consent. Taking comes before minting.
- A login survives app-switch, reload, back, a second tab and a change of language. One that was superseded or has
  expired says so, and always offers a way back to the portal.

How an answer reaches the browser depends on the way the wallet was asked (`Ask.via`):
- `link`, the same device: the wallet is told a `response_code` and brings it to this browser (`arrive`).
- `qr`, another device: the phone shows a number that is typed into this browser (`confirm`), decision D1.
  A wallet that cannot be told a `response_code` shows a number on the same device too.
- `dc_api`, through the browser (W3C Digital Credentials API): the answer comes from a page of this login in this
  browser, which has arrived with it (`arrive`).
- A wallet that can bring nothing back, neither a code nor a page nor a number, counts as another device wherever it
  runs. What ties its answer to this browser is what the holder knows: the last four characters of the number by which
  the certificate knows them, typed into this browser (`confirm`).
- `session`: nothing was asked; an earlier presentation still holds (single sign-on).
"""

from idp.login.logins import Logins, channel, csrf_token
from idp.login.records import (
    Answer,
    Ask,
    AuthorizationRequest,
    Finished,
    Login,
    LoginEnded,
    OtherBrowser,
    Passed,
    Problem,
    Proof,
    Standing,
    State,
    StillBeingMade,
    Via,
)

__all__ = [
    "Answer",
    "Ask",
    "AuthorizationRequest",
    "Finished",
    "Login",
    "LoginEnded",
    "Logins",
    "OtherBrowser",
    "Passed",
    "Problem",
    "Proof",
    "Standing",
    "State",
    "StillBeingMade",
    "Via",
    "channel",
    "csrf_token",
]
