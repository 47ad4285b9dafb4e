"""Counts of TLS are stored by day; each report is claimed, sent and marked once."""

from __future__ import annotations

import asyncio

from appliance.core import clock
from appliance.tls_reports import Line, TlsReports
from appliance.tls_reports.service import AGAIN, LEASE, MAX_TRIES
from mta.transport.tls_results import AppliedPolicy, Failure, PolicyType, Tally, TlsResult
from tests.support.control import START

TODAY = START - START % clock.DAY
YESTERDAY = TODAY - clock.DAY
GOOD = AppliedPolicy(
    type=PolicyType.STS, domain="good.test", lines=("mode: enforce",), mx=("*.good.test",)
)
OTHER = AppliedPolicy(type=PolicyType.NONE, domain="other.test")
SUCCESS = TlsResult(policy=GOOD)
FAILED = TlsResult(
    policy=GOOD, failure=Failure.EXPIRED, reason="old", source="192.0.2.9", host="mx", address="::1"
)


async def opened(engine, now, *tallies: Tally) -> TlsReports:
    reports = TlsReports(engine, now)
    await reports.add(tallies or [Tally(YESTERDAY, SUCCESS, 1)])
    await reports.open(TODAY)
    return reports


async def test_counts_of_several_processes_add_up(engine, now):
    reports = TlsReports(engine, now)
    await reports.add([])
    await asyncio.gather(
        *(
            reports.add([Tally(YESTERDAY, SUCCESS, 2), Tally(YESTERDAY, FAILED, 1)])
            for _ in range(5)
        )
    )
    await reports.open(TODAY)
    (due,) = await reports.claim(10)
    assert (due.day, due.domain, due.tries) == (YESTERDAY, "good.test", 1)
    assert await reports.lines(due) == [Line(SUCCESS, 10), Line(FAILED, 5)]


async def test_only_days_that_are_over_are_due_and_each_domain_by_itself(engine, now):
    reports = await opened(
        engine,
        now,
        Tally(YESTERDAY, SUCCESS, 1),
        Tally(YESTERDAY - clock.DAY, SUCCESS, 1),
        Tally(YESTERDAY, TlsResult(policy=OTHER), 1),
        Tally(TODAY, SUCCESS, 1),
    )
    found = {(due.day, due.domain) for due in await reports.claim(10)}
    assert found == {
        (YESTERDAY - clock.DAY, "good.test"),
        (YESTERDAY, "good.test"),
        (YESTERDAY, "other.test"),
    }


async def test_a_report_has_one_owner_at_a_time_until_his_lease_is_over(engine, now):
    reports = await opened(engine, now)
    (first,) = await reports.claim(10)
    assert await reports.claim(10) == []
    now.move(LEASE)  # its owner died
    (second,) = await reports.claim(10)
    assert second.tries == 2
    assert not await reports.sent(first, "too late")
    assert await reports.sent(second, "mailto:tls@good.test: sent")


async def test_workers_at_once_never_claim_the_same_report(engine, now):
    results = [
        TlsResult(policy=AppliedPolicy(type=PolicyType.NONE, domain=f"d{n}.test"))
        for n in range(20)
    ]
    reports = await opened(engine, now, *(Tally(YESTERDAY, result, 1) for result in results))
    claims = await asyncio.gather(*(reports.claim(10) for _ in range(4)))
    domains = [due.domain for claimed in claims for due in claimed]
    assert len(domains) == len(set(domains))


async def test_what_was_sent_is_never_due_again_and_its_counts_are_gone(engine, now):
    reports = await opened(engine, now)
    (due,) = await reports.claim(10)
    assert await reports.sent(due, "sent")
    assert not await reports.sent(due, "sent")
    assert await reports.lines(due) == []
    await reports.open(TODAY)
    now.move(clock.DAY)
    assert await reports.claim(10) == []
    # Counts that come after it make no second report.
    await reports.add([Tally(YESTERDAY, SUCCESS, 1)])
    await reports.open(TODAY)
    assert await reports.claim(10) == []


async def test_what_cannot_be_delivered_is_tried_hourly_for_a_day(engine, now):
    reports = await opened(engine, now)
    for tries in range(1, MAX_TRIES + 1):
        (due,) = await reports.claim(10)
        assert due.tries == tries
        assert await reports.not_sent(due, "nobody answers")
        assert await reports.claim(10) == []
        now.move(AGAIN)
    assert await reports.claim(10) == []
    assert await reports.lines(due) == []


async def test_of_a_domain_that_wants_no_reports_nothing_is_kept(engine, now):
    reports = await opened(engine, now)
    (due,) = await reports.claim(10)
    assert await reports.unwanted(due)
    assert await reports.lines(due) == []
    await reports.open(TODAY)
    assert await reports.claim(10) == []


async def test_what_is_older_than_a_month_is_forgotten(engine, now):
    reports = await opened(engine, now)
    now.move(32 * clock.DAY)
    await reports.forget()
    assert await reports.claim(10) == []
    await reports.open(TODAY)
    assert await reports.claim(10) == []
