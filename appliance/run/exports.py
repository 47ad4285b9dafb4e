"""Exports as jobs: messages, the queue, suppressions or the audit log of a tenant or the box, as a CSV file.

    HOME/exports/job-12.csv      a thousand rows a step; a step that is done again begins where the last ended

The file is cut to what the last step had written before more is added, so that a crash leaves no row twice. It is
for whoever may read the job, and goes a week after it was made. What a spreadsheet would take for a formula gets
an apostrophe before it: subjects and answers are strangers' words.
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from appliance.core import clock, ids
from appliance.core.errors import NotRunningError, StoreError, UsageError
from appliance.core.scope import BOX, Scope
from appliance.history import Filters, Flag
from appliance.jobs import Order, Step
from mta.status import Status  # noqa: TC001 - msgspec reads annotations at run time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from appliance.core.home import Home
    from appliance.history import LogReader
    from appliance.jobs import Job
    from appliance.run.queue_look import Look
    from appliance.suppressions import SuppressionList
    from appliance.tenancy import AuditLog

KIND: Final = "export"
KEPT: Final = 7 * clock.DAY
MOST_ROWS: Final = 5_000_000
_PAGE: Final = 1000
_SLICES: Final = 20
_PATIENCE: Final = 1.0  # seconds
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": (
        "message", "recipient", "accepted_at", "status", "status_at", "attempts", "from", "subject",
        "tags", "class", "host", "egress", "reply",
    ),
    "queue": (
        "message", "recipient", "state", "reason", "next", "expires", "attempts", "class", "host",
        "egress", "pool",
    ),
    "suppressions": ("target", "reason", "created_at", "expires_at"),
    "audit": ("at", "by", "action", "record", "detail", "address"),
}  # fmt: skip
WHAT: Final = tuple(_COLUMNS)

Page = tuple["list[Sequence[object]]", str]
"""Rows, and the cursor behind them; "" when these were the last."""


class Queue(Protocol):
    """What is needed of appliance.run.web_queue.BoxQueue."""

    async def look(
        self,
        scope: Scope,
        wanted: Mapping[str, object],
        after: tuple[int, int],
        limit: int,
        slices: int,
    ) -> Look:
        """Some of what waits, and where to go on."""


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    cursor: str = ""
    size: int = 0
    rows: int = 0


def order(what: str, filters: Mapping[str, Any], tenant_id: int = BOX) -> Order:
    """Write it for a tenant, or for the whole box. `filters` are those of messages or of the queue."""
    if what not in WHAT:
        raise UsageError(f"there is no export of {what!r}: {', '.join(WHAT)}", field="what")
    return Order(kind=KIND, tenant_id=tenant_id, asked={"what": what, "filters": dict(filters)})


def file_of(home: Home, job: Job) -> Path:
    """Where the rows of the job are."""
    return home.exports_dir / f"job-{job.id}.csv"


def tidy(home: Home, now: int) -> None:
    """Remove the files that nobody fetched within a week."""
    for path in home.exports_dir.glob("job-*.csv"):
        if path.stat().st_mtime_ns // 1_000_000 < now - KEPT:
            path.unlink(missing_ok=True)


class Export:
    """How it is done (appliance.run.job_runner.Kind)."""

    def __init__(
        self,
        home: Home,
        log: LogReader,
        suppressions: SuppressionList,
        audit: AuditLog,
        queue: Queue,
    ) -> None:
        self._home, self._log, self._queue = home, log, queue
        self._suppressions, self._audit = suppressions, audit

    async def step(self, job: Job) -> Step:
        """The next thousand rows; while an owner of the queue is silent, none."""
        try:
            return await self._step(job)
        except NotRunningError:
            await asyncio.sleep(_PATIENCE)
            return Step(place=job.place, done=job.done, total=job.total)

    async def _step(self, job: Job) -> Step:
        place = msgspec.convert(job.place, _Place)
        rows, cursor = await self._reader(job)(job, place.cursor)
        head = [_COLUMNS[job.asked["what"]]] if not place.size else []
        text = csv_text([*head, *rows])
        path = file_of(self._home, job)
        size = await asyncio.to_thread(_append, path, place.size, text.encode())
        done = place.rows + len(rows)
        if cursor and done < MOST_ROWS:
            after = _Place(cursor=cursor, size=size, rows=done)
            return Step(place=msgspec.to_builtins(after), done=done)
        result = {"rows": done, "octets": size, "file": path.name, "is_cut": bool(cursor)}
        return Step(place=job.place, done=done, total=done, result=result)

    def _reader(self, job: Job) -> Callable[[Job, str], Awaitable[Page]]:
        readers = {
            "messages": self._messages,
            "queue": self._waiting,
            "suppressions": self._suppressed,
            "audit": self._audited,
        }
        return readers[job.asked["what"]]

    async def _messages(self, job: Job, cursor: str) -> Page:
        filters = msgspec.convert(job.asked["filters"], _Wanted).filters
        page = await asyncio.to_thread(
            self._log.search, _scope(job), filters, cursor=cursor, limit=_PAGE
        )
        rows: list[Sequence[object]] = [
            (
                ids.to_text(one.message_id),
                one.address,
                clock.iso(one.accepted_at),
                one.status,
                clock.iso(one.status_at),
                one.attempts,
                one.header_from,
                one.subject,
                " ".join(one.tags),
                one.traffic_class,
                one.host,
                one.egress,
                one.reply,
            )
            for one in page.rows
        ]
        return rows, page.cursor

    async def _waiting(self, job: Job, cursor: str) -> Page:
        message, _, n = cursor.partition("-")
        after = (int(message), int(n)) if cursor else (-1, -1)
        look = await self._queue.look(_scope(job), job.asked["filters"], after, _PAGE, _SLICES)
        rows: list[Sequence[object]] = [
            (
                one["id"],
                one["address"],
                one["status"],
                one["reason"],
                _until(one["next"]),
                _until(one["expires"]),
                one["attempts"],
                one["class"],
                one["host"],
                one["egress"],
                one["pool"],
            )
            for one in look.rows
        ]
        return rows, "{}-{}".format(*look.after) if look.after else ""

    async def _suppressed(self, job: Job, cursor: str) -> Page:
        found = await self._suppressions.list(_scope(job), after=int(cursor or 0), limit=_PAGE)
        rows: list[Sequence[object]] = [
            (one.target, one.reason, clock.iso(one.created_at), _until(one.expires_at))
            for one in found
        ]
        return rows, str(found[-1].id) if len(found) == _PAGE else ""

    async def _audited(self, job: Job, cursor: str) -> Page:
        found = await self._audit.list(_scope(job), before=int(cursor or 0), limit=_PAGE)
        rows: list[Sequence[object]] = [
            (clock.iso(one.at), one.by, one.action, one.record, one.detail, one.address)
            for one in found
        ]
        return rows, str(found[-1].id) if len(found) == _PAGE else ""


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of messages, as a job keeps them."""

    address: str = ""
    domain: str = ""
    sender: str = ""
    tag: str = ""
    credential: int = 0
    traffic_class: str = ""
    sender_domain: str = ""
    subject: str = ""
    status: Status | None = None
    message: str = ""
    category: str = ""
    flags: int = 0
    since: int = 0
    until: int = 0

    @property
    def filters(self) -> Filters:
        """As the log wants them."""
        return Filters(**msgspec.structs.asdict(self) | {"flags": Flag(self.flags)})


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV (RFC 4180), with nothing in it that a spreadsheet would compute."""
    out = io.StringIO()
    csv.writer(out).writerows([[_harmless(str(cell)) for cell in row] for row in rows])
    return out.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _append(path: Path, size: int, octets: bytes) -> int:
    """Cut the file to `size`, add to it, flush; its new size."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.truncate(size)
            file.seek(size)
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
            return file.tell()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}: the export cannot be written") from error


def _until(at: int) -> str:
    return clock.iso(at) if at else ""


def _scope(job: Job) -> Scope:
    if job.tenant_id == BOX:
        return Scope.system(by=job.by)
    return Scope.tenant(job.tenant_id, by=job.by)
