"""Peers: a client and a receiver in a process of their own, so that only the box is counted.

Prints the receiver's port, then for each line {"port", "count", "kept", "size", "sender"} on standard input sends so
many messages, each only after the one before has reached the receiver, and prints "done".
Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import smtplib
import sys
import threading
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from appliance.lab.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPIENT = "jane@dst.example"
_PATIENCE = 30.0


class _Client:
    """Sends one message after the other."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)

    def send(self, asked: dict[str, Any]) -> None:
        """As asked; raises TimeoutError when a message does not arrive."""
        letter = _letter(asked["sender"], asked["size"])
        for session in _sessions(asked):
            session.send_message(letter)
            if not self.arrived.acquire(timeout=_PATIENCE):
                raise TimeoutError("a message that was accepted has not arrived")


def _letter(sender: str, size: int) -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"] = sender, RECIPIENT
    letter["Subject"] = "guard"
    line = "All that is counted can be compared, whosever machine it runs on.\n"
    letter.set_content(line * max(1, size // len(line)))
    return letter


def _sessions(asked: dict[str, Any]) -> Iterator[smtplib.SMTP]:
    """A session for each message: always the same one, or always another."""
    if asked["kept"]:
        with smtplib.SMTP("127.0.0.1", asked["port"]) as session:
            for _ in range(asked["count"]):
                yield session
        return
    for _ in range(asked["count"]):
        with smtplib.SMTP("127.0.0.1", asked["port"]) as session:
            yield session


async def main() -> None:
    """Serve until standard input ends."""
    client = _Client()
    async with Receiver(on_message=lambda _: client.arrived.release()) as receiver:
        print(receiver.port, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            await asyncio.to_thread(client.send, json.loads(line))
            print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
