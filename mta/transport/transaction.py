"""One SMTP transaction: MAIL, RCPT, DATA, content; and what each recipient was told.

With PIPELINING the envelope is one write and the content a second; without it, step by step. Every
recipient of the envelope gets exactly one result. What a receiver cannot take (too large, needs
SMTPUTF8, unsafe bytes) is answered here without transmitting anything.

Rules: RFC 5321, RFC 2920 (all recipients refused but DATA taken: a lone dot, nothing was sent),
RFC 1870, 6152, 6531, 3461. A fault of the conversation is a temporary failure of the session for
all who have no answer yet; after the final dot the receiver may have taken the message all the same:
the known window of doubles. A success is only ever the answer to the final dot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mta.message import RecipientResult, Step
from mta.reply import Reply
from mta.status import Phase, Scope
from mta.transport.content import Unsafe
from mta.transport.replies import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mta.message import Envelope, EnvelopeRecipient
    from mta.transport.content import Framer
    from mta.transport.replies import Answer, Replies, Timeouts

MAX_STEPS: Final = 100  # kept of one transaction; DATA and the dot always are


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the receiver's EHLO offered."""

    pipelining: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    dsn: bool = False
    size: bool = False
    max_size: int = 0  # 0 = no limit known

    @classmethod
    def of(cls, extensions: Mapping[str, str]) -> Offer:
        """From the EHLO keywords in lower case, with their parameters."""
        limit = extensions.get("size", "").strip()
        is_number = limit.isascii() and limit.isdigit() and len(limit) < 19
        return cls(
            pipelining="pipelining" in extensions,
            eight_bit="8bitmime" in extensions,
            smtputf8="smtputf8" in extensions,
            dsn="dsn" in extensions,
            size="size" in extensions,
            max_size=int(limit) if is_number else 0,
        )


class Transaction:
    """Runs once. `needs_reset` tells whether RSET must come before the next one."""

    __slots__ = (
        "_data",
        "_envelope",
        "_framer",
        "_link",
        "_mail",
        "_offer",
        "_rcpt",
        "_results",
        "_sent",
        "_started",
        "_times",
        "_utf8",
        "needs_reset",
        "rcpt_sent",
        "steps",
    )

    def __init__(
        self, link: Replies, offer: Offer, times: Timeouts, envelope: Envelope, framer: Framer
    ) -> None:
        self.needs_reset = False
        self.rcpt_sent = 0  # recipients whose RCPT went out, or may have
        self.steps: list[Step] = []
        self._link, self._offer, self._times = link, offer, times
        self._envelope, self._framer = envelope, framer
        self._utf8 = False
        self._results: dict[int, RecipientResult] = {}
        self._sent: list[EnvelopeRecipient] = []  # those whose RCPT is sent
        self._mail: Answer | None = None
        self._rcpt: list[Answer] = []
        self._data: Answer | None = None
        self._started = 0.0

    async def run(self, started: float, *, reset: bool) -> tuple[RecipientResult, ...]:
        """Send the envelope. `started` is the loop's time that steps count from."""
        self._started = started
        try:
            buffers = self._framer.frame(self._envelope)
            commands = self._commands()
        except Unsafe as error:
            return self._refuse_all(Reply(554, "5.6.0", str(error)))
        except _Refusal as refusal:
            return self._refuse_all(refusal.reply)
        if not self._sent:
            return self._in_order()
        self._link.begin(self._times.session)
        if not reset or await self._reset(pipelined=commands):
            await (self._pipeline if self._offer.pipelining else self._step_by_step)(commands)
            await self._content(buffers)
        return self._in_order()

    # What can be said without the receiver.

    def _commands(self) -> list[str]:
        """MAIL, one RCPT for each acceptable recipient, DATA. Raises _Refusal for the message."""
        envelope, offer = self._envelope, self._offer
        size = sum(map(len, envelope.content))
        if offer.max_size and size > offer.max_size:
            limit = f"the message has {size} octets, the receiver takes {offer.max_size}"
            raise _Refusal(552, "5.3.4", limit)
        self._utf8 = _needs_utf8(envelope)
        if self._utf8 and not offer.smtputf8:
            raise _Refusal(553, "5.6.7", "the message needs SMTPUTF8, the receiver lacks it")
        commands = ["", *map(self._rcpt_command, envelope.recipients), "DATA"]
        commands[0] = self._mail_command(size)  # last: a recipient may have needed SMTPUTF8
        return [command for command in commands if command]

    def _mail_command(self, size: int) -> str:
        envelope, offer = self._envelope, self._offer
        command = f"MAIL FROM:<{envelope.mail_from}>"
        if offer.size:
            command += f" SIZE={size}"
        if offer.eight_bit and envelope.body_8bit:
            command += " BODY=8BITMIME"
        if self._utf8:
            command += " SMTPUTF8"
        if offer.dsn:
            if envelope.ret:
                command += f" RET={envelope.ret}"
            if envelope.envid:
                command += f" ENVID={envelope.envid}"
        if not command.isprintable():
            raise _Refusal(553, "5.1.7", "the sender address cannot be sent safely")
        return command

    def _rcpt_command(self, recipient: EnvelopeRecipient) -> str:
        """The command, or "" when the recipient is refused here."""
        command = f"RCPT TO:<{recipient.address}>"
        if self._offer.dsn:
            if recipient.notify:
                command += f" NOTIFY={recipient.notify}"
            if recipient.orcpt:
                command += f" ORCPT={recipient.orcpt}"
        if not command.isascii():
            if not self._offer.smtputf8:
                text = "the address needs SMTPUTF8, the receiver lacks it"
                return self._refuse(recipient, Reply(553, "5.6.7", text))
            self._utf8 = True
        if not command.isprintable():
            return self._refuse(recipient, Reply(553, "5.1.3", "the address cannot be sent safely"))
        self._sent.append(recipient)
        return command

    def _refuse(self, recipient: EnvelopeRecipient, reply: Reply) -> str:
        self._settle(recipient, reply, Phase.RCPT, Scope.RECIPIENT)
        return ""

    def _refuse_all(self, reply: Reply) -> tuple[RecipientResult, ...]:
        for recipient in self._envelope.recipients:
            self._settle(recipient, reply, Phase.MAIL, Scope.MESSAGE)
        return self._in_order()

    # The conversation.

    async def _reset(self, *, pipelined: list[str]) -> bool:
        """RSET; pipelined it goes along with the envelope. False when the receiver will not."""
        if self._offer.pipelining:
            pipelined.insert(0, "RSET")
            return True
        if self._is_reset(await self._ask(["RSET"])):
            return True
        self._settle_rest(Phase.MAIL)
        return False

    def _is_reset(self, answers: Sequence[Answer]) -> bool:
        """Whether RSET was taken. If not, what was said to the rest is about another transaction."""
        if answers and not _is_yes(answers[0]):
            self._link.give_up(f"the receiver refused RSET: {shown(answers[0].raw)}")
        return bool(answers) and _is_yes(answers[0])

    async def _pipeline(self, commands: list[str]) -> None:
        self.rcpt_sent = len(self._sent)
        answers = await self._ask(commands)
        if commands[0] == "RSET":
            answers = answers[1:] if self._is_reset(answers) else []
        self._mail = answers[0] if answers else None
        self._rcpt = answers[1 : 1 + len(self._sent)]
        self._data = answers[-1] if len(answers) == len(self._sent) + 2 else None

    async def _step_by_step(self, commands: list[str]) -> None:
        for n, command in enumerate(commands[:-1]):
            self.rcpt_sent = n  # the first command is MAIL
            answers = await self._ask([command])
            if n == 0:
                self._mail = answers[0] if answers else None
            else:
                self._rcpt += answers
            if not answers or (n == 0 and not _is_yes(self._mail)):
                return
        if any(map(_is_yes, self._rcpt)):
            answers = await self._ask(commands[-1:])
            self._data = answers[0] if answers else None

    async def _ask(self, commands: list[str]) -> list[Answer]:
        """Send a group of commands and note what was said to each."""
        last = self._times.data if commands[-1] == "DATA" else 0.0
        wire = ("\r\n".join(commands) + "\r\n").encode()
        answers = await self._link.talk(wire, len(commands), self._times.command, last)
        self._note(commands, answers)
        return answers

    def _note(self, commands: Sequence[str], answers: Sequence[Answer]) -> None:
        steps, started = self.steps, self._started
        for command, answer in zip(commands, answers, strict=False):
            if len(steps) < MAX_STEPS or command in _ALWAYS_KEPT:
                steps.append(Step(int((answer.at - started) * 1000), command, shown(answer.raw)))
        fault = self._link.fault
        if fault is not None and len(answers) < len(commands):
            at = int((self._link.now() - started) * 1000)
            heard = shown(self._link.fault_raw) or f"({fault.text})"
            steps.append(Step(at, commands[len(answers)], heard))

    async def _content(self, buffers: Sequence[bytes]) -> None:
        """Judge the envelope, then send the content to those who were accepted."""
        accepted = self._judge_envelope()
        go = self._link.fault is None and self._data is not None and self._data.code // 100 == 3
        if go and not accepted:
            # RFC 2920 section 3.1: the receiver waits for a message although it refused everybody.
            await self._ask(["."])
        elif go:
            self.needs_reset = False
            await self._send(buffers, accepted)

    async def _send(self, buffers: Sequence[bytes], accepted: list[EnvelopeRecipient]) -> None:
        answers = await self._link.send_content(buffers, self._times.data, self._times.dot)
        self._note(["."], answers)
        if not answers:
            self._settle_rest(Phase.DOT)
            return
        reply = self._sound(answers[0], "the message")
        for recipient in accepted:
            self._settle(recipient, reply, Phase.DOT, Scope.MESSAGE)

    # What the answers mean.

    def _judge_envelope(self) -> list[EnvelopeRecipient]:
        """Settle those who were refused; return those who wait for the content."""
        mail = self._mail
        if mail is None:
            self._settle_rest(Phase.MAIL)
            return []
        if not _is_yes(mail):
            self.needs_reset = False
            self._settle_all(self._sound(mail, "MAIL"), Phase.MAIL)
            return []
        self.needs_reset = True
        accepted = []
        for n, (recipient, answer) in enumerate(zip(self._sent, self._rcpt, strict=False)):
            if _is_yes(answer):
                accepted.append(recipient)
            else:
                reply = too_many(self._sound(answer, "RCPT"), n)
                self._settle(recipient, reply, Phase.RCPT, Scope.RECIPIENT)
        self._judge_data(accepted)
        return accepted

    def _judge_data(self, accepted: list[EnvelopeRecipient]) -> None:
        if self._link.fault is not None:
            self._settle_rest(Phase.RCPT if len(self._rcpt) < len(self._sent) else Phase.DATA)
        elif accepted and self._data is not None and self._data.code // 100 != 3:
            self._settle_all(self._sound(self._data, "DATA"), Phase.DATA)

    def _sound(self, answer: Answer, what: str) -> Reply:
        """The reply; where its class makes no sense, a temporary one, and the session is over."""
        if answer.code >= 400 or (what == "the message" and answer.code < 300):
            return answer.reply
        text = f"the receiver's answer to {what} makes no sense: {shown(answer.raw)}"
        self._link.give_up(text)
        return Reply(451, "4.5.0", text)

    def _settle_all(self, reply: Reply, phase: Phase) -> None:
        for recipient in self._sent:
            if recipient.n not in self._results:
                self._settle(recipient, reply, phase, Scope.MESSAGE)

    def _settle_rest(self, phase: Phase) -> None:
        """The conversation is at fault: a temporary failure for all who have no answer."""
        fault = self._link.fault
        assert fault is not None
        if phase is Phase.DOT and not self._link.fault_raw:
            fault = Reply(fault.code, fault.enhanced, f"after the message was sent: {fault.text}")
        for recipient in self._sent:
            if recipient.n not in self._results:
                self._settle(recipient, fault, phase, Scope.SESSION)

    def _settle(self, who: EnvelopeRecipient, reply: Reply, phase: Phase, scope: Scope) -> None:
        self._results[who.n] = RecipientResult(n=who.n, reply=reply, phase=phase, scope=scope)

    def _in_order(self) -> tuple[RecipientResult, ...]:
        return tuple(self._results[recipient.n] for recipient in self._envelope.recipients)


_ALWAYS_KEPT: Final = frozenset({"DATA", "."})


class _Refusal(Exception):  # noqa: N818 - ours, about this message and this receiver
    def __init__(self, code: int, enhanced: str, text: str) -> None:
        super().__init__(text)
        self.reply = Reply(code, enhanced, text)


def _is_yes(answer: Answer | None) -> bool:
    return answer is not None and 200 <= answer.code < 300


def _needs_utf8(envelope: Envelope) -> bool:
    """Whether the sender or the header block cannot be sent to a host without SMTPUTF8.

    Recipients are judged one by one. A client that never said SMTPUTF8 but has 8-bit headers was let
    through on purpose (many applications do it): such a message is sent as it is.
    """
    if not envelope.mail_from.isascii():
        return True
    if not envelope.smtputf8:
        return False
    for piece in envelope.content:
        end = piece.find(b"\r\n\r\n")
        if not piece[: end if end >= 0 else len(piece)].isascii():
            return True
        if end >= 0:
            break
    return False


def too_many(reply: Reply, earlier: int) -> Reply:
    """RFC 5321 section 4.5.3.1.10: 552 for "too many recipients" is to be read as 452.

    The first recipient can never be one too many, and 5.2.x names the mailbox: those stay as said.
    """
    if reply.code != 552 or earlier == 0 or reply.enhanced.startswith("5.2."):
        return reply
    return Reply(452, "4.5.3", reply.text)
