"""What a strict SMTP server must answer to a stream of octets, written down as simply as can be.

The model reads the whole stream at once and knows nothing of chunks, buffers, tasks or sockets. What the
product does on a real socket, however the stream was cut, must be the same: the same codes in the same
order and the same messages, octet by octet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mta.policy.address import parse_mailbox
from mta.policy.refusal import Refused
from mta.submission.commands import parse_mail, parse_rcpt

MAX_LINE, MAX_AUTH_LINE, MAX_MISTAKES = 2048, 12_288, 20
HTTP = {b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT"}
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_ANY_END = re.compile(rb"\r\n|\r|\n")


class End(Exception):  # noqa: N818 - not an error
    """The session is over."""


@dataclass
class Expected:
    """What the server says and takes."""

    codes: list[int] = field(default_factory=list)
    taken: list[tuple[str, tuple[str, ...], bytes]] = field(default_factory=list)
    is_vague: bool = False  # what comes after these depends on how the stream was cut
    talks_on: bool = False  # after QUIT: the last replies may be lost on the way (reset)


class Model:
    """A session in the clear, from a network that needs no login."""

    def __init__(self, stream: bytes, *, limit: int, normalise: bool = False) -> None:
        self.found = Expected(codes=[220])
        self._stream, self._limit, self._normalise = stream, limit, normalise
        self._at = 0
        self._greeted = False
        self._mail: str | None = None
        self._utf8 = False
        self._recipients: list[str] = []
        self._mistakes = 0

    def run(self) -> Expected:
        try:
            while (line := self._line()) is not None:
                self._command(line)
        except End:
            pass
        return self.found

    # -- octets ------------------------------------------------------------------------------------

    def _line(self) -> bytes | None:
        rest = self._stream[self._at :]
        limit = MAX_AUTH_LINE if rest[:5].upper() == b"AUTH " else MAX_LINE
        line, newline, _ = rest.partition(b"\n")
        if not newline:
            if len(rest.removesuffix(b"\r")) > limit or b"\r" in rest[:-1] or b"\0" in rest:
                self._stop(521)
            return None
        self._at += len(line) + 1
        is_clean = line.endswith(b"\r")
        text = line[:-1] if is_clean else line
        if len(line) > limit + 1 or b"\r" in text or b"\0" in text:
            self._stop(521)
        if not is_clean and not self._normalise:
            self._stop(521)
        return text

    def _body(self) -> None:
        rest = self._stream[self._at :]
        end = (b"\r\n" + rest).find(b"\r\n.\r\n")
        body = rest if end < 0 else rest[:end]
        is_unclean = b"\0" in body or (not self._normalise and _bare(body, whole=end >= 0))
        if len(body) > self._limit:
            self.found.is_vague = is_unclean or end < 0
            if self.found.is_vague:
                raise End
            self._at += end + 3
            self._say(552)
        elif is_unclean:
            self._stop(521)
        elif end < 0:
            raise End
        else:
            self._at += end + 3
            self._take(body)

    def _take(self, body: bytes) -> None:
        lines = body.split(b"\r\n")
        content = b"\r\n".join(line.removeprefix(b".") for line in lines)
        if self._normalise:
            content = _ANY_END.sub(b"\r\n", content)
        assert self._mail is not None
        self.found.taken.append((self._mail, tuple(self._recipients), content))
        self._mistakes = 0
        self._say(250)

    # -- words -------------------------------------------------------------------------------------

    def _command(self, line: bytes) -> None:
        word, _, argument = line.partition(b" ")
        word, argument = word.upper(), argument.strip()
        act = getattr(self, f"_do_{word.decode('latin-1').lower()}", None)
        if word.isalpha() and act is not None:
            act(argument)
        elif word in HTTP:
            self._stop(521)
        else:
            self._say(500)

    def _do_ehlo(self, argument: bytes) -> None:
        if not argument:
            return self._say(501)
        self._greeted = True
        self._forget()
        return self._say(250)

    _do_helo = _do_ehlo

    def _do_mail(self, argument: bytes) -> None:
        if not self._greeted or self._mail is not None:
            return self._say(503)
        try:
            mail = parse_mail(argument)
            if mail.size > self._limit:
                return self._say(552)
            sender = str(parse_mailbox(mail.sender, smtputf8=mail.smtputf8)) if mail.sender else ""
        except Refused as refusal:
            return self._say(refusal.reply.code)
        self._mail, self._utf8 = sender, mail.smtputf8
        return self._say(250)

    def _do_rcpt(self, argument: bytes) -> None:
        if self._mail is None:
            return self._say(503)
        try:
            address = parse_rcpt(argument).address
            address = "postmaster@box.example" if address.lower() == "postmaster" else address
            self._recipients.append(str(parse_mailbox(address, smtputf8=self._utf8)))
        except Refused as refusal:
            return self._say(refusal.reply.code)
        return self._say(250)

    def _do_data(self, argument: bytes) -> None:
        if argument:
            return self._say(501)
        if self._mail is None:
            return self._say(503)
        if not self._recipients:
            return self._say(554)
        self._say(354)
        self._body()
        return self._forget()

    def _do_rset(self, argument: bytes) -> None:
        if argument:
            return self._say(501)
        self._forget()
        return self._say(250)

    def _do_noop(self, _argument: bytes) -> None:
        self._say(250)

    def _do_vrfy(self, _argument: bytes) -> None:
        self._say(252)

    def _do_expn(self, _argument: bytes) -> None:
        self._say(502)

    def _do_help(self, _argument: bytes) -> None:
        self._say(214)

    def _do_auth(self, _argument: bytes) -> None:
        self._say(538)

    def _do_quit(self, _argument: bytes) -> None:
        self.found.talks_on = self._at < len(self._stream)
        self._stop(221)

    def _do_starttls(self, argument: bytes) -> None:
        if argument:
            return self._say(501)
        self.found.is_vague = True
        raise End

    def _forget(self) -> None:
        self._mail, self._recipients = None, []

    def _say(self, code: int) -> None:
        self.found.codes.append(code)
        if 500 <= code < 505 or code == 555:
            self._mistakes += 1
        if self._mistakes >= MAX_MISTAKES:
            self._stop(421)

    def _stop(self, code: int) -> None:
        self.found.codes.append(code)
        raise End


def _bare(body: bytes, *, whole: bool) -> bool:
    """Bare line ends; a CR that is the last octet of what came may still get its LF."""
    text = body if whole or not body.endswith(b"\r") else body[:-1]
    return _BARE.search(text) is not None
