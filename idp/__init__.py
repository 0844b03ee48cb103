"""Sinwon (신원, "identity"): an OpenID Connect provider whose holders sign in by showing a mobile credential.

The floors; a module imports from its own floor or from below (`tests/test_floors.py` keeps it true):

    6  app serve cli worker        open the house; only `cli.demo` knows that the demo exists
    5  views/                      HTTP only: read the request, call one function, shape the answer
    4  wiring                      every long-lived object, made once, in order, on one screen
    3  oidc/ openid4vp/ opendid/ admin/     neighbours: none imports another
    2  presentation/               what a wallet is asked, and what its answer proves, in no protocol's words
    1  login session consent claims portals subject · credentials/    the hall, and what is true
    0  settings/ errors events clock fetch keys seal schema strict_json models store/    the ground
    -  demo/                       across the street: comes in by the doors (HTTP) like everybody else

Glossary. portal: a relying party. holder: the person who signs in. wallet: the app with the credential. mission: an
embassy or consulate that issues. login: one sign-in under way. ask: one question to a wallet, within a login.
presentation: a wallet's answer. proof: what a verified presentation shows. subject: a person, as a random id.
"""

__version__ = "0.1.0"
