"""The checks of request objects and of requests that are pushed: JR, PA."""

from tests.security.switches.switch import Edit, Switch, off

_CHECKS, _OBJECT, _PUSHED = "oidc/checks.py", "oidc/request_object.py", "oidc/pushed.py"

SWITCHES: tuple[Switch, ...] = (
    off(
        "the object's alg is the portal's", _OBJECT,
        "if not isinstance(alg, str) or alg not in _algorithms(registration):",
        "if not isinstance(alg, str):",
        "JR-04",
    ),
    Switch(
        "the object is signed",
        (
            Edit(
                _OBJECT,
                "return header, strict_json.loads_object(signed_payload(request, keys, alg=alg))",
                "return header, strict_json.loads_object(unb64(parts[1]))",
            ),
            Edit(
                _OBJECT,
                "if not isinstance(alg, str) or alg not in _algorithms(registration):",
                "if not isinstance(alg, str):",
            ),
        ),
        ("JR-03", "JR-12"),
    ),
    off(
        "the key is the registered one", _OBJECT,
        "keys = self._portal_keys.verifying(registration, alg=alg, kid=kid)",
        "from joserfc.jwk import ECKey\n"
        '        keys = [ECKey.import_key(header["jwk"])] if "jwk" in header else '
        "self._portal_keys.verifying(registration, alg=alg, kid=kid)",
        "JR-12",
    ),
    off(
        "an unsigned object is none", _OBJECT,
        'if alg == "none" and not registration.is_fapi2:',
        'if alg == "none":\n'
        "            return header, strict_json.loads_object(unb64(parts[1]))\n"
        "        if False:",
        "JR-04",
    ),
    off(
        "the object has not expired", _OBJECT,
        "if expires_at is not None and now >= expires_at + LEEWAY_S:",
        "if False:",
        "JR-06",
    ),
    off(
        "the object is valid already", _OBJECT,
        "if not_before is not None and not_before > now + LEEWAY_S:",
        "if False:",
        "JR-06",
    ),
    off(
        "a clock may be 8 s ahead", _OBJECT,
        "if not_before is not None and not_before > now + LEEWAY_S:",
        "if not_before is not None and not_before > now:",
        "JR-06",
    ),
    off(
        "exp and nbf are there", _OBJECT,
        "        if expires_at is None or not_before is None:",
        "        if expires_at is None or not_before is None:\n"
        "            return\n"
        "        if False:",
        "JR-06",
    ),
    off(
        "an object is short lived", _OBJECT,
        "if expires_at - not_before > MAX_LIFETIME_S:",
        "if False:",
        "JR-06",
    ),
    off(
        "times are numbers", _OBJECT,
        "if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= "
        "_MAX_NUMERIC_DATE:",
        "if False:",
        "JR-06",
    ),
    off(
        "what is inside wins", _OBJECT,
        "return {**filling, **object_, **client}",
        "return {**object_, **filling, **client}",
        "JR-08",
    ),
    off(
        "response_type is the same", _OBJECT,
        'if response_type and object_.get("response_type", [response_type]) != [response_type]:',
        "if False:",
        "JR-08",
    ),
    off(
        "the client is the same", _OBJECT,
        'if claims.get("client_id", None if registration.is_fapi2 else expected) != expected:',
        "if False:",
        "JR-08",
    ),
    off("the object is by the client", _OBJECT, 'if claims.get("iss") != expected:', "if False:", "JR-08"),
    off(
        "the object is for us", _OBJECT,
        "if self._issuer not in (audience if isinstance(audience, list) else [audience]):",
        "if False:",
        "JR-08",
    ),
    off(
        "request and request_uri exclude each other", "oidc/authorize.py",
        "if by_value is not None and by_reference is not None:",
        "if False:",
        "JR-09",
    ),
    off(
        "no object inside an object", _OBJECT,
        "            if name in claims:\n",
        "            if name in ():\n",
        "JR-10",
    ),
    Switch(
        "an object has three parts",
        (
            Edit(
                _OBJECT,
                'parts = request.split(".")\n'
                "        if len(parts) == 5:",
                'if request.startswith("{"):\n'
                "            body = json.loads(request)\n"
                '            return {"typ": TYP_OF_ALL}, strict_json.loads_object(unb64(body["payload"]))\n'
                '        parts = request.split(".")\n'
                "        if len(parts) == 5:",
            ),
            Edit(_OBJECT, "MAX_CHARS = 49_152", 'TYP_OF_ALL = "jwt"\nMAX_CHARS = 49_152'),
        ),
        ("JR-14",),
    ),
    off(
        "an object is of its typ", _OBJECT,
        'if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in _TYPES:',
        "if False:",
        "JR-15",
    ),
    off(
        "an object is no client assertion", _OBJECT,
        'if claims.get("sub") == expected:',
        "if False:",
        "JR-15",
    ),
    off(
        "an object has an end", _OBJECT,
        "if len(request) > MAX_CHARS or len(parts) != 3 or len(parts[0]) > _MAX_HEADER_CHARS:",
        "if len(parts) != 3:",
        "JR-17",
    ),
    off(
        "an object has one spelling", _OBJECT,
        "            for part in parts[1:]:\n"
        "                unb64(part)  # one spelling only\n",
        "            request = request.rstrip('=').replace('\\n', '')\n",
        "JR-17",
    ),
    # pushed requests
    off(
        "only a POST pushes", "views/back_channel.py",
        'door.add_url_rule(path, view.__name__, view, methods=["POST"])',
        'door.add_url_rule(path, view.__name__, view, methods=["GET", "POST", "PUT", "DELETE"])',
        "PA-01", "TK-04", "IS-04", "RV-05",
    ),
    off(
        "a pushed request is checked", "oidc/authorize.py",
        "return self._checked(reading, (redirect_uri,), (*HOW_TO_ANSWER, *MAY_ASK, *CHECKS))",
        "return self._checked(reading, (redirect_uri,), (*HOW_TO_ANSWER, *MAY_ASK, CHECKS[2], CHECKS[3]))",
        "PA-06",
    ),
    off(
        "request_uri cannot be pushed", "oidc/authorize.py",
        '        if reading.one("request_uri") is not None:\n'
        "            raise AuthorizationError(",
        '        if reading.one("request_uri") == "":\n'
        "            raise AuthorizationError(",
        "PA-06",
    ),
    off(
        "pushes have an end", "views/back_channel.py",
        'if self.house.store.count(f"rate:{what}:{where}", 60) > limit:',
        "if False:",
        "PA-08",
    ),
    off(
        "an assertion of fapi2 is for the issuer", "oidc/client_auth.py",
        "            if audience != self._issuer:\n",
        "            if self._issuer not in str(audience):\n",
        "PA-10", "CA-20",
    ),
    off(
        "a reference is used once", _PUSHED,
        "if db.session.get(Consumed, (_KIND, digest)) is not None:",
        "if False:",
        "PA-20",
    ),
    off(
        "a reference ends", _PUSHED,
        "self._store.put(_key(digest), msgspec.to_builtins(kept), self._ttl_s)",
        "self._store.put(_key(digest), msgspec.to_builtins(kept), 86_400)",
        "PA-22",
    ),
    off(
        "a reference is compared whole", _PUSHED,
        "digest = seal.digest(request_uri.removeprefix(PREFIX)[:256])",
        "digest = seal.digest(request_uri.removeprefix(PREFIX)[:43])",
        "PA-22",
    ),
    off(
        "a reference is its client's", _PUSHED,
        "if request is None or request.client_id != client_id:",
        "if request is None:",
        "PA-23",
    ),
    off("who must push does", _CHECKS, "    if reading.client.must_push:", "    if False:", "PA-26"),
)  # fmt: skip
