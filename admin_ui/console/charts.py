"""Charts: from series of numbers to the geometry of an inline SVG. Pure; components/charts.html draws it.

    chart = draw(Plot(
        finding="Mail rose until 10:00; 312 messages wait.",   # the label: what the chart tells
        labels=("00", "01", ...), names=("00:00", "01:00", ...), now=14,
        series=(
            Series(name="Delivered", tone=Tone.DONE, values=(...)),          # bars stack, lowest first
            Series(name="Waiting", tone=Tone.WAITING, values=(...)),
            Series(name="Yesterday", kind=Kind.DASHED, tone=Tone.COMPARISON, values=(...)),
        ),
    ))

Widths and places along x are per cent and heights are pixels: one drawing fits every width without
stretching its text; bars are at most BAR_MOST per cent wide. None is "no data": a gap in a line, no
bar. Numbers below 0 or not finite are drawn as nothing: counts and rates have no other. The bars of
`now` are not finished: drawn at 60 %, unless an outline shows what the day may still bring.
A chart without any number is the sentence `empty`. Nothing here fails on odd numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from admin_ui.console.chart_axis import Label, anchor, labels, steps, tick_word, value_word
from admin_ui.console.chart_model import (
    Bar,
    Chart,
    Column,
    Kind,
    Legend,
    Mark,
    Plot,
    Series,
    Sign,
    Tick,
    Tone,
    Trace,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "Bar", "Chart", "Column", "Kind", "Label", "Legend", "Mark", "Plot", "Series", "Sign",
    "Tick", "Tone", "Trace", "draw", "legend_of",
]  # fmt: skip

BAR_OF_SLOT: Final = 0.66
BAR_MOST: Final = 6.0
BAR_LEAST: Final = 2.0  # pixels: one failure among thousands is still seen
SIGN_LEAST: Final = 14.0  # pixels of a bar in which a sign has room; it stands above a lower one
TRACE_WIDTH: Final = 1000  # the units along x in which paths are drawn
HEAD: Final = 8
HEAD_WITH_WORD: Final = 24
MANY_LINES: Final = 5
FEW_LINES: Final = 2
MOST: Final = 1e15  # beyond it floats are not exact
LOW: Final = 150  # pixels; a lower plot has three lines


_TONE_OF_MARK: Final = {Mark.HELD: Tone.WAITING, Mark.STEPPED_BACK: Tone.FAILED}
_WORD_OF_MARK: Final = {Mark.HELD: "held", Mark.STEPPED_BACK: "stepped back"}


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the columns are (per cent) and how high a number is (pixels)."""

    count: int
    in_slots: bool
    top: float
    height: int

    @property
    def slot(self) -> float:
        """The width of a column."""
        return 100 / (self.count if self.in_slots else max(self.count - 1, 1))

    @property
    def bar(self) -> float:
        """The width of a bar."""
        return round(min(self.slot * BAR_OF_SLOT, BAR_MOST), 3)

    def middle(self, index: int) -> float:
        """Bars stand in the middle of their slot; lines alone reach from edge to edge."""
        return round(self.slot * (index + 0.5 if self.in_slots else index), 3)

    def length(self, value: float) -> float:
        """Pixels of a number."""
        return round(value / self.top * self.height, 2)


def draw(plot: Plot) -> Chart:
    """The geometry of a plot."""
    plot_series = tuple(_fitted(series, len(plot.labels)) for series in plot.series)
    if not any(value is not None for series in plot_series for value in series.values):
        return _blank(plot)
    ticks = _ticks(plot, plot_series)
    in_slots = any(series.kind not in (Kind.LINE, Kind.DASHED) for series in plot_series)
    frame = _Frame(len(plot.labels), in_slots, ticks[-1], plot.height)
    words = tuple(tick_word(value, ticks[-1], plot.unit) for value in ticks)
    names = plot.names or plot.labels
    places = [frame.middle(index) for index in range(frame.count)]
    return Chart(
        finding=plot.finding,
        empty="",
        height=plot.height,
        head=HEAD_WITH_WORD if plot.now_word else HEAD,
        gutter=max(map(len, words)),
        bar_width=frame.bar,
        ticks=tuple(
            Tick(y=round(plot.height - frame.length(value), 2), text=word)
            for value, word in zip(ticks, words, strict=True)
        ),
        columns=tuple(
            _column(plot, plot_series, frame, index, names[index]) for index in range(frame.count)
        ),
        traces=tuple(_traces(plot_series, frame)),
        labels=labels(plot.labels, places, plot.now),
        now=_now(plot, places),
        legend=tuple(_legend(plot, plot_series)),
        heading=(plot.column, *(series.name for series in plot_series)),
        rows=tuple(_row(plot, plot_series, index, name) for index, name in enumerate(names)),
    )


def legend_of(charts: Iterable[Chart]) -> tuple[Legend, ...]:
    """One legend for charts that stand together: each word once."""
    return tuple(dict.fromkeys(entry for chart in charts for entry in chart.legend))


def _fitted(series: Series, count: int) -> Series:
    """As many values and marks as columns, and none that cannot be drawn."""
    values = [_sound(value) for value in series.values[:count]]
    marks = series.marks[:count]
    return Series(
        name=series.name,
        tone=series.tone,
        kind=series.kind,
        in_legend=series.in_legend,
        values=(*values, *[None] * (count - len(values))),
        marks=(*marks, *[None] * (count - len(marks))),
    )


def _sound(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return min(max(value, 0), MOST)


def _blank(plot: Plot) -> Chart:
    return Chart(
        finding=plot.finding, empty=plot.empty, height=plot.height,
        head=HEAD, gutter=0, bar_width=0,
    )  # fmt: skip


def _ticks(plot: Plot, plot_series: Sequence[Series]) -> tuple[float, ...]:
    stacks = [
        sum(series.values[index] or 0 for series in plot_series if series.kind is Kind.BAR)
        for index in range(len(plot.labels))
    ]
    values = [value for series in plot_series for value in series.values if value is not None]
    whole = plot.unit != "%" and all(value == int(value) for value in values)
    most = MANY_LINES if plot.height >= LOW else FEW_LINES
    return steps(max([*stacks, *values]), most, is_whole=whole)


def _column(
    plot: Plot, plot_series: Sequence[Series], frame: _Frame, index: int, name: str
) -> Column:
    middle = frame.middle(index)
    left, right = max(middle - frame.slot / 2, 0), min(middle + frame.slot / 2, 100)
    bars = [series for series in plot_series if series.kind is Kind.BAR]
    stack = tuple(_stack(bars, frame, index))
    outlines = tuple(
        Bar(
            y=round(frame.height - frame.length(value), 2),
            height=frame.length(value) + BAR_LEAST,
            classes=f"outline tone-{_tone(bars[0] if bars else series, index)}",
        )
        for series in plot_series
        if series.kind is Kind.OUTLINE and (value := series.values[index])
    )
    return Column(
        x=round(left, 3),
        width=round(right - left, 3),
        middle=middle,
        tip="|".join(_tip(plot, plot_series, index, name)),
        classes="column is-unfinished" if index == plot.now and not outlines else "column",
        bar_x=round(middle - frame.bar / 2, 3),
        bars=outlines + stack,
        signs=tuple(_signs(bars, outlines, stack, index)),
    )


def _stack(bars: Sequence[Series], frame: _Frame, index: int) -> Iterator[Bar]:
    """The boxes from the base up; small ones are seen, and the largest gives them the room."""
    drawn = [(series, value) for series in bars if (value := series.values[index])]
    lengths = [max(frame.length(value), BAR_LEAST) for _, value in drawn]
    if (excess := sum(lengths) - frame.height) > 0:
        lengths[lengths.index(max(lengths))] -= excess
    foot = float(frame.height)
    for number, ((series, _), length) in enumerate(zip(drawn, lengths, strict=True)):
        gap = 0 if number == 0 or length <= BAR_LEAST else 1
        below = BAR_LEAST if number == 0 else -gap  # the lowest has no round feet
        yield Bar(
            y=round(foot - length, 2),
            height=round(length + below, 2),
            classes=f"tone-{_tone(series, index)}",
        )
        foot -= length


def _tone(series: Series, index: int) -> Tone:
    mark = series.marks[index]
    return series.tone if mark is None else _TONE_OF_MARK[mark]


def _signs(
    bars: Sequence[Series], outlines: Sequence[Bar], stack: Sequence[Bar], index: int
) -> Iterator[Sign]:
    """In the bar, or above all of the column where the bar is too low."""
    drawn = [series for series in bars if series.values[index]]
    for series, bar in zip(drawn, stack, strict=True):
        mark = series.marks[index]
        if mark is not None and bar.height >= SIGN_LEAST:
            yield Sign(y=round(bar.y + bar.height - SIGN_LEAST / 2 - BAR_LEAST - 1, 2), mark=mark)
        elif mark is not None:
            top = min(one.y for one in (*outlines, *stack))
            classes = f"sign is-above tone-{_TONE_OF_MARK[mark]}"
            yield Sign(y=round(top - SIGN_LEAST / 2 - 1, 2), mark=mark, classes=classes)


def _traces(plot_series: Sequence[Series], frame: _Frame) -> Iterator[Trace]:
    first = next((series for series in plot_series if series.kind is Kind.LINE), None)
    if first is not None:
        yield Trace(d=_area(first, frame), classes=f"area tone-{first.tone}")
    for series in plot_series:
        match series.kind:
            case Kind.LINE | Kind.DASHED:
                yield Trace(d=_line(series, frame), classes=f"{series.kind} tone-{series.tone}")
            case Kind.STEP:
                yield Trace(d=_stairs(series, frame), classes=f"step tone-{series.tone}")
            case Kind.BAR | Kind.OUTLINE:
                pass


def _runs(series: Series, frame: _Frame) -> Iterator[list[tuple[int, float]]]:
    """(column, y) without gaps, run by run."""
    run: list[tuple[int, float]] = []
    for index, value in enumerate((*series.values, None)):
        if value is not None:
            run.append((index, round(frame.height - frame.length(value), 2)))
        elif run:
            yield run
            run = []


def _line(series: Series, frame: _Frame) -> str:
    """A column without neighbours is a dot: a line as good as without length, with round ends."""
    return " ".join(
        "M"
        + " L".join(f"{_x(frame, index)} {y}" for index, y in run)
        + (" h0.01" * (len(run) == 1))
        for run in _runs(series, frame)
    )


def _area(series: Series, frame: _Frame) -> str:
    return " ".join(
        f"M{_x(frame, run[0][0])} {frame.height} "
        + " ".join(f"L{_x(frame, index)} {y}" for index, y in run)
        + f" L{_x(frame, run[-1][0])} {frame.height} Z"
        for run in _runs(series, frame)
    )


def _stairs(series: Series, frame: _Frame) -> str:
    wide = frame.slot / 100 * TRACE_WIDTH
    return " ".join(
        f"M{run[0][0] * wide:g} {run[0][1]} "
        + " ".join(f"V{y} H{(index + 1) * wide:.6g}" for index, y in run)
        for run in _runs(series, frame)
    )


def _x(frame: _Frame, index: int) -> str:
    return f"{frame.middle(index) / 100 * TRACE_WIDTH:.6g}"


def _now(plot: Plot, places: Sequence[float]) -> Label | None:
    if plot.now is None or not plot.now_word or plot.now >= len(places):
        return None
    x = places[plot.now]
    return Label(x=x, text=plot.now_word, anchor=anchor(x))


def _tip(plot: Plot, plot_series: Sequence[Series], index: int, name: str) -> Iterator[str]:
    """The lines of a tooltip; a bar in a name would begin another."""
    yield name.replace("|", "/")
    for series in plot_series:
        if series.values[index] is not None or series.kind is not Kind.OUTLINE:
            yield f"{series.name} {_cell(plot, series, index)}".replace("|", "/")


def _row(plot: Plot, plot_series: Sequence[Series], index: int, name: str) -> tuple[str, ...]:
    return (name, *(_cell(plot, series, index) for series in plot_series))


def _cell(plot: Plot, series: Series, index: int) -> str:
    mark = series.marks[index]
    word = value_word(series.values[index], plot.unit)
    return word if mark is None else f"{word}, {_WORD_OF_MARK[mark]}"


def _legend(plot: Plot, plot_series: Sequence[Series]) -> Iterator[Legend]:
    """In the order of the stack, each mark after what it marks."""
    for series in plot_series:
        swatch = "box" if series.kind is Kind.BAR else str(series.kind)
        if series.in_legend:
            yield Legend(name=series.name, swatch=swatch, classes=f"tone-{series.tone}")
        for mark in Mark:
            if mark in series.marks:
                name = f"{series.name}, {_WORD_OF_MARK[mark]}"
                yield Legend(name=name, swatch="box", classes=f"tone-{_TONE_OF_MARK[mark]}")
    if plot.so_far:
        first = next((each.tone for each in plot_series if each.kind is Kind.BAR), Tone.DONE)
        yield Legend(name=plot.so_far, swatch="box", classes=f"tone-{first} is-unfinished")
