"""Judge: goes through a store message by message and makes it agree with itself and with the event log.

What is lost is named, set aside in corrupt/, and the log is told. Used on what a repair has read, and on
what a restore has brought back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from appliance.core import clock
from mta.spool.salvage import corrupt, verdict
from mta.spool.salvage.verdict import Content, Logged, Loss, Parts, Verdict
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from pathlib import Path

    from mta.spool.salvage.scratch import Scratch
    from mta.spool.salvage.verdict import Witness

_MESSAGES_A_COMMIT: Final = 500


Progress = Callable[[str, int, int], None]
"""Told the stage, how far it has come and of how many; 0: nobody knows."""


class Remains(Protocol):
    """What is left of contents that are not whole."""

    @property
    def ids(self) -> frozenset[int]:
        """Messages of which there is something."""

    def of(self, message_id: int) -> bytes | None:
        """The octets that could be read."""

    def is_doubtful(self, message_id: int) -> bool:
        """Whether it was found where it may be old."""


class NoRemains:
    """Every content is whole or gone."""

    ids: frozenset[int] = frozenset()

    def of(self, message_id: int) -> bytes | None:
        """Nothing."""

    def is_doubtful(self, message_id: int) -> bool:
        """Never."""
        return False


@dataclass(slots=True)
class Judged:
    """What became of all messages."""

    messages: int = 0  # that stand in the store
    waiting: int = 0  # recipients that wait or are held there
    ended: int = 0  # waited here, but had reached their end
    held: int = 0  # found where they may be old
    untold: int = 0  # had ended without the log being told
    losses: list[dict[str, Any]] = field(default_factory=list)


class Judge:
    """One pass over one store."""

    def __init__(
        self,
        scratch: Scratch,
        witness: Witness,
        folder: Path,
        remains: Remains,
        *,
        gone: str = verdict.NO_ROW,
    ) -> None:
        self._scratch, self._witness, self._folder = scratch, witness, folder
        self._remains, self._gone = remains, gone
        self._now = clock.now_ms()
        self._dropped: set[int] = set()
        self.judged = Judged()

    def run(self, progress: Progress) -> Judged:
        """Everything of which there is anything, then what only the log knows."""
        after, count = -1, 0
        while some := self._scratch.ids_after(after, _MESSAGES_A_COMMIT):
            self._all_of(some)
            after, count = some[-1], count + len(some)
            progress("judging messages", count, 0)
        elsewhere = {*self._remains.ids, *self._witness.waiting(self._scratch.shard)}
        self._all_of(
            [one for one in sorted(elsewhere - self._dropped) if not self._scratch.has(one)]
        )
        return self.judged

    def _all_of(self, some: list[int]) -> None:
        with self._scratch.transaction():
            for message_id in some:
                self._judge(message_id)

    def _judge(self, message_id: int) -> None:
        parts, accepted = self._parts(message_id)
        logged = self._witness.story(message_id)
        can_tell = self._witness.can_tell(message_id)
        found = verdict.judge(parts, logged or accepted, can_tell=can_tell, gone=self._gone)
        self._carry_out(parts, found, logged or accepted)

    def _parts(self, message_id: int) -> tuple[Parts, Logged | None]:
        scratch = self._scratch
        message = scratch.message(message_id)
        ends, accepted = scratch.events_of(message_id)
        content = scratch.state_of_content(message_id, message)
        if content is Content.NONE and message_id in self._remains.ids:
            content = Content.DAMAGED
        parts = Parts(
            message_id=message_id,
            message=message,
            recipients=scratch.recipients(message_id),
            content=content,
            ends=ends,
            is_doubtful=self._remains.is_doubtful(message_id),
        )
        return parts, accepted

    def _carry_out(self, parts: Parts, found: Verdict, logged: Logged | None) -> None:
        number, scratch, judged = parts.message_id, self._scratch, self.judged
        for n, status in found.ends:
            scratch.end(number, n, status)
        scratch.move(number, found.holds, Status.HELD, verdict.MAY_BE_OLD)
        self._tell(parts, found)
        judged.ended += len(found.ends)
        judged.held += len(found.holds)
        judged.untold += len(found.untold)
        if found.lost:
            self._lose(parts, found, logged)
        if found.drops:
            self._dropped.add(number)
            scratch.drop(number)
            return
        judged.messages += 1
        judged.waiting += scratch.settle(number, self._now, rewritten=found.is_rewritten)

    def _tell(self, parts: Parts, found: Verdict) -> None:
        """Events that were lost on their way to the log, made again from the rows; and those held."""
        rows = {row[1]: row for row in parts.recipients}
        for n in found.untold:
            row = rows[n]
            data = {"tenant": row[3], "to": row[5], "reason": row[13], "host": row[14]}
            self._scratch.add_event(
                (parts.message_id, n), row[7], self._now, data | {"egress": row[15]}
            )
        for n in found.holds:
            data = {"tenant": rows[n][3], "to": rows[n][5], "reason": verdict.MAY_BE_OLD}
            self._scratch.add_event((parts.message_id, n), EventKind.HELD, self._now, data)

    def _lose(self, parts: Parts, found: Verdict, logged: Logged | None) -> None:
        """Name it, set aside what is left of it, and let the log know how it ended."""
        loss, number = _loss(parts, found, logged), parts.message_id
        content = self._scratch.content(number) or self._remains.of(number)
        self.judged.losses.append(corrupt.set_aside(self._folder, loss, parts.message, content))
        for one in loss.recipients:
            self._scratch.move(number, [one.n], Status.CORRUPT, one.why)
            if loss.is_known and one.n != verdict.NOBODY:
                data = {"tenant": loss.tenant_id, "to": one.address, "reason": one.why}
                self._scratch.add_event((number, one.n), EventKind.CORRUPT, self._now, data)


def _loss(parts: Parts, found: Verdict, logged: Logged | None) -> Loss:
    message, rows = parts.message, parts.recipients
    tenant = message[2] if message else logged.tenant_id if logged else rows[0][3] if rows else 0
    return Loss(
        message_id=parts.message_id,
        tenant_id=tenant,
        sender=message[6] if message else logged.sender if logged else "",
        recipients=tuple(found.lost),
        is_known=message is not None or logged is not None,
    )
