"""Endpoints on both databases: scoped, audited, their secrets sealed and shown once."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from appliance.core import clock
from appliance.core.database import transaction
from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.core.settings import Webhooks as Settings
from appliance.notices import Notices
from appliance.tenancy import AuditLog, Tenants
from appliance.webhooks import (
    TYPES,
    Allowed,
    Change,
    Delivery,
    Key,
    Outcome,
    SenderStore,
    Waiting,
    Webhooks,
)
from appliance.webhooks.model import TEST, Gone
from appliance.webhooks.rules import MAX_PER_TENANT
from appliance.webhooks.service import MAX_WAITING, OVERLAP
from appliance.webhooks.signing import key_of
from appliance.webhooks.store import KEPT_DELIVERIES, Batch
from tests.support.webhooks import KEYS

ADMIN = Scope.system(by="admin")
URL = "https://hooks.example/in"
BOUNCES = ("message.bounced",)


@pytest.fixture
def webhooks(engine, now):
    return Webhooks(engine, KEYS, Settings(), Allowed(), now)


@pytest.fixture
def store(engine):
    return SenderStore(engine, KEYS)


@pytest.fixture
async def acme(engine):
    made = await Tenants(engine).create(ADMIN, name="acme")
    return Scope.tenant(made.id, by="ada")


@pytest.fixture
async def other(engine):
    made = await Tenants(engine).create(ADMIN, name="other")
    return Scope.tenant(made.id, by="bob")


def waits(seq: int, **changes) -> Waiting:
    values = {"key": Key(1, seq, 0), "type": "message.bounced", "at": 5, "due_at": 0, "body": b"{}"}
    return Waiting(**(values | changes))


def attempt(webhook_id: int, **changes) -> Delivery:
    values = {
        "webhook_id": webhook_id,
        "tenant_id": 1,
        "event": "msg_1",
        "type": TEST,
        "message_id": 0,
        "at": 1 << 50,
        "attempt": 1,
        "outcome": Outcome.TAKEN,
        "status": 200,
        "took": 3,
        "answer": "ok",
    }
    return Delivery(**(values | changes))


async def test_an_endpoint_is_made_listed_changed_and_audited(webhooks, engine, acme):
    made = await webhooks.create(acme, url=URL, types=BOUNCES, description="for the shop")
    one = made.endpoint
    assert (one.url, one.types, one.description, one.is_enabled) == (
        URL,
        BOUNCES,
        "for the shop",
        True,
    )
    assert await webhooks.list(acme) == (one,)
    changed = await webhooks.change(acme, one.id, Change(types=TYPES))
    assert (changed.types, changed.url) == (TYPES, URL)
    assert await webhooks.get(acme, one.id) == changed
    await webhooks.delete(acme, one.id)
    assert await webhooks.list(acme) == ()
    acts = [(act.action, act.by) for act in await AuditLog(engine).list(acme, limit=3)]
    assert acts == [("webhook.delete", "ada"), ("webhook.change", "ada"), ("webhook.create", "ada")]


async def test_nobody_sees_or_touches_anothers(webhooks, acme, other):
    one = (await webhooks.create(acme, url=URL, types=TYPES)).endpoint
    assert await webhooks.list(other) == ()
    for attempted in (
        webhooks.get(other, one.id),
        webhooks.change(other, one.id, Change(description="x")),
        webhooks.rotate(other, one.id),
        webhooks.disable(other, one.id),
        webhooks.enable(other, one.id),
        webhooks.delete(other, one.id),
        webhooks.deliveries(other, one.id),
        webhooks.standing(other, one.id),
        webhooks.replay_failed(other, one.id),
        webhooks.replay(other, one.id, [waits(1)]),
        webhooks.note_delivery(other, attempt(one.id)),
    ):
        with pytest.raises(NotFoundError):
            await attempted
    assert await webhooks.list(ADMIN) == (one,)
    with pytest.raises(UsageError):
        await webhooks.create(other, url=URL, types=TYPES, tenant_id=acme.tenant_id)


async def test_a_secret_is_shown_once_and_stands_sealed(webhooks, store, engine, acme):
    made = await webhooks.create(acme, url=URL, types=TYPES)
    async with engine.connect() as connection:
        row = (await connection.execute(text("SELECT * FROM webhook"))).mappings().one()
    assert all(made.secret[6:] not in str(value) for value in row.values())
    signer = await store.signer(made.endpoint.id)
    assert signer.keys == (key_of(made.secret),)
    assert len(key_of(made.secret)) == 32


async def test_a_rotated_secret_signs_beside_the_new_one_for_a_day(webhooks, store, acme, now):
    first = await webhooks.create(acme, url=URL, types=TYPES)
    second = await webhooks.rotate(acme, first.endpoint.id)
    signer = await store.signer(first.endpoint.id)
    both = (key_of(second.secret), key_of(first.secret))
    assert signer.keys_at(now() + OVERLAP - 1) == both
    assert signer.keys_at(now() + OVERLAP) == both[:1]


async def test_a_secret_that_cannot_be_read_is_replaced_and_stops_nobody(engine, webhooks, acme):
    one = (await webhooks.create(acme, url=URL, types=TYPES)).endpoint
    two = (await webhooks.create(acme, url=URL, types=TYPES)).endpoint
    async with transaction(engine) as connection:
        await connection.execute(text("UPDATE webhook SET secret = 'lost' WHERE id = 1"))
    store = SenderStore(engine, KEYS)
    keys = {
        signer.endpoint.id: len(signer.keys) for signer in await store.signers([one.id, two.id])
    }
    assert keys == {one.id: 0, two.id: 1}
    rotated = await webhooks.rotate(acme, one.id)
    assert (await store.signer(one.id)).keys == (key_of(rotated.secret),)


async def test_private_addresses_and_too_many_are_refused(webhooks, acme, engine):
    for url in ("https://10.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest"):
        with pytest.raises(UsageError) as refused:
            await webhooks.create(acme, url=url, types=TYPES)
        assert refused.value.field == "url"
    for _ in range(MAX_PER_TENANT):
        await webhooks.create(acme, url=URL, types=TYPES)
    with pytest.raises(ConflictError):
        await webhooks.create(acme, url=URL, types=TYPES)
    listed = Webhooks(engine, KEYS, Settings(), Allowed(["10.0.0.0/8"]))
    one = (await webhooks.list(acme))[0]
    await listed.change(acme, one.id, Change(url="https://10.0.0.1/"))


async def test_disabled_and_enabled_once_each(webhooks, store, engine, acme):
    one = (await webhooks.create(acme, url=URL, types=TYPES)).endpoint
    off = await webhooks.disable(acme, one.id, reason="for repairs")
    assert (off.is_enabled, off.disabled_by, off.disabled_reason) == (False, "ada", "for repairs")
    with pytest.raises(ConflictError):
        await webhooks.disable(acme, one.id)
    on = await webhooks.enable(acme, one.id)
    assert (on.is_enabled, on.disabled_reason) == (True, "")
    with pytest.raises(ConflictError):
        await webhooks.enable(acme, one.id)
    assert await store.disable(await store.signer(one.id), "nothing taken")
    assert not await store.disable(await store.signer(one.id), "nothing taken")
    (notice,) = await Notices(engine).list(acme)
    assert (notice.kind, notice.subject) == ("webhook-disabled", f"webhook {one.id}")
    (act, *_) = await AuditLog(engine).list(acme)
    assert (act.by, act.action, act.detail) == ("webhooks", "webhook.disable", "nothing taken")
    await webhooks.enable(acme, one.id)
    assert await Notices(engine).list(acme) == ()


async def test_enabled_again_it_goes_on_or_begins_anew(webhooks, store, acme, now):
    one = (await webhooks.create(acme, url=URL, types=TYPES)).endpoint
    begun = (await store.cursors())[one.id]
    tried = waits(1, attempts=5, first_at=1, due_at=1 << 50)
    await store.save(Batch(progress=begun, new=[(one.id, tried)]))

    async def rows():
        return [row async for _, row in store.waiting([one.id])]

    await webhooks.disable(acme, one.id)
    await webhooks.enable(acme, one.id)
    (row,) = await rows()
    assert (row.attempts, row.first_at, row.due_at) == (0, 0, 0)
    assert (await store.cursors())[one.id] == begun
    await webhooks.disable(acme, one.id)
    now.move(60_000)
    await webhooks.enable(acme, one.id, skip=True)
    assert await rows() == []
    assert (await store.cursors())[one.id] > begun


async def test_deliveries_are_paged_and_the_newest_are_kept(webhooks, store, acme):
    one = (await webhooks.create(acme, url=URL, types=TYPES)).endpoint
    made = [attempt(one.id, attempt=n) for n in range(KEPT_DELIVERIES + 5)]
    await store.save(Batch(progress=1, deliveries=made))
    await store.trim()
    first = await webhooks.deliveries(acme, one.id, limit=2)
    assert [each.attempt for each in first] == [KEPT_DELIVERIES + 4, KEPT_DELIVERIES + 3]
    rest = await webhooks.deliveries(acme, one.id, before=first[-1].id, limit=1000)
    assert len(rest) == KEPT_DELIVERIES - 2
    standing = await webhooks.standing(acme, one.id)
    assert standing.last == first[0]


async def test_what_is_old_and_what_belongs_to_nobody_is_forgotten(webhooks, store, acme):
    one = (await webhooks.create(acme, url=URL, types=TYPES)).endpoint
    stray = one.id + 1
    batch = Batch(
        progress=9,
        cursors={stray: 4},
        new=[(stray, waits(1)), (one.id, waits(2, given_up_at=7)), (one.id, waits(3))],
        deliveries=[attempt(stray), attempt(one.id, at=7), attempt(one.id)],
    )
    await store.save(batch)
    await store.tidy()
    assert set(await store.cursors()) == {0, one.id}
    assert [row.key.seq async for _, row in store.waiting([one.id, stray])] == [3]
    assert len(await webhooks.deliveries(acme, one.id)) == 1
    assert (await webhooks.standing(acme, one.id)).given_up == 0


async def test_a_batch_is_saved_whole_and_twice_does_no_harm(webhooks, store, acme):
    one = (await webhooks.create(acme, url=URL, types=TYPES)).endpoint
    await store.save(Batch(progress=5, new=[(one.id, waits(1)), (one.id, waits(2))]))
    again = Batch(
        progress=6,
        rejoined=[one.id],
        new=[(one.id, waits(2)), (one.id, waits(3))],
        changed=[(one.id, waits(2, body=None, attempts=4, first_at=3, due_at=9))],
        gone=[Gone(one.id, Key(1, 1, 0), 99), Gone(one.id, Key(9, 9, 9), 99)],
    )
    for _ in range(2):
        await store.save(again)
    found = [(row.key.seq, row.attempts, row.due_at) async for _, row in store.waiting([one.id])]
    assert found == [(2, 4, 9), (3, 0, 0)]
    assert await store.cursors() == {0: 6}
    assert await store.body(one.id, Key(1, 2, 0)) == b"{}"
    assert await store.body(one.id, Key(1, 1, 0)) is None


async def test_a_replay_takes_what_there_is_room_for(webhooks, store, acme):
    one = (await webhooks.create(acme, url=URL, types=TYPES)).endpoint
    before = await store.generation()
    events = [waits(seq) for seq in range(MAX_WAITING + 10)]
    assert await webhooks.replay(acme, one.id, events) == MAX_WAITING
    assert await webhooks.replay(acme, one.id, events) == 0
    assert await store.generation() > before
    await webhooks.disable(acme, one.id)
    with pytest.raises(ConflictError):
        await webhooks.replay(acme, one.id, events)


async def test_what_is_asked_for_again_while_it_is_taken_stays(webhooks, store, acme):
    one = (await webhooks.create(acme, url=URL, types=TYPES)).endpoint
    await store.save(Batch(progress=5, new=[(one.id, waits(1)), (one.id, waits(2))]))
    before = clock.now_ms() - 1
    await webhooks.replay(acme, one.id, [waits(1)])
    taken = [Gone(one.id, Key(1, seq, 0), before) for seq in (1, 2)]
    await store.save(Batch(progress=6, gone=taken))
    assert [row.key.seq async for _, row in store.waiting([one.id])] == [1]


async def test_what_was_given_up_waits_again_when_it_is_replayed(webhooks, store, acme):
    one = (await webhooks.create(acme, url=URL, types=TYPES)).endpoint
    given_up = [waits(seq, at=seq * 10, attempts=9, given_up_at=50) for seq in (1, 2, 3)]
    await store.save(Batch(progress=5, new=[(one.id, row) for row in given_up]))
    assert (await webhooks.standing(acme, one.id)).given_up == 3
    assert await webhooks.replay_failed(acme, one.id, since=20) == 2
    standing = await webhooks.standing(acme, one.id)
    assert (standing.waiting, standing.given_up, standing.oldest_at) == (2, 1, 20)
