"""Introducing the guests to a provider: keys and certificates made once, and the seed files.

`portals.toml`, `clients.toml`, `trust.toml`, `more_missions.toml` and `organisations.toml` beside this file are the
data; `prepare` fills in URLs, certificates and the public halves of the portals' secrets and writes them where
`idp portals apply` and `idp trust apply` can read them.
"""

import hashlib
import ipaddress
import json
import secrets
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from idp.demo import jose, pki, toml

_HERE = Path(__file__).parent
MDOC_SIGNER = "1.0.18013.5.1.2"
"""The extended key usage of an mdoc's document signer (ISO/IEC 18013-5, annex B.1.4)."""


@dataclass(frozen=True)
class Prepared:
    """Where everything is, for a provider (`issuer`) and its guests. URLs carry no slash at the end."""

    directory: Path
    issuer: str
    portals_url: str
    wallet_url: str
    authority_url: str

    @property
    def portals_file(self) -> Path:
        """For `idp portals apply`."""
        return self.directory / "portals.toml"

    @property
    def organisations_file(self) -> Path:
        """For `idp organisations apply`."""
        return _HERE / "organisations.toml"

    @property
    def clients_file(self) -> Path:
        """For `idp portals apply`: the clients that stand for a caller's own portal."""
        return self.directory / "clients.toml"

    @property
    def trust_file(self) -> Path:
        """For `idp trust apply`."""
        return self.directory / "trust.toml"

    @property
    def more_missions_file(self) -> Path:
        """For `idp trust apply` later: missions that are not in the trust registry yet."""
        return self.directory / "more_missions.toml"

    @property
    def mobileid_url(self) -> str:
        """Where the national app is simulated."""
        return f"{self.portals_url}/mobileid"

    @property
    def request_signer_certificates(self) -> Path:
        """PEM, leaf first, no trust anchor: the `x5c` of the provider's requests to wallets."""
        return self.directory / "request_signer.pem"

    @property
    def request_signer_key(self) -> Path:
        """PKCS #8 PEM: signs the provider's requests to wallets."""
        return self.directory / "request_signer.key"

    @property
    def access_ca(self) -> Path:
        """PEM: the CA under which the demo wallet lets verifiers ask."""
        return self.directory / "wallet_access_ca.pem"

    @property
    def wallet_link(self) -> str:
        """What stands before `?client_id=...&request_uri=...` in a link to the demo wallet."""
        return f"{self.wallet_url}/open"

    @property
    def registry_url(self) -> str:
        """What stands before the lookups of the registry of DIDs."""
        return f"{self.portals_url}/registry/api/v1"

    @property
    def open_did_certificate(self) -> str:
        """Where the certificate VC of the provider is."""
        return f"{self.portals_url}/registry/certificate-vc"

    @property
    def open_did(self) -> str:
        """The provider's DID."""
        return "did:omn:demo-verifier"

    @property
    def open_did_key_url(self) -> str:
        """The URL of the provider's key in its DID document."""
        return f"{self.open_did}?versionId=1#assert"

    @property
    def open_did_key_file(self) -> Path:
        """PKCS #8 PEM: signs what the provider asks of Open DID wallets."""
        return self.directory / "open_did.key"

    @property
    def open_did_key(self) -> ec.EllipticCurvePrivateKey:
        return pki.load_key(self.open_did_key_file)

    @property
    def open_did_schema(self) -> str:
        """The type of the credentials that the authority issues to Open DID wallets."""
        return str(self.trust()["credential_type"][0]["formats"]["opendid"]["names"][0])

    @property
    def vct(self) -> str:
        """The type of the overseas certificate as SD-JWT VC."""
        return str(self.trust()["credential_type"][0]["formats"]["dc+sd-jwt"]["names"][0])

    def portals(self) -> list[dict[str, Any]]:
        """The registrations as applied at the provider."""
        return list(tomllib.loads(self.portals_file.read_text("utf-8"))["portal"])

    def clients(self) -> list[dict[str, Any]]:
        """The registrations for a caller's own portal."""
        return list(tomllib.loads(self.clients_file.read_text("utf-8"))["portal"])

    def trust(self) -> dict[str, Any]:
        """The trust registry as applied at the provider."""
        return tomllib.loads(self.trust_file.read_text("utf-8"))

    def missions(self) -> list[dict[str, Any]]:
        """Every mission and ministry that has keys here: those of the trust registry, and those that may join it."""
        joining = tomllib.loads(self.more_missions_file.read_text("utf-8"))
        return [*self.trust()["mission"], *joining["mission"]]

    def wallets(self, link: str) -> list[dict[str, Any]]:
        """The wallets as applied at the provider; the demo wallet is reached by `link`."""
        values = {
            "issuer": self.issuer,
            "portals_url": self.portals_url,
            "wallet_url": self.wallet_url,
            "wallet_link": link,
            "mobileid_url": self.mobileid_url,
        }
        text = Template((_HERE / "wallets.toml").read_text("utf-8")).substitute(values)
        return list(tomllib.loads(text)["wallet"])

    def portal_secret(self, client_id: str) -> str:
        """The client secret of a portal that has one."""
        return _portal_path(self.directory, client_id).with_suffix(".secret").read_text("ascii")

    def portal_key(self, client_id: str) -> ec.EllipticCurvePrivateKey:
        """The private key of a portal that signs its assertions."""
        return pki.load_key(_portal_path(self.directory, client_id).with_suffix(".key"))

    def mission_signer(self, code: str) -> pki.Identity:
        """The document signer of a mission."""
        return pki.load(_mission_path(self.directory, code, "signer"))

    def mission_document_signer(self, code: str) -> pki.Identity:
        """The signer of a mission's mdocs."""
        return pki.load(_mission_path(self.directory, code, "mdoc"))

    def mission_did_key(self, code: str) -> ec.EllipticCurvePrivateKey:
        """The key under which a mission issues to Open DID wallets."""
        return pki.keep_key(_mission_path(self.directory, code, "did.key"))

    def mission_status_signer(self, code: str) -> pki.Identity:
        """The signer of a mission's status list."""
        return pki.load(_mission_path(self.directory, code, "status"))


LOOPBACK_URIS = ("http://127.0.0.1/callback", "http://127.0.0.1/login/oauth2/code/sinwon")
"""Where a caller's own portal may always be: at any port (RFC 8252, section 7.3). The second is Spring Security's."""


def prepare(
    directory: Path,
    *,
    issuer: str,
    portals_url: str,
    wallet_url: str,
    authority_url: str,
    redirect_uris: Sequence[str] = (),
    post_logout_redirect_uris: Sequence[str] = (),
    backchannel_logout_uri: str | None = None,
) -> Prepared:
    """Make what is missing in `directory` and write the seed files. Keys are kept across runs.

    URLs are taken without a slash at their end: `wallet_url` ends in `/wallet`, `authority_url` in
    `/authority`. `redirect_uris`, `post_logout_redirect_uris` and `backchannel_logout_uri` are the caller's own
    portal's, beside those that it always has. The directory is readable by its owner only.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    urls = (url.rstrip("/") for url in (issuer, portals_url, wallet_url, authority_url))
    prepared = Prepared(directory, *urls)
    after_logout = [*post_logout_redirect_uris, *_roots([*redirect_uris, *LOOPBACK_URIS])]
    told = {} if backchannel_logout_uri is None else {"backchannel_logout_uri": backchannel_logout_uri}
    _prepare_request_signer(prepared)
    pki.keep_key(prepared.open_did_key_file)
    values = {
        "issuer": prepared.issuer,
        "portals_url": prepared.portals_url,
        "name_space": name_space(prepared.issuer),
        "redirect_uris": toml.inline([*redirect_uris, *LOOPBACK_URIS]),
        "after_logout_uris": toml.inline(list(dict.fromkeys(after_logout))),
        "told_of_logout": toml.dotted(told).strip(),
    }
    files = (prepared.trust_file, prepared.more_missions_file, prepared.portals_file, prepared.clients_file)
    for target in files:
        template = Template((_HERE / target.name).read_text("utf-8"))
        for placeholder in template.get_identifiers():
            if placeholder not in values:
                values[placeholder] = _value(directory, placeholder)
        pki.write_private(target, template.substitute(values).encode("utf-8"))
    remembered = {key: value for key, value in asdict(prepared).items() if key != "directory"}
    pki.write_private(directory / "demo.json", json.dumps(remembered).encode("utf-8"))
    return prepared


def load(directory: Path) -> Prepared:
    """What an earlier `prepare` made in `directory`. Raises FileNotFoundError when there was none."""
    return Prepared(directory=directory, **json.loads((directory / "demo.json").read_text("utf-8")))


def _prepare_request_signer(prepared: Prepared) -> None:
    host = urlsplit(prepared.issuer).hostname or "localhost"
    hosts = (host, "localhost") if host in {"127.0.0.1", "::1"} else (host,)
    ca = pki.keep_ca(prepared.access_ca, "Sinwon demo wallet access CA")
    pki.keep_leaf(prepared.request_signer_certificates, "Sinwon demo provider", ca, hosts)


def _value(directory: Path, placeholder: str) -> str:
    """What stands in a seed file for a placeholder; keys and secrets are made when first asked for."""
    prefix, _, name = placeholder.partition("_")
    match prefix:
        case "ca":
            return _prepare_mission(directory, name).pem
        case "secret":
            secret = _keep_secret(_portal_path(directory, name).with_suffix(".secret"))
            return hashlib.sha256(secret.encode("utf-8")).hexdigest()
        case "jwk":
            key = pki.keep_key(_portal_path(directory, name).with_suffix(".key"))
            return toml.inline(signing_jwk(key.public_key()))
    raise KeyError(placeholder)


def _roots(uris: Sequence[str]) -> list[str]:
    """The first page of each origin, once; what is no address is left for the provider to refuse."""
    found: dict[str, None] = {}
    for uri in uris:
        try:
            parts = urlsplit(uri)
        except ValueError:
            continue
        if parts.netloc:
            found[f"{parts.scheme}://{parts.netloc}/"] = None
    return list(found)


def name_space(issuer: str) -> str:
    """What private namespaces of our mdocs begin with: the issuer's host backwards, `localhost` for an address."""
    host = urlsplit(issuer).hostname or "localhost"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return ".".join(reversed(host.split(".")))
    return "localhost"


def _prepare_mission(directory: Path, code: str) -> pki.Identity:
    ca = pki.keep_ca(_mission_path(directory, code, "ca"), f"Demo mission CA {code}")
    pki.keep_leaf(_mission_path(directory, code, "signer"), f"Demo document signer {code}", ca)
    document = f"Demo mdoc signer {code}"
    pki.keep_leaf(_mission_path(directory, code, "mdoc"), document, ca, purpose=MDOC_SIGNER)
    pki.keep_leaf(_mission_path(directory, code, "status"), f"Demo status signer {code}", ca)
    return ca


def signing_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """A public key as it is registered: with `kid` (RFC 7638 thumbprint), `alg` and `use`."""
    jwk = jose.public_jwk(key)
    thumbprint = jose.sha256(jose.compact_json({name: jwk[name] for name in ("crv", "kty", "x", "y")}))
    return {**jwk, "kid": thumbprint, "alg": "ES256", "use": "sig"}


def _keep_secret(path: Path) -> str:
    if not path.exists():
        pki.write_private(path, secrets.token_urlsafe(32).encode("ascii"))
    return path.read_text("ascii")


def _mission_path(directory: Path, code: str, part: str) -> Path:
    return directory / "missions" / f"{code}-{part}"


def _portal_path(directory: Path, client_id: str) -> Path:
    return directory / "portals" / client_id
