"""Days and ranges of ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.core.clock import DAY
from appliance.core.ids import EPOCH_MS, MAX_SHARDS, IdMaker, first_at
from appliance.history.days import bounds, day_of, name, parse

TIMES = st.integers(min_value=EPOCH_MS, max_value=EPOCH_MS + 100 * 365 * DAY)


@given(ms=TIMES, shard=st.integers(0, MAX_SHARDS - 1))
def test_an_id_lies_within_the_bounds_of_its_day_and_of_its_millisecond(ms, shard):
    message_id = IdMaker(shard).make(ms)
    first, after = bounds(day_of(message_id))
    assert first <= message_id < after
    assert first_at(ms) <= message_id < first_at(ms + 1)


@given(ms=TIMES)
def test_a_day_is_read_back_from_its_name(ms):
    day = ms // DAY
    assert parse(name(day)) == day


def test_a_day_is_named_as_people_write_it():
    assert name(1_800_000_000_000 // DAY) == "2027-01-15"


def test_other_names_are_no_days():
    assert [parse(text) for text in ("", "control", "2026-13-01", "2026-11-20.db")] == [None] * 4
