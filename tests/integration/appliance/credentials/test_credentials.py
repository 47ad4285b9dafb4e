"""Credentials on both databases: shown once, rotated without downtime, revoked."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core import clock
from appliance.core.errors import ConflictError, NotFoundError
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials, Door, Policy, Use, entries
from appliance.tenancy import AuditLog, Tenants
from mta.directory import FromPolicy

ADMIN = Scope.system(by="ann")
KEYS = MasterKeys({1: b"k" * 32})


@pytest.fixture
async def acme(engine):
    return await Tenants(engine).create(ADMIN, name="acme")


@pytest.fixture
async def other(engine):
    return await Tenants(engine).create(ADMIN, name="other")


@pytest.fixture
def credentials(engine, now):
    return Credentials(engine, KEYS, now)


async def test_a_password_is_shown_once_and_stored_as_a_hash(credentials, acme):
    policy = Policy(from_policy=FromPolicy.ANY, networks=("10.0.0.0/8",))
    issued = await credentials.create(ADMIN, acme, name="App", policy=policy)
    found = await credentials.get(ADMIN, issued.credential.id)
    assert found == issued.credential
    assert (found.name, found.policy) == ("app", policy)
    (login,) = found.logins
    assert KEYS.credential_matches(issued.password, login.secret_hash)
    assert login.username == issued.username
    assert issued.password not in repr(issued)
    assert issued.password.encode() not in login.secret_hash


async def test_a_name_is_free_again_after_revocation(credentials, acme):
    first = await credentials.create(ADMIN, acme, name="app")
    with pytest.raises(ConflictError, match="app"):
        await credentials.create(ADMIN, acme, name="app")
    await credentials.revoke(ADMIN, first.credential.id)
    second = await credentials.create(ADMIN, acme, name="app")
    assert second.credential.id != first.credential.id
    assert second.username != first.username


async def test_rotation_keeps_the_old_login_for_its_overlap(credentials, acme, now):
    first = await credentials.create(ADMIN, acme, name="app")
    now.move(clock.DAY)
    second = await credentials.rotate(ADMIN, acme, first.credential.id, overlap=clock.HOUR)
    assert second.credential.id == first.credential.id
    assert second.password != first.password
    ends = {one.username: one.expires_at for one in entries(second.credential)}
    assert ends == {second.username: 0, first.username: now.at + clock.HOUR}


async def test_a_second_rotation_never_prolongs_and_forgets_what_is_over(credentials, acme, now):
    first = await credentials.create(ADMIN, acme, name="app")
    number = first.credential.id
    now.move(1)
    second = await credentials.rotate(ADMIN, acme, number, overlap=clock.HOUR)
    now.move(1)
    third = await credentials.rotate(ADMIN, acme, number, overlap=clock.DAY)
    ends = {one.username: one.expires_at for one in third.credential.logins}
    assert ends[first.username] == now.at - 1 + clock.HOUR
    assert ends[second.username] == now.at + clock.DAY
    now.move(2 * clock.HOUR)
    fourth = await credentials.rotate(ADMIN, acme, number)
    assert first.username not in {one.username for one in fourth.credential.logins}


async def test_a_revoked_credential_is_not_rotated(credentials, acme):
    issued = await credentials.create(ADMIN, acme, name="app")
    revoked = await credentials.revoke(ADMIN, issued.credential.id)
    assert revoked.revoked_at
    assert await credentials.revoke(ADMIN, issued.credential.id) == revoked
    with pytest.raises(ConflictError, match="revoked"):
        await credentials.rotate(ADMIN, acme, issued.credential.id)


async def test_another_tenants_credential_is_not_found(credentials, acme, other):
    issued = await credentials.create(ADMIN, acme, name="app")
    stranger = Scope.tenant(other.id)
    number = issued.credential.id
    for attempt in (
        credentials.get(stranger, number),
        credentials.revoke(stranger, number),
        credentials.rotate(stranger, other, number),
        credentials.set_policy(stranger, number, Policy()),
        credentials.rotate(ADMIN, other, number),
    ):
        with pytest.raises(NotFoundError):
            await attempt
    assert await credentials.list(stranger) == ()
    assert len(await credentials.list(Scope.tenant(acme.id))) == 1
    assert not (await credentials.get(ADMIN, number)).revoked_at


async def test_a_credential_is_found_by_name_or_user_name(credentials, acme):
    issued = await credentials.create(ADMIN, acme, name="app")
    scope = Scope.tenant(acme.id)
    assert (await credentials.find(scope, "APP")).id == issued.credential.id
    assert (await credentials.find(scope, issued.username)).id == issued.credential.id
    with pytest.raises(NotFoundError):
        await credentials.find(scope, "nothing")


async def test_a_policy_is_replaced(credentials, acme):
    issued = await credentials.create(ADMIN, acme, name="app")
    changed = await credentials.set_policy(ADMIN, issued.credential.id, Policy(dsn=False))
    assert changed.policy == Policy(dsn=False)


async def test_the_last_use_is_noted_and_an_older_one_ignored(credentials, acme):
    number = (await credentials.create(ADMIN, acme, name="app")).credential.id
    await credentials.note_uses([Use(credential_id=number, at=20, address="192.0.2.2")])
    await credentials.note_uses(
        [
            Use(credential_id=number, at=10, address="192.0.2.1"),
            Use(credential_id=10**9, at=10, address="192.0.2.1"),
            Use(credential_id=-5, at=10, address="192.0.2.1"),
        ]
    )
    await credentials.note_uses([])
    found = await credentials.get(ADMIN, number)
    assert (found.last_used_at, found.last_used_from) == (20, "192.0.2.2")


async def test_a_hash_is_replaced_once(credentials, acme):
    issued = await credentials.create(ADMIN, acme, name="app")
    old = issued.credential.logins[0].secret_hash
    assert await credentials.replace_hash(issued.username, old=old, new=b"new")
    assert not await credentials.replace_hash(issued.username, old=old, new=b"newer")
    assert (await credentials.get(ADMIN, issued.credential.id)).logins[0].secret_hash == b"new"


async def test_a_usual_rate_reaches_the_directory(credentials, acme):
    number = (await credentials.create(ADMIN, acme, name="app")).credential.id
    await credentials.set_usual_rates({number: 40, 10**9: 3})
    (entry,) = entries(await credentials.get(ADMIN, number))
    assert entry.usual_per_hour == 40


async def test_no_secret_stands_in_the_audit_log(engine, credentials, acme):
    issued = await credentials.create(ADMIN, acme, name="app")
    again = await credentials.rotate(ADMIN, acme, issued.credential.id)
    log = repr(await AuditLog(engine).list(ADMIN))
    assert "credential.rotate" in log
    assert issued.password not in log
    assert again.password not in log


async def test_people_of_a_tenant_send_through_one_credential_that_stands_in_no_list(
    credentials, acme, other, engine
):
    ann = Scope.tenant(acme.id, by="ann@acme.test")
    found = await asyncio.gather(*(credentials.of_console(ann) for _ in range(5)))
    assert len({one.id for one in found}) == 1
    (first, *_) = found
    assert (first.tenant_id, first.door, first.logins) == (acme.id, Door.CONSOLE, ())
    assert (await credentials.of_console(ADMIN, other.id)).id != first.id
    assert await credentials.list(ann) == ()
    assert await credentials.page(ann, revoked_too=True) == ()
    with pytest.raises(NotFoundError):
        await credentials.find(ann, first.name)
    assert first in await credentials.list(ADMIN, door=None)
    made = [(one.by, one.action) for one in await AuditLog(engine).list(ann)]
    assert made.count(("ann@acme.test", "credential.create")) == 1
    (entry,) = entries(first)
    assert (entry.id, entry.username, entry.revoked) == (first.id, "", False)
    with pytest.raises(NotFoundError):
        await credentials.of_console(ADMIN, 1 << 40)
