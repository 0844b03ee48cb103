"""The national app as a test has it: every message as it should be, and every part of it changeable.

It speaks the protocol by itself; what is inside a presentation is the demonstration's (`idp.demo.mobileid`).
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from idp.demo.mobileid import Asked, MobileId
from tests.rig import Rig, person


def b64(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def said(response: httpx2.Response) -> Any:
    """The message in the answer of the provider; True where there is none."""
    envelope = response.json()
    return unb64(envelope["data"]) if "data" in envelope else envelope["result"]


def refusal(response: httpx2.Response, status: int = 200) -> int:
    """The code of an M900 in an answer that is one, envelope and all."""
    assert response.status_code == status, response.text
    envelope = response.json()
    assert envelope["result"] is False, envelope
    m900 = unb64(envelope["data"])
    assert (m900["type"], m900["cmd"]) == ("mip", "900")
    assert m900["errmsg"]
    return int(m900["errcode"])


class App:
    """One question, as the app has read it from a code or a link. `trxcode` may be changed."""

    def __init__(self, rig: Rig, text: str) -> None:
        self.rig = rig
        data = parse_qs(urlsplit(text).query)["data"][0] if "://" in text else text
        self.m200 = unb64(data)
        self.trxcode: str = self.m200["trxcode"]
        self.host: str = self.m200["host"]
        self.version = "1.0.0"

    def message(self, cmd: str, /, **members: Any) -> dict[str, Any]:
        made = {"type": "mip", "version": self.version, "cmd": cmd, "trxcode": self.trxcode, **members}
        return {name: value for name, value in made.items() if value is not None}

    def post(self, door: str, message: Any, **arguments: Any) -> httpx2.Response:
        given = arguments or {"json": {"data": message if isinstance(message, str) else b64(message)}}
        return self.rig.http.post(f"{self.host}/mip/{door}", **given)

    def m310(self, **changes: Any) -> httpx2.Response:
        return self.post("profile", self.message("310", **{"request": "profile", **changes}))

    def m320(self, **changes: Any) -> httpx2.Response:
        return self.post("image", self.message("320", **{"request": "image", **changes}))

    def m400(self, vp: Any, **changes: Any) -> httpx2.Response:
        return self.post("vp", self.message("400", **{"request": "presentation", "vp": vp, **changes}))

    def m900(self, code: Any = 20901, **changes: Any) -> httpx2.Response:
        return self.post("error", self.message("900", **{"errcode": code, "errmsg": "x", **changes}))

    def status(self) -> str:
        return str(said(self.post("trxsts", {"trxcode": self.trxcode}))["trxStsCode"])

    def profile(self) -> dict[str, Any]:
        """The profile, decoded; asks for it."""
        response = self.m310()
        assert response.json()["result"] is True, response.text
        return dict(unb64(said(response)["profile"]))

    def asked(self, profile: dict[str, Any] | None = None) -> Asked:
        """The question of a profile, as the demonstration's app has it once it was checked."""
        inner = (profile or self.profile())["profile"]
        return Asked(
            trxcode=self.trxcode,
            host=self.host,
            verifier="",
            service=inner["name"],
            nonce=inner["nonce"],
            items=tuple(inner["filter"]["requiredPrivacyList"]),
            auth_types=tuple(inner["authType"]),
            submit_to=f"{self.host}/mip/vp",
            key=unb64(inner["publicKey"]),
            image=None,
        )

    def vp(
        self, persona: str = "hong", profile: dict[str, Any] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """A good presentation with some members changed (None leaves one out), for this profile or a new one."""
        phone = MobileId(self.rig.wallet, self.rig.prepared.access_ca)
        try:
            made = {**phone.presentation(self.asked(profile), person(persona)), **changes}
        finally:
            phone.close()
        return {name: value for name, value in made.items() if value is not None}

    def show(self, persona: str = "hong") -> httpx2.Response:
        """Everything as it should be: profile, presentation."""
        return self.m400(self.vp(persona))
