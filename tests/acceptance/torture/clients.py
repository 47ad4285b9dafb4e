"""Clients of all kinds: on connections that are kept or not, with and without login, and some that vanish.

Each sends letters that name themselves (X-Number) and their octets (X-Digest), and writes into the
ledger what it was told.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from appliance.credentials import IssuedLogin
    from tests.acceptance.torture.ledger import Ledger, Letter

Place = tuple[str, int]
SIZES: Final = (300, 300, 300, 4_000, 4_000, 40_000, 200_000)
PATIENCE: Final = 60.0
VANISHES: Final = ("after MAIL", "after RCPT", "before the dot", "after the dot")


class RefusedError(Exception):
    """An answer that ends this letter; with 421 the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a client behaves."""

    is_kept: bool  # many letters on one connection
    logs_in: bool  # over TLS, with AUTH
    vanishes: float  # how often, of 1, it is gone in the middle of a letter
    pause: float  # seconds between letters, on average


MANNERS: Final = (
    Manners(is_kept=True, logs_in=False, vanishes=0.0, pause=0.1),
    Manners(is_kept=True, logs_in=False, vanishes=0.0, pause=0.1),
    Manners(is_kept=False, logs_in=False, vanishes=0.0, pause=0.1),
    Manners(is_kept=True, logs_in=True, vanishes=0.0, pause=0.2),
    Manners(is_kept=False, logs_in=True, vanishes=0.05, pause=0.3),
    Manners(is_kept=True, logs_in=False, vanishes=0.3, pause=0.2),
)


class Client:
    """Sends until told to stop."""

    def __init__(
        self,
        manners: Manners,
        ledger: Ledger,
        choose: Callable[[random.Random, int], tuple[str, ...]],
        login: IssuedLogin,
        dice: random.Random,
    ) -> None:
        self._manners, self._ledger, self._choose = manners, ledger, choose
        self._login, self._dice = login, dice
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def run(self, places: Callable[[], dict[str, Place]], stop: asyncio.Event) -> None:
        """One session after the other."""
        while not stop.is_set():
            name = "submissions" if self._manners.logs_in else "submission"
            place = places().get(name)
            try:
                if place is not None:
                    await self._session(place, stop)
            except (OSError, EOFError, TimeoutError):
                self._ledger.hung_up += 1
            except RefusedError:
                pass
            await self._rest()

    async def _rest(self) -> None:
        await asyncio.sleep(self._dice.expovariate(1 / self._manners.pause))

    async def _session(self, place: Place, stop: asyncio.Event) -> None:
        try:
            await self._open(place)
            while not stop.is_set():
                try:
                    await self._send()
                except RefusedError as refused:
                    if str(refused).startswith("421"):
                        raise
                    await self._ask("RSET")
                if not self._manners.is_kept:
                    await self._ask("QUIT")
                    return
                await self._rest()
        finally:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    async def _open(self, place: Place) -> None:
        async with asyncio.timeout(PATIENCE):
            context = _trusting() if self._manners.logs_in else None
            self._reader, self._writer = await asyncio.open_connection(*place, ssl=context)
        await self._expect("220", None)
        await self._expect("250", "EHLO client.test")
        if self._manners.logs_in:
            plain = f"\0{self._login.username}\0{self._login.password}".encode()
            await self._expect("235", "AUTH PLAIN " + base64.b64encode(plain).decode())

    async def _send(self) -> Letter:
        number = self._ledger.next_number
        letter = self._ledger.letter(number, self._choose(self._dice, number))
        at = self._leaves_at()
        try:
            await self._expect("250", "MAIL FROM:<orders@shop.test>")
            self._leave(at == "after MAIL")
            for address in letter.recipients:
                await self._expect("250", f"RCPT TO:<{address}>")
            self._leave(at == "after RCPT")
            await self._expect("354", "DATA")
        except RefusedError as refused:
            self._ledger.answered(letter, str(refused), time.monotonic())
            raise
        return await self._content(letter, at)

    async def _content(self, letter: Letter, at: str) -> Letter:
        data = octets(letter, self._dice.choice(SIZES))
        if at == "before the dot":
            self._writer.write(data[: self._dice.randrange(len(data))])
            await self._writer.drain()
            self._leave(True)
        letter.is_whole = True  # from here on it may arrive
        self._writer.write(data + b".\r\n")
        await self._writer.drain()
        self._leave(at == "after the dot")
        answer = await self._reply()
        self._ledger.answered(letter, answer, time.monotonic())
        if not answer.startswith("250"):
            raise RefusedError(answer)
        return letter

    def _leaves_at(self) -> str:
        leaves = self._dice.random() < self._manners.vanishes
        return self._dice.choice(VANISHES) if leaves else ""

    def _leave(self, now: bool) -> None:
        if now:
            self._writer.transport.abort()
            raise ConnectionResetError("this client is gone")

    async def _expect(self, code: str, line: str | None) -> None:
        answer = await (self._reply() if line is None else self._ask(line))
        if not answer.startswith(code):
            raise RefusedError(answer)

    async def _ask(self, line: str) -> str:
        self._writer.write(line.encode() + b"\r\n")
        return await self._reply()

    async def _reply(self) -> str:
        async with asyncio.timeout(PATIENCE):
            while True:
                line = await self._reader.readuntil(b"\n")
                if line[3:4] != b"-":
                    return line.decode("utf-8", "replace").strip()


def octets(letter: Letter, size: int) -> bytes:
    """The letter as it is sent; its body follows from its number and size."""
    line = f"{letter.number} pillars of {size} octets\r\n".encode()
    body = line * max(1, size // len(line))
    bulk = "Precedence: bulk\r\n" if any("@dead.test" in to for to in letter.recipients) else ""
    return (
        f"From: orders@shop.test\r\nTo: {letter.recipients[0]}\r\nSubject: letter {letter.number}\r\n"
        f"X-Number: {letter.number}\r\nX-Digest: {digest(body)}\r\n{bulk}\r\n"
    ).encode() + body


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def gather(clients: list[asyncio.Task[None]]) -> None:
    """Wait for those that were told to stop; those that hang are let go."""
    _, late = await asyncio.wait(clients, timeout=PATIENCE)
    for task in late:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*clients)
