"""Many requests let go at once, each on a connection of its own, at the nodes themselves."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

SOCKETS = 1000
_WAIT_S = 120.0


@dataclass(frozen=True)
class Reply:
    """status 0: the connection ended without an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


def request(
    method: str, path: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """As the proxy sends it, and nothing else after it."""
    body = urlencode(form).encode() if form is not None else b""
    lines = {
        "Host": "localhost",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "https",
        "Connection": "close",
        **({"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}),
        **({"Content-Length": str(len(body))} if method == "POST" else {}),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def storm(
    ports: Sequence[int],
    requests: Sequence[bytes],
    *,
    sockets: int = SOCKETS,
    meanwhile: Callable[[], object] | None = None,
) -> list[Reply]:
    """What each was answered, in order; the ports in turns. `meanwhile` is called once a tenth has an answer."""

    async def go() -> list[Reply]:
        gate, free = asyncio.Event(), asyncio.Semaphore(sockets)
        answered = 0

        async def one(number: int) -> Reply:
            nonlocal answered
            await gate.wait()
            async with free:
                reply = await _one(ports[number % len(ports)], requests[number])
            answered += 1
            if meanwhile is not None and answered == max(len(requests) // 10, 1):
                await asyncio.to_thread(meanwhile)
            return reply

        tasks = [asyncio.ensure_future(one(number)) for number in range(len(requests))]
        await asyncio.sleep(0)
        gate.set()
        return list(await asyncio.gather(*tasks))

    return asyncio.run(go())


def statuses(replies: Sequence[Reply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


async def _one(port: int, data: bytes) -> Reply:
    try:
        async with asyncio.timeout(_WAIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(data)
                return _read(await reader.read())
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return Reply(0, {}, b"")


def _read(answer: bytes) -> Reply:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first.startswith("HTTP/1.1 "):
        return Reply(0, {}, b"")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = _unchunked(body)
    return Reply(int(first.split(" ")[1]), headers, body)


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        n = int(size, 16)
        whole, body = whole + rest[:n], rest[n + 2 :]
        if n == 0:
            break
    return whole
