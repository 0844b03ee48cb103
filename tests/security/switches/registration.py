"""The checks of registration, keys, notices and administrators: DC, JK, BL, AD."""

from tests.security.switches.switch import Edit, Switch, off

_ACCESS, _RULES, _METADATA = (
    "oidc/registration/access.py",
    "portals/rules.py",
    "oidc/registration/metadata.py",
)
_BACKCHANNEL, _KEYS, _PORTAL_KEYS, _FETCH = (
    "oidc/backchannel.py",
    "keys.py",
    "oidc/portal_keys.py",
    "fetch.py",
)

SWITCHES: tuple[Switch, ...] = (
    off(
        "registration needs an invitation", "oidc/registration/registrations.py",
        "        if not self._settings.open:\n",
        "        if False:\n",
        "DC-01",
    ),
    Switch(
        "an invitation is one that was given out",
        (
            Edit(
                _ACCESS,
                "    if profile is None:\n"
                '        raise AccessRefused("invalid_token", "The initial access token is unknown',
                "    if profile is None:\n"
                '        return "standard"\n'
                '        raise AccessRefused("invalid_token", "The initial access token is unknown',
            ),
            Edit(
                _ACCESS,
                '    if cast("CursorResult[tuple[()]]", counted).rowcount != 1:\n',
                "    if False:\n",
            ),
        ),
        ("DC-01",),
    ),
    Switch(
        "an address is https, absolute, and a URI",
        (
            Edit(
                _RULES,
                '    if parts.scheme not in {"https", "http"} or not parts.hostname:',
                "    if False:",
            ),
            Edit(_RULES, "    if not _URI.fullmatch(uri):", "    if False:"),
            Edit(
                _RULES,
                '    if not all("!" <= char <= "~" for char in uri):\n'
                '        return N_("must be ASCII without spaces")',
                "    if False:\n"
                '        return N_("must be ASCII without spaces")',
            ),
            Edit(
                _RULES,
                '    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:',
                "    if False:",
            ),
            Edit(
                _RULES,
                '    if "#" in uri:\n'
                '        return N_("must not have a fragment")\n'
                "    if parts.username",
                "    if parts.username",
            ),
        ),
        ("DC-02", "DC-09", "DC-20"),
    ),
    off(
        "redirect_uris are there", _METADATA,
        '        raise RegistrationRefused("invalid_redirect_uri", "redirect_uris is missing")',
        '        uris = ("https://portal.example/cb",)',
        "DC-02",
    ),
    Switch(
        "a grant type may be registered",
        (
            Edit(_RULES, "        if grant not in (*GRANT_TYPES, IMPLICIT):", "        if False:"),
            Edit(_METADATA, "    if not set(grants) <= set(offered):", "    if False:"),
        ),
        ("DC-04", "DC-18"),
    ),
    off(
        "a response type may be registered", _METADATA,
        '        raise _refused("response_types must be code alone, with authorization_code '
        'among grant_types")',
        "        pass",
        "DC-04",
    ),
    Switch(
        "registered keys are public",
        (
            Edit(
                "oidc/registration/references.py",
                '    if any(key["kty"] == "oct" or {"d", "p", "q", "k"} & set(key) for key in keys):',
                "    if False:",
            ),
            Edit(
                _RULES,
                '    if any(set(key) & {"d", "p", "q", "k"} for key in keys or ()):',
                "    if False:",
            ),
        ),
        ("DC-05",),
    ),
    off(
        "keys are by value or by address", _RULES,
        "    if r.jwks is not None and r.jwks_uri is not None:",
        "    if False:",
        "DC-05",
    ),
    off("a kid names one key", _RULES, "    if len(set(named)) < len(named):", "    if False:", "DC-05"),
    off(
        "a logo is a PNG", "oidc/registration/logo.py",
        "if len(unverified) > MAX_BYTES or not unverified.startswith(_SIGNATURE):",
        "if len(unverified) > MAX_BYTES:\n"
        "        return unverified\n"
        "    if False:",
        "DC-10",
    ),
    off(
        "metadata is one strict JSON object", "views/registration.py",
        "        return strict_json.loads_object(request.get_data(cache=False))\n",
        "        return dict(__import__('json').loads(request.get_data(cache=False)) or "
        "{'client_name': 'x'})\n",
        "DC-11",
    ),
    off(
        "metadata is JSON by its type", "views/registration.py",
        '    if request.mimetype != "application/json":',
        "    if False:",
        "DC-11",
    ),
    off(
        "an update is of this client", "oidc/registration/registrations.py",
        '    if unverified.get("client_id") != current.client_id:',
        "    if False:",
        "DC-12",
    ),
    off(
        "a secret is not chosen", "oidc/registration/registrations.py",
        "    if secret is not None and not (isinstance(secret, str) and current.has_secret(secret)):",
        "    if False:",
        "DC-12",
    ),
    off(
        "a client that is off manages nothing", _ACCESS,
        "    if not row.enabled:\n",
        "    if False:\n",
        "DC-14",
    ),
    off(
        "a removed client is gone", "oidc/registration/registrations.py",
        "    versions.remove(session, client_id, now=now, reason=reason, actor=actor)\n",
        "",
        "DC-16",
    ),
    off(
        "an algorithm signs something", "portals/registration.py",
        'SigningAlgorithm = Literal["ES256", "RS256", "PS256"]',
        'SigningAlgorithm = Literal["ES256", "RS256", "PS256", "none", "HS256"]',
        "DC-17", "TK-23",
    ),
    off(
        "a public client uses PKCE", _RULES,
        '    if method == "none" and not r.require_pkce:',
        "    if False:",
        "DC-18",
    ),
    off(
        "an address of notices is outside", "oidc/registration/registrations.py",
        "            self._references.check_logout(registration.backchannel_logout_uri)\n",
        "            pass\n",
        "BL-04",
    ),
    off(
        "a host in numbers is an address", _FETCH,
        "    elif not _HOST.fullmatch(host) or (_ENDS_IN_A_NUMBER.fullmatch(host) and not _is_ipv4(host)):",
        "    elif not _HOST.fullmatch(host):",
        "BL-04", "JK-09",
    ),
    off(
        "what may be connected to is judged", _FETCH,
        "            if self._rules.permit(address, listed=trip.listed)\n",
        "",
        "JK-09",
    ),
    # notices
    off(
        "a logout token says what happened", _BACKCHANNEL,
        '            "events": {LOGOUT_EVENT: {}},\n',
        "",
        "BL-01",
    ),
    off(
        "a logout token is short lived", _BACKCHANNEL,
        '"exp": now + TOKEN_TTL_S,',
        '"exp": now + 86_400,',
        "BL-01",
    ),
    off(
        "a notice whose worker died is taken up", _BACKCHANNEL,
        "LogoutNotice.leased_until.is_(None), LogoutNotice.leased_until <= now",
        "LogoutNotice.leased_until.is_(None), LogoutNotice.leased_until.is_(None)",
        "BL-03",
    ),
    off(
        "a notice follows no redirect", _BACKCHANNEL,
        "    if status in {200, 204}:",
        "    if status in {200, 204, 301, 302, 303, 307, 308}:",
        "BL-05",
    ),
    off(
        "an answer is read to its limit", _FETCH,
        "                    if received > MAX_ANSWER_BYTES:\n",
        "                    if received < 0:\n",
        "BL-06",
    ),
    off(
        "the newest notices go first", _BACKCHANNEL,
        "order = (LogoutNotice.attempts, LogoutNotice.due_at, LogoutNotice.id)",
        "order = (LogoutNotice.due_at, LogoutNotice.id)",
        "BL-07",
    ),
    # keys
    off(
        "only public members are published", "private_halves.py",
        "    return {name: value for name, value in key.as_dict(private=False).items() if name "
        "in PUBLIC_MEMBERS}",
        "    return dict(key.as_dict(private=True))",
        "JK-01",
    ),
    off(
        "a key is published before it signs", _KEYS,
        "active_at = now if at_once else now + self._publish_s",
        "active_at = now",
        "JK-03",
    ),
    off(
        "a removed key is gone", _KEYS,
        "            row.gone_at = row.removed_at = now\n",
        "            row.removed_at = now\n",
        "JK-04",
    ),
    off(
        "a body has an end", _FETCH,
        "        if total > max_bytes:\n",
        "        if total > 1 << 40:\n",
        "JK-07",
    ),
    off(
        "a set of keys has an end", _PORTAL_KEYS,
        "    if not isinstance(members, list) or len(members) > MAX_KEYS:",
        "    if not isinstance(members, list):",
        "JK-07",
    ),
    off(
        "the key-encryption key is 32 bytes", "settings/loading.py",
        '"secrets.key_encryption_key": lambda secret: _of_length(secret, 32, 32),',
        '"secrets.key_encryption_key": lambda secret: _of_length(secret, 0, 64),',
        "JK-14",
    ),
    off(
        "discovery tells what is taken", "oidc/metadata.py",
        '"request_parameter_supported": True',
        '"request_parameter_supported": False',
        "JK-15",
    ),
    # administrators
    off(
        "a role has its rights", "views/api/gate.py",
        "        if operation.act is not None and not admin.may(operation.act):",
        "        if False:",
        "AD-03",
    ),
    off(
        "nobody makes more of somebody", "admin/people.py",
        "            return self.may(Act.CHANGE_PEOPLE)\n",
        "            return True\n",
        "AD-03",
    ),
    off(
        "a session of the console ends", "page_session.py",
        "        if not 0 <= now - session.seen_at < self.idle_s:",
        "        if False:",
        "AD-06",
    ),
    off(
        "a session of the console ends in any case", "page_session.py",
        "if session is None or not 0 <= now - session.started_at < self._max_s:",
        "if session is None:",
        "AD-06",
    ),
    off(
        "a token of the API counts", "views/api/gate.py",
        "            self._throttle()\n"
        "            record_alone",
        "            record_alone",
        "AD-07",
    ),
    off(
        "a token of the API is there", "views/api/gate.py",
        "            record_alone(Event.ADMIN_REFUSED, at=self._house.clock(), reason=refused.reason)\n",
        "",
        "AD-07",
    ),
    off(
        "a query is read strictly", "views/api/gate.py",
        "return _read(given, operation.query, strict=False)",
        "return operation.query()",
        "AD-08",
    ),
    off(
        "a body is read strictly", "views/api/gate.py",
        "return _read(unverified, operation.body, strict=True), unverified",
        "known = {f.name for f in msgspec.structs.fields(operation.body)}\n"
        "        return _read({k: v for k, v in unverified.items() if k in known}, "
        "operation.body, strict=True), unverified",
        "AD-09",
    ),
    Switch(
        "a change is made on its version",
        (
            Edit(
                "portals/versions.py",
                "    if base is not None and current(session, client_id) != base:",
                "    if False:",
            ),
            Edit(
                "admin/portals/changes.py",
                "        if versions.current(session, change.client_id) != change.base:\n"
                "            raise Conflict\n"
                "        registration, found",
                "        registration, found",
            ),
        ),
        ("AD-12",),
    ),
    off(
        "a changed row is found", "admin/audit/checking.py",
        "        elif leaf_hash(entry_of(row)) != bytes(seal.leaf):",
        "        elif False:",
        "AD-15",
    ),
)  # fmt: skip
