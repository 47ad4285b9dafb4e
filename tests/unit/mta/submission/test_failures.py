from __future__ import annotations

from appliance.core import clock
from mta.submission.failures import LocalLedger


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now


def test_failures_are_forgotten_after_ten_minutes() -> None:
    time = Clock()
    ledger = LocalLedger(now=time)
    ledger.record("a")
    time.now += 5 * clock.MINUTE
    ledger.record("a")
    assert (ledger.count("a"), ledger.count("b")) == (2, 0)
    time.now += 6 * clock.MINUTE
    assert ledger.count("a") == 1
    time.now += 10 * clock.MINUTE
    assert ledger.count("a") == 0


def test_deltas_are_given_once() -> None:
    ledger = LocalLedger()
    ledger.record("a")
    ledger.record("a")
    assert ledger.drain_deltas() == {"a": 2}
    assert ledger.drain_deltas() == {}


def test_what_other_processes_saw_counts_together_with_what_is_not_yet_told() -> None:
    time = Clock()
    ledger = LocalLedger(now=time)
    ledger.record("a")
    ledger.drain_deltas()
    ledger.merge({"a": 4})
    ledger.record("a")
    assert ledger.count("a") == 5
    time.now += 11 * clock.MINUTE
    assert ledger.count("a") == 0


def test_totals_that_come_late_take_nothing_back() -> None:
    ledger = LocalLedger()
    ledger.record("a")
    ledger.record("a")
    ledger.drain_deltas()
    ledger.merge({"a": 1})
    assert ledger.count("a") == 2


def test_memory_is_bounded() -> None:
    ledger = LocalLedger(max_keys=100)
    for number in range(1000):
        ledger.record(f"key {number}")
    assert len(ledger.drain_deltas()) == 100
    assert (ledger.count("key 999"), ledger.count("key 0")) == (1, 0)
