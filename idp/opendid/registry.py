"""The registry of DIDs, asked by HTTP: documents, and what became of credentials.

Documents are kept for a short while, so that an issuer's is not fetched for every sign-in, and no longer, so that one
that was deactivated is noticed. What became of a credential is asked every time.

The two lookups are those of the project's API gateway (`did-doc?did=`, `vc-meta?vcId=`), whose answer is multibase
inside JSON; a registry that answers with the document itself is read too. Neither is standardised.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from idp import strict_json
from idp.clock import Clock
from idp.credentials import RegistryUnavailable, multibase

MAX_ANSWER_BYTES = 65_536
MAX_DOCUMENTS = 512
RETRY_S = 5


class _Slot:
    """One document, the lock of whoever is fetching it, and until when it holds, or that it could not be had."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.document: Mapping[str, Any] | None = None
        self.until = 0


class HttpRegistry:
    """The registry at an address. Thread-safe.

    fetch: the body at a URL; raises one of `fetch_errors` where it cannot have it. One thread at a time asks for a
        document; the others wait for what it finds.
    ttl_s: for so long a document is not asked for again; after a failure RETRY_S.
    """

    def __init__(
        self,
        fetch: Callable[[str], bytes],
        base_url: str,
        clock: Clock,
        *,
        ttl_s: int,
        fetch_errors: tuple[type[Exception], ...],
    ) -> None:
        self._fetch = fetch
        self._base_url = base_url
        self._clock = clock
        self._ttl_s = ttl_s
        self._failures: tuple[type[Exception], ...] = (*fetch_errors, ValueError)
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def document(self, did: str, version: str | None = None) -> Mapping[str, Any]:
        """The document of a DID, of now or of one version. Raises RegistryUnavailable."""
        name = did if version is None else f"{did}?versionId={version}"
        slot = self._slot(name)
        with slot.lock:
            if self._clock() >= slot.until:
                self._ask(slot, name)
            if slot.document is None:
                raise RegistryUnavailable("no document")
            return slot.document

    def vc_meta(self, vc_id: str) -> Mapping[str, Any]:
        """What became of a credential, asked now. Raises RegistryUnavailable."""
        return self._get(f"vc-meta?vcId={quote(vc_id, safe='')}", "vcMeta")

    def _ask(self, slot: _Slot, name: str) -> None:
        slot.document = None  # what is old is not used while the registry cannot be asked
        try:
            slot.document = self._get(f"did-doc?did={quote(name, safe='')}", "didDoc")
        except RegistryUnavailable:
            slot.until = self._clock() + RETRY_S
        else:
            slot.until = self._clock() + self._ttl_s

    def _get(self, path: str, member: str) -> Mapping[str, Any]:
        """The document behind a lookup, out of its envelope if it has one."""
        try:
            answer = strict_json.loads_object(
                self._fetch(f"{self._base_url}/{path}"), max_bytes=MAX_ANSWER_BYTES
            )
            inner = answer.get(member)
            if inner is None:
                return answer
            text = multibase.decode(inner, max_chars=MAX_ANSWER_BYTES) if isinstance(inner, str) else b""
            return strict_json.loads_object(text, max_bytes=MAX_ANSWER_BYTES)
        except self._failures as error:
            # Without the error's words: they may hold the address, and with it the holder's DID.
            raise RegistryUnavailable(type(error).__name__) from None

    def _slot(self, name: str) -> _Slot:
        with self._lock:
            slot = self._slots.setdefault(name, _Slot())
            self._slots.move_to_end(name)
            while len(self._slots) > MAX_DOCUMENTS:
                self._slots.popitem(last=False)
            return slot
