"""The last minute, second by second."""

from __future__ import annotations

from mta.scheduling import traffic
from mta.scheduling.traffic import MINUTES, SECONDS, Kind, Traffic


class Clock:
    at = 1000.0

    def __call__(self):
        return self.at


def test_a_second_counts_once_it_is_over_and_for_a_minute():
    now = Clock()
    seen = Traffic(now)
    seen.accepted(3)
    assert sum(seen.series()[Kind.ACCEPTED]) == 0
    now.at += 1
    assert seen.series()[Kind.ACCEPTED][-1] == 3
    now.at += SECONDS - 1
    assert seen.series()[Kind.ACCEPTED][0] == 3
    now.at += 1
    assert sum(seen.series()[Kind.ACCEPTED]) == 0


def test_outcomes_are_counted_by_flow_and_deliveries_by_domain():
    now = Clock()
    seen = Traffic(now)
    for kind in (Kind.DELIVERED, Kind.DELIVERED, Kind.DEFERRED):
        seen.outcome("out1", "google", "gmail.com", kind)
    now.at += 1
    assert seen.flows() == {("out1", "google"): {Kind.DELIVERED: 2, Kind.DEFERRED: 1}}
    assert seen.domains() == {"gmail.com": 2}


def test_a_second_remembers_only_so_many_places_and_still_counts_all(monkeypatch):
    monkeypatch.setattr(traffic, "MAX_FLOWS", 2)
    monkeypatch.setattr(traffic, "MAX_DOMAINS", 3)
    now = Clock()
    seen = Traffic(now)
    for n in range(5):
        seen.outcome(f"out{n}", "other", f"d{n}.example", Kind.DELIVERED)
    now.at += 1
    assert (len(seen.flows()), len(seen.domains())) == (2, 3)
    assert sum(seen.series()[Kind.DELIVERED]) == 5


def test_commits_are_told_by_their_middle_and_their_worst():
    now = Clock()
    seen = Traffic(now)
    for n in range(100):
        seen.committed(n / 1000)
    assert seen.commit_seconds() == (0.05, 0.099)
    now.at += SECONDS + 1
    assert seen.commit_seconds() == (0.0, 0.0)


def test_minutes_are_told_once_they_are_over_from_the_first_whole_one():
    now = Clock()  # 40 seconds into minute 16
    seen = Traffic(now)
    seen.accepted(1)
    now.at = 1020.5
    seen.accepted(2)
    now.at = 1079.5
    seen.accepted(3)
    assert seen.minutes() == {}
    now.at = 1140.0
    assert {minute: counts[Kind.ACCEPTED] for minute, counts in seen.minutes().items()} == {
        17: 5,
        18: 0,
    }


def test_minutes_are_kept_for_so_long_and_no_longer():
    now = Clock()
    seen = Traffic(now)
    for _ in range(2 * MINUTES):
        now.at += SECONDS
        seen.outcome("out1", "other", "a.lab", Kind.DEFERRED)
    found = seen.minutes()
    assert len(found) == MINUTES
    assert {counts[Kind.DEFERRED] for counts in found.values()} == {1}
