"""Every card, in every format, at every portal that takes it, on one device and on two: what `idp demo --check` walks.

Which they are is read from the seed files, so a portal that lists a card which cannot answer it fails the tour.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from idp.demo import check
from idp.demo.personas import PERSONAS, Behaviour, Persona, Status
from idp.demo.seeds import Prepared
from idp.demo.wallet import cards_of

_AT_ONCE = 4
LINK, QR, COUNTER = "on one device", "by QR code", "at the counter"
# The formats of each protocol's wallet. That of OpenID4VP holds several cards and has to be told which to show.
_SPEAKS = {"openid4vp": ("dc+sd-jwt", "mso_mdoc"), "opendid": ("opendid",), "mip": ("mip",)}


@dataclass(frozen=True)
class Stop:
    """One sign-in of the tour, in the words of the seed files."""

    portal: str
    card: str
    format: str
    way: str
    wallet: str

    @property
    def choice(self) -> dict[str, str]:
        """What to choose on the way."""
        named = {"card": self.card, "format": self.format} if self.format in _SPEAKS["openid4vp"] else {}
        return {**named, "wallet": self.wallet}


def stops(prepared: Prepared) -> Iterator[Stop]:
    """The whole tour, in the order of the seed files."""
    wallets = {
        format: wallet["id"]
        for wallet in prepared.wallets(prepared.wallet_link)
        for format in _SPEAKS.get(wallet.get("protocol", "openid4vp"), ())
    }
    formats = {
        kind["id"]: [format for format in kind["formats"] if format in wallets]
        for kind in prepared.trust()["credential_type"]
    }
    for portal in prepared.portals():
        for card in portal["credential_types"]:
            for format in formats[card]:
                for way in _ways(portal, format):
                    yield Stop(portal["client_id"], card, format, way, wallets[format])


def walk_all(prepared: Prepared) -> Iterator[str]:
    """Walk the whole tour; a line for each stop, in its order. Raises check.StepFailed at the first that fails."""
    tour = list(stops(prepared))
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        # A counter asks every five seconds: its visitors come first, and the others are served meanwhile.
        begun = {stop: pool.submit(walk, prepared, stop) for stop in sorted(tour, key=_has_time)}
        yield from (begun[stop].result() for stop in tour)
    finally:
        pool.shutdown(cancel_futures=True)


def walk(prepared: Prepared, stop: Stop) -> str:
    """Sign in there; what was done, in one line. Raises check.StepFailed, whose step says where on the tour."""
    where = f"{stop.portal}: {stop.card} as {stop.format}, {stop.way}"
    try:
        claims = ", ".join(_shown_at(prepared, stop).claims)
    except check.StepFailed as failure:
        raise check.StepFailed(where, str(failure), failure.error_code) from failure
    return f"{where}: signed in; the portal shows {claims}"


def _shown_at(prepared: Prepared, stop: Stop) -> check.SignInResult:
    holder = holder_of(stop.card)
    address = f"{prepared.portals_url}/{stop.portal}/"
    if stop.format == "mip":
        shown = check.sign_in_with_mobile_id(address, holder.id, scan=stop.way == QR, wallet=stop.wallet)
    else:
        begin = {LINK: check.sign_in, QR: check.sign_in_across_devices, COUNTER: check.visit_counter}[
            stop.way
        ]
        shown = begin(address, holder.id, **stop.choice)
    if shown.claims.get("name") != holder.name:
        raise check.StepFailed("portal's result", "somebody else is signed in")
    if shown.card != stop.card and stop.way != COUNTER:  # a counter's screen does not say
        raise check.StepFailed("portal's result", "another card was shown")
    return shown


def holder_of(card: str) -> Persona:
    """A persona with this card whose sign-in succeeds everywhere."""
    return next(
        persona
        for persona in PERSONAS
        if card in cards_of(persona)
        and (persona.status, persona.behaviour, persona.secure) == (Status.VALID, Behaviour.ANSWERS, True)
    )


def _has_time(stop: Stop) -> bool:
    return stop.way != COUNTER


def _ways(portal: dict[str, Any], format: str) -> tuple[str, ...]:
    """How its holders come: a counter has a code of its own to scan, and a bank wants none (`cross_device`).

    The national app is not offered where another device is not: nothing that it answers says which one it is.
    """
    if not portal.get("redirect_uris"):
        return () if format == "mip" else (COUNTER,)
    if format == "mip" and not portal.get("cross_device"):
        return ()
    return (LINK, QR) if portal.get("cross_device") else (LINK,)
