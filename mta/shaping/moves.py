"""Moves: how a throttle goes down and comes back; pure. Each takes a throttle and returns the next.

    slow     a rule says how slow; said again at least STEP_DOWN after the last step down: half of
             that, never below FLOOR (or what the rule asks for, if that is less) and one connection;
             where a rule asks for fewer connections and none is left to take away, RESUME
    suspend  nothing until a time; then slowly again, at RESUME and one connection
    up       after the rule's quiet time, at most one step every STEP_UP: an eighth of the configured
             limit more, but never more than twice what it was; a fault begins the quiet time anew
    end      at the configured limit; nothing is left but the history

Promises: never faster than the configured limit; a throttle ends in bounded time once the receiver is
quiet. Nothing is learned without a rule: an answer that no rule knows slows nobody. What changes
nothing worth storing returns the very same object.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.shaping.model import Rate
from mta.shaping.throttle import HISTORY, Change, ChangeKind, speed_words, time_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.shaping.model import Action, Limits
    from mta.shaping.throttle import Fault, Throttle

STEP_DOWN: Final = clock.MINUTE
STEP_UP: Final = 10 * clock.MINUTE
FLOOR: Final = Rate(
    6, 3600.0
)  # a new address sends less than one a minute by itself: that is no floor
RESUME: Final = Rate(10, 60.0)
FREE: Final = Rate(100, 1.0)
"""Where no limit is configured, a throttle that has come back to this ends."""

_SHARE: Final = 8  # of the limit a step up adds an eighth
_NOTED: Final = 10 * clock.SECOND
"""Faults that follow each other more closely are not stored one by one."""


def slow(throttle: Throttle, action: Action, fault: Fault, limits: Limits) -> Throttle:
    """A rule asks for less speed. During a suspension its answers come from before it."""
    quiet = max(clock.MINUTE, round(action.seconds * 1000))
    soon = fault.at - throttle.slowed_at < STEP_DOWN or throttle.suspended_until > fault.at
    rate, connections, asked = throttle.rate, throttle.connections, action.rate
    if not soon:
        if not throttle.subject.tenant_id:  # a tenant has no connections of its own
            connections = _connections_down(connections, action.connections, ceiling(limits))
            if asked is None and action.connections and connections == throttle.connections:
                asked = RESUME  # one connection knocks a hundred times a minute: that is no silence
        rate = _rate_down(rate, asked, limits.message_rate)
    if (rate, connections) == (throttle.rate, throttle.connections):
        return _noted(throttle, fault, quiet)
    moved = _moved(
        throttle,
        fault.at,
        ChangeKind.SLOWED,
        f"slowed to {speed_words(rate, connections)}: {fault}",
    )
    return replace(
        moved,
        rate=rate,
        connections=connections,
        fault=fault,
        heard_at=fault.at,
        quiet=max(quiet, throttle.quiet),
        steps=throttle.steps + 1,
        slowed_at=fault.at,
    )


def suspend(throttle: Throttle, action: Action, fault: Fault, limits: Limits) -> Throttle:
    """A rule asks for silence. An end that lies less than a minute later is not worth a word."""
    until = fault.at + round(action.seconds * 1000)
    if throttle.suspended_until > fault.at and until < throttle.suspended_until + clock.MINUTE:
        return _noted(throttle, fault, 0)
    rate, connections = throttle.rate, throttle.connections
    if not throttle.subject.domain:  # a domain has no pace of its own: afterwards it just goes on
        rate = slower(slower(rate, RESUME), limits.message_rate)
        connections = 0 if throttle.subject.tenant_id else 1
    moved = _moved(
        throttle,
        fault.at,
        ChangeKind.SUSPENDED,
        f"suspended until {time_words(until, fault.at)}: {fault}",
    )
    return replace(
        moved,
        rate=rate,
        connections=connections,
        suspended_until=until,
        fault=fault,
        heard_at=fault.at,
    )


def next_at(throttle: Throttle) -> int:
    """When a throttle in force moves by itself."""
    if throttle.suspended_until:
        return throttle.suspended_until
    return max(throttle.heard_at + throttle.quiet, throttle.raised_at + STEP_UP)


def up(throttle: Throttle, limits: Limits, now: int) -> Throttle:
    """The move due at `next_at`: the end of a suspension, a step up, or the end of it all."""
    if throttle.suspended_until:
        rate, connections, kind = throttle.rate, throttle.connections, ChangeKind.RESUMED
    else:
        rate, kind = _rate_up(throttle.rate, limits.message_rate), ChangeKind.FASTER
        connections = _connections_up(throttle.connections, ceiling(limits))
    if rate is None and not connections:
        return end(throttle, now, ChangeKind.ENDED, "back to the configured limits")
    moved = _moved(throttle, now, kind, f"back to {speed_words(rate, connections)}")
    return replace(moved, rate=rate, connections=connections, suspended_until=0, raised_at=now)


def end(throttle: Throttle, now: int, kind: ChangeKind, words: str) -> Throttle:
    """Nothing is in force any more."""
    ended = _moved(throttle, now, kind, words)
    return replace(
        ended, rate=None, connections=0, suspended_until=0, quiet=0, steps=0, raised_at=now
    )


def lift(throttle: Throttle, now: int, *, by: str, reason: str) -> Throttle:
    """A person ends it."""
    return end(throttle, now, ChangeKind.LIFTED, f"lifted by {by}: {reason}")


def set_back(throttle: Throttle, by: int) -> Throttle:
    """The clock went back by so much: else the throttle would last that much longer.

    Its version goes up all the same: the others shall take it over.
    """
    until = throttle.suspended_until
    return replace(
        throttle,
        suspended_until=max(1, until - by) if until else 0,
        heard_at=max(0, throttle.heard_at - by),
        slowed_at=max(0, throttle.slowed_at - by),
        raised_at=max(0, throttle.raised_at - by),
        changed_at=throttle.changed_at + 1,
    )


def normal_at(throttle: Throttle, limits: Limits) -> int:
    """When all is as configured again, if the receiver has no more to complain of."""
    while throttle.in_force:
        throttle = up(throttle, limits, next_at(throttle))
    return throttle.raised_at


def slower(one: Rate | None, other: Rate | None) -> Rate | None:
    """The slower of two rates; None is no limit."""
    if one is None or other is None:
        return one or other
    return one if one.per_second <= other.per_second else other


def ceiling(limits: Limits) -> int:
    """Connections to the whole zone at which a throttle of them ends."""
    return limits.zone_connections or limits.connections


def _noted(throttle: Throttle, fault: Fault, quiet: int) -> Throttle:
    """One more fault that moves nothing: the quiet time begins anew."""
    if not throttle.in_force or fault.at - throttle.heard_at < _NOTED:
        return throttle
    return replace(
        throttle,
        heard_at=fault.at,
        quiet=max(quiet, throttle.quiet),
        changed_at=max(fault.at, throttle.changed_at + 1),
    )


def _moved(throttle: Throttle, at: int, kind: ChangeKind, words: str) -> Throttle:
    history = (*throttle.history, Change(throttle.subject, at, kind, words))[-HISTORY:]
    return replace(throttle, history=history, changed_at=max(at, throttle.changed_at + 1))


def _rate_down(now: Rate | None, asked: Rate | None, limit: Rate | None) -> Rate | None:
    if asked is None:
        return now
    speed = slower(now, limit)
    if speed is None or asked.per_second < speed.per_second:
        return asked
    # As slow as asked already, and still too fast.
    half = _in_words(speed.per_second / 2, math.floor)
    floor = FLOOR if FLOOR.per_second < asked.per_second else asked
    lower = half if half.per_second > floor.per_second else floor
    return lower if lower.per_second < speed.per_second else now


def _rate_up(now: Rate | None, limit: Rate | None) -> Rate | None:
    if now is None:
        return None
    full = (limit or FREE).per_second
    rate = _in_words(now.per_second + min(full / _SHARE, now.per_second), math.ceil)
    return rate if rate.per_second < full else None


def _connections_down(now: int, asked: int, limit: int) -> int:
    if not asked:
        return now
    speed = min(now or limit, limit)
    lower = asked if asked < speed else max(1, speed // 2)
    return lower if lower < speed else now


def _connections_up(now: int, limit: int) -> int:
    more = now + min(max(1, limit // _SHARE), now)
    return more if more < limit else 0


def _in_words(per_second: float, whole: Callable[[float], int]) -> Rate:
    """The speed as a whole number a minute, an hour or a day: as people would write it."""
    for seconds in (60.0, 3600.0, 86_400.0):
        if (count := round(per_second * seconds, 6)) >= 1:
            return Rate(whole(count), seconds)
    return Rate(1, 1 / per_second)
