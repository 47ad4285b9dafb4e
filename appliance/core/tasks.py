"""Tasks and endless loops: the only place that starts a task and the only catch-all of the project.

    spawn(coro, name=...)         a background task that is kept alive and whose crash is logged
    run_forever(step, ...)        an endless loop around one tested step
    guard(...), guard_call(...)   one piece of foreign work whose crash is logged and comes back as None
    in_turns(items)               a long loop that lets others go on in between

Promises: no task is lost to the garbage collector (asyncio holds only weak references); no crash
passes in silence; a loop outlives every exception of its step, waits longer after each failure in a
row up to MAX_BACKOFF, and ends after the current step once `stop` is set, without sitting out its pause.

Never cancels a step: what must be cut short brings its own time limit.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable

T = TypeVar("T")
MAX_BACKOFF: Final = 60.0
TURN: Final = 100  # items that take some microseconds each
_MIN_BACKOFF: Final = 0.1
_log = logging.getLogger(__name__)
_running: set[asyncio.Task[Any]] = set()


def spawn(coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start a task that lives until it ends by itself or is cancelled."""
    task = asyncio.create_task(coro, name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    error = task.exception()  # also tells asyncio that somebody looked
    if error is not None:
        _log.error("task %s crashed", task.get_name(), exc_info=error)


async def in_turns(items: Iterable[T], size: int = TURN) -> AsyncIterator[T]:
    """The same items; after every so many of them all other tasks have their turn."""
    for number, item in enumerate(items, 1):
        yield item
        if number % size == 0:
            await asyncio.sleep(0)


async def run_forever(
    step: Callable[[], Awaitable[bool]],
    *,
    name: str,
    pause: float,
    stop: asyncio.Event,
    on_beat: Callable[[], None] | None = None,
) -> None:
    """Call `step` until `stop` is set; it returns whether there is more to do at once.

    Without more to do the loop rests `pause` seconds. `on_beat` is called after each step that
    did not fail, so that a loop which only fails shows as one that does not beat.
    """
    failures = 0
    while not stop.is_set():
        more = await guard(_once(step, on_beat), name=f"loop {name}")
        if more is None:
            failures += 1
            await _rest(stop, backoff(failures, pause))
            continue
        failures = 0
        # A step that always has more must not starve the rest of the process: sleep(0) yields.
        await (asyncio.sleep(0) if more else _rest(stop, pause))


async def _once(step: Callable[[], Awaitable[bool]], on_beat: Callable[[], None] | None) -> bool:
    more = await step()
    if on_beat is not None:
        on_beat()
    return more


def backoff(failures: int, pause: float) -> float:
    """Seconds to wait after so many failures in a row: doubling from `pause`, bounded."""
    first = max(pause, _MIN_BACKOFF)
    return max(pause, min(MAX_BACKOFF, first * 2.0 ** min(failures - 1, 16)))


async def guard(work: Awaitable[T], *, name: str) -> T | None:
    """What `work` returns, or None when it crashed; the crash is logged under `name`."""
    try:
        return await work
    except asyncio.CancelledError:
        # Something that `work` awaited was cancelled, not the task itself: that is a crash too.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        _log.exception("%s failed; the rest goes on", name)
        return None
    except Exception:
        _log.exception("%s failed; the rest goes on", name)
        return None


def guard_call(call: Callable[[], T], *, name: str) -> T | None:
    """As `guard`, for a plain function."""
    try:
        return call()
    except Exception:
        _log.exception("%s failed; the rest goes on", name)
        return None


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
