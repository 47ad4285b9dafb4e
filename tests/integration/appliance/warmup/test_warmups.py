"""What people do to warmups, on both databases."""

from __future__ import annotations

import pytest

from appliance.core import clock
from appliance.core.control import Part, generations
from appliance.core.database import reading
from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.tenancy import AuditLog
from appliance.warmup import DayBook, DayCounts, Warmups
from mta.warmup.model import LOWEST, OTHER, WarmupState
from mta.warmup.schedule import SHIPPED, load_schedules

ADMIN = Scope.system(by="ann")
SCHEDULES = load_schedules([SHIPPED])
STANDARD, BY_PROVIDER = SCHEDULES["standard"], SCHEDULES["by-provider"]
GOOGLE = ("google",)


@pytest.fixture
def warmups(engine, now):
    return Warmups(engine, now=now)


async def plan_of(warmups, provider="google"):
    return (await warmups.plans())["a", provider]


async def generation(engine):
    async with reading(engine) as connection:
        return (await generations(connection))[Part.WARMUP]


async def test_nothing_is_warmed_up_until_somebody_starts_it(warmups):
    assert await warmups.plans() == {}
    assert await warmups.list(ADMIN) == ()


async def test_a_start_is_for_every_provider_of_the_schedule_and_the_others(warmups, engine, now):
    before = await generation(engine)
    made = await warmups.start(ADMIN, "a", STANDARD)
    assert [one.provider for one in made] == [*STANDARD.providers]
    assert set(await warmups.list(ADMIN)) == set(made)
    assert {(one.decided, one.last_mail) for one in made} == {("2027-01-14", "2027-01-15")}
    plans = await warmups.plans()
    assert set(plans) == {("a", provider) for provider in STANDARD.providers}
    one = plans["a", OTHER]
    assert (one.state, one.stage, one.stages, one.limit) == (WarmupState.WARMING, 0, 27, 200)
    assert (one.is_hourly, one.reserve, one.why) == (False, 0.2, "")
    assert await generation(engine) == before + 1


async def test_a_start_may_be_for_some_and_to_a_volume(warmups):
    await warmups.start(ADMIN, "a", BY_PROVIDER, providers=["apple", "gmx"], target=40_000)
    plans = await warmups.plans()
    assert {name: one.limit for (_, name), one in plans.items()} == {"apple": 200, "gmx": 400}
    with pytest.raises(UsageError, match="--target"):
        await warmups.start(ADMIN, "b", BY_PROVIDER)


async def test_what_runs_is_not_started_twice_and_what_is_warm_may_start_anew(warmups):
    await warmups.start(ADMIN, "a", STANDARD, providers=GOOGLE)
    with pytest.raises(ConflictError, match="stage 1 of 27"):
        await warmups.start(ADMIN, "a", STANDARD)
    assert len(await warmups.list(ADMIN)) == 1, "a refused start starts none"
    await warmups.finish(ADMIN, "a")
    await warmups.start(ADMIN, "a", SCHEDULES["conservative"])
    assert (await plan_of(warmups)).limit == 50


async def test_a_pause_keeps_mail_back_and_says_who_and_why(warmups):
    await warmups.start(ADMIN, "a", STANDARD)
    await warmups.pause(ADMIN, "a", GOOGLE, reason="listed")
    paused = await plan_of(warmups)
    assert (paused.state, paused.why) == (WarmupState.PAUSED, "listed (ann)")
    assert (await plan_of(warmups, OTHER)).state is WarmupState.WARMING
    await warmups.resume(ADMIN, "a")
    assert (await plan_of(warmups)).state is WarmupState.WARMING
    with pytest.raises(ConflictError, match="not paused"):
        await warmups.resume(ADMIN, "a", GOOGLE)


async def test_stages_are_skipped_up_to_the_end_and_begun_anew(warmups):
    await warmups.start(ADMIN, "a", STANDARD, providers=GOOGLE)
    await warmups.skip(ADMIN, "a")
    assert ((await plan_of(warmups)).stage, (await plan_of(warmups)).limit) == (1, 500)
    for _ in range(26):
        await warmups.skip(ADMIN, "a")
    assert (await plan_of(warmups)).state is WarmupState.WARM
    with pytest.raises(ConflictError, match="warm"):
        await warmups.skip(ADMIN, "a")
    await warmups.restart(ADMIN, "a")
    again = await plan_of(warmups)
    assert (again.state, again.stage) == (WarmupState.WARMING, 0)


async def test_a_warmup_steps_back_to_the_smallest_stage_and_says_who_and_why(warmups, engine):
    await warmups.start(ADMIN, "a", STANDARD, providers=GOOGLE)
    await warmups.skip(ADMIN, "a")
    (moved,) = await warmups.step_back(ADMIN, "a", reason="deferrals")
    assert (moved.stage, moved.reason) == (0, "stepped back by hand: deferrals (ann)")
    first = await plan_of(warmups)
    await warmups.step_back(ADMIN, "a", reason="more of them")
    assert (await plan_of(warmups)).limit < first.limit
    while (await plan_of(warmups)).stage > LOWEST:
        await warmups.step_back(ADMIN, "a", reason="still")
    with pytest.raises(ConflictError, match="lowest stage"):
        await warmups.step_back(ADMIN, "a", reason="again")
    with pytest.raises(UsageError, match="say why"):
        await warmups.step_back(ADMIN, "a", reason=" ")
    await warmups.pause(ADMIN, "a", reason="listed")
    await warmups.resume(ADMIN, "a")
    await warmups.finish(ADMIN, "a")
    with pytest.raises(ConflictError, match="warm"):
        await warmups.step_back(ADMIN, "a", GOOGLE, reason="x")
    acts = [one.action for one in await AuditLog(engine).list(ADMIN)]
    assert acts.count("warmup.step-back") == 1 - LOWEST


async def test_what_is_warm_is_passed_over_unless_it_was_named(warmups):
    await warmups.start(ADMIN, "a", STANDARD)
    await warmups.finish(ADMIN, "a", GOOGLE)
    moved = await warmups.pause(ADMIN, "a", reason="x")
    assert {one.provider for one in moved} == {*STANDARD.providers} - {"google"}
    with pytest.raises(ConflictError, match="a for google is warm"):
        await warmups.pause(ADMIN, "a", [*GOOGLE, OTHER], reason="x")


async def test_what_is_not_there_is_not_found(warmups):
    with pytest.raises(NotFoundError, match="b has no warmup"):
        await warmups.skip(ADMIN, "b")
    await warmups.start(ADMIN, "a", STANDARD, providers=GOOGLE)
    with pytest.raises(NotFoundError, match="for apple"):
        await warmups.skip(ADMIN, "a", ["apple", "google"])
    assert (await plan_of(warmups)).stage == 0


async def test_a_tenant_has_no_say_in_it(warmups):
    tenant = Scope.tenant(7)
    for asked in (
        warmups.list(tenant),
        warmups.history(tenant, "a"),
        warmups.start(tenant, "a", STANDARD),
        warmups.pause(tenant, "a", reason="x"),
        warmups.finish(tenant, "a"),
    ):
        with pytest.raises(UsageError, match="admin"):
            await asked


async def test_every_change_is_in_the_audit_log(warmups, engine):
    await warmups.start(ADMIN, "a", BY_PROVIDER, providers=GOOGLE, target=5000)
    await warmups.pause(ADMIN, "a", reason="too many blocks")
    await warmups.resume(ADMIN, "a")
    await warmups.skip(ADMIN, "a")
    await warmups.restart(ADMIN, "a")
    await warmups.finish(ADMIN, "a")
    entries = await AuditLog(engine).list(ADMIN)
    assert [one.action.removeprefix("warmup.") for one in entries] == [
        *("finish", "restart", "skip", "resume", "pause", "start"),
    ]
    assert {one.record for one in entries} == {"warmup of a for google"}
    assert entries[-1].detail == "schedule by-provider to 5,000"
    assert entries[-2].detail == "too many blocks (ann)"


async def test_history_shows_the_latest_days_first(warmups, engine, now):
    book = DayBook(engine, now)
    await warmups.start(ADMIN, "a", STANDARD)
    for ago in range(5):
        day = clock.aware(now() - ago * clock.DAY).date().isoformat()
        for provider in ("google", OTHER):
            one = DayCounts(egress="a", provider=provider, day=day, delivered=10 + ago)
            await book.count([one])
    found = await warmups.history(ADMIN, "a", "google", days=3)
    assert [(one.day, one.delivered) for one in found] == [
        ("2027-01-15", 10),
        ("2027-01-14", 11),
        ("2027-01-13", 12),
    ]
    assert len(await warmups.history(ADMIN, "a")) == 10
    await book.forget("2027-01-13")
    assert len(await warmups.history(ADMIN, "a")) == 6


async def test_a_course_outlives_the_file_it_came_from(warmups, engine, now):
    await warmups.start(ADMIN, "a", SCHEDULES["conservative"], providers=GOOGLE)
    [kept] = await Warmups(engine, now=now).list(ADMIN)
    assert kept.course == SCHEDULES["conservative"].course("google")
    assert kept.course.health.blocked.hold == 0.01
