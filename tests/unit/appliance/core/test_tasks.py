"""Tasks: nothing lost, nothing silent, loops that go on and stop when told."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from appliance.core import tasks


async def crash() -> None:
    raise ValueError("bad luck")


async def test_a_crashed_task_is_logged_under_its_name(caplog: pytest.LogCaptureFixture) -> None:
    task = tasks.spawn(crash(), name="shipper")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert "task shipper crashed" in caplog.text
    assert "bad luck" in caplog.text


async def test_a_task_nobody_holds_survives_the_garbage_collector() -> None:
    done = asyncio.Event()

    async def work() -> None:
        waiting = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, waiting.set_result, None)
        await waiting
        done.set()

    tasks.spawn(work(), name="alone")
    await asyncio.sleep(0)
    gc.collect()
    await asyncio.wait_for(done.wait(), 30)


async def test_a_cancelled_task_is_not_an_error(caplog: pytest.LogCaptureFixture) -> None:
    task = tasks.spawn(asyncio.sleep(60), name="sleeper")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert caplog.records == []


async def test_a_loop_goes_on_at_once_while_there_is_more() -> None:
    stop, left, beats = asyncio.Event(), [1, 2, 3], []

    async def step() -> bool:
        left.pop()
        if not left:
            stop.set()
        return True

    running = tasks.run_forever(
        step, name="drain", pause=60, stop=stop, on_beat=lambda: beats.append(1)
    )
    await asyncio.wait_for(running, 30)
    assert left == []
    assert len(beats) == 3


async def test_a_stop_ends_the_pause_at_once() -> None:
    stop = asyncio.Event()

    async def step() -> bool:
        asyncio.get_running_loop().call_later(0.01, stop.set)
        return False

    await asyncio.wait_for(tasks.run_forever(step, name="idle", pause=3600, stop=stop), 30)


async def test_a_stop_lets_the_current_step_finish() -> None:
    stop, finished = asyncio.Event(), []

    async def step() -> bool:
        stop.set()
        await asyncio.sleep(0.01)
        finished.append(True)
        return True

    await tasks.run_forever(step, name="busy", pause=0, stop=stop)
    assert finished == [True]


async def test_a_loop_outlives_every_failure_of_its_step(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tasks, "_MIN_BACKOFF", 0.001)
    stop, beats = asyncio.Event(), []
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    failures = [ValueError("one"), cancelled, None]

    async def step() -> bool:
        failure = failures.pop(0)
        if isinstance(failure, ValueError):
            raise failure
        if failure is not None:
            await failure  # what we wait for was cancelled, not the loop
        stop.set()
        return False

    running = tasks.run_forever(
        step, name="tough", pause=0.001, stop=stop, on_beat=lambda: beats.append(1)
    )
    await asyncio.wait_for(running, 30)
    assert caplog.text.count("loop tough failed") == 2
    assert beats == [1], "a step that failed is no beat"


async def test_a_cancelled_loop_ends() -> None:
    async def step() -> bool:
        await asyncio.sleep(60)
        return True

    loop = tasks.spawn(
        tasks.run_forever(step, name="cut", pause=1, stop=asyncio.Event()), name="cut"
    )
    await asyncio.sleep(0)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


async def test_a_step_that_always_has_more_lets_others_run() -> None:
    stop = asyncio.Event()

    async def step() -> bool:
        return True

    asyncio.get_running_loop().call_later(0.01, stop.set)
    await asyncio.wait_for(tasks.run_forever(step, name="greedy", pause=0, stop=stop), 30)


@pytest.mark.parametrize(
    ("failures", "pause", "seconds"),
    [(1, 0.0, 0.1), (2, 0.0, 0.2), (1, 5, 5), (2, 5, 10), (4, 5, 40), (5, 5, 60), (9999, 5, 60),
     (3, 600, 600)],
)  # fmt: skip
def test_backoff_doubles_to_a_bound_and_never_undercuts_the_pause(
    failures: int, pause: float, seconds: float
) -> None:
    assert tasks.backoff(failures, pause) == pytest.approx(seconds)


async def test_guard_returns_the_value_or_logs_the_crash(caplog: pytest.LogCaptureFixture) -> None:
    assert await tasks.guard(asyncio.sleep(0, "value"), name="fine") == "value"
    assert await tasks.guard(crash(), name="reader") is None
    assert tasks.guard_call(lambda: 1 // 0, name="check") is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "reader failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
