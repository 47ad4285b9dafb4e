"""Report: medians of the rounds, ratios to the empty queue of the same round, as Markdown. Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Figures = dict[str, float]

COLUMNS: Final = (
    ("start_s", "start s", ".1f"),
    ("settle_s", "settle s", ".0f"),
    ("pss_mb", "PSS MB", ".0f"),
    ("pss_after_mb", "after", ".0f"),
    ("accepted_s", "accepted/s", ".0f"),
    ("delivered_s", "delivered/s", ".0f"),
    ("rest_s", "from rest/s", ".0f"),
    ("cpu_ms", "CPU ms", ".2f"),
    ("others_percent", "others %", ".0f"),
    ("p50_ms", "p50 ms", ".1f"),
    ("p99_ms", "p99 ms", ".1f"),
    ("max_ms", "max ms", ".0f"),
    ("pause_ms", "pause ms", ".0f"),
    ("resume_ms", "resume ms", ".0f"),
    ("kill_ms", "kill ms", ".0f"),
    ("revive_ms", "revive ms", ".0f"),
)
RATES: Final = ("accepted_s", "delivered_s", "rest_s")


def medians(rounds: Sequence[Figures]) -> Figures:
    """Each figure's median over the rounds that have it."""
    names = dict.fromkeys(name for one in rounds for name in one)
    return {
        name: round(statistics.median(one[name] for one in rounds if name in one), 3)
        for name in names
    }


def ratios(rounds: Sequence[Figures], empty: Sequence[Figures]) -> Figures:
    """Rates beside those of the empty queue, round by round; then the median."""
    found: Figures = {}
    for name in RATES:
        pairs = [
            (a[name], b[name])
            for a, b in zip(rounds, empty, strict=True)
            if name in a and name in b
        ]
        if pairs:
            found[name] = round(statistics.median(one / other for one, other in pairs), 3)
    return found


def depths_table(cells: Sequence[Mapping[str, object]]) -> str:
    """One row a cell: state, depth, medians, ratios."""
    head = ["queue", "depth", *(title for _, title, _ in COLUMNS), "ratios to empty"]
    rows = []
    for cell in cells:
        values, beside = cell["medians"], cell["ratios"]
        assert isinstance(values, dict)
        assert isinstance(beside, dict)
        figures = [format(values[n], form) if n in values else "" for n, _, form in COLUMNS]
        words = " / ".join(f"{beside[n]:.2f}" for n in RATES if n in beside)
        rows.append([str(cell["state"]), f"{cell['depth']:,}", *figures, words])
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
