"""Stage: the templates, with the words, icons and assets that they all need.

Jinja with escaping everywhere and no undefined names: a template that asks for what nobody gave it fails in
its test, not in somebody's browser. Components are in admin_ui/components (atoms, molecules, organisms; ui.html
is the door), pages in admin_ui/views.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from admin_ui.console import words
from admin_ui.console.waits import WaitsNow
from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from admin_ui.assets import Assets

HERE: Final = Path(__file__).parents[1]
VERSION: Final = version("pillarbox")
_PILLAR: Final = (
    '<path d="M7 21V9h10v12"/><path d="M5 21h14"/><path d="M6 9h12"/><path d="M7 9a5 5 0 0 1 10 0"/>'
    '<path d="M10 13h4"/>'
)
_PAUSE: Final = '<path d="M8.5 6v12"/><path d="M15.5 6v12"/>'
"""Two strokes, as in the bars of a held day: lucide's are boxes."""
_MARK: Final = "data:image/svg+xml," + quote(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#3b82f6" stroke-width="2"'
    f' stroke-linecap="round" stroke-linejoin="round">{_PILLAR}</svg>'
)
"""The box's own sign, a pillar box, for the tab of the browser."""
_OWN: Final = {"pillar": _PILLAR, "pause": _PAUSE}


class Stage:
    """Renders templates."""

    def __init__(self, assets: Assets, zone: tzinfo, now: Callable[[], int] = clock.now_ms) -> None:
        self.zone, self.now, self._assets = zone, now, assets
        self.waits = WaitsNow()
        self._env = Environment(
            loader=FileSystemLoader([HERE / "components", HERE / "views"]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._env.globals |= {
            "asset": assets.url,
            "icon": self._icon,
            "favicon": _MARK,
            "version": VERSION,
            "zone_name": str(zone),
            "now": now,
        }
        self._env.filters |= {
            "number": words.number,
            "size": words.size,
            "sentence": words.sentence,
            "duration": words.duration,
            "initials": words.initials,
            "iso": clock.iso,
            "time": lambda ms: words.time_of_day(ms, zone),
            "to_the_ms": lambda ms: words.to_the_ms(ms, zone),
            "day": lambda ms: words.day(ms, zone, now()),
            "moment": lambda ms: words.moment(ms, zone, now()),
            "short": lambda ms: words.short(ms, zone, now()),
            "clock": lambda ms: words.clock_time(ms, zone),
            "relative": lambda ms: words.relative(ms, now()),
            "local_input": lambda ms: (
                words.local(ms, zone).strftime("%Y-%m-%dT%H:%M") if ms else ""
            ),
        }
        self._env.globals["percent"] = words.percent

    def render(self, template: str, **context: Any) -> str:
        """A page."""
        return self._env.get_template(template).render(context)

    def _icon(self, name: str, size: int = 16) -> Markup:
        """An icon that says nothing to a screen reader: the word beside it does."""
        drawing = _OWN.get(name) or self._assets.icon(name)
        return Markup(  # noqa: S704 - the paths come from the package of icons, the size is a number
            f'<svg class="icon" width="{size:d}" height="{size:d}" viewBox="0 0 24 24" '
            f'aria-hidden="true" focusable="false">{drawing}</svg>'
        )
