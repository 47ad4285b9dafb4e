"""Room for new mail: what is booked, what the machine can spare, what is short."""

from __future__ import annotations

import pytest

from mta.policy.refusal import Refused
from mta.submission.room import Room


def test_no_more_is_booked_than_fits() -> None:
    room = Room(100)
    assert room.take(60)
    assert not room.take(50)
    room.give(60)
    assert room.take(50)


def test_the_limit_follows_what_the_machine_can_spare() -> None:
    room = Room(1000)
    assert room.take(300)
    room.adapt(100, "")
    assert not room.take(101)
    assert room.take(100)
    room.adapt(10_000, "")
    assert (room.limit, room.used) == (1000, 400)


def test_what_is_booked_stays_so_when_memory_becomes_short() -> None:
    room = Room(1000)
    room.take(300)
    room.adapt(-50, "too little memory")
    assert (room.limit, room.used) == (300, 300)
    assert not room.take(1)


def test_a_shortage_refuses_what_would_begin() -> None:
    room = Room(1000)
    room.adapt(500, "too little disk space: 7 MB are missing")
    with pytest.raises(Refused) as refusal:
        room.check(0)
    assert refusal.value.reply.line().startswith("452 4.3.1")
    assert "disk" not in refusal.value.reply.text  # that is for the log
    assert "7 MB" in refusal.value.log
    room.adapt(500, "")
    room.check(500)


def test_a_message_that_says_it_will_not_fit_need_not_come() -> None:
    room = Room(1000)
    room.take(600)
    with pytest.raises(Refused) as refusal:
        room.check(401)
    assert refusal.value.reply.line().startswith("452 4.3.1")
    room.check(400)
