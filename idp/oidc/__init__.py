"""To portals: OpenID Connect, the code flow and everything that belongs to a complete provider.

A request comes in by `authorize` (from a browser), `pushed` (from the portal's server) or `device_request` (from a
counter), with `request_object` and `claims_request` to read what is inside and `checks` to check it; `single_sign_on`
says whether an earlier presentation answers it. `conclusion` ends a login in one transaction; `code`, `device` (with
`user_code`) or, on a test bed, `front_channel` carry the result. `redemption` spends a code, `refresh` goes on from
there, and `tokens` mints what a portal gets, in the forms of `id_token`, `wrapping` and `verified_claims`. `reply`
knows every way back to the portal.

Who asks at the back channel is proven by `client_auth` and `mtls`, with `portal_keys`; which key a token is bound to
by `binding` and `dpop`. `server` is `/token`. Tokens are used at `userinfo`, asked about at `introspection`, given
back at `revocation`; `access` finds them and `grants` says whether they hold. `session_end` ends a session and
`backchannel` tells the portals. `registration` lets portals register themselves. `key_use` knows who has seen which
of our keys. `metadata` tells portals all of it.

Spoken: OpenID Connect Core, Discovery, Dynamic Registration, RP-Initiated and Back-Channel Logout 1.0, Form Post 1.0,
Identity Assurance 1.0; FAPI 2.0 Security Profile and Message Signing; RFC 6749, 6750, 7009, 7523, 7591, 7592, 7636
(S256 only), 7662, 8414, 8628, 8705, 8707, 9068, 9101, 9126, 9207, 9449, 9701 and JARM. Not offered: hybrid and
password grants, token exchange, front-channel logout, session iframes, CIBA (`docs/portals.md` says why).
"""
