"""Where the time of a verification goes: its steps, each timed where it is called, without those inside of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from idp.credentials import cose, jose, mdoc, mso, schema, sd_jwt, sd_jwt_vc
from idp.credentials.trust import TrustSnapshot

_Steps = Sequence[tuple[str, Any, str]]
STEPS: dict[str, _Steps] = {
    "dc+sd-jwt": (
        ("form: base64, strict JSON", sd_jwt, "unverified_parse"),
        ("the issuer's chain", TrustSnapshot, "issuer_for_chain"),
        ("signatures", jose, "check_signature"),
        ("disclosures: digests, strict JSON, each in its place", sd_jwt, "_disclosed"),
        ("the holder's key", sd_jwt, "holder_key"),
        ("key binding, beside its signature", sd_jwt, "_check_key_binding"),
        ("shapes", schema, "disclosed"),
        ("status", sd_jwt_vc, "status_evidence"),
    ),
    "mso_mdoc": (
        ("form: base64, strict CBOR", mdoc, "unverified_parse"),
        ("the issuer's chain", TrustSnapshot, "issuer_for_chain"),
        ("signatures", cose, "check_signature"),
        ("the signed object, with the holder's key", mso, "unverified"),
        ("elements: digests, each in its place", mso, "elements"),
        ("shapes", schema, "disclosed"),
        ("status", mdoc, "status_evidence"),
    ),
}
REST = "the rest"


@contextmanager
def timed(steps: _Steps, spent: dict[str, float]) -> Iterator[None]:
    """Add up what each step takes, in seconds, until the context ends."""
    inside = [0.0]

    def timing(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(step)
        def timed_step(*arguments: Any, **named: Any) -> Any:
            inside.append(0.0)
            began = time.thread_time()
            try:
                return step(*arguments, **named)
            finally:
                took = time.thread_time() - began
                spent[name] += took - inside.pop()
                inside[-1] += took

        return timed_step

    with ExitStack() as stack:
        for name, owner, attribute in steps:
            stack.enter_context(patch.object(owner, attribute, timing(name, getattr(owner, attribute))))
        yield


def of(
    format: str, verify: Callable[[str], None], presentations: Sequence[str], rounds: int
) -> dict[str, float]:
    """Microseconds of each step for one presentation, of the fastest round; `REST` is what is in none of them."""
    steps, fastest, least = STEPS[format], dict[str, float](), float("inf")
    for _ in range(rounds):
        spent: dict[str, float] = defaultdict(float)
        with timed(steps, spent):
            began = time.thread_time()
            for presentation in presentations:
                verify(presentation)
            whole = time.thread_time() - began
        if whole < least:
            least, fastest = whole, {**spent, REST: whole - sum(spent.values())}
    return {name: 1e6 * took / len(presentations) for name, took in fastest.items()}
