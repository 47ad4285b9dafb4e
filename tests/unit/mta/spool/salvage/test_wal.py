"""The write-ahead log: every committed page that can be believed, and none that cannot."""

from __future__ import annotations

import random
import struct

import pytest

from mta.spool.salvage.wal import FRAME_HEADER_SIZE, HEADER_SIZE, checksum, page_size_of, read

SIZE = 512
STEP = FRAME_HEADER_SIZE + SIZE


def page(letter: str) -> bytes:
    return letter.encode() * SIZE


def log(*frames: tuple[int, str, bool], order: str = ">", salt: bytes = b"saltsalt") -> bytes:
    """Frames of (page number, content, whether it commits)."""
    magic = 0x377F0683 if order == ">" else 0x377F0682
    head = struct.pack(">4I", magic, 3007000, SIZE, 0) + salt
    running = checksum(head, (0, 0), order)
    made = bytearray(head + struct.pack(">2I", *running))
    for number, letter, commits in frames:
        start = struct.pack(">2I", number, 99 if commits else 0)
        running = checksum(start + page(letter), running, order)
        made += start + salt + struct.pack(">2I", *running) + page(letter)
    return bytes(made)


def frame(number: int) -> slice:
    return slice(HEADER_SIZE + number * STEP, HEADER_SIZE + (number + 1) * STEP)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_newest_committed_state_of_each_page_counts(order):
    found = read(log((2, "a", False), (3, "b", True), (2, "c", True), order=order))
    assert found.pages == {2: page("c"), 3: page("b")}
    assert (found.page_size, found.destroyed) == (SIZE, 0)


def test_what_was_not_committed_is_left_out():
    assert read(log((2, "a", True), (2, "b", False), (3, "c", False))).pages == {2: page("a")}
    assert read(log((2, "a", False))).pages == {}


@pytest.mark.parametrize("kept", [1, FRAME_HEADER_SIZE, STEP - 1])
def test_a_last_frame_that_is_torn_was_never_acknowledged(kept):
    whole = log((2, "a", True), (2, "b", True))
    torn = whole[: frame(1).start + kept]
    assert read(torn).pages == {2: page("a")}
    garbage = torn + random.Random(1).randbytes(STEP - kept)
    assert read(garbage).pages == {2: page("a")}


def test_frames_behind_a_destroyed_page_are_believed_again():
    """SQLite would stop there, and lose what follows."""
    made = bytearray(log((2, "a", True), (3, "b", True), (4, "c", True), (5, "d", True)))
    start = frame(1).start + FRAME_HEADER_SIZE
    made[start : start + 100] = bytes(100)
    found = read(bytes(made))
    assert found.pages == {2: page("a"), 3: None, 4: page("c"), 5: page("d")}
    assert found.destroyed == 1


def test_a_destroyed_frame_costs_its_successor_at_most():
    made = bytearray(log(*((number, "a", True) for number in range(2, 8))))
    made[frame(2)] = random.Random(1).randbytes(STEP)
    found = read(bytes(made))
    assert {number for number, data in found.pages.items() if data} == {2, 3, 6, 7}


def test_frames_of_an_earlier_life_of_the_log_do_not_count():
    old, new = log(*((9, "x", True),) * 4, salt=b"old salt"), log((2, "a", True))
    assert read(new + old[len(new) :]).pages == {2: page("a")}


@pytest.mark.parametrize("log_", [b"", b"short", bytes(4096), log((2, "a", True))[:20]])
def test_a_log_without_a_header_holds_nothing(log_):
    assert page_size_of(log_) == 0
    assert read(log_).pages == {}
