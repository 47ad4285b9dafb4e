"""Message ids: strictly rising whatever the clock does, and readable over the phone."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import ids

NOW = 1_790_000_000_000
LAST_MS = ids.EPOCH_MS + (1 << 42) - 2  # in the year 2163
SHARDS = st.integers(0, ids.MAX_SHARDS - 1)
TIMES = st.integers(ids.EPOCH_MS, LAST_MS)
# Clocks run, stand still, and step back by anything, even before the epoch.
CLOCKS = st.lists(TIMES | st.integers(0, NOW) | st.sampled_from([NOW, NOW + 1]), min_size=2)
IDS = st.integers(0, (1 << 63) - 1)


@given(SHARDS, CLOCKS)
def test_ids_rise_strictly_whatever_the_clock_does(shard, times):
    maker = ids.IdMaker(shard)
    found = [maker.make(at) for at in times]
    assert all(one < other for one, other in itertools.pairwise(found))
    assert all(ids.shard_of(number) == shard for number in found)


@given(SHARDS, CLOCKS, st.data())
def test_ids_rise_strictly_over_restarts(shard, times, data):
    last = 0
    for at in times:
        maker = ids.IdMaker(shard, last)
        for _ in range(data.draw(st.integers(1, 3))):
            number = maker.make(at)
            assert number > last
            last = number


@given(SHARDS, TIMES)
def test_an_id_names_its_time_and_its_shard(shard, at):
    number = ids.IdMaker(shard).make(at)
    assert (ids.time_of(number), ids.shard_of(number)) == (at, shard)


def test_more_than_a_millisecond_holds_borrow_from_the_next():
    maker = ids.IdMaker(3)
    found = [maker.make(NOW) for _ in range(20_000)]
    assert len(set(found)) == 20_000
    assert found == sorted(found)
    assert ids.time_of(found[-1]) == NOW + 2
    assert {ids.shard_of(number) for number in found} == {3}


@given(SHARDS, SHARDS, TIMES)
def test_two_shards_never_make_the_same_id(one, other, at):
    if one != other:
        assert ids.IdMaker(one).make(at) != ids.IdMaker(other).make(at)


@given(SHARDS, TIMES, TIMES)
def test_ids_of_all_shards_sort_by_time(shard, one, other):
    early, late = sorted((one, other))
    if early < late:
        assert ids.IdMaker(255).make(early) < ids.IdMaker(shard).make(late)


@given(SHARDS, TIMES)
def test_the_first_id_of_a_time_bounds_the_range(shard, at):
    number = ids.IdMaker(shard).make(at)
    assert ids.first_at(at) <= number < ids.first_at(at + 1)
    assert ids.first_at(0) == 0


@given(IDS)
def test_an_id_survives_being_written_and_read(number):
    text = ids.to_text(number)
    assert len(text) == 13
    assert ids.from_text(text) == number


@given(IDS)
def test_an_id_survives_being_read_over_the_phone(number):
    """In capitals, with o for 0 and l or i for 1."""
    text = ids.to_text(number)
    assert ids.from_text(text.upper()) == number
    assert ids.from_text(text.replace("0", "O").replace("1", "l")) == number


@given(IDS, IDS)
def test_texts_sort_as_the_numbers_do(one, other):
    assert (ids.to_text(one) < ids.to_text(other)) == (one < other)


@given(SHARDS, TIMES)
def test_an_id_is_a_positive_number_that_a_database_takes(shard, at):
    assert 0 <= ids.IdMaker(shard).make(at) < 1 << 63


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "13 characters"),
        ("05p3k8r2m000", "13 characters"),
        ("05p3k8r2m00011", "13 characters"),
        ("05p3k8r2m000u", "'u' never stands in one"),
        ("05p3k8r2m000-", "never stands in one"),
        ("05p3k8r2m000٣", "never stands in one"),
        ("zzzzzzzzzzzzz", "too large"),
        ("8000000000000", "too large"),
        ("İ5p3k8r2m0001", "is not a message id"),  # grows when it is made lower case
    ],
)
def test_what_is_no_id_is_refused_in_words(text, words):
    with pytest.raises(ValueError, match=words):
        ids.from_text(text)


@given(st.text(max_size=20))
def test_any_text_is_an_id_or_refused(text):
    try:
        number = ids.from_text(text)
    except ValueError:
        return
    assert 0 <= number < 1 << 63


@pytest.mark.parametrize("shard", [-1, 256])
def test_a_shard_has_eight_bits(shard):
    with pytest.raises(ValueError, match="not between 0 and 255"):
        ids.IdMaker(shard)
