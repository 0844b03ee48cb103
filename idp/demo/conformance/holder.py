"""`python -m idp.demo.conformance.holder`: the browser of a holder whose wallet is the suite.

A verifier module of the suite waits for somebody to begin a sign-in and to open the wallet's link; this does that, and
says where the browser ended. It signs in at the portal of `verifier`, with the wallet profile that is named.
"""

import argparse
import json
import ssl
import sys
from pathlib import Path
from urllib.parse import urlencode, urljoin

import httpx2

from idp.demo.check import Page, StepFailed, required
from idp.demo.conformance.clients import VERIFIER
from idp.demo.conformance.verifier import VARIANTS

TIMEOUT_S = 60


def begin(http: httpx2.Client, issuer: str, callback: str, wallet: str) -> str:
    """Begin a sign-in and choose the wallet; its link. Raises StepFailed."""
    query = {
        "client_id": VERIFIER,
        "redirect_uri": callback,
        "response_type": "code",
        "scope": "openid profile",
        "state": "verifier",
    }
    first = Page(http.get(f"{issuer}/authorize?{urlencode(query)}"))
    page = Page(http.get(f"{first.url}?wallet={wallet}"))
    return urljoin(page.url, required(page, "wallet-link", "sign-in page").attributes["href"])


def main() -> int:
    """Walk once. Ends with 1 when there is no link to open."""
    parser = argparse.ArgumentParser(
        prog="python -m idp.demo.conformance.holder", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("directory", type=Path, help="of `idp demo --profile conformance`")
    parser.add_argument("wallet", choices=[variant.wallet for variant in VARIANTS])
    arguments = parser.parse_args()
    where = json.loads((arguments.directory / "demo.json").read_text("utf-8"))
    suite = json.loads((arguments.directory / "plans" / "suite.json").read_text("utf-8"))
    # The suite's certificate is self-signed, and nothing of this browser's is secret.
    anybody = ssl._create_unverified_context()  # noqa: S323
    with httpx2.Client(verify=anybody, follow_redirects=True, timeout=TIMEOUT_S, trust_env=False) as http:
        try:
            link = begin(http, where["issuer"], suite["callback"], arguments.wallet)
        except StepFailed as problem:
            print(problem, file=sys.stderr)
            return 1
        ended = Page(http.get(link))
    print(f"{ended.status} {ended.url}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
