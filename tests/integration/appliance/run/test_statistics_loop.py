"""The worker's statistics: counted as events come, and made again as a job."""

from __future__ import annotations

import pytest

from appliance.core.clock import DAY
from appliance.core.errors import StoreError
from appliance.core.scope import Scope
from appliance.core.settings import Retention
from appliance.jobs import Jobs, JobState
from appliance.run.job_runner import JobRunner
from appliance.run.statistics_loop import KIND, StatisticsLoop, order
from appliance.statistics import Period, opened
from tests.support.control import START
from tests.support.history import log_location, outbox, reader, writer
from tests.support.statistics import Mail, ship, statistics_location

__all__ = ["log_location", "outbox", "reader", "statistics_location", "writer"]

BOX = Scope.system(by="test")
ALL = Period(since=START - DAY, until=START + 60 * DAY)


@pytest.fixture
async def loop(statistics_location, reader):
    made = StatisticsLoop(statistics_location, reader, Retention())
    yield made
    await made.close()


async def totals(location):
    async with opened(location) as statistics:
        return await statistics.totals(BOX, ALL)


async def test_the_worker_counts_what_comes_and_a_job_counts_it_again(
    loop, writer, outbox, now, engine, statistics_location, monkeypatch
):
    mail = Mail(outbox, now)
    mail.happen(120)
    ship(writer, outbox)
    while await loop.step():
        pass
    counted = await totals(statistics_location)
    assert counted.accepted == mail.seen["accepted"]
    monkeypatch.setattr("appliance.statistics.counter.BATCH", 50)
    monkeypatch.setattr("appliance.run.statistics_loop._STEP_SECONDS", 0.0)
    jobs = Jobs(engine, now)
    made = await jobs.order(BOX, order())
    runner = JobRunner(jobs, {KIND: loop.rebuild}, "worker")
    told = []
    while await runner.step():
        job = await jobs.get(BOX, made.id)
        told.append(job.done)
    assert job.state is JobState.DONE
    assert told == sorted(told)
    assert told[0] < told[-1] == job.total
    assert await totals(statistics_location) == counted


async def test_a_step_that_was_not_noted_comes_again_and_harms_nothing(
    loop, writer, outbox, now, engine, statistics_location
):
    Mail(outbox, now).happen(60)
    ship(writer, outbox)
    while await loop.step():
        pass
    counted = await totals(statistics_location)
    jobs = Jobs(engine, now)
    made = await jobs.order(BOX, order())
    await loop.rebuild.step(made)
    runner = JobRunner(jobs, {KIND: loop.rebuild}, "worker")
    while await runner.step():
        pass
    assert (await jobs.get(BOX, made.id)).state is JobState.DONE
    assert await totals(statistics_location) == counted


async def test_statistics_that_cannot_be_opened_fail_in_words_at_each_turn(tmp_path, reader):
    (tmp_path / "torn.db").write_bytes(b"no database" * 500)
    loop = StatisticsLoop(tmp_path / "torn.db", reader, Retention())
    for _ in range(2):
        with pytest.raises(StoreError, match="database"):
            await loop.step()
    await loop.close()


async def test_tidying_forgets_days_as_the_settings_say(
    writer, reader, outbox, now, statistics_location
):
    outbox.accept("ann@example.net")
    ship(writer, outbox)
    loop = StatisticsLoop(statistics_location, reader, Retention(statistics_days=2), now)
    while await loop.step():
        pass
    now.move(DAY)
    await loop.tidy()
    assert (await totals(statistics_location)).accepted == 1
    now.move(3 * DAY)
    await loop.tidy()
    assert (await totals(statistics_location)).accepted == 0
    await loop.close()
