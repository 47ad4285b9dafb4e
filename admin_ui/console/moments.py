"""Moments: times as a page's sentences have them, on its own clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from admin_ui.console.words import local

if TYPE_CHECKING:
    from admin_ui.console.visit import Visit


def moment_of(visit: Visit) -> str:
    """When the page was made: Friday 20 November, 14:32."""
    at = local(visit.stage.now(), visit.stage.zone)
    return f"{at:%A} {at.day} {at:%B}, {at:%H:%M}"


def said(visit: Visit, at: int) -> str:
    """A time inside a sentence: 06:00 today, 18 Nov 09:02."""
    then, now = (local(one, visit.stage.zone) for one in (at, visit.stage.now()))
    return f"{then:%H:%M} today" if then.date() == now.date() else f"{then.day} {then:%b %H:%M}"
