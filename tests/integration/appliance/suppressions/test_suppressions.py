"""Suppressions on both databases: by hand, by list, by event, and in memory."""

from __future__ import annotations

import pytest

from appliance.core import clock
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.suppressions import (
    Matcher,
    Reason,
    SoftBounce,
    SoftBounceRule,
    SuppressionEvent,
    SuppressionList,
)
from appliance.suppressions import service as service_module
from appliance.tenancy import AuditLog, Tenants

ADMIN = Scope.system(by="ann")


@pytest.fixture
async def acme(engine):
    return (await Tenants(engine).create(ADMIN, name="acme")).id


@pytest.fixture
async def other(engine):
    return (await Tenants(engine).create(ADMIN, name="other")).id


@pytest.fixture
def suppressions(engine, now):
    return SuppressionList(engine, now, SoftBounceRule(count=3, span=2 * clock.DAY))


@pytest.fixture
def matcher(now):
    return Matcher(b"k" * 32, now)


async def targets(suppressions, scope=ADMIN):
    return [(entry.tenant_id, entry.target) for entry in await suppressions.list(scope)]


async def test_an_address_is_suppressed_until_it_is_removed(suppressions, matcher, acme, other):
    scope = Scope.tenant(acme)
    await suppressions.add(scope, "User@Example.com")
    await suppressions.refresh(matcher)
    assert matcher.match(acme, "user@example.COM")
    assert not matcher.match(other, "user@example.com")
    removed = await suppressions.remove(scope, "user@example.com")
    assert (removed.target, removed.reason) == ("user@example.com", Reason.MANUAL)
    await suppressions.refresh(matcher)
    assert not matcher.match(acme, "user@example.com")
    with pytest.raises(NotFoundError):
        await suppressions.remove(scope, "user@example.com")


async def test_the_box_suppresses_for_everybody(suppressions, matcher, acme):
    await suppressions.add(ADMIN, "example.com")
    await suppressions.refresh(matcher)
    assert matcher.match(acme, "anybody@example.com")
    assert await suppressions.list(Scope.tenant(acme)) == ()


async def test_one_may_come_back_after_it_was_removed(suppressions, matcher, acme):
    for _ in range(2):
        await suppressions.add(ADMIN, "a@example.com", tenant_id=acme)
        await suppressions.refresh(matcher)
        assert matcher.match(acme, "a@example.com")
        await suppressions.remove(ADMIN, "a@example.com", tenant_id=acme)
        await suppressions.refresh(matcher)
        assert not matcher.match(acme, "a@example.com")


async def test_an_expiry_is_honoured_at_once_and_cleaned_up_later(suppressions, matcher, acme, now):
    await suppressions.add(Scope.tenant(acme), "a@example.com", expires_at=now.at + clock.HOUR)
    await suppressions.refresh(matcher)
    assert matcher.match(acme, "a@example.com")
    now.move(clock.HOUR + clock.SECOND)
    assert not matcher.match(acme, "a@example.com")
    assert await targets(suppressions) == []
    await suppressions.tidy()
    await suppressions.refresh(matcher)
    assert len(matcher) == 0


async def test_an_expiry_in_the_past_is_refused(suppressions, now):
    with pytest.raises(UsageError, match="past"):
        await suppressions.add(ADMIN, "a@example.com", expires_at=now.at)


async def test_another_tenants_entry_is_out_of_reach(suppressions, acme, other):
    await suppressions.add(Scope.tenant(acme), "a@example.com")
    with pytest.raises(NotFoundError):
        await suppressions.remove(Scope.tenant(other), "a@example.com")
    with pytest.raises(UsageError):
        await suppressions.add(Scope.tenant(other), "b@example.com", tenant_id=acme)
    assert await targets(suppressions, Scope.tenant(other)) == []


async def test_what_stands_is_counted_by_reason_up_to_a_bound(suppressions, acme, other, now):
    scope = Scope.tenant(acme)
    for name, reason in (("a", Reason.MANUAL), ("b", Reason.MANUAL), ("c", Reason.COMPLAINT)):
        await suppressions.add(scope, f"{name}@example.com", reason=reason)
    await suppressions.add(scope, "gone@example.com")
    await suppressions.remove(scope, "gone@example.com")
    await suppressions.add(scope, "brief@example.com", expires_at=now.at + 1000)
    await suppressions.add(Scope.tenant(other), "d@example.com")
    now.move(2000)
    counted = await suppressions.counts(scope)
    assert counted.by_reason == {Reason.MANUAL: 2, Reason.COMPLAINT: 1}
    assert (counted.total, counted.is_cut) == (3, False)
    assert (await suppressions.counts(scope, most=4)).is_cut
    assert (await suppressions.counts(ADMIN)).total == 4


async def test_several_are_removed_at_once_and_nobody_elses(suppressions, acme, other):
    mine = [await suppressions.add(Scope.tenant(acme), f"{one}@example.com") for one in "ab"]
    theirs = await suppressions.add(Scope.tenant(other), "c@example.com")
    wanted = [one.id for one in (*mine, theirs)]
    removed = await suppressions.remove_many(Scope.tenant(acme), wanted)
    assert sorted(one.target for one in removed) == ["a@example.com", "b@example.com"]
    assert await targets(suppressions, ADMIN) == [(other, "c@example.com")]
    assert await suppressions.remove_many(Scope.tenant(acme), wanted) == ()


async def test_a_list_is_paged_and_searched(suppressions, acme):
    for name in ("anna", "bert", "anton", "a_x"):
        await suppressions.add(ADMIN, f"{name}@example.com", tenant_id=acme)
    first = await suppressions.list(ADMIN, limit=3)
    rest = await suppressions.list(ADMIN, after=first[-1].id)
    assert len(first) == 3
    assert [entry.target for entry in rest] == ["a_x@example.com"]
    found = await suppressions.list(ADMIN, prefix="AN")
    assert [entry.target for entry in found] == ["anna@example.com", "anton@example.com"]
    assert [one.target for one in await suppressions.list(ADMIN, prefix="a_")] == [
        "a_x@example.com"
    ]


async def test_an_import_takes_the_good_rows_and_names_the_bad(suppressions, acme, engine):
    lines = [
        "target,reason,expires\n",
        "a@example.com\n",
        "b@example.com,complaint,\n",
        "nonsense row\n",
        "c@example.com,manual,2020-01-01\n",
        "\n",
        "A@Example.com\n",
        "example.net,manual,2099-01-01\n",
    ]
    result = await suppressions.import_lines(Scope.tenant(acme), lines)
    assert (result.imported, result.failed) == (3, 2)
    assert [error.line for error in result.errors] == [4, 5]
    assert await targets(suppressions) == [
        (acme, "a@example.com"),
        (acme, "b@example.com"),
        (acme, "example.net"),
    ]
    (entry, *_) = await AuditLog(engine).list(ADMIN)
    assert (entry.action, entry.detail) == ("suppression.import", "3 imported, 2 left out")


async def test_a_long_import_streams_and_keeps_few_errors(suppressions, acme):
    lines = (f"user{n}@example.com" if n % 5 else f"bad {n}" for n in range(2500))
    result = await suppressions.import_lines(Scope.tenant(acme), lines)
    assert (result.imported, result.failed, len(result.errors)) == (2000, 500, 100)


async def test_an_export_can_be_imported_by_another_tenant(suppressions, acme, other):
    await suppressions.add(ADMIN, "a@example.com", tenant_id=acme, reason=Reason.COMPLAINT)
    await suppressions.add(ADMIN, "b@example.com", tenant_id=acme, expires_at=4_000_000_000_000)
    lines = [line async for line in suppressions.export(Scope.tenant(acme))]
    assert lines[0] == "target,reason,expires\n"
    await suppressions.import_lines(Scope.tenant(other), lines)
    theirs = await suppressions.list(Scope.tenant(other))
    assert [(one.target, one.reason, one.expires_at) for one in theirs] == [
        ("a@example.com", Reason.COMPLAINT, 0),
        ("b@example.com", Reason.MANUAL, 4_000_000_000_000),
    ]


def bounce(
    event_id: str, tenant: int, address: str, reason=Reason.HARD_BOUNCE, at=5
) -> SuppressionEvent:
    return SuppressionEvent(event_id, tenant, address, reason, at)


async def test_an_event_suppresses_once_and_names_itself(suppressions, acme):
    events = [
        bounce("e1", acme, "A@example.com"),
        bounce("e2", acme, "b@example.com", Reason.COMPLAINT),
    ]
    assert await suppressions.apply_events(events) == 2
    assert await suppressions.apply_events(events) == 0
    first, second = await suppressions.list(ADMIN)
    assert (first.target, first.reason, first.event_id, first.created_at) == (
        "a@example.com",
        Reason.HARD_BOUNCE,
        "e1",
        5,
    )
    assert second.reason is Reason.COMPLAINT


async def test_what_a_person_removed_stays_removed_when_the_event_is_told_again(suppressions, acme):
    await suppressions.apply_events([bounce("e1", acme, "a@example.com")])
    await suppressions.remove(ADMIN, "a@example.com", tenant_id=acme)
    assert await suppressions.apply_events([bounce("e1", acme, "a@example.com")]) == 0
    assert await targets(suppressions) == []
    assert await suppressions.apply_events([bounce("e2", acme, "a@example.com")]) == 1


async def test_an_event_makes_a_suppression_with_an_end_lasting_and_keeps_a_lasting_one(
    suppressions, acme, now
):
    await suppressions.add(ADMIN, "a@example.com", tenant_id=acme, expires_at=now.at + clock.DAY)
    await suppressions.add(ADMIN, "b@example.com", tenant_id=acme)
    events = [bounce("e1", acme, "a@example.com"), bounce("e2", acme, "b@example.com")]
    assert await suppressions.apply_events(events) == 1
    first, second = await suppressions.list(ADMIN)
    assert (first.reason, first.expires_at) == (Reason.HARD_BOUNCE, 0)
    assert second.reason is Reason.MANUAL


async def test_a_poisoned_event_is_passed_over(suppressions, acme, caplog):
    events = [bounce("bad", acme, "not an address"), bounce("e1", acme, "a@example.com")]
    assert await suppressions.apply_events(events) == 1
    assert "event bad" in caplog.text
    assert await suppressions.apply_events([]) == 0


async def test_two_events_of_one_address_in_a_batch_are_one_suppression(suppressions, acme):
    events = [bounce("e1", acme, "a@example.com"), bounce("e2", acme, "A@example.com")]
    assert await suppressions.apply_events(events) == 1


def soft(event_id: str, tenant: int, day: int) -> SoftBounce:
    return SoftBounce(event_id, tenant, "Full@example.com", day * clock.DAY)


async def test_repeated_soft_bounces_suppress(suppressions, acme):
    assert await suppressions.apply_soft_bounces([soft("s1", acme, 1), soft("s2", acme, 2)]) == 0
    assert await suppressions.apply_soft_bounces([soft("s2", acme, 2), soft("s1", acme, 9)]) == 0
    assert await suppressions.apply_soft_bounces([soft("s3", acme, 3)]) == 1
    (entry,) = await suppressions.list(ADMIN)
    assert (entry.reason, entry.event_id) == (Reason.REPEATED_SOFT_BOUNCES, "s3")


async def test_a_delivery_starts_the_count_anew(suppressions, acme):
    await suppressions.apply_soft_bounces([soft("s1", acme, 1), soft("s2", acme, 2)])
    await suppressions.note_deliveries([(acme, "full@Example.com"), (acme, "never@example.com")])
    assert await suppressions.apply_soft_bounces([soft("s3", acme, 30)]) == 0
    assert await suppressions.apply_soft_bounces([soft("s4", acme, 31), soft("s5", acme, 32)]) == 1


async def test_soft_bounces_out_of_order_are_counted_over_their_whole_span(suppressions, acme):
    for event in (soft("s3", acme, 3), soft("s1", acme, 1)):
        assert await suppressions.apply_soft_bounces([event]) == 0
    assert await suppressions.apply_soft_bounces([soft("s2", acme, 2)]) == 1


async def test_a_matcher_follows_page_by_page(suppressions, matcher, acme, monkeypatch):
    monkeypatch.setattr(service_module, "_PAGE", 3)
    await suppressions.import_lines(Scope.tenant(acme), [f"u{n}@example.com" for n in range(10)])
    await suppressions.refresh(matcher)
    assert len(matcher) == 10
    await suppressions.import_lines(Scope.tenant(acme), [f"v{n}@example.com" for n in range(10)])
    for number in range(0, 10, 2):
        await suppressions.remove(Scope.tenant(acme), f"u{number}@example.com")
    await suppressions.refresh(matcher)
    assert len(matcher) == 15
    assert matcher.match(acme, "v9@example.com")
    assert not matcher.match(acme, "u8@example.com")


async def test_a_matcher_made_later_skips_tombstones(suppressions, matcher, acme):
    await suppressions.add(ADMIN, "a@example.com", tenant_id=acme)
    await suppressions.remove(ADMIN, "a@example.com", tenant_id=acme)
    await suppressions.refresh(matcher)
    assert len(matcher) == 0
    assert matcher.generation == 2


async def test_tidying_drops_what_nobody_needs(suppressions, engine, acme, now):
    await suppressions.add(ADMIN, "a@example.com", tenant_id=acme)
    await suppressions.add(ADMIN, "b@example.com", tenant_id=acme)
    await suppressions.remove(ADMIN, "a@example.com", tenant_id=acme)
    await suppressions.apply_events([bounce("e1", acme, "c@example.com", at=now.at)])
    now.move(61 * clock.DAY)
    await suppressions.tidy()
    async with engine.connect() as connection:
        count = (await connection.exec_driver_sql("SELECT count(*) FROM suppression")).scalar()
        events = (await connection.exec_driver_sql("SELECT count(*) FROM applied_event")).scalar()
    assert (count, events) == (2, 0)
