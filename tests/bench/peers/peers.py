"""Run by a Python that has `sd-jwt` and `pymdoccbor`: JSON on standard input, a line of JSON for each library."""

import json
import logging
import sys
import time
from base64 import urlsafe_b64decode

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from jwcrypto.jwk import JWK
from pymdoccbor.mdoc.verifier import MdocCbor
from sd_jwt.verifier import SDJWTVerifier

logging.disable()
given = json.load(sys.stdin)
key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes.fromhex(given["bare"]["point"]))
signed, signature = (bytes.fromhex(given["bare"][name]) for name in ("signed", "signature"))
scheme = ec.ECDSA(hashes.SHA256())


def bare(checks):
    def check():
        for _ in range(checks):
            key.verify(signature, signed, scheme)

    return check


def measured(verify, check):
    """The fastest of each, in microseconds, of rounds in which they take turns."""
    verified, checked = [], []
    for _ in range(given["rounds"]):
        for work, times in ((check, checked), (verify, verified)):
            began = time.thread_time()
            for _ in range(given["each"]):
                work()
            times.append((time.thread_time() - began) / given["each"])
    return {"verify_us": 1e6 * min(verified), "bare_us": 1e6 * min(checked)}


sd_jwt = given["sd_jwt"]
issuer = JWK(**sd_jwt["issuer_jwk"])


def verify_sd_jwt():
    verifier = SDJWTVerifier(sd_jwt["presentation"], lambda *_: issuer, sd_jwt["aud"], sd_jwt["nonce"])
    assert verifier.get_verified_payload()["birthdate"]


response = urlsafe_b64decode(given["mdoc"]["presentation"] + "==")
anchor = x509.load_pem_x509_certificate(given["mdoc"]["anchor_pem"].encode())


def verify_mdoc():
    mdoc = MdocCbor()
    mdoc.loads(response)
    # It is told no authority: with one it checks the path anew each time, and nothing here asks for that.
    assert mdoc.verify()


for name, format, verify, checks, leaves_out in (
    ("sd-jwt (Python)", "dc+sd-jwt", verify_sd_jwt, 2, "times, types, chain, status, shapes"),
    (
        "pymdoccbor (Python)",
        "mso_mdoc",
        verify_mdoc,
        1,
        "device signature, times, docType, chain, status, shapes",
    ),
):
    line = {"name": name, "format": format, "leaves_out": leaves_out, **measured(verify, bare(checks))}
    print(json.dumps(line))
