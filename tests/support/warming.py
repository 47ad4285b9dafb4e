"""A box whose addresses warm up, with days that were judged by the worker's own loop on a clock of the test's.

await warm_up(api, days=12) leaves out2 on its twelfth day: stepped back and held at Microsoft, held at Yahoo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.blocklists import ListState, Probe, Sighting, Target
from appliance.core import clock
from appliance.egress import EgressRequest, PoolChange
from appliance.limits import Budgets
from appliance.run.warmup_days import SETTLE, WarmupDays
from appliance.warmup import DayBook, DayCounts, Warmups
from mta.egress import Member
from mta.shaping.model import Rate
from mta.shaping.throttle import Change, ChangeKind, Fault, Subject, Throttle
from mta.warmup.day import day_of, window_of_day
from mta.warmup.model import budget_key
from tests.support.api import SYSTEM

if TYPE_CHECKING:
    from tests.support.api import Api

RECEIVERS = ("google", "microsoft", "yahoo", "other")


def told(provider: str, day: int, used: int) -> dict[str, int]:
    """What a receiver answered on a day, in per cent of what was sent."""
    deferred, blocked, complained = 1.2, 0.0, 0.02
    if provider == "microsoft":
        deferred = {8: 40.0}.get(day, 18.4 if day > 8 else 1.5)
    if provider == "yahoo" and day > 9:
        deferred, complained = 4.1, 0.21
    late = round(used * deferred / 100)
    return {
        "delivered": used,
        "deferred": late,
        "blocked": round(used * blocked / 100),
        "complained": round(used * complained / 100),
    }


async def addresses(api: Api) -> None:
    """Four addresses in two pools."""
    for number in range(1, 5):
        await api.rooms.egress_life.create(
            SYSTEM,
            EgressRequest(
                name=f"out{number}",
                address=f"198.51.100.{20 + number}",
                helo=f"out{number}.relay.example",
            ),
        )
    for name, members in (("shared", ("out1", "out3")), ("transactional", ("out1", "out2"))):
        made = tuple(Member(egress=one, weight=2 if one == "out1" else 1) for one in members)
        wish = PoolChange(members=made, is_default=name == "shared")
        await api.rooms.pools.set(SYSTEM, name, wish)


async def warm_up(api: Api, egress: str = "out2", days: int = 12) -> None:
    """`days` days of a warmup, of which the last is today."""
    zone, now = api.rooms.files.zone, clock.now_ms()
    begun = now - (days - 1) * clock.DAY
    engine = api.rooms.warmups._engine
    book, budgets = DayBook(engine, lambda: begun), Budgets(engine)
    schedule = (await api.rooms.files.schedules())["aggressive"]
    early = Warmups(engine, zone, lambda: begun)
    await early.start(SYSTEM, egress, schedule, providers=RECEIVERS)
    for number in range(1, days + 1):
        at = begun + (number - 1) * clock.DAY
        is_today = number == days
        day, window = day_of(at, zone), window_of_day(day_of(at, zone), zone)
        counts = []
        for one in await early.list(SYSTEM, egress):
            used = round(one.limit * (0.6 if is_today else 0.96))
            key = budget_key(egress, one.provider, is_hourly=False)
            await budgets.lease(key, window.start, used, one.limit)
            counts.append(
                DayCounts(egress=egress, provider=one.provider, day=day)
                if is_today
                else DayCounts(
                    egress=egress,
                    provider=one.provider,
                    day=day,
                    **told(one.provider, number, used),
                )
            )
        await book.count(counts)
        if not is_today:
            over = window.end + SETTLE + clock.MINUTE
            judge = DayBook(engine, lambda over=over: over)
            loop = WarmupDays(
                judge,
                budgets,
                zone=zone,
                idle_days=30,
                has_feedback_loop={"microsoft", "yahoo"}.__contains__,
                now=lambda over=over: over,
            )
            await loop.step()


async def slowed(api: Api, words: str) -> None:
    """out3 is suspended at Yahoo, out2 slowed at Microsoft, as their answers wanted it."""
    now = clock.now_ms()
    for egress, zone, until in (("out3", "yahoo", now + clock.HOUR), ("out2", "microsoft", 0)):
        subject = Subject(egress, zone)
        fault = Fault("busy", words, "mx.remote.example", now - clock.MINUTE)
        told = Change(subject, now - clock.MINUTE, ChangeKind.SLOWED, f"slowed to 10/min: {words}")
        throttle = Throttle(
            subject=subject,
            rate=Rate(10, 60),
            connections=1,
            suspended_until=until,
            fault=fault,
            heard_at=now - clock.MINUTE,
            changed_at=now - clock.MINUTE,
            history=(told,),
        )
        await api.rooms.throttles.save([throttle])


async def listed(api: Api, text: str) -> None:
    """out3 stands on the first list; one list answers nobody."""
    lists = await api.rooms.files.blocklists()
    probes = {one.zone: Probe(state=ListState.USABLE) for one in lists}
    probes[lists[-1].zone] = Probe(state=ListState.UNREACHABLE, why="DNS could not say")
    await api.rooms.blocklists.note_probes(SYSTEM, probes)
    target = Target(egress="out3", address="198.51.100.23")
    code = next(iter(lists[0].codes)).replace("*", "2")
    seen = Sighting(target=target, zone=lists[0].zone, codes=(code,), text=text)
    await api.rooms.blocklists.note_listed(SYSTEM, seen)
