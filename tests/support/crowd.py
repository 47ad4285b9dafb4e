"""Many clients at once against a box in processes of its own: they connect, wait, drip or flood."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import re
import resource
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

Place = tuple[str, int]
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_AT_ONCE = 100


def pss(pid: int) -> int:
    """Octets of memory, shared pages shared out."""
    found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    assert found is not None
    return int(found[1]) * 1024


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@contextlib.contextmanager
def many_files(wanted: int) -> Iterator[None]:
    """Raise this process's limit of open files for a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (resource.RLIM_INFINITY,) and hard < wanted:
        pytest.skip(
            f"needs {wanted} open files: raise the hard limit (ulimit -Hn), which is {hard}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass
class Guest:
    """One connection that says what it is told to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def reply(self, seconds: float = 30) -> str:
        """The last line of one reply; "" when the connection has ended."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    line = await self.reader.readline()
                except ConnectionError:
                    return ""
                if line[3:4] != b"-":
                    return line.decode().strip()

    async def ask(self, line: str) -> str:
        self.writer.write(line.encode() + b"\r\n")
        return await self.reply()

    async def last(self) -> str:
        """One more reply; then it is over."""
        try:
            return await self.reply()
        finally:
            self.leave()

    async def drip(self, octets: bytes, pause: float) -> str:
        """Say the octets one by one, again and again, until there is a last reply."""
        heard = asyncio.ensure_future(self.last())
        at = 0
        while not heard.done():
            with contextlib.suppress(ConnectionError):
                self.writer.write(octets[at % len(octets) : at % len(octets) + 1])
            at += 1
            await asyncio.wait([heard], timeout=pause)
        return heard.result()

    async def message(self, to: str) -> str:
        """A whole transaction; the reply to its last dot, or the first refusal."""
        for line in ("MAIL FROM:<orders@shop.test>", f"RCPT TO:<{to}>"):
            answer = await self.ask(line)
            if not answer.startswith("250"):
                return answer
        await self.ask("DATA")
        letter = f"From: orders@shop.test\r\nTo: {to}\r\nSubject: hi\r\n\r\nhello\r\n.\r\n"
        self.writer.write(letter.encode())
        return await self.reply()

    def leave(self) -> None:
        self.writer.transport.abort()


async def guest(
    place: Place, source: str, context: ssl.SSLContext | None = None, *, hello: bool = True
) -> Guest:
    """A client that has been greeted, and has said EHLO."""
    reader, writer = await asyncio.open_connection(*place, local_addr=(source, 0), ssl=context)
    found = Guest(reader, writer)
    answer = await found.reply()
    assert answer.startswith("220"), answer
    if hello:
        assert (await found.ask("EHLO guest.test")).startswith("250")
    return found


async def crowd(place: Place, count: int, context: ssl.SSLContext | None = None) -> list[Guest]:
    """So many clients, from 200 addresses."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> Guest:
        async with gate:
            return await guest(place, f"127.0.7.{1 + number % 200}", context)

    return list(await asyncio.gather(*map(one, range(count))))


@dataclass
class Served:
    """A client that sends one message after the other and must be served."""

    place: Place
    source: str
    to: str = "u@good.test"
    count: int = 0
    refused: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Served:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        assert self._task is not None
        await self._task

    async def _run(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            one = await guest(self.place, self.source)
            answer = await one.message(self.to)
            one.leave()
            self.slowest = max(self.slowest, time.monotonic() - started)
            if answer.startswith("250"):
                self.count += 1
            else:
                self.refused.append(answer)
            await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Flood:
    """What a flood met with."""

    greeted: int
    refused: int
    failed: int
    seconds: float


async def flood(place: Place, source: str, count: int) -> Flood:
    """Connect, listen, leave, so many times, as fast as one process can."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    child = context.Process(target=_flood, args=(theirs, place, source, count))
    child.start()
    try:
        while not mine.poll():
            assert child.is_alive(), "the flood has ended"
            await asyncio.sleep(0.05)
        return Flood(*mine.recv())
    finally:
        child.kill()
        child.join()


def _flood(pipe: object, place: Place, source: str, count: int) -> None:
    found = {"220": 0, "421": 0, "": 0}
    started = time.monotonic()
    for _ in range(count):
        try:
            with socket.create_connection(place, 30, (source, 0)) as sock:
                found[sock.recv(3).decode()] += 1
        except OSError:
            found[""] += 1
    seconds = time.monotonic() - started
    pipe.send((found["220"], found["421"], found[""], seconds))  # type: ignore[attr-defined]
