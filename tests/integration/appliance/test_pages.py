"""Pages and look-ups of the rooms that the API asks: in order, bounded, and a tenant's own alone; on both databases."""

from __future__ import annotations

import pytest

from appliance.blocklists import Blocklists, Sighting, Target
from appliance.core import clock
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials
from appliance.domains import BoxNames, Domains
from appliance.domains import service as domain_service
from appliance.suppressions import Reason, SuppressionList
from appliance.tenancy import AuditFilter, AuditLog, Tenants
from mta.signing import keys

ADMIN = Scope.system(by="ann")
KEYS = MasterKeys({1: b"k" * 32})
NAMES = BoxNames(hostname="mail.box.example", bounce_domain="bounces.mail.box.example")
PAIR = keys.make_rsa(), keys.make_ed25519()


@pytest.fixture
async def tenants(engine, now):
    room = Tenants(engine, now)
    return [await room.create(ADMIN, name=name) for name in ("acme", "beta", "gamma")]


def names(found):
    return [one.name for one in found]


async def test_tenants_are_paged_by_id_and_a_tenant_finds_itself_alone(engine, tenants):
    room = Tenants(engine)
    acme, beta, gamma = tenants
    assert names(await room.page(ADMIN, limit=2)) == ["acme", "beta"]
    assert names(await room.page(ADMIN, after=beta.id)) == ["gamma"]
    own = Scope.tenant(beta.id)
    assert names(await room.page(own)) == ["beta"]
    assert await room.by_id(own, beta.id) == beta
    for stranger in (acme.id, gamma.id, 999, 0):
        with pytest.raises(NotFoundError):
            await room.by_id(own, stranger)


async def test_credentials_are_paged_with_their_logins_revoked_ones_if_wanted(engine, now, tenants):
    room = Credentials(engine, KEYS, now)
    acme, beta, _ = tenants
    made = [await room.create(ADMIN, acme, name=name) for name in ("a", "b", "c")]
    await room.create(ADMIN, beta, name="a")
    first, second, third = (one.credential for one in made)
    now.move(1)
    await room.rotate(ADMIN, acme, third.id)
    await room.revoke(ADMIN, second.id)
    own = Scope.tenant(acme.id)
    assert names(await room.page(own)) == ["a", "c"]
    assert names(await room.page(own, revoked_too=True)) == ["a", "b", "c"]
    assert await room.page(own, limit=1) == (first,)
    (page,) = await room.page(own, after=second.id)
    assert page == await room.get(own, third.id)
    assert len(page.logins) == 2
    assert len(await room.page(ADMIN)) == 3


async def test_domains_are_paged_with_their_keys_and_found_by_id(engine, now, tenants, monkeypatch):
    async def pair():
        return PAIR

    monkeypatch.setattr(domain_service, "_make_pair", pair)
    room = Domains(engine, KEYS, NAMES, queue_life=clock.DAY, now=now)
    acme, beta, _ = tenants
    made = [
        await room.create(ADMIN, tenant_id=owner.id, name=name)
        for owner, name in ((acme, "z.test"), (beta, "z.test"), (acme, "a.test"))
    ]
    own = Scope.tenant(acme.id)
    assert names(await room.page(own)) == ["z.test", "a.test"]
    assert await room.page(own, after=made[0].id) == (await room.by_id(own, made[2].id),)
    assert [len(one.keys) for one in await room.page(ADMIN, limit=2)] == [2, 2]
    assert (await room.by_id(ADMIN, made[1].id)).tenant_id == beta.id
    with pytest.raises(NotFoundError):
        await room.by_id(own, made[1].id)


async def test_suppressions_are_found_by_id_address_and_reason(engine, now, tenants):
    room = SuppressionList(engine, now)
    acme, beta, _ = tenants
    own, other = Scope.tenant(acme.id), Scope.tenant(beta.id)
    ada = await room.add(own, "Ada@A.test", reason=Reason.COMPLAINT)
    whole = await room.add(own, "a.test", expires_at=now.at + clock.DAY)
    box = await room.add(ADMIN, "ada@a.test")
    assert (ada.target, ada.reason, ada.tenant_id) == ("ada@a.test", Reason.COMPLAINT, acme.id)
    assert await room.get(own, ada.id) == ada
    assert await room.of(own, "ADA@a.test") == (ada, whole)
    assert await room.of(own, "bob@a.test") == (whole,)
    assert await room.of(ADMIN, "ada@a.test") == (ada, whole, box)
    assert await room.of(other, "ada@a.test") == ()
    assert await room.list(own, reason=Reason.COMPLAINT) == (ada,)
    for scope, wanted in ((other, ada), (own, box)):
        with pytest.raises(NotFoundError):
            await room.get(scope, wanted.id)
    again = await room.add(own, "ada@a.test", reason=Reason.MANUAL)
    assert (again.id, again.reason) == (ada.id, Reason.MANUAL)
    now.move(2 * clock.DAY)
    assert await room.of(own, "bob@a.test") == ()
    with pytest.raises(UsageError, match="no address"):
        await room.of(own, "")


async def test_the_audit_log_is_filtered(engine, now, tenants):
    log, room = AuditLog(engine), Tenants(engine, now)
    now.move(clock.DAY)
    await room.suspend(Scope.system(by="bob"), "acme", reason="unpaid")

    async def found(scope=ADMIN, **wanted):
        return [(one.by, one.action) for one in await log.list(scope, AuditFilter(**wanted))]

    assert await found(by="bob") == [("bob", "tenant.suspend")]
    assert await found(action="tenant.s") == [("bob", "tenant.suspend")]
    assert len(await found(action="tenant.")) == 4
    assert await found(action="tenant_") == []
    assert len(await found(record="tenant acme")) == 2
    assert await found(since=now.at) == [("bob", "tenant.suspend")]
    assert len(await found(until=now.at)) == 3
    assert await found(Scope.tenant(tenants[1].id), by="bob") == []


async def test_listings_are_paged(engine, now):
    room = Blocklists(engine, now)
    target = Target(egress="out-1", address="192.0.2.1")
    made = [
        await room.note_listed(
            ADMIN, Sighting(target=target, zone=f"{n}.test", codes=("127.0.0.2",), text="")
        )
        for n in range(3)
    ]
    assert await room.listings(ADMIN, limit=2) == tuple(made[:2])
    assert await room.listings(ADMIN, after=made[1].id) == (made[2],)
