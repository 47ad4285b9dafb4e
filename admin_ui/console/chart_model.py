"""What a chart is made of (Plot, Series), and what the template draws (Chart and its parts).

Values only. Places and widths along x are per cent, heights are pixels, `classes` are of charts.css.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from admin_ui.console.chart_axis import Label


class Kind(StrEnum):
    """How a series is drawn."""

    BAR = "bar"  # stacked
    LINE = "line"  # the first has a soft area under it
    DASHED = "dashed"
    STEP = "step"
    OUTLINE = "outline"  # a dashed box behind the bar: what the column may reach


class Tone(StrEnum):
    """What a colour means."""

    DONE = "done"
    WAITING = "waiting"
    FAILED = "failed"
    COMPARISON = "comparison"
    PLAN = "plan"
    RIGHT = "right"
    OFF = "off"


class Mark(StrEnum):
    """What a bar's sign says; it also gives the bar its colour."""

    HELD = "held"
    STEPPED_BACK = "stepped-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One number per column; `marks` (if any) are as many."""

    name: str
    tone: Tone
    values: tuple[float | None, ...]
    kind: Kind = Kind.BAR
    marks: tuple[Mark | None, ...] = ()
    in_legend: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What is to be drawn. `labels` stand under the columns, `names` in tooltips and in the table."""

    finding: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    names: tuple[str, ...] = ()
    column: str = "Time"
    unit: str = ""
    now: int | None = None
    now_word: str = ""  # over the column of now: "today"
    so_far: str = ""  # names the unfinished column in the legend: "This hour so far"
    height: int = 172
    empty: str = "Nothing to show yet."


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A line across, with its number."""

    y: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A box of a column; its foot may lie below the base line, where it is cut off."""

    y: float
    height: float
    classes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A held or stepped-back bar, readable without colour."""

    y: float
    mark: Mark
    classes: str = "sign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """All of one column: where it is touched, what it then says, its boxes."""

    x: float
    width: float
    middle: float
    tip: str
    classes: str
    bar_x: float = 0.0
    bars: tuple[Bar, ...] = ()
    signs: tuple[Sign, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A line, a step line or an area."""

    d: str
    classes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """A word with its swatch."""

    name: str
    swatch: str  # box, outline, line, dashed, step
    classes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What the template draws; nothing is left to count there."""

    finding: str
    empty: str
    height: int
    head: int
    gutter: int  # letters of the longest number beside a line
    bar_width: float
    ticks: tuple[Tick, ...] = ()
    columns: tuple[Column, ...] = ()
    traces: tuple[Trace, ...] = ()
    labels: tuple[Label, ...] = ()
    now: Label | None = None
    legend: tuple[Legend, ...] = ()
    heading: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
