"""How fast this machine is at what a relay does most, and whether its Python is a slow build.

Figures of two machines compare only beside these; and peers from Debian's packages are optimised, so
a Python that is not makes ours look slower than it is where people install it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDS: Final = 200
_LOOP: Final = (
    "import time; t = time.perf_counter(); sum(range(10**6)); print(time.perf_counter() - t)"
)
_SYSTEM: Final = Path("/usr/bin/python3")
_MUCH: Final = 1.5


def speed() -> dict[str, float]:
    """Median µs of an RSA-2048 signature, and of handing something to a thread and getting it back."""
    key = rsa.generate_private_key(65537, 2048)
    there: SimpleQueue[int | None] = SimpleQueue()
    back: SimpleQueue[int] = SimpleQueue()

    def answer() -> None:
        while (word := there.get()) is not None:
            back.put(word)

    def ask() -> None:
        there.put(1)
        back.get()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        return {
            "rsa2048": _median(lambda: key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())),
            "thread_and_back": _median(ask),
        }
    finally:
        there.put(None)
        thread.join()


def _median(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return round(statistics.median(taken) * 1e6, 1)


def slow_python() -> str:
    """What to do about a Python that takes much longer than the system's; "" = nothing."""
    if not _SYSTEM.exists() or _SYSTEM.samefile(sys.executable):
        return ""
    ours, theirs = _loop(sys.executable), _loop(str(_SYSTEM))
    if not theirs or ours < _MUCH * theirs:
        return ""
    return (
        f"this Python takes {ours / theirs:.1f} times as long as {_SYSTEM}, by a bare loop: it was built without"
        f" optimisation. Set up with make PYTHON={_SYSTEM} what is to be measured"
    )


def _loop(python: str) -> float:
    """Seconds, the least of some; 0 when it does not run."""
    taken = []
    for _ in range(5):
        done = subprocess.run([python, "-c", _LOOP], capture_output=True, text=True, check=False)
        if done.returncode:
            return 0.0
        taken.append(float(done.stdout))
    return min(taken)
