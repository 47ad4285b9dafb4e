from __future__ import annotations

import pytest

from mta.bounce import turns
from mta.bounce.turns import Turns

PAUSE = 100


class Heap:
    """Notices that wait, and a clock."""

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        self.at = 1000
        self.rounds = 0
        self.turns = Turns(lambda: sorted(self.waiting), lambda: self.at, self._begin_round)

    def _begin_round(self) -> None:
        self.rounds += 1

    def arrive(self, *numbers: int) -> None:
        self.waiting |= {_id(number) for number in numbers}

    async def put_off_all(self) -> list[str]:
        """Everything that has its turn now is put off; in which order."""
        had = []
        while (notice_id := await self.turns.next()) is not None:
            had.append(notice_id)
            self.turns.put_off(PAUSE)
            assert len(had) < 10_000
        return had

    async def next(self) -> str | None:
        """What has its turn is done."""
        notice_id = await self.turns.next()
        self.waiting.discard(notice_id or "")
        return notice_id


def _id(number: int) -> str:
    return f"{number:013d}-0"


def _ids(*numbers: int) -> list[str]:
    return [_id(number) for number in numbers]


@pytest.fixture
def heap() -> Heap:
    return Heap()


async def test_new_ones_come_in_the_order_of_their_arrival(heap: Heap) -> None:
    heap.arrive(3, 1, 2)
    assert [await heap.next() for _ in range(4)] == [*_ids(1, 2, 3), None]


async def test_those_put_off_come_again_after_a_pause_and_not_before(heap: Heap) -> None:
    heap.arrive(1, 2)
    assert await heap.put_off_all() == _ids(1, 2)
    heap.at += PAUSE - 1
    assert await heap.put_off_all() == []
    heap.at += 1
    assert sorted(await heap.put_off_all()) == _ids(1, 2)
    assert heap.rounds == 1


async def test_those_never_tried_come_before_those_put_off(heap: Heap) -> None:
    heap.arrive(1, 2)
    await heap.put_off_all()
    heap.at += PAUSE
    heap.arrive(8, 9)
    assert [await heap.next(), await heap.next()] == _ids(8, 9)
    assert sorted(await heap.put_off_all()) == _ids(1, 2)


async def test_after_a_long_wait_new_ones_come_before_the_rest_of_the_round(heap: Heap) -> None:
    heap.arrive(1, 2, 3)
    await heap.put_off_all()
    heap.at += PAUSE
    first = await heap.turns.next()
    heap.turns.put_off(PAUSE)
    heap.turns.look_again()
    heap.arrive(9)
    assert await heap.next() == _id(9)
    rest = await heap.put_off_all()
    assert sorted([first or "", *rest]) == _ids(1, 2, 3)


async def test_a_flood_of_new_ones_does_not_stop_those_put_off(
    heap: Heap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_AT_ONCE", 5)
    heap.arrive(1)
    await heap.put_off_all()
    heap.at += PAUSE
    had: list[str | None] = []
    for number in range(10, 30):
        heap.arrive(2 * number, 2 * number + 1)  # faster than they are read
        had.append(await heap.next())
    assert _id(1) in had


async def test_every_one_put_off_has_one_turn_in_a_round(
    heap: Heap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_AT_ONCE", 5)
    heap.arrive(*range(1, 24))
    await heap.put_off_all()
    for _ in range(3):
        heap.at += PAUSE
        assert sorted(await heap.put_off_all()) == _ids(*range(1, 24))


async def test_the_pause_begins_when_the_round_is_over(heap: Heap) -> None:
    heap.arrive(1, 2)
    await heap.put_off_all()
    heap.at += PAUSE
    for _ in range(2):
        await heap.turns.next()
        heap.at += PAUSE  # a long round
        heap.turns.put_off(PAUSE)
    assert await heap.put_off_all() == []


async def test_new_ones_that_are_put_off_do_not_defer_the_round(heap: Heap) -> None:
    heap.arrive(1)
    await heap.put_off_all()
    heap.at += PAUSE - 1
    heap.arrive(2)
    assert await heap.put_off_all() == [_id(2)]
    heap.at += 1
    assert sorted(await heap.put_off_all()) == _ids(1, 2)


async def test_one_put_off_while_a_round_goes_on_waits_for_the_next(
    heap: Heap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_AT_ONCE", 2)
    heap.arrive(1, 2, 3)
    await heap.put_off_all()
    heap.at += PAUSE
    first = await heap.turns.next()
    heap.turns.put_off(PAUSE)
    heap.arrive(9)
    assert sorted([first or "", *await heap.put_off_all()]) == _ids(1, 2, 3, 9)


async def test_memory_does_not_grow_with_what_waits(heap: Heap) -> None:
    heap.arrive(*range(1, 5001))
    await heap.put_off_all()
    heap.at += PAUSE
    heap.arrive(*range(6000, 9000))
    await heap.turns.next()
    kept = [value for value in vars(heap.turns).values() if isinstance(value, turns.deque)]
    assert sum(map(len, kept)) <= 2 * turns._AT_ONCE


async def test_one_that_was_stored_late_is_not_lost(heap: Heap) -> None:
    heap.arrive(5)
    await heap.next()
    heap.arrive(4)  # took longer to be written
    assert await heap.next() == _id(4)


async def test_a_clock_set_back_stops_nothing(heap: Heap) -> None:
    heap.arrive(5000)
    await heap.put_off_all()
    heap.at -= 900
    heap.arrive(100)
    assert sorted(await heap.put_off_all()) == _ids(100, 5000)
    heap.at += PAUSE
    assert sorted(await heap.put_off_all()) == _ids(100, 5000)


async def test_a_file_that_somebody_else_named_does_not_make_new_ones_old(heap: Heap) -> None:
    heap.arrive(1)
    heap.waiting.add("odd")
    assert await heap.put_off_all() == ["odd", _id(1)]
    heap.arrive(2)
    assert await heap.next() == _id(2)
    assert not heap.turns.is_again
