"""The checks of authorization requests: AZ, PK, JR, PA."""

from tests.security.switches.switch import Edit, Switch, off

_CHECKS, _OBJECT, _PUSHED = "oidc/checks.py", "oidc/request_object.py", "oidc/pushed.py"
_EVERY_URI = (
    "AZ-04", "AZ-06", "AZ-07", "AZ-11", "AZ-12", "AZ-14", "AZ-15", "AZ-16", "AZ-18", "AZ-24", "AZ-25", "AZ-26",
    "AZ-28", "AZ-29", "AZ-60", "PA-04",
)  # fmt: skip

SWITCHES: tuple[Switch, ...] = (
    # who may be redirected to
    off(
        "a client is known", _CHECKS,
        'portal = portals.find(reading.one("client_id") or "")\n',
        'portal = portals.find(reading.one("client_id") or "") or portals.find("gov24")\n',
        "AZ-01", "AZ-03", "AZ-44", "DC-16",
    ),
    off("a client is enabled", "portals/__init__.py", "if row is None or not row.enabled:", "if row is None:", "AZ-03", "TK-18"),
    off(
        "redirect_uri is registered", _CHECKS,
        "if uri is None or not reading.client.has_redirect_uri(uri):", "if uri is None:", *_EVERY_URI,
    ),
    off(
        "redirect_uri is there", _CHECKS,
        'uri = reading.one("redirect_uri")\n    if uri is None',
        'uri = reading.one("redirect_uri") or reading.client.redirect_uris[0]\n    if uri is None',
        "AZ-05", "PA-04",
    ),
    off(
        "redirect_uri is compared whole", "portals/registration.py",
        "return uri in self.redirect_uris or any(", "return uri.startswith(self.redirect_uris) or any(", "AZ-11", "AZ-12", "AZ-14",
    ),
    off(
        "redirect_uri is not normalised", "portals/registration.py",
        "return uri in self.redirect_uris or any(",
        "from posixpath import normpath\n"
        "        from urllib.parse import unquote\n"
        "        head, _, path = unquote(uri.partition('#')[0]).replace('://', ':@', 1).partition('/')\n"
        "        uri = head.lower().replace(':@', '://').replace('.:', ':') + normpath(f'/{path}')\n"
        "        return uri in self.redirect_uris or any(",
        "AZ-12", "AZ-14", "AZ-18",
    ),
    off(
        "a loopback host is the same", "portals/registration.py",
        "return known == uri.replace(b.netloc, a.netloc, 1) and _authority(a) == _authority(b)",
        "return known == uri.replace(b.netloc, a.netloc, 1)", "AZ-15", "AZ-16", "AZ-25", "AZ-26",
    ),
    off(
        "a loopback path is the same", "portals/registration.py",
        "return known == uri.replace(b.netloc, a.netloc, 1) and _authority(a) == _authority(b)",
        "return _authority(a) == _authority(b)", "AZ-11", "AZ-25",
    ),
    off("a page leads to our own addresses", "views/frame.py", "path = quote(path)", "path = str(path)", "AZ-30"),
    off("a form has an end", "views/frame.py", "_form_memory_size = self.settings.server.max_form_bytes", "_form_memory_size = 1 << 30", "AZ-28", "AZ-53", "AZ-57", "AZ-79", "JR-17", "PA-07", "CA-27", "CA-32", "TK-08", "IS-04", "DC-11"),
    # parameters
    off("client_id is there once", _CHECKS, 'if len(reading.parameters.get("client_id", ())) > 1:', "if False:", "AZ-40", "AZ-43"),
    off("redirect_uri is there once", _CHECKS, 'if len(reading.parameters.get("redirect_uri", ())) > 1:', "if False:", "AZ-40", "AZ-43"),
    off("a parameter is there once", _CHECKS, "if any(name not in _REPEATABLE for name in repeated):", "if False:", "AZ-42", "AZ-43"),
    off("state is there once", _CHECKS, 'if len(reading.parameters.get("state", ())) > 1:', "if False:", "AZ-42"),
    off("query and form count together", "views/frame.py", "for source in (request.args, request.form):", "for source in (request.args or request.form,):", "AZ-43"),
    off("an unknown parameter is let be", _CHECKS, "if any(name not in _REPEATABLE for name in repeated):", "if set(reading.parameters) - KNOWN_PARAMETERS:", "AZ-45"),
    off("an empty parameter is none", _CHECKS, "return (values[0] or None) if values else None", "return values[0] if values else None", "AZ-46"),
    off("a form is taken", "views/portal.py", 'rule("/authorize", "authorize", self.authorize, methods=["GET", "POST"])', 'rule("/authorize", "authorize", self.authorize)', "AZ-47"),
    off("a body is a form", "views/portal.py", 'if request.method == "POST" and request.mimetype != "application/x-www-form-urlencoded":', "if False:", "AZ-48"),
    off("a HEAD is no step", "views/frame.py", 'if request.method == "HEAD" and rule is not None', 'if request.method == "NONE" and rule is not None', "AZ-48"),
    off("scopes have no order", _CHECKS, '    if "openid" not in scopes:', '    if scopes[:1] != ["openid"]:', "AZ-49"),
    off("a scope is the client's", _CHECKS, "if strange := [scope for scope in known if scope not in reading.client.scopes]:", "if strange := []:", "AZ-51", "PA-06"),
    off("openid is asked for", _CHECKS, '    if "openid" not in scopes:', '    if "openid" in ():', "AZ-51", "PA-06"),
    off("a scope has a scope's characters", _CHECKS, "if any(not _SCOPE.match(scope) for scope in scopes):", "if False:", "AZ-52"),
    off("scope has an end", _CHECKS, "    if len(text) > MAX_SCOPE:", "    if len(text) > 1 << 30:", "AZ-53"),
    off("state has an end", _CHECKS, "if state is not None and len(state) > MAX_STATE:", "if False:", "AZ-55"),
    off("nonce has an end", _CHECKS, "if nonce is not None and len(nonce) > MAX_NONCE:", "if False:", "AZ-57"),
    off("a nonce of 64 characters is taken", _CHECKS, "MAX_NONCE = 1024", "MAX_NONCE = 63", "AZ-57"),
    off("a response type is there", _CHECKS, "    if response_type is None:\n        raise AuthorizationError(", '    response_type = response_type or "code"\n    if False:\n        raise AuthorizationError(', "AZ-09", "PA-06"),
    off("a response type is offered", _CHECKS, 'if reading.in_front is None and response_type != "code":', "if False:", "AZ-10", "AZ-85", "PA-06"),
    off("prompt=none shows nothing", "views/portal.py", '        if "none" in asked.prompt:\n            raise self._refused(\n                asked, "login_required"', '        if "nothing" in asked.prompt:\n            raise self._refused(\n                asked, "login_required"', "AZ-62", "AZ-74", "AZ-80", "LS-01", "LS-13", "LS-15"),
    off("prompt=login asks the wallet", "oidc/single_sign_on.py", 'if not portal.single_sign_on or {"login", "select_account"} & set(request.prompt):', "if not portal.single_sign_on:", "AZ-66"),
    off("prompt=consent asks again", "consent.py", 'prompt_consent="consent" in request.prompt', "prompt_consent=False", "AZ-68"),
    off("prompt has a meaning", _CHECKS, "    if set(prompts) - PROMPTS:", "    if False:", "AZ-69"),
    off("prompt=none stands alone", _CHECKS, 'if "none" in prompts and len(prompts) > 1:', "if False:", "AZ-69"),
    off("max_age counts", "oidc/single_sign_on.py", "(request.max_age_s and now - session.presented_at > request.max_age_s)", "False", "AZ-72"),
    off("a young session serves", "oidc/single_sign_on.py", "(request.max_age_s and now - session.presented_at > request.max_age_s)", "request.max_age_s", "AZ-72"),
    off("the session is the expected person's", "views/portal.py", "if expected is not None and expected not in known:", "if False:", "AZ-74", "AZ-80"),
    off("a hint may have expired", "oidc/id_token.py", 'return claims if claims.get("iss") == self._issuer else None', 'return claims if claims.get("iss") == self._issuer and claims["exp"] > __import__("time").time() + 300 else None', "AZ-75", "LO-02"),
    off("acr_values are a wish", _CHECKS, 'if wanted and asked.get("essential") is True:', 'if values or asked.get("essential") is True:', "AZ-77"),
    off("claims has a form", "oidc/claims_request.py", "document = strict_json.loads_object(text, max_bytes=MAX_BYTES)", 'document = strict_json.loads(text, max_bytes=MAX_BYTES) if text[:1] == "{" else {}', "AZ-78"),
    Switch(
        "members of claims have a form",
        (
            Edit("oidc/claims_request.py", "    if not isinstance(members, dict):", "    if isinstance(members, list):\n        members = {}\n    if not isinstance(members, dict):"),
        ),
        ("AZ-78",),
    ),
    off("claims is strict JSON", "oidc/claims_request.py", "document = strict_json.loads_object(text, max_bytes=MAX_BYTES)", 'document = __import__("json").loads(text)', "AZ-79"),
    off("locales are locales", _CHECKS, "tuple(locale for locale in text.split() if _LOCALE.match(locale))", "tuple(open(locale) and locale for locale in text.split())", "AZ-81"),
    off("an answer names the issuer", "oidc/reply.py", 'sent = {**plain, "iss": self._issuer}', "sent = plain", "AZ-83", "AZ-09"),
    off("a form is followed by a GET", "views/frame.py", "response = Response(status=303)", "response = Response(status=307)", "AZ-84"),
    off("an error says nothing of what came", _CHECKS, '"only response_type=code is supported",', 'f"not supported: {response_type}",', "AZ-85"),
    off("a request line has an end", "serve.py", '"limit_request_line": min(_MAX_REQUEST_LINE, 8190),', '"limit_request_line": 0,', "AZ-86"),
    # PKCE
    off("PKCE is required", _CHECKS, "        if reading.client.require_pkce:\n", "        if False:\n", "PK-01", "PK-11", "PA-06"),
    off("a method needs a challenge", _CHECKS, "        if method is not None:\n            raise AuthorizationError(", "        if method == 'x':\n            raise AuthorizationError(", "PK-01"),
    off("the method is S256", _CHECKS, '    if method != "S256":', "    if False:", "PK-02", "PK-04", "PA-06"),
    off("the method is spelled so", _CHECKS, '    if method != "S256":', '    if (method or "").upper().strip() != "S256":', "PK-04"),
    off("the challenge is a SHA-256", _CHECKS, "if not _S256_CHALLENGE.match(challenge):", "if False:", "PK-05"),
    off("the verifier fits", "oidc/code.py", "if code_verifier is None or not _verifies(code_verifier, challenge):", "if False:", "PK-08", "PK-11", "PK-12"),
    off("the verifier has a verifier's characters", "oidc/code.py", "    if not _VERIFIER.match(verifier):\n        return False\n", '    verifier = verifier.strip().lower()\n', "PK-08"),
    off("no verifier without a challenge", "oidc/code.py", "            if code_verifier is not None:  # somebody", "            if False:  # somebody", "PK-10"),
    # request objects
    off("the object's alg is the portal's", _OBJECT, "if not isinstance(alg, str) or alg not in _algorithms(registration):", "if not isinstance(alg, str):", "JR-04"),
    Switch(
        "the object is signed",
        (
            Edit(_OBJECT, "return header, strict_json.loads_object(signed_payload(request, keys, alg=alg))", "return header, strict_json.loads_object(unb64(parts[1]))"),
            Edit(_OBJECT, "if not isinstance(alg, str) or alg not in _algorithms(registration):", "if not isinstance(alg, str):"),
        ),
        ("JR-03", "JR-12"),
    ),
    off("the key is the registered one", _OBJECT, "keys = self._portal_keys.verifying(registration, alg=alg, kid=kid)", 'from joserfc.jwk import ECKey\n        keys = [ECKey.import_key(header["jwk"])] if "jwk" in header else self._portal_keys.verifying(registration, alg=alg, kid=kid)', "JR-12"),
    off("an unsigned object is none", _OBJECT, 'if alg == "none" and not registration.is_fapi2:', 'if alg == "none":\n            return header, strict_json.loads_object(unb64(parts[1]))\n        if False:', "JR-04"),
    off("the object has not expired", _OBJECT, "if expires_at is not None and now >= expires_at + LEEWAY_S:", "if False:", "JR-06"),
    off("the object is valid already", _OBJECT, "if not_before is not None and not_before > now + LEEWAY_S:", "if False:", "JR-06"),
    off("a clock may be 8 s ahead", _OBJECT, "if not_before is not None and not_before > now + LEEWAY_S:", "if not_before is not None and not_before > now:", "JR-06"),
    off("exp and nbf are there", _OBJECT, "        if expires_at is None or not_before is None:", "        if expires_at is None or not_before is None:\n            return\n        if False:", "JR-06"),
    off("an object is short lived", _OBJECT, "if expires_at - not_before > MAX_LIFETIME_S:", "if False:", "JR-06"),
    off("times are numbers", _OBJECT, "if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_NUMERIC_DATE:", "if not isinstance(value, int | float):\n        return None\n    if False:", "JR-06"),
    off("what is inside wins", _OBJECT, "return {**filling, **object_, **client}", "return {**object_, **filling, **client}", "JR-08"),
    off("response_type is the same", _OBJECT, 'if response_type and object_.get("response_type", [response_type]) != [response_type]:', "if False:", "JR-08"),
    off("the client is the same", _OBJECT, 'if claims.get("client_id", None if registration.is_fapi2 else expected) != expected:', "if False:", "JR-08"),
    off("the object is by the client", _OBJECT, 'if claims.get("iss") != expected:', "if False:", "JR-08"),
    off("the object is for us", _OBJECT, "if self._issuer not in (audience if isinstance(audience, list) else [audience]):", "if False:", "JR-08"),
    off("request and request_uri exclude each other", "oidc/authorize.py", "if by_value is not None and by_reference is not None:", "if False:", "JR-09"),
    off("no object inside an object", _OBJECT, "            if name in claims:\n", "            if name in ():\n", "JR-10"),
    Switch(
        "an object has three parts",
        (
            Edit(_OBJECT, 'parts = request.split(".")\n        if len(parts) == 5:', 'if request.startswith("{"):\n            body = json.loads(request)\n            return {"typ": TYP_OF_ALL}, strict_json.loads_object(unb64(body["payload"]))\n        parts = request.split(".")\n        if len(parts) == 5:'),
            Edit(_OBJECT, "MAX_CHARS = 49_152", 'TYP_OF_ALL = "jwt"\nMAX_CHARS = 49_152'),
        ),
        ("JR-14",),
    ),
    off("an object is of its typ", _OBJECT, 'if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in _TYPES:', "if False:", "JR-15"),
    off("an object is no client assertion", _OBJECT, 'if claims.get("sub") == expected:', "if False:", "JR-15"),
    off("an object has an end", _OBJECT, "if len(request) > MAX_CHARS or len(parts) != 3 or len(parts[0]) > _MAX_HEADER_CHARS:", "if len(parts) != 3:", "JR-17"),
    off("an object has one spelling", _OBJECT, "            for part in parts[1:]:\n                unb64(part)  # one spelling only\n", "            request = request.rstrip('=').replace('\\n', '')\n", "JR-17"),
    # pushed requests
    off("only a POST pushes", "views/back_channel.py", "door.add_url_rule(path, view.__name__, view, methods=[\"POST\"])", "door.add_url_rule(path, view.__name__, view, methods=[\"GET\", \"POST\", \"PUT\", \"DELETE\"])", "PA-01", "TK-04", "IS-04", "RV-05"),
    off("a pushed request is checked", "oidc/authorize.py", "return self._checked(reading, (redirect_uri,), (*HOW_TO_ANSWER, *MAY_ASK, *CHECKS))", "return self._checked(reading, (redirect_uri,), (*HOW_TO_ANSWER, *MAY_ASK, CHECKS[2], CHECKS[3]))", "PA-06"),
    off("request_uri cannot be pushed", "oidc/authorize.py", '        if reading.one("request_uri") is not None:\n            raise AuthorizationError(', '        if reading.one("request_uri") == "":\n            raise AuthorizationError(', "PA-06"),
    off("pushes have an end", "views/back_channel.py", 'if self.house.store.count(f"rate:{what}:{where}", 60) > limit:', "if False:", "PA-08"),
    off("an assertion of fapi2 is for the issuer", "oidc/client_auth.py", "            if audience != self._issuer:\n", "            if self._issuer not in str(audience):\n", "PA-10", "CA-20"),
    off("a reference is used once", _PUSHED, "if db.session.get(Consumed, (_KIND, digest)) is not None:", "if False:", "PA-20"),
    off("a reference ends", _PUSHED, "self._store.put(_key(digest), msgspec.to_builtins(kept), self._ttl_s)", "self._store.put(_key(digest), msgspec.to_builtins(kept), 86_400)", "PA-22"),
    off("a reference is compared whole", _PUSHED, 'digest = seal.digest(request_uri.removeprefix(PREFIX)[:256])', 'digest = seal.digest(request_uri.removeprefix(PREFIX)[:43])', "PA-22"),
    off("a reference is its client's", _PUSHED, "if request is None or request.client_id != client_id:", "if request is None:", "PA-23"),
    off("who must push does", _CHECKS, "    if reading.client.must_push:", "    if False:", "PA-26"),
)  # fmt: skip
