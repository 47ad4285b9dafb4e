"""Plot: memory and open files of the mta process over time, a line for each part, as SVG. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from idle.look import Look

_COLOURS: Final = {"plain": "#3b5b7a", "tls": "#b3362b", "flood": "#6a8f3c"}
_NAMES: Final = {
    "plain": "idle, in the clear",
    "tls": "idle, under TLS",
    "flood": "flood from one address",
}
_WIDTH, _HEIGHT, _LEFT, _TOP = 720, 230, 64, 84
_FONT: Final = 'font-family="system-ui, sans-serif" fill="#222"'


def svg(looks: Sequence[Look], title: str) -> str:
    """Memory above, open files below, over the same time."""
    seconds = max(one.times[-1] for one in looks)
    panels = (
        ("memory of the mta process (PSS), MB", lambda one: one.memory),
        ("open files of the mta process", lambda one: one.open),
    )
    drawn = [
        f'<g transform="translate({_LEFT},{_TOP + number * (_HEIGHT + 60)})">'
        f"{_panel(words, looks, values, seconds)}</g>"
        for number, (words, values) in enumerate(panels)
    ]
    height = _TOP + 2 * (_HEIGHT + 60)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH + 100}" height="{height}" {_FONT}>',
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
            *_legend(looks),
            *drawn,
            "</svg>\n",
        ]
    )


def _panel(words: str, looks: Sequence[Look], values: Callable[[Look], Any], seconds: float) -> str:
    top = max(max(values(one)) for one in looks) * 1.1
    step = next(
        unit * 10**power for power in range(6) for unit in (1, 2, 5) if top / unit / 10**power <= 6
    )
    parts = [f'<text x="-48" y="-10" font-size="12">{escape(words)}</text>']
    for number in range(int(top / step) + 1):
        y = _HEIGHT * (1 - number * step / top)
        parts.append(f'<path d="M0 {y:.1f}H{_WIDTH}" stroke="#ddd"/>')
        parts.append(_text(-6, y + 4, f"{number * step:,}", "end"))
    parts += [
        _text(tick / seconds * _WIDTH, _HEIGHT + 16, f"{tick} s", "middle")
        for tick in range(0, int(seconds) + 1, 10)
    ]
    for one in looks:
        points = " ".join(
            f"{at / seconds * _WIDTH:.1f},{_HEIGHT * (1 - value / top):.1f}"
            for at, value in zip(one.times, values(one), strict=True)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{_COLOURS[one.part]}" stroke-width="2"/>'
        )
    return "".join(parts)


def _legend(looks: Sequence[Look]) -> list[str]:
    found = []
    for number, one in enumerate(looks):
        x = 16 + number * 265
        each = one.facts.get("KB a connection")
        cost = f"{each:.1f} KB each" if each else f"{one.facts['connections/s']:,.0f}/s"
        words = f"{_NAMES[one.part]}: {cost}"
        found.append(f'<rect x="{x}" y="38" width="11" height="11" fill="{_COLOURS[one.part]}"/>')
        found.append(_text(x + 16, 48, words, "start", 12))
    return found


def _text(x: float, y: float, words: str, anchor: str, size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(words)}</text>'
