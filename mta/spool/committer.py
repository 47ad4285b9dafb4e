"""Committer: the one thread of a shard that writes and flushes.

Group commit without a timer: it commits at once when idle and takes whatever piled up meanwhile in
the next batch (a "wait 5 ms" timer loses the single-session case). Only outcomes, for which nobody
waits, are given a moment to share a flush.

Promises: every job is answered; its `done` is called on the loop only after its transaction is
durable. When a batch fails, jobs are tried one by one, so that one poisoned job does not take others
with it. Outcomes of attempts are facts that happened: while the disk is full they are tried without
the new mail beside them, kept, and written later; kept they are too while another program holds the lock,
and everybody else is told at once. An outcome with a value that no database takes is answered at once: it must
be said in other words (mta/scheduling/results.py). A damaged row fails the job that met it, and no more. A flush
that the disk answered with an error, of a commit or of a checkpoint, is never tried again on the same file, whose
state nobody knows (the kernel may have dropped the dirty pages): the process ends, starts anew and recovers.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from appliance.core import clock, ids, tasks
from appliance.core.errors import (
    FencedError,
    PillarboxError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreLostError,
)
from mta.spool.errors import UnstorableError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from mta.spool.batch import Batch
    from mta.spool.store import SpoolStore

log = logging.getLogger(__name__)

BATCH_JOBS = 256
"""Jobs of one commit at most: bounds the doubles after a crash and the latency of a batch."""

BATCH_BYTES = 16 * 1024 * 1024

COMPANY_SECONDS = 0.01
"""Seconds that outcomes wait for company. Nobody waits for them, and the next message's flush takes
them along: one flush a message instead of two when one client sends one after the other."""

_RETRY_SECONDS = 1.0
_FATAL = (FencedError, StoreLostError)
_CLOSED = "this shard is closed: try again when its process has started anew"


class Job(Protocol):
    """One piece of work for the committing thread."""

    is_mail: bool  # refused while the disk is full
    patience: int  # how often it may be written again when it failed; a full or locked disk does not count
    size: int  # octets it brings into the batch

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
        self._taken: list[Job] = []  # the batch at hand, until it is answered
        self._stopping = False
        self._ended = False
        self._closing = threading.Lock()  # no job slips in behind the last look at the queue
        self._thread = threading.Thread(
            target=self._run, name=f"committer-{store.shard}", daemon=True
        )

    def start(self) -> None:
        """Start the thread; the store is open and belongs to it from now on."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job from the event loop; never blocks."""
        with self._closing:
            if not self._ended:
                self._jobs.put(job)
                return
        self._loop.call_soon(job.failed, StoreError(_CLOSED))

    @property
    def depth(self) -> int:
        """Jobs that are not answered yet."""
        return self._jobs.qsize() + len(self._taken)

    def stop(self) -> None:
        """Write what is queued, then end the thread. Blocks; call it off the loop."""
        self._jobs.put(None)
        self._thread.join()

    # -- the thread ------------------------------------------------------

    def _run(self) -> None:
        stopped, error = False, StoreError(_CLOSED)
        try:
            self._store.take_checkpoints()
            while (jobs := self._take()) is not None:
                if jobs:
                    self._commit(jobs)
                self._taken = []
                self._store.checkpoint(len(jobs), sum(job.size for job in jobs))
            stopped = True
        except _FATAL as fatal:
            log.critical("%s", fatal)
            error = fatal
        finally:
            if not stopped:  # after a crash too: a shard does not live on without its thread
                self._loop.call_soon_threadsafe(self._on_fatal)
            self._answer_the_rest(error)
            if not isinstance(error, StoreLostError):  # closing a file flushes it once more
                self._store.close()

    def _answer_the_rest(self, error: StoreError) -> None:
        with self._closing:
            self._ended = True
            # A job may be in both of the first two.
            left = dict.fromkeys([*self._taken, *self._kept, *self._queued()])
        self._report([(job, error) for job in left])

    def _take(self) -> list[Job] | None:
        """Everything that piled up, waiting for the first; None when the last was written."""
        jobs, self._kept = self._kept, []
        self._taken = jobs
        if self._stopping:
            return jobs or None
        pause = _RETRY_SECONDS if jobs else None
        size, end = 0, 0.0
        try:
            while True:
                job = self._jobs.get_nowait() if pause == 0 else self._jobs.get(timeout=pause)
                if job is None:
                    self._stopping = True
                    return jobs
                jobs.append(job)
                size += job.size
                if len(jobs) >= BATCH_JOBS or size >= BATCH_BYTES:
                    return jobs
                # A job with patience is an outcome; all others have somebody who waits.
                end = end or clock.monotonic() + COMPANY_SECONDS
                pause = max(0, end - clock.monotonic()) if job.patience and pause != 0 else 0
        except Empty:
            return jobs

    def _commit(self, jobs: list[Job]) -> None:
        outcome: list[tuple[Job, PillarboxError | None]]
        try:
            self._write(jobs)
            outcome = [(job, None) for job in jobs]
        except _FATAL:
            raise
        except PillarboxError as error:
            outcome = self._apart(jobs, error)
        self._report(outcome)

    def _write(self, jobs: list[Job]) -> None:
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

    def _apart(
        self, jobs: list[Job], error: PillarboxError
    ) -> list[tuple[Job, PillarboxError | None]]:
        """A failed batch once more: each job alone; on a full disk outcomes, then looks, no mail.

        Where another program holds the lock nobody is tried again: each try would wait as long as the first.
        """
        log.error("a commit of %d jobs failed: %s", len(jobs), error)
        if isinstance(error, StoreBusyError):
            self._taken += self._queued()  # nor does who came meanwhile wait for as long again
            return [(job, error) for job in self._taken if not self._keeps(job, error)]
        outcome: list[tuple[Job, PillarboxError | None]] = []
        parts = [[job] for job in jobs]
        if isinstance(error, StoreFullError):
            outcome += [(job, error) for job in jobs if job.is_mail]
            rest = [job for job in jobs if not job.is_mail]
            parts = [[job for job in rest if job.patience], [j for j in rest if not j.patience]]
        for part in parts:
            failure = error if len(part) == len(jobs) else self._failure(part)
            outcome += [(job, failure) for job in part if not self._keeps(job, failure)]
        return outcome

    def _queued(self) -> list[Job]:
        """All that is in the queue now."""
        found = []
        with contextlib.suppress(Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is None:
                    self._stopping = True
                else:
                    found.append(job)
        return found

    def _keeps(self, job: Job, failure: PillarboxError | None) -> bool:
        """Whether a job that could not be written waits for the next batch."""
        if failure is None or not job.patience or self._stopping:
            return False
        if isinstance(failure, UnstorableError):
            return False
        if not isinstance(failure, StoreFullError | StoreBusyError):
            job.patience -= 1
        self._kept.append(job)
        return True

    def _failure(self, jobs: list[Job]) -> PillarboxError | None:
        try:
            self._write(jobs)
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
        answer = job.done if error is None else partial(job.failed, error)
        tasks.guard_call(answer, name="the answer to a job")  # one that crashes stops no other
