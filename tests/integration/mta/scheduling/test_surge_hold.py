"""A credential far above its usual rate: its mail is held, told of, and goes when it is released."""

from __future__ import annotations

from appliance.core import clock
from appliance.lab.receiver import Receiver
from mta.policy.limits import SURGE
from mta.scheduling.operations import Action
from mta.spool.questions import QueueFilter
from tests.support.submissions import credential
from tests.support.way import open_way, until

USUAL = 10


class Budget:
    """Counts as the box's own does, in memory."""

    def __init__(self) -> None:
        self.used: dict[tuple[str, int], int] = {}

    async def __call__(self, key: str, window: int, amount: int, limit: int) -> int:
        used = self.used.get((key, window), 0)
        granted = min(amount, limit - used)
        self.used[key, window] = used + granted
        return granted


async def test_what_is_above_five_times_the_usual_rate_waits_for_a_person(location):
    who = credential(usual_per_hour=USUAL)
    passes = tuple(f"u{n}@example.net" for n in range(SURGE * USUAL))
    at = clock.now_ms()  # one hour for both, whenever this runs
    async with Receiver() as mx, open_way(location, mx.port, lease=Budget()) as way:
        await way.send(credential=who, recipients=passes, received_at=at)
        surge = await way.send(credential=who, recipients=("one@example.net",), received_at=at)
        other = await way.send(credential=credential(id=4, usual_per_hour=USUAL), received_at=at)
        await until(lambda: mx.count == len(passes) + 1)
        assert await way.statuses(surge) == ["held"]
        assert await way.statuses(other) == ["delivered"]
        assert ("held", 0) in await way.events()
        assert way.witness.surges == [("shop", 1)]
        held = QueueFilter(credential_id=who.id, status="held")
        assert (await way.operations.act(Action.RELEASE, held, by="ann")).changed == 1
        await until(lambda: _delivered(way, surge))
        kinds = [kind for kind, _ in await way.events()]
        assert kinds.index("held") < kinds.index("released")
    assert mx.count == len(passes) + 2


async def test_a_single_message_above_the_rate_is_held_whole(tmp_path):
    who = credential(usual_per_hour=USUAL)
    many = tuple(f"u{n}@example.net" for n in range(SURGE * USUAL + 1))
    async with Receiver() as mx, open_way(tmp_path, mx.port, lease=Budget()) as way:
        surge = await way.send(credential=who, recipients=many)
        assert set(await way.statuses(surge)) == {"held"}
        assert way.witness.surges == [("shop", len(many))]
        usual = await way.send(credential=who)
        await until(lambda: _delivered(way, usual))
    assert mx.count == 1


async def _delivered(way, message_id):
    return await way.statuses(message_id) == ["delivered"]
