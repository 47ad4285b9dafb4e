"""Who sends what when everybody wants to: lanes in turn, and a crash of one attempt loses nothing."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core.metrics import Metrics
from appliance.core.settings import Webhooks as Settings
from appliance.webhooks import TYPES, Answer, Endpoint, Key, Outcome, Post, Told, Waiting, post
from appliance.webhooks.lane import Lane
from appliance.webhooks.model import Signer


class Gate:
    """A client that lets one request through at a time, when told; `status` is its answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self._turn = asyncio.Semaphore(0)

    async def post(self, target, headers, body) -> Answer:
        self.asked.append(target.path)
        await self._turn.acquire()
        if self.status < 0:
            raise RuntimeError("a fault of ours")
        return Answer(status=self.status, text="", took=1)

    def tidy(self) -> None:
        pass

    close = tidy

    async def let(self, count: int = 1) -> None:
        for _ in range(count):
            self._turn.release()
            for _ in range(10):
                await asyncio.sleep(0)


class NoStore:
    """Is asked for nothing here but whether something was taken."""

    def __init__(self) -> None:
        self.disabled: list[str] = []

    async def was_taken_since(self, webhook_id: int, at: int) -> bool:
        return False

    async def disable(self, signer: Signer, reason: str) -> bool:
        self.disabled.append(reason)
        return True


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def posting(gate):
    settings = Settings(retry=(60.0,), give_up_after=86_400)
    return Post(
        store=NoStore(), client=gate, settings=settings, metrics=Metrics(), roll=lambda: 0.5
    )


def lane(number: int, events: int) -> Lane:
    endpoint = Endpoint(
        id=number,
        tenant_id=1,
        url=f"https://hooks.example/{number}",
        types=TYPES,
        description="",
        created_at=0,
        enabled_at=0,
        disabled_at=0,
        disabled_by="",
        disabled_reason="",
        old_secret_until=0,
    )
    made = Lane(Signer(endpoint=endpoint, keys=(b"k",), old_key_until=0, generation=1))
    for seq in range(events):
        made.take(
            Told(
                position=seq,
                tenant_id=1,
                key=Key(seq + 1, seq, 0),
                type="message.delivered",
                at=1,
                body=b"{}",
            )
        )
    return made


async def test_lanes_take_turns_when_no_more_may_be_open(posting, gate, monkeypatch):
    monkeypatch.setattr(post, "MAX_OPEN", 1)
    posting.go_on([lane(1, 5), lane(2, 2), lane(3, 1)])
    await gate.let(8)
    assert gate.asked == [f"/{number}" for number in (1, 2, 3, 1, 2, 1, 1, 1)]
    taken = [(made.outcome, made.webhook_id) for made in posting.take_changes().deliveries]
    assert len(taken) == 8
    assert {outcome for outcome, _ in taken} == {Outcome.TAKEN}
    await posting.close(0)


async def test_what_is_asked_for_again_while_it_goes_is_sent_once_more(posting, gate):
    one = lane(1, 1)
    posting.go_on([one])
    (item,) = one.items.values()
    one.restore(Waiting(key=item.key, type=item.type, at=1, due_at=item.started_at + 1))
    await gate.let()
    assert (one.items, posting.take_changes().gone) == ({item.key: item}, [])
    posting.go_on([one])
    await gate.let()
    assert (one.items, gate.asked) == ({}, ["/1", "/1"])
    assert [gone.key for gone in posting.take_changes().gone] == [item.key]  # the row that asked
    await posting.close(0)


async def test_an_attempt_that_crashes_is_made_again(posting, gate, caplog):
    one = lane(1, 1)
    gate.status = -1
    posting.go_on([one])
    await gate.let()
    (item,) = one.items.values()
    assert (item.is_under_way, item.is_changed, one.in_flight) == (False, True, 0)
    assert "a fault of ours" in caplog.text
    await posting.close(0)


async def test_one_that_says_gone_is_disabled_and_its_event_stays(posting, gate):
    one = lane(1, 1)
    gate.status = 410
    posting.go_on([one])
    await gate.let()
    assert posting._store.disabled == ["it answered 410 Gone"]
    assert len(one.items) == 1
    await posting.close(0)
