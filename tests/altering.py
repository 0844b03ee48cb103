"""One thing wrong with a wallet's answer: changes for `tests.presenting.Answer`, each of one thing.

Where the issuer's part is changed it is signed again with the mission's own key: what is refused is the change.
"""

import json
from typing import Any

from joserfc.jwk import OctKey

from idp.demo import pki
from tests import presenting
from tests.presenting import (
    Answer,
    Change,
    der,
    digest,
    disclosure,
    public_jwk,
    stranger,
    unb64,
    with_signature,
)
from tests.rig import Portal

YEAR_S = 365 * 86_400


def setting(place: str, **members: Any) -> Change:
    """Change members of a header or payload; None leaves one out."""
    return lambda answer: getattr(answer, place).update(members)


def at(place: str, name: str, seconds: int | float) -> Change:
    """A time relative to now."""
    return lambda answer: getattr(answer, place).update({name: answer.rig.clock() + seconds})


def putting(**attributes: Any) -> Change:
    def change(answer: Answer) -> None:
        for name, value in attributes.items():
            setattr(answer, name, value() if callable(value) and name.endswith("_key") else value)

    return change


def flipped(token: str) -> str:
    signature = bytearray(unb64(token.rpartition(".")[2]))
    signature[10] ^= 1
    return with_signature(token, bytes(signature))


def hiding(name: str, value: Any) -> Change:
    return lambda answer: answer.hide(name, value)


def adding(*texts: str) -> Change:
    """Disclose what the issuer signed the digest of."""

    def change(answer: Answer) -> None:
        for text in texts:
            answer.add(text)

    return change


def sending(*texts: str) -> Change:
    """Disclose what no digest stands for."""
    return lambda answer: answer.disclosures.extend(texts)


def raw_payload(extra: str) -> Change:
    """Members put in front of the issuer's own, as text: the same names again."""

    def change(answer: Answer) -> None:
        answer.issuer_payload = (
            "{" + extra + "," + presenting.as_json(answer.issuer_payload).decode()[1:]
        ).encode()

    return change


def binding(alter: Any) -> Change:
    return lambda answer: setattr(answer, "alter_binding", alter)


def hs256_binding(answer: Answer) -> None:
    """As if the holder's public key were a shared secret."""
    answer.binding_header["alg"] = "HS256"
    answer.holder_key = OctKey.import_key(json.dumps(public_jwk(answer.credential.holder_key)))


def own_jwk_binding(answer: Answer) -> None:
    key = stranger()
    answer.binding_header["jwk"] = public_jwk(key)
    answer.holder_key = key


def anchored(answer: Answer) -> None:
    """The trust anchor itself among the certificates."""
    ca = pki.load(answer.rig.prepared.directory / "missions" / "LAX-ca")
    answer.issuer_header["x5c"] = [*answer.issuer_header["x5c"], der(ca.certificate)]


def self_signed(answer: Answer) -> None:
    ca = pki.make_ca("Demo mission CA LAX")
    answer.issuer_header["x5c"], answer.issuer_key = [der(ca.certificate)], ca.key


def strangers_leaf(answer: Answer) -> None:
    """A leaf by a CA of the right name that nobody trusts."""
    leaf = pki.make_leaf("Demo document signer LAX", pki.make_ca("Demo mission CA LAX"))
    answer.issuer_header["x5c"], answer.issuer_key = [der(leaf.certificate)], leaf.key


def other_missions_leaf(answer: Answer) -> None:
    """Signed by a mission that is trusted, while the credential says that another issued it."""
    leaf = answer.rig.prepared.mission_signer("AKL")
    answer.issuer_header["x5c"], answer.issuer_key = [der(leaf.certificate)], leaf.key
    answer.hide("issuing_mission", {"code": "LAX", "name_ko": "가", "name_en": "a"})


def certificates(*x5c: Any) -> Change:
    return lambda answer: answer.issuer_header.update(x5c=list(x5c) or None)


def repeated(answer: Answer) -> None:
    answer.disclosures.append(answer.disclosures[0])


def digest_twice(answer: Answer) -> None:
    answer.issuer_payload["_sd"].append(digest(answer.disclosures[0]))


def digest_in_two_places(answer: Answer) -> None:
    answer.issuer_payload["other"] = {"_sd": [digest(answer.disclosures[0])]}


def digest_in_an_array(answer: Answer) -> None:
    text = disclosure("salt", "x")
    answer.disclosures.append(text)
    answer.issuer_payload["list"] = [{"...": digest(text)}, {"...": digest(text)}]


def element_as_claim(answer: Answer) -> None:
    text = disclosure("salt", "name", "x")
    answer.disclosures.append(text)
    answer.issuer_payload["list"] = [{"...": digest(text)}]


def withheld(name: str) -> Change:
    """Everything but one claim."""

    def change(answer: Answer) -> None:
        answer.disclosures = [text for text in answer.disclosures if json.loads(unb64(text))[1:2] != [name]]

    return change


def swapped_disclosures(answer: Answer) -> None:
    """The hash of other disclosures than those that are sent."""
    answer.binding_payload["sd_hash"] = digest("~".join([answer.issuer_jwt(), *answer.disclosures[:1], ""]))


def nonce_of_another_login(answer: Answer) -> None:
    other = answer.rig.portal("gov24")
    page = other.page(other.begin())
    answer.binding_payload["nonce"] = Answer(answer.rig, other.link(page)).request["nonce"]


def status_at(**members: Any) -> Change:
    def change(answer: Answer) -> None:
        known = answer.issuer_payload["status"]["status_list"]
        listed = {name: value for name, value in {**known, **members}.items() if value is not None}
        answer.issuer_payload["status"] = {"status_list": listed}

    return change


def link_of(portal: Portal) -> str:
    """The link of a fresh sign-in."""
    return portal.link(portal.page(portal.begin()))
