"""Shard: one part of the spool with its owner process; what the event loop sees of the store.

The shard's lease is the claim: the process that opened it is the only one that writes, `sending`
lives in its memory, and a second owner fences the first (an exclusive lock on SQLite's file, the
`epoch` in the shard's row on both databases). Others hand work over on the owner's socket.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from typing import TYPE_CHECKING, TypeVar

from appliance.core import clock
from appliance.core.errors import ConflictError
from appliance.core.ids import IdMaker
from mta.spool.committer import CommitObserver, Committer
from mta.spool.jobs import AcceptJob, CallJob, SettleJob
from mta.spool.store import SpoolStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from appliance.core.errors import PillarboxError
    from mta.message import Admitted
    from mta.spool.backend import Backend
    from mta.spool.batch import Batch, Settlement

T = TypeVar("T")


class Shard:
    """An open shard. Create with `open()`."""

    def __init__(self, store: SpoolStore, committer: Committer, ids: IdMaker) -> None:
        self.number = store.shard
        self._committer, self._ids = committer, ids
        self._loop = asyncio.get_running_loop()
        self._lock: int | None = None

    @classmethod
    async def open(  # noqa: PLR0913 - what an owner brings, by keyword
        cls,
        backend: Backend,
        number: int,
        *,
        on_fatal: Callable[[], None],
        observer: CommitObserver | None = None,
        lock: Path | None = None,
        prepare: Callable[[], None] | None = None,
        keeps_content: bool = False,
    ) -> Shard:
        """Take the shard over. Raises ConflictError when a living process holds `lock`.

        `prepare` makes the database ready, in a thread; nobody opens a file whose lock another one has.
        """
        held = take_lock(lock) if lock else None
        store = SpoolStore(backend, number, keeps_content=keeps_content)
        owner = f"{socket.gethostname()}:{os.getpid()}"
        try:
            if prepare is not None:
                await asyncio.to_thread(prepare)
            last = await asyncio.to_thread(store.open, owner, clock.now_ms())
        except BaseException:
            store.close()
            if held is not None:
                os.close(held)  # or the next try would find the shard held, by this very process
            raise
        loop = asyncio.get_running_loop()
        committer = Committer(store, loop, on_fatal=on_fatal, observer=observer)
        committer.start()
        shard = cls(store, committer, IdMaker(number, last))
        shard._lock = held
        return shard

    def new_id(self, now: int) -> int:
        """The next message id."""
        return self._ids.make(now)

    @property
    def backlog(self) -> int:
        """Jobs that the committing thread has not answered yet."""
        return self._committer.depth

    async def accept(self, admitted: Admitted) -> None:
        """Store; returns when the message is safe on disk."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._committer.submit(AcceptJob(admitted, future))
        await future

    def settle(
        self,
        settlements: Sequence[Settlement],
        notices: Sequence[Admitted],
        on_done: Callable[[PillarboxError | None], None],
    ) -> None:
        """Write outcomes and notices in the next batch.

        `on_done` is called when they are durable, or with why they are not.
        """
        self._committer.submit(SettleJob(settlements, notices, on_done))

    async def call(self, work: Callable[[SpoolStore, Batch], T]) -> T:
        """Run `work` in the committing thread, inside a transaction of its own batch."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._committer.submit(CallJob(work, future))
        return await future

    async def close(self) -> None:
        """Write what is queued and let the shard go."""
        await asyncio.to_thread(self._committer.stop)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def take_lock(path: Path) -> int:
    """The descriptor that holds a shard until it is closed. Raises ConflictError when another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConflictError(
            f"{path} is held by another process: is the box running already?"
        ) from None
    return descriptor
