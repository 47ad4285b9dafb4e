"""Tenants and the audit log, on both databases."""

from __future__ import annotations

import pytest

from appliance.core.control import Part, generations
from appliance.core.database import reading
from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.tenancy import Act, AuditFilter, AuditLog, Tenants

ADMIN = Scope.system(by="ann")


async def test_a_tenant_is_created_and_found_again(engine, now):
    tenants = Tenants(engine, now)
    made = await tenants.create(ADMIN, name="Acme", weight=3, recipients_per_day=500)
    assert (made.name, made.weight, made.recipients_per_day) == ("acme", 3, 500)
    assert made.created_at == now.at
    assert not made.suspended
    assert await tenants.get(ADMIN, "ACME") == made
    assert await tenants.list(ADMIN) == (made,)


async def test_names_are_told_of_those_that_are_seen(engine):
    tenants = Tenants(engine)
    one, two = [await tenants.create(ADMIN, name=name) for name in ("acme", "globex")]
    assert await tenants.names(ADMIN, [one.id, two.id, 999]) == {one.id: "acme", two.id: "globex"}
    assert await tenants.names(Scope.tenant(two.id), [one.id, two.id]) == {two.id: "globex"}


async def test_a_name_is_taken_once(engine):
    tenants = Tenants(engine)
    await tenants.create(ADMIN, name="acme")
    with pytest.raises(ConflictError, match="acme"):
        await tenants.create(ADMIN, name="acme")


async def test_a_suspended_tenant_says_why_until_it_is_resumed(engine, now):
    tenants = Tenants(engine, now)
    await tenants.create(ADMIN, name="acme")
    suspended = await tenants.suspend(ADMIN, "acme", reason="unpaid")
    assert (suspended.suspended_at, suspended.suspended_reason) == (now.at, "unpaid")
    resumed = await tenants.resume(ADMIN, "acme")
    assert not resumed.suspended
    assert resumed.suspended_reason == ""


async def test_limits_change_alone(engine):
    tenants = Tenants(engine)
    await tenants.create(ADMIN, name="acme", weight=2)
    changed = await tenants.set_limits(ADMIN, "acme", recipients_per_day=9)
    assert (changed.weight, changed.recipients_per_day) == (2, 9)
    with pytest.raises(UsageError):
        await tenants.set_limits(ADMIN, "acme")


async def test_pools_are_chosen_one_by_one_and_taken_back(engine):
    tenants = Tenants(engine)
    assert (await tenants.create(ADMIN, name="acme")).pool == ""
    await tenants.set_pools(ADMIN, "acme", pool=" Main ", bulk_pool="bulk")
    changed = await tenants.set_pools(ADMIN, "acme", transactional_pool="fast", bulk_pool="")
    assert (changed.pool, changed.bulk_pool, changed.transactional_pool) == ("main", "", "fast")
    assert await tenants.get(ADMIN, "acme") == changed
    newest, *_ = await AuditLog(engine).list(ADMIN)
    assert (newest.action, newest.detail) == (
        "tenant.pools",
        "bulk_pool=none, transactional_pool=fast",
    )
    async with reading(engine) as connection:
        found = await generations(connection)
    assert (found[Part.TENANTS], found[Part.EGRESS]) == (1, 2)
    with pytest.raises(UsageError, match="name a pool"):
        await tenants.set_pools(ADMIN, "acme")


async def test_a_tenant_sees_itself_only_and_changes_nothing(engine):
    tenants = Tenants(engine)
    acme = await tenants.create(ADMIN, name="acme")
    await tenants.create(ADMIN, name="other")
    scope = Scope.tenant(acme.id)
    assert [found.name for found in await tenants.list(scope)] == ["acme"]
    with pytest.raises(NotFoundError):
        await tenants.get(scope, "other")
    with pytest.raises(UsageError):
        await tenants.suspend(scope, "acme", reason="x")
    with pytest.raises(UsageError):
        await tenants.create(scope, name="third")


async def test_the_box_is_not_among_the_tenants(engine):
    tenants = Tenants(engine)
    assert await tenants.list(ADMIN) == ()
    with pytest.raises(NotFoundError):
        await tenants.get(ADMIN, "box")


async def test_what_is_not_there_is_not_found(engine):
    with pytest.raises(NotFoundError, match="nobody"):
        await Tenants(engine).suspend(ADMIN, "nobody", reason="x")


async def test_each_change_is_audited_and_seen(engine, now):
    tenants, log = Tenants(engine, now), AuditLog(engine)
    acme = await tenants.create(ADMIN, name="acme")
    await tenants.create(ADMIN, name="other")
    now.move(5)
    await tenants.suspend(ADMIN, "acme", reason="unpaid")
    newest, *_, oldest = await log.list(ADMIN)
    assert (newest.by, newest.action, newest.record) == ("ann", "tenant.suspend", "tenant acme")
    assert (newest.at, newest.detail, newest.tenant_id) == (now.at, "unpaid", acme.id)
    assert oldest.action == "tenant.create"
    mine = await log.list(Scope.tenant(acme.id))
    assert {entry.tenant_id for entry in mine} == {acme.id}
    assert await log.list(ADMIN, before=newest.id, limit=1) == (await log.list(ADMIN))[1:2]
    async with reading(engine) as connection:
        assert (await generations(connection))[Part.TENANTS] == 3


async def test_a_change_that_fails_leaves_neither_row_nor_audit_nor_generation(engine):
    tenants = Tenants(engine)
    await tenants.create(ADMIN, name="acme")
    with pytest.raises(ConflictError):
        await tenants.create(ADMIN, name="acme")
    assert len(await AuditLog(engine).list(ADMIN)) == 1
    async with reading(engine) as connection:
        assert (await generations(connection))[Part.TENANTS] == 1


async def test_the_audit_log_says_from_where(engine):
    tenants, log = Tenants(engine), AuditLog(engine)
    there = Scope.system(by="ann", address="192.0.2.7")
    acme = await tenants.create(there, name="acme")
    await tenants.create(ADMIN, name="other")
    assert [one.address for one in await log.list(ADMIN)] == ["", "192.0.2.7"]
    await log.note(
        there.within(acme.id), Act(tenant_id=acme.id, at=1, action="x", subject="tenant acme")
    )
    (noted,) = await log.list(Scope.tenant(acme.id), AuditFilter(address="192.0.2.7", action="x"))
    assert (noted.by, noted.tenant_id) == ("ann", acme.id)
    assert not await log.list(ADMIN, AuditFilter(address="192.0.2.8"))
