"""What TLS did is counted by day, policy and kind."""

from __future__ import annotations

from mta.transport import tls_results
from mta.transport.tls_results import AppliedPolicy, Failure, PolicyType, Tally, TlsResults
from tests.support.fake_clock import FakeClock

POLICY = AppliedPolicy(type=PolicyType.NONE, domain="good.test")
DAY = 86_400_000


def test_equal_results_are_one_count_and_days_are_kept_apart() -> None:
    clock = FakeClock()
    results = TlsResults(now=clock)
    results.succeeded(POLICY)
    results.succeeded(POLICY)
    results.failed(POLICY, Failure.EXPIRED, "x" * 500, place=("mx", "192.0.2.1"))
    clock.advance(86_400)
    results.succeeded(POLICY)
    today, later = (clock.now // DAY - 1) * DAY, clock.now // DAY * DAY
    first, failed, second = results.drain()
    assert (first.day, first.count, first.result.failure) == (today, 2, None)
    assert (second.day, second.count) == (later, 1)
    assert (failed.result.failure, failed.result.host) == (Failure.EXPIRED, "mx")
    assert len(failed.result.reason) == 200
    assert results.drain() == []


def test_what_could_not_be_stored_comes_again() -> None:
    results = TlsResults()
    results.succeeded(POLICY)
    drained = results.drain()
    results.succeeded(POLICY)
    results.put_back(drained)
    (tally,) = results.drain()
    assert tally == Tally(drained[0].day, drained[0].result, 2)


def test_the_number_of_kinds_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(tls_results, "MAX_KINDS", 3)
    results = TlsResults()
    for n in range(5):
        results.failed(POLICY, Failure.VALIDATION, str(n))
    results.failed(POLICY, Failure.VALIDATION, "0")
    assert sorted(t.count for t in results.drain()) == [1, 1, 2]
