"""Throttles on both databases: shared between processes, kept over restarts, lifted by a person."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from appliance.core.control import Part, generations
from appliance.core.database import reading, transaction
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.shaping import ThrottleStore
from appliance.tenancy import AuditLog, Tenants
from mta.shaping.model import ActionKind, Rate
from mta.shaping.throttle import ChangeKind, Subject
from mta.shaping.throttles import Throttles
from tests.support.throttling import (
    GOOGLE,
    HOUR,
    MINUTE,
    NOW,
    PAIR,
    TEN,
    action,
    answer,
    book,
    rule,
    slow_to,
    throttle,
)

ADMIN = Scope.system(by="ann")
SUSPENDED = throttle(suspended_until=NOW + HOUR, rate=TEN, connections=1)


@pytest.fixture
def store(engine, now):
    now.at = NOW
    return ThrottleStore(engine, now)


@pytest.fixture
async def acme(engine):
    return (await Tenants(engine).create(ADMIN, name="acme")).id


async def generation(engine):
    async with reading(engine) as connection:
        return (await generations(connection))[Part.SHAPING]


async def test_what_is_saved_comes_back_whole(store, acme):
    throttles = Throttles(book)
    suspend_tenant = rule(action(ActionKind.SUSPEND_TENANT), name="unaligned")
    said = "421 4.7.28 Zu viel für „heute“ …\x00"
    throttles.heard(answer(suspend_tenant, tenant_id=acme), NOW)
    throttles.heard(answer(rule(slow_to(Rate(1, 90.5), 1)), said=said), NOW + 1)
    await store.save(throttles.dirty())
    assert set(await store.since(0)) == set(throttles.dirty())


async def test_a_restart_restores_what_stands(store):
    throttles = Throttles(book)
    throttles.heard(answer(rule(action(ActionKind.SUSPEND, 3600))), NOW)
    await store.save(throttles.dirty())
    reborn = Throttles(book)
    reborn.load(await store.since(0), NOW + MINUTE)
    wait = reborn.wait("out1", GOOGLE, 7, "example.com", NOW + MINUTE)
    assert wait is not None
    assert wait == throttles.wait("out1", GOOGLE, 7, "example.com", NOW + MINUTE)


async def test_of_two_versions_the_one_changed_later_stays_whoever_saves_first(store):
    newer = replace(SUSPENDED, suspended_until=NOW + 2 * HOUR, changed_at=NOW + 1)
    await store.save([newer])
    await store.save([SUSPENDED])
    assert await store.since(0) == (newer,)
    newest = replace(SUSPENDED, suspended_until=0, changed_at=NOW + 2)
    await store.save([newest])
    assert await store.since(0) == (newest,)


async def test_only_what_is_newer_than_a_generation_is_read(store, engine):
    await store.save([SUSPENDED])
    seen = await generation(engine)
    assert await store.since(seen) == ()
    other = throttle(Subject("out2", "google"), rate=TEN)
    await store.save([other])
    assert await generation(engine) == seen + 1
    assert await store.since(seen) == (other,)


async def test_saving_nothing_tells_nobody(store, engine):
    before = await generation(engine)
    await store.save([])
    assert await generation(engine) == before


async def test_many_are_saved_at_once(store):
    rows = [throttle(Subject(f"out{n}", "google"), rate=TEN) for n in range(1000)]
    await store.save(rows)
    assert len(await store.since(0)) == 1000


async def test_a_person_lifts_a_throttle_and_every_process_learns_of_it(store, engine, now):
    throttles = Throttles(book)
    throttles.heard(answer(rule(action(ActionKind.SUSPEND, 3600))), NOW)
    await store.save(throttles.dirty())
    seen = await generation(engine)
    now.move(MINUTE)
    lifted = await store.lift(ADMIN, PAIR, reason="they took us off the list")
    assert lifted.history[-1].kind is ChangeKind.LIFTED
    throttles.load(await store.since(seen), now())
    assert throttles.wait("out1", GOOGLE, 7, "example.com", now()) is None
    assert throttles.in_force == 0
    (entry, *_) = await AuditLog(engine).list(ADMIN)
    assert (entry.by, entry.action, entry.detail) == (
        "ann",
        "throttle.lift",
        "they took us off the list",
    )
    assert entry.record == "throttle of egress out1 at google"


async def test_a_version_from_before_the_lift_does_not_bring_it_back(store, now):
    await store.save([SUSPENDED])
    now.move(MINUTE)
    lifted = await store.lift(ADMIN, PAIR, reason="over")
    await store.save([replace(SUSPENDED, changed_at=NOW + 1)])
    assert await store.since(0) == (lifted,)


async def test_what_does_not_stand_cannot_be_lifted(store):
    with pytest.raises(NotFoundError, match="nothing slows egress out1 at google"):
        await store.lift(ADMIN, PAIR, reason="why not")
    await store.save([SUSPENDED])
    await store.lift(ADMIN, PAIR, reason="over")
    with pytest.raises(NotFoundError):
        await store.lift(ADMIN, PAIR, reason="again")


async def test_a_lift_needs_the_admin_and_a_reason(store, acme):
    await store.save([SUSPENDED])
    with pytest.raises(UsageError, match="admin"):
        await store.lift(Scope.tenant(acme), PAIR, reason="please")
    with pytest.raises(UsageError, match="say why"):
        await store.lift(ADMIN, PAIR, reason=" ")
    assert await store.since(0) == (SUSPENDED,)


async def test_a_tenant_sees_its_own_throttles_the_admin_all(store, acme):
    own = throttle(Subject("out1", "google", acme), rate=TEN, changed_at=NOW + 1)
    await store.save([SUSPENDED, own])
    assert await store.all(ADMIN) == (own, SUSPENDED)
    assert await store.all(Scope.tenant(acme)) == (own,)


async def test_what_has_not_changed_for_long_is_forgotten_unless_a_suspension_runs(store):
    over = throttle(Subject("out1", "over"))
    running = throttle(Subject("out1", "banned"), suspended_until=NOW + 2 * HOUR)
    fresh = throttle(Subject("out1", "fresh"), changed_at=NOW + HOUR)
    await store.save([over, running, fresh])
    await store.forget(NOW + HOUR)
    assert set(await store.since(0)) == {running, fresh}


async def test_a_row_that_cannot_be_read_is_passed_over(store, engine, caplog):
    await store.save([SUSPENDED, throttle(Subject("out2", "google"), rate=TEN)])
    async with transaction(engine) as connection:
        await connection.execute(
            text("UPDATE throttle SET history = 'spoilt' WHERE egress = 'out1'")
        )
    assert [each.subject.egress for each in await store.since(0)] == ["out2"]
    assert "throttle of out1 at google passed over" in caplog.text
