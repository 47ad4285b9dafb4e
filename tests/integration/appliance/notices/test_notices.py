"""Notices on both databases: one stands for a kind and subject until it is over."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.notices import Finding, Notices, Severity
from appliance.tenancy import Tenants

WORKER = Scope.system(by="worker")
LISTED = Finding(
    kind="blocklist",
    subject="out1 on zen",
    text="it is listed",
    next_step="ask for removal",
    severity=Severity.CRITICAL,
)


@pytest.fixture
def notices(engine, now):
    return Notices(engine, now)


async def test_a_notice_that_is_raised_again_is_counted_and_keeps_its_first_time(notices, now):
    first = await notices.raise_(WORKER, LISTED)
    assert (first.count, first.raised_at, first.last_at) == (1, now.at, now.at)
    now.move(5)
    again = await notices.raise_(WORKER, replace(LISTED, text="worse", severity=Severity.INFO))
    assert (again.id, again.count) == (first.id, 2)
    assert (again.raised_at, again.last_at) == (now.at - 5, now.at)
    assert (again.text, again.severity) == ("worse", Severity.INFO)
    assert await notices.list(WORKER) == (again,)


async def test_what_was_resolved_and_comes_back_is_a_new_notice(notices, now):
    first = await notices.raise_(WORKER, LISTED)
    assert await notices.resolve(WORKER, "blocklist", "out1 on zen")
    assert not await notices.resolve(WORKER, "blocklist", "out1 on zen")
    assert await notices.list(WORKER) == ()
    second = await notices.raise_(WORKER, LISTED)
    assert (second.count, second.is_open) == (1, True)
    assert second.id > first.id
    every = await notices.list(WORKER, open_only=False)
    assert [(one.id, one.resolved_at) for one in every] == [(second.id, 0), (first.id, now.at)]


async def test_processes_that_raise_the_same_at_once_make_one_notice(notices):
    await asyncio.gather(*(notices.raise_(WORKER, LISTED) for _ in range(8)))
    (one,) = await notices.list(WORKER)
    assert one.count == 8


async def test_the_worst_and_newest_stand_first(notices, now):
    for subject, severity in (
        ("a", Severity.INFO),
        ("b", Severity.CRITICAL),
        ("c", Severity.WARNING),
        ("d", Severity.CRITICAL),
    ):
        await notices.raise_(WORKER, replace(LISTED, subject=subject, severity=severity))
        now.move(1)
    assert [one.subject for one in await notices.list(WORKER)] == ["d", "b", "c", "a"]
    assert len(await notices.list(WORKER, limit=2)) == 2
    await notices.raise_(WORKER, replace(LISTED, kind="domain-record"))
    assert [one.kind for one in await notices.list(WORKER, kind="domain-record")] == [
        "domain-record"
    ]


async def test_a_tenant_sees_its_own_notices_and_touches_no_others(engine, notices):
    acme = await Tenants(engine).create(WORKER, name="acme")
    own = Scope.tenant(acme.id)
    boxs = await notices.raise_(WORKER, LISTED)
    theirs = await notices.raise_(WORKER, replace(LISTED, tenant_id=acme.id))
    assert boxs.id != theirs.id
    assert await notices.list(own) == (theirs,)
    assert len(await notices.list(WORKER)) == 2
    with pytest.raises(NotFoundError):
        await notices.mark_seen(own, boxs.id)
    with pytest.raises(UsageError):
        await notices.raise_(own, LISTED)
    with pytest.raises(UsageError):
        await notices.resolve(own, LISTED.kind, LISTED.subject)
    assert await notices.resolve(WORKER, LISTED.kind, LISTED.subject, tenant_id=acme.id)
    assert await notices.list(WORKER) == (boxs,)


async def test_who_saw_it_first_counts_and_finding_it_again_does_not_take_it_back(notices, now):
    made = await notices.raise_(WORKER, LISTED)
    seen = await notices.mark_seen(WORKER, made.id)
    assert seen.seen_at == now.at
    now.move(5)
    await notices.mark_seen(WORKER, made.id)
    assert (await notices.raise_(WORKER, LISTED)).seen_at == now.at - 5
    with pytest.raises(NotFoundError, match="no notice has the id 999"):
        await notices.mark_seen(WORKER, 999)


async def test_what_stands_is_never_forgotten(notices, now):
    await notices.raise_(WORKER, LISTED)
    await notices.raise_(WORKER, replace(LISTED, subject="over"))
    await notices.resolve(WORKER, LISTED.kind, "over")
    assert await notices.forget(WORKER, now.at) == 0
    assert await notices.forget(WORKER, now.at + 1) == 1
    (left,) = await notices.list(WORKER, open_only=False)
    assert left.subject == LISTED.subject
