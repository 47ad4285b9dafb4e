"""Bounces and complaints reach the suppression list, once."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from appliance.core.database import transaction
from appliance.core.scope import Scope
from appliance.history import Shipper, SuppressionConsumer
from appliance.suppressions import Reason, SuppressionList
from appliance.tenancy import Tenants

BOX = Scope.system()


@pytest.fixture
def log_location(tmp_path):
    """Day files will do: what the log is kept in makes no difference here."""
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


@pytest.fixture
async def tenant(engine):
    return (await Tenants(engine).create(BOX, name="acme")).id


async def test_a_batch_that_comes_again_suppresses_nobody_anew(engine, writer, outbox, tenant, now):
    suppressions = SuppressionList(engine, now)
    shipper = Shipper([outbox], writer, [SuppressionConsumer(suppressions)])
    message = outbox.accept("ann@x.example", "bob@x.example", "cyn@x.example", tenant=tenant)
    outbox.tried(message, 0, "bounced", "ann@x.example", tenant=tenant, hard=True)
    outbox.tried(message, 1, "delivered", "bob@x.example", tenant=tenant)
    outbox.tell(message, 1, "complained", "Bob@X.example", tenant=tenant)
    outbox.tried(
        message, 2, "bounced", "cyn@x.example", tenant=tenant, reply="550 5.7.1 spam", hard=False
    )
    outbox.lose_acks = True
    await shipper.step()
    found = await suppressions.list(BOX)
    assert {(entry.target, entry.reason) for entry in found} == {
        ("ann@x.example", Reason.HARD_BOUNCE),
        ("bob@x.example", Reason.COMPLAINT),
    }
    # A person lets Ann be written to again; the batch is told again after a crash.
    await suppressions.remove(BOX, "ann@x.example", tenant_id=tenant)
    outbox.lose_acks = False
    await shipper.step()
    assert outbox.rows == []
    assert [entry.target for entry in await suppressions.list(BOX)] == ["bob@x.example"]


async def test_an_event_of_a_tenant_that_does_not_exist_stops_nobody(
    engine, writer, outbox, tenant
):
    suppressions = SuppressionList(engine)
    shipper = Shipper([outbox], writer, [SuppressionConsumer(suppressions)])
    message = outbox.accept("ann@x.example", "bob@x.example", tenant=tenant)
    outbox.tell(message, 0, "complained", "ann@x.example", tenant=999_999)
    outbox.tell(message, 1, "complained", "bob@x.example", tenant=tenant)
    await shipper.step()
    assert outbox.rows == []
    assert [entry.target for entry in await suppressions.list(BOX)] == ["bob@x.example"]


async def test_repeated_soft_bounces_suppress_and_a_delivery_forgives(
    engine, writer, outbox, tenant, now
):
    suppressions = SuppressionList(engine, now)
    shipper = Shipper([outbox], writer, [SuppressionConsumer(suppressions)])

    async def counted():
        async with transaction(engine) as connection:
            rows = await connection.execute(text("SELECT count FROM soft_bounce"))
            return list(rows.scalars())

    full = {"reply": "552 5.2.2 full", "category": "mailbox_full", "tenant": tenant}
    message = outbox.accept("ann@x.example", tenant=tenant)
    outbox.tried(message, 0, "bounced", "ann@x.example", **full)
    await shipper.step()
    assert await counted() == [1]
    outbox.tried(message, 0, "delivered", "ann@x.example", tenant=tenant)
    await shipper.step()
    assert await counted() == []
