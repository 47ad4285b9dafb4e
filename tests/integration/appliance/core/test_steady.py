"""A clock that goes on evenly while people set the other one."""

from __future__ import annotations

import pytest

from appliance.core import clock
from appliance.core.steady import BELIEVED_AFTER, SteadyClock, since_boot, this_boot


class Machine:
    """A wall clock that can be set, and a time since boot that cannot."""

    def __init__(self):
        self.boot, self.ahead = 50_000, 1_800_000_000_000

    def wall(self):
        return self.boot + self.ahead

    def since_boot(self):
        return self.boot


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def start(machine, tmp_path):
    def made(boot_id="first", name="steady"):
        return SteadyClock(
            tmp_path / name, wall=machine.wall, boot=machine.since_boot, boot_id=boot_id
        )

    return made


def test_both_clocks_agree_while_nobody_sets_one(machine, start):
    steady = start()
    machine.boot += clock.DAY
    assert steady() == machine.wall()


@pytest.mark.parametrize("step", [3 * clock.DAY, -3 * clock.DAY])
def test_a_step_does_not_move_it_nor_does_a_restart_of_the_process(machine, start, step):
    steady, before = start(), machine.wall()
    machine.ahead += step
    machine.boot += clock.HOUR
    assert steady() == start()() == before + clock.HOUR
    assert machine.wall() == before + clock.HOUR + step


def test_after_a_reboot_the_wall_clock_is_all_there_is(machine, start):
    start()
    machine.ahead += clock.DAY
    assert start("second")() == machine.wall()


def test_a_wall_clock_that_goes_on_by_itself_is_believed_in_the_end(machine, start):
    steady, before = start(), machine.wall()
    machine.ahead += 5 * clock.DAY
    steady()
    machine.boot += BELIEVED_AFTER
    assert steady() == before + BELIEVED_AFTER
    machine.boot += 1
    steady()
    assert steady() == machine.wall() == start()()


def test_another_step_begins_the_time_of_doubt_anew(machine, start):
    steady, before = start(), machine.wall()
    machine.ahead += 5 * clock.DAY
    steady()
    machine.boot += BELIEVED_AFTER - 1
    machine.ahead -= 2 * clock.DAY
    steady()
    machine.boot += BELIEVED_AFTER
    assert steady() == before + 2 * BELIEVED_AFTER - 1


def test_a_clock_that_was_set_back_in_time_is_trusted_as_before(machine, start):
    steady, before = start(), machine.wall()
    machine.ahead += clock.DAY
    steady()
    machine.ahead -= clock.DAY
    machine.boot += 2 * BELIEVED_AFTER
    assert steady() == machine.wall() == before + 2 * BELIEVED_AFTER


@pytest.mark.parametrize("content", ["", "first", "first x", "second 5", "\0\xff"])
def test_a_file_that_says_nothing_is_made_anew(machine, start, tmp_path, content):
    (tmp_path / "steady").write_text(content, "latin-1")
    assert start()() == machine.wall()
    assert (tmp_path / "steady").read_text().split() == ["first", str(machine.ahead)]
    assert [path.name for path in tmp_path.iterdir()] == ["steady"]


def test_without_a_place_for_the_file_it_works_all_the_same(machine, start):
    steady, before = start(name="no/such/folder"), machine.wall()
    machine.ahead += clock.DAY
    assert steady() == before


def test_this_machine_has_such_clocks(tmp_path):
    assert since_boot() > 0
    assert this_boot()
    assert abs(SteadyClock(tmp_path / "steady")() - clock.now_ms()) < clock.MINUTE
