"""Everything since a time is sent again: a page at a time, as much as there is room for, up to when it was asked."""

from __future__ import annotations

import pytest

from appliance.core import clock
from appliance.core.scope import Scope
from appliance.history import LogWriter, write_partitions
from appliance.jobs import Jobs
from appliance.tenancy import Tenants
from appliance.webhooks import (
    SenderStore,
    WebhookReplay,
    Webhooks,
    replay,
    replay_order,
    service,
)
from appliance.webhooks.model import Gone
from appliance.webhooks.store import Batch
from tests.support.history import KEEP_DAYS, Outbox
from tests.support.webhooks import FAST, KEYS, LOOPBACK, ship

ADMIN = Scope.system(by="admin")


@pytest.fixture
def writer(log_location):
    opened = LogWriter(write_partitions(log_location), keep_days=KEEP_DAYS)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def webhooks(engine):
    return Webhooks(engine, KEYS, FAST, LOOPBACK)


@pytest.fixture
async def tenants(engine):
    return [(await Tenants(engine).create(ADMIN, name=name)).id for name in ("acme", "other")]


def mail(writer: LogWriter, tenant: int, count: int) -> None:
    outbox = Outbox(clock.now_ms)
    for _ in range(count):
        message = outbox.accept("a@b.example", tenant=tenant)
        outbox.tried(message, 0, "delivered", "a@b.example", tenant=tenant)
    ship(writer, outbox)


async def test_what_happened_since_then_waits_again_and_nothing_else(
    engine, reader, writer, webhooks, tenants, monkeypatch
):
    monkeypatch.setattr(service, "MAX_WAITING", 15)
    monkeypatch.setattr(replay, "_PAGE", 20)
    monkeypatch.setattr(replay, "_PATIENCE", 0)
    acme, other = tenants
    chosen = ("message.delivered",)
    made = await webhooks.create(ADMIN, url="http://127.0.0.1:9/", types=chosen, tenant_id=acme)
    one = made.endpoint
    mail(writer, acme, 40)
    mail(writer, other, 5)
    jobs, store = Jobs(engine, lambda: clock.now_ms() + 1), SenderStore(engine, KEYS)
    job = await jobs.order(ADMIN, replay_order(one, clock.now_ms() - clock.HOUR))
    mail(writer, acme, 3)  # after it was asked for: sent in any case
    doing, seen = WebhookReplay(webhooks, reader), []
    while True:
        taken = await jobs.take("w")
        step = await doing.step(taken)
        await jobs.go_on(taken, "w", step)
        rows = [row.key async for _, row in store.waiting([one.id])]
        if len(rows) == 15 and step.result is None:  # no room: the receiver takes them all
            seen += rows
            await store.save(
                Batch(progress=1, gone=[Gone(one.id, key, clock.now_ms()) for key in rows])
            )
        if step.result is not None:
            seen += rows
            break
    assert step.result == {"replayed": 40}
    assert len(seen) == len(set(seen)) == 40
    assert (await jobs.get(ADMIN, job.id)).state == "done"
