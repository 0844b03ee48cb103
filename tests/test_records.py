"""Records that many threads read for the first time at once: a process that was just started, under load."""

import subprocess
import sys

# In a process of its own, since this one knows the records long ago. Each child is a fresh start.
FIRST_USE = """
import os, sys, threading
import msgspec
from idp import wiring
from idp.login import Login

if sys.argv[1:] == ["learn"]:
    wiring.learn_records()
sys.setswitchinterval(1e-6)
ask = {"id": "a", "via": "link", "nonce": "n", "sealed_key": "s", "created_at": 1}
request = {"client_id": "a", "redirect_uri": "b", "scopes": ["openid"]}
login = {"id": "x", "request": request, "browser_key": "k", "created_at": 1, "expires_at": 2, "asks": [ask]}


def read(gate):
    gate.wait()
    try:
        msgspec.convert(login, Login)
    except msgspec.ValidationError:
        pass


died = 0
for _ in range(60):
    child = os.fork()
    if child == 0:
        gate = threading.Barrier(8)
        threads = [threading.Thread(target=read, args=(gate,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(0)
    died += os.WIFSIGNALED(os.waitpid(child, 0)[1])
print(died)
"""


def test_no_process_dies_of_the_first_records_that_its_threads_read() -> None:
    """Without `learn_records` one in three did, here where threads take turns as often as they can."""
    command = [sys.executable, "-c", FIRST_USE, "learn"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
