"""Mutants of SD-JWT VCs that break one rule on purpose; whatever lies above it is signed again with the right key."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from tests.credentials.issuing import (
    ABSENT,
    AUDIENCE,
    CLAIMS,
    LEAF_EXTENSIONS,
    NONCE,
    NOW,
    STATUS_URI,
    VCT,
    b64u,
    certificate,
    changed,
    der,
    digest,
    disclosure,
    issue,
    p256,
    private_jwk,
    public_jwk,
    usage,
    x5c,
)
from tests.credentials.mutants import blind
from tests.credentials.mutants.strange import ORDERS, json_kinds_but, json_other_kind

if TYPE_CHECKING:
    from tests.credentials.mutants.sd_jwt import SdJwts as Lab

Aimed = Callable[["Lab", random.Random], str]
NONE_OF_THEM = dict.fromkeys(CLAIMS, ABSENT)


# Aimed at what the issuer signs


def signed(header: Mapping[str, Any], payload: str, key: ec.EllipticCurvePrivateKey) -> str:
    """A compact JWS with any header, over a payload that is encoded already."""
    text = f"{b64u(json.dumps(changed({}, header)).encode())}.{payload}"
    r, s = decode_dss_signature(key.sign(text.encode("ascii"), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{b64u(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def issuer_header(lab: Lab, chance: random.Random) -> str:
    chain = x5c(lab.authority.signer)
    change: dict[str, Any] = chance.choice(
        [
            {
                "typ": chance.choice(
                    [ABSENT, "JWT", "vc+sd-jwt", "DC+SD-JWT", "dc+sd-jwt ", "kb+jwt", None, 1]
                )
            },
            {"crit": chance.choice([[], ["exp"], ["b64"], None, "exp"])},
            {"b64": chance.choice([True, False])},
            {"x5c": chance.choice([ABSENT, [], None, "x", [1], [""], {}, [b64u(b"x")]])},
            {"x5c": chain * chance.randint(2, 9)},
            {"x5c": [chain[0].replace("=", "") + "==="]},
            {"x5c": [" " + chain[0]]},
            {"x5c": [chain[0][: chance.randrange(len(chain[0]))]]},
        ]
    )
    issued = lab.issue()
    header = {"alg": "ES256", "typ": "dc+sd-jwt", "x5c": chain, **change}
    issued.jwt = signed(header, issued.jwt.split(".")[1], lab.authority.signer_key)
    return issued.present()


def issuer_algorithm(lab: Lab, chance: random.Random) -> str:
    issued = lab.issue()
    _header, payload, signature = issued.jwt.split(".")
    alg = chance.choice(
        ["none", "HS256", "ES384", "RS256", "EdDSA", "es256", "", None, 1, ["ES256"], {"ES256": 1}]
    )
    header = {"typ": "dc+sd-jwt", "x5c": x5c(lab.authority.signer)}
    if chance.random() < 0.9:
        header["alg"] = alg
    text = b64u(json.dumps(header).encode())
    issued.jwt = f"{text}.{payload}.{chance.choice([signature, ''])}"
    return issued.present()


def issuer_signature(lab: Lab, chance: random.Random) -> str:
    issued = lab.issue()
    signed, _, signature = issued.jwt.rpartition(".")
    issued.jwt = f"{signed}.{b64u(wrong_signature(chance, blind.unb64(signature)))}"
    return issued.present()


def wrong_signature(chance: random.Random, signature: bytes) -> bytes:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    order = ORDERS["P-256"]
    at = chance.randrange(64)
    return chance.choice(
        [
            signature[:at] + bytes((signature[at] ^ 1 << chance.randrange(8),)) + signature[at + 1 :],
            signature[:at],
            signature + b"\x00",
            b"\x00" + signature,
            signature[32:] + signature[:32],
            encode_dss_signature(r, s),
            bytes(64),
            signature[:32] + bytes(32),
            order.to_bytes(32, "big") * 2,
            signature[:32] + ((s + order) % 2**256).to_bytes(32, "big"),
        ]
    )


def issuer_key(lab: Lab, chance: random.Random) -> str:
    keys = [p256(), lab.key, lab.authority.status_key, lab.authority.key, lab.stranger.signer_key]
    return lab.issue(key=chance.choice(keys)).present()


def issuer_payload_form(lab: Lab, chance: random.Random) -> str:
    """A payload that is signed and is not strict JSON."""
    issued = lab.issue()
    payload = blind.unb64(issued.jwt.split(".")[1])
    wrong = chance.choice(
        [
            payload[:-1] + b',"vct":' + json.dumps(VCT).encode() + b"}",
            payload[:-1] + b',"x":NaN}',
            payload[:-1] + b',"x":Infinity}',
            payload[:-1] + b',"x":1e999}',
            payload[:-1] + b',"x":' + b"9" * chance.randint(21, 99) + b"}",
            payload[:-1] + b',"x":"\\ud800"}',
            payload[:-1] + b',"x":"\xff"}',
            payload[:-1] + b',"x":' + b"[" * 40 + b"]" * 40 + b"}",
            payload + b"x",
            b"[" + payload + b"]",
            payload[: chance.randrange(len(payload))],
            b"\xef\xbb\xbf" + payload,
        ]
    )
    header = {"alg": "ES256", "typ": "dc+sd-jwt", "x5c": x5c(lab.authority.signer)}
    issued.jwt = signed(header, b64u(wrong), lab.authority.signer_key)
    return issued.present()


def vct(lab: Lab, chance: random.Random) -> str:
    wrong = chance.choice([ABSENT, VCT + "/", VCT.upper(), "", "x", *json_kinds_but(str)])
    return lab.issue(payload={"vct": wrong}).present()


def times(lab: Lab, chance: random.Random) -> str:
    away = chance.randint(1, 10**7)
    return lab.issue(
        payload=chance.choice(
            [
                {"exp": NOW - 60 - away},
                {"nbf": NOW + 60 + away},
                {"iat": NOW + 60 + away},
                {
                    chance.choice(["exp", "nbf", "iat"]): chance.choice(
                        ["1", None, True, [], -1, 10**12, "2027-01-01"]
                    )
                },
            ]
        )
    ).present()


def confirmation(lab: Lab, chance: random.Random) -> str:
    jwk = public_jwk(lab.key)
    at = chance.randrange(1, 40)
    wrong = chance.choice(
        [
            ABSENT,
            json_other_kind(chance, but=(dict,)),
            {},
            {"kid": "1"},
            {"jwk": jwk, "jku": "https://x.example"},
            {"jwk": private_jwk(lab.key)},
            {"jwk": {**jwk, "k": "x"}},
            {"jwk": {**jwk, "use": chance.choice(["enc", "", None, 1])}},
            {"jwk": {**jwk, "kty": chance.choice(["RSA", "OKP", "oct", "ec", None, 1])}},
            {
                "jwk": {
                    **jwk,
                    "crv": chance.choice(["P-384", "P-521", "secp256k1", "Ed25519", "p-256", None, 1]),
                }
            },
            {"jwk": {**jwk, "x": jwk["y"], "y": jwk["x"]}},
            {"jwk": {**jwk, "x": jwk["x"][:at]}},
            {"jwk": {**jwk, "y": chance.choice([None, "", jwk["y"] + "AA", jwk["y"] + "=", 1, [jwk["y"]]])}},
            {
                "jwk": {
                    name: value
                    for name, value in jwk.items()
                    if name != chance.choice(["kty", "crv", "x", "y"])
                }
            },
            {"jwk": public_jwk(p256())},
            {"jwk": public_jwk(ec.generate_private_key(ec.SECP384R1()))},
            {"jwk": public_jwk(lab.authority.signer_key)},
            {"jwk": json_other_kind(chance, but=(dict,))},
        ]
    )
    if isinstance(wrong, dict) and wrong.get("jwk") == jwk and len(wrong) == 1:
        wrong = {}
    return lab.issue(payload={"cnf": wrong}).present()


def status(lab: Lab, chance: random.Random) -> str:
    reference = {"idx": 0, "uri": STATUS_URI}
    wrong = chance.choice(
        [
            ABSENT,
            json_other_kind(chance, but=(dict,)),
            {},
            {"other": reference},
            {"status_list": json_other_kind(chance, but=(dict,))},
            {
                "status_list": {
                    **reference,
                    "idx": chance.choice([1, 2, 3, 4, 2**62, -1, True, None, "0", 0.5]),
                }
            },
            {
                "status_list": {
                    **reference,
                    "uri": chance.choice([STATUS_URI + "/", "", None, 1, "file:///x"]),
                }
            },
        ]
    )
    return lab.issue(payload={"status": wrong}).present()


WRONG: Mapping[str, tuple[Any, ...]] = {
    "name": (1, None, True, [], {}, "", "x" * 201, "<b>", "a\u202eb"),
    "birthdate": (20000101, None, "2000-1-1", "01.01.2000", "2027-01-01", "2023-02-29", ["x"], ""),
    "age_equal_or_over": (True, 19, {"19": 1}, {"19": "true"}, {"14": None}, ["19"]),
    "sex": (True, 3, -1, "1", None, [1]),
    "nationalities": ("KR", [1], [None], ["kr"], ["KR"] * 11, {"KR": 1}, [["KR"]]),
    "address": ("x", {"formatted": 1}, {"formatted": ""}, {"formatted": "x" * 1001}, ["x"]),
    "issuing_mission": ("LAX", {"code": "AKL"}, {"code": 1}, {"code": ""}, ["LAX"]),
    "passport": ("x", {"number": 1}, {"number": "m1"}, {"issue_date": "2023-02-29"}, ["x"]),
    "picture": ("x", "data:image/svg+xml;base64,AAAA", "data:image/png;base64,A A", 1, None, ""),
    "kr_ci": ("A" * 87, "A" * 88 + "=", 1, None),
    "overseas_registration_number": (1, "", None, "x" * 65),
}  # fmt: skip


def claim(lab: Lab, chance: random.Random) -> str:
    name = chance.choice(list(WRONG))
    return lab.issue(claims={name: chance.choice(WRONG[name])}).present()


def authentication(lab: Lab, chance: random.Random) -> str:
    wrong = chance.choice(["pin", None, 1, {}, ["PIN"], [1], [""], ["x"] * 17, [["pin"]]])
    return lab.issue(payload={"user_authentication": wrong}).present()


def certificates(lab: Lab, chance: random.Random) -> str:
    """A leaf or a chain with one thing wrong; the credential is signed with the key that it names."""
    authority, own = lab.authority, lab.authority.signer_key
    server = (x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")]), False)
    critical = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b""), True)
    ca = (x509.BasicConstraints(ca=True, path_length=None), True)
    signing = LEAF_EXTENSIONS[0]
    away = chance.randint(1, 80_000)

    def leaf(
        issuer: str = "LAX CA", key: Any = authority.key, extensions: Any = (signing,), **times: int
    ) -> Any:
        return certificate("document signer", own, issuer, key, extensions, **times)

    middle = p256()
    middle_ca = certificate(
        "middle", middle, "LAX CA", authority.key, (ca, (usage(key_cert_sign=True), True))
    )
    no_ca = certificate("middle", middle, "LAX CA", authority.key, LEAF_EXTENSIONS)
    under = leaf("middle", middle)
    good = der(leaf())
    at = chance.randrange(len(good))
    turned = good[:at] + bytes((good[at] ^ 1 << chance.randrange(8),)) + good[at + 1 :]
    chain = chance.choice(
        [
            [leaf(not_after=NOW - away)],
            [leaf(not_before=NOW + away)],
            [leaf(extensions=())],
            [leaf(extensions=((usage(key_agreement=True), True),))],
            [leaf(extensions=((usage(digital_signature=True, key_cert_sign=True), True),))],
            [leaf(extensions=(ca, signing))],
            [leaf(extensions=(signing, server))],
            [leaf(extensions=(signing, critical))],
            [leaf(key=p256())],
            [leaf("AKL CA")],
            [leaf("document signer", own)],
            [leaf(), authority.ca],
            [leaf(), authority.status_signer],
            [leaf()] * chance.randint(2, 9),
            [under],
            [middle_ca, under],
            [under, no_ca],
            [under, middle_ca, authority.ca],
            [under, lab.stranger.ca],
            good[:at],
            good + b"\x00",
            turned,
        ]
    )
    ders = [chain] if isinstance(chain, bytes) else [der(one) for one in chain]
    return lab.issue(header={"x5c": [b64encode(one).decode("ascii") for one in ders]}).present()


def authority(lab: Lab, chance: random.Random) -> str:
    """Everything as it should be, of somebody whom nobody believes."""
    return issue(lab.stranger).present()


# Aimed at disclosures


def digests(lab: Lab, chance: random.Random) -> str:
    """Digests or disclosures that do not stand for each other, all of it signed by issuer and holder."""
    first, second = disclosure("name", "홍길동"), disclosure("birthdate", "1984-02-29")
    element = disclosure("KR")
    array = disclosure("nationalities", [{"...": digest(element)}])
    nested = disclosure("address", {"_sd": [digest(first)]})
    payload, shown = chance.choice(
        [
            ({"_sd": [digest(first), digest(first)]}, [first]),
            ({"_sd": [digest(first)], "x": {"_sd": [digest(first)]}}, [first]),
            ({"_sd": [digest(nested), digest(first)]}, [nested, first]),
            ({"_sd": [digest(first)]}, [first, first]),
            ({"_sd": [digest(first)]}, [first, second]),
            ({"_sd": [digest(first)]}, [second]),
            ({"_sd": []}, [first]),
            ({"_sd": [digest(array)]}, [array, element, element]),
            ({"_sd": [digest(element)]}, [element]),
            ({"nationalities": [{"...": digest(first)}]}, [first]),
            ({"nationalities": [{"...": digest(element), "x": 1}]}, [element]),
            ({"nationalities": [{"...": digest(element)}, {"...": digest(element)}]}, [element]),
            ({"_sd": [digest(first)], "name": "남궁민"}, [first]),
            ({"_sd": [digest(first), digest(other := disclosure("name", "x"))]}, [first, other]),
            ({"_sd": digest(first)}, [first]),
            ({"_sd": {digest(first): 1}}, [first]),
            ({"_sd": [digest(first), chance.choice([None, 1, [], {}])]}, [first]),
            ({"_sd": [digest(first) + "="]}, [first]),
            ({"_sd": [digest(first).swapcase()]}, [first]),
            ({"...": digest(first)}, [first]),
            ({"x": {"_sd_alg": "sha-256"}, "_sd": [digest(first)]}, [first]),
        ]
    )
    return lab.issue(payload=payload, claims=NONE_OF_THEM, disclosures=shown).present()


def undisclosable(lab: Lab, chance: random.Random) -> str:
    """A claim that must stand in the signed payload, disclosed instead."""
    name = chance.choice(["iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status"])
    value = {
        "nbf": NOW,
        "exp": NOW + 9,
        "vct": VCT,
        "cnf": {"jwk": public_jwk(lab.key)},
        "status": {"status_list": {"idx": 0, "uri": STATUS_URI}},
    }.get(name, "https://authority.example")
    text = disclosure(name, value)
    payload: dict[str, Any] = {"_sd": [digest(text)], name: ABSENT}
    if name == "status" and chance.random() < 0.5:
        inner = disclosure("status_list", {"idx": 0, "uri": STATUS_URI})
        payload, text = {"status": {"_sd": [digest(inner)]}, "_sd": []}, inner
    return lab.issue(payload=payload, claims=NONE_OF_THEM, disclosures=[text]).present()


def disclosure_form(lab: Lab, chance: random.Random) -> str:
    """A text whose digest the issuer signed and which is no disclosure."""
    good = disclosure("name", "홍길동")
    salt = json.loads(blind.unb64(good))[0]
    texts = [
        b64u(json.dumps(contents).encode())
        for contents in (
            [],
            [salt],
            [salt, "name", "x", 1],
            [1, "name", "x"],
            [None, "name", "x"],
            [salt, 1, "x"],
            [salt, None, "x"],
            [salt, ["name"], "x"],
            [salt, "_sd", []],
            [salt, "...", "x"],
            [salt, "_sd_alg", "sha-256"],
            {"name": "x"},
            "name",
            None,
        )
    ]
    text = chance.choice(
        [
            *texts,
            good + "=",
            good[:-1] + chance.choice(blind.ODD),
            b64u(b"\xff\xfe"),
            b64u(b'["a","name","x"'),
            b64u(b'["a","name",NaN]'),
            b64u(b'["a","name",{"a":1,"a":2}]'),
            b64u(b'["a","name","\\ud800"]'),
        ]
    )
    try:
        hashed = digest(text)
    except UnicodeEncodeError:
        hashed = digest(good)
        return lab.issue(payload={"_sd": [hashed]}, claims=NONE_OF_THEM).present(
            disclosures=[b64u(text.encode())]
        )
    return lab.issue(payload={"_sd": [hashed]}, claims=NONE_OF_THEM, disclosures=[text]).present()


def hash_algorithm(lab: Lab, chance: random.Random) -> str:
    wrong = chance.choice(
        ["sha-1", "SHA-256", "sha256", "md5", "sha-512", "sha-384", "sha3-256", "", None, 1, ["sha-256"]]
    )
    return lab.issue(payload={"_sd_alg": wrong}).present()


# Aimed at what the holder signs


def key_binding(lab: Lab, chance: random.Random) -> str:
    away = chance.choice([-1, 1]) * chance.randint(361, 10**8)
    payload: dict[str, Any] = chance.choice(
        [
            {
                "aud": chance.choice(
                    [ABSENT, AUDIENCE + "/", AUDIENCE.partition(":")[2], "", [AUDIENCE], None, 1]
                )
            },
            {"nonce": chance.choice([ABSENT, NONCE + "x", NONCE.lower(), "", [NONCE], None, 1])},
            {"iat": chance.choice([ABSENT, NOW + away, str(NOW), None, True, NOW + 0.5, [NOW], -1])},
            {"sd_hash": chance.choice([ABSENT, digest("x"), "", None, 1, [], digest("x") + "="])},
        ]
    )
    return lab.issued.present(payload=payload)


def key_binding_header(lab: Lab, chance: random.Random) -> str:
    change: dict[str, Any] = chance.choice(
        [
            {"typ": chance.choice([ABSENT, "JWT", "dc+sd-jwt", "KB+JWT", "kb+jwt ", None, 1])},
            {"crit": chance.choice([[], ["exp"], None])},
            {"b64": True},
        ]
    )
    before, _, proof = lab.issued.present().rpartition("~")
    header = {"alg": "ES256", "typ": "kb+jwt", **change}
    return f"{before}~{signed(header, proof.split('.')[1], lab.key)}"


def key_binding_key(lab: Lab, chance: random.Random) -> str:
    return lab.issued.present(key=chance.choice([p256(), lab.authority.signer_key, lab.others[0].holder_key]))


def key_binding_signature(lab: Lab, chance: random.Random) -> str:
    signed, _, signature = lab.issued.present().rpartition(".")
    return f"{signed}.{b64u(wrong_signature(chance, blind.unb64(signature)))}"


def key_binding_of_another(lab: Lab, chance: random.Random) -> str:
    """A Key Binding JWT of this holder, over something else than what is presented."""
    more, fewer = lab.issued.present(), lab.issued.present(disclosures=lab.issued.disclosures[:3])
    one, other = chance.choice([(more, fewer), (fewer, more)])
    foreign = chance.choice(lab.others).present()
    if chance.random() < 0.3:
        return one.rpartition("~")[0] + "~"
    taken = chance.choice([other, foreign])
    return one.rpartition("~")[0] + "~" + taken.rpartition("~")[2]


def turned_disclosures(lab: Lab, chance: random.Random) -> str:
    """What was bound, in another order."""
    issuer, *shown, proof = lab.issued.present().split("~")
    before = list(shown)
    while shown == before:
        chance.shuffle(shown)
    return "~".join([issuer, *shown, proof])


AIMED: Mapping[str, Aimed] = {
    function.__name__: function
    for function in (
        issuer_header,
        issuer_algorithm,
        issuer_signature,
        issuer_key,
        issuer_payload_form,
        vct,
        times,
        confirmation,
        status,
        claim,
        authentication,
        certificates,
        authority,
        digests,
        undisclosable,
        disclosure_form,
        hash_algorithm,
        key_binding,
        key_binding_header,
        key_binding_key,
        key_binding_signature,
        key_binding_of_another,
        turned_disclosures,
    )
}
