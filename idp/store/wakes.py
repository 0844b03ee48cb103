"""Waking whoever waits: subscribers in this process, and a thread that hears the other processes."""

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from uuid import uuid4

log = logging.getLogger(__name__)

FIRST_CONNECTION_S = 2.0
RECONNECT_S = 1.0
# How long a listener may sit in one wait: a stopped one ends within this time.
TICK_S = 0.5


class Wakes:
    """The subscribers of one store object in this process."""

    def __init__(self) -> None:
        self._subscribers: dict[object, Callable[[str], None]] = {}
        self._lock = threading.Lock()
        self._own = uuid4().hex

    def subscribe(self, wake: Callable[[str], None]) -> Callable[[], None]:
        """Call wake for every channel that is woken; returns what ends that (harmless when called twice)."""
        name = object()
        with self._lock:
            self._subscribers[name] = wake

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers.pop(name, None)

        return unsubscribe

    def wake(self, channel: str) -> None:
        """Call every subscriber. One that raises is logged and does not keep the others asleep."""
        with self._lock:
            subscribers = list(self._subscribers.values())
        for wake in subscribers:
            try:
                wake(channel)
            except Exception:
                log.exception("a subscriber of the store failed when woken")

    def letter(self, channel: str) -> str:
        """The channel as told to other processes, marked as ours."""
        return f"{self._own}:{channel}"

    def open_letter(self, letter: str) -> None:
        """Wake for what another process told. Our own, already woken when published, is left out."""
        sender, _, channel = letter.partition(":")
        if sender != self._own:
            self.wake(channel)


class Listener:
    """A thread that hears letters from other processes, and reconnects until it is closed.

    hear() connects and then yields: a letter, or None when it listens and nothing has come for TICK_S.
    Whatever it raises, a lost connection or worse, the thread begins again. It starts with `ensure`.
    """

    def __init__(
        self,
        hear: Callable[[], Generator[str | None]],
        deliver: Callable[[str], None],
    ) -> None:
        self._hear = hear
        self._deliver = deliver
        self._listening = threading.Event()
        self._closed = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def ensure(self) -> None:
        """Start on the first call; return once it listens, or after FIRST_CONNECTION_S in any case."""
        with self._starting:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="store-listener", daemon=True)
                self._thread.start()
        if not self._listening.wait(FIRST_CONNECTION_S):
            log.warning("the store's server cannot be listened to yet; waiting pages fall back to asking")

    def close(self) -> None:
        """End the thread; returns when it has ended."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen()
            except Exception as error:
                self._listening.clear()
                log.warning("listening to the store broke off (%s); trying again", type(error).__name__)
                self._closed.wait(RECONNECT_S)

    def _listen(self) -> None:
        with closing(self._hear()) as letters:
            for letter in letters:
                self._listening.set()
                if letter is not None:
                    self._deliver(letter)
                if self._closed.is_set():
                    return
