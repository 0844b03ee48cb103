"""A wallet's reading of a request: the link, the signed request object, and what must be true of both.

OpenID4VP 1.0, sections 5 and 5.9, with HAIP 1.0, section 5. Strict on purpose: what HAIP forbids is
refused, not forgiven. Where the wallet would demand https it also takes http on a loopback address,
since the demonstration runs there.
"""

import base64
import binascii
import ipaddress
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from idp.demo import dcql, jose

MAX_REQUEST_BYTES = 65_536
MAX_AGE_S = 3_600
_SKEW_S = 60
_CONTENT_TYPE = "application/oauth-authz-req+jwt"
_SELF_ISSUED = "https://self-issued.me/v2"
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]+\Z")
_FOREIGN = ("redirect_uri", "client_id_scheme", "scope", "presentation_definition", "transaction_data")


@dataclass(frozen=True)
class Dialect:
    """How a wallet reads the specifications where wallets differ. Good by default: OpenID4VP 1.0 with HAIP 1.0.

    The members that a provider's profile of a wallet has too are named as there, so that `like` can read one.

    client_id_prefixes, request_uri_methods: those that it takes (OpenID4VP 1.0, sections 5.9.3 and 5.10).
    response_mode: how it answers: `direct_post.jwt`, or `direct_post` in clear (section 8).
    session_transcript: what an mdoc's device signs over, one of `openid4vp-1.0` (appendix B.2.6.1), `no-thumbprint`
        (of the verifier's key) and `iso-18013-7` (Annex B of its 2024 edition).
    sd_jwt_type: the `typ` of its SD-JWT VCs.
    """

    client_id_prefixes: tuple[str, ...] = ("x509_hash", "x509_san_dns")
    request_uri_methods: tuple[str, ...] = ("get", "post")
    response_mode: str = "direct_post.jwt"
    session_transcript: str = "openid4vp-1.0"
    sd_jwt_type: str = "dc+sd-jwt"

    @classmethod
    def like(cls, profile: Mapping[str, Any]) -> Self:
        """The wallet that a provider has this profile of, and that would mind being spoken to otherwise."""
        return cls(
            client_id_prefixes=(profile.get("client_id_prefix", "x509_hash"),),
            request_uri_methods=(profile.get("request_uri_method", "get"),),
            response_mode=profile.get("response_mode", cls.response_mode),
            session_transcript=profile.get("session_transcript", cls.session_transcript),
            sd_jwt_type=profile.get("sd_jwt_types", [cls.sd_jwt_type])[0],
        )

    @property
    def encrypts(self) -> bool:
        """Whether only the verifier can read what it answers."""
        return self.response_mode == "direct_post.jwt"


HAIP = Dialect()


class RequestRefused(Exception):
    """The wallet will not answer this request. `reason` is a short English phrase without foreign text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Link:
    """What a QR code or a link carries (OpenID4VP 1.0, section 5.7): nothing in it is trusted yet."""

    client_id: str
    request_uri: str
    method: str = "get"


@dataclass(frozen=True)
class Request:
    """A request that passed every check."""

    client_id: str
    verifier: str
    response_uri: str
    nonce: str
    state: str | None
    query: dcql.Query
    encryption_key: dict[str, Any] | None
    encryption: str
    client_metadata: dict[str, Any]
    dialect: Dialect = HAIP
    origin: str = ""
    """Whose page asked, as the browser says; empty for a request that came by a link."""
    own_nonce: str = field(default_factory=jose.random_text)
    """The wallet's own, for a transcript that has one."""
    verifier_info: tuple[dict[str, Any], ...] = ()
    """What else the verifier says of itself (section 5.11), in whatever formats."""

    @property
    def audience(self) -> str:
        """To whom the answer is bound (appendices A.4 and B.3.6)."""
        return f"origin:{self.origin}" if self.origin else self.client_id


def read_link(text: str) -> Link:
    """Read a scanned or pasted link: `openid4vp://?...`, `haip-vp://?...` or the wallet's own URL.

    Raises RequestRefused.
    """
    try:
        parameters = parse_qs(urlsplit(text.strip()).query, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise RequestRefused("the text is no link to a request") from error
    return link_from(lambda name: parameters.get(name, []))


def link_from(values: Callable[[str], list[str]]) -> Link:
    """The link whose query parameters `values` looks up. Raises RequestRefused."""
    for name in ("client_id", "request_uri"):
        if len(values(name)) != 1 or not values(name)[0]:
            raise RequestRefused(f"the link must carry {name} exactly once")
    if values("request"):
        raise RequestRefused("the request must come by reference")
    method = values("request_uri_method") or ["get"]
    if method not in (["get"], ["post"]):
        raise RequestRefused("request_uri_method is neither get nor post")
    link = Link(values("client_id")[0], values("request_uri")[0], method[0])
    require_safe_url(link.request_uri, "request_uri")
    return link


def fetch(link: Link, http: httpx2.Client, dialect: Dialect = HAIP) -> tuple[str, str | None]:
    """The request object that the link points to, unverified, and the wallet_nonce that was sent.

    No redirect is followed. Raises RequestRefused.
    """
    wallet_nonce = jose.random_text(24) if link.method == "post" else None
    headers = {"Accept": _CONTENT_TYPE}
    try:
        if wallet_nonce:
            metadata = jose.compact_json(_wallet_metadata(dialect)).decode("ascii")
            form = {"wallet_metadata": metadata, "wallet_nonce": wallet_nonce}
            response = http.post(link.request_uri, data=form, headers=headers)
        else:
            response = http.get(link.request_uri, headers=headers)
    except httpx2.HTTPError as error:
        raise RequestRefused("request_uri cannot be reached") from error
    if response.status_code != 200:
        raise RequestRefused(f"request_uri answers {response.status_code}")
    if response.headers.get("content-type", "").partition(";")[0].strip() != _CONTENT_TYPE:
        raise RequestRefused("request_uri answers with another content type")
    if len(response.content) > MAX_REQUEST_BYTES:
        raise RequestRefused("the request object is too large")
    return response.text, wallet_nonce


def check(
    unverified_object: str,
    link: Link,
    trusted: x509.Certificate | None,
    *,
    wallet_nonce: str | None = None,
    dialect: Dialect = HAIP,
) -> Request:
    """Verify a request object. `trusted` is the CA under which verifiers may ask this wallet; None asks for no CA.

    Raises RequestRefused.
    """
    if link.method not in dialect.request_uri_methods:
        raise RequestRefused("request_uri_method is not one of this wallet's")
    try:
        header, claims = jose.read_unverified(unverified_object)
    except jose.BadJws as error:
        raise RequestRefused("the request object is no signed JWT") from error
    leaf = check_signature(unverified_object, header, trusted)
    _check_client_id(claims, link, leaf, dialect)
    _check_parameters(claims, wallet_nonce, dialect)
    check_times(claims)
    return read(claims, verifier=common_name(leaf), dialect=dialect)


def read(claims: dict[str, Any], *, verifier: str, dialect: Dialect = HAIP, origin: str = "") -> Request:
    """What is asked, by a verifier whose name is known. Raises RequestRefused."""
    metadata = claims.get("client_metadata")
    if not isinstance(metadata, dict):
        raise RequestRefused("client_metadata is missing")
    _check_texts(claims)
    _check_formats(metadata)
    info = claims.get("verifier_info", [{}])
    if not isinstance(info, list) or not info or not all(isinstance(one, dict) for one in info):
        raise RequestRefused("verifier_info is no list of objects, or empty")
    key, encryption = _check_encryption(metadata) if dialect.encrypts else (None, "")
    try:
        query = dcql.read(claims.get("dcql_query"))
    except dcql.BadQuery as error:
        raise RequestRefused(f"dcql_query: {error}") from error
    return Request(
        client_id=claims.get("client_id", ""),
        verifier=verifier,
        response_uri=claims.get("response_uri", ""),
        nonce=claims["nonce"],
        state=claims.get("state"),
        query=query,
        encryption_key=key,
        encryption=encryption,
        client_metadata=metadata,
        dialect=dialect,
        origin=origin,
        verifier_info=tuple(info),
    )


def _wallet_metadata(dialect: Dialect) -> dict[str, Any]:
    """What a wallet says of itself where it is asked by POST (section 5.10)."""
    said = {
        "vp_formats_supported": {
            "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]},
            "mso_mdoc": {"issuerauth_alg_values": [-7], "deviceauth_alg_values": [-7]},
        },
        "client_id_prefixes_supported": list(dialect.client_id_prefixes),
        "response_types_supported": ["vp_token"],
        "response_modes_supported": [dialect.response_mode],
        "request_object_signing_alg_values_supported": ["ES256"],
    }
    if not dialect.encrypts:
        return said
    return {
        **said,
        "authorization_encryption_alg_values_supported": ["ECDH-ES"],
        "authorization_encryption_enc_values_supported": ["A128GCM", "A256GCM"],
    }


def check_signature(
    token: str, header: dict[str, Any], trusted: x509.Certificate | None, typ: str = "oauth-authz-req+jwt"
) -> x509.Certificate:
    """The certificate of the verifier that signed this (x5c). Raises RequestRefused."""
    if header.get("typ") != typ:
        raise RequestRefused(f"typ is not {typ}")
    if header.get("alg") != "ES256":
        raise RequestRefused("alg is not ES256")
    if "crit" in header:
        raise RequestRefused("crit names an extension")
    chain = _read_chain(header.get("x5c"))
    leaf, key = chain[0], chain[0].public_key()
    _check_chain(chain, trusted)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RequestRefused("the verifier's key is not P-256")
    try:
        jose.check_signature(token, key)
    except jose.BadJws as error:
        raise RequestRefused("the request object's signature does not verify") from error
    return leaf


def _read_chain(x5c: object) -> list[x509.Certificate]:
    if not isinstance(x5c, list) or not x5c or len(x5c) > 4:
        raise RequestRefused("x5c is missing")
    try:
        return [x509.load_der_x509_certificate(base64.b64decode(text, validate=True)) for text in x5c]
    except (TypeError, ValueError, binascii.Error) as error:
        raise RequestRefused("x5c holds no certificates") from error


def _check_chain(chain: list[x509.Certificate], trusted: x509.Certificate | None) -> None:
    now = datetime.now(UTC)
    if chain[0].issuer == chain[0].subject:
        raise RequestRefused("the verifier's certificate is self-signed")
    if trusted in chain:
        raise RequestRefused("x5c carries the trust anchor")
    parents = [*chain[1:], trusted] if trusted is not None else chain[1:]
    for child, parent in zip(chain, parents, strict=False):
        if not child.not_valid_before_utc <= now <= child.not_valid_after_utc:
            raise RequestRefused("a certificate of the verifier is not valid today")
        try:
            child.verify_directly_issued_by(parent)
            constraints = parent.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
            raise RequestRefused("the verifier's certificate is not from a CA this wallet trusts") from error
        if not constraints.ca:
            raise RequestRefused("a certificate that is no CA signed another")


def _check_client_id(claims: dict[str, Any], link: Link, leaf: x509.Certificate, dialect: Dialect) -> None:
    if claims.get("client_id") != link.client_id:
        raise RequestRefused("client_id inside the request object differs from the link's")
    require_safe_url(claims.get("response_uri"), "response_uri")
    prefix, _, name = link.client_id.partition(":")
    if prefix not in dialect.client_id_prefixes:
        raise RequestRefused("client_id has a prefix this wallet does not know")
    check_prefix(link.client_id, leaf)
    if prefix == "x509_san_dns" and urlsplit(claims["response_uri"]).hostname != name:
        raise RequestRefused("response_uri is at another host than x509_san_dns")


def check_prefix(client_id: str, leaf: x509.Certificate) -> None:
    """Raises RequestRefused unless this is a name of whoever has the certificate (section 5.9.3)."""
    prefix, _, name = client_id.partition(":")
    if prefix == "x509_hash":
        if name != jose.sha256(leaf.public_bytes(Encoding.DER)):
            raise RequestRefused("x509_hash is not the hash of the verifier's certificate")
    elif prefix == "x509_san_dns":
        if name not in _dns_names(leaf):
            raise RequestRefused("x509_san_dns is not a name in the verifier's certificate")
    else:
        raise RequestRefused("client_id has a prefix this wallet does not know")


def _check_parameters(claims: dict[str, Any], wallet_nonce: str | None, dialect: Dialect) -> None:
    for name in _FOREIGN:
        if name in claims:
            raise RequestRefused(f"{name} has no place in this request")
    for name, value in (
        ("response_type", "vp_token"),
        ("response_mode", dialect.response_mode),
        ("aud", _SELF_ISSUED),
        ("wallet_nonce", wallet_nonce),
    ):
        if claims.get(name) != value:
            raise RequestRefused(f"{name} is not as it must be")


def _check_texts(claims: dict[str, Any]) -> None:
    nonce, state = claims.get("nonce"), claims.get("state", "-")
    if not isinstance(nonce, str) or not _UNRESERVED.match(nonce) or len(nonce) < 22:
        raise RequestRefused("nonce is missing, too short or not plain text")
    if not isinstance(state, str) or not _UNRESERVED.match(state):
        raise RequestRefused("state is not plain text")


def check_times(claims: dict[str, Any]) -> None:
    """Raises RequestRefused unless a request object is of now."""
    now = int(time.time())
    for name in ("iat", "exp", "nbf"):
        if not isinstance(claims.get(name, 0), int) or isinstance(claims.get(name), bool):
            raise RequestRefused(f"{name} is no number")
    if not now - MAX_AGE_S <= claims.get("iat", 0) <= now + _SKEW_S:
        raise RequestRefused("iat is missing, too old or in the future")
    if claims.get("exp", now + 1) <= now - _SKEW_S:
        raise RequestRefused("the request has expired")
    if claims.get("nbf", now) > now + _SKEW_S:
        raise RequestRefused("the request is not valid yet")


def _check_formats(metadata: dict[str, Any]) -> None:
    """That what this wallet signs with is what the verifier takes."""
    formats = metadata.get("vp_formats_supported")
    if not isinstance(formats, dict) or not set(formats) & {"dc+sd-jwt", "mso_mdoc"}:
        raise RequestRefused("vp_formats_supported names no format of this wallet's")
    for name, members, algorithm in (
        ("dc+sd-jwt", ("sd-jwt_alg_values", "kb-jwt_alg_values"), "ES256"),
        ("mso_mdoc", ("issuerauth_alg_values", "deviceauth_alg_values"), -7),
    ):
        said = formats.get(name, {})
        if not isinstance(said, dict) or any(
            algorithm not in said.get(member, [algorithm]) for member in members
        ):
            raise RequestRefused("vp_formats_supported leaves out ES256")


def _check_encryption(metadata: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The key to encrypt to, and the content encryption to use."""
    methods = metadata.get("encrypted_response_enc_values_supported")
    if not isinstance(methods, list) or not {"A128GCM", "A256GCM"} <= set(map(str, methods)):
        raise RequestRefused("A128GCM and A256GCM must both be supported")
    keys = metadata.get("jwks", {}).get("keys") if isinstance(metadata.get("jwks"), dict) else None
    for key in keys if isinstance(keys, list) else []:
        if not isinstance(key, dict) or not isinstance(key.get("kid"), str) or "d" in key:
            raise RequestRefused("a key in client_metadata has no kid, or a private half")
        if (key.get("crv"), key.get("alg"), key.get("use", "enc")) == ("P-256", "ECDH-ES", "enc"):
            return key, "A256GCM"
    raise RequestRefused("client_metadata holds no P-256 key for ECDH-ES")


def require_safe_url(url: object, name: str) -> None:
    try:
        parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
        loopback = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        loopback = False
    if not isinstance(url, str) or not parts.hostname or parts.fragment or "@" in parts.netloc:
        raise RequestRefused(f"{name} is no plain URL")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise RequestRefused(f"{name} is not https")


def _dns_names(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return list(names.get_values_for_type(x509.DNSName))


def common_name(leaf: x509.Certificate) -> str:
    """The name in a verifier's certificate."""
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else leaf.subject.rfc4514_string()
