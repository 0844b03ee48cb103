"""To wallets: OpenID for Verifiable Presentations 1.0 with the High Assurance Interoperability Profile 1.0.

`query` says a question in DCQL, `request` signs it, `response` reads what comes back; `dcql` is the query language on
both sides. `dc_api` puts the same question through the holder's browser.
Spoken: signed request objects by reference (`x509_hash`, `x509_san_dns`), GET and POST, `direct_post.jwt` with a
fresh key a request; the Digital Credentials API, signed and unsigned, `dc_api.jwt`; DCQL with one credential, SD-JWT
VC with key binding. Left out, for later rooms: mdoc, `transaction_data`, `scope` queries, multi-signed requests.
Nothing is accepted beyond the specification.
"""
