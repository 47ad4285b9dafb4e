"""Bounces: how much came back, by day and by reason, what the box does about it, and the newest.

Counts are the statistics', the newest are the log's; the days are those of UTC, as they are counted.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get

from admin_ui.api.guard import RIGHT
from admin_ui.console.charts import Chart, Plot, Series, Tone, draw
from admin_ui.console.mail import MessageRow, rows_of
from admin_ui.console.reasons import DAYS, last_days, reasons_of
from admin_ui.console.visit import Visit, WhoVisits
from admin_ui.console.words import local, number
from appliance.history import Filters
from appliance.rights import Right
from mta.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.statistics import Point

HARD_MOST: Final = 0.02  # of what was delivered or bounced: receivers think badly of more
COMPLAINTS_MOST: Final = 0.001
_USUAL: Final = 14
_RECENT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """A period, added up."""

    delivered: int
    hard: int
    soft: int
    complained: int
    suppressed: int
    soft_today: int
    soft_usual: int

    @property
    def hard_share(self) -> float:
        """Of all that a receiver answered for good."""
        return _share(self.hard, self.delivered + self.hard + self.soft)

    @property
    def complaint_share(self) -> float:
        """Of what was delivered."""
        return _share(self.complained, self.delivered)

    @property
    def hard_judged(self) -> str:
        """Good | look | bad."""
        return _judged(self.hard_share, HARD_MOST)

    @property
    def complaints_judged(self) -> str:
        """Good | look | bad."""
        return _judged(self.complaint_share, COMPLAINTS_MOST)

    @property
    def soft_judged(self) -> str:
        """Worth a look when today is far from usual."""
        return "look" if self.soft_today > 2 * max(self.soft_usual, 5) else "good"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _judged(share: float, most: float) -> str:
    if share >= most:
        return "bad"
    return "look" if share >= most / 2 else "good"


@get("/bounces", opt={RIGHT: Right.MESSAGES_READ})
async def bounces(visit: WhoVisits) -> Response[bytes]:
    """The page."""
    said = visit.request.query_params.get("days", "")
    days = int(said) if said in map(str, DAYS) else _USUAL
    points, reasons, newest = await asyncio.gather(
        visit.rooms.statistics.series(visit.scope, last_days(visit.stage.now(), days)),
        reasons_of(visit.rooms, visit.scope, visit.stage, days),
        _newest(visit),
    )
    return await visit.page(
        "bounces.html",
        days=days,
        chips=[[f"/bounces?days={one}", f"{one} days", None, one == days] for one in DAYS],
        sums=sums_of(points),
        chart=chart_of(points),
        reasons=reasons,
        rows=newest,
    )


async def _newest(visit: Visit) -> list[MessageRow]:
    ask = partial(
        visit.rooms.log.search, visit.scope, Filters(status=Status.BOUNCED), limit=_RECENT
    )
    page = await asyncio.to_thread(ask)
    return await rows_of(visit.rooms, visit.scope, page.rows)


def sums_of(points: Sequence[Point]) -> Sums:
    """Pure. The last point is today."""
    soft = [one.counts.bounced_soft + one.counts.expired for one in points]
    before = soft[:-1]
    return Sums(
        delivered=sum(one.counts.delivered for one in points),
        hard=sum(one.counts.bounced_hard for one in points),
        soft=sum(soft),
        complained=sum(one.counts.complained for one in points),
        suppressed=sum(one.counts.suppressed for one in points),
        soft_today=soft[-1] if soft else 0,
        soft_usual=round(sum(before) / len(before)) if before else 0,
    )


def chart_of(points: Sequence[Point]) -> Chart:
    """Bounces by day."""
    days = [local(one.at, UTC) for one in points]
    hard = tuple(one.counts.bounced_hard for one in points)
    soft = tuple(one.counts.bounced_soft + one.counts.expired for one in points)
    is_none = not any(hard) and not any(soft)
    return draw(
        Plot(
            finding=(
                f"Bounces in {len(points)} days: {number(sum(hard))} hard and {number(sum(soft))} soft."
            ),
            labels=tuple(str(day.day) for day in days),
            names=tuple(f"{day.day} {day:%b}" for day in days),
            series=()
            if is_none
            else (
                Series(name="Hard", tone=Tone.FAILED, values=hard),
                Series(name="Soft", tone=Tone.WAITING, values=soft),
            ),
            column="Day",
            now=len(points) - 1,
            height=224,
            empty="Nothing bounced in these days.",
        )
    )


HANDLERS: Final[list[Any]] = [bounces]
