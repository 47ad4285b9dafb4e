"""Decide: what a day of a warmup was worth; pure.

    receivers answered badly   pause (and one stage back), one stage back, or hold, by the worst rate
    too little was sent        hold: a stage that was not used proves nothing
    no mail for a long time    start over: receivers forget an address within a month
    else                       advance; behind the last stage the address is warm

Below the first stage there are smaller ones (`LOWEST`): a receiver that takes less than the first volume
would else refuse a part of every day, and trust the address less for it each time.

A rate counts only from a sample on, and from some bad answers on (`Health`): one block of three is
chance. Complaints count only where the provider reports them; from the others' silence nothing follows.
Every decision has its reason in words, with the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from appliance.core import clock
from mta.warmup.model import LOWEST

if TYPE_CHECKING:
    from mta.warmup.schedule import Health, Rates


class Kind(StrEnum):
    """What follows from a day."""

    ADVANCE = "advance"  # the next stage begins
    HOLD = "hold"  # the same stage once more
    STEP_BACK = "step_back"  # the stage before
    PAUSE = "pause"  # nothing for a time, then the stage before
    RESTART = "restart"  # the first stage
    FINISH = "finish"  # warm: no budget any more


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFacts:
    """What happened on one day between an egress and a provider."""

    budget: int  # of the window that was used most: the day, or the busiest hour
    used: int  # in that window
    delivered: int = 0
    deferred: int = 0  # for reasons that may be ours; greylisting and full mailboxes are not
    bounced: int = 0
    blocked: int = 0  # deferrals and bounces that speak of the sender: blocked, spam, rate, policy
    complained: int = 0
    has_feedback_loop: bool = False
    idle_days: int = 0  # since there was mail at all

    @property
    def attempts(self) -> int:
        """What the receiver said something of."""
        return self.delivered + self.deferred + self.bounced


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows, from which stage it goes on, and why."""

    kind: Kind
    stage: int
    reason: str
    paused_until: int = 0


@dataclass(frozen=True, slots=True)
class _Signal:
    """One rate of the day, with what it leads to."""

    rates: Rates
    share: float
    words: str


def decide(
    facts: DayFacts, health: Health, *, stage: int, stages: int, idle_days: int, now: int
) -> Decision:
    """What follows from a day. `idle_days`: after so many without mail a warmup starts over."""
    if stage != 0 and facts.idle_days >= idle_days:
        return restarted(facts.idle_days)
    found = _worst(facts, health)
    if found is not None:
        return _answer(found, health, stage, now)
    if facts.used < health.min_used * facts.budget:
        return Decision(kind=Kind.HOLD, stage=stage, reason=_unused(facts, health))
    reason = f"used {facts.used:,} of {facts.budget:,}, results were healthy"
    if stage + 1 >= stages:
        return Decision(kind=Kind.FINISH, stage=stage, reason=f"{reason}: warm")
    return Decision(kind=Kind.ADVANCE, stage=stage + 1, reason=reason)


def restarted(idle_days: int) -> Decision:
    """What follows for an address that nobody has heard of for so long, warm or not."""
    reason = f"no mail for {idle_days} days: it starts over"
    return Decision(kind=Kind.RESTART, stage=0, reason=reason)


def _worst(facts: DayFacts, health: Health) -> _Signal | None:
    """The signal that asks for the most, if any asks for something."""
    asking = [one for one in _signals(facts, health) if one.share >= one.rates.hold]
    return max(asking, key=_gravity, default=None)


def _gravity(signal: _Signal) -> tuple[bool, bool, float]:
    rates, share = signal.rates, signal.share
    return share >= rates.pause, share >= rates.step_back, share / rates.hold


def _signals(facts: DayFacts, health: Health) -> list[_Signal]:
    found = []
    for name, count, of, least, rates in (
        ("blocked", facts.blocked, facts.attempts, health.min_attempts, health.blocked),
        ("deferred", facts.deferred, facts.attempts, health.min_attempts, health.deferred),
        ("complained about", *_complaints(facts), health.min_delivered, health.complained),
    ):
        if of >= least and count >= health.min_signals:
            share = count / of
            found.append(_Signal(rates, share, f"{count:,} of {of:,} {name} ({share:.2%})"))
    return found


def _complaints(facts: DayFacts) -> tuple[int, int]:
    return (facts.complained, facts.delivered) if facts.has_feedback_loop else (0, 0)


def _answer(signal: _Signal, health: Health, stage: int, now: int) -> Decision:
    rates, back = signal.rates, max(LOWEST, stage - 1)
    if signal.share >= rates.pause:
        until = now + int(health.pause_hours * clock.HOUR)
        reason = (
            f"{signal.words}: {rates.pause:.2%} is too much, paused for {health.pause_hours:g} h"
        )
        return Decision(kind=Kind.PAUSE, stage=back, reason=reason, paused_until=until)
    if signal.share >= rates.step_back and stage > LOWEST:
        reason = f"{signal.words}: from {rates.step_back:.2%} on it goes a stage back"
        return Decision(kind=Kind.STEP_BACK, stage=back, reason=reason)
    reason = f"{signal.words}: from {rates.hold:.2%} on the stage is held"
    return Decision(kind=Kind.HOLD, stage=stage, reason=reason)


def _unused(facts: DayFacts, health: Health) -> str:
    share = facts.used / facts.budget if facts.budget else 0.0
    return (
        f"used {facts.used:,} of {facts.budget:,} ({share:.0%}):"
        f" the next stage begins after a day with {health.min_used:.0%}"
    )
