"""Plot: search time over event count as SVG, both on logarithmic axes. Pure."""

from __future__ import annotations

from html import escape
from math import log10
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COLOURS: Final = (
    *("#b3362b", "#3b5b7a", "#6a8f3c", "#8a6d3b", "#7a4b8a", "#2f8f83"),
    *("#c27c2c", "#5a5a5a", "#a84f7b", "#4570c4"),
)
_LEFT: Final = 70
_TOP: Final = 50
_WIDE: Final = 560
_HIGH: Final = 380
_FONT: Final = 'font-family="system-ui, sans-serif" fill="#222"'
_FLOOR: Final = 0.1  # ms


def svg(stages: Sequence[Mapping[str, Any]], shown: Sequence[str], title: str) -> str:
    """A line for each question in `shown`: p95 at each stage, and the limits as dashed lines."""
    counts = [stage["events"] for stage in stages]
    lines = {name: _values(stages, name) for name in shown}
    lines = {name: values for name, values in lines.items() if values}
    limits = sorted({a["limit"] for stage in stages for a in stage["asked"] if a["name"] in shown})
    top = max([*limits, *(value for values in lines.values() for _, value in values)]) * 1.5
    low, high = log10(min(counts)), log10(max(counts))

    def place(count: float, value: float) -> tuple[float, float]:
        across = (log10(count) - low) / ((high - low) or 1)
        up = log10(max(value, _FLOOR) / _FLOOR) / log10(top / _FLOOR)
        return _LEFT + across * _WIDE, _TOP + _HIGH * (1 - up)

    parts = [*_axes(counts, limits, place)]
    for number, (name, values) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [place(*value) for value in values]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{value:.3g} ms</title></circle>'
            for (x, y), (_, value) in zip(points, values, strict=True)
        ]
        y = _TOP + 14 + number * 20
        x = _LEFT + _WIDE + 26
        parts.append(f'<rect x="{x}" y="{y - 10}" width="11" height="11" fill="{colour}"/>')
        parts.append(f'<text x="{x + 17}" y="{y}" font-size="12">{escape(name)}</text>')
    width, height = _LEFT + _WIDE + 290, _TOP + _HIGH + 60
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {_FONT}>',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
    ]
    return "\n".join([*head, *parts, "</svg>\n"])


def _values(stages: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [
        (stage["events"], asked["p95"])
        for stage in stages
        for asked in stage["asked"]
        if asked["name"] == name
    ]


def _axes(counts: Sequence[int], limits: Sequence[float], place: Any) -> list[str]:
    parts = []
    for count in counts:
        x, y = place(count, _FLOOR)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{y:.1f}" stroke="#eee"/>')
        parts.append(_text(x, y + 18, _short(count), "middle"))
    values = [value for value in (0.1, 1.0, 10.0, 100.0) if place(1, value)[1] >= _TOP - 1]
    for value in [*values, *limits]:
        x, y = place(min(counts), value)
        dash = ' stroke-dasharray="5 4" stroke="#999"' if value in limits else ' stroke="#ddd"'
        parts.append(f'<path d="M{_LEFT} {y:.1f}h{_WIDE}"{dash}/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{value:g} ms", "end"))
    middle = _LEFT + _WIDE / 2
    parts.append(_text(middle, _TOP + _HIGH + 42, "events in the log", "middle"))
    return parts


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}">{words}</text>'


def _short(count: int) -> str:
    if count >= 1_000_000:
        return f"{count / 1_000_000:.3g} M"
    return f"{count / 1000:.3g} k"
