"""The operator's verifier daemon, asked over REST: it holds the service's DID and keys, and reads the block chain.

What it is asked is what the published sample verifiers answer; `docs/wallets.md` has every request and answer.

    POST /app2app/start   a transaction of the daemon's own, for a service code
    POST /mip/profile     M310: its signed profile, which we hand on to the app under our trxcode
    POST /mip/vp          M400: whether the presentation is valid
    POST /mip/privacy     what it shows, as items
    POST /qrcpm/start     QR-CPM: the daemon meets the app at the relay; answers when that is over
    POST /mip/trxsts      how that ended

The daemon is on a private network or on this machine: the client goes to the one origin that is set and nowhere else.
"No" is what the daemon says of a presentation; whatever else goes wrong is `BackendUnavailable`, never "no".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from idp import strict_json
from idp.clock import Clock
from idp.credentials.trust import TrustSnapshot
from idp.credentials.verdict import CredentialRejected, Reason, StatusEvidence, VerifiedCredential
from idp.fetch import FetchError, GuardedClient
from idp.mip import errors, items, messages
from idp.mip.backend import Asked, BackendUnavailable, Offered
from idp.mip.errors import AppGaveUp, MessageRefused
from idp.mip.messages import Preparation, UnverifiedVp
from idp.mip.states import Status

_JSON: Final = "application/json; charset=UTF-8"
_ACCEPT: Final = "application/json"
MAX_ANSWER_BYTES: Final = 2_000_000
_NONCE = re.compile(r"[0-9A-Za-z+/=_-]{16,256}")
_MAX_ITEMS: Final = 64
_MAX_ITEM_CHARS: Final = 700_000

# What the daemon may say of a presentation that is not valid. Anything else it says is about itself.
_NOT_VALID: Final = frozenset(
    {
        errors.INVALID_DATA,
        errors.UNSUPPORTED_PRESENT_TYPE,
        errors.UNSUPPORTED_ENCRYPT_TYPE,
        errors.UNSUPPORTED_KEY_TYPE,
        errors.UNSUPPORTED_VP_TYPE,
        errors.UNSUPPORTED_AUTH_TYPE,
        errors.MISMATCHING_NONCE,
        errors.MISMATCHING_AUTH_TYPE,
        19003,
    }
)
# It says "unknown error" of a credential's status too, and names the status in the text that goes with it.
_STATUS: Final = re.compile(r"\b(PAUSE|NEED_RENEW|REMOVE|NOT_EXIST)\b")
_OF_STATUS: Final[Mapping[str, Reason]] = {
    "PAUSE": Reason.STATUS_SUSPENDED,
    "NEED_RENEW": Reason.EXPIRED,
    "REMOVE": Reason.STATUS_REVOKED,
    "NOT_EXIST": Reason.STATUS_INVALID,
}


class Daemon:
    """A `Backend` in front of the operator's daemon."""

    def __init__(
        self,
        *,
        origin: str,
        issuer: str,
        client: GuardedClient,
        patient_client: GuardedClient,
        trust: Callable[[], TrustSnapshot],
        clock: Clock,
    ) -> None:
        """client and patient_client go to `origin` only; the latter waits for a whole QR-CPM."""
        self._origin = origin
        self._vp_url = f"{issuer}/mip/vp"
        self._client = client
        self._patient = patient_client
        self._trust = trust
        self._clock = clock

    def close(self) -> None:
        self._client.close()
        self._patient.close()

    def profile(self, asked: Asked) -> Offered:
        started = self._message(
            self._ask(
                "/app2app/start",
                {
                    "cmd": "530",
                    "ifType": "App2App",
                    "mode": messages.Mode.DIRECT.value,
                    "includeProfile": False,
                    "svcCode": asked.service,
                },
            )
        )
        reference = self._decoded(started.get("m200Base64")).get("trxcode")
        if not isinstance(reference, str) or not 0 < len(reference) <= messages.MAX_TRXCODE_CHARS:
            raise BackendUnavailable("no trxcode in its M200")
        answer = self._message(self._tell("/mip/profile", messages.m310(reference)))
        profile = answer.get("profile")
        return Offered(self._checked(profile, asked), self._inner(profile)["nonce"], reference)

    def _checked(self, profile: object, asked: Asked) -> str:
        """The profile as it is handed on. The app sends its presentation where it says: that must be us."""
        inner = self._inner(profile)
        if not isinstance(inner.get("nonce"), str) or not _NONCE.fullmatch(inner["nonce"]):
            raise BackendUnavailable("no nonce in its profile")
        if inner.get("svcCode") not in (None, asked.service):
            raise BackendUnavailable("its profile is of another service")
        if inner.get("callBackUrl") not in (None, "", self._vp_url):
            raise BackendUnavailable("its profile sends presentations elsewhere: callBackUrl")
        return str(profile)

    def _inner(self, profile: object) -> dict[str, Any]:
        inner = self._decoded(profile).get("profile")
        if not isinstance(inner, dict):
            raise BackendUnavailable("no profile in its profile")
        return inner

    def verify(self, asked: Asked, offered: Offered, vp: UnverifiedVp) -> VerifiedCredential:
        answer = self._tell("/mip/vp", messages.m400(offered.reference, vp))
        if answer.get("result") is not True:
            raise self._refusal(answer)
        return self._shown(asked, offered.reference)

    def _refusal(self, answer: Mapping[str, Any]) -> CredentialRejected | BackendUnavailable | MessageRefused:
        """What a "no" of the daemon's means. Without a reason it is the SDK's own verdict."""
        if answer.get("data") in (None, ""):
            return CredentialRejected(Reason.VERIFIER_REFUSED, "the daemon")
        told = self._decoded(answer["data"])
        try:
            failure = messages.read_failure({**told, "trxcode": told.get("trxcode") or "-"})
        except MessageRefused:
            return BackendUnavailable("its refusal is not an M900")
        if named := _STATUS.search(failure.text):
            return CredentialRejected(_OF_STATUS[named[1]], "the daemon")
        if failure.code in _NOT_VALID:
            return CredentialRejected(Reason.VERIFIER_REFUSED, str(failure.code))
        if failure.code == errors.SEQUENCE:  # it takes one presentation for a profile
            return MessageRefused(errors.SEQUENCE, "the daemon")
        return BackendUnavailable(f"it says {failure.code}")

    def meet(self, asked: Asked, preparation: Preparation) -> VerifiedCredential:
        m120 = messages.m120(preparation)
        request = {
            "cmd": "520",
            "ifType": "QR-CPM",
            "svcCode": asked.service,
            "m120Base64": messages.encode(m120),
        }
        started = self._ask("/qrcpm/start", request, self._patient)
        if started.get("result") is not True:
            raise self._refusal(started)
        ended = self._message(self._tell("/mip/trxsts", {"trxcode": preparation.trxcode}))
        match ended.get("trxStsCode"), ended.get("vpVerifyResult"):
            case Status.VERIFIED.value, "Y":
                return self._shown(asked, preparation.trxcode)
            case Status.VERIFIED.value | Status.VERIFYING.value, _:
                raise CredentialRejected(Reason.VERIFIER_REFUSED, "the daemon")
            case Status.FAILED.value, _:
                raise AppGaveUp(_code_in(ended.get("errorCn")))
            case _:
                raise MessageRefused(errors.TIMEOUT, "nobody came to the relay")

    def _shown(self, asked: Asked, reference: str) -> VerifiedCredential:
        """What a valid presentation shows, in our words."""
        shown = _items(self._payload(self._tell("/mip/privacy", {"trxcode": reference})))
        trust, now = self._trust(), self._clock()
        kind, looks = asked.alternative.kind, asked.alternative.looks
        mission = items.mission(shown, kind, looks, trust, now)
        return VerifiedCredential(
            format=items.FORMAT,
            type_id=kind.id,
            name=asked.service,
            claims=MappingProxyType(items.claims(shown, looks, mission, now)),
            authentication=("pin", "face") if asked.secure else (),
            mission=mission,
            issued_at=None,
            expires_at=None,
            # The daemon looks the credential's status up in the block chain before it says that it is valid.
            status=StatusEvidence(mission, uri="", idx=0, token_type="", checked_at=now, fresh=True),
        )

    # -- over the wire ---------------------------------------------------------------------------------------

    def _tell(self, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message in its envelope; the envelope of the answer."""
        return self._ask(path, {"data": messages.encode(message)})

    def _ask(
        self, path: str, request: Mapping[str, Any], client: GuardedClient | None = None
    ) -> dict[str, Any]:
        body = json.dumps(request, ensure_ascii=False).encode("utf-8")
        try:
            fetched = (client or self._client).exchange(f"{self._origin}{path}", body, _JSON, accept=_ACCEPT)
            answer = strict_json.loads_object(fetched.body, max_bytes=MAX_ANSWER_BYTES, max_depth=4)
        except FetchError as error:
            raise BackendUnavailable(f"{path}: {error.reason}") from error
        except ValueError as error:
            raise BackendUnavailable(f"{path}: not a JSON object") from error
        if not isinstance(answer.get("result"), bool):
            raise BackendUnavailable(f"{path}: no result")
        return answer

    def _message(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The message in a good answer. Whatever else it is says nothing about a presentation."""
        if answer["result"] is not True:
            raise BackendUnavailable("it refuses")
        return self._decoded(answer.get("data"))

    def _payload(self, answer: Mapping[str, Any]) -> Any:
        if answer["result"] is not True:
            raise BackendUnavailable("it refuses")
        try:
            return messages.decoded(answer.get("data"), max_bytes=MAX_ANSWER_BYTES)
        except MessageRefused as error:
            raise BackendUnavailable("its answer is not base64url of JSON") from error

    def _decoded(self, data: object) -> dict[str, Any]:
        try:
            return messages.decode(data, max_bytes=MAX_ANSWER_BYTES)
        except MessageRefused as error:
            raise BackendUnavailable("its answer is not base64url of a JSON object") from error


def _code_in(text: object) -> int:
    """The app's error by the text that goes with it, which is all that a daemon keeps of one."""
    for code, error in errors.APP.items():
        if isinstance(text, str) and text.startswith(error.text):
            return code
    return errors.UNKNOWN


def _items(payload: object) -> dict[str, str]:
    """The items of an answer: a list of `{"type", "value"}`, each type once. Members beside these are left alone."""
    if not isinstance(payload, list) or not 0 < len(payload) <= _MAX_ITEMS:
        raise BackendUnavailable("/mip/privacy: not a list of items")
    found: dict[str, str] = {}
    for item in payload:
        name, value = (item.get("type"), item.get("value")) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, str | None) or name in found:
            raise BackendUnavailable("/mip/privacy: an item is not one, or stands twice")
        if len(value or "") > _MAX_ITEM_CHARS:
            raise BackendUnavailable("/mip/privacy: an item is too long")
        found[name] = value or ""
    return found
