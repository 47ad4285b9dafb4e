"""Verdict: what becomes of one message, from what was found of it and what the event log knows; pure.

    whole                     it stays as it is
    its end is known          the log or the outbox says so, the row is older: it is settled without an event
    bytes or envelope gone    its open recipients become `corrupt`, with an event
    a recipient's row gone    the others stay, it is named, and the log is told
    found where it may be old, and the log cannot say: held, until a person has looked

Never sends what cannot be vouched for: a message whose envelope is not the one that was stored is kept
only for recipients whose address the log confirms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from mta.spool import digest
from mta.spool import tables as t
from mta.status import FINAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Row = tuple[Any, ...]

CUT: Final = 500
"""The log may have cut a text to so many characters."""

NOBODY: Final = -1
"""`n` of recipients that were there, and of whom nothing is known."""

NO_ENVELOPE: Final = "its envelope is gone from the spool"
NO_CONTENT: Final = "its content is gone from the spool, or damaged"
NO_ROW: Final = "its recipient's row is gone from the spool"
NOT_THE_SAME: Final = "its envelope is not the one that was stored"
MAY_BE_OLD: Final = "found where it may be old, and the log cannot say: release it, or cancel it"
_FINAL: Final = frozenset(map(str, FINAL))


@dataclass(frozen=True, slots=True)
class LoggedRecipient:
    """Where a recipient stands in the event log."""

    n: int
    address: str
    status: str


@dataclass(frozen=True, slots=True)
class Logged:
    """A message as the event log, or the event of its acceptance, has it."""

    message_id: int
    tenant_id: int
    sender: str
    size: int
    recipients: tuple[LoggedRecipient, ...]


class Witness(Protocol):
    """The event log, asked what became of messages."""

    def can_tell(self, message_id: int) -> bool:
        """Whether the log of the message's day can be read."""

    def story(self, message_id: int) -> Logged | None:
        """What it knows of a message."""

    def waiting(self, shard: int) -> Iterator[int]:
        """Messages with recipients that wait, as far as the log knows."""


class Content(StrEnum):
    """What is there of a message's bytes."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What was found of a message."""

    message_id: int
    message: Row | None
    recipients: tuple[Row, ...]  # in order
    content: Content
    ends: Mapping[int, str]  # final states of which the outbox tells, by recipient
    is_doubtful: bool  # found where it may be old


@dataclass(frozen=True, slots=True)
class LostRecipient:
    """One recipient that will not get its message; empty where nothing is known."""

    n: int
    address: str
    status: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A message that is lost or incomplete."""

    message_id: int
    tenant_id: int
    sender: str
    recipients: tuple[LostRecipient, ...]
    is_known: bool  # the log knows the message, or its envelope stands: it is told how it ended


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What is to be done; nothing, when all is empty."""

    drops: bool = False  # nothing of it stays in the store: it has no envelope, or no recipients
    ends: list[tuple[int, str]] = field(default_factory=list)
    holds: list[int] = field(default_factory=list)
    untold: list[int] = field(default_factory=list)  # ended, but their event is gone
    lost: list[LostRecipient] = field(default_factory=list)
    is_rewritten: bool = False  # rows of it are gone: the envelope's digest is another now


def judge(parts: Parts, logged: Logged | None, *, can_tell: bool, gone: str = NO_ROW) -> Verdict:
    """What becomes of it. `gone` is why a recipient that the log knows may be missing."""
    told = {one.n: one for one in logged.recipients} if logged else {}
    ends = {n: one.status for n, one in told.items() if one.status in _FINAL} | dict(parts.ends)
    rows = {row[1]: row for row in parts.recipients}
    missing = [
        LostRecipient(n, one.address, one.status, gone)
        for n, one in told.items()
        if n not in rows and n not in ends
    ]
    waiting = {n: row for n, row in rows.items() if _waits(row) and n not in ends}
    if parts.message is None:
        lost = [_lost(row, NO_ENVELOPE) for row in waiting.values()] + missing
        is_alone = not told and not rows and not ends and parts.content is not Content.NONE
        if is_alone and not parts.is_doubtful:
            lost = [LostRecipient(NOBODY, "", "", NO_ENVELOPE)]  # whose it is nobody knows
        return Verdict(drops=True, lost=lost)
    if logged is None:
        missing = _nameless(parts.message, parts.recipients)
    verdict = Verdict(lost=missing, drops=not rows)
    verdict.ends = [(n, ends[n]) for n, row in rows.items() if _waits(row) and n in ends]
    verdict.untold = [n for n, row in rows.items() if _is_untold(row, told.get(n), parts.ends)]
    _judge_waiting(parts, waiting, logged, verdict)
    if parts.is_doubtful and logged is None and not can_tell:
        verdict.holds = [n for n in waiting if n not in {one.n for one in verdict.lost}]
    return verdict


def _nameless(message: Row, recipients: tuple[Row, ...]) -> list[LostRecipient]:
    """Recipients of whom only the message's count of open ones is left."""
    unknown = message[t.OPEN] - sum(1 for row in recipients if _waits(row))
    if unknown <= 0:
        return []
    return [LostRecipient(NOBODY, "", "", f"{NO_ROW}: {unknown} such, unknown to the event log")]


def _judge_waiting(
    parts: Parts, waiting: dict[int, Row], logged: Logged | None, verdict: Verdict
) -> None:
    assert parts.message is not None
    is_as_stored = _is_as_stored(parts)
    verdict.is_rewritten = not is_as_stored
    if parts.content is not Content.WHOLE:
        verdict.lost += [_lost(row, NO_CONTENT) for row in waiting.values()]
        return
    if is_as_stored:
        return
    trusted = _vouched(parts.message, waiting, logged)
    if parts.message[-1] is None and logged is None:
        trusted = set(waiting)  # from before there were digests: nothing speaks against it
    verdict.lost += [_lost(row, NOT_THE_SAME) for n, row in waiting.items() if n not in trusted]


def _is_as_stored(parts: Parts) -> bool:
    """Whether message and recipients are those that were accepted, all of them."""
    assert parts.message is not None
    if parts.message[-1] is not None:
        return bool(digest.of_envelope(parts.message, parts.recipients) == parts.message[-1])
    numbers = [row[1] for row in parts.recipients]
    still_open = sum(1 for row in parts.recipients if _waits(row))
    return numbers == list(range(len(numbers))) and still_open == parts.message[t.OPEN]


def _vouched(message: Row, waiting: dict[int, Row], logged: Logged | None) -> set[int]:
    """Recipients whose address the log confirms, of a message that it confirms too."""
    if logged is None:
        return set()
    same = (
        logged.tenant_id == message[2]
        and logged.size == message[10]
        and _same(logged.sender, message[6])
    )
    known = {one.n: one.address for one in logged.recipients}
    return {n for n, row in waiting.items() if same and n in known and _same(known[n], row[5])}


def _same(logged: str, stored: str) -> bool:
    return logged == stored[:CUT]


def _is_untold(row: Row, told: LoggedRecipient | None, ends: Mapping[int, str]) -> bool:
    """Ended here, waiting in the log, and the outbox does not tell of it: its event is lost."""
    return not _waits(row) and told is not None and told.status not in _FINAL and row[1] not in ends


def _waits(row: Row) -> bool:
    return row[7] not in _FINAL


def _lost(row: Row, why: str) -> LostRecipient:
    return LostRecipient(row[1], row[5], row[7], why)
