"""Suppression import as a job: a list of addresses that somebody sent, a thousand lines a step."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from appliance.core.scope import BOX, Scope
from appliance.jobs import Order, Step
from appliance.suppressions import BATCH, ImportResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appliance.jobs import Job, Jobs
    from appliance.suppressions import SuppressionList

KIND: Final = "suppression-import"
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")
"""Octets that are no text: they make a row that is left out, not a list that cannot be kept."""


class _Place(msgspec.Struct, frozen=True):
    """Where an import goes on, and what came of it so far."""

    line: int = 1  # number of the next one
    result: ImportResult = ImportResult(imported=0, failed=0, errors=())


def order(tenant_id: int = BOX) -> Order:
    """Import for a tenant, or for the whole box."""
    return Order(kind=KIND, tenant_id=tenant_id)


def parts(lines: Iterable[str]) -> Iterator[str]:
    """What the job is given to read: a step's worth of lines each."""
    remaining = iter(lines)
    while batch := list(islice(remaining, BATCH)):
        text = "\n".join(line.rstrip("\r\n") for line in batch)
        yield _NO_TEXT.sub(" ", text)


class SuppressionImport:
    """How it is done (appliance.run.job_runner.Kind)."""

    def __init__(self, jobs: Jobs, suppressions: SuppressionList) -> None:
        self._jobs, self._suppressions = jobs, suppressions

    async def step(self, job: Job) -> Step:
        """The next thousand lines."""
        place = msgspec.convert(job.place, _Place)
        scope = Scope.system(by=job.by)
        text = await self._jobs.part(job.id, job.done)
        if text is None:
            await self._suppressions.note_import(scope, place.result, tenant_id=job.tenant_id)
            return Step(place=job.place, done=job.done, result=msgspec.to_builtins(place.result))
        lines = text.split("\n")
        more = await self._suppressions.import_batch(
            scope, lines, place.line, tenant_id=job.tenant_id
        )
        going_on = _Place(line=place.line + len(lines), result=place.result.plus(more))
        return Step(place=msgspec.to_builtins(going_on), done=job.done + 1)
