"""Parcels: whose recipients they carry."""

from __future__ import annotations

import pytest

from mta.message import ReturnPathMode
from mta.scheduling.parcel import Parcel
from tests.support.recipients import message, recipient

SHARED = message(1, return_path_mode=ReturnPathMode.MESSAGE)


@pytest.mark.parametrize(
    ("joined", "mixed"),
    [({}, False), ({"domain": "other.example"}, True), ({"pool": "warm"}, True)],
)
def test_a_parcel_is_mixed_when_others_than_those_of_its_key_joined_it(joined, mixed):
    parcel = Parcel(SHARED, [recipient(1, 0)], None)
    parcel.recipients.append(recipient(1, 1, **joined))
    assert parcel.is_mixed is mixed


def test_a_parcel_whose_first_was_taken_out_is_mixed_until_it_has_the_key_of_those_who_are_left():
    parcel = Parcel(SHARED, [recipient(1, 0), recipient(1, 1, domain="other.example")], None)
    del parcel.recipients[0]
    assert parcel.is_mixed
    assert parcel.part() == []
    assert (parcel.is_mixed, parcel.key.domain) == (False, "other.example")


def test_a_parcel_without_anybody_is_not_mixed():
    parcel = Parcel(SHARED, [recipient(1, 0)], None)
    parcel.recipients = []
    assert not parcel.is_mixed
