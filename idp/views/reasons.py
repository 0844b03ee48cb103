"""Why a portal was refused, in words for its engineer: what happened, what to do, and where that is written.

One catalogue for the console's pages, for the table in `docs/errors.md` and for the tests. Its keys are the `check`
of an `errors.Mismatch`, as the audit keeps it; `messages` has what the holder reads of the same. A key is never given
another meaning. In REASONS texts are English, and each is the message id of its translation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from idp.events import Event
from idp.views.messages import MESSAGES, N_, problem_for

_NEW_CODE = N_("Begin a new sign-in: a code is good once and for a minute. Redeem it once, without retries.")


@dataclass(frozen=True)
class Reason:
    """What an engineer reads of one refusal."""

    title: str
    fix: str
    reference: str


def _same(keys: str, reason: Reason) -> dict[str, Reason]:
    return dict.fromkeys(keys.split(), reason)


_REQUEST: Final[Mapping[str, Reason]] = {
    "redirect_uri_not_registered": Reason(
        N_("redirect_uri is not registered"),
        N_(
            "Compare both sides character by character: slash at the end, capitals, port, http or https. Send the "
            "registered one, or register the one you send."
        ),
        "RFC 9700, 2.1; OpenID Connect Core 1.0, 3.1.2.1",
    ),
    "redirect_uri_missing": Reason(
        N_("redirect_uri is missing"),
        N_("Send one of the registered addresses with every request."),
        "OpenID Connect Core 1.0, 3.1.2.1",
    ),
    "parameter_repeated": Reason(
        N_("A parameter is there more than once"),
        N_(
            "Send each parameter once, either in the query or in the form, and not both request and request_uri."
        ),
        "RFC 6749, 3.1",
    ),
    "parameter_too_long": Reason(
        N_("A parameter is too long"),
        N_(
            "Keep what belongs to a sign-in at your server, and send a short random value that finds it again."
        ),
        "RFC 9700, 2.1",
    ),
    "request_expired": Reason(
        N_("The pushed request is unknown, too old or another client's"),
        N_("Push a new request for each sign-in and send the browser on within expires_in."),
        "RFC 9126, 2.2 and 4",
    ),
    "request_used": Reason(
        N_("The pushed request was used before"),
        N_("Push a new request for each sign-in; a bookmarked or reloaded address cannot be used again."),
        "RFC 9126, 4",
    ),
    "must_push": Reason(
        N_("The request was not pushed, as this client is registered to do"),
        N_(
            "Push the parameters to pushed_authorization_request_endpoint, then send the browser with request_uri."
        ),
        "RFC 9126, 2 and 5",
    ),
    "must_sign": Reason(
        N_("The request is not signed, as this client is registered to do"),
        N_("Put the parameters into a request object signed with one of your registered keys."),
        "RFC 9101, 5 and 10.5",
    ),
    "not_offered": Reason(
        N_("A parameter that is not offered here"),
        N_("Leave it out. Discovery says what is offered."),
        "OpenID Connect Core 1.0, 3.1.2.6",
    ),
    "no_encryption_key": Reason(
        N_("Nothing registered or published by the client can be encrypted to"),
        N_(
            "Publish a key with use enc whose kty, crv and alg fit the registered encryption; nothing was spent."
        ),
        "OpenID Connect Core 1.0, 10.2; RFC 7517, 4.2 and 4.4",
    ),
    "grant_type": Reason(
        N_("This flow is not registered for the client"),
        N_("Use a flow that is registered, or add its grant type to the registration."),
        "RFC 6749, 4.1.2.1 and 5.2; RFC 7591, 2",
    ),
    "response_type": Reason(
        N_("response_type cannot be used"),
        N_("Send response_type=code."),
        "RFC 6749, 3.1.1; RFC 9700, 2.1.2",
    ),
    "response_mode": Reason(
        N_("response_mode is not one that is offered"),
        N_("Leave it out, or send one of the modes that discovery names."),
        "OAuth 2.0 Multiple Response Types, 2.1; JARM, 2.3",
    ),
    "scope_openid": Reason(
        N_("scope does not contain openid"),
        N_("Put openid first in scope; without it the request is not one of OpenID Connect."),
        "OpenID Connect Core 1.0, 3.1.2.1",
    ),
    "scope_not_registered": Reason(
        N_("A scope is not registered for this client"),
        N_("Ask for registered scopes only, or have the scope and its claims added to the registration."),
        "RFC 6749, 3.3",
    ),
    "scope_characters": Reason(
        N_("scope has characters that are not allowed"),
        N_("Separate scopes by one space each."),
        "RFC 6749, 3.3",
    ),
    "pkce_missing": Reason(
        N_("code_challenge is missing (PKCE)"),
        N_("Send code_challenge and code_challenge_method=S256; most libraries have a switch for PKCE."),
        "RFC 7636, 4.3; RFC 9700, 2.1.1",
    ),
    "pkce_method": Reason(
        N_("code_challenge_method is not S256"),
        N_("Send code_challenge_method=S256. plain is not taken."),
        "RFC 7636, 4.2; RFC 9700, 2.1.1",
    ),
    "pkce_challenge": Reason(
        N_("code_challenge is not a SHA-256 in base64url"),
        N_("Hash the verifier with SHA-256 and write it in base64url without padding: 43 characters."),
        "RFC 7636, 4.2",
    ),
    "nonce_missing": Reason(
        N_("nonce is missing"),
        N_("Send a fresh random nonce with every request, and compare it with the ID token's."),
        "OpenID Connect Core 1.0, 3.2.2.1",
    ),
    "prompt": Reason(
        N_("prompt has a value that cannot be used"),
        N_("Send none alone, or any of login, consent and select_account."),
        "OpenID Connect Core 1.0, 3.1.2.1",
    ),
    "max_age": Reason(
        N_("max_age is not a number of seconds"),
        N_("Send a whole number of seconds, or leave max_age out."),
        "OpenID Connect Core 1.0, 3.1.2.1",
    ),
    "claims_json": Reason(
        N_("claims is not a JSON object"),
        N_("Send JSON with the members id_token and userinfo, percent-encoded once."),
        "OpenID Connect Core 1.0, 5.5",
    ),
    "claims_shape": Reason(
        N_("A member of claims has not the form that is required"),
        N_(
            "Ask for a claim by null, or by an object with essential, value or values. The claim preview tries it."
        ),
        "OpenID Connect Core 1.0, 5.5.1; OpenID Connect for Identity Assurance 1.0, 5",
    ),
    "resource": Reason(
        N_("A resource is not registered for this client"),
        N_("Ask for one of the registered resources, or have it added to the registration."),
        "RFC 8707, 2",
    ),
    "dpop_jkt": Reason(
        N_("dpop_jkt is not a thumbprint"),
        N_("Send the SHA-256 thumbprint of your public key in base64url, 43 characters."),
        "RFC 9449, 10; RFC 7638",
    ),
    "id_token_hint": Reason(
        N_("id_token_hint is not an ID token of ours for this client"),
        N_(
            "Send the ID token as you received it, signed and decrypted, and only to the issuer that made it."
        ),
        "OpenID Connect Core 1.0, 3.1.2.1; OpenID Connect RP-Initiated Logout 1.0, 2",
    ),
    "request_uri_not_registered": Reason(
        N_("request_uri is not registered"),
        N_("Register the address at which your request objects are, or push the request instead."),
        "OpenID Connect Core 1.0, 6.2; RFC 9101, 5.2",
    ),
    "request_uri_fetch": Reason(
        N_("The request object at request_uri cannot be fetched"),
        N_("Serve it to us over https within the time limit, with a media type of a request object."),
        "RFC 9101, 5.2.3",
    ),
    "request_object_alg": Reason(
        N_("The request object is signed with an algorithm that is not accepted"),
        N_(
            "Sign it with one of the accepted algorithms, or change request_object_signing_alg in the registration."
        ),
        "RFC 9101, 6.1; RFC 8725, 3.1",
    ),
    "request_object_signature": Reason(
        N_("The signature of the request object does not verify"),
        N_(
            "Sign with a key whose public half, with the same kid, is in your registered jwks or at your jwks_uri."
        ),
        "RFC 9101, 6.2",
    ),
    "request_object_parties": Reason(
        N_("The request object names another client"),
        N_("iss and client_id inside, and client_id outside, are all this client's client_id."),
        "RFC 9101, 4, 5 and 6.3",
    ),
    "request_object_sub": Reason(
        N_("The request object could be a client assertion"),
        N_("Leave sub out of request objects."),
        "RFC 9101, 10.8",
    ),
    "request_object_aud": Reason(
        N_("The request object is for somebody else"),
        N_("Put our issuer into aud, exactly as discovery has it, without a slash at the end."),
        "RFC 9101, 4",
    ),
    "request_object_time": Reason(
        N_("The request object is not valid now, or for too long"),
        N_("Set nbf to now and exp some minutes later, in whole seconds, and keep your clock by NTP."),
        "FAPI 2.0 Message Signing, 5.3.1",
    ),
    **_same(
        "request_object_malformed request_object_header request_object_typ request_object_inside "
        "request_object_member request_object_encrypted",
        Reason(
            N_("The request object has not the form that is required"),
            N_(
                "Send a compact JWS with typ oauth-authz-req+jwt; parameters are strings or whole numbers, claims an "
                "object; no request or request_uri inside, and not encrypted."
            ),
            "RFC 9101, 4 and 10.8",
        ),
    ),
    "no_session": Reason(
        N_("prompt=none, and nobody is signed in whose session would do"),
        N_("This is no fault. Send the browser again without prompt=none."),
        "OpenID Connect Core 1.0, 3.1.2.1 and 3.1.2.6",
    ),
    "consent_required": Reason(
        N_("prompt=none, and the holder has not agreed to this yet"),
        N_("This is no fault. Send the browser again without prompt=none, so that the holder can be asked."),
        "OpenID Connect Core 1.0, 3.1.2.6",
    ),
    "other_person": Reason(
        N_("Another person signed in than the client expected"),
        N_("Leave id_token_hint and claims.id_token.sub out where anybody may sign in."),
        "OpenID Connect Core 1.0, 3.1.2.2 and 5.5.1",
    ),
    "no_credential_type": Reason(
        N_("No credential that this client accepts can be asked for now"),
        N_("Have the operator compare credential_types in the registration with the trust registry."),
        "OpenID4VP 1.0, 6",
    ),
    "holder_refused": Reason(
        N_("The holder refused in the wallet"),
        N_("This is no fault. Show a way to try again."),
        "RFC 6749, 4.1.2.1",
    ),
    "wallet_failed": Reason(
        N_("The wallet could not answer"),
        N_(
            "The audit's wallet.refused has its error code. Show a way to try again, with another wallet too."
        ),
        "OpenID4VP 1.0, 8.5",
    ),
    "logout_client": Reason(
        N_("client_id is not that of the ID token hint"),
        N_("Send the client_id that the ID token is for, or leave it out."),
        "OpenID Connect RP-Initiated Logout 1.0, 2",
    ),
    "logout_uri": Reason(
        N_("post_logout_redirect_uri is not registered"),
        N_("Send a registered one exactly as it stands, or register the one you send."),
        "OpenID Connect RP-Initiated Logout 1.0, 3",
    ),
}

_CLIENT: Final[Mapping[str, Reason]] = {
    "unknown": Reason(
        N_("The client_id is not known"),
        N_("Compare client_id with the registration; a portal that is switched off is not known either."),
        "RFC 6749, 5.2",
    ),
    "basic_malformed": Reason(
        N_("The Authorization header is not that of HTTP Basic"),
        N_("Form-encode client_id and secret each, join them by a colon, and encode that in base64."),
        "RFC 6749, 2.3.1",
    ),
    "client_id_mismatch": Reason(
        N_("Two client_ids in one request"),
        N_("Name the same client in the form and in its proof."),
        "RFC 6749, 2.3; RFC 7521, 4.2",
    ),
    "method_not_registered": Reason(
        N_("The client proved itself by another method than the registered one"),
        N_("Set the method in your library to token_endpoint_auth_method of the registration."),
        "OpenID Connect Core 1.0, 9",
    ),
    "wrong_secret": Reason(
        N_("The client secret is wrong"),
        N_(
            "Check for a cut or a re-encoded secret, and whether it was replaced meanwhile. A second secret can "
            "be added before the old one goes."
        ),
        "RFC 6749, 2.3.1",
    ),
    "no_credentials": Reason(
        N_("The client did not prove itself"),
        N_("Send what token_endpoint_auth_method asks for with every request of the back channel."),
        "RFC 6749, 2.3",
    ),
    "no_certificate": Reason(
        N_("No client certificate came with the connection"),
        N_("Connect to the mtls_endpoint_aliases of discovery with your certificate."),
        "RFC 8705, 2 and 5",
    ),
    "certificate_refused": Reason(
        N_("The client certificate is not the registered one"),
        N_(
            "Compare subject or key of the certificate with the registration, and look whether it has expired."
        ),
        "RFC 8705, 2.1 and 2.2",
    ),
    "assertion_alg": Reason(
        N_("The client assertion is signed with an algorithm that is not accepted"),
        N_("Sign with one of the accepted algorithms, or change token_endpoint_auth_signing_alg."),
        "RFC 7523, 3; FAPI 2.0 Security Profile, 5.4.1",
    ),
    "assertion_key": Reason(
        N_("No registered key has this kid and fits this algorithm"),
        N_("Publish the new key before you sign with it, under the same kid, with use sig."),
        "RFC 7523, 3; RFC 7517, 4",
    ),
    "assertion_signature": Reason(
        N_("The signature of the client assertion does not verify"),
        N_("Sign with the private half of the registered key that has this kid."),
        "RFC 7523, 3",
    ),
    "assertion_parties": Reason(
        N_("iss or sub of the client assertion is not the client_id"),
        N_("Set both iss and sub to the client_id."),
        "RFC 7523, 3; OpenID Connect Core 1.0, 9",
    ),
    "assertion_aud": Reason(
        N_("The client assertion is for somebody else (aud)"),
        N_("Set aud to our issuer, exactly as discovery has it, as one string."),
        "RFC 7523, 3; FAPI 2.0 Security Profile, 5.3.2.1",
    ),
    "assertion_exp": Reason(
        N_("The client assertion has expired, or is valid for too long"),
        N_(
            "Make a new one for each request, good for a minute, in whole seconds, and keep your clock by NTP."
        ),
        "RFC 7523, 3",
    ),
    "assertion_early": Reason(
        N_("The client assertion is from the future"),
        N_("Your clock is ahead of ours: keep it by NTP."),
        "RFC 7523, 3",
    ),
    "assertion_jti": Reason(
        N_("The client assertion has no usable jti"),
        N_("Set jti to a new random text of 1 to 256 characters for each assertion."),
        "RFC 7523, 3; OpenID Connect Core 1.0, 9",
    ),
    **_same(
        "assertion_malformed assertion_header assertion_refused",
        Reason(
            N_("The client assertion is not a signed JWT as it is required"),
            N_("Send a compact JWS in client_assertion, with its numbers as numbers and without crit."),
            "RFC 7523, 2.2 and 3",
        ),
    ),
    "assertion_replayed": Reason(
        N_("The client assertion was used before"),
        N_("Make a new one, with a new jti, for each request and each retry."),
        "RFC 7523, 3; OpenID Connect Core 1.0, 9",
    ),
    "assertion_before_restore": Reason(
        N_("The client assertion is from before the provider was restored from a backup"),
        N_("Make a new one, with iat, for each request; those of before are not believed for two hours."),
        "RFC 7523, 3",
    ),
}

_TOKENS: Final[Mapping[str, Reason]] = {
    "code_unknown": Reason(N_("The code is unknown or too old"), _NEW_CODE, "RFC 6749, 4.1.2"),
    "code_replayed": Reason(
        N_("A code came a second time, and what it had bought was revoked"),
        _NEW_CODE,
        "RFC 6749, 4.1.2; RFC 9700, 4.5",
    ),
    "code_wrong_client": Reason(
        N_("The code was made for another client"),
        N_(
            "Redeem a code with the client_id that asked for it. If that was not you, look for a stolen code."
        ),
        "RFC 6749, 4.1.3",
    ),
    "code_redirect_uri": Reason(
        N_("redirect_uri of the token request is not that of the authorization request"),
        N_("Send the same redirect_uri in both requests, character by character."),
        "RFC 6749, 4.1.3",
    ),
    "code_code_verifier": Reason(
        N_("code_verifier does not fit code_challenge"),
        N_("Keep the verifier in the browser's session between both requests, one for each sign-in."),
        "RFC 7636, 4.6",
    ),
    "code_verifier_without_challenge": Reason(
        N_("code_verifier came for a request without code_challenge"),
        N_("Send code_challenge too. If you did, somebody took it out of the request on the way."),
        "RFC 9700, 4.8.2",
    ),
    "code_dpop_jkt": Reason(
        N_("The code is bound to another DPoP key"),
        N_("Redeem with the key by which the request was pushed or which dpop_jkt names."),
        "RFC 9449, 10",
    ),
    "code_session_ended": Reason(
        N_("The holder signed out before the code was redeemed"),
        N_("This is no fault. Begin a new sign-in."),
        "OpenID Connect Back-Channel Logout 1.0, 2.7",
    ),
    "code_consent_withdrawn": Reason(
        N_("The holder withdrew the consent before the code was redeemed"),
        N_("This is no fault. Begin a new sign-in: the holder is asked again."),
        "OpenID Connect Core 1.0, 3.1.2.4",
    ),
    "refresh_unknown": Reason(
        N_("The refresh token is unknown"),
        N_("Keep the newest refresh token: each use brings another one, and the old one ends."),
        "RFC 6749, 6; RFC 9700, 4.14.2",
    ),
    "refresh_other_client_or_expired": Reason(
        N_("The refresh token has expired, or is another client's"),
        N_("Begin a new sign-in."),
        "RFC 6749, 6",
    ),
    "refresh_revoked": Reason(
        N_("What the refresh token stands for was revoked"),
        N_("The holder signed out, or the credential no longer holds. Begin a new sign-in."),
        "RFC 6749, 6; RFC 7009",
    ),
    "refresh_jkt": Reason(
        N_("The refresh token is bound to another DPoP key"),
        N_("Refresh with the key that the token was first asked for with."),
        "RFC 9449, 5",
    ),
    "refresh_unreadable": Reason(
        N_("The refresh token cannot be opened any more"), N_("Begin a new sign-in."), "RFC 6749, 6"
    ),
    "refresh_replayed": Reason(
        N_("A refresh token came a second time, and its whole family was revoked"),
        N_("Let one process refresh at a time, and keep the new token before you use anything of it."),
        "RFC 9700, 4.14.2",
    ),
    "userinfo_ended": Reason(
        N_("The access token has expired or was revoked"),
        N_(
            "Ask UserInfo right after the code was redeemed, and begin a new sign-in where a token has ended."
        ),
        "RFC 6750, 3.1",
    ),
    "userinfo_audience": Reason(
        N_("The access token is for a resource server, not for UserInfo"),
        N_("Redeem without resource to get a token for UserInfo."),
        "RFC 8707, 2",
    ),
    "userinfo_scope": Reason(
        N_("The access token does not cover openid"),
        N_("Keep openid among the scopes when you refresh with fewer."),
        "OpenID Connect Core 1.0, 5.3; RFC 6749, 6",
    ),
    "userinfo_scheme": Reason(
        N_("The access token came by the wrong scheme"),
        N_(
            "Send a token of the type DPoP as “Authorization: DPoP …” with a proof, one of the type Bearer as Bearer."
        ),
        "RFC 9449, 7.1",
    ),
    "userinfo_key": Reason(
        N_("The access token is bound to another key"),
        N_("Ask with the key, or the certificate, by which the code was redeemed."),
        "RFC 9449, 7; RFC 8705, 3",
    ),
    "client_certificate": Reason(
        N_("The tokens are bound to a client certificate, and none came"),
        N_("Connect to the mtls_endpoint_aliases of discovery with your certificate."),
        "RFC 8705, 3 and 5",
    ),
    "dpop_missing": Reason(
        N_("The DPoP proof is missing"),
        N_("Send a DPoP header with every request for tokens and with every use of one."),
        "RFC 9449, 5 and 7.1",
    ),
    **_same(
        "dpop_header dpop_malformed dpop_typ dpop_crit dpop_jti",
        Reason(
            N_("The DPoP proof has not the form that is required"),
            N_("Send one header with a compact JWS: typ dpop+jwt, a new jti, the public key in jwk."),
            "RFC 9449, 4.2 and 4.3",
        ),
    ),
    **_same(
        "dpop_alg dpop_jwk dpop_signature",
        Reason(
            N_("The DPoP proof is not signed as it is required"),
            N_("Sign with the private half of the key in jwk, by one of the accepted algorithms."),
            "RFC 9449, 4.3",
        ),
    ),
    **_same(
        "dpop_htm dpop_htu",
        Reason(
            N_("The DPoP proof is for another request"),
            N_(
                "Set htm to the method and htu to the address of this request, as discovery has it, without a query."
            ),
            "RFC 9449, 4.2 and 4.3",
        ),
    ),
    **_same(
        "dpop_iat dpop_nbf_exp dpop_nbf dpop_exp",
        Reason(
            N_("The DPoP proof was not made just now"),
            N_("Make a new proof for each request, and keep your clock by NTP."),
            "RFC 9449, 4.3 and 11.1",
        ),
    ),
    "dpop_replayed": Reason(
        N_("The DPoP proof was used before"),
        N_("Make a new proof, with a new jti, for each request and each retry."),
        "RFC 9449, 11.1",
    ),
    "dpop_ath": Reason(
        N_("The DPoP proof is not for this access token"),
        N_("Set ath to the SHA-256 of the access token in base64url."),
        "RFC 9449, 4.2 and 7",
    ),
    "dpop_jkt_proof": Reason(
        N_("dpop_jkt is not the thumbprint of the proof's key"),
        N_("Leave dpop_jkt out when you push with a proof, or compute it from the same key."),
        "RFC 9449, 10.1",
    ),
}

REASONS: Final[Mapping[str, Reason]] = {**_REQUEST, **_CLIENT, **_TOKENS}

EVENTS: Final[Mapping[str, str]] = {
    Event.LOGIN_STARTED: N_("Sign-in begun"),
    Event.LOGIN_CANCELLED: N_("The holder cancelled"),
    Event.LOGIN_FINISHED: N_("Sign-in finished"),
    Event.LOGIN_REFUSED: N_("Request answered with an error"),
    Event.PRESENTATION_ACCEPTED: N_("Credential accepted"),
    Event.PRESENTATION_REJECTED: N_("Credential refused"),
    Event.WALLET_REFUSED: N_("The wallet answered with an error"),
    Event.CONSENT_REFUSED: N_("The holder did not agree"),
    Event.REQUEST_REFUSED: N_("Request refused"),
    Event.REQUEST_PUSHED: N_("Request pushed"),
    Event.CODE_REDEEMED: N_("Code redeemed"),
    Event.CODE_REPLAYED: N_("Code replayed"),
    Event.CODE_WRONG_CLIENT: N_("Code of another client"),
    Event.CODE_REFUSED: N_("Code refused"),
    Event.CLIENT_REFUSED: N_("Client authentication refused"),
    Event.TOKEN_SENT: N_("Tokens sent through the browser"),
    Event.TOKEN_REFRESHED: N_("Token refreshed"),
    Event.TOKEN_REPLAYED: N_("Refresh token replayed"),
    Event.TOKEN_REFUSED: N_("Token request refused"),
    Event.USERINFO_READ: N_("UserInfo read"),
    Event.USERINFO_REFUSED: N_("UserInfo refused"),
}
"""The events of a portal that its engineer sees, and what they are called; what is not here is the auditors'."""

REFUSALS: Final = frozenset({
    Event.LOGIN_REFUSED, Event.PRESENTATION_REJECTED, Event.WALLET_REFUSED, Event.REQUEST_REFUSED, Event.CODE_REPLAYED,
    Event.CODE_WRONG_CLIENT, Event.CODE_REFUSED, Event.CLIENT_REFUSED, Event.TOKEN_REPLAYED, Event.TOKEN_REFUSED,
    Event.USERINFO_REFUSED,
})  # fmt: skip

NO_FAULT: Final = frozenset({
    "no_session", "consent_required", "other_person", "holder_refused", "code_session_ended", "refresh_revoked",
    "refresh_other_client_or_expired", "code_consent_withdrawn",
})  # fmt: skip
"""Refusals that belong to every day: the portal did nothing wrong."""

_PREFIXES: Final[Mapping[str, str]] = {
    Event.CODE_REFUSED: "code_",
    Event.TOKEN_REFUSED: "refresh_",
    Event.USERINFO_REFUSED: "userinfo_",
}
_ALONE: Final[Mapping[str, str]] = {
    Event.CODE_REPLAYED: "code_replayed",
    Event.CODE_WRONG_CLIENT: "code_wrong_client",
    Event.TOKEN_REPLAYED: "refresh_replayed",
}


def key_of(event: str, reason: str | None, detail: Mapping[str, Any] | None) -> str | None:
    """The key in REASONS of one row of the audit, by its check or, of rows without one, by event and reason."""
    said = str((detail or {}).get("check", ""))
    if said == "dpop_jkt" and event == Event.REQUEST_REFUSED and reason == "dpop_jkt":
        said = "dpop_jkt_proof"  # of a proof; the same name as the check of the parameter
    told = reason or ""
    for key in (said, _ALONE.get(event, ""), f"{_PREFIXES.get(event, '')}{told}", told):
        if key in REASONS:
            return key
    return None


def words(
    event: str, reason: str | None, detail: Mapping[str, Any] | None
) -> tuple[str | None, Reason | None]:
    """The key and the words for one row of the audit; None, None for what needs none.

    Of a refused credential the words are the holder's, since there is nothing for the portal to mend.
    """
    if event == Event.PRESENTATION_REJECTED and reason is not None:
        message = MESSAGES[problem_for(reason)]
        return reason, Reason(message.title, message.message, message.code)
    key = key_of(event, reason, detail)
    return key, REASONS[key] if key is not None else None


@dataclass(frozen=True)
class Advice:
    """What an engineer reads of a rule that a client breaks or could keep better."""

    title: str
    fix: str
    reference: str


RULES: Final[Mapping[str, Advice]] = {
    "pkce": Advice(
        N_("PKCE is not required of this client"),
        N_("Send code_challenge with S256 in every request, then set require_pkce."),
        "RFC 9700, 2.1.1",
    ),
    "implicit": Advice(
        N_("Tokens go through the browser"),
        N_("Use the code flow with PKCE and take implicit out of grant_types."),
        "RFC 9700, 2.1.2",
    ),
    "loopback": Advice(
        N_("A redirect URI leads to the visitor's own machine"),
        N_("In production register the https address of the service only."),
        "RFC 8252, 7.3; RFC 9700, 2.1",
    ),
    "localhost": Advice(
        N_("A redirect URI names localhost"),
        N_("Use 127.0.0.1 or [::1]: the name localhost may lead elsewhere."),
        "RFC 8252, 8.3",
    ),
    "shared_secret": Advice(
        N_("The client proves itself by a shared secret"),
        N_("Use private_key_jwt with a key of your own: nothing secret is then sent, or known to us."),
        "RFC 9700, 2.5; FAPI 2.0 Security Profile, 5.3.2.1",
    ),
    "secret_in_form": Advice(
        N_("The secret is sent in the form"),
        N_("Use client_secret_basic at least; forms are logged more easily than headers."),
        "RFC 6749, 2.3.1",
    ),
    "two_secrets": Advice(
        N_("Two secrets are registered"),
        N_("When the new one is in use everywhere, retire the old one."),
        "RFC 9700, 2.5",
    ),
    "rs256": Advice(
        N_("Something is signed with RS256"),
        N_("Change to ES256 or PS256; your library verifies them by the same published keys."),
        "FAPI 2.0 Security Profile, 5.4.1; RFC 8725, 3.2",
    ),
    "jwks_unusable": Advice(
        N_("A registered key cannot be used"),
        N_("Replace it: it is private, malformed, shorter than 2048 bits, or of a kind that is not taken."),
        "RFC 7517, 5; RFC 8725, 3.5",
    ),
    "jwks_kid": Advice(
        N_("A registered key has no kid"),
        N_("Give each key a kid of its own, so that keys can be changed without a pause."),
        "OpenID Connect Core 1.0, 10.1.1; RFC 7517, 4.5",
    ),
    "jwks_expired": Advice(
        N_("A registered key has expired, or will within 30 days"),
        N_("Publish the next key now, sign with it from some minutes later on, then take the old one out."),
        "OpenID Connect Core 1.0, 10.1.1; RFC 7517, 4.7",
    ),
    "never_asked": Advice(
        N_("An address is registered that we never go to"),
        N_(
            "Register an https address on the public network; one in a private network is listed in fetch.allow."
        ),
        "OpenID Connect Back-Channel Logout 1.0, 2.2",
    ),
    "jwks_by_value": Advice(
        N_("Keys are registered by value"),
        N_("Serve them at a jwks_uri: then a key can be changed without changing the registration."),
        "OpenID Connect Core 1.0, 10.1.1",
    ),
    "bearer": Advice(
        N_("Tokens are not bound to a key"),
        N_("Use DPoP or a client certificate: a stolen token is then worth nothing."),
        "RFC 9700, 2.2.1; RFC 9449; RFC 8705",
    ),
    "not_pushed": Advice(
        N_("Requests go through the browser in clear"),
        N_("Push them (PAR), then set require_pushed_authorization_requests."),
        "RFC 9126; FAPI 2.0 Security Profile, 5.3.2.2",
    ),
    "backchannel_logout": Advice(
        N_("The client is not told of sign-outs"),
        N_("Register backchannel_logout_uri and end your session when a logout token comes."),
        "OpenID Connect Back-Channel Logout 1.0, 2",
    ),
    "privacy_policy": Advice(
        N_("Holders are not shown a privacy policy"),
        N_("Register policy_uri; the consent page links to it."),
        "개인정보 보호법 30; OpenID Connect Dynamic Client Registration 1.0, 2",
    ),
    "claims_unused": Advice(
        N_("Claims are registered that no sign-in has released lately"),
        N_("Take out what the service does not need: collect as little as the purpose allows."),
        "개인정보 보호법 16",
    ),
    "initiate_login": Advice(
        N_("Holders cannot be sent back to begin anew"),
        N_(
            "Register initiate_login_uri, or client_uri at least: pages for mistakes then offer the way back."
        ),
        "OpenID Connect Core 1.0, 4",
    ),
    "contacts": Advice(
        N_("Nobody is named whom we may write to"),
        N_("Register contacts: keys end and rules change."),
        "OpenID Connect Dynamic Client Registration 1.0, 2",
    ),
}
"""The rules of the conformance report (`admin.conformance`)."""
