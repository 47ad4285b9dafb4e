"""The lanes of a shard: made, retired and forgotten, each once."""

from __future__ import annotations

import pytest

from mta.message import Egress
from mta.scheduling.lanes import Lanes
from mta.scheduling.parcel import Parcel
from mta.scheduling.regulator import Regulator
from mta.scheduling.window import Window
from mta.shaping.throttles import Throttles
from mta.transport.base import Site
from tests.support.recipients import message, recipient
from tests.support.throttling import book

EGRESS = Egress(name="out1", address="", helo="box.lab", ipv6=False)
SITE = Site(key="mx.lab:25", hosts=(), port=25)


@pytest.fixture
def lanes():
    regulator = Regulator(book=book, throttles=Throttles(book), ledger=None)
    return Lanes(regulator, Window(max_recipients=10, max_bytes=1000), lambda _: 1)


def test_a_lane_that_is_retired_twice_leaves_its_successor_alone(lanes):
    old = lanes.of(EGRESS, SITE)
    lanes.retire(old)
    new = lanes.of(EGRESS, SITE)
    lanes.retire(old)
    assert list(lanes) == [new]
    assert not new.is_retired
    assert (old.flow.lanes, new.flow.lanes) == (0, 1)


def test_a_retired_lane_that_is_empty_at_last_leaves_its_successor_alone(lanes):
    old = lanes.of(EGRESS, SITE)
    lanes.retire(old)
    new = lanes.of(EGRESS, SITE)
    lanes.forget_empty(old)
    assert list(lanes) == [new]
    lanes.forget_empty(new)
    assert len(lanes) == new.flow.lanes == 0


def test_a_lane_with_work_is_not_forgotten(lanes):
    lane = lanes.of(EGRESS, SITE)
    lane.push(Parcel(message(1), [recipient(1)], None))
    lanes.forget_empty(lane)
    assert list(lanes) == [lane]
