"""The checks of codes and tokens, of a sign-in under way, and of leaving: TK, RF, UI, IS, RV, LS, LO."""

from tests.security.switches.switch import Edit, Switch, off

_CODE, _REFRESH, _USERINFO = "oidc/code.py", "oidc/refresh.py", "oidc/userinfo.py"
_SERVER, _REVOCATION, _LOGINS = "oidc/server.py", "oidc/revocation.py", "login/logins.py"

SWITCHES: tuple[Switch, ...] = (
    off("a grant type is named", _SERVER, '            if not request.form.get("grant_type"):\n', '            if request.form.get("grant_type") == "x":\n', "TK-01"),
    off("a grant type is offered", _SERVER, "for grant in (AuthorizationCodeGrant, RefreshTokenGrant, DeviceCodeGrant):\n", 'more = [type(kind, (AuthorizationCodeGrant,), {"GRANT_TYPE": kind}) for kind in ("password", "implicit", "client_credentials")]\n        for grant in (AuthorizationCodeGrant, RefreshTokenGrant, DeviceCodeGrant, *more):\n', "TK-02"),
    off("a grant type is the client's", _SERVER, "if not client.check_grant_type(self.GRANT_TYPE):", "if False:", "TK-02"),
    off("a body is a form at the back channel", _SERVER, "    if request.mimetype != _FORM:", '    if request.mimetype == "x":', "TK-04"),
    off("a refusal is in the audit", _SERVER, "if error.error not in GOES_ON and not origin.get().caused:", "if False:", "TK-01", "TK-02", "TK-04", "TK-05", "TK-06", "CA-29"),
    off("a code is one that was given out", _CODE, 'return f"code:{digest}"', 'return f"code:{digest[:0]}"', "TK-08", "TK-16"),
    off("a code is compared whole", _CODE, "        digest = seal.digest(code)\n        stored", "        digest = seal.digest(code.strip()[:43])\n        stored", "TK-08"),
    off("a code has an end", _SERVER, "    if len(value) > 256 or not value.isascii():", "    if False:", "TK-08", "RF-10"),
    off("a code ends", _CODE, "document, self._times.code_ttl_s)", "document, 86_400)", "TK-09"),
    off("a replay takes back what was bought", _CODE, "            if not self._redemptions.revoke_replayed(portal, digest):\n", "            if True:\n", "TK-10"),
    Switch(
        "a code buys once",
        (
            Edit(_CODE, "        self._store.take(_code_key(digest))\n        released", "        released"),
            Edit("oidc/redemption.py", "                    code_digest=digest,\n", '                    code_digest=__import__("secrets").token_hex(32),\n'),
        ),
        ("TK-10", "TK-12"),
    ),
    off("a code is its client's", _CODE, "if stored.authorization.client_id != portal.client_id:", "if False:", "TK-13"),
    off("a code ends with the session", _CODE, "if grants.has_ended(stored.authorization.session_id):", "if False:", "TK-18"),
    off("the redirect URI is the same", _CODE, "        if redirect_uri != stored.redirect_uri:", "        if False:", "TK-06"),
    off("a token lives as long as it is said to", "oidc/tokens.py", '"expires_in": self._ttl_s,', '"expires_in": int(__import__("flask").request.form.get("expires_in", self._ttl_s)),', "TK-20"),
    off("an ID token is for its client", "oidc/tokens.py", '            "aud": portal.client_id,\n            "auth_time"', '            "aud": [portal.client_id],\n            "auth_time"', "TK-22"),
    off("an ID token has the nonce", "oidc/tokens.py", "nonce = bought.granted.nonce if first else None", "nonce = None", "TK-22"),
    off("an ID token has the access token's hash", "oidc/id_token.py", "hashlib.sha256(access_token.encode(\"ascii\")).digest()[:16]", "hashlib.sha256(access_token.encode(\"ascii\")).digest()[16:]", "TK-22"),
    off("who may not refresh gets no refresh token", "oidc/tokens.py", "return REFRESH_TOKEN in portal.grant_types", "return True", "TK-25"),
    off("no other origin may read", "views/frame.py", '        headers.setdefault("Cache-Control", "no-store")', '        headers.setdefault("Cache-Control", "no-store")\n        if "Origin" in request.headers:\n            headers["Access-Control-Allow-Origin"] = request.headers["Origin"]', "TK-28"),
    # refresh tokens
    off("a refresh token is its client's", _REFRESH, "if row is None or row.client_id != portal.client_id or row.expires_at <= self._clock():", "if row is None or row.expires_at <= self._clock():", "RF-04"),
    off("a family ends", _REFRESH, "if row is None or row.client_id != portal.client_id or row.expires_at <= self._clock():", "if row is None or row.client_id != portal.client_id:", "RF-05"),
    off("a family ends with the session", "oidc/grants.py", "    if not grant.offline and has_ended(grant.session_id):\n        return False\n", "", "LO-11"),
    Switch(
        "what was revoked buys nothing",
        (
            Edit(_REFRESH, "        if not grants.holds(row.code_digest):\n", "        if False:\n"),
        ),
        ("RF-08",),
    ),
    off("a used refresh token is used", _REFRESH, "        if row.used_at is not None:\n            raise self._revoke(portal, row.code_digest, None)\n", "", "RF-09"),
    Switch(
        "one of many refreshes wins",
        (
            Edit(_REFRESH, "    if cast(\"CursorResult[Any]\", claimed).rowcount != 1:\n        raise _LostRace", "    _ = cast(\"CursorResult[Any]\", claimed)"),
            Edit(_REFRESH, "        if row.used_at is not None:\n            raise self._revoke(portal, row.code_digest, None)\n", ""),
        ),
        ("RF-02", "RF-09"),
    ),
    off("a refresh token is compared whole", _REFRESH, '        digest = seal.digest(token)\n        row, kept', '        digest = seal.digest(token[:43])\n        row, kept', "RF-10"),
    # UserInfo
    off("a token is there", "views/portal.py", '    if not found:\n        raise TokenRefused("", "", 401)\n', '    if not found:\n        raise TokenRefused("invalid_token", "", 400)\n', "UI-01"),
    off("a token is one that holds", _USERINFO, "        if found is None:\n            self._report(", "        if found is None:\n            return {}\n            self._report(", "UI-03", "DC-16"),
    off("a token covers openid", _USERINFO, '        if "openid" not in token.scopes:', '        if "openid" in ():', "UI-03"),
    off("a token that was given back is dead", "oidc/grants.py", "return token_digest is None or db.session.get(Consumed, (_REVOKED_TOKEN, token_digest)) is None", "return True", "UI-03", "IS-02", "RV-04"),
    off("a token is there once", "views/portal.py", "    if len(found) > 1:", "    if False:", "UI-04"),
    off("a token is not in the query", "views/portal.py", '    if "access_token" in request.args:', "    if False:", "UI-04"),
    off("UserInfo says the sub of the ID token", _USERINFO, '            return {"sub": token.sub}', '            return {"sub": token.subject_id}', "UI-08"),
    off("a body brings a token", "views/portal.py", 'from_body = request.form.getlist("access_token") if request.method == "POST" else []', "from_body = []", "UI-08", "UI-04"),
    # introspection and revocation
    off("introspection is about what holds", "oidc/access.py", "        if token is None or token.expires_at <= self._clock():", "        if token is None:", "IS-02"),
    off("introspection says nothing else", "oidc/introspection.py", 'return {"active": True, **found} if found else {"active": False}', 'return {"active": bool(found), "client_id": asker.client_id, **(found or {})}', "IS-02", "IS-03"),
    Switch(
        "introspection is for those concerned",
        (
            Edit("oidc/introspection.py", "if found is None or not _concerns(found[0], asker):", "if found is None:"),
            Edit("oidc/introspection.py", "if row is None or row.client_id != asker.client_id or row.used_at is not None:", "if row is None or row.used_at is not None:"),
        ),
        ("IS-03",),
    ),
    off("a token is named", "views/back_channel.py", "    if not token:\n        raise InvalidRequestError", '    if token == "x":\n        raise InvalidRequestError', "IS-04", "RV-05"),
    off("revoking what is unknown is no error", _REVOCATION, "        if found is None:\n            return\n", '        if found is None:\n            raise InvalidRequestError("unknown")\n', "RV-01", "RV-05"),
    off("a token is its client's to give back", _REVOCATION, "    if client_id != portal.client_id:\n", "    if False:\n", "RV-02"),
    off("with a refresh token dies what it bought", _REVOCATION, "                grants.revoke(database, code_digest, now=now)\n", "", "RV-03"),
    off("a revocation is written before it is told", "views/back_channel.py", "        self.house.revocation.revoke(_token(), portal)\n", "        try:\n            self.house.revocation.revoke(_token(), portal)\n        except OAuth2Error:\n            raise\n        except Exception:\n            log.info('later')\n", "RV-04"),
    # a sign-in under way
    off("a login is its browser's", _LOGINS, "        if not self._owns(login, cookie):\n            raise OtherBrowser\n", "", "LS-02", "LS-03", "LS-05"),
    off("a stranger at a login is in the audit", "views/frame.py", "return error.status in {400, 403, 409} and not asked_by_page and not origin.get().caused", "return False", "LS-02", "LS-03", "LS-04", "LS-05", "LS-06", "LS-10"),
    off("a form is its page's", "views/holder.py", '        if not forms_match(logins.csrf_token(cookie, login.id), request.form.get("csrf", "")):', "        if False:", "LS-05"),
    Switch(
        "nothing goes on before a wallet has answered",
        (
            Edit(_LOGINS, "        if login.state is not State.PRESENTED or answer is None or not answer.is_typed:\n            raise LoginError(\"form_expired\", status=409)\n", "        if answer is None:\n            return self._change(login, _ready)\n"),
        ),
        ("LS-04",),
    ),
    off("a consent is decided", "views/holder.py", '        if decision != "agree":', '        if decision == "x":', "LS-06"),
    off("a consent covers what was asked", "consent.py", "            for claim in self.asked\n            if claim.basis == \"statute\" or claim.required or claim.name in ticked\n        )\n", "            for claim in self.asked\n            if claim.basis == \"statute\" or claim.required or claim.name in ticked\n        ) + tuple(name for name in ticked if name not in {claim.name for claim in self.asked})\n", "LS-06"),
    off("a consent makes one code", _LOGINS, "            return None\n        return Finished(login, login.answer, proof)", "            pass\n        return Finished(login, login.answer, proof)", "LS-07"),
    off("a response code is its login's", _LOGINS, "        if not right:\n            raise LoginError(\"response_code_wrong\", status=403)\n", "", "LS-10"),
    off("whoever cancels goes back", "views/holder.py", "        return self.frame.send(outgoing)\n\n    def confirm", "        return see_other('/')\n\n    def confirm", "LS-11"),
    off("a login ends", _LOGINS, "if login.expires_at <= self._clock() and login.state is not State.FINISHED:", "if False:", "LS-12"),
    off("a session ends when it is not used", "session.py", "lives = self._store.swap(_key(cookie), document, document, min(self._idle_s, left_s))", "lives = self._store.swap(_key(cookie), document, document, left_s)", "LS-13"),
    off("a session ends in any case", "session.py", "        if left_s <= 0:\n", "        left_s = max(left_s, 1)\n        if False:\n", "LS-13"),
    off("a session ends with the next sign-in", "views/portal.py", "before = self.house.sessions.end(session_cookie) if session is None and not leaves_session else None", "before = None", "LS-01"),
    Switch(
        "who signs out is out",
        (
            Edit("session.py", "        return _read(self._store.take(_key(cookie)))", "        return _read(self._store.get(_key(cookie)))"),
        ),
        ("LS-15", "LO-11"),
    ),
    off("a cookie is for HTTP alone", "views/frame.py", '"httponly": True,', '"httponly": False,', "LS-17"),
    off("a cookie is for our own pages", "views/frame.py", '"samesite": "Lax",', '"samesite": "None",', "LS-17"),
    off("nobody frames our pages", "views/frame.py", "\"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'\"", "\"base-uri 'none'; require-trusted-types-for 'script'\"", "LS-19"),
    off("a person's key is its issuer's", "subject.py", 'return seal.mac(self._key_pepper, domain, element, unicodedata.normalize("NFC", value))', 'return seal.mac(self._key_pepper, "", element, unicodedata.normalize("NFC", value))', "LS-22"),
    # leaving
    off("a hint is signed by us", "oidc/id_token.py", "            token = jws.deserialize_compact(hint, key, registry=_Registry(algorithms=[header[\"alg\"]]))\n            claims = strict_json.loads_object(token.payload)\n", "            _ = key\n            claims = strict_json.loads_object(seal.unb64(hint.split('.')[1]))\n", "LO-01"),
    off("a hint's alg is one of ours", "oidc/id_token.py", '            if header.get("alg") not in SIGNING_ALGORITHMS or header.get("typ") != _TYP:\n                return None\n', '            if header.get("alg") == "none":\n                return strict_json.loads_object(seal.unb64(hint.split(".")[1]))\n', "LO-01"),
    off("the address to go to is registered", "oidc/logout.py", "if portal is None or location not in portal.post_logout_redirect_uris:", "if portal is None:", "LO-01"),
    off("the client is the hint's", "oidc/logout.py", 'if client_id and given.get("client_id", client_id) != client_id:', "if False:", "LO-01"),
    off("a parameter of leaving is there once", "oidc/logout.py", "    if any(len(values) > 1 for values in parameters.values()):", "    if False:", "LO-01"),
    off("without a hint nobody is sent anywhere", "oidc/logout.py", 'location = given.get("post_logout_redirect_uri") if client_id else None', 'location = given.get("post_logout_redirect_uri")\n    client_id = client_id or "gov24"', "LO-06"),
    off("who leaves without a hint is asked", "views/logout.py", "if self._sid(session, asked.client_id) != asked.sid and not confirmed:", "if False:", "LO-06", "LO-07"),
    off("a confirmation is our page's", "views/logout.py", "if confirmed and session is not None and not self._is_our_form(cookie or \"\"):", "if False:", "LO-07"),
    off("a second confirmation is none", "views/logout.py", "if confirmed and session is not None and not self._is_our_form(cookie or \"\"):", "if confirmed and not self._is_our_form(cookie or \"\") or session is None:", "LO-09"),
    off("an ended session ends its tokens", "oidc/grants.py", "    _mark(database, _ENDED_SESSION, seal.digest(session_id), now + _ENDED_SESSION_S)\n    database.execute(\n        update(Grant)\n        .where(Grant.session_id == session_id, Grant.revoked_at.is_(None), Grant.offline.is_(False))\n        .values(revoked_at=now)\n    )\n", "", "LO-11", "RF-08", "TK-18"),
)  # fmt: skip
