"""To portals: OpenID Connect Core 1.0, authorization code flow.

`authorize` reads a request, `code` issues and redeems, `client_auth` and `server` make `/token`, `id_token` and
`userinfo` say who it was, `verified_claims` says how that is known (OpenID Identity Assurance), `logout` ends a
session, `metadata` tells portals all of it.

Spoken: OpenID Connect Core and Discovery 1.0, RP-Initiated Logout 1.0, Identity Assurance 1.0 (`verified_claims`),
RFC 6749, 6750, 7636 (S256 only), 7523, 8414, 9207. Not offered: implicit, hybrid and password grants (decision D12).
"""
