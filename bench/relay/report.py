"""Report: medians of the runs, ratios to the peer, as tables for people (tables.py) and values for programs.

A cell is one relay under one load. A ratio is of medians measured in turns in the same minutes;
it stays empty where the peer was not measured or failed.
"""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.clients import Load
    from relay.load import Run

PEER: Final = "postfix+opendkim"
_MEDIANS: Final = (
    "accepted_per_s",
    "delivered_per_s",
    "cpu_ms",
    "generator_ms",
    "pss_mb",
    "processes",
    "switches",
    "busy_percent",
    "others_percent",
    "steal_percent",
    "resumed_percent",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Medians of one relay under one load."""

    relay: str
    load: Load
    values: dict[str, float]
    parts_ms: dict[str, float]
    runs: tuple[float, ...]  # delivered/s of each
    accepted_runs: tuple[float, ...]
    errors: tuple[str, ...]
    ratio: float | None = None  # delivered/s, of the peer's
    accepted_ratio: float | None = None

    @property
    def delivered(self) -> float:
        """Messages a second, end to end."""
        return self.values.get("delivered_per_s", 0.0)

    @property
    def accepted(self) -> float:
        """Messages a second, acknowledged."""
        return self.values.get("accepted_per_s", 0.0)


def cell(relay: str, load: Load, runs: Sequence[Run]) -> Cell:
    """The medians of the runs that ended well."""
    good = [run for run in runs if not run.error]
    parts = tuple(good[0].parts_ms) if good else ()
    return Cell(
        relay=relay,
        load=load,
        values={name: _median(good, name) for name in _MEDIANS} if good else {},
        parts_ms={name: statistics.median(run.parts_ms[name] for run in good) for name in parts},
        runs=tuple(round(run.delivered_per_s, 1) for run in runs),
        accepted_runs=tuple(round(run.accepted_per_s, 1) for run in runs),
        errors=tuple(run.error for run in runs if run.error),
    )


def _median(runs: Sequence[Run], name: str) -> float:
    return float(statistics.median(getattr(run, name) for run in runs))


def compared(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of one load, with their ratios to the peer."""
    peer = next((one for one in cells if one.relay == PEER and one.delivered), None)
    if peer is None:
        return list(cells)
    return [
        dataclasses.replace(
            one,
            ratio=one.delivered / peer.delivered if one.delivered else None,
            accepted_ratio=one.accepted / peer.accepted if one.accepted else None,
        )
        for one in cells
    ]


def plain(one: Cell) -> dict[str, Any]:
    """A cell for the JSON file."""
    load = one.load
    return {
        "relay": one.relay,
        "size": load.size,
        "sessions": load.sessions,
        "mode": load.mode,
        "scenario": load.kind,
        "messages": load.messages,
        **{name: round(value, 3) for name, value in one.values.items()},
        "parts_ms": {name: round(value, 3) for name, value in one.parts_ms.items()},
        "runs": one.runs,
        "accepted_runs": one.accepted_runs,
        "ratio": one.ratio and round(one.ratio, 3),
        "accepted_ratio": one.accepted_ratio and round(one.accepted_ratio, 3),
        "errors": one.errors,
    }
