"""Plot: delivered messages a second, a group of bars for each load, as SVG. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.report import Cell

_COLOURS: Final = {"pillarbox": "#b3362b", "postfix+opendkim": "#3b5b7a", "postfix": "#a9b8c6"}
_MODES: Final = {
    "one": "each",
    "many": "kept",
    "cold": "cold DNS",
    "warm": "warm DNS",
    "tls": "TLS, AUTH",
    "resumed": "resumed",
}
_BAR: Final = 22
_GAP: Final = 34
_LEFT: Final = 64
_TOP: Final = 64
_HEIGHT: Final = 260
_FONT: Final = 'font-family="system-ui, sans-serif" fill="#222"'


def svg(cells: Sequence[Cell], title: str) -> str:
    """The whole picture."""
    groups: dict[tuple[int, int, str], list[Cell]] = {}
    for one in cells:
        groups.setdefault((one.load.size, one.load.sessions, one.load.mode), []).append(one)
    top = max((one.delivered for one in cells), default=0.0) or 1.0
    step = _step(top)
    lines = range(int(top / step) + 2)  # grid lines, the last above the highest bar
    scale = _HEIGHT / (step * lines[-1])
    bars, x = [], float(_LEFT + _GAP / 2)
    for (size, sessions, mode), members in groups.items():
        for i, one in enumerate(members):
            bars.append(_bar(one, x + i * _BAR, scale))
        middle = x + len(members) * _BAR / 2
        bars.append(_text(middle, _TOP + _HEIGHT + 18, f"{size // 1024} KB, {sessions}"))
        bars.append(_text(middle, _TOP + _HEIGHT + 34, _MODES.get(mode, mode), "#777"))
        x += len(members) * _BAR + _GAP
    width = max(x, 620.0)
    grid = [_line(step * number, width, scale) for number in lines]
    names = list(dict.fromkeys(one.relay for one in cells))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}"'
            f' height="{_TOP + _HEIGHT + 50}" {_FONT}>',
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<text x="{_LEFT}" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
            *_legend(names),
            *grid,
            *bars,
            "</svg>\n",
        ]
    )


def _step(top: float) -> int:
    """A round number of which at most eight reach the top."""
    steps = (unit * 10**power for power in range(9) for unit in (1, 2, 5))
    return next(step for step in steps if top / step <= 8)


def _bar(one: Cell, x: float, scale: float) -> str:
    height = one.delivered * scale
    y = _TOP + _HEIGHT - height
    colour = _COLOURS.get(one.relay, "#777")
    what = f"{one.relay}: {one.delivered:.0f} messages/s"
    bar = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{_BAR - 3}" height="{height:.1f}"'
        f' fill="{colour}"><title>{escape(what)}</title></rect>'
    )
    if one.relay == "pillarbox" and one.ratio:
        bar += _text(x + (_BAR - 3) / 2, y - 5, f"x {one.ratio:.1f}", colour)
    return bar


def _line(value: int, width: float, scale: float) -> str:
    y = _TOP + _HEIGHT - value * scale
    return (
        f'<path d="M{_LEFT} {y:.1f}H{width:.0f}" stroke="#ddd"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" font-size="11" text-anchor="end">{value}</text>'
    )


def _text(x: float, y: float, words: str, colour: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="middle" fill="{colour}">'
        f"{escape(words)}</text>"
    )


def _legend(names: Sequence[str]) -> list[str]:
    found, x = [], _LEFT
    for name in names:
        colour = _COLOURS.get(name, "#777")
        found.append(f'<rect x="{x}" y="36" width="11" height="11" fill="{colour}"/>')
        found.append(f'<text x="{x + 16}" y="46" font-size="12">{escape(name)}</text>')
        x += 36 + 8 * len(name)
    return found
