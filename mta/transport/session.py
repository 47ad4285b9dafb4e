"""A kept connection: transactions one after the other over one conversation.

Usable until a fault, a 421, a word out of turn, the receiver hanging up, the limit of messages, or until
STARTTLS is to be left out with this host from now on.
Never raises for what the receiver does: that stands in the results of the attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.message import Attempt, RecipientResult, Step
from mta.status import Phase, Scope
from mta.transport.transaction import Transaction

if TYPE_CHECKING:
    from mta.message import Envelope
    from mta.reply import Reply
    from mta.transport.content import Framer
    from mta.transport.replies import Timeouts
    from mta.transport.smtp_conversation import Conversation

_QUIT_SECONDS: Final = 1.0


class Session:
    """A Connection (base.py) over SMTP."""

    def __init__(
        self,
        conversation: Conversation,
        *,
        place: tuple[str, str, str],
        times: Timeouts,
        framer: Framer,
        max_messages: int,
    ) -> None:
        """`place`: host, address, name of the egress."""
        self._link = conversation.link
        self._offer, self._tls = conversation.offer, conversation.tls
        self._holds = conversation.holds
        self._host, self._address, self._egress = place
        self._times, self._framer = times, framer
        self._left = max_messages
        self._needs_reset = False
        # The first attempt tells of the opening too; its steps count from there.
        self._opening: Conversation | None = conversation
        self._before: tuple[Step, ...] = ()

    def precede(self, steps: tuple[Step, ...]) -> None:
        """What was tried in vain before this connection: told by the first attempt, too."""
        self._before = steps

    @property
    def usable(self) -> bool:
        """False once there was a fault, the limit of messages is reached, or TLS is unwanted."""
        return self._link.fault is None and self._left > 0 and self._holds()

    async def send(self, envelope: Envelope) -> Attempt:
        """Run one transaction."""
        opening, self._opening = self._opening, None
        started, started_at = self._link.now(), clock.now_ms()
        before: tuple[Step, ...] = ()
        if opening is not None:
            started, started_at = opening.started, opening.started_at
            before = (*self._before, *opening.steps)
        fault = self._link.fault
        if fault is not None:
            return self._attempt(_unsent(envelope, fault), before, started_at)
        self._left -= 1
        transaction = Transaction(self._link, self._offer, self._times, envelope, self._framer)
        results = await transaction.run(started, reset=self._needs_reset)
        self._needs_reset = transaction.needs_reset
        steps = (*before, *transaction.steps)
        return self._attempt(results, steps, started_at, transaction.rcpt_sent)

    async def close(self) -> None:
        """QUIT, wait a second at most for its answer, and close."""
        await self._link.close(_QUIT_SECONDS)

    def _attempt(
        self,
        results: tuple[RecipientResult, ...],
        steps: tuple[Step, ...],
        started_at: int,
        rcpt_sent: int = 0,
    ) -> Attempt:
        return Attempt(
            results=results,
            host=self._host,
            address=self._address,
            egress=self._egress,
            tls=self._tls,
            steps=steps,
            started_at=started_at,
            ended_at=clock.now_ms(),
            dsn_passed=self._offer.dsn,
            rcpt_sent=rcpt_sent,
        )


def _unsent(envelope: Envelope, fault: Reply) -> tuple[RecipientResult, ...]:
    return tuple(
        RecipientResult(n=who.n, reply=fault, phase=Phase.MAIL, scope=Scope.SESSION)
        for who in envelope.recipients
    )
