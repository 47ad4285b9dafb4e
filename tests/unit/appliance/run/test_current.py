"""The directory of a process: replaced when records change, and when a pause has ended by itself."""

from __future__ import annotations

import pytest

from appliance.core.errors import StoreError
from appliance.run import current
from appliance.run.current import Current, in_force
from mta.directory import Credential, Directory, Pause

NOW = 1_800_000_000_000
SENDER = Credential(id=5, tenant_id=1, name="new", username="", secret_hash=b"")


class Reader:
    """Gives what it is told; an error is raised."""

    def __init__(self):
        self.found = None

    async def load(self):
        return Directory(generation=1, pauses=(Pause(id=1, expires_at=NOW + 5), Pause(id=2)))

    async def poll(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def now(monkeypatch):
    times = {"at": NOW}
    monkeypatch.setattr(current.clock, "now_ms", lambda: times["at"])
    return times


@pytest.mark.parametrize("found", [None, StoreError("locked")])
async def test_a_pause_that_ended_is_gone_and_everybody_is_told_once(now, found):
    reader, heard = Reader(), []
    held = await Current.load(reader)
    held.subscribe(heard.append)
    reader.found = found
    await held.step()
    assert heard == []
    now["at"] += 5
    await held.step()
    await held.step()
    assert [[pause.id for pause in one.pauses] for one in heard] == [[2]]
    assert held() is heard[0]


async def test_a_new_directory_comes_without_what_has_ended(now):
    reader = Reader()
    held = await Current.load(reader)
    reader.found = Directory(generation=2, pauses=(Pause(id=3, expires_at=NOW),))
    await held.step()
    assert (held().generation, held().pauses) == (2, ())


def test_a_directory_without_such_pauses_is_left_as_it_is():
    found = Directory(generation=1, pauses=(Pause(id=1),))
    assert in_force(found, NOW) is found


async def test_a_credential_that_was_made_a_moment_ago_is_looked_up_and_a_known_one_is_not(now):
    reader = Reader()
    held = await Current.load(reader)
    reader.found = Directory(generation=2, senders={5: SENDER})
    assert (await held.with_sender(0)).generation == 1
    assert (await held.with_sender(5)).senders == {5: SENDER}
    reader.found = StoreError("nobody asks")
    assert (await held.with_sender(5)).generation == 2
