"""The days of warmups: counted from events, judged once, by whichever worker comes first."""

from __future__ import annotations

import asyncio
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from appliance.core.clock import DAY, HOUR
from appliance.core.scope import Scope
from appliance.history import LogReader, LogWriter, Shipper, write_partitions
from appliance.limits import Budgets
from appliance.run.warmup_days import (
    BUDGETS_KEPT,
    SETTLE,
    Deliveries,
    Sent,
    WarmupConsumer,
    WarmupDays,
    columns,
)
from appliance.warmup import DayBook, DayCounts, Warmups
from mta.status import EventKind
from mta.warmup.model import OTHER, WarmupState, budget_key
from mta.warmup.schedule import SHIPPED, load_schedules
from tests.support.control import START
from tests.support.history import KEEP_DAYS, Outbox

ADMIN = Scope.system(by="ann")
SCHEDULES = load_schedules([SHIPPED])
STANDARD = SCHEDULES["standard"]
TODAY = "2027-01-15"
MIDNIGHT = START - START % DAY
ANN = "ann@x.example"
KEY = budget_key("a", "google", is_hourly=False)


@pytest.fixture
def warmups(engine, now):
    return Warmups(engine, now=now)


@pytest.fixture
def book(engine, now):
    return DayBook(engine, now)


@pytest.fixture
def days(engine, book, now):
    return days_of(engine, book, now)


def days_of(engine, book, now, **given):
    usual = {"zone": UTC, "idle_days": 30, "has_feedback_loop": {"yahoo"}.__contains__}
    return WarmupDays(book, Budgets(engine), now=now, **usual | given)


async def google(warmups):
    return next(one for one in await warmups.list(ADMIN) if one.provider == "google")


async def use(engine, number, window=MIDNIGHT, key=KEY):
    await Budgets(engine).lease(key, window, number, 10**9)


# -- counting --------------------------------------------------------------------


async def nobody(message_id, n):
    return None


@pytest.fixture
def outbox(now):
    return Outbox(now)


@pytest.fixture
def log_folder(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


@pytest.fixture
def shipper(outbox, book, log_folder, now):
    """Day files will do: what the log is kept in makes no difference here."""
    writer = LogWriter(write_partitions(log_folder), keep_days=KEEP_DAYS, now=now)
    writer.open()
    reader = LogReader(log_folder)
    yield Shipper([outbox], writer, [WarmupConsumer(book, UTC, Deliveries(reader))])
    reader.close()
    writer.close()


async def counted(warmups, provider="google"):
    found = await warmups.history(ADMIN, "a", provider)
    names = ("delivered", "deferred", "bounced", "blocked", "complained")
    return {one.day: tuple(getattr(one, name) for name in names) for one in found}


async def test_outcomes_are_counted_by_address_provider_and_day(shipper, outbox, warmups, now):
    await warmups.start(ADMIN, "a", STANDARD)
    sent = outbox.accept(ANN, ANN, ANN)
    outbox.tried(sent, 0, "deferred", ANN, egress="a", provider="google", category="rate_limited")
    outbox.tried(sent, 0, "delivered", ANN, egress="a", provider="google")
    outbox.tried(sent, 1, "bounced", ANN, egress="a", provider="google", category="user_unknown")
    outbox.tried(sent, 2, "delivered", ANN, egress="a", provider="comcast")
    outbox.tried(sent, 2, "delivered", ANN, egress="a")
    outbox.tried(sent, 2, "delivered", ANN, egress="elsewhere", provider="google")
    outbox.tell(sent, 2, "bounced", ANN, reason="expired before it was tried")
    now.move(DAY)
    outbox.tried(sent, 2, "deferred", ANN, egress="a", provider="google", category="greylisted")
    outbox.tried(sent, 2, "bounced", ANN, egress="a", provider="google", category="blocked")
    await shipper.step()
    assert outbox.rows == []
    assert await counted(warmups) == {TODAY: (1, 1, 1, 1, 0), "2027-01-16": (0, 0, 1, 1, 0)}
    assert await counted(warmups, OTHER) == {TODAY: (2, 0, 0, 0, 0)}
    assert (await google(warmups)).last_mail == "2027-01-16"


async def test_mail_that_belongs_to_no_warmup_of_its_address_is_not_counted(
    shipper, outbox, warmups
):
    await warmups.start(ADMIN, "a", STANDARD, providers=["google"])
    sent = outbox.accept(ANN)
    outbox.tried(sent, 0, "delivered", ANN, egress="a", provider="comcast")
    await shipper.step()
    assert await warmups.history(ADMIN, "a") == ()


async def test_days_are_those_of_the_configured_zone(engine, book, warmups, outbox, now):
    consumer = WarmupConsumer(book, ZoneInfo("Asia/Tokyo"), nobody)
    await warmups.start(ADMIN, "a", STANDARD)
    now.at = MIDNIGHT + 16 * HOUR  # 01:00 of tomorrow in Tokyo
    sent = outbox.accept(ANN)
    outbox.tried(sent, 0, "delivered", ANN, egress="a", provider="google")
    await consumer.apply(events_of(outbox, now))
    assert set(await counted(warmups)) == {"2027-01-16"}


async def test_a_complaint_counts_where_its_message_was_delivered(shipper, outbox, warmups, now):
    await warmups.start(ADMIN, "a", STANDARD)
    sent = outbox.accept(ANN, ANN)
    for n in (0, 1):
        outbox.tried(sent, n, "deferred", ANN, egress="b", provider="google", category="network")
        outbox.tried(sent, n, "delivered", ANN, egress="a", provider="google")
    await shipper.step()
    now.move(3 * DAY)
    outbox.tell(sent, 1, "complained", ANN, feedback="abuse")
    outbox.tell(sent - 1, 0, "complained", ANN, feedback="abuse")  # of a message nobody knows
    await shipper.step()
    assert outbox.rows == []
    assert await counted(warmups) == {TODAY: (2, 0, 0, 0, 0), "2027-01-18": (0, 0, 0, 0, 1)}
    assert (await google(warmups)).last_mail == TODAY, "a complaint is no mail"


async def test_a_batch_that_comes_again_is_counted_once(shipper, outbox, warmups):
    await warmups.start(ADMIN, "a", STANDARD)
    sent = outbox.accept(ANN, ANN)
    outbox.tried(sent, 0, "delivered", ANN, egress="a", provider="google")
    outbox.lose_acks = True
    for _ in range(3):
        await shipper.step()
    outbox.tried(sent, 1, "delivered", ANN, egress="a", provider="google")
    await shipper.step()
    assert await counted(warmups) == {TODAY: (2, 0, 0, 0, 0)}


async def test_without_a_warmup_nothing_is_kept(shipper, outbox, warmups):
    sent = outbox.accept(ANN)
    outbox.tried(sent, 0, "delivered", ANN, egress="a", provider="google")
    await shipper.step()
    assert outbox.rows == []
    assert await warmups.history(ADMIN, "a") == ()


def events_of(outbox, now):
    from appliance.history.read_outbox import read

    return read(0, outbox.take(), now() // DAY)[0]


@pytest.mark.parametrize(
    ("kind", "category", "counts"),
    [
        (EventKind.DELIVERED, "", ("delivered",)),
        (EventKind.COMPLAINED, "", ("complained",)),
        (EventKind.DEFERRED, "spam", ("deferred", "blocked")),
        (EventKind.DEFERRED, "system", ("deferred",)),
        (EventKind.DEFERRED, "greylisted", ()),
        (EventKind.DEFERRED, "network", ()),
        (EventKind.EXPIRED, "mailbox_full", ()),
        (EventKind.EXPIRED, "rate_limited", ("deferred", "blocked")),
        (EventKind.BOUNCED, "user_unknown", ("bounced",)),
        (EventKind.BOUNCED, "policy", ("bounced", "blocked")),
    ],
)
def test_what_an_outcome_counts_as(kind, category, counts):
    assert columns(kind, category) == counts


# -- judging ---------------------------------------------------------------------


async def test_a_day_that_was_used_and_went_well_brings_the_next_stage(
    engine, warmups, book, days, now
):
    await warmups.start(ADMIN, "a", STANDARD)
    await use(engine, 190)
    await book.count([DayCounts(egress="a", provider="google", day=TODAY, delivered=185)])
    now.at = MIDNIGHT + DAY + SETTLE - 1
    await days.step()
    assert (await google(warmups)).stage == 0, "outcomes may still be under way"
    now.move(1)
    await days.step()
    after = await google(warmups)
    assert (after.stage, after.limit, after.decided) == (1, 500, TODAY)
    assert after.reason == "used 190 of 200, results were healthy"
    [kept] = await warmups.history(ADMIN, "a", "google")
    assert (kept.stage, kept.budget, kept.used, kept.delivered) == (0, 200, 190, 185)
    assert (kept.decision, kept.reason) == ("advance", after.reason)
    others = [one for one in await warmups.list(ADMIN) if one.provider != "google"]
    assert {one.stage for one in others} == {0}
    await days.step()
    assert (await google(warmups)).stage == 1, "a day is judged once"


async def test_two_workers_judge_a_day_once(engine, warmups, book, now):
    await warmups.start(ADMIN, "a", STANDARD)
    await use(engine, 200)
    now.move(DAY)
    await asyncio.gather(*(days_of(engine, book, now).step() for _ in range(4)))
    assert (await google(warmups)).stage == 1


async def test_blocks_pause_it_and_the_pause_ends_by_itself(engine, warmups, book, days, now):
    await warmups.start(ADMIN, "a", STANDARD)
    await warmups.skip(ADMIN, "a")
    await use(engine, 500)
    bad = DayCounts(
        egress="a", provider="google", day=TODAY, delivered=300, deferred=200, blocked=200
    )
    await book.count([bad])
    now.at = MIDNIGHT + DAY + HOUR
    await days.step()
    paused = await google(warmups)
    assert (paused.state, paused.stage) == (WarmupState.PAUSED, 0)
    assert "200 of 500 blocked (40.00%)" in (await warmups.plans())["a", "google"].why
    now.move(24 * HOUR - 1)
    await days.step()
    assert (await google(warmups)).state is WarmupState.PAUSED
    now.move(1)
    await days.step()
    lifted = await google(warmups)
    assert (lifted.state, lifted.stage, lifted.paused_until) == (WarmupState.WARMING, 0, 0)
    assert "200 of 500 blocked" in lifted.reason


async def test_a_pause_by_hand_keeps_its_words_and_its_stage(engine, warmups, days, now):
    await warmups.start(ADMIN, "a", STANDARD)
    await use(engine, 200)
    await warmups.pause(ADMIN, "a", reason="under repair")
    now.move(3 * DAY)
    await days.step()
    standing = await google(warmups)
    assert (standing.state, standing.stage) == (WarmupState.PAUSED, 0)
    assert (await warmups.plans())["a", "google"].why == "under repair (ann)"


async def test_complaints_count_only_where_the_provider_reports_them(
    warmups, engine, book, days, now
):
    await warmups.start(ADMIN, "a", STANDARD)
    await warmups.skip(ADMIN, "a")
    for provider in ("google", "yahoo"):
        await use(engine, 500, key=budget_key("a", provider, is_hourly=False))
        one = DayCounts(egress="a", provider=provider, day=TODAY, delivered=1000, complained=4)
        await book.count([one])
    now.move(DAY)
    await days.step()
    stages = {one.provider: one.stage for one in await warmups.list(ADMIN)}
    assert (stages["google"], stages["yahoo"]) == (2, 0)


async def test_days_that_nobody_judged_are_judged_in_their_order(engine, warmups, days, now):
    await warmups.start(ADMIN, "a", STANDARD)
    for day in range(3):
        await use(engine, 500, MIDNIGHT + day * DAY)
    now.move(3 * DAY)
    await days.step()
    found = await warmups.history(ADMIN, "a", "google")
    assert [(one.day[-2:], one.decision) for one in reversed(found)] == [
        ("15", "advance"),
        ("16", "advance"),
        ("17", "hold"),  # 500 of 1000
    ]
    assert (await google(warmups)).stage == 2


async def test_behind_the_last_stage_it_is_warm_and_stays_in_the_plans(engine, warmups, days, now):
    await warmups.start(ADMIN, "a", STANDARD, providers=["google"])
    for _ in range(26):
        await warmups.skip(ADMIN, "a")
    await use(engine, 1_000_000)
    now.move(DAY)
    await days.step()
    assert (await warmups.plans())["a", "google"].state is WarmupState.WARM
    assert (await google(warmups)).reason.endswith("healthy: warm")


async def test_what_is_warm_and_idle_for_thirty_days_starts_over(warmups, book, days, now):
    await warmups.start(ADMIN, "a", STANDARD)
    await warmups.finish(ADMIN, "a")
    await book.count([DayCounts(egress="a", provider="google", day="2027-01-20", delivered=1)])
    now.at = MIDNIGHT + 35 * DAY  # 19 February: google idles for 29 whole days, the others longer
    await days.step()
    states = {one.provider: one.state for one in await warmups.list(ADMIN)}
    assert states.pop("google") is WarmupState.WARM
    assert set(states.values()) == {WarmupState.WARMING}
    now.move(DAY + SETTLE)
    await days.step()
    again = await google(warmups)
    assert (again.state, again.stage) == (WarmupState.WARMING, 0)
    assert again.reason == "no mail for 30 days: it starts over"
    assert (await warmups.history(ADMIN, "a", "google"))[0].decision == "restart"
    now.move(HOUR)
    await days.step()
    assert (await google(warmups)).reason == again.reason


async def test_nothing_is_judged_before_what_happened_is_counted(engine, warmups, book, now):
    await warmups.start(ADMIN, "a", STANDARD)
    await warmups.finish(ADMIN, "a")
    now.move(40 * DAY)
    caught_up = False
    days = days_of(engine, book, now, is_caught_up=lambda: caught_up)
    await days.step()
    assert (await google(warmups)).state is WarmupState.WARM
    caught_up = True
    await days.step()
    assert (await google(warmups)).state is WarmupState.WARMING


async def test_an_hourly_plan_is_judged_by_its_busiest_hour(engine, warmups, days, now):
    await warmups.start(ADMIN, "a", SCHEDULES["hourly"])
    key = budget_key("a", "google", is_hourly=True)
    for hour, number in ((1, 12), (9, 19), (23, 3)):
        await use(engine, number, MIDNIGHT + hour * HOUR, key)
    await use(engine, 20, MIDNIGHT + DAY, key)
    now.move(DAY)
    await days.step()
    [kept] = await warmups.history(ADMIN, "a", "google")
    assert (kept.used, kept.budget, kept.decision) == (19, 20, "advance")


async def test_a_clock_that_was_far_ahead_does_not_stop_the_judging(engine, warmups, days, now):
    await warmups.start(ADMIN, "a", STANDARD)
    now.move(10 * DAY)
    await days.step()
    assert (await google(warmups)).decided == "2027-01-24"
    now.move(-9 * DAY)
    await days.step()
    assert (await google(warmups)).decided == TODAY
    await use(engine, 200, MIDNIGHT + DAY)
    now.move(DAY)
    await days.step()
    assert (await google(warmups)).stage == 1


async def test_one_that_cannot_be_judged_holds_up_no_other(engine, warmups, book, now, caplog):
    def breaks(provider):
        if provider == "apple":
            raise ValueError(provider)
        return False

    await warmups.start(ADMIN, "a", STANDARD)
    now.move(DAY)
    await days_of(engine, book, now, has_feedback_loop=breaks).step()
    decided = {one.provider: one.decided for one in await warmups.list(ADMIN)}
    assert decided.pop("apple") == "2027-01-14"
    assert set(decided.values()) == {TODAY}
    assert "judging the warmup of a for apple" in caplog.text


async def test_what_was_used_is_kept_longer_than_other_budgets(engine, days, now):
    await use(engine, 5)
    now.at = MIDNIGHT + BUDGETS_KEPT
    await days.step()
    assert await Budgets(engine).used(KEY, MIDNIGHT) == 5
    now.move(1)
    await days.step()
    assert await Budgets(engine).used(KEY, MIDNIGHT) == 0


async def test_a_complaint_about_nothing_known_is_no_delivery(log_folder, shipper, outbox):
    reader = LogReader(log_folder)
    assert await Deliveries(reader)(12345, 0) is None
    sent = outbox.accept(ANN, ANN)
    outbox.tried(sent, 0, "delivered", ANN, egress="a", provider="google")
    await shipper.step()
    assert await Deliveries(reader)(sent, 0) == Sent("a", "google")
    assert await Deliveries(reader)(sent, 1) is None
    reader.close()
