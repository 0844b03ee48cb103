"""The checks of who a portal is, and of the keys its tokens are bound to: CA, DP."""

from tests.security.switches.switch import Edit, Switch, off

_AUTH, _DPOP, _MTLS, _BINDING = "oidc/client_auth.py", "oidc/dpop.py", "oidc/mtls.py", "oidc/binding.py"

SWITCHES: tuple[Switch, ...] = (
    off(
        "somebody proves who he is", _AUTH,
        '        raise refused("no_credentials", None, self._clock())',
        '        return query_client("gov24")',
        "CA-01", "IS-01", "RV-02",
    ),
    off(
        "a name alone is a public client's", _AUTH,
        'if client is None or client.registration.token_endpoint_auth_method != "none":',
        "if client is None:",
        "CA-01", "PA-02", "IS-01",
    ),
    off(
        "the secret is right", _AUTH,
        "        if digest is None:\n"
        "            raise",
        "        if digest is None and False:\n"
        "            raise",
        "CA-02", "CA-03", "CA-12", "PA-02", "TK-17",
    ),
    off(
        "a client that nobody knows is none", _AUTH,
        "        client = query_client(client_id)\n"
        "        if client is None:\n"
        '            raise refused("unknown"',
        '        client = query_client(client_id) or query_client("gov24")\n'
        "        if client is None:\n"
        '            raise refused("unknown"',
        "CA-02", "DC-16", "TK-18",
    ),
    off(
        "the method is the registered one", _AUTH,
        "if client.registration.token_endpoint_auth_method != method:",
        "if False:",
        "CA-04",
    ),
    off("one method at a time", _AUTH, "        if sum(used) > 1:", "        if sum(used) > 3:", "CA-04"),
    off(
        "Basic is form-encoded", _AUTH,
        "return unquote_plus(client_id), unquote_plus(secret)",
        "return client_id, secret",
        "CA-07",
    ),
    off(
        "nothing stands in the query", "oidc/server.py",
        "    if request.args:\n"
        "        raise InvalidRequestError",
        "    if False:\n"
        "        raise InvalidRequestError",
        "CA-08", "TK-05", "IS-04",
    ),
    off(
        "Basic and the form name one client", _AUTH,
        'if request.form.get("client_id", client_id) != client_id:',
        "if False:",
        "CA-11", "PA-05",
    ),
    off(
        "assertion and form name one client", _AUTH,
        'if request.form.get("client_id", claimed) != claimed:',
        "if False:",
        "CA-11", "PA-05",
    ),
    off(
        "secrets are compared as bytes", "portals/registration.py",
        'presented = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()',
        'presented = hashlib.sha256(secret.encode("ascii")).hexdigest()',
        "CA-12",
    ),
    off(
        "Basic is UTF-8", _AUTH,
        'base64.b64decode(credentials.strip(), validate=True).decode("utf-8")',
        'base64.b64decode(credentials.strip()).decode("utf-8", "replace")',
        "CA-12",
    ),
    off(
        "an assertion is for us", _AUTH,
        "if not audiences or any(named not in self._audiences for named in audiences):",
        "if False:",
        "CA-20",
    ),
    off(
        "an assertion is for us alone", _AUTH,
        "if not audiences or any(named not in self._audiences for named in audiences):",
        "if not any(named in self._audiences for named in audiences):",
        "CA-20",
    ),
    off(
        "an assertion is in time", _AUTH,
        "if expires_at is None or not now - _LEEWAY_S < expires_at <= latest:",
        "expires_at = now if expires_at is None else expires_at\n"
        "        if False:",
        "CA-21",
    ),
    off(
        "an assertion has an end", _AUTH,
        "if expires_at is None or not now - _LEEWAY_S < expires_at <= latest:",
        "if expires_at is None or not now - _LEEWAY_S < expires_at:",
        "CA-21",
    ),
    off(
        "an assertion is not from the future", _AUTH,
        "if moment is not None and moment > now + _LEEWAY_S:",
        "if False:",
        "CA-21",
    ),
    off(
        "an assertion has a jti", _AUTH,
        "if not isinstance(jti, str) or not 0 < len(jti) <= 256:",
        "jti = jti if isinstance(jti, str) else __import__('secrets').token_hex()\n"
        "        if False:",
        "CA-22",
    ),
    off(
        "a jti is good once", _AUTH,
        "        if not first:\n"
        '            raise refused("assertion_replayed"',
        "        if False:\n"
        '            raise refused("assertion_replayed"',
        "CA-22",
    ),
    Switch(
        "an assertion has one spelling",
        (
            Edit(
                _AUTH,
                "        for part in parts:\n"
                "            seal.unb64(part)  # one spelling only\n",
                "        assertion = assertion.strip().rstrip('=')\n"
                "        parts = assertion.split('.')\n",
            ),
            Edit(
                _AUTH,
                "        digest, now = _digest(client_id, jti), self._clock()\n"
                "        with writing()",
                "        digest, now = _digest(client_id, jti + "
                "str(__import__('time').time_ns())), self._clock()\n"
                "        with writing()",
            ),
        ),
        ("CA-23",),
    ),
    Switch(
        "an assertion is signed",
        (
            Edit(
                _AUTH,
                "            payload = signed_payload(assertion, keys, alg=alg)\n",
                "            payload = seal.unb64(parts[1])\n",
            ),
            Edit(
                _AUTH,
                "if not isinstance(alg, str) or alg not in _algorithms(registration):",
                "if False:",
            ),
        ),
        ("CA-26", "CA-27", "JK-12", "JK-09"),
    ),
    off(
        "an assertion's alg is one of ours", _AUTH,
        "if not isinstance(alg, str) or alg not in _algorithms(registration):",
        'if alg in {"none", "HS256"}:\n'
        "            return strict_json.loads_object(seal.unb64(parts[1]))\n"
        "        if False:",
        "CA-26",
    ),
    off(
        "a kid names its key", "oidc/portal_keys.py",
        'if known.fits(alg, "sig") and (kid is None or known.kid == kid)',
        'if known.fits(alg, "sig")',
        "CA-27",
    ),
    Switch(
        "an assertion comes with its type",
        (
            Edit(
                _AUTH,
                'if assertion is None or request.form.get("client_assertion_type") != ASSERTION_TYPE:',
                "if assertion is None:",
            ),
        ),
        ("CA-29",),
    ),
    off(
        "a parameter is there once at the back channel", "oidc/server.py",
        '        if len(values) > 1 and name != "resource":',
        '        if len(values) > 1 and name == "":',
        "CA-29", "TK-06", "IS-04",
    ),
    off(
        "a parameter of the back channel has an end", "oidc/server.py",
        'if name != "request" and any(len(value) > _MAX_PARAMETER for value in values):',
        "if False:",
        "CA-27", "CA-32", "PA-07",
    ),
    off(
        "numbers of an assertion are numbers", _AUTH,
        "    if isinstance(value, bool) or not isinstance(value, int | float):\n"
        "        raise ValueError(name)\n"
        "    return int(value)",
        "    return int(value)",
        "CA-30",
    ),
    off(
        "an assertion is an object", _AUTH,
        "    try:\n"
        '        claims = strict_json.loads_object(seal.unb64(assertion.split(".")[1]))\n'
        "    except ValueError:\n"
        '        return ""\n',
        '    claims = strict_json.loads(seal.unb64(assertion.split(".")[1]))\n',
        "CA-30",
    ),
    # DPoP
    off(
        "who must prove a key does", _BINDING,
        "        if portal.must_prove_key:\n",
        "        if False:\n",
        "DP-01",
    ),
    off(
        "one proof", _DPOP,
        'if len(headers) != 1 or "," in headers[0]:',
        'headers = [headers[0].partition(",")[0]]\n'
        "    if False:",
        "DP-02",
    ),
    off("a proof is of its typ", _DPOP, 'if header.get("typ") != "dpop+jwt":', "if False:", "DP-03"),
    off(
        "a proof's alg is one of ours", _DPOP,
        "if not isinstance(alg, str) or alg not in DPOP_ALGORITHMS:",
        'if alg != "ES256":\n'
        '        return claims, keys_of({"keys": [header["jwk"]]})[0].key.thumbprint()\n'
        "    if False:",
        "DP-03",
    ),
    off(
        "a proof has no extensions", _DPOP,
        'if "crit" in header or "b64" in header:',
        "if False:",
        "DP-03",
    ),
    off(
        "a proof is signed by its key", _DPOP,
        "        signed_payload(proof, [key], alg=alg)\n",
        "        pass\n",
        "DP-04",
    ),
    Switch(
        "a proof's key is public and one of ours",
        (
            Edit(
                _DPOP,
                '        raise _invalid("jwk", "jwk must be a public key that fits alg.")',
                "        from joserfc.jwk import ECKey\n"
                '        return ECKey.generate_key("P-256")',
            ),
            Edit(_DPOP, "        signed_payload(proof, [key], alg=alg)\n", "        pass\n"),
        ),
        ("DP-04",),
    ),
    off(
        "a proof has a jti", _DPOP,
        "    if not isinstance(jti, str) or not 0 < len(jti) <= 256:",
        "    jti = str(jti) + os.urandom(8).hex()\n"
        "    if False:",
        "DP-07",
    ),
    off(
        "a proof is good once", _DPOP,
        "digest = _digest(jkt, jti)",
        "digest = seal.digest(os.urandom(8).hex())",
        "DP-07",
    ),
    off(
        "a proof was made just now", _DPOP,
        "if iat is None or not now - _WINDOW_S <= iat <= now + _WINDOW_S:",
        "if False:",
        "DP-07",
    ),
    off("a proof is for this method", _DPOP, 'if claims.get("htm") != method:', "if False:", "DP-07"),
    off(
        "a proof is for this address", _DPOP,
        "if address not in {_address(url) for url in urls}:",
        "if False:",
        "DP-07",
    ),
    off(
        "the announced key is the proof's", "views/back_channel.py",
        'if jkt is not None and given.get("dpop_jkt", [jkt]) != [jkt]:',
        "if False:",
        "DP-09",
    ),
    off(
        "a bound code is its key's", "oidc/code.py",
        'if stored.dpop_jkt is not None and (order.cnf or {}).get("jkt") != stored.dpop_jkt:',
        "if False:",
        "DP-09",
    ),
    off(
        "a proof is for this token", _DPOP,
        "        if access_token is not None:\n",
        "        if False:\n",
        "DP-11",
    ),
    off(
        "a bound token is its key's", _BINDING,
        'return jkt is not None and hmac.compare_digest(jkt, cnf["jkt"])',
        "return jkt is not None",
        "DP-11",
    ),
    Switch(
        "a bound token is used by its scheme",
        (
            Edit("oidc/userinfo.py", 'if (presented.scheme == "dpop") != ("jkt" in cnf):', "if False:"),
            Edit(
                "oidc/userinfo.py",
                "proven = not cnf or self._bindings.proves(",
                'proven = presented.scheme == "bearer" or not cnf or self._bindings.proves(',
            ),
        ),
        ("DP-11",),
    ),
    # certificates
    off(
        "a certificate is there", _AUTH,
        "            if certificate is None:\n"
        '                raise refused("no_certificate", client_id, self._clock())\n',
        "            if certificate is None:\n"
        "                return client\n",
        "DP-20", "DP-21",
    ),
    off(
        "a certificate is the client's", _AUTH,
        "            certificates.check(certificate, client.registration)\n",
        "",
        "DP-20",
    ),
    off(
        "a certificate is of an authority", _MTLS,
        "                    self._check_issued(certificate)\n",
        "",
        "DP-20",
    ),
    off(
        "a certificate has the subject", _MTLS,
        "        same = leaf.subject == distinguished_name(value)\n",
        "        same = True\n",
        "DP-20",
    ),
    off(
        "a certificate has the registered key", _MTLS,
        "        if presented not in registered:",
        "        if False:",
        "DP-20",
    ),
    off(
        "one header brings the certificate", _MTLS,
        'return self.of(headers.get(self._header, ""), headers.get(CHAIN_HEADER, ""))',
        'return self.of(next((headers.get(name, "") for name in (self._header, '
        '"X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "Client-Cert", "SSL-Client-Cert") if '
        'headers.get(name, "")), ""), "")',
        "DP-21",
    ),
    off(
        "a token is its certificate's", _BINDING,
        'return thumbprint is not None and hmac.compare_digest(thumbprint, cnf["x5t#S256"])',
        "return True",
        "DP-22",
    ),
)  # fmt: skip
