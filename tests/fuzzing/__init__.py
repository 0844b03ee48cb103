"""Mutants at the doors: requests in which one rule is broken, by the thousand, sent to a provider that really runs.

    python -m tests.fuzzing --mutants 100000

A mutant starts from a message that would be accepted. Either one rule is broken on purpose and whatever lies above it
is signed or encrypted again with the right key, so that nothing but this rule stands in its way; or bytes, fields and
trees are changed that know nothing of what they change, beside a rule that stays broken, so that no change can make it
good. A few may pass: those that say the same in other bytes, and those made to be read and no more (`may_pass`).

| species | what is sent | accepted means |
|---|---|---|
| `assertions` | client assertions (RFC 7523) | the portal is let in |
| `request_objects` | signed requests (RFC 9101) | a sign-in begins |
| `proofs` | DPoP proofs (RFC 9449) | the proof is taken |
| `answers` | wallets' encrypted answers, the DCQL shape in them, and what they show | the wallet is told where to go |
| `forms` | every form of every door | what the form asks for is done |
| `documents` | JSON: registrations, the admin API, answers through the browser | something is written |
| `raw` | bytes that are nearly HTTP, through deploy/nginx.conf and past it | a request hidden in another is answered |
| `credentials` | presentations, in this process (`tests/credentials/mutants`) | the credential is believed |

After each it is asserted that it was refused, not by an error of ours, in time, without a trace of our insides, and
that the answer has the headers of every answer; at the end that the same processes serve, that nothing was fetched
from the address that mutants name, and that an honest holder signs in. A run's seed decides everything but keys.

The corpus (`corpus/`) holds what the species start from: one request or one document a file, and values that have been
somebody's hole. Whatever a run found is added to it.
"""
