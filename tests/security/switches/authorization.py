"""The checks of authorization requests: AZ, PK."""

from tests.security.switches.switch import Edit, Switch, off

_CHECKS = "oidc/checks.py"
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
    off(
        "a client is enabled", "portals/__init__.py",
        "if row is None or not row.enabled:",
        "if row is None:",
        "AZ-03", "TK-18",
    ),
    off(
        "redirect_uri is registered", _CHECKS,
        "if uri is None or not reading.client.has_redirect_uri(uri):",
        "if uri is None:",
        *_EVERY_URI,
    ),
    off(
        "redirect_uri is there", _CHECKS,
        'uri = reading.one("redirect_uri")\n'
        "    if uri is None",
        'uri = reading.one("redirect_uri") or reading.client.redirect_uris[0]\n'
        "    if uri is None",
        "AZ-05", "PA-04",
    ),
    off(
        "redirect_uri is compared whole", "portals/registration.py",
        "return uri in self.redirect_uris or any(",
        "return uri.startswith(self.redirect_uris) or any(",
        "AZ-11", "AZ-12", "AZ-14",
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
        "return known == uri.replace(b.netloc, a.netloc, 1)",
        "AZ-15", "AZ-16", "AZ-25", "AZ-26",
    ),
    off(
        "a loopback path is the same", "portals/registration.py",
        "return known == uri.replace(b.netloc, a.netloc, 1) and _authority(a) == _authority(b)",
        "return _authority(a) == _authority(b)",
        "AZ-11", "AZ-25",
    ),
    off(
        "a page leads to our own addresses", "views/frame.py",
        "path = quote(path)",
        "path = str(path)",
        "AZ-30",
    ),
    off(
        "a form has an end", "views/frame.py",
        "_form_memory_size = self.settings.server.max_form_bytes",
        "_form_memory_size = 1 << 30",
        "AZ-28", "AZ-53", "AZ-57", "AZ-79", "JR-17", "PA-07", "CA-27", "CA-32", "TK-08", "IS-04", "DC-11",
    ),
    # parameters
    off(
        "client_id is there once", _CHECKS,
        'if len(reading.parameters.get("client_id", ())) > 1:',
        "if False:",
        "AZ-40", "AZ-43",
    ),
    off(
        "redirect_uri is there once", _CHECKS,
        'if len(reading.parameters.get("redirect_uri", ())) > 1:',
        "if False:",
        "AZ-40",
    ),
    off(
        "a parameter is there once", _CHECKS,
        "if any(name not in _REPEATABLE for name in repeated):",
        "if False:",
        "AZ-42", "AZ-43",
    ),
    off(
        "state is there once", _CHECKS,
        'if len(reading.parameters.get("state", ())) > 1:',
        "if False:",
        "AZ-42",
    ),
    off(
        "query and form count together", "views/frame.py",
        "for source in (request.args, request.form):",
        "for source in (request.args or request.form,):",
        "AZ-43",
    ),
    off(
        "an unknown parameter is let be", _CHECKS,
        "if any(name not in _REPEATABLE for name in repeated):",
        "if set(reading.parameters) - KNOWN_PARAMETERS:",
        "AZ-45",
    ),
    off(
        "an empty parameter is none", _CHECKS,
        "return (values[0] or None) if values else None",
        "return values[0] if values else None",
        "AZ-46",
    ),
    off(
        "a form is taken", "views/portal.py",
        'rule("/authorize", "authorize", self.authorize, methods=["GET", "POST"])',
        'rule("/authorize", "authorize", self.authorize)',
        "AZ-47",
    ),
    off(
        "a body is a form", "views/portal.py",
        'if request.method == "POST" and request.mimetype != "application/x-www-form-urlencoded":',
        "if False:",
        "AZ-48",
    ),
    off(
        "a HEAD is no step", "views/frame.py",
        'if request.method == "HEAD" and rule is not None',
        'if request.method == "NONE" and rule is not None',
        "AZ-48",
    ),
    off(
        "scopes have no order", _CHECKS,
        '    if "openid" not in scopes:',
        '    if scopes[:1] != ["openid"]:',
        "AZ-49",
    ),
    off(
        "a scope is the client's", _CHECKS,
        "if strange := [scope for scope in known if scope not in reading.client.scopes]:",
        "if strange := []:",
        "AZ-51", "PA-06",
    ),
    off(
        "openid is asked for", _CHECKS,
        '    if "openid" not in scopes:',
        '    if "openid" in ():',
        "AZ-51", "PA-06",
    ),
    off(
        "a scope has a scope's characters", _CHECKS,
        "if any(not _SCOPE.match(scope) for scope in scopes):",
        "if False:",
        "AZ-52",
    ),
    off(
        "scope has an end", _CHECKS,
        "    if len(text) > MAX_SCOPE:",
        "    if len(text) > 1 << 30:",
        "AZ-53",
    ),
    off(
        "state has an end", _CHECKS,
        "if state is not None and len(state) > MAX_STATE:",
        "if False:",
        "AZ-55",
    ),
    off(
        "nonce has an end", _CHECKS,
        "if nonce is not None and len(nonce) > MAX_NONCE:",
        "if False:",
        "AZ-57",
    ),
    off("a nonce of 64 characters is taken", _CHECKS, "MAX_NONCE = 1024", "MAX_NONCE = 63", "AZ-57"),
    off(
        "a response type is there", _CHECKS,
        "    if response_type is None:\n"
        "        raise AuthorizationError(",
        '    response_type = response_type or "code"\n'
        "    if False:\n"
        "        raise AuthorizationError(",
        "AZ-09", "PA-06",
    ),
    off(
        "a response type is offered", _CHECKS,
        'if reading.in_front is None and response_type != "code":',
        "if False:",
        "AZ-10", "AZ-85", "PA-06",
    ),
    off(
        "prompt=none shows nothing", "views/portal.py",
        '        if "none" in asked.prompt:\n'
        "            raise self._refused(\n"
        '                asked, "login_required"',
        '        if "nothing" in asked.prompt:\n'
        "            raise self._refused(\n"
        '                asked, "login_required"',
        "AZ-62", "AZ-74", "AZ-80", "LS-01", "LS-13", "LS-15",
    ),
    off(
        "prompt=login asks the wallet", "oidc/single_sign_on.py",
        'if not portal.single_sign_on or {"login", "select_account"} & set(request.prompt):',
        "if not portal.single_sign_on:",
        "AZ-66",
    ),
    off(
        "prompt=consent asks again", "consent.py",
        'prompt_consent="consent" in request.prompt',
        "prompt_consent=False",
        "AZ-68",
    ),
    off("prompt has a meaning", _CHECKS, "    if set(prompts) - PROMPTS:", "    if False:", "AZ-69"),
    off(
        "prompt=none stands alone", _CHECKS,
        'if "none" in prompts and len(prompts) > 1:',
        "if False:",
        "AZ-69",
    ),
    off(
        "max_age counts", "oidc/single_sign_on.py",
        "(request.max_age_s and now - session.presented_at > request.max_age_s)",
        "False",
        "AZ-72",
    ),
    off(
        "a young session serves", "oidc/single_sign_on.py",
        "(request.max_age_s and now - session.presented_at > request.max_age_s)",
        "request.max_age_s",
        "AZ-72",
    ),
    Switch(
        "the session is the expected person's",
        (
            Edit("views/portal.py", "if expected is not None and expected not in known:", "if False:"),
            Edit("oidc/conclusion.py", "if expected is not None and expected not in known:", "if False:"),
        ),
        ("AZ-74", "AZ-80"),
    ),
    off(
        "a hint may have expired", "oidc/id_token.py",
        'return claims if claims.get("iss") == self._issuer else None',
        'return claims if claims.get("iss") == self._issuer and claims["exp"] > '
        '__import__("time").time() + 300 else None',
        "AZ-75", "LO-02",
    ),
    off(
        "acr_values are a wish", _CHECKS,
        'if wanted and asked.get("essential") is True:',
        'if values or asked.get("essential") is True:',
        "AZ-77",
    ),
    off(
        "claims has a form", "oidc/claims_request.py",
        "document = strict_json.loads_object(text, max_bytes=MAX_BYTES)",
        'document = strict_json.loads(text, max_bytes=MAX_BYTES) if text[:1] == "{" else {}',
        "AZ-78",
    ),
    Switch(
        "members of claims have a form",
        (
            Edit(
                "oidc/claims_request.py",
                "    if not isinstance(members, dict):",
                "    if isinstance(members, list):\n"
                "        members = {}\n"
                "    if not isinstance(members, dict):",
            ),
        ),
        ("AZ-78",),
    ),
    off(
        "claims is strict JSON", "oidc/claims_request.py",
        "document = strict_json.loads_object(text, max_bytes=MAX_BYTES)",
        'document = __import__("json").loads(text)',
        "AZ-79",
    ),
    off(
        "locales are locales", _CHECKS,
        "tuple(locale for locale in text.split() if _LOCALE.match(locale))",
        "tuple(open(locale) and locale for locale in text.split())",
        "AZ-81",
    ),
    off(
        "an answer names the issuer", "oidc/reply.py",
        'sent = {**plain, "iss": self._issuer}',
        "sent = plain",
        "AZ-83", "AZ-09",
    ),
    Switch(
        "a form is followed by a GET",
        (Edit("views/frame.py", "response = Response(status=303)", "response = Response(status=307)"),),
        ("AZ-84",),
        for_all=True,
    ),
    off(
        "an error says nothing of what came", _CHECKS,
        '"only response_type=code is supported",',
        'f"not supported: {response_type}",',
        "AZ-85",
    ),
    off(
        "a request line has an end", "serve.py",
        '"limit_request_line": min(_MAX_REQUEST_LINE, 8190),',
        '"limit_request_line": 0,',
        "AZ-86",
    ),
    # PKCE
    off(
        "PKCE is required", _CHECKS,
        "        if reading.client.require_pkce:\n",
        "        if False:\n",
        "PK-01", "PK-11", "PA-06",
    ),
    off(
        "the method is S256", _CHECKS,
        '    if method != "S256":',
        "    if False:",
        "PK-02", "PK-04", "PA-06",
    ),
    off(
        "the method is spelled so", _CHECKS,
        '    if method != "S256":',
        '    if (method or "").upper().strip() != "S256":',
        "PK-04",
    ),
    off(
        "the challenge is a SHA-256", _CHECKS,
        "if not _S256_CHALLENGE.match(challenge):",
        "if False:",
        "PK-05",
    ),
    off(
        "the verifier fits", "oidc/code.py",
        "if code_verifier is None or not _verifies(code_verifier, challenge):",
        "if False:",
        "PK-08", "PK-11", "PK-12",
    ),
    off(
        "the verifier has a verifier's characters", "oidc/code.py",
        "    if not _VERIFIER.match(verifier):\n"
        "        return False\n",
        "    verifier = verifier.strip()\n",
        "PK-08",
    ),
    off(
        "no verifier without a challenge", "oidc/code.py",
        "            if code_verifier is not None:  # somebody",
        "            if False:  # somebody",
        "PK-10",
    ),
)  # fmt: skip
