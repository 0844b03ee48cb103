"""Wallets' answers: the encrypted envelope, the DCQL shape in it, and the presentation in that.

The rules are those of `tests/http` (every row there is one), here beside blind changes of each layer, which are
encrypted again where they lie inside.
"""

from __future__ import annotations

import json
import random
import time
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from idp.demo import personas
from idp.demo.authority import Authority
from tests import presenting
from tests.credentials.mutants import blind
from tests.credentials.mutants.sd_jwt import _meaning
from tests.credentials.mutants.strange import json_strange
from tests.crowd import FORM, Answer, Holder
from tests.fuzzing.running import Mutant, Request
from tests.fuzzing.target import Target
from tests.rig import Rig
from tests.security import test_encrypted_response, test_key_binding, test_sd_jwt

PERSONA = "hong"
ASK_LIVES_S = 240
_NEEDS_A_RIG = {"KB-03 of another login"}


def _of_another_login(answer: presenting.Answer) -> None:
    answer.payload["state"] = "x" * len(answer.payload["state"])


class Wallet:
    """As much of a rig as an `Answer` needs, made of a target: its time, its authority and one held credential."""

    def __init__(self, target: Target) -> None:
        self.issuer, self.prepared = target.issuer, target.prepared
        self.authority = Authority(target.prepared)
        persona = next(one for one in personas.PERSONAS if one.id == PERSONA)
        credential, entry = self.authority.issue(persona, ec.generate_private_key(ec.SECP256R1()))
        held = SimpleNamespace(credential=credential, entry=entry)
        self.wallet = SimpleNamespace(held=lambda _persona: held, _authority=self.authority)

    def clock(self) -> int:
        return int(time.time())


class Shown(presenting.Answer):
    """An answer to a request that was fetched before, so that one question serves many mutants."""

    def __init__(self, wallet: Wallet, asked: dict[str, Any]) -> None:
        self._begin(cast(Rig, wallet), asked, PERSONA, None)
        self.payload = {"state": asked["state"]}
        self.response_uri = asked["response_uri"]


class Answers:
    """Of one wallet, to one sign-in after another: an answer that is taken ends it."""

    name = "answers"

    def __init__(self, target: Target) -> None:
        self.target = target
        self.wallet = Wallet(target)
        rows = {
            f"{row} {name}": change
            for table in (test_sd_jwt, test_key_binding, test_encrypted_response)
            for row, changes in table.ROWS.items()
            for name, (change, _) in changes.items()
        }
        self._changes = {name: change for name, change in rows.items() if name not in _NEEDS_A_RIG}
        self._changes["state of another login"] = _of_another_login
        self.rules = (*self._changes, "shape", "form")
        self._asked: dict[str, Any] = {}
        self._until = 0.0
        self._taken = False

    def _question(self) -> dict[str, Any]:
        if self._taken or time.monotonic() > self._until:
            holder = Holder(self.target.place, self.target.client(), personas.invented(1))
            holder.issue()
            holder.begin()
            holder.look()
            assert holder.link is not None
            uri = holder.link.request_uri
            text = self.target.line.send("GET", urlsplit(uri).path).text
            self._asked = presenting.parts(text)[1]
            self._until, self._taken = time.monotonic() + ASK_LIVES_S, False
        return self._asked

    def mutant(self, chance: random.Random, rule: str | None = None) -> Mutant:
        shown = Shown(self.wallet, self._question())
        if rule is None:
            kind = chance.random()
            if kind < 0.15:
                return self._blind_envelope(shown, chance)
            if kind < 0.35:
                return self._blind_presentation(shown, chance)
            if kind < 0.45:
                return self._blind_payload(shown, chance)
            rule = chance.choice(["shape", "shape", "form", *self.rules])
        if rule == "shape":
            shown.payload["vp_token"] = self._shape(shown, chance)
            return Mutant(rule, self._post({"response": shown.encrypted()}))
        if rule == "form":
            return Mutant(rule, self._post(self._form(shown.encrypted(), chance)))
        self._changes[rule](shown)
        return Mutant(rule, self._post(shown.form or {"response": shown.encrypted()}))

    def accepted(self, answer: Answer) -> bool:
        taken = answer.status == 200
        self._taken = self._taken or taken
        return taken

    def _post(self, form: Any) -> Request:
        body = urlencode(form, doseq=True, errors="surrogatepass").encode()
        return Request("POST", urlsplit(self._asked["response_uri"]).path, body, tuple(FORM.items()))

    # -- changes that know nothing --------------------------------------------------------------------------

    def _blind_envelope(self, shown: Shown, chance: random.Random) -> Mutant:
        good, other = shown.encrypted(), shown.encrypted()
        if chance.random() < 0.5:
            changed = blind.text(chance, good, other)
        else:
            parts, others = good.split("."), other.split(".")
            at = chance.choice([0, 2, 3, 4])
            parts[at] = presenting.b64(blind.data(chance, blind.unb64(parts[at]), blind.unb64(others[at])))
            changed = ".".join(parts)
        return Mutant("blind_envelope", self._post({"response": changed}), may_pass=changed in {good, other})

    def _blind_presentation(self, shown: Shown, chance: random.Random) -> Mutant:
        good = shown.presented()
        shown.binding_payload["iat"] -= 1
        other = shown.presented()
        if chance.random() < 0.4:
            changed = blind.text(chance, good, other)
        else:
            parts, others = good.split("~"), other.split("~")
            at, there = chance.randrange(len(parts)), chance.randrange(len(parts))
            match chance.randrange(4):
                case 0:
                    del parts[at]
                case 1:
                    parts.insert(there, parts[at])
                case 2:
                    parts[at], parts[there] = parts[there], parts[at]
                case _:
                    parts[at] = others[at]
            changed = "~".join(parts)
        shown.presentation = changed
        same = _says(changed) in {_says(good), _says(other)}
        return Mutant("blind_presentation", self._post({"response": shown.encrypted()}), may_pass=same)

    def _blind_payload(self, shown: Shown, chance: random.Random) -> Mutant:
        good = {"vp_token": {shown.query_id: [shown.presented()]}, "state": self._asked["state"]}
        other = {
            "vp_token": {"other": ["x"], shown.query_id: []},
            "state": "x",
            "error": "access_denied",
            "a": [1],
        }
        try:
            changed = blind.tree(chance, [good], [other], lambda: json_strange(chance))
            text = json.dumps(changed[0] if changed else None).encode()
        except (ValueError, RecursionError, TypeError, IndexError):
            return self._blind_payload(shown, chance)  # a tree that holds itself, or nothing
        shown.plaintext = text
        one = changed[0] if changed else None
        same = isinstance(one, dict) and (
            "error" in one  # the wallet's word that it does not answer is taken
            or (one.get("vp_token") == good["vp_token"] and one.get("state", good["state"]) == good["state"])
        )
        return Mutant("blind_payload", self._post({"response": shown.encrypted()}), may_pass=same)

    # -- shapes that are not the one ------------------------------------------------------------------------

    def _shape(self, shown: Shown, chance: random.Random) -> Any:
        """A `vp_token` around a good presentation that is not an object with one array of one text."""
        name, good = shown.query_id, shown.presented()
        strange = json_strange(chance)
        ids = [one["id"] for one in self._asked["dcql_query"]["credentials"]]
        another = next((one for one in ids if one != name), "other")
        return chance.choice(
            [
                good,
                [good],
                {name: good},
                {name: {"0": good}},
                {name: []},
                {name: [[good]]},
                {name: [good, good]},
                {name: [good, None]},
                {name: [None]},
                {name: [{"presentation": good}]},
                {name: [good], another: [good]},
                {name: [good], "x": strange},
                {another: [good]} if another == "other" else {"x": [good]},
                {"": [good]},
                {name.upper(): [good]},
                {f"{name} ": [good]},
                {f"{name}\0": [good]},
                {},
                None,
                7,
                json.dumps({name: [good]}),
                {name: [good.encode().hex()]},
                {name: [presenting.b64(good.encode())]},
                {name: [f" {good}"]},
                {name: [good + "\n"]},
                {name: [good], name + "\u200b": [good]},
                {name: {"vp": [good]}},
                {name: [strange]},
                {"vp_token": {name: [good]}},
                [{name: [good]}],
            ]
        )

    def _form(self, response: str, chance: random.Random) -> Any:
        """A form around a good envelope that is not the one field."""
        elsewhere = self.target.elsewhere.url
        return chance.choice(
            [
                [("response", response), ("response", response)],
                [("response", response), ("vp_token", "{}")],
                [("response", response), ("state", "x"), ("state", "y")],
                [("Response", response)],
                [("response ", response)],
                [("response[]", response)],
                [("response", f" {response}")],
                [("response", response + "\n")],
                [("response", response + "\0")],
                [("response", json.dumps(response))],
                [("jarm", response)],
                [("vp_token", response)],
                [("id_token", response)],
                [("response_uri", elsewhere), ("request_uri", elsewhere), ("vp_token", "{}")],
                [(f"f{number}", "x") for number in range(chance.choice([1, 2000]))],
                [("response", response.replace(".", "%2E"))],
            ]
        )


def _says(presentation: str) -> Any:
    try:
        return _meaning(presentation)
    except ValueError:
        return presentation
