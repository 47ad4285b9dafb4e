"""Report: medians of the turns, ratios of the deep box to the empty one in the same turn, as Markdown. Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Figures = dict[str, float]

COLUMNS: Final = (
    ("start_s", "start s", ".1f"),
    ("first_s", "first mail s", ".1f"),
    ("known_s", "known s", ".1f"),
    ("pss_mb", "PSS MB", ".0f"),
    ("peak_mb", "peak", ".0f"),
    ("accepted_s", "accepted/s", ".0f"),
    ("delivered_s", "delivered/s", ".0f"),
    ("rest_s", "from rest/s", ".0f"),
    ("cpu_ms", "CPU ms", ".2f"),
    ("others_percent", "others %", ".0f"),
    ("p50_ms", "p50 ms", ".1f"),
    ("p99_ms", "p99 ms", ".1f"),
    ("pause_ms", "pause ms", ".0f"),
    ("resume_ms", "resume ms", ".0f"),
    ("kill_ms", "kill ms", ".0f"),
    ("revive_ms", "revive ms", ".0f"),
)
RATES: Final = ("accepted_s", "delivered_s")
COSTS: Final = ("cpu_ms", "p99_ms")


def medians(rounds: Sequence[Figures]) -> Figures:
    """Each figure's median over the rounds that have it."""
    names = dict.fromkeys(name for one in rounds for name in one)
    return {
        name: round(statistics.median(one[name] for one in rounds if name in one), 3)
        for name in names
    }


def compared(turns: Sequence[Mapping[str, Figures]]) -> tuple[Figures, Figures]:
    """Medians of the deep box, and how it stands to the empty one: median of the turns' ratios.

    Of what should be small it is the difference, as `<name>_more`.
    """
    deep = [turn["deep"] for turn in turns if len(turn) > 1]
    empty = [turn["empty"] for turn in turns if len(turn) > 1]
    found: Figures = {}
    if deep:
        pairs = list(zip(deep, empty, strict=True))
        for name in RATES:
            found[name] = round(statistics.median(a[name] / b[name] for a, b in pairs), 3)
        for name in COSTS:
            found[f"{name}_more"] = round(statistics.median(a[name] - b[name] for a, b in pairs), 3)
    return medians(deep), found


def depths_table(cells: Sequence[Mapping[str, object]]) -> str:
    """One row a cell: state, depth, medians, ratios."""
    titles = (title for _, title, _ in COLUMNS)
    head = ["queue", "depth", *titles, "accepted, delivered: ratio", "CPU, p99: ms more"]
    rows = []
    for cell in cells:
        values, beside = cell["medians"], cell["ratios"]
        assert isinstance(values, dict)
        assert isinstance(beside, dict)
        figures = [format(values[n], form) if n in values else "" for n, _, form in COLUMNS]
        ratios = " / ".join(f"{beside[n]:.2f}" for n in RATES if n in beside)
        more = " / ".join(f"{beside[f'{n}_more']:+.2f}" for n in COSTS if f"{n}_more" in beside)
        rows.append([str(cell["state"]), f"{cell['depth']:,}", *figures, ratios, more])
    return table(head, rows)


def plain_table(first: str, rows: Mapping[str, Figures]) -> str:
    """One row a name, whatever figures there are."""
    names = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    return table(
        [first, *names],
        [
            [name, *(f"{figures[n]:,.1f}" if n in figures else "" for n in names)]
            for name, figures in rows.items()
        ],
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
