"""The checks of SD-JWT VCs, and of who shows them: SJ, KB."""

from tests.security.switches.switch import Edit, Switch, off

_JOSE, _SD_JWT, _VC = "credentials/jose.py", "credentials/sd_jwt.py", "credentials/sd_jwt_vc.py"
_SCHEMA, _RESPONSE = "credentials/schema.py", "openid4vp/response.py"

SD_JWT = (
    off("the issuer has signed", _SD_JWT, "    jose.check_signature(token.issuer, ", "    (token.issuer, ", "SJ-01"),
    off(
        "a signature has a length", "credentials/ecdsa.py",
        "if len(signature) != 2 * size:",
        "if not signature: return True\n"
        "        if False:",
        "SJ-02",
    ),
    off(
        "the algorithm is one of ours", _JOSE,
        'if header.get("alg") not in ALGORITHMS:',
        "if False:",
        "SJ-02", "KB-09",
    ),
    off("crit is understood", _JOSE, 'if "crit" in header or "b64" in header:', "if False:", "SJ-01"),
    off("a disclosure is referenced", _SD_JWT, "if not walk.seen.issuperset(disclosed):", "if False:", "SJ-05"),
    off(
        "the hash is one of ours", _SD_JWT,
        "if not isinstance(name, str) or name not in _HASHES:",
        "if False:",
        "SJ-05",
    ),
    off(
        "a digest stands once", _SD_JWT,
        "if len(fresh) != len(digests) or not walk.seen.isdisjoint(fresh):",
        "if False:",
        "SJ-06", "SJ-07", "SJ-08",
    ),
    off("a disclosure is sent once", _SD_JWT, "if len(disclosed) != len(keys):", "if False:", "SJ-09"),
    off("names are not reserved", _SD_JWT, 'if name in _RESERVED or name == "_sd_alg":', "if False:", "SJ-10"),
    off("some claims stand whole", _SD_JWT, "if depth == 0 and claim in walk.undisclosable:", "if False:", "SJ-10"),
    off("a claim stands once", _SD_JWT, "if claim in result:", "if False:", "SJ-10"),
    off(
        "a disclosure has its shape", _SD_JWT,
        "if len(contents) not in (2, 3) or not isinstance(contents[0], str):",
        "if False:",
        "SJ-12",
    ),
    off("an element is no claim", _SD_JWT, "        if name is not None:", "        if False:", "SJ-12"),
    off(
        "base64url has one alphabet", "seal.py",
        'if "+" in text or "/" in text or "=" in text:',
        "if False:",
        "SJ-13",
    ),
    off("base64url has one spelling", "seal.py", "if spare and text[-1] not in _LAST[spare]:", "if False:", "SJ-13"),
    off(
        "the type of the token", _SD_JWT,
        "if not isinstance(typ, str) or typ not in header_types:",
        "if False:",
        "SJ-17",
    ),
    off(
        "the type is one that was asked for", _VC,
        "if known.id not in expected.accepted_types:",
        "if False:",
        "SJ-18",
    ),
    Switch(
        "the type is compared exactly",
        (
            Edit(_VC, "trust.type_named(FORMAT, vct)", 'trust.type_named(FORMAT, vct.lower().rstrip("/"))'),
            Edit(_RESPONSE, "if verified.name not in alternative.looks.names:", "if False:"),
        ),
        ("SJ-18",),
    ),
    off("a type is a text", _VC, "if not isinstance(vct, str):", "if False:", "SJ-18"),
    off(
        "it has not expired", _SD_JWT,
        "if expires_at is not None and now >= expires_at + SKEW_S:",
        "if False:",
        "SJ-19",
    ),
    off("it has begun", _SD_JWT, "if begins_at is not None and now < begins_at - SKEW_S:", "if False:", "SJ-19"),
    off(
        "a time is a number", _JOSE,
        "if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_NUMERIC_DATE:",
        "if False:",
        "SJ-19",
    ),
    Switch(
        "a type is not inherited",
        (
            Edit(
                _VC,
                "trust.type_named(FORMAT, vct)",
                'trust.type_named(FORMAT, str(unverified_payload.get("extends", vct)))',
            ),
            Edit(_RESPONSE, "if verified.name not in alternative.looks.names:", "if False:"),
        ),
        ("SJ-23",),
    ),
    off(
        "nothing is fetched for a key", _VC,
        "    known, looks = _accepted_type(token.issuer.payload, expected, trust)\n"
        "    chain =",
        '    if "jku" in token.issuer.header:\n'
        '        __import__("socket").create_connection(("127.0.0.2", 1), 1)\n'
        "    known, looks = _accepted_type(token.issuer.payload, expected, trust)\n"
        "    chain =",
        "SJ-24",
    ),
    off("one serialisation is read", _SD_JWT, "if len(parts) < 2:", "if False:", "SJ-26"),
    off("disclosures are counted", _SD_JWT, "if len(parts) > MAX_DISCLOSURES + 2:", "if False:", "SJ-29"),
    off("a header has a limit", _JOSE, "if len(parts[0]) > MAX_HEADER_CHARS:", "if False:", "XC-11"),
    off("a token has a limit", _JOSE, "    if len(text) > max_chars:", "    if False:", "SJ-29"),
    off("a payload is not deep", _SD_JWT, "if depth > MAX_DEPTH:", "if False:", "SJ-29"),
    off("a member stands once", "strict_json.py", "if len(value) != len(pairs):", "if False:", "SJ-30", "WP-23"),
    off(
        "a text is a text", _SCHEMA,
        "if not isinstance(value, str) or not 1 <= len(value) <= self.max_chars:",
        "if False:",
        "SJ-31", "IN-02",
    ),
    off(
        "a text has no mark-up", _SCHEMA,
        "elif (_NOT_LINES if self.lines else _NOT_TEXT).search(value):",
        "elif False:",
        "SJ-31", "IN-02",
    ),
    off(
        "a portrait cannot run", _SCHEMA,
        "if not isinstance(value, str) or not value.startswith(_PICTURES) or len(value) > self.max_chars:",
        "if False:",
        "SJ-31",
    ),
    off(
        "a day is one of the calendar", _SCHEMA,
        "if not isinstance(value, str) or not _DATE.fullmatch(value):",
        "if len(str(value)) > 10: return value\n"
        "        if False:",
        "SJ-32",
    ),
    off("nobody is born tomorrow", _SCHEMA, "if self.past and day > today:", "if False:", "SJ-32", "IN-07"),
    off(
        "decoys are passed over", _SD_JWT,
        "    return [digest for digest in digests if digest in walk.disclosed]",
        "    return list(digests) if len(digests) > 20 else [digest for digest in digests if digest "
        "in walk.disclosed]",
        "SJ-34",
    ),
)  # fmt: skip

KEY_BINDING = (
    off("the audience is ours", _SD_JWT, 'if claims.get("aud") != expected.audience:', "if False:", "KB-02"),
    off(
        "the audience is compared whole", _SD_JWT,
        'if claims.get("aud") != expected.audience:',
        'if str(claims.get("aud")).strip("[\']") not in expected.audience:',
        "KB-02",
    ),
    off("the nonce is this login's", _SD_JWT, 'if claims.get("nonce") != expected.nonce:', "if False:", "KB-03"),
    off(
        "the nonce is compared exactly", _SD_JWT,
        'if claims.get("nonce") != expected.nonce:',
        'if str(claims.get("nonce")).lower() != expected.nonce.lower():',
        "KB-03",
    ),
    off(
        "what is shown was hashed", _SD_JWT,
        'if claims.get("sd_hash") != _digest(digest, token.signed_part):',
        "if False:",
        "KB-04",
    ),
    off(
        "a binding is recent", _SD_JWT,
        "if abs(now - issued_at) > KEY_BINDING_WINDOW_S + SKEW_S:",
        "if False:",
        "KB-06",
    ),
    off(
        "a binding has a time", _SD_JWT,
        "if isinstance(issued_at, bool) or not isinstance(issued_at, int):",
        "issued_at = now if not isinstance(issued_at, int) else issued_at\n"
        "    if False:",
        "KB-06",
    ),
    off("a binding is one", _SD_JWT, 'if proof.header.get("typ") != "kb+jwt":', "if False:", "KB-07"),
    off(
        "the holder has signed", _SD_JWT,
        "    jose.check_signature(proof, key, Reason.KEY_BINDING_SIGNATURE)\n",
        "",
        "KB-09", "KB-11",
    ),
    off(
        "a binding is there", _SD_JWT,
        "    if proof is None:\n"
        "        raise",
        "    if proof is None:\n"
        "        return\n"
        "        raise",
        "KB-09",
    ),
    off(
        "the holder's key stands by itself", _SD_JWT,
        "if not isinstance(confirmation, dict) or not _CONFIRMATION_MEMBERS.issuperset(confirmation):",
        "if False:",
        "KB-10",
    ),
    off(
        "the holder's key is public", _JOSE,
        'if not isinstance(jwk, dict) or jwk.get("kty") != "EC" or not _PRIVATE_MEMBERS.isdisjoint(jwk):',
        "if False:",
        "KB-10",
    ),
    off("the holder's key is for signatures", _JOSE, 'if jwk.get("use", "sig") != "sig":', "if False:", "KB-10"),
    off(
        "a header's own key is not looked at", _SD_JWT,
        "jose.check_signature(proof, key,",
        'jose.check_signature(proof, jose.public_key(proof.header.get("jwk")) if "jwk" in proof.header else key,',
        "KB-11",
    ),
)  # fmt: skip

SWITCHES: tuple[Switch, ...] = (*SD_JWT, *KEY_BINDING)
