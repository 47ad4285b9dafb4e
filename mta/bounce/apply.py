"""Apply: reads the notices in the dropbox and tells the shards what they mean, one at a time.

    new -> read -> who is meant (token, Message-ID) -> news (pure) -> owner's commit -> done

A notice leaves `new` after the owners of its messages have committed what it says. A crash in between
lets it be read again: every event carries the notice's id, so that the history sets the same flags and the
suppression list takes the same event id a second time without effect.

What cannot be understood goes to `unreadable` and stays there, also a file whose reading crashes; when a
shard's owner does not answer, the notice waits, all others of that shard wait without asking, and the rest
go on. One that a process did not finish comes first in the next life: reading and judging take time in
proportion to what is looked at (mime.py, dsn.py, news.py), so that none can hold up the others for ever.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from appliance.core import clock, ids, log, tasks
from appliance.core.errors import NotRunningError, StoreError
from mta.bounce import news
from mta.bounce.addresses import NotOurs, Purpose, bounce_token, taken_address
from mta.bounce.dropbox import Folder, arrived_at
from mta.bounce.news import Finding, News, Original, Result
from mta.bounce.notice_reader import read_notice
from mta.bounce.silence import Silence, StillSilent
from mta.bounce.turns import Turns
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mta.bounce.addresses import OwnAddress
    from mta.bounce.dropbox import Dropbox, Item
    from mta.bounce.model import Notice
    from mta.bounce.return_path import ReturnPath, ReturnPathKeys

RETRY: Final = 10 * clock.SECOND
PATIENCE: Final = clock.HOUR
"""So long a message may be unknown, on its way from the spool to the history, before we believe it."""

_KEPT: Final = frozenset({Result.UNREADABLE, Result.UNMATCHED})
_log = logging.getLogger(__name__)


class Originals(Protocol):
    """What we sent, in the spool or in the history. Raises NotRunningError or StoreError."""

    async def recipients_of(self, message_id: int) -> Sequence[Original]:
        """Everybody a message went to; nobody when it is not known (any more)."""

    async def recipient(self, message_id: int, n: int) -> Original | None:
        """One of them."""

    async def find(self, message_id_header: str, address: str) -> Original | None:
        """By the Message-ID it carried, with its angle brackets, and an address.

        When no recipient has this address ("": it was left out), only the sole recipient of a message
        is certain.
        """


class Observer(Protocol):
    """Told what was made of the notices (metrics)."""

    def read(self, result: Result) -> None:
        """One finding."""

    def complained(self, reporter: str) -> None:
        """A complaint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collaborators:
    """What reading needs of others.

    `tell` returns after the owner's commit; `forward` sends mail to the admin on, and returns False
    when there is nobody to send it to.
    """

    dropbox: Dropbox
    originals: Originals
    keys: ReturnPathKeys
    tell: Callable[[News], Awaitable[None]]
    forward: Callable[[Item], Awaitable[bool]]
    observer: Observer
    now: Callable[[], int] = clock.now_ms


class _Unknown(Exception):  # noqa: N818 - not an error: a message that may still show up
    """The message is not in the spool and not in the history."""


class Applier:
    """Reads notices, oldest first."""

    def __init__(self, collaborators: Collaborators) -> None:
        self._with = collaborators
        self._silence = Silence()
        self._turns = Turns(
            collaborators.dropbox.waiting, collaborators.now, begin_round=self._silence.forget
        )

    async def step(self) -> bool:
        """Read one notice; False when none waits."""
        notice_id = await self._turns.next()
        if notice_id is None:
            return False
        with log.bind(notice=notice_id):
            is_done = await tasks.guard(self._handle(notice_id), name=f"notice {notice_id}")
            if is_done is None:  # it crashed, and would again
                is_done = await self._set_aside(notice_id)
            if not is_done:
                self._turns.put_off(RETRY)
        return True

    async def _handle(self, notice_id: str) -> bool:
        """True when the notice has been dealt with, False when it must be tried again later."""
        try:
            item = await asyncio.to_thread(self._with.dropbox.read, notice_id)
            addresses = self._addresses(item)
        except (ValueError, NotOurs) as error:
            _log.warning("this notice cannot be read and is kept: %s", error)
            return await self._set_aside(notice_id)
        except StoreError as error:
            _log.warning("%s", error)
            return False
        if self._waits_in_vain(addresses):
            return False
        try:
            await self._apply(item, addresses)
        except (NotRunningError, StoreError) as error:
            _log.info("this notice waits: %s", error)
            self._turns.look_again()
            return False
        except (_Unknown, StillSilent):
            return False
        return True

    async def _set_aside(self, notice_id: str) -> bool:
        """As unreadable; False when it cannot even be moved."""
        try:
            await self._move(notice_id, Folder.UNREADABLE)
        except StoreError as error:
            _log.warning("this notice cannot be set aside: %s", error)
            return False
        self._count([Finding(result=Result.UNREADABLE)])
        return True

    def _addresses(self, item: Item) -> list[OwnAddress]:
        """What its recipients are for, each once; judged by the time at which it came."""
        keys, at = self._with.keys, item.arrived.at
        taken = (taken_address(address, keys, at) for address in item.arrived.recipients)
        return list(dict.fromkeys(taken))

    def _waits_in_vain(self, addresses: Sequence[OwnAddress]) -> bool:
        """It was read before, and one whom it is for has not answered in this round."""
        tokens = [address.token for address in addresses if address.token is not None]
        shards = [ids.shard_of(token.message_id) for token in tokens]
        return self._turns.is_again and any(map(self._silence.is_around, shards))

    async def _apply(self, item: Item, addresses: Sequence[OwnAddress]) -> None:
        findings: list[Finding] = []
        ours = [address for address in addresses if address.purpose is not Purpose.POSTMASTER]
        if ours:
            notice = await asyncio.to_thread(read_notice, item.raw)
            for address in ours:
                findings += await self._findings(item, notice, address)
        for finding in findings:
            if finding.news is not None:
                await self._tell(finding.news)
        folder = _folder(findings)
        if len(ours) < len(addresses):
            findings.append(Finding(result=Result.POSTMASTER))
            # Last, because only this is not harmless to do twice.
            if not await self._forward(item) and folder is Folder.DONE:
                folder = Folder.POSTMASTER
        self._count(findings)
        await self._move(item.id, folder)

    async def _tell(self, told: News) -> None:
        with self._silence.asking("tell", ids.shard_of(told.original.message_id)):
            await self._with.tell(told)

    async def _forward(self, item: Item) -> bool:
        try:
            with self._silence.asking("forward"):
                return await self._with.forward(item)
        except Refused as refusal:
            _log.warning("mail to postmaster cannot be sent on and is kept: %s", refusal.log)
            return False

    # -- who is meant -----------------------------------------------------------------------------

    async def _findings(self, item: Item, notice: Notice, address: OwnAddress) -> list[Finding]:
        token = address.token
        if address.purpose is Purpose.COMPLAINT:
            if notice.feedback is None:
                return [Finding(result=Result.UNREADABLE)]
            token = bounce_token(
                notice.feedback.original_mail_from, self._with.keys, item.arrived.at
            )
            if token is None:
                return await self._complaint_without_token(item, notice)
        assert token is not None, "every other purpose comes with one"
        try:
            return await self._by_token(item, notice, token, address.purpose)
        except _Unknown:
            if self._with.now() - arrived_at(item.id) < PATIENCE:
                raise
            _log.warning("message %s is not known (any more)", ids.to_text(token.message_id))
            return [Finding(result=Result.UNMATCHED)]

    async def _by_token(
        self, item: Item, notice: Notice, token: ReturnPath, purpose: Purpose
    ) -> list[Finding]:
        if token.n is None:
            everybody = await self._recipients_of(token.message_id)
            if not everybody:
                raise _Unknown
            if purpose is Purpose.UNSUBSCRIBE:
                return [Finding(result=Result.UNMATCHED)]
            return await asyncio.to_thread(news.of_message, notice, everybody, item.id)
        with self._silence.asking("look up", ids.shard_of(token.message_id)):
            original = await self._with.originals.recipient(token.message_id, token.n)
        if original is None:
            raise _Unknown
        if purpose is Purpose.UNSUBSCRIBE:
            return [news.unsubscribed(original, item.id)]
        # A message may have 100,000 recipients: they are looked at only where they may matter.
        is_named = await asyncio.to_thread(news.names, notice, original)
        everybody = () if is_named else await self._recipients_of(token.message_id)
        return await asyncio.to_thread(news.of_recipient, notice, original, everybody, item.id)

    async def _recipients_of(self, message_id: int) -> Sequence[Original]:
        with self._silence.asking("look up", ids.shard_of(message_id)):
            return await self._with.originals.recipients_of(message_id)

    async def _complaint_without_token(self, item: Item, notice: Notice) -> list[Finding]:
        feedback, header = notice.feedback, notice.original_message_id
        assert feedback is not None
        found: dict[tuple[int, int], Original] = {}
        for address in feedback.recipients or ("",) if header else ():
            with self._silence.asking("find"):
                original = await self._with.originals.find(header, address)
            if original is not None:
                found[original.message_id, original.n] = original
        return news.of_complaint(feedback, found.values(), item.id)

    # -- afterwards -------------------------------------------------------------------------------

    def _count(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self._with.observer.read(finding.result)
            if finding.result is Result.COMPLAINED and finding.news is not None:
                self._with.observer.complained(str(finding.news.data["reporter"]))
            if finding.result is Result.CONTRADICTS:
                _log.warning("this notice names another recipient than its token and is ignored")

    async def _move(self, notice_id: str, to: Folder) -> None:
        await asyncio.to_thread(self._with.dropbox.move, notice_id, to)


def _folder(findings: Sequence[Finding]) -> Folder:
    """Kept for a person only when nothing at all could be made of it."""
    if findings and all(finding.result in _KEPT for finding in findings):
        return Folder.UNREADABLE
    return Folder.DONE
