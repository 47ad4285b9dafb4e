"""Rate: the same load into a box with a crowd, as it is and with a change each second, and into one with a single
tenant, in turns.

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
from control.changes import Changes
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
    found = {name: _medians(made) for name, made in runs.items()}
    return {
        "load": dataclasses.asdict(load),
        "one": {"crowd": str(ONE), **found["one"]},
        "many": {"crowd": str(crowd), **found["many"]},
        "changing": {"crowd": f"{crowd}, a change each second", **found["changing"]},
        "ratios": {name: _ratios(found[name], found["one"]) for name in ("many", "changing")},
        "complaints": complaints,
    }


def _ratios(this: dict[str, Any], one: dict[str, Any]) -> dict[str, float]:
    return {name: round(this[name] / one[name], 3) for name in _MEDIANS[:3] if one[name]}


def _turns(boxes: list[Box], load: Load, repetitions: int) -> dict[str, list[Run]]:
    one, many = boxes
    changes = Changes(many.home.control_db)
    kinds = [("one", one), ("many", many), ("changing", many)]
    runs: dict[str, list[Run]] = {name: [] for name, _ in kinds}
    for repetition in range(repetitions):
        first = repetition % len(kinds)
        for name, box in (*kinds[first:], *kinds[:first]):
            with changes.going_on() if name == "changing" else contextlib.nullcontext():
                run = run_once(box, load, limit=_LIMIT, idle=box.idle)
            if run.error:
                raise BenchError(f"{box.name}: {run.error}")
            runs[name].append(run)
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
