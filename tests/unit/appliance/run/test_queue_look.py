"""Looks of several owners of shards as one page: nobody is missed, nobody comes twice."""

from __future__ import annotations

import random

import pytest

from appliance.run.queue_look import Look, one_look


def look_into(shard, after, limit, seen, is_hit):
    """As an owner does: the next `seen` of its recipients, of which it gives the hits."""
    behind = [one for one in shard if one > after]
    looked = behind[:seen]
    hits = [one for one in looked if is_hit(one)][:limit]
    last = looked[-1] if len(behind) > seen else None
    end = hits[-1] if len(hits) == limit else last
    return Look([{"message_id": one[0], "n": one[1]} for one in hits], end)


@pytest.mark.parametrize("seed", range(20))
def test_every_hit_comes_once_and_in_order(seed):
    dice = random.Random(seed)
    every = [(dice.randrange(40), n) for n in range(60)]
    shards = [sorted(one for one in every if one[0] % 3 == number) for number in range(3)]
    hits = {one for one in every if dice.random() < 0.3}
    found, after = [], (-1, -1)
    while after is not None:
        looks = [look_into(one, after, 4, dice.randint(4, 9), hits.__contains__) for one in shards]
        page = one_look(looks, 4)
        assert len(page.rows) <= 4
        found += [(row["message_id"], row["n"]) for row in page.rows]
        after = page.after
    assert found == sorted(hits)
