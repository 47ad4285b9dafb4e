"""What memory is left, from files as the kernel writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appliance.core.free_memory import UNKNOWN, available

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


class Machine:
    """A /proc and a /sys/fs/cgroup of its own."""

    def __init__(self, root: Path) -> None:
        self.proc, self.cgroups = root / "proc", root / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        self.cgroups.mkdir()

    def memory(self, free: int) -> None:
        text = f"MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable: {free >> 10} kB\n"
        (self.proc / "meminfo").write_text(text)

    def group(self, path: str, limit: str, current: int = 0, cached: int = 0) -> None:
        folder = self.cgroups / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{current}\n")
        stat = f"anon 1\nfile {cached}\nactive_file {cached // 2}\ninactive_file {cached // 2}\n"
        (folder / "memory.stat").write_text(stat)

    def in_group(self, path: str) -> None:
        (self.proc / "self/cgroup").write_text(f"4:memory:/v1\n0::/{path}\n")

    def available(self) -> int:
        return available(self.proc, self.cgroups)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_where_nothing_is_told_nothing_is_short(machine: Machine) -> None:
    assert machine.available() == UNKNOWN


def test_the_machine_says_what_is_available(machine: Machine) -> None:
    machine.memory(500 * MIB)
    assert machine.available() == 500 * MIB


def test_the_limit_of_a_unit_counts_without_its_file_cache(machine: Machine) -> None:
    machine.memory(5000 * MIB)
    machine.in_group("system.slice/pillarbox.service")
    machine.group("system.slice/pillarbox.service", str(300 * MIB), 280 * MIB, 100 * MIB)
    machine.group("system.slice", "max")
    assert machine.available() == 120 * MIB


def test_the_tightest_group_around_it_decides(machine: Machine) -> None:
    machine.memory(5000 * MIB)
    machine.in_group("a/b")
    machine.group("a/b", str(300 * MIB), 100 * MIB)
    machine.group("a", str(320 * MIB), 310 * MIB)
    assert machine.available() == 10 * MIB


def test_a_container_sees_its_limit_at_the_root(machine: Machine) -> None:
    machine.memory(5000 * MIB)
    machine.in_group("")
    machine.group("", str(256 * MIB), 250 * MIB, 50 * MIB)
    assert machine.available() == 56 * MIB


def test_a_group_over_its_limit_has_nothing_left(machine: Machine) -> None:
    machine.in_group("a")
    machine.group("a", str(10 * MIB), 11 * MIB)
    assert machine.available() == 0


def test_this_machine_has_some() -> None:
    assert available() > 0
