"""What a holder reads when a sign-in cannot go on: one sentence of what happened, one of what to do now.

Every reason has a stable code, which the holder can read out to a help desk and which the logs carry too.
R: the request of the portal. L: this sign-in. W: the wallet. C: the certificate. S: the service itself.
A code is never given a second meaning; a reason that goes away takes its code with it.

No message says which check of a certificate failed, except where the holder can do something about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from idp.views.language import translations


@dataclass(frozen=True)
class Message:
    """A page's words. In MESSAGES they are English, and each text is the message id of its translation."""

    code: str
    title: str
    message: str
    advice: str


def N_(text: str) -> str:  # noqa: N802 - the name that gettext's own tools look for
    """Mark a sentence for translation where it stands; the page translates it when it is shown."""
    return text


_START_AGAIN = N_("Go back to the service you came from and sign in again.")
_START_OR_REPORT = N_(
    "Go back to the service you came from and sign in again. "
    "If this happens again, tell the service the code below."
)
_ASK_ISSUER = N_("Ask the authority that issued it, for example your embassy or consulate, what to do.")

MESSAGES: Final[Mapping[str, Message]] = {
    "bad_request": Message(
        "SINWON-R001",
        N_("This request cannot be used"),
        N_("The portal sent a request that does not match its registration."),
        _START_OR_REPORT,
    ),
    "unknown_portal": Message(
        "SINWON-R002",
        N_("This request cannot be used"),
        N_("The service that sent you here is not registered with Sinwon."),
        N_("If you came by a link in a message, do not use it. Open the service at its own address instead."),
    ),
    "bad_logout": Message(
        "SINWON-R004",
        N_("This sign-out request cannot be used"),
        N_(
            "The service asked to sign you out in a way that does not match its registration. Nothing was changed."
        ),
        N_("To sign out of Sinwon, choose “Try again” and confirm there."),
    ),
    "request_expired": Message(
        "SINWON-R005",
        N_("This link is too old"),
        N_("The service prepared this sign-in some time ago, and it was not opened in time."),
        _START_AGAIN,
    ),
    "request_used": Message(
        "SINWON-R006",
        N_("This link was used already"),
        N_("The sign-in that this link began is over. A link works once."),
        _START_AGAIN,
    ),
    "login_unknown": Message(
        "SINWON-L001",
        N_("We cannot find this sign-in"),
        N_("It may be over, it may have been started in another browser, or the browser blocks cookies."),
        N_("Go back to the service you came from and sign in again. Cookies must be allowed for this page."),
    ),
    "login_finished": Message(
        "SINWON-L002",
        N_("This sign-in is already finished"),
        N_("A sign-in works once. This one has been used or cancelled."),
        N_("If you are not signed in, go back to the service you came from and sign in again."),
    ),
    "expired": Message(
        "SINWON-L003",
        N_("This sign-in has expired"),
        N_("For your safety a sign-in stays open only for a limited time. Nothing was given to anyone."),
        N_("Go back and sign in again. If you need longer, use “More time” on the sign-in page."),
    ),
    "other_browser": Message(
        "SINWON-L004",
        N_("Your wallet has opened another browser"),
        N_("Its answer went there and not to this browser, so the sign-in was stopped. Nothing was given."),
        N_("Go back to the service and sign in again, best in the browser that your wallet opens."),
    ),
    "not_this_login": Message(
        "SINWON-L005",
        N_("The answer does not belong to this sign-in"),
        N_("Your wallet answered a different or an older request, so we did not use the answer."),
        N_("Close the request in your wallet, go back to the service you came from and sign in again."),
    ),
    "wrong_number": Message(
        "SINWON-L006",
        N_("That is not the number on your phone"),
        N_("The number you typed differs from the one your phone shows."),
        N_("Look at your phone again and type the four digits exactly as they are shown."),
    ),
    "wrong_number_limit": Message(
        "SINWON-L007",
        N_("The number was wrong too many times"),
        N_("For your safety this sign-in has been stopped. Nothing was given to anyone."),
        _START_AGAIN,
    ),
    "form_expired": Message(
        "SINWON-L008",
        N_("This page is out of date"),
        N_("The form was open for too long or was sent from another page, so nothing was changed."),
        N_("Open the page again and repeat your last step."),
    ),
    "device_unknown": Message(
        "SINWON-L009",
        N_("We do not know this code"),
        N_("A letter may be wrong, or the code is over."),
        N_("Look at the counter’s screen again and type all eight letters as they are shown."),
    ),
    "device_used": Message(
        "SINWON-L010",
        N_("This code is already in use"),
        N_(
            "A code works once, on one phone. This one was confirmed or refused before, perhaps on another phone."
        ),
        N_("If that was not you, tell the counter. In any case ask there for a new code."),
    ),
    "device_expired": Message(
        "SINWON-L011",
        N_("This code has expired"),
        N_("For your safety a code is valid only for a few minutes. Nothing was given to anyone."),
        N_("Ask the counter for a new code."),
    ),
    "wallet_refused": Message(
        "SINWON-W001",
        N_("Your wallet did not show a certificate"),
        N_("The request was refused or cancelled in the wallet. Nothing was given to anyone."),
        N_("If you did not mean to refuse, try again and approve the request in your wallet."),
    ),
    "wallet_failed": Message(
        "SINWON-W002",
        N_("The app could not answer"),
        N_("The app that holds your certificate reported an error. Nothing was given to anyone."),
        N_("Update the app and try again. If this happens again, tell the service the code below."),
    ),
    "no_certificate": Message(
        "SINWON-W003",
        N_("The app holds no certificate that is accepted here"),
        N_("The app has been asked for a certificate that it does not hold."),
        N_("Add the certificate to the app, or use another app that holds one."),
    ),
    "code_not_read": Message(
        "SINWON-W004",
        N_("That is not a code of the app"),
        N_("What was scanned is not a code for signing in, or it was not read completely."),
        N_("Open “My QR” in the app once more and scan the code again."),
    ),
    "relay_failed": Message(
        "SINWON-W005",
        N_("The phone did not answer in time"),
        N_("The code was read, and no answer came from the phone. Nothing was given to anyone."),
        N_("Check that the phone is online, open the code once more and scan it again."),
    ),
    "opened_elsewhere": Message(
        "SINWON-W006",
        N_("Two devices opened this request"),
        N_(
            "A second device tried to open the QR code while the first one was answering it, and was refused. If both "
            "were yours, for example because your phone changed its network, scan the code on this page."
        ),
        N_(
            "Did only you scan the code? Then somebody else sees your screen: cancel, and sign in out of their sight."
        ),
    ),
    "credential_invalid": Message(
        "SINWON-C001",
        N_("Your certificate could not be verified"),
        N_("The answer of your wallet did not pass our checks. This does not mean you did anything wrong."),
        N_("Update your wallet and try again. If this happens again, tell the service the code below."),
    ),
    "credential_expired": Message(
        "SINWON-C002",
        N_("This certificate has expired"),
        N_("Its period of validity is over, so it cannot be used to sign in."),
        N_("Renew the certificate in your wallet or with the authority that issued it, then sign in again."),
    ),
    "revoked": Message(
        "SINWON-C003",
        N_("This certificate is no longer valid"),
        N_("The authority that issued it has withdrawn it, for example because a new one was issued."),
        N_("If you have a new certificate, use that one. Otherwise ask the authority that issued it."),
    ),
    "suspended": Message(
        "SINWON-C004",
        N_("This certificate is suspended"),
        N_("The authority that issued it has stopped its use for now, for example after a reported loss."),
        _ASK_ISSUER,
    ),
    "status_unknown": Message(
        "SINWON-C005",
        N_("We could not check right now whether the certificate is still valid"),
        N_("The issuing authority could not be reached. This says nothing about your certificate."),
        N_("Please try again in a few minutes."),
    ),
    "issuer_not_active": Message(
        "SINWON-C006",
        N_("Certificates of this authority are not accepted yet"),
        N_("The embassy, consulate or authority that issued it does not take part in this service today."),
        N_("Ask the authority that issued it from when its certificates can be used."),
    ),
    "untrusted": Message(
        "SINWON-C007",
        N_("This certificate is not accepted here"),
        N_("It was not issued by an authority that this service knows."),
        N_("Use one of the certificates named on the sign-in page."),
    ),
    "too_weak": Message(
        "SINWON-C008",
        N_("This service needs a stronger confirmation"),
        N_("Your wallet confirmed it was you, but not in the way this service requires."),
        N_("Turn on face or fingerprint besides the PIN in your wallet, then sign in again."),
    ),
    "incomplete": Message(
        "SINWON-C009",
        N_("Required information is missing"),
        N_("Your certificate does not carry, or your wallet did not show, something this service requires."),
        N_(
            "Try again and leave the required items ticked in your wallet. Otherwise ask the service for help."
        ),
    ),
    "too_many": Message(
        "SINWON-S001",
        N_("Too many attempts"),
        N_("There were too many requests in a short time."),
        N_("Wait one minute, then try again."),
    ),
    "unavailable": Message(
        "SINWON-S002",
        N_("Sinwon is not available right now"),
        N_("We cannot complete sign-ins at the moment. Nothing was given to anyone."),
        N_("Please try again in a few minutes."),
    ),
    "internal": Message(
        "SINWON-S003",
        N_("Something went wrong on our side"),
        N_("The step could not be completed. This is not your mistake."),
        _START_OR_REPORT,
    ),
    "not_found": Message(
        "SINWON-S004",
        N_("There is no page at this address"),
        N_("The address is incomplete or the page no longer exists."),
        N_("Open the service you want to use and start signing in there."),
    ),
    "method_not_allowed": Message(
        "SINWON-S005",
        N_("This page cannot be opened this way"),
        N_("It is a step of a sign-in and does not work on its own."),
        _START_AGAIN,
    ),
    "too_large": Message(
        "SINWON-S006",
        N_("Too much data was sent"),
        N_("What was sent is larger than this page accepts, so it was not read."),
        _START_AGAIN,
    ),
}

_SAME_WORDS: Final[Mapping[str, str]] = {
    "already_answered": "login_finished",
    "login_expired": "expired",
    "response_code_wrong": "not_this_login",
    "wallet_could_not": "wallet_failed",
}

_PRESENTATION: Final[Mapping[str, str]] = {
    "expired": "credential_expired",
    "issuer_not_active": "issuer_not_active",
    "issuer_untrusted": "untrusted",
    "type_not_accepted": "untrusted",
    "incomplete": "incomplete",
    "key_binding_audience": "not_this_login",
    "key_binding_nonce": "not_this_login",
    "not_this_login": "not_this_login",
    "status_revoked": "revoked",
    "status_suspended": "suspended",
    "status_unknown": "status_unknown",
    "did_deactivated": "suspended",
    "did_unavailable": "status_unknown",
    **dict.fromkeys(
        (
            "algorithm",
            "claim_invalid",
            "critical_header",
            "device_elements",
            "device_mac",
            "device_signature",
            "digest",
            "did_document",
            "disclosure_collision",
            "disclosure_duplicate",
            "disclosure_forbidden",
            "disclosure_malformed",
            "disclosure_unreferenced",
            "doctype",
            "format_unknown",
            "header_type",
            "holder_key",
            "holder_mismatch",
            "issuer_certificate",
            "issuer_country",
            "issuer_signature",
            "key_agreement",
            "key_binding_hash",
            "key_binding_missing",
            "key_binding_signature",
            "key_binding_time",
            "key_binding_type",
            "malformed",
            "mission_mismatch",
            "not_encrypted",
            "not_readable",
            "not_yet_valid",
            "response_status",
            "status_invalid",
            "status_missing",
            "status_token",
            "too_large",
            "validity",
            "version",
            "verifier_refused",
        ),
        "credential_invalid",
    ),
}
"""What a holder hears of a refused presentation. `expired` and `too_large` mean the certificate there."""


def message_for(reason: str) -> str:
    """The key in MESSAGES for an error that ends in a page. A reason without words is our own fault: `internal`."""
    key = _SAME_WORDS.get(reason, reason)
    return key if key in MESSAGES else "internal"


def problem_for(reason: str) -> str:
    """The key in MESSAGES for what is wrong with a login (`Login.problem`): mostly a refused presentation."""
    return message_for(_PRESENTATION.get(reason, reason))


def spoken(key: str, lang: str) -> Message:
    """The words of one key of MESSAGES in one of LANGUAGES."""
    english, gettext = MESSAGES[key], translations(lang).gettext
    return Message(english.code, gettext(english.title), gettext(english.message), gettext(english.advice))
