"""What stands behind the national app in tests: the operator's verifier daemon, and the operator's relay.

Both are written against the published sample verifiers and share no code with `idp.mip`.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.waiting import eventually

Message = dict[str, Any]

HONG: dict[str, str] = {
    "name": "홍길동",
    "ihidnum": "8503141000000",
    "usrname": "HONG",
    "givennames": "GILDONG",
    "birth": "19850314",
    "sex": "M",
    "nationality": "KOR",
    "address": "3243 Wilshire Blvd, Los Angeles, CA 90010, USA",
    "emblnm": "주로스앤젤레스 대한민국 총영사관",
    "expatno": "LAX-2024-0000017",
    "passportno": "M000A0001",
    "passporttype": "PM",
    "countrycode": "KOR",
    "authority": "MINISTRY OF FOREIGN AFFAIRS",
    "issude": "20230516",
    "expirdate": "20330516",
    "dlphotoimage": "ffd8ffe000104a464946",
    "ci": "A" * 88,
}
"""What the app's holder shows: items as the operator names them."""


def pack(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def unpack(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class Daemon:
    """The operator's daemon. Change `items`, `verdict` or `instead` to have it answer otherwise.

    verdict: True (valid), False (not valid, without a word), or (errcode, errmsg) of an M900.
    instead: by path, (status, body) that is sent in place of its answer.
    profile: changes to the profile it makes. asked: what it was sent, by path.
    """

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.transactions: dict[str, Message] = {}
        self.forget()

    def forget(self) -> None:
        """As on its first day."""
        self.items: dict[str, str] = dict(HONG)
        self.verdict: bool | tuple[int, str] = True
        self.instead: dict[str, tuple[int, bytes]] = {}
        self.profile: Message = {}
        self.wait = threading.Event()
        self.wait.set()
        self.met: Message = {"trxStsCode": "0004", "vpVerifyResult": "Y"}
        self.asked: list[tuple[str, Message]] = []

    def answer(self, path: str, body: Message) -> tuple[int, bytes]:
        self.wait.wait(20)
        self.asked.append((path, body))
        if path in self.instead:
            return self.instead[path]
        answers: dict[str, Callable[[Message], Message]] = {
            "/app2app/start": self._start,
            "/mip/profile": self._profile,
            "/mip/vp": self._vp,
            "/mip/privacy": self._privacy,
            "/qrcpm/start": self._meet,
            "/mip/trxsts": self._trxsts,
        }
        return 200, json.dumps(answers[path](body)).encode()

    def _start(self, body: Message) -> Message:
        trxcode = "20261128101112131" + secrets.token_hex(4).upper()
        self.transactions[trxcode] = {"svcCode": body["svcCode"], "status": "0001"}
        m200 = {"type": "mip", "version": "1.0.0", "cmd": "200", "trxcode": trxcode, "mode": "direct"}
        return {"result": True, "data": pack({**body, "m200Base64": pack(m200)})}

    def _profile(self, body: Message) -> Message:
        m310 = unpack(body["data"])
        known = self.transactions[m310["trxcode"]]
        if known["status"] != "0001":
            return self._m900(m310["trxcode"], 10201, "message sequence error")
        known |= {"status": "0002", "nonce": secrets.token_hex(32)}
        inner = {
            "nonce": known["nonce"],
            "svcCode": known["svcCode"],
            "authType": ["pin", "face"] if known["svcCode"].endswith(".2") else ["pin"],
            "presentType": 1,
            "encryptType": 2,
            "keyType": 2,
            "type": "VERIFY",
            **self.profile,
        }
        made = {"encoding": "UTF-8", "profile": inner, "proof": {"signatureValue": "3rxc"}, "version": "3.0"}
        return {"result": True, "data": pack({**m310, "profile": pack(made)})}

    def _vp(self, body: Message) -> Message:
        m400 = unpack(body["data"])
        known = self.transactions[m400["trxcode"]]
        if known["status"] != "0002":
            return self._m900(m400["trxcode"], 10201, "message sequence error")
        known["status"] = "0003"
        if isinstance(self.verdict, tuple):
            return self._m900(m400["trxcode"], *self.verdict)
        if self.verdict:
            known["status"] = "0004"
        return {"result": self.verdict}

    def _privacy(self, body: Message) -> Message:
        trxcode = unpack(body["data"])["trxcode"]
        known = self.transactions.get(trxcode, {"status": "0004"})
        if known["status"] != "0004":
            return self._m900(trxcode, 99999, "Unknown error")
        return {"result": True, "data": pack([{"type": n, "value": v} for n, v in self.items.items()])}

    def _meet(self, body: Message) -> Message:
        return {"result": True, "data": pack(body)}

    def _trxsts(self, body: Message) -> Message:
        return {"result": True, "data": pack({**unpack(body["data"]), **self.met})}

    def _m900(self, trxcode: str, code: int, text: str) -> Message:
        made = {"type": "mip", "version": "1.0.0", "cmd": "900", "errcode": code, "errmsg": text}
        return {"result": False, "data": pack({**made, "trxcode": trxcode})}


@contextmanager
def daemon() -> Iterator[Daemon]:
    """A daemon on a port of its own, until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = running.answer(self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Nothing: a client that does not wait is what some tests are about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        running = Daemon(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            running.wait.set()
            server.shutdown()
            thread.join()


class Relay:
    """The operator's relay with the app behind it, which follows a script for one verifier at a time.

    present: (nonce of the profile, profile) to the `vp` that the app shows. turns: what it says in place of the usual
    messages, by their name; None says nothing and waits. heard: what the verifier said.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.trxcode = "20261128090807060" + "ABCDEF01"
        self.present: Callable[[Message], Message] = lambda profile: {}
        self.turns: dict[str, Message | str | None] = {}
        self.heard: list[Message] = []
        self._n_begun = self._n_over = 0

    def all_heard(self) -> list[Message]:
        """What the verifier said, once every meeting is over: it may leave before its last word has come."""
        eventually(lambda: self._n_begun == self._n_over)
        return self.heard

    def m120(self, **changes: Any) -> str:
        """The code that the app shows."""
        made = {"type": "mip", "version": "1.0.0", "cmd": "120", "trxcode": self.trxcode, "mode": "proxy"}
        return pack({**made, "host": self.url, **changes}).rstrip("=")

    def hold(self, connection: ServerConnection) -> None:
        """One meeting."""
        self._n_begun += 1
        try:
            self._hear(connection)
            self._say(connection, "wait_verify", nonce=secrets.token_hex(16))
            self._hear(connection)
            self._say(connection, "wait_profile")
            told = self._hear(connection)
            if "profile" in told:
                vp = self.present(unpack(told["profile"]))
                self._say(connection, "vp", request="presentation", vp=vp)
                self._hear(connection)
        except ConnectionClosed:
            return
        finally:
            self._n_over += 1

    def _say(self, connection: ServerConnection, msg: str, **members: Any) -> None:
        usual = {"msg": msg, "trxcode": self.trxcode, **members}
        turn = self.turns.get(msg, usual)
        if turn is None:
            connection.recv()  # until the verifier has had enough
        else:
            connection.send(turn if isinstance(turn, str) else json.dumps(turn))

    def _hear(self, connection: ServerConnection) -> Message:
        told: Message = json.loads(connection.recv())
        self.heard.append(told)
        return told


@contextmanager
def relay() -> Iterator[Relay]:
    """A relay on a port of its own, until the context ends."""

    def hold(connection: ServerConnection) -> None:
        running.hold(connection)

    with serve(hold, "127.0.0.1", 0) as server:
        running = Relay(f"ws://127.0.0.1:{server.socket.getsockname()[1]}/proxyServer")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()
