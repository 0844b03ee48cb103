"""What the suite's OpenID4VP verifier plans need: there the suite is the wallet.

A credential type for the PID that it shows in both formats, an issuing mission for it, a wallet profile for each
variant, a portal that accepts it, and the plans' configurations. The suite signs its SD-JWT VC with a key that a plan
hands to it: ours, under a CA of ours. Its mdoc it signs with a key and a certificate of its own, which is no document
signer of anybody's: who runs the mdoc plans takes that certificate from the suite's source and has it pinned
(`Wishes.suite_mdoc_signer`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from idp.demo import jose, pki
from idp.demo.conformance.clients import PID_CLAIMS
from idp.demo.conformance.plans import Plan

_PID = "eu.europa.ec.eudi.pid.1"
_FORMATS = {"sd_jwt_vc": "dc+sd-jwt", "iso_mdl": "mso_mdoc"}
_PREFIXES = ("x509_hash", "x509_san_dns")
_MODES = ("direct_post.jwt", "direct_post")
_NAME = {"ko": "적합성 시험용 PID", "en": "PID of the conformance suite"}


@dataclass(frozen=True)
class Variant:
    """How one plan asks: the suite's words for format, prefix and response mode."""

    credential_format: str
    client_id_prefix: str
    response_mode: str

    @property
    def wallet(self) -> str:
        """The id of the wallet profile that asks so."""
        short = {"sd_jwt_vc": "sd", "iso_mdl": "mdoc", "x509_hash": "hash", "x509_san_dns": "dns"}
        encrypted = "jwt" if self.response_mode == "direct_post.jwt" else "plain"
        return f"suite-{short[self.credential_format]}-{short[self.client_id_prefix]}-{encrypted}"


VARIANTS = tuple(Variant(*words) for words in product(_FORMATS, _PREFIXES, _MODES))


class Issuer:
    """The authority that the suite's SD-JWT VC is made to come from, and the one of its mdoc."""

    def __init__(self, directory: Path, suite_mdoc_signer: Path | None) -> None:
        self._ca = pki.keep_ca(directory / "verifier-ca", "Conformance PID CA")
        self._signer = pki.keep_leaf(directory / "verifier-signer", "Conformance PID signer", self._ca)
        self._pinned = [suite_mdoc_signer.read_text("ascii")] if suite_mdoc_signer else []

    def trust(self) -> dict[str, list[dict[str, Any]]]:
        """What the trust registry must hold beside the demonstration's own."""
        where = {"family_name": "family_name", "given_name": "given_name", "birthdate": "birth_date"}
        kind = {
            "id": "conformance-pid",
            "name": _NAME,
            "trust_domain": "conformance",
            "status_required": False,
            "formats": {
                "dc+sd-jwt": {"names": ["urn:eudi:pid:1"], "elements": list(PID_CLAIMS)},
                "mso_mdoc": {
                    "names": [_PID],
                    "elements": {name: [_PID, element] for name, element in where.items()},
                },
            },
        }
        mission = {
            "code": "OIDF",
            "name": {"ko": "OpenID 재단", "en": "OpenID Foundation"},
            "country": "US",
            "credential_types": ["conformance-pid"],
            "active_from": "2024-07-03",
            "issuer_certificates": [self._ca.pem],
            "pinned_signers": self._pinned,
        }
        return {"credential_type": [kind], "mission": [mission]}

    def signing_jwk(self) -> dict[str, Any]:
        """The private key with which the suite signs its SD-JWT VC, and the certificate it shows."""
        number = self._signer.key.private_numbers().private_value
        private = jose.encode(number.to_bytes(32, "big"))
        public = jose.public_jwk(self._signer.key.public_key())
        x5c = jose.x5c([self._signer.certificate])
        return {**public, "d": private, "use": "sig", "alg": "ES256", "x5c": x5c}


def wallets(alias_url: str) -> list[dict[str, Any]]:
    """The suite as a wallet, once for every variant. `alias_url` ends in `/test/a/<alias>/`."""
    return [
        {
            "id": variant.wallet,
            "version": 1,
            "name": {"ko": f"적합성 시험 {variant.wallet}", "en": f"Suite {variant.wallet}"},
            "link": f"{alias_url}authorize",
            "formats": [_FORMATS[variant.credential_format]],
            "client_id_prefix": variant.client_id_prefix,
            "response_mode": variant.response_mode,
            "request_uri_method": "post",
            "portal_name": False,
        }
        for variant in VARIANTS
    ]


def plans(alias_url: str, issuer: Issuer, access_ca_pem: str) -> Iterator[Plan]:
    """Every applicable variant of both plans. HAIP asks by hash and encrypted only."""
    alias = alias_url.rstrip("/").rpartition("/")[2]
    evidence = f"{alias_url}verification-evidence*"
    look = ["wait", "xpath", "//*", 10, ".*Deferred verification evidence.*", "update-image-placeholder"]
    task = {"task": "Evidence", "match": evidence, "commands": [look]}
    common = {
        "alias": alias,
        # For x509_san_dns: the name without its prefix.
        "client": {"client_id": "localhost", "request_object_trust_anchor_pem": access_ca_pem},
        "credential": {"signing_jwk": issuer.signing_jwk()},
        "browser": [{"match": evidence, "tasks": [task]}],
    }
    for variant in VARIANTS:
        for name, words in _plans_of(variant):
            file = f"vp-{'haip' if 'haip' in name else 'plain'}-{variant.wallet.removeprefix('suite-')}"
            yield Plan(file, name, words, {**common, "description": f"Sinwon: {file}"})


def _plans_of(variant: Variant) -> Iterator[tuple[str, Mapping[str, str]]]:
    asked = {"credential_format": variant.credential_format, "response_mode": variant.response_mode}
    if variant.client_id_prefix == "x509_hash" and variant.response_mode == "direct_post.jwt":
        yield "oid4vp-1final-verifier-haip-test-plan", asked
    signed = {"client_id_prefix": variant.client_id_prefix, "request_method": "request_uri_signed"}
    yield "oid4vp-1final-verifier-test-plan", {"vp_profile": "plain_vp", **asked, **signed}
