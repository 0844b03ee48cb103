"""The checks of a sign-in under way, of sessions, and of leaving: LS, LO."""

from tests.security.switches.switch import Edit, Switch, off

_LOGINS = "login/logins.py"

SWITCHES: tuple[Switch, ...] = (
    off(
        "a login is its browser's", _LOGINS,
        "        if not self._owns(login, cookie):\n"
        "            raise OtherBrowser\n",
        "",
        "LS-02", "LS-03", "LS-05",
    ),
    off(
        "a stranger at a login is in the audit", "views/frame.py",
        'return error.status == 403 or error.reason == "form_expired"',
        "return False",
        "LS-02", "LS-03", "LS-04", "LS-05", "LS-06", "LS-10",
    ),
    off(
        "a form is its page's", "views/holder.py",
        '        if not forms_match(logins.csrf_token(cookie, login.id), request.form.get("csrf", "")):',
        "        if False:",
        "LS-05",
    ),
    Switch(
        "nothing goes on before a wallet has answered",
        (
            Edit(
                _LOGINS,
                "        if login.state is not State.PRESENTED or answer is None or not answer.is_typed:\n"
                '            raise LoginError("form_expired", status=409)\n',
                "        if answer is None:\n"
                "            return self._change(login, _ready)\n",
            ),
        ),
        ("LS-04",),
    ),
    off(
        "a consent is decided", "views/holder.py",
        '        if decision != "agree":',
        '        if decision == "x":',
        "LS-06",
    ),
    off(
        "a second click gets the same answer", "views/portal.py",
        "        if login.state is State.FINISHED and not self.house.logins.is_abandoned(login):\n"
        '            return self._finished(login, cookie or "")\n',
        "",
        "LS-07",
    ),
    off(
        "a response code is its login's", _LOGINS,
        "        if not right:\n"
        '            raise LoginError("response_code_wrong", status=403)\n',
        "",
        "LS-10",
    ),
    off(
        "whoever cancels goes back", "views/holder.py",
        "        return self.frame.send(outgoing)\n\n"
        "    def confirm",
        "        return see_other('/')\n\n"
        "    def confirm",
        "LS-11",
    ),
    off(
        "a login ends", _LOGINS,
        "if login.expires_at <= self._clock() and login.state is not State.FINISHED:",
        "if False:",
        "LS-12",
    ),
    Switch(
        "a session ends when it is not used",
        (
            Edit("session.py", "document, document, min(self._idle_s, left_s))", "document, document, left_s)"),
            Edit(
                "session.py",
                "_document(session), min(self._idle_s, self._max_s))",
                "_document(session), self._max_s)",
            ),
        ),
        ("LS-13",),
    ),
    off(
        "a session ends in any case", "session.py",
        "left_s = session.started_at + self._max_s - self._clock()",
        "left_s = self._idle_s",
        "LS-13",
    ),
    off(
        "a session ends with the next sign-in", "views/portal.py",
        "before = self.house.sessions.end(session_cookie) if session is None and not "
        "leaves_session else None",
        "before = None",
        "LS-01",
    ),
    Switch(
        "who signs out is out",
        (
            Edit(
                "session.py",
                "        return _read(self._store.take(_key(cookie)))",
                "        return _read(self._store.get(_key(cookie)))",
            ),
            Edit(
                "views/logout.py",
                "            self._ended(self.house.sessions.end_by_sid(asked.sid))\n",
                "            pass\n",
            ),
            Edit(
                "views/logout.py",
                "            self._ended(self.house.sessions.end(cookie))\n",
                "            pass\n",
            ),
        ),
        ("LS-15", "LO-11"),
    ),
    off("a cookie is for HTTP alone", "views/frame.py", '"httponly": True,', '"httponly": False,', "LS-17"),
    off(
        "a cookie is for our own pages", "views/frame.py",
        '"samesite": "Lax",',
        '"samesite": "None",',
        "LS-17",
    ),
    off(
        "nobody frames our pages", "views/frame.py",
        '"base-uri \'none\'; frame-ancestors \'none\'; require-trusted-types-for \'script\'"',
        '"base-uri \'none\'; require-trusted-types-for \'script\'"',
        "LS-19",
    ),
    off(
        "a person's key is its issuer's", "subject.py",
        'return seal.mac(self._key_pepper, domain, element, unicodedata.normalize("NFC", value))',
        'return seal.mac(self._key_pepper, "", element, unicodedata.normalize("NFC", value))',
        "LS-22",
    ),
    # leaving
    off(
        "a hint is signed by us", "oidc/id_token.py",
        "            token = jws.deserialize_compact(hint, key, "
        'registry=_Registry(algorithms=[header["alg"]]))\n'
        "            claims = strict_json.loads_object(token.payload)\n",
        "            _ = key\n"
        "            claims = strict_json.loads_object(seal.unb64(hint.split('.')[1]))\n",
        "LO-01",
    ),
    off(
        "a hint's alg is one of ours", "oidc/id_token.py",
        '            if header.get("alg") not in SIGNING_ALGORITHMS or header.get("typ") != _TYP:\n'
        "                return None\n",
        '            if header.get("alg") == "none":\n'
        '                return strict_json.loads_object(seal.unb64(hint.split(".")[1]))\n',
        "LO-01",
    ),
    off(
        "the address to go to is registered", "oidc/logout.py",
        "if portal is None or location not in portal.post_logout_redirect_uris:",
        "if portal is None:",
        "LO-01",
    ),
    off(
        "the client is the hint's", "oidc/logout.py",
        'if client_id and given.get("client_id", client_id) != client_id:',
        "if False:",
        "LO-01",
    ),
    off(
        "a parameter of leaving is there once", "oidc/logout.py",
        "    if any(len(values) > 1 for values in parameters.values()):",
        "    if False:",
        "LO-01",
    ),
    off(
        "without a hint nobody is sent anywhere", "oidc/logout.py",
        'location = given.get("post_logout_redirect_uri") if client_id else None',
        'location = given.get("post_logout_redirect_uri")\n'
        '    client_id = client_id or "gov24"',
        "LO-06",
    ),
    off(
        "who leaves without a hint is asked", "views/logout.py",
        "if self._sid(session, asked.client_id) != asked.sid and not confirmed:",
        "if False:",
        "LO-06", "LO-07",
    ),
    off(
        "a confirmation is our page's", "views/logout.py",
        'if confirmed and session is not None and not self._is_our_form(cookie or ""):',
        "if False:",
        "LO-07",
    ),
    off(
        "a second confirmation is none", "views/logout.py",
        'if confirmed and session is not None and not self._is_our_form(cookie or ""):',
        'if confirmed and not self._is_our_form(cookie or "") or session is None:',
        "LO-09",
    ),
    off(
        "an ended session ends its tokens", "oidc/grants.py",
        "    models.use_within(database, _ENDED_SESSION, seal.digest(session_id), now + _ENDED_SESSION_S)\n"
        "    database.execute(\n"
        "        update(Grant)\n"
        "        .where(Grant.session_id == session_id, Grant.revoked_at.is_(None), "
        "Grant.offline.is_(False))\n"
        "        .values(revoked_at=now)\n"
        "    )\n",
        "",
        "LO-11", "RF-08", "TK-18",
    ),
)  # fmt: skip
