"""What follows from a day, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.clock import HOUR
from mta.warmup.decide import DayFacts, Decision, Kind, decide, restarted
from mta.warmup.model import LOWEST, volume_of
from mta.warmup.schedule import Health

HEALTH = Health()
NOW = 1_800_000_000_000


def facts(**given) -> DayFacts:
    return DayFacts(**{"budget": 1000, "used": 1000, "delivered": 1000} | given)


def judged(found: DayFacts, stage: int = 3, stages: int = 10) -> Decision:
    return decide(found, HEALTH, stage=stage, stages=stages, idle_days=30, now=NOW)


LOOP = {"has_feedback_loop": True}
TABLE = [
    # all went well
    (facts(), Kind.ADVANCE, 4, "used 1,000 of 1,000"),
    (facts(used=900), Kind.ADVANCE, 4, "used 900 of 1,000"),
    # too little was sent
    (facts(used=899), Kind.HOLD, 3, "used 899 of 1,000 (90%): the next stage begins"),
    (facts(used=0, delivered=0), Kind.HOLD, 3, "used 0 of 1,000 (0%)"),
    # blocks
    (facts(delivered=981, bounced=19, blocked=19), Kind.ADVANCE, 4, ""),
    (facts(delivered=980, bounced=20, blocked=20), Kind.HOLD, 3, "20 of 1,000 blocked (2.00%)"),
    (facts(delivered=950, bounced=50, blocked=50), Kind.STEP_BACK, 2, "a stage back"),
    (facts(delivered=800, deferred=200, blocked=200), Kind.PAUSE, 2, "paused for 24 h"),
    # deferrals, which may come to more than the budget: each is an attempt
    (facts(delivered=1000, deferred=111), Kind.ADVANCE, 4, ""),
    (facts(delivered=1000, deferred=112), Kind.HOLD, 3, "112 of 1,112 deferred (10.07%)"),
    (facts(delivered=1000, deferred=334), Kind.STEP_BACK, 2, "deferred"),
    (facts(delivered=1000, deferred=1000), Kind.PAUSE, 2, "deferred"),
    # of several the worst decides
    (facts(delivered=700, deferred=300, blocked=20), Kind.STEP_BACK, 2, "300 of 1,000 deferred"),
    (facts(delivered=800, deferred=200, blocked=60), Kind.STEP_BACK, 2, "60 of 1,000 blocked"),
    # bad results count although too little was sent
    (facts(used=100, delivered=50, deferred=50), Kind.PAUSE, 2, "50 of 100 deferred"),
    # complaints, where the provider reports them
    (facts(delivered=3001, complained=3, **LOOP), Kind.ADVANCE, 4, ""),
    (facts(delivered=3000, complained=3, **LOOP), Kind.HOLD, 3, "3 of 3,000 complained about"),
    (facts(delivered=1000, complained=3, **LOOP), Kind.STEP_BACK, 2, "(0.30%)"),
    (facts(delivered=1000, complained=5, **LOOP), Kind.PAUSE, 2, "(0.50%)"),
    (facts(delivered=1000, complained=500), Kind.ADVANCE, 4, ""),
    # samples too small to say anything
    (facts(delivered=2, bounced=1, blocked=1), Kind.ADVANCE, 4, ""),
    (facts(delivered=16, deferred=3, blocked=3), Kind.ADVANCE, 4, ""),
    (facts(delivered=17, deferred=3, blocked=3), Kind.STEP_BACK, 2, "3 of 20 blocked"),
    (facts(delivered=18, bounced=2, blocked=2), Kind.ADVANCE, 4, ""),
    (facts(delivered=499, complained=9, **LOOP), Kind.ADVANCE, 4, ""),
    # nobody has written for long
    (facts(used=0, delivered=0, idle_days=29), Kind.HOLD, 3, "used 0"),
    (facts(used=0, delivered=0, idle_days=30), Kind.RESTART, 0, "no mail for 30 days"),
]


@pytest.mark.parametrize(("found", "kind", "stage", "words"), TABLE)
def test_a_day_leads_to(found, kind, stage, words):
    decision = judged(found)
    assert (decision.kind, decision.stage) == (kind, stage)
    assert words in decision.reason
    assert decision.paused_until == (NOW + 24 * HOUR if kind is Kind.PAUSE else 0)


def test_behind_the_last_stage_it_is_warm():
    assert judged(facts(), stage=9).kind is Kind.FINISH
    assert judged(facts(used=10), stage=9).kind is Kind.HOLD


def test_below_the_first_stage_there_are_smaller_ones():
    blocked = facts(delivered=900, bounced=100, blocked=100)
    assert (judged(blocked, stage=0).kind, judged(blocked, stage=0).stage) == (Kind.STEP_BACK, -1)
    lowest = judged(blocked, stage=LOWEST)
    assert (lowest.kind, lowest.stage) == (Kind.HOLD, LOWEST)
    paused = judged(facts(delivered=0, bounced=100, blocked=100), stage=LOWEST)
    assert (paused.kind, paused.stage) == (Kind.PAUSE, LOWEST)
    assert (judged(facts(), stage=-1).kind, judged(facts(), stage=-1).stage) == (Kind.ADVANCE, 0)


def test_the_smaller_ones_halve_the_first_volume_and_never_end_it():
    volumes = (200, 500, 1000)
    assert [volume_of(volumes, stage) for stage in range(LOWEST, 4)] == [
        *(25, 50, 100),
        *volumes,
        1000,
    ]
    assert volume_of((1, 2), LOWEST) == 1


def test_at_the_first_stage_there_is_nothing_to_start_over():
    assert judged(facts(used=0, delivered=0, idle_days=99), stage=0).kind is Kind.HOLD


def test_what_was_warm_starts_over():
    assert restarted(31).kind is Kind.RESTART
    assert "31 days" in restarted(31).reason


numbers = st.integers(0, 10_000)


@given(numbers, numbers, numbers, numbers, numbers, numbers, st.booleans(), st.integers(0, 9))
def test_no_day_moves_more_than_a_stage_and_every_decision_says_why(
    used, delivered, deferred, bounced, blocked, complained, has_loop, stage
):
    found = facts(
        used=used,
        delivered=delivered,
        deferred=deferred,
        bounced=bounced,
        blocked=min(blocked, deferred + bounced),
        complained=complained,
        has_feedback_loop=has_loop,
    )
    decision = judged(found, stage=stage)
    assert abs(decision.stage - stage) <= 1
    assert decision.reason
    if decision.kind in (Kind.ADVANCE, Kind.FINISH):
        assert used >= 900
    else:
        assert decision.stage <= stage
