"""Plot: one small panel for each figure over the depth of the queue, as SVG. Pure.

The depths stand side by side at equal distances (ten thousand, a hundred thousand, a million); a line
for each state of the queue, and a dashed one where the figure's limit is.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# title, figure, is it a comparison with the empty queue, limit (0: none)
PANELS: Final = (
    ("accepted, of the empty queue's rate", "accepted_s", True, 0.8),
    ("delivered, of the empty queue's rate", "delivered_s", True, 0.8),
    ("p99 of one message more, ms", "p99_ms_more", True, 50.0),
    ("memory of all processes at most, MB", "peak_mb", False, 1024.0),
    ("start until healthy, s", "start_s", False, 10.0),
    ("start until the whole queue is known, s", "known_s", False, 0.0),
    ("pause is effective, ms", "pause_ms", False, 1000.0),
    ("kill switch is effective, ms", "kill_ms", False, 1000.0),
    ("delivered from rest after a pause, 1/s", "rest_s", False, 0.0),
)
_COLOURS: Final = ("#b3362b", "#3b5b7a", "#6a8f3c", "#8a6d3b")
_WIDTH: Final = 300
_HEIGHT: Final = 200
_PAD: Final = 52
_ACROSS: Final = 3
_FONT: Final = 'font-family="system-ui, sans-serif" fill="#222"'


def svg(cells: Sequence[Mapping[str, object]], title: str) -> str:
    """The whole picture."""
    depths = sorted({int(str(cell["depth"])) for cell in cells})
    states = list(dict.fromkeys(str(cell["state"]) for cell in cells if cell["depth"]))
    rows = -(-len(PANELS) // _ACROSS)
    width, height = _ACROSS * _WIDTH + 20, rows * _HEIGHT + 70
    drawn = []
    for number, panel in enumerate(PANELS):
        x, y = number % _ACROSS * _WIDTH, number // _ACROSS * _HEIGHT + 60
        drawn.append(
            f'<g transform="translate({x},{y})">{_panel(panel, cells, states, depths)}</g>'
        )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {_FONT}>',
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
            *_legend(states),
            *drawn,
            "</svg>\n",
        ]
    )


def _panel(
    panel: tuple[str, str, bool, float],
    cells: Sequence[Mapping[str, object]],
    states: Sequence[str],
    depths: Sequence[int],
) -> str:
    title, figure, is_ratio, limit = panel
    lines = [_points(figure, cells, state, depths, is_ratio=is_ratio) for state in states]
    top = max([limit * 1.15, *(value * 1.1 for line in lines for _, value in line)]) or 1.0
    step = (_WIDTH - _PAD - 40) / max(1, len(depths) - 1)

    def place(number: int, value: float) -> tuple[float, float]:
        return _PAD + number * step, 20 + (_HEIGHT - 60) * (1 - max(value, 0.0) / top)

    words = [f'<text x="{_PAD - 30}" y="8" font-size="12">{escape(title)}</text>']
    for number, depth in enumerate(depths):
        x, y = place(number, 0)
        words.append(_text(x, y + 16, _short(depth), "middle"))
    for value in (0.0, limit or top / 1.1):
        x, y = place(0, value)
        dash = ' stroke-dasharray="4 3" stroke="#999"' if value else ' stroke="#ccc"'
        words.append(f'<path d="M{x:.1f} {y:.1f}h{step * (len(depths) - 1):.1f}"{dash}/>')
        words.append(_text(x - 6, y + 4, f"{value:.4g}", "end"))
    for colour, line in zip(_COLOURS, lines, strict=False):
        words.append(_line([place(*point) for point in line], [v for _, v in line], colour))
    return "".join(words)


def _points(
    figure: str,
    cells: Sequence[Mapping[str, object]],
    state: str,
    depths: Sequence[int],
    *,
    is_ratio: bool,
) -> list[tuple[int, float]]:
    found = []
    for cell in cells:
        if cell["state"] != state:
            continue
        values = cell["ratios"] if is_ratio else cell["medians"]
        assert isinstance(values, dict)
        if figure in values:
            found.append((depths.index(int(str(cell["depth"]))), float(values[figure])))
    return found


def _line(places: list[tuple[float, float]], values: list[float], colour: str) -> str:
    if not places:
        return ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{value:g}</title></circle>'
        for (x, y), value in zip(places, values, strict=True)
    )
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}">{words}</text>'


def _short(depth: int) -> str:
    if depth >= 1_000_000:
        return f"{depth / 1_000_000:g} M"
    return f"{depth / 1000:g} k" if depth >= 1000 else str(depth)


def _legend(states: Sequence[str]) -> list[str]:
    found, x = [], 16
    for colour, state in zip(_COLOURS, states, strict=False):
        found.append(f'<rect x="{x}" y="34" width="11" height="11" fill="{colour}"/>')
        found.append(f'<text x="{x + 16}" y="44" font-size="12">{escape(state)}</text>')
        x += 40 + 7 * len(state)
    return found
