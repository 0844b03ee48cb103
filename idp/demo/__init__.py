"""The guests across the street: everything a sign-in needs that is not Sinwon.

- `authority`: make-believe issuing authorities, missions and ministries. A CA and a status list for each, and cards
  for the personas, as SD-JWT VC (`sd_jwt`) and as mdoc (`mdoc`); `cards` is what they say.
- `wallet`, `wallet_pages`: a strict OpenID4VP 1.0 + HAIP 1.0 wallet in a web page, with an error picker. `request` is
  how it reads a request (`dcql`), and in which dialect; `answering` how it answers, rightly or wrongly; `dc_api` is
  the same wallet asked by a browser, for scripts.
- `open_did/`: missions as Open DID issuers, a registry of DIDs, and a wallet of that kind.
- `portals`: pages of five portals, each a real OpenID Connect client that finds its way by discovery. What they share
  is `relying`; `code_flow` is how four of them sign people in, `fapi` how the bank does (FAPI 2.0).
- `counter`, `counter_pages`: the officer's screen of a consular counter, on `device_flow` (RFC 8628).
- `seeds`: the keys, certificates and seed files (`portals.toml`, `trust.toml`, `wallets.toml`) that introduce
  these guests to a provider, and `more_missions.toml`, to be applied later.
- `check`: a scripted browser that signs in once, start to end; `tour` has it do so with every card everywhere.

The guests come in by the doors, like everybody else: over HTTP. They import nothing of the house and
share no code with it, above all not with the verifier, so that a mistake made on both sides cannot cancel
out (a test reads the imports and keeps this true). That is why base64url, ES256 and SD-JWT are written
here a second time.

Every person, number and certificate here is invented. Left out: issuance over OpenID4VCI (the wallet asks
the authority directly).
"""
