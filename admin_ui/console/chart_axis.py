"""The axes of a chart: rounded steps from 0, numbers in words, and which labels fit. Pure.

A y axis has 3 to 6 lines and its top is never below the largest value; counts never get a broken step.
Along x, one label always names the column of now; how many others fit depends on how wide the page
draws the chart, so each label says at which of three widths it is shown (charts.css decides by the
width of the figure, not of the window).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_MANTISSAS: Final = (1, 1.5, 2, 2.5, 4, 5, 10)
_FEWEST_STEPS: Final = 2
_NOTHING: Final = 1e-6
_LETTER: Final = 7.0  # pixels of a figure in Inter at 12
_REST: Final = 18.0  # pixels between two labels
_WIDTHS: Final = (("narrow", 260.0), ("middle", 400.0), ("wide", 700.0))  # the least plot of each
_JUMPS: Final = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 40, 60, 90, 120, 180, 240, 360)
_SHORT_FROM: Final = 3_000
_MILLION: Final = 1_000_000
_LATE: Final = 95.0  # per cent
_SHORT: Final = 3  # letters of an hour or a day of the month
_EDGE: Final = 1.5  # per cent: a label nearer to the edge than this is aligned with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A word under (or over) the plot; `x` in per cent, `widths` the classes at which it shows."""

    x: float
    text: str
    widths: str = ""
    anchor: str = "middle"


def steps(highest: float, most: int, *, is_whole: bool) -> tuple[float, ...]:
    """The values of the lines: 0, then rounded steps until `highest` is reached."""
    least = highest / most
    step = _step(max(least, 1.0) if is_whole else least, is_whole=is_whole)
    count = max(_FEWEST_STEPS, math.ceil(round(highest / step, 9)))
    return tuple(round(step * number, 9) for number in range(count + 1))


def _step(least: float, *, is_whole: bool) -> float:
    if least < _NOTHING:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    for mantissa in _MANTISSAS:
        step = round(mantissa * power, 12)
        if step >= least * (1 - 1e-9) and not (is_whole and step != int(step)):
            return step
    return 10 * power


def tick_word(value: float, top: float, unit: str) -> str:
    """What stands beside a line: "2,500", "4 k", "1.5 M", "2 %"."""
    if unit == "%":
        return f"{value:g} %"
    if value and top >= _MILLION:
        return f"{value / _MILLION:g} M"
    if value and top >= _SHORT_FROM:
        return f"{value / 1000:g} k"
    return f"{value:,.10g}"


def value_word(value: float | None, unit: str = "") -> str:
    """A number in a tooltip or a table: thousands by comma, at most two decimals; "no data"."""
    if value is None:
        return "no data"
    word = f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{word} %" if unit == "%" else word


def labels(words: Sequence[str], places: Sequence[float], now: int | None) -> tuple[Label, ...]:
    """The words that fit under the columns, at each width."""
    longest = max((len(word) for word in words), default=0)
    shown: dict[int, list[str]] = {}
    for name, pixels in _WIDTHS:
        jump = _jump(len(words), pixels / (longest * _LETTER + _REST))
        for index in range((now or 0) % jump, len(words), jump):
            shown.setdefault(index, []).append(f"at-{name}")
    return tuple(
        Label(
            x=places[index],
            text=words[index],
            widths=" ".join([*at, *(["at-edge"] * _is_at_edge(places[index], words[index]))]),
            anchor=anchor(places[index]),
        )
        for index, at in sorted(shown.items())
    )


def _is_at_edge(x: float, word: str) -> bool:
    """Whether a word would hang over the end of a narrow plot."""
    return x > _LATE and len(word) > _SHORT


def _jump(columns: int, room: float) -> int:
    """Every how many columns a label fits; past the table, in whole days of hours or more."""
    needed = math.ceil(columns / max(room, 1))
    return next((jump for jump in _JUMPS if jump >= needed), needed)


def anchor(x: float) -> str:
    """How a word at `x` per cent is aligned so that it stays over the plot."""
    if x < _EDGE:
        return "start"
    return "end" if x > 100 - _EDGE else "middle"
