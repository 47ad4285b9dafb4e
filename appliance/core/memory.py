"""Memory: give back to the system what was freed, spare the collector what stays, share what can be shared.

glibc keeps freed blocks below 128 KB (and, once larger ones were freed, below as much as 32 MB) for the
process: after a burst of 100 KB messages on 100 sessions that was 40 MB. Measured: a trim of such a
heap takes about a millisecond, without the GIL. On another C library this does nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from asyncio import sslproto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIBRARY: Final = ctypes.CDLL(None)
_TRIM: Final = getattr(_LIBRARY, "malloc_trim", None)
_OPTION: Final = getattr(_LIBRARY, "mallopt", None)
_ARENA_MAX: Final = -8  # malloc.h
_INFO: Final = getattr(_LIBRARY, "mallinfo2", None)  # glibc 2.33
_HOLES: Final = (*(1 << power for power in range(16, 9, -1)), *range(496, 16, -16))
_MOST_HOLES: Final = 100_000


class _Heap(ctypes.Structure):
    """What glibc says of its heap: `struct mallinfo2`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


if _INFO is not None:
    _INFO.restype = _Heap
    _LIBRARY.malloc.argtypes, _LIBRARY.malloc.restype = (ctypes.c_size_t,), ctypes.c_void_p


TLS_BUFFER: Final = 16 * 1024


def slim_tls() -> None:
    """A TLS connection keeps a buffer of 16 KB, the size of a TLS record, instead of asyncio's 256 KB.

    Measured: an idle one takes 45 KB instead of 286 KB, and messages of 4 KB to 1 MB take no more CPU.
    """
    sslproto.SSLProtocol.max_size = TLS_BUFFER


def give_back() -> None:
    """Return free pages of the heap to the system."""
    if _TRIM is not None:
        _TRIM(0)


def share_heap() -> None:
    """Threads take from the one heap of the process, which is trimmed as a whole.

    They would have one each: 3 to 5 MB in all processes, and no fewer waits for each other, since they
    take turns at the interpreter anyway.
    """
    if _OPTION is not None:
        _OPTION(_ARENA_MAX, 1)


def holes() -> int:
    """Octets that are free between the blocks of the heap; 0 where the C library does not say."""
    if _INFO is None:
        return 0
    heap = _INFO()
    return int(heap.fordblks - heap.keepcost)


def fill_holes() -> None:
    """Take what is free between the blocks of the heap, and keep it: for a parent about to fork.

    A child would put its first blocks there, each into another page that it shared with its parent until
    then. Measured after all imports: 1.2 MB of holes, for which each child copied 7 MB of pages.
    """
    if _INFO is None:
        return
    taken = 0
    for size in _HOLES:
        before = _INFO()
        while before.fordblks - before.keepcost >= size and taken < _MOST_HOLES:
            _LIBRARY.malloc(size)
            taken += 1
            now = _INFO()
            if now.keepcost != before.keepcost:  # from the heap's end: no hole is so large
                break
            before = now


@contextlib.contextmanager
def for_long() -> Iterator[None]:
    """What is made meanwhile is here to stay: the garbage collector does not look at it again and again.

    Measured on the keys of a million waiting recipients: 4 of 9 s were spent in looks at them, and each
    look later stopped the process for 0.4 s. What is thrown away is freed all the same, but for cycles.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """The garbage collector waits meanwhile: for work of a second at most that makes and drops much.

    Measured on a directory of ten thousand domains: it looked at everything twice, 110 ms each.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
