"""Distinguished names, as portals register them for `tls_client_auth` (RFC 8705, section 2.1.2)."""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.x509.oid import NameOID

# An attribute of a name given as the DER of its value (RFC 4514, section 2.4): `2.5.4.97=#130450534431`.
_HEX_VALUE = re.compile(r"((?:\A|(?<!\\)[,+])[A-Za-z0-9.-]+=)#((?:[0-9A-Fa-f]{2})+)(?=[,+]|\Z)")
_STRING_TAGS = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii"}  # UTF8String, PrintableString, IA5String
_ATTRIBUTE_TYPE = re.compile(r"(\A|(?<!\\)[,+]) *([A-Za-z][A-Za-z0-9-]*)=")
_ATTRIBUTES = {  # names that OpenSSL writes beyond RFC 4514's own
    "EMAILADDRESS": NameOID.EMAIL_ADDRESS,
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "ORGANIZATIONIDENTIFIER": NameOID.ORGANIZATION_IDENTIFIER,
    "BUSINESSCATEGORY": NameOID.BUSINESS_CATEGORY,
    "JURISDICTIONC": NameOID.JURISDICTION_COUNTRY_NAME,
    "GN": NameOID.GIVEN_NAME,
    "SN": NameOID.SURNAME,
    "TITLE": NameOID.TITLE,
}


def distinguished_name(text: str) -> x509.Name:
    """A distinguished name from its text. Raises ValueError.

    Compare the result, never the text: escapes, attribute names and the order within a multi-valued part may be
    written in several ways. Values are compared as they are, also their case.

    Spec: RFC 4514.
    """
    in_capitals = _ATTRIBUTE_TYPE.sub(lambda found: f"{found[1]}{found[2].upper()}=", text)
    return x509.Name.from_rfc4514_string(_HEX_VALUE.sub(_plain_value, in_capitals), _ATTRIBUTES)


def _plain_value(found: re.Match[str]) -> str:
    tag, length, *content = bytes.fromhex(found[2])
    if tag not in _STRING_TAGS or length != len(content) or length > 127:
        raise ValueError("not a string in DER")
    # Every octet escaped, so that nothing in it is syntax.
    return found[1] + "".join(f"\\{octet:02x}" for octet in bytes(content).decode(_STRING_TAGS[tag]).encode())
