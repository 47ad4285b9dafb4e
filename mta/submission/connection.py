"""Connection: octets in and out of one SMTP connection, without a word of SMTP's meaning.

Opens (PROXY header, limits, implicit TLS, greeting), cuts the input into lines, gathers replies so
that pipelined commands are answered in one write, waits for what must be waited for, and closes so
that the last reply arrives. Input runs where it arrives: `_run()` of the subclass is called until it
wants more; a task is started only for work that waits (AUTH, TLS, a whole message).

Promises: strict CRLF, bounded lines, bounded input while a task runs, no command taken while the
client does not read its replies, and an end for every connection: time-outs come from
mta/submission/sessions.py, which calls `check_time`. Work on a whole message is never cancelled.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Any, Final

from appliance.core import log, tasks
from mta.policy.refusal import Refused
from mta.submission import proxy
from mta.submission.service import TlsMode
from mta.submission.sessions import TurnedAway

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mta.reply import Reply
    from mta.submission.service import Service

HELD_INPUT: Final = 16 * 1024  # pipelined input kept while a task runs; then reading stops
PROGRESS: Final = 1024  # octets of a message that count as a sign of life (slow-loris)
CROWDED_IDLE: Final = 10.0  # seconds of silence while most places are taken (Postfix: stress)
LINGER: Final = 2.0  # seconds in which a client that was told to go may still be talking
HANDSHAKE: Final = 20.0  # seconds for a PROXY header, and for a TLS handshake
MAX_MISTAKES: Final = 20  # unknown commands and wrong arguments in a row
UNCLEAN: Final = (521, "5.5.2", "bare CR or LF, or NUL, in a command: a line ends in CRLF; closing")

_log = logging.getLogger(__name__)
_numbers = itertools.count(1)


class Connection(asyncio.Protocol):
    """One connection; the subclass gives `_run`, `_greet` and `_is_receiving`."""

    transport: asyncio.Transport

    def __init__(self, service: Service) -> None:
        self.service = service
        self.loop = asyncio.get_running_loop()
        self.id = f"{next(_numbers):x}"  # in every line of the log that is about this session
        self.address = ""
        self.port = 0
        self.tls = ""
        self.normalise_line_ends = service.normalise_line_ends
        self._input = bytearray()
        self._output: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._line_waiter: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._is_closing = self._is_gone = self._is_retiring = self._saw_eof = False
        self._may_write = True
        self._mistakes = 0
        self._opened_at = self._alive_at = self.loop.time()
        self._octets = 0  # received since the last sign of life
        self._data_at = 0.0  # when the message that is being received began
        self._has_earned = False

    # -- what the subclass gives ------------------------------------------------------------------

    def _greet(self) -> None:
        """Say 220, or raise Refused."""
        raise NotImplementedError

    def _run(self) -> bool:
        """Take one command or message off the input; False when it has not all come."""
        raise NotImplementedError

    def _is_receiving(self) -> bool:
        """True between DATA and the reply to the message."""
        raise NotImplementedError

    def _drop_message(self) -> None:
        """Forget the message being received, and release its memory."""
        raise NotImplementedError

    # -- opening ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, at once where nothing has to be waited for."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.service.observer.connected()
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.address, self.port = _plain(peer[0]), peer[1]
        is_proxied = bool(self.service.proxies) and proxy.is_listed(
            self.address, self.service.proxies
        )
        if is_proxied or self.service.tls is TlsMode.IMPLICIT:
            self._start(self._open_slowly(is_proxied=is_proxied), "smtp opening")
        else:
            self._open()
            self._flush()

    async def _open_slowly(self, *, is_proxied: bool) -> None:
        # Not in connection_made: Python 3.11.2, Debian 12's, begins to read after it, paused or not.
        self.transport.pause_reading()
        if is_proxied and not await self._ask_proxy():
            return
        if self.service.tls is TlsMode.IMPLICIT:
            try:
                self.service.sessions.enter(self, self.address, self._opened_at)
            except TurnedAway as refusal:
                self._note(refusal)
                self.abort()  # no handshake is spent on it
                return
            if await self._upgrade():
                self._greet()
        else:
            self._open()

    def _open(self) -> None:
        try:
            self.service.sessions.enter(self, self.address, self._opened_at)
            self._greet()
        except TurnedAway as refusal:
            self._note(refusal)
            self._is_closing = True
            self.transport.write(wire(refusal.reply))
            self.transport.close()  # no lingering: in a flood nothing is kept for who is refused
        except Refused as refusal:
            self._refuse(refusal)
            self._hang_up()

    def _note(self, refusal: TurnedAway) -> None:
        if refusal.is_news:
            self._tell(refusal)
        else:
            self.service.observer.refused(refusal.reply)

    def _earn(self) -> None:
        """The session has brought something."""
        if not self._has_earned:
            self._has_earned = True
            self.service.sessions.earned(self)

    async def _ask_proxy(self) -> bool:
        sock = self.transport.get_extra_info("socket")
        try:
            async with asyncio.timeout(HANDSHAKE):
                header = await proxy.read_header(sock.fileno())
        except (proxy.ProxyError, OSError) as error:  # TimeoutError is an OSError too
            _log.warning("no PROXY header: %s", str(error) or "time-out", extra=self._about())
            self.abort()
            return False
        if header.address:
            self.address, self.port = _plain(header.address), header.port
        return True

    async def _upgrade(self) -> bool:
        """TLS from here on; False when the handshake failed and the connection is gone."""
        context = self.service.tls_context
        assert context is not None
        try:
            transport = await self.loop.start_tls(
                self.transport, self, context, server_side=True, ssl_handshake_timeout=HANDSHAKE
            )
        except OSError as error:  # ssl.SSLError, time-outs and resets are OSErrors
            _log.info("TLS handshake failed: %s", error, extra=self._about())
            self.service.observer.handshake("failed")
            self.abort()
            return False
        if transport is None:  # the client left in the handshake; asyncio tells nobody
            self.connection_lost(None)
            return False
        self.transport = transport
        cipher = transport.get_extra_info("cipher")
        self.tls = f"{transport.get_extra_info('ssl_object').version()} {cipher[0]}"
        self.service.observer.handshake(self.tls.partition(" ")[0])
        return True

    # -- closing ----------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything; only work on a whole message goes on."""
        if self._is_gone:
            return
        self._is_gone = self._is_closing = True
        self.service.sessions.leave(self)
        if self._linger is not None:
            self._linger.cancel()
        self._input.clear()
        if self._task is None:
            self._drop_message()
        elif not self._is_receiving():
            self._task.cancel()

    def eof_received(self) -> bool:
        """The client says no more, but may wait for the answer to what it has said."""
        self._saw_eof = True
        return self._task is not None and not self._is_closing and not self.tls

    def abort(self) -> None:
        """Cut the connection."""
        self.transport.abort()
        self.connection_lost(None)

    def retire(self) -> None:
        """The process stops: end now, or when the message that is being received is answered."""
        self._is_retiring = True
        if self._is_receiving() or self._is_closing:
            return
        if self._task is not None:  # in a handshake or a login: nothing is lost
            self.abort()
        else:
            self._advance()

    def check_time(self, now: float) -> None:
        """Called by the clock: 421 when the client was silent, or is here, for too long."""
        if self._is_closing or (self._task is not None and self._line_waiter is None):
            return  # at its end already; or it is we who keep the client waiting
        limits = self.service.limits
        if now - self._alive_at > self._patience():
            self._refuse(Refused(421, "4.4.2", "time-out: nothing was heard for too long"))
        elif now - self._opened_at > limits.session_timeout:
            self._refuse(Refused(421, "4.4.2", "time-out: the session has lasted too long"))
        elif self._is_receiving() and self._is_slow(now):
            self._refuse(Refused(421, "4.4.2", "time-out: the message comes too slowly"))

    def _patience(self) -> float:
        idle = self.service.limits.idle_timeout
        return min(idle, CROWDED_IDLE) if self.service.sessions.is_crowded else idle

    def _is_slow(self, now: float) -> bool:
        limits = self.service.limits
        granted = limits.idle_timeout + len(self._input) / limits.min_rate
        return now - self._data_at > granted

    def _hang_up(self) -> None:
        """Close so that the last reply arrives: say no more, and listen a moment without hearing.

        Closing on unread input would make the kernel reset the connection, reply and all.
        """
        if self._is_closing:
            return
        self._flush()
        self._is_closing = True
        self._input.clear()
        if self._task is None:
            self._drop_message()
        self._linger = self.loop.call_later(LINGER, self.abort)
        if self.tls or self.transport.is_closing():
            self.transport.close()  # TLS has no half-close
            return
        try:
            self.transport.write_eof()
            self.transport.resume_reading()
        except OSError:  # the client has reset the connection
            self.abort()

    # -- octets in --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take what came, and go as far with it as can be gone."""
        if self._is_closing:
            return
        self._input += data
        if self._task is None:
            if self._is_receiving():
                self._note_octets(len(data))
            self._advance()
        elif self._line_waiter is not None:
            if not self._line_waiter.done():
                self._line_waiter.set_result(None)
        elif len(self._input) > HELD_INPUT:
            self.transport.pause_reading()

    def _note_octets(self, count: int) -> None:
        self._octets += count
        if self._octets >= PROGRESS:
            self._octets = 0
            self._alive_at = self.loop.time()

    def _advance(self) -> None:
        """Go on until more input is needed, something waits, or it ends."""
        while self._input and self._task is None and not self._is_closing and self._may_write:
            try:
                if not self._run():
                    break
            except Refused as refusal:
                self._refuse(refusal)
        if (
            self._is_retiring
            and self._task is None
            and not self._is_receiving()
            and not self._is_closing
        ):
            self._refuse(
                Refused(421, "4.3.2", "the service is stopping; connect again in a moment")
            )
        self._flush()

    def _take_line(self, limit: int) -> bytes | None:
        """The next line without its CRLF, None when it has not all come; raises Refused (521)."""
        buffer = self._input
        end = buffer.find(b"\n")
        size = len(buffer) - buffer.endswith(b"\r")  # whose LF may still be on its way
        if end < 0 and size <= limit and b"\r" not in buffer[:-1] and b"\0" not in buffer:
            return None
        if end < 0 or end > limit + 1:
            if max(end, len(buffer)) > limit:
                raise Refused(521, "5.5.2", f"a line is longer than {limit} octets; closing")
            raise Refused(*UNCLEAN)
        line = bytes(buffer[: end + 1])
        del buffer[: end + 1]
        is_clean = line.endswith(b"\r\n")
        text = line[:-2] if is_clean else line[:-1]
        if not (is_clean or self.normalise_line_ends) or b"\r" in text or b"\0" in text:
            raise Refused(*UNCLEAN)
        return text

    async def _next_line(self, limit: int) -> bytes:
        """As _take_line, for a task that waits for the client."""
        self._alive_at = self.loop.time()
        while (line := self._take_line(limit)) is None:
            self._line_waiter = self.loop.create_future()
            await self._line_waiter
        self._line_waiter = None
        return line

    # -- octets out -------------------------------------------------------------------------------

    def _say(self, reply: Reply) -> None:
        self._output.append(wire(reply))

    def _flush(self) -> None:
        if not self._output:
            return
        if not self._is_closing and not self.transport.is_closing():
            self.transport.write(b"".join(self._output))
        self._output.clear()

    def _refuse(self, refusal: Refused) -> None:
        reply = refusal.reply
        self._tell(refusal)
        self._say(reply)
        if 500 <= reply.code < 505 or reply.code == 555:
            self._mistakes += 1
        if self._mistakes >= MAX_MISTAKES:
            self._output.append(b"421 4.7.0 too many errors; closing\r\n")
            self._hang_up()
        elif reply.code in (421, 521):
            self._hang_up()

    def _tell(self, refusal: Refused) -> None:
        reply = refusal.reply
        _log.info("%d %s %s", reply.code, reply.enhanced, refusal.log, extra=self._about())
        self.service.observer.refused(reply)

    def _about(self) -> dict[str, dict[str, Any]]:
        return log.fields(session=self.id, client=self.address)

    def pause_writing(self) -> None:
        """The client does not read its replies: take nothing more from it."""
        self._may_write = False
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._may_write = True
        self.transport.resume_reading()
        self._advance()

    # -- work that waits --------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._task = tasks.spawn(self._work(work), name=name)
        self._task.add_done_callback(self._ended)

    async def _work(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            with log.bind(session=self.id):
                await work
        except Refused as refusal:
            self._refuse(refusal)
        self._task = None
        self._go_on()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that is still ours here was cancelled or has crashed (appliance.core.tasks logs it)."""
        if self._task is not task:
            return
        self._task = None
        if task.cancelled():
            self.abort()
        elif not self._is_closing:
            self._refuse(Refused(421, "4.3.0", "internal error; try again later"))
        self._go_on()

    def _go_on(self) -> None:
        """Back to the input that came meanwhile."""
        self._drop_message()
        self._line_waiter = None
        if self._is_gone:
            return
        self._alive_at = self.loop.time()
        if not self._is_closing and self._may_write:
            self.transport.resume_reading()
        self._advance()
        if self._saw_eof and self._task is None and not self.transport.is_closing():
            self.transport.close()


def wire(reply: Reply) -> bytes:
    """A reply as it goes over the wire; a text of several lines becomes a reply of several."""
    lines = reply.text.splitlines() or [""]
    enhanced = f"{reply.enhanced} " if reply.enhanced else ""
    parts = [f"{reply.code}-{enhanced}{line}\r\n" for line in lines[:-1]]
    parts.append(f"{reply.code} {enhanced}{lines[-1]}\r\n")
    return "".join(parts).encode("ascii", "backslashreplace")


def _plain(address: str) -> str:
    """An IPv4 client of a socket for both families, without the IPv6 wrapping."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address
