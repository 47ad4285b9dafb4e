"""Rebuild: a new store from all that can be read of a damaged one, and a name for all that cannot.

    read      every page, each row into the new store                 (mostly time)
    judge     message by message, with the event log as witness       verdict.py
    set aside what is lost into corrupt/, events for the log, the new store in its place

The damaged file is only read, and moved to corrupt/ at the very end. Whoever calls holds the shard's
lock, and has made sure that nobody has the file open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from appliance.core import clock
from mta.spool import digest
from mta.spool import tables as t
from mta.spool.salvage import cells, corrupt, shapes, verdict
from mta.spool.salvage.cells import NotARowError
from mta.spool.salvage.pages import Pages
from mta.spool.salvage.scratch import Scratch
from mta.spool.salvage.verdict import Content, Logged, Loss, Parts, Verdict
from mta.spool.salvage.walk import Found, Walk
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from pathlib import Path

    from mta.spool.salvage.cells import Cell
    from mta.spool.salvage.shapes import Shape
    from mta.spool.salvage.verdict import Witness

_PAGES_A_COMMIT: Final = 200
_MESSAGES_A_COMMIT: Final = 500
_OF_A_MESSAGE: Final = (t.message, t.recipient)


@dataclass(slots=True)
class Report:
    """What was found and what became of it."""

    pages: int = 0
    damaged: dict[int, str] = field(default_factory=dict)  # pages that should hold rows
    log_frames_destroyed: int = 0
    rows_unreadable: int = 0
    events_missing: int = 0  # of those that the event log has not taken over
    messages: int = 0  # that stand in the new store
    waiting: int = 0  # recipients that wait or are held there
    ended: int = 0  # waited here, but had reached their end
    held: int = 0  # found where they may be old
    losses: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether there was nothing to repair."""
        wrong = (self.damaged, self.losses, self.rows_unreadable, self.events_missing)
        return not any((*wrong, self.ended, self.held, self.log_frames_destroyed))


class Rebuild:
    """One repair of one shard's file."""

    def __init__(self, path: Path, shard: int, witness: Witness, folder: Path) -> None:
        self._path, self._shard, self._witness, self._folder = path, shard, witness, folder
        self._now = clock.now_ms()
        self._doubtful: set[int] = set()
        self._fragments: dict[int, Cell] = {}
        self._dropped: set[int] = set()
        self.report = Report()

    def run(self, progress: Progress) -> Report:
        """Repair; the new store stands in the old one's place when this returns."""
        stamp = clock.aware(self._now).strftime("%Y%m%dT%H%M%SZ")
        corrupt.swap(self._path, self._folder, stamp)
        scratch = Scratch(self._path.with_name(f"{self._path.name}.repairing"), self._shard)
        try:
            with Pages(self._path) as pages:
                self._read(pages, scratch, progress)
                self.report.events_missing = scratch.complete()
                self._judge(pages, scratch, progress)
        except BaseException:
            scratch.abandon()
            raise
        scratch.close("repair", self._now)
        corrupt.write_report(self._folder, stamp, self._told())
        scratch.path.rename(corrupt.repaired(self._path))
        corrupt.swap(self._path, self._folder, stamp)
        return self.report

    def _told(self) -> dict[str, Any]:
        report = self.report
        return {
            name: getattr(report, name) for name in Report.__slots__ if name != "damaged"
        } | {"damaged": {str(page): words for page, words in report.damaged.items()}}

    # -- reading -------------------------------------------------------------

    def _read(self, pages: Pages, scratch: Scratch, progress: Progress) -> None:
        walk = Walk(pages)
        batch: list[Found] = []
        for count, found in enumerate(walk.found()):
            batch.append(found)
            if len(batch) == _PAGES_A_COMMIT:
                self._take(batch, pages, scratch)
                batch = []
                progress("reading pages", count, pages.count)
        self._take(batch, pages, scratch)
        self.report.pages, self.report.damaged = pages.count, walk.damaged
        self.report.log_frames_destroyed = pages.log.destroyed
        if pages.log_is_unreadable:
            self.report.damaged[0] = "the write-ahead log is destroyed"

    def _take(self, batch: list[Found], pages: Pages, scratch: Scratch) -> None:
        with scratch.transaction():
            for found in batch:
                self.report.rows_unreadable += found.page.unreadable if found.is_sure else 0
                for cell in found.page.cells:
                    shape = shapes.shape_of(cell, found.page.kind)
                    if shape is not None:
                        self._take_row(shape, cell, found, pages, scratch)

    def _take_row(
        self, shape: Shape, cell: Cell, found: Found, pages: Pages, scratch: Scratch
    ) -> None:
        is_content = shape.table is t.content
        try:
            row = shapes.row_of(shape, cell, pages.chain, self._shard)
        except NotARowError:
            self.report.rows_unreadable += found.is_sure
            row = (cell.rowid, None, None)
        is_whole = row[1] is not None
        if is_content and is_whole and row[2] is not None:
            is_whole = row[2] == digest.of_content(row[1])
        if is_whole:
            scratch.add(shape.table, row)
        elif is_content:
            self._fragments[cell.rowid] = cell
        if not found.is_sure and (is_content or (is_whole and shape.table in _OF_A_MESSAGE)):
            self._doubtful.add(row[0])

    def _content_left(self, message_id: int, pages: Pages, scratch: Scratch) -> bytes | None:
        whole = scratch.content(message_id)
        cell = self._fragments.get(message_id)
        if whole is not None or cell is None:
            return whole
        size = cell.size - len(cell.local)
        rest = pages.part_of_chain(cell.overflow, size) if cell.overflow else b""
        return _data_of(cell.local + rest)


def _data_of(record: bytes) -> bytes:
    """The message within a row of `content` that may be cut off."""
    try:
        start, at = cells.varint(record, 0)
        _, at = cells.varint(record, at)
        serial, _ = cells.varint(record, at)
    except IndexError:
        return b""
    return record[start : start + max(0, serial - 12) // 2]
