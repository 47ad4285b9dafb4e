"""Who waits for a credential's first message learns when it is accepted, and when one is delivered."""

from __future__ import annotations

import pytest

from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials, Tries
from appliance.history import LogWriter, Shipper, write_partitions
from appliance.run.first_messages import FirstMessages
from appliance.tenancy import Tenants
from tests.support.history import KEEP_DAYS, Outbox

ANN = "ann@x.example"
SYSTEM = Scope.system(by="test")


@pytest.fixture
async def credential(engine):
    tenant = await Tenants(engine).create(SYSTEM, name="acme")
    rooms = Credentials(engine, MasterKeys({1: b"k" * 32}))
    return (await rooms.create(SYSTEM, tenant, name="app")).credential


async def test_the_first_delivery_counts_whichever_message_it_is(tmp_path, engine, credential, now):
    outbox, tries = Outbox(now), Tries(engine, now)
    writer = LogWriter(write_partitions(tmp_path), keep_days=KEEP_DAYS, now=now)
    writer.open()
    shipper = Shipper([outbox], writer, [FirstMessages(tries)])

    async def known():
        return (await tries.of(SYSTEM, [credential.id]))[credential.id]

    first = outbox.accept(ANN, credential=credential.id)
    second = outbox.accept(ANN, credential=credential.id)
    outbox.accept(ANN, credential=0)  # the box's own
    await shipper.step()
    assert ((await known()).message_id, (await known()).delivered_at) == (second, 0)
    assert await tries.waiting() == {second: credential.id}
    outbox.tried(first, 0, "delivered", ANN)
    await shipper.step()
    told = await known()
    assert (told.message_id, told.delivered_at > 0) == (first, True)
    assert await tries.has_delivered(Scope.tenant(credential.tenant_id))
    outbox.tried(second, 0, "delivered", ANN)
    outbox.accept(ANN, credential=credential.id)
    await shipper.step()
    assert await known() == told
    # After a restart nothing is noted of it either.
    again = Shipper([outbox], writer, [FirstMessages(tries)])
    outbox.accept(ANN, credential=credential.id)
    await again.step()
    assert await known() == told
    writer.close()
