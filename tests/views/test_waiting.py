"""A waiting page is told at once, holds no thread, and its connection is not left open."""

import math
import resource
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import gunicorn.util
import pytest

from idp.store import Store, open_store
from idp.views import waiting
from idp.views.waiting import MAX_PAGES, HandOver, WaitingRoom
from tests.waiting import eventually


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path / 'store.db'}")) as opened:
        yield opened


@pytest.fixture
def room(store: Store) -> Iterator[WaitingRoom]:
    with closing(WaitingRoom(store)) as opened:
        yield opened


def enter(
    room: WaitingRoom, state: str = "waiting", channel: str = "login:1", max_s: float = 60
) -> socket.socket:
    """A page's end of a connection whose other end the room has taken."""
    page, server = socket.socketpair()
    page.settimeout(10)
    environ: dict[str, Any] = {"gunicorn.socket": server}
    with server:
        assert room.admit(environ, channel, lambda: state, max_s)
    return page


@contextmanager
def allowed_sockets(number: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def hear(page: socket.socket, until: bytes) -> bytes:
    heard = b""
    while until not in heard:
        part = page.recv(4096)
        assert part, heard
        heard += part
    return heard


def test_a_page_hears_the_state_first_and_then_the_change(room: WaitingRoom, store: Store) -> None:
    with closing(enter(room)) as page:
        first = hear(page, b'{"state": "waiting"}\n\n')
        assert first.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Type: text/event-stream" in first
        store.publish("login:1")
        assert b'"changed"' in hear(page, b"\n\n")
        assert page.recv(1) == b""
    eventually(lambda: room.waiting == 0)


def test_another_logins_change_is_not_heard(room: WaitingRoom, store: Store) -> None:
    with closing(enter(room, channel="login:1")) as one, closing(enter(room, channel="login:2")) as two:
        hear(one, b"\n\n")
        hear(two, b"\n\n")
        store.publish("login:2")
        assert b"changed" in hear(two, b"\n\n")
        one.setblocking(False)
        with pytest.raises(BlockingIOError):
            one.recv(1)


def test_many_pages_wait_on_one_thread(room: WaitingRoom, store: Store) -> None:
    with closing(enter(room)) as first:
        hear(first, b"\n\n")
        before = set(threading.enumerate())
        pages = [enter(room, channel=f"login:{number}") for number in range(2, 202)]
        for page in pages:
            hear(page, b"\n\n")
        assert room.waiting == 201
        assert set(threading.enumerate()) <= before
        for number, page in enumerate(pages, 2):
            store.publish(f"login:{number}")
            assert b"changed" in hear(page, b"changed")
            page.close()


def test_nothing_runs_before_the_first_page_comes(store: Store) -> None:
    """A server may fork after it has made the room: a thread from before would not be there."""
    before = set(threading.enumerate())
    with closing(WaitingRoom(store)) as room:
        assert set(threading.enumerate()) <= before
        with closing(enter(room)) as page:
            hear(page, b"\n\n")
            assert "waiting-room" in {thread.name for thread in set(threading.enumerate()) - before}
    assert "waiting-room" not in {thread.name for thread in set(threading.enumerate()) - before}


def test_two_thousand_wait_and_one_is_told(room: WaitingRoom, store: Store) -> None:
    with allowed_sockets(2 * 2000 + 200), ExitStack() as open_pages:
        pages = [
            open_pages.enter_context(closing(enter(room, channel=f"login:{number}")))
            for number in range(2000)
        ]
        for page in pages:
            hear(page, b"\n\n")
        assert room.waiting == 2000
        store.publish("login:1234")
        assert b"changed" in hear(pages[1234], b"changed")
        eventually(lambda: room.waiting == 1999)
        looking = open_pages.enter_context(selectors.DefaultSelector())
        for page in pages:
            looking.register(page, selectors.EVENT_READ)
        assert [key.fileobj for key, _ in looking.select(0)] == [pages[1234]]  # it hears the end


def test_a_page_that_leaves_is_forgotten(room: WaitingRoom) -> None:
    page = enter(room)
    hear(page, b"\n\n")
    page.close()
    eventually(lambda: room.waiting == 0)


def test_a_page_that_says_more_than_it_asked_is_let_go(room: WaitingRoom) -> None:
    with closing(enter(room)) as page:
        hear(page, b"\n\n")
        page.sendall(b"GET / HTTP/1.1\r\n\r\n")
        eventually(lambda: room.waiting == 0)


def test_a_page_hears_that_its_time_is_over_and_asks_again(room: WaitingRoom) -> None:
    with closing(enter(room, max_s=0.01)) as page:
        assert b'"changed"' in hear(page, b'"changed"}\n\n')
        assert page.recv(1) == b""
    eventually(lambda: room.waiting == 0)


def test_a_page_that_waits_long_hears_that_we_are_still_here(
    room: WaitingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "HEARTBEAT_S", 0.01)
    with closing(enter(room)) as page:
        hear(page, b": waiting\n\n: waiting\n\n")
        assert room.waiting == 1


def test_a_page_that_does_not_read_is_let_go_and_holds_up_nobody(
    room: WaitingRoom, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(waiting, "_STILL_HERE", b":" * 1_000_000)  # more than any buffer takes
    with closing(enter(room, channel="login:1")), closing(enter(room, channel="login:2", max_s=0.01)) as two:
        assert b'"changed"' in hear(two, b"changed")
        eventually(lambda: room.waiting == 0)


def test_a_closed_room_lets_everybody_go_and_admits_nobody(room: WaitingRoom) -> None:
    with closing(enter(room)) as page:
        hear(page, b"\n\n")
        room.close()
        assert page.recv(1) == b""
    assert room.waiting == 0
    one, other = socket.socketpair()
    with one, other:
        assert not room.admit({"gunicorn.socket": other}, "login:1", lambda: "waiting", 60)


def test_a_room_that_closes_while_a_page_comes_in_keeps_no_connection(room: WaitingRoom) -> None:
    page, server = socket.socketpair()
    page.settimeout(10)

    def read_state() -> str:
        room.close()
        return "waiting"

    with page, server:
        assert room.admit({"gunicorn.socket": server}, "login:1", read_state, 60)
        assert page.recv(1) == b""


def test_what_the_server_keeps_it_can_close_as_always(room: WaitingRoom) -> None:
    page, server = socket.socketpair()
    with closing(page):
        assert room.admit({"gunicorn.socket": server}, "login:1", lambda: "waiting", 60)
        server.setblocking(True)
        gunicorn.util.close_graceful(server)
        assert server.fileno() == -1
        assert hear(page, b"\n\n")


def test_a_change_between_listening_and_reading_the_state_is_heard(room: WaitingRoom, store: Store) -> None:
    page, server = socket.socketpair()
    page.settimeout(10)

    def read_state() -> str:
        store.publish("login:1")
        return "waiting"

    with closing(page):
        with server:
            assert room.admit({"gunicorn.socket": server}, "login:1", read_state, 60)
        assert b"changed" in hear(page, b"changed")


def test_a_state_that_cannot_be_read_leaves_the_connection_to_the_server(room: WaitingRoom) -> None:
    page, server = socket.socketpair()

    def read_state() -> str:
        raise LookupError("gone")

    with closing(page), closing(server):
        with pytest.raises(LookupError):
            room.admit({"gunicorn.socket": server}, "login:1", read_state, 60)
        server.sendall(b"an error")
        assert page.recv(100) == b"an error"
        eventually(lambda: room.waiting == 0)


def test_a_server_that_keeps_its_socket_is_told_so(room: WaitingRoom) -> None:
    assert not room.admit({}, "login:1", lambda: "waiting", 60)


def test_the_server_does_not_answer_on_a_connection_that_was_given_away() -> None:
    closed = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    def gives_away(environ: dict[str, Any], start_response: Any) -> Body:
        environ["sinwon.handed_over"] = True
        return Body()

    with pytest.raises(StopIteration):
        HandOver(gives_away)({}, None)
    assert closed == [True]


def test_only_so_many_pages_of_one_login_wait_here(room: WaitingRoom) -> None:
    with ExitStack() as open_pages:
        for _ in range(MAX_PAGES):
            open_pages.enter_context(closing(enter(room)))
        eventually(lambda: room.waiting == MAX_PAGES)
        page, server = socket.socketpair()
        with page, server:
            assert not room.admit({"gunicorn.socket": server}, "login:1", lambda: "waiting", 60)
        open_pages.enter_context(closing(enter(room, channel="login:2")))


def test_no_more_wait_here_than_leaves_files_for_everybody_else(
    room: WaitingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (20, 20))
    with ExitStack() as open_pages:
        for number in range(10):
            open_pages.enter_context(closing(enter(room, channel=f"login:{number}")))
        eventually(lambda: room.waiting == 10)
        page, server = socket.socketpair()
        with page, server:
            assert not room.admit({"gunicorn.socket": server}, "login:10", lambda: "waiting", 60)


@pytest.mark.parametrize(("files", "pages"), [(20_000, 18_500), (1024, 512), (-1, math.inf)])
def test_how_many_may_wait_depends_on_the_files_that_may_be_open(
    monkeypatch: pytest.MonkeyPatch, files: int, pages: float
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert waiting.most_pages() == pages
