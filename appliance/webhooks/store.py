"""Store: what the sender must find again after a crash, in control.db; for the system alone.

All that changed since the last time is saved in one transaction, some of them a second however many
events there are: how far the stream is settled, and with it the events up to there that are not. What a
receiver takes at once never becomes a row; a crash between two saves has it sent again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, func, insert, select, update

from appliance.core import clock
from appliance.core.control import Part, change
from appliance.core.database import in_pages, reading, transaction, upsert
from appliance.core.errors import SecretError
from appliance.core.generations import Generations
from appliance.core.scope import Scope
from appliance.notices import Finding, Notices
from appliance.tenancy import Act, record
from appliance.webhooks.model import Delivery, Gone, Key, Outcome, Signer, Waiting
from appliance.webhooks.rows import bound_to, endpoint_of
from appliance.webhooks.signing import key_of
from appliance.webhooks.tables import delivery, lane, waiting, webhook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.core.secrets import MasterKeys

KEPT_DELIVERIES: Final = 500
"""Rows of the log of deliveries that an endpoint keeps."""

KEPT_DAYS: Final = 7
NOTICE: Final = "webhook-disabled"
_log = logging.getLogger(__name__)
_BY: Final = Scope.system(by="webhooks")
_ALL: Final = 0  # the lane of everybody who has none
_w, _d = waiting.c, delivery.c
_THIS: Final = (
    _w.webhook_id == bindparam("of"),
    _w.message_id == bindparam("message"),
    _w.seq == bindparam("number"),
    _w.n == bindparam("about"),
)


@dataclass(slots=True, kw_only=True)
class Batch:
    """What is to be saved at once. Lists, since the sender fills it."""

    progress: int
    cursors: dict[int, int] = field(default_factory=dict)  # of lanes that are elsewhere
    rejoined: list[int] = field(default_factory=list)  # lanes that are not any more
    new: list[tuple[int, Waiting]] = field(default_factory=list)
    changed: list[tuple[int, Waiting]] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing but the place in the stream may have changed."""
        return not (
            self.cursors
            or self.rejoined
            or self.new
            or self.changed
            or self.gone
            or self.deliveries
        )


class SenderStore:
    """The sender's part of control.db."""

    def __init__(self, engine: AsyncEngine, keys: MasterKeys) -> None:
        self._engine, self._keys = engine, keys
        self._generations = Generations(engine)

    # -- endpoints -------------------------------------------------------------

    async def generation(self) -> int:
        """Moves when an endpoint changes or events are replayed."""
        return (await self._generations.look())[Part.WEBHOOKS]

    async def versions(self) -> Mapping[int, int]:
        """Every endpoint with the generation of its last change."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(select(webhook.c.id, webhook.c.generation))
            return {row.id: row.generation for row in rows}

    async def signers(self, ids: Sequence[int]) -> list[Signer]:
        """These endpoints, with their keys."""
        found: list[Signer] = []
        async with reading(self._engine) as connection:
            for part in _parts(ids):
                wanted = select(webhook).where(webhook.c.id.in_(part))
                found += map(self._signer, (await connection.execute(wanted)).mappings())
        return found

    async def signer(self, webhook_id: int) -> Signer:
        """One endpoint that is there."""
        (found,) = await self.signers([webhook_id])
        return found

    def _signer(self, row: RowMapping) -> Signer:
        return Signer(
            endpoint=endpoint_of(row),
            keys=self._opened(row),
            old_key_until=row["old_secret_until"],
            generation=row["generation"],
        )

    def _opened(self, row: RowMapping) -> tuple[bytes, ...]:
        """The keys; none when they cannot be read: one endpoint of a lost key stops no other."""
        found = [(row[name], bound_to(row["id"], name)) for name in ("secret", "old_secret")]
        try:
            texts = [self._keys.decrypt(text, bound_to=place) for text, place in found if text]
        except SecretError as error:
            _log.error("webhook %d: %s", row["id"], error)
            return ()
        return tuple(key_of(text.decode()) for text in texts)

    async def disable(self, signer: Signer, reason: str) -> bool:
        """Tell an endpoint nothing more; False when somebody else did it first."""
        one, at = signer.endpoint, clock.now_ms()
        async with change(self._engine, Part.WEBHOOKS) as changed:
            values = {
                "disabled_at": at,
                "disabled_by": _BY.by,
                "disabled_reason": reason,
                "generation": changed.generation,
            }
            still = webhook.c.id == one.id, webhook.c.disabled_at == 0
            done = await changed.connection.execute(update(webhook).where(*still).values(values))
            if not done.rowcount:
                return False
            act = Act(
                tenant_id=one.tenant_id,
                at=at,
                action="webhook.disable",
                subject=f"webhook {one.id}",
                detail=reason,
            )
            await record(changed.connection, _BY, act)
        await Notices(self._engine).raise_(_BY, _finding(signer, reason))
        return True

    # -- where the sender goes on ----------------------------------------------

    async def cursors(self) -> Mapping[int, int]:
        """How far each lane is that is not where the others are; those at 0."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(select(lane))
            return {row.webhook_id: row.cursor for row in rows}

    async def waiting(self, ids: Sequence[int]) -> AsyncIterator[tuple[int, Waiting]]:
        """What waits for these endpoints, without bodies, in the order of each message."""
        columns = [column for column in waiting.c if column.name != "body"]
        async with reading(self._engine) as connection:
            for part in _parts(ids):
                wanted = (
                    select(*columns)
                    .where(_w.webhook_id.in_(part), _w.given_up_at == 0)
                    .order_by(_w.webhook_id, _w.message_id, _w.seq, _w.n)
                )
                async for page in in_pages(connection, wanted):
                    for row in page:
                        yield row["webhook_id"], _to_waiting(row)

    async def body(self, webhook_id: int, key: Key) -> bytes | None:
        """What is sent of an event that waits; None when it does not any more."""
        async with reading(self._engine) as connection:
            found = await connection.execute(select(_w.body).where(*_THIS), _place(webhook_id, key))
            text = found.scalar_one_or_none()
        return None if text is None else text.encode()

    async def was_taken_since(self, webhook_id: int, at: int) -> bool:
        """Whether the endpoint has taken anything since then."""
        wanted = select(_d.id).where(
            _d.webhook_id == webhook_id, _d.outcome == Outcome.TAKEN, _d.at >= at
        )
        async with reading(self._engine) as connection:
            return (await connection.execute(wanted.limit(1))).first() is not None

    # -- what it has done ------------------------------------------------------

    async def save(self, batch: Batch) -> None:
        """All of it, or StoreError and nothing."""
        async with transaction(self._engine) as connection:
            await self._save_cursors(connection, batch)
            await self._save_waiting(connection, batch)
            if batch.deliveries:
                rows = [delivery_row(one) for one in batch.deliveries]
                await connection.execute(insert(delivery), rows)

    async def _save_cursors(self, connection: AsyncConnection, batch: Batch) -> None:
        cursors = {_ALL: batch.progress} | batch.cursors
        statement = upsert(connection, lane)
        statement = statement.on_conflict_do_update(
            index_elements=[lane.c.webhook_id], set_={"cursor": statement.excluded.cursor}
        )
        rows = [{"webhook_id": one, "cursor": cursor} for one, cursor in sorted(cursors.items())]
        await connection.execute(statement, rows)
        if batch.rejoined:
            gone = delete(lane).where(lane.c.webhook_id == bindparam("of"))
            await connection.execute(gone, [{"of": one} for one in batch.rejoined])

    async def _save_waiting(self, connection: AsyncConnection, batch: Batch) -> None:
        if batch.new:
            statement = upsert(connection, waiting).on_conflict_do_nothing()
            await connection.execute(statement, [waiting_row(*one) for one in batch.new])
        if batch.changed:
            names = ("due_at", "attempts", "first_at", "given_up_at")
            values: dict[str, Any] = {name: bindparam(f"to_{name}") for name in names}
            rows = [
                {**_place(of, one.key), **{f"to_{name}": getattr(one, name) for name in names}}
                for of, one in batch.changed
            ]
            await connection.execute(update(waiting).where(*_THIS).values(values), rows)
        if batch.gone:
            # A row that became due since was asked for again: it stays.
            old = _w.due_at <= bindparam("started_at")
            places = [
                {**_place(one.webhook_id, one.key), "started_at": one.started_at}
                for one in batch.gone
            ]
            await connection.execute(delete(waiting).where(*_THIS, old), places)

    async def tidy(self) -> None:
        """Forget old deliveries, what was given up long ago, and what is of endpoints that are gone."""
        old = clock.now_ms() - KEPT_DAYS * clock.DAY
        known = select(webhook.c.id)
        async with transaction(self._engine) as connection:
            await connection.execute(delete(delivery).where(_d.at < old))
            await connection.execute(
                delete(waiting).where(_w.given_up_at > 0, _w.given_up_at < old)
            )
            for table in (delivery, waiting, lane):
                column = table.c.webhook_id
                await connection.execute(delete(table).where(column != _ALL, ~column.in_(known)))

    async def trim(self) -> None:
        """Keep the newest deliveries of each endpoint."""
        too_many = (
            select(_d.webhook_id).group_by(_d.webhook_id).having(func.count() > KEPT_DELIVERIES)
        )
        newest = (
            select(_d.id)
            .where(_d.webhook_id == bindparam("of"))
            .order_by(_d.id.desc())
            .limit(1)
            .offset(KEPT_DELIVERIES)
            .scalar_subquery()
        )
        rest = delete(delivery).where(_d.webhook_id == bindparam("of"), _d.id <= newest)
        async with reading(self._engine) as connection:
            ids = (await connection.execute(too_many)).scalars().all()
        if ids:
            async with transaction(self._engine) as connection:
                await connection.execute(rest, [{"of": one} for one in ids])


def waiting_row(webhook_id: int, one: Waiting) -> dict[str, Any]:
    """As the table has it."""
    return {
        "webhook_id": webhook_id,
        "message_id": one.key.message_id,
        "seq": one.key.seq,
        "n": one.key.n,
        "type": one.type,
        "body": (one.body or b"").decode(),
        "at": one.at,
        "due_at": one.due_at,
        "attempts": one.attempts,
        "first_at": one.first_at,
        "given_up_at": one.given_up_at,
    }


def delivery_row(one: Delivery) -> dict[str, Any]:
    """As the table has it."""
    names = Delivery.__dataclass_fields__.keys() - {"id"}
    return {name: getattr(one, name) for name in names}


def _to_waiting(row: RowMapping) -> Waiting:
    return Waiting(
        key=Key(row["message_id"], row["seq"], row["n"]),
        type=row["type"],
        at=row["at"],
        due_at=row["due_at"],
        attempts=row["attempts"],
        first_at=row["first_at"],
    )


def _place(webhook_id: int, key: Key) -> dict[str, int]:
    return {"of": webhook_id, "message": key.message_id, "number": key.seq, "about": key.n}


def _parts(ids: Sequence[int], size: int = 500) -> Iterable[Sequence[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _finding(signer: Signer, reason: str) -> Finding:
    one = signer.endpoint
    return Finding(
        kind=NOTICE,
        subject=f"webhook {one.id}",
        text=f"the webhook {one.id} ({one.url}) is disabled: {reason}",
        next_step=f"repair the receiver, then: pillarbox webhook enable {one.id}",
        tenant_id=one.tenant_id,
    )
