"""To the national 모바일신분증 app: its message protocol, with the cryptography left to whoever operates it.

The app's messages (M120 to M900) are JSON in base64url, described by the operator's message specification 1.8.0 of
2022-05-25 and by the sample verifiers that came after it (message version 1.1.0). What is inside them, a signed
profile and an encrypted presentation, is not public: a `Backend` makes the one and reads the other.

- `messages`      the envelope and the messages, read strictly
- `errors`        the table of error codes, both ways
- `states`        what a transaction (0001 to 0006) may hear when
- `transactions`  a transaction is an `Ask` of a login; where it stands is kept in the Store
- `backend`       what a backend must do; `daemon` asks the operator's verifier daemon, `simulator` is a sandbox's
- `items`         from the operator's names of things to ours
- `relay`         QR-CPM: the app shows the code, and both sides meet at a relay

Spoken: QR-MPM and app-to-app in mode `direct`, QR-CPM in mode `proxy`, presentType 1 (a presentation of a credential).
Left out: PUSH (it needs the holder's telephone number), BLE (M150, spoken by a device at the counter), presentType 0
and 2 (no credential, or a zero-knowledge proof of one), mode `indirect`.

Accepted beyond the specification: base64url with padding, message versions 1.0.0 and 1.1.0, an `errcode` written as
text. `docs/wallets.md` lists what is assumed of the operator.
"""
