"""The checks of credentials: SJ, KB, XC, MD, SL."""

from tests.security.switches.switch import Edit, Switch, off

_JOSE, _SD_JWT, _VC = "credentials/jose.py", "credentials/sd_jwt.py", "credentials/sd_jwt_vc.py"
_CHAINS, _TRUST, _SCHEMA = "credentials/chains.py", "credentials/trust.py", "credentials/schema.py"
_MDOC, _MSO, _COSE, _CBOR = (f"credentials/{name}.py" for name in ("mdoc", "mso", "cose", "cbor"))
_STATUS = "credentials/status.py"
_NAIVE = "path = [leaf, *intermediates, next(iter(self._validity))]"
_DEVICE = """    cose.check_signature(
        document.device_signature,
        signed.device_key,
        Reason.DEVICE_SIGNATURE,
        detached=cbor.embedded(authentication),
    )
"""

SD_JWT = (
    off("the issuer has signed", _SD_JWT, "    jose.check_signature(token.issuer, ", "    (token.issuer, ", "SJ-01"),
    off("a signature has a length", "credentials/ecdsa.py", "if len(signature) != 2 * size:", "if not signature: return True\n        if False:", "SJ-02"),
    off("the algorithm is one of ours", _JOSE, 'if header.get("alg") not in ALGORITHMS:', "if False:", "SJ-02", "KB-09"),
    off("crit is understood", _JOSE, 'if "crit" in header or "b64" in header:', "if False:", "SJ-01"),
    off("a disclosure is referenced", _SD_JWT, "if not walk.seen.issuperset(disclosed):", "if False:", "SJ-05"),
    off("the hash is one of ours", _SD_JWT, "if not isinstance(name, str) or name not in _HASHES:", "if False:", "SJ-05"),
    off("a digest stands once", _SD_JWT, "if len(fresh) != len(digests) or not walk.seen.isdisjoint(fresh):", "if False:", "SJ-06", "SJ-07", "SJ-08"),
    off("a disclosure is sent once", _SD_JWT, "if len(disclosed) != len(keys):", "if False:", "SJ-09"),
    off("names are not reserved", _SD_JWT, 'if name in _RESERVED or name == "_sd_alg":', "if False:", "SJ-10"),
    off("some claims stand whole", _SD_JWT, "if depth == 0 and claim in walk.undisclosable:", "if False:", "SJ-10"),
    off("a claim stands once", _SD_JWT, "if claim in result:", "if False:", "SJ-10"),
    off("a disclosure has its shape", _SD_JWT, "if not isinstance(contents, list) or len(contents) not in (2, 3) or not isinstance(contents[0], str):", "if False:", "SJ-12"),
    off("an element is no claim", _SD_JWT, "        if name is not None:", "        if False:", "SJ-12"),
    off("base64url has one alphabet", "seal.py", 'if "+" in text or "/" in text or "=" in text:', "if False:", "SJ-13"),
    off("base64url has one spelling", "seal.py", "if spare and text[-1] not in _LAST[spare]:", "if False:", "SJ-13"),
    off("the type of the token", _SD_JWT, "if not isinstance(typ, str) or typ not in header_types:", "if False:", "SJ-17"),
    off("the type is one that was asked for", _VC, "if known.id not in expected.accepted_types:", "if False:", "SJ-18"),
    off("the type is compared exactly", _VC, "trust.type_named(FORMAT, vct)", 'trust.type_named(FORMAT, vct.lower().rstrip("/"))', "SJ-18"),
    off("a type is a text", _VC, "if not isinstance(vct, str):", "if False:", "SJ-18"),
    off("it has not expired", _SD_JWT, "if expires_at is not None and now >= expires_at + SKEW_S:", "if False:", "SJ-19"),
    off("it has begun", _SD_JWT, "if begins_at is not None and now < begins_at - SKEW_S:", "if False:", "SJ-19"),
    off("a time is a number", _JOSE, "if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_NUMERIC_DATE:", "if False:", "SJ-19"),
    off("a type is not inherited", _VC, "trust.type_named(FORMAT, vct)", 'trust.type_named(FORMAT, str(unverified_payload.get("extends", vct)))', "SJ-23"),
    off("nothing is fetched for a key", _VC, "    known, looks = _accepted_type(token.issuer.payload, expected, trust)\n    chain =", '    if "jku" in token.issuer.header:\n        __import__("socket").create_connection(("127.0.0.2", 1), 1)\n    known, looks = _accepted_type(token.issuer.payload, expected, trust)\n    chain =', "SJ-24"),
    off("one serialisation is read", _SD_JWT, "if len(parts) < 2:", "if False:", "SJ-26"),
    off("disclosures are counted", _SD_JWT, "if len(parts) > MAX_DISCLOSURES + 2:", "if False:", "SJ-29"),
    off("a header has a limit", _JOSE, "if len(parts[0]) > MAX_HEADER_CHARS:", "if False:", "SJ-29"),
    off("a token has a limit", _JOSE, "    if len(text) > max_chars:", "    if False:", "SJ-29"),
    off("a payload is not deep", _SD_JWT, "if depth > MAX_DEPTH:", "if False:", "SJ-29"),
    off("a member stands once", "strict_json.py", "if len(value) != len(pairs):", "if False:", "SJ-30", "WP-23"),
    off("a text is a text", _SCHEMA, "if not isinstance(value, str) or not 1 <= len(value) <= self.max_chars:", "if False:", "SJ-31", "IN-02"),
    off("a text has no mark-up", _SCHEMA, "elif (_NOT_LINES if self.lines else _NOT_TEXT).search(value):", "elif False:", "SJ-31", "IN-02"),
    off("a portrait cannot run", _SCHEMA, "if not isinstance(value, str) or not value.startswith(_PICTURES) or len(value) > self.max_chars:", "if False:", "SJ-31"),
    off("a day is one of the calendar", _SCHEMA, "if not isinstance(value, str) or not _DATE.fullmatch(value):", "if len(str(value)) > 10: return value\n        if False:", "SJ-32"),
    off("nobody is born tomorrow", _SCHEMA, "if self.past and day > today:", "if False:", "SJ-32", "IN-07"),
    off("decoys are passed over", _SD_JWT, "    return [digest for digest in digests if digest in walk.disclosed]", "    return list(digests) if len(digests) > 25 else [digest for digest in digests if digest in walk.disclosed]", "SJ-34"),
)  # fmt: skip

KEY_BINDING = (
    off("the audience is ours", _SD_JWT, 'if claims.get("aud") != expected.audience:', "if False:", "KB-02"),
    off("the audience is compared whole", _SD_JWT, 'if claims.get("aud") != expected.audience:', 'if str(claims.get("aud")).strip("[\']") not in expected.audience:', "KB-02"),
    off("the nonce is this login's", _SD_JWT, 'if claims.get("nonce") != expected.nonce:', "if False:", "KB-03"),
    off("the nonce is compared exactly", _SD_JWT, 'if claims.get("nonce") != expected.nonce:', 'if str(claims.get("nonce")).lower() != expected.nonce.lower():', "KB-03"),
    off("what is shown was hashed", _SD_JWT, 'if claims.get("sd_hash") != _digest(digest, token.signed_part):', "if False:", "KB-04"),
    off("a binding is recent", _SD_JWT, "if abs(now - issued_at) > KEY_BINDING_WINDOW_S + SKEW_S:", "if False:", "KB-06"),
    off("a binding has a time", _SD_JWT, "if isinstance(issued_at, bool) or not isinstance(issued_at, int):", "issued_at = now if not isinstance(issued_at, int) else issued_at\n    if False:", "KB-06"),
    off("a binding is one", _SD_JWT, 'if proof.header.get("typ") != "kb+jwt":', "if False:", "KB-07"),
    off("the holder has signed", _SD_JWT, "    jose.check_signature(proof, key, Reason.KEY_BINDING_SIGNATURE)\n", "", "KB-09", "KB-11"),
    off("a binding is there", _SD_JWT, "    if proof is None:\n        raise", "    if proof is None:\n        return\n        raise", "KB-09"),
    off("the holder's key stands by itself", _SD_JWT, "if not isinstance(confirmation, dict) or not _CONFIRMATION_MEMBERS.issuperset(confirmation):", "if False:", "KB-10"),
    off("the holder's key is public", _JOSE, 'if not isinstance(jwk, dict) or jwk.get("kty") != "EC" or not _PRIVATE_MEMBERS.isdisjoint(jwk):', "if False:", "KB-10"),
    off("the holder's key is for signatures", _JOSE, 'if jwk.get("use", "sig") != "sig":', "if False:", "KB-10"),
    off("a header's own key is not looked at", _SD_JWT, "jose.check_signature(proof, key,", 'jose.check_signature(proof, jose.public_key(proof.header.get("jwk")) if "jwk" in proof.header else key,', "KB-11"),
)  # fmt: skip

CHAINS = (
    off("a path leads to an anchor", _CHAINS, "path = verifier.verify(leaf, intermediates).chain", _NAIVE, "XC-01", "XC-05", "XC-07", "XC-11", "MD-11"),
    off("a chain is in order", _CHAINS, "        if issuer != above:", "        if False:", "XC-01"),
    off("a chain holds its path alone", _CHAINS, "if path[:-1] != [leaf, *intermediates]:", "if False:", "XC-01"),
    off("a chain has a length", _JOSE, "if not isinstance(chain, list) or not 1 <= len(chain) <= MAX_X5C:", "if False:", "XC-01"),
    off("a certificate is valid now", _CHAINS, "if not not_before <= now <= not_after:", "if False:", "XC-02"),
    off("a leaf is not of another trade", _CHAINS, "if not accepted_ekus and purposes is not None and OTHER_TRADES.issuperset(named):", "if False:", "XC-03"),
    off("a leaf has the type's purpose", _CHAINS, "if accepted_ekus and accepted_ekus.isdisjoint(named):", "if False:", "XC-03"),
    off("a leaf signs", _CHAINS, "if usage is None or not usage.digital_signature or usage.key_cert_sign:", "if False:", "XC-03"),
    off("the registry is read again", "admin/trust.py", "not 0 <= now - self._read_at < RELOAD_S", "False", "XC-09", "XC-10"),
    off("the last good registry stands", "admin/trust.py", "            if last is None:\n                raise\n", "            raise\n", "XC-10"),
    off("a registry is JSON", "admin/trust.py", "    except ValueError:\n        raise TrustDocumentError([\"a row that is not JSON\"]) from None", "    finally:\n        pass", "XC-10"),
    off("no registry is no bug", "views/frame.py", "        app.register_error_handler(TrustDocumentError, self._unavailable)\n", "", "XC-10"),
    off("rubbish is no certificate", _CHAINS, "_UNREADABLE = (\n    ValueError,\n", "_UNREADABLE = (\n", "XC-11"),
)  # fmt: skip

MDOC = (
    off("the device has signed this request", _MDOC, _DEVICE, "    cbor.embedded(authentication)\n", "MD-01", "MD-03", "MD-04", "MD-15"),
    off("an element is the one that was signed", _MSO, "if digest(encoded).digest() != digests[digest_id]:", "if False:", "MD-05", "MD-07", "MD-06"),
    off("an element is hashed as received", _MSO, "digest(encoded).digest()", "digest(cbor.embedded(__import__('cbor2').dumps(__import__('cbor2').loads(cbor.embedded_content(encoded), ), canonical=True))).digest()" , "MD-07"),
    off("an element has a digest", _MSO, "if digest_id not in digests:", "if digest_id not in digests:\n            continue\n        if False:", "MD-06"),
    off("an element stands once", _MSO, "if digest_id in seen or name in found:", "if False:", "MD-06"),
    off("the document is what its MSO says", _MDOC, "if signed.doc_type != document.doc_type:", "if False:", "MD-09"),
    off("the issuer has signed the MSO", _MDOC, "    cose.check_signature(document.issuer_auth, issuer.key, Reason.ISSUER_SIGNATURE)\n", "", "MD-10"),
    off("an algorithm is protected", _COSE, "algorithm = header.get(ALG)\n", "algorithm = header.get(ALG, unprotected.get(ALG))\n", "MD-10"),
    off("a label stands once", _COSE, "if not header.keys().isdisjoint(unprotected):", "if False:", "MD-10"),
    off("crit of COSE is understood", _COSE, "if CRIT in header or CRIT in unprotected:", "if False:", "MD-10"),
    off("a chain is where it belongs", _MDOC, "    chain = cose.x5chain(document.issuer_auth.unprotected,", "    chain = cose.x5chain({**document.issuer_auth.unprotected, **document.issuer_auth.header},", "MD-11"),
    off("a device has signed at all", _MDOC, "    if device_signed is None:\n        raise", "    if device_signed is None:\n        device_signed = {}\n    if False:\n        raise", "MD-12"),
    off("a payload is detached", _COSE, "if payload is None or (detached is not None and message.payload is not None):", "if payload is None:", "MD-15"),
    off("a device key is public", _COSE, "or _D in value:", "or False:", "MD-15"),
    off("a device says what it may", _MDOC, "if not items or not all(signed.authorizations.allow(name_space, element) for element in items):", "if False:", "MD-16"),
    off("elements are the issuer's", _MDOC, '        doc_type=member(document, "docType", str),\n        name_spaces=', '        doc_type=member(document, "docType", str),\n        name_spaces=document["nameSpaces"] if "nameSpaces" in document else ', "MD-17"),
    off("a response says that it is well", _MDOC, 'if member(response, "status", int) != 0:', "if False:", "MD-21"),
    off("a response is one document", _MDOC, "if len(documents) != 1 or not isinstance(documents[0], dict):", "if False:", "MD-21"),
    off("a response has no errors beside", _MDOC, "if any(name in response for name in _OTHER_DOCUMENTS):", "if False:", "MD-21"),
    off("keys stand once", _CBOR, "allow_duplicate_keys=False", "allow_duplicate_keys=True", "MD-22"),
    off("lengths are said", _CBOR, "allow_indefinite=False", "allow_indefinite=True", "MD-23"),
    off("nothing comes after the end", _CBOR, "if stream.tell() != len(data):", "if False:", "MD-24"),
    off("what is no CBOR is the sender's", _CBOR, "except cbor2.CBORError:", "except ZeroDivisionError:", "MD-23", "MD-24", "MD-26", "MD-28"),
    off("a number is one of ours", _SCHEMA, "if isinstance(value, bool) or not isinstance(value, int) or value not in self.values:", "if False:", "MD-28"),
    off("items are counted", _CBOR, "    if len(data) > _UNCOUNTED_BYTES:\n", "    if False:\n", "MD-29"),
    off("base64url of a document has one alphabet", "seal.py", 'if "+" in text or "/" in text or "=" in text:', "if False:", "MD-30"),
)  # fmt: skip

STATUS = (
    off("a status is VALID", _STATUS, "if value != StatusValue.VALID:", "if False:", "SL-01", "SL-02", "SL-03"),
    off("suspended has a reason of its own", _STATUS, "    if value == StatusValue.SUSPENDED:\n", "    if False:\n", "SL-02"),
    off("an index is one", _STATUS, "if isinstance(idx, bool) or not isinstance(idx, int) or idx < 0:", "if False:", "SL-04"),
    off("an index is within the list", _STATUS, "if idx < 0 or idx * self.bits >= len(self.entries) * 8:", "if False:", "SL-04"),
    off("a list says what it is", _STATUS, 'if unverified.header.get("typ") != "statuslist+jwt":', "if False:", "SL-06"),
    off("a list is the one that was asked for", _STATUS, 'if claims.get("sub") != uri:', "if False:", "SL-06"),
    off("a list has a time", _STATUS, "if issued_at is None or issued_at > now + SKEW_S:", "issued_at = issued_at or now\n    if False:", "SL-06"),
    off("a list has not expired", _STATUS, "if expires_at is not None and now >= expires_at:", "if False:", "SL-06"),
    off("a list is signed", _STATUS, "    token.check_signature(key)\n", "", "SL-06"),
    off("a list is the mission's", _STATUS, "signer = status_signer(mission, unverified.certificates(), now)", "signer = __import__('idp.credentials.chains', fromlist=['x']).pinned(unverified.certificates()[0], now)", "SL-06"),
    off("a host that fails is left alone", _STATUS, "slot.retry_at = now + self._retry_s", "slot.retry_at = now", "SL-07"),
    off("a host that cannot be had is no bug", "wiring.py", "    fetched = outside.get(uri, accept=token_type.value)\n", "    try:\n        fetched = outside.get(uri, accept=token_type.value)\n    except Exception:\n        raise RuntimeError from None\n", "SL-07"),
    off("a list is of its type of content", "wiring.py", "if fetched.content_type != token_type.value:", "if False:", "SL-07", "SL-17"),
    off("a list is one stream", _STATUS, "if not stream.eof or stream.unused_data:", "if False:", "SL-08"),
    Switch(
        "a list has a limit",
        (
            Edit(_STATUS, ", MAX_LIST_BYTES + 1)", ")"),
            Edit(_STATUS, "if len(entries) > MAX_LIST_BYTES:", "if False:"),
        ),
        ("SL-08",),
    ),
    off("a list is not asked for all the time", _STATUS, "max(listed.ttl_s, self._min_ttl_s)", "listed.ttl_s", "SL-09"),
    off("a list is not kept for ever", _STATUS, "        usable_until = now + self._max_age_s\n", "        usable_until = now + 10**12\n", "SL-09"),
    off("an address is one of the web", _STATUS, 'or not uri.startswith(("https://", "http://")):', "or False:", "SL-12"),
    off("an address is not ours", "fetch.py", "        if address.is_loopback:\n            return listed and self.allow_loopback\n", "        if address.is_loopback:\n            return True\n", "SL-12"),
    off("a status is required", _STATUS, "if known.status_required:", "if False:", "SL-14"),
    off("credentials are looked after", "oidc/credential_watch.py", "                self._look_at(watched, done)\n", "", "SL-16"),
    off("no cookie goes to a host", "fetch.py", '            (b"Accept", accept.encode("ascii")),\n', '            (b"Accept", accept.encode("ascii")),\n            (b"Cookie", b"a=b"),\n', "SL-17", "PV-09"),
)  # fmt: skip

SWITCHES: tuple[Switch, ...] = (*SD_JWT, *KEY_BINDING, *CHAINS, *MDOC, *STATUS)
