"""Warmup: addresses that receivers do not know yet: today's budgets, what holds them, the plan, and the way on.

The rules are the room's (appliance/warmup, mta/warmup); what a page tells of its days is warmup_days.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from litestar import Response, get, post
from litestar.params import FromQuery, PathParameter

from admin_ui.api.guard import RIGHT
from admin_ui.api.nouns import Name, known_provider
from admin_ui.api.warmup import used_now
from admin_ui.console import warmup_days
from admin_ui.console.charts import legend_of
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.console.warmup_days import Way
from admin_ui.rooms import Behind, Rooms
from appliance.core.errors import ConflictError, NotFoundError, NotRunningError, UsageError
from appliance.rights import Right
from mta.scheduling.census import By
from mta.warmup.day import day_of, days_between, window_of_day
from mta.warmup.model import WarmupState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.egress import EgressRecord
    from mta.warmup.schedule import Schedule

HISTORY: Final = 60  # days that are read
_FEW: Final = 12  # decisions that are told at first
_READS: Final = {RIGHT: Right.EGRESS_READ}
_MANAGES: Final = {RIGHT: Right.EGRESS_MANAGE}
_DONE: Final = {
    "pause": ("Paused", "Nothing of its budget is sent until it is resumed."),
    "resume": ("Resumed", "It goes on with the stage at which it stood."),
    "skip": ("A day is skipped", "The next stage holds from now on."),
    "step-back": ("Stepped back", "The stage before holds from now on."),
    "finish": ("Warm", "There is no budget any more."),
    "restart": ("Begun anew", "The first stage holds from now on."),
}
_Action = Annotated[
    Literal["pause", "resume", "skip", "step-back", "finish", "restart"], PathParameter()
]
_REASONS: Final = frozenset({"pause", "step-back"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An egress that warms up, or could."""

    name: str
    title: str
    ways: tuple[Way, ...]

    @property
    def daily(self) -> tuple[Way, ...]:
        """Those with a budget for today."""
        return tuple(one for one in self.ways if one.is_warming and not one.record.course.is_hourly)

    @property
    def used(self) -> int:
        """Of today's budgets."""
        return sum(one.used for one in self.daily)

    @property
    def limit(self) -> int:
        """Today's budgets together."""
        return sum(one.record.limit for one in self.daily)

    @property
    def tomorrow(self) -> int:
        """Tomorrow's, if those that are held stay so."""
        return self.budget_on(1) or 0

    def budget_on(self, ahead: int) -> int | None:
        """Of all together; None when none has one any more."""
        found = [one.budget_on(ahead) for one in self.ways]
        known = [one for one in found if one is not None]
        return sum(known) if known else None

    @property
    def held(self) -> tuple[Way, ...]:
        """Those that do not go on."""
        return tuple(one for one in self.ways if one.is_held)

    @property
    def going(self) -> tuple[Way, ...]:
        """Those that do."""
        return tuple(one for one in self.ways if one.is_warming and not one.is_held)

    @property
    def is_warm(self) -> bool:
        """Whether every receiver knows it."""
        return all(one.record.state is WarmupState.WARM for one in self.ways)

    @property
    def number(self) -> int:
        """Which day it is."""
        return max((one.number for one in self.ways), default=0)

    @property
    def stages(self) -> int:
        """How many days it takes at best."""
        return max((one.record.stages for one in self.ways), default=0)

    @property
    def badge(self) -> warmup_days.Badge:
        """How it stands as a whole."""
        if self.is_warm:
            return "Warm", "good", "check"
        day = f"Day {self.number} of {self.stages}"
        if self.held:
            return f"{day}, held at {len(self.held)} of {len(self.ways)}", "look", "pause"
        return day, "way", "flame"

    @property
    def warm_on(self) -> str:
        """The day on which the last budget ends; "" when nobody knows."""
        ends = [one.warm_on for one in self.ways if one.record.state is not WarmupState.WARM]
        return max(ends) if ends and all(ends) else ""

    @property
    def planned(self) -> str:
        """The day that was meant."""
        return max((one.planned for one in self.ways), default="")

    @property
    def late(self) -> int:
        """Days later than planned."""
        return days_between(self.planned, self.warm_on) if self.warm_on else 0


@get("/warmup", opt=_READS)
async def warmups(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Every address that warms up."""
    return await _list(rooms, visit)


async def _list(rooms: Rooms, visit: Visit, problem: Problem = NO_PROBLEM) -> Response[bytes]:
    scope = visit.scope
    records, egresses, schedules, titles = await asyncio.gather(
        rooms.warmups.list(scope),
        rooms.egresses.list(scope),
        rooms.files.schedules(),
        titles_of(rooms),
    )
    used = await used_now(rooms, records)
    names = sorted({one.egress for one in records})
    days = await asyncio.gather(*(rooms.warmups.history(scope, one, days=7) for one in names))
    by_name = {one.name: one for one in egresses}
    rows = []
    for name, found in zip(names, days, strict=True):
        mine = [(one, n) for one, n in zip(records, used, strict=True) if one.egress == name]
        rows.append(_address(visit, by_name.get(name), name, mine, found, titles))
    known = [one.name for one in egresses] or [rooms.files.default_egress]
    return await visit.page(
        "warmups.html",
        problem=problem,
        rows=rows,
        startable=[(one, _title(by_name.get(one), one)) for one in known],
        schedules=sorted(schedules.values(), key=lambda one: one.name),
        titles=titles,
        words_of=warmup_days.words_of,
    )


def _address(
    visit: Visit,
    egress: EgressRecord | None,
    name: str,
    mine: Sequence[Any],
    history: Sequence[Any],
    titles: dict[str, str],
) -> Address:
    ways = warmup_days.ways_of(
        [one for one, _ in mine],
        [count for _, count in mine],
        history,
        titles,
        visit.stage.now(),
        visit.rooms.files.zone,
    )
    return Address(name=name, title=_title(egress, name), ways=ways)


def _title(egress: EgressRecord | None, name: str) -> str:
    return egress.addresses[0] if egress else name


async def titles_of(rooms: Rooms) -> dict[str, str]:
    """Receivers by the names that people have for them."""
    book = await rooms.files.shaping()
    return {one.name: one.title for one in book.providers.values() if one.name}


@get("/warmup/{egress:str}", opt=_READS)
async def warmup(
    egress: Name, rooms: Behind, visit: WhoVisits, days: FromQuery[str] = ""
) -> Response[bytes]:
    """One address."""
    return await _record(rooms, visit, egress, every=days == "all")


async def _record(
    rooms: Rooms, visit: Visit, name: str, problem: Problem = NO_PROBLEM, *, every: bool = False
) -> Response[bytes]:
    scope = visit.scope
    records, egresses, history, titles, pools, waits = await asyncio.gather(
        rooms.warmups.list(scope, name),
        rooms.egresses.list(scope),
        rooms.warmups.history(scope, name, days=HISTORY),
        titles_of(rooms),
        rooms.pools.list(scope),
        _waiting(rooms, visit),
    )
    if not records:
        raise NotFoundError(f"no warmup of {name!r} has been started")
    used = await used_now(rooms, records)
    egress = next((one for one in egresses if one.name == name), None)
    mine = list(zip(records, used, strict=True))
    address = _address(visit, egress, name, mine, history, titles)
    charts = [one.chart for one in address.ways]
    decided = warmup_days.decisions(address.ways)
    return await visit.page(
        "warmup.html",
        problem=problem,
        address=address,
        egress=egress,
        pools=[one.name for one in pools if name in {each.egress for each in one.members}],
        charts=list(zip(address.ways, charts, strict=True)),
        legend=legend_of(charts),
        passed=_passed(visit),
        decided=decided if every else decided[:_FEW],
        more=0 if every else max(0, len(decided) - _FEW),
        waits=waits,
        words_of=warmup_days.words_of,
        next_days=warmup_days.NEXT,
    )


async def _waiting(rooms: Rooms, visit: Visit) -> int | None:
    """What the whole box cannot send for want of a budget; None when nobody could say."""
    try:
        found = await rooms.queue.summary(visit.scope, By.REASON, 1)
    except NotRunningError:
        return None
    return sum(int(one["recipients"]) for one in found["reasons"] if one["kind"] == "warmup")


def _passed(visit: Visit) -> float:
    """The share of the day that is gone."""
    now, zone = visit.stage.now(), visit.rooms.files.zone
    window = window_of_day(day_of(now, zone), zone)
    return (now - window.start) / (window.end - window.start)


@post("/warmup", opt=_MANAGES)
async def start_warmup(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Begin one."""
    form, scope = visit.form, visit.scope
    try:
        name = form.one_of("egress", await _startable(rooms, visit))
        schedule = await _schedule(rooms, form.needed("schedule", most=100))
        target = form.whole("target")
        if schedule.needs_target and not target:
            raise UsageError(f"{schedule.name} is in per cent of it: name it", field="target")
        if target and not schedule.needs_target:
            raise UsageError(
                f"{schedule.name} has volumes of its own: leave it empty", field="target"
            )
        picked = form.many("provider", most=100)
        providers = [await known_provider(rooms, one) for one in picked]
        await rooms.warmups.start(scope, name, schedule, providers=providers, target=target)
    except (UsageError, ConflictError) as error:
        return await _list(rooms, visit, Problem.of(error, "start"))
    return visit.to(f"/warmup/{name}", "The warmup has begun", "Today's budgets hold from now on.")


async def _startable(rooms: Rooms, visit: Visit) -> list[str]:
    found = [one.name for one in await rooms.egresses.list(visit.scope)]
    return found or [rooms.files.default_egress]


async def _schedule(rooms: Rooms, name: str) -> Schedule:
    every = await rooms.files.schedules()
    if name not in every:
        raise UsageError(f"choose one of: {', '.join(sorted(every))}", field="schedule")
    return every[name]


@post("/warmup/{egress:str}/{action:str}", opt=_MANAGES)
async def move_warmup(
    egress: Name, action: _Action, rooms: Behind, visit: WhoVisits
) -> Response[bytes]:
    """Pause, resume, skip a day, step back, finish or begin anew; for the receivers that are ticked."""
    form, of = visit.form, rooms.warmups
    moves: dict[str, Any] = {
        "pause": of.pause,
        "resume": of.resume,
        "skip": of.skip,
        "step-back": of.step_back,
        "finish": of.finish,
        "restart": of.restart,
    }
    try:
        given: dict[str, Any] = {}
        if action in _REASONS:
            given["reason"] = form.needed("reason", most=500)
        if action == "pause":
            given["until"] = form.moment("until", rooms.files.zone)
        await moves[action](visit.scope, egress, _providers(visit), **given)
    except (UsageError, ConflictError) as error:
        return await _record(rooms, visit, egress, Problem.of(error, action))
    return visit.to(f"/warmup/{egress}", *_DONE[action])


def _providers(visit: Visit) -> tuple[str, ...]:
    """Those that are ticked; a dialog where none is would else mean all."""
    found = visit.form.many("provider", most=100)
    if not found:
        raise UsageError("tick at least one receiver", field="provider")
    return found


HANDLERS: Final[list[Any]] = [warmups, warmup, start_warmup, move_warmup]
