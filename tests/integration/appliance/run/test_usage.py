"""Accepted recipients are counted by credential and hour, once, and held ones are not."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from appliance.core.clock import HOUR
from appliance.core.database import reading, transaction
from appliance.core.errors import StoreError
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials, hour_of
from appliance.history import LogWriter, Shipper, write_partitions
from appliance.run.usage import UsageConsumer
from tests.support.history import KEEP_DAYS, Outbox

ANN, BOB = "ann@x.example", "bob@x.example"


@pytest.fixture
def outbox(now):
    return Outbox(now)


@pytest.fixture
def writer(tmp_path, now):
    """Day files will do: what the log is kept in makes no difference here."""
    folder = tmp_path / "log"
    folder.mkdir()
    opened = LogWriter(write_partitions(folder), keep_days=KEEP_DAYS, now=now)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def shipper(engine, outbox, writer):
    consumer = UsageConsumer(Credentials(engine, MasterKeys({1: b"k" * 32})))
    return Shipper([outbox], writer, [consumer])


async def counted(engine):
    async with reading(engine) as connection:
        rows = await connection.execute(
            text("SELECT credential_id, hour, recipients FROM credential_hour ORDER BY 1, 2")
        )
        return [tuple(row) for row in rows]


async def test_recipients_are_counted_where_they_belong(engine, shipper, outbox, now):
    first = outbox.accept(ANN, BOB, credential=3)
    outbox.accept(ANN, credential=3)
    outbox.accept(ANN, credential=4)
    outbox.accept(ANN, credential=0)  # the box's own notice
    outbox.tried(first, 0, "delivered", ANN)
    hour = hour_of(now())
    now.move(HOUR)
    outbox.accept(ANN, credential=3)
    await shipper.step()
    assert outbox.rows == []
    assert await counted(engine) == [(3, hour, 3), (3, hour + HOUR, 1), (4, hour, 1)]


async def test_what_was_held_teaches_nothing(engine, shipper, outbox, now):
    held = [[0, ANN, "x.example", "held"], [1, BOB, "x.example", "suppressed"]]
    suppressed = [[0, ANN, "x.example", "queued"], [1, BOB, "x.example", "suppressed"]]
    outbox.accept(ANN, BOB, recipients=held)
    outbox.accept(ANN, BOB, recipients=suppressed)
    await shipper.step()
    assert await counted(engine) == [(3, hour_of(now()), 2)]


async def test_a_batch_that_comes_again_is_counted_once(engine, shipper, outbox, now):
    outbox.accept(ANN)
    outbox.lose_acks = True
    for _ in range(3):
        await shipper.step()
    outbox.accept(BOB)  # the batch has grown meanwhile
    await shipper.step()
    outbox.lose_acks = False
    await shipper.step()
    outbox.accept(ANN)
    await shipper.step()
    assert outbox.rows == []
    assert await counted(engine) == [(3, hour_of(now()), 3)]


async def test_what_could_not_be_counted_comes_again(engine, shipper, outbox, now):
    outbox.accept(ANN)
    async with transaction(engine) as connection:
        await connection.execute(text("ALTER TABLE credential_hour RENAME TO away"))
    with pytest.raises(StoreError):
        await shipper.step()
    assert len(outbox.rows) == 1
    async with transaction(engine) as connection:
        await connection.execute(text("ALTER TABLE away RENAME TO credential_hour"))
    await shipper.step()
    assert outbox.rows == []
    assert await counted(engine) == [(3, hour_of(now()), 1)]
