"""An old spool is opened, upgraded, and goes on where it stopped.

spool-0001.db was written by revision 0001 and is never made anew: when a revision is added, this
test shows whether waiting mail survives it.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from appliance.core import migrate
from appliance.core.database import open_sync_engine
from mta.message import ReturnPathMode
from mta.spool.store import Cursor, QueueKey
from mta.status import Status
from tests.support.recipients import NOW, recipient, settlement
from tests.support.spools import Spool
from tests.support.way import backend_at, open_way, until

OLD = Path(__file__).with_name("spool-0001.db")
FIRST, SECOND, THIRD = 186_500_000_000_000_001, 186_500_000_000_000_002, 186_500_000_000_000_003


@pytest.fixture
def upgraded(tmp_path):
    path = Path(shutil.copy(OLD, tmp_path / "spool-0.db"))
    engine = open_sync_engine(path)
    assert migrate.upgrade("spool", engine) == "0001"
    assert migrate.upgrade("spool", engine) == migrate.head("spool")
    engine.dispose()
    spool = Spool(backend_at(tmp_path))
    yield spool
    spool.store.close()


def test_what_waited_is_due_with_all_that_was_known_of_it(upgraded):
    letter = upgraded.store.message(FIRST)
    assert (letter.subject, letter.tags) == ("Größe ✓", ("receipt", "vip"))
    assert letter.signing_domain
    assert upgraded.store.content(FIRST) == b"Subject: waits\r\n\r\nhi\r\n"
    [one] = upgraded.store.due(QueueKey(7, "transactional", "example.org"), NOW, Cursor(), 10)
    assert (one.n, one.notify, one.orcpt) == (1, "NEVER", "rfc822;x@example.net")
    assert upgraded.store.message(SECOND).return_path_mode is ReturnPathMode.MESSAGE
    deferred, held = upgraded.store.recipients(SECOND)
    assert (deferred.status, deferred.attempts) == (Status.DEFERRED, 1)
    assert (held.status, held.reason) == (Status.HELD, "held by ann")


def test_keys_and_ids_and_events_are_still_known(upgraded):
    assert upgraded.store.message_for_key(7, "order-1", NOW) == FIRST
    assert upgraded.last_id == THIRD
    assert upgraded.events() == [(3, "held"), (4, "accepted"), (5, "deferred"), (6, "delivered")]
    upgraded.write(settle=(settlement(recipient(FIRST)),))
    assert upgraded.events(6) == [(7, "delivered")]


def test_what_was_done_can_be_purged(upgraded):
    assert upgraded.store.content(THIRD) is None
    assert upgraded.write(then=lambda store, batch: store.purge(NOW, batch.now, 10)) == 1
    assert upgraded.store.message(THIRD) is None


async def test_an_old_spool_delivers(tmp_path):
    from appliance.lab.receiver import Receiver

    await asyncio.to_thread(shutil.copy, OLD, tmp_path / "spool-0.db")
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        await until(lambda: _delivered(way))
    assert sum(b"Subject: waits" in m.data for m in mx.messages) == 2
    assert len(mx.messages) == 3


async def _delivered(way):
    first, second = await way.statuses(FIRST), await way.statuses(SECOND)
    return (first, second) == (["delivered", "delivered"], ["delivered", "held"])
