"""Token requests by which a client proves itself, or fails to."""

import base64
from typing import Any

import httpx2

from tests.harmless import as_json
from tests.rig import Rig

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
UNKNOWN_CODE = ("code.refused", "unknown")


def post(rig: Rig, authorization: str | None = None, **form: Any) -> httpx2.Response:
    """A token request with a code that nobody knows: whoever is let in hears invalid_grant."""
    form = {"grant_type": "authorization_code", "code": "x" * 43, "redirect_uri": "y", **form}
    headers = {"Authorization": authorization} if authorization is not None else {}
    return rig.http.post(f"{rig.issuer}/token", data=form, headers=headers)


def basic(client_id: str, secret: str | bytes) -> str:
    joined = client_id.encode() + b":" + (secret.encode() if isinstance(secret, str) else secret)
    return f"Basic {base64.b64encode(joined).decode()}"


def let_in(rig: Rig, response: httpx2.Response) -> None:
    as_json(response, 400, "invalid_grant")


def assert_as(rig: Rig, assertion: str, **form: Any) -> httpx2.Response:
    return post(rig, client_assertion=assertion, **{"client_assertion_type": JWT_BEARER, **form})
