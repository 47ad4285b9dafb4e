"""Warmup: addresses that are new to receivers, how much each may send today, and why.

A change concerns the providers that are named, else all of the address where it makes sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import get, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.nouns import PLAIN, Name, Short, Words, known_provider, page
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example, Limit, millis, moment
from admin_ui.rooms import Behind, Rooms
from appliance.core import clock
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.rights import Right
from appliance.warmup import DayRecord, WarmupRecord
from mta.warmup.day import Calendar
from mta.warmup.model import BUDGETS, WarmupState, budget_key
from mta.warmup.schedule import Schedule

_WARMUP: Final = {
    "egress": "out-1",
    "provider": "google",
    "schedule": "standard",
    "target": 0,
    "state": "warming",
    "stage": 3,
    "stages": 30,
    "limit": 200,
    "used": 87,
    "hourly": False,
    "reason": "all went well",
    "paused_until": None,
    "started_at": "2026-11-17T10:00:00Z",
    "changed_at": "2026-11-20T00:05:00Z",
}
_DAY: Final = {
    "egress": "out-1",
    "provider": "google",
    "day": "2026-11-19",
    "stage": 2,
    "budget": 100,
    "used": 100,
    "delivered": 99,
    "deferred": 1,
    "bounced": 0,
    "blocked": 0,
    "complained": 0,
    "decision": "advance",
    "reason": "all went well",
}
_SCHEDULE: Final = {
    "name": "standard",
    "description": "A careful start, doubling every other day.",
    "source": "what large receivers publish",
    "hourly": False,
    "providers": ["google", "other"],
    "needs_target": False,
    "volumes": {"other": [50, 100, 200]},
}
_Providers = Annotated[tuple[Short, ...], Meta(max_length=100)]


class WarmupShape(msgspec.Struct, frozen=True, kw_only=True):
    """How far an address has come with a provider."""

    egress: str
    provider: str
    schedule: str
    target: Annotated[int, Meta(description="0: the schedule has volumes of its own.")]
    state: WarmupState
    stage: Annotated[int, Meta(description="From 1; below: smaller than the first.")]
    stages: int
    limit: Annotated[int, Meta(description="Recipients in one day, or hour if `hourly`.")]
    used: Annotated[int, Meta(description="Of `limit`, in the window that runs.")]
    hourly: bool
    reason: str
    paused_until: datetime | None
    started_at: datetime | None
    changed_at: datetime | None


class WarmupPage(msgspec.Struct, frozen=True, kw_only=True):
    """Warmups by address and provider; `cursor` leads on, "" at the end."""

    items: list[WarmupShape]
    cursor: str


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """The warmups that were changed."""

    items: list[WarmupShape]


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What a day brought, and what followed from it."""

    egress: str
    provider: str
    day: str
    stage: int
    budget: int
    used: int
    delivered: int
    deferred: int
    bounced: int
    blocked: int
    complained: int
    decision: Annotated[str, Meta(description="Empty: nobody has judged it yet.")]
    reason: str


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """Days of an address, newest first."""

    items: list[Day]
    cursor: str


class ScheduleShape(msgspec.Struct, frozen=True, kw_only=True):
    """By which plan one may warm up."""

    name: str
    description: str
    source: Annotated[str, Meta(description="Where its figures come from.")]
    hourly: bool
    providers: list[str]
    needs_target: Annotated[bool, Meta(description="It says shares of a volume to be named.")]
    volumes: dict[str, list[int]]


class Schedules(msgspec.Struct, frozen=True, kw_only=True):
    """Schedules by name; `cursor` leads on, "" at the end."""

    items: list[ScheduleShape]
    cursor: str


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Warm an address up."""

    schedule: Annotated[str, Meta(max_length=100, pattern=PLAIN)] = "standard"
    providers: Annotated[_Providers, Meta(description="Empty: all of the schedule.")] = ()
    target: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0


class Hold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Send nothing of its budget."""

    reason: Words
    providers: _Providers = ()
    until: Annotated[datetime, Meta(tz=True)] | None = None


class Back(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Go a stage back."""

    reason: Words
    providers: Annotated[_Providers, Meta(description="Empty: all that are under way.")] = ()


class Which(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which providers are meant; empty: all where it makes sense."""

    providers: _Providers = ()


@get(
    "/warmups",
    opt={RIGHT: Right.EGRESS_READ, EXAMPLE: Example({"items": [_WARMUP], "cursor": ""})},
    tags=["warmup"],
    summary="List the warmups",
)
async def list_warmups(
    rooms: Behind,
    asker: WhoAsks,
    egress: Annotated[str, QueryParameter(max_length=255, pattern=PLAIN)] = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> WarmupPage:
    """Stage, what is used of it now, and why it stands there."""
    every = await rooms.warmups.list(asker.actor.scope, egress)
    items, last = page(every, lambda one: f"{one.egress} {one.provider}", cursor, limit)
    return WarmupPage(items=await _all_shown(rooms, items), cursor=last)


@get(
    "/warmup-schedules",
    opt={RIGHT: Right.EGRESS_READ, EXAMPLE: Example({"items": [_SCHEDULE], "cursor": ""})},
    tags=["warmup"],
    summary="List the warmup schedules",
)
async def list_schedules(rooms: Behind, cursor: Cursor = "", limit: Limit = 50) -> Schedules:
    """Those that come with the box, and those in its data directory."""
    every = (await rooms.files.schedules()).values()
    items, last = page(every, lambda one: one.name, cursor, limit)
    return Schedules(items=[_schedule(one) for one in items], cursor=last)


@get(
    "/warmups/{egress:str}/history",
    opt={RIGHT: Right.EGRESS_READ, EXAMPLE: Example({"items": [_DAY], "cursor": ""})},
    tags=["warmup"],
    summary="Show the days of a warmup",
)
async def history(
    egress: Name,
    rooms: Behind,
    asker: WhoAsks,
    days: Annotated[int, QueryParameter(ge=1, le=400)] = 30,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Days:
    """What each brought, and what followed from it, newest first."""
    scope = asker.actor.scope
    every = await rooms.warmups.history(scope, egress, days=days)
    if not every:
        await _require_egress(rooms, scope, egress)
    # Newest first: the key falls with the day.
    items, last = page(every, lambda one: f"{_falling(one.day)} {one.provider}", cursor, limit)
    return Days(items=[_day(one) for one in items], cursor=last)


@post(
    "/warmups/{egress:str}/start",
    status_code=200,
    opt={
        RIGHT: Right.EGRESS_MANAGE,
        EXAMPLE: Example({"items": [_WARMUP]}, {"schedule": "standard"}),
    },
    tags=["warmup"],
    summary="Begin a warmup",
)
async def start(egress: Name, data: JSONBody[Start], rooms: Behind, asker: WhoAsks) -> Moved:
    """409 while one of the providers is under way already."""
    scope = asker.actor.scope
    await _require_egress(rooms, scope, egress)
    made = await rooms.warmups.start(
        scope,
        egress,
        await _the_schedule(rooms, data),
        providers=[await known_provider(rooms, name) for name in data.providers],
        target=data.target,
    )
    return Moved(items=await _all_shown(rooms, made))


@post(
    "/warmups/{egress:str}/pause",
    status_code=200,
    opt={
        RIGHT: Right.EGRESS_MANAGE,
        EXAMPLE: Example(
            {"items": [_WARMUP | {"state": "paused", "reason": "many complaints (ann)"}]},
            {"reason": "many complaints", "providers": ["google"]},
        ),
    },
    tags=["warmup"],
    summary="Pause a warmup",
)
async def pause(egress: Name, data: JSONBody[Hold], rooms: Behind, asker: WhoAsks) -> Moved:
    """Mail goes from other addresses, or waits; until somebody resumes it, or a time."""
    moved = await rooms.warmups.pause(
        asker.actor.scope,
        egress,
        data.providers,
        reason=data.reason,
        until=millis(data.until),
    )
    return Moved(items=await _all_shown(rooms, moved))


@post(
    "/warmups/{egress:str}/step-back",
    status_code=200,
    opt={
        RIGHT: Right.EGRESS_MANAGE,
        EXAMPLE: Example(
            {"items": [_WARMUP | {"reason": "stepped back by hand: many deferrals (ann)"}]},
            {"reason": "many deferrals", "providers": ["google"]},
        ),
    },
    tags=["warmup"],
    summary="Step a warmup back",
)
async def step_back(egress: Name, data: JSONBody[Back], rooms: Behind, asker: WhoAsks) -> Moved:
    """To the stage before; the schedule goes on from there. 409 when it is warm, or at the lowest."""
    moved = await rooms.warmups.step_back(
        asker.actor.scope, egress, data.providers, reason=data.reason
    )
    return Moved(items=await _all_shown(rooms, moved))


@post(
    "/warmups/{egress:str}/{action:str}",
    status_code=200,
    opt={
        RIGHT: Right.EGRESS_MANAGE,
        EXAMPLE: Example({"items": [_WARMUP]}, {"providers": ["google"]}),
    },
    tags=["warmup"],
    summary="Resume, skip a stage of, finish or restart a warmup",
)
async def move(
    egress: Name,
    action: Annotated[Literal["resume", "skip", "finish", "restart"], PathParameter()],
    data: JSONBody[Which],
    rooms: Behind,
    asker: WhoAsks,
) -> Moved:
    """`skip` goes to the next stage, `finish` calls it warm, `restart` begins with the first stage."""
    of = rooms.warmups
    moves = {"resume": of.resume, "skip": of.skip, "finish": of.finish, "restart": of.restart}
    moved = await moves[action](asker.actor.scope, egress, data.providers)
    return Moved(items=await _all_shown(rooms, moved))


async def _require_egress(rooms: Rooms, scope: Scope, name: str) -> None:
    known = {one.name for one in await rooms.egresses.list(scope)} or {rooms.files.default_egress}
    if name not in known:
        raise NotFoundError(f"no egress is named {name!r}")


async def _the_schedule(rooms: Rooms, data: Start) -> Schedule:
    every = await rooms.files.schedules()
    found = every.get(data.schedule)
    if found is None:
        there = ", ".join(sorted(every))
        raise UsageError(
            f"no schedule is named {data.schedule!r}: there are {there}", field="schedule"
        )
    return found


async def _all_shown(rooms: Rooms, found: Any) -> list[WarmupShape]:
    """With what is used of the windows that run."""
    used = await used_now(rooms, found)
    return [_shown(one, count) for one, count in zip(found, used, strict=True)]


async def used_now(rooms: Rooms, found: Sequence[WarmupRecord]) -> list[int]:
    """What is used of the windows that run, in the order of the warmups: one question for all."""
    calendar, now = Calendar(rooms.files.zone), clock.now_ms()
    windows = {hourly: calendar.window(now, is_hourly=hourly).start for hourly in (False, True)}
    used = await rooms.budgets.used_of(BUDGETS, tuple(set(windows.values()))) if found else {}
    return [used.get(_place(one, windows), 0) for one in found]


def _place(one: WarmupRecord, windows: dict[bool, int]) -> tuple[str, int]:
    hourly = one.course.is_hourly
    return budget_key(one.egress, one.provider, is_hourly=hourly), windows[hourly]


def _shown(one: WarmupRecord, used: int) -> WarmupShape:
    return WarmupShape(
        egress=one.egress,
        provider=one.provider,
        schedule=one.schedule,
        target=one.target,
        state=one.state,
        stage=one.stage + 1,
        stages=one.stages,
        limit=one.limit,
        used=used,
        hourly=one.course.is_hourly,
        reason=one.reason,
        paused_until=moment(one.paused_until),
        started_at=moment(one.started_at),
        changed_at=moment(one.changed_at),
    )


def _falling(day: str) -> str:
    """A text that sorts the later the earlier the day is."""
    return f"{99_999_999 - int(day.replace('-', ''))}"


def _day(one: DayRecord) -> Day:
    return Day(
        egress=one.egress,
        provider=one.provider,
        day=one.day,
        stage=one.stage + 1,
        budget=one.budget,
        used=one.used,
        delivered=one.delivered,
        deferred=one.deferred,
        bounced=one.bounced,
        blocked=one.blocked,
        complained=one.complained,
        decision=one.decision,
        reason=one.reason,
    )


def _schedule(one: Schedule) -> ScheduleShape:
    return ScheduleShape(
        name=one.name,
        description=one.description,
        source=one.source,
        hourly=one.is_hourly,
        providers=list(one.providers),
        needs_target=one.needs_target,
        volumes={name: list(volumes) for name, volumes in one.volumes.items()},
    )


HANDLERS: Final[list[Any]] = [
    list_warmups,
    list_schedules,
    history,
    start,
    pause,
    step_back,
    move,
]
