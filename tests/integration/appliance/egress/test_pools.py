"""Pools on both databases: whose they are, who refers to them, and what becomes of their mail."""

from __future__ import annotations

import pytest

from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.credentials import Credentials, Policy
from appliance.egress import Egresses, EgressRequest, PoolChange, Pools
from appliance.tenancy import AuditLog, Tenants
from mta.egress import Member
from tests.support.control import PlainHasher

ADMIN = Scope.system(by="ann")


def members(**weights: int) -> tuple[Member, ...]:
    return tuple(Member(egress=name, weight=weight) for name, weight in weights.items())


@pytest.fixture
async def acme(engine):
    return await Tenants(engine).create(ADMIN, name="acme")


@pytest.fixture
async def other(engine):
    return await Tenants(engine).create(ADMIN, name="other")


@pytest.fixture
def credentials(engine):
    return Credentials(engine, PlainHasher())


@pytest.fixture
async def pools(engine, credentials, now):
    egresses = Egresses(engine, hostname="mail.box.example", now=now)
    for n in (1, 2, 3):
        await egresses.create(ADMIN, EgressRequest(name=f"out{n}", address=f"127.0.0.1{n}"))
    return Pools(engine, Tenants(engine), credentials, now)


async def test_a_pool_is_made_and_changed_by_what_is_given(engine, pools, acme, now):
    made = await pools.set(ADMIN, "Main", PoolChange(members=members(out2=3, out1=1)))
    assert (made.name, made.members, made.tenant_id) == ("main", members(out1=1, out2=3), 0)
    assert (made.fallback, made.is_default, made.created_at) == ("", False, now.at)
    await pools.set(ADMIN, "own", PoolChange(members=members(out3=1), tenant_id=acme.id))
    changed = await pools.set(ADMIN, "own", PoolChange(fallback="main"))
    assert (changed.members, changed.fallback, changed.tenant_id) == (
        members(out3=1),
        "main",
        acme.id,
    )
    assert await pools.list(ADMIN) == (made, changed)
    newest, *_ = await AuditLog(engine).list(ADMIN)
    assert (newest.action, newest.record, newest.detail, newest.tenant_id) == (
        "pool.update",
        "pool own",
        "out3=1, then main",
        acme.id,
    )


async def test_members_come_go_and_change_their_weight(pools):
    await pools.set(ADMIN, "main", PoolChange(members=members(out1=1)))
    grown = await pools.add(ADMIN, "main", members(out1=5, out2=2))
    assert grown.members == members(out1=5, out2=2)
    left = await pools.remove(ADMIN, "main", ["OUT1"])
    assert left.members == members(out2=2)
    assert await pools.list(ADMIN) == (left,)
    with pytest.raises(NotFoundError, match="no member out1"):
        await pools.remove(ADMIN, "main", ["out1"])
    with pytest.raises(UsageError, match="no address"):
        await pools.remove(ADMIN, "main", ["out2"])
    with pytest.raises(NotFoundError, match="'gone'"):
        await pools.add(ADMIN, "gone", members(out1=1))


async def test_one_pool_at_most_is_the_default(pools):
    await pools.set(ADMIN, "a", PoolChange(members=members(out1=1), is_default=True))
    await pools.set(ADMIN, "b", PoolChange(members=members(out2=1), is_default=True))
    assert [one.is_default for one in await pools.list(ADMIN)] == [False, True]
    await pools.set(ADMIN, "b", PoolChange(is_default=False))
    assert [one.is_default for one in await pools.list(ADMIN)] == [False, False]


async def test_a_change_that_cannot_stand_leaves_nothing(pools):
    await pools.set(ADMIN, "a", PoolChange(members=members(out1=1)))
    await pools.set(ADMIN, "b", PoolChange(members=members(out2=1), fallback="a"))
    before = await pools.list(ADMIN)
    with pytest.raises(ConflictError, match="circle"):
        await pools.set(ADMIN, "a", PoolChange(fallback="b"))
    with pytest.raises(NotFoundError, match="out9"):
        await pools.set(ADMIN, "c", PoolChange(members=members(out9=1)))
    assert await pools.list(ADMIN) == before


async def test_a_pool_that_is_referred_to_goes_by_force_only(engine, pools, credentials, acme):
    await pools.set(ADMIN, "a", PoolChange(members=members(out1=1), is_default=True))
    await pools.set(ADMIN, "b", PoolChange(members=members(out2=1), fallback="a"))
    await Tenants(engine).set_pools(ADMIN, "acme", bulk_pool="a")
    made = await credentials.create(ADMIN, acme, name="app", policy=Policy(pool="A"))
    with pytest.raises(ConflictError) as refused:
        await pools.delete(ADMIN, "a")
    for words in ("the default", "pool b", "tenant acme", "credential 1 (app)"):
        assert words in str(refused.value)
    await credentials.revoke(ADMIN, made.credential.id)
    with pytest.raises(ConflictError) as refused:
        await pools.delete(ADMIN, "a")
    assert "credential" not in str(refused.value)
    await pools.delete(ADMIN, "a", force=True)
    (left,) = await pools.list(ADMIN)
    assert (left.name, left.fallback) == ("b", "")
    await pools.delete(ADMIN, "b")
    assert await pools.list(ADMIN) == ()


async def test_a_pool_others_use_does_not_become_one_tenants_own(engine, pools, acme, other):
    await pools.set(ADMIN, "a", PoolChange(members=members(out1=1)))
    await Tenants(engine).set_pools(ADMIN, "other", pool="a")
    with pytest.raises(ConflictError, match="tenant other"):
        await pools.set(ADMIN, "a", PoolChange(tenant_id=acme.id))
    assert (await pools.set(ADMIN, "a", PoolChange(tenant_id=other.id))).tenant_id == other.id


async def test_a_tenant_sees_what_it_may_use_and_changes_nothing(pools, acme, other):
    await pools.set(ADMIN, "shared", PoolChange(members=members(out1=1)))
    await pools.set(ADMIN, "own", PoolChange(members=members(out2=1), tenant_id=acme.id))
    assert [one.name for one in await pools.list(Scope.tenant(acme.id))] == ["own", "shared"]
    assert [one.name for one in await pools.list(Scope.tenant(other.id))] == ["shared"]
    scope = Scope.tenant(acme.id)
    with pytest.raises(UsageError, match="only the box's admin"):
        await pools.set(scope, "own", PoolChange(fallback="shared"))
    with pytest.raises(UsageError, match="only the box's admin"):
        await pools.delete(scope, "own")


async def test_a_pool_that_may_not_be_used_is_told_with_those_that_may(pools, acme, other):
    await pools.set(ADMIN, "shared", PoolChange(members=members(out1=1)))
    await pools.set(ADMIN, "own", PoolChange(members=members(out2=1), tenant_id=acme.id))
    assert (await pools.usable(ADMIN, "Own", acme.id)).name == "own"
    with pytest.raises(NotFoundError, match="'own' is open to this tenant; it may use shared"):
        await pools.usable(ADMIN, "own", other.id)
