"""Values of jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from appliance.core.scope import BOX

if TYPE_CHECKING:
    from collections.abc import Mapping


class JobState(StrEnum):
    """Where a job stands; the last three are for good."""

    PREPARING = "preparing"  # what it is to read is still coming in
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN: Final = (JobState.PREPARING, JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done."""

    kind: str  # "suppression-import": a word for programs
    asked: Mapping[str, Any] = field(default_factory=dict)  # what the kind needs to know; JSON
    tenant_id: int = BOX  # whose it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, as it stands."""

    id: int
    tenant_id: int
    kind: str
    state: JobState
    asked: Mapping[str, Any]
    place: Mapping[str, Any]  # where its next step begins; {} = at the beginning
    done: int  # of `total`, in units of the kind
    total: int  # 0 = not known
    result: Mapping[str, Any]
    error: str  # why it failed, in words
    by: str  # who asked for it
    created_at: int
    started_at: int  # 0 = not yet
    ended_at: int  # 0 = not yet
    crashes: int  # of its next step, in a row

    @property
    def is_open(self) -> bool:
        """Whether anything may still become of it."""
        return self.state in OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step of a job came to. With `result` the job is done."""

    place: Mapping[str, Any] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    result: Mapping[str, Any] | None = None
