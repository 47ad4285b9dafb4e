"""A client that submits as fast as it is answered, and remembers what was acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """What was sent, acknowledged and refused; a message is named by its X-Number header."""

    sent: int = 0
    acknowledged: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    disconnects: int = 0

    def next_number(self) -> int:
        self.sent += 1
        return self.sent


def letter(number: int, domain: str = "good.test", padding: int = 200) -> bytes:
    lines = ("x" * 70 + "\r\n") * (padding // 72)
    return (
        f"From: orders@shop.test\r\nTo: u{number}@{domain}\r\nSubject: letter {number}\r\n"
        f"X-Number: {number}\r\n\r\n{lines}{'x' * (padding % 72)}\r\n"
    ).encode()


async def client(
    place: tuple[str, int],
    ledger: Ledger,
    stop: asyncio.Event,
    domain: str = "good.test",
    padding: int = 200,
) -> None:
    """Send one message after the other until told to stop; reconnect when cut off."""
    while not stop.is_set():
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await _session(place, ledger, stop, domain, padding)
        ledger.disconnects += 1
        await asyncio.sleep(0.02)


async def _session(
    place: tuple[str, int], ledger: Ledger, stop: asyncio.Event, domain: str, padding: int
) -> None:
    reader, writer = await asyncio.open_connection(*place)
    try:
        await _reply(reader)
        await _say(reader, writer, "EHLO load.test")
        while not stop.is_set():
            number = ledger.next_number()
            answer = await _say(reader, writer, "MAIL FROM:<orders@shop.test>")
            if not answer.startswith("250"):
                ledger.refused[number] = answer
                return
            await _say(reader, writer, f"RCPT TO:<u{number}@{domain}>")
            if not (await _say(reader, writer, "DATA")).startswith("354"):
                return
            writer.write(letter(number, domain, padding) + b".\r\n")
            answer = await _reply(reader)
            if answer.startswith("250"):
                ledger.acknowledged.add(number)
            else:
                ledger.refused[number] = answer
                if answer.startswith("421"):
                    return
    finally:
        writer.close()


async def _say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str) -> str:
    writer.write(line.encode() + b"\r\n")
    return await _reply(reader)


async def _reply(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(20):
        while True:
            line = await reader.readuntil(b"\n")
            if line[3:4] != b"-":
                return line.decode().strip()
