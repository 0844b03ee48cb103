"""A wallet that can get anything wrong: an answer to a request, good by default, every part of it changeable.

The credential is the demonstration's; where a row alters the issuer's part it is signed again with the mission's own
key, so that what is refused is the alteration and not the signature. Signing and encrypting is joserfc's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
from joserfc import jwe, jws
from joserfc.jwk import ECKey
from joserfc.rfc7518 import derive_key as _derive  # noqa: F401
