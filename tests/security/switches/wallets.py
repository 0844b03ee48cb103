"""The checks between wallets, browsers and the house: WQ, WP, JE, XD, HT, IN, PV."""

from tests.security.switches.switch import Edit, Switch, off

_RESPONSE, _REQUEST, _LOGINS = "openid4vp/response.py", "openid4vp/request.py", "login/logins.py"
_WALLET, _FRAME, _PRESENTING = "views/wallet.py", "views/frame.py", "views/presenting.py"
_ALL = '"ECDH-ES", "ECDH-ES+A128KW", "A192GCM", "A128CBC-HS256", "RSA-OAEP", "dir", "A128KW", "DEF"'
_REGISTRY = 'algorithms=["ECDH-ES", *ENC_VALUES]'

QUESTIONS = (
    off(
        "a nonce is new", "login/asks.py",
        'Ask("", via, seal.random_token(), "", now',
        'Ask("", via, "x" * 43, "", now',
        "WQ-01",
    ),
    off(
        "a question says the same again", _REQUEST,
        '"state": ask.id,',
        '"state": ask.id, "jti": seal.random_token(),',
        "WQ-03",
    ),
    off("a question is over", _WALLET, "        if not asked.open:\n", "        if False:\n", "WQ-04"),
    off(
        "wallet_nonce is one", _WALLET,
        "if len(nonces) > 1 or any(not _WALLET_NONCE.match(nonce) for nonce in nonces):",
        "if False:",
        "WQ-06",
    ),
    off(
        "wallet_metadata is not looked at", _WALLET,
        "        wallet_nonce = self._wallet_nonce()\n",
        "        wallet_nonce = self._wallet_nonce()\n"
        '        if "jwks" in request.form.get("wallet_metadata", ""):\n'
        '            __import__("urllib.request").request.urlopen("http://127.0.0.1:1/x", timeout=1)\n',
        "WQ-08",
    ),
    off(
        "a request's header says three things", _REQUEST,
        '"typ": typ, "x5c": self._x5c}',
        '"typ": typ, "x5c": self._x5c, "kid": "1"}',
        "WQ-09",
    ),
    off(
        "a link says two things", _REQUEST,
        'return self._link_but_id(wallet) + quote(ask.id, safe="")',
        'return self._link_but_id(wallet) + quote(ask.id, safe="") + "&state=1"',
        "WQ-12",
    ),
    off(
        "a request in a browser is kept", _WALLET,
        "        return Response(self._made(asked, wallet_nonce), mimetype=CONTENT_TYPE)",
        '        return Response(self._made(asked, wallet_nonce), mimetype="text/html" if "html" '
        'in request.headers.get("Accept", "") else CONTENT_TYPE)',
        "WQ-13",
    ),
    off(
        "response_uri is no parameter", _REQUEST,
        '"response_uri": self.response_uri(ask),',
        '"response_uri": __import__("flask").request.form.get("response_uri", self.response_uri(ask)),',
        "WQ-14",
    ),
)  # fmt: skip

ANSWERS = (
    off(
        "an answer is posted", _WALLET,
        'rule("/wallet/response/<ask_id>", "response", self.response, methods=["POST"])',
        'rule("/wallet/response/<ask_id>", "response", self.response, methods=["GET", "POST", "PUT"])',
        "WP-01", "HT-20",
    ),
    off(
        "an answer is a form", _WALLET,
        "dict(request.form.lists()) if is_form else {}",
        "dict(request.form.lists()) if is_form else request.get_json(silent=True) or {}",
        "WP-02",
    ),
    off(
        "the same answer earns the same", _PRESENTING,
        "if repeated := self.house.logins.answered(login, ask, fingerprint):",
        "if (repeated := self.house.logins.answered(login, ask, fingerprint)) and False:",
        "WP-06", "WP-09",
    ),
    off(
        "a refusal ends a login", _PRESENTING,
        "            self.house.logins.refuse(login, ask, answered.code, problem=answered.problem)\n",
        "",
        "WP-11",
    ),
    off(
        "a refusal is a word of ours", _RESPONSE,
        'code if isinstance(code, str) and _ERROR_CODE.match(code) else "unknown"',
        "str(code)",
        "WP-12",
    ),
    off(
        "a refusal stands alone", _RESPONSE,
        '            if "vp_token" in given:\n',
        "            if False:\n",
        "WP-12",
    ),
    off(
        "an answer is encrypted", _RESPONSE,
        "    if wallet.encrypts:\n",
        '    if wallet.encrypts and "vp_token" not in given:\n',
        "WP-14",
    ),
    off(
        "an answer is to this question", _RESPONSE,
        'if payload.get("state", ask.id) != ask.id:',
        "if False:",
        "WP-16",
    ),
    off(
        "an answer is to what was asked", _RESPONSE,
        "if not dcql.credentials_satisfied(asked, vp_token.keys()):",
        "if False:",
        "WP-16",
    ),
    off(
        "one alternative is answered", _RESPONSE,
        "    if len(vp_token) != 1:\n",
        "    vp_token = dict(list(vp_token.items())[-1:])\n"
        "    if False:\n",
        "WP-20", "WP-21",
    ),
    off("one presentation is answered", _RESPONSE, "        or len(presentations) != 1\n", "", "WP-16", "WP-21"),
    off(
        "a format is the one that was asked for", _RESPONSE,
        "                alternative.looks.format,\n"
        "                presentation,",
        '                "dc+sd-jwt" if "~" in presentation else "mso_mdoc",\n'
        "                presentation,",
        "WP-17",
    ),
    Switch(
        "what was asked for is there",
        (
            Edit(
                _RESPONSE,
                "if not dcql.claims_satisfied(query.in_our_words(alternative), verified.claims):",
                "if False:",
            ),
            Edit(
                "presentation/proof.py",
                "    if any(_shown(verified.claims, path) is None for path in alternative.required):\n",
                "    if False:\n",
            ),
        ),
        ("WP-18", "SJ-31", "MD-17"),
    ),
    off(
        "a body has a limit", "app.py",
        'app.config["MAX_CONTENT_LENGTH"] = settings.server.max_body_bytes',
        'app.config["MAX_CONTENT_LENGTH"] = None',
        "WP-22", "JE-08",
    ),
    off("JSON is not deep", "strict_json.py", "        if depth > max_depth:", "        if False:", "WP-23"),
    off(
        "a phone hears no code", _PRESENTING,
        'return f"{self.issuer}/wallet/done/{passed.token}"',
        'return f"{self.issuer}/wallet/done/{passed.token}?response_code=x"',
        "WP-24",
    ),
    off(
        "a response code is its browser's", _LOGINS,
        "        if not self._owns(login, cookie):\n"
        "            record_alone(",
        "        if not self._owns(login, cookie) and not right:\n"
        "            record_alone(",
        "WP-26",
    ),
    off(
        "a right code in a wrong browser ends it", _LOGINS,
        "            if right:\n"
        '                self._change(login, _give_up("other_browser"))\n',
        "            if False:\n"
        '                self._change(login, _give_up("other_browser"))\n',
        "WP-26",
    ),
    off(
        "a wrong code burns nothing", _LOGINS,
        "            if right:\n"
        '                self._change(login, _give_up("other_browser"))\n',
        "            if True:\n"
        '                self._change(login, _give_up("other_browser"))\n',
        "WP-27",
    ),
    off(
        "a code is compared", _LOGINS,
        "            and _matches(response_code, answer.token_digest)\n",
        "",
        "WP-27", "WP-29",
    ),
    off(
        "a page alone completes nothing", _LOGINS,
        "        if not right:\n"
        '            raise LoginError("response_code_wrong", status=403)\n',
        "",
        "WP-27",
    ),
    off(
        "what nobody asked for is passed over", _RESPONSE,
        '        if "error" in payload:\n'
        '            return refusal(payload["error"])\n',
        '        if payload.keys() - {"vp_token", "state", "error"}:\n'
        '            raise PresentationError("malformed")\n'
        '        if "error" in payload:\n'
        '            return refusal(payload["error"])\n',
        "WP-30",
    ),
    off(
        "a database that fails is no bug", _FRAME,
        "_DATABASE_DOWN = (OperationalError, ",
        "_DATABASE_DOWN = (",
        "WP-32",
    ),
)  # fmt: skip

ENVELOPE = (
    Switch(
        "the algorithms are those that were offered",
        (
            Edit(_RESPONSE, _REGISTRY, f"algorithms=[{_ALL}, *ENC_VALUES]"),
            Edit(_RESPONSE, 'header.get("alg") == "ECDH-ES"\n', "True\n"),
            Edit(_RESPONSE, 'and header.get("enc") in ENC_VALUES\n', "and True\n"),
        ),
        ("JE-02", "JE-04"),
    ),
    Switch(
        "nothing is unpacked",
        (
            Edit(_RESPONSE, _REGISTRY, f"algorithms=[{_ALL}, *ENC_VALUES]"),
            Edit(_RESPONSE, 'and "zip" not in header\n', "and True\n"),
        ),
        ("JE-06",),
    ),
    off("a key is this question's", _RESPONSE, 'if header.get("kid", kid) != kid:', "if False:", "JE-07"),
    off(
        "an envelope that is none is the sender's", _RESPONSE,
        "except (JoseError, ValueError, TypeError, KeyError) as error:",
        "except ZeroDivisionError as error:",
        "JE-07", "JE-08", "JE-10",
    ),
    off(
        "work is not the sender's choice", _RESPONSE,
        "    fits = (\n",
        '    if "p2c" in header:\n'
        '        __import__("hashlib").pbkdf2_hmac("sha256", b"x", b"y", min(header["p2c"], 8_000_000))\n'
        "    fits = (\n",
        "JE-03",
    ),
    off(
        "a parameter stands once", _RESPONSE,
        "            if len(values) != 1:\n",
        "            if False:\n",
        "JE-09",
    ),
    off(
        "an envelope stands alone", _RESPONSE,
        'if "response" not in given or "vp_token" in given:',
        'if "response" not in given:',
        "JE-09",
    ),
    off(
        "apu is data", _RESPONSE,
        "    except ValueError:\n"
        "        return None\n",
        "    finally:\n"
        "        pass\n",
        "JE-11",
    ),
)  # fmt: skip

DEVICES = (
    off(
        "one device at a time", _LOGINS,
        'return ask.via == "qr" and None not in (fetched_by, ask.fetched_by) and fetched_by != ask.fetched_by',
        "return False",
        "XD-01",
    ),
    off("the wallet is told who asks", _REQUEST, "on_behalf if wallet.portal_name else None", "None", "XD-01"),
    Switch(
        "the first answer wins",
        (
            Edit(
                _LOGINS,
                "            if current.state is not State.WAITING:\n"
                '                raise PresentationError("already_answered")\n',
                "",
            ),
            Edit(_LOGINS, '        if new == {"message"}:\n', "        if False:\n"),
        ),
        ("XD-02",),
    ),
    off(
        "a page is its browser's", _LOGINS,
        "        if not self._owns(login, cookie):\n"
        "            raise OtherBrowser\n",
        "",
        "XD-04",
    ),
    off(
        "a login has an id of its own", _LOGINS,
        "        document = self._store.get(_key(login_id)) if",
        '        login_id = login_id.partition(".")[0]\n'
        "        document = self._store.get(_key(login_id)) if",
        "XD-05",
    ),
    off(
        "a portal may refuse QR codes", "views/holder.py",
        "        if portal.cross_device and not self._codes_are_used_up(login):",
        "        if not self._codes_are_used_up(login):",
        "XD-07",
    ),
    off(
        "a session knows how it began", "oidc/single_sign_on.py",
        'if session.via == "qr" and not portal.cross_device:',
        "if False:",
        "XD-08",
    ),
    off(
        "the number is compared", _LOGINS,
        'if hmac.compare_digest(number.upper().encode("utf-8"), right.encode("utf-8")):',
        "if True:",
        "XD-09",
    ),
    off(
        "wrong numbers are counted", _LOGINS,
        "if wrong >= self._settings.holder.wrong_numbers:",
        "if False:",
        "XD-09",
    ),
)  # fmt: skip

HTTP = (
    off(
        "chunks are the sender's", "serve.py",
        "except ParseException as error:",
        "except ZeroDivisionError as error:",
        "HT-02",
    ),
    off("a request names a host", _FRAME, "        raise BadRequest\n", "        pass\n", "HT-03"),
    off(
        "a proxy that is not there is not believed", "app.py",
        "    hops = settings.server.trusted_proxies\n",
        "    hops = 1\n",
        "HT-04",
    ),
    off("a path has one spelling", _FRAME, "    if _AMBIGUOUS_PATH.search(path):", "    if False:", "HT-06"),
    off("chunks are read whole", _FRAME, "        _take_chunks()\n", "", "HT-08"),
    off(
        "nothing packed is taken", _FRAME,
        'if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":',
        "if False:",
        "HT-10",
    ),
    off(
        "types are not guessed", _FRAME,
        '    "X-Content-Type-Options": "nosniff",\n',
        "",
        "HT-12",
    ),
    off(
        "no foreign origin reads", _FRAME,
        '    "X-Frame-Options": "DENY",\n',
        '    "X-Frame-Options": "DENY",\n'
        '    "Access-Control-Allow-Origin": "*",\n',
        "HT-13",
    ),
    off(
        "pages are not kept", _FRAME,
        '    "Cache-Control": "no-store",\n',
        '    "Cache-Control": "private",\n',
        "HT-14", "PV-12",
    ),
    off(
        "a session has a cookie that nobody chose", "session.py",
        "        cookie = seal.random_token()\n",
        '        cookie = __import__("flask").request.cookies.get("sinwon-session") or seal.random_token()\n',
        "HT-15",
    ),
    off(
        "addresses are not passed on", _FRAME,
        '    "Referrer-Policy": "no-referrer",\n',
        "",
        "HT-12", "PV-05",
    ),
)  # fmt: skip

TEXT_AND_PRIVACY = (
    off("a number has one spelling", "subject.py", 'unicodedata.normalize("NFC", value)', "value", "IN-01"),
    off(
        "names are not normalised", "credentials/schema.py",
        '            raise ValueError("a character that is not text")\n'
        "        return value\n",
        '            raise ValueError("a character that is not text")\n'
        "        return __import__('unicodedata').normalize('NFKC', value)[:40]\n",
        "IN-01", "IN-03",
    ),
    off(
        "a day is one of Seoul", "credentials/trust.py",
        "datetime.fromtimestamp(now, _SEOUL).date()",
        "datetime.fromtimestamp(now).date()",
        "IN-07", "IN-09",
    ),
    off(
        "a person is known under a pepper", "subject.py",
        "seal.mac(self._key_pepper, domain,",
        'seal.mac(b"", domain,',
        "PV-02",
    ),
    off("a move gives both names", "oidc/id_token.py", '"previous_sub"', '"former_sub"', "PV-03"),
)  # fmt: skip

SWITCHES: tuple[Switch, ...] = (*QUESTIONS, *ANSWERS, *ENVELOPE, *DEVICES, *HTTP, *TEXT_AND_PRIVACY)
