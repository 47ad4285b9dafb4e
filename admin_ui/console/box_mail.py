"""Box mail: how mail goes through the whole box now, from the processes that send it.

    found = await mail_of(rooms, visit)     None when one of them is silent: half a queue must not look like the whole

Rates are of the last full minute, shares of the last hour; a process that has just begun remembers less.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from admin_ui.console.charts import Chart, Kind, Plot, Series, Tone, draw
from admin_ui.console.words import clock_time, number
from appliance.core.errors import NotRunningError
from mta.scheduling.census import By
from mta.scheduling.why import TITLES, Why

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from admin_ui.console.visit import Visit
    from admin_ui.desks import Row
    from admin_ui.rooms import Rooms

_HOUR: Final = 60  # minutes shown
_REASONS: Final = 6
_SURGES: Final = 5
_BAD: Final = frozenset(
    {Why.SUSPENDED, Why.CANNOT_CONNECT, Why.CANNOT_LOOK_UP, Why.NO_ADDRESS, Why.STOPPED}
)
_LOOK: Final = frozenset(
    {Why.SLOWED, Why.GREYLISTED, Why.REFUSED, Why.TROUBLE, Why.NO_TLS, Why.MAILBOX_FULL, Why.SURGE}
)
_OFF: Final = frozenset(
    {Why.HELD, Why.PAUSED, Why.SCHEDULED, Why.TENANT_SUSPENDED, Why.NOT_LOOKED_AT}
)
_TONES: Final = {"bad": "failed", "look": "waiting", "off": "off", "way": "done"}


class Reason(NamedTuple):
    """For what recipients wait."""

    title: str
    kind: str
    tone: str
    recipients: int
    example: str  # where most of them are


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """All of it."""

    accepted: float  # a second
    delivered: float
    accepted_hour: int
    at_once: float  # share of attempts that delivered, 0 to 1
    bounced: float  # share of what came to its end
    minutes: int  # that these shares are of
    waiting: int
    held: int
    oldest: int
    reasons: tuple[Reason, ...]
    surges: tuple[tuple[str, int], ...]  # tenants with mail that is held since a surge
    chart: Chart


async def mail_of(rooms: Rooms, visit: Visit) -> Mail | None:
    """As the processes tell it."""
    scope = visit.scope
    try:
        queue, surges, live, minutes = await asyncio.gather(
            rooms.queue.summary(scope, By.DOMAIN, 1),
            rooms.queue.summary(scope, By.TENANT, _SURGES, Why.SURGE),
            rooms.queue.live(scope),
            rooms.queue.traffic(),
        )
    except NotRunningError:
        return None
    return _mail(queue, surges, live, minutes[-_HOUR:], visit.stage.zone)


def _mail(queue: Row, surges: Row, live: Row, minutes: Sequence[Row], zone: tzinfo) -> Mail:
    sums = {
        name: sum(one[name] for one in minutes) for name in ("delivered", "deferred", "bounced")
    }
    newest = minutes[-1] if minutes else {"accepted": live["accepted_per_s"], "delivered": 0.0}
    return Mail(
        accepted=newest["accepted"],
        delivered=newest["delivered"],
        accepted_hour=round(60 * sum(one["accepted"] for one in minutes)),
        at_once=_share(sums["delivered"], sum(sums.values())),
        bounced=_share(sums["bounced"], sums["delivered"] + sums["bounced"]),
        minutes=len(minutes),
        waiting=sum(queue["counts"].values()),
        held=queue["counts"].get("held", 0),
        oldest=queue["oldest_waiting"],
        reasons=tuple(_reason(one) for one in queue["reasons"][:_REASONS] if one["recipients"]),
        surges=tuple(
            (one["name"], one["count"]) for one in surges["groups"] if one["kind"] == Why.SURGE
        ),
        chart=traffic_chart(minutes, zone),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _reason(row: Row) -> Reason:
    why = Why(row["kind"])
    kind = "bad" if why in _BAD else "look" if why in _LOOK else "off" if why in _OFF else "way"
    return Reason(TITLES[why], kind, _TONES[kind], row["recipients"], _example(row))


def _example(row: Row) -> str:
    if not row["example"]:
        return ""
    is_one = row["destinations"] <= 1
    return str(row["example"]) if is_one else f"{row['example']} {number(row['most'])}"


def traffic_chart(minutes: Sequence[Row], zone: tzinfo) -> Chart:
    """Recipients a second, minute by minute. Pure."""

    def line(name: str, key: str, tone: Tone, kind: Kind = Kind.LINE) -> Series:
        return Series(name=name, tone=tone, kind=kind, values=tuple(one[key] for one in minutes))

    times = tuple(clock_time(one["at"], zone) for one in minutes)
    lines: tuple[Any, ...] = (
        line("Accepted", "accepted", Tone.COMPARISON, Kind.DASHED),
        line("Delivered", "delivered", Tone.DONE),
        line("Deferred", "deferred", Tone.WAITING),
    )
    best = max((one["delivered"] for one in minutes), default=0)
    return draw(
        Plot(
            finding=f"Up to {best:,.1f} messages a second were delivered in the last hour.",
            labels=times,
            series=lines if len(minutes) > 1 else (),
            height=212,
            empty="The first minutes are being counted.",
        )
    )
