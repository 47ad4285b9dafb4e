"""API keys on both databases: shown once, never more than their maker may give, refused when revoked."""

from __future__ import annotations

import pytest

from appliance.core import clock
from appliance.core.errors import ForbiddenError, NotFoundError, SignInError, UsageError
from appliance.core.scope import BOX, Scope
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials, Door, Policy
from appliance.keys import KeyBook, Keys, Wish
from appliance.rights import GRANTS, Right, Role
from appliance.tenancy import AuditLog, Tenants

ADMIN = Scope.system(by="admin")
HASHER = MasterKeys({1: b"k" * 32})
ALL = GRANTS[Role.ADMIN]
SEND = Wish(name="shop", rights=frozenset({Right.MESSAGES_SEND}))


@pytest.fixture
def credentials(engine, now):
    return Credentials(engine, HASHER, now)


@pytest.fixture
def keys(engine, credentials, now):
    return Keys(engine, HASHER, credentials, now)


@pytest.fixture
def book(engine, keys, now):
    return KeyBook(engine, keys, HASHER, now)


@pytest.fixture
async def acme(engine):
    return await Tenants(engine).create(ADMIN, name="acme")


async def test_a_token_stands_for_its_key_and_nothing_near_it_does(keys, book, acme):
    issued = await keys.create(ADMIN, SEND, held=ALL, tenant_id=acme.id)
    await book.step()
    actor, key = book.find(issued.token, "192.0.2.1")
    assert (actor.id, actor.rights, actor.scope.tenant_id) == (key.id, SEND.rights, acme.id)
    assert actor.scope.address == "192.0.2.1"
    number = issued.token.split("_")[1]
    other = issued.token.replace(f"_{number}_", f"_{int(number) + 1}_")
    for wrong in (issued.token[:-1] + "?", issued.token[:-1], other, "", "pbk_1_", "x" * 5000):
        with pytest.raises(SignInError):
            book.find(wrong, "192.0.2.1")


async def test_the_secret_is_nowhere(keys, engine, acme):
    issued = await keys.create(ADMIN, SEND, held=ALL, tenant_id=acme.id)
    secret = issued.token.rsplit("_", 1)[1]
    assert secret not in repr(issued)
    assert secret.encode() not in issued.key.secret_hash
    assert all(secret not in entry.detail for entry in await AuditLog(engine).list(ADMIN))


async def test_a_key_that_is_revoked_or_over_opens_nothing(keys, book, acme, now):
    until = Wish(name="short", rights=SEND.rights, expires_at=now.at + clock.HOUR)
    short = await keys.create(ADMIN, until, held=ALL, tenant_id=acme.id)
    gone = await keys.create(ADMIN, SEND, held=ALL, tenant_id=acme.id)
    await book.step()
    book.find(short.token, "")
    book.find(gone.token, "")
    await keys.revoke(ADMIN, gone.key.id)
    assert (await keys.revoke(ADMIN, gone.key.id)).revoked_at
    await book.step()
    now.move(clock.HOUR)
    for token in (short.token, gone.token):
        with pytest.raises(SignInError):
            book.find(token, "")


async def test_behind_a_key_that_sends_stands_a_credential_without_a_login(keys, credentials, acme):
    wish = Wish(name="try", rights=SEND.rights, sandboxed=True, policy=Policy(tags=("api",)))
    issued = await keys.create(ADMIN, wish, held=ALL, tenant_id=acme.id)
    (behind,) = await credentials.list(ADMIN, door=Door.API)
    assert (behind.id, behind.logins) == (issued.key.credential_id, ())
    assert (behind.policy.sandbox, behind.policy.tags) == (True, ("api",))
    assert await credentials.list(ADMIN) == ()
    await keys.revoke(ADMIN, issued.key.id)
    assert (await credentials.get(ADMIN, behind.id)).revoked_at


async def test_nobody_gives_what_they_do_not_have(keys, acme):
    mine = Scope.tenant(acme.id, by="ada")
    beyond = Wish(name="x", rights=frozenset({Right.DOMAINS_MANAGE}))
    with pytest.raises(ForbiddenError, match=r"domains\.manage"):
        await keys.create(mine, beyond, held=GRANTS[Role.SENDER])
    never = Wish(name="x", rights=frozenset({Right.SENDING_STOP}))
    with pytest.raises(UsageError, match="tenant cannot have"):
        await keys.create(mine, never, held=ALL)
    with pytest.raises(UsageError, match="box cannot have"):
        await keys.create(ADMIN, SEND, held=ALL)


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\x00b"])
async def test_names_are_for_people(keys, acme, name):
    with pytest.raises(UsageError) as told:
        await keys.create(ADMIN, Wish(name=name, rights=SEND.rights), held=ALL, tenant_id=acme.id)
    assert told.value.field == "name"


async def test_a_tenant_sees_and_revokes_its_own_keys_alone(engine, keys, acme):
    other = await Tenants(engine).create(ADMIN, name="other")
    mine, theirs = Scope.tenant(acme.id), Scope.tenant(other.id)
    issued = await keys.create(mine, SEND, held=GRANTS[Role.OWNER])
    boxs = await keys.create(ADMIN, Wish(name="ops", rights=frozenset({Right.BOX_READ})), held=ALL)
    assert boxs.key.tenant_id == BOX
    assert [key.id for key in await keys.list(mine)] == [issued.key.id]
    assert await keys.list(theirs) == ()
    for number in (issued.key.id, boxs.key.id):
        with pytest.raises(NotFoundError):
            await keys.revoke(theirs, number)
    with pytest.raises(UsageError):
        await keys.create(mine, SEND, held=GRANTS[Role.OWNER], tenant_id=other.id)


async def test_uses_are_noted_to_the_minute(keys, book, acme, now):
    issued = await keys.create(ADMIN, SEND, held=ALL, tenant_id=acme.id)
    await book.step()
    now.move(2 * clock.MINUTE)
    book.find(issued.token, "192.0.2.9")
    await book.note()
    found = await keys.get(ADMIN, issued.key.id)
    assert (found.last_used_at, found.last_used_from) == (now.at, "192.0.2.9")


async def test_pages_go_on_where_they_ended(keys, acme):
    made = [(await keys.create(ADMIN, SEND, held=ALL, tenant_id=acme.id)).key.id for _ in range(5)]
    first = await keys.list(ADMIN, limit=3)
    rest = await keys.list(ADMIN, after=first[-1].id, limit=3)
    assert [key.id for key in (*first, *rest)] == made
