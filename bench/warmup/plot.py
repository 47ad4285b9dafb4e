"""Plot: what was delivered and refused, day by day, all seeds in one picture, as SVG. Pure.

A line is the median of the seeds, its band reaches from the worst to the best of them.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warmup.trial import Outcome

    Series = Callable[[Outcome], Sequence[float]]

TITLES: Final = {
    "google": "Google",
    "microsoft": "Microsoft consumer",
    "microsoft365": "Microsoft 365",
    "yahoo": "Yahoo and AOL",
    "apple": "Apple",
    "other": "all others",
}
OURS: Final = "#b3362b"
NAIVE: Final = "#3b5b7a"
_BUDGET: Final = "#d9a441"
_GRID: Final = "#e6e6e6"
_FONT: Final = 'font-family="system-ui, sans-serif" fill="#222"'
_WIDTH: Final = 1080
_LEAST: Final = 10.0  # where a logarithmic axis begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A place in the picture, with its scale."""

    x: float
    y: float
    width: float
    height: float
    days: int
    top: float
    is_log: bool

    def at(self, day: float, value: float) -> str:
        """A point of a path; days begin with 1."""
        x = self.x + self.width * (day - 1) / max(1, self.days - 1)
        return f"{x:.1f} {self.level(value):.1f}"

    def level(self, value: float) -> float:
        """How high a value stands."""
        if not self.is_log:
            share = value / self.top
        else:
            share = math.log(max(value, _LEAST) / _LEAST) / math.log(self.top / _LEAST)
        return self.y + self.height * (1 - min(1.0, share))

    def ticks(self) -> list[float]:
        """Values with a line."""
        if not self.is_log:
            return [self.top * part / 4 for part in range(5)]
        found = [_LEAST]
        while found[-1] * 10 <= self.top:
            found.append(found[-1] * 10)
        return found


def svg(outcomes: Sequence[Outcome]) -> str:
    """The whole picture."""
    ours = [one for one in outcomes if one.sender == "ours"]
    naive = [one for one in outcomes if one.sender == "naive"]
    parts = [*_heading(len(ours)), *_whole(ours, naive)]
    width, height = (_WIDTH - 100) / 3 - 36, 150
    top = 10 ** len(str(max(max(day) for one in outcomes for day in one.days_shown())))
    for number, provider in enumerate(ours[0].days):
        panel = Panel(
            x=64 + number % 3 * (width + 64),
            y=466 + number // 3 * (height + 76),
            width=width,
            height=height,
            days=len(ours[0].sum_of("sent")),
            top=float(top),
            is_log=True,
        )
        parts += _of_provider(panel, provider, ours, naive)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="888" {_FONT}>',
            '<rect width="100%" height="100%" fill="#fff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _heading(seeds: int) -> list[str]:
    title = f"Warming four addresses with a backlog: {seeds} worlds"
    words = (
        "Lines are medians of the worlds, bands reach from the worst to the best. A line ends at the"
        " bottom when the backlog is gone, or nothing is taken any more."
    )
    return [
        f'<text x="24" y="34" font-size="18" font-weight="600">{title}</text>',
        f'<text x="24" y="56" font-size="12" fill="#666">{words}</text>',
        *_legend(),
    ]


def _legend() -> list[str]:
    entries = (
        (OURS, "", "Pillarbox: delivered"),
        (_BUDGET, "6 3", "its budget"),
        (OURS, "1.5 3", "refused"),
        (NAIVE, "", "table alone: delivered"),
        (NAIVE, "1.5 3", "refused"),
    )
    found, x = [], 24
    for colour, dash, words in entries:
        style = f' stroke-dasharray="{dash}"' if dash else ""
        found.append(f'<path d="M{x} 78h26" stroke="{colour}" stroke-width="2.2"{style}/>')
        found.append(f'<text x="{x + 32}" y="82" font-size="12">{words}</text>')
        x += 54 + round(6.4 * len(words))
    return found


def _whole(ours: Sequence[Outcome], naive: Sequence[Outcome]) -> list[str]:
    days = len(ours[0].sum_of("sent"))
    most = max(one.totals["delivered"] for one in (*ours, *naive))
    left = Panel(x=64, y=128, width=430, height=220, days=days, top=_round_up(most), is_log=False)
    top = 10 ** len(str(max(max(_refused(one)) for one in (*ours, *naive))))
    right = Panel(x=586, y=128, width=460, height=220, days=days, top=float(top), is_log=True)
    return [
        *_frame(left, "delivered so far, all receivers"),
        *_band(left, naive, _delivered_so_far, NAIVE),
        *_band(left, ours, _delivered_so_far, OURS),
        *_frame(right, "refused a day (deferred, or refused by a block), all receivers"),
        *_band(right, naive, _refused, NAIVE),
        *_band(right, ours, _refused, OURS),
        '<text x="24" y="420" font-size="14" font-weight="600">'
        "Recipients a day, by provider</text>",
    ]


def _of_provider(
    panel: Panel, provider: str, ours: Sequence[Outcome], naive: Sequence[Outcome]
) -> list[str]:
    def column(name: str) -> Series:
        return lambda one: one.days[provider][name]

    def refused(one: Outcome) -> list[int]:
        each = one.days[provider]
        return [a + b for a, b in zip(each["deferred"], each["blocked"], strict=True)]

    return [
        *_frame(panel, TITLES.get(provider, provider)),
        *_line(panel, naive, refused, NAIVE, "1.5 3"),
        *_line(panel, ours, refused, OURS, "1.5 3"),
        *_band(panel, naive, column("delivered"), NAIVE),
        *_band(panel, ours, column("delivered"), OURS),
        *_line(panel, ours, lambda one: one.budget[provider], _BUDGET, "6 3"),
    ]


def _frame(panel: Panel, title: str) -> list[str]:
    found = [f'<text x="{panel.x}" y="{panel.y - 12}" font-size="12.5">{escape(title)}</text>']
    for value in panel.ticks():
        y = panel.level(value)
        found.append(f'<path d="M{panel.x} {y:.1f}h{panel.width:.1f}" stroke="{_GRID}"/>')
        words = f"under {_short(value)}" if panel.is_log and value == _LEAST else _short(value)
        found.append(_text(panel.x - 8, y + 4, words, "end"))
    for day in (1, *range(5, panel.days + 1, 5)):
        x = panel.x + panel.width * (day - 1) / max(1, panel.days - 1)
        found.append(_text(x, panel.y + panel.height + 18, f"day {day}" if day == 1 else str(day)))
    return found


def _band(panel: Panel, outcomes: Sequence[Outcome], series: Series, colour: str) -> list[str]:
    rows = list(zip(*(series(one) for one in outcomes), strict=True))
    above = [panel.at(day, max(row)) for day, row in enumerate(rows, 1)]
    below = [panel.at(day, min(row)) for day, row in reversed(list(enumerate(rows, 1)))]
    area = f'<path d="M{" L".join([*above, *below])}Z" fill="{colour}" opacity="0.16"/>'
    return [area, *_line(panel, outcomes, series, colour)]


def _line(
    panel: Panel, outcomes: Sequence[Outcome], series: Series, colour: str, dash: str = ""
) -> list[str]:
    rows = zip(*(series(one) for one in outcomes), strict=True)
    points = [panel.at(day, statistics.median(row)) for day, row in enumerate(rows, 1)]
    style = f' stroke-dasharray="{dash}" stroke-width="1.6"' if dash else ' stroke-width="2.2"'
    return [f'<path d="M{" L".join(points)}" fill="none" stroke="{colour}"{style}/>']


def _delivered_so_far(one: Outcome) -> list[int]:
    found = [0]
    for count in one.sum_of("delivered"):
        found.append(found[-1] + count)
    return found[1:]


def _refused(one: Outcome) -> list[int]:
    both = zip(one.sum_of("deferred"), one.sum_of("blocked"), strict=True)
    return [deferred + blocked for deferred, blocked in both]


def _round_up(value: float) -> float:
    unit = 10.0 ** (len(str(round(value))) - 1)
    return next(unit * step for step in (1, 2, 4, 6, 8, 10) if unit * step >= value)


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}" fill="#555">'
        f"{words}</text>"
    )


def _short(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    return f"{value / 1000:g} k" if value >= 1000 else f"{value:g}"
