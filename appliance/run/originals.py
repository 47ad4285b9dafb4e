"""Originals: what the box sent, looked up for the notices that came back, and to be sent again.

First in the log, which has everything from about a second after it happened; then, for what is not there
yet, in the spool, through the shard's owner. The bytes are in the spool alone, for as long as
spool.keep_content says. Raises NotRunningError or StoreError: ask again later.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from appliance.core import ids
from appliance.core.errors import ConflictError, NotFoundError
from appliance.core.scope import Scope
from appliance.history import Flag
from appliance.sending import Kept, KeptRecipient
from mta.bounce.news import Original
from mta.status import Status, TrafficClass

if TYPE_CHECKING:
    from collections.abc import Collection

    from appliance.history import Found, LogReader
    from appliance.run.shard_owners import ShardOwners

_TIMEOUT: Final = 15.0
_SYSTEM: Final = Scope.system(by="inbound")


class SentMail:
    """The log and the spools together (mta.bounce.apply.Originals)."""

    def __init__(self, reader: LogReader, owners: ShardOwners) -> None:
        self._reader, self._owners = reader, owners

    async def recipients_of(self, message_id: int) -> list[Original]:
        """Everybody a message went to; nobody when it is not known."""
        try:
            history = await asyncio.to_thread(self._reader.show, _SYSTEM, message_id)
        except NotFoundError:
            return await self._in_spool(message_id)
        return [_of_log(found) for found in history.recipients]

    async def recipient(self, message_id: int, n: int) -> Original | None:
        """One of them."""
        found = await asyncio.to_thread(self._reader.find_original, message_id, n)
        if found is not None:
            return _of_log(found)
        return next((one for one in await self._in_spool(message_id) if one.n == n), None)

    async def find(self, message_id_header: str, address: str) -> Original | None:
        """By Message-ID and address, in the log alone: people complain later than in a second."""
        found = await asyncio.to_thread(self._reader.find_recipient, message_id_header, address)
        return None if found is None else await self.recipient(found.message_id, found.n)

    async def _in_spool(self, message_id: int) -> list[Original]:
        shard = ids.shard_of(message_id)
        try:
            shown = await self._owners.call(shard, "queue_show", {"id": message_id}, _TIMEOUT)
        except NotFoundError:
            return []
        return [_of_spool(row) for row in shown["recipients"]]


class KeptMail:
    """The bytes of the spools, with what the log knows of them (appliance.sending.Originals)."""

    def __init__(self, reader: LogReader, owners: ShardOwners) -> None:
        self._reader, self._owners = reader, owners

    async def kept(self, scope: Scope, message_id: int) -> Kept:
        """The message. Raises NotFoundError, and ConflictError when its bytes are gone."""
        logged = await asyncio.to_thread(self._reader.recipients, message_id)
        row = await self._in_spool(message_id)
        owners = {one.tenant_id for one in logged} | ({row["tenant_id"]} if row else set())
        if not owners or scope.tenant_id not in (None, *owners):
            raise NotFoundError(f"the box has no message {ids.to_text(message_id)}")
        if row is None or row["content"] is None:
            raise ConflictError(
                "the bytes of this message are not kept any more: write it anew; spool.keep_content"
                " says for how long they are kept once it is finished"
            )
        late = {one.n for one in logged if Flag.BOUNCED_LATE in one.flags}
        return _kept(message_id, row, late)

    async def _in_spool(self, message_id: int) -> dict[str, Any] | None:
        shard = ids.shard_of(message_id)
        if shard not in await self._owners.shards():
            return None
        try:
            row: dict[str, Any] = await self._owners.call(
                shard, "original", {"id": message_id}, _TIMEOUT
            )
        except NotFoundError:
            return None
        return row


def _kept(message_id: int, row: dict[str, Any], late: Collection[int]) -> Kept:
    return Kept(
        id=message_id,
        tenant_id=row["tenant_id"],
        sender=row["envelope_from"],
        smtputf8=row["smtputf8"],
        body_8bit=row["body_8bit"],
        traffic_class=TrafficClass(row["traffic_class"]),
        tags=tuple(row["tags"]),
        metadata=row["metadata"],
        recipients=tuple(
            KeptRecipient(address=address, status=Status(status), bounced_late=n in late)
            for n, address, status in row["recipients"]
        ),
        content=row["content"],
    )


def _of_log(found: Found) -> Original:
    return Original(
        message_id=found.message_id,
        n=found.n,
        address=found.address,
        tenant_id=found.tenant_id,
    )


def _of_spool(row: dict[str, Any]) -> Original:
    return Original(
        message_id=row["message_id"],
        n=row["n"],
        address=row["address"],
        tenant_id=row["tenant_id"],
    )
