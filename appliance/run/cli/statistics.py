"""`pillarbox statistics`: what became of mail, by hour and by day, and counting it all again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.run.cli.moment import moment
from appliance.run.cli.output import Table, span, when
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from appliance.jobs import Job
    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms
    from appliance.statistics import Counts, Period, Standing

command = group("statistics", "What became of mail, by hour and by day.")

_DIMENSIONS: Final = ("tenant", "domain", "provider", "egress", "tag", "class", "reason")
_SHOWN: Final = (
    *("accepted", "delivered", "deferred", "bounced_hard", "bounced_soft", "expired"),
    *("suppressed", "cancelled", "held", "complained", "bounced_late", "unsubscribed"),
)
_DAYS: Final = "7d"

Row = tuple[str, "Counts"]


@command.command()
@click.option("--tenant", metavar="NAME", help="Of this tenant; else of the whole box.")
@click.option("--by", type=click.Choice(_DIMENSIONS), help="Rank the values of this.")
@click.option("--value", metavar="TEXT", help="With --by: this value over time, instead.")
@click.option("--since", default=_DAYS, show_default=True, metavar="TIME")
@click.option("--until", default="", metavar="TIME", help="Before this time; else until now.")
@click.option("--step", type=click.Choice(("hour", "day")), default="day", show_default=True)
@click.option("--order", type=click.Choice(_SHOWN), default="accepted", show_default=True)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100))
@pass_session
def show(session: Session, /, **given: Any) -> None:
    """Show counts of recipients. Days are those of UTC."""
    if given["value"] is not None and not given["by"]:
        raise UsageError("--value needs --by: of what it is a value")
    period = _period(given, clock.now_ms())

    async def work(rooms: Rooms) -> tuple[list[Row], Counts, Standing]:
        return await _answer(session, rooms, given, period)

    rows, total, standing = session.box.ask(work)
    head = given["by"] if _is_ranking(given) else given["step"]
    answer = {
        "rows": [{head: name, **_row(counts)} for name, counts in rows],
        "total": _row(total),
        "counted_to_at": standing.counted_to,
    }
    session.out.show(answer, _shown(head, rows, total, standing))


@command.command()
@pass_session
def rebuild(session: Session) -> None:
    """Count everything again that the event log still has; the old counts show until that is done."""
    from appliance.run.statistics_loop import order

    async def work(rooms: Rooms) -> Job:
        return await rooms.jobs.order(rooms.scope, order())

    job = session.box.ask(work)
    session.out.show(
        {"job": job.id},
        [f"job {job.id} counts again: `pillarbox job show {job.id} --wait` follows it"],
    )


async def _answer(
    session: Session, rooms: Rooms, given: dict[str, Any], period: Period
) -> tuple[list[Row], Counts, Standing]:
    from appliance.statistics import Dimension, Measure, Of, opened

    tenant_id = await rooms.tenant_id(given["tenant"]) if given["tenant"] else None
    by = Dimension(given["by"] or Dimension.TOTAL)
    of = Of(dimension=by, value=given["value"] or "", tenant_id=tenant_id)
    location = session.box.home.statistics_location(session.box.settings)
    async with opened(location) as statistics:
        standing = await statistics.standing(rooms.scope)
        if not _is_ranking(given):
            points = await statistics.series(rooms.scope, period, of)
            rows = [(_time(point.at, given["step"]), point.counts) for point in points]
            return rows, await statistics.totals(rooms.scope, period, of), standing
        ranked = await statistics.top(
            rooms.scope,
            period,
            by,
            order=Measure(given["order"]),
            limit=given["limit"],
            tenant_id=tenant_id,
        )
        total = await statistics.totals(rooms.scope, period, Of(tenant_id=tenant_id))
    names = await rooms.tenant_names() if by is Dimension.TENANT else {}
    return [(_name(one.value, names), one.counts) for one in ranked], total, standing


def _is_ranking(given: dict[str, Any]) -> bool:
    return bool(given["by"]) and given["value"] is None


def _period(given: dict[str, Any], now: int) -> Period:
    from appliance.statistics import Period, Step

    since, until = moment(given["since"], now), moment(given["until"], now) or now
    if since >= until:
        raise UsageError("--since is not before --until")
    return Period(since=since, until=until, step=Step(given["step"]))


def _time(at: int, step: str) -> str:
    return when(at)[:10] if step == "day" else when(at)[:16]


def _name(value: str, names: dict[int, str]) -> str:
    return names.get(int(value), value) if value.isdecimal() and names else value


def _row(counts: Counts) -> dict[str, int]:
    return {
        **{name: getattr(counts, name) for name in (*_SHOWN, "corrupt")},
        "delay_p50_ms": counts.delay_at(0.5),
        "delay_p95_ms": counts.delay_at(0.95),
        "delay_mean_ms": counts.mean_delay,
    }


def _shown(head: str, rows: Sequence[Row], total: Counts, standing: Standing) -> Iterator[Part]:
    used = [name for name in _SHOWN if getattr(total, name) or name in ("accepted", "delivered")]
    table = [(name or "-", *_cells(counts, used)) for name, counts in rows]
    headers = (head, *(name.replace("_", " ") for name in used), "p50", "p95")
    yield Table(
        headers,
        [*table, ("total", *_cells(total, used))] if table else [],
        "nothing was counted in this time",
        frozenset(headers[1:]),
    )
    if standing.rebuilding:
        yield "these are the old counts: new ones are being made (`pillarbox job list --open`)"


def _cells(counts: Counts, used: Sequence[str]) -> tuple[str, ...]:
    delays = (span(counts.delay_at(share)) if counts.delivered else "-" for share in (0.5, 0.95))
    return (*(f"{getattr(counts, name):,}" for name in used), *delays)
