"""What a deep queue costs: bounded by its keys, whatever waits under them. Counted, never timed."""

from __future__ import annotations

import gc
from collections import Counter

import pytest

from appliance.core import clock
from appliance.lab.receiver import Receiver
from mta.directory import Pause, Tenant
from mta.message import Message, Recipient
from mta.scheduling.backlog import KEYS_A_TURN, KeyState
from mta.scheduling.parcel import Parcel
from mta.status import TrafficClass
from tests.support.recipients import admitted, recipient
from tests.support.spools import Spool
from tests.support.way import backend_at, directory, open_way, site_on, until

KEYS, EACH = 1000, 3
TENANTS = {7: Tenant(id=7, name="acme"), 8: Tenant(id=8, name="other")}
BOTH_PAUSED = tuple(Pause(id=n, tenant_id=n, by="ann", reason="x") for n in TENANTS)


def fill(path, keys, each=1, tenants=(7,)):
    """Bulk mail due now, under as many keys for each tenant."""
    spool, now = Spool(backend_at(path)), clock.now_ms()
    number = 0
    for tenant_id in tenants:
        for key in range(keys):
            for _ in range(each):
                number += 1
                one = recipient(
                    number,
                    tenant_id=tenant_id,
                    domain=f"d{key}.example",
                    traffic_class=TrafficClass.BULK,
                    due_at=now - 1,
                    expires_at=now + 3_600_000,
                )
                spool.write(
                    admitted(
                        number, one, tenant_id=tenant_id, traffic_class=TrafficClass.BULK, dsn=False
                    )
                )
    spool.store.close()


def traced(way):
    """The statements of its store from now on."""
    said: list[str] = []
    way.shard._committer._store._connection.set_trace_callback(said.append)
    return said


def reads(said):
    return [text for text in said if text.startswith("SELECT") and "FROM recipient" in text]


def census():
    gc.collect()
    kinds = (KeyState, Recipient, Message, Parcel)
    return Counter(type(one).__name__ for one in gc.get_objects() if type(one) in kinds)


def parked(way):
    return sum(size for _, size in way.dispatcher.blocked())


async def test_at_rest_memory_holds_one_object_for_a_key_and_none_for_a_recipient(tmp_path):
    fill(tmp_path, KEYS, EACH)
    before = census()
    async with open_way(tmp_path, 1, directory=directory(pauses=BOTH_PAUSED)) as way:
        await until(lambda: parked(way) == KEYS)
        assert census() - before == Counter(KeyState=KEYS)
        assert len(way.dispatcher.blocked()) == 1
        assert way.dispatcher.in_memory == 0


async def test_a_start_asks_the_store_once_for_a_slice_of_keys_and_reads_no_mail(tmp_path):
    fill(tmp_path, KEYS, EACH)
    async with open_way(tmp_path, 1, directory=directory(pauses=BOTH_PAUSED)) as way:
        await until(lambda: parked(way) == KEYS)
        said = traced(way)
        assert await way.dispatcher.load() == KEYS * EACH
        assert len(reads(said)) == 2  # the second finds nothing more


async def test_a_change_of_something_else_wakes_nobody_whom_a_pause_keeps(tmp_path):
    fill(tmp_path, KEYS)
    async with open_way(tmp_path, 1, directory=directory(pauses=BOTH_PAUSED)) as way:
        await until(lambda: parked(way) == KEYS)
        said = traced(way)
        way.change(generation=2)
        assert way.dispatcher.backlog.next_due() is None
        assert parked(way) == KEYS
        assert reads(said) == []


async def test_a_tenant_that_is_resumed_sends_everything_and_the_other_s_mail_stays(tmp_path):
    """More keys than a place lets go at once, while another tenant's fill a place of their own."""
    keys = KEYS_A_TURN + 50
    fill(tmp_path, keys, tenants=TENANTS)
    paused = directory(pauses=BOTH_PAUSED, tenants=TENANTS)
    async with Receiver() as mx, open_way(tmp_path, mx.port, directory=paused) as way:
        await until(lambda: parked(way) == 2 * keys)
        way.change(pauses=BOTH_PAUSED[1:])
        await until(lambda: len(mx.messages) == keys, 30)
        assert parked(way) == keys


async def test_a_site_that_takes_no_connection_costs_one_row_for_each_key(tmp_path, unused_port):
    """Not a page of a hundred, to put them all aside again."""
    keys = 60
    fill(tmp_path, keys, each=20)
    dead = site_on(unused_port, "dead.lab")
    async with open_way(tmp_path, 1, directory=directory(pauses=BOTH_PAUSED)) as way:
        way.router.special = {f"d{n}.example": dead for n in range(keys)}
        way.change(pauses=())
        await until(lambda: len(way.regulator.unreachable) and parked(way) == keys, 20)
        said = traced(way)
        way.dispatcher.reopen(lambda _: True)
        await until(lambda: len(reads(said)) >= keys, 20)
        assert [text for text in reads(said) if "LIMIT 100" in text] == []


@pytest.fixture
def unused_port(unused_tcp_port):
    return unused_tcp_port
