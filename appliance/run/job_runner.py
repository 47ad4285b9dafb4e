"""Job runner: the worker's loop over jobs, one step of one job at a time.

    take -> step of its kind -> where it goes on, in one write

A step that raises in words ends its job with them. One that crashes comes again, at last with the other
jobs served in between, and ends its job the third time. StoreError passes: the loop rests and comes back.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from appliance.core import tasks
from appliance.core.errors import PillarboxError, StoreError
from appliance.jobs import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.jobs import Job, Jobs

MAX_CRASHES: Final = 3
_log = logging.getLogger(__name__)


class Kind(Protocol):
    """How jobs of one kind are done."""

    async def step(self, job: Job) -> Step:
        """Do what comes next, a second's work at most; told the same job again, do no harm.

        Raises PillarboxError in words for people when it can never be done.
        """


class JobRunner:
    """Does the jobs of a box."""

    def __init__(self, jobs: Jobs, kinds: Mapping[str, Kind], owner: str) -> None:
        """`owner` is the name of this worker; no two that run at once share one."""
        self._jobs, self._kinds, self._owner = jobs, kinds, owner
        self._is_sure = False  # that nothing is in hand of which it does not know

    async def step(self) -> bool:
        """One step of one job; True when there may be more to do."""
        if not self._is_sure:
            await self._jobs.release(self._owner)
            self._is_sure = True
        job = await self._jobs.take(self._owner)
        if job is None:
            return False
        try:
            await self._serve(job)
        except StoreError:
            self._is_sure = False
            raise
        return True

    async def _serve(self, job: Job) -> None:
        kind = self._kinds.get(job.kind)
        if kind is None:
            words = f"this version of Pillarbox has no jobs of the kind {job.kind}"
            await self._jobs.fail(job, self._owner, words)
            return
        outcome = await tasks.guard(_outcome(kind, job), name=f"job {job.id} ({job.kind})")
        if isinstance(outcome, Step):
            await self._jobs.go_on(job, self._owner, outcome)
        elif isinstance(outcome, StoreError):
            raise outcome
        elif outcome is not None:
            await self._jobs.fail(job, self._owner, str(outcome))
        elif job.crashes + 1 < MAX_CRASHES:
            await self._jobs.crashed(job, self._owner)
        else:
            words = f"it crashed {MAX_CRASHES} times at the same place: see the worker's log"
            await self._jobs.fail(job, self._owner, words)


async def _outcome(kind: Kind, job: Job) -> Step | PillarboxError:
    """The error as a value, so that only a crash is a crash."""
    try:
        return await kind.step(job)
    except PillarboxError as error:
        return error
