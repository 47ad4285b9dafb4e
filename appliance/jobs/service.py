"""Use cases of jobs: order, look at, cancel, forget; and for the worker: take, go on, finish, fail.

A state changes by one conditional UPDATE, so that a job that was cancelled, or that another worker has
taken over meanwhile, is not moved by whoever still works on it: `go_on` and its like then return False.
Jobs are served in turn, the one that waited longest first: a long import of one tenant holds up nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import delete, insert, select, update

from appliance.core import clock
from appliance.core.database import reading, transaction
from appliance.core.errors import ConflictError, NotFoundError
from appliance.core.scope import Scope, scoped
from appliance.jobs.model import OPEN, Job, JobState
from appliance.jobs.tables import job, job_input
from appliance.tenancy import Act, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import ColumnElement, RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.jobs.model import Order, Step

LEASE: Final = 5 * clock.MINUTE
"""For one step. A worker that dies gives its jobs back when it starts again; this is for one that does not."""

PREPARING_LIFE: Final = clock.DAY
_MAX_PAGE: Final = 1000
_JSON: Final = ("asked", "place", "result")
_SHOWN: Final = tuple(job.c[name] for name in Job.__dataclass_fields__)


class Jobs:
    """The jobs of all tenants and of the box."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    # -- whoever asks ----------------------------------------------------------

    async def order(self, scope: Scope, order: Order, parts: Iterable[str] = ()) -> Job:
        """Have something done. `parts` is what it is to read, each written by itself.

        The job is taken when the last part is in: one whose sender broke off never begins.
        """
        made = await self._insert(scope, order)
        number = 0
        for number, text in enumerate(parts, 1):
            row = {"job_id": made.id, "part": number - 1, "text": text}
            async with transaction(self._engine) as connection:
                await connection.execute(insert(job_input), row)
        whole = job.c.id == made.id, job.c.state == JobState.PREPARING
        async with transaction(self._engine) as connection:
            queued = await _one(connection, whole, {"state": JobState.QUEUED, "total": number})
        if queued is None:
            raise ConflictError(f"job {made.id} was cancelled while it was being prepared")
        return queued

    async def get(self, scope: Scope, job_id: int) -> Job:
        """One job. Raises NotFoundError."""
        statement = scoped(select(*_SHOWN), job, scope).where(job.c.id == job_id)
        async with reading(self._engine) as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        if row is None:
            raise _unknown(job_id)
        return _to_job(row)

    async def list(
        self,
        scope: Scope,
        *,
        open_only: bool = False,
        before: int = 0,
        limit: int = 100,
        kind: str = "",
    ) -> tuple[Job, ...]:
        """A page of jobs with ids below `before` (0 = from the newest), newest first."""
        statement = scoped(select(*_SHOWN), job, scope).order_by(job.c.id.desc())
        if before:
            statement = statement.where(job.c.id < before)
        if open_only:
            statement = statement.where(job.c.ended_at == 0)
        if kind:
            statement = statement.where(job.c.kind == kind)
        async with reading(self._engine) as connection:
            rows = await connection.execute(statement.limit(min(limit, _MAX_PAGE)))
            return tuple(map(_to_job, rows.mappings()))

    async def cancel(self, scope: Scope, job_id: int) -> Job:
        """Let it end where it stands; what it has done stays done. Raises ConflictError if it has ended."""
        at = self._now()
        values = {"state": JobState.CANCELLED, "ended_at": at, "owner": "", "leased_until": 0}
        wanted = scoped(update(job), job, scope).where(job.c.id == job_id, job.c.state.in_(OPEN))
        async with transaction(self._engine) as connection:
            rows = await connection.execute(wanted.values(values).returning(*_SHOWN))
            row = rows.mappings().one_or_none()
            if row is not None:
                await _forget_input(connection, job_id)
                await self._audit(connection, scope, _to_job(row), "job.cancel")
        if row is None:
            found = await self.get(scope, job_id)
            raise ConflictError(f"job {job_id} has ended already: it is {found.state}")
        return _to_job(row)

    async def forget(self, scope: Scope, before: int) -> int:
        """Drop what ended before `before`, and what nobody finished preparing; returns how many."""
        at = self._now()
        stale = (
            job.c.state == JobState.PREPARING,
            job.c.created_at < at - PREPARING_LIFE,
        )
        broken = {"state": JobState.FAILED, "ended_at": at, "error": "it was never sent whole"}
        async with transaction(self._engine) as connection:
            await connection.execute(scoped(update(job), job, scope).where(*stale).values(broken))
            old = scoped(select(job.c.id), job, scope).where(
                job.c.ended_at > 0, job.c.ended_at < before
            )
            ended = select(job.c.id).where(job.c.ended_at > 0)
            await connection.execute(delete(job_input).where(job_input.c.job_id.in_(ended)))
            gone = await connection.execute(delete(job).where(job.c.id.in_(old)))
            return int(gone.rowcount)

    # -- the worker ------------------------------------------------------------

    async def take(self, owner: str) -> Job | None:
        """The job that has waited longest, for one step; None when there is none."""
        at = self._now()
        free = (
            job.c.state.in_((JobState.QUEUED, JobState.RUNNING)),
            job.c.ended_at == 0,
            job.c.leased_until <= at,
        )
        first = select(job.c.id).where(*free).order_by(job.c.served_at, job.c.id).limit(1)
        values: dict[str, Any] = {
            "state": JobState.RUNNING,
            "owner": owner,
            "leased_until": at + LEASE,
            "served_at": at,
        }
        async with transaction(self._engine) as connection:
            taken = await _one(connection, (job.c.id == first.scalar_subquery(), *free), values)
            if taken is not None and not taken.started_at:
                mine = (job.c.id == taken.id,)
                taken = await _one(connection, mine, {"started_at": at})
        return taken

    async def part(self, job_id: int, number: int) -> str | None:
        """What a job was given to read, from part 0; None after the last."""
        wanted = select(job_input.c.text).where(
            job_input.c.job_id == job_id, job_input.c.part == number
        )
        async with reading(self._engine) as connection:
            return (await connection.execute(wanted)).scalar_one_or_none()

    async def go_on(self, taken: Job, owner: str, step: Step) -> bool:
        """A step is done; with a result the job is. False when the job is not the owner's any more."""
        values: dict[str, Any] = {
            "place": _encoded(step.place),
            "done": step.done,
            "total": step.total or taken.total,
            "crashes": 0,
        }
        if step.result is None:
            return await self._give_back(taken, owner, values)
        return await self._end(
            taken, owner, values | {"state": JobState.DONE, "result": _encoded(step.result)}
        )

    async def crashed(self, taken: Job, owner: str) -> bool:
        """Its step crashed and comes again; False when the job is not the owner's any more."""
        return await self._give_back(taken, owner, {"crashes": taken.crashes + 1})

    async def fail(self, taken: Job, owner: str, error: str) -> bool:
        """Nothing more can be done, for the reason given in words."""
        return await self._end(taken, owner, {"state": JobState.FAILED, "error": error})

    async def release(self, owner: str) -> int:
        """A worker starts: what it had in hand when it died may be taken at once; returns how many."""
        held = update(job).where(job.c.owner == owner, job.c.ended_at == 0)
        async with transaction(self._engine) as connection:
            freed = await connection.execute(held.values(owner="", leased_until=0))
            return int(freed.rowcount)

    # -- how -------------------------------------------------------------------

    async def _insert(self, scope: Scope, order: Order) -> Job:
        at = self._now()
        row = {
            "tenant_id": scope.owner(order.tenant_id),
            "kind": order.kind,
            "state": JobState.PREPARING,
            "asked": _encoded(order.asked),
            "by": scope.by,
            "created_at": at,
            "served_at": at,
        }
        empty = {"place": "{}", "result": "{}", "error": "", "owner": ""}
        none = ("done", "total", "started_at", "ended_at", "crashes", "leased_until")
        values = row | empty | dict.fromkeys(none, 0)
        async with transaction(self._engine) as connection:
            rows = await connection.execute(insert(job).values(values).returning(*_SHOWN))
            made = _to_job(rows.mappings().one())
            await self._audit(connection, scope, made, "job.order")
        return made

    async def _give_back(self, taken: Job, owner: str, values: dict[str, Any]) -> bool:
        async with transaction(self._engine) as connection:
            free = values | {"owner": "", "leased_until": 0, "served_at": self._now()}
            return await _one(connection, _mine(taken, owner), free) is not None

    async def _end(self, taken: Job, owner: str, values: dict[str, Any]) -> bool:
        over = values | {"ended_at": self._now(), "owner": "", "leased_until": 0}
        async with transaction(self._engine) as connection:
            ended = await _one(connection, _mine(taken, owner), over)
            if ended is not None:
                await _forget_input(connection, taken.id)
        return ended is not None

    async def _audit(
        self, connection: AsyncConnection, scope: Scope, about: Job, action: str
    ) -> None:
        subject = f"job {about.id}"
        act = Act(
            tenant_id=about.tenant_id,
            at=self._now(),
            action=action,
            subject=subject,
            detail=about.kind,
        )
        await record(connection, scope, act)


def _mine(taken: Job, owner: str) -> tuple[ColumnElement[bool], ...]:
    """Only a job that runs has an owner: cancelling, ending and giving back take it away."""
    return (job.c.id == taken.id, job.c.owner == owner)


async def _one(
    connection: AsyncConnection, where: Iterable[ColumnElement[bool]], values: dict[str, Any]
) -> Job | None:
    rows = await connection.execute(update(job).where(*where).values(values).returning(*_SHOWN))
    row = rows.mappings().one_or_none()
    return None if row is None else _to_job(row)


async def _forget_input(connection: AsyncConnection, job_id: int) -> None:
    await connection.execute(delete(job_input).where(job_input.c.job_id == job_id))


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _to_job(row: RowMapping) -> Job:
    read = {name: msgspec.json.decode(row[name]) for name in _JSON}
    return Job(**{**row, **read, "state": JobState(row["state"])})


def _unknown(job_id: int) -> NotFoundError:
    return NotFoundError(f"no job has the id {job_id}: `pillarbox job list` shows them")
