"""Egress addresses on both databases, and their DNS from a real name server."""

from __future__ import annotations

import pytest

from appliance.core.control import Part, generations
from appliance.core.database import reading
from appliance.core.dns import Resolver
from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.credentials import Credentials
from appliance.egress import (
    CheckState,
    Egresses,
    EgressRequest,
    PoolChange,
    Pools,
    can_bind,
)
from appliance.lab.dns_server import Fault, LabDns
from appliance.tenancy import AuditLog, Tenants
from mta.egress import EgressState, Member
from tests.support.control import PlainHasher
from tests.support.delivery import dns_settings

ADMIN = Scope.system(by="ann")
OUT1 = EgressRequest(name="out1", address="127.0.0.11", address6="2001:db8::11")
BACK6 = f"{'1.1.' + '0.' * 22}8.b.d.0.1.0.0.2.ip6.arpa"
ZONE = {
    "mail.box.example": {"A": ["127.0.0.11"], "AAAA": ["2001:db8::11"]},
    "11.0.0.127.in-addr.arpa": {"PTR": ["mail.box.example."]},
    BACK6: {"PTR": ["mail.box.example."]},
}


@pytest.fixture
def egresses(engine, now):
    return Egresses(engine, hostname="mail.box.example", now=now)


@pytest.fixture
def pools(engine, now):
    return Pools(engine, Tenants(engine), Credentials(engine, PlainHasher()), now)


async def generation(engine) -> int:
    async with reading(engine) as connection:
        return (await generations(connection))[Part.EGRESS]


async def test_an_egress_is_made_and_found_again(engine, egresses, now):
    made = await egresses.create(ADMIN, OUT1)
    assert (made.name, made.address, made.address6) == ("out1", "127.0.0.11", "2001:db8::11")
    assert (made.helo, made.state) == ("mail.box.example", EgressState.ENABLED)
    assert (made.created_at, made.checked_at, made.uses_ipv6) == (now.at, 0, False)
    assert await egresses.list(ADMIN) == (made,)
    assert await egresses.get(ADMIN, "OUT1") == made
    assert await generation(engine) == 1


async def test_a_name_and_an_address_are_taken_once(egresses):
    await egresses.create(ADMIN, OUT1)
    with pytest.raises(ConflictError, match="named out1"):
        await egresses.create(ADMIN, EgressRequest(name="out1", address="127.0.0.12"))
    with pytest.raises(ConflictError, match="out1 has the address"):
        await egresses.create(ADMIN, EgressRequest(name="out2", address6="2001:db8:0::11"))
    await egresses.create(ADMIN, EgressRequest(name="out2", address="127.0.0.12"))
    with pytest.raises(ConflictError, match="out1 has the address"):
        await egresses.update(ADMIN, "out2", address="127.0.0.11")


async def test_it_is_drained_disabled_and_enabled_with_a_reason(engine, egresses):
    await egresses.create(ADMIN, OUT1)
    drained = await egresses.drain(ADMIN, "out1", why="moving  house")
    assert (drained.state, drained.why) == (EgressState.DRAINING, "moving house")
    disabled = await egresses.disable(ADMIN, "out1", why="moved")
    assert (disabled.state, disabled.why) == (EgressState.DISABLED, "moved")
    before = await AuditLog(engine).list(ADMIN)
    assert await egresses.disable(ADMIN, "out1", why="moved") == disabled
    assert await AuditLog(engine).list(ADMIN) == before  # nothing was changed
    enabled = await egresses.enable(ADMIN, "out1")
    assert (enabled.state, enabled.why) == (EgressState.ENABLED, "")
    assert await egresses.get(ADMIN, "out1") == enabled
    with pytest.raises(UsageError, match="say why"):
        await egresses.drain(ADMIN, "out1", why=" ")
    entries = [(one.action, one.record, one.detail) for one in await AuditLog(engine).list(ADMIN)]
    assert entries == [
        ("egress.enable", "egress out1", ""),
        ("egress.disable", "egress out1", "moved"),
        ("egress.drain", "egress out1", "moving house"),
        ("egress.create", "egress out1", "127.0.0.11 2001:db8::11 as mail.box.example"),
    ]


async def test_it_is_deleted_when_it_sends_no_more_or_by_force(egresses, pools):
    for request in (OUT1, EgressRequest(name="out2", address="127.0.0.12")):
        await egresses.create(ADMIN, request)
    members = (Member(egress="out1"), Member(egress="out2"))
    await pools.set(ADMIN, "main", PoolChange(members=members))
    with pytest.raises(ConflictError, match="is enabled"):
        await egresses.delete(ADMIN, "out1")
    await egresses.drain(ADMIN, "out1", why="old")
    await egresses.delete(ADMIN, "out1")
    (main,) = await pools.list(ADMIN)
    assert main.members == (Member(egress="out2"),)
    with pytest.raises(ConflictError, match="is enabled"):
        await egresses.delete(ADMIN, "out2")
    await egresses.disable(ADMIN, "out2", why="old")
    with pytest.raises(ConflictError, match="only address of pool main"):
        await egresses.delete(ADMIN, "out2")
    await egresses.delete(ADMIN, "out2", force=True)
    assert await egresses.list(ADMIN) == ()
    with pytest.raises(NotFoundError, match="'out2'"):
        await egresses.enable(ADMIN, "out2")


async def test_only_the_admin_sees_and_changes_addresses(egresses):
    await egresses.create(ADMIN, OUT1)
    tenant = Scope.tenant(3)
    for work in (
        egresses.list(tenant),
        egresses.get(tenant, "out1"),
        egresses.create(tenant, OUT1),
        egresses.drain(tenant, "out1", why="x"),
        egresses.delete(tenant, "out1", force=True),
    ):
        with pytest.raises(UsageError, match="only the box's admin"):
            await work


async def test_a_check_lets_ipv6_in_and_remembers_what_it_saw(egresses, now):
    await egresses.create(ADMIN, OUT1)
    now.move(1000)
    async with LabDns(ZONE) as dns:
        checked, seen = await egresses.check(ADMIN, "out1", Resolver(dns_settings(dns)))
    assert {check.state for check in seen} == {CheckState.OK}
    assert checked.checks == seen
    assert checked.uses_ipv6
    assert checked.checked_at == now.at
    assert await egresses.get(ADMIN, "out1") == checked
    (four, six) = checked.checks
    assert four.warnings == ()  # loopback is here
    assert "no interface of this machine has 2001:db8::11" in six.warnings[0]


async def test_ipv6_goes_when_its_name_goes_but_not_when_dns_is_silent(egresses):
    await egresses.create(ADMIN, OUT1)
    async with LabDns(ZONE) as dns:
        settings = dns_settings(dns, timeout=2.0)
        right, _ = await egresses.check(ADMIN, "out1", Resolver(settings))
        dns.faults = {"mail.box.example": Fault.SERVFAIL, BACK6: Fault.SERVFAIL}
        kept, silent = await egresses.check(ADMIN, "out1", Resolver(settings))
        assert {check.state for check in silent} == {CheckState.UNKNOWN}
        assert kept.uses_ipv6
        assert await egresses.get(ADMIN, "out1") == kept
        assert kept.checks == right.checks
        dns.faults = {}
        del dns.zone[BACK6]
        broken, _ = await egresses.check(ADMIN, "out1", Resolver(settings))
        assert not broken.uses_ipv6
        assert broken.dns("127.0.0.11") is CheckState.OK
        (problem,) = broken.checks[1].problems
        assert f"`{BACK6}. PTR mail.box.example.`" in problem


async def test_what_was_checked_under_another_name_counts_no_more(egresses):
    await egresses.create(ADMIN, OUT1)
    async with LabDns(ZONE) as dns:
        await egresses.check(ADMIN, "out1", Resolver(dns_settings(dns)))
    moved = await egresses.update(ADMIN, "out1", address="127.0.0.13")
    assert (moved.uses_ipv6, moved.dns("127.0.0.13")) == (True, CheckState.UNKNOWN)
    renamed = await egresses.update(ADMIN, "out1", helo="other.example")
    assert (renamed.uses_ipv6, renamed.checks) == (False, ())
    forced = await egresses.update(ADMIN, "out1", ipv6_forced=True)
    assert forced.uses_ipv6
    assert await egresses.get(ADMIN, "out1") == forced
    alone = await egresses.update(ADMIN, "out1", address="")
    assert alone.addresses == ("2001:db8::11",)
    with pytest.raises(UsageError, match="needs an address"):
        await egresses.update(ADMIN, "out1", address6="")
    with pytest.raises(UsageError, match="nothing to change"):
        await egresses.update(ADMIN, "out1")


async def test_a_check_of_what_was_changed_meanwhile_is_not_written(egresses):
    await egresses.create(ADMIN, OUT1)

    class Slow(Resolver):
        async def ptr(self, address):
            if address == "127.0.0.11":
                await egresses.update(ADMIN, "out1", helo="other.example")
            return await super().ptr(address)

    async with LabDns(ZONE) as dns:
        await egresses.check(ADMIN, "out1", Slow(dns_settings(dns)))
    found = await egresses.get(ADMIN, "out1")
    assert (found.helo, found.checks, found.uses_ipv6) == ("other.example", (), False)


def test_this_machine_has_loopback_and_not_the_documentations_addresses():
    assert can_bind("127.0.0.44")
    assert not can_bind("192.0.2.1")
    assert not can_bind("2001:db8::1")
