"""Tidying: what a turn that failed had seen is not forgotten."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from appliance.core import clock
from appliance.core.errors import StoreFullError
from appliance.run.mta import Mta
from tests.support.way import open_way

START = 1_790_000_000_000


class Tidying:
    """What `Mta._tidy` needs of its process, with one shard."""

    def __init__(self, way):
        self.way, self.steps_back = way, []
        self._tidied_at = self._went_back = 0
        self.context = SimpleNamespace(
            settings=SimpleNamespace(spool=SimpleNamespace(keep_content=0))
        )
        self.deliveries = [
            SimpleNamespace(
                shard=way.shard,
                results=way.results,
                operations=way.operations,
                summarise=self.summarise,
            )
        ]
        self.full = False

    async def summarise(self, now):
        if self.full:
            raise StoreFullError("no space left")

    async def _look_anew(self, back):
        self.steps_back.append(back)

    async def turn(self):
        return await Mta._tidy(self)


@pytest.fixture
def at(monkeypatch):
    found = SimpleNamespace(now=START)
    monkeypatch.setattr(clock, "now_ms", lambda: found.now)
    return found


async def test_a_clock_s_step_back_in_a_turn_that_fails_is_seen_by_the_next(tmp_path, at):
    async with open_way(tmp_path, 1) as way:
        tidying = Tidying(way)
        await tidying.turn()
        at.now -= clock.HOUR
        tidying.full = True
        with pytest.raises(StoreFullError):
            await tidying.turn()
        at.now += clock.SECOND
        tidying.full = False
        await tidying.turn()
        assert tidying.steps_back == [clock.HOUR]
        await tidying.turn()
        assert len(tidying.steps_back) == 1


async def test_a_turn_gives_up_held_mail_whose_life_is_over_and_tells_its_sender(tmp_path, at):
    async with open_way(tmp_path, 1) as way:
        way.dispatcher.stop()
        number = await way.send()
        sql = f"UPDATE recipient SET status = 'held' WHERE message_id = {number}"
        await way.shard.call(lambda store, _: store._connection.execute(sql) and None)
        at.now += clock.DAY
        await Tidying(way).turn()
        assert await way.statuses(number) == ["expired"]
        kinds = [kind for kind, _ in await way.events()]
        assert kinds == ["accepted", "expired", "accepted"]
