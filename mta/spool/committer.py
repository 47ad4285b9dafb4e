"""Committer: the one thread of a shard that signs, writes and flushes.

Group commit without a timer: it commits at once when idle and takes whatever piled up meanwhile in
the next batch (a "wait 5 ms" timer loses the single-session case). Signing happens here too,
because RSA releases the GIL and the event loop goes on receiving.

Promises: a job's `done` is called on the loop only after its transaction is durable. When a batch
fails, jobs are tried one by one, so that one poisoned job does not take others with it. Outcomes of
attempts are facts that happened: while the disk is full they are kept and written later. A flush
that the disk answered with an error is never tried again on the same file, whose state nobody knows
(the kernel may have dropped the dirty pages): the process ends, starts anew and recovers.
"""

from __future__ import annotations

import logging
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from appliance.core import clock, ids
from appliance.core.errors import FencedError, PillarboxError, StoreFullError, StoreLostError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from mta.spool.batch import Batch
    from mta.spool.store import SpoolStore

log = logging.getLogger(__name__)

BATCH_JOBS = 256
"""Jobs of one commit at most: bounds the doubles after a crash and the latency of a batch."""

BATCH_BYTES = 16 * 1024 * 1024
_RETRY_SECONDS = 1.0
_FATAL = (FencedError, StoreLostError)


class Job(Protocol):
    """One piece of work for the committing thread."""

    keep: bool  # write later when the disk is full, instead of failing
    size: int  # octets it brings into the batch

    def prepare(self) -> None:
        """Work that needs no transaction: signing. A PillarboxError fails this job alone."""

    def fill(self, batch: Batch) -> None:
        """Add rows to the batch."""

    def run(self, store: SpoolStore, batch: Batch) -> None:
        """Read and change inside the transaction, after the rows of the whole batch.

        So what a job reads is never older than an outcome that is reported with it.
        """

    def done(self) -> None:
        """Called on the event loop: durable."""

    def failed(self, error: PillarboxError) -> None:
        """Called on the event loop: nothing of it was written."""


class CommitObserver(Protocol):
    """Told of each commit, in the committing thread (metrics)."""

    def committed(self, jobs: int, seconds: float) -> None:
        """A batch became durable."""


class Committer:
    """Runs jobs of one shard in batches."""

    def __init__(
        self,
        store: SpoolStore,
        loop: asyncio.AbstractEventLoop,
        *,
        on_fatal: Callable[[], None],
        observer: CommitObserver | None = None,
    ) -> None:
        self._store, self._loop, self._on_fatal = store, loop, on_fatal
        self._observer = observer
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._kept: list[Job] = []
        self._stopping = False
        self._thread = threading.Thread(
            target=self._run, name=f"committer-{store.shard}", daemon=True
        )

    def start(self) -> None:
        """Start the thread; the store is open and belongs to it from now on."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job from the event loop; never blocks."""
        self._jobs.put(job)

    @property
    def depth(self) -> int:
        """Jobs that wait."""
        return self._jobs.qsize() + len(self._kept)

    def stop(self) -> None:
        """Write what is queued, then end the thread. Blocks; call it off the loop."""
        self._jobs.put(None)
        self._thread.join()

    # -- the thread ------------------------------------------------------

    def _run(self) -> None:
        try:
            while (jobs := self._take()) is not None:
                if jobs:
                    self._commit(jobs)
        except _FATAL as error:
            log.critical("%s", error)
            self._loop.call_soon_threadsafe(self._on_fatal)
        finally:
            self._store.close()

    def _take(self) -> list[Job] | None:
        """Everything that piled up, waiting for the first; None when the last was written."""
        jobs, self._kept = self._kept, []
        if self._stopping and not jobs:
            return None
        size = 0
        try:
            job = (
                None if self._stopping else self._jobs.get(timeout=_RETRY_SECONDS if jobs else None)
            )
            while job is not None:
                jobs.append(job)
                size += job.size
                if len(jobs) >= BATCH_JOBS or size >= BATCH_BYTES:
                    return jobs
                job = self._jobs.get_nowait()
            self._stopping = True
        except Empty:
            pass
        return jobs

    def _commit(self, jobs: list[Job]) -> None:
        outcome: list[tuple[Job, PillarboxError | None]] = []
        ready = [job for job in jobs if self._prepared(job, outcome)]
        try:
            self._write(ready)
            outcome += [(job, None) for job in ready]
        except _FATAL as error:
            self._report([(job, error) for job in jobs])
            raise
        except PillarboxError as error:
            outcome += self._one_by_one(ready, error)
        self._report(outcome)

    def _prepared(self, job: Job, outcome: list[tuple[Job, PillarboxError | None]]) -> bool:
        try:
            job.prepare()
        except PillarboxError as error:
            outcome.append((job, error))
            return False
        return True

    def _write(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        started = clock.monotonic()
        batch = self._store.batch(clock.now_ms())
        with self._store.transaction():
            for job in jobs:
                job.fill(batch)
            lost = self._store.write(batch)
            for job in jobs:
                job.run(self._store, batch)
            self._store.write_events(batch)
        self._store.written(batch)
        for settlement in lost:
            log.warning(
                "an outcome came too late: recipient %d of %s had been moved meanwhile",
                settlement.recipient.n,
                ids.to_text(settlement.recipient.message_id),
            )
        if self._observer is not None:
            self._observer.committed(len(jobs), clock.monotonic() - started)

    def _one_by_one(
        self, jobs: list[Job], error: PillarboxError
    ) -> list[tuple[Job, PillarboxError | None]]:
        """After a failed batch: write each job alone; keep facts that the full disk refuses."""
        outcome: list[tuple[Job, PillarboxError | None]] = []
        for job in jobs:
            failure: PillarboxError | None = error
            if len(jobs) > 1 and not isinstance(failure, StoreFullError):
                failure = self._alone(job)
            if failure is not None and job.keep and not self._stopping:
                self._kept.append(job)
                continue
            outcome.append((job, failure))
        log.error("a commit of %d jobs failed: %s", len(jobs), error)
        return outcome

    def _alone(self, job: Job) -> PillarboxError | None:
        try:
            self._write([job])
        except _FATAL:
            raise
        except PillarboxError as error:
            return error
        return None

    def _report(self, outcome: list[tuple[Job, Any]]) -> None:
        if outcome:
            self._loop.call_soon_threadsafe(_report, outcome)


def _report(outcome: list[tuple[Job, PillarboxError | None]]) -> None:
    for job, error in outcome:
        if error is None:
            job.done()
        else:
            job.failed(error)
