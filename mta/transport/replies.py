"""The receiver's replies as a queue: an asyncio protocol that may expect several at once.

`talk(data, count)` writes and waits until `count` replies have come or the conversation is at fault;
it returns what came, in order. A fault is final and says why in `fault`: hung up, 421, time-out, a
reply that cannot be read or does not end, or words nobody asked for. The last is noticed also between
transactions, so that a kept connection is given up the moment the receiver closes it.

Bounds: a reply of at most MAX_REPLY octets whatever its lines, each reply within its time-out, a
transaction within the seconds given to `begin`. Costs: one future a wait, no timer a wait (see _arm).
Never raises for what the receiver does.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mta.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_REPLY: Final = 64 * 1024
MAX_SHOWN: Final = 1024  # characters and lines of a reply that are kept
MAX_SHOWN_LINES: Final = 64
_BLOCK: Final = 256 * 1024  # written between two looks at flow control
_CODES: Final = {str(code).encode(): code for code in range(200, 600)}
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds (RFC 5321 section 4.5.3.2); `session` bounds a whole transaction."""

    command: float
    data: float
    dot: float
    session: float


class Answer:
    """One reply as it came: code, octets without the last line end, and when (loop time)."""

    __slots__ = ("at", "code", "raw")

    def __init__(self, code: int, raw: bytes, at: float) -> None:
        self.code, self.raw, self.at = code, raw, at

    @property
    def reply(self) -> Reply:
        """As a value: the codes of continuation lines taken away."""
        text = shown(self.raw)
        if "\n" in text:
            return Reply.from_text(self.code, "\n".join(line[4:] for line in text.split("\n")))
        return Reply.from_text(self.code, text[4:])


class Replies(asyncio.Protocol):
    """The receiver's side of one connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeouts: Timeouts) -> None:
        self.fault: Reply | None = None
        self.fault_raw = b""  # the 421 as it came, else empty
        self._loop = loop
        self._tick = min(timeouts.command, timeouts.data, timeouts.dot, timeouts.session)
        self._transport: asyncio.Transport | None = None
        self._answers: list[Answer] = []
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None
        self._partial = b""
        self._lines: list[bytes] = []  # of the reply that is coming in
        self._size = 0
        self._paused = False
        self._timeout = self._last_timeout = 0.0
        self._deadline = self._end = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """The loop's time, in seconds."""
        return self._loop.time()

    def begin(self, seconds: float) -> None:
        """A transaction begins and may take so long in all."""
        self._end = self._loop.time() + seconds

    async def talk(
        self, data: bytes, count: int, timeout: float, last_timeout: float = 0.0
    ) -> list[Answer]:
        """Write, then wait for `count` replies: `timeout` for each, another for the last if given."""
        if self.fault is not None or self._transport is None:
            return []
        self._expect(count, timeout, last_timeout or timeout)
        self._transport.write(data)
        while self._wanted:  # a fault sets it to 0
            await self._wait()
        return self._answers

    async def send_content(
        self, buffers: Sequence[bytes], block: float, dot: float
    ) -> list[Answer]:
        """Write the content as fast as the receiver takes it, then wait for its one reply."""
        if self.fault is not None or self._transport is None:
            return []
        self._expect(1, dot, dot)
        if len(buffers) == 1:
            self._transport.write(buffers[0])
        else:
            await self._write_blocks(buffers, block)
            self._deadline = self._loop.time() + dot
        while self._wanted:
            await self._wait()
        return self._answers

    async def _write_blocks(self, buffers: Sequence[bytes], block: float) -> None:
        for buffer in buffers:
            view = memoryview(buffer)  # slices of it copy nothing
            for start in range(0, len(view), _BLOCK):
                if self._transport is None or self.fault is not None:
                    return
                if self._answers:
                    self._break_off()
                    return
                self._transport.write(view[start : start + _BLOCK])
                self._deadline = self._loop.time() + block
                while self._is_stuck():
                    await self._wait()

    def _is_stuck(self) -> bool:
        return self._paused and self.fault is None and not self._answers

    def _break_off(self) -> None:
        """An answer before the end: a refusal counts, a "250" to half a message is not believed."""
        answers = self._answers if self._answers[0].code >= 400 else []
        self._spoil(Reply(451, "4.5.0", "the receiver answered before the message was sent"))
        self._answers = answers

    def _expect(self, count: int, timeout: float, last_timeout: float) -> None:
        self._answers = []
        self._wanted = count
        self._timeout, self._last_timeout = timeout, last_timeout
        now = self._loop.time()
        self._deadline = now + (last_timeout if count == 1 else timeout)
        if self._timer is None:
            self._arm(now)

    def _arm(self, now: float) -> None:
        """The next look at the deadline, at most the shortest time-out ahead.

        A deadline set later therefore never lies before the armed timer, which makes time-outs exact
        although setting one costs an assignment instead of a timer (1.5 us each, thrice a message).
        """
        at = min(self._deadline, self._end, now + self._tick)
        self._timer = self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._wanted:
            return
        now = self._loop.time()
        if now < min(self._deadline, self._end):
            self._arm(now)
        elif now >= self._end:
            self._spoil(Reply(451, "4.4.2", "the receiver was too slow for one transaction"))
        else:
            self._spoil(Reply(451, "4.4.2", "the receiver did not answer in time"))

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self._spoil(Reply(451, "4.4.2", "this box broke the transaction off"))
            raise
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _spoil(self, fault: Reply, raw: bytes = b"") -> None:
        """End the conversation: nothing more is read or written."""
        if self.fault is None:
            self.fault, self.fault_raw = fault, raw
        self._wanted = 0
        self._lines, self._partial = [], b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def give_up(self, why: str) -> None:
        """The replies make no sense: end the conversation."""
        self._spoil(Reply(451, "4.5.0", why))

    async def close(self, seconds: float) -> None:
        """QUIT, wait that long at most for its answer, and close."""
        if self.fault is None:
            if self._timer is not None:
                self._timer.cancel()  # it may be armed for later than this
                self._timer = None
            self.begin(seconds)
            await self.talk(b"QUIT\r\n", 1, seconds)
        self._spoil(Reply(451, "4.4.2", "this box closed the connection"))

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connected transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Cut what came into replies."""
        if self.fault is not None:
            return
        if not self._wanted:
            self._spoil(_unasked(data))
            return
        if self._partial:
            data = self._partial + data
        lines = data.split(b"\n")
        self._partial = lines.pop()
        now, wanted = self._loop.time(), self._wanted
        for n, line in enumerate(lines, 1):
            self._take_line(line, now)
            if not self._wanted:  # all answered, or at fault
                if n < len(lines) or self._partial:
                    self._spoil(_unasked(b"\n".join((*lines[n:], self._partial))))
                self._wake()
                return
        if self._wanted < wanted:  # a whole reply; lines of one that does not end gain no time
            self._deadline = now + (self._last_timeout if self._wanted == 1 else self._timeout)
        if self._size + len(self._partial) > MAX_REPLY:
            self._spoil(_ENDLESS)

    def _take_line(self, line: bytes, now: float) -> None:
        line = line.rstrip(b"\r")
        code, mark = _CODES.get(line[:3]), line[3:4]
        if code is None or mark not in b" -":
            self._spoil(Reply(451, "4.5.0", f"the reply cannot be read: {shown(line[:80])}"))
        elif mark == b"-":
            self._lines.append(line)
            self._size += len(line) + 1
        else:
            if self._lines:
                line = b"\n".join((*self._lines, line))
                self._lines, self._size = [], 0
            answer = Answer(code, line, now)
            if code == 421:  # RFC 5321 4.2.1: it closes the channel; nothing more will come
                self._spoil(answer.reply, line)
                return
            self._answers.append(answer)
            self._wanted -= 1

    def eof_received(self) -> None:
        """The receiver closes: asyncio then closes the transport."""
        self._spoil(Reply(451, "4.4.2", "the receiver closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._transport = None
        why = f": {exc}" if exc is not None else ""
        self._spoil(Reply(451, "4.4.2", f"the connection was lost{why}"))

    def pause_writing(self) -> None:
        """The receiver takes no more for now."""
        self._paused = True

    def resume_writing(self) -> None:
        """It takes more."""
        self._paused = False
        self._wake()


_ENDLESS: Final = Reply(451, "4.5.0", f"the receiver sent a reply of over {MAX_REPLY} octets")


def _unasked(data: bytes) -> Reply:
    return Reply(451, "4.5.0", f"the receiver said what nobody asked for: {shown(data[:80])}")


def shown(raw: bytes) -> str:
    """Octets of a reply as text to keep: as sent, bounded, control characters escaped."""
    text = raw[:MAX_SHOWN].decode("utf-8", "replace")
    if text.isprintable():
        return text
    lines = text.split("\n")[:MAX_SHOWN_LINES]
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", "\n".join(lines))
