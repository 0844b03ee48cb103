"""R10 and R11: more people than can be served, and clients that are slow on purpose."""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.faults.crowd import Crowd
from tests.faults.house import House
from tests.faults.kills import books
from tests.faults.ledger import SignIn
from tests.faults.result import Result, quantile

REFUSED_P99_S, ADMITTED, NORMAL_S = 0.2, 99.0, 30.0


@dataclass(frozen=True)
class Size:
    """load_s of `times` the capacity, which is found by a closed crowd of `at_once` in `finding_s`."""

    load_s: float = 600.0
    times: float = 3.0
    warm_s: float = 5.0
    finding_s: float = 20.0
    at_once: int = 8
    seed: int = 10


def measure(house: House, size: Size, command: str) -> Result:
    """People come at a fixed rate, whether or not others have been served; who is refused goes away."""
    result = Result("R10", "three times the capacity", command, "")
    warm = house.crowd("warming-up")
    _closed(warm, size, size.warm_s)
    before = house.crowd("capacity")
    capacity = _closed(before, size, size.finding_s)
    single_s = _alone(before, size)
    crowd = house.crowd("overload", gives_up=True)
    _open(crowd, capacity * size.times, size)
    began = time.monotonic()
    after = house.crowd("after")
    while _alone(after, size) > 2 * single_s and time.monotonic() - began < 2 * NORMAL_S:
        continue
    normal_s = time.monotonic() - began
    sign_ins = crowd.ledger.sign_ins
    refused = [one for one in sign_ins if _was_refused(one)]
    admitted = [one for one in sign_ins if not _was_refused(one)]
    result.n = f"{len(sign_ins)} people in {size.load_s:g} s"
    result.say("capacity, with eight at once", f"{capacity:.1f} sign-ins/s")
    result.say("came", f"{len(sign_ins) / size.load_s:.1f}/s, admitted {len(admitted) / size.load_s:.1f}/s")
    result.at_least(
        "of those admitted, finished", ADMITTED, sum(one.finished for one in admitted), len(admitted)
    )
    result.say("refused", len(refused), "some", bool(refused))
    result.at_most("refused: p99 of the answer", REFUSED_P99_S, quantile(crowd.ledger.refusal_s, 0.99), "s")
    took = [one.took_s for one in admitted if one.finished]
    result.say("time of a sign-in", f"p50 {quantile(took, 0.5):.2f} s, p99 {quantile(took, 0.99):.2f} s")
    result.at_most("as quick as before again", NORMAL_S, normal_s, "s")
    books(result, house)
    return result


def _was_refused(one: SignIn) -> bool:
    return one.entries[0].login_id is None


def _closed(crowd: Crowd, size: Size, seconds: float) -> float:
    """Sign-ins a second with so many at once."""
    end = time.monotonic() + seconds
    began = len(crowd.ledger.sign_ins)
    crowd.run(size.at_once, lambda: time.monotonic() >= end, size.seed)
    return (len(crowd.ledger.sign_ins) - began) / seconds


def _alone(crowd: Crowd, size: Size) -> float:
    """How long sign-ins take one after the other: the median of five."""
    chance = random.Random(size.seed)
    return quantile([crowd.sign_in(chance).took_s for _ in range(5)], 0.5)


def _open(crowd: Crowd, per_s: float, size: Size) -> None:
    chance = random.Random(size.seed)
    began = time.monotonic()
    with ThreadPoolExecutor(400) as threads:
        for number in range(int(per_s * size.load_s)):
            due = began + number / per_s
            time.sleep(max(0.0, due - time.monotonic()))
            threads.submit(crowd.sign_in, random.Random(chance.random()))


# -- slow clients --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slowness:
    """n: connections that send a byte of their request every `byte_s`. direct: at a node, without nginx."""

    n: int = 2000
    direct: int = 64
    byte_s: float = 3.0
    seconds: float = 30.0
    at_once: int = 4
    seed: int = 11


def measure_slow(house: House, size: Slowness, command: str) -> Result:
    """Through nginx as deployed; and, to say what it is for, at a node itself."""
    result = Result("R11", "slow clients", command, "")
    plain = house.crowd("without-slow-clients")
    _for_a_while(plain, size)
    beside = house.crowd("beside-slow-clients")
    with _slow(house.front.port, size.n, size, house.front.tls) as held:
        _for_a_while(beside, size)
    direct = house.crowd("beside-slow-clients-at-a-node", direct=0)
    with _slow(house.ports[0], size.direct, size, None):
        _for_a_while(direct, size)
    first, second = _p99(plain), _p99(beside)
    result.n = f"{size.n} slow connections, {len(beside.ledger.sign_ins)} sign-ins beside them"
    result.say("slow connections held open on the average", f"{held[0]:.0f}")
    result.say("p99 of a sign-in without them", f"{first:.2f} s")
    result.at_most("p99 of a sign-in beside them, times that without", 2.0, second / first, "×")
    result.zero("sign-ins that failed beside them", sum(not one.finished for one in beside.ledger.sign_ins))
    finished = sum(one.finished for one in direct.ledger.sign_ins)
    result.say(
        f"a node alone, without nginx, {size.direct} slow connections",
        f"{finished} of {len(direct.ledger.sign_ins)} sign-ins finished",
    )
    books(result, house)
    return result


def _for_a_while(crowd: Crowd, size: Slowness) -> None:
    end = time.monotonic() + size.seconds
    crowd.run(size.at_once, lambda: time.monotonic() >= end, size.seed)


def _p99(crowd: Crowd) -> float:
    return quantile([one.took_s for one in crowd.ledger.sign_ins], 0.99)


@contextmanager
def _slow(port: int, n: int, size: Slowness, tls: ssl.SSLContext | None) -> Iterator[list[float]]:
    """That many connections that never come to the end of their request; what is closed is opened again.

    They come from several addresses of this machine, as nginx allows 512 to one. Yields how many were open, on the
    average, once it is over.
    """
    over, average = threading.Event(), [0.0]

    def hold(share: int, address: str) -> None:
        held: list[socket.socket] = []
        samples = []
        while not over.is_set():
            while len(held) < share and not over.is_set():
                opened = _open_slowly(port, address, tls)
                if opened is None:
                    break
                held.append(opened)
            samples.append(len(held))
            over.wait(size.byte_s)
            held = [one for one in held if _one_byte(one)]
        average[0] += sum(samples) / max(len(samples), 1)
        for one in held:
            one.close()

    shares = 5
    threads = [
        threading.Thread(target=hold, args=(n // shares, f"127.0.0.{2 + number}")) for number in range(shares)
    ]
    for thread in threads:
        thread.start()
    time.sleep(size.byte_s)
    yield average
    over.set()
    for thread in threads:
        thread.join()


def _open_slowly(port: int, address: str, tls: ssl.SSLContext | None) -> socket.socket | None:
    with suppress(OSError):
        plain = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(address, 0))
        opened = plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")
        opened.sendall(b"GET /authorize HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        return opened
    return None


def _one_byte(one: socket.socket) -> bool:
    with suppress(OSError):
        one.sendall(b"a")
        one.setblocking(False)
        try:
            return one.recv(1) != b""
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        finally:
            one.setblocking(True)
    one.close()
    return False
