"""A submission service in a thread of its own, for clients that block; and what it must never do."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from tests.support.smtp_box import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_REPLY = re.compile(rb"[2-5][0-9][0-9][ -](?:[245]\.[0-9]{1,3}\.[0-9]{1,3} )?[ -~]{0,500}\r\n")
_PATIENCE = 20.0


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


class ThreadedBox:
    """`with ThreadedBox(lambda: Box(...)) as server`."""

    def __init__(self, make: Callable[[], Box]) -> None:
        self._make = make
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._complaints = _Complaints()
        self._loop: asyncio.AbstractEventLoop
        self.box: Box

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._complaints)
        self._thread.start()
        assert self._ready.wait(_PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_PATIENCE)
        logging.getLogger().removeHandler(self._complaints)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._crashed)
        self._stop = asyncio.Event()
        self.box = self._make()
        async with self.box:
            self._ready.set()
            await self._stop.wait()

    def _crashed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._complaints.texts.append(repr(context))

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.box.port), _PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def say(self, chunks: Iterable[bytes]) -> bytes:
        """Send the chunks, then nothing more; all that was answered."""
        with self.connect() as sock:
            try:
                for number, chunk in enumerate(chunks):
                    if number:
                        time.sleep(0.0004)  # so that they arrive apart
                    sock.sendall(chunk)
                sock.shutdown(socket.SHUT_WR)
            except OSError:  # it has hung up; what it said can still be read
                pass
            return heard(sock)

    def check_calm(self) -> None:
        """Nothing is left of the sessions, and nothing was wrong."""
        end = time.monotonic() + _PATIENCE
        while (self.box.sessions.open or self.box.room.used) and time.monotonic() < end:
            time.sleep(0.0002)
        assert (self.box.sessions.open, self.box.room.used) == (0, 0)
        assert self._complaints.texts == []


def heard(sock: socket.socket) -> bytes:
    """Until the end."""
    pieces = []
    try:
        while piece := sock.recv(65536):
            pieces.append(piece)
    except ConnectionError:  # reset: what has come has come
        pass
    return b"".join(pieces)


def codes(answered: bytes) -> list[int]:
    """The code of each reply; every line must have the form of one (RFC 5321 4.2)."""
    found: list[int] = []
    open_code = 0
    for line in answered.splitlines(keepends=True):
        assert _REPLY.fullmatch(line), line
        code = int(line[:3])
        assert open_code in (0, code), line
        open_code = code if line[3:4] == b"-" else 0
        if not open_code:
            found.append(code)
    assert not open_code, answered[-200:]
    assert b" internal error" not in answered
    return found
