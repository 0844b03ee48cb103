"""A program at the admin API, with a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

from idp.admin import tokens
from idp.admin.people import Role
from idp.events import Origin, origin
from idp.views.api.operations import BASE
from tests.rig import Rig


def token(
    rig: Rig, role: Role, organisation: str | None = None, *, made_by: str = "command line: test"
) -> str:
    """A token's text."""
    with rig.app.app_context():
        before = origin.set(Origin(actor=made_by))
        try:
            _, text = tokens.create(
                label=role.value, role=role, organisation=organisation, ttl_s=86_400, now=rig.clock()
            )
        finally:
            origin.reset(before)
    return text


@dataclass
class Program:
    """Asks as a program does. `token` None: without one."""

    rig: Rig
    token: str | None

    def ask(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """The answer to a request. `match`: If-Match. A path of the API, or a whole one."""
        headers = dict(more.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if (match := more.pop("match", None)) is not None:
            headers["If-Match"] = match
        address = path if path.startswith(BASE) else f"{BASE}{path}"
        return self.rig.http.request(method, f"{self.rig.issuer}{address}", headers=headers, **more)

    def get(self, path: str, **more: Any) -> Any:
        """What a path says, JSON."""
        answered = self.ask("GET", path, **more)
        assert answered.status_code == 200, answered.text[:500]
        return answered.json()

    def post(self, path: str, status: int = 200, **body: Any) -> Any:
        """The answer to a JSON body, JSON."""
        answered = self.ask("POST", path, json=body)
        assert answered.status_code == status, (answered.status_code, answered.text[:500])
        return answered.json()


def registration(client_id: str, **changes: Any) -> dict[str, Any]:
    """A portal that uses a secret, with some members changed."""
    text = {"ko": "시험", "en": "Test"}
    return {
        "client_id": client_id,
        "name": text,
        "operator": text,
        "retention": text,
        "redirect_uris": ["https://rp.example/cb"],
        "token_endpoint_auth_method": "client_secret_basic",
        **changes,
    }
