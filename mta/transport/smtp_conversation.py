"""Opens an SMTP conversation with one address of one host.

aiosmtplib does the handshake: greeting, EHLO (HELO where that is refused), STARTTLS, AUTH. Then the
connection is taken from it, because it delivers only the first of several pipelined replies and
rewrites contents: from MAIL on, our own reply queue (replies.py) sits on its transport. This is the
only file that touches aiosmtplib below its documented surface; what it touches is listed in PRIVATE,
with a test for each name, and the version is checked at import.

`converse` raises OpenFailed with the reply, the phase and every step, and leaves no socket behind.
What a man in the middle adds behind the answer to STARTTLS is dropped unread (RFC 3207 section 6).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import aiosmtplib

from appliance.core import clock
from mta.message import Step
from mta.reply import Reply
from mta.status import Phase
from mta.transport.dane import Distrusted
from mta.transport.replies import Replies, Timeouts, shown
from mta.transport.tls_results import Failure
from mta.transport.transaction import Offer

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPPORTED: Final = "5.1."
PRIVATE: Final = ("SMTP.protocol", "SMTP.transport", "SMTPProtocol._buffer")
_BIND_ADDRESS_NO_PORT: Final = 24  # IP_BIND_ADDRESS_NO_PORT (Linux 4.2); `socket` has it from 3.12
if not aiosmtplib.__version__.startswith(SUPPORTED):
    raise ImportError(
        f"aiosmtplib {aiosmtplib.__version__} is installed, {SUPPORTED}x is needed: "
        "mta/transport/smtp_conversation.py uses its internals and must be checked first"
    )


Judge = Callable[[ssl.SSLObject], str]
"""Says how far the certificate of a fresh TLS session can be trusted; raises Distrusted."""

_EXPIRED, _NOT_FOR_HOST = 10, frozenset({62, 64})  # X509_V_ERR_*


class TlsMode(StrEnum):
    """What TLS a host must offer."""

    NONE = "none"  # never
    OPPORTUNISTIC = "opportunistic"  # when offered, whomever the certificate names
    REQUIRED = "required"  # STARTTLS or nothing; the context says which certificate will do
    IMPLICIT = "implicit"  # TLS from the first byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A login at a smarthost."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each step may take, in seconds."""

    connect: float  # TCP, and once more for a TLS handshake
    greeting: float
    transaction: Timeouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One address of one host, and how to talk to it."""

    host: str
    address: str
    port: int
    source: str  # address to send from, of the family of `address`; "" lets the machine choose
    helo: str
    tls: TlsMode
    context: ssl.SSLContext | None
    login: Login | None = None
    judge: Judge = lambda _: "unverified"
    why: str = ""  # who demands this TLS, for the words of a failure


class OpenFailed(Exception):  # noqa: N818 - the field's word, as ConnectFailed
    """This address cannot be used now.

    `failure` says that only TLS failed, and how; `is_ours`: this box is at fault.
    """

    def __init__(
        self, reply: Reply, phase: Phase, *, failure: Failure | None = None, is_ours: bool = False
    ) -> None:
        super().__init__(reply.line())
        self.reply, self.phase = reply, phase
        self.failure, self.is_ours = failure, is_ours
        self.steps: tuple[Step, ...] = ()
        self.source = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """An open conversation, ready for MAIL."""

    link: Replies
    offer: Offer
    tls: str
    steps: tuple[Step, ...]
    source: str  # our address
    started: float  # the loop's time that the steps count from
    started_at: int  # the same moment, ms since the epoch
    holds: Callable[[], bool] = lambda: True  # whether it may still be used


async def converse(target: Target, patience: Patience) -> Conversation:
    """Connect, greet, secure, log in. Raises OpenFailed."""
    handshake = _Handshake(target, patience)
    try:
        return await handshake.run()
    except OpenFailed as failed:
        failed.steps, failed.source = tuple(handshake.steps), handshake.source
        raise
    finally:
        handshake.clear_away()


class _Handshake:
    """The way to an open conversation; runs once."""

    def __init__(self, target: Target, patience: Patience) -> None:
        self.steps: list[Step] = []
        self.source = ""
        self._target, self._patience = target, patience
        self._loop = asyncio.get_running_loop()
        self._started, self._started_at = self._loop.time(), clock.now_ms()
        self._transport: asyncio.BaseTransport | None = None
        self._tls = ""
        self._is_tls = False  # whether what fails now is a failure of TLS

    async def run(self) -> Conversation:
        """Every step in order."""
        target = self._target
        client = aiosmtplib.SMTP(
            hostname=target.host,
            sock=await self._connected(),
            local_hostname=target.helo,
            use_tls=target.tls is TlsMode.IMPLICIT,
            start_tls=False,
            tls_context=target.context,
            timeout=self._patience.greeting,
        )
        await self._greet(client)
        await self._say_hello(client)
        if target.tls in (TlsMode.OPPORTUNISTIC, TlsMode.REQUIRED):
            await self._secure(client)
        if target.login is not None:
            await self._log_in(client, target.login)
        return self._take_over(client)

    def clear_away(self) -> None:
        """Close at once what was not handed over."""
        if isinstance(self._transport, asyncio.Transport):
            self._transport.abort()

    # TCP and greeting.

    async def _connected(self) -> socket.socket:
        """A connected socket of our own: it separates the time-out and the errors of TCP."""
        target = self._target
        sock = socket.socket(_family(target.address), socket.SOCK_STREAM)
        try:
            sock.settimeout(0)  # non-blocking
            self._bind(sock)
            async with asyncio.timeout(self._patience.connect):
                await self._loop.sock_connect(sock, (target.address, target.port))
            self.source = sock.getsockname()[0]
        except OSError as error:  # TimeoutError is one
            sock.close()
            why = os.strerror(error.errno) if error.errno else "no answer in time"
            self._note(self._connect_command, f"({why})")
            text = f"cannot connect to {target.host} [{target.address}]: {why}"
            raise OpenFailed(Reply(451, "4.4.1", text), Phase.CONNECT) from error
        except BaseException:
            sock.close()
            raise
        return sock

    def _bind(self, sock: socket.socket) -> None:
        source = self._target.source
        if not source:
            return
        # The port is chosen at connect: so one source has 28,000 ports a receiver, not in all.
        with contextlib.suppress(OSError):  # a kernel that does not know it goes without
            sock.setsockopt(socket.SOL_IP, _BIND_ADDRESS_NO_PORT, 1)
        try:
            sock.bind((source, 0))
        except OSError as error:
            text = f"this box cannot send from {source}: {os.strerror(error.errno or 0)}"
            self._note(self._connect_command, f"({text})")
            raise OpenFailed(Reply(451, "4.3.5", text), Phase.CONNECT, is_ours=True) from error

    @property
    def _connect_command(self) -> str:
        target = self._target
        return f"CONNECT {target.host} [{target.address}]:{target.port}"

    async def _greet(self, client: aiosmtplib.SMTP) -> None:
        self._is_tls = self._target.tls is TlsMode.IMPLICIT
        with self._watched(self._connect_command, Phase.GREETING):
            response = await client.connect()
        self._transport, self._is_tls = client.transport, False
        self._heard(self._connect_command, response)
        if self._target.tls is TlsMode.IMPLICIT:
            self._note_tls()

    # EHLO, STARTTLS, AUTH.

    async def _say_hello(self, client: aiosmtplib.SMTP) -> None:
        command, wait = f"EHLO {self._target.helo}", self._patience.transaction.command
        try:
            with self._watched(command, Phase.EHLO):
                self._heard(command, await client.ehlo(timeout=wait))
        except OpenFailed as failed:
            if not failed.reply.is_permanent:
                raise
            command = f"HELO {self._target.helo}"
            with self._watched(command, Phase.EHLO):
                self._heard(command, await client.helo(timeout=wait))

    async def _secure(self, client: aiosmtplib.SMTP) -> None:
        """STARTTLS, then everything that was learnt in the clear is forgotten and asked again."""
        is_required = self._target.tls is TlsMode.REQUIRED
        if not client.supports_extension("starttls"):
            if is_required:
                text = f"{self._target.host} does not offer STARTTLS, which is required"
                reply = self._demanded(Reply(451, "4.7.4", text))
                raise OpenFailed(reply, Phase.STARTTLS, failure=Failure.NO_STARTTLS)
            return
        self._is_tls = True
        try:
            with self._watched("STARTTLS", Phase.STARTTLS):
                response = await client.starttls(
                    tls_context=self._target.context, timeout=self._patience.connect
                )
        except OpenFailed as failed:
            if not _is_refusal(failed.__cause__):
                raise
            if is_required:
                failed.reply, failed.failure = self._demanded(failed.reply), Failure.NO_STARTTLS
                raise
            self._is_tls = False  # refused in words: the conversation goes on in the clear
            return
        self._transport = client.transport
        self._heard("STARTTLS", response)
        self._note_tls()
        await self._say_hello(client)  # with TLS 1.3 a refusal of ours may show only here
        self._is_tls = False

    async def _log_in(self, client: aiosmtplib.SMTP, login: Login) -> None:
        wait = self._patience.transaction.command
        offered = client.server_auth_methods
        may_show = bool(self._tls) or self._target.tls is TlsMode.NONE
        methods = (
            ("plain", client.auth_plain, may_show),
            ("login", client.auth_login, may_show),
            ("cram-md5", client.auth_crammd5, True),
        )
        for name, authenticate, allowed in methods:
            if name in offered and allowed:
                command = f"AUTH {name.upper()} ***"
                with self._watched(command, Phase.AUTH):
                    response = await authenticate(login.username, login.password, timeout=wait)
                self._heard(command, response)
                return
        why = "no login that we know" if may_show else "no login that is safe without TLS"
        text = f"{self._target.host} offers {why}"
        raise OpenFailed(Reply(451, "4.7.4", text), Phase.AUTH)

    def _take_over(self, client: aiosmtplib.SMTP) -> Conversation:
        """From here on our own protocol reads what comes."""
        transport, protocol = client.transport, client.protocol
        if not isinstance(transport, asyncio.Transport) or protocol is None:
            raise OpenFailed(Reply(451, "4.4.2", "the receiver closed the connection"), Phase.EHLO)
        unread = protocol._buffer  # noqa: SLF001 - replies to nothing would be taken for MAIL's
        if unread:
            text = f"the receiver said what nobody asked for: {shown(bytes(unread[:80]))}"
            raise OpenFailed(Reply(451, "4.5.0", text), Phase.EHLO)
        link = Replies(self._loop, self._patience.transaction)
        transport.set_protocol(link)
        link.connection_made(transport)
        self._transport = None
        return Conversation(
            link=link,
            offer=Offer.of(client.esmtp_extensions),
            tls=self._tls,
            steps=tuple(self.steps),
            source=self.source,
            started=self._started,
            started_at=self._started_at,
        )

    # What was said, and what went wrong.

    def _note(self, command: str, heard: str) -> None:
        self.steps.append(Step(int((self._loop.time() - self._started) * 1000), command, heard))

    def _heard(self, command: str, response: aiosmtplib.SMTPResponse) -> None:
        self._note(command, _as_sent(response.code, response.message))

    def _note_tls(self) -> None:
        assert self._transport is not None
        tls: ssl.SSLObject = self._transport.get_extra_info("ssl_object")
        cipher = tls.cipher()
        spoken = f"{tls.version()} {cipher[0] if cipher else ''}"
        try:
            self._tls = f"{spoken} ({self._target.judge(tls)})"
        except Distrusted as error:
            self._note("TLS", f"{spoken} ({error})")
            reply = self._demanded(Reply(451, "4.7.5", str(error)))
            raise OpenFailed(reply, Phase.STARTTLS, failure=error.failure) from error
        self._note("TLS", self._tls)

    @contextlib.contextmanager
    def _watched(self, command: str, phase: Phase) -> Iterator[None]:
        """Foreign exceptions become OpenFailed, and a step."""
        try:
            yield
        except aiosmtplib.SMTPResponseException as error:
            self._note(command, _as_sent(error.code, error.message))
            reply = _failure(error.code, error.message)
            raise OpenFailed(reply, phase) from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            reply = self._trouble(error)
            self._note(command, f"({reply.text})")
            if not self._is_tls:
                raise OpenFailed(reply, phase) from error
            failure = _tls_failure(error)
            raise OpenFailed(self._demanded(reply), Phase.STARTTLS, failure=failure) from error

    def _demanded(self, reply: Reply) -> Reply:
        """The reply, and who demands what was missing."""
        why = self._target.why
        return Reply(reply.code, reply.enhanced, f"{reply.text}; {why}") if why else reply

    def _trouble(self, error: Exception) -> Reply:
        """A failure without words of the receiver."""
        cause = error if isinstance(error, ssl.SSLError) else error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            words = cause.verify_message.rstrip(".")
            text = f"the certificate of {self._target.host} is not valid: {words}"
            return Reply(451, "4.7.5", text)
        if isinstance(cause, ssl.SSLError):
            return Reply(451, "4.7.5", f"TLS failed: {cause.reason or cause}")
        if isinstance(error, TimeoutError):
            return Reply(451, "4.4.2", "the receiver did not answer in time")
        if isinstance(error, ConnectionError):
            return Reply(451, "4.4.2", "the receiver closed the connection")
        return Reply(451, "4.5.0", f"the conversation failed: {_words(str(error))}")


def _tls_failure(error: Exception) -> Failure:
    """What a report calls it."""
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if not isinstance(cause, ssl.SSLCertVerificationError):
        return Failure.VALIDATION
    if cause.verify_code == _EXPIRED:
        return Failure.EXPIRED
    is_name = cause.verify_code in _NOT_FOR_HOST
    return Failure.HOST_MISMATCH if is_name else Failure.NOT_TRUSTED


def _is_refusal(error: BaseException | None) -> bool:
    """Whether the receiver said no in a reply that can be read, and stays."""
    if not isinstance(error, aiosmtplib.SMTPResponseException):
        return False
    return 400 <= error.code < 600 and error.code != 421


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _as_sent(code: int, message: str) -> str:
    """The reply as it stood on the wire; one that could not be read has no code."""
    if not 100 <= code <= 999:
        return f"({_words(message)})"
    lines = message.split("\n")
    wire = "\n".join(f"{code}{'-' if n else ' '}{line}" for n, line in _counted_down(lines))
    return _words(wire)


def _words(message: str) -> str:
    """Aiosmtplib leaves half a surrogate pair for each octet that is no UTF-8: nobody could store that."""
    return shown(message.encode("utf-8", "surrogateescape"))


def _counted_down(lines: list[str]) -> list[tuple[int, str]]:
    return [(len(lines) - n, line) for n, line in enumerate(lines, 1)]


def _failure(code: int, message: str) -> Reply:
    """A refusal as the receiver said it; what makes no sense here is temporary."""
    text = _words(message)
    if 400 <= code < 600:
        return Reply.from_text(code, text)
    if code < 100:  # aiosmtplib's own words for what it could not read
        return Reply(451, "4.5.0", f"the receiver's answer cannot be read: {text}")
    return Reply(451, "4.5.0", f"the receiver's answer makes no sense: {code} {text}")
