"""The write-ahead log: every committed page that can be believed, and none that cannot."""

from __future__ import annotations

import random
import struct

import pytest

from mta.spool.salvage.wal import (
    FRAME_HEADER_SIZE,
    HEADER_SIZE,
    checksum,
    destroyed_in,
    page_size_of,
    read,
)

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
    assert found.pages == {2: page("a"), 4: page("c"), 5: page("d")}
    assert (found.old, found.destroyed) == ({3}, 1)


def test_an_older_state_stands_in_for_a_destroyed_one_and_is_told():
    made = bytearray(log((3, "a", True), (3, "b", True), (4, "c", True), (5, "d", True)))
    made[frame(1).stop - 1] ^= 1
    found = read(bytes(made))
    assert (found.pages[3], found.old) == (page("a"), {3})
    rewritten = bytearray(log((3, "a", True), (3, "b", True), (3, "c", True)))
    rewritten[frame(1).stop - 1] ^= 1
    found = read(bytes(rewritten))
    assert (found.pages[3], found.old, found.destroyed) == (page("c"), frozenset(), 1)


LAST = ((2, "a", True), (3, "b", True), (2, "c", False), (4, "d", False), (3, "e", True))


@pytest.mark.parametrize("torn", [2, 3, 4])
@pytest.mark.parametrize("part", ["header", "data", "whole"])
def test_a_last_transaction_with_a_torn_frame_was_never_acknowledged(torn, part):
    """A disk may have written its last frame, which commits, and not one before."""
    made = bytearray(log(*LAST))
    start, stop = frame(torn).start, frame(torn).stop
    start, stop = {
        "header": (start, start + FRAME_HEADER_SIZE),
        "data": (start + FRAME_HEADER_SIZE, stop),
        "whole": (start, stop),
    }[part]
    made[start:stop] = random.Random(1).randbytes(stop - start)
    found = read(bytes(made))
    assert found.pages == {2: page("a"), 3: page("b")}
    assert (found.old, found.destroyed, destroyed_in(bytes(made))) == (frozenset(), 0, 0)


def test_what_a_torn_write_of_an_earlier_life_left_behind_the_end_does_not_count():
    made = bytearray(log((2, "a", True), *((9, "x", False),) * 3, (9, "x", True)))
    made[frame(3).start + 100] ^= 1
    made[frame(1)] = log((2, "a", True), (3, "b", True))[frame(1)]
    found = read(bytes(made))
    assert found.pages == {2: page("a"), 3: page("b")}
    assert found.destroyed == 0


def test_two_transactions_are_not_taken_for_one_that_is_torn():
    """The mark of the first one's commit is destroyed; but both hold a page, and one transaction has it once."""
    made = bytearray(
        log((2, "a", True), (4, "x", False), (3, "b", True),
            (5, "p", False), (4, "y", False), (3, "c", True))
    )  # fmt: skip
    made[frame(2).start : frame(2).start + FRAME_HEADER_SIZE] = bytes(FRAME_HEADER_SIZE)
    assert destroyed_in(bytes(made)) == 2
    found = read(bytes(made))
    assert found.pages == {2: page("a"), 3: page("c"), 4: page("y")}
    assert found.is_old(5)


def test_a_header_of_which_only_the_second_sector_was_written_says_nothing_of_a_commit():
    """What lay there before is no commit of this log, and a torn last write is no damage."""
    whole = [(number + 2, "a", True) for number in range(41)]
    made = bytearray(log(*whole, (90, "b", False), (91, "c", False), (92, "d", True)))
    assert frame(41).start % 512 == 504
    made[frame(41).start : frame(41).start + 8] = struct.pack(">2I", 77, 99)
    assert destroyed_in(bytes(made)) == 0
    assert read(bytes(made)).pages.keys() == {number for number, *_ in whole}


@pytest.mark.parametrize("number", range(4))
def test_damage_with_whole_commits_behind_it_is_told(number):
    made = bytearray(log(*LAST, (5, "f", True)))
    made[frame(number).start + FRAME_HEADER_SIZE] ^= 1
    assert destroyed_in(bytes(made)) == 1
    assert destroyed_in(log(*LAST)) == destroyed_in(b"") == destroyed_in(bytes(100)) == 0


def test_a_destroyed_frame_costs_its_successor_at_most():
    made = bytearray(log(*((number, "a", True) for number in range(2, 8))))
    made[frame(2)] = random.Random(1).randbytes(STEP)
    found = read(bytes(made))
    assert found.pages.keys() == {2, 3, 6, 7}
    assert [number for number in range(2, 10) if found.is_old(number)] == [2, 3, 4, 5, 8, 9]


def test_frames_of_an_earlier_life_of_the_log_do_not_count():
    old, new = log(*((9, "x", True),) * 4, salt=b"old salt"), log((2, "a", True))
    assert read(new + old[len(new) :]).pages == {2: page("a")}


@pytest.mark.parametrize("log_", [b"", b"short", bytes(4096), log((2, "a", True))[:20]])
def test_a_log_without_a_header_holds_nothing(log_):
    assert page_size_of(log_) == 0
    assert read(log_).pages == {}
