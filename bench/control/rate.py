"""Rate: the same load into a box with a crowd and into one with a single tenant, in turns.

Every connection logs in as the next credential and sends from its domain, so that all logins, limits,
domains and keys of the crowd are used: STARTTLS, AUTH, some messages, 4 KB each.
"""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from typing import TYPE_CHECKING, Any, Final

from relay.base import BenchError
from relay.clients import Kind, Load
from relay.load import measure as run_once

from control.box import Box
from control.people import Crowd

if TYPE_CHECKING:
    from pathlib import Path

    from relay.load import Run

ONE: Final = Crowd(tenants=1, credentials=1, domains=1)
_EACH: Final = 5
_SESSIONS: Final = 20
_LIMIT: Final = 180.0
_MEDIANS: Final = ("accepted_per_s", "delivered_per_s", "cpu_ms", "pss_mb", "others_percent")


def measure(work: Path, crowd: Crowd, messages: int, repetitions: int) -> dict[str, Any]:
    """Medians of both, and the ratios of the crowd's to the single one's."""
    load = Load(
        size=4096,
        sessions=_SESSIONS,
        kept=False,
        messages=messages,
        kind=Kind.TLS,
        each=_EACH,
    )
    with contextlib.ExitStack() as running:
        boxes = [Box(work / "one", ONE), Box(work / "many", crowd)]
        for box in boxes:
            running.callback(box.stop)
            box.start()
            box.warm_up(load)
        runs = _turns(boxes, load, repetitions)
        complaints = [words for box in boxes for words in box.complaints()]
    one, many = (_medians(made) for made in runs.values())
    ratios = {name: round(many[name] / one[name], 3) for name in _MEDIANS[:3] if one[name]}
    return {
        "load": dataclasses.asdict(load),
        "one": {"crowd": str(ONE), **one},
        "many": {"crowd": str(crowd), **many},
        "ratios": ratios,
        "complaints": complaints,
    }


def _turns(boxes: list[Box], load: Load, repetitions: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {box.name: [] for box in boxes}
    for repetition in range(repetitions):
        for box in boxes if repetition % 2 == 0 else reversed(boxes):
            run = run_once(box, load, limit=_LIMIT, idle=box.idle)
            if run.error:
                raise BenchError(f"{box.name}: {run.error}")
            runs[box.name].append(run)
    return runs


def _medians(runs: list[Run]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: round(float(statistics.median(getattr(run, name) for run in runs)), 3)
        for name in _MEDIANS
    }
    parts = {
        name: round(statistics.median(run.parts_ms[name] for run in runs), 3)
        for name in runs[0].parts_ms
    }
    return {**found, "parts_ms": parts}
