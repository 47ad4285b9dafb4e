"""Load: clients that submit over SMTP, in a process of their own.

A stream is some clients that send the same kind of mail: as fast as they are answered, or at a rate in
all; a number of messages, or until told to stop. Each message has one recipient at one of many domains.
Clients connect from `source`, which says to the box for which tenant they send; they pipeline.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from depth.child import answer

_PADDING: Final = b"The quick brown fox jumps over the lazy dog, 0123456789 abcdef.\r\n" * 12
_PATIENCE: Final = 60.0


@dataclass(kw_only=True)
class Stream:
    """What is asked for, and how far it has come."""

    place: tuple[str, int]
    source: str
    sender: str
    label: str
    domains: list[str]  # in turns
    clients: int = 20
    count: int = 0  # 0: until told to stop
    rate: float = 0.0  # messages a second in all; 0: as fast as answered
    traffic_class: str = "transactional"
    handed_in: int = 0
    accepted: int = 0
    refused: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)  # s until a message was accepted
    ended: float = 0.0
    stopping: bool = False

    def next_number(self) -> int | None:
        """The number of the next message; None when there is none."""
        if self.stopping or (self.count and self.handed_in >= self.count):
            return None
        self.handed_in += 1
        return self.handed_in - 1

    async def run(self) -> None:
        """All clients until they are done."""
        started = time.monotonic()
        async with asyncio.TaskGroup() as clients:
            for _ in range(self.clients):
                clients.create_task(self._client(started))
        self.ended = time.monotonic()

    async def _client(self, started: float) -> None:
        reader, writer = await asyncio.open_connection(*self.place, local_addr=(self.source, 0))
        try:
            await _replies(reader, 1)
            writer.write(b"EHLO client.example\r\n")
            await _replies(reader, 1)
            while (number := self.next_number()) is not None:
                if self.rate:
                    await asyncio.sleep(started + number / self.rate - time.monotonic())
                await self._send(reader, writer, number)
            writer.write(b"QUIT\r\n")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        to = f"user{number}@{self.domains[number % len(self.domains)]}"
        handed_in = time.monotonic_ns()
        writer.write(f"MAIL FROM:<{self.sender}>\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode())
        answers = await _replies(reader, 3)
        if not answers[-1].startswith("354"):
            self.refused.append(" | ".join(answers))
            if len(self.refused) > 100:
                raise OSError(f"refused again and again: {self.refused[-1]}")
            return
        writer.write(
            f"From: <{self.sender}>\r\nTo: <{to}>\r\nSubject: message {number}\r\n"
            f"Message-ID: <{handed_in}.{number}@client.example>\r\n"
            "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
            f"X-Pillarbox-Class: {self.traffic_class}\r\n"
            f"X-Bench: {self.label} {handed_in}\r\n\r\n".encode()
            + _PADDING
            + b".\r\n"
        )
        (taken,) = await _replies(reader, 1)
        if taken.startswith("250"):
            self.accepted += 1
            self.waits.append((time.monotonic_ns() - handed_in) / 1e9)
        else:
            self.refused.append(taken)


class Streams:
    """The streams that run, by label."""

    def __init__(self) -> None:
        self._streams: dict[str, Stream] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def obey(self, asked: dict[str, Any]) -> Any:
        """`begin`, `stand` (how far it has come), `end` (when its clients are done)."""
        do = asked.pop("do")
        if do == "begin":
            stream = Stream(**asked)
            stream.place = (stream.place[0], stream.place[1])
            self._streams[stream.label] = stream
            self._tasks[stream.label] = asyncio.create_task(stream.run())
            return time.monotonic()
        stream, task = self._streams[asked["label"]], self._tasks[asked["label"]]
        if do == "end":
            stream.stopping = True
            async with asyncio.timeout(_PATIENCE):
                await task
        elif task.done():
            await task  # raises what it raised
        return {
            "accepted": stream.accepted,
            "wait_ms": round(sorted(stream.waits)[int(len(stream.waits) * 0.99)] * 1000, 1)
            if stream.waits
            else 0.0,
            "ended": stream.ended,
            "refused": len(stream.refused),
            "words": stream.refused[:3],
        }


async def _replies(reader: asyncio.StreamReader, count: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(_PATIENCE):
        while len(found) < count:
            line = await reader.readuntil(b"\n")
            if line[3:4] != b"-":
                found.append(line.decode("utf-8", "replace").strip())
    return found


if __name__ == "__main__":
    asyncio.run(answer(Streams().obey))
