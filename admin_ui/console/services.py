"""Services: how the processes of the box are, with their checks in words, and the machine they run on.

The processes say how they are (GET /health tells programs the same); disk, certificate, backup and commits come
from their gauges. "Run doctor" asks all of them again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from prometheus_client.parser import text_string_to_metric_families

from admin_ui.api.guard import RIGHT
from admin_ui.console import words
from admin_ui.console.service_words import title_of
from admin_ui.console.visit import WhoVisits
from admin_ui.processes import Processes
from admin_ui.rooms import Behind
from appliance.core import clock
from appliance.rights import Right

if TYPE_CHECKING:
    from collections.abc import Mapping

_FULL: Final = 0.9  # of a disk, where it is judged bad
_FILLING: Final = 0.8
_CERT_LOOK: Final = 21 * clock.DAY
_BACKUP_LOOK: Final = 2 * clock.DAY
_SLOW_COMMIT: Final = 0.05  # seconds, of a mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing, how it is and its figure."""

    name: str
    kind: str  # good | look | bad | off
    word: str
    figure: str


@get("/services", opt={RIGHT: Right.BOX_READ})
async def services(
    rooms: Behind, visit: WhoVisits, processes: NamedDependency[Processes]
) -> Response[bytes]:
    """How all of it is."""
    reports, text, listed = await asyncio.gather(
        processes.health(),
        processes.metrics(),
        rooms.blocklists.listings(visit.scope, limit=100),
    )
    now = visit.stage.now()
    facts = facts_of(await asyncio.to_thread(gauges_of, text), now)
    listing = f"{len(listed):,} listings" if listed else "not listed"
    facts.append(
        Fact(
            name="Blocklists",
            kind="bad" if listed else "good",
            word="Listed" if listed else "Well",
            figure=listing,
        )
    )
    rows = [(name, title_of(name), one, checks_of(one)) for name, one in sorted(reports.items())]
    wrong = sum(not one["ok"] for one in reports.values())
    wrong += sum(one.kind in ("look", "bad") for one in facts)
    return await visit.page("services.html", rows=rows, facts=facts, wrong=wrong, at=now)


@post("/services/doctor", opt={RIGHT: Right.BOX_READ})
async def doctor(visit: WhoVisits, processes: NamedDependency[Processes]) -> Response[bytes]:
    """Ask every process how it is, now."""
    reports = await processes.health()
    if not reports:
        return visit.to("/services", "Not well", "No process answers.", kind="error")
    silent = sorted(name for name, one in reports.items() if not one["ok"])
    if silent:
        return visit.to("/services", "Not well", ", ".join(silent), kind="error")
    return visit.to("/services", "All is well", f"{len(reports)} processes answered.")


def checks_of(report: Mapping[str, Any]) -> list[tuple[str, bool, str]]:
    """The checks of a process, those that are not well first. Pure."""
    found = [
        (name.replace("-", " ").replace("_", " "), bool(one["ok"]), str(one["words"]))
        for name, one in report.get("checks", {}).items()
    ]
    return sorted(found, key=lambda one: (one[1], one[0]))


def gauges_of(text: bytes) -> dict[str, float]:
    """The samples of an exposition by the end of their names, all labels together. Pure."""
    found: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text.decode("utf-8", "replace")):
        for sample in family.samples:
            name = (
                sample.name.partition("_")[2]
                if sample.name.startswith("pillarbox_")
                else sample.name
            )
            found[name] = (
                max(found[name], sample.value)
                if name.startswith(("disk_", "certificate_", "backup_"))
                else found[name] + sample.value
            )
    return found


def facts_of(gauges: Mapping[str, float], now: int) -> list[Fact]:
    """What the gauges say of the machine. Pure."""
    return [
        fact
        for fact in (
            _disk(gauges),
            _commit(gauges),
            _certificate(gauges, now),
            _backup(gauges, now),
        )
        if fact
    ]


def _disk(gauges: Mapping[str, float]) -> Fact | None:
    free, whole = gauges.get("disk_free_bytes", 0.0), gauges.get("disk_size_bytes", 0.0)
    if not whole:
        return None
    used = 1 - free / whole
    kind = "bad" if used >= _FULL else "look" if used >= _FILLING else "good"
    word = {"bad": "Nearly full", "look": "Filling", "good": "Well"}[kind]
    figure = f"{used:.0%} full, {words.size(int(free))} free".replace("%", " %", 1)
    return Fact(name="Disk", kind=kind, word=word, figure=figure)


def _commit(gauges: Mapping[str, float]) -> Fact | None:
    count = gauges.get("commit_seconds_count", 0.0)
    if not count:
        return None
    mean = gauges.get("commit_seconds_sum", 0.0) / count
    slow = mean >= _SLOW_COMMIT
    figure = f"a commit takes {mean * 1000:.1f} ms"
    return Fact(
        name="Spool",
        kind="look" if slow else "good",
        word="Slow" if slow else "Well",
        figure=figure,
    )


def _certificate(gauges: Mapping[str, float], now: int) -> Fact | None:
    if "certificate_ends_timestamp_seconds" not in gauges:
        return None
    ends = int(gauges["certificate_ends_timestamp_seconds"] * clock.SECOND)
    if ends <= now:
        figure = "over" if ends else "cannot be read"
        return Fact(name="Certificate", kind="bad", word="Wrong", figure=figure)
    soon = ends - now < _CERT_LOOK
    figure = f"{words.duration(ends - now)} left"
    return Fact(
        name="Certificate",
        kind="look" if soon else "good",
        word="Ends soon" if soon else "Well",
        figure=figure,
    )


def _backup(gauges: Mapping[str, float], now: int) -> Fact:
    made = int(gauges.get("backup_made_timestamp_seconds", 0.0) * clock.SECOND)
    if not made:
        return Fact(
            name="Backup",
            kind="look",
            word="None",
            figure="set backup.directory",
        )
    old = now - made > _BACKUP_LOOK
    return Fact(
        name="Backup",
        kind="look" if old else "good",
        word="Old" if old else "Well",
        figure=words.relative(made, now),
    )


HANDLERS: Final[list[Any]] = [services, doctor]
