"""The checks of certificates, mdocs and status lists: XC, MD, SL."""

from tests.security.switches.switch import Edit, Switch, off

_JOSE, _CHAINS, _SCHEMA = "credentials/jose.py", "credentials/chains.py", "credentials/schema.py"
_MDOC, _MSO, _COSE, _CBOR = (f"credentials/{name}.py" for name in ("mdoc", "mso", "cose", "cbor"))
_STATUS, _ONE_STEP = "credentials/status.py", "credentials/one_step.py"
_NAIVE = (
    "path = [leaf, *intermediates]\n"
    "            path.append(next(one for one in self._read if one.subject == path[-1].issuer))"
)
_DEVICE = """    cose.check_signature(
        document.device_signature,
        signed.device_key,
        Reason.DEVICE_SIGNATURE,
        detached=cbor.embedded(authentication),
    )
"""

CHAINS = (
    off(
        "a path leads to an anchor", _CHAINS,
        "path = _verifier(policy, now).verify(leaf, intermediates).chain",
        _NAIVE,
        "XC-01", "XC-05", "XC-07", "XC-11", "MD-11",
    ),
    off(
        "a leaf right below its anchor has no critical extension but those that are read", _ONE_STEP,
        "(extension.critical and kind not in _READ) or kind is",
        "kind is",
        "XC-07",
    ),
    off(
        "a leaf right below its anchor is signed by it", _ONE_STEP,
        "                except InvalidSignature:\n"
        "                    continue\n",
        "                except InvalidSignature:\n"
        "                    return anchor\n",
        "XC-01",
    ),
    Switch(
        "a chain holds its path alone, in order",
        (
            Edit(_CHAINS, "        if issuer != above:", "        if False:"),
            Edit(_CHAINS, "if path[:-1] != [leaf, *intermediates]:", "if False:"),
        ),
        ("XC-01",),
    ),
    off(
        "a chain has a length", _JOSE,
        "if not isinstance(chain, list) or not 1 <= len(chain) <= MAX_X5C:",
        "if False:",
        "XC-01",
    ),
    off("a certificate is valid now", _CHAINS, "if not not_before <= now <= not_after:", "if False:", "XC-02"),
    off(
        "a leaf is not of another trade", _CHAINS,
        "if not accepted_ekus and purposes is not None and OTHER_TRADES.issuperset(named):",
        "if False:",
        "XC-03",
    ),
    off(
        "a leaf has the type's purpose", _CHAINS,
        "if accepted_ekus and accepted_ekus.isdisjoint(named):",
        "if False:",
        "XC-03",
    ),
    off(
        "a leaf signs", _CHAINS,
        "if usage is None or not usage.digital_signature or usage.key_cert_sign:",
        "if False:",
        "XC-03",
    ),
    off(
        "the registry is read again", "admin/trust.py",
        "not 0 <= now - self._read_at < RELOAD_S",
        "False",
        "XC-09", "XC-10",
    ),
    off(
        "the last good registry stands", "admin/trust.py",
        "            if last is None:\n"
        "                raise\n",
        "            raise\n",
        "XC-10",
    ),
    off(
        "a registry is JSON", "admin/trust.py",
        "    except ValueError:\n"
        '        raise TrustDocumentError(["a row that is not JSON"]) from None',
        "    finally:\n"
        "        pass",
        "XC-10",
    ),
    off(
        "no registry is no bug", "views/frame.py",
        "        app.register_error_handler(TrustDocumentError, self._unavailable)\n",
        "",
        "XC-10",
    ),
    off("rubbish is no certificate", _CHAINS, "_UNREADABLE = (\n    ValueError,\n", "_UNREADABLE = (\n", "XC-11"),
)  # fmt: skip

MDOC = (
    off(
        "the device has signed this request", _MDOC,
        _DEVICE,
        "    cbor.embedded(authentication)\n",
        "MD-01", "MD-03", "MD-04", "MD-15",
    ),
    off(
        "an element is the one that was signed", _MSO,
        "if digest(encoded).digest() != digests[digest_id]:",
        "if False:",
        "MD-05", "MD-07", "MD-06",
    ),
    off(
        "an element has a digest", _MSO,
        "if digest_id not in digests:",
        "if digest_id not in digests:\n"
        "            continue\n"
        "        if False:",
        "MD-06",
    ),
    off("an element stands once", _MSO, "if digest_id in seen or name in found:", "if False:", "MD-06"),
    off("the document is what its MSO says", _MDOC, "if signed.doc_type != document.doc_type:", "if False:", "MD-09"),
    off(
        "the issuer has signed the MSO", _MDOC,
        "    cose.check_signature(document.issuer_auth, issuer.key, Reason.ISSUER_SIGNATURE)\n",
        "",
        "MD-10",
    ),
    off(
        "an algorithm is protected", _COSE,
        "algorithm = header.get(ALG)\n",
        "algorithm = header.get(ALG, unprotected.get(ALG))\n",
        "MD-10",
    ),
    off("a label stands once", _COSE, "if not header.keys().isdisjoint(unprotected):", "if False:", "MD-10"),
    off("crit of COSE is understood", _COSE, "if CRIT in header or CRIT in unprotected:", "if False:", "MD-10"),
    off(
        "a chain is where it belongs", _MDOC,
        "    chain = cose.x5chain(document.issuer_auth.unprotected,",
        "    chain = cose.x5chain({**document.issuer_auth.unprotected, **document.issuer_auth.header},",
        "MD-11",
    ),
    off(
        "a device has signed at all", _MDOC,
        "    if device_signed is None:\n"
        "        raise",
        "    if device_signed is None:\n"
        "        device_signed = {}\n"
        "    if False:\n"
        "        raise",
        "MD-12",
    ),
    off(
        "a payload is detached", _COSE,
        "if payload is None or (detached is not None and message.payload is not None):",
        "if payload is None:",
        "MD-15",
    ),
    off("a device key is public", _COSE, "or _D in value:", "or False:", "MD-15"),
    off(
        "a device says what it may", _MDOC,
        "if not items or not all(signed.authorizations.allow(name_space, element) for element in items):",
        "if False:",
        "MD-16",
    ),
    off(
        "elements are the issuer's", _MDOC,
        '        doc_type=member(document, "docType", str),\n'
        "        name_spaces=",
        '        doc_type=member(document, "docType", str),\n'
        '        name_spaces=document["nameSpaces"] if "nameSpaces" in document else ',
        "MD-17",
    ),
    off("a response says that it is well", _MDOC, 'if member(response, "status", int) != 0:', "if False:", "MD-21"),
    off(
        "a response is one document", _MDOC,
        "if len(documents) != 1 or not isinstance(documents[0], dict):",
        "if False:",
        "MD-21",
    ),
    off(
        "a response has no errors beside", _MDOC,
        "if not _OTHER_DOCUMENTS.isdisjoint(response):",
        "if False:",
        "MD-21",
    ),
    off("keys stand once", _CBOR, "allow_duplicate_keys=False", "allow_duplicate_keys=True", "MD-22"),
    off("lengths are said", _CBOR, "allow_indefinite=False", "allow_indefinite=True", "MD-23"),
    off("nothing comes after the end", _CBOR, "if stream.tell() != len(data):", "if False:", "MD-24"),
    off(
        "what is no CBOR is the sender's", _CBOR,
        "except cbor2.CBORError:",
        "except ZeroDivisionError:",
        "MD-23", "MD-24", "MD-26", "MD-28",
    ),
    off(
        "a number is one of ours", _SCHEMA,
        "if isinstance(value, bool) or not isinstance(value, int) or value not in self.values:",
        "if False:",
        "MD-28",
    ),
    off("items are counted", _CBOR, "    if len(data) > _UNCOUNTED_BYTES:\n", "    if False:\n", "MD-29"),
    off(
        "base64url of a document has one alphabet", "seal.py",
        'if "+" in text or "/" in text or "=" in text:',
        "if False:",
        "MD-30",
    ),
)  # fmt: skip

STATUS = (
    off("a status is VALID", _STATUS, "if value != StatusValue.VALID:", "if False:", "SL-01", "SL-02", "SL-03"),
    off(
        "suspended has a reason of its own", _STATUS,
        "    if value == StatusValue.SUSPENDED:\n",
        "    if False:\n",
        "SL-02",
    ),
    off(
        "an index is one", _STATUS,
        "if isinstance(idx, bool) or not isinstance(idx, int) or idx < 0:",
        "if False:",
        "SL-04",
    ),
    off(
        "an index is within the list", _STATUS,
        "if idx < 0 or idx * self.bits >= len(self.entries) * 8:",
        "if False:",
        "SL-04",
    ),
    off(
        "a list says what it is", _STATUS,
        'if unverified.header.get("typ") != "statuslist+jwt":',
        "if False:",
        "SL-06",
    ),
    off("a list is the one that was asked for", _STATUS, 'if claims.get("sub") != uri:', "if False:", "SL-06"),
    off(
        "a list has a time", _STATUS,
        "if issued_at is None or issued_at > now + SKEW_S:",
        "issued_at = issued_at or now\n"
        "    if False:",
        "SL-06",
    ),
    Switch(
        "a list has not expired",
        (
            Edit(_STATUS, "if expires_at is not None and now >= expires_at:", "if False:"),
            Edit(_STATUS, "for moment in (expires_at, not_after)", "for moment in (not_after,)"),
        ),
        ("SL-06",),
    ),
    off("a list is signed", _STATUS, "    token.check_signature(key)\n", "", "SL-06"),
    off(
        "a list is the mission's", _STATUS,
        "signer = status_signer(mission, unverified.certificates(), now)",
        "signer = __import__('idp.credentials.chains', fromlist=['x']).pinned(unverified.certificates()[0], now)",
        "SL-06",
    ),
    off(
        "a host that fails is left alone", _STATUS,
        "slot.retry_at = now + self._retry_s",
        "slot.retry_at = now",
        "SL-07",
    ),
    off(
        "a host that cannot be had is no bug", "wiring.py",
        "    fetched = outside.get(uri, accept=token_type.value)\n",
        "    try:\n"
        "        fetched = outside.get(uri, accept=token_type.value)\n"
        "    except Exception:\n"
        "        raise RuntimeError from None\n",
        "SL-07",
    ),
    off(
        "a list is of its type of content", "wiring.py",
        "if fetched.content_type != token_type.value:",
        "if False:",
        "SL-07", "SL-17",
    ),
    off("a list is one stream", _STATUS, "if not stream.eof or stream.unused_data:", "if False:", "SL-08"),
    Switch(
        "a list has a limit",
        (
            Edit(_STATUS, ", MAX_LIST_BYTES + 1)", ")"),
            Edit(_STATUS, "if len(entries) > MAX_LIST_BYTES:", "if False:"),
        ),
        ("SL-08",),
    ),
    off(
        "a list is not asked for all the time", _STATUS,
        "max(listed.ttl_s, self._min_ttl_s)",
        "listed.ttl_s",
        "SL-09",
    ),
    off(
        "a list is not kept for ever", _STATUS,
        "        usable_until = now + self._max_age_s\n",
        "        usable_until = now + 10**12\n",
        "SL-09",
    ),
    off(
        "an address is one of the web", _STATUS,
        'or not uri.startswith(("https://", "http://")):',
        "or False:",
        "SL-12",
    ),
    off(
        "an address is not ours", "fetch.py",
        "        if address.is_loopback:\n"
        "            return listed and self.allow_loopback\n",
        "        if address.is_loopback:\n"
        "            return True\n",
        "SL-12",
    ),
    off("a status is required", _STATUS, "if known.status_required:", "if False:", "SL-14"),
    off(
        "credentials are looked after", "oidc/credential_watch.py",
        "                self._look_at(watched, done)\n",
        "",
        "SL-16",
    ),
    off(
        "no cookie goes to a host", "fetch.py",
        '            (b"Accept", accept.encode("ascii")),\n',
        '            (b"Accept", accept.encode("ascii")),\n'
        '            (b"Cookie", b"a=b"),\n',
        "SL-17", "PV-09",
    ),
)  # fmt: skip

SWITCHES: tuple[Switch, ...] = (*CHAINS, *MDOC, *STATUS)
