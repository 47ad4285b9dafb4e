"""Below the floors of disk and memory nothing new is taken; above them it is taken again."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from appliance.core.settings import Spool
from appliance.run import descriptors
from appliance.run.floors import COPIES, Floors
from mta.submission.room import Room

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


class Free:
    """Memory that is free."""

    def __init__(self, octets: int) -> None:
        self.octets = octets

    def __call__(self) -> int:
        return self.octets


def floors(folder: Path, free: Free, room: Room, *, disk: int = 0, processes: int = 1) -> Floors:
    settings = Spool(min_free_bytes=disk, min_free_memory_bytes=64 * MIB)
    return Floors(settings, folder, room, processes=processes, available=free)


def test_memory_below_the_floor_stops_new_mail_until_it_is_back(tmp_path: Path) -> None:
    free, room = Free(63 * MIB), Room(1000 * MIB)
    found = floors(tmp_path, free, room)
    found.look()
    assert not found.has_room
    assert room.shortage == "too little memory: 1 MB are missing"
    assert room.limit == 0
    assert found.check() == (False, room.shortage)
    free.octets = 200 * MIB
    found.look()
    assert (found.has_room, room.shortage) == (True, "")


def test_what_is_above_the_floor_is_shared_out_with_copies_in_mind(tmp_path: Path) -> None:
    room = Room(1000 * MIB)
    found = floors(tmp_path, Free(264 * MIB), room, processes=5)
    found.look()
    assert room.limit == 200 * MIB // (COPIES * 5)
    assert found.has_room


def test_a_disk_below_the_floor_stops_new_mail(tmp_path: Path) -> None:
    room = Room(MIB)
    found = floors(tmp_path, Free(1 << 40), room, disk=1 << 60)
    found.look()
    assert "disk space" in room.shortage
    assert not found.has_room


def test_a_disk_that_cannot_be_asked_is_not_short(tmp_path: Path) -> None:
    found = floors(tmp_path / "gone", Free(1 << 40), Room(MIB), disk=1)
    found.look()
    assert found.has_room


@pytest.fixture
def files() -> object:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("files")
def test_the_limit_of_open_files_is_raised_to_what_is_allowed() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (900, hard))
    descriptors.raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, descriptors.MOST)


@pytest.mark.usefixtures("files")
def test_sessions_leave_files_for_the_store_and_for_delivery() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (1900, hard))
    assert descriptors.sessions_that_fit(10_000, 1000) == 700
    assert descriptors.sessions_that_fit(100, 1000) == 100
    assert descriptors.sessions_that_fit(10_000, 100_000) == descriptors.FEWEST
