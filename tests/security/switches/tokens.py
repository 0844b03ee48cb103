"""The checks of codes and tokens: TK, RF, UI, IS, RV."""

from tests.security.switches.switch import Edit, Switch, off

_CODE, _REFRESH, _USERINFO = "oidc/code.py", "oidc/refresh.py", "oidc/userinfo.py"
_SERVER, _REVOCATION = "oidc/server.py", "oidc/revocation.py"

SWITCHES: tuple[Switch, ...] = (
    off(
        "a grant type is named", _SERVER,
        '            if not request.form.get("grant_type"):\n',
        '            if request.form.get("grant_type") == "x":\n',
        "TK-01",
    ),
    off(
        "a grant type is offered", _SERVER,
        "for grant in (AuthorizationCodeGrant, RefreshTokenGrant, DeviceCodeGrant):\n",
        'more = [type(kind, (AuthorizationCodeGrant,), {"GRANT_TYPE": kind}) for kind in '
        '("password", "implicit", "client_credentials")]\n'
        "        for grant in (AuthorizationCodeGrant, RefreshTokenGrant, DeviceCodeGrant, *more):\n",
        "TK-02",
    ),
    off(
        "a grant type is the client's", _SERVER,
        "if not client.check_grant_type(self.GRANT_TYPE):",
        "if False:",
        "TK-02",
    ),
    off(
        "a body is a form at the back channel", _SERVER,
        "    if request.mimetype != _FORM:",
        '    if request.mimetype == "x":',
        "TK-04",
    ),
    off(
        "a refusal is in the audit", _SERVER,
        "if error.error not in GOES_ON and not origin.get().caused:",
        "if False:",
        "TK-01", "TK-02", "TK-04", "TK-05", "TK-06", "CA-29",
    ),
    off(
        "a code is one that was given out", _CODE,
        'return f"code:{digest}"',
        'return f"code:{digest[:0]}"',
        "TK-08", "TK-16",
    ),
    off(
        "a code is compared whole", _CODE,
        "        digest = seal.digest(code)\n"
        "        stored",
        "        digest = seal.digest(code.strip()[:43])\n"
        "        stored",
        "TK-08",
    ),
    off(
        "a code has an end", _SERVER,
        "    if len(value) > 256 or not value.isascii():",
        "    if False:",
        "TK-08", "RF-10",
    ),
    off("a code ends", _CODE, "document, self._times.code_ttl_s)", "document, 86_400)", "TK-09"),
    off(
        "a replay takes back what was bought", _CODE,
        "            if not self._redemptions.revoke_replayed(portal, digest):\n",
        "            if True:\n",
        "TK-10",
    ),
    Switch(
        "a code buys once",
        (
            Edit(
                _CODE,
                "        self._store.take(_code_key(digest))\n"
                "        return response\n\n"
                "    def redeem_straight",
                "        return response\n\n"
                "    def redeem_straight",
            ),
            Edit("oidc/grants.py", "    database.add(grant)\n", "    database.merge(grant)\n"),
        ),
        ("TK-10", "TK-12"),
    ),
    off(
        "a code is its client's", _CODE,
        "if stored.authorization.client_id != portal.client_id:",
        "if False:",
        "TK-13",
    ),
    off(
        "a code ends with the session", "oidc/redemption.py",
        "if grants.has_ended(granted.session_id):",
        "if False:",
        "TK-18",
    ),
    off(
        "the redirect URI is the same", _CODE,
        "        if redirect_uri != stored.redirect_uri:",
        "        if False:",
        "TK-06",
    ),
    off(
        "a token lives as long as it is said to", "oidc/tokens.py",
        '"expires_in": self._ttl_s,',
        '"expires_in": int(__import__("flask").request.form.get("expires_in", self._ttl_s)),',
        "TK-20",
    ),
    off(
        "an ID token is for its client", "oidc/tokens.py",
        '            "aud": portal.client_id,\n'
        '            "auth_time"',
        '            "aud": [portal.client_id],\n'
        '            "auth_time"',
        "TK-22",
    ),
    off(
        "an ID token has the nonce", "oidc/tokens.py",
        "nonce = bought.granted.nonce if first else None",
        "nonce = None",
        "TK-22",
    ),
    off(
        "an ID token has the access token's hash", "oidc/id_token.py",
        'hashlib.sha256(access_token.encode("ascii")).digest()[:16]',
        'hashlib.sha256(access_token.encode("ascii")).digest()[16:]',
        "TK-22",
    ),
    off(
        "who may not refresh gets no refresh token", "oidc/tokens.py",
        "return REFRESH_TOKEN in portal.grant_types",
        "return True",
        "TK-25",
    ),
    off(
        "no other origin may read", "views/frame.py",
        '        headers["X-Correlation-Id"] = getattr(g, "correlation_id", "-")',
        '        headers["X-Correlation-Id"] = getattr(g, "correlation_id", "-")\n'
        '        if "Origin" in request.headers:\n'
        '            headers["Access-Control-Allow-Origin"] = request.headers["Origin"]',
        "TK-28",
    ),
    # refresh tokens
    off(
        "a refresh token is its client's", _REFRESH,
        "if row is None or row.client_id != portal.client_id or row.expires_at <= self._clock():",
        "if row is None or row.expires_at <= self._clock():",
        "RF-04",
    ),
    off(
        "a family ends", _REFRESH,
        "if row is None or row.client_id != portal.client_id or row.expires_at <= self._clock():",
        "if row is None or row.client_id != portal.client_id:",
        "RF-05",
    ),
    off(
        "a family ends with the session", "oidc/grants.py",
        "    if not grant.offline and has_ended(grant.session_id):\n"
        "        return False\n",
        "",
        "LO-11",
    ),
    Switch(
        "what was revoked buys nothing",
        (
            Edit(_REFRESH, "        if not grants.holds(row.code_digest):\n", "        if False:\n"),
        ),
        ("RF-08",),
    ),
    off(
        "a used refresh token is used", _REFRESH,
        "        if row.used_at is not None:\n"
        "            raise self._revoke(portal, row.code_digest, None)\n",
        "",
        "RF-09",
    ),
    Switch(
        "one of many refreshes wins",
        (
            Edit(
                _REFRESH,
                '    if cast("CursorResult[Any]", claimed).rowcount != 1:\n'
                "        raise _LostRace",
                '    _ = cast("CursorResult[Any]", claimed)',
            ),
            Edit(
                _REFRESH,
                "        if row.used_at is not None:\n"
                "            raise self._revoke(portal, row.code_digest, None)\n",
                "",
            ),
        ),
        ("RF-02", "RF-09"),
    ),
    off(
        "a refresh token is compared whole", _REFRESH,
        "        digest = seal.digest(token)\n"
        "        row, kept",
        "        digest = seal.digest(token[:43])\n"
        "        row, kept",
        "RF-10",
    ),
    # UserInfo
    off(
        "a token is there", "views/portal.py",
        "    if not found:\n"
        '        raise TokenRefused("", "", 401)\n',
        "    if not found:\n"
        '        raise TokenRefused("invalid_token", "", 400)\n',
        "UI-01",
    ),
    off(
        "a token is one that holds", _USERINFO,
        "        if found is None:\n"
        "            self._report(",
        "        if found is None:\n"
        "            return {}\n"
        "            self._report(",
        "UI-03", "DC-16",
    ),
    off(
        "a token covers openid", _USERINFO,
        '        if "openid" not in token.scopes:',
        '        if "openid" in ():',
        "UI-03",
    ),
    off(
        "a token that was given back is dead", "oidc/grants.py",
        "return token_digest is None or db.session.get(Consumed, (_REVOKED_TOKEN, token_digest)) is None",
        "return True",
        "UI-03", "IS-02", "RV-04",
    ),
    off("a token is there once", "views/portal.py", "    if len(found) > 1:", "    if False:", "UI-04"),
    off(
        "a token is not in the query", "views/portal.py",
        '    if "access_token" in request.args:',
        "    if False:",
        "UI-04",
    ),
    off(
        "UserInfo says the sub of the ID token", _USERINFO,
        '            return {"sub": token.sub}',
        '            return {"sub": token.subject_id}',
        "UI-08",
    ),
    off(
        "a body brings a token", "views/portal.py",
        'from_body = request.form.getlist("access_token") if request.method == "POST" else []',
        "from_body = []",
        "UI-08", "UI-04",
    ),
    # introspection and revocation
    off(
        "introspection is about what holds", "oidc/access.py",
        "        if token is None or token.expires_at <= self._clock():",
        "        if token is None:",
        "IS-02",
    ),
    off(
        "introspection says nothing else", "oidc/introspection.py",
        'return {"active": True, **found} if found else {"active": False}',
        'return {"active": bool(found), "client_id": asker.client_id, **(found or {})}',
        "IS-02", "IS-03",
    ),
    Switch(
        "introspection is for those concerned",
        (
            Edit(
                "oidc/introspection.py",
                "if found is None or not _concerns(found[0], asker):",
                "if found is None:",
            ),
            Edit(
                "oidc/introspection.py",
                "if row is None or row.client_id != asker.client_id or row.used_at is not None:",
                "if row is None or row.used_at is not None:",
            ),
        ),
        ("IS-03",),
    ),
    off(
        "a token is named", "views/back_channel.py",
        "    if not token:\n"
        "        raise InvalidRequestError",
        '    if token == "x":\n'
        "        raise InvalidRequestError",
        "IS-04", "RV-05",
    ),
    off(
        "revoking what is unknown is no error", _REVOCATION,
        "        if found is None:\n"
        "            return\n",
        "        if found is None:\n"
        '            raise InvalidRequestError("unknown")\n',
        "RV-01", "RV-05",
    ),
    off(
        "a token is its client's to give back", _REVOCATION,
        "    if client_id != portal.client_id:\n",
        "    if False:\n",
        "RV-02",
    ),
    off(
        "with a refresh token dies what it bought", _REVOCATION,
        "                grants.revoke(database, code_digest, now=now)\n",
        "",
        "RV-03",
    ),
    off(
        "a revocation is written before it is told", "views/back_channel.py",
        "        self.house.revocation.revoke(_token(), portal)\n",
        "        try:\n"
        "            self.house.revocation.revoke(_token(), portal)\n"
        "        except OAuth2Error:\n"
        "            raise\n"
        "        except Exception:\n"
        "            log.info('later')\n",
        "RV-04",
    ),
)  # fmt: skip
