"""The Open DID side of the street: a registry, issuing missions, and a wallet in a web page.

- `data`       canonical JSON, multibase, compact signatures, DID documents
- `registry`   a registry of DIDs, served under `/registry/api/v1`
- `authority`  the missions as Open DID issuers, and the trust agent that vouches for verifiers
- `wallet`     a strict wallet that answers rightly, or wrongly on demand
- `pages`      its web pages, under `/open-did/`

Written after the public specification of Open DID (OmniOneID, `did:omn`); like all guests it shares no code with the
verifier. Left out: wallet and server tokens, issuance over the protocol (the wallet asks the authority directly),
zero-knowledge proofs.
"""
