"""What an event counts as, under which values, and that batches make no difference."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core import ids
from appliance.core.clock import DAY, HOUR, MINUTE, SECOND
from appliance.history.model import Facts, Told
from appliance.statistics import rules
from appliance.statistics.model import (
    COLUMNS,
    EVERYBODY,
    OVERFLOW,
    Dimension,
    Measure,
    Step,
    counts_of,
)
from appliance.statistics.rules import Known, kept_apart, rows, tally
from mta.status import FINAL, EventKind

AT = 1_800_000_000_000 // DAY * DAY + 10 * HOUR
COUNTED = {
    EventKind.DEFERRED: "deferred",
    EventKind.DELIVERED: "delivered",
    EventKind.BOUNCED: "bounced_soft",
    EventKind.EXPIRED: "expired",
    EventKind.SUPPRESSED: "suppressed",
    EventKind.CANCELLED: "cancelled",
    EventKind.CORRUPT: "corrupt",
    EventKind.HELD: "held",
    EventKind.BOUNCED_LATE: "bounced_late",
    EventKind.COMPLAINED: "complained",
    EventKind.UNSUBSCRIBED: "unsubscribed",
}


def told(kind, *, tenant=1, at=AT, **more):
    facts = more.pop("facts", {})
    plain = {
        "taken_at": at + SECOND,
        "message_id": ids.first_at(AT - HOUR),
        "n": 0,
        "kind": EventKind(kind),
        "at": at,
        "facts": Facts(tenant=tenant, **facts),
        "header_from": "Shop@Sender.Example",
        "traffic_class": "bulk",
        "tags": (),
        "accepted_at": at - MINUTE,
        "delivery": None,
        "is_known": True,
        "is_repeated": False,
    }
    return Told(**(plain | more))


def the_only(found):
    ((profile, grown),) = found.items()
    return profile, counts_of(tuple(grown.get(column, 0) for column in range(len(COLUMNS))))


@pytest.mark.parametrize("kind", [kind for kind in EventKind if kind is not EventKind.ACCEPTED])
def test_each_kind_counts_as_what_it_is_or_not_at_all(kind):
    found = tally([told(kind)])
    if kind not in COUNTED:
        assert not found
        return
    _, counts = the_only(found)
    assert {measure: getattr(counts, measure) for measure in Measure} == {
        measure: int(measure == COUNTED[kind]) for measure in Measure
    }
    assert counts.ended == (kind.value in FINAL)


def test_an_acceptance_counts_every_recipient():
    people = [(n, "a@b.example", "b.example", "queued") for n in range(3)]
    _, counts = the_only(tally([told("accepted", n=-1, facts={"recipients": tuple(people)})]))
    assert (counts.accepted, counts.ended) == (3, 0)


def test_hard_and_soft_bounces_are_told_apart():
    events = [told("bounced", facts={"hard": True}), told("bounced"), told("bounced")]
    _, counts = the_only(tally(events))
    assert (counts.bounced_hard, counts.bounced_soft, counts.ended) == (1, 2, 3)


def test_what_was_told_before_or_is_about_nobody_known_counts_as_nothing():
    assert not tally([told("delivered", is_repeated=True), told("delivered", is_known=False)])


def test_a_rebuild_leaves_out_what_is_older_than_it_begins():
    assert not tally([told("delivered")], since=AT + 1)
    assert tally([told("delivered")], since=AT)


@pytest.mark.parametrize(
    ("at", "taken_at", "hour"),
    [
        (AT, AT + SECOND, AT),
        (AT + 40 * DAY, AT + SECOND, AT),  # a clock ahead: not later than the log heard of it
        (AT - 40 * DAY, AT + SECOND, AT - HOUR),  # behind: not before the message
    ],
)
def test_an_event_counts_in_the_hour_it_happened_whatever_a_clock_says(at, taken_at, hour):
    profile, _ = the_only(tally([told("held", at=at, taken_at=taken_at)]))
    assert profile.hour == hour


def test_a_profile_says_whose_from_where_and_through_what():
    one = told(
        "delivered",
        facts={"provider": "google", "egress": "out-1", "attempt": 2},
        tags=("a", "b", "a"),
    )
    profile, _ = the_only(tally([one]))
    assert profile == (1, AT, "sender.example", "google", "out-1", "bulk", ("a", "b"), "")


def test_a_receiver_without_a_name_is_other_and_before_an_attempt_there_is_none():
    tried, _ = the_only(tally([told("deferred", facts={"attempt": 1})]))
    untried, _ = the_only(tally([told("held")]))
    assert (tried.provider, untried.provider) == ("other", "")


def test_a_failure_has_its_reason_and_nothing_else_has_one():
    known = Known()
    found = {}
    for one in (
        told("bounced", facts={"category": "user_unknown", "hard": True}),
        told("expired"),
        told("deferred", facts={"category": "rate_limited"}),
    ):
        for row in rows(tally([one]), known)[Step.DAY]:
            if row.dimension is Dimension.REASON and row.tenant_id == 1:
                found[row.value] = one.kind
    assert found == {"user_unknown": "bounced", "other": "expired"}


def test_late_news_go_the_way_of_their_delivery():
    delivery = Facts(tenant=1, provider="yahoo", egress="out-2", attempt=1)
    profile, _ = the_only(tally([told("complained", delivery=delivery)]))
    assert (profile.provider, profile.egress) == ("yahoo", "out-2")


@pytest.mark.parametrize(
    ("delay", "column"),
    [(0, 0), (SECOND, 0), (SECOND + 1, 1), (MINUTE, 6), (DAY, 14), (DAY + 1, 15)],
)
def test_a_delivery_has_its_class_of_delay(delay, column):
    _, counts = the_only(tally([told("delivered", accepted_at=AT - delay)]))
    assert counts.delays[column] == 1
    assert counts.delay_ms == delay


def test_a_day_keeps_only_so_many_values_apart_the_box_more_than_a_tenant():
    known = Known()
    room = kept_apart(1, Dimension.TAG)
    for number in range(room):
        assert known.admit(1, Dimension.TAG, AT, str(number)) == str(number)
    assert known.admit(1, Dimension.TAG, AT, "one more") == OVERFLOW
    assert known.admit(1, Dimension.TAG, AT, "0") == "0"
    assert known.admit(2, Dimension.TAG, AT, "one more") == "one more"
    assert kept_apart(EVERYBODY, Dimension.TAG) > room


def test_a_text_that_no_database_holds_is_mended_and_cut():
    profile, _ = the_only(tally([told("held", tags=("a\0b", "x" * 1000))]))
    assert profile.tags == ("a\ufffdb", "x" * rules.LONGEST)


events = st.lists(
    st.builds(
        told,
        st.sampled_from([kind.value for kind in COUNTED]),
        tenant=st.integers(1, 3),
        at=st.integers(0, 60).map(lambda hours: AT + hours * HOUR),
        header_from=st.sampled_from(["a@x.example", "b@Y.example"]),
        tags=st.lists(st.sampled_from("abcdef"), max_size=3).map(tuple),
        facts=st.fixed_dictionaries(
            {
                "provider": st.sampled_from(["", "google"]),
                "egress": st.sampled_from(["", "out-1", "out-2"]),
                "attempt": st.integers(0, 1),
            }
        ),
    ),
    max_size=40,
)


class Counted:
    """What a store does, in memory."""

    def __init__(self):
        self.known = Known()
        self.sums = defaultdict(lambda: [0] * len(COLUMNS))

    def count(self, batch):
        for step, found in rows(tally(batch), self.known).items():
            for row, counts in found.items():
                sums = self.sums[step, row]
                self.sums[step, row] = [a + b for a, b in zip(sums, counts, strict=True)]


@settings(max_examples=60, deadline=None)
@given(events, st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_batches_of_any_size_give_the_same_counts(stream, sizes):
    saved, rules.kept_apart = rules.kept_apart, lambda *_: 4  # so that some values overflow
    try:
        whole, cut = Counted(), Counted()
        whole.count(stream)
        at, turn = 0, 0
        while at < len(stream):
            size = sizes[turn % len(sizes)]
            cut.count(stream[at : at + size])
            at, turn = at + size, turn + 1
    finally:
        rules.kept_apart = saved
    assert cut.sums == whole.sums


@settings(max_examples=60, deadline=None)
@given(events)
def test_the_values_of_a_dimension_add_up_to_the_whole(stream):
    counted = Counted()
    counted.count(stream)
    for step in Step:
        sums = defaultdict(lambda: [0] * len(COLUMNS))
        for (of, row), counts in counted.sums.items():
            if of is step:
                key = (row.dimension, row.tenant_id == EVERYBODY)
                sums[key] = [a + b for a, b in zip(sums[key], counts, strict=True)]
        no_parts = (Dimension.TAG, Dimension.REASON)  # several of one, or of failures alone
        parts = {key: value for key, value in sums.items() if key[0] not in no_parts}
        assert len({tuple(value) for value in parts.values()}) <= 1
