"""The SMTP server's side of one connection: aiosmtpd's `SMTP` (>= 1.4.6, < 1.5) with its costs cut.

Kept of aiosmtpd: its session, and its AUTH PLAIN and LOGIN dialogues. Replaced: the constructor and
the task of every connection (they log and reflect: 250 µs), the reader (mta/submission/connection.py:
strict CRLF, bounded), EHLO, MAIL, RCPT and DATA (one piece), the time-outs, and the TLS upgrade
(`loop.start_tls`, which has a time limit and serves implicit TLS as well).
This is the only file that knows a private name of aiosmtpd (`_create_session`, `_reader`,
`_authenticate`); tests/unit/mta/submission/test_aiosmtpd_names.py holds each.

Promises: nothing reaches the handler that did not end in CRLF.CRLF; what a client pipelined behind
its last dot is run, what it pipelined behind STARTTLS is not.
"""

from __future__ import annotations

import string
import weakref
from typing import TYPE_CHECKING, ClassVar, Final

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, Session

from mta.message import Client, RecipientRequest
from mta.policy.refusal import Refused
from mta.submission.body import FIRST, Body, Progress
from mta.submission.commands import MailCommand, parse_mail, parse_rcpt
from mta.submission.connection import LINGER, Connection
from mta.submission.service import Handler, Service, TlsMode, Transaction

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

MAX_LINE: Final = 2048  # RFC 5321 512, SIZE 26, SMTPUTF8 10, AUTH 500, DSN 500 and more, with room
MAX_AUTH_LINE: Final = 12_288  # RFC 4954 4
MAX_HELO: Final = 255
_HELO_CHARS: Final = frozenset(string.ascii_letters + string.digits + "-._:[]")
# A web page can make the browser of a trusted network post a form whose body reads like SMTP.
_HTTP: Final = frozenset({b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT"})
_MINUTE: Final = 60.0


class SmtpProtocol(Connection, SMTP):
    """One connection; asyncio's callbacks are those of Connection."""

    AuthLoginUsernameChallenge = (
        "Username:"  # the words that old clients wait for; aiosmtpd's differ
    )
    AuthLoginPasswordChallenge = "Password:"
    session: Session
    transport: asyncio.Transport

    def __init__(self, service: Service) -> None:
        Connection.__init__(self, service)  # and not aiosmtpd's: see above
        self.session = self._create_session()
        self._handler: Handler
        self._mail: MailCommand | None = None
        self._recipients: list[RecipientRequest] = []
        self._body: Body | None = None
        self._messages = 0
        self._commands = 0
        self._minute_at = self._opened_at

    @property
    def is_authenticated(self) -> bool:
        """True once the handler has accepted a login."""
        return bool(self.session.authenticated)

    def client(self) -> Client:
        """Who is on the other end, as Received tells it (RFC 3848)."""
        protocol = "ESMTP" if self.session.extended_smtp else "SMTP"
        if self.tls:
            protocol = "ESMTPS"
        if self.session.authenticated:
            protocol += "A"
        return Client(
            address=self.address,
            port=self.port,
            helo=self.session.host_name or "",
            tls=self.tls,
            protocol=protocol,
        )

    # -- what Connection asks for -----------------------------------------------------------------

    def _greet(self) -> None:
        self.session.peer = self.address
        # A proxy, so that no cycle holds the connection when it has ended: under TLS that is 40 KB,
        # until the garbage collector looks at what is old.
        self._handler = self.service.make_handler(weakref.proxy(self))
        self._handler.on_connect()
        self._output.append(self.service.greeting)

    def _run(self) -> bool:
        return self._run_command() if self._body is None else self._run_body(self._body)

    def _is_receiving(self) -> bool:
        return self._body is not None

    def _drop_message(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    # -- commands ---------------------------------------------------------------------------------

    def _run_command(self) -> bool:
        is_long = len(self._input) > MAX_LINE and self._input[:5].upper() == b"AUTH "
        line = self._take_line(MAX_AUTH_LINE if is_long else MAX_LINE)
        if line is None:
            return False
        self._count_command()
        word, _, argument = line.partition(b" ")
        verb = self._VERBS.get(word.upper())
        if verb is None:
            if word.upper() in _HTTP:
                raise Refused(521, "5.5.1", "this is SMTP and not HTTP; closing")
            raise Refused(500, "5.5.1", "command not known")
        verb(self, argument.strip())
        return True

    def _count_command(self) -> None:
        self._alive_at = now = self.loop.time()
        if now - self._minute_at >= _MINUTE:
            self._minute_at, self._commands = now, 0
        self._commands += 1
        if self._commands > self.service.limits.max_commands_per_minute:
            raise Refused(421, "4.7.0", "too many commands; come back in a minute")

    def _ehlo(self, argument: bytes) -> None:
        self._begin(argument, is_extended=True)
        self._output.append(self.service.ehlo_secure if self.tls else self.service.ehlo_clear)

    def _helo(self, argument: bytes) -> None:
        self._begin(argument, is_extended=False)
        self._output.append(f"250 {self.service.hostname}\r\n".encode("ascii"))

    def _begin(self, argument: bytes, *, is_extended: bool) -> None:
        if not argument:
            raise Refused(501, "5.5.4", "say who you are: EHLO host.example.com")
        # RFC 5321 4.1.4: no message may be refused for this name. It goes into Received, so what
        # would be a comment or a quote there is replaced.
        name = argument[:MAX_HELO].decode("ascii", "replace")
        if not _HELO_CHARS.issuperset(name):
            name = "".join(char if char in _HELO_CHARS else "?" for char in name)
        self.session.host_name, self.session.extended_smtp = name, is_extended
        self._reset()

    def _mail_from(self, argument: bytes) -> None:
        _need(self.session.host_name, "say EHLO first")
        _need(self._mail is None, "MAIL was given already; RSET begins anew")
        limits = self.service.limits
        if self._messages >= limits.max_messages:
            raise Refused(421, "4.7.0", "enough messages on this connection; open a new one")
        mail = parse_mail(argument)
        if mail.size > limits.max_message_bytes:
            raise Refused(
                552, "5.3.4", f"the message is larger than {limits.max_message_bytes} octets"
            )
        self._handler.on_mail(mail)
        self.service.room.check(mail.size)
        self._mail = mail
        self._output.append(b"250 2.1.0 sender ok\r\n")

    def _rcpt_to(self, argument: bytes) -> None:
        _need(self._mail is not None, "MAIL comes before RCPT")
        limit = self.service.limits.max_recipients
        if len(self._recipients) >= limit:
            raise Refused(452, "4.5.3", f"too many recipients: a message has {limit} at most")
        self._recipients.append(self._handler.on_rcpt(parse_rcpt(argument)))
        self._output.append(b"250 2.1.5 recipient ok\r\n")

    def _data(self, argument: bytes) -> None:
        if argument:
            raise Refused(501, "5.5.4", "DATA takes no argument")
        _need(self._mail is not None, "MAIL comes before DATA")
        if not self._recipients:
            raise Refused(554, "5.5.1", "no valid recipients")
        self._body = Body(
            limit=self.service.limits.max_message_bytes,
            room=self.service.room,
            normalise=self.normalise_line_ends,
        )
        self._input[:0] = FIRST
        self._octets, self._data_at = 0, self.loop.time()
        self._output.append(b"354 send the message, end it with CRLF.CRLF\r\n")

    def _run_body(self, body: Body) -> bool:
        progress = body.feed(self._input)
        if progress is Progress.MORE:
            return False
        mail, recipients = self._mail, tuple(self._recipients)
        assert mail is not None
        self._reset()
        self._messages += 1
        if body.refusal is None:
            self._mistakes = 0
            transaction = Transaction(mail=mail, recipients=recipients, data=body.data)
            self._start(self._hand_over(transaction), "smtp message")
            return True
        self._drop_message()
        self._refuse(body.refusal)
        if progress is Progress.BROKEN:
            self._hang_up()
        return True

    async def _hand_over(self, transaction: Transaction) -> None:
        reply = await self._handler.on_data(transaction)
        self._earn()
        self._say(reply)

    def _starttls(self, argument: bytes) -> None:
        if argument:
            raise Refused(501, "5.5.4", "STARTTLS takes no argument")
        _need(not self.tls, "TLS is on already")
        if self.service.tls is not TlsMode.STARTTLS:
            raise Refused(502, "5.5.1", "STARTTLS is not offered here")
        if self._input:  # RFC 3207 4.2: what came in the clear must not pass for said under TLS
            raise Refused(521, "5.5.1", "nothing may follow STARTTLS before the handshake; closing")
        self.transport.pause_reading()
        self._output.append(b"220 2.0.0 ready for TLS\r\n")
        self._flush()
        self._start(self._begin_again_under_tls(), "smtp starttls")

    async def _begin_again_under_tls(self) -> None:
        if await self._upgrade():  # RFC 3207 4.2: nothing said before counts
            self.session = self._create_session()
            self.session.peer = self.address
            self._reset()

    def _rset(self, argument: bytes) -> None:
        if argument:
            raise Refused(501, "5.5.4", "RSET takes no argument")
        self._reset()
        self._output.append(b"250 2.0.0 ok\r\n")

    def _noop(self, _argument: bytes) -> None:
        self._output.append(b"250 2.0.0 ok\r\n")

    def _vrfy(self, _argument: bytes) -> None:
        self._output.append(b"252 2.5.0 cannot say; send a message and see\r\n")

    def _expn(self, _argument: bytes) -> None:
        raise Refused(502, "5.5.1", "there are no lists here")

    def _help(self, _argument: bytes) -> None:
        self._output.append(b"214 2.0.0 RFC 5321 is spoken here\r\n")

    def _quit(self, _argument: bytes) -> None:
        self._output.append(b"221 2.0.0 bye\r\n")
        if self._input:  # it says more all the same: closing on that would lose it our replies
            self._hang_up()
            return
        self._flush()
        self._is_closing = True
        # close() waits until everything was sent: for ever, when the client has stopped reading.
        self._linger = self.loop.call_later(LINGER, self.abort)
        self.transport.close()

    def _reset(self) -> None:
        self._mail = None
        self._recipients = []

    # -- AUTH -------------------------------------------------------------------------------------

    def _auth(self, argument: bytes) -> None:
        if not self.service.offers_auth:
            raise Refused(502, "5.5.1", "AUTH is not offered here")
        if not self.tls:
            raise Refused(538, "5.7.11", "AUTH needs TLS: say STARTTLS first, or use the TLS port")
        _need(self.session.extended_smtp, "say EHLO first")
        _need(not self.session.authenticated, "you are logged in already")
        _need(self._mail is None, "AUTH cannot stand inside a mail transaction")
        words = argument.decode("ascii", "replace").split()
        if not 1 <= len(words) <= 2:
            raise Refused(501, "5.5.4", "AUTH takes a mechanism and at most one initial response")
        mechanism = words[0].upper()
        if mechanism not in ("PLAIN", "LOGIN"):
            raise Refused(504, "5.5.4", "the mechanisms are PLAIN and LOGIN")
        # RFC 4954 4: "=" is an initial response of no octets.
        initial = ["" if word == "=" else word for word in words[1:]]
        self._start(self._log_in(mechanism, [mechanism, *initial]), "smtp login")

    async def _log_in(self, mechanism: str, words: list[str]) -> None:
        dialogue = self.auth_PLAIN if mechanism == "PLAIN" else self.auth_LOGIN
        login = (await dialogue(self, words)).auth_data
        if login is None:
            self._mistakes += 1  # the dialogue has answered 501
            return
        try:
            username, password = login.login.decode(), login.password.decode()
        except UnicodeDecodeError as error:
            raise Refused(535, "5.7.8", "user name and password must be UTF-8") from error
        await self._handler.on_auth(username, password)
        self.session.authenticated = True
        self._mistakes = 0
        self._earn()
        self._output.append(b"235 2.7.0 welcome\r\n")

    def _authenticate(self, mechanism: str, auth_data: LoginPassword) -> AuthResult:
        """Called by aiosmtpd at the end of a dialogue: hand the words on to `_log_in`."""
        return AuthResult(success=False, handled=False, auth_data=auth_data)

    @property
    def _reader(self) -> SmtpProtocol:  # type: ignore[override]  # all it is asked for is readline()
        """Where aiosmtpd's dialogues read the client's answers."""
        return self

    async def readline(self) -> bytes:
        """One answer, for aiosmtpd's dialogues."""
        return await self._next_line(MAX_AUTH_LINE)

    async def push(self, status: str | bytes) -> None:
        """Send one reply now, for aiosmtpd's dialogues."""
        self._output.append(
            (status.encode("ascii") if isinstance(status, str) else status) + b"\r\n"
        )
        self._flush()

    _VERBS: ClassVar[dict[bytes, Callable[[SmtpProtocol, bytes], None]]] = {
        b"EHLO": _ehlo,
        b"HELO": _helo,
        b"MAIL": _mail_from,
        b"RCPT": _rcpt_to,
        b"DATA": _data,
        b"RSET": _rset,
        b"NOOP": _noop,
        b"VRFY": _vrfy,
        b"EXPN": _expn,
        b"HELP": _help,
        b"QUIT": _quit,
        b"STARTTLS": _starttls,
        b"AUTH": _auth,
    }


def _need(condition: object, text: str) -> None:
    if not condition:
        raise Refused(503, "5.5.1", text)
