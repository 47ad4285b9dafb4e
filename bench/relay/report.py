"""Report: medians of the runs, ratios to the peer, as a table for people and a file for programs.

A cell is one relay under one load. A ratio is of medians measured in turns in the same minutes;
it stays empty where the peer was not measured or failed.
"""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relay.latency import Latency
    from relay.load import Load, Run

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
)
_HEAD: Final = ("size", "sessions", "mode", "relay", "accepted/s", "delivered/s", "ratio")
_HEAD_COST: Final = ("CPU ms", "PSS MB", "procs", "ctxsw", "busy %", "others %", "CPU ms by part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Medians of one relay under one load."""

    relay: str
    load: Load
    values: dict[str, float]
    parts_ms: dict[str, float]
    runs: tuple[float, ...]  # delivered/s of each
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


def rows(cells: Iterable[Cell]) -> list[tuple[str, ...]]:
    """The main table, the head first."""
    found: list[tuple[str, ...]] = [(*_HEAD, *_HEAD_COST)]
    for one in cells:
        load, value = one.load, one.values
        place = (f"{load.size // 1024} KB", str(load.sessions), load.mode, one.relay)
        if not value:
            found.append((*place, one.errors[0] if one.errors else "not measured"))
            continue
        ratio = f"{one.ratio:.2f}" if one.ratio else ""
        parts = ", ".join(f"{name} {ms:.2f}" for name, ms in one.parts_ms.items())
        found.append(
            (
                *place,
                f"{one.accepted:.0f}",
                f"{one.delivered:.0f}" + ("*" if one.errors else ""),
                ratio,
                f"{value['cpu_ms']:.2f}",
                f"{value['pss_mb']:.0f}",
                f"{value['processes']:.0f}",
                f"{value['switches']:.0f}",
                f"{value['busy_percent']:.0f}",
                f"{value['others_percent']:.0f}",
                parts,
            )
        )
    return found


def latency_rows(found: Iterable[Latency]) -> list[tuple[str, ...]]:
    """Latencies, the head first."""
    head = ("size", "relay", "accepted p50/p99 ms", "delivered p50/p99 ms", "signatures")
    return [
        head,
        *(
            (
                f"{one.size // 1024} KB",
                one.relay,
                f"{one.accepted_p50_ms:.2f} / {one.accepted_p99_ms:.2f}",
                f"{one.delivered_p50_ms:.2f} / {one.delivered_p99_ms:.2f}",
                "; ".join(one.signatures) or "none",
            )
            for one in found
        ),
    ]


def table(lines: Sequence[tuple[str, ...]]) -> str:
    """Columns side by side; the last one is as long as it likes."""
    columns = max(len(line) for line in lines)
    widths = [
        max((len(line[i]) for line in lines if i < len(line) - 1), default=0)
        for i in range(columns)
    ]
    return "\n".join(
        "  ".join(word.ljust(widths[i]) for i, word in enumerate(line)).rstrip() for line in lines
    )


def plain(one: Cell) -> dict[str, Any]:
    """A cell for the JSON file."""
    load = one.load
    return {
        "relay": one.relay,
        "size": load.size,
        "sessions": load.sessions,
        "mode": load.mode,
        "messages": load.messages,
        **{name: round(value, 3) for name, value in one.values.items()},
        "parts_ms": {name: round(value, 3) for name, value in one.parts_ms.items()},
        "runs": one.runs,
        "ratio": one.ratio and round(one.ratio, 3),
        "accepted_ratio": one.accepted_ratio and round(one.accepted_ratio, 3),
        "errors": one.errors,
    }
