"""Keys that live in an HSM, used through PKCS#11: they are made there, sign there and do not come out.

One token of one module serves a deployment. The rest of the house sees keys of `cryptography`'s own kinds
(`private_key`), so whatever signs with a key of a file signs with one of these.

A module belongs to the process that initialised it: a child that was forked from it begins anew, and whoever is
about to fork calls `let_go` first, since a child that ends an inherited connection may end its parent's too. The
library initialises modules for one thread, so one thread at a time is inside; processes do not wait for one another.

A session that breaks (the token was taken out, the connection lost, the server restarted) is opened anew once, and
what was asked is asked again. What fails then is `HsmError`, at once for everybody for the next two seconds: a
network HSM that is away takes seconds to say so. A wrong PIN is tried once in the life of a process, since tokens lock
themselves after a few.

Spec: PKCS #11 2.40. The extra `hsm` (python-pkcs11) brings the library; without an HSM it is not imported.
"""

from __future__ import annotations

from idp.hsm.keys import private_key
from idp.hsm.token import WITHOUT, Filter, Held, Hsm, HsmError, let_go
from idp.settings import Settings

__all__ = ["WITHOUT", "Filter", "Held", "Hsm", "HsmError", "let_go", "of", "private_key"]


def of(settings: Settings) -> Hsm | None:
    """The HSM of these settings, None where there is none. Opens nothing yet."""
    if not settings.hsm.module:
        return None
    return Hsm(settings.hsm.module, settings.hsm.token, settings.hsm.pin.reveal())
