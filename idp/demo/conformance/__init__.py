"""A provider set up for the OpenID Foundation's conformance suite: `idp demo --profile conformance`.

- `clients`: the suite's clients, registered beforehand, with their secrets, keys and certificates.
- `plans`: the configurations of the suite's test plans, with a script for the browser that the suite drives.
- `answering`: a wallet that answers by itself.
- `stage`: where all of it is written, and what the terminal shows.
- `python -m idp.demo.conformance`: wallet and issuing authority, and TLS in front of them and of the provider.

What is measured is the provider as it is: nothing in it knows that it is being tested.
"""

from idp.demo.conformance.stage import Stage, Wishes

__all__ = ["Stage", "Wishes"]
