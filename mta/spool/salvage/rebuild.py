"""Rebuild: a new store from all that can be read of a damaged one, and a name for all that cannot.

    gather    every page, each row into the new store                 (mostly time)
    judge     message by message, with the event log as witness
    set aside what is lost into corrupt/, events for the log, the new store in its place

The damaged file is only read, and moved to corrupt/ at the very end. Whoever calls holds the shard's
lock, and has made sure that nobody has the file open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appliance.core import clock
from mta.spool.salvage import corrupt
from mta.spool.salvage.gather import Damage, Gather, Nowhere
from mta.spool.salvage.judge import Judge, Judged
from mta.spool.salvage.pages import Pages
from mta.spool.salvage.scratch import Scratch

if TYPE_CHECKING:
    from pathlib import Path

    from mta.spool.salvage.judge import Progress
    from mta.spool.salvage.verdict import Witness


@dataclass(slots=True)
class Report:
    """What was found and what became of it."""

    damage: Damage = field(default_factory=Damage)
    events_missing: int = 0  # of those that the event log has not taken over
    judged: Judged = field(default_factory=Judged)
    file: Path | None = None  # where all of it is written down

    @property
    def is_sound(self) -> bool:
        """Whether there was nothing to repair."""
        judged = self.judged
        changed = (judged.losses, judged.ended, judged.held, judged.untold, self.events_missing)
        return self.damage.is_none and not any(changed)

    def table(self) -> dict[str, Any]:
        """The whole, for print."""
        return {
            **table_of(self.damage),
            "events_missing": self.events_missing,
            **{name: getattr(self.judged, name) for name in Judged.__slots__},
        }


def table_of(damage: Damage) -> dict[str, Any]:
    """For print."""
    return {
        "pages": damage.pages,
        "damaged_pages": [{"page": one, "why": why} for one, why in sorted(damage.damaged.items())],
        "log_frames_destroyed": damage.log_frames_destroyed,
        "rows_unreadable": damage.rows_unreadable,
    }


def look(path: Path, shard: int, progress: Progress) -> Damage:
    """What a repair would find wrong with the file; nothing is changed."""
    with Pages(path) as pages:
        gather = Gather(pages, shard, Nowhere())
        gather.run(progress)
    return gather.damage


class Rebuild:
    """One repair of one shard's file."""

    def __init__(self, path: Path, shard: int, witness: Witness, folder: Path) -> None:
        self._path, self._shard, self._witness, self._folder = path, shard, witness, folder
        self._now = clock.now_ms()
        self.report = Report()

    def run(self, progress: Progress) -> Report:
        """Repair; the new store stands in the old one's place when this returns."""
        corrupt.finish_repair(self._path, self._folder)
        scratch = Scratch.new(self._path.with_name(f"{self._path.name}.repairing"), self._shard)
        try:
            self._fill(scratch, progress)
        except BaseException:
            scratch.abandon()
            raise
        if self.report.is_sound:
            scratch.abandon()
            return self.report
        scratch.close("repair", self._now)
        stamp = corrupt.stamp_of(self._now)
        self.report.file = corrupt.write_report(self._folder, stamp, self.report.table())
        scratch.path.rename(corrupt.repaired(self._path))
        corrupt.finish_repair(self._path, self._folder)
        return self.report

    def _fill(self, scratch: Scratch, progress: Progress) -> None:
        with Pages(self._path) as pages:
            gather = Gather(pages, self._shard, scratch)
            gather.run(progress)
            self.report.damage = gather.damage
            self.report.events_missing = scratch.complete()
            judge = Judge(scratch, self._witness, self._folder, gather.fragments)
            self.report.judged = judge.run(progress)
